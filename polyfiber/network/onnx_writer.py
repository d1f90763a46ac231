"""ONNX files of networks: Gemm and Relu for chains; sums of products, gates by kind for the rest."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._typing import Array
from ..errors import InputError
from .model import ReLUNetwork
from .names import HEADS
from .piecewise import AffineMap, PiecewiseLinearNetwork
from .sparse import dense

OPSET = 13
IR_VERSION = 8


def head_of(net: ReLUNetwork | PiecewiseLinearNetwork) -> str | None:
    """The head that was read off the file of a network."""
    head = net.source.get("head")
    return head if isinstance(head, str) and head in HEADS else None


def float_type(arrays: list[Array], dtype: str | None) -> str:
    """'float32' where that is exact, else 'float64'; InputError if the one asked for is not exact."""
    with np.errstate(over="ignore"):
        narrow = all(np.array_equal(a.astype(np.float32).astype(np.float64), a) for a in arrays)
    if dtype is None:
        return "float32" if narrow else "float64"
    if dtype not in ("float32", "float64"):
        raise InputError(f"dtype {dtype!r}; expected 'float32' or 'float64'")
    if dtype == "float32" and not narrow:
        raise InputError("float32 would change the parameters; round them first, or write float64")
    return dtype


def onnx_bytes(net: ReLUNetwork | PiecewiseLinearNetwork, dtype: str | None) -> bytes:
    """The network as an ONNX model; the same network gives the same bytes."""
    writer = _Writer(_arrays(net), dtype, net.architecture[0])
    at = writer.chain(net) if isinstance(net, ReLUNetwork) else writer.graph(net)
    return writer.model(net.input_shape, net.architecture[-1], head_of(net), at)


def _arrays(net: ReLUNetwork | PiecewiseLinearNetwork) -> list[Array]:
    if isinstance(net, ReLUNetwork):
        return [*net.weights, *net.biases]
    maps = [*(b.affine for b in net.blocks), net.output]
    matrices = [dense(w) for a in maps for w in a.weights.values()]
    return [*matrices, *(a.bias for a in maps), *(b.slopes for b in net.blocks)]


class _Writer:
    def __init__(self, arrays: list[Array], dtype: str | None, inputs: int) -> None:
        import onnx

        self.onnx = onnx
        self.dtype = float_type(arrays, dtype)
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []
        self.inputs = inputs

    def tensor(self, name: str, values: Array) -> str:
        array = np.ascontiguousarray(values, dtype=np.dtype(self.dtype).newbyteorder("<"))
        self.tensors.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def node(self, op: str, name: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(self.onnx.helper.make_node(op, inputs, [output], name, **attributes))
        return output

    def flat(self, shape: tuple[int, ...]) -> str:
        return self.node("Flatten", "flatten", ["input"], "y0", axis=1) if len(shape) > 1 else "input"

    def chain(self, net: ReLUNetwork) -> str:
        at, last = self.flat(net.input_shape), len(net.weights)
        for i, (w, b) in enumerate(zip(net.weights, net.biases), start=1):
            inputs = [at, self.tensor(f"W{i}", w), self.tensor(f"b{i}", b)]
            at = self.node("Gemm", f"layer{i}", inputs, "output" if i == last else f"z{i}", transB=1)
            if i < last:
                at = self.node("Relu", f"relu{i}", [at], f"y{i}")
        return at

    def graph(self, net: PiecewiseLinearNetwork) -> str:
        values = [self.flat(net.input_shape)]
        for l, block in enumerate(net.blocks, start=1):
            z = self.affine(block.affine, values, str(l), f"z{l}")
            values.append(self.gates(block.slopes, z, l))
        return self.affine(net.output, values, "out", "output")

    def affine(self, affine: AffineMap, values: list[str], label: str, output: str) -> str:
        terms = [
            self.node(
                "MatMul", f"product{label}_{j}", [values[j], self.tensor(f"W{label}_{j}", dense(w).T)], f"p{label}_{j}"
            )
            for j, w in affine.weights.items()
        ]
        if not terms:  # constants, but one for each point
            none = self.tensor(f"W{label}_none", np.zeros((self.inputs, affine.n_rows)))
            terms = [self.node("MatMul", f"product{label}", [values[0], none], f"p{label}")]
        while len(terms) > 1:
            terms[:2] = [self.node("Add", f"sum{label}_{len(terms)}", terms[:2], f"s{label}_{len(terms)}")]
        return self.node("Add", f"bias{label}", [terms[0], self.tensor(f"b{label}", affine.bias)], output)

    def gates(self, slopes: Array, z: str, l: int) -> str:
        """Relu, Abs or PRelu where all upper slopes are 1; else ``s+ relu(z) - s- relu(-z)``."""
        kinds = {tuple(pair) for pair in slopes.tolist()}
        if kinds == {(0.0, 1.0)}:
            return self.node("Relu", f"gates{l}", [z], f"y{l}")
        if kinds == {(-1.0, 1.0)}:
            return self.node("Abs", f"gates{l}", [z], f"y{l}")
        if {high for _, high in kinds} == {1.0}:
            return self.node("PRelu", f"gates{l}", [z, self.tensor(f"s{l}", slopes[:, 0])], f"y{l}")
        up = self.node("Relu", f"up{l}", [z], f"u{l}")
        down = self.node("Relu", f"down{l}", [self.node("Neg", f"minus{l}", [z], f"m{l}")], f"d{l}")
        terms = [
            self.node("Mul", f"slope{l}_{k}", [part, self.tensor(f"s{l}_{k}", values)], f"t{l}_{k}")
            for k, (part, values) in enumerate([(up, slopes[:, 1]), (down, -slopes[:, 0])])
        ]
        return self.node("Add", f"gates{l}", terms, f"y{l}")

    def model(self, shape: tuple[int, ...], outputs: int, head: str | None, at: str) -> bytes:
        helper = self.onnx.helper
        code = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info("input", code, ["batch", *shape])],
            [helper.make_tensor_value_info(at, code, ["batch", outputs])],
            self.tensors,
        )
        imports = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=imports, producer_name="polyfiber", ir_version=IR_VERSION)
        if head:
            helper.set_model_props(model, {"polyfiber.head": head})
        return bytes(model.SerializeToString(deterministic=True))
