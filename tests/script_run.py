"""Runs contain.sh, verify.sh and rollback.sh of an exported plan with the AWS CLI against emulated accounts."""

import json
import os
import subprocess

from tests.accounts_seen import look


class Scripts:
    """An exported plan; what its scripts said, by stage; and what the API showed of the accounts after each stage.

    `commands` is a folder with `aws`; `regions` are those in which EC2 is looked at.
    """

    def __init__(self, folder, emulated, commands, regions=("us-east-1",)):
        self.folder, self.emulated, self.commands, self.regions = folder, emulated, commands, regions
        self.plan = json.loads((folder / "plan.json").read_text())
        self.codes, self.said, self.states, self.seen = {}, {}, {}, {}
        self.keep("attacked")

    def keep(self, stage):
        """Note the accounts as they are now under the name of a stage."""
        self.states[stage], self.seen[stage] = self.emulated.state(), look(self.emulated, self.regions)

    def call(self, script, *options, stage):
        """Run a script to its end with --execute; note its exit code, what it said, and the accounts after it."""
        profiles = [f"{account}={profile}" for account, profile in self.emulated.profiles.items()]
        given = [part for one in profiles for part in ("--profile-for", one)]
        environment = self.emulated.environment()
        environment["PATH"] = f"{self.commands}{os.pathsep}{environment['PATH']}"
        command = ["bash", str(self.folder / script), "--execute", *given, *options]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=1800)
        self.codes[stage], self.said[stage] = done.returncode, done.stdout + done.stderr
        self.keep(stage)

    def steps(self, *rows):
        """Steps whose id ends in one of these words."""
        return [step for step in self.plan["steps"] if step["id"].partition("-")[2] in rows]

    def age(self, seconds):
        """Let the run have been this long ago."""
        for file in self.folder.glob("state-*/*/epoch"):
            file.write_text(str(int(file.read_text()) - seconds))
