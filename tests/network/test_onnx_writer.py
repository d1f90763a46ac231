"""ONNX files that are written: the same bytes, the same values by onnxruntime, and the same network again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import polyfiber as pf
from polyfiber.errors import InputError
from polyfiber.network import onnx_writer
from polyfiber.network.piecewise import AffineMap, PiecewiseLinearNetwork
from polyfiber.testing.graphs import KINDS, random_graph


def run(data: bytes, X: np.ndarray) -> np.ndarray:
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    kind = np.float32 if session.get_inputs()[0].type == "tensor(float)" else np.float64
    return np.asarray(session.run(None, {"input": X.astype(kind)})[0])


def test_the_narrowest_type_that_is_exact() -> None:
    single, double = [np.array([0.5, 2.0**100])], [np.array([0.1])]
    assert onnx_writer.float_type(single, None) == "float32"
    assert onnx_writer.float_type(double, None) == "float64"
    assert onnx_writer.float_type(single, "float64") == "float64"
    with pytest.raises(InputError, match="would change the parameters"):
        onnx_writer.float_type(double, "float32")
    with pytest.raises(InputError, match="expected 'float32'"):
        onnx_writer.float_type(single, "half")


def test_chains_are_gemms_and_relus(tmp_path: Path) -> None:
    net = pf.ReLUNetwork.random((3, 4, 5, 2), rng=0)
    data = onnx_writer.onnx_bytes(net, None)
    assert data == onnx_writer.onnx_bytes(net, None)
    graph = onnx.load_from_string(data).graph
    assert [n.op_type for n in graph.node] == ["Gemm", "Relu", "Gemm", "Relu", "Gemm"]
    onnx.checker.check_model(onnx.load_from_string(data))
    (tmp_path / "a.onnx").write_bytes(data)
    assert pf.read_network(tmp_path / "a.onnx") == net


@pytest.mark.parametrize("kind", [*KINDS, "mixed"])
def test_gates_of_every_kind(tmp_path: Path, kind: str) -> None:
    net = random_graph(3, 2, (3, 2), kind=kind, wiring="residual", weights="integer", outputs=2)
    data = onnx_writer.onnx_bytes(net, None)
    X = np.random.default_rng(0).integers(-8, 9, (9, 2)) / 4
    if kind not in ("leaky", "mixed"):  # 0.1 is no float32, and onnxruntime has no PRelu of float64
        np.testing.assert_allclose(run(data, X), net(X), atol=1e-5)
    (tmp_path / "a.onnx").write_bytes(data)
    again = pf.read_network(tmp_path / "a.onnx")
    np.testing.assert_allclose(again(X), net(X), atol=1e-12)


def test_constants_heads_and_shapes(tmp_path: Path) -> None:
    constant = PiecewiseLinearNetwork(2, [], AffineMap({}, [3.0, -1.0]))
    data = onnx_writer.onnx_bytes(constant, "float64")
    assert run(data, np.zeros((3, 2))).tolist() == [[3.0, -1.0]] * 3
    net = pf.ReLUNetwork.random((2, 3, 2), rng=0)
    headed = pf.ReLUNetwork(net.weights, net.biases, source={"head": "softmax"})
    assert onnx_writer.head_of(headed) == "softmax"
    assert onnx_writer.head_of(pf.ReLUNetwork(net.weights, net.biases, source={"head": "else"})) is None
    (tmp_path / "a.onnx").write_bytes(onnx_writer.onnx_bytes(headed, None))
    assert pf.read_network(tmp_path / "a.onnx").source["head"] == "softmax"
