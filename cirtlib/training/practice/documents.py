"""Policy documents that a call brings along: one that is none is answered as the service does, and is never stored.

moto takes most of them as they come, and every later call that they bear on could not be judged.
"""

import json

from cirtlib.policy.conditions import Context
from cirtlib.policy.statements import Caller, statements
from cirtlib.training.account_state import backend
from cirtlib.training.front_model import Asked, Refused

_IAM, _OTHERS = "MalformedPolicyDocument", "MalformedPolicyDocumentException"
# Service and operation -> the member that is a policy, and the service's error for one that is none. Source: the
# services' API references.
_GIVEN = {
    ("s3", "PutBucketPolicy"): ("Policy", "MalformedPolicy"),
    ("sts", "AssumeRole"): ("Policy", _IAM),
    ("sts", "GetFederationToken"): ("Policy", _IAM),
    ("iam", "CreateRole"): ("AssumeRolePolicyDocument", _IAM),
    ("iam", "UpdateAssumeRolePolicy"): ("PolicyDocument", _IAM),
    ("iam", "PutUserPolicy"): ("PolicyDocument", _IAM),
    ("iam", "PutRolePolicy"): ("PolicyDocument", _IAM),
    ("iam", "PutGroupPolicy"): ("PolicyDocument", _IAM),
    ("iam", "CreatePolicy"): ("PolicyDocument", _IAM),
    ("iam", "CreatePolicyVersion"): ("PolicyDocument", _IAM),
    ("kms", "CreateKey"): ("Policy", _OTHERS),
    ("kms", "PutKeyPolicy"): ("Policy", _OTHERS),
    ("organizations", "CreatePolicy"): ("Content", _OTHERS),
    ("organizations", "UpdatePolicy"): ("Content", _OTHERS),
    ("secretsmanager", "PutResourcePolicy"): ("ResourcePolicy", _OTHERS),
}
_ANYBODY, _ANYTHING = Caller("arn:aws:iam::111122223333:user/anybody", "", "111122223333"), ("s3:GetObject", "*")


def malformed(asked: Asked) -> Refused | None:
    """The service's error for a call that brings a policy along which is none; None for every other call."""
    member, code = _GIVEN.get((asked.service, asked.operation), ("", ""))
    try:
        text = asked.parameters.get(member) if member and _binds(asked) else None
    except Refused:  # it cannot be read: the service says so itself
        return None
    fault = _fault(text) if text else ""
    return Refused(code, f"The policy is not valid: {fault}", 400) if fault else None


def _binds(asked: Asked) -> bool:
    """Whether the policy binds callers; an organization has others, of tags for one, that read otherwise."""
    if asked.service != "organizations":
        return True
    given = asked.parameters
    known = {one.id: one.type for one in backend("organizations", asked.account).policies}
    return given.get("Type", known.get(given.get("PolicyId"))) == "SERVICE_CONTROL_POLICY"


def _fault(text: str | bytes) -> str:
    """What keeps a text from being judged by as a policy, '' where nothing does."""
    try:
        for statement in statements(json.loads(text), "policy"):
            statement.applies(*_ANYTHING, Context({}, complete=True))
            statement.admits(_ANYBODY)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        return str(error) or "it is nested too deeply"
    return ""
