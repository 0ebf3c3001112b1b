"""What a case's predicates spare: bytes that Trino reads for one account and two days, and for the whole table.

    python benchmarks/scan.py [--accounts 12] [--days 90] [--events 40]

A table in CloudTrail's layout is made of local files, one for each account, Region and day, with partition projection.
A shipped question is asked of it on the engine trino for one account and two days of delivery, then the same columns
are read without any condition. The first run fetches a Trino (0.5 GB) into the user's cache folder.
"""

import argparse
import gzip
import json
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from benchmarks import results  # noqa: E402
from cirtlib import queries  # noqa: E402
from cirtlib.case import Case, Source, Window  # noqa: E402
from cirtlib.engine import dialect  # noqa: E402
from cirtlib.engine import trino as engine  # noqa: E402
from cirtlib.engine.schema import DOCUMENTED  # noqa: E402
from tests import sample_store as sample  # noqa: E402
from tests.trino_server import Trino, serve  # noqa: E402
from tests.trino_tables import hive_type  # noqa: E402

REGIONS = ("us-east-1", "eu-west-1")
FIRST = datetime(2026, 4, 1, tzinfo=UTC)
QUESTION = "enumeration"
WANTED = 100


def account(number: int) -> str:
    return f"{111100000000 + number}"


def write(folder: Path, accounts: int, days: int, events: int) -> int:
    """Log files of so many accounts, days and events a file; their number."""
    files = 0
    for number in range(accounts):
        for region in REGIONS:
            for past in range(days):
                day = FIRST + timedelta(days=past)
                place = folder / account(number) / "CloudTrail" / region / f"{day:%Y/%m/%d}"
                place.mkdir(parents=True)
                lines = [json.dumps(event(number, region, day, minute)) for minute in range(events)]
                (place / "events.json.gz").write_bytes(gzip.compress("\n".join(lines).encode(), 1))
                files += 1
    return files


def event(number: int, region: str, day: datetime, minute: int) -> dict[str, object]:
    name = ("ListBuckets", "DescribeInstances", "GetRole", "AssumeRole")[minute % 4]
    who = sample.user(f"user{number}", account=account(number))
    time = f"{day + timedelta(minutes=minute):%Y-%m-%dT%H:%M:%SZ}"
    return sample.record(name, who=who, time=time, awsRegion=region, recipientAccountId=account(number))


def create(server: Trino, accounts: int) -> None:
    """The table, projected by account, Region and day."""
    columns = ", ".join(f'"{name}" {hive_type(kind)}' for name, kind in DOCUMENTED.items())
    listed = {"account": [account(number) for number in range(accounts)], "region": list(REGIONS)}
    keys = [
        f"{name} varchar WITH (partition_projection_type = 'ENUM', partition_projection_values = ARRAY{values})"
        for name, values in listed.items()
    ]
    keys.append(
        "day varchar WITH (partition_projection_type = 'DATE', partition_projection_format = 'yyyy/MM/dd', "
        f"partition_projection_range = ARRAY['{FIRST:%Y/%m/%d}', '2026/12/31'], partition_projection_interval = 1, "
        "partition_projection_interval_unit = 'DAYS')"
    )
    server.run(
        f"CREATE TABLE hive.\"default\".logs ({columns}, {', '.join(keys)}) WITH (format = 'OPENX_JSON', "
        "external_location = 'local:///logs', partitioned_by = ARRAY['account', 'region', 'day'], "
        "partition_projection_enabled = true, "
        "partition_projection_location_template = 'local:///logs/${account}/CloudTrail/${region}/${day}')"
    )


def case_of(server: Trino, folder: Path, days: int) -> Case:
    """A case about one account and the last day but one, whose late day makes two days of delivery."""
    where = {"host": "127.0.0.1", "port": server.port, "user": "bench", "catalog": "hive", "schema": "default"}
    start = FIRST + timedelta(days=days - 2)
    window = Window(start, start + timedelta(days=1, seconds=-1))
    source = Source("cloudtrail", {"trino": {**where, "table": "logs"}})
    return Case(folder, "scan", window=window, accounts=(account(0),), sources=(source,))


def measure(server: Trino, case: Case) -> tuple[int, int]:
    """Bytes read with the case's predicates, and without any."""
    tree = dialect.parse(queries.find(QUESTION).text)
    values = {"accounts": list(case.accounts), "regions": [], "principals": [], "addresses": [], "minimum": 1}
    values |= {"keys": ["AKIAIOSFODNN7EXAMPLE"], "start": case.window.start, "end": case.window.end}
    found = engine.run(case, tree, values)
    if found.empty:
        raise SystemExit("the question found nothing: the benchmark measures the wrong thing")
    whole = engine.execute(engine.of(case)[0], 'SELECT count(*), count(useridentity), count(eventtime) FROM "logs"')
    return found.attrs["bytes_scanned"], whole.attrs["bytes_scanned"]


def main() -> int:
    parser = argparse.ArgumentParser(description="Bytes read with and without a case's predicates.")
    for name, default in (("accounts", 12), ("days", 90), ("events", 40)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, serve(Path(scratch)) as server:
        files = write(server.files / "logs", given.accounts, given.days, given.events)
        create(server, given.accounts)
        part, whole = measure(server, case_of(server, Path(scratch), given.days))
    ratio = whole / part
    text = (
        f"Trino's own count of a table of {files:,} files ({given.accounts} accounts, {len(REGIONS)} Regions, "
        f"{given.days} days) with projected partitions, question {QUESTION}.\n\n| read | bytes |\n|---|---|\n"
        f"| the same columns, no predicate | {whole:,} |\n| one account, one day and the late one | {part:,} |\n\n"
        f"{ratio:.0f} times less; target: at least {WANTED}: {'met' if ratio >= WANTED else '**short**'}."
    )
    results.write("Scan", text)
    print(text)
    return 0 if ratio >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
