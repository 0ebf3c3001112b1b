"""Gaps and the controls that close them: the rows of data/prevention.yaml that an incident calls for."""

import csv
import functools
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import Any

import yaml

from cirtlib.prevention.signs import Sign, Signs

KINDS = ("preventive", "detective")
ALWAYS = Sign("in every organization, whatever this incident shows", 0)


@dataclass(frozen=True)
class Control:
    """One control.

    Attributes
    ----------
    kind
        preventive or detective.
    hub
        Security Hub controls to enable, by id.
    scp
        Sids of statements of data/prevention_scps.json.
    template
        Resources of data/prevention.cfn.yaml.
    trust
        Whether the trust policies of the assumed roles are its artefact.
    call
        An AWS call that an administrator makes once, as an api block; None where there is none.
    """

    kind: str
    name: str
    how: str
    hub: tuple[str, ...] = ()
    scp: tuple[str, ...] = ()
    template: tuple[str, ...] = ()
    trust: bool = False
    call: dict[str, Any] | None = None


@dataclass(frozen=True)
class Gap:
    """One gap of an incident: what made it possible, the signs that show it, the controls that close it."""

    id: str
    text: str
    root_cause: str
    signs: tuple[Sign, ...]
    controls: tuple[Control, ...]

    @property
    def evidence(self) -> tuple[str, ...]:
        """Ids of the events and findings behind its signs, each once."""
        return tuple(dict.fromkeys(one for sign in self.signs for one in sign.evidence))


def gaps(signs: Signs) -> tuple[Gap, ...]:
    """Gaps that these signs show, in the order of the data."""
    found = []
    for row in rows():
        shown = [sign for name, sign in signs.found.items() if any(fnmatchcase(name, one) for one in row["shown_by"])]
        shown += [ALWAYS] if "always" in row["shown_by"] else []
        if shown:
            controls = tuple(_control(one) for one in row["measures"])
            found.append(Gap(row["id"], row["gap"], row["root_cause"], tuple(shown), controls))
    return tuple(found)


@functools.cache
def rows() -> tuple[dict[str, Any], ...]:
    """Rows of data/prevention.yaml."""
    return tuple(yaml.safe_load(_data("prevention.yaml")))


@functools.cache
def titles() -> dict[str, str]:
    """Security Hub control -> title and severity (data/hub_controls.tsv)."""
    table = csv.DictReader(_data("hub_controls.tsv").splitlines(), delimiter="\t")
    return {row["control"]: f"{row['title']} ({row['severity']})" for row in table}


def template() -> str:
    """Text of the CloudFormation template."""
    return _data("prevention.cfn.yaml")


def statements() -> str:
    """Text of data/prevention_scps.json: file name -> statements, with what is filled in as `@name`."""
    return _data("prevention_scps.json")


def _control(row: dict[str, Any]) -> Control:
    return Control(
        kind=row["kind"],
        name=row["control"],
        how=row["how"],
        hub=tuple(row.get("hub", ())),
        scp=tuple(row.get("scp", ())),
        template=tuple(row.get("template", ())),
        trust=bool(row.get("trust")),
        call=row.get("call"),
    )


def _data(name: str) -> str:
    return files("cirtlib").joinpath(f"data/{name}").read_text(encoding="utf-8")
