"""A document in two forms: whatever a text holds, it is a text in both."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from cirtlib.containment.document import (
    Approval,
    Code,
    Commands,
    Heading,
    Items,
    Paragraph,
    Strong,
    Table,
    To,
    markdown,
    page,
)
from cirtlib.text import visible
from tests.hostile import HOSTILE

MARKS = st.text(alphabet="\\`*_[]<>#|&!~$-+=.:/()0w \n\ta\u202e'\"{}@", min_size=1, max_size=30)
TEXTS = st.one_of(st.text(min_size=1), MARKS, st.sampled_from(HOSTILE)).filter(lambda text: visible(text).strip())
PLAIN = {"text", "text_special", "code_inline", "strong_open", "strong_close"}


def blocks(text):
    return [
        Heading(1, [text]), Heading(2, ["a ", text, " b"]), Paragraph([text]), Paragraph([Code(text)]),
        Paragraph(["a ", Code(text), " b ", text]), Items([[text], [Code(text)], ["a", text]]),
        Items([[text]], boxes=True),
        Table([text, "b"], [[[text], [Code(text)]], [["a"], [text, Code(text)]]]), Commands(text),
        Approval("incident lead", [text]), Paragraph(["end"]),
    ]  # fmt: skip


def parsed(text):
    """Blocks of a Markdown text: types, and of each inline part what stands in it and the types of its pieces."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    inline = [("".join(child.content for child in token.children), {child.type for child in token.children})
              for token in tokens if token.type == "inline"]  # fmt: skip
    return [token.type for token in tokens], inline, [token.content for token in tokens if token.type == "fence"]


def same(text):
    return " ".join(text.split())


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_markdown_takes_every_text_literally(text):
    """A parser of Markdown finds the blocks that were written, no markup in them, and the text as it is shown."""
    types, inline, fences = parsed(markdown(blocks(text)))
    assert types == parsed(markdown(blocks("x")))[0]
    assert all(kinds <= PLAIN for _, kinds in inline)
    shown = visible(text)
    found = [same(content) for content, _ in inline]
    assert found[:4] == [same(shown), same(f"a {shown} b"), same(shown), same(shown)]
    assert same(found[4]) == same(f"a {shown} b {shown}")
    assert fences == [visible(text, keep="\n") + "\n"]


class _Page(HTMLParser):
    """Tags of a page with their attributes, and its texts."""

    def __init__(self):
        super().__init__()
        self.tags, self.texts = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, sorted(name for name, _ in attrs)))

    def handle_data(self, data):
        self.texts.append(data)


def read(html):
    found = _Page()
    found.feed(html)
    found.close()
    return found


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_html_takes_every_text_literally(text):
    """The page has the tags and attributes that were written and no other, and shows the text."""
    found = read(page(blocks(text), title=text, brand="b"))
    assert found.tags == read(page(blocks("x"), title="x", brand="b")).tags
    assert "script" not in {tag for tag, _ in found.tags}
    assert visible(text) in "".join(found.texts)


@pytest.mark.parametrize("text", ["https://example.com", "see HTTP://x", "www.example.com"])
def test_nothing_becomes_a_link_by_itself(text):
    """What GitHub would make a link of is broken up in the source, and reads the same."""
    assert not re.search(r"https?://|www\.", markdown([Paragraph([text])]), re.IGNORECASE)
    assert parsed(markdown([Paragraph([text])]))[1][0][0] == text


def test_boxes_lines_and_places():
    """Boxes can be ticked, approvals signed, and a step's name leads to it."""
    content = [Heading(2, ["Part"]), Heading(3, ["Step"], "01-a"), Items([["x ", Strong("y")]], boxes=True),
               Approval("account owner", ["all."]), Paragraph([To("01-a")])]  # fmt: skip
    text, html = markdown(content), page(content, title="t", brand="b")
    assert "- [ ] x **y**" in text
    assert re.search(r"- \[ \] Approved by the account owner: all\. Name _{10,} Time \(UTC\) _{10,}", text)
    assert html.count('<input type="checkbox"') == 2
    assert html.count('<input type="text"') == 2
    assert 'id="01-a"' in html
    assert 'href="#01-a"' in html
    assert '<a href="#section-1">Part</a>' in html


def test_the_page_asks_for_nothing():
    """Policy: nothing but its own style, by its hash; no address of another place in it."""
    html = page([Paragraph(["x"])], title="t", brand="b")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not re.search(r"(src|href)=\"(?!#|data:)", html)
    assert "url(" not in html
