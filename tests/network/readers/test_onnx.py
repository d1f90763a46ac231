"""ONNX graphs as exporters write them, against onnxruntime; what is refused, and how it is said."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import polyfiber as pf
from polyfiber.errors import FileFormatError, InputError, PolyfiberError, ShapeError, UnsupportedLayerError

from .onnx.cases import B1, B2, BASE, DEV, END, HIDDEN, MEAN, RNG, TAIL, W1, W2, build, gemm, node, read, run

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


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("beta", [1.0, 0.3])
def test_gemm_that_adds_the_input(tmp_path: Path, rows: int, beta: float) -> None:
    factors = {"P": RNG.standard_normal((2, rows)).astype(np.float32), "Q": W1[:2].copy()}
    data = build([node("Gemm", ["P", "Q", "x"], ["h"], transA=1, alpha=0.7, beta=beta), node("Relu", ["h"], ["y"])], factors,
                 shape=(rows, 4))  # fmt: skip
    X = RNG.standard_normal((rows, 4)).astype(np.float32)
    np.testing.assert_allclose(read(tmp_path, data)(X.ravel()), run(data, X).ravel(), rtol=1e-4, atol=1e-5)


def test_upsampling_by_an_attribute(tmp_path: Path) -> None:
    nodes = [
        node("Reshape", ["x", "s"], ["q"]), node("Upsample", ["q"], ["u"], scales=[1.0, 1.0, 2.0, 1.0]),
        node("Relu", ["u"], ["r"]), node("Flatten", ["r"], ["y"]),
    ]  # fmt: skip
    net = read(tmp_path, build(nodes, {"s": np.array([1, 1, 2, 2])}, shape=(1, 4), opset=7))
    np.testing.assert_array_equal(net(np.arange(4.0)), [0, 1, 0, 1, 2, 3, 2, 3])


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


def test_too_many_connections_are_counted_before_matrices_are_made(tmp_path: Path, monkeypatch: Any) -> None:
    from onnx import TensorProto

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
