"""Digests tell apart what differs, and nothing else."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes.digests import content_digest, domain_digest, network_digest
from polyfiber.network.piecewise import AffineMap, GateBlock, PiecewiseLinearNetwork
from polyfiber.network.sparse import SparseMatrix
from polyfiber.testing.graphs import random_graph


def test_networks_that_differ_anywhere() -> None:
    net = pf.ReLUNetwork.random((2, 3, 1), rng=0)
    seen = {network_digest(net), network_digest(net.exact())}
    for part in (*range(2), *range(2, 4)):
        parts = [[w.copy() for w in net.weights], [b.copy() for b in net.biases]]
        array = parts[part // 2][part % 2]
        array.flat[0] = np.nextafter(array.flat[0], 9.0)
        seen.add(network_digest(pf.ReLUNetwork(*parts)))
    assert len(seen) == 6
    assert network_digest(pf.ReLUNetwork(net.weights, net.biases)) == network_digest(net)
    assert network_digest(pf.ReLUNetwork([[[1.0, 2.0]]], [[0.0]])) != network_digest(
        pf.ReLUNetwork([[[1.0], [2.0]]], [[0.0, 0.0]])
    )


def test_how_a_matrix_is_stored_does_not_matter() -> None:
    matrix = np.array([[0.0, 1.5], [2.0, 0.0]])

    def made(w: object, slope: float = 0.0) -> PiecewiseLinearNetwork:
        block = GateBlock({0: w}, [0.0, 1.0], slopes=[[slope, 1.0]] * 2)
        return PiecewiseLinearNetwork(2, [block], AffineMap({1: np.ones((1, 2))}, [0.0]))

    assert network_digest(made(matrix)) == network_digest(made(SparseMatrix.of(matrix)))
    assert network_digest(made(matrix)) != network_digest(made(matrix, 0.5))
    assert network_digest(random_graph(0, 2, (3,))) != network_digest(random_graph(1, 2, (3,)))


def test_domains() -> None:
    box = pf.Box([0, 0], [1, 1])
    same = pf.Polyhedron([[-1, 0], [0, -1], [1, 0], [0, 1]], [0, 0, 1, 1])
    third = pf.Box([0, 0], [1, Fraction(1, 3)])
    found = [domain_digest(d) for d in (None, box, same, third, pf.Box([0, 0], [1, 1 / 3]), pf.Box([0, 0], [1, 2]))]
    assert len(set(found)) == len(found)
    assert domain_digest(pf.Box([0.0, 0.0], [1.0, 1.0])) == domain_digest(box)


@pytest.mark.parametrize(
    "other", [{"b": np.arange(3)}, {"a": np.arange(3.0)}, {"a": np.array([0, 1, 3])}, {"a": np.arange(3)[:, None]},
              {"a": np.arange(3), "b": np.zeros(0)}, {"a": np.array(["0", "1", "2"])}],
)  # fmt: skip
def test_contents_by_name_type_shape_and_value(other: dict[str, np.ndarray]) -> None:
    store = {"a": np.arange(3)}
    assert content_digest(store) != content_digest(other)
    assert content_digest(store) == content_digest({"a": np.arange(3).astype(">i8")})
    assert content_digest({"a": np.arange(4)[::2]}) == content_digest({"a": np.array([0, 2])})
    both = {"x": np.ones(2), "y": np.zeros(1)}
    assert content_digest(both) == content_digest(dict(reversed(both.items())))
