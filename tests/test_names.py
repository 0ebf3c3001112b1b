"""Names for accounts and addresses, and the account that an access key id tells."""

import re
from dataclasses import replace

import pandas as pd
import pytest

from cirtlib import names
from cirtlib.case import Case, new_case
from cirtlib.errors import CaseError
from cirtlib.names import Known, account_of_key, beside, read

_KEY = re.compile(r'"accessKeyId":\s*"(A[KS]IA\w{16})"')
_ACCOUNT = re.compile(r'"accountId":\s*"(\d{12})"')


def key(number: int, prefix: str = "AKIA") -> str:
    """Access key id of an account, made by the published rule: a bit, 40 bits of the account, the rest."""
    bits = f"1{number:040b}{'01' * 20}"[:80]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    return prefix + "".join(alphabet[int(bits[place : place + 5], 2)] for place in range(0, 80, 5))


@pytest.fixture
def case(tmp_path) -> Case:
    return new_case(tmp_path / "c", {})


@pytest.mark.parametrize("account", ["000000000001", "111122223333", "999988887777"])
def test_the_account_of_a_key_is_read_out_of_it(account):
    """Even, odd and small numbers, of a long-term key, a session's key and a role's id."""
    assert {account_of_key(key(int(account), prefix)) for prefix in ("AKIA", "ASIA", "AROA")} == {account}


def test_keys_of_real_records_tell_their_account(real_data):
    """Public records that nobody made anonymous: the key's id holds the account that the record names."""
    told = set()
    for file in (real_data / "cloud-custodian__cloud-custodian").rglob("*.json"):
        text = file.read_text(encoding="utf-8", errors="replace")
        told |= {account_of_key(key_id) for key_id in _KEY.findall(text)} & set(_ACCOUNT.findall(text))
    assert len(told) >= 2


@pytest.mark.parametrize(
    "old",
    [
        "AKIAJWMRCSBBKQO4HQCQ",
        "AKIAIOSFODNN7EXAMPLE",
        "ASIA6NNKWXZWDEXAMPLE",
        "AKIADEV",
        "",
        "ASIA0123456789ABCDEF",
        "x" * 20,
    ],
)
def test_an_old_or_odd_id_tells_no_account(old):
    """Ids of the old generation and of documentation would decode to a wrong account: nothing is said of them."""
    assert account_of_key(old) is None


def test_a_number_of_more_than_twelve_digits_is_no_account():
    """Forty bits hold more than twelve digits."""
    assert account_of_key(key(2**40 - 1)) is None


def test_known_names_of_the_case(case):
    """The smallest network that holds an address names it; what is in none has no name."""
    networks = {"offices": ["198.51.100.0/24", "2001:db8::/32"], "vpn": "198.51.100.64/26"}
    known = read(replace(case, known={"networks": networks, "accounts": {"backup-vendor": ["444455556666"]}}))
    assert known.address("198.51.100.7") == "offices"
    assert known.address("198.51.100.70") == "vpn"
    assert known.address("198.51.100.0/24") == "offices"
    assert known.address("2001:db8::1") == "offices"
    assert [known.address(odd) for odd in ("203.0.113.1", "AWS Internal", None, "999.1.1.1")] == [""] * 4
    assert known.account("444455556666") == "backup-vendor"
    assert known.node("principal:arn:aws:iam::444455556666:role/x") == "backup-vendor"
    assert known.node("address:198.51.100.7") == "offices"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"network": {}}, "unknown key 'network'"),
        ({"networks": ["198.51.100.0/24"]}, "mapping of names"),
        ({"networks": {"office": ["office"]}}, "no network"),
        ({"accounts": {"vendor": [444455556666]}}, "quote it"),
        ({"accounts": {"vendor": ["4444"]}}, "12 digits"),
        ({"networks_file": "nowhere.csv"}, "cannot read"),
    ],
)
def test_a_wrong_name_is_refused(case, content, said):
    """A slip in case.yaml is told, with its place."""
    with pytest.raises(CaseError, match=said):
        read(replace(case, known=content))


def test_the_table_of_networks_names_country_and_provider(case):
    """The longest prefix wins; a row may lack what is not known."""
    (case.path / "networks.csv").write_text(
        "network,country,asn,organization\n203.0.113.0/24,DE,64500,Example Hosting\n"
        "203.0.113.64/26,,AS64501,\n2001:db8::/32,FR,,Example\n"
    )
    known = read(replace(case, known={"networks_file": "networks.csv", "networks": {"lab": ["203.0.113.0/24"]}}))
    assert known.address("203.0.113.1") == "lab; AS64500 Example Hosting, DE"
    assert known.address("203.0.113.65") == "lab; AS64501"
    assert known.address("2001:db8::5") == "Example, FR"
    assert known.address("192.0.2.1") == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [("net,country\n", "no column 'network'"), ("network,country,asn,organization\nhere,DE,1,x\n", "line 2")],
)
def test_a_broken_table_of_networks_is_told(case, text, said):
    """Its file, and the line."""
    (case.path / "n.csv").write_text(text)
    with pytest.raises(CaseError, match=said):
        read(replace(case, known={"networks_file": "n.csv"}))


def test_names_of_the_snapshot(case, monkeypatch):
    """Accounts of the organization, and what of ours has an address: an instance says more than its Elastic IP."""

    class One:
        account = "999988887777"
        accounts = ({"Id": "444455556666", "Name": "production"}, {"Id": "111122223333"})
        addresses = ({"PublicIp": "192.0.2.5", "AllocationId": "eipalloc-1"}, {"PublicIp": "192.0.2.6"})
        instances = ({"PublicIpAddress": "192.0.2.5", "InstanceId": "i-1"}, {"InstanceId": "i-2"})

        def rows(self, call, member):
            gateways = [{"NatGatewayId": "nat-1", "NatGatewayAddresses": [{"PublicIp": "192.0.2.7"}]}]
            return {"NatGateways": gateways, "AccountAliases": ["example-audit"]}.get(member, [])

    monkeypatch.setattr(names.snapshot, "latest", lambda _: [One()])
    known = read(replace(case, known={"accounts": {"ours": ["111122223333"]}}))
    assert dict(known.accounts) == {
        "444455556666": "production", "111122223333": "ours", "999988887777": "example-audit",
    }  # fmt: skip
    assert known.address("192.0.2.5") == "our instance i-1"
    assert known.address("192.0.2.6") == "our address"
    assert known.address("192.0.2.7") == "our NAT gateway nat-1"


def test_a_table_gets_its_names_beside():
    """After each column that has a named value, and only there."""
    frame = pd.DataFrame({"account_id": ["444455556666"], "source_ip": ["192.0.2.5"], "network": ["203.0.113.0/24"]})
    known = Known(accounts={"444455556666": "production"}, own={"192.0.2.5": "our instance i-1"})
    table = beside(frame, known)
    assert list(table.columns) == ["account_id", "name", "source_ip", "source_ip_name", "network"]
    assert table.iloc[0].tolist() == ["444455556666", "production", "192.0.2.5", "our instance i-1", "203.0.113.0/24"]
    assert list(beside(frame, Known()).columns) == list(frame.columns)
