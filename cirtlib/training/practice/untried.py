"""Calls of the logs that could not be put to the front, by kind: they cost nothing, and are told, not left out."""

from dataclasses import dataclass, field
from typing import Any

from cirtlib.text import many
from cirtlib.training.practice.rebuild import call_of, parameters_of

Json = dict[str, Any]
ATTACKER, OTHERS = "attacker", "others"
UNWRITTEN = "it cannot be written with what is known of it"
_NOT_TOLD = "its record does not tell all that it needs"
_NO_MODEL = "the AWS SDK does not have it"
_NO_CALL = "no API call"
# CloudTrail's type of events that are calls of an API. Source: CloudTrail user guide, "CloudTrail record contents".
_API = "AwsApiCall"
_KEPT, _SHOWN = 5, 8


@dataclass
class Untried:
    """Kinds of calls that were not tried: (whose, call, why) -> ids of records, all of them, in their order."""

    kinds: dict[tuple[str, str, str], dict[str, None]] = field(default_factory=dict)

    def note(self, whose: str, call: str, why: str, *event_ids: str) -> None:
        """Add records of a kind."""
        self.kinds.setdefault((whose, call, why), {}).update(dict.fromkeys(event_ids))

    def rebuilt(self, whose: str, event: Json) -> tuple[str, str, Json] | None:
        """Service, operation and parameters of a record; None where they cannot be told, which is noted."""
        named = call_of(event)
        given = parameters_of(event, *named) if named else None
        if named and given is not None:
            return (*named, given)
        if named:
            self.note(whose, f"{named[0]}:{named[1]}", _NOT_TOLD, event["eventID"])
        else:
            service = event["eventSource"].removesuffix(".amazonaws.com")
            why = _NO_MODEL if event.get("eventType", _API) == _API else _NO_CALL
            self.note(whose, f"{service}:{event['eventName']}", why, event["eventID"])
        return None

    def rows(self) -> list[Json]:
        """As JSON: whose, call, why, count, some event_ids; what is no API call comes last."""
        ordered = sorted(self.kinds, key=lambda one: (one[2] == _NO_CALL, one))
        return [
            {
                "whose": whose,
                "call": call,
                "why": why,
                "count": len(self.kinds[whose, call, why]),
                "event_ids": list(self.kinds[whose, call, why])[:_KEPT],
            }
            for whose, call, why in ordered
        ]


def sentence(rows: list[Json]) -> str:
    """What could not be tried, in words; '' where there is nothing to say."""
    said = []
    for whose, words in ((ATTACKER, "of the attacker's calls"), (OTHERS, "of everybody else's calls")):
        kinds = list(dict.fromkeys(row["call"] for row in rows if row["whose"] == whose and row["why"] != _NO_CALL))
        if kinds:
            said.append(f"{many(len(kinds), 'kind')} {words} could not be tried: {_names(kinds)}")
    pages = list(dict.fromkeys(row["call"] for row in rows if row["why"] == _NO_CALL))
    if pages:
        said.append(f"sign-ins, pages and acts of services are no API calls to try: {_names(pages)}")
    return "; ".join(said) + (". They cost nothing." if said else "")


def _names(kinds: list[str]) -> str:
    more = f" and {len(kinds) - _SHOWN} more" if len(kinds) > _SHOWN else ""
    return ", ".join(kinds[:_SHOWN]) + more
