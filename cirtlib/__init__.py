"""cirtlib: from one seed to the whole extent of a compromise in AWS, and a containment plan.

The public names below are loaded when first used, so that importing one light module loads nothing heavy.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Case": "case",
    "load_case": "case",
    "new_case": "case",
    "cloudtrail_files": "caseless",
    "cloudtrail_s3": "caseless",
    "cloudtrail_athena": "caseless",
    "cloudtrail_event_history": "caseless",
    "guardduty_findings": "caseless",
    "security_hub_findings": "caseless",
    "collect": "collect",
    "verify": "evidence",
    "ask": "queries",
    "sql": "queries",
    "events": "queries",
    "questions": "queries",
    "record": "store",
    "coverage": "coverage",
    "scope": "scope",
    "story": "story",
    "way_in": "exposure",
    "reconcile": "reconcile",
    "timeline": "timeline",
    "impact": "impact",
    "plan": "containment",
    "verify_containment": "aftermath",
    "prevention": "prevention",
    "plot_actions": "plots",
    "plot_heatmap": "plots",
    "plot_scope": "plots",
    "plot_addresses": "plots",
    "plot_coverage": "plots",
    "plot_way_in": "plots",
}

__all__ = list(_HOME)


class _Callable(ModuleType):
    """A module that holds a public function of its own name, and may be called like it: `scope(case)`."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        return getattr(self, self.__name__.rpartition(".")[2])(*arguments, **named)


class _Package(ModuleType):
    """The package itself, on which the import system hangs each submodule."""

    def __setattr__(self, name: str, value: Any) -> None:  # noqa: ANN401
        """Let `cirtlib.scope` be both the module and its function, whichever was asked for first."""
        if _HOME.get(name) == name and isinstance(value, ModuleType):
            value.__class__ = _Callable
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Load a public name from the module that holds it."""
    if name not in _HOME:
        raise AttributeError(f"module 'cirtlib' has no attribute {name!r}")
    module = import_module(f"cirtlib.{_HOME[name]}")
    return module if _HOME[name] == name else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(_HOME)


if TYPE_CHECKING:
    from cirtlib.aftermath import verify_containment as verify_containment
    from cirtlib.case import Case as Case
    from cirtlib.case import load_case as load_case
    from cirtlib.case import new_case as new_case
    from cirtlib.caseless import cloudtrail_athena as cloudtrail_athena
    from cirtlib.caseless import cloudtrail_event_history as cloudtrail_event_history
    from cirtlib.caseless import cloudtrail_files as cloudtrail_files
    from cirtlib.caseless import cloudtrail_s3 as cloudtrail_s3
    from cirtlib.caseless import guardduty_findings as guardduty_findings
    from cirtlib.caseless import security_hub_findings as security_hub_findings
    from cirtlib.containment import plan as plan
    from cirtlib.evidence import verify as verify
    from cirtlib.exposure import way_in as way_in
    from cirtlib.plots import plot_actions as plot_actions
    from cirtlib.plots import plot_addresses as plot_addresses
    from cirtlib.plots import plot_coverage as plot_coverage
    from cirtlib.plots import plot_heatmap as plot_heatmap
    from cirtlib.plots import plot_scope as plot_scope
    from cirtlib.plots import plot_way_in as plot_way_in
    from cirtlib.prevention import prevention as prevention
    from cirtlib.queries import ask as ask
    from cirtlib.queries import events as events
    from cirtlib.queries import questions as questions
    from cirtlib.queries import sql as sql
    from cirtlib.store import record as record
