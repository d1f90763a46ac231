"""Constants that a graph computes, against onnxruntime, and those that would be large."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from polyfiber.errors import FileFormatError, ShapeError

from .cases import (
    B1,
    DEV,
    RNG,
    W1,
    build,
    gemm,
    node,
    read,
    run,
)


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
