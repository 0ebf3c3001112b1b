"""The ways on: how an attacker gets from one credential to the next. Each writes the records that AWS would."""

import datetime as dt
from collections.abc import Callable

from cirtlib.training import changes
from cirtlib.training.identifiers import alphanumeric, ec2_id, guid
from cirtlib.training.incidents.hand import BROWSER, Hand, Raid, by_key, console_session, federated, in_role, signed_in
from cirtlib.training.incidents.world import REGION, Person, minted_by, take_on
from cirtlib.training.shapes import (
    Call,
    Caller,
    Json,
    Place,
    assumed,
    attributes,
    credentials,
    role_resource,
    user_identity,
)


def assume(raid: Raid, hand: Hand) -> Hand:
    """Take on a role, perhaps in another account."""
    role = raid.world.rng.choice([one for one in raid.world.roles if one != hand.role])
    name = f"s{raid.world.rng.randint(1000, 9999)}"
    at = raid.wait()
    caller, records = take_on(raid.world, hand.make(), role, hand.place, at, name=name)
    raid.note(hand, *records)
    key = str(caller.identity["accessKeyId"])
    raid.minted(hand, f"access_key:{key}")
    raid.mark(f"principal:{role.arn}", "compromised")
    return in_role(raid, role, key, name, at=at)


def session_token(raid: Raid, hand: Hand) -> Hand:
    """GetSessionToken: the same user with a temporary key."""
    assert hand.user is not None
    at = raid.wait()
    answer = {"credentials": credentials(raid.world.rng, at)}
    raid.note(hand, raid.world.say(hand.make(), Call("sts", "GetSessionToken", REGION, {}, answer), hand.place, at))
    key = answer["credentials"]["accessKeyId"]
    raid.minted(hand, f"access_key:{key}")
    caller = Caller(user_identity(hand.user.arn, hand.user.id, key, session=attributes(at)), hand.account)
    return by_key(key, caller, hand.place, hand.user.arn, user=None)


def federation_token(raid: Raid, hand: Hand) -> Hand:
    """GetFederationToken: a federated user who outlives the key."""
    assert hand.user is not None
    at, name = raid.wait(), f"f{raid.world.rng.randint(100, 999)}"
    arn = f"arn:aws:sts::{hand.account}:federated-user/{name}"
    answer = {
        "credentials": credentials(raid.world.rng, at),
        "federatedUser": {"arn": arn, "federatedUserId": f"{hand.account}:{name}"},
    }
    raid.note(
        hand,
        raid.world.say(hand.make(), Call("sts", "GetFederationToken", REGION, {"name": name}, answer), hand.place, at),
    )
    key = answer["credentials"]["accessKeyId"]
    raid.minted(hand, f"access_key:{key}")
    issuer = {
        "type": "IAMUser",
        "principalId": hand.user.id,
        "arn": hand.user.arn,
        "accountId": hand.account,
        "userName": hand.user.name,
    }
    identity = {
        "type": "FederatedUser",
        "principalId": f"{hand.account}:{name}",
        "arn": arn,
        "accountId": hand.account,
        "accessKeyId": key,
        "sessionContext": {"sessionIssuer": issuer} | attributes(at),
    }
    return by_key(key, Caller(identity, hand.account), hand.place, arn)


def new_user(raid: Raid, hand: Hand) -> Hand:
    """A user of the attacker's own, with a key."""
    name = f"svc-{alphanumeric(raid.world.rng, 5).lower()}"
    person = Person(name, hand.account, raid.world.id("AIDA"), raid.world.key("AKIA"))
    raid.do(hand, changes.create_user(hand.account, name, person.id, raid.now))
    raid.effect(hand, "created", f"principal:{person.arn}")
    return _keyed(raid, hand, person)


def key_of_another(raid: Raid, hand: Hand) -> Hand | None:
    """A second key for a user who has one."""
    there = [one for one in raid.world.people if one.account == hand.account and one != hand.user]
    if not there:
        return None
    other = raid.world.rng.choice(there)
    return _keyed(raid, hand, Person(other.name, other.account, other.id, raid.world.key("AKIA")))


def _keyed(raid: Raid, hand: Hand, person: Person) -> Hand:
    raid.do(hand, changes.create_access_key(person.name, person.key, raid.now))
    raid.minted(hand, f"access_key:{person.key}")
    raid.effect(hand, "created", f"access_key:{person.key}")
    raid.effect(hand, "changed", f"principal:{person.arn}")
    return by_key(person.key, person.caller(), raid.world.thief, person.arn, user=person)


def password_of_another(raid: Raid, hand: Hand) -> Hand | None:
    """A password for a user who had none, and a sign-in with it."""
    there = [one for one in raid.world.people if one.account == hand.account and one != hand.user]
    if not there:
        return None
    person = raid.world.rng.choice(there)
    answer = {
        "loginProfile": {
            "userName": person.name,
            "createDate": "Jun 10, 2026, 10:00:00 AM",
            "passwordResetRequired": False,
        }
    }
    raid.do(hand, Call("iam", "CreateLoginProfile", REGION, {"userName": person.name}, answer, read_only=False))
    raid.effect(hand, "created", f"login_profile:{person.arn}")
    raid.effect(hand, "changed", f"principal:{person.arn}")
    following = signed_in(raid, person, Place(hand.place.address, BROWSER))
    raid.edges.add((f"login_profile:{person.arn}", following.node, "minted"))
    return following


def root_session(raid: Raid, hand: Hand) -> Hand:
    """AssumeRoot: a short session as the root user of an account."""
    account, at = raid.world.rng.choice(raid.world.accounts), raid.wait()
    answer = {"credentials": credentials(raid.world.rng, at, seconds=900)}
    request = {
        "targetPrincipal": account,
        "taskPolicyArn": {"arn": "arn:aws:iam::aws:policy/root-task/S3UnlockBucketPolicy"},
    }
    raid.note(hand, raid.world.say(hand.make(), Call("sts", "AssumeRoot", REGION, request, answer), hand.place, at))
    key = answer["credentials"]["accessKeyId"]
    raid.minted(hand, f"access_key:{key}")
    context = {"assumedRoot": "true"} | attributes(at)
    identity = {
        "type": "Root",
        "principalId": account,
        "arn": f"arn:aws:iam::{account}:root",
        "accountId": account,
        "accessKeyId": key,
        "sessionContext": context,
    }
    return by_key(key, Caller(identity, account), hand.place, f"arn:aws:iam::{account}:root")


def to_console(raid: Raid, hand: Hand) -> Hand:
    """From a role's key to the console: a sign-in token, then a sign-in."""
    assert hand.role is not None
    at = raid.wait()
    answer: Json = {"credentials": {"accessKeyId": raid.world.key()}, "GetSigninToken": "Success"}
    more: Json = {"additionalEventData": {"MobileVersion": "No", "MFAUsed": "No"}, "eventType": "AwsConsoleSignIn"}
    call = Call("signin", "GetSigninToken", REGION, None, answer, read_only=False, more=more)
    raid.note(hand, raid.world.say(hand.make(), call, hand.place, at))
    raid.minted(hand, f"access_key:{answer['credentials']['accessKeyId']}")
    begun = at + dt.timedelta(seconds=raid.world.rng.randint(2, 500))
    place = Place(hand.place.address, BROWSER)
    following = console_session(raid, hand.role, place, begun, name=hand.session)
    raid.minted(hand, following.node)
    raid.now = begun
    return following


def switch_role(raid: Raid, hand: Hand) -> Hand:
    """In the console, from a user to a role."""
    assert hand.user is not None
    role = raid.world.rng.choice(raid.world.roles)
    at = raid.wait()
    extra = {"SwitchTo": role.arn, "SwitchFrom": hand.principal, "DisplayName": "ops"}
    more: Json = {"additionalEventData": extra, "eventType": "AwsConsoleSignIn"}
    call = Call("signin", "SwitchRole", REGION, None, {"SwitchRole": "Success"}, read_only=False, more=more)
    raid.note(hand, raid.world.say(hand.make(), call, hand.place, at))
    begun = at + dt.timedelta(seconds=1)
    following = console_session(raid, role, hand.place, begun, name=hand.user.name)
    raid.minted(hand, following.node)
    raid.now = begun
    return following


def command_line_login(raid: Raid, hand: Hand) -> Hand:
    """`aws login`: from the console to a command line, a sign-in session with changing keys."""
    at = raid.wait()
    arn = f"arn:aws:signin:{REGION}:{hand.account}:session/{guid(raid.world.rng)}"
    extra = {
        "signInSessionArn": arn,
        "grant_type": "authorization_code",
        "client_id": "arn:aws:signin:::devtools/same-device",
    }
    more: Json = {"additionalEventData": extra, "eventType": "AwsConsoleSignIn"}
    for name in ("AuthorizeOAuth2Access", "CreateOAuth2Token"):
        caller = hand.make()
        record = raid.world.say(
            caller, Call("signin", name, REGION, None, None, read_only=False, more=more), hand.place, at
        )
        raid.events.append((record["eventID"], record["recipientAccountId"], hand.node))
    raid.minted(hand, f"sign_in:{arn}")

    def make() -> Caller:
        identity = dict(hand.make().identity)
        identity["accessKeyId"] = raid.world.key()
        identity["sessionContext"] = {**identity["sessionContext"], "signInSessionArn": arn}
        return Caller(identity, hand.account)

    return Hand(f"sign_in:{arn}", hand.principal, hand.account, make, raid.world.thief, user=None, role=hand.role)


def new_instance(raid: Raid, hand: Hand) -> Hand:
    """An instance of the attacker's own with a role, and the credentials of its role."""
    instance, at = ec2_id(raid.world.rng, "i"), raid.now
    role = raid.world.duty(f"node-{alphanumeric(raid.world.rng, 4)}", hand.account, taken_by="ec2.amazonaws.com")
    profile = f"arn:aws:iam::{hand.account}:instance-profile/{role.name}"
    raid.world.had(hand.account, "profiles", InstanceProfileName=role.name, Roles=[role.name])
    image = ec2_id(raid.world.rng, "ami")
    launch = changes.Launch(REGION, hand.account, image, "t3.large", (instance,), profile=profile)
    raid.do(hand, changes.run_instances(raid.world.rng, launch, at))
    raid.effect(hand, "created", f"resource:arn:aws:ec2:{REGION}:{hand.account}:instance/{instance}")
    begun = raid.wait()
    key = minted_by(raid.world, "ec2", role, begun, name=instance)
    made = f"resource:arn:aws:ec2:{REGION}:{hand.account}:instance/{instance}"
    raid.edges.add((made, f"access_key:{key}", "minted"))
    return in_role(raid, role, key, instance, at=begun, place=Place("10.0.9.9", "curl/8.5.0"))


def new_function(raid: Raid, hand: Hand) -> Hand:
    """A function of the attacker's own, and what it does."""
    name = f"fn-{alphanumeric(raid.world.rng, 5)}"
    role = raid.world.duty(f"lambda-{alphanumeric(raid.world.rng, 4)}", hand.account, taken_by="lambda.amazonaws.com")
    arn = f"arn:aws:lambda:{REGION}:{hand.account}:function:{name}"
    raid.do(
        hand,
        Call(
            "lambda",
            "CreateFunction20150331",
            REGION,
            {"functionName": name, "role": role.arn},
            {"functionArn": arn, "functionName": name},
            read_only=False,
        ),
    )
    raid.effect(hand, "created", f"resource:{arn}")
    begun = raid.wait()
    key = minted_by(raid.world, "lambda", role, begun, name=name)
    raid.edges.add((f"resource:{arn}", f"access_key:{key}", "minted"))
    return in_role(raid, role, key, name, at=begun, place=Place("10.0.8.8", "Boto3/1.34.0 md/Botocore#1.34.0"))


def opened_role(raid: Raid, hand: Hand) -> Hand | None:
    """A role's trust changed so that an account of the attacker's may take it on, and a caller from there."""
    there = [one for one in raid.world.roles if one.account == hand.account]
    role, outside = raid.world.rng.choice(there), "555555555555"
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{outside}:root"}, "Action": "sts:AssumeRole"}
        ],
    }
    raid.do(hand, changes.update_trust(role.name, trust))
    raid.effect(hand, "changed", f"principal:{role.arn}")
    at, who = raid.wait(), raid.world.id("AIDA")
    answer = {"credentials": credentials(raid.world.rng, at), "assumedRoleUser": assumed(role.arn, role.id, "x")}
    call = Call(
        "sts",
        "AssumeRole",
        REGION,
        {"roleArn": role.arn, "roleSessionName": "x"},
        answer,
        more={"resources": role_resource(role.arn), "sharedEventID": guid(raid.world.rng)},
    )
    caller = Caller({"type": "AWSAccount", "principalId": who, "accountId": outside}, role.account)
    record = raid.world.say(caller, call, raid.world.thief, at)
    key, holder = answer["credentials"]["accessKeyId"], f"principal:{outside}:{who}"
    raid.events.append((record["eventID"], record["recipientAccountId"], holder))
    raid.mark(holder, "compromised")
    raid.mark(f"access_key:{key}", "attacker_created")
    raid.edges.add((holder, f"access_key:{key}", "minted"))
    raid.mark(f"principal:{role.arn}", "compromised")
    return in_role(raid, role, key, "x", at=at)


def own_provider(raid: Raid, hand: Hand) -> Hand:
    """An identity provider of the attacker's own, and a session through it."""
    provider = f"arn:aws:iam::{hand.account}:oidc-provider/id-{alphanumeric(raid.world.rng, 5).lower()}.example.com"
    raid.do(
        hand,
        Call(
            "iam",
            "CreateOpenIDConnectProvider",
            REGION,
            {"url": f"https://{provider.rpartition('/')[2]}", "clientIDList": ["sts.amazonaws.com"]},
            {"openIDConnectProviderArn": provider},
            read_only=False,
        ),
    )
    raid.effect(hand, "created", f"resource:{provider}")
    following = federated(raid, provider, "AssumeRoleWithWebIdentity", hand.account)
    raid.edges.add((f"resource:{provider}", following.node, "minted"))
    return following


def pod_identity(raid: Raid, hand: Hand) -> Hand:
    """From a node of a cluster to a pod's role: the node's record names no key, that of EKS does."""
    at, name = raid.wait(), f"eks-prod-api-{guid(raid.world.rng)}"
    request = {"clusterName": "prod", "token": "HIDDEN_DUE_TO_SECURITY_REASONS"}
    raid.note(
        hand, raid.world.say(hand.make(), Call("eks-auth", "AssumeRoleForPodIdentity", REGION, request), hand.place, at)
    )
    role = raid.world.duty(f"pod-{alphanumeric(raid.world.rng, 4)}", hand.account, taken_by="pods.eks.amazonaws.com")
    key = minted_by(raid.world, "pods.eks", role, at, name=name)
    raid.minted(hand, f"access_key:{key}")
    return in_role(raid, role, key, name, at=at)


Fits = Callable[[Hand], bool]
HOPS: dict[str, tuple[Fits, Callable[[Raid, Hand], Hand | None]]] = {
    "assume": (lambda h: True, assume),
    "session_token": (lambda h: h.user is not None and not h.console, session_token),
    "federation_token": (lambda h: h.user is not None and not h.console, federation_token),
    "new_user": (lambda h: True, new_user),
    "key_of_another": (lambda h: True, key_of_another),
    "password_of_another": (lambda h: True, password_of_another),
    "root_session": (lambda h: not h.console, root_session),
    "to_console": (lambda h: h.role is not None and not h.console and not h.node.startswith("sign_in"), to_console),
    "switch_role": (lambda h: h.console and h.user is not None, switch_role),
    "command_line_login": (lambda h: h.console, command_line_login),
    "new_instance": (lambda h: True, new_instance),
    "new_function": (lambda h: True, new_function),
    "opened_role": (lambda h: True, opened_role),
    "own_provider": (lambda h: True, own_provider),
    "pod_identity": (lambda h: h.role is not None and not h.console, pod_identity),
}
