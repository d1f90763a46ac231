"""Modules of PyTorch as graphs, by ``torch.fx``.

The forward is traced symbolically, then run once on zeros, which tells the shape of every value, what sizes its arithmetic
on shapes gives, and which values are views of each other. The network is then compared with the module at random inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...._typing import Array
from ....errors import InputError, MissingDependencyError, UnsupportedLayerError
from ...model import ReLUNetwork
from ...piecewise import PiecewiseLinearNetwork
from .builder import GraphBuilder
from .torch_checks import changes_in_place, check_run, evaluated, refuse_dropout, refuse_hooks, renewed

SUPPORTED = (
    "Linear, Conv, ConvTranspose, BatchNorm, MaxPool, AvgPool and their adaptive forms, ReLU, LeakyReLU, PReLU, ReLU6, Hardtanh, "
    "Hardsigmoid, Abs, maxima and minima, sums and products with constants, sums of branches, cat, chunk, split, reshaping, "
    "permutations, padding by constants, PixelShuffle, means and sums over axes, Dropout, Identity, and at the end Sigmoid, Softmax"
)


def network_of(module: Any, input_shape: Sequence[int], source: dict[str, Any]) -> ReLUNetwork | PiecewiseLinearNetwork:
    """The network of any module that ``torch.fx`` traces.

    Parameters
    ----------
    module : torch.nn.Module
    input_shape : sequence of int
        Of one input, batch left out.
    source : dict
        Goes into ``net.source``.
    """
    try:
        import torch
        from torch import fx
    except ImportError:
        raise MissingDependencyError("torch", extra="torch", purpose="tracing a module") from None
    name = type(module).__name__
    refuse_hooks(module)
    first = next(iter(module.parameters()), None)
    where = {} if first is None else {"dtype": first.dtype, "device": first.device}
    values: dict[Any, Any] = {}

    class Recorder(fx.Interpreter):
        def run_node(self, n: Any) -> Any:
            values[n] = super().run_node(n)
            return values[n]

    try:
        with evaluated(module), torch.no_grad():
            traced = fx.symbolic_trace(module)
            Recorder(traced).run(torch.zeros((1, *input_shape), **where))
    except Exception as error:
        raise InputError(
            f"the forward of {name} cannot be traced on an input of shape {tuple(input_shape)} ({str(error)[:200]}); "
            "check input_shape, or export the module to ONNX and use read_network"
        ) from None
    network = _Translation(traced, values, input_shape).network(source)
    check_run(module, network, input_shape)
    return network


def array(tensor: Any) -> Array:
    """A tensor as numpy; bfloat16 widened."""
    value = tensor.detach().cpu() if hasattr(tensor, "detach") else tensor
    if str(getattr(value, "dtype", "")) == "torch.bfloat16":
        value = value.float()
    return np.asarray(value.numpy() if hasattr(value, "numpy") else value)


class _Translation:
    def __init__(self, traced: Any, values: dict[Any, Any], input_shape: Sequence[int]) -> None:
        self.graph, self.values = traced.graph, values
        self.modules = dict(traced.named_modules())
        self.g = GraphBuilder(input_shape)
        self.made: dict[Any, Any] = {}  # node -> name of a value, or a list of names
        self.order = {node: k for k, node in enumerate(self.graph.nodes)}
        self.seen_input = False

    def network(self, source: dict[str, Any]) -> ReLUNetwork | PiecewiseLinearNetwork:
        for node in self.graph.nodes:
            if node.op == "output":
                found = node.args[0]
                outputs = list(found) if isinstance(found, tuple | list) else [found]
                names = [self.made.get(o) for o in outputs]
                if not names or not all(isinstance(n, str) for n in names):
                    raise UnsupportedLayerError("an output of the forward does not depend on the input")
                return self.g.network([str(n) for n in names], source)
            self._node(node)
        raise UnsupportedLayerError("the forward returns nothing")

    def _node(self, node: Any) -> None:
        if node.op == "placeholder":
            if self.seen_input:
                raise UnsupportedLayerError("forward takes several inputs; expected one")
            self.seen_input = True
            self.made[node] = self.g.input
            return
        signal = any(a in self.made for a in node.all_input_nodes)
        called = (
            str(node.target)
            if node.op in ("call_method", "call_module")
            else getattr(node.target, "__name__", str(node.target))
        )
        calls = node.op.startswith("call_")
        written = node.args[0] if calls and changes_in_place(node, called, self.modules) and node.args else None
        if written is not None and written not in self.made:
            raise UnsupportedLayerError(
                f"{node.name}: {called} changes a constant in place; not supported", node=node.name
            )
        if node.op == "get_attr" or not signal or not self._is_tensor(self.values[node]):
            return  # a constant, or arithmetic on shapes: its value is known
        refuse_dropout(node, called)
        self.made[node] = self._made(node, called)
        if written is not None:
            for other, same in renewed(node, written, self.values, self.order):
                self.made[other] = self.made[node] if same else self.g.reshape(self.made[node], self.shape(other))

    def _made(self, node: Any, called: str) -> Any:
        if node.op == "call_module":
            module = self.modules[str(node.target)]
            kind = type(module).__name__
            call = _MODULES.get(kind)
            if call is None:
                raise UnsupportedLayerError(
                    f"{node.target} is a {kind}; supported: {SUPPORTED}", layer=str(node.target), kind=kind
                )
            return call(self, node, module, self.operand(self.first(node)))
        function = _FUNCTIONS.get(called.removesuffix("_") if not called.startswith("_") else called)
        if function is None:
            raise UnsupportedLayerError(
                f"{node.name}: {called} is not supported in a forward; supported: {SUPPORTED}", node=node.name
            )
        return function(self, node)

    @staticmethod
    def _is_tensor(value: Any) -> bool:
        return hasattr(value, "detach") or (
            isinstance(value, tuple | list) and bool(value) and all(hasattr(v, "detach") for v in value)
        )

    # ---- arguments --------------------------------------------------------------------------
    def value(self, a: Any) -> Any:
        """What an argument is, if it does not depend on the input's values."""
        if isinstance(a, tuple | list):
            return type(a)(self.value(x) for x in a)
        if hasattr(a, "op"):
            if a in self.made:
                raise UnsupportedLayerError(f"{a.name} depends on the input where a constant is expected")
            return self.values[a]
        return a

    def argument(self, node: Any, place: int, name: str, default: Any = None) -> Any:
        """An option of a call, by place or by name."""
        if name in node.kwargs:
            return self.value(node.kwargs[name])
        return self.value(node.args[place]) if len(node.args) > place else default

    def operand(self, a: Any) -> str:
        """Name of a value that may be a signal or a constant."""
        if hasattr(a, "op") and a in self.made:
            return str(self.made[a])
        constant = array(self.value(a))
        if constant.dtype.kind in "iub":
            constant = constant.astype(np.float32)
        elif not hasattr(self.value(a), "detach"):  # a Python number
            exact = constant.astype(np.float32)
            constant = exact if exact == constant else constant.astype(np.float64)
        return self.g.constant(constant)

    def shape(self, node: Any) -> tuple[int, ...]:
        return tuple(int(n) for n in self.values[node].shape)

    def first(self, node: Any) -> Any:
        return node.args[0] if node.args else node.kwargs["input"]


# ---- modules --------------------------------------------------------------------------------
def _each(value: Any, count: int) -> list[int]:
    """An option that is one number or one for each axis."""
    return [int(v) for v in value] if isinstance(value, tuple | list) else [int(value)] * count


def _linear(t: _Translation, node: Any, m: Any, x: str) -> str:
    return _affine(t, node, x, array(m.weight), None if m.bias is None else array(m.bias))


def _affine(t: _Translation, node: Any, x: str, weight: Array, bias: Array | None) -> str:
    if len(t.shape(node)) == 2:
        inputs = [x, t.g.constant(weight), *([] if bias is None else [t.g.constant(bias)])]
        return t.g.add("Gemm", inputs, name=node.name, transB=1)
    product = t.g.add("MatMul", [x, t.g.constant(weight.T)], name=node.name)
    return product if bias is None else t.g.add("Add", [product, t.g.constant(bias)], name=node.name)


def _conv(t: _Translation, node: Any, m: Any, x: str) -> str:
    n = len(m.kernel_size)
    if m.padding_mode != "zeros":
        raise UnsupportedLayerError(f"{node.target} pads by {m.padding_mode!r}; supported is 'zeros'", layer=node.name)
    dilations = _each(m.dilation, n)
    if m.padding == "same":
        total = [d * (k - 1) for d, k in zip(dilations, m.kernel_size)]
        pads = [v // 2 for v in total] + [v - v // 2 for v in total]
    else:
        pads = [0] * (2 * n) if m.padding == "valid" else _each(m.padding, n) * 2
    inputs = [x, t.g.constant(array(m.weight)), *([] if m.bias is None else [t.g.constant(array(m.bias))])]
    options = {
        "strides": _each(m.stride, n),
        "dilations": dilations,
        "group": m.groups,
        "pads": pads,
        "name": node.name,
    }
    if type(m).__name__.startswith("ConvTranspose"):
        return t.g.add("ConvTranspose", inputs, output_padding=_each(m.output_padding, n), **options)
    return t.g.add("Conv", inputs, **options)


def _batch_norm(t: _Translation, node: Any, m: Any, x: str) -> str:
    if m.running_mean is None:
        raise UnsupportedLayerError(f"{node.target} has no running statistics: it depends on the batch")
    mean, variance = array(m.running_mean), array(m.running_var)
    scale = np.ones_like(mean) if m.weight is None else array(m.weight)
    shift = np.zeros_like(mean) if m.bias is None else array(m.bias)
    inputs = [x, *(t.g.constant(v) for v in (scale, shift, mean, variance))]
    return t.g.add("BatchNormalization", inputs, name=node.name, epsilon=float(m.eps))


def _pool(t: _Translation, node: Any, m: Any, x: str) -> str:
    return _pooled(t, node, x, type(m).__name__.startswith("Max"), vars(m))


def _pooled(t: _Translation, node: Any, x: str, largest: bool, o: dict[str, Any]) -> str:
    n = len(t.shape(node)) - 2
    kernel = _each(o["kernel_size"], n)
    stride = o.get("stride")
    options: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": kernel if stride in (None, [], ()) else _each(stride, n),
        "pads": _each(o.get("padding") or 0, n) * 2,
        "ceil_mode": int(bool(o.get("ceil_mode"))),
        "name": node.name,
    }
    if o.get("return_indices") or o.get("divisor_override"):
        raise UnsupportedLayerError(f"{node.name}: a pooling with indices or another divisor is not supported")
    if largest:
        return t.g.add("MaxPool", [x], dilations=_each(o.get("dilation") or 1, n), **options)
    include = o.get("count_include_pad")
    return t.g.add("AveragePool", [x], count_include_pad=int(include is None or bool(include)), **options)


def _adaptive(t: _Translation, node: Any, x: str, largest: bool) -> str:
    before, after = t.shape(t.first(node))[2:], t.shape(node)[2:]
    if any(b % a for b, a in zip(before, after)):
        raise UnsupportedLayerError(f"{node.name}: windows of different sizes, from {before} to {after}")
    sizes = [b // a for b, a in zip(before, after)]
    op = "MaxPool" if largest else "AveragePool"
    return t.g.add(op, [x], kernel_shape=sizes, strides=sizes, name=node.name)


def _prelu(t: _Translation, node: Any, m: Any, x: str) -> str:
    slope = array(m.weight)
    rank = len(t.shape(node))
    return t.g.add("PRelu", [x, t.g.constant(slope.reshape(-1, *[1] * max(0, rank - 2)))], name=node.name)


def _clip(t: _Translation, node: Any, x: str, low: Any, high: Any) -> str:
    limits = [
        "" if v is None else t.g.constant(np.float32(v) if float(np.float32(v)) == v else np.float64(v))
        for v in (low, high)
    ]
    return t.g.add("Clip", [x, *limits], name=node.name)


def _reshaped(t: _Translation, node: Any, x: str) -> str:
    return t.g.reshape(x, t.shape(node), name=node.name)


def _padded(t: _Translation, node: Any, x: str, widths: Sequence[int], value: float) -> str:
    rank = len(t.shape(node))
    before, after = [0] * rank, [0] * rank
    for axis, k in enumerate(range(0, len(widths), 2), start=1):  # the last axis first
        before[rank - axis], after[rank - axis] = int(widths[k]), int(widths[k + 1])
    inputs = [x, t.g.constant(np.array(before + after, dtype=np.int64)), t.g.constant(np.float32(value))]
    return t.g.add("Pad", inputs, name=node.name)


def _axis(dim: Any) -> int:
    """The axis that a softmax compares; without one PyTorch takes that of the features."""
    return -1 if dim is None else int(dim)


def _head(op: str) -> Callable[..., str]:
    def call(t: _Translation, node: Any, m: Any, x: str) -> str:
        return t.g.add(op, [x], name=node.name, axis=_axis(getattr(m, "dim", None)))

    return call


def _same(t: _Translation, node: Any, m: Any, x: str) -> str:
    return x


_MODULES: dict[str, Callable[[_Translation, Any, Any, str], str]] = {
    "Linear": _linear,
    **{f"Conv{n}d": _conv for n in (1, 2, 3)},
    **{f"ConvTranspose{n}d": _conv for n in (1, 2, 3)},
    **{f"BatchNorm{n}d": _batch_norm for n in (1, 2, 3)},
    **{f"{kind}Pool{n}d": _pool for n in (1, 2, 3) for kind in ("Max", "Avg")},
    **{f"AdaptiveMaxPool{n}d": lambda t, node, m, x: _adaptive(t, node, x, True) for n in (1, 2, 3)},
    **{f"AdaptiveAvgPool{n}d": lambda t, node, m, x: _adaptive(t, node, x, False) for n in (1, 2, 3)},
    **dict.fromkeys(("Identity", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout"), _same),
    **{name: lambda t, node, m, x: _reshaped(t, node, x) for name in ("Flatten", "Unflatten")},
    **{
        f"{kind}Pad{n}d": lambda t, node, m, x: _padded(t, node, x, m.padding, float(getattr(m, "value", 0.0)))
        for n in (1, 2, 3)
        for kind in ("Constant", "Zero")
    },
    "ReLU": lambda t, node, m, x: t.g.add("Relu", [x], name=node.name),
    "LeakyReLU": lambda t, node, m, x: t.g.add("LeakyRelu", [x], name=node.name, alpha=float(m.negative_slope)),
    "PReLU": _prelu,
    "ReLU6": lambda t, node, m, x: _clip(t, node, x, 0.0, 6.0),
    "Hardtanh": lambda t, node, m, x: _clip(t, node, x, m.min_val, m.max_val),
    "Hardsigmoid": lambda t, node, m, x: t.g.add("HardSigmoid", [x], name=node.name, alpha=1 / 6, beta=0.5),
    "PixelShuffle": lambda t, node, m, x: t.g.add(
        "DepthToSpace", [x], name=node.name, blocksize=int(m.upscale_factor), mode="CRD"
    ),
    "Sigmoid": lambda t, node, m, x: t.g.add("Sigmoid", [x], name=node.name),
    "Softmax": _head("Softmax"),
    "LogSoftmax": _head("LogSoftmax"),
}


# ---- functions and methods ------------------------------------------------------------------
def _unary(op: str, **attributes: Any) -> Callable[[_Translation, Any], str]:
    def call(t: _Translation, node: Any) -> str:
        return t.g.add(op, [t.operand(t.first(node))], name=node.name, **attributes)

    return call


def _compared(op: str) -> Callable[[_Translation, Any], str]:
    def call(t: _Translation, node: Any) -> str:
        return t.g.add(op, [t.operand(t.first(node))], name=node.name, axis=_axis(t.argument(node, 1, "dim")))

    return call


def _binary(op: str) -> Callable[[_Translation, Any], str]:
    def call(t: _Translation, node: Any) -> str:
        if node.kwargs.get("alpha", 1) != 1 or node.kwargs.get("rounding_mode"):
            raise UnsupportedLayerError(f"{node.name}: {node.target} with options is not supported", node=node.name)
        left, right = node.args[0], node.args[1] if len(node.args) > 1 else node.kwargs["other"]
        return t.g.add(op, [t.operand(left), t.operand(right)], name=node.name)

    return call


def _reversed_sub(t: _Translation, node: Any) -> str:
    return t.g.add("Sub", [t.operand(node.args[1]), t.operand(node.args[0])], name=node.name)


def _reduce(op: str) -> Callable[[_Translation, Any], str]:
    def call(t: _Translation, node: Any) -> str:
        source = t.first(node)
        axes = t.argument(node, 1, "dim")
        axes = (
            list(range(len(t.shape(source))))
            if axes is None
            else [int(a) for a in (axes if isinstance(axes, tuple | list) else [axes])]
        )
        keep = int(bool(t.argument(node, 2, "keepdim", False)))
        if op == "ReduceSum":
            inputs = [t.operand(source), t.g.constant(np.array(axes, dtype=np.int64))]
            return t.g.add(op, inputs, name=node.name, keepdims=keep)
        return t.g.add(op, [t.operand(source)], name=node.name, axes=axes, keepdims=keep)

    return call


def _cat(t: _Translation, node: Any) -> str:
    parts = node.args[0] if node.args else node.kwargs["tensors"]
    return t.g.add("Concat", [t.operand(p) for p in parts], name=node.name, axis=int(t.argument(node, 1, "dim", 0)))


def _split(t: _Translation, node: Any) -> list[str]:
    source, found = t.first(node), t.values[node]
    axis = int(t.argument(node, 2, "dim", 0)) % len(t.shape(source))
    sizes = np.array([int(v.shape[axis]) for v in found], dtype=np.int64)
    return t.g.several("Split", [t.operand(source), t.g.constant(sizes)], len(found), name=node.name, axis=axis)


def _getitem(t: _Translation, node: Any) -> str:
    source, index = node.args
    held = t.made[source]
    if isinstance(held, list):
        return str(held[int(t.value(index))])
    value = str(held)
    items = [t.value(i) for i in (index if isinstance(index, tuple) else (index,))]
    rank = len(t.shape(source))
    if Ellipsis in [i for i in items if not hasattr(i, "detach")]:
        at = items.index(Ellipsis)
        items[at : at + 1] = [slice(None)] * (rank - len(items) + 1)
    if not all(isinstance(i, int | slice) for i in items):
        raise UnsupportedLayerError(f"{node.name}: indexing by {index!r} is not supported", node=node.name)
    for axis, item in enumerate(items):
        size = t.shape(source)[axis]
        start, stop, step = item.indices(size) if isinstance(item, slice) else (item % size, item % size + 1, 1)
        if (start, stop, step) != (0, size, 1):
            numbers = [t.g.constant(np.array([v], dtype=np.int64)) for v in (start, stop, axis, step)]
            value = t.g.add("Slice", [value, *numbers], name=node.name)
    return t.g.reshape(value, t.shape(node)) if any(isinstance(i, int) for i in items) else value


def _permute(t: _Translation, node: Any) -> str:
    given = t.value(list(node.args[1:]) or list(node.kwargs.get("dims", ())))
    order = list(given[0]) if given and isinstance(given[0], tuple | list) else given
    return t.g.transpose(t.operand(node.args[0]), [int(i) % len(t.shape(node)) for i in order])


def _swap(t: _Translation, node: Any) -> str:
    rank = len(t.shape(node))
    a, b = (int(t.argument(node, 1 + k, f"dim{k}")) % rank for k in range(2))
    order = list(range(rank))
    order[a], order[b] = order[b], order[a]
    return t.g.transpose(t.operand(t.first(node)), order)


def _f_pool(largest: bool) -> Callable[[_Translation, Any], str]:
    places = (
        "kernel_size",
        "stride",
        "padding",
        "dilation" if largest else "ceil_mode",
        "ceil_mode" if largest else "count_include_pad",
    )

    def call(t: _Translation, node: Any) -> str:
        options = {name: t.argument(node, 1 + k, name) for k, name in enumerate(places)}
        options["return_indices"] = t.value(node.kwargs.get("return_indices"))
        options["divisor_override"] = t.value(node.kwargs.get("divisor_override"))
        return _pooled(t, node, t.operand(t.first(node)), largest, options)

    return call


def _f_linear(t: _Translation, node: Any) -> str:
    bias = t.argument(node, 2, "bias")
    weight = array(t.argument(node, 1, "weight"))
    return _affine(t, node, t.operand(t.first(node)), weight, None if bias is None else array(bias))


def _f_pad(t: _Translation, node: Any) -> str:
    if t.argument(node, 2, "mode", "constant") != "constant":
        raise UnsupportedLayerError(f"{node.name}: pads by other values than a constant", node=node.name)
    value = t.argument(node, 3, "value", 0.0)
    return _padded(t, node, t.operand(t.first(node)), t.argument(node, 1, "pad"), float(value or 0.0))


def _stack(t: _Translation, node: Any) -> str:
    axis = int(t.argument(node, 1, "dim", 0)) % len(t.shape(node))
    shape = list(t.shape(node))
    shape[axis] = 1
    parts = [t.g.reshape(t.operand(p), shape) for p in (node.args[0] if node.args else node.kwargs["tensors"])]
    return t.g.add("Concat", parts, name=node.name, axis=axis)


def _matmul(t: _Translation, node: Any) -> str:
    return t.g.add("MatMul", [t.operand(node.args[0]), t.operand(node.args[1])], name=node.name)


_RESHAPES = ("flatten", "view", "reshape", "squeeze", "unsqueeze", "unflatten")
_IDLE = (
    "contiguous",
    "clone",
    "detach",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "alpha_dropout",
    "to",
    "type_as",
)

_FUNCTIONS: dict[str, Callable[[_Translation, Any], Any]] = {
    **{
        name: lambda t, node: t.g.reshape(t.operand(t.first(node)), t.shape(node), name=node.name) for name in _RESHAPES
    },
    **{name: lambda t, node: t.operand(t.first(node)) for name in _IDLE},
    "relu": _unary("Relu"),
    "abs": _unary("Abs"),
    "neg": _unary("Neg"),
    "sigmoid": _unary("Sigmoid"),
    "softmax": _compared("Softmax"),
    "log_softmax": _compared("LogSoftmax"),
    "leaky_relu": lambda t, node: t.g.add(
        "LeakyRelu",
        [t.operand(t.first(node))],
        name=node.name,
        alpha=float(t.argument(node, 1, "negative_slope", 0.01)),
    ),
    "relu6": lambda t, node: _clip(t, node, t.operand(t.first(node)), 0.0, 6.0),
    "hardtanh": lambda t, node: _clip(
        t, node, t.operand(t.first(node)), t.argument(node, 1, "min_val", -1.0), t.argument(node, 2, "max_val", 1.0)
    ),
    **{
        name: lambda t, node: _clip(
            t, node, t.operand(t.first(node)), t.argument(node, 1, "min"), t.argument(node, 2, "max")
        )
        for name in ("clamp", "clip")
    },
    "hardsigmoid": _unary("HardSigmoid", alpha=1 / 6, beta=0.5),
    "add": _binary("Add"),
    "iadd": _binary("Add"),
    "sub": _binary("Sub"),
    "isub": _binary("Sub"),
    "rsub": _reversed_sub,
    "mul": _binary("Mul"),
    "imul": _binary("Mul"),
    "div": _binary("Div"),
    "truediv": _binary("Div"),
    "maximum": _binary("Max"),
    "minimum": _binary("Min"),
    "mean": _reduce("ReduceMean"),
    "sum": _reduce("ReduceSum"),
    "amax": _reduce("ReduceMax"),
    "amin": _reduce("ReduceMin"),
    "cat": _cat,
    "concat": _cat,
    "stack": _stack,
    "chunk": _split,
    "split": _split,
    "getitem": _getitem,
    "permute": _permute,
    "transpose": _swap,
    "matmul": _matmul,
    "linear": _f_linear,
    "pad": _f_pad,
    **{f"max_pool{n}d": _f_pool(True) for n in (1, 2, 3)},
    **{f"avg_pool{n}d": _f_pool(False) for n in (1, 2, 3)},
    **{f"adaptive_max_pool{n}d": lambda t, node: _adaptive(t, node, t.operand(t.first(node)), True) for n in (1, 2, 3)},
    **{
        f"adaptive_avg_pool{n}d": lambda t, node: _adaptive(t, node, t.operand(t.first(node)), False) for n in (1, 2, 3)
    },
}
