"""Tables, statements and figures show hostile content as text, and say what they leave out."""

import json
import re

import pandas as pd
import plotly.graph_objects as go
import pytest

from cirtlib.case import new_case
from cirtlib.display import PLOTLY, Statement, anchor, cite, export_table, show_figure, show_statements, show_table

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\x1b[2J\u202egpj.exe"


@pytest.fixture
def case(tmp_path):
    return new_case(tmp_path / "case", {})


def test_markup_in_a_cell_stays_text():
    """Nothing from a log becomes markup, whether in a cell, a list, a heading or the caption."""
    frame = pd.DataFrame({HOSTILE: [HOSTILE, [HOSTILE, "b"]], "event_id": [HOSTILE, '"><b>']})
    text = show_table(frame, HOSTILE).text
    assert "<script" not in text
    assert "<img" not in text
    assert "<b>" not in text
    assert "&lt;script&gt;" in text


def test_invisible_characters_are_seen():
    """A text cannot pose as another by characters that repaint or reorder it."""
    text = show_table(pd.DataFrame({"a": [HOSTILE]}), "t").text
    assert "\u202e" not in text
    assert "\\u202e" in text
    assert "\\u001b" in text


def test_a_table_says_how_much_it_shows(case):
    """Rows beyond the limit are counted, and the export holds all of them."""
    frame = pd.DataFrame({"number": range(45)})
    text = show_table(frame, "numbers", case=case, name="numbers", rows=40).text
    assert "40 of 45 rows; all of them in out/tables/numbers.csv" in text
    assert len((case.out / "tables" / "numbers.csv").read_text().splitlines()) == 46


def test_a_long_cell_says_how_much_is_missing(case):
    """Long texts and lists are cut with a word on the rest; the export holds them whole."""
    frame = pd.DataFrame({"agent": ["x" * 1000], "addresses": [[f"192.0.2.{n}" for n in range(9)]]})
    text = show_table(frame, "t", case=case, name="t").text
    assert "600 more characters" in text
    assert "+5 more" in text
    assert "x" * 1000 in (case.out / "tables" / "t.csv").read_text()


@pytest.mark.parametrize("text", ["x" * 400, "word " * 80, '{"name": "value"} ' * 22])
def test_a_long_text_is_given_room(text):
    """A column of long texts is never so narrow that it makes the whole row tall: at most six lines."""
    widths = re.findall(r"<td[^>]*min-width:(\d+)ch", show_table(pd.DataFrame({"request": [text]}), "t").text)
    assert int(widths[0]) * 6 >= len(text)


def test_an_export_holds_no_formula(case):
    """A spreadsheet that opens an export computes nothing from a log."""
    export_table(pd.DataFrame({"a": ["=cmd|'/c calc'!A1", "-5", "@x"]}), case, "t")
    assert (case.out / "tables" / "t.csv").read_text().splitlines()[1:] == ["'=cmd|'/c calc'!A1", "-5", "'@x"]


def test_times_numbers_and_nothing_read_well():
    """Times to the second, no float noise, nothing where nothing is."""
    frame = pd.DataFrame(
        {
            "when": pd.to_datetime(["2026-06-10T01:02:03.456Z", None], utc=True),
            "n": [3.0, None],
            "yes": pd.array([True, None], dtype="boolean"),
        }
    )
    text = show_table(frame, "t").text
    assert ">2026-06-10 01:02:03<" in text
    assert ">3<" in text
    assert ">yes<" in text
    for noise in ("NaT", "nan", "NA", "None", "3.0"):
        assert f">{noise}<" not in text


def test_statements_cite_their_evidence():
    """Each sentence links to its evidence, says what is beyond the first few, and none is said in words."""
    text = show_statements([Statement("It <b>was</b> so.", tuple(f"id-{n}" for n in range(6)), 30)]).text
    assert "It &lt;b&gt;was&lt;/b&gt; so." in text
    assert 'href="#ev-id-0" title="id-0"' in text
    assert "+26 more" in text
    assert show_statements([], none="Nothing.").text == "<p>Nothing.</p>"


@pytest.mark.parametrize("identifier", ['x" onclick="alert(1)', "../../etc", "arn:aws:guardduty:::finding/a<b"])
def test_an_anchor_is_harmless(identifier):
    """Whatever an id from a log holds, its place in the page is letters, digits and dashes."""
    assert anchor(identifier).replace("-", "").isalnum()
    assert "onclick=" not in cite([identifier]).replace("&quot; onclick=&quot;", "")


def test_a_figure_goes_out_as_data(capsys, monkeypatch):
    """A figure is data for JupyterLab and the report, cannot be shared, and has its words and its table behind it."""
    shown = []
    monkeypatch.setattr("cirtlib.display.display", lambda data, raw: shown.append(data))
    figure = go.Figure(go.Scatter(x=[1], y=["a"]), layout={"meta": {"alt": "one <point>"}})
    behind = show_figure(figure, pd.DataFrame({"x": [1]}), "A caption").text
    assert set(shown[0]) == {PLOTLY, "text/plain"}
    assert shown[0][PLOTLY]["config"]["showSendToCloud"] is False
    assert "one &lt;point&gt;" in behind
    assert "Table behind the figure (1 rows)" in behind
    json.dumps(shown[0])
