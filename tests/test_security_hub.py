"""Security Hub's findings, and the history of its controls, come through its API: once each, and what lacks is said."""

import json

import pandas as pd
import pytest
from fake_findings import ACCOUNT, balanced, case_of, change, cloud, control, ended

from cirtlib import evidence, queries, store
from cirtlib.case import load_case
from cirtlib.collect import collect
from cirtlib.errors import CaseError
from cirtlib.findings import history

__all__ = ["cloud"]


def test_findings_come_hundred_by_hundred_with_what_was_put_away(cloud, tmp_path):
    """250 findings are three pages; archived and suppressed ones are among them; a Region that is off says so."""
    found = [control(n, "PASSED") for n in range(250)]
    found[7] |= {"RecordState": "ARCHIVED"}
    found[8] |= {"Workflow": {"Status": "SUPPRESSED"}}
    cloud.hubs = {"us-east-1": found, "eu-west-1": []}
    case = case_of(cloud, tmp_path, {"history": 0}, "security_hub", ["us-east-1", "eu-west-1", "eu-west-3"])
    assert collect(case)["kept"] == 250
    table = queries.findings(case)
    assert (table["archived"].sum(), (table["workflow_status"] == "SUPPRESSED").sum()) == (1, 1)
    assert [line["facts"]["ids"] for line in evidence.entries(case)] == [100, 100, 50]
    said = {region: (one["status"], one["reason"]) for region, one in ended(case).items()}
    assert said == {
        "us-east-1": ("read", ""),
        "eu-west-1": ("empty", ""),
        "eu-west-3": ("absent", "Security Hub is off in this Region"),
    }


def test_the_history_of_a_control_says_when_it_failed(cloud, tmp_path):
    """Each change is a row, with what it was and became; the original is behind it; a page is at most 100 records."""
    one = control(1, "PASSED")
    cloud.hubs = {"us-east-1": [one, control(2, Compliance={"Status": "FAILED"})]}
    fixed = [change(one, f"2026-06-09T10:00:{n:02d}.000Z", "Note", None, f"n{n}") for n in range(60)]
    failed = [change(one, f"2026-06-08T10:00:{n:02d}.000Z", "Compliance.Status", "PASSED", "FAILED") for n in range(60)]
    created = {"FindingIdentifier": {"Id": one["Id"], "ProductArn": one["ProductArn"]}, "FindingCreated": True}
    cloud.histories = {one["Id"]: [*fixed, *failed, {**created, "UpdateTime": "2026-06-01T00:00:00Z"}]}
    case = case_of(cloud, tmp_path, kind="security_hub")
    assert collect(case)["rejected"] == 0
    table = queries.finding_history(case, one["Id"])
    assert len(table) == 121
    assert list(table["created"])[:2] == [True, False]
    first = table[table["field"] == "Compliance.Status"].iloc[0]
    assert first["updated_at"] == pd.Timestamp("2026-06-08T10:00:00Z")
    assert (first["old_value"], first["new_value"], first["account_id"]) == ("PASSED", "FAILED", ACCOUNT)
    assert json.loads(store.record(case, first["record_id"])[0])["Updates"][0]["NewValue"] == "FAILED"
    assert queries.finding_history(case, "another").empty
    assert cloud.count("GetFindingHistory") == 2, "a finding that no control made has no history to ask for"
    assert balanced(case)["kept"] == 123


def test_a_history_is_asked_again_only_when_its_finding_changed(cloud, tmp_path):
    """And what was there before is not there twice."""
    found = [control(n) for n in range(5)]
    cloud.hubs = {"us-east-1": found}
    cloud.histories = {one["Id"]: [change(one, "2026-06-08T10:00:00.000Z")] for one in found}
    case = case_of(cloud, tmp_path, kind="security_hub")
    collect(case)
    assert collect(case)["new"] == 0
    assert cloud.count("GetFindingHistory") == 5
    found[2] = control(2, "PASSED", UpdatedAt="2026-06-11T00:00:00.000Z")
    cloud.histories[found[2]["Id"]].insert(0, change(found[2], "2026-06-11T00:00:00.000Z", old="FAILED", new="PASSED"))
    assert collect(case)["new"] == 2
    assert cloud.count("GetFindingHistory") == 6
    assert len(queries.finding_history(case)) == 6
    balanced(case)


def test_histories_of_failing_controls_come_first_and_what_was_left_out_is_said(cloud, tmp_path):
    """It goes on being said, until a bound that is raised brings the others."""
    last = control(1200, "PASSED")
    cloud.hubs = {"us-east-1": [*(control(n, "PASSED" if n % 2 else "FAILED") for n in range(9)), last]}
    case = case_of(cloud, tmp_path, {"history": 6}, "security_hub")
    collect(case)
    asked = [given["FindingIdentifier"]["Id"] for _, operation, given in cloud.asked if operation.endswith("History")]
    assert len(asked) == 6
    assert {int(name.rpartition("/")[2]) for name in asked} >= {0, 2, 4, 6, 8}, "all that fail, before any other"
    said = "the history of 4 more control findings was not asked for"
    assert said in ended(case)["us-east-1/history"]["reason"]
    cloud.hubs["us-east-1"].append(control(1201))
    collect(case)
    assert cloud.count("GetFindingHistory") == 8
    assert said.replace("4", "3") in ended(case)["us-east-1/history"]["reason"], "one was given again, and asked for"
    text = (case.path / "case.yaml").read_text().replace("history: 6", "history: 100")
    (case.path / "case.yaml").write_text(text)
    collect(load_case(case.path))
    assert cloud.count("GetFindingHistory") == 11
    assert ended(case)["us-east-1/history"]["reason"] == ""


@pytest.mark.parametrize("code", ["AccessDeniedException", "InternalException"])
def test_a_history_that_is_refused_does_not_cost_the_findings(cloud, tmp_path, code):
    """It is a gap of its own, and is asked for again by the next collect."""
    found = [control(n) for n in (0, 600, 1200)]
    cloud.hubs = {"us-east-1": found}
    cloud.histories = {found[0]["Id"]: [change(found[0], "2026-06-08T10:00:00.000Z")]}
    refused = (403, code) if code == "AccessDeniedException" else (400, code)
    cloud.wrong = lambda _, operation, __: refused if operation == "GetFindingHistory" else None
    case = case_of(cloud, tmp_path, kind="security_hub")
    assert collect(case)["kept"] == 3
    one = ended(case)["us-east-1/history"]
    assert one["status"] == ("denied" if code == "AccessDeniedException" else "failed")
    assert code in one["reason"]
    assert ended(case)["us-east-1"]["status"] == "read"
    cloud.wrong = lambda *_: None
    assert collect(case)["new"] == 1
    assert ended(case)["us-east-1/history"]["status"] == "read"
    assert balanced(case)["duplicate"] == 0


def test_a_finding_that_was_suppressed_since_comes_again_though_its_time_did_not_change(cloud, tmp_path):
    """BatchUpdateFindings leaves UpdatedAt alone; the suppressed version is the latest."""
    found = [control(n * 60) for n in range(24)]
    cloud.hubs = {"us-east-1": found}
    case = case_of(cloud, tmp_path, {"history": 0}, "security_hub")
    collect(case)
    found[0] = {**found[0], "Workflow": {"Status": "SUPPRESSED"}}
    assert collect(case)["new"] == 1
    states = queries.sql(
        case, "SELECT workflow_status, latest FROM findings WHERE finding_id LIKE '%/0' ORDER BY latest"
    )
    assert states.to_dict("list") == {"workflow_status": ["NEW", "SUPPRESSED"], "latest": [False, True]}
    assert collect(case)["new"] == 0


@pytest.mark.parametrize("honest", [True, False])
def test_the_users_filter_is_applied_on_both_sides(cloud, tmp_path, honest):
    """A service that ignores it gives the same table, and what was left out is counted."""
    cloud.honest = honest
    other = control(3, Compliance={"Status": "FAILED", "SecurityControlId": "S3.1"})
    cloud.hubs = {"us-east-1": [control(1), control(2, "PASSED"), other]}
    filters = {
        "ComplianceStatus": [{"Value": "FAILED", "Comparison": "EQUALS"}],
        "ComplianceSecurityControlId": [{"Value": "EC2", "Comparison": "PREFIX"}],
        "Keyword": [{"Value": "x"}],
    }
    case = case_of(cloud, tmp_path, {"filters": filters, "history": 0}, "security_hub")
    collect(case)
    assert list(queries.findings(case)["finding_id"].str.rpartition("/")[2]) == ["1"]
    one = ended(case)["us-east-1"]
    assert len(one["facts"]["dropped"]) == (0 if honest else 2)
    assert "Keyword was left to AWS" in one["reason"]


def test_a_region_that_shows_the_findings_of_another_does_not_double_them(cloud, tmp_path):
    """Cross-Region aggregation gives the same finding twice; it is one row, and so is its history."""
    one = control(1, region="eu-west-1")
    cloud.hubs = {"us-east-1": [control(2), one], "eu-west-1": [one]}
    cloud.histories = {one["Id"]: [change(one, "2026-06-08T10:00:00.000Z")]}
    case = case_of(cloud, tmp_path, kind="security_hub", regions=["us-east-1", "eu-west-1"])
    collect(case)
    assert len(queries.findings(case)) == 2
    assert len(queries.finding_history(case)) == 1
    balanced(case)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"filters": {"Severety": []}}, "no filter of securityhub"),
        ({"history": "all"}, "is no number of findings"),
        (
            {"start": "2026-06-01", "filters": {"UpdatedAt": [{"DateRange": {"Value": 1, "Unit": "DAYS"}}]}},
            "exclude each",
        ),
        ({"criteria": {}}, "should be true, or a mapping with end, filters, history, start"),
    ],
)
def test_options_that_are_wrong_are_said_before_anything_is_asked(cloud, tmp_path, options, said):
    """With what to write instead."""
    with pytest.raises(CaseError, match=said):
        collect(case_of(cloud, tmp_path, options, "security_hub"))
    assert cloud.asked == []


@pytest.mark.parametrize("record", [{}, {"FindingIdentifier": {"Id": "x"}}, [], {"UpdateTime": "2026-06-01"}])
def test_a_record_without_finding_or_time_is_no_history(record):
    """It is rejected with a reason, beside the good ones."""
    with pytest.raises(ValueError, match="names no finding or no time"):
        history.row(record)


def test_a_token_of_a_page_is_no_part_of_a_record():
    """The same record from two pages is one."""
    one = change(control(1), "2026-06-08T10:00:00.000Z")
    assert history.row({**one, "NextToken": "a"})["record_id"] == history.row({**one, "NextToken": "b"})["record_id"]
    assert history.row({**one, "Updates": "x"})["updates"] == "[]"
