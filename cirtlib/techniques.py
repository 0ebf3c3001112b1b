"""What an API call means: kind of access, tactic and technique of MITRE ATT&CK, and plain words.

The table data/techniques.tsv is our own judgement of what a call can serve, not of whether it did: a pipeline that
attaches a policy shows the same tactic as an attacker. Ids are those of ATT&CK v19 (April 2026), which split the tactic
Defense Evasion into Stealth and Defense Impairment and renumbered T1562; `technique_old` is the id before that.

`ttc` is the technique of the Threat Technique Catalog for AWS, which keeps ATT&CK's ids of before v19 and adds its own
(T1562.A001). data/ttc.tsv holds its ids and names, each with the page of the catalogue and the public lists it was read
from. Which call serves which is Stratus Red Team's statement where that names the call, else our judgement by the name
of the technique; empty where the catalogue has none that fits.
"""

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import pandas as pd

TACTICS = (
    "Initial Access", "Credential Access", "Discovery", "Persistence", "Privilege Escalation", "Defense Impairment",
    "Stealth", "Lateral Movement", "Execution", "Collection", "Exfiltration", "Impact", "Resource Development",
    "Command and Control",
)  # fmt: skip
"""Tactics of ATT&CK v19 that occur in the table, in the order figures show them."""

COLUMNS = ("access", "tactic", "technique", "technique_old", "ttc")

_READS = re.compile(
    r"^(Batch)?(Get|List|Describe|Head|Search|Lookup|Scan|Query|Select|Check|Validate|Simulate|Test|Preview|Estimate"
    r"|View|Filter|Discover|Detect|Retrieve|Read|Download|Poll|Count|Summarize|Is|Has)(?=[A-Z\d]|$)"
)
_WRITES = re.compile(
    r"^(Batch|Bulk|Admin)?(Create|Put|Update|Modify|Delete|Remove|Add|Attach|Detach|Associate|Disassociate|Start|Stop"
    r"|Run|Terminate|Reboot|Register|Deregister|Enable|Disable|Import|Export|Copy|Restore|Set|Reset|Tag|Untag|Send"
    r"|Publish|Upload|Invoke|Execute|Submit|Cancel|Allocate|Release|Assign|Unassign|Authorize|Revoke|Grant|Accept"
    r"|Reject|Change|Replace|Rotate|Write|Post|Share|Unshare|Subscribe|Unsubscribe|Request|Schedule|Resume|Pause"
    r"|Suspend|Move|Merge|Rename|Apply|Initiate|Complete|Abort|Purge|Provision|Deploy|Install|Transfer|Encrypt|Sign"
    r"|Link|Unlink|Lock|Unlock|Archive|Activate|Deactivate|Invite|Leave|Generate|Make|Open|Close|Record|Notify"
    r"|Build|Redrive|Retry|Rollback|Failover|Promote|Switch|Verify|Retire|Receive)(?=[A-Z\d]|$)"
)
# Lambda and CloudFront write the version of their API into the name: CreateFunction20150331.
_VERSION = re.compile(r"(?<=[a-z])(\d{8}|\d{4}_\d{2}_\d{2})(v\d+)?$")
_WORDS = re.compile(r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True)
class Action:
    """Meaning of one API call. `tactic` and `technique` are empty where a call serves none by itself."""

    access: str  # read, write, credential, permissions, logging or unknown
    tactic: str
    technique: str
    technique_old: str
    what: str
    ttc: str = ""

    @property
    def shown(self) -> str:
        """Technique as reports show it, with the id before v19 in brackets where it changed."""
        return shown(self.technique, self.technique_old)


def describe(event_source: str | None, event_name: str | None) -> Action:
    """Meaning of the API call `event_name` of the service `event_source` ("iam.amazonaws.com")."""
    source, name = event_source or "", _VERSION.sub("", event_name or "")
    exact, prefixes = _table()
    if action := exact.get((source, name)):
        return action
    for prefix, action in prefixes.get(source, ()):
        if name.startswith(prefix):
            return action
    return _by_verb(source, name)


def annotate(events: pd.DataFrame) -> pd.DataFrame:
    """Events with the columns `COLUMNS`, in the same order and index.

    A call whose name tells nothing is a read where the record itself says so.
    """
    calls = events[["event_source", "event_name"]].astype(object).fillna("").astype(str)
    codes, names = pd.factorize(calls["event_source"] + "\0" + calls["event_name"])
    actions = [describe(*name.split("\0", 1)) for name in names]
    meanings = {column: pd.Series([getattr(action, column) for action in actions], dtype="str") for column in COLUMNS}
    result = events.assign(**{column: series.to_numpy()[codes] for column, series in meanings.items()})
    if "read_only" in events:
        silent = (result["access"] == "unknown") & events["read_only"].fillna(False).astype(bool)
        result.loc[silent, "access"] = "read"
    return result


def shown(technique: str, technique_old: str) -> str:
    """Technique id, with the id before ATT&CK v19 in brackets where it changed: T1685.002 (T1562.008)."""
    return technique if technique_old in ("", technique) else f"{technique} ({technique_old})"


@cache
def catalogue() -> pd.DataFrame:
    """Techniques of the Threat Technique Catalog for AWS: id, name, page, source."""
    text = files("cirtlib").joinpath("data/ttc.tsv").read_text(encoding="utf-8")
    return pd.DataFrame(list(csv.DictReader(text.splitlines(), delimiter="\t")))


@cache
def _table() -> tuple[dict[tuple[str, str], Action], dict[str, list[tuple[str, Action]]]]:
    """Exact calls, and per service the name prefixes (written with a * at their end), longest first."""
    exact: dict[tuple[str, str], Action] = {}
    prefixes: dict[str, list[tuple[str, Action]]] = {}
    text = files("cirtlib").joinpath("data/techniques.tsv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines(), delimiter="\t"):
        old = row["technique_old"] or row["technique"]
        action = Action(row["access"], row["tactic"], row["technique"], old, row["what"], row["ttc"])
        source, name = row["event_source"], row["event_name"]
        if name.endswith("*"):
            prefixes.setdefault(source, []).append((name[:-1], action))
        else:
            exact[source, name] = action
    for entries in prefixes.values():
        entries.sort(key=lambda entry: -len(entry[0]))
    return exact, prefixes


def _by_verb(source: str, name: str) -> Action:
    """Meaning that the verb of an unlisted call gives: reading is discovery, what a change serves is left open."""
    service = source.removesuffix(".amazonaws.com")
    what = f"called {_WORDS.sub(' ', name)} of {service}" if service else f"called {name}"
    if _READS.match(name):
        return Action("read", "Discovery", "T1526", "T1526", what)
    return Action("write" if _WRITES.match(name) else "unknown", "", "", "", what)
