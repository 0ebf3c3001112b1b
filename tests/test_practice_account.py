"""The process of the practice account: start, stop, kill, ports, the AWS CLI, and a collect from it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("moto")

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from cirtlib import sql
from cirtlib.cli import main
from cirtlib.collect import collect
from cirtlib.errors import TrainingError
from cirtlib.intake import start as start_case
from cirtlib.training.exercise.workspace import start
from cirtlib.training.practice import control

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    space, _ = start("exposed_credentials", seed=1, folder=tmp_path_factory.mktemp("account") / "exercise")
    yield space
    control.stop(space.path)


@pytest.fixture
def running(space):
    """Status of the running account, fresh."""
    control.reset(space.path)
    return control.start(space.path)[0]


def aws(space, *words, profile="respond-444455556666"):
    """What the AWS CLI prints, as JSON."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "aws"), "--profile", profile, "--output", "json", *words],
        env={**os.environ, "AWS_CONFIG_FILE": str(space.path / "account" / "aws-config"), "AWS_PAGER": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return json.loads(done.stdout) if done.returncode == 0 and done.stdout.strip() else done.stderr


def client(space, service, region="us-east-1"):
    session = boto3.Session(profile_name="respond-444455556666")
    return session.client(service, region_name=region, config=Config(retries={"total_max_attempts": 1}))


@pytest.fixture
def configured(space, monkeypatch):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(space.path / "account" / "aws-config"))


@pytest.mark.usefixtures("running", "configured")
def test_the_cli_and_boto3_work_with_the_profile_and_a_second_start_says_so(space):
    assert aws(space, "sts", "get-caller-identity")["Arn"].endswith("assumed-role/IncidentResponder/responder")
    assert aws(space, "cloudtrail", "describe-trails")["trailList"]
    found = client(space, "cloudtrail").lookup_events(
        LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "StopLogging"}]
    )["Events"]
    assert found
    assert client(space, "guardduty").list_detectors()["DetectorIds"]
    assert control.start(space.path)[1] == "it runs already"


@pytest.mark.usefixtures("running", "configured")
def test_ids_and_ages_are_those_that_the_logs_tell(space):
    """A responder tells the attacker's key from the owner's by its age."""
    iam, records = client(space, "iam"), space.record.events.values()
    users = {one["Arn"]: one for one in iam.list_users()["Users"]}
    used = {one["userIdentity"]["arn"]: one["userIdentity"]["principalId"] for one in records
            if one["userIdentity"].get("type") == "IAMUser" and "arn" in one["userIdentity"]}  # fmt: skip
    assert {users[arn]["UserId"] for arn in users.keys() & used.keys()} <= set(used.values())
    assert users.keys() & used.keys()
    assert all(one["UserId"].startswith("AIDA") for one in users.values())
    begin = min(one["eventTime"] for one in records)
    made = {one["responseElements"]["accessKey"]["accessKeyId"]: one["eventTime"] for one in records
            if one["eventName"] == "CreateAccessKey" and not one.get("errorCode")}  # fmt: skip
    seen = set()
    for one in users.values():
        for key in iam.list_access_keys(UserName=one["UserName"])["AccessKeyMetadata"]:
            seen.add(key["AccessKeyId"])
            told = f"{key['CreateDate']:%Y-%m-%dT%H:%M:%SZ}"
            assert told == made.get(key["AccessKeyId"], told)
            assert key["AccessKeyId"] in made or told < begin
    assert seen & made.keys()
    roles = {one["RoleId"] for one in iam.list_roles()["Roles"]}
    assert {one["userIdentity"]["sessionContext"]["sessionIssuer"]["principalId"] for one in records
            if one["userIdentity"].get("type") == "AssumedRole"} & roles  # fmt: skip
    assert iam.get_role(RoleName="devRole")["Role"]["RoleId"] in roles


def test_two_starts_at_once_make_one_account(space):
    control.stop(space.path)
    with ThreadPoolExecutor(2) as pool:
        (one, said), (other, also) = pool.map(control.start, [space.path] * 2)
    assert one["endpoint"] == other["endpoint"]
    assert "it runs already" in (said, also)
    assert said != also


@pytest.mark.usefixtures("configured")
def test_what_was_done_survives_a_kill_with_the_same_ids(space, running):
    ec2 = client(space, "ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = ec2.create_security_group(GroupName="isolation", Description="d", VpcId=vpc)["GroupId"]
    client(space, "iam").update_access_key(
        UserName="dev-ewolf", AccessKeyId=space.record.truth["innocents"]["owner"]["key"], Status="Inactive"
    )
    about = json.loads((space.path / "account" / "control.json").read_text())
    os.kill(about["pid"], signal.SIGKILL)
    for _ in range(50):
        if control.status(space.path) is None:
            break
        time.sleep(0.1)
    with pytest.raises(TrainingError, match="cirt train account start"):
        control.ask(space.path, "/cirt/attack")
    again, _ = control.start(space.path)
    assert (again["changes"], again["differ"]) == (2, [])
    assert again["endpoint"] == running["endpoint"]
    assert ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["GroupName"] == "isolation"
    keys = client(space, "iam").list_access_keys(UserName="dev-ewolf")["AccessKeyMetadata"]
    assert {one["Status"] for one in keys} == {"Inactive"}


@pytest.mark.usefixtures("running", "configured")
def test_a_taken_port_is_said_and_another_one_is_used(space):
    port = int(control.status(space.path)["endpoint"].rpartition(":")[2])
    control.stop(space.path)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        status, said = control.start(space.path)
        assert f"port {port} is taken" in said
        assert not status["endpoint"].endswith(f":{port}")
        assert aws(space, "sts", "get-caller-identity")["Account"] == "444455556666"


def test_reset_works_from_a_half_deleted_or_forged_folder(space):
    control.start(space.path)
    shutil.rmtree(space.path / "account")
    (space.path / "account").mkdir()
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        forged = {"endpoint": "http://127.0.0.1:9", "token": "x", "pid": other.pid}
        (space.path / "account" / "control.json").write_text(json.dumps(forged))
        control.reset(space.path)
        assert other.poll() is None  # somebody else's process is never killed
    finally:
        other.kill()
    (space.path / "account" / "control.json").write_text(json.dumps({"endpoint": "http://192.0.2.1:80", "token": "x"}))
    assert control.status(space.path) is None
    assert control.start(space.path)[0]["changes"] == 0


@pytest.mark.usefixtures("running", "configured")
def test_the_attacker_gets_in_until_keys_and_sessions_are_taken(space, capsys):
    def open_ways():
        tries = control.ask(space.path, "/cirt/attack")["tries"]
        return {one["way"] for one in tries if one["result"] == "open"}

    before = open_ways()
    key, user = space.record.truth["innocents"]["owner"]["key"], "dev-ewolf"
    aws(space, "iam", "update-access-key", "--user-name", user, "--access-key-id", key, "--status", "Inactive")
    without_key = open_ways()
    assert before - without_key
    assert any(way.startswith("session ") for way in without_key)
    assert main(["train", "account", "attack", str(space.path)]) == 0
    said = capsys.readouterr().out
    assert "still work" in said
    assert "deactivated" in said
    assert key not in said  # which key it is the learner has to find out


@pytest.mark.usefixtures("running", "configured")
def test_a_case_collects_from_it(space, tmp_path):
    status = control.status(space.path)
    case = start_case(
        tmp_path / "case",
        logs=[f"s3://{status['buckets']['logs']}/AWSLogs/"],
        seeds=[space.record.seeds[0]],
        live=True,
        content={
            "accounts": ["444455556666"],
            "as_of": space.record.as_of.isoformat(),
            "access": {
                "endpoint_url": status["endpoint"],
                "profile": "respond-444455556666",
                "per_account": {account: {"profile": name} for account, name in status["profiles"].items()},
            },
        },
    )
    account = collect(case, progress=False)
    assert account["seen"] > 1000
    assert sql(case, "SELECT count(*) AS n FROM findings")["n"][0] > 10
    assert sql(case, "SELECT count(*) AS n FROM events WHERE event_name = 'StopLogging'")["n"][0] > 0


@pytest.mark.usefixtures("configured")
def test_what_was_done_under_an_assumed_role_survives_a_stop_and_so_does_any_text(space, running):
    """So it does when the process was killed while it noted a call, which is said."""
    sts, key = client(space, "sts"), space.record.truth["innocents"]["owner"]["key"]
    role = f"arn:aws:iam::{running['home']}:role/IncidentResponder"
    held = sts.assume_role(RoleArn=role, RoleSessionName="hop")["Credentials"]
    hop = boto3.client(
        "iam", region_name="us-east-1", endpoint_url=running["endpoint"], aws_access_key_id=held["AccessKeyId"],
        aws_secret_access_key="x", aws_session_token="x",
    )  # fmt: skip
    denied = "arn:aws:iam::aws:policy/AWSDenyAll"
    hop.put_user_permissions_boundary(UserName="dev-ewolf", PermissionsBoundary=denied)
    hop.tag_user(UserName="dev-ewolf", Tags=[{"Key": "note", "Value": "one\u2028two"}])

    def by_key():
        tries = control.ask(space.path, "/cirt/attack")["tries"]
        return {one["result"] for one in tries if key in one["way"]}

    assert by_key() == {"closed"}
    control.stop(space.path)
    with (space.path / "account" / "journal.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"number": 4, "at"')
    again, said = control.start(space.path)
    assert (again["changes"], again["differ"]) == (2, [])
    assert "the last call was noted only in part" in said
    assert by_key() == {"closed"}
    tags = client(space, "iam").list_user_tags(UserName="dev-ewolf")["Tags"]
    assert tags == [{"Key": "note", "Value": "one\u2028two"}]
    control.stop(space.path)
    assert control.start(space.path)[1] == ""


@pytest.mark.usefixtures("running")
def test_judgements_at_once_are_the_same(space):
    alone = control.ask(space.path, "/cirt/judge")
    with ThreadPoolExecutor(4) as pool:
        pages = ["/cirt/judge", "/cirt/attack", "/cirt/judge", "/cirt/judge"]
        found = list(pool.map(lambda page: control.ask(space.path, page), pages))
    assert [one for one in found if "points" in one] == [alone] * 3


@pytest.mark.usefixtures("configured")
def test_calls_made_while_it_starts_are_told_to_come_again(space, running):
    """Whoever goes on calling at the old address gets errors until all is there again, and never another answer."""
    iam = client(space, "iam")
    for number in range(3):
        iam.tag_user(UserName="dev-ewolf", Tags=[{"Key": f"k{number}", "Value": "v"}])
    noted = (space.path / "account" / "journal.jsonl").read_text().count("\n")
    control.stop(space.path)
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(control.start, space.path)
        answers = []
        while not starting.done():
            try:
                answers.append(len(iam.list_user_tags(UserName="dev-ewolf")["Tags"]))
            except ClientError as error:
                answers.append(error.response["Error"]["Code"])
            except BotoCoreError:
                pass
            time.sleep(0.05)
    assert "ServiceUnavailable" in answers
    assert {one for one in answers if one != "ServiceUnavailable"} <= {3}
    again = control.status(space.path)
    assert (again["changes"], again["differ"]) == (3, [])
    assert again["calls"] == noted + sum(one == 3 for one in answers)
    assert again["endpoint"] == running["endpoint"]
