"""One cell of a network too large to enumerate: rows with bounds, facets with certificates.

Coordinates: where the first layer has full row rank and there is no domain, a cell is described in the values
of the first layer, where the walls of that layer are exact coordinate planes; otherwise in input coordinates.
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from .._typing import Array, FloatArray, IntArray, SignArray
from ..errors import InputError, ShapeError, SolverError, UncertifiedSignError
from ..kernels import facets as kf
from ..network.model import ReLUNetwork
from ..numerics.independent import independent_columns
from ..numerics.lp import interior_point, solve_lp, solve_lp_exact
from ..numerics.products import exact_product
from .domain import Polyhedron

U = 2.0**-53


@dataclass
class CellStats:
    """How the facets of cells were decided.

    Attributes
    ----------
    cells : int
        Cells whose facets were decided.
    rays, cone_tests, bases, reused : int
        Rays shot, cone membership tests, inverses enclosed, rows settled by an earlier inverse.
    exact_rows, exact_points : int
        Rows and sign vectors decided in rational arithmetic.
    """

    cells: int = 0
    rays: int = 0
    cone_tests: int = 0
    bases: int = 0
    reused: int = 0
    exact_rows: int = 0
    exact_points: int = 0


@dataclass(frozen=True)
class Cell:
    """Facets of one cell, as the kernels leave them (coordinates of the `CellFrame`)."""

    signs: SignArray
    reference: FloatArray
    interior: FloatArray
    """Displacement of a certified interior point from the reference; nan in a cell too thin for floats."""
    facets: IntArray
    """Row ids: domain facets, then hidden neurons."""
    witnesses: FloatArray
    """Displacements of points beyond one facet alone; nan where the row was decided exactly."""
    groups: dict[int, tuple[int, ...]]
    """Rows that coincide with a facet, for the facets where there are any."""


class CellFrame:
    """A network prepared for questions about single cells.

    Parameters
    ----------
    network : ReLUNetwork
    domain : Box or Polyhedron, optional
    """

    def __init__(self, network: ReLUNetwork, domain: Polyhedron | None = None) -> None:
        if not isinstance(network, ReLUNetwork):
            raise InputError(f"expected a polyfiber.ReLUNetwork, found {type(network).__name__}")
        if domain is not None and not isinstance(domain, Polyhedron):
            raise InputError(f"domain must be None, a Box or a Polyhedron, found {type(domain).__name__}")
        n0 = network.architecture[0]
        if domain is not None and domain.dimension != n0:
            raise ShapeError(f"the domain has {domain.dimension} coordinates but the network has {n0} inputs")
        self.network, self.domain = network, domain
        self.n_domain = 0 if domain is None else domain.n_facets
        self.n_neurons = network.n_hidden
        self.hidden = network.hidden_widths
        parts = [] if domain is None else [domain.rows()]
        if self.hidden:
            parts.append(np.concatenate([network.weights[0], network.biases[0][:, None]], axis=1))
        self.given: Array = np.concatenate(parts, axis=0) if parts else np.zeros((0, n0 + 1))
        self.columns, rows = independent_columns(self.given[:, :-1], n_first=self.n_domain)
        h1 = self.hidden[0] if self.hidden else 0
        self.by_layer = domain is None and h1 > 0 and len(rows) == h1
        floats = np.ascontiguousarray(self.given, dtype=np.float64)
        exact_floats = self.given.dtype != object
        if self.by_layer:
            self.full = np.concatenate([np.eye(h1), np.zeros((h1, 1))], axis=1)
            self.first = np.eye(h1)
            self.terms0, self.given_error = 0.0, 0.0
        else:
            self.full = floats
            self.first = np.ascontiguousarray(floats[:, :-1][:, self.columns])
            self.terms0, self.given_error = n0 + 4.0, 0.0 if exact_floats else 2 * U
        self.widths = np.array([h1, *self.hidden[1:]], dtype=np.int64)
        deep = [np.asarray(w, dtype=np.float64) for w in network.weights[1 : len(self.hidden)]]
        self.deep_weights = np.concatenate([w.ravel() for w in deep]) if deep else np.zeros(1)
        deep_b = [np.asarray(b, dtype=np.float64) for b in network.biases[1 : len(self.hidden)]]
        self.deep_biases = np.concatenate(deep_b) if deep_b else np.zeros(1)
        self.W = [np.asarray(w, dtype=np.float64) for w in network.weights]
        self.b = [np.asarray(b, dtype=np.float64) for b in network.biases]
        self.offsets = np.concatenate([[0], np.cumsum(self.hidden)]).astype(np.int64)
        self.stats = CellStats()

    @cached_property
    def transposed_weights(self) -> FloatArray:
        """Deeper hidden layers, each transposed, flat."""
        deep = self.W[1 : len(self.hidden)]
        return np.concatenate([np.ascontiguousarray(w.T).ravel() for w in deep]) if deep else np.zeros(1)

    @property
    def n0(self) -> int:
        """Number of inputs."""
        return self.network.architecture[0]

    @property
    def n(self) -> int:
        """Number of coordinates used."""
        return self.first.shape[1]

    # ---- coordinates ------------------------------------------------------------------------
    def reference(self, x: FloatArray) -> FloatArray:
        """The reference point of an input in the coordinates of the given forms."""
        if self.by_layer:
            result: FloatArray = self.W[0] @ x + self.b[0]
            return result
        return x

    @cached_property
    def _lift(self) -> FloatArray:
        return np.asarray(np.linalg.pinv(self.W[0]), dtype=np.float64)

    def to_inputs(self, x: FloatArray, points: FloatArray, reference: FloatArray) -> FloatArray:
        """Inputs (…, n0) of reference points (…, ·), the nearest to x where there are many."""
        if self.by_layer:
            result: FloatArray = x + (points - self.reference(x)) @ self._lift.T
            return result
        return points

    def moved(self, reference: FloatArray, displacement: FloatArray) -> FloatArray:
        """Reference points displaced in the coordinates used."""
        if self.by_layer or self.n == self.n0:
            result: FloatArray = reference + displacement
            return result
        out = np.array(np.broadcast_to(reference, (*displacement.shape[:-1], len(reference))))
        out[..., self.columns] += displacement
        return out

    # ---- signs ------------------------------------------------------------------------------
    def values(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values of all rows (domain, neurons) at inputs (m, n0), and bounds of their errors."""
        rows = np.asarray(self.given, dtype=np.float64)
        d = self.n_domain
        terms = (self.n0 + 4) * U * 1.01
        out, err = [], []
        with np.errstate(over="ignore", invalid="ignore"):
            z = X @ rows[:, :-1].T + rows[:, -1]
            size = np.abs(X) @ np.abs(rows[:, :-1]).T + np.abs(rows[:, -1])
            tiny = np.full(rows.shape[0], (2 * self.n0 + 4) * 2.0**-1074)
            out.append(z)
            err.append(terms * size + tiny)
            z, size, tiny = z[:, d:], size[:, d:], tiny[d:]
            for layer in range(1, len(self.hidden)):
                w, b = self.W[layer], self.b[layer]
                z = np.maximum(z, 0.0) @ w.T + b
                size = size @ np.abs(w).T + np.abs(b)
                terms += (w.shape[1] + 4) * U * 1.01
                tiny = np.abs(w) @ tiny + (2 * w.shape[1] + 4) * 2.0**-1074
                out.append(z)
                err.append(terms * size + tiny)
        bounds = np.concatenate(err, axis=1)
        bounds[np.isnan(bounds)] = np.inf
        return np.concatenate(out, axis=1), bounds

    def sign_rows(self, x: FloatArray) -> tuple[SignArray, FloatArray]:
        """Signs (D + N,) of the region at x, and the direction that was taken where x lies on walls.

        The direction is zero where the filter decided every sign, so that x lies inside.
        """
        z, err = self.values(x[None, :])
        if (np.abs(z[0]) > err[0]).all():
            signs = np.sign(z[0]).astype(np.int8)
            self._inside(signs)
            return signs, np.zeros(self.n0)
        for direction in self._directions(x):
            signs = self.exact_signs(x, direction)
            self._inside(signs)
            zeros = np.flatnonzero(signs == 0)
            if not len(zeros) or self._vanish(signs, zeros):
                return signs, direction
        raise UncertifiedSignError("no direction leaves every wall at the point; please report this network")

    def _inside(self, signs: SignArray) -> None:
        bad = np.flatnonzero(signs[: self.n_domain] <= 0)
        if len(bad):
            raise InputError(f"the point is outside the domain: inequality {int(bad[0])} fails", inequality=int(bad[0]))

    def _directions(self, x: FloatArray) -> list[FloatArray]:
        rng = np.random.default_rng(20260101)
        draws = np.round(rng.standard_normal((6, self.n0)) * 1024) / 1024
        if self.domain is None:
            return list(draws)
        found = interior_point(self.domain.A.astype(np.float64), self.domain.b.astype(np.float64))
        if found is None or not found[1] > 0:
            raise InputError("the domain has no interior point")
        middle, radius = found
        size = 0.5 * radius / np.linalg.norm(draws, axis=1, keepdims=True)
        return list(middle + size * draws - x)

    @cached_property
    def _exact_layers(self) -> list[tuple[Array, Array]]:
        exact = self.network.exact()
        return list(zip(exact.weights, exact.biases))

    @cached_property
    def _exact_domain(self) -> Array:
        return np.array([[Fraction(v) for v in row] for row in self.given[: self.n_domain]], dtype=object).reshape(
            self.n_domain, self.n0 + 1
        )

    def exact_signs(self, x: Any, direction: Any) -> SignArray:
        """Signs (D + N,) at ``x + eps direction`` for all small eps > 0, in rational arithmetic."""
        self.stats.exact_points += 1
        pair = np.array([[Fraction(a), Fraction(b)] for a, b in zip(x, direction)], dtype=object)
        signs: list[int] = []
        if self.n_domain:
            values = self._exact_domain[:, :-1] @ pair
            signs += [_lexicographic(v + c, s) for (v, s), c in zip(values, self._exact_domain[:, -1])]
        for w, b in self._exact_layers[: len(self.hidden)]:
            values = exact_product(w, pair)
            values[:, 0] += b
            mine = [_lexicographic(v, s) for v, s in values]
            signs += mine
            pair = values
            pair[np.array(mine) <= 0] = Fraction(0)
        return np.array(signs, dtype=np.int8)

    def exact_forms(self, signs: SignArray, rows: Any) -> Array:
        """Forms (len(rows), n0 + 1) of rows on a cell as Fractions, constant last."""
        wanted = [int(r) for r in rows]
        last = max([0, *(int(np.searchsorted(self.offsets, r - self.n_domain, side="right")) for r in wanted)])
        parts = [self._exact_domain]
        level: Array | None = None
        for layer in range(min(last, len(self.hidden))):
            w, b = self._exact_layers[layer]
            if level is None:
                level = np.concatenate([w, b[:, None]], axis=1)
            else:
                active = signs[self.n_domain + self.offsets[layer - 1] : self.n_domain + self.offsets[layer]] > 0
                level = exact_product(w[:, active], level[active])
                level[:, -1] += b
            parts.append(level)
        return np.concatenate(parts, axis=0)[wanted]

    def _vanish(self, signs: SignArray, rows: IntArray) -> bool:
        return bool((self.exact_forms(signs, rows) == 0).all())

    # ---- forms ------------------------------------------------------------------------------
    def float_forms(self, signs: SignArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Forms (D + N, n0 + 1) of all rows on a cell, and the affine map (nL, n0), (nL,)."""
        parts = [np.asarray(self.given[: self.n_domain], dtype=np.float64)]
        level: FloatArray | None = None
        for layer in range(len(self.W)):
            w, b = self.W[layer], self.b[layer]
            if level is None:
                level = np.concatenate([w, b[:, None]], axis=1)
            else:
                active = signs[self.n_domain + self.offsets[layer - 1] : self.n_domain + self.offsets[layer]] > 0
                level = w[:, active] @ level[active]
                level[:, -1] += b
            if layer < len(self.hidden):
                parts.append(level)
        assert level is not None
        return np.concatenate(parts, axis=0), level[:, :-1], level[:, -1]

    def rows(self, signs: SignArray, reference: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Oriented rows (G, V, E1, E0) of a cell about a reference point."""
        m = self.n_domain + self.n_neurons
        G, V, E1, E0 = np.empty((m, self.n)), np.empty(m), np.empty(m), np.empty(m)
        kf.cell_rows(
            self.full,
            self.first,
            reference,
            self.terms0,
            self.given_error,
            self.widths,
            self.deep_weights,
            self.deep_biases,
            self.n_domain,
            signs[self.n_domain :],
            G,
            V,
            E1,
            E0,
        )
        return G, V, E1, E0

    # ---- facets -----------------------------------------------------------------------------
    def solve(self, signs: SignArray, reference: FloatArray, along: FloatArray) -> Cell:
        """Facets of the cell with these signs; ``along`` (n,) points into it from the reference, or is zero."""
        n = self.n
        G, V, E1, E0 = self.rows(signs, reference)
        m = len(V)
        self.stats.cells += 1
        rows: IntArray | None = None
        coordinates: IntArray | None = None
        h1 = self.hidden[0] if self.hidden else 0
        interior = np.zeros(n)
        free = np.zeros(0, dtype=np.int64)
        unit = 1.0
        if self.by_layer:  # inactive first-layer neurons bound a coordinate that nothing else looks at
            active = signs[:h1] > 0
            free = np.flatnonzero(~active)
            coordinates = np.flatnonzero(active)
            rows = np.concatenate([coordinates, np.arange(h1, m)])
            rows = rows[signs[rows] != 0]
            unit = float(np.abs(reference).mean()) or 1.0
            interior[free] = np.where(reference[free] < -1e-3 * unit, 0.0, -0.5 * unit - reference[free])
        elif (signs == 0).any():
            rows = np.flatnonzero(signs != 0)
        if rows is not None:
            G, V, E1, E0 = G[rows], V[rows], E1[rows], E0[rows]
            if coordinates is not None:
                G = np.ascontiguousarray(G[:, coordinates])
                along = along[coordinates]
        k = G.shape[1]
        mm = len(V)
        status = np.zeros(mm, dtype=np.int8)
        witness = np.full((mm, k), np.nan)
        d0 = np.zeros(k)
        counts = np.zeros(4, dtype=np.int64)
        failed = 0
        if k and mm:
            along = np.ascontiguousarray(along)
            shots = 6 * k + 12
            failed = kf.facets(G, V, E1, E0, np.zeros(k), along, status, witness, d0, counts, shots, 8)
            if failed:
                failed = self._recentre(G, V, E1, E0, status, witness, d0, counts, shots)
            self.stats.rays += int(counts[0])
            self.stats.cone_tests += int(counts[1])
            self.stats.bases += int(counts[2])
            self.stats.reused += int(counts[3])
            if failed:
                status[:] = kf.UNSURE
                d0[:] = np.nan
        elif mm:
            status[:] = kf.REDUNDANT
            failed = 1
        groups: dict[int, tuple[int, ...]] = {}
        ids = np.arange(m) if rows is None else rows
        local = None if self.by_layer else (G, V, reference)
        while True:
            unsure = np.flatnonzero(status == kf.UNSURE)
            if not len(unsure):
                break
            for lead, more in self._decide_exactly(signs, ids, status, unsure, witness, local).items():
                groups[lead] = tuple(sorted({*groups.get(lead, ()), *more}))
            waiting = status == kf.WAITING
            if not waiting.any():
                break
            status[waiting] = kf.UNKNOWN
            if failed or kf.facets(G, V, E1, E0, d0.copy(), np.zeros(k), status, witness, d0, counts, 0, 0):
                status[waiting] = kf.UNSURE
        own = np.flatnonzero(status == kf.FACET)
        facets = own if rows is None else rows[own]
        points = witness[own]
        if coordinates is not None:
            interior[coordinates] = d0
            wide = np.tile(interior, (len(own) + len(free), 1))
            wide[: len(own), coordinates] = points
            at = np.arange(len(own), len(wide))
            wide[at, free] = 0.5 * unit - reference[free]
            facets, points = np.concatenate([facets, free]), wide
            order = np.argsort(facets, kind="stable")
            facets, points = facets[order], points[order]
        else:
            interior = d0
        return Cell(signs, reference, interior, facets, points, groups)

    def _recentre(self, G: FloatArray, V: FloatArray, E1: FloatArray, E0: FloatArray, *rest: Any) -> int:
        """Look for an interior point by linear programming and try again; nonzero if that fails."""
        status, witness, d0, counts, shots = rest
        scale = np.linalg.norm(G, axis=1)
        scale[scale == 0] = 1.0
        unit = _local_unit(V / scale, G.shape[1])
        try:
            found = interior_point(-G / scale[:, None], V / scale / unit)
        except SolverError:  # no answer is not "empty": the exact path decides
            return 1
        if found is None or not found[1] > 0:
            return 1
        zero = np.zeros(G.shape[1])
        return int(kf.facets(G, V, E1, E0, unit * found[0], zero, status, witness, d0, counts, shots, 8))

    def _decide_exactly(
        self,
        signs: SignArray,
        ids: IntArray,
        status: SignArray,
        unsure: IntArray,
        witness: FloatArray,
        local: tuple[FloatArray, FloatArray, FloatArray] | None,
    ) -> dict[int, tuple[int, ...]]:
        """Settle rows in rational arithmetic; rows that coincide with a facet, by facet."""
        pool = np.flatnonzero(status != kf.REDUNDANT)
        forms = self.exact_forms(signs, ids[pool])
        forms = forms * np.array([int(s) for s in signs[ids[pool]]], dtype=object)[:, None]
        used = np.concatenate([forms[:, self.columns], forms[:, -1:]], axis=1)
        index = {int(r): i for i, r in enumerate(pool)}
        leaders: dict[tuple[Fraction, ...], int] = {}
        for e in np.flatnonzero(status == kf.FACET):
            if np.isnan(witness[e]).any():  # decided exactly before: others may coincide with it
                leaders[_direction(used[index[int(e)]])] = int(e)
        groups: dict[int, list[int]] = {}
        self.stats.exact_rows += len(unsure)
        alive = set(index)
        for r in [*unsure, *np.flatnonzero(status == kf.WAITING)]:
            r = int(r)
            row = used[index[r]]
            key = _direction(row)
            if not key:  # constant: positive on the cell, so no wall
                alive.discard(r)
                status[r] = kf.REDUNDANT
                continue
            if key in leaders:
                groups.setdefault(leaders[key], [leaders[key]]).append(r)
                alive.discard(r)
                status[r] = kf.REDUNDANT
            else:
                leaders[key] = r
        for r in unsure:
            r = int(r)
            if r not in alive:
                continue
            rest = [e for e in sorted(alive) if e != r]
            others = [index[e] for e in rest]
            row = used[index[r]]
            redundant = False
            if local is not None and len(others) > 24:
                guess = self._guess(*local, r, rest, forms, index)
                if guess is True:
                    status[r] = kf.FACET
                    continue
                if guess is not False:
                    some = [index[e] for e in guess]
                    found = solve_lp_exact(used[some, -1], used[some, :-1].T, row[:-1])
                    redundant = found.x is not None and found.value <= row[-1]
            if others and not redundant:
                found = solve_lp_exact(used[others, -1], used[others, :-1].T, row[:-1])
                redundant = found.status == "unbounded" or (found.x is not None and found.value <= row[-1])
            if redundant:
                alive.discard(r)
                status[r] = kf.REDUNDANT
            else:
                status[r] = kf.FACET
        return {
            int(ids[lead]): tuple(sorted(int(ids[r]) for r in rows))
            for lead, rows in groups.items()
            if status[lead] == kf.FACET
        }

    def _guess(
        self,
        G: FloatArray,
        V: FloatArray,
        reference: FloatArray,
        r: int,
        rest: list[int],
        forms: Array,
        index: dict[int, int],
    ) -> bool | list[int]:
        """True: a point beyond row r alone was found and checked exactly. Otherwise rows that may imply it, or False."""
        norms = np.linalg.norm(G, axis=1)
        norms[norms == 0] = 1.0
        A, v = G / norms[:, None], V / norms
        unit = _local_unit(v, A.shape[1])
        rows = np.concatenate([-A[rest], A[[r]]])
        values = np.concatenate([v[rest], -v[[r]]]) / unit
        n = A.shape[1]
        try:
            found = solve_lp(
                np.r_[np.zeros(n), -1.0],
                A_ub=np.hstack([rows, np.ones((len(rows), 1))]),
                b_ub=values,
                bounds=[(None, None)] * n + [(None, 1.0)],
            )
            if found.x is not None and found.x[-1] > 0:
                point = np.array([Fraction(c) for c in self.moved(reference, unit * found.x[:-1])], dtype=object)
                exact = forms[:, :-1] @ point + forms[:, -1]
                return bool(exact[index[r]] < 0 and all(exact[index[e]] > 0 for e in rest))
            dual = solve_lp(v[rest] / unit, A_eq=A[rest].T, b_eq=A[r], bounds=(0, None))
        except SolverError:
            return False
        if dual.x is None:
            return False
        chosen = [e for e, value in zip(rest, dual.x) if value > 1e-12]
        near = [e for e in np.argsort(np.abs(v))[: 2 * n + 2].tolist() if e in index and e in rest]
        return sorted({*chosen, *near})

    # ---- neighbours -------------------------------------------------------------------------
    def flipped(self, cell: Cell, i: int) -> SignArray | None:
        """Signs beyond the i-th facet of a cell; None beyond the domain."""
        row = int(cell.facets[i])
        if row < self.n_domain:
            return None
        if not cell.groups and not (cell.signs == 0).any():
            signs = cell.signs.copy()
            signs[row] = -signs[row]
            return signs
        return self._cross_exactly(cell, i)

    def _cross_exactly(self, cell: Cell, i: int) -> SignArray:
        """Signs beyond a facet where several neurons may change: exact, at a point of the facet."""
        row = int(cell.facets[i])
        group = cell.groups.get(row, (row,))
        if len(group) == 1 and not (cell.signs == 0).any():
            signs = cell.signs.copy()
            signs[row] = -signs[row]
            return signs
        point, normal = self.exact_facet_point(cell, row, group)
        return self.exact_signs(point, normal)

    def exact_facet_point(self, cell: Cell, row: int, group: tuple[int, ...]) -> tuple[Array, Array]:
        """A rational point in the relative interior of a facet, and a direction out of the cell."""
        keep = [r for r in range(self.n_domain + self.n_neurons) if cell.signs[r] != 0 and r not in group]
        forms = self.exact_forms(cell.signs, [row, *keep])
        oriented = forms * np.array([int(s) for s in cell.signs[[row, *keep]]], dtype=object)[:, None]
        wall, others = oriented[0], oriented[1:]
        others = others[np.array([any(v != 0 for v in f[:-1]) for f in others], dtype=bool)] if len(others) else others
        # maximise t: wall = 0, others >= t * size, t <= 1
        A = others.astype(np.float64)
        size = np.linalg.norm(A[:, :-1], axis=1, keepdims=True) if len(A) else np.zeros((0, 1))
        w = wall.astype(np.float64)
        found = None
        with contextlib.suppress(SolverError):  # no answer: the exact simplex below has one
            found = solve_lp(
                np.r_[np.zeros(self.n0), -1.0],
                A_ub=np.hstack([-A[:, :-1], size]) if len(A) else None,
                b_ub=A[:, -1] if len(A) else None,
                A_eq=np.r_[w[:-1], 0.0][None, :],
                b_eq=[-w[-1]],
                bounds=[(None, None)] * self.n0 + [(None, 1.0)],
            )
        normal = np.array([-v for v in wall[:-1]], dtype=object)
        if found is not None and found.x is not None:
            point = np.array([Fraction(v) for v in found.x[:-1]], dtype=object)
            # onto the wall exactly, along its normal
            point = point + normal * ((wall[:-1] @ point + wall[-1]) / (normal @ normal))
            if all(v > 0 for v in others[:, :-1] @ point + others[:, -1]):
                return point, normal
        # the other facets are enough: what they imply is positive inside this one
        near = self.exact_forms(cell.signs, [r for r in cell.facets if r not in group])
        near = near * np.array([int(cell.signs[r]) for r in cell.facets if r not in group], dtype=object)[:, None]
        point = _relative_interior(wall, near)
        if not all(v > 0 for v in others[:, :-1] @ point + others[:, -1]):
            raise UncertifiedSignError("a facet has no point inside it alone; please report this network")
        return point, normal


def _relative_interior(wall: Array, others: Array) -> Array:
    """A rational point with wall = 0 and the other forms positive, by the exact simplex."""
    n, m = len(wall) - 1, len(others)
    zero, one = Fraction(0), Fraction(1)
    rows, right = [[*wall[:-1], *(-v for v in wall[:-1]), *[zero] * (m + 2)]], [-wall[-1]]
    for i, form in enumerate(others):
        size = max(abs(v) for v in form[:-1])
        slack = [zero] * m
        slack[i] = -one
        rows.append([*form[:-1], *(-v for v in form[:-1]), -size, zero, *slack])
        right.append(-form[-1])
    rows.append([*[zero] * (2 * n), one, one, *[zero] * m])
    right.append(one)
    cost = [zero] * (2 * n + m + 2)
    cost[2 * n] = -one
    found = solve_lp_exact(np.array(cost, dtype=object), np.array(rows, dtype=object), np.array(right, dtype=object))
    if found.x is None or not found.x[2 * n] > 0:
        raise UncertifiedSignError("a facet has an empty interior; please report this network")
    point: Array = found.x[:n] - found.x[n : 2 * n]
    return point


def _local_unit(values: FloatArray, n: int) -> float:
    """A length of the size of a cell: a distance to one of the nearest walls."""
    nearest = np.sort(np.abs(values[np.isfinite(values)]))
    unit = float(nearest[min(2 * n, len(nearest) - 1)]) if len(nearest) else 1.0
    return unit if unit > 0 else 1.0


def _direction(row: Array) -> tuple[Fraction, ...]:
    """An affine form up to positive factors; empty for a constant."""
    lead = next((abs(v) for v in row[:-1] if v != 0), None)
    return () if lead is None else tuple(v / lead for v in row)


def _lexicographic(value: Fraction, slope: Fraction) -> int:
    lead = value if value != 0 else slope
    return (lead > 0) - (lead < 0)


_FRAMES: OrderedDict[tuple[int, int], CellFrame] = OrderedDict()
_LOCK = threading.Lock()


def cell_frame(network: ReLUNetwork, domain: Polyhedron | None = None) -> CellFrame:
    """The frame of a network and a domain; the last few are kept, since preparing one takes longer than a cell."""
    key = (id(network), id(domain))
    with _LOCK:
        frame = _FRAMES.get(key)
        if frame is not None and frame.network is network and frame.domain is domain:
            _FRAMES.move_to_end(key)
            return frame
    frame = CellFrame(network, domain)
    with _LOCK:
        _FRAMES[key] = frame
        while len(_FRAMES) > 8:
            _FRAMES.popitem(last=False)
    return frame


def as_point(frame: CellFrame, x: Any, what: str = "x") -> FloatArray:
    """A finite float64 vector that fits the network."""
    point = np.ascontiguousarray(x, dtype=np.float64)
    if point.shape != (frame.n0,):
        raise ShapeError(f"{what} has shape {point.shape}; the network has {frame.n0} inputs")
    if not np.isfinite(point).all():
        raise InputError(f"{what} must be finite")
    return point
