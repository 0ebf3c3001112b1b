"""Policy documents against a repetition: service control policies and trust policies, filled in for a case.

Quotas and syntax: AWS Organizations User Guide, "Quotas" and "SCP syntax"; exemption by aws:PrincipalArn: IAM User
Guide, "AWS global condition context keys". The ARN of a session's principal there is that of its role. All is written
for the partition `aws`.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cirtlib.errors import PlanError
from cirtlib.prevention import controls
from cirtlib.prevention.controls import Gap
from cirtlib.prevention.signs import Signs

PIPELINE = "arn:aws:iam::*:role/organization-pipeline"
_ARN = re.compile(r"arn:[a-z-]+:iam::(\d{12}|\*):(user|role)/[\w+=,.@/*-]+")
_SESSION = re.compile(r"arn:(?P<partition>[a-z-]+):sts::(?P<account>\d{12}):assumed-role/(?P<role>[^/]+)(/.*)?")
_LIMIT = 5120  # characters of a service control policy, white space included when it comes from the CLI
_MFA = {"Bool": {"aws:MultiFactorAuthPresent": "true"}, "NumericLessThan": {"aws:MultiFactorAuthAge": "3600"}}
_PROTECT = "ProtectExemptRoles"
Document = dict[str, Any]


@dataclass(frozen=True)
class Documents:
    """Policies of a case.

    Attributes
    ----------
    scps
        file name -> service control policy.
    trust
        file name -> role that the attacker assumed, and its trust policy.
    exempted
        ARNs that the service control policies let pass.
    """

    scps: dict[str, Document]
    trust: dict[str, tuple[str, Document]]
    exempted: list[str]

    @property
    def places(self) -> dict[str, str]:
        """Sid of each statement -> the file that it is in."""
        return {one["Sid"]: name for name, content in self.scps.items() for one in content["Statement"]}


def documents(seen: Signs, gaps: Iterable[Gap], *, responders: Iterable[str], pipeline: str = PIPELINE) -> Documents:
    """Policies that the controls of these gaps name.

    Raises
    ------
    PlanError
        when the pipeline's role is no ARN of a role, or so many responders are exempt that a statement is longer than
        AWS takes.
    """
    if not _ARN.fullmatch(pipeline) or ":role/" not in pipeline:
        raise PlanError(f"{pipeline!r} is no role: write it as {PIPELINE}")
    exempted = exempt(responders, pipeline)
    wanted = {sid for gap in gaps for one in gap.controls for sid in one.scp}
    trusted = {
        f"trust/role-{number}.json": (role, document)
        for number, (role, callers) in enumerate(seen.roles.items(), 1)
        if (document := trust(callers))
    }
    return Documents(scps(wanted, exempted=exempted, regions=seen.regions), trusted, exempted)


def exempt(responders: Iterable[str], pipeline: str = PIPELINE) -> list[str]:
    """ARNs that the policies let pass: the pipeline's role, and responders as aws:PrincipalArn names them."""
    named = [one for one in map(_principal, responders) if _ARN.fullmatch(one)]
    return list(dict.fromkeys([pipeline, *named]))


def scps(wanted: set[str], *, exempted: list[str], regions: Iterable[str]) -> dict[str, Document]:
    """Service control policies with the statements of these Sids, by file name.

    Whatever exempts somebody brings the statement that protects the exempt roles. The statement on Regions is left out
    where no Region in use is known: it would deny everything. What is too long for one policy goes on in another.
    """
    given = {"@exempt": exempted, "@regions": sorted(regions)}
    shipped = json.loads(controls.statements())
    texts = {one["Sid"]: json.dumps(one) for part in shipped.values() for one in part}
    wanted = {sid for sid in wanted if given["@regions"] or "@regions" not in texts[sid]}
    if any("@exempt" in texts[sid] for sid in wanted):
        wanted = {*wanted, _PROTECT}
    found = {}
    for name, statements in shipped.items():
        kept = [_filled(one, given) for one in statements if one["Sid"] in wanted]
        for number, content in enumerate(_packed(kept), 1):
            found[f"scps/{name}{f'-{number}' if number > 1 else ''}.json"] = content
    return found


def text(content: Document) -> str:
    """Text of a service control policy: with white space where AWS takes it so, else without."""
    readable = json.dumps(content, indent=1) + "\n"
    return readable if len(readable) < _LIMIT else _compact(content)


def _packed(statements: list[Document]) -> list[Document]:
    """Policies that hold these statements, as few as their length allows."""
    found: list[Document] = []
    for one in statements:
        alone = {"Version": "2012-10-17", "Statement": [one]}
        more = {**found[-1], "Statement": [*found[-1]["Statement"], one]} if found else alone
        if len(_compact(more)) < _LIMIT:
            found[-1:] = [more]
        elif len(_compact(alone)) < _LIMIT:
            found.append(alone)
        else:
            raise PlanError(
                f"statement {one['Sid']} would have {len(_compact(alone))} characters, and AWS takes {_LIMIT}: "
                "name fewer responders in case.yaml"
            )
    return found


def _compact(content: Document) -> str:
    return json.dumps(content, separators=(",", ":"))


def trust(callers: Iterable[str]) -> Document | None:
    """Trust policy that admits these callers of a role: users with MFA, roles and services by name; None if nobody."""
    users = sorted(one for one in callers if ":user/" in one)
    roles = sorted(one for one in callers if ":role/" in one)
    services = sorted(one for one in callers if one.endswith(".amazonaws.com"))
    statements: list[Document] = []
    if users:
        statements.append(_admit("UsersWithMfa", {"AWS": users}) | {"Condition": _MFA})
    if roles:
        statements.append(_admit("RolesByName", {"AWS": roles}))
    if services:
        statements.append(_admit("Services", {"Service": services}))
    return {"Version": "2012-10-17", "Statement": statements} if statements else None


def _admit(sid: str, principal: Document) -> Document:
    return {"Sid": sid, "Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}


def _principal(arn: str) -> str:
    session = _SESSION.fullmatch(arn)
    return f"arn:{session['partition']}:iam::{session['account']}:role/{session['role']}" if session else arn


def _filled(value: Any, given: dict[str, list[str]]) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        return given.get(value, value)
    if isinstance(value, dict):
        return {key: _filled(part, given) for key, part in value.items()}
    return [_filled(part, given) for part in value] if isinstance(value, list) else value
