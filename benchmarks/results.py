"""RESULTS.md: a part for each benchmark, which it writes anew and leaves the others alone."""

import os
import platform
import re
from pathlib import Path

FILE = Path(__file__).resolve().parent / "RESULTS.md"
_HEAD = (
    "# Results of `make bench`\n\nWhat each benchmark wrote when it was run last. Ratios of one run hold from "
    "machine to machine, absolute figures do not.\n"
)


def machine() -> str:
    """The machine in words, without its name."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}, {platform.system()}"


def write(title: str, body: str, file: Path = FILE) -> None:
    """Put a part into the file, in the place of the one with the same title. Headings in `body` are of level 3."""
    text = file.read_text(encoding="utf-8") if file.is_file() else _HEAD
    parts = re.split(r"(?m)^(?=## )", text)
    parts = [part for part in parts if not part.startswith(f"## {title}\n")]
    parts.append(f"## {title}\n\n{body.strip()}\n")
    file.write_text("\n".join(part.strip() + "\n" for part in [parts[0], *sorted(parts[1:])]), encoding="utf-8")
