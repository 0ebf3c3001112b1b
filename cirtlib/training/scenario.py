"""Read and check the data that describes a scenario: how many people, which steps, which decoys."""

import dataclasses
import datetime as dt
import ipaddress
import typing
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from cirtlib.errors import TrainingError
from cirtlib.shipped import shipped

# Account ids, networks and names that documentation may use: RFC 5737, RFC 3849, and ids that AWS's own guides use.
DOCUMENTATION_ACCOUNTS = (
    "111122223333",
    "123456789012",
    "210987654321",
    "222222222222",
    "333333333333",
    "444455556666",
    "777788889999",
    "999988887777",
)
DOCUMENTATION_NETWORKS = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")

# How the attacker got in: with a developer's key, through a port of an instance, with a phished console session; or
# nobody did, and the alarm is false.
LEAKED_KEY, OPEN_PORT, PHISHED, FALSE_ALARM = WAYS_IN = ("leaked_key", "open_port", "phished_console", "false_alarm")

Groups = tuple[tuple[str, ...], ...]

# The building blocks that `steps` of a scenario are made of, by way in; the other ways in take theirs from `attack`.
STEPS = {
    PHISHED: (
        "sign_in",
        "look_around",
        "give_password",
        "give_key",
        "raise_rights",
        "read_mail",
        "read_objects",
        "read_secrets",
        "use_password",
        "use_key",
    ),
    FALSE_ALARM: ("trail_maintenance", "penetration_test", "backup_share", "break_glass"),
}
# What must come before a step.
_NEEDS = {"use_password": "give_password", "use_key": "give_key", "raise_rights": "give_key"}
# Whose console session is phished, and which findings lie beside what happened.
IDENTITY_CENTER, IAM_USER = VICTIMS = ("identity_center", "iam_user")
BESIDE = ("probe", "sample", "automation")


@dataclass(frozen=True)
class Organization:
    """Which accounts and Regions the seed chooses from, and the name of the role the attacker reaches."""

    accounts: tuple[str, ...] = ("111122223333", "444455556666", "777788889999", "999988887777", "123456789012")
    external_accounts: tuple[str, ...] = ("210987654321", "222222222222", "333333333333")
    home_region: str = "us-east-1"
    regions: tuple[str, ...] = ("us-west-2", "eu-west-1", "eu-central-1", "us-east-2", "ap-southeast-2")
    used_regions: int = 3
    unused_regions: tuple[str, ...] = ("ap-northeast-3", "ca-central-1", "eu-north-1", "sa-east-1", "ap-south-1")
    networks: tuple[str, ...] = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
    network6: str = "2001:db8::/32"
    role: str = "devRole"


@dataclass(frozen=True)
class Population:
    """How many principals of each kind work in the organization, and how busy they are."""

    people: int = 16
    console_users: int = 4
    key_users: int = 6
    pipelines: int = 3
    instance_roles: int = 3
    instances: int = 7
    functions: int = 6
    intensity: float = 1.0


@dataclass(frozen=True)
class Attack:
    """When the attack begins, how long it and a session of it take, and which building blocks it is made of."""

    day: int = 8
    hours: float = 3.0
    session_hours: int = 4
    recon: bool = True
    stop_logging: bool = True
    create_user: bool = True
    backdoor_trust: bool = True
    share_snapshot: bool = True
    run_instances: bool = True
    second_account: bool = True
    denied_attempts: bool = True
    read_data: bool = False
    persist: bool = False


@dataclass(frozen=True)
class Decoys:
    """The innocents that stand close to the attack."""

    legitimate_role_session: bool = True
    owner_at_work: bool = True
    automation: bool = True
    shared_address: int = 3
    error_storms: bool = True
    exposed_twin: bool = False


@dataclass(frozen=True)
class Delivery:
    """How CloudTrail delivers: minutes a file spans, shares of late and of repeated events, digest files."""

    batch_minutes: int = 5
    late_share: float = 0.006
    duplicate_share: float = 0.005
    digests: str = "home"


@dataclass(frozen=True)
class Gaps:
    """What the evidence lacks: files of the days before the attack that were lost, though their digests name them."""

    lost_files: int = 0


@dataclass(frozen=True)
class Scenario:
    """A scenario as its YAML file describes it, checked.

    `steps` are the building blocks of what happens, in order; of a list among them the seed chooses one, and likewise
    one of the `victims`. `findings` lie beside what happened and have nothing to do with it. With `ends_after` the logs
    end that many minutes after the attack's last act (or the alarm): it still goes on. Else they go on for all `days`.
    """

    name: str
    title: str
    start: dt.date
    way_in: str = LEAKED_KEY
    days: int = 10
    ends_after: int = 0
    victims: tuple[str, ...] = VICTIMS
    steps: Groups = ()
    findings: tuple[str, ...] = BESIDE
    organization: Organization = field(default_factory=Organization)
    population: Population = field(default_factory=Population)
    attack: Attack = field(default_factory=Attack)
    decoys: Decoys = field(default_factory=Decoys)
    delivery: Delivery = field(default_factory=Delivery)
    gaps: Gaps = field(default_factory=Gaps)


def load_scenario(scenario: str | Path, settings: dict[str, typing.Any] | None = None) -> Scenario:
    """Read a scenario by its name (a folder of scenarios/) or by the path of its folder or YAML file.

    `settings` stand before those of the file, key by key.

    Raises
    ------
    TrainingError
        If there is no such scenario, or its file holds unknown keys, wrong types or values that cannot be; all faults
        are in one message.
    """
    path = scenario_file(scenario)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise TrainingError(f"{path} cannot be read as YAML: {error}") from error
    faults: list[str] = []
    read = _build(Scenario, _before(settings or {}, data), where="", faults=faults)
    if not faults:
        faults = _impossible(typing.cast("Scenario", read))
    if faults:
        raise TrainingError(f"{path}: " + "; ".join(faults))
    return typing.cast("Scenario", read)


def _before(settings: dict[str, typing.Any], data: object) -> object:
    """Settings laid over what a file holds; mappings are merged."""
    if not isinstance(data, dict):
        return data
    both = {key for key in settings.keys() & data.keys() if isinstance(settings[key], dict)}
    return data | settings | {key: _before(settings[key], data[key]) for key in both}


def scenario_file(scenario: str | Path) -> Path:
    """Where the YAML file of a scenario lies."""
    asked = Path(scenario)
    tries = [asked, asked / "scenario.yaml"]
    if isinstance(scenario, str) and asked.name == scenario:
        tries.append(shipped("scenarios") / scenario / "scenario.yaml")
    for path in tries:
        if path.is_file():
            return path
    folder = shipped("scenarios")
    known = sorted(path.parent.name for path in folder.glob("*/scenario.yaml"))
    raise TrainingError(f"there is no scenario {str(scenario)!r}; known: {', '.join(known) or 'none'}")


def _build(kind: type, data: object, *, where: str, faults: list[str]) -> object:
    """One dataclass from one mapping; what does not fit is added to faults."""
    if not isinstance(data, dict):
        faults.append(f"{where or 'the file'} must be a mapping of keys to values")
        return None
    hints = typing.get_type_hints(kind)
    known = {item.name: item for item in dataclasses.fields(kind)}
    for key in data:
        if key not in known:
            faults.append(f"unknown key {where}{key} (known: {', '.join(known)})")
    values = {}
    for name, item in known.items():
        if name in data:
            values[name] = _value(hints[name], data[name], where=f"{where}{name}", faults=faults)
        elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            faults.append(f"{where}{name} is missing")
    return None if faults else kind(**values)


def _value(hint: object, value: object, *, where: str, faults: list[str]) -> object:
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast("type", hint), value, where=f"{where}.", faults=faults)
    if typing.get_origin(hint) is tuple:
        return _groups(value, where, faults) if hint == Groups else _texts(value, where, faults)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is hint:
        return value
    wanted = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", dt.date: "a date"}
    faults.append(f"{where} must be {wanted.get(typing.cast('type', hint), hint)}, not {value!r}")
    return None


def _texts(value: object, where: str, faults: list[str]) -> object:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    faults.append(f"{where} must be a list of texts (quote account ids)")
    return None


def _groups(value: object, where: str, faults: list[str]) -> object:
    """Names, and lists of names of which one is chosen."""
    groups = [[item] if isinstance(item, str) else item for item in value] if isinstance(value, list) else [None]
    if all(isinstance(group, list) and group and all(isinstance(item, str) for item in group) for group in groups):
        return tuple(tuple(typing.cast("list[str]", group)) for group in groups)
    faults.append(f"{where} must be a list of names, or of lists of names to choose from")
    return None


def _impossible(scenario: Scenario) -> list[str]:
    """What has the right type and still cannot be."""
    organization, population, attack = scenario.organization, scenario.population, scenario.attack
    foreign = [a for a in organization.accounts + organization.external_accounts if a not in DOCUMENTATION_ACCOUNTS]
    checks = {
        f"days must be 4 to 31, not {scenario.days}": 4 <= scenario.days <= 31,
        f"attack.day must be 3 to days - 1, not {attack.day}": 3 <= attack.day <= scenario.days - 1,
        "attack.hours must be 1 to 5": 1 <= attack.hours <= 5,
        "attack.session_hours must be 1 to 12": 1 <= attack.session_hours <= 12,
        "ends_after must be 0 to 600 minutes": 0 <= scenario.ends_after <= 600,
        "start must be a Monday": scenario.start.weekday() == 0,
        f"accounts {foreign} are not documentation ids": not foreign,
        "organization.accounts needs at least 3": len(set(organization.accounts)) >= 3,
        "organization.external_accounts needs at least 2": len(set(organization.external_accounts)) >= 2,
        "an external account is also in organization.accounts": not (
            set(organization.accounts) & set(organization.external_accounts)
        ),
        "organization.used_regions exceeds the Regions listed": 1
        <= organization.used_regions
        <= len(organization.regions),
        "organization.unused_regions is empty": bool(organization.unused_regions),
        "networks must be 3 documentation networks (RFC 5737) and network6 in 2001:db8::/32": _documentation(
            organization
        ),
        "population: at least 4 people, 2 console_users, 4 key_users, 2 pipelines, 2 instance_roles, 2 functions": (
            population.people >= 4
            and population.console_users >= 2
            and population.key_users >= 4
            and population.pipelines >= 2
            and population.instances >= population.instance_roles >= 2
            and population.functions >= 2
        ),
        "population.intensity must be 0.1 to 5": 0.1 <= population.intensity <= 5,
        "decoys.shared_address must be 0 to 3": 0 <= scenario.decoys.shared_address <= 3,
        "delivery.batch_minutes must be 5 to 120": 5 <= scenario.delivery.batch_minutes <= 120,
        "delivery shares must be 0 to 0.2": 0 <= scenario.delivery.late_share <= 0.2
        and 0 <= scenario.delivery.duplicate_share <= 0.2,
        "delivery.digests must be none, home or all": scenario.delivery.digests in ("none", "home", "all"),
        f"way_in must be one of {', '.join(WAYS_IN)}": scenario.way_in in WAYS_IN,
        f"way_in: {OPEN_PORT} needs 3 instances": scenario.way_in != OPEN_PORT or population.instances >= 3,
        "attack.second_account and attack.run_instances need attack.create_user": attack.create_user
        or scenario.way_in != LEAKED_KEY
        or not (attack.second_account or attack.run_instances),
    }
    return [fault for fault, fine in checks.items() if not fine] + _impossible_steps(scenario)


def _impossible_steps(scenario: Scenario) -> list[str]:
    """What cannot be of the building blocks, the victims, the findings beside and the gaps."""
    known, way_in = STEPS.get(scenario.way_in, ()), scenario.way_in
    faults = [
        f"steps: unknown {step!r} for way_in {way_in} (known: {', '.join(known) or 'none; its steps stand in attack'})"
        for group in scenario.steps
        for step in group
        if step not in known
    ]
    if known and not scenario.steps:
        faults.append(f"way_in: {way_in} needs steps (known: {', '.join(known)})")
    if way_in == PHISHED and scenario.steps and scenario.steps[0] != ("sign_in",):
        faults.append("steps must begin with sign_in")
    if way_in == FALSE_ALARM and len(scenario.steps) > 1:
        faults.append("steps of a false alarm are one cause, or one list of causes to choose from")
    if way_in == FALSE_ALARM and scenario.attack.day < 8:
        faults.append("attack.day must be 8 or more: what explains a false alarm happened before it")
    for index, group in enumerate(scenario.steps):
        earlier = {done[0] for done in scenario.steps[:index] if len(done) == 1}
        faults += [f"steps: {s} must come after {_NEEDS[s]}" for s in group if s in _NEEDS and _NEEDS[s] not in earlier]
    for name, given, possible in (("victims", scenario.victims, VICTIMS), ("findings", scenario.findings, BESIDE)):
        faults += [f"{name}: unknown {item!r} (known: {', '.join(possible)})" for item in given if item not in possible]
    if not scenario.victims:
        faults.append("victims is empty")
    if not 0 <= scenario.gaps.lost_files <= 20:
        faults.append("gaps.lost_files must be 0 to 20")
    return faults


def _documentation(organization: Organization) -> bool:
    try:
        fourth = {str(ipaddress.IPv4Network(text)) for text in organization.networks}
        sixth = ipaddress.IPv6Network(organization.network6)
    except ValueError:
        return False
    inside = sixth.subnet_of(ipaddress.IPv6Network("2001:db8::/32")) and sixth.prefixlen <= 40
    return len(fourth) == 3 and fourth <= set(DOCUMENTATION_NETWORKS) and inside
