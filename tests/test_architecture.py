"""The shape of the code: what may import what, how large things get, and what is never committed."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "cirtlib"

# The data flow, one stage a line. A module imports only what stands before it, on an earlier line or on its own.
STAGES = """
    errors text
    case shipped locking
    records findings evidence
    intake decisions
    aws permissions
    store
    engine standard queries
    techniques sessions identity passwords trust
    snapshot names sources digest
    ddl
    progress
    collect caseless check
    verification
    coverage accounting
    baseline scope triage
    reconcile
    timeline plots
    policy
    display exposure
    containment
    redaction notebook
    overview facts narrative headline affected impact aftermath appendix story buttons plan_board
    prevention
    kernel page report lab
    investigation
    training
    terminal cli_ask cli_assess cli_story cli_way_in cli_prevent cli_aftermath cli_train_account cli_train cli_check cli
    __main__
"""
ORDER = STAGES.split()


def modules() -> list[Path]:
    return sorted(file for file in PACKAGE.rglob("*.py") if "shipped" not in file.relative_to(PACKAGE).parts[:1])


def dotted(file: Path) -> str:
    """Name of a module inside the package: `engine.duckdb`; '' for the package itself."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {dotted(file) for file in modules()}


def imported(file: Path) -> Iterator[str]:
    """Modules of ours that `file` imports, at the top or inside a function."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name}: relative import"
            found = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in found:
            inner = name.removeprefix("cirtlib").removeprefix(".")
            if name.partition(".")[0] != "cirtlib":
                continue
            while inner and inner not in NAMES:
                inner = inner.rpartition(".")[0]
            if inner:
                yield inner


def test_every_module_has_its_place() -> None:
    """A new module is placed in STAGES, on purpose."""
    stages = {name.partition(".")[0] for name in NAMES if name}
    assert stages - set(ORDER) == set()


@pytest.mark.parametrize("file", [f for f in modules() if dotted(f)], ids=dotted)
def test_a_module_imports_only_what_stands_before_it(file: Path) -> None:
    """The data flow has one direction."""
    own = dotted(file).partition(".")[0]
    for name in imported(file):
        stage = name.partition(".")[0]
        assert stage == own or ORDER.index(stage) < ORDER.index(own), f"{dotted(file)} imports {name}"


def test_no_circle_inside_a_package() -> None:
    """Modules of one package have an order too."""
    graph = {dotted(file): set(imported(file)) - {dotted(file)} for file in modules() if dotted(file)}
    list(TopologicalSorter(graph).static_order())  # raises CycleError


def test_the_generator_knows_nothing_of_what_it_is_to_test() -> None:
    """Scope and generator are independent, so that one can judge the other."""
    todo, seen = ["training.generator"], set[str]()
    while todo:
        name = todo.pop()
        if name in seen or name not in NAMES:
            continue
        seen.add(name)
        file = PACKAGE / Path(*name.split("."))
        file = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
        todo += imported(file)
        if name.startswith("training."):
            text = file.read_text(encoding="utf-8")
            assert not re.search(r"__file__|importlib\.resources|(?<!\bcontrols)\.tsv\b", text), (
                f"{name} reads the package's data"
            )
    allowed = {"errors", "text", "case", "shipped", "training"}
    assert {name.partition(".")[0] for name in seen} <= allowed
    assert "training.generator" in seen


def test_light_modules_load_nothing_heavy() -> None:
    """Importing the package, the records and the command line is quick."""
    code = "import sys, cirtlib, cirtlib.records, cirtlib.case, cirtlib.evidence, cirtlib.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "cirtlib.records" in loaded
    assert loaded & {"pandas", "plotly", "boto3", "botocore", "awswrangler", "duckdb", "networkx"} == set()


@pytest.mark.parametrize("file", modules(), ids=lambda file: dotted(file) or "cirtlib")
def test_modules_and_functions_stay_small(file: Path) -> None:
    """At most 400 lines a module and 60 a function; every module says what it is."""
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert text.count("\n") <= 400
    assert ast.get_docstring(tree), "no docstring"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno <= 60, f"{node.name} is too long"
    assert not re.search(r"\b(TODO|FIXME|XXX)\b|raise NotImplementedError", text)


def committed() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("no git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_notebooks_are_committed_without_outputs() -> None:
    """An output is evidence; the parameters of a run are, too. The kernel's name stays: papermill needs it."""
    for file in committed():
        if file.suffix != ".ipynb":
            continue
        notebook = json.loads(file.read_text(encoding="utf-8"))
        assert "papermill" not in notebook["metadata"], file.name
        assert notebook["metadata"]["kernelspec"]["name"] == "python3", file.name
        for cell in notebook["cells"]:
            assert not cell.get("outputs"), file.name
            assert cell.get("execution_count") is None, file.name


def test_nothing_committed_names_one_machine() -> None:
    """No path of somebody's machine, and no key that could be real."""
    # Assembled, so that this file does not name what it looks for.
    homes = "|".join(["home", "root", "Users", "tmp", "work"])
    path = re.compile(rf"(?<![\w.*~}}])/(?:{homes})/[\w.-]+")
    for file in committed():
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if not file.is_relative_to(ROOT / "tests"):
            assert not path.search(text), f"{file.relative_to(ROOT)}: {path.search(text)}"
        assert str(ROOT) + "/" not in text, file.name
