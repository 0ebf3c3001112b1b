"""The shipped notebooks keep to their form, refuse to run without a case, and run on the incident."""

import ast
import re

import nbformat
import pytest

from cirtlib import report
from cirtlib.errors import ReportError
from cirtlib.kernel import execute
from cirtlib.shipped import shipped

NAMES = [
    *(
        "00_start_here",
        "01_collect_and_verify",
        "02_triage",
        "03_scope",
        "04_timeline",
        "05_containment_plan",
        "06_way_in",
        "07_remediate_and_prevent",
    ),
    "incident_report",
]
SLOW = pytest.mark.integration  # the report has its own tests; the others take a kernel each
PARTS = ("**Question.**", "**Where to look.**", "**A benign answer.**", "**Next.**")


def read(name):
    return nbformat.read(shipped("notebooks") / f"{name}.ipynb", as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_the_set_is_whole():
    """These notebooks ship, and no other."""
    assert sorted(file.stem for file in shipped("notebooks").glob("*.ipynb")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_opens_with_its_question(name):
    """Title, question, inputs and decision come first; then the parameters, of which only the case is needed."""
    notebook = read(name)
    first = notebook.cells[0].source
    assert first.startswith("# ")
    assert all(part in first for part in ("**Question.**", "**Inputs.**", "**You decide"))
    parameters = notebook.cells[1]
    assert parameters.metadata.tags == ["parameters"]
    assert parameters.source.startswith('case: str = ""  # ')
    names = [node.target.id for node in ast.parse(parameters.source).body]
    assert names == ["case", "start", "end", "principals"]


@pytest.mark.parametrize("name", NAMES)
def test_a_section_says_how_to_read_it(name):
    """Each section says its question, where to look, what a benign answer looks like, and what to do next."""
    notebook = read(name)
    sections = [cell for cell in notebook.cells if cell.cell_type == "markdown"][1:]
    assert sections
    for cell in sections:
        assert cell.source.startswith("## ")
        assert [part for part in PARTS if part in cell.source] == list(PARTS), cell.source[:40]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_thin(name):
    """Few cells, short, each opening with its question; the work is in the library."""
    notebook = read(name)
    assert len(notebook.cells) <= 28
    for cell in code(notebook)[1:]:
        assert len(cell.source.splitlines()) <= 10
        assert re.match(r"# .*[?.]", cell.source), cell.source[:60]
        assert not re.search(r"\bdef |\bpip\b|\.head\(|\bSELECT\b|^[!%]", cell.source, re.MULTILINE)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)


@pytest.mark.parametrize("name", NAMES)
def test_imports_stand_in_the_first_cell(name):
    """What a notebook uses can be seen at once."""
    for cell in code(read(name))[2:]:
        assert "import " not in cell.source


def test_a_notebook_refuses_to_run_without_a_case(tmp_path):
    """The default of `case` is refused with a message that says what to do."""
    with pytest.raises(ReportError, match="was given no case: set the parameter `case`"):
        execute(shipped("notebooks") / "03_scope.ipynb", tmp_path / "out.ipynb", {})


@pytest.mark.parametrize(
    "name", ["02_triage", *(pytest.param(name, marks=SLOW) for name in NAMES if name != "02_triage")]
)
def test_a_notebook_runs_on_the_incident(name, own_incident):
    """Each runs to its end, writes only into the case, and its shipped file stays as it was."""
    shipped_file = shipped("notebooks") / f"{name}.ipynb"
    before = shipped_file.read_bytes()
    executed = nbformat.read(report.run(own_incident, name), as_version=4)
    assert shipped_file.read_bytes() == before
    for cell in code(executed):
        assert cell.execution_count, cell.source[:60]
        errors = [output for output in cell.outputs if output.output_type == "error" or output.get("name") == "stderr"]
        assert not errors, errors


@pytest.mark.integration
def test_parameters_override_the_case_and_are_printed(own_incident):
    """A run with its own window and principals says so, and leaves the case as it was."""
    before = (own_incident.path / "case.yaml").read_bytes()
    start = "2026-06-01T00:00:00Z"
    executed = nbformat.read(report.run(own_incident, "00_start_here", parameters={"start": start}), as_version=4)
    said = "".join(output.text for cell in code(executed) for output in cell.outputs if output.output_type == "stream")
    assert f"Overridden for this run: start = {start}" in said
    assert (own_incident.path / "case.yaml").read_bytes() == before
