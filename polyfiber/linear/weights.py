"""Weights of a linear network: checks, products, transposes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import words
from .._typing import Array, FloatArray
from .._values.checked import reals_of, shown
from ..errors import InputError, ShapeError
from ..numerics.exact import as_fractions


def check_weights(weights: Any, *, exact: bool | None = None) -> tuple[list[Array], bool]:
    """Layers ``[W_1, …, W_L]`` as arrays that chain, and whether they are rationals.

    Parameters
    ----------
    weights : sequence of (d_j, d_{j-1}) arrays
        First layer first: the product is ``W_L @ … @ W_1``.
    exact : bool, optional
        True reads every entry as the rational it is (floats are dyadic), False as float64.
        By default integers and objects (``Fraction``, ``flint.fmpq``) are exact, floats not.

    Returns
    -------
    list of float64 arrays, or of object arrays of Fraction
    bool

    Raises
    ------
    ShapeError
        Not matrices, or shapes that do not chain.
    InputError
        No layer, non-finite entries, entries that are not real numbers.
    """
    if isinstance(weights, np.ndarray) and weights.ndim == 2:
        raise ShapeError(f"expected a list of matrices [W_1, …, W_L], found one matrix of shape {weights.shape}")
    if isinstance(weights, str | bytes | dict) or not hasattr(weights, "__len__"):
        raise InputError(f"expected a list of matrices [W_1, …, W_L], found a {type(weights).__name__}")
    if len(weights) == 0:
        raise InputError("a linear network needs at least one layer; found no matrices")
    arrays: list[Array] = []
    for j, w in enumerate(weights, 1):
        try:
            array = np.asarray(w)
        except ValueError as error:
            raise ShapeError(f"W_{j} is not a rectangular array: {error}") from None
        if np.ma.is_masked(w):
            raise InputError(f"W_{j} has masked entries; fill them first")
        if array.ndim != 2:
            raise ShapeError(f"W_{j} has shape {array.shape}; expected a matrix", found=array.shape)
        if array.size == 0 and array.dtype.kind == "f":
            array = array.astype(np.float64)
        if array.dtype.kind not in "fiubO":
            raise InputError(f"W_{j} has dtype {array.dtype}; expected real numbers or fractions")
        arrays.append(array)
    for j in range(1, len(arrays)):
        if arrays[j].shape[1] != arrays[j - 1].shape[0]:
            raise ShapeError(
                f"W_{j + 1} expects {words.count(arrays[j].shape[1], 'input')} but W_{j} gives {arrays[j - 1].shape[0]} "
                f"(shapes {arrays[j].shape}, {arrays[j - 1].shape}); weights are listed first layer first",
                layer=j + 1,
            )
    if exact is None or not isinstance(exact, bool | np.bool_):
        if exact is not None:
            raise InputError(f"exact must be True, False or None, found {shown(exact)}")
        exact = all(a.dtype.kind in "iubO" for a in arrays)
    if exact:
        return [as_fractions(a, where=f"W_{j}") for j, a in enumerate(arrays, 1)], True
    out = []
    for j, a in enumerate(arrays, 1):
        try:
            value = np.array(a, dtype=np.float64, order="C")
        except (TypeError, ValueError, OverflowError):
            value = as_fractions(a, where=f"W_{j}").astype(np.float64)
        if not np.isfinite(value).all():
            bad = tuple(int(v) for v in np.argwhere(~np.isfinite(value))[0])
            raise InputError(f"W_{j} holds {value[bad]} at {bad}; expected finite numbers", layer=j, index=bad)
        out.append(value)
    return out, False


def float_weights(weights: Any) -> list[FloatArray]:
    """Layers as float64 arrays, whatever they were."""
    return check_weights(weights, exact=False)[0]


def as_matrix(values: Any, name: str) -> FloatArray:
    """A finite real matrix as float64."""
    out = reals_of(values, name)
    if out.ndim != 2:
        raise ShapeError(f"{name} has shape {out.shape}; expected a matrix", shape=out.shape)
    return out


def widths_of(weights: Sequence[Array]) -> tuple[int, ...]:
    """(d_0, …, d_L) of checked layers."""
    return (weights[0].shape[1], *(w.shape[0] for w in weights))


def product(weights: Sequence[Array]) -> Array:
    """``W_L @ … @ W_1`` of checked layers."""
    out = weights[0]
    for w in weights[1:]:
        out = w @ out
    return out


def transpose(weights: Sequence[Any]) -> list[Array]:
    """The transposed network ``[W_L^T, …, W_1^T]``, whose product is ``W^T``.

    Ranks, bars, dimensions and flow subspaces correspond: ``r^T[L-i, L-k] = r[k, i]``, the bar
    ``[i, k]`` becomes ``[L-k, L-i]``, and ``B_kji(theta) = A_{L-i, L-j, L-k}(theta^T)``.

    Examples
    --------
    >>> import polyfiber as pf
    >>> [w.shape for w in pf.linear.transpose([[[1.0, 2.0]], [[3.0], [4.0]]])]
    [(1, 2), (2, 1)]
    """
    layers, _ = check_weights(weights)
    return [np.ascontiguousarray(w.T) for w in reversed(layers)]


def inner(a: Sequence[Array], b: Sequence[Array]) -> float:
    """Frobenius inner product of two weight vectors."""
    return float(sum(np.vdot(x, y) for x, y in zip(a, b)))


def norm(a: Sequence[Array]) -> float:
    """Frobenius norm of a weight vector."""
    return float(np.sqrt(sum(np.vdot(x, x).real for x in a)))


def flatten(a: Sequence[Array]) -> FloatArray:
    """Row-major vector of all layers, first layer first."""
    return np.concatenate([np.asarray(x, np.float64).ravel() for x in a])


def unflatten(vector: Array, widths: Sequence[int]) -> list[FloatArray]:
    """Layers of a row-major vector."""
    ends = np.cumsum([a * b for a, b in zip(widths, widths[1:])])
    if ends[-1] != len(vector):
        raise ShapeError(f"widths {tuple(widths)} have {ends[-1]} weights; found a vector of {len(vector)}")
    return [part.reshape(b, a) for part, a, b in zip(np.split(np.asarray(vector), ends[:-1]), widths, widths[1:])]


def check_step(step: Any, widths: Sequence[int], *, what: str = "the step") -> list[FloatArray]:
    """Layers of a direction that must have the shapes of the weights."""
    layers = float_weights(step)
    if widths_of(layers) != tuple(widths):
        raise ShapeError(f"{what} has widths {widths_of(layers)}; expected those of the weights, {tuple(widths)}")
    return layers
