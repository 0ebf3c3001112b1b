"""Collect measured against its lower bounds and what else reads CloudTrail, side by side, into benchmarks/RESULTS.md.

    python benchmarks/collect.py [--scale 1] [--cache FOLDER] [--out FILE]

The corpus is generated once into the cache folder (4 GB of JSON at scale 1, 0.4 GB on disk). Each pipeline runs in a
process of its own. Ratios of one run are what to look at; absolute figures are the machine's.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import results  # noqa: E402
from benchmarks.collecting import corpus  # noqa: E402
from benchmarks.collecting.pipelines import PIPELINES  # noqa: E402
from benchmarks.collecting.server import serving  # noqa: E402

_SLOW = "pandas json_normalize"
_DUCKDB = "DuckDB read_json, 2 threads"
_SOME_EVENTS = 60_000  # json_normalize holds everything in memory, so it gets a part of the corpus
_SOME_OBJECTS = 4_000  # DuckDB takes 15 ms and 0.5 MB for each object, so of many it gets a part
Result = dict[str, Any]
Measured = list[tuple[str, corpus.Plan, int, dict[str, Result]]]
Fetched = list[tuple[str, int, Result]]
Grown = tuple[list[tuple[int, float]], float]


def run(module: str, *arguments: object) -> Result:
    """Run a module in a new process; what it prints, or why it failed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # a user's Python does not compile everything at each start
    command = [sys.executable, "-m", f"benchmarks.collecting.{module}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    if done.returncode:
        return {"missing": "failed: " + (done.stderr.strip().splitlines() or ["no word"])[-1][:160]}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(plan: corpus.Plan, folder: Path, cost: int) -> dict[str, Result]:
    """Every pipeline on one corpus; `cost` is its bytes of JSON. A part that is read stands for the whole."""
    found: dict[str, Result] = {}
    for name in PIPELINES:
        part = {_SLOW: plan.events // _SOME_EVENTS, _DUCKDB: len(plan.sizes) // _SOME_OBJECTS}.get(name, 1) or 1
        made = run("pipelines", name, folder, part)
        if "missing" not in made:
            events = made["events"] or plan.events
            share = events / plan.events
            made |= {"part": share, "rate": events / made["seconds"], "each": made["cpu"] / events}
            made["megabytes"] = cost * share / made["seconds"] / 1e6
        found[name] = made
        said = made.get("missing") or f"{made['seconds']:.1f} s, {made['rate'] / 1000:.0f} k events/s"
        print(f"  {name}: {said}", flush=True)
    return found


def growth(folder: Path) -> Grown:
    """(events, CPU seconds) at four sizes, and the exponent: 1 is linear."""
    points = []
    for part in (8, 4, 2, 1):
        made = run("pipelines", "ours, 2 processes", folder, part)
        points.append((int(made["events"]), float(made["cpu"])))
    logs = [(math.log(events), math.log(cpu)) for events, cpu in points]
    mean = [sum(values) / len(logs) for values in zip(*logs, strict=True)]
    slope = sum((x - mean[0]) * (y - mean[1]) for x, y in logs) / sum((x - mean[0]) ** 2 for x, _ in logs)
    return points, slope


def fetches(folder: Path, count: int) -> Fetched:
    """Objects per second and per CPU second of each client."""
    body = next(folder.rglob("*.json.gz")).read_bytes()
    with serving(body) as url:
        return [
            (name, threads, run("fetching", name, url, count, threads))
            for name, threads in (("boto3", 1), ("boto3", 8), ("obstore", 1), ("obstore", 8))
        ]


def table(found: dict[str, Result]) -> list[str]:
    """Rows of one corpus."""
    lines = [
        "| pipeline | seconds | CPU s | k events/s | MB/s of JSON | peak MB | peak MB of a worker |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in found.items():
        if "missing" in one:
            lines.append(f"| {name} | {one['missing']} | | | | | |")
            continue
        part = f" ({one['part']:.0%} of the events)" if one["part"] < 0.99 else ""
        worker = f"{one['worker']:.0f}" if "2 processes" in name else ""
        lines.append(
            f"| {name}{part} | {one['seconds']:.1f} | {one['cpu']:.1f} | {one['rate'] / 1000:.0f} | "
            f"{one['megabytes']:.0f} | {one['peak']:.0f} | {worker} |"
        )
    return lines


def verdicts(found: dict[str, Result]) -> list[tuple[str, float, float, bool]]:
    """(what, reached, target, at least or at most) of one corpus; what was not measured is left out."""
    ours, single = found["ours, 2 processes"], found["ours, 1 process"]
    bare = found["ours, 2 processes, originals not kept"]
    said = []

    def ratio(what: str, above: tuple[Result, str], below: tuple[Result, str], target: float, least: bool) -> None:
        if "missing" not in above[0] and "missing" not in below[0]:
            said.append((what, above[0][above[1]] / below[0][below[1]], target, least))

    ratio("times as fast as json_normalize", (ours, "rate"), (found[_SLOW], "rate"), 10, True)
    ratio("times as fast as DuckDB", (ours, "rate"), (found[_DUCKDB], "rate"), 2, True)
    ratio("times gunzip alone (isal)", (ours, "seconds"), (found["gunzip only (isal)"], "seconds"), 9, False)
    ratio("times gunzip alone, in CPU, 1 process", (single, "cpu"), (found["gunzip only (isal)"], "cpu"), 9, False)
    ratio("times the time without originals", (ours, "seconds"), (bare, "seconds"), 1.15, False)
    if "missing" not in ours:
        said.append(("MB in a worker", ours["worker"], 350, False))
    return said


def report(parts: Measured, fetched: Fetched, grown: Grown) -> str:
    """The part of RESULTS.md."""
    lines = [f"{results.machine()}; warm cache, one run, each line in its own process.", ""]
    judged: list[tuple[str, float, float, bool]] = []
    for title, plan, size, found in parts:
        lines += [f"### {title}: {plan.events:,} events, {len(plan.sizes):,} objects, {size / 1e9:.2f} GB of JSON", ""]
        lines += [*table(found), ""]
        judged += [(f"{title}: {what}", *rest) for what, *rest in verdicts(found)]  # type: ignore[misc]
    lines += ["### Small objects from a server that only answers GET", ""]
    lines += ["| client | threads | objects/s | objects per CPU s | µs of CPU an object |", "|---|---|---|---|---|"]
    best: dict[str, float] = {}
    for name, threads, one in fetched:
        if "missing" in one:
            lines.append(f"| {name} | {threads} | {one['missing']} | | |")
            continue
        each = one["objects"] / one["cpu"]
        best[name] = max(best.get(name, 0), each)
        rate = one["objects"] / one["seconds"]
        lines.append(f"| {name} | {threads} | {rate:,.0f} | {each:,.0f} | {1e6 / each:,.0f} |")
    if len(best) == 2:
        judged.append(("obstore: times the objects of boto3 per CPU second", best["obstore"] / best["boto3"], 8, True))
    points, slope = grown
    judged.append(("growth: exponent of CPU time over events", slope, 1.1, False))
    lines += ["", "### Growth", "", "| events | CPU s | µs an event |", "|---|---|---|"]
    lines += [f"| {events:,} | {cpu:.1f} | {cpu / events * 1e6:.1f} |" for events, cpu in points]
    lines += ["", "### Targets", "", "| what | reached | target | |", "|---|---|---|---|"]
    for what, reached, target, least in judged:
        said = "met" if (reached >= target if least else reached <= target) else "**short**"
        lines.append(f"| {what} | {reached:.2f} | {'at least' if least else 'at most'} {target:g} | {said} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Make the corpus, measure, and write down what was reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="part of the corpus, such as 0.1")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "cirt-bench")
    parser.add_argument("--out", type=Path, default=results.FILE)
    chosen = parser.parse_args()
    scale = chosen.scale
    chosen.cache.mkdir(parents=True, exist_ok=True)
    skewed = corpus.skewed(max(8, round(2000 * scale)), 1000, name=f"skewed-{scale:g}")
    tiny = corpus.tiny(max(8, round(40_000 * scale)), name=f"tiny-{scale:g}")
    parts = []
    for title, plan in (("Skewed objects", skewed), ("Tiny objects", tiny)):
        folder = corpus.make(plan, chosen.cache)
        size = sum(int.from_bytes(file.read_bytes()[-4:], "little") for file in folder.rglob("*.json.gz"))
        print(f"{title}: {plan.events:,} events, {len(plan.sizes):,} objects, {size / 1e9:.2f} GB of JSON")
        parts.append((title, plan, size, measure(plan, folder, size)))
    grown = growth(chosen.cache / skewed.name)
    fetched = fetches(chosen.cache / tiny.name, max(500, round(5000 * scale)))
    text = report(parts, fetched, grown)
    results.write("Collect", text, chosen.out)
    print("\n" + text)


if __name__ == "__main__":
    main()
