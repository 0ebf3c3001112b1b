"""Whether two engines gave the same answer: rows, order, NULLs and types."""

import json
import math
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
    if isinstance(value, float):
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


def differences(one: pd.DataFrame, other: pd.DataFrame, *, ordered: bool = True, most: int = 3) -> list[str]:
    """What is not the same in two answers, a line each, at most a few for each column; empty when they are equal."""
    if list(one.columns) != list(other.columns):
        return [f"columns: {list(one.columns)} and {list(other.columns)}"]
    if len(one) != len(other):
        return [f"rows: {len(one)} and {len(other)}"]
    found = [
        f"{name}: dtype {one[name].dtype} and {other[name].dtype}"
        for name in one.columns
        if one[name].dtype != other[name].dtype
    ]
    left, right = (
        [[plain(value) for value in frame[name].tolist()] for name in frame.columns] for frame in (one, other)
    )
    if not ordered:
        left, right = (_sorted(columns) for columns in (left, right))
    for name, ours, theirs in zip(one.columns, left, right, strict=True):
        wrong = [
            (place, first, second)
            for place, (first, second) in enumerate(zip(ours, theirs, strict=True))
            if first != second
        ]
        found += [f"{name}, row {place}: {first!r:.300} and {second!r:.300}" for place, first, second in wrong[:most]]
        if len(wrong) > most:
            found.append(f"{name}: {len(wrong)} rows in all")
    return found


def _sorted(columns: list[list[Any]]) -> list[list[Any]]:
    rows = sorted(zip(*columns, strict=True), key=repr)
    return [list(column) for column in zip(*rows, strict=True)] if rows else columns
