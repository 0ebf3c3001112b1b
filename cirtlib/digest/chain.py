"""Verdicts on the digest files of one trail in one account and Region: backwards through their chain, and through gaps.

A digest is signed: the signature is metadata of its S3 object, and stands in the next digest too, beside the hash of
its content. So a copy that has lost the metadata is proven by its successor; only the last one stays an unsigned copy.

Source: AWS CloudTrail user guide, "CloudTrail digest file structure" (starting, empty, backfill digests; the chain),
"Validating CloudTrail log file integrity" (the final digest after logging was stopped) and "Custom implementations of
CloudTrail log file integrity validation" (the text that is signed).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from cirtlib.digest import keys
from cirtlib.digest.files import Digest, last, moment
from cirtlib.digest.keys import Keyring

VALID, LOG_MISSING, LOG_CHANGED = "valid", "log missing", "log changed"
DIGEST_MISSING, DIGEST_CHANGED, SIGNATURE_INVALID = "digest missing", "digest changed", "signature invalid"
UNSIGNED, NO_KEY, OUTSIDE = "unsigned copy", "no public key", "outside the digest's time"
UNNAMED, UNCHECKED, STOPPED, OFF = "not in any digest", "not checked", "logging stopped", "validation off"

# How far what a digest says can be relied on.
PROVEN, UNPROVEN, FALSE = "proven", "unproven", "false"

HOUR = timedelta(hours=1)
_NAMED = 1_000  # missing digests in a row that are named one by one
_NEEDED = ("digestStartTime", "digestEndTime", "digestS3Bucket", "digestS3Object", "digestPublicKeyFingerprint")


@dataclass(frozen=True)
class Judged:
    """A digest file, the verdict on it, why, and how far its content can be relied on."""

    digest: Digest
    verdict: str
    reason: str
    trust: str

    @property
    def start(self) -> datetime:
        """Beginning of its time; a digest that cannot be relied on answers for the usual hour."""
        said = None if self.trust == FALSE else self.digest.start
        return said if said is not None and said < self.digest.end else self.digest.end - HOUR


@dataclass(frozen=True)
class Gap:
    """A digest that is missing, or (name is '') a time without digests: start, end, verdict, reason."""

    name: str
    start: datetime
    end: datetime
    verdict: str
    reason: str


@dataclass(frozen=True)
class _Statement:
    """What a digest says of the one before it: hash of its content, and its signature."""

    by: Judged
    content: str
    signature: str


def judge(digests: Iterable[Digest], ring: Keyring) -> list[Judged]:
    """Verdicts on digest files of one group, newest first."""
    digests = list(digests)
    used = {digest.text("digestPublicKeyFingerprint") for digest in digests}
    said: dict[str, list[_Statement]] = defaultdict(list)
    found = []
    for digest in sorted(digests, key=lambda one: (one.end, one.base, one.content), reverse=True):
        own = [one for one in said[digest.base] if _same_bucket(one.by.digest, digest)] or said[digest.base]
        judged = Judged(digest, *_verdict(digest, own, ring, used))
        found.append(judged)
        if previous := digest.text("previousDigestS3Object"):
            statement = _Statement(
                judged, digest.text("previousDigestHashValue"), digest.text("previousDigestSignature")
            )
            said[last(previous)].append(statement)
    return found


def _same_bucket(later: Digest, digest: Digest) -> bool:
    return later.text("previousDigestS3Bucket") == digest.text("digestS3Bucket")


def _verdict(digest: Digest, said: list[_Statement], ring: Keyring, used: set[str]) -> tuple[str, str, str]:
    """Verdict, reason and trust of one digest, given what later digests say of it."""
    if fault := _malformed(digest):
        return DIGEST_CHANGED, fault, FALSE
    differing = {one.by.trust: one.by.digest.base for one in said if one.content and one.content != digest.content}
    if PROVEN in differing:
        return DIGEST_CHANGED, f"its content is not what the next digest ({differing[PROVEN]}) has signed", FALSE
    found = _by_signature(digest, said, ring, used)
    if UNPROVEN in differing and found[2] != PROVEN:
        return DIGEST_CHANGED, f"its content is not what the next digest ({differing[UNPROVEN]}) says", FALSE
    return found


def _by_signature(digest: Digest, said: list[_Statement], ring: Keyring, used: set[str]) -> tuple[str, str, str]:
    """As `_verdict`, by the signature beside the digest and the one that the next digest holds."""
    own = _check(digest, digest.signature, ring)
    lent = [(_check(digest, one.signature, ring), one.by) for one in said if one.signature]
    proven = any(result == keys.GOOD for result, _ in lent)
    if own == keys.BAD:
        why = "is not its own; the next digest holds the right one" if proven else "does not fit content, name and time"
        return SIGNATURE_INVALID, f"the signature beside it {why}", PROVEN if proven else FALSE
    if own == keys.GOOD or proven:
        return *_in_time(digest), PROVEN
    if keys.UNKNOWN in {own, *(result for result, _ in lent)}:
        return _of_unknown_key(digest, foreign=ring.covers(digest.group[1], digest.end, used))
    return _unsigned(lent)


def _of_unknown_key(digest: Digest, *, foreign: bool) -> tuple[str, str, str]:
    """Verdict, reason and trust of a digest whose public key is not known; a backfill has the key of a later time."""
    fingerprint = digest.text("digestPublicKeyFingerprint")[:64]
    if foreign and not digest.backfill:
        why = f"signed with a key ({fingerprint}) that CloudTrail did not use in this Region at this time"
        return SIGNATURE_INVALID, why, FALSE
    return NO_KEY, f"the public key {fingerprint} is not known: collect it, or give --keys FILE", UNPROVEN


def _unsigned(lent: list[tuple[str | None, Judged]]) -> tuple[str, str, str]:
    """Verdict, reason and trust of a digest without a signature of its own, which no later digest proves."""
    if any(by.trust != FALSE for _, by in lent):
        return SIGNATURE_INVALID, "the signature that the next digest holds does not fit it", FALSE
    why = "the next digest, which would hold it, is false" if lent else "there is no next digest that would hold it"
    return UNSIGNED, f"the copy has lost its signature, and {why}", UNPROVEN


def _malformed(digest: Digest) -> str:
    """Why a file is no digest, or not the one its name says; '' when it is."""
    if digest.fault:
        return f"it cannot be read: {digest.fault}"
    if lacking := [name for name in _NEEDED if not digest.text(name)]:
        return f"it has no {', '.join(lacking)}"
    inside = last(digest.text("digestS3Object"))
    return "" if inside == digest.base else f"it holds another digest, {inside[:200]}"


def _check(digest: Digest, signature: str | None, ring: Keyring) -> str | None:
    """Whether a signature is good, bad or of an unknown key; None when there is none."""
    if signature is None:
        return None
    text = digest.text
    signed = "\n".join(
        (
            text("digestEndTime"),
            f"{text('digestS3Bucket')}/{text('digestS3Object')}",
            digest.content,
            text("previousDigestSignature") or "null",
        )
    )
    return ring.check(signed.encode(), signature, text("digestPublicKeyFingerprint"))


def _in_time(digest: Digest) -> tuple[str, str]:
    """Verdict on a digest whose signature is good: whether its times are those of its name."""
    start, end = digest.start, moment(digest.text("digestEndTime"))
    if end == digest.end and start is not None and start < digest.end:
        return VALID, ""
    said = f"{digest.text('digestStartTime')[:40]} to {digest.text('digestEndTime')[:40]}"
    return OUTSIDE, f"its name says {digest.end:%Y-%m-%dT%H:%M:%SZ}, it says {said}"


def gaps(judged: list[Judged], logs: list[datetime]) -> Iterator[Gap]:
    """Digests that are missing, one for each hour, and times without any, in one group; `logs`: times of delivery."""
    regular = [one for one in judged if not one.digest.backfill]
    there = {one.digest.base for one in judged}
    for series in _series(regular):
        for newer, older in pairwise(series):
            yield from _between(newer, older, there, logs)
        yield from _before(series[-1], there, logs)
    if regular:
        yield from _after(max(one.digest.end for one in regular), logs)
    yield from _backfills(judged, there)


def _series(regular: list[Judged]) -> list[list[Judged]]:
    """Digests by the bucket that they were delivered to, newest first; what cannot be read joins the largest series."""
    found: dict[str, dict[datetime, Judged]] = defaultdict(dict)
    homeless = []
    for one in regular:
        bucket = one.digest.text("digestS3Bucket")
        if bucket and one.trust != FALSE:
            found[bucket].setdefault(one.digest.end, one)
        else:
            homeless.append(one)
    most = max(found, key=lambda bucket: len(found[bucket]), default="")
    for one in homeless:
        bucket = one.digest.text("digestS3Bucket")
        found[bucket if bucket in found else most].setdefault(one.digest.end, one)
    return [sorted(series.values(), key=lambda one: one.digest.end, reverse=True) for series in found.values()]


def _between(newer: Judged, older: Judged, there: set[str], logs: list[datetime]) -> Iterator[Gap]:
    """What lies between two digests that follow each other in a bucket."""
    start, end = older.digest.end, newer.start
    named = last(newer.digest.text("previousDigestS3Object"))
    if named in there or end - start < HOUR / 60:
        return
    if not named and newer.trust != FALSE:
        meanwhile = sum(start + HOUR / 4 < at <= end for at in logs)
        if meanwhile:
            why = f"no digests, yet {meanwhile:,} log files were delivered: validation was off; the chain starts anew"
            yield Gap("", start, end, OFF, why)
        else:
            why = "no digests and no log files: logging was stopped; the chain starts anew"
            yield Gap("", start, end, STOPPED, why)
        return
    count = max(1, round((end - start) / HOUR))
    key = newer.digest.text("previousDigestS3Object")
    if count > _NAMED:
        yield Gap(key, start, end, DIGEST_MISSING, f"{count:,} in a row, which are not named one by one")
        return
    for number in range(count):
        at = end - number * HOUR
        name = key if named and not number else _key_at(newer.digest, at)
        why = "the next digest names it" if named and not number else "no digest for this hour of the chain"
        yield Gap(name, max(start, at - HOUR), at, DIGEST_MISSING, f"{why}; {count} in a row" if count > 1 else why)


def _key_at(digest: Digest, at: datetime) -> str:
    """Key that the digest of another hour would have."""
    folder = (digest.text("digestS3Object") or digest.name).rpartition("/")[0].rsplit("/", 3)[0]
    return f"{folder}/{at:%Y/%m/%d}/{digest.base.rpartition('_')[0]}_{at:%Y%m%dT%H%M%SZ}.json.gz"


def _before(oldest: Judged, there: set[str], logs: list[datetime]) -> Iterator[Gap]:
    """The digest before the first one, if there is evidence of its time; else it was just not collected."""
    named = last(oldest.digest.text("previousDigestS3Object"))
    earlier = sum(at <= oldest.start - HOUR / 4 for at in logs)
    if named and named not in there and oldest.trust != FALSE and earlier:
        why = f"the next digest names it, and {earlier:,} log files from before are in no digest"
        key = oldest.digest.text("previousDigestS3Object")
        yield Gap(key, oldest.start - HOUR, oldest.start, DIGEST_MISSING, why)


def _after(end: datetime, logs: list[datetime]) -> Iterator[Gap]:
    """The time after the newest digest; one comes an hour later, and may itself be late by some time."""
    later = [at for at in logs if at > end]
    if later and max(later) > end + 2 * HOUR:
        why = (
            f"{len(later):,} log files were delivered after the newest digest: validation was off, or digests are gone"
        )
        yield Gap("", end, max(later), OFF, why)


def _backfills(judged: list[Judged], there: set[str]) -> Iterator[Gap]:
    """Backfill digests that a later one names; they follow no hours."""
    backfills = [one for one in judged if one.digest.backfill and one.trust != FALSE]
    for newer, older in pairwise(backfills):
        key = newer.digest.text("previousDigestS3Object")
        if key and last(key) not in there:
            yield Gap(key, older.digest.end, newer.start, DIGEST_MISSING, "a later backfill digest names it")
