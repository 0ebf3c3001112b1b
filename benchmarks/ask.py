"""How long questions take on a case folder of 2 and of 20 million events, into benchmarks/RESULTS.md.

    python benchmarks/ask.py [--scale 1] [--cache FOLDER] [--out FILE]

The events are those of benchmarks/collect.py; the larger case holds them ten times, under other accounts. Each question
is asked about the whole window, and about one account and day; with the events kept ready, and without.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import pandas as pd  # noqa: E402

from benchmarks import results  # noqa: E402
from benchmarks.collecting import corpus  # noqa: E402
from cirtlib import queries  # noqa: E402
from cirtlib.case import Case, load_case, new_case  # noqa: E402
from cirtlib.collect import collect  # noqa: E402
from cirtlib.engine import derived  # noqa: E402

COPIES = 10
_WINDOW = {"start": "2026-06-01", "end": "2026-06-12", "baseline_start": "2026-06-01", "baseline_end": "2026-06-05"}
_DAY = {"start": "2026-06-05", "end": "2026-06-05T23:59:59Z"}
_DAY |= {"baseline_start": "2026-06-04", "baseline_end": "2026-06-05"}
Values = dict[str, Any]


def cases(folder: Path, scale: float) -> tuple[Case, Case, int]:
    """The case, the larger one, and the events of the first."""
    plan = corpus.skewed(max(8, round(2000 * scale)), 1000, name=f"skewed-{scale:g}")
    logs = corpus.make(plan, folder)
    place, large = folder / f"ask-{scale:g}", folder / f"ask-{scale:g}-large"
    if not (place / "evidence" / "collected.json").is_file():
        shutil.rmtree(place, ignore_errors=True)  # of a run that was stopped
        collect(new_case(place, {"sources": [{"cloudtrail": {"folder": str(logs)}}]}), progress=False)
    if not (large / "case.yaml").is_file():
        shutil.rmtree(large, ignore_errors=True)
        new_case(large, {"sources": [{"cloudtrail": {"folder": str(logs)}}]})
        for file in (place / "evidence" / "store" / "cloudtrail").rglob("*.parquet"):
            account = file.parts[-3].partition("=")[2]
            for copy in range(COPIES):
                named = f"account_id={int(account) + copy:012d}" if copy else file.parts[-3]
                target = large / "evidence" / "store" / "cloudtrail" / named / file.parts[-2] / file.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.hardlink_to(file)
    return load_case(place), load_case(large), plan.events


def timed(act: Callable[[], object]) -> float:
    """Seconds that it takes, the best of three; of what takes long, the first."""
    found: list[float] = []
    while len(found) < 3 and sum(found) < 0.5:
        begun = time.perf_counter()
        act()
        found.append(time.perf_counter() - begun)
    return min(found)


def suspects(case: Case) -> Values:
    """A key that is used as often as most, and who used it from where."""
    text = (
        "SELECT access_key_id, principal, source_ip FROM (SELECT access_key_id, min(principal) AS principal, "
        "min(source_ip) AS source_ip, count(*) AS n FROM events WHERE access_key_id IS NOT NULL GROUP BY 1) "
        "WHERE n < 200 ORDER BY n DESC, access_key_id LIMIT 1"
    )
    row = queries.sql(case, text).iloc[0]
    return {"keys": [row.iloc[0]], "principals": [row.iloc[1]], "addresses": [row.iloc[2]], "instances": []}


def ask(case: Case, question: queries.Question, values: Values) -> pd.DataFrame:
    """The question with those of the values that it takes."""
    return queries.ask(case, question.name, **{key: one for key, one in values.items() if key in question.parameters})


def in_pandas(case: Case) -> list[tuple[str, float, float]]:
    """(what, seconds in pandas, seconds as a question) of the same work on the same file."""
    files = sorted(derived.folder(case).glob("*.parquet"))

    def read(*columns: str) -> pd.DataFrame:
        return pd.concat(pd.read_parquet(file, columns=list(columns)) for file in files)

    def created() -> pd.DataFrame:
        table = read("event_time", "event_source", "event_name", "event_id")
        chosen = (table["event_source"] == "iam.amazonaws.com") & (table["event_name"] == "CreateAccessKey")
        return table[chosen].sort_values(["event_time", "event_id"])

    def counted() -> pd.DataFrame:
        by = ["principal", "event_name", "outcome"]
        return read(*by).groupby(by, dropna=False).size().reset_index(name="n")

    one = "SELECT event_time, event_source, event_name, event_id FROM events WHERE event_source = 'iam.amazonaws.com' "
    one += "AND event_name = 'CreateAccessKey' ORDER BY event_time, event_id"
    two = "SELECT principal, event_name, outcome, count(*) AS n FROM events GROUP BY 1, 2, 3"
    return [
        ("calls of CreateAccessKey, in order", timed(created), timed(lambda: queries.sql(case, one))),
        ("calls by principal, name and outcome", timed(counted), timed(lambda: queries.sql(case, two))),
    ]


def measure(case: Case, large: Case, events: int) -> str:
    """The part of RESULTS.md."""
    derived.SMALL = 0  # whatever the scale
    given = {**suspects(case), "accounts": [], "regions": []}
    account = str(queries.sql(case, "SELECT min(account_id) AS a FROM events").loc[0, "a"])
    narrow = {**given, **_DAY, "accounts": [account]}
    wide = {**given, **_WINDOW}
    queries.sql(large, "SELECT 1 AS one FROM events LIMIT 1")
    shutil.rmtree(derived.folder(case), ignore_errors=True)
    begun = time.perf_counter()
    queries.sql(case, "SELECT 1 AS one FROM events LIMIT 1")
    made = time.perf_counter() - begun
    rows = []
    for question in queries.questions():
        found = len(ask(case, question, wide))
        asked = ((case, wide), (case, narrow), (large, narrow))
        ready = [timed(lambda q=question, c=c, v=v: ask(c, q, v)) for c, v in asked]
        rows.append([question.name, found, *ready])
        print(f"  {question.name}: " + ", ".join(f"{one:.2f} s" for one in ready), flush=True)
    derived.SMALL = 1 << 60
    for row in rows:
        question = queries.find(row[0])
        row.append(timed(lambda q=question: ask(case, q, wide)))
    derived.SMALL = 0
    return report(rows, in_pandas(case), events, made, case)


def report(rows: list[list[Any]], pandas: list[tuple[str, float, float]], events: int, made: float, case: Case) -> str:
    """Tables and verdicts."""
    size = sum(file.stat().st_size for file in derived.folder(case).glob("*.parquet")) / 1e6
    store = sum(file.stat().st_size for file in (case.store / "cloudtrail").rglob("*.parquet")) / 1e6
    million, most = f"{events / 1e6:.1f} M", f"{COPIES * events / 1e6:.0f} M"
    said = (
        f"{results.machine()}; best of three each, in one process. Events kept ready take {size:.0f} MB beside the "
        f"store's {store:.0f} MB, and {made:.0f} s to make, once after a collect; they are made for "
        "cases of 32 MiB and more, by the first question."
    )
    heads = ["question", "rows", f"{million}, whole window", f"{million}, one account and day"]
    heads += [f"{most}, one account and day", f"{million}, whole window, nothing kept ready"]
    lines = [
        said,
        "",
        f"| {' | '.join(heads)} |",
        "|---|---|---|---|---|---|",
        *(f"| {row[0]} | {row[1]:,} | " + " | ".join(f"{one:.2f} s" for one in row[2:]) + " |" for row in rows),
        "",
        "| the same work on the same files | pandas | question | ratio |",
        "|---|---|---|---|",
        *(f"| {what} | {slow:.2f} s | {fast:.2f} s | {slow / fast:.1f} |" for what, slow, fast in pandas),
        "",
        "| what | reached | target | |",
        "|---|---|---|---|",
    ]
    saved = statistics.median(row[5] / row[2] for row in rows)
    late = [row[0] for row in rows if row[2] > 1]
    slow = [row[0] for row in rows if row[3] > 0.1]
    for what, lacking in (
        (f"questions under 1 s on {million}, whole window", late),
        (f"questions under 100 ms on {million}, one account and day", slow),
    ):
        verdict = "met" if not lacking else f"**short**: {', '.join(lacking)}"
        lines.append(f"| {what} | {len(rows) - len(lacking)} of {len(rows)} | all | {verdict} |")
    lines.append(f"| median gain by events kept ready, whole window | {saved:.1f} times | | |")
    grown = statistics.median(row[4] / row[3] for row in rows)
    lines.append(f"| median cost of {COPIES} times the events, one account and day | {grown:.1f} times | | |")
    return "\n".join(lines)


def main() -> None:
    """Make the cases, measure, and write down what was reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="part of the corpus, such as 0.1")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "cirt-bench")
    parser.add_argument("--out", type=Path, default=results.FILE)
    chosen = parser.parse_args()
    chosen.cache.mkdir(parents=True, exist_ok=True)
    results.write("Ask", measure(*cases(chosen.cache, chosen.scale)), chosen.out)
    print(chosen.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
