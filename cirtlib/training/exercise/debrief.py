"""The debrief of an exercise: one HTML file that makes no request, like the incident report.

Its cells are built here and given to `page`, not run by papermill: everything is in memory already, so no kernel has to
start and nothing has to be handed over in files. Template, tables, figures and escaping are the report's.
"""

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd

from cirtlib.display import PLOTLY, Html, Statement, figure_data, show_behind, show_statements, show_table, show_text
from cirtlib.errors import TrainingError
from cirtlib.page import page
from cirtlib.plots import style
from cirtlib.text import many, visible
from cirtlib.training.exercise import beside, debrief_figures, debrief_words
from cirtlib.training.exercise.debrief_figures import MISSED, SEED
from cirtlib.training.exercise.marking import truth
from cirtlib.training.exercise.model import Question
from cirtlib.training.exercise.reference import Reference, reference
from cirtlib.training.exercise.workspace import Workspace
from cirtlib.training.practice.untried import sentence

Json = dict[str, Any]
_ROWS = 400
_EVENTS = 12


def debrief(space: Workspace, result: Json, out: Path) -> Path:
    """Write the debrief of a graded exercise.

    Parameters
    ----------
    result
        What `submit` returns; its `judgement` may be None.
    out
        The HTML file.

    Returns
    -------
    Path
        `out`.
    """
    right = reference(space.record)
    notebook = nbformat.v4.new_notebook(cells=list(_cells(space, result, right)))
    title = f"Debrief: {space.exercise.title}"
    scratch = out.with_name(f".{out.name}.new")
    scratch.write_text(page(notebook, title=title, brand="cirtlib debrief"), encoding="utf-8")
    scratch.replace(out)
    return out


def _cells(space: Workspace, result: Json, right: Reference) -> Iterator[nbformat.NotebookNode]:
    # The title is the exercise's own, but text all the same: never Markdown.
    yield _cell(show_heading(1, f"Debrief: {space.exercise.title}"))
    yield from _points(space, result)
    yield from _beside(space, result, right)
    yield from _missed(space, result, right)
    yield from _containment(space, result)
    yield from _questions(space, result)
    yield from _plan(space, right)
    yield _text("## What this exercise teaches")
    yield _text(space.exercise.debrief or "\n".join(f"- {one}" for one in space.exercise.teaches))
    yield _cell(show_heading(3, "What to do next"), _commands(debrief_words.further(space)))


def _text(markdown: str) -> nbformat.NotebookNode:
    """Cell of Markdown; only for texts that ship with the library."""
    return nbformat.v4.new_markdown_cell(markdown)


def _cell(*shown: Html | Json) -> nbformat.NotebookNode:
    """Cell of results: HTML, or the data of a figure."""
    outputs = [
        nbformat.v4.new_output("display_data", data={"text/html": one.text} if isinstance(one, Html) else {PLOTLY: one})
        for one in shown
    ]
    return nbformat.v4.new_code_cell(outputs=outputs)


def show_heading(level: int, text: str) -> Html:
    """HTML of a heading whose text may come from anywhere."""
    return Html(show_text(text).text.replace("<p>", f"<h{level}>", 1).replace("</p>", f"</h{level}>"))


def _commands(rows: list[tuple[str, str]]) -> Html:
    """HTML list of what to do, each with its command set as code."""
    items = [f"<li>{escape(visible(said))}<br><code>{escape(visible(run))}</code></li>" for said, run in rows]
    return Html(f"<ul>{''.join(items)}</ul>")


def _points(space: Workspace, result: Json) -> Iterator[nbformat.NotebookNode]:
    parts = {**result["parts"], **{f"containment: {name}": part for name, part in result["containment"].items()}}
    rows = [
        {"part": name, "points": float(part["points"]), "out_of": part["out_of"], "what_it_says": said}
        for name, part in parts.items()
        for said in [debrief_words.PARTS.get(name, "")]
    ]
    total = f"{result['points']:g} of {result['out_of']} points"
    rows.append({"part": "all", "points": float(result["points"]), "out_of": result["out_of"], "what_it_says": ""})
    attacked = bool(space.record.truth["extent"])
    yield _text("## Points")
    yield _cell(
        show_text(f"{total}. {debrief_words.verdict(result, attacked=attacked)}"),
        show_text(debrief_words.effort(result)),
        show_table(pd.DataFrame(rows), "Points by part"),
    )


def _beside(space: Workspace, result: Json, right: Reference) -> Iterator[nbformat.NotebookNode]:
    frame, acts = beside.nodes(result, right), beside.calls(result, space.record)
    shown = frame[frame["mark"] != SEED].drop(columns="id").rename(columns={"mark": "yours", "status": "in_truth"})
    graph = figure_data(
        debrief_figures.graph(beside.drawn(frame), right.scope["edges"]), "Found, missed and wrongly accused"
    )
    times = figure_data(debrief_figures.timeline(acts), "The attacker's calls, those that you missed marked")
    yield _text("## Your scope and timeline beside the true ones")
    yield _cell(show_text(debrief_words.handed(result, "scope", "node")), graph, show_behind(graph, shown, rows=_ROWS))
    yield _cell(
        show_text(debrief_words.handed(result, "timeline", "call")),
        times,
        show_behind(times, acts.rename(columns={"mark": "yours"}), rows=_ROWS),
    )


def _missed(space: Workspace, result: Json, right: Reference) -> Iterator[nbformat.NotebookNode]:
    yield _text("## What was missed, and what it would have cost")
    missed, wrong = result["scope"]["missed"], result["scope"]["wrong"]
    if not missed:
        yield _cell(show_text(debrief_words.nothing_missed(space.record.truth)))
    names = right.names()
    true = {names.get((node["kind"], node["value"]), "") for node in space.record.truth["extent"]}
    for node in missed:
        said = list(_cost(space, result, right, node, names.get((node["kind"], node["value"]), ""), true))
        heading = f"{MISSED}: {style.short(node['value'])} ({node['kind']}, {node['status'].replace('_', ' ')})"
        yield _cell(show_heading(3, heading), show_statements(said))
    if wrong:
        rows = [
            {"kind": node["kind"], "value": node["value"], "calls": beside.innocent_use(node, space.record)}
            for node in wrong[:_ROWS]
        ]
        yield _cell(
            show_heading(3, "Wrongly accused"),
            show_text("Containing these would have stopped work that is nobody's attack; `calls` counts it."),
            show_table(pd.DataFrame(rows), "Wrongly accused, and rightful calls made with it", rows=_ROWS),
        )


def _cost(
    space: Workspace, result: Json, right: Reference, node: Json, name: str, true: set[str]
) -> Iterator[Statement]:
    """What one missed node meant."""
    for verb, events in (
        ("with it", beside.made_with(node, space.record)),
        ("that made, changed or named it", beside.made_on(node, space.record)),
    ):
        if events:
            counted = pd.Series([event["eventName"] for event in events]).value_counts(sort=False)
            calls = ", ".join(f"{call} \u00d7{n}" if n > 1 else str(call) for call, n in counted.items())
            ids = tuple(event["eventID"] for event in events)
            yield Statement(f"The attacker's calls {verb} ({len(ids)}): {calls}.", ids[:_EVENTS], len(ids))
    if led := beside.led_to(name, right, true):
        yield Statement(f"From it the attacker came to {', '.join(style.node_name(one) for one in led)}.")
    about = beside.about(node["kind"], node["status"])
    if about:
        yield Statement(f"What it still opens: {about['cost']}")
    yield from _in_the_account(result["judgement"] or {}, str(node["value"]))
    seen = [f"notebook {about['notebook']}, question {about['question']}"] if about else []
    seen += debrief_words.asked_about(space, result, str(node["value"]))
    if seen:
        yield Statement(f"Where it can be seen: {'; '.join(seen)}.")


def _in_the_account(judged: Json, value: str) -> Iterator[Statement]:
    """What still works with a node, or of it still stands, in the learner's practice account."""
    for way in judged.get("ways", ()):
        if way["result"] == "open" and (value in way["text"] or value in way["credential"]):
            yield Statement(f"In your account it still works: {way['call']}.", tuple(way["event_ids"]))
    for left in judged.get("standing", ()):
        if left["node"].endswith(value):
            yield Statement(f"In your account it still stands: {left['text']}.")


def _containment(space: Workspace, result: Json) -> Iterator[nbformat.NotebookNode]:
    yield _text("## Containment")
    judged = result["judgement"]
    if judged is None:
        command = space.command("account", "start")
        yield _cell(_commands([("Nothing was contained: the practice account was never started.", command)]))
        return
    if not space.record.truth["extent"]:
        yield _cell(show_text("Nothing was to be contained: leaving everything alone was right."))
    ways = pd.DataFrame(judged["ways"], columns=["text", "result", "call", "by", "event_ids"]).rename(
        columns={"text": "way", "call": "what_still_works", "by": "closed_by"}
    )
    tables = [
        show_table(ways[ways["result"] != "closed"].drop(columns="closed_by"), "Ways still open to the attacker"),
        show_table(ways[ways["result"] == "closed"].drop(columns="what_still_works"), "Ways that you closed"),
        show_table(pd.DataFrame(judged["broken"], columns=["who", "text", "event_ids"]), "Legitimate uses broken"),
        show_table(
            pd.DataFrame(judged.get("interrupted", []), columns=["who", "text", "event_ids"]),
            "Interrupted, which is accepted: work on what the attacker held. Give it back as soon as no way leads in",
        ),
        show_table(pd.DataFrame(judged["lost"], columns=["text"]), "Evidence lost"),
        show_table(pd.DataFrame(judged["standing"], columns=["node", "text"]), "Left standing of the attacker's"),
        show_table(
            pd.DataFrame(judged["order"], columns=["time", "who", "call", "what"]),
            "Your calls in their order",
            rows=_ROWS,
        ),
    ]
    yield _cell(*tables)
    if said := sentence(judged.get("untried", [])):
        yield _cell(show_text(f"Not everything could be tried again. {said[0].upper()}{said[1:]}"))


def _questions(space: Workspace, result: Json) -> Iterator[nbformat.NotebookNode]:
    yield _text("## Questions")
    for one in result["questions"]:
        question = _question(space, one["id"])
        answer = truth(question, space.record) if question else None
        hints = f", {many(one['hints'], 'hint')}" if one["hints"] else ""
        heading = f"{one['id']}: {debrief_words.mark(one)}, {one['points']:g} of {one['out_of']:g} points{hints}"
        given = one["given"] if isinstance(one["given"], list) else [one["given"]] if one["given"] else []
        words = question.choices if question else {}
        said = [f"Your answer: {', '.join(words.get(str(part), str(part)) for part in given)}"] if given else []
        if not one["right"]:
            said.append(f"The true answer: {debrief_words.answer(question, answer)}")
        why = " ".join((question.because if question else "").split()) or one["why"]
        yield _cell(show_heading(3, heading), show_text(one["ask"]), show_statements(map(Statement, [*said, why])))


def _question(space: Workspace, name: str) -> Question | None:
    try:
        return space.exercise.question(name)
    except TrainingError:  # a result of an earlier version of the exercise
        return None


def _plan(space: Workspace, right: Reference) -> Iterator[nbformat.NotebookNode]:
    yield _text("## A plan that would have done it")
    if not right.steps:
        yield _cell(show_text(debrief_words.no_plan(space.record.truth)))
        return
    rows = [
        {
            "step": step.order,
            "phase": step.phase,
            "what": step.title,
            "account": step.account,
            "call": f"{step.api['service']}:{step.api['operation']}",
            "event_ids": list(step.why),
            "what_it_stops_besides": step.impact,
        }
        for step in right.steps
    ]
    yield _cell(
        show_text(
            "This is the plan that cirtlib makes of the right scope, with the instance that was broken into, if there "
            "is one, confirmed. It is one way; any other that shuts the attacker out, lets everybody else work and "
            "keeps the evidence has full marks, too. What a step stops besides stands beside it: undo such a step as "
            "soon as no way leads in any more."
        ),
        show_table(pd.DataFrame(rows), "Steps in their order, and the events they rest on", rows=_ROWS),
    )
