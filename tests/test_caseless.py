"""Findings from the API into a DataFrame, without a case."""

import json
from pathlib import Path

import pytest
from fake_findings import ACCOUNT, cloud, control, finding

from cirtlib import evidence, guardduty_findings, queries, security_hub_findings
from cirtlib.case import new_case
from cirtlib.collect import collect
from cirtlib.errors import AccessError, CaseError

__all__ = ["cloud"]


def test_findings_come_from_the_api_without_a_case(cloud):
    """GuardDuty's as GuardDuty's, Security Hub's as its own; where there is nothing to ask is said."""
    cloud.detectors = {"us-east-1": {"d1": {"findings": [finding(10), finding(30)]}}}
    cloud.hubs = {"us-east-1": [control(1), control(2, "PASSED")]}
    asked = {"accounts": [ACCOUNT], "regions": ["us-east-1", "eu-west-1"], "endpoint_url": cloud.endpoint}
    found = guardduty_findings(**asked, start="2026-06-10T10:20:00Z")
    assert list(found["finding_id"].str.rpartition("/")[2]) == ["f30"]
    assert found.attrs["gaps"] == [
        {"account": ACCOUNT, "region": "eu-west-1", "status": "absent", "reason": "GuardDuty is off: no detector"}
    ]
    assert list(security_hub_findings(**asked)["compliance_status"]) == ["FAILED", "PASSED"]
    assert cloud.count("GetFindingHistory") == 0


def test_a_region_that_refuses_is_warned_of_and_all_of_them_are_an_error(cloud):
    """An empty table is never the answer to a refusal."""
    cloud.detectors = {"us-east-1": {"d1": {"findings": [finding(1)]}}}
    cloud.wrong = lambda region, *_: (403, "AccessDeniedException") if region == "eu-west-1" else None
    asked = {"accounts": [ACCOUNT], "endpoint_url": cloud.endpoint}
    with pytest.warns(UserWarning, match="1 requests were refused, such as 111122223333 eu-west-1: AccessDenied"):
        assert len(guardduty_findings(**asked, regions=["us-east-1", "eu-west-1"])) == 1
    with pytest.raises(AccessError, match="nothing could be read"):
        guardduty_findings(**asked, regions=["eu-west-1"])


def test_a_path_and_the_api_exclude_each_other(tmp_path):
    """What would be ignored is refused."""
    with pytest.raises(CaseError, match="leave the path out"):
        guardduty_findings(tmp_path, regions=["us-east-1"])


@pytest.mark.integration
def test_the_incident_through_the_api_is_the_incident_from_files(incident, tmp_path, monkeypatch):
    """Both accounts of findings give the same ids; every Region that is on is read, and the histories are there."""
    from cirtlib.training.account import serve

    case, _ = incident
    folder = Path(case.sources[1].options["folder"])
    state = json.loads((folder.parent / "truth" / "state_after.json").read_text(encoding="utf-8"))
    with serve(state, tmp_path / "aws", findings=folder, now=case.as_of) as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        content = {
            "accounts": list(state["accounts"]),
            "access": running.case_access(),
            "sources": [{"guardduty": {"api": True}}, {"security_hub": {"api": True}}],
        }
        made = new_case(tmp_path / "case", content)
        total = collect(made)
        again = collect(made)
        failed = [{"Value": "FAILED", "Comparison": "EQUALS"}]
        api = {"filters": {"ComplianceStatus": failed}, "history": 0}
        some = new_case(tmp_path / "failed", {**content, "sources": [{"security_hub": {"api": api}}]})
        collect(some)
    assert total["rejected"] == again["new"] == 0
    expected, found = queries.findings(case), queries.findings(made)
    assert set(found["finding_id"]) == set(expected["finding_id"])
    failing = set(expected.loc[expected["compliance_status"] == "FAILED", "finding_id"])
    assert set(queries.findings(some)["finding_id"]) == failing
    assert {line["slice"]["status"] for line in evidence.slices(made)} <= {"read", "empty", "absent"}
    controls = set(expected.loc[expected["control_id"].notna() & expected["form"].eq("asff"), "finding_id"])
    histories = [one for one in (line["slice"] for line in evidence.slices(made)) if one["name"].endswith("/history")]
    assert sum(one["facts"]["asked"] for one in histories) == len(controls)
    changed = set(queries.finding_history(made)["finding_id"])
    assert changed
    assert changed <= controls
