"""PyTorch checkpoints without PyTorch and without running anything.

``torch.save`` writes a zip: ``data.pkl``, a pickle of the object with tensors as references,
and ``data/<key>``, raw numbers. The pickle is a program; here a small interpreter runs it that
knows dictionaries, lists, tuples, numbers, strings and four torch names. Any other name is
refused, so no code of the file or of another package is ever called.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._typing import Array
from ...errors import FileFormatError, PolyfiberError
from ...words import listed
from ..model import ReLUNetwork
from .files import Zip, array_from, count, inflated_limit
from .state import network_from_state

MAX_OPCODES = 2_000_000
MAX_STACK = 1_000_000

STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
_CALLABLE = frozenset(
    {
        "collections OrderedDict",
        "torch._utils _rebuild_tensor",
        "torch._utils _rebuild_tensor_v2",
        "torch._utils _rebuild_parameter",
        "torch Size",
    }
)
_NESTED = ("state_dict", "model_state_dict", "model", "net", "network", "module", "params")


@dataclass(frozen=True)
class _Name:
    """A class or function that the pickle names; never resolved."""

    name: str


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: str
    numel: int


@dataclass(frozen=True, eq=False)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class _Mark:
    pass


def read(data: bytes, source: dict[str, Any]) -> ReLUNetwork:
    """Network of a ``.pt`` file that holds a state dict."""
    archive = Zip(data)
    names = [n for n in archive.names if n == "data.pkl" or n.endswith("/data.pkl")]
    if len(names) != 1:
        raise FileFormatError(f"the archive has {len(names)} entries data.pkl; expected one")
    prefix = names[0].removesuffix("data.pkl")
    if prefix + "byteorder" in archive.names and archive.read(prefix + "byteorder") != b"little":
        raise FileFormatError("the file was written on a big-endian machine; expected little-endian numbers")
    tree = interpret(archive.read(names[0]))
    tensors, notes = _state(tree)
    dtypes = {t.storage.dtype for t in tensors.values() if "float" in t.storage.dtype}
    storages: dict[_Storage, Array] = {}
    total = sum(8 * count(t.shape, f"tensor {k!r}") for k, t in tensors.items())
    if total > inflated_limit(len(data)):
        raise FileFormatError(
            f"the tensors claim {total:,} bytes as float64; the file has {len(data):,}", claimed=total
        )
    arrays = {key: _materialise(tensor, archive, prefix, key, storages) for key, tensor in tensors.items()}
    source["format"] = "pt"
    network = network_from_state(arrays, source, dtypes=dtypes)
    if not notes:
        return network
    facts = {**network.source, "notes": (*network.source["notes"], *notes)}
    return ReLUNetwork(network.weights, network.biases, source=facts)


def _state(tree: Any) -> tuple[dict[str, _Tensor], list[str]]:
    """The state dict in what was saved, which may be a checkpoint that holds one."""
    if isinstance(tree, _Tensor):
        raise FileFormatError("the file holds one tensor; expected a state dict")
    if not isinstance(tree, dict):
        raise FileFormatError(f"the file holds a {type(tree).__name__}; expected a state dict")
    notes: list[str] = []
    if not any(isinstance(v, _Tensor) for v in tree.values()):
        inner = [k for k in _NESTED if isinstance(tree.get(k), dict)]
        if not inner:
            raise FileFormatError(
                f"the file holds a dictionary with the keys {listed(tree)} and no tensors in it; expected a state dict"
            )
        notes.append(f"the state dict was found under {inner[0]!r}")
        tree = tree[inner[0]]
    tensors = {}
    for key, value in tree.items():
        if isinstance(value, _Tensor) and isinstance(key, str):
            tensors[key] = value
        elif key not in ("_metadata", "_extra_state"):
            raise FileFormatError(f"entry {key!r} of the state dict is a {type(value).__name__}; expected a tensor")
    if not tensors:
        raise FileFormatError("the state dict is empty")
    return tensors, notes


def _materialise(tensor: _Tensor, archive: Zip, prefix: str, name: str, cache: dict[_Storage, Array]) -> Array:
    storage = tensor.storage
    what = f"tensor {name!r}"
    if storage not in cache:
        entry = f"{prefix}data/{storage.key}"
        item = 2 if storage.dtype == "bfloat16" else np.dtype(storage.dtype).itemsize
        if archive.size(entry) != storage.numel * item:
            raise FileFormatError(
                f"{what} claims {storage.numel:,} numbers of {storage.dtype}; {archive.size(entry):,} bytes are there"
            )
        cache[storage] = array_from(archive.read(entry), storage.dtype, (storage.numel,), what)
    flat = cache[storage]
    size = count(tensor.shape, what)
    if len(tensor.stride) != len(tensor.shape) or any(s < 0 for s in tensor.stride) or tensor.offset < 0:
        raise FileFormatError(f"{what} has shape {tensor.shape}, strides {tensor.stride}, offset {tensor.offset}")
    if size == 0:
        return np.empty(tensor.shape, dtype=flat.dtype)
    last = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride))
    if last >= flat.size or size > flat.size:
        raise FileFormatError(f"{what} claims shape {tensor.shape}; its storage has {flat.size:,} numbers")
    strides = [s * flat.itemsize for s in tensor.stride]
    return np.array(np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, strides, writeable=False))


# ---- the pickle -----------------------------------------------------------------------------
def interpret(program: bytes) -> Any:
    """Run the pickle of a state dict: plain data, tensors and storages, nothing else."""
    try:
        return _Machine().run(program)
    except PolyfiberError:
        raise
    except (IndexError, KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise FileFormatError(f"data.pkl is damaged ({type(error).__name__}: {str(error)[:120]})") from None


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, program: bytes) -> Any:
        for steps, (opcode, argument, _) in enumerate(pickletools.genops(io.BytesIO(program))):
            if steps > MAX_OPCODES or len(self.stack) > MAX_STACK:
                raise FileFormatError("data.pkl is too long for a state dict")
            if opcode.name == "STOP":
                return self.stack.pop()
            self.step(opcode.name, argument)
        raise FileFormatError("data.pkl ends too early")

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in ("PROTO", "FRAME"):
            return
        if name in _PUSHED:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "MARK":
            stack.append(_Mark)
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[int(argument)] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self.memo[int(argument)])
        elif name == "TUPLE":
            stack.append(tuple(self.popped()))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            size = int(name[-1])
            if len(stack) < size:
                raise IndexError("stack underflow")
            stack[-size:] = [tuple(stack[-size:])]
        elif name == "LIST":
            stack.append(self.popped())
        elif name == "DICT":
            items = self.popped()
            stack.append({})
            self.set_items(items)
        elif name == "APPEND":
            value = stack.pop()
            self.top(list).append(value)
        elif name == "APPENDS":
            values = self.popped()
            self.top(list).extend(values)
        elif name == "SETITEM":
            value = stack.pop()
            key = stack.pop()
            self.set_items([key, value])
        elif name == "SETITEMS":
            self.set_items(self.popped())
        elif name == "POP":
            stack.pop()
        elif name == "GLOBAL":
            stack.append(self.named(str(argument)))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(self.named(f"{module} {attribute}"))
        elif name == "BINPERSID":
            stack.append(self.storage(stack.pop()))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(self.call(function, arguments))
        elif name == "BUILD":
            state = stack.pop()
            if not isinstance(stack[-1], dict) or not isinstance(state, dict):
                raise FileFormatError("data.pkl sets the state of an object; expected a state dict of tensors only")
        else:
            raise FileFormatError(f"data.pkl uses {name}, which a state dict does not need: refused")

    def top(self, kind: type) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise TypeError(f"expected a {kind.__name__} on the stack")
        return self.stack[-1]

    def popped(self) -> list[Any]:
        """Everything above the last mark."""
        items = []
        while (item := self.stack.pop()) is not _Mark:
            items.append(item)
        return items[::-1]

    def set_items(self, items: list[Any]) -> None:
        target = self.top(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str | int | float):
                raise FileFormatError(f"data.pkl has a {type(key).__name__} as a key; expected names")
            target[key] = value

    def named(self, name: str) -> _Name:
        module, _, attribute = name.partition(" ")
        if name in _CALLABLE or (module in ("torch", "torch.storage") and attribute in STORAGES):
            return _Name(name)
        raise FileFormatError(
            f"data.pkl names {module}.{attribute}: it holds more than a state dict (a whole module?), and unpickling "
            "that could run code. Save module.state_dict() instead, or pass the module to from_torch",
            name=name,
        )

    def storage(self, key: Any) -> _Storage:
        if not (isinstance(key, tuple) and len(key) >= 5 and key[0] == "storage" and isinstance(key[1], _Name)):
            raise FileFormatError("data.pkl refers to something that is not a tensor's storage")
        kind = key[1].name.partition(" ")[2]
        if kind not in STORAGES or not isinstance(key[2], str) or not isinstance(key[4], int) or key[4] < 0:
            raise FileFormatError("data.pkl describes a storage that is not one of numbers")
        return _Storage(key[2], STORAGES[kind], key[4])

    def call(self, function: Any, arguments: Any) -> Any:
        if not isinstance(function, _Name) or not isinstance(arguments, tuple):
            raise TypeError("a call of something that is not a function")
        name = function.name
        if name == "collections OrderedDict":
            made: dict[Any, Any] = {}
            if arguments:
                self.stack.append(made)
                self.set_items([part for pair in arguments[0] for part in pair])
                self.stack.pop()
            return made
        if name == "torch Size":
            return tuple(arguments[0])
        if name == "torch._utils _rebuild_parameter":
            if not isinstance(arguments[0], _Tensor):
                raise TypeError("a parameter without a tensor")
            return arguments[0]
        if name in ("torch._utils _rebuild_tensor", "torch._utils _rebuild_tensor_v2"):
            storage, offset, shape, stride = arguments[:4]
            integers = [offset, *shape, *stride]
            if not isinstance(storage, _Storage) or not all(type(v) is int for v in integers):
                raise TypeError("a tensor without a storage, or with sizes that are no integers")
            return _Tensor(storage, offset, tuple(shape), tuple(stride))
        raise FileFormatError(f"data.pkl calls {name}: refused")


_PUSHED = frozenset(
    [
        "BININT",
        "BININT1",
        "BININT2",
        "LONG1",
        "LONG4",
        "INT",
        "LONG",
        "BINFLOAT",
        "FLOAT",
        "BINUNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE8",
        "UNICODE",
        "BINSTRING",
        "SHORT_BINSTRING",
    ]
)
_CONSTANTS: Mapping[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
