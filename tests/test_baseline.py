"""What counts as a habit, and what does not."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd

from cirtlib.baseline import build, table

DAY = datetime(2026, 6, 1, tzinfo=UTC)


def acts(rows):
    """Acts from (day, principal, address) triples."""
    frame = pd.DataFrame(rows, columns=["day", "principal", "source_ip"])
    frame["event_time"] = [DAY + pd.Timedelta(days=day) for day in frame.pop("day")]
    frame["source_network"] = frame["source_ip"].str.rsplit(".", n=1).str[0] + ".0/24"
    for name, value in {"user_agent_family": "aws-cli", "account_id": "1", "region": "r", "event_source": "s"}.items():
        frame[name] = value
    return frame.assign(event_name="n", outcome="ok", credential="access_key:K")


def made(frame, end=10, window=8, exclude=None):
    mask = np.zeros(len(frame), dtype=bool) if exclude is None else np.array(exclude)
    end, window = DAY + pd.Timedelta(days=end), DAY + pd.Timedelta(days=window)
    return build(frame, end=end, days=30, window_start=window, exclude=mask)


def test_baseline_explains_what_was_seen_before_the_window_or_on_two_days():
    """A habit is old or repeated; a single first visit inside the window is none."""
    frame = acts([(0, "a", "192.0.2.1"), (8.5, "b", "192.0.2.2"), (9.5, "b", "192.0.2.2"), (9, "c", "192.0.2.3")])
    assert made(frame).explains.tolist() == [True, True, True, False]


def test_baseline_of_under_three_days_explains_nothing():
    """Two days of records are no baseline, and it says so."""
    base = made(acts([(8, "a", "192.0.2.1"), (9.5, "a", "192.0.2.1")]))
    assert not base.exists
    assert not base.explains.any()


def test_baseline_leaves_excluded_acts_out():
    """Acts of the attacker before the end of the baseline make no habit."""
    frame = acts([(0, "a", "192.0.2.1"), (1, "b", "192.0.2.2")])
    assert made(frame, exclude=[False, True]).explains.tolist() == [True, False]


def test_address_of_three_principals_is_common():
    """Three principals make an address common, two do not."""
    frame = acts([(d, p, "192.0.2.1") for d, p in enumerate("abc")] + [(d, p, "192.0.2.2") for d, p in enumerate("ab")])
    assert made(frame).common == {"192.0.2.1"}


def test_baseline_of_nothing_is_empty():
    """No record before the attack gives a baseline of no length."""
    base = made(acts([(11, "a", "192.0.2.1")]))
    assert (base.days, base.users, base.exists) == (0.0, {}, False)


def test_table_counts_by_hour():
    """The table has one row per habit and hour with first and last time."""
    frame = acts([(0, "a", "192.0.2.1"), (1, "a", "192.0.2.1"), (1.5, "a", "192.0.2.1")])
    counted = table(frame, start=DAY, end=DAY + pd.Timedelta(days=5), exclude=np.zeros(3, dtype=bool))
    assert counted[["hour_of_day", "count"]].values.tolist() == [[0, 2], [12, 1]]
    assert set(counted["credential_kind"]) == {"access_key"}
