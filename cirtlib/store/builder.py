"""Records of one object after another -> Arrow tables, handed on as soon as there are enough rows."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pyarrow as pa

from cirtlib.records import Record
from cirtlib.store import columns, schema
from cirtlib.store.columns import UNKNOWN, is_account

# Enough rows to write columns at speed, few enough to stay small in memory.
FLUSH = 10_000


class Builder:
    """Collects rows; `give` gets each table as it is full, and what is left when `finish` is called."""

    def __init__(self, give: Callable[[str, pa.Table], None]) -> None:
        self._give = give
        self._events = columns.Rows()
        self._rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in schema.TABLES if name != "cloudtrail"}

    def events(self, records: list[Record], first: int, link: tuple[str, str, str | None]) -> None:
        """Add CloudTrail records that are as documented, from position `first` on.

        `link` is (object, source kind, account that the object's name tells or None).
        """
        place = 0
        while place < len(records):
            room = FLUSH - len(self._events.records)
            self._events.add(records[place : place + room], first + place, link)
            place += room
            if len(self._events.records) >= FLUSH:
                self._flush_events()

    def event(
        self, record: Record, position: int, link: tuple[str, str, str | None], unmodelled: tuple[str | None] | None
    ) -> None:
        """Add one CloudTrail record; `unmodelled` is that column in a tuple, where the forgiving reader has made it."""
        if unmodelled is not None:
            self._events.unmodelled[len(self._events.records)] = unmodelled[0]
        self.events([record], position, link)

    def other(self, table: str, row: dict[str, str | None], link: tuple[str, int, str]) -> None:
        """Add an insight or an aggregated record: columns eventid, eventtime, account, awsregion, record."""
        account = row["account"] if is_account(row["account"]) else UNKNOWN
        values = tuple(row[name] for name in ("eventid", "eventtime", "account", "awsregion", "record"))
        self._add(table, (*values, *link, False, account, (row["eventtime"] or "")[:10]))

    def finding(self, row: dict[str, Any], link: tuple[str, int, str]) -> None:
        """Add a finding: the columns of `cirtlib.findings`."""
        account, count = row.get("account_id"), row.get("count")
        if isinstance(count, int) and abs(count) >= 1 << 63:
            row = {**row, "count": None}
        moment: datetime | None = row.get("updated_at") or row.get("last_seen") or row.get("created_at")
        place = (account if is_account(account) else UNKNOWN, f"{moment:%Y-%m-%d}" if moment else UNKNOWN)
        names = schema.FINDINGS.names[: -len(place) - len(schema.LINK)]
        self._add("findings", (*(row.get(name) for name in names), *link, False, *place))

    def finding_history(self, row: dict[str, Any], link: tuple[str, int, str]) -> None:
        """Add what changed in a finding: the columns of `cirtlib.findings.history`."""
        account = row["account_id"] or ""
        place = (account if is_account(account) else UNKNOWN, f"{row['updated_at']:%Y-%m-%d}")
        names = schema.FINDING_HISTORY.names[: -len(place) - len(schema.LINK)]
        self._add("finding_history", (*(row[name] for name in names), *link, False, *place))

    def _add(self, table: str, row: tuple[Any, ...]) -> None:
        self._rows[table].append(row)
        if len(self._rows[table]) >= FLUSH:
            self._flush(table)

    def finish(self) -> None:
        """Hand on what is left."""
        self._flush_events()
        for name in self._rows:
            self._flush(name)

    def _flush_events(self) -> None:
        rows, self._events = self._events, columns.Rows()
        if rows.records:
            self._give("cloudtrail", columns.table(rows))

    def _flush(self, table: str) -> None:
        rows, self._rows[table] = self._rows[table], []
        if rows:
            made = schema.TABLES[table]
            arrays = [pa.array(values, part.type) for part, values in zip(made, zip(*rows, strict=True), strict=True)]
            self._give(table, pa.Table.from_arrays(arrays, schema=made))
