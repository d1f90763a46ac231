"""Surfaces in space with Plotly."""

from __future__ import annotations

import pytest

import polyfiber as pf
from polyfiber.errors import InputError
from polyfiber.plots import plot_solid

pytest.importorskip("plotly")


def test_every_polygon_is_drawn() -> None:
    cx = pf.canonical_complex(pf.ReLUNetwork.random((3, 6, 1), rng=0), pf.Box([-2] * 3, [2] * 3))
    found = cx.level_set()
    surface, lines = plot_solid(found).data
    corners, _ = found.mesh().triangles()
    assert len(surface.i) == len(corners)
    assert len(lines.x) == 3 * len(found.mesh().edge_use()[0])
    with pytest.raises(InputError, match="space"):
        plot_solid(pf.canonical_complex(pf.ReLUNetwork.random((2, 3, 1), rng=0), pf.Box([-1] * 2, [1] * 2)).level_set())
