"""Questions: found by name, bound from the case, and asked."""

import datetime as dt
import json

import pandas as pd
import pytest
import sample_store as sample

from cirtlib import queries
from cirtlib.case import Seed
from cirtlib.errors import NotFoundError, QueryError
from cirtlib.shipped import shipped

KEY = "AKIAIOSFODNN7EXAMPLE"
ALICE = f"arn:aws:iam::{sample.ACCOUNT}:user/alice"


def moment(text):
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


FINDING = {
    "finding_id": "arn:aws:guardduty:us-east-1:111122223333:detector/d/finding/f",
    "type": "Stealth:IAMUser/CloudTrailLoggingDisabled",
    "product": "GuardDuty",
    "severity": 2.0,
    "first_seen": moment("2026-06-10T11:00"),
    "last_seen": moment("2026-06-10T11:30"),
    "access_key_id": KEY,
    "principal_id": "AIDAALICE",
    "remote_ips": ["203.0.113.10"],
    "archived": False,
}
SEED = {"finding": FINDING["finding_id"]}


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return incident(tmp_path_factory.mktemp("case"))


def incident(folder):
    records = [
        sample.record(time="2026-06-01T00:00:00Z"),
        sample.record(
            "CreateAccessKey",
            "iam",
            time="2026-06-10T11:00:00Z",
            requestParameters={"userName": "bob"},
            responseElements={"accessKey": {"accessKeyId": "AKIANEW"}},
        ),
        sample.record(who=sample.role(), time="2026-06-10T12:00:00Z", sourceIPAddress="198.51.100.7"),
    ]
    return sample.make(folder, records, [FINDING], seeds=[SEED], as_of="2026-06-12T00:00:00Z")


def test_every_question_is_whole():
    """Each file has its header, a query that can be run here, and columns that cite the events."""
    names = [question.name for question in queries.questions()]
    assert len(names) == len(set(names)) >= 20
    for question in queries.questions():
        assert question.question.endswith("?"), question.name
        assert not question.why.endswith("."), question.name
        assert question.technique.startswith("T1"), question.name
        assert question.false_positives, question.name
        assert {"event_id", "event_ids"} & set(question.columns), question.name
        assert "*" not in question.columns, question.name
        assert {"start", "end", "baseline_start"} & set(question.parameters), f"{question.name} has no bound in time"


def test_the_index_is_up_to_date():
    """queries/README.md is what the questions say: write it anew with `cirtlib.queries.index()`."""
    assert (shipped("queries") / "README.md").read_text(encoding="utf-8") == queries.index()


def test_a_question_is_read_from_its_file(tmp_path):
    """Header, parameters, columns and defaults come from the file; a line may go on in the next."""
    file = tmp_path / "topic" / "name.sql"
    file.parent.mkdir()
    file.write_text(
        "-- question: Which?\n-- why: because\n--   it matters\n"
        "-- technique: T1098\n-- false positives: none\n-- default: minimum = 5\n"
        "SELECT event_id, count(*) AS n FROM events WHERE event_time > :start HAVING count(*) > :minimum\n",
        encoding="utf-8",
    )
    found = queries.read_question(file)
    assert (found.name, found.topic, found.why) == ("name", "topic", "because it matters")
    assert found.parameters in (("start", "minimum"), ("minimum", "start"))
    assert (found.columns, found.defaults) == (("event_id", "n"), {"minimum": "5"})
    file.write_text("-- question: Which?\nSELECT 1", encoding="utf-8")
    with pytest.raises(QueryError, match="no line 'why:'"):
        queries.read_question(file)


def test_a_name_may_have_its_topic():
    """Name, topic/name and file name find the same question."""
    wanted = queries.find("access_keys_created")
    assert queries.find("identity/access_keys_created") is queries.find("identity/access_keys_created.sql") is wanted


def test_an_unknown_question_has_near_matches(case):
    """A misspelt name gives the nearest names; a strange one gives them all."""
    with pytest.raises(QueryError, match="did you mean access_keys_created"):
        queries.ask(case, "acces_key_created")
    with pytest.raises(QueryError, match=r"known are .*logging_off"):
        queries.ask(case, "xyzzy")


def test_an_unknown_parameter_names_the_known(case):
    """A mistyped parameter is refused before anything is asked."""
    with pytest.raises(QueryError, match=r"unknown parameter 'strat'; this takes .*start"):
        queries.ask(case, "access_keys_created", strat="2026-06-01")


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("start", "yesterday", "'yesterday' is no time"),
        ("start", 5, "5 is no time"),
        ("minimum", "many", "'many' is no bigint"),
        ("accounts", [111122223333], "12-digit texts"),
        ("minimum", object(), "no SQL literal"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(case, name, value, match):
    """A value is read as the type of its parameter, or refused with the parameter's name."""
    with pytest.raises(QueryError, match=match) as caught:
        queries.ask(case, "denied_bursts", **{name: value})
    assert name in str(caught.value)


def test_text_is_typed_by_its_parameter(case):
    """What the command line gives as text becomes a time, a list or a number."""
    found = queries.ask(case, "denied_bursts", start="2026-06-01", accounts="111122223333, 444455556666", minimum="2")
    assert found.attrs["parameters"]["start"] == "2026-06-01T00:00:00Z"
    assert found.attrs["parameters"]["accounts"] == ["111122223333", "444455556666"]
    assert found.attrs["parameters"]["minimum"] == 2


def test_ask_says_what_was_asked(case):
    """The result carries the question, its parameters and where the suspects came from."""
    found = queries.ask(case, "access_keys_created")
    assert list(found["minted_key"]) == ["AKIANEW"]
    assert found.attrs["question"] == "identity/access_keys_created"
    assert found.attrs["suspects_from"] == "seeds"
    assert found.attrs["parameters"]["keys"] == [KEY]
    json.dumps(found.attrs)  # a table that is written to a file takes its attrs along
    assert queries.ask(case, "access_keys_created", keys=[], principals=[]).attrs["suspects_from"] == "given"


def test_the_window_starts_two_days_before_the_finding(case):
    """What case.yaml leaves out: two days before what the seed finding names, to the end of the logs."""
    assert queries.window(case) == (moment("2026-06-08T11:00"), moment("2026-06-10T12:00"))


def test_the_window_starts_two_days_before_the_seed_event(tmp_path):
    """A seed event names its own time."""
    record = sample.record(time="2026-06-10T12:00:00Z")
    case = sample.make(
        tmp_path, [record, sample.record(time="2026-06-01T00:00:00Z")], seeds=[{"event": record["eventID"]}]
    )
    assert queries.window(case)[0] == moment("2026-06-08T12:00")
    assert queries.seed_times(case) == {Seed("event", record["eventID"]): moment("2026-06-10T12:00")}


def test_without_a_dated_seed_the_window_is_all_of_the_logs(tmp_path):
    """A key names no time."""
    records = [sample.record(time="2026-06-01T00:00:00Z"), sample.record(time="2026-06-10T12:00:00Z")]
    case = sample.make(tmp_path, records, seeds=[{"access_key": KEY}])
    assert queries.window(case) == (moment("2026-06-01T00:00"), moment("2026-06-10T12:00"))


def test_the_stated_window_wins(tmp_path):
    """What case.yaml says is the window; a live case ends at as_of."""
    window = {"start": "2026-06-02T00:00:00Z", "end": "2026-06-03T00:00:00Z"}
    assert queries.window(sample.make(tmp_path / "a", window=window)) == (
        moment("2026-06-02T00:00"),
        moment("2026-06-03T00:00"),
    )
    live = sample.make(
        tmp_path / "b", [sample.record()], window={"start": "2026-06-02", "end": "now"}, as_of="2026-06-12T09:00:00Z"
    )
    assert queries.window(live)[1] == moment("2026-06-12T09:00")


def test_a_record_of_year_1_has_a_baseline(tmp_path):
    """The earliest time that a log can hold leaves nothing before it, and no traceback."""
    case = sample.make(tmp_path, [sample.record(time="0001-01-01T00:00:00Z"), sample.record()])
    assert queries.parameters(case)["baseline_start"].year == 1


def test_an_empty_case_has_no_window(tmp_path):
    """Before anything was collected the error says what to do; free SQL runs all the same."""
    case = sample.make(tmp_path)
    with pytest.raises(NotFoundError, match="cirt collect"):
        queries.window(case)
    with pytest.raises(NotFoundError, match="cirt collect"):
        queries.ask(case, "access_keys_created")
    assert queries.sql(case, "SELECT count(*) AS n FROM events").loc[0, "n"] == 0
    assert queries.events(case).empty
    assert queries.findings(case).empty


def test_as_of(tmp_path):
    """The stated time, else that of the last collect, else an error that says what to do."""
    stated = sample.make(tmp_path / "a", as_of="2026-06-12T09:00:00Z")
    assert queries.as_of(stated) == moment("2026-06-12T09:00")
    case = sample.make(tmp_path / "b")
    with pytest.raises(NotFoundError, match="as_of"):
        queries.as_of(case)
    case.evidence.mkdir(exist_ok=True)
    (case.evidence / "collected.json").write_text('{"collected_at": "2026-06-13T00:00:00Z"}', encoding="utf-8")
    assert queries.as_of(case) == moment("2026-06-13T00:00")


def test_a_seed_that_matches_nothing_is_named(tmp_path):
    """A finding or an event that the case does not hold is an error that names it."""
    case = sample.make(tmp_path, [sample.record()], seeds=[{"finding": "arn:nosuch"}, {"access_key": KEY}])
    with pytest.raises(NotFoundError, match="finding=arn:nosuch"):
        queries.seed_times(case)
    assert queries.window(case)[0] == moment("2026-06-10T12:00"), "other questions can still be asked"


def test_parameters_come_from_the_seeds(case):
    """The finding's key and address, and the principal who bears that key in the logs."""
    found = queries.parameters(case)
    assert found["keys"] == [KEY]
    assert found["principals"] == [ALICE]
    assert found["addresses"] == ["203.0.113.10"]
    assert (found["baseline_start"], found["baseline_end"]) == (moment("2026-05-09T11:00"), moment("2026-06-08T11:00"))


SEEDS = {
    "access_key": (KEY, "keys", KEY),
    "principal": (
        f"arn:aws:sts::{sample.ACCOUNT}:assumed-role/devRole/alice",
        "principals",
        f"arn:aws:iam::{sample.ACCOUNT}:role/devRole",
    ),
    "session": ("AROADEVROLEXXXXXXXXXX:alice", "principals", f"arn:aws:iam::{sample.ACCOUNT}:role/devRole"),
    "ip": ("203.0.113.10", "addresses", "203.0.113.10"),
    "instance": ("arn:aws:ec2:us-east-1:111122223333:instance/i-0abc", "instances", "i-0abc"),
}


@pytest.mark.parametrize("kind", SEEDS)
def test_a_seed_of_each_kind_names_a_suspect(tmp_path, kind):
    """A name as logged leads to the stable principal."""
    value, parameter, expected = SEEDS[kind]
    seeded = sample.make(tmp_path, [sample.record(), sample.record(who=sample.role())], seeds=[{kind: value}])
    assert queries.parameters(seeded)[parameter] == [expected]


def test_parameters_come_from_the_scope_when_there_is_one(tmp_path):
    """The written scope names the suspects; what it clears or only touches is none."""
    case = incident(tmp_path)
    nodes = [
        {"kind": "credential", "value": "AKIASCOPE", "status": "compromised"},
        {"kind": "credential", "value": "AROAX/2026", "aliases": ["ASIAALIAS"], "status": "compromised"},
        {"kind": "credential", "value": "AKIACLEARED", "status": "cleared"},
        {"kind": "principal", "value": "arn:aws:iam::111122223333:role/x", "status": "attacker_created"},
        {"kind": "address", "value": "203.0.113.9", "status": "touched", "attacker_events": 3},
        {"kind": "address", "value": "198.51.100.7", "status": "touched", "attacker_events": 0},
        {
            "kind": "resource",
            "value": "arn:aws:ec2:us-east-1:111122223333:instance/i-0abc",
            "status": "attacker_created",
        },
        {"kind": "resource", "value": "arn:aws:cloudtrail:us-east-1:111122223333:trail/t", "status": "changed"},
    ]
    case.out.mkdir()
    scope = {"attack": {"first": "2026-06-10T09:00:00Z"}, "nodes": nodes}
    (case.out / "scope.json").write_text(json.dumps(scope), encoding="utf-8")
    found = queries.parameters(case)
    assert found["keys"] == ["AKIASCOPE", "ASIAALIAS"]
    assert found["principals"] == ["arn:aws:iam::111122223333:role/x"]
    assert found["addresses"] == ["203.0.113.9"]
    assert found["instances"] == ["i-0abc"]
    assert found["baseline_end"] == moment("2026-06-10T09:00")
    assert queries.ask(case, "access_keys_created").attrs["suspects_from"] == "scope"


def test_events_can_be_narrowed(case):
    """By principal as logged or stable, and by time; without bounds everything that was collected."""
    assert len(queries.events(case)) == 3
    assert len(queries.events(case, principal=ALICE)) == 2
    assert len(queries.events(case, principal=f"arn:aws:sts::{sample.ACCOUNT}:assumed-role/devRole/alice")) == 1
    assert len(queries.events(case, start="2026-06-10T11:30:00Z")) == 1
    assert len(queries.events(case, end=moment("2026-06-10T11:00"))) == 2
    assert queries.events(case)["event_time"].is_monotonic_increasing


def test_findings_are_a_table(case):
    """Times are aware, lists are lists."""
    found = queries.findings(case).iloc[0]
    assert found["first_seen"] == pd.Timestamp("2026-06-10T11:00Z")
    assert found["remote_ips"] == ["203.0.113.10"]
    assert found["archived"] is True or not found["archived"]


def test_sql_takes_parameters(case):
    """Standard parameters are there for any SQL; others must be given, and none may be unknown."""
    found = queries.sql(
        case, "SELECT event_id FROM events WHERE event_time >= :start AND event_name = :name", name="ListBuckets"
    )
    assert len(found) == 1
    with pytest.raises(QueryError, match="'name' needs a value"):
        queries.sql(case, "SELECT :name")
    with pytest.raises(QueryError, match="this takes no parameters"):
        queries.sql(case, "SELECT 1", name="x")


def test_accounts_and_regions_narrow_only_when_given(tmp_path):
    """The case's accounts are a condition; without any, all accounts are meant."""
    records = [sample.record(), sample.record(recipientAccountId="444455556666")]
    text = "SELECT account_id FROM events WHERE contains(:accounts, account_id) AND contains(:regions, region)"
    assert len(queries.sql(sample.make(tmp_path / "a", records), text)) == 2
    assert list(queries.sql(sample.make(tmp_path / "b", records, accounts=["444455556666"]), text)["account_id"]) == [
        "444455556666"
    ]
    assert queries.sql(sample.make(tmp_path / "c", records, regions=["eu-west-1"]), text).empty
