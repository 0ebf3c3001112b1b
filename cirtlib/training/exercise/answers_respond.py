"""Answers about what follows: who is innocent, what no finding tells, what still works, and what prevents it."""

import re

from cirtlib.training.exercise.answers import (
    Answer,
    Json,
    acts,
    answer,
    at,
    attack_began,
    control_ids,
    extent,
    failed_controls,
    first,
    name_of,
    others_who,
    principal,
    text_at,
)
from cirtlib.training.exercise.answers_attack import (
    abused_role,
    bridge,
    first_address,
    leaked_key,
    leaked_user,
    made_instances,
    phished_principal,
    quiet_trail,
    workload,
)
from cirtlib.training.exercise.record import Record

# Kind of act of a choice -> the call by which it is done.
_ACTS = {
    "logging": "StopLogging",
    "user": "CreateUser",
    "trust": "UpdateAssumeRolePolicy",
    "snapshot": "ModifySnapshotAttribute",
    "instances": "RunInstances",
    "secrets": "GetSecretValue",
    "key": "CreateAccessKey",
    "objects": "GetObject",
}
_TAKEN_FROM = re.compile(r"metadata", re.IGNORECASE)


@answer
def now(record: Record) -> Answer:
    """When the analyst looks, as ISO 8601."""
    return f"{record.as_of:%Y-%m-%dT%H:%M:%SZ}"


@answer
def home_region(record: Record) -> Answer:
    """Region of the account's trail."""
    trails = record.after["accounts"][str(workload(record))]["trails"]
    return next((str(one["HomeRegion"]) for one in trails), None)


@answer
def colleague(record: Record) -> Answer:
    """Who else works through the abused role, and assumes it."""
    role = str(abused_role(record) or "")
    return text_at("innocents.legit_role_session.user", record.truth) if role.endswith(_dev(record)) else None


def _dev(record: Record) -> str:
    return str(at("innocents.legit_role_session.principal", record.truth))


@answer
def neighbours(record: Record) -> Answer:
    """Innocent principals behind the attacker's first address."""
    return list(at("innocents.shared_address_principals", record.truth) or ())


@answer
def pipeline_user(record: Record) -> Answer:
    """User that a pipeline made in the course of its work."""
    return text_at("innocents.automation.user", record.truth)


@answer
def pipeline_key(record: Record) -> Answer:
    """Key that a pipeline made in the course of its work."""
    return text_at("innocents.automation.key", record.truth)


@answer
def owner_address(record: Record) -> Answer:
    """Address from which the rightful owner worked."""
    return text_at("innocents.owner.address", record.truth)


@answer
def bridge_users(record: Record) -> Answer:
    """Who else assumes the role of the other account."""
    arn = bridge(record)
    if not arn:
        return None
    found = others_who(
        record, lambda one: one["eventName"] == "AssumeRole" and at("requestParameters.roleArn", one) == arn
    )
    return [one for one in found if one != arn]


@answer
def unalarmed(record: Record) -> Answer:
    """Which of the attacker's acts no finding of GuardDuty names."""
    findings, machines = record.guardduty, set(made_instances(record) or ())  # type: ignore[arg-type]
    told = {
        (at("service.action.awsApiCallAction.api", one), at("resource.accessKeyDetails.accessKeyId", one))
        for one in findings
    }
    if any(at("resource.instanceDetails.instanceId", one) in machines for one in findings):
        told |= {(one["eventName"], one["userIdentity"].get("accessKeyId")) for one in acts(record, "RunInstances")}
    return [
        act
        for act, call in _ACTS.items()
        if (done := acts(record, call))
        and not any((one["eventName"], one["userIdentity"].get("accessKeyId")) in told for one in done)
    ]


@answer
def alarmed(record: Record) -> Answer:
    """Which of the attacker's acts a finding of GuardDuty names."""
    silent = set(unalarmed(record) or ())  # type: ignore[arg-type]
    return [act for act, call in _ACTS.items() if acts(record, call) and act not in silent]


@answer
def alive_without_leaked_key(record: Record) -> Answer:
    """Which of the attacker's credentials go on working when only the leaked key is deactivated."""
    return [key for key in extent(record, "credential", part="EXAMPLE") if key != leaked_key(record) and "/" not in key]


@answer
def objects_visible(record: Record) -> Answer:
    """Whether a reading of objects would be in the logs: yes or no."""
    return "yes" if any(one.get("eventCategory") == "Data" for one in record.events.values()) else "no"


@answer
def first_step(record: Record) -> Answer:
    """What comes first: logging where a trail stands still, else evidence of an instance, else the credentials."""
    trails = [one for content in record.after["accounts"].values() for one in content["trails"]]
    if quiet_trail(record) and not all(one["IsLogging"] for one in trails):
        return "logging"
    return "evidence" if record.truth["leads"] else "credentials"


@answer
def owner_control(record: Record) -> Answer:
    """Failed controls about the leaked key's owner that speak of access keys."""
    found = failed_controls(record, [str(leaked_user(record))], before=attack_began(record))
    return control_ids(one for one in found if "access keys" in one["Title"])


@answer
def owner_other_control(record: Record) -> Answer:
    """Failed controls about the leaked key's owner that have nothing to do with the key."""
    found = failed_controls(record, [str(leaked_user(record))])
    return sorted(set(control_ids(found)) - set(owner_control(record) or ()))  # type: ignore[arg-type]


@answer
def opened_event(record: Record) -> Answer:
    """Record of the opening of the port."""
    return text_at("innocents.opener.event", record.truth)


@answer
def open_group(record: Record) -> Answer:
    """Security group that let everybody in."""
    return name_of(text_at("innocents.opener.group", record.truth))


@answer
def twin(record: Record) -> Answer:
    """The other instance that stands in the open, which nobody broke into."""
    return name_of(text_at("innocents.exposed_twin.instance", record.truth))


@answer
def port_control(record: Record) -> Answer:
    """Controls that had failed for the open group before the attack."""
    group = text_at("innocents.opener.group", record.truth)
    return control_ids(failed_controls(record, [str(group)], before=attack_began(record))) if group else None


@answer
def metadata_control(record: Record) -> Answer:
    """Control that had failed for the instance's metadata service before the attack."""
    found = failed_controls(record, record.truth["leads"], before=attack_began(record))
    return control_ids(one for one in found if _TAKEN_FROM.search(one["Title"]))


@answer
def other_instance_control(record: Record) -> Answer:
    """Controls that had failed for the instance before the attack, and are not about the metadata service."""
    found = failed_controls(record, record.truth["leads"], before=attack_began(record))
    return control_ids(one for one in found if not _TAKEN_FROM.search(one["Title"]))


@answer
def late_control(record: Record) -> Answer:
    """Controls that failed for the instance only after the attack had begun."""
    about = [*record.truth["leads"], *(f"AWS::SSM::PatchCompliance:{name_of(one)}" for one in record.truth["leads"])]
    began = attack_began(record)
    early = set(control_ids(failed_controls(record, about, before=began)))
    return sorted(set(control_ids(failed_controls(record, about))) - early)


@answer
def role_instances(record: Record) -> Answer:
    """Other instances of the organization that live on the same role."""
    role = str(abused_role(record))
    made = {name_of(arn) for arn in extent(record, "resource", part=":instance/")}
    stolen = {name_of(arn) for arn in record.truth["leads"]}
    sessions = {
        str(one["userIdentity"].get("principalId", "")).rpartition(":")[2]
        for one in record.events.values()
        if principal(one) == role
    }
    return sorted(one for one in sessions if one.startswith("i-") and one not in made | stolen)


@answer
def instance_region(record: Record) -> Answer:
    """Region of the instance whose credentials were taken."""
    return next((arn.split(":")[3] for arn in record.truth["leads"]), None)


def _stolen(record: Record) -> Json | None:
    wanted = {name_of(arn) for arn in record.truth["leads"]}
    every = [one for content in record.after["accounts"].values() for one in content["instances"]]
    return next((one for one in every if one["InstanceId"] in wanted), None)


@answer
def two_places(record: Record) -> Answer:
    """Addresses from which the instance's credentials were used by the instance itself."""
    keys = {str(at("userIdentity.accessKeyId", one)) for one in acts(record)}
    pairs = [tuple(pair) for pair in record.truth["owner_events"]]
    own = {
        str(record.events[pair]["sourceIPAddress"])
        for pair in pairs
        if record.events[pair]["userIdentity"].get("accessKeyId") in keys
    }
    return sorted(one for one in own - {str(first_address(record))} if one[-1].isdigit())  # no name of a service


@answer
def prevention(record: Record) -> Answer:
    """Which control would have stopped the way in.

    A long-term key assumed a role without MFA: a condition in the role's trust. Credentials came out of the metadata
    service: its version 2. A password alone sufficed: MFA. A second factor was passed on: one bound to the site's name.
    """
    if leaked_key(record):
        one = first(record, "AssumeRole", key=str(leaked_key(record)))
        return "trust_mfa" if at("userIdentity.sessionContext.attributes.mfaAuthenticated", one) != "true" else None
    if record.truth["leads"]:
        return "metadata"
    if phished_principal(record):
        return "bound_mfa" if acts(record, "Federate") else "mfa"
    return None


@answer
def other_factor(record: Record) -> Answer:
    """Which of the two that speak of a second factor did not apply to a phished sign-in."""
    return {"mfa": "bound_mfa", "bound_mfa": "mfa"}.get(str(prevention(record)))


@answer
def created_key_works(record: Record) -> Answer:
    """Long-term keys that the attacker holds and that are still active."""
    users = [one for content in record.after["accounts"].values() for one in content["users"]]
    active = {key["AccessKeyId"] for one in users for key in one["keys"] if key["Status"] == "Active"}
    return sorted(active & set(extent(record, "credential", part="AKIA")))


@answer
def alarm_principal(record: Record) -> Answer:
    """Whose act raised the false alarm."""
    return text_at("alarm.principal", record.truth)


@answer
def alarm_event(record: Record) -> Answer:
    """Record that the false alarm is about; of several calls in that second, any."""
    found = text_at("alarm.event", record.truth)
    act = next((one for (event, _), one in record.events.items() if event == found), None)
    if act is None:
        return None
    who, same = principal(act), (act["eventName"], act["eventTime"])
    return [
        one["eventID"]
        for one in record.events.values()
        if (one["eventName"], one["eventTime"]) == same and principal(one) == who
    ]


@answer
def alarm_address(record: Record) -> Answer:
    """Address of the act of the false alarm."""
    return text_at("alarm.address", record.truth)


@answer
def alarm_ticket(record: Record) -> Answer:
    """Ticket that announced the act of the false alarm."""
    return text_at("alarm.ticket", record.truth)


@answer
def alarm_cause(record: Record) -> Answer:
    """What was behind the false alarm."""
    return text_at("alarm.cause", record.truth)


@answer
def alarm_owner(record: Record) -> Answer:
    """Who answers for the act of the false alarm: name and mail address."""
    found = at("alarm.confirmed_by", record.truth)
    return [found["name"], found["email"]] if found else None


@answer
def alarm_precedents(record: Record) -> Answer:
    """Records of earlier days that explain the false alarm: the same principal, address and program."""
    alarm = at("alarm", record.truth)
    if not alarm:
        return None
    name, account = alarm["principal"].rsplit("/", 1)[-1], alarm["principal"].split(":")[4]
    family = alarm["user_agent"].split("/", 1)[0]
    return [
        one["eventID"]
        for one in record.events.values()
        if one["eventTime"][:10] < alarm["at"][:10]
        and one["sourceIPAddress"] == alarm["address"]
        and str(one.get("userAgent", "")).removeprefix("[").split("/", 1)[0] == family  # S3 writes brackets around it
        and (
            principal(one) == alarm["principal"]
            or (one["userIdentity"].get("userName"), one["recipientAccountId"]) == (name, account)
        )
    ]


@answer
def alarm_verdict(record: Record) -> Answer:
    """What the alarm was: an attack, or somebody's duty."""
    return "attack" if record.truth["attacker_events"] else "duty"


@answer
def to_contain(record: Record) -> Answer:
    """What is to be contained: the credentials of the extent, or nothing."""
    return "credentials" if extent(record, "credential") else "nothing"


@answer
def others_alarmed(record: Record) -> Answer:
    """Role whose making of a user another finding is about."""
    return text_at("innocents.automation.role", record.truth)
