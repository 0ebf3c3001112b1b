"""Leads are decided in the notebook by commands, and by buttons where it can show them."""

import sys
from types import ModuleType

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


class Widget:
    """What the code uses of a widget: keeps what it was given, and runs what a click runs."""

    def __init__(self, children=(), **given):
        self.children, self.value, self.clicked = children, "", None
        self.__dict__ |= given

    def on_click(self, function):
        self.clicked = function


@pytest.fixture
def shown(monkeypatch) -> list[Widget]:
    """Widgets that were displayed, with a stand-in for ipywidgets."""
    module = ModuleType("ipywidgets")
    for name in ("VBox", "HBox", "Text", "HTML", "Button"):
        setattr(module, name, type(name, (Widget,), {}))
    module.HTML = type(
        "HTML", (Widget,), {"__init__": lambda self, value="": Widget.__init__(self) or setattr(self, "value", value)}
    )
    monkeypatch.setitem(sys.modules, "ipywidgets", module)
    made: list[Widget] = []
    monkeypatch.setattr(buttons, "display", made.append)
    return made


def test_without_widgets_the_commands_stand_there(case, monkeypatch):
    """Each lead once, quoted for a shell, with nothing that a page would obey."""
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
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
    confirm.clicked(confirm)
    assert "needs its reason" in said.value
    reason.value = "asked her"
    confirm.clicked(confirm)
    clear.clicked(clear)
    assert said.value.startswith(f"cleared: {NODE}")
    content = yaml.safe_load((case.path / "case.yaml").read_text())
    assert content["confirmed"] == []
    assert [(one["node"], one["reason"]) for one in content["cleared"]] == [(NODE, "asked her")]
