"""Validation of log files by CloudTrail's signed digest files: every verdict, once provoked."""

import gzip
import json
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cirtlib import digest, evidence
from cirtlib.case import load_case
from cirtlib.cli import main
from cirtlib.digest.keys import read_file
from cirtlib.errors import EvidenceError
from tests.digest_chain import (
    BUCKET,
    HOUR,
    START,
    Bucket,
    Trail,
    case_of,
    fingerprint,
    inside,
    iso,
    key_list,
    keys,
    packed,
)


@pytest.fixture
def trail() -> Trail:
    """Six hours of one trail, two log files in each."""
    return Trail(Bucket()).hours(6)


def validated(tmp_path: Path, *buckets: Bucket, local: bool = False, **how: Any) -> pd.DataFrame:
    return digest.validate(case_of(tmp_path / "case", *buckets, local=local), **{"keys": keys(), **how})


def counted(frame: pd.DataFrame) -> dict[tuple[str, str], int]:
    return dict(Counter(zip(frame["kind"], frame["verdict"], strict=True)))


def of(frame: pd.DataFrame, name: str) -> tuple[str, str]:
    """Verdict and reason of one file."""
    row = frame[frame["name"].str.contains(name.rpartition("/")[2].removesuffix(".gz"), regex=False)]
    assert len(row) == 1, row
    return row["verdict"].iloc[0], row["reason"].iloc[0]


def test_what_cloudtrail_delivered_is_valid(tmp_path: Path, trail: Trail) -> None:
    """An untouched chain is valid, digest by digest and file by file, newest first."""
    found = validated(tmp_path, trail.bucket)
    assert counted(found) == {("digest", "valid"): 6, ("log", "valid"): 12}
    assert list(found["kind"].head(3)) == ["digest", "log", "log"]
    assert found["name"].iloc[0] == trail.digests[-1]
    assert found["end"].iloc[0] == pd.Timestamp(START + 6 * HOUR)


def test_one_byte_of_a_log_file_is_noticed(tmp_path: Path, trail: Trail) -> None:
    """A log file whose content is another is changed; its neighbours are valid."""
    name = trail.logs[4]
    content = bytearray(inside(trail.bucket.objects[name]))
    content[20] ^= 1
    trail.bucket.objects[name] = gzip.compress(bytes(content), mtime=0)
    found = validated(tmp_path, trail.bucket)
    assert of(found, name)[0] == "log changed"
    assert counted(found)["log", "valid"] == 11


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-40], lambda data: data + gzip.compress(b"[]"), lambda _: b"\x1f\x8bno"]
)
def test_a_log_file_is_one_gzip_member(tmp_path: Path, trail: Trail, damage: Any) -> None:
    """A truncated log file, one with something after its end, and one that is no gzip are changed."""
    trail.bucket.objects[trail.logs[4]] = damage(trail.bucket.objects[trail.logs[4]])
    assert of(validated(tmp_path, trail.bucket), trail.logs[4])[0] == "log changed"


def test_a_lost_trailer_changes_nothing(tmp_path: Path, trail: Trail) -> None:
    """A log file whose gzip ends early but whose content is whole is valid, as for the AWS CLI, and that is told."""
    trail.bucket.objects[trail.logs[4]] = trail.bucket.objects[trail.logs[4]][:-8]
    verdict, reason = of(validated(tmp_path, trail.bucket), trail.logs[4])
    assert (verdict, reason) == ("valid", "its content is whole, though its gzip is truncated")


def test_compressing_anew_changes_nothing(tmp_path: Path, trail: Trail) -> None:
    """What counts is the uncompressed content: a log file that was expanded or packed otherwise is valid."""
    expanded, again = trail.logs[2:4]
    trail.bucket.objects[expanded.removesuffix(".gz")] = inside(trail.bucket.objects.pop(expanded))
    trail.bucket.objects[again] = gzip.compress(inside(trail.bucket.objects[again]), compresslevel=1)
    assert counted(validated(tmp_path, trail.bucket))["log", "valid"] == 12


def test_a_large_log_file_is_read_in_pieces(tmp_path: Path) -> None:
    """Content many times the size of a piece, packed a thousandfold, has its right hash."""
    trail = Trail(Bucket())
    name = trail.log(START + timedelta(minutes=20))
    trail.bucket.objects[name] = gzip.compress(b"a" * 20_000_001, mtime=0)
    trail.digest(START, START + HOUR, [name], None)
    assert counted(validated(tmp_path, trail.bucket)) == {("digest", "valid"): 1, ("log", "valid"): 1}


def test_a_deleted_log_file_is_missing(tmp_path: Path, trail: Trail) -> None:
    """A log file that a digest names and that is not there is missing."""
    trail.bucket.delete(trail.logs[5])
    assert of(validated(tmp_path, trail.bucket), trail.logs[5])[0] == "log missing"


def test_every_version_of_a_file_has_its_verdict(tmp_path: Path, trail: Trail) -> None:
    """A file that was collected twice, once altered, is once valid and once changed."""
    altered = Bucket("other", {trail.logs[0]: packed({"Records": []})})
    found = validated(tmp_path, trail.bucket, altered)
    verdicts = found[found["name"].eq(trail.logs[0])]["verdict"]
    assert sorted(verdicts) == ["log changed", "valid"]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("local", [False, True])
def test_each_missing_digest_is_named(tmp_path: Path, trail: Trail, count: int, local: bool) -> None:
    """One digest missing, or three in a row, are each reported for their hour, and the chain goes on before them."""
    gone = trail.digests[2 : 2 + count]
    for name in gone:
        trail.bucket.delete(name)
    found = validated(tmp_path, trail.bucket, local=local)
    missing = found[found["verdict"].eq("digest missing")]
    assert set(missing["name"]) == set(gone)
    assert sorted(missing["end"]) == [pd.Timestamp(START + hour * HOUR) for hour in range(3, 3 + count)]
    lost = {("digest", "unsigned copy"): 2} if local else {}  # the one before the hole, and the newest
    assert counted(found) == {
        ("digest", "valid"): 6 - count - sum(lost.values()),
        **lost,
        ("digest", "digest missing"): count,
        ("log", "valid"): 12 - 2 * count,
    }


@pytest.mark.parametrize("local", [False, True])
def test_a_changed_digest_is_noticed(tmp_path: Path, trail: Trail, local: bool) -> None:
    """A digest from which a log file was taken out is changed, its files are not checked, all others are valid."""
    name = trail.digests[3]
    document = json.loads(inside(trail.bucket.objects[name]))
    document["logFiles"].pop()
    trail.bucket.objects[name] = packed(document)
    found = validated(tmp_path, trail.bucket, local=local)
    assert of(found, name)[0] == "digest changed"
    assert of(found, trail.logs[6])[0] == "not checked"
    assert of(found, trail.digests[2]) == ("valid", "")
    assert counted(found)["log", "valid"] == 10


@pytest.mark.parametrize("content", [b"", b"no digest", packed([1]), packed({"digestEndTime": 1}), packed({})[:-5]])
def test_a_digest_that_cannot_be_read_is_changed(tmp_path: Path, trail: Trail, content: bytes) -> None:
    """Junk in the place of a digest is a changed digest, and breaks nothing else."""
    trail.bucket.objects[trail.digests[3]] = content
    found = validated(tmp_path, trail.bucket)
    assert of(found, trail.digests[3])[0] == "digest changed"
    assert counted(found)["digest", "valid"] == 5
    assert ("digest", "digest missing") not in counted(found)


def test_swapped_digests_are_both_changed(tmp_path: Path, trail: Trail) -> None:
    """Two digest files that took each other's names are not what was delivered there."""
    one, other = trail.digests[1], trail.digests[3]
    trail.bucket.objects[one], trail.bucket.objects[other] = trail.bucket.objects[other], trail.bucket.objects[one]
    trail.bucket.metadata[one], trail.bucket.metadata[other] = trail.bucket.metadata[other], trail.bucket.metadata[one]
    found = validated(tmp_path, trail.bucket)
    assert {of(found, name)[0] for name in (one, other)} == {"digest changed"}
    assert "holds another digest" in of(found, one)[1]


def test_a_digest_outside_its_time_is_named(tmp_path: Path, trail: Trail) -> None:
    """A signed digest whose times are not those of its name, and a log file of another day, are outside of the time."""
    late = trail.log(trail.at - timedelta(days=1))
    name = trail.digest(trail.at, trail.at + HOUR, [late], trail.previous, digestEndTime=iso(trail.at + 2 * HOUR))
    found = validated(tmp_path, trail.bucket)
    assert of(found, name)[0] == "outside the digest's time"
    assert of(found, late)[0] == "outside the digest's time"


def test_a_wrong_signature_is_invalid(tmp_path: Path, trail: Trail) -> None:
    """A signature that does not fit is invalid; the next digest still proves the content of all but the newest."""
    for name in (trail.digests[2], trail.digests[5]):
        trail.bucket.metadata[name]["signature"] = trail.bucket.metadata[trail.digests[0]]["signature"]
    found = validated(tmp_path, trail.bucket)
    assert {of(found, trail.digests[n])[0] for n in (2, 5)} == {"signature invalid"}
    assert of(found, trail.logs[4])[0] == "valid"
    assert of(found, trail.logs[10])[0] == "not checked"


@pytest.mark.parametrize("signature", ["", "xyz", "00", "\u00e9"])
def test_a_signature_that_is_none_is_invalid(tmp_path: Path, trail: Trail, signature: str) -> None:
    """What is no hexadecimal signature is an invalid one."""
    trail.bucket.metadata[trail.digests[5]]["signature"] = signature
    assert of(validated(tmp_path, trail.bucket), trail.digests[5])[0] == "signature invalid"


def test_a_foreign_key_does_not_sign(tmp_path: Path, trail: Trail) -> None:
    """A digest that somebody signed with a key of his own is not taken for CloudTrail's."""
    name = trail.digest(trail.at, trail.at + HOUR, [], trail.previous, signer="forger")
    verdict, reason = of(validated(tmp_path, trail.bucket), name)
    assert verdict == "signature invalid"
    assert fingerprint("forger") in reason


def test_without_public_keys_hashes_still_hold(tmp_path: Path, trail: Trail) -> None:
    """Without any public key nothing is called valid but by the chain of hashes, which still finds what was changed."""
    trail.bucket.objects[trail.digests[2]] = packed(
        {**json.loads(inside(trail.bucket.objects[trail.digests[2]])), "x": 1}
    )
    trail.bucket.delete(trail.logs[0])
    found = validated(tmp_path, trail.bucket, keys=())
    assert counted(found) == {
        ("digest", "no public key"): 5,
        ("digest", "digest changed"): 1,
        ("log", "valid"): 9,
        ("log", "not checked"): 2,
        ("log", "log missing"): 1,
    }
    assert found[found["verdict"].eq("valid")]["reason"].str.contains("not proven").all()


def test_a_copy_without_signatures_is_proven_by_what_comes_after(tmp_path: Path, trail: Trail) -> None:
    """A local copy has lost the signatures: each digest is proven by the next one, and the last is an unsigned copy."""
    found = validated(tmp_path, trail.bucket, local=True)
    assert counted(found) == {("digest", "valid"): 5, ("digest", "unsigned copy"): 1, ("log", "valid"): 12}
    assert of(found, trail.digests[-1])[0] == "unsigned copy"


def test_a_copy_with_signatures_proves_one_without(tmp_path: Path, trail: Trail) -> None:
    """The same digest, collected from a folder and from S3, is one and has its signature."""
    twin = Bucket("copy", dict(trail.bucket.objects))
    assert counted(validated(tmp_path, twin, trail.bucket))["digest", "valid"] == 6


def test_a_bucket_that_was_copied_elsewhere_stays_valid(tmp_path: Path, trail: Trail) -> None:
    """The signature names the bucket of delivery: a copy in another bucket is as good."""
    trail.bucket.name = "archive"
    assert set(validated(tmp_path, trail.bucket)["verdict"]) == {"valid"}


def test_a_chain_goes_on_in_another_bucket(tmp_path: Path, trail: Trail) -> None:
    """A trail that was moved to another bucket and back has one chain; nothing is missing."""
    old, trail.bucket = trail.bucket, Bucket("elsewhere")
    trail.hours(3)
    elsewhere, trail.bucket = trail.bucket, old
    trail.hours(2)
    assert counted(validated(tmp_path, old, elsewhere)) == {("digest", "valid"): 11, ("log", "valid"): 22}


def test_logging_that_was_stopped_is_no_missing_digest(tmp_path: Path, trail: Trail) -> None:
    """Hours without digests and log files before a chain that starts anew: logging was stopped, nothing is missing."""
    trail.digest(trail.at, trail.at + HOUR / 4, [trail.log(trail.at + timedelta(minutes=8))], trail.previous)
    trail.pause(5).hours(2)
    found = validated(tmp_path, trail.bucket)
    assert counted(found) == {("digest", "valid"): 9, ("log", "valid"): 17, ("gap", "logging stopped"): 1}
    gap = found[found["kind"].eq("gap")].iloc[0]
    assert (gap["start"], gap["end"]) == (pd.Timestamp(START + 6.25 * HOUR), pd.Timestamp(START + 11 * HOUR))


def test_log_files_without_digests_say_that_validation_was_off(tmp_path: Path, trail: Trail) -> None:
    """Log files that were delivered while there were no digests tell validation that was off from logging that was."""
    trail.log(trail.at + 2 * HOUR)
    trail.pause(5).hours(2)
    assert counted(validated(tmp_path, trail.bucket))["gap", "validation off"] == 1


def test_digests_that_end_before_the_log_files_do(tmp_path: Path, trail: Trail) -> None:
    """When the newest digests were deleted nothing names them; later log files show that there is a hole."""
    trail.hours(4)
    for name in trail.digests[-3:]:
        trail.bucket.delete(name)
    found = validated(tmp_path, trail.bucket)
    assert counted(found)["gap", "validation off"] == 1
    assert "6 log files" in found[found["kind"].eq("gap")]["reason"].iloc[0]


def test_the_first_collected_digest_names_one_that_was_not_collected(tmp_path: Path, trail: Trail) -> None:
    """A case that begins within a chain lacks nothing, unless log files from before are in it."""
    first, second = trail.digests[:2]
    trail.bucket.delete(first)
    logs = [trail.bucket.objects.pop(name) for name in trail.logs[:2]]
    assert set(validated(tmp_path / "a", trail.bucket)["verdict"]) == {"valid"}
    trail.bucket.objects |= dict(zip(trail.logs[:2], logs, strict=True))
    found = validated(tmp_path / "b", trail.bucket)
    assert of(found, first)[0] == "digest missing"
    assert of(found, second)[0] == "valid"


def test_a_day_that_was_not_collected_is_not_missing(tmp_path: Path) -> None:
    """The first digest of a day names files of the day before; if that was not collected, they are not missing."""
    trail = Trail(Bucket(), at=START.replace(hour=22)).hours(4)
    night = [name for name in trail.logs if "/10/" in name]
    for name in night:
        trail.bucket.delete(name)
    for name in trail.digests[:1]:
        trail.bucket.delete(name)
    found = validated(tmp_path, trail.bucket)
    assert {of(found, name)[0] for name in night[2:]} == {"not checked"}


def test_a_file_that_no_digest_names_is_shown(tmp_path: Path, trail: Trail) -> None:
    """A log file that lies inside the digested time and is in no digest may have been put there."""
    planted = trail.log(START + 3 * HOUR)
    waiting = trail.log(trail.at + timedelta(minutes=10))  # its digest has not come yet
    found = validated(tmp_path, trail.bucket)
    assert of(found, planted)[0] == "not in any digest"
    assert waiting not in set(found["name"])


def test_a_file_of_the_minute_in_which_the_digests_begin_is_not_held_against_anybody(tmp_path: Path) -> None:
    """It stands in the digest before, which was not collected, or is gone."""
    trail = Trail(Bucket(), at=START.replace(second=0)).hours(6)
    edge = trail.log(START.replace(second=0))
    assert edge not in set(validated(tmp_path, trail.bucket)["name"])


def test_a_bucket_without_digests_is_left_alone(tmp_path: Path, trail: Trail) -> None:
    """Log files of a trail without validation, in a bucket of its own, are not held against another trail's digests."""
    plain = Trail(Bucket("plain"))
    plain.log(START + 3 * HOUR)
    assert set(validated(tmp_path, trail.bucket, plain.bucket)["verdict"]) == {"valid"}


def test_two_trails_and_two_regions_in_one_bucket(tmp_path: Path, trail: Trail) -> None:
    """Chains of two trails and of two Regions in one bucket are kept apart."""
    Trail(trail.bucket, trail="second_trail_with-a-long_name", at=START + timedelta(minutes=7)).hours(6)
    other = Trail(trail.bucket, region="eu-west-1").hours(6)
    trail.bucket.delete(other.digests[2])
    found = validated(tmp_path, trail.bucket)
    assert counted(found) == {("digest", "valid"): 17, ("digest", "digest missing"): 1, ("log", "valid"): 34}
    assert set(found["trail"]) == {"main", "second_trail_with-a-long_name"}


def test_backfill_digests_are_understood(tmp_path: Path, trail: Trail) -> None:
    """A backfill digest names files that came too late for theirs; it is valid, and leaves no hour missing."""
    late = trail.log(START + timedelta(minutes=50))
    name = trail.digest(START, START + HOUR, [late], None, backfill=True)
    found = validated(tmp_path, trail.bucket)
    assert (of(found, name)[0], of(found, late)[0]) == ("valid", "valid")
    assert counted(found) == {("digest", "valid"): 7, ("log", "valid"): 13}


def test_an_empty_digest_is_valid(tmp_path: Path, trail: Trail) -> None:
    """An hour without log files has a digest that names none."""
    trail.hours(2, empty=True)
    assert counted(validated(tmp_path, trail.bucket)) == {("digest", "valid"): 8, ("log", "valid"): 12}


@pytest.mark.parametrize(
    "changed",
    [
        {"logFiles": 1},
        {"logFiles": [1, {}, {"s3Object": None}, {"s3Object": "\ud800/../../x", "hashValue": 3}]},
        {"digestStartTime": "0001-01-01T00:00:00+23:59"},
        {"digestStartTime": "9999-12-31T23:59:59-23:59", "previousDigestS3Object": "\ud800"},
        {"digestPublicKeyFingerprint": "\ud800" * 100},
        {"previousDigestS3Object": "../" * 9 + "20010101T000000Z.json", "previousDigestSignature": "zz"},
    ],
)
@pytest.mark.parametrize("local", [False, True])
def test_hostile_digests_break_nothing(tmp_path: Path, trail: Trail, changed: dict[str, Any], local: bool) -> None:
    """Whatever a digest that nobody signed says, the others are judged, and what is found can be kept and shown."""
    trail.digest(trail.at, trail.at + HOUR, [], None, signer="forger", **changed)
    case = case_of(tmp_path / "case", trail.bucket, local=local)
    found = digest.fresh(case, keys=keys())
    assert counted(found)["digest", "valid"] >= 5
    pd.testing.assert_frame_equal(digest.verdicts(case), found)


def test_a_hole_of_years_is_one_row(tmp_path: Path, trail: Trail) -> None:
    """A digest of years ago does not make a row for every hour since."""
    old = Trail(trail.bucket, at=START.replace(year=2015)).hours(1)
    trail.bucket.delete(trail.digests[0])
    found = validated(tmp_path, trail.bucket)
    assert of(found, old.digests[0])[0] == "valid"
    assert counted(found)["digest", "digest missing"] == 1


def test_only_what_overlaps_the_time_is_returned(tmp_path: Path, trail: Trail) -> None:
    """Start and end choose rows, not what is validated."""
    found = validated(tmp_path, trail.bucket, start=START + 2.5 * HOUR, end=START + 2.9 * HOUR)
    assert list(found["name"]) == [trail.digests[2], trail.logs[5]]


def test_what_could_not_be_read_is_not_missing(tmp_path: Path, trail: Trail) -> None:
    """A log file whose reading was refused is not checked, and the reason is told."""
    case = case_of(tmp_path / "case", trail.bucket)
    name = trail.log(START + HOUR / 2)
    line = {"name": name, "place": f"s3://{BUCKET}", "source": "cloudtrail", "object": None, "size": 0, "seen": 1,
            "rejected": 1, "rejections": [{"position": 0, "reason": "AccessDenied", "sha256": None}]}  # fmt: skip
    made = trail.digest(trail.at, trail.at + HOUR, [name], None)
    data = trail.bucket.objects[made]
    manifest = evidence.Manifest(case)
    facts = {"metadata": trail.bucket.metadata[made]}
    manifest.append(
        [line, {**line, "name": made, "object": evidence.keep(case, data), "other": "digest", "facts": facts}]
    )
    manifest.close()
    verdict, reason = of(digest.validate(case, keys=keys()), name)
    assert verdict == "not checked"
    assert "AccessDenied" in reason


def test_keys_are_read_as_the_cli_prints_them_and_as_pem(tmp_path: Path, trail: Trail) -> None:
    """A PEM file of one public key proves as much as the list; anything else is refused with what to give."""
    from cryptography.hazmat.primitives import serialization

    from tests.digest_chain import key

    pem = tmp_path / "key.pem"
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    pem.write_bytes(key("").public_key().public_bytes(serialization.Encoding.PEM, form))
    assert set(validated(tmp_path, trail.bucket, keys=read_file(pem))["verdict"]) == {"valid"}
    for junk in (b"", b"{}", b'{"PublicKeyList": [{"Value": "AAAA"}]}', b"-----BEGIN PUBLIC KEY-----\nAAAA"):
        pem.write_bytes(junk)
        with pytest.raises(EvidenceError, match="list-public-keys"):
            read_file(pem)
    with pytest.raises(EvidenceError, match="cannot read"):
        read_file(tmp_path / "none")


def test_collected_public_keys_need_no_file(tmp_path: Path, trail: Trail) -> None:
    """Public keys among the evidence are used; those of another Region convict nobody."""
    case = case_of(tmp_path / "case", trail.bucket)
    stored = evidence.keep(case, json.dumps(key_list()).encode())
    line = {"name": "us-east-1/public-keys.json", "place": "public_keys", "source": "cloudtrail", "object": stored,
            "size": 1, "seen": 0, "rejected": 0, "rejections": [], "other": "public keys"}  # fmt: skip
    manifest = evidence.Manifest(case)
    manifest.append([{**line, "facts": {"region": "us-east-1"}}])
    manifest.close()
    assert set(digest.validate(case)["verdict"]) == {"valid"}


def test_a_known_key_of_another_region_convicts_nobody(tmp_path: Path) -> None:
    """Digests signed with a key that was not collected lack a public key; they are not called forged."""
    trail = Trail(Bucket(), region="eu-west-1")
    trail.digest(START, START + HOUR, [], None, signer="another Region's")
    assert list(validated(tmp_path, trail.bucket)["verdict"]) == ["no public key"]


def test_verdicts_are_remembered_while_the_evidence_is_the_same(tmp_path: Path, trail: Trail) -> None:
    """What `cirt verify` found with keys from a file is what the notebook shows, until more is collected."""
    case = case_of(tmp_path / "case", trail.bucket)
    digest.fresh(case, keys=keys())
    assert set(digest.verdicts(case)["verdict"]) == {"valid"}
    pd.testing.assert_frame_equal(digest.verdicts(case), digest.validate(case, keys=keys()))
    manifest = evidence.Manifest(case)
    manifest.append([{**evidence.entries(case)[0], "name": "more.json"}])
    manifest.close()
    assert "no public key" in set(digest.verdicts(case)["verdict"])


def test_a_case_without_digests_has_no_verdicts(tmp_path: Path) -> None:
    """No digest files, no rows; the columns are there all the same."""
    found = validated(tmp_path, Bucket())
    assert found.empty
    assert list(found.columns) == list(digest.COLUMNS)
    assert digest.summary(found).empty


def test_verify_says_what_is_not_as_delivered(tmp_path: Path, trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    """`cirt verify` counts by verdict, names what is not valid, and ends with 1 for a fault, 3 for a lack if strict."""
    listed = tmp_path / "keys.json"
    listed.write_text(json.dumps(key_list()))
    case = case_of(tmp_path / "whole", trail.bucket)
    assert main(["verify", str(case.path), "--keys", str(listed), "--strict"]) == 0
    assert "valid: 6 digest files, 12 log files" in capsys.readouterr().out
    assert main(["verify", str(case.path), "--strict"]) == 3
    assert main(["verify", str(case.path)]) == 0
    capsys.readouterr()
    trail.bucket.delete(trail.logs[3])
    case = case_of(tmp_path / "robbed", trail.bucket)
    assert main(["verify", str(case.path), "--keys", str(listed)]) == 1
    told = capsys.readouterr()
    assert f"log missing: {trail.logs[3]}: a digest names it" in told.out
    assert "1 files are not what CloudTrail delivered" in told.err
    assert main(["verify", str(case.path), "--keys", str(listed), "--format", "json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert {"verdict": "log missing", "digests": 0, "logs": 1, "gaps": 0} in told["summary"]
    assert len(told["verdicts"]) == 18


def test_the_generated_incident_is_signed(tmp_path: Path, incident: Any) -> None:
    """A generated incident's folder is a copy without signatures; its public keys prove all but the newest digests."""
    case, _ = incident
    source = Path(case.sources[0].options["folder"]).parent
    found = digest.validate(load_case(case.path), keys=read_file(source / "public-keys.json"))
    assert set(found["verdict"]) == {"valid", "unsigned copy"}
    assert int(found["verdict"].eq("unsigned copy").sum()) == len(set(found["account"]))
    signatures = json.loads((source / "s3-metadata.json").read_text())
    digests = found[found["kind"].eq("digest")]
    assert set(digests["name"]) == set(signatures)
