"""Have the practice account of an exercise judged."""

from pathlib import Path
from typing import Any

from cirtlib.training.exercise.record import Record
from cirtlib.training.practice import control
from cirtlib.training.practice.judge import Judgement
from cirtlib.training.practice.server import CONFIG, FOLDER


def graded(folder: Path, record: Record) -> dict[str, Any] | None:
    """Judgement of what was done in the account; None where it was never started though there was something to do.

    An account that was stopped is started for it. Where nothing was to be contained, leaving it alone is right.
    """
    if not (folder / FOLDER / CONFIG).is_file() and control.status(folder) is None:
        if record.truth["extent"]:
            return None
        return Judgement(points=dict.fromkeys(("ways", "uses", "evidence", "cleanup"), 1.0)).to_dict()
    control.start(folder)
    return control.ask(folder, "/cirt/judge")
