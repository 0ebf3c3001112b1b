"""Rules of security groups that let somebody in: from CloudTrail's records, a finding's details, the account snapshot.

Shapes: EC2 API, AuthorizeSecurityGroupIngress (as CloudTrail writes it: lists lie under `items`), ASFF
AwsEc2SecurityGroup, EC2 DescribeSecurityGroups.
"""

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import duckdb

from cirtlib import identity
from cirtlib.engine import duckdb as engine

_CALLS = ["AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress"]
EVERYONE = ("0.0.0.0/0", "::/0")


@dataclass(frozen=True)
class Rule:
    """One rule: ports `first` to `last` (-1: all) for a network, who opened and closed it, and where that stands."""

    group: str
    network: str
    first: int
    last: int
    evidence: tuple[str, ...] = ()
    opened: datetime | None = None
    opened_by: str = ""
    closed: datetime | None = None
    id: str = ""

    def covers(self, port: int) -> bool:
        """Whether it opens this port."""
        return self.first == -1 or self.first <= port <= self.last

    def admits(self, address: str) -> bool:
        """Whether it lets this address in; False for what is no address."""
        try:
            return ipaddress.ip_address(address) in ipaddress.ip_network(self.network, strict=False)
        except ValueError:
            return False

    @property
    def ports(self) -> str:
        """The ports in words."""
        span = str(self.first) if self.first == self.last else f"{self.first} to {self.last}"
        return "all ports" if self.first == -1 else f"port {span}"


def doors(rules: Iterable[Rule], addresses: Iterable[str]) -> list[Rule]:
    """Rules that let in the world, or one of these addresses."""
    known = list(addresses)
    return [rule for rule in rules if rule.network in EVERYONE or any(rule.admits(one) for one in known)]


def of_records(connection: duckdb.DuckDBPyConnection, groups: Iterable[str]) -> list[Rule]:
    """Rules that the records show being made for these groups, the earliest first, with what closed them."""
    text = (
        "SELECT event_time, event_id, event_name, principal, session_name, request, response FROM events "
        "WHERE event_source = 'ec2.amazonaws.com' AND contains(:calls, event_name) AND outcome = 'ok' "
        "AND strpos(concat(COALESCE(request, ''), COALESCE(response, '')), :group) > 0 ORDER BY event_time, event_id"
    )
    made: list[Rule] = []
    for group in sorted(set(groups)):
        for row in engine.run(connection, text, {"calls": _CALLS, "group": group}).itertuples():
            request, response = identity.parse(row.request), identity.parse(row.response)
            if row.event_name == _CALLS[0]:
                who = f"{row.principal} as {row.session_name}" if isinstance(row.session_name, str) else row.principal
                said = {"opened": row.event_time, "opened_by": who, "evidence": (row.event_id,)}
                made += [replace(rule, **said) for rule in _given(group, request, response)]
            else:
                made = _closed(made, group, request, row)
    return made


def of_details(group: str, permissions: object, evidence: tuple[str, ...]) -> list[Rule]:
    """Rules in IpPermissions, as a finding or DescribeSecurityGroups tells them."""
    return [replace(rule, evidence=evidence) for rule in _permissions(group, permissions)]


def _given(group: str, request: dict[str, Any], response: dict[str, Any]) -> list[Rule]:
    """Rules that an Authorize call made: as answered, with their ids, else as asked for."""
    answered = [
        Rule(group, network, *_span(item, "fromPort", "toPort"), id=str(item.get("securityGroupRuleId", "")))
        for item in _items(response.get("securityGroupRuleSet"))
        if isinstance(item, dict)
        and not item.get("isEgress")
        and isinstance(network := item.get("cidrIpv4") or item.get("cidrIpv6"), str)
    ]
    return answered or _asked(group, request)


def _asked(group: str, request: dict[str, Any]) -> list[Rule]:
    """Rules of a request, in its long form or its short one."""
    short = request.get("cidrIp")
    if isinstance(short, str):
        return [Rule(group, short, *_span(request, "fromPort", "toPort"))]
    return list(_permissions(group, request.get("ipPermissions")))


def _closed(made: list[Rule], group: str, request: dict[str, Any], row: Any) -> list[Rule]:  # noqa: ANN401 - a row
    """The rules, those closed that a Revoke call names by id or by ports and network."""
    named = request.get("securityGroupRuleIds")
    ids = {str(one.get("securityGroupRuleId")) if isinstance(one, dict) else str(one) for one in _items(named)}
    same = {(rule.network, rule.first, rule.last) for rule in _asked(group, request)}
    return [
        replace(rule, closed=row.event_time, evidence=(*rule.evidence, row.event_id))
        if rule.group == group
        and rule.closed is None
        and ((rule.id and rule.id in ids) or (rule.network, rule.first, rule.last) in same)
        else rule
        for rule in made
    ]


def _permissions(group: str, permissions: object) -> Iterator[Rule]:
    for item in (one for one in _items(permissions) if isinstance(one, dict)):
        low = {str(key).lower(): value for key, value in item.items()}
        for ranges, key in (("ipranges", "cidrip"), ("ipv6ranges", "cidripv6")):
            for network in (one for one in _items(low.get(ranges)) if isinstance(one, dict)):
                value = next((text for name, text in network.items() if str(name).lower() == key), None)
                if isinstance(value, str):
                    yield Rule(group, value, *_span(low, "fromport", "toport"))


def _items(value: object) -> list[Any]:
    """List in a value, or under its `items`; only what is an object, or a text of a list of ids."""
    found = value.get("items") if isinstance(value, dict) else value
    return [one for one in found if isinstance(one, dict | str)] if isinstance(found, list) else []


def _span(item: dict[str, Any], first: str, last: str) -> tuple[int, int]:
    """First and last port; -1 where the rule is for all."""
    ports = [value if isinstance(value := item.get(name), int) else -1 for name in (first, last)]
    return ports[0], ports[1]
