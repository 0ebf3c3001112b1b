"""How long a plan takes and how much memory, against the scope that it rests on, into benchmarks/RESULTS.md.

    python benchmarks/plan.py [--scale 1] [--cache FOLDER] [--out FILE]

On the smaller case folder of benchmarks/ask.py; scope and plan run in processes of their own.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import ask, results  # noqa: E402
from cirtlib.case import Case, Seed  # noqa: E402
from cirtlib.containment import plan  # noqa: E402
from cirtlib.scope import scope  # noqa: E402


def timed(case: Case, *, planned: bool) -> tuple[float, float, int]:
    """Seconds and peak MiB of the scope, or of the plan (its process makes the scope first), and steps."""
    begun = time.perf_counter()
    found = scope(case)
    if planned:
        begun = time.perf_counter()
    steps = len(plan(case, scope=found).steps) if planned else 0
    return time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, steps


def table(case: Case, events: int) -> list[str]:
    """Sentence and table of what was measured."""
    asked = replace(
        case,
        seeds=(Seed("access_key", ask.suspects(case)["keys"][0]),),
        as_of=datetime(2026, 6, 12, tzinfo=UTC),
    )
    context = multiprocessing.get_context("spawn")
    taken = []
    for planned in (False, True):
        with context.Pool(1) as pool:
            taken.append(pool.apply(timed, (asked,), {"planned": planned}))
    (before, small, _), (seconds, large, steps) = taken
    return [
        (
            f"A plan of {steps:,} steps from {events / 1e6:.1f} M events takes {seconds / before:.1f} times as long as "
            f"the scope, and {large / small:.1f} times its memory."
        ),
        "",
        "| what | seconds | peak MiB of the process |",
        "|---|---|---|",
        f"| scope | {before:.1f} | {small:.0f} |",
        f"| plan | {seconds:.1f} | {large:.0f} |",
    ]


def main() -> None:
    """Measure, and write down what was reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="part of the large corpus, such as 0.1")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "cirt-bench")
    parser.add_argument("--out", type=Path, default=results.FILE)
    chosen = parser.parse_args()
    chosen.cache.mkdir(parents=True, exist_ok=True)
    small, _, events = ask.cases(chosen.cache, chosen.scale)
    results.write("Plan", "\n".join([results.machine() + ".", "", *table(small, events)]), chosen.out)
    print(chosen.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
