"""Controls answer what an incident shows; policies deny and exempt as they say; the template deploys."""

import json
import re
import subprocess
import sys
from pathlib import Path

import boto3
import pandas as pd
import parliament
import pytest
import yaml
from moto import mock_aws

from cirtlib import containment, scope
from cirtlib import prevention as package
from cirtlib.case import load_case
from cirtlib.cli import main
from cirtlib.containment.validate import api_faults
from cirtlib.errors import PlanError
from cirtlib.policy import Request, evaluate
from cirtlib.prevention import PIPELINE, controls, page, policies, prevention, rehearsal, rehearse, write
from cirtlib.prevention.signs import Sign, Signs

RESPONDER = "arn:aws:iam::111122223333:role/IncidentResponder"
RULE = "arn:aws:events:us-east-1:111122223333:rule"
EXEMPT = policies.exempt([RESPONDER])
STATEMENTS = {one["Sid"]: one for part in json.loads(controls.statements()).values() for one in part}
GUARDS = policies.scps(set(STATEMENTS), exempted=EXEMPT, regions=["eu-central-1", "us-east-1"])
FILLED = {one["Sid"]: one for part in GUARDS.values() for one in part["Statement"]}
FULL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
ATTACKER = {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/devRole"}
# What CloudFormation would make and the emulator does not; cfn-lint alone checks these.
NOT_EMULATED = {
    "AWS::SNS::TopicPolicy", "AWS::CloudWatch::Alarm", "AWS::Config::ConfigRule", "AWS::GuardDuty::Detector",
    "AWS::SecurityHub::Hub", "AWS::AccessAnalyzer::Analyzer", "AWS::EC2::SnapshotBlockPublicAccess",
}  # fmt: skip


class Loader(yaml.SafeLoader):
    """Reads the template: `!Ref x` becomes its text."""


Loader.add_multi_constructor("!", lambda loader, suffix, node: f"{suffix} {node.value}")
TEMPLATE = yaml.load(controls.template(), Loader)
NOTHING = pd.DataFrame(columns=rehearsal.COLUMNS)


def denied(action, resource="*", **context):
    """Sids of the statements that deny a request; `context` are its condition keys. None may be unknown."""
    context = {**ATTACKER, "aws:RequestedRegion": "us-east-1", **context}
    asked = Request(
        action, resource, "arn:aws:sts::111122223333:assumed-role/devRole/x", "111122223333", context=context
    )
    found = set()
    for sid, one in FILLED.items():
        told = evaluate(asked, identity=[FULL], scps=[[FULL, {"Version": "2012-10-17", "Statement": [one]}]])
        assert told.result in {"allowed", "denied"}, (sid, told)
        found |= {sid} if told.result == "denied" else set()
    return found


def signs(*names, roles=None):
    found = {name: Sign(name.partition(":")[2], 1, ("id-1",)) for name in names}
    return Signs(found, ("111122223333",), ("us-east-1",), roles or {})


# --- service control policies


def test_policies_are_short_and_pass_a_linter():
    """Each file is under 5,120 characters with several responders, and parliament finds no fault in it.

    parliament reads them as identity policies: actions, resources, operators and keys are judged; what only service
    control policies may or may not hold is not.
    """
    many = policies.exempt([f"arn:aws:iam::{number:012}:role/IncidentResponder" for number in range(8)])
    guards = policies.scps(set(STATEMENTS), exempted=many, regions=[f"eu-west-{one}" for one in range(1, 9)])
    assert len(guards) <= 4  # with FullAWSAccess they fit the default quota of a target
    for name, content in guards.items():
        text = policies.text(content)
        assert len(text) < 5120
        assert json.loads(text) == content
        for finding in parliament.analyze_policy_string(json.dumps(content)).findings:
            known = "aws:AssumedRoot" in str(finding.detail)  # newer than the linter's list of keys
            assert known or finding.issue in {"RESOURCE_EFFECTIVELY_STAR", "RESOURCE_MISMATCH"}, (name, finding)
        for one in content["Statement"]:
            assert one["Effect"] == "Deny"
            assert not set(one) & {"Principal", "NotPrincipal"}  # these a service control policy may not hold
            assert "@" not in json.dumps(one)


@pytest.mark.parametrize(
    ("sid", "action", "more"),
    [
        ("DenyStoppingLogging", "cloudtrail:StopLogging", {}),
        ("DenyStoppingLogging", "cloudtrail:DeleteTrail", {}),
        ("DenyStoppingDetection", "guardduty:DeleteDetector", {}),
        ("DenyStoppingDetection", "config:StopConfigurationRecorder", {}),
        ("DenySilencingAlarms", "events:DisableRule", {"resource": f"{RULE}/prevent-config"}),
        ("ProtectExemptRoles", "iam:UpdateAssumeRolePolicy", {"resource": RESPONDER}),
        ("ProtectExemptRoles", "iam:CreateRole", {"resource": PIPELINE.replace("*", "111122223333")}),
        ("DenyNewUsersAndKeys", "iam:CreateUser", {}),
        ("DenyNewUsersAndKeys", "iam:CreateAccessKey", {}),
        ("DenyWideningIdentities", "iam:AttachUserPolicy", {}),
        ("DenySharing", "ec2:ModifySnapshotAttribute", {}),
        ("DenyUnblockingPublicAccess", "s3:PutAccountPublicAccessBlock", {}),
        ("DenyOpeningPorts", "ec2:AuthorizeSecurityGroupIngress", {}),
        ("DenyReturnToImdsV1", "ec2:ModifyInstanceMetadataOptions", {}),
        ("DenyUnusedRegions", "ec2:RunInstances", {"aws:RequestedRegion": "ap-south-1"}),
    ],
)  # fmt: skip
def test_a_statement_denies_all_but_the_exempt(sid, action, more):
    """The attacker's role is denied; the pipeline's role and the responders, and nobody alike in name, pass."""
    assert sid in denied(action, **more)
    for arn in (RESPONDER, PIPELINE.replace("*", "444455556666")):
        assert sid not in denied(action, **more, **{"aws:PrincipalArn": arn})
    assert sid in denied(action, **more, **{"aws:PrincipalArn": f"{RESPONDER}2"})
    assert sid in denied(action, **more, **{"aws:PrincipalArn": "arn:aws:iam::444455556666:role/IncidentResponder"})


def test_some_statements_exempt_nobody():
    """No role leaves the organization, launches without IMDSv2, or uses credentials of IMDSv1; root is denied."""
    responder = {"aws:PrincipalArn": RESPONDER}
    assert denied("organizations:LeaveOrganization", **responder) == {"DenyLeavingOrganization"}
    instance = "arn:aws:ec2:us-east-1:111122223333:instance/*"
    assert "RequireImdsV2AtLaunch" in denied("ec2:RunInstances", instance, **responder)
    assert not denied("ec2:RunInstances", instance, **responder, **{"ec2:MetadataHttpTokens": "required"})
    assert denied("s3:GetObject", **responder, **{"ec2:RoleDelivery": "1.0"}) == {"DenyCredentialsOfImdsV1"}
    assert not denied("s3:GetObject", **responder, **{"ec2:RoleDelivery": "2.0"})
    root = {"aws:PrincipalArn": "arn:aws:iam::111122223333:root"}
    assert denied("s3:GetObject", **root) == {"DenyRootUser"}
    assert not denied("s3:GetObject", **root, **{"aws:AssumedRoot": "true"})  # a task of the management account


def test_daily_work_is_not_denied():
    """Reading, and changing what is no guard, goes on; global services work from any Region."""
    for action in ("s3:PutObject", "ec2:DescribeInstances", "cloudtrail:LookupEvents", "sts:GetSessionToken"):
        assert not denied(action)
    assert not denied("events:PutRule", f"{RULE}/nightly")
    assert not denied("iam:GetRole", **{"aws:RequestedRegion": "ap-south-1"})


def test_an_exemption_brings_its_protection():
    """Where one statement exempts somebody, changing the exempt roles is denied too; unknown Regions deny nothing."""
    guards = policies.scps({"DenyOpeningPorts", "DenyUnusedRegions"}, exempted=EXEMPT, regions=[])
    sids = {one["Sid"] for part in guards.values() for one in part["Statement"]}
    assert sids == {"DenyOpeningPorts", "ProtectExemptRoles"}


def test_a_responders_session_is_exempt_as_its_role():
    """case.yaml may name a session; aws:PrincipalArn is the role's."""
    assert policies.exempt(["arn:aws:sts::111122223333:assumed-role/IR/me"], "p") == [
        "p",
        "arn:aws:iam::111122223333:role/IR",
    ]


def test_trust_asks_users_for_mfa():
    """Users must have MFA, a role that assumes a role cannot; the policy passes the linter."""
    user, role = "arn:aws:iam::111122223333:user/dana", "arn:aws:iam::111122223333:role/build"
    document = policies.trust([role, "ec2.amazonaws.com", user])
    by_sid = {one["Sid"]: one for one in document["Statement"]}
    assert by_sid["UsersWithMfa"]["Principal"] == {"AWS": [user]}
    assert by_sid["UsersWithMfa"]["Condition"]["Bool"] == {"aws:MultiFactorAuthPresent": "true"}
    assert by_sid["RolesByName"]["Principal"] == {"AWS": [role]}
    assert "Condition" not in by_sid["RolesByName"]
    assert policies.trust([]) is None
    with mock_aws():
        iam = boto3.client("iam", "us-east-1")
        iam.create_role(RoleName="devRole", AssumeRolePolicyDocument=json.dumps(document))
        assert iam.get_role(RoleName="devRole")["Role"]["AssumeRolePolicyDocument"] == document


def test_the_emulator_takes_the_policies():
    """AWS Organizations, emulated, makes and attaches each."""
    with mock_aws():
        client = boto3.client("organizations", "us-east-1")
        client.create_organization(FeatureSet="ALL")
        account = client.create_account(AccountName="dev", Email="dev@example.com")["CreateAccountStatus"]["AccountId"]
        for name, content in GUARDS.items():
            made = client.create_policy(
                Name=name, Description=name, Type="SERVICE_CONTROL_POLICY", Content=json.dumps(content)
            )["Policy"]["PolicySummary"]["Id"]
            client.attach_policy(PolicyId=made, TargetId=account)
        kept = client.list_policies_for_target(TargetId=account, Filter="SERVICE_CONTROL_POLICY")["Policies"]
        assert set(GUARDS) <= {one["Name"] for one in kept}


# --- the template


@pytest.mark.integration
def test_the_template_passes_its_linter(tmp_path):
    """cfn-lint finds nothing, not even a hint."""
    file = tmp_path / "prevent.yaml"
    file.write_text(controls.template())
    command = [Path(sys.executable).with_name("cfn-lint"), "--include-checks", "I", "--", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("everything", [False, True])
def test_the_template_deploys_in_the_emulator(everything):
    """With and without what an account may have already; what the emulator does not know is stated."""
    chosen = ["ConfigIsOn", "MakeDetector", "MakeHub", "MakeAnalyzer", "BlockSnapshots"]
    given = {"AlarmEmail": "ir@example.com"} | dict.fromkeys(chosen, "yes" if everything else "no")
    given |= {"TrailLogGroup": "trail"} if everything else {}
    with mock_aws(), pytest.warns(UserWarning, match="not supported") as warnings:
        boto3.client("cloudformation", "eu-central-1").create_stack(
            StackName="prevent", TemplateBody=controls.template(), Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()],
        )  # fmt: skip
        stack = boto3.client("cloudformation", "eu-central-1").describe_stacks(StackName="prevent")["Stacks"][0]
        assert stack["StackStatus"] == "CREATE_COMPLETE"
        rules = boto3.client("events", "eu-central-1")
        made = {one["Name"]: json.loads(one["EventPattern"]) for one in rules.list_rules()["Rules"]}
        topic = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}["AlarmTopicArn"]
        for name in made:
            assert [one["Arn"] for one in rules.list_targets_by_rule(Rule=name)["Targets"]] == [topic]
        policy = boto3.client("iam").list_policies(Scope="Local")["Policies"]
    assert set(made) == {
        "prevent-guardduty",
        "prevent-config",
        "prevent-securityhub",
        "prevent-api-calls",
        "prevent-root",
    }
    assert len(policy) == 1
    skipped = {re.search(r"AWS::\w+::\w+", str(one.message))[0] for one in warnings}
    assert skipped == (NOT_EMULATED if everything else {"AWS::SNS::TopicPolicy"})


def test_alarms_that_need_no_trail():
    """GuardDuty and Config report tampering by events of their own, whatever the severity; rules are checked hourly."""
    resources = TEMPLATE["Resources"]
    (row,) = (one for one in controls.rows() if one["id"] == "logging-stopped")
    (alarm,) = (one for one in row["measures"] if "TrailEnabled" in one.get("template", ()))
    for name in alarm["template"]:
        pattern = resources[name]["Properties"].get("EventPattern", {})
        assert "CloudTrail" not in json.dumps(pattern), name
    guardduty = resources["GuardDutyAlarm"]["Properties"]["EventPattern"]["detail"]
    assert {"prefix": "Stealth:"} in guardduty["type"]
    assert "severity" not in guardduty
    assert resources["TrailEnabled"]["Properties"]["MaximumExecutionFrequency"] == "One_Hour"
    assert resources["TrailEnabled"]["Properties"]["ConfigRuleName"].startswith("prevent-")


def test_the_policy_on_mfa_passes_the_linter():
    """RequireMfa denies all but setting MFA up, where there is none."""
    document = TEMPLATE["Resources"]["RequireMfa"]["Properties"]["PolicyDocument"]
    assert parliament.analyze_policy_string(json.dumps(document)).findings == []
    assert document["Statement"][0]["Condition"] == {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}


# --- gaps and controls


def test_the_data_names_only_what_there_is():
    """Statements, resources and Security Hub controls exist; calls are valid; each gap has both kinds of control."""
    for row in controls.rows():
        for one in row["measures"]:
            assert one["kind"] in controls.KINDS
            assert len(one["how"]) <= 400  # what a table shows of a cell
            assert set(one.get("scp", ())) <= set(STATEMENTS)
            assert set(one.get("template", ())) <= set(TEMPLATE["Resources"])
            assert set(one.get("hub", ())) <= set(controls.titles())
            if "call" in one:
                assert api_faults(one["call"]) == []
        kinds = {one["kind"] for one in row["measures"]}
        assert kinds == ({"detective"} if row["id"].startswith("unseen-") else set(controls.KINDS)), row["id"]
    used = {sid for row in controls.rows() for one in row["measures"] for sid in one.get("scp", ())}
    assert used == set(STATEMENTS)
    named = {name for row in controls.rows() for one in row["measures"] for name in one.get("template", ())}
    assert named | {"AlarmTopic", "AlarmTopicPolicy"} == set(TEMPLATE["Resources"])


def test_a_gap_is_shown_by_its_sign():
    """What nothing shows is no gap, but for what holds everywhere; names from logs stay text."""
    assert [gap.id for gap in controls.gaps(signs())] == ["leave-organization"]
    found = controls.gaps(signs("event:StopLogging"))
    assert [gap.id for gap in found] == ["logging-stopped", "leave-organization"]
    assert found[0].evidence == ("id-1",)


def test_hostile_names_stay_text(own_incident):
    """A role or an id from a log ends no code span and starts no markup."""
    evil = Signs({"event:StopLogging": Sign("StopLogging", 1, ("`<img src=x>\u202e`",))}, (), (), {"arn:`evil`": ()})
    text = page.markdown(own_incident, evil, controls.gaps(evil), (policies.Documents({}, {}, EXEMPT), NOTHING))
    assert "`'<img src=x>\\u202e'`" in text
    assert "`arn:'evil'`" in text


def by_control(frame, part):
    rows = frame[frame["control"].str.contains(part)]
    assert len(rows) == 1, part
    return rows.iloc[0]


def test_exposed_credentials(own_incident):
    """Stopped logging, the leaked key and the role without MFA are answered, each with its events."""
    frame = prevention(own_incident)
    guard, alarm = by_control(frame, "Nobody stops logging"), by_control(frame, "does not depend on the stopped trail")
    assert "DenyStoppingLogging" in " ".join(guard["artefacts"])
    assert "TrailEnabled" in " ".join(alarm["artefacts"])
    assert "falls silent" in alarm["how"]
    judged = scope.load(own_incident).verdicts
    mine = set(judged[judged["verdict"] == "attacker"]["event_id"])
    assert set(guard["evidence"]) <= mine
    assert guard["evidence"]
    keys = by_control(frame, "Old and unused keys")
    assert {"IAM.3", "IAM.8", "IAM.19"} <= set(keys["security_hub"])
    assert "RequireMfa" in " ".join(by_control(frame, "MFA for every IAM user")["artefacts"])
    assert any("trust/" in one for one in by_control(frame, "MFA in the trust policy")["artefacts"])


def test_rehearsal_names_whom_it_would_stop(own_incident):
    """The attacker's calls that a guard-rail stops are cited, and so is the role of ours that it would break."""
    table = rehearse(own_incident).set_index("statement")
    judged = scope.load(own_incident).verdicts
    mine = set(judged[judged["verdict"] == "attacker"]["event_id"])
    for name in ("DenyStoppingLogging", "DenyNewUsersAndKeys", "DenyWideningIdentities", "DenySharing"):
        assert table.loc[name, "attacker_calls"] >= 1
        assert set(table.loc[name, "evidence"]) <= mine
    assert not mine & {one for ids in table["other_events"] for one in ids}
    (pipeline,) = table.loc["DenyNewUsersAndKeys", "others"]
    assert "/ci-" in pipeline
    freed = rehearse(own_incident, pipeline=pipeline).set_index("statement")
    assert freed.loc["DenyNewUsersAndKeys", "other_calls"] == 0
    assert freed.loc["DenyNewUsersAndKeys", "attacker_calls"] == table.loc["DenyNewUsersAndKeys", "attacker_calls"]
    assert "ProtectExemptRoles" not in table.index  # a record does not tell the resource as policies name it


def test_files_of_an_incident(own_incident, monkeypatch):
    """All is written, filled in, and nothing of it is in a script of the plan; a second run leaves nothing behind."""
    containment.write(own_incident)
    frame = write(own_incident, pipeline="arn:aws:iam::*:role/deploy")
    folder = own_incident.out / "plan" / "prevent"
    assert frame.equals(prevention(own_incident))
    stored = json.loads((folder / "prevent.json").read_text())
    assert [one["control"] for one in stored] == list(frame["control"])
    text = (folder / "prevent.md").read_text()
    for name in frame["control"]:
        assert f"* [ ] **{name}**" in text
        assert all(name not in (folder.parent / f"{one}.sh").read_text() for one in ("contain", "verify", "rollback"))
    for file in folder.glob("scps/*.json"):
        assert f"scps/{file.name}" in text
        content = file.read_text()
        assert ("ArnNotLike" in content) == ("arn:aws:iam::*:role/deploy" in content)
    assert list(folder.glob("trust/*.json"))
    assert re.search(r"`trust/role-\d\.json` names `arn:\S+:user/\S+`, which is compromised", text)
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in folder.glob("**/*.*"))
    monkeypatch.setattr(package.signs, "look", lambda case: signs("event:CreateUser"))
    write(own_incident)
    assert not list(folder.glob("trust/*.json"))
    assert {file.stem for file in folder.glob("scps/*")} == {
        "guard-organization-and-identities", "guard-logging-and-detection",
    }  # fmt: skip


def test_many_responders(own_incident):
    """Statements that do not fit one policy go on in another; one that fits none is refused."""
    many = policies.exempt(f"arn:aws:iam::{number:012}:role/IncidentResponder" for number in range(20))
    guards = policies.scps(set(STATEMENTS), exempted=many, regions=["us-east-1"])
    assert "scps/guard-logging-and-detection-2.json" in guards
    assert all(len(policies.text(content)) < 5120 for content in guards.values())
    assert {one["Sid"] for part in guards.values() for one in part["Statement"]} == set(STATEMENTS)
    lines = "".join(f"- arn:aws:iam::{number:012}:role/IncidentResponder\n" for number in range(60))
    with (own_incident.path / "case.yaml").open("a") as file:
        file.write(f"responders:\n{lines}")
    with pytest.raises(PlanError, match="5120"):
        write(load_case(own_incident.path))


def test_whom_nobody_can_exempt(own_incident):
    """A pipeline that is no role is refused; a responder that is no ARN is not exempt, and that is said."""
    with pytest.raises(PlanError, match="is no role"):
        write(own_incident, pipeline="deploy")
    with (own_incident.path / "case.yaml").open("a") as file:
        file.write("responders: [dana]\n")
    write(load_case(own_incident.path))
    folder = own_incident.out / "plan" / "prevent"
    assert "`dana` is not exempt" in (folder / "prevent.md").read_text()
    assert all("dana" not in file.read_text() for file in folder.glob("scps/*"))


def test_the_command(own_incident, capsys):
    """`cirt prevent` writes the files with the pipeline's role, and prints the controls."""
    role = "arn:aws:iam::*:role/deploy"
    assert main(["prevent", str(own_incident.path), "--pipeline-role", role, "--format", "json"]) == 0
    assert {one["kind"] for one in json.loads(capsys.readouterr().out)} == set(controls.KINDS)
    files = (own_incident.out / "plan" / "prevent" / "scps").glob("*.json")
    assert any(role in file.read_text() for file in files)


@pytest.mark.integration
def test_misconfigured_resource(tmp_path):
    """The open group, the metadata service, public access and the new user are answered, each with its ids."""
    from cirtlib.collect import collect
    from cirtlib.intake import start
    from cirtlib.scope import write as write_scope
    from cirtlib.training.generator import generate

    made = generate("misconfigured_resource", seed=2, out=tmp_path / "source")
    case = start(
        tmp_path / "case",
        logs=[made.logs],
        findings=[made.findings],
        seeds=[f"finding={made.seed_finding}"],
        content={"as_of": made.as_of.isoformat()},
    )
    collect(case)
    write_scope(case)
    frame = prevention(case)
    door = by_control(frame, "An open group is reported")
    assert {"EC2.13", "EC2.18", "EC2.19"} <= set(door["security_hub"])
    assert any("EC2." in one for one in door["evidence"])
    assert "DenyOpeningPorts" in " ".join(by_control(frame, "No open administration port")["artefacts"])
    assert "RequireImdsV2AtLaunch" in " ".join(by_control(frame, "No instance without IMDSv2")["artefacts"])
    assert by_control(frame, "IMDSv2 as the default")["evidence"]
    assert "s3control PutPublicAccessBlock" in " ".join(by_control(frame, "Block public access")["artefacts"])
    assert by_control(frame, "Users and keys come only")["evidence"]
    assert not frame["control"].str.contains("Nobody stops logging").any()  # he did not
