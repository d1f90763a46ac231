"""Bounds by lines with free slopes and multipliers: beside rationals for any choices, and each rounding alone."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.bounds import multipliers
from polyfiber.bounds.goals import near
from polyfiber.bounds.multipliers import Layers, Rows, met, tightened
from polyfiber.bounds.pairing import Side, paired
from polyfiber.bounds.settle import root_bounds
from polyfiber.bounds.split import BoxSearch
from tests.bounds.test_rounding import adversarial, full
from tests.oracles.rationals import hidden_values, outputs


def searched(f: Any, g: Any, lo: Any, hi: Any, epsilon: float = 0.0) -> BoxSearch:
    m = f.architecture[-1]
    return BoxSearch(paired(f, g), near(np.full(m, epsilon), np.zeros(m)), lo, hi)


def below_rationals(rng: Any) -> str:
    """'right' where no bound with random choices, on a point or a box one step wide, lies below an exact value."""
    widths = (int(rng.integers(1, 4)), *(int(rng.integers(1, 5)) for _ in range(int(rng.integers(1, 4)))), 2)
    f, g = adversarial(rng, widths)
    lo = rng.standard_normal(widths[0])
    hi = lo if rng.random() < 0.5 else np.nextafter(lo, np.inf)
    s = searched(f, g, lo, hi)
    box = root_bounds(s)
    layers = Layers(s.sides, lo, hi, box)
    if rng.random() < 0.5:
        box = tightened(layers, box, 5)
        layers = Layers(s.sides, lo, hi, box)
    corners = [np.where([(k >> j) & 1 for j in range(len(lo))], hi, lo) for k in range(1 << len(lo))]
    inside = [(hidden_values(f, c), hidden_values(g, c)) for c in corners]
    for u, v in inside:
        for i, (a, b) in enumerate(zip(u, v)):
            for low, high, value in ((0, 1, a), (2, 3, b), (4, 5, a - b)):
                if not Fraction(float(box[low, i])) <= value <= Fraction(float(box[high, i])):
                    return f"WRONG: bounds of neuron {i}"
    values = [(outputs(f, c), outputs(g, c)) for c in corners]
    R = 12
    free = rng.random((5, R, layers.n)) * np.array([1, 1, 1, 3, 3])[:, None, None]
    free[:, : R // 2] = np.round(free[:, : R // 2])
    # signs that hold at a corner; the functional is bounded there
    k = int(rng.integers(len(corners)))
    signs = [np.array([1 if t >= 0 else -1 for t in part])[layers.live] for part in inside[k]]
    taken = np.stack([s * rng.integers(0, 2, (R, layers.n)) for s in signs])
    many = np.repeat(box[None, :, layers.live], R, axis=0)
    P, Q, constant = rng.standard_normal((R, 2)), rng.standard_normal((R, 2)), rng.standard_normal(R)
    ends = (np.repeat(lo[None], R, axis=0), np.repeat(hi[None], R, axis=0))
    rows = Rows(layers.depth - 1, P, Q, constant)
    for steps in (0, 3):
        found = layers.lowered(rows, ends, many, free, taken, steps)
        for r in range(R):
            u, v = values[k]
            true = Fraction(float(constant[r])) + sum(
                Fraction(float(P[r, o])) * u[o] + Fraction(float(Q[r, o])) * (u[o] - v[o]) for o in range(2)
            )
            bound = float(found.bound[r])
            if np.isfinite(bound) and Fraction(bound) < true:
                return f"WRONG: {bound!r} below {float(true)!r}"
    return "right"


@pytest.mark.parametrize("seed", range(12))
def test_never_below_exact_values(seed: int) -> None:
    assert below_rationals(np.random.default_rng(seed)) == "right"


def test_what_was_folded_is_charged() -> None:
    f = pf.ReLUNetwork([[[1.0], [-1.0]], [[1.0, 1.0]]], [[0.0, 0.0], [0.0]])
    side = Side.of(f)
    folded = side.replaced(1, [side.weights[1], side.biases[1], np.full((1, 2), 0.125), np.array([0.25])])
    lo, hi = np.array([-1.0]), np.array([1.0])
    wide = np.array([[-1.0] * 2, [1.0] * 2, [-1.0] * 2, [1.0] * 2, [0.0] * 2, [0.0] * 2])
    row = Rows(1, np.zeros((1, 1)), np.ones((1, 1)), np.zeros(1))
    plain, charged = (
        float(
            Layers((side, other), lo, hi, wide).lowered(row, (lo[None], hi[None]), wide[None], None, None, 50).bound[0]
        )
        for other in (side, folded)
    )
    assert 0 <= plain < 1e-9
    for weights in ([1.125, 1.125], [0.875, 0.875]):
        assert abs(1 - weights[0]) + 0.25 <= charged


def test_bounds_that_meet_are_found_empty() -> None:
    box = np.array([[-1.0, 0.5], [1.0, 1.0], [-1.0, -1.0], [1.0, 0.0], [-0.1, -0.1], [0.1, 0.1]])
    assert met(box[None].copy()).tolist() == [True]  # a >= 0.5, b <= 0, a - b <= 0.1
    assert met(box[None, :, :1].copy()).tolist() == [False]


# ---- each charge alone covers what only it can lose, and without it something is lost --------------------------
F = Fraction


ONE = np.ones(1)


def row_of(f: Any, g: Any, x: Any, P: Any, Q: Any, unit: Any, constant: float = 0.0, part: float = 1.0) -> Fraction:
    """Bound of one functional of the outputs at a point, with D by the part of it that goes by relu(a) - relu(b)."""
    sides = Side.of(f), Side.of(g)
    n = sum(f.architecture[1:-1])
    box = np.repeat([[1.0], [2.0], [1.0], [2.0], [-1.0], [1.0]], n, axis=1)
    layers = Layers(sides, x, x, box, unit)
    free = np.zeros((5, 1, n))
    free[2] = part
    rows = Rows(layers.depth - 1, np.atleast_2d(P), np.atleast_2d(Q), np.array([constant]))
    return F(float(layers.lowered(rows, (x[None], x[None]), box[None], free, None, 0).bound[0]))


def case_sums(rng: Any, unit: Any) -> bool:
    p, v = full(rng, 5) * rng.choice([-1, 1], 5), full(rng, 5)
    f = pf.ReLUNetwork([v[:, None]], [np.zeros(5)])
    return row_of(f, f, ONE, p, np.zeros(5), unit) >= sum(F(a) * F(b) for a, b in zip(p.tolist(), v.tolist()))


def case_change(rng: Any, unit: Any) -> bool:
    f, g = (pf.ReLUNetwork([[[w]]], [[0.0]]) for w in (float(rng.integers(1, 9)), float(full(rng, 1)[0]) * 2.0**-9))
    return row_of(f, g, ONE, [0.0], [1.0], unit) >= outputs(f, ONE)[0] - outputs(g, ONE)[0]


def case_ends(rng: Any, unit: Any) -> bool:
    W, x = full(rng, 1, 6) * rng.choice([-1, 1], 6), full(rng, 6)
    f = pf.ReLUNetwork([W], [[0.0]])
    return row_of(f, f, x, [1.0], [0.0], unit) >= outputs(f, x)[0]


def case_constant(rng: Any, unit: Any) -> bool:
    b, c = float(full(rng, 1)[0]), float(full(rng, 1)[0]) * 2.0**-9
    f = pf.ReLUNetwork([[[0.0]]], [[b]])
    return row_of(f, f, ONE, [1.0], [0.0], unit, c) >= F(b) + F(c)


def case_split(rng: Any, unit: Any) -> bool:
    """C + E is rounded, and the part of a that is left after E is taken off again is not C."""
    v, w = float(full(rng, 1)[0]) * 2.0**-12, float(full(rng, 1)[0]) * 2.0**12
    f = pf.ReLUNetwork([[[1.0]], [[v], [w]]], [[0.0], [0.0, 0.0]])
    return row_of(f, f, ONE, [1.0, 0.0], [0.0, 1.0], unit) >= F(v)


def case_plane(rng: Any, unit: Any) -> bool:
    """E times the slope of a line is rounded."""
    f = pf.ReLUNetwork([[[0.0]], [[3.0]]], [[1.0], [0.0]])
    g = pf.ReLUNetwork([[[0.0]], [[3.0]]], [[0.0], [0.0]])
    box = np.array([[0.0], [2.0], [0.0], [2.0], [-1.0], [1.0]])
    layers = Layers((Side.of(f), Side.of(g)), ONE, ONE, box, unit)
    lines = layers.lines(box[None])
    slope = rng.random((1, 1))
    lines = lines._replace(up=(slope, np.zeros((1, 1))))
    rows = Rows(1, np.zeros((1, 1)), np.ones((1, 1)), np.zeros(1))
    _, constant, _, _ = layers.back(rows, lines, np.zeros((5, 1, 1)), None, charged=True)
    return F(float(constant[0])) >= 3 * F(float(slope[0, 0]))


def case_lift(rng: Any, unit: Any) -> bool:
    low, high = -full(rng, 1), full(rng, 1)
    s = high / (high - low)
    exact = max(-F(float(s[0])) * F(float(low[0])), (1 - F(float(s[0]))) * F(float(high[0])))
    return F(float(multipliers.lift(s, low, high, unit)[0])) >= exact


def case_mutual(rng: Any, unit: Any) -> bool:
    a, d = full(rng, 2) * rng.choice([-1, 1], 2)
    box = np.array([[a], [a], [-99.0], [99.0], [d], [d]])[None]
    met(box, unit)
    return F(float(box[0, 2, 0])) <= F(float(a)) - F(float(d)) <= F(float(box[0, 3, 0]))


def case_underflow(rng: Any, unit: Any) -> bool:
    """A coefficient that underflows times a large input."""
    f = pf.ReLUNetwork([[[2.0**-600]], [[2.0**-600]]], [[0.0], [0.0]])
    x = np.array([2.0**700 * float(rng.integers(1, 9))])
    wide = np.array([0.0, 2.0**200] * 3)[:, None]
    layers = Layers((Side.of(f), Side.of(f)), x, x, wide, unit)
    row = Rows(1, np.ones((1, 1)), np.zeros((1, 1)), np.zeros(1))
    return F(float(layers.lowered(row, (x[None], x[None]), wide[None], None, None, 0).bound[0])) >= outputs(f, x)[0]


CASES = {name[5:].upper(): case for name, case in list(globals().items()) if name.startswith("case_")}


@pytest.mark.parametrize("name", sorted(CASES))
def test_each_rounding_is_charged(name: str) -> None:
    only, nothing = np.zeros(len(multipliers.CHARGES)), np.zeros(len(multipliers.CHARGES))
    only[getattr(multipliers, name)] = 1.0
    assert all(CASES[name](np.random.default_rng(seed), only) for seed in range(40))
    assert not all(CASES[name](np.random.default_rng(seed), nothing) for seed in range(40))


def test_no_charge_is_without_a_case() -> None:
    folded = {"FOLD"}  # test_what_was_folded_is_charged
    assert {getattr(multipliers, name) for name in CASES.keys() | folded} == set(range(len(multipliers.CHARGES)))


def test_without_charges_bounds_lie_below_exact_values() -> None:
    saved = multipliers.CHARGES.copy()
    try:
        multipliers.CHARGES[:] = 0.0
        assert any(below_rationals(np.random.default_rng(seed)) != "right" for seed in range(12))
    finally:
        multipliers.CHARGES[:] = saved
