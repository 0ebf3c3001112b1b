"""cirtlib: from one seed to the whole extent of a compromise in AWS, and a containment plan.

The public names below are loaded when first used, so that importing one light module loads nothing heavy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Case": "case",
    "load_case": "case",
    "new_case": "case",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Load a public name from the module that holds it."""
    if name not in _HOME:
        raise AttributeError(f"module 'cirtlib' has no attribute {name!r}")
    return getattr(import_module(f"cirtlib.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOME)


if TYPE_CHECKING:
    from cirtlib.case import Case as Case
    from cirtlib.case import load_case as load_case
    from cirtlib.case import new_case as new_case
