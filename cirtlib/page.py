"""One executed notebook -> one HTML file that makes no request.

Figures travel as data blocks; plotly.js stands in the file once. The page's Content-Security-Policy forbids every
request and lets two scripts run, named by their hashes, so that no text from a log can become one.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import nbformat
from nbconvert import HTMLExporter
from plotly.offline import get_plotlyjs
from traitlets.config import Config

from cirtlib.display import PLOTLY

_TEMPLATE = Path(str(files("cirtlib") / "data" / "report_template"))
_HEADING = re.compile(r"<h2>(.*?)</h2>", re.DOTALL)
_PLACE = re.compile(r'<tr id="([^"]+)"')
_CITATION = re.compile(r'<a class="cite" href="#([^"]*)"([^>]*)>(.*?)</a>')
_SCRIPT = re.compile(r"(<script\b[^>]*>)(.*?)(</script>)", re.DOTALL)
FIGURE_HEIGHT = 525


def page(
    notebook: nbformat.NotebookNode, *, title: str, notice: str = "", brand: str = "cirtlib incident report"
) -> str:
    """HTML of an executed notebook: markdown and outputs, no code, no prompt.

    Of a cell tagged `intro` or `section` the heading stands in the page; a section's guidance is folded. Cells tagged
    `setup` are left out. `notice` is a line above everything, `brand` one above the table of contents.
    """
    script = (_TEMPLATE / "report.js").read_text(encoding="utf-8")
    plotly = get_plotlyjs()
    about = {
        "title": title,
        "notice": notice,
        "brand": brand,
        "policy": _policy(plotly, script),
        "style": (_TEMPLATE / "style.css").read_text(encoding="utf-8"),
    }
    exporter = HTMLExporter(
        template_name="report_template",
        extra_template_basedirs=[str(_TEMPLATE.parent)],
        exclude_anchor_links=True,
        filters={"figure": _figures()},
        config=Config({"NbConvertBase": {"display_data_priority": [PLOTLY, "text/html", "text/plain"]}}),
    )
    body, _ = exporter.from_notebook_node(notebook, {"page": about})
    html, contents = _contents(_living(body))
    # The scripts go in last: their bytes must be those that the policy names.
    scripts = f"<script>{plotly}</script>\n<script>{script}</script>"
    return html.replace("<!--contents-->", contents, 1).replace("<!--scripts-->", scripts, 1)


def change(html: str, text: Callable[[str], str], figure: Callable[[Any], Any]) -> str:
    """Apply `figure` to the data of every figure and `text` to everything else that is no script."""
    parts = []
    position = 0
    for match in _SCRIPT.finditer(html):
        parts.append(text(html[position : match.start()]))
        if "figure-data" in match[1]:
            parts.append(match[1] + _inline_json(figure(json.loads(match[2]))) + match[3])
        else:
            parts.append(match[0])
        position = match.end()
    return "".join([*parts, text(html[position:])])


def readable(html: str) -> str:
    """Page without its scripts; the data of its figures stays."""
    return _SCRIPT.sub(lambda match: match[0] if "figure-data" in match[1] else "", html)


def _policy(*scripts: str) -> str:
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'" for one in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _figures() -> Callable[[dict[str, Any]], str]:
    """Template filter: a figure's data -> its place and its data block, numbered in the order of the page."""
    number = 0

    def place(figure: dict[str, Any]) -> str:
        nonlocal number
        number += 1
        layout = figure.get("layout", {})
        meta = layout.get("meta") or {}
        height = int(layout.get("height") or FIGURE_HEIGHT)
        caption, alt = escape(str(meta.get("caption", "")), quote=True), escape(str(meta.get("alt", "")), quote=True)
        return (
            f'<figure><figcaption>{caption}</figcaption><div class="frame"><div class="plot" id="figure-{number}" '
            f'role="img" aria-label="{alt}" style="height:{height}px"></div></div></figure>\n'
            f'<script type="application/json" class="figure-data" data-figure="figure-{number}">'
            f"{_inline_json(figure)}</script>\n"
        )

    return place


def _inline_json(value: object) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _living(html: str) -> str:
    """Page whose citations lead somewhere: those of an id that no table lists become plain text, once each row's is."""
    places = set(_PLACE.findall(html))
    return _CITATION.sub(lambda m: m[0] if m[1] in places else f'<span class="cite"{m[2]}>{m[3]}</span>', html)


def _contents(html: str) -> tuple[str, str]:
    """Page with its sections numbered, and its table of contents."""
    headings: list[str] = []

    def name(match: re.Match[str]) -> str:
        headings.append(match[1])
        return f'<h2 id="section-{len(headings)}">{match[1]}</h2>'

    html = _HEADING.sub(name, html)
    items = (f'<li><a href="#section-{number}">{heading}</a></li>' for number, heading in enumerate(headings, 1))
    return html, f"<ol>{''.join(items)}</ol>"
