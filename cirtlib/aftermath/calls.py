"""Calls after containment: whether each was access, a sign of life or a denied attempt, and whose it was."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from cirtlib import queries
from cirtlib.aftermath.holds import DENY, KEY, Hold, is_before
from cirtlib.facts import Facts

ACCESS, OTHER_CREDENTIAL, UNCLEAR = "access", "another credential", "unclear"
SPREADING, ALIVE, DENIED, ERROR, RIGHTFUL = "while it spread", "credential still alive", "denied", "error", "rightful"
MEANING = {
    ACCESS: "a contained or unplanned credential still had access",
    OTHER_CREDENTIAL: "another credential had access from an attacker's network and program",
    UNCLEAR: "access of which it cannot be told whose it was",
    SPREADING: "access in the minute that IAM takes to spread a change",
    ALIVE: "the credential is alive, which is no access",
    ERROR: "answered with an error that is no denial",
    DENIED: "denied: somebody tried",
    RIGHTFUL: "access of rightful users, after recovery",
}
"""Kinds of calls, the worst first, each with what it says."""

COLUMNS = (
    "kind", "whose", "principal", "access_key_id", "account_id", "region", "contained_at", "step", "calls", "names",
    "addresses", "first", "last", "event_ids",
)  # fmt: skip
SPREAD = timedelta(seconds=60)
"""How long IAM takes, as a rule, to spread a change ("IAM is eventually consistent", IAM user guide)."""

FAR = datetime.fromisoformat("2999-12-31T00:00:00+00:00")
_PLACES = ("public", "private")
Pair = tuple[str, str]
Call = dict[str, Any]


@dataclass(frozen=True)
class Places:
    """Whence calls came before containment, as pairs of source network and user-agent family.

    Attributes
    ----------
    attacker
        Pairs of the attacker's that nobody else came from.
    networks
        Networks of these pairs.
    owners
        (principal, network, agent) of calls that were not the attacker's.
    """

    attacker: frozenset[Pair]
    networks: frozenset[str]
    owners: frozenset[tuple[str, str, str]]

    def whose(self, call: Call) -> str:
        """The attacker's, the rightful user's, or not known."""
        pair = (str(call["source_network"]), str(call["user_agent_family"]))
        if pair in self.attacker:
            return "attacker"
        return "rightful user" if (str(call["principal"]), *pair) in self.owners else "not known"


@dataclass(frozen=True)
class Judge:
    """What decides about one call."""

    holds: Sequence[Hold]
    places: Places
    keys: frozenset[str]
    principals: frozenset[str]
    contained: datetime

    def of(self, call: Call) -> tuple[str, Hold | None] | None:
        """Kind of a call and the hold that should have stopped it; None for what says nothing."""
        binding = [hold for hold in self.holds if hold.binds(call)]
        if binding:
            return _bound(call, binding)
        inside = call["access_key_id"] in self.keys or call["principal"] in self.principals
        late = pd.Timestamp(call["event_time"]) > self.contained and not call["invoked_by"]
        if not late or not (inside or call["source_network"] in self.places.networks):
            return None
        kind = _shown(call)
        return (self._free(call, inside=inside) if kind == ACCESS else kind), None

    def _free(self, call: Call, *, inside: bool) -> str:
        """Kind of an access that no hold forbids."""
        if self.places.whose(call) == "attacker":
            return ACCESS if inside else OTHER_CREDENTIAL
        if call["access_key_id"] in self.keys:
            return ACCESS
        return RIGHTFUL if inside and self._recovered(call) else UNCLEAR

    def _recovered(self, call: Call) -> bool:
        """Whether access was given back: a deny was lifted, or sessions are newer than the revocation."""
        own = [hold for hold in self.holds if hold.subject == call["principal"]]
        cuts = [hold.cut_off for hold in own if hold.cut_off]
        lifted = any(hold.kind == DENY and hold.until for hold in own)
        return any(not is_before(call, cut) for cut in cuts) if cuts else lifted


def judged(facts: Facts, holds: Sequence[Hold], suspects: dict[str, set[str]]) -> pd.DataFrame:
    """Calls since the first hold, each with kind, whose, contained_at and step (columns of calls_after_containment).

    Parameters
    ----------
    suspects
        keys, principals and addresses of the extent.
    """
    if not holds:
        return _frame([])
    first = holds[0].since
    places = places_before(facts, first)
    judge = Judge(
        holds=holds,
        places=places,
        keys=frozenset(suspects["keys"]),
        principals=frozenset(suspects["principals"]),
        contained=max(hold.since for hold in holds),
    )
    asked = {name: sorted(values) for name, values in suspects.items()}
    found = queries.ask(
        facts.case, "calls_after_containment", engine="local", start=first, end=FAR, accounts=[],
        networks=sorted(places.networks), **asked,
    )  # fmt: skip
    rows = []
    for call in map(_plain, found.to_dict("records")):
        said = judge.of(call)
        if said:
            kind, hold = said
            more = {"kind": kind, "whose": places.whose(call)}
            rows.append({**call, **more, "contained_at": hold and hold.since, "step": hold and hold.step})
    return _frame(rows)


def _frame(rows: list[Call]) -> pd.DataFrame:
    """Judged calls as a table."""
    asked = queries.find("calls_after_containment").columns
    table = pd.DataFrame(rows, columns=[*asked, "kind", "whose", "contained_at", "step"])
    for name in ("event_time", "contained_at"):
        table[name] = pd.to_datetime(table[name], utc=True)
    return table


def told(calls: pd.DataFrame) -> pd.DataFrame:
    """Calls in groups (`COLUMNS`): one row for each kind, credential, account and Region; the worst first."""
    keys = ["kind", "whose", "principal", "access_key_id", "account_id", "region", "contained_at", "step"]
    if calls.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    grouped = calls.groupby(keys, sort=False, dropna=False)
    table = grouped.agg(
        calls=("event_id", "size"),
        names=("event_name", lambda names: list(dict.fromkeys(names))),
        addresses=("source_ip", lambda ips: list(dict.fromkeys(ips.dropna()))),
        first=("event_time", "min"),
        last=("event_time", "max"),
        event_ids=("event_id", list),
    ).reset_index()
    order = table.assign(order=table["kind"].map(list(MEANING).index)).sort_values(["order", "first"], kind="stable")
    return order[list(COLUMNS)].reset_index(drop=True)


def places_before(facts: Facts, moment: datetime) -> Places:
    """Whence the attacker and the others came before this moment."""
    mine = facts.attacker[
        (facts.attacker["event_time"] < moment)
        & facts.attacker["source_ip_kind"].isin(_PLACES)
        & facts.attacker["invoked_by"].isna()
    ]
    ids = set(zip(mine["event_id"], mine["account_id"], strict=True))
    networks = sorted(set(mine["source_network"].dropna()))
    others = queries.sql(
        facts.case,
        "SELECT event_id, account_id, event_time, principal, source_network, user_agent_family FROM events "
        "WHERE event_time < :moment AND (contains(CAST(:networks AS ARRAY(VARCHAR)), source_network) "
        "OR contains(CAST(:names AS ARRAY(VARCHAR)), principal)) AND principal IS NOT NULL",
        engine="local",
        moment=moment,
        networks=networks,
        names=sorted({str(node["value"]) for node in facts.extent if node["kind"] == "principal"}),
    )
    judged_mine = [pair in ids for pair in zip(others["event_id"], others["account_id"], strict=True)]
    unclear = set(facts.unclear["event_id"])
    others = others[~pd.Series(judged_mine, index=others.index, dtype=bool) & ~others["event_id"].isin(unclear)]
    theirs = set(_texts(others, ["source_network", "user_agent_family"]))
    pairs = frozenset(set(_texts(mine, ["source_network", "user_agent_family"])) - theirs)
    return Places(
        attacker=pairs,
        networks=frozenset(network for network, _ in pairs),
        owners=frozenset(_texts(others, ["principal", "source_network", "user_agent_family"])),
    )


def _texts(frame: pd.DataFrame, columns: list[str]) -> list[Any]:
    return list(frame[columns].astype(str).itertuples(index=False, name=None))


def _bound(call: Call, binding: list[Hold]) -> tuple[str, Hold]:
    """Kind of a call that a hold should have stopped."""
    first = min(binding, key=lambda hold: hold.since)
    kind = _shown(call)
    if kind == ACCESS and pd.Timestamp(call["event_time"]) - first.since <= SPREAD:
        return SPREADING, first
    return kind, first


def _shown(call: Call) -> str:
    """What one call shows, whosever it was."""
    return {"access": ACCESS, "credential still alive": ALIVE, "another error": ERROR}.get(str(call["what"]), DENIED)


def _plain(row: dict[Any, Any]) -> Call:
    """Row with None for what is missing."""
    return {str(name): None if pd.isna(value) else value for name, value in row.items()}


def revives(calls: pd.DataFrame, holds: Sequence[Hold]) -> pd.DataFrame:
    """Signs of life of keys that a step deactivated: an inactive key answers nothing."""
    keys = {(hold.subject, hold.step) for hold in holds if hold.kind == KEY and hold.stands()}
    off = {key for key, _ in keys}
    late = calls["event_time"] - calls["contained_at"] > SPREAD
    return calls[calls["kind"].eq(ALIVE) & calls["access_key_id"].isin(off) & late]
