"""Emulated AWS accounts on loopback, holding a scenario's state: what a containment plan is practised and proved on.

moto serves the AWS API over HTTP in this process; keys, instances, snapshots and trails carry the ids that stand in the
scenario's logs. What no emulator has (event history, findings, …) is answered by the one `front` before it. Nothing
here can reach AWS: server and clients are loopback only.
"""

import datetime as dt
import ipaddress
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any, TypedDict, Unpack
from urllib.parse import urlsplit

from cirtlib.errors import TrainingError
from cirtlib.training.account_evidence import Logs, deliver_findings, enabled_regions, organization_id, trail_bucket
from cirtlib.training.account_state import State, backend, load, read, reset
from cirtlib.training.front import Clock, Deny, Faults, Guarding, Log, Served, front
from cirtlib.training.front_automation import automation
from cirtlib.training.front_cloudtrail import History, Keys, cloudtrail
from cirtlib.training.front_guardduty import enable_detectors, guardduty, read_guardduty
from cirtlib.training.front_hub import read_hub, security_hub
from cirtlib.training.front_settings import settings

try:
    from moto.iam.access_control import PermissionResult
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from moto.s3.models import FakeBucket
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
        the event history.
    metadata
        JSON file of what S3 knows of the logs' objects: key -> user metadata, such as a digest's signature.
    history
        Folder of more log files, in event history only: what a stopped trail did not deliver.
    findings
        Folder of findings: a GuardDuty export (AWSLogs/…), security_hub.json, security_hub_history.json.
    now
        The time there, from which the last 90 days count; default: the time here. It stands still; see `advance`.
    live
        Whether log files that are delivered later than `now` are held back until then.
    keys
        Rows of ListPublicKeys (Value, ValidityStartTime, ValidityEndTime, Fingerprint), for all Regions or by Region;
        or a file of what `aws cloudtrail list-public-keys` prints.
    deny, expire_after, lookups_per_second
        See `Faults`.
    """

    logs: Path
    metadata: Path
    history: Path
    findings: Path
    now: dt.datetime
    live: bool
    keys: Keys | Path
    deny: Deny
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
    clock
        The time there.
    served
        (service, operation) that the front answers, not moto.
    """

    endpoint: str
    config: Path
    profiles: dict[str, str]
    requests: list[str] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    buckets: dict[str, str] = field(default_factory=dict)
    home: str = ""
    clock: Clock = field(default_factory=lambda: Clock(dt.datetime.now(dt.UTC)))
    served: frozenset[tuple[str, str]] = frozenset()
    _logs: Logs | None = None

    def advance(self, to: dt.datetime) -> None:
        """Let time go on: what has happened until then is known, and what was held back of the logs is delivered."""
        if self._logs and to > self.clock.now:
            self._logs.deliver(after=self.clock.now, until=to)
        self.clock.now = to

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
    port: int = 0,
    watch: Callable[[str], None] | None = None,
    guard: Guarding | None = None,
    more: Mapping[tuple[str, str], Served] | None = None,
    **evidence: Unpack[Evidence],
) -> Iterator[Emulated]:
    """Run emulated accounts that hold `state` (of state_*.json) while the context lasts; one at a time in a process.

    Parameters
    ----------
    folder
        Where the AWS CLI configuration is written.
    port
        Of the server; 0: any that is free.
    watch
        Called after each request with `METHOD operation`.
    guard
        Decides on every call (see practice/guard.py); without one, whoever asks may do all.
    more
        What the front answers besides.
    evidence
        See `Evidence`.

    Raises
    ------
    TrainingError
        when `host` is not loopback.
    """
    require_loopback(f"http://{host}")
    load(state, organization=organization_id(evidence["logs"]) if "logs" in evidence else "")
    log = Log(watch=watch)
    faults = Faults(evidence.get("deny", frozenset()), evidence.get("expire_after"), evidence.get("lookups_per_second"))
    clock = Clock(evidence.get("now") or dt.datetime.now(dt.UTC))
    home, buckets, logs = _deliver(state, evidence, clock)
    moto = DomainDispatcherApplication(create_backend_app)
    served = {**_served(evidence, clock), **(more or {})}
    application = front(moto, served, faults, log, guard)
    server = make_server(host, port or _free_port(host), application, threaded=True, request_handler=_Quiet)
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    judged = FakeBucket.get_permission
    if guard is not None:  # moto's own look at bucket policies ignores principals and conditions
        FakeBucket.get_permission = lambda *_: PermissionResult.PERMITTED
    try:
        endpoint = f"http://{host}:{server.server_port}"
        config, profiles = _configure(state, folder, endpoint)
        yield Emulated(endpoint, config, profiles, log.seen, faults, buckets, home, clock, frozenset(served), logs)
    finally:
        FakeBucket.get_permission = judged
        server.shutdown()
        thread.join()
        server.server_close()
        reset()


def _deliver(state: State, evidence: Evidence, clock: Clock) -> tuple[str, dict[str, str], Logs | None]:
    """Put logs and findings into their buckets; return the account with the bucket, the buckets' names, the logs."""
    home, buckets, logs = next(iter(state["accounts"]), ""), {}, None
    if "logs" in evidence:
        logs = trail_bucket(state, evidence["logs"], evidence.get("metadata"))
        home, buckets["logs"] = logs.account, logs.bucket
        logs.deliver(until=clock.now if evidence.get("live") else None)
    if "findings" in evidence:
        buckets["findings"] = deliver_findings(home, evidence["findings"])
    return home, buckets, logs


def _served(evidence: Evidence, clock: Clock) -> dict[tuple[str, str], Served]:
    """All that the front answers."""
    folders = [evidence[name] for name in ("logs", "history") if name in evidence]
    found = read_guardduty(evidence.get("findings"), clock)
    enable_detectors(found)
    return {
        **cloudtrail(History(folders, clock), evidence.get("keys", ())),
        **guardduty(found),
        **security_hub(read_hub(evidence.get("findings"), clock)),
        **settings(clock, enabled_regions(folders)),
        **automation(clock),
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
