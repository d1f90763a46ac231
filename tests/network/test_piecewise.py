"""Piecewise-linear networks as values, against their definition written out number by number."""

from __future__ import annotations

import copy
import pickle
import tracemalloc
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import BudgetExceededError, InputError, PolyfiberError, ShapeError
from polyfiber.network.piecewise import GateGroup, require_chain
from polyfiber.network.sparse import SparseMatrix

SLOPES = [(0, 1), (0.25, 1), (-1, 1), (1, 0), (2, -3), (0, -1), (0.1, 1)]


def draw(seed: int) -> pf.PiecewiseLinearNetwork:
    """Random wiring; small integers and quarters, dead rows, gates of every kind, dense and sparse maps."""
    rng = np.random.default_rng(seed)
    widths = [int(rng.integers(1, 4))]

    def affine(rows: int) -> tuple[dict[int, Any], Any]:
        read = [j for j in range(len(widths)) if rng.random() < 0.7] or [len(widths) - 1]
        maps: dict[int, Any] = {}
        for j in read:
            dense = rng.integers(-3, 4, (rows, widths[j])) * (rng.random((rows, widths[j])) < 0.7) / 4
            maps[j] = SparseMatrix.of(dense) if rng.random() < 0.5 else dense
        return maps, rng.integers(-2, 3, rows) / 2

    blocks = []
    for _ in range(int(rng.integers(0, 4))):
        m = int(rng.integers(1, 5))
        weights, bias = affine(m)
        slopes = [SLOPES[i] for i in rng.integers(0, len(SLOPES), m)]
        blocks.append(pf.GateBlock(weights, bias, slopes=slopes))
        widths.append(m)
    return pf.PiecewiseLinearNetwork(widths[0], blocks, pf.AffineMap(*affine(int(rng.integers(1, 3)))))


def by_definition(net: pf.PiecewiseLinearNetwork, x: list[Fraction]) -> list[Fraction]:
    values = [x]
    for block in [*net.blocks, None]:
        affine = net.output if block is None else block.affine
        z = [Fraction(b) for b in affine.bias.tolist()]
        for j, matrix in affine.weights.items():
            for i, row in enumerate(affine.dense(j, len(values[j])).tolist()):
                z[i] += sum((Fraction(w) * v for w, v in zip(row, values[j])), Fraction(0))
            assert matrix.shape == (len(z), len(values[j]))
        if block is None:
            return z
        slopes = [[Fraction(s) for s in pair] for pair in block.slopes.tolist()]
        values.append([s[1] * v if v >= 0 else s[0] * v for s, v in zip(slopes, z)])
    raise AssertionError


@pytest.mark.parametrize("seed", range(60))
def test_evaluation_and_chain(seed: int) -> None:
    net = draw(seed)
    rng = np.random.default_rng(seed)
    exact, chain = net.exact(), net.to_chain()
    for x in rng.integers(-8, 9, (12, net.n_inputs)) / 4:
        point = np.array([Fraction(v) for v in x], dtype=object)
        expected = by_definition(net, list(point))
        assert exact(point).tolist() == expected == chain.exact()(point).tolist()
        np.testing.assert_allclose(net(x), np.array(expected, dtype=float), atol=1e-12)
    assert exact.rounded() == net
    assert net.is_chain == (chain.n_hidden == net.n_hidden and "emulated" not in chain.source)


@pytest.mark.parametrize("seed", range(10))
def test_values_are_values(seed: int) -> None:
    net = draw(seed)
    for other in (pickle.loads(pickle.dumps(net)), copy.deepcopy(net), copy.copy(net)):
        assert other == net
        assert hash(other) == hash(net)
        for block in other.blocks:
            with pytest.raises(ValueError, match="read-only"):
                block.bias[0] = 1
    assert len(repr(net)) < 200
    assert net.architecture == (net.n_inputs, *net.hidden_widths, net.n_outputs)


@pytest.mark.parametrize("seed", range(12))
def test_save_and_load(seed: int, tmp_path: Path) -> None:
    net = draw(seed)
    for k, saved in enumerate((net, net.exact())):
        saved.save(tmp_path / f"{k}.npz")
        loaded = pf.read_network(tmp_path / f"{k}.npz")
        assert loaded == saved
        assert (loaded.is_exact, loaded.source["format"]) == (saved.is_exact, "npz")
    group = GateGroup("conv", "Relu", (2, 2), np.array([3]), "lower")
    block = pf.GateBlock({0: np.ones((1, 4))}, [0.0], groups=[group])
    named = pf.PiecewiseLinearNetwork(4, [block], pf.AffineMap({1: [[1.0]]}, [0.0]), input_shape=(2, 2))
    named.save(tmp_path / "named.npz")
    loaded = pf.read_network(tmp_path / "named.npz")
    assert (loaded.gate_name(0), loaded.input_shape) == ("conv[1, 1] lower", (2, 2))
    with pytest.raises(InputError, match=r"save this network as"):
        net.save(tmp_path / "net.nnet")


@pytest.mark.parametrize("seed", range(30))
def test_onnx_and_back(seed: int, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    net = draw(seed)
    net.save(tmp_path / "net.onnx")
    onnx.checker.check_model(str(tmp_path / "net.onnx"))
    X = np.random.default_rng(seed).integers(-8, 9, (1000, net.n_inputs)) / 4
    try:
        session = runtime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    except runtime.capi.onnxruntime_pybind11_state.NotImplemented:
        pass  # some operations are not implemented there for float64
    else:
        dtype = np.float32 if "float)" in session.get_inputs()[0].type else np.float64
        (values,) = session.run(None, {"input": X.astype(dtype)})
        np.testing.assert_allclose(values, net(X), atol=1e-4 * max(1, np.abs(values).max()))
    again = pf.read_network(tmp_path / "net.onnx")
    np.testing.assert_allclose(again(X), net(X), atol=1e-9, rtol=1e-12)


def test_inner_values_as_outputs() -> None:
    net = draw(3)
    X = np.random.default_rng(0).standard_normal((5, net.n_inputs))
    values = net.preactivations(X)
    for l, block in enumerate(net.blocks, start=1):
        np.testing.assert_array_equal(net.inner(l, gates=False)(X), values[l - 1])
        np.testing.assert_array_equal(net.inner(l)(X), block.outputs(values[l - 1]))
    with pytest.raises(InputError, match="does not exist"):
        net.inner(0)


def test_relu_chains_there_and_back() -> None:
    chain = pf.ReLUNetwork.random((3, 5, 4, 2), rng=0)
    net = pf.PiecewiseLinearNetwork.from_chain(chain)
    assert net.is_chain
    assert net.as_chain() == chain == net.to_chain() == require_chain(net, "a theorem")
    assert (net.n_hidden, net.architecture, net.neuron(6)) == (chain.n_hidden, chain.architecture, chain.neuron(6))
    X = np.random.default_rng(1).standard_normal((9, 3))
    np.testing.assert_array_equal(net(X), chain(X))
    leaky = pf.PiecewiseLinearNetwork(
        1, [pf.GateBlock({0: [[1.0]]}, [0.0], slopes=(0.1, 1))], pf.AffineMap({1: [[1.0]]}, [0.0])
    )
    with pytest.raises(InputError, match="to_chain"):
        leaky.as_chain()
    with pytest.raises(InputError, match="theorems about ReLU chains"):
        require_chain(leaky, "minimize")


def test_chain_of_slopes_that_floats_cannot_multiply_is_exact() -> None:
    block = pf.GateBlock({0: [[0.3]]}, [0.7], slopes=(0.1, 1))
    net = pf.PiecewiseLinearNetwork(1, [block], pf.AffineMap({1: [[0.3]]}, [0.0]))
    assert net.to_chain().is_exact


def test_names_of_gates() -> None:
    first = GateGroup("conv", "Relu", (2, 3, 3), np.array([0, 17]))
    second = GateGroup("clip", "Clip", (4,), np.array([3]), "upper")
    block = pf.GateBlock({0: np.eye(3)}, np.zeros(3), groups=[first, second])
    net = pf.PiecewiseLinearNetwork(3, [block], pf.AffineMap({1: np.ones((1, 3))}, [0.0]))
    assert [net.gate_name(i) for i in range(3)] == ["conv[0, 0, 0]", "conv[1, 2, 2]", "clip[3] upper"]
    assert pickle.loads(pickle.dumps(net)).gate_name(1) == "conv[1, 2, 2]"
    assert pf.PiecewiseLinearNetwork.from_chain(pf.ReLUNetwork.random((2, 3, 1))).gate_name(2) == "block 1[2]"


ONE = pf.AffineMap({0: [[1.0]]}, [0.0])
TWO = pf.AffineMap({0: [[1.0, 1.0]]}, [0.0])
GATE = pf.GateBlock({0: [[1.0]]}, [0.0])
SMALL: Any = pf.PiecewiseLinearNetwork(1, [GATE], ONE)
THIRD = Fraction(1, 3)
BAD: dict[str, tuple[Callable[[], Any], type[PolyfiberError], str]] = {
    "equal slopes": (lambda: pf.GateBlock({0: [[1.0]]}, [0.0], slopes=(0.5, 0.5)), InputError, "not a gate"),
    "nan slope": (lambda: pf.GateBlock({0: [[1.0]]}, [0.0], slopes=(np.nan, 1)), InputError, "nan"),
    "nan weight": (lambda: pf.AffineMap({0: [[np.nan]]}, [0.0]), InputError, "nan"),
    "infinite bias": (lambda: pf.AffineMap({0: [[1.0]]}, [np.inf]), InputError, "inf"),
    "slopes": (lambda: pf.GateBlock({0: [[1.0]]}, [0.0], slopes=[0, 1, 2]), ShapeError, "slopes"),
    "key": (lambda: pf.AffineMap({-1: [[1.0]]}, [0.0]), InputError, "key"),
    "no mapping": (lambda: pf.AffineMap([[[1.0]]], [0.0]), InputError, "mapping"),  # type: ignore[arg-type]
    "rows": (lambda: pf.AffineMap({0: [[1.0]]}, [0.0, 1.0]), ShapeError, "bias has 2"),
    "no gates": (lambda: pf.GateBlock({0: np.zeros((0, 1))}, []), ShapeError, "without gates"),
    "reads itself": (
        lambda: pf.PiecewiseLinearNetwork(1, [pf.GateBlock({1: [[1.0]]}, [0.0])], ONE), InputError, "not before it",
    ),
    "reads later": (
        lambda: pf.PiecewiseLinearNetwork(1, [pf.GateBlock({2: [[1.0]]}, [0.0]), GATE], ONE), InputError, "not before",
    ),
    "output reads nothing there": (
        lambda: pf.PiecewiseLinearNetwork(1, [GATE], pf.AffineMap({2: [[1.0]]}, [0.0])), InputError, "the output reads",
    ),
    "columns": (lambda: pf.PiecewiseLinearNetwork(2, [GATE], ONE), ShapeError, "the input of 2 values"),
    "no inputs": (lambda: pf.PiecewiseLinearNetwork(0, [], ONE), InputError, "positive"),
    "no outputs": (lambda: pf.PiecewiseLinearNetwork(1, [], pf.AffineMap({}, [])), ShapeError, "one output"),
    "groups": (
        lambda: pf.GateBlock({0: [[1.0]]}, [0.0], groups=[GateGroup("a", "Relu", (2,), np.arange(2))]), ShapeError, "groups",
    ),
    "input shape": (lambda: pf.PiecewiseLinearNetwork(1, [], ONE, input_shape=(2, 2)), ShapeError, "input_shape"),
    "points": (lambda: pf.PiecewiseLinearNetwork(1, [], ONE)([[1.0, 2.0]]), ShapeError, "do not fit"),
    "texts": (lambda: pf.PiecewiseLinearNetwork(1, [], ONE)([["a"]]), InputError, "expected numbers"),
    "no sequence": (lambda: pf.PiecewiseLinearNetwork(1, 5, ONE), InputError, "a sequence of GateBlock"),  # type: ignore[arg-type]
    "no keys": (lambda: pf.GateBlock({"a": [[1.0]], 0: [[1.0]]}, [0.0]), InputError, "the key 'a'"),
    "negative shape": (
        lambda: pf.PiecewiseLinearNetwork(2, [], TWO, input_shape=(-1, -2)), InputError, "positive integers",
    ),
    "broken shape": (lambda: pf.PiecewiseLinearNetwork(2, [], TWO, input_shape=(1.5, 2)), InputError, "positive integers"),
    "number for a shape": (lambda: pf.PiecewiseLinearNetwork(2, [], TWO, input_shape=2), InputError, "input_shape is 2"),
    "text for a shape": (lambda: pf.PiecewiseLinearNetwork(2, [], TWO, input_shape="ab"), InputError, "'ab'"),
    "source": (lambda: pf.PiecewiseLinearNetwork(2, [], TWO, source=[1]), InputError, "mapping"),
    "no groups": (lambda: pf.GateBlock({0: [[1.0]]}, [0.0], groups=[1]), InputError, "a sequence of GateGroup"),
    "position": (lambda: GateGroup("a", "Relu", (2,), np.array([99])), ShapeError, "99"),
    "broken position": (lambda: GateGroup("a", "Relu", (2,), np.array([0.5])), InputError, "integers"),
    "no chain": (lambda: pf.PiecewiseLinearNetwork.from_chain("net"), InputError, "ReLUNetwork"),
    "exact nan": (lambda: pf.PiecewiseLinearNetwork(2, [], TWO).exact()([np.nan, 1.0]), InputError, "finite"),
    "ragged points": (lambda: pf.PiecewiseLinearNetwork(1, [], ONE)([[1], [1, 2]]), ShapeError, "rectangular"),
    "texts among objects": (
        lambda: pf.PiecewiseLinearNetwork(2, [], TWO)(np.array(["a", 1], dtype=object)), InputError, "holds a str",
    ),
    "text for a gate": (lambda: SMALL.gate_name("a"), InputError, "gate 'a'"),
    "nothing for a gate": (lambda: SMALL.gate_name(None), InputError, "gate None"),
    "half a gate": (lambda: SMALL.gate_name(0.5), InputError, "gate 0.5"),
    "text for a block": (lambda: SMALL.inner("a"), InputError, "block 'a'"),
    "truth for a block": (lambda: SMALL.inner(True), InputError, "block True"),
    "slopes that rounding makes equal": (
        lambda: pf.GateBlock({0: [[1.0]]}, [0.0], slopes=(THIRD, THIRD + Fraction(1, 10**30))).astype(False),
        InputError, "rounding to float64 makes them equal",
    ),
    "gate": (lambda: pf.PiecewiseLinearNetwork(1, [GATE], ONE).neuron(1), InputError, "does not exist"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str) -> None:
    make, error, message = BAD[name]
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("exact", [False, True])
def test_arrays_cannot_be_made_writable(exact: bool) -> None:
    unit = SparseMatrix([0, 1, 2], [0, 1], [1.0, 2.0], (2, 2))
    group = GateGroup("a", "Relu", (2,), np.arange(2))
    block = pf.GateBlock({0: np.eye(2), 1: unit}, [0.5, 1.0], slopes=(-1, 1), groups=[group]).astype(exact)
    sparse = block.weights[1]
    assert isinstance(sparse, SparseMatrix)
    arrays = (block.slopes, block.bias, block.weights[0], sparse.data, sparse.indices, sparse.indptr, group.positions)
    for array in arrays:
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.setflags(write=True)


def test_values_that_are_not_finite_go_on_without_a_warning() -> None:
    gate = pf.PiecewiseLinearNetwork(1, [GATE], pf.AffineMap({1: [[1.0]]}, [0.0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert gate([[-np.inf], [np.inf], [0.0]]).ravel().tolist() == [0.0, np.inf, 0.0]
        assert np.isnan(gate([np.nan])).all()


@pytest.mark.parametrize("n", [200_000, 10**7, 10**8])
def test_a_chain_is_measured_before_anything_is_written_out(n: int) -> None:
    row = SparseMatrix([0, 1], [n - 1], [1.0], (1, n))
    net = pf.PiecewiseLinearNetwork(
        n, [pf.GateBlock({0: row}, [0.0], slopes=(0.1, 1.0))], pf.AffineMap({0: row, 1: [[1.0]]}, [0.0])
    )
    tracemalloc.start()
    with pytest.raises(InputError, match="would hold more than"):
        net.to_chain()
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_chain_beyond_memory_is_refused() -> None:
    n = 20_000
    unit = SparseMatrix(np.arange(n + 1), np.arange(n), np.ones(n), (n, n))
    net = pf.PiecewiseLinearNetwork(
        n, [pf.GateBlock({0: unit}, np.zeros(n), slopes=(-1, 1))], pf.AffineMap({1: unit}, np.zeros(n))
    )
    assert net(np.full(n, -1.0)).sum() == n
    with pytest.raises(InputError, match="would hold more than"):
        net.to_chain()
    wide = SparseMatrix([0, 0], [], [], (1, 10**9))
    with pytest.raises(InputError, match="would hold more than"):
        pf.PiecewiseLinearNetwork(
            10**9, [pf.GateBlock({0: wide}, [1.0], slopes=(-1, 1))], pf.AffineMap({1: [[1.0]]}, [0.0])
        ).to_chain()
    many = SparseMatrix(np.arange(10**6 + 1), np.zeros(10**6, dtype=int), np.ones(10**6), (10**6, 1))
    net = pf.PiecewiseLinearNetwork(1, [pf.GateBlock({0: many}, np.zeros(10**6))], pf.AffineMap({0: [[1.0]]}, [0.0]))
    with pytest.raises(BudgetExceededError, match="expected to have"):
        pf.canonical_complex(net, budget=pf.Budget(memory=1 << 28))
