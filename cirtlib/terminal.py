"""What reaches a terminal or a pipe: tables and messages, with nothing in them that a terminal would obey."""

import io
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cirtlib.errors import CirtError
from cirtlib.text import inert, many, visible

if TYPE_CHECKING:
    import pandas as pd

ROWS_SHOWN = 1000
# Cells of at most so many characters are words of status, times, numbers and the like: these should not be folded.
_SHORT = 22
# A column of longer text can still be read at this width. The longest columns are folded first: where they have so
# much, no short one is folded.
_READABLE = 24
# An answer shows so much of a long text where the terminal is narrow: two lines of what can be read.
_LONG = 2 * _READABLE


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


def show(
    frame: "pd.DataFrame",
    form: Format = Format.TABLE,
    *,
    out: Path | None = None,
    title: str = "",
    brief: "pd.DataFrame | None" = None,
    spare: Sequence[str] = (),
) -> None:
    """Write a table to stdout or into the file `out`.

    JSON (a list of objects) and Parquet hold the values as they are. CSV holds control characters as escapes, and an
    apostrophe before text that a spreadsheet would take for a formula.

    Parameters
    ----------
    brief
        What a person sees in place of the whole table.
    spare
        Columns that give way, in this order, where the terminal is too narrow.

    Raises
    ------
    CirtError
        when Parquet would go to a terminal, or `out` cannot be written.
    """
    if form is Format.TABLE and out is None:
        _show_table(frame, title, brief=frame if brief is None else brief, spare=spare)
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


def show_answer(
    frame: "pd.DataFrame", form: Format = Format.TABLE, *, out: Path | None = None, spare: Sequence[str] = ()
) -> None:
    """Write the answer to a question, whose columns may be many and whose values long.

    Where a terminal is too narrow for the whole table, ARNs are shown by their names, lists by their first value or
    their number, long texts by their beginning; columns in `spare`, then those from the right, give way. A pipe, a file
    and any other format have everything.
    """
    if form is not Format.TABLE or out is not None or not sys.stdout.isatty():
        show(frame, form, out=out)
        return
    width = Console(file=sys.stdout).width
    rows = frame.iloc[:ROWS_SHOWN]
    whole = {place: [_cell(value) for value in rows.iloc[:, place]] for place in range(len(frame.columns))}
    names = [str(name) for name in frame.columns]
    if sum(_width(names[place], cells) + 2 for place, cells in whole.items()) <= width or not names:
        show(frame)
        return
    short = rows.astype(object).copy()
    for place, name in enumerate(names):
        short.isetitem(place, [_short(name, value) for value in rows.iloc[:, place]])
    first = [name for name in spare if name in names]
    show(frame, brief=short, spare=[*first, *(name for name in reversed(names[1:]) if name not in first)])
    warn("values are shortened where they are long; --format csv or json gives them whole")


def _short(name: str, value: Any) -> str:  # noqa: ANN401 - any cell
    """One value as a narrow terminal has room for it."""
    values = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(values, (list, tuple)):
        if len(values) > 1 and (name.endswith("ids") or name == "events"):
            return many(len(values), "id")
        first = _short(name, values[0]) if values else ""
        return first + (f" +{len(values) - 1:,} more" if len(values) > 1 else "")
    if isinstance(values, dict):
        values = next((values[key] for key in ("arn", "ARN", "id") if values.get(key)), values)
    text = _cell(values)
    parts = text.split(":", 5)
    if text.startswith("arn:") and len(parts) == 6:
        kind, _, rest = parts[5].partition("/")
        text = f"{kind} {rest.rpartition('/')[2]}" if rest else parts[5]
        text = f"finding {rest.rpartition('/')[2][:8]}" if "/finding/" in rest else text
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}\N{HORIZONTAL ELLIPSIS}"


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


def _show_table(frame: "pd.DataFrame", title: str, *, brief: "pd.DataFrame", spare: Sequence[str]) -> None:
    # In a pipe a table is as wide as it needs to be: folding there would tear values apart.
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 100_000, markup=False, highlight=False)
    cells = {
        visible(str(name)): [_cell(value) for value in brief.iloc[:ROWS_SHOWN, number]]
        for number, name in enumerate(brief.columns)
    }
    for name in spare:
        if _fits(cells, console.width):
            break
        cells.pop(name, None)
    table = Table(
        box=SIMPLE_HEAD, title=Text(visible(title)) if title else None, title_justify="left", pad_edge=False,
        show_edge=False, padding=(0, 1, 0, 0),
    )  # fmt: skip
    for name in cells:
        table.add_column(Text(name), overflow="fold")
    for row in zip(*cells.values(), strict=True):
        table.add_row(*map(Text, row))
    console.print(table)
    if left := [str(name) for name in frame.columns if visible(str(name)) not in cells]:
        warn(f"not shown: {', '.join(left)}; --format json or csv gives every column whole")
    if len(frame) > ROWS_SHOWN:
        warn(f"the first {ROWS_SHOWN:,} of {len(frame):,} rows; --format csv, json or parquet gives all")
    elif frame.empty:
        warn("no rows")


def _width(name: str, column: list[str]) -> int:
    return max(map(cell_len, [name, *column]))


def _fits(cells: dict[str, list[str]], width: int) -> bool:
    """Whether short columns have the room that they need, and long ones what makes them readable."""
    needed = [_width(name, column) for name, column in cells.items()]
    return sum(one if one <= _SHORT else min(one, _READABLE) for one in needed) + 2 * len(needed) <= width
