"""Policies of resources that the attacker set: back to what they were, or without those whom the attacker let in."""

import json
from typing import Any

import jmespath

from cirtlib.containment.entries import Policy, event, policies, told
from cirtlib.containment.history import Act
from cirtlib.containment.incident import Draft
from cirtlib.containment.restore import CLOSED, without
from cirtlib.containment.rows import fill, settled, short
from cirtlib.containment.step import Ref, Step, call, quoted, read
from cirtlib.text import visible
from cirtlib.trust import document, principals


def plan_policies(draft: Draft) -> None:
    """Add a step for every policy of a resource that the attacker set and that nobody has set since."""
    history = draft.incident.history
    contained = {node["value"] for node in draft.incident.extent if node["kind"] == "principal"}
    for row in policies().values():
        things: dict[tuple[str, ...], list[Act]] = {}
        for act in history:
            name, now = _read(row, act)
            if name and now is not None:
                things.setdefault((act.account, act.region, short(name)), []).append(act)
        for acts in things.values():
            mine = [act for act in acts if act.attacker]
            nodes = draft.incident.effects(mine[-1]) if mine else []
            if not nodes:
                continue
            name = _read(row, mine[-1])[0]
            over = settled(name, row.until, mine[-1], history) or (acts[-1] if acts[-1] is not mine[-1] else None)
            if over:
                draft.reasons.setdefault(nodes[0]["id"], f"{over.name} settled it since (event {over.event_id})")
                continue
            earlier = [act for act in acts[: acts.index(mine[0])] if not act.in_doubt]
            last = earlier[-1] if earlier else None
            sides = (set(draft.incident.accounts), contained)
            step = step_of(row, mine[-1], last, node=nodes[0]["value"], sides=sides)
            if step is None:
                reason = "no event shows its policy from before, and the attacker's lets in nobody foreign: look at it"
                draft.reasons.setdefault(nodes[0]["id"], reason)
            else:
                draft.add(step, nodes=nodes, because=mine)


def _read(row: Policy, act: Act) -> tuple[str, dict[str, Any] | None]:
    """Name of the resource and the policy that an event set."""
    if event(act) not in row.events:
        return "", None
    name = jmespath.search(row.name, told(act))
    return str(name or ""), document(jmespath.search(row.document, told(act)))


def step_of(row: Policy, act: Act, earlier: Act | None, *, node: str, sides: tuple[set[str], set[str]]) -> Step | None:
    """Step that puts one policy back; None where nothing shows what the attacker's policy should become.

    Parameters
    ----------
    earlier
        The last event before the attack that set it, if there is one.
    sides
        Accounts that are ours, and principals that the plan contains.
    """
    name, now = _read(row, act)
    assert now is not None
    before = _read(row, earlier)[1] if earlier else None
    source = f"{earlier.name} of {earlier.time:%Y-%m-%dT%H:%M:%SZ} (event {earlier.event_id})" if earlier else ""
    if before is None:
        left = without(now, own_accounts=sides[0], contained=sides[1])
        if left == now:
            return None
        before, source = (None if left is CLOSED else left), "no event shows it: whom the attacker let in is taken out"
    partition = node.split(":")[1] if node.startswith("arn:") else "aws"
    own = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:{partition}:iam::{act.account}:root"},
        "Action": f"{row.put['service']}:*",
        "Resource": "*" if row.id == "key-policy" else node,
    }
    values = {"name": name, "policy": _json(before or {}), "own": _json({"Version": "2012-10-17", "Statement": [own]})}
    change = row.put if before is not None else row.empty
    removed = change["operation"].startswith("Delete")  # what is not there is read as null
    get = call(row.get["service"], row.get["operation"], **fill(row.get["parameters"], values))
    added = sorted(principals(now) - principals(before) - {act.account})
    still = (
        " && ".join(f"contains({row.text} || '', {quoted(one)})" for one in added) or f"type({row.text}) == 'string'"
    )
    gone = " && ".join(f"!contains({row.text} || '', {quoted(one)})" for one in added)
    gone = gone or f"contains({row.text} || '', {quoted(_mark(before))})"
    back = fill(row.put["parameters"], values | {"policy": Ref("${self.policy}")})
    return Step(
        key=f"{row.id} {node}",
        row=row.id,
        phase="contain",
        title=f"{'Put back' if earlier else 'Close'} {row.what[0].lower()}{row.what[1:]} {visible(short(name))}",
        target=node,
        account=act.account,
        region=(node.split(":") + [""] * 4)[3] or act.region,
        api=call(change["service"], change["operation"], **fill(change["parameters"], values)),
        captures={"policy": read(get, row.text), "as_recorded": read(get, still, expected=True)},
        verify=read(get, row.text, expected=None) if removed else read(get, gone, expected=True),
        rollback={"api": call(row.put["service"], row.put["operation"], **back)},
        rollback_note="The captured policy lets the attacker in.",
        reopens=True,
        side_effects=(
            f"Restored from: {source}.",
            *((f"No longer let in: {', '.join(map(visible, added))}.",) if added else ()),
        ),
        does_not_stop=("What was read or copied while it was open is gone.",),
    )


def _json(policy: dict[str, Any]) -> str:
    return json.dumps(policy, separators=(",", ":"))


def _mark(policy: dict[str, Any] | None) -> str:
    """Text that only the restored policy holds: its first statement's name, else its first action."""
    statement = (policy or {}).get("Statement") or [{}]
    first = statement[0] if isinstance(statement, list) else statement
    action = first.get("Sid") or first.get("Action") or ""
    return str(action[0] if isinstance(action, list) and action else action)
