"""Tables reach a terminal or a file whole, and nothing in them is obeyed."""

import csv
import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from cirtlib.errors import CirtError
from cirtlib.terminal import ROWS_SHOWN, Format, say, show, show_answer, show_json, warn

HOSTILE = "curl\x1b[2J\u202e [red]x[/red] https://example.com/" + "a" * 300


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "event_time": pd.to_datetime(["2026-06-10T01:02:03Z", None], utc=True),
            "user_agent": [HOSTILE, "=cmd()"],
            "mfa": pd.array([True, None], dtype="boolean"),
            "resources": [[{"arn": "arn:aws:s3:::x"}], []],
            "count": [-1, 2],
        }
    )


def test_a_table_shows_everything_and_obeys_nothing(frame: pd.DataFrame, capsysbinary: pytest.CaptureFixture) -> None:
    """No escape reaches the terminal, markup is text, a long value is not cut off, missing is empty."""
    show(frame, title="a\x07title")
    out = capsysbinary.readouterr().out.decode()
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "\x07" not in out
    assert r"curl\u001b[2J\u202e [red]x[/red] https://example.com/" + "a" * 300 in out
    assert "2026-06-10T01:02:03Z" in out
    assert "NaT" not in out
    assert "<NA>" not in out


def test_a_long_table_says_that_it_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """What is left out is said on stderr; an empty table says so too."""
    show(pd.DataFrame({"n": range(ROWS_SHOWN + 5)}))
    shown = capsys.readouterr()
    assert f"{ROWS_SHOWN - 1}" in shown.out
    assert f"the first 1,000 of {ROWS_SHOWN + 5:,} rows" in shown.err
    show(pd.DataFrame({"n": []}))
    assert "no rows" in capsys.readouterr().err


@pytest.fixture
def on_terminal(capsys, monkeypatch):
    """What a terminal of so many columns shows, line by line, and what is said beside it."""

    def shown(width: int, frame: pd.DataFrame, how=show, **more) -> tuple[list[str], str]:
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        how(frame, **more)
        said = capsys.readouterr()
        return re.sub(r"\x1b\[\d*m", "", said.out).splitlines(), said.err

    return shown


@pytest.fixture
def nodes() -> pd.DataFrame:
    arn = "arn:aws:iam::111122223333:user/a-name-of-some-length"
    moment = pd.Timestamp("2026-06-10T01:02:03Z")
    return pd.DataFrame(
        {"status": ["attacker_created"], "kind": ["credential"], "value": [arn], "account": ["111122223333"],
         "confidence": ["certain"], "first_seen": [moment], "last_seen": [moment]}
    )  # fmt: skip


def test_a_narrow_terminal_leaves_columns_out_and_folds_no_word_of_status(on_terminal, nodes) -> None:
    """Spare columns give way in their order, as few as need be, and are named; a wide terminal and a pipe have all."""
    spare = ("account", "last_seen")
    lines, said = on_terminal(115, nodes, spare=spare)
    assert max(map(len, lines)) <= 115
    assert lines[0].split() == ["status", "kind", "value", "confidence", "first_seen", "last_seen"]
    assert "not shown: account; --format json or csv gives every column whole" in said
    for word in ("attacker_created", "credential", "certain", "2026-06-10T01:02:03Z"):
        assert any(re.search(rf"(^| ){word}( |$)", line) for line in lines), word
    value = slice(lines[0].index("value"), lines[0].index("confidence"))
    assert "".join(line[value].strip() for line in lines[2:]) == nodes["value"][0]
    assert on_terminal(100, nodes, spare=spare)[0][0].split() == ["status", "kind", "value", "confidence", "first_seen"]
    assert on_terminal(170, nodes, spare=spare) == (on_terminal(170, nodes)[0], "")


def test_a_pipe_has_every_spare_column(nodes, capsys) -> None:
    """There a table is as wide as it needs to be."""
    show(nodes, spare=("account", "last_seen"))
    shown = capsys.readouterr()
    assert shown.out.split("\n")[0].split() == list(nodes.columns)
    assert shown.err == ""


def test_a_person_sees_the_brief_table_and_a_file_the_whole(frame, tmp_path, capsys) -> None:
    """What the brief one lacks is named, with the way to it."""
    show(frame, brief=frame[["event_time", "count"]])
    shown = capsys.readouterr()
    assert shown.out.split("\n")[0].split() == ["event_time", "count"]
    assert "not shown: user_agent, mfa, resources; --format json or csv" in shown.err
    show(frame, Format.CSV, brief=frame[["count"]], out=tmp_path / "t.csv")
    assert list(pd.read_csv(tmp_path / "t.csv")) == list(frame.columns)


def test_json_holds_the_values_and_only_ascii(frame: pd.DataFrame, capsysbinary: pytest.CaptureFixture) -> None:
    """The value is exact, its control characters are JSON escapes."""
    show(frame, Format.JSON)
    data = capsysbinary.readouterr().out
    assert data.isascii()
    assert b"\x1b" not in data
    rows = json.loads(data)
    assert rows[0]["user_agent"] == HOSTILE
    assert rows[0]["resources"] == [{"arn": "arn:aws:s3:::x"}]
    assert rows[0]["event_time"] == "2026-06-10T01:02:03.000Z"
    assert rows[1]["mfa"] is None


def test_csv_holds_no_formula_and_no_escape(frame: pd.DataFrame, capsysbinary: pytest.CaptureFixture) -> None:
    """A spreadsheet runs nothing; numbers stay numbers."""
    show(frame, Format.CSV)
    data = capsysbinary.readouterr().out.decode()
    assert "\x1b" not in data
    rows = list(csv.DictReader(io.StringIO(data)))
    assert rows[1]["user_agent"] == "'=cmd()"
    assert rows[0]["count"] == "-1"
    assert json.loads(rows[0]["resources"]) == [{"arn": "arn:aws:s3:::x"}]


def test_parquet_goes_to_a_file_with_its_types(
    frame: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times stay aware; a terminal is spared the bytes; a file that cannot be written is said."""
    show(frame, Format.PARQUET, out=tmp_path / "t.parquet")
    back = pd.read_parquet(tmp_path / "t.parquet")
    assert str(back["event_time"].dt.tz) == "UTC"
    assert back["user_agent"][0] == HOSTILE
    assert "2 rows" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with pytest.raises(CirtError, match="--out"):
        show(frame, Format.PARQUET)
    with pytest.raises(CirtError, match="cannot write"):
        show(frame, Format.CSV, out=tmp_path / "nowhere" / "t.csv")


def test_messages_are_cleaned(capsys: pytest.CaptureFixture[str]) -> None:
    """A message may quote a log; its line breaks are ours."""
    say("two\nlines \x1b[1m")
    warn("\x9b bell\x07")
    show_json({"when": pd.Timestamp("2026-06-10", tz="UTC"), "what": "\u202e"})
    shown = capsys.readouterr()
    assert shown.out.startswith("two\nlines \\u001b[1m\n{")
    assert json.loads(shown.out.split("\n", 2)[2])["what"] == "\u202e"
    assert shown.err == "\\u009b bell\\u0007\n"


@pytest.fixture
def answer() -> pd.DataFrame:
    """A row of a question with more columns than a terminal has room for."""
    arn = "arn:aws:iam::111122223333:role/work/devRole"
    finding = "arn:aws:guardduty:us-east-1:111122223333:detector/1c84/finding/9e70170468cc373e"
    row = {"finding_id": finding, "principal": arn, "event_ids": ["a" * 36, "b" * 36, "c" * 36],
           "resources": [{"arn": arn, "type": "x"}, {"arn": "other"}], "request": "{" + "x" * 400 + "}"}  # fmt: skip
    return pd.DataFrame([row | {f"more_{number}": "some words here" for number in range(12)}])


def test_an_answer_on_a_narrow_terminal_is_read_in_a_few_lines(on_terminal, answer) -> None:
    """Names for ARNs, numbers for ids, the beginning of long texts; what gives way is named, and how to see all."""
    lines, said = on_terminal(120, answer, show_answer, spare=("resources",))
    assert len(lines) <= 4 and max(map(len, lines)) <= 120
    assert [word in lines[2] for word in ("finding 9e701704", "role devRole", "3 ids")] == [True] * 3
    left = [name for name in answer if name not in lines[0]]
    assert "resources" in left and "more_11" in left and "principal" not in left
    assert f"not shown: {', '.join(left)}; --format json or csv" in said
    assert "values are shortened" in said
    lines, said = on_terminal(300, answer[["finding_id", "principal"]], show_answer)
    assert answer["finding_id"].iloc[0] in lines[2] and said == ""
    lines, _ = on_terminal(60, answer[["resources", "request"]], show_answer)
    assert "role devRole +1 more" in lines[2]


def test_an_answer_in_a_pipe_or_a_file_is_whole(answer, capsysbinary, tmp_path) -> None:
    """Shortening is for the eye alone."""
    show_answer(answer)
    assert answer["request"].iloc[0].encode() in capsysbinary.readouterr().out
    show_answer(answer, Format.CSV, out=tmp_path / "a.csv")
    assert next(csv.DictReader((tmp_path / "a.csv").open()))["principal"] == answer["principal"].iloc[0]
