"""ONNX files as plain values: nodes, constants, inputs, outputs. No third party is needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..._typing import Array
from ...errors import FileFormatError
from ..names import printable
from . import wire
from .files import array_from, count

# TensorProto.DataType -> dtype
DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    16: "bfloat16",
}


@dataclass(frozen=True)
class Tensor:
    """A constant; ``bfloat16`` is widened to float32, ``dtype`` keeps the name in the file."""

    values: Array
    dtype: str


@dataclass(frozen=True)
class Node:
    """One operation."""

    op: str
    name: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]

    @property
    def label(self) -> str:
        """How messages name the node."""
        op = printable(self.op, 60)
        return f"node {printable(self.name)!r} ({op})" if self.name else f"node {op} -> {self.outputs[:1]}"


@dataclass
class Model:
    """What the reader needs of a ModelProto."""

    producer: str = ""
    opset: int = 0
    head: str | None = None  # as our own writer records it
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Tensor] = field(default_factory=dict)
    inputs: dict[str, list[int | None] | None] = field(default_factory=dict)  # None: no shape given
    outputs: list[str] = field(default_factory=list)


def parse_model(data: bytes) -> Model:
    """Decode an ONNX file."""
    model = Model()
    graph: memoryview | None = None
    producer = version = ""
    for number, kind, value in wire.fields(memoryview(data)):
        if number == 2 and kind == wire.BYTES:
            producer = wire.text(value)
        elif number == 3 and kind == wire.BYTES:
            version = wire.text(value)
        elif number == 7:
            if graph is not None:
                raise FileFormatError("two graphs in one model; expected one")
            graph = wire.message(value)
        elif number == 8:
            domain, opset = "", 0
            for n, _, v in wire.fields(wire.message(value)):
                if n == 1:
                    domain = wire.text(v)
                elif n == 2:
                    opset = wire.signed(v)
            if domain in ("", "ai.onnx"):
                model.opset = opset
        elif number == 14:
            entry = {n: wire.text(v) for n, _, v in wire.fields(wire.message(value)) if n in (1, 2)}
            if entry.get(1) == "polyfiber.head":
                model.head = printable(entry.get(2, ""), 40) or None
    if graph is None:
        raise FileFormatError("no graph in it: this is not an ONNX model")
    model.producer = f"{producer} {version}".strip()
    for number, _, value in wire.fields(graph):
        if number == 1:
            model.nodes.append(_node(wire.message(value)))
        elif number == 5:
            name, tensor = parse_tensor(wire.message(value))
            if name in model.constants:
                raise FileFormatError(f"two initializers have the name {name!r}")
            model.constants[name] = tensor
        elif number == 11:
            name, shape = _value_info(wire.message(value))
            model.inputs[name] = shape
        elif number == 12:
            model.outputs.append(_value_info(wire.message(value))[0])
        elif number == 15:
            raise FileFormatError("the graph holds sparse initializers; export it with dense ones")
    return model


def parse_tensor(data: memoryview) -> tuple[str, Tensor]:
    """(name, tensor) of a TensorProto."""
    dims: list[int] = []
    code = 0
    name, location = "", "(no location given)"
    external = False
    raw: memoryview | None = None
    parts: dict[str, list[Any]] = {"float32": [], "float64": [], "int": []}
    for number, kind, value in wire.fields(data):
        if number == 1:
            dims += wire.numbers(kind, value)
        elif number == 2:
            code = wire.signed(value)
        elif number == 4:
            parts["float32"].append(wire.floats(value, "<f4"))
        elif number in (5, 7, 11):
            parts["int"].append(wire.numbers(kind, value))
        elif number == 8:
            name = wire.text(value)
        elif number == 9:
            raw = wire.message(value)
        elif number == 10:
            parts["float64"].append(wire.floats(value, "<f8"))
        elif number == 13:
            entry = {n: wire.text(v) for n, _, v in wire.fields(wire.message(value)) if n in (1, 2)}
            if entry.get(1) == "location":
                location = entry.get(2, "")
        elif number == 14:
            external = external or wire.signed(value) == 1
    what = f"tensor {name!r}"
    if external:
        raise FileFormatError(
            f"{what} keeps its numbers outside the file, in {location!r}; "
            "save the model as one file (onnx.save_model(..., save_as_external_data=False))",
            location=location,
        )
    if code not in DTYPES:
        raise FileFormatError(f"{what} has ONNX data type {code}; expected one of {', '.join(DTYPES.values())}")
    dtype = DTYPES[code]
    if raw is not None:
        return name, Tensor(array_from(raw, dtype, dims, what), dtype)
    if dtype in ("float32", "float64"):
        values = np.concatenate([*parts[dtype], np.empty(0, dtype=dtype)])
    else:
        flat = [i for part in parts["int"] for i in part]
        if dtype in ("float16", "bfloat16"):
            bits = np.array([i & 0xFFFF for i in flat], dtype=np.uint16)
            return name, Tensor(array_from(bits.tobytes(), dtype, dims, what), dtype)
        low, high = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        if dtype == "uint64":
            flat = [i % (1 << 64) for i in flat]
        if any(not low <= i <= high for i in flat):
            raise FileFormatError(f"{what} of {dtype} holds a number outside {low} to {high}")
        values = np.array(flat, dtype=dtype)
    if values.size != count(dims, what):
        raise FileFormatError(f"{what} declares shape {tuple(dims)} and holds {values.size} numbers")
    return name, Tensor(values.reshape(dims), dtype)


def _node(data: memoryview) -> Node:
    inputs: list[str] = []
    outputs: list[str] = []
    name = op = domain = ""
    attributes: dict[str, Any] = {}
    for number, _, value in wire.fields(data):
        if number == 1:
            inputs.append(wire.text(value))
        elif number == 2:
            outputs.append(wire.text(value))
        elif number == 3:
            name = wire.text(value)
        elif number == 4:
            op = wire.text(value)
        elif number == 5:
            key, content = _attribute(wire.message(value))
            attributes[key] = content
        elif number == 7:
            domain = wire.text(value)
    return Node(op, name, domain, tuple(inputs), tuple(outputs), attributes)


def _attribute(data: memoryview) -> tuple[str, Any]:
    """(name, value); a subgraph is not entered and gives None."""
    name = ""
    content: Any = None
    kind_code = 0
    floats: list[float] = []
    ints: list[int] = []
    strings: list[str] = []
    single: dict[int, Any] = {}
    for number, kind, value in wire.fields(data):
        if number == 1:
            name = wire.text(value)
        elif number == 2:
            single[1] = wire.float32(value)
        elif number == 3:
            single[2] = wire.signed(value)
        elif number == 4:
            single[3] = wire.text(value)
        elif number == 5:
            single[4] = wire.message(value)
        elif number == 7:
            floats += wire.floats(value, "<f4").tolist()
        elif number == 8:
            ints += wire.numbers(kind, value)
        elif number == 9:
            strings.append(wire.text(value))
        elif number == 20:
            kind_code = wire.signed(value)
    if 4 in single:
        single[4] = parse_tensor(single[4])[1]
    lists: dict[int, Any] = {6: floats, 7: ints, 8: strings}
    if kind_code in lists:
        content = lists[kind_code]
    elif kind_code in single:
        content = single[kind_code]
    elif kind_code == 0:  # files older than the type field
        content = next(iter(single.values()), floats or ints or strings or None)
    else:  # a field left out holds its default
        content = {1: 0.0, 2: 0, 3: ""}.get(kind_code)
    return name, content


def _value_info(data: memoryview) -> tuple[str, list[int | None] | None]:
    name = ""
    shape: list[int | None] | None = None
    for number, _, value in wire.fields(data):
        if number == 1:
            name = wire.text(value)
        elif number == 2:
            for n, _, tensor in wire.fields(wire.message(value)):
                if n == 1:
                    shape = _shape(wire.message(tensor))
    return name, shape


def _shape(data: memoryview) -> list[int | None] | None:
    for number, _, value in wire.fields(data):
        if number == 2:
            dims: list[int | None] = []
            for n, _, dim in wire.fields(wire.message(value)):
                if n == 1:
                    size: int | None = None
                    for m, _, v in wire.fields(wire.message(dim)):
                        if m == 1:
                            size = wire.signed(v)
                    dims.append(size if size is not None and size > 0 else None)
            return dims
    return None
