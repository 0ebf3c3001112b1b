"""The plan as a CACAO 2.0 playbook: valid by the published schemas, in order, no text of a log in a command."""

import json
import re
import shlex
from dataclasses import replace

import pytest

from cirtlib.containment import catalogue
from cirtlib.containment.cacao import cacao, playbook
from cirtlib.containment.planning import build
from tests import plan_sample as sample
from tests.hostile import HOSTILE, small

ID = re.compile(r"[a-z-]+--[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def plan():
    return build(sample.incident())


def used(plan):
    """Plan whose first role is used by others."""
    usage = {"calls": 3, "first": None, "last": None, "calls_a_day": 0.5, "callers": [], "services": [],
             "sessions": [], "hours": []}  # fmt: skip
    return replace(plan, steps=tuple(replace(step, used_by=usage) if step.id.endswith("-deny") else step
                                     for step in plan.steps))  # fmt: skip


@pytest.fixture
def validator(real_data):
    """Validator of the published schemas."""
    import jsonschema
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT202012

    folder = real_data / "oasis-open__cacao-json-schemas" / "schemas"
    if not folder.is_dir():
        pytest.skip("real data not present")
    schemas = [json.loads(file.read_text(encoding="utf-8")) for file in folder.rglob("*.json")]
    registry = Registry().with_resources(
        (one["$id"], Resource.from_contents(one, default_specification=DRAFT202012)) for one in schemas
    )
    top = next(one for one in schemas if one["$id"].endswith("/playbook.json"))
    top = {**top, "$schema": "https://json-schema.org/draft/2020-12/schema"}
    return jsonschema.Draft202012Validator(top, registry=registry)


def path(found):
    """Steps from the start along on_completion and on_success."""
    name, steps = found["workflow_start"], []
    while name:
        step = found["workflow"][name]
        steps.append(step)
        name = step.get("on_completion") or step.get("on_success")
    return steps


def commands(found):
    return [one["command"] for step in path(found) for one in step.get("commands", []) if one["type"] == "bash"]


def test_valid_by_the_published_schemas(plan, validator):
    """The export has no error; without an agent, or with a time of another form, it has."""
    found = json.loads(cacao(used(plan)))
    assert [error.message for error in validator.iter_errors(found)] == []
    assert list(validator.iter_errors({**found, "created": "yesterday"}))
    action = next(step for step in found["workflow"].values() if step["type"] == "action")
    del action["agent"]
    assert list(validator.iter_errors(found))


def test_steps_in_order_between_approval_and_verification(plan):
    """Each phase is approved first; every step runs once, in the plan's order; at last all are verified."""
    found = playbook(plan)
    names = [step.get("name") for step in path(found)]
    assert names[0] == "Start"
    assert names[-2:] == ["Verify that every step holds", "End"]
    ids = [step.id for step in plan.steps]
    assert [name for name in names if name in ids] == ids
    phases = list(dict.fromkeys(step.phase for step in plan.steps))
    first = {phase: next(step.id for step in plan.steps if step.phase == phase) for phase in phases}
    assert all(names[names.index(one) - 1].startswith("Approval by") for one in first.values())


def test_who_is_asked(plan):
    """A step that stops others is approved by the application's owner, in a step of its own before it."""
    found = playbook(used(plan))
    names = [step.get("name") for step in path(found)]
    denies = [step.id for step in plan.steps if step.id.endswith("-deny")]
    assert denies
    assert all(names[names.index(one) - 1] == "Approval by the application owner" for one in denies)
    agents = {one["name"] for one in found["agent_definitions"].values()}
    assert {"incident lead", "application owner", "Responder's shell"} <= agents


def test_the_commands_are_those_of_the_scripts(plan):
    """A step runs contain.sh with its id and its account's profile; nothing else is in a command."""
    found = playbook(plan)
    for step, command in zip(plan.steps, commands(found), strict=False):
        profile = f"{step.account}=__profile_{step.account}__:value"
        assert shlex.split(command) == ["./contain.sh", "--execute", "--step", step.id, "--profile-for", profile]
    assert commands(found)[-1].startswith("./verify.sh --execute --profile-for")
    assert len(commands(found)) == len(plan.steps) + 1


def test_every_reference_leads_somewhere(plan):
    """Steps, agents, targets and variables that are named are defined; whatever fails comes to a person, then ends."""
    found = playbook(plan)
    for step in found["workflow"].values():
        following = [step[key] for key in ("on_completion", "on_success", "on_failure") if key in step]
        assert all(one in found["workflow"] for one in following)
        if step["type"] == "action":
            assert step["agent"] in found["agent_definitions"]
            assert set(step.get("targets", [])) <= set(found["target_definitions"])
            assert set(step.get("in_args", [])) <= set(found["playbook_variables"])
            if "on_failure" in step:
                stopped = found["workflow"][step["on_failure"]]
                assert stopped["commands"][0]["type"] == "manual"
                assert found["workflow"][stopped["on_completion"]]["type"] == "end"
    told = {one.get("playbook_activity") for step in found["workflow"].values() for one in step.get("commands", [])}
    assert set(found["playbook_activities"]) == told - {None}


def test_the_same_plan_gives_the_same_bytes(plan):
    """Ids and times come from the plan; another plan has other ids."""
    assert cacao(plan) == cacao(build(sample.incident()))
    found = playbook(plan)
    assert found["created"] == found["modified"] == plan.as_of.replace("Z", ".000Z")
    names = [found["id"], found["created_by"], *found["workflow"], *found["agent_definitions"]]
    assert all(ID.fullmatch(one) for one in names)
    assert not set(found["workflow"]) & set(playbook(replace(plan, title="another"))["workflow"])


@pytest.mark.parametrize("name", [*HOSTILE, "__profile_111122223333__:value"])
def test_hostile_names_reach_no_command(name, validator):
    """Whatever a thing is called, commands hold our own words only, and texts no variable of the playbook."""
    step = catalogue.leave_group(f"arn:aws:iam::{sample.HOME}:user/x", name)
    plan = small(replace(step, title=f"Take x out of {name}", impact=name, side_effects=(name,)), title=name)
    found = playbook(plan)
    assert list(validator.iter_errors(found)) == []
    assert all(re.fullmatch(r"[./A-Za-z0-9 _:=-]+", one) for one in commands(found))
    texts = [step.get("description", "") for step in found["workflow"].values()] + [found["name"]]
    assert not re.search(r"__\S+__:", " ".join(texts))
    assert "\u202e" not in json.dumps(found, ensure_ascii=False)


def test_a_plan_without_steps_is_still_a_playbook(validator):
    """Nothing to do: start and end."""
    found = playbook(small())
    assert [step["type"] for step in path(found)] == ["start", "end"]
    assert list(validator.iter_errors(found)) == []
