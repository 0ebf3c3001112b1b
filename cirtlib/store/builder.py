"""Records of one object after another -> Arrow tables, with never more than one batch as Python objects."""

import re
from datetime import datetime
from functools import lru_cache
from typing import Any

import pyarrow as pa

from cirtlib.records.identity import identity
from cirtlib.records.layout import COLUMNS, STRUCTS
from cirtlib.store import schema, structs

# Enough rows to write columns at speed, few enough to stay small in memory.
FLUSH = 20_000
_ACCOUNT = re.compile(r"[0-9]{12}")
_PLACE = {name: place for place, name in enumerate(COLUMNS)}
_RECIPIENT, _TIME = _PLACE["recipientaccountid"], _PLACE["eventtime"]
UNKNOWN = "unknown"


class Builder:
    """Collects rows and turns them into Arrow tables by name; `tables()` gives what was collected."""

    def __init__(self) -> None:
        self._rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in schema.TABLES}
        self._batches: dict[str, list[pa.RecordBatch]] = {name: [] for name in schema.TABLES}

    def event(self, values: tuple[str | None, ...], link: tuple[str, int, str], account: str | None) -> None:
        """Add a CloudTrail record: `values` of COLUMNS, (object, position, source kind), account of its path."""
        day = (values[_TIME] or "")[:10]
        named = values[_RECIPIENT]
        if named is None or not _is_account(named):
            named = account or _caller(values) or UNKNOWN
        rows = self._rows["cloudtrail"]
        rows.append((*values, *link, False, named, day))
        if len(rows) >= FLUSH:
            self._flush("cloudtrail")

    def other(self, table: str, row: dict[str, str | None], link: tuple[str, int, str]) -> None:
        """Add an insight or an aggregated record: columns eventid, eventtime, account, awsregion, record."""
        account = row["account"] if _is_account(row["account"] or "") else UNKNOWN
        values = tuple(row[name] for name in ("eventid", "eventtime", "account", "awsregion", "record"))
        self._rows[table].append((*values, *link, False, account, (row["eventtime"] or "")[:10]))

    def finding(self, row: dict[str, Any], link: tuple[str, int, str]) -> None:
        """Add a finding: the columns of `cirtlib.findings`."""
        account, count = row.get("account_id") or "", row.get("count")
        if isinstance(count, int) and abs(count) >= 1 << 63:
            row = {**row, "count": None}
        moment: datetime | None = row.get("updated_at") or row.get("last_seen") or row.get("created_at")
        place = (account if _is_account(account) else UNKNOWN, f"{moment:%Y-%m-%d}" if moment else UNKNOWN)
        names = schema.FINDINGS.names[: -len(place) - len(schema.LINK)]
        self._rows["findings"].append((*(row.get(name) for name in names), *link, False, *place))

    def finding_history(self, row: dict[str, Any], link: tuple[str, int, str]) -> None:
        """Add what changed in a finding: the columns of `cirtlib.findings.history`."""
        account = row["account_id"] or ""
        place = (account if _is_account(account) else UNKNOWN, f"{row['updated_at']:%Y-%m-%d}")
        names = schema.FINDING_HISTORY.names[: -len(place) - len(schema.LINK)]
        self._rows["finding_history"].append((*(row[name] for name in names), *link, False, *place))

    def tables(self) -> dict[str, pa.Table]:
        """Everything that was added, by table; tables without rows are left out."""
        for name in self._rows:
            self._flush(name)
        made = {n: pa.Table.from_batches(b, schema.TABLES[n]) for n, b in self._batches.items() if b}
        self._batches = {name: [] for name in schema.TABLES}
        return made

    def _flush(self, table: str) -> None:
        rows, self._rows[table] = self._rows[table], []
        if not rows:
            return
        made = schema.TABLES[table]
        columns = list(zip(*rows, strict=True))
        arrays = [
            structs.column(field, values) if field.name in STRUCTS else _plain(field, values)
            for field, values in zip(made, columns, strict=True)
        ]
        self._batches[table].append(pa.RecordBatch.from_arrays(arrays, schema=made))


@lru_cache(10_000)
def _is_account(text: str) -> bool:
    return _ACCOUNT.fullmatch(text) is not None


def _plain(field: pa.Field, values: tuple[Any, ...]) -> pa.Array:
    # Many of the table's columns are empty in most batches.
    return pa.nulls(len(values), field.type) if values.count(None) == len(values) else pa.array(values, field.type)


def _caller(values: tuple[str | None, ...]) -> str | None:
    """Account of the caller: that of the record where neither record nor path names the recipient."""
    text = values[_PLACE["useridentity"]]
    who = identity(text.encode()) if text else None
    account = (who or {}).get("accountid")
    return account if account and _is_account(account) else None
