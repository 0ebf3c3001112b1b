"""When a session of generated records ends, by the record that issued it, and what is used after that."""

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Any

Json = dict[str, Any]
CONSOLE = dt.timedelta(hours=12)  # of an IAM user; a role's lasts as long as the role session behind it
PERMISSION_SET = dt.timedelta(hours=8)


def late(records: Iterable[Json]) -> Iterator[str]:
    """Yield each use of a session before it was issued or after it expired.

    The expiry is that of the issuing record: by key, or for a console session of a role, whose requests have keys of
    their own, by the session's ARN and its creation.
    """
    known = list(records)
    keys: dict[str, tuple[dt.datetime, dt.datetime]] = {}
    sessions: dict[tuple[str, str], tuple[dt.datetime, dt.datetime]] = {}
    for record in known:
        answer = record.get("responseElements") or {}
        given = answer.get("credentials") or {}
        if given.get("accessKeyId"):
            span = moment(record["eventTime"]), human(given["expiration"])
            keys[given["accessKeyId"]] = span
            if record["eventName"] == "AssumeRoleWithSAML":
                sessions[answer["assumedRoleUser"]["arn"], record["eventTime"]] = span
    for record in known:
        span = _span(record["userIdentity"], keys, sessions)
        if span and not span[0] <= moment(record["eventTime"]) < span[1]:
            issued, expires = (f"{one:%dT%H:%M:%S}" for one in span)
            who = record["userIdentity"].get("arn")
            yield f"{record['eventTime']} {record['eventName']} by {who}: {issued} to {expires}"


def _span(
    who: Json,
    keys: dict[str, tuple[dt.datetime, dt.datetime]],
    sessions: dict[tuple[str, str], tuple[dt.datetime, dt.datetime]],
) -> tuple[dt.datetime, dt.datetime] | None:
    created = who.get("sessionContext", {}).get("attributes", {}).get("creationDate")
    key = who.get("accessKeyId") or ""
    if key in keys:
        return keys[key]
    if created and who.get("type") == "IAMUser":
        return moment(created), moment(created) + CONSOLE
    if created and "AWSReservedSSO_" in who.get("arn", ""):  # for the command line: no record tells its key
        begin = moment(created)
        return sessions.get((who["arn"], created), (begin, begin + PERMISSION_SET))
    return None


def moment(text: str) -> dt.datetime:
    """Read a record's time."""
    return dt.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=dt.UTC)


def human(text: str) -> dt.datetime:
    """Read the expiry as STS tells it in a record: `Jun 3, 2026, 1:02:03 PM`."""
    return dt.datetime.strptime(text, "%b %d, %Y, %I:%M:%S %p").replace(tzinfo=dt.UTC)
