"""ONNX graphs as piecewise-linear networks: against onnxruntime, and what their gates are."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import polyfiber as pf

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
NETS = sorted(SHARED.glob("nets/**/*.onnx")) + sorted(SHARED.glob("cases/files/*.onnx"))
node = helper.make_node


def load_attack() -> ModuleType:
    spec = importlib.util.spec_from_file_location("attack_graphs", ROOT / "scripts" / "attacks" / "files" / "graphs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def session_of(data: bytes | str) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def read(tmp_path: Path, nodes: Sequence[Any], shape: Sequence[Any], constants: dict[str, Any] | None = None) -> Any:
    """The network of a graph from x to y; checked against onnxruntime at 50 points."""
    tensors = [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        tensors,
    )
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
    (tmp_path / "net.onnx").write_bytes(data)
    net = pf.read_network(tmp_path / "net.onnx")
    session = session_of(data)
    for x in np.random.default_rng(0).standard_normal((50, *shape)).astype(np.float32):
        expected = session.run(None, {"x": x})[0].ravel()
        np.testing.assert_allclose(net(x.ravel().astype(float)), expected, atol=1e-4)
    return net


@pytest.mark.parametrize("block", range(10))
def test_random_graphs_of_all_operators(tmp_path: Path, block: int) -> None:
    attack = load_attack()
    results = []
    for i in range(block * 30, block * 30 + 30):
        rng = np.random.default_rng([20, i])
        maker = attack.Maker(rng)
        data = maker.draw()
        results.append(attack.compare(data, tmp_path / "graph.onnx", 4, rng, maker.head))
    assert not [r for r in results if r.startswith("WRONG")]
    assert results.count("agree") >= 16


@pytest.mark.parametrize("path", NETS, ids=lambda p: p.name)
def test_files_made_by_others(path: Path) -> None:
    """At 1000 points of three scales."""
    net = pf.read_network(path)
    session = session_of(str(path))
    known = {i.name for i in session.get_overridable_initializers()}
    (given,) = [i for i in session.get_inputs() if i.name not in known]
    shape = [d if isinstance(d, int) and d > 0 else 1 for d in given.shape]
    if np.prod(shape) != net.architecture[0]:
        shape = [1, net.architecture[0]]  # an open axis of features
    rng = np.random.default_rng(1)
    X = (rng.standard_normal((1000, net.architecture[0])) * rng.choice([0.1, 1, 10], (1000, 1))).astype(np.float32)
    found = net(X.astype(np.float64))
    sizes = np.maximum(1, np.max([np.abs(z).max(axis=1) for z in net.preactivations(X.astype(np.float64))], axis=0))
    for x, y, size in zip(X, found, sizes):
        expected = session.run(None, {given.name: x.reshape(shape)})[0].ravel()
        assert np.abs(expected - y).max() <= 2e-5 * size


def test_relu_moves_behind_the_maximum(tmp_path: Path) -> None:
    """Behind ReLUs that are all off, comparisons would vanish on regions of full dimension."""
    body = [node("Conv", ["x", "W"], ["c"], name="conv"), node("Relu", ["c"], ["r"], name="relu")]
    pool = node("MaxPool", ["r"], ["p"], name="pool", kernel_shape=[2, 2], strides=[2, 2])
    end = [node("Flatten", ["p"], ["f"]), node("Gemm", ["f", "V"], ["y"])]
    rng = np.random.default_rng(0)
    constants = {
        "W": rng.standard_normal((2, 1, 3, 3)).astype(np.float32),
        "V": rng.standard_normal((8, 3)).astype(np.float32),
    }
    net = read(tmp_path, [*body, pool, *end], (1, 1, 6, 6), constants)
    assert net.hidden_widths == (16, 8, 8)  # pairs in each window, pairs of winners, one ReLU for each window
    X = np.random.default_rng(1).standard_normal((4000, 36))
    assert all((z != 0).all() for z in net.preactivations(X))
    assert net.gate_name(0) == "pool[0, 0, 0] compares"
    assert net.gate_name(24) == "pool[0, 0, 0]"
    assert net.input_shape == (1, 6, 6)
    both = [*body, pool, node("Flatten", ["p"], ["f"]), node("Gemm", ["f", "V"], ["g"]), node("ReduceSum", ["r"], ["s"]),
            node("Add", ["g", "s"], ["y"])]  # fmt: skip
    again = read(tmp_path, both, (1, 1, 6, 6), constants)
    assert sum(again.hidden_widths) == 32 + 32, "the ReLUs that another node reads stay"


def test_windows_that_compare_the_same_pair_share_the_gate(tmp_path: Path) -> None:
    pool = node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], strides=[1, 1])
    net = read(tmp_path, [pool], (1, 1, 4, 4))
    assert sum(net.hidden_widths) == 12 + 9  # twelve neighbours in rows, nine windows; 27 without sharing


@pytest.mark.parametrize("k", [2, 3, 4, 5])
def test_maximum_is_a_tree_of_k_minus_1_gates(tmp_path: Path, k: int) -> None:
    W = np.random.default_rng(k).standard_normal((2, k)).astype(np.float32)
    nodes = [node("Gemm", ["x", "W"], ["h"]), node("ReduceMax", ["h"], ["y"], axes=[1])]
    net = read(tmp_path, nodes, (1, 2), {"W": W})
    assert net.n_hidden == k - 1
    X = np.random.default_rng(1).standard_normal((1000, 2))
    np.testing.assert_allclose(net(X)[:, 0], (X @ W.astype(float)).max(axis=1), atol=1e-12)


@pytest.mark.parametrize(("alpha", "gates"), [(0.0, (0.0, 1.0)), (0.25, (0.25, 1.0)), (1.0, None), (-1.0, (-1.0, 1.0))])
def test_leaky_with_slope_0_1_and_minus_1(tmp_path: Path, alpha: float, gates: tuple[float, float] | None) -> None:
    W, V = np.eye(2, 3, dtype=np.float32) - 0.5, np.ones((3, 2), dtype=np.float32)
    nodes = [
        node("Gemm", ["x", "W"], ["h"]),
        node("LeakyRelu", ["h"], ["r"], alpha=alpha),
        node("Gemm", ["r", "V"], ["y"]),
    ]
    net = read(tmp_path, nodes, (1, 2), {"W": W, "V": V})
    if gates in (None, (0.0, 1.0)):
        assert isinstance(net, pf.ReLUNetwork)
        assert net.n_hidden == (3 if gates else 0)
    else:
        assert net.blocks[0].slopes.tolist() == [list(gates)] * 3  # type: ignore[arg-type]


def test_a_slope_is_the_float_of_the_file(tmp_path: Path) -> None:
    net = read(tmp_path, [node("LeakyRelu", ["x"], ["y"], alpha=0.1)], (1, 2))
    assert net.blocks[0].slopes[0, 0] == float(np.float32(0.1))


def test_clip_has_two_parallel_walls(tmp_path: Path) -> None:
    net = read(
        tmp_path, [node("Clip", ["x", "lo", "hi"], ["y"])], (1, 3), {"lo": np.float32(-1), "hi": np.float32(0.5)}
    )
    assert net.hidden_widths == (6,)
    assert isinstance(net, pf.ReLUNetwork)
    assert net.biases[0].tolist() == [1.0] * 3 + [-0.5] * 3
    six = read(tmp_path, [node("Relu", ["x"], ["r"]), node("Clip", ["r", "lo", "hi"], ["y"])], (1, 3),
               {"lo": np.float32(-1), "hi": np.float32(6)})  # fmt: skip
    assert six.hidden_widths == (3, 3), "nothing below 0 is left to be clipped"
    assert six.gate_name(4).endswith("[1] upper")


def test_residual_block_equals_its_emulation(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    constants = {
        "A": rng.standard_normal((3, 4)).astype(np.float32),
        "B": rng.standard_normal((4, 3)).astype(np.float32),
    }
    nodes = [node("Gemm", ["x", "A"], ["h"]), node("Relu", ["h"], ["r"]), node("Gemm", ["r", "B"], ["g"]),
             node("Add", ["g", "x"], ["y"])]  # fmt: skip
    net = read(tmp_path, nodes, (1, 3), constants)
    assert net.hidden_widths == (4,)
    assert set(net.output.weights) == {0, 1}
    np.testing.assert_array_equal(net.output.dense(0, 3), np.eye(3))
    X = rng.integers(-8, 9, (20, 3)) / 4
    assert np.array_equal(net.exact()(X), net.to_chain().exact()(X))


def test_convolutions_stay_sparse(tmp_path: Path) -> None:
    W = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
    nodes = [
        node("Conv", ["x", "W"], ["c"], pads=[1, 1, 1, 1]),
        node("Abs", ["c"], ["a"]),
        node("ReduceMean", ["a"], ["y"], axes=[2, 3]),
    ]
    net = read(tmp_path, nodes, (1, 3, 32, 32), {"W": W})
    matrix = net.blocks[0].weights[0]
    assert matrix.shape == (4096, 3072)
    assert matrix.nnz < 4096 * 27 + 1


def test_constants_may_be_computed_by_anything(tmp_path: Path) -> None:
    nodes = [
        node("Sqrt", ["v"], ["s"]), node("Div", ["x", "s"], ["n"]), node("Reciprocal", ["v"], ["i"]),
        node("Mul", ["n", "i"], ["y"]),
    ]  # fmt: skip
    net = read(tmp_path, nodes, (1, 3), {"v": np.array([2, 3, 5], dtype=np.float32)})
    assert sum("as a runtime does" in n for n in net.source["notes"]) == 2


def test_a_batch_that_is_fixed_may_be_features_after_all(tmp_path: Path) -> None:
    net = read(tmp_path, [node("Reshape", ["x", "s"], ["f"]), node("Gemm", ["f", "W"], ["y"])], (2, 3),
               {"s": np.array([1, 6]), "W": np.ones((6, 2), dtype=np.float32)})  # fmt: skip
    assert net.architecture == (6, 2)
    assert net.source["input_shape"] == (2, 3)
