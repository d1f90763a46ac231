"""Arrays for networks whose gates read more than the layer before: rows of the input, runs of gates, error constants.

A gate, or an output, is a row on the input (kept with the given forms) and runs: ``low, high, at`` says that it reads
the gates ``low <= t < high`` with the weights from ``at`` on. Dense matrices give one run for each block that is read,
sparse ones one for each stretch of nonzero entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._typing import FloatArray, IntArray
from ...network.relu_form import ReluForm
from ...numerics.rounding import LEAST

SPARSE = 0.5
"""Share of nonzero entries below which a dense matrix is stored in runs of them."""


@dataclass(frozen=True)
class Runs:
    """What the gates of a network read, for the kernels; see `polyfiber.kernels.complexes.forms`."""

    weights: FloatArray
    reads: IntArray  # (n_ids + 1,) first run of each id
    runs: IntArray  # (r, 3) low, high, at
    shallow: IntArray  # (n_ids,) 1: reads the input and block 1 alone
    plain: IntArray  # (n_ids,) 1: its row on the input is constant
    lone: IntArray  # (L + 2,) 1: all that is behind this block reads blocks from here on alone


def runs_of(form: ReluForm, first: IntArray, n_ids: int, inf: int) -> Runs:
    """Runs of all gates and outputs; ``first`` as in `Net`."""
    floats = form.floats
    L = len(form.widths)
    weights: list[FloatArray] = [np.zeros(1)]
    at = 1
    counts = np.zeros(n_ids, dtype=np.int64)
    found: list[IntArray] = []
    shallow, plain = np.zeros(n_ids, dtype=np.int64), np.ones(n_ids, dtype=np.int64)
    for l, reads in enumerate(floats.reads):
        begin = int(first[l + 1]) if l < L else inf + 1
        ids = begin + np.arange(len(floats.bases[l]))
        shallow[ids] = all(j == 1 for j in reads)
        plain[ids] = ~np.asarray(form.bases[l][:, :-1] != 0, dtype=bool).any(axis=1)
        rows: list[IntArray] = []
        for j, matrix in reads.items():
            owner, runs, values = _runs(matrix, int(first[j]))
            runs[:, 2] += at
            at += len(values)
            weights.append(values)
            rows.append(np.concatenate([owner[:, None] + begin, runs], axis=1))
        if rows:
            table = np.concatenate(rows)
            table = table[np.argsort(table[:, 0], kind="stable")]
            counts += np.bincount(table[:, 0], minlength=n_ids)
            found.append(table)
    table = np.concatenate(found) if found else np.zeros((0, 4), dtype=np.int64)
    table = table[np.argsort(table[:, 0], kind="stable")]
    return Runs(
        np.concatenate(weights),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.ascontiguousarray(table[:, 1:]),
        shallow,
        plain,
        _lone(form),
    )


def _runs(matrix: Any, low: int) -> tuple[IntArray, IntArray, FloatArray]:
    """(row of each run, its low, high and place in the values, the values)."""
    if isinstance(matrix, np.ndarray):
        m, k = matrix.shape
        if np.count_nonzero(matrix) >= SPARSE * matrix.size:
            rows = np.arange(m)
            return rows, np.stack([0 * rows + low, 0 * rows + low + k, rows * k], axis=1), matrix.ravel()
        from scipy.sparse import csr_array

        matrix = csr_array(matrix)
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    columns = matrix.indices.astype(np.int64)
    new = np.concatenate([[True], (np.diff(columns) != 1) | (np.diff(rows) != 0)])[: len(columns)]
    starts = np.flatnonzero(new)
    lengths = np.diff(np.append(starts, len(columns)))
    begin = columns[starts] + low
    return rows[starts], np.stack([begin, begin + lengths, starts], axis=1), np.asarray(matrix.data, dtype=np.float64)


def _lone(form: ReluForm) -> IntArray:
    L = len(form.widths)
    lone = np.zeros(L + 2, dtype=np.int64)
    lowest = L + 1
    for q in range(L, 0, -1):
        lone[q] = lowest >= q
        reads = [0] if np.any(form.bases[q - 1][:, :-1] != 0) else []
        lowest = min([lowest, *reads, *form.reads[q - 1]])
    return lone


def roundings(form: ReluForm, n: int) -> list[float]:
    """For each block, and the output, a bound of the roundings on any way from the input through the gates to it.

    Forms are pulled back from the gate, each gate on the way taking one sum for each gate behind it that reads it;
    values are pushed forward, one sum for each number that is read. Both are counted, so both are covered.
    """
    widths, N = form.widths, sum(form.widths)
    totals, forward = [], 0.0
    for l, reads in enumerate(form.reads, start=1):
        forward += n + 8.0 + sum(widths[j - 1] for j in reads)
        back = 0.0
        for q in range(1, l):
            back += 6.0 + sum(widths[p - 1] for p in range(q + 1, min(l, len(widths) + 1)) if q in form.reads[p - 1])
        totals.append(forward + (back + N + n + 8.0 if l > 1 else 0.0))
    return totals


def magnitudes(
    form: ReluForm, rows: list[FloatArray], off: list[Any], n: int
) -> list[tuple[FloatArray, FloatArray, FloatArray]]:
    """For each block, and the output: sizes (m, n + 1) of the coefficients along all ways, and what underflow may lose.

    rows: the rows on the input, as floats; off: of each block, which gates are off throughout. The losses are (m,)
    where values are pushed forward, and (n + 1,) where forms are pulled back.
    """
    N = sum(form.widths)
    found: list[tuple[FloatArray, FloatArray, FloatArray]] = []
    lost = np.zeros(n + 1)
    for l, reads in enumerate(form.sizes.reads):
        level, tiny = np.abs(rows[l]), np.full(len(rows[l]), (2 * n + 4) * LEAST)
        for j, matrix in reads.items():
            size = matrix
            below, small, _ = found[j - 1]
            keep = np.where(off[j - 1], 0.0, 1.0)
            level = level + size @ (below * keep[:, None])
            tiny = tiny + size @ (small * keep) + (2 * matrix.shape[1] + 4) * LEAST
        found.append((level, tiny, lost))
        lost = lost + (2 * N + 8) * LEAST * level.sum(axis=0)
    return found


__all__ = ["Runs", "magnitudes", "roundings", "runs_of"]
