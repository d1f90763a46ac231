"""Gates on a known side, put into the maps behind them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import ShapeError
from polyfiber.network.fixed_gates import with_fixed_gates
from polyfiber.network.piecewise import GateGroup
from polyfiber.testing.graphs import WEIGHTS, WIRINGS, random_graph


@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_equal_where_the_sides_hold(wiring: str, weights: str) -> None:
    rng = np.random.default_rng(5)
    for _ in range(5):
        net = random_graph(rng, 2, (3, 2, 3), wiring=wiring, weights=weights, outputs=2).exact()
        x = np.array([Fraction(int(v), 8) for v in rng.integers(-20, 20, 2)], dtype=object)
        z = [v for part in net.preactivations(x)[:-1] for v in part]
        side = np.array([(v > 0) - (v < 0) for v in z]) * rng.integers(0, 2, len(z))
        fixed = with_fixed_gates(net, side)
        assert fixed.n_hidden == int((side == 0).sum())
        assert fixed(x).tolist() == net(x).tolist()


def test_floats_stay_floats_where_they_hold_the_numbers_and_names_stay() -> None:
    groups = [GateGroup("conv", "Conv", (3,), np.arange(3))]
    block = pf.GateBlock({0: np.eye(3)}, np.zeros(3), slopes=(0.5, 1), groups=groups)
    net = pf.PiecewiseLinearNetwork(3, [block], pf.AffineMap({1: np.ones((1, 3))}, [0.0]))
    fixed = with_fixed_gates(net, [1, 0, -1])
    assert not fixed.is_exact
    assert fixed.gate_name(0) == "conv[1]"
    assert fixed.output.dense(0, 3).tolist() == [[1.0, 0.0, 0.5]]
    third = pf.GateBlock({0: np.eye(3)}, np.zeros(3), slopes=(Fraction(1, 3), 1))
    assert with_fixed_gates(
        pf.PiecewiseLinearNetwork(3, [third], pf.AffineMap({1: np.ones((1, 3))}, [0])), [-1, 0, 0]
    ).is_exact


def test_all_gates_gone_is_an_affine_map() -> None:
    net = random_graph(1, 2, (2, 2), kind="abs")
    fixed = with_fixed_gates(net, np.ones(4, dtype=int))
    assert fixed.blocks == ()
    assert pf.canonical_complex(fixed, pf.Box([-1, -1], [1, 1])).n_regions == 1


def test_signs_must_fit() -> None:
    with pytest.raises(ShapeError):
        with_fixed_gates(random_graph(1, 2, (2, 2)), [0, 0])
