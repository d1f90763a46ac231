"""Bases adapted to the flow of information, and the canonical form of a linear network.

The fundamental theorem of linear networks (Shewchuk and Bhattacharya): weights have ranks r iff
there are invertible ``J_0, …, J_L`` with ``W_j = J_j I_j J_{j-1}^{-1}``, where ``I_j`` is the 0-1
matrix that carries each bar alive at both layers. The columns of ``J_j`` with label ``[i, k]``
span the prebasis ``a_kji``, those of its inverse transpose ``b_kji``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._once import cached_property
from .._typing import Array, FloatArray, IntArray
from .._values.checked import array_of
from ..errors import InputError, NumericalError
from ..numerics import exact as ex
from . import ranks as rk
from .location import locate, scaled
from .weights import check_weights, norm, widths_of

_LOG_RANGE = 140 * float(np.log(10.0))


def bars_of(omega: Any) -> tuple[tuple[int, int], ...]:
    """One ``(i, k)`` per copy of each bar, by birth and then death."""
    omega = np.asarray(omega)
    n = omega.shape[0]
    return tuple((i, k) for i in range(n) for k in range(i, n) for _ in range(int(omega[k, i])))


def alive(bars: Sequence[tuple[int, int]], layer: int) -> IntArray:
    """Positions of the bars that contain a layer, ascending; the column order of J_layer."""
    return np.array([c for c, (i, k) in enumerate(bars) if i <= layer <= k], np.int64)


def canonical_weights(widths: Sequence[int], ranks: Any) -> list[FloatArray]:
    """The 0-1 weights with the given ranks: each bar alive at both layers is carried over.

    Parameters
    ----------
    widths : (d_0, …, d_L)
    ranks : label or (L + 1, L + 1) table

    Raises
    ------
    InputError
        If no weights have these ranks.

    Examples
    --------
    >>> import polyfiber as pf
    >>> [w.astype(int).tolist() for w in pf.linear.canonical_weights((2, 1, 1), [1, 0, 0])]
    [[[0, 1]], [[0]]]
    """
    table = check_table(widths, ranks)
    bars = bars_of(rk.multiplicities(table))
    out = []
    for j in range(1, len(widths)):
        rows, cols = alive(bars, j), alive(bars, j - 1)
        out.append((rows[:, None] == cols[None, :]).astype(np.float64).reshape(len(rows), len(cols)))
    return out


def check_table(widths: Sequence[int], ranks: Any) -> IntArray:
    """Rank table of a label, a table, or anything with ``ranks``; refuses inadmissible ones."""
    d = rk.check_widths(widths)
    given = array_of(getattr(ranks, "ranks", ranks), "the ranks")
    if given.dtype.kind not in "iu":
        raise InputError(f"ranks must be integers, found dtype {given.dtype}")
    if given.ndim == 2 and given.shape == (len(d), len(d)):
        table = np.tril(given).astype(np.int64)
        if tuple(np.diagonal(table)) != d:
            raise InputError(f"the diagonal of the rank table is {tuple(np.diagonal(table))}; expected the widths {d}")
    elif given.ndim == 1:
        table = rk.tables(d, given)
    else:
        raise InputError(f"ranks have shape {given.shape}; expected a label or a {len(d)} x {len(d)} table")
    omega = rk.multiplicities(table)
    if bool((omega < 0).any()):
        k, i = (int(v) for v in np.argwhere(omega < 0)[0])
        raise InputError(
            f"no weights of widths {d} have ranks {tuple(rk.labels_of(table).tolist())}: the bar [{i}, {k}] would "
            f"occur {int(omega[k, i])} times"
        )
    return table


@dataclass(frozen=True, eq=False)
class Barcode:
    """Canonical form of weights: bars, bases, and how well they reproduce the weights.

    Attributes
    ----------
    widths : tuple of int
    ranks : int64 (L + 1, L + 1)
    bars : tuple of (i, k)
        One entry per copy; bar c is the interval of layers that it lives in.
    layers : tuple of int64 arrays
        ``layers[j]``: the bars alive at layer j, in the order of the columns of ``J[j]``.
    J, J_inv : tuples of (d_j, d_j) arrays
        Change of bases and its inverse; float64, or Fraction for exact weights.
    residual : float
        Largest ``||W_j - J_j I_j J_{j-1}^{-1}|| / ||W_j||``; exactly 0 for exact weights.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.linear import barcode
    >>> barcode([np.eye(2), np.diag([1.0, 0.0])]).bars
    ((0, 1), (0, 2), (2, 2))
    """

    widths: tuple[int, ...]
    ranks: IntArray = field(repr=False)
    bars: tuple[tuple[int, int], ...] = field(repr=False)
    layers: tuple[IntArray, ...] = field(repr=False)
    J: tuple[Array, ...] = field(repr=False)
    J_inv: tuple[Array, ...] = field(repr=False)
    residual: float

    @property
    def n_layers(self) -> int:
        """Number of matrices."""
        return len(self.widths) - 1

    @cached_property
    def condition(self) -> float:
        """Largest condition number of the J_j."""
        return max((float(np.linalg.cond(np.asarray(j, np.float64))) for j in self.J if j.size), default=1.0)

    def reconstruct(self) -> list[Array]:
        """``J_j I_j J_{j-1}^{-1}``: weights that lie exactly on the stratum, up to rounding."""
        out = []
        for j in range(1, len(self.widths)):
            _, to, fro = np.intersect1d(self.layers[j], self.layers[j - 1], return_indices=True)
            out.append(self.J[j][:, to] @ self.J_inv[j - 1][fro, :])
        return out

    def _columns(self, j: int, keep: Any) -> IntArray:
        return np.array([p for p, c in enumerate(self.layers[j]) if keep(*self.bars[c])], np.int64)

    def _check(self, k: int, j: int, i: int, low: int, high: int) -> None:
        if not (i >= 0 and k <= self.n_layers and 0 <= j <= self.n_layers and low <= j <= high):
            raise InputError(f"no subspace has the indices k={k}, j={j}, i={i}; expected {low} <= j <= {high} for it")

    def flow_A(self, k: int, j: int, i: int) -> FloatArray:
        """Orthonormal basis, as columns in R^{d_j}, of ``A_kji = null(W_{k+1~j}) ∩ col(W_{j~i})``.

        L >= k, k + 1 >= j >= i >= 0. What comes from layer i and is lost by layer k + 1.
        """
        self._check(k, j, i, i, k + 1)
        return _orthonormal(self.J[j][:, self._columns(j, lambda s, t: s <= i and t <= k)])

    def flow_B(self, k: int, j: int, i: int) -> FloatArray:
        """Orthonormal basis of ``B_kji = row(W_{k~j}) ∩ null(W_{j~i-1}^T)`` in R^{d_j}.

        L >= k >= j >= i - 1, i >= 0. The dual: what is read at layer k and not fed from i - 1.
        """
        self._check(k, j, i, i - 1, k)
        return _orthonormal(self.J_inv[j].T[:, self._columns(j, lambda s, t: s >= i and t >= k)])

    def prebasis_a(self, k: int, j: int, i: int) -> Array:
        """Columns of J_j with the label ``[i, k]``: a complement in A_kji of the smaller ones."""
        self._check(k, j, i, i, k)
        return self.J[j][:, self._columns(j, lambda s, t: (s, t) == (i, k))]

    def prebasis_b(self, k: int, j: int, i: int) -> Array:
        """Columns of J_j^{-T} with the label ``[i, k]``; dual to `prebasis_a`."""
        self._check(k, j, i, i, k)
        return self.J_inv[j].T[:, self._columns(j, lambda s, t: (s, t) == (i, k))]

    def __repr__(self) -> str:
        counts: dict[tuple[int, int], int] = {}
        for bar in self.bars:
            counts[bar] = counts.get(bar, 0) + 1
        text = ", ".join(f"{m}x[{i},{k}]" if m > 1 else f"[{i},{k}]" for (i, k), m in counts.items())
        return f"Barcode(widths {self.widths}: {text or 'no bars'}, residual {self.residual:.2g})"


def _orthonormal(columns: Array) -> FloatArray:
    matrix = np.asarray(columns, np.float64)
    if 0 in matrix.shape:
        return np.zeros((matrix.shape[0], 0))
    norms = np.linalg.norm(matrix, axis=0)
    q: FloatArray = np.linalg.qr(matrix / norms)[0]
    return q


def make_barcode(widths: Sequence[int], table: Any, J: Sequence[Array], weights: Sequence[Array] | None) -> Barcode:
    """Barcode of given bases; the residual is against ``weights`` (0 without)."""
    exact = any(j.dtype == object for j in J)
    bars = bars_of(rk.multiplicities(table))
    layers = tuple(alive(bars, j) for j in range(len(widths)))
    try:
        inverse = tuple(ex.inverse(j) if exact else np.linalg.inv(j) for j in J)
    except np.linalg.LinAlgError:
        raise NumericalError(
            "a change of bases came out singular; take a smaller step or better conditioned bases"
        ) from None
    table = np.array(table, np.int64)
    table.setflags(write=False)
    out = Barcode(tuple(widths), table, bars, layers, tuple(J), inverse, 0.0)
    if weights is None:
        return out
    worst = 0.0
    for w, v in zip(weights, out.reconstruct()):
        off = norm([np.asarray(w - v, np.float64)])
        if off:
            size = norm([np.asarray(w, np.float64)])
            worst = max(worst, off / size if size else off)
    return Barcode(out.widths, table, bars, layers, out.J, inverse, worst)


def barcode(
    weights: Any,
    *,
    ranks: Any = None,
    tolerance: float | None = None,
    noise: float | None = None,
    gap: float = 100.0,
    exact: bool | None = None,
) -> Barcode:
    """Bars and adapted bases of weights: the fundamental theorem, made explicit.

    Parameters
    ----------
    weights : [W_1, …, W_L]
    ranks : label or table, optional
        Ranks to use instead of those that `locate` finds. Weights near a stratum are *snapped*
        to it: ``reconstruct()`` has exactly these ranks, at a distance of the order of the
        singular values set to zero (``residual``).
    tolerance, noise, gap, exact
        As in `locate`.

    Returns
    -------
    Barcode

    Raises
    ------
    RankAmbiguityError
        If a rank is not decided and ``ranks`` is not given.
    InputError
        Ranks that no weights have.
    NumericalError
        Bases that come out singular: the prescribed ranks are far from the weights.

    Notes
    -----
    Null spaces are carried down and column spaces up through the layers, one singular value
    decomposition each; a bar ``[i, k]`` starts at layer i in ``null(W_{k+1~i})``, orthogonal to
    ``null(W_{k~i})`` and to what arrives from below, and is pushed forward. Rational weights
    take the same steps by elimination, and the residual is exactly zero.

    Examples
    --------
    >>> import polyfiber as pf
    >>> b = pf.linear.barcode([[[1, 0], [0, 0]], [[0, 1]]])
    >>> b
    Barcode(widths (2, 2, 1): [0,0], [0,1], [1,2], residual 0)
    """
    layers, is_exact = check_weights(weights, exact=exact)
    widths = rk.check_widths(widths_of(layers))
    if ranks is None:
        table = locate(weights, tolerance=tolerance, noise=noise, gap=gap, exact=exact).stratum.ranks
    else:
        table = check_table(widths, ranks)
    if is_exact:
        if ranks is not None and not np.array_equal(locate(layers, exact=True).ranks, table):
            raise InputError("exact weights have other ranks than those given; pass exact=False to move them there")
        J = _exact_bases(layers, table)
        return make_barcode(widths, table, J, layers)
    units, sizes = scaled(layers)
    for j, v in enumerate(sizes, 1):
        if not abs(v) <= _LOG_RANGE:
            raise InputError(
                f"W_{j} has norm 10^{v / np.log(10):.0f}; bases need norms between 1e-140 and 1e140: rescale the layer "
                "(ranks do not change, and `locate` works at any scale)",
                layer=j,
            )
    J = _float_bases(units, table)
    logs = np.concatenate([[0.0], np.cumsum(sizes)])
    for j, factor in enumerate(np.exp(logs - logs.mean())):  # a common factor is free
        J[j] = J[j] * factor
    if not all(np.isfinite(j).all() and (np.abs(j).max(initial=1.0) < 1e150) for j in J):
        raise NumericalError("the layers differ too much in size for common bases; rescale them")
    try:
        return make_barcode(widths, table, J, layers)
    except NumericalError:
        raise NumericalError(
            "the bases came out singular: the prescribed ranks are far from those of the weights; "
            "choose ranks that `locate` finds at a larger tolerance"
        ) from None


def _leading(matrix: FloatArray, count: int) -> FloatArray:
    """Leading left singular vectors; zero columns beyond what there is are refused later."""
    if count == 0 or 0 in matrix.shape:
        return np.zeros((matrix.shape[0], count))
    left = np.linalg.svd(matrix, full_matrices=matrix.shape[1] < count)[0]
    return left[:, :count]


def _float_bases(units: Sequence[FloatArray], table: IntArray) -> list[FloatArray]:
    """Bases J_0, …, J_L of layers of norm 1 with prescribed ranks."""
    last = len(units)
    widths = widths_of(units)
    omega = rk.multiplicities(table)
    null: dict[tuple[int, int], FloatArray] = {}
    for k in range(last, -1, -1):
        null[k, k] = np.zeros((widths[k], 0))
        for i in range(k - 1, -1, -1):
            up = null[k, i + 1]
            image = units[i] - up @ (up.T @ units[i])
            null[k, i] = _trailing(image, widths[i] - int(table[k, i]))
    for i in range(last + 1):
        null[last + 1, i] = np.eye(widths[i])
    J = [np.zeros((d, d)) for d in widths]
    bars = bars_of(omega)
    place = [{int(c): p for p, c in enumerate(alive(bars, j))} for j in range(last + 1)]
    for i in range(last + 1):
        fed = _leading(units[i - 1], int(table[i, i - 1])) if i else np.zeros((widths[0], 0))
        for k in range(i, last + 1):
            count = int(omega[k, i])
            if count == 0:
                continue
            whole = null[k + 1, i]
            arriving = _meet(fed, whole, int(table[i, i - 1] - (table[k + 1, i - 1] if k < last else 0)) if i else 0)
            small = null[k, i]
            shared = int(table[i, i - 1] - table[k, i - 1]) if i else 0
            span = _leading(np.hstack([small, arriving]), small.shape[1] + arriving.shape[1] - shared)
            chain = [_leading(whole - span @ (span.T @ whole), count)]
            for j in range(i + 1, k + 1):
                chain.append(units[j - 1] @ chain[-1])
            if k > i:  # turn the copies so that their ends are orthogonal, and balance their sizes
                turn = np.linalg.svd(chain[-1], full_matrices=False)[2].T
                chain = [x @ turn for x in chain]
            sizes = np.array([np.linalg.norm(x, axis=0) for x in chain])
            if not (sizes > 0).all():
                raise NumericalError(
                    f"the bar [{i}, {k}] dies before layer {k}: the prescribed ranks are far from those of the weights"
                )
            mean = np.exp(np.log(sizes).mean(axis=0))
            own = [c for c, bar in enumerate(bars) if bar == (i, k)]
            for j, x in zip(range(i, k + 1), chain):
                J[j][:, [place[j][c] for c in own]] = x / mean
    return J


def _trailing(matrix: FloatArray, count: int) -> FloatArray:
    """Right singular vectors of the ``count`` least singular values."""
    n = matrix.shape[1]
    if count == 0 or n == 0:
        return np.zeros((n, 0))
    if matrix.shape[0] == 0 or count == n:
        return np.eye(n)
    right = np.linalg.svd(matrix, full_matrices=True)[2]
    return right[n - count :].T


def _meet(a: FloatArray, b: FloatArray, dimension: int) -> FloatArray:
    """Orthonormal basis of the ``dimension`` directions of span(a) nearest to span(b)."""
    if dimension == 0 or 0 in a.shape or 0 in b.shape:
        return np.zeros((a.shape[0], 0))
    left = np.linalg.svd(a.T @ b, full_matrices=True)[0]
    return a @ left[:, :dimension]


def _exact_bases(layers: Sequence[Array], table: IntArray) -> list[Array]:
    """The same bases by elimination over the rationals."""
    last = len(layers)
    widths = widths_of(layers)
    omega = rk.multiplicities(table)
    bars = bars_of(omega)
    place = [{int(c): p for p, c in enumerate(alive(bars, j))} for j in range(last + 1)]
    J = [ex.as_fractions(np.zeros((d, d), int)) for d in widths]
    for i in range(last + 1):
        eye = ex.as_fractions(np.eye(widths[i], dtype=int))
        nulls = [ex.as_fractions(np.zeros((widths[i], 0)))]  # null(W_{k~i}) for k = i, i + 1, …
        run = eye
        for k in range(i + 1, last + 1):
            run = layers[k - 1] @ run
            nulls.append(ex.nullspace(run) if run.size else eye)
        nulls.append(eye)
        arrived = _independent(eye[:, :0], layers[i - 1]) if i else eye[:, :0]
        for k in range(i, last + 1):
            count = int(omega[k, i])
            if count == 0:
                continue
            small, whole = nulls[k - i], nulls[k + 1 - i]
            known = np.hstack([small, _exact_meet(arrived, whole)])
            start = _independent(known, whole)
            assert start.shape[1] == count, "multiplicities count the births"
            own = [c for c, bar in enumerate(bars) if bar == (i, k)]
            for j in range(i, k + 1):
                if j > i:
                    start = layers[j - 1] @ start
                J[j][:, [place[j][c] for c in own]] = start
    return J


def _independent(known: Array, more: Array) -> Array:
    """Columns of ``more`` that extend the span of ``known``, chosen by elimination."""
    both = np.hstack([known, more])
    if 0 in both.shape:
        return more[:, :0]
    _, pivots = ex.rref(both)
    n = known.shape[1]
    return both[:, [p for p in pivots if p >= n]]


def _exact_meet(a: Array, b: Array) -> Array:
    """Basis of the intersection of two column spaces (a of full column rank)."""
    if 0 in a.shape or 0 in b.shape:
        return a[:, :0]
    relations = ex.nullspace(np.hstack([a, -b]))
    if relations.shape[1] == 0:
        return a[:, :0]
    return _independent(a[:, :0], a @ relations[: a.shape[1]])
