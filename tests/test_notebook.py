"""A notebook opens the case it was given; what it overrides is printed and leaves the case's own results alone."""

import pytest

from cirtlib.case import Seed, load_case, new_case
from cirtlib.errors import CaseError
from cirtlib.notebook import open_case
from cirtlib.timeline import add_note, notes

USER = "arn:aws:iam::111122223333:user/mara"


@pytest.fixture
def case(tmp_path):
    return new_case(tmp_path / "case", {"title": "a\x1b[2J title", "seeds": [{"access_key": "AKIAIOSFODNN7EXAMPLE"}]})


def test_the_case_opens_as_it_is(case, capsys):
    """Without overrides it is the case itself, and the run says so; the title cannot repaint a terminal."""
    assert open_case(str(case.path)) == case
    said = capsys.readouterr().out
    assert "Overridden for this run: nothing" in said
    assert "\x1b" not in said


@pytest.mark.parametrize("nothing", ["", "  "])
def test_no_case_is_refused(nothing):
    """The default of the shipped notebooks gets a message that says what to do."""
    with pytest.raises(CaseError, match="set the parameter `case`"):
        open_case(nothing)


def test_overrides_hold_for_the_run(case, capsys):
    """Window and principals hold for this run only: results lie apart, notes are there, case.yaml is as it was."""
    add_note(case, "seen")
    run = open_case(str(case.path), start="2026-06-10", principals=f"{USER}, ")
    assert run.seeds == (Seed("principal", USER),)
    assert f"{run.window.start:%Y-%m-%d}" == "2026-06-10"
    assert run.out != case.out
    assert run.out.is_relative_to(case.out)
    assert list(notes(run)["text"]) == ["seen"]
    assert load_case(case.path) == case
    assert "start = 2026-06-10; principals = arn:aws:iam::111122223333:user/mara" in capsys.readouterr().out
    assert open_case(str(case.path), principals=[USER], start="2026-06-10").out == run.out
    assert open_case(str(case.path), principals=[USER]).out != run.out


@pytest.mark.parametrize(
    ("window", "message"),
    [
        ({"start": "junk"}, "start: 'junk' is no time"),
        ({"start": "2026-06-11", "end": "2026-06-10"}, "before it starts"),
    ],
)
def test_a_wrong_window_is_refused(case, window, message):
    """What is no time, or ends before it starts, ends the run."""
    with pytest.raises(CaseError, match=message):
        open_case(str(case.path), **window)
