"""Splits on signs: bounds beside rationals where rounding matters most, beside exact maxima, and what folding may have changed."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.bounds.goals import near
from polyfiber.bounds.pairing import Side, paired
from polyfiber.bounds.programs import Programs, split_signs, tightened
from polyfiber.bounds.settle import root_bounds
from polyfiber.bounds.split import BoxSearch
from polyfiber.budget import Budget, Monitor
from tests.bounds.test_rounding import adversarial
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
