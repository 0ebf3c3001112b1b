"""A practice account in process, for tests of its grading: the incident of an exercise, and responders."""

import datetime as dt
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from cirtlib.training.account import RESPONDER, serve
from cirtlib.training.account_evidence import organization_id
from cirtlib.training.exercise.workspace import start
from cirtlib.training.practice.authorise import Authority
from cirtlib.training.practice.boundaries import boundaries
from cirtlib.training.practice.guard import Guard
from cirtlib.training.practice.journal import Journal
from cirtlib.training.practice.judge import Bench
from cirtlib.training.practice.register import Register
from cirtlib.training.practice.rehearse import Rehearsal
from cirtlib.training.practice.remains import completed
from cirtlib.training.practice.server import responder_key, with_responder
from cirtlib.training.practice.tokens import tokens

TOKEN = "for the tests"


@dataclass
class Account:
    """The emulated accounts of one exercise, and what grades them."""

    space: Any
    bench: Bench
    emulated: Any
    clients: dict[tuple[str, str, str], Any] = field(default_factory=dict)

    @property
    def truth(self):
        return self.bench.record.truth

    def client(self, service, account, region="us-east-1"):
        """A responder's client in one of the accounts."""
        place = (service, account, region)
        if place not in self.clients:
            settings = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
            self.clients[place] = boto3.client(
                service, region_name=region, endpoint_url=self.emulated.endpoint, config=settings,
                aws_access_key_id=responder_key(self.space, account), aws_secret_access_key="x",
            )  # fmt: skip
        return self.clients[place]

    def extent(self, kind, status=None):
        """Values of the true extent."""
        return [n["value"] for n in self.truth["extent"] if n["kind"] == kind and status in (None, n["status"])]


@contextmanager
def practice(space, home: Path, *, begin=True):
    """Serve the accounts of an exercise as `cirt train account` does, in this process."""
    home.mkdir(parents=True, exist_ok=True)
    record = space.record
    state = with_responder(completed(record))
    register = Register.of(
        sorted(state["accounts"]), record.events.values(), record.as_of, organization_id(record.logs)
    )
    authority = Authority(register)
    journal = Journal(home / "journal.jsonl")
    guard = Guard(authority, journal, TOKEN)
    evidence = {
        "logs": record.logs, "metadata": record.folder / "s3-metadata.json", "findings": record.findings,
        "keys": record.folder / "public-keys.json", "now": record.as_of, "live": True,
    }  # fmt: skip
    with serve(state, home, guard=guard, more=tokens(authority) | boundaries(), **evidence) as emulated:
        for account in sorted(emulated.profiles):
            now = authority.now()
            authority.register.issue(
                authority.register.session(
                    responder_key(space, account), f"arn:aws:iam::{account}:role/{RESPONDER}", "responder",
                    issued=now, expires=dt.datetime(9999, 1, 1, tzinfo=dt.UTC),
                    context={"aws:MultiFactorAuthPresent": "true"},
                )
            )  # fmt: skip
        bench = Bench(authority, Rehearsal(emulated.endpoint, TOKEN), record, journal)
        if begin:  # notes what works now: without it nothing can be judged
            bench.begin()
        yield Account(space, bench, emulated)


def exercise(name, seed, folder):
    """The learner's folder of an exercise."""
    return start(name, seed=seed, folder=folder)[0]
