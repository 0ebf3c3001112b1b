"""Evidence in a folder tree, or in a single file."""

import os
from collections.abc import Iterator
from pathlib import Path

from cirtlib.errors import CaseError
from cirtlib.sources import Blob

_OUT = "a link that leads out of the folder; copy what it points to, if it is evidence"


def read(path: Path) -> Iterator[Blob]:
    """Every file below `path`, or the file itself, in the order of their names, which are relative to `path`.

    A link is followed only if it leads to a file inside `path`; one that leads out is a fault, and so is a folder that
    cannot be listed.

    Raises
    ------
    CaseError
        when there is nothing at `path`.
    """
    if path.is_file():
        yield _blob(path.resolve(), path.name, path.resolve().parent)  # a link named by the analyst is followed
    elif path.is_dir():
        for name in _names(path):
            yield _blob(path / name, name, path)
    else:
        raise CaseError(f"source {path}: there is no such file or folder; correct `sources` in case.yaml")


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
        return Blob(name, file.read_bytes())
    except OSError as error:
        return Blob(name, fault=f"cannot be read: {error.strerror}")
