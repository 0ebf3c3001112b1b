"""What each seed says: which records are the attacker's from the start."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from cirtlib.baseline import COMMON_PRINCIPALS
from cirtlib.case import Case, Seed
from cirtlib.errors import NotFoundError

# GuardDuty's first and last seen are those of the records it saw; a little slack costs nothing.
_SLACK = timedelta(seconds=60)


@dataclass(frozen=True)
class Claim:
    """A seed's claim over the acts of a frame: `sure` acts, and acts `said` to be the attacker's unless explained."""

    node: str
    why: str
    sure: np.ndarray
    said: np.ndarray
    known_from: datetime | None = None
    addresses: tuple[str, ...] = ()

    def shared(self, users: dict[str, int]) -> bool:
        """Whether the claim rests on an address that too many principals used before the attack."""
        return any(users.get(address, 0) >= COMMON_PRINCIPALS for address in self.addresses)


def read(case: Case, acts: pd.DataFrame, findings: pd.DataFrame) -> list[Claim]:
    """Claims of the case's seeds and confirmed nodes.

    Raises
    ------
    NotFoundError
        when a seed matches nothing in the evidence.
    """
    seeds = [*case.seeds, *(_confirmed(decision.node) for decision in case.confirmed)]
    if not seeds:
        raise NotFoundError(
            "there is no seed to start from; add one with `cirt scope CASE --seed finding=ARN` (also access_key, "
            "principal, session, ip, instance, event, user_agent)"
        )
    return [claim for seed in dict.fromkeys(seeds) for claim in _claims(seed, acts, findings)]


def _confirmed(node: str) -> Seed:
    kind, _, value = node.partition(":")
    kinds = {"address": "ip", "resource": "instance", "console": "session", "sign_in": "session"}
    return Seed(kinds.get(kind, kind), value if kind not in {"console", "sign_in"} else node)


def _claims(seed: Seed, acts: pd.DataFrame, findings: pd.DataFrame) -> list[Claim]:
    if seed.kind == "finding":
        return _finding(seed.value, acts, findings)
    none = np.zeros(len(acts), dtype=bool)
    if seed.kind == "event":
        sure = (acts["event_id"] == seed.value).to_numpy()
        _must_match(sure, seed)
        when = acts.loc[sure, "event_time"].min().to_pydatetime()
        return [Claim(f"event:{seed.value}", "the seed event", sure, none, when)]
    said, node = _said(seed, acts)
    _must_match(said, seed)
    addresses = (seed.value,) if seed.kind == "ip" else ()
    return [Claim(node, f"the seed {seed.kind.replace('_', ' ')}", none, said, None, addresses)]


def _said(seed: Seed, acts: pd.DataFrame) -> tuple[np.ndarray, str]:
    """Acts that the seed speaks of, and the node that stands for it."""
    value = seed.value
    if seed.kind == "access_key":
        return ((acts["access_key_id"] == value) | (acts["credential"] == f"access_key:{value}")).to_numpy(), (
            f"access_key:{value}"
        )
    if seed.kind == "session":
        named = (acts["credential"] == value) | (acts["principal_id"] == value)
        return (named | (acts["session_name"] == value)).to_numpy(), value
    if seed.kind == "principal":
        return (acts["principal"] == value).to_numpy(), f"principal:{value}"
    if seed.kind == "instance":
        instance = value.rsplit("/", 1)[-1]
        mask = (acts["session_name"] == instance).to_numpy()
        return mask, _instance_node(value, instance, acts[mask])
    if seed.kind == "user_agent":
        return (acts["user_agent"] == value).to_numpy(), f"user_agent:{value}"
    return (acts["source_ip"] == value).to_numpy(), f"address:{value}"


def _instance_node(value: str, instance: str, rows: pd.DataFrame) -> str:
    """Node of an instance given by its id alone: account and Region are those of its own calls."""
    if value.startswith("arn:") or rows.empty:
        return f"resource:{value}"
    first = rows.iloc[0]
    return f"resource:arn:aws:ec2:{first['region']}:{first['account_id']}:instance/{instance}"


def _must_match(mask: np.ndarray, seed: Seed) -> None:
    if not mask.any():
        raise NotFoundError(
            f"the seed {seed.kind} {seed.value!r} is in no record of this case; check the value, and whether the logs "
            "of its account, Region and days were collected (`cirt coverage CASE`)"
        )


def _finding(value: str, acts: pd.DataFrame, findings: pd.DataFrame) -> list[Claim]:
    """Claims of a finding: the records it stands for; without such, what it says of a key, a principal, an instance."""
    rows = findings[findings["finding_id"] == value] if len(findings) else findings
    if rows.empty:
        raise NotFoundError(f"the seed finding {value!r} is not among the {len(findings)} findings of this case")
    finding = rows.sort_values("updated_at").iloc[-1]
    node, why = f"finding:{value}", "a record that the seed finding stands for"
    none = np.zeros(len(acts), dtype=bool)
    for mask in records_of(finding, acts):
        if mask.any():
            return [Claim(node, why, mask, none, acts.loc[mask, "event_time"].min().to_pydatetime())]
    for instance in _texts(finding.get("instance_id")):
        said = (acts["session_name"] == instance).to_numpy()
        if said.any():
            return [Claim(node, "the instance of the seed finding", none, said, _time(finding.get("first_seen")))]
    keys = [*_texts(finding.get("sequence_keys")), *_texts(finding.get("access_key_id"))]
    said = acts["access_key_id"].isin(keys).to_numpy()
    if said.any():
        return [Claim(node, "a key of the seed finding", none, said, _time(finding.get("first_seen")))]
    raise NotFoundError(
        f"no record matches the seed finding {value!r} ({finding['type']}: key {finding['access_key_id']}, "
        f"{finding['api_name']}, {finding['first_seen']} to {finding['last_seen']}); were the logs of account "
        f"{finding['account_id']} and Region {finding['region']} collected?"
    )


def records_of(finding: Any, acts: pd.DataFrame) -> list[np.ndarray]:  # noqa: ANN401 - a row of findings
    """Masks of the records that a finding stands for, the strictest first: call and caller, then caller and address.

    A finding of stolen credentials stands for all their calls from its address.
    """
    first, last = _time(finding.get("first_seen")), _time(finding.get("last_seen"))
    caller = acts["access_key_id"].isin(_texts(finding.get("access_key_id")))
    caller |= acts["principal_id"].isin(_texts(finding.get("principal_id")))
    if first is None or last is None or not caller.any():
        return []
    during = (acts["event_time"] >= first - _SLACK) & (acts["event_time"] <= last + _SLACK) & caller
    if "CredentialExfiltration" in str(finding.get("type")):
        # It reports where the credentials were used, whatever was called: GuardDuty names only the newest of the calls.
        return [(during & acts["source_ip"].isin(_texts(finding.get("remote_ips")))).to_numpy()]
    call = acts["event_name"].isin(_texts(finding.get("api_name")))
    source = acts["event_source"].isin(_texts(finding.get("api_service")))
    there = acts["source_ip"].isin(_texts(finding.get("remote_ips")))
    return [(during & m).to_numpy() for m in (call & source & there, call & source, call & there, there)]


def _time(value: Any) -> datetime | None:  # noqa: ANN401 - a cell of a frame
    return None if pd.isna(value) else pd.Timestamp(value).to_pydatetime()


def _texts(value: object) -> list[str]:
    """Texts of a cell that holds a text, a list of texts, or nothing."""
    if isinstance(value, str):
        return [value] if value else []
    if isinstance(value, list | tuple | np.ndarray):
        return [str(item) for item in value if item]
    return []
