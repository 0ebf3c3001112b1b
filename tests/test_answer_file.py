"""answers.yaml: a command puts one answer in; what the learner wrote around it, in it and below it stays."""

import json

import pytest

from cirtlib.errors import TrainingError
from cirtlib.training.exercise import answer_file
from cirtlib.training.exercise.model import load_exercise

EXERCISE = load_exercise("exposed_credentials")


@pytest.fixture
def put(tmp_path):
    """Put an answer into a file of this text, and return the file's text then."""
    path = tmp_path / "answers.yaml"

    def act(text, name, given):
        path.write_bytes(text.encode("utf-8"))
        answer_file.write(path, EXERCISE, name, given)
        assert answer_file.read(path, EXERCISE)[name] == given
        return path.read_bytes().decode("utf-8")

    return act


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("who: a\n  # because of event abc\nsession: x\n", 'who: "b"\n  # because of event abc\nsession: x\n'),
        ('who: a  # he said "no"\n', 'who: "b"  # he said "no"\n'),
        ("who: 'a # b' # c\nsession: x", 'who: "b" # c\nsession: x'),
        ("who:   # mine\n", 'who: "b"   # mine\n'),
        ("who: | # mine\n  long #1\n  # too\n\n# z\ndoor: x\n", 'who: "b"  # mine\n  # too\n\n# z\ndoor: x\n'),
        ("who: several\n  lines\n\n  of text # mine\ndoor: x\n", 'who: "b" # mine\ndoor: x\n'),
        ("who: a\r\n# mine\r\nsession: x\r\n", 'who: "b"\r\n# mine\r\nsession: x\r\n'),
        ("who: a\nwho: c # the last counts\n", 'who: a\nwho: "b" # the last counts\n'),
        ("{who: a, session: x}\n", '{who: "b", session: x}\n'),
        ("session: *x", None),
        ("# only mine", '# only mine\nwho: "b"\n'),
        ("", 'who: "b"\n'),
    ],
)
def test_only_the_answer_is_replaced(put, text, made):
    if made is None:
        with pytest.raises(TrainingError, match="not readable"):
            put(text, "who", "b")
    else:
        assert put(text, "who", "b") == made


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("unalarmed:\n\n  - a\n", 'unalarmed: ["c", "d"]\n'),
        (
            "unalarmed:  # mine\n# at the edge\n- a  # first\n\n  # between\n- 'b' # last\nwho: x\n",
            'unalarmed: ["c", "d"]  # mine\n# at the edge\n  # first\n  # between\n  # last\nwho: x\n',
        ),
        ("unalarmed: [a, # one\nb\n]  # two\nwho: x\n", 'unalarmed: ["c", "d"]  # one\n  # two\nwho: x\n'),
        ("unalarmed:\n- a\n-\n# below\nwho: x\n", 'unalarmed: ["c", "d"]\n# below\nwho: x\n'),
    ],
)
def test_notes_inside_a_list_survive_whatever_its_form(put, text, made):
    assert put(text, "unalarmed", ["c", "d"]) == made


@pytest.mark.parametrize(
    "given", ["a\x7fb", "\x00", "\x85 \u2028 \ufeff \ufffe", "\U0001f600 \\\u200b", 'a "quoted": thing #x', "y" * 3000]
)
def test_any_text_can_be_an_answer(put, given):
    assert put("who: x  # mine\nsession: y\n", "who", given).endswith("  # mine\nsession: y\n")


def test_bytes_that_are_no_text_are_seen_to_be_lost(tmp_path):
    path = tmp_path / "answers.yaml"
    assert answer_file.write(path, EXERCISE, "who", "x\udcff") == "x\ufffd"
    assert answer_file.write(path, EXERCISE, "unalarmed", ["\udcff"]) == ["\ufffd"]
    path.write_text('who: "\\udcff"\nsession: "\\ud83d\\ude00"\n', encoding="utf-8")  # written by hand
    assert answer_file.read(path, EXERCISE) == {"who": "\ufffd", "session": "\U0001f600"}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"who: &x a\nsession: *x\n", "write it there yourself.*who: "),
        (b"{session: x}\n", "write it there yourself.*who: "),
        (b"session: [\n", "not readable near line"),
        (b"session: x\nwho: M\xfcller\n", "not readable near line 2: save it as UTF-8"),
        (b'session: "\\UFFFFFFFF"\n', "not readable"),
        (b"who: " + b"[" * 3000, "not readable"),
    ],
)
def test_a_file_that_cannot_take_the_answer_is_left_alone(tmp_path, data, told):
    path = tmp_path / "answers.yaml"
    path.write_bytes(data)
    with pytest.raises(TrainingError, match=told):
        answer_file.write(path, EXERCISE, "who", "b")
    assert path.read_bytes() == data
    assert [one.name for one in tmp_path.iterdir()] == ["answers.yaml"]


def test_the_blank_file_takes_every_answer_and_keeps_its_lines(tmp_path):
    path = tmp_path / "answers.yaml"
    blank = answer_file.blank(EXERCISE)
    given = {one.id: ["p", "q"] if one.many else "p" for one in EXERCISE.questions}
    for name, one in given.items():
        answer_file.write(path, EXERCISE, name, one)
    assert answer_file.read(path, EXERCISE) == given
    wanted = [
        f"{line.split(':')[0]}: {json.dumps(given[line.split(':')[0]])}" if line[:1].isalpha() else line
        for line in blank.splitlines()
    ]
    assert path.read_text(encoding="utf-8").splitlines() == wanted
