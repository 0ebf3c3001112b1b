"""The report and the lab in a real browser without a network: every figure is drawn, and nothing is asked for."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from cirtlib import report

CHROMIUM = Path(os.environ.get("CIRT_CHROMIUM", "/usr/bin/chromium"))
pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def browser():
    """Chromium of the system, driven by playwright."""
    if not CHROMIUM.is_file():
        pytest.skip(f"no {CHROMIUM}; set CIRT_CHROMIUM")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def reported(incident, tmp_path_factory):
    """A copy of the incident's case."""
    import shutil

    from cirtlib.case import load_case

    folder = tmp_path_factory.mktemp("pages") / "case"
    shutil.copytree(incident[0].path, folder, symlinks=True)
    return load_case(folder)


def watched(browser, *, offline):
    """A page, and lists of what it asked for and what it complained of."""
    page = browser.new_context(offline=offline, viewport={"width": 1400, "height": 1000}).new_page()
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page, asked, complaints


@pytest.mark.parametrize("redact", [False, True], ids=["whole", "redacted"])
def test_the_report_works_with_the_network_off(browser, reported, redact):
    """Every figure is drawn and can be hovered, no console error, no request but for the file, no way to share."""
    file = report.report(reported, redact=redact)
    page, asked, complaints = watched(browser, offline=True)
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-figures=drawn]")
    figures = page.locator(".plot")
    assert figures.count() == page.locator("script.figure-data").count() >= 4
    for number in range(figures.count()):
        figures.nth(number).scroll_into_view_if_needed()
        assert figures.nth(number).locator(".main-svg").first.is_visible()
        assert figures.nth(number).bounding_box()["height"] > 200
        drawn = figures.nth(number).locator("path.point, .point path, path.bar, image, .hm image, .shapelayer path")
        assert drawn.count() > 0
    page.locator("details:has-text('Table behind the figure') > summary").first.click()
    assert page.locator("details[open] table").first.is_visible()
    assert not re.search("share|cloud", " ".join(page.locator(".modebar-btn").all_inner_texts()), re.IGNORECASE)
    assert page.locator('.modebar-btn[data-title*="hare"]').count() == 0
    assert asked == [file.as_uri()]
    assert complaints == []


def test_text_from_a_log_cannot_act(browser, reported, tmp_path):
    """Even markup that got into the page past our escaping runs no script and loads nothing."""
    file = report.report(reported)
    html = file.read_text(encoding="utf-8")
    attack = "<script>document.title='owned'</script><img src='http://192.0.2.1/x' onerror=\"document.title='owned'\">"
    page, _, complaints = watched(browser, offline=False)
    (tmp_path / "attacked.html").write_text(html.replace("<main", attack + "<main", 1), encoding="utf-8")
    page.goto((tmp_path / "attacked.html").as_uri())
    page.wait_for_selector("html[data-figures=drawn]")
    assert page.title() != "owned"
    assert any("Content Security Policy" in text for text in complaints)


def test_a_notebook_runs_in_jupyterlab(browser, reported):
    """`cirt lab` opens the case's copy; all its cells run and its figures are drawn; nobody outside is asked."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = "t" * 32
    code = (
        "import sys; from cirtlib.case import load_case; from cirtlib.lab import open_lab; "
        f"open_lab(load_case(sys.argv[1]), browser=False, options=('--ServerApp.port={port}', "
        f"'--IdentityProvider.token={token}', '--ServerApp.port_retries=0', '--allow-root', '--expose-app-in-browser'))"
    )
    command = [sys.executable, "-c", code, str(reported.path)]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        _await(f"http://127.0.0.1:{port}/api/status?token={token}")
        page, asked, complaints = watched(browser, offline=False)
        page.goto(f"http://127.0.0.1:{port}/lab/tree/04_timeline.ipynb?token={token}&reset")
        page.wait_for_selector(".jp-NotebookPanel .jp-CodeCell", timeout=60_000)
        page.wait_for_function(
            "[...jupyterapp.shell.widgets('main')].find(w => w.sessionContext)"
            "?.sessionContext.session?.kernel?.status == 'idle'",
            timeout=60_000,
        )
        page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
        page.wait_for_selector(".js-plotly-plot .main-svg", timeout=60_000)
        page.wait_for_timeout(1000)
        shot = os.environ.get("CIRT_SCREENSHOTS")
        if shot:
            page.locator(".js-plotly-plot").first.scroll_into_view_if_needed()
            page.screenshot(path=str(Path(shot) / "lab.png"))
        assert page.locator(".jp-OutputArea-output[data-mime-type*='error']").count() == 0
        assert page.locator('.modebar-btn[data-title*="hare"]').count() == 0
        outside = [url for url in asked if not url.startswith((f"http://127.0.0.1:{port}/", "data:", "blob:"))]
        assert outside == []
        assert [text for text in complaints if "error" in text.lower() and "favicon" not in text] == []
    finally:
        os.killpg(server.pid, signal.SIGTERM)  # JupyterLab and its kernels, too
        server.wait(timeout=20)


def _await(url, seconds=60):
    """Wait until something answers at `url`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(url, timeout=2)
        except OSError:
            time.sleep(0.3)
        else:
            return
    raise AssertionError(f"nothing answers at {url.partition('?')[0]}")
