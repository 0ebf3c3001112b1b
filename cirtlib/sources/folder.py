"""Evidence in a folder tree, or in a single file."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cirtlib.case import Case
from cirtlib.errors import CaseError
from cirtlib.sources import Blob, Known, Place

_OUT = "a link that leads out of the folder; copy what it points to, if it is evidence"


def place(case: Case, kind: str, options: dict[str, Any]) -> Place:
    """Folder or file of one source; a relative one lies in the case's folder.

    Raises
    ------
    CaseError
        when it is not there.
    """
    path = Path(str(options["folder"])).expanduser()
    path = path if path.is_absolute() else case.path / path
    if not path.exists():
        raise CaseError(f"source {kind}: there is no folder or file {path}; correct `sources` in case.yaml")
    # A place inside the case is relative, so that a case can move.
    root = path.resolve() if path.is_dir() else path.resolve().parent
    where = os.path.relpath(root, case.path) if root.is_relative_to(case.path) else str(root)
    return Place(kind, where, lambda known: read(path, known))


def read(path: Path, known: Known) -> Iterator[Blob]:
    """Every file below `path`, or the file itself, in the order of their names, which are relative to `path`.

    A link is followed only if it leads to a file inside `path`; one that leads out is a fault, and so is a folder that
    cannot be listed. A file of the same name, size and time of modification as before is not read again.
    """
    if not path.is_dir():
        files = [(path.resolve(), path.name, path.resolve().parent)]  # a link named by the analyst is followed
    else:
        files = [(path / name, name, path) for name in _names(path)]
    blobs = [blob for blob in (_blob(*each) for each in files) if not known.has(blob.name, blob.mark)]
    known.expect(len(blobs), sum(int(blob.mark.partition("-")[0] or 0) for blob in blobs))
    yield from blobs


def _names(path: Path) -> list[str]:
    """Files below `path`, links to folders, and folders that cannot be listed; links to folders inside are left out."""
    closed: list[str] = []
    found: list[str] = []

    def refused(error: OSError) -> None:
        closed.append(Path(error.filename).relative_to(path).as_posix())

    for folder, below, files in os.walk(path, onerror=refused, followlinks=False):
        inside = Path(folder).relative_to(path)
        links = [
            name for name in below if (Path(folder) / name).is_symlink() and not _inside(Path(folder) / name, path)
        ]
        found += [(inside / name).as_posix() for name in (*files, *links)]
    return sorted(found + closed)


def _inside(file: Path, root: Path) -> bool:
    return file.resolve().is_relative_to(root.resolve())


def _blob(file: Path, name: str, root: Path) -> Blob:
    # Bytes of a name that are no UTF-8 become escapes: the name has to be written down.
    name = os.fsencode(name).decode("utf-8", "backslashreplace")
    try:
        if file.is_symlink() and not _inside(file, root):
            return Blob(name, fault=_OUT)
        if file.is_dir():
            return Blob(name, fault="cannot be read: the folder cannot be listed")
        if not file.is_file():
            return Blob(
                name, fault="cannot be read: no regular file" if file.exists() else "cannot be read: it is gone"
            )
        state = file.stat()
        return Blob(name, file=file, mark=f"{state.st_size}-{state.st_mtime_ns}")
    except OSError as error:
        return Blob(name, fault=f"cannot be read: {error.strerror}")
