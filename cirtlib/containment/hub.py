"""What Security Hub is told of the findings that the plan answers: a note, and that their owner was notified.

Only Security Hub's copies of findings are updated. What to do with a finding in GuardDuty itself is said in words:
archiving one, or feedback on it, also tunes what is reported later, and that is for people to decide.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cirtlib.containment import scripts
from cirtlib.containment.step import Plan, Step, call, number, read
from cirtlib.containment.validate import check
from cirtlib.text import visible

WHO = "cirtlib"
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d+")
_ACCOUNT = re.compile(r"\d{12}")
_KEPT = ("RESOLVED", "SUPPRESSED", "NOTIFIED")  # somebody decided: the status is left as it is
_NOTE_LIMIT = 512  # characters of a note, API reference of BatchUpdateFindings
_Json = dict[str, Any]


@dataclass(frozen=True)
class Updates:
    """Updates of findings: what each call is given, the same as a plan that a script carries out, and what is left."""

    updates: list[_Json]
    plan: Plan
    by_hand: list[_Json]

    def to_json(self) -> str:
        """Text of hub_updates.json."""
        return json.dumps({"updates": self.updates, "by_hand": self.by_hand}, indent=2) + "\n"

    def script(self) -> str:
        """Text of hub_updates.sh."""
        what = "Tells Security Hub that the plan answers its findings."
        return scripts.contain(self.plan, name="hub_updates.sh", what=what)


def updates(plan: Plan, findings: pd.DataFrame) -> Updates:
    """Updates for every finding that a step rests on.

    Parameters
    ----------
    findings
        `queries.findings`: Security Hub's form (`asff`) can be updated, other forms cannot.

    Raises
    ------
    PlanError
        when a call is none that botocore knows.
    """
    made: list[_Json] = []
    steps: list[Step] = []
    by_hand: list[_Json] = []
    for finding, ids in answered(plan, set(findings["finding_id"])).items():
        versions = findings[findings["finding_id"] == finding].sort_values("updated_at", na_position="first")
        hub = [row for row in versions[versions["form"] == "asff"].to_dict("records") if _usable(row)]
        if hub:
            given = _given(hub[-1], ids, plan)
            made.append(given)
            steps.append(_step(given))
        last = versions.iloc[-1]
        if last["product"] == "GuardDuty" or not hub:
            by_hand.append(_in_words(last, ids, known=bool(hub)))
    told = Plan(
        case=plan.case, title=f"Security Hub updates: {plan.title}", as_of=plan.as_of, steps=number(steps),
        contained_callers=plan.contained_callers, responders=plan.responders,
    )  # fmt: skip
    check(told)
    for update, step in zip(made, told.steps, strict=True):
        update["id"] = step.id
    return Updates(made, told, by_hand)


def answered(plan: Plan, known: set[str]) -> dict[str, list[str]]:
    """Finding id -> ids of the steps that rest on it or deal with its node, in the plan's order."""
    found: dict[str, list[str]] = {}
    for step in plan.steps:
        named = [*step.why, *(node.removeprefix("finding:") for node in step.nodes if node.startswith("finding:"))]
        for one in dict.fromkeys(named):
            if one in known:
                found.setdefault(one, []).append(step.id)
    return found


def _usable(row: _Json) -> bool:
    return bool(
        _ACCOUNT.fullmatch(str(row["account_id"])) and _REGION.fullmatch(str(row["region"])) and _product_arn(row)
    )


def _product_arn(row: _Json) -> str:
    """ARN of the product that sent the finding: with the finding's id, what Security Hub knows it by."""
    value = json.loads(row["details"]).get("ProductArn")
    return value if isinstance(value, str) and value.startswith("arn:") else ""


def _given(row: _Json, ids: list[str], plan: Plan) -> _Json:
    """Input of BatchUpdateFindings for one finding, and what it is about."""
    shown = ", ".join(ids[:8]) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")
    text = f"Case {visible(plan.case)}, plan {scripts.plan_id(plan)}: answered by steps {shown}."
    given: _Json = {
        "FindingIdentifiers": [{"Id": row["finding_id"], "ProductArn": _product_arn(row)}],
        "Note": {"Text": text[:_NOTE_LIMIT], "UpdatedBy": WHO},
    }
    if row["workflow_status"] not in _KEPT:
        given["Workflow"] = {"Status": "NOTIFIED"}
    return {
        "id": "",
        "finding": row["finding_id"],
        "title": row["title"] or "",
        "account": row["account_id"],
        "region": row["region"],
        "steps": ids,
        "workflow_status_seen": row["workflow_status"] or "",
        "operation": "securityhub:BatchUpdateFindings",
        "input": given,
    }


def _step(update: _Json) -> Step:
    """The same as a step of a script: the old note is saved first, since a finding holds only one."""
    identifier = update["input"]["FindingIdentifiers"][0]
    filters = {name: [{"Value": identifier[name], "Comparison": "EQUALS"}] for name in ("Id", "ProductArn")}
    found = call("securityhub", "GetFindings", Filters=filters)
    if "Workflow" in update["input"]:
        verify = read(found, "Findings[0].Workflow.Status", expected="NOTIFIED")
    else:
        verify = read(found, "Findings[0].Note.UpdatedBy", expected=WHO)
    return Step(
        key=f"note {update['finding']}",
        phase="preserve",
        title=f"Note on finding {update['title'] or update['finding']}",
        target=update["finding"],
        account=update["account"],
        region=update["region"],
        api=call("securityhub", "BatchUpdateFindings", **update["input"]),
        captures={"before": read(found, "Findings[0].{status: Workflow.Status, note: Note.Text}")},
        verify=verify,
        rollback_note="The note and status that it replaced are in the state folder, in before.json.",
        why=(update["finding"],),
        impact="It replaces the finding's note; whatever starts on status NOTIFIED is started.",
    )


def _in_words(row: Any, ids: list[str], *, known: bool) -> _Json:  # noqa: ANN401 - a row
    if row["product"] == "GuardDuty":
        what = (
            "In GuardDuty, when verify.sh has passed: archive the finding, and mark it as useful, so that its detector "
            "is not tuned away. Do not archive it before: a finding that comes again says that the attacker is back."
        )
        what += "" if known else " Security Hub did not deliver it, so it is not updated there."
    else:
        what = "It was not delivered in Security Hub's finding format (ASFF): note the steps on it where it came from."
    return {
        "finding": str(row["finding_id"]),
        "product": str(row["product"] or ""),
        "account": str(row["account_id"] or ""),
        "region": str(row["region"] or ""),
        "steps": ids,
        "what": what,
    }
