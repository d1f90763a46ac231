"""What flows through a graph: constants, signals, and what comes behind the head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ...._typing import Array, IntArray
from ....errors import FileFormatError, ShapeError, UnsupportedLayerError
from ....words import one_line
from .model import Node

SUPPORTED = (
    "Gemm, MatMul, Conv, ConvTranspose, BatchNormalization, AveragePool, MaxPool and their global forms, Add, Sub, Mul, Div, "
    "Neg, Sum, Mean by constants and between branches where affine, Relu, LeakyRelu, PRelu, Clip, HardSigmoid, Abs, Max, Min, "
    "ReduceMax, ReduceMin, ReduceMean, ReduceSum, ReduceL1, CumSum, Einsum with constants, Concat, Split, Slice, Gather, Pad, Transpose, Reshape, Flatten, Squeeze, "
    "Unsqueeze, Expand, Tile, Trilu, Where by constants, Resize by nearest, DepthToSpace, Scaler, Identity, Dropout, Cast, operations "
    "on constants, and at the end Sigmoid, Softmax, LogSoftmax, ArgMax"
)


@dataclass(frozen=True, eq=False)
class Signal:
    """Functions of the input: an array of slots of the wiring, with the batch as an axis of 1; -1 is a constant
    zero.
    """

    slots: IntArray

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.slots.shape)


@dataclass(frozen=True, eq=False)
class Beyond:
    """Something computed from the head of the network: its values, 1 minus them, both, or a decision by them."""

    __repr__ = one_line

    signal: Signal
    head: str
    node: Node  # the head itself
    form: str = "values"  # or "complement", "pair", "label"
    groups: int = 1  # of values that the head compares
    axis: int | None = None  # along which; None where that is not known any more
    dropped: tuple[str, ...] = ()  # the nodes behind the head that the network does not show


_CURVED = frozenset(
    [
        "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Attention", "Celu", "Cos", "Cosh", "Elu", "Erf", "Exp", "GRU",
        "Gelu", "GroupNormalization", "HardSwish", "InstanceNormalization", "LRN", "LSTM", "LayerNormalization", "Log",
        "LpNormalization", "MeanVarianceNormalization", "Mish", "Pow", "RMSNormalization", "RNN", "Reciprocal", "ReduceL2",
        "ReduceLogSum", "ReduceLogSumExp", "ReduceProd", "ReduceSumSquare", "Selu", "Sin", "Sinh", "Softplus", "Softsign",
        "Sqrt", "Swish", "Tan", "Tanh",
    ]
)  # fmt: skip
_JUMPING = frozenset(
    [
        "And", "ArgMin", "Binarizer", "BitShift", "Ceil", "DynamicQuantizeLinear", "Equal", "Floor", "Greater",
        "GreaterOrEqual", "Hardmax", "IsInf", "IsNaN", "Less", "LessOrEqual", "Mod", "NonMaxSuppression", "NonZero", "Not",
        "OneHot", "Or", "QuantizeLinear", "Round", "Sign", "TopK", "Unique", "Xor",
    ]
)  # fmt: skip


def unknown(node: Node) -> UnsupportedLayerError:
    """The error for an operation on signals that is not read: why, and what is possible instead."""
    if node.op in _CURVED:
        return refuse(
            node,
            "is not piecewise linear; possible instead are Relu, LeakyRelu, PRelu, Clip, HardSigmoid and Abs (train with these), "
            f"or Sigmoid and Softmax as the last layer. Supported: {SUPPORTED}",
        )
    if node.op in _JUMPING:
        return refuse(node, f"jumps: not continuous. Export what stands before it. Supported: {SUPPORTED}")
    return refuse(
        node, f"is an operation that is not supported on values that depend on the input. Supported: {SUPPORTED}"
    )


Thing: TypeAlias = Array | Signal | Beyond


def refuse(node: Node, message: str) -> UnsupportedLayerError:
    """The one error for an operation that is not piecewise linear, or not read."""
    return UnsupportedLayerError(f"{node.label} {message}", node=node.name, op=node.op)


def const(node: Node, thing: Any, what: str = "an operand") -> Array:
    """A thing that must be a constant."""
    if not isinstance(thing, np.ndarray | np.generic):
        raise refuse(
            node,
            f"needs {what} that is constant; it depends on the input or is missing. Only constant ones are supported",
        )
    return np.asarray(thing)


def weights(node: Node, thing: Any, what: str = "an operand") -> Array:
    """A constant of floats (or exact numbers that were computed from floats)."""
    values = const(node, thing, what)
    if values.dtype.kind not in "fO":
        raise FileFormatError(f"{node.label} has {what} of {values.dtype}; expected floats like the input's")
    return values


def spread(node: Node, values: Array, shape: tuple[int, ...]) -> Array:
    """A constant broadcast to a shape: one number for each value, in row-major order."""
    values = weights(node, values)
    if values.size == 1 and values.ndim <= len(shape):
        return np.repeat(values.reshape(-1), int(np.prod(shape)))
    try:
        return np.broadcast_to(values, shape).reshape(-1)
    except ValueError:
        raise ShapeError(f"{node.label}: a constant of shape {values.shape} does not fit a tensor of {shape}") from None
