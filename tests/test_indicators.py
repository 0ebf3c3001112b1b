"""indicators.csv: what to block, what to look for, and what innocents used as well."""

import csv
import io
from dataclasses import replace

import pandas as pd
import pytest

from cirtlib.containment.indicators import COLUMNS, indicators
from tests import plan_sample as sample
from tests.hostile import STORABLE

SHARED, ALONE = "192.0.2.10", "203.0.113.66"


def log(**more):
    """The attack, seen from two addresses, one of which is the office's."""
    events = sample.log()
    guilty = {one["event_id"] for one in events.judged}
    for row in events.rows:
        innocent = row["event_id"] not in guilty
        row |= {"source_ip": SHARED if innocent else ALONE, "source_ip_kind": "public",
                "user_agent": "office" if innocent else "aws-cli/2 md/command#x.y"}  # fmt: skip
    events.rows[5]["source_ip"] = SHARED
    events.rows[-1] |= {"user_agent": "aws-cli/2 md/command#other", **more}
    return events


def found(events):
    columns = ["source_ip", "source_ip_kind", "user_agent", "tls_host"]
    frame = events.events().join(pd.DataFrame(events.rows).reindex(columns=columns))
    incident = replace(sample.incident(), events=frame, verdicts=events.verdicts())
    return list(csv.DictReader(io.StringIO(indicators(incident))))


def of(rows, kind):
    return {row["value"]: row for row in rows if row["kind"] == kind}


def test_an_address_of_innocents_is_marked_and_not_blocked():
    """The attacker's own address is for the block list; the one that others use is in the table, marked."""
    addresses = of(found(log()), "address")
    assert addresses[ALONE]["block"] == "yes"
    assert addresses[ALONE]["events_of_others"] == "0"
    assert addresses[SHARED]["block"] == "no"
    assert int(addresses[SHARED]["events_of_others"]) >= 4
    assert "Others used it" in addresses[SHARED]["note"]


def test_only_addresses_are_for_blocking():
    """Keys, programs, things and accounts are for searching."""
    rows = found(log(tls_host="odd.example.com"))
    assert tuple(rows[0]) == COLUMNS
    assert {row["kind"] for row in rows if row["block"] == "yes"} == {"address"}
    assert {row["kind"] for row in rows} == {"address", "access_key", "user_agent", "tls_host", "arn", "account"}


def test_what_the_scope_names():
    """Keys held or made, users and snapshots made, accounts that are not ours; each with its events and times."""
    rows = found(log())
    assert set(of(rows, "access_key")) == {sample.LEAKED, sample.SESSION, sample.MADE_KEY, sample.HOP}
    assert set(of(rows, "arn")) == {sample.MADE, sample.SNAPSHOT, sample.INSTANCE}
    assert set(of(rows, "account")) == {sample.FOREIGN}
    leaked = of(rows, "access_key")[sample.LEAKED]
    assert leaked["first_seen"] == "2026-06-10T12:05:00Z"
    assert leaked["event_ids"].split("; ") == ["e-006", "e-007"]
    assert leaked["confidence"] == "certain"


def test_one_program_is_one_row():
    """The AWS CLI names its command in the user agent: that is no other program."""
    assert set(of(found(log()), "user_agent")) == {"aws-cli/2"}


@pytest.mark.parametrize("kind", ["private", "aws_service"])
def test_addresses_that_are_none_outside(kind):
    """A private address is not for a block list; the name of a service is no address."""
    rows = of(found(log(source_ip="10.0.0.1", source_ip_kind=kind)), "address")
    assert ("10.0.0.1" in rows) == (kind == "private")
    assert rows.get("10.0.0.1", {"block": "no"})["block"] == "no"


@pytest.mark.parametrize("name", STORABLE)
def test_hostile_values_are_no_formulas(name):
    """A user agent is what the attacker writes: no cell becomes a formula or another row."""
    rows = found(log(user_agent=name))
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for cell in row.values())
    assert all(set(row) == set(COLUMNS) for row in rows)
