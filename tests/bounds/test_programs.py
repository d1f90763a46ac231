"""Splits on signs: bounds beside rationals where rounding matters most, beside exact maxima, and what folding may have changed."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

import polyfiber as pf
from polyfiber.bounds import programs as module
from polyfiber.bounds.goals import near
from polyfiber.bounds.pairing import Side, paired
from polyfiber.bounds.programs import Programs, split_signs, tightened
from polyfiber.bounds.settle import root_bounds
from polyfiber.bounds.split import BoxSearch
from polyfiber.budget import Budget, Monitor
from tests.bounds.test_rounding import adversarial, affine, full
from tests.oracles.rationals import outputs


def made(f: Any, g: Any, lo: Any, hi: Any) -> Programs:
    sides = paired(f, g)
    search = BoxSearch(sides, near(np.zeros(f.architecture[-1]), np.zeros(f.architecture[-1])), lo, hi)
    box = tightened(sides, lo, hi, root_bounds(search), rows=None, monitor=Monitor())
    return Programs(sides, lo, hi, box)


def below_rationals(rng: Any) -> str:
    """'right' where no bound on a point or a box one step wide lies below an exact value."""
    widths = (int(rng.integers(1, 4)), *(int(rng.integers(1, 5)) for _ in range(int(rng.integers(1, 4)))), 2)
    f, g = adversarial(rng, widths)
    lo = rng.standard_normal(widths[0])
    hi = lo if rng.random() < 0.5 else np.nextafter(lo, np.inf)
    programs = made(f, g, lo, hi)
    corners = [np.where([(k >> j) & 1 for j in range(len(lo))], hi, lo) for k in range(1 << len(lo))]
    values = [(outputs(f, c), outputs(g, c)) for c in corners]
    for k, group in enumerate(near(np.zeros(2), np.zeros(2))):
        o, sign = divmod(k, 2)
        true = max((1 - 2 * sign) * (u[o] - v[o]) for u, v in values)
        bound = programs.bound(group, {})[0]
        if np.isfinite(bound) and Fraction(bound) < true:
            return f"WRONG: {bound!r} below {float(true)!r}"
    return "right"


@pytest.mark.parametrize("seed", range(12))
def test_never_below_exact_values(seed: int) -> None:
    assert below_rationals(np.random.default_rng(seed)) == "right"


def largest(f: Any, g: Any) -> float:
    """Largest ``|f - g|`` on [-1, 1] up to 1e-9, by finer and finer grids around the best points."""
    best, middles, radius = 0.0, [0.0], 1.0
    while radius > 1e-9:
        X = np.unique(np.clip(np.concatenate([m + radius * np.linspace(-1, 1, 20_001) for m in middles]), -1, 1))
        gaps = np.abs(f(X[:, None]) - g(X[:, None])).max(axis=1)
        best, middles, radius = max(best, float(gaps.max())), X[np.argsort(-gaps)[:3]].tolist(), radius / 5000
    return best


def beside_maximum(rng: Any) -> str:
    """'right' where signs prove epsilon a little above the maximum, and not a little below."""
    f = pf.ReLUNetwork.random((1, 4, 3, 2), rng=rng)
    g = pf.ReLUNetwork([W + 0.1 * rng.standard_normal(W.shape) for W in f.weights], f.biases)
    programs, top = made(f, g, -np.ones(1), np.ones(1)), largest(f, g)
    for factor, right in ((1 + 1e-5, "proved"), (1 - 1e-5, "open")):
        most = np.full(2, top * factor)
        found = split_signs(programs, near(most, np.zeros(2)), Monitor(Budget(seconds=20)))
        if found.status != right:
            return f"{'WRONG' if found.status == 'proved' else 'undecided'}: {found} at {factor} of {top}"
    return "right"


@pytest.mark.parametrize("seed", range(4))
def test_exact_maxima_are_proved_from_above_only(seed: int) -> None:
    assert beside_maximum(np.random.default_rng(seed)) == "right"


def test_what_was_folded_is_charged() -> None:
    f = pf.ReLUNetwork([[[1.0], [-1.0]], [[1.0, 1.0]]], [[0.0, 0.0], [0.0]])
    side = Side.of(f)
    folded = side.replaced(1, [side.weights[1], side.biases[1], np.full((1, 2), 0.125), np.array([0.25])])
    lo, hi = np.array([-1.0]), np.array([1.0])
    wide = np.array([[-1.0] * 2, [1.0] * 2, [-1.0] * 2, [1.0] * 2, [0.0] * 2, [0.0] * 2])
    group = near(np.zeros(1), np.zeros(1))[0]
    plain, charged = (Programs((side, other), lo, hi, wide).bound(group, {})[0] for other in (side, folded))
    assert 0 <= plain < 1e-9
    assert charged >= 0.375  # |x| = 1: an eighth for a weight, a quarter for the bias
    for weights in ([1.125, 1.125], [0.875, 0.875]):
        assert abs(1 - weights[0]) + 0.25 <= charged


def test_a_taken_sign_and_its_opposite_cover_the_box() -> None:
    rng = np.random.default_rng(5)
    f = pf.ReLUNetwork.random((2, 5, 4, 1), rng=rng)
    g = pf.ReLUNetwork([W + 0.2 * rng.standard_normal(W.shape) for W in f.weights], f.biases)
    programs = made(f, g, -np.ones(2), np.ones(2))
    group = near(np.zeros(1), np.zeros(1))[0]
    X = rng.uniform(-1, 1, (20_000, 2))
    true = float((f(X) - g(X)).max())
    whole = programs.bound(group, {})[0]
    for k in range(len(programs.signs)):
        halves = [programs.bound(group, {k: on})[0] for on in (True, False)]
        assert max(halves) >= true - 1e-12
        assert max(halves) <= whole + 1e-6


def test_the_time_is_heard() -> None:
    f, g = (pf.ReLUNetwork.random((3, 12, 12, 1), rng=k) for k in (0, 1))
    programs = Programs(paired(f, g), -np.ones(3), np.ones(3), np.repeat([[-50.0], [50.0]] * 3, 24, axis=1))
    found = split_signs(programs, near(np.full(1, 1e-3), np.zeros(1)), Monitor(Budget(seconds=0.2)))
    assert found.status == "open"
    assert found.bound > 1e-3


# ---- each charge alone covers what only it can lose, and without it something is lost --------------------------
F = Fraction
ONE = np.ones(1)


def rows_of(f: Any, g: Any, unit: Any, bounds: Any = None) -> Programs:
    sides = tuple(net if isinstance(net, Side) else Side.of(net) for net in (f, g))
    box = np.zeros((6, 0)) if bounds is None else np.array(bounds)[:, None]
    return Programs(sides, ONE, ONE, box, None, unit)  # type: ignore[arg-type]


def case_fold(rng: Any, unit: Any) -> bool:
    net = affine([[3.0]], 1.0)
    error, shift = 2.0**-20 * float(rng.integers(1, 8)), 2.0**-20
    side = Side(net.weights, net.biases, (np.array([[error]]),), (np.array([shift]),))
    slack = [rows_of(*two, unit).e for two in ((side, net), (net, side))]
    return all(F(float(e)) >= F(error) + F(shift) for e in (slack[0][0], slack[0][1], slack[1][1]))


def case_change(rng: Any, unit: Any) -> bool:
    v, w = float(rng.integers(1, 9)), float(full(rng, 1)[0]) * 2.0**-9
    made = rows_of(affine([[v]], 0.0), affine([[w]], 0.0), unit)
    factor = -float(made.E.toarray()[1, 0])
    return F(float(made.e[1])) >= abs(F(v) - F(w) - F(factor))


def case_sizes(rng: Any, unit: Any) -> bool:
    """An output is a column: its bounds are sums of magnitudes."""
    w = full(rng, 1, 6)
    sides = Side.of(affine(w, 0.0)), Side.of(affine(0 * w, 0.0))
    made = Programs(sides, np.ones(6), np.ones(6), np.zeros((6, 0)), None, unit)
    true = sum(map(F, w[0].tolist()))
    return all(F(made.high[c]) >= true and F(made.low[c]) <= -true for c in made.outputs[0])


def case_lift(rng: Any, unit: Any) -> bool:
    low, high = -float(full(rng, 1)[0]), float(full(rng, 1)[0])
    slope = high / (high - low)
    return F(module._lift(slope, low, high, unit)) >= max(-F(slope) * F(low), (1 - F(slope)) * F(high))


def case_offset(rng: Any, unit: Any) -> bool:
    """The row of the line above relu(b) where a is on: its factor 1 - s of a is rounded, and a is large."""
    f = pf.ReLUNetwork([[[1.0]], [[1.0]]], [[0.0], [0.0]])
    a, lb, ub = 2.0**30, -float(full(rng, 1)[0]) * 4, float(full(rng, 1)[0])
    made = rows_of(f, f, unit, [a, a + 8.0, lb, ub, a - ub, a + 8.0 - lb])
    row, side = made.A.toarray()[made.signs[0].chord], F(float(made.b[made.signs[0].chord]))
    held = True
    for b in (F(lb), F(ub)):
        value = {1: F(a), 2: F(a) - b, 3: F(a) - max(b, F(0))}  # a, d, D
        held = held and sum(F(float(row[c])) * v for c, v in value.items()) <= side
    return held


def case_dual(rng: Any, unit: Any) -> bool:
    """Multipliers with all bits: what they prove, beside the same sum in rationals."""
    made = rows_of(affine([[1.0]], 0.0), affine([[1.0]], 0.0), unit)
    A, b, E, cost = full(rng, 3, 4), full(rng, 3), full(rng, 2, 4), full(rng, 4)
    y, z, lo, hi = full(rng, 3), full(rng, 2), -full(rng, 4), full(rng, 4)
    made.c, made.e = full(rng, 2), np.zeros(2)
    found = made.certified(cost, (csr_array(A), b, csr_array(E)), (lo, hi), y, z)
    exact = [np.array([[F(float(v)) for v in row] for row in np.atleast_2d(part)], dtype=object) for part in (A, E)]
    total = -sum(F(float(p)) * F(float(q)) for p, q in zip(y, b)) + sum(
        F(float(p)) * F(float(q)) for p, q in zip(z, made.c)
    )
    for j in range(4):
        reduced = F(float(cost[j])) + sum(F(float(y[i])) * exact[0][i, j] for i in range(3))
        reduced -= sum(F(float(z[i])) * exact[1][i, j] for i in range(2))
        total += min(reduced * F(float(lo[j])), reduced * F(float(hi[j])))
    return F(found) <= total


def case_underflow(rng: Any, unit: Any) -> bool:
    made = rows_of(affine([[1.0]], 0.0), affine([[1.0]], 0.0), unit)
    made.c, made.e = np.zeros(0), np.zeros(0)
    none = csr_array((0, 1))
    y = np.array([2.0**-600])
    found = made.certified(np.zeros(1), (csr_array((1, 1)), y, none), (np.zeros(1), np.zeros(1)), y, np.zeros(0))
    return F(found) <= -(F(float(y[0])) ** 2)


CASES = {name[5:].upper(): case for name, case in list(globals().items()) if name.startswith("case_")}


@pytest.mark.parametrize("name", sorted(CASES))
def test_each_rounding_is_charged(name: str) -> None:
    only, nothing = (np.zeros(len(module.CHARGES)) for _ in range(2))
    only[getattr(module, name)] = 1.0
    assert all(CASES[name](np.random.default_rng(seed), only) for seed in range(40))
    assert not all(CASES[name](np.random.default_rng(seed), nothing) for seed in range(40))
    assert all(CASES[name](np.random.default_rng(seed), module.CHARGES) for seed in range(40))


def test_no_charge_is_without_a_case() -> None:
    assert {getattr(module, name) for name in CASES} == set(range(len(module.CHARGES)))
