"""What no emulator has is answered in the shape of the botocore models, with the services' pages, limits and errors."""

import base64
import datetime as dt
import gzip
import json
from functools import cache
from importlib import import_module
from inspect import getmembers, isclass

import boto3
import pytest
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

from cirtlib.training.account import serve
from cirtlib.training.front_model import Refused

HOME, OTHER = "111122223333", "444455556666"
NOW = dt.datetime(2026, 6, 20, 12, tzinfo=dt.UTC)
HUB = "arn:aws:securityhub:us-east-1"
DETECTOR = "10c2f9e85dd349e2843b24ad999c374b"
TRAIL = {"Name": "org", "TrailARN": f"arn:aws:cloudtrail:us-east-1:{HOME}:trail/org", "HomeRegion": "us-east-1",
         "S3BucketName": "amzn-s3-demo-logs", "IsLogging": True, "IsOrganizationTrail": True}  # fmt: skip
PUBLIC_KEY = {
    "Value": b"\x30\x82\x01\x0a\x00\xff",
    "ValidityStartTime": NOW - dt.timedelta(days=3),
    "ValidityEndTime": NOW + dt.timedelta(days=3),
    "Fingerprint": "0123456789abcdef0123456789abcdef",
}


def stamp(at):
    return at.isoformat().replace("+00:00", "Z")


def record(number, *, account=HOME, at=None, **fields):
    """A record of CloudTrail, `number` minutes before now."""
    identity = {"type": "AssumedRole", "principalId": "AROA:dev", "accessKeyId": "ASIAEXAMPLE", "accountId": account}
    return {
        "eventVersion": "1.11", "userIdentity": identity, "eventTime": stamp(at or NOW - dt.timedelta(minutes=number)),
        "eventSource": "iam.amazonaws.com", "eventName": "ListUsers", "awsRegion": "us-east-1", "readOnly": True,
        "eventID": f"00000000-0000-4000-8000-{number:012d}", "managementEvent": True, "recipientAccountId": account,
        "eventCategory": "Management", "requestParameters": {"userName": "alice"},
    } | fields  # fmt: skip


def write_logs(folder, records, *, kind="CloudTrail", account=HOME, at="20260620T1200Z"):
    path = folder / f"AWSLogs/{account}/{kind}/us-east-1/2026/06/20/{account}_{kind}_us-east-1_{at}_x.json.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(json.dumps({"Records": records}).encode()))
    return path


def finding(number, severity, **service):
    """A finding of GuardDuty as it exports one, with a member that its API has not."""
    at = stamp(NOW - dt.timedelta(hours=number))
    key = {"accessKeyId": f"AKIA{number}", "userIdentity": {"type": "IAMUser"}}
    return {
        "schemaVersion": "2.0", "accountId": HOME, "region": "us-east-1", "id": f"f{number}", "severity": severity,
        "arn": f"arn:aws:guardduty:us-east-1:{HOME}:detector/{DETECTOR}/finding/f{number}", "type": "Stealth:IAMUser/X",
        "resource": {"resourceType": "AccessKey", "accessKeyDetails": key}, "createdAt": at, "updatedAt": at,
        "service": {"detectorId": DETECTOR, "archived": False, "count": 1} | service,
    }  # fmt: skip


def control(number, label, resource, **fields):
    at = stamp(NOW - dt.timedelta(days=number))
    return {
        "SchemaVersion": "2018-10-08", "Id": f"arn:{number}", "ProductArn": f"{HUB}::product/aws/securityhub",
        "GeneratorId": "security-control/IAM.1", "AwsAccountId": HOME, "Region": "us-east-1", "CreatedAt": at,
        "UpdatedAt": at, "Severity": {"Label": label, "Normalized": number}, "Title": "t", "Description": "d",
        "Resources": [{"Type": "AwsIamUser", "Id": resource}], "Compliance": {"SecurityControlId": "IAM.1"},
        "Remediation": {"Recommendation": {"Text": "t", "Url": "https://example.com"}}, "Unheard": "of",
        "ProductFields": {"aws/securityhub/ProductName": "Security Hub"},
    } | fields  # fmt: skip


@pytest.fixture(scope="module")
def emulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("front")
    logs, found = folder / "logs", folder / "findings"
    stop = {"eventName": "StopLogging", "eventSource": "cloudtrail.amazonaws.com", "readOnly": False,
            "requestParameters": {"name": "org"}}  # fmt: skip
    write_logs(logs, [record(n) for n in range(1, 120)] + [record(0, **stop)])
    write_logs(logs, [record(1)], at="20260620T1300Z")  # delivered twice
    write_logs(logs, [record(500, eventCategory="Data", managementEvent=False)], at="20260620T0000Z")
    write_logs(logs, [record(501, account=OTHER)], account=OTHER)
    old = [record(502, at=NOW - dt.timedelta(days=91)), record(503, at=NOW - dt.timedelta(days=89))]
    write_logs(logs, old, at="20260320T1200Z")
    details = {"state": "Start", "eventName": "RunInstances", "eventSource": "ec2.amazonaws.com"}
    write_logs(logs, [record(504, eventCategory="Insight", insightDetails=details)], kind="CloudTrail-Insight")
    digest = write_logs(logs, [], kind="CloudTrail-Digest")
    said = {"signature": "ab12", "signature-algorithm": "SHA256withRSA"}
    (folder / "s3-metadata.json").write_text(json.dumps({digest.relative_to(logs).as_posix(): said}))
    broken = write_logs(logs, [], at="20260620T1100Z")
    broken.write_bytes(broken.read_bytes()[:9])
    lost = record(505, account=HOME, at=NOW - dt.timedelta(seconds=30), eventName="Lost")
    write_logs(folder / "history", [lost])
    export = found / f"AWSLogs/{HOME}/GuardDuty/us-east-1/2026/06/20/x.jsonl.gz"
    export.parent.mkdir(parents=True)
    rows = [finding(3, 2), finding(2, 5, archived=True), finding(1, 8), finding(1, 8) | {"updatedAt": stamp(NOW)}]
    export.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    hub = [control(1, "HIGH", "arn:aws:iam::1:user/a"), control(5, "LOW", "arn:aws:iam::1:user/b"),
           control(9, "HIGH", "arn:aws:ec2:x")]  # fmt: skip
    (found / "security_hub.json").write_text(json.dumps({"Findings": hub}))
    state = {"accounts": {HOME: {"trails": [TRAIL], "users": [{"UserName": "alice"}]}, OTHER: {}}}
    printed = {"PublicKeyList": [PUBLIC_KEY | {"Value": base64.b64encode(PUBLIC_KEY["Value"]).decode()}]}
    (folder / "public-keys.json").write_text(json.dumps(printed, default=stamp))
    told = {"logs": logs, "findings": found, "history": folder / "history", "now": NOW}
    told |= {"metadata": folder / "s3-metadata.json", "keys": folder / "public-keys.json"}
    with serve(state, folder / "aws", **told) as running:
        yield running


@pytest.fixture(scope="module")
def clients(emulated):
    """Clients of an account whose every answer is checked: no member too many, none missing."""
    sessions = {}

    def conforms(http_response, parsed, model, **_):
        if http_response.status_code >= 300:
            return
        content = {name: value for name, value in parsed.items() if name != "ResponseMetadata"}
        report = ParamValidator().validate(content, model.output_shape)
        assert not report.has_errors(), report.generate_report()
        if "json" in model.service_model.protocol:
            assert not unknown(json.loads(http_response.content), model.output_shape)

    @cache
    def make(service, account=HOME, region="us-east-1"):
        if account not in sessions:
            sessions[account] = boto3.Session(profile_name=emulated.profiles[account])
        made = sessions[account].client(service, region_name=region, config=Config(retries={"total_max_attempts": 1}))
        made.meta.events.register("after-call", conforms)
        return made

    with pytest.MonkeyPatch.context() as patch:
        for name, value in emulated.environment().items():
            if name.startswith("AWS_"):
                patch.setenv(name, value)
        yield make


@pytest.fixture
def client(clients, emulated):
    """Clients; what a test has the accounts refuse, and the time that it sets, end with it."""
    yield clients
    emulated.faults.reset()
    emulated.advance(NOW)


def unknown(sent, shape):
    """Members of an answer as sent that the model has not."""
    if shape.type_name == "structure":
        known = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        below = [found for key in sent.keys() & known.keys() for found in unknown(sent[key], known[key])]
        return sorted(sent.keys() - known.keys()) + below
    if shape.type_name == "list":
        return [found for item in sent for found in unknown(item, shape.member)]
    return []


def code(call, **parameters):
    """Error code, and status, of a call that is refused."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return caught.value.response["Error"]["Code"], caught.value.response["ResponseMetadata"]["HTTPStatusCode"]


def test_the_front_fakes_only_what_the_emulator_lacks(emulated):
    """Whatever moto has is moto's to answer, but for the three operations that it answers wrongly."""
    wrong = {("securityhub", "GetFindings"), ("ec2", "DescribeRegions"), ("ec2", "DeleteKeyPair")}
    assert wrong < emulated.served
    for service, operation in emulated.served - wrong:
        classes = [one for _, one in getmembers(import_module(f"moto.{service}.responses"), isclass)]
        own = [one for one in classes if one.__module__.startswith(f"moto.{service}.")]
        assert own
        assert not any(hasattr(one, xform_name(operation)) for one in own), f"moto has {service} {operation}"


def test_event_history_is_newest_first_and_whole(client):
    """Pages of 50 hold each management event of the account and Region once: also what a trail did not deliver."""
    lookup = client("cloudtrail")
    pages = list(lookup.get_paginator("lookup_events").paginate())
    rows = [row for page in pages for row in page["Events"]]
    assert [len(page["Events"]) for page in pages] == [50, 50, 22]
    times = [row["EventTime"] for row in rows]
    assert times == sorted(times, reverse=True)
    assert len({row["EventId"] for row in rows}) == len(rows)
    assert [row["EventName"] for row in rows[:3]] == ["StopLogging", "Lost", "ListUsers"]
    assert [row["EventId"][-3:] for row in rows if row["EventId"] > f"{'0' * 8}-0000-4000-8000-{'0' * 9}499"] == [
        "505",
        "503",
    ]
    first = rows[2]
    assert json.loads(first["CloudTrailEvent"]) == record(1)
    assert (first["ReadOnly"], first["AccessKeyId"], first["Username"]) == ("true", "ASIAEXAMPLE", "dev")
    assert first["Resources"] == [{"ResourceType": "AWS::IAM::User", "ResourceName": "alice"}]
    assert rows[0]["Resources"] == [{"ResourceType": "AWS::CloudTrail::Trail", "ResourceName": "org"}]


def test_event_history_is_of_one_account_and_region(client):
    """Another account sees its own events, another Region none."""
    (row,) = client("cloudtrail", OTHER).lookup_events()["Events"]
    assert row["EventId"].endswith("501")
    assert client("cloudtrail", region="eu-west-1").lookup_events()["Events"] == []


@pytest.mark.parametrize(
    ("key", "value", "count"),
    [("EventName", "StopLogging", 1), ("EventName", "stoplogging", 0), ("ReadOnly", "false", 1),
     ("Username", "dev", 122), ("EventSource", "cloudtrail.amazonaws.com", 1), ("AccessKeyId", "ASIAEXAMPLE", 122),
     ("ResourceName", "alice", 121), ("ResourceType", "AWS::CloudTrail::Trail", 1),
     ("EventId", record(7)["eventID"], 1)],
)  # fmt: skip
def test_events_are_looked_up_by_one_attribute(client, key, value, count):
    """Each attribute that LookupEvents takes chooses by its exact value."""
    paginator = client("cloudtrail").get_paginator("lookup_events")
    pages = paginator.paginate(LookupAttributes=[{"AttributeKey": key, "AttributeValue": value}])
    assert sum(len(page["Events"]) for page in pages) == count


def test_lookup_takes_both_ends_of_a_time_range(client):
    """Start and end are inclusive; without them it is the last 90 days."""
    five = NOW - dt.timedelta(minutes=5)
    rows = client("cloudtrail").lookup_events(StartTime=five, EndTime=five + dt.timedelta(minutes=2))["Events"]
    assert [row["EventId"][-1] for row in rows] == ["3", "4", "5"]


def test_insights_are_asked_for_apart(client):
    """EventCategory=insight gives insight events, and only them."""
    (row,) = client("cloudtrail").lookup_events(EventCategory="insight")["Events"]
    assert (row["EventName"], row["EventSource"]) == ("RunInstances", "ec2.amazonaws.com")


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [({"MaxResults": 51}, "InvalidMaxResultsException"), ({"NextToken": "bm8"}, "InvalidNextTokenException"),
     ({"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": "x"}] * 2},
      "InvalidLookupAttributesException"),
     ({"LookupAttributes": [{"AttributeKey": "SourceIp", "AttributeValue": "x"}]}, "InvalidLookupAttributesException"),
     ({"StartTime": NOW, "EndTime": NOW - dt.timedelta(days=1)}, "InvalidTimeRangeException"),
     ({"EndTime": NOW - dt.timedelta(days=100)}, "InvalidTimeRangeException"),
     ({"EventCategory": "data"}, "InvalidEventCategoryException")],
)  # fmt: skip
def test_lookup_refuses_as_cloudtrail_does(client, parameters, expected):
    """A wrong parameter has its own error, with the model's status."""
    assert code(client("cloudtrail").lookup_events, **parameters) == (expected, 400)


def test_a_token_belongs_to_its_question(client):
    """A page's token is refused for another time range; another page size goes on with it."""
    lookup = client("cloudtrail")
    token = lookup.lookup_events()["NextToken"]
    wrong = code(lookup.lookup_events, NextToken=token, StartTime=NOW - dt.timedelta(hours=1))
    assert wrong == ("InvalidNextTokenException", 400)
    assert [row["EventId"][-2:] for row in lookup.lookup_events(NextToken=token, MaxResults=1)["Events"]] == ["49"]


def test_lookups_are_throttled_for_each_account_and_region(client, emulated):
    """With the limit on, the third lookup in a second is refused; another Region's is not."""
    emulated.faults.lookups_per_second = 2
    lookup = client("cloudtrail").lookup_events
    lookup(MaxResults=1), lookup(MaxResults=1)
    assert code(lookup, MaxResults=1) == ("ThrottlingException", 400)
    client("cloudtrail", region="eu-west-1").lookup_events()


def test_time_goes_on_when_it_is_told_to(client, emulated):
    """What happened after now is known once time has gone on."""
    emulated.advance(NOW - dt.timedelta(minutes=60))
    assert client("cloudtrail").lookup_events(MaxResults=1)["Events"][0]["EventId"].endswith("60")
    emulated.advance(NOW)
    assert client("cloudtrail").lookup_events(MaxResults=1)["Events"][0]["EventName"] == "StopLogging"


def test_public_keys_are_of_their_time(client):
    """A key is listed where its validity meets the range, its DER bytes unchanged."""
    keys = client("cloudtrail").list_public_keys
    (key,) = keys()["PublicKeyList"]
    assert (key["Value"], key["Fingerprint"]) == (PUBLIC_KEY["Value"], PUBLIC_KEY["Fingerprint"])
    long_ago = NOW - dt.timedelta(days=30)
    assert keys(StartTime=long_ago, EndTime=NOW - dt.timedelta(days=4))["PublicKeyList"] == []
    assert code(keys, StartTime=NOW, EndTime=long_ago) == ("InvalidTimeRangeException", 400)


def test_logs_lie_in_the_trails_bucket(client, emulated):
    """Each file is an object with the key and time of its delivery; a digest's signature is its user metadata."""
    s3 = client("s3")
    assert emulated.buckets["logs"] == "amzn-s3-demo-logs"
    found = {one["Key"]: one for one in s3.list_objects_v2(Bucket="amzn-s3-demo-logs")["Contents"]}
    (digest,) = [key for key in found if "CloudTrail-Digest" in key]
    assert found[digest]["LastModified"] == dt.datetime(2026, 6, 20, 12, tzinfo=dt.UTC)
    said = s3.head_object(Bucket="amzn-s3-demo-logs", Key=digest)["Metadata"]
    assert said == {"signature": "ab12", "signature-algorithm": "SHA256withRSA"}
    assert s3.list_objects_v2(Bucket=emulated.buckets["findings"])["KeyCount"] == 1


@pytest.mark.parametrize(
    ("criterion", "ids"),
    [({}, ["f1", "f2", "f3"]), ({"severity": {"Gte": 5}}, ["f1", "f2"]), ({"severity": {"LessThan": 5}}, ["f3"]),
     ({"service.archived": {"Equals": ["false"]}}, ["f1", "f3"]), ({"id": {"NotEquals": ["f1"]}}, ["f2", "f3"]),
     ({"id": {"Eq": ["f1", "f3"]}, "severity": {"GreaterThan": 2}}, ["f1"]),
     ({"updatedAt": {"GreaterThanOrEqual": int(NOW.timestamp() * 1000)}}, ["f1"]),
     ({"resource.accessKeyDetails.userIdentity.type": {"Equals": ["IAMUser"]}}, ["f1", "f2", "f3"])],
)  # fmt: skip
def test_findings_are_chosen_by_criteria(client, criterion, ids):
    """Criteria choose; archived findings are among them unless they are left out; the newest come first."""
    asked = {"FindingCriteria": {"Criterion": criterion}} if criterion else {}
    assert client("guardduty").list_findings(DetectorId=DETECTOR, **asked)["FindingIds"] == ids


def test_findings_are_paged_and_sorted(client):
    """MaxResults and NextToken walk through the findings in the order that is asked for."""
    order = {"AttributeName": "severity", "OrderBy": "ASC"}
    guardduty = client("guardduty")
    assert guardduty.list_detectors()["DetectorIds"] == [DETECTOR]
    pages = guardduty.get_paginator("list_findings").paginate(
        DetectorId=DETECTOR, SortCriteria=order, PaginationConfig={"PageSize": 2}
    )
    assert [page["FindingIds"] for page in pages] == [["f3", "f2"], ["f1"]]


def test_a_finding_comes_in_the_shape_of_the_api(client):
    """The last version is given, without what the model has not; unknown ids are passed over."""
    (found,) = client("guardduty").get_findings(DetectorId=DETECTOR, FindingIds=["f1", "nothing"])["Findings"]
    assert (found["UpdatedAt"], found["Severity"]) == (stamp(NOW), 8.0)
    assert found["Resource"]["AccessKeyDetails"] == {"AccessKeyId": "AKIA1"}


def test_guardduty_refuses_what_it_does_not_know(client):
    """A foreign detector, a misspelt attribute and too many ids are bad requests."""
    guardduty, other = client("guardduty"), client("guardduty", OTHER)
    bad = ("BadRequestException", 400)
    assert code(other.list_findings, DetectorId=DETECTOR) == bad
    misspelt = {"Criterion": {"service.archivd": {"Equals": ["false"]}}}
    assert code(guardduty.list_findings, DetectorId=DETECTOR, FindingCriteria=misspelt) == bad
    assert code(guardduty.list_findings, DetectorId=DETECTOR, MaxResults=51) == bad
    assert code(guardduty.get_findings, DetectorId=DETECTOR, FindingIds=[str(n) for n in range(51)]) == bad


def text(value, comparison="EQUALS"):
    return {"Value": value, "Comparison": comparison}


@pytest.mark.parametrize(
    ("filters", "ids"),
    [({}, "159"), ({"SeverityLabel": [text("HIGH")]}, "19"), ({"SeverityLabel": [text("HIGH"), text("LOW")]}, "159"),
     ({"SeverityLabel": [text("HIGH")], "ResourceId": [text("arn:aws:iam", "PREFIX")]}, "1"),
     ({"SeverityLabel": [text("HIGH", "NOT_EQUALS")]}, "5"), ({"ResourceId": [text("user", "CONTAINS")]}, "15"),
     ({"ResourceId": [text("arn:aws:iam", "PREFIX_NOT_EQUALS")]}, "9"),
     ({"UpdatedAt": [{"DateRange": {"Value": 6, "Unit": "DAYS"}}]}, "15"),
     ({"UpdatedAt": [{"Start": "2026-06-10T00:00:00Z", "End": "2026-06-16T00:00:00Z"}]}, "59"),
     ({"SeverityNormalized": [{"Gte": 5}]}, "59"), ({"ComplianceSecurityControlId": [text("IAM.1")]}, "159"),
     ({"ProductFields": [text("Security Hub") | {"Key": "aws/securityhub/ProductName"}]}, "159")],
)  # fmt: skip
def test_hub_findings_are_chosen_by_filters(client, filters, ids):
    """Attributes are joined by AND; within one, a value must be one of those named and none of those excluded."""
    found = client("securityhub").get_findings(Filters=filters)["Findings"]
    assert sorted(one["Id"][-1] for one in found) == list(ids)
    assert not any("Unheard" in one for one in found)


def test_hub_findings_are_sorted_and_paged(client):
    """Sort criteria order the pages."""
    order = [{"Field": "SeverityLabel", "SortOrder": "asc"}, {"Field": "UpdatedAt", "SortOrder": "asc"}]
    pages = (
        client("securityhub")
        .get_paginator("get_findings")
        .paginate(SortCriteria=order, PaginationConfig={"PageSize": 2})
    )
    assert [[one["Id"][-1] for one in page["Findings"]] for page in pages] == [["9", "1"], ["5"]]


def test_security_hub_refuses(client):
    """Too large a page, an attribute that is not emulated, and an account without Security Hub are errors."""
    get = client("securityhub").get_findings
    assert code(get, MaxResults=101) == ("InvalidInputException", 400)
    assert code(get, Filters={"MalwareName": [text("x")]}) == ("InvalidInputException", 400)
    assert code(client("securityhub", OTHER).get_findings) == ("InvalidAccessException", 401)


def test_what_is_imported_is_found(client):
    """Findings that are imported while the accounts run lie with the others."""
    hub = client("securityhub")
    hub.batch_import_findings(Findings=[{k: v for k, v in control(3, "LOW", "r").items() if k != "Unheard"}])
    assert [one["Id"] for one in hub.get_findings(Filters={"Id": [text("arn:3")]})["Findings"]] == ["arn:3"]


def test_a_findings_history_begins_with_its_creation(client):
    """Without a written history a finding has been created, and no more."""
    wanted = {"Id": "arn:5", "ProductArn": f"{HUB}::product/aws/securityhub"}
    (row,) = client("securityhub").get_finding_history(FindingIdentifier=wanted)["Records"]
    assert (row["FindingCreated"], row["UpdateTime"]) == (True, NOW - dt.timedelta(days=5))
    since = NOW - dt.timedelta(days=1)
    assert client("securityhub").get_finding_history(FindingIdentifier=wanted, StartTime=since)["Records"] == []


def test_standards_and_controls_are_those_of_the_findings(client):
    """The standard is ready, its controls are described, no custom action has been made."""
    hub = client("securityhub")
    (standard,) = hub.get_enabled_standards()["StandardsSubscriptions"]
    assert standard["StandardsStatus"] == "READY"
    assert [one["SecurityControlId"] for one in hub.list_security_control_definitions()["SecurityControlDefinitions"]]
    answer = hub.batch_get_security_controls(SecurityControlIds=["IAM.1", "X.1"])
    assert [one["SecurityControlStatus"] for one in answer["SecurityControls"]] == ["ENABLED"]
    assert [one["SecurityControlId"] for one in answer["UnprocessedIds"]] == ["X.1"]
    assert hub.describe_action_targets()["ActionTargets"] == []


def test_settings_of_an_account_are_those_of_a_new_one(client):
    """What moto does not keep is answered as AWS answers for an account that nobody has changed."""
    ec2, iam = client("ec2"), client("iam")
    assert ec2.get_snapshot_block_public_access_state()["State"] == "unblocked"
    assert ec2.get_image_block_public_access_state()["ImageBlockPublicAccessState"] == "block-new-sharing"
    assert ec2.get_instance_metadata_defaults()["AccountLevel"] == {"ManagedBy": "account"}
    assert iam.list_service_specific_credentials(UserName="alice")["ServiceSpecificCredentials"] == []
    assert code(iam.list_service_specific_credentials, UserName="bob") == ("NoSuchEntity", 404)
    assert client("backup").list_recovery_points_by_resource(ResourceArn="arn:x/y")["RecoveryPoints"] == []
    assert client("ssm").describe_instance_information()["InstanceInformationList"] == []


def test_regions_are_those_of_the_partition(client):
    """Regions of other partitions, and those that were not opted in to, are not enabled."""
    ec2 = client("ec2")
    enabled = {one["RegionName"] for one in ec2.describe_regions()["Regions"]}
    assert "us-east-1" in enabled
    assert not {"cn-north-1", "us-gov-west-1", "ap-southeast-5"} & enabled
    assert "ap-southeast-5" in {one["RegionName"] for one in ec2.describe_regions(AllRegions=True)["Regions"]}
    pages = client("account").get_paginator("list_regions").paginate(RegionOptStatusContains=["ENABLED_BY_DEFAULT"])
    assert {one["RegionName"] for page in pages for one in page["Regions"]} == enabled


def test_the_accounts_are_an_organization(client):
    """The account of the organization's trail manages the others."""
    accounts = client("organizations").list_accounts()["Accounts"]
    assert sorted(one["Id"] for one in accounts) == [HOME, OTHER]
    assert client("organizations", OTHER).describe_organization()["Organization"]["MasterAccountId"] == HOME


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "expected"),
    [("s3", "GetObject", {"Bucket": "amzn-s3-demo-logs", "Key": "k"}, ("AccessDenied", 403)),
     ("iam", "ListUsers", {}, ("AccessDenied", 403)), ("ec2", "DescribeInstances", {}, ("UnauthorizedOperation", 403)),
     ("cloudtrail", "LookupEvents", {}, ("AccessDeniedException", 400)),
     ("guardduty", "ListDetectors", {}, ("AccessDeniedException", 403))],
)  # fmt: skip
def test_a_denial_is_the_services_own(client, emulated, service, operation, parameters, expected):
    """What is denied is refused with the code and status of the service's protocol, whoever would answer it."""
    emulated.faults.deny = {(service, operation)}
    assert code(getattr(client(service), xform_name(operation)), **parameters) == expected


def test_a_function_may_refuse_by_what_is_asked(client, emulated):
    """A function sees account, Region and parameters, and may give the error itself."""

    def deny(asked):
        if asked.service == "s3" and asked.parameters.get("Key") == "locked":
            return Refused("KMS.DisabledException", "the key is disabled", 400)
        return asked.account == OTHER

    emulated.faults.deny = deny
    s3 = client("s3")
    assert code(s3.get_object, Bucket="amzn-s3-demo-logs", Key="locked") == ("KMS.DisabledException", 400)
    assert code(s3.get_object, Bucket="amzn-s3-demo-logs", Key="other") == ("NoSuchKey", 404)
    assert code(client("sts", OTHER).get_caller_identity) == ("AccessDenied", 403)


def test_a_key_expires_and_a_new_one_does_not(client, emulated):
    """After so many requests a key has expired; credentials that are renewed go on."""
    emulated.faults.renew()
    emulated.faults.expire_after = 2
    sts = client("sts")
    keys = sts.assume_role(RoleArn=f"arn:aws:iam::{HOME}:role/IncidentResponder", RoleSessionName="new")["Credentials"]
    sts.get_caller_identity()
    assert code(sts.get_caller_identity) == ("ExpiredToken", 403)
    names = {"AccessKeyId": "id", "SecretAccessKey": "key", "SessionToken": "token"}
    session = boto3.Session(*(keys[name] for name in names), region_name="us-east-1")
    session.client("guardduty", endpoint_url=emulated.endpoint).list_detectors()
    emulated.faults.renew()
    sts.get_caller_identity()


def test_a_case_can_be_about_the_accounts(emulated, client):
    """The value of `access` gives each account its profile, and the management account where none is named."""
    access = emulated.case_access()
    assert access["per_account"] == {account: {"profile": f"respond-{account}"} for account in (HOME, OTHER)}
    assert (access["endpoint_url"], access["profile"]) == (emulated.endpoint, f"respond-{HOME}")
