"""What the evidence says of a subject: counted inside the store, so that a large case is as quick to ask as a small."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb
import pandas as pd

from cirtlib import identity
from cirtlib.engine import binding, dialect
from cirtlib.engine import duckdb as engine
from cirtlib.story.subject import Subject

# What is counted, by the name it has in a story: the column of `events`.
DIMENSIONS = {
    "principals": "principal",
    "access_keys": "access_key_id",
    "addresses": "source_ip",
    "networks": "source_network",
    "user_agents": "user_agent_family",
    "accounts": "account_id",
    "regions": "region",
    "services": "event_source",
    "calls": "event_name",
    "sessions": "session_name",
}
IDS_SHOWN = 3
# How many acts that minted or made something are read whole; of more than these the count is said.
ACTS_READ = 200
_COUNTED = (
    "count(*) AS events, count_if(outcome = 'denied') AS denied, min(event_time) AS first_seen, "
    "max(event_time) AS last_seen, "
    # ids after their times in seconds, so that the least are the earliest, whatever the order of the records; times
    # as ISO 8601 would take three times as long
    f"min(concat(CAST(CAST(to_unixtime(event_time) AS bigint) AS varchar), ' ', event_id), {IDS_SHOWN}) AS ids"
)


@dataclass(frozen=True)
class Use:
    """How often one value (an address, a Region, a call) stands in the events of a subject, and when."""

    value: str
    events: int
    denied: int
    first_seen: datetime | None
    last_seen: datetime | None
    event_ids: tuple[str, ...]
    name: str = ""


@dataclass(frozen=True)
class Made:
    """One thing that an act issued, created or changed."""

    what: str  # issued | created | changed
    node: str
    call: str
    time: datetime
    event_id: str


class Events:
    """The events of some subjects, as SQL over `events` with bound parameters."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, subjects: Iterable[Subject]) -> None:
        self.connection = connection
        self.subjects = tuple(subjects)

    def _where(self, part: str) -> tuple[str, dict[str, Any]]:
        """Condition that any of the subjects fulfils, and its parameters under names of their own."""
        conditions: list[str] = []
        values: dict[str, Any] = {}
        for number, subject in enumerate(self.subjects):
            text = re.sub(r":([a-z]+)", rf":\g<1>{number}", getattr(subject, part))
            conditions.append(f"({text})")
            values |= {
                f"{key}{number}": value for key, value in subject.given.items() if re.search(rf":{key}{number}\b", text)
            }
        return " OR ".join(conditions), values

    def uses(self) -> dict[str, tuple[Use, ...]]:
        """By dimension, the values in these events, the most frequent first; '' has the one sum of all."""
        where, values = self._where("acts")
        columns = list(DIMENSIONS.values())
        sets = ", ".join(f"({column})" for column in (*columns, "event_source, event_name"))
        text = (
            f"SELECT grouping({', '.join(columns)}) AS mask, {', '.join(columns)}, {_COUNTED} FROM events "  # noqa: S608 - our own names
            f"WHERE {where} GROUP BY GROUPING SETS ({sets}, ())"
        )
        found: dict[str, list[Use]] = {}
        full = 2 ** len(columns) - 1
        for row in engine.run(self.connection, text, values).to_dict("records"):
            inside = [
                place for place in range(len(columns)) if not int(row["mask"]) & (1 << (len(columns) - 1 - place))
            ]
            names = [row[columns[place]] for place in inside]
            if inside and any(pd.isna(name) for name in names):
                continue
            dimension = list(DIMENSIONS)[inside[0]] if len(inside) == 1 else "pairs" if int(row["mask"]) < full else ""
            found.setdefault(dimension, []).append(_use(" ".join(map(str, names)), row))
        return {key: tuple(sorted(uses, key=lambda use: (-use.events, use.value))) for key, uses in found.items()}

    def done_to(self) -> tuple[Use, ...]:
        """What was done to the subjects: `call by principal` with their counts, the earliest first; no mere reads."""
        where, values = self._where("about")
        if where.replace("(false)", "").strip(" OR") == "":
            return ()
        # taking a role is a read-only call; other reads tell nothing of what became of it
        text = (
            f"SELECT principal, event_source, event_name, {_COUNTED} FROM events "  # noqa: S608 - our own names
            f"WHERE ({where}) AND outcome = 'ok' AND (minted_key IS NOT NULL OR NOT COALESCE(read_only, false)) "
            "GROUP BY principal, event_source, event_name"
        )
        rows = engine.run(self.connection, text, values).to_dict("records")
        uses = [
            _use(f"{_call(row)} by {'a service' if pd.isna(row['principal']) else row['principal']}", row)
            for row in rows
        ]
        return tuple(sorted(uses, key=lambda use: (str(use.first_seen), use.value)))

    def minted_by(self) -> pd.DataFrame:
        """Records that issued the subjects' credentials: event_time, event_id, event_name, principal, access_key_id."""
        keys = [subject.value for subject in self.subjects if subject.kind == "access key"]
        text = (
            "SELECT event_time, event_id, event_name, principal, access_key_id, source_ip FROM events "
            "WHERE contains(:keys, minted_key) ORDER BY event_time, event_id, account_id LIMIT 10"
        )
        return engine.run(self.connection, text, {"keys": keys}) if keys else pd.DataFrame()

    def made(self, pairs: Iterable[Use]) -> tuple[tuple[Made, ...], int]:
        """What these events issued, created and changed, in order of time, and how many acts that were in all.

        `pairs` are the calls of the subjects, as `event_source event_name`.
        """
        calls = pd.DataFrame([use.value.split(" ", 1) for use in pairs], columns=["event_source", "event_name"])
        acting = calls[identity.acting(calls.assign(outcome="ok"))] if len(calls) else calls
        names = [f"{row.event_source} {row.event_name}" for row in acting.itertuples()]
        where, values = self._where("acts")
        condition = (
            f"({where}) AND outcome = 'ok' AND (minted_key IS NOT NULL "
            "OR contains(:calls, concat(event_source, ' ', event_name)))"
        )
        given = {**values, "calls": names}
        number = engine.run(self.connection, f"SELECT count(*) AS acts FROM events WHERE {condition}", given)  # noqa: S608 - our own text
        if not number["acts"].iloc[0]:
            return (), 0
        columns = (
            "event_time, event_id, account_id, event_source, event_name, region, user_name, minted_key, principal, "
            "role_arn, minted_principal, request, response"
        )
        text = (
            f"SELECT {columns} FROM events WHERE {condition} "  # noqa: S608 - our own names
            f"ORDER BY event_time, event_id, account_id LIMIT {ACTS_READ}"
        )
        rows = engine.run(self.connection, text, given)
        known = identity.Names(rows)
        made = {(one.event_id, one.node, one.what): one for act in rows.itertuples() for one in _made(act, known)}
        return tuple(made.values()), int(number["acts"].iloc[0])

    def verdicts(self, judged: pd.DataFrame) -> dict[str, Use]:
        """Scope's verdicts on these events, counted; `judged` has event_id, account_id, verdict."""
        where, values = self._where("acts")
        mine = binding.bind(
            dialect.parse(f"SELECT event_id, account_id, event_time, outcome FROM events WHERE {where}"),  # noqa: S608 - our own text
            values,
        )
        self.connection.register("judged", judged[["event_id", "account_id", "verdict"]])
        table = self.connection.sql(
            "SELECT verdict, event_id, event_time, outcome "  # noqa: S608 - bound above
            f"FROM ({dialect.to_duckdb(mine)}) JOIN judged USING (event_id, account_id)"
        )
        rows = engine.frame(table.to_arrow_table()).sort_values(["event_time", "event_id"])
        self.connection.unregister("judged")
        return {
            str(verdict): Use(
                str(verdict),
                len(group),
                int((group["outcome"] == "denied").sum()),
                group["event_time"].iloc[0].to_pydatetime(),
                group["event_time"].iloc[-1].to_pydatetime(),
                tuple(group["event_id"].iloc[:IDS_SHOWN]),
            )
            for verdict, group in rows.groupby("verdict")
        }


def findings(connection: duckdb.DuckDBPyConnection, values: Iterable[str], names: Iterable[str]) -> pd.DataFrame:
    """Findings, in their last version, that name one of the values, or of the names of principals."""
    text = (
        "SELECT finding_id, type, title, severity_label, account_id, product, first_seen, sample FROM findings "
        "WHERE latest AND (contains(:wanted, finding_id) OR contains(:wanted, access_key_id) "
        "OR contains(:wanted, principal_id) OR contains(:wanted, instance_id) OR contains(:wanted, user_agent) "
        "OR contains(:wanted, account_id) OR contains(:names, concat(account_id, ' ', principal_name)) "
        "OR cardinality(filter(resource_ids, r -> contains(:wanted, r))) > 0 "
        "OR cardinality(filter(remote_ips, r -> contains(:wanted, r))) > 0 "
        "OR cardinality(filter(sequence_keys, r -> contains(:wanted, r))) > 0) "
        "ORDER BY first_seen, finding_id"
    )
    found = engine.run(connection, text, {"wanted": list(values), "names": list(names)})
    return found.drop_duplicates("finding_id")


def _made(act: Any, known: identity.Names) -> Iterable[Made]:  # noqa: ANN401 - a row of a frame
    when, call = act.event_time.to_pydatetime(), f"{act.event_source.removesuffix('.amazonaws.com')}:{act.event_name}"
    if isinstance(act.minted_key, str) and act.minted_key:
        yield Made("issued", f"access_key:{act.minted_key}", call, when, act.event_id)
    detail = {"request": identity.parse(act.request), "response": identity.parse(act.response)}
    row = act._replace(user_name=act.user_name if isinstance(act.user_name, str) else None)
    for effect in identity.effects(row, detail, known):
        if effect.node != f"access_key:{act.minted_key}":
            yield Made(effect.effect, effect.node, call, when, act.event_id)


def _use(value: str, row: dict[str, Any]) -> Use:
    first, last = (None if pd.isna(row[name]) else row[name].to_pydatetime() for name in ("first_seen", "last_seen"))
    ids = row["ids"] if isinstance(row["ids"], list) else []
    return Use(value, int(row["events"]), int(row["denied"]), first, last, tuple(one.split(" ", 1)[1] for one in ids))


def _call(row: dict[str, Any]) -> str:
    return f"{str(row['event_source']).removesuffix('.amazonaws.com')}:{row['event_name']}"
