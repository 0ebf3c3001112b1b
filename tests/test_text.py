"""Hostile text is made visible and inert, harmless text stays as it is."""

import json

import pytest

from cirtlib.text import inert, visible


@pytest.mark.parametrize("text", ["arn:aws:iam::111122223333:user/ana", "Zoë 日本", "a b\u00a0c", ""])
def test_harmless_text_is_untouched(text: str) -> None:
    """Letters of any script are no danger."""
    assert visible(text) == text == inert(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jgone", r"\u001b[2Jgone"),
        ("\x9b2J", r"\u009b2J"),
        ("a\r\nb", r"a\u000d\u000ab"),
        ("user\u202egpj.exe", r"user\u202egpj.exe"),
        ("ad\u200bmin", r"ad\u200bmin"),
        ("\x7f\x00", r"\u007f\u0000"),
        ("\udc80", r"\udc80"),
    ],
)
def test_what_a_terminal_or_an_eye_would_obey_is_shown(text: str, shown: str) -> None:
    """Escapes, line breaks, direction changes, zero-width and lone surrogates."""
    assert visible(text) == shown
    assert visible(text, keep="\x1b\x00") == shown.replace(r"\u001b", "\x1b").replace(r"\u0000", "\x00")


def test_json_keeps_its_value() -> None:
    """Made visible, a JSON text still says the same."""
    value = {"userAgent": "x\u009b31m\u202e\x7f"}
    text = json.dumps(value, ensure_ascii=False)
    assert visible(text) != text
    assert json.loads(visible(text)) == value


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(1)"])
def test_a_formula_gets_an_apostrophe(text: str) -> None:
    """A spreadsheet shows it as text."""
    assert inert(text) == "'" + text


@pytest.mark.parametrize("text", ["-5", "+1.5", "-1e-7", "-1,000"])
def test_a_number_stays_a_number(text: str) -> None:
    """A minus sign alone is no formula."""
    assert inert(text) == text
