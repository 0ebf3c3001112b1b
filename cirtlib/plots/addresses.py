"""From where and with what each principal came: addresses and user agents as columns, one dot per use."""

import ipaddress

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cirtlib.plots import style
from cirtlib.plots.rows import assign, order

TITLE = "Addresses and user agents by principal"
COLUMNS = (
    "principal", "source_ip", "user_agent_family", "verdict", "events", "denied", "first_seen", "last_seen",
    "user_agents", "event_ids",
)  # fmt: skip

_MOST_ROWS, _MOST_COLUMNS = 40, 45
_RANK = {"attacker": 0, "unclear": 1, "owner": 2, "": 3}
_SYMBOLS = {"attacker": "circle", "unclear": "circle-open-dot", "owner": "circle-open", "": "square-open"}
_UNKNOWN = "not recorded"


def concerned(acts: pd.DataFrame) -> pd.DataFrame:
    """Of all judged events those of principals with a verdict, and of whoever shares an address with the attacker."""
    who = set(acts.loc[acts["verdict"] != "", "principal"].dropna())
    addresses = set(acts.loc[acts["verdict"].eq("attacker"), "source_ip"].dropna())
    return acts[acts["principal"].isin(who) | acts["source_ip"].isin(addresses)]


def table(acts: pd.DataFrame) -> pd.DataFrame:
    """Uses of an address with a user agent: one row per principal, source_ip, user_agent_family and verdict."""
    if acts.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    acts = assign(acts, set())
    for name in ("source_ip", "user_agent_family"):
        acts[name] = acts[name].astype(object).where(acts[name].notna(), _UNKNOWN).astype(str)
    keys = ["who", "source_ip", "user_agent_family", "verdict"]
    rows = [(*key, *_use(group)) for key, group in acts.groupby(keys, sort=True)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _use(group: pd.DataFrame) -> tuple[object, ...]:
    agents = list(dict.fromkeys(group["user_agent"].dropna().astype(str)))
    times = group["event_time"]
    return (
        len(group),
        int(group["outcome"].eq("denied").sum()),
        times.min(),
        times.max(),
        agents,
        list(group["event_id"]),
    )


def draw(acts: pd.DataFrame) -> go.Figure:
    """Dot matrix of judged events (see `timeline.judged_events`)."""
    if acts.empty:
        return style.empty(TITLE, "There are no events to show: nothing in the window belongs to the scope.")
    uses = table(acts)
    rows, hidden_rows = order(assign(acts, set()), _MOST_ROWS)
    place = {row.principal: -number for number, row in enumerate(rows)}
    columns, hidden_columns = _columns(uses[uses["principal"].isin(list(place))])
    subtitle = f"{len(acts):,} events; one column is an address with a user agent; size: number of events"
    if hidden_rows or hidden_columns:
        subtitle += f"; {hidden_rows} principals and {hidden_columns} columns do not fit and stand in the table only"
    figure = style.figure(TITLE, subtitle, height=330 + 28 * len(rows), alt=alt(uses))
    at = {column: number for number, column in enumerate(columns)}
    uses["x"] = [at.get(pair, np.nan) for pair in zip(uses["source_ip"], uses["user_agent_family"], strict=True)]
    uses["y"] = [place.get(name, np.nan) for name in uses["principal"]]
    _dots(figure, uses[uses["x"].notna() & uses["y"].notna()])
    labels = [f"{style.text(style.cut(ip, 40))} · {style.text(style.cut(agent, 18))}" for ip, agent in columns]
    figure.update_xaxes(
        tickvals=list(range(len(columns))), ticktext=labels, tickangle=-45, range=[-0.6, len(columns) - 0.4], ticks=""
    )
    figure.update_yaxes(
        tickvals=[-number for number in range(len(rows))], ticktext=[row.label for row in rows],
        range=[0.4 - len(rows), 0.6], ticks="",
    )  # fmt: skip
    figure.update_layout(
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom"}, margin={"t": 96}
    )
    return figure


def alt(uses: pd.DataFrame) -> str:
    """Text alternative: whence the attacker came, and who else came from there."""
    mine = uses[uses["verdict"] == "attacker"]
    pairs = mine[["source_ip", "user_agent_family"]].drop_duplicates()
    text = f"{uses['principal'].nunique()} principals used {uses['source_ip'].nunique()} addresses."
    if mine.empty:
        return f"{text} None of these uses is the attacker's."
    said = ", ".join(f"{row.source_ip} with {row.user_agent_family}" for row in pairs.itertuples(index=False))
    others = uses[uses["source_ip"].isin(set(mine["source_ip"])) & uses["verdict"].ne("attacker")]
    shared = ", ".join(sorted(set(others["principal"])))
    also = f" The same addresses served, without a verdict against them: {shared}." if shared else ""
    return f"{text} The attacker came from {said}.{also}"


def _columns(uses: pd.DataFrame) -> tuple[list[tuple[str, str]], int]:
    """Columns from left to right: the attacker's first, then by address; and how many were left out."""
    ranked = uses.assign(rank=uses["verdict"].map(_RANK).fillna(3))
    keys = ranked.groupby(["source_ip", "user_agent_family"]).agg(rank=("rank", "min"), events=("events", "sum"))
    best = ranked.groupby("source_ip")["rank"].min()
    every = sorted(
        keys.index,
        key=lambda key: (best[key[0]], _number(key[0]), keys.loc[key, "rank"], -keys.loc[key, "events"], key),
    )
    return every[:_MOST_COLUMNS], max(0, len(every) - _MOST_COLUMNS)


def _number(address: str) -> tuple[int, int, str]:
    """Sort key: addresses by number, then service names."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return 9, 0, address
    return found.version, int(found), ""


def _dots(figure: go.Figure, uses: pd.DataFrame) -> None:
    """One trace per verdict. Two verdicts in one cell stand side by side."""
    cell = uses.groupby(["x", "y"])["events"]
    shift = (cell.cumcount() - (cell.transform("size") - 1) / 2) * 0.3
    uses = uses.assign(x=uses["x"] + shift)
    for verdict, called in style.VERDICT_NAMES.items():
        part = uses[uses["verdict"] == verdict]
        if part.empty:
            continue
        colour = style.VERDICT_COLOURS[verdict]
        figure.add_trace(
            go.Scatter(
                x=part["x"].tolist(), y=part["y"].tolist(), mode="markers", name=called,
                marker={
                    "symbol": _SYMBOLS[verdict], "opacity": 0.9, "color": colour, "line": {"width": 2, "color": colour},
                    "size": [9 + 2.0 * float(np.log2(count)) for count in part["events"].clip(upper=4096)],
                },
                hovertext=[_hover(use) for use in part.to_dict("records")], hoverinfo="text",
            )
        )  # fmt: skip


def _hover(use: dict[str, object]) -> str:
    agents = use["user_agents"]
    shown = agents[:3] if isinstance(agents, list) else []
    lines = [
        f"<b>{style.wrapped(use['principal'])}</b>",
        f"{style.wrapped(use['source_ip'])} · <b>{style.VERDICT_NAMES.get(str(use['verdict']), '')}</b>",
        f"{use['events']} events, {use['denied']} denied",
        f"{style.moment(use['first_seen'])} to {style.moment(use['last_seen'])} UTC",
        *(style.wrapped(agent) for agent in shown),
        style.ids(use["event_ids"] if isinstance(use["event_ids"], list) else []),
    ]
    return "<br>".join(lines)
