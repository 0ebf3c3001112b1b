"""prevent.md: the gaps, with their evidence, and the controls as check boxes."""

import pandas as pd

from cirtlib.case import Case
from cirtlib.containment import scripts
from cirtlib.prevention import controls, policies
from cirtlib.prevention.controls import Control, Gap
from cirtlib.prevention.policies import Documents
from cirtlib.prevention.signs import Sign, Signs
from cirtlib.text import visible

_SHOWN = 6
_FEW = 3
_CALL = "by hand: "

_SCPS = """\
## Before you attach a service control policy

* [ ] Replace the pipeline's role by yours if it is not: `cirt prevent CASE --pipeline-role ARN` writes all files anew.
* [ ] Attach it to one account or a test OU first, and look for denied calls in CloudTrail for a week.
* [ ] Keep `FullAWSAccess` attached. A target holds a limited number of policies, 5 unless your quota is higher, and
  these files are made to fit beside it.

A service control policy binds neither the management account nor service-linked roles, and grants nothing. Exempt are,
by `ArnNotLike aws:PrincipalArn`: {exempted}. An exemption is a door: whoever can make or change an exempt role walks
through it, which `ProtectExemptRoles` denies. `DenyLeavingOrganization`, `DenyRootUser`, `RequireImdsV2AtLaunch` and
`DenyCredentialsOfImdsV1` exempt nobody.
"""

_TEMPLATE = """\
## How to deploy the template

~~~bash
aws cloudformation deploy --stack-name prevent --template-file prevent.yaml --capabilities CAPABILITY_IAM \\
  --region REGION --parameter-overrides AlarmEmail=ADDRESS
~~~

Deploy it in each Region in use and in us-east-1, where the events of IAM, of sign-in and of Organizations are sent.
`RequireMfa` is of the whole account: use that of one Region. Parameters leave out what the account has already:
`ConfigIsOn`, `MakeDetector`, `MakeHub`, `MakeAnalyzer`, `BlockSnapshots`, `TrailLogGroup`. After it, test the alarm:
stop logging of a trail in a test account, and see that a message comes although the trail is silent.

The rules `prevent-guardduty`, `prevent-config` and `prevent-securityhub` get their events from those services.
`prevent-api-calls` and `prevent-root` get theirs from CloudTrail, and are silent where no trail is logging.
"""


def artefacts(control: Control, made: Documents) -> list[str]:
    """What implements a control: files of out/plan/prevent, each with what in it, and calls."""
    found = [f"prevent.yaml: {', '.join(control.template)}"] if control.template else []
    for file in dict.fromkeys(made.places[sid] for sid in control.scp if sid in made.places):
        found.append(f"{file}: {', '.join(sid for sid in control.scp if made.places.get(sid) == file)}")
    if control.trust:
        found += [f"{file}: {visible(role)}" for file, (role, _) in made.trust.items()]
    if control.call:
        found.append(f"{_CALL}{control.call['service']} {control.call['operation']}")
    return found


def shown(sign: Sign) -> str:
    """A sign in words; a call (whose words are its name) with how often it was made."""
    return sign.text + (f" ({sign.count:,} times)" if sign.count > 1 and " " not in sign.text else "")


def markdown(case: Case, seen: Signs, gaps: tuple[Gap, ...], tried: tuple[Documents, pd.DataFrame]) -> str:
    """Text of prevent.md; `tried` is the policies and their rehearsal."""
    made, stopped = tried
    lines = [f"# Prevention: {_code(case.title or case.name)}", ""]
    lines += [
        "What made this incident possible, and what keeps it from happening again. Each control has a box to tick. No",
        "script of the plan applies any of it: carry out the plan first, then this.",
        "",
    ]
    for gap in gaps:
        lines += _section(gap, seen, made)
    lines += [_SCPS.format(exempted=", ".join(_code(one) for one in made.exempted)), _TEMPLATE]
    lines += [*_stopped(stopped), *_files(made), *_missing(case, seen, made)]
    return "\n".join(lines)


def _section(gap: Gap, seen: Signs, made: Documents) -> list[str]:
    lines = [f"## {gap.text}", "", f"Root cause: {gap.root_cause}.", ""]
    lines += [f"* Shown by {_plain(shown(sign))}{_cited(sign)}" for sign in gap.signs] + [""]
    for one in gap.controls:
        lines += [f"* [ ] **{one.name}** ({one.kind}). {one.how}"]
        lines += [f"  * [ ] {_plain(part)}" for part in artefacts(one, made) if not part.startswith(_CALL)]
        lines += [f"  * [ ] enable Security Hub control {name}: {controls.titles()[name]}" for name in one.hub]
        lines += [part for given in _calls(one, seen) for part in ("", "  ~~~bash", f"  {given}", "  ~~~")]
    return [*lines, ""]


def _calls(control: Control, seen: Signs) -> list[str]:
    """The commands of a control; one that names an account, once for each account of the incident."""
    if not control.call:
        return []
    if control.call["parameters"].get("AccountId") != "@account":
        return [scripts.command(control.call, "REGION")]
    filled = [{**control.call["parameters"], "AccountId": account} for account in seen.accounts]
    return [scripts.command({**control.call, "parameters": given}, "us-east-1") for given in filled]


def _stopped(table: pd.DataFrame) -> list[str]:
    """What the statements would have denied of the calls in the logs."""
    lines = ["## Had these policies stood", ""]
    lines += [
        "Calls in these logs that succeeded, and that a statement would have denied; each counts once, at the first",
        "that denies it. A role of yours among the others is what the statement breaks: exempt it, or change it.",
        "",
    ]
    for row in table.itertuples():
        others = f" (by {_few(row.others)}: {_few(row.other_events)})" if row.other_calls else ""
        mine = f" ({_few(row.evidence)})" if row.attacker_calls else ""
        lines.append(
            f"* `{row.statement}`: {row.attacker_calls:,} of the attacker{mine}, {row.other_calls:,} of others{others}."
        )
    return [*lines, ""]


def _few(texts: list[str]) -> str:
    more = len(texts) - _FEW
    return ", ".join(_code(one) for one in texts[:_FEW]) + (f" and {more:,} more" if more > 0 else "")


def _files(made: Documents) -> list[str]:
    lines = ["## Files", ""]
    for name, content in made.scps.items():
        lines.append(f"* `{name}`: {', '.join(one['Sid'] for one in content['Statement'])}")
    lines += [f"* `{name}`: trust policy for {_code(role)}" for name, (role, _) in made.trust.items()]
    return [*lines, "* `prevent.yaml`: alarms, Config rules and defaults (CloudFormation)", ""]


def _missing(case: Case, seen: Signs, made: Documents) -> list[str]:
    """What the files cannot know."""
    lines = ["## What was not checked", ""]
    lines += [
        "* Whether a control is in place already: ask Security Hub and your organization's policies.",
        "* Whom a service control policy would stop that these logs do not show, and statements on single resources or",
        "  on IMDSv2 at launch: the test OU shows it.",
        "* What a linter of identity policies cannot tell of SCPs: AWS checks that when you create them.",
    ]
    named = {role for role, _ in made.trust.values()}
    for role in seen.roles:
        if role not in named:
            lines.append(f"* Who assumes {_code(role)}: nobody else in these logs, so it has no trust policy here.")
    for file, (role, _) in made.trust.items():
        for one in sorted(seen.compromised & set(seen.roles[role])):
            lines.append(f"* `{file}` names {_code(one)}, which is compromised: renew its credentials first.")
    for one in case.responders:
        if not policies.exempt([one])[1:]:
            lines.append(f"* The responder {_code(one)} is not exempt: that is no ARN of a user or a role.")
    if seen.regions:
        regions = ", ".join(_code(one) for one in seen.regions)
        lines.append(f"* Regions in use are those with changes of others in these logs: {regions}.")
    return [*lines, ""]


def _cited(sign: Sign) -> str:
    if not sign.evidence:
        return "."
    more = max(sign.count, len(sign.evidence)) - len(sign.evidence[:_SHOWN])
    return f": {', '.join(_code(one) for one in sign.evidence[:_SHOWN])}{f' and {more:,} more' if more else ''}."


def _plain(text: str) -> str:
    """Text that may hold a name from a log, as Markdown without markup."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>#|&!" else c for c in visible(text))


def _code(text: str) -> str:
    """Text from a log as a Markdown code span."""
    return f"`{visible(text).replace('`', chr(39))}`"
