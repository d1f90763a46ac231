"""Matrices that keep their nonzero entries only: float64 or exact rationals, immutable.

The rows lie one after the other (compressed rows, CSR): row i has its columns in ``indices[indptr[i]:indptr[i + 1]]``,
ascending, and its numbers in ``data`` at the same places. scipy's matrices do the arithmetic of floats; they cannot
hold rationals and can be changed, so a value needs a type of its own.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np

from .. import words
from .._typing import Array, IntArray
from ..errors import InputError, ShapeError
from .model import _as_parameter, _exact_array, _frozen

DENSE_LIMIT = 1 << 27
"""Entries that a matrix may have when it is written out with its zeros (1 GiB of float64)."""


def sealed(array: Array) -> Array:
    """The array, read-only for good: floats and integers lie in bytes, objects behind a view that cannot be made
    writable.
    """
    if array.dtype == object or not array.size:
        array.setflags(write=False)
        return array.view()
    return np.frombuffer(array.tobytes(), dtype=array.dtype).reshape(array.shape)


class SparseMatrix:
    """An immutable matrix in compressed rows.

    Parameters
    ----------
    indptr : (m + 1,) integers
        Where each row begins.
    indices : (nnz,) integers
        Columns, ascending within a row.
    data : (nnz,) array
        float64, or dtype object holding ``Fraction`` or ``flint.fmpq``. Zeros are dropped.
    shape : (m, n)

    Raises
    ------
    ShapeError
        Pointers or columns that do not describe a matrix of that shape.
    InputError
        NaN, infinity, or something that is not a real number.

    Examples
    --------
    >>> matrix = SparseMatrix.of([[0.0, 2.0, 0.0], [1.0, 0.0, -1.0]])
    >>> matrix, matrix.apply([1.0, 10.0, 100.0]).tolist()
    (SparseMatrix(2 x 3, 3 nonzeros), [20.0, -99.0])
    """

    __slots__ = ("_data", "_indices", "_indptr", "_shape")

    def __init__(self, indptr: Any, indices: Any, data: Any, shape: tuple[int, int]) -> None:
        m, n = _as_shape(shape)
        pointers, columns = _integers(indptr, "row pointers"), _integers(indices, "columns")
        values = _as_parameter(data, 1, "the entries of a sparse matrix")
        if m < 0 or n < 0 or len(pointers) != m + 1 or pointers[0] != 0 or pointers[-1] != len(columns):
            raise ShapeError(
                f"{len(pointers)} row pointers do not describe {words.count(m, 'row')} of {words.count(len(columns), 'entry', 'entries')}"
            )
        if len(values) != len(columns) or np.any(np.diff(pointers) < 0):
            raise ShapeError(
                f"{words.count(len(values), 'entry', 'entries')} in {words.count(len(columns), 'column')}; expected ascending row pointers"
            )
        if len(columns) and not 0 <= columns.min() <= columns.max() < n:
            raise ShapeError(f"columns {columns.min()} to {columns.max()} in a matrix of {n}")
        rows = np.repeat(np.arange(m), np.diff(pointers))
        if np.any((np.diff(rows) == 0) & (np.diff(columns) <= 0)):
            raise ShapeError("the columns of a row must ascend, each once")
        keep = np.asarray(values != 0, dtype=bool)
        if not keep.all():
            columns, values = columns[keep], _frozen(values[keep])
            pointers = np.concatenate([[0], np.cumsum(np.bincount(rows[keep], minlength=m))])
        self._indptr, self._indices = sealed(pointers.astype(np.int64)), sealed(columns.astype(np.int32))
        self._data, self._shape = sealed(values), (m, n)

    @classmethod
    def of(cls, matrix: Any) -> SparseMatrix:
        """From a dense array, a scipy sparse matrix, or another of these."""
        if isinstance(matrix, cls):
            return matrix
        if hasattr(matrix, "tocsr"):
            rows = matrix.tocsr().copy()
            rows.sum_duplicates()
            return cls(rows.indptr, rows.indices, rows.data, rows.shape)
        dense = _as_parameter(matrix, 2, "a matrix")
        which = np.asarray(dense != 0, dtype=bool)
        indptr = np.concatenate([[0], np.cumsum(which.sum(axis=1))])
        return cls(indptr, np.nonzero(which)[1], dense[which], (dense.shape[0], dense.shape[1]))

    @property
    def indptr(self) -> IntArray:
        """Where each row begins; (m + 1,) int64."""
        return self._indptr

    @property
    def indices(self) -> IntArray:
        """Columns of the entries; (nnz,) int32."""
        return self._indices

    @property
    def data(self) -> Array:
        """The entries; (nnz,) float64 or Fractions."""
        return self._data

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self._shape

    @property
    def nnz(self) -> int:
        """Number of entries."""
        return len(self._data)

    @property
    def dtype(self) -> np.dtype[Any]:
        """float64, or object for rationals."""
        return self._data.dtype

    def toarray(self) -> Array:
        """The matrix with its zeros, read-only; InputError beyond ``DENSE_LIMIT`` entries."""
        m, n = self._shape
        if m * n > DENSE_LIMIT:
            raise InputError(f"a matrix of {m:,} x {n:,} is too large to be written out; it has {self.nnz:,} nonzeros")
        dense = np.zeros((m, n)) if self._data.dtype != object else np.full((m, n), Fraction(0), dtype=object)
        dense[np.repeat(np.arange(m), np.diff(self._indptr)), self._indices] = self._data
        return _frozen(dense)

    def apply(self, vectors: Any) -> Array:
        """``matrix @ v`` for vectors in the last axis: (…, n) -> (…, m)."""
        points = np.asarray(vectors)
        m, n = self._shape
        if points.shape[-1:] != (n,):
            raise ShapeError(f"vectors of shape {points.shape} do not fit a matrix of shape {self._shape}")
        flat = points.reshape(-1, n)
        if self._data.dtype == object or flat.dtype == object:
            result = np.full((len(flat), m), Fraction(0), dtype=object)
            entries = zip(np.repeat(np.arange(m), np.diff(self._indptr)).tolist(), self._indices.tolist(), self._data)
            for i, j, value in entries:
                result[:, i] += value * flat[:, j]
        else:
            from scipy.sparse import csr_array

            matrix = csr_array((self._data, self._indices, self._indptr), shape=self._shape)
            result = np.ascontiguousarray((matrix @ np.ascontiguousarray(flat.T)).T)
        return result.reshape(*points.shape[:-1], m)

    def astype(self, exact: bool) -> SparseMatrix:
        """The same matrix with Fractions, or with the nearest float64."""
        if exact == (self._data.dtype == object):
            return self
        data = _exact_array(self._data) if exact else self._data.astype(np.float64)
        return SparseMatrix(self._indptr, self._indices, data, self._shape)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SparseMatrix):
            return NotImplemented
        pairs = ((self._indptr, other._indptr), (self._indices, other._indices), (self._data, other._data))
        return self._shape == other._shape and all(bool(np.array_equal(a, b)) for a, b in pairs)

    def __hash__(self) -> int:
        return hash((self._shape, tuple(self._indices.tolist()), tuple(self._data.tolist())))

    def __reduce__(self) -> tuple[Any, ...]:
        return SparseMatrix, (self._indptr, self._indices, self._data, self._shape)

    def __repr__(self) -> str:
        kind = "exact, " if self._data.dtype == object else ""
        return f"SparseMatrix({self._shape[0]} x {self._shape[1]}, {kind}{self.nnz} nonzeros)"


def _as_shape(shape: Any) -> tuple[int, int]:
    try:
        m, n = shape
        if isinstance(shape, str) or not all(isinstance(k, int | np.integer) for k in (m, n)):
            raise TypeError
    except (TypeError, ValueError):
        raise ShapeError(f"the shape of a matrix is {shape!r}; expected its rows and columns") from None
    if not 0 <= n < 1 << 31:
        raise ShapeError(f"a matrix of {words.count(f'{n:,}', 'column')}; from 0 to 2**31 - 1 can be told apart")
    return int(m), int(n)


def _integers(values: Any, what: str) -> IntArray:
    try:
        found = np.asarray(values).reshape(-1)
        if found.size and found.dtype.kind not in "iu":
            raise TypeError
        return found.astype(np.int64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(
            f"{what} of a sparse matrix are {type(values).__name__} {str(values)[:60]}; expected integers"
        ) from None


Matrix: TypeAlias = Array | SparseMatrix


def apply(matrix: Matrix, vectors: Array) -> Array:
    """``matrix @ v`` for vectors in the last axis, dense or sparse."""
    return matrix.apply(vectors) if isinstance(matrix, SparseMatrix) else np.asarray(vectors @ matrix.T)


def dense(matrix: Matrix) -> Array:
    """The matrix with its zeros."""
    return matrix.toarray() if isinstance(matrix, SparseMatrix) else matrix


def nonzeros(matrix: Matrix) -> int:
    """Number of nonzero entries."""
    return matrix.nnz if isinstance(matrix, SparseMatrix) else int(np.count_nonzero(matrix))
