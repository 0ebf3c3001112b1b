"""Who reaches an instance over the network, and what its metadata service hands out.

Judged by the groups of its interfaces and the network ACLs of their subnets, as they are now; moto has no network to
send anything over. Source: Amazon VPC user guide, "Security groups" and "Network ACLs" (stateless, first match counts).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from cirtlib.training.account_state import backend
from cirtlib.training.exercise.record import Record

Network = IPv4Network | IPv6Network
_PROTOCOLS = {"icmp": "1", "tcp": "6", "udp": "17", "icmpv6": "58"}
_ANY = ("1", "6", "17", "58", "other")
_TCP, _HTTPS = "6", 443
_REPLIES = (1024, 65535)  # ephemeral ports, to which answers go
_EVERYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))


@dataclass(frozen=True)
class _Traffic:
    """What a rule is about: direction, addresses, protocol by its number (or -1), ports from and to."""

    egress: bool
    network: Network
    protocol: str
    ports: tuple[int, int]
    allow: bool = True
    number: int = 0


def attackers_addresses(record: Record) -> tuple[str, ...]:
    """Addresses that the attacker called from, but for those of the accounts' own instances."""
    machines = [one for content in record.after["accounts"].values() for one in content.get("instances", [])]
    own = {one.get(name) for one in machines for name in ("PublicIpAddress", "PrivateIpAddress")}
    found = {record.events[tuple(pair)]["sourceIPAddress"] for pair in record.truth["attacker_events"]}
    return tuple(sorted(one for one in found - own if _address(one)))


def handed_out(account: str, region: str, instance: str) -> tuple[str, str]:
    """ARN of the role whose credentials an instance hands to whoever is on it, or '' and why none."""
    machine = _machine(account, region, instance)
    if machine is None or machine._state.name != "running":
        return "", "the instance does not run"
    if machine.metadata_options.http_endpoint == "disabled":
        return "", "the metadata service of the instance is switched off"
    associations = backend("ec2", account, region).iam_instance_profile_associations.values()
    profile = next((one.iam_instance_profile for one in associations if one.instance.id == instance), None)
    if profile is None or not profile.roles:
        return "", "the instance has no instance profile"
    return str(profile.roles[0].arn), ""


def isolated(account: str, region: str, instance: str, addresses: Sequence[str]) -> str:
    """Why nobody at these addresses reaches an instance, nor it them; '' when somebody does.

    Of an attacker no address is known where there are none: whoever lets in or out anybody then lets in the attacker.
    """
    cards = list(_cards(account, region, instance))
    theirs = [ip_network(one) for one in addresses]
    for rules, acl in cards:
        for rule in rules:
            chosen = [one for one in theirs if _within(one, rule.network)] if theirs else _samples(rule.network, acl)
            if any(_passes(rule, one, acl) for one in chosen):
                return ""
    if any(rules for rules, _ in cards):
        return "the instance is isolated: its security groups or network ACLs keep the attacker's addresses out"
    return "the instance is isolated: its security groups let nothing in or out"


def cut_off(account: str, region: str, instance: str) -> str:
    """Why an instance cannot call AWS any more: it reaches nothing over HTTPS; '' when it can."""
    for rules, acl in _cards(account, region, instance, named=True):
        for rule in rules:
            if not rule.egress or rule.protocol not in ("-1", _TCP) or not rule.ports[0] <= _HTTPS <= rule.ports[1]:
                continue
            calls = _Traffic(True, rule.network, _TCP, (_HTTPS, _HTTPS))
            if any(_passes(calls, one, acl) for one in _samples(rule.network, acl)):
                return ""
    return "the instance reaches nothing: its security groups or network ACLs let no call of AWS out"


def _machine(account: str, region: str, instance: str) -> Any:  # noqa: ANN401 - moto has no types
    held = backend("ec2", account, region).reservations.values()
    return next((one for each in held for one in each.instances if one.id == instance), None)


def _cards(
    account: str, region: str, instance: str, *, named: bool = False
) -> Iterator[tuple[list[_Traffic], list[_Traffic]]]:
    """Of each interface the rules of its groups, and those of its subnet's network ACL in their order.

    Rules that name a group or a list of AWS's instead of addresses come with `named`, as if they let anybody through:
    the attacker's addresses are not in them, but something that an instance needs may be.
    """
    ec2 = backend("ec2", account, region)
    machine = _machine(account, region, instance)
    for card in machine.nics.values() if machine else ():
        groups = {group.id: group for group in card.group_set}.values()
        rules = [
            _Traffic(egress, network, *_what(rule.ip_protocol, rule.from_port, rule.to_port))
            for group in groups
            for egress, each in ((False, group.ingress_rules), (True, group.egress_rules))
            for rule in each
            for network in _networks(ec2, rule, named=named)
        ]
        acls = ec2.network_acls.values()
        acl = next((one for one in acls if any(each.subnet_id == card.subnet.id for each in one.associations)), None)
        yield rules, sorted(_entries(acl), key=lambda one: one.number)


def _networks(ec2: Any, rule: Any, *, named: bool) -> Iterator[Network]:  # noqa: ANN401 - moto has no types
    """Addresses that a rule of a security group names."""
    for name in ("CidrIp", "CidrIpv6"):
        if rule.ip_range.get(name):
            yield ip_network(rule.ip_range[name], strict=False)
    known = ec2.managed_prefix_lists.get(rule.prefix_list_id) if rule.prefix_list_id else None
    if known is not None and known.owner_id != "aws":
        for entry in known.entries.get(known.version, []):
            yield ip_network(entry["Cidr"], strict=False)
    elif named and (rule.source_group or rule.prefix_list_id):
        yield from _EVERYWHERE


def _entries(acl: Any) -> Iterator[_Traffic]:  # noqa: ANN401 - moto has no types
    """Rules of a network ACL; a subnet without one lets everything through."""
    if acl is None:
        yield from (_Traffic(egress, one, "-1", (0, 65535)) for egress in (True, False) for one in _EVERYWHERE)
        return
    for entry in acl.network_acl_entries:
        egress, allow = str(entry.egress).lower() == "true", str(entry.rule_action).lower() == "allow"
        for cidr in (entry.cidr_block, entry.ipv6_cidr_block):
            if cidr:
                what = _what(entry.protocol, entry.port_range_from, entry.port_range_to)
                yield _Traffic(egress, ip_network(cidr, strict=False), *what, allow, int(entry.rule_number))


def _what(protocol: object, first: object, last: object) -> tuple[str, tuple[int, int]]:
    """Protocol by its number, and the ports; of ICMP, whose numbers are types, all."""
    name = _PROTOCOLS.get(str(protocol).lower(), str(protocol))
    if name not in ("6", "17") or first in (None, "", -1, "-1"):
        return name, (0, 65535)
    return name, (int(str(first)), int(str(last)))


def _passes(rule: _Traffic, host: Network, acl: list[_Traffic]) -> bool:
    """Whether something that a group's rule lets through to or from an address passes the network ACL both ways."""
    for protocol in _ANY if rule.protocol == "-1" else (rule.protocol,):
        forth = _lets(acl, rule.egress, host, protocol, rule.ports)
        if forth and _lets(acl, not rule.egress, host, protocol, _REPLIES):
            return True
    return False


def _lets(acl: list[_Traffic], egress: bool, host: Network, protocol: str, ports: tuple[int, int]) -> bool:
    """Whether a network ACL lets anything of a protocol and range of ports through in a direction."""
    mine = [
        one for one in acl if one.egress == egress and one.protocol in ("-1", protocol) and _within(host, one.network)
    ]
    # what a rule decides changes only where one begins or ends
    edges = {ports[0], *(edge for one in mine for edge in (one.ports[0], one.ports[1] + 1))}
    for port in (edge for edge in edges if ports[0] <= edge <= ports[1]):
        first = next((one for one in mine if one.ports[0] <= port <= one.ports[1]), None)
        if first is not None and first.allow:  # what no rule is about is refused
            return True
    return False


def _samples(network: Network, acl: Iterable[_Traffic]) -> list[Network]:
    """Addresses of a network that stand for all: its first, and those where a rule of the ACL begins or has ended."""
    edges = {int(network.network_address)}
    for one in acl:
        if one.network.version == network.version:
            edges |= {int(one.network.network_address), int(one.network.broadcast_address) + 1}
    last = int(network.broadcast_address)
    kind = IPv4Network if network.version == 4 else IPv6Network
    return [kind(edge) for edge in sorted(edges) if int(network.network_address) <= edge <= last]


def _within(host: Network, network: Network) -> bool:
    return host.version == network.version and host.network_address in network


def _address(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False
