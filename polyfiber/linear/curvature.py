"""Curvature of the square loss ``(1/2) |W_L … W_1 - Y|^2``: Hessian, sharpness against the least on the fiber."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import words
from .._typing import FloatArray
from ..budget import Budget, heed, within_budget
from ..errors import InputError, ShapeError
from ..numerics.rounding import gamma
from .ranks import check_widths
from .weights import as_matrix, float_weights, product, widths_of


def hessian(weights: Sequence[Any], target: npt.ArrayLike) -> FloatArray:
    """Hessian of ``(1/2) |W_L … W_1 - target|^2`` at any weights, by formula.

    Returns
    -------
    float64 (D, D)
        On the row-major vector of all layers, first layer first. ``J^T J`` plus, between layers i > j, the products of
        entries of ``W_{L~i}^T E W_{j-1~0}^T`` and ``W_{i-1~j}``.

    Raises
    ------
    ShapeError, InputError
        A target of another shape; numbers beyond floats.

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
    Y = as_matrix(target, "target")
    d = widths_of(layers)
    if Y.shape != (d[-1], d[0]):
        raise ShapeError(f"target has shape {Y.shape}; widths {d} give products of shape {(d[-1], d[0])}")
    with np.errstate(over="ignore", invalid="ignore"):
        H = _hessian(layers, Y, d)
    if not np.isfinite(H).all():
        raise InputError("the Hessian leaves the range of floats; rescale the weights or the target")
    return np.asarray(H)


def _hessian(layers: list[FloatArray], Y: FloatArray, d: tuple[int, ...]) -> FloatArray:
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
        Largest eigenvalue of the Hessian at weights that fit the target.
    least : float
        A proven lower bound of it for all weights with this product. Without data it is ``L s^{2 - 2/L}``, with s the
        largest singular value of the product, and balanced weights attain it (:func:`flattest`).
    gap : float
        Certified: these weights are at most so much sharper than the flattest ones on the fiber, rounding included.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.linear import sharpness
    >>> found = sharpness([np.diag([2.0, 1.0]), np.diag([2.0, 1.0])])
    >>> round(found.value, 9), round(found.least, 9), found.gap < 1e-12
    (8.0, 8.0, True)
    """

    value: float
    least: float
    gap: float


def sharpness(weights: Sequence[Any], *, data: npt.ArrayLike | None = None) -> Sharpness:
    """Sharpness of weights as a minimum of ``(1/2) |W_L … W_1 X - Y|^2`` that fits Y.

    Parameters
    ----------
    weights : [W_1, …, W_L]
    data : array_like (d_0, samples), optional
        X; by default the identity: the square loss to the product as target.

    Raises
    ------
    ShapeError, InputError
        Data of another size or not finite.

    Notes
    -----
    With G = X X^T, W the product, any unit u, ``s = |X^T W^T u|`` and v = ``X^T W^T u / s``, ``p_j = |W_{L~j}^T u|`` and
    ``q_j = |W_{j~0} X v|``: the curvature is at least ``sum_j p_j^2 q_{j-1}^2 >= L (prod p_j q_{j-1})^{2/L}``, and
    ``p_j q_j >= u^T W X v = s`` for the L - 1 hidden layers, so at least ``L (s^{L-2} |G W^T u|)^{2/L}``. With data and two
    layers the bound is that of a dual problem, which is sharp; with more, the largest block gives another one. For the upper
    end, circles of Gershgorin around the Hessian in its own computed eigenvectors, with bounds of all rounding. Cost: one
    Hessian and its eigenvectors.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.linear import sharpness
    >>> s = sharpness([np.array([[4.0]]), np.array([[1.0]])])
    >>> round(s.value, 12), s.least
    (17.0, 8.0)
    """
    layers = float_weights(weights)
    d = widths_of(layers)
    if not any(w.size for w in layers):
        raise InputError(f"a network of widths {d} has no weights, so nothing is sharp")
    x = np.eye(d[0]) if data is None else as_matrix(data, "data")
    if x.shape[0] != d[0]:
        raise ShapeError(
            f"data has shape {x.shape}; expected {words.count(d[0], 'row')}, one for each input, and a column a sample"
        )
    gram = x @ x.T
    operations = 4 * sum(d) + 2 * x.shape[1] + 16
    with np.errstate(over="ignore", invalid="ignore"):
        H, W = _at_a_minimum(layers, gram), product(layers)
        sizes = [np.abs(w) for w in layers]
        size = np.abs(x) @ np.abs(x.T)
        errors = gamma(operations) * _at_a_minimum(sizes, size)
    if not (np.isfinite(H).all() and np.isfinite(errors).all() and float(np.abs(H).max(initial=0.0)) < 1e290):
        raise InputError("the Hessian leaves the range of floats; rescale the weights or the data")
    values, vectors = np.linalg.eigh(H)
    value, upper = float(values[-1]), _above_all_eigenvalues(H, vectors, errors)
    n = len(layers)
    if n == 1:
        return Sharpness(value, value, 0.0)
    whole = product(sizes)
    least = low = 0.0
    for u in np.linalg.eigh(W @ gram @ W.T)[1].T:
        back, off = gram @ W.T @ u, gamma(operations) * (size @ whole.T @ np.abs(u))
        squared, off_squared = float(u @ W @ back), 2.0 * float(np.abs(u) @ whole @ off)
        least = max(least, n * (max(squared, 0.0) ** (n / 2 - 1.0) * float(np.linalg.norm(back))) ** (2.0 / n))
        safe = max(squared - off_squared, 0.0), max(float(np.linalg.norm(back) - np.linalg.norm(off)), 0.0)
        low = max(low, n * (safe[0] ** (n / 2 - 1.0) * safe[1]) ** (2.0 / n) * (1.0 - gamma(operations + 16 * n)))
    if data is not None:
        more, safe_more = _two_layers(W, x) if n == 2 else _single_blocks(W, x, n)
        least, low = max(least, more), max(low, safe_more)
    entries = [np.log10(w[w > 0]) for w in (*sizes, np.abs(x)) if (w > 0).any()]
    within = sum(float(np.abs(e).max()) for e in entries) < 70.0  # no product of entries leaves the range of floats
    return Sharpness(value, least, max(0.0, upper - low) if within else float("inf"))


def _single_blocks(W: FloatArray, x: FloatArray, n: int) -> tuple[float, float]:
    """``(|X| |W X|^{L-1})^{2/L}``: the largest of ``(|W_{L~j}| |W_{j-1~0} X|)^2`` is at least their geometric mean.

    As computed, and safe against rounding, as below.
    """
    bound = gamma(16 * (sum(W.shape) + x.shape[1]))
    sizes = np.linalg.norm(x), np.linalg.norm(np.abs(W) @ np.abs(x))
    norms = np.linalg.norm(x, 2), np.linalg.norm(W @ x, 2)
    safe = [max(float(v - bound * size), 0.0) for v, size in zip(norms, sizes, strict=True)]
    least = float((norms[0] * norms[1] ** (n - 1)) ** (2.0 / n))
    return least, (safe[0] * safe[1] ** (n - 1)) ** (2.0 / n) * (1.0 - bound)


def _two_layers(W: FloatArray, x: FloatArray) -> tuple[float, float]:
    """A lower bound of the sharpness of two layers, from the density of the flattest weights found; right for any
    density.

    For R = (r_1, …, r_K), matrices of outputs x samples whose squares sum to 1, curvature is at least ``|F|^2 + |E|^2``
    with ``F_k = W_1 X r_k^T`` and ``E_k = W_2^T r_k X^T``, hence at least ``2 |E^T F|_*`` (nuclear norm), and
    ``E_k^T F_l = X r_k^T W X r_l^T``.
    """
    root = _root(x)
    if not root.size or not np.any(W):
        return 0.0, 0.0
    values, vectors = np.linalg.eigh(_outer(_descend(W, root, 2), root))
    samples = np.linalg.svd(x, full_matrices=False)[2][: root.shape[1]].T
    seen = x @ samples  # root up to rounding
    best = safe = 0.0
    for power in (1.0, 64.0, 512.0, 2048.0):
        weights = np.exp(power * np.log(np.maximum(values, 1e-300) / values[-1]))
        r = (vectors * np.sqrt(weights / weights.sum()))[:, weights > 1e-12].T.reshape(-1, W.shape[0], root.shape[1])
        left, right = np.concatenate(list(seen @ r.transpose(0, 2, 1))), np.concatenate(list(r)).T
        form, whole = left @ W @ seen @ right, float(((r @ samples.T) ** 2).sum())
        bound = gamma(16 * (sum(form.shape) + sum(x.shape)))
        around = np.abs(np.concatenate(list(np.abs(x) @ np.abs(samples) @ np.abs(r).transpose(0, 2, 1))))
        off = bound * np.linalg.norm(around @ np.abs(W) @ np.abs(x) @ np.abs(samples) @ np.abs(right))
        value = 2.0 * float(np.linalg.norm(form, "nuc")) / whole
        best = max(best, value)
        safe = max(safe, (value - 2.0 * float(np.sqrt(min(form.shape)) * off) / whole) * (1.0 - bound))
    return best, safe


def _root(x: FloatArray) -> FloatArray:
    """Data (d_0, k) with the same ``X X^T``, k the rank of X."""
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    k = int((s > 1e-12 * s[0]).sum()) if s.size else 0
    return np.asarray(u[:, :k] * s[:k])


def _outer(layers: Sequence[FloatArray], x: FloatArray) -> FloatArray:
    """``J J^T``, with the eigenvalues of the Hessian at a minimum that fits, on outputs times samples."""
    above, below = _around(layers, x)
    return np.asarray(sum(np.kron(a @ a.T, b.T @ b) for a, b in zip(above, below, strict=True)))


def _around(layers: Sequence[FloatArray], x: FloatArray) -> tuple[list[FloatArray], list[FloatArray]]:
    """``W_{L~j}`` and ``W_{j-1~0} X`` of each layer j."""
    above, below = [np.eye(layers[-1].shape[0])], [x]
    for w in reversed(layers[1:]):
        above.insert(0, above[0] @ w)
    for w in layers[:-1]:
        below.append(w @ below[-1])
    return above, below


def _descend(W: FloatArray, x: FloatArray, n: int) -> list[FloatArray]:
    """Weights over W, hidden widths its rank, of least sharpness for the data.

    The sharpness is geodesically convex in the positive definite matrices by which hidden spaces are stretched
    (positive maps M satisfy M(A # B) <= M(A) # M(B)), so that descent does not end elsewhere. Largest eigenvalues are
    smoothed to norms of growing order.
    """
    u, s, vt = np.linalg.svd(W, full_matrices=False)
    rank = int((s > 1e-12 * s[0]).sum()) if s.size and s[0] else 0
    if rank == 0 or not x.size:
        return [np.zeros((rank, W.shape[1])), *[np.zeros((rank, rank))] * (n - 2), np.zeros((W.shape[0], rank))]
    strength = s[:rank] ** (1.0 / n)
    layers = [strength[:, None] * vt[:rank], *[np.diag(strength)] * (n - 2), u[:, :rank] * strength]
    for order in (4.0, 32.0, 256.0):
        step, value, slopes = 0.5, *_smoothed(layers, x, order)
        for _ in range(100):
            heed("the search for the flattest weights")
            size = float(np.sqrt(sum((g**2).sum() for g in slopes)))
            if size < 1e-7:
                break
            turns = [_exponential(-step * g) for g in slopes]
            back = [_exponential(step * g) for g in slopes]
            trial = [layers[0], *layers[1:]]
            for j, (g, h) in enumerate(zip(turns, back, strict=True)):
                trial[j], trial[j + 1] = g @ trial[j], trial[j + 1] @ h
            after = _smoothed(trial, x, order)
            if after[0] <= value - 0.3 * step * size**2:
                layers, (value, slopes), step = trial, after, 1.7 * step
            elif step * size < 1e-10:
                break
            else:
                step *= 0.4
    return layers


def _exponential(S: FloatArray) -> FloatArray:
    """Of a symmetric matrix."""
    values, vectors = np.linalg.eigh(S)
    return np.asarray((vectors * np.exp(values)) @ vectors.T)


def _smoothed(layers: list[FloatArray], x: FloatArray, order: float) -> tuple[float, list[FloatArray]]:
    """Logarithm of a norm of the eigenvalues, and its slopes along symmetric stretches of the hidden spaces."""
    above, below = _around(layers, x)
    values, vectors = np.linalg.eigh(_outer(layers, x))
    parts = np.maximum(values / values[-1], 0.0)
    total = float((parts**order).sum())
    density = (vectors * (parts ** (order - 1.0) / (total * values[-1]))) @ vectors.T
    outputs, samples = above[-1].shape[0], x.shape[1]
    cells = density.reshape(outputs, samples, outputs, samples)
    slopes = []
    for j in range(1, len(layers)):
        inner = np.einsum("iaib->ab", np.einsum("ij,jakb->iakb", above[j] @ above[j].T, cells))
        outer = np.einsum("iajb,ab->ij", cells, below[j - 1].T @ below[j - 1])
        slope = below[j] @ inner @ below[j].T - above[j - 1].T @ outer @ above[j - 1]
        slopes.append(slope + slope.T)
    return float(np.log(values[-1]) + np.log(total) / order), slopes


def _at_a_minimum(layers: Sequence[FloatArray], gram: FloatArray) -> FloatArray:
    """``J^T J``: the Hessian where the weights fit, ``gram`` that of the data."""
    above, below = [np.eye(layers[-1].shape[0])], [np.eye(layers[0].shape[1])]
    for w in reversed(layers[1:]):
        above.insert(0, above[0] @ w)
    for w in layers[:-1]:
        below.append(w @ below[-1])
    return np.block([[np.kron(a.T @ c, b @ gram @ e.T) for c, e in zip(above, below)] for a, b in zip(above, below)])


def _above_all_eigenvalues(H: FloatArray, vectors: FloatArray, errors: FloatArray) -> float:
    """A bound of the eigenvalues of every symmetric matrix within ``errors`` (entrywise) of H."""
    bound = gamma(4 * len(H) + 8)
    size = np.abs(vectors)
    turned = vectors.T @ H @ vectors
    circles = (np.abs(turned) - np.diag(np.diag(np.abs(turned)))).sum(axis=1) + np.diag(turned)
    circles += (size.T @ (bound * np.abs(H) + 2.0 * errors) @ size).sum(axis=1) * (1.0 + bound)
    apart = float((np.abs(vectors.T @ vectors - np.eye(len(H))) + bound * (size.T @ size)).sum(axis=1).max())
    top = max(0.0, float(circles.max())) / (1.0 - apart) if apart < 0.5 else float("inf")
    return top * (1.0 + bound)


@within_budget
def flattest(
    W: npt.ArrayLike, widths: Sequence[int], *, data: npt.ArrayLike | None = None, budget: Budget | None = None
) -> list[FloatArray]:
    """Weights over W of least sharpness: balanced ones, ``sigma^{1/L}`` in each layer; with data, by descent.

    Parameters
    ----------
    W : array_like (d_L, d_0)
    widths : (d_0, …, d_L)
    data : array_like (d_0, samples), optional
        X of the loss ``(1/2) |W_L … W_1 X - Y|^2``. :func:`sharpness` with these data certifies how far the weights
        that are found are from the flattest ones: for two layers the gap is that of the descent (about a hundredth),
        for more it is loose.
    budget : Budget, optional
        Seconds for the descent.

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
    >>> X = np.diag([10.0, 1.0])
    >>> found = sharpness(flattest([[0.0, 1.0]], (2, 1, 1), data=X), data=X)
    >>> round(found.value, 1), found.gap < 0.2
    (10.1, True)
    """
    matrix = as_matrix(W, "W")
    d = check_widths(widths)
    if len(d) < 2 or (d[-1], d[0]) != matrix.shape:
        raise ShapeError(f"widths {d} give products of shape {(d[-1], d[0])}; W has {matrix.shape}")
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    rank = int((s > 1e-12 * s[0]).sum()) if s.size and s[0] else 0
    if min(d) < rank:
        raise InputError(f"W has rank {rank}, and widths {d} only allow {min(d)}")
    n = len(d) - 1
    if data is not None and n > 1:
        x = as_matrix(data, "data")
        if x.shape[0] != d[0]:
            raise ShapeError(f"data has shape {x.shape}; expected {words.count(d[0], 'row')}, one for each input")
        thin = _descend(matrix, _root(x), n)
        return [
            np.pad(w, ((0, a - w.shape[0]), (0, b - w.shape[1]))) for w, a, b in zip(thin, d[1:], d[:-1], strict=True)
        ]
    strength = s[:rank] ** (1.0 / n)
    frames = [vt[:rank].T, *[np.eye(w)[:, :rank] for w in d[1:-1]], u[:, :rank]]
    return [np.asarray((frames[j] * strength) @ frames[j - 1].T) for j in range(1, n + 1)]
