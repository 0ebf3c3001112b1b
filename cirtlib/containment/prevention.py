"""What keeps this from happening again: measures that answer what the attacker did. Exported apart, never run."""

import json
from pathlib import Path
from typing import Any

MEASURES = Path(__file__).parent.parent / "data" / "prevention.json"


def measures(done: set[str]) -> tuple[dict[str, Any], ...]:
    """Measures of data/prevention.json that answer these event names; one without `answers` always applies."""
    rows = json.loads(MEASURES.read_text(encoding="utf-8"))
    return tuple(row for row in rows if not row["answers"] or done & set(row["answers"]))
