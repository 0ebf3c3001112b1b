"""Trust policies as CloudTrail logs them: read them, and say whom they let in."""

import json
import re
from typing import Any
from urllib.parse import unquote

from cirtlib.identity import Names

_ACCOUNT = re.compile(r"^(?:arn:[\w-]+:iam::)?(\d{12})(?::root)?$")


def document(text: object) -> dict[str, Any] | None:
    """Policy document from its text (plain or URL-encoded JSON) or object; None when it is neither."""
    if isinstance(text, dict):
        return text
    if not isinstance(text, str):
        return None
    try:
        value = json.loads(unquote(text) if text.lstrip().startswith("%7B") else text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def statements(policy: dict[str, Any] | None) -> list[dict[str, Any]]:
    """List the policy's statements; a single one may stand without a list."""
    found = (policy or {}).get("Statement", [])
    return [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, dict)]


def principals(policy: dict[str, Any] | None) -> set[str]:
    """Whom the policy's Allow statements name: ARNs, account ids (for `:root`), services, providers, `*`."""
    named: set[str] = set()
    for statement in statements(policy):
        if statement.get("Effect") != "Allow":
            continue
        who = statement.get("Principal")
        for value in who.values() if isinstance(who, dict) else [who]:
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, str):
                    account = _ACCOUNT.match(one)
                    named.add(account.group(1) if account else one)
    return named


def account_of(named: str) -> str:
    """Account of one that a policy names by its ARN or its number; '' for a service, a provider or everybody."""
    found = re.match(r"^(?:arn:[\w-]+:(?:iam|sts)::)?(\d{12})(?::|$)", named)
    return found.group(1) if found else ""


def admits(named: set[str], principal: object, account: object) -> bool:
    """Whether a caller is among those named: by its ARN, by its account, or because everybody is."""
    return "*" in named or principal in named or account in named


def role_of(minted: str, names: Names) -> str:
    """ARN of the role behind a minted principal, which CloudTrail writes as a role or as an assumed-role session."""
    parts = minted.split(":", 5)
    if len(parts) == 6 and parts[5].startswith("assumed-role/"):
        return names.find(parts[4], "role", parts[5].split("/")[1])
    return minted
