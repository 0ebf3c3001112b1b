"""The extent of a compromise: one test per rule of attribution."""

import json
import random

import jsonschema
import pytest
from trail import ACCOUNT, CAFE, EXIT, FOREIGN, OFFICE, OTHER, SDK, THIEF, Trail, role, service, user

from cirtlib.case import load_case, update_case
from cirtlib.errors import NotFoundError
from cirtlib.scope import load, scope, sight, write

DEV = user("dev", "AKIADEV")
STOLEN = role("devRole", "work", "ASIASTOLEN")


AUDIT = f"arn:aws:iam::{ACCOUNT}:role/app/audit"


def extent(found):
    return {node["id"]: node["status"] for node in found.extent()}


def verdicts(found):
    return dict(zip(*[found.verdicts[name] for name in ("event_id", "verdict")], strict=True))


def leaked():
    """The leaked key of dev, used by its owner from the office and by a thief, who stops a trail through devRole."""
    trail = Trail()
    trail.habit(DEV, days=range(12))
    trail.add(9.49, DEV, "sts:GetCallerIdentity", ip=THIEF, agent=SDK)
    trail.assume(9.5, DEV, "devRole", "ASIASTOLEN", ip=THIEF, agent=SDK)
    stop = trail.add(9.51, STOLEN, "cloudtrail:StopLogging", ip=THIEF, agent=SDK, request={"name": "main"})
    return trail, stop


def test_scope_walks_from_the_finding_to_the_leaked_key_and_keeps_its_owner_apart(tmp_path):
    """From the finding alone: session, role, key and user are in; the owner's acts with the key are the owner's."""
    trail, stop = leaked()
    found = scope(trail.case(tmp_path, {"finding": trail.finding(stop)}))
    assert extent(found) == {
        "access_key:ASIASTOLEN": "compromised",
        "access_key:AKIADEV": "compromised",
        f"principal:arn:aws:iam::{ACCOUNT}:role/devRole": "compromised",
        f"principal:arn:aws:iam::{ACCOUNT}:user/dev": "compromised",
        f"resource:arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/main": "changed",
    }
    said = verdicts(found)
    assert said[stop] == "attacker"
    by_address = {r["eventID"]: r["sourceIPAddress"] for r in trail.records}
    assert {v for e, v in said.items() if by_address[e] == THIEF} == {"attacker"}
    assert {v for e, v in said.items() if by_address[e] == OFFICE} == {"owner"}


def test_scope_is_valid_by_its_schema_and_every_link_cites_an_event(tmp_path):
    """The JSON is what the shipped schema says, and each edge rests on ids that are in the evidence."""
    trail, stop = leaked()
    result = write(trail.case(tmp_path, {"finding": trail.finding(stop)}))
    from importlib.resources import files

    schema = json.loads(files("cirtlib").joinpath("data/scope.schema.json").read_text())
    jsonschema.validate(result.to_dict(), schema)
    ids = {record["eventID"] for record in trail.records} | {finding["arn"] for finding in trail.findings}
    assert all(set(edge["evidence"]) <= ids for edge in result.edges)
    inside = [node for node in result.extent() if not node["via"]]
    assert inside == [], "each node but the seed says by which edge it was reached"


def test_scope_without_baseline_explains_nothing_away(tmp_path):
    """With under three days of records before the attack the owner's acts stay unclear, and a gap says why."""
    trail = Trail()
    trail.habit(DEV, days=range(8, 9))
    trail.assume(9.5, DEV, "devRole", "ASIASTOLEN", ip=THIEF)
    trail.add(9.6, DEV, "s3:ListBuckets")
    stop = trail.add(9.51, STOLEN, "cloudtrail:StopLogging", ip=THIEF, request={"name": "main"})
    found = scope(trail.case(tmp_path, {"event": stop}))
    assert "owner" not in verdicts(found).values()
    assert any("no baseline" in gap["reason"] for gap in found.gaps)


def test_scope_keeps_the_roles_other_sessions_out(tmp_path):
    """A colleague's session of the compromised role is neither in the extent nor judged."""
    trail, stop = leaked()
    trail.assume(9.52, user("ann", "AKIAANN"), "devRole", "ASIAANN")
    event = trail.add(9.53, role("devRole", "ann", "ASIAANN"), "ec2:DescribeVpcs")
    found = scope(trail.case(tmp_path, {"event": stop}))
    assert not {"access_key:ASIAANN", "access_key:AKIAANN"} & set(extent(found))
    assert event not in verdicts(found)


def test_scope_takes_all_that_the_attacker_makes(tmp_path):
    """User, key and password that the attacker made are theirs, and so is a sign-in with that password."""
    trail, stop = leaked()
    made = {"user": {"arn": f"arn:aws:iam::{ACCOUNT}:user/ops/backup", "userName": "backup"}}
    trail.add(9.6, STOLEN, "iam:CreateUser", ip=THIEF, request={"userName": "backup"}, response=made)
    key = {"accessKey": {"accessKeyId": "AKIABACKUP", "userName": "backup", "status": "Active"}}
    trail.add(9.61, STOLEN, "iam:CreateAccessKey", ip=THIEF, request={"userName": "backup"}, response=key)
    trail.add(9.62, STOLEN, "iam:CreateLoginProfile", ip=THIEF, request={"userName": "backup"})
    who = user("backup", "AKIABACKUP") | {"arn": made["user"]["arn"]}
    far = trail.add(9.7, who, "s3:ListBuckets", ip=EXIT)
    console = {k: v for k, v in who.items() if k != "accessKeyId"}
    trail.add(9.8, console, "signin:ConsoleLogin", ip="192.0.2.77", response={"ConsoleLogin": "Success"})
    found = scope(trail.case(tmp_path, {"event": stop}))
    inside = extent(found)
    assert inside["access_key:AKIABACKUP"] == "compromised"
    assert inside[f"principal:{made['user']['arn']}"] == "compromised"
    assert inside[f"login_profile:{made['user']['arn']}"] == "attacker_created"
    assert any(node.startswith("console:AIDABACKUP/") for node in inside)
    assert verdicts(found)[far] == "attacker"


def test_scope_marks_what_the_attacker_changed_and_whom_that_let_in(tmp_path):
    """A trust policy that the attacker opened makes the role changed; the foreign account it let in is the attacker."""
    trail, stop = leaked()
    before = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}]}
    after = {"Statement": [*before["Statement"], {"Effect": "Allow", "Principal": {"AWS": FOREIGN}}]}
    trail.add(1, user("admin", "AKIAADM"), "iam:CreateRole", response={"role": {"arn": AUDIT}},
              request={"roleName": "audit", "assumeRolePolicyDocument": json.dumps(before)})  # fmt: skip
    trail.add(9.6, STOLEN, "iam:UpdateAssumeRolePolicy", ip=THIEF,
              request={"roleName": "audit", "policyDocument": json.dumps(after)})  # fmt: skip
    caller = {"type": "AWSAccount", "principalId": "AIDAFOREIGN", "accountId": FOREIGN}
    trail.assume(9.7, caller, "app/audit", "ASIADOOR", ip=EXIT, account=ACCOUNT)
    trail.assume(9.8, user("ann", "AKIAANN"), "app/audit", "ASIAOK")
    found = scope(trail.case(tmp_path, {"event": stop}))
    inside = extent(found)
    assert inside[f"principal:{AUDIT}"] in {"changed", "compromised"}
    assert "access_key:ASIADOOR" in inside
    assert "access_key:ASIAOK" not in inside
    assert "access_key:AKIAANN" in {lead["node"] for lead in found.leads}


def test_scope_of_a_role_that_is_only_changed_says_changed(tmp_path):
    """A role whose trust was changed but which nobody has used since is changed, not compromised."""
    trail, stop = leaked()
    policy = json.dumps({"Statement": [{"Effect": "Allow", "Principal": {"AWS": FOREIGN}}]})
    trail.add(
        9.6, STOLEN, "iam:UpdateAssumeRolePolicy", ip=THIEF, request={"roleName": "audit", "policyDocument": policy}
    )
    found = scope(trail.case(tmp_path, {"event": stop}))
    assert extent(found)[f"principal:arn:aws:iam::{ACCOUNT}:role/audit"] == "changed"


def test_scope_tells_the_instance_from_the_thief_of_its_session(tmp_path):
    """One session key from two networks has two holders: the instance is the owner, the other is the attacker."""
    trail = Trail()
    instance = role("web", "i-0123456789abcdef0", "ASIAWEB", ec2RoleDelivery="2.0")
    for day in range(10):
        trail.add(day + 0.3, instance, "s3:ListBuckets", ip="198.51.100.50", agent="aws-sdk-go/1.44")
    stolen = trail.add(9.6, instance, "iam:ListUsers", ip=THIEF, agent=SDK)
    own = trail.add(9.7, instance, "s3:ListBuckets", ip="198.51.100.50", agent="aws-sdk-go/1.44")
    found = scope(trail.case(tmp_path, {"access_key": "ASIAWEB"}))
    said = verdicts(found)
    assert (said[stolen], said[own]) == ("attacker", "owner")
    assert any("credentials of this instance" in lead["reason"] for lead in found.leads)


def test_scope_takes_the_session_of_an_instance_that_the_attacker_started(tmp_path):
    """An instance started by the attacker acts for the attacker, wherever its calls come from."""
    trail, stop = leaked()
    started = {"instancesSet": {"items": [{"instanceId": "i-0aaaaaaaaaaaaaaa1"}]}}
    trail.add(9.6, STOLEN, "ec2:RunInstances", ip=THIEF, region="ap-south-1", response=started)
    event = trail.add(
        9.7, role("miner", "i-0aaaaaaaaaaaaaaa1", "ASIAMINER"), "s3:ListBuckets", ip="192.0.2.50", agent="x/1"
    )
    found = scope(trail.case(tmp_path, {"event": stop}))
    inside = extent(found)
    assert f"resource:arn:aws:ec2:ap-south-1:{ACCOUNT}:instance/i-0aaaaaaaaaaaaaaa1" in inside
    assert {"access_key:ASIAMINER", f"principal:arn:aws:iam::{ACCOUNT}:role/miner"} <= set(inside)
    assert verdicts(found)[event] == "attacker"


def test_scope_takes_every_machine_of_one_call(tmp_path):
    """Machines that one call started are all the attacker's, and so is what each of them does."""
    trail, stop = leaked()
    machines = [f"i-0aaaaaaaaaaaaaaa{n}" for n in (1, 2, 3)]
    started = {"instancesSet": {"items": [{"instanceId": one} for one in machines]}}
    trail.add(9.6, STOLEN, "ec2:RunInstances", ip=THIEF, region="ap-south-1", response=started)
    session = role("miner", machines[2], "ASIATHIRD")
    event = trail.add(9.7, session, "s3:ListBuckets", ip="192.0.2.50", agent="x/1")
    found = scope(trail.case(tmp_path, {"event": stop}))
    made = {f"resource:arn:aws:ec2:ap-south-1:{ACCOUNT}:instance/{one}" for one in machines}
    assert made | {"access_key:ASIATHIRD"} <= set(extent(found))
    assert verdicts(found)[event] == "attacker"


def test_scope_extends_neither_by_denied_nor_by_service_invoked_calls(tmp_path):
    """A denied CreateUser makes nobody; a call that a service made for the attacker extends nothing."""
    trail, stop = leaked()
    trail.add(9.6, STOLEN, "iam:CreateUser", ip=THIEF, error="AccessDenied", request={"userName": "ghost"})
    by_service = STOLEN | {"invokedBy": "cloudformation.amazonaws.com"}
    made = {"user": {"arn": f"arn:aws:iam::{ACCOUNT}:user/stack", "userName": "stack"}}
    trail.add(9.6, by_service, "iam:CreateUser", ip="cloudformation.amazonaws.com", response=made)
    found = extent(scope(trail.case(tmp_path, {"event": stop})))
    assert not [node for node in found if node.endswith(("ghost", "stack"))]


def test_scope_convicts_nobody_by_a_shared_address(tmp_path):
    """An address that three principals used before the attack makes its events unclear, and extends nothing."""
    trail = Trail()
    for name in ("ann", "bob", "cy"):
        trail.habit(user(name, f"AKIA{name.upper()}"), ip=EXIT)
    event = trail.add(9.5, user("eve", "AKIAEVE"), "iam:ListUsers", ip=EXIT)
    found = scope(trail.case(tmp_path, {"ip": EXIT}))
    assert extent(found) == {}
    assert verdicts(found)[event] == "unclear"


def test_scope_finds_the_thief_at_a_shared_exit_and_not_those_who_are_known_there(tmp_path):
    """At an address that many use, a pair convicts a compromised key that was never there, and nobody who was."""
    trail, stop = leaked()
    for name in ("ann", "bob", "cy"):
        trail.habit(user(name, f"AKIA{name.upper()}"), ip=THIEF, agent=SDK)
    trail.assume(9.55, user("ann", "AKIAANN"), "devRole", "ASIAANN", ip=THIEF, agent=SDK)
    found = scope(trail.case(tmp_path, {"event": stop}))
    assert "access_key:AKIADEV" in extent(found)
    assert not {"access_key:ASIAANN", "access_key:AKIAANN"} & set(extent(found))


def test_scope_makes_neighbours_of_a_rare_address_leads_only(tmp_path):
    """Another principal at the attacker's address is a lead with its rarity, and not in the extent."""
    trail, stop = leaked()
    trail.add(9.55, user("guest", "AKIAGUEST"), "s3:ListBuckets", ip=THIEF)
    result = scope(trail.case(tmp_path, {"event": stop}))
    guest = f"principal:arn:aws:iam::{ACCOUNT}:user/guest"
    assert guest not in {node["id"] for node in result.extent()}
    assert [(lead["node"], lead["rarity"]) for lead in result.leads if lead["node"] == guest] == [(guest, 1.0)]


def test_scope_leaves_an_unexplained_minter_as_a_lead(tmp_path):
    """A stolen session that its owner opened from the office does not convict the owner's key."""
    trail = Trail()
    trail.habit(DEV, days=range(12))
    trail.assume(9.5, DEV, "devRole", "ASIASTOLEN")
    stop = trail.add(9.51, STOLEN, "cloudtrail:StopLogging", ip=THIEF, agent=SDK, request={"name": "main"})
    found = scope(trail.case(tmp_path, {"event": stop}))
    assert "access_key:AKIADEV" not in extent(found)
    assert "access_key:AKIADEV" in {lead["node"] for lead in found.leads}


def test_scope_follows_a_role_into_another_account(tmp_path):
    """Both accounts' records of one AssumeRole carry the attacker's verdict, and the session beyond is theirs."""
    trail, stop = leaked()
    trail.assume(9.6, STOLEN, f"{OTHER}:deploy", "ASIAFAR", ip=THIEF, shared="s-1")
    foreign = {"type": "AWSAccount", "principalId": STOLEN["principalId"], "accountId": ACCOUNT}
    twin = trail.assume(9.6, foreign, f"{OTHER}:deploy", "ASIAFAR", ip=THIEF, shared="s-1", account=OTHER)
    far = trail.add(9.65, role("deploy", "work", "ASIAFAR", account=OTHER), "s3:ListBuckets", ip=EXIT)
    found = scope(trail.case(tmp_path, {"event": stop}))
    assert {"access_key:ASIAFAR", f"principal:arn:aws:iam::{OTHER}:role/deploy"} <= set(extent(found))
    assert not [node for node in extent(found) if node.startswith(f"principal:{ACCOUNT}:")]
    said = verdicts(found)
    assert (said[twin], said[far]) == ("attacker", "attacker")


def test_scope_honours_what_the_analyst_decided(tmp_path):
    """A cleared node stops the closure; a confirmed one starts it."""
    trail, stop = leaked()
    odd = CAFE[:-3] + "9"
    other = trail.add(9.7, DEV, "s3:ListBuckets", ip=odd, agent="Terraform/1.9")
    case = trail.case(tmp_path, {"event": stop})
    assert verdicts(scope(case))[other] == "unclear"
    confirmed = scope(update_case(case, "confirmed", [{"node": f"address:{odd}", "by": "me", "reason": "odd"}]))
    assert verdicts(confirmed)[other] == "attacker"
    update_case(case, "confirmed", [])
    cleared = scope(update_case(case, "cleared", [{"node": "access_key:AKIADEV", "by": "me", "reason": "a drill"}]))
    assert "access_key:AKIADEV" not in extent(cleared)
    assert f"principal:arn:aws:iam::{ACCOUNT}:user/dev" not in extent(cleared)


def test_scope_does_not_depend_on_the_order_of_records(tmp_path):
    """Shuffled records give the same scope to the letter."""
    trail, stop = leaked()
    first = scope(trail.case(tmp_path / "a", {"event": stop})).to_dict()
    random.Random(1).shuffle(trail.records)
    second = scope(trail.case(tmp_path / "b", {"event": stop})).to_dict()
    assert first["nodes"] == second["nodes"]
    assert first["edges"] == second["edges"]


@pytest.mark.parametrize(
    "seed", [{"access_key": "AKIANOBODY"}, {"event": "none"}, {"finding": "arn:none"}, {"ip": "192.0.2.254"}]
)
def test_scope_says_when_a_seed_matches_nothing(tmp_path, seed):
    """A seed that is in no record is named in the error."""
    trail, _ = leaked()
    with pytest.raises(NotFoundError, match=next(iter(seed.values()))):
        scope(trail.case(tmp_path, seed))


def test_scope_without_a_seed_says_how_to_give_one(tmp_path):
    """A case without seeds has no scope, and the error says what to do."""
    trail, _ = leaked()
    with pytest.raises(NotFoundError, match="--seed"):
        scope(trail.case(tmp_path))


def test_scope_says_when_the_window_should_be_wider_and_an_origin_was_not_seen(tmp_path):
    """An attacker event in the window's first hour, and a session that no record issued, are gaps."""
    trail = Trail()
    trail.habit(DEV)
    stop = trail.add(8.01, STOLEN, "cloudtrail:StopLogging", ip=THIEF, request={"name": "main"})
    reasons = " ".join(gap["reason"] for gap in scope(trail.case(tmp_path, {"event": stop})).gaps)
    assert "widen it" in reasons
    assert "origin not seen" in reasons


def test_scope_load_works_again_after_the_case_changed(tmp_path):
    """A written scope is read back as it is, and worked out anew once case.yaml says something else."""
    trail, stop = leaked()
    case = trail.case(tmp_path, {"event": stop})
    assert load(case).to_dict() == load(case).to_dict()
    update_case(case, "cleared", [{"node": "access_key:ASIASTOLEN"}])
    assert load(load_case(case.path)).extent() == []


def test_scope_ignores_service_sessions_behind_the_attackers_address(tmp_path):
    """A service that issues an instance its session is no attacker, though the session was stolen."""
    trail = Trail()
    trail.habit(DEV)
    instance = role("web", "i-0123456789abcdef0", "ASIAWEB")
    trail.assume(
        9.1, service("ec2.amazonaws.com"), "web", "ASIAWEB", session="i-0123456789abcdef0", ip="ec2.amazonaws.com"
    )
    event = trail.add(9.5, instance, "iam:ListUsers", ip=THIEF)
    found = extent(scope(trail.case(tmp_path, {"event": event})))
    assert found == {"access_key:ASIAWEB": "compromised", f"principal:arn:aws:iam::{ACCOUNT}:role/web": "compromised"}


def test_scope_without_a_seed_says_so_when_nothing_is_in_sight_either(tmp_path, monkeypatch):
    """A large store of which no record is needed beforehand gives the same message as a small one."""
    monkeypatch.setattr(sight, "SMALL", 0)
    trail = Trail()
    trail.habit(user("alice", "AKIAALICE"))
    with pytest.raises(NotFoundError, match="there is no seed"):
        scope(trail.case(tmp_path))
