"""An `aws` for tests that notes its arguments and gives the answers that it was told to, in order."""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

PROGRAM = """#!/bin/bash
{ printf '%s\\0' "$@"; printf '\\036\\0'; } >>"$FAKE/calls"
n=$(cat "$FAKE/count"); printf '%s' $((n + 1)) >"$FAKE/count"
[ ! -f "$FAKE/wait.$n" ] || { : >"$FAKE/hanging"; sleep 60; }
[ ! -f "$FAKE/error.$n" ] || { cat "$FAKE/error.$n" >&2; exit 254; }
cat "$FAKE/answer.$n"
"""
RESPONDER = "arn:aws:sts::{account}:assumed-role/IncidentResponder/me"


@dataclass
class FakeAws:
    """The program in `folder`, the plan's scripts beside it, and what was asked of it."""

    folder: Path
    scripts: Path
    given: int = 0
    environment: dict = field(default_factory=dict)

    def __post_init__(self):
        (self.folder / "bin").mkdir(parents=True)
        program = self.folder / "bin" / "aws"
        program.write_text(PROGRAM)
        program.chmod(0o755)
        (self.folder / "count").write_text("0")
        path = f"{self.folder / 'bin'}:/usr/bin:/bin"
        self.environment = {"FAKE": str(self.folder), "PATH": path, "HOME": str(self.folder), "LC_ALL": "C.UTF-8"}

    def answer(self, *values):
        """Answer the next calls with these values, as JSON; an exception is an error of the CLI."""
        for value in values:
            if isinstance(value, Exception):
                (self.folder / f"error.{self.given}").write_text(str(value))
            else:
                (self.folder / f"answer.{self.given}").write_text(json.dumps(value, indent=4, ensure_ascii=False))
            self.given += 1

    def caller(self, account, arn=RESPONDER):
        """Answer GetCallerIdentity."""
        self.answer([account, arn.format(account=account)])

    def step(self, step):
        """Answer all calls of one step as the plan expects it to go."""
        self.answer(*(one.get("expected", {"any": "thing"}) for one in step.captures.values()))
        self.answer({}, step.verify["expected"])

    def run(self, script, *options):
        """Run one of the scripts."""
        command = ["/bin/bash", str(self.scripts / script), *options]
        return subprocess.run(
            command, env=self.environment, cwd=self.folder, capture_output=True, text=True, check=False, timeout=60
        )

    def start(self, script, *options):
        """Start one of the scripts in a process group of its own, and do not wait for it."""
        command = ["/bin/bash", str(self.scripts / script), *options]
        return subprocess.Popen(
            command, env=self.environment, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip

    def calls(self):
        """Argument lists of the calls so far."""
        file = self.folder / "calls"
        text = file.read_bytes().decode() if file.exists() else ""
        return [call.split("\0")[:-1] for call in text.split("\x1e\0")[:-1]]

    def inputs(self):
        """(service, operation, parameters) of the calls so far."""
        found = []
        for call in self.calls():
            at = call.index("--cli-input-json") if "--cli-input-json" in call else len(call)
            found.append((call[at - 2], call[at - 1], json.loads(call[at + 1]) if at < len(call) else {}))
        return found
