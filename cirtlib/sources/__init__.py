"""Where evidence comes from: one module for each kind of place.

The contract: a source module has a function `read(...)` that yields a `Blob` for every object of its place, in the
order of their names, whatever they hold. It decides nothing about content. An object that is there but unreadable is
a `Blob` with a `fault` and no data; a place that is not there is a CaseError that names it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Blob:
    """One object as delivered: its name (hostile: never a path of ours), its bytes, or why there are none."""

    name: str
    data: bytes = b""
    fault: str = ""
