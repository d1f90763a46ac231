"""Homology of cells with incidences: oriented boundary maps and Betti numbers.

Pairs of cells that cancel are taken away first; nearly all go, and what is left is a small matrix whose rank is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import words
from ..._typing import Array, BoolArray, IntArray, SignArray
from ...budget import heed, heed_memory
from ...errors import InputError, NumericalError
from ...kernels import reach
from ...kernels.complexes import incidence
from ...kernels.jit import FEW, for_few, interpreted
from ...numerics import exact


def incidence_numbers(below: Sequence[tuple[IntArray, IntArray]]) -> list[SignArray]:
    """Oriented incidence numbers, aligned with the facets of every cell.

    Parameters
    ----------
    below : sequence of CSR pairs
        ``below[k]`` lists the facets of the cells of dimension k; ``below[0]`` is empty. An edge may have one vertex.

    Returns
    -------
    list of int8 arrays
        +1 or -1 for each entry of ``below[k][1]``; the boundary of a boundary is zero.
    """
    numbers: list[SignArray] = [np.zeros(0, dtype=np.int8)]
    for k in range(1, len(below)):
        heed("orientations of cells")
        ptr, idx = below[k]
        sign = np.ones(len(idx), dtype=np.int8)
        if k == 1:
            two = np.flatnonzero(np.diff(ptr) == 2)
            sign[ptr[two]] = -1
        elif len(idx):
            wrong = incidence.orient(ptr, idx, *below[k - 1], numbers[k - 1], sign)
            if wrong:
                raise NumericalError(
                    f"{words.count(wrong, 'cell')} of dimension {k} cannot be oriented; please report this network"
                )
        numbers.append(sign)
    return numbers


def boundary_matrix(pair: tuple[IntArray, IntArray], numbers: SignArray, rows: int) -> Any:
    """Boundary map as a ``scipy.sparse.csc_array`` of int8: columns are cells, rows their facets."""
    from scipy.sparse import csc_array

    ptr, idx = pair
    return csc_array((numbers, idx, ptr), shape=(rows, len(ptr) - 1))


def betti_numbers(
    below: Sequence[tuple[IntArray, IntArray]], keep: Sequence[BoolArray], field: int, *, closed: bool
) -> tuple[int, ...]:
    """Betti numbers of a chain complex of cells.

    Parameters
    ----------
    below : sequence of CSR pairs
        Facets of the cells of each dimension.
    keep : sequence of bool arrays
        Which cells take part.
    field : 2 or 0
        Two elements, or the rationals.
    closed : bool
        Whether the facets of a cell that takes part all do and every edge has two vertices: ordinary homology, where
        one vertex of each component may be set aside.
    """
    if field not in (0, 2):
        raise InputError(f"field must be 2 (two elements) or 0 (the rationals), found {field!r}")
    if not below:
        return (0,)
    sizes = [len(k) for k in keep]
    start = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    ptr = np.concatenate([[0], *(np.asarray(p[1:]) + e for (p, _), e in zip(below, _ends(below)))]).astype(np.int64)
    down = np.concatenate([idx + (start[k - 1] if k else 0) for k, (_, idx) in enumerate(below)]).astype(np.int64)
    alive = np.concatenate(keep).astype(np.bool_)
    n = len(alive)
    if not alive.any():
        return (0,) * len(sizes)
    heed_memory(8 * (8 * n + 4 * len(down)), f"the homology of {n} cells")
    heed("homology")
    up_ptr, up = for_few(reach.transpose, len(down))(ptr, down, n)
    result = [0] * len(sizes)
    if closed:
        points = _one_of_each_component(below, keep)
        alive[points] = False
        result[0] = len(points)
    heed("homology")
    for_few(incidence.remove_pairs, len(down))(ptr, down, up_ptr, up, alive, np.empty(max(1, n), dtype=np.int64))
    heed("homology")
    left = [np.flatnonzero(alive[start[k] : start[k + 1]]) for k in range(len(sizes))]
    ranks = _ranks(below, left, None)
    assert ranks is not None
    for k in range(len(sizes)):
        result[k] += len(left[k]) - ranks[k] - ranks[k + 1]
    if field == 0 and any(a and b for a, b in zip(result[1:], result[2:])):
        # universal coefficients: an even torsion group of degree k counts in degrees k and k + 1 over two elements
        numbers = incidence_numbers(below)
        over = _ranks(below, left, numbers)
        for k in range(1, len(sizes)):
            if over is not None:
                more = over[k] - ranks[k]
            else:
                more = _rank(boundary_matrix(below[k], numbers[k], sizes[k - 1])[left[k - 1]][:, left[k]]) - ranks[k]
            result[k] -= more
            result[k - 1] -= more
    return tuple(result)


def _ends(below: Sequence[tuple[IntArray, IntArray]]) -> IntArray:
    """Where the lists of each dimension begin when all are put one after the other."""
    return np.concatenate([[0], np.cumsum([len(idx) for _, idx in below])[:-1]]).astype(np.int64)


def components(below: Sequence[tuple[IntArray, IntArray]], keep: Sequence[BoolArray]) -> tuple[int, list[IntArray]]:
    """Connected components of a union of cells: their number, and the component of every cell (-1: takes no part)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    heed("components")
    sizes = [len(k) for k in keep]
    start = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    alive = np.concatenate(keep) if keep else np.zeros(0, dtype=np.bool_)
    rows = [np.zeros(0, dtype=np.int64)]
    columns = [np.zeros(0, dtype=np.int64)]
    for k in range(1, len(below)):
        ptr, idx = below[k]
        rows.append(np.repeat(np.arange(len(ptr) - 1), np.diff(ptr)) + start[k])
        columns.append(idx + start[k - 1])
    a, b = np.concatenate(rows), np.concatenate(columns)
    both = alive[a] & alive[b]
    graph = coo_array((np.ones(int(both.sum()), dtype=np.int8), (a[both], b[both])), shape=(len(alive),) * 2)
    _, labels = connected_components(graph, directed=False)
    labels = labels.astype(np.int64)
    labels[~alive] = -1
    names, labels[alive] = np.unique(labels[alive], return_inverse=True)
    return len(names), [labels[start[k] : start[k + 1]] for k in range(len(sizes))]


def _one_of_each_component(below: Sequence[tuple[IntArray, IntArray]], keep: Sequence[BoolArray]) -> IntArray:
    _, labels = components(below, keep)
    _, first = np.unique(labels[0][labels[0] >= 0], return_index=True)
    result: IntArray = np.flatnonzero(labels[0] >= 0)[first]
    return result


def _ranks(
    below: Sequence[tuple[IntArray, IntArray]], left: Sequence[IntArray], numbers: Sequence[SignArray] | None
) -> list[int] | None:
    """Ranks of the boundary maps between the cells that are left, one for each dimension and a last 0.

    Over two elements, or over the rationals where incidence numbers are given; None where that takes divisions.
    """
    rows, entries, lengths, first = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int8)], [], 0
    for k, cells in enumerate(left):
        start, idx = below[k]
        many = np.diff(start)[cells]
        ends = np.cumsum(many)
        at = np.arange(int(many.sum())) - np.repeat(ends - many, many) + np.repeat(np.asarray(start)[cells], many)
        own = np.repeat(np.arange(len(cells)), many)
        if k and len(left[k - 1]):
            place = np.searchsorted(left[k - 1], idx[at])
            there = left[k - 1][np.minimum(place, len(left[k - 1]) - 1)] == idx[at]
            rows.append(place[there] + first)
            entries.append(np.ones(int(there.sum()), dtype=np.int8) if numbers is None else numbers[k][at[there]])
            lengths.append(np.bincount(own[there], minlength=len(cells)))
        else:
            lengths.append(np.zeros(len(cells), dtype=np.int64))
        first += len(left[k - 1]) if k else 0
    ptr = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
    order = np.arange(len(ptr) - 1, dtype=np.int64)
    found = persistence_pairs(ptr, np.concatenate(rows), np.concatenate(entries), order, 2 if numbers is None else 0)
    if found is None:
        return None
    dims = np.repeat(np.arange(len(left)), [len(c) for c in left])
    ranks: list[int] = np.bincount(dims[found == -2], minlength=len(left) + 1).tolist()
    return ranks


PORTION = 1 << 22
"""Entries that are added to columns between two looks at the clock: some hundredths of a second."""


def persistence_pairs(ptr: IntArray, rows: IntArray, entries: Array, sequence: IntArray, field: int) -> IntArray | None:
    """Where what is born at each place dies: -1 if never, -2 if nothing is born there.

    Parameters
    ----------
    ptr : (n + 1,) int64
    rows : (ptr[-1],) int64
        Places of the facets of each cell.
    entries : (ptr[-1],) int8
        Incidence numbers.
    sequence : (n,) int64
        The cell of each place.
    field : 2 or 0

    Returns
    -------
    (n,) int64, or None where integers become too large (field 0)
    """
    n, room = len(sequence), max(16, 2 * len(rows))
    heed_memory(8 * (6 * n + 2 * room), f"the boundary map of {n} cells")
    none = [np.full(n, -1, dtype=np.int64) for _ in range(3)]
    zero = [np.zeros(n, dtype=np.int64) for _ in range(3)]
    pool, factors = np.empty((2, room), dtype=np.int64)
    state = incidence.Reduced(none[0], none[1], zero[0], zero[1], pool, factors, zero[2], none[2])
    boundary, at = incidence.Boundary(ptr, rows, entries, sequence), np.zeros(5, dtype=np.int64)
    if len(rows) <= FEW:  # what a fresh install is asked first; where many entries are added, the kernel goes on
        interpreted(incidence.reduce_columns)(boundary, state, at, field, FEW)
    while at[incidence.NEXT] < n:
        heed("reducing the boundary map")
        incidence.reduce_columns(boundary, state, at, field, PORTION)
        if at[incidence.TOO_LARGE]:
            return None
        if at[incidence.NEEDED]:
            room = 2 * len(pool) + int(at[incidence.NEEDED])
            heed_memory(8 * (6 * n + 3 * room), f"the boundary map of {n} cells")
            pool, factors = (np.concatenate([old, np.empty(room - len(old), np.int64)]) for old in (pool, factors))
            state, at[incidence.NEEDED] = state._replace(pool=pool, factors=factors), 0
    return none[0]


def _rank(matrix: Any) -> int:
    dense = matrix.toarray()
    if not dense.size or not dense.any():
        return 0
    return int(exact.rank(exact.as_fractions(dense.astype(np.int64))))
