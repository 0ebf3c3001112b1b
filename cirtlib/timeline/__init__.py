"""What happened, in order: bursts of activity, key events, findings as intervals, notes, and exports of all of it."""

from cirtlib.timeline.acts import finding_intervals, judged_events
from cirtlib.timeline.bursts import timeline
from cirtlib.timeline.export import export
from cirtlib.timeline.keys import key_events
from cirtlib.timeline.notes import add_note, notes
from cirtlib.timeline.wording import brief

__all__ = ["add_note", "brief", "export", "finding_intervals", "judged_events", "key_events", "notes", "timeline"]
