"""Rows of a table of CloudTrail records on another engine -> records as one object of evidence, and as acts.

The object is what the reader of records takes for Athena's: lower-case names, so that a raw record of the same event is
preferred; detail columns stay the JSON text that the engine gave.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cirtlib.case import Case
from cirtlib.engine import duckdb as local
from cirtlib.engine.schema import DOCUMENTED, EXTRA
from cirtlib.records.layout import JSON_COLUMNS
from cirtlib.store.reading import read_each

COLUMNS = (*DOCUMENTED, *(name for name in EXTRA if name != "unmodelled"), "account")
# CloudTrail's names of what the table's structs hold in lower case
_NAMES = {
    name.lower(): name
    for name in (
        "principalId", "accountId", "invokedBy", "accessKeyId", "userName", "sessionContext", "mfaAuthenticated",
        "creationDate", "sessionIssuer", "ec2RoleDelivery", "webIdFederationData", "federatedProvider", "tlsVersion",
        "cipherSuite", "clientProvidedHostHeader", "attributes", "arn", "type", "ARN",
    )
}  # fmt: skip


def evidence(frame: pd.DataFrame) -> bytes:
    """One object with all rows as records, in order of time and id, so that equal rows are equal bytes."""
    found = sorted(
        (_record(row) for row in frame.to_dict("records")), key=lambda one: (one["eventtime"], one.get("eventid", ""))
    )
    return json.dumps({"Records": found}, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _record(row: dict[Any, Any]) -> dict[str, Any]:
    made = {str(name): _plain(row[name]) for name in COLUMNS if name in row}
    made = {name: value for name, value in made.items() if value is not None and value != ""}
    account, whole = made.pop("account", None), made.pop("useridentity_json", None)
    made.setdefault("eventtime", "")
    made.setdefault("recipientaccountid", account)
    who = _named(made.get("useridentity") or {}, upper=False)
    more = _object(whole)
    if who or more:
        made["useridentity"] = _merged(who, more)
    for name in ("resources", "tlsdetails"):
        if name in made:
            made[name] = _named(made[name], upper=name == "resources")
    for name in JSON_COLUMNS:
        if made.get(name) == "null":
            del made[name]
    return {name: value for name, value in made.items() if value is not None}


def _plain(value: Any) -> Any:  # noqa: ANN401 - any cell
    """Cell as JSON has it; None where there is nothing."""
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | np.ndarray):
        return [_plain(part) for part in value]
    return None if value is None or pd.isna(value) else value


def _named(value: Any, *, upper: bool) -> Any:  # noqa: ANN401 - any JSON value
    """Value with CloudTrail's names, without what is not there; the claims of a web identity keep their own."""
    if isinstance(value, list):
        return [_named(part, upper=upper) for part in value]
    if not isinstance(value, dict):
        return value
    arn = "ARN" if upper else "arn"
    named = {arn if name == "arn" else _NAMES.get(name, name): part for name, part in value.items()}
    return {
        name: part if name == "webIdFederationData" else _named(part, upper=upper)
        for name, part in named.items()
        if part is not None and part not in ({}, [])
    }


def _object(text: Any) -> dict[str, Any]:  # noqa: ANN401 - a cell
    try:
        found = json.loads(text) if isinstance(text, str) else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _merged(one: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Both, members of objects too; what the JSON has is as it was logged and wins."""
    made = dict(one)
    for name, value in more.items():
        if value is None:
            continue
        both = isinstance(value, dict) and isinstance(made.get(name), dict)
        made[name] = _merged(made[name], value) if both else value
    return made


@contextmanager
def opened(case: Case, objects: list[Path], scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Connection to nothing but these objects, as if they were the case's evidence; each is read once."""
    apart = replace(case, path=scratch)
    folder = apart.store / "cloudtrail"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for file in objects:
        parts: list[pa.Table] = []
        made = folder / f"{file.stem}.parquet"
        if not made.exists():
            read_each([(file.name, file.name, file)], partial(_take, parts))
            if parts:
                pq.write_table(pa.concat_tables(parts), made, store_schema=False)
    with local.connect(apart) as connection:
        yield connection


def _take(parts: list[pa.Table], name: str, table: pa.Table) -> None:
    if name == "cloudtrail":
        parts.append(table)
