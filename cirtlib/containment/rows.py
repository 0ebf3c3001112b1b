"""Steps from rows of data/catalogue.yaml: one thing that the attacker made, opened, changed or turned off each."""

import re
from typing import Any

import jmespath

from cirtlib.containment.entries import Row, event, rows, told
from cirtlib.containment.history import Act
from cirtlib.containment.incident import Draft, Node
from cirtlib.containment.recorded import parameters
from cirtlib.containment.step import IRREVERSIBLE, Api, Ref, Step, call, literal, quoted, read
from cirtlib.policy.conditions import listed
from cirtlib.text import visible

_HOLE = re.compile(r"\{([a-z_]+)(!q)?\}")
_LAST = re.compile(r"[/:]")


def short(name: object) -> str:
    """Last part of an ARN, address or path: by it two ways to name one thing are compared."""
    return _LAST.split(name)[-1] if isinstance(name, str) else ""


def same_name(name: str, path: str, act: Act) -> bool:
    """Whether an event is about the thing of this name; `path`: JMESPath to its name, or to the names of several."""
    found = jmespath.search(path, told(act))
    return short(name) in [short(one) for one in listed(found)]


def settled(name: str, until: dict[str, str], since: Act, history: list[Act]) -> Act | None:
    """The last event after `since`, whoever made it, that settled the thing; None when it stands as it was left."""
    later = history[history.index(since) + 1 :]
    return next(
        (
            act
            for act in reversed(later)
            if act.account == since.account and event(act) in until and same_name(name, until[event(act)], act)
        ),
        None,
    )


def plan_rows(draft: Draft, *, preserve: bool) -> None:
    """Add a step for every thing that a row answers and that stands as the attacker left it."""
    mine = [act for act in draft.incident.history if act.attacker]
    for row in rows().values():
        if (row.phase == "preserve") != preserve:
            continue
        things: dict[tuple[str, ...], list[tuple[Act, str]]] = {}
        for act in mine:
            own = (act.event_id,) if row.each == "event" else ()
            for name in _names(row, act) if row.answers(act) else ():
                things.setdefault((act.account, act.region, short(name), *own), []).append((act, name))
        for told_of in things.values():
            _plan(draft, row, [act for act, _ in told_of], told_of[-1][1])


def _names(row: Row, act: Act) -> list[str]:
    """Names of the things that an event is about: one, or as many as the call made."""
    found = listed(jmespath.search(row.name, told(act)))
    return [name for name in found if isinstance(name, str) and name]


def _plan(draft: Draft, row: Row, acts: list[Act], name: str) -> None:
    """Step of one thing, from the last of the attacker's events about it; or the reason why there is none."""
    act, incident = acts[-1], draft.incident
    about = {node["id"]: node for one in reversed(acts) for node in incident.effects(one)}
    if len(_names(row, act)) > 1:  # the call's other things have steps of their own
        about = {key: node for key, node in about.items() if short(node["value"]) == short(name)}
    nodes = [node for node in about.values() if node["id"] not in draft.reasons or node["kind"] == "resource"]
    if not nodes:
        return
    over = settled(name, row.until, act, incident.history)
    if over:
        _say(draft, nodes, f"{over.name} settled it since (event {over.event_id})")
        return
    before = _before(row, name, acts[0], incident.history)
    if row.before and before is None:
        _say(draft, nodes, row.unknown)
        return
    step = step_of(row, act, node=nodes[0]["value"], before=before, name=name)
    draft.add(step, nodes=nodes, because=acts)
    if row.then:
        following = step_of(rows()[row.then], act, node=nodes[0]["value"], before=None)
        draft.add(following, nodes=nodes, because=acts)


def _say(draft: Draft, nodes: list[Node], reason: str) -> None:
    for node in nodes:
        draft.reasons.setdefault(node["id"], reason)


def _before(row: Row, name: str, first: Act, history: list[Act]) -> Any:  # noqa: ANN401 - any JSON value
    """What the last earlier event that is not in doubt set; the row's default when there is none."""
    if row.before is None:
        return None
    sources = row.before["events"]
    for act in reversed(history[: history.index(first)]):
        if event(act) in sources and not act.in_doubt and same_name(name, sources[event(act)], act):
            value = jmespath.search(row.before["value"], told(act))
            if value is not None:
                return value
    default = row.before.get("default")
    return Ref(default) if default else None


def step_of(row: Row, act: Act, *, node: str, before: Any, name: str = "") -> Step:  # noqa: ANN401 - any JSON value
    """Step that a row gives for one event.

    Parameters
    ----------
    node
        ARN of the thing, as the scope has it.
    before
        The state before the attack, where the row asks for it.
    name
        Of the thing; default: the first that the event tells.
    """
    service, operation = row.api["service"], row.api["operation"]
    if isinstance(before, dict):
        before = parameters(service, operation, before)
    data = told(act) | {"before": before}
    name = name or next(iter(_names(row, act)), "")
    place = node.split(":") if node.count(":") >= 5 else ["", "", "", "", "", ""]
    region = place[3] or act.region
    values: dict[str, Any] = {"name": name, "short": short(name), "account": act.account, "region": region}
    values |= {"node": node, "before": before, "request": act.request}
    values |= {key: jmespath.search(path, data) for key, path in (row.values or {}).items()}
    captures = {
        key: read(_call(one["api"], values), _text(one["jmespath"], values))
        for key, one in (row.captures or {}).items()
    }
    state = read(_call(row.look["api"], values), _text(row.look["jmespath"], values))
    if "now" in row.look:
        captures["as_recorded"] = {**state, "expected": row.look["now"]}
    own = f" {act.event_id}" if row.each == "event" else ""
    return Step(
        key=f"{row.id} {node} {name}{own}",
        row=row.id,
        phase=row.phase,
        title=_words(row.title, values),
        target=node,
        account=act.account,
        region=region,
        api=_call(row.api, values),
        captures=captures,
        verify={**state, "expected": row.look["then"]},
        rollback={"api": _call(row.rollback, values)} if row.rollback else IRREVERSIBLE,
        rollback_note=row.rollback_note,
        reopens=bool(row.rollback),
        side_effects=tuple(row.side_effects),
        prerequisites=tuple(row.prerequisites),
        does_not_stop=tuple(row.does_not_stop),
    )


def _call(api: dict[str, Any], values: dict[str, Any]) -> Api:
    """Api block from a template; `{from: request}` takes the parameters of the recorded call."""
    given = api["parameters"]
    if set(given) == {"from"}:
        found = values[given["from"]]
        filled = found if given["from"] == "before" else parameters(api["service"], api["operation"], found)
    else:
        filled = fill(given, values)
    return call(api["service"], api["operation"], **filled)


def fill(template: Any, values: dict[str, Any]) -> Any:  # noqa: ANN401 - any JSON value
    """Template with its holes filled; what is null is left out of objects and lists."""
    if isinstance(template, str):
        whole = _HOLE.fullmatch(template)
        if whole and not whole[2]:
            return _bare(values[whole[1]])
        return _text(template, values)
    if isinstance(template, dict):
        filled = {key: fill(item, values) for key, item in template.items()}
        return {key: item for key, item in filled.items() if item is not None}
    return [fill(item, values) for item in template] if isinstance(template, list) else template


def _bare(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Value without the members that are null."""
    if isinstance(value, dict):
        return {key: _bare(item) for key, item in value.items() if item is not None}
    return [_bare(item) for item in value if item is not None] if isinstance(value, list) else value


def _text(template: str, values: dict[str, Any]) -> Ref:
    """Text of ours with values in it, literal whatever they hold; `!q` makes a JMESPath literal."""

    def filled(hole: re.Match[str]) -> str:
        if hole[1] not in values:
            return hole[0]
        value = values[hole[1]]
        return quoted(value) if hole[2] else str(literal(value))

    return Ref(_HOLE.sub(filled, template))


def _words(template: str, values: dict[str, Any]) -> str:
    return _HOLE.sub(lambda hole: visible(str(values.get(hole[1], hole[0]))), template)
