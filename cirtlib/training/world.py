"""The organization of a scenario before anything happens: accounts, networks, people, roles, machines."""

import datetime as dt
from dataclasses import dataclass, field

from cirtlib.training.scenario import Scenario
from cirtlib.training.shapes import Json

SSO_PATH = "/aws-reserved/sso.amazonaws.com/"
SLR_PATH = "/aws-service-role/"
HELPER = "deploy-helper"  # the policy that lets an exposed instance do far too much
SLR_ID = "AROASLR222222EXAMPLE2"


@dataclass(frozen=True)
class Role:
    """A role: what it may do stands in `attached` (policy ARNs) and `inline` (name to document)."""

    account: str
    name: str
    id: str
    trust: Json
    path: str = "/"
    attached: tuple[str, ...] = ()
    inline: Json = field(default_factory=dict)
    longest: int = 3600  # seconds that a session may last

    @property
    def arn(self) -> str:
        """The role's ARN, path included."""
        return f"arn:aws:iam::{self.account}:role{self.path}{self.name}"


@dataclass(frozen=True)
class User:
    """An IAM user with a long-term key, or with a password and mostly MFA."""

    account: str
    name: str
    id: str
    key: str | None
    agent: str
    home: str
    attached: tuple[str, ...] = ()
    inline: Json = field(default_factory=dict)
    mfa: bool = True

    @property
    def arn(self) -> str:
        """The user's ARN."""
        return f"arn:aws:iam::{self.account}:user/{self.name}"


@dataclass(frozen=True)
class Person:
    """Someone who works through Identity Center: one permission set in one account, office and home."""

    name: str
    email: str
    user_id: str
    role: Role
    browser: str
    shell: str | None
    home: str


@dataclass(frozen=True)
class Pipeline:
    """A build system's role, assumed with a web identity; `agent` is the tool that then works."""

    role: Role
    project: str
    agent: str
    address: str


@dataclass(frozen=True)
class Machine:
    """An EC2 instance with an instance role.

    It reaches AWS from its private address through a VPC endpoint, or, without one, from its public address.
    """

    id: str
    role: Role
    region: str
    address: str
    endpoint: str | None
    image: str
    kind: str
    volume: str
    group: str
    delivery: str
    public: str = ""

    @property
    def arn(self) -> str:
        """The instance's ARN."""
        return f"arn:aws:ec2:{self.region}:{self.role.account}:instance/{self.id}"

    @property
    def group_arn(self) -> str:
        """ARN of its security group."""
        return f"arn:aws:ec2:{self.region}:{self.role.account}:security-group/{self.group}"


@dataclass(frozen=True)
class Function:
    """A Lambda function with its role; `calls` are what it does at each run."""

    name: str
    role: Role
    region: str
    address: str
    endpoint: str
    agent: str
    task: str

    @property
    def arn(self) -> str:
        """The function's ARN."""
        return f"arn:aws:lambda:{self.region}:{self.role.account}:function:{self.name}"


@dataclass(frozen=True)
class Network:
    """Who comes from where: the office's addresses, and the attacker's two."""

    office: tuple[str, ...]
    attacker: str
    second: str


@dataclass(frozen=True)
class World:
    """Everything that exists when the logs begin."""

    scenario: Scenario
    seed: int
    start: dt.datetime
    opening: int
    organization: str
    workload: str
    data: str
    management: str
    foreign: tuple[str, str]
    home: str
    regions: tuple[str, ...]
    unused: str
    network: Network
    people: tuple[Person, ...]
    console_users: tuple[User, ...]
    key_users: tuple[User, ...]
    pipelines: tuple[Pipeline, ...]
    machines: tuple[Machine, ...]
    functions: tuple[Function, ...]
    dev_role: Role
    door: Role
    bridge: Role
    audit: tuple[Role, ...]
    trails: dict[str, str]
    buckets: dict[str, tuple[str, ...]]
    keys: dict[str, tuple[str, ...]]
    cut: dt.datetime | None = None

    @property
    def accounts(self) -> tuple[str, str, str]:
        """Account ids: workload, data, management."""
        return self.workload, self.data, self.management

    @property
    def exposed(self) -> Machine:
        """The instance that an attacker gets into where the way in is an open port."""
        return self.machines[1]

    @property
    def twin(self) -> Machine:
        """An instance as open to the world as the other, which nobody attacks."""
        return self.machines[2]

    @property
    def victim(self) -> User | Person:
        """Whose console session is phished where that is the way in: a user without MFA if there is one."""
        return self.people[0] if self.console_users[0].mfa else self.console_users[0]

    @property
    def end(self) -> dt.datetime:
        """When the logs end."""
        return self.cut or self.start + dt.timedelta(days=self.scenario.days)

    @property
    def org_trail(self) -> str:
        """ARN of the organization trail, which goes on when the attacker stops the workload account's own."""
        return f"arn:aws:cloudtrail:{self.home}:{self.management}:trail/{self.trails['organization']}"

    def trail(self, account: str) -> str:
        """ARN of an account's own trail."""
        return f"arn:aws:cloudtrail:{self.home}:{account}:trail/{self.trails[account]}"


def allow(*actions: str, resource: object = "*") -> Json:
    """Write a policy of one allowing statement."""
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": resource}],
    }


def trust(principal: Json, *, action: str = "sts:AssumeRole", condition: Json | None = None) -> Json:
    """Write a trust policy of one statement."""
    statement: Json = {"Effect": "Allow", "Principal": principal, "Action": action}
    if condition:
        statement["Condition"] = condition
    return {"Version": "2012-10-17", "Statement": [statement]}
