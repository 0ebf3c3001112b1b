"""Whether a call is allowed, by all policies that the practice accounts hold at that moment.

moto's own enforcement stays off: it ignores conditions, and lets deactivated keys through. What cannot be judged is let
through, and shown as unknown.
"""

import datetime as dt
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cirtlib.policy import NOT_KNOWN, Request, evaluate
from cirtlib.policy.conditions import Value
from cirtlib.policy.evaluation import ALLOWED, DENIED, NOT_ALLOWED, UNKNOWN
from cirtlib.training.account_state import backend, by_arn
from cirtlib.training.front_model import Asked, Refused
from cirtlib.training.practice import calls, tags
from cirtlib.training.practice.boundaries import boundary_of
from cirtlib.training.practice.register import Credential, Register

INVALID = "invalid"
Document = Mapping[str, Any]
_ALL: Document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
_LOOPBACK = "127.0.0.1"
# They succeed for whoever holds a good credential, whatever policies say (API references of both calls).
_ALWAYS = {"sts:GetCallerIdentity", "sts:GetSessionToken"}
# Condition keys that are absent from a request unless the caller, the call or the resource brings them along, as are
# keys of aws: that do not exist; of any other a request may have a value that nobody here knows.
_ABSENT = re.compile(
    r"aws:.*|ec2:SourceInstanceARN|sts:\w+|iam:\w+|saml:\w+|s3:prefix|s3:x-amz-acl|lambda:SourceFunctionArn",
    re.IGNORECASE,
)
_RESOURCE_TAG = re.compile(r"\w+:ResourceTag/.*", re.IGNORECASE)
# Code and status of an unknown key, by protocol. Source: "Common errors" of each service's API reference.
_UNKNOWN_KEY = {
    "rest-xml": ("InvalidAccessKeyId", 403, "The AWS Access Key Id you provided does not exist in our records."),
    "ec2": ("AuthFailure", 401, "AWS was not able to validate the provided access credentials"),
    "query": ("InvalidClientTokenId", 403, "The security token included in the request is invalid."),
    "json": ("UnrecognizedClientException", 400, "The security token included in the request is invalid."),
    "rest-json": ("UnrecognizedClientException", 403, "The security token included in the request is invalid."),
}
_DENIED = {
    "rest-xml": ("AccessDenied", 403),
    "ec2": ("UnauthorizedOperation", 403),
    "query": ("AccessDenied", 403),
    "json": ("AccessDeniedException", 400),
    "rest-json": ("AccessDeniedException", 403),
}


@dataclass(frozen=True)
class Ruling:
    """What was decided about a call.

    Attributes
    ----------
    result
        allowed, denied (a Deny applies), not_allowed (nothing allows it), unknown, or invalid (no good credential).
    by
        What decided it: a kind of policy and the name of its statement, what was missing, or what is wrong with the
        credential.
    action, resource
        What was asked; of a call that needs several, the one that decided.
    caller
        ARN of the caller, '' where nobody knows the key.
    """

    result: str
    by: str = ""
    action: str = ""
    resource: str = ""
    caller: str = ""

    @property
    def passes(self) -> bool:
        """Whether the call goes through."""
        return self.result in (ALLOWED, UNKNOWN)

    @property
    def why(self) -> str:
        """Why it does not go through, in words for people."""
        kind = "policy" if self.by.startswith("resource or identity") else _kind(self.by)
        return {DENIED: f"{_article(kind)} denies it", NOT_ALLOWED: f"no {kind} allows it"}.get(self.result, self.by)

    @property
    def header(self) -> str:
        """As a response's header tells it."""
        text = f"{self.result}; by={self.by}; action={self.action}; resource={self.resource}; caller={self.caller}"
        return re.sub(r"[^\x20-\x7e]", "?", text)[:1000]


@dataclass
class Policies:
    """All that binds a caller: identity policies, boundary, service control policies by level."""

    identity: list[Document]
    boundary: Document | None
    scps: list[list[Document]] | None


@dataclass
class Authority:
    """Judges calls; `now` tells the time there."""

    register: Register
    now: Callable[[], dt.datetime] = field(default=lambda: dt.datetime.now(dt.UTC))

    def rule(self, asked: Asked, *, address: str = _LOOPBACK, caller: Credential | None = None) -> Ruling:
        """Decide about a call, by the caller whose key it is signed with."""
        caller = caller or self.register.find(asked.key)
        if caller is None:
            return Ruling(INVALID, "there is no such access key", calls.action(asked.service, asked.operation))
        if bad := self.register.active(caller, self.now()):
            return Ruling(
                INVALID, f"the credential is {bad}", calls.action(asked.service, asked.operation), "", caller.arn
            )
        asked = replace(asked, account=caller.account)
        if f"{asked.service}:{asked.operation}" in _ALWAYS:
            return Ruling(ALLOWED, "", f"{asked.service}:{asked.operation}", "*", caller.arn)
        try:
            needed = calls.needed(asked, caller)
        except Refused:  # it cannot be read: the service says so itself
            return Ruling(ALLOWED, "", f"{asked.service}:{asked.operation}", "*", caller.arn)
        context = calls.context(asked, caller, self.now(), address)
        rulings = [self.judge(caller, action, resource, context) for action, resource in needed]
        order = (DENIED, NOT_ALLOWED, UNKNOWN, ALLOWED)
        return min(rulings, key=lambda one: order.index(one.result))

    def assumes(
        self, caller: Credential, role: str, *, region: str, address: str, action: str = "sts:AssumeRole"
    ) -> Ruling:
        """Decide whether somebody at this address gets a session of a role."""
        around = calls.surroundings(self.now(), region, address)
        return self.judge(caller, action, role, {**around, **caller.context})

    def judge(self, caller: Credential, action: str, resource: str, context: Mapping[str, Value]) -> Ruling:
        """Decide about one action on one resource."""
        bound = self.policies(caller)
        attached = _resource_policy(resource, action)
        documents = [*bound.identity, *(one for level in bound.scps or () for one in level), *(caller.policies or ())]
        documents += [one for one in (bound.boundary, attached) if one]
        account = calls.owner(resource, caller.account)
        held = tags.of_resource(resource)
        context = {**self._about(caller, resource, account, held or {}), **context}
        request = Request(
            action=action,
            resource=resource,
            principal=caller.arn,
            account=caller.account,
            resource_account=account,
            role=caller.role,
            context={**_doubtful(documents, context, tagged=held is not None), **context},
        )
        found = evaluate(
            request,
            identity=bound.identity,
            resource=attached,
            boundary=bound.boundary,
            session=caller.policies,
            scps=bound.scps,
        )
        by = found.by
        if found.result == NOT_ALLOWED and (bound.boundary or caller.policies):  # is it one of these limits?
            by = "permissions boundary" if bound.boundary else "session policy"
            without = evaluate(request, identity=bound.identity, resource=attached, scps=bound.scps)
            by = by if without.result == ALLOWED else found.by
        return Ruling(found.result, by, action, resource, caller.arn)

    def _about(self, caller: Credential, resource: str, account: str, held: dict[str, str]) -> dict[str, Value]:
        """Condition keys of the caller's own tags, and of a resource of this account that holds these."""
        found: dict[str, Value] = {"aws:ResourceAccount": account}
        if self.register.of_organization(account):
            found |= {"aws:ResourceOrgID": self.register.organization, "aws:ResourceOrgPaths": NOT_KNOWN}
        if caller.account in self.register.accounts:
            found |= tags.keys("aws:PrincipalTag", tags.of_principal(caller.account, caller.owner))
        service = resource.split(":")[2] if ":" in resource else ""
        return found | tags.keys("aws:ResourceTag", held) | tags.keys(f"{service}:ResourceTag", held)

    def policies(self, caller: Credential) -> Policies:
        """Everything that binds a caller now."""
        if caller.account not in self.register.accounts or caller.owner.endswith(":root"):
            return Policies([_ALL], None, self._scps(caller))
        iam = backend("iam", caller.account)
        found: list[Document] = []
        if caller.role:
            role = by_arn(caller.account, caller.role)
            found += _held(role)
            arn = boundary_of(role)
        else:
            user = by_arn(caller.account, caller.owner)
            arn = boundary_of(user)
            groups = [group for group in iam.groups.values() if user in group.users]
            found += [document for holder in (user, *groups) if holder is not None for document in _held(holder)]
        return Policies(found, managed(caller.account, arn) if arn else None, self._scps(caller))

    def _scps(self, caller: Credential) -> list[list[Document]] | None:
        """Service control policies from the root to the account; None where none bind."""
        if "/aws-service-role/" in caller.owner or caller.account not in self.register.accounts:
            return None
        if not re.search(r":(?:user|role)/|:root$", caller.owner):  # a provider is no principal of the account
            return None
        for account in self.register.accounts:
            organizations = backend("organizations", account)
            if organizations.org and organizations.org.master_account_id == account != caller.account:
                return _levels(organizations, caller.account)
        return None


def refusal(asked: Asked, ruling: Ruling) -> Refused:
    """The service's error for a call that a ruling does not let through, in AWS's words.

    Source: IAM user guide, "Troubleshoot access denied error messages".
    """
    if ruling.result == INVALID:
        if ruling.by.endswith("expired"):
            return asked.expired()
        code, status, text = _UNKNOWN_KEY[asked.protocol]
        return Refused(code, text, status)
    code, status = _DENIED[asked.protocol]
    where = f" on resource: {ruling.resource}" if ruling.resource != "*" else ""
    because = f"because no {_kind(ruling.by)} allows the {ruling.action} action"
    if ruling.result == DENIED:
        because = f"with an explicit deny in {_article(_kind(ruling.by))}"
    return Refused(
        code, f"User: {ruling.caller} is not authorized to perform: {ruling.action}{where} {because}", status
    )


def _kind(by: str) -> str:
    """Kind of policy that a decision names, in AWS's words."""
    kinds = {
        "service control policy": "service control policy",
        "permissions boundary": "permissions boundary",
        "session policy": "session policy",
        "resource policy": "resource-based policy",
    }
    return next((words for start, words in kinds.items() if by.startswith(start)), "identity-based policy")


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _held(holder: Any) -> list[Document]:  # noqa: ANN401 - moto has no types
    """Documents of a user's, group's or role's inline and attached policies."""
    inline = [json.loads(text) if isinstance(text, str) else text for text in list(holder.policies.values())]
    return inline + [_default(policy) for policy in list(holder.managed_policies.values())]


def _default(policy: Any) -> Document:  # noqa: ANN401 - moto has no types
    content: Document = json.loads(next(one.document for one in policy.versions if one.is_default))
    return content


def managed(account: str, arn: str) -> Document:
    """Managed policy of an account by its ARN; one that is not there allows nothing."""
    found = backend("iam", account).managed_policies.get(arn)
    return _default(found) if found else {"Version": "2012-10-17", "Statement": []}


def _levels(organizations: Any, account: str) -> list[list[Document]] | None:  # noqa: ANN401 - moto has no types
    root = next(one for one in organizations.ou if not getattr(one, "parent_id", None))
    if all(one["Type"] != "SERVICE_CONTROL_POLICY" for one in root.policy_types):
        return None
    member = next((one for one in organizations.accounts if one.id == account), None)
    path, known = [member] if member else [], {one.id: one for one in organizations.ou}
    while path and (above := known.get(getattr(path[-1], "parent_id", None))):
        path.append(above)
    return [
        [
            json.loads(policy.content)
            for policy in organizations.policies
            if policy.type == "SERVICE_CONTROL_POLICY" and any(one is holder for one in policy.attachments)
        ]
        for holder in reversed(path)
    ]


def _resource_policy(resource: str, action: str) -> Document | None:
    """Policy of a resource, where the emulated accounts hold one."""
    parts = resource.split(":")
    if len(parts) < 6:
        return None
    service, account = parts[2], parts[4]
    if service == "s3":
        name = parts[5].split("/")[0]
        holder = calls.bucket_owner(name)
        policy = backend("s3", holder).buckets[name].policy if holder else None
        return json.loads(policy) if policy else None
    if service == "iam" and action.startswith("sts:AssumeRole"):
        role = by_arn(account, resource)
        return json.loads(role.assume_role_policy_document) if role else None
    if service == "kms":
        keys = backend("kms", account, parts[3]).keys
        key = keys.get(parts[5].removeprefix("key/"))
        return json.loads(key.policy) if key and key.policy else None
    if service == "secretsmanager":
        secret = backend("secretsmanager", account, parts[3]).secrets.get(resource)
        return json.loads(secret.policy) if secret and secret.policy else None
    return None


def _doubtful(documents: Iterable[Document], context: Mapping[str, Value], *, tagged: bool) -> dict[str, Value]:
    """Condition keys of these policies whose values nobody here knows; `tagged`: the resource's tags are known."""
    have = {key.lower() for key in context}
    return {
        key: NOT_KNOWN
        for document in documents
        for statement in _statements(document)
        for keys in (statement.get("Condition") or {}).values()
        for key in keys
        if key.lower() not in have and not (tagged if _RESOURCE_TAG.fullmatch(key) else _ABSENT.fullmatch(key))
    }


def _statements(document: Document) -> Sequence[Mapping[str, Any]]:
    found = document.get("Statement", [])
    return found if isinstance(found, list) else [found]
