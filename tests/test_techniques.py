"""API calls are given their meaning."""

import csv
import json
import re
from importlib.resources import files

import pandas as pd
import pytest

from cirtlib import techniques

ACCESS = {"read", "write", "credential", "permissions", "logging"}


def table():
    text = files("cirtlib").joinpath("data/techniques.tsv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines(), delimiter="\t"))


def test_the_table_is_whole():
    """Each row has a known access and tactic, well-formed ids and words; no call stands twice; old ids are not new."""
    rows = table()
    assert len(rows) >= 200
    assert len({(row["event_source"], row["event_name"]) for row in rows}) == len(rows)
    for row in rows:
        assert row["access"] in ACCESS, row
        assert row["tactic"] in ("", *techniques.TACTICS), row
        assert re.fullmatch(r"(T1\d{3}(\.\d{3})?)?", row["technique"]), row
        assert re.fullmatch(r"(T1562(\.\d{3})?)?", row["technique_old"]), row
        assert not row["technique"].startswith("T1562"), row
        assert bool(row["technique_old"]) == row["technique"].startswith(("T1685", "T1686")), row
        assert row["what"] and row["event_source"].endswith(".amazonaws.com"), row
    assert not [row for row in rows if row["tactic"] == "Defense Evasion"]


def test_stopping_a_trail_is_defense_impairment_under_its_new_id():
    """The id of ATT&CK v19 stands first, the old one in brackets."""
    action = techniques.describe("cloudtrail.amazonaws.com", "StopLogging")
    assert (action.access, action.tactic, action.technique) == ("logging", "Defense Impairment", "T1685.002")
    assert action.shown == "T1685.002 (T1562.008)"
    assert techniques.describe("iam.amazonaws.com", "CreateAccessKey").shown == "T1098.001"


@pytest.mark.parametrize(
    ("source", "name", "access", "tactic"),
    [
        ("lambda.amazonaws.com", "UpdateFunctionCode20150331v2", "write", "Persistence"),
        ("cloudfront.amazonaws.com", "UpdateDistribution2020_05_31", "write", ""),
        ("iam.amazonaws.com", "ListAttachedUserPolicies", "read", "Discovery"),
        ("ec2.amazonaws.com", "DescribeSpotPriceHistory", "read", "Discovery"),
        ("newservice.amazonaws.com", "BatchGetThing", "read", "Discovery"),
        ("newservice.amazonaws.com", "CreateThing", "write", ""),
        ("newservice.amazonaws.com", "Getaway", "unknown", ""),
        ("newservice.amazonaws.com", "<script>", "unknown", ""),
        (None, None, "unknown", ""),
    ],
)
def test_unlisted_calls_are_read_by_their_verb(source, name, access, tactic):
    """A name pattern comes before the verb, a version suffix is ignored, "Getaway" is no "Get"."""
    action = techniques.describe(source, name)
    assert (action.access, action.tactic) == (access, tactic)
    assert action.what
    # A reading that no pattern names is discovery of the cloud's services.
    assert techniques.describe("iam.amazonaws.com", "ListAttachedUserPolicies").technique == "T1069.003"
    assert techniques.describe("iam.amazonaws.com", "ListThings").technique == "T1526"


def test_annotate_keeps_rows_order_and_index():
    """Four columns are added to every row, also where a name is missing; the record's own word settles the rest."""
    events = pd.DataFrame(
        {
            "event_source": ["iam.amazonaws.com", None, "x.amazonaws.com", "x.amazonaws.com", "iam.amazonaws.com"],
            "event_name": ["CreateUser", "Foo", "Zap", "Zap", "CreateUser"],
            "read_only": pd.array([False, None, True, False, False], dtype="boolean"),
        },
        index=[5, 4, 3, 2, 1],
    )
    result = techniques.annotate(events)
    assert list(result.index) == [5, 4, 3, 2, 1]
    assert list(result["access"]) == ["permissions", "unknown", "read", "unknown", "permissions"]
    assert list(result["technique"]) == ["T1136.003", "", "", "", "T1136.003"]
    assert "access" not in events
    empty = techniques.annotate(events.iloc[:0])
    assert list(empty.columns[-len(techniques.COLUMNS) :]) == list(techniques.COLUMNS)


def test_calls_of_published_attacks_are_known(real_data):
    """Of the calls a public catalogue ties to attacks, under one in a hundred say nothing."""
    catalogue = real_data / "adanalvarez__TrailDiscover" / "docs" / "events.json"
    entries = json.loads(catalogue.read_text(encoding="utf-8"))
    access = [techniques.describe(entry["eventSource"], entry["eventName"]).access for entry in entries]
    assert access.count("unknown") <= len(access) // 100


def test_ids_of_the_aws_catalogue_are_in_the_list_that_names_its_source():
    """No id is made up: each has the catalogue's form and stands in ttc.tsv, which says where it was read."""
    listed = techniques.catalogue().set_index("id")
    assert listed.index.is_unique
    for one, entry in listed.iterrows():
        assert re.fullmatch(r"A?T\d{4}(\.(\d{3}|A\d{3}))?", one)
        assert entry["page"].endswith(f"/Techniques/{one}.html")
        assert entry["name"]
        assert re.search(r"@[0-9a-f]{8} ", entry["source"])
    used = {row["ttc"] for row in table()} - {""}
    assert used <= set(listed.index)
    assert len(used) >= 25


def test_an_action_has_its_id_of_the_aws_catalogue():
    """The catalogue keeps the ids of before ATT&CK v19; where it has no technique, none is given."""
    assert techniques.describe("cloudtrail.amazonaws.com", "StopLogging").ttc == "T1562.008"
    assert techniques.describe("guardduty.amazonaws.com", "DeleteDetector").ttc == "T1562.A001"
    assert techniques.describe("organizations.amazonaws.com", "LeaveOrganization").ttc == "T1666.A002"
    assert techniques.describe("kms.amazonaws.com", "ScheduleKeyDeletion").ttc == ""
    assert techniques.describe("newservice.amazonaws.com", "ListThings").ttc == ""
