"""Answers of learners: every spelling that means the right thing is understood, what means nothing is explained."""

from types import SimpleNamespace

import pytest

from cirtlib.training.exercise import marking
from cirtlib.training.exercise.model import Mistake, Question
from cirtlib.training.exercise.spelling import KINDS, Unclear, canonical, parts

ROLE = "arn:aws:iam::111122223333:role/team/devRole"
USER = "arn:aws:iam::111122223333:user/dev-ann"
EVENT = "8baf3544-9874-4247-b275-ceac83172384"


def record():
    """As much of an incident as spelling needs: two accounts with a role, a user, and a name that is in both."""
    twice = [{"Arn": f"arn:aws:iam::{account}:role/Audit"} for account in ("111122223333", "444455556666")]
    accounts = {
        "111122223333": {"users": [{"Arn": USER}], "roles": [{"Arn": ROLE}, twice[0]]},
        "444455556666": {"users": [], "roles": [twice[1]]},
    }
    other = EVENT.replace("8baf3544", "8baf3545")
    identity = {"userIdentity": {"type": "IAMUser", "arn": USER}, "eventName": "StopLogging"}
    return SimpleNamespace(
        before={"accounts": accounts},
        after={"accounts": accounts},
        events={(EVENT, "111122223333"): identity, (other, "111122223333"): identity},
    )


@pytest.mark.parametrize(
    ("kind", "typed", "meant"),
    [
        ("principal", "arn:aws:iam::111122223333:role/team/devRole", ROLE),
        ("principal", "arn:aws:iam::111122223333:role/devRole", ROLE),  # without its path
        ("principal", "arn:aws:sts::111122223333:assumed-role/devRole/botocore-session-1", ROLE),
        ("principal", "devRole", ROLE),
        ("principal", " devrole ", ROLE),
        ("principal", "devRole/botocore-session-1", ROLE),
        ("principal", "role/team/devRole", ROLE),
        ("principal", "user dev-ann", USER),
        ("principal", '"dev-ann".', USER),
        ("principal", "arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:root"),
        ("access_key", "akia 1234 5678 90ab CDEF", "AKIA1234567890ABCDEF"),
        ("access_key", "`ASIA1234567890ABCDEF`", "ASIA1234567890ABCDEF"),
        ("address", "192.0.2.10/32", "192.0.2.10"),
        ("address", "2001:DB8:0::1", "2001:db8::1"),
        ("time", "2026-06-23T11:54:15Z", "2026-06-23T11:54:15+00:00"),
        ("time", "2026-06-23 11:54:15", "2026-06-23T11:54:15+00:00"),
        ("time", "2026-06-23 13:54:15 +02:00", "2026-06-23T11:54:15+00:00"),
        ("time", "2026-06-23 11:54 UTC", "2026-06-23T11:54:00+00:00"),
        ("event", EVENT.upper(), EVENT),
        ("event", "8baf3544", EVENT),
        ("account", "1111-2222-3333", "111122223333"),
        ("region", "EU_Central-1", "eu-central-1"),
        ("resource", "arn:aws:ec2:us-east-1::snapshot/snap-0A", "snap-0a"),
        ("resource", "snap-0a", "snap-0a"),
        ("instance", "arn:aws:ec2:us-east-1:111122223333:instance/i-0123456789abcdef0", "i-0123456789abcdef0"),
        ("bucket", "s3://Amzn-Logs/AWSLogs/", "amzn-logs"),
        ("control", "security-control/ec2.19", "EC2.19"),
        ("control", "EC2 19", "EC2.19"),
        ("call", "cloudtrail:stoplogging", "StopLogging"),
        ("call", "iam.NeverCalled", "nevercalled"),
        ("number", "about 1,234 events", "1234"),
        ("number", "1 234 567 events", "1234567"),
        ("number", "1\u2019234.5", "1234.5"),
        ("number", "-5", "-5"),
        ("number", "\u22125", "-5"),
        ("number", ".5", "0.5"),
        ("number", "12 %.", "12"),
        ("text", "  Two   Words", "two words"),
    ],
)
def test_another_spelling_is_understood(kind, typed, meant):
    assert canonical(kind, typed, record()) == meant


@pytest.mark.parametrize(
    ("kind", "typed", "told"),
    [
        ("principal", "Audit", "names 2 of them: arn:"),
        ("principal", "nobody", "no user or role"),
        ("access_key", "BKIA1234", "begins with AKIA or ASIA"),
        ("address", "198.51.100.0/24", "without port or network"),
        ("time", "11:54", "without a date"),
        ("time", "2026-06-23 13:54 CEST", "by a word"),
        ("time", "yesterday", "not a time"),
        ("event", "8baf354", "first 8 characters"),
        ("account", "prod", "12 digits"),
        ("region", "Frankfurt", "eu-central-1"),
        ("instance", "i-xyz", "hexadecimal"),
        ("control", "nineteen", "Config.1"),
        ("number", "many", "digits"),
        ("number", "-", "digits"),
        ("number", "about" + " " * 1900 + "!", "digits"),
        ("number", "2,5", "several ways; write a point before decimals, as 2.5"),
        ("number", "2 5", "several ways"),
        ("number", "0,500", "several ways"),
        ("number", ",5", "several ways"),
        ("number", "12,34,567", "several ways"),
        ("time", "0001-01-01T00:00:00+05:00", "is the year right"),
        ("time", "9999-12-31T23:59:59-05:00", "is the year right"),
        ("text", "   ", "empty"),
        ("text", "x" * 3000, "longer"),
    ],
)
def test_what_means_nothing_is_explained(kind, typed, told):
    with pytest.raises(Unclear, match=told):
        canonical(kind, typed, record())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "typed", ["<script>alert(1)</script>", "a\x00b", "'; DROP TABLE events; --", "\u202eevil", "٣", "[]", "{}"]
)
def test_hostile_text_is_no_crash(kind, typed):
    try:
        assert isinstance(canonical(kind, typed, record()), str)
    except Unclear as unclear:
        assert "\u202e" not in str(unclear)
        assert "\x00" not in str(unclear)


def test_sets_are_taken_apart():
    assert parts("a, b;c\nd") == ["a", "b", "c", "d"]
    assert parts("AKIA12 i-0a1") == ["AKIA12", "i-0a1"]
    assert parts("no key was used") == ["no key was used"]
    assert parts(["x", " ", "y"]) == ["x", "y"]


TRUTH = {
    "who": USER,
    "times": "2026-06-23T11:54:15Z",
    "keys": ["AKIA1234567890ABCDEF", "AKIA1234567890ABCDEG"],
    "owner": ROLE,
    "best": "b",
    "both": ["key", "secrets"],
    "none": None,
}


@pytest.fixture
def resolved(monkeypatch):
    monkeypatch.setattr(marking, "resolve", lambda name, _: TRUTH[name])


def graded(given, **changes):
    question = Question(**({"id": "q", "ask": "?", "kind": "principal", "answer": "who", "points": 5} | changes))
    return marking.mark(question, given, record())


@pytest.mark.usefixtures("resolved")
def test_why_a_wrong_answer_is_wrong_without_giving_the_right_one():
    found = graded("devRole", mistakes=(Mistake("owner", "That role is only what they used."),))
    assert (found.share, found.says) == (0, "That role is only what they used.")
    other = graded("arn:aws:iam::111122223333:user/other")
    assert other.share == 0
    assert "dev-ann" not in other.says
    assert graded("dev-ann", because="It is hers.").says == "It is hers."


@pytest.mark.usefixtures("resolved")
def test_local_time_is_recognised_and_tolerance_holds():
    ask = {"kind": "time", "answer": "times", "tolerance": 60}
    assert graded("2026-06-23 11:55:00", **ask).right
    assert graded("2026-06-23 11:54", **ask).right
    local = graded("2026-06-23 13:54:15", **ask)
    assert not local.right
    assert "your own zone" in local.says
    assert "too early" in graded("2026-06-23 11:33", **ask).says


@pytest.mark.usefixtures("resolved")
def test_a_set_is_graded_by_precision_and_recall():
    ask = {"kind": "access_key", "answer": "keys", "many": True}
    assert graded("AKIA1234567890ABCDEF AKIA1234567890ABCDEG", **ask).right
    assert graded("AKIA1234567890ABCDEF,AKIA1234567890ABCDEF", **ask).share == pytest.approx(0.667)
    mixed = graded(["AKIA1234567890ABCDEF", "AKIA0000000000000000"], **ask)
    assert mixed.share == pytest.approx(0.5)
    assert "AKIA0000000000000000" in mixed.says
    assert "missing" in mixed.says
    assert "AKIA1234567890ABCDEG" not in mixed.says


@pytest.mark.usefixtures("resolved")
def test_a_choice_by_its_key_or_its_words():
    ask = {"kind": "choice", "answer": "best", "choices": {"a": "Delete the role.", "b": "Revoke the sessions."}}
    assert graded("B", **ask).right
    assert graded("revoke the sessions", **ask).right
    assert not graded("a", **ask).right
    assert not graded("c", **ask).understood


SEVERAL = {
    "kind": "choice",
    "answer": "both",
    "many": True,
    "choices": {"key": "making a key", "Secrets": "reading secrets, or parameters.", "user": "making a user"},
}


@pytest.mark.usefixtures("resolved")
@pytest.mark.parametrize(
    "given",
    [
        ["making a key", "reading secrets, or parameters"],
        ["KEY,", " 'Secrets' "],
        "secrets; Making a  key.",
        ["secrets", "key", "Reading secrets, or parameters."],
    ],
)
def test_several_choices_by_their_keys_or_words_in_any_order(given):
    found = graded(given, **SEVERAL)
    assert (found.right, found.meant) == (True, "key, secrets")


@pytest.mark.usefixtures("resolved")
def test_one_of_several_choices_may_have_commas_in_its_words():
    assert graded("reading secrets, or parameters", **SEVERAL).meant == "secrets"


@pytest.mark.usefixtures("resolved")
@pytest.mark.parametrize("given", [["key", "secrts"], "I do not know yet", "key secrets", ["key", "x" * 3000], ["()"]])
def test_several_choices_of_which_one_cannot_be_read_do_not_count(given):
    found = graded(given, **SEVERAL)
    assert not found.understood
    assert "none of the choices" in found.says
    assert "key, Secrets, user; several with commas between" in found.says
    assert len(found.says) < 300


def test_choices_in_words_are_known_again_where_they_are_ticked():
    several = Question(id="q", ask="?", points=5, **SEVERAL)
    assert marking.chosen(several, "making a KEY, what?") == ["key"]
    assert marking.chosen(several, ["reading secrets, or parameters", "user"]) == ["Secrets", "user"]
    assert marking.chosen(several, "") == []


@pytest.mark.usefixtures("resolved")
def test_what_cannot_be_read_does_not_count_nor_does_what_does_not_arise():
    assert not graded("Audit").understood
    assert not graded("anything", answer="none").understood
    assert not graded("anything", answer="none").right
