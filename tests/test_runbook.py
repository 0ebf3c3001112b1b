"""The runbook: someone who has only this file can approve, run, check and undo every step."""

import json
import re
from dataclasses import replace

import pytest

from cirtlib.containment import scripts
from cirtlib.containment.planning import build
from cirtlib.containment.render import save
from cirtlib.containment.runbook import folders, runbook, runbook_html, use
from tests import plan_sample as sample
from tests import test_brake
from tests.by_hand import COMMANDS, sections, typed
from tests.fake_aws import FakeAws
from tests.hostile import HOSTILE, everywhere, small
from tests.test_document import parsed, read

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
USED = {"calls": 1500, "first": "2026-06-01T00:00:00Z", "last": "2026-06-09T00:00:00Z", "calls_a_day": 187.5,
        "callers": ["ci"], "services": ["s3", "ec2"], "sessions": [f"s{n}" for n in range(7)],
        "hours": [8, 9, 10, 14]}  # fmt: skip


@pytest.fixture(scope="module")
def plan():
    return build(sample.incident())


def test_every_step_is_whole(plan):
    """Each step says what, why with ids, what it breaks, and how to save, run, check, note and undo it."""
    found = sections(runbook(plan))
    assert list(found) == [step.id for step in plan.steps]
    for step in plan.steps:
        section = found[step.id]
        assert scripts.command(step.api, step.region) in section or step.outputs
        check = scripts.command(step.verify["api"], step.region, step.verify["jmespath"])
        assert f"\nask {check.removeprefix('aws ')}\n" in section
        assert all(f"`{event}`" in section for event in step.why)
        assert "- [ ] **Run**" in section
        assert f"**Check** that it says `{json.dumps(step.verify['expected'])}`" in section
        assert ("**Undo" in section) != ("**Not undone.**" in section)
        assert "- Impact: " in section
        assert all(name in section for name in step.permissions)
    text = runbook(plan)
    assert "--profile-for 111122223333=PROFILE" in text
    assert "Not before 36 hours after" in text
    assert "${" not in text


@pytest.mark.parametrize("kind", ["plan", "brake"])
def test_the_runbook_followed_by_hand(kind, plan, tmp_path):
    """Typing the commands in their order asks AWS the same as contain.sh does, and the scripts know what was done."""
    plan = plan if kind == "plan" else build(test_brake.incident()).brakes[0]
    save(plan, tmp_path / "hand")
    save(plan, tmp_path / "script")
    text = (tmp_path / "hand" / "runbook.md").read_text(encoding="utf-8")
    hand, script = (FakeAws(tmp_path / f"fake-{name}", tmp_path / name) for name in ("hand", "script"))
    known, account = set(), ""
    for step in plan.steps:
        if step.account != account:
            assert f"**account {step.account}**" in sections(text)[step.id]
            hand.caller(step.account)
        if step.account not in known:
            script.caller(step.account)
        account = step.account
        known.add(account)
        hand.step(step)
        script.step(step)
    lines = typed(text, dict.fromkeys(plan.accounts, "mine"))
    start = 'set -eu\ncd "$(dirname "$0")"\n'
    (tmp_path / "hand" / "typed.sh").write_text(start + "\n".join(lines), encoding="utf-8")
    done = hand.run("typed.sh")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert script.run("contain.sh", "--execute", "--wait", "0").returncode == 0

    def asked(aws):
        return [TIME.sub("TIME", json.dumps(one)) for one in aws.inputs() if one[0] != "sts"]

    assert asked(hand) == asked(script)
    before = len(hand.calls())
    again = hand.run("contain.sh", "--execute")
    assert again.returncode == 0
    assert again.stdout.count("done at") == len(plan.steps)
    assert len(hand.calls()) == before


def test_undo_by_hand_gives_back_what_was_saved(plan, tmp_path):
    """The undo command of a step hands over the saved value, as the script would."""
    step = next(step for step in plan.steps if step.id.endswith("-close-door"))
    save(plan, tmp_path / "plan")
    aws = FakeAws(tmp_path / "fake", tmp_path / "plan")
    trust = json.dumps({"Sid": 'it\'s "a"\n$(touch pwned)'})
    (tmp_path / "fake" / step.id).mkdir()
    (tmp_path / "fake" / step.id / "trust.json").write_text(json.dumps(trust))
    section = sections((tmp_path / "plan" / "runbook.md").read_text(encoding="utf-8"))[step.id]
    (tmp_path / "plan" / "undo.sh").write_text(COMMANDS.findall(section.split("**Undo")[1])[0])
    aws.answer({})
    assert aws.run("undo.sh").returncode == 0
    assert aws.inputs()[0][2]["PolicyDocument"] == trust


def test_who_approves(plan):
    """A line to sign for each phase; one more for a step that stops others or cannot be undone, with the reason."""
    steps = [replace(step, used_by=USED if step.id.endswith("-deny") else None) for step in plan.steps]
    text = runbook(replace(plan, steps=tuple(steps)))
    assert len(re.findall(r"Approved by the incident lead: \d+ steps of this phase", text)) == 2
    assert re.search(r"Approved by the account owner: \d+ steps of this phase", text)
    for step in steps:
        section = sections(text)[step.id]
        if step.id.endswith("-deny"):
            assert f"Approved by the application owner: {step.id}, for others use its target" in section
        assert ("Approved by the account owner" in section) == (
            step.rollback == "irreversible" and step.phase != "preserve" and not step.id.endswith("-deny")
        )


def test_one_step_is_not_steps(plan):
    """A phase of one step names it once, in the singular, and so does the plan that has no other."""
    text = runbook(replace(plan, steps=plan.steps[:1]))
    assert f"1 step of this phase, {plan.steps[0].id}. Name" in text
    assert "1 step in 1 account" in text
    assert "1 steps" not in text


def test_what_it_stops_and_breaks_stands_before_the_steps(plan):
    """Effect, use by others, limits and exposure are told before anything is run."""
    first = replace(plan.steps[7], used_by=USED, does_not_stop=("Live sessions.",), prerequisites=("A profile.",),
                    alternatives=({"title": "Deny a session", "api": plan.steps[7].api, "only_when": "the door is shut",
                                   "evaded_by": "a new session"},))  # fmt: skip
    whole = replace(
        plan, steps=(*plan.steps[:7], first, *plan.steps[8:]), exposed=("Port 22 of i-1 stays open.",),
        effect={"says": ["All 12 calls of the attacker are stopped."], "unknown_share": 0.0, "attacker": {
            "calls": 12, "possible": [{"call": "s3:GetObject", "why": "public | bucket", "event_ids": ["e1", "e2"]}],
            "unknown": []}},
    )  # fmt: skip
    text = runbook(whole)
    top, rest = text.split("## How to run it with the scripts")
    assert "- All 12 calls of the attacker are stopped." in top
    assert "### Calls of the attacker that stay possible, and why" in top
    assert "| s3:GetObject | public \\| bucket | e1, e2 |" in top
    assert "could not be judged" not in top
    assert "1,500 calls, about 187.5 a day" in top
    assert "Counted here, and in the impact of each step, are the days before the attack" in top
    assert "hours (UTC): 8-10, 14" in top
    assert f"Live sessions. ({first.id})" in top
    assert "Port 22 of i-1 stays open." in top
    section = sections(rest)[first.id]
    assert "- Before it: A profile." in section
    assert "- It does not stop: Live sessions." in section
    assert "**Narrower, instead of this step**: Deny a session" in section
    assert section.index("**Narrower") < section.index("**Run**")
    assert section.index("**Undo") < section.index("**Only instead of this step:** Deny a session")
    assert "- Only when: the door is shut" in section
    assert "- Evaded by: a new session" in section
    assert "sessions: s0, s1, s2, s3, s4 and others" in use(first)
    assert "- Used by others: 1,500 calls" in section
    told = replace(first, impact="It was used for 1,500 calls.")
    assert "Used by others" not in sections(runbook(replace(plan, steps=(told,))))[told.id]


def test_nothing_worked_out_is_said(plan):
    """Without an effect the runbook says so, and not that all is stopped."""
    assert "not worked out call by call" in runbook(replace(plan, effect={}))


def test_brakes_are_pointed_to_and_only_by_decision(plan):
    """A brake is a folder beside the runbook, with lines to be signed; two of one title do not collide."""
    brakes = (small(plan.steps[0], title="Freeze"), small(title="Freeze"), small(title="\u202e"))
    whole = replace(plan, brakes=brakes)
    assert list(folders(whole)) == ["brake-1-freeze", "brake-2-freeze", "brake-3"]
    text = runbook(whole)
    assert "[brake\\-1" not in text
    assert "(brake-1-freeze/runbook.md)" in text
    assert text.index("Emergency brakes: only by decision") < text.index("## How to run it with the scripts")
    assert text.count("Approved by the incident lead and the account owner: Freeze, knowing") == 2


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text(name):
    """A name from a log is never markup, in Markdown and HTML, and breaks no table and no list."""
    harmless = everywhere("x")
    types, inline, fences = parsed(runbook(everywhere(name)))
    expected = parsed(runbook(harmless))
    assert types == expected[0]
    assert len(fences) == len(expected[2])
    allowed = {"text", "text_special", "code_inline", "strong_open", "strong_close"}
    assert all(kinds <= allowed for _, kinds in inline)
    assert read(runbook_html(everywhere(name))).tags == read(runbook_html(harmless)).tags
    assert "\u202e" not in runbook(everywhere(name)) + runbook_html(everywhere(name))
