"""The IAM policy that a collect asks for, made from the list of calls that are allowed (data/allowed_calls.tsv)."""

import json
from typing import Any

from cirtlib.aws import allowed


def policy() -> dict[str, Any]:
    """Identity policy that allows everything that cirtlib may call, and nothing else: a statement for each service."""
    actions: dict[str, set[str]] = {}
    for row in allowed().values():
        for action in row["iam_action"].split():
            actions.setdefault(action.partition(":")[0], set()).add(action)
    statements = [
        {"Sid": f"Cirtlib{service.capitalize()}", "Effect": "Allow", "Action": sorted(names), "Resource": "*"}
        for service, names in sorted(actions.items())
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def text() -> str:
    """The policy as docs/permissions.json holds it."""
    return json.dumps(policy(), indent=2) + "\n"
