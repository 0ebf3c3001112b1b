"""The one text that the three queries of a slice are: events of these names, or by or of these suspects.

It asks the documented table alone, not the canonical events, so that the rows can be kept as evidence.
"""

from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from sqlglot import exp

from cirtlib.engine import dialect
from cirtlib.sources.slice_rows import COLUMNS

# What issues a credential, makes a principal that will have one, or lets one in (queries/events/cloudtrail.sql and
# data/actions.tsv say which): from these the closure over credentials is worked out.
MINTING = (
    "AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "AssumeRoot", "GetSessionToken",
    "GetFederationToken", "CreateAccessKey", "CreateServiceSpecificCredential", "UploadSSHPublicKey",
    "UploadSigningCertificate", "CreateSession", "GetCredentialsForIdentity", "GetSigninToken", "SwitchRole",
    "AuthorizeOAuth2Access", "CreateOAuth2Token", "GetRoleCredentials", "AssumeRoleForPodIdentity",
    "ConsoleLogin", "CreateLoginProfile", "UpdateLoginProfile", "CreateUser", "CreateRole", "UpdateAssumeRolePolicy",
    "RunInstances",
)  # fmt: skip
NEVER = "a^"  # a pattern that nothing matches
MOST_KEYS = 3_000
MOST_NAMES = 500
_TEXT = f"""
SELECT {", ".join(f'"{name}"' for name in COLUMNS)}
FROM cloudtrail_logs
WHERE (contains(:names, eventname) AND COALESCE(errorcode, '') = '')
    OR contains(:keys, useridentity.accesskeyid)
    OR contains(:principals, useridentity.arn)
    OR contains(:principals, useridentity.sessioncontext.sessionissuer.arn)
    OR contains(:ids, useridentity.principalid)
    OR contains(:sessions, split_part(useridentity.principalid, ':', 2))
    OR contains(:addresses, sourceipaddress)
    OR contains(:agents, useragent)
    OR contains(:events, eventid)
    OR contains(:shared, sharedeventid)
    OR regexp_like(requestparameters, :touched)
    OR regexp_like(useridentity_json, :signed_in)
"""  # noqa: S608 - our own names


@dataclass(frozen=True)
class Suspects:
    """What suspects are known by, as records name it: the closed set.

    Attributes
    ----------
    ids
        Of principals, `AROA...:session` for a role's session.
    sessions
        Names of roles' sessions, such as ids of instances.
    touched
        Names of what they made, to be looked for in what others ask for.
    """

    keys: frozenset[str] = frozenset()
    principals: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()
    sessions: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()
    agents: frozenset[str] = frozenset()
    events: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()
    touched: frozenset[str] = frozenset()
    signed_in: frozenset[str] = frozenset()

    def union(self, other: "Suspects") -> "Suspects":
        """Both."""
        return Suspects(**{one.name: getattr(self, one.name) | getattr(other, one.name) for one in fields(self)})

    def beyond(self, other: "Suspects") -> bool:
        """Whether this has anything that the other lacks."""
        return any(getattr(self, one.name) - getattr(other, one.name) for one in fields(self))

    def as_dict(self) -> dict[str, list[str]]:
        """Sorted lists by kind."""
        return {one.name: sorted(getattr(self, one.name)) for one in fields(self)}


def bounded(suspects: Suspects) -> tuple[Suspects, str]:
    """Suspects that fit into one statement, and in words what had to be left out.

    Many keys are those of few principals, which are asked for anyway: keys go first.
    """
    said = []
    if len(suspects.keys) > MOST_KEYS:
        said.append(f"its {len(suspects.keys):,} access keys are asked for by their principals")
        suspects = replace(suspects, keys=frozenset())
    for name in ("shared", "touched"):
        found = getattr(suspects, name)
        if len(found) > MOST_NAMES:
            said.append(f"of {len(found):,} {_WORDS[name]} {MOST_NAMES} are asked for")
            suspects = replace(suspects, **{name: frozenset(sorted(found)[:MOST_NAMES])})
    return suspects, "; ".join(said)


_WORDS = {"shared": "events that another account recorded too", "touched": "names of what was made"}


def query(
    names: tuple[str, ...], suspects: Suspects, span: tuple[datetime, datetime]
) -> tuple[exp.Expression, dict[str, Any]]:
    """The statement and the values of its parameters; the engine cuts it to the span."""
    values: dict[str, Any] = {"names": list(names), **suspects.as_dict(), "start": span[0], "end": span[1]}
    for name in ("touched", "signed_in"):
        values[name] = "|".join(_pattern(one) for one in values[name]) or NEVER
    return dialect.parse(_TEXT), values


def _pattern(text: str) -> str:
    """Regular expression of a text, in what the engines have in common."""
    return "".join(map(_escaped, text))


def _escaped(one: str) -> str:
    if one.isalnum() or one in "/:_-, =@":
        return one
    return "." if one in "^[]\\" else f"[{one}]"
