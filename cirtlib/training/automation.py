"""Programs at work: builds, instances, functions, and the services of AWS themselves."""

import datetime as dt
import random
from collections.abc import Iterator
from dataclasses import replace

from cirtlib.training import changes, names
from cirtlib.training.calls import get_object, s3_call
from cirtlib.training.estate import data_bucket, org_bucket
from cirtlib.training.identifiers import ec2_id, guid
from cirtlib.training.life import Life, reading, seat
from cirtlib.training.scenario import OPEN_PORT
from cirtlib.training.sessions import Session, Stay, assume_role, build_session, function_session, machine_session
from cirtlib.training.shapes import (
    Call,
    Caller,
    Json,
    Place,
    attributes,
    denied,
    role_identity,
    service_caller,
    service_place,
    write,
)
from cirtlib.training.world import SLR_ID, SLR_PATH, Function, Machine, Pipeline

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
_LAST = dt.timedelta(minutes=5)  # so long before they expire at least, an instance has taken its next credentials
_RECORDED = (
    "ec2:DescribeInstances",
    "ec2:DescribeVolumes",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "lambda:ListFunctions20150331",
    "iam:ListRoles",
    "iam:ListUsers",
    "s3:ListBuckets",
    "rds:DescribeDBInstances",
)


def programs_at_work(life: Life) -> None:
    """Write the days of everything that works without anybody at the keyboard."""
    for index, pipeline in enumerate(life.world.pipelines):
        own = life.of(f"pipeline-{index}")
        for number, opening, working in life.days():
            for run, at in enumerate(own.work(opening, own.often(*((4, 8) if working else (1, 2))))):
                _build(own, pipeline, at, run=1400 + number * 20 + run)
    for index, machine in enumerate(life.world.machines):
        _machine_life(life.of(f"machine-{index}"), machine)
    for index, function in enumerate(life.world.functions):
        own = life.of(f"function-{index}")
        if function.task == "backup":
            _backups(own, function)
        else:
            _function_life(own, function)
    for account in life.world.accounts:
        _services(life.of(f"services-{account}"), account)
    if life.world.scenario.decoys.error_storms:
        _storms(life.of("storms"))


def _build(life: Life, pipeline: Pipeline, at: dt.datetime, *, run: int) -> None:
    session, place = build_session(life.book, pipeline, at, run=run, region=life.world.home)
    caller, terraform = session.caller(), "Terraform" in pipeline.agent
    keys = ["sts:GetCallerIdentity", *(life.some(_TERRAFORM, 8, 26) if terraform else life.some(_DEPLOY, 4, 26))]
    reading(life, seat(caller, place, pace=(0, 3)), keys, at=at + dt.timedelta(seconds=2))
    later = at + dt.timedelta(seconds=92)
    if terraform:
        if life.rng.random() < 0.3:
            machine = life.rng.choice(life.world.machines)
            call = changes.create_tags(machine.id, machine.region, {"release": f"r{run}"})
            write(life.book, caller, call, place, later)
        return
    function = life.rng.choice([item for item in life.world.functions if item.role.account == pipeline.role.account])
    write(life.book, caller, changes.update_code(life.rng, function.arn, function.role.arn, later), place, later)
    if pipeline is life.world.pipelines[1]:
        _deploy_across(life, session, place, later + dt.timedelta(seconds=20))


def _deploy_across(life: Life, session: Session, place: Place, at: dt.datetime) -> None:
    """Deploy into the data account through its role, as the attacker will one day."""
    stay = Stay(place, life.world.home)
    there = assume_role(life.book, session.caller(), life.world.bridge, stay, at, name=session.name)
    desk = seat(there.caller(), place, pace=(0, 4))
    reading(life, desk, life.some(_BRIDGE, 3, 8), at=at + dt.timedelta(seconds=2))


def _machine_life(life: Life, machine: Machine) -> None:
    at = life.world.start + dt.timedelta(minutes=life.rng.randrange(300))
    request = {
        "instanceId": machine.id,
        "agentVersion": "3.3.2299.0",
        "agentStatus": "Active",
        "platformType": "Linux",
        "iPAddress": machine.address,
        "computerName": f"ip-{machine.address.replace('.', '-')}.ec2.internal",
        "agentName": "amazon-ssm-agent",
    }
    ping = Call("ssm", "UpdateInstanceInformation", machine.region, request, read_only=False)
    while at < life.world.end:
        session, place = machine_session(life.book, machine, at, agent=_SSM_AGENT)
        caller, end = session.caller(), min(at + dt.timedelta(hours=6), life.world.end)
        beat = at + dt.timedelta(seconds=20)
        while beat < end - _LAST:
            write(life.book, caller, ping, place, beat)
            if life.rng.random() < 0.25:
                application = replace(place, agent=_JAVA)
                _secret(life, caller, application, beat + dt.timedelta(seconds=31), region=machine.region)
            if life.world.scenario.way_in == OPEN_PORT and machine.role.arn == life.world.exposed.role.arn:
                _exports(life, caller, replace(place, agent=_JAVA), beat + dt.timedelta(seconds=43))
            beat += dt.timedelta(minutes=life.rng.randint(55, 65))
        at = end


def _exports(life: Life, caller: Caller, place: Place, at: dt.datetime) -> None:
    """Fetch a few objects from the bucket of exports: what the application on the instance is there for."""
    bucket = data_bucket(life.world)
    for key in names.objects(life.rng, life.rng.randint(1, 3)):
        call = get_object(life.rng, bucket, key, life.world.home, account=caller.account)
        write(life.book, caller, call, place, at)
        at += dt.timedelta(seconds=life.rng.randint(1, 20))


def _secret(life: Life, caller: Caller, place: Place, at: dt.datetime, *, region: str) -> None:
    """Read a secret; KMS records the decryption that Secrets Manager makes in the caller's name."""
    arn = f"arn:aws:secretsmanager:{region}:{caller.account}:secret:prod/orders-db-AbCdEf"
    write(life.book, caller, changes.get_secret(arn, region), place, at)
    key = f"arn:aws:kms:{region}:{caller.account}:key/{life.world.keys[caller.account][0]}"
    behalf = Caller(caller.identity | {"invokedBy": "secretsmanager.amazonaws.com"}, caller.account)
    context = {"SecretARN": arn, "SecretVersionId": life.world.keys[caller.account][1]}
    write(life.book, behalf, changes.decrypt(key, region, context), service_place("secretsmanager"), at)


def _function_life(life: Life, function: Function) -> None:
    key = {"table": "dynamodb:DescribeTable", "objects": "s3:GetBucketLocation"}.get(function.task)
    for _, opening, working in life.days():
        for at in life.work(opening - dt.timedelta(hours=4), life.often(5, 9) if working else 3):
            session, place = function_session(life.book, function, at)
            caller, then = session.caller(), at + dt.timedelta(seconds=1)
            stream = changes.create_log_stream(life.rng, function.name, function.region, then)
            write(life.book, caller, stream, place, then)
            for _ in range(life.rng.randint(1, 4)):
                then += dt.timedelta(seconds=life.rng.randint(1, 400))
                if key:
                    reading(life, seat(caller, place, region=function.region), [key], at=then)
                else:
                    _secret(life, caller, place, then, region=function.region)


def _backups(life: Life, function: Function) -> None:
    """Make a snapshot of each volume every night, and delete that of two nights before."""
    made: dict[str, list[str]] = {}
    for _, opening, _ in life.days():
        at = opening.replace(hour=2) + dt.timedelta(seconds=life.rng.randrange(120))
        session, place = function_session(life.book, function, at)
        caller, account = session.caller(), function.role.account
        at += dt.timedelta(seconds=1)
        write(life.book, caller, changes.create_log_stream(life.rng, function.name, function.region, at), place, at)
        for machine in life.world.machines:
            at += dt.timedelta(seconds=life.rng.randint(1, 3))
            snapshot, held = ec2_id(life.rng, "snap"), made.setdefault(machine.volume, [])
            new = changes.NewSnapshot(snapshot, machine.volume, account, f"nightly {at:%Y-%m-%d}")
            write(life.book, caller, changes.create_snapshot(new, machine.region, at), place, at)
            state = {"SnapshotId": snapshot, "VolumeId": machine.volume, "Region": machine.region, "shared_with": []}
            life.estate.add(at, account, "snapshots", state)
            held.append(snapshot)
            if len(held) > 2:
                at += dt.timedelta(seconds=1)
                write(life.book, caller, changes.delete_snapshot(held[0], machine.region), place, at)
                life.estate.drop(at, account, "snapshots", held.pop(0))


def _services(life: Life, account: str) -> None:
    rng, world = life.rng, life.world
    bucket = org_bucket(world) if account == world.management else world.buckets[account][0]
    request = {"bucketName": bucket, "Host": f"{bucket}.s3.{world.home}.amazonaws.com", "acl": ""}
    caller, place = service_caller("cloudtrail", account), service_place("cloudtrail")
    for _, opening, _ in life.days():
        day = opening.replace(hour=0)
        for hour in range(0, 24, 2):
            call = s3_call(rng, "GetBucketAcl", world.home, request, account=account)
            call = replace(call, more={**call.more, "sharedEventID": guid(rng)})
            write(life.book, caller, call, place, day + dt.timedelta(hours=hour, seconds=rng.randrange(3600)))
        for hour in (rng.randrange(0, 5), rng.randrange(6, 12), rng.randrange(13, 23)):
            _recorder(life, account, at=day + dt.timedelta(hours=hour, seconds=rng.randrange(3600)))
    _rotation(life, account)


def _rotation(life: Life, account: str) -> None:
    """KMS rotates a key by itself: a service event, without type or address of a caller."""
    key = f"arn:aws:kms:{life.world.home}:{account}:key/{life.world.keys[account][0]}"
    more: Json = {
        "eventType": "AwsServiceEvent",
        "serviceEventDetails": {"keyId": key.rsplit("/", 1)[1], "rotationType": "AUTOMATIC"},
        "resources": [{"accountId": account, "type": "AWS::KMS::Key", "ARN": key}],
    }
    internal = Caller({"accountId": account, "invokedBy": "AWS Internal"}, account)
    at = life.world.start + dt.timedelta(seconds=life.rng.randrange(4 * 86400))
    call = Call("kms", "RotateKey", life.world.home, read_only=False, more=more)
    write(life.book, internal, call, Place("AWS Internal", "AWS Internal"), at)


def _recorder(life: Life, account: str, *, at: dt.datetime) -> None:
    """AWS Config lists what there is, through its service-linked role."""
    host, name = "config.amazonaws.com", "AWSServiceRoleForConfig"
    arn = f"arn:aws:iam::{account}:role{SLR_PATH}{host}/{name}"
    identity = role_identity(arn, SLR_ID, "AWSConfig-Describe", key=None, context=attributes(at))
    caller = Caller(identity | {"invokedBy": host}, account)
    desk = seat(caller, Place(host, host), pace=(0, 2), region=life.rng.choice(life.world.regions))
    reading(life, desk, life.some(_RECORDED, 3, 7), at=at)


def _storms(life: Life) -> None:
    """Errors by the dozen that mean no harm: a function without a right, a build that asks too fast."""
    rng, attack, function = life.rng, life.world.scenario.attack.day, life.world.functions[1]
    for day in (rng.randrange(1, attack), attack):
        at = life.world.start + dt.timedelta(days=day, hours=life.world.opening, seconds=rng.randrange(3 * 3600))
        session, place = function_session(life.book, function, at)
        caller, table = session.caller(), f"arn:aws:dynamodb:{function.region}:{function.role.account}:table/orders-v2"
        error = denied(caller, "dynamodb", "dynamodb:DescribeTable", resource=table)
        for moment in _burst(rng, at, rng.randint(60, 110)):
            write(life.book, caller, Call("dynamodb", "DescribeTable", function.region, error=error), place, moment)
    request: Json = {"instancesSet": {}, "filterSet": {}}
    error = ("Client.RequestLimitExceeded", "Request limit exceeded.")
    call = Call("ec2", "DescribeInstances", life.world.home, request, error=error)
    for day in (rng.randrange(1, attack), attack):
        at = life.world.start + dt.timedelta(days=day, hours=life.world.opening + 1, seconds=rng.randrange(3 * 3600))
        pipeline = life.world.pipelines[-1]
        session, place = build_session(life.book, pipeline, at, run=9000 + day, region=life.world.home)
        for moment in _burst(rng, at, rng.randint(40, 70)):
            write(life.book, session.caller(), call, place, moment)


def _burst(rng: random.Random, at: dt.datetime, count: int) -> Iterator[dt.datetime]:
    for _ in range(count):
        at += dt.timedelta(seconds=rng.randint(1, 9))
        yield at
