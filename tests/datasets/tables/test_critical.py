"""Strata with critical points: types beside Hessians by differences, and a check that notices a wrong number."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("pyarrow")

from tests.datasets.tables.test_strata import complaints, item_of, rows_of


@pytest.mark.parametrize("widths", [(2, 2), (3, 2, 3), (2, 1, 3), (2, 3, 4, 2), (3, 3, 3)])
def test_types_are_those_of_hessians(widths: tuple[int, ...]) -> None:
    item = item_of(widths)
    rows = rows_of("critical", item)
    assert complaints("critical", item, rows) == []
    assert "global minimum" in {row["kind"] for row in rows}
    assert len(rows_of("critical", item, most=2)) == 2


@pytest.mark.parametrize("column", ["points", "kind", "loss", "index", "nullity", "target", "rank"])
def test_a_wrong_number_is_noticed(column: str) -> None:
    item = item_of((3, 2, 3))
    rows = rows_of("critical", item)
    changed: Any = {
        "points": lambda v: "some" if v == "all" else "all", "kind": lambda v: "saddle" if v is None else None, "target": lambda v: [v[0] + 1e-9, *v[1:]],
    }.get(column, lambda v: 1 if v is None else v + 1)  # fmt: skip
    for row in rows:
        assert complaints("critical", item, [row | {column: changed(row[column])}])
