"""Legitimate uses of the accounts: what ordinary principals did before, and whether they still can.

Each gets a new credential the way it always did, and the call is put to the front. Only what a principal could do at
the end of the logs can be broken.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cirtlib.policy.conditions import Value
from cirtlib.training.account_state import by_arn
from cirtlib.training.exercise.record import Record
from cirtlib.training.practice import tokens
from cirtlib.training.practice.authorise import Authority
from cirtlib.training.practice.isolation import cut_off, handed_out
from cirtlib.training.practice.rebuild import call_of
from cirtlib.training.practice.register import Credential
from cirtlib.training.practice.rehearse import Rehearsal
from cirtlib.training.practice.untried import OTHERS, UNWRITTEN, Untried

Json = dict[str, Any]
_KEPT = 3
_SERVICES = {"ec2.amazonaws.com": "an instance", "lambda.amazonaws.com": "a function"}


@dataclass(frozen=True)
class Source:
    """How a principal gets its credential.

    Attributes
    ----------
    kind
        key, console, role (assumed by a principal), service, provider, or instance.
    owner
        ARN of the user or role.
    by
        Access key id; ARN of who assumes; name of the service; ARN of the provider; id of the instance.
    """

    kind: str
    owner: str
    by: str = ""
    region: str = ""

    @property
    def words(self) -> str:
        """In words."""
        how = {
            "key": f"with access key {self.by}",
            "console": "in the console",
            "role": f"assumed by {self.by}",
            "service": f"used by {_SERVICES.get(self.by, self.by)}",
            "provider": f"assumed through {self.by}",
            "instance": f"on instance {self.by}",
        }
        return f"{self.owner} {how[self.kind]}"


@dataclass(frozen=True)
class Use:
    """One call of a principal's everyday work."""

    source: Source
    service: str
    operation: str
    given: Mapping[str, Any]
    region: str
    address: str
    event_ids: tuple[str, ...]
    context: Mapping[str, Value]

    @property
    def call(self) -> str:
        """As `s3:GetObject`."""
        return f"{self.service}:{self.operation}"


def uses(record: Record, untried: Untried) -> list[Use]:
    """Everyday uses in the logs, up to the end: each kind of call once for each principal and way.

    What a principal did and cannot be tried is noted; so are sign-ins and the like, whoever they are of.
    """
    not_theirs = {tuple(pair) for pair in record.truth["attacker_events"]}
    mints = _mints(record)
    found: dict[tuple[Source, str, str], Use] = {}
    left: dict[Source, Untried] = {}
    for pair, event in sorted(record.events.items(), key=lambda item: (item[1]["eventTime"], item[0])):
        if pair in not_theirs or event.get("errorCode"):
            continue
        source = _source(event, mints)
        named = call_of(event)
        if named is None:
            untried.rebuilt(OTHERS, event)
        if source is None or named is None or named[1].startswith("AssumeRoleWith"):
            continue
        place = (source, *named)
        if place in found:
            if len(found[place].event_ids) < _KEPT:
                found[place] = replace(found[place], event_ids=(*found[place].event_ids, event["eventID"]))
            continue
        rebuilt = left.setdefault(source, Untried()).rebuilt(OTHERS, event)
        if rebuilt is None:
            continue
        context = mints.get(event["userIdentity"].get("accessKeyId", ""), (source, {}))[1]
        found[place] = Use(source, *rebuilt, event["awsRegion"], event["sourceIPAddress"], (event["eventID"],), context)
    tried = {(source, f"{service}:{operation}") for source, service, operation in found}
    for source, one in left.items():
        for (whose, call, why), event_ids in one.kinds.items():
            if (source, call) not in tried:  # another record of the same call may have told enough
                untried.note(whose, call, why, *event_ids)
    return list(found.values())


def allowed(authority: Authority, rehearsal: Rehearsal, chosen: list[Use], untried: Untried) -> dict[int, str]:
    """Number of each use -> '' when it works now, else what stops it. What cannot be tried is noted, and works."""
    credentials: dict[Source, tuple[Credential | None, str]] = {}
    found = {}
    for number, use in enumerate(chosen):
        if use.source not in credentials:
            credentials[use.source] = _credential(authority, use)
        held, why = credentials[use.source]
        if held is None:
            found[number] = why
            continue
        ruled = rehearsal.rule(
            held.key, use.service, use.operation, dict(use.given), region=use.region, address=_outside(use.address)
        )
        if ruled is None:
            untried.note(OTHERS, use.call, UNWRITTEN, *use.event_ids)
        found[number] = "" if ruled is None or ruled.passes else ruled.why or ruled.result
    return found


def _outside(address: str) -> str:
    """Address of a caller; of a call that a service made for somebody there is none."""
    return address if address[:1].isdigit() or ":" in address else ""


def _credential(authority: Authority, use: Use) -> tuple[Credential | None, str]:
    """A new credential for a use, got as ever; or why there is none."""
    source = use.source
    account, name = source.owner.split(":")[4], source.owner.rsplit("/", 1)[-1]
    if source.kind == "key":
        known = authority.register.find(source.by)
        bad = authority.register.active(known, authority.now()) if known else "deleted"
        return (None, f"access key {source.by} is {bad}") if bad or known is None else (known, "")
    if source.kind == "console":
        user = by_arn(account, source.owner)
        if user is None or user.password is None:
            return None, f"{name} cannot sign in any more"
        return tokens.sign_in(authority, user, mfa=True), ""
    if by_arn(account, source.owner) is None:
        return None, f"role {name} is gone"
    if source.kind == "instance":
        role, why = handed_out(account, source.region, source.by)
        why = why or cut_off(account, source.region, source.by)
        if why or role != source.owner:
            return None, why or "the instance hands out another role"
    return _enter(authority, use, name)


def _enter(authority: Authority, use: Use, name: str) -> tuple[Credential | None, str]:
    """A new session of a role, if its trust policy lets the usual caller in."""
    source = use.source
    action = "sts:AssumeRole"
    caller: Credential | None
    if source.kind == "provider":
        action += "WithSAML" if ":saml-provider/" in source.by else "WithWebIdentity"
        caller = authority.register.provider(source.by, source.owner.split(":")[4], use.context)
    elif source.kind in ("service", "instance"):
        caller = authority.register.service(source.by if source.kind == "service" else "ec2.amazonaws.com")
    else:
        caller = _known(authority, source.by)
    if caller is None:
        return None, f"{source.by} is gone"
    address = _outside(use.address)
    ruled = authority.assumes(caller, source.owner, region=use.region, address=address, action=action)
    if not ruled.passes:
        return None, f"{source.by} may not assume role {name} any more ({ruled.why})"
    made = tokens.issue(authority, source.owner, source.by if source.kind == "instance" else "everyday")
    return made, ""


def _known(authority: Authority, arn: str) -> Credential | None:
    """A user or role as the caller of AssumeRole, with the policies that it has now."""
    account = arn.split(":")[4]
    known = by_arn(account, arn)
    if known is None:
        return None
    now = authority.now()
    if ":role/" in arn:
        return authority.register.session(
            "", arn, "everyday", issued=now, expires=now + dt.timedelta(hours=1), role_id=str(known.id)
        )
    return Credential("", account, arn, arn, None, None, authority.register.person(arn, str(known.id)))


def _mints(record: Record) -> dict[str, tuple[Source, dict[str, Value]]]:
    """Session key -> how it was got, and the condition keys of the entry."""
    found: dict[str, tuple[Source, dict[str, Value]]] = {}
    for event in record.events.values():
        answer = (event.get("responseElements") or {}).get("credentials") or {}
        given = event.get("requestParameters") or {}
        key, role = answer.get("accessKeyId"), given.get("roleArn")
        identity = event["userIdentity"]
        if not key or not role or identity.get("type") == "AWSAccount":
            continue
        source, context = _entry(event, role), _said(event)
        found[key] = (source, context)
    return found


def _entry(event: Json, role: str) -> Source:
    """How a record of STS opened a role."""
    identity, given = event["userIdentity"], event["requestParameters"]
    name = str(given.get("roleSessionName", ""))
    if identity.get("type") == "AWSService":
        service = str(identity["invokedBy"])
        if service == "ec2.amazonaws.com" and name.startswith("i-"):
            return Source("instance", role, name, event["awsRegion"])
        return Source("service", role, service)
    if event["eventName"] == "AssumeRoleWithSAML":
        return Source("provider", role, str(given["principalArn"]))
    if event["eventName"] == "AssumeRoleWithWebIdentity":
        return Source("provider", role, str(identity["identityProvider"]))
    issuer = identity.get("sessionContext", {}).get("sessionIssuer", {}).get("arn")
    return Source("role", role, str(issuer or identity["arn"]))


def _said(event: Json) -> dict[str, Value]:
    """Condition keys that an identity provider's entry brings along."""
    answer = event.get("responseElements") or {}
    if event["eventName"] == "AssumeRoleWithSAML":
        return {"SAML:aud": str(answer.get("audience", "")), "SAML:iss": str(answer.get("issuer", ""))}
    if event["eventName"] == "AssumeRoleWithWebIdentity":
        provider = str(answer.get("provider", "")).partition("oidc-provider/")[2]
        subject, audience = answer.get("subjectFromWebIdentityToken", ""), answer.get("audience", "")
        return {f"{provider}:sub": str(subject), f"{provider}:aud": str(audience)}
    return {}


def _source(event: Json, mints: Mapping[str, tuple[Source, dict[str, Value]]]) -> Source | None:
    """How the caller of a record had got its credential; None where that is no principal of the accounts."""
    identity = event["userIdentity"]
    kind, key = identity.get("type"), identity.get("accessKeyId", "")
    if kind == "IAMUser":
        if key.startswith("AKIA"):
            return Source("key", identity["arn"], key)
        return Source("console", identity["arn"]) if identity.get("sessionContext") else None
    return _role_source(identity, key, mints) if kind == "AssumedRole" else None


def _role_source(identity: Json, key: str, mints: Mapping[str, tuple[Source, dict[str, Value]]]) -> Source | None:
    role = identity["sessionContext"]["sessionIssuer"]["arn"]
    if "/aws-service-role/" in role:
        return None
    if key in mints:
        return mints[key][0]
    if "/aws-reserved/sso.amazonaws.com/" not in role:
        return None
    # through the portal of Identity Center: which record opened this session, none tells
    provider = next((one.by for one, _ in mints.values() if one.owner == role and one.kind == "provider"), "")
    return Source("provider", role, provider) if provider else None
