"""Rank lists, interval multiplicities, and which of them a product of matrices can have.

Layers ``W_1, …, W_L`` of widths ``d_0, …, d_L``; ``r[k, i]`` is the rank of ``W_k … W_{i+1}``
and ``r[j, j] = d_j``. The interval (bar) ``[i, k]`` stands for a vector born at layer ``i``,
alive through layer ``k`` and killed by ``W_{k+1}``; ``omega[k, i]`` counts them. This is the
interval decomposition of a representation of the linear quiver ``0 -> 1 -> … -> L``.

A rank *label* is the row of all ``r[k, i]`` with ``k > i``, ordered by ``k`` and then ``i``.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np

from .. import words
from .._typing import Array, IntArray
from ..errors import InputError, ShapeError

MAX_WIDTH = 2**15 - 1


def check_widths(widths: Any, *, least_layers: int = 1) -> tuple[int, ...]:
    """Widths as a tuple of integers; refuses what cannot be a list of widths.

    Raises
    ------
    InputError
        Fewer than ``least_layers`` layers, a width that is not an integer in 0..32767.
    """
    if isinstance(widths, str | bytes) or not isinstance(widths, Iterable):
        raise InputError(f"widths must be a sequence of integers such as (4, 6, 5), found {widths!r}")
    given = list(widths)
    out = []
    for w in given:
        if isinstance(w, bool | np.bool_) or not isinstance(w, numbers.Integral):
            raise InputError(f"widths must be integers, found {w!r} in {given!r}", widths=given)
        if not 0 <= int(w) <= MAX_WIDTH:
            raise InputError(f"every width must lie in 0..{MAX_WIDTH}, found {int(w)} in {given!r}", widths=given)
        out.append(int(w))
    if len(out) < least_layers + 1:
        raise InputError(
            f"{words.count(len(out), 'width makes', 'widths make')} {words.count(max(0, len(out) - 1), 'layer')}; expected at least {words.count(least_layers + 1, 'width')} "
            "(d_0, …, d_L)",
            widths=given,
        )
    return tuple(out)


def check_rank(widths: Sequence[int], rank: Any) -> int | None:
    """Rank of the product, or None for all ranks.

    Raises
    ------
    InputError
        A rank that no product of these widths has: above the least width, or negative.
    """
    if rank is None:
        return None
    if isinstance(rank, bool) or not isinstance(rank, numbers.Integral):
        raise InputError(f"rank must be an integer or None, found {rank!r}")
    if not 0 <= int(rank) <= min(widths):
        raise InputError(
            f"no product of widths {tuple(widths)} has rank {int(rank)}; expected 0..{min(widths)} (the least width)",
            rank=int(rank),
        )
    return int(rank)


@cache
def columns(n_layers: int) -> tuple[tuple[int, int], ...]:
    """Pairs ``(k, i)`` of the entries of a rank label, in order.

    Examples
    --------
    >>> from polyfiber.linear.ranks import columns
    >>> columns(2)
    ((1, 0), (2, 0), (2, 1))
    """
    return tuple((k, i) for k in range(1, n_layers + 1) for i in range(k))


def column(k: int, i: int) -> int:
    """Position of ``r[k, i]``, k > i, in a label."""
    return k * (k - 1) // 2 + i


def tables(widths: Sequence[int], labels: Any) -> IntArray:
    """Full rank tables: int64 (…, L + 1, L + 1) with ``r[k, i]`` for k >= i, zero elsewhere.

    Parameters
    ----------
    widths : (d_0, …, d_L)
    labels : (…, L (L + 1) / 2) integers
    """
    last = len(widths) - 1
    labels = np.asarray(labels)
    if labels.shape[-1:] != (last * (last + 1) // 2,):
        raise ShapeError(
            f"a rank label for widths {tuple(widths)} has {words.count(last * (last + 1) // 2, 'entry', 'entries')}; found shape {labels.shape}"
        )
    out = np.zeros((*labels.shape[:-1], last + 1, last + 1), np.int64)
    out[..., np.arange(last + 1), np.arange(last + 1)] = widths
    for c, (k, i) in enumerate(columns(last)):
        out[..., k, i] = labels[..., c]
    return out


def labels_of(table: Any) -> Array:
    """Rank labels, int16 (…, L (L + 1) / 2), of full tables (…, L + 1, L + 1)."""
    table = np.asarray(table)
    last = table.shape[-1] - 1
    if last == 0:
        return np.zeros((*table.shape[:-2], 0), np.int16)
    result: Array = np.stack([table[..., k, i] for k, i in columns(last)], axis=-1).astype(np.int16)
    return result


def multiplicities(table: Any) -> IntArray:
    """Interval multiplicities of rank tables.

    Parameters
    ----------
    table : (…, L + 1, L + 1) integers
        ``r[k, i]`` for k >= i; entries above the diagonal are ignored.

    Returns
    -------
    int64 (…, L + 1, L + 1)
        ``omega[k, i] = r[k, i] - r[k+1, i] - r[k, i-1] + r[k+1, i-1]`` with ``r = 0`` out of
        range: how many bars ``[i, k]``. Negative entries mean that no weights have these ranks.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.linear.ranks import multiplicities, tables
    >>> multiplicities(tables((2, 1, 1), [1, 0, 0])).tolist()
    [[1, 0, 0], [1, 0, 0], [0, 0, 1]]
    """
    r = np.tril(np.asarray(table)).astype(np.int64)
    n = r.shape[-1]
    padded = np.zeros((*r.shape[:-2], n + 1, n + 1), np.int64)
    padded[..., :n, 1:] = r
    result: IntArray = padded[..., :n, 1:] - padded[..., 1:, 1:] - padded[..., :n, :n] + padded[..., 1:, :n]
    return np.tril(result)


def rank_table(omega: Any) -> IntArray:
    """Rank tables of multiplicities: ``r[k, i] = sum of omega[t, s] over s <= i, t >= k``.

    The inverse of `multiplicities`; int64 (…, L + 1, L + 1).
    """
    m = np.tril(np.asarray(omega)).astype(np.int64)
    below = np.flip(np.cumsum(np.flip(m, axis=-2), axis=-2), axis=-2)
    result: IntArray = np.tril(np.cumsum(below, axis=-1))
    return result


def is_admissible(widths: Sequence[int], labels: Any, *, rank: int | None = None) -> Any:
    """Whether some weights of these widths have these ranks (over any infinite field).

    True iff every multiplicity is >= 0 (the sums over layers are the widths by construction)
    and, when ``rank`` is given, the product has that rank. bool for one label, else an array.

    Examples
    --------
    >>> from polyfiber.linear.ranks import is_admissible
    >>> is_admissible((2, 2, 2), [2, 1, 2]), is_admissible((2, 2, 2), [2, 2, 2])
    (False, True)
    """
    table = tables(widths, labels)
    good = (multiplicities(table) >= 0).all(axis=(-2, -1))
    if rank is not None:
        good = good & (table[..., -1, 0] == rank)
    return bool(good) if np.ndim(good) == 0 else good


def excess(table: Any) -> IntArray:
    """dim Ext^1 of the representation with itself: the codimension of its orbit.

    ``E = sum of omega_b omega_a over pairs b = [i, k], a = [s, t] with i < s <= k + 1 <= t``,
    which sums up to ``sum over a with s >= 1 of omega_a (d_{s-1} - r[t, s-1])``.
    """
    r = np.asarray(table).astype(np.int64)
    omega = multiplicities(r)
    diagonal = np.diagonal(r, axis1=-2, axis2=-1)
    slack = diagonal[..., None, :-1] - r[..., :, :-1]
    result: IntArray = (np.tril(omega)[..., :, 1:] * np.tril(slack, -1)).sum(axis=(-2, -1))
    return result


def differential_rank(table: Any) -> IntArray:
    """Rank of the differential of the product map at weights with these ranks.

    ``sum_j r[L, j] r[j-1, 0] (j = 1..L) - sum_j r[L, j] r[j, 0] (0 < j < L)``.
    """
    r = np.asarray(table).astype(np.int64)
    top, first = r[..., -1, :], r[..., :, 0]
    result: IntArray = (top[..., 1:] * first[..., :-1]).sum(-1) - (top[..., 1:-1] * first[..., 1:-1]).sum(-1)
    return result


def transpose_label(labels: Any) -> Array:
    """Labels of the transposed network: ``r^T[L-i, L-k] = r[k, i]``.

    The transposed network has layers ``W_L^T, …, W_1^T`` and the widths reversed.
    """
    labels = np.asarray(labels)
    last = layers_of(labels.shape[-1])
    source = [column(last - i, last - k) for k, i in columns(last)]
    result: Array = labels[..., source]
    return result


def layers_of(n_columns: int) -> int:
    """Number of layers L with L (L + 1) / 2 label columns."""
    last = int((np.sqrt(8 * n_columns + 1) - 1) / 2)
    if last * (last + 1) // 2 != n_columns:
        raise ShapeError(f"a rank label has 1, 3, 6, 10, … entries; found {n_columns}")
    return last
