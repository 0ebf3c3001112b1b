"""Run a notebook through papermill, strictly, with this environment's own Python.

Papermill only warns of a parameter that the notebook does not know, takes whatever kernel the user once registered
under the name "python3", and reports a failed cell with a traceback. Here each of these is settled or an error.
"""

import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import nbformat
import papermill
import zmq
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from papermill.exceptions import PapermillExecutionError
from traitlets import CaselessStrEnum

from cirtlib.errors import ReportError

_MARKERS = {"papermill-error-cell-tag", "injected-parameters"}
_ARROW = re.compile(r"^-+> (\d+) ?(.*)$", re.MULTILINE)
_COLOUR = re.compile("\x1b\\[[0-9;]*m")


class OwnKernel(AsyncKernelManager):
    """Kernel of the interpreter that runs us: nothing need be registered, and nothing registered is used."""

    # What the cells print is evidence: encrypted on the loopback socket, too, where the installed pyzmq can.
    transport_encryption = CaselessStrEnum(["disabled", "auto", "required"], "auto" if zmq.has("curve") else "disabled")

    @property
    def kernel_spec(self) -> KernelSpec:
        """What starts it, whatever the notebook's metadata name."""
        command = [sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        environment = {"PYTHONWARNINGS": "ignore", "PYTHONHASHSEED": "0"}
        return KernelSpec(
            argv=command,
            display_name="cirtlib",
            language="python",
            env=environment,
            metadata={"supported_encryption": ["curve"]},
        )


def execute(notebook: Path, output: Path, parameters: Mapping[str, object]) -> nbformat.NotebookNode:
    """Execute a copy of `notebook` with `parameters`, write it to `output`, and return it without run times.

    Raises
    ------
    ReportError
        when the notebook knows no parameter of that name, or a cell failed: `output` then holds the run up to there.
    """
    content = nbformat.read(notebook, as_version=4)
    content.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
    known = sorted(papermill.inspect_notebook(content))
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        names = ", ".join(map(repr, unknown))
        raise ReportError(f"{notebook.stem} has no parameter {names}; it has {', '.join(known)}")
    output.parent.mkdir(parents=True, exist_ok=True)
    with _isolated() as folder:
        scratch = folder / "run.ipynb"
        try:
            papermill.execute_notebook(
                content,
                str(scratch),
                parameters=dict(parameters),
                kernel_name="python3",
                language="python",
                progress_bar=False,
                cwd=str(folder),
                kernel_manager_class=f"{OwnKernel.__module__}.{OwnKernel.__name__}",
            )
        except PapermillExecutionError as error:
            raise ReportError(_failure(notebook, output, error, injected=bool(parameters))) from None
        finally:
            ran = _settled(nbformat.read(scratch, as_version=4)) if scratch.is_file() else None
            if ran:
                nbformat.write(ran, output)
    return ran


@contextmanager
def _isolated() -> Iterator[Path]:
    """Scratch folder in which Jupyter and IPython find none of the user's settings, extensions and start-up files."""
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    before = {name: os.environ.get(name) for name in names}
    logger = logging.getLogger("papermill")
    level = logger.level
    with tempfile.TemporaryDirectory(prefix="cirt-run-") as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL)
        os.environ.update({name: str(Path(scratch, name.lower())) for name in names})
        try:
            yield Path(scratch)
        finally:
            logger.setLevel(level)
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _settled(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Executed notebook without what differs from run to run: times, durations, ids of injected cells."""
    notebook.metadata.pop("papermill", None)
    for number, cell in enumerate(notebook.cells):
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if _MARKERS & set(cell.metadata.get("tags", [])):
            cell["id"] = f"run-{number}"
    return notebook


def _failure(notebook: Path, output: Path, error: PapermillExecutionError, *, injected: bool) -> str:
    """Say which cell of the shipped notebook failed, on which line, and why."""
    trace = _COLOUR.sub("", "\n".join(error.traceback))
    # The first arrow is the cell's own line; the others are in the library's frames.
    arrow = _ARROW.search(trace)
    line = f", line {arrow[1]}: {arrow[2].strip()}" if arrow else ""
    cell = error.exec_count - 1 if injected else error.exec_count
    return f"{notebook.name}, code cell {cell}{line}\n{error.ename}: {error.evalue}\nthe run up to there is in {output}"
