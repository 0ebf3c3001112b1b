"""What a question on Athena is checked for before and after it is asked; tests/test_athena_trino.py asks for real."""

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cirtlib.aws import Aws
from cirtlib.case import Case, new_case
from cirtlib.engine import athena
from cirtlib.errors import AccessError, CaseError, QueryError

PLACE = {"database": "security", "table": "trail"}


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return new_case(tmp_path / "case", {"sources": [{"cloudtrail": {"athena": PLACE}}]})


def execution(state: str = "SUCCEEDED", scanned: int = 0, reason: str = "", **more: Any) -> dict[str, Any]:
    status = {"State": state, "StateChangeReason": reason}
    return {"QueryExecutionId": "q", "Status": status, "Statistics": {"DataScannedInBytes": scanned, **more}}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"table": "t"}, "database is missing"),
        ({"database": "d", "table": 3}, "table is missing"),
        ({**PLACE, "scan_limit_bytes": "1 TB"}, "scan_limit_bytes: '1 TB' is no whole number"),
        ({**PLACE, "case_scan_limit_bytes": 0}, "case_scan_limit_bytes: 0"),
        ({**PLACE, "result_reuse_minutes": True}, "result_reuse_minutes: True"),
        ({**PLACE, "output": "/tmp"}, "output: '/tmp' is no place in S3"),
    ],
)
def test_options_are_checked(options: dict[str, Any], said: str) -> None:
    """The message names the option and what it may be."""
    with pytest.raises(CaseError, match=said):
        athena.place(options)


def test_a_case_without_a_table_is_told_what_to_add(tmp_path: Path) -> None:
    """--engine athena on a case of files."""
    with pytest.raises(CaseError, match=r"no source for the engine athena; add cloudtrail: \{athena:"):
        athena.of(new_case(tmp_path / "case", {"sources": [{"cloudtrail": {"folder": str(tmp_path)}}]}))


@pytest.mark.parametrize(
    ("scanned", "more", "price"),
    [
        (0, {}, 0.0),
        (1, {}, 0.00005),
        (2 * 10**12, {}, 10.0),
        (10**12, {"ResultReuseInformation": {"ReusedPreviousResult": True}}, 0.0),
    ],
)
def test_the_price(scanned: int, more: dict[str, Any], price: float) -> None:
    """At least ten megabytes, five dollars a terabyte, nothing for a result that was there."""
    assert athena.spent(execution(scanned=scanned, **more))["price_usd"] == pytest.approx(price)


def test_what_a_case_may_scan_is_counted_over_its_questions(case: Case) -> None:
    """What is left bounds the next question; when nothing is, it is not asked."""
    where = athena.place({**PLACE, "scan_limit_bytes": 500, "case_scan_limit_bytes": 1_000})
    assert athena._limit(case, where) == 500
    athena._note(case, execution(scanned=700))
    assert athena._limit(case, where) == 300
    athena._note(case, execution("FAILED", scanned=300))
    with pytest.raises(QueryError, match="has scanned 1,000 bytes in Athena, and may scan 1,000"):
        athena._limit(case, where)
    assert [line["state"] for line in athena.costs(case)] == ["SUCCEEDED", "FAILED"]


def test_a_statement_that_is_too_long_is_not_sent(case: Case) -> None:
    """Athena's quota is said, and what to do."""
    with pytest.raises(QueryError, match="262,144: ask about fewer suspects"):
        athena.execute(case, Aws({}), athena.place(PLACE), "SELECT '" + "é" * 131_072 + "'")


@pytest.mark.parametrize(
    ("reason", "error", "said"),
    [
        ("TABLE_NOT_FOUND: line 1:15: Table 'x' does not exist", QueryError, "check database and table"),
        ("SCHEMA_NOT_FOUND: line 1:15: Schema 'x' does not exist", QueryError, "check database of the source"),
        ("CONSTRAINT_VIOLATION: For the injected projected partition column account, ...", QueryError, "name the acc"),
        ("Query exhausted resources at this scale factor", QueryError, "fewer accounts or days"),
        ("Unable to verify/create output bucket", QueryError, "set output: s3://"),
        ("Access Denied (Service: Amazon S3; Status Code: 403; ...)", AccessError, "its keys in KMS|their keys in KMS"),
        ("Insufficient Lake Formation permission(s) on trail", AccessError, "Lake Formation"),
        ("SYNTAX_ERROR: line 1:8: Column 'x' cannot be resolved", QueryError, "cannot be resolved"),
    ],
)
def test_a_failure_is_explained(reason: str, error: type[Exception], said: str) -> None:
    """In Athena's words, with what to look at."""
    with pytest.raises(error, match=said):
        athena._judge(execution("FAILED", reason=reason), None)


def test_limits_and_cancelling_are_told_apart() -> None:
    """The case's own limit, the workgroup's, and somebody's hand."""
    with pytest.raises(QueryError, match=r"stopped at 2,000 bytes, beyond 1,000 bytes that the case"):
        athena._judge(execution("CANCELLED", scanned=2_000), 1_000)
    with pytest.raises(QueryError, match="beyond what the workgroup lets"):
        athena._judge(execution("CANCELLED", reason="Bytes scanned limit was exceeded"), None)
    with pytest.raises(QueryError, match="was cancelled in Athena"):
        athena._judge(execution("CANCELLED"), None)


@pytest.mark.parametrize(
    ("code", "error", "said"),
    [
        ("EntityNotFoundException", QueryError, "is not in the Glue Data Catalog; check database and table"),
        ("AccessDeniedException", AccessError, "cirt check --policy"),
        ("ExpiredTokenException", AccessError, "have expired"),
        ("InvalidRequestException", QueryError, "WorkGroup is not found"),
    ],
)
def test_what_aws_refuses_is_explained(code: str, error: type[Exception], said: str) -> None:
    """Missing, forbidden, expired and wrong are four things."""
    refused = ClientError({"Error": {"Code": code, "Message": "WorkGroup is not found."}}, "GetTable")
    with pytest.raises(error, match=said):
        raise athena._explained(refused, "table security.trail")
