"""Errors that a user can mend. Every message says what was wrong and what to do about it."""


class CirtError(Exception):
    """Root of all errors that cirtlib raises on purpose; the command line prints it without a traceback."""


class CaseError(CirtError, ValueError):
    """The case folder or its case.yaml is not what it should be."""


class EvidenceError(CirtError, OSError):
    """Evidence cannot be read or written, or is no longer what the manifest says it was."""


class AccessError(CirtError, PermissionError):
    """AWS cannot be asked: there are no credentials, or they have run out."""


class DeniedError(AccessError):
    """AWS, or whoever runs the engine, was asked and says that these credentials may not."""


class QueryError(CirtError, ValueError):
    """A question or a SQL text cannot be run as asked."""


class NotFoundError(CirtError, LookupError):
    """What was asked for is not in this case."""


class PolicyError(CirtError, ValueError):
    """A policy document is none."""


class PlanError(CirtError, ValueError):
    """A containment plan cannot be made or exported."""


class ReportError(CirtError, RuntimeError):
    """A notebook or a report could not be run to its end."""


class TrainingError(CirtError, ValueError):
    """A scenario cannot be generated, or an exercise cannot go on."""
