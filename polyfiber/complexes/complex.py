"""The canonical complex of a ReLU network: faces, geometry and evidence."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .. import words
from .._lazy import above
from .._once import given, once
from .._typing import Array, BoolArray, FloatArray, IdArray, IntArray, SignArray
from .._values.checked import dimension_of, flag, id_within, ids_within, points_of, shown, whole
from .._values.read_only import read_only
from ..budget import Budget, heed, within_budget
from ..columns import Columns
from ..domain import Polyhedron
from ..errors import BudgetExceededError, InputError
from ..kernels.complexes import faces as fk
from ..kernels.complexes.skeleton import PORTION
from ..network.model import ReLUNetwork
from ..numerics.directions import extreme_directions
from ..numerics.floats import nearest
from ..numerics.polyhedra import LargestBall
from ..numerics.rounding import LEAST, UNIT, gamma
from ..strata import SignOrder, Stratification
from .answers import AffineMaps, DualGraph, HRepresentation, Lipschitz, VRepresentation
from .certificate import Certificate
from .geometry import affine_maps_of, forms_of, lineality_basis, locate_signs, map_errors, norms_along, norms_of
from .lattice.build import LatticeSkeleton
from .lattice.merge_walls import MergedWall
from .lattice.store import LatticeStore
from .metric import (
    certain_interior_points,
    exact_directions,
    exact_interior_points,
    region_ball,
    region_distance,
    rounded_ball,
    system,
)
from .polytopes import Polytopes
from .skeleton.arrays import Frame
from .skeleton.build import BuildStats, Skeleton
from .skeleton.faces import FaceStore
from .skeleton.lifts import Lift

if TYPE_CHECKING:
    from .breakpoints.simple import BreakpointComplex
    from .topology.critical import CriticalPoints, Persistence
    from .topology.images import Image
    from .topology.sets import PolyhedralSet


class _Labels:
    """Sign labels of all faces, made a few rows at a time."""

    dtype = np.dtype(np.int8)

    def __init__(self, store: FaceStore) -> None:
        self._store = store
        self._offsets = np.concatenate([[0], np.cumsum(store.counts)]).astype(np.int64)
        self.shape = (int(self._offsets[-1]), store.n_bits)

    def rows(self, ids: Array) -> SignArray:
        ids = np.asarray(ids, dtype=np.int64)
        out = np.empty((len(ids), self.shape[1]), dtype=np.int8)
        dims = np.searchsorted(self._offsets, ids, side="right") - 1
        for d in np.unique(dims):
            mine = dims == d
            out[mine] = self._store.to_signs(self._store.planes(int(d))[ids[mine] - self._offsets[d]])
        return out


class PolyhedralComplex:
    """Canonical complex of a ReLU network; made by `canonical_complex`.

    Faces of a dimension are numbered from 0; in `strata` the ids of dimension k start at
    ``f_0 + … + f_{k-1}``. Tables of a dimension are made when they are first asked for.
    Where the walls leave directions free (first layer narrower than the input) everything is
    counted in the essential quotient, and ``lineality_dimension`` says what was divided out.

    Examples
    --------
    >>> import polyfiber as pf
    >>> cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 3, 1), rng=0))
    >>> cx.f_vector
    (3, 9, 7)
    >>> print(cx.sentence)
    The network has 7 regions on all of R^2; the enumeration is complete and every sign is certified.
    """

    def __init__(self, frame: Frame, skeleton: Skeleton, *, merged: tuple[MergedWall, ...] = ()) -> None:
        self._frame = frame
        self._skeleton = skeleton
        self._store = face_source(skeleton)
        self._lock = self._store._lock
        self._kept: dict[str, Any] = {}
        self._polytopes: Polytopes | None = None
        self.merged = merged

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles hold the skeleton; tables are made again when they are asked for."""
        with self._lock:
            if self.dimension:
                _ = self._store.up  # what is open about heights is decided
            return _restored, (self._frame, self._skeleton, self.merged)

    # ---- what it is -------------------------------------------------------------------------
    @property
    def network(self) -> ReLUNetwork:
        """The network whose complex this is."""
        return self._frame.network

    @property
    def domain(self) -> Polyhedron | None:
        """The domain; None for all of Rⁿ."""
        return self._frame.domain

    @property
    def dimension(self) -> int:
        """Dimension d of the essential quotient, that of the regions there."""
        return self._frame.n

    @property
    def lineality_dimension(self) -> int:
        """Dimension of the space of directions that no wall cuts."""
        return self._frame.lineality

    @once
    def f_vector(self) -> tuple[int, ...]:
        """``(f_0, …, f_d)``: faces of each dimension of the essential quotient."""
        return self._store.counts

    @property
    def is_simple(self) -> bool:
        """Whether it was built as that of a generic network: every k-face on exactly d - k walls."""
        return self._store.simple

    @property
    def n_regions(self) -> int:
        """Number of regions, ``f_d``."""
        return self.f_vector[-1]

    @property
    def euler_characteristic(self) -> int:
        """``sum (-1)^k f_k``; (-1)^d on Rⁿ, 1 on a bounded domain."""
        return sum((-1) ** k * c for k, c in enumerate(self.f_vector))

    @property
    def stats(self) -> BuildStats:
        """How the decisions of the build were made, and how long it took."""
        return self._skeleton.stats

    @property
    def certificate(self) -> Certificate:
        """Evidence that the complex is right and whole; ``.verify()`` checks it anew."""
        return Certificate.of(self)

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        widths = words.widths(self.network.architecture)
        where = "R^" + str(self.network.architecture[0]) if self.domain is None else repr(self.domain)
        extent = "a closed block" if self._skeleton.is_block else "complete"
        return words.short(f"PolyhedralComplex({widths} on {where}, f = {self.f_vector}, {extent})")

    def fingerprint(self, dim: int) -> tuple[int, int]:
        """Order-independent fingerprint of the sign vectors of one dimension (two 64-bit sums)."""
        return self._store.fingerprint(dimension_of(dim, self.dimension))

    # ---- faces ------------------------------------------------------------------------------
    @within_budget
    def materialize(self, dims: Any = None, *, budget: Budget | None = None) -> PolyhedralComplex:
        """Write the faces of the given dimensions (all by default) in one pass; returns itself."""
        every = range(self.dimension + 1)
        if dims is not None:
            every = ids_within(dims, self.dimension + 1, "dimensions").tolist()
        self._store.materialize(list(every))
        return self

    @within_budget
    def signs(self, dim: int, *, budget: Budget | None = None) -> SignArray:
        """Sign vectors of the faces of a dimension.

        Returns
        -------
        (f_dim, N + D) int8
            Columns: hidden neurons layer by layer, then domain facets (0 or 1).
        """
        planes = self._store.planes(dimension_of(dim, self.dimension))
        return self._store.to_signs(planes)

    def table(self, rows: Literal["regions", "facets", "vertices"] = "regions") -> Columns:
        """Regions, visible facets or vertices as columns, to be handed to pandas, Arrow or xarray.

        Parameters
        ----------
        rows : {'regions', 'facets', 'vertices'}
            One row a region (signs, affine map), a facet across which the function bends (neuron, weight, normal, the
            regions on both sides) or a vertex (coordinates, their error, signs).

        Examples
        --------
        >>> import polyfiber as pf
        >>> cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 3, 1), rng=0))
        >>> cx.table("vertices")
        Columns(3 rows, one a vertex: x, error, signs)
        >>> cx.table("regions")["A"].shape
        (7, 1, 2)
        """
        found: Columns = above("complexes.tables:table")(self, rows)
        return found

    @property
    def sentence(self) -> str:
        """How many regions there are, and that none is missing."""
        where = words.place(self.domain, self.network.architecture[0])
        if self._skeleton.is_block:
            return f"A closed block with {words.count(self.n_regions, 'region')}, a part of the complex {where}; every sign is certified."
        return f"The network has {words.count(self.n_regions, 'region')} {where}; the enumeration is complete and every sign is certified."

    def iter_signs(self, dim: int, *, rows: int = 1 << 16) -> Iterator[SignArray]:
        """The same in pieces of at most ``rows`` rows."""
        planes, rows = self._store.planes(dimension_of(dim, self.dimension)), whole(rows, "rows", least=1)
        for start in range(0, len(planes), rows):
            yield self._store.to_signs(planes[start : start + rows])

    @once
    def strata(self) -> Stratification:
        """The faces as a `Stratification`: labels, dimensions, order, covers both ways."""
        self._store.check_rows(list(range(self.dimension + 1)))
        dims = np.repeat(np.arange(self.dimension + 1), self.f_vector)
        return Stratification(
            _Labels(self._store),
            dims,
            order=SignOrder(),
            ambient_dim=self.dimension,
            complete=True,
            covers_above=partial(_all_covers, self._store),
        )

    # ---- points -----------------------------------------------------------------------------
    @once
    def _finite(self) -> IntArray:
        """Skeleton vertices that are not at infinity, in the order of dimension 0."""
        sk = self._skeleton
        return np.flatnonzero(sk.state.at_inf[: sk.nv] < 0)

    @once
    def _finite_index(self) -> IntArray:
        index = np.full(self._skeleton.nv, -1, dtype=np.int64)
        index[self._finite] = np.arange(len(self._finite))
        return index

    @once
    def _lift(self) -> Lift | None:
        """What makes inputs of quotient coordinates; None where these are the inputs."""
        return None if self.dimension == self.network.architecture[0] else Lift.of(self._frame)

    def _exact_directions(self, ends: IntArray) -> Array:
        """Exact directions (m, n0) of skeleton vertices at infinity."""
        found: Array = exact_directions(self, ends)
        return found

    @given
    def lineality(self) -> FloatArray:
        """Orthonormal basis (n0 - d, n0) of the directions that no wall cuts."""
        return lineality_basis(self._frame)

    @given
    def _points(self) -> tuple[FloatArray, FloatArray]:
        """`vertices` and `vertex_errors`."""
        if self.dimension == 0:
            x, err = np.zeros((1, 0)), np.zeros(1)
        else:
            self._solve_all()
            with self._lock:
                st = self._skeleton.state
                x, err = np.ascontiguousarray(st.x[self._finite]), np.ascontiguousarray(st.err[self._finite])
        return (x, err) if self._lift is None else self._lift.surely(x, err, self.exact_vertices)

    @property
    def vertices(self) -> FloatArray:
        """(f_0, n0): the point of least norm of each minimal face, in the order of ``signs(0)``.

        Computed on first use, by one n x n solve per vertex with a certified error bound
        (`vertex_errors`), in rationals where floats tell too little; the build only needs coordinates that are good
        enough for signs.
        """
        return self._points[0]

    @property
    def vertex_errors(self) -> FloatArray:
        """(f_0,) bounds of the errors of `vertices` (maximum norm); infinite where a coordinate is beyond floats."""
        return self._points[1]

    @within_budget
    def sharpened(
        self, vertices: Array, *, rtol: float = 1e-14, budget: Budget | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Points (m, n0) and error bounds (m,) of some vertices, better than ``rtol``: by rationals where it takes
        that.
        """
        rows = ids_within(vertices, self.f_vector[0], "vertices")
        if not (isinstance(rtol, Real) and 0 <= rtol <= 1):
            raise InputError(f"rtol must be a number >= 0, found {shown(rtol)}")
        if self.dimension == 0:
            return self.vertices[rows], self.vertex_errors[rows]
        self._solve_all()
        chosen = self._finite[rows]
        with self._lock:
            self._skeleton.sharpen(chosen, rtol=rtol)
            x, err = self._skeleton.state.x[chosen], self._skeleton.state.err[chosen]
        if self._lift is None:
            return x, err
        return self._lift.surely(x, err, lambda lost: self.exact_vertices(rows[lost]), rtol=max(rtol, 4 * UNIT))

    @within_budget
    def exact_vertices(self, vertices: Array | None = None, *, budget: Budget | None = None) -> Array:
        """The same points as `vertices` (all by default, or these rows) as Fractions, (m, n0) of dtype object.

        One rational solve for each.
        """
        rows = np.arange(self.f_vector[0]) if vertices is None else ids_within(vertices, self.f_vector[0], "vertices")
        full = np.full((len(rows), self.network.architecture[0]), Fraction(0), dtype=object)
        if self.dimension:
            for i, row in enumerate(rows.tolist()):
                try:
                    heed("exact coordinates")
                except BudgetExceededError as error:
                    error.partial = self._frame.lifted(full[:i])
                    raise
                full[i, self._frame.columns] = self._exact_points(row)
        return self._frame.lifted(full)

    def _exact_points(self, vertex: int) -> list[Fraction]:
        """Exact quotient coordinates (d,) of a vertex."""
        with self._lock:
            return list(self._skeleton._exact_point(int(self._finite[vertex]))[0])

    def _solve_all(self) -> None:
        _ = self._solved

    @once
    def _solved(self) -> bool:
        """Whether every vertex has been solved directly: so it is, once this is asked."""
        if self.dimension == 0:
            return True
        everything = np.arange(self._skeleton.nv, dtype=np.int64)
        for start in range(0, len(everything), PORTION):
            heed("solving vertices")
            self._skeleton.refine(everything[start : start + PORTION])
        self._skeleton.sharpen(everything)
        return True

    @once
    def _edges(self) -> IntArray:
        return self._store.edge_ends() if self.dimension else np.empty((0, 2), dtype=np.int64)

    @given
    def edges(self) -> IntArray:
        """(f_1, 2) vertex ids of each edge, in the order of ``signs(1)``; second -1 for a ray."""
        result: IntArray = self._finite_index[self._edges]
        return result

    @given
    def rays(self) -> tuple[IntArray, FloatArray]:
        """Edge ids (r,) and unit directions (r, n0) of the unbounded edges, each within 1e-9 of the true one."""
        if self.dimension == 0:
            return np.zeros(0, dtype=np.int64), np.zeros((0, self.network.architecture[0]))
        self._solve_all()
        ids = np.flatnonzero(self.edges[:, 1] < 0)
        ends = self._edges[ids, 1]
        with self._lock:
            self._skeleton.sharpen(ends, rtol=1e-10)  # they have no bounds beside them
            x, err = self._skeleton.state.x[ends], self._skeleton.state.err[ends]
        if self._lift is None:
            x = x / np.abs(x).max(axis=1, keepdims=True)
            return ids, x / np.linalg.norm(x, axis=1, keepdims=True)
        return ids, self._lift.surely_directions(x, err, lambda lost: self._exact_directions(ends[lost]))

    def is_unbounded(self, dim: int) -> BoolArray:
        """Whether each face of a dimension is unbounded in the essential quotient."""
        return read_only(self._store.unbounded(dimension_of(dim, self.dimension)))

    @within_budget
    def interior_points(self, dim: int | None = None, *, exact: bool = False, budget: Budget | None = None) -> Array:
        """A point in the relative interior of each face: near the mean of its vertices plus its rays.

        Returns (f_dim, n0) float64: a point at which every neuron and every inequality that is not zero on the face
        certainly has the face's sign; of a region, it lies in the open cell. nan where no such float was found, as in
        cells thinner than rounding. With ``exact`` Fractions, which lie in every face exactly.
        """
        d = self.dimension if dim is None else dimension_of(dim, self.dimension)
        return exact_interior_points(self, d) if flag(exact, "exact") else certain_interior_points(self, d)

    # ---- functions --------------------------------------------------------------------------
    @within_budget
    def affine_maps(self, regions: Any = None, *, budget: Budget | None = None) -> AffineMaps:
        """The affine map of each region.

        Parameters
        ----------
        regions : ids, optional
            All regions by default.

        Returns
        -------
        AffineMaps
            A named tuple: ``A`` (m, nL, n0) and ``a`` (m, nL), float64; ``f(x) = A x + a`` on the region.

        Examples
        --------
        >>> import polyfiber as pf
        >>> cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 4, 1), rng=0))
        >>> maps = cx.affine_maps()
        >>> maps
        AffineMaps(A=array 11x1x2, a=array 11x1)
        >>> A, a = maps
        """
        planes = self._store.planes(self.dimension)
        if regions is not None:
            planes = planes[self._region_ids(regions)]
        return AffineMaps(*affine_maps_of(self._frame, planes))

    def _region_ids(self, regions: Any) -> IntArray:
        return ids_within(regions, self.n_regions, "regions")

    def _region_id(self, region: Any) -> int:
        return id_within(region, self.n_regions, "region")

    @within_budget
    def lipschitz(self, ord: float = 2, *, budget: Budget | None = None) -> Lipschitz:
        """Exact Lipschitz constant on the domain: the largest operator norm over the regions.

        On a flat domain steps along the flat count.

        Parameters
        ----------
        ord : 1, 2 or numpy.inf
            On a flat that is not parallel to coordinate axes the norm of 1 or infinity is the largest over the extreme
            directions of the flat's unit ball, of which there may be too many.

        Raises
        ------
        InputError
            Too many of them (`polyfiber.numerics.directions`).
        """
        if not (isinstance(ord, Real) and ord in (1, 2, np.inf)):
            raise InputError(f"ord must be 1, 2 or inf, found {shown(ord)}")
        hull, along = self._frame.hull, None
        if hull is not None and not hull.is_straight and ord != 2:
            along = nearest(extreme_directions(hull.steady.lift[:, :-1], ord))
        best, where, size = 0.0, 0, 0.0
        off = np.zeros((self.network.architecture[-1], self.network.architecture[0]))
        n0, n_out = self.network.architecture[0], self.network.architecture[-1]
        step = max(1, (1 << 22) // max(1, max(n0, 0 if along is None else len(along)) * n_out))
        for start in range(0, self.n_regions, step):
            try:
                heed("the affine maps")
            except BudgetExceededError as error:
                error.partial = Lipschitz(best, where, float(ord), np.inf)
                raise
            A, _ = self.affine_maps(np.arange(start, min(self.n_regions, start + step)))
            off = np.maximum(off, map_errors(self._frame, A))
            norms = norms_of(A, ord) if along is None else norms_along(A, ord, along)
            i = int(np.argmax(norms))
            if norms[i] > best:
                best, where = float(norms[i]), start + i
            if along is not None:
                size = max(size, float(norms_of(A, ord).max()))
        with np.errstate(over="ignore", invalid="ignore"):
            error = (
                float(norms_of(off[None], ord)[0]) + max(best, size) * (sum(off.shape) + 16) * gamma(8) + 2**14 * LEAST
            )
        return Lipschitz(best, where, float(ord), error if np.isfinite(error) else np.inf)

    @within_budget
    def locate(self, X: Any, *, budget: Budget | None = None) -> IntArray:
        """Region of each point.

        Parameters
        ----------
        X : (…, n0) float64

        Returns
        -------
        (…) int64
            Region ids; a point on a wall gets the smallest id of the regions around it, a point
            outside the domain -1. Signs that rounding could change are decided exactly.
        """
        points = points_of(X, self.network.architecture[0])
        flat = points.reshape(-1, points.shape[-1])
        signs = locate_signs(self._frame, flat, self._skeleton.predicate)
        ids = np.full(len(flat), -1, dtype=np.int64)
        inside = (signs >= 0)[:, self._frame.n_neurons :].all(axis=1)
        whole = inside & (signs != 0).all(axis=1)
        if whole.any():
            ids[whole] = self._store.find(self.dimension, self._store.to_planes(signs[whole]))
        for i in np.flatnonzero(inside & ~whole):
            ids[i] = self._region_near(signs[i])
        return ids.reshape(points.shape[:-1])

    def _region_near(self, row: SignArray) -> int:
        dim, face = self._store.face_of(row)
        rows = np.array([face])
        for d in range(dim, self.dimension):
            if face < 0 or not len(rows):
                return -1
            indptr, indices = self._store.covers_above(d)
            rows = np.unique(np.concatenate([indices[indptr[r] : indptr[r + 1]] for r in rows]))
        return int(rows.min()) if len(rows) else -1

    # ---- regions ----------------------------------------------------------------------------
    @given
    def _facet_sides(self) -> tuple[IntArray, IdArray]:
        """CSR: facets (rows of dimension d - 1) of each region."""
        indptr, indices = self._store.covers_above(self.dimension - 1)
        source = np.repeat(np.arange(len(indptr) - 1, dtype=np.int32), np.diff(indptr))
        order = np.argsort(indices, kind="stable")
        counts = np.bincount(indices, minlength=self.n_regions)
        return np.concatenate([[0], np.cumsum(counts)]), source[order]

    def facets_of(self, region: int) -> IdArray:
        """Facets (rows of dimension d - 1) of a region."""
        r = self._region_id(region)
        if self.dimension == 0:
            return np.zeros(0, dtype=np.int32)
        indptr, indices = self._facet_sides
        return indices[indptr[r] : indptr[r + 1]]

    def h_representation(self, region: int, *, exact: bool = False) -> HRepresentation:
        """Irredundant inequalities of a region, known from the complex without an LP; on a flat domain those within the
        flat.

        Rounded to floats; what that does grows with the coordinates. With ``exact`` they are Fractions, which every
        exact vertex fulfils.

        Examples
        --------
        >>> import polyfiber as pf
        >>> cx = pf.canonical_complex(pf.ReLUNetwork([[[1, 3]], [[1]]], [[1], [0]]))
        >>> h = cx.h_representation(0, exact=True)
        >>> h.A.tolist(), h.b.tolist()
        ([[Fraction(1, 1), Fraction(3, 1)]], [Fraction(-1, 1)])
        """
        r = self._region_id(region)
        if flag(exact, "exact"):
            columns = self.h_representation(r).facets
            rows = np.array(system(self, r)[1], dtype=object).reshape(len(columns), self.network.architecture[0] + 1)
            return HRepresentation(-rows[:, :-1], rows[:, -1], columns)
        facets = self.facets_of(r)
        store, frame = self._store, self._frame
        own = store.to_signs(store.planes(self.dimension)[r : r + 1])[0]
        walls = store.to_signs(store.planes(self.dimension - 1)[facets]) if len(facets) else np.zeros((0, len(own)))
        columns = np.array([int(np.flatnonzero((w == 0) & (own != 0))[0]) for w in walls], dtype=np.int64)
        forms = forms_of(frame, store.planes(self.dimension)[r], columns)
        signed = -forms * own[columns][:, None]
        return HRepresentation(signed[:, :-1], -signed[:, -1], columns)

    def v_representation(self, region: int) -> VRepresentation:
        """Vertices and rays of a region."""
        r = self._region_id(region)
        store = self._store
        if self.dimension == 0:
            return VRepresentation(
                self.vertices, np.zeros((0, self.vertices.shape[1])), self.lineality, np.zeros(1, int)
            )
        top = store.planes(self.dimension)
        mine = np.empty(self.f_vector[0], dtype=np.bool_)
        fk.in_closure(top, r, store.planes(0), mine)
        ids = np.flatnonzero(mine)
        ray_ids, directions = self.rays
        rays = np.empty(len(ray_ids), dtype=np.bool_)
        fk.in_closure(top, r, np.ascontiguousarray(store.planes(1)[ray_ids]), rays)
        return VRepresentation(self.vertices[ids], directions[rays], self.lineality, ids)

    @within_budget
    def largest_ball(self, region: int, *, budget: Budget | None = None) -> LargestBall:
        """A largest ball in a region: exact centre, a radius that holds about it, and a bound of every other's.

        On a flat domain, and with lineality, the ball in the flat. Floats guess the centre; an exact linear program
        over the walls next to it proves that no ball is larger than ``upper``. Tens of milliseconds a region in few
        dimensions.

        Examples
        --------
        >>> import polyfiber as pf
        >>> cx = pf.canonical_complex(pf.ReLUNetwork([[[1, 0]], [[1]]], [[0], [0]]), pf.Box([-1, -1], [1, 1]))
        >>> ball = cx.largest_ball(0)
        >>> ball.radius <= 0.5 <= ball.upper, ball.upper - ball.radius < 1e-12
        (True, True)
        """
        return region_ball(self, self._region_id(region))

    def chebyshev_center(self, region: int) -> tuple[FloatArray, float]:
        """Centre (n0,) and radius of the largest ball in a region (inf where there is none); see `largest_ball`.

        The ball of this radius about this centre lies in the region; a larger one may exist by rounding alone.
        """
        return rounded_ball(self.largest_ball(region))

    def distance(self, x: Any, region: int) -> tuple[float, FloatArray]:
        """Euclidean distance of a point to a closed region, and the nearest point.

        Both are exact numbers, rounded once: floats guess the walls that matter, rationals prove that no point is
        nearer.
        """
        return region_distance(self, x, self._region_id(region))

    @property
    def polytopes(self) -> Polytopes:
        """All regions as polytopes, in columns: inequalities, vertices, rays, volumes."""
        with self._lock:
            if self._polytopes is None:
                # of another view of the same columns: a cycle of references would keep the memory of finished work
                view: PolyhedralComplex = object.__new__(type(self))
                view.__dict__.update(self.__dict__)
                self._polytopes = Polytopes(view)
            return self._polytopes

    @given
    def dual_graph(self) -> DualGraph:
        """Regions joined by the facets they share."""
        if self.dimension == 0:
            empty = np.zeros(0, dtype=np.int32)
            return DualGraph(np.zeros(2, dtype=np.int64), empty, empty)
        indptr, indices = self._store.covers_above(self.dimension - 1)
        two = np.flatnonzero(np.diff(indptr) == 2)
        a, b = indices[indptr[two]], indices[indptr[two] + 1]
        source = np.concatenate([a, b])
        target = np.concatenate([b, a])
        facet = np.concatenate([two, two]).astype(np.int32)
        order = np.lexsort((target, source))
        counts = np.bincount(source, minlength=self.n_regions)
        return DualGraph(np.concatenate([[0], np.cumsum(counts)]), target[order], facet[order])

    @within_budget
    def volumes(self, dim: int | None = None, *, exact: bool = False, budget: Budget | None = None) -> Array:
        """Volume of each bounded region; inf for unbounded ones.

        Parameters
        ----------
        exact : bool
            Work out every volume as a `Fraction`; much slower.

        Returns
        -------
        (f_d,) float64, or object with Fractions
            In input units to the power d. Sums pyramids over the facets, face by face up the
            lattice; see `polyfiber.complexes.polytopes`. The errors are within `volume_errors`, so on a bounded
            domain the volumes add up to the domain's within the sum of these.

        Raises
        ------
        InputError
            For lower faces; or ``exact`` on a flat domain that does not lie along coordinate axes.
        """
        if dim is not None and dimension_of(dim, self.dimension) != self.dimension:
            raise InputError("volumes are of regions; lower faces have none in the input space")
        self._store.check_rows([self.dimension])
        if self.lineality_dimension:
            return np.full(self.n_regions, np.inf)
        if not flag(exact, "exact"):
            return self.polytopes.sizes(self.dimension)
        out = np.full(self.n_regions, np.inf, dtype=object)
        for region in np.flatnonzero(~self.is_unbounded(self.dimension)).tolist():
            try:
                heed("exact volumes")
            except BudgetExceededError as error:
                error.partial = out[:region]
                raise
            out[region] = self.polytopes.exact_size(region)
        return out

    @property
    def volume_errors(self) -> FloatArray:
        """(f_d,) bounds of the errors of `volumes`; 0 where they are infinite."""
        self._store.check_rows([self.dimension])
        if self.lineality_dimension:
            return np.zeros(self.n_regions)
        return self.polytopes.size_errors(self.dimension)

    # ---- derived complexes ------------------------------------------------------------------
    @within_budget
    def breakpoint_complex(self, *, budget: Budget | None = None) -> BreakpointComplex:
        """Facets where the function bends, with their weights."""
        found: BreakpointComplex = above("complexes.breakpoints.shared_walls:breakpoints_of")(self)
        return found

    def level_set(self, value: Any = 0, output: Any = 0, *, budget: Budget | None = None) -> PolyhedralSet:
        """The set where an output has a value, as a polyhedral complex of its own.

        Nothing is enumerated again: signs of ``f - value`` at the vertices and far out on the rays say which faces are
        met, and how the pieces hang together follows from the faces. A cell on which the output is constant and equal
        to the value belongs to the set whole.

        Parameters
        ----------
        value : number or sequence of numbers
            Floats or Fractions, taken exactly.
        output : int or sequence of int
            Several outputs with as many values: the intersection.
        budget : Budget, optional

        Raises
        ------
        InputError
            A value that is not finite, an output that does not exist, a network without hidden layers.

        Examples
        --------
        >>> import polyfiber as pf
        >>> cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 8, 6, 1), rng=0))
        >>> curve = cx.level_set(0.0)
        >>> curve.f_vector, curve.betti_numbers("borel-moore")
        ((9, 11), (0, 2))
        """
        found: PolyhedralSet = above("complexes.topology.build:level_set")(self, value, output, budget=budget)
        return found

    def sublevel_set(self, value: Any = 0, output: Any = 0, *, budget: Budget | None = None) -> PolyhedralSet:
        """The set where an output is at most a value; arguments as in `level_set`."""
        found: PolyhedralSet = above("complexes.topology.build:level_set")(
            self, value, output, keep=(-1, 0), budget=budget
        )
        return found

    def superlevel_set(self, value: Any = 0, output: Any = 0, *, budget: Budget | None = None) -> PolyhedralSet:
        """The set where an output is at least a value; arguments as in `level_set`."""
        found: PolyhedralSet = above("complexes.topology.build:level_set")(
            self, value, output, keep=(0, 1), budget=budget
        )
        return found

    def decision_boundary(self, *, budget: Budget | None = None) -> PolyhedralSet:
        """Where two or more classes tie for the largest output; with one output, where it is zero.

        Cells are labelled by the tying classes, see `PolyhedralSet.classes`. Walls of classes that lose divide nothing.
        """
        found: PolyhedralSet = above("complexes.topology.build:decision_boundary")(self, budget=budget)
        return found

    def class_region(self, label: int, *, budget: Budget | None = None) -> PolyhedralSet:
        """Where a class attains the largest output; with one output, class 0 is ``f <= 0`` and class 1 is
        ``f >= 0``.
        """
        found: PolyhedralSet = above("complexes.topology.build:class_region")(self, label, budget=budget)
        return found

    def critical_points(self, output: int = 0, *, budget: Budget | None = None) -> CriticalPoints:
        """Vertices inside the domain where an output is critical, with their indices; degenerate ones are named.

        Examples
        --------
        >>> import polyfiber as pf
        >>> tent = pf.ReLUNetwork([[[1, 0], [-1, 0], [0, 1], [0, -1]], [[1, 1, 1, 1]]], [[0] * 4, [0]])
        >>> pf.canonical_complex(tent, pf.Box([-1, -1], [1, 1])).critical_points().counts  # |x| + |y|: one minimum
        (1,)
        """
        found: CriticalPoints = above("complexes.topology.critical:critical_points")(self, output, budget=budget)
        return found

    def persistence(self, output: int = 0, *, budget: Budget | None = None) -> Persistence:
        """Births and deaths of the homology of the sublevel sets of an output on a bounded domain, over two elements.

        Vertices that floats cannot order are compared as rationals. Raises `InputError` where the domain is unbounded.
        """
        found: Persistence = above("complexes.topology.critical:sublevel_persistence")(self, output, budget=budget)
        return found

    def image(self, *, budget: Budget | None = None) -> Image:
        """The polytope that the network maps each region to: images of its vertices and of its rays, and their
        dimensions.

        Examples
        --------
        >>> import polyfiber as pf
        >>> shown = pf.canonical_complex(pf.ReLUNetwork([[[1], [-1]], [[1, 1], [1, 0]]], [[0, 0], [0, 0]])).image()  # (|x|, relu x)
        >>> shown.rank.tolist(), shown.directions[0].tolist()
        ([1, 1], [[1.0, 0.0]])
        """
        found: Image = above("complexes.topology.images:image")(self, budget=budget)
        return found

    def preimage(self, target: Polyhedron, *, budget: Budget | None = None) -> PolyhedralSet:
        """The inputs whose outputs lie in a `Box` or `Polyhedron`, as a polyhedral complex of its own."""
        found: PolyhedralSet = above("complexes.topology.images:preimage")(self, target, budget=budget)
        return found

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw it: the graph of one input, the regions of two, a plane through more; options as in
        `polyfiber.plots.plot_complex`.
        """
        return above("plots.complexes:plot_complex")(self, ax=ax, **options)

    def _repr_html_(self) -> str:
        text: str = above("pages.notebook:html_of")(self)
        return text

    @within_budget
    def save(self, path: Any, *, budget: Budget | None = None) -> None:
        """Write a versioned archive that `PolyhedralComplex.load` reads without recomputing.

        Parameters
        ----------
        path : str or Path
            ``.npz``, or ``.zarr`` for a Zarr group (extra ``zarr``). What is there already is replaced, when it is
            whole.

        Raises
        ------
        InputError
            Another suffix, or a place that cannot be written to.
        """
        above("complexes.archive:save_complex")(self, path)

    @classmethod
    def load(cls, path: Any) -> PolyhedralComplex:
        """Read an archive written by `save`."""
        loaded: PolyhedralComplex = above("complexes.archive:load_complex")(path)
        return loaded


def _restored(frame: Frame, skeleton: Skeleton, merged: tuple[MergedWall, ...]) -> PolyhedralComplex:
    return PolyhedralComplex(frame, skeleton, merged=merged)


def _all_covers(store: FaceStore) -> tuple[Array, Array]:
    """CSR of the covers above all faces, numbered through all dimensions."""
    store.materialize(list(range(store.n + 1)))
    ptr, idx = [np.zeros(1, dtype=np.int64)], []
    total = 0
    for d in range(store.n + 1):
        indptr, indices = store.covers_above(d)
        ptr.append(indptr[1:] + total)
        idx.append(indices + np.int32(store.offset(d + 1)))
        total += int(indptr[-1])
    return np.concatenate(ptr), np.concatenate(idx)


def face_source(skeleton: Skeleton) -> FaceStore:
    """The tables of faces that fit a skeleton, simple or not."""
    return LatticeStore(skeleton) if isinstance(skeleton, LatticeSkeleton) else FaceStore(skeleton)


__all__ = ["AffineMaps", "DualGraph", "HRepresentation", "Lipschitz", "PolyhedralComplex", "VRepresentation"]
