"""Columns of structs from JSON texts, each different text decoded once: identities and TLS details repeat a lot."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import Struct

from cirtlib.records import identity
from cirtlib.store import schema


class _Issuer(Struct, gc=False, rename="camel"):
    type: str | None = None
    principal_id: str | None = None
    arn: str | None = None
    account_id: str | None = None
    user_name: str | None = None


class _Attributes(Struct, gc=False, rename="camel"):
    mfa_authenticated: str | None = None
    creation_date: str | None = None


class _Session(Struct, gc=False, rename="camel"):
    attributes: _Attributes | None = None
    session_issuer: _Issuer | None = None
    ec2_role_delivery: str | None = msgspec.field(default=None, name="ec2RoleDelivery")
    web_id_federation_data: dict[str, str | dict[str, str]] | None = None


class _Identity(Struct, gc=False, rename="camel"):
    type: str | None = None
    principal_id: str | None = None
    arn: str | None = None
    account_id: str | None = None
    invoked_by: str | None = None
    access_key_id: str | None = None
    user_name: str | None = None
    session_context: _Session | None = None


_DECODER = msgspec.json.Decoder(_Identity)
_ISSUER = _Issuer.__struct_fields__
_WHO = _Identity.__struct_fields__[:-1]


def column(field: pa.Field, texts: Sequence[str | None]) -> pa.Array:
    """Column of a struct field of the table from JSON texts; what is no such struct is null."""
    seen: dict[str | None, int] = {}
    places = [seen.setdefault(text, len(seen)) for text in texts]
    if field.name == "useridentity":
        distinct = _identities([None if text is None else _identity(text) for text in seen])
    else:
        build: Callable[[bytes], Any] = identity.resources if field.name == "resources" else identity.tls
        distinct = pa.array([None if text is None else build(text.encode()) for text in seen], field.type)
    return distinct.take(pa.array(places, pa.int32()))


def _identity(text: str) -> _Identity | None:
    """Typed identity; of an odd one, in lower case or with numbers for texts, what the forgiving reader finds."""
    try:
        found = _DECODER.decode(text)
    except msgspec.MsgspecError:
        found = None
    if found is not None and found.type is not None:
        return found
    plain = identity.identity(text.encode())
    if plain is None:
        return None
    names = {field.encode_name: field.name for field in msgspec.structs.fields(_Identity)}
    made = {python: plain[name.lower()] for name, python in names.items()}
    session = plain["sessioncontext"]
    if session is not None:
        attributes, issuer = session["attributes"], session["sessionissuer"]
        made["session_context"] = _Session(
            None if attributes is None else _Attributes(attributes["mfaauthenticated"], attributes["creationdate"]),
            None if issuer is None else _Issuer(*issuer.values()),
            session["ec2roledelivery"],
            session["webidfederationdata"],
        )
    return _Identity(**made)


def _identities(found: list[_Identity | None]) -> pa.Array:
    sessions = [None if one is None else one.session_context for one in found]
    issuers = [None if one is None else one.session_issuer for one in sessions]
    attributes = [None if one is None else one.attributes for one in sessions]
    session = _struct(
        schema.SESSION,
        sessions,
        [
            _struct(
                schema.SESSION.field("attributes").type, attributes, _plain(attributes, _Attributes.__struct_fields__)
            ),
            _struct(schema.ISSUER, issuers, _plain(issuers, _ISSUER)),
            *_plain(sessions, ("ec2_role_delivery",)),
            pa.array([_pairs(one) for one in sessions], pa.map_(pa.string(), pa.string())),
        ],
    )
    return _struct(schema.IDENTITY, found, [*_plain(found, _WHO), session])


def _plain(found: list[Any], names: Iterable[str]) -> list[pa.Array]:
    """One text column for each attribute."""
    return [pa.array([None if one is None else getattr(one, name) for one in found], pa.string()) for name in names]


def _struct(kind: pa.DataType, found: list[Any], columns: list[pa.Array]) -> pa.Array:
    mask = pa.array([one is None for one in found], pa.bool_())
    return pa.StructArray.from_arrays(columns, fields=list(kind), mask=mask)


def _pairs(session: _Session | None) -> list[tuple[str, str | None]] | None:
    """Web identity federation data as pairs; what is nested in it as JSON text."""
    data: dict[str, Any] | None = None if session is None else session.web_id_federation_data
    if data is None:
        return None
    return [
        (name, one if isinstance(one, str | None) else msgspec.json.encode(one).decode()) for name, one in data.items()
    ]
