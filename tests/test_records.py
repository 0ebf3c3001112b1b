"""Bytes to records to rows: every container, every shape, and damage that costs only what is damaged."""

import gzip
import io
import json
import zipfile
from typing import Any

import pytest

from cirtlib import records
from cirtlib.records import Item, Other, Rejected, windows

RECORD: dict[str, Any] = {
    "eventVersion": "1.10",
    "userIdentity": {
        "type": "AssumedRole",
        "principalId": "AROAEXAMPLE:work",
        "arn": "arn:aws:sts::111122223333:assumed-role/devRole/work",
        "accountId": "111122223333",
        "accessKeyId": "ASIAEXAMPLE",
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": "AROAEXAMPLE",
                "arn": "arn:aws:iam::111122223333:role/devRole",
                "accountId": "111122223333",
                "userName": "devRole",
            },
            "webIdFederationData": {"federatedProvider": "example.com", "attributes": {"aud": "x"}},
            "attributes": {"creationDate": "2026-06-10T10:00:00Z", "mfaAuthenticated": "false"},
            "ec2RoleDelivery": "2.0",
            "sourceIdentity": "alice",
        },
        "inScopeOf": {"issuerType": "AWS::EC2::Instance"},
    },
    "eventTime": "2026-06-10T12:00:00Z",
    "eventSource": "s3.amazonaws.com",
    "eventName": "GetObject",
    "awsRegion": "us-east-1",
    "sourceIPAddress": "203.0.113.7",
    "userAgent": "[aws-cli/2.17.0]",
    "requestParameters": {"bucketName": "b", "n": 1.50},
    "responseElements": None,
    "requestID": "R1",
    "eventID": "00000000-0000-4000-8000-000000000001",
    "readOnly": True,
    "resources": [{"ARN": "arn:aws:s3:::b", "accountId": "111122223333", "type": "AWS::S3::Bucket"}],
    "eventType": "AwsApiCall",
    "managementEvent": False,
    "recipientAccountId": "111122223333",
    "eventCategory": "Data",
    "tlsDetails": {"tlsVersion": "TLSv1.3", "cipherSuite": "X", "clientProvidedHostHeader": "s3.amazonaws.com"},
}


def event(number: int = 1, **changes: Any) -> dict[str, Any]:
    made = RECORD | {"eventID": f"00000000-0000-4000-8000-{number:012d}"} | changes
    return {name: value for name, value in made.items() if value is not ...}


def text(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def found(data: bytes, **options: Any) -> list[str]:
    """Event ids and reasons, in order of position."""
    items = list(records.split(data, **options))
    assert [item.position for item in items] == list(range(len(items)))
    return [
        json.loads(item.raw)["eventID"][-1] if isinstance(item, Item) else getattr(item, "reason", "") for item in items
    ]


TWO = [event(1), event(2)]


@pytest.mark.parametrize(
    "data",
    [
        text({"Records": TWO}),
        json.dumps({"Records": TWO}, indent=2).encode(),
        text(TWO),
        b"\n".join(map(text, TWO)),
        b"\r\n".join(map(text, TWO)) + b"\r\n\n",
        b"".join(map(text, TWO)),
        json.dumps(TWO[0], indent=1).encode() + b"\n" + json.dumps(TWO[1], indent=1).encode(),
        b"\xef\xbb\xbf" + text({"Records": TWO}),
        json.dumps({"Records": TWO}).encode("utf-16"),
        gzip.compress(text({"Records": TWO}), mtime=0),
        gzip.compress(text(TWO[0]), mtime=0) + gzip.compress(text(TWO[1]), mtime=0),
        gzip.compress(text({"Records": TWO}), mtime=0) + b"\0" * 512,
        gzip.compress(text({"Records": TWO}), mtime=0) + b"\x1f\x8bpadding",
        gzip.compress(gzip.compress(text({"Records": TWO}), mtime=0), mtime=0),
        text([{"version": "0", "detail-type": "AWS API Call via CloudTrail", "detail": one} for one in TWO]),
        text([{"_raw": json.dumps(one), "_time": 1} for one in TWO]),
        text([{"message": json.dumps(one)} for one in TWO]),
        text({"Message": json.dumps({"Records": TWO})}),
        text({"messageType": "DATA_MESSAGE", "logEvents": [{"id": "1", "message": json.dumps(one)} for one in TWO]}),
        text({"Events": [{"EventId": one["eventID"], "CloudTrailEvent": json.dumps(one)} for one in TWO]}),
        b"\n".join(text({"EventId": one["eventID"], "CloudTrailEvent": json.dumps(one)}) for one in TWO),
        b"\n".join(text({"rule_id": "x", "severity": "High", "log": one}) for one in TWO),
        b"\n".join(text({"source": "x", "doc": one}) for one in TWO),
        text([{"data": {"Records": TWO}, "service": "s3"}]),
        text({"hits": {"hits": [{"_source": one} for one in TWO]}}),
        text({"test_events": [{"test_event_name": "x", "event": one} for one in TWO]}),
    ],
)
def test_every_container_gives_the_same_records(data: bytes) -> None:
    """Two records are found in order, whatever is around them."""
    assert found(data) == ["1", "2"]


def test_an_archive_is_read_member_by_member() -> None:
    """Positions count on from one member of a zip archive to the next; what is no JSON in it is of another kind."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("folder/", b"")
        archive.writestr("folder/1.json.gz", gzip.compress(text({"Records": [event(1)]}), mtime=0))
        archive.writestr("folder/2.json", text({"Records": [event(2)]}))
        archive.writestr("folder/README.md", b"notes")
    items = list(records.split(made.getvalue()))
    assert [type(item) for item in items] == [Item, Item, Other]
    assert [item.position for item in items] == [0, 1, 2]


@pytest.mark.parametrize(
    "empty", [b"[]", b'{"Records":[]}', gzip.compress(b'{"Records": []}', mtime=0), b'{"Events": []}']
)
def test_a_container_without_records_is_no_rejection(empty: bytes) -> None:
    """Nothing was called in those five minutes; that is no fault."""
    assert not any(isinstance(item, Rejected) for item in records.split(empty))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" \n ", "empty"),
        (gzip.compress(b"", mtime=0), "empty"),
        (b"this is no log", "not JSON"),
        (text({"Records": None}), "Records is no list but null"),
        (text({"Records": {"a": 1}}), "Records is no list"),
        (text({"Records": [{"some": "thing"}]}), "neither a CloudTrail record nor a finding; its keys are some"),
        (text({"Records": [7]}), "no JSON object"),
        (gzip.compress(text({"Records": []}), mtime=0)[:-9], "truncated gzip"),
        (b"PK\x03\x04broken", "damaged zip"),
    ],
)
def test_what_cannot_be_a_record_is_rejected_with_its_reason(data: bytes, reason: str) -> None:
    """One rejected item says why, at position 0."""
    (item,) = records.split(data)
    assert isinstance(item, Rejected)
    assert reason in item.reason


def test_text_of_another_kind_is_told_by_its_name() -> None:
    """A README is no broken log; a `.json` that is no JSON is."""
    assert isinstance(next(records.split(b"# hello", name="README.md")), Other)
    assert isinstance(next(records.split(b"# hello", name="a/b.json.gz")), Rejected)
    assert [type(item) for item in records.split(text({"Records": TWO}), name="logs.txt")] == [Item, Item]


def test_one_bad_line_costs_only_itself() -> None:
    """Among JSON lines the next whole line is read again."""
    lines = [text(event(1)), text(event(2))[:300], text(event(3)), b"garbage", text(event(4))]
    what = found(b"\n".join(lines))
    assert [one for one in what if len(one) == 1] == ["1", "3", "4"]
    assert len(what) == 5


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("shape", ["records", "list", "lines", "indented", "wrapped"])
def test_a_cut_anywhere_loses_no_complete_record(pack: Any, shape: str) -> None:
    """Whatever stands whole before the cut is kept, and the broken rest is one rejected item at its position."""
    whole = [event(number) for number in range(1, 6)]
    shapes = {
        "records": text({"Records": whole}),
        "list": text(whole),
        "lines": b"\n".join(map(text, whole)),
        "indented": json.dumps({"Records": whole}, indent=2).encode(),
        "wrapped": text([{"detail": one} for one in whole]),
    }
    plain = shapes[shape]
    ends = [plain.rindex(one["eventID"].encode()) for one in whole]
    data = pack(plain)
    for cut in range(97, len(data), 97):
        items = list(records.split(data[:cut]))
        kept = [item for item in items if isinstance(item, Item)]
        rejected = [item for item in items if isinstance(item, Rejected)]
        if pack is bytes:
            # A record is whole when the one after it has begun.
            assert len(kept) >= sum(cut > start for start in ends[1:]) - 1
        assert [json.loads(item.raw) for item in kept] == whole[: len(kept)]
        assert len(rejected) == (0 if shape == "lines" and pack is bytes and plain[:cut].endswith(b"}") else 1)
        assert rejected[-1].position == len(kept) == len(items) - 1


def test_everything_before_the_cut_is_kept_exactly() -> None:
    """At each record's last byte the number that is kept grows by one."""
    whole = [event(number) for number in range(1, 4)]
    data, end = text({"Records": whole}), len(b'{"Records":[')
    for count, one in enumerate(whole, 1):
        end += len(text(one))
        assert [type(i) for i in records.split(data[: end - 1])] == [Item] * (count - 1) + [Rejected]
        assert [type(i) for i in records.split(data[:end])] == [Item] * count + [Rejected]
        end += 1


def test_a_bad_checksum_keeps_the_records_and_says_so() -> None:
    """The records before a damaged trailer are kept; one item tells of the damage."""
    data = bytearray(gzip.compress(text({"Records": TWO}), mtime=0))
    data[-6] ^= 0xFF
    assert found(bytes(data)) == ["1", "2", "damaged gzip: incorrect data check"]


def test_a_flipped_bit_loses_nothing_before_it() -> None:
    """Damage in the middle of the stream keeps the records that stand before it."""
    data = bytearray(
        gzip.compress(text({"Records": [event(n, requestID=str(n * 7919) * 60) for n in range(1, 9)]}), 0, mtime=0)
    )
    data[len(data) // 2] ^= 0xFF
    what = found(bytes(data))
    assert what[:3] == ["1", "2", "3"]
    assert "gzip" in what[-1]


def test_a_bomb_is_stopped_at_the_limit() -> None:
    """What expands past the limit is rejected; what stands before it is kept."""
    data = gzip.compress(text({"Records": TWO}) + b" " * 5_000_000, mtime=0)
    what = found(data, limit=1_000_000)
    assert what[:2] == ["1", "2"]
    assert "1,000,000 bytes" in what[2]


def test_a_documented_record_is_told_in_the_columns_of_the_documentation() -> None:
    """Names, nesting and types are those of AWS's table; JSON text is as it was logged."""
    raw = text(RECORD).replace(b'"n":1.5', b'"n": 1.50')
    row = records.row(raw)
    assert tuple(row) == records.COLUMNS
    assert row["useridentity"]["sessioncontext"]["sessionissuer"]["arn"] == "arn:aws:iam::111122223333:role/devRole"
    assert row["useridentity"]["sessioncontext"]["ec2roledelivery"] == "2.0"
    assert row["useridentity"]["sessioncontext"]["webidfederationdata"] == {
        "federatedProvider": "example.com",
        "attributes": '{"aud":"x"}',
    }
    assert json.loads(row["useridentity_json"])["inScopeOf"] == {"issuerType": "AWS::EC2::Instance"}
    assert row["requestparameters"] == '{"bucketName":"b","n": 1.50}'
    assert row["responseelements"] is None
    assert (row["readonly"], row["managementevent"]) == ("true", "false")
    assert row["resources"] == [{"arn": "arn:aws:s3:::b", "accountid": "111122223333", "type": "AWS::S3::Bucket"}]
    assert row["tlsdetails"]["clientprovidedhostheader"] == "s3.amazonaws.com"
    assert row["unmodelled"] is None


@pytest.mark.parametrize(
    ("changes", "column", "expected"),
    [
        ({"apiVersion": 20150331}, "apiversion", "20150331"),
        ({"readOnly": "true"}, "readonly", "true"),
        ({"readOnly": ...}, "readonly", None),
        ({"eventVersion": ...}, "eventversion", None),
        ({"requestParameters": '{"roleArn":"x"}'}, "requestparameters", '{"roleArn":"x"}'),
        ({"requestParameters": "null"}, "requestparameters", None),
        ({"requestParameters": "HIDDEN"}, "requestparameters", '"HIDDEN"'),
        ({"userIdentity": ...}, "useridentity", None),
        ({"userIdentity": {"arn": "a"}}, "useridentity_json", '{"arn":"a"}'),
        ({"errorCode": 403}, "errorcode", "403"),
        ({"p_any_ip": ["192.0.2.1"]}, "unmodelled", '{"p_any_ip":["192.0.2.1"]}'),
        ({"tlsDetails": {"keyExchange": "x"}}, "unmodelled", '{"tlsDetails":{"keyExchange":"x"}}'),
        ({"eventTime": "2022-02-08 09:23:37+11:00"}, "eventtime", "2022-02-07T22:23:37Z"),
        ({"eventTime": "2023-01-10 21:04:02"}, "eventtime", "2023-01-10T21:04:02Z"),
        ({"eventTime": 1780000000}, "eventtime", "2026-05-28T20:26:40Z"),
        ({"userAgent": "\ud800x"}, "useragent", "?x"),
        ({"userAgent": ""}, "useragent", ""),
    ],
)
def test_odd_values_are_read_one_by_one(changes: dict[str, Any], column: str, expected: str | None) -> None:
    """A value of another type than documented becomes its text, and costs the rest of the record nothing."""
    row = records.row(text(event(1, **changes)))
    assert row[column] == expected
    assert row["eventname"] == "GetObject"


def test_names_in_lower_case_are_the_same_fields() -> None:
    """Rows that were exported from Athena are records."""
    row = records.row(text({name.lower(): value for name, value in RECORD.items()}))
    assert row["eventname"] == "GetObject"
    assert row["useridentity"]["sessioncontext"]["sessionissuer"]["username"] == "devRole"
    (item,) = records.split(text({name.lower(): value for name, value in RECORD.items()}))
    assert isinstance(item, Item)
    assert item.origin == "athena"


@pytest.mark.parametrize(
    "when", [..., None, "", "yesterday", "2026-02-30T00:00:00Z", "2026-01-01T25:00:00Z", "...", {}]
)
def test_without_a_time_there_is_no_row(when: Any) -> None:
    """The reason names the field."""
    with pytest.raises(ValueError, match="eventTime"):
        records.row(text(event(1, eventTime=when)))


def test_what_json_forbids_is_read_where_its_meaning_is_plain() -> None:
    """NaN and bytes that are no UTF-8 do not cost the record; its JSON columns stay JSON."""
    raw = text(RECORD).replace(b'"n":1.5', b'"n":NaN,"t":"\xff"')
    (item,) = records.split(b'{"Records":[' + raw + b"]}")
    assert item.raw == raw
    assert json.loads(records.row(raw)["requestparameters"]) == {"bucketName": "b", "n": "nan", "t": "\ufffd"}


@pytest.mark.parametrize("large", [windows.LARGE, 500])
def test_archives_in_archives_have_a_bound(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four are opened and the fifth is said to be too deep, whether the object is small or large."""
    monkeypatch.setattr(windows, "LARGE", large)
    data = text(event(1)) * 2
    for _ in range(4):
        data = gzip.compress(data, 0)
    assert len(found(data)) == 2
    assert "nested more than" in found(gzip.compress(data, 0))[0]


def test_a_stray_mark_of_utf_16_costs_nothing() -> None:
    """Two bytes before a text that is UTF-8 are damage, and not the encoding of all that follows."""
    assert found(b"\xff\xfe" + text(event(1)), name="a.json") == ["not JSON from byte 0 on", "1"]
    assert found(text(event(1)).decode().encode("utf-16"), name="a.json") == ["1"]


def test_deep_nesting_is_a_rejection_and_no_crash() -> None:
    """A record nested too deeply to be read is rejected, and its neighbours are kept."""
    deep = text(event(2)).replace(b'"n":1.5', b'"n":' + b"[" * 100_000 + b"]" * 100_000)
    what = found(b"\n".join([text(event(1)), deep, text(event(3))]))
    assert (what[0], what[-1]) == ("1", "3")
    assert "deep" in what[1]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (event(1), "cloudtrail"),
        (event(1, eventCategory="NetworkActivity", eventType="AwsVpceEvent"), "cloudtrail"),
        ({"eventTime": "t", "eventType": "AwsCloudTrailInsight", "insightDetails": {}}, "insight"),
        ({"eventCategory": "Aggregated", "eventId": "x", "timeWindow": {}, "summary": {}}, "aggregated"),
        ({"awsAccountId": "111122223333", "digestStartTime": "t", "digestS3Object": "x", "logFiles": []}, "digest"),
        ({"schemaVersion": "2.0", "arn": "x", "service": {}, "severity": 2}, "finding"),
        ({"ProductArn": "arn:aws:securityhub:::product/aws/x", "Id": "x"}, "finding"),
        ({"finding_info": {"uid": "x"}}, "finding"),
        ({"eventSource": "aws:s3", "eventTime": "t", "awsRegion": "r", "eventName": "ObjectCreated:Put"}, "unknown"),
        ({"hello": "world"}, "unknown"),
    ],
)
def test_the_kind_of_a_record_is_told_by_its_keys(value: dict[str, Any], expected: str) -> None:
    """Each of CloudTrail's file kinds, and findings, are told apart."""
    assert records.kind(text(value)) == expected


def test_findings_are_found_in_their_containers() -> None:
    """A list of findings gives one item for each."""
    one = {"ProductArn": "arn:aws:securityhub:::product/aws/x", "Id": "x"}
    items = list(records.split(text({"detail": {"findings": [one, one]}})))
    assert [item.kind for item in items] == ["finding", "finding"]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (rb'{"sessionToken":"ab\/c==","k":"v"}', rb'{"sessionToken":"REDACTED","k":"v"}'),
        (rb'{"sessionToken" : "a\"b"}', rb'{"sessionToken" : "REDACTED"}'),
        (rb'{"x":"{\"sessionToken\":\"ab\\/c\",\"k\":1}"}', rb'{"x":"{\"sessionToken\":\"REDACTED\",\"k\":1}"}'),
        (rb'{"sessionToken":null,"k":"sessionToken"}', rb'{"sessionToken":null,"k":"sessionToken"}'),
        (rb'{"sessiontoken":"abc"}', rb'{"sessiontoken":"REDACTED"}'),
        (rb'{"sessionToken":""}', rb'{"sessionToken":"REDACTED"}'),
    ],
)
def test_session_tokens_are_taken_out_and_nothing_else(raw: bytes, expected: bytes) -> None:
    """Also in JSON inside strings; every other byte stays."""
    assert records.redact(raw) == expected


def test_lookup_rows_come_from_event_history() -> None:
    """The source kind tells where a record is from."""
    (item,) = records.split(text({"Events": [{"EventId": "x", "CloudTrailEvent": json.dumps(RECORD)}]}))
    assert (item.origin, json.loads(item.raw)) == ("event_history", RECORD)
