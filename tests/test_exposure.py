"""Root cause and way in: each rule by itself, then both scenarios against their truth."""

import json
import shutil
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from cirtlib import plots
from cirtlib.__main__ import main
from cirtlib.case import load_case
from cirtlib.collect import collect
from cirtlib.exposure import credentials, rules, way_in, weakness
from cirtlib.exposure.path import Path
from cirtlib.exposure.rules import Rule
from cirtlib.exposure.table import NO, UNKNOWN, YES, controls
from cirtlib.exposure.told import Instance, instance
from cirtlib.findings import form, records, row
from cirtlib.intake import start
from cirtlib.training.generator import generate

MOMENT = datetime(2026, 6, 23, 9, 0, tzinfo=UTC)
EARLIER, LATER = MOMENT - timedelta(days=1), MOMENT + timedelta(days=1)
GROUP = "sg-0123456789abcdef0"
ACCOUNT = "111122223333"
INSTANCE = "i-0123456789abcdef0"
HISTORY = ["finding_id", "field", "old_value", "new_value", "updated_at"]


def check(control="EC2.19", status="FAILED", *, updated=EARLIER, resource=None, number=1, details=None):
    """One version of a control finding."""
    resource = resource or f"arn:aws:ec2:us-east-1:{ACCOUNT}:security-group/{GROUP}"
    return {
        "finding_id": f"finding-{control}-{number}",
        "control_id": control,
        "compliance_status": status,
        "created_at": EARLIER - timedelta(days=30),
        "updated_at": updated,
        "resource_ids": [resource],
        "details": json.dumps(details or {}),
    }


def history(*changes):
    rows = [("finding-EC2.19-1", "Compliance.Status", old, new, when) for when, old, new in changes]
    frame = pd.DataFrame(rows, columns=HISTORY)
    return frame.astype({"updated_at": "datetime64[us, UTC]"})


def place():
    """Path of an instance with one group."""
    path = Path(INSTANCE, ACCOUNT, "us-east-1")
    path.add(INSTANCE, "instance")
    path.add(ACCOUNT, "account")
    path.add(GROUP, "security group", "launched")
    return path


def brute_force(port=22, address="198.51.100.77"):
    return weakness.Sign("gd-1", "UnauthorizedAccess:EC2/SSHBruteForce", MOMENT, frozenset({port}), (address,))


def open_rule(**changed):
    given = {"opened": EARLIER, "opened_by": "somebody", "evidence": ("opened",)} | changed
    return Rule(GROUP, given.pop("network", "0.0.0.0/0"), given.pop("first", 22), given.pop("last", 22), **given)


def judged(*checks, signs=None, doors=(), changes=(), version_1=()):
    frame = pd.DataFrame(list(checks) or None, columns=list(check()))
    facts = {"first": MOMENT, "version_1": list(version_1)}
    signs = [brute_force()] if signs is None else signs
    return weakness.judge(place(), frame, history(*changes), (signs, list(doors), facts))


def held(cause):
    return {factor.name: factor.holds for factor in cause.factors}


@pytest.mark.parametrize(
    ("versions", "changes", "expected"),
    [
        ([check(updated=EARLIER)], [], YES),
        ([check(updated=LATER)], [], UNKNOWN),
        ([check(status="PASSED", updated=EARLIER)], [], NO),
        ([check(status="PASSED", updated=LATER)], [], UNKNOWN),
        ([check(updated=EARLIER), check(status="PASSED", updated=LATER)], [], YES),
        ([check(updated=LATER)], [(EARLIER, "PASSED", "FAILED")], YES),
        ([check(updated=LATER)], [(LATER, "PASSED", "FAILED")], NO),
        ([check(status="PASSED", updated=LATER)], [(LATER, "FAILED", "PASSED")], YES),
        ([check(updated=LATER)], [(EARLIER, "FAILED", "PASSED"), (LATER, "PASSED", "FAILED")], NO),
    ],
    ids=[
        "checked before", "created before, checked after", "passed before", "passed after", "failed, then fixed",
        "history: failed before", "history: failed only after", "history: fixed after", "history: fixed before",
    ],
)  # fmt: skip
def test_failed_before_first_seen(versions, changes, expected):
    """History says most, then versions; a creation date says nothing."""
    factor = weakness.failed_before(MOMENT, pd.DataFrame(versions), history(*changes))
    assert factor.holds == expected
    assert factor.evidence == ("finding-EC2.19-1",)


def test_an_open_group_that_was_attacked_is_the_likely_way_in():
    """Every factor holds: each with its evidence, and controls on one group are one cause."""
    found = judged(check(), check("EC2.18"), doors=[open_rule()])
    (cause,) = found.causes
    assert cause.controls == ("EC2.18", "EC2.19")
    assert set(held(cause).values()) == {YES}
    assert cause.confidence == "likely"
    assert {"opened", "gd-1", "launched"} <= set(cause.evidence)


@pytest.mark.parametrize(
    ("rule", "sign", "factor", "expected"),
    [
        (open_rule(first=3389, last=3389), brute_force(), "port", NO),
        (open_rule(first=0, last=65535), brute_force(), "port", YES),
        (open_rule(first=-1, last=-1), brute_force(), "port", YES),
        (open_rule(network="::/0"), brute_force(), "address", NO),
        (open_rule(network="198.51.100.0/24"), brute_force(), "address", YES),
        (open_rule(opened=LATER), brute_force(), "failed before", NO),
        (open_rule(closed=EARLIER + timedelta(hours=1)), brute_force(), "failed before", NO),
        (open_rule(closed=LATER), brute_force(), "failed before", YES),
    ],
)
def test_a_rule_is_compared_with_what_was_attacked(rule, sign, factor, expected):
    """Port, network and the time it stood open, by the records alone."""
    (cause,) = judged(signs=[sign], doors=[rule]).causes
    assert held(cause)[factor] == expected


def test_a_rule_closed_before_the_attack_beats_a_stale_finding():
    """The check said FAILED, then a record closed the port: it was not open at the first sign."""
    rule = open_rule(closed=EARLIER + timedelta(hours=2))
    (cause,) = judged(check(updated=EARLIER), doors=[rule]).causes
    assert held(cause)["failed before"] == NO
    assert cause.confidence == "unlikely"


def test_what_does_not_lie_on_the_path_is_counted_and_not_shown():
    """Another group, a bucket, another account's group of the same id, a control that is no way in, a passed check."""
    others = [
        check(resource=f"arn:aws:ec2:us-east-1:{ACCOUNT}:security-group/sg-0fedcba9876543210", number=2),
        check("S3.8", resource="arn:aws:s3:::bucket"),
        check(resource=f"arn:aws:ec2:us-east-1:444455556666:security-group/{GROUP}", number=3),
        check("EC2.17", resource=f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/{INSTANCE}"),
        check("EC2.13", "PASSED"),
    ]
    found = judged(check(), *others)
    assert found.irrelevant == len(others)
    assert [one.controls for one in found.causes] == [("EC2.19",)]


def test_gaps_and_reach_stand_beside_the_causes():
    """Flow logs that are missing are no way in; they are said."""
    found = judged(check("EC2.6", resource=f"arn:aws:ec2:us-east-1:{ACCOUNT}:vpc/vpc-0123456789abcdef0"))
    assert found.beside == () and found.irrelevant == 1  # that VPC is not on the path
    found = judged(check("SSM.1", resource=f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/{INSTANCE}"))
    assert [one["role"] for one in found.beside] == ["gap"]
    assert found.causes == ()


@pytest.mark.parametrize(
    ("versions", "said"),
    [
        ([("FAILED", EARLIER)], "A gap in what can be seen: SSM.1 FAILED on i-0123456789abcdef0: not managed"),
        ([("PASSED", EARLIER)], None),
        ([("PASSED", LATER)], None),
        (
            [("FAILED", EARLIER), ("PASSED", LATER)],
            "SSM.1 FAILED on i-0123456789abcdef0 when the attack began (now PASSED)",
        ),
        (
            [("NOT_AVAILABLE", EARLIER)],
            "not known: the check SSM.1 on i-0123456789abcdef0 said NOT_AVAILABLE, which would",
        ),
        ([("WARNING", LATER)], "not known: the check SSM.1 on i-0123456789abcdef0 said WARNING, which would"),
    ],
    ids=["failed", "passed", "first checked after, passed", "fixed after", "not available", "warning"],
)
def test_only_a_control_that_failed_is_told_as_a_gap(versions, said):
    """A control that passes is no gap; one that could not be checked is said to be unknown."""
    resource = f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/{INSTANCE}"
    found = judged(*(check("SSM.1", status, updated=when, resource=resource) for status, when in versions))
    told = [one.text for one in instance(Instance(place(), MOMENT, (), (), found, ()), 1)]
    gaps = [text for text in told if "gap in what can be seen" in text]
    assert len(gaps) == (said is not None) and all(said in text for text in gaps)
    assert ("1 of 1 control finding passed, or" in told[-1]) == (said is None)


def test_a_control_that_nobody_checked_in_time_says_what_its_first_check_found():
    """Whether it had failed is not known: the reader sees that the check after the attack passed."""
    factor = weakness.failed_before(MOMENT, pd.DataFrame([check(status="PASSED", updated=LATER)]), history())
    assert factor.text.endswith("its check of 2026-06-24 09:00 said PASSED")


def test_the_metadata_service_is_a_cause_by_the_records_alone():
    """Credentials handed out by version 1 before the attack, without any control finding."""
    sign = weakness.Sign(
        "gd-2", "UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.OutsideAWS", MOMENT, frozenset(), ()
    )
    (cause,) = judged(signs=[sign], version_1=[(EARLIER, "used")]).causes
    assert cause.role == "theft"
    assert set(held(cause).values()) == {YES}
    assert "used" in cause.evidence


def test_rules_from_a_request_and_its_answer():
    """The answer gives ids; a request in its short form does as well; groups as sources open nothing to the world."""
    item = {"groupId": GROUP, "isEgress": False, "fromPort": 22, "toPort": 22, "cidrIpv4": "0.0.0.0/0"}
    answer = {"securityGroupRuleSet": {"items": [item | {"securityGroupRuleId": "sgr-1"}]}}
    assert [(one.id, one.ports) for one in rules._given(GROUP, {}, answer)] == [("sgr-1", "port 22")]
    short = rules._given(GROUP, {"cidrIp": "0.0.0.0/0", "fromPort": 1, "toPort": 9}, {})
    assert [one.ports for one in short] == ["port 1 to 9"]
    nested = {"ipPermissions": {"items": [{"ipProtocol": "-1", "groups": {"items": [{"groupId": GROUP}]}}]}}
    assert rules._given(GROUP, nested, {}) == []
    odd = {"ipPermissions": {"items": ["x", None, {"ipRanges": {"items": ["y"]}}]}}
    assert rules._given(GROUP, odd, {"securityGroupRuleSet": "odd"}) == []
    assert rules.doors([open_rule(network="10.0.0.0/8"), open_rule()], ["198.51.100.77"]) == [open_rule()]


ROLE = f"arn:aws:iam::{ACCOUNT}:role/Work"
SSO = f"arn:aws:iam::{ACCOUNT}:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_0123456789abcdef"


@pytest.mark.parametrize(
    ("first", "mint", "expected"),
    [
        ({"access_key_id": "AKIAIOSFODNN7EXAMPLE", "principal_type": "IAMUser"}, None, "long-term key"),
        ({"access_key_id": "ASIAX", "principal_type": "IAMUser", "mfa": False}, None, "console without MFA"),
        ({"access_key_id": "ASIAX", "principal_type": "IAMUser", "mfa": True}, None, "console"),
        ({"principal": f"arn:aws:iam::{ACCOUNT}:root"}, None, "root"),
        ({"role_arn": ROLE}, ("AssumeRoleWithSAML", "x"), "SAML"),
        ({"role_arn": ROLE}, ("AssumeRoleWithWebIdentity", "x"), "OIDC"),
        ({"role_arn": SSO, "session_name": "ann"}, None, "Identity Center"),
        ({"role_arn": ROLE, "session_name": INSTANCE}, ("AssumeRole", "ec2.amazonaws.com"), "instance"),
        ({"role_arn": ROLE, "session_name": INSTANCE}, None, "instance"),
        ({"role_arn": ROLE, "session_name": "f"}, ("AssumeRole", "lambda.amazonaws.com"), "Lambda"),
        ({"role_arn": ROLE, "session_name": "p"}, ("AssumeRole", "pods.eks.amazonaws.com"), "pod"),
        ({"role_arn": ROLE, "session_name": "s"}, ("AssumeRole", "arn:aws:iam::1:user/a"), "assumed role"),
        ({"access_key_id": "ASIAX", "principal_type": "IAMUser"}, ("GetSessionToken", "u"), "session token"),
        ({"role_arn": ROLE, "session_name": "s"}, None, "unknown"),
    ],
)
def test_how_a_credential_was_obtained(first, mint, expected):
    """From its own record and the one that issued it; without either, unknown."""
    made = {"event_name": mint[0], "principal": mint[1]} if mint else None
    assert credentials.method(first, made) == expected
    who, questions = credentials.asked(expected)
    assert who and all(one.endswith("?") for one in questions)


def test_every_control_has_a_role_and_a_source():
    """The table holds no control without a role that the code knows."""
    roles = {"door", "theft", "condition", "unpatched", "leak", "reach", "gap", "credential"}
    assert {one.role for one in controls().values()} == roles


def test_a_leaked_key_is_named_and_its_owner_asked(incident, capsys):
    """The key was copied: likely; where it leaked is not in the logs, and it says so in just these words."""
    case, truth = incident
    (one,) = way_in(case).credentials
    assert one.node.removeprefix("access_key:") == truth["innocents"]["owner"]["key"]
    assert one.method == "long-term key"
    assert one.causes[0].role == "copied" and one.causes[0].confidence == "likely"
    assert one.first["time"].strftime("%Y-%m-%dT%H:%M:%SZ") == truth["attack"]["first"]
    assert one.answer.startswith("not determinable from these logs; ask the key owner: ")
    assert any("IAM.3" in cause.controls for cause in one.causes)
    assert main(["way-in", str(case.path), "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["credentials"][0]["answer"] == one.answer
    bare = [said["text"] for said in told["statements"] if not said["evidence"]]
    assert [text.split(":")[0] for text in bare] == ["Age of the key at that time", "MFA", "Where it came from"]
    assert main(["way-in", str(case.path)]) == 0
    assert "not determinable from these logs; ask the key owner: " in capsys.readouterr().out


def exposed(folder, seed):
    """The misconfigured instance, collected, seeded with the finding alone; and its truth."""
    made = generate("misconfigured_resource", seed=seed, out=folder / "made")
    case = start(
        folder / "case", logs=[made.logs], findings=[made.findings], seeds=[f"finding={made.seed_finding}"],
        content={"as_of": made.as_of.isoformat()},
    )  # fmt: skip
    collect(case)
    return load_case(case.path), json.loads(made.truth.read_text(encoding="utf-8"))


@pytest.mark.integration
@pytest.mark.parametrize("seed", range(1, 6))
def test_the_open_port_is_the_first_cause_and_its_twin_is_not_blamed(tmp_path, seed):
    """Group, opener and event are the true ones; the instance that stands open as well appears nowhere."""
    case, truth = exposed(tmp_path, seed)
    found = way_in(case)
    (instance,) = found.instances
    opener, twin = truth["innocents"]["opener"], truth["innocents"]["exposed_twin"]
    assert [instance.path.arn] == truth["leads"]
    first, second = instance.judged.causes[:2]
    assert (first.role, first.resource, first.confidence) == ("door", opener["group"].rpartition("/")[2], "likely")
    assert opener["event"] in first.evidence
    assert (second.role, second.controls) == ("theft", ("EC2.8",))
    assert [rule.evidence[0] for rule in instance.doors] == [opener["event"]]
    text = json.dumps(found.to_dict())
    assert all(twin[name].rpartition("/")[2] not in text for name in ("instance", "group", "event"))
    assert instance.judged.irrelevant > 200
    assert {one.causes[0].role for one in found.credentials} == {"metadata"}  # its keys are rotated
    mine = {act["call"] for act in instance.acts if act["verdict"] == "attacker"}
    assert {"ec2.amazonaws.com RunInstances", "s3.amazonaws.com GetObject"} <= mine
    figure = plots.plot_way_in(found.to_dict())
    assert opener["group"].rpartition("/")[2] in figure.layout.meta["alt"]


@pytest.mark.integration
def test_without_the_record_of_its_opening_the_port_is_still_found(tmp_path):
    """The finding alone tells of the group; who opened it is then not said."""
    case, truth = exposed(tmp_path, 1)
    made = tmp_path / "made"
    for file in (made / "logs").rglob("*.json.gz"):
        import gzip

        content = json.loads(gzip.decompress(file.read_bytes()))
        if "Records" in content:
            event = truth["innocents"]["opener"]["event"]
            kept = [one for one in content["Records"] if one["eventID"] != event]
            file.write_bytes(gzip.compress(json.dumps({"Records": kept}).encode(), 1))
    shutil.rmtree(case.path)
    other = start(
        case.path, logs=[made / "logs"], findings=[made / "findings"], seeds=[f"finding={truth['seed_finding']}"]
    )
    collect(other)
    (instance,) = way_in(other).instances
    assert instance.doors == ()
    first = instance.judged.causes[0]
    assert first.role == "door" and held(first)["failed before"] == YES
    assert truth["innocents"]["opener"]["event"] not in first.evidence


def test_real_control_findings_are_judged_without_being_blamed(real_data):
    """Security Hub findings as AWS's own remediation tests hold them: none lies on this path, none is a cause."""
    folder = real_data / "aws-solutions__automated-security-response-on-aws"
    found = []
    for file in sorted(folder.rglob("*.json")):
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            continue
        found += [row(one) for one in records(document) if form(one) == "asff"]
    frame = pd.DataFrame(found)
    frame = frame[frame["control_id"].notna()]
    facts = {"first": MOMENT, "version_1": []}
    result = weakness.judge(place(), frame, history(), ([brute_force()], [], facts))
    assert result.causes == ()
    assert result.irrelevant + len(result.beside) == frame["finding_id"].nunique() > 10
