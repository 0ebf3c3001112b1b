"""The three nested parts of a record that the table models as structs, from their JSON; all else in them stays JSON.

Struct members: the table in AWS's Athena documentation. What is missing becomes None, what has an odd type its text.
"""

from typing import Any

from cirtlib.records import scan

_ISSUER = ("type", "principalid", "arn", "accountid", "username")
_WHO = ("type", "principalid", "arn", "accountid", "invokedby", "accesskeyid", "username")


def identity(raw: bytes) -> dict[str, Any] | None:
    """Column `useridentity` of a userIdentity; None when it is no JSON object."""
    found = _fields(raw)
    if found is None:
        return None
    session = _fields(found.get("sessioncontext", b"null"))
    return {**_texts(found, _WHO), "sessioncontext": None if session is None else _session(session)}


def _session(found: dict[str, bytes]) -> dict[str, Any]:
    attributes = _fields(found.get("attributes", b"null"))
    issuer = _fields(found.get("sessionissuer", b"null"))
    return {
        "attributes": None if attributes is None else _texts(attributes, ("mfaauthenticated", "creationdate")),
        "sessionissuer": None if issuer is None else _texts(issuer, _ISSUER),
        "ec2roledelivery": _text(found.get("ec2roledelivery")),
        "webidfederationdata": _map(found.get("webidfederationdata", b"null")),
    }


def resources(raw: bytes) -> list[dict[str, str | None]] | None:
    """Column `resources`: the ARN, account and type of each; None when it is no JSON list."""
    if not raw.startswith(b"["):
        return None
    found, _ = scan.elements(raw)
    return [_texts(_fields(bytes(item)) or {}, ("arn", "accountid", "type")) for item in found]


def tls(raw: bytes) -> dict[str, str | None] | None:
    """Column `tlsdetails`; None when it is no JSON object."""
    found = _fields(raw)
    return None if found is None else _texts(found, ("tlsversion", "ciphersuite", "clientprovidedhostheader"))


def _fields(raw: bytes) -> dict[str, bytes] | None:
    if not raw.startswith(b"{"):
        return None
    return {name.lower(): content for name, content in scan.members(raw)[0].items()}


def _texts(found: dict[str, bytes], names: tuple[str, ...]) -> dict[str, str | None]:
    return {name: _text(found.get(name)) for name in names}


def _text(raw: bytes | None) -> str | None:
    if raw is None or raw == b"null":
        return None
    value = scan.text(raw)
    return value if value is not None else raw.decode("utf-8", "replace")


def _map(raw: bytes) -> dict[str, str | None] | None:
    if not raw.startswith(b"{"):
        return None
    return {name: _text(content) for name, content in scan.members(raw)[0].items()}
