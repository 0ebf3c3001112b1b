"""Who holds which credential: the acts in the logs, the credential behind each, and what each act minted or made.

A credential is named by the first of these that is certain: the access key that a mint record issued, the sign-in
session, the console session (principal and creation time; its per-request keys are aliases), the access key as logged.
"""

import csv
import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import duckdb
import jmespath
import pandas as pd

from cirtlib.engine import duckdb as engine

ACT_COLUMNS = (
    "event_time", "event_id", "account_id", "event_source", "event_name", "region", "source_ip", "source_ip_kind",
    "source_network", "user_agent", "user_agent_family", "principal_type", "principal", "principal_id", "user_name",
    "session_name", "role_arn", "caller_account", "access_key_id", "session_created", "from_console",
    "sign_in_session", "invoked_by", "outcome", "minted_key", "minted_principal", "shared_event_id",
    "tls_host",
)  # fmt: skip
DETAIL_COLUMNS = ("event_id", "account_id", "request", "response", "resources")

# The console makes its session within this time of the ConsoleLogin record (same second in nearly all records seen).
LOGIN_TO_SESSION = pd.Timedelta(seconds=60)


@dataclass(frozen=True)
class Effect:
    """One thing that an act created or changed."""

    effect: str  # created | changed
    node: str  # node id, as scope.json writes it
    kind: str  # credential | principal | resource
    value: str


def acts(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Every event that the connection sees as an act: `ACT_COLUMNS`, and node ids in `credential` and `issued`.

    One row per event, sorted by (event_time, event_id, account_id), so that nothing depends on the order of records.
    """
    frame = engine.run(connection, f"SELECT {', '.join(ACT_COLUMNS)} FROM events")  # noqa: S608 - our own names
    frame = frame.sort_values(["event_time", "event_id", "account_id"], kind="stable").reset_index(drop=True)
    for name in frame.columns:
        if frame[name].dtype == object or str(frame[name].dtype) in {"str", "string"}:
            frame[name] = frame[name].astype(object).where(frame[name].notna() & (frame[name] != ""), None)
    frame["credential"] = credentials(frame)
    frame["issued"] = _issued(frame)
    return frame


def credentials(frame: pd.DataFrame) -> pd.Series:
    """Node id of the credential behind each act, or None where the act has none (a service, a foreign caller)."""
    key = frame["access_key_id"]
    issued = set(frame.loc[frame["minted_key"].notna(), "minted_key"])
    created = frame["session_created"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    # A temporary key that no record issued, used by a browser or the console, is one of a console session's many.
    by_console = frame["from_console"].eq(True).fillna(False) | (
        frame["user_agent_family"].isin(["console", "browser"]) & key.str.startswith("ASIA", na=False)
    )
    session = frame["principal_id"].notna() & frame["session_created"].notna()
    result = pd.Series([None] * len(frame), index=frame.index, dtype=object)
    result = result.mask(key.notna(), "access_key:" + key.astype(str))
    result = result.mask(
        by_console.astype(bool) & session & ~key.isin(issued),
        "console:" + frame["principal_id"].astype(str) + "/" + created.astype(str),
    )
    result = result.mask(
        frame["sign_in_session"].notna() & ~key.isin(issued), "sign_in:" + frame["sign_in_session"].astype(str)
    )
    result = result.mask(result.isna() & _is_login(frame), _login_session(frame, result))
    return _from_twin(frame, result).where(lambda s: s.notna(), None)


def aliases(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Access keys that stand for a console or sign-in session, by its node id."""
    many = frame["credential"].notna() & frame["access_key_id"].notna()
    many &= ~frame["credential"].astype(str).str.startswith("access_key:")
    pairs = frame.loc[many, ["credential", "access_key_id"]].drop_duplicates()
    return {str(name): sorted(group) for name, group in pairs.groupby("credential")["access_key_id"]}


def _is_login(frame: pd.DataFrame) -> pd.Series:
    return (
        (frame["event_source"] == "signin.amazonaws.com")
        & (frame["event_name"] == "ConsoleLogin")
        & (frame["outcome"] == "ok")
        & frame["principal_id"].notna()
    )


def _login_session(frame: pd.DataFrame, known: pd.Series) -> pd.Series:
    """Console session that each successful ConsoleLogin opened: the nearest of that principal, else one of its own."""
    result = pd.Series([None] * len(frame), index=frame.index, dtype=object)
    logins = frame[_is_login(frame)]
    if logins.empty:
        return result
    consoles = frame[known.astype(str).str.startswith("console:") & frame["principal_id"].isin(logins["principal_id"])]
    made = {
        str(pid): sorted(set(zip(group["session_created"], known[group.index], strict=True)))
        for pid, group in consoles.groupby("principal_id")
    }
    for index, login in logins.iterrows():
        near = [
            (abs(when - login["event_time"]), node)
            for when, node in made.get(str(login["principal_id"]), [])
            if abs(when - login["event_time"]) <= LOGIN_TO_SESSION
        ]
        own = f"console:{login['principal_id']}/{login['event_time']:%Y-%m-%dT%H:%M:%SZ}"
        result[index] = min(near)[1] if near else own
    return result


def _from_twin(frame: pd.DataFrame, result: pd.Series) -> pd.Series:
    """Give the record that another account received the credential that the caller's own record names."""
    blank = result.isna() & frame["shared_event_id"].notna()
    if not blank.any():
        return result
    named = frame["shared_event_id"].isin(frame.loc[blank, "shared_event_id"]) & result.notna()
    owner = pd.Series(result[named].to_numpy(), index=frame.loc[named, "shared_event_id"]).groupby(level=0).min()
    return result.mask(blank, frame["shared_event_id"].map(owner))


def _issued(frame: pd.DataFrame) -> pd.Series:
    """Node id of the credential that each act issued: a key in its answer, or the session that a login opened."""
    key = frame["minted_key"].where(frame["outcome"] == "ok")
    result = pd.Series([None] * len(frame), index=frame.index, dtype=object)
    result = result.mask(key.notna(), "access_key:" + key.astype(str))
    return result.mask(_is_login(frame), frame["credential"]).where(lambda s: s.notna(), None)


class Names:
    """Full ARNs for the bare names that requests carry, learned from every record that shows both."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._arns: dict[tuple[str, str, str], str] = {}
        for column in ("principal", "role_arn", "minted_principal"):
            for arn in sorted(set(frame[column].dropna())):
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


def details(connection: duckdb.DuckDBPyConnection, keys: pd.DataFrame) -> dict[tuple[str, str], dict[str, Any]]:
    """Request and response (dicts) and resources (ARNs) of the given events, by (event_id, account_id)."""
    connection.register("wanted", keys[["event_id", "account_id"]].drop_duplicates())
    columns = ", ".join(f"e.{name}" for name in DETAIL_COLUMNS)
    frame: pd.DataFrame = connection.sql(
        f"SELECT {columns} FROM events e SEMI JOIN wanted USING (event_id, account_id)"  # noqa: S608 - our own names
    ).df()
    connection.unregister("wanted")
    return {
        (row.event_id, row.account_id): {
            "request": parse(row.request),
            "response": parse(row.response),
            "resources": _arns(row.resources),
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
