"""Names that an attacker may give to things, and plans that hold them in every place that takes a text."""

from dataclasses import replace

from cirtlib.containment import catalogue
from cirtlib.containment.step import Plan, number
from tests.plan_sample import HOME

HOSTILE = [
    "$(touch pwned)", "$(reboot)", "`touch pwned`", "'; touch pwned; '", "'; x", '"; touch pwned; "', "-rf",
    "a\ntouch pwned\n", "x\u202egnp.exe", "x\u200fy", "${now}", "$${now}", "${01-leave-group.now}", "\\", "${HOME}",
    "file://pwned", "&& touch pwned", "</script><script>document.title='pwned'</script>",
    "<img src=x onerror=\"document.title='pwned'\">", "=cmd|' /C calc'!A0", "+1+cmd|'!A", "@SUM(1)", "\t=1", "\r=1",
    "a|b", "[x](javascript:document.title='pwned')", "<javascript:alert(1)>", "https://example.com/x",
    "www.example.com",
    "![x](https://example.com/x.png)", "`", "```", "~~~\n# x", "**b**", "1. a", "- [x] a", "# a", "    code", "$a$",
    "&lt;b&gt;", "a  \n---\nb", "\x00", "\x1b[2J", "\ud800",
]  # fmt: skip
STORABLE = [one for one in HOSTILE if one != "\ud800"]  # what a table of the store can hold


def small(*steps, **more):
    """Plan of these steps."""
    fields = {"case": "ir", "title": "t", "as_of": "2026-06-12T09:00:00Z"}
    return Plan(**{**fields, **more}, steps=number(list(steps)))


def everywhere(name):
    """Plan that holds a text from a log wherever one can stand."""
    user = f"arn:aws:iam::{HOME}:user/{name}"
    used = {"calls": 2, "first": "2026-06-01T00:00:00Z", "last": "2026-06-02T00:00:00Z", "calls_a_day": 1.5,
            "callers": [name], "services": [name], "sessions": [name], "hours": [3, 4, 9]}  # fmt: skip
    step = catalogue.leave_group(user, name)
    step = replace(
        step, title=f"Take {name} out of {name}", nodes=(f"principal:{user}",), impact=name, side_effects=(name,),
        why=(name,), prerequisites=(name,), does_not_stop=(name,), used_by=used, rollback_note=name,
        alternatives=({"title": name, "api": step.api, "only_when": name, "evaded_by": name},),
    )  # fmt: skip
    return small(
        step, case=name, title=name, warnings=(name,), exposed=(name,),
        unplanned=({"node": f"resource:{name}", "reason": name},),
        recovery=({"title": name, "when": name, "how": name, "target": name, "step": ""},),
        effect={"says": [name], "attacker": {"possible": [{"call": name, "why": name}]}},
        contained_callers=({"account": HOME, "arn": user, "prefix": False},),
    )  # fmt: skip
