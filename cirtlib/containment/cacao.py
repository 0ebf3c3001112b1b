"""A plan as a CACAO 2.0 playbook (OASIS, 2023), for an orchestrator that keeps people in the loop.

The command of a step is contain.sh with the step's id, not the bare AWS call: so the checks of the caller and of the
target, the saved state, the waits, the log and the rollback are the same whoever runs the plan, and no text from a log
stands in a command at all.
"""

import json
import re
import uuid
from collections.abc import Sequence
from typing import Any

from cirtlib.containment import approval, scripts
from cirtlib.containment.step import Plan, Step
from cirtlib.text import visible

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:cirtlib:cacao")
_ACTIVITIES = {
    "preserve": "configure-systems",
    "contain": "restrict-access",
    "eradicate": "eliminate-risk",
    "recover": "restore-capabilities",
}
_VARIABLE = re.compile(r"__(?=\S+__:)")
_Json = dict[str, Any]


def cacao(plan: Plan) -> str:
    """Text of cacao.json. Ids come from the plan's own id, times from its `as_of`: the same plan, the same bytes."""
    return json.dumps(playbook(plan), indent=2) + "\n"


def playbook(plan: Plan) -> _Json:
    """Playbook: start, then for each phase its approval and its steps, then the check of all of them, then the end."""
    made = _Maker(scripts.plan_id(plan), plan)
    time = plan.as_of.replace("Z", ".000Z")
    workflow = _workflow(plan, made)
    targets = {
        made.id("organization", account): {
            "type": "organization",
            "name": f"AWS account {account}",
            "description": "Reached through the AWS CLI, with the profile in the variable of this account.",
        }
        for account in plan.accounts
    }
    activities = dict.fromkeys(_activity(step) for step in _steps(plan))
    return {
        "type": "playbook",
        "spec_version": "cacao-2.0",
        "id": made.id("playbook", "playbook"),
        "name": _plain(f"Containment plan {plan.case}: {plan.title}"),
        "description": "Made by cirtlib. Run in the folder of contain.sh and verify.sh of this plan; runbook.md beside "
        "them says what each step does, breaks and leaves, and how to undo it (rollback.sh).",
        "playbook_types": ["mitigation", "remediation"],
        "playbook_activities": list(activities) or ["step-sequence"],
        "created_by": f"identity--{uuid.uuid5(_NAMESPACE, 'cirtlib')}",
        "created": time,
        "modified": time,
        "labels": ["aws", "incident-response"],
        "playbook_variables": {
            "__plan__": {"type": "string", "value": made.plan_id, "constant": True, "description": "Id of the plan."},
            **{
                f"__profile_{account}__": {
                    "type": "string",
                    "external": True,
                    "description": f"AWS CLI profile for account {account}; no principal that the plan contains.",
                }
                for account in plan.accounts
            },
        },
        "workflow_start": made.id("start", "start"),
        "workflow": workflow,
        "agent_definitions": made.agents,
        **({"target_definitions": targets} if targets else {}),
    }


class _Maker:
    """Ids of one playbook, and the agents that it names."""

    def __init__(self, plan_id: str, plan: Plan) -> None:
        self.plan_id = plan_id
        self.shell = self.id("linux", "shell")
        self.agents: dict[str, _Json] = {
            self.shell: {
                "type": "linux",
                "name": "Responder's shell",
                "description": "Bash and the AWS CLI, in the folder of this plan.",
                "address": {"dname": ["localhost"]},
            }
        }
        self.profiles = {one: f"--profile-for {one}=__profile_{one}__:value" for one in plan.accounts}

    def id(self, kind: str, name: str) -> str:
        return f"{kind}--{uuid.uuid5(_NAMESPACE, f'{self.plan_id} {kind} {name}')}"

    def person(self, role: str) -> str:
        """Agent who approves or looks: one of each role."""
        name = self.id("individual", role)
        self.agents[name] = {"type": "individual", "name": role, "description": f"Whoever is {role} of this incident."}
        return name


def _workflow(plan: Plan, made: _Maker) -> dict[str, _Json]:
    """Steps by id, each leading to the next; whatever fails leads to a person, and from there to the end."""
    actions: list[tuple[str, _Json]] = []
    for phase in dict.fromkeys(step.phase for step in _steps(plan)):
        steps = [step for step in _steps(plan) if step.phase == phase]
        actions.append(_approval(made, f"approve {phase}", approval.PHASES[phase], f"phase {phase}", steps))
        for step in steps:
            if approval.of_step(step):
                actions.append(_approval(made, f"approve {step.id}", approval.of_step(step), f"step {step.id}", [step]))
            actions.append(_action(made, step))
    if actions:
        actions.append(_verify(made, plan))
    stopped, end = made.id("action", "stopped"), made.id("end", "end")
    names = [name for name, _ in actions]
    workflow: dict[str, _Json] = {
        made.id("start", "start"): {"type": "start", "name": "Start", "on_completion": names[0] if names else end}
    }
    for (name, action), following in zip(actions, [*names, end][1:], strict=True):
        workflow[name] = {**action, "on_success": following, "on_failure": stopped}
    workflow[stopped] = {
        "type": "action",
        "name": "Stopped: look before going on",
        "commands": [_manual("Look at what contain.sh or verify.sh said and at log.tsv in the state folder. When it is "
                             "mended, start the playbook again: what is done is not repeated.")],
        "agent": made.person(approval.LEAD),
        "on_completion": end,
    }  # fmt: skip
    workflow[end] = {"type": "end", "name": "End"}
    return workflow


def _approval(made: _Maker, name: str, role: str, what: str, steps: Sequence[Step]) -> tuple[str, _Json]:
    titles = "; ".join(f"{step.id}: {step.title}" for step in steps)
    said = f"Approve {what}: read runbook.md first; fail this step to stop here. It stands for {titles}"
    return made.id("action", name), {
        "type": "action",
        "name": f"Approval by the {role}",
        "description": _plain(said),
        "commands": [_manual(f"The {role} approves {what} as runbook.md describes it.")],
        "agent": made.person(role),
    }


def _action(made: _Maker, step: Step) -> tuple[str, _Json]:
    said = [step.title, f"Impact: {step.impact}", *(f"Side effect: {one}" for one in step.side_effects)]
    command = f"./contain.sh --execute --step {step.id} {made.profiles[step.account]}"
    profile = f"__profile_{step.account}__"
    return made.id("action", step.id), {
        "type": "action",
        "name": step.id,
        "description": _plain(" ".join(said)),
        "commands": [{"type": "bash", "command": command, "playbook_activity": _activity(step)}],
        "agent": made.shell,
        "targets": [made.id("organization", step.account)],
        "in_args": [profile],
    }


def _verify(made: _Maker, plan: Plan) -> tuple[str, _Json]:
    command = " ".join(["./verify.sh --execute", *made.profiles.values()])
    return made.id("action", "verify"), {
        "type": "action",
        "name": "Verify that every step holds",
        "commands": [{"type": "bash", "command": command}],
        "agent": made.shell,
        "targets": [made.id("organization", account) for account in plan.accounts],
        "in_args": [f"__profile_{account}__" for account in plan.accounts],
    }


def _manual(text: str) -> _Json:
    return {"type": "manual", "command": text}


def _steps(plan: Plan) -> list[Step]:
    """Steps that contain.sh runs."""
    return [step for step in plan.steps if step.phase not in scripts.BY_PEOPLE]


def _activity(step: Step) -> str:
    isolates = step.phase == "contain" and ":instance/" in step.target
    return "disconnect-system" if isolates else _ACTIVITIES[step.phase]


def _plain(text: str) -> str:
    """Text to be read: visible, and with nothing that an orchestrator would take for a variable."""
    return _VARIABLE.sub("_ _", visible(text))
