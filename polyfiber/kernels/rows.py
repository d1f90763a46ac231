"""Rows to ids: packing into uint64 words and the open-addressing table of all kernels.

A table holds numbers of rows, never the rows themselves; -1 is free, its length is a power of two and more than twice
the number of rows. A slot is compared by the whole row, so that a collision of hashes costs time and never an answer.
Every constant is ``np.uint64``: a bare literal would turn the words into signed integers.
"""

import numpy as np

from .jit import bare_kernel, inline_kernel

ZERO = np.uint64(0)
ONE = np.uint64(1)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_S30 = np.uint64(30)
_S27 = np.uint64(27)
_S31 = np.uint64(31)
_TWO = np.uint64(2)


@inline_kernel
def mix(word, k):
    """A splitmix round of word ``k`` of a row."""
    z = word + _GOLDEN * np.uint64(k + 1)
    z = (z ^ (z >> _S30)) * _MIX1
    z = (z ^ (z >> _S27)) * _MIX2
    return z ^ (z >> _S31)


@bare_kernel
def hash_row(rows, i):
    """Hash of row ``i``: a sum over its words, so that a change of one word changes one term."""
    h = ZERO
    for k in range(rows.shape[1]):
        h += mix(np.uint64(rows[i, k]), k)
    return h


@inline_kernel
def probe(table, store, h, rows, i):
    """Number of the row of the store that equals row ``i`` of ``rows``, whose hash is ``h``; else -1 - (its free
    slot).
    """
    mask = np.uint64(table.shape[0] - 1)
    slot = h & mask
    while True:
        j = np.int64(table[slot])
        if j < 0:
            return -1 - np.int64(slot)
        same = True
        for k in range(store.shape[1]):
            if store[j, k] != rows[i, k]:
                same = False
                break
        if same:
            return j
        slot = (slot + ONE) & mask


@bare_kernel
def insert_all(table, store, start, stop):
    """Enter rows ``start..stop`` of the store, but for those that equal an earlier one.

    Returns the number of these, and the first (-1 if none).
    """
    doubled = 0
    first = -1
    for i in range(start, stop):
        j = probe(table, store, hash_row(store, i), store, i)
        if j < 0:
            table[-1 - j] = i
        else:
            doubled += 1
            if first < 0:
                first = i
    return doubled, first


@bare_kernel
def find_rows(table, store, rows, out):
    """Numbers in the store of rows (q, w) into int64 ``out`` (q,); -1 where absent."""
    for i in range(rows.shape[0]):
        out[i] = max(probe(table, store, hash_row(rows, i), rows, i), -1)


@bare_kernel
def intern_rows(table, store, count, rows, out):
    """Find each row or append it to the store; numbers into ``out``.

    Parameters
    ----------
    table : integers (power of two,), more than twice as long as the store
    store : uint64 (capacity, w); the first ``count`` rows are in use
    rows : uint64 (q, w)
    out : int64 (q,)

    Returns
    -------
    int, int
        The new count, and how many rows were done: fewer than q if the store was full.
    """
    for i in range(rows.shape[0]):
        j = probe(table, store, hash_row(rows, i), rows, i)
        if j < 0:
            if count == store.shape[0]:
                return count, i
            for k in range(store.shape[1]):
                store[count, k] = rows[i, k]
            table[-1 - j] = count
            j = count
            count += 1
        out[i] = j
    return count, rows.shape[0]


@bare_kernel
def pack_signs(signs, out):
    """Write int8 (n, k) of -1, 0, 1 into uint64 (n, ceil(k / 32)), two bits an entry.

    Returns the first row that holds another value, else -1.
    """
    n, k = signs.shape
    for i in range(n):
        for w in range(out.shape[1]):
            word = np.uint64(0)
            stop = min(k, 32 * w + 32)
            for c in range(stop - 1, 32 * w - 1, -1):
                s = signs[i, c]
                if s < -1 or s > 1:
                    return i
                word = (word << _TWO) | np.uint64(s + 1)
            out[i, w] = word
    return -1


def table_size(n: int) -> int:
    """Power of two at least twice ``n``."""
    return 1 << max(4, int(2 * n - 1).bit_length())


def words_per_row(n_columns: int, dtype: np.dtype) -> int:
    """uint64 words that a packed row takes: two bits an int8 sign, else the plain bytes."""
    if dtype == np.int8:
        return max(1, -(-n_columns // 32))
    return max(1, -(-n_columns * dtype.itemsize // 8))


def pack_rows(labels: np.ndarray) -> np.ndarray:
    """Pack integer labels (n, k) into uint64 (n, w), equal rows to equal words.

    int8 labels are signs (-1, 0, 1) at two bits each; wider types keep their bytes.

    Raises
    ------
    ValueError
        If an int8 entry is not a sign.
    """
    n, k = labels.shape
    width = words_per_row(k, labels.dtype)
    if labels.dtype == np.int8:
        out = np.zeros((n, width), np.uint64)
        bad = pack_signs(np.require(labels, requirements=["C", "W"]), out)
        if bad >= 0:
            raise ValueError(f"row {bad} of int8 labels holds a value that is not -1, 0 or 1")
        return out
    padded = np.zeros((n, 8 * width // labels.dtype.itemsize), labels.dtype)
    padded[:, :k] = labels
    return padded.view(np.uint64)


class RowTable:
    """Growing map from packed rows to consecutive ids.

    Parameters
    ----------
    n_words : int
    capacity : int

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.kernels.rows import RowTable, pack_rows
    >>> t = RowTable(1)
    >>> t.intern(pack_rows(np.array([[1, 0], [0, -1], [1, 0]], np.int8))).tolist()
    [0, 1, 0]
    """

    def __init__(self, n_words: int, capacity: int = 1024) -> None:
        self.count = 0
        self._store = np.empty((max(1, capacity), n_words), np.uint64)
        self._table = np.full(table_size(self._store.shape[0]), -1, np.int64)

    @classmethod
    def of(cls, words: np.ndarray) -> tuple["RowTable", int]:
        """Table of given distinct rows (not copied) and the first duplicate row, or -1."""
        self = cls.__new__(cls)
        self._store = np.ascontiguousarray(words)
        self._table = np.full(table_size(len(words)), -1, np.int64)
        self.count = len(words)
        with np.errstate(over="ignore"):  # hashes wrap around; only heard of without the JIT
            return self, int(insert_all(self._table, self._store, 0, self.count)[1])

    @property
    def rows(self) -> np.ndarray:
        """The rows entered so far, by id."""
        return self._store[: self.count]

    def intern(self, words: np.ndarray) -> np.ndarray:
        """Ids of the rows, new ones for rows not seen before; int64 (q,)."""
        words = np.ascontiguousarray(words)
        out = np.empty(len(words), np.int64)
        done = 0
        while True:
            with np.errstate(over="ignore"):
                self.count, more = intern_rows(self._table, self._store, self.count, words[done:], out[done:])
            done += more
            if done == len(words):
                return out
            bigger = np.empty((2 * self._store.shape[0], self._store.shape[1]), np.uint64)
            bigger[: self.count] = self._store
            self._store = bigger
            self._table = np.full(table_size(len(bigger)), -1, np.int64)
            with np.errstate(over="ignore"):
                insert_all(self._table, self._store, 0, self.count)

    def find(self, words: np.ndarray) -> np.ndarray:
        """Ids of the rows, -1 where a row was never entered; int64 (q,)."""
        words = np.ascontiguousarray(words)
        out = np.empty(len(words), np.int64)
        with np.errstate(over="ignore"):
            find_rows(self._table, self._store, words, out)
        return out
