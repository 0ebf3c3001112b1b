"""An instance's stolen credentials: what the finding stands for, and where the instance is."""

from trail import ACCOUNT, SDK, THIEF, Trail, role

from cirtlib.scope import scope

INSTANCE = "i-0123456789abcdef0"
HOME, AGENT = "198.51.100.50", "aws-sdk-go/1.44"
THEFT = "UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.OutsideAWS"


def at_work(key, days):
    """An instance with this key, at work on these days of a trail."""
    trail = Trail()
    instance = role("web", INSTANCE, key, ec2RoleDelivery="1.0")
    for day in days:
        trail.add(day + 0.3, instance, "s3:ListBuckets", ip=HOME, agent=AGENT)
    return trail, instance


def test_the_finding_of_a_theft_stands_for_every_call_from_the_thiefs_address(tmp_path):
    """The thief took renewed credentials, too; the finding spans both, and names only the newest call and key."""
    trail, instance = at_work("ASIAFIRST", range(10))
    first = trail.add(9.5, instance, "sts:GetCallerIdentity", ip=THIEF, agent=SDK)
    renewed = role("web", INSTANCE, "ASIASECOND", ec2RoleDelivery="1.0")
    own = trail.add(9.6, renewed, "s3:ListBuckets", ip=HOME, agent=AGENT)
    newest = trail.add(9.7, renewed, "ec2:DescribeInstances", ip=THIEF, agent=SDK)
    finding = trail.finding(newest, kind=THEFT)
    began = next(record["eventTime"] for record in trail.records if record["eventID"] == first)
    trail.findings[-1]["service"] |= {"eventFirstSeen": began, "count": 2}
    found = scope(trail.case(tmp_path, {"finding": finding}))
    said = dict(zip(found.verdicts["event_id"], found.verdicts["verdict"], strict=True))
    assert (said[first], said[newest], said[own]) == ("attacker", "attacker", "owner")
    inside = {node["id"] for node in found.extent()}
    assert inside == {"access_key:ASIAFIRST", "access_key:ASIASECOND", f"principal:arn:aws:iam::{ACCOUNT}:role/web"}


def test_the_instance_whose_credentials_were_stolen_is_a_lead_where_it_stands(tmp_path):
    """The thief works in another Region; the lead names the instance in its own."""
    trail, instance = at_work("ASIAFIRST", range(10))
    event = trail.add(9.5, instance, "ec2:DescribeInstances", ip=THIEF, agent=SDK, region="eu-north-1")
    found = scope(trail.case(tmp_path, {"event": event}))
    leads = {lead["node"] for lead in found.leads}
    assert f"resource:arn:aws:ec2:us-east-1:{ACCOUNT}:instance/{INSTANCE}" in leads
    assert not {node for node in leads if "eu-north-1" in node}
