"""What is new since an earlier scope is marked."""

import json
from importlib.resources import files

import jsonschema
import pytest
from trail import ACCOUNT, SDK, THIEF, Trail, role, user

from cirtlib.case import Case, load_case
from cirtlib.cli import main
from cirtlib.collect import collect
from cirtlib.scope import write

DEV = user("dev", "AKIADEV")
STOLEN = role("devRole", "work", "ASIASTOLEN")


@pytest.fixture
def case(tmp_path) -> Case:
    """A thief who stopped a trail; after the first scope a later record says that they also made a user."""
    trail = Trail()
    trail.habit(DEV, days=range(12))
    trail.assume(9.5, DEV, "devRole", "ASIASTOLEN", ip=THIEF, agent=SDK)
    stop = trail.add(9.51, STOLEN, "cloudtrail:StopLogging", ip=THIEF, agent=SDK, request={"name": "main"})
    made = trail.case(tmp_path, {"event": stop})
    write(made)
    later = Trail(records=[*trail.records])
    later.add(9.6, STOLEN, "iam:CreateUser", ip=THIEF, agent=SDK, request={"userName": "backup"},
              response={"user": {"arn": f"arn:aws:iam::{ACCOUNT}:user/backup", "userName": "backup"}})  # fmt: skip
    later.add(9.61, user("ann", "AKIAANN"), "ec2:DescribeVpcs", ip=THIEF)
    (tmp_path / "logs" / "later.json").write_text(json.dumps({"Records": later.records[-2:]}))
    return made


def run(capsys, *arguments: str) -> str:
    assert main(["scope", *arguments]) == 0
    return capsys.readouterr().out


def test_since_last_marks_nodes_edges_leads_and_verdicts(case, capsys):
    """After new evidence the new user, its edge, a lead and the verdict of the new event are told; the rest is not."""
    collect(case)
    told = json.loads(run(capsys, str(case.path), "--since", "last", "--format", "json"))
    schema = json.loads(files("cirtlib").joinpath("data/scope.schema.json").read_text())
    jsonschema.validate(told, schema)
    new = {one["id"]: (one["before"], one["after"]) for one in told["since"]["nodes"]}
    assert new == {
        f"principal:arn:aws:iam::{ACCOUNT}:user/backup": (None, "attacker_created"),
        f"principal:arn:aws:iam::{ACCOUNT}:user/ann": (None, "suspected"),
    }
    (edge,) = told["since"]["edges"]
    assert (edge["to"].rpartition("/")[2], edge["kind"], edge["before"], edge["after"]) == (
        "backup", "created", None, "certain",
    )  # fmt: skip
    assert [(one["before"], one["after"]) for one in told["since"]["leads"]] == [(False, True)]
    assert [(one["before"], one["after"]) for one in told["since"]["verdicts"]] == [(None, "attacker")]
    assert "since" not in json.loads((case.out / "scope.json").read_text())


def test_the_previous_scope_is_kept_and_stays_the_last_one(case, capsys):
    """Working it out again without a change keeps what came before; the table says what is new."""
    before = (case.out / "scope.json").read_bytes()
    collect(case)
    write(case)
    write(case)
    assert (case.out / "scope.previous.json").read_bytes() == before
    text = run(capsys, str(case.path), "--since", "last")
    assert "new since the scope as of" in text
    line = next(line for line in text.splitlines() if "attacker_created" in line and "backup" in line)
    assert line.rstrip().endswith("new")


def test_since_a_file_and_a_decision(case, capsys, tmp_path):
    """An earlier scope.json may lie anywhere; a status that changed says what it was; gone leads are told."""
    collect(case)
    write(case)
    earlier = tmp_path / "monday.json"
    earlier.write_bytes((case.out / "scope.json").read_bytes())
    ann = f"principal:arn:aws:iam::{ACCOUNT}:user/ann"
    assert main(["confirm", str(case.path), ann, "--reason", "was not ann"]) == 0
    capsys.readouterr()
    told = json.loads(run(capsys, str(case.path), "--since", str(earlier), "--format", "json"))["since"]
    assert {"id": ann, "before": "suspected", "after": "compromised"} in told["nodes"]
    assert [(one["node"], one["before"], one["after"]) for one in told["leads"]] == [(ann, True, False)]
    assert told["verdicts"] is None, "the earlier verdicts do not lie beside it"
    assert "was suspected" in run(capsys, str(case.path), "--since", str(earlier))
    assert load_case(case.path).confirmed


@pytest.mark.parametrize(
    ("last", "said"), [("last", "kept from the second on"), ("nowhere.json", "no file"), ("odd.json", "no scope.json")]
)
def test_no_earlier_scope_is_one_message(case, capsys, tmp_path, monkeypatch, last, said):
    """What is missing or no scope is told, with what to give."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd.json").write_text("[]")
    assert main(["scope", str(case.path), "--since", last]) == 1
    assert said in capsys.readouterr().err
