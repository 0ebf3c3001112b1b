"""The pipelines that are compared, each run in a process of its own, so that its peak memory is its own.

    python -m benchmarks.collecting.pipelines NAME FOLDER PART

reads every PART-th object below FOLDER with the pipeline NAME, and prints what it took as JSON. Imports are not
counted, writing the result to disk is.
"""

import json
import re
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any


def files(folder: Path, part: int) -> list[Path]:
    """Every part-th object, in order of names."""
    return sorted(folder.rglob("*.json.gz"))[::part]


def gunzip(found: list[Path], _: Path) -> int:
    """The lower bound: expand everything with isal, and forget it."""
    from isal import igzip

    for file in found:
        igzip.decompress(file.read_bytes())
    return 0


def gunzip_zlib(found: list[Path], _: Path) -> int:
    """Expand everything with Python's own zlib, and forget it."""
    import gzip

    for file in found:
        gzip.decompress(file.read_bytes())
    return 0


def simdjson(found: list[Path], _: Path) -> int:
    """Expand and parse everything with simdjson, look at no field."""
    import simdjson as library
    from isal import igzip

    parser, count = library.Parser(), 0
    for file in found:
        document = parser.parse(igzip.decompress(file.read_bytes()))
        count += len(document["Records"])  # type: ignore[index,call-overload,arg-type]
        del document
    return count


def json_normalize(found: list[Path], scratch: Path) -> int:
    """json.loads, pandas.json_normalize, Parquet: what most notebooks do. Nested values become columns of their own."""
    import pandas as pd
    from isal import igzip

    every: list[dict[str, Any]] = []
    for file in found:
        every += json.loads(igzip.decompress(file.read_bytes()))["Records"]
    frame = pd.json_normalize(every, max_level=1)
    for name in frame.columns:
        if frame[name].map(lambda value: isinstance(value, list | dict)).any():
            frame[name] = frame[name].map(lambda value: json.dumps(value) if isinstance(value, list | dict) else value)
    frame.astype("string").to_parquet(scratch / "all.parquet", compression="zstd")
    return len(frame)


def duckdb(found: list[Path], scratch: Path) -> int:
    """read_json with its automatic types, one row a record, to Parquet; two threads."""
    import duckdb as library

    with library.connect(config={"threads": 2, "temp_directory": str(scratch / "spill")}) as connection:
        names = [str(file) for file in found]
        connection.execute(
            "COPY (SELECT unnest(Records) AS record FROM read_json($names, maximum_object_size = 134217728)) "
            f"TO '{scratch / 'all.parquet'}' (FORMAT parquet, COMPRESSION zstd)",
            {"names": names},
        )
        row = connection.execute(f"SELECT count(*) FROM '{scratch / 'all.parquet'}'").fetchone()
    return int(row[0]) if row else 0


def _ours(processes: int, *, originals: bool) -> Callable[[list[Path], Path], int]:
    def run(found: list[Path], scratch: Path) -> int:
        from cirtlib.case import new_case
        from cirtlib.collect import collect

        source = scratch / "source"
        root = Path(sys.argv[2])
        for file in found:  # a folder of this part alone; hard links cost no copy
            place = source / file.relative_to(root)
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                place.hardlink_to(file)
            except OSError:
                shutil.copyfile(file, place)
        case = new_case(scratch / "case", {"sources": [{"cloudtrail": {"folder": str(source)}}]})
        begin()
        account = collect(case, progress=False, processes=processes, originals=originals)
        if account["rejected"] or account["seen"] != account["kept"] + account["duplicate"]:
            raise SystemExit(f"the corpus was not read as a whole: {account}")
        return int(account["kept"])

    return run


PIPELINES: dict[str, Callable[[list[Path], Path], int]] = {
    "ours, 1 process": _ours(1, originals=True),
    "ours, 2 processes": _ours(2, originals=True),
    "ours, 2 processes, originals not kept": _ours(2, originals=False),
    "gunzip only (isal)": gunzip,
    "gunzip only (zlib)": gunzip_zlib,
    "gunzip and simdjson, no field read": simdjson,
    "pandas json_normalize": json_normalize,
    "DuckDB read_json, 2 threads": duckdb,
}
_begun: list[float] = []


def _cpu() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in usages)


def begin() -> None:
    """Start the clocks anew."""
    _begun[:] = [time.perf_counter(), _cpu()]


def _own_status() -> str:
    status = Path("/proc/self/status")
    return status.read_text() if status.exists() else ""


def main() -> None:
    """Run one pipeline and print events, seconds, CPU seconds and peaks of memory in MB as JSON."""
    name, folder, part = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    warnings.simplefilter("ignore")
    for module in ("isal", "pandas", "pyarrow.parquet", "duckdb", "simdjson", "cirtlib.collect"):
        if name.startswith({"cirtlib.collect": "ours", "pyarrow.parquet": "pandas"}.get(module, module)[:6]):
            __import__(module)
    found = files(folder, part)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        begin()
        try:
            events = PIPELINES[name](found, Path(scratch))
        except ImportError as error:
            print(json.dumps({"missing": f"not installed: {error.name}"}))
            return
        seconds, cpu = time.perf_counter() - _begun[0], _cpu() - _begun[1]
    # getrusage alone would begin with the peak of the process that started this one
    own = re.search(r"VmHWM:\s+(\d+)", _own_status())
    peak = int(own[1]) if own else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    told = {"events": events, "seconds": seconds, "cpu": cpu, "peak": peak / 1024, "worker": worker / 1024}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
