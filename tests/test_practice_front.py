"""The practice account authorises every call by what the accounts hold at that moment; asked over HTTP."""

import base64
import datetime as dt
import json
import subprocess
import threading
from dataclasses import replace
from types import SimpleNamespace

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

pytest.importorskip("moto")

from cirtlib.training.account import serve
from cirtlib.training.account_state import backend
from cirtlib.training.practice.authorise import Authority
from cirtlib.training.practice.guard import AGAIN, Guard
from cirtlib.training.practice.journal import Journal
from cirtlib.training.practice.register import Register
from cirtlib.training.practice.rehearse import Rehearsal
from cirtlib.training.practice.server import configure, repeat, responder_key, with_responder
from cirtlib.training.practice.tokens import sign_in, tokens

pytestmark = pytest.mark.integration

ACCOUNT, MANAGEMENT, FOREIGN = "111122223333", "999988887777", "210987654321"
AS_OF = dt.datetime(2026, 6, 10, 15, tzinfo=dt.UTC)
KEY, SESSION, EXPIRED = "AKIADEVELOPEREXAMPLE", "ASIASTOLENEXAMPLE", "ASIAOLDEXAMPLE"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/devRole"
TOKEN = "for the tests"
BUCKET_POLICY = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::amzn-s3-demo-data/*"},
]}  # fmt: skip


def allow(*actions, resource="*", **more):
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource} | more
    return {"Version": "2012-10-17", "Statement": [statement]}


def deny(*actions, **more):
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": list(actions), "Resource": "*"} | more]}


def trust(*principals):
    statement = {"Effect": "Allow", "Principal": {"AWS": list(principals)}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def state():
    user = {
        "UserName": "dev", "Arn": f"arn:aws:iam::{ACCOUNT}:user/dev", "Path": "/", "login_profile": False,
        "attached": [],
        "keys": [{"AccessKeyId": KEY, "Status": "Active"}],
        "inline": {"work": allow("sts:AssumeRole", "iam:ListUsers", "s3:*", "iam:Get*")},
    }  # fmt: skip
    role = {
        "RoleName": "devRole", "Id": "AROADEVROLE0000000001", "Path": "/", "Arn": ROLE, "attached": [],
        "MaxSessionDuration": 43200,
        "trust": trust(user["Arn"], f"arn:aws:iam::{FOREIGN}:root"),
        "inline": {"work": allow("iam:*", "s3:*", "ec2:Describe*", "organizations:*")},
    }  # fmt: skip
    trail = {
        "Name": "org", "TrailARN": f"arn:aws:cloudtrail:us-east-1:{MANAGEMENT}:trail/org", "HomeRegion": "us-east-1",
        "S3BucketName": "amzn-s3-demo-trail", "IsLogging": True, "IsMultiRegionTrail": True,
        "IsOrganizationTrail": True,
    }  # fmt: skip
    empty = {"instances": [], "volumes": [], "snapshots": [], "policies": []}
    bucket = {"Name": "amzn-s3-demo-data", "Region": "us-east-1"}
    trail_bucket = {"Name": "amzn-s3-demo-trail", "Region": "us-east-1"}
    return with_responder({"accounts": {
        ACCOUNT: {"users": [user], "roles": [role], "trails": [], "buckets": [bucket], **empty},
        MANAGEMENT: {"users": [], "roles": [], "trails": [trail], "buckets": [trail_bucket], **empty},
    }})  # fmt: skip


def minted(key, at, *, hours):
    """A record of AssumeRole."""
    ends = at + dt.timedelta(hours=hours)
    return {
        "eventID": key, "eventTime": f"{at:%Y-%m-%dT%H:%M:%SZ}", "eventName": "AssumeRole", "awsRegion": "us-east-1",
        "userIdentity": {"type": "IAMUser", "arn": f"arn:aws:iam::{ACCOUNT}:user/dev", "accountId": ACCOUNT},
        "requestParameters": {"roleArn": ROLE, "roleSessionName": "work", "durationSeconds": hours * 3600},
        "responseElements": {"credentials": {"accessKeyId": key, "expiration": f"{ends:%b %d, %Y, %I:%M:%S %p}"},
                             "assumedRoleUser": {"assumedRoleId": "AROADEVROLE0000000001:work"}},
    }  # fmt: skip


@pytest.fixture
def account(tmp_path):
    """Two accounts of an organization, guarded, with a session that is alive and one that is not."""
    records = [
        minted(SESSION, AS_OF - dt.timedelta(hours=2), hours=12),
        minted(EXPIRED, AS_OF - dt.timedelta(hours=3), hours=1),
    ]
    authority = Authority(Register.of([ACCOUNT, MANAGEMENT], records, AS_OF, "o-example"))
    journal = Journal(tmp_path / "journal.jsonl")
    guard = Guard(authority, journal, TOKEN)
    with serve(state(), tmp_path, guard=guard, more=tokens(authority)) as emulated:
        responder = {}
        for one in (ACCOUNT, MANAGEMENT):
            role, now = f"arn:aws:iam::{one}:role/IncidentResponder", authority.now()
            key = f"ASIARESPONDER{one}"
            responder[one] = key
            authority.register.issue(
                authority.register.session(key, role, "me", issued=now, expires=now + dt.timedelta(hours=1))
            )

        def client(service, key=responder[ACCOUNT], region="us-east-1"):
            settings = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
            session = boto3.Session(key, "x", "x", region_name=region)
            return session.client(service, endpoint_url=emulated.endpoint, config=settings)

        yield SimpleNamespace(
            client=client, emulated=emulated, authority=authority, guard=guard, journal=journal, responder=responder,
            management=lambda service: client(service, responder[MANAGEMENT]),
        )  # fmt: skip


def refused(call, *words):
    """Error code of a call that must be refused, in words that must be there."""
    with pytest.raises(ClientError) as caught:
        call()
    for word in words:
        assert word in str(caught.value)
    return caught.value.response["Error"]["Code"]


def test_a_deactivated_key_is_refused_and_an_activated_one_works_again(account):
    theirs, iam = account.client("iam", KEY), account.client("iam")
    assert theirs.list_users()["Users"]
    iam.update_access_key(UserName="dev", AccessKeyId=KEY, Status="Inactive")
    assert refused(theirs.list_users) == "InvalidClientTokenId"
    assert refused(account.client("s3", KEY).list_buckets) == "InvalidAccessKeyId"
    assert refused(account.client("sts", KEY).get_caller_identity) == "InvalidClientTokenId"
    iam.update_access_key(UserName="dev", AccessKeyId=KEY, Status="Active")
    assert theirs.list_users()["Users"]
    iam.delete_access_key(UserName="dev", AccessKeyId=KEY)
    assert refused(theirs.list_users) == "InvalidClientTokenId"


def test_sessions_end_by_aws_revoke_older_sessions_and_new_ones_work(account):
    old = account.client("iam", SESSION)
    assert old.list_users()["Users"]
    cut = f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
    policy = deny("*", Condition={"DateLessThan": {"aws:TokenIssueTime": cut}})
    account.client("iam").put_role_policy(
        RoleName="devRole", PolicyName="AWSRevokeOlderSessions", PolicyDocument=json.dumps(policy)
    )
    assert refused(old.list_users, "explicit deny in an identity-based policy", "devRole/work") == "AccessDenied"
    account.authority.now = lambda: dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2)
    fresh = account.client("sts", KEY).assume_role(RoleArn=ROLE, RoleSessionName="again")["Credentials"]
    assert account.client("iam", fresh["AccessKeyId"]).list_users()["Users"]


def test_a_session_outlives_its_key_and_an_expired_one_is_refused(account):
    account.client("iam").update_access_key(UserName="dev", AccessKeyId=KEY, Status="Inactive")
    assert account.client("iam", SESSION).list_users()["Users"]
    assert refused(account.client("iam", EXPIRED).list_users) == "ExpiredToken"
    account.client("iam").delete_role_policy(RoleName="devRole", PolicyName="work")
    account.client("iam").delete_role(RoleName="devRole")
    assert refused(account.client("iam", SESSION).list_users) == "InvalidClientTokenId"


def test_a_service_control_policy_denies_members_and_not_the_management_account(account):
    organizations = account.management("organizations")
    root = organizations.list_roots()["Roots"][0]["Id"]
    organizations.enable_policy_type(RootId=root, PolicyType="SERVICE_CONTROL_POLICY")
    made = organizations.create_policy(
        Name="no-lists", Description="d", Type="SERVICE_CONTROL_POLICY", Content=json.dumps(deny("iam:ListUsers"))
    )
    organizations.attach_policy(PolicyId=made["Policy"]["PolicySummary"]["Id"], TargetId=ACCOUNT)
    words = "explicit deny in a service control policy"
    assert refused(account.client("iam", KEY).list_users, words) == "AccessDenied"
    assert refused(account.client("iam").list_users, words) == "AccessDenied"  # the responder, too
    assert account.management("iam").list_users()["Users"] == []


def test_a_bucket_policy_denies_and_across_accounts_must_allow(account):
    theirs, own = account.client("s3", KEY), account.client("s3")
    theirs.put_object(Bucket="amzn-s3-demo-data", Key="a", Body=b"1")
    across = account.management("s3")
    assert refused(lambda: across.get_object(Bucket="amzn-s3-demo-data", Key="a")) == "AccessDenied"
    arn = "arn:aws:s3:::amzn-s3-demo-data"
    lets = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{MANAGEMENT}:root"},
        "Action": "s3:GetObject",
        "Resource": f"{arn}/*",
    }
    stops = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": [arn, f"{arn}/*"],
             "Condition": {"ArnEquals": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:user/dev"}}}  # fmt: skip
    policy = {"Version": "2012-10-17", "Statement": [lets, stops]}
    own.put_bucket_policy(Bucket="amzn-s3-demo-data", Policy=json.dumps(policy))
    assert across.get_object(Bucket="amzn-s3-demo-data", Key="a")["Body"].read() == b"1"
    assert (
        refused(lambda: theirs.get_object(Bucket="amzn-s3-demo-data", Key="a"), "resource-based policy")
        == "AccessDenied"
    )


def test_what_nothing_allows_is_refused_in_the_services_own_words(account):
    assert refused(
        lambda: account.client("iam", KEY).create_user(UserName="x"),
        f"User: arn:aws:iam::{ACCOUNT}:user/dev is not authorized to perform: iam:CreateUser on resource: "
        f"arn:aws:iam::{ACCOUNT}:user/x because no identity-based policy allows the iam:CreateUser action",
    ) == "AccessDenied"  # fmt: skip
    assert refused(account.client("ec2", KEY).describe_instances) == "UnauthorizedOperation"
    assert refused(account.client("dynamodb", KEY).list_tables) == "AccessDeniedException"


def test_groups_and_boundaries_and_session_policies_bind(account):
    iam = account.client("iam")
    iam.create_group(GroupName="stopped")
    iam.put_group_policy(GroupName="stopped", PolicyName="p", PolicyDocument=json.dumps(deny("iam:*")))
    iam.add_user_to_group(GroupName="stopped", UserName="dev")
    assert refused(account.client("iam", KEY).list_users, "explicit deny") == "AccessDenied"
    iam.put_role_permissions_boundary(
        RoleName="devRole", PermissionsBoundary="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    )
    assert refused(account.client("iam", SESSION).list_users, "permissions boundary") == "AccessDenied"
    assert account.client("s3", SESSION).list_buckets()["Buckets"]
    policy = json.dumps(allow("s3:ListAllMyBuckets"))
    small = account.client("sts", KEY).assume_role(RoleArn=ROLE, RoleSessionName="small", Policy=policy)["Credentials"]
    assert account.client("s3", small["AccessKeyId"]).list_buckets()["Buckets"]
    assert refused(lambda: account.client("s3", small["AccessKeyId"]).list_objects_v2(Bucket="amzn-s3-demo-data"))


def test_a_foreign_account_comes_in_by_a_trust_policy_until_it_is_put_back(account):
    foreign = account.authority.register.foreign(FOREIGN)
    assert account.authority.judge(foreign, "sts:AssumeRole", ROLE, {}).passes
    account.client("iam").update_assume_role_policy(
        RoleName="devRole", PolicyDocument=json.dumps(trust(f"arn:aws:iam::{ACCOUNT}:user/dev"))
    )
    assert not account.authority.judge(foreign, "sts:AssumeRole", ROLE, {}).passes
    assert account.client("sts", KEY).assume_role(RoleArn=ROLE, RoleSessionName="mine")["Credentials"]


def test_what_cannot_be_judged_goes_through_and_is_shown_as_unknown(account):
    policy = deny("s3:ListBucket", Condition={"StringEquals": {"aws:ResourceTag/team": "red"}})
    account.client("iam").put_user_policy(UserName="dev", PolicyName="tags", PolicyDocument=json.dumps(policy))
    answer = account.client("s3", KEY).list_objects_v2(Bucket="amzn-s3-demo-data")
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-cirt-ruling"].startswith("unknown")
    assert account.journal.entries[-1].ruling == "unknown"


def under(account, condition, *, who=KEY):
    """Whether a caller may list users while everything is denied on this condition to user and role."""
    iam, policy = account.client("iam"), json.dumps(deny("*", Condition=condition))
    iam.put_user_policy(UserName="dev", PolicyName="cond", PolicyDocument=policy)
    iam.put_role_policy(RoleName="devRole", PolicyName="cond", PolicyDocument=policy)
    try:
        return bool(account.client("iam", who).list_users()["Users"])
    except ClientError as error:
        assert error.response["Error"]["Code"] == "AccessDenied"
        return False
    finally:
        iam.delete_user_policy(UserName="dev", PolicyName="cond")
        iam.delete_role_policy(RoleName="devRole", PolicyName="cond")


def test_a_condition_key_that_does_not_exist_stops_nobody(account):
    """A misspelt key is absent from every request: what is denied on it goes on."""
    assert under(account, {"DateLessThan": {"aws:TokenIssuedTime": "2099-01-01T00:00:00Z"}}, who=SESSION)
    assert not under(account, {"DateLessThan": {"aws:TokenIssueTime": "2099-01-01T00:00:00Z"}}, who=SESSION)


def test_tags_of_users_roles_resources_and_calls_are_known(account):
    iam = account.client("iam")
    iam.tag_user(UserName="dev", Tags=[{"Key": "quarantine", "Value": "yes"}])
    iam.tag_role(RoleName="devRole", Tags=[{"Key": "quarantine", "Value": "yes"}])
    quarantined = {"StringEquals": {"aws:PrincipalTag/quarantine": "yes"}}
    assert not under(account, quarantined)
    assert not under(account, quarantined, who=SESSION)
    assert under(account, {"StringEquals": {"aws:PrincipalTag/quarantine": "no"}}, who=SESSION)
    tagged = {"StringEquals": {"aws:ResourceTag/quarantine": "yes"}}
    policy = json.dumps(deny("iam:GetRole", Condition=tagged))
    iam.put_user_policy(UserName="dev", PolicyName="cond", PolicyDocument=policy)
    assert refused(lambda: account.client("iam", KEY).get_role(RoleName="devRole"), "explicit deny") == "AccessDenied"
    assert account.client("iam", KEY).get_role(RoleName="IncidentResponder")["Role"]
    policy = json.dumps(deny("iam:TagRole", Condition={"StringEquals": {"aws:RequestTag/team": "red"}}))
    iam.put_role_policy(RoleName="devRole", PolicyName="cond", PolicyDocument=policy)
    theirs = account.client("iam", SESSION)
    assert refused(lambda: theirs.tag_role(RoleName="devRole", Tags=[{"Key": "team", "Value": "red"}]), "explicit deny")
    theirs.tag_role(RoleName="devRole", Tags=[{"Key": "team", "Value": "blue"}])


def test_everybody_of_the_accounts_belongs_to_the_organization(account):
    """A user by key, in the console, and as who assumes a role: all have its id; a stranger has not."""
    others = {"StringNotEquals": {"aws:PrincipalOrgID": "o-example"}}
    assert under(account, others)
    assert under(account, others, who=SESSION)
    user = next(one for one in backend("iam", ACCOUNT).users.values() if one.name == "dev")
    assert under(account, others, who=sign_in(account.authority, user, mfa=True).key)
    document = trust(f"arn:aws:iam::{ACCOUNT}:user/dev", f"arn:aws:iam::{FOREIGN}:root")
    document["Statement"][0]["Condition"] = {"StringEquals": {"aws:PrincipalOrgID": "o-example"}}
    account.client("iam").update_assume_role_policy(RoleName="devRole", PolicyDocument=json.dumps(document))
    assert account.client("sts", KEY).assume_role(RoleArn=ROLE, RoleSessionName="mine")["Credentials"]
    foreign = account.authority.register.foreign(FOREIGN)
    assert not account.authority.judge(foreign, "sts:AssumeRole", ROLE, foreign.context).passes


def test_a_session_is_known_by_the_unique_id_of_its_role(account):
    """Denied by `aws:userid`, one session stops; one of a role that was made anew under its name is nobody's."""
    who = account.client("sts", SESSION).get_caller_identity()["UserId"]
    assert who == "AROADEVROLE0000000001:work"
    assert not under(account, {"StringEquals": {"aws:userid": who}}, who=SESSION)
    assert account.client("sts", account.responder[ACCOUNT]).get_caller_identity()["UserId"].startswith("AROA")
    iam = account.client("iam")
    iam.delete_role_policy(RoleName="devRole", PolicyName="work")
    iam.delete_role(RoleName="devRole")
    made = json.dumps(trust(f"arn:aws:iam::{ACCOUNT}:user/dev"))
    iam.create_role(RoleName="devRole", AssumeRolePolicyDocument=made)
    iam.put_role_policy(RoleName="devRole", PolicyName="work", PolicyDocument=json.dumps(allow("iam:*")))
    assert refused(account.client("iam", SESSION).list_users) == "InvalidClientTokenId"
    fresh = account.client("sts", KEY).assume_role(RoleArn=ROLE, RoleSessionName="new")["Credentials"]
    assert account.client("iam", fresh["AccessKeyId"]).list_users()["Users"]


def test_new_sessions_say_whether_a_device_was_used_and_keep_their_session_policies(account):
    sts = account.client("sts", KEY)
    without = sts.assume_role(RoleArn=ROLE, RoleSessionName="one")["Credentials"]["AccessKeyId"]
    device = {"SerialNumber": f"arn:aws:iam::{ACCOUNT}:mfa/dev", "TokenCode": "123456"}
    with_one = sts.assume_role(RoleArn=ROLE, RoleSessionName="two", **device)["Credentials"]["AccessKeyId"]
    no_device = {"Bool": {"aws:MultiFactorAuthPresent": "false"}}
    assert under(account, no_device), "a long-term key has no such key"
    assert not under(account, no_device, who=without)
    assert under(account, no_device, who=with_one)
    denied = [{"arn": "arn:aws:iam::aws:policy/AWSDenyAll"}]
    nothing = sts.assume_role(RoleArn=ROLE, RoleSessionName="three", PolicyArns=denied)["Credentials"]["AccessKeyId"]
    assert refused(account.client("iam", nothing).list_users) == "AccessDenied"


def test_who_one_is_and_what_is_not_signed(account):
    assert (
        account.client("sts", SESSION).get_caller_identity()["Arn"]
        == f"arn:aws:sts::{ACCOUNT}:assumed-role/devRole/work"
    )
    assert refused(account.client("sts", "AKIANOBODYKNOWSEXAMP").get_caller_identity) == "InvalidClientTokenId"
    done = subprocess.run(
        ["curl", "-s", f"{account.emulated.endpoint}/moto-api/data.json"], capture_output=True, text=True, check=True
    )
    assert "only signed calls" in done.stdout


def test_the_journal_keeps_the_order_whoever_calls_at_once(account):
    def tag(number):
        account.client("iam").tag_user(UserName="dev", Tags=[{"Key": f"k{number}", "Value": "v"}])

    threads = [threading.Thread(target=tag, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    again = Journal(account.journal.path)
    assert [one.number for one in again.entries] == list(range(1, len(again.entries) + 1))
    assert len([one for one in again.writes() if one.operation == "TagUser"]) == 8
    assert "secret" not in account.journal.path.read_text().lower().replace("secretsmanager", "")


def test_a_rehearsal_rules_and_changes_nothing_and_needs_the_token(account):
    good = Rehearsal(account.emulated.endpoint, TOKEN)
    made = {"UserName": "new"}
    assert good.rule(SESSION, "iam", "CreateUser", made, region="us-east-1").result == "allowed"
    assert good.rule(KEY, "iam", "CreateUser", made, region="us-east-1").result == "not_allowed"
    assert "new" not in backend("iam", ACCOUNT).users
    assert not [one for one in account.journal.entries if one.operation == "CreateUser"]
    address = {"Condition": {"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}}
    account.client("iam").put_user_policy(
        UserName="dev", PolicyName="office", PolicyDocument=json.dumps(deny("*", **address))
    )
    outside, office = (
        good.rule(KEY, "iam", "ListUsers", {}, region="us-east-1", address=one).result
        for one in ("192.0.2.1", "203.0.113.9")
    )
    assert (outside, office) == ("denied", "allowed")


def test_the_responders_keys_are_made_on_the_29th_of_february_too(account, tmp_path):
    account.authority.now = lambda: dt.datetime(2028, 2, 29, 12, tzinfo=dt.UTC)
    record = SimpleNamespace(seeds=["seed"], after={"accounts": state()["accounts"]})
    space = SimpleNamespace(exercise=SimpleNamespace(name="x"), seed=1, record=record)
    configure(account.authority, account.emulated, tmp_path, space)
    assert "profile respond-111122223333" in (tmp_path / "aws-config").read_text()
    who = account.client("sts", responder_key(space, ACCOUNT)).get_caller_identity()
    assert who["Arn"].endswith("role/IncidentResponder/responder")


def test_two_who_rehearse_at_once_are_not_taken_for_each_other(account):
    good = Rehearsal(account.emulated.endpoint, TOKEN)
    good.rule(KEY, "iam", "ListUsers", {}, region="us-east-1")  # the client is there
    found = {KEY: set(), SESSION: set()}

    def ask(key):
        for _ in range(40):
            found[key].add(good.rule(key, "iam", "CreateUser", {"UserName": "new"}, region="us-east-1").result)

    threads = [threading.Thread(target=ask, args=(key,)) for key in (KEY, SESSION, KEY, SESSION)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert found == {KEY: {"not_allowed"}, SESSION: {"allowed"}}


def test_what_a_session_did_is_done_again_when_nobody_knows_the_session_any_more(account):
    role = f"arn:aws:iam::{ACCOUNT}:role/IncidentResponder"
    held = account.client("sts").assume_role(RoleArn=role, RoleSessionName="hop")["Credentials"]["AccessKeyId"]
    account.client("iam", held).create_user(UserName="made")
    users = backend("iam", ACCOUNT).users
    before = len(account.journal.entries)
    del users["made"], account.authority.register.sessions[held]
    assert repeat(account.emulated.endpoint, TOKEN, account.journal.writes()) == []
    assert "made" in backend("iam", ACCOUNT).users
    assert len(account.journal.entries) == before


def test_calls_wait_until_the_accounts_are_ready(account):
    account.guard.ready = False
    with pytest.raises(ClientError, match="try again in a few seconds") as caught:
        account.client("iam", KEY).list_users()
    answer = caught.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("ServiceUnavailable", 503)
    for service, call in (("s3", "list_buckets"), ("ec2", "describe_vpcs"), ("dynamodb", "list_tables")):
        assert refused(getattr(account.client(service), call), "are starting") == "ServiceUnavailable"
    with pytest.raises(ClientError, match="are starting"):
        account.client("iam").create_user(UserName="early")
    assert account.journal.entries == []
    assert "early" not in backend("iam", ACCOUNT).users
    rehearsed = Rehearsal(account.emulated.endpoint, TOKEN).rule(KEY, "iam", "ListUsers", {}, region="us-east-1")
    assert rehearsed.result == "allowed"
    account.guard.ready = True
    assert account.client("iam").create_user(UserName="early")["User"]


def test_only_who_has_the_token_does_calls_again(account):
    account.client("iam").tag_user(UserName="dev", Tags=[{"Key": "k", "Value": "v"}])
    (entry,) = account.journal.writes()
    theirs = account.client("iam", KEY)
    theirs.meta.events.register_first("before-send", lambda request, **_: request.headers.update({AGAIN: "1"}))
    assert refused(lambda: theirs.create_user(UserName="new")) == "AccessDenied"
    assert (account.journal.entries[-1].number, entry.number) == (2, 1)


NO_POLICIES = (
    "not json", '"text"', "[]", '{"Version": "2012-10-17"}', '{"Statement": [{"Effect": "Maybe", "Action": "*"}]}',
    '{"Statement": {"Effect": "Deny", "Principal": ["*"], "Action": "*", "Resource": "*"}}', "[" * 100000,
)  # fmt: skip


def test_what_is_no_policy_is_refused_and_not_kept(account):
    s3, bucket = account.client("s3"), "amzn-s3-demo-data"
    for text in NO_POLICIES:
        assert refused(lambda text=text: s3.put_bucket_policy(Bucket=bucket, Policy=text)) == "MalformedPolicy"
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert s3.delete_bucket_policy(Bucket=bucket)
    sts, iam = account.client("sts", KEY), account.client("iam")
    assert refused(
        lambda: sts.assume_role(RoleArn=ROLE, RoleSessionName="small", Policy="not json"), "not valid"
    ) == "MalformedPolicyDocument"  # fmt: skip
    assert refused(
        lambda: iam.put_user_policy(UserName="dev", PolicyName="p", PolicyDocument="[]")
    ) == "MalformedPolicyDocument"  # fmt: skip
    assert refused(
        lambda: account.management("organizations").create_policy(
            Name="p", Description="d", Type="SERVICE_CONTROL_POLICY", Content="not json"
        )
    ) == "MalformedPolicyDocumentException"  # fmt: skip
    assert account.client("iam", KEY).list_users()["Users"]
    assert account.journal.writes()[-1].operation == "DeleteBucketPolicy"


def test_a_policy_that_cannot_be_read_is_a_refusal_and_no_failure(account):
    account.client("s3").put_object(Bucket="amzn-s3-demo-data", Key="a", Body=b"1")
    backend("s3", ACCOUNT).buckets["amzn-s3-demo-data"].policy = b"not json"
    assert refused(
        lambda: account.client("s3", KEY).get_object(Bucket="amzn-s3-demo-data", Key="a"), "cannot be read"
    ) == "AccessDenied"  # fmt: skip
    ruled = Rehearsal(account.emulated.endpoint, TOKEN).rule(
        KEY, "s3", "GetObject", {"Bucket": "amzn-s3-demo-data", "Key": "a"}, region="us-east-1"
    )
    assert (ruled.result, "cannot be read" in ruled.why) == ("invalid", True)


def test_what_is_no_policy_in_an_old_journal_is_left_out(account):
    account.client("s3").put_bucket_policy(Bucket="amzn-s3-demo-data", Policy=json.dumps(BUCKET_POLICY))
    (entry,) = account.journal.writes()
    broken = replace(entry, raw=entry.raw | {"body": base64.b64encode(b"not json").decode()})
    backend("s3", ACCOUNT).buckets["amzn-s3-demo-data"].policy = None
    assert repeat(account.emulated.endpoint, TOKEN, [broken]) == [entry.number]
    assert account.client("s3").list_objects_v2(Bucket="amzn-s3-demo-data")["KeyCount"] == 0
