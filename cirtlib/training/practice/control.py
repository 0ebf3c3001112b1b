"""Start, ask and stop the practice account of an exercise, from another process.

It is stopped by asking it, never by a process id that may meanwhile be somebody else's.
"""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cirtlib.errors import TrainingError
from cirtlib.locking import alone
from cirtlib.training.account import require_loopback
from cirtlib.training.practice.guard import REHEARSAL
from cirtlib.training.practice.server import CONFIG, CONTROL, FOLDER, JOURNAL

Json = dict[str, Any]
LOG = "server.log"
_PATIENCE = 90  # seconds until it must answer
_ASK = 300  # seconds that an attack or a judgement may take
_LINES = 12
_CUT = "the last call was noted only in part when the accounts were killed, so it is left out; look whether it was done"


def start(folder: Path) -> tuple[Json, str]:
    """Start the account of the exercise in a folder, if it does not run; its status, and what there is to say.

    Raises
    ------
    TrainingError
        when it does not come up; the end of its log is in the message.
    """
    home = folder / FOLDER
    home.mkdir(mode=0o700, exist_ok=True)
    with alone(home):
        running = status(folder)
        return (running, "it runs already") if running else _start(folder, home)


def _start(folder: Path, home: Path) -> tuple[Json, str]:
    before = _port(home)
    port = before if before and _free(before) else _any_port()
    said = f"port {before} is taken by another program, so it listens on {port}" if before and port != before else ""
    (home / CONTROL).unlink(missing_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment["PYTHONHASHSEED"] = "0"  # moto goes through sets: the ids that it draws must be the same next time
    with (home / LOG).open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "cirtlib.training.practice.server", str(folder), str(port)],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env=environment,
        )
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if found := status(folder):
            return found, "; ".join(one for one in (said, _CUT if found["cut"] else "") if one)
        if process.poll() is not None:
            break
        time.sleep(0.1)
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    raise TrainingError(f"the practice account does not come up; {home / LOG} ends with:\n{_tail(home / LOG)}")


def status(folder: Path) -> Json | None:
    """Status of the account, None where it does not run."""
    try:
        return ask(folder, "/cirt/status", timeout=5)
    except TrainingError:
        return None


def ask(folder: Path, page: str, *, timeout: float = _ASK) -> Json:
    """What the running account answers on one of its pages.

    Raises
    ------
    TrainingError
        when it does not run, or what answers there is something else.
    """
    about, again = _control(folder / FOLDER), f"`cirt train account start {folder}` starts it"
    if about is None:
        raise TrainingError(
            f"the practice account of {folder} does not run; `cirt train account start {folder}` starts it"
        )
    url = urlsplit(require_loopback(str(about["endpoint"])))
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=timeout)
    try:
        connection.request("GET", page, headers={REHEARSAL: str(about["token"])})
        answer = connection.getresponse()
        body = answer.read()
        content: Json = json.loads(body) if answer.status == 200 else {}
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise TrainingError(f"the practice account of {folder} does not answer ({error}); {again}") from error
    finally:
        connection.close()
    if not content:
        raise TrainingError(
            f"at {about['endpoint']} something else answers; `cirt train account start {folder}` starts it again"
        )
    return content


def stop(folder: Path) -> bool:
    """Stop the account; whether it ran. What was done in it is kept, and is there again after the next start."""
    about = _control(folder / FOLDER)
    try:
        ask(folder, "/cirt/stop", timeout=10)
    except TrainingError:
        _kill(folder, about)
        (folder / FOLDER / CONTROL).unlink(missing_ok=True)
        return False
    for _ in range(100):
        if status(folder) is None:
            break
        time.sleep(0.05)
    return True


def reset(folder: Path) -> None:
    """Stop the account and forget what was done in it."""
    stop(folder)
    for name in (JOURNAL, CONFIG, CONTROL, LOG):
        path = folder / FOLDER / name
        if path.is_file() or path.is_symlink():
            path.unlink()


def _kill(folder: Path, about: Json | None) -> None:
    """Kill a process that does not answer, if it is ours: by its command line, not by its number alone."""
    pid = about.get("pid") if about else None
    if not isinstance(pid, int):
        return
    with contextlib.suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"cirtlib.training.practice.server" in command and str(folder).encode() in command:
            os.kill(pid, signal.SIGKILL)


def _control(home: Path) -> Json | None:
    try:
        about = json.loads((home / CONTROL).read_text(encoding="utf-8"))
        require_loopback(about["endpoint"])
    except (OSError, ValueError, KeyError, TypeError, TrainingError):
        return None
    return about if isinstance(about, dict) else None


def _port(home: Path) -> int | None:
    """Port of the last start: by control.json, or by the configuration that the learner's shell uses."""
    about = _control(home)
    if about:
        return urlsplit(str(about["endpoint"])).port
    with contextlib.suppress(OSError, ValueError):
        for line in (home / CONFIG).read_text(encoding="utf-8").splitlines():
            if line.startswith("endpoint_url"):
                return urlsplit(line.partition("=")[2].strip()).port
    return None


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _any_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _tail(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "(no log)"
    return "\n".join(lines[-_LINES:])
