"""Questions on Amazon Athena, through awswrangler: what they cost is bounded, counted, and said.

A question is one SELECT. Its result is read from the file that Athena writes, so that NULL and an empty text stay two
things; columns that are lists or rows travel as JSON.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import awswrangler as wr
import pandas as pd
from botocore.exceptions import BotoCoreError, ClientError
from sqlglot import exp

from cirtlib.aws import Aws, explain
from cirtlib.case import Case
from cirtlib.engine import answers, dialect, remote
from cirtlib.engine import duckdb as local
from cirtlib.engine.binding import bind
from cirtlib.engine.duckdb import frame
from cirtlib.errors import CaseError, CirtError, DeniedError, QueryError

LEAST = 10_000_000  # bytes that a query is charged for at least: https://aws.amazon.com/athena/pricing/ (SQL queries)
LONGEST = 262_144  # bytes of a statement: "Service Quotas" of the Amazon Athena User Guide
_PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0)
_NUMBERS = ("scan_limit_bytes", "case_scan_limit_bytes", "result_reuse_minutes")
_CONFIG = threading.Lock()
# what Athena says, and what to do about it
_HINTS = (
    ("TABLE_NOT_FOUND", "check database and table of the source athena in case.yaml"),
    ("SCHEMA_NOT_FOUND", "check database of the source athena in case.yaml"),
    ("injected projected partition", "name the accounts, or whatever that column holds, in case.yaml"),
    ("EXCEEDED", "ask for fewer accounts or days"),
    ("exhausted resources", "ask for fewer accounts or days"),
    ("output", "set output: s3://... in the source athena, or choose a workgroup that has one"),
)
_DENIED = ("Access Denied", "AccessDenied", "not authorized", "Insufficient Lake Formation", "Insufficient permissions")


@dataclass(frozen=True)
class Place:
    """Where a case's questions go: the options of `cloudtrail: {athena: {...}}`, checked."""

    database: str
    table: str
    workgroup: str = "primary"
    output: str | None = None
    region: str | None = None
    scan_limit_bytes: int | None = None
    case_scan_limit_bytes: int | None = None
    result_reuse_minutes: int | None = None


def place(options: dict[str, Any]) -> Place:
    """Place that the options name.

    Raises
    ------
    CaseError
        when an option is missing or wrong; the message names it.
    """
    for name in ("database", "table"):
        if not isinstance(options.get(name), str) or not options[name]:
            raise CaseError(f"cloudtrail: athena: {name} is missing; give database and table as texts")
    for name in _NUMBERS:
        value = options.get(name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value <= 0):
            raise CaseError(f"cloudtrail: athena: {name}: {value!r} is no whole number above 0")
    output = options.get("output")
    if output is not None and not str(output).startswith("s3://"):
        raise CaseError(f"cloudtrail: athena: output: {output!r} is no place in S3, such as s3://bucket/folder/")
    texts = {name: str(options[name]) for name in ("workgroup", "output", "region") if options.get(name) is not None}
    numbers = {name: int(options[name]) for name in _NUMBERS if options.get(name) is not None}
    return Place(options["database"], options["table"], **texts, **numbers)  # type: ignore[arg-type]


def of(case: Case) -> tuple[Place, dict[str, Any]]:
    """Place of the case's Athena table, and all options of its source.

    Raises
    ------
    CaseError
        when the case has no such source, or its options are wrong.
    """
    options = remote.options(case, "athena", "{database: ..., table: ..., workgroup: ..., output: s3://...}")
    return place(options), options


def run(case: Case, tree: exp.Expression, values: dict[str, Any]) -> pd.DataFrame:
    """Rows of a question, as `engine.duckdb.run` gives them, session tokens redacted.

    Returns
    -------
    DataFrame
        `attrs`: engine (athena), query_id, bytes_scanned, price_usd (at the price of most Regions), reused (whether
        Athena had the result already), as_text (columns that came as Athena's own text).

    Raises
    ------
    QueryError
        when the question has no window, would read the whole table, passes a limit, or Athena refuses it.
    AccessError
        when there are no credentials, or they have run out; as DeniedError when something that it needs is not allowed.
    """
    where, options = of(case)
    aws = Aws(case.access)
    asked = remote.statement(case, tree, values, table(aws, where, options))
    schema = local.described(case, bind(tree, values))
    as_text = answers.as_json(asked, schema) if schema is not None else []
    execution = execute(case, aws, where, dialect.to_trino(asked))
    found = answers.read(_content(aws, where, execution), _types(aws, where, execution), schema, as_text)
    result = remote.redacted(frame(found))
    result.attrs |= spent(execution) | {"engine": "athena", "as_text": as_text}
    return result


def spent(execution: dict[str, Any]) -> dict[str, Any]:
    """What a query cost: query_id, bytes_scanned, price_usd, reused."""
    statistics = execution.get("Statistics", {})
    scanned = int(statistics.get("DataScannedInBytes", 0))
    reused = bool(statistics.get("ResultReuseInformation", {}).get("ReusedPreviousResult", False))
    price = 0.0 if reused or not scanned else max(scanned, LEAST) / 1e12 * remote.PRICE
    query = execution["QueryExecutionId"]
    return {"query_id": query, "bytes_scanned": scanned, "price_usd": round(price, 6), "reused": reused}


def table(aws: Aws, where: Place, options: dict[str, Any]) -> remote.Table:
    """The table as the Glue Data Catalog describes it.

    Raises
    ------
    QueryError
        when it is not there.
    AccessError
        when the catalog may not be asked.
    """
    try:
        found = _client(aws, where, "glue").get_table(DatabaseName=where.database, Name=where.table)["Table"]
    except (ClientError, BotoCoreError) as error:
        raise _explained(error, f"table {where.database}.{where.table}") from None
    keys = [key["Name"].lower() for key in found.get("PartitionKeys", [])]
    listed = [*found.get("StorageDescriptor", {}).get("Columns", []), *found.get("PartitionKeys", [])]
    columns = {column["Name"].lower(): str(column.get("Type", "string")) for column in listed}
    properties = {str(name).lower(): str(value) for name, value in found.get("Parameters", {}).items()}
    name = exp.table_(where.table, db=where.database, quoted=True)
    return remote.Table(name, columns, tuple(keys), properties, options)


def execute(case: Case, aws: Aws, where: Place, sql: str) -> dict[str, Any]:
    """Run one statement to its end; the answer of GetQueryExecution.

    Stops the query when the program is interrupted, and when it has scanned more than the case allows.

    Raises
    ------
    QueryError, AccessError
        see `run`.
    """
    if len(sql.encode()) > LONGEST:
        raise QueryError(
            f"the statement has {len(sql.encode()):,} bytes, and Athena takes {LONGEST:,}: ask about fewer suspects, "
            "findings or values at a time"
        )
    limit = _limit(case, where)
    reuse = where.result_reuse_minutes
    with _wrangler(aws, where) as session:
        try:
            query = str(
                wr.athena.start_query_execution(
                    sql,
                    database=where.database,
                    s3_output=_output(aws, where),
                    workgroup=where.workgroup,
                    result_reuse_configuration=(
                        {"ResultReuseByAgeConfiguration": {"Enabled": True, "MaxAgeInMinutes": reuse}}
                        if reuse
                        else None
                    ),
                    boto3_session=session,
                )
            )
            execution = _watched(case, query, session, limit)
        except (ClientError, BotoCoreError, wr.exceptions.QueryFailed, wr.exceptions.InvalidArgumentValue) as error:
            raise _explained(error, f"workgroup {where.workgroup}") from None
    _note(case, execution)
    _judge(execution, limit)
    return execution


def _watched(case: Case, query: str, session: Any, limit: int | None) -> dict[str, Any]:  # noqa: ANN401 - boto3 has no types
    """Wait for a query; stop it when it has read too much, or nobody waits for it any more."""
    pauses = iter(_PAUSES)
    pause = 0.0
    try:
        while True:
            execution: dict[str, Any] = wr.athena.get_query_execution(query, boto3_session=session)
            state = execution["Status"]["State"]
            if state in ("SUCCEEDED", "FAILED", "CANCELLED"):
                return execution
            if limit is not None and int(execution.get("Statistics", {}).get("DataScannedInBytes", 0)) > limit:
                wr.athena.stop_query_execution(query, boto3_session=session)
            pause = next(pauses, pause)
            time.sleep(pause)
    except BaseException:
        with suppress(Exception):
            wr.athena.stop_query_execution(query, boto3_session=session)
            _note(case, wr.athena.get_query_execution(query, boto3_session=session))
        raise


def _judge(execution: dict[str, Any], limit: int | None) -> None:
    """Raise what a query ended with, unless it has a result."""
    status, query = execution["Status"], execution["QueryExecutionId"]
    scanned = int(execution.get("Statistics", {}).get("DataScannedInBytes", 0))
    reason = str(status.get("StateChangeReason", "")).strip()
    if (limit is not None and scanned > limit) or "scanned limit" in reason:
        allowed = f"{limit:,} bytes that the case" if limit is not None and scanned > limit else "what the workgroup"
        raise QueryError(
            f"the query {query} was stopped at {scanned:,} bytes, beyond {allowed} lets a question scan: narrow "
            "accounts, Regions or the window, or raise scan_limit_bytes of the source athena in case.yaml"
        )
    if status["State"] == "CANCELLED":
        raise QueryError(f"the query {query} was cancelled in Athena{': ' if reason else ''}{reason[:300]}")
    if status["State"] != "SUCCEEDED":
        raise _said(reason or "Athena gives no reason", f"query {query}")


def _limit(case: Case, where: Place) -> int | None:
    """Bytes that the next question may scan; None for any number.

    Raises
    ------
    QueryError
        when the case has used up what it may scan.
    """
    limits = [where.scan_limit_bytes] if where.scan_limit_bytes else []
    if where.case_scan_limit_bytes:
        used = sum(line["bytes_scanned"] for line in costs(case))
        if used >= where.case_scan_limit_bytes:
            raise QueryError(
                f"this case has scanned {used:,} bytes in Athena, and may scan {where.case_scan_limit_bytes:,}: raise "
                f"case_scan_limit_bytes in {case.path / 'case.yaml'} if that is what you want"
            )
        limits.append(where.case_scan_limit_bytes - used)
    return min(limits, default=None)


def costs(case: Case) -> list[dict[str, Any]]:
    """What the case's queries cost so far, oldest first: at, state, and what `spent` gives."""
    file = case.out / "athena.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return [json.loads(line) for line in lines if line.strip()]


def _note(case: Case, execution: dict[str, Any]) -> None:
    line = {"at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "state": execution["Status"]["State"], **spent(execution)}
    case.out.mkdir(parents=True, exist_ok=True)
    with (case.out / "athena.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _output(aws: Aws, where: Place) -> str | None:
    """Where results go; None where the workgroup says so.

    Raises
    ------
    CaseError
        when nobody does: nothing here makes a bucket.
    """
    if where.output:
        return where.output
    group = _client(aws, where, "athena").get_work_group(WorkGroup=where.workgroup)["WorkGroup"]
    settings = group.get("Configuration", {})
    managed = settings.get("ManagedQueryResultsConfiguration", {}).get("Enabled")
    if managed:
        raise CaseError(f"workgroup {where.workgroup} keeps results itself: name one that writes them to S3")
    if not settings.get("ResultConfiguration", {}).get("OutputLocation"):
        raise CaseError(
            f"workgroup {where.workgroup} has no place for results: set output: s3://... in the source athena"
        )
    return None


def _client(aws: Aws, where: Place, service: str) -> Any:  # noqa: ANN401 - boto3 has no types
    return aws.client(service, region=_region(aws, where))


def _region(aws: Aws, where: Place) -> str:
    return where.region or aws.session().region_name or "us-east-1"


@contextmanager
def _wrangler(aws: Aws, where: Place) -> Iterator[Any]:
    """Session for awswrangler, which knows endpoints for the whole process only."""
    endpoint, session = aws.option(None, "endpoint_url"), aws.regional(_region(aws, where))
    with _CONFIG:
        before = (wr.config.athena_endpoint_url, wr.config.s3_endpoint_url, wr.config.sts_endpoint_url)
        if endpoint:
            wr.config.athena_endpoint_url = wr.config.s3_endpoint_url = wr.config.sts_endpoint_url = endpoint
        try:
            yield session
        finally:
            wr.config.athena_endpoint_url, wr.config.s3_endpoint_url, wr.config.sts_endpoint_url = before


def _content(aws: Aws, where: Place, execution: dict[str, Any]) -> bytes:
    """The result file of a query."""
    bucket, _, key = execution["ResultConfiguration"]["OutputLocation"].removeprefix("s3://").partition("/")
    try:
        return bytes(_client(aws, where, "s3").get_object(Bucket=bucket, Key=key)["Body"].read())
    except (ClientError, BotoCoreError) as error:
        raise _explained(error, f"the result at s3://{bucket}/{key}") from None


def _types(aws: Aws, where: Place, execution: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and Athena's type of each column of a result."""
    query = execution["QueryExecutionId"]
    try:
        answer = _client(aws, where, "athena").get_query_results(QueryExecutionId=query, MaxResults=1)
    except (ClientError, BotoCoreError) as error:
        raise _explained(error, f"the result of query {query}") from None
    return [(column["Name"], column["Type"]) for column in answer["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]]


def _explained(error: Exception, what: str) -> CirtError:
    """Error of ours for one of AWS's or awswrangler's."""
    if isinstance(error, ClientError | BotoCoreError):
        if getattr(error, "response", {}).get("Error", {}).get("Code") == "EntityNotFoundException":
            return QueryError(f"{what} is not in the Glue Data Catalog; {_HINTS[0][1]}")
        status, reason = explain(error)
        if status == "denied":
            return DeniedError(f"{what}: {reason}; `cirt check --policy` prints the policy that reading needs")
        return _said(reason, what)
    return _said(str(error).splitlines()[0] if str(error) else type(error).__name__, what)


def _said(reason: str, what: str) -> CirtError:
    """Error for what Athena says in words."""
    text = f"{what}: {reason[:500]}"
    if any(word in reason for word in _DENIED):
        return DeniedError(
            f"{text}; reading needs the table in Glue and Lake Formation, its objects in S3, their keys in KMS, and "
            "the place for results (`cirt check --policy`)"
        )
    hint = next((hint for word, hint in _HINTS if word in reason), None)
    return QueryError(f"{text}; {hint}" if hint else text)
