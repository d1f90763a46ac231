"""Functions of one variable: what is read off, and every network of every component is the same function."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.fibers.one_neuron import (
    is_single_point,
    scalar_components,
    scalar_dimension,
    scalar_families,
    scalar_function,
)


def network(seed: int, n2: int = 3, *, exact: bool = False) -> pf.ReLUNetwork:
    rng = np.random.default_rng(seed)
    W = [rng.integers(1, 5, (1, 2)), rng.integers(-4, 5, (n2, 1)), rng.integers(-4, 5, (1, n2))]
    b = [rng.integers(-4, 5, 1), rng.integers(-4, 5, n2), rng.integers(-4, 5, 1)]
    kind = object if exact else float
    return pf.ReLUNetwork([w.astype(kind) for w in W], [c.astype(kind) for c in b])


def along(net: pf.ReLUNetwork, direction: np.ndarray, t: np.ndarray) -> np.ndarray:
    w = direction.astype(float)
    return np.asarray(net.rounded()((t / (w @ w))[:, None] * w), dtype=float)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_breaks_jumps_and_slopes(seed: int, exact: bool) -> None:
    net = network(seed, exact=exact)
    h = scalar_function(net)
    t = np.linspace(-20, 20, 8001)
    values = along(net, h.direction, t)[:, 0]
    breaks, jumps = h.breaks.astype(float), h.jumps.astype(float)[:, 0]
    assert (np.diff(breaks) > 0).all()
    start = breaks[0] if len(breaks) else 0.0
    expected = float(h.value[0]) + float(h.first_slope[0]) * (t - start)
    expected = expected + (np.maximum(t[:, None] - breaks, 0.0) * jumps).sum(axis=1)
    np.testing.assert_allclose(values, expected, atol=1e-9)
    assert float(h.last_slope[0]) == pytest.approx(float(h.first_slope[0]) + jumps.sum(), abs=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_the_other_direction_is_the_same_function(seed: int) -> None:
    h = scalar_function(network(seed, exact=True))
    again = h.reversed().reversed()
    assert again.breaks.tolist() == h.breaks.tolist()
    assert again.value.tolist() == h.value.tolist()
    assert h.distance(h.reversed()) == 0.0
    assert h.n_breaks == 0 or h.distance(scalar_function(network(seed + 100, exact=True))) > 0


@pytest.mark.parametrize("seed", range(6))
def test_every_component_holds_networks_of_this_function(seed: int) -> None:
    net = network(seed, 2, exact=True)
    h = scalar_function(net)
    if not h.n_breaks:
        return
    components = list(scalar_components(h, 2))
    assert components
    assert scalar_dimension(h, 2) == max(c.dimension for c in components)
    assert is_single_point(h, 2) == (len(components) == 1 and components[0].dimension == 0)
    for c in components:
        for other in (c.point(), c.sample(rng=seed)):
            assert other.architecture == net.architecture
            for x in np.random.default_rng(0).integers(-30, 31, (20, 2)):
                point = [Fraction(int(v), 4) for v in x]
                assert (other(point) == net(point)).all()
        assert "first layer cuts" in str(c)


def test_families_need_a_flat_side() -> None:
    """relu(x) is constant on one side, a bump on both."""
    relu = scalar_function(pf.ReLUNetwork([[[1.0]], [[1.0]], [[1.0]]], [[0.0], [0.0], [0.0]]))
    assert {(float(f.function.direction[0]), f.before) for f in scalar_families(relu, 1)} == {(1.0, False), (1.0, True)}
    bump = scalar_function(
        pf.ReLUNetwork([[[1.0]], [[1.0]] * 3, [[1.0, -2.0, 1.0]]], [[0.0], [0.0, -1.0, -2.0], [0.0]])
    )
    assert bump.breaks.tolist() == [0.0, 1.0, 2.0]
    assert len(scalar_families(bump, 3)) == 4
    assert len(scalar_families(bump, 2)) == 2  # cutting before the first breakpoint leaves three to make
