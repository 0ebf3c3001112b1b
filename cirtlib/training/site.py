"""Where an instance stands in the network, and who may reach it there: drawn from the seed, the same for everybody."""

from dataclasses import dataclass

from cirtlib.training import names
from cirtlib.training.identifiers import ec2_id, source, unique_id
from cirtlib.training.world import Machine, World


@dataclass(frozen=True)
class Site:
    """Network place of an instance: ids, the name of its security group, and the port that is open to the world."""

    vpc: str
    subnet: str
    card: str
    group_name: str
    profile: str
    port: int


def site(world: World, machine: Machine) -> Site:
    """Draw the place of an instance; instances in one Region share a VPC and a subnet."""
    network = source(world.seed, f"network-{machine.region}")
    own = source(world.seed, f"site-{machine.id}")
    vpc, subnet = ec2_id(network, "vpc"), ec2_id(network, "subnet")
    port = 22 if machine.id == world.exposed.id else own.choice((22, 3389))
    return Site(vpc, subnet, ec2_id(own, "eni"), names.group(own), unique_id(own, "AIPA"), port)
