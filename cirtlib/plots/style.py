"""How figures look, and how log text gets into them: as text, whatever plotly takes for markup.

Colours are told apart by people with the common kinds of colour blindness (after Okabe and Ito, and Tol's schemes), and
no meaning rests on colour alone: form and hover text say it too.
"""

import re
from collections.abc import Iterable

import pandas as pd
import plotly.graph_objects as go

from cirtlib.text import visible

INK, PAPER, GRID, FAINT = "#1a1a1a", "#ffffff", "#e3e3e3", "#8c8c8c"
FONT = "Helvetica, Arial, sans-serif"

TACTIC_COLOURS = {
    "Initial Access": "#332288",
    "Credential Access": "#AA4499",
    "Discovery": "#56B4E9",
    "Persistence": "#E69F00",
    "Privilege Escalation": "#B22222",
    "Defense Impairment": "#000000",
    "Stealth": "#6E6E6E",
    "Lateral Movement": "#009E73",
    "Execution": "#117733",
    "Collection": "#0072B2",
    "Exfiltration": "#CC79A7",
    "Impact": "#D55E00",
    "Resource Development": "#8C6D31",
    "Command and Control": "#661100",
    "": "#B5B5B5",
}
"""Colour of each tactic; '' stands for a call that serves none by itself."""

VERDICT_COLOURS = {"attacker": "#D55E00", "unclear": "#E69F00", "owner": "#0072B2", "": "#9A9A9A"}
VERDICT_NAMES = {"attacker": "attacker", "unclear": "unclear", "owner": "owner", "": "not judged"}

BELOW = {
    "orientation": "h", "x": 0, "xref": "container", "xanchor": "left",
    "y": 0, "yref": "container", "yanchor": "bottom",
}  # fmt: skip
"""Legend under the figure, over its whole width."""

BUTTONS = {
    "type": "buttons", "direction": "right", "x": 1, "xanchor": "right", "y": 1, "yanchor": "bottom",
    "pad": {"b": 4, "t": 0}, "font": {"size": 11}, "bgcolor": PAPER, "bordercolor": GRID, "showactive": True,
}  # fmt: skip
"""Place and look of buttons above the figure."""

_ARN = re.compile(r"^arn:(?P<partition>aws[\w-]*):(?P<service>[^:]*):[^:]*:(?P<account>\d*):(?P<rest>.+)$", re.DOTALL)
_PERMISSION_SET = re.compile(r"^AWSReservedSSO_(.+)_[0-9a-f]{16}$")
_IDS_SHOWN = 5
_LINE = 90


def text(value: object) -> str:
    """Log text for a label or a hover, exactly as it reads: no tag, entity, formula or control character works in it.

    Plotly takes `<b>` and `&#60;` for markup, and two dollar signs for a formula where MathJax is loaded.
    """
    escaped = visible(str(value)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("$", "&#36;").replace("%", "&#37;")


def wrapped(value: object, width: int = _LINE) -> str:
    """Log text broken into lines that fit into a hover box."""
    raw = visible(str(value))
    return "<br>".join(text(raw[place : place + width]) for place in range(0, max(len(raw), 1), width))


def ids(values: Iterable[object]) -> str:
    """Evidence ids for a hover: the first few, one a line, and how many more there are."""
    many = [str(value) for value in values]
    more = f"<br>and {len(many) - _IDS_SHOWN} more" if len(many) > _IDS_SHOWN else ""
    return "<br>".join(text(one) for one in many[:_IDS_SHOWN]) + more


def cut(value: str, width: int = 38) -> str:
    """Text with its middle left out where it is longer than `width`."""
    if len(value) <= width:
        return value
    head = (width - 1) * 2 // 3
    return f"{value[:head]}…{value[-(width - 1 - head) :]}"


def short(value: object) -> str:
    """Short name of an ARN or key, neither escaped nor unique: `role/devRole (…3333)`; a key stays whole."""
    raw = str(value)
    found = _ARN.match(raw)
    if not found:
        return cut(raw)
    kind, slash, name = found["rest"].partition("/")
    place = f" (…{found['account'][-4:]})" if found["account"] else ""
    # The path of a role or user (aws-reserved/sso.amazonaws.com/...) says less than its name.
    last = _PERMISSION_SET.sub(r"SSO \1", name.rpartition("/")[2]) if found["service"] == "iam" else name
    return cut(f"{kind}{slash}{last}") + place


def names(values: Iterable[str]) -> dict[str, str]:
    """Short names that are told apart: where two values share one, the whole account id or value is written."""
    every = list(dict.fromkeys(values))
    made = {value: short(value) for value in every}
    counts = pd.Series(list(made.values()), dtype="object").value_counts()
    for value in every:
        found = _ARN.match(value)
        if counts[made[value]] > 1:
            made[value] = f"{short(value).partition(' (')[0]} ({found['account']})" if found else value
    counts = pd.Series(list(made.values()), dtype="object").value_counts()
    return {value: value if counts[name] > 1 else name for value, name in made.items()}


def node_name(node: str) -> str:
    """Short name of a scope node, from its id."""
    kind, _, value = node.partition(":")
    if kind == "console":
        return f"console {short(value.partition('/')[0])}"
    if kind == "login_profile":
        return f"password of {short(value)}"
    if kind == "finding":
        return f"finding {value.rpartition('/')[2][:8]}"
    return short(value)


def times(values: pd.Series) -> list[str]:
    """Times as plotly draws them: ISO text in UTC without an offset."""
    return [f"{value:%Y-%m-%d %H:%M:%S}" for value in values]


def moment(value: object) -> str:
    """One time as text in UTC."""
    return f"{pd.Timestamp(value):%Y-%m-%d %H:%M:%S}"


def figure(title: str, subtitle: str, *, height: int, alt: str) -> go.Figure:
    """Empty figure in our style, 1,100 px wide in a report, with its text alternative in `layout.meta["alt"]`."""
    result = go.Figure()
    result.update_layout(
        title={
            "text": f"{text(title)}<br><span style='font-size:12px;color:{FAINT}'>{text(subtitle)}</span>",
            "x": 0.01, "xanchor": "left", "y": 1, "yref": "container", "yanchor": "top", "pad": {"t": 14},
            "font": {"size": 17, "color": INK},
        },
        meta={"alt": alt},
        height=height,
        paper_bgcolor=PAPER,
        plot_bgcolor=PAPER,
        font={"family": FONT, "size": 12, "color": INK},
        margin={"l": 20, "r": 20, "t": 66, "b": 48},
        hoverlabel={
            "bgcolor": PAPER, "bordercolor": FAINT, "align": "left", "namelength": 0,
            "font": {"family": FONT, "size": 12, "color": INK},
        },
        hovermode="closest",
        legend={"font": {"size": 11.5}, "tracegroupgap": 4, "itemsizing": "constant"},
        modebar={"remove": ["sendChartToCloud", "sendDataToCloud", "lasso2d", "select2d"]},
        template={},
    )  # fmt: skip
    result.update_xaxes(
        gridcolor=GRID, linecolor=FAINT, zeroline=False, ticks="outside", tickcolor=GRID, automargin=True
    )
    result.update_yaxes(gridcolor=GRID, linecolor=FAINT, zeroline=False, automargin=True)
    return result


def empty(title: str, why: str) -> go.Figure:
    """Figure that says why there is nothing to draw."""
    result = figure(title, "", height=180, alt=f"{title}: {why}")
    result.update_layout(
        xaxis={"visible": False},
        yaxis={"visible": False},
        annotations=[{"text": text(why), "showarrow": False, "x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper"}],
    )
    return result


def key_mark(name: str, group: str, **marker: object) -> go.Scatter:
    """Legend entry without data."""
    return go.Scatter(
        x=[None], y=[None], mode="markers", name=name, legendgroup=group, marker={"size": 10, **marker},
        hoverinfo="skip", showlegend=True,
    )  # fmt: skip
