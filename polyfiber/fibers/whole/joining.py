"""Paths between two parameters of one network with two hidden layers, in rationals, where layer 1 is the same and layer
2 is generic.

Both are brought to one order and scale first. Bent neurons stay; rows U of linear neurons move along segments of
nonnegative rows, and their outgoing weights C follow so that ``C U`` stays: with ``U = G B``,
``C = L G^+ + F (1 - G G^+)``. That ``G^T G`` stays invertible is shown by the coefficients of its determinant in the
basis of Bernstein. Rows of dead neurons move along segments of nonpositive rows, and hidden hyperplanes along their
half-line.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import comb

import numpy as np

from ..._typing import Array
from ...budget import Monitor
from ...network.float_or_rational import draw
from ...network.model import ReLUNetwork
from ...network.moves import Composition, Move, Permute, Rescale, Translate, compose
from ...numerics import exact
from ..hiding import hiding_report
from ..hyperplanes import analyse_layer

TRIES = 48
"""Orders of linear neurons, with and without random points between the ends, that are tried."""
SPLITS = 10
"""Times that an interval is halved to show that a determinant has no zero there."""
NEAR = 1e-6
"""Relative size of what rounding may have moved in an end of a path."""
_ONE = Fraction(1)


@dataclass(frozen=True)
class Joined:
    """Parameters along a path, or what separates the ends, or why neither is known."""

    path: tuple[ReLUNetwork, ...] = ()
    separated: str | None = None
    reason: str = ""


@dataclass(frozen=True)
class _Spare:
    """Linear neurons (rows, biases, outgoing) and dead ones."""

    U: Array
    beta: Array
    C: Array
    dead: tuple[Array, Array, Array]


def in_the_order_of(a: ReLUNetwork, b: ReLUNetwork, tolerance: float) -> tuple[Composition, list[list[int]]]:
    """Moves that bring neurons of b into the order and scale of those of a on the same hyperplane, and for each hidden
    layer the neurons of a that found one.

    Rational networks; rows within the tolerance count as one ray, or, where no neuron is left on that ray, as opposite
    ones.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.fibers.whole.joining import in_the_order_of
    >>> a = pf.ReLUNetwork([[[1], [-1]], [[1, 2]]], [[0, 1], [0]]).exact()
    >>> b = pf.ReLUNetwork([[[-3], [2]], [[2, 4]]], [[3, 0], [0]]).exact()
    >>> moves, found = in_the_order_of(a, b, 0.0)
    >>> moves(b).weights[0].ravel().tolist(), found
    ([Fraction(1, 1), Fraction(-1, 1)], [[0, 1]])
    """
    moves: list[Move] = []
    found: list[list[int]] = []
    for l in range(len(a.weights) - 1):
        order, scale, matched = [-1] * len(a.biases[l]), [_ONE] * len(a.biases[l]), []
        left = list(range(len(b.biases[l])))
        for i, j, s in _matches(_rows(a, l), _rows(b, l), tolerance):
            if order[i] < 0 and j in left:
                order[i], scale[i] = j, s
                left.remove(j)
                matched.append(i)
        for i in range(len(order)):
            if order[i] < 0:
                order[i] = left.pop(0)
        step = compose(Permute(l + 1, tuple(order)), Rescale(l + 1, tuple(scale)))
        b = step(b)
        moves += step.moves
        found.append(sorted(matched))
    return compose(*moves), found


def _rows(net: ReLUNetwork, l: int) -> Array:
    return np.concatenate([net.weights[l], net.biases[l][:, None]], axis=1)


def _matches(own: Array, other: Array, tolerance: float) -> Iterator[tuple[int, int, Fraction]]:
    """Pairs (i, j, s) with ``own[i] = s other[j]``, nearest first; those with ``own[i] = -s other[j]`` behind them."""
    (u, size), (v, there) = ((rows / _sizes(rows)[:, None], _sizes(rows)) for rows in (own, other))
    for sign in (1, -1):
        distance = np.abs((u[:, None] - sign * v[None]).astype(np.float64)).max(axis=2)
        near = np.argwhere(distance <= tolerance).tolist()
        for i, j in sorted(near, key=lambda p: float(distance[p[0], p[1]])):
            if (tolerance or not (u[i] != sign * v[j]).any()) and (own[i] != 0).any():
                yield i, j, size[i] / there[j]


def _sizes(rows: Array) -> Array:
    size: Array = np.abs(rows).max(axis=1)
    size[size == 0] = _ONE
    return size


def joined(a: ReLUNetwork, b: ReLUNetwork, *, tolerance: float, steps: int, monitor: Monitor) -> Joined:
    """A path from a to b, up to permutation and scaling and within the tolerance, of two rational parameters of one
    function.

    Examples
    --------
    Two linear neurons, exchanged for two others:

    >>> import polyfiber as pf
    >>> from polyfiber.budget import Monitor
    >>> from polyfiber.fibers.whole.joining import joined
    >>> first, last = [[1, 0], [0, 1]], [0, 0]
    >>> a = pf.ReLUNetwork([first, [[1, 2], [1, 1], [-1, 2]], [[1, 1, 1], [0, 1, 1]]], [[0, 0], [1, 1, 1], last]).exact()
    >>> b = pf.ReLUNetwork([first, [[1, 2], [2, 3], [-1, 2]], [[0, 1, 1], [-1, 1, 1]]], [[0, 0], [1, 2, 1], last]).exact()
    >>> found = joined(a, b, tolerance=0.0, steps=4, monitor=Monitor())
    >>> len(found.path), {str(p([1, 3])) for p in found.path} == {str(a([1, 3]))}
    (5, True)
    """
    hidden = [hiding_report(n) for n in (a, b)]
    if hidden[0].hyperplane is None or hidden[1].hyperplane is None:
        return _joined(a, b, tolerance, steps, monitor)
    k = hidden[0].hyperplane
    first, second = (Translate(h.hyperplane, h.end)(n) for n, h in zip((a, b), hidden) if h.hyperplane is not None)
    middle = _joined(first, second, tolerance, steps, monitor)
    moves, matched = in_the_order_of(first, second, tolerance)
    if not middle.path:
        others = [i for i in matched[0] if i != k]
        turned = int((_products(_rows(first, 0)[others], _rows(moves(second), 0)[others]) < 0).sum())
        if len(hidden[0].live) == len(hidden[1].live) == 1 and len(others) == len(a.biases[0]) - 1 and turned:
            return Joined(separated=f"the sides of {turned} hyperplanes of layer 1")
        return Joined(reason=middle.separated or middle.reason)
    shift = moves(b).biases[0][k] - moves(second).biases[0][k]
    last = middle.path[-1]
    goal = [v.copy() for v in last.biases]
    goal[0][k] += shift
    goal[1] -= shift * last.weights[1][:, k]
    path = [*_between(a, first, steps), *middle.path[1:], *_between(last, ReLUNetwork(last.weights, goal), steps)[1:]]
    return Joined(tuple(path))


def _between(a: ReLUNetwork, b: ReLUNetwork, steps: int) -> list[ReLUNetwork]:
    shares = [Fraction(k, steps) for k in range(steps + 1)]
    ends = [(*zip(a.weights, b.weights),), (*zip(a.biases, b.biases),)]
    return [ReLUNetwork(*([(1 - t) * p + t * q for p, q in pairs] for pairs in ends)) for t in shares]


def _joined(a: ReLUNetwork, b: ReLUNetwork, tolerance: float, steps: int, monitor: Monitor) -> Joined:
    moves, matched = in_the_order_of(a, b, tolerance)
    b = moves(b)
    if len(matched[0]) < len(a.biases[0]):
        return Joined(reason="the neurons of layer 1 do not lie on the same hyperplanes")
    if (_products(_rows(a, 0), _rows(b, 0)) < 0).any():
        return Joined(reason="neurons of layer 1 are active on opposite sides")
    kinds = []
    for net in (a, b):
        found = analyse_layer(net.weights[1], net.biases[1], net.weights[2], net.biases[2])
        if not found.is_generic:
            return Joined(reason="several neurons of layer 2 lie on one hyperplane")
        kinds.append({k: [j for j, r in enumerate(found.roles) if r == k] for k in ("nonlinear", "linear", "dead")})
    if [len(v) for v in kinds[0].values()] != [len(v) for v in kinds[1].values()]:
        return Joined(reason="layer 2 has other numbers of bent, linear and dead neurons")
    bent = kinds[0]["nonlinear"]
    if not set(bent) <= set(matched[1]) or bent != kinds[1]["nonlinear"]:
        return Joined(reason="the bent neurons of layer 2 do not lie on the same hyperplanes")
    flipped = int((_products(_rows(a, 1)[bent], _rows(b, 1)[bent]) < 0).sum())
    if flipped:
        return Joined(separated=f"the orientation of {flipped} hyperplanes of the last hidden layer")
    same = [(a.weights[0], b.weights[0]), (a.biases[0], b.biases[0]), (_rows(a, 1)[bent], _rows(b, 1)[bent]),
            (a.weights[2][:, bent], b.weights[2][:, bent])]  # fmt: skip
    if any(_far(p, q, tolerance) for p, q in same):
        return Joined(reason="neurons that correspond to each other differ in their weights")
    return _spare_path(a, b, kinds, tolerance, steps, monitor)


def _products(rows: Array, others: Array) -> Array:
    """Signs by which rows of one ray, or of opposite ones, are told apart."""
    return np.array([p @ q for p, q in zip(rows, others)], dtype=object).reshape(len(rows))


def _far(p: Array, q: Array, tolerance: float) -> bool:
    if not tolerance:
        return bool((p != q).any())
    return bool(p.size and np.abs(p - q).max() > NEAR * max(np.abs(p).max(), np.abs(q).max()))


def _spare_path(
    a: ReLUNetwork, b: ReLUNetwork, kinds: list[dict[str, list[int]]], tolerance: float, steps: int, monitor: Monitor
) -> Joined:
    """Move what is linear and dead in layer 2 of a to what it is in b."""
    ends = []
    for net, kind in zip((a, b), kinds):
        on, off = kind["linear"], kind["dead"]
        W, c, C = net.weights[1], net.biases[1], net.weights[2]
        ends.append(_Spare(W[on], c[on], C[:, on], (W[off], c[off], C[:, off])))
    start, end = ends
    target = start.C @ start.U
    basis = exact.rref(target)[0][: exact.rank(target)] if len(start.U) else target[:0]
    corrected = _corrected(end, target, basis, tolerance)
    if isinstance(corrected, str):
        return Joined(reason=corrected)
    rng = np.random.default_rng(0)
    why = "no path was found"
    for stops in _routes(start, corrected, target, basis, rng):
        monitor.check_time("looking for a path in a fiber")
        parts = [_segment(p, q, target, basis, steps) for p, q in zip(stops[:-1], stops[1:])]
        if all(isinstance(part, list) for part in parts):
            points = [start, *(s for part in parts if isinstance(part, list) for s in part[1:])]
            return Joined(tuple(_network(a, kinds[0], start, s) for s in points))
        why = next(part for part in parts if isinstance(part, str))
    return Joined(reason=why)


def _network(a: ReLUNetwork, kind: dict[str, list[int]], start: _Spare, s: _Spare) -> ReLUNetwork:
    W, c, C = a.weights[1].copy(), a.biases[1].copy(), a.weights[2].copy()
    W[kind["linear"]], c[kind["linear"]], C[:, kind["linear"]] = s.U, s.beta, s.C
    W[kind["dead"]], c[kind["dead"]], C[:, kind["dead"]] = s.dead
    last = a.biases[2] + start.C @ start.beta - s.C @ s.beta if len(s.beta) else a.biases[2]
    return ReLUNetwork([a.weights[0], W, C], [a.biases[0], c, last])


def _coordinates(U: Array, basis: Array) -> Array | None:
    """G with ``G basis = U``; None where a row is no combination of the basis."""
    solved = exact.solve(basis.T, U.T) if len(basis) else (None if (U != 0).any() else U[:, :0].T)
    return None if solved is None else solved.T


def _corrected(s: _Spare, target: Array, basis: Array, tolerance: float) -> _Spare | str:
    """The end of the path, moved within rounding so that ``C U`` is exactly the target."""
    if not len(s.U):
        return s
    U = s.U
    if tolerance and len(U) <= len(basis) < U.shape[1]:  # rows are combinations of the basis up to rounding
        U = U @ basis.T @ exact.inverse(basis @ basis.T) @ basis
    if (U < 0).any() or _far(U, s.U, tolerance):
        return "rows of linear neurons do not span what they supply"
    C = _following(s.C, U, target, basis)
    if C is None or _far(C, s.C, tolerance):
        return "outgoing weights of linear neurons differ"
    return _Spare(U, s.beta, C, s.dead)


def _following(F: Array, U: Array, target: Array, basis: Array) -> Array | None:
    """The C nearest to F, row by row in coordinates, with ``C U = target``."""
    if not (target != F @ U).any():
        return F
    pair = _pair(U, target, basis)
    if pair is None:
        return None
    G, L = pair
    gram = G.T @ G
    if exact.rank(gram) < len(gram):
        return None
    result: Array = F + (L - F @ G) @ exact.inverse(gram) @ G.T
    return result


def _pair(U: Array, target: Array, basis: Array) -> tuple[Array, Array] | None:
    """``(G, L)`` with ``U = G B`` and ``target = L B``: B the rows of the target, or the coordinates where U spans them
    all.
    """
    G = _coordinates(U, basis)
    if G is not None:
        L = _coordinates(target, basis)
        return None if L is None else (G, L)
    return (U, target) if exact.rank(U) == U.shape[1] else None


def _routes(
    start: _Spare, end: _Spare, target: Array, basis: Array, rng: np.random.Generator
) -> Iterator[list[_Spare]]:
    """Ends in several orders of the linear neurons, first without and then with random points between them."""
    n = len(start.U)
    orders = list(itertools.islice(itertools.permutations(range(n)), 24))
    for attempt in range(1 if n == 0 else TRIES):
        order = list(orders[attempt]) if attempt < len(orders) else [int(v) for v in rng.permutation(n)]
        goal = _Spare(end.U[order], end.beta[order], end.C[:, order], end.dead)
        stops = [start, goal]
        for _ in range(0 if attempt < len(orders) else 1 + attempt % 3):
            mix = draw(rng, (n, 2 * n), np.dtype(object), positive=True)
            U = mix @ np.concatenate([start.U, end.U])
            C = _following(start.C + draw(rng, start.C.shape, np.dtype(object)), U, target, basis)
            if C is not None:
                stops.insert(-1, _Spare(U, start.beta, C, start.dead))
        yield stops


def _segment(p: _Spare, q: _Spare, target: Array, basis: Array, steps: int) -> list[_Spare] | str:
    """Points from p to q, where rows go straight and columns follow; why there is no such way."""
    still = not (p.C != q.C).any()
    if not still:
        pairs = [_pair(s.U, target, basis) for s in (p, q)]
        if pairs[0] is None or pairs[1] is None or pairs[0][0].shape != pairs[1][0].shape:
            return "linear neurons span more than what they supply, and less than everything"
        if not _stays_invertible(pairs[0][0], pairs[1][0]):
            return "no path was found along which linear neurons stay independent"
    points = []
    for k in range(steps + 1):
        t = Fraction(k, steps)
        U, F = (1 - t) * p.U + t * q.U, (1 - t) * p.C + t * q.C
        C = F if still else _following(F, U, target, basis)
        if C is None:
            return "no path was found along which linear neurons stay independent"
        dead = tuple((1 - t) * x + t * y for x, y in zip(p.dead, q.dead))
        points.append(_Spare(U, (1 - t) * p.beta + t * q.beta, C, (dead[0], dead[1], dead[2])))
    return points


def _stays_invertible(G: Array, H: Array) -> bool:
    """Whether ``det G_t^T G_t > 0`` for ``G_t = (1 - t) G + t H`` and all t in [0, 1]."""
    degree = 2 * G.shape[1]
    nodes = [Fraction(k, degree) for k in range(degree + 1)] if degree else [Fraction(0)]
    values = []
    for t in nodes:
        mixed = (1 - t) * G + t * H
        values.append(exact.determinant(mixed.T @ mixed) if degree else _ONE)
    table = np.array(
        [[comb(degree, i) * t**i * (1 - t) ** (degree - i) for i in range(degree + 1)] for t in nodes], dtype=object
    )
    solved = exact.solve(table, np.array(values, dtype=object)[:, None])
    return solved is not None and _positive(list(solved[:, 0]), SPLITS)


def _positive(coefficients: list[Fraction], splits: int) -> bool:
    """Whether a polynomial is positive on [0, 1], from its coefficients in the basis of Bernstein."""
    if min(coefficients) > 0:
        return True
    if splits == 0 or coefficients[0] <= 0 or coefficients[-1] <= 0:
        return False
    left, right, row = [], [], coefficients
    while row:
        left.append(row[0])
        right.append(row[-1])
        row = [(x + y) / 2 for x, y in zip(row[:-1], row[1:])]
    return _positive(left, splits - 1) and _positive(right[::-1], splits - 1)
