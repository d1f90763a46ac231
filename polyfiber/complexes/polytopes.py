"""All regions of a complex as polytopes, in columns: inequalities, vertices, rays, volumes.

What `PolyhedralComplex.h_representation` and ``v_representation`` say about one region, for all of them
at once: CSR arrays over regions, made from the covers of the face lattice without an LP and without
comparing regions with vertices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._once import once
from .._typing import BoolArray, FloatArray, IdArray, IntArray
from ..kernels import reach
from ..kernels.complexes import affine_maps as maps
from ..kernels.complexes import polytopes
from .geometry import full_net, unit_forms

if TYPE_CHECKING:
    from .complex import PolyhedralComplex

Csr = tuple[IntArray, IdArray]


@dataclass(frozen=True)
class Inequalities:
    """Irredundant inequalities ``A x <= b`` of consecutive regions.

    Attributes
    ----------
    indptr : (m + 1,) int64
        Rows of region ``start + i`` are ``indptr[i]:indptr[i + 1]``.
    A : (k, n0) float64
        Outer normals of length 1.
    b : (k,) float64
    columns : (k,) int64
        Column of the sign vector (neuron, then domain facet) that each row belongs to.
    """

    indptr: IntArray
    A: FloatArray
    b: FloatArray
    columns: IntArray


class Polytopes:
    """Regions of a complex as polytopes; columns are made when they are first asked for.

    Parameters
    ----------
    cx : PolyhedralComplex

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.complexes.polytopes import Polytopes
    >>> cx = pf.canonical_complex(pf.ReLUNetwork([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0]]], [[0.0, 0.0], [0.0]]),
    ...                           pf.Box([-1.0, -1.0], [1.0, 2.0]))
    >>> p = Polytopes(cx)
    >>> sorted(p.sizes(2).tolist())
    [1.0, 1.0, 2.0, 2.0]
    >>> len(p.vertices[1]), len(p.rays[1]), p.inequalities(0, 1).A.shape
    (16, 0, (4, 2))
    """

    def __init__(self, cx: PolyhedralComplex) -> None:
        self.complex = cx
        self._lock = cx._lock
        self._kept: dict[str, Any] = {}
        self._sizes: dict[int, FloatArray] = {}
        self._bases: dict[int, FloatArray] = {}

    # ---- incidences -------------------------------------------------------------------------
    def facets_of(self, dim: int) -> Csr:
        """CSR of the facets of each face of a dimension (rows of dimension ``dim - 1``), ascending."""
        indptr, indices = self.complex._store.covers_above(dim - 1)
        result: Csr = reach.transpose(indptr, indices, self.complex.f_vector[dim])
        return result

    @once
    def facets(self) -> Csr:
        """CSR of the facets of each region; empty rows where nothing is cut."""
        if self.complex.dimension == 0:
            return np.zeros(2, dtype=np.int64), np.zeros(0, dtype=np.int32)
        return self.facets_of(self.complex.dimension)

    @once
    def vertices(self) -> Csr:
        """CSR of the vertices of each region (rows of ``cx.vertices``), ascending."""
        f = self.complex.f_vector
        own = np.arange(f[0], dtype=np.int32)
        return self._members((np.arange(f[0] + 1), own), 0, f[0])

    @once
    def rays(self) -> Csr:
        """CSR of the rays of each region (rows of ``cx.rays[1]``), ascending."""
        cx = self.complex
        if cx.dimension == 0:
            return np.zeros(2, dtype=np.int64), np.zeros(0, dtype=np.int32)
        edges = cx.rays[0]
        ends = np.zeros(cx.f_vector[1] + 1, dtype=np.int64)
        ends[edges + 1] = 1
        return self._members((np.cumsum(ends), np.arange(len(edges), dtype=np.int32)), 1, len(edges))

    def _members(self, rows: Csr, dim: int, count: int) -> Csr:
        """Members of the regions from those of the faces of a dimension."""
        for d in range(dim + 1, self.complex.dimension + 1):
            ptr, facets = self.facets if d == self.complex.dimension else self.facets_of(d)
            if d == 1:
                rows = ptr, facets
                continue
            stamp = np.full(max(1, count), -1, dtype=np.int64)
            out_ptr = np.zeros(len(ptr), dtype=np.int64)
            room = np.empty(4 * len(facets) + 16, dtype=np.int32)
            found = polytopes.gather_closure(ptr, facets, *rows, stamp, out_ptr, room)
            if found > len(room):
                room, stamp[:] = np.empty(found, dtype=np.int32), -1
                polytopes.gather_closure(ptr, facets, *rows, stamp, out_ptr, room)
            rows = out_ptr, room[:found].copy()
        return rows

    # ---- inequalities -----------------------------------------------------------------------
    def inequalities(self, start: int = 0, stop: int | None = None) -> Inequalities:
        """Irredundant inequalities of the regions ``start <= r < stop`` (all by default), rows as in `facets`."""
        cx = self.complex
        frame, store = cx._frame, cx._store
        n0 = cx.network.architecture[0]
        stop = cx.n_regions if stop is None else min(stop, cx.n_regions)
        ends = self.facets[0][start : stop + 1]
        facets = self.facets[1][ends[0] : ends[-1]]
        if not len(facets):
            return Inequalities(ends - ends[0], np.zeros((0, n0)), np.zeros(0), np.zeros(0, dtype=np.int64))
        top = store.planes(cx.dimension)
        walls = np.empty(len(facets), dtype=np.int64)
        polytopes.incident_walls(
            ends, facets, start, top, store.planes(cx.dimension - 1), frame.n_domain, store.n_bits, walls
        )
        own = np.ascontiguousarray(top[np.repeat(np.arange(start, stop), np.diff(ends))])
        forms = np.empty((len(facets), n0 + 1))
        maps.facet_forms(own, walls, full_net(frame), max([1, *frame.network.hidden_widths]), forms)
        positive = (own[np.arange(len(own)), walls >> 6] >> (walls & 63).astype(np.uint64)) & np.uint64(1)
        forms = unit_forms(forms) * np.where(positive > 0, -1.0, 1.0)[:, None]
        columns = np.where(walls >= frame.n_domain, walls - frame.n_domain, walls + frame.n_neurons)
        return Inequalities(ends - ends[0], np.ascontiguousarray(forms[:, :-1]), -forms[:, -1], columns)

    # ---- volumes ----------------------------------------------------------------------------
    def sizes(self, dim: int) -> FloatArray:
        """Volume of each face of a dimension, in input units to that power; inf where unbounded.

        Returns
        -------
        (f_dim,) float64
            Within the essential quotient's section of least norm. Not certified: a sum of
            non-negative terms, each the volume of a facet times a height, divided by ``dim``.
        """
        if dim not in self._sizes:
            with self._lock:
                self._make_sizes(dim)
        return self._sizes[dim]

    def _make_sizes(self, dim: int) -> None:
        cx = self.complex
        if dim in self._sizes:
            return
        if dim == 0:
            self._bases[0] = np.zeros((cx.f_vector[0], 0, cx.network.architecture[0]))
            self._sizes[0] = np.ones(cx.f_vector[0])
            return
        below, store = self.sizes(dim - 1), cx._store
        ptr, facets = self.facets if dim == cx.dimension else self.facets_of(dim)
        size = np.where(self.unbounded(dim), np.inf, 0.0)
        basis = np.zeros((len(size), dim, cx.network.architecture[0]))
        polytopes.pyramids(
            dim, ptr, facets, store.planes(dim - 1), store.planes(0), self._apex(dim), cx.vertices,
            self._apex(dim - 1), self._bases[dim - 1], below, size, basis,
        )  # fmt: skip
        self._bases[dim] = basis
        self._sizes[dim] = size
        del self._bases[dim - 1]

    def unbounded(self, dim: int) -> BoolArray:
        """Whether each face of a dimension is unbounded in the essential quotient."""
        return self.complex.is_unbounded(dim)

    def _apex(self, dim: int) -> IntArray:
        cx = self.complex
        result: IntArray = cx._finite_index[cx._store.owner(dim)]
        return result
