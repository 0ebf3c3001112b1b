"""The notebook of an exercise: its cells run, hostile input stays text, and its fields work in a real browser."""

import json
import os
import signal
import socket
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from test_pages import _await, browser, watched

from cirtlib.errors import TrainingError
from cirtlib.kernel import execute
from cirtlib.training.exercise import answer_file, course, shown
from cirtlib.training.exercise.field import Field
from cirtlib.training.exercise.marking import mark, truth
from cirtlib.training.exercise.model import exercises
from cirtlib.training.exercise.tutor import Tutor
from cirtlib.training.exercise.workspace import find, start

__all__ = ["browser"]  # a fixture
pytestmark = pytest.mark.integration
NAMES = [one.name for one in exercises()]
HOSTILE = "<img src=x onerror=alert(1)></p><script>alert(2)</script>\x1b[2J\u202e"
KEPT = {"p", "b", "small", "div", "table", "caption", "thead", "tbody", "tr", "th", "td"}


class _Tags(HTMLParser):
    """Every tag of a text with markup."""

    def __init__(self, html):
        super().__init__()
        self.found = set()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.add(tag)


def tame(html):
    """Whether a text holds no markup but ours, and nothing that moves a terminal or turns text round."""
    return _Tags(html).found <= KEPT and not {"\x1b", "\u202e"} & set(html)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """Folder of an exercise by its name, begun once."""
    made = {}

    def of(name):
        if name not in made:
            made[name] = start(name, folder=tmp_path_factory.mktemp("exercise") / name)[0]
        return made[name]

    return of


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_runs(begun, tmp_path, name):
    """In order, without an error; every question has its field, what the cells find is written for handing in."""
    space = begun(name)
    ran = execute(space.path / "exercise.ipynb", tmp_path / "ran.ipynb", {"folder": str(space.path)})
    outputs = [one for cell in ran.cells for one in cell.get("outputs", [])]
    assert not [one for one in outputs if one["output_type"] == "error"]
    fields = [one for one in outputs if "application/vnd.jupyter.widget-view+json" in one.get("data", {})]
    assert len(fields) == len(course.asked(space))
    assert all("exercise.answer(" in one["data"]["text/plain"] for one in fields)
    assert (space.path / "case" / "out" / "scope.json").is_file()
    assert not [one for one in outputs if one.get("name") == "stderr" and "rror" in one["text"]]
    # no cell shows the code of an object: what is no table or field is a short text
    bare = [one["data"]["text/plain"] for one in outputs if "data" in one and set(one["data"]) == {"text/plain"}]
    assert [text for text in bare if len(text) > 400] == []


@pytest.mark.parametrize("name", NAMES)
def test_ids_of_cells_differ_and_stay(begun, name):
    """Cells have an id each, of the form that Jupyter asks for, and the notebook does not hold an answer's text."""
    book = nbformat.read(begun(name).path / "exercise.ipynb", as_version=4)
    nbformat.validate(book)
    ids = [cell.id for cell in book.cells]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", NAMES)
def test_works_without_widgets(begun, name):
    """Every true answer, given by a call, is right; a hint is told; and the table counts it all."""
    space = begun(name)
    tutor = Tutor(space)
    for question in space.exercise.questions:
        true = truth(question, space.record)
        if true is None:
            continue
        given = tutor.answer(question.id, true if question.many else true[0])
        assert "✔" in given.text, (question.id, given.text)
        assert "Right." in given.text
    assert f"of {space.exercise.points['questions']}" in tutor.progress().text
    first = next(iter(course.asked(space)))
    assert "Hint 1 of" in tutor.hint(first).text
    assert "Hint 1 of" in tutor.ask(first).hints.value, "what was paid for is shown again"
    assert "Right." in tutor.ask(first).said.value, "what came of an answer is shown again"
    assert json.loads((space.path / "progress.json").read_text())["hints"] == {first: 1}


@pytest.mark.parametrize("name", NAMES)
def test_hostile_input_stays_text(begun, name):
    """Whatever is typed is shown as text: by answers, fields, the table of all, and names of questions."""
    tutor = Tutor(begun(name))
    for question in tutor.space.exercise.questions:
        for given in (HOSTILE, [HOSTILE, "x"]):
            said = tutor.answer(question.id, given).text
            assert tame(said), (question.id, said)
        field = tutor.ask(question.id)
        assert tame(getattr(getattr(field, "said", None), "value", ""))
    assert tame(tutor.progress().text)
    assert tame(tutor.hint(HOSTILE).text)
    assert tame(tutor.answer(HOSTILE, "x").text)
    assert tame(shown.frame(pd.DataFrame({HOSTILE: [HOSTILE], "event_id": [HOSTILE]})))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_understood_gives_nothing_away(begun, name):
    """The text on an answer that cannot be read, and the example in an empty field, hold no true answer."""
    space = begun(name)
    for question in space.exercise.questions:
        if question.kind == "choice" or truth(question, space.record) is None:
            continue
        example = getattr(Field(space, question).entry, "placeholder", "")
        told = f"{mark(question, 'no such thing !', space.record).says} {example}"
        spelt = told.replace("+00:00", "Z").replace(" ", "T").casefold()
        assert not [one for one in truth(question, space.record) if one.replace("+00:00", "Z").casefold() in spelt]


def test_frames_are_shown_whole():
    """Long names and event ids are whole, named indexes are kept, and odd frames are shown at all."""
    arn = f"arn:aws:iam::444455556666:role/{'deep/' * 20}name"
    event = "90826d5f-b309-488a-92dd-7700c946cc80"
    html = shown.frame(pd.DataFrame({"principal": [arn], "event_id": [event]}))
    assert arn in html
    assert f">{event}<" in html
    counted = pd.Series(["here", "here", "there"], name="where").value_counts().to_frame()
    assert "there" in shown.frame(counted)
    twice = pd.DataFrame([["left", "right"]], columns=["same", "same"])
    assert "left" in shown.frame(twice)
    assert "right" in shown.frame(twice)


def test_a_frame_that_cannot_be_handed_in_is_refused(begun):
    """The message names the column that is missing."""
    with pytest.raises(TrainingError, match="no column value"):
        Tutor(begun(NAMES[0])).scope_is(pd.DataFrame({"kind": ["principal"]}))


def test_answers_and_hints_in_a_browser(browser, tmp_path):
    """In JupyterLab a wrong and a right answer and a hint are told under the field, and kept."""
    space = start("exposed_credentials", folder=tmp_path / "ec")[0]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = "t" * 32
    options = [f"--ServerApp.port={port}", f"--IdentityProvider.token={token}", "--ServerApp.port_retries=0"]
    command = [sys.executable, "-m", "cirtlib", "lab", str(space.path), "--no-browser", "--", *options, "--allow-root"]
    server = subprocess.Popen([*command, "--expose-app-in-browser"], stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        _await(f"http://127.0.0.1:{port}/api/status?token={token}")
        page, asked, _ = watched(browser, offline=False)
        page.goto(f"http://127.0.0.1:{port}/lab/tree/exercise.ipynb?token={token}&reset")
        _use(page, space)
        assert not [url for url in asked if not url.startswith((f"http://127.0.0.1:{port}/", "data:", "blob:"))]
    finally:
        os.killpg(server.pid, signal.SIGTERM)  # JupyterLab and its kernels, too
        server.wait(timeout=20)


def _use(page, space):
    """Run the cells up to the first question, and answer it wrong, with a hint, and right."""
    page.wait_for_selector(".jp-NotebookPanel .jp-CodeCell", timeout=60_000)
    panel = "[...jupyterapp.shell.widgets('main')].find(w => w.sessionContext)"
    page.wait_for_function(f"{panel}?.sessionContext.session?.kernel?.status == 'idle'", timeout=60_000)
    book = nbformat.read(space.path / "exercise.ipynb", as_version=4)
    first = next(at for at, cell in enumerate(book.cells) if 'exercise.ask("who")' in cell.source)
    opening = next(at for at, cell in enumerate(book.cells) if "open_exercise" in cell.source)
    for at in (opening - 1, opening, first):
        page.evaluate(f"{panel}.content.activeCellIndex = {at}")
        page.evaluate("jupyterapp.commands.execute('notebook:run-cell')")
    cell = page.locator(".jp-CodeCell", has_text='ask("who")')
    entry, buttons = cell.locator("input"), cell.locator("button.jupyter-button")
    entry.wait_for(timeout=60_000)
    entry.fill(f"devRole{HOSTILE[:30]}")
    buttons.first.click()
    cell.get_by_text("Not counted").wait_for(timeout=20_000)
    assert cell.locator("img").count() == 0
    entry.fill("arn:aws:iam::444455556666:role/devRole")
    buttons.first.click()
    cell.get_by_text("Not right.").wait_for(timeout=20_000)
    buttons.nth(1).click()
    cell.get_by_text("Hint 1 of 4").wait_for(timeout=20_000)
    entry.fill(truth(_who(space), space.record)[0])
    entry.press("Enter")
    cell.get_by_text("✔").wait_for(timeout=20_000)
    cell.get_by_text("Hint (costs nothing now)").wait_for(timeout=20_000)
    if shots := os.environ.get("CIRT_SCREENSHOTS"):
        page.screenshot(path=str(Path(shots) / "exercise.png"))
    kept = find(space.path)
    assert answer_file.read(kept.path / "answers.yaml", kept.exercise) == {"who": truth(_who(space), space.record)[0]}
    assert kept.progress()["hints"] == {"who": 1}
    assert course.standing(kept, "who").points == 4.5


def _who(space):
    return space.exercise.question("who")
