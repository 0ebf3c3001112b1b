"""The answer of `cirt verify`: is the evidence as it was collected, and are the logs as CloudTrail delivered them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cirtlib import digest, evidence
from cirtlib.case import Case
from cirtlib.digest.keys import read_file

# Files that are named for each verdict, and for each reason where that is no fault; --format json names all.
_SHOWN, _ALIKE = 50, 3


@dataclass(frozen=True)
class Verification:
    """What was found.

    Attributes
    ----------
    changed
        One sentence for each original, item of the quarantine or manifest line that is not as it was collected.
    verdicts
        As `cirtlib.digest.validate` gives them.
    """

    changed: list[str]
    verdicts: pd.DataFrame

    @property
    def faults(self) -> int:
        """Count of what was changed or removed."""
        return len(self.changed) + int(self.verdicts["verdict"].isin(digest.FAULTS).sum())

    @property
    def lacks(self) -> int:
        """Count of what cannot be proven."""
        return int(self.verdicts["verdict"].isin(digest.LACKS).sum())

    def lines(self) -> list[str]:
        """The answer in words: counts by verdict, then every file whose verdict asks for a look, worst first."""
        lines = [*self.changed] or ["the evidence is as it was collected"]
        if self.verdicts.empty:
            return [*lines, "there are no digest files: nothing proves that the logs are as CloudTrail delivered them"]
        counts = digest.summary(self.verdicts)
        for verdict, *numbers in counts.itertuples(index=False, name=None):
            parts = zip(numbers, ("digest files", "log files", "times without digests"), strict=True)
            lines.append(f"{verdict}: {', '.join(f'{count:,} {what}' for count, what in parts if count)}")
        for verdict in (*digest.FAULTS, *digest.LACKS, digest.STOPPED):
            rows = self.verdicts[self.verdicts["verdict"].eq(verdict)]
            shown = rows.head(_SHOWN) if verdict in digest.FAULTS else rows.groupby("reason", sort=False).head(_ALIKE)
            lines += [_line(row) for row in shown.head(_SHOWN).itertuples(index=False)]
            if more := len(rows) - len(shown.head(_SHOWN)):
                lines.append(f"{verdict}: ... and {more:,} more; --format json names all")
        return lines

    def warnings(self) -> list[str]:
        """What stands on stderr: the outcome."""
        found = []
        if self.changed:
            found.append(f"cirt: {len(self.changed)} faults: the evidence is not what was collected")
        if count := self.faults - len(self.changed):
            found.append(f"cirt: {count} files are not what CloudTrail delivered")
        if self.lacks:
            found.append(f"cirt: {self.lacks} files or times cannot be proven")
        return found

    def to_dict(self) -> dict[str, Any]:
        """For JSON: changed, summary and verdicts."""
        return {
            "changed": self.changed,
            "summary": digest.summary(self.verdicts).to_dict("records"),
            "verdicts": json.loads(self.verdicts.to_json(orient="records", date_format="iso", date_unit="s")),
        }


def _line(row: Any) -> str:  # noqa: ANN401 - a row of pandas
    where = f"{row.account} {row.region}"
    if row.kind == "log":
        return f"{row.verdict}: {row.name}: {row.reason}"
    times = f"{row.start:%Y-%m-%dT%H:%M:%SZ} to {row.end:%Y-%m-%dT%H:%M:%SZ}"
    return f"{row.verdict}: {row.name or f'{where}, trail {row.trail}'}, {times}: {row.reason}"


def verify(case: Case, *, keys: Path | None = None) -> Verification:
    """Check the evidence against its own hashes and against the digest files in it; the verdicts are kept in out/.

    Parameters
    ----------
    keys
        File of public keys, in addition to those that were collected.

    Raises
    ------
    EvidenceError
        when the file of keys cannot be read, or the manifest is no manifest.
    """
    known = read_file(keys) if keys else ()
    changed = evidence.verify(case)
    return Verification(changed, digest.fresh(case, keys=known))
