"""The case's log: what people noted, one JSON object a line in out/notes.jsonl."""

import getpass
import json
from datetime import UTC, datetime

import pandas as pd

from cirtlib.case import Case
from cirtlib.errors import CaseError

COLUMNS = ("time", "by", "text")


def add_note(case: Case, text: str, *, by: str = "") -> None:
    """Append a note with the present time; `by` is the user's name unless said otherwise.

    Raises
    ------
    CaseError
        when the text is empty.
    """
    if not text.strip():
        raise CaseError("an empty note says nothing; give it a text")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    case.out.mkdir(parents=True, exist_ok=True)
    with (case.out / "notes.jsonl").open("a", encoding="utf-8") as file:
        entry = {"time": now, "by": by or getpass.getuser(), "text": text.strip()}
        file.write(json.dumps(entry, ensure_ascii=False).replace("\u2028", "\\u2028") + "\n")


def notes(case: Case) -> pd.DataFrame:
    """Notes in order of time: time (aware UTC), by, text.

    Raises
    ------
    CaseError
        when a line of the log is none of ours.
    """
    file = case.out / "notes.jsonl"
    rows = []
    for number, line in enumerate(file.read_text(encoding="utf-8").split("\n") if file.is_file() else [], 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            when = datetime.fromisoformat(entry["time"])
            rows.append(
                (when if when.tzinfo else when.replace(tzinfo=UTC), str(entry.get("by", "")), str(entry["text"]))
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            raise CaseError(f"{file}, line {number}, is no note; mend or remove the line") from None
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table["time"] = pd.to_datetime(table["time"], utc=True)
    return table.sort_values("time", ignore_index=True, kind="stable")
