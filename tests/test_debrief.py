"""The debrief of an exercise: what a learner reads after handing in."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from cirtlib.page import readable
from cirtlib.training.exercise import debrief as debriefing
from cirtlib.training.exercise import debrief_words
from cirtlib.training.exercise.beside import calls
from cirtlib.training.exercise.model import Exercise, Question, Task
from cirtlib.training.exercise.record import Record
from cirtlib.training.exercise.reference import Reference, reference
from cirtlib.training.exercise.workspace import Workspace

pytestmark = pytest.mark.integration
HOSTILE = '<img src=x onerror=alert(1)></script><script src="https://evil.example/x.js"></script>'
POINTS = {"questions": 50, "scope": 10, "timeline": 5, "containment": 35}
CONTAINMENT = {"ways": 15, "uses": 8, "evidence": 6, "cleanup": 6}
JUDGED = ("ways", "broken", "lost", "standing", "order", "untried")
KEY = "AKIAWKFG5QZ6DEXAMPLE"
MISSED = "What was missed, and what it would have cost"


def space_of(scenario: str, folder: Path) -> Workspace:
    question = Question(
        "stopper", "Who stopped the trail?", "principal", "stop_principal", 50, because="Its session called it.",
        see={"notebook": "02_triage", "question": "logging_off"},
    )  # fmt: skip
    task = Task("one", "One", "", (), (question,))
    exercise = Exercise(
        scenario, "An & exercise", 60, ("A role is nobody.",), (), "", {}, POINTS, CONTAINMENT, (task,), (),
        "A *Low* finding can be the only sign.",
    )  # fmt: skip
    return Workspace(folder, exercise, 1)


def judged(must: list[str]) -> dict[str, Any]:
    """A judgement as the judge of the practice account gives it."""
    way = {"credential": "", "event_ids": must[:2], "call": "", "by": ""}
    return {
        "ways": [
            way | {"text": f"access key {KEY} of svc", "call": "iam:CreateUser", "result": "open"},
            way | {"text": "access key AKIANCINWVVIDEXAMPLE of dev", "result": "closed", "by": "it is inactive"},
        ],
        "broken": [{"who": "dev-smartin", "text": f"sts:AssumeRole devRole {HOSTILE}", "event_ids": must[:1]}],
        "lost": [{"text": "CloudTrail was stopped"}],
        "standing": [{"node": "principal:svc", "text": "user svc-monitoring-agent is there"}],
        "order": [{"time": "2026-11-27T01:00:00Z", "who": "cirt", "call": "iam:UpdateAccessKey", "what": HOSTILE}],
        "minutes": 12.0,
        "untried": [
            {
                "whose": "others",
                "call": "cloudwatch:GetMetricData",
                "why": "its record does not tell all",
                "event_ids": [],
            },
            {"whose": "attacker", "call": "signin:ConsoleLogin", "why": "no API call", "event_ids": must[:1]},
        ],
        "points": {},
    }


def made(space: Workspace, kind: str) -> dict[str, Any]:
    """A result: full marks, nothing handed in, or poor (the made key is missed, others accused, ways left open)."""
    record = space.record
    extent = record.truth["extent"]
    events = [record.events[tuple(pair)] for pair in record.truth["attacker_events"]]
    must = sorted(one["eventID"] for one in events if not one.get("readOnly", True) and "errorCode" not in one)
    share = {"full": 1.0, "poor": 0.4, "none": 0.0}[kind]
    hurt = [node for node in extent if node["value"] == KEY or "instance/" in node["value"]]
    missed = {"full": [], "poor": hurt, "none": extent}[kind]
    wrong = [
        {"kind": "principal", "value": "arn:aws:iam::444455556666:user/dev-smartin"},
        {"kind": HOSTILE, "value": HOSTILE},
    ]
    found = [node for node in extent if node not in missed]
    scope = {"found": found, "missed": missed, "wrong": wrong if kind == "poor" else []}
    timeline = {
        "missed": {"full": [], "poor": must[::2], "none": must}[kind],
        "wrong": [HOSTILE] if kind == "poor" else [],
    }
    source = {"from": "" if kind == "none" else "my.csv", "how": "run it"}
    handed = {"precision": share, "recall": share, "agreement": share, **source}
    judgement = judged(must) | ({} if kind == "poor" else {name: [] for name in JUDGED})
    question = {
        "id": "stopper", "ask": "Who stopped the trail?", "right": kind == "full", "points": 50 * share, "out_of": 50,
        "given": {"full": "arn:aws:iam::444455556666:role/devRole", "poor": HOSTILE, "none": None}[kind],
        "hints": 2 if kind == "poor" else 0, "why": "It is not.", "see": {},
    }  # fmt: skip
    return {
        "exercise": space.exercise.name,
        "seed": 1,
        "at": "2026-11-27T02:10:00Z",
        "started": "2026-11-27T01:00:00Z",
        "points": 100 * share,
        "out_of": 100,
        "parts": {name: {"points": n * share, "out_of": n} for name, n in POINTS.items()},
        "containment": {name: {"points": n * share, "out_of": n} for name, n in CONTAINMENT.items()},
        "questions": [question],
        "scope": handed | scope,
        "timeline": handed | timeline,
        "judgement": None if kind == "none" else judgement,
    }


@pytest.fixture(scope="module")
def references() -> dict[Path, Reference]:
    return {}


@pytest.fixture
def write(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, references: dict[Path, Reference]) -> Any:
    """Write the debrief of a kind of result; the reference of an incident is worked out once for all tests."""

    def once(record: Record) -> Reference:
        if record.folder not in references:
            references[record.folder] = reference(record)
        return references[record.folder]

    def written(scenario: str, kind: str, **other: object) -> str:
        role = ["arn:aws:iam::444455556666:role/devRole"]
        monkeypatch.setattr(debriefing, "reference", once)
        monkeypatch.setattr(debriefing, "truth", lambda *_: role)
        monkeypatch.setattr(debrief_words, "truth", lambda *_: role)
        space = space_of(scenario, tmp_path)
        return debriefing.debrief(space, made(space, kind) | other, tmp_path / "debrief.html").read_text("utf-8")

    return written


class Parsed(HTMLParser):
    """Tags of a page with their attributes, and its words."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def section(html: str, title: str) -> str:
    """Text of a section, as it reads."""
    return " ".join(Parsed(html.split(f">{title}</h2>", 1)[1].split("<h2", 1)[0]).words)


def test_the_page_makes_no_request_and_shows_hostile_input_as_text(write: Any) -> None:
    html = write("exposed_credentials", "poor", started=HOSTILE)
    assert "default-src 'none'" in html
    tags = Parsed(readable(html)).tags
    assert {name for name, _ in tags} & {"img", "iframe", "object", "form"} == set()
    assert not [key for _, has in tags for key in has if key.startswith("on")]
    places = [value or "" for _, has in tags for key, value in has.items() if key in ("src", "href")]
    assert places
    assert all(place.startswith(("#", "data:")) for place in places), places
    scripts = [has for name, has in Parsed(html).tags if name == "script"]
    assert all(has.get("type") == "application/json" or not has for has in scripts)
    for title in ("Questions", "Containment", MISSED):
        assert HOSTILE in section(html, title), title
    assert "from the start to handing in: not known" in section(html, "Points")


def test_a_missed_key_and_its_cost_stand_there(write: Any, tmp_path: Path) -> None:
    said = section(write("exposed_credentials", "poor"), MISSED)
    missed, wrong = said.split("Wrongly accused", 1)
    key = missed.split(f"missed: {KEY}", 1)[1].split("missed:", 1)[0]
    assert "AssumeRole" in key  # made with it
    assert "CreateAccessKey" in key  # made it
    assert "role/CrossAccountDeploy" in key  # where it led
    assert "still works: iam:CreateUser" in key
    assert "03_scope" in key
    record = space_of("exposed_credentials", tmp_path).record
    acts = sorted((record.events[tuple(p)] for p in record.truth["attacker_events"]), key=lambda e: e["eventTime"])
    first = next(one["eventID"] for one in acts if one["userIdentity"].get("accessKeyId") == KEY)
    assert first[:8] in key
    assert "AKIANCINWVVIDEXAMPLE" not in missed  # it was found
    assert "user/dev-smartin" in wrong


def test_graph_and_timeline_say_what_was_found_and_missed(write: Any) -> None:
    html = write("exposed_credentials", "poor")
    blocks = html.split('class="figure-data"')[1:]
    figures = [json.loads(block.split(">", 1)[1].split("</script>")[0]) for block in blocks]
    labels = [text for trace in figures[0]["data"] for text in trace.get("text", ())]
    marks = {text.partition("<br>")[0]: text.partition("<br>")[2] for text in labels}
    assert "MISSED" in marks[KEY]
    assert "found" in marks["AKIANCINWVVIDEXAMPLE"]
    assert "wrongly accused" in marks["user/dev-smartin (…6666)"]
    assert {"✓ found", "✗ MISSED"} <= {trace.get("name") for trace in figures[1]["data"]}


def test_full_marks_say_so_and_the_plan_stands_there(write: Any) -> None:
    html = write("exposed_credentials", "full")
    assert "Full marks" in section(html, "Points")
    assert "Nothing was missed" in section(html, MISSED)
    plan = section(html, "A plan that would have done it")
    assert plan.index("StartLogging") < plan.index("UpdateAccessKey")


def test_what_could_not_be_tried_again_is_said(write: Any) -> None:
    said = section(write("exposed_credentials", "poor"), "Containment")
    assert "1 kind of everybody else's calls could not be tried: cloudwatch:GetMetricData" in said
    assert "are no API calls to try: signin:ConsoleLogin" in said
    assert "could not be tried" not in section(write("exposed_credentials", "full"), "Containment")


def test_nothing_handed_in_is_said_in_clear_words(write: Any) -> None:
    html = write("exposed_credentials", "none")
    assert "Nothing was handed in" in section(html, "Points")
    assert "No scope was handed in" in section(html, "Your scope and timeline beside the true ones")
    assert "never started" in section(html, "Containment")
    assert "not answered" in section(html, "Questions")


def test_a_false_alarm_has_nothing_to_miss_and_no_plan(write: Any) -> None:
    html = write("false_alarm", "full")
    assert "the alarm was false" in section(html, MISSED)
    assert "trail maintenance" in section(html, "A plan that would have done it")
    assert "attacker is out" not in html
    assert "user/dev-smartin" in section(write("false_alarm", "poor"), MISSED)


def test_who_has_almost_all_is_not_told_to_learn() -> None:
    parts = {name: {"points": points, "out_of": points} for name, points in POINTS.items()}
    parts["questions"]["points"] = 49.5
    shares = {name: {"points": points, "out_of": points} for name, points in CONTAINMENT.items()}
    result = {"points": 99.5, "out_of": 100, "parts": parts, "containment": shares, "questions": [{"given": "x"}]}
    said = debrief_words.verdict(result | {"judgement": {"order": []}}, attacked=True)
    assert "a little of the questions" in said
    assert "Learn first" not in said


def test_of_many_answers_that_would_do_three_are_shown() -> None:
    """All are shown where all are asked for."""
    ids = [f"id-{number}" for number in range(9)]
    question = Question("earlier", "Give one.", "event", "earlier", 5, because="Days before count.", see={})
    assert debrief_words.answer(question, ids) == "id-0 or id-1 or id-2 or one of 6 more"
    assert debrief_words.answer(replace(question, many=True), ids).count("id-") == 9
    assert debrief_words.answer(question, ids[:1]) == "id-0"


def test_each_caller_of_the_timeline_has_its_arn(tmp_path: Path) -> None:
    """The record of a call across accounts names only the caller's unique id."""
    space = space_of("exposed_credentials", tmp_path)
    assert set(calls(made(space, "full"), space.record)["principal"].str[:4]) == {"arn:"}
