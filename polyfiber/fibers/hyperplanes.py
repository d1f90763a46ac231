"""One-hidden-layer functions by their hyperplanes; roles of neurons.

A one-hidden-layer function is its hyperplane representation: the hyperplanes on which its gradient
jumps, the jumps, and the affine map of one region (The Symmetries of Three-Layer ReLU Networks, §4.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from .. import words
from .._typing import Array, FloatArray, SignArray
from .._values.read_only import closed
from ..budget import heed
from ..errors import InputError
from ..network.float_or_rational import largest, lengths, nonzero, ratio, row_norms
from ..numerics.floats import nearest
from ..numerics.rounding import UNIT
from ..words import one_line

Domain = Literal["orthant", "space"]
ROLES = ("nonlinear", "linear", "dead", "cancelling")


@closed
@dataclass(frozen=True)
class HyperplaneRepresentation:
    """A one-hidden-layer function by its hyperplanes, weights and one affine piece (Def. 2).

    The reference region is the one at the origin (on ties: at ``(e, e^2, …)`` for small ``e``), and
    every hyperplane ``{u . y + t = 0}`` is oriented so that the reference region is on its positive side.

    Attributes
    ----------
    normals : (N, n) array
        ``u``, of Euclidean norm 1 (floats) or largest entry ±1 (rationals).
    offsets : (N,) array
        ``t``.
    weights : (N, m) array
        ``c``, the gradient jump across each hyperplane per unit of ``u``.
    slope : (m, n) array, constant : (m,) array
        The affine map ``A_R y + a_R`` of the reference region.
    domain : 'orthant' or 'space'

    Examples
    --------
    >>> from polyfiber.fibers import analyse_layer
    >>> h = analyse_layer([[1.0], [2.0]], [-1.0, -2.0], [[1.0, 1.0]], [0.0]).representation
    >>> h.normals.tolist(), h.offsets.tolist(), h.weights.tolist()
    ([[-1.0]], [1.0], [[3.0]])
    """

    __repr__ = one_line

    normals: Array
    offsets: Array
    weights: Array
    slope: Array
    constant: Array
    domain: Domain

    @property
    def n_hyperplanes(self) -> int:
        """N."""
        return int(self.offsets.shape[0])

    @property
    def is_exact(self) -> bool:
        """Whether the numbers are rationals."""
        return bool(self.slope.dtype == object)

    def __call__(self, Y: Any) -> Array:
        """Values at points: (…, n) -> (…, m)."""
        points = np.asarray(Y)
        z = points @ self.normals.T + self.offsets
        below = np.where(z < 0, -z, 0 * z)
        result: Array = points @ self.slope.T + self.constant + below @ self.weights
        return result

    def symmetric(self) -> tuple[Array, Array]:
        """``(A, a)`` of ``g(y) = sum_i (c_i / 2) |u_i . y + t_i| + A y + a``: no reference region needed."""
        half = self.weights / (Fraction(2) if self.is_exact else 2.0)
        return self.slope - half.T @ self.normals, self.constant - half.T @ self.offsets

    def distance(self, other: HyperplaneRepresentation) -> float:
        """Largest relative difference after matching the hyperplanes; infinity when they do not match.

        Slopes and constants are compared in the symmetric form, so that a hyperplane through the origin
        causes no jump.
        """
        if self.normals.shape[1:] != other.normals.shape[1:] or self.slope.shape != other.slope.shape:
            return np.inf
        if self.n_hyperplanes != other.n_hyperplanes:
            return np.inf
        a, b = _projective(self.normals, self.offsets), _projective(other.normals, other.offsets)
        worst = 0.0
        if self.n_hyperplanes:
            cost = np.minimum(np.abs(a[:, None] - b[None]).max(axis=2), np.abs(a[:, None] + b[None]).max(axis=2))
            from scipy.optimize import linear_sum_assignment

            rows, columns = linear_sum_assignment(cost)
            worst = float(cost[rows, columns].max())
            mine, theirs = _jump_sizes(self)[rows], _jump_sizes(other)[columns]
            size = max(float(np.abs(mine).max()), float(np.abs(theirs).max()))
            worst = max(worst, float(np.abs(mine - theirs).max()) / size)
        for x, y in zip(self.symmetric(), other.symmetric()):
            size = max(largest(x), largest(y), self._scale(), other._scale())
            if size > 0:
                worst = max(worst, float(np.abs(nearest(x - y)).max()) / size)
        return worst

    def _scale(self) -> float:
        terms = np.abs(nearest(self.weights))
        return float(terms.sum(axis=0).max()) if terms.size else 0.0


def _projective(normals: Array, offsets: Array) -> FloatArray:
    rows = _topped(np.concatenate([normals, offsets[:, None]], axis=1))
    return rows / row_norms(rows)[:, None]


def _topped(rows: Array) -> FloatArray:
    """Rows in floats, with largest entry ±1 (rationals may be beyond floats before); zero rows stay."""
    if rows.dtype == object:
        rows = rows / np.array([max(map(abs, row)) or Fraction(1) for row in rows], dtype=object)[:, None]
    floats = nearest(rows)
    top = np.abs(floats).max(axis=1, keepdims=True)
    scaled: FloatArray = floats / np.where(top > 0, top, 1.0)
    return scaled


def _jump_sizes(representation: HyperplaneRepresentation) -> FloatArray:
    sizes = row_norms(nearest(representation.normals))
    return nearest(representation.weights) * sizes[:, None]


@dataclass(frozen=True)
class LayerAnalysis:
    """What the neurons of a hidden layer do on the domain.

    Attributes
    ----------
    representation : HyperplaneRepresentation
        Of the visible hyperplanes.
    roles : tuple of str
        'nonlinear', 'linear', 'dead' or 'cancelling' (its group has weight zero), per neuron.
    hyperplane : tuple of int
        Visible hyperplane of each neuron, or -1.
    groups : tuple of tuple of int
        Neurons that share one hyperplane, visible or not.
    orientation : (N,) int8
        +1 where the neurons of a visible hyperplane are active on the reference region, -1 where
        not, 0 where the group has both.
    sign_margin, coincidence_margin, cancellation_margin : float
        Smallest relative entry that decided a role; smallest distance of two hyperplanes that were
        kept apart; smallest relative weight that was kept as visible. Infinity where nothing had to be decided.
    undecided : tuple of str
        What lies within the tolerances; empty when every decision has a margin.
    """

    __repr__ = one_line

    representation: HyperplaneRepresentation
    roles: tuple[str, ...]
    hyperplane: tuple[int, ...]
    groups: tuple[tuple[int, ...], ...]
    orientation: SignArray
    sign_margin: float
    coincidence_margin: float
    cancellation_margin: float
    undecided: tuple[str, ...]

    @property
    def is_generic(self) -> bool:
        """One neuron per hyperplane, none cancelling, no constant neuron among the linear ones."""
        return not self.undecided and all(len(g) == 1 for g in self.groups) and "cancelling" not in self.roles


def analyse_layer(
    W: Any,
    b: Any,
    C: Any,
    a: Any,
    *,
    domain: Domain = "orthant",
    tolerance: float = 1e-9,
    sign_tolerance: float = 4 * UNIT,
) -> LayerAnalysis:
    """Roles of the neurons of ``y -> C relu(W y + b) + a`` and its hyperplane representation.

    Parameters
    ----------
    W : (H, n), b : (H,), C : (m, H), a : (m,) array_like
        float64 or rationals (then every decision is exact).
    domain : 'orthant' or 'space'
        Where the function is considered: non-negative inputs, or all.
    tolerance : float
        Relative distance within which two hyperplanes are one, and a weight is zero.
    sign_tolerance : float
        Relative size below which the sign of a non-zero entry counts as undecided.

    Raises
    ------
    ShapeError, InputError
        Shapes that do not fit; non-finite entries.

    Examples
    --------
    >>> from polyfiber.fibers import analyse_layer
    >>> analyse_layer([[1.0], [1.0], [-1.0]], [1.0, -1.0, -1.0], [[1.0, 1.0, 1.0]], [0.0]).roles
    ('linear', 'nonlinear', 'dead')
    """
    from ..network.model import ReLUNetwork

    net = ReLUNetwork([W, C], [b, a])  # checks shapes and numbers, and unifies the arithmetic
    if domain not in ("orthant", "space"):
        raise InputError(f"domain {domain!r} is unknown; expected 'orthant' or 'space'")
    (W, C), (b, a) = net.weights, net.biases
    is_exact = net.is_exact
    H, n = W.shape
    undecided: list[str] = []
    roles, sign_margin = _roles(W, b, domain, 0.0 if is_exact else sign_tolerance, undecided)
    norms = lengths(W)
    active = np.zeros(H, dtype=bool)
    unit = np.zeros((H, n + 1), dtype=W.dtype)
    bent = [i for i in range(H) if roles[i] == "nonlinear"]
    for i in bent:
        row = np.concatenate([W[i], b[i : i + 1]]) / norms[i]
        orient = _reference_sign(row)
        active[i] = orient > 0
        unit[i] = row * orient
    groups, coincidence = _coincident(unit, bent, 0.0 if is_exact else tolerance, undecided)
    visible: list[int] = []
    hyperplane = [-1] * H
    orientation: list[int] = []
    weights, cancellation = [], np.inf
    for group in groups:
        terms = C[:, group] * norms[group]
        c = terms.sum(axis=1)
        relative = ratio(c, np.abs(terms).sum(axis=1))
        if relative <= (0.0 if is_exact else tolerance):
            for i in group:
                roles[i] = "cancelling"
            continue
        if not is_exact and relative < 1e3 * tolerance:
            undecided.append(f"whether neurons {words.listed(group)} cancel (relative weight {relative:.2g})")
        cancellation = min(cancellation, relative)
        for i in group:
            hyperplane[i] = len(visible)
        visible.append(group[0])
        weights.append(c)
        both = {bool(active[i]) for i in group}
        orientation.append(0 if len(both) == 2 else (1 if active[group[0]] else -1))
    slope, constant = 0 * C[:, :1] @ W[:1], a.copy()
    for i in range(H):
        on = roles[i] == "linear" or (roles[i] in ("nonlinear", "cancelling") and active[i])
        if domain == "space" and not nonzero(W[i]):
            on = bool(b[i] > 0)
        if on:
            with np.errstate(all="ignore"):
                slope = slope + C[:, i : i + 1] @ W[i : i + 1]
                constant = constant + C[:, i] * b[i]
    representation = HyperplaneRepresentation(
        unit[visible, :n],
        unit[visible, n],
        np.array(weights, dtype=W.dtype).reshape(len(visible), C.shape[0]),
        slope,
        constant,
        domain,
    )
    return LayerAnalysis(
        representation,
        tuple(roles),
        tuple(hyperplane),
        tuple(tuple(g) for g in groups),
        np.array(orientation, dtype=np.int8),
        sign_margin,
        coincidence,
        cancellation,
        tuple(undecided),
    )


def _roles(W: Array, b: Array, domain: Domain, tolerance: float, undecided: list[str]) -> tuple[list[str], float]:
    rows = np.concatenate([W, b[:, None]], axis=1)
    sizes = np.abs(nearest(rows))
    norms = row_norms(sizes)
    roles, margin = [], np.inf
    for i, row in enumerate(rows):
        relative = sizes[i] / norms[i] if norms[i] > 0 else sizes[i]
        sure = relative > tolerance
        positive = (row > 0) & sure
        negative = (row < 0) & sure
        unsure = (row != 0) & ~sure
        if domain == "space":
            zero = not nonzero(W[i])
            roles.append("nonlinear" if not zero else ("linear" if b[i] > 0 else "dead"))
            continue
        if positive.any() and negative.any():
            role = "nonlinear"
            margin = min(margin, float(min(relative[positive].max(), relative[negative].max())))
        else:
            if unsure.any():
                undecided.append(f"the role of neuron {i} (entries within {tolerance:.2g} of zero)")
            as_given_positive, as_given_negative = bool((row > 0).any()), bool((row < 0).any())
            role = "nonlinear" if as_given_positive and as_given_negative else "linear" if as_given_positive else "dead"
            if (positive | negative).any():
                margin = min(margin, float(relative[positive | negative].min()))
        if not nonzero(W[i]):
            role = "linear" if b[i] > 0 else "dead"
        roles.append(role)
    return roles, margin


def _reference_sign(row: Array) -> int:
    """Sign at the reference region: the offset, then the first non-zero normal entry."""
    for value in (row[-1], *row[:-1]):
        if value != 0:
            return 1 if value > 0 else -1
    raise AssertionError("a hyperplane has a non-zero normal")


def _coincident(unit: Array, bent: list[int], tolerance: float, undecided: list[str]) -> tuple[list[list[int]], float]:
    """Groups of equal hyperplanes among the rows ``bent``, and the least distance of two groups."""
    groups: list[list[int]] = []
    margin = np.inf
    # a far hyperplane is all offset beside the others: its normal is compared by itself as well
    scaled = np.concatenate([_topped(unit), _topped(unit[:, :-1])], axis=1)
    leaders = np.empty((len(bent), scaled.shape[1]))  # the first row of each group
    known: dict[tuple[Any, ...], int] = {}  # of rationals: where its group is
    for i in bent:
        heed("comparing hyperplanes")
        n = len(groups)
        distances = np.abs(leaders[:n] - scaled[i]).max(axis=1)
        if unit.dtype == object:
            found = known.setdefault(tuple(unit[i]), n)
        else:
            distances = np.minimum(distances, np.abs(leaders[:n] + scaled[i]).max(axis=1))
            found = int(np.append(distances <= tolerance, True).argmax())
            for k in np.flatnonzero(distances[:found] < 1e3 * tolerance).tolist():
                undecided.append(
                    f"whether neurons {groups[k][0]} and {i} share a hyperplane (distance {distances[k]:.2g})"
                )
        margin = min(margin, float(distances[:found].min(initial=np.inf)))
        if found < n:
            groups[found].append(i)
        else:
            leaders[n] = scaled[i]
            groups.append([i])
    return groups, margin
