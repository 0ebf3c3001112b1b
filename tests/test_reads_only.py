"""No command and no notebook calls an operation of AWS that changes anything: all of them are run, and watched."""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import pytest
import typer.main
from botocore.exceptions import ClientError

from cirtlib import cli, lab, load_case, report
from cirtlib.aws import Aws, allowed
from cirtlib.shipped import shipped
from cirtlib.sources import lookup
from cirtlib.training import demo
from cirtlib.training.exercise.workspace import start as begin
from cirtlib.training.generator import generate
from tests import recorded_calls

if TYPE_CHECKING:
    from cirtlib.training.account import Emulated

pytestmark = pytest.mark.integration
MEMBER = "444455556666"
# The incident report is run by `cirt report`.
NOTEBOOKS = sorted(file.stem for file in shipped("notebooks").glob("*.ipynb") if file.stem != "incident_report")
# What may be called although its name does not say that it reads (see the README).
EXCEPTIONS = {
    ("athena", "StartQueryExecution"), ("athena", "StopQueryExecution"), ("glue", "CreateTable"),
    ("iam", "GenerateCredentialReport"), ("sts", "AssumeRole"),
}  # fmt: skip
READING = ("Get", "List", "Describe", "Lookup", "Head", "BatchGet", "Search")


@dataclass
class Watch:
    """What was asked of AWS, as the patch of botocore and the emulated accounts noted it."""

    file: Path
    emulated: "Emulated"

    def calls(self) -> list[tuple[str, str]]:
        """(service, operation) of every call that botocore was asked for."""
        return [(words[1], words[2]) for words in self._lines() if words[0] == "call"]

    def sent(self) -> list[tuple[str, str]]:
        """(address, operation) of everything that botocore sent."""
        return [(words[1], words[2]) for words in self._lines() if words[0] == "sent"]

    def forbidden(self) -> list[str]:
        """Whatever is not allowed, of what was called, of what was sent, and of what arrived."""
        found = [
            f"{service} {operation}" for service, operation in self.calls() if (service, operation) not in allowed()
        ]
        found += [f"{url} for {operation}" for url, operation in self.sent() if not self._is_plain(url, operation)]
        return found + [request for request in self.emulated.requests if not self._has_come(request)]

    def _has_come(self, request: str) -> bool:
        """Whether a request that arrived is allowed: by its operation, or where only its path tells, by who sent it."""
        method, operation = request.split(" ", 1)
        if not operation.startswith("/"):
            return operation in {name for _, name in allowed()}
        return method in ("GET", "HEAD") or operation in {urlsplit(url).path for url, _ in self.sent()}

    def _is_plain(self, url: str, operation: str) -> bool:
        return urlsplit(url).hostname == "127.0.0.1" and tuple(operation.split(" ")) in allowed()

    def _lines(self) -> list[list[str]]:
        return [line.split("\t") for line in self.file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def watch(emulated_incident: "Emulated", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    """The emulated accounts, with botocore watched in this process and in every Python that it starts."""
    folder = tmp_path_factory.mktemp("watched")
    file = folder / "calls.tsv"
    file.touch()
    program = Path(recorded_calls.__file__).read_text(encoding="utf-8") + "\ninstall()\n"
    (folder / "sitecustomize.py").write_text(program, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in emulated_incident.environment().items():
            if name.startswith("AWS_"):
                patch.setenv(name, value)
        patch.setenv("AWS_PROFILE", emulated_incident.profiles[MEMBER])
        patch.setenv("RECORDED_CALLS", str(file))
        patch.setenv("PYTHONPATH", str(folder), prepend=":")
        patch.setattr(lookup, "INTERVAL", 0.0)
        for owner, name, watched in recorded_calls.PATCHES:
            patch.setattr(owner, name, watched(getattr(owner, name)))
        emulated_incident.requests.clear()
        yield Watch(file, emulated_incident)


@pytest.fixture(scope="module")
def case(watch: Watch, incident: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case that asks the accounts for all there is, and reads their bucket."""
    folder = tmp_path_factory.mktemp("live") / "case"
    seed = next(str(seed) for seed in incident[0].seeds)
    bucket = f"s3://{watch.emulated.buckets['logs']}/"
    told = ["--account", MEMBER, "--region", "us-east-1", "--window", "2026-06-23/2026-06-25", "--seed", seed]
    told += ["--live", "--logs", bucket, "--endpoint-url", watch.emulated.endpoint]
    assert cli.main(["new", str(folder), *told]) == cli.DONE
    with (folder / "case.yaml").open("a", encoding="utf-8") as file:
        file.write("baseline_days: 2\nas_of: '2026-06-25T09:00:00Z'\n")
    for command in ("check", "collect", "scope", "plan"):
        assert cli.main([command, str(folder)]) == cli.DONE, command
    return folder


def short(scenario: str, *, seed: int, out: Path) -> Any:
    """A generated incident of which only the day of the attack is left, so that the demo is not the slowest by far."""
    made = generate(scenario, seed=seed, out=out)
    for file in made.logs.rglob("*.json.gz"):
        if not file.parent.as_posix().endswith("2026/06/23"):
            file.unlink()
    return made


# They ask nothing but the practice account on this machine, over plain HTTP: tests/test_practice_account.py.
PRACTISED = {f"train account {name}" for name in ("attack", "reset", "start", "status", "stop")} | {"train submit"}
DONE_BY_THE_FIXTURE = {"new", "check", "collect", "scope", "plan"}
RUNS: dict[str, Sequence[str]] = {
    "ask": ("{case}", "access_keys_created"),
    "athena-ddl": ("{case}",),
    "clear": ("{case}", "{node}", "--reason", "ours"),
    "confirm": ("{case}", "{node}", "--reason", "theirs"),
    "coverage": ("{case}",),
    "impact": ("{case}",),
    "lab": ("{case}",),
    "note": ("{case}", "seen"),
    "prevent": ("{case}",),
    "questions list": (),
    "reconcile": ("{case}",),
    "record": ("{case}", "{event}"),
    "report": ("{case}",),
    "sql": ("{case}", "SELECT count(*) AS n FROM events"),
    "story": ("{case}", MEMBER),
    "timeline": ("{case}",),
    "train check": ("who", "devRole", "--dir", "{exercise}"),
    "train demo": ("--dir", "{made}/demo"),
    "train generate": ("exposed_credentials", "--out", "{made}/generated"),
    "train hint": ("who", "--dir", "{exercise}"),
    "train key": ("exposed_credentials",),
    "train list": (),
    "train reset": ("--dir", "{exercise}"),
    "train start": ("exposed_credentials", "--dir", "{made}/begun"),
    "verify": ("{case}",),
    "verify-containment": ("{case}", "--since", "2026-06-24T12:00:00Z"),
    "way-in": ("{case}",),
}


def commands() -> list[str]:
    """Every command of the application."""

    def walk(command: Any, path: tuple[str, ...]) -> Iterator[str]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield " ".join(path)
        for name, one in (inner or {}).items():
            yield from walk(one, (*path, name))

    return sorted(walk(typer.main.get_command(cli.app), ()))


def test_every_command_is_run_here() -> None:
    """A new command stands in RUNS."""
    assert sorted({*RUNS, *DONE_BY_THE_FIXTURE, *PRACTISED}) == commands()


def test_the_list_holds_nothing_that_changes_an_account() -> None:
    """What may be called reads, but for the exceptions that the README names."""
    writes = {one for one in allowed() if not one[1].startswith(READING)}
    assert writes <= EXCEPTIONS


def test_asking_the_accounts_calls_what_is_allowed(case: Path, watch: Watch) -> None:
    """Those that ask (check, collect) have asked a lot, of many services, and nothing else."""
    assert case.is_dir()
    assert watch.forbidden() == []
    assert {service for service, _ in watch.calls()} >= {
        "cloudtrail",
        "ec2",
        "guardduty",
        "iam",
        "s3",
        "securityhub",
        "sts",
    }
    assert len(watch.sent()) >= 50
    assert len(watch.emulated.requests) >= len(watch.sent())


@pytest.mark.parametrize("command", RUNS)
def test_a_command_calls_nothing_else(
    command: str, case: Path, watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs to its end, and whatever it asks AWS is allowed."""
    scope = json.loads((case / "out" / "scope.json").read_text(encoding="utf-8"))
    event = next(one for edge in scope["edges"] for one in edge["evidence"] if not one.startswith("arn:"))
    named = {"case": str(case), "node": scope["leads"][0]["node"] if scope["leads"] else scope["nodes"][0]["id"]}
    named |= {"event": event, "made": str(tmp_path), "exercise": str(tmp_path / "exercise")}
    if any("{exercise}" in word for word in RUNS[command]):
        begin("exposed_credentials", folder=tmp_path / "exercise")
    monkeypatch.setattr(lab.subprocess, "run", lambda *_, **__: type("Done", (), {"returncode": 0}))
    monkeypatch.setattr(demo, "generate", short)
    if command in ("clear", "confirm"):  # what is decided there is another case's
        shutil.copytree(case, tmp_path / "case", symlinks=True)
        named["case"] = str(tmp_path / "case")
    status = cli.main([*command.split(" "), *(word.format(**named) for word in RUNS[command])])
    assert status in ((0, 1, 3) if command == "verify-containment" else (cli.DONE,))
    assert watch.forbidden() == []


def test_athena_is_asked_and_no_more(case: Path, watch: Watch, tmp_path: Path) -> None:
    """A table is made at the analyst's word, by a query; questions there fail, for the emulation has no such table."""
    shutil.copytree(case, tmp_path / "case", symlinks=True)
    file = tmp_path / "case" / "case.yaml"
    source = "- cloudtrail: {athena: {database: security, table: trail, output: 's3://r/'}}\n"
    file.write_text(file.read_text(encoding="utf-8").replace("sources:\n", f"sources:\n{source}"), encoding="utf-8")
    before = len(watch.calls())
    cli.main(["athena-ddl", str(file.parent), "--create"])
    cli.main(["ask", str(file.parent), "access_keys_created", "--engine", "athena"])
    assert {("athena", "StartQueryExecution"), ("glue", "GetTable")} <= set(watch.calls()[before:])
    assert watch.forbidden() == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_calls_nothing_else(name: str, case: Path, watch: Watch) -> None:
    """Each is run in a kernel that is watched as well."""
    report.run(load_case(case), name)
    assert watch.forbidden() == []


def test_a_kernel_is_watched(case: Path, watch: Watch, tmp_path: Path) -> None:
    """A notebook that did call AWS would be seen."""
    import nbformat

    from cirtlib.kernel import execute

    where = {"region_name": "us-east-1", "endpoint_url": watch.emulated.endpoint}
    ask = f"import boto3\nboto3.client('ec2', **{where!r}).describe_vpcs()"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(ask)])
    nbformat.write(notebook, tmp_path / "asks.ipynb")
    before = len(watch.calls())
    execute(tmp_path / "asks.ipynb", tmp_path / "ran.ipynb", {})
    assert watch.calls()[before:] == [("ec2", "DescribeVpcs")]


def test_a_write_is_refused_before_it_is_sent(
    case: Path, watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client of the library refuses it; the same by another client arrives, and would be noticed here."""
    own = Watch(tmp_path / "calls.tsv", watch.emulated)
    monkeypatch.setenv("RECORDED_CALLS", str(own.file))
    before = len(own.emulated.requests)
    client = Aws(load_case(case).access).client("ec2", account=MEMBER)
    with pytest.raises(AssertionError, match="ec2 TerminateInstances is not in data"):
        client.terminate_instances(InstanceIds=["i-0123456789abcdef0"])
    assert (own.calls(), own.sent()) == ([("ec2", "TerminateInstances")], [])
    assert len(own.emulated.requests) == before
    other = boto3.client("ec2", region_name="us-east-1", endpoint_url=own.emulated.endpoint)
    with pytest.raises(ClientError, match="does not exist"):
        other.terminate_instances(InstanceIds=["i-0123456789abcdef0"])
    found = own.forbidden()
    del own.emulated.requests[before:]
    called, sent = "ec2 TerminateInstances", f"{own.emulated.endpoint}/ for ec2 TerminateInstances"
    assert {called, sent, "POST TerminateInstances"} <= set(found)
