"""The page on exercises: its example is a working exercise, and its table names all that ship."""

import re
import shutil
from pathlib import Path

import pytest

from cirtlib.shipped import shipped
from cirtlib.training import scenario
from cirtlib.training.exercise import answers, answers_attack, course, marking, model, record, workspace

pytestmark = pytest.mark.integration  # generates an incident

PAGE = Path(__file__).parents[1] / "docs" / "exercises.md"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The example's files in a copy of scenarios/, and its resolver beside the others."""
    copy = tmp_path / "scenarios"
    shutil.copytree(shipped("scenarios"), copy)
    for text in blocks("yaml"):
        path = tmp_path / text.split("\n", 1)[0].removeprefix("# ")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(model, "shipped", lambda name: tmp_path / name)
    monkeypatch.setattr(scenario, "shipped", lambda name: tmp_path / name if name == "scenarios" else shipped(name))
    monkeypatch.setattr(record, "_kept", lambda: tmp_path / "kept")
    model.load_exercise.cache_clear()
    before = dict(answers.RESOLVERS)
    for text in blocks("python"):
        exec(compile(text, str(PAGE), "exec"), dict(vars(answers_attack)))
    yield tmp_path
    answers.RESOLVERS.clear()
    answers.RESOLVERS.update(before)
    model.load_exercise.cache_clear()


def test_the_example_starts_and_is_graded(example):
    space, _ = workspace.start("costly_key", seed=3, folder=example / "mine")
    said = (space.path / "story.md").read_text(encoding="utf-8")
    assert "CloudTrailLoggingDisabled" in said
    assert "$" not in said
    region, speed = space.exercise.questions
    true = {one.id: marking.truth(one, space.record) for one in (region, speed)}
    assert 5 < float(true["speed"][0]) < 90  # of an attack of an hour and a half
    wrong = course.answer(space, "region", "us-east-1")
    assert (wrong.mark.right, wrong.mark.says) == (False, "There the trail lives. The machines do not.")
    for name in true:
        assert course.answer(space, name, true[name][0]).mark.right, name
    assert not answers.acts(space.record, "UpdateAssumeRolePolicy")  # switched off in the example


def test_the_example_uses_no_key_that_the_schema_lacks(example):
    assert model.load_exercise("costly_key").minutes == 30
    assert scenario.load_scenario(example / "scenarios" / "costly_key").name == "costly_key"


def test_the_table_is_true():
    text = PAGE.read_text(encoding="utf-8").partition("## Those that ship")[2].partition("\n## ")[0]
    rows = {row[0]: int(row[1]) for row in re.findall(r"^\| `(\w+)` \| (\d+) \|", text, re.MULTILINE)}
    model.load_exercise.cache_clear()
    assert rows == {one.name: one.minutes for one in model.exercises()}


def test_the_costs_of_hints_are_true():
    costs = ", ".join(map(str, model.HINT_COSTS[:-1]))
    assert f"They cost {costs} and {model.HINT_COSTS[-1]}" in " ".join(PAGE.read_text(encoding="utf-8").split())
