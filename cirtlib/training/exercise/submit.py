"""Grade a whole exercise: questions, scope, timeline, and what the learner did in the practice account."""

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from cirtlib.errors import TrainingError
from cirtlib.scope import load, verdicts_beside
from cirtlib.text import many
from cirtlib.training.exercise import course
from cirtlib.training.exercise.debrief import debrief
from cirtlib.training.exercise.marking import agreement
from cirtlib.training.exercise.record import Record
from cirtlib.training.exercise.workspace import MY_SCOPE, MY_TIMELINE, RESULT, Workspace
from cirtlib.training.practice.grade import graded
from cirtlib.training.practice.untried import sentence

Json = dict[str, Any]
DEBRIEF = "debrief.html"


def submit(space: Workspace) -> Json:
    """Grade everything and write result.json and debrief.html; returns the content of result.json.

    Raises
    ------
    TrainingError
        when answers.yaml, my_scope.csv or my_timeline.csv cannot be read.
    """
    questions = course.check(space)
    scope, timeline = _scope(space), _timeline(space)
    judgement = graded(space.path, space.record)
    worth = space.exercise.points
    parts = {
        "questions": sum(one.points for one in questions),
        "scope": worth["scope"] * scope["agreement"],
        "timeline": worth["timeline"] * timeline["agreement"],
        "containment": sum(
            points * (judgement["points"][name] if judgement else 0.0)
            for name, points in space.exercise.containment.items()
        ),
    }
    result: Json = {
        "exercise": space.exercise.name,
        "seed": space.seed,
        "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "started": space.progress()["started"],
        "points": round(sum(parts.values()), 1),
        "out_of": sum(worth.values()),
        "parts": {name: {"points": round(got, 1), "out_of": worth[name]} for name, got in parts.items()},
        "containment": {
            name: {"points": round(points * (judgement["points"][name] if judgement else 0.0), 1), "out_of": points}
            for name, points in space.exercise.containment.items()
        },
        "questions": [one.to_dict() for one in questions],
        "scope": scope,
        "timeline": timeline,
        "judgement": judgement,
    }
    (space.path / RESULT).write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    debrief(space, result, space.path / DEBRIEF)
    return result


def describe(space: Workspace, result: Json) -> list[str]:
    """What came of it, in a few lines."""
    lines = [f"{result['points']:g} of {result['out_of']} points"]
    for name, part in result["parts"].items():
        lines.append(f"  {name:<12} {part['points']:g} of {part['out_of']}")
    scope, timeline = result["scope"], result["timeline"]
    for name, one in (("scope", scope), ("timeline", timeline)):
        if one["from"]:
            lines.append(f"{name} ({one['from']}): precision {one['precision']:.0%}, recall {one['recall']:.0%}")
        else:
            lines.append(f"{name}: nothing was handed in; {one['how']}")
    if result["judgement"] is None:
        lines.append(f"containment: the account was never started; `{space.command('account', 'start')}`")
    else:
        lines += _contained(result["judgement"])
    lines.append(f"debrief: {space.path / DEBRIEF}")
    return lines


def _contained(judgement: Json) -> list[str]:
    ways = [way for way in judgement["ways"] if way["result"] == "open"]
    counted = {
        "of the attacker's ways still open": len(ways),
        "legitimate uses broken": len(judgement["broken"]),
        "lost of the evidence": len(judgement["lost"]),
        "left standing": len(judgement["standing"]),
    }
    lines = ["containment: " + ", ".join(f"{count} {words}" for words, count in counted.items())]
    if stopped := judgement.get("interrupted"):
        lines.append(
            f"  {many(len(stopped), 'use')} of what the attacker held interrupted, which is accepted: see there"
        )
    said = sentence(judgement.get("untried", []))
    return [*lines, f"  {said}"] if said else lines


def _scope(space: Workspace) -> Json:
    """The learner's extent against the true one."""
    true = {(node["kind"], node["value"]): node["status"] for node in space.record.truth["extent"]}
    own, written = space.path / MY_SCOPE, space.path / "case" / "out" / "scope.json"
    if own.is_file():
        mine = {(row["kind"].strip(), row["value"].strip()) for row in _rows(own, "kind", "value")}
        source = MY_SCOPE
    elif written.is_file():
        mine = {(node["kind"], node["value"]) for node in load(space.case()).extent()}
        source = "cirt scope"
    else:
        how = f"run `cirt scope` on {space.path / 'case'}, or write {MY_SCOPE} with the columns kind and value"
        return _handed("", how, (0.0, 0.0, 0.0)) | {"found": [], "wrong": [], "missed": _nodes(true, true)}
    found = mine & true.keys()
    return _handed(source, "", agreement(len(found), len(mine), len(true))) | {
        "found": _nodes(found, true),
        "wrong": [{"kind": kind, "value": value} for kind, value in sorted(mine - found)],
        "missed": _nodes(true.keys() - found, true),
    }


def _timeline(space: Workspace) -> Json:
    """The learner's events of the attacker's: what succeeded and changed something must be there, reads may."""
    mine, source = _events(space)
    must, may = _acts(space.record)
    if not source:
        how = f"run `cirt scope` on {space.path / 'case'}, or write {MY_TIMELINE} with a column event_id"
        return _handed("", how, (0.0, 0.0, 0.0)) | {"missed": sorted(must), "wrong": []}
    right = mine & may
    precision = len(right) / len(mine) if mine else 1.0 if not must else 0.0
    recall = len(mine & must) / len(must) if must else 1.0
    both = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    if not must and not may:
        precision = both = 1.0 if not mine else 0.0
    return _handed(source, "", (precision, recall, both)) | {
        "missed": sorted(must - mine),
        "wrong": sorted(mine - may),
    }


def _handed(source: str, how: str, agreed: tuple[float, float, float]) -> Json:
    names = ("precision", "recall", "agreement")
    return {"from": source, "how": how, **dict(zip(names, (round(one, 3) for one in agreed), strict=True))}


def _events(space: Workspace) -> tuple[set[str], str]:
    own = space.path / MY_TIMELINE
    if own.is_file():
        return {row["event_id"].strip().lower() for row in _rows(own, "event_id")}, MY_TIMELINE
    verdicts = verdicts_beside(space.path / "case" / "out" / "scope.json")
    if not verdicts.is_file():
        return set(), ""
    frame = pd.read_parquet(verdicts)
    return set(frame.loc[frame["verdict"] == "attacker", "event_id"]), "cirt scope"


def _acts(record: Record) -> tuple[set[str], set[str]]:
    """Event ids of the attacker's acts that changed something, and of all that they did."""
    pairs = [tuple(pair) for pair in record.truth["attacker_events"]]
    changed = {
        pair[0]
        for pair in pairs
        if not record.events[pair].get("readOnly", True) and "errorCode" not in record.events[pair]
    }
    return changed, {pair[0] for pair in pairs}


def _nodes(chosen: Any, true: dict[tuple[str, str], str]) -> list[Json]:  # noqa: ANN401 - any set of nodes
    return [{"kind": kind, "value": value, "status": true[kind, value]} for kind, value in sorted(chosen)]


def _rows(path: Path, *columns: str) -> list[dict[str, str]]:
    """Rows of a learner's CSV file.

    Raises
    ------
    TrainingError
        when a column is missing or the file is no CSV in UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            rows = list(reader)
            header = [name.strip().lower() for name in reader.fieldnames or []]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(f"{path} cannot be read as CSV in UTF-8: {error}") from error
    if missing := [name for name in columns if name not in header]:
        raise TrainingError(f"{path} has no column {', '.join(missing)}; its first line must be: {','.join(columns)}")
    return [{str(key).strip().lower(): str(value or "") for key, value in row.items()} for row in rows]
