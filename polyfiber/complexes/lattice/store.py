"""Tables of the faces of a cut lattice: what `FaceStore` gives for simple skeletons, for any complex."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..._typing import BoolArray, IdArray, IntArray, SignArray, WordArray
from ...budget import Monitor
from ...kernels import reach
from ..skeleton.faces import FaceStore
from .build import LatticeSkeleton

if TYPE_CHECKING:
    from ..certificate import Verification

Csr = tuple[IntArray, IdArray]


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

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """f-vector."""
        if self.n == 0:
            return (1,)
        return tuple(len(rows) for rows in self._finite)

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
            if d not in self._planes:
                if self.n == 0:
                    self._planes[0] = self._only_face()
                    continue
                table = self.lattice.tables[d]
                self._planes[d] = np.ascontiguousarray(table.planes[self._finite[d]])

    def _only_face(self) -> WordArray:
        frame, integers = self.frame, self.lattice.integers
        words = np.zeros(frame.n_words, dtype=np.uint64)
        signs = np.zeros((1, self.n_bits), dtype=np.int8)
        for layer in range(1, len(frame.network.hidden_widths) + 1):
            low = int(frame.net.first[layer])
            width = frame.network.hidden_widths[layer - 1]
            for i, sign in enumerate(integers.signs(layer, list(range(width)), words, [], 1, None)):
                signs[0, low + i - frame.n_domain] = sign
                if sign > 0:
                    words[(low + i) >> 6] |= np.uint64(1) << np.uint64((low + i) & 63)
        return self.to_planes(signs)

    def owner(self, dim: int) -> IdArray:
        """A skeleton vertex of every face of one dimension."""
        if dim not in self._owner:
            if dim == 0:
                self._owner[0] = self._finite[0].astype(np.int32) if self.n else np.zeros(1, dtype=np.int32)
            else:
                indptr, indices = self.covers_below(dim)
                self._owner[dim] = self.owner(dim - 1)[indices[indptr[:-1]]]
        return self._owner[dim]

    # ---- covers -----------------------------------------------------------------------------
    def covers_below(self, dim: int) -> Csr:
        """CSR of the facets of each face of a dimension; row numbers within dimensions."""
        if dim not in self._below:
            indptr, indices, _ = self._facets(dim)
            self._below[dim] = (indptr, indices)
        return self._below[dim]

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

    def covers_above(self, dim: int) -> Csr:
        """CSR of the (dim + 1)-faces above each face of a dimension."""
        self._check_dim(dim)
        if dim not in self._above:
            if dim == self.n:
                self._above[dim] = (np.zeros(self.counts[dim] + 1, dtype=np.int64), np.zeros(0, dtype=np.int32))
            else:
                indptr, indices = reach.transpose(*self.covers_below(dim + 1), self.counts[dim])
                self._above[dim] = (np.asarray(indptr, dtype=np.int64), np.asarray(indices, dtype=np.int32))
        return self._above[dim]

    def unbounded(self, dim: int) -> BoolArray:
        """Whether each face of a dimension is unbounded (in the essential quotient)."""
        self._check_dim(dim)
        if dim not in self._unbounded:
            flags = np.zeros(self.counts[dim], dtype=np.bool_)
            if dim:
                flags = self._facets(dim)[2]
            self._unbounded[dim] = flags
        return self._unbounded[dim]

    def edge_ends(self) -> IntArray:
        """(f_1, 2) skeleton vertices of each edge, a finite one first."""
        table = self.lattice.tables[1]
        rows = self._finite[1]
        at = table.start[rows]
        ends = np.stack([table.pool[at], table.pool[at + 1]], axis=1).astype(np.int64)
        swap = self.lattice.tables[0].infinite[ends[:, 0]]
        ends[swap] = ends[swap][:, ::-1]
        return ends

    def verify(self) -> Verification:
        """Check the lattice anew, see `polyfiber.complexes.lattice.check`."""
        from ..certificate import Verification, solved_anew
        from .check import check_faces, check_signs

        if self.n == 0:
            return Verification(True, 1, 0, 0, 0, 0)
        problems: list[str] = []
        with solved_anew(self.lattice):
            filtered, exact = check_signs(self.lattice, problems)
        incidences = check_faces(self.lattice, problems)
        return Verification(
            not problems, self.lattice.nv, incidences, filtered + exact, filtered, exact, tuple(problems)
        )

    # ---- look-up ----------------------------------------------------------------------------
    def face_of(self, row: SignArray) -> tuple[int, int]:
        """(dimension, row) of the face with these signs; row -1 where there is none."""
        key = self.to_planes(row[None, :])
        for d in range(self.n + 1):
            i = int(self.find(d, key)[0])
            if i >= 0:
                return d, i
        return self.n, -1
