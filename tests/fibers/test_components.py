"""Points and samples of each kind of component are the same function."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.fibers.components import ConstantPart, HidingPart, LayerPart, SinglePart
from polyfiber.fibers.layerwise import LayerParameters
from tests.fibers.test_hiding import hiding, same


def with_dead(net: pf.ReLUNetwork) -> pf.ReLUNetwork:
    """A neuron of layer 2 that is never positive on the orthant."""
    W = [net.weights[0], np.concatenate([net.weights[1], -np.ones((1, 3), dtype=int).astype(object)]),
         np.concatenate([net.weights[2], np.ones((2, 1), dtype=int).astype(object)], axis=1)]  # fmt: skip
    return pf.ReLUNetwork(
        W, [net.biases[0], np.append(net.biases[1], np.array([Fraction(-1)], dtype=object)), net.biases[2]]
    )


@pytest.mark.parametrize("n2", [1, 2])
@pytest.mark.parametrize("dead", [False, True])
def test_half_lines_of_translations(n2: int, dead: bool) -> None:
    net = with_dead(hiding(n2)) if dead else hiding(n2)
    for flipped in ((), (0,), (0, 2)) if n2 == 1 else ((),):
        part = HidingPart(net, flipped)
        assert part.dimension == 1 + (3 + 2) * dead
        for other in (part.point(), part.end_point(), *(part.sample(rng=seed) for seed in range(4))):
            assert same(net, other, 60)
        assert part.sample(rng=3) == part.sample(rng=3)
        assert part.sample(rng=3) != part.sample(rng=4)
    assert HidingPart(net, ()).point() == net


def test_constant_functions_are_free_but_for_the_last_bias() -> None:
    rng = np.random.default_rng(0)
    W = [rng.standard_normal((3, 2)), -np.abs(rng.standard_normal((2, 3))), rng.standard_normal((2, 2))]
    net = pf.ReLUNetwork(W, [rng.standard_normal(3), -np.abs(rng.standard_normal(2)), [1.0, -2.0]])
    part = ConstantPart(net)
    assert part.dimension == 3 * 2 + 2 * (3 + 2)
    for seed in range(4):
        other = part.sample(rng=seed)
        assert (other(10 * rng.standard_normal((50, 2))) == [1.0, -2.0]).all()
        assert other != net
    assert part.point() is net


def test_one_parameter_is_itself() -> None:
    net = pf.ReLUNetwork.random((3, 3, 1, 1), rng=0)
    part = SinglePart(net)
    assert part.point() is part.sample(rng=0) is net
    assert (part.dimension, part.kind) == (0, "identifiable")


def test_the_last_hidden_layer_is_replaced_in_the_gauge_of_unit_rows() -> None:
    net = pf.ReLUNetwork.random((2, 3, 2, 1), rng=0)
    norms = np.linalg.norm(net.weights[0], axis=1)
    layer = LayerParameters(net.weights[1] * norms, net.biases[1], net.weights[2], net.biases[2])
    made = LayerPart.network_of(net, layer)
    np.testing.assert_allclose(np.linalg.norm(made.weights[0], axis=1), 1.0)
    X = np.random.default_rng(0).standard_normal((50, 2))
    np.testing.assert_allclose(made(X), net(X), atol=1e-12)
