"""The generator makes an incident that is the same for the same seed, believable, and true to its own truth."""

import ast
import collections
import datetime as dt
import gzip
import hashlib
import ipaddress
import itertools
import json
import os
import re
import statistics
from pathlib import Path

import pytest
import yaml

from cirtlib.errors import TrainingError
from cirtlib.shipped import shipped
from cirtlib.training.generator import generate
from cirtlib.training.scenario import DOCUMENTATION_ACCOUNTS, DOCUMENTATION_NETWORKS

TRAINING = Path(__file__).parent.parent / "cirtlib" / "training"
REAL = Path(os.environ.get("CIRT_REAL_DATA", Path(__file__).parent.parent / ".." / "shared" / "data"))
# fmt: off
ORDER = [
    "eventVersion", "userIdentity", "eventTime", "eventSource", "eventName", "awsRegion", "sourceIPAddress",
    "userAgent", "errorCode", "errorMessage", "requestParameters", "responseElements", "additionalEventData",
    "requestID", "eventID", "readOnly", "resources", "eventType", "managementEvent", "recipientAccountId",
    "sharedEventID", "serviceEventDetails", "vpcEndpointId", "vpcEndpointAccountId", "addendum",
    "eventCategory", "tlsDetails", "sessionCredentialFromConsole",
]
# fmt: on


class Incident:
    """A generated incident, read back from its files."""

    def __init__(self, made):
        self.made = made
        self.files = sorted(made.logs.rglob("*/CloudTrail/*/*/*/*/*.json.gz"))
        self.delivered = [(path, record) for path in self.files for record in _records(path)]
        self.events = {(r["eventID"], r["recipientAccountId"]): r for _, r in self.delivered}
        self.truth = json.loads(made.truth.read_text())
        self.before = json.loads(made.truth.with_name("state_before.json").read_text())["accounts"]
        self.after = json.loads(made.truth.with_name("state_after.json").read_text())["accounts"]
        self.findings = [
            json.loads(line)
            for path in sorted(made.findings.rglob("*.jsonl.gz"))
            for line in gzip.decompress(path.read_bytes()).decode().splitlines()
        ]
        self.hub = json.loads((made.findings / "security_hub.json").read_text())["Findings"]
        self.attacker = [self.events[tuple(pair)] for pair in self.truth["attacker_events"]]

    def extent(self, kind, word):
        return [node for node in self.truth["extent"] if node["kind"] == kind and word in node["value"]]

    def during(self, record):
        return self.truth["attack"]["first"] <= record["eventTime"] <= self.truth["attack"]["last"]


def _records(path):
    return json.loads(gzip.decompress(path.read_bytes()))["Records"]


def _principal(record):
    identity = record["userIdentity"]
    issuer = identity.get("sessionContext", {}).get("sessionIssuer", {})
    return issuer.get("arn") or identity.get("arn") or identity.get("invokedBy") or identity.get("principalId")


@pytest.fixture(scope="module")
def incident(tmp_path_factory):
    return Incident(generate("exposed_credentials", seed=7, out=tmp_path_factory.mktemp("seed7")))


def _hashes(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _small(folder, **changes):
    """The shipped scenario, made small."""
    data = yaml.safe_load((shipped("scenarios") / "exposed_credentials" / "scenario.yaml").read_text())
    data["days"], data["attack"]["day"] = 5, 4
    data["population"] |= {"people": 6, "instances": 3, "functions": 3, "intensity": 0.3}
    data["delivery"] |= {"batch_minutes": 120, "digests": "none"}
    for key, value in changes.items():
        data[key] = data[key] | value if isinstance(value, dict) else value
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_incident(tmp_path):
    """Two runs with one seed are byte-identical; another seed changes keys, names, addresses and times."""
    scenario = _small(tmp_path / "scenario")
    runs = [generate(scenario, seed=seed, out=tmp_path / str(n)) for n, seed in enumerate((3, 3, 4))]
    assert _hashes(tmp_path / "0") == _hashes(tmp_path / "1")
    truths = [json.loads(run.truth.read_text()) for run in runs]
    assert truths[0] == truths[1]
    values = [{node["value"] for node in truth["extent"]} for truth in truths]
    assert not values[0] & values[2]
    assert truths[0]["attack"] != truths[2]["attack"]
    assert truths[0]["innocents"]["shared_address"] != truths[2]["innocents"]["shared_address"]


def test_logs_lie_as_an_organization_trail_delivers_them(incident):
    """Every log file has the key of its account, Region and delivery day, and holds records of that account only."""
    shape = re.compile(
        r"AWSLogs/(o-[a-z0-9]{10})/(\d{12})/CloudTrail/([a-z0-9-]+)/(\d{4}/\d\d/\d\d)/"
        r"\2_CloudTrail_\3_(\d{8}T\d{4})Z_[A-Za-z0-9]{16}\.json\.gz"
    )
    organizations = set()
    for path in incident.files:
        match = shape.fullmatch(path.relative_to(incident.made.logs).as_posix())
        assert match, path
        organizations.add(match[1])
        assert match[4].replace("/", "") == match[5][:8]
        delivered = dt.datetime.strptime(match[5] + "+0000", "%Y%m%dT%H%M%z")
        for record in _records(path):
            assert (record["recipientAccountId"], record["awsRegion"]) == (match[2], match[3])
            assert dt.datetime.fromisoformat(record["eventTime"]) < delivered
    assert len(organizations) == 1
    assert {path.relative_to(incident.made.logs).parts[2] for path in incident.files} == set(incident.made.accounts)


def test_delivery_is_late_repeated_and_unordered(incident):
    """Some events arrive the next day, some twice, and files are not in the order of time."""
    day = {path: "-".join(path.parts[-4:-1]) for path in incident.files}
    assert any(record["eventTime"][:10] < day[path] for path, record in incident.delivered)
    assert len(incident.delivered) - len(incident.events) >= 20
    times = [[record["eventTime"] for record in _records(path)] for path in incident.files]
    assert any(sorted(some) != some for some in times)
    assert any("addendum" in record for _, record in incident.delivered)


def test_delivery_takes_about_five_minutes(incident):
    """As CloudTrail's user guide says of the average; a test of its own, as readers judge realism by it."""
    waits = []
    for path, record in incident.delivered:
        delivered = dt.datetime.strptime(path.name.split("_")[3] + "+0000", "%Y%m%dT%H%MZ%z")
        waits.append((delivered - dt.datetime.fromisoformat(record["eventTime"])).total_seconds() / 60)
    assert 4 <= statistics.median(waits) <= 6
    assert min(waits) > 0


def test_digests_name_the_files_and_each_other(incident):
    """A digest lists log files that exist with the hash of their content, and the hash of the digest before it."""
    digests = sorted(incident.made.logs.rglob("CloudTrail-Digest/us-east-1/*/*/*/*.json.gz"))
    account = digests[0].name[:12]
    chain = [json.loads(gzip.decompress(path.read_bytes())) for path in digests if path.name.startswith(account)]
    assert 240 <= len(chain) <= 240 + 12  # one an hour for ten days, and on while files of late records arrive
    for before, after in itertools.pairwise(chain):
        path = incident.made.logs / after["previousDigestS3Object"]
        assert after["previousDigestS3Object"] == before["digestS3Object"]
        assert after["previousDigestHashValue"] == hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest()
    listed = [item for digest in chain for item in digest["logFiles"]]
    assert len(listed) > 200
    for item in listed[:50]:
        body = gzip.decompress((incident.made.logs / item["s3Object"]).read_bytes())
        assert item["hashValue"] == hashlib.sha256(body).hexdigest()
    assert list(incident.made.logs.rglob("CloudTrail-Insight/us-east-1/*/*/*/*.json.gz"))


def test_the_population_is_believable(incident):
    """Thirty principals and more of every kind: people, users, builds, instances, functions, services, other side."""
    assert len({_principal(record) for record in incident.events.values()}) >= 30
    types = collections.Counter(record["userIdentity"].get("type") for record in incident.events.values())
    assert {"AssumedRole", "IAMUser", "AWSService", "AWSAccount", "WebIdentityUser", "SAMLUser", None} <= set(types)
    assert 15000 <= len(incident.events) <= 30000
    names = {record["eventName"] for record in incident.events.values()}
    assert len(names) > 80
    errors = collections.Counter(record.get("errorCode") for record in incident.events.values())
    assert errors["AccessDenied"] > 100
    assert errors["Client.RequestLimitExceeded"] > 50
    # A denial by most services leaves the parameters out.
    assert any(
        r.get("errorCode") == "AccessDenied" and r["requestParameters"] is None for r in incident.events.values()
    )
    console = [r for r in incident.events.values() if r.get("sessionCredentialFromConsole") == "true"]
    assert len({r["userIdentity"]["accessKeyId"] for r in console}) > len(console) * 0.9


def test_services_mint_the_credentials_that_instances_and_functions_use(incident):
    """The key of an instance's session was issued to ec2.amazonaws.com under the instance's id."""
    minted = {
        r["responseElements"]["credentials"]["accessKeyId"]: r
        for r in incident.events.values()
        if r["eventName"] == "AssumeRole" and r["responseElements"]
    }
    used = [r for r in incident.events.values() if "ec2RoleDelivery" in r["userIdentity"].get("sessionContext", {})]
    assert used
    for record in used[:200]:
        mint = minted[record["userIdentity"]["accessKeyId"]]
        assert mint["userIdentity"] == {"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}
        session = mint["requestParameters"]["roleSessionName"]
        assert record["userIdentity"]["principalId"].endswith(":" + session)
        assert mint["eventTime"] == record["userIdentity"]["sessionContext"]["attributes"]["creationDate"]
    assert any(mint["userIdentity"].get("invokedBy") == "lambda.amazonaws.com" for mint in minted.values())


def test_across_accounts_both_sides_get_a_record(incident):
    """Both records of a cross-account AssumeRole share sharedEventID and key; the far side knows no ARN."""
    pairs = collections.defaultdict(list)
    for record in incident.events.values():
        if record["eventName"] == "AssumeRole" and "sharedEventID" in record:
            pairs[record["sharedEventID"]].append(record)
    pairs = [pair for pair in pairs.values() if len(pair) == 2]
    assert len(pairs) > 10
    for one, two in pairs:
        near, far = (one, two) if "arn" in one["userIdentity"] else (two, one)
        assert far["userIdentity"] == {
            "type": "AWSAccount",
            "principalId": near["userIdentity"]["principalId"],
            "accountId": near["userIdentity"]["accountId"],
        }
        assert near["eventID"] != far["eventID"]
        assert near["responseElements"] == far["responseElements"]
        assert near["recipientAccountId"] != far["recipientAccountId"]
    attacked = {record["eventID"] for record in incident.attacker}
    assert any(one["eventID"] in attacked and two["eventID"] in attacked for one, two in pairs)


def test_records_have_the_fields_of_real_ones_in_their_order(incident):
    """Top-level fields stand in the order in which trails write them; ids, times and identities have their forms."""
    for record in incident.events.values():
        keys = list(record)
        assert keys == [key for key in ORDER if key in record], record
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", record["eventID"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record["eventTime"])
        key = record["userIdentity"].get("accessKeyId")
        assert not key or re.fullmatch(r"A[KS]IA[A-Z2-7]{9}EXAMPLE", key)
    session = next(r for r in incident.attacker if r["eventName"] == "StopLogging" and "errorCode" not in r)
    identity = session["userIdentity"]
    assert list(identity) == ["type", "principalId", "arn", "accountId", "accessKeyId", "sessionContext"]
    assert identity["arn"].startswith(f"arn:aws:sts::{identity['accountId']}:assumed-role/devRole/")
    create = next(r for r in incident.attacker if r["eventName"] == "CreateAccessKey" and "errorCode" not in r)
    assert list(create["responseElements"]["accessKey"]) == ["accessKeyId", "userName", "status", "createDate"]


def test_session_tokens_are_plainly_made_up(incident):
    """Every sessionToken says that it is synthetic, and no secret key is anywhere."""
    text = b"".join(gzip.decompress(path.read_bytes()) for path in incident.files).decode()
    tokens = re.findall(r'"sessionToken":"([^"]*)"', text)
    assert tokens
    assert all(token.startswith("SYNTHETIC") for token in tokens)
    assert "secretAccessKey" not in text


def test_only_documentation_accounts_and_addresses_appear(incident):
    """Every account id, address and e-mail address in every file is one that documentation may use."""
    networks = [ipaddress.ip_network(text) for text in (*DOCUMENTATION_NETWORKS, "10.0.0.0/8", "172.16.0.0/12")]
    made = incident.made
    texts = [gzip.decompress(path.read_bytes()).decode() for path in made.logs.parent.rglob("*.gz")]
    texts += [path.read_text() for path in made.logs.parent.rglob("*.json")]
    accounts, mails, addresses = set(), set(), set()
    for text in texts:
        accounts.update(re.findall(r"[:/\"_](\d{12})[:/\"_]", text))
        mails.update(re.findall(r"@([a-z0-9.-]+)", text))
        addresses.update(re.findall(r'"(\d{1,3}(?:\.\d{1,3}){3}(?:/\d+)?|[0-9a-f]{1,4}:[0-9a-f:]*:[0-9a-f:]*)"', text))
    assert set(made.accounts) < accounts <= set(DOCUMENTATION_ACCOUNTS)
    assert mails == {"example.com"}
    assert len(addresses) > 40
    cards = {text for text in addresses if re.fullmatch(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", text)}
    for address in addresses - cards:
        own = ipaddress.ip_address(address)
        assert any(own in network for network in networks if network.version == own.version), address


def test_the_truth_is_in_the_logs_and_nowhere_in_the_evidence(incident):
    """Each attacker event exists, each item of the extent was used, made or changed by one; evidence holds no truth."""
    assert len(incident.attacker) == len(incident.truth["attacker_events"]) > 60
    text = json.dumps(incident.attacker)
    for node in incident.truth["extent"]:
        value = node["value"]
        found = value.rsplit("/", 1)[1] if node["kind"] == "resource" and ":ec2:" in value else value
        names = (found, found.rsplit("/", 1)[-1]) if node["kind"] == "principal" else (found,)
        assert any(name in text for name in names), node
    assert len(incident.extent("credential", "AKIA")) == 2
    assert len(incident.extent("credential", "ASIA")) == 2
    assert len(incident.extent("principal", ":user/")) == 2
    assert len(incident.extent("principal", ":role/")) == 3
    assert len(incident.extent("resource", ":trail/")) == len(incident.extent("resource", "::snapshot/")) == 1
    assert len(incident.extent("resource", ":instance/")) in (2, 3)
    assert {path.name for path in incident.made.logs.parent.iterdir()} == {
        "logs", "findings", "truth", "s3-metadata.json", "public-keys.json",
    }  # fmt: skip


def test_each_link_of_the_attack_can_be_proven(incident):
    """Leaked key and role session share network and tool; what they mint is used; the owner's pair is another."""

    def pair(record):
        return record["sourceIPAddress"].rsplit(".", 1)[0], record["userAgent"].strip("[").split("/")[0]

    leaked = next(node["value"] for node in incident.extent("credential", "AKIA") if node["value"] == _key(incident))
    by_key = collections.defaultdict(list)
    for record in incident.attacker:
        by_key[record["userIdentity"].get("accessKeyId")].append(record)
    first = {pair(record) for record in by_key[leaked]}
    mint = next(r for r in by_key[leaked] if r["eventName"] == "AssumeRole" and "errorCode" not in r)
    minted = mint["responseElements"]["credentials"]["accessKeyId"]
    assert {pair(record) for record in by_key[minted]} == first
    assert len(first) == 1
    owner = [incident.events[tuple(item)] for item in incident.truth["owner_events"]]
    assert len(owner) >= 10
    assert not {pair(record) for record in owner} & first
    earlier = [
        r
        for r in incident.events.values()
        if r["userIdentity"].get("accessKeyId") == leaked and r["eventTime"] < incident.truth["attack"]["first"]
    ]
    assert {pair(record) for record in owner} <= {pair(record) for record in earlier}
    assert not {pair(record) for record in earlier} & first


def _key(incident):
    return incident.truth["innocents"]["owner"]["key"]


def test_the_innocents_are_there_during_the_attack(incident):
    """Colleague, owner, automation and three neighbours act while the attacker does, and are no part of it."""
    innocents = incident.truth["innocents"]
    extent = {node["value"] for node in incident.truth["extent"]}
    attacked = {tuple(pair) for pair in incident.truth["attacker_events"]}
    during = [r for key, r in incident.events.items() if incident.during(r) and key not in attacked]
    colleague = [r for r in during if r["userIdentity"].get("accessKeyId") == innocents["legit_role_session"]["key"]]
    assert len(colleague) >= 5
    assert innocents["legit_role_session"]["key"] not in extent
    assert innocents["automation"]["user"] not in extent
    assert innocents["automation"]["key"] not in extent
    made = [r for r in during if r["eventName"] == "CreateAccessKey"]
    assert innocents["automation"]["key"] in json.dumps(made)
    address = innocents["shared_address"]
    assert address in {record["sourceIPAddress"] for record in incident.attacker}
    neighbours = set(innocents["shared_address_principals"])
    assert len(neighbours) == 3
    assert not neighbours & extent
    assert neighbours <= {_principal(r) for r in during if r["sourceIPAddress"] == address}
    earlier = [r for r in incident.events.values() if r["eventTime"] < incident.truth["attack"]["first"]]
    assert neighbours <= {_principal(r) for r in earlier if r["sourceIPAddress"] == address}
    assert not [pair for pair in incident.truth["owner_events"] if tuple(pair) in attacked]


def test_the_roles_of_the_story_were_made_in_the_logs(incident):
    """CreateRole of devRole and the last legitimate trust of the changed role are in the logs, before the attack."""
    records = [r for r in incident.events.values() if r["eventTime"] < incident.truth["attack"]["first"]]
    made = {r["requestParameters"]["roleName"] for r in records if r["eventName"] == "CreateRole"}
    (changed, document), *rest = incident.truth["trust_before"].items()
    assert not rest
    assert {"devRole", changed.rsplit("/", 1)[1]} <= made
    updates = [r for r in records if r["eventName"] == "UpdateAssumeRolePolicy"]
    assert json.loads(max(updates, key=lambda r: r["eventTime"])["requestParameters"]["policyDocument"]) == document
    attack = [r for r in incident.attacker if r["eventName"] == "UpdateAssumeRolePolicy"]
    after = json.loads(attack[0]["requestParameters"]["policyDocument"])
    assert after["Statement"][:-1] == document["Statement"]
    assert any(account in json.dumps(after["Statement"][-1]) for account in incident.truth["external_accounts"])


def test_findings_tell_of_the_attack_and_of_other_things(incident):
    """The Low finding about StopLogging is the seed; others match the attack, some are noise, one is a sample."""
    seed = next(item for item in incident.findings if item["arn"] == incident.made.seed_finding)
    stop = next(r for r in incident.attacker if r["eventName"] == "StopLogging" and "errorCode" not in r)
    assert seed["type"] == "Stealth:IAMUser/CloudTrailLoggingDisabled"
    assert seed["severity"] == 2
    key = seed["resource"]["accessKeyDetails"]
    assert key["accessKeyId"] == stop["userIdentity"]["accessKeyId"]
    assert key["principalId"] == stop["userIdentity"]["principalId"]
    assert (key["userName"], key["userType"]) == ("devRole", "AssumedRole")
    action = seed["service"]["action"]["awsApiCallAction"]
    assert (action["api"], action["serviceName"]) == ("StopLogging", "cloudtrail.amazonaws.com")
    assert action["remoteIpDetails"]["ipAddressV4"] == stop["sourceIPAddress"]
    assert action["affectedResources"] == {"AWS::CloudTrail::Trail": incident.truth["logging"]["trail"]}
    assert seed["service"]["eventFirstSeen"][:19] == stop["eventTime"][:19]
    types = {item["type"] for item in incident.findings}
    assert {"Recon:EC2/PortProbeUnprotectedPort", "Persistence:IAMUser/AnomalousBehavior"} <= types
    assert any(item["service"]["archived"] for item in incident.findings)
    assert any(item["service"]["additionalInfo"].get("sample") for item in incident.findings)
    controls = {item["Compliance"]["SecurityControlId"] for item in incident.hub if "Compliance" in item}
    assert {"CloudTrail.1", "IAM.3", "IAM.5", "IAM.8", "EC2.19"} <= controls
    assert any(item["Id"] == seed["arn"] and item["ProductName"] == "GuardDuty" for item in incident.hub)


def test_the_states_before_and_after_differ_by_what_was_done(incident):
    """Every node of the extent stands in the state after; before the attack none of the attacker's things exists."""
    workload = incident.made.accounts[0]
    before, after = incident.before[workload], incident.after[workload]
    trail = incident.truth["logging"]["trail"]
    assert [item["IsLogging"] for item in before["trails"] if item["TrailARN"] == trail] == [True]
    assert [item["IsLogging"] for item in after["trails"] if item["TrailARN"] == trail] == [False]
    text = {"before": json.dumps(incident.before), "after": json.dumps(incident.after)}
    created = [r for r in incident.attacker if "errorCode" not in r]
    new_key = next(r for r in created if r["eventName"] == "CreateAccessKey")["responseElements"]["accessKey"]
    for node in incident.truth["extent"]:
        name = node["value"].rsplit("/", 1)[1] if ":ec2:" in node["value"] else node["value"]
        if not name.startswith("ASIA"):
            assert name in text["after"], node
        fresh = node["status"] == "attacker_created" or new_key["accessKeyId"] == name
        if fresh or new_key["userName"] == name.rsplit("/", 1)[-1]:
            assert name not in text["before"], node
    user = next(item for item in after["users"] if item["UserName"] == new_key["userName"])
    assert user["attached"] == ["arn:aws:iam::aws:policy/AdministratorAccess"]
    shared = [account for item in after["snapshots"] for account in item["shared_with"]]
    assert shared
    assert set(shared) <= set(incident.truth["external_accounts"])
    role, document = next(iter(incident.truth["trust_before"].items()))
    assert next(item for item in before["roles"] if item["Arn"] == role)["trust"] == document
    assert next(item for item in after["roles"] if item["Arn"] == role)["trust"] != document
    automated = incident.truth["innocents"]["automation"]["user"]
    assert automated in text["after"]
    assert automated not in text["before"]


def test_steps_and_decoys_can_be_left_out(tmp_path):
    """What a scenario turns off does not happen, and the truth says so."""
    off = {"stop_logging": False, "run_instances": False, "second_account": False, "share_snapshot": False}
    scenario = _small(tmp_path / "scenario", attack={"day": 4, "hours": 2.0, **off}, decoys={"automation": False})
    incident = Incident(generate(scenario, seed=5, out=tmp_path / "out"))
    names = {record["eventName"] for record in incident.attacker if "errorCode" not in record}
    assert "CreateUser" in names
    assert not names & {"StopLogging", "RunInstances", "CreateSnapshot", "ModifySnapshotAttribute"}
    assert not incident.extent("resource", "")
    assert incident.truth["logging"] == {}
    assert "automation" not in incident.truth["innocents"]
    seed = next(item for item in incident.findings if item["arn"] == incident.made.seed_finding)
    assert seed["type"] == "Discovery:IAMUser/AnomalousBehavior"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"population": {"peopel": 3}}, "population.peopel"),
        ({"population": {"people": "many"}}, "population.people must be a whole number"),
        ({"attack": {"day": 40}}, "attack.day must be"),
        ({"organization": {"accounts": [111122223333]}}, "list of texts"),
        ({"organization": {"accounts": ["111122223333", "555555555555", "444455556666"]}}, "not documentation ids"),
        ({"organization": {"networks": ["8.8.8.0/24", "192.0.2.0/24", "203.0.113.0/24"]}}, "RFC 5737"),
        ({"start": "2026-06-02"}, "start must be a date"),
        ({"days": 99}, "days must be"),
    ],
)
def test_a_wrong_scenario_says_what_is_wrong(tmp_path, changes, says):
    """Unknown keys, wrong types and impossible values are named, all in one message."""
    scenario = _small(tmp_path / "scenario", **changes)
    with pytest.raises(TrainingError, match=re.escape(says)):
        generate(scenario, seed=1, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_broken_and_unknown_scenarios_and_used_folders_are_refused(tmp_path):
    """Not YAML, no such name, or a folder that holds an incident already: each gets its own clear error."""
    broken = tmp_path / "scenario.yaml"
    broken.write_text("attack: [")
    with pytest.raises(TrainingError, match="cannot be read as YAML"):
        generate(broken, seed=1, out=tmp_path / "out")
    broken.write_text("- a list")
    with pytest.raises(TrainingError, match="must be a mapping"):
        generate(broken, seed=1, out=tmp_path / "out")
    with pytest.raises(TrainingError, match="exposed_credentials"):
        generate("exposed_credential", seed=1, out=tmp_path / "out")
    (tmp_path / "out" / "logs").mkdir(parents=True)
    with pytest.raises(TrainingError, match="exists already"):
        generate("exposed_credentials", seed=1, out=tmp_path / "out")


def test_the_generator_knows_nothing_of_the_analysis():
    """Nothing that the generator is made of imports what is judged by its truth, or reads its tables."""
    made_of, seen = ["generator"], set()
    while made_of:
        name = made_of.pop()
        if name in seen:
            continue
        seen.add(name)
        tree = ast.parse((TRAINING / f"{name}.py").read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cirtlib"):
                module = node.module.split(".")
                assert module[:2] in (["cirtlib", "errors"], ["cirtlib", "shipped"], ["cirtlib", "training"]), (
                    node.module
                )
                if module[1] == "training":
                    made_of += module[2:3] or [alias.name for alias in node.names]
            assert not (isinstance(node, ast.Import) and any(a.name.startswith("cirtlib") for a in node.names))
            assert not (isinstance(node, ast.Constant) and node.value in ("data", "cirtlib.data"))
    assert "attack" in seen


def test_calls_have_the_parameters_and_answers_of_real_ones(incident):
    """For calls that public records also hold, no field has a type that real ones do not have."""
    if not REAL.is_dir():
        pytest.skip("real data not present")
    real = collections.defaultdict(lambda: collections.defaultdict(set))
    for path in sorted((REAL / "DataDog__stratus-red-team").rglob("*.json")):
        for record in json.loads(path.read_text()):
            if "errorCode" not in record:
                for part in ("requestParameters", "responseElements"):
                    for field, kind in _paths(record.get(part)):
                        real[record["eventName"], part][field].add(kind)
    names = ("StopLogging", "CreateUser", "CreateAccessKey", "AttachUserPolicy", "UpdateAssumeRolePolicy", "AssumeRole")
    names += ("ModifySnapshotAttribute", "GetSecretValue", "DescribeInstances")
    checked = 0
    for name in names:
        for record in incident.events.values():
            if record["eventName"] == name and "errorCode" not in record:
                for part in ("requestParameters", "responseElements"):
                    for field, kind in _paths(record[part]):
                        known = real[name, part].get(field)
                        assert known is None or kind in known, (name, field, kind, known)
                        checked += known is not None
    assert checked > 500


def _paths(value, path=""):
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _paths(item, f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from _paths(item, f"{path}[]")
    else:
        yield path, type(value).__name__
