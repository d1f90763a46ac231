"""Heads of ONNX graphs: what is read as logits, what keeps its meaning, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyfiber.errors import UnsupportedLayerError

from .cases import (
    B1,
    BASE,
    LOGITS,
    RNG,
    W1,
    build,
    gemm,
    node,
    read,
    run,
)


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
