"""Tables of the faces of a cut lattice: what `FaceStore` gives for simple skeletons, for any complex."""

from __future__ import annotations

import numpy as np

from ... import words
from ..._once import once
from ..._typing import BoolArray, IdArray, IntArray, SignArray, WordArray
from ...budget import Monitor
from ...errors import GenericityError
from ...kernels import reach
from ..skeleton.faces import Csr, FaceStore
from .build import LatticeSkeleton


def refuse_crowded(skeleton: LatticeSkeleton) -> None:
    """GenericityError where a lattice has vertices on more walls than there are dimensions."""
    many = LatticeStore(skeleton).crowded
    if many:
        raise GenericityError(
            f"{words.count(many, 'vertex', 'vertices')} on more walls than there are dimensions; "
            "on_degenerate='resolve' builds the complex all the same"
        )


class LatticeStore(FaceStore):
    """Faces of a built lattice, those at infinity left out.

    Parameters
    ----------
    skeleton : LatticeSkeleton
        Complete.
    """

    simple = False

    def __init__(self, skeleton: LatticeSkeleton) -> None:
        super().__init__(skeleton)
        self.lattice = skeleton
        self._finite = [np.flatnonzero(~t.infinite[: t.count]) for t in skeleton.tables]
        self._below: dict[int, Csr] = {}

    @once
    def counts(self) -> tuple[int, ...]:
        """f-vector."""
        if self.n == 0:
            return (1,)
        return tuple(len(rows) for rows in self._finite)

    @once
    def crowded(self) -> int:
        """Vertices on more walls than there are dimensions; where there is none, every face lies on as many as it
        should.
        """
        zeros = (self.to_signs(self.planes(0)) == 0).sum(axis=1)
        return int((zeros > self.n + len(self.frame.vanishing)).sum())

    def count(self, *, owned: bool = False, bounded: bool = False) -> tuple[int, ...]:
        """f-vector of some of the faces, see `FaceStore.count`."""
        found = []
        for d in range(self.n + 1):
            keep = self.is_owned(d) if owned else np.ones(self.counts[d], dtype=np.bool_)
            found.append(int((keep & ~self.unbounded(d)).sum() if bounded else keep.sum()))
        return tuple(found)

    def materialize(self, dims: list[int], monitor: Monitor | None = None) -> None:
        """Make the tables of some dimensions."""
        for d in dims:
            self._check_dim(d)
            self._made(self._planes, d, self._make_planes)

    def _make_planes(self, dim: int) -> WordArray:
        if self.n == 0:
            return self._only_face()
        return np.ascontiguousarray(self.lattice.tables[dim].planes[self._finite[dim]])

    def _only_face(self) -> WordArray:
        frame, integers = self.frame, self.lattice.integers
        words = np.zeros(frame.n_words, dtype=np.uint64)
        signs = np.zeros((1, self.n_bits), dtype=np.int8)
        for layer in range(1, len(frame.network.hidden_widths) + 1):
            low = int(frame.net.layers.first[layer])
            width = frame.network.hidden_widths[layer - 1]
            for i, sign in enumerate(integers.signs(layer, list(range(width)), words, [], 1, None)):
                signs[0, low + i - frame.n_domain] = sign
                if sign > 0:
                    words[(low + i) >> 6] |= np.uint64(1) << np.uint64((low + i) & 63)
        signs[0, frame.n_neurons :] = frame.constant
        return self.to_planes(signs)

    def _make_owner(self, dim: int) -> IdArray:
        """A skeleton vertex of every face of one dimension."""
        if dim == 0:
            return self._finite[0].astype(np.int32) if self.n else np.zeros(1, dtype=np.int32)
        indptr, indices = self.covers_below(dim)
        return self.owner(dim - 1)[indices[indptr[:-1]]]

    # ---- covers -----------------------------------------------------------------------------
    def covers_below(self, dim: int) -> Csr:
        """CSR of the facets of each face of a dimension; row numbers within dimensions."""
        return self._made(self._below, dim, lambda d: self._facets(d)[:2])

    def _facets(self, dim: int) -> tuple[IntArray, IdArray, BoolArray]:
        """CSR of finite facets, and whether there is one at infinity."""
        table, lower = self.lattice.tables[dim], self.lattice.tables[dim - 1]
        rows = self._finite[dim]
        start, length = table.start[rows], table.length[rows].astype(np.int64)
        ends = np.cumsum(length)
        at = np.arange(int(length.sum())) - np.repeat(ends - length, length) + np.repeat(start, length)
        ids = table.pool[at]
        face = np.repeat(np.arange(len(rows)), length)
        far = lower.infinite[ids]
        unbounded = np.zeros(len(rows), dtype=np.bool_)
        unbounded[face[far]] = True
        new_id = np.full(lower.count, -1, dtype=np.int32)
        new_id[self._finite[dim - 1]] = np.arange(len(self._finite[dim - 1]), dtype=np.int32)
        counts = np.bincount(face[~far], minlength=len(rows))
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return indptr, new_id[ids[~far]], unbounded

    def _make_covers_above(self, dim: int) -> Csr:
        self._check_dim(dim)
        if dim == self.n:
            return np.zeros(self.counts[dim] + 1, dtype=np.int64), np.zeros(0, dtype=np.int32)
        indptr, indices = reach.transpose(*self.covers_below(dim + 1), self.counts[dim])
        return np.asarray(indptr, dtype=np.int64), np.asarray(indices, dtype=np.int32)

    def _make_unbounded(self, dim: int) -> BoolArray:
        self._check_dim(dim)
        return self._facets(dim)[2] if dim else np.zeros(self.counts[0], dtype=np.bool_)

    def edge_ends(self) -> IntArray:
        """(f_1, 2) skeleton vertices of each edge, a finite one first."""
        table = self.lattice.tables[1]
        rows = self._finite[1]
        at = table.start[rows]
        ends = np.stack([table.pool[at], table.pool[at + 1]], axis=1).astype(np.int64)
        swap = self.lattice.tables[0].infinite[ends[:, 0]]
        ends[swap] = ends[swap][:, ::-1]
        return ends

    # ---- look-up ----------------------------------------------------------------------------
    def face_of(self, row: SignArray) -> tuple[int, int]:
        """(dimension, row) of the face with these signs; row -1 where there is none."""
        key = self.to_planes(row[None, :])
        for d in range(self.n + 1):
            i = int(self.find(d, key)[0])
            if i >= 0:
                return d, i
        return self.n, -1
