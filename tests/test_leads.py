"""What is a lead and what is none: shared addresses, programs and TLS hosts; what the analyst decided."""

import pytest
from trail import ACCOUNT, CAFE, CLI, EXIT, OFFICE, SDK, THIEF, Trail, role, user

from cirtlib.case import load_case, update_case
from cirtlib.cli import main
from cirtlib.decisions import decide
from cirtlib.errors import CaseError
from cirtlib.scope import scope, write

DEV = user("dev", "AKIADEV")
ANN = user("ann", "AKIAANN")
ANN_NODE = f"principal:arn:aws:iam::{ACCOUNT}:user/ann"
INSTANCE = "i-0123456789abcdef0"
TOOL = "evil-tool/1.0"
HOST = "vpce-0abc.s3.us-east-1.vpce.amazonaws.com"


def tls(trail: Trail, host: str) -> None:
    """Give the last record a TLS host."""
    trail.records[-1]["tlsDetails"] = {"tlsVersion": "TLSv1.3", "clientProvidedHostHeader": host}


def attack(*, days: range = range(9), agent: str = TOOL, host: str = "") -> tuple[Trail, str]:
    """The thief of dev's key stops a trail from an address of their own."""
    trail = Trail()
    for who in (DEV, ANN):
        trail.habit(who, days=days)
    stop = trail.add(9.5, DEV, "cloudtrail:StopLogging", ip=THIEF, agent=agent, request={"name": "main"})
    if host:
        tls(trail, host)
    return trail, stop


def leads(trail: Trail, folder, stop: str) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = {}
    for lead in scope(trail.case(folder, {"event": stop})).leads:
        found.setdefault(lead["node"], []).append(lead)
    return found


def test_another_principal_at_the_attackers_address_is_a_lead_with_its_event(tmp_path):
    """Who came, against habit, from the address is named, with the first event and how rare the address is."""
    trail, stop = attack()
    first = trail.add(9.6, ANN, "ec2:DescribeVpcs", ip=THIEF)
    (lead,) = leads(trail, tmp_path, stop)[ANN_NODE]
    assert lead["reason"] == f"used the attacker's address {THIEF} (1 event, first {first})"
    assert lead["rarity"] == 1.0


def test_a_rare_program_is_a_lead_and_a_common_one_is_none(tmp_path):
    """A user agent that one principal had before is rare; one of three principals says nothing."""
    trail, stop = attack()
    trail.habit(user("bob", "AKIABOB"), agent=TOOL, days=range(5), ip=EXIT)
    trail.add(9.6, ANN, "ec2:DescribeVpcs", ip=CAFE, agent=TOOL)
    (lead,) = leads(trail, tmp_path / "rare", stop)[ANN_NODE]
    assert f"user agent {TOOL}" in lead["reason"]
    assert lead["rarity"] == 0.5
    trail, stop = attack(agent=SDK)
    for name in ("bob", "eve", "joe"):
        trail.habit(user(name, f"AKIA{name.upper()}"), agent=SDK, days=range(5), ip=EXIT)
    trail.add(9.6, ANN, "ec2:DescribeVpcs", ip=CAFE, agent=SDK)
    assert leads(trail, tmp_path / "common", stop) == {}


def test_a_rare_tls_host_is_a_lead_and_an_endpoint_of_aws_is_none(tmp_path):
    """A VPC endpoint that only the attacker asked for links; the name of a public service does not."""
    for host, expected in ((HOST, 1), ("ec2.us-east-1.amazonaws.com", 0)):
        trail, stop = attack(host=host)
        trail.habit(user("bob", "AKIABOB"), days=range(3))
        tls(trail, "ec2.us-east-1.amazonaws.com")
        trail.add(9.6, ANN, "ec2:DescribeVpcs", ip=EXIT, agent=CLI)
        tls(trail, host)
        found = leads(trail, tmp_path / str(expected), stop)
        assert len(found.get(ANN_NODE, ())) == expected, host
        assert all(f"TLS host {HOST}" in lead["reason"] for lead in found.get(ANN_NODE, ()))


def test_a_shared_office_address_is_no_reason(tmp_path):
    """An address that three principals used before names nobody; neither does a habit of one's own."""
    trail = Trail()
    for name in ("bob", "eve", "joe"):
        trail.habit(user(name, f"AKIA{name.upper()}"), ip=OFFICE)
    trail.habit(DEV, ip=CAFE)
    stop = trail.add(9.5, DEV, "cloudtrail:StopLogging", ip=OFFICE, agent=TOOL, request={"name": "main"})
    trail.add(9.6, ANN, "ec2:DescribeVpcs", ip=OFFICE)
    trail.add(9.6, user("bob", "AKIABOB"), "ec2:DescribeVpcs", ip=OFFICE)
    assert leads(trail, tmp_path, stop) == {}


def test_without_a_baseline_an_address_is_a_lead_and_a_program_of_many_is_none(tmp_path):
    """Nobody can say how rare it is then: no rarity is given, and what three others use is nobody's mark."""
    trail, stop = attack(days=range(8, 9), agent=CLI)
    for name in ("bob", "eve", "joe"):
        trail.add(9.6, user(name, f"AKIA{name.upper()}"), "ec2:DescribeVpcs", ip=OFFICE)
    trail.add(9.7, ANN, "ec2:DescribeVpcs", ip=THIEF, agent="other/1")
    found = leads(trail, tmp_path, stop)
    assert [lead["rarity"] for lead in found[ANN_NODE]] == [None]
    assert not any("user agent" in lead["reason"] for ones in found.values() for lead in ones)


def test_a_cleared_lead_is_gone_and_a_confirmed_one_is_in_the_extent(tmp_path):
    """The commands are honoured by the next scope, and stand in the case with reason, name and time."""
    trail, stop = attack()
    trail.add(9.6, ANN, "ec2:DescribeVpcs", ip=THIEF)
    case = trail.case(tmp_path, {"event": stop})
    assert [lead["node"] for lead in write(case).leads] == [ANN_NODE]
    assert main(["clear", str(case.path), ANN_NODE, "--reason", "on site with dev", "--by", "kim"]) == 0
    cleared = write(load_case(case.path))
    assert cleared.leads == []
    assert {node["status"] for node in cleared.nodes if node["id"] == ANN_NODE} == {"cleared"}
    assert main(["confirm", str(case.path), ANN_NODE, "--reason", "asked, was not ann", "--by", "kim"]) == 0
    confirmed = scope(load_case(case.path))
    assert ANN_NODE in {node["id"] for node in confirmed.extent()}
    assert "access_key:AKIAANN" in {node["id"] for node in confirmed.extent()}
    assert load_case(case.path).confirmed[0].by == "kim"


def test_a_confirmed_instance_is_no_open_lead_and_is_shown_as_confirmed(tmp_path, capsys):
    """It does nothing itself, so its node stays; `cirt scope` shows leads with their command, then the decision."""
    who = role("web", INSTANCE, "ASIAWEB")
    trail = Trail()
    for day in range(2, 9):
        trail.add(day, who, "s3:ListBuckets", ip=OFFICE, agent="aws-sdk/1")
    stop = trail.add(9.5, who, "cloudtrail:StopLogging", ip=THIEF, request={"name": "main"})
    case = trail.case(tmp_path, {"event": stop})
    (lead,) = write(case).leads
    assert main(["scope", str(case.path)]) == 0
    said = capsys.readouterr().err
    assert f"lead: {lead['node']}: the attacker held the credentials of this instance (1 event" in said
    assert "1 open lead, " in said
    assert f"next: cirt confirm {case.path} {lead['node']} --reason TEXT" in said
    assert "gap: " in said
    assert main(["confirm", str(case.path), INSTANCE, "--reason", "its own log", "--by", "kim"]) == 0
    found = write(load_case(case.path))
    assert found.leads == []
    assert {node["status"] for node in found.nodes if node["id"] == lead["node"]} == {"suspected"}
    capsys.readouterr()
    assert main(["scope", str(case.path)]) == 0
    shown = capsys.readouterr()
    assert [line.split()[0] for line in shown.out.splitlines() if INSTANCE in line] == ["confirmed"]
    assert f"confirmed by kim: {lead['node']}: its own log" in shown.err
    assert "0 open leads, " in shown.err
    assert "cirt confirm" not in shown.err


def test_decisions_stand_in_the_report(own_incident):
    """Who decided what and why is a row of the report's chronology."""
    from cirtlib import affected
    from cirtlib.facts import gather

    made = [{"node": "address:203.0.113.41", "by": "kim", "at": "2026-06-24T10:00:00Z", "reason": "our VPN exit"}]
    rows = affected.chronology(gather(update_case(own_incident, "cleared", made)))
    said = rows[rows["what"] == "decision"]
    assert said[["who", "description"]].values.tolist() == [["kim", "cleared address:203.0.113.41: our VPN exit"]]


@pytest.mark.parametrize("node", ["account:111122223333", "login_profile:x", "resource:arn:aws:s3:::b"])
def test_what_does_nothing_cannot_be_confirmed(tmp_path, node):
    """A bucket has no acts whose owner could be decided; clearing it says that it is none of the attacker's."""
    trail, stop = attack()
    case = trail.case(tmp_path, {"event": stop})
    with pytest.raises(CaseError, match="does nothing itself"):
        decide(case, "confirmed", node, reason="x")
    assert decide(case, "cleared", node, reason="x") == node


def test_who_is_known_from_that_address_is_no_lead(tmp_path):
    """Ann has always worked from the café where the thief now sits; what she does there is her habit."""
    trail = Trail()
    trail.habit(DEV)
    trail.habit(ANN, ip=EXIT)
    stop = trail.add(9.5, DEV, "cloudtrail:StopLogging", ip=EXIT, agent=TOOL, request={"name": "main"})
    trail.add(9.6, ANN, "ec2:DescribeVpcs", ip=EXIT)
    assert leads(trail, tmp_path, stop) == {}
