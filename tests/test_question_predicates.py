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
    "networks": ["192.0.2.0/24"],
}

# some 200 variants of the questions take about 20 s of a core
pytestmark = pytest.mark.integration

# conditions that may be turned round, and why
IDLE = {
    "finding_records": {"f.copy = 1": "asked again of the whole; before the join it only saves work"},
}

INSTANCE = "i-0123456789abcdef0"
NAMELESS = {**small.FINDING, "api_name": None, "api_service": None}
FINDINGS = [
    small.COPY,
    small.FINDING,
    small.LOST,
    small.CONTROL,
    {**NAMELESS, "finding_id": "arn:key"},
    {**NAMELESS, "finding_id": "arn:instance", "access_key_id": None, "instance_id": INSTANCE, "remote_ips": []},
    {
        **NAMELESS,
        "finding_id": "arn:principal",
        "access_key_id": None,
        "principal_id": "AIDADAVEXXXXXXXXXXXXX",
        "remote_ips": [],
    },
]


def besides():
    """What the incident lacks: acts of the baseline and before it, a program of one's own, a session's other key."""
    alice, dave = sample.user("alice", small.STOLEN), sample.user("dave", "AKIADAVEKEY000000001")
    machine = sample.role("devRole", INSTANCE, "ASIAMACHINE000000001")
    evil = {"userAgent": "evil/1"}
    far, near = (
        small.minted("ASIAFAR0000000000001", small.FAR_ROLE),
        small.minted("ASIANEAR000000000001", small.DEV_ROLE),
    )
    other = sample.role("devRole", "thief", "ASIAOTHERKEY00000001")
    hop = sample.role("devRole-next", "thief", "ASIANEXT000000000001")
    last = small.minted("ASIALAST000000000001", small.FAR_ROLE)
    return [
        sample.record("AssumeRole", "sts", who=alice, time="2026-05-20T12:00:00Z", **near),
        sample.record("AssumeRole", "sts", who=alice, time=small.at(3, 5), **near),
        sample.record("AssumeRole", "sts", who=machine, time="2026-05-20T12:00:00Z", **far),
        sample.record("RunInstances", "ec2", who=alice, time=small.at(3, 5)),
        sample.record("RunInstances", "ec2", who=alice, time=small.at(4, 5), errorCode="AccessDenied"),
        sample.record("RunInstances", "ec2", who=alice, time=small.at(5, 5), errorCode="AccessDenied"),
        sample.record("ListUsers", "iam", who=alice, time=small.at(5, 5)),
        small.stolen("RunInstances", "ec2", 20, **evil),
        sample.record("ListUsers", "iam", who=dave, time=small.at(21), sourceIPAddress="192.0.2.9", **evil),
        sample.record("ListUsers", "iam", who=dave, time=small.at(21, 5), sourceIPAddress="192.0.2.9", **evil),
        sample.record("ListUsers", "iam", who=dave, time=small.at(21, 5), sourceIPAddress=small.THIEF),
        sample.record("ListUsers", "iam", who=dave, time="2026-05-20T12:00:00Z", sourceIPAddress="192.0.2.9", **evil),
        sample.record("ListUsers", "iam", who=other, time=small.at(22)),
        sample.record("ListUsers", "iam", who=other, time=small.at(22, 5)),
        sample.record("ListUsers", "iam", who=machine, time=small.at(6)),
        small.stolen("AssumeRole", "sts", 23, **small.minted("ASIANEXT000000000001", small.DEV_ROLE + "-next")),
        sample.record("AssumeRole", "sts", who=hop, time=small.at(24), **last),
    ]


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    """The incident, its containment, and what lies outside: other days, accounts, outcomes."""
    records = [*small.usual(), *small.attack(), *small.containment(), *besides()]
    case = sample.make(tmp_path_factory.mktemp("predicates"), records, FINDINGS)
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
    """No condition of a WHERE can be turned round without another answer, but for those listed with their reason."""
    assert set(survivors(connection, question)) == set(IDLE.get(question.name, {}))
