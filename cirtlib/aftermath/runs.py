"""What of a plan was carried out, and when: what runner.sh left in its state folders, or what somebody says.

A state folder is bound to one plan by the file `plan`, and holds for each step `done` (when its check held), `now.json`
(when it ran) and, after a rollback, a copy named `STEP.undone-TIME`; log.tsv has what verify.sh found.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from cirtlib.case import Case, parse_time, read_json
from cirtlib.errors import NotFoundError, PlanError

PHASES = ("preserve", "contain", "eradicate")
"""Phases that contain.sh runs."""

DONE, UNDONE, SKIPPED, PENDING = "done", "undone", "skipped", "not done"
Since = datetime | str | Mapping[str, datetime | str] | None
Step = dict[str, Any]


@dataclass(frozen=True)
class Carried:
    """One step of a plan, and what became of it.

    Attributes
    ----------
    state
        done, undone (rolled back), skipped, or not done.
    at
        When it held first; None when it was not done.
    ran
        When it ran: the cut-off, where the step revokes sessions.
    until
        When it was rolled back.
    checked
        What verify.sh said last: "verified", "verification failed: ..." or nothing.
    said
        Whether only `since` tells that it was done.
    """

    step: Step
    plan: str
    state: str = PENDING
    at: datetime | None = None
    ran: datetime | None = None
    until: datetime | None = None
    checked: str = ""
    said: bool = False

    @property
    def contains(self) -> bool:
        """Whether it takes access away, rather than to preserve or to clean up."""
        return bool(self.step["phase"] == "contain")


def carried_out(case: Case, *, since: Since = None, states: Iterable[Path] = ()) -> list[Carried]:
    """Steps of the case's plan, and those of earlier plans that were run, each with what became of it.

    Parameters
    ----------
    since
        When steps were carried out that no state folder tells of: one time, or times by step id and account.
    states
        State folders that lie elsewhere than beside the plan.

    Raises
    ------
    NotFoundError
        when there is no plan, or nothing tells that it was carried out.
    PlanError
        when a state folder is of another plan or case.
    """
    folder = case.out / "plan"
    if not (folder / "plan.json").is_file():
        raise NotFoundError(f"no plan in {case.path}: write one with `cirt plan {case.path}`, and carry it out")
    text = (folder / "plan.json").read_bytes()
    current = _parsed(text, folder / "plan.json", case)
    found = sorted(one for one in folder.glob("state-*") if one.is_dir())
    runs = [_run(case, one, text) for one in dict.fromkeys([*found, *states])]
    if not runs and since is None:
        raise NotFoundError(
            f"nothing tells that the plan was carried out: {folder} has no folder state-..., as contain.sh --execute "
            "makes it; give --state DIR where it lies elsewhere, or --since TIME where it was carried out otherwise"
        )
    told = [one for run in runs for one in run]
    done = {_identity(one.step): one for one in told if one.state == DONE}
    known = {_identity(one.step): one for one in told} | done
    wanted = {_identity(step): Carried(step, _id(text)) for step in current["steps"] if step["phase"] in PHASES}
    times = _times(since, [one.step for one in wanted.values()])
    result, chosen = [], set[int]()
    for identity, one in wanted.items():
        state = known.get(identity, one)
        chosen.add(id(state))
        if state.state in (PENDING, SKIPPED) and (time := times(one.step)):
            state = Carried(one.step, one.plan, DONE, at=time, ran=time, said=True)
        result.append(replace(state, step=one.step))
    # what another run did or undid was so, whether or not the plan of today still has it
    return result + [one for one in told if one.at and id(one) not in chosen]


def _parsed(text: bytes, file: Path, case: Case) -> dict[str, Any]:
    try:
        plan = json.loads(text)
        name, steps = plan["case"], plan["steps"]
        whole = all({"id", "phase", "target", "account", "region", "api", "nodes"} <= set(step) for step in steps)
    except (ValueError, KeyError, TypeError):
        name, whole = None, False
    if not whole:
        raise PlanError(f"{file} is no plan: write it anew with `cirt plan {case.path}`")
    if name != case.name:
        raise PlanError(f"{file} is the plan of another case, {name!r}: this case is {case.name!r}")
    return plan  # type: ignore[no-any-return]


def _id(text: bytes) -> str:
    """Id of a plan, as its scripts bear it."""
    return hashlib.sha256(text).hexdigest()[:16]


def _run(case: Case, folder: Path, current: bytes) -> list[Carried]:
    """Steps of the plan that a state folder is bound to."""
    try:
        bound = (folder / "plan").read_text(encoding="utf-8").strip()
    except OSError:
        raise PlanError(f"{folder} is no state folder of contain.sh: it has no file `plan`") from None
    own = folder / "plan.json"
    texts = [own.read_bytes()] if own.is_file() else []
    text = next((one for one in [*texts, current] if _id(one) == bound), None)
    if text is None:
        raise PlanError(
            f"{folder} is the state of another plan, {bound!r}, which lies neither in it nor in {case.out / 'plan'}: "
            "put that plan.json into the folder, or take the folder away"
        )
    plan = _parsed(text, own, case)
    checked, skipped = _log(folder / "log.tsv")
    return [
        one
        for step in plan["steps"]
        if step["phase"] in PHASES
        for one in _states(folder, Carried(step, bound, checked=checked.get(step["id"], "")), skipped)
    ]


def _states(folder: Path, one: Carried, skipped: set[str]) -> Iterator[Carried]:
    """What became of one step in one run: each time that it was undone, and how it stands."""
    name = str(one.step["id"])
    undone = [
        replace(one, state=UNDONE, checked="", until=_compact(old.name), **_moments(old))
        for old in sorted(folder.glob(f"{name}.undone-*"))
        if (old / "done").is_file()
    ]
    yield from undone
    if (folder / name / "done").is_file():
        yield replace(one, state=DONE, **_moments(folder / name))
    elif name in skipped:
        yield replace(one, state=SKIPPED)
    elif not undone:
        yield one


def _moments(home: Path) -> dict[str, Any]:
    done = parse_time((home / "done").read_text(encoding="utf-8").strip(), str(home / "done"))
    ran = read_json(home / "now.json")
    return {"at": done, "ran": parse_time(ran, str(home / "now.json")) if ran else done}


def _compact(name: str) -> datetime:
    """Time at the end of `STEP.undone-20260610T120000Z`."""
    found = re.search(r"\.undone-(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$", name)
    if not found:
        raise PlanError(f"{name} is not named as rollback.sh names what it undid")
    return parse_time("{}-{}-{}T{}:{}:{}Z".format(*found.groups()))


def _log(file: Path) -> tuple[dict[str, str], set[str]]:
    """What verify.sh said last of each step, and the steps that contain.sh was told to pass over."""
    checked: dict[str, str] = {}
    skipped: set[str] = set()
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else ():
        _, script, step, _, said = (line.split("\t", 4) + [""] * 5)[:5]
        if script == "verify.sh" and said.startswith("verif"):
            checked[step] = said
        elif script == "contain.sh" and said in ("done", "already so"):
            checked.pop(step, None)
        elif script == "contain.sh" and said == "skipped":
            skipped.add(step)
    return checked, skipped


def _identity(step: Step) -> tuple[str, ...]:
    """What makes two steps of two plans the same one: what is done to what; not its number."""
    word = str(step["id"]).partition("-")[2]
    return word, step["account"], step["region"], step["target"], json.dumps(step["api"], sort_keys=True)


def _times(since: Since, steps: list[Step]) -> Any:  # noqa: ANN401 - a function from a step to its time
    """Function that gives the time at which somebody says that a step was carried out, or None."""
    if since is None or isinstance(since, datetime | str):
        whole = None if since is None else parse_time(since, "since")
        return lambda step: whole
    given = {name: parse_time(time, f"since {name}") for name, time in since.items()}
    known = {str(step[name]) for step in steps for name in ("id", "account")}
    if unknown := sorted(set(given) - known):
        raise PlanError(
            f"since: the plan has neither a step nor an account {unknown[0]!r}; it has {', '.join(sorted(known))}"
        )
    return lambda step: given.get(step["id"]) or given.get(step["account"])
