"""Columns of structs from JSON texts, each different text decoded once: identities and TLS details repeat a lot.

Members of a struct are dictionaries: a row is a number, and Parquet writes it as one.
"""

import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import Struct

from cirtlib.records import identity
from cirtlib.records.layout import RESOURCES, TLS, Resource, fits
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
_WHO = _Identity.__struct_fields__[:-1]
_ISSUER, _ATTRIBUTES = _Issuer.__struct_fields__, _Attributes.__struct_fields__
_MAP = pa.map_(pa.string(), pa.string())
# names as a table writes them, beside which `type` and `arn` look like CloudTrail's own
_LOWER = re.compile(
    r'"(?:principalid|accountid|accesskeyid|username|invokedby|sessioncontext|sessionissuer|mfaauthenticated'
    r'|creationdate|ec2roledelivery|webidfederationdata)"'
)


def column(name: str, codes: pa.DictionaryArray) -> tuple[pa.Array, list[int]]:
    """Column useridentity, resources or tlsdetails from coded JSON texts; what is no such struct is null.

    Also the codes of texts that hold more than the column can (none of identities, whose JSON is a column as well).
    """
    texts, where = codes.dictionary.to_pylist(), codes.indices
    if name == "useridentity":
        return _identities([_identity(text) for text in texts], where), []
    if name == "resources":
        return _resources(texts, where)
    odd = [code for code, text in enumerate(texts) if not fits(text, TLS)]
    found = [identity.tls(text.encode()) for text in texts]
    children = [_leaf([None if one is None else one[part] for one in found], where) for part in schema.TLS.names]
    return _struct(schema.TLS.names, found, where, children), odd


def _resources(texts: list[str], where: pa.Array) -> tuple[pa.Array, list[int]]:
    found: list[list[Resource] | None] = []
    odd = []
    for code, text in enumerate(texts):
        try:
            found.append(RESOURCES.decode(text))
        except msgspec.MsgspecError:
            odd.append(code)
            plain = identity.resources(text.encode())
            found.append(None if plain is None else [Resource(*one.values()) for one in plain])
    every = [one for listed in found if listed for one in listed]
    columns = [pa.array([getattr(one, part) for one in every], pa.string()) for part in Resource.__struct_fields__]
    ends = accumulate((len(listed or ()) for listed in found), initial=0)
    made = pa.ListArray.from_arrays(
        pa.array(ends, pa.int32()),
        pa.StructArray.from_arrays(columns, fields=list(schema.RESOURCES.value_type)),
        mask=pa.array([listed is None for listed in found], pa.bool_()),
    )
    return made.take(where), odd


def _identity(text: str) -> _Identity | None:
    """Typed identity; of an odd one, in lower case or with numbers for texts, what the forgiving reader finds."""
    try:
        found = _DECODER.decode(text)
    except msgspec.MsgspecError:
        found = None
    if found is not None and found.type is not None and not _LOWER.search(text):
        return found
    plain = identity.identity(text.encode())
    if plain is None:
        return None
    names = {field.encode_name: field.name for field in msgspec.structs.fields(_Identity)}
    made = {python: plain[name.lower()] for name, python in names.items() if python != "session_context"}
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


def _identities(found: list[_Identity | None], where: pa.Array) -> pa.Array:
    sessions = [None if one is None else one.session_context for one in found]
    issuers = [None if one is None else one.session_issuer for one in sessions]
    attributes = [None if one is None else one.attributes for one in sessions]
    pairs = [_pairs(one) for one in sessions]
    members = [
        _struct(["mfaauthenticated", "creationdate"], attributes, where, _leaves(attributes, _ATTRIBUTES, where)),
        _struct(schema.ISSUER.names, issuers, where, _leaves(issuers, _ISSUER, where)),
        *_leaves(sessions, ("ec2_role_delivery",), where),
        pa.array(pairs, _MAP).take(where) if any(one is not None for one in pairs) else pa.nulls(len(where), _MAP),
    ]
    session = _struct(schema.SESSION.names, sessions, where, members)
    return _struct(schema.IDENTITY.names, found, where, [*_leaves(found, _WHO, where), session])


def _leaves(found: Sequence[Any], names: Sequence[str], where: pa.Array) -> list[pa.Array]:
    return [_leaf([None if one is None else getattr(one, name) for one in found], where) for name in names]


def _leaf(values: list[str | None], where: pa.Array) -> pa.DictionaryArray:
    """One member: of each row the code of its text."""
    codes = pa.array(values, pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(codes.indices.take(where), codes.dictionary)


def _struct(names: list[str], found: Sequence[Any], where: pa.Array, children: list[pa.Array]) -> pa.StructArray:
    absent = pa.array([one is None for one in found], pa.bool_())
    return pa.StructArray.from_arrays(children, names=names, mask=absent.take(where).fill_null(fill_value=True))


def _pairs(session: _Session | None) -> list[tuple[str, str | None]] | None:
    """Web identity federation data as pairs; what is nested in it as JSON text."""
    data: dict[str, Any] | None = None if session is None else session.web_id_federation_data
    if data is None:
        return None
    return [
        (name, one if isinstance(one, str | None) else msgspec.json.encode(one).decode()) for name, one in data.items()
    ]
