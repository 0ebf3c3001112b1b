"""Rows that digest files give: days on which there was nothing, files that are gone, files that were changed.

Verdicts are those of `cirtlib.digest`. Digests exist for each Region of a trail: those of one Region say nothing of
another ("CloudTrail digest file structure", aws-cloudtrail-user-guide).
"""

import re
from collections import defaultdict
from typing import Any

import pandas as pd

from cirtlib.coverage.rows import ALL, LOGS, Held, Row, gap
from cirtlib.digest import STOPPED, chain

_HALF = pd.Timedelta(minutes=30)
_NAME = re.compile(r"[0-9]{12}_CloudTrail-Digest_(?P<region>[a-z0-9-]+)_(?P<trail>.+)_(?P<home>[a-z0-9-]+)_20[0-9]{6}T")
# Verdict -> status and kind of the row.
_FAULTS = {
    chain.LOG_MISSING: ("missing", "log missing"),
    chain.DIGEST_MISSING: ("missing", "digest missing"),
    chain.LOG_CHANGED: ("failed", "log changed"),
    chain.DIGEST_CHANGED: ("failed", "digest false"),
    chain.SIGNATURE_INVALID: ("failed", "digest false"),
}
FALSE = (chain.DIGEST_CHANGED, chain.SIGNATURE_INVALID, chain.DIGEST_MISSING)


def rows(held: Held, read: list[Row]) -> list[Row]:
    """Rows of the verdicts, given those of what was read."""
    frame = held.verdicts
    if frame.empty:
        return []
    frame = frame.assign(day=_days(frame))
    seen = {(row.account, row.region, row.day) for row in read if row.source == LOGS}
    return [*_empty(frame, seen), *_faults(frame)]


def _days(frame: pd.DataFrame) -> pd.Series:
    """Day of the middle of a digest's hour, and of a log file's delivery."""
    moments = frame["start"].where(frame["kind"].eq("log"), frame["start"] + _HALF).fillna(frame["end"])
    return moments.dt.strftime("%Y-%m-%d")


def _empty(frame: pd.DataFrame, seen: set[tuple[Any, ...]]) -> list[Row]:
    """Days whose digests name no file, where nothing was read either."""
    sound = frame[frame["kind"].eq("digest") & ~frame["verdict"].isin(FALSE)]
    named = set(map(tuple, frame.loc[frame["kind"].eq("log"), ["account", "region", "day"]].to_numpy()))
    counts = sound.groupby(["account", "region", "day"], sort=True).size()
    return [
        Row(LOGS, account, region, day, ALL, "empty", reason=f"{count:,} digests of the day name no file")
        for (account, region, day), count in counts.items()
        if (account, region, day) not in named and (account, region, day) not in seen
    ]


def _faults(frame: pd.DataFrame) -> list[Row]:
    """Rows of files that are missing or were changed, one for each account, Region, day and kind."""
    bad = frame[frame["verdict"].isin(_FAULTS)]
    groups: dict[tuple[Any, Any, Any, str, str], list[str]] = defaultdict(list)
    for one in bad.itertuples(index=False):
        day = None if pd.isna(one.day) else one.day
        groups[(one.account or None, one.region or None, day, *_FAULTS[one.verdict])].append(str(one.name))
    return [
        gap(LOGS, (account, region, day), status, (kind, len(names), min(names).rpartition("/")[2] or "one of an hour"))
        for (account, region, day, status, kind), names in groups.items()
    ]


def wide(held: Held) -> dict[tuple[str, str], set[str]]:
    """Trails of all Regions, as (name, home Region), with the accounts whose events they log."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for item in held.objects:
        if item["other"] == "digest" and (name := _NAME.search(item["name"])) and name["region"] != name["home"]:
            found[name["trail"], name["home"]].add(item["name"][name.start() : name.start() + 12])
    return dict(found)


def stopped(held: Held) -> list[dict[str, Any]]:
    """Times in which a trail was stopped, as its digests tell: trail, accounts, Regions, from, to."""
    frame = held.verdicts
    off = frame[frame["verdict"].eq(STOPPED)]
    found = []
    for trail, own in off.sort_values("start").groupby("trail", sort=True):
        # Digests of a Region come at a minute of its own: what begins within two hours is one stop.
        number = own["start"].diff().gt(pd.Timedelta(hours=2)).cumsum()
        for _, one in own.groupby(number):
            found.append(
                {
                    "trail": str(trail), "accounts": sorted(set(one["account"])), "regions": sorted(set(one["region"])),
                    "from": f"{one['start'].min():%Y-%m-%dT%H:%M:%SZ}", "to": f"{one['end'].max():%Y-%m-%dT%H:%M:%SZ}",
                }
            )  # fmt: skip
    return found
