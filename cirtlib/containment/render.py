"""How a plan is exported: plan.json, the runbook for people, and the three scripts."""

import hashlib
import json
from pathlib import Path

from cirtlib.case import Case
from cirtlib.containment import scripts
from cirtlib.containment.planning import plan as make
from cirtlib.containment.step import Plan, Step
from cirtlib.scope import Scope
from cirtlib.text import visible

_PHASES = {
    "preserve": "Preserve: logging back on, evidence before it can be lost",
    "contain": "Contain: take the attacker's access away",
    "eradicate": "Eradicate: undo what the attacker made",
    "recover": "Recover",
}


def write(case: Case, *, scope: Scope | None = None) -> Plan:
    """Write the plan of a case into out/plan/, and return it.

    Raises
    ------
    PlanError
        when the plan must not be exported; nothing is written then.
    """
    result = make(case, scope=scope)
    save(result, case.out / "plan")
    return result


def save(plan: Plan, folder: Path) -> None:
    """Write plan.json, runbook.md, contain.sh, verify.sh and rollback.sh into `folder`."""
    text = plan_json(plan)
    plan_id = hashlib.sha256(text.encode()).hexdigest()[:16]
    files = {
        "plan.json": text,
        "runbook.md": runbook(plan),
    }
    programs = {
        "contain.sh": scripts.contain(plan, plan_id),
        "verify.sh": scripts.verify(plan, plan_id),
        "rollback.sh": scripts.rollback(plan, plan_id),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (files | programs).items():
        file = folder / name
        if not file.is_file() or file.read_bytes() != content.encode():  # bash may be reading it at this moment
            file.write_text(content, encoding="utf-8", newline="\n")
        file.chmod(0o700 if name in programs else 0o600)


def plan_json(plan: Plan) -> str:
    """Text of plan.json: ASCII, so that no invisible character hides in it."""
    return json.dumps(plan.to_dict(), indent=2) + "\n"


def runbook(plan: Plan) -> str:
    """Markdown runbook: what is done, why, how to see that it holds, how to undo it."""
    lines = [f"# Containment plan: {_code(plan.title)}", ""]
    lines += [
        f"Case {_code(plan.case)}, made from the evidence as of {plan.as_of}.",
        f"{len(plan.steps)} steps in {len(plan.accounts)} accounts: {', '.join(plan.accounts)}.",
        "",
        *_warnings(plan),
        *_how(plan),
    ]
    for phase, title in _PHASES.items():
        steps = [step for step in plan.steps if step.phase == phase]
        lines += [f"## {title}", ""] if steps else []
        for step in steps:
            lines += _section(step)
    lines += _back(plan)
    if plan.unplanned:
        lines += ["## Without a step, and why", ""]
        lines += [f"* {_code(one['node'])}: {visible(one['reason'])}." for one in plan.unplanned] + [""]
    return "\n".join(lines)


def _warnings(plan: Plan) -> list[str]:
    if not plan.warnings:
        return []
    return ["## Decide first", "", *(f"* [ ] {visible(one)}" for one in plan.warnings), ""]


def _how(plan: Plan) -> list[str]:
    profiles = " ".join(f"--profile-for {account}=PROFILE" for account in plan.accounts)
    contained = (
        ", ".join(_code(one["arn"] + ("*" if one["prefix"] else "")) for one in plan.contained_callers) or "none"
    )
    return [
        "## How to run it",
        "",
        "Read the steps; tick each when it is approved. Then, with the AWS CLI and one profile for each account",
        f"(none of which may be one of these, which the plan contains: {contained}):",
        "",
        "```bash",
        f"./contain.sh {profiles}              # prints what it would do",
        f"./contain.sh --execute {profiles}",
        f"./verify.sh --execute {profiles}",
        "```",
        "",
        "It stops at the first failure and goes on from there when it is run again. What it captured, and a log with",
        "times, lie in the folder `state-...` beside it: keep that folder, for the rollback needs it. Watch the",
        "contained identities in CloudTrail for 30 minutes afterwards: only denied calls should be left.",
        "",
        "The order matters: everything is denied and the doors are closed before sessions are revoked, or those minted",
        "in between would live again when the deny is lifted. The time of a revocation is that of its run, never",
        "that of this plan. In the commands below `${now}` is that time, and `${STEP.NAME}` what a step saved as NAME.",
        "",
        "## At a glance",
        "",
        *(f"* [ ] {step.id}, account {step.account}: {_text(step.title)}" for step in plan.steps),
        "",
    ]


def _section(step: Step) -> list[str]:
    lines = [f"### [ ] {step.id}: {_text(step.title)}", ""]
    lines += [f"* Target: {_code(step.target)}, account {step.account}, Region {step.region}"]
    techniques = f" Techniques: {', '.join(step.techniques)}." if step.techniques else ""
    why = ", ".join(_code(one) for one in step.why) or "see the scope"
    lines += [f"* Why ({step.confidence}): {why}.{techniques}"]
    lines += [f"* Covers: {', '.join(_code(node) for node in step.nodes)}"] if step.nodes else []
    lines += [f"* After: {', '.join(step.depends_on)}"] if step.depends_on else []
    if step.wait:
        lines += [f"* Wait until {step.wait['seconds']} seconds after {step.wait['after']}"]
    lines += [f"* Impact: {_text(step.impact)}"]
    lines += [f"* Side effect: {_text(one)}" for one in step.side_effects]
    lines += [f"* Needs: {', '.join(step.permissions)}", ""]
    for name, one in step.captures.items():
        must = f" (must be `{json.dumps(one['expected'])}`)" if "expected" in one else ""
        lines += _command(f"First save {name}{must}:", _query(one, step.region))
    lines += _command("Run:", scripts.command(step.api, step.region))
    said = f"Check that it says `{json.dumps(step.verify['expected'])}`:"
    lines += _command(said, _query(step.verify, step.region))
    return lines + _undoing(step)


def _undoing(step: Step) -> list[str]:
    note = _text(step.rollback_note)
    if isinstance(step.rollback, str):
        return [f"Not undone. {note}", ""]
    limits = (
        ["**It would let the attacker in again: refused without `--reopen-attacker-access`.**"] if step.reopens else []
    )
    if step.rollback["requires"]:
        limits.append(f"Only while these stand: {', '.join(step.rollback['requires'])}.")
    if step.rollback["not_before"]:
        late = step.rollback["not_before"]
        limits.append(f"Not before {late['seconds'] // 3600} hours after {late['step']}.")
    text = " ".join(["Undo:", *limits, note]).strip()
    return _command(text, scripts.command(step.rollback["api"], step.region))


def _query(one: dict[str, object], region: str) -> str:
    api, jmespath = one["api"], str(one["jmespath"]).replace("$${", "${")
    return f"{scripts.command(api, region)} --query {scripts.quote(jmespath)}"  # type: ignore[arg-type]


def _command(lead: str, text: str) -> list[str]:
    return [lead, "", "~~~bash", text, "~~~", ""]


def _back(plan: Plan) -> list[str]:
    if not plan.recovery:
        return []
    lines = ["## Recover: give service back", ""]
    for one in plan.recovery:
        lines += [f"* [ ] {_text(one['title'])}, when {_text(one['when'])}: {one['how']}"]
    return [*lines, ""]


def _text(text: str) -> str:
    """Text that may hold a name from a log, as Markdown without markup."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>#|&!" else c for c in visible(text))


def _code(text: str) -> str:
    """Text from a log as a Markdown code span."""
    safe = visible(text)
    fence = "``" if "`" in safe and "``" not in safe else "`"
    if fence == "`":
        safe = safe.replace("`", "'")
    return f"{fence} {safe} {fence}" if fence == "``" else f"`{safe}`"
