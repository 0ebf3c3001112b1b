"""The plan for an instance whose credentials were taken, run with the AWS CLI against accounts in its state."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jmespath
import pytest
from botocore import xform_name

from cirtlib import containment, decisions, queries, scope
from cirtlib.case import load_case
from cirtlib.collect import collect
from cirtlib.containment import asr
from cirtlib.containment.step import call
from cirtlib.intake import start

pytestmark = pytest.mark.integration


class Run:
    """What the exported plan said, and the accounts before it and after each script."""

    def __init__(self, folder, emulated, instance_arn):
        self.folder, self.emulated, self.instance_arn = folder, emulated, instance_arn
        self.plan = json.loads((folder / "plan.json").read_text())
        self.codes, self.said, self.states = {}, {}, {"attacked": emulated.state()}

    def call(self, script, *options, stage):
        given = [
            part
            for account, profile in self.emulated.profiles.items()
            for part in ("--profile-for", f"{account}={profile}")
        ]
        environment = self.emulated.environment()
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        mine = [step["id"] for step in self.plan["steps"] if step["target"] == self.instance_arn]
        only = [part for step in mine for part in ("--step", step)]
        command = ["bash", str(self.folder / script), "--execute", *given, *only, *options]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=1800)
        self.codes[stage], self.said[stage] = done.returncode, done.stdout + done.stderr
        self.states[stage] = self.emulated.state()

    def instance(self, stage, instance):
        return self.instances(stage)[instance.rsplit("/", 1)[-1]]

    def instances(self, stage):
        found = self.states[stage]["accounts"].values()
        return {one["InstanceId"]: one for account in found for one in account["instances"]}


def aws(emulated, step, api):
    """Answer of one call of a step, by the AWS CLI."""
    command = [str(Path(sys.executable).parent / "aws")]
    command += ["--profile", emulated.profiles[step.account], "--region", step.region, api["service"]]
    command += [xform_name(api["operation"], "-"), "--cli-input-json", json.dumps(api["parameters"])]
    done = subprocess.run(command, env=emulated.environment(), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def by_asr(case, emulated):
    """The plan's step that closes the way in, by ASR's runbook: status and the group's rules before and after."""
    (direct,) = [step for step in containment.plan(case).steps if step.key.startswith("close-port")]
    findings = queries.findings(case).set_index("finding_id")
    (name,) = [one for one in direct.why if one in findings.index]
    finding = json.loads(findings.loc[name, "details"])
    control = finding["Compliance"]["SecurityControlId"]
    role = f"arn:aws:iam::{direct.account}:role/SO0111-Remediate-SC-2.0.0-{control}"
    step = asr.by_asr(finding, direct, f"ASR-SC_2.0.0_{asr.runbooks()[control]}", role, actions=())
    before = aws(emulated, step, step.verify["api"])
    started = aws(emulated, step, step.api)
    ended = aws(emulated, step, call("ssm", "GetAutomationExecution", **started))
    after = aws(emulated, step, step.verify["api"])
    return {
        "status": ended["AutomationExecution"]["AutomationExecutionStatus"],
        "before": jmespath.search(step.verify["jmespath"], before),
        "after": jmespath.search(step.verify["jmespath"], after),
        "expected": step.verify["expected"],
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    from cirtlib.training.account import serve
    from cirtlib.training.generator import generate

    work = tmp_path_factory.mktemp("instance")
    made = generate("misconfigured_resource", seed=2, out=work / "source")
    content = {"as_of": made.as_of.isoformat()}
    seeds = [f"finding={made.seed_finding}"]
    case = start(work / "case", logs=[made.logs], findings=[made.findings], seeds=seeds, content=content)
    collect(case)
    truth = json.loads(made.truth.read_text())
    instance = truth["leads"][0]
    scope.write(case)
    containment.write(case)
    suspected = json.loads((case.out / "plan" / "plan.json").read_text())
    decisions.decide(case, "confirmed", f"resource:{instance}", reason="its credentials were used from outside")
    case = load_case(work / "case")
    scope.write(case)
    containment.write(case)
    state = json.loads((made.truth.parent / "state_after.json").read_text())
    with serve(state, work / "aws") as emulated:
        closed = by_asr(case, emulated)
        result = Run(case.out / "plan", emulated, instance)
        result.suspected, result.confirmed = suspected, instance
        result.asr = closed
        result.call("contain.sh", stage="contained")
        result.call("verify.sh", stage="verified")
        result.call("rollback.sh", stage="rolled back")
        result.call("rollback.sh", "--reopen-attacker-access", stage="reopened")
    return result


def test_a_lead_is_left_alone_and_named(run):
    """Before the analyst confirms it no step touches the instance, and a warning gives the command."""
    assert not [step for step in run.suspected["steps"] if step["target"] == run.confirmed]
    assert [text for text in run.suspected["warnings"] if f"cirt confirm CASE 'resource:{run.confirmed}'" in text]


def test_contained(run):
    """contain.sh and verify.sh end well."""
    assert run.codes["contained"] == 0, run.said["contained"][-3000:]
    assert run.codes["verified"] == 0, run.said["verified"][-3000:]


def test_the_instance_is_cut_off_and_kept(run):
    """One group without rules, no metadata, no profile; running still, kept with its volumes, copied."""
    one = run.instance("contained", run.confirmed)
    (groups,) = one["Isolated"]
    assert len(groups) == 1
    assert groups[0].startswith("cirt-isolation-")
    account = run.states["contained"]["accounts"][run.confirmed.split(":")[4]]
    assert account["isolation_groups"][groups[0]] == 0
    assert (one["Metadata"], one["State"], one["Protected"]) == ("disabled", "running", True)
    assert one["KeptVolumes"]
    assert "IamInstanceProfile" not in one
    assert len(account["snapshots"]) > len(run.states["attacked"]["accounts"][run.confirmed.split(":")[4]]["snapshots"])


def test_asr_closes_the_way_in(run):
    """The runbook ends well, and the port that was open to the world is closed."""
    assert (run.asr["status"], run.asr["before"], run.asr["after"]) == ("Success", 1, run.asr["expected"])


def test_no_other_instance_changed(run):
    """Instances that no step that ran names are as they were; so are all security groups that were there."""
    before, after = run.instances("attacked"), run.instances("contained")
    others = before.keys() - {run.confirmed.rsplit("/", 1)[-1]}
    assert others
    assert all(before[name] == after[name] for name in others)
    for account, content in run.states["attacked"]["accounts"].items():
        now = {group["GroupId"]: group for group in run.states["contained"]["accounts"][account].get("groups", [])}
        assert all(now[group["GroupId"]] == group for group in content.get("groups", []))


def test_rollback_opens_nothing_by_itself(run):
    """Without the switch the instance stays isolated; with it groups, profile and metadata are as they were."""
    assert run.codes["rolled back"] == 1, run.said["rolled back"][-3000:]
    assert "REFUSED" in run.said["rolled back"]
    assert run.instance("rolled back", run.confirmed)["Isolated"]
    assert run.codes["reopened"] == 0, run.said["reopened"][-3000:]
    assert run.instance("reopened", run.confirmed) == run.instance("attacked", run.confirmed)
    assert not [one for one in run.states["reopened"]["accounts"].values() if "isolation_groups" in one]
