"""Security Hub is told what the plan answers: valid calls, printed unless executed, nobody's decision undone."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from cirtlib.containment import catalogue
from cirtlib.containment.hub import updates
from cirtlib.containment.planning import build
from cirtlib.containment.validate import api_faults
from tests import plan_sample as sample
from tests.fake_aws import FakeAws
from tests.hostile import STORABLE, small

PRODUCT = "arn:aws:securityhub:us-east-1::product/aws/guardduty"
CONTROL = "arn:aws:securityhub:us-east-1:111122223333:security-control/EC2.19/finding/c1"


def finding(name, *, form="asff", product="GuardDuty", **more):
    details = {"Id": name, "ProductArn": PRODUCT} if form == "asff" else {}
    row = {
        "finding_id": name, "form": form, "product": product, "account_id": sample.HOME, "region": "us-east-1",
        "title": "A title", "workflow_status": "NEW", "updated_at": pd.Timestamp("2026-06-11", tz="UTC"),
        "details": json.dumps(more.pop("details", details)),
    }  # fmt: skip
    return row | more


def resting(*why):
    """Plan of one step that rests on these."""
    step = catalogue.key_inactive(sample.MADE, "AKIAIOSFODNN7EXAMPLE")
    return small(replace(step, why=why), case="ir-1")


def told(plan, *rows):
    return updates(plan, pd.DataFrame(rows))


def test_findings_that_the_plan_answers():
    """A finding that steps rest on gets a note that names them, and status NOTIFIED; another is left alone."""
    plan = build(sample.incident())
    found = told(plan, finding(sample.FINDING), finding("arn:aws:guardduty:us-east-1:1:detector/d/finding/other"))
    assert [one["finding"] for one in found.updates] == [sample.FINDING]
    one = found.updates[0]
    assert one["input"]["Workflow"] == {"Status": "NOTIFIED"}
    assert one["input"]["FindingIdentifiers"] == [{"Id": sample.FINDING, "ProductArn": PRODUCT}]
    assert one["steps"]
    assert all(step in one["input"]["Note"]["Text"] for step in one["steps"])
    for step in found.plan.steps:
        assert api_faults(step.api) == api_faults(step.verify["api"]) == []
    assert json.loads(found.to_json())["updates"] == found.updates


@pytest.mark.parametrize("status", ["RESOLVED", "SUPPRESSED", "NOTIFIED"])
def test_a_decision_stands(status):
    """Where somebody has decided on a finding, only the note is added."""
    found = told(resting(CONTROL), finding(CONTROL, product="Security Hub", workflow_status=status))
    assert "Workflow" not in found.updates[0]["input"]
    assert found.plan.steps[0].verify["expected"] == "cirtlib"


def test_guardduty_itself_is_said_in_words():
    """What GuardDuty alone delivered is not called; what to do with it there is said, and when."""
    both = told(resting(sample.FINDING), finding(sample.FINDING, form="guardduty"), finding(sample.FINDING))
    alone = told(resting(sample.FINDING), finding(sample.FINDING, form="guardduty"))
    assert len(both.updates) == 1
    assert alone.updates == []
    assert "archive" in both.by_hand[0]["what"]
    assert "Security Hub did not deliver it" in alone.by_hand[0]["what"]
    assert "guardduty update" not in both.script()
    assert "archive-findings" not in both.script()


@pytest.mark.parametrize(
    "odd",
    [{"region": "us-east-1; reboot"}, {"account_id": "1"}, {"details": {}}, {"details": {"ProductArn": 1}},
     {"region": None}],
)  # fmt: skip
def test_what_cannot_be_updated_is_said(odd):
    """A finding without a proper account, Region or product goes into no script."""
    found = told(resting(CONTROL), finding(CONTROL, product="Security Hub", **odd))
    assert found.updates == []
    assert found.by_hand[0]["finding"] == CONTROL
    assert "reboot" not in found.script()


def test_the_script_prints_and_then_does(tmp_path):
    """Like the others: print only, then with --execute the old note is saved, the update made and looked at."""
    found = told(resting(CONTROL), finding(CONTROL, product="Security Hub"))
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan" / "hub_updates.sh").write_text(found.script())
    aws = FakeAws(tmp_path / "fake", tmp_path / "plan")
    shown = aws.run("hub_updates.sh")
    assert (shown.returncode, aws.calls()) == (0, [])
    assert "batch-update-findings" in shown.stdout
    aws.caller(sample.HOME)
    aws.answer({"status": "NEW", "note": "mine"}, {}, "NOTIFIED")
    assert aws.run("hub_updates.sh", "--execute").returncode == 0
    assert aws.inputs()[2] == ("securityhub", "batch-update-findings", found.updates[0]["input"])
    before = next((tmp_path / "plan").glob("state-*")) / "01-note" / "before.json"
    assert json.loads(before.read_text()) == {"status": "NEW", "note": "mine"}


@pytest.mark.parametrize("name", STORABLE)
def test_hostile_findings_do_nothing(name, tmp_path):
    """Title, id and case are what somebody wrote: the script hands them over whole, and runs none of them."""
    odd = f"{CONTROL}{name}"
    found = told(replace(resting(odd), case=name), finding(odd, product="Security Hub", title=name))
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan" / "hub_updates.sh").write_text(found.script())
    aws = FakeAws(tmp_path / "fake", tmp_path / "plan")
    aws.caller(sample.HOME)
    aws.answer({"status": "NEW"}, {}, "NOTIFIED")
    result = aws.run("hub_updates.sh", "--execute")
    assert (result.returncode, result.stderr) == (0, "")
    assert aws.inputs()[2][2]["FindingIdentifiers"][0]["Id"] == odd
    assert not list(tmp_path.rglob("pwned"))
