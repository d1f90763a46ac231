"""Goals against the words that they stand for, at rational outputs."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from polyfiber.bounds.goals import make_goal, near, same_winner, value

LATTICE = [Fraction(v, 2) for v in range(-2, 3)]


@pytest.mark.parametrize(("epsilon", "relative"), [(0.5, 0.0), (0.0, 0.5), (0.5, 0.25), (0.0, 0.0)])
def test_near_means_within_epsilon(epsilon: float, relative: float) -> None:
    groups = near(np.array([epsilon, 1.0]), np.array([relative, 0.0]))
    for f, g in itertools.product(LATTICE, repeat=2):
        excess = value(groups, [f, Fraction(0)], [f - g, Fraction(0)])
        assert (excess <= 0) == (abs(f - g) <= Fraction(epsilon) + Fraction(relative) * abs(f))
    assert value(groups, [Fraction(0)] * 2, [Fraction(0), Fraction(2)]) == 1


@pytest.mark.parametrize("delta", [0.0, 0.5])
@pytest.mark.parametrize("factor", [None, 0.5, 2.0])
def test_a_disagreement_of_winners_violates_the_goal(delta: float, factor: float | None) -> None:
    """No goal excludes an input where f and g prefer different classes by more than delta."""
    m = 3
    groups = same_winner(m, delta, None if factor is None else np.full((m, m), factor))
    for f in itertools.product((0.0, 0.5, 2.0), repeat=m):
        for g in itertools.product((0.0, 0.5, 2.0), repeat=m):
            leaders = [
                next((i for i in range(m) if all(w[i] > w[k] + delta for k in range(m) if k != i)), None)
                for w in (f, g)
            ]
            excess = value(groups, f, [a - b for a, b in zip(f, g)])
            if None not in leaders and leaders[0] != leaders[1]:
                assert excess > 0
    assert value(groups, [0.0] * m, [0.0] * m) <= 0


def test_without_factors_nothing_but_disagreements_violates_it() -> None:
    groups = same_winner(2, 0.25)
    for f, g in itertools.product(itertools.product(LATTICE, repeat=2), repeat=2):
        apart = (f[0] - f[1]) * (g[0] - g[1]) < 0 and min(abs(f[0] - f[1]), abs(g[0] - g[1])) > Fraction(1, 4)
        assert (value(groups, f, [a - b for a, b in zip(f, g)]) > 0) == apart


def test_goals_are_the_same_lists_in_arrays() -> None:
    groups = same_winner(3, 0.125, np.full((3, 3), 0.5))
    goal = make_goal(groups, (np.eye(2), np.ones(2)), 2)
    rng = np.random.default_rng(0)
    outputs = rng.integers(-4, 5, 6) / 2
    k = 0
    for g, group in enumerate(groups):
        assert goal.start[g + 1] - goal.start[g] == len(group)
        for terms, shift, most in group:
            part = slice(goal.entry[k], goal.entry[k + 1])
            assert dict(zip(goal.column[part].tolist(), goal.value[part].tolist())) == terms
            assert (goal.constant[k], goal.limit[k]) == (shift, most)
            assert goal.value[part] @ outputs[goal.column[part]] == sum(c * outputs[o] for o, c in terms.items())
            k += 1
    assert goal.rows.shape == (2, 2)
    assert make_goal(groups, None, 5).rows.shape == (0, 5)
