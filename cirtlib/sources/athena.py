"""The suspects' slice of CloudTrail records that Athena reads."""

from collections.abc import Mapping
from typing import Any

from cirtlib.case import Case
from cirtlib.sources import Place, suspects


def place(case: Case, kind: str, options: Mapping[str, Any]) -> Place:
    """Table of a source `cloudtrail: {athena: {...}}`; see `suspects.place`.

    Raises
    ------
    CaseError
        when its options are wrong, or the case has no seed.
    """
    return suspects.place(case, kind, options, "athena")
