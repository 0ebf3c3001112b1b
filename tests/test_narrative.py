"""Each sentence says what the scope and the events say, cites them, and says what is not known."""

import pandas as pd
import pytest

from cirtlib import affected, appendix
from cirtlib.case import new_case
from cirtlib.facts import Facts
from cirtlib.headline import headline, show_headline
from cirtlib.narrative import decisions, known, spoken, unknown
from cirtlib.scope import Scope

USER = "arn:aws:iam::111122223333:user/team/mara"
MADE = "arn:aws:iam::111122223333:user/<b>new</b>"
FINDING = "arn:aws:guardduty:us-east-1:111122223333:detector/d/finding/f1"
KEY, SESSION = "access_key:AKIAIOSFODNN7EXAMPLE", "access_key:ASIAIOSFODNN7EXAMPLE"


def event(number, name, **changes):
    row = {
        "event_id": f"event-00{number}",
        "event_time": pd.Timestamp("2026-06-10T01:00:00Z") + pd.Timedelta(minutes=number),
        "event_source": "iam.amazonaws.com",
        "event_name": name,
        "account_id": "111122223333",
        "region": "us-east-1",
        "principal": USER,
        "caller_account": "111122223333",
        "source_ip": "203.0.113.7",
        "user_agent_family": "aws-cli",
        "outcome": "ok",
        "tactic": "",
        "node": KEY,
        "verdict": "attacker",
        "reason": "seed",
        "request": None,
        "response": None,
        "source_object": "ab" * 32,
        "source_position": number,
    }
    return {**row, **changes}


def node(name, status, **changes):
    kind = "principal" if name.startswith("principal") else "credential"
    more = {"account": "111122223333", "confidence": "certain", "expires": None, "attacker_events": 1}
    seen = {"first_seen": "2026-06-10T01:00:00Z", "last_seen": "2026-06-10T02:00:00Z"}
    return {"id": name, "kind": kind, "value": name.partition(":")[2], "status": status, **more, **seen, **changes}


def edge(source, target, kind, *evidence):
    ends = {"from": source, "to": target, "kind": kind}
    return {**ends, "confidence": "certain", "evidence": list(evidence), "evidence_count": len(evidence)}


def step(number, **changes):
    api = {"service": "iam", "operation": "UpdateAccessKey", "parameters": {}}
    more = {"impact": "None known.", "side_effects": [], "rollback": {"api": api}, "why": ["event-000"], "target": USER}
    return {"id": f"{number:02d}-key", "phase": "contain", "title": "Deactivate a key", "api": api, **more, **changes}


PLAN = {
    "steps": [step(1), step(2, title="Delete a thing", rollback="irreversible")],
    "warnings": ["A responder is among the targets."],
    "unplanned": [{"node": SESSION, "reason": "it has expired"}],
    "recovery": [],
}


@pytest.fixture
def facts(tmp_path, monkeypatch):
    """A small incident: a leaked key makes a session and a user, stops a trail, and is used by its owner, too."""
    case = new_case(tmp_path / "case", {"seeds": [{"finding": FINDING}], "as_of": "2026-06-11T00:00:00Z"})
    acts = pd.DataFrame(
        [
            event(0, "GetCallerIdentity"),
            event(1, "ListUsers", outcome="denied"),
            event(2, "AssumeRole"),
            event(3, "CreateUser", node=SESSION, tactic="Persistence"),
            event(4, "StopLogging", node=SESSION, tactic="Defense Impairment"),
            event(5, "ListUsers", verdict="owner", reason="baseline"),
            event(6, "ListRoles", verdict="unclear", reason="neither"),
        ]
    )
    nodes = [
        node(KEY, "compromised"),
        node(SESSION, "compromised", expires="2026-06-10T03:00:00Z"),
        node(f"principal:{USER}", "compromised"),
        node(f"principal:{MADE}", "attacker_created"),
        {"id": f"finding:{FINDING}", "kind": "finding", "value": FINDING, "status": "touched", "account": None},
    ]
    edges = [
        edge(KEY, SESSION, "minted", "event-002"),
        edge(SESSION, f"principal:{MADE}", "created", "event-003"),
        edge(SESSION, "account:999988887777", "touched", "event-004"),
    ]
    gaps = [
        {
            "account": "111122223333",
            "region": "us-east-1",
            "from": "2026-06-10T01:04:00Z",
            "to": None,
            "reason": "logging off: stopped by StopLogging (event event-004)",
        },
        {
            "account": "111122223333",
            "region": "eu-west-1",
            "from": "2026-06-08T00:00:00Z",
            "to": "2026-06-09T00:00:00Z",
            "reason": "no objects were collected",
        },
        {
            "account": "111122223333",
            "region": "eu-west-2",
            "from": "2026-06-08T00:00:00Z",
            "to": "2026-06-09T00:00:00Z",
            "reason": "no objects were collected",
        },
    ]
    content = {
        "nodes": nodes,
        "edges": edges,
        "gaps": gaps,
        "leads": [{"node": "address:198.51.100.1", "reason": "shared", "rarity": 1}],
        "baseline": {"used": False, "days": 1.5},
        "window": {"start": "2026-06-09T00:00:00Z", "end": "2026-06-11T00:00:00Z"},
        "attack": {"first": "2026-06-10T01:00:00Z", "last": "2026-06-10T01:04:00Z"},
    }
    findings = pd.DataFrame(
        [
            {
                "finding_id": FINDING,
                "product": "GuardDuty",
                "form": "guardduty",
                "severity_label": "LOW",
                "account_id": "111122223333",
                "type": "Stealth:IAMUser/CloudTrailLoggingDisabled",
                "first_seen": pd.Timestamp("2026-06-10T01:04:00Z"),
                "title": "Logging was disabled",
                "region": "us-east-1",
                "source_object": "cd" * 32,
                "source_position": 0,
            }
        ]
    )
    by = {name: acts[acts["verdict"] == name] for name in ("attacker", "owner", "unclear")}
    made = Facts(case, Scope(content, pd.DataFrame()), **by, findings=findings, gaps=gaps, totals={"rejected": 2})
    made.__dict__["plan"] = PLAN
    return made


def test_what_is_known_is_told_with_its_evidence(facts):
    """Course, start, credentials, what was obtained and made, outside accounts, denials and the owner's acts."""
    said = known(facts)
    text = "\n".join(one.text for one in said)
    assert all(one.evidence for one in said)
    for part in (
        "from 2026-06-10 01:00:00 to 2026-06-10 01:04:00 UTC: 5 events by 2 credentials in 1 account and 1 Region",
        "GuardDuty's finding Stealth:IAMUser/CloudTrailLoggingDisabled (LOW)",
        "Access key AKIAIOSFODNN7EXAMPLE of user mara (111122223333) (compromised): 3 events of the attacker",
        "2026-06-10 01:02:00 UTC: with access key AKIAIOSFODNN7EXAMPLE the attacker obtained access key ASIA",
        "the attacker made user",
        "name account 999988887777, whose logs are not among these",
        "1 attempt of the attacker was denied, which shows intent: ListUsers",
        "1 event by compromised credentials are explained",
    ):
        assert part in text, part
    made = next(one for one in said if "CreateUser" in one.text)
    assert made.evidence == ("event-003",)


def test_what_is_not_known_is_told(facts):
    """No baseline, unclear events, rejected records, and gaps, those of one reason as one sentence."""
    said = unknown(facts)
    text = "\n".join(one.text for one in said)
    assert "There is no baseline: 1.5 days" in text
    assert "1 event by compromised credentials may be the attacker's or the owner's." in text
    assert "2 records could not be read" in text
    assert "eu-west-1 2026-06-08 to 2026-06-09; eu-west-2 2026-06-08 to 2026-06-09" in text
    assert next(one for one in said if one.text.startswith("Logging off")).evidence == ("event-004",)


def test_open_decisions_are_named(facts):
    """Leads, warnings, what cannot be undone, and nodes without a step."""
    text = "\n".join(one.text for one in decisions(facts))
    assert "Confirm or clear address 198.51.100.1: shared." in text
    assert "A responder is among the targets." in text
    assert "1 step cannot be undone; agree to each before the plan is run (02-key: Delete a thing)." in text
    assert "No step deals with access key ASIAIOSFODNN7EXAMPLE: it has expired" in text


def test_no_attacker_event_is_said_plainly(facts):
    """Where nothing is the attacker's, that is the statement, and the severity is none."""
    empty = Facts(
        facts.case,
        Scope({**facts.scope.content, "nodes": [], "edges": []}, pd.DataFrame()),
        facts.attacker.iloc[:0],
        facts.owner,
        facts.unclear,
        facts.findings,
        [],
        {},
    )
    empty.__dict__["plan"] = {**PLAN, "steps": []}
    assert next(one.text for one in known(empty)).startswith("No event in the evidence is the attacker's")
    assert headline(empty).severity == "none"
    assert "No compromise is shown" in headline(empty).status


def test_severity_and_status_give_their_reasons(facts):
    """Impaired logging and lasting access make it high; a session that has expired is not counted as usable."""
    said = headline(facts)
    assert said.severity == "high"
    text = "\n".join(one.text for one in said.reasons)
    assert "Logging or detection was impaired: StopLogging." in text
    assert "access that does not expire: user" in text
    assert "1 of 2 credentials of the extent may still work" in said.status
    assert all(one.evidence for one in said.reasons)
    assert "<b>new" not in show_headline(facts).text


def test_tables_hold_their_evidence(facts):
    """Accounts, extent, leads, plan and the index of evidence each name what they rest on."""
    accounts = affected.accounts(facts)
    assert (accounts["attacker_events"][0], accounts["denied"][0], accounts["extent"][0]) == (5, 1, 4)
    nodes = affected.nodes(facts, "principal")
    assert list(nodes["status"]) == ["compromised", "attacker created"]
    assert affected.leads(facts)["node"][0] == "address:198.51.100.1"
    assert list(affected.owners(facts)["verdict"]) == ["owner", "unclear"]
    assert list(appendix.plan_steps(facts)["undo"]) == ["yes", "irreversible"]
    index = appendix.evidence_index(facts)
    assert set(index["id"]) == {*(f"event-00{number}" for number in range(7)), FINDING}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (KEY, "access key AKIAIOSFODNN7EXAMPLE"),
        (f"principal:{USER}", "user mara (111122223333)"),
        (f"login_profile:{USER}", "console password of user mara (111122223333)"),
        ("resource:arn:aws:s3:::bucket", "s3 bucket (s3)"),
        ("resource:arn:aws:ec2:us-east-1::snapshot/snap-1", "snapshot snap-1 (us-east-1)"),
        ("principal:111122223333:AIDAX", "principal 111122223333:AIDAX"),
    ],
)
def test_a_node_is_spoken_of_in_words(name, words):
    """ARNs become kind, name and account."""
    assert spoken(name) == words
