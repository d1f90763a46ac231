"""Small ONNX graphs, how they are read, and what onnxruntime makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import polyfiber as pf

node = helper.make_node
RNG = np.random.default_rng(7)
W1 = RNG.standard_normal((5, 4)).astype(np.float32)
B1 = RNG.standard_normal(5).astype(np.float32)
W2 = RNG.standard_normal((3, 5)).astype(np.float32)
B2 = RNG.standard_normal(3).astype(np.float32)
MEAN = RNG.standard_normal(4).astype(np.float32)
DEV = RNG.uniform(0.5, 3, 4).astype(np.float32)


def build(
    nodes: Sequence[Any],
    constants: dict[str, Any],
    *,
    shape: Sequence[Any] = ("batch", 4),
    outputs: Sequence[str] = ("y",),
    opset: int = 13,
    kind: int = TensorProto.FLOAT,
    raw: bool = True,
) -> bytes:
    tensors = []
    for name, value in constants.items():
        array = np.asarray(value)
        if raw:
            tensors.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name))
        else:
            code = helper.np_dtype_to_tensor_dtype(array.dtype)
            tensors.append(helper.make_tensor(name, code, array.shape, array.ravel().tolist()))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info(o, kind, None) for o in outputs],
        tensors,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 2)]
    )
    model.ir_version = 8
    return bytes(model.SerializeToString())


def read(tmp_path: Path, data: bytes) -> pf.ReLUNetwork:
    path = tmp_path / "net.onnx"
    path.write_bytes(data)
    return pf.read_network(path)


def run(data: bytes, X: np.ndarray) -> np.ndarray:
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": X})[0])


def gemm(inputs: list[str], out: str, **attributes: Any) -> Any:
    return node("Gemm", inputs, [out], name=f"gemm_{out}", **attributes)


TAIL = [node("Relu", ["h"], ["r"]), gemm(["r", "W2", "b2"], "y", transB=1)]
BASE = {"W2": W2, "b2": B2}
HIDDEN = [gemm(["x", "W", "b"], "h", transB=1)]
END = [gemm(["r", "W2", "b2"], "y", transB=1)]
LOGITS = [gemm(["x", "W", "b"], "h", transB=1), node("Relu", ["h"], ["r"]), gemm(["r", "W2", "b2"], "z", transB=1)]


def graph_of(nodes: Sequence[Any], output: str) -> Any:
    return helper.make_graph(list(nodes), output, [], [helper.make_tensor_value_info(output, 1, None)])
