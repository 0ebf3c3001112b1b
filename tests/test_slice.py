"""The suspects' slice of a table elsewhere: three queries, and the scope is that of the whole logs."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlglot import exp

from cirtlib import evidence, queries, scope, standard, store
from cirtlib.case import Case, Decision, Seed, Source
from cirtlib.collect import collect
from cirtlib.engine import duckdb as local
from cirtlib.errors import CaseError, QueryError
from cirtlib.sources import athena, suspects

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
        acts = scope.identity.acts(connection)
    verdicts = scope.load(case).verdicts
    mine = acts.merge(verdicts[verdicts["verdict"] == "attacker"], on=["event_id", "account_id"])
    mine = mine[mine["source_ip_kind"] == "public"]
    roles = mine[mine["session_name"].notna()]
    servers = acts[acts["session_name"].astype(str).str.startswith("i-") & acts["event_id"].isin(verdicts["event_id"])]
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


@pytest.mark.parametrize("kind", KINDS)
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
