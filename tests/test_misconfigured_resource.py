"""The scenario of the open port: what its evidence tells of the way in, the theft, and those who only look like it."""

import gzip
import json

import pytest
import yaml

from cirtlib.errors import TrainingError
from cirtlib.shipped import shipped
from cirtlib.training.generator import generate

THEFT = "UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.OutsideAWS"
ON_THE_WAY_IN = {"EC2.19", "EC2.18", "EC2.13", "EC2.8", "EC2.9", "EC2.15", "EC2.6", "IAM.21"}


class Evidence:
    """A generated incident, read back from its files."""

    def __init__(self, made):
        self.truth = json.loads(made.truth.read_text(encoding="utf-8"))
        records = [record for path in made.logs.rglob("*/CloudTrail/*/*/*/*/*.json.gz") for record in _records(path)]
        self.events = {(r["eventID"], r["recipientAccountId"]): r for r in records}
        self.attacker = [self.events[tuple(pair)] for pair in self.truth["attacker_events"]]
        lines = [gzip.decompress(path.read_bytes()) for path in sorted(made.findings.rglob("*.jsonl.gz"))]
        self.findings = [json.loads(line) for line in lines]
        self.hub = json.loads((made.findings / "security_hub.json").read_text(encoding="utf-8"))["Findings"]
        self.instance = self.truth["leads"][0]
        self.seed = next(item for item in self.findings if item["arn"] == made.seed_finding)

    def of(self, kind):
        return next(item for item in self.findings if item["type"] == kind and "sample" not in item["title"])

    def stolen(self):
        """The attacker's calls with the instance's own credentials, in order of time."""
        ends = ":" + self.instance.rsplit("/", 1)[1]
        own = [r for r in self.attacker if r["userIdentity"]["principalId"].endswith(ends)]
        return sorted(own, key=lambda record: record["eventTime"])


def _records(path):
    return json.loads(gzip.decompress(path.read_bytes()))["Records"]


def _small(folder, **changes):
    """The shipped scenario, made small."""
    data = yaml.safe_load((shipped("scenarios") / "misconfigured_resource/scenario.yaml").read_text(encoding="utf-8"))
    data["days"], data["attack"]["day"] = 5, 4
    data["population"] |= {"people": 6, "instances": 3, "functions": 3, "intensity": 0.3}
    data["delivery"] |= {"batch_minutes": 120, "digests": "none"}
    folder.mkdir(parents=True)
    (folder / "scenario.yaml").write_text(yaml.safe_dump(data | changes), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    return Evidence(generate("misconfigured_resource", seed=7, out=tmp_path_factory.mktemp("open-port")))


def test_somebody_opened_the_port_days_before_and_is_no_attacker(evidence):
    """The rule that lets everybody in is an ordinary act in the logs, and what Security Hub saw follows it."""
    opener = evidence.truth["innocents"]["opener"]
    record = next(r for (event, _), r in evidence.events.items() if event == opener["event"])
    rule = record["requestParameters"]["ipPermissions"]["items"][0]
    assert (rule["fromPort"], rule["ipRanges"]["items"][0]["cidrIp"]) == (22, "0.0.0.0/0")
    assert record["eventTime"][:10] < evidence.truth["attack"]["first"][:10]
    assert opener["event"] not in {event for event, _ in evidence.truth["attacker_events"]}
    failed = next(item for item in evidence.hub if _is(item, "EC2.13", opener["group"]))
    assert record["eventTime"] < failed["FirstObservedAt"] < evidence.truth["attack"]["first"]


def _is(item, control, resource):
    return item.get("Compliance", {}).get("SecurityControlId") == control and item["Resources"][0]["Id"] == resource


def test_the_findings_name_the_instance_the_thief_and_the_port(evidence):
    """The theft is one finding over all the calls from outside; brute force and probe are about the open port."""
    stolen = evidence.stolen()
    assert evidence.seed["type"] == THEFT
    key, service = evidence.seed["resource"]["accessKeyDetails"], evidence.seed["service"]
    machine = evidence.seed["resource"]["instanceDetails"]
    assert key["principalId"].endswith(":" + machine["instanceId"])
    assert key["accessKeyId"] in {r["userIdentity"]["accessKeyId"] for r in stolen}
    assert service["action"]["awsApiCallAction"]["remoteIpDetails"]["ipAddressV4"] == stolen[0]["sourceIPAddress"]
    assert service["eventFirstSeen"][:19] == stolen[0]["eventTime"][:19]
    assert service["count"] == len(stolen)
    tried = evidence.of("UnauthorizedAccess:EC2/SSHBruteForce")
    connection = tried["service"]["action"]["networkConnectionAction"]
    assert (connection["localPortDetails"]["port"], tried["service"]["resourceRole"]) == (22, "TARGET")
    assert tried["service"]["eventLastSeen"] < service["eventFirstSeen"]
    assert tried["resource"]["instanceDetails"]["networkInterfaces"][0]["publicIp"]
    probes = [item for item in evidence.findings if item["type"] == "Recon:EC2/PortProbeUnprotectedPort"]
    assert {item["resource"]["instanceDetails"]["instanceId"] for item in probes} == {
        evidence.instance.rsplit("/", 1)[1],
        evidence.truth["innocents"]["exposed_twin"]["instance"].rsplit("/", 1)[1],
    }


def test_one_session_has_two_holders(evidence):
    """The instance goes on working with the stolen credentials, from its own address; EC2 issued them by IMDSv1."""
    stolen, owner = evidence.stolen(), [evidence.events[tuple(pair)] for pair in evidence.truth["owner_events"]]
    keys = {r["userIdentity"]["accessKeyId"] for r in stolen}
    assert keys <= {r["userIdentity"].get("accessKeyId") for r in owner}
    assert not {r["sourceIPAddress"] for r in stolen} & {r["sourceIPAddress"] for r in owner}
    assert {r["userIdentity"]["sessionContext"]["ec2RoleDelivery"] for r in stolen} == {"1.0"}
    mints = [r for r in evidence.events.values() if r["eventName"] == "AssumeRole" and r["responseElements"]]
    issued = {r["responseElements"]["credentials"]["accessKeyId"]: r["userIdentity"] for r in mints}
    assert {issued[key]["invokedBy"] for key in keys} == {"ec2.amazonaws.com"}


def test_data_was_read_and_instances_were_started(evidence):
    """Objects leave the bucket of exports in data events; large instances start with a key pair of the attacker's."""
    read = [r for r in evidence.attacker if r["eventName"] == "GetObject"]
    assert len(read) >= 12
    assert {(r["eventCategory"], r["managementEvent"]) for r in read} == {("Data", False)}
    assert len({r["requestParameters"]["bucketName"] for r in read}) == 1
    assert all(r["resources"][0]["ARN"].endswith(r["requestParameters"]["key"]) for r in read)
    usual = [r for r in evidence.events.values() if r["eventName"] == "GetObject" and r not in read]
    assert usual, "the application reads the bucket every day"
    started = next(r for r in evidence.attacker if r["eventName"] == "RunInstances" and "errorCode" not in r)
    assert started["requestParameters"]["instancesSet"]["items"][0]["keyName"]
    assert any(r.get("errorCode") for r in evidence.attacker)


def test_security_hub_holds_the_way_in_among_much_else(evidence):
    """What let the attacker in failed before they came; 200 failures and some passes are about other things."""
    controls = [item for item in evidence.hub if "Compliance" in item]
    opener, twin = (evidence.truth["innocents"][name] for name in ("opener", "exposed_twin"))
    machine = evidence.seed["resource"]["instanceDetails"]
    card = machine["networkInterfaces"][0]
    path = (machine["instanceId"], opener["group"], card["subnetId"], card["vpcId"], "policy/deploy-helper")
    on_path = [item for item in controls if any(word in item["Resources"][0]["Id"] for word in path)]
    failed = [item for item in on_path if item["Compliance"]["Status"] == "FAILED"]
    first = evidence.truth["attack"]["first"]
    early = {item["Compliance"]["SecurityControlId"] for item in failed if item["FirstObservedAt"] < first}
    late = {item["Compliance"]["SecurityControlId"] for item in failed if item["FirstObservedAt"] > first}
    assert (early, late) == (ON_THE_WAY_IN, {"SSM.2"})
    other = [item for item in controls if item not in on_path]
    about_twin = [item for item in other if twin["group"] in str(item) or twin["instance"].rsplit("/")[-1] in str(item)]
    assert {"EC2.19", "EC2.8", "EC2.9"} <= {item["Compliance"]["SecurityControlId"] for item in about_twin}
    rest = [item for item in other if item not in about_twin]
    assert sum(item["Compliance"]["Status"] == "FAILED" for item in rest) == 200
    assert sum(item["Compliance"]["Status"] == "PASSED" for item in rest) >= 60
    assert len({item["Id"] for item in controls}) == len(controls)


@pytest.mark.integration
def test_seeds_draw_different_incidents(tmp_path):
    """Among a dozen seeds: users made and keys added, key pairs imported and made, groups, roles for the miners."""
    scenario, seen = _small(tmp_path / "scenario"), set()
    for seed in range(12):
        made = Evidence(generate(scenario, seed=seed, out=tmp_path / str(seed)))
        fine = [r for r in made.attacker if "errorCode" not in r]
        seen |= {r["eventName"] for r in fine}
        seen |= {item["type"] for item in made.findings}
        seen |= {"profile" for r in fine if "iamInstanceProfile" in (r["requestParameters"] or {})}
        seen |= {"renewed" for _ in [0] if len({r["userIdentity"]["accessKeyId"] for r in made.stolen()}) > 1}
    assert {"CreateUser", "CreateAccessKey", "ImportKeyPair", "CreateKeyPair", "CreateSecurityGroup"} <= seen
    assert {"UpdateInstanceInformation", "profile", "renewed", "CryptoCurrency:EC2/BitcoinTool.B!DNS"} <= seen


def test_a_wrong_way_in_is_refused(tmp_path):
    """A way in that no attack takes is named in the message."""
    scenario = _small(tmp_path / "scenario", way_in="window")
    with pytest.raises(TrainingError, match="way_in must be one of leaked_key, open_port"):
        generate(scenario, seed=1, out=tmp_path / "out")
