"""plan.json carried out, checked and rolled back on moto, in process: what contain.sh, verify.sh and rollback.sh do.

Captures, preconditions, references, waits, conditions of rollback mean here what they mean in containment/runner.sh;
that the scripts do it, too, is proved by running them. Time does not pass: the clock goes on by what a step waits for.
A step that fails is told, and the next one is looked at, as with --skip.
"""

import datetime as dt
import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import boto3
import jmespath
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError

from cirtlib.errors import TrainingError
from cirtlib.training.shapes import Json

try:
    from moto.core.models import botocore_stubber
except ImportError as error:  # the emulator is an extra: the library itself works without it
    raise TrainingError("the emulated account needs moto: pip install 'cirtlib[train]'") from error

_REFERENCE = re.compile(r"(?<!\$)\$\{(?:(now)|(\d{2,}-[a-z0-9-]+)\.([a-z_]+))\}")
_ABSENT = ("NoSuch", "NotFound")
_LACKING = ("Not yet implemented", "not been implemented", "not implemented")


class Lacking(Exception):  # noqa: N818 - no error: moto's scope
    """Moto does not have the call."""


@dataclass
class Outcome:
    """What came of one step.

    Attributes
    ----------
    result
        done, already (it was so before), failed, lacking (moto has not the call), refused, stays, undone, or not done.
    words
        Why, or what the check says.
    before, after
        Whether the check held before the call and after it.
    """

    step: Json
    result: str
    words: str = ""
    before: bool = False
    after: bool = False


@dataclass
class Run:
    """One run of a plan: its state folder, as it were.

    Attributes
    ----------
    state
        Step id -> name -> captured value or output; `now` is when it ran.
    """

    plan: Json
    clock: dt.datetime
    state: dict[str, dict[str, Any]] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    already: set[str] = field(default_factory=set)

    @property
    def steps(self) -> list[Json]:
        """Steps that scripts carry out."""
        return [step for step in self.plan["steps"] if step["phase"] not in ("recover", "prevent")]

    def contain(
        self, around: Callable[[Json], AbstractContextManager[None]] = lambda _: nullcontext()
    ) -> list[Outcome]:
        """Carry out every step; `around` is entered for each, to watch."""
        outcomes = []
        for step in self.steps:
            with around(step):
                outcomes.append(self._attempt(step))
        return outcomes

    def verify(self) -> list[Outcome]:
        """Check every step."""
        outcomes = []
        for step in self.steps:
            try:
                got = self._look(step, step["verify"])
            except (Lacking, ClientError, ParamValidationError, KeyError) as error:
                kind = "lacking" if isinstance(error, Lacking) else "failed"
                outcomes.append(Outcome(step, kind, str(error)))
                continue
            holds = _same(got, step["verify"]["expected"])
            outcomes.append(Outcome(step, "done" if holds else "failed", f"its check says {got!r}", after=holds))
        return outcomes

    def rollback(self, *, reopen: bool = False) -> list[Outcome]:
        """Undo what was done, last step first; with `reopen` even what lets the attacker in again."""
        return [self._undo(step, reopen=reopen) for step in reversed(self.steps)]

    def _attempt(self, step: Json) -> Outcome:
        try:
            return self._carry_out(step)
        except Lacking as error:
            return Outcome(step, "lacking", str(error))
        except (ClientError, ParamValidationError, KeyError) as error:
            return Outcome(step, "failed", f"{type(error).__name__}: {error}")

    def _carry_out(self, step: Json) -> Outcome:
        missing = [one for one in step["depends_on"] if one not in self.done]
        if missing:
            return Outcome(step, "failed", f"it depends on {', '.join(missing)}, not done")
        if step["wait"] and step["wait"]["after"] in self.state:
            since = _time(self.state[step["wait"]["after"]]["now"])
            self.clock = max(self.clock, since + dt.timedelta(seconds=step["wait"]["seconds"]))
        held = self.state.setdefault(step["id"], {})
        broken = ""
        for name, one in step["captures"].items():
            held[name] = self._look(step, one)
            if "expected" in one and not _same(held[name], one["expected"]):
                broken = f"{name} is {held[name]!r}, not {one['expected']!r}"
        self.clock += dt.timedelta(seconds=1)
        held["now"] = f"{self.clock:%Y-%m-%dT%H:%M:%SZ}"
        before = self._holds(step)
        if broken:
            if not before:
                return Outcome(step, "failed", f"its target is no longer as the plan recorded it: {broken}")
            self.done.add(step["id"])
            self.already.add(step["id"])
            return Outcome(step, "already", broken, before, before)
        answer = self._call(step, step["api"])
        held |= {name: jmespath.search(path, answer) for name, path in step["outputs"].items()}
        got = self._look(step, step["verify"])
        if not _same(got, step["verify"]["expected"]):
            return Outcome(step, "failed", f"it ran, but its check says {got!r}", before)
        self.done.add(step["id"])
        return Outcome(step, "done", "", before, after=True)

    def _undo(self, step: Json, *, reopen: bool) -> Outcome:
        if step["id"] not in self.done:
            return Outcome(step, "not done")
        if step["id"] in self.already or isinstance(step["rollback"], str):
            return Outcome(step, "stays", step["rollback_note"])
        refused = next(self._refusals(step), "")
        if refused and not reopen:
            return Outcome(step, "refused", refused)
        try:
            self._call(step, step["rollback"]["api"])
        except Lacking as error:
            return Outcome(step, "lacking", str(error))
        except (ClientError, ParamValidationError, KeyError) as error:
            return Outcome(step, "failed", f"rollback: {type(error).__name__}: {error}")
        self.done.discard(step["id"])
        del self.state[step["id"]]
        return Outcome(step, "undone", refused)

    def _refusals(self, step: Json) -> Iterator[str]:
        if step["reopens"]:
            yield "it would give the attacker access back"
        for one in step["rollback"]["requires"]:
            if one not in self.done:
                yield f"{one} does not stand"
        late = step["rollback"]["not_before"]
        if late:
            since = self.state.get(late["step"], {}).get("now")
            if since is None or self.clock < _time(since) + dt.timedelta(seconds=late["seconds"]):
                yield "sessions from before the cut-off can still be alive"

    def _holds(self, step: Json) -> bool:
        """Whether the check of a step holds now; not, where it cannot be read."""
        try:
            return _same(self._look(step, step["verify"]), step["verify"]["expected"])
        except (ClientError, KeyError):
            return False

    def _look(self, step: Json, one: Json) -> Any:  # noqa: ANN401 - any JSON value
        """Value that a read gives; what is not there is None."""
        try:
            answer = self._call(step, one["api"])
        except ClientError as error:
            if any(word in str(error) for word in _ABSENT):
                return None
            raise
        return jmespath.search(self._filled(step, one["jmespath"]), answer)

    def _call(self, step: Json, api: Json) -> Json:
        parameters = self._filled(step, api["parameters"])
        return call(step["account"], step["region"], api["service"], api["operation"], parameters)

    def _filled(self, step: Json, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        """Value with its references replaced, and `$${` as `${`."""
        if isinstance(value, dict):
            return {key: self._filled(step, item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._filled(step, item) for item in value]
        if not isinstance(value, str):
            return value
        whole = _REFERENCE.fullmatch(value)
        if whole and whole[2]:
            return self.state[whole[2]][whole[3]]
        return _REFERENCE.sub(lambda found: self._part(step, found), value).replace("$${", "${")

    def _part(self, step: Json, found: re.Match[str]) -> str:
        """Text of a reference inside a text: a time as it is, anything else as JSON."""
        if found[1]:
            return str(self.state[step["id"]]["now"])
        value = self.state[found[2]][found[3]]
        return str(value) if found[3] == "now" else json.dumps(value)


def call(account: str, region: str, service: str, operation: str, parameters: Json) -> Json:
    """Answer of a call to an emulated account, as JSON has it; lists are read to their end.

    Raises
    ------
    Lacking
        when moto does not have the call.
    """
    client, name = _client(account, region, service), xform_name(operation)
    try:
        if client.can_paginate(name) and operation.startswith(("List", "Describe", "Get")):
            answer = client.get_paginator(name).paginate(**parameters).build_full_result()
        else:
            answer = getattr(client, name)(**parameters)
    except NotImplementedError as error:
        raise Lacking(f"{service}:{operation}") from error
    except ClientError as error:
        if any(word in str(error) for word in _LACKING):
            raise Lacking(f"{service}:{operation}") from error
        raise
    answer.pop("ResponseMetadata", None)
    plain: Json = json.loads(json.dumps(answer, default=_plain))
    return plain


@cache
def _client(account: str, region: str, service: str) -> Any:  # noqa: ANN401 - boto3 has no types
    """Client that talks to moto in this process only, as somebody in this account."""
    made = _session().client(service, region_name=region, config=Config(retries={"total_max_attempts": 1}))
    events = made.meta.events
    events.register("before-call", lambda params, **_: params["headers"].update({"x-moto-account-id": account}))
    events.register_first("before-send", _stay_here)
    return made


@cache
def _session() -> Any:  # noqa: ANN401 - boto3 has no types
    return boto3.Session(aws_access_key_id="practice", aws_secret_access_key="practice")  # noqa: S106 (of nobody)


def _stay_here(request: Any, **_: object) -> None:  # noqa: ANN401 - botocore has no types
    """Let no request leave the process: moto answers all, while it is there."""
    if not botocore_stubber.enabled:
        raise TrainingError(f"nothing emulates {request.url.split('?')[0]}: training never talks to a real account")


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401 - any JSON values
    """Whether two values are the same JSON: true is not 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def _plain(value: Any) -> str:  # noqa: ANN401 - any value that botocore makes
    """Time or bytes as the AWS CLI prints them."""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return str(value.read()) if hasattr(value, "read") else str(value.isoformat())
