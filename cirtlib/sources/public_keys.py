"""Public keys of CloudTrail's digest files, by ListPublicKeys: kept with the evidence, to verify it later.

CloudTrail signs with a key of each Region's own, the same for all accounts there; so each Region is asked once, in the
first account that answers. Source: AWS CloudTrail API Reference, ListPublicKeys.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from cirtlib.case import Case
from cirtlib.errors import AccessError, CaseError
from cirtlib.sources import Blob, Known, Place, Slice

if TYPE_CHECKING:
    from cirtlib.aws import Aws

WHERE = "public_keys"
KIND = "public keys"  # of the object, in the manifest
_YEARS = timedelta(days=730)  # back, where the case names no start: keys live long, and there are few


def place(case: Case, kind: str, options: Mapping[str, Any]) -> Place:
    """Public keys of the case's Regions, for its window and its baseline: `cloudtrail: {public_keys: true}`.

    Raises
    ------
    CaseError
        when the options are others.
    """
    if kind != "cloudtrail" or options.get("public_keys") is not True:
        raise CaseError(
            f"source {kind}: public_keys: {options.get('public_keys')!r} should be cloudtrail: {{public_keys: true}}"
        )
    return Place(kind, WHERE, partial(_read, case))


def _read(case: Case, known: Known) -> Iterator[Blob | Slice]:
    from cirtlib.aws import Aws, targets  # noqa: PLC0415 - boto3 costs as much as verifying a small case

    aws = Aws(case.access)
    now = datetime.now(UTC)
    start = case.window.start - timedelta(days=case.baseline_days) if case.window.start else now - _YEARS
    # Digests come an hour after what they answer for, and backfill digests later, with the key of their own time.
    end = min(now, case.window.end + timedelta(days=7)) if case.window.end else now
    accounts: dict[str, list[str]] = {}
    try:
        asked = targets(case, aws)
    except AccessError as error:  # a bucket may be readable where nothing else of AWS is
        yield Slice("ListPublicKeys", "failed", reason=str(error))
        return
    for account, regions in asked.items():
        for region in regions:
            accounts.setdefault(region, []).append(account)
    for region, able in sorted(accounts.items()):
        yield from _region(aws, known, region, able, (min(start, end), end))


def _region(
    aws: "Aws", known: Known, region: str, accounts: list[str], times: tuple[datetime, datetime]
) -> Iterator[Blob | Slice]:
    """Keys of one Region, and how asking for them ended."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    from cirtlib.aws import explain  # noqa: PLC0415

    start, end = (f"{time:%Y-%m-%dT%H:%M:%SZ}" for time in times)
    status, reason = "failed", "no account to ask"
    for account in accounts:
        try:
            found = _ask(aws, account, region, times)
        except (ClientError, BotoCoreError) as error:
            status, reason = explain(error)
            continue
        blob = _blob(account, region, found)
        if found and not known.has(blob.name, blob.mark):
            yield blob
        yield Slice(region, "read" if found else "empty", account, region, start, end, KIND)
        return
    yield Slice(region, status, accounts[0] if accounts else None, region, start, end, KIND, reason)


def _ask(aws: "Aws", account: str, region: str, times: tuple[datetime, datetime]) -> list[dict[str, Any]]:
    client = aws.client("cloudtrail", account=account, region=region)
    found: list[dict[str, Any]] = []
    token: dict[str, str] = {}
    while True:
        answer = client.list_public_keys(StartTime=times[0], EndTime=times[1], **token)
        found += answer.get("PublicKeyList", [])
        if not answer.get("NextToken"):
            return found
        token = {"NextToken": answer["NextToken"]}


def _blob(account: str, region: str, found: list[dict[str, Any]]) -> Blob:
    """The answer in the form in which the AWS CLI prints it."""
    rows = [
        {name: _printed(value) for name, value in one.items()}
        for one in sorted(found, key=lambda one: str(one.get("Fingerprint")))
    ]
    data = json.dumps({"PublicKeyList": rows}, indent=1).encode()
    facts = {"account": account, "region": region}
    return Blob(f"{region}/public-keys.json", data, mark=hashlib.sha256(data).hexdigest(), facts=facts, other=KIND)


def _printed(value: object) -> object:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, datetime) else value
