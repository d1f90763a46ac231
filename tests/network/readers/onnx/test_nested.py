"""Functions of a file and branches of an If, as nodes of the one graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from polyfiber.errors import FileFormatError, InputError, UnsupportedLayerError
from polyfiber.network.readers.onnx import nested

from .cases import (
    B1,
    RNG,
    W1,
    build,
    gemm,
    graph_of,
    node,
    read,
    run,
)


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


def test_functions_that_double_are_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nested, "MOST_BYTES", 1 << 21)
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
