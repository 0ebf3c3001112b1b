"""GuardDuty and Security Hub over HTTP, with what a test puts into them: any finding at all, and any refusal.

The emulated account answers in botocore's shapes alone; this one answers what it is told to, also what no model has.
"""

import json
import os
import re
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread

import pytest

from cirtlib import evidence, store
from cirtlib.case import new_case
from cirtlib.sources.matching import criteria, filters

ACCOUNT = "111122223333"
PRODUCT = "arn:aws:securityhub:us-east-1::product/aws/securityhub"


@dataclass
class Cloud:
    """Detectors and hubs by Region, histories by finding, and what goes wrong.

    `wrong` is called with Region, operation and parameters before each answer; what it returns, (HTTP status, code), is
    answered instead. `honest` is whether filters are applied. `asked` notes (Region, operation, parameters).
    """

    detectors: dict[str, dict[str, dict]] = field(default_factory=dict)
    hubs: dict[str, list[dict]] = field(default_factory=dict)
    histories: dict[str, list[dict]] = field(default_factory=dict)
    wrong: Callable = lambda *_: None
    honest: bool = True
    asked: list = field(default_factory=list)
    endpoint: str = ""
    lock: Lock = field(default_factory=Lock)

    def count(self, operation, region=None):
        return sum(done == operation and region in (None, where) for where, done, _ in self.asked)

    def answer(self, region, method, path, given):
        operation, detector = name(method, path)
        with self.lock:
            self.asked.append((region, operation, given))
            fault = self.wrong(region, operation, given)
            if fault:
                return fault[0], {"__type": fault[1], "message": f"{fault[1]} by test", "code": fault[1]}
            return 200, getattr(self, re.sub("(?<!^)([A-Z])", r"_\1", operation).lower())(region, detector, given)

    def list_detectors(self, region, *_):
        return {"detectorIds": list(self.detectors.get(region, {}))}

    def get_detector(self, region, detector, _):
        return {"status": self.detectors[region][detector].get("status", "ENABLED"), "serviceRole": "r"}

    def list_findings(self, region, detector, given):
        found = self.detectors[region][detector]["findings"]
        if self.honest:
            found = list(filter(criteria(long(given.get("findingCriteria", {}).get("criterion", {})))[0], found))
        found = sorted(found, key=lambda one: one.get("updatedAt", ""))
        return page([one["id"] for one in found], given, "maxResults", "nextToken", "findingIds")

    def get_findings(self, region, detector, given):
        known = self.detectors[region][detector]
        found = [one for one in known["findings"] if one["id"] in given["findingIds"]]
        return {"findings": [one for one in found if one["id"] not in known.get("gone", ())]}

    def hub_findings(self, region, _, given):
        found = self.hubs[region]
        if self.honest:
            found = list(filter(filters(given.get("Filters", {}))[0], found))
        return page(found, given, "MaxResults", "NextToken", "Findings")

    def get_finding_history(self, _, __, given):
        return page(
            self.histories.get(given["FindingIdentifier"]["Id"], []), given, "MaxResults", "NextToken", "Records"
        )


def name(method, path):
    if path == "/findings":
        return "HubFindings", ""
    if path == "/findingHistory/get":
        return "GetFindingHistory", ""
    if path == "/detector":
        return "ListDetectors", ""
    detector, rest = re.fullmatch(r"/detector/([^/]+)(.*)", path).groups()
    return {"": "GetDetector", "/findings": "ListFindings", "/findings/get": "GetFindings"}[rest], detector


def long(criterion):
    """Names of conditions as they are on the wire begin in lower case."""
    return {
        path: {name[0].upper() + name[1:]: value for name, value in rule.items()} for path, rule in criterion.items()
    }


def page(found, given, size, token, listed):
    start, most = int(given.get(token) or 0), given.get(size, 1000)
    more = {token: str(start + most)} if start + most < len(found) else {}
    return {listed: found[start : start + most], **more}


@contextmanager
def serve(cloud):
    """The cloud, listening; its endpoint is in it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            region = re.search(r"Credential=[^/]+/\d+/([^/]+)/", self.headers["Authorization"])[1]
            given = json.loads(body) if body else {}
            path = self.path.partition("?")[0]
            off = path == "/findings" and region not in cloud.hubs
            answer = (403, {"code": "InvalidAccessException"}) if off else None
            status, content = answer or cloud.answer(region, self.command, path, given)
            data = json.dumps(content).encode()
            self.send_response(status)
            if status != 200:
                self.send_header("x-amzn-ErrorType", str(content["code"]))
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST  # noqa: N815 - the name that the server calls

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # a client that was killed
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    cloud.endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        yield cloud
    finally:
        server.shutdown()
        server.server_close()


def finding(number, *, region="us-east-1", detector="d1", **changes):
    """A GuardDuty finding as the API answers it, with the fields that botocore does not know."""
    made = {
        "schemaVersion": "2.0", "accountId": ACCOUNT, "region": region, "partition": "aws", "id": f"f{number}",
        "arn": f"arn:aws:guardduty:{region}:{ACCOUNT}:detector/{detector}/finding/f{number}",
        "type": "Stealth:IAMUser/CloudTrailLoggingDisabled", "title": "t", "description": "d", "severity": 2,
        "createdAt": "2026-06-10T10:00:00.000Z",
        "updatedAt": f"2026-06-10T{10 + number // 60:02d}:{number % 60:02d}:00.000Z",
        "resource": {
            "resourceType": "AccessKey",
            "accessKeyDetails": {
                "accessKeyId": "ASIAEXAMPLE000000001", "principalId": "AROAEXAMPLE000000001:s", "userName": "devRole",
                "userType": "AssumedRole", "userIdentity": {"arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/devRole/s"},
            },
        },
        "service": {"serviceName": "guardduty", "detectorId": detector, "count": 1, "archived": False},
    }  # fmt: skip
    return {**made, **changes}


def control(number, status="FAILED", *, region="us-east-1", **changes):
    """A control finding of Security Hub."""
    made = {
        "SchemaVersion": "2018-10-08", "ProductArn": PRODUCT, "AwsAccountId": ACCOUNT, "Region": region,
        "Id": f"arn:aws:securityhub:{region}:{ACCOUNT}:security-control/EC2.19/finding/{number}",
        "GeneratorId": "security-control/EC2.19", "Types": ["Software and Configuration Checks"], "Title": "EC2.19",
        "CreatedAt": "2026-05-01T00:00:00.000Z", "Description": "d", "Severity": {"Label": "CRITICAL"},
        "UpdatedAt": f"2026-06-10T{number // 60:02d}:{number % 60:02d}:00.000Z", "RecordState": "ACTIVE",
        "Resources": [{"Type": "AwsEc2SecurityGroup", "Id": f"arn:aws:ec2:{region}:{ACCOUNT}:security-group/{number}"}],
        "Compliance": {"Status": status, "SecurityControlId": "EC2.19"}, "Workflow": {"Status": "NEW"},
    }  # fmt: skip
    return {**made, **changes}


def change(one, moment, field_name="Compliance.Status", old="PASSED", new="FAILED"):
    """A record of what changed in a finding."""
    return {
        "FindingIdentifier": {"Id": one["Id"], "ProductArn": one["ProductArn"]},
        "UpdateTime": moment, "FindingCreated": False,
        "UpdateSource": {"Type": "BATCH_IMPORT_FINDINGS", "Identity": PRODUCT},
        "Updates": [{"UpdatedField": field_name, "OldValue": old, "NewValue": new}],
    }  # fmt: skip


@pytest.fixture
def cloud(monkeypatch):
    """A cloud without anything in it, and credentials for it alone."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with serve(Cloud()) as made:
        yield made


def case_of(cloud, folder, options=True, kind="guardduty", regions=("us-east-1",)):
    """A case that asks the cloud."""
    content = {"accounts": [ACCOUNT], "regions": list(regions), "access": {"endpoint_url": cloud.endpoint}}
    return new_case(folder / "case", {**content, "sources": [{kind: {"api": options}}]})


def ended(case):
    """Ledger of the case: name of the slice without the account -> slice."""
    return {line["slice"]["name"].partition("/")[2]: line["slice"] for line in evidence.slices(case)}


def balanced(case):
    """Totals of the case, which add up."""
    total = store.total(case)
    assert total["seen"] == total["kept"] + total["duplicate"] + total["rejected"]
    return total
