"""IAM policies judged for one request: allowed, denied and by which statement, not allowed, or unknown.

`evaluate` follows the evaluation logic of the IAM user guide ("Policy evaluation logic"). What it cannot judge, a
condition key whose value nobody knows among them, it calls unknown, and never allowed.
"""

from cirtlib.policy.conditions import NOT_KNOWN
from cirtlib.policy.evaluation import Decision, Request, evaluate

__all__ = ["NOT_KNOWN", "Decision", "Request", "evaluate"]
