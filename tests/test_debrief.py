"""The debrief of an exercise: what a learner reads after handing in."""

import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from cirtlib.page import readable
from cirtlib.training.exercise import debrief_words
from cirtlib.training.exercise import debrief as debriefing
from cirtlib.training.exercise.debrief import debrief
from cirtlib.training.exercise.model import Exercise, Question, Task
from cirtlib.training.exercise.workspace import Workspace

pytestmark = pytest.mark.integration
HOSTILE = '<img src=x onerror=alert(1)></script><script src="https://evil.example/x.js"></script>'
POINTS = {"questions": 50, "scope": 10, "timeline": 5, "containment": 35}
CONTAINMENT = {"ways": 15, "uses": 8, "evidence": 6, "cleanup": 6}
KEY = "AKIAWKFG5QZ6DEXAMPLE"


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


def made(space: Workspace, kind: str) -> dict[str, Any]:
    """A result: full marks, nothing handed in, or poor (the made key is missed, others accused, ways left open)."""
    record = space.record
    extent = record.truth["extent"]
    events = [record.events[tuple(pair)] for pair in record.truth["attacker_events"]]
    must = sorted(one["eventID"] for one in events if not one.get("readOnly", True) and "errorCode" not in one)
    share = {"full": 1.0, "poor": 0.4, "none": 0.0}[kind]
    missed = [] if kind == "full" else extent if kind == "none" else [n for n in extent if n["value"] == KEY or "inst" in n["value"]]
    lost = [] if kind == "full" else must if kind == "none" else must[::2]
    poor = kind == "poor"
    judgement = {
        "ways": [
            {"text": KEY, "credential": KEY, "call": "iam:CreateUser", "event_ids": must[:1], "result": "open", "by": ""},
            {"text": "AKIANCINWVVIDEXAMPLE", "credential": "AKIANCINWVVIDEXAMPLE", "call": "", "event_ids": must[:2],
             "result": "closed", "by": "the key is inactive"},
        ] if poor and extent else [],
        "broken": [{"who": "dev-smartin", "text": f"sts:AssumeRole devRole {HOSTILE}", "event_ids": must[:1]}] if poor else [],
        "lost": [{"text": "CloudTrail was stopped"}] if poor else [],
        "standing": [{"node": "user svc", "text": "The user svc-monitoring-agent still exists."}] if poor else [],
        "order": [{"time": "2026-11-27T01:00:00Z", "who": "responder", "call": "iam:UpdateAccessKey", "what": HOSTILE}],
        "minutes": 12.0,
        "points": dict.fromkeys(CONTAINMENT, share),
    }  # fmt: skip
    given = {"full": "arn:aws:iam::444455556666:role/devRole", "poor": HOSTILE, "none": None}[kind]
    wrong = [
        {"kind": "principal", "value": "arn:aws:iam::444455556666:user/dev-smartin"},
        {"kind": HOSTILE, "value": HOSTILE},
    ]
    handed = {"precision": share, "recall": share, "agreement": share, "from": "" if kind == "none" else "my.csv", "how": "run it"}
    return {
        "exercise": space.exercise.name, "seed": 1, "at": "2026-11-27T02:10:00Z", "started": "2026-11-27T01:00:00Z",
        "points": 100 * share, "out_of": 100,
        "parts": {name: {"points": n * share, "out_of": n} for name, n in POINTS.items()},
        "containment": {name: {"points": n * share, "out_of": n} for name, n in CONTAINMENT.items()},
        "questions": [
            {"id": "stopper", "ask": "Who stopped the trail?", "given": given, "right": kind == "full",
             "points": 50 * share, "out_of": 50, "hints": 2 if poor else 0, "why": "It is not.", "see": {}},
        ],
        "scope": handed | {"found": [n for n in extent if n not in missed], "missed": missed, "wrong": wrong if poor else []},
        "timeline": handed | {"missed": lost, "wrong": [HOSTILE] if poor else []},
        "judgement": None if kind == "none" else judgement,
    }  # fmt: skip
