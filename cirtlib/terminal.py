"""What reaches a terminal or a pipe: tables and messages, with nothing in them that a terminal would obey."""

import io
import json
import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cirtlib.errors import CirtError
from cirtlib.text import inert, visible

if TYPE_CHECKING:
    import pandas as pd

ROWS_SHOWN = 1000


class Format(StrEnum):
    """How a table is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


def say(text: str = "") -> None:
    """Print a message on stdout."""
    sys.stdout.write(visible(text, keep="\n\t") + "\n")


def warn(text: str) -> None:
    """Print a message on stderr."""
    sys.stderr.write(visible(text, keep="\n\t") + "\n")


def show_json(value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Print a value as JSON, ASCII only."""
    sys.stdout.write(json.dumps(value, indent=2, default=_plain) + "\n")


def show(frame: "pd.DataFrame", form: Format = Format.TABLE, *, out: Path | None = None, title: str = "") -> None:
    """Write a table to stdout or into the file `out`.

    JSON (a list of objects) and Parquet hold the values as they are. CSV holds control characters as escapes, and an
    apostrophe before text that a spreadsheet would take for a formula.

    Raises
    ------
    CirtError
        when Parquet would go to a terminal, or `out` cannot be written.
    """
    if form is Format.TABLE and out is None:
        _show_table(frame, title)
        return
    if form is Format.PARQUET and out is None and sys.stdout.isatty():
        raise CirtError("Parquet is no text: give a file with --out, or redirect the output")
    data = _encode(frame, form)
    if out is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        out.write_bytes(data)
    except OSError as error:
        raise CirtError(f"cannot write {out}: {error.strerror}") from None
    warn(f"{len(frame):,} rows in {out}")


def _encode(frame: "pd.DataFrame", form: Format) -> bytes:
    """Bytes of the table in this format; `table` in a file is CSV."""
    if form is Format.JSON:
        text = frame.to_json(orient="records", date_format="iso", date_unit="ms", force_ascii=True, indent=1)
        return f"{text}\n".encode()
    if form is Format.PARQUET:
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        return buffer.getvalue()
    safe = frame.astype(object).map(_csv_cell)
    safe.columns = [_csv_cell(str(name)) for name in frame.columns]
    return str(safe.to_csv(index=False)).encode()


def _csv_cell(value: Any) -> str:  # noqa: ANN401 - any cell
    return inert(_cell(value))


def _cell(value: Any) -> str:  # noqa: ANN401 - any cell
    """One cell as safe text: times in ISO form, lists and structs as JSON, nothing for a missing value."""
    if hasattr(value, "tolist"):  # an array out of Parquet, or a numpy scalar
        value = value.tolist()
    if isinstance(value, (list, tuple, dict)):
        return visible(json.dumps(value, default=_plain, ensure_ascii=False)) if len(value) else ""
    if value is None or (str(value) in {"<NA>", "NaT", "nan"} and not isinstance(value, str)):
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ" if value.microsecond == 0 else "%Y-%m-%dT%H:%M:%S.%fZ")
    return visible(str(value))


def _plain(value: Any) -> Any:  # noqa: ANN401 - any value
    if hasattr(value, "tolist"):
        return value.tolist()
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _show_table(frame: "pd.DataFrame", title: str) -> None:
    # In a pipe a table is as wide as it needs to be: folding there would tear values apart.
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 100_000, markup=False, highlight=False)
    table = Table(box=SIMPLE_HEAD, title=Text(visible(title)) if title else None, title_justify="left", pad_edge=False)
    for name in frame.columns:
        table.add_column(Text(visible(str(name))), overflow="fold")
    for row in frame.head(ROWS_SHOWN).itertuples(index=False, name=None):
        table.add_row(*(Text(_cell(value)) for value in row))
    console.print(table)
    if len(frame) > ROWS_SHOWN:
        warn(f"the first {ROWS_SHOWN:,} of {len(frame):,} rows; --format csv, json or parquet gives all")
    elif frame.empty:
        warn("no rows")
