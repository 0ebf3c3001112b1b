"""One session instead of a whole identity: offered only when every door is closed, and what evades it is said."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from cirtlib.containment.planning import build
from tests import plan_sample as sample
from tests.plan_sample import DEV, FOREIGN, LEAKED, MADE, PARTNER, SESSION, START, USER

ROLE_ID = "AROADEV0000000000001"
SIGN_IN = "arn:aws:signin:us-east-1:111122223333:session/0a1b2c3d"


def log(**session):
    """The attack, with the ids of the attacker's session in its records."""
    events = sample.log()
    for row in events.rows:
        if row["access_key_id"] == SESSION:
            row.update({"principal_id": f"{ROLE_ID}:thief", **session})
    return events


def built(events):
    frame = events.events()
    for name in ("principal_id", "source_identity", "sign_in_session"):
        frame[name] = [row.get(name) for row in events.rows]
    return build(replace(sample.incident(events=events), events=frame))


def step(plan, word, target):
    return next(one for one in plan.steps if one.key.split(" ")[0] == word and one.target == target)


def condition(alternative):
    (statement,) = json.loads(alternative["api"]["parameters"]["PolicyDocument"])["Statement"]
    assert (statement["Effect"], statement["Action"], statement["Resource"]) == ("Deny", "*", "*")
    return statement["Condition"]


def test_one_session_once_the_doors_are_closed():
    """On deny and revocation: the session by its id, after the key, the user's denial and the trust policy."""
    plan = built(log())
    for word in ("deny", "revoke"):
        (offered,) = step(plan, word, DEV).alternatives
        assert condition(offered) == {"StringEquals": {"aws:userid": [f"{ROLE_ID}:thief"]}}
        assert offered["api"]["operation"] == "PutRolePolicy"
        for door in (step(plan, "key", USER), step(plan, "deny", USER)):
            assert door.id in offered["only_when"]
        assert "another session name" in offered["evaded_by"]
    assert step(plan, "revoke-again", DEV).alternatives == ()


def test_source_identity_and_sign_in_session():
    """A source identity and a sign-in session are each a way of their own."""
    plan = built(log(source_identity="mallory", sign_in_session=SIGN_IN))
    keys = [next(iter(condition(one)["StringEquals"])) for one in step(plan, "deny", DEV).alternatives]
    assert keys == ["aws:userid", "aws:SourceIdentity", "aws:SignInSessionArn"]


def test_not_offered_while_a_door_stands_open():
    """An entrance that no step closes, or that the logs do not show, leaves only the whole denial."""
    events = log()
    for row in events.rows:
        if row["principal"] == PARTNER:
            row["principal_id"] = "AROAPARTNER000000001:hop"
    assert step(built(events), "deny", PARTNER).alternatives
    stranger = f"{FOREIGN}:AIDASTRANGER00000001"
    events.add("sts:AssumeRole", who=stranger, key=None, minted_principal=PARTNER, request={"roleArn": PARTNER})
    assert step(built(events), "deny", PARTNER).alternatives == ()
    unseen = log()
    unseen.rows = [row for row in unseen.rows if row["minted_principal"] != DEV]
    assert step(built(unseen), "deny", DEV).alternatives == ()


def test_a_foreign_door_is_closed_by_the_trust_policy():
    """Who came in by the trust policy that is put back is kept out by that step."""
    events = log()
    stranger = f"{FOREIGN}:AIDASTRANGER00000001"
    events.add("sts:AssumeRole", who=stranger, key=None, minted_principal=DEV, request={"roleArn": DEV})
    plan = built(events)
    (offered,) = step(plan, "deny", DEV).alternatives
    assert step(plan, "trust", DEV).id in offered["only_when"]


def test_a_session_that_others_share_is_said():
    """Where others used the same session name before the attack, the offer says that they stop as well."""
    events = log()
    events.add("s3:ListBuckets", verdict="", at=START - timedelta(days=1), session_name="thief", key="ASIAOTHER1")
    (offered,) = step(built(events), "deny", DEV).alternatives
    assert "Sessions named thief are of others too" in offered["only_when"]


@pytest.mark.parametrize("evil", ["AROA1:${aws:username}", "AROA1:*", 'AROA1:"x'])
def test_nothing_but_plain_ids_goes_into_a_document(evil):
    """A value that IAM would read as a variable or that is no session's name makes no offer."""
    assert step(built(log(principal_id=evil)), "deny", DEV).alternatives == ()


def test_a_user_by_its_sign_in_session():
    """A user's console session alone is denied only where keys and password are dealt with."""
    events = sample.log()
    made = {"who": MADE, "key": None, "sign_in_session": SIGN_IN, "user_name": "helper"}
    events.add("iam:ListUsers", **made)
    plan = built(events)
    (offered,) = step(plan, "deny", MADE).alternatives
    assert condition(offered) == {"StringEquals": {"aws:SignInSessionArn": [SIGN_IN]}}
    assert step(plan, "login", MADE).id in offered["only_when"]
    theirs = sample.log()
    theirs.add("iam:ListUsers", **made | {"who": USER, "key": LEAKED})
    assert step(built(theirs), "deny", USER).alternatives == ()
