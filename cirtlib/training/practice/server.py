"""The process of a practice account: `python -m cirtlib.training.practice.server FOLDER PORT`.

It makes the accounts of the exercise's incident, does again what the learner had done there before, and serves until it
is told to stop. Loopback only.
"""

import base64
import copy
import hashlib
import http.client
import json
import os
import secrets
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from moto.moto_api._internal import mock_random

from cirtlib.training.account import RESPONDER, Emulated, serve
from cirtlib.training.account_evidence import organization_id
from cirtlib.training.exercise.record import Record
from cirtlib.training.exercise.workspace import Workspace, find
from cirtlib.training.practice.authorise import Authority
from cirtlib.training.practice.boundaries import boundaries
from cirtlib.training.practice.guard import AGAIN, REHEARSAL, Guard
from cirtlib.training.practice.journal import Entry, Journal
from cirtlib.training.practice.judge import Bench
from cirtlib.training.practice.register import ALIVE, Register
from cirtlib.training.practice.rehearse import Rehearsal
from cirtlib.training.practice.remains import completed
from cirtlib.training.practice.tokens import tokens

Json = dict[str, Any]
FOLDER, CONTROL, CONFIG, JOURNAL = "account", "control.json", "aws-config", "journal.jsonl"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


def main(arguments: list[str]) -> int:
    """Serve the account of an exercise until it is stopped."""
    space, port = find(Path(arguments[0])), int(arguments[1])
    home = space.path / FOLDER
    home.mkdir(mode=0o700, exist_ok=True)
    token = secrets.token_hex(16)
    run(space, home, port, token)
    return 0


def run(space: Workspace, home: Path, port: int, token: str) -> None:
    """Serve; `home` gets the AWS CLI configuration, the journal, and control.json once all is ready."""
    record, journal = space.record, Journal(home / JOURNAL)
    record.load()
    state = with_responder(completed(record))
    mock_random.seed(space.seed)  # ids that the logs do not tell are the same after each start
    accounts = sorted(state["accounts"])
    register = Register.of(accounts, record.events.values(), record.as_of, organization_id(record.logs))
    authority = Authority(register)
    guard, stopped = Guard(authority, journal, token, ready=False), threading.Event()
    evidence = {
        "logs": record.logs,
        "metadata": record.folder / "s3-metadata.json",
        "findings": record.findings,
        "keys": record.folder / "public-keys.json",
        "now": record.as_of,
        "live": True,
    }
    with serve(state, home, port=port, guard=guard, more=tokens(authority) | boundaries(), **evidence) as emulated:  # type: ignore[arg-type]
        configure(authority, emulated, home, space)
        bench = Bench(authority, Rehearsal(emulated.endpoint, token), record, journal)
        bench.begin()
        differ = repeat(emulated.endpoint, token, journal.writes())
        guard.pages |= {
            "/cirt/status": lambda: status(emulated, record, journal, differ),
            "/cirt/attack": lambda: {"tries": [one.to_dict() for one in bench.worth_telling()]},
            "/cirt/judge": lambda: bench.judge().to_dict(),
            "/cirt/stop": lambda: _stop(stopped),
        }
        guard.ready = True
        about = {"endpoint": emulated.endpoint, "token": token, "pid": os.getpid()}
        write_private(home / CONTROL, json.dumps(about) + "\n")
        stopped.wait()
        stopped.wait(0.2)  # let the answer go out


def with_responder(state: Json) -> Json:
    """State with the role in each account that the responders work through."""
    made: Json = copy.deepcopy(state)
    for account, content in made["accounts"].items():
        who = {"AWS": f"arn:aws:iam::{account}:root"}
        trust = {"Effect": "Allow", "Principal": who, "Action": "sts:AssumeRole"}
        content["roles"].append(
            {
                "RoleName": RESPONDER,
                "Path": "/",
                "Arn": f"arn:aws:iam::{account}:role/{RESPONDER}",
                "trust": {"Version": "2012-10-17", "Statement": [trust]},
                "attached": [ADMINISTRATOR],
                "inline": {},
                "MaxSessionDuration": 43200,
            }
        )
    return made


def configure(authority: Authority, emulated: Emulated, home: Path, space: Workspace) -> None:
    """Write the AWS CLI configuration: a responder's session in each account, with keys that stay the same."""
    lines = []
    for account in sorted(emulated.profiles):
        key = responder_key(space, account)
        role = f"arn:aws:iam::{account}:role/{RESPONDER}"
        now = authority.now()
        mfa = {"aws:MultiFactorAuthPresent": "true"}
        session = authority.register.session(key, role, "responder", issued=now, expires=ALIVE, context=mfa)
        authority.register.issue(session)
        names = [f"[profile {emulated.profiles[account]}]"]
        if account == home_account(space.record):
            names.append("[default]")
        for name in names:
            lines += [
                name,
                f"aws_access_key_id = {key}",
                "aws_secret_access_key = practice",
                "aws_session_token = practice",
                f"endpoint_url = {emulated.endpoint}",
                "region = us-east-1",
                "",
            ]
    write_private(home / CONFIG, "\n".join(lines))


def responder_key(space: Workspace, account: str) -> str:
    """Access key id of the responder's session in an account of this exercise."""
    text = f"{space.exercise.name} {space.seed} {account}".encode()
    return f"ASIA{base64.b32encode(hashlib.sha256(text).digest()).decode()[:9]}EXAMPLE"


def home_account(record: Record) -> str:
    """Account where the incident began: that of the finding, else the first with users."""
    named = record.seeds[0].split(":")
    accounts = record.after["accounts"]
    if len(named) > 4 and named[4] in accounts:
        return named[4]
    return str(max(accounts, key=lambda account: len(accounts[account]["users"])))


def repeat(endpoint: str, token: str, entries: list[Entry]) -> list[int]:
    """Do again what was done before the account was stopped; numbers of the calls that now end differently."""
    return [entry.number for entry in entries if _send(endpoint, token, entry) != entry.status]


def _send(endpoint: str, token: str, entry: Entry) -> int:
    url, raw = urlsplit(endpoint), entry.raw
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=60)
    try:
        path = f"{raw['path']}{'?' + raw['query'] if raw['query'] else ''}"
        headers = {**raw["headers"], "host": url.netloc, REHEARSAL: token, AGAIN: str(entry.number)}
        headers.pop("content-length", None)
        connection.request(raw["method"], path, body=base64.b64decode(raw["body"]), headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def status(emulated: Emulated, record: Record, journal: Journal, differ: list[int]) -> Json:
    """What is told of a running account."""
    last = journal.entries[-1] if journal.entries else None
    return {
        "endpoint": emulated.endpoint,
        "profiles": emulated.profiles,
        "home": home_account(record),
        "as_of": record.as_of.isoformat(),
        "calls": len(journal.entries),
        "changes": len(journal.writes()),
        "last": {key: asdict(last)[key] for key in ("at", "caller", "service", "operation")} if last else None,
        "differ": differ,
        "cut": bool(journal.cut),
        "buckets": emulated.buckets,
        "keeper": emulated.home,  # the account that holds the buckets
    }


def write_private(path: Path, text: str) -> None:
    """Write whole or not at all, for this user only."""
    beside = path.with_name(f".{path.name}.new")
    beside.touch(mode=0o600)
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def _stop(stopped: threading.Event) -> Json:
    stopped.set()
    return {"stopping": True}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
