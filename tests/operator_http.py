"""An operator who carries out plan.json with boto3 and the profiles of an AWS CLI configuration: contain.sh, faster.

Uses nothing of cirtlib, so that it can stand where the emulator may not be imported.
"""

import configparser
import json
import re
from base64 import b64encode
from datetime import UTC, datetime

import boto3
import jmespath
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError

_REFERENCE = re.compile(r"(?<!\$)\$\{(?:(now)|(\d{2,}-[a-z0-9-]+)\.([a-z_]+))\}")
_ABSENT = ("NoSuch", "NotFound")


class Operator:
    """Runs the steps of a plan for containment; notes what each came to."""

    def __init__(self, config, plan):
        self.profiles = configparser.ConfigParser()
        self.profiles.read(config)
        self.plan, self.state, self.done, self.failed, self._clients = plan, {}, set(), {}, {}

    def contain(self, chosen=lambda _: True):
        """Carry out the chosen steps in their order, each checked; returns what failed, by step."""
        for step in self.plan["steps"]:
            if step["phase"] in ("recover", "prevent") or not chosen(step):
                continue
            try:
                self._step(step)
            except (ClientError, ParamValidationError, KeyError) as error:
                self.failed[step["id"]] = f"{step['title']}: {type(error).__name__} {error}"
        return self.failed

    def _step(self, step):
        missing = [one for one in step["depends_on"] if one not in self.done]
        if missing:
            self.failed[step["id"]] = f"{step['title']}: depends on {missing}"
            return
        held = self.state.setdefault(step["id"], {})
        for name, one in step["captures"].items():
            held[name] = self.look(step, one)
            if "expected" in one and not _same(held[name], one["expected"]):
                holds = _same(self._try(step), step["verify"]["expected"])
                if holds:
                    self.done.add(step["id"])
                else:
                    self.failed[step["id"]] = f"{step['title']}: {name} is {held[name]!r}, not {one['expected']!r}"
                return
        held["now"] = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        answer = self.call(step, step["api"])
        held |= {name: jmespath.search(path, answer) for name, path in step["outputs"].items()}
        got = self.look(step, step["verify"])
        if not _same(got, step["verify"]["expected"]):
            self.failed[step["id"]] = f"{step['title']}: its check says {got!r}"
            return
        self.done.add(step["id"])

    def _try(self, step):
        try:
            return self.look(step, step["verify"])
        except (ClientError, KeyError):
            return None

    def look(self, step, one):
        """Value that a read gives; what is not there is None."""
        try:
            answer = self.call(step, one["api"])
        except ClientError as error:
            if any(word in error.response["Error"]["Code"] for word in _ABSENT):
                return None
            raise
        return jmespath.search(self.filled(step, one["jmespath"]), answer)

    def call(self, step, api):
        """Answer of a call, as JSON."""
        client = self.client(step["account"], step["region"], api["service"])
        name, given = xform_name(api["operation"]), self.filled(step, api["parameters"])
        if client.can_paginate(name) and api["operation"].startswith(("List", "Describe", "Get")):
            answer = client.get_paginator(name).paginate(**given).build_full_result()
        else:
            answer = getattr(client, name)(**given)
        answer.pop("ResponseMetadata", None)
        return json.loads(json.dumps(answer, default=_plain))

    def client(self, account, region, service):
        """Client with the profile of an account."""
        place = (account, region, service)
        if place not in self._clients:
            about = self.profiles[f"profile respond-{account}"]
            session = boto3.Session(
                aws_access_key_id=about["aws_access_key_id"],
                aws_secret_access_key=about["aws_secret_access_key"],
                aws_session_token=about["aws_session_token"],
                region_name=region or about["region"],
            )
            config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
            self._clients[place] = session.client(service, endpoint_url=about["endpoint_url"], config=config)
        return self._clients[place]

    def filled(self, step, value):
        """Value with its references replaced."""
        if isinstance(value, dict):
            return {key: self.filled(step, item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.filled(step, item) for item in value]
        if not isinstance(value, str):
            return value
        whole = _REFERENCE.fullmatch(value)
        if whole and whole[2]:
            return self.state[whole[2]][whole[3]]
        return _REFERENCE.sub(lambda found: self._part(step, found), value).replace("$${", "${")

    def _part(self, step, found):
        if found[1]:
            return str(self.state[step["id"]]["now"])
        value = self.state[found[2]][found[3]]
        return str(value) if found[3] == "now" else json.dumps(value)


def _same(one, other):
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _plain(value):
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return str(value.read()) if hasattr(value, "read") else str(value.isoformat())
