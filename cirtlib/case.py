"""One investigation: a folder whose case.yaml says what is investigated.

A `Case` is loaded once, checked as a whole, and passed explicitly to everything that needs it.
"""

import json
import os
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import yaml

from cirtlib.errors import CaseError

SEED_KINDS = ("finding", "access_key", "principal", "session", "ip", "instance", "event", "user_agent")
SOURCE_KINDS = ("cloudtrail", "guardduty", "security_hub", "findings", "account")
ENGINES = ("local", "athena", "trino")
_KEYS = {
    "case", "title", "window", "as_of", "baseline_days", "accounts", "regions", "seeds", "confirmed", "cleared",
    "responders", "known", "access", "engine", "sources",
}  # fmt: skip
_ACCESS_KEYS = {"profile", "role", "external_id", "endpoint_url", "per_account"}
_ROLE = re.compile(r"^arn:aws[a-z-]*:iam::(\d{12}|\{account\}):role/[\w+=,.@/-]+$")
_REGION = re.compile(r"^[a-z]{2}(-[a-z]+)+-\d$")
_ACCOUNT = re.compile(r"^\d{12}$")


@dataclass(frozen=True)
class Window:
    """The time under investigation, as far as case.yaml states it; `live` when its end is "now"."""

    start: datetime | None = None
    end: datetime | None = None
    live: bool = False


@dataclass(frozen=True)
class Seed:
    """What the investigation starts from: the analyst's claim that this is the attacker's."""

    kind: str
    value: str

    def __str__(self) -> str:
        return f"{self.kind}={self.value}"


@dataclass(frozen=True)
class Decision:
    """A node that the analyst confirmed or cleared, by whom, when and why."""

    node: str
    by: str = ""
    at: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Source:
    """One place evidence comes from: `kind` is what (cloudtrail, findings, ...), `options` where."""

    kind: str
    options: dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One investigation. Immutable; change case.yaml and load again, or use `with_seeds`."""

    path: Path
    name: str
    title: str = ""
    window: Window = Window()
    as_of: datetime | None = None
    baseline_days: int = 30
    accounts: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    seeds: tuple[Seed, ...] = ()
    confirmed: tuple[Decision, ...] = ()
    cleared: tuple[Decision, ...] = ()
    responders: tuple[str, ...] = ()
    known: dict[str, Any] = field(default_factory=dict)
    access: dict[str, Any] = field(default_factory=dict)
    engine: str = "local"
    sources: tuple[Source, ...] = ()

    @property
    def evidence(self) -> Path:
        """Everything that was collected."""
        return self.path / "evidence"

    @property
    def manifest(self) -> Path:
        """One line per object or page that was read, hash-chained."""
        return self.evidence / "manifest.jsonl"

    @property
    def raw(self) -> Path:
        """Originals as delivered, named by their SHA-256."""
        return self.evidence / "raw"

    @property
    def store(self) -> Path:
        """The Parquet tables."""
        return self.evidence / "store"

    @property
    def quarantine(self) -> Path:
        """What could not be decoded."""
        return self.evidence / "quarantine"

    @property
    def out(self) -> Path:
        """Everything that was written: scope, timeline, plan, report."""
        return self.path / "out"

    def with_seeds(self, seeds: list[Seed]) -> "Case":
        """Copy with these seeds in addition to its own."""
        return replace(self, seeds=tuple(dict.fromkeys((*self.seeds, *seeds))))


def parse_time(value: object, name: str = "time") -> datetime:
    """Aware UTC datetime from ISO 8601 text, a date or a datetime. A time without an offset is taken as UTC.

    Raises
    ------
    CaseError
        when it is none of these.
    """
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip().replace("z", "Z"))
        except ValueError:
            raise CaseError(f"{name}: {value!r} is no time; write it as 2026-06-10T00:00:00Z") from None
    if not isinstance(value, datetime):
        raise CaseError(f"{name}: {value!r} is no time; write it as 2026-06-10T00:00:00Z")
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)


def parse_seed(text: str) -> Seed:
    """Seed from `kind=value`, as the command line takes it.

    Raises
    ------
    CaseError
        when the kind is unknown or the value is empty.
    """
    kind, _, value = text.partition("=")
    faults: list[str] = []
    seeds = _seeds([{kind.strip(): value.strip()}], faults)
    if faults:
        raise CaseError(f"{faults[0]}; write it as kind=value, such as access_key=AKIAIOSFODNN7EXAMPLE")
    return seeds[0]


def load_case(path: str | os.PathLike[str]) -> Case:
    """Load and check the case in folder `path`.

    Raises
    ------
    CaseError
        when there is no case, or case.yaml is wrong: all faults in one message.
    """
    folder = Path(path)
    file = folder / "case.yaml"
    if not str(path) or not file.is_file():
        raise CaseError(f"no case in {str(path)!r}: there is no case.yaml; start one with `cirt new DIR --logs PATH`")
    try:
        text = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise CaseError(f"{file} is no YAML: {error}") from None
    if not isinstance(text, dict):
        raise CaseError(f"{file} is empty or no mapping; it needs at least `case: NAME`")
    faults: list[str] = []
    case = _check(folder.resolve(), text, faults)
    if faults:
        raise CaseError(f"{file}:\n" + "\n".join(f"  - {fault}" for fault in faults))
    return case


def new_case(path: str | os.PathLike[str], content: dict[str, Any]) -> Case:
    """Write case.yaml with `content` into the new folder `path`, and load it.

    Raises
    ------
    CaseError
        when there is a case already, or the content is wrong; nothing is written then.
    """
    folder = Path(path)
    if (folder / "case.yaml").exists():
        raise CaseError(f"{folder} already holds a case; choose another folder, or edit {folder / 'case.yaml'}")
    faults: list[str] = []
    content = {"case": folder.resolve().name, **content}
    _check(folder.resolve(), content, faults)
    if faults:
        raise CaseError(f"cannot make the case {folder}:\n" + "\n".join(f"  - {fault}" for fault in faults))
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "case.yaml", content)
    return load_case(folder)


def update_case(case: Case, key: str, value: Any) -> Case:  # noqa: ANN401 - any YAML value
    """Set one top-level key of case.yaml (the rest as it was, comments excepted), and load it again.

    Raises
    ------
    CaseError
        when the new value is wrong; nothing is written then.
    """
    content = yaml.safe_load((case.path / "case.yaml").read_text(encoding="utf-8"))
    content[key] = value
    faults: list[str] = []
    _check(case.path, content, faults)
    if faults:
        raise CaseError("; ".join(faults))
    _write(case.path / "case.yaml", content)
    return load_case(case.path)


def _write(file: Path, content: dict[str, Any]) -> None:
    """Replace the file at once, so that a crash leaves the old or the new one."""
    scratch = file.with_suffix(".yaml.new")
    scratch.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    scratch.replace(file)


def _check(folder: Path, text: dict[str, Any], faults: list[str]) -> Case:
    """Build the case from its YAML; every fault found is added to `faults`."""
    for key in sorted(set(map(str, text)) - _KEYS):
        faults.append(f"unknown key {key!r}; known are {', '.join(sorted(_KEYS))}")
    engine = text.get("engine", "local")
    if engine not in ENGINES:
        faults.append(f"engine: {engine!r} is none of {', '.join(ENGINES)}")
    days = text.get("baseline_days", 30)
    if not isinstance(days, int) or isinstance(days, bool) or not 0 <= days <= 3650:
        faults.append(f"baseline_days: {days!r} is no whole number of days from 0 to 3650")
        days = 30
    return Case(
        path=folder,
        name=str(text.get("case") or folder.name),
        title=str(text.get("title") or ""),
        window=_window(text.get("window") or {}, faults),
        as_of=_time(text.get("as_of"), "as_of", faults),
        baseline_days=days,
        accounts=_accounts(text.get("accounts") or [], faults),
        regions=_regions(text.get("regions") or [], faults),
        seeds=tuple(_seeds(text.get("seeds") or [], faults)),
        confirmed=_decisions(text.get("confirmed") or [], "confirmed", faults),
        cleared=_decisions(text.get("cleared") or [], "cleared", faults),
        responders=_strings(text.get("responders") or [], "responders", faults),
        known=_mapping(text.get("known") or {}, "known", faults),
        access=_access(text.get("access") or {}, "access", faults),
        engine=str(engine),
        sources=_sources(text.get("sources") or [], faults),
    )


def _time(value: object, name: str, faults: list[str]) -> datetime | None:
    if value is None:
        return None
    try:
        return parse_time(value, name)
    except CaseError as error:
        faults.append(str(error))
        return None


def _window(value: object, faults: list[str]) -> Window:
    if not isinstance(value, dict) or set(value) - {"start", "end"}:
        faults.append(f"window: {value!r} should be {{start: TIME, end: TIME}}")
        return Window()
    live = value.get("end") == "now"
    start = _time(value.get("start"), "window.start", faults)
    end = None if live else _time(value.get("end"), "window.end", faults)
    if start and end and end <= start:
        faults.append(f"window: it ends ({end:%Y-%m-%dT%H:%M:%SZ}) before it starts ({start:%Y-%m-%dT%H:%M:%SZ})")
    return Window(start, end, live)


def _accounts(value: object, faults: list[str]) -> tuple[str, ...]:
    if not isinstance(value, list):
        faults.append(f'accounts: {value!r} should be a list of 12-digit strings, such as ["111122223333"]')
        return ()
    for item in value:
        if not isinstance(item, str):
            faults.append(f'accounts: {item!r} is a number, which loses leading zeros; quote it: "{item:0>12}"')
        elif not _ACCOUNT.match(item):
            faults.append(f"accounts: {item!r} is no account id; it has 12 digits")
    return tuple(str(item) for item in value)


def _regions(value: object, faults: list[str]) -> tuple[str, ...]:
    if value == "all":
        return ()
    regions = _strings(value, "regions", faults)
    for item in regions:
        if not _REGION.match(item):
            faults.append(f"regions: {item!r} is no Region name, such as us-east-1")
    return regions


def _seeds(value: object, faults: list[str]) -> list[Seed]:
    seeds: list[Seed] = []
    if not isinstance(value, list):
        faults.append(f"seeds: {value!r} should be a list of one-key mappings, such as [{{access_key: AKIA...}}]")
        return seeds
    for item in value:
        if not isinstance(item, dict) or len(item) != 1:
            faults.append(f"seeds: {item!r} should be one key and its value, such as {{access_key: AKIA...}}")
            continue
        kind, worth = next(iter(item.items()))
        if kind not in SEED_KINDS:
            faults.append(f"seeds: unknown kind {kind!r}; known are {', '.join(SEED_KINDS)}")
        elif not isinstance(worth, str) or not worth:
            faults.append(f"seeds: {kind} needs a text value, got {worth!r}; quote it")
        else:
            seeds.append(Seed(kind, worth))
    return seeds


def _decisions(value: object, name: str, faults: list[str]) -> tuple[Decision, ...]:
    result = []
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, dict) or "node" not in item or set(item) - {"node", "by", "at", "reason"}:
            faults.append(f"{name}: {item!r} should be {{node, by, at, reason}}")
            continue
        result.append(Decision(**{key: str(part) for key, part in item.items()}))
    return tuple(result)


def _strings(value: object, name: str, faults: list[str]) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        faults.append(f"{name}: {value!r} should be a list of texts")
        return ()
    return tuple(value)


def _mapping(value: object, name: str, faults: list[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        faults.append(f"{name}: {value!r} should be a mapping")
        return {}
    return value


def _access(value: object, name: str, faults: list[str]) -> dict[str, Any]:
    """How AWS is entered; `per_account` holds the same keys for single accounts, where null takes one away."""
    access = _mapping(value, name, faults)
    inner = name != "access"
    for key, part in access.items():
        if key not in _ACCESS_KEYS - ({"per_account"} if inner else set()):
            known = sorted(_ACCESS_KEYS - ({"per_account"} if inner else set()))
            faults.append(f"{name}: unknown key {key!r}; known are {', '.join(known)}")
        elif key == "per_account":
            for account, own in _mapping(part or {}, f"{name}.per_account", faults).items():
                if not isinstance(account, str) or not _ACCOUNT.match(account):
                    faults.append(f"{name}.per_account: {account!r} is no account id; it has 12 digits, in quotes")
                _access(own or {}, f"{name}.per_account.{account}", faults)
        elif part is not None and (not isinstance(part, str) or not part):
            faults.append(f"{name}.{key}: {part!r} should be a text; quote it")
        elif key == "role" and part is not None and not _ROLE.match(part):
            faults.append(f"{name}.role: {part!r} is no role; write it as arn:aws:iam::{{account}}:role/NAME")
        elif key == "endpoint_url" and part is not None and not re.match(r"https?://[^/]+", part):
            faults.append(f"{name}.endpoint_url: {part!r} is no address; it starts with https:// or http://")
    return access


def _sources(value: object, faults: list[str]) -> tuple[Source, ...]:
    result = []
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, dict) or len(item) != 1 or not isinstance(next(iter(item.values())), dict):
            faults.append(f"sources: {item!r} should be a kind and where it lies, as in cloudtrail: {{folder: logs/}}")
            continue
        kind, options = next(iter(item.items()))
        if kind not in SOURCE_KINDS:
            faults.append(f"sources: unknown kind {kind!r}; known are {', '.join(SOURCE_KINDS)}")
            continue
        result.append(Source(kind, options))
    return tuple(result)


def read_json(file: Path, default: Any = None) -> Any:  # noqa: ANN401 - any JSON value
    """JSON content of a file that we wrote, or `default` when it is not there."""
    if not file.is_file():
        return default
    return json.loads(file.read_text(encoding="utf-8"))
