"""A page holds its figures as data, lets only its own two scripts run, and keeps no prompt, code or dead link."""

import base64
import hashlib
import re

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from cirtlib.display import FIGURE_CONFIG, PLOTLY
from cirtlib.page import change, page

FIGURE = {
    "data": [{"type": "scatter", "x": [1], "y": ["</script><img src=x onerror=alert(1)>"]}],
    "layout": {"meta": {"alt": 'a "point"', "caption": "Fig <1>"}, "height": 300},
    "config": FIGURE_CONFIG,
}


@pytest.fixture(scope="module")
def html():
    cite = '<a class="cite" href="#ev-{0}" title="{0}">{0}</a>'
    outputs = [
        new_output("stream", text="said <b>\n"),
        new_output("stream", name="stderr", text="a warning\n"),
        new_output("display_data", {PLOTLY: FIGURE, "text/plain": "figure"}),
        new_output("execute_result", {"text/html": f'<tr id="ev-one"></tr>{cite.format("one")}{cite.format("two")}'}),
    ]
    section = "## What & why\n\n**Question.** Which?\n\n**Next.** Go."
    cells = [
        new_markdown_cell("# Title"),
        new_code_cell("secret = 1", outputs=[new_output("stream", text="set up\n")], metadata={"tags": ["setup"]}),
        new_markdown_cell(section, metadata={"tags": ["section"]}),
        new_code_cell("code_of_the_cell()", outputs=outputs),
    ]
    return page(new_notebook(cells=cells), title="Case <1>", notice="Redacted & so on")


def test_only_its_own_scripts_may_run(html):
    """The policy names the hashes of exactly the scripts that stand in the page, and forbids every request."""
    policy = re.search(r'<meta content="([^"]*)" http-equiv="Content-Security-Policy"/?>', html)[1]
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'" for one in scripts}
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert len(scripts) == 2
    assert set(rules["script-src"].split()) == hashes
    assert rules["default-src"] == "'none'"
    assert "connect-src" not in rules
    assert "http" not in policy


def test_a_figure_is_data(html):
    """A figure stands in the page as JSON that cannot end its script element, with words for who cannot see it."""
    assert html.count('class="figure-data"') == 1
    assert "<img src=x" not in html
    assert 'aria-label="a &quot;point&quot;"' in html or "aria-label='a \"point\"'" in html
    assert "<figcaption>Fig &lt;1&gt;</figcaption>" in html
    assert html.count("plotly.js v") == 1


def test_code_and_warnings_stay_out(html):
    """The reader sees what was said, not how; what the set-up printed stays out."""
    assert "code_of_the_cell" not in html
    assert "secret" not in html
    assert "set up" not in html
    assert "a warning" not in html
    assert "said &lt;b&gt;" in html


def test_the_page_can_be_found_through(html):
    """Language, title, numbered sections in a table of contents, and guidance folded under its section."""
    assert '<html lang="en">' in html
    assert "<title>Case &lt;1&gt;</title>" in html
    assert '<li><a href="#section-1">What &amp; why</a></li>' in html
    assert '<h2 id="section-1">What &amp; why</h2>' in html
    assert re.search(r'<details class="guide"><summary>.*?</summary>\s*<p><strong>Question', html, re.DOTALL)
    assert "Redacted &amp; so on" in html


def test_a_citation_leads_somewhere_or_is_plain(html):
    """A citation of an id that no table of the page lists is text, not a dead link."""
    assert '<a class="cite" href="#ev-one" title="one">one</a>' in html
    assert '<span class="cite" title="two">two</span>' in html


def test_a_change_reaches_texts_and_figures_but_no_script(html):
    """What redaction replaces is text and figure data; the scripts stay as the policy names them."""
    changed = change(html, lambda text: text.replace("Title", "T2"), lambda figure: {**figure, "data": []})
    assert "<h1>T2</h1>" in changed
    assert "onerror=alert" not in changed
    assert re.findall(r"<script>.*?</script>", html, re.DOTALL) == re.findall(
        r"<script>.*?</script>", changed, re.DOTALL
    )
