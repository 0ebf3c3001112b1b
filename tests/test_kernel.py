"""Notebooks run strictly: unknown parameters and failed cells are errors that say what and where."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from cirtlib.errors import ReportError
from cirtlib.kernel import execute


@pytest.fixture
def notebook(tmp_path):
    cells = [
        new_markdown_cell("# A notebook"),
        new_code_cell('case: str = ""  # the case\nnumber: int = 1  # a number', metadata={"tags": ["parameters"]}),
        new_code_cell("# Where are we?\nimport os, sys\nprint(sys.executable, os.environ['IPYTHONDIR'])"),
        new_code_cell("# Is it right?\nassert number != 13, 'unlucky \x1b[31mnumber'\nprint(case)"),
    ]
    file = tmp_path / "small.ipynb"
    nbformat.write(new_notebook(cells=cells), file)  # without a kernelspec, at which papermill alone would give up
    return file


def test_a_run_is_ours_and_leaves_no_times(notebook, tmp_path):
    """The kernel is this interpreter without the user's settings; two runs give the same bytes, even of odd paths."""
    import sys

    texts = []
    for name in ("one{case}", "two"):
        ran = execute(notebook, tmp_path / name / "out.ipynb", {"case": "a {b} path"})
        said = ran.cells[3].outputs[0].text.split()
        assert said[0] == sys.executable
        assert "cirt-run-" in said[1]
        assert ran.cells[4].outputs[0].text == "a {b} path\n"
        ran.cells[3].outputs = []
        texts.append(nbformat.writes(ran))
    assert texts[0] == texts[1]
    assert (tmp_path / "one{case}" / "out.ipynb").is_file()


def test_an_unknown_parameter_names_the_known_ones(notebook, tmp_path):
    """A mistyped parameter ends the run before it starts."""
    with pytest.raises(ReportError, match="no parameter 'acse'; it has case, number"):
        execute(notebook, tmp_path / "out.ipynb", {"acse": "x"})
    assert not (tmp_path / "out.ipynb").exists()


def test_a_failed_cell_is_named(notebook, tmp_path):
    """The error has the shipped notebook's cell, its line and the message, and no traceback."""
    with pytest.raises(ReportError) as caught:
        execute(notebook, tmp_path / "out.ipynb", {"number": 13})
    message = str(caught.value)
    assert "small.ipynb, code cell 3, line 2: assert number != 13" in message
    assert "AssertionError: unlucky" in message
    assert "Traceback" not in message
    assert (tmp_path / "out.ipynb").is_file()
