"""Each condition of each question decides something: its opposite gives another answer on the same small incident."""

import pytest
import sample_store as sample
import test_questions as small
from sqlglot import exp

from cirtlib import queries, standard
from cirtlib.engine import dialect
from cirtlib.engine import duckdb as engine

VALUES = small.ASKED | {
    "accounts": [small.ACCOUNT],
    "regions": ["us-east-1", "ap-southeast-1"],
    "instances": ["i-0123456789abcdef0"],
    "minimum": "3",
}


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    """The incident, its containment, and what lies outside: other days, accounts, outcomes."""
    records = [*small.usual(), *small.attack(), *small.containment()]
    case = sample.make(tmp_path_factory.mktemp("predicates"), records, [small.COPY, small.FINDING, small.LOST, small.CONTROL])
    with engine.connect(case) as opened:
        opened.execute("CREATE TABLE kept AS FROM events")
        opened.execute("DROP VIEW events")
        opened.execute("ALTER TABLE kept RENAME TO events")
        yield opened


def conditions(question):
    """Each top-level condition of each WHERE, as its place and text."""
    tree = dialect.parse(question.text)
    return [
        (place, number, part)
        for place, where in enumerate(tree.find_all(exp.Where))
        for number, part in enumerate(where.this.flatten() if isinstance(where.this, exp.And) else [where.this])
    ]


def answer(connection, question, tree):
    values = {name: standard.typed(name, VALUES[name], tree) for name in question.parameters}
    found = engine.run(connection, tree, values).to_dict("records")
    return sorted(repr(sorted((key, str(value)) for key, value in row.items())) for row in found)


def negated(question, place, number):
    tree = dialect.parse(question.text)
    where = list(tree.find_all(exp.Where))[place]
    part = list(where.this.flatten())[number] if isinstance(where.this, exp.And) else where.this
    part.replace(exp.Not(this=exp.Paren(this=part.copy())))
    return tree


def survivors(connection, question):
    """Conditions whose opposite gives the same answer."""
    before = answer(connection, question, dialect.parse(question.text))
    return [
        part.sql(dialect="athena", comments=False)
        for place, number, part in conditions(question)
        if answer(connection, question, negated(question, place, number)) == before
    ]


@pytest.mark.parametrize("question", queries.questions(), ids=lambda question: question.name)
def test_every_condition_decides(question, connection):
    """No condition of a WHERE can be turned round without another answer."""
    assert survivors(connection, question) == []
