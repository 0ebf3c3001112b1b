"""What lets the attacker of a random incident in, as its emulated accounts stand; by the truth, not by a plan."""

import json
from collections.abc import Iterator

from cirtlib.training.incidents import Incident
from cirtlib.training.incidents.acts import EVERYTHING, OUTSIDE
from cirtlib.training.incidents.observe import State
from cirtlib.training.shapes import Json

DENY_ALL = "arn:aws:iam::aws:policy/AWSDenyAll"


def ways_in(made: Incident, before: State, now: State) -> dict[str, str]:
    """Node id -> how the attacker gets in by it, in words; empty where everything is closed.

    Parameters
    ----------
    before, now
        What the accounts held before the attack, and hold now.
    """
    extent = {_node(now, before, *key): status for key, status in made.extent.items()}
    return dict(
        found
        for node, content in now.items()
        for found in (
            *_credentials(node, content, now, extent),
            *_principals(node, content, before, extent),
            *_resources(node, content, before, extent),
        )
    ) | {node: "nothing watches" for node in before if ":detector/" in node and not _watched(node, now)}


def _watched(detector: str, now: State) -> bool:
    """Whether the account of a detector has one that is on; it may have another id."""
    beside = detector.rpartition("/")[0]
    return any(content["enabled"] for node, content in now.items() if node.startswith(f"{beside}/"))


def denied(content: Json | None) -> bool:
    """Whether a user or role may do nothing."""
    if content is None:
        return True
    statements = [one for document in content["inline"].values() for one in document["Statement"]]
    return DENY_ALL in content["attached"] or any(
        one["Effect"] == "Deny" and one.get("Action") == "*" and not one.get("Condition") for one in statements
    )


def _node(now: State, before: State, kind: str, value: str) -> str:
    """Id under which the state has a node of the extent."""
    if kind != "credential":
        return f"{kind}:{value}"
    names = (f"access_key:{value}", f"login_profile:{value}")
    return next((name for name in names if name in now or name in before), f"session:{value}")


def _credentials(node: str, content: Json, now: State, extent: dict[str, str]) -> Iterator[tuple[str, str]]:
    if node.startswith("access_key:") and node in extent and content["status"] == "Active":
        yield node, "the key is active"
    if (
        node.startswith("login_profile:")
        and node in extent
        and not denied(now.get(node.replace("login_profile", "principal")))
    ):
        yield node, "the attacker's password stands"


def _principals(node: str, content: Json, before: State, extent: dict[str, str]) -> Iterator[tuple[str, str]]:
    if not node.startswith("principal:"):
        return
    if extent.get(node) == "attacker_created" and not denied(content):
        yield node, "the attacker made it, and it is not denied"
    if OUTSIDE in json.dumps(content.get("trust")) and not denied(content):
        yield node, "an account of the attacker's may take it on"
    gained = (
        set(content["attached"]) - set(before.get(node, {"attached": content["attached"]})["attached"]) - {DENY_ALL}
    )
    if gained and not denied(content):
        yield node, f"it has what the attacker attached: {', '.join(sorted(gained))}"
    if set(content.get("mfa", ())) - set(before.get(node, {}).get("mfa", ())):
        yield node, "the attacker's second factor is enrolled"


def _resources(node: str, content: Json, before: State, extent: dict[str, str]) -> Iterator[tuple[str, str]]:
    if node.startswith("principal:") or node not in extent:
        return
    old = before.get(node)
    if OUTSIDE in json.dumps(content):
        yield node, "it is shared with an account of the attacker's"
    if ":saml-provider/" in node or ":oidc-provider/" in node or ":key-pair/" in node:
        yield node, "the attacker made it, and it stands"
    if ":policy/" in node and content["versions"].get(content["default"]) == EVERYTHING:
        yield node, "it allows everything"
    if ":security-group/" in node and old is not None and set(content["in"]) - set(old["in"]):
        yield node, "the attacker's port is open"
    if ":s3:::" in node and old is not None and old["block"] and not content["block"]:
        yield node, "its block of public access is off"
    if ":function:" in node and content["at_most"] != 0 and content["code"] != (old or {}).get("code"):
        yield node, "the attacker's code runs"
    if ":rule/" in node and content["state"] == "ENABLED" and content != old:
        yield node, "the attacker's rule is on"
    if ":trail/" in node and not content["logging"]:
        yield node, "it does not log"
    if ":instance/" in node and old is None and content["state"] == "running":
        yield node, "the attacker's instance runs"
    if ":key/" in node and content["state"] != "Enabled":
        yield node, "the key of KMS is about to be deleted"
