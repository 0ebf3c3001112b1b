"""Findings are grouped by what can be followed, tampering first, and a chosen seed goes into case.yaml."""

import pandas as pd
import pytest

from cirtlib import triage
from cirtlib.case import load_case, new_case
from cirtlib.errors import CaseError, NotFoundError
from cirtlib.scope import Scope

ARN = "arn:aws:guardduty:us-east-1:111122223333:detector/d/finding/"
KEY = "AKIAIOSFODNN7EXAMPLE"


def finding(number, **changes):
    when = pd.Timestamp("2026-06-10T00:00:00Z") + pd.Timedelta(hours=number)
    row = {
        "finding_id": f"{ARN}{number}", "account_id": "111122223333", "type": "Recon:IAMUser/X", "title": "t",
        "severity_label": "MEDIUM", "first_seen": when, "last_seen": when, "count": 1, "sample": False,
        "form": "guardduty", "access_key_id": None, "principal_name": None, "principal_id": None, "instance_id": None,
        "attack_sequence": None, "sequence_keys": None, "resource_ids": ["arn:aws:s3:::b"], "resource_type": "S3Bucket",
    }  # fmt: skip
    return {**row, **changes}


@pytest.fixture
def case(tmp_path):
    return new_case(tmp_path / "case", {})


@pytest.fixture
def hold(monkeypatch):
    """Let the case hold these findings."""
    return lambda *rows: monkeypatch.setattr(triage.queries, "findings", lambda case: pd.DataFrame(list(rows)))


def test_a_pivot_gathers_its_findings(case, hold):
    """One row per key, principal, instance and sequence: count, accounts, first, last, highest severity."""
    hold(
        finding(1, access_key_id=KEY, principal_name="mara", severity_label="LOW", count=3),
        finding(2, access_key_id=KEY, account_id="444455556666", severity_label="HIGH"),
        finding(3, instance_id="i-0123456789abcdef0"),
        finding(4, attack_sequence="seq", sequence_keys=[KEY], severity_label="CRITICAL"),
        finding(5),
    )
    table = triage.pivots(case).set_index(["kind", "pivot"])
    key = table.loc[("access key", KEY)]
    assert (key["findings"], key["count"], key["severity"]) == (3, 5, "CRITICAL")
    assert key["accounts"] == ["111122223333", "444455556666"]
    assert (key["first_seen"].hour, key["last_seen"].hour) == (1, 4)
    assert key["seed"] == f"access_key={KEY}"
    assert ("principal", "111122223333 mara") in table.index
    assert table.loc[("instance", "i-0123456789abcdef0"), "seed"] == f"finding={ARN}3"
    assert ("attack sequence", "seq") in table.index
    assert table.loc[("resource", "arn:aws:s3:::b"), "findings"] == 1


def test_a_finding_that_two_products_report_counts_once(case, hold):
    """Security Hub's copy of a GuardDuty finding adds nothing, whichever was read first."""
    copy = finding(1, access_key_id=KEY, count=3, form="asff", type="TTPs/X")
    hold(copy, finding(1, access_key_id=KEY, count=3))
    table = triage.pivots(case)
    assert (len(table), table["findings"][0], table["count"][0]) == (1, 1, 3)
    assert table["types"][0] == ["Recon:IAMUser/X"]


@pytest.mark.parametrize("kind", ["Stealth:IAMUser/CloudTrailLoggingDisabled", "DefenseEvasion:IAMUser/Anomalous"])
def test_tampering_stands_on_top_whatever_its_severity(case, hold, kind):
    """A Low finding about logging stands above a Critical one."""
    hold(
        finding(1, access_key_id="AKIAOTHER00000000000", severity_label="CRITICAL"),
        finding(2, type=kind, severity_label="LOW"),
    )
    table = triage.pivots(case)
    assert list(table["pinned"]) == [True, False]
    assert table["severity"][0] == "LOW"


def test_a_sample_pins_nothing(case, hold):
    """A sample finding about logging is counted as a sample, and not taken for tampering."""
    hold(finding(1, type="Stealth:IAMUser/CloudTrailLoggingDisabled", sample=True))
    table = triage.pivots(case)
    assert (list(table["pinned"]), list(table["samples"])) == ([False], [1])


def test_what_the_scope_explains_is_marked(case, hold):
    """A pivot in the extent, or whose findings the scope knows, is explained; another is not."""
    hold(finding(1, access_key_id=KEY), finding(2, principal_name="stranger"), finding(3, instance_id="i-1"))
    node = {"id": f"access_key:{KEY}", "kind": "credential", "value": KEY, "status": "compromised"}
    edge = {"from": node["id"], "to": f"finding:{ARN}3", "kind": "reported_by", "evidence": []}
    scope = Scope({"nodes": [node], "edges": [edge], "leads": [], "gaps": []}, pd.DataFrame())
    table = triage.pivots(case, scope=scope).set_index("pivot")["explained"]
    assert table[KEY] == f"compromised: access_key:{KEY}"
    assert table["i-1"] == f"compromised: access_key:{KEY}"
    assert table["111122223333 stranger"] == ""


def test_no_finding_is_an_empty_table(case, hold):
    """A case without findings has a table with the same columns."""
    hold()
    assert list(triage.pivots(case)) == list(triage.COLUMNS)


def test_a_seed_goes_into_case_yaml_once(case, hold):
    """The chosen seed is added to those that were there; twice is once."""
    hold(finding(1))
    triage.use_as_seed(case, f"access_key={KEY}")
    again = triage.use_as_seed(triage.use_as_seed(case, f"finding={ARN}1"), f"finding={ARN}1")
    assert [str(seed) for seed in again.seeds] == [f"access_key={KEY}", f"finding={ARN}1"]
    assert load_case(case.path).seeds == again.seeds


@pytest.mark.parametrize(
    ("seed", "error"), [("nonsense", CaseError), ("key=x", CaseError), (f"finding={ARN}9", NotFoundError)]
)
def test_a_wrong_seed_is_refused(case, hold, seed, error):
    """What is no seed, or names a finding that is not there, leaves case.yaml as it was."""
    hold(finding(1))
    before = (case.path / "case.yaml").read_bytes()
    with pytest.raises(error):
        triage.use_as_seed(case, seed)
    assert (case.path / "case.yaml").read_bytes() == before
