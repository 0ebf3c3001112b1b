"""The journal of the practice account is read back as it was written, whatever stands in it and however it ended."""

import json

import pytest

pytest.importorskip("moto")

from cirtlib.errors import TrainingError
from cirtlib.training.practice.journal import Journal, hidden

CALL = {
    "account": "111122223333", "region": "us-east-1", "key": "ASIAEXAMPLE", "caller": "me", "service": "iam",
    "operation": "TagUser", "ruling": "allowed", "by": "", "status": 200, "raw": {"method": "POST"},
}  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.jsonl"


def noted(path, *values):
    """A journal of one call for each value."""
    journal = Journal(path)
    for value in values:
        journal.note(parameters={"Value": value}, **CALL)
    return journal


@pytest.mark.parametrize(
    "value", ["a\u2028b", "a\u2029b", "a\u0085b", "a\x0bb\x0c\x1c", "a\nb\r", "caf\u00e9", "a\udcffb"]
)
def test_any_text_comes_back_on_one_line(path, value):
    noted(path, "before", value, "after")
    assert [one.parameters["Value"] for one in Journal(path).entries] == ["before", value, "after"]


def test_a_journal_of_an_earlier_version_is_read(path):
    """It was written in UTF-8, with separators of lines as they were."""
    noted(path, "before", "after")
    path.write_text(path.read_text().replace("before", "be\u2028fore"), encoding="utf-8")
    assert [one.parameters["Value"] for one in Journal(path).entries] == ["be\u2028fore", "after"]


def test_a_line_that_was_cut_short_is_left_out_and_spoils_nothing_after_it(path):
    noted(path, "one", "two")
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"number": 3, "at"')
    again = Journal(path)
    assert (len(again.entries), again.cut, path.read_bytes()) == (2, '{"number": 3, "at"', whole)
    for value in ("three", "four"):
        again.note(parameters={"Value": value}, **CALL)
    last = Journal(path)
    assert [(one.number, one.parameters["Value"]) for one in last.entries] == [
        (1, "one"), (2, "two"), (3, "three"), (4, "four"),
    ]  # fmt: skip
    assert last.cut == ""


def test_a_whole_last_line_without_its_end_is_kept(path):
    noted(path, "one", "two")
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    again = Journal(path)
    again.note(parameters={"Value": "three"}, **CALL)
    assert [one.parameters["Value"] for one in Journal(path).entries] == ["one", "two", "three"]
    assert again.cut == ""


def test_a_broken_line_in_the_middle_is_said_and_nothing_is_cut(path):
    noted(path, "one", "two")
    first, second = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([first, json.dumps("no call").encode(), second]) + b"\n")
    before = path.read_bytes()
    with pytest.raises(TrainingError, match="line 2"):
        Journal(path)
    assert path.read_bytes() == before


def test_an_empty_journal_and_none_are_the_same(path):
    assert Journal(path).entries == []
    path.write_bytes(b"")
    assert (Journal(path).entries, Journal(path).cut) == ([], "")


def test_secrets_are_left_out_and_options_are_not():
    given = {"HttpTokens": "required", "SecretId": "prod/db", "SecretString": "x", "Password": "x", "UserName": "dev"}
    assert {key for key, value in hidden(given).items() if value == "(not kept)"} == {"SecretString", "Password"}
