"""After containment: what the contained still did, what is new, what was left standing, and whether logs can tell."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from cirtlib import queries
from cirtlib.aftermath import calls as judging
from cirtlib.aftermath import standing
from cirtlib.aftermath.calls import ACCESS, ALIVE, ERROR, OTHER_CREDENTIAL, SPREADING, UNCLEAR
from cirtlib.aftermath.holds import Hold, holds
from cirtlib.aftermath.runs import DONE, Carried, Since, carried_out
from cirtlib.aftermath.standing import NOT_CONTAINED, UNKNOWN
from cirtlib.case import Case
from cirtlib.coverage.reach import reach
from cirtlib.facts import Facts, gather
from cirtlib.impact import impact

__all__ = ["CAPTIONS", "CONTAINED", "Aftermath", "verify_containment"]

CONTAINED = "contained"
CAPTIONS = {
    "verdicts": "Verdict for each account and Region",
    "calls": "Calls after containment",
    "new": "New credentials, users, keys, roles and trusts",
    "standing": "Left standing",
    "steps": "Steps, and when they were carried out",
}
"""The tables by name, in the order in which they matter, each with its caption."""

VERDICTS = ("account", "region", "verdict", "reaches", "by", "reasons", "event_ids")
NEW = (
    "what", "made", "by_whom", "event_time", "event_name", "principal", "access_key_id", "account_id", "region",
    "source_ip", "event_id",
)  # fmt: skip
STEPS = ("step", "account", "region", "target", "state", "at", "until", "checked", "plan")
_FAILING = (ACCESS, OTHER_CREDENTIAL)
_ACCESS_MADE = (
    "user", "long-term key", "console password", "role", "trust change", "identity provider", "MFA device",
    "federation session", "trust anchor", "SSO assignment",
)  # fmt: skip
_BY_WHOM = dict.fromkeys((ACCESS, SPREADING, ALIVE), "the contained") | {
    OTHER_CREDENTIAL: "the attacker's place", UNCLEAR: "not known"
}  # fmt: skip
_RANK = (NOT_CONTAINED, UNKNOWN, CONTAINED)


@dataclass(frozen=True)
class Aftermath:
    """Whether containment held, as far as the evidence reaches.

    Attributes
    ----------
    verdict
        contained, not contained or unknown: the weakest of `verdicts`.
    contained_at
        When the last step that takes access away was done; None: none was.
    verdicts
        A row for each account and Region (`VERDICTS`), with the reasons and the events that they rest on.
    calls
        Calls after containment (`calls.COLUMNS`); `kind` as `calls.MEANING` explains.
    new
        Credentials minted and identities made after containment (`NEW`); `by_whom`: the contained, the attacker's
        place, or others (whom to ask).
    standing
        What was left standing (`standing.COLUMNS`).
    steps
        Steps with when they were carried out (`STEPS`).
    """

    verdict: str
    contained_at: datetime | None
    verdicts: pd.DataFrame
    calls: pd.DataFrame
    new: pd.DataFrame
    standing: pd.DataFrame
    steps: pd.DataFrame

    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables by name, in the order of `CAPTIONS`."""
        return {name: getattr(self, name) for name in CAPTIONS}

    def to_dict(self) -> dict[str, Any]:
        """Verdict, sentences and tables as JSON values."""
        at = f"{self.contained_at:%Y-%m-%dT%H:%M:%SZ}" if self.contained_at else None
        return {"verdict": self.verdict, "contained_at": at, "says": self.words(), **queries.as_json(self.tables())}

    def words(self) -> list[str]:
        """What it comes to, in sentences."""
        counts = self.verdicts["verdict"].value_counts()
        parts = ", ".join(f"{int(counts[one]):,} {one}" for one in _RANK if one in counts)
        said = [f"Verdict: {self.verdict}. Of {len(self.verdicts):,} accounts and Regions: {parts}."]
        said += [f"Containment was complete at {self.contained_at:%Y-%m-%dT%H:%M:%SZ}."] if self.contained_at else []
        if UNKNOWN in counts:
            said.append(
                "Unknown is what the evidence does not show until 15 minutes after that: collect again. That a silent "
                "Region was quiet is shown by its digests, a listing of the bucket, or event history."
            )
        kinds = self.calls.groupby("kind")["calls"].sum() if len(self.calls) else pd.Series(dtype="int64")
        said += [
            f"Calls, {kind}: {int(kinds[kind]):,} ({what})." for kind, what in judging.MEANING.items() if kind in kinds
        ]
        said += [] if len(kinds) else ["Nothing was called by the contained, nor from the attacker's places."]
        own = int((self.new["by_whom"] != "others").sum())
        said += [
            f"New access: {own:,} by the contained or from the attacker's places, {len(self.new) - own:,} by others."
        ]
        deciding = int((self.standing["verdict"] != "").sum())
        said += [f"Left standing: {len(self.standing):,}, of which {deciding:,} decide the verdict."]
        return said


def verify_containment(case: Case, *, since: Since = None, states: Iterable[Path] = ()) -> Aftermath:
    """Say whether containment held, from evidence that was collected into the case after it.

    Parameters
    ----------
    since
        When the plan was carried out, where no state folder of contain.sh tells: a time, or times by account or step.
    states
        State folders of contain.sh that lie elsewhere than beside the plan.

    Raises
    ------
    NotFoundError
        when there is no plan, or nothing tells that it was carried out.
    PlanError
        when a state folder is of another plan.
    """
    steps = carried_out(case, since=since, states=states)
    against = holds(steps)
    facts = gather(case)
    calls = judging.judged(facts, against, _suspects(case, against))
    left = standing.left_standing(facts, steps, against, impact(case, facts=facts).open)
    done = [one.at for one in steps if one.contains and one.state == DONE and one.at]
    contained_at = max(done, default=None)
    verdicts = _verdicts(case, calls, left, (against, contained_at))
    return Aftermath(
        verdict=min(verdicts["verdict"], key=_RANK.index, default=UNKNOWN),
        contained_at=contained_at,
        verdicts=verdicts,
        calls=judging.told(calls),
        new=_new(facts, calls, against),
        standing=left,
        steps=_table(steps),
    )


def _suspects(case: Case, against: Sequence[Hold]) -> dict[str, set[str]]:
    """Keys and principals of the extent, and of what was contained."""
    known = queries.parameters(case)
    keys = {hold.subject for hold in against if not hold.subject.startswith("arn:")}
    principals = {hold.subject for hold in against} - keys
    return {"keys": keys | set(known["keys"]), "principals": principals | set(known["principals"]), "addresses": set()}


def _new(facts: Facts, calls: pd.DataFrame, against: Sequence[Hold]) -> pd.DataFrame:
    """What was minted or made since containment began that gives access (`NEW`)."""
    if not against:
        return pd.DataFrame(columns=list(NEW))
    told = dict(zip(calls["event_id"], calls["kind"], strict=True))
    bad = {one for one, kind in told.items() if kind in (*_FAILING, ALIVE, SPREADING, UNCLEAR)}
    made = queries.ask(
        facts.case, "footholds", engine="local", start=against[0].since, end=judging.FAR, accounts=[], regions=[]
    )  # fmt: skip
    made = made[made["what"].isin(_ACCESS_MADE) | made["event_id"].isin(bad)]
    minted = calls[
        calls["minted_key"].notna() & calls["event_id"].isin(bad) & ~calls["event_id"].isin(made["event_id"])
    ]
    minted = minted.assign(what="credential", made=minted["minted_key"])
    table = pd.concat([made, minted], ignore_index=True).sort_values(["event_time", "event_id"], kind="stable")
    table["by_whom"] = table["event_id"].map(told).map(_BY_WHOM).fillna("others")
    # a session of a denied user is denied as well
    table.loc[table["event_name"].eq("GetSessionToken"), "what"] = "session without access"
    return table[list(NEW)].reset_index(drop=True)


def _verdicts(
    case: Case, calls: pd.DataFrame, left: pd.DataFrame, when: tuple[Sequence[Hold], datetime | None]
) -> pd.DataFrame:
    """One row for each account and Region (`VERDICTS`)."""
    against, contained_at = when
    moment = contained_at or queries.as_of(case)
    covered = reach(case, moment)
    known = {(row.account, row.region): row for row in covered.itertuples()}
    deciding = left[left["verdict"].ne("")]
    places = {(one.account_id, one.region) for one in calls[calls["kind"].isin(_FAILING)].itertuples()}
    places |= {(one.account, one.region or "us-east-1") for one in deciding.itertuples() if one.account}
    revived = judging.revives(calls, against)
    rows = []
    for account, region in sorted({*known, *places}):
        said = [*_said(calls, revived, (account, region)), *_said_of(deciding, (account, region))]
        reached = known.get((account, region))
        lacks = reached.lacks if reached is not None else ["nothing was collected of it"]
        said += [(UNKNOWN, text, []) for text in lacks]
        verdict = min((one[0] for one in said), key=_RANK.index, default=CONTAINED)
        ids = [one for _, _, own in said for one in own][:20]
        until, by = (reached.until, reached.by) if reached is not None else (pd.NaT, "")
        rows.append([account, region, verdict, until, by, [one[1] for one in said], ids])
    return pd.DataFrame(rows, columns=list(VERDICTS)).astype({"reaches": "datetime64[us, UTC]"})


Said = tuple[str, str, list[str]]


def _said(calls: pd.DataFrame, revived: pd.DataFrame, pair: tuple[str, str]) -> list[Said]:
    """What the calls in an account and Region come to."""
    here = calls[calls["account_id"].eq(pair[0]) & calls["region"].eq(pair[1])]
    said: list[Said] = []
    for kind, verdict in (
        (ACCESS, NOT_CONTAINED),
        (OTHER_CREDENTIAL, NOT_CONTAINED),
        (UNCLEAR, UNKNOWN),
        (ERROR, UNKNOWN),
    ):
        own = here[here["kind"].eq(kind)]
        if len(own):
            who = ", ".join(sorted(set(own["access_key_id"].fillna(own["principal"]).astype(str))))
            said.append((verdict, f"{len(own):,} calls by {who}: {judging.MEANING[kind]}", list(own["event_id"])))
    alive = here[here["event_id"].isin(revived["event_id"])]
    if len(alive):
        keys = ", ".join(sorted(set(alive["access_key_id"])))
        said.append(
            (NOT_CONTAINED, f"{keys} answers although it was deactivated: it is active again", list(alive["event_id"]))
        )
    return said


def _said_of(deciding: pd.DataFrame, pair: tuple[str, str]) -> list[Said]:
    """What was left standing in an account and Region."""
    here = deciding[deciding["account"].eq(pair[0]) & (deciding["region"].isna() | deciding["region"].eq(pair[1]))]
    return [
        (row.verdict, f"{' '.join(part for part in (row.step, row.node) if part)}: {row.reason}", list(row.event_ids))
        for row in here.itertuples()
    ]


def _table(steps: Sequence[Carried]) -> pd.DataFrame:
    rows = [
        [*(one.step[name] for name in ("id", "account", "region", "target")), one.state, one.at, one.until,
         "said" if one.said else one.checked, one.plan]
        for one in steps
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=list(STEPS))
    for name in ("at", "until"):
        table[name] = pd.to_datetime(table[name], utc=True)
    return table
