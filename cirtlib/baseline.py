"""What was normal before the attack: who worked from where, with what, doing what; and what in the attack is new."""

import functools
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.resources import files

import duckdb
import numpy as np
import pandas as pd

from cirtlib.engine import duckdb as engine

# Fewer days than this say nothing about what is normal.
LEAST_DAYS = 3.0
# An address that this many principals used before the attack is an office, a proxy or a VPN exit.
COMMON_PRINCIPALS = 3
# What may be new for a principal, and the column of acts that holds it.
DIMENSIONS = {
    "network": "source_network",
    "user agent": "user_agent_family",
    "Region": "region",
    "API": "call",
    "hour": "hour",
}
NEW_COLUMNS = (
    "principal", "dimension", "value", "first_seen", "event_id", "account_id", "events", "own_days", "compared",
)  # fmt: skip

TABLE_KEYS = [
    "principal", "credential_kind", "source_network", "user_agent_family", "account_id", "region", "event_source",
    "event_name", "resource", "hour_of_day", "outcome",
]  # fmt: skip


@dataclass(frozen=True)
class Baseline:
    """What the days before the attack say, per act of the frame it was built from.

    `explains` is a mask over the acts: same principal, same source network and user-agent family before the attack.
    `users` maps an address to the number of principals that used it before the attack; `programs` a user agent, and
    `hosts` the host name that a client asked TLS for.
    """

    start: datetime | None
    end: datetime
    days: float
    explains: np.ndarray
    users: dict[str, int]
    programs: dict[str, int] = field(default_factory=dict)
    hosts: dict[str, int] = field(default_factory=dict)

    @property
    def exists(self) -> bool:
        """Whether there are enough days to say what is normal."""
        return self.days >= LEAST_DAYS

    @property
    def common(self) -> frozenset[str]:
        """Addresses that convict nobody."""
        return frozenset(address for address, count in self.users.items() if count >= COMMON_PRINCIPALS)


@dataclass(frozen=True)
class Source:
    """What the baseline is counted from: a relation of all events on a connection, and where the window begins."""

    connection: duckdb.DuckDBPyConnection
    relation: str
    days: int
    window_start: datetime


def build(source: Source, acts: pd.DataFrame, *, end: datetime) -> Baseline:
    """Baseline before `end`, as far as it speaks of these acts.

    A first appearance inside the window explains nothing by itself: a habit was seen before the window opened, or on
    two days. So the thief's first, unnoticed visit does not become the owner's habit.
    """
    span = {"start": end - timedelta(days=source.days), "end": end}
    before = f"{source.relation} WHERE event_time >= $start AND event_time < $end"
    first = source.connection.execute(f"SELECT min(event_time) FROM {before}", span).fetchall()  # noqa: S608
    none = np.zeros(len(acts), dtype=bool)
    if first[0][0] is None:
        return Baseline(None, end, 0.0, none, {})
    since = pd.Timestamp(first[0][0])
    since = since.tz_localize("UTC") if since.tzinfo is None else since.tz_convert("UTC")
    length = (end - since.to_pydatetime()) / timedelta(days=1)
    return Baseline(
        start=since.to_pydatetime(),
        end=end,
        days=round(length, 2),
        explains=_explained(source, acts, before, span) if length >= LEAST_DAYS else none,
        users=_users(source, acts, "source_ip", before, span),
        programs=_users(source, acts, "user_agent", before, span),
        hosts=_users(source, acts, "tls_host", before, span),
    )


_HABIT = ["principal", "source_network", "user_agent_family"]


def _explained(source: Source, acts: pd.DataFrame, before: str, span: dict[str, datetime]) -> np.ndarray:
    """Mask of the acts by principals from networks and with programs of theirs."""
    source.connection.register("asked", acts[["principal"]].dropna().drop_duplicates())
    known = source.connection.execute(
        f"SELECT {', '.join(_HABIT)}, min(event_time) < $window AS early, "  # noqa: S608 - our own names
        f"count(DISTINCT CAST(event_time AS DATE)) > 1 AS often FROM {before} "
        "AND principal IN (SELECT principal FROM asked) GROUP BY ALL",
        {**span, "window": source.window_start},
    ).df()
    source.connection.unregister("asked")
    habits = known.loc[known["early"] | known["often"], _HABIT].astype(object)
    one, other = (frame.where(frame.notna(), None) for frame in (acts[_HABIT].astype(object), habits))
    mask = pd.MultiIndex.from_frame(one).isin(pd.MultiIndex.from_frame(other))
    return np.asarray(mask & acts["principal"].notna().to_numpy())


def _users(source: Source, acts: pd.DataFrame, trait: str, before: str, span: dict[str, datetime]) -> dict[str, int]:
    """Number of principals that used each of the values that the acts show in a column, such as each address."""
    source.connection.register("asked", acts[[trait]].dropna().drop_duplicates())
    rows = source.connection.execute(
        f"SELECT {trait}, count(DISTINCT principal) FROM {before} "  # noqa: S608 - our own names
        f"AND {trait} IN (SELECT {trait} FROM asked) AND principal IS NOT NULL GROUP BY 1",
        span,
    ).fetchall()
    source.connection.unregister("asked")
    return {str(value): int(count) for value, count in rows}


def table(connection: duckdb.DuckDBPyConnection, *, start: datetime, end: datetime, odd: pd.DataFrame) -> pd.DataFrame:
    """Count the baseline: one row per principal, kind of credential, network, program, place, call, resource and hour.

    Parameters
    ----------
    connection
        To the case's store; events of every source count alike.
    odd
        Events that make no habit (event_id, account_id): the attacker's and the unclear.

    Returns
    -------
    DataFrame
        `TABLE_KEYS`, then first_seen, last_seen (UTC) and count. An event that names several resources counts once for
        each; one that names none has no resource. `credential_kind` is sign_in, console, access_key or None.
    """
    connection.register("odd", odd[["event_id", "account_id"]])
    found = connection.sql(_TABLE, params={"start": start, "end": end}).to_arrow_table()
    connection.unregister("odd")
    return engine.frame(found)


_TABLE = f"""
    SELECT {", ".join(TABLE_KEYS)}, min(event_time) AS first_seen, max(event_time) AS last_seen, count(*) AS count
    FROM (
        SELECT
            *,
            CASE WHEN sign_in_session IS NOT NULL THEN 'sign_in'
                 WHEN from_console AND session_created IS NOT NULL THEN 'console'
                 WHEN access_key_id IS NOT NULL THEN 'access_key' END AS credential_kind,
            hour(event_time) AS hour_of_day,
            unnest(CASE WHEN len(arns) > 0 THEN arns ELSE [NULL] END) AS resource
        FROM (
            SELECT *, list_distinct([r.arn FOR r IN resources IF r.arn IS NOT NULL]) AS arns
            FROM events ANTI JOIN odd USING (event_id, account_id)
            WHERE event_time >= $start AND event_time < $end
        )
    )
    GROUP BY ALL
    ORDER BY ALL
"""  # noqa: S608 - our own names


def acts_of(connection: duckdb.DuckDBPyConnection, mine: pd.DataFrame, *, since: datetime) -> pd.DataFrame:
    """Acts from a moment on of the principals of some events (event_id, account_id): what `new_in_attack` compares."""
    connection.register("mine", mine[["event_id", "account_id"]])
    columns = "event_time, event_id, account_id, principal, source_ip_kind, event_source, event_name, "
    columns += ", ".join(column for column in DIMENSIONS.values() if column not in {"call", "hour"})
    found = connection.sql(
        f"SELECT {columns} FROM events WHERE event_time >= $since AND principal IN "  # noqa: S608 - our own names
        "(SELECT principal FROM events SEMI JOIN mine USING (event_id, account_id)) "
        "ORDER BY event_time, event_id, account_id",
        params={"since": since},
    ).to_arrow_table()
    connection.unregister("mine")
    return engine.frame(found)


def new_in_attack(acts: pd.DataFrame, *, mine: np.ndarray, end: datetime, days: int, odd: np.ndarray) -> pd.DataFrame:
    """What each principal of the attack did that it never did in its own days before: one row per first appearance.

    Parameters
    ----------
    acts
        As `acts_of` gives them: of the principals of the attack.
    mine
        Mask of the attacker's acts.
    end, days
        End of the baseline, and how many days before it count.
    odd
        Mask of acts that make no habit: the attacker's and the unclear.

    Returns
    -------
    DataFrame
        `NEW_COLUMNS`, in order of time. `dimension` is one of `DIMENSIONS`; `own_days` is how long before `end` this
        principal is first seen; `compared` says with how much, or that under three days are no baseline, where
        everything is listed and nothing is called new. Regions are not compared for services that have none.
    """
    frame = acts.assign(
        call=acts["event_source"].astype(str).str.removesuffix(".amazonaws.com") + ":" + acts["event_name"].astype(str),
        hour=acts["event_time"].dt.strftime("%H:00 UTC"),
        source_network=acts["source_network"].where(acts["source_ip_kind"].isin(["public", "private"])),
        region=acts["region"].mask(acts["event_source"].isin(_without_region()) & (acts["region"] == "us-east-1")),
    )
    before = ((frame["event_time"] >= end - timedelta(days=days)) & (frame["event_time"] < end)).to_numpy() & ~odd
    attack, habits = frame[mine & frame["principal"].notna()], frame[before]
    since = habits.groupby("principal")["event_time"].min()
    own = ((end - since) / pd.Timedelta(days=1)).round(2)
    parts = []
    for dimension, column in DIMENSIONS.items():
        known = pd.MultiIndex.from_frame(habits[["principal", column]].dropna().drop_duplicates())
        rows = attack.dropna(subset=[column])
        rows = rows[~pd.MultiIndex.from_frame(rows[["principal", column]]).isin(known)]
        rows = rows.sort_values(["event_time", "event_id"], kind="stable")
        grouped = rows.groupby(["principal", column], sort=False)
        first = grouped[["event_time", "event_id", "account_id"]].first().assign(events=grouped.size()).reset_index()
        parts.append(first.rename(columns={column: "value", "event_time": "first_seen"}).assign(dimension=dimension))
    result = pd.concat(parts, ignore_index=True)
    result["own_days"] = result["principal"].map(own).fillna(0.0)
    result["compared"] = [_compared(length) for length in result["own_days"]]
    order = {name: number for number, name in enumerate(DIMENSIONS)}
    result = result.assign(_order=result["dimension"].map(order))
    result = result.sort_values(["first_seen", "event_id", "principal", "_order", "value"], ignore_index=True)
    return result[list(NEW_COLUMNS)]


def _compared(days: float) -> str:
    if days >= LEAST_DAYS:
        return f"new in {days:.1f} days of its own"
    return f"no baseline: {days:.1f} days of its own are too few to call it new"


@functools.cache
def _without_region() -> frozenset[str]:
    """Services that have no Region of their own and record their calls in us-east-1."""
    text = files("cirtlib").joinpath("data/global_services.tsv").read_text(encoding="utf-8")
    return frozenset(line.split("\t")[0] for line in text.splitlines()[1:])
