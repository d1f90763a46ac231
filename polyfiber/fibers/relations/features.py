"""Relations among the features of one layer: which of them are sums of others, and what that rests on.

Features ``phi_i = relu(w_i . y + b_i)`` are written over one hyperplane each: ``s relu(z_h)`` or
``s relu(-z_h) = s (relu(z_h) - z_h)``, ``z_h = rho_h . y``. The functions ``relu(z_h)`` of distinct hyperplanes, the
coordinates of y and 1 are linearly independent, so with ``phi = M psi`` the relations ``c . phi = const`` are the
kernel of M without its last column, transposed: pairs of rows on one hyperplane, and dependent affine parts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.linalg

from ... import words
from ..._typing import Array, FloatArray
from ..._values.checked import real
from ...budget import Budget, within_budget
from ...errors import InputError, NumericalError
from ...network.model import ReLUNetwork
from ...network.piecewise import require_chain
from ...numerics.exact import rref
from ...numerics.rounding import NOISE, TINY, gamma
from ..hyperplanes import Domain
from .grouping import GAP, Groups, group_rows

NORMAL = float(np.finfo(np.float64).tiny)
"""Below it floats lose digits, and their reciprocals overflow."""


@dataclass(frozen=True, eq=False)
class FeatureRelations:
    """Linear relations among the features of a hidden layer, as functions of the activations before it.

    Attributes
    ----------
    layer : int
    domain : 'space' or 'orthant'
        Where they hold: for all ``y``, or for ``y >= 0``.
    roles : tuple of str
        'nonlinear', 'linear' (its form is nowhere negative), 'dead' or 'constant', for each feature.
    hyperplane : tuple of int
        Row of `hyperplanes` of each nonlinear feature, -1 for others.
    hyperplanes : (H, n + 1) array
        ``(w | b)`` of each hyperplane, largest weight 1.
    matrix : (k, H + n + 1) array
        M: every feature over ``relu(z_h)``, y and 1.
    relations : (r, k) array, constants : (r,) array
        ``relations @ phi = constants``, one for each feature that is not in the basis.
    basis : tuple of int
        Features of which all others are affine functions.
    expression : (k, len(basis)) array, offset : (k,) array
        ``phi = expression @ phi[basis] + offset``.
    bounds : (r, 2) float64
        ``|relations @ phi - constants| <= constant + slope * max |y_i|`` for every y of the domain: (constant, slope).
        Zero in exact arithmetic.
    joined, apart : float
        Largest distance of rows that count as one hyperplane; smallest of rows that do not (up to 1e-2; infinity
        beyond).
    kept, dropped : float
        Smallest relative size of an affine part that counts as independent, largest of one that does not.
    undecided : tuple of str
        Decisions without a margin; empty when every decision has one.

    Examples
    --------
    >>> import numpy as np
    >>> import polyfiber as pf
    >>> W = np.array([[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [-1, -1]])
    >>> net = pf.ReLUNetwork([W, np.ones((1, 6))], [np.zeros(6), [0.0]])
    >>> len(pf.feature_relations(net, 1).basis)
    5
    """

    layer: int
    domain: Domain
    roles: tuple[str, ...]
    hyperplane: tuple[int, ...]
    hyperplanes: Array
    matrix: Array
    relations: Array
    constants: Array
    basis: tuple[int, ...]
    expression: Array
    offset: Array
    bounds: FloatArray
    joined: float
    apart: float
    kept: float
    dropped: float
    undecided: tuple[str, ...]
    rows: Array = field(repr=False)

    @property
    def is_exact(self) -> bool:
        """Whether the numbers are rationals and the relations identities."""
        return bool(self.matrix.dtype == object)

    @property
    def n_relations(self) -> int:
        """Features that the others make superfluous."""
        return len(self.constants)

    def supports(self) -> tuple[tuple[int, ...], ...]:
        """Features that occur in each relation."""
        return tuple(tuple(int(i) for i in np.flatnonzero(c != 0)) for c in self.relations)

    def bound(self, index: int, Y: Any) -> FloatArray:
        """Bound of ``|c . phi - const|`` of one relation at points (…, n) of the domain."""
        constant, slope = self.bounds[index]
        return np.asarray(constant + slope * np.abs(np.asarray(Y, dtype=np.float64)).max(axis=-1))

    def verify(self) -> bool:
        """Check everything again in rational arithmetic: every feature against its row of the matrix, every relation
        against the matrix, every bound.
        """
        used = sorted({int(i) for support in self.supports() for i in support})
        slack = {i: _apart(self, i) for i in used}
        outside = [i for i in range(len(self.rows)) if i not in self.basis]
        if len(outside) != len(self.relations):
            return False
        M = {i: {int(k): _fraction(self.matrix[i, k]) for k in np.flatnonzero(self.matrix[i] != 0)} for i in used}
        H, n = len(self.hyperplanes), self.rows.shape[1]
        for i, c, constant, (level, slope) in zip(outside, self.relations, self.constants, self.bounds):
            rest = {H + n - 1: -_fraction(constant)}
            size = np.full(n, Fraction(0))
            for j in np.flatnonzero(c != 0).tolist():
                weight, own = _fraction(c[j]), slack[j]
                if own is None:
                    return False
                size = size + abs(weight) * own
                for k, v in M[j].items():
                    rest[k] = rest.get(k, Fraction(0)) + weight * v
            for k, v in rest.items():
                if k >= H:
                    size[k - H] += abs(v)
                elif v:
                    size = size + abs(v) * np.abs(_fractions(self.hyperplanes[k]))
            if sum(size[:-1], Fraction(0)) > Fraction(float(slope)) or size[-1] > Fraction(float(level)):
                return False
            # a relation removes the one feature that it is named after
            kept = list(self.basis)
            if c[i] != 1 or constant != self.offset[i] or (c[kept] != -self.expression[i]).any():
                return False
            if any(j != i and j not in self.basis for j in np.flatnonzero(c != 0).tolist()):
                return False
        return True

    def __repr__(self) -> str:
        exact = "exact" if self.is_exact else f"joined {self.joined:.2g}, apart {self.apart:.2g}"
        more = f", {len(self.undecided)} undecided" if self.undecided else ""
        return f"FeatureRelations(layer {self.layer}, {words.count(len(self.rows), 'feature')}, {words.count(self.n_relations, 'relation')}, {exact}{more})"


@within_budget
def feature_relations(
    net: ReLUNetwork,
    layer: int,
    *,
    domain: Domain | None = None,
    tolerance: float = 1e-10,
    exact: bool = False,
    budget: Budget | None = None,
) -> FeatureRelations:
    """Linear relations among the features of a hidden layer.

    Parameters
    ----------
    net : ReLUNetwork
        Any architecture.
    layer : int
        Hidden layers count from 1.
    domain : 'space' or 'orthant', optional
        By default all inputs for layer 1, and ``y >= 0`` for others: what holds there holds on what the layers before
        reach.
    tolerance : float
        Relative distance within which rows of a float network are one hyperplane, and affine parts dependent.
        Approximate relations come with the bound of what they leave out.
    exact : bool
        Take floats as the rationals that they store; rational networks always are.

    Returns
    -------
    FeatureRelations

    Raises
    ------
    InputError
        No such layer; a tolerance outside (0, 1e-3].
    NumericalError
        Weights of floats that have no reciprocal there.

    Notes
    -----
    Time is that of products of the rows with each other, and of an elimination among those that share a hyperplane.

    Examples
    --------
    >>> import numpy as np
    >>> import polyfiber as pf
    >>> W = np.array([[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [-1, -1]])
    >>> net = pf.ReLUNetwork([W, np.ones((1, 6))], [np.zeros(6), [0.0]])
    >>> found = pf.feature_relations(net, 1)
    >>> found.n_relations, found.basis, found.relations.tolist(), found.verify()
    (1, (0, 1, 2, 3, 4), [[1.0, -1.0, 1.0, -1.0, -1.0, 1.0]], True)
    """
    net = require_chain(net, "relations of features")
    if not isinstance(layer, int | np.integer) or not 1 <= layer < len(net.weights):
        raise InputError(
            f"layer {layer!r} is no hidden layer of {net!r}; hidden layers are 1 to {len(net.weights) - 1}"
        )
    if domain not in (None, "space", "orthant"):
        raise InputError(f"domain {domain!r} is unknown; expected 'space' or 'orthant'")
    tolerance = real(tolerance, "tolerance")
    if not 0 < tolerance <= 1e-3:
        raise InputError(f"tolerance must lie in (0, 1e-3], found {tolerance}; exact=True compares without one")
    where: Domain = domain or ("space" if layer == 1 else "orthant")
    net = net.exact() if exact else net
    W, b = net.weights[layer - 1], net.biases[layer - 1]
    rows = np.concatenate([W, b[:, None]], axis=1)
    if not net.is_exact and ((W != 0) & (np.abs(W) < NORMAL)).any():
        raise NumericalError(
            f"layer {layer} has weights below {NORMAL:.3g}, which floats do not divide by; exact=True compares in rationals"
        )
    return _Layer(rows, where, 0.0 if net.is_exact else tolerance).relations(int(layer))


def _fraction(value: Any) -> Fraction:
    return value if isinstance(value, Fraction) else Fraction(float(value))


def _fractions(values: Array) -> Array:
    if values.dtype == object:
        return values
    flat = [Fraction(v) for v in values.ravel().tolist()]
    result = np.empty(len(flat), dtype=object)
    result[:] = flat
    return result.reshape(values.shape)


def _apart(found: FeatureRelations, i: int) -> Array | None:
    """Coefficients (n + 1) of a bound of ``|phi_i - M_i psi|`` over ``(|y|, 1)``, in rationals; None where the matrix
    has another shape of row.
    """
    row, H = _fractions(found.rows[i]), len(found.hyperplanes)
    m, role, h = _fractions(found.matrix[i]), found.roles[i], found.hyperplane[i]
    if any(v for k, v in enumerate(m[:H]) if k != h):
        return None
    if role == "nonlinear":
        s, head = m[h], _fractions(found.hyperplanes[h])
        if s <= 0:
            return None
        opposite = -s * head
        for stands_for, written in (
            (s * head, 0 * head),
            (opposite, opposite),
        ):  # s relu(z), or s relu(-z) = s relu(z) - s z
            if not (m[H:] != written).any():
                return np.abs(row - stands_for)
        return np.abs(row - opposite) + np.abs(m[H:] - opposite)
    own = row if role == "linear" else np.append(0 * row[:-1], max(row[-1], 0)) if role == "constant" else 0 * row
    rest = np.abs(m[H:] - own)
    if role == "linear":  # relu(r) - r is at most the negative part
        return rest + np.where(row < 0, -row, 0 * row) if found.domain == "orthant" else None
    if role == "dead":
        return rest + np.where(row > 0, row, 0 * row) if found.domain == "orthant" or not row[:-1].any() else None
    return rest + np.append(np.abs(row[:-1]), 0)


class _Layer:
    """The work on one layer: roles, groups, affine parts, relations."""

    def __init__(self, rows: Array, domain: Domain, tolerance: float) -> None:
        self.rows, self.domain, self.tolerance = rows, domain, tolerance
        self.exact = rows.dtype == object
        self.one: Any = Fraction(1) if self.exact else 1.0
        self.undecided: list[str] = []
        self.roles = self._roles()
        self.bent = [i for i, role in enumerate(self.roles) if role == "nonlinear"]
        self.groups: Groups = group_rows(rows[self.bent], tolerance=tolerance)
        for j, i, far in self.groups.unclear:
            self.undecided.append(
                f"whether features {self.bent[j]} and {self.bent[i]} share a hyperplane (distance {far:.2g})"
            )
        self.kept, self.dropped = np.inf, 0.0

    def _zeros(self, *shape: int) -> Array:
        return np.full(shape, Fraction(0)) if self.exact else np.zeros(shape)

    def _roles(self) -> list[str]:
        """Linear and dead by signs on the orthant; within the tolerance, which `slack` pays for."""
        rows, roles = self.rows, []
        for row in rows:
            top = np.abs(row).max()
            slack = 0 * top if self.exact else NOISE * top
            if not (row[:-1] != 0).any():
                roles.append("constant" if row[-1] > 0 else "dead")
            elif self.domain == "orthant" and (row <= slack).all():
                roles.append("dead")
            elif self.domain == "orthant" and (row >= -slack).all():
                roles.append("linear")
            else:
                roles.append("nonlinear")
        return roles

    def matrix(self) -> Array:
        """M over ``relu(z_h)``, y and 1."""
        groups, n = self.groups, self.rows.shape[1]
        H = len(groups.heads)
        M = self._zeros(len(self.rows), H + n)
        for i, role in enumerate(self.roles):
            if role == "linear":
                M[i, H:] = self.rows[i]
            elif role == "constant":
                M[i, -1] = self.rows[i, -1]
        for k, i in enumerate(self.bent):
            h, s = groups.head[k], groups.scale[k]
            M[i, h] = s
            if groups.side[k] < 0:
                M[i, H:] = -s * groups.heads[h]
        return M

    def relations(self, layer: int) -> FeatureRelations:
        k = len(self.rows)
        full = self._zeros(k, k)  # every feature over all; columns outside the basis stay zero
        offset = self._zeros(k)
        basis: set[int] = set()
        # affine functions of y that features make, with the feature that would go if it depends on others: (row,
        # features, weight, feature)
        parts: list[tuple[Array, dict[int, Any], int]] = []
        groups = self.groups
        for h, members in enumerate(groups.members()):
            p = members[0]
            first = self.bent[p]
            basis.add(first)
            full[first, first] = self.one
            opposite = -1
            for m in members[1:]:
                i = self.bent[m]
                if groups.side[m] == groups.side[p]:
                    full[i, first] = groups.scale[m] / groups.scale[p]
                elif opposite < 0:
                    opposite = m
                    sigma = int(groups.side[p])
                    weights = {first: sigma / groups.scale[p], i: -sigma / groups.scale[m]}
                    parts.append((groups.heads[h], weights, i))
                else:
                    full[i, self.bent[opposite]] = groups.scale[m] / groups.scale[opposite]
        for i, role in enumerate(self.roles):
            if role == "linear":
                size = np.abs(self.rows[i, :-1]).max()
                parts.append((self.rows[i] / size, {i: 1 / size}, i))
            elif role == "constant":
                offset[i] = self.rows[i, -1]
        table = np.array([p[0] for p in parts], dtype=self.rows.dtype).reshape(len(parts), self.rows.shape[1])
        chosen, combos = self._independent(table)
        for index in chosen:
            _, _, i = parts[index]
            basis.add(i)
            full[i, i] = self.one
        for index, combo in combos.items():
            row, own, i = parts[index]
            # row . y = sum of the chosen + constant, and the same in features
            total = self._zeros(k)
            constant = row[-1]
            for other, weight in combo.items():
                there, theirs, _ = parts[other]
                constant = constant - weight * there[-1]
                for j, v in theirs.items():
                    total[j] += weight * v
            share = own.pop(i)
            for j, v in own.items():
                total[j] -= v
            full[i] = total / share
            offset[i] = constant / share
        full = self._through(full, offset, basis)
        order = sorted(basis)
        outside = [i for i in range(k) if i not in basis]
        relations = -full[outside]
        for r, i in enumerate(outside):
            relations[r, i] = self.one
        M, constants = self.matrix(), offset[outside]
        where = np.full(k, -1)
        where[self.bent] = groups.head
        return FeatureRelations(
            layer, self.domain, tuple(self.roles), tuple(int(v) for v in where), groups.heads, M, relations, constants, tuple(order),
            full[:, order], offset, self._bounds(M, relations, constants), groups.joined, groups.apart, self.kept, self.dropped,
            tuple(self.undecided), self.rows,
        )  # fmt: skip

    def _through(self, full: Array, offset: Array, basis: set[int]) -> Array:
        """Features that are multiples of one that is itself expressed by others."""
        for i in range(len(full)):
            if i in basis:
                continue
            for j in np.flatnonzero(full[i] != 0):
                if int(j) not in basis:
                    weight = full[i, j]
                    full[i, j] = 0 * weight
                    full[i] = full[i] + weight * full[j]
                    offset[i] = offset[i] + weight * offset[j]
        return full

    def _independent(self, parts: Array) -> tuple[list[int], dict[int, dict[int, Any]]]:
        """Independent slopes among affine functions, and the others as their sums (with constants)."""
        if not len(parts):
            return [], {}
        slopes = parts[:, :-1]
        if self.exact:
            reduced, pivots = rref(slopes.T)
            rest = [j for j in range(len(parts)) if j not in pivots]
            return list(pivots), {j: {p: v for p, v in zip(pivots, reduced[:, j]) if v} for j in rest}
        lengths = np.sqrt((slopes * slopes).sum(axis=1))
        unit = slopes / lengths[:, None]
        _, R, order = scipy.linalg.qr(unit.T, mode="economic", pivoting=True)
        diagonal = np.abs(np.diag(R))
        rank = int((diagonal > self.tolerance).sum())
        self.kept = float(diagonal[rank - 1])
        self.dropped = float(diagonal[rank]) if rank < len(diagonal) else 0.0
        if self.kept <= GAP * self.tolerance:
            self.undecided.append(
                f"whether affine parts are dependent (relative sizes {self.kept:.2g} and {self.dropped:.2g})"
            )
        chosen, rest = sorted(order[:rank].tolist()), sorted(order[rank:].tolist())
        combos: dict[int, dict[int, Any]] = {}
        if rest:
            solved = np.linalg.lstsq(unit[chosen].T, unit[rest].T, rcond=None)[0]
            for column, j in enumerate(rest):
                weights = solved[:, column] * lengths[j] / lengths[chosen]
                small = np.abs(solved[:, column]) <= 16 * NOISE * np.abs(solved[:, column]).max()
                combos[j] = {p: float(w) for p, w, gone in zip(chosen, weights, small) if not gone}
        return chosen, combos

    def _bounds(self, M: Array, relations: Array, constants: Array) -> FloatArray:
        """What the relations leave out: the rest of the sums, and features that are nearly on their hyperplane."""
        if self.exact or not len(relations):
            return np.zeros((len(relations), 2))
        groups, H = self.groups, len(self.groups.heads)
        slack = np.zeros(self.rows.shape)
        for i, role in enumerate(self.roles):
            if role in ("linear", "dead"):
                slack[i] = np.maximum(-self.rows[i] if role == "linear" else self.rows[i], 0.0)
        stands = (groups.side * groups.scale)[:, None] * groups.heads[groups.head]
        slack[self.bent] = np.abs(self.rows[self.bent] - stands) + gamma(4) * np.abs(stands) + TINY
        terms = np.abs(relations) @ np.abs(M)
        terms[:, -1] += np.abs(constants)
        rest = relations @ M
        rest[:, -1] -= constants
        size = np.abs(rest) + gamma(M.shape[0] + 4) * terms + TINY
        total = size[:, H:] + size[:, :H] @ np.abs(groups.heads) + np.abs(relations) @ slack
        slopes = total[:, :-1].sum(axis=1)
        above = 1 + 4 * gamma(sum(M.shape) + len(groups.heads) + 8)
        return np.stack([total[:, -1] * above + TINY, slopes * above + TINY], axis=1)
