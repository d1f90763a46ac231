"""Splits on signs by multipliers: bounds beside rationals for any choices, each rounding, maxima, halves that cover."""

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
from polyfiber.bounds.signs import SignSearch
from polyfiber.bounds.split import BoxSearch
from polyfiber.budget import Budget, Monitor
from tests.bounds.test_programs import largest
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


def beside_maximum(rng: Any) -> str:
    """'right' where signs prove epsilon a little above the maximum, and not a little below."""
    f = pf.ReLUNetwork.random((1, 4, 3, 2), rng=rng)
    g = pf.ReLUNetwork([W + 0.1 * rng.standard_normal(W.shape) for W in f.weights], f.biases)
    top = largest(f, g)
    for factor, right in ((1 + 1e-5, "proved"), (1 - 1e-5, "open")):
        s = searched(f, g, -np.ones(1), np.ones(1), top * factor)
        found = SignSearch(s, root_bounds(s)).run(Monitor(Budget(seconds=1.0 if right == "open" else 20.0)))
        if found.status != right:
            return f"{'WRONG' if found.status == 'proved' else 'undecided'}: {found} at {factor} of {top}"
    return "right"


@pytest.mark.parametrize("seed", range(3))
def test_exact_maxima_are_proved_from_above_only(seed: int) -> None:
    assert beside_maximum(np.random.default_rng(seed)) == "right"


def beside_samples(rng: Any) -> str:
    """'right' where the gap that was proved on a box is not below that of any of many inputs."""
    widths = (
        int(rng.integers(2, 7)),
        *(int(rng.integers(3, 12)) for _ in range(int(rng.integers(1, 4)))),
        int(rng.integers(1, 4)),
    )
    f = pf.ReLUNetwork.random(widths, rng=rng)
    noise = float(10.0 ** rng.uniform(-4, -0.5))
    g = pf.ReLUNetwork([W + noise * rng.standard_normal(W.shape) for W in f.weights], f.biases)
    middle, radius = rng.standard_normal(widths[0]), float(10.0 ** rng.uniform(-2, 0.3))
    lo, hi = middle - radius, middle + radius
    X = rng.uniform(lo, hi, (20_000, widths[0]))
    X[::2] = np.where(rng.random(X[::2].shape) < 0.5, lo, hi)
    d = f(X) - g(X)
    top = float(np.abs(d).max())
    s = searched(f, g, lo, hi, top * float(rng.choice([0.9, 0.999, 1.001, 1.1])))
    search = SignSearch(s, root_bounds(s))
    found = search.run(Monitor(Budget(seconds=0.5)))
    epsilon = s.goal.limit[0]
    if top > epsilon * (1 + 1e-9) and found.status == "proved":
        return f"WRONG: proved {epsilon} below {top}"
    if epsilon + found.bound < top * (1 - 1e-12) and found.status == "open":
        return f"WRONG: bound {epsilon + found.bound} below {top}"
    return f"right: {found.status}"


@pytest.mark.parametrize("seed", range(6))
def test_not_below_samples(seed: int) -> None:
    assert beside_samples(np.random.default_rng(seed)).startswith("right")


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


def test_halves_cover_and_keep_what_lies_in_them() -> None:
    rng = np.random.default_rng(5)
    f = pf.ReLUNetwork.random((3, 6, 5, 1), rng=rng)
    g = pf.ReLUNetwork([W + 0.05 * rng.standard_normal(W.shape) for W in f.weights], f.biases)
    s = searched(f, g, -np.ones(3), np.ones(3), 1e-6)
    search = SignSearch(s, root_bounds(s))
    X = rng.uniform(-1, 1, (3000, 3))
    gap = (f(X) - g(X))[:, 0]
    hidden = [np.concatenate([np.asarray(z) for z in pre(net, X)], axis=1)[:, search.layers.live] for net in (f, g)]
    first = search.start()[0]
    nodes = [(first, np.ones(len(X), dtype=bool))]
    for _ in range(12):
        node, mask = nodes.pop(0)
        k = search.candidates(node)[0]
        for upper in (False, True):
            part = search.half(node, k, upper)
            if k < 3:
                inside = mask & (X[:, k] >= part.lo[k]) & (X[:, k] <= part.hi[k])
            else:
                which, i = divmod(k - 3, search.layers.n)
                inside = mask & ((hidden[which][:, i] >= 0) if upper else (hidden[which][:, i] <= 0))
            found = search.bounded([part])
            if not found:
                assert not inside.any()
                continue
            child = found[0]
            if inside.any():
                assert gap[inside].max() - 1e-6 <= child.bound + 1e-12
                for kind, values in ((0, hidden[0]), (2, hidden[1]), (4, hidden[0] - hidden[1])):
                    assert (values[inside] >= child.box[kind, search.layers.live] - 1e-9).all()
                    assert (values[inside] <= child.box[kind + 1, search.layers.live] + 1e-9).all()
            nodes.append((child, inside))


def pre(net: Any, X: Any) -> list[Any]:
    """Pre-activations of the hidden layers."""
    found, y = [], X
    for W, b in zip(net.weights[:-1], net.biases[:-1]):
        z = y @ W.T + b
        found.append(z)
        y = np.maximum(z, 0)
    return found


def test_bounds_that_meet_are_found_empty() -> None:
    box = np.array([[-1.0, 0.5], [1.0, 1.0], [-1.0, -1.0], [1.0, 0.0], [-0.1, -0.1], [0.1, 0.1]])
    assert met(box[None].copy()).tolist() == [True]  # a >= 0.5, b <= 0, a - b <= 0.1
    assert met(box[None, :, :1].copy()).tolist() == [False]


def test_the_time_is_heard() -> None:
    f, g = (pf.ReLUNetwork.random((3, 12, 12, 1), rng=k) for k in (0, 1))
    s = searched(f, g, -np.ones(3), np.ones(3), 1e-3)
    found = SignSearch(s, root_bounds(s)).run(Monitor(Budget(seconds=0.2)))
    assert found.status == "open"
    assert found.bound > 1e-3


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


CASES = {name[5:].upper(): case for name, case in list(globals().items()) if name.startswith("case_")}


@pytest.mark.parametrize("name", sorted(CASES))
def test_each_rounding_is_charged(name: str) -> None:
    only, nothing = np.zeros(len(multipliers.CHARGES)), np.zeros(len(multipliers.CHARGES))
    only[getattr(multipliers, name)] = 1.0
    assert all(CASES[name](np.random.default_rng(seed), only) for seed in range(40))
    assert not all(CASES[name](np.random.default_rng(seed), nothing) for seed in range(40))


def test_without_charges_bounds_lie_below_exact_values() -> None:
    saved = multipliers.CHARGES.copy()
    try:
        multipliers.CHARGES[:] = 0.0
        assert any(below_rationals(np.random.default_rng(seed)) != "right" for seed in range(12))
    finally:
        multipliers.CHARGES[:] = saved


def test_memory_and_progress_are_heard() -> None:
    f, g = (pf.ReLUNetwork.random((3, 12, 12, 1), rng=k) for k in (0, 1))
    s = searched(f, g, -np.ones(3), np.ones(3), 1e-3)
    told: list[Any] = []
    monitor = Monitor(Budget(seconds=30, memory=1 << 18), told.append)
    found = SignSearch(s, root_bounds(s)).run(monitor)
    assert found.status == "open"
    assert monitor.elapsed < 25
    assert told
