"""The values in an ONNX graph: signals, which depend on the input, and constants.

Operations on constants are carried out exactly, or refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np

from ..._typing import Array
from ...errors import FileFormatError, ShapeError, UnsupportedLayerError
from ..folding import Chain
from .onnx_model import DTYPES, Node, Tensor

BATCH = (1 << 31) - 1
"""Stands for the unknown batch size in shapes; a prime, so that products show whether it was mixed in."""

CONSTANT_LIMIT = 1_000_000
"""Elements that a constant made by an operation may have."""

ARITHMETIC_LIMIT = 200_000
"""Elements of constants that exact arithmetic is done on."""

TOTAL_LIMIT = 20_000_000
"""Elements of all constants that operations make, beyond those in the file."""

SUPPORTED = (
    "Gemm, MatMul, Add, Sub, Mul, Div, Neg, Sum, Scaler, Relu, Clip(0, ∞), Max(0), BatchNormalization, Dropout, Identity, "
    "Flatten, Reshape, Squeeze, Unsqueeze, Transpose, Cast, operations on constants, and at the end "
    "Sigmoid, Softmax, LogSoftmax"
)


@dataclass(frozen=True)
class Signal:
    """A function of the input; ``step`` says how it came from ``parent``."""

    shape: tuple[int, ...]
    parent: Signal | None = None
    step: Callable[[Chain], None] | None = None

    @property
    def size(self) -> int:
        return math.prod(n for n in self.shape if n != BATCH)


@dataclass(frozen=True)
class Beyond:
    """Something computed from the head of the network."""

    signal: Signal
    head: str


Thing: TypeAlias = Array | Signal | Beyond


def const(thing: Thing | None) -> Array:
    if thing is None or isinstance(thing, Signal | Beyond):
        raise UnsupportedLayerError("an operand that must be constant depends on the input or is missing")
    return thing


def show(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join("batch" if n == BATCH else str(n) for n in shape) + ")"


def axes_of(node: Node, args: list[Thing | None]) -> list[int] | None:
    if "axes" in node.attributes:
        return [int(a) for a in node.attributes["axes"]]
    if len(args) > 1 and args[1] is not None:
        return [int(a) for a in const(args[1]).ravel().tolist()]
    return None


def unsqueezed(shape: tuple[int, ...], axes: list[int]) -> list[int]:
    rank = len(shape) + len(axes)
    places = {a % rank for a in axes}
    if len(places) != len(axes) or rank > 16:
        raise FileFormatError(f"cannot insert axes {axes} into a tensor with {len(shape)} axes")
    rest = iter(shape)
    return [1 if i in places else next(rest) for i in range(rank)]


def feature_vector(node: Node, values: Array, shape: tuple[int, ...]) -> Array:
    """A constant broadcast to one number per feature of a signal of the given shape."""
    if values.dtype.kind in "iub":
        values = fractions(values.astype(np.int64) if values.dtype.kind == "b" else values, node.label)
    single = tuple(1 if n == BATCH else n for n in shape)
    size = math.prod(single)
    if values.size == 1:
        return np.repeat(values.reshape(-1), size)
    try:
        target = np.broadcast_shapes(values.shape, single)
    except ValueError:
        target = None
    if target is None or math.prod(target) != size:
        raise ShapeError(f"{node.label}: a constant of shape {values.shape} does not fit a tensor of {show(shape)}")
    return np.broadcast_to(values, target).reshape(-1)


def fractions(values: Array, where: str) -> Array:
    if values.dtype == object:
        return values
    if values.size > ARITHMETIC_LIMIT:
        raise FileFormatError(f"{where}: arithmetic on {values.size:,} constants; the limit is {ARITHMETIC_LIMIT:,}")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise FileFormatError(f"{where}: a constant holds NaN or infinity; expected finite numbers")
    out = np.empty(values.shape, dtype=object)
    flat = out.reshape(-1)
    flat[:] = [Fraction(v) for v in values.ravel().tolist()]
    return flat.reshape(values.shape)


def reciprocal(values: Array, where: str) -> Array:
    if np.any(values == 0):
        raise FileFormatError(f"{where} divides by zero")
    return np.array([1 / v for v in fractions(values, where).ravel().tolist()], dtype=object)


def on_constants(node: Node, args: list[Array | None]) -> Array:
    """Carry out an operation on constants: exactly, or not at all."""
    where = node.label
    op, attributes = node.op, node.attributes
    if op == "Constant":
        return _constant(node)
    given = [a for a in args if a is not None]
    if not given:
        raise UnsupportedLayerError(f"{where}: the operation {op} is not supported. Supported: {SUPPORTED}", op=op)
    a = given[0]
    if op in ("Identity", "Dropout"):
        return a
    if op == "Cast":
        target = DTYPES.get(attributes.get("to", 1), "")
        if target in ("", "bfloat16") or a.dtype == object:
            raise UnsupportedLayerError(f"{where}: a cast of constants to {target or 'an unknown type'}")
        with np.errstate(all="ignore"):
            return np.asarray(a.astype(target))
    if op == "Transpose":
        return np.transpose(a, attributes.get("perm"))
    if op == "Reshape":
        shape = [int(n) for n in (attributes["shape"] if "shape" in attributes else given[1].ravel().tolist())]
        if not attributes.get("allowzero", 0):
            shape = [a.shape[i] if n == 0 else n for i, n in enumerate(shape)]
        return a.reshape(shape)
    if op == "Flatten":
        axis = int(attributes.get("axis", 1))
        return a.reshape(math.prod(a.shape[:axis]), -1)
    if op == "Squeeze":
        axes = axes_of(node, list(args))
        return np.squeeze(a) if axes is None else np.squeeze(a, tuple(axes))
    if op == "Unsqueeze":
        return a.reshape(unsqueezed(a.shape, axes_of(node, list(args)) or []))
    if op == "Concat":
        if sum(a.size for a in given) > 4 * CONSTANT_LIMIT:
            raise FileFormatError(f"{where} makes a constant of more than {4 * CONSTANT_LIMIT:,} numbers")
        return np.concatenate(given, axis=int(attributes.get("axis", 0)))
    if op == "Gather":
        if given[1].size * max(1, a.size // max(1, a.shape[int(attributes.get("axis", 0))])) > CONSTANT_LIMIT:
            raise FileFormatError(f"{where} makes a constant of more than {CONSTANT_LIMIT:,} numbers")
        return np.take(a, given[1].astype(np.int64), axis=int(attributes.get("axis", 0)))
    if op == "Shape":
        return np.array(a.shape, dtype=np.int64)
    if op == "Slice" and len(given) >= 3 and a.ndim == 1 and len(given) < 5:
        return a[int(given[1].ravel()[0]) : int(given[2].ravel()[0])]
    if op in ("ConstantOfShape", "Expand"):
        shape = [int(n) for n in (a if op == "ConstantOfShape" else given[1]).ravel().tolist()]
        if any(n < 0 for n in shape) or math.prod(shape) > CONSTANT_LIMIT:
            raise FileFormatError(f"{where} makes a constant of shape {shape}; the limit is {CONSTANT_LIMIT:,} numbers")
        if op == "ConstantOfShape":
            value = attributes.get("value")
            return np.full(shape, value.values.ravel()[0] if isinstance(value, Tensor) else np.float32(0))
        full = np.broadcast_shapes(a.shape, tuple(shape))
        if math.prod(full) > CONSTANT_LIMIT:
            raise FileFormatError(f"{where} makes a constant of shape {full}; the limit is {CONSTANT_LIMIT:,} numbers")
        return np.broadcast_to(a, full)
    if op in ("Add", "Sub", "Mul", "Div", "Neg"):
        return _arithmetic(node, given)
    raise UnsupportedLayerError(
        f"{where}: the operation {op} on constants is not supported; simplify the model before exporting "
        f"(or export in evaluation mode). Supported: {SUPPORTED}",
        node=node.name,
        op=op,
    )


def _arithmetic(node: Node, args: list[Array]) -> Array:
    if math.prod(np.broadcast_shapes(*(a.shape for a in args))) > ARITHMETIC_LIMIT:
        raise FileFormatError(f"{node.label}: arithmetic on more than {ARITHMETIC_LIMIT:,} constants")
    if all(a.dtype.kind in "iu" for a in args) and node.op != "Div":
        values = [a.astype(object) for a in args]
    else:
        values = [fractions(a, node.label) for a in args]
    if node.op == "Neg":
        result: Any = -values[0]
    else:
        if len(values) != 2:
            raise FileFormatError(f"{node.label} has {len(values)} operands; expected 2")
        x, y = values
        if node.op == "Div":
            if np.any(y == 0):
                raise FileFormatError(f"{node.label} divides by zero")
            integers = all(a.dtype.kind in "iu" for a in args)
            result = np.asarray(x / y)
            if integers:
                result = np.array([math.trunc(v) for v in result.ravel().tolist()], dtype=object).reshape(result.shape)
        else:
            result = x + y if node.op == "Add" else x - y if node.op == "Sub" else x * y
    result = np.asarray(result, dtype=object)
    if all(a.dtype.kind in "iu" for a in args):
        return result.astype(np.int64)
    return result


def _constant(node: Node) -> Array:
    attributes = node.attributes
    value = attributes.get("value")
    if isinstance(value, Tensor):
        return value.values
    if "value_float" in attributes:
        return np.array(attributes["value_float"], dtype=np.float32)
    if "value_floats" in attributes:
        return np.array(attributes["value_floats"], dtype=np.float32)
    if "value_int" in attributes:
        return np.array(attributes["value_int"], dtype=np.int64)
    if "value_ints" in attributes:
        return np.array(attributes["value_ints"], dtype=np.int64)
    raise UnsupportedLayerError(f"{node.label}: a constant without dense numbers is not supported", node=node.name)
