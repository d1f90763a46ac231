"""Implied inequalities: floats propose, rationals decide; the exact simplex is the truth."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from polyfiber.numerics import implied as module
from polyfiber.numerics.exact import as_fractions
from polyfiber.numerics.implied import implied
from polyfiber.numerics.lp import solve_lp_exact

SCALES = (Fraction(1), Fraction(1, 10**19), Fraction(1, 10**8))


def _truth(others: np.ndarray, row: np.ndarray) -> bool:
    found = solve_lp_exact(others[:, -1], others[:, :-1].T, row[:-1])
    return found.status == "unbounded" or (found.x is not None and found.value <= row[-1])


def _polyhedron(rng: np.random.Generator) -> np.ndarray:
    """Inequalities that hold at the origin: ties, repeated directions, sums of others, constants of different sizes."""
    n, m = int(rng.integers(1, 5)), int(rng.integers(2, 14))
    rows = as_fractions(rng.integers(-2, 3, (m, n + 1)).astype(float))
    rows[:, -1] = [abs(c) * SCALES[int(rng.integers(3))] for c in rows[:, -1]]
    for i in range(m // 3):
        a, b = rng.integers(0, m, 2)
        rows[i] = rows[a] + 3 * rows[b]
        if rng.random() < 0.3:
            rows[i, -1] *= Fraction(2**60 - 1, 2**60)  # less by what no float tells
    return rows


@pytest.mark.parametrize("road", ["floats", "steps"])
def test_against_the_exact_simplex(road: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FEW", 0)
    monkeypatch.setattr(module, "solve_lp_exact", None)  # nothing is left to it
    if road == "steps":
        monkeypatch.setattr(module, "CLOSE", -1.0)
        monkeypatch.setattr(module, "_point_beyond", lambda *given: False)
    rng = np.random.default_rng(24)
    answers = []
    for _ in range(120):
        rows = _polyhedron(rng)
        for i in range(min(4, len(rows))):
            others = np.delete(rows, i, axis=0)
            answers.append(implied(others, rows[i]))
            assert answers[-1] == _truth(others, rows[i]), (others, rows[i])
    assert 0.2 < np.mean(answers) < 0.8


def test_a_tie_that_floats_cannot_see() -> None:
    """Forty walls around a cell, and one that is the sum of two of them, moved by 1e-40 to either side."""
    rng = np.random.default_rng(0)
    others = as_fractions(np.hstack([rng.normal(size=(40, 6)), np.ones((40, 1))]))
    both = others[0] + others[1]
    for shift in (Fraction(0), Fraction(1, 10**40), Fraction(-1, 10**40)):
        row = both.copy()
        row[-1] += shift
        assert implied(others, row) == _truth(others, row)
        assert implied(others, row) or shift < 0


@pytest.mark.parametrize("others_tilt", [0, 1], ids=["a cone", "a cone, cut far away"])
def test_walls_through_one_point_all_but(others_tilt: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty walls at distances of 1e-17 from one point: floats zoom in, and the exact simplex is not asked."""
    monkeypatch.setattr(module, "solve_lp_exact", None)
    rng = np.random.default_rng(7)
    normals = rng.normal(size=(40, 3)) + 3 * np.eye(3)[0]
    others = as_fractions(np.hstack([normals, np.zeros((40, 1))]))
    others[:, -1] = [Fraction(int(k), 10**22) for k in rng.integers(0, 10**5, 40)]
    if others_tilt:
        far = as_fractions(np.hstack([-np.eye(3), 100 * np.ones((3, 1))]))
        others = np.concatenate([others, far])
    for i in range(0, 40, 8):
        rest = np.delete(others, i, axis=0)
        for moved in (Fraction(0), Fraction(1, 10**19), Fraction(-1, 10**19), Fraction(1)):
            row = others[i].copy()
            row[-1] += moved
            assert implied(rest, row) == _truth(rest, row), (i, moved)


def test_nothing_implies_but_constants() -> None:
    none = np.zeros((0, 3), dtype=object)
    assert implied(none, as_fractions([0, 0, 1]))
    assert not implied(none, as_fractions([1, 0, 1]))
