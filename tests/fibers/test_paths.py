"""Paths inside a component: the ends are met and the function stays."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.equivalence.checks.sample import deviation
from polyfiber.errors import InputError
from polyfiber.fibers.components import HidingPart
from polyfiber.fibers.examples import hiding_example
from polyfiber.fibers.hiding import admissible_shift
from polyfiber.fibers.layerwise import layerwise_fiber
from polyfiber.fibers.paths import layer_path, network_path
from polyfiber.network.moves import Translate


@pytest.mark.parametrize(
    ("n", "m", "ell"), [(3, 2, 1), (3, 2, 2), (3, 3, 3), (2, 2, 3), (2, 1, 2), (2, 3, 2), (3, 1, 4)]
)
def test_paths_between_samples(n: int, m: int, ell: int) -> None:
    rng = np.random.default_rng(10 * n + m + ell)
    W = np.vstack([[1.0, -1.0, 0.5][:n], np.abs(rng.standard_normal((ell, n))), -np.abs(rng.standard_normal((1, n)))])
    b = np.r_[0.3, np.abs(rng.standard_normal(ell)), -1.0]
    C, a = rng.standard_normal((m, ell + 2)), rng.standard_normal(m)
    fiber = layerwise_fiber(W, b, C, a)
    component = fiber.component(fiber.own_orientation, ell)
    start, end = component.sample(rng=rng), component.sample(rng=rng)
    points = layer_path(component, start, end, steps=40)
    np.testing.assert_allclose(points[0].C, start.C, atol=1e-9)
    np.testing.assert_allclose(np.sort(points[-1].W, axis=0), np.sort(end.W, axis=0), atol=1e-9)
    Y = rng.exponential(1.0, (400, n)) * 10.0 ** rng.uniform(-1, 1, (400, 1))
    values = start(Y)
    largest = max(np.abs(q.C).max() for q in points)
    for q in points:
        linear = slice(1, 1 + ell)
        assert (q.W[linear] >= 0).all()
        assert (q.b[linear] >= 0).all()
        np.testing.assert_allclose(q(Y), values, atol=1e-9 * largest * np.abs(Y).max())
    steps = [np.abs(q.W - p.W).max() for p, q in zip(points, points[1:])]
    assert max(steps) < 0.2


def test_half_line_of_translations() -> None:
    net = hiding_example((3, 3, 2, 1), hidden=0, rng=1)
    end = Translate(0, admissible_shift(net))(net)
    part = HidingPart(net, ())
    for point in network_path(part, net, end, steps=7):
        assert deviation(net, point).relative < 1e-12
    with pytest.raises(InputError, match="half-line"):
        network_path(part, net, pf.ReLUNetwork.random((3, 3, 2, 1), rng=0))


def test_path_of_networks_in_a_layerwise_component() -> None:
    base = pf.ReLUNetwork.random((3, 2, 3, 2), rng=2)
    W2, b2 = np.abs(base.weights[1]), np.abs(base.biases[1])
    W2[2, 0] *= -1
    net = pf.ReLUNetwork([base.weights[0], W2, base.weights[2]], [base.biases[0], b2, base.biases[2]])
    component = next(pf.classify_fiber(net).components())
    points = network_path(component, component.sample(rng=0), component.sample(rng=1), steps=12)
    for point in points:
        assert deviation(net, point, use_complexes=False).relative < 1e-10


def test_rational_components_are_refused() -> None:
    fiber = layerwise_fiber(*(np.array(v, dtype=object) for v in ([[1, -1], [1, 2]], [1, 1], [[1, 2]], [0])))
    component = next(fiber.components())
    with pytest.raises(InputError, match="float64"):
        layer_path(component, component.point(), component.point())
