"""Extreme directions of flats against what makes them extreme: no convex function is larger elsewhere."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from polyfiber.errors import InputError
from polyfiber.numerics.directions import MOST, extreme_directions
from polyfiber.numerics.exact import as_fractions, rank


def size(d: Any, ord: float) -> Fraction:
    return sum(map(abs, d), Fraction(0)) if ord == 1 else max(map(abs, d))


@pytest.mark.parametrize("ord", [1, np.inf])
def test_of_all_of_space(ord: float) -> None:
    found = {tuple(d) for d in extreme_directions(as_fractions(np.eye(3)), ord).astype(int)}
    if ord == 1:
        assert found == {(1, 0, 0), (0, 1, 0), (0, 0, 1)}
    else:
        assert found == {(1, a, b) for a in (1, -1) for b in (1, -1)}


@pytest.mark.parametrize("ord", [1, np.inf])
@pytest.mark.parametrize("seed", range(6))
def test_extreme_points_span_the_ball(seed: int, ord: float) -> None:
    """All are of norm 1 and in the span, none is a mean of others, and no linear function is larger on the ball."""
    rng = np.random.default_rng(seed)
    n, k = 4, 1 + seed % 3
    basis = as_fractions(rng.integers(-3, 4, (n, k)))
    if rank(basis) < k:
        basis[:k] = as_fractions(np.eye(k))
    found = extreme_directions(basis, ord)
    for d in found:
        assert size(d, ord) == 1
        assert rank(np.concatenate([basis, d[:, None]], axis=1)) == k
    for _ in range(60):
        c = rng.integers(-3, 4, k)
        y: Any = basis @ c
        if not any(y):
            continue
        goal = rng.integers(-5, 6, n)
        assert abs(goal @ y) / size(y, ord) <= max(abs(goal @ d) for d in found)


def test_each_pair_once_and_nothing_of_a_point() -> None:
    found = [tuple(d) for d in extreme_directions(as_fractions([[1, 0], [0, 1], [1, 1]]), 1)]
    assert len(found) == len(set(found)) == 3
    assert not any(tuple(-v for v in d) in found for d in found)
    assert extreme_directions(as_fractions(np.zeros((3, 0))), 1).shape == (0, 3)


def test_too_many_are_counted_first() -> None:
    with pytest.raises(InputError, match="norm of infinity") as error:
        extreme_directions(as_fractions(np.eye(20)), np.inf)
    assert error.value.count == 1 << 19 > MOST  # type: ignore[attr-defined]
