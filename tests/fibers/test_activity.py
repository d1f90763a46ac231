"""Activity of neurons: certain where it is said, against rationals at points that reach the ends."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.fibers.activity import facts_from_complex, facts_on, layer_bounds, neuron_facts
from tests.oracles.rationals import layers


@pytest.mark.parametrize("exponent", [0, -200, -530, -1000, 300])
@pytest.mark.parametrize("seed", range(3))
def test_bounds_hold_in_rationals_at_all_corners(seed: int, exponent: int) -> None:
    """Products that underflow and sums that cancel included."""
    rng = np.random.default_rng(seed)
    W, b = np.ldexp(rng.integers(-3, 4, (3, 3)) / 3, exponent), np.ldexp(rng.integers(-2, 3, 3) / 7, 2 * exponent)
    low, high = np.ldexp(-rng.integers(0, 3, 3) / 5, exponent), np.ldexp(rng.integers(0, 3, 3) / 9, exponent)
    below, above = layer_bounds(W, b, low, high)
    for corner in itertools.product(*zip(low.tolist(), high.tolist())):
        for i in range(3):
            value = sum((Fraction(w) * Fraction(y) for w, y in zip(W[i].tolist(), corner)), Fraction(float(b[i])))
            assert Fraction(float(below[i])) <= value <= Fraction(float(above[i]))


def test_infinite_ends_and_exact_zeros() -> None:
    below, above = layer_bounds(
        np.array([[1.0, 0.0], [-1.0, 2.0], [0.0, 0.0]]),
        np.array([0.0, 1.0, -2.0]),
        np.zeros(2),
        np.array([np.inf, 1.0]),
    )
    assert below.tolist() == [0.0, -np.inf, -2.0]
    assert (above[0], above[2]) == (np.inf, -2.0)
    assert 3.0 <= above[1] < 3.0 + 1e-12


def test_a_value_below_all_floats_is_not_zero() -> None:
    """1e-200 x on [-1e-200, 1e-200]; and the same through a constant neuron, on all of space."""
    net = pf.ReLUNetwork([[[1e-200]], [[1.0]]], [[0.0], [0.0]])
    box = pf.Box([-1e-200], [1e-200])
    assert neuron_facts(net, box).status == (("bent",),)
    assert facts_on(net, box).status == (("bent",),)
    deep = pf.ReLUNetwork([[[0.0], [1.0]], [[1e-200, 0.0]], [[1e300]]], [[1e-200, 0.0], [0.0], [0.0]])
    assert neuron_facts(deep).status[0][0] == "constant"
    assert neuron_facts(deep).status[1][0] != "dead"
    assert deep.exact()([0])[0] > 0


@pytest.mark.parametrize("seed", range(6))
def test_no_point_contradicts_the_facts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    net = pf.ReLUNetwork([rng.integers(-1, 2, (4, 2)), rng.integers(-1, 2, (4, 4)), [[1.0] * 4]],
                         [rng.integers(-2, 3, 4), rng.integers(-2, 3, 4), [0.0]])  # fmt: skip
    box = pf.Box(-1, 1, dimension=2)
    found = [
        neuron_facts(net),
        neuron_facts(net, box),
        facts_on(net, box),
        facts_from_complex(net, pf.canonical_complex(net)),
    ]
    for x in [*itertools.product((-1.0, 0.0, 1.0), repeat=2), *rng.uniform(-1, 1, (30, 2))]:
        for l, z in enumerate(layers(net, x)[:-1]):
            for i, v in enumerate(z):
                for facts in found:
                    kind = facts.status[l][i]
                    assert {"dead": v <= 0, "active": v >= 0, "constant": v == net.biases[l][i] > 0}.get(kind, True)
                    assert Fraction(float(facts.lower[l][i])) <= v if np.isfinite(facts.lower[l][i]) else True
                    assert v <= Fraction(float(facts.upper[l][i])) if np.isfinite(facts.upper[l][i]) else True


def test_what_decided_each_neuron_is_told() -> None:
    net = pf.ReLUNetwork([[[1.0], [1.0]], [[1.0, -1.0]], [[1.0]]], [[3.0, 0.0], [-5.0], [0.0]])
    facts = facts_on(net, pf.Box(-1, 1, dimension=1))
    assert facts.status == (("active", "bent"), ("dead",))
    assert facts.of(1, "active") == [0]
    assert facts.of(1, "active", "bent") == [0, 1]
    assert facts.methods[0][0] == "interval bounds"
    assert facts_from_complex(net, pf.canonical_complex(net)).methods == (("complex", "complex"), ("complex",))


@pytest.mark.parametrize("seed", range(40))
def test_layer_bounds_hold_where_products_overflow_and_underflow(seed: int) -> None:
    rng = np.random.default_rng(seed)
    W = np.ldexp(rng.standard_normal((3, 2)), rng.choice([-600, 0, 600, 1000], size=(3, 2))) * (
        rng.random((3, 2)) < 0.8
    )
    b = np.ldexp(rng.standard_normal(3), rng.choice([-1000, 0, 1000], size=3)) * (rng.random(3) < 0.7)
    low = np.ldexp(rng.standard_normal(2), rng.choice([-1050, -600, 0, 1000], size=2)) * (rng.random(2) < 0.7)
    high = low + np.ldexp(rng.random(2), rng.choice([-1050, -600, 0, 1000], size=2))
    with np.errstate(all="raise"):
        least, most = layer_bounds(W, b, low, high)
    assert not np.isnan(least).any()
    assert not np.isnan(most).any()
    for i in range(3):
        for corner in np.ndindex(2, 2):
            y = [(low, high)[side][j] for j, side in enumerate(corner)]
            true = sum((Fraction(w) * Fraction(v) for w, v in zip(W[i].tolist(), y)), Fraction(b[i]))
            assert least[i] == -np.inf or Fraction(float(least[i])) <= true
            assert most[i] == np.inf or true <= Fraction(float(most[i]))
