"""Remediate and prevent: the gaps that an incident shows, and the controls that close them, with files to deploy.

Chosen by what the attacker did, by the way in and by what the evidence lacks; each with the ids it answers. The files
are for people to review: nothing here calls AWS, and no script of the plan runs any of it.
"""

import json
from pathlib import Path

import pandas as pd

from cirtlib.case import Case
from cirtlib.prevention import controls, page, policies, rehearsal, signs
from cirtlib.prevention.controls import Control, Gap
from cirtlib.prevention.policies import PIPELINE, Documents

__all__ = ["PIPELINE", "Control", "Gap", "prevention", "rehearse", "write"]


def prevention(case: Case) -> pd.DataFrame:
    """Controls against a repetition of this incident.

    Returns
    -------
    DataFrame
        One row per control: gap, root_cause, kind (preventive, detective), control, how, security_hub (list of control
        ids), artefacts (list: files, and what in them), shown_by (list of words), evidence (list of event and finding
        ids that it answers; empty where coverage, not an event, shows the gap).

    Raises
    ------
    NotFoundError
        when the case has no seed, or a seed matches nothing in the evidence.
    """
    seen = signs.look(case)
    gaps = controls.gaps(seen)
    return _table(gaps, policies.documents(seen, gaps, responders=case.responders))


def _table(gaps: tuple[Gap, ...], made: Documents) -> pd.DataFrame:
    rows = [
        {
            "gap": gap.text,
            "root_cause": gap.root_cause,
            "kind": one.kind,
            "control": one.name,
            "how": one.how,
            "security_hub": list(one.hub),
            "artefacts": page.artefacts(one, made),
            "shown_by": [page.shown(sign) for sign in gap.signs],
            "evidence": list(gap.evidence),
        }
        for gap in gaps
        for one in gap.controls
    ]
    columns = ["gap", "root_cause", "kind", "control", "how", "security_hub", "artefacts", "shown_by", "evidence"]
    return pd.DataFrame(rows, columns=columns)


def rehearse(case: Case, *, pipeline: str = PIPELINE) -> pd.DataFrame:
    """Say which successful calls in the logs the guard-rails would have denied, the attacker's and others'.

    Returns
    -------
    DataFrame
        One row per statement that was judged: statement (its Sid), attacker_calls, evidence (first event ids of them),
        other_calls, others (ARNs of who made them, most calls first), other_events (first ids). Statements that hang on
        a resource, or on what a record does not tell, are not judged.
    """
    seen = signs.look(case)
    made = policies.documents(seen, controls.gaps(seen), responders=case.responders, pipeline=pipeline)
    return rehearsal.rehearse(case, made)


def write(case: Case, *, pipeline: str = PIPELINE) -> pd.DataFrame:
    """Write prevent.md, prevent.json, prevent.yaml (CloudFormation), scps/ and trust/ into out/plan/prevent/.

    Files of an earlier run that this one does not write are removed.

    Parameters
    ----------
    pipeline
        ARN of the role (`*` for any account) by which the organization makes identities and changes guard-rails; it and
        the responders of case.yaml are exempt from the service control policies.

    Returns
    -------
    DataFrame
        the controls, as `prevention` gives them.

    Raises
    ------
    PlanError
        when the pipeline's role is no ARN of a role, or too many responders are exempt.
    """
    seen = signs.look(case)
    gaps = controls.gaps(seen)
    made = policies.documents(seen, gaps, responders=case.responders, pipeline=pipeline)
    table = _table(gaps, made)
    files = {name: policies.text(content) for name, content in made.scps.items()}
    files |= {name: _json(content) for name, (_, content) in made.trust.items()}
    files["prevent.yaml"] = controls.template()
    files["prevent.json"] = _json(json.loads(table.to_json(orient="records")))
    files["prevent.md"] = page.markdown(case, seen, gaps, (made, rehearsal.rehearse(case, made)))
    _save(case.out / "plan" / "prevent", files)
    return table


def _json(content: object) -> str:
    return json.dumps(content, indent=1) + "\n"


def _save(folder: Path, files: dict[str, str]) -> None:
    for old in sorted(folder.glob("*/*.json")):
        if old.relative_to(folder).as_posix() not in files:
            old.unlink()
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")
        file.chmod(0o600)
