"""The emulated accounts hold a scenario's state with its ids, answer on loopback only, and can be read back."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cirtlib.errors import TrainingError
from cirtlib.training.account import require_loopback, serve
from cirtlib.training.account_state import load, read
from cirtlib.training.generator import generate
from tests.plan_sample import HOME, LEAKED, SECOND, state


def test_state_comes_back_as_it_was_loaded():
    """Users, keys, roles, policies, trails and shares carry the scenario's ids; the next load forgets them."""
    given = state()
    given["accounts"][SECOND]["policies"] = [
        {"Arn": f"arn:aws:iam::{SECOND}:policy/made/p", "PolicyName": "p", "document": {"Version": "2012-10-17",
         "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}}
    ]  # fmt: skip
    given["accounts"][SECOND]["roles"][0]["attached"] = [f"arn:aws:iam::{SECOND}:policy/made/p"]
    load(given)
    found = read([HOME, SECOND])
    for account, content in given["accounts"].items():
        for kind in ("users", "roles", "policies", "trails", "snapshots"):
            assert found["accounts"][account][kind] == content[kind], kind
    (instance,) = found["accounts"][HOME]["instances"]
    assert instance["InstanceId"] == "i-0a1b2c3d4e5f60001"
    assert (instance["State"], instance["Protected"]) == ("running", False)
    load({"accounts": {HOME: {"users": []}}})
    assert read([HOME])["accounts"][HOME]["users"] == []


def test_the_network_of_an_exposed_instance_comes_back_as_it_was_loaded(tmp_path):
    """Public address, IMDSv1, group with its open port, profile with its role and over-broad policy, bucket."""
    made = generate("misconfigured_resource", seed=3, out=tmp_path)
    given = json.loads(made.truth.with_name("state_after.json").read_text(encoding="utf-8"))
    load(given)
    workload = made.accounts[0]
    content, found = given["accounts"][workload], read([workload])["accounts"][workload]

    def by(kind, name):
        return [{one[name]: one for one in state[kind]} for state in (content, found)]

    wanted, instances = by("instances", "InstanceId")
    exposed = [one for one in wanted.values() if one.get("PublicIpAddress")]
    assert len(exposed) == 2
    for one in wanted.values():
        assert one.items() <= instances[one["InstanceId"]].items()
    wanted, groups = by("groups", "GroupId")
    assert groups == wanted
    opened = [groups[name]["ingress"] for one in exposed for name in one["SecurityGroups"]]
    assert [rules[0]["ipRanges"]["items"][0]["cidrIp"] for rules in opened] == ["0.0.0.0/0"] * 2
    wanted, profiles = by("profiles", "InstanceProfileName")
    assert profiles == wanted


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:5000", "http://localhost:1", "http://[::1]:80"])
def test_loopback_is_allowed(endpoint):
    """Addresses of this machine are returned as they are."""
    assert require_loopback(endpoint) == endpoint


@pytest.mark.parametrize(
    "endpoint",
    ["https://iam.amazonaws.com", "http://10.0.0.1", "http://127.0.0.1.example.com", "http://0.0.0.0:5000", "", "iam"],
)
def test_anything_else_is_refused(endpoint):
    """No other address is ever talked to, whatever it looks like."""
    with pytest.raises(TrainingError, match="never talks to a real account"):
        require_loopback(endpoint)


def test_server_listens_on_loopback_only(tmp_path):
    """A server on another interface is refused before it starts."""
    with pytest.raises(TrainingError), serve(state(), tmp_path, host="0.0.0.0"):
        pass
    assert not list(tmp_path.iterdir())


def test_environment_holds_nothing_of_aws_but_ours(tmp_path, monkeypatch):
    """Credentials and endpoints of the caller's environment do not reach the emulated accounts' clients."""
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ENDPOINT_URL_IAM", "https://iam.amazonaws.com")
    with serve({"accounts": {HOME: {}}}, tmp_path) as emulated:
        environment = emulated.environment()
    assert "AWS_PROFILE" not in environment
    assert "AWS_ENDPOINT_URL_IAM" not in environment
    assert require_loopback(environment["AWS_ENDPOINT_URL"]) == emulated.endpoint
    assert oct((tmp_path / "aws-config").stat().st_mode & 0o777) == "0o600"


@pytest.mark.integration
def test_aws_cli_reaches_each_account(tmp_path):
    """The profile of an account shows that account, its keys with the scenario's ids, and AWS's own policies."""
    with serve(state(), tmp_path) as emulated:
        environment = emulated.environment()
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"

        def aws(account, *arguments):
            command = ["aws", "--profile", emulated.profiles[account], "--output", "json", *arguments]
            return json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)

        assert aws(SECOND, "sts", "get-caller-identity")["Account"] == SECOND
        keys = aws(HOME, "iam", "list-access-keys", "--user-name", "dana")["AccessKeyMetadata"]
        assert [(key["AccessKeyId"], key["Status"]) for key in keys] == [(LEAKED, "Active")]
        deny = aws(HOME, "iam", "get-policy", "--policy-arn", "arn:aws:iam::aws:policy/AWSDenyAll")
        assert deny["Policy"]["PolicyName"] == "AWSDenyAll"
        assert emulated.requests == ["POST GetCallerIdentity", "POST ListAccessKeys", "POST GetPolicy"]
