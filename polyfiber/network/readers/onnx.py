"""ONNX graphs as exporters write them, read as a chain of affine maps and ReLUs.

Every tensor of the graph is one of three things: a constant; a *signal*, an affine or ReLU
function of the input whose entries in row-major order are a vector; or *beyond* the head, a
sigmoid or softmax of a signal. Operations on constants are carried out exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from ..._typing import Array
from ...errors import FileFormatError, PolyfiberError, ShapeError, UnsupportedLayerError
from ..folding import Chain
from ..model import ReLUNetwork
from .onnx_model import DTYPES, Model, Node, parse_model
from .onnx_values import (
    BATCH,
    SUPPORTED,
    TOTAL_LIMIT,
    Beyond,
    Signal,
    Thing,
    axes_of,
    const,
    feature_vector,
    on_constants,
    reciprocal,
    show,
    unsqueezed,
)

_AFTER_HEAD = frozenset(
    [
        "ArgMax",
        "Cast",
        "Concat",
        "Identity",
        "Reshape",
        "Flatten",
        "Squeeze",
        "Unsqueeze",
        "ZipMap",
        "ArrayFeatureExtractor",
        "Gather",
        "Normalizer",
        "LabelEncoder",
        "Greater",
        "GreaterOrEqual",
        "Less",
        "Not",
        "Where",
        "TopK",
    ]
)
_HEADS = {"Sigmoid": "sigmoid", "Softmax": "softmax", "LogSoftmax": "log-softmax", "ArgMax": "argmax"}


def read(data: bytes, source: dict[str, Any]) -> ReLUNetwork:
    """Network of an ONNX file."""
    model = parse_model(data)
    graph = _Graph(model, len(data))
    source["format"] = "onnx"
    if model.producer:
        source["producer"] = model.producer
    return graph.network(source)


class _Graph:
    def __init__(self, model: Model, size: int) -> None:
        self.model = model
        self.size = size  # bytes of the file
        self.made = 0  # elements of constants made by operations
        self.notes: list[str] = []
        self.batch: int | None = None  # a fixed batch size greater than 1
        self.things: dict[str, Thing] = {}
        for name, tensor in model.constants.items():
            self.things[name] = tensor.values
        free = {name: shape for name, shape in model.inputs.items() if name not in model.constants}
        used = {name for node in model.nodes for name in node.inputs}
        real = [name for name in free if name in used] or list(free)
        if len(real) != 1:
            raise UnsupportedLayerError(
                f"the graph has {len(real)} inputs ({', '.join(map(repr, real))}); expected one", inputs=real
            )
        self.input = real[0]
        self.declared = free[self.input]
        if self.declared is not None:
            signal = Signal(self._input_shape(self.declared))
            if signal.size > max(size, 64):
                raise ShapeError(f"input {self.input!r} claims {signal.size:,} features; the file has {size:,} bytes")
            self.things[self.input] = signal

    def _input_shape(self, dims: list[int | None]) -> tuple[int, ...]:
        if not dims:
            raise ShapeError(f"input {self.input!r} is a scalar; expected a vector of features")
        column = any(
            n.op in ("MatMul", "Gemm") and n.inputs[0] in self.model.constants for n in self.model.nodes if n.inputs
        )
        first, rest = dims[0], dims[1:]
        if None in rest:
            raise ShapeError(
                f"input {self.input!r} has the shape {dims}; only the first size (the batch) may be open. "
                "Export with fixed feature sizes"
            )
        sizes = [int(n) for n in rest if n is not None]
        if first is None:
            if not rest:
                raise ShapeError(f"input {self.input!r} has one axis of open size; export it with a fixed one")
            return (BATCH, *sizes)
        if not rest or first == 1 or (column and math.prod(sizes) == 1):
            return (first, *sizes)
        self.batch = first
        self.notes.append(f"input {self.input!r} has a fixed batch of {first}; each row is one point")
        return (BATCH, *sizes)

    def network(self, source: dict[str, Any]) -> ReLUNetwork:
        for node in self.model.nodes:
            self._run(node)
        signal, head = self._output()
        steps: list[Callable[[Chain], None]] = []
        walk: Signal | None = signal
        root = signal
        while walk is not None:
            if walk.step is not None:
                steps.append(walk.step)
            root = walk
            walk = walk.parent
        chain = Chain(root.size)
        for step in reversed(steps):
            step(chain)
        if head is not None:
            chain.finish(head)
        return chain.network(source, notes=self.notes)

    def _output(self) -> tuple[Signal, str | None]:
        if not self.model.outputs:
            raise FileFormatError("the graph has no output")
        found: list[tuple[Signal, str | None]] = []
        for name in self.model.outputs:
            thing = self.things.get(name)
            if isinstance(thing, Signal):
                found.append((thing, None))
            elif isinstance(thing, Beyond):
                found.append((thing.signal, thing.head))
            elif thing is None:
                raise FileFormatError(f"output {name!r} is computed by no node")
        if not found:
            raise UnsupportedLayerError("no output depends on the input; expected a network")
        signals = {id(s) for s, _ in found}
        if len(signals) > 1:
            raise UnsupportedLayerError(
                f"the outputs {', '.join(map(repr, self.model.outputs))} are different functions; "
                "expected one output (and what a head makes of it)",
                outputs=self.model.outputs,
            )
        heads = [h for _, h in found if h is not None]
        better = [h for h in heads if h != "argmax"]
        if len(found) > 1:
            self.notes.append(f"outputs {', '.join(map(repr, self.model.outputs))} share one network")
        return found[0][0], next(iter(better or heads), self.model.head)

    # ---- nodes ------------------------------------------------------------------------------
    def _run(self, node: Node) -> None:
        args: list[Thing | None] = []
        for name in node.inputs:
            if name == self.input and name not in self.things:
                self.things[name] = self._guess_input(node)
            if name and name not in self.things:
                raise FileFormatError(f"{node.label} uses {name!r}, which nothing before it computes")
            args.append(self.things[name] if name else None)
        if not node.outputs:
            return
        try:
            if any(isinstance(a, Beyond) for a in args):
                result: Thing = self._after_head(node, args)
            elif any(isinstance(a, Signal) for a in args):
                result = self._on_signal(node, args)
            else:
                result = on_constants(node, [a for a in args if not isinstance(a, Signal | Beyond)])
        except PolyfiberError:
            raise
        except Exception as error:
            raise FileFormatError(f"{node.label} is malformed: {error}") from None
        if node.outputs[0] in self.things:
            raise FileFormatError(f"{node.label} computes {node.outputs[0]!r}, which is there already")
        if not isinstance(result, Signal | Beyond):
            self.made += result.size if result.base is None or result.dtype == object else 0
            if self.made > TOTAL_LIMIT + self.size:
                raise FileFormatError(f"{node.label}: the operations on constants make more than {self.made:,} numbers")
        self.things[node.outputs[0]] = result
        if isinstance(result, Beyond):
            for other in node.outputs[1:]:
                self.things[other] = result

    def _guess_input(self, node: Node) -> Signal:
        """The input's width from the first layer, where the file states no shape."""
        for name in node.inputs:
            tensor = self.model.constants.get(name)
            if tensor is not None and tensor.values.ndim == 2:
                rows = node.op == "Gemm" and node.attributes.get("transB", 0)
                return Signal((BATCH, tensor.values.shape[1 if rows else 0]))
        raise ShapeError(f"input {self.input!r} has no declared shape; export the model with one")

    def _after_head(self, node: Node, args: list[Thing | None]) -> Beyond:
        beyond = [a for a in args if isinstance(a, Beyond)]
        mixed = any(isinstance(a, Signal) for a in args) or len({id(b.signal) for b in beyond}) > 1
        complement = node.op == "Sub" and not isinstance(args[0], Signal | Beyond) and bool(np.all(const(args[0]) == 1))
        scaled = node.op in ("Add", "Mul") and len(beyond) == 1 and not mixed
        if mixed or not (node.op in _AFTER_HEAD or complement or scaled):
            raise UnsupportedLayerError(
                f"{node.label} comes after {beyond[0].head}; a sigmoid or softmax is read as a head at the end only, "
                f"and the activation between layers must be ReLU. Supported: {SUPPORTED}",
                node=node.name,
                op=node.op,
            )
        if scaled:
            raise UnsupportedLayerError(
                f"{node.label} rescales the {beyond[0].head} output; expected the head to be last", node=node.name
            )
        return beyond[0]

    def _on_signal(self, node: Node, args: list[Thing | None]) -> Thing:
        signals = [a for a in args if isinstance(a, Signal)]
        if len(signals) > 1:
            raise UnsupportedLayerError(
                f"{node.label} joins two branches (residual or concatenated); supported is one chain of layers",
                node=node.name,
                op=node.op,
            )
        signal = signals[0]
        if node.op in _HEADS and node.domain in ("", "ai.onnx"):
            if node.attributes.get("axis") == 0 and signal.shape[0] == BATCH:
                raise UnsupportedLayerError(f"{node.label} works across the batch, not the features", node=node.name)
            return Beyond(signal, _HEADS[node.op])
        prefix = {"": "_op_", "ai.onnx": "_op_", "ai.onnx.ml": "_ml_"}.get(node.domain)
        method = getattr(self, prefix + node.op.lower(), None) if prefix is not None else None
        if method is None:
            raise UnsupportedLayerError(
                f"{node.label}: the operation {node.op} is not supported. Supported: {SUPPORTED}",
                node=node.name,
                op=node.op,
            )
        thing: Thing = method(node, signal, args)
        return thing

    # ---- affine layers ----------------------------------------------------------------------
    def _op_matmul(self, node: Node, signal: Signal, args: list[Thing | None]) -> Signal:
        if isinstance(args[0], Signal):
            return self._product(node, signal, const(args[1]), None, right=True)
        return self._product(node, signal, const(args[0]), None, right=False)

    def _product(self, node: Node, signal: Signal, weight: Array, bias: Array | None, *, right: bool) -> Signal:
        """``signal @ weight`` (right) or ``weight @ signal``, where it is one matrix on one vector."""
        shape = signal.shape
        if weight.ndim > 2 and math.prod(weight.shape[:-2]) == 1:
            weight = weight.reshape(weight.shape[-2:])
        if weight.ndim == 1:
            weight = weight[:, None] if right else weight[None, :]
        if weight.ndim != 2:
            raise UnsupportedLayerError(f"{node.label}: a stack of matrices of shape {weight.shape}; expected one")
        matrix = weight.T if right else weight
        if right:
            inner, new = shape[-1], (*shape[:-1], matrix.shape[0])
        elif len(shape) == 1:
            inner, new = shape[0], (matrix.shape[0],)
        else:
            inner, new = shape[-2], (*shape[:-2], matrix.shape[0], shape[-1])
        if inner == BATCH or inner != signal.size:
            raise ShapeError(
                f"{node.label}: a matrix of shape {weight.shape} on a tensor of shape {show(shape)}; "
                "expected all features in the axis that is multiplied (a Flatten before it?)"
            )
        name = node.name or node.outputs[0]
        return Signal(tuple(new), signal, lambda chain: chain.dense(matrix, bias, name=name))

    def _op_gemm(self, node: Node, signal: Signal, args: list[Thing | None]) -> Signal:
        alpha = node.attributes.get("alpha", 1.0)
        beta = node.attributes.get("beta", 1.0)
        if not all(isinstance(v, int | float) and math.isfinite(v) for v in (alpha, beta)):
            raise FileFormatError(f"{node.label}: alpha and beta must be finite numbers; found {alpha!r}, {beta!r}")
        right = isinstance(args[0], Signal)
        weight = const(args[1] if right else args[0])
        if weight.ndim != 2 or len(signal.shape) != 2:
            raise ShapeError(
                f"{node.label}: factors of shapes {show(signal.shape)} and {weight.shape}; expected two matrices"
            )
        if node.attributes.get("transB" if right else "transA", 0):
            weight = weight.T
        if node.attributes.get("transA" if right else "transB", 0):
            signal = self._permute(node, signal, (1, 0))
        c = args[2] if len(args) > 2 else None
        if isinstance(c, Signal | Beyond):
            raise UnsupportedLayerError(f"{node.label}: the added term depends on the input (residual)", node=node.name)
        if alpha != 1:
            signal = self._scaled(node, signal, Fraction(alpha))
        shape = (*signal.shape[:-1], weight.shape[1]) if right else (weight.shape[0], signal.shape[-1])
        shift = None
        if c is not None and beta != 0:
            shift = feature_vector(node, c, shape)
            if beta != 1:
                shift = np.array([Fraction(v) * Fraction(beta) for v in shift.tolist()], dtype=object)
        return self._product(node, signal, weight, shift, right=right)

    def _scaled(self, node: Node, signal: Signal, factor: Fraction) -> Signal:
        name = node.name or node.outputs[0]
        values = np.array([factor] * signal.size, dtype=object)
        return Signal(signal.shape, signal, lambda chain: chain.diagonal(scale=values, name=name))

    def _elementwise(self, node: Node, signal: Signal, *, scale: Array | None, shift: Array | None) -> Signal:
        name = node.name or node.outputs[0]
        return Signal(signal.shape, signal, lambda chain: chain.diagonal(scale=scale, shift=shift, name=name))

    def _other(self, node: Node, signal: Signal, args: list[Thing | None]) -> tuple[Array, bool]:
        """The constant operand as one number per feature, and whether it stands on the left."""
        if len(args) != 2:
            raise FileFormatError(f"{node.label} has {len(args)} operands; expected 2")
        if "axis" in node.attributes:
            raise UnsupportedLayerError(f"{node.label}: broadcasting along an axis (opset < 7) is not supported")
        left = not isinstance(args[0], Signal)
        return feature_vector(node, const(args[0] if left else args[1]), signal.shape), left

    def _op_add(self, node: Node, signal: Signal, args: list[Thing | None]) -> Signal:
        values, _ = self._other(node, signal, args)
        return self._elementwise(node, signal, scale=None, shift=values)

    def _op_sum(self, node: Node, signal: Signal, args: list[Thing | None]) -> Signal:
        return self._op_add(node, signal, args)

    def _op_sub(self, node: Node, signal: Signal, args: list[Thing | None]) -> Signal:
        values, left = self._other(node, signal, args)
        if left:
            return self._elementwise(node, signal, scale=-np.ones(signal.size, dtype=np.int64), shift=values)
        return self._elementwise(node, signal, scale=None, shift=-values)

    def _op_mul(self, node: Node, signal: Signal, args: list[Thing | None]) -> Signal:
        values, _ = self._other(node, signal, args)
        return self._elementwise(node, signal, scale=values, shift=None)

    def _op_div(self, node: Node, signal: Signal, args: list[Thing | None]) -> Signal:
        values, left = self._other(node, signal, args)
        if left:
            raise UnsupportedLayerError(f"{node.label} divides by the input: not piecewise linear", node=node.name)
        return self._elementwise(node, signal, scale=reciprocal(values, node.label), shift=None)

    def _op_neg(self, node: Node, signal: Signal, args: list[Thing | None]) -> Signal:
        return self._elementwise(node, signal, scale=-np.ones(signal.size, dtype=np.int64), shift=None)

    def _op_batchnormalization(self, node: Node, signal: Signal, args: list[Thing | None]) -> Signal:
        if node.attributes.get("training_mode", 0):
            raise UnsupportedLayerError(f"{node.label} is in training mode; export the model in evaluation mode")
        if len(args) < 5:
            raise FileFormatError(f"{node.label} has {len(args)} inputs; expected 5")
        gamma, beta, mean, variance = (const(a) for a in args[1:5])
        if len(signal.shape) < 2 or signal.shape[1] != signal.size:
            raise UnsupportedLayerError(f"{node.label}: normalises channels of shape {show(signal.shape)}")
        epsilon = float(node.attributes.get("epsilon", np.float32(1e-5)))
        name = node.name or node.outputs[0]
        return Signal(
            signal.shape,
            signal,
            lambda chain: chain.normalisation(mean, variance, gamma, beta, epsilon=epsilon, name=name),
        )

    def _ml_scaler(self, node: Node, signal: Signal, args: list[Thing | None]) -> Signal:
        """``(x - offset) * scale``, as converters write the scalers of scikit-learn."""
        offset, scale = (np.array(node.attributes.get(key) or [], dtype=np.float32) for key in ("offset", "scale"))
        shift = -feature_vector(node, offset, signal.shape) if offset.size else None
        factor = feature_vector(node, scale, signal.shape) if scale.size else None
        return self._elementwise(
            node, self._elementwise(node, signal, scale=None, shift=shift), scale=factor, shift=None
        )

    # ---- ReLU -------------------------------------------------------------------------------
    def _op_relu(self, node: Node, signal: Signal, args: list[Thing | None]) -> Signal:
        name = node.name or node.outputs[0]
        return Signal(signal.shape, signal, lambda chain: chain.relu(name))

    def _op_max(self, node: Node, signal: Signal, args: list[Thing | None]) -> Signal:
        values, _ = self._other(node, signal, args)
        if np.any(values != 0):
            raise UnsupportedLayerError(f"{node.label}: only the maximum with 0 is supported", node=node.name)
        return self._op_relu(node, signal, args)

    def _op_clip(self, node: Node, signal: Signal, args: list[Thing | None]) -> Signal:
        def limit(key: str, at: int, default: float) -> float:
            if key in node.attributes:
                return float(node.attributes[key])
            if len(args) > at and args[at] is not None:
                return float(const(args[at]).reshape(()).item())
            return default

        low, high = limit("min", 1, -math.inf), limit("max", 2, math.inf)
        beyond = float(np.finfo(np.float32).max)
        if low != 0 or high < beyond:
            raise UnsupportedLayerError(
                f"{node.label} clips to [{low}, {high}]; only [0, ∞) is supported, which is ReLU", node=node.name
            )
        return self._op_relu(node, signal, args)

    # ---- what does nothing to the vector -----------------------------------------------------
    def _op_identity(self, node: Node, signal: Signal, args: list[Thing | None]) -> Signal:
        if args[0] is not signal:
            raise FileFormatError(f"{node.label}: the input must come first")
        return signal

    def _op_dropout(self, node: Node, signal: Signal, args: list[Thing | None]) -> Signal:
        if len(args) > 2 and args[2] is not None and bool(np.any(const(args[2]))):
            raise UnsupportedLayerError(f"{node.label} is in training mode; export the model in evaluation mode")
        return self._op_identity(node, signal, args)

    def _op_cast(self, node: Node, signal: Signal, args: list[Thing | None]) -> Signal:
        target = DTYPES.get(node.attributes.get("to", 1), "")
        if target not in ("float32", "float64"):
            raise UnsupportedLayerError(f"{node.label} casts to {target or 'an unknown type'}: not a linear map")
        self.notes.append(f"{node.label} to {target} is read as the identity of real numbers")
        return self._op_identity(node, signal, args)

    def _reshaped(self, node: Node, signal: Signal, shape: tuple[int, ...]) -> Signal:
        """The signal under another shape that keeps the order of its features."""

        def nontrivial(sizes: tuple[int, ...]) -> tuple[bool, int]:
            before = sizes[: sizes.index(BATCH)] if BATCH in sizes else ()
            return math.prod(before) == 1, math.prod(n for n in sizes if n != BATCH)

        if nontrivial(shape) != (True, signal.size):
            raise UnsupportedLayerError(
                f"{node.label} gives the shape {show(shape)} from {show(signal.shape)}; "
                "expected the batch and the order of the features to stay as they are",
                node=node.name,
            )
        return Signal(shape, signal)

    def _op_flatten(self, node: Node, signal: Signal, args: list[Thing | None]) -> Signal:
        axis = int(node.attributes.get("axis", 1))
        rank = len(signal.shape)
        if not -rank <= axis <= rank:
            raise FileFormatError(f"{node.label}: axis {axis} of a tensor with {rank} axes")
        if axis < 0:
            axis += rank
        shape = (math.prod(signal.shape[:axis]), math.prod(signal.shape[axis:]))
        return self._reshaped(node, signal, shape)

    def _op_reshape(self, node: Node, signal: Signal, args: list[Thing | None]) -> Signal:
        raw = node.attributes["shape"] if "shape" in node.attributes else const(args[1]).ravel().tolist()
        target = [int(n) for n in raw]
        if not node.attributes.get("allowzero", 0):
            for i, n in enumerate(target):
                if n == 0:
                    target[i] = signal.shape[i]
        if self.batch is not None and target and target[0] == self.batch and signal.shape[0] == BATCH:
            target[0] = BATCH
        total = math.prod(signal.shape)
        if target.count(-1) == 1:
            rest = math.prod(n for n in target if n != -1)
            if rest == 0 or total % rest:
                raise ShapeError(f"{node.label}: {show(signal.shape)} does not fit the shape {show(tuple(target))}")
            target[target.index(-1)] = total // rest
        if any(n < 1 for n in target):
            raise ShapeError(f"{node.label}: the shape {show(tuple(target))} is not one")
        return self._reshaped(node, signal, tuple(target))

    def _op_squeeze(self, node: Node, signal: Signal, args: list[Thing | None]) -> Signal:
        axes = axes_of(node, args)
        rank = len(signal.shape)
        drop = [i for i, n in enumerate(signal.shape) if n == 1] if axes is None else [a % rank for a in axes]
        if any(signal.shape[i] != 1 for i in drop):
            raise ShapeError(f"{node.label}: axes {axes} of {show(signal.shape)} are not of size 1")
        return self._reshaped(node, signal, tuple(n for i, n in enumerate(signal.shape) if i not in drop))

    def _op_unsqueeze(self, node: Node, signal: Signal, args: list[Thing | None]) -> Signal:
        axes = axes_of(node, args) or []
        return self._reshaped(node, signal, tuple(unsqueezed(signal.shape, axes)))

    def _op_transpose(self, node: Node, signal: Signal, args: list[Thing | None]) -> Signal:
        perm = node.attributes.get("perm") or list(range(len(signal.shape)))[::-1]
        return self._permute(node, signal, tuple(perm))

    def _permute(self, node: Node, signal: Signal, perm: tuple[int, ...]) -> Signal:
        if sorted(perm) != list(range(len(signal.shape))):
            raise FileFormatError(f"{node.label}: {perm} is not a permutation of {len(signal.shape)} axes")
        moved = [i for i in perm if signal.shape[i] != 1]
        if moved != sorted(moved):
            raise UnsupportedLayerError(
                f"{node.label} permutes the axes of {show(signal.shape)} by {perm}; "
                "supported is a transpose that leaves the order of the features",
                node=node.name,
            )
        return Signal(tuple(signal.shape[i] for i in perm), signal)

    def _op_shape(self, node: Node, signal: Signal, args: list[Thing | None]) -> Array:
        start, end = node.attributes.get("start", 0), node.attributes.get("end")
        return np.array(signal.shape[start:end], dtype=np.int64)
