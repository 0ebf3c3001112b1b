"""Emulated AWS accounts on loopback, holding a scenario's state: what a containment plan is practised and proved on.

moto serves the AWS API over HTTP in this process; keys, instances, snapshots and trails carry the ids that stand in the
scenario's logs. Nothing here can reach AWS: server and clients are loopback only.
"""

import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from cirtlib.errors import TrainingError
from cirtlib.training.account_state import State, backend, load, read, reset

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
    """

    endpoint: str
    config: Path
    profiles: dict[str, str]
    requests: list[str] = field(default_factory=list)

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

    def state(self) -> State:
        """State of the accounts now, in the form of a scenario's state_*.json."""
        return read(list(self.profiles))


@contextmanager
def serve(
    state: State, folder: Path, *, host: str = "127.0.0.1", watch: Callable[[str], None] | None = None
) -> Iterator[Emulated]:
    """Run emulated accounts that hold `state` (of state_*.json) while the context lasts; one at a time in a process.

    Parameters
    ----------
    folder
        Where the AWS CLI configuration is written.
    watch
        Called after each request with `METHOD operation`.

    Raises
    ------
    TrainingError
        when `host` is not loopback.
    """
    require_loopback(f"http://{host}")
    load(state)
    seen: list[str] = []
    server = make_server(host, _free_port(host), _front(seen, watch), threaded=True, request_handler=_Quiet)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        endpoint = f"http://{host}:{server.server_port}"
        config, profiles = _configure(state, folder, endpoint)
        yield Emulated(endpoint, config, profiles, seen)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        reset()


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


def _front(seen: list[str], watch: Callable[[str], None] | None) -> Callable[..., Any]:
    """WSGI application that passes requests on to moto and notes what they asked for."""
    moto = DomainDispatcherApplication(create_backend_app)

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:  # noqa: ANN401 - WSGI
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        answer = list(moto(environ, start_response))
        seen.append(f"{environ['REQUEST_METHOD']} {_operation(environ, body)}")
        if watch:
            watch(seen[-1])
        return answer

    return application


def _operation(environ: dict[str, Any], body: bytes) -> str:
    """Operation of a request: named by a header (JSON protocols), by the form (query protocol), or by its path."""
    target = str(environ.get("HTTP_X_AMZ_TARGET", "")).rpartition(".")[2]
    named = [part.removeprefix(b"Action=").decode() for part in body.split(b"&") if part.startswith(b"Action=")]
    return target or (named[0] if named else str(environ.get("PATH_INFO", "")))


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
