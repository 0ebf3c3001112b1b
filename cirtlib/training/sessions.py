"""Sessions and how they are minted: roles assumed by people, builds and services, and console sign-ins.

Source: IAM user guide, "Logging IAM and AWS STS API calls with AWS CloudTrail" (which side of a cross-account call
sees what), and published records of instance and Lambda credentials.
"""

import datetime as dt
from dataclasses import dataclass, replace

from cirtlib.training.identifiers import access_key, alphanumeric, guid
from cirtlib.training.shapes import (
    Book,
    Call,
    Caller,
    Json,
    Place,
    assumed,
    attributes,
    credentials,
    role_identity,
    role_resource,
    service_caller,
    service_place,
    user_identity,
    write,
)
from cirtlib.training.world import Function, Machine, Person, Pipeline, Role, User

PERMISSION_SET_SECONDS = 8 * 3600  # a working day: the session duration of every permission set here


@dataclass(frozen=True)
class Session:
    """A role session: its key is None for a console session, which gets a new key for each request."""

    role: Role
    name: str
    key: str | None
    created: dt.datetime
    context: Json
    records: tuple[Json, ...] = ()
    issued_to: tuple[str, str] | None = None

    def caller(self) -> Caller:
        """Make the caller that this session is; newer records tell to which instance or function it was issued."""
        identity = role_identity(self.role.arn, self.role.id, self.name, key=self.key, context=self.context)
        if self.issued_to:
            kind, arn = self.issued_to
            identity["inScopeOf"] = {"issuerType": kind, "credentialsIssuedTo": arn}
        return Caller(identity, self.role.account)

    def console(self, book: Book) -> Caller:
        """Make the caller of one request from the console, with a key of its own."""
        key = access_key(book.rng, "ASIA")
        identity = role_identity(self.role.arn, self.role.id, self.name, key=key, context=self.context)
        return Caller(identity, self.role.account, console=True)


@dataclass(frozen=True)
class Stay:
    """From where a credential is asked for: the place, and the Region whose STS is asked."""

    place: Place
    region: str


def key_caller(user: User) -> Caller:
    """Make the caller that a user with the long-term key is."""
    return Caller(user_identity(user.arn, user.id, user.key), user.account)


def assume_role(
    book: Book, caller: Caller, role: Role, stay: Stay, at: dt.datetime, *, name: str, seconds: int = 3600
) -> Session:
    """Assume a role; across accounts both sides get a record, which share a sharedEventID and not an eventID."""
    answer = {
        "credentials": credentials(book.rng, at, seconds=seconds),
        "assumedRoleUser": assumed(role.arn, role.id, name),
    }
    request = {"roleArn": role.arn, "roleSessionName": name, "durationSeconds": seconds}
    more: Json = {"resources": role_resource(role.arn)}
    if caller.account != role.account:
        more |= {"sharedEventID": guid(book.rng), "requestID": guid(book.rng)}
    call = Call("sts", "AssumeRole", stay.region, request, answer, more=more)
    records = [write(book, caller, call, stay.place, at)]
    if caller.account != role.account:
        other = {"type": "AWSAccount", "principalId": caller.identity["principalId"], "accountId": caller.account}
        records.append(write(book, Caller(other, role.account), call, stay.place, at))
    return Session(role, name, answer["credentials"]["accessKeyId"], at, attributes(at), tuple(records))


def refuse_role(book: Book, caller: Caller, role_arn: str, stay: Stay, at: dt.datetime) -> Json:
    """Refuse to let a role be assumed; the record tells the role only in its message."""
    who = caller.identity["arn"]
    message = f"User: {who} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"
    call = Call("sts", "AssumeRole", stay.region, error=("AccessDenied", message))
    return write(book, caller, call, stay.place, at)


def build_session(
    book: Book, pipeline: Pipeline, at: dt.datetime, *, run: int, region: str, name: str = ""
) -> tuple[Session, Place]:
    """Assume a pipeline's role with a web identity, as a build does when it starts; its run names the session."""
    role, provider = pipeline.role, "token.ci.example.com"
    subject, name = f"project:{pipeline.project}:ref:main", name or f"build-{run}"
    federated = f"arn:aws:iam::{role.account}:oidc-provider/{provider}"
    caller = {
        "type": "WebIdentityUser",
        "principalId": f"{federated}:sts.amazonaws.com:{subject}",
        "userName": subject,
        "identityProvider": federated,
    }
    answer: Json = {
        "credentials": credentials(book.rng, at),
        "subjectFromWebIdentityToken": subject,
        "assumedRoleUser": assumed(role.arn, role.id, name),
        "provider": federated,
        "audience": "sts.amazonaws.com",
    }
    request = {"durationSeconds": 3600, "roleSessionName": name, "roleArn": role.arn}
    call = Call(
        "sts", "AssumeRoleWithWebIdentity", region, request, answer, more={"resources": role_resource(role.arn)}
    )
    place = Place(pipeline.address, pipeline.agent)
    record = write(book, Caller(caller, role.account), call, place, at)
    web = {"webIdFederationData": {"federatedProvider": federated, "attributes": {}}}
    return Session(role, name, answer["credentials"]["accessKeyId"], at, web | attributes(at), (record,)), place


def machine_session(book: Book, machine: Machine, at: dt.datetime, *, agent: str) -> tuple[Session, Place]:
    """Mint an instance's credentials: EC2 assumes the instance role with the instance id as the session's name."""
    session = _service_mint(book, "ec2", machine.role, at, name=machine.id, region=machine.region)
    context = session.context | {"ec2RoleDelivery": machine.delivery}
    session = replace(session, context=context, issued_to=("AWS::EC2::Instance", machine.arn))
    return session, Place(machine.address if machine.endpoint else machine.public, agent, machine.endpoint)


def function_session(book: Book, function: Function, at: dt.datetime) -> tuple[Session, Place]:
    """Mint a Lambda function's credentials: the assume is named awslambda_…, the session after the function."""
    stamp = f"{at:%Y%m%d%H%M%S}{book.rng.randrange(1000):03d}"
    minted = _service_mint(
        book, "lambda", function.role, at, name=f"awslambda_{book.rng.randrange(90)}_{stamp}", region=function.region
    )
    session = replace(minted, name=function.name, issued_to=("AWS::Lambda::Function", function.arn))
    return session, Place(function.address, function.agent, function.endpoint)


def _service_mint(book: Book, service: str, role: Role, at: dt.datetime, *, name: str, region: str) -> Session:
    answer = {"credentials": credentials(book.rng, at, seconds=21600)}
    request = {"roleArn": role.arn, "roleSessionName": name}
    more = {"resources": role_resource(role.arn), "sharedEventID": guid(book.rng)}
    call = Call("sts", "AssumeRole", region, request, answer, more=more)
    record = write(book, service_caller(service, role.account), call, service_place(service), at)
    return Session(role, name, answer["credentials"]["accessKeyId"], at, attributes(at), (record,))


def portal_session(book: Book, person: Person, place: Place, at: dt.datetime, *, management: str) -> Session:
    """Sign in through Identity Center's portal: Federate, AssumeRoleWithSAML, then ConsoleLogin of the role."""
    role, home = person.role, "us-east-1"
    store = f"arn:aws:identitystore::{management}:identitystore/d-{management[:10]}"
    behalf = {"onBehalfOf": {"userId": person.user_id, "identityStoreArn": store}, "credentialId": guid(book.rng)}
    user = {"type": "IdentityCenterUser", "accountId": management, **behalf}
    details = {"relayId": guid(book.rng), "role_name": role.name.split("_")[1], "account_id": role.account}
    more: Json = {"serviceEventDetails": details, "eventType": "AwsServiceEvent"}
    write(book, Caller(user, management), Call("sso", "Federate", home, read_only=False, more=more), place, at)
    second = at + dt.timedelta(seconds=1)
    provider = str(role.trust["Statement"][0]["Principal"]["Federated"])
    answer = {
        "subjectType": "persistent",
        "issuer": f"https://portal.sso.{home}.amazonaws.com/saml/assertion/{alphanumeric(book.rng, 40)}",
        "credentials": credentials(book.rng, second, seconds=PERMISSION_SET_SECONDS),
        "nameQualifier": alphanumeric(book.rng, 27) + "=",
        "assumedRoleUser": assumed(role.arn, role.id, person.email),
        "subject": person.email,
        "audience": "https://signin.aws.amazon.com/saml",
    }
    request = {
        "sAMLAssertionID": f"_{guid(book.rng)}",
        "roleSessionName": person.email,
        "roleArn": role.arn,
        "principalArn": provider,
        "durationSeconds": PERMISSION_SET_SECONDS,
    }
    identity = {
        "type": "SAMLUser",
        "principalId": f"{alphanumeric(book.rng, 27)}=:{person.email}",
        "userName": person.email,
        "identityProvider": alphanumeric(book.rng, 27) + "=",
    }
    resources = [
        *role_resource(role.arn),
        {"accountId": role.account, "type": "AWS::IAM::SAMLProvider", "ARN": provider},
    ]
    call = Call("sts", "AssumeRoleWithSAML", home, request, answer, more={"resources": resources})
    write(book, Caller(identity, role.account), call, place, second)
    session = Session(role, person.email, None, second, attributes(second))
    _console_login(book, session.caller(), place, second + dt.timedelta(seconds=1), region=home, mfa=None)
    return session


def shell_session(book: Book, person: Person, place: Place, at: dt.datetime, *, management: str) -> Session:
    """Get a role's credentials for the command line from Identity Center; the record never tells the key."""
    store = f"arn:aws:identitystore::{management}:identitystore/d-{management[:10]}"
    behalf = {"onBehalfOf": {"userId": person.user_id, "identityStoreArn": store}, "credentialId": guid(book.rng)}
    caller = Caller({"type": "IdentityCenterUser", "accountId": management, **behalf}, management)
    details = {"role_name": person.role.name.split("_")[1], "account_id": person.role.account}
    more: Json = {"serviceEventDetails": details, "eventType": "AwsServiceEvent"}
    write(book, caller, Call("sso", "GetRoleCredentials", "us-east-1", more=more), place, at)
    return Session(person.role, person.email, access_key(book.rng, "ASIA"), at, attributes(at))


def sign_in(book: Book, user: User, place: Place, at: dt.datetime, *, region: str, slips: bool = True) -> Json:
    """Sign an IAM user in to the console, with MFA where they have it; returns the session context of what follows.

    Now and then somebody who types a password `slips`: a failed sign-in comes first.
    """
    caller = Caller(
        {"type": "IAMUser", "principalId": user.id, "accountId": user.account, "accessKeyId": ""}, user.account
    )
    caller.identity["userName"] = user.name
    mfa = user if user.mfa else None
    if slips and book.rng.random() < 0.1:
        _console_login(book, caller, place, at - dt.timedelta(seconds=25), region=region, mfa=mfa, fails=True)
    known, then = Caller(user_identity(user.arn, user.id, None), user.account), at + dt.timedelta(seconds=9)
    if mfa is None:
        _console_login(book, known, place, then, region=region, mfa=None)
        return attributes(then)
    extra = {"additionalEventData": {"MfaType": "Virtual MFA"}, "eventType": "AwsConsoleSignIn"}
    check = Call("signin", "CheckMfa", region, None, {"CheckMfa": "Success"}, read_only=False, more=extra)
    write(book, caller, check, place, at)
    _console_login(book, known, place, then, region=region, mfa=mfa)
    return attributes(then, mfa=True)


def user_console(book: Book, user: User, context: Json) -> Caller:
    """Make the caller of one console request by an IAM user."""
    key = access_key(book.rng, "ASIA")
    return Caller(user_identity(user.arn, user.id, key, session=context), user.account, console=True)


def _console_login(
    book: Book, caller: Caller, place: Place, at: dt.datetime, *, region: str, mfa: User | None, fails: bool = False
) -> Json:
    extra = {"LoginTo": "https://console.aws.amazon.com/console/home", "MobileVersion": "No", "MFAUsed": "No"}
    if mfa:
        device = {} if fails else {"MFAIdentifier": f"arn:aws:iam::{mfa.account}:mfa/{mfa.name}"}
        extra |= device | {"MFAUsed": "Yes"}
    identity = {key: value for key, value in caller.identity.items() if key != "accessKeyId" or fails}
    more: Json = {"additionalEventData": extra, "eventType": "AwsConsoleSignIn"}
    error = ("", "Failed authentication") if fails else None
    answer = {"ConsoleLogin": "Failure" if fails else "Success"}
    call = Call("signin", "ConsoleLogin", region, None, answer, read_only=False, error=error, more=more)
    return write(book, Caller(identity, caller.account), call, place, at)
