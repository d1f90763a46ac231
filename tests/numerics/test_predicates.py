"""Ranks against rationals, and of matrices that are close."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from polyfiber.errors import RankAmbiguityError
from polyfiber.numerics.exact import as_fractions, rank
from polyfiber.numerics.predicates import decide_rank


@pytest.mark.parametrize("seed", range(5))
def test_ranks_are_those_of_integers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, n, r = rng.integers(1, 6, 3)
    matrix = rng.integers(-3, 4, (m, r)) @ rng.integers(-3, 4, (r, n))
    found, sure = decide_rank(matrix.astype(float)), decide_rank(as_fractions(matrix))
    assert found.rank == sure.rank == rank(matrix)
    assert sure.exact
    assert not found.exact
    assert sure.excess == 0.0
    assert found.excess < 1e-13


def test_the_forbidden_band_and_the_scale() -> None:
    for small, expected in ((1e-6, 2), (1e-14, 1)):
        assert decide_rank(np.diag([1.0, small])).rank == expected
    for small in (2e-13, 1e-10, 0.9e-7):
        with pytest.raises(RankAmbiguityError) as error:
            decide_rank(np.diag([1.0, small]))
        assert error.value.tolerance == 1e-10  # type: ignore[attr-defined]
    assert decide_rank(np.diag([1.0, 1e-12]), scale=1e3).rank == 1
    empty = decide_rank(np.zeros((0, 3)))
    assert (empty.rank, empty.margin) == (0, 1.0)


def test_rationals_beyond_floats() -> None:
    huge = Fraction(10) ** 400
    matrix = np.array([[huge, 0 * huge], [0 * huge, 1 / huge]], dtype=object)
    assert decide_rank(matrix).rank == 2
