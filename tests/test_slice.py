"""The suspects' slice of a table elsewhere: three queries, and the scope is that of the whole logs."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pandas as pd
import pytest
from moto.server import ThreadedMotoServer
from sqlglot import exp

from cirtlib import coverage, evidence, identity, queries, scope, standard, store
from cirtlib.case import Case, Decision, Seed, Source, new_case
from cirtlib.collect import collect
from cirtlib.engine import dialect
from cirtlib.engine import duckdb as local
from cirtlib.engine import slice as only
from cirtlib.engine.binding import bind
from cirtlib.errors import CaseError, QueryError
from cirtlib.sources import athena, suspects
from cirtlib.sources.slice_rows import COLUMNS
from cirtlib.sources.slice_sql import MINTING, Suspects, bounded, query

pytestmark = pytest.mark.integration  # each asks an emulated Athena for a whole incident

OPTIONS = {"database": "security", "table": "cloudtrail_logs", "workgroup": "ir", "output": "s3://results/"}


class Lake:
    """The whole store as an engine elsewhere: runs the same statement, cut to its span, and counts."""

    def __init__(self, whole: Case) -> None:
        self.whole = whole
        self.asked: list[dict[str, Any]] = []
        self.fail_at = 0

    def __call__(self, case: Case, tree: exp.Expression, values: dict[str, Any]) -> pd.DataFrame:
        self.asked.append(values)
        if len(self.asked) == self.fail_at:
            raise QueryError("query exhausted resources; ask for fewer accounts or days")
        tree = tree.copy()
        tree.set("where", exp.Where(this=exp.paren(tree.args["where"].this)))
        texts = [f"{values[name]:%Y-%m-%dT%H:%M:%SZ}" for name in ("start", "end")]
        tree.where(exp.column("eventtime").between(*map(exp.Literal.string, texts)), copy=False)
        with local.connect(self.whole) as connection:
            found = local.run(connection, tree, values)
        found.attrs |= {"query_id": f"q{len(self.asked)}", "bytes_scanned": 1_000}
        return found


@pytest.fixture
def lake(incident: tuple[Case, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Lake:
    made = Lake(incident[0])
    monkeypatch.setattr(
        athena, "place", lambda case, kind, options: suspects.place(case, kind, options, "athena", made)
    )
    return made


@pytest.fixture
def sliced(incident: tuple[Case, dict[str, Any]], lake: Lake, tmp_path: Path) -> Callable[..., Case]:
    """A new case of these seeds with the slice as its only source of logs; findings come from the incident's folder."""

    def make(*seeds: Seed, confirmed: tuple[Decision, ...] = ()) -> Case:
        whole = incident[0]
        start, end = standard.window(whole)
        told = [source for source in whole.sources if source.kind != "cloudtrail"]
        source = Source("cloudtrail", {"athena": OPTIONS})
        own = replace(
            whole, path=tmp_path / "sliced", seeds=seeds, confirmed=confirmed, sources=(*told, source),
            window=replace(whole.window, start=start, end=end),
        )  # fmt: skip
        own.path.mkdir(exist_ok=True)
        shutil.copy(whole.path / "case.yaml", own.path)
        return own

    return make


def seeds(case: Case) -> dict[str, Seed]:
    """One seed of every kind, from the attacker's acts of the whole case."""
    with local.connect(case) as connection:
        acts = identity.acts(connection)
    verdicts = scope.load(case).verdicts
    mine = acts.merge(verdicts[verdicts["verdict"] == "attacker"], on=["event_id", "account_id"])
    mine = mine[mine["source_ip_kind"] == "public"]
    roles = mine[mine["session_name"].notna()]
    servers = acts[acts["session_name"].astype(str).str.startswith("i-")]
    servers = servers[servers["event_time"] >= standard.window(case)[0]]
    found = {
        "finding": case.seeds[0],
        "access_key": Seed("access_key", mine["access_key_id"].dropna().iloc[0]),
        "last_key": Seed("access_key", mine["access_key_id"].dropna().iloc[-1]),
        "principal": Seed("principal", mine["principal"].dropna().iloc[0]),
        "ip": Seed("ip", mine["source_ip"].iloc[0]),
        "event": Seed("event", mine["event_id"].iloc[0]),
        "user_agent": Seed("user_agent", mine["user_agent"].dropna().iloc[0]),
    }
    if len(roles):
        found["session"] = Seed("session", roles["principal_id"].iloc[0])
    if len(servers):
        found["instance"] = Seed("instance", servers["session_name"].iloc[0])
    return found


def told(case: Case) -> tuple[Any, ...]:
    """What a scope says, where it does not speak of the evidence's extent."""
    found = scope.scope(case)
    nodes = [node for node in found.nodes if node["status"] in ("compromised", "attacker_created", "changed")]
    rows = found.verdicts[["event_id", "account_id", "verdict"]].sort_values(["event_id", "account_id"])
    return found.content["seeds"], found.content["attack"], nodes, found.edges, rows.to_dict("records")


KINDS = ["finding", "access_key", "last_key", "principal", "ip", "event", "user_agent", "session", "instance"]


@pytest.mark.parametrize("kind", [KINDS[0], *(pytest.param(kind, marks=pytest.mark.integration) for kind in KINDS[1:])])
def test_three_queries_give_the_scope_of_the_whole(incident, sliced, lake, kind: str) -> None:
    """Whatever the seed, at most three queries bring all that the scope rests on."""
    known = seeds(incident[0])
    if kind not in known:
        pytest.skip("the incident has no such thing")
    case = sliced(known[kind])
    total = collect(case, processes=1)
    assert 0 < len(lake.asked) <= 3
    assert total["rejected"] == 0
    here, there = told(case), told(replace(incident[0], seeds=case.seeds, window=case.window))
    for mine, whole in zip(here, there, strict=True):
        assert mine == whole


@pytest.mark.integration
def test_a_second_collect_asks_only_if_seeds_have_changed(incident, sliced, lake, capsys) -> None:
    """Nothing is paid for twice; and the manifest says what each query was and cost."""
    case = sliced(incident[0].seeds[0])
    first = collect(case, processes=1)
    count = len(lake.asked)
    notes = [line["facts"] for line in evidence.lines(case) if (line.get("facts") or {}).get("query_id")]
    assert {one["query_id"] for one in notes} == {f"q{number + 1}" for number in range(count)}
    assert {one["bytes_scanned"] for one in notes} == {1_000}
    again = collect(case, processes=1, progress=True)
    assert (again["new"], again["kept"], len(lake.asked)) == (0, first["kept"], count)
    assert "nothing new" in capsys.readouterr().err
    collect(case.with_seeds([seeds(incident[0])["ip"]]), processes=1)
    assert len(lake.asked) > count


def test_a_query_that_fails_leaves_nothing_and_is_gone_on_from(incident, sliced, lake) -> None:
    """The first answer is paid for: it waits, but nothing of it is in the case before all are there."""
    case = sliced(incident[0].seeds[0])
    lake.fail_at = 2
    assert not store.paths(case, "cloudtrail") and collect(case, processes=1)
    assert not store.paths(case, "cloudtrail")
    [line] = [line["slice"] for line in evidence.lines(case) if "slice" in line and line["place"].startswith("athena")]
    assert line["status"] == "failed" and "fewer accounts or days" in line["reason"]
    assert "1 of 3 queries are done" in line["reason"] and "collect again" in line["reason"]
    total = collect(case, processes=1)
    assert total["kept"] and [values["names"] != [] for values in lake.asked] == [True, False, False, False]
    assert not list((case.evidence / "slice").iterdir())


def test_a_local_answer_beyond_the_slice_is_refused(incident, sliced, lake) -> None:
    """What others did is not there; what the suspects did is."""
    case = sliced(incident[0].seeds[0])
    collect(case, processes=1)
    scope.write(case)
    with pytest.raises(QueryError, match=r"holds only what its suspects did.*--engine athena.*from S3"):
        queries.ask(case, "access_keys_created")
    with pytest.raises(QueryError, match="holds only what its suspects did"):
        queries.sql(case, "SELECT count(*) FROM events")
    mine = "SELECT event_id FROM events WHERE contains(:keys, access_key_id) ORDER BY 1"
    assert queries.sql(case, mine).equals(queries.sql(incident[0], mine, keys=standard.parameters(case)["keys"]))
    with pytest.raises(QueryError, match=r"AKIAANOTHER.*none of those"):
        queries.sql(case, mine, keys=["AKIAANOTHER"])
    rows = coverage.coverage(case)
    logs = rows[(rows["source"] == "cloudtrail") & rows["status"].isin(["read", "empty"])]
    assert set(logs["extent"]) == {"suspects", "credential-minting events"}
    assert len(queries.findings(case)) and len(queries.sql(case, "SELECT * FROM findings"))


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("SELECT event_id FROM events WHERE contains(:keys, access_key_id)", [True]),
        ("SELECT event_id FROM events e JOIN x ON true WHERE contains(:keys, access_key_id)", [True]),
        ("SELECT event_id FROM events WHERE NOT contains(:keys, access_key_id)", [False]),
        ("SELECT event_id FROM events WHERE contains(:keys, 'AKIAIOSFODNN7EXAMPLE')", [False]),
        ("SELECT 1 FROM events a JOIN events b ON a.event_name = b.event_name WHERE contains(:keys, a.access_key_id)",
         [True, False]),
        ("SELECT 1 FROM events WHERE event_id IN (SELECT event_id FROM events WHERE contains(:keys, access_key_id))",
         [False, True]),
    ],
)  # fmt: skip
def test_each_look_at_the_events_is_bound_by_itself(text: str, bound: list[bool]) -> None:
    """What others did alike, or at the same time, is not in the slice, though suspects are named beside it."""
    looks = [one for one in dialect.parse(text).find_all(exp.Table) if one.name in ("events", "cloudtrail_logs")]
    looks.sort(key=lambda one: one.find_ancestor(exp.Select).depth)
    assert [only._is_bound(one) for one in looks] == bound


def test_details_are_equal_as_json_and_identities_whole(incident, sliced, lake) -> None:
    """A row of the slice says what the raw record says."""
    case = sliced(incident[0].seeds[0])
    collect(case, processes=1)
    here = queries.events(case).drop(columns=["source_object", "source_position"])
    there = queries.events(incident[0]).drop(columns=["source_object", "source_position"])
    there = there[there["event_id"].isin(here["event_id"])].reset_index(drop=True)
    for name in ("request", "response", "additional", "service_details"):
        for frame in (here, there):
            frame[name] = [identity.parse(text) for text in frame[name]]
    pd.testing.assert_frame_equal(here, there)


def test_a_slice_needs_a_seed_and_its_options(incident) -> None:
    """Before anything is asked."""
    case = incident[0]
    bare = {"athena": {"table": "logs"}}
    with pytest.raises(CaseError, match="database"):
        athena.place(case, "cloudtrail", bare)
    with pytest.raises(CaseError, match="no seed"):
        athena.place(replace(case, seeds=(), confirmed=()), "cloudtrail", {"athena": OPTIONS})


def test_thousands_of_keys_fit_into_one_statement() -> None:
    """Their principals stand for them, which is said; the text stays below what Athena takes."""
    many = Suspects(
        keys=frozenset(f"ASIA{number:016}" for number in range(20_000)),
        principals=frozenset(f"arn:aws:iam::111122223333:role/team/role-{number}" for number in range(500)),
        shared=frozenset(f"00000000-0000-0000-0000-{number:012}" for number in range(5_000)),
    )
    asked, said = bounded(many)
    tree, values = query(MINTING, asked, (datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 2, tzinfo=UTC)))
    assert len(bind(tree, values).sql("trino")) < 262_144 / 2
    assert "20,000 access keys are asked for by their principals" in said and "5,000 events" in said
    assert bounded(Suspects(keys=frozenset({"AKIAIOSFODNN7EXAMPLE"})))[1] == ""


def test_a_hostile_name_stays_a_name() -> None:
    """What an attacker made may be called like a pattern."""
    odd = Suspects(touched=frozenset({".*", "a|b", "(x", "back\\slash", "'; DROP"}))
    _, values = query((), odd, (datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 2, tzinfo=UTC)))
    assert not re.search(values["touched"], "anything else")
    assert all(re.search(values["touched"], name) for name in odd.touched)


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[str]]]:
    """An Athena over HTTP that has the table, and the statements that it was given."""
    from moto.athena.models import AthenaBackend, QueryResults, athena_backends

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    asked: list[str] = []
    start = AthenaBackend.start_query_execution
    monkeypatch.setattr(
        AthenaBackend,
        "start_query_execution",
        lambda self, query, *a, **k: asked.append(query) or start(self, query, *a, **k),
    )
    server = ThreadedMotoServer(port=0)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    try:
        boto3.client("s3", endpoint_url=url).create_bucket(Bucket="results")
        boto3.client("athena", endpoint_url=url).create_work_group(Name="ir", Configuration={})
        glue = boto3.client("glue", endpoint_url=url)
        glue.create_database(DatabaseInput={"Name": "security"})
        columns = [{"Name": name, "Type": "string"} for name in COLUMNS if name not in STRUCTS and name != "account"]
        columns.append({"Name": "useridentity", "Type": IDENTITY})
        keys = [{"Name": name, "Type": "string"} for name in ("account", "region", "timestamp")]
        made = {"Name": "cloudtrail_logs", "PartitionKeys": keys, "StorageDescriptor": {"Columns": columns}}
        glue.create_table(DatabaseName="security", TableInput=made)
        row = {
            "eventtime": "2026-06-10T00:00:00Z",
            "eventid": "e-1",
            "eventname": "AssumeRole",
            "account": "111122223333",
        }
        row |= {"eventsource": "sts.amazonaws.com", "awsregion": "us-east-1"}
        header = {"Data": [{"VarCharValue": name} for name in COLUMNS]}
        rows = [header, {"Data": [{"VarCharValue": row[name]} if name in row else {} for name in COLUMNS]}]
        told = [{"Name": name, "Type": "varchar"} for name in COLUMNS]
        for backend in (athena_backends["123456789012"]["us-east-1"],):
            backend.query_results_queue += [QueryResults(rows=rows, column_info=told) for _ in range(4)]
        yield url, asked
    finally:
        server.stop()


IDENTITY = (
    "struct<type:string,principalid:string,arn:string,accountid:string,invokedby:string,accesskeyid:string,"
    "username:string,sessioncontext:struct<attributes:struct<mfaauthenticated:string,creationdate:string>,"
    "sessionissuer:struct<type:string,principalid:string,arn:string,accountid:string,username:string>>>"
)
STRUCTS = ("useridentity", "useridentity_json", "resources", "tlsdetails")


def test_athena_is_asked_three_times_over_http(emulated, tmp_path: Path) -> None:
    """The real engine gets at most three statements, each cut by partitions and short enough."""
    url, asked = emulated
    case = new_case(
        tmp_path / "case",
        {
            "window": {"start": "2026-06-09T00:00:00Z", "end": "2026-06-11T00:00:00Z"},
            "accounts": ["111122223333"],
            "seeds": [{"access_key": "AKIAIOSFODNN7EXAMPLE"}],
            "access": {"endpoint_url": url},
            "sources": [{"cloudtrail": {"athena": OPTIONS}}],
        },
    )
    total = collect(case, processes=1)
    [line] = [line["slice"] for line in evidence.lines(case) if "slice" in line]
    assert line["reason"] == "" and (total["kept"], total["rejected"]) == (1, 0)
    assert 1 <= len(asked) <= 3
    assert all("AKIAIOSFODNN7EXAMPLE" in text and '"account" IN' in text for text in asked)
    assert max(map(len, asked)) < 262_144
