"""What counts as a habit, and what does not."""

from datetime import UTC, datetime

import duckdb
import numpy as np
import pandas as pd
from trail import CLI, OFFICE, SDK, THIEF, Trail, user

from cirtlib.baseline import NEW_COLUMNS, TABLE_KEYS, Source, build, new_in_attack
from cirtlib.scope import baseline_table, write
from cirtlib.scope import new_in_attack as new_in

DAY = datetime(2026, 6, 1, tzinfo=UTC)


def acts(rows):
    """Acts from (day, principal, address) triples."""
    frame = pd.DataFrame(rows, columns=["day", "principal", "source_ip"])
    frame["event_time"] = [DAY + pd.Timedelta(days=day) for day in frame.pop("day")]
    frame["source_network"] = frame["source_ip"].str.rsplit(".", n=1).str[0] + ".0/24"
    same = {"user_agent": "aws-cli/2", "user_agent_family": "aws-cli", "account_id": "1", "region": "r"}
    same |= {"event_source": "s", "event_name": "n", "outcome": "ok", "credential": "access_key:K", "tls_host": "h"}
    for name, value in {**same, "source_ip_kind": "public"}.items():
        frame[name] = value
    return frame.assign(event_id=[f"e{number}" for number in range(len(frame))])


def made(frame, end=10, window=8):
    connection = duckdb.connect()
    connection.register("counted", frame)
    source = Source(connection, "counted", 30, DAY + pd.Timedelta(days=window))
    return build(source, frame, end=DAY + pd.Timedelta(days=end))


def test_baseline_explains_what_was_seen_before_the_window_or_on_two_days():
    """A habit is old or repeated; a single first visit inside the window is none."""
    frame = acts([(0, "a", "192.0.2.1"), (8.5, "b", "192.0.2.2"), (9.5, "b", "192.0.2.2"), (9, "c", "192.0.2.3")])
    assert made(frame).explains.tolist() == [True, True, True, False]


def test_baseline_of_under_three_days_explains_nothing():
    """Two days of records are no baseline, and it says so."""
    base = made(acts([(8, "a", "192.0.2.1"), (9.5, "a", "192.0.2.1")]))
    assert not base.exists
    assert not base.explains.any()


def test_address_of_three_principals_is_common():
    """Three principals make an address common, two do not."""
    frame = acts([(d, p, "192.0.2.1") for d, p in enumerate("abc")] + [(d, p, "192.0.2.2") for d, p in enumerate("ab")])
    assert made(frame).common == {"192.0.2.1"}


def test_baseline_of_nothing_is_empty():
    """No record before the attack gives a baseline of no length."""
    base = made(acts([(11, "a", "192.0.2.1")]))
    assert (base.days, base.users, base.exists) == (0.0, {}, False)


def test_programs_and_tls_hosts_are_counted_too():
    """How many principals used each user agent and asked for each host, before the attack."""
    base = made(acts([(0, "a", "192.0.2.1"), (1, "b", "192.0.2.2"), (11, "c", "192.0.2.3")]))
    assert (base.programs, base.hosts) == ({"aws-cli/2": 2}, {"h": 2})


def test_what_is_new_in_the_attack_is_new_for_the_principal_itself():
    """A network that a colleague knows is new for this one; the first event is named and later ones are counted."""
    frame = acts([(0, "a", "192.0.2.1"), (1, "b", "203.0.113.9"), (9, "a", "203.0.113.9"), (9, "a", "203.0.113.9")])
    mine = np.array([False, False, True, True])
    end = DAY + pd.Timedelta(days=9)
    found = new_in_attack(frame, mine=mine, end=end, days=30, odd=mine)
    assert list(found.columns) == list(NEW_COLUMNS)
    rows = found[["principal", "dimension", "value", "event_id", "events", "own_days"]].values.tolist()
    assert rows == [["a", "network", "203.0.113.0/24", "e2", 2, 9.0]]
    assert set(found["compared"]) == {"new in 9.0 days of its own"}


def test_each_principal_is_compared_with_its_own_days():
    """One of two days has no baseline, one without any has none either, whatever the others have."""
    frame = acts([(0, "a", "192.0.2.1"), (7, "b", "192.0.2.1"), (9, "b", "192.0.2.9"), (9, "c", "192.0.2.9")])
    frame["source_network"] = frame["source_ip"]
    mine = np.array([False, False, True, True])
    found = new_in_attack(frame, mine=mine, end=DAY + pd.Timedelta(days=9), days=30, odd=mine)
    said = dict(zip(found["principal"], found["compared"], strict=True))
    assert said["b"].startswith("no baseline: 2.0 days")
    assert said["c"].startswith("no baseline: 0.0 days")
    assert set(found.loc[found["principal"] == "c", "dimension"]) == {"network", "user agent", "Region", "API", "hour"}


def test_a_service_without_a_region_has_no_new_region():
    """IAM records its calls in us-east-1 wherever they come from; EC2 there is a Region."""
    frame = acts([(0, "a", "192.0.2.1"), (9, "a", "192.0.2.1"), (9, "a", "192.0.2.1")])
    frame["region"] = ["eu-west-1", "us-east-1", "us-east-1"]
    frame["event_source"] = ["s", "iam.amazonaws.com", "ec2.amazonaws.com"]
    mine = np.array([False, True, True])
    found = new_in_attack(frame, mine=mine, end=DAY + pd.Timedelta(days=9), days=30, odd=mine)
    assert found.loc[found["dimension"] == "Region", ["value", "event_id"]].values.tolist() == [["us-east-1", "e2"]]


def test_baseline_and_news_of_a_case(tmp_path):
    """The resources of habits are in the table; the thief's ways are new, the owner's are not."""
    trail = Trail()
    who = user("dev", "AKIADEV")
    trail.habit(who, days=range(12))
    arn = "arn:aws:s3:::amzn-s3-demo-bucket"
    for day in range(2):
        trail.add(day + 0.5, who, "s3:GetBucketAcl", resources=[{"ARN": arn, "type": "AWS::S3::Bucket"}])
    trail.add(2.5, who, "s3:GetBucketAcl", resources=[{"ARN": arn}, {"ARN": f"{arn}-2"}, {"ARN": arn}])
    stop = trail.add(9.1, who, "cloudtrail:StopLogging", ip=THIEF, agent=SDK, request={"name": "main"})
    case = trail.case(tmp_path, {"event": stop})
    write(case)
    rows = baseline_table(case)
    assert list(rows.columns) == [*TABLE_KEYS, "first_seen", "last_seen", "count"]
    assert set(rows["credential_kind"]) == {"access_key"}
    assert set(rows["hour_of_day"]) == {9, 12}
    assert rows.loc[rows["resource"] == arn, ["event_name", "source_network", "count"]].values.tolist() == [
        ["GetBucketAcl", "198.51.100.0/24", 3]
    ]
    assert rows["count"].sum() == 13, "nine days before the attack, and three acts on one bucket, of which one on two"
    found = new_in(case)
    new = {(row.dimension, row.value) for row in found.itertuples()}
    assert new == {("network", "203.0.113.0/24"), ("user agent", "boto3"), ("API", "cloudtrail:StopLogging"),
                   ("hour", "02:00 UTC")}  # fmt: skip
    assert set(found["event_id"]) == {stop}
    assert found.attrs["baseline"]["used"]


def test_a_case_without_baseline_says_so_with_its_length(tmp_path):
    """Two days of records: everything is listed, nothing is called new."""
    trail = Trail()
    who = user("dev", "AKIADEV")
    trail.habit(who, days=range(7, 8), ip=OFFICE, agent=CLI)
    stop = trail.add(9.4, who, "cloudtrail:StopLogging", ip=THIEF, request={"name": "main"})
    case = trail.case(tmp_path, {"event": stop})
    write(case)
    found = new_in(case)
    assert set(found["compared"]) == {"no baseline: 2.0 days of its own are too few to call it new"}
    assert (found.attrs["baseline"]["used"], found.attrs["baseline"]["days"]) == (False, 2.0)
