"""What a correct analysis of an exercise comes to: the scope's graph and the plan, from a case made afresh.

The learner's own case may never have been collected, or hold other seeds and decisions; it is neither read nor changed.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cirtlib import containment, scope
from cirtlib.case import load_case
from cirtlib.collect import collect
from cirtlib.containment import Step
from cirtlib.decisions import decide
from cirtlib.intake import start
from cirtlib.training.exercise.record import Record

Json = dict[str, Any]


@dataclass(frozen=True)
class Reference:
    """Content of scope.json, and the steps of the plan; none where the truth is that there was no attack."""

    scope: Json
    steps: tuple[Step, ...]

    def names(self) -> dict[tuple[str, str], str]:
        """(kind, value) -> node id."""
        return {(node["kind"], node["value"]): node["id"] for node in self.scope["nodes"]}


def reference(record: Record) -> Reference:
    """Collect the record's logs and findings into a temporary case, scope it and plan; takes about 10 s.

    What a scope leaves to a person, such as the instance that was broken into, is confirmed before the plan is made.
    """
    with tempfile.TemporaryDirectory(prefix="cirt-debrief-") as scratch:
        case = start(
            Path(scratch) / "case",
            logs=[record.logs],
            findings=[record.findings],
            seeds=record.seeds,
            window=record.window,
            content={"case": "reference", "title": "reference", "as_of": record.as_of.isoformat()},
        )
        # The logs stay where they are for as long as this case is needed.
        collect(case, progress=False, originals=False)
        found = scope.write(case)
        if not record.truth["extent"]:
            return Reference(found.to_dict(), ())
        for lead in record.truth["leads"]:
            decide(case, "confirmed", lead, reason="the records and findings show it")
        case = load_case(case.path)
        decided = scope.write(case) if record.truth["leads"] else found
        return Reference(found.to_dict(), tuple(containment.plan(case, scope=decided).steps))
