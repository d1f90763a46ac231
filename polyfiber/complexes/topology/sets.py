"""Sets given by the outputs, as polyhedral complexes of their own: faces, vertices, rays, labels, topology."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ... import words
from ..._lazy import above
from ..._once import cached_property, given_property
from ..._typing import Array, BoolArray, FloatArray, IntArray, SignArray
from ..._values.checked import unmasked
from ...budget import Budget, Monitor, heed
from ...errors import InputError, ShapeError, old_name
from ...strata import SignOrder, Stratification
from ...words import one_line
from ..build import canonical_complex
from . import homology
from .cells import Cells

if TYPE_CHECKING:
    from ..complex import PolyhedralComplex
    from .distance import Nearest

Support = Literal["bounded", "compactified", "borel-moore"]
SUPPORTS: tuple[Support, ...] = ("bounded", "compactified", "borel-moore")


class PolyhedralSet:
    """A closed set of inputs given by the outputs of a network, as a polyhedral complex.

    Made by `PolyhedralComplex.level_set`, ``sublevel_set``, ``superlevel_set``, ``decision_boundary``,
    ``class_region``,
    ``preimage``, and `BreakpointComplex.as_set`.
    A cell is the part of a face of the canonical complex in which every condition keeps one sign. Ids count from 0 in
    each
    dimension.

    Attributes
    ----------
    complex : PolyhedralComplex
        The canonical complex that was cut. Where outputs change along directions that no wall cuts, that of the network
        with gates ``f - value`` behind the others, read by nothing: they are the last columns of the hidden gates in
        ``signs``.
    description : str
        The set in words.
    keep : tuple of int
        Signs of ``f - value`` that belong to a level, sublevel or superlevel set.
    label : int or None
        The class of a class region.
    kind : 'values', 'classes' or 'breakpoints'
        What its cells are given by.
    """

    def __init__(
        self,
        cells: Cells,
        description: str,
        classes: Sequence[BoolArray] | None = None,
        *,
        keep: tuple[int, ...] = (0,),
        label: int | None = None,
        kind: Literal["values", "classes", "breakpoints"] = "values",
    ) -> None:
        self.complex: PolyhedralComplex = cells.gates.complex
        self.description = description
        self._cells = cells
        self._classes = classes
        self.keep = keep
        self.label = label
        self.kind = "classes" if classes is not None else kind

    # ---- what it is -------------------------------------------------------------------------
    @property
    def dimension(self) -> int:
        """Largest dimension of a cell in the essential quotient; -1 for the empty set."""
        return self._cells.dimension

    @property
    def lineality_dimension(self) -> int:
        """Dimension of the directions along which the set is constant, as in the canonical complex."""
        return self.complex.lineality_dimension

    @property
    def f_vector(self) -> tuple[int, ...]:
        """Number of cells of each dimension; ``()`` for the empty set."""
        return self._cells.counts

    @property
    def _name(self) -> str:
        return f"The set {self.description}" if self.description.startswith("f_") else f"The {self.description}"

    @property
    def sentence(self) -> str:
        """What the set is, and how sure."""
        if self.dimension < 0:
            return f"{self._name} is empty, proved."
        along = self.lineality_dimension
        dimension, cells = self.dimension + along, words.count(sum(self.f_vector), "cell")
        across = f"across the {words.count(along, 'direction')}".replace("1 ", "") + " along which nothing changes"
        if along == self.complex.network.architecture[0]:
            return f"{self._name} is all of R^{along}, proved; the table counts cells {across}, so this is one vertex."
        lineal = f"; the table counts them {across}, so dimensions there are {along} less" if along else ""
        pieces = words.count(self.connected_components()[0], "connected piece")
        return (
            f"{self._name} is {'compact' if self.is_compact else 'not compact'} and has {pieces}, made of {cells} of dimension up to "
            f"{dimension}{lineal}; every cell is certified."
        )

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        return f"PolyhedralSet({self.description}, f = {self.f_vector})"

    def _layer(self, dim: int) -> Any:
        if not _is_whole(dim) or not 0 <= dim <= self.dimension:
            there = f"dimensions 0 to {self.dimension}" if self.dimension >= 0 else "no cells"
            raise InputError(f"dimension {dim!r} does not exist; the set has {there}")
        return self._cells.layers[dim]

    def signs(self, dim: int) -> SignArray:
        """(f_dim, N + D) int8 signs of the hidden neurons and domain facets on the cells of a dimension."""
        result: SignArray = self.complex._store.to_signs(self._layer(dim).planes)
        return result

    def faces(self, dim: int) -> IntArray:
        """(f_dim, 2) the face of the canonical complex, dimension and row, that each cell lies in."""
        planes, store = self._layer(dim).planes, self.complex._store
        out = np.full((len(planes), 2), -1, dtype=np.int64)
        for k in range(dim, self.complex.dimension + 1):
            rest = np.flatnonzero(out[:, 1] < 0)
            if len(rest):
                out[rest, 0], out[rest, 1] = k, store.find(k, planes[rest])
        return out

    def classes(self, dim: int) -> BoolArray:
        """(f_dim, classes) which classes attain the largest output on each cell of a decision boundary or class region.

        Raises
        ------
        InputError
            For a set that is not about classes.
        """
        if self._classes is None:
            raise InputError(f"{self.description} is not about classes; use decision_boundary or class_region")
        self._layer(dim)
        return self._classes[dim].copy()

    @cached_property
    def strata(self) -> Stratification:
        """The cells as a `Stratification`: signs and one column for each condition, dimensions, covers."""
        d = self.dimension
        if d < 0:
            raise InputError("the set is empty: it has no strata")
        labels = [np.concatenate([self.signs(k), self._condition_signs(k)], axis=1) for k in range(d + 1)]
        ptr, idx, start = [np.zeros(1, dtype=np.int64)], [], 0
        total = 0
        for k in range(d + 1):
            p, i = self._below[k]
            ptr.append(np.asarray(p[1:]) + total)
            idx.append(i + (start - self.f_vector[k - 1] if k else 0))
            total += len(i)
            start += self.f_vector[k]
        return Stratification(
            np.concatenate(labels),
            np.repeat(np.arange(d + 1), self.f_vector),
            (np.concatenate(ptr), np.concatenate(idx)),
            order=SignOrder(),
            ambient_dim=self.complex.dimension,
        )

    def _condition_signs(self, dim: int) -> SignArray:
        if self._classes is not None:
            return np.where(self._classes[dim], 0, -1).astype(np.int8)
        result: SignArray = self._layer(dim).gates
        return result

    # ---- points -----------------------------------------------------------------------------
    @given_property
    def vertices(self) -> FloatArray:
        """(f_0, n0) float64 vertices; with lineality the points of least norm. Errors: `vertex_errors`."""
        return self._located[0]

    @given_property
    def _located(self) -> tuple[FloatArray, FloatArray]:
        """`vertices` and `vertex_errors`."""
        owner, count = self.complex, len(self._cells.points)
        if self.dimension < 0 or owner.dimension == 0:
            return owner.vertices[:count].copy(), owner.vertex_errors[:count].copy()
        x, err = self._cells.gates.located(self._cells.points)
        if owner._lift is None:
            return x, err

        def exact(rows: IntArray) -> Array:
            return np.array([self.exact_vertex(i) for i in rows.tolist()], dtype=object)

        return owner._lift.surely(x, err, exact)

    @given_property
    def vertex_errors(self) -> FloatArray:
        """(f_0,) bounds of the errors of `vertices` (maximum norm)."""
        return self._located[1]

    def exact_vertex(self, vertex: int) -> tuple[Fraction, ...]:
        """Rational coordinates (n0) of a vertex; with lineality of the point of least norm."""
        if not _is_whole(vertex) or not 0 <= vertex < len(self._cells.points):
            raise InputError(f"vertex ids lie in 0..{len(self._cells.points) - 1}, found {vertex!r}")
        frame = self.complex._frame
        full = np.full((1, self.complex.network.architecture[0]), Fraction(0), dtype=object)
        if self.complex.dimension:
            full[0, frame.columns] = self._cells.gates.exact(int(self._cells.points[vertex]))[0]
        return tuple(frame.lifted(full)[0])

    @given_property
    def edges(self) -> IntArray:
        """(f_1, 2) vertices of each edge; second -1 for a ray."""
        ends = self._cells.ends
        if not len(ends):
            return np.zeros((0, 2), dtype=np.int64)
        index = np.full(self._cells.gates.n_points, -1, dtype=np.int64)
        index[self._cells.points] = np.arange(len(self._cells.points))
        found = index[ends]
        swap = (found[:, 0] < 0) & (found[:, 1] >= 0)
        found[swap] = found[swap][:, ::-1]
        return found

    @given_property
    def rays(self) -> tuple[IntArray, FloatArray]:
        """Ids (r,) of the unbounded edges and their unit directions (r, n0)."""
        ids = np.flatnonzero(self.edges[:, 1] < 0)
        gates = self._cells.gates
        if not len(ids):
            return ids, np.zeros((0, self.complex.network.architecture[0]))
        ends = self._cells.ends[ids]
        tips = np.where(gates.far[ends[:, 0]], ends[:, 0], ends[:, 1])
        x, err = gates.located(tips)
        if self.complex._lift is None:
            return ids, x / np.linalg.norm(x, axis=1, keepdims=True)
        return ids, self.complex._lift.surely_directions(x, err, lambda rows: self._exact_directions(tips[rows]))

    def _exact_directions(self, tips: IntArray) -> Array:
        """Exact directions (m, n0) of points at infinity."""
        frame = self.complex._frame
        full = np.full((len(tips) + 1, self.complex.network.architecture[0]), Fraction(0), dtype=object)
        for i, tip in enumerate(tips.tolist()):
            full[i, frame.columns] = self._cells.gates.exact(tip)[1]
        lifted = frame.lifted(full)
        found: Array = lifted[:-1] - lifted[-1]
        return found

    def is_unbounded(self, dim: int) -> BoolArray:
        """Whether each cell of a dimension is unbounded in the essential quotient."""
        self._layer(dim)
        return self._unbounded[dim].copy()

    @cached_property
    def _unbounded(self) -> list[BoolArray]:
        found = [np.zeros(len(self._cells.points), dtype=np.bool_)]
        if self.dimension >= 1:
            found.append(self.edges[:, 1] < 0)
        for k in range(2, self.dimension + 1):
            ptr, idx = self._below[k]
            found.append(np.logical_or.reduceat(found[k - 1][idx], ptr[:-1]) if len(ptr) > 1 else found[0][:0])
        return found[: self.dimension + 1]

    @cached_property
    def _below(self) -> list[tuple[IntArray, IntArray]]:
        layers = self._cells.layers[: self.dimension + 1]
        return [(layer.below.indptr, layer.below.indices) for layer in layers]

    def facets_of(self, dim: int) -> tuple[IntArray, IntArray]:
        """CSR pair: the facets (rows of dimension ``dim - 1``) of each cell of a dimension."""
        self._layer(dim)
        ptr, idx = self._below[dim]
        return ptr.copy(), idx.copy()

    # ---- topology ---------------------------------------------------------------------------
    def _support(self, support: str) -> list[BoolArray]:
        if support not in SUPPORTS:
            raise InputError(f"support must be one of {', '.join(map(repr, SUPPORTS))}, found {support!r}")
        if support == "bounded":
            if self.lineality_dimension and self.dimension >= 0:
                raise InputError(
                    f"the set is constant along {words.count(self.lineality_dimension, 'direction')}, so no cell is bounded; "
                    "use support='borel-moore' or 'compactified'"
                )
            return [~u for u in self._unbounded]
        return [np.ones(len(u), dtype=np.bool_) for u in self._unbounded]

    @property
    def is_compact(self) -> bool:
        """Whether the set is bounded (the empty set is)."""
        return self.dimension < 0 or not (self.lineality_dimension or any(u.any() for u in self._unbounded))

    def boundary_matrix(self, dim: int) -> Any:
        """Oriented boundary map from the cells of a dimension to those below: ``scipy.sparse`` int8, columns are
        cells.
        """
        self._layer(dim)
        if dim == 0:
            raise InputError("vertices have no boundary; dim must be at least 1")
        return homology.boundary_matrix(self._below[dim], self._incidence_numbers[dim], self.f_vector[dim - 1])

    @cached_property
    def _incidence_numbers(self) -> list[SignArray]:
        return homology.incidence_numbers(self._below)

    def euler_characteristic(self, support: Support = "bounded") -> int:
        """Euler characteristic of the bounded cells, of the one-point compactification, or with compact supports.

        Parameters
        ----------
        support : 'bounded', 'compactified' or 'borel-moore'
        """
        keep = self._support(support)
        value = sum((-1) ** k * int(mask.sum()) for k, mask in enumerate(keep))
        if support == "bounded":
            return value
        value *= (-1) ** self.lineality_dimension
        return value + (support == "compactified" and not self.is_compact)

    def betti_numbers(
        self, support: Support = "bounded", field: int = 2, *, budget: Budget | None = None
    ) -> tuple[int, ...]:
        """Betti numbers ``(b_0, b_1, …)``.

        Parameters
        ----------
        support : 'bounded', 'compactified' or 'borel-moore'
            Of the subcomplex of bounded cells; of the set with a point at infinity (the set itself where it is
            compact); of locally finite chains. The last two differ in ``b_0`` only. With lineality of dimension s the
            numbers of the quotient move up by s.
        field : 2 or 0
            Two elements or the rationals.
        budget : Budget, optional

        Returns
        -------
        tuple of int
            One entry for each dimension up to that of the set; ``(0,)`` for the empty set.

        Raises
        ------
        InputError
            A support or field that does not exist, or bounded cells of a set with lineality.
        BudgetExceededError
            The columns that are left after cells have cancelled are reduced in portions, and memory is asked for first.
        """
        keep = self._support(support)
        closed = support == "bounded" or self.is_compact
        with Monitor(budget, None).watching():
            found = homology.betti_numbers(self._below, keep, field, closed=closed)
        found = (0,) * (self.lineality_dimension if self.dimension >= 0 else 0) + found
        if support == "compactified" and not self.is_compact:
            found = (found[0] + 1, *found[1:])
        return found

    def connected_components(self) -> tuple[int, list[IntArray]]:
        """Connected components: how many, and for each dimension the component of every cell."""
        if self.dimension < 0:
            return 0, []
        return homology.components(self._below, [np.ones(c, dtype=np.bool_) for c in self.f_vector])

    components = old_name("connected_components")

    def validate(self, *, budget: Budget | None = None) -> tuple[str, ...]:
        """What is wrong with the incidences; empty when nothing is.

        The boundary of a boundary is zero, every cell between two others two dimensions apart has one companion, an
        edge has one or two vertices, and the two ways to the Euler characteristic agree.
        """
        with Monitor(budget, None).watching():
            return tuple(self._problems()) if self.dimension >= 0 else ()

    def _problems(self) -> list[str]:
        problems: list[str] = []
        for k in range(2, self.dimension + 1):
            heed("checking incidences")
            product = self.boundary_matrix(k - 1).astype(np.int64) @ self.boundary_matrix(k).astype(np.int64)
            if product.count_nonzero():
                problems.append(f"the boundary of the boundary of {k}-cells is not zero")
            twice = abs(self.boundary_matrix(k - 1).astype(np.int64)) @ abs(self.boundary_matrix(k).astype(np.int64))
            if (twice.data > 2).any() or (k > 2 and (twice.data != 2).any()):
                problems.append(f"a ridge of a {k}-cell does not lie in two of its facets")
        if self.dimension >= 1:
            many = np.diff(self._below[1][0])
            if not (((many == 2) & ~self._unbounded[1]) | ((many == 1) & self._unbounded[1])).all():
                problems.append("an edge has a wrong number of vertices")
        supports = SUPPORTS[1:] if self.lineality_dimension else SUPPORTS
        for support in supports:
            betti = self.betti_numbers(support)
            if sum((-1) ** k * b for k, b in enumerate(betti)) != self.euler_characteristic(support):
                problems.append(f"Betti numbers and cells give two Euler characteristics (support {support!r})")
        return problems

    @cached_property
    def certificate(self) -> SetCertificate:
        """Evidence that the set is right; ``.verify()`` derives it again."""
        return SetCertificate(self)

    def nearest_point(self, x: Any, *, budget: Budget | None = None) -> Nearest:
        """The point of the set that is nearest to an input, exactly.

        Parameters
        ----------
        x : (n0,) float64
        budget : Budget, optional

        Returns
        -------
        Nearest
            Distance, its exact square, the point in floats and in rationals, the cell.

        Examples
        --------
        >>> import polyfiber as pf
        >>> tent = pf.ReLUNetwork([[[1, 0], [-1, 0], [0, 1], [0, -1]], [[1, 1, 1, 1]]], [[0] * 4, [0]])
        >>> near = pf.canonical_complex(tent).level_set(1).nearest_point([0.0, 0.25])  # |x| + |y| = 1
        >>> near.squared, near.exact_point
        (Fraction(9, 32), (Fraction(-3, 8), Fraction(5, 8)))
        """
        found: Nearest = above("complexes.topology.distance:nearest_point")(self, x, budget=budget)
        return found

    # ---- measures and meshes ----------------------------------------------------------------
    def sizes(self, dim: int | None = None, *, budget: Budget | None = None) -> FloatArray:
        """Length, area or volume of each cell of a dimension (the largest by default); inf where unbounded.

        Sums of simplices from rounded vertices: not certified.
        """
        d = self.dimension if dim is None else dim
        with Monitor(budget, None).watching():
            result: FloatArray = above("complexes.topology.surfaces:sizes")(self, d)
        return result

    def mesh(self, *, cap: Literal["below", "above"] | int | None = None, budget: Budget | None = None) -> Any:
        """The set as a mesh, for inputs of dimension 2 and 3; see `polyfiber.complexes.topology.surfaces.Mesh`.

        Cells of largest dimension become segments or polygons; of a set of full dimension, its surface does, facing
        outwards.

        Parameters
        ----------
        cap : 'below', 'above' or int, optional
            Close a level set by the sides of the domain where the output is at most, or at least, the value: the
            surface of that side. Of a decision boundary, the number of a class: the surface of its region.
        budget : Budget, optional

        Raises
        ------
        InputError
            Other dimensions, an unbounded set (take the complex on a box), or a cap on what is neither a level set of
            one output nor a decision boundary.

        Examples
        --------
        >>> import polyfiber as pf
        >>> net = pf.ReLUNetwork([[[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[1, 1, 1]]], [[0] * 3, [0]])
        >>> sheet = pf.canonical_complex(net, pf.Box([-1, -1, -1], [1, 1, 1])).level_set(0.5)
        >>> open_, closed = sheet.mesh(), sheet.mesh(cap="below")
        >>> len(open_.border_edges), int((closed.edge_use()[1] != 2).sum())
        (9, 0)
        """
        with Monitor(budget, None).watching():
            return above("complexes.topology.surfaces:mesh_of")(self, cap)

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw a set in the plane; options as in `polyfiber.plots.plot_set`."""
        return above("plots.planar:plot_set")(self, ax=ax, **options)

    def _repr_html_(self) -> str:
        text: str = above("pages.notebook:html_of")(self)
        return text

    def save(
        self, path: Any, *, cap: Literal["below", "above"] | int | None = None, budget: Budget | None = None
    ) -> None:
        """Write the mesh as ``.obj``, ``.ply`` or ``.vtu`` (with cell data); ``cap`` as in `mesh`."""
        with Monitor(budget, None).watching():
            self.mesh(cap=cap).save(path)


@dataclass(frozen=True)
class SetVerification:
    """What a check of a set looked at.

    Attributes
    ----------
    ok : bool
    problems : tuple of str
    cells, compared : int
        Cells of the set, and cells of the second derivation that they were compared with.
    """

    ok: bool
    problems: tuple[str, ...]
    cells: int
    compared: int


class SetCertificate:
    """How a set follows from its complex."""

    __repr__ = one_line

    def __init__(self, owner: PolyhedralSet) -> None:
        self._owner = owner

    def verify(self, *, budget: Budget | None = None) -> SetVerification:
        """Derive the set again by other code and compare all cells.

        The conditions become neurons of one more hidden layer, and the canonical complex of that network is enumerated
        from nothing: new walls are cut by the engine, not by `cells`. Its cells where the conditions hold must be those
        of the set, sign for sign. Incidences are checked by `PolyhedralSet.validate`.
        """
        with Monitor(budget, None).watching() as monitor:
            return self._verified(monitor)

    def _verified(self, monitor: Monitor) -> SetVerification:
        owner = self._owner
        gates = owner._cells.gates
        problems = list(owner.validate())
        cx = canonical_complex(gates.network, owner.complex.domain, budget=monitor.rest())
        expected = above("complexes.topology.build:cells_again")(owner, cx)
        compared = 0
        for k in range(max(len(expected), owner.dimension + 1)):
            heed("comparing cells")
            there = expected[k] if k < len(expected) else set()
            compared += len(there)
            here: set[bytes] = set()
            if k <= owner.dimension:
                rows = np.concatenate([owner.signs(k), owner._condition_signs(k)], axis=1)
                here = {row.tobytes() for row in rows}
                if len(here) != len(rows):
                    problems.append(f"cells of dimension {k} occur twice")
            if here != there:
                problems.append(
                    f"{words.count(len(there - here), f'cell of dimension {k} is', f'cells of dimension {k} are')} missing, {len(here - there)} are extra"
                )
        return SetVerification(not problems, tuple(problems), sum(owner.f_vector), compared)


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def require_output(cx: PolyhedralComplex, output: Any) -> int:
    """An output that exists."""
    n_out = cx.network.architecture[-1]
    if not _is_whole(output):
        raise InputError(f"an output is named by its number, found {output!r}")
    if not 0 <= int(output) < n_out:
        raise InputError(f"output {output} does not exist; the network has outputs 0 to {n_out - 1}")
    return int(output)


def require_value(value: Any) -> Fraction:
    """A finite number as a Fraction; NumPy's numbers are taken as Python's."""
    try:
        if np.ma.is_masked(value):
            raise ValueError("masked")
        if isinstance(value, (np.generic, np.ndarray)) and np.ndim(value) == 0:
            value = value.item()
        return Fraction(value)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        raise InputError(f"a level must be a finite number, found {value!r}") from None


def shown_value(value: Fraction) -> str:
    """A level in a few letters; beyond the range of floats its size."""
    try:
        return f"{float(value):g}"
    except OverflowError:
        digits = abs(value.numerator).bit_length() - value.denominator.bit_length()
        return f"{'-' if value < 0 else ''}1e{round(digits * 0.30103)}"


def require_rows(points: Any, n0: int) -> FloatArray:
    """Points (m, n0) of finite numbers."""
    try:
        if np.ma.is_masked(points):
            raise ValueError("masked")
        rows = np.atleast_2d(np.asarray(unmasked(points), dtype=np.float64))
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"points must be numbers, found {points!r}") from None
    if rows.ndim != 2 or rows.shape[1] != n0:
        raise ShapeError(f"points of shape {np.shape(points)} do not fit {words.count(n0, 'input')}")
    if not np.isfinite(rows).all():
        raise InputError("points must be finite")
    return rows
