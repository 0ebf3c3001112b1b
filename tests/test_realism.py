"""Generated CloudTrail records look like real ones of the same call, but for deviations that are accounted for."""

import pytest

from tests import realism

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("realism")
    return [record for name in realism.SCENARIOS for record in realism.generated(folder / name, name)]


@pytest.fixture(scope="module")
def real(real_data):
    return realism.Real(realism.real_records(real_data))


def test_records_deviate_from_real_ones_only_where_it_is_accounted_for(records, real):
    """Fields, types, order and presence are those of real records.

    The list of known deviations is no longer than it must be, and gives a reason for each.
    """
    found, _ = realism.compare(real, records)
    reasons = realism.known()
    rows = {one: realism.reason(one, reasons) for one in found}
    assert not [f"{one.call}: {one.path}" for one, row in rows.items() if row is None]
    assert not reasons.keys() - set(rows.values())
    assert all(len(text.split()) >= 4 for text in reasons.values())


def test_the_comparison_sees_each_kind_of_fault(records, real):
    """A field too many, one too few, another type, another order: each is told."""
    calls = [one for one in records if realism.kind(one) == ("sts", "GetCallerIdentity", "")]
    good = next(one for one in calls if one["userIdentity"]["type"] == "IAMUser")
    faults = {
        "extra colour": good | {"colour": "red"},
        "missing requestID": {name: value for name, value in good.items() if name != "requestID"},
        "type readOnly text": good | {"readOnly": "true"},
        "order of eventName, eventVersion": {"eventName": good["eventName"]} | good,
    }
    for told, record in faults.items():
        found, _ = realism.compare(real, [record])
        assert told in {one.path for one in found}, told
