"""How vertices lie in memory: one record each, with all about it, and a small table for those at infinity."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._typing import IdArray
from ...kernels.complexes import forms
from ...kernels.jit import interpreted
from .arrays import Frame


def edge_words(n: int) -> int:
    """64-bit words of a mask of the 2 n edges at a vertex."""
    return (2 * n + 63) // 64


def row_units(frame: Frame) -> tuple[int, int, int, int]:
    """Where words, coordinates, errors and the end of a vertex record lie, in units of 8 bytes.

    A record holds everything about a vertex next to each other, since vertices are visited at
    random: star, slot and index at infinity as int32, then the masks of upward edges, the bounds of its height
    as float32, words, coordinates, two errors.
    """
    words = (3 * frame.n + 3) // 2 + edge_words(frame.n) + 1
    x = words + frame.n_words
    return words, x, x + frame.n, x + frame.n + 2


FEWEST = 2
"""Rows of a column: one alone counts as contiguous, and every kernel would be compiled for it once more."""


def new_state(frame: Frame, cap: int, cap_inf: int) -> Any:
    """Room for so many vertices, and at least `FEWEST`; the columns are views of one array of records."""
    n, cap = frame.n, max(cap, FEWEST)
    words, x, err, end = row_units(frame)
    # kernels read coordinates eight at a time: a row more, that they stay in the memory
    record = np.empty((cap + 1, end), dtype=np.uint64)
    whole, real = record.view(np.int32)[:cap], record.view(np.float64)[:cap]
    return forms.State(
        star=whole[:, : 3 * n],
        words=record[:cap, words:x],
        x=real[:, x:err],
        err=real[:, err],
        slot=whole[:, 3 * n],
        line_err=real[:, err + 1],
        at_inf=whole[:, 3 * n + 1],
        up=record[:cap, words - 1 - edge_words(n) : words - 1],
        height=record.view(np.float32)[:cap, 2 * words - 2 : 2 * words],
        **new_bases(frame, cap_inf),
    )


def new_bases(frame: Frame, cap: int) -> dict[str, Any]:
    """Room for base points of so many vertices at infinity, and at least `FEWEST`, in rows of whole lanes."""
    cap = max(cap, FEWEST)
    return {"base": np.empty((cap, (frame.n + 8) // 8 * 8))[:, : frame.n], "base_err": np.empty(cap)}


def more_bases(frame: Frame, old: Any, cap: int) -> Any:
    """The same state with room for more base points."""
    new = new_bases(frame, cap)
    for name, array in new.items():
        array[: len(old.base_err)] = getattr(old, name)
    return old._replace(**new)


set_bit, clear_bit = interpreted(forms.set_bit), interpreted(forms.clear_bit)


def flat_star(st: Any) -> tuple[Any, Any]:
    """The records as one int32 array, and how many int32 a record takes."""
    whole = st.star.base.view(np.int32)
    return whole.ravel(), np.uint64(whole.shape[1])


def moved_state(frame: Frame, old: Any, nv: int, cap: int) -> Any:
    """The same vertices in a larger array of records."""
    new = new_state(frame, cap, 0)
    new.star.base.view(np.uint64)[:nv] = old.star.base.view(np.uint64)[:nv]
    return new._replace(base=old.base, base_err=old.base_err)


def grown(array: Any, size: int, fill: Any = None) -> Any:
    """The same array, longer if it must be; new rows hold ``fill``, or anything."""
    if size <= array.shape[0]:
        return array
    new = np.empty((size, *array.shape[1:]), dtype=array.dtype)
    new[: array.shape[0]] = array
    if fill is not None:
        new[array.shape[0] :] = fill
    return new


def unpack(words: Any) -> Any:
    """Sign bits (…, W) uint64 -> (…, 64 W) bool."""
    little = np.ascontiguousarray(words).astype("<u8", copy=False).view(np.uint8)
    return np.unpackbits(little, axis=-1, bitorder="little").view(np.bool_)


def packed(bits: Any, n_words: int) -> Any:
    """bool (m, k) -> words (m, n_words) uint64, column k in bit k & 63 of word k >> 6; inverse of `unpack`."""
    padded = np.zeros((len(bits), 64 * n_words), dtype=np.bool_)
    padded[:, : bits.shape[1]] = bits
    little = np.packbits(padded, axis=1, bitorder="little").view("<u8")
    return little.astype(np.uint64, copy=False)


def sign_row(frame: Frame, words: Any, zeros: list[int]) -> IdArray:
    """Sign vector (neurons first, then domain facets) from sign bits and zero ids."""
    total = frame.n_domain + frame.n_neurons
    signs = np.array([1 if (int(words[k >> 6]) >> (k & 63)) & 1 else -1 for k in range(total)], dtype=np.int8)
    signs[[z for z in zeros if z < total]] = 0
    return np.concatenate([signs[frame.n_domain :], signs[: frame.n_domain]])
