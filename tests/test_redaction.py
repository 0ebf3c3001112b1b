"""Pseudonyms are stable, stand for every value of the named kinds, and leave the rest of a page as it was."""

import pytest

from cirtlib.plots import style
from cirtlib.redaction import Pseudonyms, redact_figure, redact_html


@pytest.fixture
def replace():
    pseudonyms = Pseudonyms()
    names = [("user", "mara.lind"), ("user", "ci"), ("bucket", "acme-payroll"), ("user", "mara")]
    pseudonyms.learn(
        names, text="arn:aws:sts::111122223333:assumed-role/devRole/ops-session and arn:aws:s3:::other-bucket/key"
    )
    return pseudonyms.replacer()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("account 111122223333", "account account-1"),
        ("arn:aws:iam::111122223333:user/team/mara.lind", "arn:aws:iam::account-1:user/team/user-1"),
        ("AKIAIOSFODNN7EXAMPLE and ASIAIOSFODNN7EXAMPLE", "key-1 and key-2"),
        ("AIDAIOSFODNN7EXAMPLE", "id-1"),
        ("from 203.0.113.7 and 203.0.113.0/24", "from address-1 and address-2"),
        ("from 2001:db8::17 to 2001:db8:0:1::/64", "from address-1 to address-2"),
        ("mail mara@example.com", "mail email-1"),
        ("assumed-role/devRole/ops-session", "assumed-role/devRole/user-1"),
        ("s3://acme-payroll/x, other-bucket", "s3://bucket-1/x, bucket-2"),
        ("o-abcdefghij", "organization-1"),
        ("111122223333_CloudTrail_us-east-1_20260610T0000Z", "account-1_CloudTrail_us-east-1_20260610T0000Z"),
    ],
)
def test_a_value_gets_a_pseudonym(replace, text, expected):
    """Each kind of identifier is replaced, wherever it stands."""
    assert replace(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "2026-06-10 02:14:05 UTC",
        "3f2a9c1b-0000-4000-8000-123456789012",  # an event id whose last group looks like an account
        "maraschino, cirt, us-east-1, aws-cli/2.15.0",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "arn:aws:iam::aws:policy/AdministratorAccess",
    ],
)
def test_other_text_stays(replace, text):
    """Times, event ids, hashes, versions and other words are kept."""
    assert replace(text) == text


def test_a_pseudonym_is_stable(replace):
    """The same value has one name in a whole report, another value another."""
    assert replace("203.0.113.7 203.0.113.8") == "address-1 address-2"
    assert replace("203.0.113.8 203.0.113.7") == "address-2 address-1"


def test_what_a_figure_cut_or_broke_is_found(replace):
    """A value that was shortened, or broken over two lines of a hover, does not slip through."""
    pseudonyms = Pseudonyms()
    pseudonyms.learn([("user", "mara.lind@corp")], text="111122223333 444455556666 ASIAIOSFODNN7EXAMPLE")
    hide = pseudonyms.replacer()
    assert hide("user/x (…3333)") == "user/x (account-1)"
    assert hide("ASIA…MPLE") == "key-1"
    assert hide("assumed-role/devRole/mara.li…corp") == "assumed-role/devRole/…"
    assert hide("role/AWSReservedSSO_Admini…abcdef") == "role/AWSReservedSSO_Admini…abcdef"
    broken = style.wrapped(f"{'x' * 80} 444455556666 y")
    assert "4444" in broken.partition("<br>")[0]
    assert hide(f"<b>{broken}</b><br>111122223333<br>4444") == f"<b>{'x' * 80} account-2 y</b><br>account-1<br>4444"
    assert hide("from 192.0.2.79<br>0bae5ac3-f900-4f1b-8491-1cf87e65b8a1") == (
        "from address-1<br>0bae5ac3-f900-4f1b-8491-1cf87e65b8a1"
    )
    assert hide("wait … and 3 more") == "wait … and 3 more"


def test_a_page_keeps_its_markup(replace):
    """Only texts and attribute values change: a user called like a tag does no harm, and entities hide nothing."""
    pseudonyms = Pseudonyms()
    pseudonyms.learn([("user", "table"), ("user", "o'neil & co"), ("user", "class")])
    html = (
        '<!DOCTYPE html>\n<style>table { color: red }</style><table class="table">'
        '<tr><td title="table">table &lt;b&gt; '
        "o&#x27;neil &amp; co</td></tr></table>"
    )
    assert redact_html(html, pseudonyms.replacer()) == (
        '<!DOCTYPE html>\n<style>table { color: red }</style><table class="table">'
        '<tr><td title="user-1">user-1 &lt;b&gt; '
        "user-2</td></tr></table>"
    )


def test_a_figure_keeps_its_own_words(replace):
    """A user called "markers" is replaced in labels, not in plotly's settings."""
    pseudonyms = Pseudonyms()
    pseudonyms.learn([("user", "markers")])
    figure = {
        "data": [{"mode": "markers", "text": ["markers", "203.0.113.7"], "x": [1]}],
        "layout": {"title": "markers"},
    }
    assert redact_figure(figure, pseudonyms.replacer()) == {
        "data": [{"mode": "markers", "text": ["user-1", "address-1"], "x": [1]}],
        "layout": {"title": "user-1"},
    }
