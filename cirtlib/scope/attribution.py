"""Whose act it was, event by event: the attacker's, the owner's, or unclear.

The closure of the seeds over credentials. Its rules, in the words of the code below: a *claim* is what a seed says;
*made* is what attacker acts minted or created, every later act of which is the attacker's; *held* is a credential used
in an attacker act, whose other acts are judged one by one; a *pair* is (source network, user-agent family).
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from cirtlib import baseline, identity, trust
from cirtlib.case import Case
from cirtlib.scope.claims import Claim

ATTACKER, OWNER, UNCLEAR = "attacker", "owner", "unclear"
_INSTANCE = re.compile(r"^i-[0-9a-f]{8,17}$")
_NO_PLACE = ("aws_service", "aws_internal")


@dataclass
class Judgement:
    """The closure's result: a verdict and a reason per act, and what follows from them."""

    acts: pd.DataFrame
    verdict: np.ndarray  # '' | attacker | owner | unclear
    reason: np.ndarray
    held: set[str]  # credential node ids used in attacker acts
    made: set[str]  # node ids that attacker acts minted or created
    effects: dict[int, list[identity.Effect]]  # by index of the attacker act
    base: baseline.Baseline
    names: identity.Names
    let_in: dict[str, set[str]]  # role ARN -> principals that the attacker's change of its trust let in
    details: dict[tuple[str, str], dict[str, Any]]  # of the attacker's acts
    aliases: dict[str, list[str]]


@dataclass
class _State:
    """What is known so far; grows until nothing changes."""

    attacker: np.ndarray
    reason: np.ndarray
    made: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    passwords: dict[str, pd.Timestamp] = field(default_factory=dict)  # user ARN -> when the attacker set its password
    effects: dict[int, list[identity.Effect]] = field(default_factory=dict)
    let_in: dict[str, set[str]] = field(default_factory=dict)

    def add(self, mask: np.ndarray, why: str) -> None:
        """Make these acts the attacker's, for this reason where they were not already."""
        fresh = mask & ~self.attacker
        self.attacker |= fresh
        self.reason[fresh] = why


def judge(
    case: Case,
    connection: duckdb.DuckDBPyConnection,
    *,
    acts: pd.DataFrame,
    claims: list[Claim],
    window: tuple[datetime, datetime],
) -> Judgement:
    """Close the claims over credentials to a fixpoint, and give each act of a compromised credential its verdict.

    Parameters
    ----------
    connection
        To the case's store, for what acts asked and were answered.
    acts
        As `identity.acts` gives them.
    claims
        What each seed says, as `claims.read` gives them.
    window
        Resolved start and end of the investigation (UTC).
    """
    frame = _prepare(acts, window)
    mints = frame["issued"].notna() & frame["minted_key"].notna()
    details = identity.details(connection, frame[identity.acting(frame) | mints])
    names = identity.Names(frame)
    for arn in _arns_made(frame, details):
        names.learn(arn)
    closure = _Closure(frame, claims, details, names, _cleared(case, frame))
    # The baseline ends at the first attacker act, which depends on the baseline: repeat until it stays.
    end = min([c.known_from for c in claims if c.known_from] or [window[0]])
    seen: set[datetime] = set()
    unclear = np.zeros(len(frame), dtype=bool)
    while True:
        base = baseline.build(frame, end=end, days=case.baseline_days, window_start=window[0], exclude=unclear)
        state = closure.run(base)
        first = frame.loc[state.attacker, "event_time"].min() if state.attacker.any() else None
        if first is None or first == end or first in seen:
            found = closure.result(state, base)
            found.details.update(identity.details(connection, frame[state.attacker]))
            return found
        seen.add(end)
        end = first.to_pydatetime()


def _prepare(acts: pd.DataFrame, window: tuple[datetime, datetime]) -> pd.DataFrame:
    """Acts with what the closure compares: pair code, node of the principal, instance, inside the window."""
    frame = acts.copy(deep=False)
    place = frame["source_network"].notna() & ~frame["source_ip_kind"].isin(_NO_PLACE) & frame["invoked_by"].isna()
    frame["pair"] = frame["source_network"].astype(str) + " " + frame["user_agent_family"].astype(str)
    frame["pair"] = frame["pair"].where(place, None)
    frame["who"] = ("principal:" + frame["principal"].astype(str)).where(frame["principal"].notna(), None)
    session = frame["session_name"].astype(str)
    frame["instance"] = session.where(session.str.match(_INSTANCE) & frame["role_arn"].notna(), None)
    frame["inside"] = (frame["event_time"] >= window[0]) & (frame["event_time"] <= window[1])
    return frame


def _arns_made(frame: pd.DataFrame, details: dict[tuple[str, str], dict[str, Any]]) -> list[str]:
    """ARNs, with their paths, of the users and roles whose creation is in the logs."""
    rows = frame[frame["event_name"].isin(["CreateUser", "CreateRole"]) & (frame["outcome"] == "ok")]
    found = []
    for act in rows.itertuples():
        answer = details[act.event_id, act.account_id]["response"]
        made = answer.get("user") or answer.get("role") or {}
        if isinstance(made, dict) and isinstance(made.get("arn"), str):
            found.append(made["arn"])
    return found


def _cleared(case: Case, frame: pd.DataFrame) -> np.ndarray:
    """Mask of the acts by or from a node that the analyst cleared."""
    nodes = {decision.node for decision in case.cleared}
    address = "address:" + frame["source_ip"].astype(str)
    return np.asarray(frame["credential"].isin(nodes) | frame["who"].isin(nodes) | address.isin(nodes))


class _Closure:
    """The fixpoint over one frame of acts. Masks that do not change are worked out once."""

    def __init__(
        self,
        frame: pd.DataFrame,
        claims: list[Claim],
        details: dict[tuple[str, str], dict[str, Any]],
        names: identity.Names,
        cleared: np.ndarray,
    ) -> None:
        self.frame, self.claims, self.names, self.details, self.cleared = frame, claims, names, details, cleared
        self.ok = (frame["outcome"] == "ok").to_numpy()
        self.inside = frame["inside"].to_numpy()
        # A service-invoked call carries the caller's identity but was not typed by them: it extends nothing.
        self.own = frame["invoked_by"].isna().to_numpy()
        self.acting = identity.acting(frame).to_numpy()

    def run(self, base: baseline.Baseline) -> _State:
        """Start from the claims and repeat the rules until nothing is added."""
        size = len(self.frame)
        state = _State(np.zeros(size, dtype=bool), np.full(size, "", dtype=object))
        for claim in self.claims:
            state.add(claim.sure & ~self.cleared, claim.why)
            convicts = np.zeros(size, dtype=bool) if claim.shared(base.users) else claim.said
            state.add(convicts & self.inside & ~base.explains & ~self.cleared, claim.why)
        while True:
            before = (int(state.attacker.sum()), len(state.made), len(state.held))
            self._learn(state)
            for mask, why in self._rules(state, base):
                state.add(mask & ~self.cleared, why)
            if before == (int(state.attacker.sum()), len(state.made), len(state.held)):
                return state

    def _learn(self, state: _State) -> None:
        """Note what the attacker acts found so far held, minted, made and changed."""
        acts = state.attacker & self.own
        state.held |= set(self.frame.loc[acts & self.frame["credential"].notna(), "credential"])
        state.made |= set(self.frame.loc[acts & self.frame["issued"].notna(), "issued"])
        for index in np.flatnonzero(acts & self.acting):
            if int(index) not in state.effects:
                state.effects[int(index)] = self._effects(state, int(index))

    def _effects(self, state: _State, index: int) -> list[identity.Effect]:
        act = self.frame.iloc[index]
        found = list(identity.effects(act, self.detail(index), self.names))
        for effect in found:
            if effect.effect == "created":
                state.made.add(effect.node)
            if effect.node.startswith("login_profile:"):
                set_at = state.passwords.get(effect.value, act["event_time"])
                state.passwords[effect.value] = min(set_at, act["event_time"])
            if act["event_name"] == "UpdateAssumeRolePolicy":
                state.let_in.setdefault(effect.value, set()).update(self._let_in(state, index, effect.value))
        return found

    def _let_in(self, state: _State, index: int, role: str) -> set[str]:
        """Principals that this change of a trust policy let in: named in it, and not in the last state before."""
        new = trust.principals(trust.document(self.detail(index)["request"].get("policyDocument")))
        earlier = self.trust_before(role, index, state.attacker)
        return new - (trust.principals(earlier) if earlier else set())

    def trust_before(self, role: str, index: int, attacker: np.ndarray) -> dict[str, Any] | None:
        """Last trust policy of the role that somebody else set before this act, if the logs hold one."""
        rows = self.frame.iloc[:index]
        setters = rows["event_name"].isin(["CreateRole", "UpdateAssumeRolePolicy"]) & (rows["outcome"] == "ok")
        for earlier in reversed(np.flatnonzero(setters.to_numpy() & ~attacker[:index])):
            detail = self.detail(int(earlier))
            name = str(detail["request"].get("roleName"))
            if self.names.find(str(rows["account_id"].iloc[earlier]), "role", name) == role:
                text = detail["request"].get("policyDocument") or detail["request"].get("assumeRolePolicyDocument")
                return trust.document(text)
        return None

    def _rules(self, state: _State, base: baseline.Baseline) -> list[tuple[np.ndarray, str]]:
        """Masks of further attacker acts, each with its reason."""
        frame = self.frame
        instances = {node.rsplit("/", 1)[-1] for node in state.made if ":instance/i-" in node}
        by_made = frame["credential"].isin(state.made) | frame["who"].isin(state.made)
        pairs = set(frame.loc[state.attacker & self.own & frame["pair"].notna(), "pair"])
        # At an office or a VPN exit that many use, a pair says nothing of those who are known to come from there.
        usual = frame["source_ip"].isin(base.common).to_numpy() & base.explains
        pair = frame["pair"].isin(pairs).to_numpy() & ~usual
        held = frame["credential"].isin(state.held).to_numpy()
        mints = frame["issued"].isin(state.held).to_numpy() & self.ok
        twins = set(frame.loc[state.attacker & frame["shared_event_id"].notna(), "shared_event_id"])
        return [
            (by_made.to_numpy(), "by what the attacker minted or made"),
            (frame["instance"].isin(instances).to_numpy(), "by an instance that the attacker started"),
            (held & pair & self.inside, "a compromised credential, from an attacker's network and user agent"),
            (mints & pair & self.inside, "minted a compromised credential, from an attacker's network and user agent"),
            (frame["shared_event_id"].isin(twins).to_numpy(), "another account's record of an attacker's act"),
            (self._logins(state), "signed in with a password that the attacker set"),
            (self._admitted(state), "let in by the attacker's change of the role's trust policy"),
        ]

    def _logins(self, state: _State) -> np.ndarray:
        """Successful console sign-ins of users whose password the attacker set, from then on."""
        if not state.passwords:
            return np.zeros(len(self.frame), dtype=bool)
        since = self.frame["principal"].map(state.passwords)
        login = self.frame["event_name"].eq("ConsoleLogin") & since.notna() & self.frame["issued"].notna()
        return np.asarray((login & (self.frame["event_time"] >= since)).fillna(value=False), dtype=bool)

    def _admitted(self, state: _State) -> np.ndarray:
        """Successful AssumeRole calls by principals that only the attacker's trust policy admits."""
        mask = np.zeros(len(self.frame), dtype=bool)
        doors = {role: who for role, who in state.let_in.items() if who}
        if not doors:
            return mask
        assumed = self.frame["event_name"].astype(str).str.startswith("AssumeRole").to_numpy() & self.ok
        for index in np.flatnonzero(assumed & self.frame["minted_principal"].notna().to_numpy()):
            act = self.frame.iloc[index]
            role = trust.role_of(str(act["minted_principal"]), self.names)
            mask[index] = role in doors and trust.admits(doors[role], act["principal"], act["caller_account"])
        return mask

    def detail(self, index: int) -> dict[str, Any]:
        """Request, response and resources of the act at this index."""
        return self.details[self.frame["event_id"].iloc[index], self.frame["account_id"].iloc[index]]

    def result(self, state: _State, base: baseline.Baseline) -> Judgement:
        """Verdicts of the attacker's acts, and of the other acts of held, claimed and shared credentials."""
        frame = self.frame
        verdict = np.full(len(frame), "", dtype=object)
        reason = state.reason.copy()
        judged = frame["credential"].isin(state.held - state.made).to_numpy()
        for claim in self.claims:
            judged = judged | claim.said
        rest = judged & self.inside & ~state.attacker & ~self.cleared
        owner, unclear = rest & base.explains, rest & ~base.explains
        verdict[state.attacker], verdict[owner], verdict[unclear] = ATTACKER, OWNER, UNCLEAR
        reason[owner] = "the baseline knows this principal from this network with this user agent"
        reason[unclear] = "neither from an attacker's network and user agent nor explained by the baseline"
        return Judgement(
            acts=frame,
            verdict=verdict,
            reason=reason,
            held=state.held,
            made=state.made,
            effects=state.effects,
            base=base,
            names=self.names,
            let_in=state.let_in,
            details=self.details,
            aliases=identity.aliases(frame),
        )
