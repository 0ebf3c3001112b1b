"""The ways in: how an attacker comes by a first credential. Each writes the records that AWS would."""

import datetime as dt
from collections.abc import Callable

from cirtlib.training.identifiers import guid, hexadecimal
from cirtlib.training.incidents.hand import BROWSER, Hand, Raid, by_key, federated, in_role, signed_in
from cirtlib.training.incidents.world import REGION, at_work, minted_by, server
from cirtlib.training.shapes import (
    Call,
    Caller,
    Json,
    Place,
    assumed,
    credentials,
)


def leaked_key(raid: Raid) -> Hand:
    """A long-term key, which its owner goes on using from the office."""
    person = raid.world.rng.choice(raid.world.people)
    raid.stolen.add(person.key)
    return by_key(person.key, person.caller(), raid.world.thief, person.arn, user=person)


def stolen_session(raid: Raid) -> Hand:
    """A role session that its owner made at the office; who made it is a lead."""
    person, role = raid.world.rng.choice(raid.world.people), raid.world.rng.choice(raid.world.roles)
    at = raid.now - dt.timedelta(minutes=20)
    caller = at_work(raid.world, person, role, at)
    key = str(caller.identity["accessKeyId"])
    raid.leads.add(f"access_key:{person.key}")
    raid.stolen_sessions.add(key)
    return by_key(key, caller, raid.world.thief, role.arn, role=role, session=person.name)


def instance_metadata(raid: Raid) -> Hand:
    """The credentials of an instance, which goes on using them; the instance is a lead."""
    instance, role = raid.world.rng.choice(raid.world.servers)
    caller, place = server(raid.world, instance, role, raid.now - dt.timedelta(minutes=50))
    record = raid.world.say(caller, Call("s3", "ListBuckets", REGION), place, raid.now - dt.timedelta(minutes=5))
    raid.owner.append((record["eventID"], record["recipientAccountId"]))
    key = str(caller.identity["accessKeyId"])
    raid.stolen_sessions.add(key)
    raid.leads.add(f"resource:arn:aws:ec2:{REGION}:{role.account}:instance/{instance}")
    return by_key(key, caller, raid.world.thief, role.arn, role=role, session=instance)


def function_environment(raid: Raid) -> Hand:
    """The credentials of a function, read from its environment."""
    return _of_service(raid, "lambda", "report-builder")


def pod(raid: Raid) -> Hand:
    """The credentials of a pod of a cluster of Kubernetes."""
    return _of_service(raid, "pods.eks", f"eks-prod-web-{guid(raid.world.rng)}")


def _of_service(raid: Raid, service: str, name: str) -> Hand:
    role = raid.world.rng.choice(raid.world.roles)
    at = raid.now - dt.timedelta(minutes=10)
    key = minted_by(raid.world, service, role, at, name=name)
    raid.stolen_sessions.add(key)
    return in_role(raid, role, key, name, at=at)


def guessed_password(raid: Raid) -> Hand:
    """A user's password: a sign-in to the console without MFA."""
    person = raid.world.rng.choice(raid.world.people)
    raid.world.had(person.account, "passwords", UserName=person.name)
    return signed_in(raid, person, Place(raid.world.thief.address, BROWSER))


def saml(raid: Raid) -> Hand:
    """A federated user's assertion: AssumeRoleWithSAML from the attacker's place."""
    account = raid.world.rng.choice(raid.world.accounts)
    return federated(raid, f"arn:aws:iam::{account}:saml-provider/corp", "AssumeRoleWithSAML", account)


def web_identity(raid: Raid) -> Hand:
    """A token of a build system: AssumeRoleWithWebIdentity from the attacker's place."""
    account = raid.world.rng.choice(raid.world.accounts)
    return federated(raid, f"arn:aws:iam::{account}:oidc-provider/ci.example.com", "AssumeRoleWithWebIdentity", account)


def identity_center(raid: Raid) -> Hand:
    """Identity Center's portal on a command line: the record tells the permission set and not the key."""
    account = raid.world.rng.choice(raid.world.accounts)
    role = raid.world.duty(
        f"AWSReservedSSO_Admin_{hexadecimal(raid.world.rng, 16)}", account, "/aws-reserved/sso.amazonaws.com/"
    )
    at, user = raid.wait(), guid(raid.world.rng)
    store = f"arn:aws:identitystore::{account}:identitystore/d-{account[:10]}"
    identity = {
        "type": "IdentityCenterUser",
        "accountId": account,
        "onBehalfOf": {"userId": user, "identityStoreArn": store},
    }
    more: Json = {"serviceEventDetails": {"role_name": "Admin", "account_id": account}, "eventType": "AwsServiceEvent"}
    record = raid.world.say(
        Caller(identity, account), Call("sso", "GetRoleCredentials", REGION, more=more), raid.world.thief, at
    )
    hand = in_role(raid, role, raid.world.key(), "someone@example.com", at=at)
    raid.events.append((record["eventID"], record["recipientAccountId"], f"principal:{user}"))
    raid.mark(f"principal:{user}", "compromised")
    raid.minted(Hand(f"principal:{user}", user, account, hand.make, hand.place), hand.node)
    return hand


def certificate(raid: Raid) -> Hand:
    """A certificate that Roles Anywhere trusts."""
    role = raid.world.rng.choice(raid.world.roles)
    at, serial = raid.wait(), hexadecimal(raid.world.rng, 16)
    given = credentials(raid.world.rng, at)
    answer = {
        "credentialSet": [
            {"credentials": given, "assumedRoleUser": assumed(role.arn, role.id, serial), "roleArn": role.arn}
        ]
    }
    request = {"roleArn": role.arn, "durationSeconds": 3600, "cert": "MIISYNTHETIC"}
    call = Call("rolesanywhere", "CreateSession", REGION, request, answer, read_only=False)
    record = raid.world.say(
        Caller({"type": "Unknown", "accountId": role.account}, role.account), call, raid.world.thief, at
    )
    hand = in_role(raid, role, given["accessKeyId"], serial, at=at)
    raid.mark(hand.node, "attacker_created")
    raid.events.append((record["eventID"], record["recipientAccountId"], hand.node))
    return hand


ENTRIES: dict[str, Callable[[Raid], Hand]] = {
    one.__name__: one
    for one in (
        leaked_key, stolen_session, instance_metadata, function_environment, pod, guessed_password, saml, web_identity,
        identity_center, certificate,
    )
}  # fmt: skip
