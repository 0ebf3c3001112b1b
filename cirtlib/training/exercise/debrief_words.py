"""Sentences of the debrief."""

from datetime import datetime
from typing import Any

from cirtlib.errors import TrainingError
from cirtlib.text import many
from cirtlib.training.exercise.marking import truth
from cirtlib.training.exercise.model import Question, exercises
from cirtlib.training.exercise.workspace import Workspace

Json = dict[str, Any]
PARTS = {
    "questions": "answers, less what hints and wrong tries cost",
    "scope": "the extent that you found: nothing missed, nobody wrongly accused",
    "timeline": "the attacker's calls that changed something",
    "containment": "the four parts below together",
    "containment: ways": "the attacker's ways in are closed",
    "containment: uses": "everybody else can work",
    "containment: evidence": "evidence was kept, and logging is on",
    "containment: cleanup": "what the attacker made or changed is gone or undone",
}
_LEARN = {
    "questions": "read the records behind each answer before giving it",
    "scope": "follow each credential to what it was made from and what was made with it, until nothing new turns up",
    "timeline": "list every call of each credential of the scope, in all Regions and accounts",
    "ways": "close every way in: deactivate keys, revoke sessions, and close the trust that lets new ones in",
    "uses": "look up who else uses a thing (`who_uses_it`) before you stop it",
    "evidence": "turn logging on again and take copies before you change or delete anything",
    "cleanup": "undo what the attacker left: users, policies, shares, instances",
}
_ANSWERS = 12  # that are shown where all of them are asked for
_EITHER = 3  # where one of them is
_ALMOST = 0.95  # share of a part from which there is nothing to teach about it


def verdict(result: Json, *, attacked: bool) -> str:
    """One or two sentences on what went well and what to learn first; `attacked`: whether there was an attack."""
    if result["points"] >= result["out_of"]:
        out = "the attacker is out" if attacked else "the false alarm was taken for one"
        return f"Full marks: nothing is missing, nobody was wrongly accused or kept from work, and {out}."
    if nothing(result):
        return (
            "Nothing was handed in: no answer, no scope, no timeline, and nothing was done in the practice account. "
            "What follows shows what there was to find."
        )
    contained = result["containment"]
    shares = {name: _share(part) for name, part in result["parts"].items() if name != "containment"}
    shares |= {name: _share(part) for name, part in contained.items()} if result["judgement"] is not None else {}
    best, worst = max(shares, key=lambda name: shares[name]), min(shares, key=lambda name: shares[name])
    well = f"What went best is the {best} ({shares[best]:.0%}). " if shares[best] >= 0.5 else ""
    if result["judgement"] is None:
        return f"{well}Learn first: contain. The practice account was never started."
    if shares[worst] >= _ALMOST:
        return f"Almost full marks: what is missing is a little of the {worst}."
    return f"{well}Learn first ({worst}, {shares[worst]:.0%}): {_LEARN[worst]}."


def nothing(result: Json) -> bool:
    """Whether nothing at all was handed in."""
    answered = any(one["given"] not in (None, "", []) for one in result["questions"])
    done = result["judgement"] is not None and result["judgement"].get("order")
    return not answered and not result["scope"]["from"] and not result["timeline"]["from"] and not done


def _share(part: Json) -> float:
    return float(part["points"]) / part["out_of"] if part["out_of"] else 1.0


def effort(result: Json) -> str:
    """Hints used and time taken."""
    hints = sum(int(one["hints"]) for one in result["questions"])
    judged = result["judgement"] or {}
    said = [f"Hints used: {hints}", f"from the start to handing in: {_between(result['started'], result['at'])}"]
    if judged.get("minutes") is not None:
        said.append(f"containment took {many(round(judged['minutes']), 'minute')}")
    return "; ".join(said) + "."


def _between(start: object, end: object) -> str:
    try:
        took = datetime.fromisoformat(str(end)) - datetime.fromisoformat(str(start))
    except (ValueError, TypeError):
        return "not known"
    minutes = max(0, round(took.total_seconds() / 60))
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def handed(result: Json, name: str, thing: str) -> str:
    """How much of the scope or the timeline was found."""
    one = result[name]
    if not one["from"]:
        return f"No {name} was handed in, so every {thing} counts as missed. To hand one in: {one['how']}."
    return (
        f"Your {name} ({one['from']}): {one['precision']:.0%} of what you gave is right (precision), and you gave "
        f"{one['recall']:.0%} of what is true (recall)."
    )


def nothing_missed(true: Json) -> str:
    """What stands in place of the missed nodes."""
    if true["extent"]:
        return "Nothing was missed: your scope holds every node of the true extent."
    return f"There was nothing to miss: the alarm was false. {_cause(true)}"


def no_plan(true: Json) -> str:
    """What stands in place of the plan of a false alarm."""
    return (
        f"There is nothing to contain: the alarm was false. {_cause(true)} Have it confirmed by who is responsible, "
        "note the confirmation with its evidence, and close the finding."
    )


def _cause(true: Json) -> str:
    alarm = true.get("alarm") or {}
    if not alarm:
        return ""
    cause = str(alarm.get("cause", "")).replace("_", " ")
    return f"What raised it: {cause}, by {alarm.get('principal', '?')} at {alarm.get('at', '?')}."


def mark(one: Json) -> str:
    """What came of an answer, in a word."""
    if one["given"] in (None, "", []):
        return "not answered"
    return "right" if one["right"] else "partly right" if one["points"] > 0 else "wrong"


def answer(question: Question | None, right: list[str] | None) -> str:
    """The true answer, for reading."""
    if question is None or right is None:
        return "does not arise in this incident"
    said = [question.choices.get(one, one) for one in right]
    shown, between = (_ANSWERS, ", ") if question.many else (_EITHER, " or ")
    rest = len(said) - shown
    more = "" if rest <= 0 else f" and {rest} more" if question.many else f" or one of {rest} more"
    return (between.join(said[:shown]) + more) or "nothing"


def asked_about(space: Workspace, result: Json, value: str) -> list[str]:
    """Where the questions whose answer a node is say that it can be seen."""
    asked = {one["id"] for one in result["questions"]}
    found = []
    for question in space.exercise.questions:
        if question.id in asked and question.see and value.casefold() in _folded(truth(question, space.record)):
            places = " ".join(f"{name} {place}" for name, place in question.see.items())
            found.append(f"{places} (as for the question {question.id})")
    return found


def _folded(answers: list[str] | None) -> set[str]:
    return {one.casefold() for one in answers or ()}


def further(space: Workspace) -> list[tuple[str, str]]:
    """What to do next: in words, and the command."""
    again, seed = space.command("reset"), space.seed + 1
    other = f"cirt train start {space.exercise.name} --seed {seed}"
    said = [
        ("Do it again from the start, with your answers kept.", again),
        ("The same kind of incident with other names and times.", other),
    ]
    try:
        others = [one for one in exercises() if one.name != space.exercise.name]
    except TrainingError:
        others = []
    said += [
        (f"Another exercise, {one.minutes} minutes: {one.title}", f"cirt train start {one.name}") for one in others
    ]
    return said
