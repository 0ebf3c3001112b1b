"""Leads are decided in the notebook by buttons, and by commands that do the same."""

import ipywidgets as widgets
import pandas as pd
import pytest
import yaml

from cirtlib import buttons
from cirtlib.buttons import decide_leads
from cirtlib.case import Case, new_case

NODE = "principal:arn:aws:iam::111122223333:user/ann"
LEADS = pd.DataFrame({"node": [NODE, NODE, "address:<b>x</b>\u202e"], "reason": ["one", "two", "three"]})


@pytest.fixture
def case(tmp_path) -> Case:
    return new_case(tmp_path / "my case", {})


@pytest.fixture
def shown(monkeypatch) -> list[widgets.VBox]:
    """What was displayed."""
    made: list[widgets.VBox] = []
    monkeypatch.setattr(buttons, "display", made.append)
    return made


def test_the_commands_stand_there_too(case, shown):
    """Each lead once, quoted for a shell, with nothing that a page would obey."""
    text = decide_leads(case, LEADS).text
    assert text.count("cirt confirm") == 2
    assert f"cirt clear &#x27;{case.path}&#x27; {NODE}" in text
    assert "<b>" not in text
    assert "\u202e" not in text


def test_no_lead_is_said(case):
    """An empty table of leads is no error."""
    assert "none" in decide_leads(case, LEADS[:0]).text


def test_a_button_records_the_decision_with_its_reason(case, shown):
    """Without a reason it says so and nothing is recorded; a later press replaces the earlier one."""
    decide_leads(case, LEADS)
    row, odd = shown[0].children
    name, reason, confirm, clear, said = row.children
    assert name.value == NODE
    assert "<b>" not in odd.children[0].value
    confirm.click()
    assert "needs its reason" in said.value
    reason.value = "asked her"
    confirm.click()
    clear.click()
    assert said.value.startswith(f"cleared: {NODE}")
    content = yaml.safe_load((case.path / "case.yaml").read_text())
    assert content["confirmed"] == []
    assert [(one["node"], one["reason"]) for one in content["cleared"]] == [(NODE, "asked her")]
