"""The containment plan: what will be done about an incident, in which order, how to check it and how to undo it.

A plan is exported for people to review and run. Nothing here calls AWS.
"""

from cirtlib.containment.planning import plan
from cirtlib.containment.render import write
from cirtlib.containment.step import Plan, Step

__all__ = ["Plan", "Step", "plan", "write"]
