"""Regions of networks of gates around a point: inequalities, maps and walls on a line, against values."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.testing.graphs import WIRINGS, random_graph

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("wiring", WIRINGS)
def test_the_region_of_a_point(wiring: str) -> None:
    net = random_graph(1, 2, (4, 3), wiring=wiring, outputs=2)
    x = np.array([0.3, -0.4])
    region = pf.region(net, x)
    A, a = region.affine_map
    np.testing.assert_allclose(A @ x + a, net(x), atol=1e-10)
    assert (region.A @ x <= region.b).all()
    X = x + 0.5 * RNG.standard_normal((400, 2))
    inside = (region.b >= X @ region.A.T).all(axis=1)
    assert 0 < inside.sum() < 400
    np.testing.assert_allclose(X[inside] @ A.T + a, net(X[inside]), atol=1e-9)
    beyond = X[(region.b + 1e-3 < X @ region.A.T).any(axis=1)]
    assert any(not np.allclose(A @ y + a, net(y), atol=1e-12) for y in beyond)
