"""What refutes: gaps beyond all rounding, in rationals where floats cannot tell."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.equivalence import witness as module
from tests.oracles.rationals import outputs


def wild(seed: int) -> pf.ReLUNetwork:
    rng = np.random.default_rng(seed)
    W = [rng.standard_normal(s) * 10.0 ** rng.uniform(-8, 8, (s[0], 1)) for s in ((4, 2), (3, 4), (2, 3))]
    return pf.ReLUNetwork(W, [rng.standard_normal(len(w)) for w in W])


@pytest.mark.parametrize("seed", range(5))
def test_rounding_of_an_evaluation_is_bounded(seed: int) -> None:
    net = wild(seed)
    for x in np.random.default_rng(seed).standard_normal((8, 2)) * 10.0 ** np.arange(-4, 4)[:, None]:
        bound, size = module.rounding_bound(net, x), module.magnitude(net, x)
        for found, limit, whole, true in zip(net(x), bound, size, outputs(net, x)):
            assert abs(Fraction(float(found)) - true) <= Fraction(float(limit))
            assert abs(float(true)) <= whole * (1 + 1e-12)


def test_exact_outputs_are_those_of_fractions() -> None:
    net = wild(0)
    x = np.array([0.1, -0.7])
    assert module.exact_output(net, x).tolist() == outputs(net, x)
    assert module.exact_output(net.exact(), x).tolist() == outputs(net, x)
    u, v, gap = module.exact_difference(net, net, x)
    assert u.tolist() == v.tolist()
    assert gap == 0


def shifted(net: pf.ReLUNetwork, by: Any) -> pf.ReLUNetwork:
    return pf.ReLUNetwork([*net.weights], [*net.biases[:-1], net.biases[-1] + by])


def test_decisive_gaps_exceed_what_is_allowed() -> None:
    net = pf.ReLUNetwork([[[1.0]]], [[0.0]])
    x = np.array([0.5])
    found = module.decisive(net, shifted(net, 0.25), x, 0.2)
    assert found is not None
    assert (found.gap, found.proof) == (0.25, "rounding")
    assert found.verify(net, shifted(net, 0.25))
    assert module.decisive(net, shifted(net, 0.25), x, 0.25) is None
    assert module.decisive(net, net, x, 0.0) is None
    assert module.decisive(net, shifted(net, 0.25), np.array([np.nan]), 0.0) is None


def test_floats_that_cannot_tell_are_settled_in_rationals() -> None:
    one = pf.ReLUNetwork([[[1.0], [-1.0]], [[1.0, 1.0]]], [[1.0, 0.0], [0.0]])
    tiny = shifted(one, 5e-324)
    found = module.decisive(one, tiny, np.array([1.0]), 0.0)
    assert found is not None
    assert found.proof == "exact"
    assert found.values[0][0] != found.values[1][0]
    third = pf.ReLUNetwork([[[Fraction(1, 3)]]], [[0]])
    near = pf.ReLUNetwork([[[1 / 3]]], [[0]])
    assert module.decisive(third, near, np.array([3.0]), 0.0) is not None
    assert module.decisive(third, near, np.array([0.0]), 0.0) is None


def test_a_witness_lies_in_the_domain() -> None:
    box = pf.Box([Fraction(1, 3)], [Fraction(1, 3)])
    one, two = (pf.ReLUNetwork([[[1.0]]], [[c]]) for c in (0.0, 1.0))
    found = module.decisive_in(box, one, two, np.array([0.3]), 0.0)
    assert found is not None
    assert found.values[0].tolist() == [Fraction(1, 3)]
    assert module.decisive_in(box, one, one, np.array([0.3]), 0.0) is None


def test_candidates_lie_in_boxes_and_on_walls() -> None:
    a, b = pf.ReLUNetwork.random((2, 3, 3, 1), rng=0), pf.ReLUNetwork.random((2, 3, 3, 1), rng=1)
    box = pf.Box([-1, 0], [1, 2])
    X = module.candidates(a, b, box, n=32)
    assert ((X >= [-1, 0]) & (X <= [1, 2])).all()
    free = module.candidates(a, b, n=32)
    values = np.concatenate([free @ n.weights[0].T + n.biases[0] for n in (a, b)], axis=1)
    size = np.concatenate([np.abs(free) @ np.abs(n.weights[0]).T + np.abs(n.biases[0]) for n in (a, b)], axis=1)
    assert (np.abs(values) <= 1e-12 * size).any(axis=0).all()  # each wall of layer 1 is met
    triangle = pf.Polyhedron([[-1, 0], [0, -1], [1, 1]], [0, 0, 1])
    assert triangle.contains(module.candidates(a, b, triangle)).all()


def test_neurons_that_stay_off_add_nothing() -> None:
    net = pf.ReLUNetwork([[[1.0], [1.0]], [[1.0, 100.0]]], [[0.0, -5.0], [0.0]])
    x = np.array([1.0])
    assert module.magnitude(net, x).tolist() == [601.0]
    assert module.present(net, x, 1e-9).tolist() == [1.0]
    assert module.present(net, x, 0.5).tolist() == [601.0]
    assert (module.as_float(Fraction(1, 10**400)), module.as_float(-Fraction(10**400))) == (5e-324, -np.inf)
