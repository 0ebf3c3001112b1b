"""Athena's API over HTTP with a real Trino behind: Glue's table, projected partitions, S3's objects, awswrangler."""

import gzip
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import awswrangler as wr
import boto3
import duckdb
import pandas as pd
import pytest
from sqlglot import exp

from cirtlib import queries, standard
from cirtlib.case import Case, Source, Window
from cirtlib.engine import athena, dialect
from cirtlib.engine import duckdb as local
from cirtlib.engine.schema import DOCUMENTED, EXTRA, LINK
from cirtlib.errors import QueryError
from tests import athena_server, trino_tables
from tests.athena_server import Athena
from tests.same_rows import differences
from tests.trino_parity import collected, order
from tests.trino_server import Trino, trino_server

__all__ = ["trino_server"]
pytestmark = pytest.mark.integration
README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BUCKET, DATABASE, TABLE = "org-trail", "security", "cloudtrail_logs_pp"
TEMPLATE = f"s3://{BUCKET}/AWSLogs/o-abc123/${{account}}/CloudTrail/${{region}}/${{day}}"
DAYS = ("2026/06/23", "2026/06/24")
ASKED = ("access_keys_created", "attacker_made", "credential_mints", "credentials_minted", "denied_bursts",
         "finding_records", "same_session", "who_is_it", "who_uses_it")  # fmt: skip


def hive_type(kind: str) -> str:
    """Glue's name of a DuckDB type."""
    return str(exp.DataType.build(kind, dialect="duckdb").sql("hive")).lower().replace(" ", "")


@pytest.fixture(scope="module")
def served(trino_server: Trino) -> Iterator[Athena]:
    """The emulation, in an environment in which boto3 finds it."""
    with athena_server.serve(trino_server, BUCKET) as made, pytest.MonkeyPatch.context() as environment:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            environment.delenv(name, raising=False)
        for name, value in made.environment().items():
            environment.setenv(name, value)
        yield made


@pytest.fixture(scope="module")
def small(served: Athena, incident: tuple[Case, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The incident's last days: in S3 with a projected table in Glue, and collected into a case folder."""
    folder = tmp_path_factory.mktemp("small")
    rows = [one for one in trino_tables.lines(incident[0]) if one.day in DAYS]
    parts: dict[tuple[str, str, str], list[bytes]] = {}
    for row in rows:
        parts.setdefault((row.account, row.region, row.day), []).append(row.text())
    assert 2 < len(parts) < 50
    (folder / "logs").mkdir()
    s3 = served.client("s3")
    for number, ((account, region, day), texts) in enumerate(parts.items()):
        body = gzip.compress(b"\n".join(texts) + b"\n")
        key = f"AWSLogs/o-abc123/{account}/CloudTrail/{region}/{day}/{number}.json.gz"
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    for number, row in enumerate(rows):
        (folder / "logs" / f"{number}.json").write_bytes(row.raw)
    _create(served, sorted({region for _, region, _ in parts}))
    case = collected(folder / "case", folder / "logs")
    options = {"database": DATABASE, "table": TABLE, "output": f"s3://{BUCKET}/results/", "region": "us-east-1"}
    window = Window(datetime(2026, 6, 23, tzinfo=UTC), datetime(2026, 6, 24, 23, 59, 59, tzinfo=UTC))
    return replace(
        case,
        sources=(Source("cloudtrail", {"athena": options}),),
        accounts=tuple(sorted({account for account, _, _ in parts})),
        window=window,
        access={"endpoint_url": served.endpoint},
    )


def _create(served: Athena, regions: list[str]) -> None:
    """Table in Glue with Athena's own properties of partition projection."""
    glue = served.client("glue")
    glue.create_database(DatabaseInput={"Name": DATABASE})
    columns = {**DOCUMENTED, **EXTRA, **LINK}
    properties = {
        "projection.enabled": "true", "projection.account.type": "injected", "projection.region.type": "enum",
        "projection.region.values": ",".join(regions), "projection.day.type": "date",
        "projection.day.format": "yyyy/MM/dd", "projection.day.range": "2026/06/01,2026/07/01",
        "projection.day.interval": "1", "projection.day.interval.unit": "DAYS", "storage.location.template": TEMPLATE,
        "EXTERNAL": "TRUE",
    }  # fmt: skip
    text = "org.apache.hadoop.mapred.TextInputFormat"
    keys = [{"Name": name, "Type": "string"} for name in ("account", "region", "day")]
    storage = {
        "Columns": [{"Name": name, "Type": hive_type(kind)} for name, kind in columns.items()],
        "Location": f"s3://{BUCKET}/AWSLogs/o-abc123/",
        "InputFormat": text,
        "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        "SerdeInfo": {"SerializationLibrary": "org.openx.data.jsonserde.JsonSerDe"},
    }
    table = {"Name": TABLE, "TableType": "EXTERNAL_TABLE", "Parameters": properties, "PartitionKeys": keys}
    glue.create_table(DatabaseName=DATABASE, TableInput={**table, "StorageDescriptor": storage})


@pytest.fixture
def here(small: Case) -> Iterator[duckdb.DuckDBPyConnection]:
    with local.connect(small) as connection:
        yield connection


def with_options(case: Case, **more: Any) -> Case:
    given = {**case.sources[0].options["athena"], **more}
    return replace(case, sources=(Source("cloudtrail", {"athena": given}),))


def test_every_column_of_events(small: Case, here: duckdb.DuckDBPyConnection) -> None:
    """All the events, with lists and JSON, come back through the result file as the case folder has them."""
    asked = dialect.parse("SELECT * FROM events ORDER BY event_time, event_id, account_id")
    found = athena.run(small, asked, {})
    ours = local.run(here, asked, {})
    links = ["source_object", "source_position", "source_kind", "conflict"]
    kept = [name for name in ours.columns if name not in links]
    assert len(ours) > 500
    assert differences(found[kept], ours[kept], order=order(asked)) == []
    assert found.attrs["bytes_scanned"] > 10_000
    assert found.attrs["price_usd"] == pytest.approx(0.00005)


@pytest.mark.parametrize("name", ASKED)
def test_question(small: Case, here: duckdb.DuckDBPyConnection, name: str) -> None:
    """A shipped question goes the whole way through awswrangler and gives the case folder's answer."""
    question = queries.find(name)
    asked = dialect.parse(question.text)
    keys = [
        str(row[0]) for row in here.sql("SELECT DISTINCT access_key_id FROM events WHERE minted_key <> ''").fetchall()
    ]
    given = {"keys": sorted(keys)[:20], "principals": [], "addresses": [], "instances": [], "regions": []}
    given |= {"accounts": list(small.accounts), "start": small.window.start, "end": small.window.end}
    given |= {"baseline_start": small.window.start, "baseline_end": small.window.end}
    values = {**{key: standard.typed(key, text, asked) for key, text in question.defaults.items()}}
    values |= {key: given[key] for key in question.parameters if key in given}
    found, ours = athena.run(small, asked, values), local.run(here, asked, values)
    assert differences(found, ours, order=order(asked)) == []


def test_partitions_are_pruned(small: Case) -> None:
    """One account and one day cost less than all of them."""
    asked = dialect.parse("SELECT count(*) AS n FROM events WHERE event_time BETWEEN :start AND :end")
    values = {"start": small.window.start, "end": datetime(2026, 6, 23, 12, tzinfo=UTC)}
    whole = athena.run(small, dialect.parse("SELECT count(*) AS n FROM events"), {})
    part = athena.run(replace(with_options(small, late_days=0), accounts=small.accounts[:1]), asked, values)
    assert 0 < part.attrs["bytes_scanned"] < whole.attrs["bytes_scanned"] / 2


def test_an_injected_partition_needs_its_account(small: Case) -> None:
    """Before anything is asked the case says what is missing; Athena itself refuses such a query too."""
    with pytest.raises(QueryError, match="each question must name"):
        athena.run(replace(small, accounts=()), dialect.parse("SELECT event_id FROM events"), {})
    with pytest.raises(wr.exceptions.QueryFailed, match=r"(?i)projection for column 'account'.*inject"):
        wr.athena.read_sql_query(
            f"SELECT count(*) FROM {TABLE}", DATABASE, ctas_approach=False, s3_output=f"s3://{BUCKET}/results/"
        )


def test_the_scan_limits_stop_a_question(small: Case, served: Athena, monkeypatch: pytest.MonkeyPatch) -> None:
    """The case's own limit and the workgroup's: the error says which, and what to do."""
    asked = dialect.parse("SELECT count(*) AS n FROM events WHERE request LIKE '%x%'")
    with pytest.raises(QueryError, match="that the case lets a question scan"):
        athena.run(with_options(small, scan_limit_bytes=1_000), asked, {})
    monkeypatch.setattr(served, "cutoff", 1_000)
    with pytest.raises(QueryError, match="the workgroup lets a question scan"):
        athena.run(small, asked, {})


def test_a_query_can_be_cancelled(small: Case, served: Athena, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who stops it in Athena stops the question, which says so."""
    monkeypatch.setattr(served, "delay", 30.0)
    before = set(served.runs)

    def stop() -> None:
        while not (new := set(served.runs) - before):
            time.sleep(0.05)
        served.client("athena").stop_query_execution(QueryExecutionId=new.pop())

    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(QueryError, match="was cancelled in Athena"):
        athena.run(small, dialect.parse("SELECT event_id FROM events"), {})
    stopper.join()


def test_an_interrupt_stops_the_query(small: Case, served: Athena, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while waiting leaves nothing running that would be paid for."""
    monkeypatch.setattr(served, "delay", 30.0)
    before = set(served.runs)

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(athena.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        athena.run(small, dialect.parse("SELECT event_id FROM events"), {})
    assert [served.runs[name].status for name in set(served.runs) - before] == ["CANCELLED"]


def test_the_same_cell_serves_an_athena_case(small: Case) -> None:
    """`ask(case, "access_keys_created")` has the same rows and dtypes, and says what they cost."""
    here = queries.ask(replace(small, engine="local"), "access_keys_created")
    there = queries.ask(replace(small, engine="athena"), "access_keys_created")
    assert len(here)
    pd.testing.assert_frame_equal(there, here)
    assert {"question", "parameters", "query_id", "bytes_scanned", "price_usd"} <= set(there.attrs)


def test_results_come_in_pages(small: Case) -> None:
    """GetQueryResults gives a page at a time, the header first."""
    client = boto3.client("athena")
    query = client.start_query_execution(
        QueryString="SELECT x FROM UNNEST(sequence(1, 25)) AS t (x) ORDER BY x",
        ResultConfiguration={"OutputLocation": f"s3://{BUCKET}/results/"},
    )["QueryExecutionId"]
    wr.athena.wait_query(query)
    pages = list(
        client.get_paginator("get_query_results").paginate(QueryExecutionId=query, PaginationConfig={"PageSize": 10})
    )
    rows = [row["Data"][0]["VarCharValue"] for page in pages for row in page["ResultSet"]["Rows"]]
    assert (len(pages), rows) == (3, ["x", *map(str, range(1, 26))])


def test_awswrangler_reads_json_whole(small: Case) -> None:
    """Quotes and commas of JSON survive the result file."""
    account = small.accounts[0]
    found = wr.athena.read_sql_query(
        f"SELECT requestparameters AS r FROM {TABLE} WHERE account = '{account}' AND day = '{DAYS[0]}' "
        "AND requestparameters LIKE '%,%' LIMIT 5",
        DATABASE,
        ctas_approach=False,
        s3_output=f"s3://{BUCKET}/results/",
    )
    assert len(found) == 5
    assert all(str(text).startswith("{") and str(text).endswith("}") for text in found["r"])


def test_unload_to_parquet(small: Case) -> None:
    """UNLOAD writes Parquet, which awswrangler reads in its types."""
    account = small.accounts[0]
    found = wr.athena.read_sql_query(
        f"SELECT eventname, count(*) AS n, array_agg(eventid ORDER BY eventid) AS ids FROM {TABLE} "
        f"WHERE account = '{account}' AND day = '{DAYS[0]}' GROUP BY eventname",
        DATABASE,
        ctas_approach=False,
        unload_approach=True,
        s3_output=f"s3://{BUCKET}/unloaded/",
    )
    assert found["n"].sum() == sum(len(ids) for ids in found["ids"]) > 10
    assert str(found["n"].dtype) == "Int64"


def test_the_cost_is_written_down(small: Case, tmp_path: Path) -> None:
    """Each question adds what it cost to the case."""
    case = replace(small, path=tmp_path)
    (tmp_path / "case.yaml").write_text("case: x\n", encoding="utf-8")
    athena.run(case, dialect.parse("SELECT count(*) AS n FROM events"), {})
    (line,) = athena.costs(case)
    assert line["bytes_scanned"] > 10_000


def test_the_readme_s_example_without_a_case(small: Case) -> None:
    """A few lines of Python give the events of a table, and what they cost."""
    block = next(
        block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "cloudtrail_athena" in block
    )
    names: dict[str, Any] = {}
    exec(block, names)
    here = queries.events(small)
    assert list(names["acts"]["event_id"]) == list(here[here["account_id"] == "444455556666"]["event_id"])
    assert names["acts"].attrs["bytes_scanned"] > 0
