"""Every finding of GuardDuty comes through its API: once, in every version, and what is missing is said."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest
from fake_findings import ACCOUNT, balanced, case_of, change, cloud, control, ended, finding

from cirtlib import evidence, queries
from cirtlib.collect import collect
from cirtlib.errors import AccessError, CaseError

__all__ = ["cloud"]

REGIONS = ["us-east-1", "eu-west-1"]


def versions(case):
    found = queries.findings(case)
    return sorted(zip(found["finding_id"].str.rpartition("/")[2], found["count"], strict=True))


def test_all_findings_come_page_by_page_and_as_they_were_answered(cloud, tmp_path):
    """120 findings are three pages; a field that botocore does not know is still there, and archived ones are."""
    archived = {"detectorId": "d1", "archived": True}
    found = [finding(n, **({"service": archived} if n == 5 else {})) for n in range(120)]
    cloud.detectors = {"us-east-1": {"d1": {"findings": found}}}
    case = case_of(cloud, tmp_path)
    assert collect(case)["kept"] == 120
    table = queries.findings(case)
    assert table["archived"].sum() == 1
    assert "assumed-role/devRole/s" in table["details"][0]
    assert set(table["resource_ids"].map(len)) == {1}
    pages = evidence.entries(case)
    assert [line["facts"]["ids"] for line in pages] == [50, 50, 20]
    assert pages[0]["name"].startswith(f"{ACCOUNT}/us-east-1/d1/20260610T104900Z-")
    assert json.loads(evidence.load(case, pages[0]["object"]))["findings"][0] == found[0]
    assert evidence.verify(case) == []


def test_a_region_says_how_it_ended(cloud, tmp_path):
    """Read, empty, off, suspended, denied and failed are told apart, and one does not keep others from being read."""
    cloud.detectors = {
        "us-east-1": {"d1": {"findings": [finding(1)]}},
        "eu-west-1": {"d2": {"findings": []}},
        "eu-west-3": {"d3": {"findings": [], "status": "DISABLED"}},
        "eu-north-1": {"d4": {"findings": []}},
        "sa-east-1": {"d5": {"findings": [finding(1)]}},
    }

    def wrong(region, operation, _):
        if region == "eu-north-1":
            return 403, "AccessDeniedException"
        return (400, "BadRequestException") if (region, operation) == ("sa-east-1", "GetFindings") else None

    cloud.wrong = wrong
    case = case_of(cloud, tmp_path, regions=[*cloud.detectors, "us-west-2"])
    assert collect(case)["kept"] == 1
    found = {region: (one["status"], one["reason"]) for region, one in ended(case).items()}
    assert found["us-east-1"] == ("read", "")
    assert found["eu-west-1"] == ("empty", "")
    assert found["us-west-2"] == ("absent", "GuardDuty is off: no detector")
    assert found["eu-west-3"][0] == "absent"
    assert "suspended" in found["eu-west-3"][1]
    assert found["eu-north-1"] == ("denied", "AccessDeniedException: AccessDeniedException by test")
    assert found["sa-east-1"][0] == "failed"


def test_a_repeated_collect_asks_for_what_was_updated_and_keeps_every_version(cloud, tmp_path):
    """The old version stays beside the new one, `latest` marks the new, and nothing is there twice."""
    known = [finding(n) for n in range(120)]
    cloud.detectors = {"us-east-1": {"d1": {"findings": known}}}
    case = case_of(cloud, tmp_path)
    collect(case)
    assert collect(case)["new"] == 0
    cloud.asked.clear()
    known[3] = finding(3, updatedAt="2026-06-10T15:00:00.000Z", service={"detectorId": "d1", "count": 9})
    result = collect(case)
    assert (result["new"], cloud.count("GetFindings")) == (1, 2)
    table = queries.sql(case, "SELECT count, latest FROM findings WHERE finding_id LIKE '%/f3' ORDER BY count")
    assert table.to_dict("list") == {"count": [1, 9], "latest": [False, True]}
    assert len(queries.sql(case, "SELECT * FROM findings WHERE latest")) == 120
    balanced(case)


def test_a_finding_that_was_archived_since_comes_again_though_its_time_did_not_change(cloud, tmp_path):
    """Archiving leaves updatedAt alone; what an attacker put away is seen, and asked for once only."""
    known = [finding(n) for n in range(0, 240, 4)]
    cloud.detectors = {"us-east-1": {"d1": {"findings": known}}}
    case = case_of(cloud, tmp_path)
    collect(case)
    known[0] = finding(0, service={"detectorId": "d1", "count": 1, "archived": True})
    assert collect(case)["new"] == 1
    latest = queries.sql(case, "SELECT archived FROM findings WHERE latest AND finding_id LIKE '%/f0'")
    assert list(latest["archived"]) == [True]
    cloud.asked.clear()
    assert collect(case)["new"] == 0
    assert not any("f0" in given.get("findingIds", ()) for _, _, given in cloud.asked)


def test_what_was_listed_and_not_given_is_said_and_asked_for_again(cloud, tmp_path):
    """A finding that is missing in the answer is named in the ledger; once it is there, it is read."""
    detector = {"findings": [finding(n) for n in (1, 200, 400)], "gone": ["f1"]}
    cloud.detectors = {"us-east-1": {"d1": detector}}
    case = case_of(cloud, tmp_path)
    collect(case)
    assert "1 findings were listed and not given (f1)" in ended(case)["us-east-1"]["reason"]
    detector["gone"] = []
    collect(case)
    assert [name for name, _ in versions(case)] == ["f1", "f200", "f400"]
    assert ended(case)["us-east-1"]["reason"] == ""


def test_a_region_that_fails_once_goes_on_from_where_it_was(cloud, tmp_path):
    """A failure between two collects does not cost reading everything again."""
    cloud.detectors = {"us-east-1": {"d1": {"findings": [finding(n) for n in range(0, 400, 4)]}}}
    case = case_of(cloud, tmp_path)
    collect(case)
    cloud.wrong = lambda *_: (403, "AccessDeniedException")
    collect(case)
    assert ended(case)["us-east-1"]["status"] == "denied"
    cloud.wrong = lambda *_: None
    cloud.asked.clear()
    assert collect(case)["new"] == 0
    assert ended(case)["us-east-1"]["status"] == "read"
    assert cloud.count("GetFindings") == 1


def test_a_throttled_call_is_tried_again(cloud, tmp_path):
    """Throttling costs time and no finding."""
    cloud.detectors = {"us-east-1": {"d1": {"findings": [finding(1)]}}}
    faults = iter([(429, "TooManyRequestsException")])
    cloud.wrong = lambda region, operation, _: next(faults, None) if operation == "GetFindings" else None
    case = case_of(cloud, tmp_path)
    assert collect(case)["kept"] == 1


@pytest.mark.parametrize("honest", [True, False])
def test_the_users_filter_is_applied_on_both_sides(cloud, tmp_path, honest):
    """A service that ignores it gives the same table, and what was left out is counted."""
    cloud.honest = honest
    found = [finding(1, severity=8), finding(2, severity=2), finding(3, severity=8, type="New:Kind/Never.Seen")]
    cloud.detectors = {"us-east-1": {"d1": {"findings": found}}}
    criteria = {"severity": {"GreaterThanOrEqual": 7}, "service.additionalInfo.threatName": {"NotEquals": ["x"]}}
    case = case_of(cloud, tmp_path, {"criteria": criteria})
    collect(case)
    assert [name for name, _ in versions(case)] == ["f1", "f3"]
    one = ended(case)["us-east-1"]
    assert len(one["facts"]["dropped"]) == (0 if honest else 1)
    assert ("1 findings that AWS gave do not match" in one["reason"]) != honest
    assert "service.additionalInfo.threatName was left to AWS" in one["reason"]
    assert '"GreaterThanOrEqual": 7' in one["extent"]


def test_times_choose_findings_that_stood_in_them(cloud, tmp_path):
    """Made before the end, updated since the start."""
    found = [finding(10), finding(20), finding(30, createdAt="2026-06-10T10:30:00.000Z")]
    cloud.detectors = {"us-east-1": {"d1": {"findings": found}}}
    case = case_of(cloud, tmp_path, {"start": "2026-06-10T10:15:00Z", "end": "2026-06-10T10:25:00Z"})
    collect(case)
    assert [name for name, _ in versions(case)] == ["f20"]
    assert ended(case)["us-east-1"]["start"] == "2026-06-10T10:15:00.000Z"


def test_hostile_text_stays_text(cloud, tmp_path):
    """Markup, line breaks, half a surrogate and other scripts are kept; a detector's name leads nowhere."""
    nasty = '<script>alert(1)</script>\n"; DROP TABLE findings --'
    found = [finding(1, title=nasty, description="\ud800 ünïcode 日本"), finding(2, id="../../f2")]
    cloud.detectors = {"us-east-1": {"d..1": {"findings": found}}}
    case = case_of(cloud, tmp_path)
    assert collect(case)["kept"] == 2
    table = queries.findings(case)
    assert nasty in set(table["title"])
    assert any("日本" in text for text in table["description"])


def test_credentials_that_run_out_end_the_collect_and_the_next_one_finishes_it(cloud, tmp_path):
    """What was read stays, the error says what to do, and afterwards every finding is there once."""
    cloud.detectors = {"us-east-1": {"d1": {"findings": [finding(n) for n in range(120)]}}}
    cloud.wrong = lambda _, operation, given: (
        (403, "ExpiredTokenException") if operation == "GetFindings" and "f110" in given["findingIds"] else None
    )
    case = case_of(cloud, tmp_path)
    with pytest.raises(AccessError, match="renew them and run the same command again"):
        collect(case)
    assert len(queries.findings(case)) == 100
    cloud.wrong = lambda *_: None
    collect(case)
    assert balanced(case)["kept"] == len(versions(case)) == 120
    assert balanced(case)["duplicate"] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"criteria": {"severity": {"Above": 7}}}, "no filter of guardduty"),
        ({"criteria": {"type": "x"}}, "no filter of guardduty"),
        ({"filters": {}}, "should be true, or a mapping with criteria, end, start"),
        ("yes", "should be true"),
        ({"start": "2026-06-11", "end": "2026-06-10"}, "end is not after start"),
        ({"start": "yesterday"}, "no time"),
    ],
)
def test_options_that_are_wrong_are_said_before_anything_is_asked(cloud, tmp_path, options, said):
    """With what to write instead."""
    with pytest.raises(CaseError, match=said):
        collect(case_of(cloud, tmp_path, options))
    assert cloud.asked == []


@pytest.mark.integration
@pytest.mark.parametrize("kind", ["guardduty", "security_hub"])
def test_a_collect_that_was_killed_goes_on(cloud, tmp_path, kind):
    """`kill -9` at any moment, and again: nothing is lost, nothing is there twice, and the account adds up."""
    cloud.detectors = {
        region: {"d1": {"findings": [finding(n, region=region) for n in range(300)]}} for region in REGIONS
    }
    controls = [control(n) for n in range(40)]
    cloud.hubs = {"us-east-1": controls}
    cloud.histories = {one["Id"]: [change(one, "2026-06-10T11:00:00.000Z")] for one in controls}
    cloud.wrong = lambda *_: time.sleep(0.02)
    total = 12 if kind == "guardduty" else 42
    case = case_of(cloud, tmp_path, kind=kind, regions=REGIONS)
    code = "import sys; from cirtlib.case import load_case; from cirtlib.collect import collect; "
    code += "import cirtlib.collect as c; c._SECONDS = 0; collect(load_case(sys.argv[1]))"
    moment, ends = random.Random(4), []
    for _ in range(4):
        running = subprocess.Popen([sys.executable, "-c", code, str(case.path)], start_new_session=True)
        wanted = len(evidence.entries(case)) + moment.randint(0, total // 6)
        asked = len(cloud.asked)
        while running.poll() is None and (len(evidence.entries(case)) < wanted or len(cloud.asked) < asked + 3):
            time.sleep(0.002)
        running.kill()
        ends.append((running.wait(), len(evidence.entries(case))))
    assert ends[0][0] == -signal.SIGKILL
    assert any(0 < pages < total for status, pages in ends if status), ends
    collect(case)
    assert balanced(case)["rejected"] == 0
    assert balanced(case)["duplicate"] == 0
    assert evidence.verify(case) == []
    assert len(queries.findings(case)) == (600 if kind == "guardduty" else 40)
    assert len(queries.finding_history(case)) == (0 if kind == "guardduty" else 40)
