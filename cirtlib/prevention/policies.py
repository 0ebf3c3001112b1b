"""Policy documents against a repetition: service control policies and trust policies, filled in for a case.

Quotas and syntax: AWS Organizations User Guide, "Quotas" and "SCP syntax"; exemption by aws:PrincipalArn: IAM User
Guide, "AWS global condition context keys". The ARN of a session's principal there is that of its role. All is written for the
partition `aws`.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

from cirtlib.errors import PlanError
from cirtlib.prevention import controls

PIPELINE = "arn:aws:iam::*:role/organization-pipeline"
_SESSION = re.compile(r"arn:(?P<partition>[a-z-]+):sts::(?P<account>\d{12}):assumed-role/(?P<role>[^/]+)(/.*)?")
_LIMIT = 5120  # characters of a service control policy, white space included when it comes from the CLI
_MFA = {"Bool": {"aws:MultiFactorAuthPresent": "true"}, "NumericLessThan": {"aws:MultiFactorAuthAge": "3600"}}


def exempt(responders: Iterable[str], pipeline: str = PIPELINE) -> list[str]:
    """ARNs that the policies let pass: the pipeline's role, and responders as aws:PrincipalArn names them."""
    return list(dict.fromkeys([pipeline, *(_principal(one) for one in responders)]))


def scps(wanted: set[str], *, exempted: list[str], regions: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Service control policies with the statements of these Sids, by file name; a file without statements is left out.

    Whatever exempts somebody brings the statement that protects the exempt roles. The statement on Regions is left out
    where no Region in use is known: it would deny everything.
    """
    texts = {one["Sid"]: json.dumps(one) for part in json.loads(controls.statements()).values() for one in part}
    if any("@exempt" in texts[sid] for sid in wanted):
        wanted = {*wanted, "ProtectExemptRoles"}
    given = {"@exempt": exempted, "@regions": sorted(regions)}
    found = {}
    for name, statements in json.loads(controls.statements()).items():
        chosen = [one for one in statements if one["Sid"] in wanted]
        kept = [_filled(one, given) for one in chosen if given["@regions"] or "@regions" not in texts[one["Sid"]]]
        if kept:
            found[name] = {"Version": "2012-10-17", "Statement": kept}
    return found


def text(name: str, content: dict[str, Any]) -> str:
    """Text of a service control policy: readable where that fits, else without white space.

    Raises
    ------
    PlanError
        when it is longer than AWS takes even so.
    """
    for form in (json.dumps(content, indent=1) + "\n", json.dumps(content, separators=(",", ":"))):
        if len(form) < _LIMIT:
            return form
    raise PlanError(
        f"{name}: {len(form)} characters, AWS takes {_LIMIT}; name fewer responders in case.yaml, or one ARN with * for all"
    )


def places() -> dict[str, str]:
    """Sid of each statement that ships -> name of the file it is written to."""
    return {one["Sid"]: name for name, statements in json.loads(controls.statements()).items() for one in statements}


def trust(callers: Iterable[str]) -> dict[str, Any] | None:
    """Trust policy that admits these callers of a role: users with MFA, roles and services by name; None if nobody."""
    users = sorted(one for one in callers if ":user/" in one)
    roles = sorted(one for one in callers if ":role/" in one)
    services = sorted(one for one in callers if one.endswith(".amazonaws.com"))
    statements: list[dict[str, Any]] = []
    if users:
        statements.append(_admit("UsersWithMfa", {"AWS": users}) | {"Condition": _MFA})
    if roles:
        statements.append(_admit("RolesByName", {"AWS": roles}))
    if services:
        statements.append(_admit("Services", {"Service": services}))
    return {"Version": "2012-10-17", "Statement": statements} if statements else None


def _admit(sid: str, principal: dict[str, Any]) -> dict[str, Any]:
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
