"""The check of a slice notices damage of each kind that it claims to."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import polyfiber as pf


@pytest.fixture
def good() -> pf.PlanarSlice:
    net = pf.ReLUNetwork.random((5, 8, 8, 2), rng=4)
    D = np.random.default_rng(4).standard_normal((2, 5))
    return pf.slice_complex(net, np.zeros(5), D, domain=pf.Box(-1, 1, dimension=2), method="walk")


def damaged(s: pf.PlanarSlice, **tables: Any) -> pf.PlanarSlice:
    return dataclasses.replace(s, _tables=dataclasses.replace(s._tables, **tables))


def test_damage_is_noticed(good: pf.PlanarSlice) -> None:
    assert good.verify(rng=0).ok
    t = good._tables
    keys = t.keys.copy()
    keys[0] = keys[1]
    assert any("one sign vector" in p for p in damaged(good, keys=keys).verify(rng=0).problems)
    cells = t.edge_cells.copy()
    cells[np.flatnonzero(t.edge_line >= 0)[0], 1] = -1
    assert any("inner edge" in p for p in damaged(good, edge_cells=cells).verify(rng=0).problems)
    points = t.points.copy()
    points[t.cell_corners[t.ptr[3]], :2] += 0.2
    assert any("area" in p for p in damaged(good, points=points).verify(rng=0).problems)
    for change in ({"first": -t.first}, {"keys": t.keys + np.uint64(1)}, {"moves": t.moves[::-1]}):
        assert any("along the walk" in p for p in damaged(good, **change).verify(rng=0).problems)
    edges = t.cell_edges.copy()
    edges[0] = edges[1]
    assert any("name each other" in p for p in damaged(good, cell_edges=edges).verify(rng=0).problems)
    more = {"edges": np.concatenate([t.edges, t.edges[:1]]), "edge_line": np.append(t.edge_line, t.edge_line[0])}
    more["edge_cells"] = np.concatenate([t.edge_cells, t.edge_cells[:1]])
    assert any("Euler" in p for p in damaged(good, **more).verify(rng=0).problems)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("edge_cells", "other regions"),
        ("edges", "other ends"),
        ("edge_line", "other signs change"),
        ("values", "outputs at vertex"),
        ("points", "not where its edges meet"),
    ],
)
def test_exchanged_rows_are_noticed(good: pf.PlanarSlice, table: str, words: str) -> None:
    t = good._tables
    rows = getattr(t, table).copy()
    inner = np.flatnonzero(t.edge_line >= 0)[:2] if table.startswith("edge") else np.array([5, 6])
    if table == "points":
        rows[inner[0], :2] += 1e-7
    else:
        rows[inner] = rows[inner[::-1]]
    found = damaged(good, **{table: rows}).verify(rng=0)
    assert not found.ok
    assert any(words in p for p in found.problems) or table == "points"


def test_lines_are_verified() -> None:
    net = pf.PiecewiseLinearNetwork.from_chain(pf.ReLUNetwork.random((5, 8, 8, 2), rng=4))
    s = pf.slice_complex(net, np.zeros(5), np.ones((1, 5)), domain=pf.Box(-1, 1, dimension=1), method="walk")
    found = s.verify(rng=0)
    assert found.ok
    assert found.checked["regions, exact"] == 5


def test_gates_that_vanish_leave_signs_to_check() -> None:
    """A dead gate is zero everywhere on the slice: the others are looked at all the same."""
    net = pf.ReLUNetwork([[[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]], [[1.0, 1.0, 1.0]]], [[0.0, 0.0, -0.5], [0.0]])
    s = pf.slice_complex(net, np.zeros(2), np.eye(2), domain=pf.Box(-1, 1, dimension=2), method="walk")
    found = s.verify(rng=0)
    assert found.ok
    assert found.checked["signs inside regions"] == 2 * s.n_regions
