"""Steps to a smaller network that relations give, what no network of the depth can do without, and which neuron became
which.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .. import words
from .._typing import Array, FloatArray
from ..errors import NumericalError, PolyfiberError, RankAmbiguityError
from ..fibers.findings import parallel_rows
from ..fibers.hyperplanes import analyse_layer
from ..fibers.relations.features import FeatureRelations, feature_relations
from ..fibers.relations.image import ImageRelations, image_relations
from ..network.model import ReLUNetwork
from ..network.moves import Composition, Join, Neurons, Replace, Translate
from ..numerics import exact
from ..numerics.floats import nearest
from ..numerics.predicates import decide_rank
from ..numerics.rounding import TINY, UNIT, gamma

MOST_ORIENTATIONS = 8
"""Hyperplanes up to which every choice of sides is tried."""
POINTS = 64
"""Inputs at which Jacobians are taken for lower bounds."""
MOST_ENTRIES = 1 << 22
"""Of all Jacobians together."""
PARTS = 1 << 14
"""Inputs at which different linear parts are counted."""
MOST_PRODUCTS = 1 << 29
"""Multiplications that this may take."""


def relation_step(net: ReLUNetwork, layer: int, *, tolerance: float) -> Replace | None:
    """Features of a layer that are affine functions of others go; the next layer reads the others instead.

    The function stays on all inputs (for float networks up to the bound of the relations). None: there is no such
    feature, or no clear one.

    Examples
    --------
    >>> import numpy as np
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.reductions import relation_step
    >>> W = np.array([[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [-1, -1]])
    >>> net = pf.ReLUNetwork([W, [[1.0, 2, 3, 4, 5, 6]]], [np.zeros(6), [0.0]])
    >>> relation_step(net, 1, tolerance=1e-13)(net).architecture
    (2, 5, 1)
    """
    try:
        found = feature_relations(net, layer, tolerance=min(1e-3, max(tolerance, 1e-15)))
    except NumericalError:
        return None
    return None if found.undecided else _expressed(net, layer, found, "")


def image_step(net: ReLUNetwork, layer: int, complex: Any) -> Replace | None:
    """The same where features are affine functions of others on the image of the layers before, by the regions of a
    complex.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.reductions import image_step
    >>> W = [[[1.0], [-1.0]], [[1.0, -1.0], [2.0, -5.0]], [[1.0, 1.0]]]
    >>> net = pf.ReLUNetwork(W, [[0.0, 0.0], [-1.0, -2.0], [0.0]])
    >>> image_step(net, 2, pf.canonical_complex(net))(net).weights[2].tolist()
    [[3.0]]
    """
    found = image_relations(net, layer, complex)
    return None if found is None else _expressed(net, layer, found, " on the image of the layers before")


def _expressed(net: ReLUNetwork, layer: int, found: FeatureRelations | ImageRelations, where: str) -> Replace | None:
    """The layer with the features of a basis alone."""
    width, basis = net.architecture[layer], list(found.basis)
    if not found.n_relations:
        return None
    C, rest = net.weights[layer], [i for i in range(width) if i not in found.basis]
    offset = C @ found.offset
    old = Neurons.of(net, layer, range(width))
    outgoing = C[:, basis] + C[:, rest] @ found.expression[rest]
    if not basis:  # every feature is a constant: one without effect stays
        new = Neurons(0 * old.weights[:1], 0 * old.biases[:1], 0 * old.outgoing[:, :1])
        if width == 1:
            return None
        return Replace(layer, tuple(range(width)), old, (0,), new, offset, "fold a layer of constants")
    new = Neurons(old.weights[basis], old.biases[basis], outgoing)
    why = f"express {words.count(found.n_relations, 'feature')} by the {len(basis)} others{where}"
    return Replace(layer, tuple(range(width)), old, tuple(range(len(basis))), new, offset, why)


def affine_step(net: ReLUNetwork, *, tolerance: float) -> Replace | None:
    """Realise the first layer, on all of R^n, with one neuron for each visible hyperplane and as few as are found for
    the affine rest.

    The rest, of rank r, takes pairs ``relu(v . x) - relu(-v . x)``, two for each dimension, or the other sides of
    visible hyperplanes, one for each direction that is needed; and it depends on the sides, all of which are tried for
    few hyperplanes. None where that takes as many neurons as there are.
    """
    (W, b), (C, a) = ((net.weights[l], net.biases[l]) for l in (0, 1))
    found = analyse_layer(W, b, C, a, domain="space", tolerance=tolerance)
    rep, H = found.representation, len(b)
    N = rep.n_hyperplanes
    if found.undecided or N >= H:
        return None
    U, t, c = rep.normals, rep.offsets, rep.weights
    own = np.where(found.orientation > 0, 1, -1) if N else np.zeros(0, dtype=np.int8)
    choices: Any = [own]
    if N <= MOST_ORIENTATIONS:
        choices = itertools.chain([own], itertools.product((1, -1), repeat=N))
    best: tuple[Array, _Parts] | None = None
    for tau in choices:
        on = np.flatnonzero(np.asarray(tau) > 0)
        rest = rep.slope - c[on].T @ U[on]
        try:
            parts = _affine_parts(rest, np.abs(rep.slope) + np.abs(c).T @ np.abs(U), U, t, np.asarray(tau), tolerance)
        except RankAmbiguityError:
            continue
        if best is None or len(parts[0]) < len(best[1][0]):
            best = (np.asarray(tau), parts)
            if not len(parts[0]):
                break
    if best is None or N + len(best[1][0]) >= H or H == 1:
        return None
    tau, (rows, columns, shift, change) = best
    on = np.flatnonzero(tau > 0)
    sides = tau.astype(W.dtype) if W.dtype != object else np.array([int(v) for v in tau], dtype=object)
    weights = np.concatenate([sides[:, None] * U, rows[:, :-1]])
    biases = np.concatenate([sides * t, rows[:, -1]])
    outgoing = np.concatenate([c.T + change, columns], axis=1)
    constant = rep.constant - c[on].T @ t[on] + shift
    if not len(weights):
        weights, biases, outgoing = 0 * W[:1], 0 * b[:1], 0 * C[:, :1]
    old, new = Neurons.of(net, 1, range(H)), Neurons(weights, biases, outgoing)
    why = f"realise {words.count(N, 'hyperplane')} and an affine rest with {len(weights)} instead of {words.count(H, 'neuron')}"
    return Replace(1, tuple(range(H)), old, tuple(range(len(weights))), new, constant - a, why)


_Parts = tuple[Array, Array, Array, Array]
"""Rows ``(w | b)`` of more neurons, their outgoing columns, a shift of the next bias, and what is added to the columns
of those that are there.
"""


def _affine_parts(rest: Array, terms: Array, U: Array, t: Array, tau: Array, tolerance: float) -> _Parts:
    """The fewest more neurons that are found for ``rest . x``, beside one on each hyperplane ``(U | t)`` with sides
    tau.
    """
    m, n = rest.shape
    none: Array = np.zeros((0, n + 1), dtype=rest.dtype)
    if rest.dtype == object:
        reduced, pivots = exact.rref(rest)
        V, D = reduced, rest[:, list(pivots)]
    else:
        rest = np.where(
            np.abs(rest) <= 1e3 * max(tolerance, 1e-15) * np.maximum(terms, terms.max(initial=0.0) * 1e-3), 0.0, rest
        )
        r = decide_rank(rest, tolerance=max(tolerance, 1e-15), gap=10.0).rank if rest.any() else 0
        left, s, right = np.linalg.svd(rest, full_matrices=False)
        V, D = right[:r], left[:, :r] * s[:r]
    r = len(V)
    zero: Array = np.zeros(m, dtype=rest.dtype)
    same: Array = np.zeros((m, len(U)), dtype=rest.dtype)
    if r == 0:
        return none, np.zeros((m, 0), dtype=rest.dtype), zero, same
    offsets = np.zeros((r, 1), dtype=rest.dtype)
    rows = np.concatenate([np.concatenate([V, offsets], axis=1), np.concatenate([-V, offsets], axis=1)])
    pairs = (rows, np.concatenate([D, -D], axis=1), zero, same)
    other = _other_sides(rest, U, t, tau, tolerance)
    return other if other is not None and len(other[0]) < len(rows) else pairs


def _other_sides(rest: Array, U: Array, t: Array, tau: Array, tolerance: float) -> _Parts | None:
    """``rest . x`` by the other sides of hyperplanes that are there:
    ``d (u . x) = d relu(u . x + t) - d relu(-u . x - t) - d t``.
    """
    if not len(U):
        return None
    if rest.dtype == object:
        _, pivots = exact.rref(U.T)
        chosen = list(pivots)
        solved = exact.solve(U[chosen].T, rest.T)
        if solved is None:
            return None
        D = solved.T
    else:
        import scipy.linalg

        _, R, order = scipy.linalg.qr(U.T, mode="economic", pivoting=True)
        size = np.abs(np.diag(R))
        chosen = sorted(order[: int((size > 1e-9 * size[0]).sum())].tolist())
        D = np.linalg.lstsq(U[chosen].T, rest.T, rcond=None)[0].T
        top = np.abs(rest).max(initial=0.0)
        if np.abs(D @ U[chosen] - rest).max(initial=0.0) > max(tolerance, 1e-14) * 16 * top:
            return None
        D = np.where(np.abs(D) <= max(tolerance, 1e-15) * 16 * top, 0.0, D)
    used = [k for k in range(len(chosen)) if (D[:, k] != 0).any()]
    D, index = D[:, used], [chosen[k] for k in used]
    sides = np.array([int(tau[i]) for i in index], dtype=rest.dtype)
    change: Array = np.zeros((len(rest), len(U)), dtype=rest.dtype)
    change[:, index] = D * sides
    rows = -sides[:, None] * np.concatenate([U[index], t[index][:, None]], axis=1)
    return rows, -D * sides, -(D @ t[index]), change


def gauge_step(net: ReLUNetwork, layer: int, *, tolerance: float) -> Translate | None:
    """Translate a hyperplane that all its readers hide onto a parallel one that is there, so that both become one.

    Readers are the neurons of the next layer with a weight there; groups of neurons that read different hyperplanes
    have gauges of their own. None: there is no such pair.

    Examples
    --------
    Two groups, each hiding a copy of one hyperplane, at other offsets:

    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.reductions import gauge_step
    >>> W = [[1.0, 0], [0, 1], [1, 0], [0, 1]]
    >>> net = pf.ReLUNetwork([W, [[1.0, -1, 0, 0], [0, 0, 1, -1]], [[1.0, 1]]], [[0, 0, -2.0, 0], [-3.0, -1], [0]])
    >>> move = gauge_step(net, 1, tolerance=1e-13)
    >>> print(move, move(net).biases[1])
    translate hidden hyperplane 0 of layer 1 by 2 [-1. -1.]
    """
    if layer >= len(net.weights) - 1 or net.architecture[layer] < 2:
        return None
    W, b, C, c = net.weights[layer - 1], net.biases[layer - 1], net.weights[layer], net.biases[layer]
    groups, _ = parallel_rows(W, 0 * b, [i for i in range(len(b)) if (W[i] != 0).any()], tolerance)
    for group in groups:
        for k in group:
            readers = C[:, k] != 0
            others = np.delete(C[readers], k, axis=1)
            if not readers.any() or (C[:, k] < 0).any() or (others > 0).any() or (c[readers] > 0).any():
                continue
            for m in group:
                i = int(np.argmax(np.abs(W[m])))
                other = W[k, i] / W[m, i] * b[m]
                shift = b[k] - other
                clear = abs(shift) > 1e-12 * max(abs(b[k]), abs(other)) if not net.is_exact else shift != 0
                if m != k and clear and (c[readers] + shift * C[readers, k] <= 0).all():
                    return Translate(k, shift, layer)
    return None


def affine_layer(net: ReLUNetwork, layer: int, active: Sequence[int], *, tolerance: float) -> Join | None:
    """Join a layer with the next one where it acts affinely: some neurons are active on all that reaches it, and the
    others show no hyperplane.

    Parameters
    ----------
    net : ReLUNetwork
    layer : int
    active : sequence of int
        Neurons that are active on the image of the layers before.
    tolerance : float

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.reductions import affine_layer
    >>> net = pf.ReLUNetwork([[[1.0], [2.0]], [[1.0, 0], [-1, 0], [0, 3]], [[1.0, -1, 1]]], [[0, -1.0], [-1.0, 1, 0], [0]])
    >>> affine_layer(net, 2, [2], tolerance=1e-13)(net).architecture
    (1, 2, 1)
    """
    W, b, C, a = net.weights[layer - 1], net.biases[layer - 1], net.weights[layer], net.biases[layer]
    on = list(active)
    rest = [i for i in range(len(b)) if i not in set(on)]
    slope, constant = C[:, on] @ W[on], C[:, on] @ b[on] + a
    if rest:
        domain: Any = "space" if layer == 1 else "orthant"
        found = analyse_layer(W[rest], b[rest], C[:, rest], 0 * a, domain=domain, tolerance=tolerance)
        if found.undecided or found.representation.n_hyperplanes:
            return None
        own = found.representation.slope, found.representation.constant
        if not net.is_exact and not _affine(W[rest], b[rest], C[:, rest], own):
            return None
        slope, constant = slope + own[0], constant + own[1]
    return Join(layer, (W, b, C, a), (slope, constant), "acts affinely on its image, and is joined with the next one")


def _affine(W: FloatArray, b: FloatArray, C: FloatArray, own: tuple[Array, Array]) -> bool:
    """Whether neurons that show no hyperplane are this affine map to rounding, at inputs of many sizes."""
    rng = np.random.default_rng(0)
    y = np.concatenate([10.0**k * rng.standard_normal((64, W.shape[1])) for k in (-4, -1, 0, 1, 4)])
    y = np.concatenate([y, np.abs(y)])
    terms = (np.abs(y) @ np.abs(W).T + np.abs(b)) @ np.abs(C).T
    gap = np.abs(np.maximum(y @ W.T + b, 0.0) @ C.T - (y @ own[0].T + own[1]))
    return bool((gap[len(y) // 2 :] <= 1e-12 * terms[len(y) // 2 :]).all())


@dataclass(frozen=True)
class LowerBounds:
    """What every network of this depth with the same function needs in each hidden layer, and why.

    Attributes
    ----------
    widths : tuple of int
    reasons : tuple of str
    total : int
        Hidden neurons altogether: the sum of the widths, or what so many affine pieces take.
    total_reason : str
    """

    widths: tuple[int, ...]
    reasons: tuple[str, ...]
    total: int = 0
    total_reason: str = "the sum of the layers"

    def __post_init__(self) -> None:
        object.__setattr__(self, "total", max(self.total, sum(self.widths)))


def lower_bounds(net: ReLUNetwork, box: tuple[FloatArray, FloatArray] | None = None) -> LowerBounds:
    """Least widths of any network of the same depth with the same function (on the box).

    Every linear part of a function is a product through each layer, so no layer is narrower than its rank; the rows of
    all linear parts are combinations of rows of the first layer, and all outputs lie in the columns of the last one up
    to a constant. With one hidden layer every visible hyperplane takes a neuron. On a region of the layers before, a
    layer of w neurons cuts an image of at most n0 dimensions into at most ``C(w, 0) + ... + C(w, n0)`` parts, and the
    product over the layers is no less than the number of linear parts that are different for certain, among those at
    2^14 inputs: that bounds all layers together.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.reductions import lower_bounds
    >>> lower_bounds(pf.ReLUNetwork.random((3, 9, 2), rng=0))
    LowerBounds(widths=(9,), reasons=('9 visible hyperplanes',), total=9, total_reason='the sum of the layers')
    """
    hidden = len(net.weights) - 1
    if hidden == 0:
        return LowerBounds((), ())
    widths, reasons = [1] * hidden, ["a layer has a neuron"] * hidden

    def raise_to(layer: int, value: int, why: str) -> None:
        if value > widths[layer]:
            widths[layer], reasons[layer] = value, why

    single, rows, columns = _ranks(net.rounded(), box)
    for layer in range(hidden):
        raise_to(layer, single, f"a linear part of rank {single}")
    raise_to(0, rows, f"linear parts that read {rows} directions of the input")
    raise_to(hidden - 1, columns, f"linear parts that reach {columns} directions of the output")
    if hidden == 1 and box is None:
        found = None
        with contextlib.suppress(PolyfiberError):
            found = analyse_layer(
                net.weights[0], net.biases[0], net.weights[1], net.biases[1], domain="space", tolerance=1e-13
            )
        if found is not None and not found.undecided:
            raise_to(0, found.representation.n_hyperplanes, f"{found.representation.n_hyperplanes} visible hyperplanes")
    parts = _linear_parts(net.rounded(), box)
    total, why = _least_total(parts, net.architecture[0], widths), f"{parts} linear parts are different"
    if total > sum(widths):
        return LowerBounds(tuple(widths), tuple(reasons), total, why)
    return LowerBounds(tuple(widths), tuple(reasons))


def _least_total(parts: int, n: int, widths: Sequence[int]) -> int:
    """Fewest neurons of layers at least so wide whose regions can be so many."""

    def regions(w: int) -> int:
        return sum(math.comb(w, k) for k in range(min(w, n) + 1))

    # regions are log-concave in the width, so the layer that gains most is the right one to widen
    best = list(widths)
    while math.prod(map(regions, best)) < parts:
        best[max(range(len(best)), key=lambda l: Fraction(regions(best[l] + 1), regions(best[l])))] += 1
    return sum(best)


def _linear_parts(net: ReLUNetwork, box: tuple[FloatArray, FloatArray] | None) -> int:
    """Linear parts, among those at many inputs, that are different beyond every rounding error: each by one number
    ``u . J v``.
    """
    rng = np.random.default_rng(0)
    n, m = net.architecture[0], net.architecture[-1]
    count = max(1, min(PARTS, MOST_PRODUCTS // max(1, sum(W.size for W in net.weights))))
    X = rng.standard_normal((count, n)) * 10.0 ** rng.uniform(-2, 2, (count, 1))
    if box is not None:
        X = box[0] + (box[1] - box[0]) * rng.random((count, n))
    u, v = rng.standard_normal(m), rng.standard_normal(n)
    y, size, J, T = X, np.abs(X), np.broadcast_to(v, X.shape), np.broadcast_to(np.abs(v), X.shape)
    sure = np.ones(count, dtype=np.bool_)
    with np.errstate(over="ignore", invalid="ignore"):
        for l, (W, b) in enumerate(zip(net.weights, net.biases)):
            z, size, J, T = y @ W.T + b, size @ np.abs(W).T + np.abs(b), J @ W.T, T @ np.abs(W).T
            if l < len(net.weights) - 1:
                sure &= (np.abs(z) > gamma(sum(net.architecture[: l + 1]) + 4 * l + 8) * size).all(axis=1)
                y, size, J, T = (np.where(z > 0, q, 0.0) for q in (z, size, J, T))
        value, error = J @ u, gamma(sum(net.architecture) + m + 8) * (T @ np.abs(u)) + TINY
    sure &= np.isfinite(value) & np.isfinite(error)
    low, high = (value - error)[sure], (value + error)[sure]
    found, last = 0, -np.inf
    for k in np.argsort(high):  # as many disjoint intervals as there are
        if low[k] > last:
            found, last = found + 1, float(high[k])
    return max(1, found)


def _ranks(net: ReLUNetwork, box: tuple[FloatArray, FloatArray] | None) -> tuple[int, int, int]:
    """Certain ranks: the largest of a linear part, of all stacked, of all side by side. Singular values count that
    exceed every rounding error.
    """
    rng = np.random.default_rng(0)
    n, m = net.architecture[0], net.architecture[-1]
    count = max(1, min(POINTS, MOST_ENTRIES // max(1, n * m)))
    X = rng.standard_normal((count, n)) * 10.0 ** rng.uniform(-1, 1, (count, 1))
    if box is not None:
        X = box[0] + (box[1] - box[0]) * rng.random((count, n))
    parts, errors = [], []
    for x in X:
        y, size = x, np.abs(x)
        J, T = np.eye(n), np.eye(n)
        sure = True
        for l, (W, b) in enumerate(zip(net.weights, net.biases)):
            z, size = W @ y + b, np.abs(W) @ size + np.abs(b)
            J, T = W @ J, np.abs(W) @ T
            if l < len(net.weights) - 1:
                sure &= bool((np.abs(z) > gamma(sum(net.architecture[: l + 1]) + 4 * l + 8) * size).all())
                J, T, y, size = J * (z > 0)[:, None], T * (z > 0)[:, None], np.maximum(z, 0.0), size * (z > 0)
        if sure and np.isfinite(T).all():
            parts.append(J)
            errors.append(gamma(sum(net.architecture) + 8) * T + TINY)
    if not parts:
        return 0, 0, 0
    single = max(_rank(J, E) for J, E in zip(parts, errors))
    return (
        single,
        _rank(np.concatenate(parts), np.concatenate(errors)),
        _rank(np.concatenate(parts, axis=1), np.concatenate(errors, axis=1)),
    )


def _rank(J: FloatArray, error: FloatArray) -> int:
    """Singular values above what the errors and the decomposition can make (Weyl)."""
    power = np.frexp(max(np.abs(J).max(initial=0.0), error.max(initial=0.0)))[1]  # squares are taken
    J, error = np.ldexp(J, -power), np.ldexp(error, -power)
    s = np.linalg.svd(J, compute_uv=False)
    noise = float(np.linalg.norm(error)) + 128 * max(J.shape) * UNIT * float(s[0] if len(s) else 0.0)
    return int((s > noise).sum())


def neuron_map(
    original: ReLUNetwork, moves: Composition | Sequence[Any], network: ReLUNetwork
) -> tuple[tuple[int, ...], ...]:
    """For each hidden layer and neuron of the smaller network: the neuron of the original that it is, -1 for a new one.

    A neuron is the same while its row stays up to a positive factor; columns may change.
    """
    maps = [list(range(w)) for w in original.hidden_widths]
    steps: Sequence[Any] = moves.moves if isinstance(moves, Composition) else moves
    for move in steps:
        if isinstance(move, Translate):
            maps[move.layer - 1][move.neuron] = -1
            continue
        if isinstance(move, Join):
            del maps[move.layer - 1]
            continue
        if not isinstance(move, Replace):
            return tuple((-1,) * w for w in network.hidden_widths)
        current = maps[move.layer - 1]
        removed = set(move.positions)
        keep = [v for i, v in enumerate(current) if i not in removed]
        size = len(keep) + len(move.new)
        after = [-1] * size
        places = [i for i in range(size) if i not in set(move.new_positions)]
        for i, v in zip(places, keep):
            after[i] = v
        old = [(current[i], row) for i, row in zip(move.positions, _rows(move.old))]
        for place, row in zip(move.new_positions, _rows(move.new)):
            for at, (v, there) in enumerate(old):
                if v >= 0 and _same_ray(row, there):
                    after[place] = v
                    del old[at]
                    break
        maps[move.layer - 1] = after
    return tuple(tuple(m) for m in maps)


def _rows(neurons: Neurons) -> FloatArray:
    return nearest(np.concatenate([neurons.weights, neurons.biases[:, None]], axis=1))


def _same_ray(u: FloatArray, v: FloatArray) -> bool:
    size = float(np.abs(u).max()), float(np.abs(v).max())
    if 0.0 in size or u.shape != v.shape:
        return False
    return bool(np.abs(u / size[0] - v / size[1]).max() <= 1e-12)
