"""tickets.csv: one row a step, and no cell that a spreadsheet would run."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cirtlib.containment.planning import build
from cirtlib.containment.tables import TICKETS, as_csv, tickets
from cirtlib.text import visible
from tests import plan_sample as sample
from tests.hostile import HOSTILE, everywhere

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_one_row_a_step():
    """Each row says what to run, how to check and undo it, who approves, and what it rests on."""
    plan = build(sample.incident())
    found = rows(tickets(plan))
    assert tuple(found[0]) == TICKETS
    assert [row["id"] for row in found] == [step.id for step in plan.steps]
    for row, step in zip(found, plan.steps, strict=True):
        assert row["command"] == f"./contain.sh --execute --step {step.id} --profile-for {step.account}=PROFILE"
        assert row["verify"].startswith("./verify.sh --execute --step")
        assert ("./rollback.sh" in row["undo"]) == (step.rollback != "irreversible")
        assert row["why"].split("; ") == (list(step.why) or [""])
        assert row["depends_on"].split("; ") == (list(step.depends_on) or [""])
        assert row["approver"] in ("incident lead", "account owner", "application owner")


@pytest.mark.parametrize("name", HOSTILE)
def test_no_cell_is_a_formula(name):
    """A cell that begins like a formula begins with an apostrophe; tabs and line ends are shown, not kept."""
    for row in rows(tickets(everywhere(name))):
        assert not any(cell.startswith(FORMULA) for cell in row.values())
        assert not any(set("\t\r\n\x00\u202e") & set(cell) for cell in row.values())
    assert rows(tickets(everywhere(name)))[0]["impact"].removeprefix("'").startswith(visible(name).removeprefix("'"))


@given(st.lists(st.text(), min_size=2, max_size=4))
def test_any_text_is_one_cell(cells):
    """Commas, quotes and line ends stay inside their cell, which reads as it is shown everywhere else."""
    read = list(csv.reader(io.StringIO(as_csv(["a"] * len(cells), [cells]))))
    assert len(read) == 2
    assert [cell.removeprefix("'") for cell in read[1]] == [visible(cell).removeprefix("'") for cell in cells]


def test_numbers_stay_numbers():
    """A negative number is no formula."""
    assert '"-1.5"' in as_csv(["n"], [["-1.5"]])
