"""Tags as policies see them: of a user or role, of a resource, and those that a call brings along."""

from typing import Any

from cirtlib.policy.conditions import Value
from cirtlib.training.account_state import backend, by_arn


def of_principal(account: str, arn: str) -> dict[str, str]:
    """Tags of a user or role by ARN; empty for anybody else."""
    holder = by_arn(account, arn)
    if holder is None:
        return {}
    if ":role/" in arn:
        return _pairs(list(holder.tags))
    return _pairs(backend("iam", account).tagger.list_tags_for_resource(arn)["Tags"])


def of_resource(resource: str) -> dict[str, str] | None:
    """Tags of a resource by ARN, empty where there is none; None when nobody here knows them."""
    parts = resource.split(":", 5)
    if len(parts) < 6:
        return {}
    service, region, account, what = parts[2:6]
    if service == "iam" and what.startswith(("user/", "role/")):
        return of_principal(account, resource)
    if service == "ec2":
        return dict(backend("ec2", account, region).tags.get(what.rsplit("/", 1)[-1], {}))
    if service == "secretsmanager":
        secret = backend("secretsmanager", account, region).secrets.get(resource)
        return _pairs(secret.tags or []) if secret else {}
    return None


def in_call(parameters: Any) -> dict[str, str]:  # noqa: ANN401 - whatever a call is given
    """Tags among the parameters of a call: lists of `Key` and `Value`, or a map named Tags."""
    if isinstance(parameters, list):
        return {key: value for one in parameters for key, value in in_call(one).items()}
    if not isinstance(parameters, dict):
        return {}
    if set(parameters) == {"Key", "Value"}:
        return _pairs([parameters])
    found: dict[str, str] = {}
    for name, value in parameters.items():
        if name.lower() == "tags" and isinstance(value, dict) and set(value) != {"Key", "Value"}:
            found |= {str(key): str(text) for key, text in value.items()}
        else:
            found |= in_call(value)
    return found


def keys(prefix: str, tags: dict[str, str]) -> dict[str, Value]:
    """Condition keys of tags, such as `aws:PrincipalTag/team`."""
    return {f"{prefix}/{key}": value for key, value in tags.items()}


def _pairs(tags: list[Any]) -> dict[str, str]:
    return {str(one["Key"]): str(one["Value"]) for one in tags}
