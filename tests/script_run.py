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


_ADDRESS = {"instance": {"NetworkInterfaces", "PublicDnsName", "PublicIpAddress"}, "interface": {"Association"}}
"""What differs once a machine was stopped: AWS takes its public address, and gives another at the next start."""

_FIELDS = {
    "StartLogging": {"trail": {"IsLogging"}},
    "UpdateAccessKey": {"key": {"Status"}},
    "AttachUserPolicy": {"user": {"AttachedManagedPolicies"}},
    "DetachUserPolicy": {"user": {"AttachedManagedPolicies"}},
    "AttachRolePolicy": {"role": {"AttachedManagedPolicies"}},
    "PutRolePolicy": {"role": {"RolePolicyList"}},
    "UpdateAssumeRolePolicy": {"role": {"AssumeRolePolicyDocument"}},
    "ModifySnapshotAttribute": {"snapshot": {"shared"}},
    "CreateTags": {"instance": {"Tags"}},
    "ModifyInstanceAttribute": {"instance": {"disableApiTermination"}},
    "keep-volumes": {"instance": {"BlockDeviceMappings"}},
    "ModifyNetworkInterfaceAttribute": {"instance": {"NetworkInterfaces", "SecurityGroups"}, "interface": {"Groups"}},
    "ModifyInstanceMetadataOptions": {"instance": {"MetadataOptions"}},
    "StopInstances": {
        "instance": {"State", "StateReason", "StateTransitionReason"} | _ADDRESS["instance"],
        "interface": _ADDRESS["interface"],
    },
    "restarted": _ADDRESS,
    "CreateSecurityGroup": {"group": {"made"}},
    "RevokeSecurityGroupEgress": {},
    "CreateSnapshots": {"snapshot": {"made"}},
}
"""Operation, or end of a step's id, -> kind -> fields of `tests.accounts_seen.look` that it changes."""


def expected(run, steps, *, restarted=()):
    """What `changes` must find after these steps: kind and id of each thing -> the fields that they change.

    `restarted`: steps that stopped a machine which runs again.
    """
    found = {}
    for step, word in [*((step, "") for step in steps), *((step, "restarted") for step in restarted)]:
        row = word or step["id"].partition("-")[2]
        for kind, fields in _FIELDS[row if row in _FIELDS else step["api"]["operation"]].items():
            for name in _names(run, step, kind):
                found.setdefault((kind, name), set()).update(fields)
    return found


def _names(run, step, kind):
    """Ids of the things of a kind that a step is about; what it makes is looked up by its name or its volume."""
    before, after = ({key[1:]: one for key, one in run.seen[stage].items()} for stage in ("attacked", "contained"))
    made = {name: one for (of, name), one in after.items() if of == kind and (of, name) not in before}
    if kind == "key":
        return [step["api"]["parameters"]["AccessKeyId"]]
    if step["target"].startswith(("arn:aws:iam:", "arn:aws:cloudtrail:")):
        return [step["target"]]
    target = step["target"].rpartition("/")[2]
    if kind == "group":
        wanted = step["api"]["parameters"]["GroupName"]
        return _one_each([wanted], made, "GroupName")
    if step["api"]["operation"] == "CreateSnapshots":
        disks = before["instance", target]["BlockDeviceMappings"]
        return _one_each([disk["Ebs"]["VolumeId"] for disk in disks], made, "VolumeId")
    if kind == "interface":
        return [one["NetworkInterfaceId"] for one in before["instance", target]["NetworkInterfaces"]]
    return [target]


def _one_each(wanted, made, field):
    found = [[name for name, one in made.items() if one[field] == value] for value in wanted]
    assert all(len(names) == 1 for names in found), f"{wanted} -> {found}"
    return [names[0] for names in found]
