"""Operations on constants in an ONNX graph: exactly where they are rational, as a runtime computes them elsewhere.

Sums, products and quotients are carried out in rationals whose digits are limited; moving numbers about is exact
anyway. Roots, comparisons and the like go to the reference implementation of ``onnx`` in floating point, which the
reader notes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ...._typing import Array
from ....errors import FileFormatError, UnsupportedLayerError
from .model import DTYPES, FLOATS, Node, tensor_values
from .movement import MOVING, Moved, moved

CONSTANT_LIMIT = 1_000_000
"""Elements that a constant made by an operation may have."""

MOST_BITS = 1 << 13
"""Bits of a numerator or denominator."""

ARITHMETIC_LIMIT = 1 << 28
"""Elements times bits of all exact operations of a file (seconds)."""

TOTAL_LIMIT = 20_000_000
"""Elements of all constants that operations make, beyond those in the file."""

_ENTRYWISE = frozenset(
    [
        "Abs",
        "Acos",
        "Acosh",
        "And",
        "Asin",
        "Asinh",
        "Atan",
        "Atanh",
        "BitwiseAnd",
        "BitwiseNot",
        "BitwiseOr",
        "BitwiseXor",
        "Ceil",
        "Clip",
        "Cos",
        "Cosh",
        "Elu",
        "Equal",
        "Erf",
        "Exp",
        "Floor",
        "Greater",
        "GreaterOrEqual",
        "HardSigmoid",
        "IsInf",
        "IsNaN",
        "LeakyRelu",
        "Less",
        "LessOrEqual",
        "Log",
        "Max",
        "Mean",
        "Min",
        "Mod",
        "Not",
        "Or",
        "PRelu",
        "Pow",
        "Reciprocal",
        "Relu",
        "Round",
        "Sigmoid",
        "Sign",
        "Sin",
        "Sinh",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Tan",
        "Tanh",
        "Where",
        "Xor",
    ]
)
_REDUCING = frozenset(
    [
        "ArgMax",
        "ArgMin",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
        "Softmax",
        "LogSoftmax",
        "CumSum",
    ]
)
_EXACT = frozenset(["EyeLike", "OneHot", "ScatterND", "TopK"])
"""Operations that compute no new floats."""

_LIKE_INPUT = frozenset(["EyeLike", "LayerNormalization", "ScatterElements", "ScatterND", "TopK"])
"""Operations whose results are not larger than their first input."""

CLOSE = Fraction(1, 10_000)
"""Relative distance within which the rounding of a runtime may decide a comparison of computed constants."""

_ROUNDED: dict[str, Fraction | int] = {"Floor": 0, "Ceil": 0, "Round": Fraction(1, 2)}
_COMPARED = frozenset(["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"])

SLOW_LIMIT = 50_000
"""Elements that an interpolation may make: the reference implementation takes some 50 microseconds each."""


class Constants:
    """Evaluates operations on constants within limits that hold for one file.

    Parameters
    ----------
    size : int
        Bytes of the file.
    opset : int
    note : callable
        Takes a sentence about what was computed in floating point.
    """

    def __init__(self, size: int, opset: int, note: Callable[[str], None]) -> None:
        self.size, self.opset, self.note = size, opset, note
        self.made = 0  # elements
        self.work = 0  # elements times bits

    def run(self, node: Node, args: Sequence[Array | None]) -> list[Array]:
        """The outputs of an operation on constants."""
        results = self._run(node, args)
        for result in results:
            self.made += result.size if result.base is None or result.dtype == object else 0
        if self.made > TOTAL_LIMIT + self.size:
            raise FileFormatError(f"{node.label}: the operations on constants make more than {self.made:,} numbers")
        return results

    def _run(self, node: Node, args: Sequence[Array | None]) -> list[Array]:
        op, a = node.op, node.attributes
        given = [x for x in args if x is not None]
        if node.domain != "":
            raise UnsupportedLayerError(
                f"{node.label}: operations of {node.domain!r} on constants are not supported", op=op
            )
        if op == "Constant":
            return [_constant(node)]
        if op == "ConstantOfShape":
            shape = self._room(node, given[0].ravel().tolist())
            value = a.get("value")
            return [np.full(shape, np.float32(0) if value is None else tensor_values(value).ravel()[0])]
        if op == "Range":
            start, limit, delta = (x.reshape(()).item() for x in given[:3])
            if delta == 0 or not all(math.isfinite(v) for v in (start, limit, delta)):
                raise FileFormatError(f"{node.label} has the step {delta}, or ends that are not finite")
            self._room(node, [max(0, math.ceil((limit - start) / delta))])
            return [np.arange(start, limit, delta, dtype=given[0].dtype)]
        if op == "Cast":
            return [_cast(node, given[0])]
        if op == "CastLike":
            return [given[0].astype(given[1].dtype)]
        if op == "Shape":
            return [np.array(given[0].shape[a.get("start", 0) : a.get("end")], dtype=np.int64)]
        if op == "Size":
            return [np.array(given[0].size, dtype=np.int64)]
        if op in ("Add", "Sub", "Mul", "Div", "Neg", "Sum"):
            return [self._arithmetic(node, given)]
        if op in ("MatMul", "Gemm") and all(x.ndim == 2 for x in given[:2]):
            return [self._product(node, given)]
        if op == "DequantizeLinear":
            return [self._dequantized(node, args)]
        size = _bound(node, given)
        if size is not None:
            self._room(node, [size * (CONSTANT_LIMIT // SLOW_LIMIT if op == "Resize" else 1)])
            self._spend(node, [], size)
            return self._reference(node, args)
        if op in MOVING:
            return moved(node, list(args), Moved(self._room, lambda x: x))
        if op in _ENTRYWISE or op in _REDUCING:
            return self._reference(node, args)
        raise UnsupportedLayerError(
            f"{node.label}: the operation {op} on constants is not supported; simplify the model before exporting "
            "(or export in evaluation mode)",
            node=node.name,
            op=op,
        )

    # ---- limits -----------------------------------------------------------------------------
    def _room(self, node: Node, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape, checked to be one that may be made."""
        sizes = tuple(int(n) for n in shape)
        if len(sizes) > 16 or any(n < 0 for n in sizes) or math.prod(sizes) > CONSTANT_LIMIT:
            raise FileFormatError(
                f"{node.label} makes a constant of shape {sizes[:16]}; the limit is {CONSTANT_LIMIT:,} numbers"
            )
        return sizes

    def _spend(self, node: Node, values: Sequence[Array], size: int) -> None:
        bits = 64
        for x in values:
            if x.dtype == object:
                bits = max(bits, max((_bits(v) for v in x.ravel().tolist()), default=0))
        if bits > MOST_BITS:
            raise FileFormatError(
                f"{node.label}: exact constants of more than {MOST_BITS:,} bits; fold them before exporting"
            )
        self.work += size * bits
        if self.work > ARITHMETIC_LIMIT:
            raise FileFormatError(f"{node.label}: too much exact arithmetic on constants; fold them before exporting")

    # ---- arithmetic -------------------------------------------------------------------------
    def _arithmetic(self, node: Node, args: list[Array]) -> Array:
        expected = {"Neg": (1, 1), "Sum": (1, 1000)}.get(node.op, (2, 2))
        if not expected[0] <= len(args) <= expected[1] or "axis" in node.attributes:
            raise FileFormatError(f"{node.label} has {len(args)} operands; expected {expected[0]} (and no axis)")
        size = math.prod(self._room(node, np.broadcast_shapes(*(a.shape for a in args))))
        self._spend(node, args, size * len(args))
        integers = all(a.dtype.kind in "iu" for a in args)
        if integers and node.op != "Div":
            values = [a.astype(object) for a in args]
        else:
            values = [fractions(a, node.label) for a in args]
        if node.op == "Neg":
            result: Any = -values[0]
        elif node.op == "Div":
            if np.any(values[1] == 0):
                raise FileFormatError(f"{node.label} divides by zero")
            result = np.asarray(values[0] / values[1])
            if integers:
                result = np.array([math.trunc(v) for v in result.ravel().tolist()], dtype=object).reshape(result.shape)
        elif node.op == "Mul":
            result = values[0] * values[1]
        else:
            result = values[0]
            for other in values[1:]:
                result = result - other if node.op == "Sub" else result + other
        result = np.asarray(result, dtype=object)
        self._spend(node, [] if integers else [result], 0)
        return result.astype(args[0].dtype) if integers else result

    def _product(self, node: Node, given: list[Array]) -> Array:
        a, b = (fractions(x, node.label) for x in given[:2])
        if node.attributes.get("transA", 0):
            a = a.T
        if node.attributes.get("transB", 0):
            b = b.T
        if a.shape[1] != b.shape[0]:
            raise FileFormatError(f"{node.label}: factors of shapes {a.shape} and {b.shape}")
        self._room(node, (a.shape[0], b.shape[1]))
        self._spend(node, [a, b], a.size * b.shape[1])
        result = np.asarray(a @ b, dtype=object) * Fraction(node.attributes.get("alpha", 1.0))
        if len(given) > 2:
            result = result + fractions(given[2], node.label) * Fraction(node.attributes.get("beta", 1.0))
        self._spend(node, [result], 0)
        return np.asarray(result, dtype=object)

    def _dequantized(self, node: Node, args: Sequence[Array | None]) -> Array:
        """``(x - zero) * scale``, exactly: in float64 where its digits are enough."""
        x, scale, zero = args[0], args[1], args[2] if len(args) > 2 else None
        if x is None or scale is None or x.dtype.kind not in "iu" or scale.dtype.kind != "f":
            raise UnsupportedLayerError(f"{node.label}: expected integers and a scale of floats", node=node.name)
        axis, block = int(node.attributes.get("axis", 1)), int(node.attributes.get("block_size", 0))
        inside = -x.ndim <= axis < x.ndim
        if block > 0 and inside and scale.ndim == x.ndim:  # one scale for each block along an axis
            wanted = [-(-n // block) if k == axis % x.ndim else n for k, n in enumerate(x.shape)]
            if list(scale.shape) != wanted or (zero is not None and zero.shape != scale.shape):
                raise FileFormatError(f"{node.label}: scales of shape {scale.shape}; expected {tuple(wanted)}")
            which = np.arange(x.shape[axis]) // block
            scale = np.take(scale, which, axis=axis)
            zero = None if zero is None else np.take(zero, which, axis=axis)
            shape = list(x.shape)
        elif scale.size > 1:
            if not inside or scale.shape != (x.shape[axis],) or block:
                raise UnsupportedLayerError(
                    f"{node.label}: scales of shape {scale.shape} for {x.shape}; supported is one, one for each place of an axis, "
                    "or one for each block of block_size along an axis",
                    node=node.name,
                )
            shape = [-1 if k == axis % x.ndim else 1 for k in range(x.ndim)]
        else:
            shape = [1] * x.ndim
        if zero is not None and zero.size != scale.size:
            raise FileFormatError(f"{node.label}: {zero.size} zero points for {scale.size} scales")
        if x.dtype.itemsize <= 2 and scale.dtype.itemsize <= 4:
            shifted = x.astype(np.float64) - (0 if zero is None else zero.astype(np.float64).reshape(shape))
            return np.asarray(shifted * scale.astype(np.float64).reshape(shape))
        self._spend(node, [], 2 * x.size)
        whole = x.astype(object) - (0 if zero is None else zero.astype(object).reshape(shape))
        return np.asarray(whole * fractions(scale, node.label).reshape(shape), dtype=object)

    def _far(self, node: Node, pair: list[Array]) -> None:
        """UnsupportedLayerError where the rounding of a runtime may decide a comparison."""
        a, b = np.broadcast_arrays(*pair)
        for x, y in zip(a.ravel().tolist(), b.ravel().tolist()):
            if x != y and abs(x - y) < CLOSE * max(abs(x), abs(y)):
                raise UnsupportedLayerError(
                    f"{node.label} compares computed constants that are {float(x)!r} and {float(y)!r}: runtimes may disagree",
                    node=node.name,
                    op=node.op,
                )

    def _reference(self, node: Node, args: Sequence[Array | None]) -> list[Array]:
        """By the reference implementation of ``onnx``, in floating point."""
        from onnx import helper
        from onnx.reference import ReferenceEvaluator

        given = {n: a for n, a in zip(node.inputs, args) if a is not None}
        exact = any(a.dtype == object for a in given.values())
        if exact and node.op in _ROUNDED:
            decided(node, next(iter(given.values())), _ROUNDED[node.op])
        if exact and node.op in _COMPARED:
            self._far(node, [fractions(a, node.label) for a in args if a is not None])
        floats = {n: a.astype(np.float64) if a.dtype == object else a for n, a in given.items()}
        self._room(node, np.broadcast_shapes(*(a.shape for a in floats.values())) if node.op in _ENTRYWISE else [0])
        self._spend(node, [], sum(a.size for a in floats.values()))
        kinds = {a.dtype for a in floats.values() if a.dtype.kind == "f"}
        if len(kinds) > 1:
            floats = {n: a.astype(np.float64) if a.dtype.kind == "f" else a for n, a in floats.items()}
        inputs = [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for n, a in floats.items()
        ]
        outputs = [helper.make_empty_tensor_value_info(o) for o in node.outputs if o]
        graph = helper.make_graph([node.message], "constants", inputs, outputs)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset or 13)])
        with np.errstate(all="ignore"):
            computed = iter([np.asarray(r) for r in ReferenceEvaluator(model).run(None, floats)])
        results = [next(computed) if o else np.zeros(0) for o in node.outputs]
        kinds = {r.dtype for r, o in zip(results, node.outputs) if o and r.dtype.kind == "f"}
        if kinds and node.op not in _EXACT:
            self.note(f"{node.label} on constants is computed in {kinds.pop()}, as a runtime does")
        return results


def _bound(node: Node, given: Sequence[Array]) -> int | None:
    """Products that an operation of the reference implementation takes at most; None for other operations."""
    op, a, x = node.op, node.attributes, given[0] if given else np.zeros(0)
    if op in _LIKE_INPUT:
        return x.size
    if op == "OneHot":
        return x.size * max(1, int(given[1].ravel()[0]))
    if op == "Einsum":
        equation = str(a.get("equation", "")).replace(" ", "")
        terms = equation.split("->")[0].split(",")
        if "." in equation or [len(t) for t in terms] != [v.ndim for v in given]:
            raise UnsupportedLayerError(f"{node.label}: the equation {equation!r} on constants is not supported", op=op)
        return math.prod({c: n for t, v in zip(terms, given) for c, n in zip(t, v.shape)}.values())
    if op == "Conv":
        kernel = given[1].shape[2:]
        pads = a.get("pads") or [0] * (2 * len(kernel))
        places = [
            n + k + max(0, int(p)) + max(0, int(q))
            for n, k, p, q in zip(x.shape[2:], kernel, pads, pads[len(kernel) :])
        ]
        return x.shape[0] * math.prod(places) * given[1].size
    if op == "Resize" and a.get("mode", "nearest") != "nearest":
        last = given[-1]
        sizes = (
            last.ravel().tolist()
            if last.dtype.kind in "iu"
            else [n * f for n, f in zip(x.shape, last.ravel().tolist())]
        )
        return math.ceil(math.prod(sizes))
    return None


def _bits(value: Any) -> int:
    if isinstance(value, Fraction):
        return max(value.numerator.bit_length(), value.denominator.bit_length())
    return int(value).bit_length()


def fractions(values: Array, where: str) -> Array:
    """The numbers as Fractions; FileFormatError for NaN and infinity."""
    if values.dtype == object:
        return values
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise FileFormatError(f"{where}: a constant holds NaN or infinity; expected finite numbers")
    out = np.empty(values.size, dtype=object)
    out[:] = [Fraction(v) for v in values.ravel().tolist()]
    return out.reshape(values.shape)


def decided(node: Node, values: Array, offset: Fraction | int) -> Array:
    """The numbers, none so close to an integer plus ``offset`` that a runtime's rounding decides on which side it
    is.
    """
    for v in values.ravel().tolist():
        gap = abs(v - offset - round(v - offset))
        if gap and gap < CLOSE * max(1, abs(v)):
            raise UnsupportedLayerError(
                f"{node.label} rounds a computed constant near {float(v)!r}: runtimes may disagree; fold it before exporting",
                node=node.name,
                op=node.op,
            )
    return values


def _cast(node: Node, values: Array) -> Array:
    target = DTYPES.get(node.attributes.get("to", 1), "")
    if target in ("", "bfloat16"):
        raise UnsupportedLayerError(f"{node.label}: a cast of constants to {target or 'an unknown type'}")
    if values.dtype == object:
        if target in FLOATS:
            return values  # stays exact
        if target == "bool":
            return np.asarray(values != 0, dtype=bool)
        whole = np.array([math.trunc(v) for v in decided(node, values, 0).ravel().tolist()], dtype=object)
        limits = np.iinfo(target)
        if len(whole) and not limits.min <= whole.min() <= whole.max() <= limits.max:
            raise FileFormatError(f"{node.label}: a computed constant does not fit {target}")
        return whole.astype(target).reshape(values.shape)
    with np.errstate(all="ignore"):
        return np.asarray(values.astype(target))


def _constant(node: Node) -> Array:
    attributes = node.attributes
    if hasattr(attributes.get("value"), "dims"):
        return tensor_values(attributes["value"])
    for key, dtype in (("value_float", np.float32), ("value_int", np.int64)):
        for name in (key, f"{key}s"):
            if name in attributes:
                return np.array(attributes[name], dtype=dtype)
    raise UnsupportedLayerError(f"{node.label}: a constant without dense numbers is not supported", node=node.name)
