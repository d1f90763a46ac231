"""Keras models of any wiring as graphs: convolutions, pooling, sums and concatenations of branches.

Values keep the order of Keras (channels last), inputs too; convolutions and poolings are done channels first between
two transpositions, which cost nothing. What a layer is comes from the configuration alone; arrays come from the caller.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from ...._typing import Array
from ....errors import FileFormatError, ShapeError, UnsupportedLayerError
from ...model import ReLUNetwork
from ...piecewise import PiecewiseLinearNetwork
from .builder import GraphBuilder

SUPPORTED = (
    "Dense, Conv1D, Conv2D, DepthwiseConv2D, SeparableConv2D, Conv2DTranspose, MaxPooling, AveragePooling and "
    "their global forms, BatchNormalization, Rescaling, ReLU, LeakyReLU, PReLU, Activation, Add, Subtract, Average, Maximum, Minimum, "
    "Concatenate, Flatten, Reshape, Permute, RepeatVector, ZeroPadding, Cropping, UpSampling by nearest, Dropout; activations "
    "linear, relu, relu6, leaky_relu, hard_sigmoid, hard_tanh, and at the end "
    "sigmoid, softmax, log_softmax"
)
_IDLE = frozenset(
    [
        "Dropout",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "GaussianNoise",
        "GaussianDropout",
        "AlphaDropout",
        "ActivityRegularization",
    ]
)
_HEADS = {"sigmoid": "Sigmoid", "softmax": "Softmax", "log_softmax": "LogSoftmax"}
MOST_SIZES = 1 << 20


class LayerLike(Protocol):
    """What is needed of a layer."""

    kind: str
    config: dict[str, Any]
    name: str

    @property
    def label(self) -> str:
        """How messages name it."""


Arrays = Callable[[Any, list[str]], dict[str, Array]]


def activation_of(given: Any) -> tuple[Any, dict[str, Any]]:
    """Name and configuration of an activation: a name, a function as an object, or a layer as one, such as ReLU."""
    if not isinstance(given, dict):
        return given, {}
    inner = given.get("config")
    return (
        (inner, {}) if isinstance(inner, str) else (given.get("class_name"), inner if isinstance(inner, dict) else {})
    )


def is_plain_relu(config: dict[str, Any]) -> bool:
    """Whether a layer ReLU has no limit (also 0 is one), no slope and no threshold."""
    return config.get("max_value") is None and not config.get("negative_slope") and not config.get("threshold")


class _Activation:
    """An activation that is a layer of its own, given to another layer."""

    def __init__(self, kind: str, layer: LayerLike, config: dict[str, Any]) -> None:
        self.kind, self.config, self.name = kind, config, layer.name
        self.label = f"{layer.label}, its activation {kind},"


def network_of(
    layers: Sequence[Any],
    feeding: dict[str, list[str]],
    outputs: Sequence[str],
    arrays: Arrays,
    source: dict[str, Any],
    version: str = "",
) -> ReLUNetwork | PiecewiseLinearNetwork:
    """The network of layers.

    Parameters
    ----------
    layers : sequence of LayerLike
    feeding : dict
        For each layer the names of those that it reads, in order; none for the input.
    outputs : sequence of str
        Names of the layers whose results are the outputs.
    arrays : callable
        ``arrays(layer, names)``: the arrays of a layer under these names.
    source : dict
    version : str
        Of the Keras that wrote the file, if it says so.
    """
    return _Translation(layers, feeding, arrays, version).network(outputs, source)


class _Translation:
    def __init__(self, layers: Sequence[Any], feeding: dict[str, list[str]], arrays: Arrays, version: str) -> None:
        self.version = version
        self.layers = {layer.name: layer for layer in layers}
        self.feeding, self.arrays = feeding, arrays
        starts = [layer for layer in layers if not feeding.get(layer.name)]
        if len(starts) != 1:
            raise UnsupportedLayerError(f"the model has {len(starts)} inputs; expected one")
        for layer in layers:
            if layer.kind not in _LAYERS and layer.kind not in _IDLE and layer.kind != "InputLayer":
                raise UnsupportedLayerError(f"{layer.label} is not supported; supported: {SUPPORTED}", layer=layer.name)
            count = len(feeding.get(layer.name, []))
            if count > 1 and layer.kind not in _JOINING:
                raise UnsupportedLayerError(f"{layer.label} reads {count} layers; expected one", layer=layer.name)
        self.g = GraphBuilder(_input_shape(starts[0], arrays))
        self.made: dict[str, str] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}  # of values, batch left out

    def network(self, outputs: Sequence[str], source: dict[str, Any]) -> ReLUNetwork | PiecewiseLinearNetwork:
        for name in self._order(outputs):
            layer = self.layers[name]
            before = [self.made[n] for n in self.feeding.get(name, [])] or [self.g.input]
            shapes = [self.shapes[n] for n in self.feeding.get(name, [])] or [self.g.shape]
            self.made[name], self.shapes[name] = self._layer(layer, before, shapes)
        return self.g.network([self.made[n] for n in outputs], source)

    def _order(self, outputs: Sequence[str]) -> list[str]:
        order: list[str] = []
        state: dict[str, int] = {}
        stack = [(name, False) for name in reversed(outputs)]
        while stack:
            name, done = stack.pop()
            if name not in self.layers:
                raise FileFormatError(f"the model reads a layer {name!r} that it does not have")
            if done:
                state[name] = 2
                order.append(name)
            elif state.get(name) is None:
                state[name] = 1
                stack.append((name, True))
                for other in reversed(self.feeding.get(name, [])):
                    if state.get(other) == 1:
                        raise FileFormatError(f"layer {name!r} needs its own result")
                    stack.append((other, False))
        return order

    def _layer(self, layer: Any, x: list[str], shapes: list[tuple[int, ...]]) -> tuple[str, tuple[int, ...]]:
        kind, config = layer.kind, layer.config
        if config.get("data_format") == "channels_first":
            raise UnsupportedLayerError(
                f"{layer.label} has its channels first; supported is channels_last", layer=layer.name
            )
        if kind == "InputLayer" or kind in _IDLE:
            return x[0], shapes[0]
        value, shape = _LAYERS[kind](self, layer, x, shapes)
        if min(shape, default=1) < 1:
            raise ShapeError(f"{layer.label} gives a value of shape {shape}")
        activation = config.get("activation") if kind in _ACTIVATED else None
        return self._activated(layer, value, activation), shape

    def _activated(self, layer: Any, x: str, activation: Any) -> str:
        activation, options = activation_of(activation)
        if activation in (None, "linear"):
            return x
        if activation == "relu":
            return self.g.add("Relu", [x], name=layer.name)
        if activation in ("ReLU", "LeakyReLU"):
            return _LAYERS[activation](self, _Activation(activation, layer, options), [x], [()])[0]
        if activation == "relu6":
            return self._clip(x, 0.0, 6.0, layer.name)
        if activation == "hard_tanh":
            return self._clip(x, -1.0, 1.0, layer.name)
        if activation == "hard_sigmoid":
            return self._hard_sigmoid(layer, x)
        if activation == "leaky_relu":
            return self.g.add("LeakyRelu", [x], name=layer.name, alpha=0.2)
        if activation in _HEADS:
            return self.g.add(_HEADS[activation], [x], name=layer.name)
        raise UnsupportedLayerError(
            f"{layer.label} has the activation {activation!r}; supported: {SUPPORTED}", layer=layer.name
        )

    def _hard_sigmoid(self, layer: Any, x: str) -> str:
        """``x / 6 + 1/2`` in Keras 3, ``0.2 x + 1/2`` before, clipped to [0, 1]."""
        if self.version.startswith("3."):
            shifted = self.g.add("Add", [x, self.g.constant(np.float32(3))], name=layer.name)
            return self.g.add("Div", [self._clip(shifted, 0.0, 6.0, layer.name), self.g.constant(np.float32(6))])
        if self.version.startswith("2."):
            return self.g.add("HardSigmoid", [x], name=layer.name, alpha=0.2, beta=0.5)
        raise UnsupportedLayerError(
            f"{layer.label} has the activation hard_sigmoid, which Keras 2 and 3 compute differently, and the file does not "
            "say its version; save it again",
            layer=layer.name,
        )

    def _clip(self, x: str, low: float, high: float, name: str) -> str:
        limits = [self.g.constant(np.float32(v)) for v in (low, high)]
        return self.g.add("Clip", [x, *limits], name=name)

    def channels_first(self, x: str, rank: int) -> str:
        """(1, …, c) -> (1, c, …)."""
        return x if rank < 2 else self.g.transpose(x, [0, rank, *range(1, rank)])

    def channels_last(self, x: str, rank: int) -> str:
        """(1, c, …) -> (1, …, c)."""
        return x if rank < 2 else self.g.transpose(x, [0, *range(2, rank + 1), 1])


def _input_shape(layer: Any, arrays: Arrays) -> tuple[int, ...]:
    shape = layer.config.get("batch_input_shape") or layer.config.get("batch_shape")
    if shape is None and layer.kind == "Dense":
        kernel = arrays(layer, ["kernel", "bias"] if layer.config.get("use_bias", True) else ["kernel"])["kernel"]
        return (int(kernel.shape[0]),)
    if not isinstance(shape, list) or len(shape) < 2 or not all(isinstance(n, int) and n > 0 for n in shape[1:]):
        raise ShapeError(
            f"{layer.label}: the shape of the input is {shape}; expected fixed sizes behind the batch, as in (None, 28, 28, 1)"
        )
    if math.prod(shape[1:]) > MOST_SIZES:
        raise ShapeError(f"{layer.label}: an input of {math.prod(shape[1:]):,} values; the limit is {MOST_SIZES:,}")
    return tuple(shape[1:])


def _numbers(layer: Any, key: str, count: int, default: int = 1) -> list[int]:
    value = layer.config.get(key)
    value = default if value is None else value
    values = list(value) if isinstance(value, list | tuple) else [value] * count
    if len(values) != count or not all(isinstance(v, int) and 0 < v < 1 << 20 for v in values):
        raise FileFormatError(f"{layer.label}: {key} is {value!r}; expected {count} positive integers")
    return values


def _pad(layer: Any) -> str:
    padding = layer.config.get("padding", "valid")
    if padding not in ("valid", "same"):
        raise UnsupportedLayerError(f"{layer.label} pads by {padding!r}; supported: valid, same", layer=layer.name)
    return "VALID" if padding == "valid" else "SAME_UPPER"


def _window_sizes(
    pad: str, sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[int, ...]:
    if pad == "SAME_UPPER":
        return tuple(-(-n // s) for n, s in zip(sizes, strides))
    return tuple((n - (k - 1) * d - 1) // s + 1 for n, k, s, d in zip(sizes, kernel, strides, dilations))


def _explicit(
    pad: str, sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[int]:
    """Widths of the padding, before and behind each axis: runtimes of ONNX disagree about theirs."""
    if pad == "VALID":
        return [0] * (2 * len(kernel))
    total = [
        max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n) for n, k, s, d in zip(sizes, kernel, strides, dilations)
    ]
    return [v // 2 for v in total] + [v - v // 2 for v in total]


_Made = tuple[str, tuple[int, ...]]


def _dense(t: _Translation, layer: Any, x: list[str], shapes: list[tuple[int, ...]]) -> _Made:
    use_bias = layer.config.get("use_bias", True)
    found = t.arrays(layer, ["kernel", "bias"] if use_bias else ["kernel"])
    kernel = found["kernel"]
    if kernel.ndim != 2:
        raise ShapeError(f"{layer.label}: kernel of shape {kernel.shape}; expected a matrix")
    if len(shapes[0]) == 1:
        inputs = [x[0], t.g.constant(kernel), *([t.g.constant(found["bias"])] if use_bias else [])]
        value = t.g.add("Gemm", inputs, name=layer.name)
    else:
        value = t.g.add("MatMul", [x[0], t.g.constant(kernel)], name=layer.name)
        if use_bias:
            value = t.g.add("Add", [value, t.g.constant(found["bias"])], name=layer.name)
    return value, (*shapes[0][:-1], kernel.shape[1])


def _convolved(
    t: _Translation, layer: Any, x: str, shape: tuple[int, ...], kernel: Array, bias: Array | None, groups: int
) -> _Made:
    """With a kernel (outputs, inputs of a group, *windows)."""
    n = kernel.ndim - 2
    if len(shape) != n + 1:
        raise ShapeError(f"{layer.label}: a value of shape {shape} for windows along {n} axes")
    pad, strides, dilations = _pad(layer), _numbers(layer, "strides", n), _numbers(layer, "dilation_rate", n)
    inputs = [t.channels_first(x, n + 1), t.g.constant(kernel), *([] if bias is None else [t.g.constant(bias)])]
    pads = _explicit(pad, shape, kernel.shape[2:], strides, dilations)
    value = t.g.add("Conv", inputs, name=layer.name, strides=strides, dilations=dilations, group=groups, pads=pads)
    sizes = _window_sizes(pad, shape[:-1], kernel.shape[2:], strides, dilations)
    return t.channels_last(value, n + 1), (*sizes, kernel.shape[0])


def _conv(t: _Translation, layer: Any, x: list[str], shapes: list[tuple[int, ...]]) -> _Made:
    use_bias = layer.config.get("use_bias", True)
    found = t.arrays(layer, ["kernel", "bias"] if use_bias else ["kernel"])
    kernel = found["kernel"]  # (*windows, inputs, outputs)
    if kernel.ndim < 3:
        raise ShapeError(f"{layer.label}: kernel of shape {kernel.shape}; expected windows, inputs, outputs")
    groups = layer.config.get("groups", 1)
    if not isinstance(groups, int) or groups < 1:
        raise FileFormatError(f"{layer.label}: groups is {groups!r}; expected a positive integer")
    moved = np.moveaxis(kernel, (-1, -2), (0, 1))
    return _convolved(t, layer, x[0], shapes[0], moved, found.get("bias"), groups)


def _depthwise(kernel: Array) -> Array:
    """(h, w, channels, each) as (channels * each, 1, h, w)."""
    moved = np.moveaxis(kernel, (2, 3), (0, 1))
    return moved.reshape(-1, 1, *kernel.shape[:2])


def _depthwise_conv(t: _Translation, layer: Any, x: list[str], shapes: list[tuple[int, ...]]) -> _Made:
    use_bias = layer.config.get("use_bias", True)
    first = "depthwise_kernel" if "depthwise_kernel" in t.arrays(layer, []) else "kernel"
    found = t.arrays(layer, [first, "bias"] if use_bias else [first])
    kernel = found[first]
    if kernel.ndim != 4:
        raise ShapeError(f"{layer.label}: kernel of shape {kernel.shape}; expected 4 axes")
    return _convolved(t, layer, x[0], shapes[0], _depthwise(kernel), found.get("bias"), kernel.shape[2])


def _separable(t: _Translation, layer: Any, x: list[str], shapes: list[tuple[int, ...]]) -> _Made:
    use_bias = layer.config.get("use_bias", True)
    found = t.arrays(layer, ["depthwise_kernel", "pointwise_kernel", *(["bias"] if use_bias else [])])
    depth, point = found["depthwise_kernel"], found["pointwise_kernel"]
    if depth.ndim != 4 or point.ndim != 4:
        raise ShapeError(f"{layer.label}: kernels of shapes {depth.shape} and {point.shape}; expected 4 axes each")
    value, shape = _convolved(t, layer, x[0], shapes[0], _depthwise(depth), None, depth.shape[2])
    moved = np.moveaxis(point, (-1, -2), (0, 1))
    bias = found.get("bias")
    inputs = [t.channels_first(value, 3), t.g.constant(moved), *([] if bias is None else [t.g.constant(bias)])]
    return t.channels_last(t.g.add("Conv", inputs, name=layer.name), 3), (*shape[:-1], moved.shape[0])


def _transposed(t: _Translation, layer: Any, x: list[str], shapes: list[tuple[int, ...]]) -> _Made:
    """All that the windows reach, cut to the size that Keras gives, or continued by zeros; then the bias."""
    pad = _pad(layer)
    n = next(k for k in (1, 2, 3) if f"{k}D" in layer.kind)
    given = layer.config.get("output_padding")
    if given is not None and any(v is not None for v in (given if isinstance(given, list | tuple) else [given])):
        raise UnsupportedLayerError(
            f"{layer.label} states an output_padding, which the backends of Keras place differently; "
            "leave it out, or export to ONNX",
            layer=layer.name,
        )
    use_bias = layer.config.get("use_bias", True)
    found = t.arrays(layer, ["kernel", "bias"] if use_bias else ["kernel"])
    kernel = found["kernel"]  # (*windows, outputs, inputs)
    if kernel.ndim != n + 2 or len(shapes[0]) != n + 1:
        raise ShapeError(f"{layer.label}: kernel of shape {kernel.shape} on a value of shape {shapes[0]}")
    strides, dilations = _numbers(layer, "strides", n), _numbers(layer, "dilation_rate", n)
    if max(strides) > 1 and max(dilations) > 1:
        raise UnsupportedLayerError(
            f"{layer.label} has strides and dilations, which not all backends of Keras run; export to ONNX",
            layer=layer.name,
        )
    inputs = [t.channels_first(x[0], n + 1), t.g.constant(np.moveaxis(kernel, (-1, -2), (0, 1)))]
    value = t.g.add("ConvTranspose", inputs, name=layer.name, strides=strides, dilations=dilations)
    before, after, sizes = [], [], []
    for size, s, k, d in zip(shapes[0], strides, kernel.shape, dilations):
        reach = (k - 1) * d + 1
        full = (size - 1) * s + reach
        sizes.append(size * s if pad == "SAME_UPPER" else full + max(0, s - reach))
        before.append(-(max(0, full - sizes[-1]) // 2))
        after.append(sizes[-1] - full - before[-1])
    if any(before) or any(after):
        pads = np.array([0, 0, *before, 0, 0, *after], dtype=np.int64)
        value = t.g.add("Pad", [value, t.g.constant(pads)])
    if use_bias:
        value = t.g.add("Add", [value, t.g.constant(found["bias"].reshape(-1, *[1] * n))])
    return t.channels_last(value, n + 1), (*sizes, kernel.shape[-2])


def _axes(layer: Any, shape: tuple[int, ...]) -> int:
    """Axes of a pooling, which its name says."""
    n = next(k for k in (1, 2, 3) if layer.kind.endswith(f"{k}D"))
    if len(shape) != n + 1:
        raise ShapeError(f"{layer.label}: a value of shape {shape}; expected {n} axes and channels")
    return n


def _pool(op: str) -> Callable[..., _Made]:
    def call(t: _Translation, layer: Any, x: list[str], shapes: list[tuple[int, ...]]) -> _Made:
        n = _axes(layer, shapes[0])
        kernel, pad = _numbers(layer, "pool_size", n), _pad(layer)
        strides = kernel if layer.config.get("strides") is None else _numbers(layer, "strides", n)
        pads = _explicit(pad, shapes[0], kernel, strides, [1] * n)
        wide = any(k > 2 and pads[axis] + pads[n + axis] for axis, k in enumerate(kernel))
        if (
            op == "AveragePool" and pads[:n] != pads[n:] and wide
        ):  # one of them repeats values, the others leave them out
            raise UnsupportedLayerError(
                f"{layer.label} pads by 'same' more behind than before, which the backends of Keras average differently; "
                "pad with ZeroPadding and padding='valid'",
                layer=layer.name,
            )
        value = t.g.add(
            op, [t.channels_first(x[0], n + 1)], name=layer.name, kernel_shape=kernel, strides=strides, pads=pads
        )
        sizes = _window_sizes(pad, shapes[0][:-1], kernel, strides, [1] * n)
        return t.channels_last(value, n + 1), (*sizes, shapes[0][-1])

    return call


def _global_pool(op: str) -> Callable[..., _Made]:
    def call(t: _Translation, layer: Any, x: list[str], shapes: list[tuple[int, ...]]) -> _Made:
        n = _axes(layer, shapes[0])
        value = t.g.add(op, [t.channels_first(x[0], n + 1)], name=layer.name)
        shape = (*[1] * n, shapes[0][-1]) if layer.config.get("keepdims") else (shapes[0][-1],)
        return t.g.reshape(value, (1, *shape)), shape

    return call


def _batch_norm(t: _Translation, layer: Any, x: list[str], shapes: list[tuple[int, ...]]) -> _Made:
    config, rank = layer.config, len(shapes[0])
    axis = config.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if axis not in (-1, rank):
        raise UnsupportedLayerError(
            f"{layer.label} normalises axis {axis}; supported is the last one", layer=layer.name
        )
    names = [n for n, key in (("gamma", "scale"), ("beta", "center")) if config.get(key, True)]
    found = t.arrays(layer, [*names, "moving_mean", "moving_variance"])
    mean, variance = found["moving_mean"], found["moving_variance"]
    epsilon = config.get("epsilon", 1e-3)
    if not isinstance(epsilon, int | float):
        raise FileFormatError(f"{layer.label}: epsilon is {epsilon!r}; expected a number")
    parts = [found.get("gamma", np.ones_like(mean)), found.get("beta", np.zeros_like(mean)), mean, variance]
    inputs = [t.channels_first(x[0], rank), *(t.g.constant(v) for v in parts)]
    value = t.g.add("BatchNormalization", inputs, name=layer.name, epsilon=float(epsilon))
    return t.channels_last(value, rank), shapes[0]


def _rescaling(t: _Translation, layer: Any, x: list[str], shapes: list[tuple[int, ...]]) -> _Made:
    scale, offset = (layer.config.get(k, d) for k, d in (("scale", 1.0), ("offset", 0.0)))
    if not all(isinstance(v, int | float) and math.isfinite(v) for v in (scale, offset)):
        raise UnsupportedLayerError(
            f"{layer.label} by {scale!r} and {offset!r}; expected two numbers", layer=layer.name
        )
    value = t.g.add("Mul", [x[0], t.g.constant(np.float32(scale))], name=layer.name)
    return t.g.add("Add", [value, t.g.constant(np.float32(offset))], name=layer.name), shapes[0]


def _relu(t: _Translation, layer: Any, x: list[str], shapes: list[tuple[int, ...]]) -> _Made:
    config = layer.config
    slope, top, threshold = (config.get(k) or 0.0 for k in ("negative_slope", "max_value", "threshold"))
    if not all(isinstance(v, int | float) and math.isfinite(v) for v in (slope, top, threshold)) or threshold:
        raise UnsupportedLayerError(f"{layer.label} with threshold {threshold!r} is not supported", layer=layer.name)
    if config.get("max_value") is not None:
        if slope or top < 0:
            raise UnsupportedLayerError(f"{layer.label} with a slope and a limit is not supported", layer=layer.name)
        return t._clip(x[0], 0.0, float(top), layer.name), shapes[0]
    if slope:
        return t.g.add("LeakyRelu", [x[0]], name=layer.name, alpha=float(slope)), shapes[0]
    return t.g.add("Relu", [x[0]], name=layer.name), shapes[0]


def _leaky(t: _Translation, layer: Any, x: list[str], shapes: list[tuple[int, ...]]) -> _Made:
    alpha = layer.config.get("negative_slope", layer.config.get("alpha", 0.3))
    if isinstance(alpha, dict):
        alpha = alpha.get("config", {}).get("value")
    if not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise FileFormatError(f"{layer.label}: the slope is {alpha!r}; expected a number")
    return t.g.add("LeakyRelu", [x[0]], name=layer.name, alpha=float(alpha)), shapes[0]


def _prelu(t: _Translation, layer: Any, x: list[str], shapes: list[tuple[int, ...]]) -> _Made:
    return t.g.add("PRelu", [x[0], t.g.constant(t.arrays(layer, ["alpha"])["alpha"])], name=layer.name), shapes[0]


def _joined(op: str) -> Callable[..., _Made]:
    def call(t: _Translation, layer: Any, x: list[str], shapes: list[tuple[int, ...]]) -> _Made:
        shape = np.broadcast_shapes(*shapes)
        return t.g.add(op, x, name=layer.name), tuple(int(n) for n in shape)

    return call


def _concatenated(t: _Translation, layer: Any, x: list[str], shapes: list[tuple[int, ...]]) -> _Made:
    axis, rank = layer.config.get("axis", -1), len(shapes[0])
    if not isinstance(axis, int) or axis == 0 or not -rank <= axis <= rank:
        raise UnsupportedLayerError(
            f"{layer.label} along axis {axis!r} of a value of shape {shapes[0]}", layer=layer.name
        )
    place = axis - 1 if axis > 0 else axis + rank
    shape = list(shapes[0])
    shape[place] = sum(s[place] for s in shapes)
    return t.g.add("Concat", x, name=layer.name, axis=place + 1), tuple(shape)


def _flat(t: _Translation, layer: Any, x: list[str], shapes: list[tuple[int, ...]]) -> _Made:
    size = math.prod(shapes[0])
    return t.g.reshape(x[0], (1, size), name=layer.name), (size,)


def _reshape(t: _Translation, layer: Any, x: list[str], shapes: list[tuple[int, ...]]) -> _Made:
    target = layer.config.get("target_shape")
    if not isinstance(target, list) or not all(isinstance(n, int) for n in target) or target.count(-1) > 1:
        raise FileFormatError(f"{layer.label}: target_shape is {target!r}; expected integers")
    size, rest = math.prod(shapes[0]), math.prod(n for n in target if n != -1)
    shape = tuple(size // rest if n == -1 and rest else n for n in target)
    if math.prod(shape) != size:
        raise ShapeError(f"{layer.label}: a value of shape {shapes[0]} does not fit {target}")
    return t.g.reshape(x[0], (1, *shape), name=layer.name), shape


def _permute(t: _Translation, layer: Any, x: list[str], shapes: list[tuple[int, ...]]) -> _Made:
    dims = layer.config.get("dims")
    if not isinstance(dims, list) or sorted(map(str, dims)) != sorted(str(k + 1) for k in range(len(shapes[0]))):
        raise FileFormatError(f"{layer.label}: dims is {dims!r} for a value of shape {shapes[0]}")
    return t.g.transpose(x[0], [0, *dims]), tuple(shapes[0][d - 1] for d in dims)


def _sides(layer: Any, key: str, n: int) -> list[list[int]]:
    """Numbers before and behind each axis."""
    padding = layer.config.get(key, 1)
    pairs = padding if isinstance(padding, list) else [padding] * n
    if n == 1 and len(pairs) == 2 and all(isinstance(p, int) for p in pairs):
        pairs = [pairs]
    sides = [list(p) if isinstance(p, list) else [p, p] for p in pairs]
    if len(sides) != n or not all(
        len(p) == 2 and all(isinstance(v, int) and 0 <= v < 1 << 16 for v in p) for p in sides
    ):
        raise FileFormatError(f"{layer.label}: {key} is {padding!r}; expected numbers for {n} axes")
    return sides


def _zero_padding(t: _Translation, layer: Any, x: list[str], shapes: list[tuple[int, ...]]) -> _Made:
    sides = _sides(layer, "padding", len(shapes[0]) - 1)
    widths = np.array([0, *(p[0] for p in sides), 0, 0, *(p[1] for p in sides), 0], dtype=np.int64)
    value = t.g.add("Pad", [x[0], t.g.constant(widths)], name=layer.name)
    return value, (*(m + sum(p) for m, p in zip(shapes[0], sides)), shapes[0][-1])


def _up_sampling(t: _Translation, layer: Any, x: list[str], shapes: list[tuple[int, ...]]) -> _Made:
    n = _axes(layer, shapes[0])
    if layer.config.get("interpolation", "nearest") != "nearest":
        raise UnsupportedLayerError(
            f"{layer.label} interpolates by {layer.config['interpolation']!r}; supported is 'nearest'", layer=layer.name
        )
    factors = _numbers(layer, "size", n, 2)
    index, value = shapes[0], x[0]
    for axis, factor in enumerate(factors):
        places = t.g.constant(np.repeat(np.arange(index[axis]), factor))
        value = t.g.add("Gather", [value, places], name=layer.name, axis=axis + 1)
    return value, (*(m * f for m, f in zip(shapes[0], factors)), shapes[0][-1])


def _cropping(t: _Translation, layer: Any, x: list[str], shapes: list[tuple[int, ...]]) -> _Made:
    sides = _sides(layer, "cropping", len(shapes[0]) - 1)
    value, sizes = x[0], []
    for axis, ((a, b), size) in enumerate(zip(sides, shapes[0])):
        sizes.append(size - a - b)
        value = t.g.add("Gather", [value, t.g.constant(np.arange(a, max(a, size - b)))], name=layer.name, axis=axis + 1)
    return value, (*sizes, shapes[0][-1])


def _repeat_vector(t: _Translation, layer: Any, x: list[str], shapes: list[tuple[int, ...]]) -> _Made:
    count = _numbers(layer, "n", 1)[0]
    value = t.g.reshape(x[0], (1, 1, *shapes[0]))
    shape = (count, *shapes[0])
    return t.g.add("Expand", [value, t.g.constant(np.array([1, *shape]))], name=layer.name), shape


def _identity(t: _Translation, layer: Any, x: list[str], shapes: list[tuple[int, ...]]) -> _Made:
    return x[0], shapes[0]


def _softmax(t: _Translation, layer: Any, x: list[str], shapes: list[tuple[int, ...]]) -> _Made:
    axis = layer.config.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if not isinstance(axis, int):
        raise UnsupportedLayerError(f"{layer.label} along the axes {axis!r}; expected the last one", layer=layer.name)
    return t.g.add("Softmax", [x[0]], name=layer.name, axis=axis), shapes[0]


_JOINING = frozenset(["Add", "Subtract", "Average", "Maximum", "Minimum", "Concatenate"])
_ACTIVATED = frozenset(
    [
        "Dense",
        "Conv1D",
        "Conv2D",
        "Conv3D",
        "DepthwiseConv2D",
        "SeparableConv2D",
        "Conv1DTranspose",
        "Conv2DTranspose",
        "Conv3DTranspose",
        "Activation",
    ]
)
_LAYERS: dict[str, Callable[[_Translation, Any, list[str], list[tuple[int, ...]]], _Made]] = {
    "Dense": _dense,
    "Conv1D": _conv,
    "Conv2D": _conv,
    "Conv3D": _conv,
    "DepthwiseConv2D": _depthwise_conv,
    "SeparableConv2D": _separable,
    **{f"Conv{n}DTranspose": _transposed for n in (1, 2, 3)},
    **{f"MaxPooling{n}D": _pool("MaxPool") for n in (1, 2, 3)},
    **{f"AveragePooling{n}D": _pool("AveragePool") for n in (1, 2, 3)},
    **{f"GlobalMaxPooling{n}D": _global_pool("GlobalMaxPool") for n in (1, 2, 3)},
    **{f"GlobalAveragePooling{n}D": _global_pool("GlobalAveragePool") for n in (1, 2, 3)},
    "BatchNormalization": _batch_norm,
    "Rescaling": _rescaling,
    "Activation": _identity,
    "Softmax": _softmax,
    "ReLU": _relu,
    "LeakyReLU": _leaky,
    "PReLU": _prelu,
    "Add": _joined("Sum"),
    "Subtract": _joined("Sub"),
    "Average": _joined("Mean"),
    "Maximum": _joined("Max"),
    "Minimum": _joined("Min"),
    "Concatenate": _concatenated,
    "Flatten": _flat,
    "Reshape": _reshape,
    "Permute": _permute,
    "RepeatVector": _repeat_vector,
    **{f"ZeroPadding{n}D": _zero_padding for n in (1, 2, 3)},
    **{f"Cropping{n}D": _cropping for n in (1, 2, 3)},
    **{f"UpSampling{n}D": _up_sampling for n in (1, 2, 3)},
}
