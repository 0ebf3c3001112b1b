"""What a containment plan is made of: calls, steps and the plan itself.

A parameter that comes from a log may contain anything, `${now}` too. So a literal `${` is written `$${` in every step,
and only what the catalogue marks with `Ref` is a reference to a value that is known when the step runs.
"""

import json
import re
from dataclasses import asdict, dataclass, field, replace
from typing import Any

SCHEMA_VERSION = 2
PHASES = ("preserve", "contain", "eradicate", "recover", "prevent")
IRREVERSIBLE = "irreversible"
_OWN = re.compile(r"(?<!\$)\$\{(self|after)\.([a-z_]+)\}")

_WORDS = {
    "logging": "start-logging",
    "key": "deactivate-key",
    "trust": "close-door",
    "detach": "detach-policy",
    "inline": "undo-inline-policy",
    "group": "leave-group",
    "login": "delete-password",
    "known-password": "delete-known-password",
}

Api = dict[str, Any]


class Ref(str):
    """Text that holds references: `${now}` anywhere in it, or as a whole `${self.name}` (captured by this step)."""

    __slots__ = ()


NOW = Ref("${now}")


def call(service: str, operation: str, /, **parameters: Any) -> Api:  # noqa: ANN401 - AWS parameters are any JSON
    """Api block of one AWS call, in botocore's names; texts other than `Ref` are taken literally."""
    return {"service": service, "operation": operation, "parameters": literal(parameters)}


def read(api: Api, jmespath: str, **expected: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON scalar
    """Read of one value: the call, the JMESPath on its answer, and by `expected=` what it should be.

    The answer about something that is not there (NoSuchEntity, NotFound) is null, that is None.
    """
    assert set(expected) <= {"expected"}
    return {"api": api, "jmespath": jmespath, **expected}


def quoted(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """JMESPath literal of any JSON value, safe whatever text it holds."""
    return f"`{json.dumps(literal(value)).replace('`', chr(92) + 'u0060')}`"


def literal(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Value in which every text that is no `Ref` means itself: `${` in it is no reference."""
    if isinstance(value, Ref):
        return str(value)
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, dict):
        return {key: literal(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [literal(item) for item in value]
    return value


@dataclass(frozen=True)
class Step:
    """One change, and all that is needed to decide on it, to run it, to check it and to undo it.

    `key` names the step while the plan is made; `depends_on`, `wait`, and the conditions of `rollback` hold keys until
    `number` turns them into ids.

    Attributes
    ----------
    why
        Event and finding ids that it rests on.
    nodes
        Node ids of the extent that it deals with.
    captures
        Name -> read: state saved first; one with `expected` is a precondition.
    outputs
        Name -> JMESPath on the answer.
    verify
        Read with `expected`: how to see that the step holds.
    rollback
        `{"api", "requires": [ids], "not_before": {"step", "seconds"} or null}`, or "irreversible".
    reopens
        Whether the rollback would give the attacker access back.
    row
        Id of the catalogue's row that it comes from.
    prerequisites
        What must be so before it is run, in words.
    does_not_stop
        What the attacker may still do when it holds, in words.
    used_by
        Who else used the target in the baseline, see `usage`; None where the logs tell nothing of it.
    alternatives
        Narrower ways: `{"title", "api", "only_when", "evaded_by"}`; people choose them, no script runs them.
    wait
        `{"after": id, "seconds"}`: how long after another step this one may run.
    """

    key: str
    phase: str
    title: str
    target: str
    account: str
    region: str
    api: Api
    verify: dict[str, Any]
    rollback: dict[str, Any] | str = IRREVERSIBLE
    rollback_note: str = ""
    reopens: bool = False
    nodes: tuple[str, ...] = ()
    why: tuple[str, ...] = ()
    captures: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    side_effects: tuple[str, ...] = ()
    row: str = ""
    prerequisites: tuple[str, ...] = ()
    does_not_stop: tuple[str, ...] = ()
    impact: str = ""
    used_by: dict[str, Any] | None = None
    alternatives: tuple[dict[str, Any], ...] = ()
    techniques: tuple[str, ...] = ()
    confidence: str = "certain"
    wait: dict[str, Any] | None = None
    depends_on: tuple[str, ...] = ()
    id: str = ""
    order: int = 0

    @property
    def permissions(self) -> list[str]:
        """IAM actions that whoever runs, verifies or rolls back the step must be allowed."""
        apis = [self.api, self.verify["api"], *(item["api"] for item in self.captures.values())]
        if isinstance(self.rollback, dict):
            apis.append(self.rollback["api"])
        tags = {"ec2:CreateTags"} if "TagSpecifications" in self.api["parameters"] else set()
        return sorted(tags | {f"{api['service']}:{api['operation']}" for api in apis})

    def to_dict(self) -> dict[str, Any]:
        """Step as plan.json holds it."""
        plain = asdict(self)
        del plain["key"]
        plain["permissions"] = self.permissions
        names = ("id", "order", "phase", "title", "target", "account", "region")
        ordered: dict[str, Any] = {name: plain.pop(name) for name in names}
        return json.loads(json.dumps(ordered | plain))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Plan:
    """What will be done about one incident, in order. `to_dict()` is plan.json.

    Attributes
    ----------
    unplanned
        `{"node", "reason"}` for each node of the extent that no step deals with.
    recovery
        `{"title", "when", "how", "target", "step"}`: what gives service back to its owners, and when that is safe.
    contained_callers
        `{"account", "arn", "prefix"}`: principals that the plan contains; whoever runs it may be none of them.
    effect
        Call by call, what the plan stops and what it breaks; empty where nobody worked it out.
    exposed
        What stays reachable from the internet when the plan has run, in words.
    brakes
        Emergency plans for a whole account, each exported apart and run only by decision.
    """

    case: str
    title: str
    as_of: str
    steps: tuple[Step, ...]
    unplanned: tuple[dict[str, str], ...] = ()
    recovery: tuple[dict[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    contained_callers: tuple[dict[str, Any], ...] = ()
    responders: tuple[str, ...] = ()
    effect: dict[str, Any] = field(default_factory=dict)
    exposed: tuple[str, ...] = ()
    brakes: "tuple[Plan, ...]" = ()

    @property
    def accounts(self) -> list[str]:
        """Accounts in which something is done, in the order of their first step."""
        return list(dict.fromkeys(step.account for step in self.steps))

    def step(self, step_id: str) -> Step:
        """Step with this id."""
        return next(step for step in self.steps if step.id == step_id)

    def to_dict(self) -> dict[str, Any]:
        """Plan as plan.json holds it (cirtlib/data/plan.schema.json)."""
        return {
            "schema_version": SCHEMA_VERSION,
            "case": self.case,
            "title": self.title,
            "as_of": self.as_of,
            "accounts": self.accounts,
            "warnings": list(self.warnings),
            "responders": list(self.responders),
            "contained_callers": list(self.contained_callers),
            "steps": [step.to_dict() for step in self.steps],
            "recovery": list(self.recovery),
            "unplanned": list(self.unplanned),
            "effect": self.effect,
            "exposed": list(self.exposed),
            "brakes": [brake.title for brake in self.brakes],
        }


def number(steps: list[Step]) -> tuple[Step, ...]:
    """Give ordered steps their numbers and ids, and turn keys into ids wherever one step names another."""
    ids = {step.key: f"{order:02d}-{_slug(step)}" for order, step in enumerate(steps, 1)}
    result = []
    for order, step in enumerate(steps, 1):
        wait = {**step.wait, "after": ids[step.wait["after"]]} if step.wait else None
        names = {"self": ids[step.key], "after": wait["after"] if wait else ""}
        result.append(
            replace(
                step,
                order=order,
                id=ids[step.key],
                row=step.row or _slug(step),
                wait=wait,
                depends_on=tuple(sorted(ids[key] for key in step.depends_on if key in ids)),
                rollback=_named(_conditions(step.rollback, ids), names),
                api=_named(step.api, names),
                verify=_named(step.verify, names),
                captures=_named(step.captures, names),
            )
        )
    return tuple(result)


def _slug(step: Step) -> str:
    """What the step does, in words of ours: no name from a log becomes part of an id."""
    word = step.key.split(" ", 1)[0]
    return _WORDS.get(word, word)


def _conditions(rollback: dict[str, Any] | str, ids: dict[str, str]) -> dict[str, Any] | str:
    if isinstance(rollback, str):
        return rollback
    late = rollback.get("not_before")
    return {
        "api": rollback["api"],
        "requires": sorted(ids[key] for key in rollback.get("requires", ()) if key in ids),
        "not_before": {"step": ids[late["step"]], "seconds": late["seconds"]} if late else None,
    }


def _named(value: Any, names: dict[str, str]) -> Any:  # noqa: ANN401 - any JSON value
    """Replace `${self.x}` and `${after.x}` by `${<id>.x}`."""
    if isinstance(value, str):
        return _OWN.sub(lambda match: f"${{{names[match[1]]}.{match[2]}}}", value)
    if isinstance(value, dict):
        return {key: _named(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_named(item, names) for item in value]
    return value
