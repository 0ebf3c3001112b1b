"""Findings, grouped by what to follow into the logs, so that an analyst can choose where to start."""

import re
from typing import Any

import pandas as pd

from cirtlib import queries
from cirtlib.case import Case, parse_seed, update_case
from cirtlib.case import load_case as _stored
from cirtlib.errors import NotFoundError
from cirtlib.scope import Scope

COLUMNS = (
    *("severity", "kind", "pivot", "types", "explained", "findings", "count", "accounts", "first_seen", "last_seen"),
    *("samples", "pinned", "seed", "finding_ids"),
)
# Logging or detection was tampered with: shown first whatever its severity, because everything else may be unseen.
# Types as in GuardDuty's list of IAM and S3 finding types; the Security Hub forms hold the same words.
_TAMPERING = re.compile(
    r"Stealth:|Stealth/|DefenseEvasion:|LoggingDisabled|LoggingConfigurationModified|ServerAccessLoggingDisabled"
    r"|PasswordPolicyChange|DetectorDeleted|Defense Evasion|Impair Defenses",
    re.IGNORECASE,
)
_LABELS = ("INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL")


def pivots(case: Case, *, scope: Scope | None = None) -> pd.DataFrame:
    """Group the case's findings by pivot: attack sequence, access key, principal, instance, else the resource.

    A finding stands under every pivot that it names, so the counts of several rows may speak of one finding.

    Parameters
    ----------
    scope
        what to mark as explained; without it nothing is marked.

    Returns
    -------
    DataFrame
        one row per pivot (`COLUMNS`): tampering with logging or detection first, then by highest severity.
        `findings` counts findings, `count` what they say they aggregated; `seed` is what `use_as_seed` takes.
    """
    findings = distinct(queries.findings(case))
    rows = [row for finding in findings.to_dict("records") for row in _pivots(finding)]
    if not rows:
        return pd.DataFrame(columns=list(COLUMNS))
    known = _explanations(scope) if scope else {}
    grouped = pd.DataFrame(rows).groupby(["kind", "pivot"], sort=True)
    table = pd.DataFrame([_summary(kind, pivot, group, known) for (kind, pivot), group in grouped])
    order = table.assign(_rank=table["severity"].map(_rank))
    order = order.sort_values(
        ["pinned", "_rank", "first_seen", "kind", "pivot"], ascending=[False, False, True, True, True]
    )
    return order[list(COLUMNS)].reset_index(drop=True)


def distinct(findings: pd.DataFrame) -> pd.DataFrame:
    """Each finding once, in its last version.

    Security Hub repeats GuardDuty's under GuardDuty's id, and GuardDuty's form says more.
    """
    if findings.empty:
        return findings
    old = ~findings["latest"].astype(bool) if "latest" in findings else False
    order = pd.DataFrame({"old": old, "copy": findings["form"].ne("guardduty")})
    order = order.sort_values(["old", "copy"], kind="stable")
    return findings.loc[order.index].drop_duplicates("finding_id").sort_index()


def use_as_seed(case: Case, seed: str) -> Case:
    """Add `seed`, as kind=value, to the seeds in case.yaml, and return the case with it.

    Raises
    ------
    CaseError
        when it is no seed.
    NotFoundError
        when it names a finding that the case does not hold.
    """
    parsed = parse_seed(seed)
    if parsed.kind == "finding" and parsed.value not in set(queries.findings(case)["finding_id"]):
        raise NotFoundError(
            f"no finding {parsed.value!r} in this case; take one from the column seed of the triage table"
        )
    seeds = _stored(case.path).seeds
    if parsed not in seeds:
        update_case(case, "seeds", [{one.kind: one.value} for one in (*seeds, parsed)])
    return _stored(case.path)


def _pivots(finding: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for each thing in a finding that can be followed into the logs."""
    sequence = _text(finding.get("attack_sequence"))
    keys = [key for key in (_text(finding.get("access_key_id")), *_list(finding.get("sequence_keys"))) if key]
    named = [
        *([("attack sequence", sequence)] if sequence else []),
        *(("access key", key) for key in dict.fromkeys(keys)),
        *([("principal", name)] if (name := _principal(finding)) else []),
        *([("instance", instance)] if (instance := _text(finding.get("instance_id"))) else []),
    ]
    if not named:
        resource = next(iter(_list(finding.get("resource_ids"))), "") or _text(finding.get("resource_type"))
        named = [("resource", resource or "none named")]
    return [{"kind": kind, "pivot": value, **finding} for kind, value in named]


def _principal(finding: dict[str, Any]) -> str:
    """Name of the principal, with its account: the same name in two accounts is two principals."""
    name = _text(finding.get("principal_name")) or _text(finding.get("principal_id"))
    return f"{_text(finding.get('account_id'))} {name}" if name else ""


def _summary(kind: str, pivot: str, group: pd.DataFrame, known: dict[str, str]) -> dict[str, Any]:
    real = group[~group["sample"].fillna(False).astype(bool)]
    types = sorted({_text(value) for value in group["type"]} - {""})
    ids = list(dict.fromkeys(group.sort_values("first_seen")["finding_id"]))
    explained = known.get(pivot.split(" ", 1)[-1] if kind == "principal" else pivot, "")
    if not explained and all(one in known for one in ids):
        explained = known[ids[0]]
    tampering = any(_TAMPERING.search(f"{_text(row.type)} {_text(row.title)}") for row in real.itertuples(index=False))
    return {
        "pinned": tampering,
        "kind": kind,
        "pivot": pivot,
        "severity": max((_text(label) for label in group["severity_label"]), key=_rank),
        "findings": group["finding_id"].nunique(),
        "count": int(group["count"].fillna(1).sum()),
        "accounts": sorted({_text(value) for value in group["account_id"]} - {""}),
        "first_seen": group["first_seen"].min(),
        "last_seen": group["last_seen"].max(),
        "types": types,
        "explained": explained,
        "samples": len(group) - len(real),
        "seed": f"access_key={pivot}" if kind == "access key" else f"finding={ids[0]}",
        "finding_ids": ids,
    }


def _rank(label: str) -> int:
    return _LABELS.index(label) if label in _LABELS else -1


def _explanations(scope: Scope) -> dict[str, str]:
    """What the scope already explains: key, principal name, instance or finding id -> status and node."""
    extent = {node["id"]: node for node in scope.extent()}
    known: dict[str, str] = {}
    for name, node in extent.items():
        value = str(node["value"])
        for form in (value, value.rsplit("/", 1)[-1], *node.get("aliases", [])):
            known.setdefault(form, f"{node['status']}: {name}")
    for edge in scope.edges:
        inside = extent.get(edge["from"]) or extent.get(edge["to"])
        for end in (edge["from"], edge["to"]):
            if end.startswith("finding:") and inside:
                known.setdefault(end.removeprefix("finding:"), f"{inside['status']}: {inside['id']}")
    return known


def _text(value: object) -> str:
    return "" if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)) else str(value)


def _list(value: object) -> list[str]:
    if value is None or isinstance(value, (str, float)):
        return []
    return [str(item) for item in value]  # type: ignore[attr-defined]
