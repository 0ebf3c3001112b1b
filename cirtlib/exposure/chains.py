"""The way in as a chain of steps, left to right: from where, through what, to which credential, and what it did."""

from collections.abc import Iterable
from dataclasses import dataclass

from cirtlib.exposure.credentials import Credential
from cirtlib.exposure.table import Cause
from cirtlib.exposure.told import Instance, call_name

_SHOWN = 3


@dataclass(frozen=True)
class Step:
    """One step: its heading, what it is, how sure it is (likely, possible, unlikely, seen, unknown), its evidence."""

    heading: str
    text: str
    sure: str
    evidence: tuple[str, ...] = ()


def of_credential(one: Credential) -> list[Step]:
    """From the address of the first abnormal use to what was called with the credential."""
    first, top = one.first, one.causes[0] if one.causes else None
    ids = (str(first["event_id"]),)
    why = (
        Step("cause", top.what, top.confidence, top.evidence)
        if top
        else Step("cause", "not in the evidence", "unknown")
    )
    minted = (one.mint_event,) if one.mint_event else ids
    return [
        Step("used from", str(first["address"] or "unknown"), "seen", ids),
        why,
        Step("credential", f"{one.node.partition(':')[2]} ({one.method})", "seen", minted),
        Step("principal", one.principal, "seen", ids),
        Step("first call", str(first["call"]), "seen", ids),
    ]


def of_instance(one: Instance) -> list[Step]:
    """From the addresses that attacked to what the instance's role then did."""
    inbound = [sign for sign in one.signs if sign.ports]  # others name addresses that used its credentials
    addresses = list(dict.fromkeys(address for sign in inbound for address in sign.addresses))
    mine = [act for act in one.acts if act["verdict"] == "attacker"]
    worked = [act for act in mine if act["denied"] < act["events"]]
    changed = [call_name(act) for act in worked if not act["reads"]] or [call_name(act) for act in worked]
    roles = one.path.of_kind("role")
    doors = [cause for cause in one.judged.causes if cause.role == "door"]
    thefts = [cause for cause in one.judged.causes if cause.role == "theft"]
    then = f"{sum(act['events'] for act in mine)} events: {_some(changed)}" if mine else "no act is the attacker's"
    who = tuple(event for role in roles for event in one.path.evidence[role])
    return [
        _seen("internet", _some(addresses), tuple(sign.finding for sign in inbound), "no finding names an address"),
        _step("door", doors, "no open group is known"),
        Step("instance", one.path.instance, "seen", one.path.evidence.get(one.path.instance, ())),
        _step("credentials", thefts, "how they left it is not known"),
        _seen("role", _some(roles), who, "no role is known"),
        Step("then", then, "seen" if mine else "unknown", tuple(act["ids"][0] for act in mine)),
    ]


def _seen(heading: str, text: str, evidence: tuple[str, ...], otherwise: str) -> Step:
    return Step(heading, text, "seen", evidence) if text else Step(heading, otherwise, "unknown")


def _step(heading: str, causes: list[Cause], otherwise: str) -> Step:
    if not causes:
        return Step(heading, otherwise, "unknown")
    return Step(heading, causes[0].what, causes[0].confidence, causes[0].evidence)


def _some(values: Iterable[str]) -> str:
    many = list(values)
    return ", ".join(many[:_SHOWN]) + (f" and {len(many) - _SHOWN} more" if len(many) > _SHOWN else "")
