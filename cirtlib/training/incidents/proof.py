"""The proof of a plan: carried out on the emulated accounts of a random incident, checked, and rolled back.

What is wrong is told in words, each with the step or the node that it is about.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cirtlib.containment.planning import plan
from cirtlib.containment.validate import api_faults
from cirtlib.scope import scope
from cirtlib.training.incidents import WINDOW, Incident
from cirtlib.training.incidents.carry_out import Outcome, Run
from cirtlib.training.incidents.check import case_of
from cirtlib.training.incidents.emulate import accounts, accounts_of, replay
from cirtlib.training.incidents.observe import State, changed, state
from cirtlib.training.incidents.ways_in import ways_in
from cirtlib.training.shapes import Json

# Longer than any session lives, so that what waits for the end of sessions may be undone.
LATER = dt.timedelta(days=3)


@dataclass
class Proof:
    """What came of one plan.

    Attributes
    ----------
    wrong
        What should not be so, in words.
    lacking
        `row: service:Operation` of steps that moto cannot carry out; their calls are checked against botocore's models.
    counts
        Steps by phase and by result; nodes of the extent that are covered and that have a reason instead.
    """

    wrong: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


@dataclass
class _Watch:
    """What each step changed, while it ran."""

    accounts: list[str]
    now: State
    touched: dict[str, set[str]] = field(default_factory=dict)  # node -> steps
    by_step: dict[str, set[str]] = field(default_factory=dict)

    @contextmanager
    def around(self, step: Json) -> Iterator[None]:
        yield
        after = state(self.accounts)
        self.by_step[step["id"]] = changed(self.now, after)
        for node in self.by_step[step["id"]]:
            self.touched.setdefault(node, set()).add(step["id"])
        self.now = after


def prove_planned(made: Incident, folder: Path) -> Proof:
    """Collect the incident as a case in `folder`, find its scope, plan, and prove the plan."""
    case = case_of(made, folder)
    answer = scope(case)
    return prove(made, plan(case, scope=answer).to_dict(), answer.extent())


def prove(made: Incident, content: Json, extent: list[Json]) -> Proof:
    """Carry out a plan about an incident (plan.json) whose extent the scope tells, and say what is wrong.

    Every call is checked against botocore's models, too: that of steps that moto cannot carry out above all.
    """
    proof = Proof()
    proof.wrong += [
        f"{step['id']}: {fault}" for step in content["steps"] for api in _apis(step) for fault in api_faults(api)
    ]
    _coverage(proof, content, extent)
    with accounts_of(made):
        before = state(accounts(made))
        replay(made)
        attacked = state(accounts(made))
        watch = _Watch(accounts(made), attacked)
        run = Run(content, WINDOW[1])
        outcomes = run.contain(watch.around)
        contained = watch.now
        _carried_out(proof, outcomes, watch, attacked, {node["id"] for node in extent} | _passwords(made))
        said = {one["node"] for one in content["unplanned"]} | _beyond(outcomes)
        _open(
            proof,
            "after the plan",
            {node: how for node, how in ways_in(made, before, contained).items() if node not in said},
        )
        _restored(proof, made, before, contained)
        proof.wrong += [_words(one, "at the end") for one in run.verify() if one.result == "failed"]
        broken = {one.step["id"] for one in outcomes if one.result in ("failed", "lacking")}
        _rollback(proof, run, watch, (before, attacked, contained), made, broken)
    return proof


def _passwords(made: Incident) -> set[str]:
    """Console passwords that the attacker signed in with: there before the attack, so no nodes of the extent."""
    return {
        f"login_profile:{record['userIdentity']['arn']}"
        for record in made.records
        if record["eventName"] == "ConsoleLogin"
        and record["userIdentity"].get("type") == "IAMUser"
        and made.verdicts.get((record["eventID"], record["recipientAccountId"])) == "attacker"
    }


def _apis(step: Json) -> list[Json]:
    """Every call of a step."""
    rollback = [step["rollback"]["api"]] if isinstance(step["rollback"], dict) else []
    return [step["api"], step["verify"]["api"], *rollback, *(one["api"] for one in step["captures"].values())]


def _coverage(proof: Proof, content: Json, extent: list[Json]) -> None:
    """Every node of the extent is dealt with, or it is said why not."""
    by_step = {node for step in content["steps"] for node in step["nodes"]}
    by_reason = {one["node"] for one in content["unplanned"] if one["reason"]}
    for node in extent:
        proof.counts["node with a step"] += node["id"] in by_step
        proof.counts["node with a reason"] += node["id"] in by_reason - by_step
        if node["id"] not in by_step | by_reason:
            proof.wrong.append(f"{node['id']} ({node['status']}): no step, and no reason")


def _carried_out(proof: Proof, outcomes: list[Outcome], watch: _Watch, attacked: State, inside: set[str]) -> None:
    """Each step did what it says, and touched nothing else."""
    for one in outcomes:
        step = one.step
        proof.counts[f"{step['phase']}: {one.result}"] += 1
        touched = watch.by_step[step["id"]]
        for node in sorted(touched & attacked.keys() - inside):
            if ":trail/" not in node:
                proof.wrong.append(_words(one, f"it touched {node}, which is outside the extent"))
        if one.result == "lacking":
            proof.lacking.append(f"{step['row'] or step['id'][3:]}: {one.words}")
            continue
        safe = one.result == "already" and step["phase"] == "preserve"  # no log tells whether a machine was kept safe
        if one.result != "done" and not safe:
            proof.wrong.append(_words(one, one.result))
            continue
        if one.before and not safe:
            proof.wrong.append(_words(one, "its check held before it ran"))
        if not touched and step["phase"] == "contain":
            proof.wrong.append(_words(one, "it changed nothing"))


def _restored(proof: Proof, made: Incident, before: State, contained: State) -> None:
    """What a record tells of the time before the attack is so again."""
    for node in sorted(made.recorded):
        old, new = (_set_by_policy(held.get(node) or {}) for held in (before, contained))
        proof.counts["recorded before the attack and restored"] += old == new
        if old != new:
            proof.wrong.append(f"after the plan, {node} is not as before the attack: {new} and was {old}")


def _set_by_policy(content: Json) -> object:
    """The policy of a thing: of a role who may take it on, of a policy its text in force."""
    if "versions" in content:
        return content["versions"].get(content["default"])
    return content.get("trust", content.get("policy"))


def _beyond(outcomes: list[Outcome]) -> set[str]:
    """Nodes of steps that moto cannot carry out."""
    return {node for one in outcomes if one.result == "lacking" for node in one.step["nodes"]}


def _open(proof: Proof, when: str, found: dict[str, str]) -> None:
    proof.wrong += [f"{when}, {node}: {how}" for node, how in sorted(found.items())]


def _rollback(
    proof: Proof, run: Run, watch: _Watch, states: tuple[State, State, State], made: Incident, stays: set[str]
) -> None:
    """Going back restores what was captured, and lets nobody in; with the switch it goes all the way.

    `states` are those before the attack, before the plan and after it; `stays` the steps that no rollback undoes.
    """
    before, attacked, contained = states
    run.clock += LATER
    for reopen in (False, True):
        back = run.rollback(reopen=reopen)
        when = "rolled back, with the switch" if reopen else "rolled back"
        for one in back:
            proof.counts[f"{when}: {one.result}"] += one.result != "not done"
            stays |= {one.step["id"]} if one.result in ("stays", "refused", "lacking", "failed") else set()
            stays -= {one.step["id"]} if one.result == "undone" else set()
            if one.result == "failed":
                proof.wrong.append(_words(one, when))
        now = state(watch.accounts)
        if not reopen:
            opened = {node: how for node, how in ways_in(made, before, now).items() if node in changed(contained, now)}
            _open(proof, when, opened)
        for node, steps in sorted(watch.touched.items()):
            if not steps & stays and now.get(node) != attacked.get(node):
                proof.wrong.append(f"{when}, {node} is not as it was: {_difference(attacked.get(node), now.get(node))}")


def _words(one: Outcome, what: str) -> str:
    text = f"{one.step['id']} ({one.step['title']}): {what}"
    return f"{text}: {one.words}" if one.words else text


def _difference(old: Json | None, new: Json | None) -> str:
    if old is None or new is None:
        return "it should not be there" if old is None else "it is gone"
    return "; ".join(
        f"{key} is {new.get(key)!r} and was {old.get(key)!r}" for key in old if new.get(key) != old.get(key)
    )
