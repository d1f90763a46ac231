"""Tables of the faces of a cut lattice: what `FaceStore` gives for simple skeletons, for any complex."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .._typing import BoolArray, IdArray, IntArray, SignArray, WordArray
from ..budget import Monitor
from ..kernels import reach
from .build import first_filter, unpack
from .degenerate import LatticeSkeleton
from .faces import FaceStore

if TYPE_CHECKING:
    from .certificate import Verification

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
        """Check the lattice anew, see `check_lattice`."""
        from .certificate import Verification

        if self.n == 0:
            return Verification(True, 1, 0, 0, 0, 0)
        vertices, incidences, filtered, exact, problems = check_lattice(self)
        return Verification(not problems, vertices, incidences, filtered + exact, filtered, exact, tuple(problems))

    # ---- look-up ----------------------------------------------------------------------------
    def face_of(self, row: SignArray) -> tuple[int, int]:
        """(dimension, row) of the face with these signs; row -1 where there is none."""
        key = self.to_planes(row[None, :])
        for d in range(self.n + 1):
            i = int(self.find(d, key)[0])
            if i >= 0:
                return d, i
        return self.n, -1


def check_lattice(store: LatticeStore) -> tuple[int, int, int, int, list[str]]:
    """Check a lattice anew: (vertices, incidences, signs, signs decided exactly, problems).

    Every sign of every vertex is recomputed, exactly where the filter cannot tell; every face has
    the union of the planes of its facets and at least one more facet than its dimension; between
    a face and one two dimensions up there are exactly two; a facet of a region inside the domain
    lies in two.
    """
    lattice, frame = store.lattice, store.frame
    problems: list[str] = []
    filtered, exact = _check_vertices(lattice, problems)
    incidences = 0
    for table, lower in zip(lattice.tables[1:], lattice.tables[:-1]):
        m = table.count
        length = table.length[:m].astype(np.int64)
        ends = np.cumsum(length)
        at = np.arange(int(length.sum())) - np.repeat(ends - length, length) + np.repeat(table.start[:m], length)
        ids = table.pool[at].astype(np.int64)
        face = np.repeat(np.arange(m), length)
        incidences += len(ids)
        united = np.zeros((m, 2 * frame.n_words), dtype=np.uint64)
        np.bitwise_or.at(united, face, lower.planes[ids])
        if (united != table.planes[:m]).any():
            problems.append(f"signs of {table.dim}-faces are not those of their facets")
        if m and (length <= table.dim).any():
            problems.append(f"a {table.dim}-face has fewer facets than a simplex")
        both = table.planes[:m, : frame.n_words] & table.planes[:m, frame.n_words :]
        if both.any():
            problems.append(f"a {table.dim}-face has both signs of a wall")
        if table.dim >= 2:
            low_length = lower.length[ids].astype(np.int64)
            low_ends = np.cumsum(low_length)
            at = np.arange(int(low_length.sum())) - np.repeat(low_ends - low_length, low_length)
            at += np.repeat(lower.start[ids], low_length)
            pairs = np.repeat(face, low_length) << 32 | lower.pool[at].astype(np.int64)
            _, number = np.unique(pairs, return_counts=True)
            if (number != 2).any():
                problems.append(f"between a {table.dim - 2}-face and a {table.dim}-face there are not exactly two")
        if table.dim == frame.n and m:
            sides = np.bincount(ids, minlength=lower.count)
            W = frame.n_words
            inner = ~lower.infinite[: lower.count]
            for k in range(frame.n_domain):
                signs = (lower.planes[: lower.count, k >> 6] | lower.planes[: lower.count, W + (k >> 6)]) >> np.uint64(
                    k & 63
                )
                inner &= (signs & np.uint64(1)) == 1
            if (sides[inner] != 2).any():
                problems.append("a facet inside the domain does not lie in two regions")
    return lattice.nv, incidences, filtered, exact, problems


def _check_vertices(lattice: LatticeSkeleton, problems: list[str]) -> tuple[int, int]:
    frame, st, nv, n = lattice.frame, lattice.state, lattice.nv, lattice.frame.n
    net, integers = frame.net, lattice.integers
    planes = lattice.tables[0].planes
    W = frame.n_words
    wrong = filtered = exact = 0
    weights = [np.ascontiguousarray(w, dtype=np.float64) for w in frame.network.weights[1:]]
    for begin in range(0, nv, 4096):
        rows = slice(begin, min(nv, begin + 4096))
        plus, minus = unpack(planes[rows, :W]), unpack(planes[rows, W:])
        if (unpack(st.words[rows]) != plus).any():
            problems.append("the gates of a vertex are not its positive signs")
        unsure = np.zeros(plus.shape, dtype=np.bool_)
        for layer in range(len(frame.network.hidden_widths) + 1):
            low, high = int(net.first[layer]), int(net.first[layer + 1])
            if low == high:
                continue
            z, bound = first_filter(frame, weights[: max(0, layer - 1)], layer, st, rows)
            with np.errstate(invalid="ignore"):
                sure = np.abs(z) > bound
            filtered += int(sure.sum())
            wrong += int((sure & ~np.where(z > 0, plus[:, low:high], minus[:, low:high])).sum())
            unsure[:, low:high] = ~sure
        for i in np.flatnonzero(unsure.any(axis=1)):
            v = begin + int(i)
            basis = st.star[v, 2 * n :].tolist()
            point, scale, direction = integers.point(basis, st.words[v])
            for layer in range(len(frame.network.hidden_widths) + 1):
                low, high = int(net.first[layer]), int(net.first[layer + 1])
                here = np.flatnonzero(unsure[i, low:high])
                if not len(here):
                    continue
                signs = integers.signs(layer, here.tolist(), st.words[v], point, scale, direction)
                for j, sign in zip(here.tolist(), signs):
                    exact += 1
                    wrong += sign != int(plus[i, low + j]) - int(minus[i, low + j])
    if wrong:
        problems.append(f"{wrong} signs of vertices are wrong")
    return filtered, exact
