"""PyTorch modules and state dicts, by attribute.

torch itself is imported only for modules: to trace those whose order of evaluation their structure does not show
(anything but a ``Sequential``), and to compare what was read with one run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._typing import Array
from ..._values.checked import unmasked
from ...errors import InputError, MissingDependencyError, PolyfiberError, ShapeError, UnsupportedLayerError
from ..folding import Chain, finite_fraction
from ..model import ReLUNetwork
from ..piecewise import PiecewiseLinearNetwork
from .state import network_from_state

SUPPORTED = "Linear, arithmetic with constants, ReLU, BatchNorm1d, Dropout, Identity, Flatten, and at the end Sigmoid, Softmax, LogSoftmax"
_IDLE = frozenset(["Dropout", "AlphaDropout", "FeatureAlphaDropout", "Identity", "Flatten", "Unflatten"])
_HEADS = {"Sigmoid": "sigmoid", "Softmax": "softmax", "LogSoftmax": "log-softmax"}
_RELU_CALLS = frozenset({"relu", "relu_"})
_IDLE_CALLS = frozenset(
    {"flatten", "view", "reshape", "squeeze", "unsqueeze", "contiguous", "float", "double", "dropout"}
)
_ENTRYWISE = {"add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "div": "div", "neg": "neg"}
_HEAD_CALLS = {"sigmoid": "sigmoid", "softmax": "softmax", "log_softmax": "log-softmax"}


@dataclass(frozen=True)
class _Entrywise:
    """An operation of a forward with a constant: a buffer, a parameter or a number."""

    kind: str
    value: Any
    left: bool  # the constant stands on the left


def from_torch(
    module_or_state_dict: Any, *, input_shape: Sequence[int] | Sequence[Sequence[int]] | None = None
) -> ReLUNetwork | PiecewiseLinearNetwork:
    """Network of a PyTorch module, or of a state dict.

    Parameters
    ----------
    module_or_state_dict : torch.nn.Module, or mapping of str to tensors or arrays
        A ``Sequential`` (nested ones too) is read child by child. Any other module is traced
        by ``torch.fx``, which follows its ``forward`` symbolically; what branches on values is
        refused. A state dict does not hold the wiring: ReLU between layers is assumed and
        noted. Modules are read in evaluation mode, whatever mode they are in, and compared with the network at two
        random inputs; those with forward hooks are refused.
    input_shape : sequence of int, or of such sequences, optional
        Of one input, the batch left out, such as ``(1, 28, 28)``: modules do not hold it. Where the forward takes
        several inputs, a list of their shapes: they are joined to one vector in their order. Needed where there is more
        than a chain of dense layers: convolutions, pooling, branches, residual sums, other gates than ReLU. The module
        is then run once on zeros, for the shapes of its values.

    Returns
    -------
    ReLUNetwork or PiecewiseLinearNetwork
        float64 parameters, widened exactly; ``net.source`` as for `read_network`.

    Raises
    ------
    UnsupportedLayerError
        A layer other than those listed; the message names it.
    InputError
        Something that is neither a module nor a mapping, a module that cannot be traced, or one that computes something
        else than its trace shows, as with values changed in place by ``+=``.

    Examples
    --------
    >>> import polyfiber as pf
    >>> pf.from_torch({"0.weight": [[1.0], [-1.0]], "0.bias": [0.0, 0.0], "2.weight": [[1.0, 1.0]]}).architecture
    (1, 2, 1)
    """
    source: dict[str, Any] = {"format": "torch"}
    if isinstance(module_or_state_dict, Mapping):
        dtypes: set[str] = set()
        arrays = {str(k): _array(v, str(k), dtypes) for k, v in module_or_state_dict.items() if not _counter(str(k))}
        return network_from_state(arrays, source, dtypes=dtypes)
    if not callable(getattr(module_or_state_dict, "named_modules", None)):
        raise InputError(
            f"found a {type(module_or_state_dict).__name__}; expected a torch module or a state dict (mapping)"
        )
    module = module_or_state_dict
    if input_shape is not None:
        from .graphs.torch_trace import network_of

        return network_of(module, input_shape, source)
    from .graphs.torch_checks import check_run, refuse_hooks

    refuse_hooks(module)
    try:
        network = _chain(module, source)
    except UnsupportedLayerError as error:
        error.add_note(
            "with input_shape=(…), the shape of one input, convolutions, branches and other gates are read too"
        )
        raise
    check_run(module, network, [(network.architecture[0],)])
    return network


def _chain(module: Any, source: dict[str, Any]) -> ReLUNetwork:
    """A chain of dense layers and ReLUs."""
    steps = _sequence(module, type(module).__name__) if type(module).__name__ == "Sequential" else _traced(module)
    widths = [int(m.weight.shape[1]) for _, m in steps if not isinstance(m, str) and type(m).__name__ == "Linear"]
    if not widths:
        raise InputError(
            f"no Linear layer in the {type(module).__name__}; expected at least one. Of other modules give input_shape=(…)"
        )
    first = next(m for _, m in steps if isinstance(m, str) or type(m).__name__ not in _IDLE)
    width = int(first.num_features) if hasattr(first, "num_features") else widths[0]
    chain = Chain(width)
    seen: set[str] = set()
    for name, step in steps:
        _append(chain, name, step, seen)
    return chain.network({**source, "dtype": "+".join(sorted(seen))})


def _counter(key: str) -> bool:
    return key.endswith("num_batches_tracked")


def _sequence(module: Any, name: str) -> list[tuple[str, Any]]:
    """(name, module) of the children in order, nested Sequentials opened."""
    steps: list[tuple[str, Any]] = []
    for key, child in module._modules.items():
        path = f"{name}.{key}"
        if type(child).__name__ == "Sequential":
            steps += _sequence(child, path)
        elif child is not None and child._modules and type(child).__name__ not in _IDLE:
            steps += [(f"{path}.{n}", s) for n, s in _traced(child)]
        else:
            steps.append((path, child))
    return steps


def _traced(module: Any) -> list[tuple[str, Any]]:
    """(name, submodule or 'relu' or a head) in the order in which ``forward`` uses them."""
    if not module._modules:
        return [(type(module).__name__, module)]
    try:
        from torch import fx
    except ImportError:
        raise MissingDependencyError("torch", extra="torch", purpose="tracing a module") from None
    from .graphs.torch_checks import evaluated, refuse_dropout

    try:
        with evaluated(module):
            graph = fx.symbolic_trace(module).graph
    except Exception as error:
        raise InputError(
            f"the forward of {type(module).__name__} cannot be traced ({str(error)[:200]}); "
            "export it to ONNX and use read_network"
        ) from None
    modules = dict(module.named_modules())
    steps: list[tuple[str, Any]] = []
    current: Any = None
    for node in graph.nodes:
        name = str(node.target)
        if node.op == "placeholder":
            if current is not None:
                raise UnsupportedLayerError(
                    "forward takes several inputs; give input_shape, a list of their shapes, and they are joined to one vector"
                )
            current = node
            continue
        if node.op == "get_attr" or (node.op == "call_method" and name in ("size", "dim")):
            continue
        feeding = [n for n in node.all_input_nodes if n.op != "get_attr" and n.target not in ("size", "dim")]
        feeding = [n for n in feeding if "getattr" not in str(n.target) and "getitem" not in str(n.target)]
        if node.op == "call_function" and getattr(node.target, "__name__", "") in ("getattr", "getitem"):
            continue
        if feeding != [current]:
            raise UnsupportedLayerError(
                f"{node.name} in the forward of {type(module).__name__} joins or branches (residual?); "
                "supported is one chain of layers",
                node=node.name,
            )
        if node.op == "output":
            return steps
        current = node
        if node.op == "call_module":
            child = modules[name]
            steps += _sequence(child, name) if type(child).__name__ == "Sequential" else [(name, child)]
            continue
        called = name if node.op == "call_method" else getattr(node.target, "__name__", name)
        refuse_dropout(node, called)
        if called in _RELU_CALLS:
            steps.append((node.name, "relu"))
        elif called in _HEAD_CALLS:
            steps.append((node.name, _HEAD_CALLS[called]))
        elif called in _ENTRYWISE:
            steps.append((node.name, _entrywise(module, node, _ENTRYWISE[called], feeding[0])))
        elif called not in _IDLE_CALLS:
            raise UnsupportedLayerError(
                f"{node.name}: {called} in the forward of {type(module).__name__} is not supported; "
                f"supported: {SUPPORTED}, or export to ONNX",
                node=node.name,
            )
    return steps


def _entrywise(module: Any, node: Any, kind: str, signal: Any) -> _Entrywise:
    others = [a for a in node.args if a is not signal]
    if node.kwargs or len(others) != (0 if kind == "neg" else 1):
        raise UnsupportedLayerError(f"{node.name}: {kind} with options is not supported", node=node.name)
    value: Any = others[0] if others else None
    if hasattr(value, "op"):  # a node that fetches an attribute of the module
        found = module
        for part in str(value.target).split("."):
            found = getattr(found, part)
        value = found
    return _Entrywise(kind, value, bool(others) and node.args[0] is not signal)


def _apply(chain: Chain, name: str, step: _Entrywise, dtypes: set[str]) -> None:
    if step.kind == "neg":
        chain.diagonal(scale=-np.ones(chain.width, dtype=np.int64), name=name)
        return
    values = _array(step.value, name, dtypes).reshape(-1)
    if values.size not in (1, chain.width) or values.dtype.kind not in "fiu":
        raise ShapeError(f"{name}: {values.size} constants of dtype {values.dtype} for {chain.width} values")
    exact = np.empty(chain.width, dtype=object)
    exact[:] = [finite_fraction(v, name) for v in np.broadcast_to(values, chain.width).tolist()]
    if step.kind == "add":
        chain.diagonal(shift=exact, name=name)
    elif step.kind == "sub":
        sign = -np.ones(chain.width, dtype=np.int64) if step.left else None
        chain.diagonal(scale=sign, shift=exact if step.left else -exact, name=name)
    elif step.kind == "mul":
        chain.diagonal(scale=exact, name=name)
    elif step.left or not exact.all():
        raise UnsupportedLayerError(f"{name} divides by the input, or by zero", node=name)
    else:
        chain.diagonal(scale=1 / exact, name=name)


def _append(chain: Chain, name: str, step: Any, dtypes: set[str]) -> None:
    if isinstance(step, str):
        chain.relu(name) if step == "relu" else chain.finish(step, name)
        return
    if isinstance(step, _Entrywise):
        _apply(chain, name, step, dtypes)
        return
    kind = type(step).__name__
    if kind == "Linear":
        bias = None if step.bias is None else _array(step.bias, name, dtypes)
        chain.dense(_array(step.weight, name, dtypes), bias, name=name)
    elif kind == "ReLU":
        chain.relu(name)
    elif kind == "BatchNorm1d":
        if step.running_mean is None:
            raise UnsupportedLayerError(f"{name} has no running statistics: it depends on the batch")
        gamma = None if step.weight is None else _array(step.weight, name, dtypes)
        beta = None if step.bias is None else _array(step.bias, name, dtypes)
        mean, variance = _array(step.running_mean, name, dtypes), _array(step.running_var, name, dtypes)
        chain.normalisation(mean, variance, gamma, beta, epsilon=float(step.eps), name=name)
    elif kind in _HEADS:
        chain.finish(_HEADS[kind], name)
    elif kind not in _IDLE:
        raise UnsupportedLayerError(f"{name} is a {kind}; supported: {SUPPORTED}", layer=name, kind=kind)


def _array(value: Any, name: str, dtypes: set[str]) -> Array:
    """A tensor or array as numpy (bfloat16 widened to float32); floating dtypes of tensors are noted."""
    if hasattr(value, "detach"):
        value = value.detach()
        if str(value.device) == "meta":
            raise InputError(f"{name} is on the device meta, which holds no numbers")
        value = value.cpu()
        if str(value.dtype) == "torch.bfloat16":
            dtypes.add("bfloat16")
            value = value.float()
        elif str(value.dtype).startswith("torch.float"):
            dtypes.add(str(value.dtype).removeprefix("torch."))
    unmasked(value)
    try:
        array = np.asarray(value.numpy() if hasattr(value, "numpy") else value)
    except PolyfiberError:
        raise
    except Exception as error:
        raise InputError(f"{name}: cannot be read as an array ({str(error)[:120]})") from None
    return array
