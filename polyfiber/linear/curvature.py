"""Curvature of the square loss ``(1/2) |W_L … W_1 - Y|^2``: Hessian, sharpness against the least on the fiber."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .._typing import FloatArray
from ..errors import InputError, ShapeError
from ..numerics.rounding import gamma
from .ranks import check_widths
from .weights import float_weights, product, widths_of


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
    ``p_j q_j >= u^T W X v = s`` for the L - 1 hidden layers, so at least ``L (s^{L-2} |G W^T u|)^{2/L}``. For the upper
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
        raise ShapeError(f"data has shape {x.shape}; expected {d[0]} rows, one for each input, and a column a sample")
    gram = x @ x.T
    operations = 4 * sum(d) + 2 * x.shape[1] + 16
    with np.errstate(over="ignore", invalid="ignore"):
        H, W = _at_a_minimum(layers, gram), product(layers)
        sizes = [np.abs(w) for w in layers]
        size = np.abs(x) @ np.abs(x.T)
        errors = gamma(operations) * _at_a_minimum(sizes, size)
    if not (np.isfinite(H).all() and np.isfinite(errors).all() and float(np.abs(H).max(initial=0.0)) < 1e150):
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
    entries = [np.log10(w[w > 0]) for w in (*sizes, np.abs(x)) if (w > 0).any()]
    within = sum(float(np.abs(e).max()) for e in entries) < 70.0  # no product of entries leaves the range of floats
    return Sharpness(value, least, max(0.0, upper - low) if within else float("inf"))


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
    matrix = as_matrix(W, "W")
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


def as_matrix(values: npt.ArrayLike, name: str) -> FloatArray:
    if np.ma.is_masked(values):
        raise InputError(f"{name} has masked entries; fill them first")
    try:
        array = np.asarray(values)
        if array.dtype.kind == "c":
            raise InputError(f"{name} is complex; expected real numbers")
        if array.dtype.kind not in "fiubO":
            raise InputError(f"{name} has dtype {array.dtype}; expected numbers")
        out = np.asarray(array, dtype=np.float64)
    except InputError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name} is not a matrix of numbers: {error}") from None
    if out.ndim != 2:
        raise ShapeError(f"{name} has shape {out.shape}; expected a matrix", shape=out.shape)
    if not np.isfinite(out).all():
        raise InputError(f"{name} holds entries that are NaN or infinite; all must be finite")
    return out
