"""What the analyst decides about a node: the attacker's, or not; recorded in case.yaml with name, time and reason."""

import difflib
import getpass
from datetime import UTC, datetime

from cirtlib.case import Case, Decision, read_json, update_case
from cirtlib.errors import CaseError, NotFoundError

_NEAR = 5


def decide(case: Case, key: str, node: str, *, reason: str, by: str = "") -> str:
    """Append a decision on a node to `confirmed` or `cleared` of case.yaml, and return the node's id.

    An earlier decision on the same node is replaced. A bare value (a key, an ARN) or the name at its end (an instance's
    id, a user's name) serves where it names one node.

    Raises
    ------
    NotFoundError
        when there is a scope and it has no such node.
    CaseError
        when no reason is given, or what is confirmed has no acts of its own.
    """
    if not reason.strip():
        raise CaseError("a decision needs its reason: --reason TEXT")
    found = _node(case, node)
    if key == "confirmed" and not _acts(found):
        raise CaseError(
            f"{found} does nothing itself, so that confirming it would say nothing of whose acts these were; confirm "
            f"the credential, principal, address or event behind it: `cirt story {case.path} {found}` names them"
        )
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = {"node": found, "by": by or getpass.getuser(), "at": now, "reason": reason}
    other = "cleared" if key == "confirmed" else "confirmed"
    for name, decisions in ((other, getattr(case, other)), (key, getattr(case, key))):
        kept = [_yaml(decision) for decision in decisions if decision.node != found]
        if name == key or len(kept) < len(decisions):
            case = update_case(case, name, [*kept, made] if name == key else kept)
    return found


def _acts(node: str) -> bool:
    """Whether a node stands for acts that may be the attacker's: whoever or whatever acts, or a record of acts."""
    kind, _, value = node.partition(":")
    return kind not in {"account", "login_profile"} and (kind != "resource" or ":instance/" in value)


def _yaml(decision: Decision) -> dict[str, str]:
    return {"node": decision.node, "by": decision.by, "at": decision.at, "reason": decision.reason}


def _name(value: str) -> str:
    """The name at the end of a value: an instance's id, a user's or role's name."""
    return value.rpartition(":")[2].rpartition("/")[2]


def _node(case: Case, text: str) -> str:
    """Id of the node that `text` names, as far as a scope was written."""
    scope = read_json(case.out / "scope.json")
    if scope is None:
        return text
    known = {str(node["id"]): str(node["value"]) for node in scope["nodes"]}
    ids = {*known, *(str(lead["node"]) for lead in scope["leads"])}
    if text in ids:
        return text
    matches = sorted(node for node in ids if node.partition(":")[2] == text or known.get(node) == text)
    matches = matches or sorted(node for node in ids if _name(known.get(node, node)) == text)
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise NotFoundError(f"{text!r} names {len(matches)} nodes: {', '.join(matches)}; give one of them whole")
    near = [node for node in sorted(ids) if text and text.lower() in node.lower()]
    near = near or [node for node in sorted(ids) if difflib.get_close_matches(text, [_name(node)], cutoff=0.8)]
    if near:
        more = f" and {len(near) - _NEAR} more" if len(near) > _NEAR else ""
        raise NotFoundError(f"no node {text!r} in the scope; did you mean {', '.join(near[:_NEAR])}{more}?")
    raise NotFoundError(f"no node {text!r} in the scope; `cirt scope {case.path} --format json` lists nodes and leads")
