"""Questions on a Trino that reads the organization's CloudTrail logs, through Trino's own Python client."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import requests
import trino
from sqlglot import exp
from trino import exceptions

from cirtlib.case import Case
from cirtlib.engine import dialect, remote
from cirtlib.engine.duckdb import frame
from cirtlib.errors import AccessError, CaseError, DeniedError, QueryError

BATCH = 10_000
_TEXTS = ("host", "user", "catalog", "schema", "table")
_TYPE = exp.DataType.Type
_ARROW = {
    _TYPE.BOOLEAN: pa.bool_(), _TYPE.TINYINT: pa.int8(), _TYPE.SMALLINT: pa.int16(), _TYPE.INT: pa.int32(),
    _TYPE.BIGINT: pa.int64(), _TYPE.FLOAT: pa.float32(), _TYPE.DOUBLE: pa.float64(), _TYPE.DATE: pa.date32(),
    _TYPE.TIMESTAMP: pa.timestamp("us"), _TYPE.TIMESTAMPTZ: pa.timestamp("us", tz="UTC"),
    _TYPE.VARBINARY: pa.binary(), _TYPE.UNKNOWN: pa.int32(),
}  # fmt: skip
# what Trino says when something is not there, and the option of the source that names it
_ABSENT = {"CATALOG_NOT_FOUND": "catalog", "SCHEMA_NOT_FOUND": "schema", "TABLE_NOT_FOUND": "table"}
_LIMITS = ("EXCEEDED_", "QUERY_QUEUE_FULL", "CLUSTER_OUT_OF_MEMORY", "GENERIC_INSUFFICIENT_RESOURCES")


@dataclass(frozen=True)
class Place:
    """Where the table is: the options of a source `cloudtrail: {trino: {...}}`, checked.

    Attributes
    ----------
    scheme, verify
        `http` or `https`; whether the server's certificate is checked, or the file of the authority that signed it.
    password
        Name of the environment variable that holds the password; '' for none.
    """

    host: str
    user: str
    catalog: str
    schema: str
    table: str
    port: int = 8080
    scheme: str = "http"
    verify: bool | str = True
    password: str = ""


def place(options: dict[str, Any]) -> Place:
    """Place that the options name.

    Raises
    ------
    CaseError
        when an option is missing or wrong; the message names it.
    """
    for name in _TEXTS:
        if not isinstance(options.get(name), str) or not options[name]:
            raise CaseError(f"cloudtrail: trino: {name} is missing; give {', '.join(_TEXTS)} as texts")
    scheme = options.get("http_scheme", "http")
    if scheme not in ("http", "https"):
        raise CaseError(f"cloudtrail: trino: http_scheme: {scheme!r} is neither http nor https")
    port = options.get("port", 443 if scheme == "https" else 8080)
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
        raise CaseError(f"cloudtrail: trino: port: {port!r} is no port, such as 8080")
    verify = options.get("verify", True)
    if isinstance(verify, str) and not Path(verify).is_file():
        raise CaseError(f"cloudtrail: trino: verify: there is no file {verify!r}; name the authority's certificate")
    password = options.get("password_env", "")
    if password and scheme != "https":
        raise CaseError("cloudtrail: trino: a password goes only over https; set http_scheme: https")
    return Place(
        **{name: options[name] for name in _TEXTS},
        port=port,
        scheme=scheme,
        verify=verify if isinstance(verify, str) else bool(verify),
        password=str(password),
    )


def of(case: Case) -> tuple[Place, dict[str, Any]]:
    """Place of the case's Trino, and all options of its source.

    Raises
    ------
    CaseError
        when the case has no such source, or its options are wrong.
    """
    options = remote.options(case, "trino", "{host: ..., port: ..., user: ..., catalog: ..., schema: ..., table: ...}")
    return place(options), options


@contextlib.contextmanager
def connect(where: Place) -> Iterator[trino.dbapi.Connection]:
    """Connection to the server; nothing is sent before the first statement.

    Raises
    ------
    AccessError
        when the password is not in the environment.
    """
    auth = None
    if where.password:
        if not os.environ.get(where.password):
            raise AccessError(f"the password for Trino is not there: set the environment variable {where.password}")
        auth = trino.auth.BasicAuthentication(where.user, os.environ[where.password])
    connection = trino.dbapi.Connection(
        host=where.host,
        port=where.port,
        user=where.user,
        catalog=where.catalog,
        schema=where.schema,
        http_scheme=where.scheme,
        verify=where.verify,
        auth=auth,
        source="cirtlib",
        timezone="UTC",
    )
    try:
        yield connection
    finally:
        connection.close()  # type: ignore[no-untyped-call]


def execute(where: Place, sql: str) -> pd.DataFrame:
    """Rows of one Trino SQL text, in the types that the embedded engine gives.

    An interrupted program cancels the query on the server too.

    Returns
    -------
    DataFrame
        `attrs`: engine (trino), query_id, bytes_scanned (what the scan read of the table's files).

    Raises
    ------
    QueryError
        when the server cannot be reached or refuses the text; the message says which, and what to do.
    AccessError
        when the user may not ask.
    """
    with connect(where) as connection:
        cursor = connection.cursor()
        try:
            cursor.execute(sql)
            table = _table(cursor)
        except (exceptions.Error, exceptions.HttpError, requests.RequestException) as error:
            raise explained(error, where) from None
        except BaseException:
            with contextlib.suppress(Exception):
                cursor.cancel()
            raise
        result = frame(table)
        stats = cursor.stats or {}
        result.attrs["engine"] = "trino"
        result.attrs["query_id"] = cursor.query_id
        result.attrs["bytes_scanned"] = int(stats.get("physicalInputBytes") or 0)
    return result


def _table(cursor: trino.dbapi.Cursor) -> pa.Table:
    """Arrow table of the cursor's rows, made in batches."""
    first = cursor.fetchmany(BATCH)
    described = cursor.description or []
    schema = pa.schema([pa.field(name, arrow_type(str(kind))) for name, kind, *_ in described])
    batches = []
    rows = first
    while rows:
        values = zip(*rows, strict=True)
        arrays = [
            pa.array([_plain(value, field.type) for value in column], type=field.type)
            for field, column in zip(schema, values, strict=True)
        ]
        batches.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
        rows = cursor.fetchmany(BATCH)
    return pa.Table.from_batches(batches, schema=schema)


def arrow_type(name: str) -> pa.DataType:
    """Arrow type of a Trino type, as Trino writes it; what has no counterpart is text."""
    return _arrow(exp.DataType.build(name, dialect="trino"))


def _arrow(kind: exp.Expression) -> pa.DataType:
    if not isinstance(kind, exp.DataType) or not isinstance(kind.this, exp.DataType.Type):
        return pa.string()
    if kind.this == _TYPE.ARRAY:
        return pa.list_(_arrow(kind.expressions[0]))
    if kind.this == _TYPE.MAP:
        return pa.map_(*(_arrow(part) for part in kind.expressions))
    if kind.this == _TYPE.STRUCT:
        return pa.struct(
            [
                pa.field(part.name, _arrow(part.args["kind"]))
                if isinstance(part, exp.ColumnDef)
                else pa.field(f"field{place}", _arrow(part))
                for place, part in enumerate(kind.expressions)
            ]
        )
    if kind.this == _TYPE.DECIMAL:
        return pa.decimal128(*(int(part.name) for part in kind.expressions))
    return _ARROW.get(kind.this, pa.string())


def _plain(value: Any, kind: pa.DataType) -> Any:  # noqa: ANN401
    """Value as Arrow takes it: rows as their fields by name, maps as pairs, what is shown as text as that text."""
    if value is None:
        return None
    if pa.types.is_struct(kind):
        return {field.name: _plain(part, field.type) for field, part in zip(kind, value, strict=True)}
    if pa.types.is_list(kind):
        return [_plain(part, kind.value_type) for part in value]
    if pa.types.is_map(kind):
        return [(_plain(key, kind.key_type), _plain(part, kind.item_type)) for key, part in value.items()]
    return str(value) if pa.types.is_string(kind) and not isinstance(value, str) else value


def explained(error: Exception, where: Place) -> QueryError | AccessError:
    """Error of ours for one of the client's: what was wrong, and what to do about it."""
    if isinstance(error, exceptions.TrinoQueryError):
        return _refused(error, where)
    text = _first_line(error)
    if any(word in text for word in ("401", "403", "nauthorized", "Forbidden")):
        hint = "check user, and password_env with the variable it names"
        return DeniedError(f"Trino at {where.host}:{where.port} does not let {where.user} in: {text}; {hint}")
    return QueryError(
        f"Trino at {where.scheme}://{where.host}:{where.port} cannot be reached: {text}; "
        "check host, port and http_scheme of the source trino in case.yaml"
    )


def _refused(error: exceptions.TrinoQueryError, where: Place) -> QueryError | AccessError:
    """Error for what the server refused or failed at."""
    name, message = error.error_name or "", _first_line(error)
    if name == "PERMISSION_DENIED":
        table = f"{where.catalog}.{where.schema}.{where.table}"
        return DeniedError(f"{message}; {where.user} needs SELECT on {table}: ask who runs Trino")
    if name in _ABSENT:
        option = _ABSENT[name]
        message += f"; check {option}: {getattr(where, option)} of the source trino in case.yaml"
    elif name == "USER_CANCELED":
        message = f"the query {error.query_id} was cancelled on the server"
    elif name.startswith(_LIMITS):
        message = f"Trino's limits stopped the query {error.query_id}: {message}; ask for fewer accounts or days"
    elif name == "TYPE_MISMATCH" and "timestamp" in message and "varchar" in message:
        message += "; event times in cloudtrail_logs are texts: write from_iso8601_timestamp(eventtime)"
    elif error.error_type != "USER_ERROR":
        cause = ((error.failure_info or {}).get("cause") or {}).get("message") or ""
        message = f"Trino failed on the query {error.query_id}: {message} ({name}{': ' if cause else ''}{cause:.300})"
    return QueryError(message)


def _first_line(error: Exception) -> str:
    """What the server says, without the place in the SQL, which is not the text that was asked."""
    text = error.message if isinstance(error, exceptions.TrinoQueryError) else str(error)
    head, colon, rest = text.partition(": ")
    if colon and head.startswith("line "):
        text = rest
    return text.strip().splitlines()[0][:500] if text.strip() else type(error).__name__


def table(where: Place, options: dict[str, Any]) -> remote.Table:
    """The table as the server describes it.

    Raises
    ------
    QueryError
        when it is not there or the server cannot be asked.
    """
    name = exp.table_(where.table, db=where.schema, catalog=where.catalog, quoted=True)
    found = execute(where, f"SHOW COLUMNS FROM {name.sql('trino')}")
    columns = {str(column).lower(): str(kind) for column, kind in zip(found["Column"], found["Type"], strict=True)}
    keys = tuple(str(column).lower() for column in found["Column"][found["Extra"] == "partition key"])
    return remote.Table(name, columns, keys, options=options)


def run(case: Case, tree: exp.Expression, values: dict[str, Any]) -> pd.DataFrame:
    """Rows of a question, as `engine.duckdb.run` gives them, session tokens redacted; `attrs` as of `execute`.

    Raises
    ------
    QueryError
        when the question has no window, would read the whole table, or the server refuses it.
    AccessError
        when the user may not ask.
    """
    where, options = of(case)
    asked = remote.statement(case, tree, values, table(where, options))
    return remote.redacted(execute(where, dialect.to_trino(asked)))
