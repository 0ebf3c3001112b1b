"""Permissions boundaries of users, which moto has for roles alone: a learner may contain a user by one."""

from typing import Any

from cirtlib.training.account_state import backend
from cirtlib.training.front import Served
from cirtlib.training.front_model import Asked, Json


def boundaries() -> dict[tuple[str, str], Served]:
    """What the front answers about them."""
    return {
        ("iam", "PutUserPermissionsBoundary"): Served(_put),
        ("iam", "DeleteUserPermissionsBoundary"): Served(_delete),
    }


def boundary_of(holder: Any) -> str:  # noqa: ANN401 - moto has no types
    """ARN of the policy that bounds a user or role, or ''."""
    return str(getattr(holder, "permissions_boundary_arn", None) or "")


def _put(asked: Asked) -> Json:
    arn = asked.parameters["PermissionsBoundary"]
    if arn not in backend("iam", asked.account).managed_policies:
        raise asked.wrong(f"Policy {arn} does not exist or is not attachable.", "NoSuchEntity")
    _user(asked).permissions_boundary_arn = arn
    return {}


def _delete(asked: Asked) -> Json:
    user = _user(asked)
    if not boundary_of(user):
        raise asked.wrong(f"User {user.name} has no permissions boundary.", "NoSuchEntity")
    user.permissions_boundary_arn = None
    return {}


def _user(asked: Asked) -> Any:  # noqa: ANN401 - moto has no types
    name = asked.parameters["UserName"]
    found = next((one for one in backend("iam", asked.account).users.values() if one.name == name), None)
    if found is None:
        raise asked.wrong(f"The user with name {name} cannot be found.", "NoSuchEntity")
    return found
