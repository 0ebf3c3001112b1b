"""Emulated AWS accounts on loopback, holding a scenario's state: what a containment plan is practised and proved on.

moto serves the AWS API over HTTP in this process; keys, instances, snapshots and trails carry the ids that stand in the
scenario's logs. What no emulator has (event history, findings, …) is answered by the one `front` before it. Nothing
here can reach AWS: server and clients are loopback only.
"""

import datetime as dt
import ipaddress
import os
import socket
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any, TypedDict, Unpack
from urllib.parse import urlsplit

from cirtlib.errors import TrainingError
from cirtlib.training.account_evidence import deliver_findings, deliver_logs, enabled_regions
from cirtlib.training.account_state import State, backend, load, read, reset
from cirtlib.training.front import Faults, Log, Served, front
from cirtlib.training.front_cloudtrail import History, Keys, cloudtrail
from cirtlib.training.front_guardduty import enable_detectors, guardduty, read_guardduty
from cirtlib.training.front_hub import read_hub, security_hub
from cirtlib.training.front_model import Asked
from cirtlib.training.front_settings import settings

try:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server
except ImportError as error:  # the emulator is an extra: the library itself works without it
    raise TrainingError("the emulated account needs moto: pip install 'cirtlib[train]'") from error

RESPONDER = "IncidentResponder"
_SESSION_SECONDS = 3600


class _Quiet(MotoRequestHandler):  # type: ignore[misc]
    """Handler that writes no line for each request."""

    def log_request(self, *_: object) -> None:
        """Say nothing: `requests` holds what was asked."""


class Evidence(TypedDict, total=False):
    """What `serve` may be given besides the state.

    Attributes
    ----------
    logs
        Folder of log files in S3 layout (AWSLogs/…): they lie in the trail's bucket, and their management events are
        the event history. A file beside one of them, `<its name>.metadata.json`, holds its object's user metadata.
    history
        Folder of more log files, in event history only: what a stopped trail did not deliver.
    findings
        Folder of findings: a GuardDuty export (AWSLogs/…), security_hub.json, security_hub_history.json.
    now
        The time there, from which the last 90 days count; default: the time here.
    keys
        Rows of ListPublicKeys (Value, ValidityStartTime, ValidityEndTime, Fingerprint), for all Regions or by Region.
    deny, expire_after, lookups_per_second
        See `Faults`.
    """

    logs: Path
    history: Path
    findings: Path
    now: dt.datetime
    keys: Keys
    deny: Container[tuple[str, str]] | Callable[[Asked], bool]
    expire_after: int
    lookups_per_second: int


@dataclass(frozen=True)
class Emulated:
    """Running emulated accounts.

    Attributes
    ----------
    endpoint
        Address of the server, on loopback.
    config
        AWS CLI configuration file with one profile for each account.
    profiles
        Account id -> profile of a responder in that account.
    requests
        `METHOD operation` of each request that was answered, oldest first.
    faults
        What is refused; it may be changed.
    buckets
        `logs` and `findings` -> name of the bucket where they lie.
    home
        Account of the bucket with the logs: the one that an investigator would start from.
    """

    endpoint: str
    config: Path
    profiles: dict[str, str]
    requests: list[str] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    buckets: dict[str, str] = field(default_factory=dict)
    home: str = ""

    def environment(self) -> dict[str, str]:
        """Environment in which the AWS CLI talks to these accounts and to nothing else."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return kept | {
            "AWS_CONFIG_FILE": str(self.config),
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_PAGER": "",
        }

    def case_access(self) -> dict[str, Any]:
        """Value of `access` in the case.yaml of a case about these accounts, in this environment."""
        home = {"profile": self.profiles[self.home]} if self.home else {}
        each = {account: {"profile": profile} for account, profile in self.profiles.items()}
        return {"endpoint_url": self.endpoint, **home, "per_account": each}

    def state(self) -> State:
        """State of the accounts now, in the form of a scenario's state_*.json."""
        return read(list(self.profiles))


@contextmanager
def serve(
    state: State,
    folder: Path,
    *,
    host: str = "127.0.0.1",
    watch: Callable[[str], None] | None = None,
    **evidence: Unpack[Evidence],
) -> Iterator[Emulated]:
    """Run emulated accounts that hold `state` (of state_*.json) while the context lasts; one at a time in a process.

    Parameters
    ----------
    folder
        Where the AWS CLI configuration is written.
    watch
        Called after each request with `METHOD operation`.
    evidence
        See `Evidence`.

    Raises
    ------
    TrainingError
        when `host` is not loopback.
    """
    require_loopback(f"http://{host}")
    load(state)
    log = Log(watch=watch)
    faults = Faults(evidence.get("deny", frozenset()), evidence.get("expire_after"), evidence.get("lookups_per_second"))
    home, buckets = _deliver(state, evidence)
    moto = DomainDispatcherApplication(create_backend_app)
    application = front(moto, _served(evidence), faults, log)
    server = make_server(host, _free_port(host), application, threaded=True, request_handler=_Quiet)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        endpoint = f"http://{host}:{server.server_port}"
        config, profiles = _configure(state, folder, endpoint)
        yield Emulated(endpoint, config, profiles, log.seen, faults, buckets, home)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        reset()


def _deliver(state: State, evidence: Evidence) -> tuple[str, dict[str, str]]:
    """Put logs and findings into their buckets; return the account that holds them and the buckets' names."""
    home, buckets = next(iter(state["accounts"]), ""), {}
    if "logs" in evidence:
        home, buckets["logs"] = deliver_logs(state, evidence["logs"])
    if "findings" in evidence:
        buckets["findings"] = deliver_findings(home, evidence["findings"])
    return home, buckets


def _served(evidence: Evidence) -> dict[tuple[str, str], Served]:
    """All that the front answers."""
    now = evidence.get("now") or dt.datetime.now(dt.UTC)
    folders = [evidence[name] for name in ("logs", "history") if name in evidence]
    found = read_guardduty(evidence["findings"], now) if "findings" in evidence else {}
    enable_detectors(found)
    return {
        **cloudtrail(History(folders, now), evidence.get("keys", ())),
        **guardduty(found),
        **security_hub(read_hub(evidence.get("findings"), now)),
        **settings(now, enabled_regions(folders)),
    }


def require_loopback(endpoint: str) -> str:
    """Return the endpoint when it is on this machine.

    Raises
    ------
    TrainingError
        when it is anywhere else.
    """
    host = urlsplit(endpoint).hostname or ""
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise TrainingError(f"{endpoint!r} is not on this machine: training never talks to a real account")
    return endpoint


def _configure(state: State, folder: Path, endpoint: str) -> tuple[Path, dict[str, str]]:
    """Write an AWS CLI configuration with a responder's session in each account."""
    require_loopback(endpoint)
    folder.mkdir(parents=True, exist_ok=True)
    profiles, lines = {}, []
    for account in state["accounts"]:
        profiles[account] = f"respond-{account}"
        session = backend("sts", account).assume_role(
            region_name="us-east-1",
            role_session_name="responder",
            role_arn=f"arn:aws:iam::{account}:role/{RESPONDER}",
            policy="",
            duration=_SESSION_SECONDS,
            external_id="",
        )
        lines += [
            f"[profile {profiles[account]}]",
            f"aws_access_key_id = {session.access_key_id}",
            f"aws_secret_access_key = {session.secret_access_key}",
            f"aws_session_token = {session.session_token}",
            f"endpoint_url = {endpoint}",
            "region = us-east-1",
        ]
    config = folder / "aws-config"
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    config.chmod(0o600)
    return config, profiles


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
