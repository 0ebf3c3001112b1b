"""The timeline tells what happened, in order."""

import csv
import json
import re
from datetime import UTC, datetime

import pandas as pd
import pytest

from cirtlib import new_case, techniques, timeline
from cirtlib.errors import CaseError
from cirtlib.timeline import acts as judged
from cirtlib.timeline import add_note, notes, wording
from cirtlib.timeline.bursts import bursts, counted
from cirtlib.timeline.export import ROWS_ON_PAGE, _write, page
from cirtlib.timeline.keys import COLUMNS, notable, targets

ALICE = "arn:aws:iam::111122223333:user/alice"
KEY = "access_key:AKIAEXAMPLE000000001"


def acts(*rows):
    """Judged events: (minute, event_source, event_name, changes)."""
    made = []
    for number, (minute, source, name, changes) in enumerate(rows):
        made.append(
            {
                "event_time": pd.Timestamp("2026-06-10T10:00:00Z") + pd.Timedelta(minutes=minute),
                "event_id": f"e{number:03}",
                "account_id": "111122223333",
                "event_source": f"{source}.amazonaws.com",
                "event_name": name,
                "principal": ALICE,
                "credential": KEY,
                "verdict": "attacker",
                "outcome": "ok",
                "source_ip": "203.0.113.7",
                "user_agent_family": "aws-cli",
                "region": "us-east-1",
                "request": None,
                "response": None,
                "read_only": None,
                "shared_event_id": None,
                **changes,
            }
        )
    return techniques.annotate(pd.DataFrame(made))


def test_a_pause_ends_a_burst_and_a_verdict_divides_it():
    """Five minutes belong together, more do not; the owner's acts amid the attacker's are a burst of their own."""
    table = bursts(
        acts(
            (0, "iam", "ListUsers", {}),
            (5, "iam", "ListUsers", {"outcome": "denied"}),
            (3, "s3", "ListBuckets", {"verdict": "owner", "source_ip": "198.51.100.4"}),
            (10.1, "cloudtrail", "StopLogging", {"region": "eu-west-1"}),
        )
    )
    assert list(table["events"]) == [2, 1, 1]
    assert list(table["verdict"]) == ["attacker", "owner", "attacker"]
    assert (table["ok"][0], table["denied"][0], table["actions"][0]) == (1, 1, ["ListUsers x2"])
    assert list(table["tactic"]) == ["Discovery", "Discovery", "Defense Impairment"]
    assert table["source_ip"][1] == ["198.51.100.4"]
    assert table["event_ids"][0] == ["e000", "e001"]
    assert table["end"][0] - table["start"][0] == pd.Timedelta(minutes=5)


def test_bursts_of_nothing_are_an_empty_table():
    """No events, no bursts, the same columns; a principal or credential that is missing is no obstacle."""
    assert bursts(acts((0, "iam", "ListUsers", {})).iloc[:0]).empty
    table = bursts(acts((0, "iam", "ListUsers", {"principal": None, "credential": None})))
    assert (table["principal"][0], table["credential"][0]) == ("", "")


def test_the_gravest_tactic_names_a_burst():
    """One deletion among many reads is what the burst is known by."""
    table = bursts(acts(*[(0, "iam", "ListUsers", {})] * 5, (1, "s3", "DeleteBucket", {})))
    assert table["tactic"][0] == "Impact"
    assert table["tactics"][0] == ["Impact", "Discovery"]


def test_what_is_left_out_of_a_count_is_said():
    """Six values with their counts, commonest first, then how many more."""
    assert counted(pd.Series(["b", "a", "b", None])) == ["b x2", "a"]
    assert counted(pd.Series(list("abcdefgh")))[-1] == "and 2 more"


def test_key_events_tell_changes_runs_and_first_uses():
    """A change, a run of denials, an enumeration and the first use of a credential are each one line."""
    reads = [(0.1 * n, "iam", name, {}) for n, name in enumerate(["ListUsers", "ListRoles", "ListGroups", "GetUser"])]
    more = [(1 + 0.1 * n, "ec2", f"DescribeThing{n}", {}) for n in range(4)]
    denied = [(2, "s3", "ListBuckets", {"outcome": "denied"}), (2.5, "iam", "CreateUser", {"outcome": "denied"})]
    change = [
        (3, "iam", "CreateUser", {"request": '{"userName": "svc-backup"}'}),
        (4, "ec2", "RunInstances", {"response": '{"instancesSet": {"items": [{"instanceId": "i-1"}]}}'}),
    ]
    owner = [(5, "iam", "CreateUser", {"verdict": "owner"}), (5, "iam", "CreateUser", {"verdict": ""})]
    table = notable(acts(*reads, *more, *denied, *change, *owner))
    assert tuple(table.columns) == COLUMNS
    assert list(table["action"]) == [
        "8 reads: DescribeThing0, DescribeThing1, DescribeThing2, DescribeThing3, GetUser, ListGroups, and 2 more",
        "2 denied: CreateUser, ListBuckets",
        "iam:CreateUser",
        "ec2:RunInstances",
    ]
    assert list(table["events"]) == [8, 2, 1, 1]
    assert list(table["target"])[2:] == ["svc-backup", "i-1"]
    assert (
        table["why"][0] == "the attacker's first act with this credential, from 203.0.113.7; enumeration of the account"
    )
    assert table["why"][2] == "made a user; Persistence, T1136.003"
    assert table["outcome"][1] == "denied"


def test_a_change_of_logging_is_told_whoever_made_it():
    """StartLogging by someone without a verdict stands in the story; its denial does not."""
    table = notable(
        acts(
            (0, "cloudtrail", "StopLogging", {"request": '{"name": "org-trail"}'}),
            (60, "cloudtrail", "StartLogging", {"verdict": "", "principal": "x", "credential": None}),
            (61, "cloudtrail", "StopLogging", {"verdict": "", "outcome": "denied", "credential": None}),
        )
    )
    assert list(table["action"]) == ["cloudtrail:StopLogging", "cloudtrail:StartLogging"]
    assert table["technique"][0] == "T1685.002 (T1562.008)"
    assert table["target"][0] == "org-trail"


def test_a_call_between_two_accounts_is_told_once():
    """Both accounts record it under the same shared id."""
    shared = {"shared_event_id": "s1", "request": '{"roleArn": "r"}'}
    table = notable(acts((0, "sts", "AssumeRole", shared), (0, "sts", "AssumeRole", {**shared, "account_id": "x"})))
    assert list(table["event_id"]) == ["e000"]


def test_what_was_denied_does_not_name_a_burst_in_which_something_succeeded():
    """The tactic is the gravest of what succeeded; of what was tried where nothing did."""
    denied = {"outcome": "denied"}
    assert bursts(acts((0, "iam", "ListUsers", {}), (1, "s3", "DeleteBucket", denied)))["tactic"][0] == "Discovery"
    assert bursts(acts((1, "s3", "DeleteBucket", denied)))["tactic"][0] == "Impact"


def test_a_caller_from_another_account_has_its_own_name():
    """The unique id that the receiving account records is resolved where its own account's records name it."""
    frame = pd.DataFrame(
        {
            "principal_type": ["IAMUser", "AWSAccount", "AWSAccount", "AWSService"],
            "principal_id": ["AIDA1", "AIDA1", "AIDA2", None],
            "principal": [ALICE, "111122223333:AIDA1", "111122223333:AIDA2", "ec2.amazonaws.com"],
        }
    )
    assert list(judged._home_names(frame)) == [ALICE, ALICE, "111122223333:AIDA2", "ec2.amazonaws.com"]


def test_repeats_on_the_same_target_are_one_line():
    """Three deletions of one bucket's objects within a burst stand together, another bucket's apart."""
    one, other = {"request": '{"bucketName": "a"}'}, {"request": '{"bucketName": "b"}'}
    rows = [(0, "s3", "DeleteObject", one), (1, "s3", "DeleteObject", one), (1, "s3", "DeleteObject", other)]
    table = notable(acts(*rows, (20, "s3", "DeleteObject", one)))
    assert sorted(zip(table["target"], table["events"], strict=True)) == [("a", 1), ("a", 2), ("b", 1)]


@pytest.mark.parametrize(
    ("request_", "response", "expected"),
    [
        (None, None, ""),
        ("{broken", "[", ""),
        ('"text"', "3", ""),
        ('{"userName": "a", "policyArn": "p"}', None, "a, p"),
        ('{"snapshotId": "snap-1", "createVolumePermission": {"add": {"items": [{"userId": "444455556666"}]}}}', None,
         "snap-1 → 444455556666"),
        ('{"userName": "u"}', '{"accessKey": {"accessKeyId": "AKIAEXAMPLE000000009"}}', "u, AKIAEXAMPLE000000009"),
        ('{"createVolumePermission": "all"}', None, ""),
    ],
)  # fmt: skip
def test_targets_come_from_the_request_else_from_the_answer(request_, response, expected):
    """What is broken or of an odd shape names nothing."""
    assert targets(request_, response) == expected


def test_nothing_notable_is_an_empty_table():
    """Without verdicts and without tampering there is no story."""
    assert list(notable(acts((0, "iam", "ListUsers", {"verdict": ""}))).columns) == list(COLUMNS)


def test_findings_are_intervals_without_samples_and_controls():
    """From first to last sighting, once per finding, those inside the window only."""
    base = dict.fromkeys(judged.INTERVALS) | dict.fromkeys(["compliance_status", "created_at", "updated_at"])
    base |= {"form": "guardduty", "sample": False, "first_seen": datetime(2026, 6, 10, tzinfo=UTC)}
    rows = [
        base | {"finding_id": "a", "form": "asff", "last_seen": datetime(2026, 6, 12, tzinfo=UTC)},
        base | {"finding_id": "a", "last_seen": datetime(2026, 6, 11, tzinfo=UTC)},
        base | {"finding_id": "b", "sample": True},
        base | {"finding_id": "c", "compliance_status": "FAILED"},
        base | {"finding_id": "d", "first_seen": None, "created_at": datetime(2026, 6, 12, tzinfo=UTC)},
        base | {"finding_id": "e", "first_seen": datetime(2026, 7, 1, tzinfo=UTC)},
    ]
    table = judged.intervals(pd.DataFrame(rows), "2026-06-10T12:00:00Z", "2026-06-20T00:00:00Z")
    assert list(table["finding_id"]) == ["a", "d"]
    assert table["end"][0] == pd.Timestamp("2026-06-11T00:00:00Z"), "the product's own form knows it best"
    assert "d" in set(table.loc[table["start"] == table["end"], "finding_id"])


def test_notes_are_kept_in_order_with_name_and_time(tmp_path):
    """A note comes back as it was written, whatever it holds; an empty one or a broken log is said."""
    case = new_case(tmp_path / "c", {})
    assert notes(case).empty
    add_note(case, "line one\nline two <b>", by="ann")
    add_note(case, "  later  ")
    table = notes(case)
    assert list(table["text"]) == ["line one\nline two <b>", "later"]
    assert table["by"][0] == "ann"
    assert table["time"].dt.tz is not None
    with pytest.raises(CaseError, match="empty note"):
        add_note(case, "  ")
    (case.out / "notes.jsonl").write_text('{"time": "2026-06-10T10:00:00Z", "text": "x"}\n{"tim', encoding="utf-8")
    with pytest.raises(CaseError, match=r"notes\.jsonl, line 2, is no note"):
        notes(case)


def test_an_export_carries_no_formula_and_no_markup(tmp_path):
    """Log text is inert in a spreadsheet and shows as text in a browser."""
    evil = {"source_ip": "=HYPERLINK(1)", "user_agent_family": "<script>", "region": "\x1b[31m"}
    table = bursts(acts((0, "iam", "CreateUser", evil)))
    _write(tmp_path, "t", table.to_dict("records"), table.columns)
    (row,) = csv.DictReader((tmp_path / "t.csv").read_text(encoding="utf-8").splitlines())
    assert row["source_ip"].startswith("'=")
    assert row["region"] == "\\u001b[31m"
    made = acts((0, "iam", "CreateUser", {"request": json.dumps({"userName": "<b>"}), "reason": ""}))
    html = "".join(page("x <i>", {"Key events": notable(made), "Bursts": table}, made))
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "&lt;b&gt;" in html
    assert "x &lt;i&gt;" in html
    assert "default-src 'none'" in html
    assert not re.search(r"(src|href)=.(?!#)", html), "loads nothing"


def test_the_incident_is_told_by_its_key_events(incident):
    """Every change that the attacker made stands in the story or in a run of it; nobody else's does."""
    case, truth = incident
    events = timeline.judged_events(case)
    mine = {tuple(pair) for pair in truth["attacker_events"]}
    attacker = events[events["verdict"] == "attacker"]
    assert set(zip(attacker["event_id"], attacker["account_id"], strict=True)) == mine
    told = timeline.key_events(case)
    changes = attacker[attacker["outcome"].eq("ok") & attacker["access"].isin(["permissions", "logging"])]
    assert {"cloudtrail:StopLogging", "iam:CreateUser", "iam:UpdateAssumeRolePolicy"} <= set(told["action"])
    assert set(changes["event_id"]) <= set(told["event_id"])
    assert set(told["verdict"]) == {"attacker"}
    assert told["event_time"].is_monotonic_increasing
    assert len(told) < 40


def test_the_incident_has_bursts_of_owner_and_attacker_apart(incident):
    """The owner and the thief of one key never share a burst, and every event is in one."""
    case, truth = incident
    table = timeline.timeline(case)
    owner = {pair[0] for pair in truth["owner_events"]}
    for burst in table.itertuples():
        assert not (burst.verdict == "attacker" and owner & set(burst.event_ids))
    assert sum(table["events"]) == len(timeline.judged_events(case))
    assert {"attacker", "owner"} <= set(table["verdict"])
    assert len(timeline.timeline(case, everything=True)) > len(table)


def test_the_export_of_the_incident_is_whole(own_incident):
    """All kinds of files, each with its rows; Timesketch's have the three columns it asks for, in order of time."""
    add_note(own_incident, "=cmd called the account owner", by="ann")
    names = {file.name for file in timeline.export(own_incident)}
    assert names == {
        "bursts.csv", "bursts.jsonl", "key_events.csv", "key_events.jsonl", "events.csv", "events.jsonl",
        "timesketch.csv", "timesketch.jsonl", "timeline.html",
    }  # fmt: skip
    folder = own_incident.out / "timeline"
    with (folder / "timesketch.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(row["message"] and row["datetime"] and row["timestamp_desc"] for row in rows)
    assert [row["datetime"] for row in rows] == sorted(row["datetime"] for row in rows)
    assert {"Event Time", "First Seen", "Last Seen", "Note"} == {row["timestamp_desc"] for row in rows}
    lines = (folder / "key_events.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(timeline.key_events(own_incident))
    first = (folder / "bursts.csv").read_bytes()
    timeline.export(own_incident)
    assert (folder / "bursts.csv").read_bytes() == first


def test_each_event_is_exported_with_verdict_meaning_and_words(own_incident):
    """One row for each event of the timeline; CSV and JSON lines say the same; who did what to whom is a sentence."""
    timeline.export(own_incident)
    folder = own_incident.out / "timeline"
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    events = timeline.judged_events(own_incident)
    assert [line["event_id"] for line in lines] == list(events["event_id"])
    with (folder / "events.csv").open(encoding="utf-8", newline="") as file:
        assert [row["words"] for row in csv.DictReader(file)] == [line["words"] for line in lines]
    stop = next(line for line in lines if line["action"] == "cloudtrail:StopLogging" and line["outcome"] == "ok")
    assert stop["verdict"] == "attacker"
    assert (stop["tactic"], stop["technique"], stop["ttc"]) == (
        "Defense Impairment",
        "T1685.002 (T1562.008)",
        "T1562.008",
    )
    assert re.fullmatch(r"role devRole \(\d{12}\) stopped a trail.*: arn:aws:cloudtrail:.*", stop["words"]), stop[
        "words"
    ]


def test_timesketch_gets_json_lines_with_what_it_asks_for(own_incident):
    """Message, datetime with zone, the same moment in microseconds, and its description, in order of time."""
    timeline.export(own_incident)
    text = (own_incident.out / "timeline" / "timesketch.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        moment = datetime.fromisoformat(line["datetime"])
        assert moment.utcoffset() is not None
        assert int(moment.timestamp() * 1_000_000) == line["timestamp"]
        assert line["message"]
        assert line["timestamp_desc"] in ("Event Time", "First Seen", "Last Seen")
    assert [line["timestamp"] for line in lines] == sorted(line["timestamp"] for line in lines)
    judged_ids = set(own := timeline.judged_events(own_incident).query("verdict != ''")["event_id"])
    assert judged_ids <= {line["event_id"] for line in lines}
    assert len(own) == sum(line["data_type"] == "aws:cloudtrail:entry" for line in lines)


@pytest.mark.parametrize(
    ("outcome", "principal", "said"),
    [
        ("ok", ALICE, "user alice (111122223333) made a user: svc"),
        ("denied", ALICE, "user alice (111122223333) was denied: made a user: svc"),
        ("error", None, "somebody unnamed failed: made a user: svc"),
        ("ok", "ec2.amazonaws.com", "ec2.amazonaws.com made a user: svc"),
    ],
)
def test_words_say_who_did_what_to_whom(outcome, principal, said):
    """A denied call is not told as done."""
    made = acts(
        (0, "iam", "CreateUser", {"request": '{"userName": "svc"}', "outcome": outcome, "principal": principal})
    )
    (row,) = wording.told(made)
    assert row["words"] == said


def test_a_burst_in_brief_says_what_was_denied_and_an_account_where_there_are_several():
    """One account goes without saying; calls that were denied are not told as done."""
    told = [
        (0, "iam", "CreateUser", {"principal": ALICE, "outcome": "denied"}),
        (1, "iam", "ListUsers", {"principal": ALICE}),
    ]
    (one,) = wording.brief(bursts(acts(*told))).to_dict("records")
    assert (one["principal"], one["actions"], one["events"]) == ("user alice", "CreateUser, ListUsers (1 denied)", 2)
    other = (2, "iam", "ListUsers", {"principal": ALICE.replace("111122223333", "444455556666")})
    names = wording.brief(bursts(acts(*told, other)))["principal"]
    assert list(names) == ["user alice (111122223333)", "user alice (444455556666)"]


def test_words_name_the_mailbox_that_was_exported():
    """Not only the role that writes it: the mailbox, and the bucket where it lies."""
    asked = {"entityId": "box-1", "roleArn": "arn:aws:iam::1:role/mail", "s3BucketName": "amzn-s3-demo-bucket"}
    act = {"event_source": "workmail.amazonaws.com", "event_name": "StartMailboxExportJob", "principal": None,
           "outcome": "ok"}  # fmt: skip
    assert wording.words(act, targets(json.dumps(asked), None)) == (
        "somebody unnamed exported a mailbox to a bucket: box-1, arn:aws:iam::1:role/mail, amzn-s3-demo-bucket"
    )
    described = techniques.describe(act["event_source"], act["event_name"])
    assert (described.tactic, described.technique) == ("Collection", "T1114")


def test_a_page_of_many_events_stays_small():
    """What is left out is said, and where it is."""
    many = acts(*[(0.01 * n, "iam", "ListUsers", {}) for n in range(ROWS_ON_PAGE + 5)])
    html = "".join(page("x", {}, many))
    assert html.count("<tr") == ROWS_ON_PAGE + 1
    assert f"the first {ROWS_ON_PAGE:,} of {ROWS_ON_PAGE + 5:,}; all are in the CSV" in html


def test_a_line_of_json_stays_one_line(tmp_path):
    """Whatever a log holds: separators that some readers take for the end of a line, and half of a surrogate pair."""
    _write(tmp_path, "t", [{"a": "x\u2028y\x85z\ud800"}], ["a"])
    (line,) = (tmp_path / "t.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line) == {"a": "x\u2028y\x85z?"}
