"""ONNX files as plain values: tensors of every width, inputs and outputs, names, what is declared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import polyfiber as pf
from polyfiber.errors import FileFormatError

from .cases import (
    B1,
    BASE,
    W1,
    build,
    gemm,
    node,
    read,
)


def test_external_data_is_refused_by_name(tmp_path: Path) -> None:
    data = build([gemm(["x", "W", "b"], "y", transB=1)], {"W": W1, "b": B1})
    model = onnx.load_from_string(data)
    onnx.save_model(model, tmp_path / "net.onnx", save_as_external_data=True, location="net.bin", size_threshold=0)
    with pytest.raises(FileFormatError, match=r"net\.bin") as caught:
        pf.read_network(tmp_path / "net.onnx")
    assert caught.value.location == "net.bin"  # type: ignore[attr-defined]


def test_several_inputs_are_one_vector(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [node("Relu", ["z"], ["p"]), node("Concat", ["p", "x"], ["c"], axis=1), gemm(["c", "W"], "y", transB=1)],
        "g",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["b", k]) for n, k in (("x", 1), ("z", 3))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(W1, "W")],
    )
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
    net = read(tmp_path, data)
    assert isinstance(net, pf.PiecewiseLinearNetwork)
    assert any("'x' (1), 'z' (3)" in note for note in net.source["notes"])
    X = np.random.default_rng(0).standard_normal((1, 4)).astype(np.float32)
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": X[:, :1], "z": X[:, 1:]})[0], net(X), rtol=1e-5)


def test_several_outputs_are_one_vector(tmp_path: Path) -> None:
    heads = [gemm(["r", "W2", "b2"], "y", transB=1), node("Sigmoid", ["r"], ["p"]), node("Identity", ["y"], ["again"])]
    body = [gemm(["x", "W", "b"], "h", transB=1), node("Relu", ["h"], ["r"])]
    data = build([*body, *heads], {**BASE, "W": W1, "b": B1}, outputs=("y", "p", "again"))
    net = read(tmp_path, data)
    assert net.architecture == (4, 5, 11)
    assert net.source["outputs"] == {"y": 3, "p": 5, "again": 3}
    assert any("before its sigmoid" in note for note in net.source["notes"])


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_widths_of_floats(tmp_path: Path, dtype: Any) -> None:
    for raw in (True, False):
        data = build(
            [gemm(["x", "W", "b"], "y", transB=1)],
            {"W": W1.astype(dtype), "b": B1.astype(dtype)},
            kind=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)),
            raw=raw,
        )
        net = read(tmp_path, data)
        np.testing.assert_array_equal(net.weights[0], W1.astype(dtype).astype(np.float64))
        assert net.source["dtype"] == np.dtype(dtype).name


@pytest.mark.parametrize("bits", [False, True])  # onnx 1.17 and 1.18 give bits, others numbers
def test_bfloat16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: bool) -> None:
    values = np.array([[1.0, -0.375, 3.5, 2.0**-120]], dtype=np.float32)
    tensor = helper.make_tensor("W", TensorProto.BFLOAT16, (1, 4), values.ravel().tolist())
    graph = helper.make_graph(
        [node("Gemm", ["x", "W"], ["y"], transB=1)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.BFLOAT16, ["b", 4])],
        [helper.make_tensor_value_info("y", TensorProto.BFLOAT16, None)],
        [tensor],
    )
    if bits:
        held = (values.view(np.uint32) >> 16).astype(np.uint16)
        monkeypatch.setattr("onnx.numpy_helper.to_array", lambda _: held)
    net = read(tmp_path, helper.make_model(graph).SerializeToString())
    np.testing.assert_array_equal(net.weights[0], values.astype(np.float64))


def test_declared_sizes_are_checked_before_anything_is_allocated(tmp_path: Path) -> None:
    model = onnx.load_from_string(build([gemm(["x", "W", "b"], "y", transB=1)], {"W": W1, "b": B1}))
    model.graph.initializer[0].dims[:] = [10**9, 10**9]
    with pytest.raises(FileFormatError, match=r"declares (the )?shape"):
        read(tmp_path, model.SerializeToString())
    model.graph.initializer[0].dims[:] = [-1, 4]
    with pytest.raises(FileFormatError, match="negative"):
        read(tmp_path, model.SerializeToString())


def test_names_are_unique(tmp_path: Path) -> None:
    again = [gemm(["x", "W", "b"], "y", transB=1), gemm(["x", "W", "b"], "y", transB=1)]
    with pytest.raises(FileFormatError, match="there already"):
        read(tmp_path, build(again, {"W": W1, "b": B1}))
    model = onnx.load_from_string(build(again[:1], {"W": W1, "b": B1}))
    model.graph.initializer.append(model.graph.initializer[0])
    with pytest.raises(FileFormatError, match="two initializers"):
        read(tmp_path, model.SerializeToString())


@pytest.mark.parametrize("first", [True, False])
def test_constant_outputs_are_outputs(tmp_path: Path, first: bool) -> None:
    nodes = [
        gemm(["x", "W"], "h"),
        node("Relu", ["h"], ["y"]),
        node("Identity", ["b"], ["c"]),
        node("Shape", ["c"], ["s"]),
    ]
    data = build(nodes, {"W": W1.T, "b": B1}, outputs=("c", "y", "s") if first else ("y", "s", "c"), shape=(1, 4))
    net = read(tmp_path, data)
    x = np.ones(4)
    parts = {"c": B1, "s": [5], "y": np.maximum(W1 @ x, 0)}
    expected = np.concatenate([parts[n] for n in ("c y s" if first else "y s c").split()])
    np.testing.assert_allclose(net(x), expected, rtol=1e-6)
    assert dict(net.source["outputs"]) == {n: len(parts[n]) for n in net.source["outputs"]}
    assert any("'c' does not depend on the input" in n for n in net.source["notes"])


def test_the_same_values_twice_are_two_outputs(tmp_path: Path) -> None:
    nodes = [gemm(["x", "W", "b"], "y", transB=1), node("Identity", ["y"], ["z"]), node("Softmax", ["y"], ["p"])]
    net = read(tmp_path, build(nodes, {"W": W1, "b": B1}, outputs=("y", "p", "z")))
    assert net.architecture == (4, 10)
    assert "outputs 'y', 'p' share one network" in net.source["notes"]
    np.testing.assert_allclose(net(np.ones(4)), np.tile(W1.astype(float) @ np.ones(4) + B1, 2))


def test_an_input_that_nothing_reads_is_noted(tmp_path: Path) -> None:
    model = onnx.load_from_string(build([gemm(["x", "W"], "y")], {"W": W1.T}))
    model.graph.input.append(helper.make_tensor_value_info("z", 1, [1, 2]))
    net = read(tmp_path, model.SerializeToString())
    assert "input 'z' is left out: no output needs it" in net.source["notes"]
