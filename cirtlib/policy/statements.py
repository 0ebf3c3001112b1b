"""Statements of policies: whether one applies to a request, and what is no statement."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cirtlib.errors import PolicyError
from cirtlib.policy.conditions import (
    NOT_KNOWN,
    Context,
    Truth,
    all_of,
    any_of,
    glob,
    holds,
    listed,
    opposite,
    substitute,
)

_ROOT = re.compile(r"^(?:arn:[\w-]+:iam::)?(\d{12})(?::root)?$")
_ELEMENTS = {
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
}
DIRECT, EVERYBODY, ROLE, ACCOUNT = WAYS = ("direct", "everybody", "role", "account")


@dataclass(frozen=True)
class Caller:
    """Who asks, as principals of policies are compared with it.

    Attributes
    ----------
    arn
        ARN of the user, the role session, the federated user or root; a service's name; a provider's ARN.
    role
        ARN of the role behind a session, else empty.
    account
        Account of the caller, empty for a service.
    """

    arn: str
    role: str
    account: str


@dataclass(frozen=True)
class Statement:
    """One statement, with the name by which a decision cites it."""

    name: str
    body: Mapping[str, Any]
    variables: bool

    @property
    def denies(self) -> bool:
        """Whether its effect is Deny."""
        return bool(self.body["Effect"] == "Deny")

    def applies(self, action: str, resource: str, context: Context) -> Truth:
        """Whether its action, resource and conditions are those of a request; its principal is judged apart."""
        return all_of([
            self._action(action),
            self._resource(resource, context),
            holds(self.body.get("Condition"), context, variables=self.variables),
        ])  # fmt: skip

    def _action(self, action: str) -> bool:
        negated = "NotAction" in self.body
        patterns = listed(self.body["NotAction" if negated else "Action"])
        found = any(glob(str(one), ignore_case=True).fullmatch(action) for one in patterns)
        return found != negated

    def _resource(self, resource: str, context: Context) -> Truth:
        if "Resource" not in self.body and "NotResource" not in self.body:
            return True  # a trust policy: the resource is the role itself
        negated = "NotResource" in self.body
        truths: list[Truth] = []
        for one in listed(self.body["NotResource" if negated else "Resource"]):
            pattern = substitute(str(one), context) if self.variables else str(one)
            if pattern is None or not isinstance(pattern, str):
                truths.append(None if pattern is NOT_KNOWN else False)
            else:
                truths.append(glob(pattern).fullmatch(resource) is not None)
        found = any_of(truths)
        return opposite(found) if negated else found

    def admits(self, caller: Caller) -> tuple[Truth, str]:
        """Whether it is about this caller, and how it names it: directly, by its role, or by its account."""
        if "NotPrincipal" in self.body:
            return _not_principal(self.body["NotPrincipal"], caller), DIRECT
        best, how = False, ""
        truth: Truth
        for kind, one in _named(self.body.get("Principal")):
            truth, way = _matches(kind, one, caller)
            if truth is None:
                return None, way
            if truth and (not best or WAYS.index(way) < WAYS.index(how)):
                best, how = True, way
        return best, how


def statements(policy: Mapping[str, Any], name: str) -> list[Statement]:
    """Statements of a policy document.

    Raises
    ------
    PolicyError
        when it is no policy: a part is missing, or has a name that IAM does not know.
    """
    if not isinstance(policy, Mapping) or "Statement" not in policy:
        raise PolicyError(f"{name}: a policy is an object with a Statement")
    variables = policy.get("Version") == "2012-10-17"
    found = []
    for number, body in enumerate(listed(policy["Statement"])):
        where = f"{name} statement {number}"
        if not isinstance(body, Mapping) or body.get("Effect") not in ("Allow", "Deny"):
            raise PolicyError(f"{where}: its Effect is neither Allow nor Deny")
        odd = set(body) - _ELEMENTS
        if odd:
            raise PolicyError(f"{where}: IAM knows no element {', '.join(sorted(odd))}")
        if ("Action" in body) == ("NotAction" in body):
            raise PolicyError(f"{where}: it has to have one of Action and NotAction")
        if "Resource" in body and "NotResource" in body:
            raise PolicyError(f"{where}: it has both Resource and NotResource")
        condition = body.get("Condition") or {}
        if not isinstance(condition, Mapping) or not all(isinstance(keys, Mapping) for keys in condition.values()):
            raise PolicyError(f"{where}: its Condition is no object of operators")
        found.append(Statement(str(body.get("Sid") or where), body, variables))
    return found


def _named(principal: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - any JSON value
    if isinstance(principal, str):
        return [("AWS", principal)]
    return [(kind, str(one)) for kind, values in (principal or {}).items() for one in listed(values)]


def _matches(kind: str, named: str, caller: Caller) -> tuple[Truth, str]:
    if kind != "AWS":
        return named == caller.arn or (named == "*" and kind == "Service" and not caller.account), DIRECT
    if named == "*":
        return True, EVERYBODY
    account = _ROOT.match(named)
    if account:
        return account[1] == caller.account, DIRECT if caller.arn.endswith(":root") else ACCOUNT
    if not named.startswith("arn:"):
        return None, DIRECT  # a unique id, which stands where a principal was deleted
    by_role = bool(caller.role) and named == caller.role
    return by_role or named == caller.arn, ROLE if by_role else DIRECT


def _not_principal(principal: Any, caller: Caller) -> Truth:  # noqa: ANN401 - any JSON value
    """Whether the caller is none of those named. For a role session that depends on more than its own ARN."""
    names = _named(principal)
    if any(named == "*" for _, named in names):
        return False
    if any(named == caller.arn for _, named in names):
        return None if caller.role else False
    if caller.role and any(named == caller.role for _, named in names):
        return None
    return True
