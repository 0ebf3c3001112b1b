"""What is told of one key, principal, address, program, instance, bucket, account or event."""

import json
import re
import shlex

import pytest
from test_names import key
from trail import ACCOUNT, CLI, FOREIGN, OFFICE, SDK, THIEF, Trail, role, service, user
from typer.testing import CliRunner

from cirtlib.case import Case
from cirtlib.cli import app, main
from cirtlib.errors import NotFoundError
from cirtlib.scope import write
from cirtlib.story import Story, story

DEV = user("dev", "AKIADEV")
STOLEN = role("devRole", "work", "ASIASTOLEN")
ROLE = f"arn:aws:iam::{ACCOUNT}:role/devRole"
USER = f"arn:aws:iam::{ACCOUNT}:user/dev"
FAR = key(888877776666, "ASIA")
HOSTILE = "\x1b[31mcurl/8<script>alert(1)</script>\u202e'; DROP TABLE events --"
BUCKET = "amzn-s3-demo-bucket"


@pytest.fixture(scope="module")
def leaked(tmp_path_factory) -> tuple[Case, dict[str, str]]:
    """A leaked key: its thief takes a role, is denied once, makes a user with a key, and reads a bucket."""
    trail = Trail()
    ids = {"habit": str(len(trail.records))}
    trail.habit(DEV, days=range(12))
    ids["mint"] = trail.assume(9.5, DEV, "devRole", "ASIASTOLEN", ip=THIEF, agent=SDK)
    ids["stop"] = trail.add(9.51, STOLEN, "cloudtrail:StopLogging", ip=THIEF, agent=SDK, request={"name": "main"})
    ids["denied"] = trail.add(9.52, STOLEN, "iam:ListUsers", ip=THIEF, agent=SDK, error="AccessDenied")
    made = {"user": {"arn": f"arn:aws:iam::{ACCOUNT}:user/ops/backup", "userName": "backup"}}
    request = {"userName": "backup"}
    ids["user"] = trail.add(9.6, STOLEN, "iam:CreateUser", ip=THIEF, agent=SDK, request=request, response=made)
    key = {"accessKey": {"accessKeyId": "AKIABACKUP", "userName": "backup", "status": "Active"}}
    ids["key"] = trail.add(9.61, STOLEN, "iam:CreateAccessKey", ip=THIEF, agent=SDK, request=request, response=key)
    backup = user("backup", "AKIABACKUP") | {"arn": made["user"]["arn"]}
    ids["hostile"] = trail.add(9.7, backup, "s3:GetBucketAcl", ip=THIEF, agent=HOSTILE, region="eu-west-1",
                               request={"bucketName": BUCKET})  # fmt: skip
    machine = role("backup", "i-0123456789abcdef0", "ASIAMACHINE")
    ids["machine"] = trail.add(9.8, machine, "s3:ListBuckets", ip=OFFICE)
    trail.add(9.79, service("ec2.amazonaws.com"), "ec2:RunInstances", account=ACCOUNT, ip="ec2.amazonaws.com",
              response={"instancesSet": {"items": [{"instanceId": "i-0123456789abcdef0"}]}})  # fmt: skip
    ids["finding"] = trail.finding(ids["stop"])
    case = trail.case(tmp_path_factory.mktemp("leaked"), {"finding": ids["finding"]})
    write(case)
    return case, ids


def said(told: Story) -> str:
    return " ".join(one.text for _, statements in told.sections for one in statements)


def values(told: Story, dimension: str) -> dict[str, int]:
    return {use.value: use.events for use in told.used[dimension]}


def test_story_of_a_key(leaked):
    """Who used it, from where, how it was issued, what it made, what scope and findings say: each with its events."""
    case, ids = leaked
    told = story(case, "ASIASTOLEN")
    assert [one.kind for one in told.subjects] == ["access key"]
    assert (told.total.events, told.total.denied, told.denied_share) == (4, 1, 0.25)
    assert f"{told.total.first_seen:%d %H:%M}" == "10 12:14"
    assert values(told, "principals") == {ROLE: 4}
    assert values(told, "addresses") == {THIEF: 4}
    assert values(told, "user_agents") == {"boto3": 4}
    assert values(told, "services") == {"iam.amazonaws.com": 3, "cloudtrail.amazonaws.com": 1}
    assert [row["event_id"] for row in told.minted_by] == [ids["mint"]]
    made = {(one.what, one.node): one.event_id for one in told.made}
    assert made["created", f"principal:arn:aws:iam::{ACCOUNT}:user/ops/backup"] == ids["user"]
    assert made["issued", "access_key:AKIABACKUP"] == ids["key"]
    assert made["changed", f"resource:arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/main"] == ids["stop"]
    assert told.verdicts["attacker"].events == 4
    assert [node["status"] for node in told.nodes] == ["compromised"]
    assert [row["finding_id"] for row in told.findings] == [ids["finding"]]


def test_each_count_cites_its_first_events(leaked):
    """The evidence of a statement is the earliest events, and it says how many there are."""
    case, ids = leaked
    title, statements = story(case, "ASIASTOLEN").sections[0]
    counted = next(one for one in statements if "4 events" in one.text)
    assert title == "What it is"
    assert counted.evidence == (ids["stop"], ids["denied"], ids["user"])
    assert counted.total == 4


def test_story_of_a_principal_by_arn_name_and_node(leaked):
    """ARN, bare name and node id name the same role; who took it is told."""
    case, ids = leaked
    told = [story(case, value) for value in (ROLE, "devRole", f"principal:{ROLE}")]
    assert {one.subjects[0].value for one in told} == {ROLE}
    assert [one.total.events for one in told] == [4, 4, 4]
    assert [(use.value, use.event_ids) for use in told[1].done_to] == [(f"sts:AssumeRole by {USER}", (ids["mint"],))]


def test_an_ambiguous_name_names_all_it_may_be(leaked):
    """A user and a role of one name are both told of, and each can be asked for alone."""
    case, _ = leaked
    told = story(case, "backup")
    assert {one.value.rpartition(":")[2] for one in told.subjects} == {"user/ops/backup", "role/backup"}
    assert told.total.events == 2
    assert "stands for 2 things" in said(told)
    alone = [shlex.split(one.command)[-1] for one in told.next]
    assert sorted(alone) == sorted(one.node for one in told.subjects)


def test_story_of_addresses_programs_instances_buckets_accounts_and_events(leaked):
    """Each kind of value is known by its form, and counts its own events."""
    case, ids = leaked
    expected = {
        THIEF: ("address", 6),
        "203.0.113.0/24": ("network", 6),
        "boto3": ("user agent family", 5),
        CLI: ("user agent", 14),
        HOSTILE: ("user agent", 1),
        "i-0123456789abcdef0": ("instance", 1),
        f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-0123456789abcdef0": ("instance", 1),
        BUCKET: ("bucket", 1),
        f"arn:aws:s3:::{BUCKET}": ("bucket", 1),
        ACCOUNT: ("account", 20),
        ids["key"]: ("event", 1),
        f"resource:arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/main": ("resource", 1),
        ids["finding"]: ("finding", 1),
    }
    told = {value: story(case, value) for value in expected}
    assert {value: (one.subjects[0].kind, one.total.events) for value, one in told.items()} == expected
    assert [use.value for use in told["i-0123456789abcdef0"].done_to] == ["ec2:RunInstances by ec2.amazonaws.com"]


def test_a_session_of_the_console_by_its_node(tmp_path):
    """The node id of a console session counts all of its per-request keys."""
    trail = Trail()
    for number in range(3):
        who = user("ann", f"ASIAN{number}") | {
            "sessionContext": {"attributes": {"creationDate": "2026-06-09T08:00:00Z", "mfaAuthenticated": "true"}}
        }
        trail.add(8.4 + number / 100, who, "ec2:DescribeVpcs", agent="Mozilla/5.0 (X11)")
    told = story(trail.case(tmp_path), "console:AIDAANN/2026-06-09T08:00:00Z")
    assert (told.total.events, len(told.used["access_keys"])) == (3, 3)


def test_what_is_not_found_says_what_to_do(leaked):
    """Unknown values of any form; a key also tells whose logs may lack."""
    case, _ = leaked
    with pytest.raises(NotFoundError, match=r"the address '192.0.2.200'.*cirt coverage"):
        story(case, "192.0.2.200")
    with pytest.raises(NotFoundError, match="its account is likely 888877776666"):
        story(case, FAR)
    with pytest.raises(NotFoundError, match="needs a value"):
        story(case, "  ")
    for odd in ("nobody", "x' OR '1'='1", "principal:", "console:AIDA/never", "arn:aws:s3:::none", "finding:x"):
        with pytest.raises(NotFoundError, match="check the spelling"):
            story(case, odd)


def test_a_key_without_mint_record_says_so_and_names_its_likely_account(tmp_path):
    """The issue of a temporary key that no record shows is a gap; the account comes from the id, as likely."""
    trail = Trail()
    trail.add(9, role("devRole", "work", FAR), "ec2:DescribeVpcs")
    told = story(trail.case(tmp_path), FAR)
    assert told.key_account == "888877776666"
    assert "likely 888877776666" in said(told)
    assert "another than the account of its events" in said(told)
    assert any("No record shows who issued it" in gap for gap in told.gaps)
    assert told.verdicts is None


def test_what_was_denied_made_nothing(tmp_path):
    """A refused call is counted as denied, and changed nothing."""
    trail = Trail()
    trail.add(9, DEV, "cloudtrail:StopLogging", request={"name": "main"}, error="AccessDenied")
    told = story(trail.case(tmp_path), "AKIADEV")
    assert (told.total.denied, told.made) == (1, ())


def test_names_stand_beside_addresses_and_accounts(tmp_path):
    """What case.yaml knows by name is told by it."""
    trail = Trail()
    trail.habit(DEV, days=range(2))
    known = {"networks": {"Berlin office": ["198.51.100.0/24"]}, "accounts": {"production": [ACCOUNT]}}
    told = story(trail.case(tmp_path, known=known), "AKIADEV")
    assert f"From {OFFICE} (Berlin office)." in said(told)
    assert f"In the accounts {ACCOUNT} (production)." in said(told)


def test_hostile_content_is_shown_and_obeyed_by_nothing(leaked):
    """An escape sequence, markup and SQL in a user agent reach neither terminal nor page nor store nor a command."""
    case, ids = leaked
    told = story(case, HOSTILE)
    assert told.total.event_ids == (ids["hostile"],)
    assert "\x1b" not in str(told)
    assert "\u202e" not in str(told)
    page = told._repr_html_()
    assert "<script>" not in page
    assert "\x1b" not in page
    assert not any("curl" in one.command for one in told.next)
    assert story(case, ACCOUNT).total.events == 20


def test_a_stale_scope_is_said(leaked, tmp_path):
    """A scope that is older than the case does not pass for the present one."""
    trail = Trail()
    trail.habit(DEV, days=range(12))
    stop = trail.add(9.51, DEV, "cloudtrail:StopLogging", ip=THIEF, request={"name": "main"})
    case = trail.case(tmp_path, {"event": stop})
    write(case)
    assert not any("older than" in gap for gap in story(case, "AKIADEV").gaps)
    assert main(["clear", str(case.path), "access_key:AKIADEV", "--reason", "ours"]) == 0
    from cirtlib.case import load_case

    assert any("older than" in gap for gap in story(load_case(case.path), "AKIADEV").gaps)


@pytest.mark.parametrize("value", ["ASIASTOLEN", ROLE, THIEF])
def test_every_next_step_can_be_run_as_it_stands(leaked, value):
    """Each command is one that `cirt` takes; none asks of another than the subject."""
    case, _ = leaked
    steps = story(case, value).next
    assert {shlex.split(one.command)[1] for one in steps} == {"ask", "story"}
    for one in steps:
        done = CliRunner().invoke(app, shlex.split(one.command)[1:])
        assert done.exit_code == 0, (one.command, done.output, done.exception)


def test_the_command_tells_it_as_text_and_as_json(leaked, capsys):
    """JSON holds all there is, with plain times; a wrong value is one message and status 1."""
    case, ids = leaked
    assert main(["story", str(case.path), "AKIABACKUP"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("What it is\n  It is the access key AKIABACKUP.\n")
    assert ids["key"] in text
    assert main(["story", str(case.path), "AKIABACKUP", "--format", "json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["total"]["first_seen"] == "2026-06-10T16:48:00Z"
    assert content["subjects"] == [{"kind": "access key", "value": "AKIABACKUP", "node": "access_key:AKIABACKUP"}]
    assert all(set(one) == {"section", "text", "evidence", "count"} for one in content["statements"])
    assert main(["story", str(case.path), "nobody"]) == 1
    assert "check the spelling" in capsys.readouterr().err


def test_story_of_the_incident_agrees_with_its_truth(incident):
    """The stolen session of the training incident: its mint, its role and all its events, which are the attacker's."""
    case, _ = incident
    scope = json.loads((case.out / "scope.json").read_text())
    keys = [
        node for node in scope["nodes"] if re.match("access_key:ASIA", node["id"]) and node["status"] == "compromised"
    ]
    assert keys
    for node in keys:
        told = story(case, node["value"])
        assert told.total.events == node["events"]
        assert told.verdicts["attacker"].events == node["attacker_events"]
        minted = [edge for edge in scope["edges"] if edge["to"] == node["id"] and edge["kind"] == "minted"]
        assert {row["event_id"] for row in told.minted_by} >= {edge["evidence"][0] for edge in minted}
        assert told.findings or told.nodes
        assert FOREIGN not in str(told)
