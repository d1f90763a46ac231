"""Operations of PyTorch in a graph: those that move numbers, and those that compute.

The names are those of ATen, into which every module and function decomposes when it runs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...._typing import Array

if TYPE_CHECKING:
    from .torch_trace import Trace

SUPPORTED = (
    "Linear, Conv, ConvTranspose, BatchNorm, MaxPool, AvgPool and their adaptive forms, ReLU, LeakyReLU, PReLU, ReLU6, Hardtanh, "
    "Hardsigmoid, Softshrink, abs, clamp, maxima and minima, sums and products with constants, sums of branches, einsum and "
    "products with constant matrices, whatever moves values (views, indices, cat, padding, flip, upsampling by nearest), means "
    "and sums over axes, Dropout, and at the end Sigmoid, Softmax, argmax"
)

MOVES = frozenset(
    [
        "_reshape_alias", "_reshape_copy", "_to_copy", "_unsafe_index", "_unsafe_view", "_upsample_nearest_exact1d",
        "_upsample_nearest_exact2d", "_upsample_nearest_exact3d", "as_strided_scatter", "cat", "channel_shuffle", "clone",
        "constant_pad_nd", "contiguous", "copy", "diag_embed", "diagonal_scatter", "expand_copy", "fill", "flip", "gather",
        "im2col", "index", "index_copy", "index_fill", "index_put", "index_select", "masked_fill", "masked_scatter", "narrow_copy",
        "native_channel_shuffle", "permute_copy", "pixel_shuffle", "pixel_unshuffle", "reflection_pad1d",
        "reflection_pad2d", "reflection_pad3d", "repeat", "repeat_interleave", "replication_pad1d", "replication_pad2d",
        "replication_pad3d", "roll", "rot90", "scatter", "select_scatter", "slice_scatter", "split_copy",
        "split_with_sizes_copy", "squeeze_copy", "stack", "take", "take_along_dim", "tril", "triu", "unbind_copy",
        "unfold_copy", "unsafe_chunk", "unsafe_split", "unsafe_split_with_sizes", "unsqueeze_copy", "upsample_nearest1d",
        "upsample_nearest2d", "upsample_nearest3d", "view_copy", "where", "zero",
    ]
)  # fmt: skip
"""Operations whose results are numbers of their operands, or constants; conditions and indices are constant."""


def array(tensor: Any) -> Array:
    """A tensor as numpy; bfloat16 widened."""
    value = tensor.detach().cpu() if hasattr(tensor, "detach") else tensor
    if str(getattr(value, "dtype", "")) == "torch.bfloat16":
        value = value.float()
    return np.asarray(value.numpy() if hasattr(value, "numpy") else value)


def _each(value: Any, count: int, default: int = 1) -> list[int]:
    """An option that is one number or one for each axis."""
    values = list(value) if isinstance(value, tuple | list) else [value]
    return [int(v) for v in (values or [default]) * (count if len(values) < 2 else 1)]


def _scaled(t: Trace, value: str, factor: Any) -> str:
    return value if factor in (None, 1) else t.g.add("Mul", [value, t.operand(float(factor))], name=t.label)


def _unary(op: str, **attributes: Any) -> Callable[..., str]:
    return lambda t, a, out: t.g.add(op, [t.operand(a["self"])], name=t.label, **attributes)


def _binary(op: str) -> Callable[..., str]:
    def call(t: Trace, a: dict[str, Any], out: Any) -> str:
        if a.get("rounding_mode") is not None:
            raise t.refusal(f"divides with rounding_mode={a['rounding_mode']!r}; not piecewise linear")
        right = _scaled(t, t.operand(a["other"]), a.get("alpha"))
        return t.g.add(op, [t.operand(a["self"]), right], name=t.label)

    return call


def _reversed_sub(t: Trace, a: dict[str, Any], out: Any) -> str:
    return t.g.add("Sub", [t.operand(a["other"]), _scaled(t, t.operand(a["self"]), a["alpha"])], name=t.label)


def _addcmul(t: Trace, a: dict[str, Any], out: Any) -> str:
    product = t.g.add("Mul", [t.operand(a["tensor1"]), t.operand(a["tensor2"])], name=t.label)
    return t.g.add("Add", [t.operand(a["self"]), _scaled(t, product, a["value"])], name=t.label)


# ---- products -------------------------------------------------------------------------------
def _product(t: Trace, a: dict[str, Any], out: Any) -> str:
    """``beta * self + alpha * left @ right``, of which the first may be left out."""
    left, right = (a[k] for k in a["factors"])
    added = a.get("self") if "self" not in a["factors"] else None
    beta, alpha = (1 if a.get(k) is None else a[k] for k in ("beta", "alpha"))
    if left.dim() == 3:  # a stack of matrices: one by one
        each = [t.g.add("MatMul", [t.operand(x), t.operand(y)], name=t.label) for x, y in zip(left, right)]
        parts = [t.g.reshape(v, (1, *out.shape[1:])) for v in each]
        made = parts[0] if len(parts) == 1 else t.g.add("Concat", parts, axis=0)
    elif left.dim() == 2 and right.dim() == 2 and added is not None and alpha == beta == 1:
        return t.g.add("Gemm", [t.operand(left), t.operand(right), t.operand(added)], name=t.label)
    else:
        made = t.g.add("MatMul", [t.operand(left), t.operand(right)], name=t.label)
    made = _scaled(t, made, alpha)
    if added is None or beta == 0:
        return made
    return t.g.add("Add", [made, _scaled(t, t.operand(added), beta)], name=t.label)


def _factors(left: str, right: str) -> Callable[..., str]:
    return lambda t, a, out: _product(t, {**a, "factors": (left, right)}, out)


def _linear(t: Trace, a: dict[str, Any], out: Any) -> str:
    made = t.g.add("MatMul", [t.operand(a["input"]), t.operand(a["weight"].mT)], name=t.label)
    return made if a.get("bias") is None else t.g.add("Add", [made, t.operand(a["bias"])], name=t.label)


# ---- images ---------------------------------------------------------------------------------
def _apart(t: Trace, x: Any, axes: int, call: Callable[[str], str]) -> str:
    """Row by row of a batch; a batch axis is added where there is none."""
    x = x if x.dim() == axes + 2 else x.unsqueeze(0)
    parts = [call(t.operand(x[i : i + 1])) for i in range(len(x))]
    return parts[0] if len(parts) == 1 else t.g.add("Concat", parts, axis=0)


def _convolution(t: Trace, a: dict[str, Any], out: Any) -> str:
    n = len(a["weight"].shape) - 2
    inputs = [t.operand(a["weight"]), *([] if a["bias"] is None else [t.operand(a["bias"])])]
    options: dict[str, Any] = {
        "strides": _each(a["stride"], n),
        "dilations": _each(a["dilation"], n),
        "group": int(a["groups"]),
        "pads": _each(a["padding"], n, 0) * 2,
        "name": t.label,
    }
    op = "Conv"
    if a["transposed"]:
        op, options["output_padding"] = "ConvTranspose", _each(a["output_padding"], n, 0)
    return _apart(t, a["input"], n, lambda x: t.g.add(op, [x, *inputs], **options))


def _batch_norm(t: Trace, a: dict[str, Any], out: Any) -> str:
    if a.get("training") or a["running_mean"] is None:
        raise t.refusal("has no running statistics: it normalises by the input")
    mean, variance = a["running_mean"], a["running_var"]
    parts = [
        mean.new_ones(mean.shape) if a["weight"] is None else a["weight"],
        mean.new_zeros(mean.shape) if a["bias"] is None else a["bias"],
        mean,
        variance,
    ]
    x = a.get("input", a.get("self"))
    return t.g.add("BatchNormalization", [t.operand(x), *map(t.operand, parts)], name=t.label, epsilon=float(a["eps"]))


def _max_pool(n: int) -> Callable[..., list[str]]:
    def call(t: Trace, a: dict[str, Any], out: Any) -> list[str]:
        kernel = _each(a["kernel_size"], n)
        options: dict[str, Any] = {
            "kernel_shape": kernel,
            "strides": _each(a["stride"], n) if a["stride"] else kernel,
            "pads": _each(a["padding"], n, 0) * 2,
            "dilations": _each(a["dilation"], n),
            "ceil_mode": int(bool(a["ceil_mode"])),
            "name": t.label,
        }
        return [_apart(t, a["self"], n, lambda x: t.g.add("MaxPool", [x], **options))]

    return call


def _windows(t: Trace, x: Any, axes: Sequence[list[range]], op: str, divisors: Array | None = None) -> str:
    """Means or maxima over boxes of places, given by ranges along the last axes; windows of one size at a time."""
    n = len(axes)
    places = np.arange(math.prod(x.shape[-n:])).reshape(x.shape[-n:])
    boxes = [places[np.ix_(*box)].ravel() for box in itertools.product(*axes)]
    lead = math.prod(x.shape[:-n])
    flat = x.reshape(lead, -1)
    value = t.operand(x)
    value = t.g.reshape(value, (lead, flat.shape[1]))
    below = np.array([len(b) for b in boxes]) if divisors is None else divisors
    kinds = sorted({(len(b), int(d)) for b, d in zip(boxes, below)})
    parts, order = [], []
    for size, divisor in kinds:
        which = [k for k, (b, d) in enumerate(zip(boxes, below)) if (len(b), int(d)) == (size, divisor)]
        order += which
        index = t.g.constant(np.stack([boxes[k] for k in which]))
        taken = t.g.add("Gather", [value, index], axis=1)  # (lead, windows, size)
        if op == "ReduceMean" and divisor != size:
            made = t.g.add("ReduceSum", [taken, t.g.constant(np.array([2]))], name=t.label, keepdims=0)
            made = t.g.add("Div", [made, t.operand(float(divisor))], name=t.label)
        else:
            made = t.g.add(op, [taken], name=t.label, axes=[2], keepdims=0)
        parts.append(made)
    whole = parts[0] if len(parts) == 1 else t.g.add("Concat", parts, axis=1)
    if order != sorted(order):
        whole = t.g.add("Gather", [whole, t.g.constant(np.argsort(order))], axis=1)
    return whole


def _average_pool(n: int) -> Callable[..., str]:
    def call(t: Trace, a: dict[str, Any], out: Any) -> str:
        x, sizes = a["self"], out.shape[-n:]
        kernel = _each(a["kernel_size"], n)
        strides = _each(a["stride"], n) if a["stride"] else kernel
        pads = _each(a["padding"], n, 0)
        inside, spans = [], []
        for size, k, s, p, m in zip(x.shape[-n:], kernel, strides, pads, sizes):
            ends = [(i * s - p, min(i * s - p + k, size + p)) for i in range(m)]
            inside.append([range(max(0, b), min(size, e)) for b, e in ends])
            spans.append([e - b if a["count_include_pad"] else min(size, e) - max(0, b) for b, e in ends])
        divisors = np.array([math.prod(c) for c in itertools.product(*spans)])
        if a.get("divisor_override"):
            divisors[:] = int(a["divisor_override"])
        return _windows(t, x, inside, "ReduceMean", divisors)

    return call


def _adaptive(n: int, op: str) -> Callable[..., list[str]]:
    def call(t: Trace, a: dict[str, Any], out: Any) -> list[str]:
        pairs = list(zip(a["self"].shape[-n:], out.shape[-n:]))
        ranges = [[range(i * size // m, -(-(i + 1) * size // m)) for i in range(m)] for size, m in pairs]
        return [_windows(t, a["self"], ranges, op)]

    return call


# ---- units ----------------------------------------------------------------------------------
def _leaky(t: Trace, x: Any, slope: float) -> str:
    if float(np.float32(slope)) == slope or str(x.dtype) != "torch.float64":
        return t.g.add("LeakyRelu", [t.operand(x)], name=t.label, alpha=slope)
    return t.g.add("PRelu", [t.operand(x), t.operand(slope)], name=t.label)


def _rrelu(t: Trace, a: dict[str, Any], out: Any) -> str:
    if a["training"]:
        raise t.refusal("computes with random numbers")
    return _leaky(t, a["self"], (float(a["lower"]) + float(a["upper"])) / 2)


def _clip(t: Trace, x: str, low: Any, high: Any) -> str:
    limits = ["" if v is None else t.operand(np.float64(v).item()) for v in (low, high)]
    return t.g.add("Clip", [x, *limits], name=t.label)


def _clamp(t: Trace, a: dict[str, Any], out: Any) -> str:
    low, high, x = a.get("min"), a.get("max"), t.operand(a["self"])
    if all(v is None or isinstance(v, int | float) for v in (low, high)):
        return _clip(t, x, low, high)
    for op, limit in (("Max", low), ("Min", high)):
        x = x if limit is None else t.g.add(op, [x, t.operand(limit)], name=t.label)
    return x


def _hard_sigmoid(t: Trace, a: dict[str, Any], out: Any) -> str:
    shifted = t.g.add("Add", [t.operand(a["self"]), t.operand(3.0)], name=t.label)
    return t.g.add("Div", [_clip(t, shifted, 0.0, 6.0), t.operand(6.0)], name=t.label)


def _threshold(t: Trace, a: dict[str, Any], out: Any) -> str:
    if float(a["threshold"]) != float(a["value"]):
        raise t.refusal(f"jumps at its threshold {a['threshold']} to {a['value']}: not continuous")
    return t.g.add("Max", [t.operand(a["self"]), t.operand(float(a["value"]))], name=t.label)


def _soft_shrink(t: Trace, a: dict[str, Any], out: Any) -> str:
    x, width = t.operand(a["self"]), float(a["lambd"])
    return t.g.add("Sub", [x, _clip(t, x, -width, width)], name=t.label)


# ---- over axes ------------------------------------------------------------------------------
def _dims(a: dict[str, Any], rank: int) -> list[int]:
    dims = a.get("dim")
    dims = list(range(rank)) if dims is None or dims == [] else dims if isinstance(dims, tuple | list) else [dims]
    return [int(d) % max(1, rank) for d in dims]


def _reduce(op: str) -> Callable[..., str | list[str]]:
    def call(t: Trace, a: dict[str, Any], out: Any) -> list[str]:
        rank = a["self"].dim()
        if rank == 0:
            return [t.operand(a["self"])]
        axes, keep = _dims(a, rank), int(bool(a.get("keepdim")))
        if op == "ReduceSum":
            inputs = [t.operand(a["self"]), t.g.constant(np.array(axes, dtype=np.int64))]
            return [t.g.add(op, inputs, name=t.label, keepdims=keep)]
        return [t.g.add(op, [t.operand(a["self"])], name=t.label, axes=axes, keepdims=keep)]

    return call


def _cumsum(t: Trace, a: dict[str, Any], out: Any) -> str:
    dim = int(a["dim"])
    axis = t.g.constant(np.int64(dim))
    return t.g.add("CumSum", [t.operand(a["self"]), axis], name=t.label)


def _compared(op: str) -> Callable[..., str]:
    return lambda t, a, out: t.g.add(op, [t.operand(a["self"])], name=t.label, axis=int(a["dim"]))


def _argmax(t: Trace, a: dict[str, Any], out: Any) -> str:
    x, dim = a["self"], a.get("dim")
    value = t.operand(x) if dim is not None else t.g.reshape(t.operand(x), (1, x.numel()))
    return t.g.add("ArgMax", [value], name=t.label, axis=1 if dim is None else int(dim), keepdims=int(a["keepdim"]))


CALLS: dict[str, Callable[..., str | list[str]]] = {
    "add": _binary("Add"),
    "sub": _binary("Sub"),
    "rsub": _reversed_sub,
    "mul": _binary("Mul"),
    "div": _binary("Div"),
    "addcmul": _addcmul,
    "neg": _unary("Neg"),
    "abs": _unary("Abs"),
    "mm": _factors("self", "mat2"),
    "bmm": _factors("self", "mat2"),
    "mv": _factors("self", "vec"),
    "dot": _factors("self", "tensor"),
    "addmm": _factors("mat1", "mat2"),
    "addmv": _factors("mat", "vec"),
    "baddbmm": _factors("batch1", "batch2"),
    "linear": _linear,
    "convolution": _convolution,
    "native_batch_norm": _batch_norm,
    "_native_batch_norm_legit": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "cudnn_batch_norm": _batch_norm,
    "max_pool2d_with_indices": _max_pool(2),
    "max_pool3d_with_indices": _max_pool(3),
    **{f"avg_pool{n}d": _average_pool(n) for n in (1, 2, 3)},
    **{f"{p}adaptive_avg_pool{n}d": _adaptive(n, "ReduceMean") for n in (1, 2, 3) for p in ("", "_")},
    **{f"adaptive_max_pool{n}d": _adaptive(n, "ReduceMax") for n in (1, 2, 3)},
    "relu": _unary("Relu"),
    "leaky_relu": lambda t, a, out: _leaky(t, a["self"], float(a["negative_slope"])),
    "rrelu_with_noise": _rrelu,
    "_prelu_kernel": lambda t, a, out: t.g.add("PRelu", [t.operand(a["self"]), t.operand(a["weight"])], name=t.label),
    "hardtanh": lambda t, a, out: _clip(t, t.operand(a["self"]), a["min_val"], a["max_val"]),
    "relu6": lambda t, a, out: _clip(t, t.operand(a["self"]), 0.0, 6.0),
    "clamp": _clamp,
    "clip": _clamp,
    "clamp_min": _clamp,
    "clamp_max": _clamp,
    "hardsigmoid": _hard_sigmoid,
    "threshold": _threshold,
    "softshrink": _soft_shrink,
    "maximum": _binary("Max"),
    "minimum": _binary("Min"),
    "fmax": _binary("Max"),
    "fmin": _binary("Min"),
    "amax": _reduce("ReduceMax"),
    "amin": _reduce("ReduceMin"),
    "max": _reduce("ReduceMax"),
    "min": _reduce("ReduceMin"),
    "mean": _reduce("ReduceMean"),
    "sum": _reduce("ReduceSum"),
    "cumsum": _cumsum,
    "sigmoid": _unary("Sigmoid"),
    "_softmax": _compared("Softmax"),
    "_log_softmax": _compared("LogSoftmax"),
    "argmax": _argmax,
}
