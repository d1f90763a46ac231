"""Gates that bend on one line of a slice are one unit, and their signs and values come out as they are."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes.planar.verify import verify_subdivision


def pencil(rng: np.random.Generator, slopes: tuple[float, float]) -> pf.PiecewiseLinearNetwork:
    """Gates on multiples of two coordinates, gates on these, and one that reads everything."""
    first = np.array([[2.0, 0], [-1, 0], [0.5, 0], [0, 3], [0, -1], [0, 0.25]])
    second = np.zeros((6, 6))
    second[:3, :3], second[3:, 3:] = rng.integers(-2, 3, (3, 3)), rng.integers(-2, 3, (3, 3))
    own = np.zeros((6, 2))
    own[:3, 0], own[3:, 1] = rng.integers(-2, 3, 3), rng.integers(-2, 3, 3)
    blocks = [
        pf.GateBlock({0: first}, np.zeros(6), slopes=slopes),
        pf.GateBlock({0: own, 1: second}, np.zeros(6), slopes=slopes),
        pf.GateBlock({1: rng.normal(size=(3, 6)), 2: rng.normal(size=(3, 6))}, rng.normal(size=3), slopes=slopes),
    ]
    return pf.PiecewiseLinearNetwork(2, blocks, pf.AffineMap({2: np.ones((1, 6)), 3: np.ones((1, 3))}, [0.5]))


@pytest.mark.parametrize("slopes", [(0.0, 1.0), (0.25, 1.0), (-1.0, 1.0), (2.0, -3.0)])
def test_gates_on_one_line_are_one_unit(slopes: tuple[float, float]) -> None:
    for seed in range(8):
        net = pencil(np.random.default_rng(seed), slopes)
        box = pf.Box(-2, 2, dimension=2)
        s = pf.slice_complex(net, np.zeros(2), np.eye(2), domain=box, method="walk")
        cx = pf.canonical_complex(net, box)
        assert s.stats.gates == 5  # of 15: two lines, and the three gates that read both
        assert s.n_regions == cx.n_regions
        assert {r.tobytes() for r in s.signs()} == {r[:15].tobytes() for r in cx.signs(2)}
        assert verify_subdivision(s).ok
        A, a, bound = s.affine_maps(np.arange(s.n_regions))
        middles = np.array([p.mean(axis=0) for p in s.polygons()])
        values = np.einsum("rij,rj->ri", A, middles) + a
        assert (np.abs(values - net(middles)) <= bound + 1e-9).all()
        assert np.allclose(s.values, net(s.coordinates))


def test_what_is_zero_everywhere_is_a_constant() -> None:
    block = pf.GateBlock({0: [[1.0], [2.0]]}, [0.0, 0.0])
    behind = pf.GateBlock({1: [[2.0, -1.0], [1.0, 0.0]]}, [0.0, 1.0])
    net = pf.PiecewiseLinearNetwork(1, [block, behind], pf.AffineMap({2: [[1.0, 1.0]]}, [0.0]))
    s = pf.slice_complex(net, [0.0], [[1.0]], domain=pf.Box([-1], [1]), method="walk")
    assert s.stats.constant == 1
    assert {tuple(r) for r in s.signs().tolist()} == {(-1, -1, 0, 1), (1, 1, 0, 1)}
