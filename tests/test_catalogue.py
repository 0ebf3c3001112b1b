"""Every call that the catalogue makes is one that AWS has, and says what it means, whatever a name from a log holds."""

import json

import jmespath
import pytest

from cirtlib.containment import catalogue, keeping, resources
from cirtlib.containment.restore import CLOSED, Trust
from cirtlib.containment.step import NOW, Ref, call, number, quoted, read
from cirtlib.containment.validate import api_faults, step_faults
from tests.plan_sample import ADMIN, BACKDOOR, DEV, FOREIGN, INSTANCE, MADE, SNAPSHOT, TRAIL, TRUST

HOSTILE = ["$(reboot)", "-rf", "'; x", "a\nb", "\u202egnp", "${now}", "$${now}", '"]`\\', "`x`", "é"]
TRUSTED = Trust(BACKDOOR, TRUST, ("e-1",), "an earlier event", exact=True)
STEPS = [
    catalogue.key_inactive(MADE, "AKIAIOSFODNN7EXAMPLE"),
    catalogue.deny_user(MADE),
    catalogue.deny_role(DEV, requires=(), reopens=False),
    catalogue.close_trust(DEV, TRUSTED),
    catalogue.revoke(DEV, after=f"deny {DEV}"),
    catalogue.revoke(DEV, after=f"revoke {DEV}", again=True),
    catalogue.detach_policy(MADE, ADMIN),
    catalogue.detach_policy(DEV, ADMIN),
    catalogue.inline_policy(MADE, "extra", None),
    catalogue.inline_policy(DEV, "work", {"Version": "2012-10-17", "Statement": []}),
    catalogue.leave_group(MADE, "admins"),
    catalogue.delete_login_profile(MADE),
    catalogue.delete_known_password(MADE),
    resources.start_logging(TRAIL),
    keeping.protect(INSTANCE),
    keeping.snapshot_volumes(INSTANCE, case="ir-001"),
    resources.stop(INSTANCE),
    resources.unshare(SNAPSHOT, account="111122223333", users=[FOREIGN], groups=["all"]),
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.key.split(" ")[0])
def test_calls_are_those_of_aws(step):
    """Every call, check and rollback passes botocore's own model, and every expression parses."""
    assert step_faults(step) == []
    assert step.side_effects
    assert isinstance(step.verify["expected"], bool | str | None)


@pytest.mark.parametrize(
    ("api", "said"),
    [
        (call("iam", "UpdateAccessKey", UserNme="x", AccessKeyId="AKIAIOSFODNN7EXAMPLE", Status="Inactive"), "UserNme"),
        (call("iam", "UpdateAccessKey", UserName="x", Status="Inactive"), "AccessKeyId"),
        (call("iam", "UpdateAccessKey", AccessKeyId="AKIAIOSFODNN7EXAMPLE", Status="Inactiv"), "Inactiv"),
        (call("iam", "UpdateAcessKey"), "no operation"),
        (call("imm", "UpdateAccessKey"), "no service"),
        (call("ec2", "StopInstances", InstanceIds="i-1"), "InstanceIds"),
        (call("ec2", "CreateSnapshots", InstanceSpecification={"Instance": "i-1"}), "Instance"),
    ],
)
def test_a_wrong_call_is_named(api, said):
    """A misspelt service, operation, parameter or value, at any depth, is a fault that names it."""
    assert said in " ".join(api_faults(api))


def test_broken_expression_is_named():
    """An expression that JMESPath cannot parse is a fault."""
    step = resources.start_logging(TRAIL)
    broken = {**step.verify, "jmespath": "IsLogging]"}
    assert "IsLogging]" in " ".join(step_faults(type(step)(**{**step.__dict__, "verify": broken})))


@pytest.mark.parametrize("name", HOSTILE)
def test_jmespath_literal_holds_any_text(name):
    """A value from a log inside an expression is that value and nothing else."""
    literal = quoted(name).replace("$${", "${")
    assert jmespath.search(f"a == {literal}", {"a": name}) is True


def test_text_from_a_log_is_no_reference():
    """A resource named ${now} keeps its name; only what the catalogue marks is filled in."""
    api = call("iam", "DeleteUser", UserName="${now}", Path=NOW, List=[Ref("${self.x}"), "${self.x}"])
    assert api["parameters"] == {"UserName": "$${now}", "Path": "${now}", "List": ["${self.x}", "$${self.x}"]}


def test_references_are_bound_to_the_step():
    """`${self.x}` becomes the step's own id, also in rollback; a literal stays as it is."""
    step = catalogue.close_trust(DEV, TRUSTED)
    (done,) = number([step])
    assert done.rollback["api"]["parameters"]["PolicyDocument"] == "${01-close-door.trust}"
    odd = catalogue.key_inactive("arn:aws:iam::111122223333:user/${self.trust}", "AKIAIOSFODNN7EXAMPLE")
    assert number([odd])[0].api["parameters"]["UserName"] == "$${self.trust}"


def test_revocation_takes_the_time_of_its_run():
    """The cut-off is a reference, never a time that was known when the plan was made."""
    for again in (False, True):
        document = catalogue.revoke(DEV, after="x", again=again).api["parameters"]["PolicyDocument"]
        statement = json.loads(document)["Statement"][0]
        assert statement["Effect"] == "Deny"
        assert statement["Condition"] == {"DateLessThan": {"aws:TokenIssueTime": "${now}"}}


@pytest.mark.parametrize(
    ("cut_off", "holds"),
    [("2026-06-12T09:00:00Z", True), ("2026-06-12T09:00:01Z", True), ("2026-06-12T08:59:59Z", False)],
)
def test_revocation_is_checked_against_the_closed_door(cut_off, holds):
    """A cut-off from before the door was closed does not pass, nor does a role without one."""
    verify = catalogue.revoke(DEV, after="x").verify
    expression = verify["jmespath"].replace("${after.now}", "2026-06-12T09:00:00Z")
    policy = {"Statement": [{"Condition": {"DateLessThan": {"aws:TokenIssueTime": cut_off}}}]}
    assert jmespath.search(expression, {"PolicyDocument": policy}) is holds


@pytest.mark.parametrize(
    ("document", "holds"),
    [(BACKDOOR, False), (TRUST, True), ({"Statement": {"Effect": "Allow", "Principal": {"AWS": FOREIGN}}}, False)],
)
def test_door_is_checked_by_who_is_trusted(document, holds):
    """The check looks for the attacker's principal, in whatever form IAM writes it back."""
    verify = catalogue.close_trust(DEV, TRUSTED).verify
    assert jmespath.search(verify["jmespath"], {"Role": {"AssumeRolePolicyDocument": document}}) is holds


def test_door_check_when_names_do_not_tell():
    """Where the attacker's principal is part of a trusted one, the whole document is compared."""
    before = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{FOREIGN}:role/vendor"}}]}
    step = catalogue.close_trust(DEV, Trust(BACKDOOR, before, ("e",), "", exact=True))
    assert jmespath.search(step.verify["jmespath"], {"Role": {"AssumeRolePolicyDocument": before}}) is True
    assert jmespath.search(step.verify["jmespath"], {"Role": {"AssumeRolePolicyDocument": BACKDOOR}}) is False


def test_no_rollback_lets_the_attacker_in_unmarked():
    """Each rollback that gives back a key, a deny, a trust, a share, a policy or an instance is marked."""
    marked = {step.key.split(" ")[0] for step in STEPS if step.reopens}
    assert {"key", "trust", "unshare", "detach", "inline", "group", "stop"} <= marked
    assert all(step.rollback == "irreversible" for step in STEPS if step.key.split(" ")[0] in ("logging", "snapshot"))


def test_other_partitions():
    """In China and GovCloud the policy's partition and IAM's Region are those of the target."""
    step = catalogue.deny_role("arn:aws-cn:iam::111122223333:role/dev", requires=(), reopens=False)
    assert step.api["parameters"]["PolicyArn"] == "arn:aws-cn:iam::aws:policy/AWSDenyAll"
    assert step.region == "cn-north-1"


def test_permissions_name_every_call():
    """The permissions cover the change, its reads and its rollback."""
    step = catalogue.close_trust(DEV, Trust(BACKDOOR, CLOSED, (), "", exact=True))
    assert step.permissions == ["iam:GetRole", "iam:UpdateAssumeRolePolicy"]
    assert read(step.api, "x") == {"api": step.api, "jmespath": "x"}
