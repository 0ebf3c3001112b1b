"""An Athena that answers: moto's API over HTTP, whose queries run on a real Trino over Glue's tables and S3's objects.

Start, poll, stop, paged results, the result file in S3, bytes scanned, a workgroup's scan limit, and UNLOAD to Parquet
are as a client of Athena meets them; the SQL is Trino's own to answer.
"""

import contextlib
import io
import json
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any
from unittest import mock

import boto3
import pyarrow as pa
from trino.exceptions import TrinoQueryError

from cirtlib.engine.trino import arrow_type
from tests.trino_server import Trino

REGION = "us-east-1"
CATALOG, UNLOADS = "awsdatacatalog", "unloads"
KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": REGION}
_UNLOAD = re.compile(r"^\s*UNLOAD\s*\((.*)\)\s*TO\s*'([^']+)'\s*WITH\s*\((.*)\)\s*$", re.IGNORECASE | re.DOTALL)
_OPTION = re.compile(r"(\w+)\s*=\s*'([^']*)'")
_NAMES = {"real": "float"}  # Athena's names of types, where they are not Trino's


class _LimitError(Exception):
    """The workgroup's scan limit was passed."""


@dataclass
class Run:
    """One query execution, with the attributes that moto's API layer reads."""

    query: str
    context: Any
    config: dict[str, Any]
    workgroup: Any
    execution_parameters: Any
    limit: int = 0
    status: str = "QUEUED"
    reason: str = ""
    scanned: int = 0
    manifest: str = ""
    start_time: float = field(default_factory=time.time)
    end_time: float = field(default_factory=time.time)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    columns: list[tuple[str, str]] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    cursor: Any = None
    done: Event = field(default_factory=Event)

    def advance(self) -> None:
        """Nothing: the state is the query's own."""


@dataclass
class Athena:
    """Running emulation.

    Attributes
    ----------
    endpoint
        Address of all AWS services.
    runs
        Query executions by id.
    delay
        Seconds that a query waits before it runs, for what happens to one that takes long.
    cutoff
        Bytes at which the workgroup stops a query, where it has no limit of its own, which is 10 MB at least; 0: none.
    """

    endpoint: str
    trino: Trino
    runs: dict[str, Run] = field(default_factory=dict)
    delay: float = 0
    cutoff: int = 0

    def client(self, service: str) -> Any:
        """Client of boto3 for a service here."""
        return boto3.client(service, endpoint_url=self.endpoint, **KEYS)

    def environment(self) -> dict[str, str]:
        """Variables with which boto3 and awswrangler come here."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint, "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true",
        }  # fmt: skip


@contextlib.contextmanager
def serve(trino: Trino, bucket: str) -> Iterator[Athena]:
    """Athena, Glue and S3 on loopback, with an empty bucket for results and tables, while the context lasts."""
    from moto.athena.models import AthenaBackend
    from moto.athena.responses import AthenaResponse
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    quiet = type("Quiet", (MotoRequestHandler,), {"log_request": lambda *_: None})
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=quiet)
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    athena = Athena(f"http://127.0.0.1:{server.server_port}", trino)
    with contextlib.ExitStack() as undo:
        for owner, names in ((AthenaBackend, _backend(athena)), (AthenaResponse, _responses(athena))):
            undo.enter_context(mock.patch.multiple(owner, **names))
        thread.start()
        undo.callback(server.server_close)
        undo.callback(thread.join)
        undo.callback(server.shutdown)
        athena.client("s3").create_bucket(Bucket=bucket)
        shared = _storage(athena.endpoint)
        for name, own in ((CATALOG, _glue(athena.endpoint, bucket)), (UNLOADS, _files(bucket))):
            trino.add_catalog(name, {**own, **shared})
            undo.callback(trino.drop_catalog, name)
        trino.run(f"CREATE SCHEMA {UNLOADS}.files")
        yield athena


def _glue(endpoint: str, bucket: str) -> dict[str, str]:
    return {
        "hive.metastore": "glue", "hive.metastore.glue.region": REGION, "hive.metastore.glue.endpoint-url": endpoint,
        "hive.metastore.glue.aws-access-key": "testing", "hive.metastore.glue.aws-secret-key": "testing",
        "hive.metastore.glue.default-warehouse-dir": f"s3://{bucket}/warehouse",
    }  # fmt: skip


def _files(bucket: str) -> dict[str, str]:
    """Where tables that are only written live: moto's Glue lacks what writing one asks for."""
    return {
        "hive.metastore": "file", "hive.metastore.catalog.dir": f"s3://{bucket}/unloads",
        "hive.non-managed-table-writes-enabled": "true",
    }  # fmt: skip


def _storage(endpoint: str) -> dict[str, str]:
    return {
        "fs.native-s3.enabled": "true", "s3.endpoint": endpoint, "s3.region": REGION, "s3.path-style-access": "true",
        "s3.aws-access-key": "testing", "s3.aws-secret-key": "testing", "hive.security": "allow-all",
        "hive.ignore-absent-partitions": "true", "hive.partition-projection-enabled": "true",
    }  # fmt: skip


def _backend(athena: Athena) -> dict[str, Any]:
    """What replaces methods of moto's Athena backend."""

    def start(self: Any, query: str, context: Any, config: Any, workgroup: str, execution_parameters: Any) -> str:
        group = self.work_groups.get(workgroup or "primary")
        settings = group.configuration if group else {}
        where = dict(config or {})
        default = settings.get("ResultConfiguration") or {}
        if settings.get("EnforceWorkGroupConfiguration") or "OutputLocation" not in where:
            where = {**where, **default}
        run = Run(
            query,
            context,
            where,
            group,
            execution_parameters,
            settings.get("BytesScannedCutoffPerQuery") or athena.cutoff,
        )
        if where.get("OutputLocation"):
            where["OutputLocation"] = where["OutputLocation"].rstrip("/") + f"/{run.id}.csv"
        self.executions[run.id] = athena.runs[run.id] = run
        Thread(target=_answer, args=(athena, run), daemon=True).start()
        return run.id

    def stop(self: Any, exec_id: str) -> None:
        run = self.executions[exec_id]
        if run.status in ("QUEUED", "RUNNING"):
            run.status = "CANCELLED"
            run.done.set()
            if run.cursor is not None:
                with contextlib.suppress(Exception):
                    run.cursor.cancel()

    return {"start_query_execution": start, "stop_query_execution": stop}


def _responses(athena: Athena) -> dict[str, Any]:
    """What replaces methods of moto's Athena API layer."""
    from moto.athena.responses import AthenaResponse

    described = AthenaResponse.get_query_execution

    def execution(self: Any) -> str:
        answer = json.loads(described(self))
        run = athena.runs[answer["QueryExecution"]["QueryExecutionId"]]
        found = answer["QueryExecution"]
        found["Statistics"]["DataScannedInBytes"] = run.scanned
        found["ResultConfiguration"] = run.config
        if run.reason:
            found["Status"]["StateChangeReason"] = run.reason
            found["Status"]["AthenaError"] = {"ErrorCategory": 2, "ErrorMessage": run.reason, "Retryable": False}
        if run.manifest:
            found["Statistics"]["DataManifestLocation"] = run.manifest
        return json.dumps(answer)

    def results(self: Any) -> Any:
        run = athena.runs[self._get_param("QueryExecutionId")]
        if run.status != "SUCCEEDED":
            return self.error(f"Query did not finish successfully. Final query state: {run.status}", 400)
        first, size = int(self._get_param("NextToken") or 0), int(self._get_param("MaxResults") or 1000)
        whole = [
            [name for name, _ in run.columns],
            *([_text(value, kind) for value, kind in row] for row in _typed(run)),
        ]
        page = [
            {"Data": [{} if one is None else {"VarCharValue": one} for one in row]}
            for row in whole[first : first + size]
        ]
        found: dict[str, Any] = {"ResultSet": {"Rows": page, "ResultSetMetadata": {"ColumnInfo": _columns(run)}}}
        if first + size < len(whole):
            found["NextToken"] = str(first + size)
        return json.dumps(found)

    return {"get_query_execution": execution, "get_query_results": results}


def _answer(athena: Athena, run: Run) -> None:
    """Run the query to its end, in a thread of its own."""
    if run.done.wait(athena.delay):
        return
    run.status = "RUNNING"
    try:
        _execute(athena, run)
        status, reason = "SUCCEEDED", ""
    except _LimitError:
        status, reason = "CANCELLED", "Bytes scanned limit was exceeded"
    except TrinoQueryError as error:
        status, reason = "FAILED", f"{error.error_name}: {error.message}"
    except Exception as error:  # a fault of the emulation is the query's, so that the client sees it
        status, reason = "FAILED", f"GENERIC_INTERNAL_ERROR: {error!r}"
    run.end_time = time.time()
    if run.status != "CANCELLED":
        run.status, run.reason = status, reason
    run.done.set()


def _execute(athena: Athena, run: Run) -> None:
    database = (run.context or {}).get("Database") or "default"

    def watch(stats: dict[str, Any]) -> None:
        run.scanned = int(stats.get("physicalInputBytes") or 0)
        if run.limit and run.scanned > run.limit:
            raise _LimitError

    with athena.trino.connect(catalog=CATALOG, schema=database, legacy_primitive_types=True) as connection:
        run.cursor = connection.cursor(stats_callback=watch)
        try:
            unload = _UNLOAD.match(run.query)
            if unload:
                _unload(athena, run, *unload.groups())
                return
            run.cursor.execute(run.query)
            run.rows = run.cursor.fetchall()
            run.columns = [(name, str(kind)) for name, kind, *_ in run.cursor.description or []]
        except _LimitError:
            run.cursor.cancel()
            raise
        watch(run.cursor.stats)
    _store(athena, run.config["OutputLocation"], _as_csv(run))


def _store(athena: Athena, address: str, content: str) -> None:
    bucket, _, key = address.removeprefix("s3://").partition("/")
    athena.client("s3").put_object(Bucket=bucket, Key=key, Body=content.encode())


def _unload(athena: Athena, run: Run, sql: str, to: str, options: str) -> None:
    """UNLOAD as a table of the same files, which is dropped again; then the manifest that names the files."""
    given = {name.lower(): value for name, value in _OPTION.findall(options)}
    if given.get("format", "").upper() != "PARQUET":
        raise ValueError("only UNLOAD to PARQUET is emulated")
    name = f"{UNLOADS}.files.u{uuid.uuid4().hex}"
    run.cursor.execute(f"CREATE TABLE {name} WITH (format = 'PARQUET', external_location = '{to}') AS {sql}")
    run.cursor.fetchall()
    run.scanned = int(run.cursor.stats.get("physicalInputBytes") or 0)
    athena.trino.run(f"DROP TABLE {name}")
    bucket, _, prefix = to.removeprefix("s3://").partition("/")
    listed = athena.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    run.manifest = run.config["OutputLocation"].removesuffix(".csv") + "-manifest.csv"
    _store(athena, run.manifest, "".join(f"s3://{bucket}/{one['Key']}\n" for one in listed))


def _typed(run: Run) -> Iterator[list[tuple[Any, pa.DataType]]]:
    kinds = [arrow_type(kind) for _, kind in run.columns]
    for row in run.rows:
        yield list(zip(row, kinds, strict=True))


def _as_csv(run: Run) -> str:
    """The result file: every value in quotes, quotes doubled, NULL as nothing."""
    out = io.StringIO()
    names: list[str | None] = [name for name, _ in run.columns]
    rows = [names, *([_text(value, kind) for value, kind in row] for row in _typed(run))]
    for row in rows:
        out.write(",".join("" if one is None else '"' + one.replace('"', '""') + '"' for one in row) + "\n")
    return out.getvalue()


def _text(value: Any, kind: pa.DataType) -> str | None:
    """Value as Athena writes it."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if pa.types.is_list(kind):
        return "[" + ", ".join(_text(part, kind.value_type) or "null" for part in value) + "]"
    if pa.types.is_struct(kind):
        named = zip(kind, value, strict=True)
        return "{" + ", ".join(f"{part.name}={_text(inner, part.type) or 'null'}" for part, inner in named) + "}"
    if pa.types.is_map(kind):
        return "{" + ", ".join(f"{key}={_text(part, kind.item_type) or 'null'}" for key, part in value.items()) + "}"
    return str(value)


def _columns(run: Run) -> list[dict[str, Any]]:
    """Description of the columns: a type's name without its parameters."""
    found = []
    for name, kind in run.columns:
        base = re.sub(r"\(.*\)", "", kind).strip()
        numbers = [int(one) for one in re.findall(r"\d+", kind)] if base == "decimal" else [0, 0]
        found.append({
            "CatalogName": "hive", "SchemaName": "", "TableName": "", "Name": name, "Label": name,
            "Type": _NAMES.get(base, base), "Precision": numbers[0], "Scale": numbers[1], "Nullable": "UNKNOWN",
            "CaseSensitive": base == "varchar",
        })  # fmt: skip
    return found
