"""A network prepared for questions about single cells: coordinates, signs, rows with error bounds.

Coordinates: where the first layer has full row rank and there is no domain, a cell is described in the values
of the first layer, where the walls of that layer are exact coordinate planes; otherwise in input coordinates.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ... import words
from ..._lazy import above
from ..._once import cached_property
from ..._typing import Array, BoolArray, FloatArray, IntArray, SignArray
from ..._values.checked import points_of, shown
from ...domain import Box, Polyhedron
from ...errors import InputError, ShapeError, UncertifiedSignError
from ...kernels.complexes import cell_facets as kf
from ...network.model import ReLUNetwork
from ...network.piecewise import PiecewiseLinearNetwork, require_network
from ...numerics.exact import as_fractions
from ...numerics.floats import nearest
from ...numerics.independent import independent_columns
from ...numerics.lp import interior_point
from ...numerics.products import exact_product
from ...numerics.rounding import LEAST, UNIT, gamma
from ..skeleton.slope_forms import SlopeForms, unsure


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


class CellFrame:
    """A network prepared for questions about single cells.

    Parameters
    ----------
    network : ReLUNetwork
    domain : Box or Polyhedron, optional
    """

    asked: Any = None
    """The network as it was handed to `cell_frame`."""

    def __init__(self, network: ReLUNetwork, domain: Polyhedron | None = None) -> None:
        require_fitting(network, domain)
        n0 = network.architecture[0]
        self.network, self.domain = network, domain
        self.n_domain = 0 if domain is None else domain.n_facets
        self.n_neurons = network.n_hidden
        self.hidden = network.hidden_widths
        parts = [] if domain is None else [domain.affine_forms()]
        if self.hidden:
            parts.append(np.concatenate([network.weights[0], network.biases[0][:, None]], axis=1))
        self.hull = None if domain is None else domain.affine_hull
        given: Array = np.concatenate(parts, axis=0) if parts else np.zeros((0, n0 + 1))
        self.tangential = given if self.hull is None else self.hull.tangential(given)
        self.given: Array = given if self.hull is None else self.hull.in_chart(given)
        self.vanishing: BoolArray = np.zeros(len(given) + sum(self.hidden[1:]), dtype=np.bool_)
        if self.hull is not None:
            self.vanishing[self.hull.equal] = True
        self.columns, rows = independent_columns(self.given[:, :-1], n_first=self.n_domain)
        h1 = self.hidden[0] if self.hidden else 0
        self.by_layer = domain is None and h1 > 0 and len(rows) == h1
        floats = np.ascontiguousarray(nearest(self.given))
        exact_floats = self.given.dtype != object
        if self.by_layer:
            self.full = np.concatenate([np.eye(h1), np.zeros((h1, 1))], axis=1)
            self.first = np.eye(h1)
            self.terms0, self.given_error = 0.0, 0.0
        else:
            self.full = floats
            self.first = np.ascontiguousarray(floats[:, :-1][:, self.columns])
            self.terms0, self.given_error = n0 + 4.0, 0.0 if exact_floats else 2 * UNIT
        self.widths = np.array([h1, *self.hidden[1:]], dtype=np.int64)
        deep = [nearest(w) for w in network.weights[1 : len(self.hidden)]]
        self.deep_weights = np.concatenate([w.ravel() for w in deep]) if deep else np.zeros(1)
        deep_b = [nearest(b) for b in network.biases[1 : len(self.hidden)]]
        self.deep_biases = np.concatenate(deep_b) if deep_b else np.zeros(1)
        self.W = [nearest(w) for w in network.weights]
        self.b = [nearest(b) for b in network.biases]
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
    @np.errstate(all="ignore")
    def reference(self, x: FloatArray) -> FloatArray:
        """The reference point of an input in the coordinates of the given forms."""
        if self.by_layer:
            result: FloatArray = self.W[0] @ x + self.b[0]
            return result
        return x

    @cached_property
    def _lift(self) -> FloatArray:
        return np.asarray(np.linalg.pinv(self.W[0]), dtype=np.float64)

    @np.errstate(all="ignore")
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
        if self.hull is not None:
            fixed, lift = self.hull.fixed, nearest(self.hull.lift[self.hull.fixed])
            out[..., fixed] = out[..., self.hull.free] @ lift[:, :-1].T + lift[:, -1]
        return out

    def on_flat(self, point: Array) -> Array:
        """An exact point (n0,) with the coordinates that a flat domain fixes put right."""
        if self.hull is None:
            return point
        return exact_product(self.hull.lift, np.array([*point[self.hull.free], Fraction(1)], dtype=object)[:, None])[
            :, 0
        ]

    def along(self, x: FloatArray, step: FloatArray, *, linear: bool = False) -> FloatArray:
        """``x + step``, the step made tangent to a flat domain."""
        if self.hull is None:
            return np.asarray(x + step)
        if not self.hull.dimension:
            return x
        basis = np.linalg.qr(nearest(self.hull.lift[:, :-1]))[0]
        moved = x + basis @ (basis.T @ step)
        if self.hull.is_straight and not linear:
            moved[self.hull.fixed] = x[self.hull.fixed]
        return np.asarray(moved)

    # ---- signs ------------------------------------------------------------------------------
    def values(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values of all rows (domain, neurons) at inputs (m, n0), and bounds of their errors."""
        rows = nearest(self.given)
        d = self.n_domain
        terms = gamma(self.n0 + 4)
        out, err = [], []
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            z = X @ rows[:, :-1].T + rows[:, -1]
            size = np.abs(X) @ np.abs(rows[:, :-1]).T + np.abs(rows[:, -1])
            tiny = np.full(rows.shape[0], (2 * self.n0 + 4) * LEAST)
            out.append(z)
            err.append(terms * size + tiny)
            z, size, tiny = z[:, d:], size[:, d:], tiny[d:]
            for layer in range(1, len(self.hidden)):
                w, b = self.W[layer], self.b[layer]
                z = np.maximum(z, 0.0) @ w.T + b
                size = size @ np.abs(w).T + np.abs(b)
                terms += gamma(w.shape[1] + 4)
                tiny = np.abs(w) @ tiny + (2 * w.shape[1] + 4) * LEAST
                out.append(z)
                err.append(terms * size + tiny)
        values, bounds = np.concatenate(out, axis=1), np.concatenate(err, axis=1)
        bounds[np.isnan(bounds) | ~np.isfinite(values)] = np.inf
        return values, bounds

    def sign_rows(self, x: FloatArray, exact: Array | None = None) -> tuple[SignArray, FloatArray]:
        """Signs (D + N,) of the region at x, and the direction that was taken where x lies on walls.

        The direction is zero where x lies inside. ``exact`` is the point itself where x is what it was rounded to.
        """
        if self.hull is not None and not self.hull.contains(as_fractions(x) if exact is None else exact):
            raise InputError(
                "the point is outside the domain, which is flat; floats rarely lie on a slanted flat exactly: "
                "ask at domain.exact_point(x), the point with the same free coordinates, or give fractions"
            )
        z, err = self.values(x[None, :])
        if exact is None and ((np.abs(z[0]) > err[0]) | self.vanishing).all():
            signs = np.where(self.vanishing, 0, np.sign(z[0])).astype(np.int8)
            self._inside(signs)
            return signs, np.zeros(self.n0)
        signs = self.exact_signs(x if exact is None else exact, np.zeros(self.n0))
        if ((signs != 0) | self.vanishing).all():
            self._inside(signs)
            return signs, np.zeros(self.n0)
        for direction in self._directions(x):
            signs = self.exact_signs(x if exact is None else exact, direction)
            self._inside(signs)
            zeros = np.flatnonzero((signs == 0) & ~self.vanishing)
            if not len(zeros) or self._vanish(signs, zeros):
                return signs, direction
        raise UncertifiedSignError("no direction leaves every wall at the point; please report this network")

    def _inside(self, signs: SignArray) -> None:
        bad = np.flatnonzero((signs <= 0)[: self.n_domain] & ~self.vanishing[: self.n_domain])
        if len(bad):
            i, why = int(bad[0]), f"inequality {int(bad[0])} of A x <= b fails"
            if isinstance(self.domain, Box):
                j = int(np.flatnonzero(self.domain.A[i])[0])
                lo, hi = words.number(self.domain.lo[j]), words.number(self.domain.hi[j])
                why = f"coordinate {j} is not within [{lo}, {hi}]"
            raise InputError(f"the point is outside the domain: {why}", inequality=i)

    def _directions(self, x: FloatArray) -> list[FloatArray]:
        rng = np.random.default_rng(20260101)
        draws = np.round(rng.standard_normal((6, self.n0)) * 1024) / 1024
        if self.domain is None:
            return list(draws)
        # within the flat of the domain, in the coordinates that parametrise it: no form looks at the others
        free = np.arange(self.n0) if self.hull is None else self.hull.free
        sides = nearest(self.given[: self.n_domain])
        sides = sides[(sides[:, :-1] != 0).any(axis=1)]
        found = interior_point(-sides[:, free], sides[:, -1])
        if found is None or not found[1] > 0:
            raise InputError("the domain has no interior point that floats find")
        middle = x.copy()
        middle[free] = found[0]
        draws[:, np.setdiff1d(np.arange(self.n0), free)] = 0.0
        size = 0.5 * found[1] / np.maximum(np.linalg.norm(draws, axis=1, keepdims=True), 1e-300)
        return list(middle + size * draws - x)

    @cached_property
    def _exact_layers(self) -> list[tuple[Array, Array]]:
        exact = self.network.exact()
        layers = list(zip(exact.weights, exact.biases))
        if self.hull is not None and self.hidden:
            first = as_fractions(self.given[self.n_domain :])
            layers[0] = first[:, :-1], first[:, -1]
        return layers

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
    @cached_property
    def slope_forms(self) -> SlopeForms:
        """The network as it is defined, for forms on cells."""
        return SlopeForms(self.network, self.hull)

    @property
    def _reach(self) -> float:
        box = self.domain
        return float(np.abs(nearest(np.concatenate([box.lo, box.hi]))).max()) if isinstance(box, Box) else np.inf

    def float_forms(self, signs: SignArray, rows: IntArray) -> tuple[FloatArray, FloatArray]:
        """Forms (len(rows), n0 + 1) of rows on a cell, with tangential gradients on a flat, and bounds of their
        errors.
        """
        sides = nearest(self.tangential[: self.n_domain])
        levels = self.slope_forms.float_levels(signs[None, self.n_domain :])
        parts = [(sides, 2 * UNIT * np.abs(sides)), *((f[:, 0], e[:, 0]) for f, e in levels)][:-1]
        forms, errors = (np.concatenate(p)[rows] for p in zip(*parts))
        for i in np.flatnonzero(unsure(forms, errors, self._reach)).tolist():
            exact = self.exact_forms(signs, rows[i : i + 1])
            forms[i] = nearest(exact if self.hull is None else self.hull.tangential(exact))[0]
            errors[i] = 2 * UNIT * np.abs(forms[i])
        return forms, errors

    def affine_map(self, signs: SignArray) -> tuple[FloatArray, FloatArray]:
        """The affine map (nL, n0), (nL,) on a cell."""
        (forms,), (errors,) = self.slope_forms.floats(signs[None, self.n_domain :])
        for o in np.flatnonzero(unsure(forms, errors, self._reach)).tolist():
            row = self.slope_forms.exact(signs[self.n_domain :], len(self.hidden) + 1, o)
            exact = np.array([row], dtype=object)
            forms[o] = nearest(exact if self.hull is None else self.hull.tangential(exact))[0]
        return forms[:, :-1], forms[:, -1]

    def rows(self, signs: SignArray, reference: FloatArray) -> kf.Rows:
        """Oriented rows (G, V, E1, E0) of a cell about a reference point."""
        m = self.n_domain + self.n_neurons
        out = kf.Rows(np.empty((m, self.n)), np.empty(m), np.empty(m), np.empty(m))
        deep = kf.Layers(self.widths, self.deep_weights, self.deep_biases)
        given = self.full, self.first, reference, self.terms0, self.given_error
        kf.cell_rows(*given, deep, self.n_domain, signs[self.n_domain :], out)
        return out


def require_fitting(network: Any, domain: Any) -> None:
    """Refuse a domain that is none, or not of the network's inputs."""
    n0 = network.architecture[0]
    if domain is not None and not isinstance(domain, Polyhedron):
        raise InputError(f"domain must be None, a Box or a Polyhedron, found {type(domain).__name__}")
    if domain is not None and domain.dimension != n0:
        raise ShapeError(
            f"the domain has {words.count(domain.dimension, 'coordinate')} but the network has {words.count(n0, 'input')}"
        )


def _lexicographic(value: Fraction, slope: Fraction) -> int:
    lead = value if value != 0 else slope
    return (lead > 0) - (lead < 0)


_FRAMES: OrderedDict[tuple[int, int], CellFrame] = OrderedDict()
_LOCK = threading.Lock()


def cell_frame(network: ReLUNetwork | PiecewiseLinearNetwork, domain: Polyhedron | None = None) -> CellFrame:
    """The frame of a network and a domain; the last few are kept, since preparing one takes longer than a cell."""
    key = (id(network), id(domain))
    with _LOCK:
        frame = _FRAMES.get(key)
        if frame is not None and frame.asked is network and frame.domain is domain:
            _FRAMES.move_to_end(key)
            return frame
    whole = require_network(network)
    frame = (
        CellFrame(whole, domain)
        if isinstance(whole, ReLUNetwork)
        else above("complexes.local.gate_arrays:GateFrame")(whole, domain)
    )
    frame.asked = network
    with _LOCK:
        _FRAMES[key] = frame
        while len(_FRAMES) > 8:
            _FRAMES.popitem(last=False)
    return frame


def as_exact_point(frame: CellFrame, x: Any, what: str = "x") -> tuple[FloatArray, Array | None]:
    """A finite float64 vector that fits the network, and the point itself where it is rational and floats do not hold
    it.
    """
    try:
        given = as_fractions(x) if np.asarray(x).dtype == object else None
    except Exception:
        raise InputError(f"{what} must be {words.count(frame.n0, 'number')}, found {shown(x)}") from None
    point = as_point(frame, x if given is None else nearest(given), what)
    return point, None if given is None or (as_fractions(point) == given).all() else given


def as_point(frame: CellFrame, x: Any, what: str = "x") -> FloatArray:
    """A finite float64 vector that fits the network."""
    try:
        return np.ascontiguousarray(points_of(x, frame.n0, single=True))
    except InputError as error:
        raise type(error)(f"{what}: {error}") from None
