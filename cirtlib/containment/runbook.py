"""The runbook: what is done, why, what it breaks, how to run, check and undo it, for someone who has only this file."""

import json
import re
from typing import Any

from cirtlib.containment import approval, scripts
from cirtlib.containment.document import (
    Approval,
    Block,
    Code,
    Commands,
    File,
    Heading,
    Items,
    Paragraph,
    Strong,
    Table,
    To,
    Words,
    markdown,
    page,
)
from cirtlib.containment.handwork import by_hand, step_commands, undo_commands
from cirtlib.containment.step import Plan, Step
from cirtlib.text import many

PHASES = {
    "preserve": "Preserve: logging back on, evidence before it can be lost",
    "contain": "Contain: take the attacker's access away",
    "eradicate": "Eradicate: undo what the attacker made",
    "recover": "Recover",
}
_BRAKES = (
    "Each is a plan of its own, in a folder beside this file. No script of this plan runs one. Use a brake only when "
    "the attacker is faster than the steps below, and only when it was decided:"
)
_NEEDED = (
    "Needed: bash, the AWS CLI, and for each account a profile of it that may do what the steps name under “Needs”. In "
    "the lines below write the name of that profile for PROFILE. Run them in the folder in which this file lies. "
)
_ORDER = (
    "The order matters: everything is denied and the doors are closed before sessions are revoked, or those minted in "
    "between would live again when the deny is lifted."
)
_COUNTED = (
    "Counted here, and in the impact of each step, are the days before the attack, with calls that failed; what "
    "breaks, above, counts the calls that succeeded in all of the logs, those during and after the attack too."
)
_TITLES = {
    "attacker.by_step": "Calls of the attacker that are stopped, by the step that stops them",
    "attacker.possible": "Calls of the attacker that stay possible, and why",
    "attacker.unknown": "Calls of the attacker that could not be judged",
    "legitimate.broken": "Calls of others that stop, of those that succeeded in all of the logs",
    "legitimate.unknown": "Calls of others that could not be judged",
}
_LISTED = 5  # of a list in a sentence
_ROWS = 40  # of one table of the effect; plan.json has all


def runbook(plan: Plan) -> str:
    """Markdown runbook."""
    return markdown(blocks(plan))


def runbook_html(plan: Plan) -> str:
    """Runbook as one HTML page that makes no request and runs no script."""
    return page(blocks(plan), title=f"Containment plan {plan.case}", brand="cirtlib containment plan")


def folders(plan: Plan) -> dict[str, Plan]:
    """Subfolder -> emergency plan that is exported there."""
    titles = [brake.title.lower().removeprefix("emergency brake") for brake in plan.brakes]
    slugs = [re.sub(r"[^a-z0-9]+", "-", title).strip("-")[:80].strip("-") for title in titles]
    names = [
        f"brake-{slug}" if slug and slugs.count(slug) == 1 else f"brake-{number}-{slug}".rstrip("-")
        for number, slug in enumerate(slugs, 1)
    ]
    return dict(zip(names, plan.brakes, strict=True))


def blocks(plan: Plan) -> list[Block]:
    """Content of the runbook, in the order in which it is read."""
    accounts = many(len(plan.accounts), "account")
    return [
        Heading(1, ["Containment plan: ", plan.title]),
        Paragraph([
            "Case ", Code(plan.case), f", plan {scripts.plan_id(plan)}, made from the evidence as of {plan.as_of}. ",
            f"{many(len(plan.steps), 'step')} in {accounts}: {', '.join(plan.accounts) or 'none'}. ",
            "Tick and sign as you go; nothing in this file runs anything by itself.",
        ]),
        *_decisions(plan),
        *_effect(plan),
        *_brakes(plan),
        *_how(plan),
        *by_hand(plan),
        *_glance(plan),
        *_phases(plan),
        *_recovery(plan),
        *_unplanned(plan),
    ]  # fmt: skip


def _decisions(plan: Plan) -> list[Block]:
    if not plan.warnings:
        return []
    return [Heading(2, ["Decide first"]), Items([[one] for one in plan.warnings], boxes=True)]


def _effect(plan: Plan) -> list[Block]:
    """What the plan stops and breaks: what was worked out call by call, and who else uses each target."""
    found: list[Block] = [Heading(2, ["What this plan stops, and what it breaks"], "effect")]
    says = plan.effect.get("says", [])
    found += [Items([[one] for one in ([says] if isinstance(says, str) else says)])] if says else []
    if not plan.effect:
        found.append(Paragraph(["What it stops was not worked out call by call: see what each step does not stop."]))
    for path, rows in _tables(plan.effect):
        found += _table(_TITLES.get(path) or path.replace(".", ": ").replace("_", " "), rows)
    found += [Heading(3, ["Who else uses the targets"]), *_usage(plan)]
    limits: dict[str, list[str]] = {}
    for step in plan.steps:
        for one in step.does_not_stop:
            limits.setdefault(one, []).append(step.id)
    if limits:
        found.append(Heading(3, ["What the attacker may still do"]))
        found.append(Items([[text, " (", *_steps(ids), ")"] for text, ids in limits.items()]))
    if plan.exposed:
        found += [Heading(3, ["What stays reachable from the internet"]), Items([[one] for one in plan.exposed])]
    return found


def _tables(value: dict[str, Any], path: str = "") -> list[tuple[str, list[dict[str, Any]]]]:
    """Lists of objects anywhere in the effect, with their place (`attacker.possible`); empty ones are left out."""
    found: list[tuple[str, list[dict[str, Any]]]] = []
    for name, one in value.items():
        place = f"{path}.{name}" if path else name
        if isinstance(one, dict):
            found += _tables(one, place)
        elif isinstance(one, list) and one and all(isinstance(item, dict) for item in one):
            found.append((place, one))
    return found


def _table(title: str, values: list[dict[str, Any]]) -> list[Block]:
    head = sorted(dict.fromkeys(key for one in values for key in one), key=lambda key: key == "event_ids")
    rows: list[list[Words]] = [
        [[_said(one.get(key), 2 if key == "event_ids" else _LISTED)] for key in head] for one in values[:_ROWS]
    ]
    more = len(values) - len(rows)
    rest: list[Block] = [Paragraph([f"And {more:,} more rows in plan.json."])] if more else []
    return [Heading(3, [title]), Table([key.replace("_", " ") for key in head], rows), *rest]


def _said(value: Any, listed: int = _LISTED) -> str:  # noqa: ANN401 - any JSON
    if isinstance(value, list):
        more = " and others" if len(value) > listed else ""
        return ", ".join(_said(one) for one in value[:listed]) + more
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    if value is None:
        return ""
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _usage(plan: Plan) -> list[Block]:
    """One row for each target and use; those that others use come first."""
    rows: dict[tuple[str, str], list[Step]] = {}
    for step in plan.steps:
        rows.setdefault((step.target, use(step) or step.impact), []).append(step)
    ordered = sorted(rows.items(), key=lambda row: -max((step.used_by or {}).get("calls", 0) for step in row[1]))
    if not ordered:
        return [Paragraph(["The plan has no step."])]
    counted = Paragraph([_COUNTED])
    lines: list[list[Words]] = [[[Code(target)], _steps([one.id for one in steps]), [text]]
                                for (target, text), steps in ordered]  # fmt: skip
    return [counted, Table(["Target", "Steps", "Use by others, before the attack"], lines)]


def use(step: Step) -> str:
    """Who else used the target of a step in the baseline, in one sentence; '' where nothing was worked out."""
    used = step.used_by
    if used is None:
        return ""
    if not used["calls"]:
        return "Nobody else used it in the baseline."
    parts = [f"{many(used['calls'], 'call')}, about {used['calls_a_day']:g} a day ({used['first']} to {used['last']})"]
    for name in ("callers", "services", "sessions"):
        if used[name]:
            parts.append(f"{name}: {_said(used[name])}")
    parts += [f"hours (UTC): {_hours(used['hours'])}"] if used["hours"] else []
    return "; ".join(parts) + "."


def _hours(hours: list[int]) -> str:
    """Hours of the day as ranges: 8-11, 14."""
    runs: list[list[int]] = []
    for hour in sorted(set(hours)):
        if runs and hour == runs[-1][-1] + 1:
            runs[-1].append(hour)
        else:
            runs.append([hour])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _steps(ids: list[str]) -> Words:
    words: list[Any] = []
    for one in ids:
        words += [", ", To(one)] if words else [To(one)]
    return words


def _brakes(plan: Plan) -> list[Block]:
    if not plan.brakes:
        return []
    rows: list[Words] = [
        [Strong(brake.title), ": ", File(f"{folder}/runbook.md"), f", {many(len(brake.steps), 'step')}."]
        for folder, brake in folders(plan).items()
    ]
    return [
        Heading(2, ["Emergency brakes: only by decision"]),
        Paragraph([_BRAKES]),
        Items(rows),
        *(
            Approval(approval.BRAKE, [brake.title, ", knowing what its runbook says it breaks."])
            for brake in plan.brakes
        ),
    ]


def _how(plan: Plan) -> list[Block]:
    profiles = " ".join(f"--profile-for {account}=PROFILE" for account in plan.accounts)
    state = Code(f"state-{scripts.plan_id(plan)}")
    return [
        Heading(2, ["How to run it with the scripts"]),
        Paragraph([_NEEDED, *_callers(plan)]),
        Commands("\n".join([
            f"./contain.sh {profiles}              # prints what it would do, and calls nothing",
            f"./contain.sh --execute {profiles}    # does it",
            f"./verify.sh --execute {profiles}     # looks whether every step holds",
        ])),
        Items([
            ["It stops at the first failure. Run again, it goes on where it stopped; what is done is not repeated."],
            ["What it saved, and ", Code("log.tsv"), " with the time of everything that ran, lie in ", state,
             " beside it. Keep that folder: the rollback needs it."],
            [Code("--step ID"), " runs one step, ", Code("--account ID"), " one account, ", Code("--skip ID"),
             " passes over a step; ", Code("--help"), " tells the rest."],
            [Code("./rollback.sh"), " undoes, last step first; it refuses what would let the attacker in again."],
            [_ORDER],
            ["Then watch the contained identities in CloudTrail for 30 minutes: only denied calls should be left."],
        ]),
    ]  # fmt: skip


def _callers(plan: Plan) -> Words:
    if not plan.contained_callers:
        return []
    words: list[Any] = ["None of these, which the plan contains, may run it: "]
    for one in plan.contained_callers:
        words += [Code(one["arn"] + ("*" if one["prefix"] else "")), ", "]
    return [*words[:-1], "."]


def _glance(plan: Plan) -> list[Block]:
    rows: list[Words] = [[To(step.id), f", account {step.account}: {step.title}"] for step in plan.steps]
    return [Heading(2, ["At a glance"]), Items(rows, boxes=True)] if rows else []


def _phases(plan: Plan) -> list[Block]:
    found: list[Block] = []
    account = ""
    for phase, title in PHASES.items():
        steps = [step for step in plan.steps if step.phase == phase]
        if steps:
            span = f"{steps[0].id} to {steps[-1].id}" if len(steps) > 1 else steps[0].id
            what = f"{many(len(steps), 'step')} of this phase, {span}."
            found += [Heading(2, [title], phase), Approval(approval.PHASES[phase], [what])]
        for step in steps:
            found += _section(step, switch=step.account != account)
            account = step.account
    return found


def _section(step: Step, *, switch: bool) -> list[Block]:
    techniques = f" Techniques: {', '.join(step.techniques)}." if step.techniques else ""
    why: list[Any] = ["events and findings ", *[word for one in step.why for word in (Code(one), ", ")][:-1]]
    why = why if step.why else ["see the scope"]
    covers: list[Any] = [word for one in step.nodes for word in (Code(one), ", ")][:-1]
    account = [Strong(f"account {step.account}") if switch else f"account {step.account}"]
    facts: list[Words] = [["Target: ", Code(step.target), ", ", *account, f", Region {step.region}."]]
    facts += [["Why (", step.confidence, "): ", *why, f".{techniques}"]]
    facts += [["Covers: ", *covers, "."]] if covers else []
    facts += [["Before it: ", one] for one in step.prerequisites]
    facts += [["After: ", *_steps(list(step.depends_on)), "."]] if step.depends_on else []
    if step.wait and step.wait["seconds"]:
        facts += [[Strong(f"Wait until {step.wait['seconds']} seconds after"), " ", To(step.wait["after"]), " ran."]]
    facts += [["Impact: ", step.impact]]
    if step.used_by and f"{step.used_by['calls']:,} call" not in step.impact:  # the impact mostly tells it
        facts += [["Used by others: ", use(step)]]
    facts += [["Side effect: ", one] for one in step.side_effects]
    facts += [["It does not stop: ", one] for one in step.does_not_stop]
    facts += [["Needs: ", Code(", ".join(step.permissions)), "."]]
    found: list[Block] = [Heading(3, [f"{step.id}: ", step.title], step.id), Items(facts)]
    if approval.of_step(step):
        found.append(Approval(approval.of_step(step), [f"{step.id}, for {approval.reason(step)}"]))
    return [*found, *_narrower(step), *step_commands(step), *undo_commands(step), *_narrower_commands(step)]


def _narrower(step: Step) -> list[Block]:
    """Narrower ways, told before the step is run: people choose them, no script runs them."""
    return [
        Items([
            [Strong("Narrower, instead of this step"), ": ", one["title"], " (its command stands at the step's end)"],
            ["Only when: ", one["only_when"]],
            ["Evaded by: ", one["evaded_by"]],
        ])
        for one in step.alternatives
    ]  # fmt: skip


def _narrower_commands(step: Step) -> list[Block]:
    """Commands of the narrower ways, after all others, so that nobody who types them in order runs both."""
    found: list[Block] = []
    for one in step.alternatives:
        found.append(Paragraph([Strong("Only instead of this step:"), " ", one["title"]]))
        found.append(Commands(scripts.command(one["api"], step.region)))
    return found


def _recovery(plan: Plan) -> list[Block]:
    if not plan.recovery:
        return []
    rows: list[Words] = [[one["title"], ", when ", one["when"], ": ", one["how"]] for one in plan.recovery]
    return [
        Heading(2, ["Recover: give service back"], "give-back"),
        Approval(approval.PHASES["recover"], ["service is given back as below."]),
        Items(rows, boxes=True),
    ]


def _unplanned(plan: Plan) -> list[Block]:
    if not plan.unplanned:
        return []
    rows: list[Words] = [[Code(one["node"]), ": ", one["reason"], "."] for one in plan.unplanned]
    return [Heading(2, ["Without a step, and why"]), Items(rows)]
