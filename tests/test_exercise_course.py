"""A learner's way: begin, answer, take hints, break things, begin anew; nothing that the learner wrote is lost."""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from cirtlib.case import load_case, update_case
from cirtlib.decisions import decide
from cirtlib.errors import TrainingError
from cirtlib.timeline.notes import add_note, notes
from cirtlib.training.exercise import answer_file, course
from cirtlib.training.exercise.field import verdict
from cirtlib.training.exercise.marking import truth
from cirtlib.training.exercise.workspace import find, reset, start

NAME = "exposed_credentials"


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """An exercise that was just begun."""
    return start(NAME, seed=1, folder=tmp_path_factory.mktemp("begun") / "exercise")[0]


def linked(source, target):
    """Copy a file; evidence is many files that nobody changes, and is linked."""
    return os.link(source, target) if f"{os.sep}evidence{os.sep}" in source else shutil.copy2(source, target)


@pytest.fixture
def space(begun, tmp_path, monkeypatch):
    """A copy of it that a test may change, in a folder where nothing else was begun."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(begun.path, tmp_path / "exercise", copy_function=linked)
    return find(tmp_path / "exercise")


def right(space, name):
    return truth(space.exercise.question(name), space.record)


def test_the_folder_holds_what_one_needs_and_nothing_of_the_truth(space):
    assert {"README.md", "story.md", "answers.yaml", "notes.md", "exercise.ipynb", "case", "evidence"} <= {
        path.name for path in space.path.iterdir()
    }
    assert load_case(space.path / "case").seeds
    texts = [path for path in space.path.iterdir() if path.is_file()]
    said = " ".join(path.read_text(encoding="utf-8") for path in texts)
    for question in space.exercise.questions:
        if question.kind in ("access_key", "event", "principal", "resource"):
            assert not [one for one in right(space, question.id) or () if one in said], question.id
    assert not list(space.path.rglob("truth*"))
    assert not list(space.path.rglob("state_*"))


def test_an_answer_is_graded_at_once_kept_and_explained(space):
    wrong = course.answer(space, "who", "devRole")
    assert (wrong.points, wrong.mark.right) == (0, False)
    assert right(space, "who")[0] not in wrong.mark.says
    good = course.answer(space, "who", right(space, "who")[0].rsplit("/", 1)[-1])
    assert good.points == good.out_of > 0
    kept = {one.question.id: one for one in course.check(space)}
    assert kept["who"].points == good.points
    assert kept["session"].given is None
    with pytest.raises(TrainingError, match="its questions are: who"):
        course.answer(space, "nobody", "x")


def test_what_cannot_be_read_replaces_no_answer_that_could(space):
    course.answer(space, "who", right(space, "who")[0])
    slip = course.answer(space, "who", "no such name !")
    assert (slip.mark.understood, slip.points) == (False, 0)
    assert "your answer before this one stays" in slip.mark.says
    assert {one.question.id: one.mark.right for one in course.check(space)}["who"]


def test_a_wrong_choice_says_what_the_right_one_is_still_worth(space):
    wrong = next(key for key in space.exercise.question("first").choices if key not in right(space, "first"))
    said = verdict(course.answer(space, "first", wrong))
    assert "the right answer has 2 now" in said
    assert course.answer(space, "first", right(space, "first")[0]).points == 2


def test_what_does_not_arise_is_not_asked_and_the_points_are_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = start("misconfigured_resource", seed=11, folder=tmp_path / "exercise")[0]
    arise, every = course.asked(made), {one.id for one in made.exercise.questions}
    assert every - arise.keys() == {"unalarmed"}
    assert round(sum(arise.values()), 2) == made.exercise.points["questions"]
    for name in ("answers.yaml", "exercise.ipynb"):
        told = (made.path / name).read_text(encoding="utf-8")
        assert "unalarmed" not in told
        assert f"({arise['first']:g} points" in told
    said = verdict(course.answer(made, "unalarmed", "logging"))
    assert "does not arise" in said
    assert "Right" not in said


def test_hints_come_one_by_one_and_cost_until_the_answer_costs_all(space):
    whole = course.asked(space)["stopped"]
    given = [course.hint(space, "stopped") for _ in range(4)]
    assert [one.level for one in given] == ["general", "the tool", "the query", "the answer"]
    assert sum(one.cost for one in given) == pytest.approx(whole, abs=0.05)
    assert right(space, "stopped")[0] in given[-1].text
    assert not [one for one in given[:3] if right(space, "stopped")[0][:16] in one.text]
    assert course.next_cost(space, "stopped") is None
    assert course.hint(space, "stopped").cost == 0  # the same again costs nothing more
    assert course.answer(space, "stopped", right(space, "stopped")[0]).points == 0
    course.hint(space, "who")
    answered = course.answer(space, "who", right(space, "who")[0])
    assert answered.points == pytest.approx(answered.out_of * 0.9, abs=0.01)


def test_trying_out_choices_costs_and_asking_twice_for_the_same_does_not(space):
    good = right(space, "first")[0]
    wrong = [key for key in space.exercise.question("first").choices if key != good]
    course.answer(space, "first", wrong[0])
    course.answer(space, "first", wrong[0])
    one = course.answer(space, "first", good)
    assert one.points == pytest.approx(one.out_of * 2 / 3, abs=0.01)


def tries(space, name):
    return space.progress()["tries"].get(name, 0)


def test_the_same_choice_in_other_words_is_one_try(space):
    words = space.exercise.question("first").choices["credentials"]
    for given in ("credentials", "CREDENTIALS", words, "cleanup", "credentials", words.lower().rstrip(".")):
        course.answer(space, "first", given)
    assert tries(space, "first") == 2


def test_a_set_of_choices_is_one_try_in_any_order_and_what_cannot_be_read_is_none(space):
    for given in (["user", "key"], "key, user", ["making a key for that user", "Making a user"], ["KEY", "user"]):
        assert not course.answer(space, "unalarmed", given).mark.right
    for given in ("secrts", "I do not know yet", ["key", "secrts"]):
        assert course.answer(space, "unalarmed", given).mark.says.startswith("Not counted")
    assert tries(space, "unalarmed") == 1
    assert right(space, "unalarmed") == ["key", "secrets"]
    good = course.answer(space, "unalarmed", ["making a key for that user", "reading secrets"])
    assert good.mark.right
    assert good.points == pytest.approx(good.out_of * 5 / 6, abs=0.01)


def test_tries_that_an_earlier_version_counted_still_count_and_the_last_is_known_again(space):
    old = {
        "tries": {"first": 2},
        "marks": {"first": {"given": "credentials", "share": 0, "at": "2026-01-01T00:00:00Z"}},
    }
    started = {key: value for key, value in space.progress().items() if key in ("exercise", "seed", "started")}
    (space.path / "progress.json").write_text(json.dumps(started | old), encoding="utf-8")
    course.answer(space, "first", "Credentials")
    assert tries(space, "first") == 2
    course.answer(space, "first", "cleanup")
    course.answer(space, "first", "credentials")
    assert tries(space, "first") == 3


def test_whoever_tries_all_choices_has_found_out_nothing(space):
    good = right(space, "first")[0]
    for key in space.exercise.question("first").choices:
        if key != good:
            course.answer(space, "first", key)
    assert course.answer(space, "first", good).points == 0


def test_after_a_right_answer_hints_and_tries_cost_nothing(space):
    course.hint(space, "who")
    good = right(space, "who")[0]
    before = course.answer(space, "who", good).points
    assert before == pytest.approx(course.asked(space)["who"] * 0.9, abs=0.01)
    assert course.next_cost(space, "who") == 0
    assert [course.hint(space, "who").cost for _ in range(3)] == [0, 0, 0]
    assert [one.cost > 0 for one in course.hints_given(space, "who")] == [True, False, False, False]
    course.answer(space, "who", "dev-nobody")
    assert course.answer(space, "who", good).points == before
    assert "hints and wrong tries cost the rest" in verdict(course.answer(space, "who", good))


def test_a_check_says_what_to_do_next(space):
    assert "cirt train check" in course.next_step(space, course.check(space))
    for one in course.check(space):
        good = right(space, one.question.id)
        course.answer(space, one.question.id, good if one.question.many else good[0])
    said = course.next_step(space, course.check(space))
    assert "cirt train account start" in said
    assert "--dir" not in said.partition(")")[0]  # that command takes the folder itself


def test_start_inside_an_exercise_goes_on_with_it(space, monkeypatch):
    monkeypatch.chdir(space.path / "case")
    again, before = start(NAME, seed=1)
    assert (again.path, before) == (space.path, True)
    with pytest.raises(TrainingError, match="you are in the exercise exposed_credentials with seed 1"):
        start(NAME, seed=2)
    assert not list(space.path.rglob("exercises"))


def test_answers_by_hand_with_comments_lists_and_odd_yaml(space):
    path = space.path / "answers.yaml"
    text = path.read_text(encoding="utf-8")
    keys = right(space, "still_alive")
    path.write_text(
        text.replace("still_alive: []", f"still_alive:   # mine\n  - {keys[0].lower()}\n  - '{keys[1]}'").replace(
            "door:", "door: 012345678901"
        ),
        encoding="utf-8",
    )
    found = {one.question.id: one for one in course.check(space)}
    assert 0 < found["still_alive"].mark.share < 1
    assert found["door"].given == "012345678901"  # no octal number
    course.answer(space, "still_alive", keys)
    course.answer(space, "who", 'a "quoted": thing #x')
    again = answer_file.read(path, space.exercise)
    assert again["still_alive"] == keys
    assert again["who"] == 'a "quoted": thing #x'
    assert path.read_text(encoding="utf-8").count("# ") >= text.count("# ")  # what was written around them stays


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("who: [a", "near line"),
        ("- a\n- b\n", "lines of the form"),
        ("whom: x\n", "answers whom, which is no question"),
        ("who: {a: b}\n", "put it in quotes"),
        ("who: x: y\n", "near line 1"),
        ("\x00", "not readable"),
    ],
)
def test_a_broken_answers_file_says_what_to_do(space, text, told):
    (space.path / "answers.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(TrainingError, match=told):
        course.check(space)
    assert (space.path / "answers.yaml").read_text(encoding="utf-8") == text  # nothing is lost


def test_a_second_start_goes_on_and_mends_what_is_gone(space):
    course.answer(space, "who", "dev-x")
    shutil.rmtree(space.path / "evidence" / "findings")
    (space.path / "story.md").unlink()
    (space.path / "case" / "case.yaml").unlink()
    (space.path / "notes.md").write_text("mine", encoding="utf-8")
    again, before = start(NAME, seed=1, folder=space.path)
    assert before
    assert (again.path / "evidence" / "findings" / "security_hub.json").is_file()
    assert "Your task" in (again.path / "story.md").read_text(encoding="utf-8")
    assert again.case().seeds
    assert (again.path / "notes.md").read_text(encoding="utf-8") == "mine"
    assert answer_file.read(again.path / "answers.yaml", again.exercise)["who"] == "dev-x"


def test_two_starts_at_once_make_one_exercise(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        made = pool.map(lambda _: start(NAME, seed=1, folder=tmp_path / "it"), range(2))
    assert sorted(before for _, before in made) == [False, True]


def test_reset_keeps_what_the_learner_wrote_whatever_is_damaged(space):
    course.answer(space, "who", "dev-x")
    course.hint(space, "session")
    (space.path / "my work.txt").write_text("mine", encoding="utf-8")
    (space.path / ".cirt-exercise").write_text("{", encoding="utf-8")
    shutil.rmtree(space.path / "case")
    (space.path / "case").write_text("a file where a folder was", encoding="utf-8")
    found = find(space.path)  # by its progress, as the marker is damaged
    kept = reset(found)
    assert {"answers.yaml", "my work.txt", "notes.md", "progress.json"} <= set(kept)
    assert found.case().seeds
    assert answer_file.read(found.path / "answers.yaml", found.exercise)["who"] == "dev-x"
    assert found.progress()["hints"] == {"session": 1}


def aside(space):
    """The cases that were put aside."""
    return sorted(space.path.glob("case.before-*"))


def test_reset_puts_a_case_aside_that_was_worked_in_and_says_where(space):
    add_note(space.case(), "the first call came from a train")
    decide(space.case(), "cleared", "ip:192.0.2.10", reason="our own proxy")
    said = []
    kept = reset(space, say=said.append)
    (old,) = aside(space)
    assert list(notes(load_case(old))["text"]) == ["the first call came from a train"]
    assert [one.reason for one in load_case(old).cleared] == ["our own proxy"]
    assert not space.case().cleared
    assert not (space.path / "case" / "out").exists()
    assert old.name in kept
    assert [line for line in said if old.name in line and "notes, decisions" in line]
    reset(space)
    assert aside(space) == [old], "a case that nobody worked in is not kept"


@pytest.mark.parametrize("begin_anew", [reset, lambda space: start(NAME, seed=1, folder=space.path)])
@pytest.mark.parametrize("damage", ["no case.yaml", "a file", "a link"])
def test_what_is_in_a_damaged_case_is_not_lost(space, begin_anew, damage):
    case = space.path / "case"
    add_note(space.case(), "mine")
    if damage == "no case.yaml":
        (case / "case.yaml").unlink()
    else:
        case.rename(space.path.parent / "elsewhere")
        case.write_text("mine") if damage == "a file" else case.symlink_to(space.path.parent / "gone")
    begin_anew(space)
    (old,) = aside(space)
    if damage == "no case.yaml":
        assert "mine" in (old / "out" / "notes.jsonl").read_text(encoding="utf-8")
    else:
        assert old.is_symlink() if damage == "a link" else old.read_text() == "mine"
    assert space.case().seeds


def test_edited_seeds_and_own_files_in_a_case_stay_and_two_resets_in_a_second_keep_both(space):
    for text in ("x", "y"):
        (space.path / "case" / "my query.sql").write_text(text, encoding="utf-8")
        reset(space)
    assert [(old / "my query.sql").read_text(encoding="utf-8") for old in aside(space)] == ["x", "y"]
    update_case(space.case(), "seeds", [{"access_key": "AKIAIOSFODNN7EXAMPLE"}])
    reset(space)
    assert [one.kind for one in load_case(aside(space)[-1]).seeds] == ["access_key"]


def test_a_damaged_progress_is_put_aside_and_the_folder_still_known(space):
    (space.path / "progress.json").write_text("[]", encoding="utf-8")
    assert space.progress()["hints"] == {}
    (space.path / "progress.json").write_text('{"hints": 3}', encoding="utf-8")
    assert space.progress()["hints"] == {}
    (space.path / "progress.json").write_text("{", encoding="utf-8")
    assert space.progress()["marks"] == {}
    assert (space.path / "progress.json.broken").is_file()
    assert find(space.path).seed == 1


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "[" * 100_000,
        '{"started": 5}',
        '{"hints": 3}',
        '{"hints": {"who": "x"}}',
        '{"hints": {"who": -1}}',
        '{"tries": {"first": null}}',
        '{"tries": {"first": 1' + "0" * 400 + "}}",
        '{"wrong": {"first": [1]}}',
        '{"marks": {"who": "x"}}',
        '{"settled": {"who": 5}}',
        '{"settled": {"who": {"hints": 1}}}',
    ],
)
def test_a_progress_that_is_damaged_anywhere_is_put_aside_which_is_said(space, capsys, text):
    (space.path / "progress.json").write_text(text, encoding="utf-8")
    assert not any(space.progress().values())
    assert (space.path / "progress.json.broken").read_text(encoding="utf-8") == text
    assert "progress.json was damaged and is put aside as progress.json.broken" in capsys.readouterr().err


def test_a_second_damaged_progress_does_not_replace_the_first(space):
    for _ in range(2):
        (space.path / "progress.json").write_bytes(b"\xff")
        assert course.hint(space, "who").number == 1
    assert len(list(space.path.glob("progress.json.broken*"))) == 2


def test_an_answer_that_is_no_text_is_graded_and_kept(space):
    for question in ("who", "unalarmed", "stopped"):
        course.answer(space, question, "x\udcff")
        course.answer(space, question, ["\udcff", "y"])
    (space.path / "progress.json").write_text(json.dumps({"marks": {"who": {"given": "\udcff"}}}), encoding="utf-8")
    course.hint(space, "who")
    assert space.progress()["marks"]["who"]["given"] == "\udcff"
    assert not [one for one in course.check(space) if one.mark.right]


def test_an_exercise_of_another_version_is_not_graded_against_another_incident(space):
    marker = space.path / ".cirt-exercise"
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"incident": "0123456789abcdef"}), encoding="utf-8")
    for act in (lambda: course.check(find(space.path)), lambda: start(NAME, seed=1, folder=space.path)):
        with pytest.raises(TrainingError, match=r"another version of cirtlib.*cirt train reset"):
            act()
    reset(find(space.path))
    assert course.check(find(space.path))


def test_wrong_places_are_refused_in_words(space, tmp_path):
    with pytest.raises(TrainingError, match="holds the exercise exposed_credentials with seed 1"):
        start(NAME, seed=2, folder=space.path)
    with pytest.raises(TrainingError, match="there is no exercise 'x'"):
        start("x", folder=tmp_path / "new")
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(TrainingError, match="holds files that are no exercise"):
        start(NAME, folder=other)
    with pytest.raises(TrainingError, match="is a file"):
        start(NAME, folder=other / "thesis.txt")
    with pytest.raises(TrainingError, match="no exercise is begun here"):
        find()
    with pytest.raises(TrainingError, match="holds no exercise"):
        find(other)


def test_the_notebook_is_a_notebook_with_a_field_for_each_question(space):
    content = json.loads((space.path / "exercise.ipynb").read_text(encoding="utf-8"))
    sources = ["".join(cell["source"]) for cell in content["cells"]]
    for question in space.exercise.questions:
        assert f'exercise.ask("{question.id}")' in sources
    ids = [cell["id"] for cell in content["cells"]]
    assert len(ids) == len(set(ids))
