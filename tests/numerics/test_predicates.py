"""Signs and ranks against rationals, and against matrices that are close."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from polyfiber.errors import RankAmbiguityError
from polyfiber.numerics.exact import as_fractions, rank
from polyfiber.numerics.predicates import decide_rank, entry_signs


def test_a_decided_sign_is_that_of_every_matrix_nearby() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((40, 6)) * 10.0 ** rng.integers(-18, 1, (40, 6))
    found = entry_signs(matrix, tolerance=1e-9)
    size = 0.999e-9 * np.sqrt((matrix**2).sum(axis=1, keepdims=True))
    for sign in (-1.0, 1.0):
        moved = np.sign(matrix + sign * size)
        assert (moved[found.decided] == found.signs[found.decided]).all()
    assert not found.signs[~found.decided].any()
    assert 0 < (~found.decided).sum() < matrix.size


def test_column_factors_change_what_is_compared() -> None:
    matrix = np.array([[1.0, 1e-20], [0.0, 0.0]])
    assert entry_signs(matrix).decided.tolist() == [[True, False], [True, True]]
    scaled = entry_signs(matrix, scale=np.array([1e-20, 1.0]))
    assert scaled.decided.all()
    assert scaled.signs.tolist() == [[1, 1], [0, 0]]
    assert scaled.margin == pytest.approx(2**-0.5)
    assert entry_signs(np.zeros((2, 2))).margin == 0.0


def test_rationals_are_always_decided() -> None:
    found = entry_signs(as_fractions([[1.0, -1e-300, 0.0]]))
    assert found.decided.all()
    assert (found.signs.tolist(), found.tolerance) == ([[1, -1, 0]], 0.0)


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
    assert entry_signs(matrix).signs.tolist() == [[1, 0], [0, 1]]
