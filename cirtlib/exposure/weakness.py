"""Which weakness let somebody into an instance: control findings and open rules on its path, ranked by factors."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from cirtlib import identity
from cirtlib.exposure.path import Path
from cirtlib.exposure.rules import Rule, doors, of_details
from cirtlib.exposure.table import NO, UNKNOWN, YES, Cause, Control, Factor, cause, controls, ranked

_FAILED, _PASSED = ("FAILED", "WARNING"), "PASSED"
_ON_PATH = ("instance", "security group", "network interface", "subnet")


@dataclass(frozen=True)
class Sign:
    """What was seen of the attack on an instance: a finding, its type, its first moment, ports and addresses."""

    finding: str
    kind: str
    first: datetime
    ports: frozenset[int]
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Judged:
    """Control findings of a path: causes, the strongest first; what shows reach and gaps; how many are irrelevant."""

    causes: tuple[Cause, ...]
    beside: tuple[dict[str, Any], ...]
    irrelevant: int


def signs(findings: pd.DataFrame, instance: str) -> list[Sign]:
    """Findings of the instance that are no checks and no samples, the earliest first."""
    mine = findings[(findings["instance_id"] == instance) & findings["control_id"].isna() & ~findings["sample"]]
    # a finding that came in several forms: its own form names the type as GuardDuty does
    mine = mine.assign(own=mine["form"] != "guardduty").sort_values(["finding_id", "own", "updated_at"])
    return [
        Sign(
            row.finding_id,
            str(row.type),
            row.first_seen,
            frozenset(_ports(identity.parse(row.details))),
            tuple(row.remote_ips),
        )
        for row in mine.drop_duplicates("finding_id").sort_values(["first_seen", "finding_id"]).itertuples()
        if pd.notna(row.first_seen)
    ]


def judge(
    path: Path, checks: pd.DataFrame, history: pd.DataFrame, seen: tuple[list[Sign], list[Rule], dict[str, Any]]
) -> Judged:
    """Rank what could have let somebody in.

    Parameters
    ----------
    checks
        control findings of the whole case, every version.
    history
        `queries.finding_history`.
    seen
        signs of the attack; open rules by record; `first` (moment of the first sign or use, or None) and `version_1`
        (ids of the instance's own events with credentials of IMDSv1, with their times).
    """
    groups: dict[tuple[str, str], dict[str, pd.DataFrame]] = defaultdict(dict)
    beside: list[dict[str, Any]] = []
    irrelevant = 0
    for finding_id, versions in checks.sort_values("updated_at", kind="stable").groupby("finding_id", sort=True):
        now = versions.iloc[-1]
        control = controls().get(str(now["control_id"]))
        things = [name for one in now["resource_ids"] if (name := path.names(str(one)))]
        if not things or control is None or control.role == "credential" or _never(versions, history, seen[2]["first"]):
            irrelevant += 1
        elif control.role in ("reach", "gap"):
            before = failed_before(seen[2]["first"], versions, history) if seen[2]["first"] is not None else None
            if now["compliance_status"] == _PASSED and (before is None or before.holds != YES):
                irrelevant += 1
            else:
                beside.append(_beside(control, now, things[0], before))
        else:
            groups[control.role, things[0]][str(finding_id)] = versions
    for rule in seen[1]:
        groups.setdefault(("door", rule.group), {})
    if seen[2]["version_1"]:
        groups.setdefault(("theft", path.instance), {})
    causes = [_cause(path, key, found, history, seen) for key, found in groups.items()]
    return Judged(ranked(causes), tuple(beside), irrelevant)


def failed_before(moment: datetime, versions: pd.DataFrame, history: pd.DataFrame) -> Factor:
    """Whether a control finding was failed at a moment, and how that is known; CreatedAt alone tells nothing.

    Sources, the surest first: changes in the finding's history; versions of the finding that say what its check found
    before the moment.
    """
    finding = str(versions["finding_id"].iloc[0])
    changes = history[(history["finding_id"] == finding) & history["field"].fillna("").str.contains("Compliance")]
    changes = changes[changes["field"].str.contains("Status")].sort_values("updated_at")
    before, after = changes[changes["updated_at"] <= moment], changes[changes["updated_at"] > moment]
    if len(before) or (len(after) and versions["created_at"].min() <= moment):
        row, value = (before.iloc[-1], "new_value") if len(before) else (after.iloc[0], "old_value")
        status = str(row[value] or "")
        if any(word in status for word in (*_FAILED, _PASSED)):
            words = f"its history says {_bare(status)} at {_when(moment)} (change of {_when(row['updated_at'])})"
            return Factor("failed before", NO if _PASSED in status else YES, words, (finding,))
    known = versions[versions["updated_at"] <= moment]
    if len(known):
        status = str(known.iloc[-1]["compliance_status"])
        held = YES if status in _FAILED else NO if status == _PASSED else UNKNOWN
        words = f"its check of {_when(known.iloc[-1]['updated_at'])} said {status}"
        return Factor("failed before", held, words, (finding,))
    words = "no version or history of the finding speaks of that time; when it was created does not tell"
    later = versions.iloc[0]
    words += f"; its check of {_when(later['updated_at'])} said {later['compliance_status']}"
    return Factor("failed before", UNKNOWN, words, (finding,))


def _cause(
    path: Path,
    key: tuple[str, str],
    found: dict[str, pd.DataFrame],
    history: pd.DataFrame,
    seen: tuple[list[Sign], list[Rule], dict[str, Any]],
) -> Cause:
    """One weakness of one thing on the path, with its factors."""
    (role, thing), (marks, rules, facts) = key, seen
    known = sorted({str(one["control_id"].iloc[-1]) for one in found.values()})
    asked = [controls()[name] for name in known] or [one for one in controls().values() if one.role == role]
    hit = [sign for sign in marks if any(control.explains(sign.kind) for control in asked)]
    used = facts["first"] if role == "theft" else None
    moment = min(
        [sign.first for sign in hit] or [when for when in (used, facts["first"]) if when is not None], default=None
    )
    rules = (
        [
            *(rule for rule in rules if rule.group == thing),
            *doors(_told(thing, found), [one for sign in marks for one in sign.addresses]),
        ]
        if role == "door"
        else []
    )
    factors = [_explains(hit, marks), _on_path(path, thing)]
    open_then = [rule for rule in rules if moment is None or _open_at(rule, moment)]
    factors.append(_stood(moment, found, history, (role, rules, facts)))
    if role == "door":
        factors += _of_door(open_then, hit)
    if role == "theft":
        factors.append(_version_1(path, facts["version_1"]))
    ports = sorted({f"{rule.ports} from {rule.network}" for rule in rules})
    what = f"{path.kinds[thing]} {thing}: {_text(asked, known, role)}{f' ({chr(44).join(ports)})' if ports else ''}"
    weight = max(control.weight for control in asked)
    return cause(what, weight, tuple(factors), of=(role, thing, tuple(known)))


def _text(asked: list[Control], known: list[str], role: str) -> str:
    """What the weakness is; without a control finding, what the records alone show."""
    if not known:
        return "a rule that lets the attacker in" if role == "door" else controls()["EC2.8"].text
    return max(asked, key=lambda control: (control.weight, -asked.index(control))).text


def _explains(hit: list[Sign], marks: list[Sign]) -> Factor:
    if hit:
        kinds = ", ".join(sorted({sign.kind for sign in hit}))
        return Factor("explains", YES, f"it explains {kinds}", tuple(dict.fromkeys(sign.finding for sign in hit)))
    if marks:
        return Factor("explains", NO, "no finding on the instance is of a kind that it explains")
    return Factor("explains", UNKNOWN, "there is no finding on the instance that it could explain")


def _on_path(path: Path, thing: str) -> Factor:
    kind, ids = path.kinds[thing], path.evidence.get(thing, ())[:4]
    if kind in _ON_PATH:
        return Factor(
            "on the path", YES, f"the {kind} {'itself' if kind == 'instance' else 'belongs to the instance'}", ids
        )
    return Factor("on the path", UNKNOWN, f"the {kind} is around the instance; whether it was the way is open", ids)


def _stood(
    moment: datetime | None,
    found: dict[str, pd.DataFrame],
    history: pd.DataFrame,
    more: tuple[str, list[Rule], dict[str, Any]],
) -> Factor:
    """Whether the weakness stood at the first sign: by records where they tell, else by its control findings."""
    role, rules, facts = more
    if moment is None:
        return Factor("failed before", UNKNOWN, "no first sign of the attack is dated")
    dated = [rule for rule in rules if rule.opened is not None]
    standing = [rule for rule in dated if _open_at(rule, moment)]
    if standing:
        rule = standing[0]
        words = (
            f"{rule.opened_by} opened {rule.ports} to {rule.network} at {_when(rule.opened)}, before {_when(moment)}"
        )
        return Factor("failed before", YES, words, rule.evidence[:1])
    early = [event for when, event in facts["version_1"] if when <= moment] if role == "theft" else []
    if early:
        return Factor("failed before", YES, f"version 1 was in use before {_when(moment)}", tuple(early[:1]))
    told = [failed_before(moment, versions, history) for versions in found.values()]
    for held in (YES, UNKNOWN, NO):
        same = [factor for factor in told if factor.holds == held]
        if same and not (held == YES and any(rule.closed and rule.closed <= moment for rule in dated)):
            ids = tuple(dict.fromkeys(one for factor in same for one in factor.evidence))
            return Factor("failed before", held, same[0].text, ids)
    if dated:
        ids = tuple(one for rule in dated for one in rule.evidence)
        return Factor("failed before", NO, f"by the records it was not open at {_when(moment)}", ids)
    return Factor("failed before", UNKNOWN, "nothing says since when it stands")


def _of_door(rules: list[Rule], hit: list[Sign]) -> list[Factor]:
    """Whether the open ports and networks are those that were attacked."""
    ports = sorted({port for sign in hit for port in sign.ports})
    addresses = sorted({address for sign in hit for address in sign.addresses})
    ids = tuple(dict.fromkeys([*(one for rule in rules for one in rule.evidence), *(sign.finding for sign in hit)]))
    told = []
    for name, values, fits in (
        ("port", ports, [port for port in ports if any(rule.covers(port) for rule in rules)]),
        ("address", addresses, [one for one in addresses if any(rule.admits(one) for rule in rules)]),
    ):
        if not values or not rules:
            missing = "no finding names it" if not values else "the rule is in no record, finding or snapshot"
            told.append(Factor(name, UNKNOWN, f"the attacked {name} and the open rule cannot be compared: {missing}"))
        else:
            shown = ", ".join(map(str, fits or values))
            words = f"{shown} {'is let in by' if fits else 'is not let in by'} the open rule"
            told.append(Factor(name, YES if fits else NO, words, ids))
    return told


def _version_1(path: Path, used: list[tuple[datetime, str]]) -> Factor:
    if used:
        return Factor("seen in use", YES, "its credentials were handed out by version 1", (used[0][1],))
    if path.metadata_tokens == "required":
        return Factor("seen in use", NO, "its metadata options require version 2", path.evidence[path.instance])
    return Factor("seen in use", UNKNOWN, "no record of its calls says which version handed them out")


def _told(group: str, found: dict[str, pd.DataFrame]) -> list[Rule]:
    """Open rules that the control findings themselves tell."""
    rules = []
    for finding, versions in found.items():
        for one in identity.parse(versions.iloc[-1]["details"]).get("Resources") or ():
            details = (one.get("Details") or {}).get("AwsEc2SecurityGroup") if isinstance(one, dict) else None
            if isinstance(details, dict) and str(one.get("Id", "")).endswith(group):
                rules += of_details(group, details.get("IpPermissions"), (finding,))
    return rules


def _never(versions: pd.DataFrame, history: pd.DataFrame, moment: datetime | None) -> bool:
    """Whether a check passes now and did so before the first sign."""
    passed = (versions["compliance_status"] == _PASSED).all()
    return bool(passed and (moment is None or failed_before(moment, versions, history).holds == NO))


def _beside(control: Control, now: pd.Series, thing: str, before: Factor | None) -> dict[str, Any]:
    """What a control says that is no cause; `state`: failed, now or when the attack began, or unknown."""
    status = now["compliance_status"]
    failed = status == "FAILED" or (before is not None and before.holds == YES)
    return {
        "control": control.name,
        "role": control.role,
        "resource": thing,
        "text": control.text,
        "status": status,
        "state": "failed" if failed else "unknown",
        "finding_id": now["finding_id"],
    }


def _open_at(rule: Rule, moment: datetime) -> bool:
    return (rule.opened is None or rule.opened <= moment) and (rule.closed is None or rule.closed > moment)


def _ports(content: object, name: str = "") -> Iterable[int]:
    """Local ports in a finding, nested or flattened."""
    if isinstance(content, dict):
        for key, value in content.items():
            low = str(key).lower()
            if (name == "localportdetails" and low == "port") or low.endswith("localportdetails/port"):
                if re.fullmatch(r"\d{1,5}", str(value)):
                    yield int(value)
            else:
                yield from _ports(value, low)
    elif isinstance(content, list):
        for value in content:
            yield from _ports(value, name)


def _bare(text: str) -> str:
    """A status without the JSON around it."""
    return next(word for word in (*_FAILED, _PASSED) if word in text)


def _when(time: Any) -> str:  # noqa: ANN401 - Timestamp or datetime
    return f"{time:%Y-%m-%d %H:%M}"
