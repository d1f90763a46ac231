"""Random weights on a stratum, over a given product or not; explicit moves between strata."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._typing import Array, FloatArray, RngLike
from .._values.checked import generator_of, real, shown
from ..errors import InputError, ShapeError
from . import ranks as rk
from .bars import Barcode, alive, barcode, bars_of, check_table, make_barcode
from .strata import Move
from .weights import float_weights


def sample(
    ranks: Any,
    *,
    widths: Sequence[int] | None = None,
    product: Any = None,
    rng: RngLike = None,
    spread: float = 1.0,
) -> list[FloatArray]:
    """Random weights with given ranks and, if wanted, a given product.

    Parameters
    ----------
    ranks : Stratum, label or table
    widths : (d_0, …, d_L), optional
        Needed when ``ranks`` is a bare label or table.
    product : (d_L, d_0) array, optional
        W, of the rank that ``ranks`` states. Without it W is random too.
    rng : what numpy.random.default_rng takes
    spread : float
        Singular values of the hidden changes of basis are drawn log-uniformly from
        ``[e^-spread, e^spread]``; 0 makes them orthogonal.

    Returns
    -------
    list of (d_j, d_{j-1}) arrays
        On every connected part of the stratum with positive probability: the law has full
        support as ``spread`` grows, and is invariant under orthogonal changes of the hidden
        bases. It is not a uniform law, which a stratum of infinite volume does not have.

    Raises
    ------
    InputError
        Ranks that no weights have, a product of another rank or shape.

    Notes
    -----
    With ``W = U S V^T``, the columns of J_0 for the bars [0, L] are ``V_1 M + V_2 X`` and the
    others ``V_2 Y``; those of J_L for [0, L] are W times the former; everything else is free
    (M, Y and the hidden J_j invertible).

    Examples
    --------
    >>> import numpy as np, polyfiber as pf
    >>> st = pf.linear.stratify((4, 6, 5), rank=1)
    >>> w = pf.linear.sample(st[3], product=np.ones((5, 4)), rng=0)
    >>> bool(np.allclose(w[1] @ w[0], 1.0)), pf.linear.locate(w).stratum.label == st[3].label
    (True, True)
    """
    return sample_barcode(ranks, widths=widths, product=product, rng=rng, spread=spread).reconstruct()


def sample_barcode(
    ranks: Any,
    *,
    widths: Sequence[int] | None = None,
    product: Any = None,
    rng: RngLike = None,
    spread: float = 1.0,
) -> Barcode:
    """As `sample`, and the bases that prove where the weights lie.

    Examples
    --------
    >>> from polyfiber.linear import sample_barcode, stratify
    >>> b = sample_barcode(stratify((2, 2, 2), rank=1)[0], rng=0)
    >>> sorted(b.bars)
    [(0, 0), (0, 2), (1, 1), (2, 2)]
    """
    d = getattr(ranks, "widths", None) if widths is None else widths
    if d is None:
        raise InputError("a bare list of ranks needs widths=(d_0, …, d_L)")
    d = rk.check_widths(d)
    table = check_table(d, ranks)
    if not (np.isfinite(spread) and spread >= 0):
        raise InputError(f"spread must be a finite number >= 0, found {spread!r}")
    gen = generator_of(rng)
    J = [_invertible(n, gen, spread) for n in d]
    rho = int(table[-1, 0])
    if product is not None:
        target = float_weights([product])[0]
        if target.shape != (d[-1], d[0]):
            raise ShapeError(f"the product has shape {target.shape}; widths {d} need {(d[-1], d[0])}")
        bars = bars_of(rk.multiplicities(table))
        J[0], J[-1] = _ends_over(target, rho, bars, J[0], J[-1], gen, spread)
    return make_barcode(d, table, J, None)


def _invertible(n: int, gen: np.random.Generator, spread: float) -> FloatArray:
    """Random invertible matrix, bi-invariant under rotations, condition at most e^(2 spread)."""
    if n == 0:
        return np.zeros((0, 0))
    values = np.exp(gen.uniform(-spread, spread, n))
    out: FloatArray = (_orthogonal(n, gen) * values) @ _orthogonal(n, gen).T
    return out


def _orthogonal(n: int, gen: np.random.Generator) -> FloatArray:
    q, r = np.linalg.qr(gen.standard_normal((n, n)))
    out: FloatArray = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return out


def split_product(target: FloatArray, rho: int) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """``U_1, U_2, s, V_1, V_2`` of a matrix that must have rank rho.

    Raises
    ------
    InputError
        If the rank is another one at a relative tolerance of 1e-10.
    """
    left, s, right_t = np.linalg.svd(target, full_matrices=True)
    scale = float(s[0]) if s.size and s[0] > 0 else 1.0
    found = int((s > 1e-10 * scale).sum())
    if found != rho:
        raise InputError(
            f"the product has rank {found}, but the ranks ask for {rho} (singular values relative to the largest: "
            f"{', '.join(f'{v:.2g}' for v in (s / scale)[:8])})",
            rank=found,
        )
    return left[:, :rho], left[:, rho:], s[:rho], right_t[:rho].T, right_t[rho:].T


def _ends_over(
    target: FloatArray,
    rho: int,
    bars: Sequence[tuple[int, int]],
    first: FloatArray,
    final: FloatArray,
    gen: np.random.Generator,
    spread: float,
) -> tuple[FloatArray, FloatArray]:
    """J_0 and J_L such that the product of the canonical form is the target."""
    last = max((k for _, k in bars), default=0)
    whole = [c for c, bar in enumerate(bars) if bar == (0, last)]
    at_0, at_L = alive(bars, 0), alive(bars, last)
    through_0, through_L = np.isin(at_0, whole), np.isin(at_L, whole)
    _, u2, _, v1, v2 = split_product(target, rho)
    d0, dL = target.shape[1], target.shape[0]
    new_first, new_final = np.empty_like(first), np.empty_like(final)
    carried = v1 @ _invertible(rho, gen, spread) + v2 @ gen.standard_normal((d0 - rho, rho)) * min(spread, 1.0)
    new_first[:, through_0] = carried
    new_first[:, ~through_0] = v2 @ _invertible(d0 - rho, gen, spread)
    image = target @ carried
    new_final[:, through_L] = image
    rest = u2 @ _invertible(dL - rho, gen, spread)
    if rho:
        size = min(spread, 1.0) / max(1.0, float(np.linalg.norm(image, 2)))
        rest = rest + size * (image @ gen.standard_normal((rho, dL - rho)))
    new_final[:, ~through_L] = rest
    return new_first, new_final


def moves_between(widths: Sequence[int], lower: Any, upper: Any) -> list[Move]:
    """A chain of upward moves from one rank list to a larger one.

    Each step is one legal move whose rank rectangle still fits under the target. Such a step
    always exists: between the two there is a cover, and covers are moves.

    Raises
    ------
    InputError
        Unless ``lower <= upper`` entrywise.

    Examples
    --------
    >>> from polyfiber.linear import moves_between
    >>> [str(m) for m in moves_between((2, 2, 2), [0, 0, 0], [1, 1, 1])]
    ['[0,0] [1,1] -> [0,1]', '[0,1] [2,2] -> [0,2]']
    """
    now, goal = check_table(widths, lower), check_table(widths, upper)
    if bool((now > goal).any()):
        raise InputError(
            f"ranks {rk.labels_of(now).tolist()} are not entrywise at most {rk.labels_of(goal).tolist()}; "
            "the first stratum is not in the closure of the second"
        )
    last = len(now) - 1
    out: list[Move] = []
    while not np.array_equal(now, goal):
        omega, room = rk.multiplicities(now), goal - now
        move = next(
            (
                Move(i, k, s, t)
                for k in range(last)
                for i in range(k + 1)
                if omega[k, i]
                for s in range(i + 1, k + 2)
                for t in range(max(k + 1, s), last + 1)
                if omega[t, s] and bool((room[k + 1 : t + 1, i:s] > 0).all())
            ),
            None,
        )
        assert move is not None, "between comparable rank lists there is a move"
        now = move.apply(now)
        out.append(move)
    return out


def apply_move(at: Barcode, move: Move, size: Any = 1.0) -> Barcode:
    """Raise the ranks by one move: ``W_{k+1} += size * (column of a) (row of b)``.

    Exact: the new weights lie on the stratum of the move for every ``size != 0``, the product
    is unchanged unless the move runs from layer 0 to layer L, and as size goes to 0 they return
    to where they came from, along a straight line.

    Parameters
    ----------
    at : Barcode
    move : Move
        Its two bars must occur.
    size : number
        A Fraction keeps exact bases exact.

    Returns
    -------
    Barcode
        With explicit new bases: the bar ``[i, t]`` continues b by ``size * a``, and ``[s, k]``
        is ``a - b / size``.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.linear import Move, apply_move, barcode
    >>> at = barcode([np.diag([1.0, 0.0]), np.diag([1.0, 0.0])])
    >>> raised = apply_move(at, Move(0, 0, 1, 1))
    >>> raised.bars
    ((0, 1), (0, 2), (2, 2))
    """
    if not (isinstance(at, Barcode) and isinstance(move, Move)):
        raise InputError(f"expected a Barcode and a Move, found {shown(at)} and {shown(move)}")
    real(size, "size")
    if size == 0:
        raise InputError("a move of size 0 stays where it is; expected another number")
    omega = rk.multiplicities(at.ranks)
    if move.t > at.n_layers or omega[move.k, move.i] == 0 or omega[move.t, move.s] == 0:
        raise InputError(f"the bars of the move {move} do not both occur among {at!r}")
    table = move.apply(at.ranks)
    b = at.bars.index((move.i, move.k))
    a = at.bars.index((move.s, move.t))
    chains: list[tuple[tuple[int, int], dict[int, Array]]] = []

    def column(c: int, j: int) -> Array:
        out: Array = at.J[j][:, int(np.searchsorted(at.layers[j], c))]
        return out

    for c, (i, k) in enumerate(at.bars):
        if c not in (a, b):
            chains.append(((i, k), {j: column(c, j) for j in range(i, k + 1)}))
    long = {j: column(b, j) if j <= move.k else size * column(a, j) for j in range(move.i, move.t + 1)}
    chains.append(((move.i, move.t), long))
    if move.kind == "swap":
        short = {j: column(a, j) - column(b, j) / size for j in range(move.s, move.k + 1)}
        chains.append(((move.s, move.k), short))
    chains.sort(key=lambda item: item[0])
    J = []
    for j, d in enumerate(at.widths):
        columns = [chain[j] for (i, k), chain in chains if i <= j <= k]
        J.append(np.stack(columns, axis=1) if columns else at.J[j].reshape(d, 0))
    return make_barcode(at.widths, table, J, None)


def raise_to(weights: Any, ranks: Any, *, size: Any = 1e-3, **options: Any) -> list[Array]:
    """Weights near the given ones in a higher stratum, with the same product when it allows.

    Parameters
    ----------
    weights : [W_1, …, W_L], or a Barcode
    ranks : Stratum, label or table
        Entrywise at least the ranks of the weights.
    size : float or Fraction
        Each move adds a rank-one matrix whose largest entry is ``size`` in absolute value.
    options
        To `barcode`.

    Returns
    -------
    list of arrays
        Straight-line moves one after the other; the distance goes to 0 with ``size``.

    Examples
    --------
    >>> import numpy as np, polyfiber as pf
    >>> w = [np.zeros((1, 1)), np.ones((1, 1)), np.zeros((1, 1))]
    >>> up = pf.linear.raise_to(w, [1, 1, 1, 0, 0, 0])
    >>> [float(v[0, 0]) for v in up], pf.linear.locate(up).stratum.label
    ([0.001, 1.0, 0.0], (1, 1, 1, 0, 0, 0))
    """
    at = weights if isinstance(weights, Barcode) else barcode(weights, **options)
    for move in moves_between(at.widths, at.ranks, ranks):
        p = int(np.searchsorted(at.layers[move.k + 1], at.bars.index((move.s, move.t))))
        q = int(np.searchsorted(at.layers[move.k], at.bars.index((move.i, move.k))))
        unit = np.abs(at.J[move.k + 1][:, p]).max() * np.abs(at.J_inv[move.k][q]).max()
        at = apply_move(at, move, size / unit)
    return at.reconstruct()
