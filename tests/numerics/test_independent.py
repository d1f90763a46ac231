"""Independent rows and columns of large matrices, which are chosen by LU."""

from __future__ import annotations

import numpy as np
import pytest

from polyfiber.numerics import independent
from polyfiber.numerics.independent import independent_columns


@pytest.mark.parametrize(
    ("rows", "columns", "first"),
    [(300, 280, 0), (280, 300, 0), (280, 280, 0), (600, 280, 0), (600, 280, 560), (600, 280, 90)],
)
def test_large_matrices_have_an_invertible_part(rows: int, columns: int, first: int) -> None:
    matrix = np.random.default_rng(rows + first).standard_normal((rows, columns))
    found, chosen = independent_columns(matrix, n_first=first)
    assert len(found) == len(chosen) == len(set(chosen.tolist())) == min(rows, columns)
    assert np.linalg.matrix_rank(matrix[chosen][:, found]) == min(rows, columns)
    assert (chosen < first).sum() == min(first, columns)


def test_small_pivots_are_left_to_the_slow_way() -> None:
    matrix = np.random.default_rng(0).standard_normal((300, 260))
    assert independent._by_lu(matrix) is not None
    matrix[:, 7] = matrix[:, 8]
    assert independent._by_lu(matrix) is None
    matrix[:, 7] = 0
    assert independent._by_lu(matrix) is None
