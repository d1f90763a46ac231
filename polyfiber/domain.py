"""Domains: all of Rⁿ, a box, or a polyhedron given by inequalities."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from . import words
from ._once import cached_property
from ._typing import Array, FloatArray
from ._values.checked import points_of, shown, unmasked, whole
from .errors import BudgetExceededError, InputError, MissingDependencyError, ShapeError, SolverError, old_name
from .memory import available_memory
from .network.model import _as_parameter
from .numerics.exact import as_fractions
from .numerics.floats import nearest
from .numerics.hulls import AffineHull, affine_hull
from .numerics.products import exact_product


class Polyhedron:
    """The set ``{x : A x <= b}``, bounded or not.

    Parameters
    ----------
    A : (m, n) array
        float64, or Fractions (dtype object).
    b : (m,) array

    Raises
    ------
    ShapeError
        If A and b do not fit together.
    InputError
        If a row of A is zero, or a number is not finite.

    Examples
    --------
    >>> import polyfiber as pf
    >>> triangle = pf.Polyhedron([[-1, 0], [0, -1], [1, 1]], [0, 0, 1])
    >>> triangle.dimension, triangle.n_facets
    (2, 3)
    """

    def __init__(self, A: Any, b: Any) -> None:
        self.A: Array = _as_parameter(A, 2, "A")
        self.b: Array = _as_parameter(b, 1, "b")
        if self.A.shape[0] != self.b.shape[0]:
            raise ShapeError(
                f"A has {words.count(self.A.shape[0], 'row')} but b has {words.count(self.b.shape[0], 'entry', 'entries')}"
            )
        if self.A.shape[1] == 0:
            raise ShapeError("A has no columns; a domain needs at least one dimension")
        zero = np.flatnonzero((self.A == 0).all(axis=1))
        if zero.size:
            raise InputError(f"row {int(zero[0])} of A is zero, so it is no inequality on x; drop it")

    @property
    def dimension(self) -> int:
        """Number of coordinates."""
        return int(self.A.shape[1])

    @property
    def n_facets(self) -> int:
        """Number of inequalities: the extra sign columns of a complex on this domain."""
        return int(self.A.shape[0])

    def affine_forms(self) -> Array:
        """Affine forms ``b - A x >= 0`` as an (m, n + 1) array, constant last."""
        if self.A.dtype == object or self.b.dtype == object:
            return np.array(
                [[*(-Fraction(a) for a in row), Fraction(c)] for row, c in zip(self.A, self.b)], dtype=object
            ).reshape(self.n_facets, self.dimension + 1)
        return np.concatenate([-self.A, self.b[:, None]], axis=1)

    rows = old_name("affine_forms")

    @cached_property
    def affine_hull(self) -> AffineHull | None:
        """The flat that the set lies in; None if it has an interior.

        Raises
        ------
        InputError
            The set is empty (its attribute ``empty`` is true).
        """
        return affine_hull(self.affine_forms())

    def contains(self, X: Any) -> Array:
        """Whether points (…, n) satisfy every inequality, as computed in floating point."""
        points = points_of(X, self.dimension, finite=False)
        A, b = self.in_floats()
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray((points @ A.T <= b).all(axis=-1))

    def in_floats(self) -> tuple[FloatArray, FloatArray]:
        """Coefficients (m, n) and sides (m,) as float64; rational rows that floats do not hold are divided by a power
        of two.

        Examples
        --------
        >>> import polyfiber as pf
        >>> pf.Polyhedron([[Fraction(10) ** 400, Fraction(1)]], [Fraction(0)]).in_floats()[0].round(3).tolist()
        [[0.853, 0.0]]
        """
        rows = np.concatenate([self.A, self.b[:, None]], axis=1)
        floats = nearest(rows)
        for r in np.flatnonzero(~np.isfinite(floats).all(axis=1)):
            top = max(abs(Fraction(v)) for v in rows[r])
            power = Fraction(2) ** (int(top).bit_length())
            floats[r] = nearest(np.array([Fraction(v) / power for v in rows[r]], dtype=object))
        return floats[:, :-1], floats[:, -1]

    def exact_point(self, x: Any) -> Array | None:
        """The point (n,) of the set, in Fractions, that a float point stands for; None outside.

        Floats rarely lie on a slanted flat. There it is the point with the same free coordinates
        (`affine_hull.steady`); elsewhere the point itself, moved into a box by what rounding took it out.

        Examples
        --------
        >>> import polyfiber as pf
        >>> segment = pf.Polyhedron([[1, 1], [-1, -1], [-1, 0], [0, -1]], [1, -1, 0, 0])
        >>> x, y = segment.exact_point([0.1, 0.9])
        >>> 0.1 + 0.9 == 1, x + y == 1, Fraction(0.1) + Fraction(0.9) == 1
        (True, True, False)
        """
        point = as_fractions(points_of(x, self.dimension, single=True))
        if self.affine_hull is not None:
            hull = self.affine_hull.steady
            point = hull.lifted(point[None, hull.free])[0]
        rows = as_fractions(self.affine_forms())
        inside = bool((exact_product(rows[:, :-1], point[:, None])[:, 0] >= -rows[:, -1]).all())
        return point if inside else None

    @classmethod
    def hull(cls, vertices: Any, rays: Any = None) -> Polyhedron:
        """The convex hull of points, plus the cone of rays, as inequalities (pycddlib, floating point).

        Parameters
        ----------
        vertices : (p, n) array
            At least one point.
        rays : (q, n) array, optional

        Raises
        ------
        InputError
            If the hull is not full-dimensional: a domain must contain a ball.
        SolverError
            If the conversion fails in floating point.

        Examples
        --------
        >>> import polyfiber as pf
        >>> pf.Polyhedron.hull([[0, 0], [1, 0], [0, 1], [0.2, 0.2]]).n_facets
        3
        """
        points = _within_floats(_as_parameter(vertices, 2, "vertices"), "vertices")
        directions = (
            np.zeros((0, points.shape[1])) if rays is None else _within_floats(_as_parameter(rays, 2, "rays"), "rays")
        )
        if len(points) == 0:
            raise InputError("a hull needs at least one point")
        if directions.shape[1] != points.shape[1]:
            raise ShapeError(
                f"points have {words.count(points.shape[1], 'coordinate')} but rays have {directions.shape[1]}"
            )
        generators = np.concatenate([np.insert(points, 0, 1.0, axis=1), np.insert(directions, 0, 0.0, axis=1)])
        rows, equal = _convert(generators, generators=True)
        if len(equal):
            raise InputError(f"the hull lies in a hyperplane ({len(equal)} equations); a domain must contain a ball")
        return cls(-rows[:, 1:], rows[:, 0])

    def generators(self) -> tuple[Array, Array]:
        """Vertices (p, n) and rays (q, n) (pycddlib, floating point); lines appear as two opposite rays.

        Raises
        ------
        SolverError
            If the conversion fails in floating point.

        Examples
        --------
        >>> import polyfiber as pf
        >>> vertices, rays = pf.Polyhedron([[-1, 0], [0, -1]], [0, 0]).generators()
        >>> vertices.tolist(), len(rays)
        ([[0.0, 0.0]], 2)
        """
        A, b = self.in_floats()
        rows = np.concatenate([b[:, None], -A], axis=1)
        found, lines = _convert(rows, generators=False)
        points = found[:, 0] != 0
        rays = found[~points, 1:]
        both = found[sorted(lines), 1:] if len(lines) else rays[:0]
        with np.errstate(all="ignore"):
            vertices = found[points, 1:] / found[points, :1]
            if not len(vertices) and bool((self.b == 0).all()):  # a cone: cdd leaves its apex out
                vertices = np.zeros((1, self.dimension))
            rays = np.concatenate([rays, -both])
            if not _are_generators(A, b, vertices, rays, len(lines)):
                raise SolverError(
                    "the conversion of a polyhedron lost its vertices in floating point; bring its numbers nearer to 1"
                )
        return vertices, rays

    def __repr__(self) -> str:
        """One line: short inequalities themselves, else how many there are."""
        text = f"Polyhedron({self.A.tolist()}, {self.b.tolist()})"
        if self.A.dtype == self.b.dtype == np.float64 and len(text) <= 100:
            return text
        return f"Polyhedron({words.count(self.n_facets, 'inequality', 'inequalities')} in R^{self.dimension})"


def _within_floats(values: Array, where: str) -> FloatArray:
    floats = nearest(values)
    if not np.isfinite(floats).all():
        raise InputError(f"{where} hold a number beyond the range of floats, 1.8e308; hulls are worked out in floats")
    return floats


def _convert(rows: Array, *, generators: bool) -> tuple[Array, list[int]]:
    """Generators to inequalities or back, in the format of cdd; and the rows that are linear."""
    try:
        import cdd
    except ImportError:
        raise MissingDependencyError(
            "pycddlib-standalone", extra="hulls", purpose="hulls and generators of polyhedra"
        ) from None

    kind = cdd.RepType.GENERATOR if generators else cdd.RepType.INEQUALITY
    try:
        polyhedron = cdd.polyhedron_from_matrix(cdd.matrix_from_array(rows.tolist(), rep_type=kind))
        result = cdd.copy_inequalities(polyhedron) if generators else cdd.copy_generators(polyhedron)
    except RuntimeError as error:
        raise SolverError(f"the conversion of a polyhedron failed in floating point: {error}") from None
    array = np.array(result.array, dtype=np.float64).reshape(len(result.array), rows.shape[1])
    if generators:  # the trivial inequality 0 x <= 1 is none
        keep = [i for i in range(len(array)) if (array[i, 1:] != 0).any()]
        linear = [keep.index(i) for i in result.lin_set if i in keep]
        return array[keep], linear
    return array, sorted(result.lin_set)


def _are_generators(A: Array, b: Array, vertices: Array, rays: Array, n_lines: int) -> bool:
    """Whether points and directions lie in ``A x <= b``, points on as many sides as vertices do; to a millionth."""
    size, gap = 1e-6 * (np.abs(vertices) @ np.abs(A).T + np.abs(b)), vertices @ A.T - b
    inside = (gap <= size).all() and ((np.abs(gap) <= size).sum(axis=1) >= A.shape[1] - n_lines).all()
    return bool(len(vertices) and inside and (rays @ A.T <= 1e-6 * (np.abs(rays) @ np.abs(A).T)).all())


def _bound(value: Any) -> str:
    """A bound as it is written in code, short."""
    return repr(value) if isinstance(value, int | float) else str(value)


def _bounds(values: list[Any]) -> str:
    texts = [_bound(v) for v in values]
    return f"[{', '.join(texts if len(texts) <= 4 else [*texts[:2], '…', texts[-1]])}]"


def _room_for(n: int) -> None:
    """Refuse a box of so many coordinates that its inequalities do not fit into memory."""
    needed = 32 * n * n  # and a copy that cannot be changed
    free = available_memory() if n > 1000 else None
    if free is not None and needed > free:
        raise BudgetExceededError(
            f"the {2 * n} inequalities of a box in {words.count(n, 'input')} take {needed / 1e9:.3g} GB, and there are {free / 1e9:.3g} GB: "
            "ask about fewer inputs, for instance on a slice (pf.slice_through)",
            partial=None,
        )


class Box(Polyhedron):
    """The box ``lo <= x <= hi``.

    Parameters
    ----------
    lo, hi : (n,) arrays or numbers
        Bounds, finite, ``lo <= hi`` in each coordinate; where they are equal the box is flat. Two numbers need
        ``dimension``.
    dimension : int, optional
        Number of coordinates when both bounds are numbers.

    Raises
    ------
    InputError, ShapeError
        Bounds that do not fit together.
    BudgetExceededError
        So many coordinates that the inequalities do not fit into memory.

    Examples
    --------
    >>> import polyfiber as pf
    >>> pf.Box(-1, 1, dimension=3)
    Box(-1.0, 1.0, dimension=3)
    >>> pf.Box([0, 0], [1, 2]).contains([[0.5, 1.5], [2, 0]]).tolist()
    [True, False]
    """

    def __repr__(self) -> str:
        """One line with the bounds; of many coordinates the first and the last."""
        low, high = ([float(v) if isinstance(v, float) else v for v in side.tolist()] for side in (self.lo, self.hi))
        n = self.dimension
        if n > 1 and len(set(low)) == len(set(high)) == 1:
            return f"Box({_bound(low[0])}, {_bound(high[0])}, dimension={n})"
        return f"Box({_bounds(low)}, {_bounds(high)})"

    def __init__(self, lo: Any, hi: Any, *, dimension: int | None = None) -> None:
        unmasked((lo, hi))
        try:
            low, high = np.asarray(lo), np.asarray(hi)
        except Exception:
            raise ShapeError(f"box bounds are two vectors of one length, found {shown(lo)} and {shown(hi)}") from None
        if dimension is not None:
            dimension = whole(dimension, "the dimension of a box", least=1, most=1 << 40)
        if low.ndim == 0 and high.ndim == 0:
            if dimension is None:
                raise ShapeError(
                    f"a box from two numbers needs the number of inputs: Box({_bound(low.tolist())}, {_bound(high.tolist())}, dimension=n)"
                )
            shape: tuple[int, ...] = (dimension,)
        else:
            try:
                shape = np.broadcast_shapes(low.shape, high.shape)
            except ValueError:
                shape = ()
        if len(shape) != 1:
            raise ShapeError(f"box bounds have shapes {low.shape} and {high.shape}; expected two vectors of one length")
        if dimension is not None and shape != (dimension,):
            raise ShapeError(
                f"box bounds have {words.count(shape[0], 'coordinate')}, but dimension={dimension}; leave dimension away"
            )
        n = shape[0]
        _room_for(n)
        self.lo = _as_parameter(np.broadcast_to(low, shape), 1, "lo")
        self.hi = _as_parameter(np.broadcast_to(high, shape), 1, "hi")
        for c in range(shape[0]):
            if not self.lo[c] <= self.hi[c]:
                raise InputError(f"box bounds in coordinate {c}: lo {self.lo[c]} is above hi {self.hi[c]}")
        A = np.zeros((2 * n, n))
        A[np.arange(n), np.arange(n)] = -1.0
        A[n + np.arange(n), np.arange(n)] = 1.0
        exact = self.lo.dtype == object or self.hi.dtype == object
        b = np.empty(2 * n, dtype=object if exact else np.float64)
        b[:n] = -self.lo
        b[n:] = self.hi
        super().__init__(A, b)

    def exact_point(self, x: Any) -> Array | None:
        """The point (n,) of the box, in Fractions, next to a float point; None where a coordinate is no number."""
        point = points_of(x, self.dimension, single=True, finite=False)
        if np.isnan(point).any():
            return None
        found = np.empty(self.dimension, dtype=object)
        for c, (a, v, b) in enumerate(zip(self.lo.tolist(), point.tolist(), self.hi.tolist())):
            found[c] = Fraction(a) if v < a else Fraction(b) if v > b else Fraction(v)
        return found

    @cached_property
    def affine_hull(self) -> AffineHull | None:
        """The flat that the box lies in; None if it has an interior."""
        n = self.dimension
        fixed = np.flatnonzero([a == b for a, b in zip(self.lo, self.hi)])
        if not len(fixed):
            return None
        free = np.setdiff1d(np.arange(n), fixed)
        lift = np.full((n, len(free) + 1), Fraction(0), dtype=object)
        lift[free, np.arange(len(free))] = Fraction(1)
        lift[fixed, -1] = [Fraction(v) for v in self.lo[fixed]]
        return AffineHull(np.concatenate([fixed, n + fixed]), free, lift)
