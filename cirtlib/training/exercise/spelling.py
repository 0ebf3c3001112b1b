"""What a learner typed, brought into one spelling: ARN or name, key with spaces, local time, the start of an event id.

What cannot be understood is explained, never counted as a wrong answer.
"""

import ipaddress
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from cirtlib.errors import TrainingError
from cirtlib.text import visible
from cirtlib.training.exercise.record import Record

_SESSION = re.compile(r"arn:aws[\w-]*:sts::(\d{12}):(assumed-role|federated-user)/([^/]+)(?:/.*)?", re.IGNORECASE)
_PRINCIPAL = re.compile(r"arn:aws[\w-]*:iam::(\d{12}):(user|role)/(.+)|arn:aws[\w-]*:iam::(\d{12}):root", re.IGNORECASE)
_KEY = re.compile(r"A(?:KIA|SIA)[A-Z0-9]{13,124}")
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d")
_CONTROL = re.compile(r"([A-Za-z][A-Za-z0-9]*)[.\s](\d+)")
_CLOCK = re.compile(r"\d{1,2}[:.h]\d{2}")
_NAMED = 5  # candidates that a message names
MARKS = "\"'`<>«»“”\u2018\u2019 \t\r\n"
_BETWEEN = ",_' \u2019"  # what stands between thousands
_NUMBER = re.compile(
    rf"(?:about|~|≈)? ?(?P<minus>[-\u2212\ufe63\uff0d])? ?(?P<whole>[\d{_BETWEEN}]*)(?P<rest>\.\d+)?(?: ?[A-Za-z%]+)?"
)
_WHOLE = re.compile(rf"\d*|(?!0)\d{{1,3}}(?:[{_BETWEEN}]\d{{3}})+")
_LEAST = 8  # characters of an event id's start that notebooks show


class Unclear(TrainingError):  # noqa: N818 - no fault: it is told to the learner
    """An answer that cannot be understood; the message says what is."""


def canonical(kind: str, text: str, record: Record) -> str:
    """The one spelling of an answer of this kind.

    Raises
    ------
    Unclear
        when the text cannot be one.
    """
    plain = text.strip(f"{MARKS}.,;")
    if kind == "number" and plain:  # .5 is no 5
        plain = text.strip(MARKS).rstrip(f"{MARKS}.,;")
    if not plain:
        raise Unclear("the answer is empty")
    if len(plain) > 2000:
        raise Unclear("the answer is longer than any right one can be; give only what is asked for")
    return _KINDS[kind](plain, record)


def instant(text: str) -> datetime:
    """Time that a learner typed: ISO 8601 with `Z`, `UTC` or an offset; UTC when it says nothing else.

    Raises
    ------
    Unclear
        when it is none, has no date, or names a zone by a word.
    """
    plain = re.sub(r"\s*(?:UTC|GMT|Z)$", "+00:00", text.strip(MARKS), flags=re.IGNORECASE)
    plain = re.sub(r"(\d)\s+([+-]\d{2}:?\d{2})$", r"\1\2", plain)
    try:
        found = datetime.fromisoformat(plain)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except OverflowError:  # in UTC before the year 1 or after 9999
        raise Unclear(f"{visible(text)!r} is a time at the end of the calendar; is the year right?") from None
    except ValueError:
        wanted = "write it as 2026-01-31T14:05:09Z, or with an offset such as 2026-01-31 15:05:09+01:00"
        if _CLOCK.fullmatch(plain) or re.fullmatch(r"\d{1,2}:\d{2}:\d{2}(?:\+00:00)?", plain):
            raise Unclear(f"{visible(text)!r} is a time without a date; {wanted}") from None
        if re.search(r"\d\s*[A-Za-z]{3,5}$", plain):
            raise Unclear(f"{visible(text)!r} names a time zone by a word that can mean several; {wanted}") from None
        raise Unclear(f"{visible(text)!r} is not a time; {wanted}") from None


def _principal(text: str, record: Record) -> str:
    known = _principals(record)
    if session := _SESSION.fullmatch(text):
        account, what, name = session[1], session[2].lower(), session[3]
        wanted = "role" if what == "assumed-role" else "user"
        found = [arn for arn in known if _is(arn, wanted, name) and f":{account}:" in arn]
        return _one(found, text) if found else f"arn:aws:iam::{account}:{wanted}/{name}"
    if arn := _PRINCIPAL.fullmatch(text):
        if arn[4]:
            return f"arn:aws:iam::{arn[4]}:root"
        name = arn[3].rsplit("/", 1)[-1]
        found = [one for one in known if _is(one, arn[2].lower(), name) and f":{arn[1]}:" in one]
        return _one(found, text) if found else f"arn:aws:iam::{arn[1]}:{arn[2].lower()}/{arn[3]}"
    named = re.fullmatch(r"(?:(user|role|assumed-role)\s*[/:\s]\s*)?(.+)", text, re.IGNORECASE)
    kind, name = (named[1] or "", named[2]) if named else ("", text)
    for part in (name, *name.split("/")):
        found = [one for one in known if part and _is(one, {"user": "user"}.get(kind.lower(), ""), part)]
        if found:
            return _one(found, text)
    if roles := _opened_under(text, record):
        return _one(roles, text)
    wanted = "give an ARN, or a name as it stands in a record"
    raise Unclear(f"no user or role of these accounts is called {visible(text)!r}; {wanted}")


def _is(arn: str, kind: str, name: str) -> bool:
    return arn.rsplit("/", 1)[-1].lower() == name.lower() and (not kind or f":{kind}/" in arn)


def _one(found: list[str], text: str) -> str:
    if len(found) > 1:
        named = ", ".join(found[:_NAMED]) + (" …" if len(found) > _NAMED else "")
        raise Unclear(f"{visible(text)!r} names {len(found)} of them: {visible(named)}; give the ARN of one")
    return found[0]


def _opened_under(name: str, record: Record) -> list[str]:
    """ARNs of the roles that have a session of this name."""
    found = set()
    for event in record.events.values():
        identity = event["userIdentity"]
        if identity.get("type") == "AssumedRole" and identity["arn"].rsplit("/", 1)[-1].lower() == name.lower():
            found.add(identity["sessionContext"]["sessionIssuer"]["arn"])
    return sorted(found)


def _principals(record: Record) -> list[str]:
    """ARNs of all users and roles that the accounts hold or a record names."""
    states = [content for state in (record.before, record.after) for content in state["accounts"].values()]
    known = {thing["Arn"] for content in states for thing in (*content["users"], *content["roles"])}
    for event in record.events.values():
        identity = event["userIdentity"]
        known.add(identity.get("sessionContext", {}).get("sessionIssuer", {}).get("arn") or identity.get("arn") or "")
    return sorted(arn for arn in known if ":iam::" in arn)


def _access_key(text: str, _record: Record) -> str:
    plain = re.sub(r"[\s-]", "", text).upper()
    if not _KEY.fullmatch(plain):
        raise Unclear(f"{visible(text)!r} is no access key id; one begins with AKIA or ASIA and has 20 characters")
    return plain


def _address(text: str, _record: Record) -> str:
    plain = text.removesuffix("/32").removesuffix("/128").strip("[]")
    try:
        return str(ipaddress.ip_address(plain))
    except ValueError:
        raise Unclear(
            f"{visible(text)!r} is no IP address; give one such as 192.0.2.10, without port or network"
        ) from None


def _time(text: str, _record: Record) -> str:
    return instant(text).isoformat()


def _event(text: str, record: Record) -> str:
    plain = text.lower().strip("…. ")
    if _GUID.fullmatch(plain):
        return plain
    found = {event for event, _ in record.events if event.lower().startswith(plain)} if len(plain) >= _LEAST else set()
    if len(found) == 1:
        return found.pop()
    raise Unclear(
        f"{visible(text)!r} is no event id of these logs; give the eventID of a record, or its first 8 characters"
    )


def _account(text: str, _record: Record) -> str:
    plain = re.sub(r"[\s-]", "", text)
    found = re.search(r"(?<!\d)\d{12}(?!\d)", plain)
    if not found:
        raise Unclear(f"{visible(text)!r} is no account id; one has 12 digits")
    return found[0]


def _region(text: str, _record: Record) -> str:
    plain = text.lower().replace("_", "-")
    if not _REGION.fullmatch(plain):
        raise Unclear(f"{visible(text)!r} is no Region's code; give one such as eu-central-1")
    return plain


def _resource(text: str, _record: Record) -> str:
    """Last part of an ARN, or the id or name itself."""
    plain = text.removeprefix("s3://").rstrip("/")
    last = re.split(r"[/:]", plain)[-1] if plain.startswith("arn:") else plain
    return last.lower()


def _instance(text: str, record: Record) -> str:
    plain = _resource(text, record)
    if not re.fullmatch(r"i-[0-9a-f]{8,17}", plain):
        raise Unclear(f"{visible(text)!r} is no instance id; one is i- and 8 or 17 hexadecimal digits")
    return plain


def _bucket(text: str, _record: Record) -> str:
    return text.lower().removeprefix("arn:aws:s3:::").removeprefix("s3://").split("/")[0]


def _control(text: str, _record: Record) -> str:
    found = _CONTROL.search(text.rsplit("/", 1)[-1])
    if not found:
        raise Unclear(f"{visible(text)!r} is no control of Security Hub; give its id, such as Config.1")
    return f"{found[1].upper()}.{int(found[2])}"


def _call(text: str, record: Record) -> str:
    """Name of an API call as the records write it, whatever stands before it."""
    plain = re.split(r"[:\s.]", text)[-1].lower()
    return next((one["eventName"] for one in record.events.values() if one["eventName"].lower() == plain), plain)


def _number(text: str, _record: Record) -> str:
    found = _NUMBER.fullmatch(" ".join(text.split()))
    whole, rest = (found["whole"].strip(), found["rest"] or "") if found else ("", "")
    if not found or not re.search(r"\d", whole + rest):
        raise Unclear(f"{visible(text)!r} is no number; give digits alone")
    if not _WHOLE.fullmatch(whole):
        raise Unclear(
            f"{visible(text)!r} can be read in several ways; write a point before decimals, as 2.5, and thousands as "
            "1234 or 1,234"
        )
    number = float(re.sub(f"[{_BETWEEN}]", "", whole) + rest)
    number = -number if found["minus"] else number
    return str(int(number) if number.is_integer() else number)


def _text(text: str, _record: Record) -> str:
    return " ".join(text.casefold().split())


_KINDS: dict[str, Callable[[str, Record], str]] = {
    "principal": _principal,
    "access_key": _access_key,
    "address": _address,
    "time": _time,
    "event": _event,
    "account": _account,
    "region": _region,
    "resource": _resource,
    "instance": _instance,
    "bucket": _bucket,
    "control": _control,
    "call": _call,
    "choice": _text,
    "number": _number,
    "text": _text,
}
KINDS = tuple(_KINDS)


def parts(given: Any) -> list[str]:  # noqa: ANN401 - whatever a file or a notebook holds
    """Answers of a set: a list, or a text with commas, semicolons, line ends, or spaces between ids."""
    if isinstance(given, list | tuple | set):
        return [str(one) for one in given if str(one).strip()]
    text = str(given).strip()
    text = text[1:-1] if text.startswith("[") and text.endswith("]") else text  # a list as answers.yaml has it
    found = [one.strip() for one in re.split(r"[,;\n]+", text) if one.strip(MARKS)]
    return [word for one in found for word in (one.split() if _ids(one) else [one])]


def _ids(text: str) -> bool:
    """Whether every word of a text is an ARN, a key, an address or an id: then spaces stand between them."""
    words = text.split()
    return len(words) > 1 and all(re.search(r"\d.*\d|:", word) for word in words)
