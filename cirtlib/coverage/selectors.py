"""What a trail records beyond the usual, in words: event selectors, advanced event selectors, insight selectors.

Sources: EventSelector, DataResource, AdvancedEventSelector, InsightSelector (AWS CloudTrail API Reference); "Logging
data events", "Logging network activity events" (aws-cloudtrail-user-guide). Records write names in camelCase, answers
of the API in PascalCase.
"""

import json
from typing import Any, NamedTuple

MANAGEMENT, DATA, NETWORK = "Management", "Data", "NetworkActivity"
_SHOWN = 3
_MATCHES = {
    "equals": "is", "startsWith": "starts with", "endsWith": "ends with",
    "notEquals": "is not", "notStartsWith": "does not start with", "notEndsWith": "does not end with",
}  # fmt: skip
# Values of a basic selector that stand for every resource of the type.
_EVERY = {"arn:aws:s3", "arn:aws:s3:::", "arn:aws:lambda", "arn:aws:dynamodb"}


class Part(NamedTuple):
    """One kind of event that is recorded: its category, the type of resource ('' for management), for what."""

    category: str
    what: str
    words: str


def parts(document: dict[str, Any]) -> list[Part]:
    """Kinds of events that the selectors in a request or answer let a trail record."""
    found: list[Part] = []
    for selector in items(document, "eventSelectors"):
        found += _basic(selector)
    for selector in items(document, "advancedEventSelectors"):
        found.append(_advanced(selector))
    return list(dict.fromkeys(found))


def insights(document: dict[str, Any]) -> list[str] | None:
    """Kinds of insights that are on; None when the document says nothing of them."""
    if not isinstance(_get(document, "insightSelectors"), list):
        return None
    return [str(_get(one, "insightType")) for one in items(document, "insightSelectors")]


def items(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Objects in the list of this name; none when it is no list."""
    value = _get(document, name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _get(document: dict[str, Any], name: str) -> Any:  # noqa: ANN401 - any JSON value
    return document.get(name, document.get(name[0].upper() + name[1:]))


def _basic(selector: dict[str, Any]) -> list[Part]:
    kind = _get(selector, "readWriteType")
    only = {"ReadOnly": "reads only", "WriteOnly": "writes only"}.get(kind if isinstance(kind, str) else "", "")
    found = []
    if _get(selector, "includeManagementEvents") is not False:
        without = _texts(_get(selector, "excludeManagementEventSources"))
        words = ", ".join(part for part in (only, f"without {_listed(without)}" if without else "") if part)
        found.append(Part(MANAGEMENT, "", words or "all"))
    for resource in items(selector, "dataResources"):
        values = _texts(_get(resource, "values"))
        where = "all" if _EVERY & set(values) else _listed(values) or "none"
        found.append(Part(DATA, str(_get(resource, "type")), ", ".join(part for part in (where, only) if part)))
    return found


def _advanced(selector: dict[str, Any]) -> Part:
    fields = {str(_get(one, "field")): one for one in items(selector, "fieldSelectors")}
    category = (_texts(_get(fields.get("eventCategory", {}), "equals")) or [MANAGEMENT])[0]
    named = "eventSource" if category == NETWORK else "resources.type"
    what = _listed(_texts(_get(fields.get(named, {}), "equals"))) if category != MANAGEMENT else ""
    words = []
    for name, one in fields.items():
        if name in {"eventCategory", named} and (name == "eventCategory" or what):
            continue
        words += [
            f"{name} {said} {_listed(_texts(_get(one, key)))}" for key, said in _MATCHES.items() if _get(one, key)
        ]
    return Part(category, what, "; ".join(words) or "all")


def _texts(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []


def _listed(values: list[str]) -> str:
    more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    return ", ".join(values[:_SHOWN]) + more


def parsed(text: str | None) -> dict[str, Any]:
    """JSON object in a text; empty when it is none."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
