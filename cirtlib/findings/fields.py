"""Values out of a decoded JSON finding, whatever the case of its names and the type of its values."""

import re
from datetime import UTC, datetime
from typing import Any

LABELS = ("INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL")
"""Severity labels in ascending order, as Security Hub writes them."""

LOWEST = {"INFORMATIONAL": 0.0, "LOW": 1.0, "MEDIUM": 4.0, "HIGH": 7.0, "CRITICAL": 9.0}
"""Lowest severity of each label on GuardDuty's scale (the GuardDuty guide: 1.0-3.9 low, 4.0-6.9 medium, ...)."""


def at(node: object, *path: str) -> Any:  # noqa: ANN401 - any JSON value
    """Value below `node`, whatever the case of the names; None when it is not there."""
    for name in path:
        if not isinstance(node, dict):
            return None
        if name in node:
            node = node[name]
            continue
        wanted = name.lower()
        node = next((value for key, value in node.items() if str(key).lower() == wanted), None)
    return node


def text(node: object, *path: str) -> str | None:
    """Text below `node`; None when it is not there, empty or of another type."""
    value = at(node, *path)
    # Half a surrogate pair is valid JSON, but no text that a table can hold.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) and value else None


def items(node: object) -> list[Any]:
    """List, or an empty one in place of anything else."""
    return node if isinstance(node, list) else []


def number(value: object) -> float | None:
    """Finite number, also from its text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if abs(result) < float("inf") else None


def whole(value: object) -> int | None:
    """Whole number, also from its text."""
    result = number(value)
    return None if result is None else int(result)


def truth(value: object) -> bool | None:
    """Boolean, also from the text that some exports write."""
    if isinstance(value, str):
        return value.strip().lower() == "true"
    return value if isinstance(value, bool) else None


def account_id(value: object) -> str | None:
    """Account id as text of digits (never a path); a number lost its leading zeros."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = f"{value:012d}"
    return value if isinstance(value, str) and value.isascii() and value.isdigit() else None


def time(value: object) -> datetime | None:
    """Aware UTC time from ISO 8601 text, epoch seconds or epoch milliseconds; None when it is none of these."""
    try:
        if isinstance(value, str) and not re.fullmatch(r"-?\d+(\.\d+)?", value):
            parsed = datetime.fromisoformat(value.strip())
            return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
        count = number(value)
        if count is None:
            return None
        # 1e11 seconds is the year 5138, 1e11 milliseconds 1973: beyond it, a number counts milliseconds.
        return datetime.fromtimestamp(count / 1000 if abs(count) > 1e11 else count, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def label_of(severity: float) -> str:
    """Label of a severity on GuardDuty's scale."""
    return next(label for label in reversed(LABELS) if severity >= LOWEST[label] or label == LABELS[0])


def names_in(record: object) -> str:
    """Names at the top of a record, for a message that says what was found instead of a finding."""
    if not isinstance(record, dict):
        return f"a JSON {type(record).__name__}"
    return ", ".join(sorted(str(name)[:40] for name in record)[:8]) or "nothing"
