"""How each node was reached is said link by link, with its events."""

import pytest

from cirtlib.errors import NotFoundError
from cirtlib.scope import load


def test_the_chain_begins_at_a_seed_and_each_link_goes_on_where_the_last_ended(incident):
    """Every node of the extent is reached, and every sentence names events of its edge."""
    case, _ = incident
    found = load(case)
    edges = {edge["id"]: edge for edge in found.edges}
    for node in found.extent():
        said = found.chain(node["id"])
        assert said
        if node["via"]:
            assert node["id"] in said[-1]
            assert edges[node["via"]]["evidence"][0] in said[-1]
            assert any(seed in said[0] for seed in found.to_dict()["seeds"])


def test_a_node_that_is_not_there_is_named_with_those_like_it(incident):
    """A bare name gives the full ones."""
    case, _ = incident
    found = load(case)
    whole = next(node["id"] for node in found.nodes if node["kind"] == "principal")
    with pytest.raises(NotFoundError, match="did you mean"):
        found.chain(whole[:-2])
    with pytest.raises(NotFoundError, match="lists them"):
        found.chain("nobody")
