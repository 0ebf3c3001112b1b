"""The way in as a chain: from the internet through the door to the instance, its credentials, and what they did."""

import textwrap
from typing import Any

import plotly.graph_objects as go

from cirtlib.plots import style

TITLE = "The way in"
_COLOURS = {"likely": "#D55E00", "possible": "#E69F00", "unlikely": "#8c8c8c", "seen": "#0072B2", "unknown": "#8c8c8c"}
_WORDS = {
    "likely": "likely cause", "possible": "possible cause", "unlikely": "unlikely cause",
    "seen": "in the records", "unknown": "not known",
}  # fmt: skip
_DASHES = {"possible": "dash", "unlikely": "dot", "unknown": "dot"}
_WIDE, _TALL = 0.88, 0.72  # of a box, where the next one is one unit away
_LETTERS, _LINES = 21, 6


def draw(chains: list[dict[str, Any]]) -> go.Figure:
    """Row of boxes for each chain of `way_in(case).to_dict()["chains"]`; a dashed frame is the less sure."""
    if not chains:
        return style.empty(TITLE, "There is no credential or instance whose way in could be told.")
    most = max(len(chain["steps"]) for chain in chains)
    figure = style.figure(
        TITLE, "from left to right; a dashed frame: possible, a dotted one: unlikely or not known",
        height=130 + 150 * len(chains), alt=alt(chains),
    )  # fmt: skip
    for row, chain in enumerate(chains):
        for place, step in enumerate(chain["steps"]):
            _box(figure, place, row, step)
            if place:
                _arrow(figure, place, row)
    for sure in dict.fromkeys(step["sure"] for chain in chains for step in chain["steps"]):
        figure.add_trace(style.key_mark(_WORDS[sure], sure, color=_COLOURS[sure], symbol="square"))
    figure.update_xaxes(visible=False, range=[-0.5, most - 0.5], fixedrange=True)
    figure.update_yaxes(visible=False, range=[len(chains) - 0.5, -0.55], fixedrange=True)
    figure.update_layout(legend=style.BELOW, margin={"l": 10, "r": 10, "t": 66, "b": 40})
    return figure


def alt(chains: list[dict[str, Any]]) -> str:
    """Text alternative: each chain as one sentence."""
    return " ".join(
        f"{chain['of']}: "
        + "; then ".join(f"{s['heading']} {s['text']} ({_WORDS[s['sure']]})" for s in chain["steps"])
        + "."
        for chain in chains
    )


def _box(figure: go.Figure, place: int, row: int, step: dict[str, Any]) -> None:
    """One box with its heading and text; all of the text and the evidence on hover."""
    colour = _COLOURS[step["sure"]]
    frame = {"color": colour, "width": 2, "dash": _DASHES.get(step["sure"], "solid")}
    half = _WIDE / 2, _TALL / 2
    figure.add_shape(
        type="rect", x0=place - half[0], x1=place + half[0], y0=row - half[1], y1=row + half[1], line=frame,
        fillcolor=style.PAPER, layer="below",
    )  # fmt: skip
    words = style.short(step["text"]) if step["text"].startswith("arn:") else step["text"]
    lines = textwrap.wrap(words, _LETTERS, max_lines=_LINES, placeholder=" …", break_on_hyphens=False) or [""]
    label = f"<b>{style.text(step['heading'])}</b><br>" + "<br>".join(style.text(line) for line in lines)
    hover = f"<b>{style.text(step['heading'])}</b> ({_WORDS[step['sure']]})<br>{style.wrapped(step['text'])}"
    if step["evidence"]:
        hover += f"<br>evidence:<br>{style.ids(step['evidence'])}"
    figure.add_trace(
        go.Scatter(
            x=[place], y=[row], mode="text", text=[label], textfont={"size": 10, "color": style.INK},
            hovertext=[hover], hoverinfo="text", showlegend=False,
        )
    )  # fmt: skip


def _arrow(figure: go.Figure, place: int, row: int) -> None:
    figure.add_annotation(
        x=place - _WIDE / 2, y=row, ax=place - 1 + _WIDE / 2, ay=row, xref="x", yref="y", axref="x", ayref="y",
        showarrow=True, arrowhead=2, arrowsize=1.2, arrowwidth=1.4, arrowcolor=style.FAINT, text="",
    )  # fmt: skip
