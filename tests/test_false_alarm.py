"""The false alarm: an alarming finding whose cause was somebody's duty, and the evidence by which one can tell."""

import gzip
import json

import pytest
import yaml
from more_scenarios import Evidence, scoped, small

from cirtlib.case import load_case
from cirtlib.decisions import decide
from cirtlib.errors import TrainingError
from cirtlib.scope import scope, write
from cirtlib.training.generator import generate
from tests.seeds import seeds

KINDS = {
    "trail_maintenance": "Stealth:IAMUser/CloudTrailLoggingDisabled",
    "penetration_test": "PenTest:IAMUser/KaliLinux",
    "backup_share": "Exfiltration:IAMUser/AnomalousBehavior",
    "break_glass": "Persistence:IAMUser/AnomalousBehavior",
}


@pytest.fixture(scope="module", params=KINDS)
def incident(request, tmp_path_factory):
    """A small incident of each cause."""
    folder = tmp_path_factory.mktemp(request.param)
    scenario = small(folder / "scenario", "false_alarm", steps=[request.param])
    return Evidence(generate(scenario, seed=4, out=folder / "out"))


def test_nobody_has_attacked_and_a_finding_says_otherwise(incident):
    """The extent is empty; the finding of the cause's kind is about the call that the truth names."""
    truth, alarm = incident.truth, incident.truth["alarm"]
    assert (truth["extent"], truth["attacker_events"], truth["attack"]) == ([], [], {"first": None, "last": None})
    finding = next(item for item in incident.findings if item["arn"] == incident.made.seed_finding)
    assert finding["type"] == KINDS[alarm["cause"]]
    record = next(r for (event, _), r in incident.events.items() if event == alarm["event"])
    call = finding["service"]["action"]["awsApiCallAction"]
    assert (call["api"], call["serviceName"]) == (record["eventName"], record["eventSource"])
    assert finding["resource"]["accessKeyDetails"]["principalId"] == record["userIdentity"]["principalId"]
    assert "errorCode" not in record


def test_the_days_before_explain_it(incident):
    """Earlier events of the same principal, from the same address with the same program, as the truth says."""
    alarm = incident.truth["alarm"]
    assert len(alarm["explained_by"]) >= 5
    for pair in alarm["explained_by"]:
        record = incident.events[tuple(pair)]
        assert record["eventTime"][:10] < alarm["at"][:10]
        assert record["sourceIPAddress"] == alarm["address"]
        issuer = record["userIdentity"].get("sessionContext", {}).get("sessionIssuer", {})
        assert issuer.get("arn", record["userIdentity"]["arn"]) == alarm["principal"]


def test_the_calendar_holds_the_change_among_others_and_who_answers_for_it(incident):
    """The story has an entry whose ticket, time and words fit, and three that do not; it says nothing of the answer."""
    alarm = incident.truth["alarm"]
    rows = [line.split(" | ") for line in incident.story.splitlines() if line.startswith("| 2026")]
    fitting = [row for row in rows if row[2] == alarm["ticket"]]
    assert len(rows) == 4
    assert len(fitting) == 1
    start, end = (text.strip("| ").replace(" ", "T") for text in fitting[0][:2])
    assert start <= alarm["at"] <= end
    assert alarm["confirmed_by"]["email"] in fitting[0][4]
    assert "$" not in incident.story
    assert alarm["cause"] not in incident.story


def test_the_ticket_stands_in_the_evidence_where_people_put_it(incident):
    """As the session's name or as a tag; a job that runs every night has none."""
    text = json.dumps([r for r in incident.events.values() if r["eventName"] in ("CreateUser", "StopLogging")])
    assert (incident.truth["alarm"]["ticket"] in text) == (incident.truth["alarm"]["cause"] != "backup_share")


def test_nothing_is_left_changed(incident):
    """Logging goes on, the drill's user is gone, and no snapshot is shared with an account outside."""
    assert all(t["IsLogging"] for account in incident.after["accounts"].values() for t in account["trails"])
    names = [u["UserName"] for account in incident.after["accounts"].values() for u in account["users"]]
    assert not [name for name in names if name.startswith("drill-")]
    shared = {to for a in incident.after["accounts"].values() for s in a["snapshots"] for to in s["shared_with"]}
    assert shared <= set(incident.made.accounts)


def test_the_same_seed_gives_the_same_bytes_and_seeds_draw_every_cause(tmp_path):
    """Names, tickets and the cause are the seed's."""
    scenario = small(tmp_path / "scenario", "false_alarm")
    runs = [generate(scenario, seed=seed, out=tmp_path / str(n)) for n, seed in enumerate((2, 2, 3))]
    files = [sorted(p for p in run.truth.parents[1].rglob("*") if p.is_file()) for run in runs]
    assert [p.read_bytes() for p in files[0]] == [p.read_bytes() for p in files[1]]
    truths = [json.loads(run.truth.read_text(encoding="utf-8"))["alarm"] for run in runs]
    assert truths[0] != truths[2]
    assert truths[0]["ticket"] != truths[2]["ticket"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"steps": []}, "needs steps"),
        ({"steps": ["coffee"]}, "unknown 'coffee' for way_in false_alarm"),
        ({"steps": [3]}, "list of names"),
        ({"steps": ["break_glass", "backup_share"]}, "one cause"),
        ({"attack": {"day": 4}}, "attack.day must be 8 or more"),
        ({"findings": ["all"]}, "findings: unknown 'all'"),
        ({"gaps": {"lost_files": 99}}, "gaps.lost_files must be 0 to 20"),
        ({"way_in": "phished_console", "steps": ["sign_in", "use_key"]}, "use_key must come after give_key"),
        ({"way_in": "phished_console", "steps": ["look_around"]}, "must begin with sign_in"),
    ],
)
def test_building_blocks_that_cannot_be_are_refused(tmp_path, changes, says):
    """The message names the key and what is known."""
    with pytest.raises(TrainingError, match=says):
        generate(small(tmp_path / "scenario", "false_alarm", **changes), seed=1, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.integration
@pytest.mark.parametrize("seed", seeds(5, 10))
def test_the_scope_convicts_only_what_the_finding_names_until_it_is_cleared(tmp_path, seed):
    """Before: nobody but the finding's own principal, its session and what they did. Cleared with a reason: nothing."""
    made = generate("false_alarm", seed=seed, out=tmp_path / "made")
    found, truth = scoped(made, tmp_path / "case")
    alarm = truth["alarm"]
    held = {node["value"] for node in found.extent() if node["status"] == "compromised"}
    assert alarm["principal"] in held
    assert alarm["credential"] in held
    judged = found.verdicts[found.verdicts["verdict"] == "attacker"]
    acting = {_principal(record) for record in _records(made, set(judged["event_id"]))}
    assert acting - {None} == {alarm["principal"]}
    case = load_case(tmp_path / "case")
    write(case)
    decide(case, "cleared", f"principal:{alarm['principal']}", reason=f"{alarm['ticket']}, confirmed by its owner")
    after = scope(load_case(tmp_path / "case"))
    assert after.extent() == []
    assert "attacker" not in set(after.verdicts["verdict"])


def _principal(record):
    identity = record["userIdentity"]
    return identity.get("sessionContext", {}).get("sessionIssuer", {}).get("arn") or identity.get("arn")


def _records(made, wanted):
    for path in made.logs.rglob("*/CloudTrail/*/*/*/*/*.json.gz"):
        for record in json.loads(gzip.decompress(path.read_bytes()))["Records"]:
            if record["eventID"] in wanted:
                yield record


def test_the_schema_knows_what_the_generator_reads():
    """For editors: each shipped scenario is valid, and the schema names the generator's keys and no other."""
    import dataclasses
    import datetime as dt
    import typing

    import jsonschema

    from cirtlib.shipped import shipped
    from cirtlib.training import scenario

    schema = json.loads((shipped("scenarios") / "scenario.schema.json").read_text(encoding="utf-8"))
    check = jsonschema.Draft202012Validator(schema)
    files = sorted(shipped("scenarios").glob("*/scenario.yaml"))
    assert len(files) >= 4
    for file in files:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        content["start"] = content["start"].isoformat() if isinstance(content["start"], dt.date) else content["start"]
        assert [error.message for error in check.iter_errors(content)] == []

    def same(kind, part):
        hints = typing.get_type_hints(kind)
        assert set(part["properties"]) == {field.name for field in dataclasses.fields(kind)}
        for name, hint in hints.items():
            if dataclasses.is_dataclass(hint):
                same(hint, part["properties"][name])

    same(scenario.Scenario, schema)
    ways, steps = schema["properties"]["way_in"]["enum"], schema["properties"]["steps"]["items"]["anyOf"][0]["enum"]
    assert tuple(ways) == scenario.WAYS_IN
    assert set(steps) == {step for group in scenario.STEPS.values() for step in group}
