"""The true answer of a name; no answer is typed a second time.

`answer` in exercise.yaml names one, so does `is` of a mistake, and a `$name` in a command.
"""

from cirtlib.errors import TrainingError
from cirtlib.training.exercise import answers_attack, answers_respond  # noqa: F401 - importing them registers them
from cirtlib.training.exercise.answers import RESOLVERS, Answer
from cirtlib.training.exercise.record import Record


def resolve(name: str, record: Record) -> Answer:
    """The true answer of this name; None where it does not apply to the incident.

    Raises
    ------
    TrainingError
        when there is no resolver of this name.
    """
    if name not in RESOLVERS:
        raise TrainingError(f"no answer is called {name!r}; cirtlib/training/exercise/answers*.py hold them")
    found = RESOLVERS[name](record)
    return None if found in ("", []) else found
