"""What was normal before the attack: who worked from where, with what, doing what."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

# Fewer days than this say nothing about what is normal.
LEAST_DAYS = 3.0
# An address that this many principals used before the attack is an office, a proxy or a VPN exit.
COMMON_PRINCIPALS = 3

TABLE_KEYS = [
    "principal", "credential_kind", "source_network", "user_agent_family", "account_id", "region", "event_source",
    "event_name", "hour_of_day", "outcome",
]  # fmt: skip


@dataclass(frozen=True)
class Baseline:
    """What the days before the attack say, per act of the frame it was built from.

    `explains` is a mask over the acts: same principal, same source network and user-agent family before the attack.
    `users` maps an address to the number of principals that used it before the attack.
    """

    start: datetime | None
    end: datetime
    days: float
    explains: np.ndarray
    users: dict[str, int]

    @property
    def exists(self) -> bool:
        """Whether there are enough days to say what is normal."""
        return self.days >= LEAST_DAYS

    @property
    def common(self) -> frozenset[str]:
        """Addresses that convict nobody."""
        return frozenset(address for address, count in self.users.items() if count >= COMMON_PRINCIPALS)


def build(acts: pd.DataFrame, *, end: datetime, days: int, window_start: datetime, exclude: np.ndarray) -> Baseline:
    """Baseline from the acts before `end`, at most `days` back, without the acts in the mask `exclude`.

    A first appearance inside the window explains nothing by itself: a habit was seen before the window opened, or on
    two days. So the thief's first, unnoticed visit does not become the owner's habit.
    """
    start = end - timedelta(days=days)
    before = ((acts["event_time"] >= start) & (acts["event_time"] < end)).to_numpy() & ~exclude
    none = np.zeros(len(acts), dtype=bool)
    if not before.any():
        return Baseline(None, end, 0.0, none, {})
    first = acts["event_time"].to_numpy()[before].min()
    first = pd.Timestamp(first) if pd.Timestamp(first).tzinfo else pd.Timestamp(first, tz="UTC")
    length = (end - first.to_pydatetime()) / timedelta(days=1)
    triple, _ = pd.factorize(pd.MultiIndex.from_frame(acts[["principal", "source_network", "user_agent_family"]]))
    known = acts.loc[before, ["event_time", "source_ip", "principal"]].assign(triple=triple[before])
    habit = known.groupby("triple")["event_time"].agg(lambda times: times.min() < window_start or _two_days(times))
    users = known.dropna(subset=["source_ip", "principal"]).groupby("source_ip")["principal"].nunique()
    explains = np.isin(triple, habit.index[habit.astype(bool)]) & acts["principal"].notna().to_numpy()
    return Baseline(
        start=first.to_pydatetime(),
        end=end,
        days=round(length, 2),
        explains=explains if length >= LEAST_DAYS else none,
        users={str(address): int(count) for address, count in users.items()},
    )


def _two_days(times: "pd.Series[pd.Timestamp]") -> bool:
    return bool(times.dt.floor("D").nunique() >= 2)


def table(acts: pd.DataFrame, *, start: datetime, end: datetime, exclude: np.ndarray) -> pd.DataFrame:
    """Count the baseline: one row per principal, kind of credential, network, user agent, place, call and hour.

    Columns are `TABLE_KEYS`, then first_seen, last_seen (UTC) and count.
    """
    inside = ((acts["event_time"] >= start) & (acts["event_time"] < end)).to_numpy() & ~exclude
    rows = acts[inside].assign(
        credential_kind=lambda f: f["credential"].astype(str).str.split(":", n=1).str[0],
        hour_of_day=lambda f: f["event_time"].dt.hour,
    )
    grouped = rows.groupby(TABLE_KEYS, dropna=False, sort=True)["event_time"].agg(["min", "max", "size"])
    return grouped.rename(columns={"min": "first_seen", "max": "last_seen", "size": "count"}).reset_index()
