"""The training incident after its containment: what the attacker tries next, in the logs of the same accounts."""

import copy
import gzip
import json
from typing import Any

import pandas as pd
import pytest

from cirtlib import containment, queries, verify_containment
from cirtlib.case import Case, load_case
from cirtlib.collect import collect
from cirtlib.store import record
from tests.contained import state

pytestmark = pytest.mark.integration


def last_of(case: Case, key: str) -> dict[str, Any]:
    """Latest record by a key, as it was delivered."""
    found = queries.sql(
        case, "SELECT event_id FROM events WHERE access_key_id = :key ORDER BY event_time DESC LIMIT 1", key=key
    )
    (data,) = record(case, str(found["event_id"].iloc[0]))
    return dict(json.loads(data))


def when(case: Case) -> pd.Timestamp:
    """One hour after the last record."""
    return queries.events(case)["event_time"].max().floor("s") + pd.Timedelta(hours=1)


@pytest.fixture
def contained(own_incident: Case) -> Case:
    """The incident, with its plan carried out by contain.sh one hour after the last record."""
    containment.write(own_incident)
    state(own_incident, when(own_incident).to_pydatetime())
    return own_incident


def goes_on(case: Case, *, minutes: float, **attempts: dict[str, Any]) -> Case:
    """Case with records after containment: each account and Region speaks, and keys of the attacker try again."""
    events = queries.events(case)
    start = when(case)
    records = []
    seen = events.drop_duplicates(["account_id", "region"])[["account_id", "region"]]
    quiet = last_of(case, str(events["access_key_id"].dropna().iloc[0]))
    quiet["userIdentity"] = {"type": "AWSService", "invokedBy": "config.amazonaws.com"}
    for account, region in seen.itertuples(index=False):
        records.append(
            {**quiet, "recipientAccountId": account, "awsRegion": region, "sourceIPAddress": "config.amazonaws.com",
             "userAgent": "config.amazonaws.com", "eventSource": "s3.amazonaws.com", "eventName": "GetBucketAcl",
             "eventTime": f"{start + pd.Timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"}
        )  # fmt: skip
    for key, fields in attempts.items():
        at = start + pd.Timedelta(minutes=fields.pop("after"))
        records.append({**copy.deepcopy(last_of(case, key)), "eventTime": f"{at:%Y-%m-%dT%H:%M:%SZ}", **fields})
    for number, one in enumerate(records):
        one |= {"eventID": f"00000000-0000-4000-9000-{number:012d}", "sharedEventID": None}
    logs = case.path / "later"
    logs.mkdir()
    with gzip.open(logs / "later.json.gz", "wt") as file:
        json.dump({"Records": records}, file)
    text = (case.path / "case.yaml").read_text()
    (case.path / "case.yaml").write_text(text + f"- cloudtrail:\n    folder: {logs}\n")
    case = load_case(case.path)
    collect(case)
    return case


DENIED = {"errorCode": "AccessDenied", "responseElements": None}


def test_denied_attempts_are_intent_and_the_incident_is_contained(contained: Case, incident: Any) -> None:
    """Every key of the extent tries again and is denied; one asks who it is."""
    keys = [node["value"] for node in incident[1]["extent"] if node["value"].startswith(("AKIA", "ASIA"))]
    attempts = {key: {"after": 3 + number, **DENIED} for number, key in enumerate(keys)}
    result = verify_containment(goes_on(contained, minutes=20, **attempts))
    assert result.verdict == "contained", result.to_dict()["verdicts"]
    assert set(result.calls["kind"]) == {"denied"}
    assert set(result.calls["access_key_id"]) == set(keys)


def test_one_session_that_lives_on_is_found(contained: Case, incident: Any) -> None:
    """A session from before the revocation works three minutes later in one account; the others are contained."""
    key = next(node["value"] for node in incident[1]["extent"] if node["value"].startswith("ASIA"))
    case = goes_on(contained, minutes=20, **{key: {"after": 3, "eventName": "ListBuckets"}})
    result = verify_containment(case)
    assert result.verdict == "not contained"
    bad = result.verdicts[result.verdicts["verdict"] == "not contained"]
    assert len(bad) == 1
    assert key in bad.iloc[0]["reasons"][0]
    assert list(bad.iloc[0]["event_ids"]) == list(result.calls.iloc[0]["event_ids"])


def test_nothing_collected_since_is_unknown(contained: Case) -> None:
    """The evidence ends before containment: nothing can be said of any account and Region."""
    result = verify_containment(contained)
    assert (result.verdict, set(result.verdicts["verdict"])) == ("unknown", {"unknown"})
    assert len(result.verdicts) == len(queries.events(contained).drop_duplicates(["account_id", "region"]))
