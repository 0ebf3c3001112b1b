"""The timeline for other tools: CSV, JSON lines, Timesketch's CSV, and a page for any browser."""

import json
from collections.abc import Iterator
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from cirtlib.case import Case
from cirtlib.text import inert, visible
from cirtlib.timeline.acts import finding_intervals, judged_events
from cirtlib.timeline.bursts import bursts
from cirtlib.timeline.keys import notable
from cirtlib.timeline.notes import notes

_STYLE = (
    "body{font:14px/1.4 sans-serif;margin:2em;color:#111;background:#fff}table{border-collapse:collapse}"
    "td,th{border:1px solid #ccc;padding:3px 6px;text-align:left;vertical-align:top;overflow-wrap:anywhere}"
    "th{background:#eee;position:sticky;top:0}.attacker{background:#fdecea}.unclear{background:#fff8e1}"
)


def export(case: Case) -> list[Path]:
    """Write the timeline to out/timeline and return the files.

    bursts and key_events as .csv (formulas made inert) and .jsonl (as it is); timesketch.csv with every judged event,
    finding and note (message, datetime, timestamp_desc: timesketch.org, "Import data from CSV"); timeline.html.
    """
    folder = case.out / "timeline"
    folder.mkdir(parents=True, exist_ok=True)
    acts = judged_events(case)
    told, runs = notable(acts), bursts(acts)
    files = [*_tables(folder, "bursts", runs), *_tables(folder, "key_events", told)]
    lines = sorted(
        [*_events(acts), *_findings(finding_intervals(case)), *_notes(notes(case))],
        key=lambda r: (r["datetime"], r["message"]),
    )
    columns = [
        "message",
        "datetime",
        "timestamp_desc",
        "data_type",
        "principal",
        "verdict",
        "tactic",
        "source_ip",
        "event_id",
    ]
    _csv(folder / "timesketch.csv", pd.DataFrame(lines, columns=columns))
    (folder / "timeline.html").write_text(page(case.name, told, runs), encoding="utf-8")
    return [*files, folder / "timesketch.csv", folder / "timeline.html"]


def page(title: str, told: pd.DataFrame, runs: pd.DataFrame) -> str:
    """HTML of key events and bursts; log text is escaped and its control characters are made visible."""
    parts = [
        f"<h2>{escape(name)}</h2><table><tr>{''.join(f'<th>{escape(str(column))}</th>' for column in table)}</tr>"
        + "".join(_line(record) for record in table.to_dict("records"))
        + "</table>"
        for name, table in (("Key events", told), ("Bursts", runs.drop(columns="event_ids")))
    ]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    body = f"<h1>Timeline of {escape(title)} (UTC)</h1>{''.join(parts)}"
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def _line(record: dict[Any, Any]) -> str:
    verdict = record["verdict"] if record["verdict"] in ("attacker", "unclear", "owner") else "none"
    cells = "".join(f"<td>{escape(visible(_plain(value)))}</td>" for value in record.values())
    return f'<tr class="{verdict}">{cells}</tr>'


def _tables(folder: Path, name: str, table: pd.DataFrame) -> Iterator[Path]:
    _csv(folder / f"{name}.csv", table)
    yield folder / f"{name}.csv"
    with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
        for record in table.to_dict("records"):
            file.write(json.dumps({key: _value(value) for key, value in record.items()}, ensure_ascii=False) + "\n")
    yield folder / f"{name}.jsonl"


def _csv(file: Path, table: pd.DataFrame) -> None:
    """Write CSV in which no cell is a formula and no control character is left."""
    cells = table.map(lambda value: inert(visible(_plain(value))))
    cells.to_csv(file, index=False, lineterminator="\n", encoding="utf-8")


def _events(acts: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for act in acts[acts["verdict"] != ""].itertuples(index=False):
        call = f"{act.event_source}:{act.event_name} ({act.outcome})"
        message = f"{call} by {act.principal} from {act.source_ip} [{act.verdict}]"
        made = {name: getattr(act, name) for name in ("principal", "verdict", "tactic", "source_ip", "event_id")}
        yield made | _stamp(act.event_time, "Event Time", message) | {"data_type": "aws:cloudtrail:entry"}


def _findings(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for row in table.itertuples(index=False):
        message = f"{row.product} {row.type} ({row.severity_label}): {row.title}"
        for when, what in ((row.start, "First Seen"), (row.end, "Last Seen")):
            yield _stamp(when, what, message) | {"data_type": "aws:finding:entry", "event_id": row.finding_id}


def _notes(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for row in table.itertuples(index=False):
        yield _stamp(row.time, "Note", f"{row.by}: {row.text}") | {"data_type": "case:note"}


def _stamp(when: datetime, what: str, message: str) -> dict[str, Any]:
    return {"message": message, "datetime": f"{when:%Y-%m-%dT%H:%M:%S+00:00}", "timestamp_desc": what}


def _value(value: object) -> object:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
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
