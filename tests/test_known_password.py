"""A password from before the attack that the attacker signed in with: out of use, replaced, and told as a way in."""

import json
from datetime import timedelta

import pytest
from more_scenarios import scoped, small

from cirtlib import containment, impact, scope
from cirtlib.case import load_case
from cirtlib.containment.planning import build
from cirtlib.containment.runbook import runbook
from cirtlib.training.generator import generate
from tests import plan_sample as sample
from tests.plan_sample import HOME, START, USER, node

ADMIN = f"arn:aws:iam::{HOME}:user/admin"
ID = "AIDADANA000000000001"
SIGNED_IN = START + timedelta(hours=1)
SESSION = f"console:{ID}/{SIGNED_IN:%Y-%m-%dT%H:%M:%SZ}"


def plan_of(*acts, session=False, user=USER):
    """Plan after a sign-in and these (call, caller, verdict) about dana's password, an hour apart each.

    `session`: the scope has the attacker's console session.
    """
    events = sample.Log()
    events.add("s3:ListBuckets", who=user, verdict="", at=START - timedelta(days=3), key="")
    for hour, (call, who, verdict) in enumerate(acts, 1):
        request = {"userName": "dana"} if "LoginProfile" in call else None
        more = {"request": request} if request else {}
        events.add(call, who=who, verdict=verdict, at=START + timedelta(hours=hour), key="", principal_id=ID, **more)
    events.add("s3:GetObject", who=user, at=START + timedelta(minutes=70), key="ASIACONSOLE")
    nodes = [node("principal", user, "compromised")]
    edges = []
    if session:
        nodes.append(node("credential", SESSION.partition(":")[2], "compromised", prefix="console"))
        edges.append({"from": SESSION, "to": f"principal:{user}", "kind": "assumed", "evidence": ["e-used"]})
    return build(sample.incident(events=events, given={"nodes": nodes, "edges": edges}))


SIGN_IN = ("signin:ConsoleLogin", USER, "attacker")


def words(plan):
    return [step.id.partition("-")[2] for step in plan.steps]


def test_the_known_password_is_deleted_and_the_deny_waits_for_that():
    """The deny may go only when the password is gone and the sessions opened with it have run out."""
    plan = plan_of(SIGN_IN)
    assert words(plan) == ["deny", "delete-known-password"]
    deny, password = plan.steps
    assert password.why[0] == "e-002"
    assert password.rollback == "irreversible"
    assert deny.rollback["requires"] == [password.id]
    assert deny.rollback["not_before"] == {"step": password.id, "seconds": 36 * 3600}
    assert not deny.reopens
    assert "key" not in deny.rollback_note
    assert "a new password and an MFA device" in deny.rollback_note


def test_the_plan_tells_how_the_owner_comes_back_and_holds_no_password():
    """First a new password and an MFA device, then the deny goes; nothing in the plan is a secret."""
    plan = plan_of(SIGN_IN)
    password, deny = plan.recovery
    assert password["title"] == "New password and an MFA device for dana, then the deny may go"
    assert "PasswordResetRequired" in password["how"]
    assert deny["how"] == "`rollback.sh --execute --step 01-deny`"
    assert "36 hours have passed since 02-delete-known-password ran" in deny["when"]
    given = json.dumps([step.api["parameters"] for step in plan.steps])
    assert "Password" not in given
    text = runbook(plan)
    assert "dana cannot sign in to the console either, until given a new password" in text
    assert "**Not undone.** Nobody can put the old password back" in text


@pytest.mark.parametrize(
    ("acts", "session"),
    [
        ([("signin:ConsoleLogin", USER, "")], False),
        ([("signin:ConsoleLogin", USER, "")], True),  # the owner's own session, in the attacker's hands
        ([], False),
    ],
)
def test_no_password_goes_that_the_attacker_did_not_use(acts, session):
    """Somebody else's sign-in, or none, says nothing of the password; the deny would open what nothing closed."""
    plan = plan_of(*acts, session=session)
    assert words(plan) == ["deny"]
    assert plan.steps[0].reopens


def test_a_console_session_whose_beginning_is_not_recorded_began_with_the_password():
    """A session of an IAM user in the console, without its sign-in in the logs, shows as much."""
    plan = plan_of(session=True)
    assert words(plan) == ["deny", "delete-known-password"]
    assert plan.steps[1].why[0] == "e-used"


def test_a_password_that_the_attacker_set_is_one_step():
    """It is told as what the attacker made, not as known from before."""
    plan = plan_of(SIGN_IN, ("iam:UpdateLoginProfile", USER, "attacker"))
    assert words(plan) == ["deny", "delete-password"]
    assert plan.steps[0].rollback["requires"] == ["02-delete-password"]
    assert not plan.steps[0].reopens


@pytest.mark.parametrize("call", ["iam:UpdateLoginProfile", "iam:DeleteLoginProfile", "iam:ChangePassword"])
def test_a_password_that_was_changed_since_stays(call):
    """Its owner or an administrator was faster; where the record leaves doubt the plan says so first."""
    plan = plan_of(SIGN_IN, (call, USER if call == "iam:ChangePassword" else ADMIN, ""))
    assert words(plan) == ["deny"]
    assert not plan.steps[0].reopens
    doubts = [one for one in plan.warnings if "only asked for one at the next sign-in" in one]
    assert len(doubts) == (call == "iam:UpdateLoginProfile")


@pytest.mark.parametrize(
    "acts",
    [
        [SIGN_IN, ("iam:ChangePassword", USER, "attacker")],
        [SIGN_IN, ("iam:ChangePassword", USER, "unclear")],
        [SIGN_IN, ("iam:UpdateLoginProfile", ADMIN, ""), SIGN_IN],
    ],
)
def test_a_password_that_the_attacker_still_knows_goes(acts):
    """Changed by the attacker, perhaps by the attacker, or used again after it was changed."""
    assert "delete-known-password" in words(plan_of(*acts))


def test_the_owners_sign_ins_are_told_as_what_breaks():
    """The deny stops no sign-in; the missing password stops the attacker's and the owner's."""
    effect = plan_of(("signin:ConsoleLogin", USER, ""), SIGN_IN).effect
    stopped = {one["step"]: one["calls"] for one in effect["attacker"]["by_step"]}
    assert stopped["02-delete-known-password"] == 1
    broken = {one["step"]: one for one in effect["legitimate"]["broken"]}["02-delete-known-password"]
    assert (broken["services"], broken["calls"]) == (["signin"], 1)
    assert broken["until"] == "the owner is reached in person"


@pytest.fixture(scope="module")
def phished(tmp_path_factory):
    """The case of a small incident whose phished employee signs in as an IAM user, and its files and ARN."""
    folder = tmp_path_factory.mktemp("phished")
    scenario = small(folder / "scenario", "phished_console")
    for seed in range(1, 20):
        made = generate(scenario, seed=seed, out=folder / str(seed))
        truth = json.loads(made.truth.read_text())
        users = [one for one in truth["extent"] if one["kind"] == "principal" and one["status"] == "compromised"]
        first = min(users, key=lambda one: one["value"])["value"] if users else ""
        if users and all(":user/" in one["value"] for one in users):
            scoped(made, folder / "case")
            case = load_case(folder / "case")
            scope.write(case)
            return case, made, first
    raise AssertionError("no seed with an IAM user")


def test_the_known_password_is_a_way_that_is_still_open(phished):
    """`impact` lists it beside the key and the password that the attacker made."""
    case, _, _ = phished
    table = impact.impact(case).open
    (known,) = table[table["what"] == "password, known"].to_dict("records")
    assert known["state"] == "open"
    assert "no later record here changes it" in known["why"]
    made = set(table.loc[table["what"] == "login profile", "node"])
    assert known["node"] not in made


@pytest.mark.integration
def test_the_scripts_delete_it_and_the_deny_goes_only_after(phished, tmp_path):
    """Run, checked and undone on emulated accounts: the password stays gone, and the user comes back without it."""
    from cirtlib.training.account import serve
    from tests.script_run import Scripts
    from tests.warm_aws import warm

    case, made, _ = phished
    containment.write(case)
    state = json.loads((made.truth.parent / "state_after.json").read_text())
    with serve(state, tmp_path / "aws") as emulated, warm(tmp_path / "bin") as commands:
        run = Scripts(case.out / "plan", emulated, commands)
        (password,) = run.steps("delete-known-password")
        deny = next(one for one in run.steps("deny") if one["target"] == password["target"])

        def user(stage):
            users = run.states[stage]["accounts"][password["account"]]["users"]
            return next(one for one in users if one["Arn"] == password["target"])

        run.call("verify.sh", "--step", password["id"], stage="before")
        run.call("contain.sh", "--wait", "0", stage="contained")
        run.call("verify.sh", stage="verified")
        run.call("rollback.sh", "--step", deny["id"], stage="too early")
        run.age(37 * 3600)
        run.call("rollback.sh", "--step", deny["id"], stage="back")
    assert (run.codes["before"], run.codes["contained"], run.codes["verified"]) == (1, 0, 0), run.said["contained"]
    assert user("attacked")["login_profile"]
    assert not user("contained")["login_profile"]
    denied = {stage: bool(user(stage)["attached"]) for stage in ("contained", "too early", "back")}
    assert denied == {"contained": True, "too early": True, "back": bool(user("attacked")["attached"])}
    assert not user("back")["login_profile"]
