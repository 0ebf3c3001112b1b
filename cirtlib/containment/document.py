"""A document of headings, boxes to tick, tables and commands: written once, given as Markdown and as one HTML page.

Every text is taken literally, in both forms: a name from a log can become no markup, no link and no script. The page
needs no network and has no script at all; its Content-Security-Policy lets nothing in but its own style, by its hash.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from cirtlib.text import visible

_MARKUP = re.compile(r"([\\`*_\[\]<>#|&!~$])")
_LINK = re.compile(r":(?=//)|(?<=www)\.", re.IGNORECASE)
_BLOCK = re.compile(r"^(?:(?P<number>\d+)(?=[.)])|(?=[-+=]))")
_BLANK, _SHORT_BLANK = "_" * 28, "_" * 20


@dataclass(frozen=True)
class Code:
    """Words in the type of code: a name, an id, a value."""

    text: str


@dataclass(frozen=True)
class Strong:
    """Words to be noticed."""

    text: str


@dataclass(frozen=True)
class To:
    """Name of a part of this document, which leads there on the page."""

    anchor: str


@dataclass(frozen=True)
class File:
    """A file beside the document; its path is ours, never one from a log."""

    path: str


Word = str | Code | Strong | To | File
Words = Sequence[Word]


@dataclass(frozen=True)
class Heading:
    """Heading of level 1 (the title), 2 (a section) or 3; `anchor` is the name that `To` leads to."""

    level: int
    words: Words
    anchor: str = ""


@dataclass(frozen=True)
class Paragraph:
    """One paragraph."""

    words: Words


@dataclass(frozen=True)
class Items:
    """A list, with a box to tick before each item where `boxes`."""

    rows: Sequence[Words]
    boxes: bool = False


@dataclass(frozen=True)
class Table:
    """A table: the names of its columns, and its rows of cells."""

    head: Sequence[str]
    rows: Sequence[Sequence[Words]]


@dataclass(frozen=True)
class Commands:
    """Lines for a shell."""

    text: str


@dataclass(frozen=True)
class Approval:
    """A line to be signed: who approves what, with room for name and time."""

    who: str
    what: Words


Block = Heading | Paragraph | Items | Table | Commands | Approval


def markdown(blocks: Sequence[Block]) -> str:
    """Document as GitHub-flavoured Markdown."""
    return "\n\n".join(_markdown_block(block) for block in blocks) + "\n"


def page(blocks: Sequence[Block], *, title: str, brand: str) -> str:
    """Document as one HTML file: no request, no script; boxes and lines keep what is entered while it is open."""
    data = files("cirtlib") / "data"
    style = "".join((data / name).read_text(encoding="utf-8") for name in ("report_template/style.css", "runbook.css"))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    sections = [block for block in blocks if isinstance(block, Heading) and block.level == 2]
    names = {id(block): block.anchor or f"section-{number}" for number, block in enumerate(sections, 1)}
    contents = "".join(f'<li><a href="#{names[id(block)]}">{_html(block.words)}</a></li>' for block in sections)
    body = "\n".join(_html_block(block, names.get(id(block), "")) for block in blocks)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<meta name="robots" content="noindex, nofollow">\n'
        f'<title>{escape(visible(title))}</title>\n<link rel="icon" href="data:,">\n<style>{style}</style>\n</head>\n'
        '<body>\n<a class="skip" href="#content">Skip to the runbook</a>\n<div class="page">\n'
        f'<nav aria-label="Contents"><p class="brand">{escape(brand)}</p><ol>{contents}</ol></nav>\n'
        f'<main id="content">\n{body}\n<p class="progress" role="note"></p>\n</main>\n</div>\n</body>\n</html>\n'
    )


def _markdown_block(block: Block) -> str:
    match block:
        case Heading(level, words, _):
            return f"{'#' * level} {_markdown(words)}"
        case Paragraph(words):
            return _at_start(_markdown(words))
        case Items(rows, boxes):
            lead = "- [ ] " if boxes else "- "
            return "\n".join(lead + _at_start(_markdown(words)) for words in rows)
        case Table(head, rows):
            lines = [_row([[name] for name in head]), "|" + " --- |" * len(head), *(_row(row) for row in rows)]
            return "\n".join(lines)
        case Commands(text):
            safe = visible(text, keep="\n")
            fence = "~" * max(3, *(len(run) + 1 for run in re.findall("~+", safe)), 3)
            return f"{fence}bash\n{safe}\n{fence}"
        case Approval(who, what):
            return f"- [ ] Approved by the {_plain(who)}: {_markdown(what)} Name {_BLANK} Time (UTC) {_SHORT_BLANK}"


def _row(cells: Sequence[Words]) -> str:
    return "| " + " | ".join(_markdown(words, cell=True) for words in cells) + " |"


def _markdown(words: Words, *, cell: bool = False) -> str:
    parts = []
    for word in words:
        match word:
            case str(text):
                parts.append(_plain(text))
            case Strong(text):
                parts.append(f"**{_plain(text.strip())}**")
            case To(anchor):
                parts.append(_plain(anchor))
            case File(path):
                parts.append(f"[{_plain(path)}]({path})")
            case Code(text):
                parts.append(_span(visible(text), cell=cell))
    return "".join(parts)


def _plain(text: str) -> str:
    """Text as Markdown without markup, and without what some readers turn into links."""
    return _LINK.sub(r"\\\g<0>", _MARKUP.sub(r"\\\1", visible(text)))


def _at_start(text: str) -> str:
    """Text that begins a block: neither a list, a number, an underline of a heading nor an indented block."""
    return _BLOCK.sub(lambda match: f"{match['number'] or ''}\\", text.lstrip())


def _span(text: str, *, cell: bool) -> str:
    """Code span with a fence longer than any run of backticks in it; in a table, where | would end it, plain text."""
    if not text.strip() or (cell and "|" in text):
        return _plain(text)
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    edge = " " if text[0] in " `" or text[-1] in " `" else ""
    return f"{fence}{edge}{text}{edge}{fence}"


def _html_block(block: Block, name: str) -> str:  # noqa: PLR0911 - one for each kind of block
    match block:
        case Heading(level, words, anchor):
            place = f' id="{name or anchor}"' if name or anchor else ""
            return f"<h{level}{place}>{_html(words)}</h{level}>"
        case Paragraph(words):
            return f"<p>{_html(words)}</p>"
        case Items(rows, boxes):
            if boxes:
                return f'<ul class="boxes">{"".join(f"<li>{_box(_html(words))}</li>" for words in rows)}</ul>'
            return f"<ul>{''.join(f'<li>{_html(words)}</li>' for words in rows)}</ul>"
        case Table(head, rows):
            names = "".join(f'<th scope="col">{escape(visible(one))}</th>' for one in head)
            lines = "".join(f"<tr>{''.join(f'<td>{_html(cell)}</td>' for cell in row)}</tr>" for row in rows)
            return f'<div class="table"><table><thead><tr>{names}</tr></thead><tbody>{lines}</tbody></table></div>'
        case Commands(text):
            return f'<pre class="said"><code>{escape(visible(text, keep=chr(10)))}</code></pre>'
        case Approval(who, what):
            box = _box(f"Approved by the <strong>{escape(visible(who))}</strong>: {_html(what)}")
            fields = "".join(
                f'<label>{label} <input type="text" autocomplete="off" class="{kind}"></label>'
                for label, kind in (("Name", "name"), ("Time (UTC)", "time"))
            )
            return f'<div class="approval">{box}<span class="signed">{fields}</span></div>'


def _box(html: str) -> str:
    return f'<label><input type="checkbox" autocomplete="off"> <span>{html}</span></label>'


def _html(words: Words) -> str:
    parts = []
    for word in words:
        match word:
            case str(text):
                parts.append(escape(visible(text)))
            case Strong(text):
                parts.append(f"<strong>{escape(visible(text))}</strong>")
            case To(anchor):
                parts.append(f'<a class="step" href="#{escape(anchor)}">{escape(anchor)}</a>')
            case File(path):
                parts.append(f'<a href="{escape(path)}">{escape(path)}</a>')
            case Code(text):
                parts.append(f"<code>{escape(visible(text))}</code>")
    return "".join(parts)
