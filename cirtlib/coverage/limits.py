"""What no evidence can show: what came after the last record, and what was too old for the APIs that were asked.

Event history holds 90 days ("Working with CloudTrail event history", aws-cloudtrail-user-guide); GuardDuty and Security
Hub delete findings that were not updated for 90 days ("Quotas", Amazon GuardDuty User Guide; "Deletion of findings",
AWS Security Hub User Guide).
"""

from datetime import timedelta
from typing import Any

from cirtlib.case import parse_time
from cirtlib.coverage import ledger
from cirtlib.coverage.rows import HISTORY, LOGS, Held, Row, source_of

DAYS = 90
_KEEPERS = {"guardduty": "GuardDuty", "security_hub": "Security Hub"}


def gaps(held: Held, rows: list[Row]) -> list[dict[str, Any]]:
    """Gaps at both ends of the evidence."""
    return [*_before(held, rows), *_after(held)]


def _before(held: Held, rows: list[Row]) -> list[dict[str, Any]]:
    """Gaps for the part of the window and its baseline that is older than what an API keeps."""
    if held.bounds is None or held.until is None:
        return []
    limit = f"{parse_time(held.until) - timedelta(days=DAYS):%Y-%m-%dT%H:%M:%SZ}"
    start = f"{held.bounds[0]}T00:00:00Z"
    if start >= limit:
        return []
    found = []
    asked = {source_of(line) for line in (*held.slices, *held.objects)}
    logs = {LOGS, HISTORY}  # an emulated account may hold more than 90 days
    older = any(row.source in logs and row.status == "read" and (row.day or "~") < limit[:10] for row in rows)
    if HISTORY in asked and not older:
        why = f"event history holds {DAYS} days, and there are no log files of the time before"
        found.append(_gap(start, limit, why))
    for source in held.case.sources:
        if source.kind in _KEEPERS and "api" in source.options:
            why = f"{_KEEPERS[source.kind]} keeps findings for {DAYS} days: older ones are not there"
            found.append(_gap(start, limit, why))
    return found


def _after(held: Held) -> list[dict[str, Any]]:
    """Gaps for what comes after the last record, of the case and of accounts that fall silent a day before it."""
    last = ledger.last_records(held)
    if not last:
        return []
    newest, found = max(last.values()), []
    if held.until is None or held.until > newest:
        found.append(_gap(newest, held.until, "nothing was collected after the last record"))
    for silent, moment in sorted(last.items()):
        if parse_time(newest) - parse_time(moment) >= timedelta(days=1) and silent.isdigit():
            found.append(_gap(moment, newest, "nothing of this account after its last record", silent))
    return found


def _gap(start: str, end: str | None, reason: str, account: str | None = None) -> dict[str, Any]:
    return {"account": account, "region": None, "from": start, "to": end, "reason": reason}
