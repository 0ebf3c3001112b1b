"""Session tokens out of everything that is derived from evidence; the rest stays as it is, byte by byte."""

import re

# Inside a string that holds JSON, quotes have backslashes before them: as many before the value as before the name.
_PLAIN = re.compile(rb'("sessionToken"\s*:\s*")(?:[^"\\]|\\.)*(?=")', re.IGNORECASE | re.DOTALL)
_NESTED = re.compile(rb'((\\+)"sessionToken\2"\s*:\s*\2")(?:.*?[^\\])??(?=\2")', re.IGNORECASE | re.DOTALL)


def redact(raw: bytes) -> bytes:
    """JSON text with the value of every `sessionToken` replaced by REDACTED, also in JSON inside strings."""
    # Looking for part of the name first is what makes this cheap: most records have no token.
    if b"essionToken" not in raw and b"essiontoken" not in raw:
        return raw
    return _NESTED.sub(rb"\1REDACTED", _PLAIN.sub(rb"\1REDACTED", raw))
