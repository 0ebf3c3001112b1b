"""The manifest chains every object that was read; what was changed since is told."""

import json
import stat
from pathlib import Path

import pytest
from test_records import event, text

from cirtlib import evidence
from cirtlib.case import Case, new_case
from cirtlib.collect import collect
from cirtlib.errors import EvidenceError


@pytest.fixture
def case(tmp_path: Path) -> Case:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "1.json").write_bytes(text({"Records": [event(1)]}))
    (logs / "2.json").write_bytes(text({"Records": [event(2), {"no": "record", "sessionToken": "FAKE-TOKEN"}]}))
    (logs / "$(touch owned); ..").write_bytes(text({"Records": [event(3)]}))
    made = new_case(tmp_path / "case", {"sources": [{"cloudtrail": {"folder": str(logs)}}]})
    collect(made)
    return made


def test_untouched_evidence_is_intact(case: Case) -> None:
    """Nothing is reported of evidence as it was collected, however often it is collected."""
    assert evidence.verify(case) == []
    collect(case)
    assert evidence.verify(case) == []
    assert len(evidence.entries(case)) == 3


def test_originals_are_kept_as_delivered_and_private(case: Case) -> None:
    """Named by hash alone, for the owner alone; names of objects stand only in the manifest."""
    kept = [file for file in case.evidence.rglob("*") if file.is_file() and file.parent.parent == case.raw]
    assert {file.name for file in kept} == {entry["object"] for entry in evidence.entries(case)}
    for file in kept:
        assert evidence.sha256(file.read_bytes()) == file.name
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(case.raw.stat().st_mode) == 0o700
    assert not [file for file in case.path.rglob("*") if "touch" in file.name]
    assert any("touch owned" in entry["name"] for entry in evidence.entries(case))


def test_the_quarantine_holds_what_was_rejected_without_tokens(case: Case) -> None:
    """The bytes lie under object and position; a session token does not."""
    (file,) = [file for file in case.quarantine.rglob("*") if file.is_file()]
    assert file.name.endswith("-1")
    assert json.loads(file.read_bytes()) == {"no": "record", "sessionToken": "REDACTED"}


def _original(case: Case) -> Path:
    return next(file for file in sorted(case.raw.rglob("*")) if file.is_file())


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda case: _original(case).write_bytes(b"{}"), "was changed"),
        (lambda case: _original(case).unlink(), "is missing"),
        (lambda case: next(f for f in case.quarantine.rglob("*-1")).write_bytes(b"x"), "quarantine was changed"),
        (lambda case: next(f for f in case.quarantine.rglob("*-1")).unlink(), "quarantine is missing"),
        (lambda case: _edit(case, lambda lines: [lines[0].replace(b'"seen":1', b'"seen":2'), *lines[1:]]), "chain"),
        (lambda case: _edit(case, lambda lines: [lines[0], *lines[2:]]), "chain"),
        (lambda case: _edit(case, lambda lines: lines[:-1]), "last collect"),
        (lambda case: _edit(case, lambda lines: []), "last collect"),
        (lambda case: _edit(case, lambda lines: [*lines[:2], lines[2][:-1] + b" }"]), "last collect"),
        (lambda case: _edit(case, lambda lines: [b"nonsense", *lines]), "no JSON"),
        (lambda case: case.manifest.write_bytes(case.manifest.read_bytes() + b'{"half'), "unfinished"),
    ],
)
def test_every_change_is_told(case: Case, harm, said: str) -> None:
    """An original, a quarantined item or a manifest line that was changed, removed or cut off is a fault."""
    harm(case)
    assert any(said in fault for fault in evidence.verify(case)), evidence.verify(case)


def _edit(case: Case, change) -> None:
    lines = case.manifest.read_bytes().splitlines()
    case.manifest.write_bytes(b"".join(line + b"\n" for line in change(lines)))


def test_a_line_that_a_crash_cut_off_is_taken_back(case: Case) -> None:
    """An unfinished line answers for nothing; the next collect goes on behind the last whole one."""
    case.manifest.write_bytes(case.manifest.read_bytes() + b'{"half')
    (case.path.parent / "logs" / "4.json").write_bytes(text({"Records": [event(4)]}))
    assert collect(case)["new"] == 1
    assert evidence.verify(case) == []


def test_a_changed_original_is_not_shown_as_evidence(case: Case) -> None:
    """Loading checks the hash."""
    file = _original(case)
    file.write_bytes(b"{}")
    with pytest.raises(EvidenceError, match="was changed"):
        evidence.load(case, file.name)


def test_a_damaged_manifest_is_no_traceback(case: Case) -> None:
    """The error names the line."""
    _edit(case, lambda lines: [b"nonsense", *lines])
    with pytest.raises(EvidenceError, match="line 1"):
        collect(case)
