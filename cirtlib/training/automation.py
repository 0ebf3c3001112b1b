"""Programs at work: builds, instances, functions, and the services of AWS themselves."""

import datetime as dt
import random
from collections.abc import Iterator
from dataclasses import replace

from cirtlib.training import changes
from cirtlib.training.calls import s3_call
from cirtlib.training.estate import org_bucket
from cirtlib.training.identifiers import ec2_id, guid, source
from cirtlib.training.life import Life, reading, some, work
from cirtlib.training.sessions import Session, assume_role, build_session, function_session, machine_session
from cirtlib.training.shapes import (
    Call,
    Caller,
    Place,
    attributes,
    denied,
    role_identity,
    service_caller,
    service_place,
    write,
)
from cirtlib.training.world import SLR_PATH, Function, Machine, Pipeline

_TERRAFORM = (
    "iam:GetRole",
    "iam:ListRolePolicies",
    "iam:ListAttachedRolePolicies",
    "ec2:DescribeVpcs",
    "ec2:DescribeSubnets",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeRouteTables",
    "ec2:DescribeInstances",
    "ec2:DescribeImages",
    "s3:GetBucketPolicy",
    "s3:GetBucketVersioning",
    "s3:GetBucketEncryption",
    "s3:GetBucketPublicAccessBlock",
    "lambda:GetFunction20150331v2",
    "logs:DescribeLogGroups",
    "dynamodb:DescribeTable",
    "kms:ListAliases",
    "cloudtrail:DescribeTrails",
)
_DEPLOY = ("cloudformation:DescribeStacks", "lambda:GetFunctionConfiguration20150331v2", "ecr:DescribeRepositories")
_BRIDGE = ("glue:GetTables", "dynamodb:DescribeTable", "lambda:ListFunctions20150331", "s3:GetBucketLocation")
_SSM_AGENT = "aws-sdk-go/1.55.5 (go1.23.10; linux; amd64) amazon-ssm-agent/3.3.2299.0"
_JAVA = "aws-sdk-java/2.34.0 md/io#sync md/http#Apache ua/2.1 os/Linux#6.1.150-174.273.amzn2023.x86_64 lang/java#21.0.8"
_RECORDED = ("ec2:DescribeInstances", "ec2:DescribeVolumes", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets")
_RECORDED += (
    "lambda:ListFunctions20150331",
    "iam:ListRoles",
    "iam:ListUsers",
    "s3:ListBuckets",
    "rds:DescribeDBInstances",
)


def programs_at_work(life: Life) -> None:
    """Write the days of everything that works without anybody at the keyboard."""
    for index, pipeline in enumerate(life.world.pipelines):
        rng = source(life.world.seed, f"pipeline-{index}")
        for number, opening, working in life.days():
            for run, at in enumerate(work(rng, opening, life.often(rng, *((4, 8) if working else (1, 2))))):
                _build(life, rng, pipeline, at, run=1400 + number * 20 + run)
    for index, machine in enumerate(life.world.machines):
        _machine_life(life, source(life.world.seed, f"machine-{index}"), machine)
    for index, function in enumerate(life.world.functions):
        _function_life(life, source(life.world.seed, f"function-{index}"), function)
    for account in life.world.accounts:
        _services(life, source(life.world.seed, f"services-{account}"), account)
    if life.world.scenario.decoys.error_storms:
        _storms(life, source(life.world.seed, "storms"))


def _build(life: Life, rng: random.Random, pipeline: Pipeline, at: dt.datetime, *, run: int) -> None:
    session, place = build_session(life.book, pipeline, at, run=run, region=life.world.home)
    caller, at = session.caller(), at + dt.timedelta(seconds=2)
    terraform = "Terraform" in pipeline.agent
    keys = ["sts:GetCallerIdentity", *some(rng, _TERRAFORM if terraform else _DEPLOY, 8 if terraform else 4, 26)]
    reading(life, rng, lambda: caller, place, keys=keys, at=at, gap=(0, 3))
    later = at + dt.timedelta(seconds=90)
    if terraform:
        if rng.random() < 0.3:
            machine = rng.choice(life.world.machines)
            call = changes.create_tags(machine.id, machine.region, {"release": f"r{run}"})
            write(life.book, caller, call, place, later)
        return
    function = rng.choice([item for item in life.world.functions if item.role.account == pipeline.role.account])
    arn = f"arn:aws:lambda:{function.region}:{pipeline.role.account}:function:{function.name}"
    write(life.book, caller, changes.update_code(rng, arn, function.role.arn, later), place, later)
    if pipeline is life.world.pipelines[1]:
        _deploy_across(life, rng, session, place, later + dt.timedelta(seconds=20))


def _deploy_across(life: Life, rng: random.Random, session: Session, place: Place, at: dt.datetime) -> None:
    """Deploy into the data account through its role, as the attacker will one day."""
    bridge = life.world.bridge
    there = assume_role(life.book, session.caller(), bridge, place, at, name=session.name, region=life.world.home)
    caller = there.caller()
    reading(
        life, rng, lambda: caller, place, keys=some(rng, _BRIDGE, 3, 8), at=at + dt.timedelta(seconds=2), gap=(0, 4)
    )


def _machine_life(life: Life, rng: random.Random, machine: Machine) -> None:
    at = life.world.start + dt.timedelta(minutes=rng.randrange(300))
    while at < life.world.end:
        session, place = machine_session(life.book, machine, at, agent=_SSM_AGENT)
        caller, end = session.caller(), min(at + dt.timedelta(hours=6), life.world.end)
        beat = at + dt.timedelta(seconds=20)
        while beat < end:
            request = {
                "instanceId": machine.id,
                "agentVersion": "3.3.2299.0",
                "agentStatus": "Active",
                "platformType": "Linux",
                "iPAddress": machine.address,
                "computerName": f"ip-{machine.address.replace('.', '-')}.ec2.internal",
                "agentName": "amazon-ssm-agent",
            }
            call = Call("ssm", "UpdateInstanceInformation", machine.region, request, read_only=False)
            write(life.book, caller, call, place, beat)
            if rng.random() < 0.25:
                _secret(
                    life, caller, replace(place, agent=_JAVA), beat + dt.timedelta(seconds=31), region=machine.region
                )
            beat += dt.timedelta(minutes=rng.randint(55, 65))
        at = end


def _secret(life: Life, caller: Caller, place: Place, at: dt.datetime, *, region: str) -> None:
    """Read a secret; KMS records the decryption that Secrets Manager makes in the caller's name."""
    arn = f"arn:aws:secretsmanager:{region}:{caller.account}:secret:prod/orders-db-AbCdEf"
    write(life.book, caller, changes.get_secret(arn, region), place, at)
    key = f"arn:aws:kms:{region}:{caller.account}:key/{life.world.keys[caller.account][0]}"
    behalf = Caller(caller.identity | {"invokedBy": "secretsmanager.amazonaws.com"}, caller.account)
    context = {"SecretARN": arn, "SecretVersionId": life.world.keys[caller.account][1]}
    write(life.book, behalf, changes.decrypt(key, region, context), service_place("secretsmanager"), at)


def _function_life(life: Life, rng: random.Random, function: Function) -> None:
    if function.task == "backup":
        _backups(life, rng, function)
        return
    for _, opening, working in life.days():
        for at in work(rng, opening - dt.timedelta(hours=4), life.often(rng, 5, 9) if working else 3):
            session, place = function_session(life.book, function, at)
            caller, then = session.caller(), at + dt.timedelta(seconds=1)
            write(life.book, caller, changes.create_log_stream(rng, function.name, function.region, then), place, then)
            for _ in range(rng.randint(1, 4)):
                then += dt.timedelta(seconds=rng.randint(1, 400))
                if function.task == "secret":
                    _secret(life, caller, place, then, region=function.region)
                else:
                    key = "dynamodb:DescribeTable" if function.task == "table" else "s3:GetBucketLocation"
                    reading(life, rng, lambda c=caller: c, place, keys=[key], at=then, region=function.region)  # type: ignore[misc]


def _backups(life: Life, rng: random.Random, function: Function) -> None:
    """Make a snapshot of each volume every night, and delete that of two nights before."""
    made: dict[str, list[str]] = {}
    for _, opening, _ in life.days():
        at = opening.replace(hour=2) + dt.timedelta(seconds=rng.randrange(120))
        session, place = function_session(life.book, function, at)
        caller, account = session.caller(), function.role.account
        at += dt.timedelta(seconds=1)
        write(life.book, caller, changes.create_log_stream(rng, function.name, function.region, at), place, at)
        for machine in life.world.machines:
            at += dt.timedelta(seconds=rng.randint(1, 3))
            snapshot, held = ec2_id(rng, "snap"), made.setdefault(machine.volume, [])
            call = changes.create_snapshot(
                machine.volume, snapshot, machine.region, at, description=f"nightly {at:%Y-%m-%d}", account=account
            )
            write(life.book, caller, call, place, at)
            state = {"SnapshotId": snapshot, "VolumeId": machine.volume, "Region": machine.region, "shared_with": []}
            life.estate.add(at, account, "snapshots", state)
            held.append(snapshot)
            if len(held) > 2:
                old = held.pop(0)
                at += dt.timedelta(seconds=1)
                write(life.book, caller, changes.delete_snapshot(old, machine.region), place, at)
                life.estate.drop(at, account, "snapshots", old)


def _services(life: Life, rng: random.Random, account: str) -> None:
    for _, opening, _ in life.days():
        day = opening.replace(hour=0)
        for hour in range(0, 24, 2):
            at = day + dt.timedelta(hours=hour, seconds=rng.randrange(3600))
            bucket = org_bucket(life.world) if account == life.world.management else life.world.buckets[account][0]
            request = {"bucketName": bucket, "Host": f"{bucket}.s3.amazonaws.com", "acl": ""}
            call = s3_call(rng, "GetBucketAcl", life.world.home, request, account=account)
            more = dict(call.more) | {"sharedEventID": guid(rng)}
            caller, place = service_caller("cloudtrail", account), service_place("cloudtrail")
            write(life.book, caller, replace(call, more=more), place, at)
        for hour in (rng.randrange(0, 5), rng.randrange(6, 12), rng.randrange(13, 23)):
            _recorder(life, rng, account, at=day + dt.timedelta(hours=hour, seconds=rng.randrange(3600)))
    key = f"arn:aws:kms:{life.world.home}:{account}:key/{life.world.keys[account][0]}"
    more = {
        "eventType": "AwsServiceEvent",
        "serviceEventDetails": {"keyId": key.rsplit("/", 1)[1], "rotationType": "AUTOMATIC"},
        "resources": [{"accountId": account, "type": "AWS::KMS::Key", "ARN": key}],
    }
    internal = Caller({"accountId": account, "invokedBy": "AWS Internal"}, account)
    at = life.world.start + dt.timedelta(seconds=rng.randrange(4 * 86400))
    call = Call("kms", "RotateKey", life.world.home, read_only=False, more=more)
    write(life.book, internal, call, Place("AWS Internal", "AWS Internal"), at)


def _recorder(life: Life, rng: random.Random, account: str, *, at: dt.datetime) -> None:
    """AWS Config lists what there is, through its service-linked role."""
    host, name = "config.amazonaws.com", "AWSServiceRoleForConfig"
    arn = f"arn:aws:iam::{account}:role{SLR_PATH}{host}/{name}"
    identity = role_identity(arn, "AROASERVICELINKEDEXAM", "AWSConfig-Describe", key=None, context=attributes(at))
    caller = Caller(identity | {"invokedBy": host}, account)
    region = rng.choice(life.world.regions)
    keys = some(rng, _RECORDED, 3, 7)
    reading(life, rng, lambda: caller, Place(host, host), keys=keys, at=at, gap=(0, 2), region=region)


def _storms(life: Life, rng: random.Random) -> None:
    """Errors by the dozen that mean no harm: a function without a right, a build that asks too fast."""
    attack = life.world.scenario.attack.day
    function = life.world.functions[1]
    for day in (rng.randrange(1, attack), attack):
        at = life.world.start + dt.timedelta(days=day, hours=life.world.opening, seconds=rng.randrange(3 * 3600))
        session, place = function_session(life.book, function, at)
        caller, table = session.caller(), f"arn:aws:dynamodb:{function.region}:{function.role.account}:table/orders-v2"
        error = denied(caller, "dynamodb", "dynamodb:DescribeTable", resource=table)
        for moment in _burst(rng, at, rng.randint(60, 110)):
            call = Call("dynamodb", "DescribeTable", function.region, error=error)
            write(life.book, caller, call, place, moment)
    pipeline = life.world.pipelines[-1]
    for day in (rng.randrange(1, attack), attack):
        at = life.world.start + dt.timedelta(days=day, hours=life.world.opening + 1, seconds=rng.randrange(3 * 3600))
        session, place = build_session(life.book, pipeline, at, run=9000 + day, region=life.world.home)
        for moment in _burst(rng, at, rng.randint(40, 70)):
            request = {"instancesSet": {}, "filterSet": {}}
            error = ("Client.RequestLimitExceeded", "Request limit exceeded.")
            call = Call("ec2", "DescribeInstances", life.world.home, request, error=error)
            write(life.book, session.caller(), call, place, moment)


def _burst(rng: random.Random, at: dt.datetime, count: int) -> Iterator[dt.datetime]:
    for _ in range(count):
        at += dt.timedelta(seconds=rng.randint(1, 9))
        yield at
