"""Whose act it was, event by event: the attacker's, the owner's, or unclear.

The closure of the seeds over credentials. Its rules, in the words of the code below: a *claim* is what a seed says;
*made* is what attacker acts minted or created, every later act of which is the attacker's; *held* is a credential used
in an attacker act, whose other acts are judged one by one; a *pair* is (source network, user-agent family).
"""

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from cirtlib import baseline, identity, trust
from cirtlib.case import Case
from cirtlib.scope import claims as claimed
from cirtlib.scope import doors
from cirtlib.scope.claims import Claim
from cirtlib.scope.doors import Door
from cirtlib.scope.sight import Sight, of_names, of_openings, of_seeds
from cirtlib.sources import slice_closure

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
    opened: set[Door]  # what the attacker's changes let in
    passwords: dict[str, pd.Timestamp]  # user ARN -> when the attacker set its password
    details: dict[tuple[str, str], dict[str, Any]]  # of the attacker's acts
    aliases: dict[str, list[str]]
    claims: list[Claim]
    sight: Sight


@dataclass
class _State:
    """What is known so far; grows until nothing changes."""

    attacker: np.ndarray
    reason: np.ndarray
    made: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    passwords: dict[str, pd.Timestamp] = field(default_factory=dict)  # user ARN -> when the attacker set its password
    effects: dict[int, list[identity.Effect]] = field(default_factory=dict)
    opened: set[Door] = field(default_factory=set)

    def add(self, mask: np.ndarray, why: str) -> None:
        """Make these acts the attacker's, for this reason where they were not already."""
        fresh = mask & ~self.attacker
        self.attacker |= fresh
        self.reason[fresh] = why


def judge(case: Case, sight: Sight, findings: pd.DataFrame, window: tuple[datetime, datetime]) -> Judgement:
    """Close the seeds over credentials to a fixpoint, and give each act of a compromised credential its verdict.

    Parameters
    ----------
    sight
        The acts, of which more come into sight as they are asked for.
    findings
        Of the case, as seeds may name some.
    window
        Resolved start and end of the investigation (UTC).

    Raises
    ------
    NotFoundError
        when there is no seed, or a seed matches nothing in the evidence.
    """
    sight.load(of_seeds(slice_closure.named(case, findings)))
    while True:
        acts = sight.acts()
        if sight.load(of_names(acts)):
            continue
        found = _judged(case, sight, acts, claimed.read(case, acts, findings), window)
        if not sight.load(_wanted(found)):
            return found


def _judged(
    case: Case, sight: Sight, acts: pd.DataFrame, claims: list[Claim], window: tuple[datetime, datetime]
) -> Judgement:
    """Judge the acts in sight.

    The baseline ends at the first act of the attacker, which depends on the baseline: repeat until it stays.
    """
    frame = _prepare(acts, window)
    closure = _Closure(frame, claims, sight, _cleared(case, frame))
    end = min([c.known_from for c in claims if c.known_from] or [window[0]])
    seen: set[datetime] = set()
    source = baseline.Source(sight.connection, sight.relation, case.baseline_days, window[0])
    while True:
        base = baseline.build(source, frame, end=end)
        base = replace(base, explains=_of_twins(frame, base.explains))
        state = closure.run(base)
        first = frame.loc[state.attacker, "event_time"].min() if state.attacker.any() else None
        if first is None or first == end or first in seen:
            sight.detail(frame[state.attacker])
            return closure.result(state, base)
        seen.add(end)
        end = first.to_pydatetime()


def _of_twins(frame: pd.DataFrame, mask: np.ndarray) -> np.ndarray:
    """The mask, and the records that other accounts have of the same acts: they know the caller by another name."""
    twins = set(frame.loc[mask & frame["shared_event_id"].notna(), "shared_event_id"])
    return np.asarray(mask | frame["shared_event_id"].isin(twins).to_numpy())


def _wanted(found: Judgement) -> dict[str, set[str]]:
    """What else must be in sight before the rules can say that nothing follows."""
    acts, mine = found.acts, found.acts[found.verdict == ATTACKER]
    nodes = {name.partition(":")[0]: set[str]() for name in found.held | found.made}
    for name in found.held | found.made:
        kind, _, value = name.partition(":")
        nodes[kind].add(value)
    made = nodes.get("resource", set())
    changed = {e.value for effects in found.effects.values() for e in effects if e.effect == "changed"}
    roles = {one for one in changed if ":role/" in one}
    # Who issued what is held, and who used what was changed, will be leads: all that they did counts.
    leads = acts["issued"].isin(found.held) | (acts["minted_principal"].isin(roles) & acts["invoked_by"].isna())
    keys = nodes.get("access_key", set()) | set(acts.loc[leads, "access_key_id"].dropna())
    twins = (found.verdict == ATTACKER) | acts["access_key_id"].isin(keys)
    own = mine[mine["pair"].notna() & ~mine["source_ip"].isin(found.base.common)]
    rare = {
        "agents_inside": (own["user_agent"], found.base.programs), "hosts_inside": (own["tls_host"], found.base.hosts)
    }  # fmt: skip
    wanted = {
        "keys": keys,
        "minted": nodes.get("access_key", set()),
        "signed_in": nodes.get("sign_in", set()),
        "consoles": {one.rpartition("/")[0] for one in nodes.get("console", ())},
        "principals": nodes.get("principal", set()) & {n.partition(":")[2] for n in found.made},
        "sessions": {doors.session_of(arn) for arn in made | changed} - {""},
        "issued_to": made | changed,
        "shared": set(acts.loc[twins, "shared_event_id"].dropna()),
        "logins": nodes.get("login_profile", set()) | {one for one in changed if ":user/" in one},
        "assumed": roles | {f"{one.rpartition(':role/')[0]}:role/{one.rpartition('/')[2]}" for one in roles},
        "addresses_inside": set(own["source_ip"]),
        "foreign_inside": doors.accounts(found.opened),
        "calls": set(doors.FEDERATED) if any(map(doors.is_provider, made | changed)) else set(),
        **{name: {v for v in values.dropna() if seen.get(v, 0) < baseline.COMMON_PRINCIPALS}
           for name, (values, seen) in rare.items()},
    }  # fmt: skip
    more = of_openings(acts, pd.Series(found.verdict == ATTACKER, index=acts.index), found.held)
    return {name: set(wanted.get(name, ())) | set(more.get(name, ())) for name in {*wanted, *more}}


def _prepare(acts: pd.DataFrame, window: tuple[datetime, datetime]) -> pd.DataFrame:
    """Acts with what the closure compares: pair code, node of the principal, instance, inside the window."""
    frame = acts.copy(deep=False)
    place = frame["source_network"].notna() & ~frame["source_ip_kind"].isin(_NO_PLACE) & frame["invoked_by"].isna()
    frame["pair"] = frame["source_network"].astype(str) + " " + frame["user_agent_family"].astype(str)
    frame["pair"] = frame["pair"].astype(object).where(place, None)
    who = "principal:" + frame["principal"].astype(str)
    frame["who"] = who.astype(object).where(frame["principal"].notna(), None)
    session = frame["session_name"].astype(str)
    by_name = session.str.match(_INSTANCE) & frame["role_arn"].notna()
    # Where the record itself says to what the credentials were issued, it is that, whatever the session's name.
    named = frame["credentials_issued_to"].astype(str).str.extract(r":instance/(i-[0-9a-f]{8,17})$")[0]
    frame["instance"] = (
        named.astype(object).where(named.notna(), session.where(by_name)).where(named.notna() | by_name, None)
    )
    frame["inside"] = (frame["event_time"] >= window[0]) & (frame["event_time"] <= window[1])
    return frame


def _names(sight: Sight, frame: pd.DataFrame) -> identity.Names:
    """Names of users and roles from all records; with their paths where their creation is in the logs."""
    names = identity.Names(sight.names())
    made = frame[frame["event_name"].isin(["CreateUser", "CreateRole"]) & (frame["outcome"] == "ok")]
    sight.detail(made)
    for act in made.itertuples():
        answer = sight.details[act.event_id, act.account_id]["response"]
        one = answer.get("user") or answer.get("role") or {}
        if isinstance(one, dict) and isinstance(one.get("arn"), str):
            names.learn(one["arn"])
    return names


def _cleared(case: Case, frame: pd.DataFrame) -> np.ndarray:
    """Mask of the acts by or from a node that the analyst cleared."""
    nodes = {decision.node for decision in case.cleared}
    address = "address:" + frame["source_ip"].astype(str)
    return np.asarray(frame["credential"].isin(nodes) | frame["who"].isin(nodes) | address.isin(nodes))


class _Closure:
    """The fixpoint over one frame of acts. Masks that do not change are worked out once."""

    def __init__(self, frame: pd.DataFrame, claims: list[Claim], sight: Sight, cleared: np.ndarray) -> None:
        self.frame, self.claims, self.sight, self.cleared = frame, claims, sight, cleared
        self.names = _names(sight, frame)
        self.ok = (frame["outcome"] == "ok").to_numpy()
        self.inside = frame["inside"].to_numpy()
        # A service-invoked call carries the caller's identity but was not typed by them: it extends nothing.
        self.own = frame["invoked_by"].isna().to_numpy()
        self.acting = identity.acting(frame).to_numpy()
        # Some acts issue a key that opens a session: both are issued.
        key = "access_key:" + frame["minted_key"].astype(str)
        self.keys = key.where(frame["minted_key"].notna() & self.ok & (key != frame["credential"]))
        self.view = doors.View(frame, sight, self.names, self.ok, self.inside)

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
        state.made |= set(self.keys[acts & self.keys.notna()])
        fresh = [int(index) for index in np.flatnonzero(acts & self.acting) if int(index) not in state.effects]
        self.sight.detail(self.frame.iloc[fresh])
        for index in fresh:
            state.effects[index] = self._effects(state, index)

    def _effects(self, state: _State, index: int) -> list[identity.Effect]:
        act = self.frame.iloc[index]
        found = list(identity.effects(act, self.detail(index), self.names))
        for effect in found:
            if effect.effect == "created":
                state.made.add(effect.node)
            if effect.node.startswith("login_profile:"):
                set_at = state.passwords.get(effect.value, act["event_time"])
                state.passwords[effect.value] = min(set_at, act["event_time"])
            state.opened |= self._opened(state, index, effect)
        return found

    def _opened(self, state: _State, index: int, effect: identity.Effect) -> set[Door]:
        """What the change of one thing lets in."""
        act, detail = self.frame.iloc[index], self.detail(index)
        name, since = act["event_name"], act["event_time"]
        if name == "UpdateAssumeRolePolicy":
            return {Door(doors.TRUST, effect.value, since, frozenset(self._let_in(state, index, effect.value)))}
        if name == "UpdateAccessKey" and effect.node.startswith("access_key:"):
            return {Door(doors.KEY, effect.node, since)} if detail["request"].get("status") == "Active" else set()
        if effect.effect == "changed" and doors.session_of(effect.value):
            profile = name in {"AssociateIamInstanceProfile", "ReplaceIamInstanceProfileAssociation"}
            given = {Door(doors.PROFILE, effect.value.rpartition("/")[2], since)} if profile else set()
            return {Door(doors.HOST, effect.value, since), *given}
        named = doors.named_by_policy(name, detail["request"]) if effect.kind == "resource" else frozenset[str]()
        return {Door(doors.RESOURCE, effect.value, since, named)} if named else set()

    def _let_in(self, state: _State, index: int, role: str) -> set[str]:
        """Principals that this change of a trust policy let in: named in it, and not in the last state before."""
        new = trust.principals(trust.document(self.detail(index)["request"].get("policyDocument")))
        earlier = self.trust_before(role, index, state.attacker)
        return new - (trust.principals(earlier) if earlier else set())

    def trust_before(self, role: str, index: int, attacker: np.ndarray) -> dict[str, Any] | None:
        """Last trust policy of the role that somebody else set before this act, if the logs hold one."""
        rows = self.frame.iloc[:index]
        setters = rows["event_name"].isin(["CreateRole", "UpdateAssumeRolePolicy"]) & (rows["outcome"] == "ok")
        self.sight.detail(rows[setters])
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
            *doors.rules(self.view, state.opened, state.made, state.attacker, pair & self.inside & ~base.explains),
        ]

    def _logins(self, state: _State) -> np.ndarray:
        """Successful console sign-ins of users whose password the attacker set, from then on."""
        if not state.passwords:
            return np.zeros(len(self.frame), dtype=bool)
        since = self.frame["principal"].map(state.passwords)
        login = self.frame["event_name"].eq("ConsoleLogin") & since.notna() & self.frame["issued"].notna()
        return np.asarray((login & (self.frame["event_time"] >= since)).fillna(value=False), dtype=bool)

    def detail(self, index: int) -> dict[str, Any]:
        """Request, response and resources of the act at this index."""
        return self.sight.details[self.frame["event_id"].iloc[index], self.frame["account_id"].iloc[index]]

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
        if not base.exists:
            reason[state.attacker] = reason[state.attacker] + "; no baseline tells whether it was the owner"
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
            opened=state.opened,
            passwords=state.passwords,
            details=self.sight.details,
            aliases=identity.aliases(frame),
            claims=self.claims,
            sight=self.sight,
        )
