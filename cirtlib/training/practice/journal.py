"""The order of calls in the practice account: who asked for what, what was decided; and how to do the writes again."""

import base64
import json
import os
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from cirtlib.errors import TrainingError

Json = dict[str, Any]
_SECRET = ("password", "secret", "token", "serialnumber")
_HARMLESS = {"HttpTokens", "SecretId"}  # an option, and a name
_READS = (
    *("Get", "List", "Describe", "Head", "Lookup", "Search", "BatchGet", "Simulate", "Scan", "Query", "Generate"),
    *("Select", "Filter", "Validate", "Check", "StartQuery", "StopQuery", "CancelQuery", "StartLiveTail"),
)
_READ = ("AssumeRole", "DecodeAuthorizationMessage", "TestEventPattern", "TestMetricFilter")
_NO_READS = ("CheckInLicense", "CheckoutLicense", "CheckoutBorrowLicense", "CheckpointDurableExecution")


@dataclass(frozen=True)
class Entry:
    """One call that was answered.

    Attributes
    ----------
    number, at
        Its place in the order, from 1; when, by this machine's clock.
    ruling, by
        See `authorise.Ruling`.
    status
        HTTP status of the answer.
    raw
        Of a write, the request as it came, without its signature: method, path, query, headers, body (base64).
    """

    number: int
    at: str
    account: str
    region: str
    key: str
    caller: str
    service: str
    operation: str
    parameters: Json
    ruling: str
    by: str
    status: int
    raw: Json = field(default_factory=dict)

    @property
    def changes(self) -> bool:
        """Whether the call was carried out and changes something."""
        return bool(self.raw) and self.status < 400

    @property
    def call(self) -> str:
        """As `iam:DeleteUser`."""
        return f"{self.service}:{self.operation}"


def reads(operation: str) -> bool:
    """Whether a call only reads, by its name."""
    return operation in _READ or (operation.startswith(_READS) and operation not in _NO_READS)


class Journal:
    """A file of one JSON line for each call; safe for many threads of one process.

    Attributes
    ----------
    cut
        The beginning of a line that a killed process left at the end of the file, '' where there was none: it is taken
        off, so that the next line stands for itself.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._lock = path, Lock()
        self.entries, self.cut = _read(path) if path.is_file() else ([], "")

    @property
    def next(self) -> int:
        """Number of the call that is noted next."""
        return len(self.entries) + 1

    def note(self, **about: Any) -> Entry:  # noqa: ANN401 - the members of Entry
        """Add a call."""
        with self._lock:
            at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
            entry = Entry(number=len(self.entries) + 1, at=at, **about)
            self.entries.append(entry)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(entry), default=str) + "\n")  # ASCII: a line is a line
        return entry

    def writes(self) -> list[Entry]:
        """Calls that were carried out and changed something, in their order."""
        return [entry for entry in self.entries if entry.changes]


def raw(environ: Json, body: bytes) -> Json:
    """A request as it can be sent again: of its signature only whose it was."""
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_") and isinstance(value, str)
    }
    headers["content-type"] = str(environ.get("CONTENT_TYPE", ""))
    authorization = headers.get("authorization", "").partition("Signature=")[0]
    return {
        "method": environ["REQUEST_METHOD"],
        "path": str(environ.get("RAW_URI") or environ.get("PATH_INFO", "")).partition("?")[0],
        "query": str(environ.get("QUERY_STRING", "")),
        "headers": headers | {"authorization": f"{authorization}Signature=none"},
        "body": base64.b64encode(body).decode(),
    }


def hidden(parameters: Json) -> Json:
    """Parameters without what is secret."""
    return {
        key: "(not kept)" if key not in _HARMLESS and _secret(key) and isinstance(value, str) else value
        for key, value in parameters.items()
        if not hasattr(value, "read") and not isinstance(value, bytes)
    }


def _secret(key: str) -> bool:
    return any(word in key.lower() for word in _SECRET)


def _read(path: Path) -> tuple[list[Entry], str]:
    """Calls of a file, and what was cut off of it at its end."""
    content = path.read_bytes()
    lines = content.split(b"\n")  # not at whatever else Unicode takes for the end of a line
    if not lines[-1]:
        lines.pop()
    entries: list[Entry] = []
    for number, line in enumerate(lines, 1):
        try:
            entries.append(Entry(**json.loads(line)))
        except (ValueError, TypeError) as error:
            if number == len(lines):  # the process was killed while it wrote
                os.truncate(path, sum(len(one) + 1 for one in lines[:-1]))
                return entries, line.decode("utf-8", "replace")
            raise TrainingError(
                f"{path}, line {number}, is no call of the account; `cirt train account reset` begins anew"
            ) from error
    if content and not content.endswith(b"\n"):
        with path.open("ab") as file:
            file.write(b"\n")
    return entries, ""
