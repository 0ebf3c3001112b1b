"""Security Token Service of the practice accounts: its sessions enter the register, and really expire.

moto's own knows no session of the logs, and hands out one and the same key for GetSessionToken.
"""

import datetime as dt
import json
import secrets
from functools import partial
from typing import Any

from cirtlib.training.account_state import by_arn
from cirtlib.training.front import Served
from cirtlib.training.front_model import Asked, Json
from cirtlib.training.practice import tags
from cirtlib.training.practice.authorise import Authority, managed
from cirtlib.training.practice.register import Credential

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def tokens(authority: Authority) -> dict[tuple[str, str], Served]:
    """What the front answers of STS."""
    return {
        ("sts", "GetCallerIdentity"): Served(partial(_who, authority)),
        ("sts", "AssumeRole"): Served(partial(_assume, authority)),
        ("sts", "GetSessionToken"): Served(partial(_session, authority)),
    }


def issue(
    authority: Authority,
    role: str,
    name: str,
    *,
    seconds: int = 3600,
    by: Credential | None = None,
    given: Json | None = None,
) -> Credential:
    """Issue a session of a role now, and enter it into the register; `given` are the parameters of AssumeRole."""
    now, told = authority.now(), given or {}
    context = tags.keys("aws:PrincipalTag", tags.in_call(told.get("Tags", [])))
    if told.get("TokenCode"):
        context["aws:MultiFactorAuthPresent"] = "true"
    source = told.get("SourceIdentity") or (by.context.get("aws:SourceIdentity") if by else None)
    if isinstance(source, str):
        context["aws:SourceIdentity"] = source
    known = by_arn(role.split(":")[4], role)
    session = [json.loads(told["Policy"])] if told.get("Policy") else []
    session += [managed(role.split(":")[4], one["arn"]) for one in told.get("PolicyArns", [])]
    return authority.register.issue(
        authority.register.session(
            new_key(),
            role,
            name,
            issued=now,
            expires=now + dt.timedelta(seconds=seconds),
            role_id=str(known.id) if known else "",
            context=context,
            policies=tuple(session) or None,
        )
    )


def sign_in(authority: Authority, user: Any, *, mfa: bool) -> Credential:  # noqa: ANN401 - moto has no types
    """Issue a session in the console to a user of moto's, now, and enter it into the register."""
    now, arn = authority.now(), str(user.arn)
    context = authority.register.person(arn, str(user.id)) | {
        "aws:TokenIssueTime": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "aws:MultiFactorAuthPresent": str(mfa).lower(),
    }
    made = Credential(new_key(), arn.split(":")[4], arn, arn, now, None, context, console=True)
    return authority.register.issue(made)


def new_key() -> str:
    """A new access key id of a session, which says that it is an example."""
    return "ASIA" + "".join(secrets.choice(_LETTERS) for _ in range(9)) + "EXAMPLE"


def _caller(authority: Authority, asked: Asked) -> Credential:
    found = authority.register.find(asked.key)
    if found is None:  # the authority has let it through: it was there
        raise asked.expired()
    return found


def _who(authority: Authority, asked: Asked) -> Json:
    caller = _caller(authority, asked)
    return {"UserId": str(caller.context.get("aws:userid", "")), "Account": caller.account, "Arn": caller.arn}


def _assume(authority: Authority, asked: Asked) -> Json:
    given = asked.parameters
    role, seconds = given["RoleArn"], given.get("DurationSeconds", 3600)
    known = by_arn(role.split(":")[4], role)
    caller = _caller(authority, asked)
    longest = 3600 if caller.role or known is None else int(known.max_session_duration or 3600)
    if seconds > longest:  # a role that assumes a role has an hour at most
        raise asked.wrong(f"The requested DurationSeconds exceeds the MaxSessionDuration set for this role ({longest})")
    made = issue(authority, role, given["RoleSessionName"], seconds=seconds, by=caller, given=given)
    user = {"AssumedRoleId": str(made.context["aws:userid"]), "Arn": made.arn}
    return {"Credentials": _answer(made), "AssumedRoleUser": user}


def _session(authority: Authority, asked: Asked) -> Json:
    caller, now = _caller(authority, asked), authority.now()
    if caller.issued is not None:
        raise asked.denied()  # a session can get none
    seconds = asked.parameters.get("DurationSeconds", 43200)
    context = {
        **caller.context,
        "aws:TokenIssueTime": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "aws:MultiFactorAuthPresent": "true" if asked.parameters.get("TokenCode") else "false",
    }
    made = Credential(
        new_key(), caller.account, caller.arn, caller.owner, now, now + dt.timedelta(seconds=seconds), context
    )
    return {"Credentials": _answer(authority.register.issue(made))}


def _answer(made: Credential) -> Json:
    return {
        "AccessKeyId": made.key,
        "SecretAccessKey": secrets.token_hex(20),
        "SessionToken": f"example-{secrets.token_hex(24)}",
        "Expiration": made.expires,
    }
