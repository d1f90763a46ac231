"""ONNX files as plain values, parsed by the ``onnx`` package: nodes, constants, inputs, outputs.

The nodes that the outputs need are checked against the operator schemas of ``onnx``; others are not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...._typing import Array
from ....errors import FileFormatError
from ...names import known_head, printable
from ..files import count
from .limits import check_cost
from .nested import Functions

PACKED = {21: "uint4", 22: "int4"}
"""Two numbers a byte: quantised weights. They are read as numbers of 8 bits."""

FLOATS = ("float16", "bfloat16", "float32", "float64")
DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16",
    11: "float64", 12: "uint32", 13: "uint64", 16: "bfloat16",
}  # fmt: skip
"""TensorProto.DataType -> dtype."""


@dataclass(frozen=True)
class Node:
    """One operation."""

    op: str
    name: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    message: Any  # NodeProto

    @property
    def label(self) -> str:
        """How messages name the node."""
        op = printable(self.op, 60)
        return f"node {printable(self.name)!r} ({op})" if self.name else f"node {op} -> {self.shown}"

    @property
    def shown(self) -> str:
        """Its name, or that of its output."""
        return printable(self.name or next((o for o in self.outputs if o), self.op))


@dataclass
class Model:
    """What the reader needs of a ModelProto."""

    producer: str = ""
    versions: dict[str, int] = field(default_factory=dict)  # domain -> opset
    ir_version: int = 0
    head: str | None = None  # as our own writer records it
    nodes: list[Node] = field(default_factory=list)
    functions: Functions | None = None
    tensors: dict[str, Any] = field(default_factory=dict)  # name -> TensorProto
    inputs: dict[str, list[int | None] | None] = field(default_factory=dict)  # None: no shape given
    types: dict[str, str] = field(default_factory=dict)  # of the inputs; "" where none is stated, or no type of numbers
    outputs: list[str] = field(default_factory=list)

    @property
    def opset(self) -> int:
        """Version of the standard operators; 0 if the file does not say."""
        return self.versions.get("", self.versions.get("ai.onnx", 0))

    def opened(self, messages: Sequence[Any]) -> list[Node]:
        """Nodes, with those of functions of the file where they are called."""
        return [_node(n) for n in (self.functions.opened(messages) if self.functions else messages)]


def parse_model(data: bytes) -> Model:
    """Decode an ONNX file; FileFormatError if it is none, or would cost more than its size allows."""
    import onnx

    check_cost(data, onnx.ModelProto.DESCRIPTOR)
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except Exception as error:  # DecodeError, whose class depends on the implementation of protobuf
        raise FileFormatError(f"this is not an ONNX model: {printable(str(error))}") from None
    if not proto.HasField("graph"):
        raise FileFormatError("no graph in it: this is not an ONNX model")
    graph = proto.graph
    if len(graph.sparse_initializer):
        raise FileFormatError("the graph holds sparse initializers; export it with dense ones")
    model = Model(f"{proto.producer_name} {proto.producer_version}".strip(), ir_version=proto.ir_version)
    model.versions = {"" if o.domain == "ai.onnx" else o.domain: o.version for o in proto.opset_import}
    for entry in proto.metadata_props:
        if entry.key == "polyfiber.head":
            model.head = known_head(entry.value)
    for tensor in graph.initializer:
        if tensor.name in model.tensors:
            raise FileFormatError(f"two initializers have the name {printable(tensor.name)!r}")
        model.tensors[tensor.name] = tensor
    model.functions = Functions(proto)
    model.nodes = model.opened(graph.node)
    model.inputs = {v.name: _shape(v) for v in graph.input}
    model.types = {v.name: DTYPES.get(v.type.tensor_type.elem_type, "") for v in graph.input}
    model.outputs = [v.name for v in graph.output]
    return model


def _node(message: Any) -> Node:
    attributes = {printable(a.name): _attribute(a) for a in message.attribute}
    domain = "" if message.domain == "ai.onnx" else message.domain
    return Node(message.op_type, message.name, domain, tuple(message.input), tuple(message.output), attributes, message)


def _attribute(a: Any) -> Any:
    """Its value: numbers, text, a TensorProto, lists of these; None for graphs and the like."""
    kind = a.type
    if kind == 1 or (kind == 0 and a.HasField("f")):
        return float(a.f)
    if kind == 2 or (kind == 0 and a.HasField("i")):
        return int(a.i)
    if kind == 3 or (kind == 0 and a.HasField("s")):
        return a.s.decode("utf-8", "replace")
    if kind == 4 or (kind == 0 and a.HasField("t")):
        return a.t
    if kind in (6, 7, 8) or kind == 0:
        values = {6: a.floats, 7: a.ints, 8: a.strings}.get(kind) or a.floats or a.ints or a.strings
        return [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in values]
    return None


def _shape(value: Any) -> list[int | None] | None:
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        return None
    return [d.dim_value if d.dim_value > 0 else None for d in value.type.tensor_type.shape.dim]


def tensor_values(tensor: Any) -> Array:
    """The numbers of a TensorProto; bfloat16 widened to float32."""
    from onnx import numpy_helper

    what = f"tensor {printable(tensor.name)!r}"
    if tensor.data_location == 1 or len(tensor.external_data):
        location = next((e.value for e in tensor.external_data if e.key == "location"), "(no location given)")
        raise FileFormatError(
            f"{what} keeps its numbers outside the file, in {printable(location)!r}; "
            "save the model as one file (onnx.save_model(..., save_as_external_data=False))",
            location=location,
        )
    packed = PACKED.get(tensor.data_type, "")
    if tensor.data_type not in DTYPES and not packed:
        known = ", ".join([*DTYPES.values(), *PACKED.values()])
        raise FileFormatError(f"{what} has ONNX data type {tensor.data_type}; expected one of {known}")
    dtype = packed or DTYPES[tensor.data_type]
    shape = tuple(tensor.dims)
    size = count(shape, what)
    if packed:
        size = (size + 1) // 2
    item = 1 if packed else 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize
    lists = (tensor.float_data, tensor.double_data, tensor.int32_data, tensor.int64_data, tensor.uint64_data)
    found = len(tensor.raw_data) // item if tensor.HasField("raw_data") else max(len(v) for v in lists)
    if found != size or len(tensor.raw_data) % item:
        raise FileFormatError(
            f"{what} declares shape {shape} of {dtype}; the file holds {found:,} {'bytes' if packed else 'numbers'}"
        )
    try:
        values = np.asarray(numpy_helper.to_array(tensor))
    except Exception as error:
        raise FileFormatError(f"{what} of {dtype} cannot be read: {printable(str(error))}") from None
    if packed:  # onnx 1.17 gives numbers of 8 bits, later ones a type of their own
        return values.astype(np.int8 if dtype == "int4" else np.uint8)
    if len(tensor.int32_data) and dtype in ("int8", "uint8", "int16", "uint16", "bool"):
        given = np.array(tensor.int32_data, dtype=np.int64)
        if not np.array_equal(values.ravel().astype(np.int64), given):
            raise FileFormatError(f"{what} of {dtype} holds a number that does not fit it")
    if dtype == "bfloat16" and values.dtype == np.uint16:  # onnx 1.17 and 1.18 give the bits
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32) if dtype == "bfloat16" else values


class Schemas:
    """Checks nodes against the operator schemas of ``onnx``."""

    def __init__(self, model: Model) -> None:
        from onnx import checker

        self.context = checker.C.CheckerContext()
        self.context.ir_version = model.ir_version or 8
        self.context.opset_imports = model.versions
        self.known = bool(model.versions)

    def check(self, node: Node) -> None:
        """FileFormatError if the node breaks its schema."""
        from onnx import checker

        if not self.known or node.domain not in self.context.opset_imports:
            return
        try:
            checker.check_node(node.message, self.context)
        except Exception as error:
            reason = printable(str(error).split("==>")[0].strip(), 300)
            raise FileFormatError(f"{node.label} is not a valid operation of ONNX: {reason}") from None
