"""Pseudonyms for what must not leave the house: the same value gets the same name everywhere in a report.

Replaced are account ids, access key and principal ids, addresses, user and session names, e-mail addresses, bucket
names and organization ids. Event and finding ids, times, Regions, and the names of roles, policies and trails stay,
because without them the report says nothing; free text that an analyst wrote is only searched for the values above.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from html import escape, unescape
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

# What can be told by its form alone, in the order in which it is looked for. A UUID (an event id) is looked for first
# and kept: its last group may be twelve digits.
_FORMS = (
    ("kept", r"(?<![0-9A-Za-z])[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}(?![0-9A-Za-z])"),
    ("email", r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}"),
    ("key", r"(?<![A-Z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}(?![A-Z0-9])"),
    ("id", r"(?<![A-Z0-9])(?:AIDA|AROA|AGPA|AIPA|ANPA|ANVA|APKA|ASCA)[A-Z0-9]{12,}(?![A-Z0-9])"),
    ("organization", r"(?<![A-Za-z0-9])o-[a-z0-9]{10,32}(?![A-Za-z0-9])"),
    ("account", r"(?<![0-9A-Fa-f])[0-9]{12}(?![0-9A-Fa-f])"),
    ("address", r"(?<![0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?:/[0-9]{1,2})?(?![0-9]|\.[0-9])"),
    ("address", r"(?<![0-9A-Za-z:.])[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(?:/[0-9]{1,3})?(?![0-9A-Za-z:])"),
)
_FORM = re.compile("|".join(f"(?P<{kind}{number}>{form})" for number, (kind, form) in enumerate(_FORMS)))
_USER = re.compile(r"arn:aws[a-z-]*:(?:iam|sts)::\d{12}:(?:user|assumed-role|federated-user)/([^\s\"'<>,;\[\]]+)")
_BUCKET = re.compile(r"arn:aws[a-z-]*:s3:::([A-Za-z0-9.\-_]{3,63})")
_BREAK, _WRAP = "<br>", 90  # how plots.style breaks the lines of a hover text
_TAG = re.compile("</?b>")
_SHORTENED = re.compile(r"([\w+=,.@:/-]*)…([\w+=,.@:/-]*)")
# Values of these plotly attributes are its own words; a user called "markers" must not break a figure.
_PLOTLY_WORDS = {
    *("type", "mode", "symbol", "color", "hoverinfo", "anchor", "xref", "yref", "xanchor", "yanchor", "side", "dtype"),
    *("orientation", "dash", "shape", "fill", "bdata", "colorscale", "colorbar", "template", "barmode", "hovermode"),
    *("textposition", "automargin", "overlaying", "dragmode", "rangemode", "ticks", "sizemode", "family", "align"),
    *("layer", "visible", "categoryorder", "ticklabelposition", "scaleanchor", "matches", "config", "axref", "ayref"),
}


@dataclass
class Pseudonyms:
    """What stands for what. `known` are values met so far, with their kind: those of a form, and names."""

    known: dict[str, str] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def learn(self, values: Iterable[tuple[str, str]], *, text: str = "") -> None:
        """Take up (kind, value) pairs, and what can be told in `text` by its form or by the ARN it stands in."""
        found = {(kind, value) for kind, value in values if len(value) > 1}
        found |= {("user", match[1].rsplit("/", 1)[-1]) for match in _USER.finditer(text)}
        found |= {("bucket", match[1]) for match in _BUCKET.finditer(text)}
        found |= {(kind, match[0]) for match in _FORM.finditer(text) if (kind := _kind(match))}
        for kind, value in sorted(found):
            self.known.setdefault(value, kind)

    def replacer(self, *, within: str = "") -> Callable[[str], str]:
        """Return the function that replaces, in a text, all values learned so far and all of a known form.

        `within` is the whole of the texts, where that is known: values that do not stand in it are not looked for, of
        which a large case has many.
        """
        sought = [value for value in self.known if not within or value in within]
        longest_first = sorted(sought, key=lambda value: (-len(value), value)) or ["\x00"]
        names = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(map(re.escape, longest_first))})(?![A-Za-z0-9])")

        def replace(text: str) -> str:
            text = names.sub(lambda match: self._name(self.known[match[0]], match[0]), _joined(text))
            return _SHORTENED.sub(self._shortened, _FORM.sub(self._formed, text))

        return replace

    def _formed(self, match: re.Match[str]) -> str:
        kind = _kind(match)
        return self._name(kind, match[0]) if kind else match[0]

    def _shortened(self, match: re.Match[str]) -> str:
        """What a figure cut in the middle: its pseudonym where it can be told, else without the part that tells."""
        head, tail = match[1], match[2]
        meant = [value for value in self.known if value.startswith(head) and value.endswith(tail)]
        if not head and tail.isdigit():  # figures end an account with its last digits
            meant = [value for value in meant if self.known[value] == "account"]
        if len(head) + len(tail) >= 4 and len(meant) == 1:
            return self._name(self.known[meant[0]], meant[0])
        place = max(head.rfind("/"), head.rfind(":")) + 1
        first, last = head[place:], re.split("[/:]", tail)[0]
        tells = any((first and value.startswith(first)) or (last and value.endswith(last)) for value in self.known)
        return f"{head[:place]}…" if tells else match[0]

    def _name(self, kind: str, value: str) -> str:
        if value not in self.given:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            self.given[value] = f"{kind}-{self.counts[kind]}"
        return self.given[value]


def _kind(match: re.Match[str]) -> str:
    """Kind of a value that was found by its form; empty for what looks like one and is none."""
    kind = str(match.lastgroup).rstrip("0123456789")
    return "" if kind == "kept" or (kind == "address" and not _is_address(match[0])) else kind


def _joined(text: str) -> str:
    """`text` without the breaks of lines that were full, which may stand in the middle of a value."""
    lines = text.split(_BREAK)
    parts = [lines[0]]
    for before, line in pairwise(lines):
        full = len(unescape(_TAG.sub("", before))) == _WRAP
        parts.append(line if full else _BREAK + line)
    return "".join(parts)


def _is_address(text: str) -> bool:
    """Whether it is an address or a network: a time of day, which looks like one, is not."""
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return True


def redact_html(html: str, replace: Callable[[str], str]) -> str:
    """HTML with `replace` applied to its texts and attribute values, never to its tags."""
    writer = _Rewriter(replace)
    writer.feed(html)
    writer.close()
    return "".join(writer.parts)


def redact_figure(figure: Any, replace: Callable[[str], str]) -> Any:  # noqa: ANN401 - any JSON value
    """Plotly figure with `replace` applied to every text that is data, not one of plotly's own words."""
    if isinstance(figure, str):
        return replace(figure)
    if isinstance(figure, list):
        return [redact_figure(item, replace) for item in figure]
    if isinstance(figure, dict):
        return {
            key: value if key in _PLOTLY_WORDS and isinstance(value, str) else redact_figure(value, replace)
            for key, value in figure.items()
        }
    return figure


class _Rewriter(HTMLParser):
    """Write a page again as it was, texts and attribute values replaced."""

    def __init__(self, replace: Callable[[str], str]) -> None:
        super().__init__(convert_charrefs=False)
        self.replace = replace
        self.parts: list[str] = []
        self.raw = False
        self.pending = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._flush()
        self.raw = tag == "style"
        keep = {"style", "class", "http-equiv", "lang", "charset"} | ({"content"} if tag == "meta" else set())
        written = (
            name if value is None else f'{name}="{escape(value if name in keep else self.replace(value), quote=True)}"'
            for name, value in attrs
        )
        self.parts.append(f"<{' '.join([tag, *written])}>")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.raw = False

    def handle_endtag(self, tag: str) -> None:
        self._flush()
        self.raw = False
        self.parts.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self.pending += data

    def handle_entityref(self, name: str) -> None:
        self.pending += f"&{name};"

    def handle_charref(self, name: str) -> None:
        self.pending += f"&#{name};"

    def handle_decl(self, decl: str) -> None:
        self.parts.append(f"<!{decl}>")

    def handle_comment(self, data: str) -> None:
        self._flush()

    def close(self) -> None:
        super().close()
        self._flush()

    def _flush(self) -> None:
        """Replace in the text gathered since the last tag: whole, so that no value hides behind an entity."""
        if self.pending:
            text = self.pending if self.raw else escape(self.replace(unescape(self.pending)), quote=False)
            self.parts.append(text)
            self.pending = ""
