"""CloudTrail's event history: what is kept of management events for 90 days, whether or not a trail is on.

Seed first: what the seeds name is looked up around their time, then every key that those acts minted, to a fixpoint;
the collect settles, so that the scope can be asked, and only then are whole Regions paged, from the newest event back.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from cirtlib.aws import Aws, explain, targets
from cirtlib.case import Case
from cirtlib.errors import CaseError
from cirtlib.sources import Blob, Known, Milestone, Place, Slice, chain, lookup, spans
from cirtlib.sources.chain import Key, Sought
from cirtlib.sources.crew import at_once
from cirtlib.sources.lookup import EVERYTHING, Lane, Page
from cirtlib.sources.spans import Span, iso, seconds
from cirtlib.standard import BEFORE_SEED

WHERE = "event_history"
DAYS = 90  # that event history reaches back ("Working with CloudTrail event history", aws-cloudtrail-user-guide)
_DAY = 86_400
_NEAR = 2 * 3600  # seconds before and after a seed
_SAMPLES = (0.0, 0.2, 0.4, 0.6, 0.8)  # how far back pages are tried to tell how dense events are
_SHOWN = 10  # Regions that the estimate names
# Where IAM and other global services log, by the start of a Region's name.
_GLOBAL = {"cn-": "cn-north-1", "us-gov-": "us-gov-west-1"}


def place(case: Case, kind: str, options: Mapping[str, Any]) -> Place:
    """Event history of the case's accounts and Regions.

    `{event_history: true}` reads all of it for the window and its baseline; `{event_history: {whole: false}}` only what
    the seeds lead to.

    Raises
    ------
    CaseError
        when the options are others.
    """
    asked = options.get("event_history")
    asked = {"whole": True} if asked is True else asked
    whole = asked.get("whole", True) if isinstance(asked, dict) and set(asked) <= {"whole"} else None
    if kind != "cloudtrail" or not isinstance(whole, bool):
        raise CaseError(
            f"source {kind}: event_history: {options.get('event_history')!r} should be cloudtrail: "
            "{event_history: true}, or {event_history: {whole: false}} for nothing but what the seeds lead to"
        )
    if not whole and not case.seeds:
        raise CaseError("source cloudtrail: event_history with whole: false needs a seed; add one to case.yaml")
    return Place("cloudtrail", WHERE, partial(_read, case, whole), needs_store=True)


@dataclass
class _Run:
    """One collect of event history: what is asked, and what was learnt on the way."""

    aws: Aws
    known: Known
    targets: dict[str, list[str]]
    now: int
    limit: int
    lanes: dict[tuple[str, str], Lane] = field(default_factory=dict)
    wanted: dict[str, set[str]] = field(default_factory=dict)  # what to look up: extent -> accounts
    pages: int = 0  # since the last milestone
    older: bool = False  # whether more than 90 days are held after all, as an emulated account does

    def lane(self, account: str, region: str) -> Lane:
        """The lane of an account and Region, knowing what earlier collects read there."""
        key = account, region
        if key not in self.lanes:
            self.lanes[key] = Lane(self.aws, account, region, self.now - lookup.DELAY)
        return self.lanes[key]

    def asked(self) -> list[Lane]:
        """Lanes of all accounts and Regions that the case names."""
        return [self.lane(account, region) for account, regions in self.targets.items() for region in regions]


def _read(case: Case, whole: bool, known: Known) -> Iterator[Blob | Slice | Milestone]:
    """What event history holds for the case, beyond what is known.

    Raises
    ------
    AccessError
        when there are no credentials, or they have run out.
    """
    aws = Aws(case.access)
    now = max(_now(), seconds(case.as_of) if case.as_of else 0)
    run = _Run(aws, known, targets(case, aws), now, now - DAYS * _DAY)
    yield from _strangers(run)
    _remember(run)
    seeds, mute = chain.of_seeds(case)
    start, first, end = _window(case, run, seeds)
    if first < run.limit and not run.older:
        yield from _gather(run, [_trial(lane, (first, run.limit)) for lane in run.asked()])
    if first < run.limit and not run.older:
        yield from _beyond(run, (first, end))
    start, baseline = (start, first) if run.older else (max(start, run.limit), max(first, run.limit))
    if baseline >= end:
        return
    if seeds:
        yield from _suspects(run, seeds, (baseline, end), case)
        yield from _milestone(run, "what the seeds lead to is in the case; `cirt scope` can be asked")
    for seed in mute:
        known.say(f"event history: it cannot be asked for {seed}; its events are found when whole Regions are read")
    if whole:
        yield from _whole(run, (start, baseline, end))


def _now() -> int:
    return int(datetime.now(UTC).timestamp())


def _strangers(run: _Run) -> Iterator[Slice]:
    """Leave out accounts whose credentials are those of another: their answers would be another account's events."""
    for account in list(run.targets):
        try:
            owner = str(run.aws.client("sts", account=account).get_caller_identity()["Account"])
        except (ClientError, BotoCoreError) as error:
            status, reason = explain(error)
        else:
            if owner == account:
                continue
            reason = f"these are credentials of account {owner}; name a role or a profile of this one under `access`"
            status = "denied"
        for region in run.targets.pop(account):
            yield Slice(f"{account}/{region}/{EVERYTHING}", status, account, region, reason=reason)


def _remember(run: _Run) -> None:
    """Take up what earlier collects read, from the pages and slices that the manifest names."""
    said = [*run.known.facts.values(), *({**one.facts, **_place(one)} for one in run.known.slices.values())]
    for facts in said:
        if not {"account", "region", "extent"} <= set(facts):
            continue
        extent = facts["extent"]
        lane = run.lane(facts["account"], facts["region"])
        pairs = facts.get("covered") or ([facts["covers"]] if facts.get("covers") else [])
        old = lane.covered.get(extent, [])
        lane.covered[extent] = old + [(seconds(first), seconds(last)) for first, last in pairs]
        lane.counts[extent] = max(lane.counts.get(extent, 0), facts.get("events", int("newest" in facts)))
        if facts.get("oldest"):
            run.older |= seconds(facts["oldest"]) < seconds(facts["asked"]) - (DAYS + 1) * _DAY
        keys = {Key(*said) for said in facts.get("keys", ())}
        lane.keys.setdefault(extent, set()).update(keys)
        _learn(run, keys)
    for lane in run.lanes.values():
        lane.covered = {extent: spans.merged(found) for extent, found in lane.covered.items()}


def _place(one: Slice) -> dict[str, Any]:
    return {"account": one.account, "region": one.region, "extent": one.extent}


def _learn(run: _Run, keys: Iterable[Key]) -> None:
    """Note keys to look up, and the record that issued one of which nobody knows who got it."""
    for key, account, how in keys:
        _want(run, f"AccessKeyId={key}", {account}, origin=how == "caller")


def _want(run: _Run, extent: str, accounts: Iterable[str], *, origin: bool) -> None:
    run.wanted.setdefault(extent, set()).update(accounts)
    if origin and (issued := chain.origin(extent)):
        run.wanted.setdefault(issued, set()).update(run.targets)


def _window(case: Case, run: _Run, seeds: list[Sought]) -> tuple[int, int, int]:
    """Start of the window, start of the baseline before it, end; without a start or a time, all that is held."""
    end = min(seconds(case.window.end or case.as_of or datetime.fromtimestamp(run.now, UTC)), run.now)
    times = [seed.time for seed in seeds if seed.time]
    if case.window.start:
        start = seconds(case.window.start)
    elif times:
        start = min(times) - int(BEFORE_SEED.total_seconds())
    else:
        return end - DAYS * _DAY, end - DAYS * _DAY, end
    return start, start - case.baseline_days * _DAY, end


def _gather(run: _Run, tasks: Sequence[Iterator[Page | Slice] | Iterator[Page]]) -> Iterator[Blob | Slice]:
    """Run the tasks side by side; what they find is evidence, and tells what to look up next."""
    for item in at_once(tasks):
        if isinstance(item, Slice):
            yield item
            continue
        run.older |= item.oldest < run.limit - _DAY
        run.pages += 1
        _learn(run, item.keys)
        yield item.blob()


def _milestone(run: _Run, text: str) -> Iterator[Milestone]:
    """Have what was read since the last one settled, if there was anything."""
    if run.pages:
        yield Milestone(f"event history: {text}")
    run.pages = 0


def _trial(lane: Lane, span: Span) -> Iterator[Page]:
    """One page of what should be too old to be there. Where nothing is, that is not taken for nothing having been."""
    before, found = lane.covered.get(EVERYTHING, []), False
    try:
        for page in lookup.pages(lane, EVERYTHING, span, most=1):
            found = True
            yield page
    except (ClientError, BotoCoreError) as error:
        lane.failed(error)
    if not found:
        lane.covered[EVERYTHING] = before


def _beyond(run: _Run, asked: Span) -> Iterator[Slice]:
    """Say of every account and Region what was asked for and is older than event history."""
    for lane in run.asked():
        first, end = asked
        end = min([end, run.limit, *(start for start, _ in lane.covered.get(EVERYTHING, []))])
        if first < end:
            yield Slice(
                f"{lane.account}/{lane.region}/beyond", "absent", lane.account, lane.region, iso(first), iso(end),
                reason=f"event history holds {DAYS} days",
            )  # fmt: skip


def _suspects(run: _Run, seeds: list[Sought], span: Span, case: Case) -> Iterator[Blob | Slice]:
    """Look up what the seeds name, near their time and then in the whole span, and every key that those acts minted."""
    near: list[tuple[Lane, str, Span]] = []
    for seed in seeds:
        accounts = [seed.account] if seed.account in run.targets else list(run.targets)
        _want(run, seed.extent, accounts, origin=True)
        home = seed.region or next(iter(case.regions), "us-east-1")
        beside = next((region for start, region in _GLOBAL.items() if home.startswith(start)), "us-east-1")
        if seed.time:
            part = max(span[0], seed.time - _NEAR), min(span[1], seed.time + _NEAR)
            near += [
                (run.lane(one, region), seed.extent, part) for one in accounts for region in sorted({home, beside})
            ]
    yield from _look_up(run, near)
    done: set[tuple[str, str]] = set()
    while new := {(extent, account) for extent, accounts in run.wanted.items() for account in accounts} - done:
        done |= new
        asked = sorted((extent, account) for extent, account in new if account in run.targets)
        if foreign := sorted({f"{extent} in {account}" for extent, account in new - set(asked)}):
            run.known.say(f"event history: not looked up, the account is not asked: {', '.join(foreign)}")
        jobs = [(run.lane(one, region), extent, span) for extent, one in asked for region in run.targets[one]]
        yield from _look_up(run, jobs)


def _look_up(run: _Run, jobs: list[tuple[Lane, str, Span]]) -> Iterator[Blob | Slice]:
    """Do each of these, lanes side by side; a lane that will soon have read everything needs none."""
    tasks: dict[tuple[str, str], list[tuple[Lane, str, Span]]] = {}
    for lane, extent, span in jobs:
        caught_up = lane.covered.get(EVERYTHING) and spans.length(lane.missing(EVERYTHING, span)) <= _NEAR
        if span[0] < span[1] and not caught_up:
            tasks.setdefault((lane.account, lane.region), []).append((lane, extent, span))
    if tasks:
        extents = {extent for own in tasks.values() for _, extent, _ in own}
        run.known.say(f"event history: looking up suspects ({len(extents)}) in the accounts' Regions ({len(tasks)})")
    yield from _gather(run, [_in_turn(own) for own in tasks.values()])


def _in_turn(jobs: list[tuple[Lane, str, Span]]) -> Iterator[Page | Slice]:
    for lane, extent, span in jobs:
        yield from lookup.fill(lane, extent, span)


def _whole(run: _Run, times: tuple[int, int, int]) -> Iterator[Blob | Slice | Milestone]:
    """Page every Region, the window before the baseline, having said how long that is likely to take."""
    start, baseline, end = times
    lanes = [lane for lane in run.asked() if lane.missing(EVERYTHING, (baseline, end))]
    rates: dict[tuple[str, str], list[float]] = {}
    for item in at_once([_samples(lane, (baseline, end)) for lane in lanes]):
        rate = len(item.rows) / max(1, item.span[1] - item.span[0])
        rates.setdefault((item.lane.account, item.lane.region), []).append(rate)
        yield item.blob()
    left = {key: spans.length(run.lanes[key].missing(EVERYTHING, (baseline, end))) for key in rates}
    likely = {key: left[key] * sum(own) / len(own) for key, own in rates.items()}
    run.known.expect(round(sum(likely.values()) / lookup.ROWS), 0)
    for line in _estimate(likely):
        run.known.say(line)
    yield from _gather(run, [lookup.fill(lane, EVERYTHING, (start, end)) for lane in lanes])
    if baseline < start:
        yield from _milestone(run, "the window is in the case; the days before it, for comparison, follow")
        yield from _gather(run, [lookup.fill(lane, EVERYTHING, (baseline, end)) for lane in lanes])


def _samples(lane: Lane, span: Span) -> Iterator[Page]:
    """A few pages over what is missing, each of which is evidence as well; none where little is missing."""
    missing = lane.missing(EVERYTHING, span)
    total = spans.length(missing)
    for share in _SAMPLES if total > _NEAR and not lane.refused else ():
        part = spans.before(missing, int(total * share))
        if lane.missing(EVERYTHING, part)[:1] != [part]:
            continue  # an earlier sample reached as far back
        try:
            yield from lookup.pages(lane, EVERYTHING, part, most=1)
        except (ClientError, BotoCoreError) as error:
            lane.failed(error)
            return


def _estimate(events: dict[tuple[str, str], float]) -> list[str]:
    """How many pages the Regions are likely to have, and how long that takes, in words."""
    pages = {key: round(count / lookup.ROWS) for key, count in events.items() if count >= lookup.ROWS}
    if not pages:
        return []
    minutes = {key: count * lookup.INTERVAL / 60 for key, count in pages.items()}
    longest = max(1, round(max(minutes.values())))
    total = (
        f"event history: about {sum(pages.values()):,} pages of {lookup.ROWS} events are to be read, which takes "
        f"{longest:,} {'minute' if longest == 1 else 'minutes'} or more at 2 calls a second in each Region; stop at "
        "any time, the same command goes on from there"
    )
    lines = [total]
    for key in sorted(pages, key=lambda key: -pages[key])[:_SHOWN]:
        if minutes[key] >= 1:
            lines.append(f"  {' '.join(key)}: about {pages[key]:,} pages, {minutes[key]:,.0f} minutes")
    return lines
