"""The runbook's page in a real browser without a network: it runs nothing, asks for nothing, and can be ticked."""

from dataclasses import replace

import pytest

from cirtlib.containment.planning import build
from cirtlib.containment.runbook import runbook_html
from tests import plan_sample as sample
from tests.hostile import STORABLE, everywhere
from tests.test_pages import browser, watched

__all__ = ["browser"]
pytestmark = pytest.mark.integration


def opened(browser, folder, html):
    """Page of this HTML, what it asked for, and what it complained of or tried to say."""
    file = folder / "runbook.html"
    file.write_text(html, encoding="utf-8")
    page, asked, complaints = watched(browser, offline=True)
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.goto(file.as_uri())
    return page, [one for one in asked if one != file.as_uri()], complaints


def test_it_can_be_ticked_signed_and_printed(browser, tmp_path):
    """Boxes are counted, lines take a name, names of steps lead to them, and paper has no counter."""
    page, asked, complaints = opened(browser, tmp_path, runbook_html(build(sample.incident())))
    boxes = page.get_by_role("checkbox")
    assert boxes.count() > 60
    boxes.nth(0).check()
    boxes.nth(1).check()
    shown = "getComputedStyle(document.querySelector('.progress'), '::after').content"
    assert page.evaluate(shown).startswith("counter")
    page.get_by_label("Name", exact=True).first.fill("Alice")
    link = page.locator("a.step").first
    wanted = link.get_attribute("href")
    link.click()
    assert page.url.endswith(wanted)
    assert page.locator(f"[id='{wanted[1:]}']").count() == 1
    page.emulate_media(media="print")
    assert not page.locator(".progress").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert (asked, complaints) == ([], [])


def test_hostile_names_run_nothing(browser, tmp_path):
    """Every hostile name in every place: no script, no request, no dialog, the title stays."""
    steps = everywhere("x").steps
    plans = [everywhere(name) for name in STORABLE]
    whole = replace(
        plans[0],
        steps=tuple(replace(plan.steps[0], id=f"{n:02d}-x") for n, plan in enumerate(plans, len(steps))),
        warnings=tuple(STORABLE),
        exposed=tuple(STORABLE),
    )
    page, asked, complaints = opened(browser, tmp_path, runbook_html(whole))
    for link in page.locator("a.step").all()[:5]:
        link.click()
    assert page.title() == "Containment plan $(touch pwned)"
    assert page.locator("script, img, iframe, object, main [onerror]").count() == 0
    assert page.locator('a[href^="javascript:"], a[href^="http"]').count() == 0
    assert (asked, complaints) == ([], [])
