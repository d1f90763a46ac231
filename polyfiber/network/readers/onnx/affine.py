"""Operations of a graph that are affine maps: products with constants, convolutions, means, sums, normalisations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ...._typing import Array, IntArray
from ....errors import FileFormatError, ShapeError
from ...folding import normalisation
from ...wiring.slots import Wiring
from .constants import fractions
from .model import Node
from .movement import axes_of, integers
from .signals import Signal, const, refuse, spread, weights
from .windows import numbers, windows

PRODUCT = "multiplies two values that depend on the input: not piecewise linear. Products with constants are read"


def number(node: Node, key: str, default: float) -> float:
    """An attribute that is one finite number."""
    value = node.attributes.get(key, default)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise FileFormatError(f"{node.label}: {key} is {value!r}; expected a finite number")
    return value


# ---- products -----------------------------------------------------------------------------------
def _rows(w: Wiring, node: Node, slots: IntArray, matrix: Array, bias: Array | None) -> IntArray:
    """``matrix @ row`` for each row (…, n) of slots: (…, m)."""
    flat = slots.reshape(-1, slots.shape[-1])
    if matrix.shape[1] != flat.shape[1]:
        raise ShapeError(f"{node.label}: expects {matrix.shape[1]} inputs but the layer before gives {flat.shape[1]}")
    w.expect(matrix.size * len(flat), node.shown)
    made = [w.dense(row, matrix, bias, name=node.shown) for row in flat]
    return np.stack(made).reshape(*slots.shape[:-1], matrix.shape[0])


def matmul(w: Wiring, node: Node, args: Sequence[Any]) -> Signal:
    """One factor is constant: a matrix, a vector, or a stack of one matrix."""
    left, right = args[0], args[1]
    if isinstance(left, Signal) and isinstance(right, Signal):
        raise refuse(node, PRODUCT)
    weight = weights(node, right if isinstance(left, Signal) else left)
    if weight.ndim > 2 and math.prod(weight.shape[:-2]) == 1:
        shape = (left if isinstance(left, Signal) else right).shape
        ahead = [1] * (weight.ndim - max(2, len(shape)))  # axes that the stack adds
        flat = weight.reshape(weight.shape[-2:])
        made = matmul(w, node, [left, flat] if isinstance(left, Signal) else [flat, right])
        return Signal(made.slots.reshape(*ahead, *made.shape))
    if weight.ndim > 2 and min(len(left.shape), len(right.shape)) >= 2:
        return _stacked(w, node, left, right)
    if isinstance(left, Signal):
        if weight.ndim == 1:
            return Signal(_rows(w, node, left.slots, weight[None, :], None)[..., 0])
        if weight.ndim != 2 or not left.shape:
            raise refuse(node, f"multiplies by a stack of matrices of shape {weight.shape}; expected one")
        return Signal(_rows(w, node, left.slots, weight.T, None))
    slots = right.slots
    if weight.ndim == 1:
        weight = weight[None, :]
        if slots.ndim == 1:
            return Signal(_rows(w, node, slots, weight, None)[..., 0])
        return Signal(_rows(w, node, np.moveaxis(slots, -2, -1), weight, None)[..., 0])
    if weight.ndim != 2 or not slots.ndim:
        raise refuse(node, f"multiplies by a stack of matrices of shape {weight.shape}; expected one")
    if slots.ndim == 1:
        return Signal(_rows(w, node, slots, weight, None))
    return Signal(np.moveaxis(_rows(w, node, np.moveaxis(slots, -2, -1), weight, None), -1, -2))


def _stacked(w: Wiring, node: Node, left: Any, right: Any) -> Signal:
    """Matrix by matrix of stacks that are broadcast."""
    lead = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    shape = (*lead, left.shape[-2], right.shape[-1])
    w.expect(math.prod(shape) * left.shape[-1], node.shown)

    def spread_out(thing: Any) -> Array:
        held = thing.slots if isinstance(thing, Signal) else weights(node, thing)
        return np.broadcast_to(held, (*lead, *held.shape[-2:]))

    a, b = spread_out(left), spread_out(right)
    made = np.empty(shape, dtype=np.int64)
    for at in np.ndindex(lead):
        pair = [Signal(v[at]) if isinstance(t, Signal) else v[at] for v, t in ((a, left), (b, right))]
        made[at] = matmul(w, node, pair).slots
    return Signal(made)


def gemm(w: Wiring, node: Node, args: Sequence[Any]) -> Signal:
    """``alpha A' B' + beta C``."""
    alpha, beta = number(node, "alpha", 1.0), number(node, "beta", 1.0)
    a, b = args[0], args[1]
    if isinstance(a, Signal) == isinstance(b, Signal):
        raise refuse(node, PRODUCT)
    right = isinstance(a, Signal)
    signal, weight = (a, weights(node, b)) if right else (b, weights(node, a))
    if weight.ndim != 2 or len(signal.shape) != 2:
        raise ShapeError(f"{node.label}: factors of shapes {signal.shape} and {weight.shape}; expected two matrices")
    weight = weight.T if node.attributes.get("transB" if right else "transA", 0) else weight
    slots = signal.slots.T if node.attributes.get("transA" if right else "transB", 0) else signal.slots
    rows, matrix = (slots, weight.T) if right else (slots.T, weight)
    if alpha != 1:
        matrix = fractions(matrix, node.label) * Fraction(alpha)
    c = args[2] if len(args) > 2 else None
    shape = (len(rows), len(matrix)) if right else (len(matrix), len(rows))
    shift: Array | None = None
    if isinstance(c, np.ndarray) and beta != 0:
        shift = spread(node, c, shape).reshape(shape)
        shift = shift if right else shift.T
        shift = fractions(shift, node.label) * Fraction(beta) if beta != 1 else shift
    if shift is not None and len(rows) == 1:
        made = _rows(w, node, rows, matrix, shift[0])
    else:
        made = _rows(w, node, rows, matrix, None)
        if shift is not None:
            made = w.diagonal(made.reshape(-1), shift=shift.reshape(-1), name=node.shown).reshape(made.shape)
    made = made if right else made.T
    if isinstance(c, Signal) and beta != 0:
        other = np.broadcast_to(c.slots, made.shape)
        factor: Any = 1 if beta == 1 else Fraction(beta)
        made = w.total([(made.ravel(), 1), (other.ravel(), factor)], name=node.shown).reshape(made.shape)
    return Signal(made)


def added(w: Wiring, node: Node, product: Array, signal: Signal) -> Signal | Array:
    """A ``Gemm`` of two constants, whose product is given, and a signal that is added."""
    beta = number(node, "beta", 1.0)
    if np.broadcast_shapes(product.shape, signal.shape) != product.shape:
        raise ShapeError(f"{node.label}: {signal.shape} does not fit a product of shape {product.shape}")
    if beta == 0:
        return product
    return combination(w, node, [product, signal], [1, 1 if beta == 1 else Fraction(beta)])


# ---- convolutions -------------------------------------------------------------------------------
def _kernel(node: Node, signal: Signal, args: Sequence[Any]) -> tuple[Array, int]:
    weight, groups = weights(node, args[1], "a kernel"), int(node.attributes.get("group", 1))
    if weight.ndim < 3 or weight.ndim != len(signal.shape) or signal.shape[0] != 1 or 0 in weight.shape:
        raise ShapeError(f"{node.label}: a kernel of shape {weight.shape} on a tensor of shape {signal.shape}")
    stated = node.attributes.get("kernel_shape")
    if (
        groups < 1
        or weight.shape[0] % groups
        or signal.shape[1] % groups
        or (stated and tuple(stated) != weight.shape[2:])
    ):
        raise ShapeError(
            f"{node.label}: {groups} groups and windows {stated} for a kernel {weight.shape} and a tensor {signal.shape}"
        )
    return weight, groups


def _channel_bias(w: Wiring, node: Node, args: Sequence[Any], channels: int, places: int) -> Array | None:
    if len(args) < 3 or args[2] is None:
        return None
    bias = w.numbers(weights(node, args[2], "a bias"), f"{node.shown}: bias")
    if bias.shape != (channels,):
        raise ShapeError(f"{node.label}: a bias of shape {bias.shape} for {channels} channels")
    return np.repeat(bias, places)


def conv(w: Wiring, node: Node, args: Sequence[Any]) -> Signal:
    """Each output is a sum over its window and the channels of its group."""
    signal = args[0]
    if not isinstance(signal, Signal):
        raise refuse(node, "convolves a constant with a kernel that depends on the input; not supported")
    weight, groups = _kernel(node, signal, args)
    shape = windows(node, signal.shape, weight.shape[2:])
    channels, places, inner = weight.shape[0], math.prod(shape.sizes), math.prod(weight.shape[1:])
    if weight.shape[1] * groups != signal.shape[1]:
        raise ShapeError(f"{node.label}: a kernel of shape {weight.shape} in {groups} groups on {signal.shape}")
    w.expect(channels * places * inner, node.shown)
    w.expect(signal.shape[1] * places * math.prod(weight.shape[2:]), node.shown)
    patches = shape.of(signal.slots[0], -1)  # (C, *sizes, *kernel)
    patches = patches.reshape(groups, weight.shape[1], places, -1).transpose(0, 2, 1, 3).reshape(groups, places, inner)
    kernel = w.numbers(weight, f"{node.shown}: weight").reshape(channels, inner)
    group = np.arange(channels) * groups // channels
    slots, data = patches[group], np.broadcast_to(kernel[:, None, :], (channels, places, inner))
    keep = (slots >= 0) & np.asarray(data != 0, dtype=bool)
    rows = np.repeat(np.arange(channels * places), keep.reshape(channels * places, inner).sum(axis=1))
    bias = _channel_bias(w, node, args, channels, places)
    reads = np.unique(signal.slots)
    made = w.entries(channels * places, rows, slots[keep], data[keep], bias, reads=reads[reads >= 0], name=node.shown)
    return Signal(made.reshape(1, channels, *shape.sizes))


def conv_transpose(w: Wiring, node: Node, args: Sequence[Any]) -> Signal:
    """Each input spreads over a window of outputs."""
    signal = args[0]
    if not isinstance(signal, Signal):
        raise refuse(node, "has a kernel that depends on the input; not supported")
    weight, groups = _kernel(node, signal, args)
    sizes, n = signal.shape[2:], len(signal.shape) - 2
    strides, dilations = numbers(node, "strides", n, 1), numbers(node, "dilations", n, 1)
    extra = numbers(node, "output_padding", n, 0, 0)
    reach = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilations)]
    full = [(i - 1) * s + r + e for i, s, r, e in zip(sizes, strides, reach, extra)]
    auto, stated = node.attributes.get("auto_pad", "NOTSET"), node.attributes.get("output_shape")
    if stated is not None or auto in ("SAME_UPPER", "SAME_LOWER"):
        target = [int(v) for v in stated][-n:] if stated is not None else [i * s for i, s in zip(sizes, strides)]
        total = [f - t for f, t in zip(full, target)]
        if min(total) < 0:
            raise refuse(node, f"would need negative pads for an output of {target}; runtimes disagree about it")
        upper = auto != "SAME_LOWER" if stated is None else auto == "SAME_UPPER"
        before = [t // 2 if upper else t - t // 2 for t in total]
    else:
        pads = [int(p) for p in node.attributes.get("pads") or [0] * (2 * n)] if auto == "NOTSET" else [0] * (2 * n)
        if len(pads) != 2 * n:
            raise FileFormatError(f"{node.label}: {len(pads)} pads for {n} axes")
        before = pads[:n]
        target = [f - b - a for f, b, a in zip(full, before, pads[n:])]
    if min(target) < 1 or min(before) < 0:
        raise refuse(
            node, f"gives a tensor of {target} with pads {before}; expected positive sizes, pads of at least 0"
        )
    each, channels = weight.shape[1], weight.shape[1] * groups
    if weight.shape[0] != signal.shape[1]:
        raise ShapeError(f"{node.label}: a kernel of shape {weight.shape} on {signal.shape}")
    w.expect(weight.size * math.prod(sizes), node.shown)
    places = np.zeros((1, 1), dtype=np.int64)  # (inputs, windows): flat place in the output, -1 outside
    for i, s, k, d, b, t in zip(sizes, strides, weight.shape[2:], dilations, before, target):
        axis = np.arange(i)[:, None] * s + np.arange(k)[None, :] * d - b
        axis = np.where((axis < 0) | (axis >= t), -1, axis)
        joined = places[:, None, :, None] * t + axis[None, :, None, :]
        outside = (places[:, None, :, None] < 0) | (axis[None, :, None, :] < 0)
        places = np.where(outside, -1, joined).reshape(len(places) * i, places.shape[1] * k)
    area = math.prod(target)
    kernel = w.numbers(weight, f"{node.shown}: weight").reshape(weight.shape[0], each, 1, -1)
    first = (np.arange(weight.shape[0]) * groups // weight.shape[0]) * each
    rows = (first[:, None] + np.arange(each))[:, :, None, None] * area + places
    slots = signal.slots.reshape(weight.shape[0], 1, -1, 1)
    rows, slots, data, valid = np.broadcast_arrays(rows, slots, kernel, places >= 0)
    keep = valid & (slots >= 0) & np.asarray(data != 0, dtype=bool)
    bias = _channel_bias(w, node, args, channels, area)
    reads = np.unique(signal.slots)
    made = w.entries(
        channels * area, rows[keep], slots[keep], data[keep], bias, reads=reads[reads >= 0], name=node.shown
    )
    return Signal(made.reshape(1, channels, *target))


def average(w: Wiring, node: Node, slots: IntArray, counts: IntArray | int, shape: Sequence[int]) -> Signal:
    """Sums of rows of slots (m, k) divided by counts."""
    w.expect(slots.size, node.shown)
    rows, places = np.nonzero(slots >= 0)
    below = np.broadcast_to(counts, len(slots))
    data = np.empty(len(rows), dtype=object)
    kinds = {int(c): Fraction(1, int(c)) for c in np.unique(below)}
    data[:] = [kinds[c] for c in below[rows].tolist()]
    if all(c & (c - 1) == 0 for c in kinds):
        data = data.astype(np.float64)
    made = w.entries(len(slots), rows, slots[rows, places], data, None, reads=None, name=node.shown)
    return Signal(made.reshape(tuple(shape)))


def average_pool(w: Wiring, node: Node, args: Sequence[Any]) -> Signal:
    """Means over windows; the padding counts or not, as the node says."""
    signal = args[0]
    shape = windows(node, signal.shape, tuple(int(k) for k in node.attributes.get("kernel_shape", ())))
    include = bool(node.attributes.get("count_include_pad", 0))
    if include and any(shape.overhang):
        raise refuse(node, "counts its padding and rounds sizes up; runtimes disagree about it")
    w.expect(math.prod(signal.shape[:2]) * math.prod(shape.sizes) * math.prod(shape.kernel), node.shown)
    full = (*signal.shape[:2], *shape.sizes)
    patches = shape.of(np.where(signal.slots < 0, -1, signal.slots), -2).reshape(math.prod(full), -1)
    counts = patches.shape[1] if include else np.maximum((patches != -2).sum(axis=1), 1)
    return average(w, node, patches, counts, full)


def global_average(w: Wiring, node: Node, args: Sequence[Any]) -> Signal:
    """The mean of each channel."""
    shape = args[0].shape
    if len(shape) < 3:
        raise ShapeError(f"{node.label}: a tensor of shape {shape} has no spatial axes")
    rows = args[0].slots.reshape(math.prod(shape[:2]), -1)
    return average(w, node, rows, rows.shape[1], (*shape[:2], *[1] * (len(shape) - 2)))


def grouped(node: Node, signal: Signal, args: Sequence[Any]) -> tuple[IntArray, tuple[int, ...]]:
    """(m, k) slots that a reduction joins, and the shape of its result."""
    rank = len(signal.shape)
    axes = axes_of(node, args, rank)
    if axes is None or not len(axes):
        axes = [] if node.attributes.get("noop_with_empty_axes", 0) else list(range(rank))
    kept = [i for i in range(rank) if i not in axes]
    moved = np.transpose(signal.slots, [*kept, *axes])
    rows = moved.reshape(math.prod(signal.shape[i] for i in kept), -1)
    full = [1 if i in axes else n for i, n in enumerate(signal.shape)]
    return rows, tuple(full if node.attributes.get("keepdims", 1) else [signal.shape[i] for i in kept])


def reduce_mean(w: Wiring, node: Node, args: Sequence[Any]) -> Signal:
    """Means over axes."""
    rows, shape = grouped(node, args[0], args)
    return average(w, node, rows, rows.shape[1], shape)


def reduce_sum(w: Wiring, node: Node, args: Sequence[Any]) -> Signal:
    """Sums over axes."""
    rows, shape = grouped(node, args[0], args)
    return average(w, node, rows, 1, shape)


def cumulative_sum(w: Wiring, node: Node, args: Sequence[Any]) -> Signal:
    """Sums of all values before along an axis."""
    signal, rank = args[0], len(args[0].shape)
    axis = integers(args[1], f"{node.label}: axis")
    if len(axis) != 1 or not -rank <= axis[0] < rank:
        raise FileFormatError(f"{node.label}: axis {axis} of a tensor with {rank} axes")
    rows = np.moveaxis(signal.slots, axis[0], -1)
    n = rows.shape[-1]
    low = np.tril(np.ones((n, n)), -1 if node.attributes.get("exclusive", 0) else 0)
    made = _rows(w, node, rows, low.T if node.attributes.get("reverse", 0) else low, None)
    return Signal(np.moveaxis(made, -1, axis[0]))


def einsum(w: Wiring, node: Node, args: Sequence[Any]) -> Signal:
    """Sums of products of one signal and constants over named axes."""
    equation = str(node.attributes.get("equation", "")).replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if sum(isinstance(a, Signal) for a in args) != 1:
        raise refuse(node, PRODUCT)
    if not (left + right).replace(",", "").isalpha() or [len(t) for t in terms] != [len(a.shape) for a in args]:
        raise refuse(node, f"has the equation {equation!r}; supported are letters, one for each axis")
    letters = "".join(dict.fromkeys(left.replace(",", "")))
    right = right if arrow else "".join(sorted(c for c in letters if left.count(c) == 1))
    sizes: dict[str, int] = {}
    for term, a in zip(terms, args):
        for c, n in zip(term, a.shape):
            if sizes.setdefault(c, n) != n:
                raise ShapeError(f"{node.label}: {c!r} has the sizes {sizes[c]} and {n}")
    if len(set(right)) != len(right) or not set(right) <= set(letters):
        raise FileFormatError(f"{node.label}: the equation {equation!r} is not one")
    order = right + "".join(c for c in letters if c not in right)
    full, out = [sizes[c] for c in order], tuple(sizes[c] for c in right)
    w.expect(math.prod(full), node.shown)
    places = dict(zip(order, np.indices(full, sparse=True)))

    def spread_out(term: str, values: Array) -> Array:
        return np.broadcast_to(values[tuple(places[c] for c in term)], full).reshape(-1)

    slots, data = np.zeros(0, dtype=np.int64), None
    for term, a in zip(terms, args):
        if isinstance(a, Signal):
            slots = spread_out(term, a.slots)
        else:
            values = spread_out(term, w.numbers(weights(node, a), f"{node.shown}: operand"))
            data = values if data is None else fractions(data, node.label) * fractions(values, node.label)
    data = np.ones(len(slots)) if data is None else data
    rows = np.repeat(np.arange(math.prod(out)), math.prod(full) // max(1, math.prod(out)))
    keep = (slots >= 0) & np.asarray(data != 0, dtype=bool)
    made = w.entries(math.prod(out), rows[keep], slots[keep], data[keep], None, reads=None, name=node.shown)
    return Signal(made.reshape(out))


# ---- entrywise ----------------------------------------------------------------------------------
def combination(w: Wiring, node: Node, args: Sequence[Any], factors: Sequence[Any]) -> Signal:
    """Sums of signals and constants with factors, broadcast as numpy does."""
    if "axis" in node.attributes and node.attributes.get("broadcast"):
        raise refuse(node, "broadcasts along an axis (opset < 7); not supported")
    pairs = [(a, f) for a, f in zip(args, factors) if a is not None]
    shape = np.broadcast_shapes(*(a.shape for a, _ in pairs))
    terms = [(np.broadcast_to(a.slots, shape).ravel(), f) for a, f in pairs if isinstance(a, Signal)]
    w.expect(len(terms) * math.prod(shape), node.shown)
    constants = [(spread(node, const(node, a), shape), f) for a, f in pairs if not isinstance(a, Signal)]
    offset: Array | None = None
    if len(constants) == 1 and constants[0][1] in (1, -1):
        offset = constants[0][0] if constants[0][1] == 1 else -constants[0][0]
    elif constants:
        exact = [fractions(c, node.label) * Fraction(f) for c, f in constants]
        offset = np.sum(np.stack(exact), axis=0)
    if len(terms) == 1 and terms[0][1] == 1:
        return Signal(w.diagonal(terms[0][0], shift=offset, name=node.shown).reshape(shape))
    if offset is not None:
        offset = w.numbers(offset, node.shown)
    return Signal(w.total(terms, name=node.shown, offset=offset).reshape(shape))


def multiplied(w: Wiring, node: Node, args: Sequence[Any]) -> Signal:
    """A signal times a constant."""
    signals = [a for a in args if isinstance(a, Signal)]
    if len(args) != 2 or len(signals) != 1:
        raise refuse(node, PRODUCT)
    values = const(node, args[1] if args[0] is signals[0] else args[0])
    return scaled(w, node, signals[0], values)


def scaled(w: Wiring, node: Node, signal: Signal, values: Array) -> Signal:
    """A signal times numbers that are broadcast with it."""
    shape = np.broadcast_shapes(signal.shape, values.shape)
    slots = np.broadcast_to(signal.slots, shape).ravel()
    w.expect(len(slots), node.shown)
    return Signal(w.diagonal(slots, scale=spread(node, values, shape), name=node.shown).reshape(shape))


def divided(w: Wiring, node: Node, args: Sequence[Any]) -> Signal:
    """A signal over a constant."""
    if isinstance(args[1], Signal):
        raise refuse(node, "divides by the input: not piecewise linear. Quotients by constants are read")
    values = const(node, args[1])
    if np.any(values == 0):
        raise FileFormatError(f"{node.label} divides by zero")
    below = fractions(values, node.label)
    return scaled(
        w, node, args[0], np.array([1 / v for v in below.ravel().tolist()], dtype=object).reshape(values.shape)
    )


def batch_normalisation(w: Wiring, node: Node, args: Sequence[Any]) -> Signal:
    """At inference: an affine map of each channel."""
    if node.attributes.get("training_mode", 0):
        raise refuse(node, "is in training mode; export the model in evaluation mode")
    if len(args) < 5:
        raise FileFormatError(f"{node.label} has {len(args)} inputs; expected 5")
    signal = args[0]
    gamma, beta, mean, variance = (weights(node, a) for a in args[1:5])
    alone = not node.attributes.get("spatial", 1)  # opsets 7 and 8: parameters of their own for each place
    expected = signal.shape[1:] if alone else signal.shape[1:2]
    if len(signal.shape) < 2 or any(v.shape != expected for v in (gamma, beta, mean, variance)):
        raise ShapeError(f"{node.label}: parameters of shape {gamma.shape} for a tensor of shape {signal.shape}")
    places = 1 if alone else math.prod(signal.shape[2:])
    each = [np.tile(np.repeat(v.ravel(), places), signal.shape[0]) for v in (mean, variance, gamma, beta)]
    epsilon = number(node, "epsilon", float(np.float32(1e-5)))
    slots = materialised(w, node, signal.slots.ravel())
    return Signal(normalisation(w, slots, *each, epsilon=epsilon, name=node.shown).reshape(signal.shape))


def materialised(w: Wiring, node: Node, slots: IntArray) -> IntArray:
    """The slots, with zeros of a padding as constants of their own."""
    zero = np.flatnonzero(slots < 0)
    if len(zero):
        slots = slots.copy()
        slots[zero] = w.constant(np.zeros(len(zero)), name=node.shown)
    return slots


def scaler(w: Wiring, node: Node, args: Sequence[Any]) -> Signal:
    """``(x - offset) * scale``, as converters write the scalers of scikit-learn."""
    offset, scale = (np.array(node.attributes.get(key) or [], dtype=np.float32) for key in ("offset", "scale"))
    signal: Signal = args[0]
    if offset.size:
        shift = -spread(node, offset, signal.shape)
        signal = Signal(w.diagonal(signal.slots.ravel(), shift=shift, name=node.shown).reshape(signal.shape))
    return scaled(w, node, signal, scale) if scale.size else signal


AFFINE: dict[str, Callable[[Wiring, Node, Sequence[Any]], Signal]] = {
    "MatMul": matmul,
    "Gemm": gemm,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average,
    "ReduceMean": reduce_mean,
    "ReduceSum": reduce_sum,
    "CumSum": cumulative_sum,
    "Einsum": einsum,
    "Add": lambda w, n, a: combination(w, n, a, (1, 1)),
    "Sub": lambda w, n, a: combination(w, n, a, (1, -1)),
    "Sum": lambda w, n, a: combination(w, n, a, [1] * len(a)),
    "Mean": lambda w, n, a: combination(w, n, a, [Fraction(1, max(1, len(a)))] * len(a)),
    "Neg": lambda w, n, a: scaled(w, n, a[0], np.array(-1.0, dtype=object)),
    "Mul": multiplied,
    "Div": divided,
    "BatchNormalization": batch_normalisation,
}
