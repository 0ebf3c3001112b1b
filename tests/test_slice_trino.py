"""The suspects' slice from a real Trino."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cirtlib import evidence, scope, standard
from cirtlib.case import Case
from cirtlib.collect import collect
from tests.trino_parity import sides
from tests.trino_server import Trino, trino_server

__all__ = ["trino_server"]
pytestmark = pytest.mark.integration


def test_the_scope_is_that_of_the_whole_logs(
    trino_server: Trino, incident: tuple[Case, dict[str, Any]], tmp_path: Path
) -> None:
    """At most three queries on the server, and the extent is the same."""
    whole = incident[0]
    start, end = standard.window(whole)
    with sides(trino_server, whole, "slice") as made:
        told = [source for source in whole.sources if source.kind != "cloudtrail"]
        case = replace(
            whole, path=tmp_path / "sliced", sources=(*told, made.case.sources[-1]),
            window=replace(whole.window, start=start, end=end),
        )  # fmt: skip
        case.path.mkdir()
        shutil.copy(whole.path / "case.yaml", case.path)
        total = collect(case, processes=1)
    ends = [line["slice"] for line in evidence.lines(case) if "slice" in line and line["slice"]["name"] == "suspects"]
    assert [one["status"] for one in ends] == ["read"]
    assert total["rejected"] == 0
    assert len({one["query_id"] for one in ends[0]["facts"]["queries"]}) <= 3
    assert scope.scope(case).extent() == scope.scope(whole).extent()
