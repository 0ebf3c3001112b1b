"""Whether log files are what CloudTrail delivered, told by its signed digest files: the answer of `cirt verify`.

The algorithm is the documented one of `aws cloudtrail validate-logs`, and goes further where a case can be of less than
AWS's own bucket: copies without signatures, several missing digests in a row, log files that no digest names.

Source: AWS CloudTrail user guide, "Validating CloudTrail log file integrity", "CloudTrail digest file structure".
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cirtlib import evidence
from cirtlib.case import Case
from cirtlib.digest import chain, files
from cirtlib.digest.chain import FALSE, UNPROVEN, Judged
from cirtlib.digest.files import Collected, LogFile
from cirtlib.digest.keys import Keyring, PublicKey, read
from cirtlib.errors import EvidenceError
from cirtlib.sources import public_keys
from cirtlib.store import tally

COLUMNS = ("kind", "account", "region", "trail", "name", "start", "end", "verdict", "reason")

# What proves that evidence was removed or altered; and what keeps it from being proven whole.
FAULTS = (chain.LOG_MISSING, chain.LOG_CHANGED, chain.DIGEST_CHANGED, chain.SIGNATURE_INVALID)
LACKS = (
    chain.DIGEST_MISSING, chain.UNNAMED, chain.OUTSIDE, chain.OFF, chain.UNSIGNED, chain.NO_KEY, chain.UNCHECKED,
)  # fmt: skip
STOPPED = chain.STOPPED
_ORDER = (*FAULTS, *LACKS, STOPPED, chain.VALID)
# The name of a log file tells its delivery to the minute, and late ones are named by an earlier time.
_SLACK = timedelta(hours=2)
Row = tuple[Any, ...]


def validate(
    case: Case,
    *,
    keys: Iterable[PublicKey] = (),
    start: datetime | None = None,
    end: datetime | None = None,
) -> pd.DataFrame:
    """Validate the digest files of a case, and the log files that they name.

    Parameters
    ----------
    keys
        Public keys in addition to those that were collected; `cirtlib.digest.keys.read_file` reads them.
    start, end
        Only what overlaps this time.

    Returns
    -------
    DataFrame
        One row for each digest file, log file named in one, digest that is missing and time without digests. kind:
        digest, log or gap; account, region, trail; name; start, end: the digest's time, or the log file's delivery;
        verdict: see `FAULTS`, `LACKS`, else `valid` or `logging stopped`; reason in words. Newest first, by account,
        Region and trail. Empty when there are no digest files.
    """
    entries = tally.standing(evidence.entries(case))
    found = files.collected(case, entries)
    ring = Keyring((*keys, *_collected_keys(case, entries)))
    times = _deliveries(found)
    work = _Work(case, found)
    rows: list[Row] = []
    for group, own in sorted(found.digests.items()):
        judged = chain.judge(files.load(case, own), ring)
        roots = {one.digest.root for one in judged}
        delivered = sorted({at for root in roots for at in times.get((root, *group[:2]), ())})
        rows += work.rows(group, judged, delivered)
    rows += work.unnamed()
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    for column in ("start", "end"):
        frame[column] = pd.to_datetime(frame[column], utc=True).dt.as_unit("us")
    if start is not None:
        frame = frame[frame["end"].isna() | (frame["end"] >= start)]
    if end is not None:
        frame = frame[frame["start"].isna() | (frame["start"] <= end)]
    return frame.reset_index(drop=True)


def _collected_keys(case: Case, entries: list[dict[str, Any]]) -> Iterator[PublicKey]:
    """Public keys that are among the evidence; a file of them that cannot be read gives none."""
    for entry in entries:
        if entry.get("other") == public_keys.KIND and entry["object"]:
            try:
                yield from read(evidence.load(case, entry["object"]), (entry.get("facts") or {}).get("region"))
            except (ValueError, EvidenceError):
                continue


def _deliveries(found: Collected) -> dict[tuple[str, str, str], list[datetime]]:
    """Times of delivery by the folder that holds CloudTrail/, account and Region."""
    times: dict[tuple[str, str, str], list[datetime]] = defaultdict(list)
    for copies in found.logs.values():
        for log in copies:
            times[log.root, log.account, log.region].append(log.at)
    return times


class _Work:
    """Log files of a case, while digests that name them are gone through."""

    def __init__(self, case: Case, found: Collected) -> None:
        self.case, self.found = case, found
        self.contents: dict[str, tuple[str, str]] = {}  # original -> SHA-256 of what is inside, fault
        self.named: set[str] = set()
        self.times: dict[tuple[str, str, str], list[tuple[datetime, datetime]]] = defaultdict(list)
        self.first: dict[tuple[str, str], date] = {}
        for copies in found.logs.values():
            for log in copies:
                self._from(log.account, log.region, log.at)

    def _from(self, account: str, region: str, at: datetime) -> None:
        """Note the first day from which anything was collected."""
        self.first[account, region] = min(at.date(), self.first.get((account, region), at.date()))

    def rows(self, group: files.Group, judged: list[Judged], delivered: list[datetime]) -> Iterator[Row]:
        """Rows of the digests of one group, of their log files, and of the gaps between them."""
        account, region, trail, _ = group
        for one in judged:
            self._from(account, region, one.digest.end)
        for one in judged:
            digest = one.digest
            yield "digest", account, region, trail, digest.name, one.start, digest.end, one.verdict, one.reason
            if one.trust != FALSE and not digest.backfill:
                self.times[digest.root, account, region].append((one.start, digest.end))
            for log in digest.logs:
                yield from self._log(group, one, log)
        for gap in chain.gaps(judged, delivered):
            kind = "digest" if gap.name else "gap"
            yield kind, account, region, trail, gap.name, gap.start, gap.end, gap.verdict, gap.reason

    def _log(self, group: files.Group, by: Judged, log: dict[str, Any]) -> Iterator[Row]:
        """A row for every version of a log file that a digest names, or for its absence."""
        account, region, trail, _ = group
        name = files.plain(str(log.get("s3Object") or ""))
        base, at = files.last(name), files.delivered(name)
        self.named.add(base)
        entries = {entry["object"]: entry for entry in self.found.named(base)}
        found = [self._compare(entry, log) for entry in entries.values()]
        for verdict, reason in found or [self._missing(account, region, at)]:
            yield "log", account, region, trail, name, at, at, *_weighed(by, verdict, reason, at)

    def _missing(self, account: str, region: str, at: datetime | None) -> tuple[str, str]:
        """Verdict on a file that is not there: its day may not have been collected at all."""
        first = self.first.get((account, region))
        if at is not None and first is not None and at.date() < first:
            return chain.UNCHECKED, f"delivered before the first day that was collected, {first}"
        return chain.LOG_MISSING, "a digest names it, and it is not there"

    def _compare(self, entry: dict[str, Any], log: dict[str, Any]) -> tuple[str, str]:
        original = entry["object"]
        if not original:
            why = "; ".join(str(one["reason"]) for one in entry.get("rejections") or ())
            return chain.UNCHECKED, f"it could not be read when it was collected: {why}"
        if not evidence.original(self.case, original).is_file():
            return chain.UNCHECKED, "its original is not in the case"
        if original not in self.contents:
            self.contents[original] = files.inflated(self.case, original)
        content, fault = self.contents[original]
        if content == log.get("hashValue"):
            return chain.VALID, f"its content is whole, though {fault}" if fault else ""
        return chain.LOG_CHANGED, fault or "its content is not what the digest says"

    def unnamed(self) -> Iterator[Row]:
        """Log files that were delivered while digests were, and that none names."""
        spans = {where: _merged(times) for where, times in self.times.items()}
        lost = [
            log
            for base, copies in self.found.logs.items()
            if base not in self.named
            for log in copies[:1]
            if _inside(log, spans.get((log.root, log.account, log.region), ()))
        ]
        why = "delivered while digests were, and none names it: put there by somebody, or by a trail without digests"
        for log in sorted(lost, key=lambda one: (one.account, one.region, one.at), reverse=True):
            yield "log", log.account, log.region, "", log.entry["name"], log.at, log.at, chain.UNNAMED, why


def _weighed(by: Judged, verdict: str, reason: str, at: datetime | None) -> tuple[str, str]:
    """Verdict on a log file, given the digest that names it and the time of delivery."""
    if by.trust == FALSE:
        return chain.UNCHECKED, f"named by a digest that is not valid ({by.verdict}){f'; {reason}' if reason else ''}"
    if verdict != chain.VALID or reason:
        return verdict, reason
    if at is not None and not by.digest.backfill and not by.start - _SLACK <= at <= by.digest.end:
        return (
            chain.OUTSIDE,
            f"delivered {at:%Y-%m-%dT%H:%MZ}, named by the digest of {by.digest.end:%Y-%m-%dT%H:%M:%SZ}",
        )
    return chain.VALID, f"as a digest says that is itself not proven ({by.verdict})" if by.trust == UNPROVEN else ""


def _merged(times: list[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Times that touch or overlap made one."""
    made: list[tuple[datetime, datetime]] = []
    for start, end in sorted(times):
        if made and start <= made[-1][1]:
            made[-1] = (made[-1][0], max(end, made[-1][1]))
        else:
            made.append((start, end))
    return made


def _inside(log: LogFile, spans: Iterable[tuple[datetime, datetime]]) -> bool:
    """Whether a log file, and the hour in which a digest would have named it, lie inside a time that digests cover.

    One of the very minute in which that time begins may stand in the digest before, which is not there.
    """
    return any(start < log.at and log.at + chain.HOUR <= end for start, end in spans)


def verdicts(case: Case) -> pd.DataFrame:
    """What the last `cirt verify` found (evidence/digests.parquet) if nothing was collected since, else `validate`."""
    file = _kept(case)
    if file.is_file():
        schema = pq.read_schema(file)
        if (schema.metadata or {}).get(b"evidence") == _mark(case):
            return pq.read_table(file).to_pandas()
    return fresh(case)


def fresh(case: Case, *, keys: Iterable[PublicKey] = ()) -> pd.DataFrame:
    """As `validate` for the whole case; what is found is kept for `verdicts`."""
    frame = validate(case, keys=keys)
    columns = {name: _column(frame[name]) for name in COLUMNS}
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table(columns, metadata={b"evidence": _mark(case)}), buffer)
    with suppress(OSError):  # evidence that may only be read is verified all the same
        evidence.write(_kept(case), buffer.getvalue().to_pybytes())
    return frame


def _kept(case: Case) -> Path:
    return case.evidence / "digests.parquet"


def _column(values: pd.Series) -> pa.Array:
    kind = pa.timestamp("us", tz="UTC") if values.name in {"start", "end"} else pa.string()
    return pa.array([None if pd.isna(value) else value for value in values], kind)


def _mark(case: Case) -> bytes:
    return json.dumps(evidence.head(case)).encode()


def doubtful(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows whose verdict is not `valid`, worst first."""
    rank = {verdict: number for number, verdict in enumerate(_ORDER)}
    rows = frame[~frame["verdict"].eq(chain.VALID)]
    return rows.sort_values("verdict", key=lambda column: column.map(rank), kind="stable").reset_index(drop=True)


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Counts by verdict, worst first: columns verdict, digests, logs, gaps."""
    counts = Counter(zip(frame["verdict"], frame["kind"], strict=True))
    rows = [
        (verdict, *(counts[verdict, kind] for kind in ("digest", "log", "gap")))
        for verdict in _ORDER
        if any(counts[verdict, kind] for kind in ("digest", "log", "gap"))
    ]
    return pd.DataFrame(rows, columns=["verdict", "digests", "logs", "gaps"])
