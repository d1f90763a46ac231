"""Rows of a fixed batch: one point each where no node mixes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import polyfiber as pf
from polyfiber.errors import UnsupportedLayerError

from .cases import (
    B1,
    RNG,
    W1,
    W2,
    build,
    gemm,
    node,
    read,
    run,
)

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


def test_refusals_name_what_is_in_the_way_not_the_batch(tmp_path: Path) -> None:
    attention = [
        node("Transpose", ["x"], ["t"], perm=[1, 0]), node("MatMul", ["x", "t"], ["s"], name="scores"),
        node("Softmax", ["s"], ["p"]), node("MatMul", ["p", "x"], ["y"]),
    ]  # fmt: skip
    with pytest.raises(UnsupportedLayerError, match=r"'scores' \(MatMul\) multiplies two values.*All rows") as caught:
        read(tmp_path, build(attention, {}, shape=(3, 4)))
    assert (caught.value.node, caught.value.op) == ("scores", "MatMul")


def test_inputs_with_first_axes_of_their_own_are_one_point(tmp_path: Path) -> None:
    """Broadcasting ``a`` (2, 1, 3) and ``b`` (4, 1): neither first axis is a batch."""

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
