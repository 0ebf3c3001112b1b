"""The scope of both scenarios' incidents, from one GuardDuty finding alone, against the generator's truth."""

import gzip
import json
from collections import Counter

import pytest

from cirtlib.case import new_case, update_case
from cirtlib.collect import collect
from cirtlib.scope import scope
from cirtlib.training.generator import generate
from tests.seeds import seeds

# The types of the findings from which an investigation starts.
STARTS = {
    "exposed_credentials": ["Stealth:IAMUser/CloudTrailLoggingDisabled"],
    "misconfigured_resource": [
        "UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.OutsideAWS",
        "UnauthorizedAccess:EC2/SSHBruteForce",
    ],
}


def scoped(folder, scenario, seed):
    """Scopes of the scenario's incident of this seed, from each finding that may start it, and its truth."""
    made = generate(scenario, seed=seed, out=folder / "made")
    lines = [gzip.decompress(path.read_bytes()) for path in sorted(made.findings.rglob("*.jsonl.gz"))]
    arns = {finding["type"]: finding["arn"] for finding in map(json.loads, lines)}
    content = {
        "seeds": [{"finding": made.seed_finding}],
        "sources": [{"cloudtrail": {"folder": str(made.logs)}}, {"findings": {"folder": str(made.findings)}}],
        "as_of": made.as_of.isoformat(),
    }
    case = new_case(folder / "case", content)
    collect(case)
    found = []
    for kind in STARTS[scenario]:
        found.append(scope(update_case(case, "seeds", [{"finding": arns[kind]}])))
    return found, json.loads(made.truth.read_text(encoding="utf-8"))


def innocents(truth):
    """Every identifier of the innocent bystanders that the truth names."""
    text = json.dumps(truth["innocents"])
    guilty = {node["value"] for node in truth["extent"]}
    return {value for value in _strings(json.loads(text)) if value not in guilty}


def _strings(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return [value] if isinstance(value, str) else []


def check(folder, scenario, seed):
    """From each finding: exactly the true extent, each event with its true verdict, no innocent inside."""
    scopes, truth = scoped(folder, scenario, seed)
    for found in scopes:
        check_scope(found, truth)


def check_scope(found, truth):
    """One scope against the truth."""
    extent = {(node["kind"], node["value"]) for node in found.extent()}
    assert extent == {(node["kind"], node["value"]) for node in truth["extent"]}
    assert {node["value"]: node["status"] for node in found.extent()} == {
        node["value"]: node["status"] for node in truth["extent"]
    }
    assert not {value for _, value in extent} & innocents(truth)
    verdict = {(v.event_id, v.account_id): v.verdict for v in found.verdicts.itertuples()}
    assert {event for event, said in verdict.items() if said == "attacker"} == set(map(tuple, truth["attacker_events"]))
    owner = {event for event, said in verdict.items() if said == "owner"}
    assert set(map(tuple, truth["owner_events"])) <= owner
    assert {f"resource:{arn}" for arn in truth["leads"]} <= {lead["node"] for lead in found.leads}


@pytest.mark.parametrize("scenario", STARTS)
def test_scope_of_the_scenario_is_exactly_the_true_extent(tmp_path, scenario):
    """One incident in every run of the tests; more in the integration suite."""
    check(tmp_path, scenario, 7)


@pytest.mark.integration
@pytest.mark.parametrize("seed", seeds(8, 20))
@pytest.mark.parametrize("scenario", STARTS)
def test_scope_is_exact_for_many_incidents(tmp_path, scenario, seed):
    """Precision and recall are 1.0 by kind and value, whatever names, keys, addresses and times the seed draws."""
    check(tmp_path, scenario, seed)


def peaceful(folder, seed):
    """The incident's logs without what the attacker did, and the principal with most records on the day of it."""
    made = generate("exposed_credentials", seed=seed, out=folder / "made")
    truth = json.loads(made.truth.read_text(encoding="utf-8"))
    taken, busy = {event for event, _ in truth["attacker_events"]}, Counter()
    day = truth["attack"]["first"][:10]
    for file in made.logs.rglob("*.json.gz"):
        content = json.loads(gzip.decompress(file.read_bytes()))
        kept = [record for record in content.get("Records", []) if record["eventID"] not in taken]
        if "Records" in content:
            file.write_bytes(gzip.compress(json.dumps({"Records": kept}).encode(), 1))
        today = [one["userIdentity"] for one in kept if one.get("eventTime", "")[:10] == day and "userIdentity" in one]
        issuers = [who["sessionContext"].get("sessionIssuer", {}) for who in today if "sessionContext" in who]
        busy.update(issuer["arn"] for issuer in issuers if "arn" in issuer)
    return made, day, busy.most_common(1)[0][0]


@pytest.mark.integration
@pytest.mark.parametrize("seed", [3, 7])
def test_without_an_attack_nothing_is_made_up(seed, tmp_path):
    """The busiest principal as a seed: with a baseline all is its owner's, else each claim says what is missing."""
    made, day, busiest = peaceful(tmp_path, seed)
    content = {
        "seeds": [{"principal": busiest}],
        "sources": [{"cloudtrail": {"folder": str(made.logs)}}],
        "window": {"start": f"{day}T00:00:00Z", "end": f"{day}T23:59:59Z"},
        "as_of": made.as_of.isoformat(),
    }
    known = new_case(tmp_path / "known", content)
    collect(known)
    found = scope(known)
    assert set(found.verdicts["verdict"]) == {"owner"}
    assert found.extent() == []
    unknown = new_case(tmp_path / "unknown", {**content, "baseline_days": 1})
    collect(unknown)
    found = scope(unknown)
    claimed = found.verdicts[found.verdicts["verdict"] == "attacker"]
    assert claimed["reason"].str.contains("no baseline tells").all()
    assert any("no baseline" in gap["reason"] for gap in found.gaps)
    made_by_it = {node["id"] for node in found.extent() if node["status"] == "attacker_created"}
    own = {node["id"] for node in found.extent() if node["value"] == busiest or node["kind"] == "credential"}
    assert made_by_it <= own
