"""The closed set of a case's suspects, from the records that issue credentials: more than the scope, never less.

Whose act an event was is judged later, by the scope, which needs all events of everybody who may be in it. So every act
of a suspected credential counts here; never a role's other sessions, and nobody only for sharing an address.
"""

import re
from collections.abc import Iterable
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from cirtlib import identity
from cirtlib.case import Case, Seed
from cirtlib.sources.slice_sql import Suspects

_LONG_LIVED = re.compile(r"^(AKIA|ASCA|APKA)")
_KINDS = {"address": "ip", "resource": "instance", "console": "session", "sign_in": "session"}


def seeds(case: Case) -> list[Seed]:
    """Seeds of the case, and what the analyst has confirmed."""
    found = list(case.seeds)
    for decision in case.confirmed:
        kind, _, value = decision.node.partition(":")
        whole = kind in {"console", "sign_in"}
        found.append(Seed(_KINDS.get(kind, kind), decision.node if whole else value))
    return list(dict.fromkeys(found))


def named(case: Case, findings: pd.DataFrame) -> Suspects:
    """What the seeds themselves name, which can be asked for before anything is known."""
    made: dict[str, set[str]] = {name: set() for name in Suspects().as_dict()}
    for seed in seeds(case):
        for kind, value in _of_seed(seed, findings):
            made[kind].add(value)
    return Suspects(**{kind: frozenset(values) for kind, values in made.items()})


def _of_seed(seed: Seed, findings: pd.DataFrame) -> Iterable[tuple[str, str]]:
    value = seed.value
    if seed.kind == "finding":
        return _of_finding(value, findings)
    if seed.kind == "user_agent":
        return [("agents", value), ("agents", f"[{value}]")]
    if seed.kind == "instance":
        return [("sessions", value.rpartition("/")[2])]
    if seed.kind == "session":
        return _of_session(value)
    return [({"access_key": "keys", "principal": "principals", "ip": "addresses", "event": "events"}[seed.kind], value)]


def _of_session(value: str) -> list[tuple[str, str]]:
    """Of a node of the scope, or of a session as its records name it: by its principal's id, or by its name."""
    kind, _, rest = value.partition(":")
    if kind == "sign_in":
        return [("signed_in", rest)]
    return [("ids", rest.rpartition("/")[0])] if kind == "console" else [("ids", value), ("sessions", value)]


def _of_finding(value: str, findings: pd.DataFrame) -> list[tuple[str, str]]:
    rows = findings[findings["finding_id"] == value] if len(findings) else findings
    found = []
    for row in rows.to_dict("records"):
        found += [("keys", key) for key in [row.get("access_key_id"), *_list(row.get("sequence_keys"))]]
        found += [("ids", row.get("principal_id")), ("sessions", row.get("instance_id"))]
    return [(kind, text) for kind, text in found if isinstance(text, str) and text]


def _list(value: Any) -> list[Any]:  # noqa: ANN401 - a cell
    return list(value) if isinstance(value, list | np.ndarray) else []


def closed(connection: duckdb.DuckDBPyConnection, given: Suspects) -> Suspects:
    """Everything that follows from what the seeds name, in the records that the connection sees."""
    acts = identity.acts(connection)
    if acts.empty:
        return given
    return _Closure(connection, acts).run(given)


class _Closure:
    """The fixpoint over one frame of acts."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, acts: pd.DataFrame) -> None:
        self.acts = acts
        self.who = acts["principal"]
        self.acting = identity.acting(acts).to_numpy()
        self.details = identity.details(connection, acts[self.acting])
        self.names = identity.Names(identity.arns(acts))
        self.made: set[str] = set()  # ARNs of principals that suspects made, or set the password of
        self.doors: set[str] = set()  # ARNs of roles whose trust they changed
        self.instances: set[str] = set()
        self.touched: set[str] = set()
        self._read: set[int] = set()

    def run(self, given: Suspects) -> Suspects:
        """Repeat until nothing is added."""
        acts = self.acts
        mine = self._named(given)
        nodes: set[str] = {f"access_key:{key}" for key in given.keys}
        while True:
            before = (int(mine.sum()), len(nodes), len(self._read))
            own = mine & acts["invoked_by"].isna().to_numpy()
            nodes |= set(acts.loc[own, "credential"].dropna()) | set(acts.loc[own, "issued"].dropna())
            for index in np.flatnonzero(own & self.acting):
                self._learn(int(index))
            mine |= acts["credential"].isin(nodes).to_numpy() | acts["issued"].isin(nodes).to_numpy()
            mine |= self.who.isin(self.made).to_numpy() | acts["session_name"].isin(self.instances).to_numpy()
            mine |= acts["minted_principal"].isin(self.doors).to_numpy()
            twins = set(acts.loc[mine, "shared_event_id"].dropna())
            mine |= acts["shared_event_id"].isin(twins).to_numpy()
            if before == (int(mine.sum()), len(nodes), len(self._read)):
                return given.union(self._suspects(mine, nodes, twins))

    def _named(self, given: Suspects) -> np.ndarray:
        """Acts that the given names are of."""
        acts = self.acts
        pairs = (
            ("access_key_id", given.keys), ("minted_key", given.keys), ("principal", given.principals),
            ("principal_id", given.ids), ("session_name", given.sessions), ("source_ip", given.addresses),
            ("user_agent", given.agents), ("event_id", given.events), ("sign_in_session", given.signed_in),
        )  # fmt: skip
        mask = np.zeros(len(acts), dtype=bool)
        for column, values in pairs:
            mask |= acts[column].isin(values).to_numpy()
        return mask

    def _learn(self, index: int) -> None:
        """Note what one act made or let in."""
        if index in self._read:
            return
        self._read.add(index)
        act = self.acts.iloc[index]
        for effect in identity.effects(act, self.details[act["event_id"], act["account_id"]], self.names):
            if effect.node.startswith("login_profile:") or (effect.effect == "created" and effect.kind == "principal"):
                self.made.add(effect.value)
            if act["event_name"] == "UpdateAssumeRolePolicy":
                self.doors.add(effect.value)
            if ":instance/i-" in effect.value and effect.effect == "created":
                self.instances.add(effect.value.rpartition("/")[2])
            if effect.kind == "principal" and (effect.effect == "created" or effect.value in self.doors):
                self.touched.add(effect.value.rpartition("/")[2])

    def _suspects(self, mine: np.ndarray, nodes: set[str], twins: set[str]) -> Suspects:
        rows = self.acts[mine]
        public = rows[(rows["source_ip_kind"] == "public") & rows["invoked_by"].isna()]
        keys = {node.partition(":")[2] for node in nodes if node.startswith("access_key:")} | set(
            rows["access_key_id"].dropna()
        )
        people = rows[~rows["principal_type"].isin(["AWSService", "AWSAccount"])]
        issued = rows.loc[rows["issued"].isin(nodes), "minted_principal"]
        # A session's own name is asked for by its id; of a console session the id is all there is.
        return Suspects(
            keys=frozenset(map(str, keys)),
            principals=frozenset(map(str, {*people["principal"].dropna(), *issued.dropna(), *self.made})),
            ids=frozenset(map(str, rows.loc[rows["access_key_id"].isna(), "principal_id"].dropna())),
            sessions=frozenset(self.instances),
            addresses=frozenset(map(str, public["source_ip"].dropna())),
            shared=frozenset(map(str, twins)),
            touched=frozenset(self.touched | {key for key in keys if _LONG_LIVED.match(key)}),
        )
