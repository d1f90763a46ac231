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
    first = -t.first
    assert any("middle" in p for p in damaged(good, first=first).verify(rng=0).problems)
    keys = t.keys.copy() + np.uint64(1)
    assert any("no region" in p for p in damaged(good, keys=keys).verify(rng=0).problems)
    edges = t.cell_edges.copy()
    edges[0] = edges[1]
    assert any("name each other" in p for p in damaged(good, cell_edges=edges).verify(rng=0).problems)
    assert any(
        "Euler" in p
        for p in damaged(
            good,
            edges=np.concatenate([t.edges, t.edges[:1]]),
            edge_line=np.append(t.edge_line, t.edge_line[0]),
            edge_cells=np.concatenate([t.edge_cells, t.edge_cells[:1]]),
        )
        .verify(rng=0)
        .problems
    )
