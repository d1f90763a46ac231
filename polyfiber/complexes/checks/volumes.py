"""Volumes, incidences of regions and their graph, as given out, made again by other code.

Faces are cut into simplices from their vertices, each the apex of a face and a simplex of a facet that avoids it; their
volumes are products of the diagonals of triangular factors (the library adds k-vectors up). Incidences are products of
sparse matrices.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse

from ... import words
from ..._typing import Array, FloatArray, IntArray
from ...budget import heed
from ...numerics.exact import determinant, rref
from ...numerics.products import exact_product
from ...numerics.rounding import UNIT

if TYPE_CHECKING:
    from ..complex import PolyhedralComplex

FACES = 256
"""Faces that are cut into simplices together."""
MOST = 1 << 20
"""Simplices of one batch; a face with more is not looked at."""
OWN = 1e-6
"""Share of a volume that the check's own rounding may be before rationals decide."""


def check_regions(cx: PolyhedralComplex, problems: list[str]) -> int:
    """Compare facets, vertices, rays and neighbours of regions as given out; returns the pairs looked at."""
    d, kept = cx.dimension, cx._kept
    columns = {} if cx._polytopes is None else cx._polytopes._kept
    if not d:
        return 0
    looked = 0
    if "_facet_sides" in kept or "facets" in columns or "dual_graph" in kept:
        facets = _incidence(cx, d - 1).T.tocsr()
        for table in (kept.get("_facet_sides"), columns.get("facets")):
            if table is not None:
                looked += len(table[1])
                if not _same(facets, table):
                    problems.append("the facets of regions are not those of the covers")
        if "dual_graph" in kept:
            graph, sides = kept["dual_graph"], facets.T.tocsr()
            looked += len(graph.indices)
            if not _joined(graph, sides, cx.n_regions):
                problems.append("the graph of regions is not that of the facets between two")
    if "vertices" in columns:
        looked += len(columns["vertices"][1])
        if not _same(_closure(cx, 0).T.tocsr(), columns["vertices"]):
            problems.append("the vertices of regions are not those in their closures")
    if "rays" in columns:
        looked += len(columns["rays"][1])
        if not _same(_closure(cx, 1)[cx.rays[0]].T.tocsr(), columns["rays"]):
            problems.append("the rays of regions are not those in their closures")
    return looked


def _incidence(cx: PolyhedralComplex, dim: int) -> Any:
    """(f_dim, f_(dim + 1)) sparse: which face is a facet of which."""
    indptr, indices = cx._store.covers_above(dim)
    return scipy.sparse.csr_matrix(
        (np.ones(len(indices), dtype=np.int32), indices, indptr), shape=(cx.f_vector[dim], cx.f_vector[dim + 1])
    )


def _closure(cx: PolyhedralComplex, dim: int) -> Any:
    """(f_dim, f_d) sparse: which face lies in the closure of which region."""
    found = scipy.sparse.identity(cx.f_vector[dim], dtype=np.int32, format="csr")
    for d in range(dim, cx.dimension):
        heed("the check of incidences")
        found = found @ _incidence(cx, d)
        found.data[:] = 1
    return found


def _same(matrix: Any, table: tuple[IntArray, Any]) -> bool:
    """Whether the rows of a sparse matrix are those of a CSR pair, ascending."""
    matrix.sort_indices()
    return np.array_equal(matrix.indptr, table[0]) and np.array_equal(matrix.indices, table[1])


def _joined(graph: Any, sides: Any, n_regions: int) -> bool:
    """Whether a graph has one edge each way for every facet with two sides."""
    two = np.flatnonzero(np.diff(sides.indptr) == 2)
    a, b = sides.indices[sides.indptr[two]], sides.indices[sides.indptr[two] + 1]
    true = np.stack([np.concatenate([a, b]), np.concatenate([b, a]), np.concatenate([two, two])], axis=1)
    if len(graph.indptr) != n_regions + 1 or len(graph.indices) != len(true) or len(graph.facet) != len(true):
        return False
    given = np.stack([np.repeat(np.arange(n_regions), np.diff(graph.indptr)), graph.indices, graph.facet], axis=1)
    return np.array_equal(given[np.lexsort(given.T)], true[np.lexsort(true.T)])


def check_volumes(cx: PolyhedralComplex, problems: list[str]) -> tuple[int, int]:
    """Whether volumes lie within their bounds; (looked at, in rationals)."""
    tables = {} if cx._polytopes is None else cx._polytopes._sizes
    looked = exact = wrong = 0
    for dim, (sizes, errors) in sorted(tables.items()):
        far = cx._store.unbounded(dim)
        if sizes.shape != far.shape or errors.shape != far.shape or not (sizes[far] == np.inf).all():
            problems.append(f"the volumes of dimension {dim} are not those of its faces")
            continue
        if np.isnan(sizes).any() or not (errors >= 0).all():
            problems.append(f"a volume of dimension {dim}, or its bound, is no number")
            continue
        if not dim:
            wrong += int((sizes != 1).sum())
            continue
        cut = _Cut(cx, dim)
        bounded = np.flatnonzero(~far & np.isfinite(errors))
        for start in range(0, len(bounded), FACES):
            heed("the check of volumes")
            faces = bounded[start : start + FACES]
            corners, owner = cut.simplices(faces)
            total, own = cut.volumes(corners, owner, len(faces))
            with np.errstate(invalid="ignore"):
                apart = np.abs(sizes[faces] - total)
                wrong += int((apart > errors[faces] + own).sum())
                open_ = ~(own <= errors[faces] + OWN * sizes[faces])
            looked += len(faces)
            for i in np.flatnonzero(open_).tolist():
                heed("the check of volumes")
                square = cut.exact(corners[owner == i])
                size, error = Fraction(float(sizes[faces[i]])), Fraction(float(errors[faces[i]]))
                exact += 1
                wrong += not max(size - error, Fraction(0)) ** 2 <= square <= (size + error) ** 2
    if wrong:
        problems.append(
            f"{words.count(wrong, 'volume lies', 'volumes lie')} farther from the true ones than their error bounds say"
        )
    return looked, exact


class _Cut:
    """Faces of one dimension, cut into simplices."""

    def __init__(self, cx: PolyhedralComplex, dim: int) -> None:
        self.cx, self.dim = cx, dim
        least = np.arange(cx.f_vector[0])
        self.apex, self.below = [least], [(np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int64))]
        for d in range(dim):
            incidence = _incidence(cx, d)
            first = np.full(cx.f_vector[d + 1], cx.f_vector[0], dtype=np.int64)
            np.minimum.at(
                first, incidence.indices, self.apex[d][np.repeat(np.arange(cx.f_vector[d]), np.diff(incidence.indptr))]
            )
            down = incidence.T.tocsr()
            self.apex.append(first)
            self.below.append((down.indptr.astype(np.int64), down.indices.astype(np.int64)))

    def simplices(self, faces: IntArray) -> tuple[IntArray, IntArray]:
        """Vertices (m, dim + 1) of the simplices of faces, and which face each is of."""
        owner, at = np.arange(len(faces)), faces
        corners = self.apex[self.dim][faces][:, None]
        planes = self.cx._store.planes(0)
        for d in range(self.dim, 0, -1):
            ptr, idx = self.below[d]
            counts = ptr[at + 1] - ptr[at]
            rows = np.repeat(np.arange(len(at)), counts)
            facet = idx[np.repeat(ptr[at] - np.cumsum(counts) + counts, counts) + np.arange(len(rows))]
            mine = planes[corners[rows, -1]] & ~self.cx._store.planes(d - 1)[facet]
            kept = np.flatnonzero((mine != 0).any(axis=1))
            rows, at = rows[kept], facet[kept]
            owner = owner[rows]
            corners = np.concatenate([corners[rows], self.apex[d - 1][at][:, None]], axis=1)
            if len(at) > MOST:
                heed("the check of volumes")
        return corners, owner

    def volumes(self, corners: IntArray, owner: IntArray, count: int) -> tuple[FloatArray, FloatArray]:
        """Sums (count,) of the volumes of simplices, and bounds of their errors."""
        points, errors = self.cx.vertices, self.cx.vertex_errors
        n0, k = points.shape[1], self.dim
        with np.errstate(all="ignore"):
            rows = points[corners[:, 1:]] - points[corners[:, :1]]
            size = np.linalg.norm(rows, axis=2)
            off = math.sqrt(n0) * (errors[corners[:, 1:]] + errors[corners[:, :1]])
            off = off * (1 + 1e-9) + (16 * n0 * k + 32) * UNIT * (size + np.abs(points[corners[:, :1]]).max(axis=2))
            scale = size.max(axis=1, initial=0.0)
            factor = (
                np.linalg.qr((rows / scale[:, None, None]).swapaxes(1, 2), mode="r")
                if len(rows)
                else np.zeros((0, k, k))
            )
            whole = np.abs(np.diagonal(factor, axis1=1, axis2=2)).prod(axis=1) * scale**k
            others = np.stack([np.delete(size + off, i, axis=1).prod(axis=1) for i in range(k)], axis=1)
            slack = (off * others).sum(axis=1) * (1 + 1e-9)
            total = np.bincount(owner, weights=whole, minlength=count) / math.factorial(k)
            error = np.bincount(owner, weights=slack, minlength=count) / math.factorial(k) * (1 + 1e-9)
            error += (len(owner) + 8) * UNIT * total
        return total, np.where(np.isfinite(error) & np.isfinite(total), error, np.inf)

    def exact(self, corners: IntArray) -> Fraction:
        """The square of the sum of the volumes, in rationals.

        All simplices lie in one flat, so that their images along some coordinates are smaller by one factor.
        """
        vertices = np.unique(corners)
        points: Array = self.cx.exact_vertices(vertices)
        at = np.searchsorted(vertices, corners)
        edges = points[at[0][1:]] - points[at[0][0]]
        along = list(rref(edges)[1])
        total = Fraction(0)
        for row in at:
            total += abs(determinant(points[row[1:]][:, along] - points[row[0], along]))
        factor = determinant(exact_product(edges, edges.T)) / determinant(edges[:, along]) ** 2
        return (total / math.factorial(self.dim)) ** 2 * factor
