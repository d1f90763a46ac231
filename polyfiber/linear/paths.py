"""Connected parts of a stratum, paths inside it, and the nearest point of a lower one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from .._typing import Array, FloatArray, RngLike
from .._values.checked import generator_of, real
from .._values.read_only import closed
from ..budget import Budget, heed, within_budget
from ..errors import InputError, NumericalError
from ..verdict import Verdict
from . import ranks as rk
from .bars import Barcode, alive, barcode, bars_of, check_table, make_barcode
from .location import locate
from .manifold import WeightSpace
from .sampling import sample_barcode, split_product
from .weights import as_matrix, float_weights, norm, widths_of
from .weights import product as multiply


def sign_vectors(widths: Sequence[int], ranks: Any) -> tuple[tuple[str, ...], dict[tuple[int, int], Array]]:
    """Orientation signs of a stratum's symmetry group, and how each bar turns them over.

    Returns
    -------
    names : tuple of str
        One per general linear factor of positive size: ``'through'``, ``'in'``, ``'out'`` for
        the parts of layers 0 and L that the product carries, kills, and misses; ``'1'``, … for
        the hidden layers.
    flips : mapping ``(i, k) -> uint8``
        Signs that change when one copy of a bar that occurs is reversed.
    """
    table = check_table(widths, ranks)
    last, rho = len(widths) - 1, int(table[-1, 0])
    sizes = {"through": rho, "in": widths[0] - rho, "out": widths[-1] - rho}
    names = [n for n, size in sizes.items() if size] + [str(j) for j in range(1, last) if widths[j]]
    flips = {}
    for i, k in sorted(set(bars_of(rk.multiplicities(table)))):
        end = "through" if (i, k) == (0, last) else "in" if i == 0 else "out" if k == last else None
        touched = {str(j) for j in range(max(i, 1), min(k, last - 1) + 1)} | {end}
        flips[i, k] = np.array([n in touched for n in names], np.uint8)
    return tuple(names), flips


def _solve_gf2(rows: Sequence[Array], target: Array) -> list[int] | None:
    """Indices of rows that add up to the target modulo 2, or None."""
    basis: dict[int, tuple[int, int]] = {}

    def as_int(v: Array) -> int:
        return int(sum(int(x) << n for n, x in enumerate(v)))

    def reduce(v: int, used: int) -> tuple[int, int]:
        while v and (v.bit_length() - 1) in basis:
            other, combo = basis[v.bit_length() - 1]
            v, used = v ^ other, used ^ combo
        return v, used

    for n, row in enumerate(rows):
        v, used = reduce(as_int(row), 1 << n)
        if v:
            basis[v.bit_length() - 1] = (v, used)
    v, used = reduce(as_int(target), 0)
    return None if v else [n for n in range(len(rows)) if used >> n & 1]


def connected_parts(widths: Sequence[int], ranks: Any) -> int:
    """Number of connected components of a stratum over the reals.

    A stratum over W is an orbit of the group of changes of bases that keep W, whose components
    are told apart by the signs of its general linear factors; the stabiliser is an
    automorphism group of bars, whose components are reversals of single copies. So the count
    is ``2^(signs - rank over F_2 of the flips)``.

    Examples
    --------
    >>> import polyfiber as pf
    >>> pf.linear.connected_parts((1, 1, 1, 1), [1, 1, 1, 1, 1, 1])
    4
    >>> pf.linear.connected_parts((1, 1, 1, 1), [0, 0, 0, 0, 0, 0])
    1
    """
    names, flips = sign_vectors(widths, ranks)
    independent: list[Array] = []
    for row in flips.values():
        if _solve_gf2(independent, row) is None:
            independent.append(row)
    return int(2 ** (len(names) - len(independent)))


@dataclass(frozen=True, eq=False)
class Connection:
    """Whether two points of one stratum are joined inside it, and a path.

    Attributes
    ----------
    verdict : Verdict
        YES with a path; NO with the signs that differ whatever the choice of bases.
    signs : tuple of str
        For NO: names of orientation signs in which the two points differ.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.linear import connect
    >>> found = connect([np.eye(2), np.eye(2)], [2 * np.eye(2), 0.5 * np.eye(2)])
    >>> found.verdict.value
    'yes'
    """

    verdict: Verdict
    signs: tuple[str, ...]
    _curve: Callable[[float], list[FloatArray]] | None = field(default=None, repr=False)

    def __call__(self, t: float) -> list[FloatArray]:
        """Weights at time t in [0, 1]; on the stratum, with the same product throughout."""
        if self._curve is None:
            raise InputError(f"the points lie on different connected parts of the stratum (signs {self.signs} differ)")
        if not 0.0 <= t <= 1.0:
            raise InputError(f"time must lie in [0, 1], found {t!r}")
        return self._curve(float(t))


def _rotation_path(q: FloatArray) -> Callable[[float], FloatArray]:
    """Path of rotations from the identity to q (orthogonal, determinant 1)."""
    from scipy.linalg import schur

    n = len(q)
    t, z = schur(q, output="real")
    planes: list[tuple[int, int, float]] = []
    reversed_: list[int] = []
    at = 0
    while at < n:
        if at + 1 < n and abs(t[at + 1, at]) > 1e-12:
            planes.append((at, at + 1, float(np.arctan2(t[at + 1, at], t[at, at]))))
            at += 2
        else:
            if t[at, at] < 0:
                reversed_.append(at)
            at += 1
    planes += [(a, b, np.pi) for a, b in zip(reversed_[::2], reversed_[1::2])]
    return partial(_turned, planes, z)


def _turned(planes: list[tuple[int, int, float]], z: FloatArray, time: float) -> FloatArray:
    r = np.eye(len(z))
    for a, b, angle in planes:
        c, s = np.cos(time * angle), np.sin(time * angle)
        r[a, a], r[a, b], r[b, a], r[b, b] = c, -s, s, c
    out: FloatArray = z @ r @ z.T
    return out


def _linear_path(h: FloatArray) -> Callable[[float], FloatArray]:
    """Path of invertible matrices from the identity to h, of positive determinant."""
    if h.size == 0:
        return partial(_turned, [], h)  # nothing to turn
    q, r = np.linalg.qr(h)
    sign = np.where(np.diagonal(r) < 0, -1.0, 1.0)
    q, r = q * sign, r * sign[:, None]
    turn = _rotation_path(q)
    return partial(_sheared, turn, r)


def _sheared(turn: Callable[[float], FloatArray], r: FloatArray, t: float) -> FloatArray:
    return turn(t) @ ((1.0 - t) * np.eye(len(r)) + t * r)


def _sign(h: FloatArray) -> int:
    return int(np.linalg.slogdet(h)[0] < 0) if h.size else 0


def connect(a: Any, b: Any, *, tolerance: float = 1e-8, **options: Any) -> Connection:
    """Join two points of one stratum by a path on it, along which the product is constant.

    Parameters
    ----------
    a, b : [W_1, …, W_L]
        Weights with equal products and equal ranks.
    tolerance : float
        Difference of the products, relative to the product of the norms of the layers, that
        counts as none.
    options
        ``gap`` and ``exact`` of `locate`.

    Returns
    -------
    Connection
        Called with t in [0, 1] it gives weights; NO when the points lie on different
        connected parts (then there is no path at all).

    Raises
    ------
    InputError
        Different widths, products or strata.
    RankAmbiguityError
        When a stratum is not decided.

    Examples
    --------
    >>> import polyfiber as pf
    >>> way = pf.linear.connect([[[2.0]], [[0.5]]], [[[4.0]], [[0.25]]])
    >>> way.verdict, float((way(0.5)[1] @ way(0.5)[0])[0, 0])
    (<Verdict.YES: 'yes'>, 1.0)
    >>> pf.linear.connect([[[2.0]], [[0.5]]], [[[-2.0]], [[-0.5]]]).verdict
    <Verdict.NO: 'no'>
    """
    x, y, tolerance = float_weights(a), float_weights(b), real(tolerance, "tolerance", least=0.0)
    widths = widths_of(x)
    if widths_of(y) != widths:
        raise InputError(f"weights of widths {widths} and {widths_of(y)} cannot be joined")
    ranks_a, ranks_b = locate(a, **options).stratum.ranks, locate(b, **options).stratum.ranks
    if not np.array_equal(ranks_a, ranks_b):
        raise InputError(
            f"the points lie on different strata: ranks {rk.labels_of(ranks_a).tolist()} and "
            f"{rk.labels_of(ranks_b).tolist()}"
        )
    w, v = multiply(x), multiply(y)
    size = max(float(np.prod([np.linalg.norm(m) for m in layers])) for layers in (x, y))
    if norm([w - v]) > tolerance * size:
        raise InputError(
            f"the products differ by {norm([w - v]):.2g} where the layers allow {size:.2g}; a path inside one "
            "stratum of a fiber keeps the product"
        )
    start, end = barcode(x, ranks=ranks_a, exact=False), barcode(y, ranks=ranks_a, exact=False)
    return _join(start, end)


def _join(start: Barcode, end: Barcode) -> Connection:
    widths, last = start.widths, start.n_layers
    names, flips = sign_vectors(widths, start.ranks)
    whole = [c for c, bar in enumerate(start.bars) if bar == (0, last)]
    through_0, through_L = np.isin(start.layers[0], whole), np.isin(start.layers[last], whole)

    def parts(J: Sequence[FloatArray]) -> list[FloatArray]:
        return [i @ j for i, j in zip(start.J_inv, J)]

    def blocks(h: Sequence[FloatArray]) -> dict[str, FloatArray]:
        out = {
            "through": h[0][np.ix_(through_0, through_0)],
            "in": h[0][np.ix_(~through_0, ~through_0)],
            "out": h[last][np.ix_(~through_L, ~through_L)],
        }
        out.update({str(j): h[j] for j in range(1, last)})
        return out

    J = [j.copy() for j in end.J]
    own = blocks(parts(J))
    target = np.array([_sign(own[n]) for n in names], np.uint8)
    keys = list(flips)
    chosen = _solve_gf2([flips[k] for k in keys], target)
    if chosen is None:
        return Connection(Verdict.NO, tuple(n for n, s in zip(names, target) if s))
    for n in chosen:
        c = start.bars.index(keys[n])
        for j in range(last + 1):
            at = np.flatnonzero(start.layers[j] == c)
            J[j][:, at] *= -1.0
    h = parts(J)
    ways = {n: _linear_path(m) for n, m in blocks(h).items()}
    return Connection(Verdict.YES, (), partial(_carried, start, ways, h[0], h[last], through_0, through_L))


def _carried(
    start: Barcode, ways: dict[str, Any], h_0: FloatArray, h_L: FloatArray, through_0: Any, through_L: Any, t: float
) -> list[FloatArray]:
    """Weights at time t: the frames of the start, moved along the ways of the blocks."""
    first, final = np.zeros_like(h_0), np.zeros_like(h_L)
    first[np.ix_(through_0, through_0)] = final[np.ix_(through_L, through_L)] = ways["through"](t)
    first[np.ix_(~through_0, ~through_0)] = ways["in"](t)
    first[np.ix_(~through_0, through_0)] = t * h_0[np.ix_(~through_0, through_0)]
    final[np.ix_(~through_L, ~through_L)] = ways["out"](t)
    final[np.ix_(through_L, ~through_L)] = t * h_L[np.ix_(through_L, ~through_L)]
    moved = [first, *(ways[str(j)](t) for j in range(1, start.n_layers)), final]
    return make_barcode(start.widths, start.ranks, [j @ m for j, m in zip(start.J, moved)], None).reconstruct()


# nearest point -----------------------------------------------------------------------------------


@closed
@dataclass(frozen=True, eq=False)
class NearestPoint:
    """A local minimum of the distance to a stratum.

    Attributes
    ----------
    weights : list of arrays
        On the stratum, over the same product.
    distance : float
        Frobenius distance to the given weights: an upper bound of the distance to the closure.
    lower_bound : float
        No point of the closure is nearer: each layer alone must lose singular values
        (Eckart and Young). Equal to ``distance`` only when that is all there is.
    gradient : float
        Norm of the tangent component of the remaining difference, relative to the weights.
    converged : bool
        Whether the gradient reached the tolerance. When it did not, the minimum may lie on a
        still lower stratum of the closure.
    starts : int
        Starting points that were tried.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.linear import nearest, stratify
    >>> goal = stratify((2, 2, 2), rank=1)[0]
    >>> found = nearest([np.diag([1.0, 0.1]), np.diag([1.0, 0.0])], goal)
    >>> round(found.distance, 6), found.converged
    (0.1, True)
    """

    weights: list[FloatArray] = field(repr=False)
    distance: float
    lower_bound: float
    gradient: float
    converged: bool
    starts: int


def over_product(at: Barcode, target: FloatArray) -> Barcode:
    """Weights near the given bases whose product is exactly W (up to rounding), same ranks."""
    last, rho = at.n_layers, int(at.ranks[-1, 0])
    v1 = split_product(target, rho)[3]
    bars = at.bars
    whole = [c for c, bar in enumerate(bars) if bar == (0, last)]
    through_0, through_L = np.isin(alive(bars, 0), whole), np.isin(alive(bars, last), whole)
    J = [np.array(j, np.float64) for j in at.J]
    J[0][:, ~through_0] -= v1 @ (v1.T @ J[0][:, ~through_0])
    J[last][:, through_L] = target @ J[0][:, through_0]
    return make_barcode(at.widths, at.ranks, J, None)


@within_budget
def nearest(
    weights: Any,
    ranks: Any,
    *,
    product: Any = None,
    starts: int = 4,
    rng: RngLike = 0,
    tolerance: float = 1e-7,
    max_iterations: int = 300,
    budget: Budget | None = None,
) -> NearestPoint:
    """Nearest point of a stratum over the same product, numerically.

    Parameters
    ----------
    weights : [W_1, …, W_L]
    ranks : Stratum, label or table
        Usually a stratum in the closure of the one that the weights are on.
    product : (d_L, d_0) array, optional
        W; by default the product of the weights.
    starts : int
        The first start snaps the weights to the ranks; the others snap perturbed weights.
    rng : what numpy.random.default_rng takes
    tolerance : float
        On the relative tangent gradient.
    max_iterations : int
        Per start.
    budget : Budget, optional
        Seconds for all starts; looked at in each step.

    Returns
    -------
    NearestPoint
        A local minimum, with a lower bound for the distance to the closure.

    Notes
    -----
    Projected descent (Gauss-Newton for the distance): the difference is projected to the
    tangent space, the step is snapped back to the stratum and to the product, and halved until
    the distance falls. The distance to a stratum is not convex, so the minimum is local.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.linear import locate, nearest, stratify
    >>> goal = stratify((2, 2, 2), rank=1)[0]
    >>> found = nearest([np.diag([1.0, 0.1]), np.diag([1.0, 0.0])], goal)
    >>> int(locate(found.weights).ranks[1, 0])
    1
    """
    layers = float_weights(weights)
    widths = widths_of(layers)
    table = check_table(widths, ranks)
    rho = int(table[-1, 0])
    own = _product(layers) if product is None else as_matrix(product, "product")
    split_product(own, rho)
    if starts < 1:
        raise InputError(f"starts must be at least 1, found {starts}")
    gen = generator_of(rng)
    bound = 0.0
    for j, w in enumerate(layers, 1):
        if w.size:
            values = np.linalg.svd(w, compute_uv=False)
            bound += float((values[int(table[j, j - 1]) :] ** 2).sum())
    bound = float(np.sqrt(bound))
    size = max(norm(layers), 1e-300)
    best: NearestPoint | None = None
    for n in range(starts):
        try:
            begun = _start(layers, widths, table, own, gen, 0.0 if n == 0 else 0.3 * size / np.sqrt(_count(widths)))
            at, gradient = _descend(layers, begun, own, tolerance * size, max_iterations)
        except NumericalError:
            continue
        found = at.reconstruct()
        distance = norm([x - y for x, y in zip(found, layers)])
        if best is None or distance < best.distance * (1 - 1e-12):
            best = NearestPoint(found, distance, bound, gradient / size, gradient <= tolerance * size, starts)
    if best is None:
        raise NumericalError(f"none of {starts} starts reached the stratum; raise starts")
    return best


def _product(layers: Sequence[FloatArray]) -> FloatArray:
    out: FloatArray = multiply(layers)
    return out


def _count(widths: Sequence[int]) -> int:
    return max(1, sum(a * b for a, b in zip(widths, widths[1:])))


def _start(
    layers: Sequence[FloatArray],
    widths: tuple[int, ...],
    table: Array,
    target: FloatArray,
    gen: np.random.Generator,
    noise: float,
) -> Barcode:
    moved = [w + noise * gen.standard_normal(w.shape) for w in layers]
    try:
        return over_product(barcode(moved, ranks=table, exact=False), target)
    except NumericalError:
        return sample_barcode(table, widths=widths, product=target, rng=gen)


def _descend(
    goal: Sequence[FloatArray], at: Barcode, target: FloatArray, tolerance: float, max_iterations: int
) -> tuple[Barcode, float]:
    here = at.reconstruct()
    rest = [g - h for g, h in zip(goal, here)]
    value = norm(rest)
    gradient = np.inf
    for _ in range(max_iterations):
        tangent = WeightSpace(at, "stratum", "tangent").project(rest)
        gradient = norm(tangent)
        if gradient <= tolerance:
            break
        time, moved = 1.0, False
        while time > 1e-6:
            heed("the search for the nearest point")
            try:
                shifted = [h + time * z for h, z in zip(here, tangent)]
                new = over_product(barcode(shifted, ranks=at.ranks, exact=False), target)
            except NumericalError:
                time *= 0.5
                continue
            there = new.reconstruct()
            off = [g - h for g, h in zip(goal, there)]
            if norm(off) ** 2 < value**2 - 1e-4 * time * gradient**2:
                at, here, rest, value, moved = new, there, off, norm(off), True
                break
            time *= 0.5
        if not moved:
            break
    return at, gradient
