"""The events that a plan is made from, read by what is asked: never the whole table."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import duckdb
import pandas as pd

from cirtlib.engine import duckdb as engine

# Columns that a plan reads; a table made by hand may lack some.
_TIMES = ("event_time", "session_created")
_TEXTS = (
    "event_id", "account_id", "region", "event_source", "event_name", "outcome", "principal", "principal_type",
    "principal_id", "role_arn", "access_key_id", "minted_key", "minted_principal", "session_name", "user_name",
    "source_identity", "sign_in_session", "caller_account", "invoked_by", "shared_event_id", "source_ip",
    "source_ip_kind", "source_network", "user_agent", "user_agent_family", "tls_host", "request", "response",
)  # fmt: skip
_OF_THE_ATTACKER = [
    "event_id", "event_time", "account_id", "event_source", "event_name", "outcome", "principal", "principal_id",
    "session_name", "source_identity", "sign_in_session", "access_key_id", "minted_principal", "source_ip",
    "source_ip_kind", "user_agent", "tls_host",
]  # fmt: skip
_TURN = "(event_time, event_id, account_id)"  # the order of events
ATTACKER = "(event_id, account_id) IN (SELECT (event_id, account_id) FROM judged WHERE verdict = 'attacker')"


class Log:
    """The events of an incident and the verdicts on them.

    Parameters
    ----------
    events
        A connection that has the relation `events`, or the table itself.
    verdicts
        Columns event_id, account_id, verdict: the relation `judged`.
    """

    def __init__(self, events: duckdb.DuckDBPyConnection | pd.DataFrame, verdicts: pd.DataFrame) -> None:
        self._connection = _held(events) if isinstance(events, pd.DataFrame) else events.cursor()
        judged = verdicts[["event_id", "account_id", "verdict"]].drop_duplicates(["event_id", "account_id"])
        self._connection.register("judged", judged.astype("string"))

    def ask(self, text: str, **values: Any) -> pd.DataFrame:  # noqa: ANN401 - what DuckDB binds
        """Rows of a SELECT over `events` and `judged`, in DuckDB's own SQL; `values` are bound to its $names."""
        return engine.frame(self._connection.sql(text, params=values).to_arrow_table())

    def rows(self, columns: Iterable[str], where: str, **values: Any) -> pd.DataFrame:  # noqa: ANN401 - as in `ask`
        """These columns of the events that meet a condition, in order of time."""
        text = f"SELECT {', '.join(columns)} FROM events WHERE {where} ORDER BY event_time, event_id, account_id"  # noqa: S608 - ours
        return self.ask(text, **values)

    def values(self, *columns: str) -> list[str]:
        """Every text that stands in one of these columns, sorted."""
        each = " UNION ".join(f"SELECT {name} AS value FROM events" for name in columns)  # noqa: S608 - ours
        return [str(one) for one in self.ask(f"SELECT value FROM ({each}) WHERE value IS NOT NULL ORDER BY 1")["value"]]  # noqa: S608 - ours

    def counts_of_others(self, column: str) -> dict[str, int]:
        """How many events that are not the attacker's have each value of a column."""
        text = f"SELECT {column} AS value, count(*) AS count FROM events WHERE {column} IS NOT NULL AND NOT {ATTACKER}"  # noqa: S608 - ours
        found = self.ask(f"{text} GROUP BY 1")
        return dict(zip(map(str, found["value"]), map(int, found["count"]), strict=True))

    def last_by_key(self, key: str, value: str, keys: Iterable[str], where: str = "true") -> dict[str, object]:
        """Value in the last event of each of these keys, in order of their first events.

        Parameters
        ----------
        key
            Column of the keys: access_key_id, minted_key.
        value
            Column, or expression, of the value.
        """
        text = f"""
            SELECT {key} AS key, arg_max_null({value}, {_TURN}) AS value FROM events
            WHERE {key} IN (SELECT unnest($keys::VARCHAR[])) AND {where} GROUP BY {key} ORDER BY min({_TURN})
        """  # noqa: S608 - ours
        found = self.ask(text, keys=sorted(keys))
        return dict(zip(map(str, found["key"]), found["value"], strict=True))

    @cached_property
    def attackers(self) -> pd.DataFrame:
        """The attacker's events, in order of time."""
        return self.rows(_OF_THE_ATTACKER, ATTACKER)


def _held(table: pd.DataFrame) -> duckdb.DuckDBPyConnection:
    """Connection that holds a table made by hand."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    frame = table.reindex(columns=[*_TIMES, *_TEXTS]).astype(dict.fromkeys(_TEXTS, "string"))
    for name in _TIMES:
        frame[name] = pd.to_datetime(frame[name], utc=True)
    connection.register("table_by_hand", frame)
    named = "CAST(NULL AS STRUCT(arn VARCHAR)[]) AS resources"
    connection.execute(f"CREATE TABLE events AS SELECT *, {named} FROM table_by_hand")  # noqa: S608 - ours
    return connection
