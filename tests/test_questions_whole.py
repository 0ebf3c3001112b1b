"""Questions leave nothing out: each thing of a call, each failed attempt, everyone who opens a role's sessions."""

import pytest
import sample_store as sample
from test_questions import ACCOUNT, ALICE, BUILD, DEV_ROLE, FAR_ROLE, OTHER, STOLEN, TRAIL, ask, at, minted, stolen

MACHINES = [f"i-0a1b2c3d4e5f6000{n}" for n in (1, 2, 3)]


def several(names):
    return {"instancesSet": {"items": [{"instanceId": one} for one in names]}}


def things():
    """Calls that each make, reach or share several things; of three machines two are terminated by one call."""
    copies = {"snapshotSet": {"item": [{"snapshotId": "snap-1"}, {"snapshotId": "snap-2"}]}}
    shared = {"add": {"items": [{"userId": "999988887777"}, {"group": "all"}]}}
    tasks = [{"taskArn": f"arn:aws:ecs:us-east-1:{ACCOUNT}:task/{n}"} for n in (1, 2)]
    stop = {"requestParameters": {"task": "2"}, "responseElements": {"task": tasks[1]}}
    return [
        stolen("RunInstances", "ec2", 1, responseElements=several(MACHINES)),
        stolen("CreateSnapshots", "ec2", 2, responseElements={"CreateSnapshotsResponse": copies}),
        stolen("CreateSnapshots", "ec2", 3, responseElements={"CreateSnapshotsResponse": {
            "snapshotSet": {"item": {"snapshotId": "snap-3"}}}}),
        stolen("ModifySnapshotAttribute", "ec2", 4, requestParameters={
            "snapshotId": "snap-1", "createVolumePermission": shared}),
        stolen("RunTask", "ecs", 5, responseElements={"tasks": tasks}),
        stolen("SendCommand", "ssm", 6, requestParameters={"instanceIds": MACHINES[:2]}),
        stolen("SendCommand", "ssm", 7, requestParameters={"targets": [{"key": "tag:a", "values": ["b"]}]}),
        stolen("RunInstances", "ec2", 8),
        stolen("StartMailboxExportJob", "workmail", 9, requestParameters={
            "organizationId": "m-1", "entityId": "box-1", "s3BucketName": "amzn-s3-demo-bucket", "s3Prefix": "mail",
            "roleArn": DEV_ROLE}),
        sample.record("TerminateInstances", "ec2", time=at(20), requestParameters=several(MACHINES[1:]),
                      readOnly=False, eventID="gone", **BUILD),
        sample.record("StopTask", "ecs", time=at(21), readOnly=False, eventID="stopped", **stop, **BUILD),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    return sample.make(tmp_path_factory.mktemp("many"), things())


def odd_lists():
    """What may stand where a list of things is looked for: nothing, one thing bare, text, numbers, lists in lists."""
    odd = (None, {}, [], "i-1", 7, {"instanceId": "i-1"}, [None], ["i-1", 7, True], [{}], [{"instanceId": None}],
           [["i-1"]], [{"instanceId": 7}], [{"instanceId": {"a": 1}}, {"instanceId": "i-2"}])  # fmt: skip
    for minute, one in enumerate(odd, 30):
        shared = {"createVolumePermission": {"add": {"items": one}}}
        copies = {"CreateSnapshotsResponse": {"snapshotSet": {"item": one}}}
        yield stolen("RunInstances", "ec2", minute, responseElements={"instancesSet": {"items": one}})
        yield stolen("RunInstances", "ec2", minute, responseElements={"instancesSet": one}, eventID=f"bare-{minute}")
        yield stolen("CreateSnapshots", "ec2", minute, responseElements=copies)
        yield stolen("SendCommand", "ssm", minute, requestParameters={"instanceIds": one})
        yield stolen("ModifySnapshotAttribute", "ec2", minute, requestParameters={"snapshotId": "snap-1"} | shared)


def test_attacker_made_lists_each_thing_of_a_call(many):
    """Every machine, snapshot and task of one call has a row with its event and its own end."""
    found = ask(many, "attacker_made")
    shown = found[["what", "made", "event_id", "removed_event_id"]].fillna("")
    rows = list(shown.itertuples(index=False, name=None))
    task = f"arn:aws:ecs:us-east-1:{ACCOUNT}:task/"
    assert rows == [
        ("instance", MACHINES[0], "RunInstances-1", ""),
        ("instance", MACHINES[1], "RunInstances-1", "gone"),
        ("instance", MACHINES[2], "RunInstances-1", "gone"),
        ("snapshot", "snap-1", "CreateSnapshots-2", ""),
        ("snapshot", "snap-2", "CreateSnapshots-2", ""),
        ("snapshot", "snap-3", "CreateSnapshots-3", ""),
        ("shared snapshot", "snap-1", "ModifySnapshotAttribute-4", ""),
        ("task", task + "1", "RunTask-5", ""),
        ("task", task + "2", "RunTask-5", "stopped"),
        ("instance", "", "RunInstances-8", ""),
    ]


def test_footholds_list_each_machine_of_a_call(many):
    """Three machines of one call are three rows; a launch whose answer is not there keeps its own."""
    found = ask(many, "footholds")
    assert list(zip(found["made"].fillna(""), found["event_id"], strict=True)) == [
        *((one, "RunInstances-1") for one in MACHINES),
        ("", "RunInstances-8"),
    ]


def test_lateral_movement_lists_each_machine_of_a_command(many):
    """A command to two machines went into both; one by tags names none, and is there."""
    found = ask(many, "lateral_movement")
    assert list(zip(found["target"].fillna(""), found["event_id"], strict=True)) == [
        (MACHINES[0], "SendCommand-6"),
        (MACHINES[1], "SendCommand-6"),
        ("", "SendCommand-7"),
    ]


def test_taken_out_names_everyone_let_in(many):
    """A snapshot that one call shared with an account and with all names both."""
    assert list(ask(many, "taken_out")["shared_with"].dropna()) == ["999988887777, all"]


def test_taken_out_names_the_mailbox_that_was_exported(many):
    """Whose mailbox, into which bucket, by which role."""
    found = ask(many, "taken_out").set_index("event_id").loc["StartMailboxExportJob-9"]
    assert list(found[["how", "target", "to_bucket", "by_role"]]) == [
        "mailbox exported", "box-1", "amzn-s3-demo-bucket", DEV_ROLE,
    ]  # fmt: skip


def refused_attempts():
    """StopLogging that a member may not do, that IAM denied without its parameters, and that found no trail."""
    member = "NotOrganizationMasterAccountException"
    told = f"User: {ALICE} is not authorized to perform: cloudtrail:StopLogging on resource: {TRAIL} because no policy"
    return [
        stolen("StopLogging", "cloudtrail", 1, errorCode=member, requestParameters={"name": TRAIL}),
        stolen("StopLogging", "cloudtrail", 2, errorCode=member),
        stolen("StopLogging", "cloudtrail", 3, errorCode="AccessDenied", errorMessage=told),
        stolen("DeleteTrail", "cloudtrail", 4, errorCode="TrailNotFoundException", requestParameters={"name": "other"}),
        stolen("CreateFilter", "guardduty", 5, errorCode="AccessDenied"),
        stolen("BatchUpdateFindings", "securityhub", 6, errorCode="AccessDenied"),
        stolen("StopLogging", "cloudtrail", 7, errorCode="ThrottlingException", requestParameters={"name": "main"}),
        sample.record("StartLogging", "cloudtrail", time=at(8), requestParameters={"name": "main"}, **BUILD),
    ]


ATTEMPTS = [
    ("StopLogging", "denied", "NotOrganizationMasterAccountException"),
    ("StopLogging", "denied", "NotOrganizationMasterAccountException"),
    ("StopLogging", "denied", "AccessDenied"),
    ("DeleteTrail", "error", "TrailNotFoundException"),
    ("CreateFilter", "denied", "AccessDenied"),
    ("BatchUpdateFindings", "denied", "AccessDenied"),
    ("StopLogging", "throttled", "ThrottlingException"),
]


def test_defence_impairment_shows_every_failed_attempt(tmp_path):
    """A member's attempt at the organization's trail is refused; what failed otherwise says how, parameters or none."""
    found = ask(sample.make(tmp_path, refused_attempts()), "defence_impairment")
    assert list(zip(found["event_name"], found["outcome"], found["error_code"], strict=True)) == ATTEMPTS
    assert list(found["target"].fillna(""))[:4] == [TRAIL, "", TRAIL, "other"]
    assert set(found["suspect"]) == {"key"}


def test_tampering_shows_every_failed_attempt_as_tried(tmp_path):
    """What was refused or failed changed nothing, so nothing put it back."""
    found = ask(sample.make(tmp_path, refused_attempts()), "tampering")
    assert list(zip(found["event_name"], found["outcome"], strict=True)) == [one[:2] for one in ATTEMPTS]
    assert set(found["state"]) == {"tried"}
    assert found["put_back_event_id"].isna().all()
    assert list(found["target"].fillna(""))[:4] == ["main", "", "main", "other"]


def opened(minute, who, *, key, name, call="AssumeRole", role=DEV_ROLE, **fields):
    """Entry into a role before the attack; `more` goes to its request."""
    request = {"roleArn": role, "roleSessionName": name, **fields.pop("more", {})}
    answer = {"credentials": {"accessKeyId": key}, **fields.pop("told", {})}
    more = {"requestParameters": request, "responseElements": answer, "eventID": f"{name}-{minute}", **fields}
    return sample.record(call, "sts", who=who, time=at(minute, 5), **more)


def openers():
    """A user, a function's service, two providers and a role of another account enter devRole; alice has a session."""
    carol = sample.user("carol", "AKIACAROLKEY00000001")
    saml, oidc = f"arn:aws:iam::{ACCOUNT}:saml-provider/corp", f"arn:aws:iam::{ACCOUNT}:oidc-provider/ci.example.com"
    dave = {"type": "SAMLUser", "principalId": "hash=:dave", "userName": "dave"}
    build = {"type": "WebIdentityUser", "principalId": f"{oidc}:sts.amazonaws.com:project:a", "userName": "project:a"}
    hub = sample.role("hubRole", "run-1", "ASIAHUB0000000000001", account=OTHER)
    stranger = {"type": "AWSAccount", "accountId": OTHER, "principalId": "AROAHUBROLE0000000001:run-1"}
    vendor = {"type": "AWSAccount", "accountId": "999988887777", "principalId": "AROAVENDOR00000000001:job-7"}
    lambda_ = {"type": "AWSService", "invokedBy": "lambda.amazonaws.com"}
    user_key = {"responseElements": {"accessKey": {"accessKeyId": "AKIANEW0000000000001"}}}
    token = {"responseElements": {"credentials": {"accessKeyId": "ASIATOKEN00000000001"}}}
    return [
        *(opened(n, carol, key=f"ASIACAROL{n}", name="carol") for n in (1, 2, 3)),
        opened(4, lambda_, key="ASIALAMBDA1", name="awslambda_1_20260605", sourceIPAddress="lambda.amazonaws.com"),
        opened(5, dave, key="ASIASAML1", name="dave@ex.com", call="AssumeRoleWithSAML", more={"principalArn": saml}),
        opened(6, build, key="ASIAOIDC1", name="build-1", call="AssumeRoleWithWebIdentity", told={"provider": oidc}),
        opened(7, hub, key="ASIAFAR1", name="far-1", recipientAccountId=OTHER, sharedEventID="both"),
        opened(7, stranger, key="ASIAFAR1", name="far-1", sharedEventID="both") | {"eventID": "far-of-role"},
        opened(8, vendor, key="ASIAVENDOR1", name="job-7"),
        opened(9, carol, key="ASIAREFUSED1", name="refused", errorCode="AccessDenied"),
        opened(10, carol, key="ASIAOTHER1", name="other", role=FAR_ROLE),
        sample.record("CreateAccessKey", "iam", who=carol, time=at(11, 5), requestParameters={"userName": "alice"},
                      eventID="new-key", **user_key),
        sample.record("GetSessionToken", "sts", who=sample.user("alice", STOLEN), time=at(12, 5), eventID="token",
                      **token),
        sample.record("GetObject", who=sample.role("devRole", "carol", "ASIACAROL1"), time=at(13, 5), eventID="used"),
        stolen("AssumeRole", "sts", 14, **minted("ASIATHIEF1", DEV_ROLE)),
    ]  # fmt: skip


def test_who_uses_it_names_who_opens_the_sessions(tmp_path):
    """User, service, providers and accounts that enter the role stand first; what users mint for users opens none."""
    found = ask(sample.make(tmp_path, openers()), "who_uses_it")
    entries = found[found["how"] == "opens its sessions"]
    assert list(found["how"])[: len(entries)] == ["opens its sessions"] * 6
    assert set(entries["principal"]) == {DEV_ROLE}
    told = entries.set_index("opened_by")
    carol, hub = f"arn:aws:iam::{ACCOUNT}:user/carol", f"arn:aws:iam::{OTHER}:role/hubRole"
    build = f"arn:aws:iam::{ACCOUNT}:oidc-provider/ci.example.com"
    assert told["event_ids"].map(list).to_dict() == {
        carol: ["carol-1", "carol-2", "carol-3"],
        "lambda.amazonaws.com": ["awslambda_1_20260605-4"],
        "hash=:dave": ["dave@ex.com-5"],
        f"{build}:sts.amazonaws.com:project:a": ["build-1-6"],
        hub: ["far-1-7"],
        "999988887777:AROAVENDOR00000000001": ["job-7-8"],
    }
    assert told.loc[carol, "events"] == 3
    assert f"{told.loc[carol, 'first_seen']:%H:%M} {told.loc[carol, 'last_seen']:%H:%M}" == "12:01 12:03"
    assert list(told.loc["lambda.amazonaws.com", "session_names"]) == ["awslambda_1_20260605"]
    assert told.loc["lambda.amazonaws.com", "opener_type"] == "AWSService"
    assert told["provider"].dropna().to_dict() == {
        "hash=:dave": f"arn:aws:iam::{ACCOUNT}:saml-provider/corp",
        f"{build}:sts.amazonaws.com:project:a": build,
    }


def test_who_uses_it_still_shows_the_calls(tmp_path):
    """Calls of the role and of the user are counted as before, by nobody's opening."""
    found = ask(sample.make(tmp_path, openers()), "who_uses_it")
    calls = found[found["how"] == "calls"].set_index("principal")
    assert calls["event_ids"].map(list).to_dict() == {ALICE: ["token"], DEV_ROLE: ["used"]}
    assert calls["opened_by"].isna().all()


def test_who_uses_it_knows_the_opener_by_a_key_alone(tmp_path):
    """Of a session's key, without its role, the one who opened it is named."""
    case = sample.make(tmp_path, openers())
    found = ask(case, "who_uses_it", keys=["ASIACAROL2"], principals=[])
    assert [list(one) for one in found["event_ids"]] == [["carol-2"]]


def test_who_uses_it_counts_each_role_entered_under_one_id(tmp_path):
    """Two records under one event id and one key, as anonymised logs have them, open two roles: both are shown."""
    carol = sample.user("carol", "AKIACAROLKEY00000001")
    twice = [opened(1, carol, key="ASIASAME1", name="same", role=role) for role in (DEV_ROLE, FAR_ROLE)]
    found = ask(sample.make(tmp_path, twice), "who_uses_it", principals=[DEV_ROLE, FAR_ROLE])
    assert sorted(found["principal"]) == sorted([DEV_ROLE, FAR_ROLE])
    assert list(found["events"]) == [1, 1]
