"""Runs steps of a plan in process against moto: what runner.sh does with the AWS CLI, for tests that must be fast."""

import json
import re
from datetime import UTC, datetime

import boto3
import jmespath
from botocore import xform_name
from botocore.exceptions import ClientError

_NOW = re.compile(r"(?<!\$)\$\{now\}")
_WHOLE = re.compile(r"\$\{([\w-]+)\.([a-z_]+)\}")


class Runner:
    """State of one run: step id -> captured name -> value."""

    def __init__(self):
        self.state = {}

    def contain(self, step):
        """Capture, change and check; refuses a target that is not as the plan recorded it."""
        held = self.state.setdefault(step.id, {})
        for name, one in step.captures.items():
            held[name] = self.read(step, one)
            if "expected" in one:
                assert held[name] == one["expected"], f"{step.id}: {name} is {held[name]!r}"
        self.call(step, step.api)
        self.verify(step)

    def verify(self, step):
        """Check that the step holds."""
        found = self.read(step, step.verify)
        assert found == step.verify["expected"], f"{step.id}: {found!r}"

    def rollback(self, step):
        """Undo the step, if it can be undone."""
        if isinstance(step.rollback, dict):
            self.call(step, step.rollback["api"])

    def read(self, step, one):
        try:
            return jmespath.search(one["jmespath"].replace("$${", "${"), self.call(step, one["api"]))
        except ClientError as error:
            if re.search("NotFound|NoSuchEntity", error.response["Error"]["Code"]):
                return None
            raise

    def client(self, step, service):
        return boto3.client(service, region_name=step.region)

    def call(self, step, api):
        client = self.client(step, api["service"])
        answer = getattr(client, xform_name(api["operation"]))(**self._filled(api["parameters"]))
        return json.loads(json.dumps(answer, default=str))

    def _filled(self, value):
        if isinstance(value, str):
            whole = _WHOLE.fullmatch(value)
            if whole:
                return self.state[whole[1]][whole[2]]
            return _NOW.sub(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", value).replace("$${", "${")
        if isinstance(value, dict):
            return {key: self._filled(item) for key, item in value.items()}
        return [self._filled(item) for item in value] if isinstance(value, list) else value
