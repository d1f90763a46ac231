"""What every function of this package asks of its arguments, said in one place."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import words
from .._typing import FloatArray
from .._values.checked import reals_of, shown
from ..errors import InputError, ShapeError

RANK_TOLERANCE = 1e-12
"""Singular values below this times the largest one are taken as exact zeros.

Fractional powers need it: a round-off value of 1e-17 has the fourth root 5.6e-5.
"""

LAYERS = 10**6
"""Layers that are made one by one, at most."""
LARGEST = 1e75
"""Entries beyond this overflow in the products and squares formed here; points below its inverse underflow."""


def as_finite(values: npt.ArrayLike, *, name: str) -> FloatArray:
    """Float64 array of finite numbers, or InputError."""
    array = reals_of(values, name)
    size = float(np.abs(array).max(initial=0.0))
    if size > LARGEST:
        raise InputError(
            f"{name} has an entry of size {size:.3g}; rescale: at most {LARGEST:.0e} is supported", size=size
        )
    return array


def as_matrix(values: npt.ArrayLike, *, name: str = "W", square: bool = False, vector: bool = False) -> FloatArray:
    """Float64 array of shape (..., m, n), finite, matrices not empty; ``vector``: may be as small as it likes."""
    array = as_finite(values, name=name)
    if array.ndim < 2:
        raise ShapeError(f"{name} has shape {array.shape}; expected a matrix or a batch (..., m, n)", shape=array.shape)
    if 0 in array.shape[-2:]:
        raise ShapeError(
            f"{name} has shape {array.shape}; a matrix needs at least one row and one column", shape=array.shape
        )
    if square and array.shape[-1] != array.shape[-2]:
        raise ShapeError(
            f"{name} has shape {array.shape}; this function is about square matrices (..., d, d)", shape=array.shape
        )
    if not vector and array.size:
        sizes = np.abs(array).max(axis=(-2, -1))
        if ((sizes > 0) & (sizes < 1.0 / LARGEST)).any():
            raise InputError(
                f"{name} has size {float(sizes.min()):.3g}; rescale: 0 or at least {1 / LARGEST:.0e} is supported"
            )
    return array


def as_like(values: npt.ArrayLike, reference: FloatArray, *, name: str) -> FloatArray:
    """Matrices of the same last two axes as ``reference`` whose batches broadcast against it."""
    array = as_matrix(values, name=name, vector=True)
    if array.shape[-2:] != reference.shape[-2:]:
        raise ShapeError(
            f"{name} has matrices of shape {array.shape[-2:]} but the point has {reference.shape[-2:]}",
            found=array.shape,
            expected=reference.shape,
        )
    try:
        np.broadcast_shapes(array.shape, reference.shape)
    except ValueError:
        raise ShapeError(
            f"the batch {array.shape[:-2]} of {name} does not broadcast against {reference.shape[:-2]}",
            found=array.shape,
            expected=reference.shape,
        ) from None
    return array


def as_matrices(values: Any, name: str, *, square: bool = False) -> list[FloatArray]:
    """A sequence of matrices; ``name`` is a format of their numbers."""
    if not isinstance(values, Sequence | np.ndarray) or isinstance(values, str | bytes):
        raise InputError(f"expected a sequence of matrices, found {shown(values)}")
    return [as_matrix(value, name=name.format(i), square=square) for i, value in enumerate(values, start=1)]


def as_widths(widths: Any) -> list[int]:
    """Widths (d_0, …, d_N)."""
    if not isinstance(widths, Sequence | np.ndarray) or isinstance(widths, str | bytes):
        raise InputError(f"widths are a sequence of whole numbers, found {shown(widths)}")
    if not len(widths):
        raise ShapeError("found no widths; expected at least two", widths=0)
    return [int(as_depth(width, name="a width")) for width in widths]


def require_callable(call: Any, name: str) -> None:
    """InputError for what is no function."""
    if not callable(call):
        raise InputError(f"{name} is a function of a matrix, found {shown(call)}")


def as_depth(
    depth: Any, *, infinite: bool = False, least: int = 1, most: int | None = None, name: str = "depth"
) -> float:
    """A depth: an integer at least ``least``, or infinity where the limit is defined.

    Returns an int, except for infinity.
    """
    allowed = f"an integer >= {least}" + (" or math.inf" if infinite else "")
    if isinstance(depth, bool | np.bool_):
        raise InputError(f"{name} is {depth!r}; expected {allowed}", depth=depth)
    if isinstance(depth, float) and math.isinf(depth) and depth > 0:
        if infinite:
            return math.inf
        raise InputError(f"{name} is infinite, but only finite ones make sense here; expected {allowed}", depth=depth)
    try:
        value = operator.index(depth)
    except TypeError:
        raise InputError(f"{name} is {depth!r}; expected {allowed}", depth=depth) from None
    if value < least:
        raise InputError(f"{name} is {value}; expected {allowed}", depth=value)
    if most is not None and value > most:
        raise InputError(
            f"{name} is {shown(value)}; at most {most} is supported here, where each layer is made", depth=value
        )
    if value > 10**300:
        raise InputError(f"{name} has {value.bit_length()} bits, beyond what floats hold; expected {allowed}")
    return value


def as_positive(value: Any, *, name: str, zero: bool = False, infinite: bool = False) -> float:
    """A positive number (or zero, or infinity, where allowed)."""
    try:
        number = (
            float(value)
            if isinstance(value, Real) or (np.ndim(value) == 0 and np.asarray(value).dtype.kind in "iuf")
            else None
        )
    except Exception:  # whatever an object does when it is made a float
        number = None
    if number is None or isinstance(value, bool | np.bool_):
        raise InputError(f"{name} is {shown(value)}; expected a number", name=name)
    good = number > 0 or (zero and number == 0)
    if not good or (math.isinf(number) and not infinite):
        kind = "non-negative" if zero else "positive"
        raise InputError(f"{name} is {value!r}; expected a {kind} {'' if infinite else 'finite '}number", name=name)
    return number


def as_layers(weights: Any, *, least: int = 1) -> tuple[FloatArray, ...]:
    """Layers W_1, ..., W_N (first layer first), each (..., d_p, d_{p-1}), that can be multiplied.

    A sequence of matrices, or one array (..., N, d, d).
    """
    if isinstance(weights, np.ndarray):
        stack = as_finite(weights, name="weights")
        if stack.ndim < 3:
            raise ShapeError(
                f"weights has shape {stack.shape}; expected (..., N, d, d) or a sequence of N matrices",
                shape=stack.shape,
            )
        layers = tuple(as_matrix(stack[..., p, :, :], name=f"layer {p + 1}") for p in range(stack.shape[-3]))
    else:
        if not isinstance(weights, Sequence):
            raise InputError(f"weights is {type(weights).__name__}; expected an array or a sequence of matrices")
        layers = tuple(as_matrix(layer, name=f"layer {p}") for p, layer in enumerate(weights, start=1))
    if len(layers) < least:
        raise ShapeError(f"found {words.count(len(layers), 'layer')}; expected at least {least}", layers=len(layers))
    for p in range(1, len(layers)):
        if layers[p].shape[-1] != layers[p - 1].shape[-2]:
            raise ShapeError(
                f"layer {p + 1} expects {words.count(layers[p].shape[-1], 'input')} but layer {p} gives {layers[p - 1].shape[-2]} "
                f"(shapes {layers[p - 1].shape}, {layers[p].shape})",
                layer=p + 1,
            )
    try:
        np.broadcast_shapes(*(layer.shape[:-2] for layer in layers))
    except ValueError:
        raise ShapeError(f"the batches of the layers do not fit: {[layer.shape[:-2] for layer in layers]}") from None
    return layers


def as_stack(weights: Any, *, least: int = 1) -> FloatArray:
    """Square layers as one array (..., N, d, d), first layer first."""
    layers = as_layers(weights, least=least)
    sizes = {layer.shape[-2:] for layer in layers}
    if len(sizes) > 1 or layers[0].shape[-1] != layers[0].shape[-2]:
        raise ShapeError(
            f"expected square layers of one size d x d, found shapes {sorted(sizes)}", shapes=sorted(sizes)
        )
    stack = np.stack(np.broadcast_arrays(*layers), axis=-3)
    require_some(stack, name="weights")
    return stack


def as_stack_like(values: Any, stack: FloatArray, *, name: str = "V") -> FloatArray:
    """Weight-space vectors (..., N, d, d) over networks ``stack``; also a sequence of N matrices (..., d, d)."""
    if not isinstance(values, np.ndarray) and isinstance(values, Sequence):
        layers = [as_matrix(v, name=f"{name}_{p}", vector=True) for p, v in enumerate(values, start=1)]
        try:
            values = np.stack(np.broadcast_arrays(*layers), axis=-3)
        except ValueError:
            raise ShapeError(
                f"the matrices of {name} have shapes {[v.shape for v in layers]} that do not fit"
            ) from None
    array = as_finite(values, name=name)
    if array.shape[-3:] != stack.shape[-3:]:
        raise ShapeError(
            f"{name} has shape {array.shape}; expected (..., {', '.join(map(str, stack.shape[-3:]))}) like the network",
            found=array.shape,
            expected=stack.shape,
        )
    return as_like(array, stack, name=name)


def require_some(array: FloatArray, *, name: str) -> None:
    """InputError for an empty batch, where an answer needs at least one matrix."""
    if array.size == 0:
        raise InputError(f"{name} is an empty batch of shape {array.shape}; at least one matrix is needed")


def transpose(matrices: FloatArray) -> FloatArray:
    """Transpose of the last two axes."""
    return np.swapaxes(matrices, -1, -2)


def unbatched(value: Any) -> Any:
    """A 0-d array as a float; anything else as it is."""
    return float(value) if np.ndim(value) == 0 else value
