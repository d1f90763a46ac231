"""The region of a point: irredundant facets, neighbours, inscribed ball, walls, unbounded directions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from ... import words
from ..._once import cached_property, given_property
from ..._typing import Array, BoolArray, FloatArray, IntArray, ProgressLike, SignArray
from ..._values.read_only import closed, read_only
from ...budget import Budget, Monitor, until_late, within_budget
from ...domain import Polyhedron
from ...errors import InputError, UncertifiedSignError
from ...kernels.complexes import cell_facets as kf
from ...network.model import ReLUNetwork
from ...network.piecewise import PiecewiseLinearNetwork
from ...numerics.exact import as_fractions, rank
from ...numerics.floats import nearest, root
from ...numerics.lp import solve_lp, solve_lp_exact
from ...numerics.polyhedra import largest_ball
from ...numerics.products import values_at
from ...numerics.rounding import UNIT
from ...verdict import Verdict
from ..answers import AffineMaps
from .cell_arrays import CellFrame, CellStats, as_exact_point, cell_frame
from .facets import Cell, exact_facet_point, flipped, relative_interior, solve_cell
from .gate_arrays import GateFrame

NEAR = 2.0**-26
"""Share of a point's size below which a step from it is looked at exactly once it is rounded."""
SMALL = 1 << 14
"""Numbers of all walls up to which every step is looked at."""


@closed
@dataclass(frozen=True)
class Ball:
    """A largest ball in a region.

    Attributes
    ----------
    center : (n0,) float64
    radius : float
        The optimum that the solver reports; inf where balls of every size fit.
    certified_radius : float
        Lower bound: a ball of this radius about ``center`` lies in the region, rounding included.
    """

    center: FloatArray
    radius: float
    certified_radius: float


@dataclass(frozen=True)
class RegionCheck:
    """Outcome of `Region.verify`.

    Attributes
    ----------
    ok : bool
    witnesses : int
        Facets whose witness was checked in rational arithmetic.
    problems : tuple of str
    """

    ok: bool
    witnesses: int
    problems: tuple[str, ...]


class Region:
    """One region of the canonical complex of a network, found without the rest; made by `region`.

    Columns of sign vectors are hidden neurons layer by layer, then domain facets, as in
    `PolyhedralComplex`. Every facet was certified by a point beyond it alone or in rational
    arithmetic, every other row by a nonnegative combination of facets.

    Examples
    --------
    >>> import polyfiber as pf
    >>> r = pf.region(pf.ReLUNetwork.random((2, 3, 1), rng=0), [0.0, 0.0])
    >>> r.n_facets == len(r.facets)
    True
    """

    def __init__(self, frame: CellFrame, cell: Cell, point: FloatArray, stats: CellStats) -> None:
        self._frame = frame
        self._cell = cell
        self.point = read_only(point)
        """(n0,) the point that was asked about."""
        self.stats = stats
        """How the rows were decided."""

    # ---- what it is -------------------------------------------------------------------------
    def _column(self, row: int) -> int:
        d = self._frame.n_domain
        return row - d if row >= d else row + self._frame.n_neurons

    def _public(self, signs: SignArray) -> SignArray:
        d = self._frame.n_domain
        return np.concatenate([signs[..., d:], signs[..., :d]], axis=-1)

    @property
    def network(self) -> Any:
        """The network."""
        return self._frame.network

    @given_property
    def signs(self) -> SignArray:
        """(N + D,) int8 sign vector; 0 only for a neuron that vanishes on the whole region."""
        return self._public(self._cell.signs)

    @given_property
    def facets(self) -> IntArray:
        """(F,) columns of the sign vector whose walls bound the region, irredundant."""
        return np.array([self._column(int(r)) for r in self._cell.facets], dtype=np.int64)

    @property
    def n_facets(self) -> int:
        """Number of facets."""
        return len(self._cell.facets)

    @cached_property
    def coincident(self) -> dict[int, tuple[int, ...]]:
        """Columns that share a facet's wall on this region, for the facets with more than one."""
        return {self._column(k): tuple(self._column(r) for r in rows) for k, rows in self._cell.groups.items()}

    @given_property
    def affine_map(self) -> AffineMaps:
        """A named tuple of ``A`` (nL, n0) and ``a`` (nL,): the network is ``A x + a`` on the region; what cancels in floats
        is exact, rounded.
        """
        return AffineMaps(*self._frame.affine_map(self._cell.signs))

    @cached_property
    def _walls(self) -> tuple[FloatArray, FloatArray]:
        """Forms of the facets, and bounds of their errors."""
        return self._frame.float_forms(self._cell.signs, self._cell.facets)

    @given_property
    def _inequalities(self) -> tuple[FloatArray, FloatArray]:
        rows = self._walls[0] * self._cell.signs[self._cell.facets][:, None]
        return -rows[:, :-1], rows[:, -1]

    @property
    def A(self) -> FloatArray:
        """(F, n0): the region is ``A x <= b``, row by facet (floats nearest to the walls)."""
        return self._inequalities[0]

    @property
    def b(self) -> FloatArray:
        """(F,) right-hand sides."""
        return self._inequalities[1]

    def exact_polyhedron(self) -> tuple[Polyhedron, Array]:
        """The region as a `Polyhedron` in rational numbers, and the exact forms (N + nL, n0 + 1) of neurons and outputs
        on it.
        """
        frame, cell = self._frame, self._cell
        walls = frame.exact_forms(cell.signs, cell.facets)
        # rows near 1, by powers of two: what solves for them in floats may not know gates of other sizes
        largest = [max(map(abs, row[:-1])) for row in walls]
        sizes = [x.numerator.bit_length() - x.denominator.bit_length() for x in largest]
        factors = [int(s) * Fraction(2) ** -k for s, k in zip(cell.signs[cell.facets], sizes)]
        walls = walls * np.array(factors, dtype=object)[:, None]
        hidden = frame.exact_forms(cell.signs, range(frame.n_domain, frame.n_domain + frame.n_neurons))
        if isinstance(frame, GateFrame):
            return Polyhedron(-walls[:, :-1], walls[:, -1]), np.concatenate([hidden, frame.exact_outputs(cell.signs)])
        net = self.network.exact()
        if len(net.weights) == 1:
            last = np.concatenate([net.weights[0], net.biases[0][:, None]], axis=1)
        else:
            on = self.signs[frame.offsets[-2] : frame.n_neurons] > 0
            last = net.weights[-1][:, on] @ hidden[frame.offsets[-2] :][on]
            last = last if on.any() else np.full((len(net.biases[-1]), frame.n0 + 1), Fraction(0), dtype=object)
            last[:, -1] = last[:, -1] + net.biases[-1]
        return Polyhedron(-walls[:, :-1], walls[:, -1]), np.concatenate([hidden, last])

    @given_property
    @np.errstate(all="ignore")
    def interior_point(self) -> FloatArray:
        """(n0,) a point certainly inside the region, far from its walls if there is one.

        nan in a region where no float was found; `exact_interior_point` has a rational point.
        """
        f, cell = self._frame, self._cell
        x = f.to_inputs(self.point, f.moved(cell.reference, cell.interior), cell.reference)
        for candidate in (x, self.point):
            if np.isfinite(candidate).all() and self._holds(candidate):
                return candidate
        return np.full(f.n0, np.nan)

    def _holds(self, x: FloatArray) -> bool:
        """Whether a point certainly lies in the interior of the region: the network has these signs there."""
        frame, signs = self._frame, self._cell.signs
        if frame.hull is not None and not frame.hull.contains(np.array([Fraction(c) for c in x], dtype=object)):
            return False
        z, err = frame.values(x[None, :])
        sure = np.abs(z[0]) > err[0]
        if (sure & (np.sign(z[0]) != signs)).any():
            return False
        return bool(sure.all() or (frame.exact_signs(x, np.zeros(frame.n0)) == signs).all())

    @given_property
    def exact_interior_point(self) -> Array:
        """(n0,) Fractions: a point inside the region, also where no float lies inside."""
        frame, cell = self._frame, self._cell
        if not np.isnan(self.interior_point).any():
            return np.array([Fraction(c) for c in self.interior_point], dtype=object)
        forms = frame.exact_forms(cell.signs, cell.facets)
        forms = forms * np.array([int(s) for s in cell.signs[cell.facets]], dtype=object)[:, None]
        return frame.on_flat(relative_interior(forms))

    @given_property
    def witnesses(self) -> FloatArray:
        """(F, n0) points beyond one facet alone; nan where a facet was decided in rational arithmetic, or no float was
        found.
        """
        f, cell = self._frame, self._cell
        if not len(cell.facets):
            return np.zeros((0, f.n0))
        found = f.to_inputs(self.point, f.moved(cell.reference, cell.witnesses), cell.reference)
        # rounding may take back a step; of large networks those are looked at that are short beside the point itself
        short = ~(np.abs(found - self.point).max(axis=1) > NEAR * np.abs(found).max(axis=1))
        short |= len(cell.signs) * f.n0 <= SMALL
        for i in np.flatnonzero(short & np.isfinite(found).all(axis=1)).tolist():
            if self._beyond(found[i]) != [cell.facets[i]]:
                found[i] = np.nan
        return found

    @cached_property
    def _exact_rows(self) -> tuple[IntArray, Array]:
        """Rows that are not zero on the region, and their exact forms, positive in it."""
        used = np.flatnonzero(self._cell.signs != 0)
        forms = self._frame.exact_forms(self._cell.signs, used)
        return used, forms * np.array([int(s) for s in self._cell.signs[used]], dtype=object)[:, None]

    def _values(self, x: Any) -> Array:
        """Exact values of these rows at a point."""
        _, forms = self._exact_rows
        return values_at(forms, as_fractions(x))

    def _beyond(self, x: FloatArray) -> list[int]:
        """Rows that are not positive at a point."""
        return [int(row) for row, v in zip(self._exact_rows[0], self._values(x)) if v <= 0]

    @property
    def sentence(self) -> str:
        """What the region is, and how sure."""
        walls = [k < self.network.n_hidden for k in self._through]
        where = "Around this point the network is affine"
        near = (
            f"; the nearest wall is {self.distance:.6g} away" if np.isfinite(self.distance) else "; no wall is anywhere"
        )
        if any(walls):
            where = "The point lies on a wall, where regions meet; in the one that a fixed direction leads to, the network is affine"
        if walls:
            near = "" if any(walls) else "; the point lies on the edge of the domain"
        extent = {"yes": "a bounded region", "no": "an unbounded region", "undecided": "a region of undecided extent"}
        return (
            f"{where}, with {self._active}, on {extent[self.bounded.value]} with "
            f"{words.count(self.n_facets, 'facet')}{near}. Facets are certified; none is missing."
        )

    @property
    def _active(self) -> str:
        n = self.network.n_hidden
        return f"{int((self.signs[:n] > 0).sum())} of {words.count(n, 'neuron')} active" if n else "no hidden neuron"

    @cached_property
    def _through(self) -> list[int]:
        """Columns of the facets that the point lies on, decided exactly."""
        near = np.flatnonzero(~(self.wall_distances > 1e-6 * (1 + np.abs(self.point).max(initial=0.0))))
        forms = self._frame.exact_forms(self._cell.signs, self._cell.facets[near])
        return [int(self.facets[i]) for i, v in zip(near, values_at(forms, as_fractions(self.point))) if v == 0]

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        widths = "-".join(map(str, self.network.architecture))
        return f"Region({widths}, {self._active}, {words.count(self.n_facets, 'facet')})"

    # ---- metric -----------------------------------------------------------------------------
    @given_property
    @np.errstate(all="ignore")
    def wall_distances(self) -> FloatArray:
        """(F,) distance of ``point`` to the hyperplane of each facet; 0 on it."""
        values, lengths = self.b - self.A @ self.point, np.linalg.norm(self.A, axis=1)
        found: FloatArray = np.maximum(values, 0.0) / lengths
        for i in np.flatnonzero(~np.isfinite(values + lengths + found)).tolist():  # floats overflow on the way
            *row, constant = self._frame.exact_forms(self._cell.signs, self._cell.facets[i : i + 1])[0]
            value = constant + sum((a * Fraction(x) for a, x in zip(row, self.point.tolist())), Fraction(0))
            length = root(sum((a * a for a in row), Fraction(0)))
            found[i] = nearest(np.array([abs(value) / length], dtype=object))[0]
        return found

    @property
    def distance(self) -> float:
        """Distance of ``point`` to the boundary of the region; inf if there is none. See `distance_error`."""
        return float(self.wall_distances.min(initial=np.inf))

    @given_property
    @np.errstate(all="ignore")
    def wall_distance_errors(self) -> FloatArray:
        """(F,) bounds of the errors of `wall_distances`: of the values of neurons at ``point``, and of the normals."""
        if not self.n_facets:
            return np.zeros(0)
        with np.errstate(all="ignore"):
            values, off = (v[0] for v in self._frame.values(self.point[None, :]))
            values = np.maximum(values * self._cell.signs, 0.0)[self._cell.facets]
            off = off[self._cell.facets]
            size, slip = np.linalg.norm(self.A, axis=1), np.linalg.norm(self._magnitudes, axis=1)
            low = np.maximum(values - off, 0.0) / (size + slip)
            high = (values + off) / (size - slip)
            off = np.maximum(self.wall_distances - low, high - self.wall_distances) * (1 + 1e-12)
            off += (len(self.point) + 8) * UNIT * high
        return np.where((slip < size) & np.isfinite(off), off, np.inf)

    @property
    def distance_error(self) -> float:
        """Bound of the error of `distance`."""
        if not self.n_facets:
            return 0.0
        low, high = self.wall_distances - self.wall_distance_errors, self.wall_distances + self.wall_distance_errors
        return float(max(self.distance - low.min(), high.min() - self.distance))

    @given_property
    @np.errstate(all="ignore")
    def inscribed_ball(self) -> Ball:
        """A largest ball in the region (one linear program over the facets)."""
        x = self.interior_point
        if not self.n_facets:
            return Ball(x, np.inf, np.inf)
        if np.isnan(x).any():
            x = self.point
        with np.errstate(over="ignore", invalid="ignore"):
            norms = np.linalg.norm(self.A, axis=1)
            A, b = self.A / norms[:, None], (self.b - self.A @ x) / norms
        near = np.sort(np.abs(b))
        scale = float(near[len(near) // 2]) or 1.0
        if not (np.isfinite(A).all() and np.isfinite(b / scale).all()):
            return self._exact_ball()
        found = solve_lp(
            np.r_[np.zeros(len(x)), -1.0],
            A_ub=np.hstack([A, np.ones((len(A), 1))]),
            b_ub=b / scale,
            bounds=[(None, None)] * len(x) + [(0, None)],
        )
        if found.x is None:
            return Ball(x, np.inf, self._certified_radius(x))
        with np.errstate(over="ignore", invalid="ignore"):
            center = self._frame.along(x, scale * found.x[:-1])
        if not np.isfinite(center).all():
            return self._exact_ball()
        return Ball(center, scale * float(found.x[-1]), self._certified_radius(center))

    def _exact_ball(self) -> Ball:
        """The same in rationals, where floats overflow; what has no float next to it is infinite."""
        frame, cell = self._frame, self._cell
        walls = frame.exact_forms(cell.signs, cell.facets)
        walls = walls * np.array([int(s) for s in cell.signs[cell.facets]], dtype=object)[:, None]
        equal = [] if frame.hull is None else frame.hull.equations
        ball = largest_ball(equal, walls.tolist(), self.exact_interior_point.tolist())
        center = nearest(np.array(ball.center, dtype=object))
        radius = self._certified_radius(center) if np.isfinite(center).all() else 0.0
        return Ball(center, ball.radius, radius)

    @np.errstate(all="ignore")
    def _certified_radius(self, x: FloatArray) -> float:
        frame, signs = self._frame, self._cell.signs
        z, err = frame.values(x[None, :])
        slack = z[0] * signs - err[0]
        if not (slack[signs != 0] > 0).all():
            return 0.0
        slack = slack[self._cell.facets]
        # what the rounding of the computed normals can add, far above (depth + width) u times their sizes
        norms = np.linalg.norm(self._magnitudes, axis=1)
        return float(np.min(slack / (np.linalg.norm(self.A, axis=1) + norms), initial=np.inf) * (1 - 1e-12))

    @cached_property
    def _magnitudes(self) -> FloatArray:
        """Error bounds of the normals of the facets."""
        return self._walls[1][:, :-1]

    # ---- unbounded directions ---------------------------------------------------------------
    @given_property
    def lineality(self) -> FloatArray:
        """Orthonormal basis (s, n0) of the directions that no first-layer wall and no domain facet cuts."""
        f = self._frame
        if f.n == f.n0 and not f.by_layer:
            return np.zeros((0, f.n0))
        if f.hull is not None:
            lines = f.hull.lines(f.given)
            return np.ascontiguousarray(np.linalg.qr(nearest(lines))[0].T)
        rows = nearest(f.given[:, :-1])
        if not len(rows):
            return np.eye(f.n0)
        _, _, vt = np.linalg.svd(rows, full_matrices=True)
        return vt[len(f.columns) :]

    @given_property
    @np.errstate(all="ignore")
    def _recession(self) -> tuple[Verdict, FloatArray | None]:
        frame, cell = self._frame, self._cell
        if len(self.lineality):
            return Verdict.NO, self.lineality[0]
        n = frame.n
        if n == 0:
            return Verdict.YES, None
        if self.n_facets <= n:
            return Verdict.NO, self._escape(None)
        G, _, E1, _ = frame.rows(cell.signs, cell.reference)
        rows = G[cell.facets]
        norms = np.linalg.norm(rows, axis=1)
        rows = np.ascontiguousarray(rows / norms[:, None])
        target = -rows.sum(axis=0)
        k, m = n, len(rows)
        work: Any = None
        count, norm = 0, 0.0

        def run(stop: Any) -> None:
            nonlocal work, count, norm
            work = kf.nnls_work(k, m, stop)
            count, norm = kf.nnls(rows, np.arange(m), m, target, k, work)

        until_late(run, "whether the region is bounded", m * k * k)
        error = E1[cell.facets] / norms * 1.01 + 8 * UNIT
        if norm <= 1e-9 and count == k:
            inverse = np.zeros((k, k))
            theta, size = kf.enclose(rows, error, work.passive, k, work.Q, work.R, inverse)
            total = float(error.sum() + (m + 2) * UNIT * m)
            size_of_target = max(1.0, float(np.abs(target).max()))
            scaled = np.ascontiguousarray(target / size_of_target)
            if theta < 0.5 and kf.inside(inverse, theta, size, scaled, total / size_of_target, k, work.lam):
                return Verdict.YES, None
        if norm > 1e-9:
            direction = self._escape(error * norms)
            if direction is not None:
                return Verdict.NO, direction
        exact = frame.exact_forms(cell.signs, cell.facets)[:, :-1][:, frame.columns]
        exact = exact * np.array([int(s) for s in cell.signs[cell.facets]], dtype=object)[:, None]
        if rank(exact) == n:
            zero = np.full(len(exact), Fraction(0), dtype=object)
            found = solve_lp_exact(zero, exact.T, -exact.sum(axis=0))
            if found.status == "optimal":
                return Verdict.YES, None
        return Verdict.NO, self._escape(None)

    @np.errstate(all="ignore")
    def _escape(self, error: FloatArray | None) -> FloatArray | None:
        """A direction in which the region is unbounded: certainly so when error bounds are given."""
        A = self.A / np.linalg.norm(self.A, axis=1, keepdims=True)
        n0 = self._frame.n0
        bounds = [(-1.0, 1.0)] * n0 + [(0.0, 1.0)]
        found = solve_lp(
            np.r_[np.zeros(n0), -1.0], A_ub=np.hstack([A, np.ones((len(A), 1))]), b_ub=np.zeros(len(A)), bounds=bounds
        )
        direction = None if found.x is None else found.x[:-1]
        if direction is None or not float(found.x[-1]) > 1e-12:  # type: ignore[index]
            if error is not None:
                return None
            # the cone of directions is flat: a longest one in it
            found = solve_lp(A.sum(axis=0), A_ub=A, b_ub=np.zeros(len(A)), bounds=bounds[:-1])
            direction = found.x
            if direction is None or not np.abs(direction).max() > 1e-9:
                return None
        elif error is not None:
            slopes = -(self.A @ direction)
            bound = (self._magnitudes + (n0 + 2) * UNIT * np.abs(self.A)) @ np.abs(direction) * 1.01
            if not (slopes > bound).all():
                return None
        direction = self._frame.along(np.zeros(n0), direction, linear=True)
        result: FloatArray = direction / np.linalg.norm(direction)
        return result

    @property
    def bounded(self) -> Verdict:
        """Whether the region is bounded; certified."""
        return self._recession[0]

    @property
    def unbounded_direction(self) -> FloatArray | None:
        """(n0,) a unit direction in which the region goes on for ever; None if it is bounded."""
        return self._recession[1]

    # ---- neighbours -------------------------------------------------------------------------
    @given_property
    def neighbours(self) -> tuple[SignArray, BoolArray]:
        """Sign vectors (F, N + D) of the regions beyond each facet, and where there is one (F,)."""
        signs = np.zeros((self.n_facets, len(self._cell.signs)), dtype=np.int8)
        there = np.zeros(self.n_facets, dtype=np.bool_)
        for i in range(self.n_facets):
            other = flipped(self._frame, self._cell, i)
            if other is not None:
                signs[i], there[i] = other, True
        return self._public(signs), there

    def neighbour(self, i: int) -> Region:
        """The region beyond the i-th facet.

        Raises
        ------
        InputError
            If the facet lies on the boundary of the domain.
        """
        if not 0 <= i < self.n_facets:
            raise InputError(f"facet {i} does not exist; the region has {self.n_facets}")
        frame = self._frame
        signs = flipped(frame, self._cell, i)
        if signs is None:
            raise InputError(f"facet {i} lies on the boundary of the domain; nothing is beyond it")
        before = replace(frame.stats)
        reference, along = crossing(frame, self._cell, i)
        cell = solve_cell(frame, signs, reference, along)
        point = frame.to_inputs(self.point, reference, self._cell.reference)
        return Region(frame, cell, point, _difference(frame.stats, before))

    # ---- evidence ---------------------------------------------------------------------------
    @np.errstate(all="ignore")
    def verify(self) -> RegionCheck:
        """Check the witnesses and the interior point anew in rational arithmetic."""
        problems = []
        frame, cell = self._frame, self._cell
        checked = 0
        inner = self.interior_point
        if not np.isnan(inner).any() and self._beyond(inner):
            problems.append("the interior point is not inside")
        for row, witness in zip(cell.facets.tolist(), self.witnesses):
            if np.isnan(witness).any():
                if frame.hull is not None:
                    continue
                checked += 1
                if not self._is_facet(row):
                    problems.append(f"column {self._column(row)} is no facet")
                continue
            negative = self._beyond(witness)
            checked += 1
            if negative != [row]:
                problems.append(
                    f"the witness of column {self._column(row)} is beyond {words.count(len(negative), 'wall')}"
                )
        return RegionCheck(not problems, checked, tuple(problems))

    def _is_facet(self, row: int) -> bool:
        """Whether a rational point lies on this wall, and on those that coincide with it, and inside of all others."""
        same = self._cell.groups.get(row, (row,))
        try:
            point, _ = exact_facet_point(self._frame, self._cell, row, same)
        except UncertifiedSignError:
            return False
        return all(v == 0 if r in same else v > 0 for r, v in zip(self._exact_rows[0].tolist(), self._values(point)))


def crossing(frame: CellFrame, cell: Cell, i: int) -> tuple[FloatArray, FloatArray]:
    """A reference point near the i-th facet, and the direction (n,) out of the cell."""
    witness = cell.witnesses[i]
    if np.isnan(witness).any():
        row = int(cell.facets[i])
        point, normal = exact_facet_point(frame, cell, row, cell.groups.get(row, (row,)))
        largest = max(abs(v) for v in normal)
        try:
            x, out = nearest(point), nearest(normal / largest)
            if not np.isfinite(x).all():
                raise OverflowError
        except OverflowError:
            raise UncertifiedSignError("a facet lies beyond the range of float64; restrict the domain") from None
        if frame.by_layer:
            return frame.reference(x), frame.W[0] @ out
        return x, out[frame.columns]
    G, V, _, _ = frame.rows(cell.signs, cell.reference)
    row = int(cell.facets[i])
    inner = V[row] + G[row] @ cell.interior
    outer = V[row] + G[row] @ witness
    along = witness - cell.interior
    return frame.moved(cell.reference, cell.interior + inner / (inner - outer) * along), along


def _difference(after: CellStats, before: CellStats) -> CellStats:
    names = ("cells", "rays", "cone_tests", "bases", "reused", "exact_rows", "exact_points")
    return CellStats(**{name: getattr(after, name) - getattr(before, name) for name in names})


@within_budget
@np.errstate(all="ignore")
def region(
    network: ReLUNetwork | PiecewiseLinearNetwork,
    x: Any,
    *,
    domain: Polyhedron | None = None,
    budget: Budget | None = None,
    progress: ProgressLike = None,
) -> Region:
    """The region of a point, with irredundant facets; for networks of any size.

    Parameters
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
    x : (n0,) float64, or Fractions
        A point on walls gets one of the regions around it: the one in a fixed direction. Fractions are taken exactly;
        ``point`` of the region is what they are rounded to.
    domain : Box or Polyhedron, optional
        Its inequalities count as walls too.
    budget : Budget, optional
    progress : None, bool or callable
        Counts the walls that are decided in rational arithmetic, which alone can take long.

    Returns
    -------
    Region

    Raises
    ------
    InputError
        If the point is outside the domain.
    BudgetExceededError
        Its ``partial`` says how many walls were decided.

    Notes
    -----
    Preparing a network takes a QR of its first layer and is remembered for the last few networks. Then about
    0.6 ms for 300 neurons in 5 inputs. A row is a facet when a point beyond it alone is certain despite rounding,
    redundant when it lies in the cone of facets with multipliers enclosed away from 0; the rest is decided in
    rational arithmetic. Method: rays, then cone membership over the known facets (Clarkson, *More output-sensitive
    geometric algorithms*, 1994).

    Examples
    --------
    >>> import polyfiber as pf
    >>> net = pf.ReLUNetwork.random((8, 16, 16, 2), rng=0)
    >>> r = pf.region(net, [0.0] * 8)
    >>> r.verify().ok, len(r.facets) == len(r.neighbours[0])
    (True, True)
    """
    frame = cell_frame(network, domain)
    point, exact = as_exact_point(frame, x)
    before = replace(frame.stats)
    signs, direction = frame.sign_rows(point, exact)
    if frame.by_layer:
        along = frame.W[0] @ direction if direction.any() else np.zeros(frame.n)
    else:
        along = direction[frame.columns]
    with Monitor(progress=progress).watching():
        cell = solve_cell(frame, signs, frame.reference(point), along)
    return Region(frame, cell, point, _difference(frame.stats, before))


__all__ = ["Ball", "Region", "RegionCheck", "crossing", "region"]
