"""Points and samples of each kind of component are the same function."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.fibers.components import ConstantPart, HidingPart, LayerPart, SinglePart
from polyfiber.fibers.layerwise import LayerParameters
from polyfiber.fibers.whole.assignments import shallow_fiber
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


def constants_counted(n: int, width: int, m: int) -> int:
    """How many rows, biases and outgoing weights in {-2, …, 2} make a constant, whatever the last bias: all are tried."""
    size = n + 1 + m
    one = np.array(list(itertools.product(range(-2, 3), repeat=size)))
    x = np.random.default_rng(0).standard_normal((40, n)) * np.repeat([2, 5, 100, 1000], 10)[:, None]
    values = np.maximum(one[:, :n] @ x.T + one[:, n : n + 1], 0)[:, None, :] * one[:, n + 1 :, None]
    varying = (values - values[:, :, :1]).reshape(len(one), -1)
    others = np.zeros((1, varying.shape[1])) if width == 1 else varying
    return sum(int((np.abs(varying + other).max(axis=1) < 1e-9).sum()) for other in others)


@pytest.mark.parametrize(
    ("n", "width", "m"), [(1, 1, 1), (2, 1, 1), (1, 1, 3), (2, 1, 3), (1, 2, 1), (2, 2, 1), (1, 2, 2)]
)
def test_size_of_constant_fibers_by_counting_integer_parameters(n: int, width: int, m: int) -> None:
    """A family of dimension d has 5^d of them; the largest families are few."""
    rng = np.random.default_rng(0)
    nets = [
        pf.ReLUNetwork(
            [rng.standard_normal((width, n)), np.zeros((m, width))], [rng.standard_normal(width), np.ones(m)]
        ),
        pf.ReLUNetwork([np.zeros((width, n)), rng.standard_normal((m, width))], [-np.ones(width), np.ones(m)]),
    ]
    if width == 2:
        row, out = rng.standard_normal((1, n)), rng.standard_normal((m, 1))
        nets.append(pf.ReLUNetwork([np.vstack([row, row]), np.hstack([out, -out])], [[1.0, 1.0], np.ones(m)]))
    counted = constants_counted(n, width, m)
    for net in nets:
        report = pf.classify_fiber(net)
        assert report.kind == "constant"
        assert report.raw_dimension is not None
        assert 5**report.raw_dimension <= counted < 5 ** (report.raw_dimension + 1)
        assert shallow_fiber(net).dimension == report.dimension
        for other in report.sample(3, rng=1):
            np.testing.assert_allclose(other(100 * rng.standard_normal((50, n))), 1.0, rtol=1e-12)


@pytest.mark.parametrize("widths", [(2, 3, 2, 2), (1, 1, 2, 1), (3, 2, 2, 2, 1)])
@pytest.mark.parametrize("how", ["unread", "no rows", "first rows", "dead"])
def test_deeper_constants_bind_the_last_bias_alone(widths: tuple[int, ...], how: str) -> None:
    net = pf.ReLUNetwork.random(widths, rng=1)
    weights, biases = [w.copy() for w in net.weights], [b.copy() for b in net.biases]
    if how == "dead":
        weights[-2], biases[-2] = -np.abs(weights[-2]), -np.abs(biases[-2])
    else:
        weights[{"unread": -1, "no rows": -2, "first rows": 0}[how]][:] = 0
    net = pf.ReLUNetwork(weights, biases)
    report = pf.classify_fiber(net)
    assert (report.kind, report.raw_dimension) == ("constant", net.n_parameters - widths[-1])
    other = report.sample(1, rng=0)[0]
    assert report.contains(other)
    assert pf.local_fiber(other).raw_dimension == report.raw_dimension


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("widths", [(2, 3, 3, 2, 1), (1, 2, 2, 3, 2, 2)])
def test_constants_that_only_the_regions_show(widths: tuple[int, ...], exact: bool) -> None:
    """Two neurons of layer 2 are copies that cancel in every neuron behind them: no neuron is dead, and no row zero."""
    net = pf.ReLUNetwork.random(widths, rng=3)
    weights, biases = [w.copy() for w in net.weights], [b.copy() for b in net.biases]
    weights[1][1], biases[1][:2] = weights[1][0], 1.0
    weights[2][:, 1], weights[2][:, 2:] = -weights[2][:, 0], 0 * weights[2][:, 2:]
    biases[2] = 1 + 0 * biases[2]
    net = pf.ReLUNetwork(weights, biases)
    report = pf.classify_fiber(net.exact() if exact else net)
    assert (report.kind, report.raw_dimension) == ("constant", net.n_parameters - widths[-1])
    assert report.contains(report.sample(1, rng=0)[0])
    weights[2][0, 1] *= 1 + 2**-40
    assert pf.classify_fiber(pf.ReLUNetwork(weights, biases)).kind != "constant"


def test_spare_neurons_of_one_hidden_layer_are_as_free_as_the_whole_fiber_says() -> None:
    """A neuron that nothing reads is free in its row: with more inputs than outputs that is the larger family."""
    rng = np.random.default_rng(2)
    for n, m, spare in [(3, 1, 1), (2, 1, 2), (1, 2, 1), (2, 2, 1)]:
        W, C = rng.integers(1, 9, (1 + spare, n)).astype(float), rng.integers(1, 9, (m, 1 + spare)).astype(float)
        C[:, 1:] = 0
        net = pf.ReLUNetwork([W, C], [np.arange(1.0 + spare), np.zeros(m)])
        report = pf.classify_fiber(net)
        assert report.dimension == shallow_fiber(net).dimension == spare * max(n, m)
        for other in report.sample(3, rng=0):
            x = 10 * rng.standard_normal((50, n))
            np.testing.assert_allclose(other(x), net(x), rtol=1e-9, atol=1e-9)
