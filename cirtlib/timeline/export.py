"""The timeline for other tools: CSV, JSON lines, what Timesketch imports, and a page for any browser."""

import csv
import heapq
import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from cirtlib.case import Case
from cirtlib.text import inert, visible
from cirtlib.timeline import wording
from cirtlib.timeline.acts import finding_intervals, judged_events
from cirtlib.timeline.bursts import bursts
from cirtlib.timeline.keys import notable
from cirtlib.timeline.notes import notes

SKETCH = (
    "message", "datetime", "timestamp", "timestamp_desc", "data_type", "principal", "credential", "verdict", "tactic",
    "technique", "action", "target", "outcome", "source_ip", "region", "account_id", "event_id",
)  # fmt: skip
ROWS_ON_PAGE = 2_000
"""Most rows of one table on the page: a browser chokes on more, and the files hold all."""

_PAGE_COLUMNS = ["event_time", "verdict", "words", "outcome", "tactic", "technique", "source_ip", "region", "event_id"]
_KEY_COLUMNS = [
    "event_time", "verdict", "why", "action", "target", "outcome", "technique", "principal", "source_ip", "region",
    "event_id", "events",
]  # fmt: skip
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = (
    "body{font:14px/1.4 sans-serif;margin:2em;color:#111;background:#fff}table{border-collapse:collapse}"
    "td,th{border:1px solid #ccc;padding:3px 6px;text-align:left;vertical-align:top}"
    "td,th{max-width:26em;overflow-wrap:break-word}"
    "th{background:#eee;position:sticky;top:0}.attacker{background:#fdecea}.unclear{background:#fff8e1}"
    "td:first-child{white-space:nowrap}nav a{margin-right:1em}"
)


def export(case: Case, *, everything: bool = False) -> list[Path]:
    """Write the timeline to out/timeline and return the files.

    Each as .csv (no cell is a formula, no control character is left) and .jsonl (values as they are): events, one row
    each with verdict, tactic, technique and who did what to whom in words (`wording.COLUMNS`); bursts; key_events; and
    timesketch with events, findings and notes. Timesketch asks of CSV and JSONL for message, datetime (ISO 8601 with
    zone) and timestamp_desc ("Import data from JSON or CSV" in its user guide). And timeline.html, which holds no more
    than `ROWS_ON_PAGE` rows of each table and loads nothing.

    Parameters
    ----------
    everything
        All principals, without the names of what they acted upon; else those of the extent and the leads.
    """
    folder = case.out / "timeline"
    folder.mkdir(parents=True, exist_ok=True)
    acts = judged_events(case, everything=everything)
    told, runs = notable(acts), bursts(acts)
    lines = heapq.merge(
        _events(acts),
        sorted([*_findings(finding_intervals(case)), *_notes(notes(case))], key=_moment),
        key=_moment,
    )
    files = [
        *_write(folder, "bursts", runs.to_dict("records"), list(runs.columns)),
        *_write(folder, "key_events", told.to_dict("records"), list(told.columns)),
        *_write(folder, "events", wording.told(acts), wording.COLUMNS),
        *_write(folder, "timesketch", lines, SKETCH),
    ]
    html = folder / "timeline.html"
    with html.open("w", encoding="utf-8") as file:
        tables = {"Key events": told[_KEY_COLUMNS], "Bursts": runs.drop(columns="event_ids")}
        file.writelines(page(case.name, tables, acts))
    return [*files, html]


def page(title: str, tables: dict[str, pd.DataFrame], acts: pd.DataFrame) -> Iterator[str]:
    """Parts of the HTML of tables and single events; log text is escaped, its control characters are made visible."""
    head = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    head += f"<title>{escape(title)}</title><style>{_STYLE}</style>"
    yield f'<!doctype html><html lang="en"><head>{head}</head><body><h1>Timeline of {escape(title)} (UTC)</h1>'
    names = [*tables, "Events"]
    links = "".join(f'<a href="#{escape(_anchor(name))}">{escape(name)}</a>' for name in names)
    yield f"<nav>{links}</nav>"
    for name, table in tables.items():
        yield from _html(name, list(table.columns), table.iloc[:ROWS_ON_PAGE].to_dict("records"), len(table))
    judged = acts[acts["verdict"] != ""]
    shown = wording.told(judged.iloc[:ROWS_ON_PAGE])
    yield from _html(
        "Events", _PAGE_COLUMNS, ({name: one[name] for name in _PAGE_COLUMNS} for one in shown), len(judged)
    )
    yield "</body></html>\n"


def _html(name: str, columns: list[str], rows: Iterable[dict[Any, Any]], count: int) -> Iterator[str]:
    more = f"the first {ROWS_ON_PAGE:,} of {count:,}; all are in the CSV" if count > ROWS_ON_PAGE else f"{count:,}"
    yield f'<h2 id="{escape(_anchor(name))}">{escape(name)} <small>({more})</small></h2>'
    heads = "".join(f"<th>{escape(column.replace('_', ' '))}</th>" for column in columns)
    yield f"<table><thead><tr>{heads}</tr></thead><tbody>"
    for row in rows:
        verdict = row["verdict"] if row["verdict"] in ("attacker", "unclear", "owner") else "none"
        cells = "".join(f"<td>{escape(visible(_plain(value)))}</td>" for value in row.values())
        yield f'<tr class="{verdict}">{cells}</tr>'
    yield "</tbody></table>"


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")


def _write(folder: Path, name: str, rows: Iterable[dict[Any, Any]], columns: Iterable[str]) -> list[Path]:
    """Write rows, one by one, as CSV that nothing in a spreadsheet obeys, and as JSON lines."""
    files = [folder / f"{name}.csv", folder / f"{name}.jsonl"]
    names = list(columns)
    with ExitStack() as stack:
        table = stack.enter_context(files[0].open("w", encoding="utf-8", newline=""))
        lines = stack.enter_context(files[1].open("w", encoding="utf-8"))
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(names)
        for row in rows:
            values = [_value(row.get(column)) for column in names]
            writer.writerow([inert(visible(_plain(value))) for value in values])
            lines.write(_json(dict(zip(names, values, strict=True))) + "\n")
    return files


def _json(row: dict[str, Any]) -> str:
    """JSON of one row on one line: some readers end a line at U+2028 too."""
    text = json.dumps(row, ensure_ascii=False).encode("utf-8", "replace").decode()
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\x85", "\\u0085")


def _events(acts: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Judged events as Timesketch takes them."""
    for row in wording.told(acts[acts["verdict"] != ""]):
        message = f"{row['words']} [{row['verdict']}, {row['action']}, {row['outcome']}, from {row['source_ip']}]"
        yield row | _stamp(row["event_time"], "Event Time", message) | {"data_type": "aws:cloudtrail:entry"}


def _findings(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for row in table.itertuples(index=False):
        message = f"{row.product} {row.type} ({row.severity_label}): {row.title}"
        for when, what in ((row.start, "First Seen"), (row.end, "Last Seen")):
            yield _stamp(when, what, message) | {"data_type": "aws:finding:entry", "event_id": row.finding_id}


def _notes(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for row in table.itertuples(index=False):
        yield _stamp(row.time, "Note", f"{row.by}: {row.text}") | {"data_type": "case:note"}


def _stamp(when: datetime, what: str, message: str) -> dict[str, Any]:
    """The fields that Timesketch asks for; `timestamp` is in microseconds."""
    moment = f"{when:%Y-%m-%dT%H:%M:%S.%f+00:00}".replace(".000000", "")
    stamp = int(pd.Timestamp(when).timestamp() * 1_000_000)
    return {"message": message, "datetime": moment, "timestamp": stamp, "timestamp_desc": what}


def _moment(row: dict[str, Any]) -> int:
    return int(row["timestamp"])


def _value(value: object) -> object:
    if value is None or isinstance(value, str):  # nearly all cells
        return value
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}" if pd.notna(value) else None
    if isinstance(value, list):
        return [_value(item) for item in value]
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value


def _plain(value: object) -> str:
    made = _value(value)
    if isinstance(made, list):
        return ", ".join(_plain(item) for item in made)
    return "" if made is None else str(made)
