"""Text that an attacker wrote, made harmless to the eye, the terminal and the spreadsheet; its meaning stays readable.

Log content is hostile: an escape sequence in a user agent could repaint a terminal, a direction override could make one
name look like another, and a cell that begins with "=" is a formula to a spreadsheet.
"""

import re

# Control characters (C0, DEL, C1), zero-width and direction-changing characters, line separators, lone surrogates.
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_NUMBER = re.compile(r"[-+]?[\d.,]+(e[-+]?\d+)?", re.IGNORECASE)


def many(count: int, noun: str) -> str:
    """A count with its noun: `1 call`, `1,500 calls`."""
    return f"{count:,} {noun}{'s'[: count != 1]}"


def visible(text: str, *, keep: str = "") -> str:
    r"""Text with control and direction-changing characters as `\uXXXX`, those in `keep` left as they are.

    Inside JSON text the result means the same value.
    """
    return _INVISIBLE.sub(lambda m: m.group() if m.group() in keep else f"\\u{ord(m.group()):04x}", text)


def inert(text: str) -> str:
    """Text with an apostrophe in front where a spreadsheet would take it for a formula; numbers stay numbers."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@"} and not _NUMBER.fullmatch(text) else text
