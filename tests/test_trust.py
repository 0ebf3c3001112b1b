"""Trust policies as CloudTrail logs them."""

import json
from urllib.parse import quote

import pandas as pd
import pytest

from cirtlib.identity import Names, arns
from cirtlib.trust import admits, document, principals, role_of

POLICY = {
    "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam::111122223333:root", "444455556666"]}},
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}},
        {"Effect": "Deny", "Principal": {"AWS": "arn:aws:iam::999988887777:root"}},
    ]
}
NAMED = {"111122223333", "444455556666", "ec2.amazonaws.com"}


@pytest.mark.parametrize("text", [POLICY, json.dumps(POLICY), quote(json.dumps(POLICY))])
def test_principals_are_those_allowed_however_the_document_is_written(text):
    """An object, JSON text and URL-encoded JSON name the same principals; a Deny names nobody."""
    assert principals(document(text)) == NAMED


@pytest.mark.parametrize("text", [None, "", "not json", "[1]", 7])
def test_document_of_something_else_is_none(text):
    """What is no policy gives no document and names nobody."""
    assert document(text) is None
    assert principals(document(text)) == set()


def test_single_statement_and_star_principal_are_understood():
    """A statement without a list and a bare star are read as IAM reads them."""
    assert principals({"Statement": {"Effect": "Allow", "Principal": "*"}}) == {"*"}


def test_admits_by_arn_by_account_and_by_star():
    """A caller is admitted when its ARN or its account is named, or everybody is."""
    assert admits({"arn:x"}, "arn:x", "1")
    assert admits({"999988887777"}, None, "999988887777")
    assert admits({"*"}, None, None)
    assert not admits({"999988887777"}, "arn:x", "111122223333")


def test_role_of_a_session_has_the_path_that_records_show():
    """An assumed-role ARN lacks the role's path; it comes from records that show it."""
    frame = pd.DataFrame(
        {"principal": ["arn:aws:iam::111122223333:role/app/web"], "role_arn": None, "minted_principal": None}
    )
    names = Names(arns(frame))
    assert role_of("arn:aws:sts::111122223333:assumed-role/web/x", names) == "arn:aws:iam::111122223333:role/app/web"
    assert role_of("arn:aws:sts::111122223333:assumed-role/db/x", names) == "arn:aws:iam::111122223333:role/db"
