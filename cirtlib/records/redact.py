"""Session tokens out of everything that is derived from evidence; the rest stays as it is, byte by byte."""

import re

# Each begins with a literal, which is what makes looking for it cheap. Inside a string that holds JSON, quotes have
# backslashes before them: as many before the value as after the name.
_SPELLINGS = (b"essionToken", b"essiontoken")
_PLAIN = [re.compile(rb'(%s"\s*:\s*")[^"\\]*(?:\\.[^"\\]*)*(?=")' % name, re.DOTALL) for name in _SPELLINGS]
_NESTED = [re.compile(rb'(%s(\\+)"\s*:\s*\2")(?:[^"]*?[^"\\])??(?=\2")' % name, re.DOTALL) for name in _SPELLINGS]


def redact(raw: bytes) -> bytes:
    """JSON text with the value of every `sessionToken` replaced by REDACTED, also in JSON inside strings."""
    for name, plain, nested in zip(_SPELLINGS, _PLAIN, _NESTED, strict=True):
        if name in raw:
            raw = nested.sub(rb"\1REDACTED", plain.sub(rb"\1REDACTED", raw))
    return raw
