"""Names for what is on screen: whose account that is, what address, and where on the network it lies.

Names come from the case itself (`known:` in case.yaml), from the account snapshot (accounts of the organization, the
account's own addresses) and from a table of networks that case.yaml may name (`known: {networks_file: PATH}`): a CSV
file with the columns network, country, asn, organization, such as an export of a country and ASN database.
"""

import base64
import csv
import functools
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from cirtlib import snapshot
from cirtlib.case import Case
from cirtlib.errors import CaseError

_KEY = re.compile(r"A[A-Z]{3}[Q-Z2-7][A-Z2-7]{15,}")
_ACCOUNT = re.compile(r"\d{12}")
_COLUMNS = ("network", "country", "asn", "organization")
_KINDS = {"networks", "accounts", "networks_file"}
# Columns of tables that hold an address or an account, and stand for the name beside them.
ADDRESSES = ("source_ip", "address", "source_network", "network")
ACCOUNTS = ("account_id", "account")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def account_of_key(key: str) -> str | None:
    """Account that an access key id, or another unique id of IAM, belongs to, read out of the id itself: *likely*.

    After its prefix of four letters an id is base32. Its first bit tells the generation of the id; in new ones the
    next 40 bits are the account number. In old ones (the fifth character is none of Q to Z, 2 to 7; `AKIAI...` and
    `AKIAJ...` are the ones met) they are not, and there is no known way to read it: None. So are the made-up ids of
    documentation and training, which end in EXAMPLE.

    AWS does not document this. Sources: T. Be'ery, "A short note on AWS KEY ID" (2023), after A. Steele, "AWS Access
    Key ID formats" (2020); the bit of the generation: P. Sivakumaran, WithSecure Labs, "A bitwise analysis of AWS
    access key identifiers"; an old id that decodes to a wrong account: trufflesecurity/trufflehog issue 2305.
    """
    if not _KEY.fullmatch(key) or key.endswith("EXAMPLE"):
        return None
    head = int.from_bytes(base64.b32decode(key[4:20])[:6], "big")
    number = (head & 0x7FFFFFFFFF80) >> 7
    return f"{number:012d}" if number < 10**12 else None


@dataclass(frozen=True)
class Known:
    """What is known by name in a case.

    Attributes
    ----------
    accounts
        Account id -> name.
    networks
        Network -> name, of `known:` in case.yaml.
    own
        Address of ours -> what has it, of the account snapshots.
    places
        The table of networks: by length of prefix, network number -> country, ASN and organization in words.
    """

    accounts: Mapping[str, str] = field(default_factory=dict)
    networks: Mapping[Network, str] = field(default_factory=dict)
    own: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[tuple[int, int], Mapping[int, str]] = field(default_factory=dict)

    def account(self, account: object) -> str:
        """Name of an account; '' where there is none."""
        return self.accounts.get(str(account), "")

    def address(self, value: object) -> str:
        """Names of an address or a network, the case's own first: `office; AS64500 Example, DE`; '' where none."""
        try:
            asked = ipaddress.ip_network(str(value))
        except ValueError:
            return ""
        inside = [
            (network.prefixlen, name)
            for network, name in self.networks.items()
            if network.version == asked.version and asked.subnet_of(network)  # type: ignore[arg-type]
        ]
        named = [max(inside)[1]] if inside else []
        return "; ".join(part for part in (*named, self.own.get(str(value), ""), self._place(asked)) if part)

    def node(self, node: str) -> str:
        """Name of what a node id of scope.json stands for; of an ARN that of its account."""
        kind, _, value = node.partition(":")
        if kind == "address":
            return self.address(value)
        if kind == "access_key":
            return self.account(account_of_key(value))
        parts = value.split(":")
        return self.account(parts[4] if value.startswith("arn:") and len(parts) > 5 else value)

    def all(self) -> set[str]:
        """Every name that may be shown and that somebody of ours gave."""
        return {*self.accounts.values(), *self.networks.values(), *self.own.values()}

    def _place(self, asked: Network) -> str:
        """What the table of networks says of the smallest network around this one."""
        for (version, length), numbers in self.places.items():
            if version == asked.version and length <= asked.prefixlen:
                found = numbers.get(int(asked.network_address) >> (asked.max_prefixlen - length))
                if found:
                    return found
        return ""


def read(case: Case) -> Known:
    """Names of this case, from case.yaml, its account snapshots, and the table of networks that case.yaml names.

    Raises
    ------
    CaseError
        when `known:` is not what it should be, or the table of networks cannot be read.
    """
    known = case.known
    if unknown := set(known) - _KINDS:
        raise CaseError(f"known: unknown key {sorted(unknown)[0]!r}; there are {', '.join(sorted(_KINDS))}")
    networks = {_network(text): name for name, text in _pairs(known.get("networks"), "networks")}
    accounts: dict[str, str] = {}
    own: dict[str, str] = {}
    snapshots = snapshot.latest(case)
    for one in snapshots:
        for alias in one.rows("iam.ListAccountAliases", "AccountAliases"):
            accounts[one.account] = str(alias)
        own |= _own(one)
    for one in snapshots:  # an organization's name for an account is better than the account's alias
        accounts |= {str(row["Id"]): str(row["Name"]) for row in one.accounts if row.get("Name")}
    for name, account in _pairs(known.get("accounts"), "accounts"):
        if not _ACCOUNT.fullmatch(account):
            raise CaseError(f"known.accounts.{name}: {account!r} is no account id; it has 12 digits, in quotes")
        accounts[account] = name
    file = known.get("networks_file")
    return Known(accounts, networks, own, _table(case.path / str(file)) if file else {})


def beside(frame: pd.DataFrame, known: Known) -> pd.DataFrame:
    """Table with a column `name` after each column of addresses or accounts of which one has a name.

    Of a second such column the new one is called `<column>_name`.
    """
    result = frame.copy(deep=False)
    for column in frame.columns:
        named = known.address if column in ADDRESSES else known.account if column in ACCOUNTS else None
        if named is None:
            continue
        words = [named(value) for value in frame[column]]
        if any(words):
            title = "name" if "name" not in result else f"{column}_name"
            result.insert(list(result.columns).index(column) + 1, title, words)
    return result


def _pairs(value: Any, name: str) -> list[tuple[str, str]]:  # noqa: ANN401 - any YAML value
    """Names and the texts they stand for: `{office: ["198.51.100.0/24"]}`; a single text may stand without a list."""
    if value is None:
        return []
    if not isinstance(value, dict):
        raise CaseError(f"known.{name}: {value!r} should be a mapping of names, such as {{office: [...]}}")
    pairs = []
    for title, texts in value.items():
        for text in [texts] if isinstance(texts, str) else texts or []:
            if not isinstance(text, str):
                raise CaseError(f"known.{name}.{title}: {text!r} should be a text; quote it")
            pairs.append((str(title), text))
    return pairs


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise CaseError(f"known.networks: {text!r} is no network; write it as 198.51.100.0/24") from None


def _own(one: snapshot.Snapshot) -> dict[str, str]:
    """Public addresses of the account and what has them: instances, NAT gateways, interfaces, Elastic IPs."""
    gateways = [
        (address.get("PublicIp"), f"our NAT gateway {row.get('NatGatewayId')}")
        for row in one.rows("ec2.DescribeNatGateways", "NatGateways")
        for address in row.get("NatGatewayAddresses") or ()
    ]
    interfaces = [
        ((row.get("Association") or {}).get("PublicIp"), f"our interface {row.get('NetworkInterfaceId')}")
        for row in one.rows("ec2.DescribeNetworkInterfaces", "NetworkInterfaces")
    ]
    elastic = [(row.get("PublicIp"), f"our address {row.get('AllocationId') or ''}".strip()) for row in one.addresses]
    instances = [(row.get("PublicIpAddress"), f"our instance {row.get('InstanceId')}") for row in one.instances]
    # What says most about an address comes last, and stays.
    return {str(ip): what for ip, what in (*elastic, *interfaces, *gateways, *instances) if ip}


def _table(file: Path) -> Mapping[tuple[int, int], Mapping[int, str]]:
    """Table of networks, read once as long as the file is the same."""
    try:
        return _read_table(file, file.stat().st_mtime_ns)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise CaseError(f"known.networks_file: cannot read {file}: {reason}") from None


@functools.lru_cache(maxsize=2)
def _read_table(file: Path, changed: int) -> Mapping[tuple[int, int], Mapping[int, str]]:
    """By IP version and length of prefix, the longest first: network number -> what the table says in words."""
    places: dict[tuple[int, int], dict[int, str]] = {}
    with file.open(encoding="utf-8-sig", newline="") as text:
        rows = csv.DictReader(text)
        lacking = [name for name in _COLUMNS if name not in (rows.fieldnames or ())]
        if lacking:
            raise CaseError(
                f"known.networks_file: {file} has no column {lacking[0]!r}; its first line is {','.join(_COLUMNS)}"
            )
        for number, row in enumerate(rows, 2):
            try:
                network = ipaddress.ip_network(str(row["network"]))
            except ValueError:
                raise CaseError(
                    f"known.networks_file: line {number} of {file}: {row['network']!r} is no network"
                ) from None
            told = places.setdefault((network.version, network.prefixlen), {})
            told[int(network.network_address) >> (network.max_prefixlen - network.prefixlen)] = _words(row)
    return dict(sorted(places.items(), reverse=True))


def _words(row: Mapping[str, str | None]) -> str:
    """`AS64500 Example, DE` of one row; what is missing is left out."""
    asn = (row["asn"] or "").strip().upper().removeprefix("AS")
    who = " ".join(part for part in (f"AS{asn}" if asn else "", (row["organization"] or "").strip()) if part)
    return ", ".join(part for part in (who, (row["country"] or "").strip()) if part)


def named(values: Iterable[object], known: Known) -> dict[str, str]:
    """Names of those of the values (addresses, networks or accounts) that have one."""
    found = {str(value): known.address(value) or known.account(value) for value in values}
    return {value: name for value, name in found.items() if name}
