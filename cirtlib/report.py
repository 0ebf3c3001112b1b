"""The incident report: the case's results, one offline HTML file, and the hashes of all of them."""

import hashlib
import json
from collections.abc import Mapping
from html import unescape
from pathlib import Path
from typing import Any

import nbformat

from cirtlib import containment, names, queries, redaction, timeline
from cirtlib import scope as scoping
from cirtlib.case import Case
from cirtlib.errors import ReportError
from cirtlib.kernel import execute
from cirtlib.page import change, page, readable
from cirtlib.prevention import write as write_prevention
from cirtlib.shipped import shipped

_NAMES = """
SELECT DISTINCT kind, value FROM (
    SELECT 'user' AS kind, user_name AS value FROM events WHERE principal_type <> 'AssumedRole'
    UNION ALL SELECT 'user', session_name FROM events
    UNION ALL SELECT 'user', source_identity FROM events
    UNION ALL SELECT 'user', json_extract_scalar(request, '$.userName') FROM events
    UNION ALL SELECT 'user', json_extract_scalar(request, '$.roleSessionName') FROM events
    UNION ALL SELECT 'bucket', json_extract_scalar(request, '$.bucketName') FROM events
) WHERE value IS NOT NULL ORDER BY kind, value
"""
_REDACTED = (
    "Redacted for sharing: account, key and principal ids, addresses, user and session names, e-mail addresses, bucket "
    "names and organization ids are replaced by pseudonyms. Roles, policies, event ids and times are not. Read the "
    "notes before you share them: free text may hold more."
)


def run(case: Case, notebook: str = "incident_report", *, parameters: Mapping[str, object] | None = None) -> Path:
    """Execute a copy of a shipped notebook on the case, strictly, into out/report.

    Parameters
    ----------
    notebook
        its name without .ipynb, such as 03_scope.
    parameters
        other parameters than `case`: start, end, principals.

    Returns
    -------
    Path
        the executed notebook.

    Raises
    ------
    ReportError
        when there is no such notebook, it knows no such parameter, or one of its cells failed.
    """
    names = sorted(file.stem for file in shipped("notebooks").glob("*.ipynb"))
    if notebook not in names:
        raise ReportError(f"no notebook {notebook!r}; there are {', '.join(names)}")
    output = case.out / "report" / f"{notebook}.ipynb"
    given = {**(parameters or {}), "case": str(case.path)}
    execute(shipped("notebooks") / f"{notebook}.ipynb", output, given)
    return output


def report(case: Case, *, redact: bool = False) -> Path:
    """Write the incident report, with scope, plan and timeline as they are now, and a manifest of their hashes.

    The same case gives the same bytes: every "now" is the case's `as_of`.

    Parameters
    ----------
    redact
        for sharing outside: write incident_report_redacted.html, in which pseudonyms stand for identifiers; what
        stands for what is in redaction_key.json, which must stay.

    Returns
    -------
    Path
        the HTML file in out/report.
    """
    scoping.load(case)
    containment.write(case)
    write_prevention(case)
    timeline.export(case)
    executed = nbformat.read(run(case), as_version=4)
    title = f"Incident report {case.name}"
    folder = case.out / "report"
    target = folder / ("incident_report_redacted.html" if redact else "incident_report.html")
    html = page(executed, title=title, notice=_REDACTED if redact else "")
    if redact:
        html, key = _redacted(case, html)
        _write(folder / "redaction_key.json", json.dumps(key, indent=1, sort_keys=True) + "\n")
        (folder / "redaction_key.json").chmod(0o600)
    _write(target, html)
    _write(folder / "manifest.json", json.dumps(manifest(case), indent=1) + "\n")
    return target


def manifest(case: Case) -> dict[str, Any]:
    """SHA-256 and size of everything that may be handed on: report, plan, scope, timeline and tables."""
    plan = ("plan/*", "plan/brake-*/*", "plan/prevent/*", "plan/prevent/*/*")
    patterns = ("report/*.html", *plan, "scope.json", "scope_events.parquet", "timeline/*", "tables/*")
    files = sorted({file for pattern in patterns for file in case.out.glob(pattern) if file.is_file()})
    return {
        "case": case.name,
        "as_of": f"{queries.as_of(case):%Y-%m-%dT%H:%M:%SZ}",
        "files": [
            {
                "path": file.relative_to(case.path).as_posix(),
                "bytes": file.stat().st_size,
                "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            }
            for file in files
        ],
    }


def _redacted(case: Case, html: str) -> tuple[str, dict[str, str]]:
    """Page with pseudonyms, and what stands for what."""
    found = queries.sql(case, _NAMES, engine="local")
    pseudonyms = redaction.Pseudonyms()
    text = _words(html)
    pseudonyms.learn(zip(found["kind"], found["value"].astype(str), strict=True), text=text)
    pseudonyms.learn(("name", name) for name in names.read(case).all())
    replace = pseudonyms.replacer(within=text)
    html = change(
        html, lambda text: redaction.redact_html(text, replace), lambda data: redaction.redact_figure(data, replace)
    )
    return html, pseudonyms.given


def _words(html: str) -> str:
    """All texts of a page as a reader sees them; those that a figure broke into lines in one piece, too."""
    text = unescape(readable(html)).replace("\\u003c", "<").replace("\\u003e", ">").replace("\\u0026", "&")
    return f"{text}\n{text.replace('<br>', '')}"


def _write(file: Path, text: str) -> None:
    """Replace the file at once, so that nobody reads half of it."""
    scratch = file.with_name(file.name + ".new")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(file)
