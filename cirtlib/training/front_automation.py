"""Systems Manager automations of Automated Security Response, as far as a plan starts them: moto runs none.

A runbook of ASR takes a control finding of Security Hub and closes what it names. Here those for security groups are
run: they revoke ingress from the whole world on the ports that their control is about.
Source: aws-solutions/automated-security-response-on-aws 3.1.5, what its runbooks do; the Systems Manager API reference.
"""

import datetime as dt
import json
import re
import uuid
from functools import partial
from typing import Any

from cirtlib.training.account_state import backend
from cirtlib.training.front import Clock, Served
from cirtlib.training.front_model import Asked, Json

_DOCUMENT = re.compile(r"ASR-[A-Z]+_[\d.]+_(EC2\.(?:13|14|18|19))")
_WORLD = ("0.0.0.0/0", "::/0")
# Ports that a control's runbook closes; None: all but those of the web.
_PORTS: dict[str, tuple[int, ...] | None] = {"EC2.13": (22,), "EC2.14": (3389,), "EC2.18": None}
_PORTS["EC2.19"] = (20, 21, 22, 23, 25, 110, 135, 143, 445, 1433, 1434, 3000, 3306, 3389, 4333, 5000, 5432, 5500, 5601,
                    8080, 8088, 8888, 9200, 9300)  # fmt: skip
_FINISHED = "Success"


def automation(clock: Clock) -> dict[tuple[str, str], Served]:
    """What the front answers of automations."""
    executions: dict[str, Json] = {}
    return {
        ("ssm", "StartAutomationExecution"): Served(partial(_start, clock, executions)),
        ("ssm", "GetAutomationExecution"): Served(partial(_get, executions)),
    }


def _start(clock: Clock, executions: dict[str, Json], asked: Asked) -> Json:
    given = asked.parameters
    name = given["DocumentName"]
    known = _DOCUMENT.fullmatch(name)
    if not known:
        raise asked.wrong(f"Automation document {name} was not found", "AutomationDefinitionNotFoundException")
    parameters = given.get("Parameters", {})
    if set(parameters) != {"Finding", "AutomationAssumeRole"}:
        text = "The automation takes the parameters Finding and AutomationAssumeRole"
        raise asked.wrong(text, "InvalidAutomationExecutionParametersException")
    execution = str(uuid.uuid4())
    fault = _run(asked, known[1], parameters["Finding"][0])
    executions[execution] = {
        "AutomationExecutionId": execution,
        "DocumentName": name,
        "DocumentVersion": "1",
        "AutomationExecutionStatus": "Failed" if fault else _FINISHED,
        "ExecutionStartTime": clock.now,
        "ExecutionEndTime": clock.now + dt.timedelta(seconds=20),
        "Parameters": parameters,
        **({"FailureMessage": fault} if fault else {}),
    }
    return {"AutomationExecutionId": execution}


def _get(executions: dict[str, Json], asked: Asked) -> Json:
    wanted = asked.parameters["AutomationExecutionId"]
    if wanted not in executions:
        raise asked.wrong(f"Automation execution {wanted} was not found", "AutomationExecutionNotFoundException")
    return {"AutomationExecution": executions[wanted]}


def _run(asked: Asked, control: str, text: str) -> str:
    """Close what the finding names; why that failed, or nothing."""
    try:
        finding = json.loads(text)
        named, resource = finding["Compliance"]["SecurityControlId"], finding["Resources"][0]["Id"]
    except (ValueError, KeyError, TypeError, IndexError):
        return "the finding is no control finding in ASFF"
    if named != control:
        return f"the finding is of control {named}, the runbook of {control}"
    ec2 = backend("ec2", asked.account, asked.region)
    group = ec2.get_security_group_from_id(resource.rsplit("/", 1)[-1])
    if group is None:
        return f"there is no security group {resource}"
    for rule in [one for one in group.ingress_rules if _open(one, control)]:
        group.ingress_rules.remove(rule)
    return ""


def _open(rule: Any, control: str) -> bool:  # noqa: ANN401 - moto has no types
    ranges = rule.ip_range or {}
    if ranges.get("CidrIp") not in _WORLD and ranges.get("CidrIpv6") not in _WORLD:
        return False
    first, last = int(rule.from_port or 0), int(rule.to_port or 65535)
    ports = _PORTS[control]
    if ports is None:
        return (first, last) not in ((80, 80), (443, 443))
    return any(first <= port <= last for port in ports)
