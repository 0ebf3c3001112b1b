"""Trino and the embedded engine give the same answers: rows, order, NULLs and types, on sets of records."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cirtlib import queries, standard
from cirtlib.case import Case
from cirtlib.engine import dialect
from tests import odd_records, test_questions, test_questions_whole
from tests.same_rows import differences
from tests.trino_parity import Sides, collected, odd_case, order, sides, tree
from tests.trino_server import Trino, trino_server

__all__ = ["trino_server"]
pytestmark = pytest.mark.integration
QUESTIONS = [question.name for question in queries.questions()]


@pytest.fixture(scope="module")
def on_incident(trino_server: Trino, incident: tuple[Case, dict[str, Any]]) -> Iterator[Sides]:
    with sides(trino_server, incident[0], "incident") as made:
        yield made


@pytest.fixture(scope="module")
def on_odd(trino_server: Trino, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    with sides(trino_server, odd_case(tmp_path_factory.mktemp("odd")), "odd") as made:
        yield made


@pytest.fixture(scope="module")
def on_real(trino_server: Trino, real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    with sides(trino_server, collected(tmp_path_factory.mktemp("real") / "case", real_data), "real") as made:
        yield made


@pytest.fixture(params=["on_incident", "on_real", "on_odd"])
def records(request: pytest.FixtureRequest) -> Sides:
    """Each set of records in turn."""
    found: Sides = request.getfixturevalue(request.param)
    return found


def test_every_column_of_events(records: Sides) -> None:
    """The adapter gives the same events on both engines, column by column."""
    asked = dialect.parse("SELECT * FROM events ORDER BY event_id, account_id, source_object, source_position")
    there, here = records.both(asked, {})
    assert len(here) > 500
    assert differences(there, here, order=order(asked)) == []


@pytest.mark.parametrize("name", QUESTIONS)
def test_question(records: Sides, name: str) -> None:
    """Each shipped question has the same answer on both engines, in the same order."""
    question = queries.find(name)
    asked = tree(question)
    there, here = records.both(asked, records.values(question, asked))
    assert differences(there, here, order=order(asked)) == []


@pytest.fixture(scope="module")
def on_lists(trino_server: Trino, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    """Calls about several things, failed attempts and entries into a role."""
    folder, whole = tmp_path_factory.mktemp("lists"), test_questions_whole
    (folder / "logs").mkdir()
    records = [*whole.things(), *whole.refused_attempts(), *whole.openers(), *whole.odd_lists()]
    numbered = [one | {"eventID": f"{number}-{one['eventID']}"} for number, one in enumerate(records)]
    (folder / "logs" / "lists.json").write_bytes(odd_records.as_file(numbered))
    with sides(trino_server, collected(folder / "case", folder / "logs"), "lists") as made:
        yield made


LISTS = ("attacker_made", "defence_impairment", "footholds", "lateral_movement", "taken_out", "tampering",
         "who_uses_it")  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_lists_in_a_record(on_lists: Sides, name: str) -> None:
    """Lists in requests and answers are taken apart alike, whatever they hold."""
    question = queries.find(name)
    asked = tree(question)
    given = {one: standard.typed(one, test_questions.ASKED[one], asked) for one in question.parameters}
    there, here = on_lists.both(asked, given)
    assert len(here)
    assert differences(there, here, order=order(asked)) == []
