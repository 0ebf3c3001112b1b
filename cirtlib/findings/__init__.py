"""Findings of any form (GuardDuty, Security Hub's ASFF, Security Hub's OCSF) as rows of one table.

Field names: GuardDuty `GetFindings` and "GuardDuty findings JSON" (EventBridge and S3 export), AWS Security Finding
Format, OCSF 1.6 findings classes. What is missing or of an odd type becomes None; no finding is left out for its
severity, and an unknown type is kept.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from cirtlib.findings import asff, guardduty, ocsf
from cirtlib.findings.fields import at, names_in, text

COLUMNS = (
    "finding_id", "product", "form", "account_id", "region", "type", "title", "description", "severity",
    "severity_label", "created_at", "updated_at", "first_seen", "last_seen", "count", "archived", "sample",
    "workflow_status", "record_state", "compliance_status", "control_id", "resource_type", "resource_ids",
    "access_key_id", "principal_id", "principal_name", "principal_type", "instance_id", "api_name", "api_service",
    "remote_ips", "user_agent", "attack_sequence", "sequence_keys", "sequence_signals", "details",
)  # fmt: skip

_LISTS_OF_TEXT = ("resource_ids", "remote_ips", "sequence_keys", "sequence_signals")
_FORMS = {"guardduty": guardduty.columns, "asff": asff.columns, "ocsf": ocsf.columns}
# Lists of findings: GetFindings, BatchImportFindings, GetFindingsV2, EventBridge. One finding: EventBridge, ASR's
# notifications, and the wrappers that log shippers and test collections put around one record.
_LISTS = ("findings",)
_SINGLES = ("detail", "finding", "doc", "log", "event_payload", "data")
# Backslashes: JSON text inside a JSON string.
_TOKEN = re.compile(r'(\\*"sessionToken\\*"\s*:\s*\\*")[^"\\]*', re.IGNORECASE)
_MAX_WRAPS = 6


def rows(document: object) -> list[dict[str, Any]]:
    """Canonical rows of every finding in one decoded JSON document.

    Parameters
    ----------
    document
        A finding, a list of them, `{"Findings": [...]}`, or an EventBridge envelope around any of these.

    Returns
    -------
    list of dict
        One per finding, with the keys `COLUMNS`; times are aware UTC datetimes, lists are lists of text.

    Raises
    ------
    ValueError
        with the reason, when a record in it is no finding.
    """
    return [row(record) for record in records(document)]


def is_finding(document: object) -> bool:
    """Whether `document` is or contains findings, and nothing that is none."""
    found = records(document)
    return bool(found) and all(form(record) for record in found)


def records(document: object) -> list[Any]:
    """Single records inside the document's containers, each as delivered; `row` says which is a finding."""
    return list(_unwrap(document, 0))


def _unwrap(document: object, depth: int) -> Iterator[Any]:
    if isinstance(document, list) and depth <= _MAX_WRAPS:
        for item in document:
            yield from _unwrap(item, depth + 1)
        return
    if not isinstance(document, dict) or form(document) or depth > _MAX_WRAPS:
        yield document
        return
    names = {str(key).lower(): key for key in document}
    for name in (*_LISTS, *_SINGLES):
        inner = document[names[name]] if name in names else None
        if isinstance(inner, dict if name in _SINGLES else list):
            yield from _unwrap(inner, depth + 1)
            return
    yield document


def form(record: object) -> str | None:
    """Form of one record: guardduty, asff or ocsf; None when it is no finding."""
    if not isinstance(record, dict):
        return None
    if isinstance(at(record, "finding_info"), dict):
        return "ocsf"
    if text(record, "ProductArn") and (text(record, "Id") or text(record, "GeneratorId")):
        return "asff"
    arn = text(record, "arn") or ""
    if (":guardduty:" in arn and "/finding/" in arn) or text(record, "service", "detectorId"):
        return "guardduty"
    # The fragment of ASFF that carries an attack sequence stands alone in AWS's own examples.
    return "asff" if isinstance(at(record, "Detection", "Sequence"), dict) else None


def row(record: object) -> dict[str, Any]:
    """Canonical row (keys `COLUMNS`) of one finding.

    Raises
    ------
    ValueError
        with the reason, when it is no finding.
    """
    kind = form(record)
    if kind is None or not isinstance(record, dict):
        raise ValueError(f"no finding: neither GuardDuty, ASFF nor OCSF; it holds {names_in(record)}")
    made: dict[str, Any] = dict.fromkeys(COLUMNS)
    made |= _FORMS[kind](record)
    made["form"] = kind
    for name in _LISTS_OF_TEXT:
        made[name] = list(dict.fromkeys(item for item in made[name] or [] if item))
    made["sample"] = bool(made["sample"]) or _generated(made)
    made["archived"] = bool(made["archived"])
    made["details"] = _redacted(record)
    if made["finding_id"] is None:
        made["finding_id"] = "sha256:" + hashlib.sha256(made["details"].encode()).hexdigest()
    if made["sequence_keys"] or made["sequence_signals"]:
        made["attack_sequence"] = made["finding_id"]
    return made


def _generated(made: dict[str, Any]) -> bool:
    """Whether its title or the resources that CreateSampleFindings makes up give it away."""
    if (made["title"] or "").startswith("[SAMPLE]"):
        return True
    return str(made["access_key_id"]).startswith("GeneratedFinding") or made["instance_id"] == "i-99999999"


def _redacted(record: dict[str, Any]) -> str:
    """JSON text of the record without session tokens, also where JSON lies inside a string."""
    encoded = json.dumps(record, ensure_ascii=False, separators=(",", ":"), default=str)
    return _TOKEN.sub(r"\1REDACTED", encoded).encode("utf-8", "replace").decode()
