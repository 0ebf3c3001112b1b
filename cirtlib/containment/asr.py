"""Closing the way in: by Automated Security Response on AWS where the account has it, else by direct calls.

ASR acts on control findings of Security Hub alone, never on a finding of GuardDuty, and closes a weakness; it isolates
nothing. A security group that is no part of the extent may serve others, so its step is one of prevention: people run
it, contain.sh does not.
"""

import csv
import json
import re
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any

from cirtlib import identity
from cirtlib.containment.incident import Draft, Node
from cirtlib.containment.machines import Machine
from cirtlib.containment.step import Ref, Step, call, quoted, read
from cirtlib.errors import PlanError
from cirtlib.exposure.rules import EVERYONE, Rule
from cirtlib.snapshot import Snapshot
from cirtlib.text import visible

ACTION = "ASRRemediation"
# EC2.4's runbook terminates the instance; those of CloudTrail.1 and .3 make another trail and start no stopped one.
NEVER = {"EC2.4": "its runbook terminates instances", "CloudTrail.1": "no stopped trail is started by it"}
NEVER["CloudTrail.3"] = NEVER["CloudTrail.1"]
_LEAVES = (
    (
        "ASR takes away only rules whose source is exactly 0.0.0.0/0 or ::/0, and only on the ports that its "
        "control lists: narrower or split ranges, egress, and connections that are open stay. It isolates nothing."
    ),
)


@cache
def runbooks() -> dict[str, str]:
    """Controls that ASR has a runbook for, with the control whose runbook it is."""
    text = files("cirtlib").joinpath("data/asr_controls.tsv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {row["control"]: row["runbook_of"] for row in csv.DictReader(lines, delimiter="\t")}


def control_of(finding: dict[str, Any]) -> str:
    """Control of a finding that ASR may be given.

    Parameters
    ----------
    finding
        In ASFF.

    Raises
    ------
    PlanError
        when it is no control finding of Security Hub, its control has no runbook, or the runbook does harm.
    """
    control = str((finding.get("Compliance") or {}).get("SecurityControlId") or "")
    name = visible(str(finding.get("Id", "")))
    if not control or finding.get("ProductName") != "Security Hub":
        raise PlanError(f"{name} is no control finding of Security Hub: ASR accepts no other")
    if control in NEVER:
        raise PlanError(f"ASR is not offered for {control}: {NEVER[control]}")
    if control not in runbooks():
        raise PlanError(f"ASR has no runbook for {visible(control)}")
    return control


def close_way_in(draft: Draft, node: Node, known: Machine) -> None:
    """Add a step for each rule that let the world into an instance's groups and that nobody closed since."""
    for rule in known.way_in.doors if known.way_in else ():
        if rule.closed or rule.network not in EVERYONE:
            continue
        finding = _finding(draft, rule.group, known)
        state = next((one for one in draft.incident.states if one.account == known.path.account), None)
        step = revoke(known, rule, others=_others(state, rule.group, known))
        note, offer = offered(finding, draft.incident.states, known)
        if finding is not None and offer:
            step = by_asr(finding, step, *offer, actions=_actions(draft.incident.states))
        elif note:
            draft.warnings.append(note)
        draft.add(step, nodes=[], because=())
        evidence = (*rule.evidence, *([finding["Id"]] if finding else []))
        draft.steps[step.key] = _because(draft.steps[step.key], evidence)
        draft.warnings.append(
            f"{visible(rule.group)} lets the world in on {rule.ports} and may serve others than {node['value']}: "
            "closing it is a step of prevention, which contain.sh does not run; run it when its owner agrees"
        )


def _because(step: Step, evidence: tuple[str, ...]) -> Step:
    return replace(step, why=tuple(dict.fromkeys((*step.why, *evidence))))


def revoke(known: Machine, rule: Rule, *, others: tuple[str, ...]) -> Step:
    """Take one rule that lets everybody in out of a group, by direct calls."""
    parts = known.arn.split(":")
    target = f"arn:{parts[1]}:ec2:{known.path.region}:{known.path.account}:security-group/{rule.group}"
    source = "CidrIpv4" if "." in rule.network else "CidrIpv6"
    ranges = "IpRanges: [{CidrIp: CidrIpv4}]" if "." in rule.network else "Ipv6Ranges: [{CidrIpv6: CidrIpv6}]"
    ports = f" && FromPort == `{rule.first}` && ToPort == `{rule.last}`" if rule.first != -1 else ""
    mine = f"SecurityGroupRules[?!IsEgress && {source} == {quoted(rule.network)}{ports}]"
    look = call("ec2", "DescribeSecurityGroupRules", Filters=[{"Name": "group-id", "Values": [rule.group]}])
    permissions = f"{mine}.{{IpProtocol: IpProtocol, FromPort: FromPort, ToPort: ToPort, {ranges}}}"
    back = call("ec2", "AuthorizeSecurityGroupIngress", GroupId=rule.group, IpPermissions=Ref("${self.permissions}"))
    return Step(
        key=f"close-port {target} {rule.network} {rule.first} {rule.last}",
        phase="prevent",
        title=f"Close {rule.ports} of security group {visible(rule.group)} to {rule.network}",
        target=target,
        account=known.path.account,
        region=known.path.region,
        api=call("ec2", "RevokeSecurityGroupIngress", GroupId=rule.group, SecurityGroupRuleIds=Ref("${self.rules}")),
        captures={
            "rules": read(look, f"{mine}.SecurityGroupRuleId"),
            "permissions": read(look, permissions),
            "open": read(look, f"length({mine}) > `0`", expected=True),
        },
        verify=read(look, f"length({mine})", expected=0),
        rollback={"api": back},
        rollback_note="It is the weakness: the world could come in again.",
        reopens=True,
        side_effects=others,
        prerequisites=("Whoever is to come in by this port has another way (Session Manager, a VPN, a narrow range).",),
        does_not_stop=("Connections that are open live on; other rules and groups of the instance stay.",),
    )


def by_asr(finding: dict[str, Any], direct: Step, document: str, role: str, *, actions: tuple[str, ...]) -> Step:
    """The step of `direct` by ASR's runbook: it carries the control finding; the direct call stays as another way."""
    control = control_of(finding)
    text = json.dumps(finding, separators=(",", ":"), sort_keys=True)
    name = visible(finding["Id"])
    button = tuple(
        f"First choice, by hand: in Security Hub of account {action.split(':')[4]}, {action.split(':')[3]}, select "
        f"finding {name}, then Actions, Remediate with ASR"
        for action in actions
    )
    event = {"detail-type": "Security Hub Findings - Custom Action",
             "detail": {"actionName": ACTION, "findings": [finding]}}  # fmt: skip
    orchestrators = tuple(
        {
            "title": "Start ASR's orchestrator with the finding, as the custom action does",
            "api": call(
                "stepfunctions",
                "StartExecution",
                stateMachineArn=_orchestrator(action),
                input=json.dumps(event, separators=(",", ":"), sort_keys=True),
            ),
            "only_when": "nobody can press the button",
            "evaded_by": "what the runbook leaves",
        }
        for action in actions
    )
    by_hand = {
        "title": "Without ASR: revoke the rule by a direct call",
        "api": direct.api,
        "only_when": "ASR fails, or does more than is wanted",
        "evaded_by": "other rules of the group",
    }
    return replace(
        direct,
        key=direct.key.replace("close-port", "asr", 1),
        title=f"{direct.title}, by ASR ({control})",
        api=call(
            "ssm",
            "StartAutomationExecution",
            DocumentName=document,
            Parameters={"Finding": [text], "AutomationAssumeRole": [role]},
        ),
        prerequisites=(*button, *direct.prerequisites),
        does_not_stop=(*_LEAVES, *direct.does_not_stop),
        alternatives=(*orchestrators, by_hand),
        side_effects=(*direct.side_effects, "ASR writes to the finding: NOTIFIED, then RESOLVED."),
    )


def _orchestrator(action: str) -> str:
    parts = action.split(":")
    return f"arn:{parts[1]}:states:{parts[3]}:{parts[4]}:stateMachine:SO0111-ASR-Orchestrator"


def offered(
    finding: dict[str, Any] | None, states: tuple[Snapshot, ...], known: Machine
) -> tuple[str, tuple[str, str] | None]:
    """Why ASR is not offered, and the document and role of its runbook where it is."""
    if finding is None:
        return "", None
    try:
        control = control_of(finding)
    except PlanError as error:
        return f"{error}; the direct call stands in the plan", None
    state = next((one for one in states if one.account == known.path.account), None)
    if state is None:
        return f"Whether ASR could close {control} is not known: no account snapshot; the direct call stands here", None
    listed = state.rows("ssm.ListDocuments", "DocumentIdentifiers", region=known.path.region)
    names = [str(one.get("Name")) for one in listed]
    which = re.escape(runbooks()[control])
    documents = sorted((one for one in names if re.fullmatch(rf"ASR-[A-Z]+_[\d.]+_{which}", one)), key=_consolidated)
    for document in documents:
        standard, version = document.split("_")[0].removeprefix("ASR-"), document.split("_")[1]
        role = f"SO0111-Remediate-{standard}-{version}-{runbooks()[control]}"
        found = [str(one["Arn"]) for one in state.roles if one.get("RoleName") == role]
        if found:
            return "", (document, found[0])
    return "", None


def _consolidated(document: str) -> tuple[bool, str]:
    return not document.startswith("ASR-SC_"), document


def _actions(states: tuple[Snapshot, ...]) -> tuple[str, ...]:
    """ARNs of ASR's custom action, wherever a snapshot shows it."""
    arns = [
        str(one.get("ActionTargetArn", ""))
        for state in states
        for one in state.rows("securityhub.DescribeActionTargets", "ActionTargets")
    ]
    return tuple(sorted({arn for arn in arns if arn.endswith(f"/{ACTION}")}))


def _finding(draft: Draft, group: str, known: Machine) -> dict[str, Any] | None:
    """Control finding that names a group and ranks highest among the causes, as ASFF; None where there is none."""
    findings = draft.incident.findings
    if findings is None or known.way_in is None:
        return None
    rows = findings[findings["latest"] & findings["control_id"].notna() & (findings["compliance_status"] == "FAILED")]
    for cause in known.way_in.judged.causes:
        for row in rows[rows["control_id"].isin(cause.controls)].sort_values(["control_id", "finding_id"]).itertuples():
            if cause.resource == group and any(str(one).endswith(f"/{group}") for one in row.resource_ids):
                document = identity.parse(row.details)
                if (document.get("Compliance") or {}).get("SecurityControlId"):
                    return dict(document)
    return None


def _others(state: Snapshot | None, group: str, known: Machine) -> tuple[str, ...]:
    """Who else is in a group."""
    if state is None:
        return ("Who else is in the group is not known: no account snapshot.",)
    rows = state.rows("ec2.DescribeNetworkInterfaces", "NetworkInterfaces", region=known.path.region)
    beside = [
        f"{one.get('NetworkInterfaceId')} of {(one.get('Attachment') or {}).get('InstanceId') or 'no instance'}"
        for one in rows
        if group in [each.get("GroupId") for each in one.get("Groups", ())]
        and (one.get("Attachment") or {}).get("InstanceId") != known.instance_id
    ]
    if not beside:
        return (f"By the account snapshot of {state.taken_at} nothing else is in the group.",)
    return (f"It also closes the port for {', '.join(map(visible, sorted(beside)))}.",)
