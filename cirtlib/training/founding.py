"""Draw the organization of a scenario from a seed: who works there, with what rights, from where."""

import datetime as dt
import ipaddress
import random
from dataclasses import replace

from cirtlib.training import names
from cirtlib.training.identifiers import access_key, ec2_id, guid, hexadecimal, source, unique_id
from cirtlib.training.scenario import IAM_USER, OPEN_PORT, PHISHED, Scenario
from cirtlib.training.world import (
    HELPER,
    SSO_PATH,
    Function,
    Machine,
    Network,
    Person,
    Pipeline,
    Role,
    User,
    World,
    allow,
    trust,
)


def build_world(scenario: Scenario, seed: int) -> World:
    """Draw the organization of a scenario from a seed."""
    rng = source(seed, "world")
    place = scenario.organization
    workload, data, management = rng.sample(place.accounts, 3)
    foreign = rng.sample(place.external_accounts, 2)
    regions = (place.home_region, *rng.sample(place.regions, place.used_regions))
    day = scenario.start + dt.timedelta(days=7 * rng.randrange(4) + _weekday(rng, scenario.attack.day))
    homes = _Homes(rng, ipaddress.IPv6Network(place.network6))
    crew = names.crew(rng, scenario.population.people + scenario.population.console_users + 6)
    people = _people(rng, crew, homes=homes, accounts=(workload, data, management), count=scenario.population.people)
    rest = crew[scenario.population.people :]
    consoles = _console_users(rng, rest, homes=homes, account=workload, count=scenario.population.console_users)
    logins = names.logins(rng, scenario.population.key_users)
    role_name = place.role
    longest = scenario.attack.session_hours * 3600
    keys = _key_users(rng, logins, homes=homes, account=workload, role=role_name)
    data_keys = {account: tuple(guid(rng) for _ in range(3)) for account in (workload, data, management)}
    trails = {account: names.trail(rng) for account in (workload, data, management)} | {
        "organization": "org-management-trail"
    }
    world = World(
        scenario=scenario,
        seed=seed,
        start=dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC),
        opening=rng.choice((6, 7, 8, 13, 14)),
        organization="o-" + "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=10)),
        workload=workload,
        data=data,
        management=management,
        foreign=(foreign[0], foreign[1]),
        home=place.home_region,
        regions=regions,
        unused=rng.choice(place.unused_regions),
        network=_network(rng, place.networks),
        people=people,
        console_users=consoles,
        key_users=keys,
        pipelines=_pipelines(rng, workload, homes=homes, count=scenario.population.pipelines),
        machines=_machines(rng, scenario, account=workload, regions=regions),
        functions=_functions(rng, scenario, accounts=(workload, data), regions=regions),
        dev_role=_dev_role(rng, role_name, keys, longest),
        door=_door(rng, workload, management),
        bridge=_bridge(rng, workload, data, longest),
        audit=tuple(_audit(rng, account, management) for account in (workload, data)),
        trails=trails,
        buckets={account: names.buckets(rng, account) for account in (workload, data, management)},
        keys=data_keys,
    )
    if scenario.way_in == OPEN_PORT:
        return _expose(world)
    return _disarm(world) if scenario.way_in == PHISHED else world


def _weekday(rng: random.Random, attack_day: int) -> int:
    """Draw the weekday on which the logs begin, such that the day of the attack is a working day."""
    return rng.choice([day for day in range(7) if (day + attack_day) % 7 < 5][:3])


class _Homes:
    """Hands out IPv6 networks, one /48 to each home or build system, so that no two share one."""

    def __init__(self, rng: random.Random, network: ipaddress.IPv6Network) -> None:
        self._rng = rng
        self._prefix = str(network.network_address).removesuffix("::")
        self._left = rng.sample(range(0x0100, 0xFFFF), 200)

    def address(self) -> str:
        group = [f"{self._rng.getrandbits(16):x}" for _ in range(2)]
        return str(ipaddress.IPv6Address(f"{self._prefix}:{self._left.pop():x}:{group[0]}::{group[1]}"))


def _network(rng: random.Random, networks: tuple[str, ...]) -> Network:
    order = [text.rsplit(".", 1)[0] for text in rng.sample(networks, 3)]
    office = tuple(f"{order[0]}.{last}" for last in rng.sample(range(8, 60), 3))
    return Network(office, f"{order[1]}.{rng.randrange(20, 240)}", f"{order[2]}.{rng.randrange(20, 240)}")


def _people(
    rng: random.Random, crew: list[names.Name], *, homes: _Homes, accounts: tuple[str, str, str], count: int
) -> tuple[Person, ...]:
    workload, data, management = accounts
    sets = {
        "AdministratorAccess": 0.1,
        "PowerUserAccess": 0.4,
        "ReadOnlyAccess": 0.2,
        "DataEngineer": 0.2,
        "Billing": 0.1,
    }
    suffix = {name: hexadecimal(rng, 16) for name in sets}
    roles: dict[tuple[str, str], Role] = {}

    def role(permission: str, account: str) -> Role:
        if (permission, account) not in roles:
            provider = f"arn:aws:iam::{account}:saml-provider/AWSSSO_{suffix['Billing']}_DO_NOT_DELETE"
            roles[permission, account] = Role(
                account,
                f"AWSReservedSSO_{permission}_{suffix[permission]}",
                unique_id(rng, "AROA"),
                trust({"Federated": provider}, action="sts:AssumeRoleWithSAML"),
                path=SSO_PATH,
                attached=(_permission_set_policy(permission),),
                longest=43200,  # so Identity Center makes them, however long sessions of the permission set last
            )
        return roles[permission, account]

    spread = [("AdministratorAccess", workload), ("AdministratorAccess", management), ("PowerUserAccess", workload)]
    spread += [("PowerUserAccess", data), ("ReadOnlyAccess", workload), ("DataEngineer", data), ("Billing", management)]
    spread += [("ReadOnlyAccess", management), ("ReadOnlyAccess", data)]
    people = []
    for index, who in enumerate(crew[:count]):
        permission, account = spread[index % len(spread)]
        shell = names.shell(rng) if permission in ("PowerUserAccess", "DataEngineer", "AdministratorAccess") else None
        person = Person(
            who.full, who.email, _user_id(rng), role(permission, account), names.browser(rng), shell, homes.address()
        )
        people.append(person)
    return tuple(people)


def _permission_set_policy(permission: str) -> str:
    return {
        "DataEngineer": "arn:aws:iam::aws:policy/PowerUserAccess",
        "Billing": "arn:aws:iam::aws:policy/job-function/Billing",
    }.get(permission, f"arn:aws:iam::aws:policy/{permission}")


def _user_id(rng: random.Random) -> str:
    return f"{hexadecimal(rng, 10)}-{guid(rng)}"


def _console_users(
    rng: random.Random, crew: list[names.Name], *, homes: _Homes, account: str, count: int
) -> tuple[User, ...]:
    policy = ("arn:aws:iam::aws:policy/ReadOnlyAccess",)
    return tuple(
        User(account, who.login, unique_id(rng, "AIDA"), None, names.browser(rng), homes.address(), attached=policy)
        for who in crew[:count]
    )


def _key_users(rng: random.Random, logins: list[str], *, homes: _Homes, account: str, role: str) -> tuple[User, ...]:
    """Developers; the first is the one whose key leaks, the first three may assume the developers' role."""
    may = ["iam:GetUser", "iam:ListRoles", "iam:ListAttachedUserPolicies", "iam:GetUserPolicy", "iam:ListUserPolicies"]
    may += ["ec2:Describe*", "s3:ListAllMyBuckets", "s3:ListBucket", "s3:GetObject", "lambda:ListFunctions"]
    may += ["lambda:GetFunctionConfiguration", "cloudwatch:DescribeAlarms", "logs:Describe*", "logs:GetLogEvents"]
    may += ["cloudtrail:DescribeTrails", "dynamodb:ListTables", "dynamodb:DescribeTable"]
    users = []
    for index, login in enumerate(logins):
        inline = {"developer": allow(*may)}
        if index < 3:
            inline["assume-dev"] = allow("sts:AssumeRole", resource=f"arn:aws:iam::{account}:role/{role}")
        agent = names.shell(rng) if index % 3 != 2 else names.boto(rng)
        key = access_key(rng, "AKIA")
        users.append(User(account, login, unique_id(rng, "AIDA"), key, agent, homes.address(), inline=inline))
    return tuple(users)


def _dev_role(rng: random.Random, name: str, developers: tuple[User, ...], longest: int) -> Role:
    iam = ["iam:Get*", "iam:List*", "iam:CreateUser", "iam:CreateAccessKey", "iam:AttachUserPolicy", "iam:PassRole"]
    iam += ["iam:UpdateAssumeRolePolicy", "iam:TagUser"]
    guard = allow("cloudtrail:DeleteTrail", "organizations:*", "s3:DeleteBucket")
    guard["Statement"][0]["Effect"] = "Deny"
    return Role(
        developers[0].account,
        name,
        unique_id(rng, "AROA"),
        trust({"AWS": [user.arn for user in developers[:3]]}),
        attached=("arn:aws:iam::aws:policy/PowerUserAccess",),
        inline={"dev-iam": allow(*iam), "guard-rails": guard},
        longest=longest,
    )


def _door(rng: random.Random, account: str, management: str) -> Role:
    """Make the role whose trust the attacker will widen."""
    return Role(
        account,
        rng.choice(("ReportExport", "SupportDiagnostics", "InventorySync", "CostReporter")),
        unique_id(rng, "AROA"),
        trust({"Service": "lambda.amazonaws.com"}),
        attached=("arn:aws:iam::aws:policy/ReadOnlyAccess",),
        inline={
            "management-account": allow("s3:PutObject", resource=f"arn:aws:s3:::amzn-s3-demo-reports-{management}/*")
        },
    )


def _bridge(rng: random.Random, account: str, data: str, longest: int) -> Role:
    """Make the role of the data account that the workload account's pipelines assume, and later the attacker."""
    return Role(
        data,
        rng.choice(("DataDeployment", "CrossAccountDeploy", "LakeOperator", "WarehouseDeploy")),
        unique_id(rng, "AROA"),
        trust({"AWS": f"arn:aws:iam::{account}:root"}),
        attached=("arn:aws:iam::aws:policy/PowerUserAccess",),
        longest=longest,
    )


def _audit(rng: random.Random, account: str, management: str) -> Role:
    return Role(
        account,
        "OrganizationAudit",
        unique_id(rng, "AROA"),
        trust({"AWS": f"arn:aws:iam::{management}:root"}),
        attached=("arn:aws:iam::aws:policy/SecurityAudit",),
    )


def _pipelines(rng: random.Random, account: str, *, homes: _Homes, count: int) -> tuple[Pipeline, ...]:
    provider = "token.ci.example.com"
    pipelines = []
    for index, (project, agent) in enumerate(names.projects(rng, count)):
        condition = {"StringLike": {f"{provider}:sub": f"project:{project}:*"}}
        federated = {"Federated": f"arn:aws:iam::{account}:oidc-provider/{provider}"}
        policy = "AdministratorAccess" if index == 0 else "PowerUserAccess"
        role = Role(
            account,
            f"ci-{project.rsplit('/', 1)[1]}",
            unique_id(rng, "AROA"),
            trust(federated, action="sts:AssumeRoleWithWebIdentity", condition=condition),
            path="/ci/",
            attached=(f"arn:aws:iam::aws:policy/{policy}",),
            inline={"assume-data": allow("sts:AssumeRole")} if index == 1 else {},
        )
        pipelines.append(Pipeline(role, project, agent, homes.address()))
    return tuple(pipelines)


def _machines(rng: random.Random, scenario: Scenario, *, account: str, regions: tuple[str, ...]) -> tuple[Machine, ...]:
    roles = [
        Role(
            account,
            name,
            unique_id(rng, "AROA"),
            trust({"Service": "ec2.amazonaws.com"}),
            attached=("arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",),
            inline={"application": allow("s3:ListBucket", "s3:GetObject", "sqs:*", "secretsmanager:GetSecretValue")},
        )
        for name in names.machine_roles(rng, scenario.population.instance_roles)
    ]
    endpoint = {region: ec2_id(rng, "vpce") for region in regions}
    image = {region: ec2_id(rng, "ami") for region in regions}
    machines = []
    for index in range(scenario.population.instances):
        region = regions[0] if index % 3 else regions[1 + index // 3 % (len(regions) - 1)]
        machine = Machine(
            ec2_id(rng, "i"),
            roles[index % len(roles)],
            region,
            f"10.{20 + regions.index(region)}.{rng.randrange(1, 5)}.{rng.randrange(10, 250)}",
            endpoint[region],
            image[region],
            rng.choice(("t3.medium", "m6i.large", "c6i.xlarge")),
            ec2_id(rng, "vol"),
            ec2_id(rng, "sg"),
            "1.0" if index == 1 else "2.0",
        )
        machines.append(machine)
    return tuple(machines)


def _expose(world: World) -> World:
    """Let two instances stand in the open: public, with IMDSv1, the first with a role that may far too much."""
    rng, network = source(world.seed, "exposed"), world.network.office[0].rsplit(".", 1)[0]
    machines = list(world.machines)
    addresses = [f"{network}.{last}" for last in rng.sample(range(200, 250), 2)]
    role = world.exposed.role
    role = replace(role, attached=(f"arn:aws:iam::{role.account}:policy/{HELPER}", *role.attached))
    for index, machine in enumerate(machines):
        if machine.role.arn == role.arn:
            machines[index] = replace(machine, role=role)
    for machine, address in zip((world.exposed, world.twin), addresses, strict=True):
        index = world.machines.index(machine)
        endpoint = rng.choice((machine.endpoint, None))
        machines[index] = replace(machines[index], public=address, endpoint=endpoint, delivery="1.0")
    return replace(world, machines=tuple(machines))


def _disarm(world: World) -> World:
    """Let somebody work in the console with wide rights and without MFA, unless the seed chose another victim."""
    if source(world.seed, "victim").choice(world.scenario.victims) != IAM_USER:
        return world
    wide = ("arn:aws:iam::aws:policy/IAMFullAccess", "arn:aws:iam::aws:policy/PowerUserAccess")
    first = replace(world.console_users[0], mfa=False, attached=wide)
    return replace(world, console_users=(first, *world.console_users[1:]))


def _functions(
    rng: random.Random, scenario: Scenario, *, accounts: tuple[str, str], regions: tuple[str, ...]
) -> tuple[Function, ...]:
    functions = []
    for index, (name, task) in enumerate(names.functions(rng, scenario.population.functions)):
        account = accounts[1] if index % 3 == 2 else accounts[0]
        may = [
            "logs:CreateLogStream",
            "logs:CreateLogGroup",
            "ec2:Describe*",
            "ec2:CreateSnapshot",
            "ec2:DeleteSnapshot",
        ]
        may += [
            "ec2:CreateTags",
            "dynamodb:*",
            "s3:*",
            "secretsmanager:GetSecretValue",
            "kms:Decrypt",
            "ssm:GetParameter",
        ]
        role = Role(
            account,
            f"{name}-role",
            unique_id(rng, "AROA"),
            trust({"Service": "lambda.amazonaws.com"}),
            path="/service-role/",
            attached=("arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",),
            inline={"task": allow(*may)},
        )
        region = regions[index % 2]
        address = f"10.{40 + index}.{rng.randrange(1, 9)}.{rng.randrange(10, 250)}"
        functions.append(Function(name, role, region, address, ec2_id(rng, "vpce"), names.lambda_agent(rng), task))
    return tuple(functions)
