"""A plan as rows for a ticket system. A spreadsheet opens such files: no cell is a formula to it."""

import csv
import io
from collections.abc import Iterable, Sequence

from cirtlib.containment import approval, scripts
from cirtlib.containment.runbook import use
from cirtlib.containment.step import Plan, Step
from cirtlib.text import inert, visible

TICKETS = (
    "id", "phase", "title", "account", "region", "target", "call", "why", "confidence", "techniques", "impact",
    "used_by", "does_not_stop", "prerequisites", "depends_on", "wait", "approver", "command", "verify", "undo",
)  # fmt: skip


def tickets(plan: Plan) -> str:
    """Text of tickets.csv: one row a step (columns `TICKETS`); lists are joined with semicolons."""
    return as_csv(TICKETS, (_ticket(step) for step in plan.steps))


def as_csv(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """CSV with every cell in quotes and on one line; one that a spreadsheet would run begins with an apostrophe."""
    file = io.StringIO()
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([head, *([inert(visible(cell)) for cell in row] for row in rows)])
    return file.getvalue()


def _ticket(step: Step) -> list[str]:
    given = f"--step {step.id} --profile-for {step.account}=PROFILE"
    by_script = step.phase not in scripts.BY_PEOPLE
    undone = f"./rollback.sh --execute {given}" if isinstance(step.rollback, dict) else "not undone."
    return [
        step.id,
        step.phase,
        step.title,
        step.account,
        step.region,
        step.target,
        f"{step.api['service']}:{step.api['operation']}",
        "; ".join(step.why),
        step.confidence,
        "; ".join(step.techniques),
        " ".join([step.impact, *step.side_effects]),
        use(step) or "not known",
        "; ".join(step.does_not_stop),
        "; ".join(step.prerequisites),
        "; ".join(step.depends_on),
        f"{step.wait['seconds']} seconds after {step.wait['after']}" if step.wait else "",
        approval.approver(step),
        f"./contain.sh --execute {given}" if by_script else "by hand: see runbook.md",
        f"./verify.sh --execute {given}" if by_script else "by hand: see runbook.md",
        f"{undone} {step.rollback_note}".strip(),
    ]
