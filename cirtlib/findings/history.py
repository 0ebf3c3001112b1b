"""Records of GetFindingHistory (Security Hub API reference): what changed in a finding, when, and by whom."""

import hashlib
import json
from typing import Any

from cirtlib.findings.fields import account_id, at, items, text, time

COLUMNS = (
    "record_id", "finding_id", "product_arn", "region", "updated_at", "created", "source", "identity", "updates",
    "account_id",
)  # fmt: skip


def row(record: object) -> dict[str, Any]:
    """Row (keys `COLUMNS`) of one record.

    `updates` is JSON text: a list of {UpdatedField, OldValue, NewValue}. `source` is BATCH_IMPORT_FINDINGS (a product)
    or BATCH_UPDATE_FINDINGS (a customer), `identity` which. The account and Region are those of the finding's ARN; the
    token of a page is no part of a record.

    Raises
    ------
    ValueError
        when it does not name a finding and a time.
    """
    finding, moment = text(record, "FindingIdentifier", "Id"), time(at(record, "UpdateTime"))
    if not isinstance(record, dict) or not finding or not moment:
        raise ValueError("no record of a finding's history: it names no finding or no time")
    own = {name: value for name, value in record.items() if str(name).lower() != "nexttoken"}
    parts = finding.split(":") if finding.startswith("arn:") else []
    created = at(record, "FindingCreated")
    return {
        "record_id": "sha256:" + hashlib.sha256(_json(own, sort_keys=True).encode()).hexdigest(),
        "finding_id": finding,
        "product_arn": text(record, "FindingIdentifier", "ProductArn"),
        "region": (parts[3] or None) if len(parts) > 5 else None,
        "updated_at": moment,
        "created": created if isinstance(created, bool) else None,
        "source": text(record, "UpdateSource", "Type"),
        "identity": text(record, "UpdateSource", "Identity"),
        "updates": _json(items(at(record, "Updates"))),
        "account_id": account_id(parts[4]) if len(parts) > 5 else None,
    }


def _json(value: object, *, sort_keys: bool = False) -> str:
    made = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=sort_keys)
    return made.encode("utf-8", "replace").decode()
