"""Sparse matrices as values: the same numbers as dense ones, floats and rationals."""

from __future__ import annotations

import copy
import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.sparse import coo_array

from polyfiber.errors import InputError, PolyfiberError, ShapeError
from polyfiber.network import sparse
from polyfiber.network.sparse import SparseMatrix


def draw(seed: int, exact: bool) -> np.ndarray:
    rng = np.random.default_rng(seed)
    m, n = rng.integers(1, 6, 2)
    values = rng.integers(-2, 3, (m, n)) * (rng.random((m, n)) < 0.6) / 4
    return np.vectorize(Fraction, otypes=[object])(values) if exact else values


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_as_dense(seed: int, exact: bool) -> None:
    values = draw(seed, exact)
    matrix = SparseMatrix.of(values)
    np.testing.assert_array_equal(matrix.toarray(), values)
    assert matrix.nnz == np.count_nonzero(values) == sparse.nonzeros(values)
    points = np.random.default_rng(seed).integers(-3, 4, (2, 3, values.shape[1])) / 2
    np.testing.assert_array_equal(np.asarray(matrix.apply(points), float), np.asarray(points @ values.T, float))
    assert matrix == SparseMatrix.of(values.copy())
    assert matrix == pickle.loads(pickle.dumps(matrix)) == copy.deepcopy(matrix)
    assert hash(matrix) == hash(SparseMatrix.of(values))
    assert matrix.astype(True).astype(False) == matrix.astype(False)


def test_scipy_matrices_with_repeated_entries() -> None:
    given = coo_array(([1.0, 2.0, 3.0], ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
    assert SparseMatrix.of(given).toarray().tolist() == [[0.0, 3.0], [3.0, 0.0]]


def test_immutable_and_zeros_dropped() -> None:
    matrix = SparseMatrix([0, 2, 3], [0, 1, 1], [1.0, 0.0, 2.0], (2, 2))
    assert (matrix.nnz, matrix.indptr.tolist(), matrix.indices.tolist()) == (2, [0, 1, 2], [0, 1])
    for array in (matrix.data, matrix.indices, matrix.indptr, matrix.toarray()):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (([0, 1], [0], [1.0], (2, 2)), ShapeError),
        (([0, 2, 1], [0], [1.0], (2, 2)), ShapeError),
        (([0, 1, 1], [2], [1.0], (2, 2)), ShapeError),
        (([0, 1, 1], [-1], [1.0], (2, 2)), ShapeError),
        (([0, 2, 2], [1, 0], [1.0, 1.0], (2, 2)), ShapeError),
        (([0, 2, 2], [1, 1], [1.0, 1.0], (2, 2)), ShapeError),
        (([0, 1, 1], [1], [np.nan], (2, 2)), InputError),
        (([0, 1, 1], [1], [1j], (2, 2)), InputError),
        (([0, 1], [2**33], [1.0], (1, 2**34)), ShapeError),
        (([0, 1], [2**33], [1.0], (1, 4)), ShapeError),
        (([0, 1], [0.5], [1.0], (1, 4)), InputError),
        (([0, 1], ["a"], [1.0], (1, 4)), InputError),
        (([0, 1], [2**70], [1.0], (1, 4)), InputError),
        (([0, 1], [0], [1.0], (1,)), ShapeError),
        (([0, 1], [0], [1.0], "ab"), ShapeError),
        (([0, 1], [0], [1.0], 4), ShapeError),
    ],
)
def test_bad_input(arguments: Any, error: type[PolyfiberError]) -> None:
    with pytest.raises(error):
        SparseMatrix(*arguments)


def test_too_large_to_write_out() -> None:
    matrix = SparseMatrix(np.zeros(100_001, dtype=int), [], [], (100_000, 100_000))
    with pytest.raises(InputError, match="too large"):
        matrix.toarray()
    with pytest.raises(ShapeError, match="do not fit"):
        matrix.apply(np.zeros(3))
