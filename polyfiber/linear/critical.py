"""Critical points of the square loss ``(1/2) |W_L … W_1 - Y|^2`` on rank strata: type, Hessian, sharpness.

At a critical point the product is Y cut down to some of its singular triples, ``W = sum over S of s_i u_i v_i^T``
(K. Kawaguchi 2016; M. Trager, K. Kohn, J. Bruna 2020). E. M. Achour, F. Malgouyres and S. Gerchinovitz (arXiv 2107.13289)
tell the rest from ranks alone. All hold for distinct singular values of Y.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .._typing import FloatArray, RngLike
from ..errors import InputError, ShapeError
from ..verdict import Verdict
from .ranks import check_widths
from .sampling import sample
from .strata import Stratum
from .weights import float_weights, product, unflatten, widths_of

_DISTINCT = 1e-8
_FLAT = 1e-9


@dataclass(frozen=True, eq=False)
class CriticalType:
    """What the points of one stratum over one product are for the square loss.

    Attributes
    ----------
    stratum : Stratum
    selection : tuple of int
        Singular triples of the target that the product keeps, from 0.
    critical : Verdict
        YES: every point of the stratum over that product is critical. NO: none is. UNDECIDED: generic points are not,
        special ones may be.
    kind : str
        Of the critical points among them: "global minimum", "strict saddle" (the Hessian has a negative eigenvalue),
        "saddle" (it has none, yet no local minimum), "none" (there are none), or "unknown" (the theorem does not apply).
    loss : float
    index, nullity : int
        Negative and zero eigenvalues of the Hessian at one random point; -1 where points need not be critical.
    descent : tuple of arrays or None
        At that point, a direction of negative curvature of norm 1.
    point : tuple of arrays or None
        The point.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.linear import critical_type, stratify
    >>> found = critical_type(stratify((2, 2, 2), rank=1)[0], np.diag([2.0, 1.0]))
    >>> found.critical.value, found.kind, found.loss
    ('yes', 'strict saddle', 0.5)
    """

    stratum: Stratum
    selection: tuple[int, ...]
    critical: Verdict
    kind: str
    loss: float
    index: int
    nullity: int
    descent: tuple[FloatArray, ...] | None = field(repr=False)
    point: tuple[FloatArray, ...] | None = field(repr=False)


def whitened_target(X: npt.ArrayLike, Y: npt.ArrayLike) -> FloatArray:
    """The matrix T for which ``(1/2)|W X - Y|^2`` is ``(1/2)|W' - T|^2`` plus a constant, ``W' = W (X X^T)^{1/2}``.

    Only the first layer changes, by an invertible matrix: ranks, critical points and signatures are the same.

    Parameters
    ----------
    X : array_like (d_0, samples)
        Of full row rank.
    Y : array_like (d_L, samples)

    Examples
    --------
    >>> from polyfiber.linear import whitened_target
    >>> whitened_target([[2.0, 0.0]], [[4.0, 1.0]]).tolist()
    [[4.0]]
    """
    x, y = _matrix(X, "X"), _matrix(Y, "Y")
    if x.shape[1] != y.shape[1]:
        raise ShapeError(f"X has {x.shape[1]} samples and Y {y.shape[1]}; expected one column of each per sample")
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    if x.shape[0] > x.shape[1] or s[-1] <= 1e-12 * s[0]:
        raise InputError(
            f"X of shape {x.shape} has no full row rank: some inputs are combinations of others; reduce them first"
        )
    return np.asarray(y @ vt.T @ u.T)


def critical_type(
    stratum: Stratum, target: npt.ArrayLike, *, selection: Iterable[int] | None = None, rng: RngLike = 0
) -> CriticalType:
    """Which points of a stratum are critical for ``(1/2) |product - target|^2``, and of which type.

    Parameters
    ----------
    stratum : Stratum
    target : array_like (d_L, d_0)
        For data see :func:`whitened_target`.
    selection : ints, optional
        Which singular triples of the target the product keeps; as many as its rank. By default the largest.
    rng
        For the point at which the Hessian is taken.

    Returns
    -------
    CriticalType

    Raises
    ------
    ShapeError, InputError
        A target of another shape or not finite; a selection that does not fit the rank.

    Notes
    -----
    With E = product - target, all points are critical iff E = 0 or for each layer j one of ``rank W_{L~j}`` and
    ``rank W_{j-1~0}`` is the rank of the product (then one of them is orthogonal to E). The type: a global minimum iff
    the product is the best approximation of its widths; else a strict saddle if the selection is not the largest
    triples, or if for some i > j all three of ``W_{L~i}``, ``W_{i-1~j}``, ``W_{j-1~0}`` have a rank above that of the
    product; else a saddle without a direction of negative curvature. In particular every local minimum is global.
    Cost of the signature: the eigenvalues of one Hessian.

    Examples
    --------
    >>> import numpy as np, polyfiber as pf
    >>> strata = pf.linear.stratify((3, 2, 2, 3), rank=1)
    >>> s = next(s for s in strata if s.label == (1, 1, 1, 1, 1, 1))
    >>> t = pf.linear.critical_type(s, np.diag([3.0, 2.0, 1.0]))
    >>> t.critical.value, t.kind, t.index
    ('yes', 'saddle', 0)
    """
    Y = _matrix(target, "target")
    d, r, rho = stratum.widths, stratum.ranks, stratum.rank
    if Y.shape != (d[-1], d[0]):
        raise ShapeError(f"target has shape {Y.shape}; widths {d} give products of shape {(d[-1], d[0])}")
    u, s, vt = np.linalg.svd(Y, full_matrices=False)
    size = float(s[0]) if s.size else 0.0
    kept = tuple(range(rho)) if selection is None else tuple(sorted(int(i) for i in selection))
    own = int((s > 1e-12 * size).sum()) if size else 0
    if len(set(kept)) != rho or (kept and not 0 <= kept[0] <= kept[-1] < own):
        raise InputError(
            f"selection {kept} does not fit: expected {rho} different singular triples among the {own} of the target"
        )
    W = (u[:, list(kept)] * s[list(kept)]) @ vt[list(kept)]
    rest = [i for i in range(own) if i not in kept]
    loss = 0.5 * float((s[rest] ** 2).sum())
    last = len(d) - 1
    everywhere = not rest or all(min(r[last, j], r[j - 1, 0]) == rho for j in range(1, last + 1))
    if everywhere:
        critical = Verdict.YES
    else:
        # C^T E R = 0 for spaces of dimensions a, b beyond those of the product needs room beside the rank of E
        room = d[-1] + d[0] - 2 * rho - len(rest)
        fits = all(
            min(r[last, j], r[j - 1, 0]) == rho or r[last, j] + r[j - 1, 0] - 2 * rho <= room
            for j in range(1, last + 1)
        )
        critical = Verdict.UNDECIDED if fits else Verdict.NO
    top = kept == tuple(range(rho))
    values = s[:own]
    distinct = bool((values[:-1] - values[1:] > _DISTINCT * size).all())
    loose = any(min(r[last, i], r[i - 1, j], r[j - 1, 0]) > rho for i in range(2, last + 1) for j in range(1, i))
    if top and rho == min(*d, own):
        kind = "global minimum"
    elif not distinct:
        kind = "unknown"
    else:
        kind = "strict saddle" if not top or loose else "saddle"
    if critical is not Verdict.YES:
        kind = "none" if critical is Verdict.NO else kind
        return CriticalType(stratum, kept, critical, kind, loss, -1, -1, None, None)
    point = [np.asarray(w, np.float64) for w in sample(stratum, product=W, rng=rng)]
    eigenvalues, vectors = np.linalg.eigh(hessian(point, Y))
    # a Hessian of zeros is known to rounding of what it is made of
    made_of = np.sqrt(2.0 * loss) * max([1.0, *(float(np.linalg.norm(w)) for w in point)]) ** max(0, last - 2)
    flat = _FLAT * max(float(np.abs(eigenvalues).max()), float(made_of), 1e-300)
    index = int((eigenvalues < -flat).sum())
    direction = tuple(unflatten(vectors[:, 0], d)) if index else None
    return CriticalType(
        stratum, kept, critical, kind, loss, index, int((np.abs(eigenvalues) <= flat).sum()), direction, tuple(point)
    )


def hessian(weights: Sequence[Any], target: npt.ArrayLike) -> FloatArray:
    """Hessian of ``(1/2) |W_L … W_1 - target|^2`` at any weights, by formula.

    Returns
    -------
    float64 (D, D)
        On the row-major vector of all layers, first layer first. ``J^T J`` plus, between layers i > j, the products of
        entries of ``W_{L~i}^T E W_{j-1~0}^T`` and ``W_{i-1~j}``.

    Raises
    ------
    ShapeError

    Notes
    -----
    Cost: ``D^2`` times the number of outputs.

    Examples
    --------
    >>> from polyfiber.linear import hessian
    >>> hessian([[[2.0]], [[3.0]]], [[5.0]]).tolist()         # of (1/2) (b a - 5)^2 at a = 2, b = 3
    [[9.0, 7.0], [7.0, 4.0]]
    """
    layers = float_weights(weights)
    Y = _matrix(target, "target")
    d = widths_of(layers)
    if Y.shape != (d[-1], d[0]):
        raise ShapeError(f"target has shape {Y.shape}; widths {d} give products of shape {(d[-1], d[0])}")
    last = len(layers)
    above = [np.eye(d[-1])]  # above[L - j] = W_{L~j}
    for w in reversed(layers):
        above.append(above[-1] @ w)
    above.reverse()
    below = [np.eye(d[0])]
    for w in layers:
        below.append(w @ below[-1])
    E = product(layers) - Y
    ends = np.cumsum([0, *[w.size for w in layers]])
    J = np.hstack([np.kron(above[j], below[j - 1].T) for j in range(1, last + 1)])
    H = J.T @ J
    for j in range(1, last + 1):
        between = np.eye(d[j])
        for i in range(j + 1, last + 1):
            G = above[i].T @ E @ below[j - 1].T
            block = np.einsum("ac,be->abec", G, between).reshape(layers[i - 1].size, layers[j - 1].size)
            rows, columns = slice(ends[i - 1], ends[i]), slice(ends[j - 1], ends[j])
            H[rows, columns] += block
            H[columns, rows] += block.T
            between = layers[i - 1] @ between
    return np.asarray(H)


@dataclass(frozen=True)
class Sharpness:
    """Largest curvature of the square loss at a global minimum, against the least on its fiber.

    Attributes
    ----------
    value : float
        Largest eigenvalue of the Hessian at weights whose product is the target.
    least : float
        ``L s^{2 - 2/L}`` with s the largest singular value of the product: the least value on the fiber, proven and
        attained by balanced weights (:func:`flattest`).

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.linear import sharpness
    >>> found = sharpness([np.diag([2.0, 1.0]), np.diag([2.0, 1.0])])
    >>> round(found.value, 9), round(found.least, 9)
    (8.0, 8.0)
    """

    value: float
    least: float


def sharpness(weights: Sequence[Any]) -> Sharpness:
    """Sharpness of weights as a minimum of ``(1/2) |product - W|^2``, W their product.

    Notes
    -----
    With u, v the first singular vectors of W, ``p_j = |W_{L~j}^T u|`` and ``q_j = |W_{j~0} v|``: the curvature is at least
    ``sum_j p_j^2 q_{j-1}^2 >= L (prod p_j q_{j-1})^{2/L}``, and ``p_j q_j >= u^T W v = s`` for the L - 1 hidden layers.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.linear import sharpness
    >>> s = sharpness([np.array([[4.0]]), np.array([[1.0]])])
    >>> s.value, s.least
    (17.0, 8.0)
    """
    layers = float_weights(weights)
    W = product(layers)
    value = float(np.linalg.eigvalsh(hessian(layers, W))[-1])
    s = float(np.linalg.norm(W, 2)) if W.size else 0.0
    n = len(layers)
    return Sharpness(value, n * s ** (2.0 - 2.0 / n) if n > 1 else 1.0)


def flattest(W: npt.ArrayLike, widths: Sequence[int]) -> list[FloatArray]:
    """Weights over W of least sharpness: balanced ones, ``sigma^{1/L}`` in each layer.

    Raises
    ------
    InputError
        A width below the rank of W.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.linear import flattest, sharpness
    >>> w = flattest(np.diag([4.0, 1.0]), (2, 3, 2))
    >>> s = sharpness(w)
    >>> bool(abs(s.value - s.least) < 1e-12)
    True
    """
    matrix = _matrix(W, "W")
    d = check_widths(widths)
    if len(d) < 2 or (d[-1], d[0]) != matrix.shape:
        raise ShapeError(f"widths {d} give products of shape {(d[-1], d[0])}; W has {matrix.shape}")
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    rank = int((s > 1e-12 * s[0]).sum()) if s.size and s[0] else 0
    if min(d) < rank:
        raise InputError(f"W has rank {rank}, and widths {d} only allow {min(d)}")
    n = len(d) - 1
    strength = s[:rank] ** (1.0 / n)
    frames = [vt[:rank].T, *[np.eye(w)[:, :rank] for w in d[1:-1]], u[:, :rank]]
    return [np.asarray((frames[j] * strength) @ frames[j - 1].T) for j in range(1, n + 1)]


def _matrix(values: npt.ArrayLike, name: str) -> FloatArray:
    try:
        out = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is not a matrix of numbers: {error}") from None
    if out.ndim != 2:
        raise ShapeError(f"{name} has shape {out.shape}; expected a matrix", shape=out.shape)
    if not np.isfinite(out).all():
        raise InputError(f"{name} holds entries that are NaN or infinite; all must be finite")
    return out
