"""Resources that the suspects of a case touched: those that the account snapshot asks about one by one."""

import re
from collections.abc import Iterator
from typing import Any

from cirtlib.case import Case
from cirtlib.errors import NotFoundError
from cirtlib.queries import sql
from cirtlib.standard import SUSPECTS, parameters

# Buckets, keys, functions and instances of one account and Region that are asked about; more are named as a gap.
MOST = 200
_EVENTS = """
SELECT DISTINCT account_id, region, event_source, request, response,
    transform(resources, r -> r.arn) AS arns
FROM events
WHERE (contains(:keys, access_key_id) OR contains(:principals, principal)
    OR (contains(:addresses, source_ip) AND source_ip_kind = 'public'))
    AND event_source IN ('s3.amazonaws.com', 'kms.amazonaws.com', 'lambda.amazonaws.com', 'ec2.amazonaws.com')
LIMIT 200000
"""
_MEMBERS = {"s3": ("bucket", "bucketName"), "kms": ("key", "keyId"), "lambda": ("function", "functionName")}
_ARN = re.compile(r"arn:[\w-]+:(s3|kms|lambda|ec2):([\w-]*):(\d*):(?:(key|function|instance)[/:])?([^/:]+)")
_SHAPE = {
    "bucket": re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"),
    "key": re.compile(r"(mrk-)?[0-9a-f-]{32,36}"),
    "function": re.compile(r"[\w-]{1,64}"),
    "instance": re.compile(r"i-[0-9a-f]{8,17}"),
}
_CONFIG = {"bucket": "AWS::S3::Bucket", "key": "AWS::KMS::Key", "function": "AWS::Lambda::Function"} | {
    "instance": "AWS::EC2::Instance"
}
Touched = dict[tuple[str, str], dict[str, list[str]]]


def touched(case: Case) -> Touched:
    """What the suspects' events name, by account and Region of the event; a bucket's Region is ''.

    Names by kind: bucket, key, function, instance; and resource, `type/name` of all of them, as AWS Config calls them.
    Empty when nothing is known yet.
    """
    try:
        given = parameters(case)
        rows = sql(case, _EVENTS, engine="local", **{name: given[name] for name in SUSPECTS if name != "instances"})
    except NotFoundError:  # nothing was collected before, and no window is set
        return {}
    found: dict[tuple[str, str], dict[str, set[str]]] = {}
    for row in rows.to_dict("records"):
        for account, region, kind, name in _named(row):
            if _SHAPE[kind].fullmatch(name):
                place = found.setdefault((account, "" if kind == "bucket" else region), {})
                place.setdefault(kind, set()).add(name)
                there = found.setdefault((account, region), {})
                there.setdefault("resource", set()).add(f"{_CONFIG[kind]}/{name}")
    return {place: {kind: sorted(names) for kind, names in kinds.items()} for place, kinds in found.items()}


def _named(row: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """(account, Region, kind, name) of what one event names; an ARN says itself where it lies."""
    account, region = str(row["account_id"]), str(row["region"])
    service = row["event_source"].partition(".")[0]
    asked, answer = str(row["request"] or ""), str(row["response"] or "")
    arns = row["arns"] if isinstance(row["arns"], list) else []
    for arn in [*filter(None, arns), *re.findall(r'"(arn:[^"]+)"', asked)]:
        if match := _ARN.match(arn):
            of, where, owner, kind, name = match.groups()
            kind = "bucket" if of == "s3" else kind
            if kind:
                yield owner or account, where or region, kind, name
    if service in _MEMBERS:
        kind, member = _MEMBERS[service]
        for name in re.findall(rf'"{member}":\s*"([^"]+)"', asked):
            yield account, region, kind, name
    elif service == "ec2":
        for name in re.findall(r'"instanceId":\s*"([^"]+)"', asked + answer):
            yield account, region, "instance", name
