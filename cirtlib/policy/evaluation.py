"""The decision on a request from all policies that bear on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cirtlib.policy.conditions import Context, Truth, Value, all_of, any_of
from cirtlib.policy.statements import DIRECT, EVERYBODY, ROLE, WAYS, Caller, Statement, statements

ALLOWED, DENIED, NOT_ALLOWED, UNKNOWN = "allowed", "denied", "not_allowed", "unknown"
Document = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """One call, as policies see it.

    Attributes
    ----------
    action
        `s3:GetObject`.
    resource
        ARN of what it is about, `*` for none.
    principal
        ARN of the caller as sts:GetCallerIdentity tells it: a user, a role session, root; a service's name; for
        AssumeRoleWithWebIdentity and AssumeRoleWithSAML the provider's ARN.
    account
        Account of the caller.
    resource_account
        Account of the resource; empty: the caller's.
    role
        ARN of the role behind a session, path included.
    context
        Condition keys with their values; `NOT_KNOWN` where the evidence does not tell the value.
    complete
        Whether a key that `context` lacks is absent from the request; else it is not known.
    """

    action: str
    resource: str
    principal: str
    account: str
    resource_account: str = ""
    role: str = ""
    context: Mapping[str, Value] = field(default_factory=dict)
    complete: bool = True


@dataclass(frozen=True)
class Decision:
    """What policies say of a request.

    Attributes
    ----------
    result
        allowed; denied (a Deny statement applies); not_allowed (nothing allows it); unknown.
    by
        Name (Sid or number) of the statement that decided, or of what was missing.
    refused
        Whether the call fails, None when not known: of an unknown result it may be known that it fails either way.
    """

    result: str
    by: str
    refused: bool | None


def evaluate(
    request: Request,
    *,
    identity: Sequence[Document] = (),
    resource: Document | None = None,
    boundary: Document | None = None,
    session: Sequence[Document] | None = None,
    scps: Sequence[Sequence[Document]] | None = None,
) -> Decision:
    """Judge a request.

    Parameters
    ----------
    identity
        Policies of the user or role, its groups' included.
    resource
        Policy of the resource; for sts:AssumeRole* the trust policy of the role.
    boundary
        Permissions boundary.
    session
        Session policies, None when there are none.
    scps
        Service control policies by level, from the root to the account; None where none bind (the management account,
        service-linked roles).

    Raises
    ------
    PolicyError
        when a document is no policy.
    """
    caller = Caller(request.principal, request.role, request.account)
    context = Context(
        {"aws:PrincipalArn": request.role or request.principal, **request.context}, complete=request.complete
    )
    judge = _Judge(request, context)
    grants = {name: _grant(judge, documents, name) for name, documents in (
        ("identity policy", identity), ("permissions boundary", None if boundary is None else [boundary]),
        ("session policy", session),
    )}  # fmt: skip
    levels = [_grant(judge, level, f"service control policy of level {n}") for n, level in enumerate(scps or ())]
    given = _resource_grant(judge, resource, caller)
    if judge.denied:
        return Decision(DENIED, judge.denied, refused=True)
    allowed, missing = _combined(request, grants, levels, given)
    if allowed is False:
        if judge.doubt:
            return Decision(UNKNOWN, judge.doubt, refused=True)
        return Decision(NOT_ALLOWED, missing, refused=True)
    if allowed is None or judge.doubt:
        return Decision(UNKNOWN, judge.doubt or missing, refused=None)
    return Decision(ALLOWED, "", refused=False)


class _Judge:
    """Goes through statements, and keeps the first Deny that applies, and the first that may."""

    def __init__(self, request: Request, context: Context) -> None:
        self.request, self.context = request, context
        self.denied = self.doubt = ""

    def allows(self, statement: Statement, admitted: Truth = True) -> Truth:
        """Whether an Allow applies; a Deny is noted, and allows nothing."""
        truth = all_of([admitted, statement.applies(self.request.action, self.request.resource, self.context)])
        if not statement.denies:
            return truth
        if truth:
            self.denied = self.denied or statement.name
        elif truth is None:
            self.doubt = self.doubt or statement.name
        return False


def _grant(judge: _Judge, documents: Sequence[Document] | None, name: str) -> Truth:
    """Whether one of these policies allows the request; true where there is no such kind of policy."""
    if documents is None:
        return True
    found = [one for number, policy in enumerate(documents) for one in statements(policy, f"{name} {number}")]
    return any_of([judge.allows(statement) for statement in found])


def _resource_grant(judge: _Judge, policy: Document | None, caller: Caller) -> dict[str, Truth]:
    """Whether the resource's policy allows the request, by how it names the caller: directly, by role, by account."""
    truths: dict[str, list[Truth]] = {way: [] for way in WAYS}
    for statement in statements(policy, "resource policy") if policy is not None else ():
        admitted, how = statement.admits(caller)
        truth = judge.allows(statement, admitted)
        if how:
            truths[how].append(truth)
    return {how: any_of(found) for how, found in truths.items()}


def _combined(
    request: Request, grants: dict[str, Truth], levels: list[Truth], given: dict[str, Truth]
) -> tuple[Truth, str]:
    """Whether everything that has to allow the request does, and the name of what does not or may not."""
    identity, boundary, session = grants.values()
    by_resource = any_of(list(given.values()))
    if (request.resource_account or request.account) != request.account:
        ways = all_of([identity, by_resource])
        rest = [boundary, session]
    else:
        # In one account the resource's policy alone is enough where it names the session or user itself, whatever
        # boundary and session policy leave out; where it names the role, those still limit; of `*` the guide does not
        # say it. An account that is named only delegates to identity policies.
        limits = all_of([boundary, session])
        everybody = all_of([given[EVERYBODY], limits or None])
        alone = any_of([given[DIRECT], everybody, all_of([given[ROLE], limits])])
        own = all_of([identity, boundary, session])
        if _needs_resource_policy(request):
            own = all_of([own, by_resource])
        ways, rest = any_of([alone, own]), []
    parts = {
        "resource or identity policy": ways,
        **dict(zip(("permissions boundary", "session policy"), rest, strict=False)),
    }
    parts |= {f"service control policy of level {number}": level for number, level in enumerate(levels)}
    total = all_of(list(parts.values()))
    return total, next((name for name, truth in parts.items() if truth is not True), "")


def _needs_resource_policy(request: Request) -> bool:
    """Whether an identity policy alone is never enough: keys of KMS, and the trust of roles."""
    service, _, name = request.action.lower().partition(":")
    return service == "kms" or (service == "sts" and name.startswith("assumerole"))
