"""The catalogue as a page, docs/containment.md: what can be done about what, and what the emulator ran of it."""

import csv
from importlib.resources import files

from cirtlib.containment.entries import policies, rows

HEAD = """# What a containment plan can do

Made by `python -m cirtlib.containment.matrix` from the catalogue; a test keeps it true. Every call is valid by
botocore's model of its service. *run* in the last column: the tests carry it out in the emulator, see its check fail
before and hold after, and undo it. Else it says why the calls are only validated. *With the switch*: the rollback would
let the attacker in again, so it is refused without `--reopen-attacker-access`.
"""
COLUMNS = ("step", "about", "contain", "check", "undo", "in the emulator")


def steps() -> list[dict[str, str]]:
    """Rows of data/catalogue_steps.tsv: steps that functions make, and what has none."""
    text = files("cirtlib").joinpath("data/catalogue_steps.tsv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines(), delimiter="\t"))


def known() -> dict[str, tuple[str, str]]:
    """Section, and what the emulator ran or why not, of every kind of step by the id that `Step.row` has."""
    made = {one["id"]: (one["section"], one["emulator"]) for one in steps() if one["id"]}
    found = {row.id: (row.section, row.emulator) for row in rows().values()}
    return made | found | {row.id: (row.section, row.emulator) for row in policies().values()}


def matrix() -> str:
    """Text of docs/containment.md."""
    sections: dict[str, list[tuple[str, ...]]] = {}
    for one in steps():
        cells = (one["id"], one["what"], one["contain"], one["verify"], one["undo"], one["emulator"])
        sections.setdefault(one["section"], []).append(cells)
    for row in rows().values():
        back = f"{_call(row.rollback)}, with the switch" if row.rollback else "stays"
        cells = (row.id, row.what, _call(row.api), _call(row.look["api"]), back, row.emulator)
        sections.setdefault(row.section, []).append(cells)
    for policy in policies().values():
        back = f"{_call(policy.put)}, with the switch"
        change = f"{_call(policy.put)}, or {_call(policy.empty)}"
        cells = (policy.id, policy.what, change, _call(policy.get), back, policy.emulator)
        sections.setdefault(policy.section, []).append(cells)
    last = sections.pop("Without a step")
    return "\n".join([HEAD, *(_table(name, found) for name, found in sections.items()), _table("Without a step", last)])


def _call(api: dict[str, object]) -> str:
    return f"{api['service']}:{api['operation']}"


def _table(name: str, found: list[tuple[str, ...]]) -> str:
    head = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    return "\n".join([f"## {name}", "", *head, *("| " + " | ".join(cells) + " |" for cells in found), ""])


if __name__ == "__main__":
    print(matrix(), end="")
