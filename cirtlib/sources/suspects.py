"""The suspects' slice of a table of CloudTrail records on another engine, for three queries however deep the chain is.

1. What issues credentials in the window, and what the seeds name. From these the closed set is worked out here.
2. Everything in the window by, from or about the closed set.
3. The baseline: what the suspects' principals and addresses did before; over the window too, if 2 told of more of
   them.

Nothing joins the case before all of them are done. Answers that were paid for are kept until then, so that the next
collect goes on where one broke off.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
from sqlglot import exp

from cirtlib import queries, standard
from cirtlib.case import Case, Source
from cirtlib.engine.remote import PRICE
from cirtlib.errors import AccessError, CaseError, CirtError, DeniedError, NotFoundError
from cirtlib.sources import Blob, Known, Milestone, Place, Slice, slice_closure, slice_rows
from cirtlib.sources.slice_sql import MINTING, Suspects, bounded, query

SLICE, MINTS = "suspects", "credential-minting events"
# A session lasts 12 hours at most, and 36 with GetSessionToken: what is used in the window may have been issued before.
_LONGEST_SESSION = timedelta(hours=36)
Run = Callable[[Case, exp.Expression, dict[str, Any]], pd.DataFrame]
Span = tuple[datetime, datetime]


def place(case: Case, kind: str, options: Mapping[str, Any], how: str, run: Run | None = None) -> Place:
    """Table on the engine `how` (athena or trino), of which the suspects' slice is fetched.

    Parameters
    ----------
    run
        Runs a question on the engine and gives its rows, with `query_id` and `bytes_scanned` in `attrs`; default: the
        `run` of the engine's module.

    Raises
    ------
    CaseError
        when an option is missing or wrong, or the case has neither seed nor confirmed node.
    """
    asked = options.get(how)
    if kind != "cloudtrail" or not isinstance(asked, dict):
        raise CaseError(f"source {kind}: {how}: {asked!r} should be cloudtrail: {{{how}: {{table: ..., ...}}}}")
    if run is None:
        module = import_module(f"cirtlib.engine.{how}")
        module.place(asked)
        run = module.run
    if not case.seeds and not case.confirmed:
        raise CaseError(
            f"source cloudtrail: {how}: only what the suspects did is fetched, and the case has no seed; add one to "
            f"seeds in {case.path / 'case.yaml'}, or collect whole logs from s3"
        )
    names = [str(asked[name]) for name in ("catalog", "database", "schema", "table") if asked.get(name)]
    own = replace(case, sources=(Source(kind, dict(options)),))
    where = f"{how}:{'.'.join(names)}"
    return Place("cloudtrail", where, partial(_read, _Fetch(case, own, how, asked, run)), needs_store=True)


@dataclass
class _Fetch:
    """One slice on its way into the case."""

    case: Case
    own: Case  # with this source alone
    how: str
    options: dict[str, Any]
    run: Run
    say: Callable[[str], None] = print
    done: list[dict[str, Any]] = field(default_factory=list)  # what each query cost
    files: list[Path] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Where answers wait until all are there."""
        return self.case.evidence / "slice"


def _read(fetch: _Fetch, known: Known) -> Iterator[Blob | Slice | Milestone]:
    """The slice, unless neither seeds nor window have changed since it was last fetched."""
    fetch.say = known.say
    findings = queries.findings(fetch.case)
    try:
        window = standard.window(fetch.case)
    except NotFoundError:
        reason = (
            f"set window: {{start: ..., end: ...}} in {fetch.case.path / 'case.yaml'}: nothing tells what to ask for"
        )
        known.say(f"{fetch.how}: {reason}")
        yield Slice(SLICE, "failed", extent=SLICE, reason=reason)
        return
    given = slice_closure.named(fetch.case, findings)
    asked = _asked(fetch, given, window)
    last = known.slices.get(SLICE)
    if last and last.status in {"read", "empty"} and last.facts.get("asked") == asked:
        known.say(f"{fetch.how}: nothing new: seeds and window are those of the last collect")
        return
    start, end = (f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in window)
    _before(fetch, window)
    try:
        suspects, said = _fetch(fetch, given, window, known.scratch)
    except CirtError as error:
        status = "denied" if isinstance(error, DeniedError) else "failed"
        if isinstance(error, AccessError) and status == "failed":
            raise  # credentials that ran out end the collect; what was paid for waits for the next one
        waiting = f"; {len(fetch.done)} of 3 queries are done and will not be asked again" if fetch.done else ""
        reason = f"{error}; nothing of the slice is in the case yet: mend this and collect again{waiting}"
        known.say(f"{fetch.how}: {reason}")
        yield Slice(SLICE, status, start=start, end=end, extent=SLICE, reason=reason)
        return
    yield from _blobs(fetch)
    facts = {"asked": asked, "engine": fetch.how, "queries": fetch.done, "covered": suspects.as_dict()}
    rows = sum(one["rows"] for one in fetch.done)
    yield Slice(SLICE, "read" if rows else "empty", None, None, start, end, SLICE, said, facts)
    yield Milestone(f"{fetch.how}: {_after(fetch)}; what the suspects did is in the case")
    for file in fetch.folder.glob("*"):
        file.unlink()


def _asked(fetch: _Fetch, given: Suspects, window: Span) -> str:
    """Digest of all that decides what the slice is."""
    case = fetch.case
    parts = (
        given.as_dict(), list(map(str, slice_closure.seeds(case))), list(map(str, window)), case.baseline_days,
        case.accounts, case.regions, fetch.options,
    )  # fmt: skip
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _before(fetch: _Fetch, window: Span) -> None:
    """Say what will be asked for, and what it may cost."""
    first = window[0] - timedelta(days=fetch.case.baseline_days)
    limit = fetch.options.get("scan_limit_bytes")
    cost = f", each at most {limit:,} bytes ({_dollars(3 * limit)} for all)" if limit and fetch.how == "athena" else ""
    free = "" if limit else "; no scan_limit_bytes is set"
    fetch.say(
        f"{fetch.how}: at most 3 queries over {first:%Y-%m-%d} to {window[1]:%Y-%m-%d}, "
        f"{len(fetch.case.accounts) or 'all'} accounts, {len(fetch.case.regions) or 'all'} Regions{cost}{free}"
    )


def _after(fetch: _Fetch) -> str:
    scanned = sum(one["bytes_scanned"] for one in fetch.done)
    price = f", {_dollars(scanned)}" if fetch.how == "athena" else ""
    rows = sum(one["rows"] for one in fetch.done)
    return f"{len(fetch.done)} queries scanned {scanned:,} bytes{price} and gave {rows:,} rows"


def _dollars(size: int) -> str:
    return f"about USD {size / 1e12 * PRICE:.2f}"


def _fetch(fetch: _Fetch, given: Suspects, window: Span, scratch: Path) -> tuple[Suspects, str]:
    """Ask the three queries; the closed set, and in words what is not in the slice although it may belong to it."""
    said = []
    start, end = window
    shutil.rmtree(scratch / "slice", ignore_errors=True)
    _ask(fetch, "mints", query(MINTING, given, (start - _LONGEST_SESSION, end)))
    first = _closed(fetch, given, scratch)
    asked, less = bounded(first)
    said.append(less)
    _ask(fetch, "suspects", query((), asked, window))
    # from the seeds anew: what suspects share with others, an address or a role, is asked for and leads nowhere
    second = _closed(fetch, given, scratch)
    asked, less = bounded(second)
    said.append(less)
    until = end if second.beyond(first) else start
    _ask(fetch, "baseline", query((), asked, (start - timedelta(days=fetch.case.baseline_days), until)))
    third = _closed(fetch, given, scratch) if until == end else second
    if third.keys - second.keys or third.principals - second.principals:
        said.append("the last query told of further suspects: once they are confirmed, collect again")
    return second, "; ".join(dict.fromkeys(filter(None, said)))


def _closed(fetch: _Fetch, given: Suspects, scratch: Path) -> Suspects:
    with slice_rows.opened(fetch.case, fetch.files, scratch / "slice") as connection:
        return slice_closure.closed(connection, given)


def _ask(fetch: _Fetch, name: str, asked: tuple[exp.Expression, dict[str, Any]]) -> None:
    """Run one query, or take up its answer where an earlier collect has paid for it."""
    tree, values = asked
    parts = (fetch.how, fetch.options, tree.sql(), values, fetch.case.accounts, fetch.case.regions)
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:24]
    file, note = fetch.folder / f"{name}-{digest}.json", fetch.folder / f"{name}-{digest}.note"
    if not note.is_file():
        found = fetch.run(fetch.own, tree, values)
        spent = {
            "name": name, "query_id": str(found.attrs.get("query_id", "")),
            "bytes_scanned": int(found.attrs.get("bytes_scanned") or 0), "rows": len(found),
            "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        }  # fmt: skip
        fetch.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(file, slice_rows.evidence(found))
        _write(note, json.dumps(spent).encode())
    fetch.done.append(json.loads(note.read_text(encoding="utf-8")))
    fetch.files.append(file)


def _write(file: Path, content: bytes) -> None:
    half = file.with_suffix(".half")
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(content)
    half.replace(file)


def _blobs(fetch: _Fetch) -> Iterator[Blob]:
    """The answers as evidence, each with what it cost."""
    for spent, file in zip(fetch.done, fetch.files, strict=True):
        if spent["rows"]:
            facts = {**spent, "engine": fetch.how, "extent": MINTS if spent["name"] == "mints" else SLICE}
            yield Blob(f"{spent['name']}/{spent['query_id']}", file.read_bytes(), mark=file.stem, facts=facts)
