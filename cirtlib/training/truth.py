"""The truth of an incident, written down act by act while the attack is made, never typed a second time."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from cirtlib.training.shapes import Json, iso

# Where several hold, the first is the status.
ORDER = ("compromised", "attacker_created", "changed")


@dataclass
class Truth:
    """What the attacker did: events, the nodes of the extent with all that holds of them, and the innocents.

    `leads` are things that the attacker had, though no record can prove it. `alarm` is what a false alarm was about:
    whose act it was, by what it can be told, and who confirms it; then nothing is in the extent.
    """

    events: list[tuple[str, str]] = field(default_factory=list)
    times: list[dt.datetime] = field(default_factory=list)
    marks: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    owner: list[tuple[str, str]] = field(default_factory=list)
    external: list[str] = field(default_factory=list)
    story: dict[str, Json] = field(default_factory=dict)
    trust_before: dict[str, Json] = field(default_factory=dict)
    logging: Json = field(default_factory=dict)
    innocents: dict[str, Any] = field(default_factory=dict)
    leads: list[str] = field(default_factory=list)
    alarm: Json = field(default_factory=dict)

    def act(self, at: dt.datetime, *records: Json, credential: str, principal: str) -> None:
        """Note an act of the attacker's: its records, and the credential and principal it was done with."""
        self.events += [(record["eventID"], record["recipientAccountId"]) for record in records]
        self.times.append(at)
        self.mark("credential", credential, "compromised")
        self.mark("principal", principal, "compromised")

    def mark(self, kind: str, value: str, status: str) -> None:
        """Note that something belongs to the extent, and why."""
        self.marks.setdefault((kind, value), set()).add(status)

    def extent(self) -> list[Json]:
        """List the nodes of the extent, each with the first status that holds."""
        return [
            {"kind": kind, "value": value, "status": next(status for status in ORDER if status in held)}
            for (kind, value), held in sorted(self.marks.items())
        ]

    def to_dict(self, *, scenario: str, seed: int, seed_finding: str, seeds: tuple[str, ...]) -> Json:
        """Return the content of truth.json."""
        first, last = (iso(min(self.times)), iso(max(self.times))) if self.times else (None, None)
        content = {
            "scenario": scenario,
            "seed": seed,
            "seed_finding": seed_finding,
            "seeds": list(seeds),
            "extent": self.extent(),
            "attacker_events": [list(pair) for pair in self.events],
            "owner_events": [list(pair) for pair in self.owner],
            "innocents": self.innocents,
            "leads": self.leads,
            "attack": {"first": first, "last": last},
            "trust_before": self.trust_before,
            "logging": self.logging,
            "external_accounts": sorted(set(self.external)),
        }
        return content | ({"alarm": self.alarm} if self.alarm else {})
