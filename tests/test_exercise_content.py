"""The exercises as they ship: every answer is there for every incident, and none stands where learners read."""

import json
import re
import string
from functools import cache

import pytest

from cirtlib import collect, queries, sql
from cirtlib.errors import TrainingError
from cirtlib.shipped import shipped
from cirtlib.training.exercise import marking, workspace
from cirtlib.training.exercise.model import exercises, load_exercise
from cirtlib.training.exercise.record import record_of
from cirtlib.training.exercise.resolvers import resolve
from cirtlib.training.exercise.spelling import KINDS

pytestmark = pytest.mark.integration  # twelve incidents are generated

NAMES = ("exposed_credentials", "misconfigured_resource", "phished_console", "false_alarm")
SEEDS = (1, 2, 3)
# Answers that are words of their own, such as yes, a count, or a ticket's key, stand in any text.
WORDS = {"choice", "number"}


@cache
def incident(name, seed):
    return record_of(load_exercise(name), seed)


def questions():
    return [(one.name, question) for one in exercises() for question in one.questions]


def ids(value):
    return value if isinstance(value, str) else getattr(value, "id", str(value))


def spellings(question, record):
    """Every spelling in which the true answer could stand in a text: as it is computed, and its last part."""
    found = resolve(question.answer, record)
    several = found if isinstance(found, list) else [] if found is None else [str(found)]
    return {part for one in several for part in (one, one.rsplit("/", 1)[-1].rsplit(":", 1)[-1])}


def test_all_four_exercises_ship():
    assert sorted(one.name for one in exercises()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_asks_ten_to_fourteen_questions_of_known_kinds(name):
    one = load_exercise(name)
    assert 10 <= len(one.questions) <= 14
    assert {question.kind for question in one.questions} <= set(KINDS)
    assert all(question.because.strip() and len(question.hints) == 3 for question in one.questions)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", NAMES)
def test_every_answer_is_found_and_graded_as_right(name, seed):
    record, one = incident(name, seed), load_exercise(name)
    asked = 0
    for question in one.questions:
        truth = marking.truth(question, record)
        if truth is None:
            continue
        asked += 1
        raw = resolve(question.answer, record)
        given = raw if question.many else str(raw[0] if isinstance(raw, list) else raw)
        assert marking.mark(question, given, record).share == 1, question.id
        if question.kind == "choice":
            assert set(truth) <= set(question.choices), question.id
    assert asked >= len(one.questions) - 1


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", NAMES)
def test_no_mistake_is_right(name, seed):
    record = incident(name, seed)
    for question in load_exercise(name).questions:
        truth = set(marking.truth(question, record) or ())
        for mistake in question.mistakes:
            found = resolve(mistake.resolver, record)
            several = found if isinstance(found, list) else [] if found is None else [found]
            wrong = {marking._canonical(question.kind, one, record) for one in several}
            assert not truth & wrong, (question.id, mistake.resolver)


@pytest.mark.parametrize("name", NAMES)
def test_every_mistake_happens_in_some_incident(name):
    for question in load_exercise(name).questions:
        for mistake in question.mistakes:
            assert any(resolve(mistake.resolver, incident(name, seed)) for seed in SEEDS), mistake.resolver


@pytest.mark.parametrize("name", NAMES)
def test_a_typical_mistake_is_told_its_own_reason(name):
    record = incident(name, 1)
    for question in load_exercise(name).questions:
        for mistake in question.mistakes:
            found = resolve(mistake.resolver, record)
            if found and question.kind != "choice":
                given = str(found[0] if isinstance(found, list) else found)
                says = marking.mark(question, given, record).says
                assert any(one.say in says for one in question.mistakes), (question.id, says)


@pytest.mark.parametrize(("name", "question"), questions(), ids=ids)
def test_what_it_points_to_exists(name, question):
    assert (shipped("notebooks") / f"{question.see['notebook']}.ipynb").is_file(), name
    assert question.see["question"] in {one.name for one in queries.questions()}, name


@pytest.mark.parametrize("name", NAMES)
def test_questions_that_hints_and_cells_ask_exist(name):
    one = load_exercise(name)
    known = {question.name for question in queries.questions()}
    asked = {word for question in one.questions for text in question.hints for word in _asks(text)}
    asked |= {word for task in one.tasks for cell in task.cells for word in re.findall(r'ask\(case, "(\w+)"', cell)}
    assert asked
    assert asked <= known


def _asks(text):
    return re.findall(r"cirt ask case (\w+)", text)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", NAMES)
def test_no_answer_stands_where_the_learner_reads(name, seed):
    text = (shipped("scenarios") / name / "exercise.yaml").read_text(encoding="utf-8").lower()
    for question in load_exercise(name).questions:
        if question.kind not in WORDS:
            for one in spellings(question, incident(name, seed)):
                assert not re.search(rf"(?<![\w.-]){re.escape(one.lower())}(?![\w.-])", text), (question.id, one)


@pytest.mark.parametrize(("name", "question"), questions(), ids=ids)
def test_hints_do_not_name_the_right_choice(name, question):
    if question.kind == "choice":
        right = {one for seed in SEEDS for one in marking.truth(question, incident(name, seed)) or ()}
        said = " ".join(question.hints).lower()
        for one in right:
            assert question.choices[one].strip().lower().rstrip(".") not in said
            assert "_" not in one or one not in said


@pytest.mark.parametrize("name", NAMES)
def test_commands_can_be_filled_in_for_some_incident(name):
    for command in load_exercise(name).commands:
        wanted = string.Template(command).get_identifiers()
        found = [{one: resolve(one, incident(name, seed)) for one in wanted} for seed in SEEDS]
        assert any(all(each.values()) for each in found), command


def test_policies_in_commands_are_json():
    for name in NAMES:
        for command in load_exercise(name).commands:
            for document in re.findall(r"--policy-document '(\{.*\})'", command):
                assert json.loads(document)["Version"] == "2012-10-17"


@pytest.mark.parametrize("name", NAMES)
def test_sql_of_hints_runs(name, tmp_path_factory):
    space, _ = workspace.start(name, seed=1, folder=tmp_path_factory.mktemp(name) / "mine")
    said = [" ".join(hint.split()) for one in space.exercise.questions for hint in one.hints]
    statements = re.findall(r'cirt sql case "([^"]+)"', "\n".join(said))
    assert statements
    collect(space.case())
    for statement in statements:
        with_names = re.sub("<[^>]+>", "x", statement)
        assert list(sql(space.case(), with_names).columns), statement


def test_an_unknown_answer_is_an_error():
    with pytest.raises(TrainingError, match="no answer is called 'nobody'"):
        resolve("nobody", incident("false_alarm", 1))
