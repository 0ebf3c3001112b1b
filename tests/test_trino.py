"""What only a real Trino can show: the dialect's facts, bound values, the table's shape, refusals, cancelling."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlglot import exp

from cirtlib.case import Source
from cirtlib.engine import binding, dialect
from cirtlib.engine import trino as remote
from cirtlib.errors import AccessError, CaseError, QueryError
from tests import sample_store as sample
from tests import trino_tables
from tests.same_rows import differences, plain
from tests.test_dialect import HOSTILE, SAME
from tests.trino_parity import Sides, collected, order, sides
from tests.trino_server import Trino, trino_server

__all__ = ["trino_server"]
pytestmark = pytest.mark.integration
NOWHERE = {"host": "127.0.0.1", "port": 1, "user": "tests", "catalog": "hive", "schema": "default", "table": "logs"}

# where the embedded engine gives more than Trino does, or less
UNLIKE = {
    "cut off JSON is NULL": "Trino reads JSON from its beginning, and finds what stands before the cut",
    "an IPPREFIX": "a type of Presto's that Trino has not",
    "offset of UTC": "Trino refuses the offset of a time without a zone",
}


@pytest.fixture(scope="module")
def logs(trino_server: Trino, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    """A few records of the kinds that AWS's published queries look for."""
    import json

    folder = tmp_path_factory.mktemp("logs")
    bucket = {"ARN": "arn:aws:s3:::example-bucket", "accountId": sample.ACCOUNT, "type": "AWS::S3::Bucket"}
    thing = {"ARN": "arn:aws:s3:::example/datafile.txt", "type": "AWS::S3::Object"}
    anonymous = {"type": "AWSAccount", "accountId": "anonymous", "principalId": ""}
    token = {"credentials": {"accessKeyId": "ASIAMINTED", "sessionToken": "not-to-be-shown"}}
    records = [
        sample.record("AssumeRole", "sts", who=sample.role(), responseElements=token, requestParameters={
            "copy": json.dumps({"a": 1, "sessionToken": "not-to-be-shown", "b": "x"})}),
        sample.record("GetObject", who=sample.user(), resources=[bucket, thing], time="2026-06-10T12:00:01Z"),
        sample.record("DeleteBucket", resources=[bucket], time="2026-06-10T12:00:02Z"),
        sample.record("GetObject", who=anonymous, requestParameters={"bucketName": "[your bucket name ]"},
                      time="2026-06-10T12:00:03Z"),
    ]  # fmt: skip
    (folder / "logs").mkdir()
    (folder / "logs" / "1.json").write_text(json.dumps({"Records": records}), encoding="utf-8")
    with sides(trino_server, collected(folder / "case", folder / "logs"), "published") as made:
        yield made


def on(side: Sides, **options: Any) -> Any:
    """The case with other options of its Trino."""
    given = {**side.case.sources[-1].options["trino"], **options}
    return replace(side.case, sources=(Source("cloudtrail", {"trino": given}),))


@pytest.mark.parametrize("name", [name for name in SAME if name not in UNLIKE])
def test_what_trino_answers(trino_server: Trino, name: str) -> None:
    """The expressions that the dialect's own tests hold the embedded engine to have these values on a real Trino."""
    sql, expected = SAME[name]
    text = sql if sql.lstrip().upper().startswith(("SELECT", "WITH", "VALUES")) else f"SELECT {sql}"
    where = remote.place({**NOWHERE, "port": trino_server.port})
    found = remote.execute(where, dialect.to_trino(dialect.parse(text))).iloc[0, 0]
    if isinstance(expected, dict):
        found = dict(found)
    assert plain(found) == plain(expected)


def test_text_comes_back_unharmed(trino_server: Trino) -> None:
    """A bound value is data on the server too, whatever is written in it."""
    where = remote.place({**NOWHERE, "port": trino_server.port})
    for text in HOSTILE:
        tree = binding.bind(dialect.parse("SELECT :text, contains(:texts, :text)"), {"text": text, "texts": [text]})
        assert list(remote.execute(where, dialect.to_trino(tree)).iloc[0]) == [text, True]


def test_published_queries_run_as_they_stand(logs: Sides, real_data: Path) -> None:
    """The queries of AWS's Athena documentation, one-alias UNNEST included, answer as on a case folder."""
    text = (real_data / "awsdocs__amazon-athena-user-guide" / "cloudtrail_queries.sql").read_text(encoding="utf-8")
    lengths = []
    for query in text.split(";"):
        if query.strip():
            asked = dialect.parse(query)
            there, here = logs.both(asked, {})
            assert differences(there, here, order=order(asked)) == [], query
            lengths.append(len(there))
    assert lengths == [1, 1, 1, 1, 4]


def test_the_result_says_what_it_cost(logs: Sides) -> None:
    """Bytes scanned and the query's id come along."""
    found = remote.run(logs.case, dialect.parse("SELECT count(*) AS n FROM events"), {})
    assert found.loc[0, "n"] == 4
    assert found.attrs["engine"] == "trino"
    assert found.attrs["bytes_scanned"] > 500
    assert found.attrs["query_id"]


def test_session_tokens_stay_out(logs: Sides) -> None:
    """A table elsewhere still has the tokens; the answer has not."""
    found = remote.run(logs.case, dialect.parse("SELECT response FROM events WHERE minted_key = 'ASIAMINTED'"), {})
    assert "REDACTED" in found.loc[0, "response"]
    assert "not-to-be-shown" not in found.loc[0, "response"]
    alone = "SELECT json_extract_scalar(response, '$.credentials.sessionToken') AS token FROM events ORDER BY 1"
    assert next(iter(remote.run(logs.case, dialect.parse(alone), {})["token"])) == "REDACTED"
    inside = "SELECT json_extract_scalar(request, '$.copy') AS copy FROM events ORDER BY 1"
    copied = remote.run(logs.case, dialect.parse(inside), {}).loc[0, "copy"]
    assert copied == '{"a": 1, "sessionToken": "REDACTED", "b": "x"}'


def test_columns_that_the_table_lacks_are_null(trino_server: Trino, logs: Sides) -> None:
    """AWS's documented table has fewer columns than a case folder: the others are NULL, and all else is the same."""
    trino_tables.create(trino_server, "documented", (replace(one, added={}) for one in trino_tables.lines(logs.case)))
    asked = dialect.parse(
        "SELECT event_category, conflict, source_object, event_name, source_ip FROM events ORDER BY 4"
    )
    found = remote.run(on(logs, table="documented"), asked, {})
    assert list(found["event_name"]) == ["AssumeRole", "DeleteBucket", "GetObject", "GetObject"]
    assert found[["event_category", "conflict", "source_object"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"catalog": "nosuch"}, "check catalog: nosuch"),
        ({"schema": "nosuch"}, "check schema: nosuch"),
        ({"table": "nosuch"}, "check table: nosuch"),
        ({"port": 1}, "cannot be reached"),
    ],
)
def test_what_is_not_there_is_named(logs: Sides, options: dict[str, Any], said: str) -> None:
    """An error says which option of the source to look at."""
    with pytest.raises(QueryError, match=said):
        remote.run(on(logs, **options), dialect.parse("SELECT event_id FROM events"), {})


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT nosuch FROM events", "nosuch"),
        ("SELECT event_id FROM cloudtrail_logs WHERE eventtime > TIMESTAMP '2026-06-10 00:00:00'", "from_iso8601"),
        ("SELECT CAST(event_name AS bigint) FROM events", "Cannot cast"),
    ],
)
def test_what_trino_refuses_is_explained(logs: Sides, sql: str, said: str) -> None:
    """A mistake in the SQL is one line without the place in a text that the user never wrote."""
    with pytest.raises(QueryError, match=said) as caught:
        remote.run(logs.case, dialect.parse(sql), {})
    assert "line 1:" not in str(caught.value)


def test_a_password_needs_tls_and_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password never goes over plain HTTP, and is read from the environment alone."""
    with pytest.raises(CaseError, match="only over https"):
        remote.place({**NOWHERE, "password_env": "TRINO_PASSWORD"})
    monkeypatch.delenv("TRINO_PASSWORD", raising=False)
    secret = remote.place({**NOWHERE, "http_scheme": "https", "password_env": "TRINO_PASSWORD"})
    with pytest.raises(AccessError, match="set the environment variable TRINO_PASSWORD"):
        remote.execute(secret, "SELECT 1")


def test_an_interrupt_cancels_the_query_on_the_server(trino_server: Trino, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while waiting leaves nothing running there."""
    where = remote.place({**NOWHERE, "port": trino_server.port})
    many = "UNNEST(sequence(1, 10000))"
    slow = f"SELECT count(*) FROM {many} a (x), {many} b (y), {many} c (z) WHERE x * y * z = 7"
    fetch = remote.trino.client.TrinoQuery.fetch
    started = threading.Event()

    def interrupted(self: Any) -> Any:
        if started.is_set():
            raise KeyboardInterrupt
        started.set()
        return fetch(self)

    monkeypatch.setattr(remote.trino.client.TrinoQuery, "fetch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        remote.execute(where, slow)
    monkeypatch.undo()
    state = "SELECT state FROM system.runtime.queries WHERE query LIKE '%x * y * z%' AND query NOT LIKE '%runtime%'"
    end = time.monotonic() + 20
    while time.monotonic() < end and (rows := trino_server.run(state)) != [["FAILED"]]:
        time.sleep(0.2)
    assert rows == [["FAILED"]]


def test_types_of_an_answer(trino_server: Trino) -> None:
    """Each type of Trino arrives as the embedded engine's counterpart."""
    where = remote.place({**NOWHERE, "port": trino_server.port})
    found = remote.execute(
        where,
        "SELECT 1 AS i, BIGINT '2' AS b, 1.5 AS d, DOUBLE '2.5' AS f, true AS t, CAST(NULL AS boolean) AS u, "
        "TIMESTAMP '2026-06-10 12:00:00.123 UTC' AS z, TIMESTAMP '2026-06-10 12:00:00.123 Europe/Berlin' AS y, "
        "DATE '2026-06-10' AS a, ARRAY[CAST(ROW('x', NULL) AS ROW(k varchar, v bigint))] AS l, "
        "MAP(ARRAY['k'], ARRAY[1]) AS m, JSON '{\"a\":1}' AS j, IPADDRESS '::1' AS p",
    )
    row = found.iloc[0]
    assert [str(found[name].dtype) for name in "ibftuz"] == [
        "int32", "int64", "float64", "boolean", "boolean", "datetime64[us, UTC]",
    ]  # fmt: skip
    assert str(row["y"]) == "2026-06-10 10:00:00.123000+00:00"
    assert (row["l"], row["m"], row["j"], row["p"]) == ([{"k": "x", "v": None}], [("k", 1)], '{"a":1}', "::1")
    assert remote.arrow_type("row(varchar, bigint)").num_fields == 2
    assert isinstance(exp.DataType.build("interval day to second", dialect="trino"), exp.Expression)
