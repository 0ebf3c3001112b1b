"""Pieces of the graph: names of resources, shares and expiry as records write them."""

import pytest

from cirtlib.scope.extent import expiration, resource_node, shared_with


@pytest.mark.parametrize(
    ("arn", "node"),
    [
        ("arn:aws:iam::111122223333:role/x", "principal:arn:aws:iam::111122223333:role/x"),
        ("arn:aws:iam::aws:policy/AdministratorAccess", None),
        ("arn:aws:s3:::bucket/key/with/slashes", "resource:arn:aws:s3:::bucket"),
        ("arn:aws:kms:us-east-1:111122223333:key/1", "resource:arn:aws:kms:us-east-1:111122223333:key/1"),
        ("arn:aws:sts::111122223333:assumed-role/x/y", None),
        ("bucket", None),
    ],
)
def test_resource_node_names_what_a_responder_would_look_for(arn, node):
    """Users and roles are principals, objects stand under their bucket, AWS's own policies are nobody's resource."""
    assert resource_node(arn) == node


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("Aug 1, 2024, 11:45:22 AM", "2024-08-01T11:45:22Z"),
        ("Aug 1, 2024 1:45:22 PM", "2024-08-01T13:45:22Z"),
        ("Aug 1, 2024, 11:45:22\u202fAM", "2024-08-01T11:45:22Z"),
        ("soon", None),
        (None, None),
    ],
)
def test_expiration_reads_the_dates_that_cloudtrail_writes_for_people(text, iso):
    """Human dates become ISO; anything else is unknown."""
    assert expiration(text) == iso


def test_shared_with_names_the_accounts_of_a_share():
    """Accounts and the group `all` are read from snapshot, image and database shares."""
    assert shared_with({"createVolumePermission": {"add": {"items": [{"userId": "999988887777"}]}}}) == {"999988887777"}
    assert shared_with({"launchPermission": {"add": {"items": [{"group": "all"}]}}}) == {"all"}
    assert shared_with({"valuesToAdd": ["999988887777"]}) == {"999988887777"}
    assert shared_with({"createVolumePermission": {"remove": {"items": [{"userId": "1"}]}}}) == set()
