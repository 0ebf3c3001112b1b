"""One CloudTrail record -> the columns of the case's `cloudtrail` table: CloudTrail's own layout, lower-case names.

Columns and types are those of the table in AWS's Athena documentation ("Create a table for CloudTrail logs in Athena
using manual partitioning", amazon-athena-user-guide), then what it does not model. Field names: "CloudTrail record
contents" (aws-cloudtrail-user-guide).

A record that is as documented takes the strict, typed path. Any other takes the forgiving one, value by value.
"""

import codecs
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
JSON_COLUMNS = (
    "requestparameters", "responseelements", "additionaleventdata", "serviceeventdetails", "addendum",
    "edgedevicedetails", "eventcontext",
)  # fmt: skip
_TIME = re.compile(r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?Z", re.ASCII)
ABSENT = Raw(b"null")  # of a Record's nested value that is not there


class Record(Struct, forbid_unknown_fields=True, gc=False, kw_only=True, rename=FIELDS.get):
    """A CloudTrail record exactly as documented, its nested values left as the bytes they are; in order of COLUMNS."""

    eventversion: str | None = None
    useridentity: Raw = ABSENT
    eventtime: str
    eventsource: str
    eventname: str
    awsregion: str | None = None
    sourceipaddress: str | None = None
    useragent: str | None = None
    errorcode: str | None = None
    errormessage: str | None = None
    requestparameters: Raw = ABSENT
    responseelements: Raw = ABSENT
    additionaleventdata: Raw = ABSENT
    requestid: str | None = None
    eventid: str | None = None
    resources: Raw = ABSENT
    eventtype: str | None = None
    apiversion: str | None = None
    readonly: bool | None = None
    recipientaccountid: str | None = None
    serviceeventdetails: Raw = ABSENT
    sharedeventid: str | None = None
    vpcendpointid: str | None = None
    tlsdetails: Raw = ABSENT
    eventcategory: str | None = None
    managementevent: bool | None = None
    sessioncredentialfromconsole: str | None = None
    vpcendpointaccountid: str | None = None
    addendum: Raw = ABSENT
    edgedevicedetails: Raw = ABSENT
    eventcontext: Raw = ABSENT


class _File(Struct, forbid_unknown_fields=True, gc=False, rename={"records": "Records"}.get):
    records: list[Record]


_RECORD = msgspec.json.Decoder(Record)
_FILE = msgspec.json.Decoder(_File)
_LIST = msgspec.json.Decoder(list[Record])
_IDENTITY, _READ_ONLY, _MANAGEMENT = (COLUMNS.index(name) for name in ("useridentity", "readonly", "managementevent"))
_NESTED = tuple(place for place, name in enumerate(COLUMNS) if name in FIELDS and name in {*STRUCTS, *JSON_COLUMNS})
FLAG = {True: "true", False: "false", None: None}


def strict(raw: bytes | Raw) -> Record | None:
    """The record, when it is exactly as documented; else None."""
    try:
        return _RECORD.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def run(data: bytes) -> list[Record] | None:
    """Records of a whole `{"Records": [...]}` or list, when every one of them is as documented; else None.

    This is what nearly every object is, and by far the fastest way to read it.
    """
    try:
        found = _FILE.decode(data).records if data.startswith(b"{") else _LIST.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    known = all(_is_time(text) for text in {record.eventtime for record in found})
    return found if known and all(record.eventid for record in found) and _is_utf8(data) else None


def plain(record: Record, raw: bytes) -> bool:
    """Whether the columns of a strict record can be made without the forgiving reader."""
    return _is_time(record.eventtime) and _is_utf8(raw)


def rebuilt(values: tuple[str | None, ...]) -> Record:
    """Record with the values of the forgiving reader, nested ones as their JSON."""
    made: dict[str, Any] = dict(zip(FIELDS, values, strict=False))
    for place in _NESTED:
        text = values[place]
        made[COLUMNS[place]] = ABSENT if text is None else Raw(text.encode())
    return Record(**made)


def _is_time(text: str) -> bool:
    return _TIME.fullmatch(text) is not None and _is_day(text[:10])


def _is_utf8(data: bytes) -> bool:
    """Whether bytes are UTF-8, which the decoder does not check in what it leaves as it is."""
    if data.isascii():
        return True
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for place in range(0, len(data), 1 << 20):  # in pieces: as text it may be four times as large
            decoder.decode(data[place : place + (1 << 20)])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


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
    if not _is_time(record.eventtime):
        return None
    made: list[Any] = list(msgspec.structs.astuple(record))
    try:
        beyond = _beyond(record.resources, record.tlsdetails)
        for place in _NESTED:
            raw = made[place]
            made[place] = None if raw is ABSENT else _json(raw)
    except UnicodeDecodeError:
        return None
    made[_READ_ONLY], made[_MANAGEMENT] = FLAG[record.readonly], FLAG[record.managementevent]
    return (*made, made[_IDENTITY], beyond)


class Resource(Struct, forbid_unknown_fields=True, gc=False):
    """One of a record's resources, exactly as the table models it."""

    arn: str | None = msgspec.field(default=None, name="ARN")
    account: str | None = msgspec.field(default=None, name="accountId")
    type: str | None = None


class Tls(Struct, forbid_unknown_fields=True, gc=False, rename="camel"):
    """A record's TLS details, exactly as the table models them."""

    tls_version: str | None = None
    cipher_suite: str | None = None
    client_provided_host_header: str | None = None


RESOURCES = msgspec.json.Decoder(list[Resource] | None)
TLS = msgspec.json.Decoder(Tls | None)


def _beyond(named: Raw, tls_details: Raw) -> str | None:
    """Column `unmodelled`: resources and TLS details that hold more than the table's structs do; mostly None."""
    kept = {}
    if named is not ABSENT and not fits(named, RESOURCES):
        kept["resources"] = str(named, "utf-8")
    if tls_details is not ABSENT and not fits(tls_details, TLS):
        kept["tlsDetails"] = str(tls_details, "utf-8")
    return json_object(kept) if kept else None


def fits(raw: Raw | str, decoder: msgspec.json.Decoder[Any]) -> bool:
    """Whether a JSON text holds nothing beyond what the decoder models."""
    try:
        decoder.decode(raw)
    except msgspec.MsgspecError:
        return False
    return True


def json_object(members: dict[str, str]) -> str:
    """JSON object of members whose values are JSON texts."""
    return "{" + ",".join(f"{json.dumps(name)}:{_parsable(text) or 'null'}" for name, text in members.items()) + "}"


def _json(raw: Raw) -> str | None:
    """JSON text of a nested value, as it was logged; None for a JSON null."""
    text = str(raw, "utf-8")
    if text[0] == '"':
        return unquoted(text)
    return None if text == "null" else text


def unquoted(text: str) -> str | None:
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
        elif column in STRUCTS or column in JSON_COLUMNS:
            made[column] = _parsable(unquoted(text) if text.startswith('"') else text)
        else:
            made[column] = _plain(content, text)
    made["eventtime"] = time(made["eventtime"])
    made["useridentity_json"] = made["useridentity"]
    for flag in ("readonly", "managementevent"):
        made[flag] = (made[flag] or "").lower() or None
    for column, decoder in (("resources", RESOURCES), ("tlsdetails", TLS)):
        if not fits(made[column] or "null", decoder):
            unmodelled[FIELDS[column]] = made[column] or "null"
    made["unmodelled"] = json_object(unmodelled) if unmodelled else None
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
