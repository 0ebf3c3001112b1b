"""How a plan is exported: plan.json, and every form of it for people and for programs."""

from collections.abc import Mapping
from pathlib import Path

from cirtlib import queries
from cirtlib import scope as scoping
from cirtlib.case import Case
from cirtlib.containment import hub, review, scripts
from cirtlib.containment.aws_runbooks import aws_runbooks
from cirtlib.containment.cacao import cacao
from cirtlib.containment.indicators import indicators
from cirtlib.containment.planning import incident_of, plan_for
from cirtlib.containment.runbook import folders, runbook, runbook_html
from cirtlib.containment.scripts import plan_json
from cirtlib.containment.step import Plan
from cirtlib.containment.tables import tickets


def write(case: Case, *, scope: scoping.Scope | None = None) -> Plan:
    """Write the plan of a case into out/plan/, and return it.

    Raises
    ------
    PlanError
        when the plan must not be exported; nothing is written then.
    """
    incident = incident_of(case, scope or scoping.load(case))
    result = plan_for(incident)
    told = hub.updates(result, queries.findings(case))
    more = {
        "aws_runbooks.json": aws_runbooks(result),
        "indicators.csv": indicators(incident),
        "hub_updates.json": told.to_json(),
        "hub_updates.sh": told.script(),
    }
    review.keep_previous(case.out / "plan", scripts.plan_json(result))
    save(result, case.out / "plan", more=more)
    return result


def save(plan: Plan, folder: Path, *, more: Mapping[str, str] | None = None) -> None:
    """Write every form of a plan into `folder`, each emergency brake into a subfolder of its own.

    Parameters
    ----------
    more
        Name -> text of further files, those that rest on the case beside the plan.
    """
    files = {
        "plan.json": plan_json(plan),
        "runbook.md": runbook(plan),
        "runbook.html": runbook_html(plan),
        "contain.sh": scripts.contain(plan),
        "verify.sh": scripts.verify(plan),
        "rollback.sh": scripts.rollback(plan),
        "tickets.csv": tickets(plan),
        "cacao.json": cacao(plan),
        **(more or {}),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        file = folder / name
        if not file.is_file() or file.read_bytes() != content.encode():  # bash may be reading it at this moment
            file.write_text(content, encoding="utf-8", newline="\n")
        file.chmod(0o700 if name.endswith(".sh") else 0o600)
    brakes = folders(plan)
    for name, brake in brakes.items():
        save(brake, folder / name)
    _retire([old for old in folder.glob("brake-*") if old.is_dir() and old.name not in brakes])


def _retire(old: list[Path]) -> None:
    """Take away what was exported of brakes that are no longer of the plan; the state of a run stays."""
    for folder in old:
        for file in folder.iterdir():
            if file.is_file():
                file.unlink()
        if not any(folder.iterdir()):
            folder.rmdir()
