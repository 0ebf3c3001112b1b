"""Rows of a figure: one per principal, with one of its own for each credential that the scope names."""

from dataclasses import dataclass

import pandas as pd

from cirtlib.plots import style

_RANK = {"attacker": 0, "unclear": 1, "owner": 2, "": 3}


@dataclass(frozen=True)
class Row:
    """One row: the principal, and the credential it stands for, or '' for all others of the principal."""

    principal: str
    credential: str
    label: str


def assign(acts: pd.DataFrame, named: set[str]) -> pd.DataFrame:
    """Acts with the columns `who` and `held`: principal, and credential where it is one of `named`, else ''."""
    who = acts["principal"].astype(object).where(acts["principal"].notna(), "unknown principal")
    credential = acts["credential"].astype(object).where(acts["credential"].notna(), "")
    return acts.assign(who=who.astype(str), held=credential.where(credential.isin(named), "").astype(str))


def order(acts: pd.DataFrame, most: int) -> tuple[list[Row], int]:
    """Rows from top to bottom, and how many principals were left out beyond `most` rows.

    First the principals with an attacker's act, by the time of the first; then the unclear; then the busiest.
    """
    table = acts.assign(rank=acts["verdict"].map(_RANK).fillna(3))
    ranks = table.groupby("who")["rank"].min()
    first = table.sort_values("event_time").groupby(["who", "rank"])["event_time"].first()
    busy = table["who"].value_counts()
    who = sorted(ranks.index, key=lambda name: (ranks[name], _first(first, name, ranks[name]), -busy[name], name))
    # A label cannot hold what an attacker can write without bounds: names are shortened, hovers have the whole.
    labels = style.names(who)
    pairs = table.groupby(["who", "held"]).agg(rank=("rank", "min"), first=("event_time", "min"))
    rows: list[Row] = []
    left_out = 0
    for name in who:
        held = pairs.loc[name].sort_values(["rank", "first"], kind="stable")
        keys = sorted(held.index, key=lambda key: (key == "", held.loc[key, "rank"], held.loc[key, "first"], key))
        if len(rows) + len(keys) > most:
            left_out += 1
            continue
        alone = len(keys) == 1
        rows += [
            Row(name, key, _label(labels[name], key, alone=alone, top=place == 0)) for place, key in enumerate(keys)
        ]
    return rows, left_out


def _first(first: pd.Series, name: str, rank: float) -> pd.Timestamp:
    """Attackers' rows run in the order of the attack."""
    return first[name, rank] if rank == 0 else pd.Timestamp.max.tz_localize("UTC")


def _label(principal: str, credential: str, *, alone: bool, top: bool) -> str:
    name = f"<b>{style.text(principal)}</b>"
    if alone and not credential:
        return name
    held = style.text(style.node_name(credential)) if credential else "other sessions"
    return f"{name}<br>{held}" if top else held
