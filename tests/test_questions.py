"""What each question finds and what it leaves alone: an incident that answers every question, and a calm week."""

import datetime as dt
import functools

import pytest
import sample_store as sample

from cirtlib import queries
from cirtlib.case import load_case

ACCOUNT, OTHER = sample.ACCOUNT, "444455556666"
STOLEN, MINTED, HOPPED, MADE = (
    "AKIASTOLENKEY0000001",
    "ASIAMINTED0000000001",
    "ASIAHOPPED0000000001",
    "AKIAMADEBYTHIEF00001",
)
OFFICE, THIEF = "198.51.100.7", "203.0.113.66"
DEV_ROLE, FAR_ROLE = f"arn:aws:iam::{ACCOUNT}:role/devRole", f"arn:aws:iam::{OTHER}:role/farRole"
TRAIL = f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/main"
ALICE = f"arn:aws:iam::{ACCOUNT}:user/alice"
BUILD = {"who": sample.user("build", "AKIABUILDKEY00000001"), "sourceIPAddress": OFFICE, "userAgent": "terraform/1.5"}


def at(minute, day=10):
    return f"2026-06-{day:02d}T12:{minute:02d}:00Z"


def stolen(name, source, minute, **fields):
    """Call with alice's stolen key, from the thief's network."""
    more = {"sourceIPAddress": THIEF, "readOnly": False, "eventID": f"{name}-{minute}", **fields}
    return sample.record(name, source, who=sample.user("alice", STOLEN), time=at(minute), **more)


def session(name, source, minute, **fields):
    """Call with the session that the thief took in devRole."""
    more = {"sourceIPAddress": THIEF, "readOnly": False, "eventID": f"{name}-{minute}", **fields}
    return sample.record(name, source, who=sample.role("devRole", "thief", MINTED), time=at(minute), **more)


def minted(key, role):
    return {
        "requestParameters": {"roleArn": role, "roleSessionName": "thief"},
        "responseElements": {"credentials": {"accessKeyId": key, "sessionToken": "REDACTED"}},
        "readOnly": True,
    }


def usual():
    """The week before: alice from the office, the pipeline, the role's rightful users."""
    day = [
        sample.record(
            "ListBuckets",
            who=sample.user("alice", STOLEN),
            time=at(0, day),
            sourceIPAddress=OFFICE,
            eventID=f"usual-{day}",
        )
        for day in range(3, 9)
    ]
    who = sample.role("devRole", "ci-17", "ASIARIGHTFUL00000001")
    return [
        *day,
        sample.record(
            "GetObject",
            who=who,
            time=at(30, 5),
            sourceIPAddress="198.51.100.80",
            userAgent="boto3/1",
            eventID="usual-role",
        ),
    ]


def attack():
    enumerated = [
        stolen(name, source, 1, readOnly=True, eventID=f"look-{name}")
        for name, source in (
            ("GetCallerIdentity", "sts"),
            ("ListUsers", "iam"),
            ("ListRoles", "iam"),
            ("DescribeInstances", "ec2"),
            ("ListBuckets", "s3"),
            ("ListSecrets", "secretsmanager"),
            ("DescribeTrails", "cloudtrail"),
            ("ListDetectors", "guardduty"),
            ("GetSendQuota", "ses"),
            ("ListFunctions20150331", "lambda"),
        )
    ]
    denied = [
        stolen("RunInstances", "ec2", 2, errorCode="Client.UnauthorizedOperation", eventID=f"denied-{n}")
        for n in range(3)
    ]
    dry = stolen("RunInstances", "ec2", 3, errorCode="Client.DryRunOperation", eventID="dry-run")
    return [
        *enumerated,
        *denied,
        dry,
        stolen("AssumeRole", "sts", 4, **minted(MINTED, DEV_ROLE)),
        session("StopLogging", "cloudtrail", 5, requestParameters={"name": TRAIL}),
        session("DeleteTrail", "cloudtrail", 6, errorCode="AccessDenied", requestParameters={"name": "main"}),
        session("CreateUser", "iam", 7, requestParameters={"userName": "backup"}),
        session(
            "CreateAccessKey",
            "iam",
            8,
            requestParameters={"userName": "backup"},
            responseElements={"accessKey": {"accessKeyId": MADE}},
        ),
        session(
            "AttachUserPolicy",
            "iam",
            9,
            requestParameters={"userName": "backup", "policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
        ),
        session("AssumeRole", "sts", 10, **minted(HOPPED, FAR_ROLE)),
        session("GetSecretValue", "secretsmanager", 11, readOnly=True, requestParameters={"secretId": "db"}),
        session(
            "ModifySnapshotAttribute",
            "ec2",
            12,
            requestParameters={
                "snapshotId": "snap-0123456789abcdef0",
                "createVolumePermission": {"add": {"items": [{"userId": "999988887777"}]}},
            },
        ),
        session(
            "RunInstances",
            "ec2",
            13,
            awsRegion="ap-southeast-1",
            requestParameters={"iamInstanceProfile": {"name": "p"}},
            responseElements={"instancesSet": {"items": [{"instanceId": "i-0123456789abcdef0"}]}},
        ),
        session(
            "DeleteBucket",
            "s3",
            14,
            requestParameters={"bucketName": "data"},
            resources=[{"ARN": "arn:aws:s3:::data", "accountId": ACCOUNT}],
        ),
        sample.record(
            "ListUsers", "iam", who=sample.user("backup", MADE), time=at(15), sourceIPAddress=THIEF, eventID="made-use"
        ),
        sample.record(
            "ListBuckets",
            who=sample.user("carol", "AKIACAROLKEY00000001"),
            time=at(16),
            sourceIPAddress=THIEF,
            eventID="carol",
        ),
        sample.record(
            "StartLogging",
            "cloudtrail",
            time=at(55),
            requestParameters={"name": "main"},
            readOnly=False,
            eventID="on-again",
            **BUILD,
        ),
    ]


FINDING = {
    "finding_id": "arn:f1",
    "type": "Stealth:IAMUser/CloudTrailLoggingDisabled",
    "form": "guardduty",
    "severity": 2.0,
    "api_name": "StopLogging",
    "api_service": "cloudtrail.amazonaws.com",
    "access_key_id": MINTED,
    "remote_ips": [THIEF],
    "sample": False,
    "first_seen": dt.datetime(2026, 6, 10, 12, 5, tzinfo=dt.UTC),
    "last_seen": dt.datetime(2026, 6, 10, 12, 5, tzinfo=dt.UTC),
}
COPY = FINDING | {"form": "asff", "type": "TTPs/Stealth/Stealth-IAMUser/CloudTrailLoggingDisabled"}
CONTROL = FINDING | {"finding_id": "arn:control", "form": "asff", "control_id": "IAM.4", "compliance_status": "FAILED"}
LOST = FINDING | {"finding_id": "arn:f2", "api_name": "DeleteDetector", "api_service": "guardduty.amazonaws.com"}

ASKED = {
    "start": "2026-06-10T00:00:00Z",
    "end": "2026-06-10T23:00:00Z",
    "baseline_start": "2026-06-01T00:00:00Z",
    "baseline_end": "2026-06-10T00:00:00Z",
    "keys": [STOLEN, MINTED],
    "principals": [ALICE, DEV_ROLE],
    "addresses": [THIEF],
    "accounts": [],
    "regions": [],
}


@pytest.fixture(scope="module")
def incident(tmp_path_factory):
    return sample.make(tmp_path_factory.mktemp("incident"), [*usual(), *attack()], [COPY, FINDING, LOST, CONTROL])


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """The near misses: the same kinds of act, but denied, usual, put right, or outside the window."""
    near = [
        sample.record("StopLogging", "cloudtrail", time=at(0, 9), requestParameters={"name": "main"}, **BUILD),
        sample.record(
            "StartLogging", "cloudtrail", time=at(1), requestParameters={"name": "main"}, readOnly=False, **BUILD
        ),
        sample.record(
            "UpdateDetector", "guardduty", time=at(1), requestParameters={"enable": True}, readOnly=False, **BUILD
        ),
        sample.record(
            "CreateFilter", "guardduty", time=at(1), requestParameters={"action": "NOOP"}, readOnly=False, **BUILD
        ),
        sample.record(
            "CreatePolicyVersion", "iam", time=at(2), requestParameters={"setAsDefault": False}, readOnly=False, **BUILD
        ),
        sample.record("CreateUser", "iam", time=at(2), errorCode="AccessDenied", readOnly=False, **BUILD),
        sample.record(
            "ModifySnapshotAttribute",
            "ec2",
            time=at(2),
            errorCode="Client.UnauthorizedOperation",
            readOnly=False,
            **BUILD,
        ),
        sample.record("DeleteBucket", time=at(23), errorCode="AccessDenied", readOnly=False, **BUILD),
        sample.record("GetRole", "iam", time=at(4), awsRegion="us-east-1", **BUILD),
        sample.record("GetRole", "iam", time=at(4, 5), awsRegion="us-east-1", **BUILD),
        sample.record("CreateUser", "iam", time=at(4, 5), readOnly=False, **BUILD),
    ]
    return sample.make(tmp_path_factory.mktemp("calm"), near)


@functools.cache
def answer(case, name):
    return ask(load_case(case), name)


def ask(case, name, **values):
    taken = queries.find(name).parameters
    return queries.ask(case, name, **{key: value for key, value in {**ASKED, **values}.items() if key in taken})


EVERY = [question.name for question in queries.questions()]


@pytest.mark.parametrize("name", EVERY)
def test_every_question_has_an_answer(name, incident):
    """On the incident each question gives rows, and each row cites events that are there."""
    found = answer(incident.path, name)
    assert len(found)
    known = {record["eventID"] for record in [*usual(), *attack()]}
    cited = found["event_ids"] if "event_ids" in found else [[one] for one in found["event_id"].dropna()]
    assert all(ids and set(ids) <= known for ids in cited)


@pytest.mark.parametrize("name", EVERY)
def test_no_question_cries_wolf(name, calm):
    """On the calm week no question gives a row."""
    assert ask(calm, name).empty


def test_logging_off_pairs_a_trail_s_name_with_its_arn(incident):
    """Stopped by ARN, started by name: one gap of fifty minutes; the denied DeleteTrail is none."""
    found = answer(incident.path, "logging_off")
    assert list(found["trail"]) == [TRAIL]
    assert list(found["event_id"]) == ["StopLogging-5"]
    assert list(found["on_again_event_id"]) == ["on-again"]
    assert list(found["minutes_off"]) == [50]
    still_off = ask(incident, "logging_off", end=at(20))
    assert still_off["off_until"].isna().all()


def test_finding_records_says_when_there_is_none(incident):
    """A finding leads to its record, once; one without is shown as such; a failed control is no act."""
    found = answer(incident.path, "finding_records").set_index("finding_id")
    assert list(found["type"]) == [FINDING["type"]] * 2
    assert found.loc["arn:f1", "event_id"] == "StopLogging-5"
    assert found.loc["arn:f1", "same_address"]
    assert found.loc["arn:f2", "matched_by"] == "no record"


def test_credential_origin_walks_back_to_the_long_term_key(incident):
    """From the second hop's key to devRole's session to the stolen key, whose first use is in the baseline."""
    found = ask(incident, "credential_origin", keys=[HOPPED])
    assert list(found["credential"]) == [HOPPED, MINTED, STOLEN]
    assert list(found["obtained_by"]) == ["AssumeRole", "AssumeRole", "long-term key, first use"]
    assert found.iloc[-1]["event_id"] == "usual-3"


def test_credentials_minted_is_transitive(incident):
    """From the stolen key alone: the session, the user's key, the hop, though AssumeRole only reads."""
    found = ask(incident, "credentials_minted", keys=[STOLEN], principals=[])
    assert list(found["minted_key"]) == [MINTED, MADE, HOPPED]
    assert list(found["hop"]) == [1, 2, 2]


def test_same_session_goes_beyond_the_key(tmp_path):
    """A console session's other keys belong to it, by principal id and creation time; another session's do not."""
    other = sample.role("devRole", "alice", "ASIAOTHERKEY00000001")
    later = sample.role("devRole", "alice", "ASIALATERKEY00000001")
    later["sessionContext"]["attributes"]["creationDate"] = "2026-06-10T11:00:00Z"
    records = [
        sample.record(who=sample.role("devRole", "alice", MINTED), eventID="a"),
        sample.record(who=other, eventID="b"),
        sample.record(who=later, eventID="c"),
        sample.record(who=sample.role("devRole", "bob", "ASIABOB"), eventID="d"),
    ]
    found = ask(sample.make(tmp_path, records), "same_session", keys=[MINTED])
    assert sorted(found["event_id"]) == ["a", "b"]


def test_new_networks_compares_with_the_baseline(incident):
    """The thief's network is new for alice, the office is not; without a baseline that is said."""
    found = answer(incident.path, "new_networks").set_index("principal")
    assert found.loc[ALICE, "source_network"] == "203.0.113.0/24"
    assert found.loc[ALICE, "baseline_events"] == 6
    assert found.loc[f"arn:aws:iam::{ACCOUNT}:user/carol", "baseline_events"] == 0
    assert ask(incident, "new_networks", start="2026-06-08", end="2026-06-09").empty


def test_new_regions_leaves_global_services_out(incident):
    """The Region of the instances is new; IAM's us-east-1 in a case without baseline is none."""
    assert list(answer(incident.path, "new_regions")["region"]) == ["ap-southeast-1"]
    found = ask(incident, "new_regions", baseline_end="2026-06-01T00:00:00Z")
    assert {"CreateUser", "AssumeRole", "AttachUserPolicy"} & {
        call for calls in found["calls"] for call in calls
    } == set()


def test_denied_bursts_show_what_was_allowed_later(incident):
    """Three denials and a dry run in one burst; the same call later succeeded under another name only."""
    found = answer(incident.path, "denied_bursts").iloc[0]
    assert (found["denied"], found["dry_runs"], found["principal"]) == (3, 1, ALICE)
    assert not found["allowed_later"]
    assert ask(incident, "denied_bursts", minimum=5).empty


def test_a_denied_role_is_named_though_the_record_has_no_parameters(tmp_path):
    """Roles that were tried stand in the message of the denial; they are no hop."""
    roles = [f"arn:aws:iam::123456789012:role/{name}" for name in ("Admin", "Billing")]
    message = (
        "User: arn:aws:iam::1:user/a is not authorized to perform: sts:AssumeRole on resource: {} because no policy"
    )
    records = [
        stolen("AssumeRole", "sts", minute, errorCode="AccessDenied", errorMessage=message.format(role))
        for minute, role in enumerate([*roles, roles[0]])
    ]
    case = sample.make(tmp_path, records)
    assert ask(case, "denied_bursts").iloc[0]["wanted"] == roles
    assert ask(case, "lateral_movement").empty


def test_a_way_found_is_shown(tmp_path):
    """A call denied first and allowed later is named with its event."""
    records = [stolen("ListUsers", "iam", 1, errorCode="AccessDenied", eventID=f"no-{n}") for n in range(3)]
    case = sample.make(tmp_path, [*records, stolen("ListUsers", "iam", 30, eventID="yes")])
    found = ask(case, "denied_bursts").iloc[0]
    assert (found["allowed_later"], found["allowed_event_ids"]) == (["ListUsers"], ["yes"])


def test_privilege_escalation_sees_passed_roles(incident):
    """Policy attached, another user's key, and the role passed to an instance, which is no event of its own."""
    found = answer(incident.path, "privilege_escalation")
    assert list(found["how"]) == ["another user's credential", "policy attached", "role passed"]
    assert set(found["suspect"]) == {"key"}


def test_defence_impairment_shows_denied_attempts(incident):
    """What was stopped, and what was only tried."""
    found = answer(incident.path, "defence_impairment")
    assert list(zip(found["event_name"], found["outcome"], strict=True)) == [
        ("StopLogging", "ok"),
        ("DeleteTrail", "denied"),
    ]


def test_lateral_movement_marks_other_accounts(incident):
    """The role in the second account is across accounts, devRole is not."""
    found = answer(incident.path, "lateral_movement").set_index("target")
    assert found["across_accounts"].to_dict() == {DEV_ROLE: False, FAR_ROLE: True}
    assert not found["usual"].any()
    again = ask(incident, "lateral_movement", baseline_end=at(5)).set_index("target")
    assert again["usual"].to_dict() == {DEV_ROLE: True, FAR_ROLE: False}


def test_taken_out_names_the_account(incident):
    """The snapshot, and with whom it was shared."""
    found = answer(incident.path, "taken_out").iloc[0]
    assert (found["target"], found["shared_with"]) == ("snap-0123456789abcdef0", "999988887777")


def test_resources_touched_reads_ids_out_of_the_detail(incident):
    """Named resources and ids that stand only in request or response."""
    found = set(answer(incident.path, "resources_touched")["resource"])
    assert {"arn:aws:s3:::data", "i-0123456789abcdef0", "snap-0123456789abcdef0"} <= found


def test_shared_traits_leave_the_suspects_out(incident):
    """Carol and the made user were behind the thief's address; alice and devRole are known already."""
    found = answer(incident.path, "shared_traits")
    assert set(found["principal"]) == {f"arn:aws:iam::{ACCOUNT}:user/carol", f"arn:aws:iam::{ACCOUNT}:user/backup"}


def test_who_uses_it_is_the_baseline(incident):
    """The role's rightful session is seen, the thief's is not."""
    found = answer(incident.path, "who_uses_it")
    assert {"198.51.100.0/24"} == set(found["source_network"])
    assert "ci-*" in set(found["session_pattern"])


def test_bursts_part_by_pause(incident):
    """A pause of more than five minutes parts two bursts; each counts its outcomes."""
    found = answer(incident.path, "bursts")
    assert list(found["events"]) == [15, 10]
    assert list(found["denied"]) == [3, 1]
    assert list(
        ask(incident, "bursts", keys=[STOLEN], principals=[], start="2026-06-03", end="2026-06-06")["events"]
    ) == [1, 1, 1]


def test_footholds_name_what_was_made(incident):
    """The user, the key and the instance that the thief made."""
    found = answer(incident.path, "footholds")
    assert list(found["what"]) == ["user", "long-term key", "instance"]
    assert list(found["made"]) == ["backup", MADE, "i-0123456789abcdef0"]


def test_a_record_that_mints_its_own_key_ends_the_chain(tmp_path):
    """Records as they are not in nature neither loop nor multiply."""
    records = [
        stolen("AssumeRole", "sts", minute, **minted(key, DEV_ROLE))
        for minute, key in enumerate([STOLEN, MINTED, MINTED, MINTED])
    ]
    records += [session("AssumeRole", "sts", 10 + minute, **minted(STOLEN, DEV_ROLE)) for minute in range(3)]
    case = sample.make(tmp_path, records)
    assert 0 < len(ask(case, "credential_origin")) <= 40
    assert 0 < len(ask(case, "credentials_minted")) <= 40


def responder(name, minute, **fields):
    """IAM call of the responder, from the office."""
    who = sample.user("responder", "AKIARESPONDER0000001")
    return sample.record(
        name,
        "iam",
        who=who,
        time=at(minute),
        sourceIPAddress=OFFICE,
        readOnly=False,
        eventID=f"{name}-{minute}",
        **fields,
    )


def containment():
    """Key off at 30, denied at 31; the role is off at 30, yet a call works at 40; later a new face."""
    off = {"requestParameters": {"userName": "alice", "accessKeyId": STOLEN, "status": "Inactive"}}
    deny = {"roleName": "devRole", "policyName": "AWSRevokeOlderSessions", "policyDocument": '{"Effect": "Deny"}'}
    gone = {"requestParameters": {"userName": "backup", "accessKeyId": MADE}}
    carol = sample.user("carol", "AKIACAROLKEY00000001")
    return [
        responder("UpdateAccessKey", 30, **off),
        responder("PutRolePolicy", 30, requestParameters=deny),
        stolen("ListUsers", "iam", 31, errorCode="AccessDenied"),
        session("AssumeRole", "sts", 40, **minted("ASIALATER0000000001X", FAR_ROLE)),
        responder("DeleteAccessKey", 45, **gone),
        sample.record("ListRoles", "iam", who=carol, time=at(50), sourceIPAddress=THIEF, eventID="carol-late"),
    ]


@pytest.fixture(scope="module")
def contained(tmp_path_factory):
    return sample.make(tmp_path_factory.mktemp("contained"), [*attack(), *containment()])


def test_containment_held_tells_a_denied_call_from_one_that_works(contained):
    """The key is dead, the role is not and minted again, and somebody else comes from the thief's address."""
    found = ask(contained, "containment_held").set_index("principal")
    assert found["state"].to_dict() == {
        DEV_ROLE: "did not hold",
        ALICE: "held",
        f"arn:aws:iam::{ACCOUNT}:user/carol": "another holder",
    }
    assert (found.loc[ALICE, "ok_after"], found.loc[ALICE, "denied_after"]) == (0, 1)
    assert found.loc[ALICE, "contained_event_id"] == "UpdateAccessKey-30"
    assert list(found.loc[DEV_ROLE, "minted_after"]) == ["ASIALATER0000000001X"]


def test_what_a_suspect_switches_off_is_no_containment(tmp_path):
    """A thief who disables the owner's key has contained nobody; reactivating a key does not either."""
    off = {"requestParameters": {"userName": "alice", "accessKeyId": STOLEN, "status": "Inactive"}}
    on = {"requestParameters": {"userName": "alice", "accessKeyId": STOLEN, "status": "Active"}}
    records = [
        session("UpdateAccessKey", "iam", 1, **off),
        responder("UpdateAccessKey", 2, **on),
        stolen("GetUser", "iam", 3),
    ]
    assert set(ask(sample.make(tmp_path, records), "containment_held")["state"]) == {"not contained"}


def test_attacker_made_says_what_is_still_there(contained):
    """The key was deleted by the responder; the user, the instance and the share are still there."""
    found = ask(contained, "attacker_made").set_index("what")
    still = found["state"] == "still there"
    assert set(found.index[still]) == {"user", "shared snapshot", "instance"}
    assert found.loc["long-term key", "removed_event_id"] == "DeleteAccessKey-45"
    assert found.loc["instance", "made"] == "i-0123456789abcdef0"
    assert found.loc["instance", "remove"] == "TerminateInstances"


def test_tampering_pairs_each_act_with_its_inverse(incident, contained):
    """The trail stopped by ARN was started by name; without the start it stands; what was denied was tried."""
    found = answer(incident.path, "tampering").set_index("event_name")
    assert found["state"].to_dict() == {"StopLogging": "put back", "DeleteTrail": "tried"}
    assert found.loc["StopLogging", "put_back_event_id"] == "on-again"
    assert set(ask(incident, "tampering", end=at(20))["state"]) == {"stands", "tried"}


def test_tampering_names_how_a_trail_was_narrowed(tmp_path):
    """UpdateTrail says what it weakened; a lifecycle on a bucket that holds no logs is none."""
    narrow = {"name": "main", "isMultiRegionTrail": False, "enableLogFileValidation": False}
    records = [
        stolen("UpdateTrail", "cloudtrail", 1, requestParameters=narrow),
        stolen("PutBucketLifecycle", "s3", 2, requestParameters={"bucketName": "my-trail-logs"}),
        stolen("PutBucketLifecycle", "s3", 3, requestParameters={"bucketName": "pictures"}),
    ]
    found = ask(sample.make(tmp_path, records), "tampering")
    assert list(found["target"]) == ["main", "my-trail-logs"]
    assert found["how"].iloc[0] == "one Region only, no validation"


def test_credential_mints_know_the_ways_without_a_key(tmp_path):
    """Sign-in, SSO and an instance mint too; a failed sign-in does not; what outlives the key is marked."""
    who = sample.user("alice", STOLEN)
    login = {"responseElements": {"ConsoleLogin": "Failure"}, "eventType": "AwsConsoleSignIn"}
    role = {"roleArn": DEV_ROLE, "roleSessionName": "i-0123456789abcdef0"}
    key = {"responseElements": {"credentials": {"accessKeyId": "ASIAINSTANCE00000001"}}}
    records = [
        sample.record("ConsoleLogin", "signin", who=who, time=at(1), eventID="failed", **login),
        sample.record("ConsoleLogin", "signin", who=who, time=at(2), responseElements={"ConsoleLogin": "Success"}),
        sample.record("GetRoleCredentials", "sso", time=at(3), serviceEventDetails={"role_name": "Admin"}),
        sample.record("AssumeRole", "sts", who=sample.service(), time=at(4), requestParameters=role, **key),
        stolen("GetFederationToken", "sts", 5, responseElements={"credentials": {"accessKeyId": MINTED}}),
    ]
    found = ask(sample.make(tmp_path, records), "credential_mints").set_index("way")
    assert set(found.index) == {"console sign-in", "role through SSO", "role taken by a service", "federation session"}
    assert found.loc["role through SSO", "minted_for"] == "Admin"
    assert found.loc["role taken by a service", "machine"] == "i-0123456789abcdef0"
    assert list(found.index[found["outlives_the_key"]]) == ["federation session"]


def test_finding_agreement_widens_the_scope(tmp_path):
    """A finding about carol is about no suspect, alice's is, and devRole has none; a sample says nothing."""
    about_alice = FINDING | {"finding_id": "arn:a", "access_key_id": STOLEN, "remote_ips": []}
    about_carol = FINDING | {"finding_id": "arn:c", "access_key_id": "AKIACAROLKEY00000001", "remote_ips": []}
    fake = about_carol | {"finding_id": "arn:s", "sample": True}
    found = ask(sample.make(tmp_path, attack(), [about_alice, about_carol, fake]), "finding_agreement")
    assert dict(zip(found["state"], found["principal"], strict=True)) == {
        "agrees": ALICE,
        "finding about no suspect": f"arn:aws:iam::{ACCOUNT}:user/carol",
        "suspect without finding": DEV_ROLE,
    }
    assert list(found["event_id"])[1] == "carol"


def test_resource_hijack_marks_large_machines_and_what_was_usual(tmp_path):
    """GPU machines in numbers are large; hostile numbers do no harm; what the pipeline did before is counted."""
    many = {"instanceType": "p4d.24xlarge", "instancesSet": {"items": [{"maxCount": 8}]}}
    odd = {"instanceType": "t3.micro", "instancesSet": {"items": [{"maxCount": "lots'"}]}}
    records = [
        stolen("RunInstances", "ec2", 1, requestParameters=many),
        sample.record("RunInstances", "ec2", time=at(2, 5), requestParameters=odd, **BUILD),
        sample.record("RunInstances", "ec2", time=at(2), requestParameters=odd, **BUILD),
    ]
    found = ask(sample.make(tmp_path, records), "resource_hijack")
    assert list(found["large"]) == [True, False]
    assert list(found["asked_for"]) == [8, 1]
    assert list(found["usual_events"]) == [0, 1]


def test_the_first_hour_is_answered():
    """Each of the 27 is answered by a question there is, or by a function."""
    assert len(queries.FIRST_HOUR) == 27
    for _, by in queries.FIRST_HOUR:
        assert by.startswith("`cirtlib.") or by.partition(";")[0] in EVERY
