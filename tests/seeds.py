"""Which generated incidents a test goes through: a few every time, all with CIRT_SEEDS=all in the environment."""

import os

ALL = os.environ.get("CIRT_SEEDS") == "all"


def seeds(few: int, most: int, *, first: int = 1) -> range:
    """Seeds from `first` on: `few` of them, or `most` when all are asked for."""
    return range(first, first + (most if ALL else few))
