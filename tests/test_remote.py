"""A question for another engine: the same answer, from the partitions that the case is about and no others."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pandas as pd
import pytest
from sqlglot import exp

from cirtlib import queries, standard
from cirtlib.case import Case, Window
from cirtlib.engine import dialect, remote
from cirtlib.engine import duckdb as local
from cirtlib.engine.schema import DOCUMENTED
from cirtlib.errors import CaseError, QueryError

START, END = datetime(2026, 6, 21, 6, tzinfo=UTC), datetime(2026, 6, 23, 18, tzinfo=UTC)
ALL = dict.fromkeys(DOCUMENTED, "varchar")
PROJECTED = {"projection.account.type": "injected", "projection.timestamp.format": "yyyy/MM/dd"}


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine that stands in for the other has no such patterns; there tests/test_trino.py looks for tokens."""
    monkeypatch.setattr(remote, "_without_tokens", lambda detail: detail)


def table(*partitions: str, columns: dict[str, str] | None = None, **more: Any) -> remote.Table:
    """A table with these partitions, under a name that the embedded engine knows."""
    named = dict.fromkeys(partitions, "string")
    return remote.Table(exp.to_table("sightings"), {**(columns or ALL), **named}, partitions, **more)


def where(case: Case, made: remote.Table, **values: Any) -> list[str]:
    return [one.sql("trino") for one in remote.predicates(case, {"start": START, "end": END, **values}, made)]


@pytest.fixture(scope="module")
def case(incident: tuple[Case, dict[str, Any]]) -> Case:
    return replace(incident[0], accounts=("444455556666",), regions=("eu-west-1",))


@pytest.fixture(scope="module")
def lake(incident: tuple[Case, dict[str, Any]]) -> Iterator[duckdb.DuckDBPyConnection]:
    """The incident's records as a documented table with partitions, in the engine that stands in for the other."""
    listed = ", ".join(f'"{name}"' for name in DOCUMENTED)
    more = 'eventcategory, managementevent, sessioncredentialfromconsole, account, region, "timestamp"'
    with local.connect(incident[0]) as connection:
        records = connection.sql(f"SELECT {listed}, {more} FROM cloudtrail_logs").to_arrow_table()
    from cirtlib.engine import macros

    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; SET integer_division = true")
        macros.install(connection)
        connection.register("records", records)
        connection.execute("CREATE TABLE sightings AS FROM records")
        yield connection


def answer(lake: duckdb.DuckDBPyConnection, tree: exp.Expression) -> pd.DataFrame:
    return local.frame(lake.sql(dialect.to_duckdb(tree)).to_arrow_table())


def lake_table(lake: duckdb.DuckDBPyConnection) -> remote.Table:
    described = {row[0]: row[1] for row in lake.execute("DESCRIBE sightings").fetchall()}
    columns = {name: exp.DataType.build(kind, dialect="duckdb").sql("trino") for name, kind in described.items()}
    return remote.Table(exp.to_table("sightings"), columns, ("account", "region", "timestamp"))


LINK = ["source_object", "source_position", "conflict"]


@pytest.mark.parametrize(
    "name", ["access_keys_created", "enumeration", "credential_origin", "tampering", "finding_records", "bursts"]
)
def test_the_answer_is_that_of_the_case_folder(incident, lake, name: str) -> None:
    """A question gives the same rows from a table elsewhere, through its partitions, findings taken along."""
    case = incident[0]
    question = queries.find(name)
    tree = dialect.parse(question.text)
    with local.connect(case) as connection:
        names = [one for one in question.parameters if one in standard.STANDARD]
        values = standard.values_of(case, connection, names)[0]
    values |= {key: standard.typed(key, text, tree) for key, text in question.defaults.items()}
    there = answer(lake, remote.statement(case, tree, values, lake_table(lake)))
    here = queries.ask(case, name)
    assert len(here)
    drop = [column for column in LINK if column in here]
    pd.testing.assert_frame_equal(there.drop(columns=drop), here.drop(columns=drop))


def test_partitions_are_cut_to_the_case(case: Case) -> None:
    """Accounts, Regions with the one of global services, days of delivery with the late one; then time inside."""
    assert where(case, table("account", "region", "timestamp")) == [
        "\"timestamp\" BETWEEN '2026/06/21' AND '2026/06/24'",
        "\"account\" IN ('444455556666')",
        "\"region\" IN ('eu-west-1', 'us-east-1')",
        "\"eventtime\" >= '2026-06-21T06:00:00Z'",
        "\"eventtime\" <= '2026-06-23T18:00:01Z'",
    ]


def test_the_names_of_the_security_analytics_bootstrap(case: Case) -> None:
    """date_partition, region_partition and account_partition are known."""
    found = where(case, table("date_partition", "region_partition", "account_partition"))
    assert found[0] == "\"date_partition\" BETWEEN '2026/06/21' AND '2026/06/24'"
    assert {one.split()[0] for one in found[1:3]} == {'"account_partition"', '"region_partition"'}


def test_year_month_and_day(case: Case) -> None:
    """Manual partitions of the documentation: each month with its days, numbers where the columns are numbers."""
    made = table("region", "year", "month", "day")
    days = remote.predicates(case, {"start": END, "end": datetime(2026, 7, 1, tzinfo=UTC)}, made)[0].sql("trino")
    assert "\"year\" = '2026' AND \"month\" = '06' AND \"day\" IN ('23', '24'," in days
    assert "\"month\" = '07' AND \"day\" IN ('01', '02')" in days
    numbers = replace(made, columns={**made.columns, "year": "int", "month": "int", "day": "int"})
    assert '"month" = 6 AND "day" IN (21, 22, 23, 24)' in where(case, numbers)[0]


def test_days_in_another_form(case: Case) -> None:
    """The table's own format is used, or what the case says; another is refused."""
    made = table("dt", options={"date_format": "yyyyMMdd", "late_days": 0})
    assert where(case, made)[0] == "\"dt\" BETWEEN '20260621' AND '20260623'"
    own = table("day", properties={"projection.day.format": "yyyy-MM-dd"})
    assert where(case, own)[0] == "\"day\" BETWEEN '2026-06-21' AND '2026-06-24'"
    for options in ({"date_format": "MM/dd"}, {"late_days": "two"}):
        with pytest.raises(CaseError, match=next(iter(options))):
            where(case, table("dt", options=options))


def test_the_baseline_widens_the_days(case: Case) -> None:
    """A question about what was normal reads the days of the baseline too."""
    found = where(case, table("timestamp"), baseline_start=START - timedelta(days=30), baseline_end=START)
    assert found[0] == "\"timestamp\" BETWEEN '2026/05/22' AND '2026/06/24'"


def test_no_time_of_a_question_lies_outside(case: Case) -> None:
    """A question that names no end reads to that of the window; other times of its own widen the days."""
    narrow = replace(case, window=Window(START, END))
    early, late = START - timedelta(days=9), END + timedelta(days=9)
    assert remote.span(narrow, {}) == (START, END)
    assert remote.span(narrow, {"start": early, "end": START}) == (early, START)
    assert remote.span(narrow, {"start": START, "baseline_start": early, "baseline_end": START}) == (early, END)
    assert remote.span(narrow, {"since": early}) == (early, END)
    assert remote.span(narrow, {"until": late, "start": START}) == (START, late)
    with pytest.raises(QueryError, match="needs a window"):
        remote.span(replace(case, window=Window(START, None)), {})


def test_a_question_narrows_the_accounts(case: Case) -> None:
    """Accounts given with the question go before those of the case."""
    assert "\"account\" IN ('777788889999')" in where(case, table("account"), accounts=["777788889999"])


def test_without_a_window_it_is_refused(case: Case) -> None:
    """The message says what to set."""
    with pytest.raises(QueryError, match=r"needs a window: set `window:"):
        remote.predicates(replace(case, window=Window(None, None)), {}, table("timestamp"))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (table(), r"has no partitions.*athena-ddl"),
        (table(options={"unpartitioned": True}), r"needs scan_limit_bytes"),
        (table("shard"), r"\(shard\) say nothing of account.*partitions: \{account"),
    ],
)
def test_reading_a_whole_table_is_refused(case: Case, made: remote.Table, said: str) -> None:
    """Unless the case says so, and how much."""
    with pytest.raises(QueryError, match=said):
        where(case, made)
    limited = replace(made, options={"unpartitioned": True, "scan_limit_bytes": 10**9})
    assert len(where(case, limited)) == 2, "time inside alone"


def test_an_injected_partition_needs_its_value(case: Case) -> None:
    """A table that is projected by account is asked by account."""
    made = table("account", "timestamp", properties=PROJECTED)
    with pytest.raises(QueryError, match=r"projected by account.*set accounts in"):
        where(replace(case, accounts=()), made)


def test_a_table_of_another_kind_is_refused(case: Case) -> None:
    """OCSF tables have no eventtime."""
    made = table("accountid", "eventday", columns={"time_dt": "timestamp", "class_uid": "int"})
    tree = dialect.parse("SELECT event_id FROM events WHERE event_time > :start AND event_time < :end")
    with pytest.raises(QueryError, match=r"no column eventtime.*OCSF"):
        remote.statement(case, tree, {"start": START, "end": END}, made)


def test_fields_that_a_table_lacks_are_null(case: Case, lake: duckdb.DuckDBPyConnection) -> None:
    """A table made before a field was documented is still read."""
    lake.execute(
        "CREATE OR REPLACE TABLE older AS SELECT eventtime, eventid, eventname, eventsource, "
        "{'type': useridentity.type, "
        "'arn': useridentity.arn, 'sessioncontext': {'attributes': {'creationdate': "
        "useridentity.sessioncontext.attributes.creationdate}}} AS useridentity, "
        "[{'arn': r.arn} for r in resources] AS resources, "
        '"timestamp" FROM sightings'
    )
    described = {row[0]: row[1] for row in lake.execute("DESCRIBE older").fetchall()}
    columns = {name: exp.DataType.build(kind, dialect="duckdb").sql("hive") for name, kind in described.items()}
    older = remote.Table(exp.to_table("sightings"), columns, ("timestamp",))
    tree = dialect.parse("SELECT event_id, principal_arn, access_key_id, tls_host FROM events ORDER BY event_id")
    text = dialect.to_duckdb(remote.statement(case, tree, {"start": START, "end": END}, older))
    found = lake.sql(text.replace("sightings", "older")).df()
    assert len(found) > 100
    assert found["principal_arn"].notna().any()
    assert found["access_key_id"].isna().all() and found["tls_host"].isna().all()


def test_identities_beyond_the_documented_columns(case: Case, lake: duckdb.DuckDBPyConnection) -> None:
    """A struct that has onBehalfOf or sourceIdentity gives the columns that the case folder reads from the JSON."""
    lake.execute(
        "CREATE OR REPLACE TABLE wider AS SELECT * REPLACE ({'type': useridentity.type, 'arn': useridentity.arn, "
        "'onbehalfof': {'userid': 'u-\"1'}, 'sessioncontext': {'sourceidentity': 'alice'}} AS useridentity) "
        "FROM sightings LIMIT 10"
    )
    columns = dict(lake_table(lake).columns)
    columns["useridentity"] = (
        "struct<type:string,arn:string,onbehalfof:struct<userid:string>,sessioncontext:struct<sourceidentity:string>>"
    )
    wider = remote.Table(exp.to_table("sightings"), columns, ("timestamp",))
    tree = dialect.parse("SELECT DISTINCT on_behalf_of, source_identity FROM events")
    first, last = datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
    text = dialect.to_duckdb(remote.statement(case, tree, {"start": first, "end": last}, wider))
    found = lake.sql(text.replace("sightings", "wider")).df()
    assert found.to_dict("records") == [{"on_behalf_of": 'u-"1', "source_identity": "alice"}]


def test_too_many_findings_do_not_travel(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are refused with what to do, not cut."""
    monkeypatch.setattr(remote, "MOST_ROWS", 3)
    tree = dialect.parse("SELECT finding_id FROM findings")
    with pytest.raises(QueryError, match=r"more than 3: ask it with --engine local"):
        remote.statement(case, tree, {}, table("timestamp"))


def test_session_tokens_do_not_come_through() -> None:
    """What a table elsewhere still holds is redacted as in the case folder."""
    frame = pd.DataFrame({"a": ['{"sessionToken":"secret"}', None, "x"], "n": [1, 2, 3]})
    found = remote.redacted(frame)
    assert found["a"].tolist()[0] == '{"sessionToken":"REDACTED"}'
    assert "secret" not in found.to_string()
