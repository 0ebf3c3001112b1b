"""A learner who uses only cirtlib's public functions: `python solver.py FOLDER EXERCISE` answers and contains.

It runs where neither generator nor truth can be imported or read: importing cirtlib.training or opening a truth fails.
"""

import importlib.abc
import json
import re
import sys
from pathlib import Path


class _Closed(importlib.abc.MetaPathFinder):
    """Lets nothing of the training be imported."""

    def find_spec(self, name, path=None, target=None):
        if name.startswith("cirtlib.training"):
            raise ImportError(f"{name} is closed to the solver")


def _watch(event, arguments):
    if event == "open" and re.search(r"/truth/|state_after|state_before", str(arguments[0])):
        raise PermissionError(f"{arguments[0]} is closed to the solver")


sys.meta_path.insert(0, _Closed())
sys.addaudithook(_watch)
sys.path.insert(0, str(Path(__file__).parent))

import pandas as pd  # noqa: E402 - only now are the doors closed
from operator_http import Operator  # noqa: E402

import cirtlib  # noqa: E402
from cirtlib.decisions import decide  # noqa: E402


class Learner:
    """Evidence of one exercise as tables, and what `cirt scope` says of it."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.case = cirtlib.load_case(self.folder / "case")
        cirtlib.collect(self.case)
        self.look()
        self.all = cirtlib.events(self.case)
        self.all["ok"] = self.all["outcome"] == "ok"
        self.told = self.all["request"].map(_json)
        self.gave = self.all["response"].map(_json)
        self.findings = cirtlib.sql(self.case, "SELECT * FROM findings WHERE latest")
        mine = self.scope.verdicts.query("verdict == 'attacker'")
        pairs = set(zip(mine["event_id"], mine["account_id"], strict=True))
        at = pd.Series(list(zip(self.all["event_id"], self.all["account_id"], strict=True)), index=self.all.index)
        self.attack = self.all[at.isin(pairs)].sort_values(["event_time", "event_id"])
        self.others = self.all[~at.isin(pairs)]
        self.extent = self.scope.extent()

    def look(self):
        """Scope the case, and write it as `cirt scope` does."""
        from cirtlib.scope import write

        self.scope = write(self.case)

    def did(self, *calls):
        """The attacker's calls of these names that succeeded."""
        return self.attack[self.attack["event_name"].isin(calls) & self.attack["ok"]]

    def nodes(self, kind, part=""):
        """Values of the extent's nodes."""
        return [node["value"] for node in self.extent if node["kind"] == kind and part in node["value"]]

    def finding(self):
        """The finding from which the case starts."""
        arn = self.case.seeds[0].value
        return self.findings[self.findings["finding_id"] == arn].iloc[0]

    def controls(self, resource, before, words=""):
        """Controls that failed for a resource before a time, with a word in their title."""
        found = self.findings[(self.findings["compliance_status"] == "FAILED") & self.findings["control_id"].notna()]
        found = found[found["resource_ids"].map(lambda ids: any(resource in one for one in ids))]
        first = found["details"].map(
            lambda text: json.loads(text).get("FirstObservedAt") or json.loads(text)["CreatedAt"]
        )
        found = found[pd.to_datetime(first, utc=True) < before]
        return found[found["title"].str.contains(words, case=False)]["control_id"].tolist()

    def neighbours(self, address):
        """Everybody else who goes out through an address."""
        found = self.others[(self.others["source_ip"] == address) & self.others["principal"].notna()]
        return sorted({one for one in found["principal"] if ":iam::" in one and one not in self.nodes("principal")})

    def silent(self, calls):
        """Acts of the attacker's that no finding of GuardDuty names."""
        guard = self.findings[self.findings["product"] == "GuardDuty"]
        named = set(zip(guard["api_name"], guard["access_key_id"], strict=True))
        machines = set(guard["instance_id"].dropna())
        found = []
        for act, call in calls.items():
            done = self.did(call)
            if done.empty:
                continue
            told = any((one.event_name, one.access_key_id) in named for one in done.itertuples())
            if call == "RunInstances":
                started = {
                    name
                    for index in done.index
                    for name in re.findall(r"i-[0-9a-f]{8,17}", str(done["response"][index]))
                }
                told = told or bool(machines & started)
            if not told:
                found.append(act)
        return found


def _json(text):
    try:
        return json.loads(text) if isinstance(text, str) else {}
    except ValueError:
        return {}


def _iso(at):
    return f"{pd.Timestamp(at):%Y-%m-%dT%H:%M:%SZ}"


def _first(values):
    return next(iter(values), None)


def _name(arn):
    return arn.rsplit("/", 1)[-1]


def exposed_credentials(one):
    """Answers about a leaked key."""
    stop = one.did("StopLogging").iloc[0]
    first = one.attack.iloc[0]
    role = stop["principal"]
    assumed = one.did("AssumeRole")
    session = next(one.gave[i]["credentials"]["accessKeyId"] for i in assumed.index if one.told[i]["roleArn"] == role)
    bridge = next((one.told[i]["roleArn"] for i in assumed.index if one.told[i]["roleArn"] != role), None)
    created, opened = one.did("CreateUser"), one.did("UpdateAssumeRolePolicy")
    shared = one.did("ModifySnapshotAttribute")
    own = {str(account) for account in one.all["account_id"].unique()}
    foreign = [a for i in opened.index for a in re.findall(r"\d{12}", one.told[i]["policyDocument"]) if a not in own]
    org = one.attack[one.attack["event_name"] == "StopLogging"]
    refused = org[~org["ok"]]
    survives = next((_name(one.told[i].get("name", "")) for i in refused.index if one.told[i]), None)
    everyday = one.others[(one.others["event_name"] == "AssumeRole") & one.others["ok"]]
    users = sorted({one.others["principal"][i] for i in everyday.index if one.told[i].get("roleArn") == bridge})
    keys = [key for key in one.nodes("credential") if key != first["access_key_id"] and "/" not in key]
    user = first["principal"]
    visible = (one.all["event_name"] == "GetObject").any()
    return {
        "who": user,
        "session": session,
        "stopped": _iso(stop["event_time"]),
        "survives": survives or _org_trail(one),
        "user": _first(_json(created["response"].iloc[0])["user"]["arn"] for _ in [0]) if len(created) else None,
        "door": _first(foreign),
        "unalarmed": one.silent({
            "logging": "StopLogging", "user": "CreateUser", "key": "CreateAccessKey", "trust": "UpdateAssumeRolePolicy",
            "snapshot": "ModifySnapshotAttribute", "instances": "RunInstances", "secrets": "GetSecretValue",
        }),
        "objects": "yes" if visible else "no",
        "neighbours": one.neighbours(first["source_ip"]),
        "weakness": _first(one.controls(f"user/{_name(user)}", first["event_time"], "key")),
        "still_alive": keys,
        "bystander": _first(arn for arn in users if arn and ":iam::" in arn),
        "first": "logging",
        "prevent": "trust_mfa",
        "_shared": len(shared),
    }  # fmt: skip


def _org_trail(one):
    """Name of a trail that the digests or the calls about trails tell of."""
    found = one.all[one.all["event_name"].isin(["DescribeTrails", "GetTrail", "GetTrailStatus", "StopLogging"])]
    texts = " ".join(str(text) for text in [*found["request"], *found["error_message"]])
    return _first(
        name for name in re.findall(r"trail/([\w.-]+)|\"name\": ?\"([\w.-]+)\"", texts) if "org" in "".join(name)
    )


def misconfigured_resource(one):
    """Answers about an instance in the open."""
    first = one.attack.iloc[0]
    instance, role, theirs = first["session_name"], first["principal"], first["source_ip"]
    same = one.others[(one.others["access_key_id"] == first["access_key_id"]) & (one.others["source_ip"] != theirs)]
    ways = cirtlib.way_in(one.case)
    groups = one.others[(one.others["event_name"] == "AuthorizeSecurityGroupIngress") & one.others["ok"]]
    ids = _groups_of(one, instance)
    opened = [i for i in groups.index if one.told[i].get("groupId") in ids and "0.0.0.0/0" in str(groups["request"][i])]
    keys = one.did("CreateAccessKey")
    made = [name for i in one.did("RunInstances").index for name in
            [item["instanceId"] for item in one.gave[i]["instancesSet"]["items"]]]  # fmt: skip
    objects = one.did("GetObject")
    twin = [name for name in one.findings["instance_id"].dropna().unique() if name != instance and name not in made]
    users = one.others[(one.others["principal"] == role) & one.others["session_name"].fillna("").str.startswith("i-")]
    port = [
        c for g in ids for c in one.controls(g, first["event_time"]) if c in ("EC2.13", "EC2.19", "EC2.18", "EC2.14")
    ]
    return {
        "instance": instance,
        "began": _iso(first["event_time"]),
        "rightful": _first(same["source_ip"]),
        "port": _first(port),
        "metadata": _first(one.controls(instance, first["event_time"], "IMDS")),
        "opened": groups["event_id"][opened[-1]] if opened else None,
        "twin": _first(name for name in twin if _open_twin(one, name)),
        "for_whom": _first(_named_user(one, keys)),
        "key": _first(one.gave[i]["accessKey"]["accessKeyId"] for i in keys.index),
        "machines": made,
        "objects": len(objects),
        "unalarmed": one.silent({
            "objects": "GetObject", "key": "CreateAccessKey", "user": "CreateUser", "instances": "RunInstances",
            "trust": "UpdateAssumeRolePolicy", "logging": "StopLogging",
        }),
        "bystander": _first(sorted(set(users["session_name"]) - {instance, *made})),
        "first": "evidence",
        "_ways": ways is not None,
    }  # fmt: skip


def _groups_of(one, instance):
    """Security groups of an instance, as GuardDuty tells them."""
    found = one.findings[one.findings["instance_id"] == instance]["details"]
    return set(re.findall(r"sg-[0-9a-f]{8,17}", " ".join(found)))


def _open_twin(one, instance):
    """Whether an instance's group is open by Security Hub, while nothing came of it."""
    return any(one.controls(group, one.attack["event_time"].iloc[0]) for group in _groups_of(one, instance))


def _named_user(one, records):
    known = {arn for arn in one.all["principal"].dropna().unique() if ":user/" in arn}
    for i in records.index:
        name, account = one.told[i].get("userName", ""), one.all["account_id"][i]
        yield next((arn for arn in known if arn.endswith(f"/{name}")), f"arn:aws:iam::{account}:user/{name}")


def phished_console(one):
    """Answers about a console session."""
    sign_ins = one.did("ConsoleLogin")
    first = sign_ins.iloc[0]
    who, theirs = first["principal"], first["source_ip"]
    day = one.others[
        (one.others["principal"] == who) & (one.others["event_time"].dt.date == first["event_time"].date())
    ]
    password, keys = one.did("CreateLoginProfile", "UpdateLoginProfile"), one.did("CreateAccessKey")
    holder = _first(_named_user(one, keys))
    back = sign_ins[sign_ins["principal"] == holder]
    fetched = {"GetSecretValue": "secrets", "GetObject": "objects"}
    mail = one.did("StartMailboxExportJob")
    what = (
        "mail" if len(mail) else _first(fetched[n] for n in one.attack["event_name"][one.attack["ok"]] if n in fetched)
    )
    raised = one.did("AttachUserPolicy", "PutUserPolicy", "AddUserToGroup")
    made = [one.gave[i]["accessKey"]["accessKeyId"] for i in keys.index]
    return {
        "principal": who,
        "signed_in": _iso(first["event_time"]),
        "owner": _first(day["source_ip"].value_counts().index),
        "neighbours": one.neighbours(theirs),
        "through": holder,
        "key": _first(made),
        "call": _first(password["event_name"]),
        "used": _iso(back["event_time"].iloc[0]) if len(back) else None,
        "network": _first(ip for ip in one.attack["source_ip"] if ip != theirs),
        "what": what or "nothing",
        "rights": "yes" if len(raised) else "no",
        "survives": made,
        "prevent": "mfa" if "No" in str(first["additional"]) and not bool(first["mfa"]) else "bound_mfa",
    }


def false_alarm(one):
    """Answers about an alarm; the decision is recorded, and the scope follows it."""
    finding = one.finding()
    acts = one.all[(one.all["event_name"] == finding["api_name"]) & one.all["event_time"].between(
        finding["first_seen"].floor("s"), finding["last_seen"].ceil("s"))]  # fmt: skip
    key, name = finding["access_key_id"], finding["principal_name"]
    same = acts[acts["access_key_id"] == key] if isinstance(key, str) and (acts["access_key_id"] == key).any() else acts
    alarm = same.sort_values(["event_time", "event_id"]).iloc[0]
    who = alarm["principal"]
    before = one.all[
        (one.all["principal"] == who) & (one.all["source_ip"] == alarm["source_ip"])
        & (one.all["event_time"].dt.date < alarm["event_time"].date())
        & (one.all["user_agent"].str.split("/").str[0] == str(alarm["user_agent"]).split("/", maxsplit=1)[0])
    ]  # fmt: skip
    ticket, owner = _calendar((one.folder / "story.md").read_text(encoding="utf-8"), alarm)
    other = one.findings[
        (one.findings["api_name"] == "CreateUser") & (one.findings["finding_id"] != finding["finding_id"])
    ]
    made = one.all[
        (one.all["event_name"] == "CreateUser") & one.all["ok"] & one.all["access_key_id"].isin(other["access_key_id"])
    ]
    decide(one.case, "cleared", f"principal:{who}", reason=f"{ticket}, confirmed by {owner}")
    one.case = cirtlib.load_case(one.case.path)
    one.look()
    cause = {"StopLogging": "trail_maintenance", "ModifySnapshotAttribute": "backup_share", "CreateUser": "break_glass"}
    return {
        "record": alarm["event_id"],
        "principal": who,
        "address": alarm["source_ip"],
        "precedent": _first(before["event_id"]),
        "other": _first(made["principal"]),
        "ticket": ticket,
        "confirms": owner,
        "cause": cause.get(finding["api_name"], "penetration_test"),
        "verdict": "duty",
        "contain": "nothing",
        "_name": name,
    }


def _calendar(story, alarm):
    """Ticket and owner of the calendar's entry about an act."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in story.splitlines() if line.startswith("| 20")
    ]
    at = alarm["event_time"]
    fits = [row for row in rows if pd.Timestamp(row[0], tz="UTC") <= at <= pd.Timestamp(row[1], tz="UTC")]
    words = {"StopLogging": "trail", "ModifySnapshotAttribute": "snapshot", "CreateUser": "break-glass"}
    word = words.get(alarm["event_name"], "test")
    chosen = next((row for row in fits if word in row[3].lower()), fits[0] if fits else rows[0])
    return chosen[2], re.sub(r"\s*[<(].*", "", chosen[4])


SOLVERS = {one.__name__: one for one in (exposed_credentials, misconfigured_resource, phished_console, false_alarm)}


def answers_yaml(found):
    """Text of answers.yaml."""
    kept = {key: value for key, value in found.items() if not key.startswith("_") and value not in (None, [])}
    return "".join(
        f"{key}: {json.dumps(value if isinstance(value, list) else str(value))}\n" for key, value in kept.items()
    )


def main(folder, exercise):
    """Answer every question, and contain what is in the extent."""
    one = Learner(folder)
    found = SOLVERS[exercise](one)
    (one.folder / "answers.yaml").write_text(answers_yaml(found), encoding="utf-8")
    if one.scope.extent():
        plan = cirtlib.plan(one.case, scope=one.scope).to_dict()
        failed = Operator(one.folder / "account" / "aws-config", plan).contain()
        print(json.dumps(failed))


if __name__ == "__main__":
    main(*sys.argv[1:])
