"""The scope of both scenarios' incidents, from one GuardDuty finding alone, against the generator's truth."""

import gzip
import json

import pytest

from cirtlib.case import new_case, update_case
from cirtlib.collect import collect
from cirtlib.scope import scope
from cirtlib.training.generator import generate

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
    """One incident in every run of the tests; twenty in the integration suite."""
    check(tmp_path, scenario, 7)


@pytest.mark.integration
@pytest.mark.parametrize("seed", range(1, 21))
@pytest.mark.parametrize("scenario", STARTS)
def test_scope_is_exact_for_twenty_incidents(tmp_path, scenario, seed):
    """Precision and recall are 1.0 by kind and value, whatever names, keys, addresses and times the seed draws."""
    check(tmp_path, scenario, seed)
