"""A generated incident's digests in an emulated account: what we find there, beside `aws cloudtrail validate-logs`."""

import gzip
import json
import re
import subprocess
from pathlib import Path

import pytest

from cirtlib.case import new_case
from cirtlib.collect import collect
from cirtlib.training.generator import Generated, generate
from cirtlib.verification import verify

pytest.importorskip("cirtlib.training.front")
pytest.importorskip("cirtlib.sources.s3")

pytestmark = pytest.mark.integration


def damage(made: Generated, account: str) -> None:
    """Change a log file, take away another, and a digest."""
    digests = sorted(key for key in json.loads(made.metadata.read_text()) if f"/{account}/" in key)
    (made.logs / digests[100]).unlink()
    logs = sorted(made.logs.rglob(f"{account}_CloudTrail_us-east-1_*.json.gz"))
    logs[50].unlink()
    logs[60].write_bytes(gzip.compress(b'{"Records":[]}'))


def named_as_logged(organization: str) -> None:
    """Give moto's organization, which has an id of chance, the one under which the logs lie."""
    from moto.organizations.models import organizations_backends

    for account in list(organizations_backends):
        if own := getattr(organizations_backends[account]["aws"], "org", None):
            own.id = organization


def test_the_emulated_account_agrees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From S3, with signatures and ListPublicKeys, we find in an incident what the AWS CLI finds."""
    from cirtlib.training.account import serve

    made = generate("exposed_credentials", seed=3, out=tmp_path / "incident")
    state = json.loads((made.truth.parent / "state_after.json").read_text())
    trails = [trail for content in state["accounts"].values() for trail in content.get("trails", [])]
    (arn,) = {trail["TrailARN"] for trail in trails if trail.get("IsOrganizationTrail")}
    account = made.accounts[0]
    damage(made, account)
    evidence = {"logs": made.logs, "metadata": made.metadata, "keys": made.public_keys, "now": made.as_of}
    with serve(state, tmp_path / "aws", **evidence) as emulated:
        named_as_logged(next(made.logs.glob("AWSLogs/o-*")).name)
        for name, value in emulated.environment().items():
            if name.startswith("AWS_"):
                monkeypatch.setenv(name, value)
        content = {
            "sources": [
                {"cloudtrail": {"s3": f"s3://{emulated.buckets['logs']}/AWSLogs/"}},
                {"cloudtrail": {"public_keys": True}},
            ],
            "access": emulated.case_access(),
            "accounts": [account],
            "regions": ["us-east-1"],
            "window": {"start": made.window[0].isoformat(), "end": made.window[1].isoformat()},
        }
        case = new_case(tmp_path / "case", content)
        collect(case)
        times = ["--start-time", made.window[0].isoformat(), "--end-time", made.as_of.isoformat()]
        who = ["--account-id", account, "--region", "us-east-1", "--profile", emulated.profiles[emulated.home]]
        said = subprocess.run(
            ["aws", "cloudtrail", "validate-logs", "--trail-arn", arn, *times, *who],
            capture_output=True, text=True, env=emulated.environment(), check=False, timeout=300,
        )  # fmt: skip
    found = verify(case).verdicts
    assert not found["verdict"].isin(["no public key", "unsigned copy", "not checked"]).any()
    counts = {kind: found[found["kind"].eq(kind)]["verdict"].eq("valid") for kind in ("digest", "log")}
    theirs = {
        kind: tuple(map(int, re.search(rf"(\d+)/(\d+) {kind} files valid", said.stdout).groups())) for kind in counts
    }
    assert theirs == {kind: (int(valid.sum()), len(valid)) for kind, valid in counts.items()}
    assert said.returncode == 1
    assert set(found["verdict"]) == {"valid", "log missing", "log changed", "digest missing"}
