"""All regions of a complex as polytopes, in columns: inequalities, vertices, rays, volumes.

What `PolyhedralComplex.h_representation` and ``v_representation`` say about one region, for all of them
at once: CSR arrays over regions, made from the covers of the face lattice without an LP and without
comparing regions with vertices.
"""

from __future__ import annotations

import itertools
import math
import operator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from .._once import given, once
from .._typing import BoolArray, FloatArray, IdArray, IntArray
from .._values.read_only import closed, read_only
from ..budget import heed, heed_memory
from ..errors import InputError
from ..kernels import reach
from ..kernels.complexes import polytopes
from ..numerics.exact import determinant
from ..numerics.floats import as_float, nearest, root
from ..numerics.products import exact_product
from ..numerics.rounding import LEAST, UNIT, gamma
from ..words import one_line
from .geometry import facet_forms_of, unit_forms

if TYPE_CHECKING:
    from .complex import PolyhedralComplex

Csr = tuple[IntArray, IdArray]
SHARP = 1e-6
"""Relative bound of a volume above which it is worked out in rational arithmetic."""
COMPOUND = 64
"""Entries of a volume form on a slanted flat up to which that is done: products of forms take as many minors
squared.
"""


@closed
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

    __repr__ = one_line

    indptr: IntArray
    A: FloatArray
    b: FloatArray
    columns: IntArray


def minors(n: int, dim: int) -> tuple[IntArray, IntArray]:
    """The sets of ``dim`` of n coordinates, in order: which set is left without the p-th element, and that element."""
    number = {chosen: i for i, chosen in enumerate(itertools.combinations(range(n), dim - 1))}
    sets = list(itertools.combinations(range(n), dim))
    without = [[number[chosen[:p] + chosen[p + 1 :]] for p in range(dim)] for chosen in sets]
    return np.array(without, dtype=np.int64), np.array(sets, dtype=np.int64)


def _length(vector: list[Fraction], metric: list[list[Fraction]] | None) -> tuple[float, float]:
    """Length of a rational vector as a float, and a bound of its error."""
    if len(vector) == 1 and metric is None:
        length = float(nearest(np.array(vector, dtype=object))[0])
        return abs(length), abs(length) * (2 * UNIT) + LEAST
    if metric is None:
        square = sum((v * v for v in vector), Fraction(0))
    else:
        square = sum((v * sum(map(operator.mul, row, vector)) for v, row in zip(vector, metric)), Fraction(0))
    if square == 0:
        return 0.0, 0.0
    length = as_float(root(square))
    return length, length * gamma(8) + LEAST


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

    __repr__ = one_line

    def __init__(self, cx: PolyhedralComplex) -> None:
        self.complex = cx
        self._lock = cx._lock
        self._kept: dict[str, Any] = {}
        self._sizes: dict[int, tuple[FloatArray, FloatArray]] = {}
        self._forms: dict[int, tuple[FloatArray, FloatArray]] = {}

    # ---- incidences -------------------------------------------------------------------------
    def facets_of(self, dim: int) -> Csr:
        """CSR of the facets of each face of a dimension (rows of dimension ``dim - 1``), ascending."""
        indptr, indices = self.complex._store.covers_above(dim - 1)
        result: Csr = reach.transpose(indptr, indices, self.complex.f_vector[dim])
        return result

    @given
    def facets(self) -> Csr:
        """CSR of the facets of each region; empty rows where nothing is cut."""
        return self._facets

    @once
    def _facets(self) -> Csr:
        """The same as kernels take it: for arrays that are read-only they would be compiled a second time."""
        if self.complex.dimension == 0:
            return np.zeros(2, dtype=np.int64), np.zeros(0, dtype=np.int32)
        return self.facets_of(self.complex.dimension)

    @given
    def vertices(self) -> Csr:
        """CSR of the vertices of each region (rows of ``cx.vertices``), ascending."""
        f = self.complex.f_vector
        own = np.arange(f[0], dtype=np.int32)
        return self._members((np.arange(f[0] + 1), own), 0, f[0])

    @given
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
            ptr, facets = self._facets if d == self.complex.dimension else self.facets_of(d)
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
        ends = self._facets[0][start : stop + 1]
        facets = self._facets[1][ends[0] : ends[-1]]
        if not len(facets):
            return Inequalities(ends - ends[0], np.zeros((0, n0)), np.zeros(0), np.zeros(0, dtype=np.int64))
        top = store.planes(cx.dimension)
        walls = np.empty(len(facets), dtype=np.int64)
        polytopes.incident_walls(
            ends, facets, start, top, store.planes(cx.dimension - 1), frame.n_domain, store.n_bits, walls
        )
        own = np.ascontiguousarray(top[np.repeat(np.arange(start, stop), np.diff(ends))])
        forms = facet_forms_of(frame, own, walls)
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
            Within `size_errors` of the truth. A face whose bound exceeds a millionth of its volume, one thinner than
            the rounding of its vertices, say, is measured in rational arithmetic (on a slanted flat its square is, for
            as many as `COMPOUND` minors). Infinite with an infinite bound where floats hold no answer.
        """
        return self._measured(dim)[0]

    def size_errors(self, dim: int) -> FloatArray:
        """(f_dim,) bounds of the errors of `sizes`; 0 for unbounded faces."""
        return self._measured(dim)[1]

    def exact_size(self, face: int) -> Fraction:
        """The volume of a bounded region as the rational number that it is.

        Raises
        ------
        InputError
            If the complex has lineality, or its domain is flat and does not lie along coordinate axes.
        """
        if self._coordinates[2] is not None:
            raise InputError(
                "exact volumes need regions whose coordinates are inputs; this complex lives on a slanted flat"
            )
        return abs(self._exact_form(self.complex.dimension, int(face), {})[0])

    def _measured(self, dim: int) -> tuple[FloatArray, FloatArray]:
        if dim not in self._sizes:
            with self._lock:
                if dim not in self._sizes:
                    self._sizes[dim] = read_only(self._measure(dim))
        return self._sizes[dim]

    def _measure(self, dim: int) -> tuple[FloatArray, FloatArray]:
        form, bound = self._volume_forms(dim)
        far = self.unbounded(dim)
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            largest = np.abs(form).max(axis=1)
            scaled = form / np.where(largest > 0, largest, 1.0)[:, None]
            size = largest * np.sqrt((scaled**2).sum(axis=1))
            # the length of the vector is off by at most that of its error, and rounding
            error = bound * math.sqrt(form.shape[1]) * (1 + 1e-9) + size * ((form.shape[1] + 4) * (2 * UNIT))
            error = np.where(np.isfinite(size) & np.isfinite(error), error, np.inf)
            poor = ~far & ~(error <= SHARP * size) if dim else np.zeros(len(size), dtype=np.bool_)
        size, error = np.where(far | np.isnan(size), np.inf, size), np.where(far, 0.0, error)
        slanted = self._coordinates[2] is not None
        if not slanted or math.comb(self.complex.dimension, dim) <= COMPOUND:
            known: dict[tuple[int, int], list[Fraction]] = {}
            metric = self._compound(dim) if slanted and poor.any() else None
            for face in np.flatnonzero(poor).tolist():
                heed("exact volumes")
                size[face], error[face] = _length(self._exact_form(dim, face, known), metric)
        return size, error

    def _compound(self, dim: int) -> list[list[Fraction]]:
        """Products of the basis of volume forms: minors of the metric that the quotient has from the inputs, in
        rationals.
        """
        lift = self.complex._frame.lift[:, :-1]
        metric, sets = exact_product(lift.T, lift), minors(self.complex.dimension, dim)[1]
        return [[determinant(metric[np.ix_(p, q)]) for q in sets] for p in sets]

    @once
    def _coordinates(self) -> tuple[FloatArray, FloatArray, FloatArray | None]:
        """Isometric coordinates (f_0, n) of the vertices, bounds (f_0,) of each, and what made them of the
        quotient's.
        """
        cx = self.complex
        if cx.dimension == 0:
            return np.zeros((1, 0)), np.zeros(1), None
        cx._solve_all()
        st, rows = cx._skeleton.state, cx._finite
        x, err = np.ascontiguousarray(st.x[rows]), np.ascontiguousarray(st.err[rows])
        if cx._lift is None:
            return x, err, None
        lift = cx._lift.linear.T
        if np.array_equal(lift @ lift.T, np.eye(cx.dimension)):
            return x, err, None
        turn = np.asarray(np.linalg.qr(lift.T, mode="r")).T
        with np.errstate(over="ignore", invalid="ignore"):
            size = np.abs(x) @ np.abs(turn)
            off = err * np.abs(turn).sum(axis=0).max() + (cx.network.architecture[0] + 8) * gamma(8) * size.max(axis=1)
            return x @ turn, np.where(np.isfinite(off), off, np.inf), turn

    def _volume_forms(self, dim: int) -> tuple[FloatArray, FloatArray]:
        """Volume forms (f_dim, C(n, dim)) and bounds (f_dim,) of their entries; infinite where unbounded."""
        cx = self.complex
        if dim == 0:
            return np.ones((cx.f_vector[0], 1)), np.zeros(cx.f_vector[0])
        if dim not in self._forms:
            lower_form, lower_bound = self._volume_forms(dim - 1)
            store = cx._store
            ptr, facets = self._facets if dim == cx.dimension else self.facets_of(dim)
            bound = np.where(self.unbounded(dim), np.inf, 0.0)
            minor, axis = minors(cx.dimension, dim)
            heed_memory(8 * len(bound) * len(minor), f"the volume forms of dimension {dim}")
            form = np.empty((len(bound), len(minor)))
            points, errors, _ = self._coordinates
            polytopes.pyramids(
                dim, ptr, facets, (store.planes(dim - 1), store.planes(0)), (self._apex(dim), self._apex(dim - 1)),
                points, errors, (minor, axis), polytopes.Volumes(lower_form, lower_bound), polytopes.Volumes(form, bound),
            )  # fmt: skip
            self._forms[dim] = form, bound
            self._forms.pop(dim - 1, None)
        return self._forms[dim]

    def _exact_form(self, dim: int, face: int, known: dict[tuple[int, int], list[Fraction]]) -> list[Fraction]:
        """The volume form of a bounded face in rational numbers, up to its sign."""
        if dim == 0:
            return [Fraction(1)]
        if (dim, face) not in known:
            cx, store = self.complex, self.complex._store
            ptr, facets = self._facets if dim == cx.dimension else self.facets_of(dim)
            minor, axis = (table.tolist() for table in minors(cx.dimension, dim))
            apex = int(self._apex(dim)[face])
            lower, corner = store.planes(dim - 1), store.planes(0)[apex]
            total: list[Fraction] = [Fraction(0)] * len(minor)
            for g in facets[ptr[face] : ptr[face + 1]].tolist():
                if not (corner & ~lower[g]).any():
                    continue
                base = int(self._apex(dim - 1)[g])
                d = [p - q for p, q in zip(cx._exact_points(base), cx._exact_points(apex))]
                form = self._exact_form(dim - 1, g, known)
                part = [
                    sum(((-1) ** p * d[c] * form[m] for p, (m, c) in enumerate(zip(*row))), Fraction(0))
                    for row in zip(minor, axis)
                ]
                along = sum(map(operator.mul, total, part))
                total = [t + (q if along >= 0 else -q) for t, q in zip(total, part)]
            known[dim, face] = [t / dim for t in total]
        return known[dim, face]

    def unbounded(self, dim: int) -> BoolArray:
        """Whether each face of a dimension is unbounded in the essential quotient."""
        return self.complex.is_unbounded(dim)

    def _apex(self, dim: int) -> IntArray:
        cx = self.complex
        result: IntArray = cx._finite_index[cx._store.owner(dim)]
        return result
