"""Whether two engines gave the same answer: rows, order, NULLs and types."""

import json
import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pandas as pd


def plain(value: Any) -> Any:
    """Value that compares: every kind of missing as None, JSON by what it says and not by how it is spaced."""
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float | Decimal):
        return float(f"{value:.12g}")
    if isinstance(value, str):
        return _text(value)
    return value.item() if hasattr(value, "item") else value


def _text(value: str) -> Any:
    """JSON of an object or a list as what it says; any other text as it stands."""
    if value[:1] not in ("{", "["):
        return value
    try:
        return ("json", json.dumps(json.loads(value), sort_keys=True))
    except ValueError:
        return value


def differences(one: pd.DataFrame, other: pd.DataFrame, *, order: list[str] | None = None, most: int = 3) -> list[str]:
    """What is not the same in two answers, a line each, at most a few for each column; empty when they are equal.

    Parameters
    ----------
    order
        Columns by which both are sorted: their values must come in the same order, and the whole rows be the same ones,
        in whatever order where those columns are equal. None: the rows in any order.
    """
    if list(one.columns) != list(other.columns):
        return [f"columns: {list(one.columns)} and {list(other.columns)}"]
    if len(one) != len(other):
        return [f"rows: {len(one)} and {len(other)}"]
    found = [
        f"{name}: dtype {first.dtype} and {second.dtype}"
        for (name, first), (_, second) in zip(one.items(), other.items(), strict=True)
        if first.dtype != second.dtype
    ]
    left, right = (
        [[plain(value) for value in column.tolist()] for _, column in frame.items()] for frame in (one, other)
    )
    places = [place for place, name in enumerate(one.columns) if name in (order or ())]
    found += _wrong(one.columns, left, right, places, "in order", most)
    every = range(len(left))
    return found + _wrong(one.columns, _sorted(left), _sorted(right), every, "sorted", most)


def _wrong(
    names: pd.Index, left: list[list[Any]], right: list[list[Any]], places: Iterable[int], how: str, most: int
) -> list[str]:
    found = []
    for place in places:
        pairs = enumerate(zip(left[place], right[place], strict=True))
        wrong = [(row, first, second) for row, (first, second) in pairs if first != second]
        found += [f"{names[place]}, row {row} {how}: {one!r:.300} and {two!r:.300}" for row, one, two in wrong[:most]]
    return found


def _sorted(columns: list[list[Any]]) -> list[list[Any]]:
    rows = sorted(zip(*columns, strict=True), key=repr)
    return [list(column) for column in zip(*rows, strict=True)] if rows else columns
