"""Faces of a built skeleton: orientation, exact counts, lazy tables of one dimension at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ..._once import Lock, once
from ..._typing import Array, BoolArray, ByteArray, IdArray, IntArray, SignArray, WordArray
from ...budget import Monitor, heed, heed_memory
from ...errors import BudgetExceededError, GenericityError, InputError, NumericalError
from ...kernels.complexes import faces as fk
from ...kernels.rows import find_rows, insert_all, table_size
from .build import Skeleton
from .layout import packed, unpack

T = TypeVar("T")
Csr = tuple[IntArray, IdArray]


MOST_ROWS = 1 << 31
"""Rows are numbered in 32 bits."""


class FaceStore:
    """All faces of a skeleton: counted at once, written per dimension when asked.

    Parameters
    ----------
    skeleton : Skeleton
        Complete.

    Notes
    -----
    Several threads may ask: what is made, is made by one of them, under the lock ``_lock``.

    Edges are oriented (`polyfiber.complexes.skeleton.orientation`), so that every face has one lowest vertex, and is a
    choice of upward edges there.
    """

    simple = True
    """Whether it was built as one where every k-face lies on exactly n - k walls."""
    crowded = 0
    """Vertices on more walls than there are dimensions."""

    def __init__(self, skeleton: Skeleton) -> None:
        self.skeleton = skeleton
        self.frame = skeleton.frame
        self.n = skeleton.frame.n
        self._lock = Lock()
        self._kept: dict[str, Any] = {}
        self._planes: dict[int, WordArray] = {}
        self._owner: dict[int, IdArray] = {}
        self._tables: dict[int, IdArray] = {}
        self._above: dict[int, Csr] = {}
        self._unbounded: dict[int, BoolArray] = {}

    # ---- bits -------------------------------------------------------------------------------
    @property
    def n_bits(self) -> int:
        """Number of facets that a sign vector speaks of: D + N."""
        return self.frame.n_domain + self.frame.n_neurons

    @property
    def bytes_per_face(self) -> int:
        """Bytes that a stored face takes."""
        return 16 * self.frame.n_words

    @once
    def closed(self) -> IntArray:
        """(64 W,) which side of each facet lies outside: 0 none, 1 the negative, 2 the positive, 3 both."""
        codes = np.zeros(64 * self.frame.n_words, dtype=np.int64)
        codes[: self.n_bits] = self.skeleton.closed[: self.n_bits]
        return codes

    def to_signs(self, planes: WordArray) -> SignArray:
        """Bit planes (m, 2 W) to int8 signs (m, N + D), neurons before domain facets."""
        W = self.frame.n_words
        signs = unpack(planes[:, :W]).view(np.int8) - unpack(planes[:, W:]).view(np.int8)
        d = self.frame.n_domain
        result: SignArray = np.concatenate([signs[:, d : self.n_bits], signs[:, :d]], axis=1)
        return result

    def to_bits(self, planes: WordArray) -> tuple[ByteArray, ByteArray]:
        """Bit planes (m, 2 W) to positive and negative columns as bytes (m, ceil((N + D) / 8)), at least one, the
        lowest bit first.
        """
        W, width = self.frame.n_words, max(1, (self.n_bits + 7) // 8)
        if not self.frame.n_domain:
            little = np.ascontiguousarray(planes).astype("<u8", copy=False).view(np.uint8)
            return little[:, :width], little[:, 8 * W : 8 * W + width]
        signs = self.to_signs(planes)
        return np.packbits(signs > 0, axis=1, bitorder="little"), np.packbits(signs < 0, axis=1, bitorder="little")

    def to_planes(self, signs: Array) -> WordArray:
        """int8 signs (m, N + D) to bit planes (m, 2 W)."""
        return planes_of(signs, self.frame.n_domain, self.frame.n_words)

    @once
    def up(self) -> WordArray:
        """Masks (nv, U) of upward edges of every skeleton vertex, bit 2 slot + side."""
        return self.skeleton.orientation()

    @once
    def counts(self) -> tuple[int, ...]:
        """f-vector, exact integers, without making a face."""
        return self.count()

    def count(self, *, owned: bool = False, bounded: bool = False) -> tuple[int, ...]:
        """f-vector of some of the faces, without making one.

        Parameters
        ----------
        owned : bool
            Only faces that lie on no wall whose positive side was thrown away (see `polyfiber.complexes.blocks.block`).
        bounded : bool
            Only bounded faces: those with a highest vertex, since the orienting function goes to infinity on every ray.
        """
        n, sk = self.n, self.skeleton
        if n == 0:
            return (1,)
        edges = self.up
        if bounded:
            edges = ~edges & packed(sk.state.star[: sk.nv, : 2 * n] >= 0, edges.shape[1])
        strict = sk.closed == 2 if owned else np.zeros(len(sk.closed), dtype=np.bool_)
        table = self._tally(edges, strict) if bounded or strict.any() else self._census
        f = [0] * (n + 1)
        for a, b, c in np.argwhere(table).tolist():
            for i, factor in enumerate(_faces_at(a, b), start=c):
                f[i] += int(table[a, b, c]) * factor
        return tuple(f)

    @once
    def _census(self) -> IntArray:
        """`_tally` of the upward edges."""
        return self._tally(self.up, np.zeros(len(self.skeleton.closed), dtype=np.bool_))

    def _tally(self, edges: WordArray, strict: BoolArray) -> IntArray:
        """Number of vertices with a slots of one edge of the masks, b slots of two, c strict ones of one."""
        sk = self.skeleton
        table = np.zeros((self.n + 1, self.n + 1, min(self.n, int(strict.sum())) + 1), dtype=np.int64)
        fk.tally(sk.nv, self.n, sk.state.star, sk.state.at_inf, edges, strict, table)
        return table

    def _most_faces(self, top: int) -> int:
        """The most faces of dimensions up to ``top`` that one vertex is the lowest of."""
        return max((sum(_faces_at(a, b)[: top + 1]) for a, b, _ in np.argwhere(self._census).tolist()), default=1)

    def is_owned(self, dim: int) -> BoolArray:
        """Whether each face of a dimension lies on no wall whose positive side was thrown away."""
        planes, W = self.planes(dim), self.frame.n_words
        mask = np.zeros(W, dtype=np.uint64)
        for k in np.flatnonzero(self.closed == 2).tolist():
            mask[k >> 6] |= np.uint64(1) << np.uint64(k & 63)
        own = np.ones(len(planes), dtype=np.bool_)
        for w in np.flatnonzero(mask):
            own &= (planes[:, W + w] & mask[w]) == mask[w]
        return own

    def offset(self, dim: int) -> int:
        """First id of a dimension."""
        return sum(self.counts[:dim])

    # ---- tables -----------------------------------------------------------------------------
    def _check_dim(self, dim: int) -> None:
        if not 0 <= dim <= self.n:
            raise InputError(f"dimension {dim} does not exist; the complex has dimensions 0 to {self.n}")

    def check_rows(self, dims: list[int]) -> int:
        """Number of faces of some dimensions.

        Raises
        ------
        BudgetExceededError
            They are too many for a table.
        """
        total = sum(self.counts[d] for d in dims)
        if total >= MOST_ROWS:
            raise BudgetExceededError(
                f"{total} faces of dimensions {dims[0]} to {dims[-1]}, and tables hold at most {MOST_ROWS - 1}; "
                "ask for lower dimensions, or restrict the domain",
                partial=None,
            )
        return total

    def materialize(self, dims: list[int], monitor: Monitor | None = None) -> None:
        """Write the faces of some dimensions in one pass."""
        for d in dims:
            self._check_dim(d)
        with self._lock:
            self._write([d for d in dict.fromkeys(dims) if d not in self._planes], monitor)

    def _write(self, todo: list[int], monitor: Monitor | None) -> None:
        if not todo:
            return
        if self.n == 0:
            self._planes[0] = self._only_face()
            return
        n, W, sk = self.n, self.frame.n_words, self.skeleton
        total = self.check_rows(todo)
        sizes = np.zeros(n + 1, dtype=np.int64)
        sizes[todo] = [self.counts[d] for d in todo]
        (monitor or sk.monitor).check_memory(total * self.bytes_per_face, f"a table of {total} faces")
        heed(f"a table of {total} faces")
        heed_memory(total * self.bytes_per_face, f"a table of {total} faces")
        # what is not wanted is written all the same, over and over, into the row behind the tables
        top = max(todo)
        step = (sizes > 0).astype(np.uint64)
        starts = np.where(sizes > 0, np.cumsum(sizes) - sizes, total)
        fill = starts.astype(np.uint64)
        planes = np.empty((total + 1, 2 * W), dtype=np.uint64)
        most = self._most_faces(top)
        valid = sk.signed
        fk.emit(
            sk.nv, n, np.uint64(top), valid, sk.state, self.up, step, fill, planes.ravel(),
            (np.empty(most * 2 * W, dtype=np.uint64), np.empty(most, dtype=np.uint64)),
        )  # fmt: skip
        if not np.array_equal(fill.astype(np.int64), starts + sizes):
            raise NumericalError("the faces written are not as many as counted; please report this network")
        for d in todo:
            self._planes[d] = planes[int(starts[d]) : int(starts[d] + sizes[d])]

    def _only_face(self) -> WordArray:
        """The single face of a complex without walls (all neurons constant)."""
        frame = self.frame
        words = np.zeros(frame.n_words, dtype=np.uint64)
        signs = np.zeros((1, self.n_bits), dtype=np.int8)
        for k in range(frame.n_domain, self.n_bits):
            sign = self.skeleton.predicate.sign(k, words, [], None)
            if sign == 0:
                raise GenericityError(
                    f"{frame.name(k)} is zero everywhere; a generic network has no neuron that vanishes on a cell. "
                    "Give it a non-zero bias",
                    facets=[k],
                )
            signs[0, k - frame.n_domain] = sign
            if sign > 0:
                words[k >> 6] |= np.uint64(1) << np.uint64(k & 63)
        signs[0, frame.n_neurons :] = frame.constant
        return self.to_planes(signs)

    def planes(self, dim: int) -> WordArray:
        """Bit planes (f_dim, 2 W) of one dimension."""
        self._check_dim(dim)
        if dim not in self._planes:
            self.materialize([dim])
        return self._planes[dim]

    def owner(self, dim: int) -> IdArray:
        """Lowest skeleton vertex of every face of one dimension: `emit` writes the faces of one after those of
        another.
        """
        self._check_dim(dim)
        return self._made(self._owner, dim, self._make_owner)

    def _make_owner(self, dim: int) -> IdArray:
        if self.n == 0:
            return np.zeros(1, dtype=np.int32)
        sk, table = self.skeleton, np.zeros((self.n + 1, self.n + 1), dtype=np.int64)
        self.planes(dim)  # refuses what is too large for numbers of rows
        for a, b, _ in np.argwhere(self._census).tolist():
            table[a, b] = _faces_at(a, b)[dim] if dim <= a + b else 0
        many = np.empty(sk.nv, dtype=np.int64)
        fk.look_up(sk.nv, sk.state.at_inf, self.up, table, many)
        return np.repeat(np.arange(sk.nv, dtype=np.int32), many)

    def _made(self, tables: dict[int, T], dim: int, make: Callable[[int], T]) -> T:
        """A table of one dimension, made by the first thread that asks."""
        if dim not in tables:
            with self._lock:
                if dim not in tables:
                    tables[dim] = make(dim)
        return tables[dim]

    def edge_ends(self) -> IntArray:
        """(f_1, 2) lower and upper skeleton vertex of each edge; only the upper one may be at infinity."""
        sk = self.skeleton
        ends = np.empty((self.counts[1], 2), dtype=np.int64)
        m = fk.edge_ends(sk.nv, self.n, self.frame.net.shift, sk.state.star, sk.state.at_inf, self.up, ends)
        if m != len(ends):
            raise NumericalError("the edges written are not as many as counted; please report this network")
        return ends

    # ---- look-up ----------------------------------------------------------------------------
    def face_of(self, row: SignArray) -> tuple[int, int]:
        """(dimension, row) of the face with these signs; row -1 where there is none."""
        dim = self.n + len(self.frame.vanishing) - int((row == 0).sum())
        return (dim, int(self.find(dim, self.to_planes(row[None, :]))[0])) if dim >= 0 else (self.n, -1)

    def table(self, dim: int) -> IdArray:
        """Open-addressing table of the rows of one dimension."""
        return self._made(self._tables, dim, self._make_table)

    def _make_table(self, dim: int) -> IdArray:
        planes = self.planes(dim)
        table = np.full(table_size(len(planes)), -1, dtype=np.int32)
        doubled, _ = insert_all(table, planes, 0, len(planes))
        if doubled:
            raise NumericalError(f"{doubled} faces of dimension {dim} occur twice; please report this network")
        return table

    def find(self, dim: int, keys: WordArray) -> IntArray:
        """Rows of faces given as bit planes, -1 where there is none."""
        out = np.empty(len(keys), dtype=np.int64)
        find_rows(self.table(dim), self.planes(dim), np.ascontiguousarray(keys), out)
        return out

    def covers_above(self, dim: int) -> Csr:
        """CSR of the (dim + 1)-faces above each face of a dimension; row numbers within dimensions."""
        return self._made(self._above, dim, self._make_covers_above)

    def _make_covers_above(self, dim: int) -> Csr:
        if dim == self.n:
            return np.zeros(self.counts[dim] + 1, dtype=np.int64), np.zeros(0, dtype=np.int32)
        planes = self.planes(dim)
        upper = self.planes(dim + 1)
        heed(f"the covers of dimension {dim}")
        heed_memory(len(planes) * 8 * (self.n - dim), f"the covers of dimension {dim}")
        indptr = np.zeros(len(planes) + 1, dtype=np.int64)
        indices = np.empty(len(planes) * 2 * (self.n - dim), dtype=np.int32)
        missing = _covers(planes, upper, self.table(dim + 1), self.n_bits, self.closed, indptr, indices)
        if missing:
            raise NumericalError(f"{missing} faces above {dim}-faces are missing; please report this network")
        return indptr, indices[: indptr[-1]]

    def unbounded(self, dim: int) -> BoolArray:
        """Whether each face of a dimension is unbounded (in the essential quotient)."""
        return self._made(self._unbounded, dim, self._make_unbounded)

    def _make_unbounded(self, dim: int) -> BoolArray:
        planes, sk, net = self.planes(dim), self.skeleton, self.frame.net
        flags = np.zeros(len(planes), dtype=np.bool_)
        if dim > 0 and self.n > 0:
            missing = fk.mark_unbounded(
                sk.nv, net, sk.signed, sk.state, dim, planes, self.table(dim), self.closed, flags
            )
            if missing:
                raise NumericalError(f"{missing} unbounded {dim}-faces are missing; please report this network")
        return flags

    def fingerprint(self, dim: int) -> tuple[int, int]:
        """Order-independent fingerprint of the faces of one dimension."""
        a, b = fk.fingerprint(self.planes(dim), 0, self.counts[dim])
        return int(a), int(b)


def planes_of(signs: Array, n_domain: int, n_words: int) -> WordArray:
    """int8 signs (m, N + D), neurons before domain facets, to bit planes (m, 2 W), domain facets first."""
    N = signs.shape[1] - n_domain
    bits = np.zeros((signs.shape[0], 2, 64 * n_words), dtype=np.bool_)
    for plane, value in ((0, 1), (1, -1)):
        bits[:, plane, :n_domain] = signs[:, N:] == value
        bits[:, plane, n_domain : n_domain + N] = signs[:, :N] == value
    packed = np.packbits(bits, axis=-1, bitorder="little").reshape(len(signs), 16 * n_words)
    return np.ascontiguousarray(packed).view("<u8").astype(np.uint64, copy=False)


def _faces_at(one: int, two: int) -> list[int]:
    """Faces of each dimension with a given lowest vertex: (1 + t)^one (1 + 2 t)^two."""
    poly = [math.comb(one, i) for i in range(one + 1)]
    for _ in range(two):
        poly = [x + 2 * y for x, y in zip([*poly, 0], [0, *poly])]
    return poly


def _covers(
    lower: WordArray, upper: WordArray, table: IdArray, n_bits: int, closed: IntArray, indptr: Any, indices: Any
) -> int:
    return int(fk.covers_above(lower, upper, n_bits, closed, table, indptr, indices))
