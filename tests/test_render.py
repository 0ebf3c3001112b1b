"""The exports of a plan: scripts that no name can break, that stop, resume and refuse; a runbook for someone cold."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import time
from dataclasses import replace

import jmespath
import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cirtlib.containment import catalogue, scripts
from cirtlib.containment.planning import build
from cirtlib.containment.render import save
from cirtlib.containment.scripts import plan_json
from cirtlib.containment.step import NOW, Ref, call, quoted, read
from cirtlib.containment.validate import SCHEMA
from tests import plan_sample as sample
from tests.fake_aws import FakeAws
from tests.hostile import HOSTILE, everywhere, small
from tests.plan_sample import DEV, HOME, MADE, SECOND, USER


@pytest.fixture(scope="module")
def plan():
    """The plan of the sample, less the step that only records a machine: its many reads say nothing of the scripts."""
    made = build(sample.incident())
    return replace(made, steps=tuple(step for step in made.steps if not step.id.endswith("-record")))


@pytest.fixture
def fake(tmp_path):
    """Make a fake `aws` beside the exported scripts of a plan."""

    def make(plan):
        save(plan, tmp_path / "plan")
        return FakeAws(tmp_path / "fake", tmp_path / "plan")

    return make


def test_plan_json_is_as_its_schema_says(plan):
    """plan.json validates against the schema that ships, and the schema refuses what it does not know."""
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    content = json.loads(plan_json(plan))
    jsonschema.validate(content, schema)
    content["steps"][0]["phase"] = "panic"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, schema)


def test_everything_is_written(plan, tmp_path):
    """The folder holds the plan in every form; scripts can be run, and nobody else can read them."""
    save(plan, tmp_path)
    names = {file.name: oct(file.stat().st_mode & 0o777) for file in tmp_path.iterdir()}
    assert names == {
        "plan.json": "0o600", "runbook.md": "0o600", "runbook.html": "0o600",
        "tickets.csv": "0o600", "cacao.json": "0o600",
        "contain.sh": "0o700", "verify.sh": "0o700", "rollback.sh": "0o700",
    }  # fmt: skip


@pytest.mark.parametrize("script", ["contain.sh", "verify.sh", "rollback.sh"])
def test_print_only_calls_nothing(plan, fake, script):
    """Without --execute nothing is called and nothing is kept; every step is shown."""
    aws = fake(plan)
    result = aws.run(script)
    assert (result.returncode, result.stderr) == (0, "")
    assert all(f"[{step.id}]" in result.stdout for step in plan.steps)
    assert aws.calls() == []
    assert not list(aws.scripts.glob("state-*"))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_do_nothing(name, fake):
    """Whatever a resource is called: nothing runs, and AWS is asked about exactly that name."""
    user = f"arn:aws:iam::{HOME}:user/x"
    step = catalogue.leave_group(user, name)
    aws = fake(small(replace(step, title=f"Take x out of {name}"), contained_callers=()))
    assert aws.run("contain.sh").returncode == 0
    aws.caller(HOME)
    aws.step(step)
    result = aws.run("contain.sh", "--execute")
    assert (result.returncode, result.stderr) == (0, "")
    assert ("iam", "remove-user-from-group", {"UserName": "x", "GroupName": name}) in aws.inputs()
    assert not list(aws.folder.rglob("pwned")) + list(aws.scripts.rglob("pwned"))
    assert "\u202e" not in result.stdout


def test_literals_and_references_side_by_side(fake):
    """In one call, a name that looks like a reference stays, and the reference beside it is filled in."""
    step = catalogue.revoke(f"arn:aws:iam::{HOME}:role/${{now}}", after="x")
    aws = fake(small(replace(step, wait=None, verify=catalogue.deny_role(DEV, requires=(), reopens=False).verify)))
    aws.caller(HOME)
    aws.answer(None, {}, True)
    assert aws.run("contain.sh", "--execute").returncode == 0
    given = next(given for _, operation, given in aws.inputs() if operation == "put-role-policy")
    assert given["RoleName"] == "${now}"
    assert "${now}" not in given["PolicyDocument"]


def test_printed_command_is_the_command(fake):
    """What print-only shows can be pasted: bash reads back the same name."""
    name = "it's `$(touch pwned)`"
    aws = fake(small(catalogue.leave_group(f"arn:aws:iam::{HOME}:user/x", name)))
    line = next(line for line in aws.run("contain.sh").stdout.splitlines() if line.startswith("    run: "))
    (aws.scripts / "pasted.sh").write_text(line.removeprefix("    run: "))
    aws.answer({})
    aws.run("pasted.sh")
    assert aws.inputs() == [("iam", "remove-user-from-group", {"UserName": "x", "GroupName": name})]


def until(there):
    """Wait until something is so, at most ten seconds."""
    end = time.monotonic() + 10
    while not there() and time.monotonic() < end:
        time.sleep(0.05)
    assert there()


def answer_all(aws, plan, entered=frozenset()):
    entered = set(entered)
    for step in plan.steps:
        if step.account not in entered:
            aws.caller(step.account)
            entered.add(step.account)
        aws.step(step)


def test_whole_run_fills_in_what_it_captured(plan, fake):
    """Every step is called in order; the revocation carries the time of the run; the rollback the captured trust."""
    aws = fake(plan)
    answer_all(aws, plan)
    result = aws.run("contain.sh", "--execute", "--wait", "0")
    assert (result.returncode, result.stderr) == (0, "")
    done = [operation for _, operation, _ in aws.inputs()]
    changes = [scripts.cli_operation(step.api) for step in plan.steps]
    assert [one for one in done if one in changes] == changes
    documents = [given["PolicyDocument"] for _, operation, given in aws.inputs() if operation == "put-role-policy"]
    times = [json.loads(one)["Statement"][0]["Condition"]["DateLessThan"]["aws:TokenIssueTime"] for one in documents]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", one) for one in times)
    assert times == sorted(times)
    assert times[0] > plan.as_of
    state = next(aws.scripts.glob("state-*"))
    log = (state / "log.tsv").read_text()
    assert times[0] in log
    assert all(f"\t{step.id}\t" in log for step in plan.steps)
    assert {"plan.json", "rollback.sh", "verify.sh"} <= {file.name for file in state.iterdir()}


def test_captured_state_comes_back(fake):
    """A captured policy, quotes, newlines and all, is what the rollback puts back."""
    trust = catalogue.Trust(sample.BACKDOOR, sample.TRUST, ("e",), "x", exact=True)
    aws = fake(small(catalogue.close_trust(DEV, trust)))
    captured = json.dumps({"Sid": 'it\'s "a"\n$(touch pwned) & é'})
    aws.caller(HOME)
    aws.answer(captured, True, {}, True)
    assert aws.run("contain.sh", "--execute").returncode == 0
    aws.caller(HOME)
    refused = aws.run("rollback.sh", "--execute", "--step", "01-close-door")
    assert refused.returncode == 1
    assert "REFUSED" in refused.stdout
    aws.caller(HOME)
    aws.answer({})
    assert aws.run("rollback.sh", "--execute", "--reopen-attacker-access").returncode == 0
    assert aws.inputs()[-1] == ("iam", "update-assume-role-policy", {"RoleName": "devRole", "PolicyDocument": captured})


def test_stops_and_goes_on(plan, fake):
    """A failure stops the run; the next run goes on with that step, and keeps what was captured first."""
    aws = fake(plan)
    logging, protect = plan.steps[:2]
    aws.caller(HOME)
    aws.step(logging)
    aws.answer(False, RuntimeError("AccessDenied: no \033[2J"))
    stopped = aws.run("contain.sh", "--execute")
    assert stopped.returncode == 1
    assert f"{protect.id} failed: AccessDenied" in stopped.stderr
    assert "\033" not in stopped.stderr
    before = len(aws.calls())
    aws.caller(HOME)
    aws.answer(False, {}, True)
    assert aws.run("contain.sh", "--execute", "--step", protect.id).returncode == 0
    assert [operation for _, operation, _ in aws.inputs()[before:]] == [
        "get-caller-identity", "describe-instance-attribute", "modify-instance-attribute",
        "describe-instance-attribute",
    ]  # fmt: skip


def test_what_is_not_there_is_an_answer(fake):
    """A password that is gone after its deletion passes the check; one that was gone before is no failure."""
    plan = small(catalogue.delete_login_profile(MADE), catalogue.delete_login_profile(USER))
    aws = fake(plan)
    missing = RuntimeError("An error occurred (NoSuchEntity) when calling the GetLoginProfile operation")
    aws.caller(HOME)
    aws.answer("object", {}, missing, missing, missing)
    result = aws.run("contain.sh", "--execute")
    assert (result.returncode, result.stderr) == (0, "")
    assert "it is so already" in result.stdout


def test_target_that_changed_stops_the_run(fake):
    """A target that is no longer as recorded stops the run; one that is already as wanted is passed."""
    step = catalogue.deny_role(DEV, requires=(), reopens=False)
    key = catalogue.key_inactive(MADE, "AKIAIOSFODNN7EXAMPLE")
    aws = fake(small(step, key))
    aws.caller(HOME)
    aws.answer(True, True, None, None)
    result = aws.run("contain.sh", "--execute")
    assert result.returncode == 1
    assert "it is so already" in result.stdout
    assert "no longer as the plan recorded it (status is null" in result.stderr
    assert not [one for one in aws.inputs() if one[1] in ("attach-role-policy", "update-access-key")]


@pytest.mark.parametrize(
    ("account", "arn", "said"),
    [
        (SECOND, "arn:aws:sts::{account}:assumed-role/IncidentResponder/me", "not of 111122223333"),
        (HOME, "arn:aws:sts::{account}:assumed-role/devRole/me", "is contained by this plan"),
        (HOME, USER, "is contained by this plan"),
        (HOME, "arn:aws:sts::{account}:assumed-role/devRoleX/me", ""),
    ],
)
def test_caller_is_checked_first(plan, fake, account, arn, said):
    """The wrong account, and a caller whom the plan contains, are refused before anything is touched."""
    aws = fake(plan)
    aws.caller(account, arn)
    aws.step(plan.steps[0])
    result = aws.run("contain.sh", "--execute", "--step", plan.steps[0].id)
    assert result.returncode == (1 if said else 0)
    assert said in result.stderr
    assert len(aws.calls()) == (1 if said else 4)


def test_profile_of_the_account_is_used(plan, fake):
    """Each account is called with its own profile, as one word whatever it holds."""
    aws = fake(plan)
    aws.caller(HOME)
    aws.step(plan.steps[0])
    options = ["--profile-for", f"{SECOND}=other", "--profile-for", f"{HOME}=-my $(touch pwned)"]
    assert aws.run("contain.sh", "--execute", "--step", plan.steps[0].id, *options).returncode == 0
    assert {call[0] for call in aws.calls()} == {"--profile=-my $(touch pwned)"}


@pytest.mark.parametrize(
    "options",
    [["--step", "99-no"], ["--account", "1"], ["--wait", "soon"], ["--profile-for", "x"], ["--exec"], ["--state"]],
)
def test_wrong_options_are_refused(plan, fake, options):
    """A mistyped option is a usage error, and nothing runs."""
    aws = fake(plan)
    result = aws.run("contain.sh", "--execute", *options)
    assert result.returncode == 2
    assert result.stderr
    assert aws.calls() == []


def test_step_waits_for_what_it_depends_on(plan, fake):
    """A single step is refused while one that it depends on is not done, unless the order is waived."""
    revoke = next(step for step in plan.steps if step.id.endswith("-revoke"))
    aws = fake(plan)
    aws.caller(HOME)
    result = aws.run("contain.sh", "--execute", "--step", revoke.id)
    assert "depends on" in result.stderr
    assert len(aws.calls()) == 1


def test_one_account_at_a_time(fake):
    """With --account only that account's steps run, and nobody asks for credentials of another."""
    plan = small(
        catalogue.deny_role(DEV, requires=(), reopens=False),
        catalogue.deny_role(sample.PARTNER, requires=(), reopens=False),
    )
    aws = fake(plan)
    aws.caller(SECOND)
    aws.step(plan.steps[1])
    assert aws.run("contain.sh", "--execute", "--account", SECOND).returncode == 0
    assert [given["RoleName"] for _, _, given in aws.inputs()[1:]] == ["partnerRole"] * 3


def test_state_of_another_plan_is_refused(plan, fake):
    """Captured state belongs to one plan: another plan's scripts do not touch it."""
    aws = fake(plan)
    (aws.scripts / "s").mkdir()
    (aws.scripts / "s" / "plan").write_text("other\n")
    result = aws.run("contain.sh", "--execute", "--state", str(aws.scripts / "s"))
    assert result.returncode == 1
    assert "another plan" in result.stderr


def test_rollback_guards(fake):
    """A deny is lifted only while the rest stands; a revocation only when its sessions have run out."""
    deny = catalogue.deny_role(DEV, requires=(f"revoke-again {DEV}",), reopens=False)
    again = catalogue.revoke(DEV, after=f"revoke {DEV}", again=True)
    plan = small(deny, catalogue.revoke(DEV, after=f"deny {DEV}"), again)
    aws = fake(plan)
    answer_all(aws, plan)
    assert aws.run("contain.sh", "--execute", "--wait", "0").returncode == 0
    aws.caller(HOME)
    aws.answer({})
    result = aws.run("rollback.sh", "--execute")
    assert "sessions from before the cut-off can still be alive" in result.stdout
    assert aws.inputs()[-1][1] == "detach-role-policy"
    state = next(aws.scripts.glob("state-*"))
    epoch = state / "03-revoke-again" / "epoch"
    epoch.write_text(str(int(epoch.read_text()) - 12 * 3600))
    aws.caller(HOME)
    aws.answer({})
    assert "REFUSED" not in aws.run("rollback.sh", "--execute").stdout
    assert aws.inputs()[-1][1] == "delete-role-policy"


def test_deny_stays_without_the_revocation(fake):
    """The deny is not lifted when the revocation was never made."""
    deny = catalogue.deny_role(DEV, requires=(f"revoke-again {DEV}",), reopens=False)
    plan = small(
        deny, catalogue.revoke(DEV, after=f"deny {DEV}"), catalogue.revoke(DEV, after=f"revoke {DEV}", again=True)
    )
    aws = fake(plan)
    aws.caller(HOME)
    aws.step(deny)
    assert aws.run("contain.sh", "--execute", "--step", "01-deny").returncode == 0
    aws.caller(HOME)
    result = aws.run("rollback.sh", "--execute", "--step", "01-deny")
    assert result.returncode == 1
    assert "03-revoke-again does not stand" in result.stdout


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_in_every_place(name, fake):
    """A text in a title, an ARN, a note, a caller: printed, never run, in every script and print."""
    aws = fake(everywhere(name))
    for script in ("contain.sh", "verify.sh", "rollback.sh"):
        result = aws.run(script)
        assert (result.returncode, result.stderr) == (0, "")
        assert "\u202e" not in result.stdout
        assert "\x1b" not in result.stdout
    assert aws.calls() == []
    assert not list(aws.folder.rglob("pwned")) + list(aws.scripts.rglob("pwned"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.one_of(st.text(max_size=40), st.text(alphabet="'\"\\$`(){}|&;<>*?!~#\n\t -=u0now.", max_size=40)))
def test_any_text_comes_through_bash(text, tmp_path):
    """The command of a call, read by bash, hands over exactly the text, as JSON and inside a JMESPath literal."""
    api = call("iam", "GetGroup", GroupName=text, Marker=NOW)
    command = scripts.command(api, "us-east-1", f"Group.Name == {quoted(text)}")
    program = f"aws() {{ printf '%s\\0' \"$@\"; }}\nNOW=then\n{command}\n"
    done = subprocess.run(["bash", "-u"], input=program, capture_output=True, text=True, cwd=tmp_path, check=True)
    words = done.stdout.split("\0")[:-1]
    assert words[:6] == ["--region", "us-east-1", "--output", "json", "iam", "get-group"]
    assert json.loads(words[7]) == {"GroupName": text, "Marker": "then"}
    assert jmespath.search(words[9], {"Group": {"Name": text}}) is True
    assert list(tmp_path.iterdir()) == []


def test_killed_midway_and_resumed(plan, fake):
    """Killed while a change is under way, the next run sees that it was made, does not make it again, and goes on."""
    aws = fake(plan)
    aws.caller(HOME)
    aws.step(plan.steps[0])
    protect = plan.steps[1]
    aws.answer(False)  # its capture
    (aws.folder / f"wait.{aws.given}").touch()  # the change hangs
    aws.answer({})
    running = aws.start("contain.sh", "--execute", "--wait", "0")
    try:
        until((aws.folder / "hanging").exists)
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    state = next(aws.scripts.glob("state-*"))
    assert (state / plan.steps[0].id / "done").is_file()
    assert not (state / protect.id / "done").exists()
    before = len(aws.calls())
    aws.caller(HOME)
    aws.answer(True)  # it was made
    answer_all(aws, replace(plan, steps=plan.steps[2:]), entered={HOME})
    result = aws.run("contain.sh", "--execute", "--wait", "0")
    assert (result.returncode, result.stderr) == (0, "")
    assert "done by an earlier run" in result.stdout
    again = [operation for _, operation, _ in aws.inputs()[before:]]
    assert again[:2] == ["get-caller-identity", scripts.cli_operation(protect.verify["api"])]
    assert scripts.cli_operation(plan.steps[0].api) not in again
    assert all((state / step.id / "done").is_file() for step in plan.steps)
    assert not (state / protect.id / "already").exists()
    log = (state / "log.tsv").read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\tcontain.sh\t", line) for line in log)


def made_group():
    """A step that makes a thing, whose id its check and its rollback need; and one that uses it."""
    made = Ref("${self.group_id}")
    make = catalogue.leave_group(f"arn:aws:iam::{HOME}:user/x", "g")
    return replace(
        make, key="isolate x", reopens=False, captures={}, outputs={"group_id": "GroupId"},
        api=call("ec2", "CreateSecurityGroup", GroupName="iso", Description="d", VpcId="vpc-1"),
        verify=read(call("ec2", "DescribeSecurityGroups", GroupIds=[made]), "length(SecurityGroups)", expected=1),
        rollback={"api": call("ec2", "DeleteSecurityGroup", GroupId=made)},
    )  # fmt: skip


def test_what_a_step_puts_out(fake):
    """The id of a thing that a step made reaches its check and its rollback; a second run does not make another."""
    aws = fake(small(made_group()))
    aws.caller(HOME)
    aws.answer("sg-1", RuntimeError("ThrottlingException"), *[RuntimeError("ThrottlingException")] * 4)
    assert aws.run("contain.sh", "--execute").returncode == 1
    aws.caller(HOME)
    aws.answer(1)
    result = aws.run("contain.sh", "--execute")
    assert (result.returncode, result.stderr) == (0, "")
    operations = [operation for _, operation, _ in aws.inputs()]
    assert operations.count("create-security-group") == 1
    assert aws.inputs()[-1] == ("ec2", "describe-security-groups", {"GroupIds": ["sg-1"]})
    assert aws.calls()[1][-2:] == ["--query", "GroupId"]
    aws.caller(HOME)
    aws.answer({})
    assert aws.run("rollback.sh", "--execute").returncode == 0
    assert aws.inputs()[-1] == ("ec2", "delete-security-group", {"GroupId": "sg-1"})


def test_several_outputs(fake):
    """Of several outputs each is kept under its own name."""
    step = replace(made_group(), outputs={"group_id": "GroupId", "owner": "OwnerId", "none": "Nothing"})
    aws = fake(small(step))
    aws.caller(HOME)
    aws.answer(["sg-1, x", HOME, None], 1)
    assert aws.run("contain.sh", "--execute").returncode == 0
    state = next(aws.scripts.glob("state-*")) / "01-isolate"
    assert {name: json.loads((state / f"{name}.json").read_text()) for name in step.outputs} == {
        "group_id": "sg-1, x", "owner": HOME, "none": None,
    }  # fmt: skip


def test_brakes_are_exported_apart(plan, tmp_path):
    """An emergency plan lies in a folder of its own with its own scripts; one that is gone is taken away again."""
    brake = replace(small(made_group()), title="Freeze account 111122223333: identities!")
    save(replace(plan, brakes=(brake,)), tmp_path)
    folder = tmp_path / "brake-freeze-account-111122223333-identities"
    assert {"plan.json", "runbook.md", "runbook.html", "contain.sh", "rollback.sh", "verify.sh"} <= {
        file.name for file in folder.iterdir()
    }
    assert brake.steps[0].id not in (tmp_path / "contain.sh").read_text()
    assert f"({folder.name}/runbook.md)" in (tmp_path / "runbook.md").read_text()
    (folder / "state-1").mkdir()
    save(plan, tmp_path)
    assert [file.name for file in folder.iterdir()] == ["state-1"]


def test_a_case_is_exported_whole(own_incident):
    """Beside the plan's own forms lie those that rest on the case; a second export gives the same bytes."""
    from cirtlib.containment import write

    folder = own_incident.out / "plan"
    plan = write(own_incident)
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert set(files) == {
        "plan.json", "runbook.md", "runbook.html", "contain.sh", "verify.sh", "rollback.sh", "tickets.csv",
        "cacao.json", "indicators.csv", "hub_updates.json", "hub_updates.sh", "aws_runbooks.json",
    }  # fmt: skip
    answered = {one["finding"] for one in json.loads(files["hub_updates.json"])["updates"]}
    assert answered
    assert answered <= {one for step in plan.steps for one in step.why}
    rows = list(csv.DictReader(io.StringIO(files["indicators.csv"].decode())))
    assert {"yes", "no"} == {row["block"] for row in rows if row["kind"] == "address"}
    write(own_incident)
    assert files == {file.name: file.read_bytes() for file in folder.iterdir()}
