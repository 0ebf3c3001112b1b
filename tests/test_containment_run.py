"""The plan of the training incident, run with the AWS CLI against emulated accounts that hold its state."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cirtlib import containment, scope
from cirtlib.case import load_case
from tests.accounts_seen import changes
from tests.script_run import Scripts, expected
from tests.warm_aws import warm

pytestmark = pytest.mark.integration
DENY, REVOKE = "arn:aws:iam::aws:policy/AWSDenyAll", "AWSRevokeOlderSessions"


def cut_off(role):
    return role["inline"][REVOKE]["Statement"][0]["Condition"]["DateLessThan"]["aws:TokenIssueTime"]


class Run(Scripts):
    """The plan's scripts, and what is true of the incident."""

    def __init__(self, truth, before, *given):
        super().__init__(*given, regions=("us-east-1", "ap-northeast-3"))
        self.truth, self.before, self.idle = truth, before, []
        self.values = {(one["kind"], one["value"]) for one in truth["extent"]}

    def find(self, stage, kind, arn):
        """User or role with this ARN at a stage."""
        accounts = self.states[stage]["accounts"].values()
        return next(one for account in accounts for one in account.get(kind, []) if one["Arn"] == arn)

    def in_extent(self, kind):
        return sorted(value for node_kind, value in self.values if node_kind == "principal" and f":{kind}/" in value)


@pytest.fixture(scope="module")
def run(incident, tmp_path_factory):
    from cirtlib.training.account import serve
    from cirtlib.training.account_state import backend, read

    case, truth = incident
    hidden = Path((case.path.parent / "made").read_text()).parent
    after = json.loads((hidden / "state_after.json").read_text())
    before = json.loads((hidden / "state_before.json").read_text())
    work = tmp_path_factory.mktemp("containment")
    shutil.copytree(case.path, work / "case", symlinks=True)
    case = load_case(work / "case")
    scope.write(case)
    containment.write(case)
    seen = {}

    def watch(request):
        if not changes_something(request):
            return
        now = json.dumps(read(list(after["accounts"])), sort_keys=True)
        if now == seen.get("state"):
            result.idle.append(request)
        seen["state"] = now

    with serve(after, work / "aws", watch=watch) as emulated, warm(work / "bin") as commands:
        result = Run(truth, before, case.out / "plan", emulated, commands)
        seen["state"] = json.dumps(result.states["attacked"], sort_keys=True)
        first = [step["id"] for step in result.plan["steps"] if step["account"]][:2]
        few = [option for step_id in first for option in ("--step", step_id)]
        result.call("verify.sh", *few, stage="not yet")
        role = next(one for one in result.in_extent("role") if "devRole" in one)
        backend("sts", role.split(":")[4]).assume_role("us-east-1", "thief", role, "", 3600, "")
        result.minted = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        result.call("contain.sh", "--wait", "0", stage="contained")
        result.requests = [one for one in emulated.requests if changes_something(one)]
        result.call("verify.sh", stage="verified")
        result.call("rollback.sh", stage="rolled back")
        result.age(37 * 3600)
        result.call("rollback.sh", stage="long after")
        result.call("rollback.sh", "--reopen-attacker-access", stage="reopened")
    return result


def changes_something(request):
    return not request.split(" ")[1].startswith(("Get", "List", "Describe"))


def test_contained(run):
    """contain.sh ends well; verify.sh fails before it and passes after it."""
    assert run.codes["contained"] == 0, run.said["contained"][-3000:]
    assert run.codes["not yet"] == 1
    assert run.codes["verified"] == 0, run.said["verified"][-3000:]
    assert changes(run.seen["contained"], run.seen["verified"]) == {}


def test_each_step_changed_something(run):
    """Every change that was asked for changed the state of the accounts."""
    assert run.idle == []
    assert len(run.requests) == len(run.plan["steps"])


def test_trail_is_logging(run):
    """The trail that the attacker stopped is on, as is every other."""
    trails = [one for account in run.states["contained"]["accounts"].values() for one in account["trails"]]
    assert run.truth["logging"]["trail"] in {one["TrailARN"] for one in trails if one["IsLogging"]}
    assert all(one["IsLogging"] for one in trails)


def test_keys_are_inactive(run):
    """Every long-term key of the extent is Inactive, and no other."""
    keys = {
        key["AccessKeyId"]: key["Status"]
        for account in run.states["contained"]["accounts"].values()
        for user in account["users"]
        for key in user["keys"]
    }
    bad = {value for kind, value in run.values if kind == "credential" and value.startswith("AKIA")}
    assert bad
    assert {key for key, status in keys.items() if status == "Inactive"} == bad


def test_roles_are_denied_and_revoked(run):
    """Each role that the attacker held is denied everything, and its sessions from before the run are revoked."""
    held = {one["value"] for one in run.truth["extent"] if one["status"] == "compromised"}
    roles = [arn for arn in run.in_extent("role") if arn in held]
    assert any("devRole" in arn for arn in roles)
    assert len({arn.split(":")[4] for arn in roles}) == 2
    for arn in roles:
        role = run.find("contained", "roles", arn)
        assert DENY in role["attached"]
        assert cut_off(role) >= run.minted


def test_trust_is_as_before_the_attack(run):
    """Every trust policy is what it was before the attack."""
    for account, content in run.states["contained"]["accounts"].items():
        trusts = {role["Arn"]: role["trust"] for role in run.before["accounts"][account]["roles"]}
        for role in content["roles"]:
            assert role["trust"] == trusts.get(role["Arn"], role["trust"]), role["Arn"]
    for arn, trust in run.truth["trust_before"].items():
        assert run.find("contained", "roles", arn)["trust"] == trust


def test_what_the_attacker_made_is_powerless(run):
    """Made users hold nothing but the deny; instances are stopped and kept; no share of a snapshot is left."""
    known = {user["Arn"] for account in run.before["accounts"].values() for user in account["users"]}
    made = [arn for arn in run.in_extent("user") if arn not in known]
    assert made
    assert all(run.find("contained", "users", arn)["attached"] == [DENY] for arn in made)
    accounts = run.states["contained"]["accounts"].values()
    instances = {one["InstanceId"]: one for account in accounts for one in account["instances"]}
    mine = [value.rsplit("/", 1)[1] for _, value in run.values if ":instance/" in value]
    assert {(instances[one]["State"], instances[one]["Protected"]) for one in mine} == {("stopped", True)}
    assert not [one for account in accounts for one in account["snapshots"] if one["shared_with"]]


def test_nobody_else_is_touched(run):
    """Of all that the API shows of users, roles, policies, machines and networks, only what a step changes differs."""
    assert changes(run.seen["attacked"], run.seen["contained"]) == expected(run, run.plan["steps"])


def test_rollback_refuses_to_let_the_attacker_in(run):
    """After the rollback the keys are still Inactive, made users denied, trust closed, sessions revoked, logging on."""
    assert run.codes["rolled back"] == 0, run.said["rolled back"][-3000:]
    assert "REFUSED" in run.said["rolled back"]
    for stage in ("rolled back", "long after"):
        for arn in run.in_extent("user"):
            assert {key["Status"] for key in run.find(stage, "users", arn)["keys"]} == {"Inactive"}
        assert all(run.find(stage, "roles", arn)["trust"] == trust for arn, trust in run.truth["trust_before"].items())
        known = {user["Arn"] for account in run.before["accounts"].values() for user in account["users"]}
        made = [arn for arn in run.in_extent("user") if arn not in known]
        assert all(run.find(stage, "users", arn)["attached"] == [DENY] for arn in made)
        accounts = run.states[stage]["accounts"].values()
        assert all(one["IsLogging"] for account in accounts for one in account["trails"])
        assert not [one for account in accounts for one in account["snapshots"] if one["shared_with"]]
        mine = {value.rsplit("/", 1)[1] for _, value in run.values if ":instance/" in value}
        states = {one["State"] for account in accounts for one in account["instances"] if one["InstanceId"] in mine}
        assert states == {"stopped"}
    for arn in run.in_extent("role"):
        assert REVOKE in run.find("rolled back", "roles", arn)["inline"]


def test_rollback_brings_the_rightful_state_back(run):
    """Roles work again at once, sessions from before excepted; a day and a half later all is as before the attack."""
    assert run.codes["long after"] == 0, run.said["long after"][-3000:]
    for arn in run.in_extent("role"):
        before = run.find("attacked", "roles", arn)["attached"]
        assert run.find("rolled back", "roles", arn)["attached"] == before
        back = run.find("long after", "roles", arn)
        assert back == {**run.find("attacked", "roles", arn), "trust": back["trust"]}
    known = {user["Arn"]: user for account in run.before["accounts"].values() for user in account["users"]}
    owners = [arn for arn in run.in_extent("user") if arn in known]
    assert owners
    for arn in owners:
        assert run.find("rolled back", "users", arn)["attached"] == [*known[arn]["attached"], DENY]
        assert run.find("long after", "users", arn)["attached"] == known[arn]["attached"]


def test_rollback_undoes_all_that_lets_nobody_in_and_nothing_else(run):
    """What is left of the plan after each rollback, of everything that the API shows."""
    known = {user["Arn"] for account in run.before["accounts"].values() for user in account["users"]}
    steps = {step["id"]: step for step in run.plan["steps"]}
    for step in run.steps("record", "protect", "keep-volumes"):
        del steps[step["id"]]
    for step in run.steps("deny"):
        if ":role/" in step["target"]:
            del steps[step["id"]]
    assert changes(run.seen["attacked"], run.seen["rolled back"]) == expected(run, steps.values())
    for step in run.steps("revoke", "revoke-again"):
        del steps[step["id"]]
    for step in run.steps("deny"):
        if step["target"] in known:
            del steps[step["id"]]
    assert changes(run.seen["attacked"], run.seen["long after"]) == expected(run, steps.values())


def test_only_the_switch_gives_everything_back(run):
    """With it all is as found, but logging, which stays on, snapshots, and the addresses of machines started anew."""
    assert run.codes["reopened"] == 0, run.said["reopened"][-3000:]
    left = expected(run, run.steps("start-logging", "snapshot"), restarted=run.steps("stop"))
    assert changes(run.seen["attacked"], run.seen["reopened"]) == left
