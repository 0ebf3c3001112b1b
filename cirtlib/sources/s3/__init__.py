"""Evidence in a bucket of S3, found from an address alone.

`{s3: "s3://bucket/prefix/"}` reads what CloudTrail or GuardDuty delivered there, wherever the prefix stands in their
layout (`layout`); a bucket that is laid out otherwise is read whole. `account` names the account whose role opens the
bucket, where that is not the case's own credentials.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cirtlib.case import Case
from cirtlib.errors import CaseError
from cirtlib.sources import Blob, Known, Place, Slice
from cirtlib.sources.s3 import layout

if TYPE_CHECKING:
    from cirtlib.sources.s3.reading import Ref

__all__ = ["place"]


def place(case: Case, kind: str, options: dict[str, Any]) -> Place:
    """What lies at one address of S3.

    Raises
    ------
    CaseError
        when the address is none, or an option is not known.
    """
    further = sorted(set(options) - {"s3", "account"})
    if further:
        raise CaseError(f"source {kind}: unknown option {', '.join(further)}; known are s3 and account")
    try:
        bucket, prefix = layout.parse(str(options["s3"]))
    except CaseError as error:
        raise CaseError(f"source {kind}: {error}") from None
    account = options.get("account")
    if account is not None and not (isinstance(account, str) and layout.is_account(account)):
        raise CaseError(f"source {kind}: account {account!r} should be 12 digits, in quotes")

    def read(known: Known) -> Iterator[Blob | Slice]:
        return _read(case, kind, (bucket, prefix, account), known)

    # The bucket alone: a key is one object of it, however many sources name a prefix above it.
    return Place(kind, f"s3://{bucket}", read)


def _read(case: Case, kind: str, where: tuple[str, str, str | None], known: Known) -> Iterator[Blob | Slice]:
    """Every object that is new, as it arrives; then how each listing ended."""
    # Loaded here: boto3 and obstore cost as much as a small collect from a folder.
    from cirtlib.aws import Aws  # noqa: PLC0415
    from cirtlib.sources.s3.bucket import Bucket  # noqa: PLC0415
    from cirtlib.sources.s3.listing import Inventory  # noqa: PLC0415
    from cirtlib.sources.s3.reading import fetch  # noqa: PLC0415

    name, prefix, account = where
    bucket = Bucket(name, Aws(case.access), account)
    inventory = Inventory(bucket, prefix, layout.wanted(case, kind))
    yield from fetch(bucket, _new(inventory.refs(), known), known.scratch)
    yield from inventory.slices()


def _new(refs: "Iterator[Ref]", known: Known) -> "Iterator[Ref]":
    for ref in refs:
        if not known.has(ref.key, ref.mark):
            known.expect(1, ref.size)
            yield ref
