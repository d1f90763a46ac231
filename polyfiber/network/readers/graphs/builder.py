"""An ONNX graph in memory, built node by node, and read as a network.

Two libraries that describe networks as graphs of layers are translated to operators of ONNX: what an operator means,
which shapes it takes and what is refused is then known in one place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...._typing import Array
from ....errors import InputError, PolyfiberError
from ...model import ReLUNetwork
from ...names import printable
from ...piecewise import PiecewiseLinearNetwork
from .. import onnx as reader

OPSET = 13
MOST_BYTES = 1 << 30


class GraphBuilder:
    """Nodes and constants of one graph.

    Parameters
    ----------
    input_shape : sequence of int
        Of one input, batch left out.

    Examples
    --------
    >>> g = GraphBuilder([2])
    >>> hidden = g.add("Gemm", [g.input, g.constant(np.eye(2, dtype=np.float32))], transB=1)
    >>> g.network([g.add("LeakyRelu", [hidden], alpha=0.5)], {"format": "demo"}).n_hidden
    2
    """

    def __init__(self, input_shape: Sequence[int]) -> None:
        self.input = "input"
        self.shape = tuple(int(n) for n in input_shape)
        if not self.shape or any(n < 1 for n in self.shape):
            raise InputError(f"one input has the shape {self.shape}; expected positive sizes, the batch left out")
        self.nodes: list[Any] = []
        self.tensors: dict[str, Array] = {}
        self.dtypes: set[str] = set()
        self.notes: list[str] = []

    def constant(self, values: Any) -> str:
        """Name of a constant."""
        array = np.ascontiguousarray(values)
        if array.ndim == 0 or array.dtype == object:
            array = np.asarray(values)
        if array.dtype.kind == "f":
            self.dtypes.add(array.dtype.name)
        name = f"constant_{len(self.tensors)}"
        self.tensors[name] = array
        return name

    def add(self, op: str, inputs: Sequence[str], *, name: str = "", **attributes: Any) -> str:
        """Name of the result of an operator."""
        return self.several(op, inputs, 1, name=name, **attributes)[0]

    def several(self, op: str, inputs: Sequence[str], count: int, *, name: str = "", **attributes: Any) -> list[str]:
        """Names of all results of an operator."""
        from onnx import helper

        results = [f"value_{len(self.nodes)}_{k}" for k in range(count)]
        given = {k: v for k, v in attributes.items() if v is not None}
        self.nodes.append(helper.make_node(op, list(inputs), results, name=printable(name) if name else "", **given))
        return results

    def reshape(self, value: str, shape: Sequence[int], *, name: str = "") -> str:
        """Reshape to a shape, the batch of one included."""
        return self.add("Reshape", [value, self.constant(np.array(shape, dtype=np.int64))], name=name)

    def transpose(self, value: str, order: Sequence[int]) -> str:
        """Axes in another order."""
        return self.add("Transpose", [value], perm=list(order))

    def network(self, outputs: Sequence[str], source: Mapping[str, Any]) -> ReLUNetwork | PiecewiseLinearNetwork:
        """Read the graph that ends in these values."""
        from onnx import TensorProto, helper, numpy_helper

        size = sum(a.nbytes for a in self.tensors.values())
        if size > MOST_BYTES:
            raise InputError(f"the constants of the network have {size:,} bytes; the limit is {MOST_BYTES:,}")
        floating = TensorProto.DOUBLE if "float64" in self.dtypes else TensorProto.FLOAT
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info(self.input, floating, [1, *self.shape])],
            [helper.make_tensor_value_info(name, floating, None) for name in outputs],
            [numpy_helper.from_array(a, n) for n, a in self.tensors.items()],
        )
        # inputs may be larger than their network: pad what the reader compares sizes with
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=8,
            doc_string=" " * 4 * int(np.prod(self.shape)),
        )
        facts: dict[str, Any] = {}
        try:
            network = reader.read(model.SerializeToString(), facts)
        except PolyfiberError:
            raise
        except (ValueError, TypeError) as error:
            raise InputError(f"the graph cannot be written as ONNX ({str(error)[:200]})") from None
        merged = {**network.source, **source, "dtype": "+".join(sorted(self.dtypes)) or network.source.get("dtype")}
        merged["notes"] = (*merged.get("notes", ()), *self.notes)
        if isinstance(network, ReLUNetwork):
            return ReLUNetwork(network.weights, network.biases, source=merged)
        return PiecewiseLinearNetwork(
            network.n_inputs, network.blocks, network.output, input_shape=self.shape, source=merged
        )
