"""Modules of PyTorch as graphs, by watching one run.

The module is run once on zeros under a dispatch mode, which sees every operation that touches memory, below modules,
functions, methods and operators of Python. For each place of each storage it is known which value of the graph stands
there, or that the number there is constant. Views, aliases and changes in place are then what they are in memory:
``y = x; y += 1``, ``x[:, 0] = 0`` and ``relu_`` on a slice need no rules of their own. Operations that only move
numbers are done by PyTorch itself, on places in place of numbers; the others are translated in `torch_operators`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...._typing import Array, IntArray
from ....errors import InputError, MissingDependencyError, PolyfiberError, UnsupportedLayerError
from ...model import ReLUNetwork
from ...piecewise import PiecewiseLinearNetwork
from .builder import GraphBuilder
from .torch_checks import check_run, evaluated
from .torch_operators import CALLS, MOVES, SUPPORTED, array

CONSTANT, UNKNOWN = -1, -2
"""What stands at a place of memory beside values of the graph: a constant number, or something that is not known."""

_NEW = frozenset(["zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full"])
_SHAPES = frozenset(["squeeze_", "unsqueeze_", "transpose_", "t_", "swapaxes_", "swapdims_"])
_READS = frozenset(
    ["tolist", "numpy", "__array__", "data_ptr", "__dlpack__", "untyped_storage", "storage", "__cuda_array_interface__"]
)
_COMPARING = frozenset(
    ["gt", "ge", "lt", "le", "eq", "ne", "sign", "sgn", "isclose", "equal", "argmin", "sort", "topk"]
)
_EXACT_PLACES = 1 << 24  # integers that float32 holds


def network_of(module: Any, input_shape: Sequence[Any], source: dict[str, Any]) -> ReLUNetwork | PiecewiseLinearNetwork:
    """The network of any module whose run does not depend on the numbers in its input.

    Parameters
    ----------
    module : torch.nn.Module
    input_shape : sequence of int, or of such sequences
        Of one input, batch left out; or of each input of the forward.
    source : dict
        Goes into ``net.source``.

    Raises
    ------
    UnsupportedLayerError
        An operation that is not piecewise linear, or not known; the message names it and the module that calls it.
    InputError
        The module cannot be run, or gives something else than what was read.
    """
    try:
        import torch
    except ImportError:
        raise MissingDependencyError("torch", extra="torch", purpose="reading a module") from None
    shapes = _shapes(input_shape)
    builder = GraphBuilder(shapes[0] if len(shapes) == 1 else (sum(math.prod(s) for s in shapes),))
    first = next(iter(module.parameters()), None)
    options = {} if first is None else {"dtype": first.dtype, "device": first.device}
    inputs = [torch.zeros((1, *shape), **options) for shape in shapes]
    trace = Trace(builder, inputs)
    try:
        with evaluated(module), trace.naming(module), torch.no_grad(), trace.reads, trace.mode:
            found = module(*inputs)
    except PolyfiberError:
        raise
    except Exception as error:
        if trace.error is not None:
            raise trace.error from None
        raise InputError(
            f"the forward of {type(module).__name__} cannot be run on {_named(shapes)} ({str(error)[:200]}); "
            "check input_shape, or export the module to ONNX and use read_network"
        ) from None
    if trace.error is not None:  # raised, and caught by the module
        raise trace.error
    outputs = list(found) if isinstance(found, tuple | list) else [found]
    if not outputs or not all(isinstance(o, torch.Tensor) for o in outputs):
        raise UnsupportedLayerError("an output of the forward is no tensor; expected tensors, or a tuple of them")
    if not any(trace.depends(o) for o in outputs):
        raise UnsupportedLayerError("no output of the forward depends on the input")
    network = builder.network([trace.operand(o) for o in outputs], source)
    check_run(module, network, shapes)
    return network


def _shapes(given: Any) -> list[tuple[int, ...]]:
    """The shape of each input: of one where numbers are given, of several where shapes are."""
    try:
        parts = list(given)
        if parts and not any(isinstance(p, Sequence) for p in parts):
            return [tuple(int(n) for n in parts)]
        shapes = [tuple(int(n) for n in p) for p in parts]
    except (TypeError, ValueError):
        shapes = []
    if not shapes or any(n < 1 for s in shapes for n in s):
        raise InputError(
            f"input_shape is {given!r}; expected the shape of one input, the batch left out, such as (1, 28, 28), "
            "or a list of shapes, one for each input of the forward"
        )
    return shapes


def _named(shapes: Sequence[tuple[int, ...]]) -> str:
    return (
        f"an input of shape {shapes[0]}" if len(shapes) == 1 else f"inputs of the shapes {', '.join(map(str, shapes))}"
    )


class Trace:
    """What stands in the memory of one run.

    Parameters
    ----------
    builder : GraphBuilder
    inputs : list of torch.Tensor
        Joined to one vector where there are several.
    """

    def __init__(self, builder: GraphBuilder, inputs: Sequence[Any]) -> None:
        import torch
        from torch.overrides import TorchFunctionMode
        from torch.utils._python_dispatch import TorchDispatchMode

        self.torch, self.g = torch, builder
        self.error: PolyfiberError | None = None
        self.places: dict[int, tuple[Any, Any, int]] = {}  # storage -> (itself, places, bytes of an item)
        self.made: set[int] = set()  # storages that the run itself has made
        self.starts: list[int] = []  # first place of each value
        self.blocks: list[tuple[str, int]] = []  # its name and size
        self.flat: dict[str, str] = {}
        self.next = 0
        self.path: list[tuple[str, Any]] = []
        self.used: dict[str, int] = {}
        self.label = ""
        trace = self

        class Mode(TorchDispatchMode):
            def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                try:
                    return trace.operation(func, args, kwargs or {})
                except PolyfiberError as error:
                    trace.error = trace.error or error
                    raise

        class Reads(TorchFunctionMode):
            def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                name = getattr(func, "__name__", "")
                if name in _READS and args and isinstance(args[0], torch.Tensor) and trace.depends(args[0]):
                    trace.error = trace.error or trace.refusal(f"reads the numbers of a value ({name})")
                    raise trace.error
                if name == "max_pool1d" and not (kwargs or {}).pop(
                    "return_indices", False
                ):  # its kernel writes memory that no operation shows
                    return _max_pool1d(*args, **(kwargs or {}))
                return func(*args, **(kwargs or {}))

        def _max_pool1d(
            input: Any,
            kernel_size: Any,
            stride: Any = None,
            padding: Any = 0,
            dilation: Any = 1,
            ceil_mode: bool = False,
        ) -> Any:
            one, options = input.unsqueeze(-2), []
            for value, other in ((kernel_size, 1), (stride or kernel_size, 1), (padding, 0), (dilation, 1)):
                options.append((other, value[0] if isinstance(value, tuple | list) else value))
            return torch.nn.functional.max_pool2d(one, *options, ceil_mode=ceil_mode).squeeze(-2)

        self.mode, self.reads = Mode(), Reads()
        self.made.update(x.untyped_storage()._cdata for x in inputs)
        if len(inputs) == 1:
            self.define(inputs[0], builder.input)
            return
        sizes = [x.numel() for x in inputs]
        parts = builder.several("Split", [builder.input, builder.constant(np.array(sizes))], len(inputs), axis=1)
        for x, part in zip(inputs, parts):
            self.define(x, part)
        builder.notes.append(
            "the inputs are joined to one vector in the order of the forward: "
            + ", ".join(f"{tuple(x.shape[1:])} ({n})" for x, n in zip(inputs, sizes))
        )

    # ---- names ------------------------------------------------------------------------------
    def naming(self, module: Any) -> Any:
        """While it lasts, the trace knows in which part of the module it is."""
        from contextlib import ExitStack

        stack = ExitStack()
        for name, part in module.named_modules():
            if name:
                enter = part.register_forward_pre_hook(lambda m, x, name=name: self.path.append((name, m)))
                leave = part.register_forward_hook(lambda m, x, y: self.path.pop() and None)
                stack.callback(enter.remove)
                stack.callback(leave.remove)
        return stack

    def name(self, op: str) -> str:
        """A name for an operation: that of a module without parts, or that of the operation in its module."""
        path, part = self.path[-1] if self.path else ("", None)
        base = path if part is not None and not part._modules else f"{path}.{op}" if path else op
        count = self.used[base] = self.used.get(base, -1) + 1
        return f"{base}_{count}" if count else base

    def refusal(self, what: str) -> UnsupportedLayerError:
        """The one error for what cannot be read."""
        path, part = self.path[-1] if self.path else ("", None)
        where = f"{path} is a {type(part).__name__}: it" if path else "the forward"
        return UnsupportedLayerError(
            f"{where} {what}; supported: {SUPPORTED}", layer=path, kind=type(part).__name__ if path else None
        )

    # ---- memory -----------------------------------------------------------------------------
    def ids(self, t: Any) -> Any:
        """Which value of the graph stands at each place of a tensor: a view, which may be written to."""
        storage = t.untyped_storage()
        count = storage.nbytes() // max(1, t.element_size())
        held = self.places.get(storage._cdata)
        if held is None:
            held = (storage, self.torch.full((count,), CONSTANT, dtype=self.torch.int64), t.element_size())
            self.places[storage._cdata] = held  # the storage is kept, so that no other takes its place
        _, known, item = held
        if item != t.element_size() or t.is_complex():
            raise self.refusal("reads the bytes of a value as another type")
        if len(known) < count:  # resized
            more = self.torch.full((count - len(known),), UNKNOWN, dtype=self.torch.int64)
            known = self.torch.cat([known, more])
            self.places[storage._cdata] = (storage, known, item)
        return known.as_strided(t.size(), t.stride(), t.storage_offset())

    def depends(self, t: Any) -> bool:
        """Whether a tensor holds anything but constants."""
        storage = t.untyped_storage()
        return storage._cdata in self.places and bool((self.ids(t) != CONSTANT).any())

    def define(self, t: Any, name: str) -> None:
        """A tensor holds a value of the graph from now on, row by row."""
        n = t.numel()
        self.starts.append(self.next)
        self.blocks.append((name, n))
        self.ids(t)[...] = self.torch.arange(self.next, self.next + n).reshape(t.shape)
        self.next += n

    def operand(self, a: Any) -> str:
        """Name of what a tensor or a number holds."""
        if isinstance(a, self.torch.Tensor):
            ids = self.ids(a).numpy()
            if (ids != CONSTANT).any():
                return self._gathered(ids, a)
        return self._constant(a)

    def _constant(self, a: Any) -> str:
        constant = array(a)
        if constant.dtype.kind in "iub":
            constant = constant.astype(np.float32)
        elif not hasattr(a, "detach"):  # a Python number
            exact = constant.astype(np.float32)
            constant = exact if exact == constant else constant.astype(np.float64)
        return self.g.constant(constant)

    def _gathered(self, ids: IntArray, t: Any) -> str:
        """A value with the shape of a tensor from the places of others."""
        if (ids == UNKNOWN).any():
            raise self.refusal(
                f"uses what {self.label or 'an operation'} reads from memory that no known operation wrote"
            )
        flat = ids.ravel()
        at = np.where(flat >= 0, np.searchsorted(self.starts, flat, side="right") - 1, -1)
        which = [int(k) for k in np.unique(at) if k >= 0]
        if len(which) == 1:
            name, size = self.blocks[which[0]]
            if len(flat) == size and flat[0] == self.starts[which[0]] and bool((np.diff(flat) == 1).all()):
                return self.g.reshape(name, ids.shape)
        parts, index, offset = [], np.empty(len(flat), dtype=np.int64), 0
        for k in which:
            name, size = self.blocks[k]
            if name not in self.flat:
                self.flat[name] = self.g.reshape(name, (1, size))
            parts.append(self.flat[name])
            here = at == k
            index[here] = flat[here] - self.starts[k] + offset
            offset += size
        fixed = np.flatnonzero(at < 0)
        if len(fixed):
            values: Array = array(t).ravel()[fixed]
            values = values.astype(np.float32) if values.dtype.kind in "iub" else values
            parts.append(self.g.constant(values[None]))
            index[fixed] = np.arange(offset, offset + len(fixed))
        whole = parts[0] if len(parts) == 1 else self.g.add("Concat", parts, axis=1)
        return self.g.reshape(self.g.add("Gather", [whole, self.g.constant(index)], axis=1), ids.shape)

    # ---- operations -------------------------------------------------------------------------
    def operation(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Run an operation, and see what it does to values of the graph."""
        schema = func._schema
        op = schema.name.split("::")[-1]
        given = dict(zip([a.name for a in schema.arguments], args)) | kwargs
        named = {
            a.name: given.get(a.name, a.default_value if a.has_default_value() else None) for a in schema.arguments
        }
        tensors = [t for v in named.values() for t in self._tensors(v)]
        storages = {t.untyped_storage()._cdata for t in tensors}
        over = [a.name for a in schema.arguments if a.alias_info is not None and a.alias_info.is_write]
        written: list[Any] = [t for name in over for t in self._tensors(named[name])]
        if any(t.untyped_storage()._cdata not in self.made for t in written):
            raise self.refusal(f"changes a parameter, a buffer or a constant in place ({op})")
        if self.torch.Tag.nondeterministic_seeded in func.tags and "bernoulli" in op:
            raise self.refusal("has a dropout that is on in evaluation mode too: write training=self.training")
        if self.torch.Tag.nondeterministic_seeded in func.tags and op != "rrelu_with_noise":
            raise self.refusal(f"computes with random numbers ({op})")
        signal = any(self.depends(t) for t in tensors)
        held = {id(t): self._copied(t) for t in written} if signal else {}
        out = func(*args, **kwargs)
        outs = self._tensors(out)
        fresh = [t for t in outs if t.untyped_storage()._cdata not in storages]
        self.made.update(t.untyped_storage()._cdata for t in fresh)
        if not signal or op in _NEW or "empty" in op:
            for t in [*fresh, *written]:
                self.ids(t)[...] = UNKNOWN if "empty" in op else CONSTANT
            if op == "lift_fresh":
                self.made.update(storages)
            return out
        if op in _SHAPES or (not written and not fresh and outs):
            return out  # a view
        plain = op.rstrip("_") if written else op
        self.label = self.name(plain)
        named = {k: held.get(id(v), v) for k, v in named.items() if not (k == "out" and written)}
        targets = outs or written
        if plain in MOVES:
            self._moved(func, plain, args, kwargs, held, targets)
        elif op == "_local_scalar_dense":
            raise self.refusal("takes a number out of a value: its control flow depends on the input")
        elif any(not t.is_floating_point() and self.depends(t) for t in tensors):
            raise self.refusal(f"computes with integers that depend on the input ({plain})")
        elif plain in CALLS:
            made = CALLS[plain](self, named, targets[0])
            for t, name in zip(targets, [made] if isinstance(made, str) else made):
                if name:
                    self.define(t, name)
            known = 1 if isinstance(made, str) else len(made)
            for t in [*targets[known:], *(t for t in written if all(t is not o for o in targets))]:
                self.ids(t)[...] = UNKNOWN
        elif op in _COMPARING:
            raise self.refusal(
                f"compares values ({op}): what follows jumps, or is control flow that depends on the input"
            )
        else:
            raise self.refusal(f"computes {plain}, which is not piecewise linear, or not known")
        return out

    def _copied(self, t: Any) -> Any:
        """A tensor as it is before it is changed."""
        copy = t.clone()
        self.ids(copy)[...] = self.ids(t)
        return copy

    def _tensors(self, value: Any) -> list[Any]:
        if isinstance(value, self.torch.Tensor):
            return [value]
        return [t for v in value for t in self._tensors(v)] if isinstance(value, tuple | list) else []

    def _moved(
        self, func: Any, op: str, args: Sequence[Any], kwargs: dict[str, Any], held: dict[int, Any], targets: list[Any]
    ) -> None:
        """The same operation on places: 0 for constants, so that what it fills in is constant too."""
        torch = self.torch
        sources = [t for v in (*args, *kwargs.values()) for t in self._tensors(v) if t.is_floating_point()]
        if any(
            not t.is_floating_point() and self.depends(t) for v in (*args, *kwargs.values()) for t in self._tensors(v)
        ):
            raise self.refusal(f"chooses by the input ({op}); not piecewise linear, or not known")
        given = dict(zip([a.name for a in func._schema.arguments], args)) | kwargs
        if given.get("accumulate") or given.get("reduce"):
            raise self.refusal(f"adds up at places that may be the same ({op}); not known")
        if sources and not all(t.is_floating_point() for t in targets):
            raise self.refusal(f"casts a value to {targets[0].dtype}: its numbers are cut off")
        if any(t.element_size() < min(s.element_size() for s in sources) for t in targets):
            self.g.notes.append(f"{self.label} to {targets[0].dtype} is read as the identity of real numbers")
        total = sum(t.numel() for t in sources) + 1
        plain = next((t.dtype for t in sources if t.dtype in (torch.float32, torch.float64)), torch.float32)
        dtype = plain if total < _EXACT_PLACES else torch.float64
        table, at = [torch.full((1,), CONSTANT, dtype=torch.int64)], 1

        def place(value: Any) -> Any:
            nonlocal at
            if isinstance(value, torch.Tensor):
                if not value.is_floating_point():
                    return value
                ids = self.ids(held.get(id(value), value)).reshape(-1)
                table.append(ids)
                places = torch.arange(at, at + value.numel(), dtype=dtype, device=value.device)
                at += value.numel()
                return torch.where(ids.to(value.device) == CONSTANT, 0, places).reshape(value.shape)
            return type(value)(place(v) for v in value) if isinstance(value, tuple | list) else value

        numbers = {a.name for a in func._schema.arguments if str(a.type) in ("number", "Optional[number]")}
        names = [a.name for a in func._schema.arguments]
        positional = [0 if n in numbers and v is not None else place(v) for n, v in zip(names, args)]
        named = {n: 0 if n in numbers and v is not None else place(v) for n, v in kwargs.items() if n != "dtype"}
        moved = self._tensors(func(*positional, **named))
        for target, places in zip(targets, moved):
            self.ids(target)[...] = torch.cat(table)[places.cpu().long()].reshape(target.shape)
