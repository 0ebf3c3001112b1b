"""The command line parses, calls, and says plainly what went wrong."""

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from cirtlib.case import Case, load_case
from cirtlib.cli import DONE, FAILED, INCOMPLETE, USAGE, main

ROOT = Path(__file__).parent.parent


@pytest.fixture
def case(incident: tuple[Case, dict[str, Any]]) -> str:
    """Folder of the shared incident, for commands that only read."""
    return str(incident[0].path)


def test_both_ways_to_call_it() -> None:
    """`python -m cirtlib` and the installed `cirt` are the same program."""
    for command in ([sys.executable, "-m", "cirtlib"], [str(Path(sys.executable).with_name("cirt"))]):
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
        assert done.stdout.startswith("cirt ")


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """`cirt --help` is the table of contents, each line with what the command does."""
    assert main(["--help"]) == DONE
    listed = dict(
        re.findall(r"^  ([a-z-]+) {2,}(\S.*)$", capsys.readouterr().out.partition("Commands:")[2], re.MULTILINE)
    )
    expected = (
        "ask athena-ddl check clear collect confirm coverage impact lab new note plan prevent questions reconcile"
        " record report scope sql story timeline train verify verify-containment way-in"
    )
    assert sorted(listed) == expected.split(" ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["colour"],
        ["ask", "only-a-case"],
        ["scope", "x", "--format", "yaml"],
        ["ask", "x", "y", "-p", "novalue"],
        ["confirm", "x", "node"],
        ["new", "x", "--colour", "red"],
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, and nothing on stdout."""
    assert main(arguments) == USAGE
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Error" in shown.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["collect"], ["coverage"], ["scope"], ["timeline"], ["plan"], ["report"], ["verify"], ["lab"],
        ["reconcile"], ["impact"],
        ["note", "text"], ["ask", "x"], ["sql", "SELECT 1"], ["record", "id"], ["clear", "n", "--reason", "r"],
    ],
)  # fmt: skip
def test_no_case_is_one_message(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command says the same about a folder without a case: status 1, no traceback."""
    command, *rest = arguments
    assert main([command, str(tmp_path / "none"), *rest]) == FAILED
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("cirt: no case in ")
    assert "Traceback" not in shown.err


def test_new_says_where_the_case_is_and_what_is_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Options become keys of case.yaml."""
    (tmp_path / "logs").mkdir()
    arguments = [
        "--logs",
        str(tmp_path / "logs"),
        "--seed",
        "ip=192.0.2.7",
        "--seed",
        "access_key=AKIAIOSFODNN7EXAMPLE",
    ]
    arguments += ["--account", "012345678901", "--region", "eu-west-1", "--title", "odd", "--window", "2026-06-10/now"]
    arguments += ["--responder", "arn:aws:iam::012345678901:role/IR"]
    assert main(["new", str(tmp_path / "c"), *arguments]) == DONE
    made = load_case(tmp_path / "c")
    assert [str(seed) for seed in made.seeds] == ["ip=192.0.2.7", "access_key=AKIAIOSFODNN7EXAMPLE"]
    assert (made.accounts, made.regions, made.title) == (("012345678901",), ("eu-west-1",), "odd")
    assert made.responders == ("arn:aws:iam::012345678901:role/IR",)
    assert made.window.live
    assert "next: cirt collect" in capsys.readouterr().out
    assert main(["new", str(tmp_path / "c")]) == FAILED
    assert "already holds a case" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--logs", "nowhere"], "no such file or folder"),
        (["--seed", "AKIA"], "kind=value"),
        (["--window", "2026-06-12/2026-06-10"], "before it starts"),
        (["--account", "12"], "12 digits"),
    ],
)
def test_new_refuses_what_is_wrong(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 1, one message, no case."""
    assert main(["new", str(tmp_path / "c"), *arguments]) == FAILED
    assert said in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_an_unreadable_file_is_a_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the system refuses is said with the file's name."""
    main(["new", str(tmp_path / "c")])

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "c" / "case.yaml"))

    monkeypatch.setattr(Path, "read_text", refuse)
    assert main(["collect", str(tmp_path / "c")]) == FAILED
    assert "Permission denied: " in capsys.readouterr().err


def test_collect_prints_its_account(own_incident: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """A few lines, or all of it as JSON; a second collect adds nothing."""
    assert main(["collect", str(own_incident.path)]) == DONE
    shown = capsys.readouterr().out
    assert " = kept " in shown
    assert len(shown.splitlines()) <= 15
    assert main(["collect", str(own_incident.path), "--format", "json"]) == DONE
    account = json.loads(capsys.readouterr().out)
    assert account["new"] == 0
    assert account["seen"] == account["kept"] + account["duplicate"] + account["rejected"] > 1000


def test_strict_ends_with_3_when_evidence_lacks(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The incident's logging was switched off: that is a gap."""
    assert main(["coverage", case, "--format", "csv"]) == DONE
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {"source", "account", "region", "day", "status"} <= set(rows[0])
    assert main(["coverage", case, "--format", "csv", "--strict"]) == INCOMPLETE
    assert "coverage has" in capsys.readouterr().err


def test_coverage_names_the_gaps_first_and_days_on_request(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A row for each source, account and Region sums its days; --days and csv have each day."""
    assert main(["coverage", case]) == DONE
    short = capsys.readouterr()
    assert short.err.startswith("gap: ")
    assert "each day: --days" in short.err
    assert main(["coverage", case, "--format", "csv"]) == DONE
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    own = [row for row in rows if (row["source"], row["region"]) == ("cloudtrail", "us-east-1")]
    own = [row for row in own if row["account"] == own[0]["account"]]
    (line,) = (line.split() for line in short.out.splitlines() if line.split()[:3] == list(own[0].values())[:3])
    read = [row for row in own if row["status"] == "read"]
    assert line[3:5] == [str(len(read)), str(sum(row["status"] == "absent" for row in own))]
    assert str(sum(int(row["events"]) for row in own)) in line
    places = {(row["source"], row["account"], row["region"]) for row in rows}
    assert len(short.out.splitlines()) == len(places) + 2
    assert main(["coverage", case, "--days"]) == DONE
    assert len(capsys.readouterr().out.splitlines()) == len(rows) + 2


def test_sql_helps_with_names_of_columns_and_functions(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A column that is not there gets the nearest; a function of DuckDB gets Athena's."""
    asked = {
        "SELECT access_key FROM events": "did you mean access_key_id",
        "SELECT e.acess_key_id FROM events e": "did you mean access_key_id",
        "SELECT zzzz FROM events": "DESCRIBE events lists the columns",
        "SELECT json_extract_string(request, '$.a') FROM events": "Athena's is json_extract_scalar(json, path)",
        "SELECT epoch(event_time) FROM events": "Athena's is to_unixtime(time)",
    }
    for text, hint in asked.items():
        assert main(["sql", case, text]) == FAILED
        assert hint in capsys.readouterr().err


def test_what_is_proposed_for_a_function_of_duckdb_runs(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each of Athena's names is one that the embedded engine takes."""
    for call in (
        "json_extract_scalar('{}', '$.a')", "regexp_like('a', 'a')", "date_format(event_time, '%Y')",
        "date_parse('2026', '%Y')", "to_unixtime(event_time)", "length('a')", "cardinality(ARRAY[1])",
        "contains(ARRAY[1], 1)", "array_distinct(ARRAY[1])", "transform(ARRAY[1], x -> x)",
        "filter(ARRAY[1], x -> x > 1)", "array_sort(ARRAY[1])", "split('a b', ' ')", "array_join(ARRAY['a'], ',')",
        "current_date",
    ):  # fmt: skip
        assert main(["sql", case, f"SELECT {call} AS value FROM events LIMIT 1"]) == DONE, capsys.readouterr().err


def test_a_question_with_a_parameter(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The list names them; an unknown question or parameter is one message."""
    assert main(["questions", "list", "--format", "json"]) == DONE
    known = json.loads(capsys.readouterr().out)
    assert len(known) >= 12
    assert main(["ask", case, known[0]["name"], "--format", "json"]) == DONE
    json.loads(capsys.readouterr().out)
    assert main(["ask", case, "no_such_question"]) == FAILED
    assert main(["ask", case, known[0]["name"], "-p", "no_such_parameter=1"]) == FAILED
    assert capsys.readouterr().err.count("cirt: ") == 2


def test_sql_runs_athena_sql(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the argument or stdin, to stdout or a file; a slip is one message."""
    text = "SELECT eventname, count(*) AS n FROM cloudtrail_logs WHERE eventname = 'StopLogging' GROUP BY 1"
    assert main(["sql", case, text, "--format", "json"]) == DONE
    rows = json.loads(capsys.readouterr().out)
    assert rows[0]["eventname"] == "StopLogging"
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert main(["sql", case, "-", "--format", "csv", "--out", str(tmp_path / "t.csv")]) == DONE
    assert (tmp_path / "t.csv").read_text(encoding="utf-8").startswith("eventname,n\nStopLogging,")
    assert main(["sql", case, "SELEC 1"]) == FAILED
    assert "Traceback" not in capsys.readouterr().err


def test_a_record_is_printed_as_it_was(case: str, capsysbinary: pytest.CaptureFixture) -> None:
    """One JSON object a line; an unknown id is one message."""
    main(["sql", case, "SELECT eventid FROM cloudtrail_logs WHERE eventname = 'StopLogging'", "--format", "json"])
    event_id = json.loads(capsysbinary.readouterr().out)[0]["eventid"]
    assert main(["record", case, event_id]) == DONE
    records = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    assert {record["eventID"] for record in records} == {event_id}
    assert main(["record", case, "no-such-id"]) == FAILED


def test_scope_is_json_of_its_schema(own_incident: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """It is printed and written; a further seed only shows what would be."""
    case = str(own_incident.path)
    assert main(["scope", case, "--format", "json"]) == DONE
    scope = json.loads(capsys.readouterr().out)
    schema = json.loads((ROOT / "cirtlib" / "data" / "scope.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(scope, schema)
    assert json.loads((own_incident.out / "scope.json").read_text(encoding="utf-8")) == scope
    assert main(["scope", case]) == DONE
    shown = capsys.readouterr()
    assert "compromised" in shown.out
    assert "devRole" in shown.out
    before = (own_incident.out / "scope.json").read_bytes()
    assert main(["scope", case, "--seed", "ip=192.0.2.200"]) in (DONE, FAILED)
    assert (own_incident.out / "scope.json").read_bytes() == before


def test_a_decision_changes_the_case(own_incident: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """Confirm and clear write case.yaml; the next scope has it."""
    case = str(own_incident.path)
    main(["scope", case, "--format", "json"])
    scope = json.loads(capsys.readouterr().out)
    node = next(n for n in scope["nodes"] if n["kind"] == "credential" and n["status"] == "compromised")
    assert main(["clear", case, node["id"], "--reason", "it is ours", "--by", "ana"]) == DONE
    assert load_case(case).cleared[0].reason == "it is ours"
    assert main(["confirm", case, "access_key:AKIANOTTHERE", "--reason", "x"]) == FAILED
    main(["scope", case, "--format", "json"])
    shown = capsys.readouterr().out
    after = json.loads(shown[shown.index("{") :])
    assert {n["status"] for n in after["nodes"] if n["id"] == node["id"]} == {"cleared"}


def test_timeline_plan_note_and_verify(own_incident: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """Each writes what it says and ends with 0; a changed original is found."""
    case = str(own_incident.path)
    assert main(["timeline", case, "--format", "json"]) == DONE
    assert json.loads(capsys.readouterr().out)
    shown = main(["timeline", case]), capsys.readouterr()
    assert shown[0] == DONE
    assert shown[1].out.split("\n")[0].split() == ["start", "principal", "source_ip", "actions", "verdict", "events"]
    assert re.search(r"not shown: .*event_ids; --format json or csv", shown[1].err)
    assert main(["note", case, "called the owner"]) == DONE
    assert "called the owner" in (own_incident.out / "notes.jsonl").read_text(encoding="utf-8")
    assert main(["plan", case]) == DONE
    assert (own_incident.out / "plan" / "contain.sh").is_file()
    shown = capsys.readouterr()
    assert "contain" in shown.out
    assert shown.err.startswith("scoping, and writing the plan ...\n")
    assert main(["verify", case]) == DONE
    original = next(file for file in own_incident.raw.rglob("*") if file.is_file())
    original.chmod(0o600)
    original.write_bytes(original.read_bytes() + b"x")
    assert main(["verify", case]) == FAILED
    assert "not what was collected" in capsys.readouterr().err
