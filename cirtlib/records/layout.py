"""One CloudTrail record -> the columns of the case's `cloudtrail` table: CloudTrail's own layout, lower-case names.

Columns and types are those of the table in AWS's Athena documentation ("Create a table for CloudTrail logs in Athena
using manual partitioning", amazon-athena-user-guide), then what it does not model. Field names: "CloudTrail record
contents" (aws-cloudtrail-user-guide).

A record that is as documented takes the strict, typed path. Any other takes the forgiving one, value by value.
"""

import hashlib
import json
import math
import re
from datetime import UTC, date, datetime
from typing import Any

import msgspec
from msgspec import Raw, Struct

from cirtlib.records import scan
from cirtlib.records.identity import identity, resources, tls
from cirtlib.records.redact import redact

# CloudTrail's name of each column, in the order of the table.
FIELDS = {
    "eventversion": "eventVersion", "useridentity": "userIdentity", "eventtime": "eventTime",
    "eventsource": "eventSource", "eventname": "eventName", "awsregion": "awsRegion",
    "sourceipaddress": "sourceIPAddress", "useragent": "userAgent", "errorcode": "errorCode",
    "errormessage": "errorMessage", "requestparameters": "requestParameters", "responseelements": "responseElements",
    "additionaleventdata": "additionalEventData", "requestid": "requestID", "eventid": "eventID",
    "resources": "resources", "eventtype": "eventType", "apiversion": "apiVersion", "readonly": "readOnly",
    "recipientaccountid": "recipientAccountId", "serviceeventdetails": "serviceEventDetails",
    "sharedeventid": "sharedEventID", "vpcendpointid": "vpcEndpointId", "tlsdetails": "tlsDetails",
    "eventcategory": "eventCategory", "managementevent": "managementEvent",
    "sessioncredentialfromconsole": "sessionCredentialFromConsole", "vpcendpointaccountid": "vpcEndpointAccountId",
    "addendum": "addendum", "edgedevicedetails": "edgeDeviceDetails", "eventcontext": "eventContext",
}  # fmt: skip
COLUMNS = (*FIELDS, "useridentity_json", "unmodelled")
STRUCTS = ("useridentity", "resources", "tlsdetails")
_JSON = (
    "requestparameters", "responseelements", "additionaleventdata", "serviceeventdetails", "addendum",
    "edgedevicedetails", "eventcontext",
)  # fmt: skip
_TIME = re.compile(r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?Z", re.ASCII)
_ABSENT = Raw(b"null")


class Record(Struct, forbid_unknown_fields=True, gc=False, kw_only=True, rename=FIELDS.get):
    """A CloudTrail record exactly as documented, its nested values left as the bytes they are; in order of COLUMNS."""

    eventversion: str | None = None
    useridentity: Raw = _ABSENT
    eventtime: str
    eventsource: str
    eventname: str
    awsregion: str | None = None
    sourceipaddress: str | None = None
    useragent: str | None = None
    errorcode: str | None = None
    errormessage: str | None = None
    requestparameters: Raw = _ABSENT
    responseelements: Raw = _ABSENT
    additionaleventdata: Raw = _ABSENT
    requestid: str | None = None
    eventid: str | None = None
    resources: Raw = _ABSENT
    eventtype: str | None = None
    apiversion: str | None = None
    readonly: bool | None = None
    recipientaccountid: str | None = None
    serviceeventdetails: Raw = _ABSENT
    sharedeventid: str | None = None
    vpcendpointid: str | None = None
    tlsdetails: Raw = _ABSENT
    eventcategory: str | None = None
    managementevent: bool | None = None
    sessioncredentialfromconsole: str | None = None
    vpcendpointaccountid: str | None = None
    addendum: Raw = _ABSENT
    edgedevicedetails: Raw = _ABSENT
    eventcontext: Raw = _ABSENT


_RECORD = msgspec.json.Decoder(Record)
_IDENTITY, _READ_ONLY, _MANAGEMENT = (COLUMNS.index(name) for name in ("useridentity", "readonly", "managementevent"))
_NESTED = tuple(place for place, name in enumerate(COLUMNS) if name in FIELDS and name in {*STRUCTS, *_JSON})
_FLAG = {True: "true", False: "false", None: None}


def strict(raw: bytes | Raw) -> Record | None:
    """The record, when it is exactly as documented; else None."""
    try:
        return _RECORD.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def row(raw: bytes) -> dict[str, Any]:
    """Columns `COLUMNS` of one record, session tokens redacted.

    `useridentity` and `tlsdetails` are dicts, `resources` is a list of dicts, everything else is text or None.

    Raises
    ------
    ValueError
        with the reason, when it has no eventTime that can be read, or is no JSON object.
    """
    raw = redact(raw)
    record = strict(raw)
    values = (typed(record) if record is not None else None) or forgiving(raw)
    made: dict[str, Any] = dict(zip(COLUMNS, values, strict=True))
    for name, build in (("useridentity", identity), ("resources", resources), ("tlsdetails", tls)):
        made[name] = None if made[name] is None else build(made[name].encode())
    return made


def typed(record: Record) -> tuple[str | None, ...] | None:
    """Values of `COLUMNS` from a strict record, structs as their JSON text; None when it needs the forgiving path."""
    if _TIME.fullmatch(record.eventtime) is None or not _is_day(record.eventtime[:10]):
        return None
    made: list[Any] = list(msgspec.structs.astuple(record))
    try:
        beyond = _beyond(record.resources, record.tlsdetails)
        for place in _NESTED:
            raw = made[place]
            made[place] = None if raw is _ABSENT else _json(raw)
    except UnicodeDecodeError:
        return None
    made[_READ_ONLY], made[_MANAGEMENT] = _FLAG[record.readonly], _FLAG[record.managementevent]
    return (*made, made[_IDENTITY], beyond)


class _Resource(Struct, forbid_unknown_fields=True, gc=False):
    arn: str | None = msgspec.field(default=None, name="ARN")
    account: str | None = msgspec.field(default=None, name="accountId")
    type: str | None = None


class _Tls(Struct, forbid_unknown_fields=True, gc=False, rename="camel"):
    tls_version: str | None = None
    cipher_suite: str | None = None
    client_provided_host_header: str | None = None


_RESOURCES = msgspec.json.Decoder(list[_Resource] | None)
_TLS = msgspec.json.Decoder(_Tls | None)


def _beyond(named: Raw, tls_details: Raw) -> str | None:
    """Column `unmodelled`: resources and TLS details that hold more than the table's structs do; mostly None."""
    if named is _ABSENT and tls_details is _ABSENT:
        return None
    kept = {}
    if named is not _ABSENT and not _fits(named, _RESOURCES):
        kept["resources"] = str(named, "utf-8")
    if tls_details is not _ABSENT and (text := str(tls_details, "utf-8")) not in _FINE:
        if not _fits(tls_details, _TLS):
            kept["tlsDetails"] = text
        elif len(_FINE) < 10_000:
            _FINE.add(text)
    return _object(kept) if kept else None


_FINE: set[str] = set()  # TLS details that fit; there are few different ones


def _fits(raw: Raw | str, decoder: msgspec.json.Decoder[Any]) -> bool:
    try:
        decoder.decode(raw)
    except msgspec.MsgspecError:
        return False
    return True


def _object(members: dict[str, str]) -> str:
    return "{" + ",".join(f"{json.dumps(name)}:{_parsable(text) or 'null'}" for name, text in members.items()) + "}"


def _json(raw: Raw) -> str | None:
    """JSON text of a nested value, as it was logged; None for a JSON null."""
    text = str(raw, "utf-8")
    if text[0] == '"':
        return _unquoted(text)
    return None if text == "null" else text


def _unquoted(text: str) -> str | None:
    """JSON that was logged as a string, as JSON; any other string stays a JSON string."""
    inner = scan.text(text.encode()) or ""
    if inner.strip() in {"", "null"}:
        return None
    return inner if inner.lstrip()[:1] in {"{", "["} and scan.is_whole(inner.encode()) else text


def forgiving(raw: bytes) -> tuple[str | None, ...]:
    """Values of `COLUMNS` from any JSON object that has an eventTime, structs as their JSON text.

    Names may be in any case; what has another type than documented becomes its text.

    Raises
    ------
    ValueError
        with the reason, when there is no time in it, or it is no JSON object.
    """
    fields, broken = scan.members(raw)
    if broken is not None or not raw.lstrip().startswith(b"{"):
        raise ValueError(broken.reason if broken else "no JSON object")
    made: dict[str, str | None] = dict.fromkeys(COLUMNS)
    unmodelled: dict[str, str] = {}
    for name, content in fields.items():
        column = name.lower()
        text = content.decode("utf-8", "replace")
        if column not in FIELDS or (made[column] is not None and name != FIELDS[column]):
            unmodelled[name] = text
        elif column in STRUCTS or column in _JSON:
            made[column] = _parsable(_unquoted(text) if text.startswith('"') else text)
        else:
            made[column] = _plain(content, text)
    made["eventtime"] = time(made["eventtime"])
    made["useridentity_json"] = made["useridentity"]
    for flag in ("readonly", "managementevent"):
        made[flag] = (made[flag] or "").lower() or None
    for column, decoder in (("resources", _RESOURCES), ("tlsdetails", _TLS)):
        if not _fits(made[column] or "null", decoder):
            unmodelled[FIELDS[column]] = made[column] or "null"
    made["unmodelled"] = _object(unmodelled) if unmodelled else None
    return tuple(made[name] for name in COLUMNS)


def _plain(content: bytes, text: str) -> str | None:
    """Text of a value that ought to be a text: numbers, booleans and nested values as their JSON."""
    value = scan.text(content)
    if value is not None:
        return value
    return None if text == "null" else text


def _parsable(text: str | None) -> str | None:
    """The JSON text itself if every reader takes it, else rewritten (NaN as a string, no lone surrogates)."""
    if text is None or text == "null":
        return None
    if scan.is_whole(text.encode()):
        return text
    return json.dumps(_finite(scan.value(text.encode())), ensure_ascii=False, separators=(",", ":"))


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


_DAYS: dict[str, bool] = {}


def _is_day(text: str) -> bool:
    """Whether the calendar has this day; a case has few days, and they are remembered."""
    known = _DAYS.get(text)
    if known is None:
        try:
            known = bool(date.fromisoformat(text))
        except ValueError:
            known = False
        if len(_DAYS) < 100_000:
            _DAYS[text] = known
    return known


def time(text: str | None) -> str:
    """Event time as ISO 8601 text in UTC; what CloudTrail writes itself is left as it is.

    Other ISO forms are brought to UTC (without an offset they are UTC), and epoch seconds or milliseconds are read.

    Raises
    ------
    ValueError
        when there is none, or it is no time.
    """
    if text is None or not text.strip():
        raise ValueError("no eventTime")
    if _TIME.fullmatch(text) and _is_day(text[:10]):
        return text
    try:
        if re.fullmatch(r"[0-9]{9,13}(\.[0-9]+)?", text):
            number = float(text)
            moment = datetime.fromtimestamp(number / (1000 if number > 1e11 else 1), UTC)
        else:
            moment = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"eventTime {text[:40]!r} is no time") from None
    moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    whole = f"{moment:%Y-%m-%dT%H:%M:%S}" if moment.year >= 1000 else f"{moment.year:04d}{moment:-%m-%dT%H:%M:%S}"
    return whole + (f".{moment.microsecond:06d}Z" if moment.microsecond else "Z")


def identifier(event_id: str | None, raw: bytes) -> str:
    """Identity of the record: its eventID, else the SHA-256 of its bytes as delivered."""
    return event_id or "sha256:" + hashlib.sha256(raw).hexdigest()
