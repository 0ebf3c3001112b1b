"""An object too large for memory is read through a window, and gives exactly what it gives when it is read whole."""

import gzip
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from test_records import event, text

from cirtlib import records
from cirtlib.records import Item, Run, windows
from cirtlib.store import reading


def told(items: Any) -> list[tuple[Any, ...]]:
    """Everything about each item but the wording of its fault, with runs as their records' ids."""
    found: list[tuple[Any, ...]] = []
    for item in items:
        if isinstance(item, Run):
            found += [("Item", item.position + n, one.eventid) for n, one in enumerate(item.records)]
        elif isinstance(item, Item) and item.record is not None:
            found.append(("Item", item.position, item.record.eventid))
        else:
            found.append((type(item).__name__, item.position, getattr(item, "kind", ""), item.raw))
    return found


def both(data: bytes | Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> list[tuple[Any, ...]]:
    """What is found, when it is the same read whole, through a small window, and through one with runs."""
    whole = told(records.split(data, **options))
    with monkeypatch.context() as patch:
        patch.setattr(windows, "LARGE", 2500)
        patch.setattr(windows, "WINDOW", 4096)
        assert told(records.split(data, **options)) == whole
        assert told(records.read(data, **options)) == whole
    assert told(records.read(data, **options)) == whole
    return whole


MANY = [event(n, requestParameters={"n": "x" * (n * 37 % 400)}) for n in range(1, 41)]
PLAIN = {
    "records": text({"Records": MANY}),
    "list": text(MANY),
    "indented": json.dumps({"Records": MANY}, indent=2).encode(),
    "lines": b"\n".join(map(text, MANY)),
    "concatenated": b"".join(map(text, MANY)),
    "documents": b"\n".join(text({"Records": MANY[n : n + 7]}) for n in range(0, 40, 7)),
    "detail": text([{"detail": one} for one in MANY]),
    "wrapped": text([{"data": {"Records": MANY}, "service": "s3"}, {"data": {"Records": MANY[:3]}}]),
    "events": text({"Events": [{"EventId": one["eventID"], "CloudTrailEvent": json.dumps(one)} for one in MANY]}),
    "messages": text({"logEvents": [{"message": json.dumps(one)} for one in MANY]}),
    "others": text({"Records": [*MANY[:20], {"a": 1}, 7, *MANY[20:]], "owner": "x"}),
    "surrogate": text({"Records": MANY}).replace(b"xxxx", b"\\ud800", 9),
    "nan": text({"Records": MANY}).replace(b'"xxx', b'NaN,"y":"xxx', 5),
    "no utf-8": text({"Records": MANY}).replace(b"xxxx", b"x\xffx", 9),
    "other list": text({"unheard of": MANY}),
    "unknown": text({"a": [{"b": "c" * 90} for _ in range(90)]}),
    "utf-16": text({"Records": MANY}).decode().encode("utf-16"),
}
PACKED = {
    "gzip": gzip.compress(PLAIN["records"], mtime=0),
    "members": b"".join(gzip.compress(text(one), mtime=0) for one in MANY),
    "padded": gzip.compress(PLAIN["records"], mtime=0) + b"\0" * 900,
    "trailing": gzip.compress(PLAIN["records"], mtime=0) + PLAIN["lines"],
    "nested": gzip.compress(gzip.compress(PLAIN["records"], mtime=0), mtime=0),
}


@pytest.mark.parametrize("data", [*PLAIN.values(), *PACKED.values()], ids=[*PLAIN, *PACKED])
def test_a_large_object_gives_what_a_small_one_gives(data: bytes, tmp_path: Path, monkeypatch: Any) -> None:
    """Records, kinds, bytes and positions are the same, from bytes and from a file."""
    found = both(data, monkeypatch)
    assert len(found) > (0 if len(data) == len(PLAIN["unknown"]) else 39)
    (tmp_path / "object").write_bytes(data)
    assert both(tmp_path / "object", monkeypatch) == found


@pytest.mark.parametrize("data", [*PLAIN.values(), *PACKED.values()], ids=[*PLAIN, *PACKED])
def test_damage_in_a_large_object_costs_what_it_costs_in_a_small_one(data: bytes, monkeypatch: Any) -> None:
    """Cut, flipped, or with a piece of something else in it."""
    for part in (3, 7):
        place = len(data) * part // 11
        both(data[:place], monkeypatch)
        both(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :], monkeypatch)
        both(data[:place] + b'"\n{' + data[place:], monkeypatch)


def test_records_behind_words_are_found(monkeypatch: Any) -> None:
    """What is broken from its beginning on is searched for records, however large it is."""
    data = b"words " + text({"Records": MANY})
    whole = [one for one in told(records.split(data)) if one[0] == "Item"]
    monkeypatch.setattr(windows, "LARGE", 2500)
    monkeypatch.setattr(windows, "WINDOW", 4096)
    found = told(records.split(data))
    assert [one for one in found if one[0] == "Item"] == whole
    assert (len(whole), found[0][0]) == (40, "Rejected")


def test_an_archive_of_large_members_is_read_through_a_window(monkeypatch: Any) -> None:
    """Each member is a text of its own; the bound on expansion holds for them together."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {"1.json": PLAIN["records"], "2.json.gz": PACKED["gzip"], "3.md": b"x" * 9000}.items():
            archive.writestr(name, data)
    assert len(both(made.getvalue(), monkeypatch)) == 81
    both(made.getvalue(), monkeypatch, limit=len(PLAIN["records"]) + 9000)


def test_a_bomb_is_stopped_at_the_limit_wherever_it_is(monkeypatch: Any) -> None:
    """What stands before the bound is kept, and the last item says what the bound is."""
    data = gzip.compress(PLAIN["records"] + b" " * 2_000_000, mtime=0)
    found = both(data, monkeypatch, limit=200_000)
    assert len(found) == 41
    both(PACKED["nested"], monkeypatch, limit=9_000)
    *_, last = records.split(data, limit=200_000)
    assert "200,000 bytes" in last.reason


CODE = """
import gzip, json, re, sys
from pathlib import Path
from cirtlib import records
from cirtlib.store import worker
from cirtlib.store.tables import read_and_stage
sys.meta_path.insert(0, worker._NoPandas())
if sys.argv[1] == "make":
    one = Path(sys.argv[3]).read_bytes()
    with gzip.open(sys.argv[2], "wb", 1) as file:
        file.write(b'{"Records":[')
        for n in range(int(sys.argv[4])):
            file.write(b"," * (n > 0) + one.replace(b"000000000001", b"%012d" % n))
        file.write(b"]}")
else:
    (account,) = read_and_stage(Path(sys.argv[3]), "b", [("x.json.gz", "d", Path(sys.argv[2]))])
    # not getrusage, whose peak begins with that of the process that started this one
    peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
    print(account.seen, len(account.rejections), peak)
"""


@pytest.mark.integration
def test_200_megabytes_pass_within_the_bound_of_memory(tmp_path: Path) -> None:
    """One object of 200 MB needs no more than 350 MB, and every record of it is there."""
    (tmp_path / "one").write_bytes(text(event(1)))
    count = 200_000_000 // len(text(event(1)))
    file = str(tmp_path / "large.json.gz")
    run = [sys.executable, "-c", CODE]
    subprocess.run([*run, "make", file, str(tmp_path / "one"), str(count)], check=True)
    done = subprocess.run([*run, "read", file, str(tmp_path / "staging")], check=True, capture_output=True, text=True)
    seen, rejected, peak = map(int, done.stdout.split())
    assert (seen, rejected) == (count, 0)
    assert peak < 350


def test_a_file_of_rejections_is_held_only_in_part(tmp_path: Path, monkeypatch: Any) -> None:
    """Each is counted and named with its place; past the bound only the beginning of its bytes is kept."""
    monkeypatch.setattr(reading, "_HELD", 5000)
    monkeypatch.setattr(reading, "_SHOWN", 10)
    (tmp_path / "object").write_bytes(b"\n".join([text(event(1)), *[b'{"k":"' + b"x" * 900 + b'"}'] * 20]))
    (account,) = reading.read_each([("a.json", "d", tmp_path / "object")], lambda *_: None)
    assert (account.seen, len(account.rejections)) == (21, 20)
    assert [len(raw) for _, _, raw in account.rejections] == [908] * 5 + [10] * 15
