"""Who holds which credential: the acts in the logs, the credential behind each, and what each act minted or made.

A credential is named by the first of these that is certain: the access key that a mint record issued, the sign-in
session, the console session (principal and creation time; its per-request keys are aliases), the access key as logged.
"""

import csv
import functools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import duckdb
import jmespath
import pandas as pd

from cirtlib import sessions
from cirtlib.engine import duckdb as engine

ACT_COLUMNS = (
    "event_time", "event_id", "account_id", "event_source", "event_name", "region", "source_ip", "source_ip_kind",
    "source_network", "user_agent", "user_agent_family", "principal_type", "principal", "principal_id", "user_name",
    "session_name", "role_arn", "caller_account", "access_key_id", "session_created", "from_console",
    "sign_in_session", "invoked_by", "outcome", "minted_key", "minted_principal", "shared_event_id", "tls_host",
    "credentials_issued_to",
)  # fmt: skip
DETAIL_COLUMNS = ("event_id", "account_id", "request", "response", "resources")


# Where a record lies, so that it is read once.
PLACE = ("source_object", "source_position")
_ORDER = ("event_time", "event_id", "account_id", "access_key_id", "event_name", "source_ip", "user_agent", "outcome")


@dataclass(frozen=True)
class Effect:
    """One thing that an act created or changed."""

    effect: str  # created | changed
    node: str  # node id, as scope.json writes it
    kind: str  # credential | principal | resource
    value: str


def acts(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Every event that the connection sees as an act; see `named`."""
    return named(connection, read(connection))


def read(connection: duckdb.DuckDBPyConnection, condition: str = "true") -> pd.DataFrame:
    """Events that meet a condition of our own in the embedded engine's SQL: `ACT_COLUMNS`, and `PLACE`."""
    text = f"SELECT {', '.join((*ACT_COLUMNS, *PLACE))} FROM events WHERE {condition}"  # noqa: S608 - our own names
    return engine.frame(connection.sql(text).to_arrow_table())


def named(connection: duckdb.DuckDBPyConnection, frame: pd.DataFrame) -> pd.DataFrame:
    """Acts from what `read` gives: `ACT_COLUMNS`, and node ids in `credential` and `issued`, `issued_how` (confidence).

    One row per record, in an order that does not depend on where the records lie or came from.
    """
    frame = frame.sort_values(list(_ORDER), kind="stable").reset_index(drop=True)
    for name in frame.columns:
        if frame[name].dtype == object or str(frame[name].dtype) in {"str", "string"}:
            frame[name] = frame[name].astype(object).where(frame[name].notna() & (frame[name] != ""), None)
    frame["credential"] = credentials(frame)
    frame["issued"], frame["issued_how"] = sessions.issued(frame, _hints(connection, frame))
    return frame


def _hints(connection: duckdb.DuckDBPyConnection, frame: pd.DataFrame) -> dict[tuple[str, str], dict[str, Any]]:
    """Details of the few acts that issue a session without naming its key in their answer."""
    return details(connection, frame[sessions.unnamed(frame)], ("additional", "service_details"))


def credentials(frame: pd.DataFrame) -> pd.Series:
    """Node id of the credential behind each act, or None where the act has none (a service, a foreign caller)."""
    key = frame["access_key_id"]
    issued = set(frame.loc[frame["minted_key"].notna(), "minted_key"])
    created = frame["session_created"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    # A temporary key that no record issued, used by a browser or the console, is one of a console session's many.
    by_console = frame["from_console"].eq(True).fillna(False) | (
        frame["user_agent_family"].isin(["console", "browser"]) & key.str.startswith("ASIA", na=False)
    )
    # A token for the console, or for a command line, is asked for with the caller's own key.
    token = frame["event_source"].eq("signin.amazonaws.com") & frame["event_name"].isin(sessions.TOKENS)
    session = frame["principal_id"].notna() & frame["session_created"].notna() & ~(token & key.notna())
    result = pd.Series([None] * len(frame), index=frame.index, dtype=object)
    result = result.mask(key.notna(), "access_key:" + key.astype(str))
    result = result.mask(
        by_console.astype(bool) & session & ~key.isin(issued),
        "console:" + frame["principal_id"].astype(str) + "/" + created.astype(str),
    )
    signed_in = frame["sign_in_session"].notna() & ~key.isin(issued) & (frame["event_name"] != sessions.AUTHORIZED)
    result = result.mask(signed_in, "sign_in:" + frame["sign_in_session"].astype(str))
    result = result.mask(result.isna() & sessions.is_login(frame), sessions.login_sessions(frame, result))
    return _from_twin(frame, result).where(lambda s: s.notna(), None)


def arns(frame: pd.DataFrame) -> list[str]:
    """What acts show as a principal, a role or the principal that they issued something to, sorted."""
    columns = [frame[name].dropna() for name in ("principal", "role_arn", "minted_principal")]
    return sorted({str(arn) for column in columns for arn in column})


def aliases(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Access keys that stand for a console or sign-in session, by its node id."""
    many = frame["credential"].notna() & frame["access_key_id"].notna()
    many &= ~frame["credential"].astype(str).str.startswith("access_key:")
    pairs = frame.loc[many, ["credential", "access_key_id"]].drop_duplicates()
    return {str(name): sorted(group) for name, group in pairs.groupby("credential")["access_key_id"]}


def _from_twin(frame: pd.DataFrame, result: pd.Series) -> pd.Series:
    """Give the record that another account received the credential that the caller's own record names."""
    blank = result.isna() & frame["shared_event_id"].notna()
    if not blank.any():
        return result
    named = frame["shared_event_id"].isin(frame.loc[blank, "shared_event_id"]) & result.notna()
    owner = pd.Series(result[named].to_numpy(), index=frame.loc[named, "shared_event_id"]).groupby(level=0).min()
    return result.mask(blank, frame["shared_event_id"].map(owner))


class Names:
    """Full ARNs for the bare names that requests carry, learned from every record that shows both."""

    def __init__(self, arns: Iterable[str]) -> None:
        self._arns: dict[tuple[str, str, str], str] = {}
        for arn in arns:
            self.learn(arn)

    def learn(self, arn: str) -> None:
        """Remember the ARN of an IAM user or role under its account, kind and name."""
        parts = arn.split(":", 5)
        if len(parts) == 6 and parts[2] == "iam" and "/" in parts[5]:
            kind, _, path = parts[5].partition("/")
            key = (parts[4], kind, path.rsplit("/", 1)[-1])
            # Some records name a user without its path: the longer form is the true one.
            self._arns[key] = max(self._arns.get(key, ""), arn, key=lambda text: (text.count("/"), text))

    def find(self, account: str, kind: str, name: str) -> str:
        """ARN of user or role `name`; without its path when no record shows one."""
        if name.startswith("arn:"):
            return name
        return self._arns.get((account, kind, name), f"arn:aws:iam::{account}:{kind}/{name}")


def details(
    connection: duckdb.DuckDBPyConnection, keys: pd.DataFrame, more: tuple[str, ...] = ()
) -> dict[tuple[str, str], dict[str, Any]]:
    """Request and response (dicts), resources (ARNs) and columns of JSON in `more`, by (event_id, account_id)."""
    if keys.empty:
        return {}
    connection.register("wanted", keys[["event_id", "account_id"]].drop_duplicates())
    columns = ", ".join(f"e.{name}" for name in (*DETAIL_COLUMNS, *more))
    frame: pd.DataFrame = connection.sql(
        f"SELECT {columns} FROM events e SEMI JOIN wanted USING (event_id, account_id)"  # noqa: S608 - our own names
    ).df()
    connection.unregister("wanted")
    return {
        (row.event_id, row.account_id): {
            "request": parse(row.request),
            "response": parse(row.response),
            "resources": _arns(row.resources),
            **{name: parse(getattr(row, name)) for name in more},
        }
        for row in frame.sort_values(["event_id", "account_id", "request"]).itertuples(index=False)
    }


def _arns(resources: Any) -> list[str]:  # noqa: ANN401 - a list cell or a missing value
    """ARNs of a record's resources; a missing list has none."""
    if not hasattr(resources, "__iter__"):
        return []
    return [str(item["arn"]) for item in resources if item.get("arn")]


def parse(text: object) -> dict[str, Any]:
    """JSON object from its text; empty where there is none, or where it is no object."""
    if not isinstance(text, str):
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def acting(frame: pd.DataFrame) -> pd.Series:
    """Mask of the acts that may have created or changed something: known calls that succeeded."""
    known = set(_actions())
    names = frame["event_source"].astype(str) + " " + frame["event_name"].astype(str)
    return names.isin([f"{source} {name}" for source, name in known]) & (frame["outcome"] == "ok")


def acting_names() -> set[str]:
    """Names of the calls that may create or change something that an investigation follows."""
    return {name for _, name in _actions()}


def effects(act: Any, detail: Any, names: Names) -> Iterator[Effect]:  # noqa: ANN401 - rows of frames
    """Yield what one successful act created or changed, by the table data/actions.tsv.

    Parameters
    ----------
    act
        A row of `acts`, as `itertuples` gives it.
    detail
        The row of `details` for the same event: request and response as dicts.
    names
        Resolver of bare IAM names.
    """
    scope = {"request": detail["request"], "response": detail["response"], "user_name": act.user_name}
    for effect, kind, parts, template in _actions().get((act.event_source, act.event_name), ()):
        found = parts.search(scope)
        for part in found if isinstance(found, list) else [found]:
            if isinstance(part, str) and part:
                yield _effect(
                    effect, kind, template.format(part, account=act.account_id, region=act.region), (act, names)
                )


def _effect(effect: str, kind: str, value: str, where: tuple[Any, Names]) -> Effect:
    """Effect with its node id; bare names are made ARNs of the act's account."""
    act, names = where
    if kind in {"user", "role"}:
        arn = names.find(act.account_id, kind, value)
        return Effect(effect, f"principal:{arn}", "principal", arn)
    if kind == "access_key":
        return Effect(effect, f"access_key:{value}", "credential", value)
    if kind == "login_profile":
        arn = names.find(act.account_id, "user", value)
        return Effect(effect, f"login_profile:{arn}", "credential", arn)
    prefix = {
        "trail": f"arn:aws:cloudtrail:{act.region}:{act.account_id}:trail/",
        "function": f"arn:aws:lambda:{act.region}:{act.account_id}:function:",
        "key": f"arn:aws:kms:{act.region}:{act.account_id}:key/",
    }.get(kind, "")
    arn = value if value.startswith("arn:") else prefix + value
    return Effect(effect, f"resource:{arn}", "resource", arn)


@functools.cache
def _actions() -> dict[tuple[str, str], list[tuple[str, str, Any, str]]]:
    """Read the shipped table: (event source, event name) -> effect, kind, compiled path to the parts, template."""
    table: dict[tuple[str, str], list[tuple[str, str, Any, str]]] = {}
    text = files("cirtlib").joinpath("data/actions.tsv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines(), delimiter="\t"):
        entry = (row["effect"], row["kind"], jmespath.compile(row["parts"]), row["template"])
        table.setdefault((row["event_source"], row["event_name"]), []).append(entry)
    return table
