"""Start a case from what lies at hand: log and finding files, buckets, seeds and a window."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cirtlib.case import Case, new_case, parse_seed
from cirtlib.errors import CaseError

# The keys that CloudTrail signs digest files with: with them the evidence can be validated later, without AWS.
_PUBLIC_KEYS: dict[str, Any] = {"cloudtrail": {"public_keys": True}}


def start(
    folder: Path,
    *,
    logs: Sequence[str | Path] = (),
    findings: Sequence[str | Path] = (),
    seeds: Sequence[str] = (),
    window: str = "",
    live: bool = False,
    content: dict[str, Any] | None = None,
) -> Case:
    """Make a case from files, or of a `live` account.

    `seeds` are written as kind=value, `window` as START/END; `content` is any other key of case.yaml.

    `logs` and `findings` are folders, files or addresses such as s3://bucket/prefix/, which are not looked into.

    Raises
    ------
    CaseError
        when a path is not there, or a seed or the window is wrong; nothing is written then.
    """
    sources = [{"cloudtrail": _place(path, "--logs")} for path in logs]
    sources += [{"findings": _place(path, "--findings")} for path in findings]
    sources += _live_sources() if live else []
    if not live and any("s3" in source["cloudtrail"] for source in sources[: len(logs)]):
        sources.append(_PUBLIC_KEYS)
    parsed = [parse_seed(text) for text in seeds]
    keys = {
        "window": _window(window) or ({"end": "now"} if live else {}),
        "seeds": [{seed.kind: seed.value} for seed in parsed],
        **(content or {}),
        "sources": sources,
    }
    return new_case(folder, {key: value for key, value in keys.items() if value or key == "sources"})


def _live_sources() -> list[dict[str, Any]]:
    """What an account itself tells, whether or not a trail is on; each collect fetches what is new."""
    api = [{kind: {"api": True}} for kind in ("guardduty", "security_hub", "account")]
    return [{"cloudtrail": {"event_history": True}}, _PUBLIC_KEYS, *api]


def _place(given: str | Path, option: str) -> dict[str, str]:
    """Options of a source: a bucket's address as it is, a path absolute."""
    if str(given).startswith("s3:"):
        if not re.match(r"s3://[\w.-]+(/|$)", str(given)):
            raise CaseError(f"{option} {given}: write it as s3://BUCKET/PREFIX/")
        return {"s3": str(given)}
    path = Path(given)
    if not path.exists():
        raise CaseError(f"{option} {path}: there is no such file or folder")
    return {"folder": str(path.resolve())}


def _window(text: str) -> dict[str, str]:
    if not text:
        return {}
    start, slash, end = (part.strip() for part in text.partition("/"))
    if not slash or not (start or end):
        raise CaseError(f"--window {text!r}: write it as START/END, as 2026-06-10T00:00:00Z/2026-06-12T00:00:00Z")
    return {key: value for key, value in (("start", start), ("end", end)) if value}
