"""ONNX graphs as exporters write them, against onnxruntime; what is refused, and how it is said."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import FileFormatError, InputError, PolyfiberError, ShapeError, UnsupportedLayerError

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

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

# name -> (nodes, constants, options of build, shape of the points that are fed)
GRAPHS: dict[str, tuple[list[Any], dict[str, Any], dict[str, Any], tuple[int, ...]]] = {
    "gemm transB": ([gemm(["x", "W", "b"], "h", transB=1), *TAIL], {"W": W1, "b": B1}, {}, (9, 4)),
    "gemm plain": ([gemm(["x", "W", "b"], "h"), *TAIL], {"W": W1.T, "b": B1}, {}, (9, 4)),
    "gemm no bias": ([gemm(["x", "W"], "h"), *TAIL], {"W": W1.T}, {}, (9, 4)),
    "gemm alpha beta": (
        [gemm(["x", "W", "b"], "h", transB=1, alpha=0.3, beta=-1.7), *TAIL],
        {"W": W1, "b": B1},
        {},
        (9, 4),
    ),
    "gemm scalar and row biases": ([gemm(["x", "W", "b"], "h"), *TAIL], {"W": W1.T, "b": B1[:1]}, {}, (9, 4)),
    "gemm constant left": (
        [
            gemm(["W", "x", "b"], "h"),
            node("Relu", ["h"], ["r"]),
            gemm(["V", "r", "c"], "y", transA=1),
        ],
        {"W": W1, "b": B1[:, None], "V": W2.T, "c": B2[:, None]},
        {"shape": (4, 1)},
        (4, 1),
    ),
    "gemm transA of the signal": (
        [node("Transpose", ["x"], ["t"], perm=[1, 0]), gemm(["t", "W", "b"], "h", transA=1, transB=1), *TAIL],
        {"W": W1, "b": B1},
        {"shape": (1, 4)},
        (1, 4),
    ),
    "matmul add": (
        [node("MatMul", ["x", "W"], ["m"]), node("Add", ["m", "b"], ["h"]), *TAIL],
        {"W": W1.T, "b": B1},
        {},
        (9, 4),
    ),
    "add matmul": (
        [node("MatMul", ["x", "W"], ["m"]), node("Add", ["b", "m"], ["h"]), *TAIL],
        {"W": W1.T, "b": B1[None, :]},
        {},
        (9, 4),
    ),
    "matmul of a vector": (
        [
            node("MatMul", ["W", "x"], ["m"]),
            node("Add", ["m", "b"], ["h"]),
            node("Relu", ["h"], ["r"]),
            node("MatMul", ["V", "r"], ["n"]),
            node("Add", ["n", "c"], ["y"]),
        ],
        {"W": W1, "b": B1, "V": W2, "c": B2},
        {"shape": (4,)},
        (4,),
    ),
    "normalised": (
        [
            node("Sub", ["x", "mean"], ["s"]),
            node("Div", ["s", "dev"], ["d"]),
            gemm(["d", "W", "b"], "h", transB=1),
            *TAIL,
        ],
        {"mean": MEAN, "dev": DEV, "W": W1, "b": B1},
        {},
        (9, 4),
    ),
    "other normalisations": (
        [
            node("Sub", ["mean", "x"], ["s"]),
            node("Neg", ["s"], ["n"]),
            node("Mul", ["dev", "n"], ["d"]),
            node("Add", ["d", "one"], ["a"]),
            gemm(["a", "W", "b"], "h", transB=1),
            *TAIL,
        ],
        {"mean": MEAN, "dev": DEV, "one": np.float32(1.5), "W": W1, "b": B1},
        {},
        (9, 4),
    ),
    "scaler of a converter": (
        [
            node("Scaler", ["x"], ["s"], domain="ai.onnx.ml", offset=MEAN.tolist(), scale=(1 / DEV).tolist()),
            gemm(["s", "W", "b"], "h", transB=1),
            *TAIL,
        ],
        {"W": W1, "b": B1},
        {},
        (9, 4),
    ),
    "image": (
        [
            node("Sub", ["x", "mean"], ["s"]),
            node("Flatten", ["s"], ["f"]),
            gemm(["f", "W", "b"], "h", transB=1),
            *TAIL,
        ],
        {"mean": MEAN.reshape(1, 1, 2, 2), "W": W1, "b": B1},
        {"shape": ("n", 1, 2, 2)},
        (9, 1, 2, 2),
    ),
    "per channel": (
        [
            node("Sub", ["x", "mean"], ["s"]),
            node("Flatten", ["s"], ["f"]),
            gemm(["f", "W", "b"], "h", transB=1),
            *TAIL,
        ],
        {"mean": MEAN[:2].reshape(1, 2, 1, 1), "W": W1, "b": B1},
        {"shape": (1, 2, 2, 1)},
        (1, 2, 2, 1),
    ),
    "reshape by shape": (
        [
            node("Shape", ["x"], ["sh"]),
            node("Gather", ["sh", "zero"], ["n"], axis=0),
            node("Unsqueeze", ["n", "axes"], ["u"]),
            node("Concat", ["u", "minus"], ["target"], axis=0),
            node("Reshape", ["x", "target"], ["f"]),
            gemm(["f", "W", "b"], "h", transB=1),
            *TAIL,
        ],
        {
            "zero": np.int64(0),
            "axes": np.array([0]),
            "minus": np.array([-1]),
            "W": W1,
            "b": B1,
        },
        {"shape": ("n", 2, 2)},
        (9, 2, 2),
    ),
    "squeeze and friends": (
        [
            node("Unsqueeze", ["x", "axes"], ["u"]),
            node("Transpose", ["u"], ["t"], perm=[1, 0, 2]),
            node("Squeeze", ["t", "first"], ["q"]),
            node("Identity", ["q"], ["i"]),
            node("Reshape", ["i", "target"], ["f"]),
            node("Cast", ["f"], ["c"], to=TensorProto.FLOAT),
            gemm(["c", "W", "b"], "h", transB=1),
            *TAIL,
        ],
        {"axes": np.array([1]), "first": np.array([0]), "target": np.array([0, 4]), "W": W1, "b": B1},
        {},
        (9, 4),
    ),
    "fixed batch": (
        [
            node("Reshape", ["x", "target"], ["f"]),
            gemm(["f", "W", "b"], "h", transB=1),
            *TAIL,
        ],
        {"target": np.array([6, 4]), "W": W1, "b": B1},
        {"shape": (6, 2, 2)},
        (6, 2, 2),
    ),
    "batch normalisation": (
        [
            gemm(["x", "W", "b"], "g", transB=1),
            node("BatchNormalization", ["g", "gamma", "beta", "m", "v"], ["h"], epsilon=1e-3),
            node("Dropout", ["h"], ["drop"]),
            node("Relu", ["drop"], ["r"]),
            gemm(["r", "W2", "b2"], "y", transB=1),
        ],
        {
            "W": W1,
            "b": B1,
            "gamma": B1 + 2,
            "beta": B1 - 1,
            "m": B1 * 0.3,
            "v": np.abs(B1) + 0.01,
        },
        {},
        (9, 4),
    ),
    "clip and max as relu": (
        [
            gemm(["x", "W", "b"], "h", transB=1),
            node("Clip", ["h", "zero"], ["r"]),
            gemm(["r", "W2", "b2"], "g", transB=1),
            node("Max", ["g", "zero"], ["p"]),
            gemm(["p", "W3"], "y"),
        ],
        {"W": W1, "b": B1, "zero": np.float32(0), "W3": np.eye(3, dtype=np.float32)},
        {},
        (9, 4),
    ),
    "constants as nodes": (
        [
            node("Constant", [], ["W"], value=numpy_helper.from_array(W1)),
            node("Transpose", ["W"], ["Wt"], perm=[1, 0]),
            node("Constant", [], ["one"], value_float=1.0),
            node("ConstantOfShape", ["five"], ["zeros"]),
            node("Add", ["zeros", "one"], ["ones"]),
            node("Mul", ["ones", "b"], ["bias"]),
            node("MatMul", ["x", "Wt"], ["m"]),
            node("Add", ["m", "bias"], ["h"]),
            *TAIL,
        ],
        {"five": np.array([5]), "b": B1},
        {},
        (9, 4),
    ),
    "two dense in a row": (
        [gemm(["x", "W", "b"], "h", transB=1), gemm(["h", "W2", "b2"], "y", transB=1)],
        {"W": W1, "b": B1},
        {},
        (9, 4),
    ),
    "numbers not raw": (
        [gemm(["x", "W", "b"], "h", transB=1), *TAIL],
        {"W": W1, "b": B1},
        {"raw": False},
        (9, 4),
    ),
    "relu at both ends": (
        [node("Relu", ["x"], ["p"]), gemm(["p", "W", "b"], "h", transB=1), node("Relu", ["h"], ["y"])],
        {"W": W1, "b": B1},
        {},
        (9, 4),
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_agrees_with_onnxruntime(tmp_path: Path, name: str) -> None:
    nodes, constants, options, shape = GRAPHS[name]
    data = build(nodes, {**BASE, **constants}, **options)
    net = read(tmp_path, data)
    rng = np.random.default_rng(3)
    for _ in range(3):
        X = rng.standard_normal(shape).astype(np.float32)
        expected = run(data, X)
        points = X.reshape(-1, net.architecture[0])
        np.testing.assert_allclose(expected.reshape(len(points), -1), net(points), rtol=1e-5, atol=2e-5)
    assert net.source["dtype"] == "float32"


def test_normalisation_goes_into_the_first_layer(tmp_path: Path) -> None:
    nodes, constants, options, _ = GRAPHS["normalised"]
    net = read(tmp_path, build(nodes, {**BASE, **constants}, **options))
    (record,) = net.source["folding"]
    assert record["layer"] == 1
    assert record["operations"] == ("s", "d", "gemm_h")
    for i in range(5):
        for j in range(4):
            true = Fraction(float(W1[i, j])) / Fraction(float(DEV[j]))
            found = net.weights[0][i, j]
            assert found == float(true)
            assert abs(Fraction(found) - true) <= Fraction(record["weight_bounds"][i, j])
    # the later layer is as in the file, widened
    np.testing.assert_array_equal(net.weights[1], W2.astype(np.float64))


@pytest.mark.parametrize(
    ("operation", "attributes", "head"),
    [("Sigmoid", {}, "sigmoid"), ("Softmax", {"axis": 1}, "softmax"), ("LogSoftmax", {"axis": -1}, "log-softmax")],
)
def test_head_is_read_as_logits(tmp_path: Path, operation: str, attributes: dict[str, Any], head: str) -> None:
    body = [gemm(["x", "W", "b"], "h", transB=1), node("Relu", ["h"], ["r"]), gemm(["r", "W2", "b2"], "z", transB=1)]
    data = build([*body, node(operation, ["z"], ["y"], **attributes)], {**BASE, "W": W1, "b": B1})
    net = read(tmp_path, data)
    assert net.source["head"] == head
    assert any("logits" in note for note in net.source["notes"])
    X = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    Z = net(X)
    softmax = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
    expected = {"sigmoid": 1 / (1 + np.exp(-Z)), "softmax": softmax, "log-softmax": np.log(softmax)}[head]
    np.testing.assert_allclose(run(data, X), expected, atol=1e-5)


def test_label_and_probabilities_as_converters_write_them(tmp_path: Path) -> None:
    body = [gemm(["x", "W", "b"], "h", transB=1), node("Relu", ["h"], ["r"]), gemm(["r", "W2", "b2"], "z", transB=1)]
    data = build(
        [*body, node("Softmax", ["z"], ["p"], axis=1), node("ArgMax", ["p"], ["label"], axis=1)],
        {**BASE, "W": W1, "b": B1},
        outputs=("label", "p"),
    )
    net = read(tmp_path, data)
    assert net.source["head"] == "softmax"
    assert net.architecture == (4, 5, 3)


HIDDEN = [gemm(["x", "W", "b"], "h", transB=1)]
END = [gemm(["r", "W2", "b2"], "y", transB=1)]
REFUSED: dict[str, tuple[list[Any], dict[str, Any], type[PolyfiberError], str]] = {
    "Tanh": ([*HIDDEN, node("Tanh", ["h"], ["r"]), *END], {}, UnsupportedLayerError, "Tanh.*Supported"),
    "hidden sigmoid": ([*HIDDEN, node("Sigmoid", ["h"], ["r"]), *END], {}, UnsupportedLayerError, "between layers"),
    "product of signals": (
        [*HIDDEN, node("Mul", ["h", "h"], ["r"], name="square"), *END],
        {},
        UnsupportedLayerError,
        "square.*not piecewise linear",
    ),
    "matrix product of signals": (
        [*HIDDEN, node("Transpose", ["h"], ["t"], perm=[1, 0]), node("MatMul", ["h", "t"], ["y"])],
        {},
        UnsupportedLayerError,
        "not piecewise linear",
    ),
    "from nowhere": ([node("Div", ["b", "q"], ["y"])], {}, FileFormatError, "nothing in the file computes it"),
    "reciprocal": ([*HIDDEN, node("Div", ["b", "h"], ["y"])], {}, UnsupportedLayerError, "divides by the input"),
    "slope that depends on the input": (
        [*HIDDEN, node("PRelu", ["h", "h"], ["r"]), *END],
        {},
        UnsupportedLayerError,
        "needs a slope that is constant",
    ),
    "indices that depend on the input": (
        [*HIDDEN, node("ArgMax", ["h"], ["i"], axis=1), node("Gather", ["h", "i"], ["y"], axis=1)],
        {},
        UnsupportedLayerError,
        "argmax",
    ),
    "clips at nan": ([*HIDDEN, node("Clip", ["h", "N", "six"], ["r"]), *END], {"N": np.float32(np.nan)}, InputError, "nan"),
    "cast to integers": (
        [*HIDDEN, node("Cast", ["h"], ["y"], to=TensorProto.INT64)],
        {},
        UnsupportedLayerError,
        "int64",
    ),
    "wrong widths": ([gemm(["x", "W2", "b2"], "y", transB=1)], {}, ShapeError, "expects 5 inputs"),
    "divided by zero": ([node("Div", ["x", "zero"], ["y"])], {}, FileFormatError, "divides by zero"),
    "nan": ([gemm(["x", "N", "b"], "y", transB=1)], {"N": W1 * np.nan}, InputError, "nan"),
    "infinite shift": ([node("Add", ["x", "inf"], ["y"])], {"inf": np.float32(np.inf)}, InputError, "inf"),
    "huge constant": (
        [node("ConstantOfShape", ["size"], ["c"]), node("Add", ["x", "c"], ["y"])],
        {"size": np.array([10**9])},
        FileFormatError,
        "limit",
    ),
    "huge signal": (
        [node("Tile", ["x", "size"], ["c"]), gemm(["c", "W", "b"], "y")],
        {"size": np.array([10**6, 10**6])},
        InputError,
        "limit",
    ),
    "random constant": (
        [node("RandomNormal", [], ["c"], shape=[4]), node("Add", ["x", "c"], ["y"])],
        {},
        UnsupportedLayerError,
        "RandomNormal",
    ),
    "training mode": (
        [
            *HIDDEN,
            node("BatchNormalization", ["h", "b", "b", "b", "v"], ["y", "m", "s"], training_mode=1),
        ],
        {"v": np.abs(B1)},
        UnsupportedLayerError,
        "training mode",
    ),
    "negative variance": (
        [*HIDDEN, node("BatchNormalization", ["h", "b", "b", "b", "v"], ["y"])],
        {"v": -np.abs(B1)},
        InputError,
        "variance",
    ),
    "schema": ([*HIDDEN, node("Relu", ["h", "h"], ["r"]), *END], {}, FileFormatError, "not a valid operation"),
    "cycle": (
        [node("Add", ["x", "r"], ["h"]), node("Relu", ["h"], ["r"]), *END], {}, FileFormatError, "cycle",
    ),
    "loop": (
        [*HIDDEN, node("Scan", ["h"], ["y"], num_scan_inputs=1)], {}, UnsupportedLayerError, "Scan",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tmp_path: Path, name: str) -> None:
    nodes, constants, error, message = REFUSED[name]
    known = {**BASE, "W": W1, "b": B1, "zero": np.float32(0), "six": np.float32(6)}
    with pytest.raises(error, match=message) as caught:
        read(tmp_path, build(nodes, {**known, **constants}, opset=15))
    assert str(caught.value).startswith("net.onnx: ")


@pytest.mark.parametrize("operation", ["LSTM", "Sqrt", "Erf", "Celu", "NonZero"])
def test_refusal_names_the_operation_and_what_is_supported(tmp_path: Path, operation: str) -> None:
    inputs = ["x", "W", "W"] if operation == "LSTM" else ["x"]
    attributes = {"hidden_size": 3} if operation == "LSTM" else {}
    with pytest.raises(UnsupportedLayerError, match=operation) as caught:
        read(tmp_path, build([node(operation, inputs, ["y"], name="culprit", **attributes)], {"W": W1}))
    assert "culprit" in str(caught.value)
    assert "Gemm" in str(caught.value)
    assert caught.value.op == operation  # type: ignore[attr-defined]


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


def test_small_files_cannot_make_large_constants(tmp_path: Path) -> None:
    """Doubling, repeated filling, wide gathers, and an input of 10^9 features."""
    double = [node("Concat", [f"c{i}", f"c{i}"], [f"c{i + 1}"], axis=0) for i in range(40)]
    fill = [node("ConstantOfShape", ["size"], [f"f{i}"]) for i in range(1000)]
    gather = [node("Gather", ["c0", "many"], ["g"], axis=0)]
    end = [gemm(["x", "W", "b"], "y", transB=1)]
    constants = {
        "W": W1,
        "b": B1,
        "c0": np.ones((4, 4000), dtype=np.float32),
        "size": np.array([900_000]),
        "many": np.zeros(4000, dtype=np.int64),
    }
    ends = [
        node("ReduceSum", ["c40"], ["s"], keepdims=0),
        node("Sum", [f"f{i}" for i in range(1000)], ["s"]),
        node("ReduceSum", ["g"], ["s"], keepdims=0),
    ]
    for nodes, last in zip((double, fill, gather), ends):
        used = [last, node("ReduceSum", ["s"], ["t"], keepdims=0), node("Add", ["x", "t"], ["y"])]
        with pytest.raises(FileFormatError, match="numbers"):
            read(tmp_path, build([*nodes, *used], constants))
        assert read(tmp_path, build([*nodes, *end], constants)).architecture == (4, 5), "nobody reads them"
    data = build([node("Add", ["x", "b1"], ["y"])], {"b1": np.float32(1)}, shape=(1, 10**9))
    with pytest.raises(ShapeError, match="1,000,000,000 features"):
        read(tmp_path, data)


def test_names_are_unique(tmp_path: Path) -> None:
    again = [gemm(["x", "W", "b"], "y", transB=1), gemm(["x", "W", "b"], "y", transB=1)]
    with pytest.raises(FileFormatError, match="there already"):
        read(tmp_path, build(again, {"W": W1, "b": B1}))
    model = onnx.load_from_string(build(again[:1], {"W": W1, "b": B1}))
    model.graph.initializer.append(model.graph.initializer[0])
    with pytest.raises(FileFormatError, match="two initializers"):
        read(tmp_path, model.SerializeToString())


@pytest.mark.parametrize(
    ("operation", "attributes", "message"),
    [
        ("ArgMax", {}, "across the batch"),
        ("Softmax", {"axis": 7}, "works along axis 7"),
    ],
)
def test_a_head_over_some_of_the_outputs_is_refused(
    tmp_path: Path, operation: str, attributes: dict[str, Any], message: str
) -> None:
    body = [
        gemm(["x", "W", "b"], "h", transB=1),
        node("Relu", ["h"], ["r"]),
        node("Gemm", ["r", "W3", "b3"], ["z"], transB=1),
        node("Reshape", ["z", "shape"], ["s"]),
        node(operation, ["s"], ["y"], **attributes),
    ]
    more = {"W3": np.ones((6, 5), np.float32), "b3": np.zeros(6, np.float32), "shape": np.array([1, 2, 3])}
    data = build(body, {**BASE, "W": W1, "b": B1, **more})
    with pytest.raises(UnsupportedLayerError, match=message):
        read(tmp_path, data)


ROWS: dict[str, tuple[list[Any], dict[str, Any], bool]] = {
    "mean over rows": ([node("ReduceMean", ["r"], ["m"], axes=[0]), node("Sub", ["r", "m"], ["y"])], {}, True),
    "maximum of all": ([node("ReduceMax", ["r"], ["y"])], {}, True),
    "a row": ([node("Gather", ["r", "at"], ["y"])], {"at": np.array([1])}, True),
    "a constant for each row": ([node("Add", ["r", "c"], ["y"])], {"c": np.arange(6, dtype=np.float32)[:, None]}, True),
    "repeated": ([node("Tile", ["r", "n"], ["y"])], {"n": np.array([2, 1])}, True),
    "turned": ([node("Transpose", ["r"], ["y"])], {}, True),
    "one vector": ([node("Reshape", ["r", "s"], ["y"])], {"s": np.array([1, -1])}, True),
    "a stack of matrices": ([node("MatMul", ["r", "V"], ["q"]), node("ReduceMax", ["q"], ["y"], axes=[1])], {"V": W2.T[None]}, True),
    "mean of a row": ([node("ReduceMean", ["r"], ["m"], axes=[1]), node("Sub", ["r", "m"], ["y"])], {}, False),
    "by the number of rows": (
        [
            node("Shape", ["x"], ["s"]), node("Cast", ["s"], ["f"], to=1), node("Gather", ["f", "at"], ["n"]),
            node("Div", ["r", "n"], ["y"]),
        ],
        {"at": np.array(0)},
        False,
    ),
    "expanded to itself": ([node("Expand", ["r", "s"], ["y"])], {"s": np.array([6, 5])}, False),
    "reshaped rows": ([node("Reshape", ["r", "s"], ["y"])], {"s": np.array([6, 5, 1])}, False),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_a_first_axis_whose_rows_are_mixed_is_no_batch(tmp_path: Path, name: str) -> None:
    nodes, more, mixed = ROWS[name]
    body = [gemm(["x", "W", "b"], "h", transB=1), node("Relu", ["h"], ["r"])]
    data = build([*body, *nodes], {"W": W1, "b": B1, **more}, shape=(6, 4))
    net = read(tmp_path, data)
    X = RNG.standard_normal((6, 4)).astype(np.float32)
    found = net(X.reshape(-1, 24 if mixed else 4))
    np.testing.assert_allclose(np.ravel(found), run(data, X).ravel(), rtol=1e-4, atol=1e-5)


def test_a_head_across_the_rows_makes_them_one_point(tmp_path: Path) -> None:
    data = build([gemm(["x", "W"], "h"), node("Softmax", ["h"], ["y"], axis=0)], {"W": W1.T}, shape=(6, 4))
    net = read(tmp_path, data)
    assert net.source["head"] is None
    X = RNG.standard_normal((6, 4)).astype(np.float32)
    e = np.exp(net(X.ravel()).reshape(6, 5))
    np.testing.assert_allclose(e / e.sum(axis=0), run(data, X), rtol=1e-4)


@pytest.mark.parametrize(
    ("axis", "behind"),
    [
        (1, []),
        (2, []),
        (1, [node("Transpose", ["p"], ["y"], perm=[0, 2, 1])]),
        (1, [node("ArgMax", ["p"], ["k"], axis=1), node("Cast", ["k"], ["y"], to=1)]),
    ],
    ids=["channels", "places", "turned", "decision"],
)
@pytest.mark.parametrize("operation", ["Softmax", "LogSoftmax"])
def test_a_head_of_groups_is_none_of_the_whole(tmp_path: Path, axis: int, behind: list[Any], operation: str) -> None:
    out = "p" if behind else "y"
    body = [
        gemm(["x", "W", "b"], "h", transB=1), node("Relu", ["h"], ["r"]), node("Gemm", ["r", "W3"], ["z"], transB=1),
        node("Reshape", ["z", "shape"], ["s"]), node(operation, ["s"], [out], axis=axis), *behind,
    ]  # fmt: skip
    more = {"W3": RNG.standard_normal((6, 5)).astype(np.float32), "shape": np.array([1, 2, 3])}
    data = build(body, {"W": W1, "b": B1, **more})
    net = read(tmp_path, data)
    x = RNG.standard_normal((1, 4)).astype(np.float32)
    expected = run(data, x)
    turned = bool(behind) and behind[0].op_type == "Transpose"
    z = net(x.ravel()).reshape((1, 3, 2) if turned else (1, 2, 3))
    along = 2 if turned else axis
    if behind and not turned:
        found = z.argmax(axis=1)[:, None]
    else:
        found = np.exp(z) / np.exp(z).sum(axis=along, keepdims=True)
        found = np.log(found) if operation == "LogSoftmax" else found
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert net.source["head"] is None
    assert f"before its {'log-softmax' if operation == 'LogSoftmax' else 'softmax'} of" in " ".join(net.source["notes"])


def test_a_decision_across_groups_is_refused(tmp_path: Path) -> None:
    body = [
        gemm(["x", "W"], "z"), node("Reshape", ["z", "shape"], ["s"]), node("Softmax", ["s"], ["p"], axis=1),
        node("ArgMax", ["p"], ["y"], axis=2),
    ]  # fmt: skip
    with pytest.raises(UnsupportedLayerError, match="ArgMax -> y comes after it"):
        read(tmp_path, build(body, {"W": W1.T, "shape": np.array([1, 1, 5])}))


LOGITS = [gemm(["x", "W", "b"], "h", transB=1), node("Relu", ["h"], ["r"]), gemm(["r", "W2", "b2"], "z", transB=1)]
BEHIND: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "1 - softmax": ([node("Softmax", ["z"], ["p"]), node("Sub", ["one", "p"], ["y"])], {"one": np.float32(1)}),
    "below a half": ([node("Sigmoid", ["z"], ["p"]), node("Less", ["p", "half"], ["y"])], {"half": np.float32(0.5)}),
    "above 0.9": ([node("Sigmoid", ["z"], ["p"]), node("Greater", ["p", "t"], ["y"])], {"t": np.float32(0.9)}),
    "a column": ([node("Softmax", ["z"], ["p"]), node("Gather", ["p", "at"], ["y"], axis=1)], {"at": np.array([2])}),
    "columns turned": ([node("Softmax", ["z"], ["p"]), node("Gather", ["p", "at"], ["y"], axis=1)], {"at": np.array([2, 1, 0])}),
    "rounded": ([node("Sigmoid", ["z"], ["p"]), node("Cast", ["p"], ["y"], to=7)], {}),
    "1 - label": ([node("ArgMax", ["z"], ["p"], axis=1), node("Sub", ["one", "p"], ["y"])], {"one": np.array(1)}),
}  # fmt: skip


@pytest.mark.parametrize("name", BEHIND)
def test_what_changes_the_meaning_of_a_head_is_refused(tmp_path: Path, name: str) -> None:
    nodes, more = BEHIND[name]
    with pytest.raises(UnsupportedLayerError, match="changes what it means"):
        read(tmp_path, build([*LOGITS, *nodes], {**BASE, "W": W1, "b": B1, **more}))


def test_the_complement_of_a_sigmoid_negates_its_logits(tmp_path: Path) -> None:
    nodes = [node("Sigmoid", ["z"], ["p"]), node("Sub", ["one", "p"], ["y"])]
    data = build([*LOGITS, *nodes], {**BASE, "W": W1, "b": B1, "one": np.float32(1)})
    net = read(tmp_path, data)
    X = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    assert net.source["head"] == "sigmoid"
    assert any("negated" in note for note in net.source["notes"])
    np.testing.assert_allclose(1 / (1 + np.exp(-net(X))), run(data, X), atol=1e-6)


def test_heads_that_differ_and_decisions_are_named(tmp_path: Path) -> None:
    nodes = [
        node("Sigmoid", ["z"], ["p"]),
        node("Softmax", ["z"], ["q"]),
        node("Greater", ["p", "half"], ["l"], name="cut"),
    ]
    data = build([*LOGITS, *nodes], {**BASE, "W": W1, "b": B1, "half": np.float32(0.5)}, outputs=("p", "q", "l"))
    net = read(tmp_path, data)
    assert net.source["head"] is None
    notes = " ".join(net.source["notes"])
    assert "sigmoid and softmax of the same logits" in notes
    assert "'l' is a decision by the sigmoid; not read: node 'cut' (Greater)" in notes


@pytest.mark.parametrize("limits", [(-3e38, None), (-3e38, 0.25), (-1e9, 1e9)])
def test_a_large_limit_of_a_clip_costs_no_digits(tmp_path: Path, limits: tuple[float, float | None]) -> None:
    low, high = (None if v is None else np.float32(v) for v in limits)
    names = ["h", "low", *([] if high is None else ["high"])]
    more = {"low": low, **({} if high is None else {"high": high})}
    data = build(
        [gemm(["x", "W", "b"], "h", transB=1), node("Clip", names, ["r"]), TAIL[1]], {**BASE, "W": W1, "b": B1, **more}
    )
    net = read(tmp_path, data)
    X = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    np.testing.assert_allclose(net(X), run(data, X), rtol=1e-4, atol=1e-5)
    net.save(tmp_path / "again.onnx")
    np.testing.assert_allclose(pf.read_network(tmp_path / "again.onnx")(X), net(X), rtol=1e-6, atol=1e-6)


def graph_of(nodes: Sequence[Any], output: str) -> Any:
    return helper.make_graph(list(nodes), output, [], [helper.make_tensor_value_info(output, 1, None)])


@pytest.mark.parametrize("taken", [True, False])
def test_an_if_on_a_constant_is_its_branch(tmp_path: Path, taken: bool) -> None:
    """The other branch may hold anything; branches see the graph around them, and may be nested."""
    good = [node("Add", ["h", "b"], ["q"]), node("Relu", ["q"], ["good"])]
    inner = node("If", ["c"], ["good"], then_branch=graph_of(good[:1], "q"), else_branch=graph_of(good[:1], "q"))
    bad = graph_of([node("Tanh", ["h"], ["t"]), node("Mul", ["t", "h"], ["bad"])], "bad")
    fine = graph_of([inner] if taken else good, "good")
    branches = {"then_branch": fine if taken else bad, "else_branch": bad if taken else fine}
    nodes = [
        gemm(["x", "W"], "h"), node("Shape", ["h"], ["s"]), node("Gather", ["s", "one"], ["n"]),
        node("Equal", ["n", "width"], ["c"]), node("If", ["c"], ["i"], **branches), node("Neg", ["i"], ["y"]),
    ]  # fmt: skip
    constants = {"W": W1.T, "b": B1, "one": np.array(1), "width": np.array(5 if taken else 4)}
    data = build(nodes, constants, shape=(1, 4))
    X = RNG.standard_normal((1, 4)).astype(np.float32)
    np.testing.assert_allclose(read(tmp_path, data)(X), run(data, X), rtol=1e-4, atol=1e-5)


def test_control_flow_is_named(tmp_path: Path) -> None:
    sides = {
        "then_branch": graph_of([node("Identity", ["x"], ["a"])], "a"),
        "else_branch": graph_of([node("Neg", ["x"], ["a"])], "a"),
    }
    choice = [node("Gather", ["x", "at"], ["c"], axis=1), node("If", ["c"], ["h"], **sides)]
    with pytest.raises(UnsupportedLayerError, match=r"If -> h is control flow by values that depend.*tracing"):
        read(tmp_path, build([*choice, gemm(["h", "W"], "y")], {"W": W1.T, "at": np.array([0])}))
    itself = graph_of([node("Identity", ["y"], ["a"])], "a")
    loop = [node("If", ["c"], ["h"], then_branch=itself, else_branch=itself), node("Add", ["h", "x"], ["y"])]
    with pytest.raises(FileFormatError, match="cycle"):
        read(tmp_path, build(loop, {"c": np.array(True)}))


FUNCTIONS = """
<ir_version: 8, opset_import: ["": 17, "own": 1]> g (float[1,4] x) => (float[1,5] y) {
  h = own.lin(x, W, b)  r = own.act<a = 0.25>(h)  y = own.twice(r)
}
<domain: "own", opset_import: ["": 17]> lin (u, w, c) => (v) { t = MatMul(u, w)  v = Add(t, c) }
<domain: "own", opset_import: ["": 17]> act <a> (u) => (v) { v = LeakyRelu<alpha: float = @a>(u) }
<domain: "own", opset_import: ["": 17, "own": 1]> twice (u) => (v) { t = own.act<a = 0.5>(u)  v = own.act<a = 0.5>(t) }
"""


def functions(text: str = FUNCTIONS) -> Any:
    model = onnx.parser.parse_model(text)
    model.graph.initializer.extend(numpy_helper.from_array(v, n) for n, v in (("W", W1.T.copy()), ("b", B1)))
    return model


def test_functions_of_the_file(tmp_path: Path) -> None:
    data = functions().SerializeToString()
    net = read(tmp_path, data)
    X = RNG.standard_normal((1, 4)).astype(np.float32)
    np.testing.assert_allclose(net(X), run(data, X), rtol=1e-4, atol=1e-5)
    assert [net.gate_name(i) for i in (0, 5)] == ["r[0]", "twice:3/t[0]"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("t = own.act<a = 0.5>(u)", "t = own.twice(u)", "or themselves"),
        ('opset_import: ["": 17]> lin', 'opset_import: ["": 13]> lin', "version 13"),
        ("t = MatMul(u, w)", "t = Tanh(u)", "Tanh"),
    ],
)
def test_functions_that_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in FUNCTIONS
    with pytest.raises(InputError, match=message):
        read(tmp_path, functions(FUNCTIONS.replace(old, new)).SerializeToString())


def test_functions_that_double_are_stopped(tmp_path: Path) -> None:
    head, *rest = functions().SerializeToString(), functions()
    model = rest[0]
    for k in range(35):
        body = [node(f"f{k + 1}", ["u"], ["t"], domain="own"), node(f"f{k + 1}", ["t"], ["v"], domain="own")]
        last = k == 34
        made = helper.make_function(
            "own", f"f{k}", ["u"], ["v"], [node("Relu", ["u"], ["v"])] if last else body,
            [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)],
        )  # fmt: skip
        model.functions.append(made)
    model.graph.node.append(node("f0", ["y"], ["z"], domain="own"))
    model.graph.output[0].name = "z"
    assert len(head) < 10_000
    with pytest.raises(FileFormatError, match="bytes of nodes"):
        read(tmp_path, model.SerializeToString())


NO_WEIGHTS: dict[str, list[Any]] = {
    "identity": [node("Identity", ["x"], ["y"])],
    "no limits": [node("Clip", ["x"], ["y"])],
    "maximum of one": [node("Max", ["x", "x", "x"], ["y"])],
    "sum of one": [node("Sum", ["x"], ["y"])],
    "slope 1": [node("LeakyRelu", ["x"], ["y"], alpha=1.0)],
    "precisions": [node("Cast", ["x"], ["h"], to=11), node("Cast", ["h"], ["y"], to=1)],
    "nothing appended": [node("Slice", ["x", "zero", "zero", "one"], ["e"]), node("Concat", ["x", "e"], ["y"], axis=1)],
    "softmax": [node("Softmax", ["x"], ["y"], axis=1)],
    "sigmoid": [node("Sigmoid", ["x"], ["y"])],
}


@pytest.mark.parametrize("name", NO_WEIGHTS)
def test_graphs_without_weights_are_the_identity(tmp_path: Path, name: str) -> None:
    net = read(tmp_path, build(NO_WEIGHTS[name], {"zero": np.array([0]), "one": np.array([1])}, shape=(1, 4)))
    np.testing.assert_array_equal(net(np.arange(4.0)), np.arange(4.0))
    assert net.source["head"] == (name if name.startswith("s") and " " not in name else None)
    assert "no layer with weights was found: the network is the identity" in net.source["notes"]


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


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("beta", [1.0, 0.3])
def test_gemm_that_adds_the_input(tmp_path: Path, rows: int, beta: float) -> None:
    factors = {"P": RNG.standard_normal((2, rows)).astype(np.float32), "Q": W1[:2].copy()}
    data = build([node("Gemm", ["P", "Q", "x"], ["h"], transA=1, alpha=0.7, beta=beta), node("Relu", ["h"], ["y"])], factors,
                 shape=(rows, 4))  # fmt: skip
    X = RNG.standard_normal((rows, 4)).astype(np.float32)
    np.testing.assert_allclose(read(tmp_path, data)(X.ravel()), run(data, X).ravel(), rtol=1e-4, atol=1e-5)


def test_refusals_name_what_is_in_the_way_not_the_batch(tmp_path: Path) -> None:
    attention = [
        node("Transpose", ["x"], ["t"], perm=[1, 0]), node("MatMul", ["x", "t"], ["s"], name="scores"),
        node("Softmax", ["s"], ["p"]), node("MatMul", ["p", "x"], ["y"]),
    ]  # fmt: skip
    with pytest.raises(UnsupportedLayerError, match=r"'scores' \(MatMul\) multiplies two values.*All rows") as caught:
        read(tmp_path, build(attention, {}, shape=(3, 4)))
    assert (caught.value.node, caught.value.op) == ("scores", "MatMul")


@pytest.mark.parametrize("kind", ["int8", "int4", "uint4"])
def test_weights_quantised_in_blocks(tmp_path: Path, kind: str) -> None:
    whole = RNG.integers(0, 8, (4, 7)).astype(np.int8)
    scale, zero = RNG.random((4, 3)).astype(np.float32), RNG.integers(0, 4, (4, 3)).astype(np.int8)
    nodes = [node("DequantizeLinear", ["q", "s", "o"], ["V"], axis=1, block_size=3), node("MatMul", ["x", "V"], ["y"])]
    model = onnx.load_from_string(build(nodes, {"s": scale}, shape=(1, 4), opset=21))
    for name, values in (("q", whole), ("o", zero)):
        given = helper.make_tensor(name, getattr(TensorProto, kind.upper()), values.shape, values.ravel().tolist())
        model.graph.initializer.append(given)
    spread = [np.repeat(v, 3, axis=1)[:, :7].astype(float) for v in (scale, zero)]
    found = read(tmp_path, model.SerializeToString()).weights[0]
    np.testing.assert_array_equal(found.T, (whole - spread[1]) * spread[0])


def test_upsampling_by_an_attribute(tmp_path: Path) -> None:
    nodes = [
        node("Reshape", ["x", "s"], ["q"]), node("Upsample", ["q"], ["u"], scales=[1.0, 1.0, 2.0, 1.0]),
        node("Relu", ["u"], ["r"]), node("Flatten", ["r"], ["y"]),
    ]  # fmt: skip
    net = read(tmp_path, build(nodes, {"s": np.array([1, 1, 2, 2])}, shape=(1, 4), opset=7))
    np.testing.assert_array_equal(net(np.arange(4.0)), [0, 1, 0, 1, 2, 3, 2, 3])


def test_an_input_that_nothing_reads_is_noted(tmp_path: Path) -> None:
    model = onnx.load_from_string(build([gemm(["x", "W"], "y")], {"W": W1.T}))
    model.graph.input.append(helper.make_tensor_value_info("z", 1, [1, 2]))
    net = read(tmp_path, model.SerializeToString())
    assert "input 'z' is left out: no output needs it" in net.source["notes"]


COMPUTED: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "dequantised": (
        [node("DequantizeLinear", ["q", "s", "o"], ["V"], axis=0)],
        {
            "q": RNG.integers(-99, 99, (4, 5)).astype(np.int8), "s": DEV / 40, "o": np.array([0, 3, -7, 127], np.int8),
        },
    ),
    "dequantised from 32 bits": ([node("DequantizeLinear", ["q", "s"], ["V"])], {"q": np.int32([[1 << 30, -5]]).repeat(4, 0), "s": DEV[0] / 1e9}),
    "identity": ([node("EyeLike", ["A"], ["V"], k=1)], {"A": W1[:4]}),
    "einsum": ([node("Einsum", ["A", "B"], ["V"], equation="ij,kj->ik")], {"A": W1[:4].copy(), "B": W1}),
    "one hot": ([node("OneHot", ["i", "n", "v"], ["V"])], {"i": np.array([1, 0, 3, 2]), "n": np.array(4), "v": np.float32([0.5, 2])}),
    "scattered": ([node("ScatterND", ["A", "i", "u"], ["V"])], {"A": W1[:4], "i": np.array([[1]]), "u": W1[4:]}),
    "gathered": ([node("GatherND", ["A", "i"], ["V"])], {"A": W1, "i": np.array([[1], [2], [0], [3]])}),
    "sorted": ([node("TopK", ["A", "k"], ["V", "i"])], {"A": W1[:4], "k": np.array([3])}),
    "convolved": (
        [node("Conv", ["A", "K"], ["c"], pads=[1, 1, 1, 1]), node("Reshape", ["c", "s"], ["V"])],
        {"A": W1[None, None, :4], "K": W1[None, None, :3, :3], "s": np.array([4, 4])},
    ),
    "interpolated": (
        [node("Resize", ["A", "", "f"], ["c"], mode="linear"), node("Reshape", ["c", "s"], ["V"])],
        {"A": W1[None, None, :2, :2], "f": np.float32([1, 1, 2, 2]), "s": np.array([4, 4])},
    ),
    "normalised": ([node("LayerNormalization", ["A", "g"], ["V"])], {"A": W1[:4], "g": DEV}),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPUTED)
def test_constants_are_computed(tmp_path: Path, name: str) -> None:
    nodes, constants = COMPUTED[name]
    data = build([*nodes, node("MatMul", ["x", "V"], ["h"]), node("Relu", ["h"], ["y"])], constants, opset=17)
    X = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    np.testing.assert_allclose(read(tmp_path, data)(X), run(data, X), rtol=1e-4, atol=1e-5)


def test_constants_that_would_be_large_are_refused(tmp_path: Path) -> None:
    nodes = [node("OneHot", ["i", "n", "v"], ["V"]), gemm(["x", "V"], "y")]
    with pytest.raises(FileFormatError, match="the limit is"):
        read(tmp_path, build(nodes, {"i": np.arange(4), "n": np.array(1 << 40), "v": np.float32([0, 1])}))


# ---- integers, rounding, padding, and what is read of other operations ----------------------------------------------
I = {"axis": np.array([1])}
SQUARE = np.random.default_rng(8).standard_normal((4, 4)).astype(np.float32)
SHAPED = [
    node("Shape", ["x"], ["s"]),
    node("Gather", ["s", "two"], ["h"]),
    node("Cast", ["h"], ["hf"], to=1),
    node("Mul", ["hf", "factor"], ["h2"]),
    node("Cast", ["h2"], ["hi"], to=7),
    node("Unsqueeze", ["hi", "zero"], ["hu"]),
    node("Concat", ["pre", "hu", "hu"], ["sizes"], axis=0),
    node("Resize", ["x", "", "", "sizes"], ["y"], mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
]  # fmt: skip
SIZES = {"two": np.int64(2), "zero": np.array([0]), "pre": np.array([1, 1])}


def scales(*numbers: float) -> dict[str, Any]:
    return {"scales": np.array(numbers, dtype=np.float32)}


def resize(**attributes: Any) -> list[Any]:
    return [node("Resize", ["x", "", "scales"], ["y"], mode="nearest", **attributes)]


FLOOR = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
PARTS = {"g": W1[:3].reshape(-1)[:4], "b": MEAN, "m": MEAN[::-1].copy(), "v": DEV}
READ: dict[str, tuple[list[Any], dict[str, Any], dict[str, Any]]] = {
    "scaled shape": (SHAPED, {**SIZES, "factor": np.float32(2)}, {"shape": [1, 1, 3, 3]}),
    "computed mask": (
        [node("Mul", ["k", "t"], ["k2"]), node("Cast", ["k2"], ["c"], to=9), node("Where", ["c", "x", "z"], ["y"])],
        {"k": np.array([0, 1, 0, 2], np.float32), "t": np.float32(2), "z": np.float32(0)},
        {},
    ),
    "floor of a constant": (
        [node("Mul", ["k", "t"], ["k2"]), node("Floor", ["k2"], ["c"]), node("Mul", ["x", "c"], ["y"])],
        {"k": np.array([0.3, 1.7, -2.25, 2.0], np.float32), "t": np.float32(2.5)},
        {},
    ),
    "mask of a dropout": (
        [node("Dropout", ["x"], ["p", "mask"]), node("Cast", ["mask"], ["c"], to=1), node("Add", ["p", "c"], ["y"])],
        {},
        {},
    ),
    "half and back": (
        [node("Cast", ["x"], ["h"], to=10), node("Cast", ["h"], ["f"], to=1), node("Relu", ["f"], ["y"])],
        {},
        {},
    ),
    "l1": ([node("ReduceL1", ["x"], ["y"], axes=[1])], {}, {}),
    "sums before": ([node("CumSum", ["x", "axis"], ["y"], exclusive=1, reverse=1)], I, {}),
    "sums": ([node("CumSum", ["x", "axis"], ["y"])], I, {}),
    "triangle": ([node("Trilu", ["x", "k"], ["y"], upper=0)], {"k": np.int64(-1)}, {"shape": [1, 3, 3], "opset": 14}),
    "einsum": ([node("Einsum", ["x", "w"], ["y"], equation="bi,ji->bj")], {"w": SQUARE}, {}),
    "einsum of three": (
        [node("Einsum", ["w", "x", "v"], ["y"], equation="kc, bijc, i")],
        {"w": SQUARE[:, :2], "v": SQUARE[0, :3]},
        {"shape": [1, 3, 2, 2]},
    ),
    "diagonal": ([node("Einsum", ["x"], ["y"], equation="bii->bi")], {}, {"shape": [1, 3, 3]}),
    "places": ([node("GatherND", ["x", "at"], ["y"])], {"at": np.array([[0, 1], [0, 3], [0, -1]])}, {"shape": [1, 4]}),
    "threshold": ([node("ThresholdedRelu", ["x"], ["y"], alpha=0.0)], {}, {}),
    "shrink": ([node("Shrink", ["x"], ["y"], lambd=0.75, bias=0.75)], {}, {}),
    "stack of matrices": ([node("MatMul", ["x", "w"], ["y"])], {"w": SQUARE.reshape(2, 2, 4)}, {"shape": [1, 3, 2]}),
    "left stack": ([node("MatMul", ["w", "x"], ["y"])], {"w": SQUARE.reshape(2, 1, 4, 2)}, {"shape": [1, 2, 3]}),
    "own parameters": (
        [node("BatchNormalization", ["x", "g", "b", "m", "v"], ["y"], spatial=0)],
        {k: v.reshape(1, 2, 2) for k, v in PARTS.items()},
        {"shape": [1, 1, 2, 2], "opset": 7},
    ),
    "by two": (resize(**FLOOR), scales(1, 1, 2, 3), {"shape": [1, 1, 3, 4]}),
    "by halves": (resize(), scales(1, 1, 0.5, 1.5), {"shape": [1, 1, 4, 6]}),
    "order of bytes": (
        [node("Transpose", ["x"], ["t"]), node("Relu", ["t"], ["r"]), node("Cast", ["r"], ["y"], to=1)],
        {},
        {"kind": TensorProto.INT32, "shape": [1, 4], "opset": 14},
    ),
}


@pytest.mark.parametrize("name", READ)
def test_more_operations(tmp_path: Path, name: str) -> None:
    nodes, constants, options = READ[name]
    data = build(nodes, constants, **options)
    if options.get("kind") is not None:  # integers come in, floats go out
        model = onnx.load_from_string(data)
        model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
        data = model.SerializeToString()
    net = read(tmp_path, data)
    rng = np.random.default_rng(0)
    shape = [1 if n == "batch" else n for n in options.get("shape", (1, 4))]
    for _ in range(40):
        x = rng.integers(-16, 17, shape) / 4
        x = x.astype(np.int32) if options.get("kind") is not None else x.astype(np.float32)
        np.testing.assert_allclose(net(x.ravel()), run(data, x).ravel(), rtol=1e-4, atol=1e-5)


POOL = {"kernel_shape": [2, 2]}
REFUSED_LATER: dict[str, tuple[list[Any], dict[str, Any], dict[str, Any], str]] = {
    "quotient of integers": ([node("Div", ["x", "k"], ["i"]), node("Cast", ["i"], ["y"], to=1)], {"k": np.int32(3)}, {"kind": TensorProto.INT32}, r"Div.*computes with integers"),
    "mean of integers": ([node("ReduceMean", ["x"], ["i"], axes=[1]), node("Cast", ["i"], ["y"], to=1)], {}, {"kind": TensorProto.INT32}, "computes with integers"),
    "moved, then added": ([node("Flatten", ["x"], ["f"]), node("Add", ["f", "f"], ["i"]), node("Cast", ["i"], ["y"], to=1)], {}, {"kind": TensorProto.UINT8}, "wrap around"),
    "narrower integers": ([node("Cast", ["x"], ["i"], to=3), node("Cast", ["i"], ["y"], to=1)], {}, {"kind": TensorProto.INT32}, "may wrap around"),
    "floats cut off": ([node("Cast", ["x"], ["i"], to=6), node("Cast", ["i"], ["y"], to=1)], {}, {}, "cuts off"),
    **{f"by {f} of {n}": (resize(**FLOOR), scales(1, 1, 1, f), {"shape": [1, 1, 1, n]}, "runtimes disagree") for f, n in ((0.7, 10), (1.3, 10), (2.3, 10), (0.9, 10), (1.1, 9), (1.1, 20), (1 / 3, 9))},
    "an upsampling": ([node("Upsample", ["x", "scales"], ["y"])], scales(1, 1, 1, 1.3), {"shape": [1, 1, 1, 10], "opset": 9}, "runtimes disagree"),
    "a size by rounding": (SHAPED, {**SIZES, "factor": np.float32(0.7)}, {"shape": [1, 1, 10, 10]}, "Cast.*rounds a computed constant"),
    **{f"{op} {auto}": ([node(op, ["x"], ["y"], auto_pad=auto, dilations=[2, 1], **POOL)], {}, {"shape": [1, 1, 5, 5], "opset": 19}, "runtimes disagree") for op in ("MaxPool", "AveragePool") for auto in ("SAME_UPPER", "SAME_LOWER")},
    "windows apart": ([node("MaxPool", ["x"], ["y"], auto_pad="SAME_UPPER", strides=[3, 3], **POOL)], {}, {"shape": [1, 1, 5, 5]}, "runtimes disagree"),
    "spread kernel": ([node("Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER", dilations=[2, 2])], {"w": SQUARE.reshape(1, 1, 4, 4)}, {"shape": [1, 1, 9, 9]}, "state its pads"),
    "sigmoid inside": ([node("Sigmoid", ["x"], ["s"], name="gate"), node("MatMul", ["s", "w"], ["y"])], {"w": SQUARE}, {}, r"'gate' \(Sigmoid\) stands inside.*MatMul.*HardSigmoid"),
    "rescaled": ([node("Softmax", ["x"], ["s"], name="soft"), node("Mul", ["s", "k"], ["y"])], {"k": np.float32(2)}, {}, r"'soft' \(Softmax\) is rescaled by.*Mul"),
    "curved": ([node("Tanh", ["x"], ["y"], name="t")], {}, {}, r"'t' \(Tanh\) is not piecewise linear; possible instead"),
    "jump": ([node("Round", ["x"], ["y"], name="t")], {}, {}, r"'t' \(Round\) jumps"),
    "threshold": ([node("ThresholdedRelu", ["x"], ["y"], alpha=1.0)], {}, {}, "jumps at 1"),
    "other": ([node("Det", ["x"], ["y"])], {}, {"shape": [1, 4, 4]}, "is an operation that is not supported"),
    "product": ([node("Einsum", ["x", "x"], ["y"], equation="bi,bi->b")], {}, {}, "depend on the input"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED_LATER)
def test_refused_since_runtimes_disagree_or_by_nature(tmp_path: Path, name: str) -> None:
    nodes, constants, options, message = REFUSED_LATER[name]
    with pytest.raises(UnsupportedLayerError, match=message):
        read(tmp_path, build(nodes, constants, **{"shape": [1, 4], **options}))


def test_inputs_with_first_axes_of_their_own_are_one_point(tmp_path: Path) -> None:
    """Broadcasting ``a`` (2, 1, 3) and ``b`` (4, 1): neither first axis is a batch."""
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Add", ["a", "b"], ["s"]),
        helper.make_node("Abs", ["s"], ["t"]),
        helper.make_node("ReduceMean", ["t"], ["y"], axes=[0, 2]),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("a", [2, 1, 3]), ("b", [4, 1]))]
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 1])
    model = helper.make_model(
        helper.make_graph(nodes, "g", ends, [out]), opset_imports=[helper.make_opsetid("", 13)], ir_version=8
    )
    (tmp_path / "two.onnx").write_bytes(model.SerializeToString())
    net = pf.read_network(tmp_path / "two.onnx")
    a, b = np.arange(6.0).reshape(2, 1, 3) - 2, np.array([[-1.5], [0.0], [1.0], [3.0]])
    expected = np.abs(a + b).mean(axis=(0, 2))
    np.testing.assert_allclose(net(np.concatenate([a.ravel(), b.ravel()])), expected)


def test_too_many_connections_are_counted_before_matrices_are_made(tmp_path: Path, monkeypatch: Any) -> None:
    from onnx import TensorProto, helper

    monkeypatch.setattr("polyfiber.network.wiring.assembly.READ_LIMIT", 50)
    nodes, before = [], ["x"]
    for i in range(12):  # each block reads all before: 78 + 12 + 1 pairs
        nodes += [helper.make_node("Sum", before, [f"s{i}"]), helper.make_node("Abs", [f"s{i}"], [f"r{i}"])]
        before = [*before, f"r{i}"]
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3]) for n in ("x", "r11"))
    model = helper.make_model(
        helper.make_graph(nodes, "g", [x], [y]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    (tmp_path / "dense.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(pf.errors.InputError, match="read others more than 50 times"):
        pf.read_network(tmp_path / "dense.onnx")
