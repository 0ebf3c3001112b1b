"""What someone types who has only runbook.md: its commands, step by step, as they stand there."""

import re

COMMANDS = re.compile(r"^~~~bash\n(.*?)\n~~~$", re.DOTALL | re.MULTILINE)
NOTE = re.compile(r"^- \[ \] \*\*Note\*\* that it is done: `(.*)`$", re.MULTILINE)
ACCOUNT = re.compile(r"^- Target: .*[ *]account (\d{12})\W", re.MULTILINE)


def sections(text):
    """Step id -> its section of the runbook."""
    parts = re.split(r"^### (?=\d\d-)", text, flags=re.MULTILINE)[1:]
    return {part.split(":", 1)[0]: re.split(r"^## ", part, maxsplit=1, flags=re.MULTILINE)[0] for part in parts}


def typed(text, profiles):
    """Lines that are typed in the folder of the runbook: go there, and for each step who you are, and its commands.

    `profiles`: account -> the profile that is chosen for it.
    """
    prelude = text.split("## How to run it by hand")[1].split("\n## ")[0]
    go_there, look = COMMANDS.findall(prelude)
    lines, account = [go_there], ""
    for section in sections(text).values():
        own = ACCOUNT.search(section)[1]
        if own != account:
            lines.append(look.replace("PROFILE=PROFILE", f"PROFILE={profiles[own]}"))
            account = own
        forward = re.split(r"\*\*(?:Undo|Not undone)", section)[0]
        lines += [*COMMANDS.findall(forward), *NOTE.findall(forward)]
    return lines
