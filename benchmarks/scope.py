"""How much of a compromise the scope finds, and how long it takes, into benchmarks/RESULTS.md.

    python benchmarks/scope.py [--incidents 500] [--scale 1] [--cache FOLDER] [--out FILE]

Precision and recall over random incidents, whose truth is written down while they are made
(cirtlib.training.incidents), with all records and with some removed; then time and memory on the case folders of
benchmarks/ask.py.
"""

import argparse
import multiprocessing
import random
import resource
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from math import log10
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import ask, results  # noqa: E402
from cirtlib.case import Case, Seed  # noqa: E402
from cirtlib.scope import scope  # noqa: E402
from cirtlib.training.incidents import incident, spoil  # noqa: E402
from cirtlib.training.incidents.check import case_of, compare, without_origin  # noqa: E402

# What is taken away: a share of records at random, or all of some minutes.
LOST = {"nothing": 0.0, "1 %": 0.01, "5 %": 0.05, "10 %": 0.10, "20 %": 0.20, "30 minutes of the attack": -30.0}
_FEWER = 5  # with records removed, so many times fewer incidents
Counts = dict[str, tuple[int, int, int]]


def one(seed: int, *, lost: float) -> tuple[Counts, list[str], int, float]:
    """Counts of one incident, what is wrong in words, keys without a word on their origin, seconds of scope."""
    made = incident(seed)
    hole = timedelta(minutes=max(-lost, 0))
    records = spoil(made, random.Random(seed), lost=max(lost, 0), twice=0.02, hole=hole)
    with tempfile.TemporaryDirectory(prefix="cirt-scope-") as folder:
        case = case_of(made, Path(folder), records)
        begun = time.perf_counter()
        answer = scope(case)
        taken = time.perf_counter() - begun
        found = compare(made, answer)
        return found.counts, found.wrong, len(without_origin(answer, records)), taken


def attribution(count: int) -> list[str]:
    """Tables of precision and recall."""
    lines = [
        "| records removed | incidents | measure | in truth | found | precision | recall |",
        "|---|---|---|---|---|---|---|",
    ]
    said = []
    for name_of_loss, lost in LOST.items():
        seeds = range(1000, 1000 + (count if not lost else count // _FEWER))
        total: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        wrong: Counter[str] = Counter()
        silent, exact = 0, 0
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            for counts, faults, origins, _ in pool.imap_unordered(partial(one, lost=lost), seeds, chunksize=4):
                for name, numbers in counts.items():
                    total[name] = [a + b for a, b in zip(total[name], numbers, strict=True)]
                wrong.update(fault.partition(":")[0].partition(" (")[0] for fault in faults)
                silent += origins
                exact += not faults
        for name, (due, got, right) in sorted(total.items()):
            recall = "" if "," in name and name.startswith("edge") else f"{right / due:.4f}" if due else "-"
            precision = f"{right / got:.4f}" if got else "-"
            lines.append(f"| {name_of_loss} | {len(seeds)} | {name} | {due:,} | {got:,} | {precision} | {recall} |")
        print(f"  {name_of_loss} removed: {exact} of {len(seeds)} exact; {dict(wrong)}", flush=True)
        if not lost:
            said.append(
                f"With all records {exact} of {len(seeds)} incidents are found exactly: nodes, statuses, links, "
                "verdicts and leads."
            )
        certain = total["edge, certain"]
        said.append(
            f"{name_of_loss} removed, {len(seeds)} incidents: {certain[1] - certain[2]} of {certain[1]:,} certain "
            f"links are false; {silent} credentials without a record of their issue lack the word that it was not seen."
        )
    return [*said, "", *lines]


def speed(case: Case) -> tuple[float, float]:
    """Seconds and MiB of one scope in a process of its own; the events are kept ready before."""
    key = ask.suspects(case)["keys"][0]
    asked = replace(case, seeds=(Seed("access_key", key),), as_of=datetime(2026, 6, 12, tzinfo=UTC))
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_timed, (asked,))


def _timed(case: Case) -> tuple[float, float]:
    begun = time.perf_counter()
    scope(case)
    return time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def growth(folder: Path, scale: float) -> list[str]:
    """Table of time and memory on the case and on one of ten times the size."""
    small, large, events = ask.cases(folder, scale)
    lines = ["| events | seconds | peak MiB of the process | target |", "|---|---|---|---|"]
    taken = []
    for case, many in ((small, events), (large, events * ask.COPIES)):
        seconds, memory = min(speed(case) for _ in range(2))
        taken.append(seconds)
        target = "under 5 s, under 2 GB" if many == events else ""
        lines.append(f"| {many / 1e6:.1f} M | {seconds:.1f} | {memory:.0f} | {target} |")
    return [*lines, "", f"Growth exponent {log10(taken[1] / taken[0]):.2f} (1 is linear)."]


def main() -> None:
    """Measure, and write down what was reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--incidents", type=int, default=500)
    parser.add_argument("--scale", type=float, default=1.0, help="part of the large corpus, such as 0.1")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "cirt-bench")
    parser.add_argument("--out", type=Path, default=results.FILE)
    chosen = parser.parse_args()
    chosen.cache.mkdir(parents=True, exist_ok=True)
    body = [results.machine() + ".", "", *attribution(chosen.incidents), "", *growth(chosen.cache, chosen.scale)]
    results.write("Scope", "\n".join(body), chosen.out)
    print(chosen.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
