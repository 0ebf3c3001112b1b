"""All credentials of the practice accounts: whose each is, when it was issued, until when, and what policies see of it.

Long-term keys, users, roles and passwords are looked up in the accounts as they are at that moment. Sessions are those
of the logs, and those that are issued in the practice accounts since.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cirtlib.policy.conditions import NOT_KNOWN, Value
from cirtlib.training.account_state import backend, by_arn

Json = dict[str, Any]
Document = Mapping[str, Any]

# How long a session lasts of which no record tells: console and Identity Center; longest of a role.
_CONSOLE = dt.timedelta(hours=12)
_MINTS = ("AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "GetSessionToken", "GetFederationToken")


@dataclass(frozen=True)
class Credential:
    """One credential.

    Attributes
    ----------
    key
        Access key id.
    account
        Account of whoever holds it.
    arn
        As sts:GetCallerIdentity tells it: a user, a role session, root.
    owner
        ARN of the user or role that it acts for, path included.
    issued, expires
        None for a long-term key; of the logs' sessions, `expires` is far away when they were alive at the end.
    context
        Condition keys that come with it.
    policies
        Session policies, None when there are none.
    console
        Whether it belongs to a session of the console.
    """

    key: str
    account: str
    arn: str
    owner: str
    issued: dt.datetime | None = None
    expires: dt.datetime | None = None
    context: Mapping[str, Value] = field(default_factory=dict)
    policies: tuple[Document, ...] | None = None
    console: bool = False

    @property
    def role(self) -> str:
        """ARN of the role behind a session, else empty."""
        return self.owner if ":role/" in self.owner else ""

    @property
    def name(self) -> str:
        """Name of the user or role."""
        return self.owner.rsplit("/", 1)[-1]


ALIVE = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)


@dataclass
class Register:
    """Credentials by access key id; `organization` is the id of the accounts' organization."""

    accounts: tuple[str, ...]
    organization: str = ""
    sessions: dict[str, Credential] = field(default_factory=dict)

    @classmethod
    def of(
        cls, accounts: Iterable[str], records: Iterable[Json], as_of: dt.datetime, organization: str = ""
    ) -> "Register":
        """Register of the sessions that records tell of: who was issued which, and who used one of unknown issue."""
        register = cls(tuple(accounts), organization)
        for record in sorted(records, key=lambda one: (one["eventTime"], one["eventID"])):
            register._issued_in(record, as_of)
            register._used_in(record, as_of)
        return register

    def find(self, key: str) -> Credential | None:
        """Credential with this access key id as it is now; None where there is none (or no longer).

        A long-term key is found whatever its status: see `active`.
        """
        if key in self.sessions:
            return self._whole(self.sessions[key])
        for account in self.accounts:
            iam = backend("iam", account)
            for user in iam.users.values():
                if any(one.access_key_id == key for one in user.access_keys):
                    return self._long_term(key, account, user)
        return None

    def active(self, credential: Credential, now: dt.datetime) -> str:
        """Empty when the credential is good, else why not: deactivated, deleted or expired."""
        if not self.exists(credential):
            return "deleted"
        if credential.issued is None:
            user = by_arn(credential.account, credential.owner)
            status = next(one.status for one in user.access_keys if one.access_key_id == credential.key)
            return "" if status == "Active" else "deactivated"
        return "expired" if credential.expires and credential.expires <= now else ""

    def exists(self, credential: Credential) -> bool:
        """Whether the user or role behind a credential is there, and still the one that it was issued for."""
        if credential.account not in self.accounts or credential.owner.endswith(":root"):
            return True
        holder = by_arn(credential.account, credential.owner)
        if holder is None:
            return False
        if credential.issued is None:
            return any(one.access_key_id == credential.key for one in holder.access_keys)
        # a session is bound to the unique id: one of the same name that was made anew is somebody else
        bound = str(credential.context.get("aws:userid", "")).partition(":")[0]
        return bound in ("", holder.id)

    def issue(self, credential: Credential) -> Credential:
        """Add a session that was issued now."""
        self.sessions[credential.key] = credential
        return credential

    def session(  # noqa: PLR0913 - what a session is made of
        self,
        key: str,
        role: str,
        name: str,
        *,
        issued: dt.datetime,
        expires: dt.datetime,
        role_id: str = "",
        context: Mapping[str, Value] | None = None,
        policies: tuple[Document, ...] | None = None,
    ) -> Credential:
        """Make the credential of a role session."""
        account = role.split(":")[4]
        arn = f"arn:aws:sts::{account}:assumed-role/{role.rsplit('/', 1)[-1]}/{name}"
        base: dict[str, Value] = {
            "aws:PrincipalArn": role,
            "aws:PrincipalAccount": account,
            "aws:PrincipalType": "AssumedRole",
            "aws:TokenIssueTime": _iso(issued),
            "aws:userid": f"{role_id}:{name}",
            "aws:MultiFactorAuthPresent": "false",  # whoever used a device brings along that they did
        }
        return Credential(
            key, account, arn, role, issued, expires, self._member(account) | base | dict(context or {}), policies
        )

    def foreign(self, account: str) -> Credential:
        """Somebody with all rights in an account that is not ours: the attacker's own."""
        arn = f"arn:aws:iam::{account}:user/operator"
        context = self.person(arn, f"AIDAFOREIGN{account}")
        return Credential(f"AKIAFOREIGN{account}", account, arn, arn, None, None, context)

    def service(self, name: str) -> Credential:
        """A service of AWS, as `ec2.amazonaws.com`: it has no policies of its own."""
        return Credential("", "service", name, name, None, None, {"aws:PrincipalIsAWSService": "true"})

    def provider(self, arn: str, account: str, context: Mapping[str, Value]) -> Credential:
        """An identity provider of an account: it has no policies of its own."""
        return Credential("", account, arn, arn, None, None, context)

    def person(self, arn: str, unique_id: str) -> dict[str, Value]:
        """Condition keys that a user or root brings along, whatever kind of credential they use."""
        account = arn.split(":")[4]
        root = arn.endswith(":root")
        context: dict[str, Value] = {
            "aws:PrincipalArn": arn,
            "aws:PrincipalAccount": account,
            "aws:PrincipalType": "Account" if root else "User",
            "aws:userid": unique_id,
        }
        return self._member(account) | context | ({} if root else {"aws:username": arn.rsplit("/", 1)[-1]})

    def of_organization(self, account: str) -> bool:
        """Whether an account is a member of the organization."""
        return bool(self.organization) and account in self.accounts

    def _whole(self, session: Credential) -> Credential:
        """A session with the unique id of its role, where nothing told it when it was issued."""
        user_id = session.context.get("aws:userid")
        role = by_arn(session.account, session.role) if session.role and session.account in self.accounts else None
        if role is None or not isinstance(user_id, str) or not user_id.startswith(":"):
            return session
        return replace(session, context={**session.context, "aws:userid": f"{role.id}{user_id}"})

    def _member(self, account: str) -> dict[str, Value]:
        if not self.of_organization(account):
            return {}
        return {"aws:PrincipalOrgID": self.organization, "aws:PrincipalOrgPaths": NOT_KNOWN}

    def _long_term(self, key: str, account: str, user: Any) -> Credential:  # noqa: ANN401 - moto has no types
        return Credential(key, account, user.arn, user.arn, None, None, self.person(user.arn, user.id))

    def _issued_in(self, record: Json, as_of: dt.datetime) -> None:
        """Enter the credentials that a record of STS hands out."""
        answer = (record.get("responseElements") or {}).get("credentials") or {}
        key = answer.get("accessKeyId")
        if not key or key in self.sessions or record["eventName"] not in _MINTS or record.get("errorCode"):
            return
        given, issued = record["requestParameters"] or {}, _time(record["eventTime"])
        expires = _human(answer.get("expiration")) or issued + dt.timedelta(seconds=given.get("durationSeconds", 3600))
        caller = record["userIdentity"]
        if "roleArn" in given:
            made = (record["responseElements"] or {}).get("assumedRoleUser", {}).get("assumedRoleId", "")
            role, name = given["roleArn"], given["roleSessionName"]
            context = _federated(record)
            if given.get("serialNumber"):
                context["aws:MultiFactorAuthPresent"] = "true"
            if name.startswith("i-"):
                context["ec2:SourceInstanceARN"] = (
                    f"arn:aws:ec2:{record['awsRegion']}:{role.split(':')[4]}:instance/{name}"
                )
            found = self.session(
                key, role, name, issued=issued, expires=expires, role_id=made.partition(":")[0], context=context
            )
        else:
            found = self._user_session(key, caller, issued, expires)
        self.sessions[key] = _kept(found, as_of)

    def _used_in(self, record: Json, as_of: dt.datetime) -> None:
        """Enter the session that a record was made with, or complete what is known of it."""
        identity = record["userIdentity"]
        key = identity.get("accessKeyId", "")
        context = identity.get("sessionContext", {})
        if not key.startswith("ASIA") or not context.get("attributes"):
            return
        mfa = {"aws:MultiFactorAuthPresent": context["attributes"].get("mfaAuthenticated", "false")}
        if key in self.sessions:
            known = self.sessions[key]
            self.sessions[key] = replace(known, context={**known.context, **mfa})
            return
        issued = _time(context["attributes"]["creationDate"])
        expires = issued + _CONSOLE
        if identity["type"] == "AssumedRole":
            issuer, name = context["sessionIssuer"], identity["arn"].rsplit("/", 1)[-1]
            found = self.session(
                key, issuer["arn"], name, issued=issued, expires=expires, role_id=issuer["principalId"], context=mfa
            )
        else:
            found = self._user_session(key, identity, issued, expires)
            found = replace(found, context={**found.context, **mfa})
        self.sessions[key] = replace(_kept(found, as_of), console=record.get("sessionCredentialFromConsole") == "true")

    def _user_session(self, key: str, caller: Json, issued: dt.datetime, expires: dt.datetime) -> Credential:
        """A user's session, by GetSessionToken or in the console: it acts for the user."""
        arn, account = caller["arn"], caller["accountId"]
        context = self.person(arn, caller.get("principalId", "")) | {"aws:TokenIssueTime": _iso(issued)}
        return Credential(key, account, arn, arn, issued, expires, context)


def _kept(found: Credential, as_of: dt.datetime) -> Credential:
    """A session of the logs: expiry stands still, whoever was alive at the end stays so."""
    alive = found.expires is None or found.expires > as_of
    return replace(found, expires=ALIVE if alive else found.expires)


def _federated(record: Json) -> dict[str, Value]:
    """Condition keys of a session that an identity provider vouched for."""
    given, answer = record["requestParameters"] or {}, record["responseElements"] or {}
    context: dict[str, Value] = {}
    if source := answer.get("sourceIdentity") or given.get("sourceIdentity"):
        context["aws:SourceIdentity"] = source
    if provider := answer.get("provider") or given.get("principalArn"):
        context["aws:FederatedProvider"] = provider
    for tag in given.get("tags", []):
        context[f"aws:PrincipalTag/{tag['key']}"] = tag["value"]
    return context


def _human(text: str | None) -> dt.datetime | None:
    """Expiry as STS writes it, `Jun 9, 2026, 2:05:01 PM`, in UTC."""
    if not text:
        return None
    return dt.datetime.strptime(text.replace("\u202f", " "), "%b %d, %Y, %I:%M:%S %p").replace(tzinfo=dt.UTC)


def _time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def _iso(at: dt.datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
