"""Tables, statements and figures, shown alike in JupyterLab and in the report.

Log content is written by the attacker. Everything shown here is escaped; control and direction-changing characters are
made visible; nothing is cut off without saying so.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

import pandas as pd
import plotly.io as pio
from IPython.display import display

from cirtlib.case import Case
from cirtlib.text import inert, visible

PLOTLY = "application/vnd.plotly.v1+json"
# "Share chart" of plotly.js 4 would upload the data behind a figure, that is evidence: switched off everywhere.
FIGURE_CONFIG = {"displaylogo": False, "responsive": True, "showSendToCloud": False}
_CELL = 400
_LIST = 4
_TAG = re.compile("<[^>]*>")
_IDS = {"event_id", "event_ids", "finding_id", "finding_ids", "evidence"}
_LINES = 5  # that a text in a cell takes at most, unless it is broken by hand
_WORD = 22  # characters of the longest word that a column still holds without breaking it


@dataclass(frozen=True)
class Statement:
    """One sentence of the report and the event or finding ids it rests on."""

    text: str
    evidence: tuple[str, ...] = ()
    total: int = 0  # how many ids there are in all, when `evidence` holds only the first of them


@dataclass(frozen=True)
class Html:
    """HTML that a notebook shows when it is a cell's last expression."""

    text: str

    def _repr_html_(self) -> str:
        return self.text


def show_table(
    frame: pd.DataFrame,
    caption: str,
    *,
    case: Case | None = None,
    name: str = "",
    rows: int = 40,
    whole_ids: bool = False,
) -> Html:
    """HTML table of the first `rows` rows; says how many there are, and exports all to out/tables/`name`.csv.

    Lists and texts too long for a cell say how much more there is; the export holds them whole. A column `id` holds
    whole evidence ids, and its rows are where citations lead. With `whole_ids` evidence ids stand in their cells whole,
    to be copied, not as citations.
    """
    exported = export_table(frame, case, name) if case and name else ""
    if frame.empty:
        return Html(f"<p><strong>{escape(caption)}</strong>: none.</p>")
    shown = frame.iloc[:rows]
    count = f"{len(shown):,} of {len(frame):,} row{'' if len(frame) == 1 else 's'}"
    place = f"; all of them in {exported}" if exported else ""
    return Html(
        f'<div class="table" tabindex="0" role="region" aria-label="{escape(caption, quote=True)}">'
        f'<table><caption style="text-align:left">{escape(caption)} <small>({escape(count + place)})</small></caption>'
        f"{_table_body(shown, whole_ids=whole_ids)}</table></div>"
    )


def show_text(text: str) -> Html:
    """HTML of one paragraph."""
    return Html(f"<p>{escape(visible(text))}</p>")


def show_statements(statements: Iterable[Statement], *, none: str = "Nothing to state.") -> Html:
    """HTML list of statements, each with its evidence; `none` when there is no statement."""
    items = [f"<li>{escape(visible(one.text))} {cite(one.evidence, one.total)}</li>" for one in statements]
    return Html(f'<ul class="statements">{"".join(items)}</ul>' if items else f"<p>{escape(none)}</p>")


def show_figure(
    figure: Any,  # noqa: ANN401 - plotly has no types
    table: pd.DataFrame,
    caption: str,
    *,
    case: Case | None = None,
    name: str = "",
) -> Html:
    """Display a plotly figure; return its text alternative and the table behind it, folded.

    The figure goes out as data, never as a script: JupyterLab draws it with its own extension, the report with its own
    copy of plotly.js.
    """
    content = figure_data(figure, caption)
    text = content["layout"]["meta"]["alt"]
    display({PLOTLY: content, "text/plain": f"{caption}: {text}"}, raw=True)  # type: ignore[no-untyped-call]
    return show_behind(content, table, case=case, name=name)


def figure_data(figure: Any, caption: str) -> dict[str, Any]:  # noqa: ANN401 - plotly has no types
    """What goes out of a plotly figure: its data, with caption and text alternative in `layout.meta`."""
    content: dict[str, Any] = json.loads(pio.to_json(figure, validate=False))
    content["config"] = FIGURE_CONFIG
    meta = content.get("layout", {}).get("meta") or {}
    content["layout"]["meta"] = {**meta, "alt": visible(str(meta.get("alt") or caption)), "caption": caption}
    return content


def show_behind(
    content: dict[str, Any], table: pd.DataFrame, *, case: Case | None = None, name: str = "", rows: int = 40
) -> Html:
    """HTML of what stands behind a figure (`figure_data`): its text alternative and its table, folded."""
    caption, text = content["layout"]["meta"]["caption"], content["layout"]["meta"]["alt"]
    return Html(
        f'<div class="behind"><details><summary>In words: {escape(caption)}</summary><p>{escape(text)}</p></details>'
        f"<details><summary>Table behind the figure ({len(table):,} rows)</summary>"
        f"{show_table(table, caption, case=case, name=name, rows=rows).text}</details></div>"
    )


def cite(ids: Sequence[str], total: int = 0) -> str:
    """HTML of evidence ids, shortened, with the whole id as title and a link to the evidence appendix."""
    shown = [
        f'<a class="cite" href="#{anchor(one)}" title="{escape(visible(one), quote=True)}">{escape(short(one))}</a>'
        for one in ids[:_LIST]
    ]
    more = max(total, len(ids)) - len(shown)
    return f'<span class="cites">{" ".join(shown)}{f" <small>+{more:,} more</small>" if more else ""}</span>'


def anchor(identifier: str) -> str:
    """Name of an evidence id inside a page: only letters, digits and dashes of its last part."""
    return "ev-" + re.sub(r"[^A-Za-z0-9-]", "", identifier.rsplit("/", 1)[-1])[:64]


def short(identifier: str) -> str:
    """First eight characters of an id's last part: enough to recognise it on a page."""
    return visible(identifier.rsplit("/", 1)[-1].removeprefix("sha256:")[:8])


def export_table(frame: pd.DataFrame, case: Case, name: str) -> str:
    """Write all of `frame` to out/tables/`name`.csv; return that path relative to the case.

    A cell that a spreadsheet would take for a formula is prefixed with an apostrophe.
    """
    file = case.out / "tables" / f"{name}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    cells = frame.map(lambda value: inert(plain(value)))
    cells.to_csv(file, index=False, lineterminator="\n", encoding="utf-8")
    return file.relative_to(case.path).as_posix()


def _table_body(frame: pd.DataFrame, *, whole_ids: bool = False) -> str:
    cited = set() if whole_ids else _IDS
    cells = {name: [_cell(value, cited=name in cited) for value in frame[name]] for name in frame.columns}
    styles = {name: _style(frame[name], texts) for name, texts in cells.items()}
    places = [f' id="{anchor(str(one))}"' for one in frame["id"]] if "id" in frame else [""] * len(frame)
    heads = "".join(
        f'<th scope="col" style="{styles[name]}">{escape(visible(str(name)).replace("_", " "))}</th>'
        for name in frame.columns
    )
    columns = [[f'<td style="{styles[name]}">{text}</td>' for text in texts] for name, texts in cells.items()]
    rows = (f"<tr{place}>{''.join(row)}</tr>" for place, row in zip(places, zip(*columns, strict=True), strict=True))
    return f"<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody>"


def _style(values: pd.Series, texts: list[str]) -> str:
    """CSS of a column: numbers to the right, times on one line, only columns of long words may break them."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return "text-align:right;vertical-align:top"
    if pd.api.types.is_datetime64_any_dtype(values):
        return "text-align:left;vertical-align:top;white-space:nowrap"
    shown = [_TAG.sub("", text) for text in texts]
    longest = max((len(word) for text in shown for word in text.split()), default=0)
    most = max((len(text) for text in shown), default=0)
    width = min(most, 60)
    if width <= _WORD:
        return "text-align:left;vertical-align:top;white-space:pre"
    least = most // _LINES  # wide enough, or a column that is out of sight makes every row tall
    if longest <= _WORD:
        return f"text-align:left;vertical-align:top;white-space:pre-line;min-width:{max(min(width // 2, 30), least)}ch"
    least = max(_WORD + 2, least)
    return (
        "text-align:left;vertical-align:top;white-space:pre-line;overflow-wrap:anywhere;"
        f"min-width:{least}ch;max-width:{max(width, least)}ch"
    )


def _cell(value: object, *, cited: bool) -> str:
    """HTML of one cell: ids as citations, lists and long texts cut with a word on what is missing."""
    items = _items(value)
    if cited:
        return cite([str(item) for item in items if not _missing(item)] if items is not None else _ids(value))
    if items is not None:
        head = ", ".join(plain(item) for item in items[:_LIST])
        more = f" <small>+{len(items) - _LIST:,} more</small>" if len(items) > _LIST else ""
        return escape(visible(head)) + more
    text = visible(plain(value))
    if len(text) <= _CELL:
        return escape(text)
    return f"{escape(text[:_CELL])}… <small>and {len(text) - _CELL:,} more characters</small>"


def _items(value: object) -> list[object] | None:
    """Items of a list-like cell, None for any other."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(value)
    return value.tolist() if hasattr(value, "tolist") and getattr(value, "ndim", 0) == 1 else None


def _ids(value: object) -> list[str]:
    return [] if _missing(value) or value == "" else [str(value)]


def _missing(value: object) -> bool:
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))


def plain(value: object) -> str:
    """Plain text of a cell: times as UTC to the second, nothing for what is missing."""
    items = _items(value)
    if items is not None:
        return ", ".join(plain(item) for item in items)
    if isinstance(value, dict):
        return json.dumps(value, default=str, sort_keys=True)
    if _missing(value):
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if pd.api.types.is_bool(value):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
