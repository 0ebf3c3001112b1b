"""The report is one file with the same bytes for the same case, says what the evidence says, and can be redacted."""

import hashlib
import json
import re
import shutil

import nbformat
import pytest

from cirtlib import queries, report
from cirtlib.case import load_case, update_case
from cirtlib.errors import ReportError
from cirtlib.page import page
from cirtlib.timeline import add_note

pytestmark = pytest.mark.integration  # two whole runs of the report; `make report` is the everyday one


@pytest.fixture(scope="module")
def written(incident, tmp_path_factory):
    """The incident's case with a note in it; its report, its redacted report, and the runs behind both."""
    folder = tmp_path_factory.mktemp("reported") / "case"
    shutil.copytree(incident[0].path, folder, symlinks=True)
    known = {"accounts": {"Zanzibar ledger": ["444455556666"]}}
    case = update_case(load_case(folder), "known", known)
    add_note(case, "Called the owner of the key <b>at once</b>", by="an analyst")
    pages, runs = [], []
    for redact in (False, True):
        pages.append(report.report(case, redact=redact).read_text(encoding="utf-8"))
        runs.append((case.out / "report" / "incident_report.ipynb").read_bytes())
    return case, *pages, runs


def content(html):
    """What a reader sees: the page without plotly.js and our script."""
    return re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)


def test_the_same_case_gives_the_same_bytes(written):
    """Neither times nor ids of the run stand in the report."""
    case, whole, _, runs = written
    assert runs[0] == runs[1]
    again = page(nbformat.reads(runs[1].decode(), as_version=4), title=f"Incident report {case.name}")
    assert hashlib.sha256(whole.encode()).hexdigest() == hashlib.sha256(again.encode()).hexdigest()


def test_the_report_tells_the_incident(written, incident):
    """Every node of the true extent stands in it, with status, severity, plan, decisions, notes and accounting."""
    text = content(written[1])
    for node in incident[1]["extent"]:
        assert node["value"] in text, node
    for heading in ("Status and severity", "What we know", "What we do not know", "Chronology", "What is affected",
                    "Containment plan", "Open decisions", "Evidence"):  # fmt: skip
        assert heading in text
    assert "Severity: critical" in text
    assert "Called the owner of the key &lt;b&gt;at once&lt;/b&gt;" in text
    assert "seen again, equal in content" in text


def test_every_statement_cites_evidence_that_the_report_holds(written):
    """The sentences of what we know each link to rows of the appendix."""
    text = written[1]
    known = re.search(r'id="section-2".*?<ul class="statements">(.*?)</ul>', text, re.DOTALL)[1]
    sentences = re.findall(r"<li>(.*?)</li>", known, re.DOTALL)
    places = set(re.findall(r'<tr id="([^"]+)"', text))
    assert len(sentences) > 5
    for sentence in sentences:
        cited = re.findall(r'class="cite" href="#([^"]+)"', sentence)
        assert cited, sentence
        assert set(cited) <= places, sentence


def test_the_report_names_no_machine(written):
    """The page holds neither the case's path nor this machine's name."""
    assert str(written[0].path) not in content(written[1])


def test_a_redacted_report_holds_no_identifier(written, incident):
    """No account, key, address, user, session or bucket name remains, in the page or in the figures' data."""
    case, whole, redacted, _ = written
    events = queries.events(case)
    values = {
        *events["account_id"], *events["access_key_id"], *events["principal_id"], *events["caller_account"],
        *events.loc[events["source_ip_kind"].isin(["public", "private"]), "source_ip"],
        *events.loc[events["principal_type"] != "AssumedRole", "user_name"], *events["session_name"],
        *(node["value"] for node in incident[1]["extent"] if node["kind"] == "credential"),
        *incident[1].get("external_accounts", []),
        "Zanzibar ledger",
    }  # fmt: skip
    assert "Zanzibar ledger" in content(whole), "the name of an account stands beside it"
    values = {str(value) for value in values if isinstance(value, str) and len(value) > 3}
    assert len(values) > 50
    shown, text = content(whole), content(redacted)
    assert sum(value in shown for value in values) > 20
    # A part of another word counts, too; but a short name may be part of an innocent one, and digits of a fraction.
    text = re.sub(r"\d+\.\d{6,}", "", text)
    left = [value for value in values if value in text]
    assert [value for value in left if len(value) > 8 or re.search(rf"\b{re.escape(value)}\b", text)] == []
    assert "account-1" in text
    assert "Redacted for sharing" in text
    assert case.name in text


def test_the_key_of_a_redaction_stays(written):
    """What stands for what is kept beside the report, readable by its owner alone, and not in the manifest."""
    folder = written[0].out / "report"
    key = json.loads((folder / "redaction_key.json").read_text())
    assert "account-1" in key.values()
    assert (folder / "redaction_key.json").stat().st_mode & 0o077 == 0
    assert "redaction_key" not in (folder / "manifest.json").read_text()


def test_the_manifest_holds_the_hash_of_everything(written):
    """Report, plan, scope and timeline stand in the manifest with the hashes they have."""
    case = written[0]
    listed = json.loads((case.out / "report" / "manifest.json").read_text())
    paths = {item["path"]: item["sha256"] for item in listed["files"]}
    for path, digest in paths.items():
        assert hashlib.sha256((case.path / path).read_bytes()).hexdigest() == digest
    assert {"out/report/incident_report.html", "out/plan/plan.json", "out/plan/contain.sh", "out/scope.json"} <= set(
        paths
    )
    assert any(path.startswith("out/timeline/") for path in paths)


def test_an_unknown_notebook_names_the_known(written):
    """A mistyped name is answered with those that exist."""
    with pytest.raises(ReportError, match="no notebook '03_scop'; there are 00_start_here"):
        report.run(written[0], "03_scop")
