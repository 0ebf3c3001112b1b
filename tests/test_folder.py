"""A folder of evidence gives every file in it, and a fault for what cannot be read."""

import os
from pathlib import Path

import pytest

from cirtlib.case import new_case
from cirtlib.errors import CaseError
from cirtlib.sources import Blob, Known
from cirtlib.sources.folder import place, read


def given(path: Path, known: Known | None = None) -> list[Blob]:
    return list(read(path, known or Known()))


def names(path: Path) -> dict[str, str]:
    return {blob.name: blob.fault or blob.file.read_text() for blob in given(path)}


def test_every_file_is_given_in_the_order_of_names(tmp_path: Path) -> None:
    """Hidden files and files without a suffix are evidence, too."""
    for name in ("b/2.json", "b/1.json", "a.json", ".hidden", "b/deep/LICENSE"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    found = [blob.name for blob in given(tmp_path)]
    assert found == sorted(found) == [".hidden", "a.json", "b/1.json", "b/2.json", "b/deep/LICENSE"]


def test_a_single_file_is_a_source(tmp_path: Path) -> None:
    """A file is given under its own name."""
    (tmp_path / "a.json").write_text("x")
    assert names(tmp_path / "a.json") == {"a.json": "x"}


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    """A missing folder is the user's to correct."""
    with pytest.raises(CaseError, match="nowhere"):
        place(new_case(tmp_path / "case", {}), "cloudtrail", {"folder": str(tmp_path / "nowhere")})


def test_what_was_read_is_not_read_again(tmp_path: Path) -> None:
    """A file of the same name, size and time is skipped; one that changed since is not."""
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text(name)
    known = Known(marks={(blob.name, blob.mark) for blob in given(tmp_path)})
    assert given(tmp_path, known) == []
    (tmp_path / "b.json").write_text("longer")
    assert [blob.name for blob in given(tmp_path, known)] == ["b.json"]


def test_links_are_not_followed_out(tmp_path: Path) -> None:
    """A link to a file or folder outside is a fault; one that leads inside is followed."""
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (inside / "real").mkdir(parents=True)
    (inside / "real" / "a.json").write_text("a")
    (inside / "file").symlink_to(outside / "secret")
    (inside / "folder").symlink_to(outside)
    (inside / "again").symlink_to(inside / "real")
    (inside / "copy").symlink_to(inside / "real" / "a.json")
    (inside / "gone").symlink_to(inside / "missing")
    found = names(inside)
    assert found["real/a.json"] == found["copy"] == "a"
    assert "leads out" in found["file"]
    assert "leads out" in found["folder"]
    assert "gone" in found["gone"]
    assert "secret" not in "".join(found.values())
    assert "again/a.json" not in found


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_a_fault(tmp_path: Path) -> None:
    """A file or folder without permission is named with the reason, and the rest is read."""
    (tmp_path / "a.json").write_text("a")
    (tmp_path / "b.json").write_text("b")
    (tmp_path / "closed").mkdir()
    (tmp_path / "b.json").chmod(0)
    (tmp_path / "closed").chmod(0)
    try:
        found = names(tmp_path)
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert found["a.json"] == "a"
    assert "Permission denied" in found["b.json"]
    assert "cannot be listed" in found["closed"]


def test_a_name_that_is_no_text_can_be_written_down(tmp_path: Path) -> None:
    """Bytes of a name that are no UTF-8 become escapes."""
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.json")).write_text("x")
    except OSError:
        pytest.skip("this file system takes only UTF-8")
    assert names(tmp_path) == {"\\xff.json": "x"}


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """What is no regular file is a fault."""
    os.mkfifo(tmp_path / "pipe")
    assert "no regular file" in names(tmp_path)["pipe"]
