"""Isolating an instance on the practice account: by groups, network ACL or metadata service, whichever way is sound."""

import gzip
import json

import pytest

pytest.importorskip("moto")

from containing import soundly
from practice_bench import exercise, practice

from cirtlib.training.practice.attacker import ways
from cirtlib.training.practice.isolation import attackers_addresses

pytestmark = pytest.mark.integration

FORENSIC = "203.0.113.9/32"
FULL = {"ways": 1.0, "uses": 1.0, "evidence": 1.0, "cleanup": 1.0}


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    return exercise("misconfigured_resource", 1, tmp_path_factory.mktemp("learner") / "exercise")


class Machine:
    """The instance that the attacker is in."""

    def __init__(self, account):
        (arn,) = account.truth["leads"]
        self.account, self.id, self.region = arn.split(":")[4], arn.rsplit("/", 1)[-1], arn.split(":")[3]
        self.ec2 = account.client("ec2", self.account, self.region)
        self.bench = account.bench
        self.addresses = [f"{one}/32" for one in attackers_addresses(account.bench.record)]
        told = self.ec2.describe_instances(InstanceIds=[self.id])["Reservations"][0]["Instances"][0]
        self.vpc, self.subnet = told["VpcId"], told["SubnetId"]

    def groups(self):
        """Names of its groups, as a learner sees them."""
        (told,) = self.ec2.describe_instances(InstanceIds=[self.id])["Reservations"][0]["Instances"]
        return [one["GroupName"] for one in told["SecurityGroups"]]

    def way(self):
        """What stops the attacker from fetching its credentials; '' when nothing does."""
        held = ways(self.bench.authority, self.bench.record)
        (one,) = [way for way in held if way.name == f"credentials that instance {self.id} hands out"]
        return one.closed

    def group(self, *, into=(), out=()):
        """Put the instance into a new group alone; of each rule the protocol, ports and what IpPermissions names."""
        made = self.ec2.create_security_group(GroupName="quarantine", Description="d", VpcId=self.vpc)["GroupId"]
        every = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
        self.ec2.revoke_security_group_egress(GroupId=made, IpPermissions=[every])
        if into:
            self.ec2.authorize_security_group_ingress(GroupId=made, IpPermissions=list(into))
        if out:
            self.ec2.authorize_security_group_egress(GroupId=made, IpPermissions=list(out))
        self.ec2.modify_instance_attribute(InstanceId=self.id, Groups=[made])
        assert self.groups() == ["quarantine"]
        return made

    def acl(self):
        """The network ACL of its subnet, found as a learner finds it."""
        (acl,) = self.ec2.describe_network_acls(Filters=[{"Name": "association.subnet-id", "Values": [self.subnet]}])[
            "NetworkAcls"
        ]
        return acl

    def entry(self, number, cidr, *, egress=False, action="deny", protocol="-1", **ports):
        """Add a rule to that network ACL."""
        self.ec2.create_network_acl_entry(
            NetworkAclId=self.acl()["NetworkAclId"], RuleNumber=number, Protocol=protocol, RuleAction=action,
            Egress=egress, CidrBlock=cidr, **({"PortRange": ports["ports"]} if ports else {}),
        )  # fmt: skip


def rule(protocol, cidr=None, port=None, **more):
    ranges = {"IpRanges": [{"CidrIp": cidr}]} if cidr else {}
    ports = {"FromPort": port, "ToPort": port} if port else {}
    return {"IpProtocol": protocol} | ranges | ports | more


def no_rule(machine):
    machine.group()


def forensic_address(machine):
    machine.group(into=[rule("tcp", FORENSIC, 22)], out=[rule("-1", FORENSIC)])


def at_the_interface(machine):
    made = machine.ec2.create_security_group(GroupName="closed", Description="d", VpcId=machine.vpc)["GroupId"]
    machine.ec2.revoke_security_group_egress(GroupId=made, IpPermissions=[rule("-1", "0.0.0.0/0")])
    (card,) = machine.ec2.describe_network_interfaces(
        Filters=[{"Name": "attachment.instance-id", "Values": [machine.id]}]
    )["NetworkInterfaces"]
    machine.ec2.modify_network_interface_attribute(NetworkInterfaceId=card["NetworkInterfaceId"], Groups=[made])
    assert machine.groups() == ["closed"]


def other_groups(machine):
    beside = machine.ec2.create_security_group(GroupName="collectors", Description="d", VpcId=machine.vpc)["GroupId"]
    pairs = {"UserIdGroupPairs": [{"GroupId": beside}]}
    machine.group(into=[rule("tcp", port=22, **pairs)], out=[rule("-1", **pairs)])


def inbound_denied(machine):
    for number, one in enumerate(machine.addresses, 1):
        machine.entry(number, one)


def outbound_denied(machine):
    for number, one in enumerate(machine.addresses, 1):
        machine.entry(number, one, egress=True)


def empty_acl(machine):
    made = machine.ec2.create_network_acl(VpcId=machine.vpc)["NetworkAcl"]["NetworkAclId"]
    (one,) = [each for each in machine.acl()["Associations"] if each["SubnetId"] == machine.subnet]
    machine.ec2.replace_network_acl_association(AssociationId=one["NetworkAclAssociationId"], NetworkAclId=made)


def metadata_off(machine):
    machine.ec2.modify_instance_metadata_options(InstanceId=machine.id, HttpEndpoint="disabled")


@pytest.mark.parametrize(
    ("isolate", "says"),
    [
        (no_rule, "let nothing in or out"),
        (forensic_address, "keep the attacker's addresses out"),
        (at_the_interface, "let nothing in or out"),
        (other_groups, "let nothing in or out"),
        (inbound_denied, "keep the attacker's addresses out"),
        (outbound_denied, "keep the attacker's addresses out"),
        (empty_acl, "keep the attacker's addresses out"),
        (metadata_off, "metadata service of the instance is switched off"),
    ],
)
def test_each_sound_way_of_isolating_closes_the_instance(space, isolate, says, tmp_path):
    with practice(space, tmp_path, begin=False) as account:
        machine = Machine(account)
        assert not machine.way()
        isolate(machine)
        assert says in machine.way()


def egress_to_all(machine):
    machine.group(out=[rule("tcp", "0.0.0.0/0", 443)])


def attackers_range(machine):
    machine.group(into=[rule("tcp", FORENSIC, 22), rule("tcp", f"{machine.addresses[0].rpartition('.')[0]}.0/24", 22)])


def denied_too_late(machine):
    for number, one in enumerate(machine.addresses, 101):  # after the default rule that allows all
        machine.entry(number, one)
        machine.entry(number, one, egress=True)


def one_port_denied(machine):
    for number, one in enumerate(machine.addresses, 1):
        machine.entry(number, one, protocol="6", ports={"From": 80, "To": 80})


def one_address_denied(machine):
    machine.entry(1, machine.addresses[0])


@pytest.mark.parametrize("half", [egress_to_all, attackers_range, denied_too_late, one_port_denied, one_address_denied])
def test_what_leaves_the_attacker_a_connection_does_not(space, half, tmp_path):
    with practice(space, tmp_path, begin=False) as account:
        machine = Machine(account)
        half(machine)
        assert not machine.way()


def broken(account):
    """Ids of instances whose everyday work fails."""
    return {one["who"].rsplit(" ", 1)[-1] for one in account.bench.judge().broken if " on instance " in one["who"]}


def neighbours(account, machine):
    """Instances of other roles in the machine's subnet that work."""
    placed = {
        one["InstanceId"] for one in account.bench.record.after["accounts"][machine.account]["instances"]
        if one.get("SubnetId") == machine.subnet
    }  # fmt: skip
    held = set(account.extent("principal"))
    return placed & {
        use.source.by for use in account.bench.uses if use.source.kind == "instance" and use.source.owner not in held
    }


def test_a_network_acl_against_the_attacker_breaks_nobody_and_one_against_all_its_neighbours(space, tmp_path):
    with practice(space, tmp_path) as account:
        machine = Machine(account)
        beside = neighbours(account, machine)
        assert beside
        inbound_denied(machine)
        assert not broken(account)
        empty_acl(machine)
        assert broken(account) == beside


def test_an_innocent_instance_may_be_closed_to_the_world_but_must_reach_aws(space, tmp_path):
    with practice(space, tmp_path) as account:
        machine = Machine(account)
        machine.id = min(neighbours(account, machine))
        group = machine.group(out=[rule("tcp", "0.0.0.0/0", 443)])
        assert not broken(account)
        machine.ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[rule("tcp", "0.0.0.0/0", 443)])
        assert broken(account) == {machine.id}


def test_a_network_acl_needs_its_own_permission(space, tmp_path):
    """Network ACLs are authorised like everything else, on their own resource."""
    with practice(space, tmp_path, begin=False) as account:
        machine = Machine(account)
        acl = machine.acl()["NetworkAclId"]
        iam = account.client("iam", machine.account)
        arn = f"arn:aws:ec2:{machine.region}:{machine.account}:network-acl/{acl}"
        deny = {"Effect": "Deny", "Action": "ec2:*Acl*", "Resource": arn}
        document = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
        iam.put_role_policy(RoleName="IncidentResponder", PolicyName="spare", PolicyDocument=document)
        with pytest.raises(machine.ec2.exceptions.ClientError, match=f"on resource: {arn} with an explicit deny"):
            inbound_denied(machine)


def test_isolating_and_switching_off_has_full_marks(space, tmp_path):
    with practice(space, tmp_path) as account:
        soundly(account)
        forensic_address(Machine(account))
        judged = account.bench.judge()
    assert judged.points == FULL, (judged.ways, judged.broken, judged.lost, judged.standing)


def test_a_role_that_trusts_no_instance_hands_out_nothing(space, tmp_path):
    with practice(space, tmp_path) as account:
        machine = Machine(account)
        assert machine.way() == ""
        for arn in account.extent("principal", "compromised"):
            if ":role/" in arn:
                nobody = {"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"}
                account.client("iam", arn.split(":")[4]).update_assume_role_policy(
                    RoleName=arn.rsplit("/", 1)[-1],
                    PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [nobody]}),
                )
        assert "no instance may assume role" in machine.way()


def test_instances_are_as_old_as_findings_and_records_tell(space, tmp_path):
    """A responder tells the attacker's machines from the others by when they were launched."""
    with practice(space, tmp_path, begin=False) as account:
        record, launched = account.bench.record, {}
        for owner in record.after["accounts"]:
            for region in {one["Region"] for one in record.after["accounts"][owner].get("instances", [])}:
                told = account.client("ec2", owner, region).describe_instances()["Reservations"]
                launched |= {one["InstanceId"]: one["LaunchTime"] for group in told for one in group["Instances"]}
    begin = min(one["eventTime"] for one in record.events.values())
    run = {made["instanceId"]: one["eventTime"] for one in record.events.values()
           if one["eventName"] == "RunInstances" and not one.get("errorCode")
           for made in one["responseElements"]["instancesSet"]["items"]}  # fmt: skip
    told = {name: f"{at:%Y-%m-%dT%H:%M:%SZ}" for name, at in launched.items()}
    assert run.keys() & told.keys()
    assert {name: told[name] for name in run.keys() & told.keys()} == {name: run[name] for name in run if name in told}
    assert all(at < begin for name, at in told.items() if name not in run)
    (victim,) = [arn.rsplit("/", 1)[-1] for arn in record.truth["leads"]]
    findings = [json.loads(line) for file in record.findings.rglob("*.jsonl.gz")
                for line in gzip.decompress(file.read_bytes()).splitlines()]  # fmt: skip
    said = {one["resource"]["instanceDetails"]["launchTime"][:19] for one in findings
            if (one["resource"].get("instanceDetails") or {}).get("instanceId") == victim}  # fmt: skip
    assert {told[victim][:19]} == said
