"""Whatever happens to a file, its account adds up, nothing crashes, and no good record beside a bad one is lost."""

import gzip
import io
import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_records import event, text
from test_store import balanced, logs, make

from cirtlib import records, store
from cirtlib.collect import collect
from cirtlib.records import Item, Rejected, windows
from cirtlib.store.reading import read_each

CASES = int(os.environ.get("CIRT_CASES", "1000"))
FEW = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
# The same cases in every run of the tests, so that a change is to blame for what fails; `make bench` looks for others.
MANY = settings(FEW, max_examples=CASES, derandomize="CIRT_CASES" not in os.environ)

ODD: list[dict[str, Any]] = [
    {"apiVersion": 7}, {"eventTime": "soon"}, {"userAgent": "\ud800"}, {"eventID": ...}, {"unheardOf": [{"a": 1}]},
    {"requestParameters": {"nested": [{"deep": ["x"] * 30}]}}, {"userIdentity": None}, {"readOnly": "true"},
]  # fmt: skip
SHAPES = ["records", "list", "lines", "indented", "concatenated", "documents", "detail", "events"]


@st.composite
def plain(draw: Any) -> bytes:
    """A file of up to 12 records in one of the containers, some of them odd."""
    count = draw(st.integers(0, 12))
    odd = draw(st.dictionaries(st.integers(0, 11), st.sampled_from(ODD), max_size=3))
    found = [event(100 + number, **odd.get(number, {})) for number in range(count)]
    shape = draw(st.sampled_from(SHAPES))
    if shape == "indented":
        return json.dumps({"Records": found}, indent=draw(st.integers(0, 3))).encode()
    if shape == "events":
        return text({"Events": [{"EventId": "e", "CloudTrailEvent": json.dumps(one)} for one in found]})
    return {
        "records": text({"Records": found}),
        "list": text(found),
        "lines": b"\n".join(map(text, found)),
        "concatenated": b"".join(map(text, found)),
        "documents": b"\n".join(text({"Records": found[n : n + 3]}) for n in range(0, count, 3)),
        "detail": text([{"detail": one} for one in found]),
    }[shape]


@st.composite
def mutated(draw: Any, files: Any = None) -> bytes:
    """A file to which up to four things have happened."""
    files = files or plain()
    data: bytes = draw(files)
    for _ in range(draw(st.integers(0, 4))):
        place, other = (draw(st.integers(0, max(len(data) - 1, 0))) for _ in range(2))
        first, last = sorted((place, other))
        what = draw(st.sampled_from(["cut", "flip", "add", "gzip", "zip", "repeat", "turn", "insert", "remove"]))
        match what:
            case "cut":
                data = data[:place]
            case "flip" if data:
                data = data[:place] + bytes([draw(st.integers(0, 255))]) + data[place + 1 :]
            case "add":
                data += draw(st.sampled_from([b"", b"\n"])) + draw(files)
            case "gzip":
                data = gzip.compress(data, draw(st.sampled_from([0, 6])), mtime=0)
            case "zip":
                made = io.BytesIO()
                with zipfile.ZipFile(made, "w", draw(st.sampled_from([0, 8]))) as archive:
                    archive.writestr(draw(st.sampled_from(["a.json", "../../b.gz"])), data)
                data = made.getvalue()
            case "repeat":
                data = data[:last] + data[first:]
            case "turn":
                data = data[last:] + data[:last]
            case "insert":
                piece = draw(st.sampled_from([b"\0", b'"', b"{", b"}", b"]", b",", b"\n", b"\xff\xfe", b"NaN", b"\\"]))
                data = data[:place] + piece + data[place:]
            case "remove":
                data = data[:first] + data[last : last + 1] + data[min(last, first + 40) :]
    return data


def inside(data: bytes, depth: int = 0) -> bytes:
    """The text in an object as far as it can be unpacked from its start, by another way than the library's."""
    if depth > 3 or not data.startswith(b"\x1f\x8b"):
        return b"" if data.startswith(b"PK") else data
    taken, rest = b"", data
    while rest.startswith(b"\x1f\x8b"):
        member = zlib.decompressobj(31)
        try:
            for place in range(len(rest)):
                taken += member.decompress(rest[place : place + 1])
                if member.eof:
                    break
        except zlib.error:
            break
        if not member.eof:
            break
        rest = rest[place + 1 :]
    return inside(taken, depth + 1)


FRAMED = (b"[", b",", b"\n", b"}", b"")
GOOD = [text(event(100 + number)) for number in range(12)]


def due(data: bytes) -> set[bytes]:
    """Records that stand untouched in the text, as elements, lines, or one after another."""
    found, content = set(), inside(data)
    for raw in GOOD:
        place = content.find(raw)
        if place >= 0 and content[:place].rstrip(b" \t\r\n")[-1:] in FRAMED:
            found.add(raw)
    return found


def holds(data: bytes, file: Path) -> None:
    """Everything that is to be true of any bytes at all."""
    items = list(records.split(data, name="a.json.gz"))
    assert [item.position for item in items] == list(range(len(items)))
    kept = [item.raw for item in items if isinstance(item, Item)]
    for raw in due(data):
        assert any(raw in one for one in kept), (raw[-60:], [getattr(one, "reason", "") for one in items])
    for item in items:
        assert not isinstance(item, Rejected) or item.reason
    file.write_bytes(data)
    rows = []
    (account,) = read_each([("a.json.gz", "d", file)], lambda _, table: rows.append(len(table)))
    assert account.seen == sum(rows) + len(account.rejections)
    positions = [position for position, _, _ in account.rejections]
    assert positions == sorted(set(positions))


def through_a_window(data: bytes) -> None:
    """Read as a large object, the bytes give the same records."""
    whole = [item.raw for item in records.split(data) if isinstance(item, Item)]
    large, window = windows.LARGE, windows.WINDOW
    windows.LARGE, windows.WINDOW = 2500, 4096
    try:
        found = [item.raw for item in records.split(data) if isinstance(item, Item)]
    finally:
        windows.LARGE, windows.WINDOW = large, window
    assert sorted(found) == sorted(whole)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lossless") / "object"


@FEW
@given(data=mutated())
def test_no_mutation_costs_a_good_record(data: bytes, file: Path) -> None:
    """The account adds up, and every record that stands untouched is kept."""
    holds(data, file)


@pytest.mark.integration
@MANY
@given(data=mutated())
def test_many_mutations_cost_no_good_record(data: bytes, file: Path) -> None:
    """The same for as many cases as are asked for, and also read through a window."""
    holds(data, file)
    through_a_window(data)


@FEW
@given(data=mutated())
def test_a_window_sees_what_is_there(data: bytes) -> None:
    """However large the object is, its records are the same."""
    through_a_window(data)


@pytest.mark.integration
@MANY
@given(data=st.data())
def test_mutated_real_files_are_accounted_for(data: Any, file: Path, real_data: Path) -> None:
    """Real files of every form, damaged in every way, crash nothing, and their account adds up."""
    found = sorted(one for one in real_data.rglob("*") if one.is_file() and one.stat().st_size < 40_000)
    real = st.sampled_from(found).map(Path.read_bytes)
    holds(data.draw(mutated(real)), file)


@pytest.mark.integration
@settings(MANY, max_examples=max(CASES // 25, 1))
@given(files=st.lists(mutated(), min_size=1, max_size=4))
def test_every_object_of_a_collect_adds_up(files: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Seen is kept, duplicate and rejected, for each object and for the case, and a second collect adds nothing."""
    case = make(tmp_path_factory.mktemp("collect"), {f"{n}.json.gz": data for n, data in enumerate(files)})
    account = collect(case, processes=1)
    total = balanced(case)
    assert total["seen"] == total["kept"] + total["duplicate"] + total["rejected"] == account["seen"]
    assert collect(case, processes=1) == {**account, "new": 0}


def test_a_damaged_element_costs_its_neighbours_nothing(tmp_path: Path) -> None:
    """One bad record in a list, one bad member of a file of several: the others are kept, and the damage is told."""
    bad = logs(event(1), event(2), event(3)).replace(b'"eventName":"GetObject"', b'"eventName:"GetObject"', 2)
    bad = bad.replace(b'"eventName:"', b'"eventName":"', 1)
    member = bytearray(gzip.compress(logs(event(5)), mtime=0))
    member[len(member) // 2] ^= 0xFF
    packed = gzip.compress(logs(event(4)), mtime=0) + bytes(member) + gzip.compress(logs(event(6)), mtime=0)
    case = make(tmp_path, {"1.json": bad, "2.json.gz": packed, "3.json": b'{"Recards":' + logs(event(7))[11:]})
    account = collect(case)
    ids = {event(n)["eventID"] for n in (1, 3, 4, 6, 7)}
    assert {one["eventID"] for one in map(json.loads, (store.record(case, n)[0] for n in ids))} == ids
    assert account["kept"] == 5
    assert {one["object"] for one in account["rejections"]} == {"1.json", "2.json.gz"}
    assert "damaged gzip" in account["rejections"][-1]["reason"]
