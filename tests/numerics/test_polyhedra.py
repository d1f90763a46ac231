"""Nearest points and largest balls: against brute force over faces, and certificates that can fail."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from polyfiber.errors import NumericalError
from polyfiber.numerics import exact
from polyfiber.numerics.floats import directed, root
from polyfiber.numerics.polyhedra import _dual_steps, largest_ball, nearest_point

F = Fraction


def rational_rows(A: Any, b: Any) -> list[list[Fraction]]:
    """Rows ``b - A x >= 0`` with the constant last, of floats or rationals."""
    return [
        [*(-Fraction(v) for v in row), Fraction(c)] for row, c in zip(np.asarray(A).tolist(), np.asarray(b).tolist())
    ]


def rows_around(rng: np.random.Generator, n: int, m: int) -> list[list[Fraction]]:
    """Half-spaces that hold the origin, some through it."""
    A = rng.integers(-4, 5, (m, n))
    A[(A == 0).all(axis=1), 0] = 1
    b = np.where(rng.random(m) < 0.2, 0, rng.integers(1, 9, m))
    return rational_rows(A, b)


def value(row: Any, x: Any) -> Fraction:
    return sum((a * v for a, v in zip(row, x)), row[-1])


def brute_nearest(rows: Any, start: Any) -> Fraction:
    """Least squared distance to the flats of all sets of rows whose nearest point is feasible."""
    best = None
    n = len(start)
    for size in range(n + 1):
        for chosen in itertools.combinations(rows, size):
            at = list(start)
            if chosen:
                A = np.array([r[:-1] for r in chosen], dtype=object)
                if exact.rank(A) < len(chosen):
                    continue
                right = np.array([-value(r, start) for r in chosen], dtype=object)
                at = list(np.array(start, dtype=object) + A.T @ exact.solve(A @ A.T, right))
            if all(value(r, at) >= 0 for r in rows):
                squared = sum((a - s) ** 2 for a, s in zip(at, start))
                best = squared if best is None else min(best, squared)
    assert best is not None
    return best


@pytest.mark.parametrize("seed", range(12))
def test_nearest_points_against_all_faces(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 4))
    rows = rows_around(rng, n, int(rng.integers(1, 7)))
    start = [F(int(v), 3) for v in rng.integers(-20, 21, n)]
    squared, at = nearest_point([], rows, start)
    assert all(value(r, at) >= 0 for r in rows)
    assert squared == brute_nearest(rows, start)
    slow = _dual_steps([], rows, start)  # what answers where floats guess wrongly
    assert slow == at


def test_nearest_points_where_floats_say_nothing() -> None:
    """Parallel rows, of which floats see one; a point and a side so far away that squares overflow."""
    far = F(10) ** 200
    rows = [[F(1), F(0), -far], [F(1), F(0), -far - 1], [F(2), F(0), -2 * far - 2], [F(0), F(1), F(0)]]
    squared, at = nearest_point([], rows, [F(0), -(F(10) ** 400)])
    assert at == [far + 1, 0]
    assert squared == (far + 1) ** 2 + F(10) ** 800


def test_nearest_point_on_a_flat_and_of_nothing() -> None:
    squared, at = nearest_point([[F(1), F(1), F(-1)]], [[F(1), F(0), F(-2)]], [F(0), F(0)])
    assert (squared, at) == (5, [2, -1])
    with pytest.raises(NumericalError):
        nearest_point([], [[F(1), F(-1)], [F(-1), F(-1)]], [F(0)])


@pytest.mark.parametrize("seed", range(12))
def test_balls_lie_inside_and_none_is_larger(seed: int) -> None:
    """The upper bound against balls about the vertices' mean and random points; inside, by distances to all walls."""
    rng = np.random.default_rng(100 + seed)
    n = int(rng.integers(1, 4))
    box = rational_rows(np.concatenate([np.eye(n), -np.eye(n)]).astype(int), [5] * (2 * n))
    rows = [*rows_around(rng, n, 4), *box]
    ball = largest_ball([], rows, [F(0)] * n)
    assert 0 <= ball.radius <= ball.upper < np.inf
    assert ball.upper - ball.radius <= 1e-9 * max(1.0, ball.upper)
    for row in rows:
        slack, size = value(row, ball.center), sum(v * v for v in row[:-1])
        assert slack >= 0
        assert slack * slack >= F(ball.radius) ** 2 * size
    for _ in range(200):
        x = [F(float(v)) for v in rng.uniform(-5, 5, n)]
        assert not all(
            value(r, x) >= 0 and value(r, x) ** 2 > F(ball.upper) ** 2 * sum(v * v for v in r[:-1]) for r in rows
        )


def test_balls_of_every_size_thin_ones_and_those_in_a_flat() -> None:
    quadrant = [[F(1), F(0), F(0)], [F(0), F(1), F(0)]]
    assert largest_ball([], quadrant, [F(0), F(0)]).upper == np.inf
    strip = [[F(1), F(0), F(0)], [F(-1), F(0), F(1, 10**30)]]
    ball = largest_ball([], strip, [F(0), F(7)])
    assert ball.radius == pytest.approx(5e-31, rel=1e-9)
    assert ball.radius <= 0.5e-30 <= ball.upper
    square = rational_rows([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]], [1, 1, 1, 1])
    slanted = [[F(1), F(0), F(-1), F(0)]]  # z = x: the square becomes sqrt(2) long
    ball = largest_ball(slanted, square, [F(0)] * 3)
    assert ball.radius <= 1 <= ball.upper < 1 + 1e-12
    assert value(slanted[0], ball.center) == 0


def test_roots_and_directed_floats() -> None:
    for v in (F(2), F(1, 3), F(10) ** 700, F(1, 10**700), F(9, 4)):
        assert root(v) ** 2 <= v <= root(v, up=True) ** 2
        assert root(v, up=True) - root(v) <= root(v, up=True) / 2**70
        if v < 10**300:
            assert directed(v, up=False) <= v <= directed(v, up=True)
    assert directed(F(10) ** 700, up=True) == np.inf
    assert directed(F(-(10**700)), up=True) == -np.finfo(np.float64).max
