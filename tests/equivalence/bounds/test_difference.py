"""What `difference` and answers say where numbers leave the range of floats, and for each output."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf

Net = pf.ReLUNetwork


@pytest.mark.parametrize("method", ["auto", "regions", "bound", "milp"])
@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_products_beyond_floats(method: str, size: float) -> None:
    f, g = (Net([[[size]], [[k]]], [[0.0], [0.0]]) for k in (size, 2 * size))
    found = pf.difference(f, g, pf.Box([0], [1]), method=method)  # type: ignore[arg-type]
    assert found.upper > found.maximum
    assert "unbounded" not in found.sentence
    assert np.isfinite(found.maximum)
    if size > 1:
        assert not found.complete
        assert found.upper == np.inf


def test_one_point_by_milp() -> None:
    f, g = Net.random((2, 4, 3), rng=0), Net.random((2, 4, 3), rng=5)
    found = pf.difference(f, g, pf.Box([0.1, 0.2], [0.1, 0.2]), method="milp")
    assert found.complete
    assert found.maximum <= found.upper <= found.maximum * (1 + 1e-6)


def test_words() -> None:
    a = Net.random((2, 5, 2), rng=1)
    third = Net([a.weights[0] / 3, a.weights[1] * 3], [a.biases[0] / 3, a.biases[1]])
    box = pf.Box(-1, 1, dimension=2)
    for answer in (pf.are_equivalent(a, third, tolerance=0), pf.are_equivalent(a, third, box, epsilon=0)):
        assert "tolerance" not in answer.sentence
        assert "epsilon" not in answer.sentence
    assert "0.1 to 0.2" in pf.are_equivalent(a, third, box, epsilon=[0.1, 0.2]).sentence
    other = pf.are_equivalent(a, Net([a.weights[0] * 2, a.weights[1]], a.biases))
    assert other.proof is not None
    assert ("computed exactly" in other.sentence) == (other.proof.proof == "exact")


def test_vertices_beyond_floats_are_no_inputs_and_bound_the_difference() -> None:
    net = pf.ReLUNetwork([[[1e-300], [2e-300]], [[1, 1]]], [[1e10, 1e10], [0]])
    found = pf.difference(net, net)
    assert (found.maximum, found.upper) == (0, 0)
    assert np.isfinite(found.where).all()
    other = pf.ReLUNetwork([[[1e-300], [2e-300]], [[1, 1]]], [[1e10, 1e10], [1]])
    found = pf.difference(net, other)
    assert found.maximum <= 1 <= found.upper
    assert found.upper == pytest.approx(1, abs=1e-3)
    half = pf.Polyhedron([[1.0]], [0.0])  # the vertex lies below -1e310
    found = pf.difference(net, other, half)
    assert found.upper >= 1
    assert found.where is None or found.where[0] <= 0
