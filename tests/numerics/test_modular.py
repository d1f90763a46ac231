"""Linear algebra modulo a prime against Python's integers and rationals."""

from __future__ import annotations

import numpy as np
import pytest

from polyfiber.numerics import exact, modular
from polyfiber.numerics.exact import PRIME


def residues(rng: np.random.Generator, m: int, n: int, r: int) -> np.ndarray:
    """A matrix of rank at most r, as Python's integers multiply it."""
    left, right = (rng.integers(0, PRIME, shape).astype(object) for shape in ((m, r), (r, n)))
    return np.asarray(left @ right % PRIME, dtype=np.int64).reshape(m, n)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 200, 2), (5, 7, 4)])
def test_products(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(sum(shape))
    m, n, k = shape
    left, right = rng.integers(0, PRIME, (m, n)), rng.integers(0, PRIME, (n, k))
    left[0, 0] = right[0, 0] = PRIME - 1
    assert (modular.product(left, right) == left.astype(object) @ right.astype(object) % PRIME).all()
    large = np.full((1, 300), PRIME - 1)
    assert modular.product(large, large.T) == 300


def test_echelon_forms_span_the_rows() -> None:
    rng = np.random.default_rng(0)
    for m, n, r in ((4, 6, 2), (5, 3, 3), (1, 4, 1), (3, 3, 1)):
        matrix = residues(rng, m, n, r)
        rows, pivots = modular.echelon(matrix)
        assert len(pivots) == len(rows) == r
        assert (rows[:, pivots] == np.eye(r)).all()
        back = modular.product(matrix[:, pivots], rows)
        assert (back == matrix).all()


@pytest.mark.parametrize("block", [1, 2, 64])
def test_ranks(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modular, "BLOCK", block)
    rng = np.random.default_rng(1)
    for m, n, r in ((6, 6, 3), (7, 4, 4), (4, 9, 2), (5, 5, 5)):
        assert modular.rank_of(residues(rng, m, n, r)) == r
    assert modular.rank_of(np.zeros((3, 2), dtype=np.int64)) == 0
    assert modular.rank_of(np.zeros((0, 2), dtype=np.int64)) == 0
    small = rng.integers(-2, 3, (5, 5))
    assert modular.rank_of(small % PRIME) <= exact.rank(small)


def test_left_null_vectors() -> None:
    rng = np.random.default_rng(2)
    for m, n, r in ((6, 4, 2), (4, 4, 4), (5, 1, 1)):
        matrix = residues(rng, m, n, r)
        null = modular.left_null(matrix)
        assert null.shape == (m - r, m)
        assert modular.rank_of(null) == m - r
        assert not modular.product(null, matrix).any()


def test_condensed_columns_span_the_same() -> None:
    rng = np.random.default_rng(3)
    matrix = residues(rng, 5, 60, 3)
    few = modular.condensed(matrix, np.random.default_rng(0))
    assert few.shape == (5, 9)
    assert modular.rank_of(few) == modular.rank_of(np.concatenate([matrix, few], axis=1)) == 3
    assert modular.condensed(matrix[:, :9], rng) is not None
