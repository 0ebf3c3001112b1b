"""How many plans of random incidents hold when they are carried out, into benchmarks/RESULTS.md.

    python benchmarks/containment.py [--incidents 200] [--out FILE]

Each plan is made from the scope of a collected case, carried out on emulated accounts that hold what the attacker left,
checked, and rolled back (cirtlib.training.incidents.proof). What is wrong is printed with the seed of its incident.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import results  # noqa: E402
from cirtlib.training.incidents import incident  # noqa: E402
from cirtlib.training.incidents.proof import Proof, prove_planned  # noqa: E402

_FIRST = 2000  # seeds that no test uses


def one(seed: int) -> tuple[int, Proof, float]:
    """Seed, proof and seconds of one incident."""
    made = incident(seed)
    begun = time.process_time()
    with tempfile.TemporaryDirectory(prefix="cirt-plan-") as folder:
        proof = prove_planned(made, Path(folder))
    return seed, proof, time.process_time() - begun


def table(proofs: list[Proof], seconds: list[float]) -> list[str]:
    """Sentences and a table of what was carried out."""
    counts: Counter[str] = Counter()
    lacking: Counter[str] = Counter()
    for proof in proofs:
        counts.update(proof.counts)
        lacking.update(proof.lacking)
    held = sum(not proof.wrong for proof in proofs)
    lines = [
        (
            f"{held} of {len(proofs)} plans hold: every node of the extent has a step or a reason, every step changes "
            "what it says and nothing outside the extent, every check fails before and holds after, no way in is left, "
            "and the rollback restores what was and lets nobody in."
        ),
        (
            f"{sorted(seconds)[len(seconds) // 2]:.1f} s of processor time an incident (median; {max(seconds):.1f} s "
            "the longest): collect, scope, plan, carry out, check, roll back twice."
        ),
        "",
        "| what | how many |",
        "|---|---|",
        *(f"| {name} | {number:,} |" for name, number in sorted(counts.items()) if number),
    ]
    missing = [f"| {name} | {number:,} |" for name, number in sorted(lacking.items())]
    title = "Steps that the emulator lacks a call for; their calls are checked against botocore's models:"
    return [*lines, "", title, "", "| row: call | steps |", "|---|---|", *missing] if missing else lines


def main() -> None:
    """Measure, and write down what was reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--incidents", type=int, default=200)
    parser.add_argument("--out", type=Path, default=results.FILE)
    chosen = parser.parse_args()
    proofs, seconds = [], []
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        seeds = range(_FIRST, _FIRST + chosen.incidents)
        for seed, proof, taken in pool.imap(one, seeds, chunksize=4):
            proofs.append(proof)
            seconds.append(taken)
            for fault in proof.wrong:
                print(f"  {seed}: {fault}", flush=True)
    results.write("Containment", "\n".join([results.machine() + ".", "", *table(proofs, seconds)]), chosen.out)
    print(chosen.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
