"""The attacker tries again: with every credential they held, by every way in that they made, everything they did.

What they hold stands in the generator's record. A way in that needs a new session (a role, a password, an instance) is
judged by the accounts' policies and state at that moment; each call is then put to the front with that session's key.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from cirtlib.training.account_state import INITIAL_PASSWORD, backend, by_arn
from cirtlib.training.exercise.record import Record
from cirtlib.training.practice import tokens
from cirtlib.training.practice.authorise import Authority
from cirtlib.training.practice.further import steps
from cirtlib.training.practice.isolation import attackers_addresses, handed_out, isolated
from cirtlib.training.practice.journal import reads
from cirtlib.training.practice.register import Credential
from cirtlib.training.practice.rehearse import Rehearsal
from cirtlib.training.practice.untried import ATTACKER, UNWRITTEN, Untried

Json = dict[str, Any]
_MACHINE, _PASSWORD = "what an instance hands out", "a sign-in with a password"
_OUTSIDE = "a role, from an account of the attacker's own"
_KEPT = 5  # event ids that a call cites
# They succeed for whoever has a credential, and give no access.
_NOTHING = {"sts:GetCallerIdentity", "sts:GetSessionToken"}


@dataclass(frozen=True)
class Try:
    """One call that the attacker tried again.

    Attributes
    ----------
    way, kind
        The credential or way in, in words; and what kind of one it is.
    event_ids
        Records of the same call in the attack; none for what they had not done yet.
    writes
        Whether it changes or takes something; else it looks.
    result
        open, closed, or unknown; `by` says what stops it.
    further
        Whether they had not done it, and it counts only for whoever could at first.
    """

    way: str
    kind: str
    owner: str
    service: str
    operation: str
    account: str
    event_ids: tuple[str, ...]
    writes: bool
    result: str
    by: str
    further: bool = False

    @property
    def call(self) -> str:
        """As `iam:CreateUser`."""
        return f"{self.service}:{self.operation}"

    def to_dict(self) -> Json:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Way:
    """A credential or way in: in words, for whom it acts, the key that it gives now, or why it gives none."""

    name: str
    kind: str
    owner: str
    key: str = ""
    closed: str = ""
    event_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Call:
    service: str
    operation: str
    given: Json
    region: str
    address: str
    event_ids: tuple[str, ...] = ()
    further: bool = False

    @property
    def writes(self) -> bool:
        return not reads(self.operation) or self.operation in ("GetSecretValue", "GetObject", "GetParameter")


def try_all(authority: Authority, rehearsal: Rehearsal, record: Record, untried: Untried) -> list[Try]:
    """Try every way with every call; a way that gives no credential is one row. What cannot be tried is noted."""
    did, addresses = _did(record, untried)
    found: list[Try] = []
    held = ways(authority, record)
    further = {account: steps(record, account) for account in {way.owner.split(":")[4] for way in held if way.key}}
    for way in held:
        about = (way.name, way.kind, way.owner)
        if not way.key:
            found.append(Try(*about, "", "", "", way.event_ids, writes=True, result="closed", by=way.closed))
            continue
        account = way.owner.split(":")[4]
        address = addresses.get(way.owner, next(iter(addresses.values()), ""))
        more = [
            _Call(step.service, step.operation, step.given, step.region, address, further=step.named)
            for step in further[account]
        ]
        for call in did.get(way.owner, []) + more:
            name = f"{call.service}:{call.operation}"
            if name in _NOTHING or call.operation == "AssumeRole":
                continue
            ruled = rehearsal.rule(
                way.key, call.service, call.operation, call.given, region=call.region, address=call.address
            )
            if ruled is None:
                untried.note(ATTACKER, name, UNWRITTEN, *call.event_ids)
                continue
            result = {"allowed": "open", "unknown": "unknown"}.get(ruled.result, "closed")
            found.append(
                Try(
                    *about,
                    call.service,
                    call.operation,
                    account,
                    call.event_ids,
                    writes=call.writes,
                    result=result,
                    by=ruled.why,
                    further=call.further,
                )
            )
    return found


def ways(authority: Authority, record: Record) -> list[Way]:
    """All credentials and ways in, with the key that each gives at this moment."""
    held = [*_credentials(authority, record), *_passwords(authority, record), *_machines(authority, record)]
    held += _foreign(authority, record)
    entered: dict[tuple[str, str], Way] = {}  # by role and who assumed it: each pair once, so that it ends
    reached = [way for way in held if way.key]
    for way in reached:  # it grows while roles open: a role that a role opens is tried, too
        for found in _roles(authority, record, way):
            pair = (found.owner, way.owner)
            if pair not in entered or (found.key and not entered[pair].key):
                entered[pair] = found
                reached += [found] if found.key else []
    return held + list(entered.values())


def _credentials(authority: Authority, record: Record) -> Iterator[Way]:
    """Keys and sessions that the attacker had in hand."""
    now = authority.now()
    for node in record.truth["extent"]:
        if node["kind"] != "credential":
            continue
        known = _known(authority, node["value"])
        if known is None:
            yield Way(
                f"credential {node['value']}", "a credential", "::::", closed="there is no such credential any more"
            )
            continue
        what = "access key" if known.issued is None else "console session" if known.console else "session"
        name = f"{what} {node['value']} of {known.owner}"
        bad = authority.register.active(known, now)
        if bad == "expired" and known.expires and known.expires <= record.as_of:
            continue  # it had run out before anybody looked
        yield Way(
            name,
            {"access key": "an access key"}.get(what, f"a {what}"),
            known.owner,
            "" if bad else known.key,
            f"it is {bad}" if bad else "",
        )


def _known(authority: Authority, value: str) -> Credential | None:
    """Credential that a node names: by key id, or a console session by principal id and time."""
    if "/" not in value:
        return authority.register.find(value)
    principal, _, created = value.partition("/")
    for one in list(authority.register.sessions.values()):
        if one.context.get("aws:userid") == principal and one.context.get("aws:TokenIssueTime") == created:
            return one
    return None


def _passwords(authority: Authority, record: Record) -> Iterator[Way]:
    """Passwords that the attacker made or learnt: good while they are the same and no MFA device asks for more."""
    for arn, ids in _signed_in(record).items():
        user = by_arn(arn.split(":")[4], arn)
        words = f"sign-in of {arn} with its password"
        if user is None or user.password is None:
            yield Way(
                words,
                _PASSWORD,
                arn,
                closed="there is no such user any more" if user is None else "the password is gone",
                event_ids=ids,
            )
        elif user.password != INITIAL_PASSWORD:
            yield Way(words, _PASSWORD, arn, closed="the password is another", event_ids=ids)
        elif user.mfa_devices:
            yield Way(words, _PASSWORD, arn, closed="an MFA device is asked for", event_ids=ids)
        else:
            yield Way(words, _PASSWORD, arn, tokens.sign_in(authority, user, mfa=False).key, event_ids=ids)


def _signed_in(record: Record) -> dict[str, tuple[str, ...]]:
    """Users whose password the attacker knows, with the records that show it."""
    found: dict[str, tuple[str, ...]] = {}
    for event in _attack(record):
        identity, told = event["userIdentity"], event.get("requestParameters") or {}
        arn = ""
        if event["eventName"] in ("CreateLoginProfile", "UpdateLoginProfile") and not event.get("errorCode"):
            account = event["recipientAccountId"]
            arn = next(
                (
                    one["Arn"]
                    for one in record.after["accounts"][account]["users"]
                    if one["UserName"] == told["userName"]
                ),
                "",
            )
        elif event["eventName"] == "ConsoleLogin" and identity.get("type") == "IAMUser":
            arn = identity.get("arn", "")
        if arn:
            found[arn] = (*found.get(arn, ()), event["eventID"])[:_KEPT]
    return found


def _machines(authority: Authority, record: Record) -> Iterator[Way]:
    """Instances that the attacker is in, or started: they fetch what the metadata service hands out now."""
    theirs = [
        node["value"]
        for node in record.truth["extent"]
        if node["status"] == "attacker_created" and ":instance/" in node["value"]
    ]
    addresses = attackers_addresses(record)
    for arn in [*record.truth["leads"], *theirs]:
        account, region, instance = arn.split(":")[4], arn.split(":")[3], arn.rsplit("/", 1)[-1]
        role, why = handed_out(account, region, instance)
        why = why or isolated(account, region, instance, addresses) or _untrusting(authority, role, region)
        words = f"credentials that instance {instance} hands out"
        if why:
            yield Way(words, _MACHINE, f"arn:aws:ec2:{region}:{account}:instance/{instance}", closed=why)
            continue
        made = tokens.issue(authority, role, instance, seconds=21600)
        authority.register.issue(replace(made, context={**made.context, "ec2:SourceInstanceARN": arn}))
        yield Way(words, _MACHINE, role, made.key)


def _untrusting(authority: Authority, role: str, region: str) -> str:
    """Why an instance gets no new session of its role; '' when it does."""
    ruled = authority.assumes(authority.register.service("ec2.amazonaws.com"), role, region=region, address="")
    return "" if ruled.passes else f"no instance may assume role {role.rsplit('/', 1)[-1]} ({ruled.why})"


def _foreign(authority: Authority, record: Record) -> Iterator[Way]:
    """Accounts of the attacker's own that a role's trust policy lets in."""
    for event in _attack(record):
        if event["eventName"] != "UpdateAssumeRolePolicy" or event.get("errorCode"):
            continue
        account, name = event["recipientAccountId"], event["requestParameters"]["roleName"]
        role = next((one for one in backend("iam", account).roles.values() if one.name == name), None)
        for foreign in record.truth["external_accounts"]:
            words = f"account {foreign} assumes role {name}"
            if role is None:
                yield Way(
                    words, _OUTSIDE, f"arn:aws:iam::{account}:role/{name}", closed="there is no such role any more"
                )
                continue
            yield _enter(authority, authority.register.foreign(foreign), role.arn, words, [event])


def _roles(authority: Authority, record: Record, way: Way) -> Iterator[Way]:
    """Roles that the attacker assumed with the credentials of this owner, assumed once more."""
    caller = authority.register.find(way.key)
    if caller is None:
        return
    done: dict[str, list[Json]] = {}
    for event in _attack(record):
        if event["eventName"] == "AssumeRole" and not event.get("errorCode") and _owner(event) == caller.owner:
            done.setdefault(event["requestParameters"]["roleArn"], []).append(event)
    for role, events in done.items():
        yield _enter(authority, caller, role, f"new session of {role} by {caller.owner}", events)


def _owner(event: Json) -> str:
    """ARN of the user or role that a record's caller acts for, '' where it tells none."""
    identity = event["userIdentity"]
    return str(identity.get("sessionContext", {}).get("sessionIssuer", {}).get("arn") or identity.get("arn", ""))


def _enter(authority: Authority, caller: Credential, role: str, words: str, events: list[Json]) -> Way:
    """Assume a role as in these records, if its trust and the caller's policies let one."""
    kind = "a new session of a role" if caller.account in authority.register.accounts else _OUTSIDE
    ids = tuple(event["eventID"] for event in events[:_KEPT])
    ruled = authority.assumes(caller, role, region=events[-1]["awsRegion"], address=events[-1]["sourceIPAddress"])
    if not ruled.passes:
        return Way(words, kind, role, closed=ruled.why or "it may not be assumed", event_ids=ids)
    if by_arn(role.split(":")[4], role) is None:
        return Way(words, kind, role, closed="there is no such role any more", event_ids=ids)
    return Way(words, kind, role, tokens.issue(authority, role, "attacker", by=caller).key, event_ids=ids)


def _attack(record: Record) -> list[Json]:
    """Records of the attacker's, in their order."""
    mine = [record.events[tuple(pair)] for pair in record.truth["attacker_events"]]
    return sorted(mine, key=lambda one: (one["eventTime"], one["eventID"]))


def _did(record: Record, untried: Untried) -> tuple[dict[str, list[_Call]], dict[str, str]]:
    """User or role -> what the attacker did through it, each call once; and the address they did it from."""
    calls: dict[str, dict[tuple[str, str, str], _Call]] = {}
    addresses: dict[str, str] = {}
    for event in _attack(record):
        owner = _owner(event)
        addresses[owner] = event["sourceIPAddress"]
        if event.get("errorCode"):
            continue
        named = untried.rebuilt(ATTACKER, event)
        if named is None:
            continue
        service, operation, given = named
        mine = calls.setdefault(owner, {})
        place = (service, operation, str(sorted(given.items(), key=str)))
        ids = mine[place].event_ids if place in mine else ()
        kept = (*ids, event["eventID"])[:_KEPT]
        mine[place] = _Call(service, operation, given, event["awsRegion"], event["sourceIPAddress"], kept)
    return {owner: list(found.values()) for owner, found in calls.items()}, addresses
