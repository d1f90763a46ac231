"""Geodesics of linear networks: the check finds what is no geodesic, and lengths, ends and bounds that are others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from tests.datasets.tables.test_strata import complaints, item_of, rows_of


@pytest.mark.parametrize("widths", [(2, 2, 2), (3, 2, 3), (3, 3), (4, 2, 1, 3), (2, 3, 4, 2)])
def test_geodesics_pass_the_check(widths: tuple[int, ...]) -> None:
    item = item_of(widths, seed=2)
    (row,) = rows_of("geodesics", item)
    assert complaints("geodesics", item, [row]) == []
    assert row["bound"] <= row["length"] * (1 + 1e-9)


@pytest.mark.parametrize("column", ["length", "bound", "start", "end", "rank", "depth"])
def test_a_wrong_number_is_noticed(column: str) -> None:
    item = item_of((2, 2, 2), seed=2)
    (row,) = rows_of("geodesics", item)
    value: Any = row[column]
    value = (
        [value[0] * 1.001, *value[1:]]
        if isinstance(value, list)
        else value + 1
        if isinstance(value, int)
        else value * 1.001
    )
    assert complaints("geodesics", item, [row | {column: value}])


def test_a_path_that_is_no_geodesic_is_noticed() -> None:
    item = item_of((2, 2, 2), seed=2)
    (row,) = rows_of("geodesics", item)
    points = np.reshape(row["points"], (-1, 2, 2))
    t = np.linspace(0.0, 1.0, len(points))[:, None, None]
    bent = points + 0.3 * np.sin(np.pi * t) * np.array([[0.0, 1.0], [-1.0, 0.0]])
    for other in (
        bent,
        points[0] + t * (points[-1] - points[0]),
        points[np.round((t[:, 0, 0] ** 2) * (len(t) - 1)).astype(int)],
    ):
        assert complaints("geodesics", item, [row | {"points": other.ravel().tolist()}])
