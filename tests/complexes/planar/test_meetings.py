"""Signs from pairs of floats against rationals; unsure where they are too close."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.budget import Monitor
from polyfiber.complexes.planar.exact_forms import ExactForms
from polyfiber.complexes.planar.meetings import DOUBLED, EXACT, Meetings
from polyfiber.complexes.planar.restrict import Columns, Frame, as_piecewise, restrict

CORNERS = [(Fraction(x), Fraction(y)) for x in (-1, 1) for y in (-1, 1)]


def near(seed: int) -> pf.ReLUNetwork:
    """Rows that differ in the last digits, others far apart in size."""
    rng = np.random.default_rng(seed)
    W = rng.integers(-2, 3, (6, 2)) * (1.0 + np.ldexp(rng.integers(-1, 2, (6, 2)).astype(float), -52))
    V = rng.integers(-2, 3, (4, 6)) * np.ldexp(1.0, rng.integers(-60, 61, (4, 6)))
    return pf.ReLUNetwork(
        [W, V, rng.standard_normal((1, 4))], [rng.integers(-1, 2, 6) / 4, rng.integers(-1, 2, 4), [0.0]]
    )


@pytest.mark.parametrize("seed", range(8))
def test_as_in_rationals(seed: int) -> None:
    r = restrict(as_piecewise(near(seed)), np.zeros(2), np.eye(2), Frame.around(CORNERS))
    exact = ExactForms(r)
    meetings = Meetings(r, Columns.of(r), exact)
    rng = np.random.default_rng(seed)
    signs = np.zeros(len(r.units), dtype=np.int8)
    ways = set()
    for _ in range(20):
        signs[: r.n_gates] = rng.choice([-1, 1], r.n_gates)
        for _ in range(20):
            i, j, g = (int(v) for v in rng.integers(-4, r.n_gates, 3))
            exact.take(signs)
            (a, b, _), (c, d, _) = exact.form(i), exact.form(j)
            if g < 0 or a * d == b * c:
                continue
            found, how = meetings.sign(signs, i, j, g)
            assert found == exact.at_meeting(i, j, g)
            ways.add(how)
    assert DOUBLED in ways


def test_zeros_are_left_to_integers() -> None:
    net = pf.ReLUNetwork([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [[1.0, 1.0, 1.0]]], [[0.0, 0.0, 0.0], [0.0]])
    r = restrict(as_piecewise(net), np.zeros(2), np.eye(2), Frame.around(CORNERS))
    exact = ExactForms(r)
    assert Meetings(r, Columns.of(r), exact).sign(np.array([1, 1, 1, 0], dtype=np.int8), 0, 1, 2) == (0, EXACT)


@pytest.mark.parametrize("seed", range(4))
def test_signs_at_a_point(seed: int) -> None:
    net = near(seed)
    r = restrict(as_piecewise(net), np.zeros(2), np.eye(2), Frame.around(CORNERS))
    meetings = Meetings(r, Columns.of(r), ExactForms(r))
    for point in [
        *CORNERS,
        (Fraction(0), Fraction(0)),
        (Fraction(1, 3), Fraction(-1, 7)),
        (Fraction(1, 4), Fraction(0)),
    ]:
        z = np.concatenate(net.exact().preactivations(np.array(point, dtype=object))[:-1])
        expected = np.array([(v > 0) - (v < 0) for v in z.tolist()], dtype=np.int8)
        np.testing.assert_array_equal(r.signs(meetings.signs_at(point, Monitor())), expected)
