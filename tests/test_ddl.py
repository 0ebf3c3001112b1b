"""The Athena table of a bucket, told from its address or by looking into it, and what questions make of it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlglot import exp

from cirtlib import cli, ddl
from cirtlib.case import Case, new_case
from cirtlib.engine import remote
from cirtlib.errors import CaseError
from tests.s3_server import credentials, serve

WINDOW = {"start": "2026-06-20T00:00:00Z", "end": "2026-06-23T00:00:00Z"}
ATHENA = {"cloudtrail": {"athena": {"database": "security", "table": "trail", "output": "s3://r/"}}}
Make = Callable[..., Case]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(uri: str, *more: dict[str, Any], **content: Any) -> Case:
        sources = [{"cloudtrail": {"s3": uri}}, *more]
        return new_case(tmp_path / f"case{len(list(tmp_path.iterdir()))}", {"sources": sources, **content})

    return made


def template(text: str) -> str:
    found = re.search(r"'storage.location.template' = '(.*)'", text)
    assert found
    return found[1]


@pytest.mark.parametrize(
    ("uri", "expected", "keys"),
    [
        (
            "s3://logs/AWSLogs/111122223333/",
            "s3://logs/AWSLogs/111122223333/CloudTrail/${region}/${timestamp}",
            "region",
        ),
        (
            "s3://logs/any/prefix/AWSLogs/o-abc1234567/111122223333/CloudTrail/eu-west-1/",
            "s3://logs/any/prefix/AWSLogs/o-abc1234567/111122223333/CloudTrail/eu-west-1/${timestamp}",
            "",
        ),
    ],
)
def test_the_address_alone_may_say_enough(make: Make, uri: str, expected: str, keys: str) -> None:
    """An account and a Region in the address are fixed, and no partition."""
    text = ddl.statement(make(uri))
    assert template(text) == expected
    assert text.count(" STRING") > 30
    assert f"PARTITIONED BY ({f'{keys} STRING, ' if keys else ''}`timestamp` STRING)" in text


LAYOUTS = {
    "trail": "AWSLogs/111122223333/CloudTrail/us-east-1/2026/06/20/x.json.gz",
    "organization": "AWSLogs/o-abc1234567/111122223333/CloudTrail/us-east-1/2026/06/20/x.json.gz",
    "control tower": "o-abc1234567/AWSLogs/111122223333/CloudTrail/us-east-1/2026/06/20/x.json.gz",
}


@pytest.mark.parametrize("key", LAYOUTS.values(), ids=LAYOUTS)
def test_a_bucket_is_looked_into(make: Make, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folders are followed down to the accounts."""
    credentials(monkeypatch, tmp_path)
    with serve({key: b"x"}) as bucket:
        case = make("s3://any-bucket/", access={"endpoint_url": bucket.endpoint})
        above = key[: key.index("111122223333")]
        assert (
            template(ddl.statement(case))
            == f"s3://any-bucket/{above}${{account}}/CloudTrail/${{region}}/${{timestamp}}"
        )


def test_several_places_are_not_guessed_at(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are named, and one is to be chosen."""
    credentials(monkeypatch, tmp_path)
    objects = {
        key.replace("abc1234567", name): b"x" for key in LAYOUTS.values() for name in ("abc1234567", "xyz1234567")
    }
    with serve(objects) as bucket:
        case = make("s3://any-bucket/", access={"endpoint_url": bucket.endpoint})
        with pytest.raises(CaseError, match=r"no folder of accounts can be told.*name one in the source"):
            ddl.statement(case)


def test_few_accounts_are_listed_and_many_are_injected(make: Make) -> None:
    """A case that names its accounts has them as values; of all accounts each question names some."""
    uri = "s3://logs/AWSLogs/"
    where = ddl.Layout("logs", "AWSLogs/")
    few = ddl._properties(make(uri, accounts=["111122223333"]), where, ["account", "region"])
    assert (few["projection.account.type"], few["projection.account.values"]) == ("enum", "111122223333")
    many = ddl._properties(make(uri), where, ["account", "region"])
    assert many["projection.account.type"] == "injected"
    assert {"us-east-1", "eu-south-2", "ap-southeast-5"} <= set(many["projection.region.values"].split(","))


def test_days_begin_with_the_baseline(make: Make) -> None:
    """What the window and its baseline do not need is not listed; without a window, all since CloudTrail began."""
    uri = "s3://logs/AWSLogs/111122223333/"
    assert "'projection.timestamp.range' = '2026/05/21,NOW'" in ddl.statement(make(uri, window=WINDOW))
    assert "'projection.timestamp.range' = '2013/11/13,NOW'" in ddl.statement(make(uri))


def test_a_question_reads_its_partitions(make: Make) -> None:
    """What is printed is what the statement of a question is cut by."""
    case = make("s3://logs/AWSLogs/111122223333/", ATHENA, window=WINDOW, regions=["eu-west-1"])
    text = ddl.statement(case)
    assert text.startswith("CREATE EXTERNAL TABLE `security`.`trail` (")
    keys = re.findall(r"`?(\w+)`? STRING", re.search(r"PARTITIONED BY \((.*)\)", text)[1])  # type: ignore[index]
    properties = dict(re.findall(r"'([\w.]+)' = '(.*)'", text))
    columns = {"eventtime": "string", **dict.fromkeys(keys, "string")}
    made = remote.Table(exp.to_table("security.trail"), columns, tuple(keys), properties)
    found = remote.predicates(
        case, {"start": datetime(2026, 6, 21, tzinfo=UTC), "end": datetime(2026, 6, 22, tzinfo=UTC)}, made
    )
    assert [one.sql("trino") for one in found[:2]] == [
        "\"timestamp\" BETWEEN '2026/06/21' AND '2026/06/23'",
        "\"region\" IN ('eu-west-1', 'us-east-1')",
    ]


@pytest.mark.parametrize(
    ("uri", "table", "said"),
    [
        ("s3://logs/AWSLogs/'); DROP/111122223333/", "", "characters that Athena's DDL does not take"),
        ("s3://logs/AWSLogs/111122223333/", "a`b", "no name of a table"),
        ("s3://logs/AWSLogs/111122223333/", "a.b.c", "no name of a table"),
    ],
)
def test_hostile_names_do_not_reach_the_statement(make: Make, uri: str, table: str, said: str) -> None:
    """A prefix or a table that could end a literal is refused."""
    case = make(uri)
    with pytest.raises(CaseError, match=said):
        ddl.statement(case, table=table)


def test_a_case_without_a_bucket(tmp_path: Path) -> None:
    """It is said what to add."""
    case = new_case(tmp_path / "case", {"sources": [{"cloudtrail": {"folder": str(tmp_path)}}]})
    with pytest.raises(CaseError, match=r"add cloudtrail: \{s3: s3://BUCKET/AWSLogs/\}"):
        ddl.statement(case)


def test_the_command(make: Make, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It prints, and runs nothing unless it is told to."""
    sent: list[str] = []

    def execute(_case: Case, _aws: object, _where: object, sql: str) -> dict[str, Any]:
        sent.append(sql)
        return {"QueryExecutionId": "q-1", "Statistics": {}, "Status": {"State": "SUCCEEDED"}}

    monkeypatch.setattr(ddl.athena, "execute", execute)
    case = make("s3://logs/AWSLogs/111122223333/", ATHENA)
    assert cli.main(["athena-ddl", str(case.path)]) == cli.DONE
    printed = capsys.readouterr().out
    assert printed.rstrip().endswith(");") and not sent
    assert cli.main(["athena-ddl", str(case.path), "--create"]) == cli.DONE
    assert sent == [printed.rstrip().removesuffix(";")]
    assert "q-1" in capsys.readouterr().err
