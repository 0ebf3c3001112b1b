"""Generated CloudTrail records look like real ones of the same call, but for deviations that are accounted for."""

import re

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


def _form(agent):
    """A user agent without versions, comments and the service it calls."""
    words = re.sub(r"\([^)]*\)", "()", agent.strip("[]")).split()
    kept = [re.sub(r"#.*", "", word) if word.startswith(("md/", "os/", "cfg/", "lang/")) else word for word in words]
    return " ".join(re.sub(r"/.*", "", word) if not re.match("(md|os|cfg|lang)/", word) else word for word in kept)


def test_user_agents_have_the_form_of_real_ones(records, real):
    """Command lines on Linux, infrastructure as code and browsers; S3 writes brackets around what clients say."""
    told = [record for same in real.calls.values() for record in same]
    forms = {_form(str(record.get("userAgent", ""))) for record in told}
    for record in records:
        agent = record["userAgent"]
        linux = "aws-cli/" in agent and " os/linux" in agent
        if linux or "Terraform/" in agent or ("Mozilla/" in agent and "Edg/" not in agent):
            assert _form(agent) in forms, agent
        client = not record["sourceIPAddress"].endswith(".amazonaws.com")
        assert agent.startswith("[") == (record["eventSource"] == "s3.amazonaws.com" and client), agent
    bracketed = {record["eventSource"] for record in told if str(record.get("userAgent", "")).startswith("[aws-cli/")}
    assert bracketed <= {"s3.amazonaws.com", "s3express.amazonaws.com"}
