"""Numbered values: moved about freely, counted before they are made, and evaluated as they stand."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from polyfiber.errors import InputError, ShapeError
from polyfiber.network.wiring import slots as module
from polyfiber.network.wiring.assembly import assemble
from polyfiber.network.wiring.slots import Activation, Affine, Place, Wiring

X = np.random.default_rng(0).integers(-8, 9, (20, 3)) / 4


def place(n: int) -> Place:
    return Place.whole("node", "Relu", (n,))


def test_maps_and_moved_values() -> None:
    w = Wiring(3)
    W, b = np.array([[1.0, -2.0, 0.0], [0.0, 0.5, 3.0]]), np.array([1.0, -1.0])
    h = w.dense(w.inputs[::-1], W, b, name="turned")
    both = np.concatenate([h, w.inputs[:1], [-1]])  # -1: a zero of a padding
    out = w.total([(both, 2), (both[::-1], -1)], name="sum", offset=np.arange(4.0))
    net = assemble(w, out, {})
    h_true = X[:, ::-1] @ W.T + b
    moved = np.concatenate([h_true, X[:, :1], np.zeros((len(X), 1))], axis=1)
    np.testing.assert_allclose(net(X), 2 * moved - moved[:, ::-1] + np.arange(4.0))


def test_values_that_are_read_twice_are_added_up() -> None:
    w = Wiring(2)
    out = w.dense(np.array([0, 0, 1, -1]), [[1.0, 2.0, 4.0, 8.0]], None, name="twice")
    (node,) = w.nodes
    assert isinstance(node, Affine)
    assert node.rows()[1].tolist() == [0, 1]
    assert assemble(w, out, {})(np.eye(2)).ravel().tolist() == [3.0, 4.0]


def test_levels_and_signs_of_gates() -> None:
    w = Wiring(2)
    first = w.gates(w.inputs, [[0.0, 1.0], [-1.0, 2.0]], place(2))
    second = w.gates(first[:1], (0.5, 1.0), place(1))
    assert [w.level(s) for s in (w.inputs, first, second, np.array([-1]))] == [0, 1, 2, 0]
    assert w.nonnegative(np.concatenate([w.inputs, first, second, [-1]])).tolist() == [
        False, False, True, True, False, True,
    ]  # fmt: skip
    assert w.n_gates == 3
    with pytest.raises(ShapeError, match="a gate on a constant zero"):
        w.gates(np.array([-1]), (0.0, 1.0), place(1))


def test_one_slope_is_no_gate_but_a_factor() -> None:
    w = Wiring(3)
    made = w.gates(w.inputs, [[2.0, 2.0], [0.0, 1.0], [1.0, 1.0]], place(3))
    assert w.n_gates == 1
    expected = np.stack([2 * X[:, 0], np.maximum(X[:, 1], 0), X[:, 2]], axis=1)
    np.testing.assert_array_equal(assemble(w, made, {})(X), expected)


def test_marks_remember_what_was_before() -> None:
    w = Wiring(2)
    made = w.gates(w.inputs, (0.0, 1.0), place(2))
    w.mark(made, w.inputs, Activation("sloped", (0.0, 1.0)))
    w.mark(made[:1], w.inputs[1:], Activation("clip", (0.0, 6.0)))
    number, before = w.marked(np.array([made[0], made[1], 0, -1]))
    assert [w.activations[k - 1].kind if k else "" for k in number] == ["clip", "sloped", "", ""]
    assert before.tolist() == [1, 1, -1, -1]


def test_room_grows_and_keeps_what_it_held() -> None:
    w = Wiring(2)
    kept = w.gates(w.inputs, (0.0, 1.0), place(2))
    for _ in range(8):
        w.diagonal(np.tile(w.inputs, 20), scale=np.full(40, 3.0), name="more")
    assert w.level(kept) == 1
    assert w.nonnegative(kept).all()
    assert w.level(np.arange(4, w.size)) == 0


@pytest.mark.parametrize("limit", ["SLOT_LIMIT", "DENSE_LIMIT", "NONZERO_LIMIT", "GATE_LIMIT"])
def test_limits_come_before_the_memory(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(module, limit, 8)
    w = Wiring(3)

    def more() -> None:
        row = w.dense(w.inputs, np.ones((1, 3)), None, name="a")
        w.gates(w.total([(row, 1)], name="b")[[0, 0]], (0.0, 1.0), place(2))

    def many() -> None:
        for _ in range(6):
            more()

    with pytest.raises(InputError, match="more than 8"):
        many()


def test_numbers_of_files() -> None:
    w = Wiring(1)
    assert w.numbers(np.array([1.5], dtype=np.float16), "here").dtype == np.float64
    assert w.dtypes == {"float16"}
    assert w.numbers(np.array([Fraction(1, 3)], dtype=object), "here")[0] == Fraction(1, 3)
    for wrong, message in (
        (np.array([np.inf]), "holds inf"),
        (np.array([2**60]), "above 2"),
        (np.array(["a"]), "dtype"),
    ):
        with pytest.raises(InputError, match=message):
            w.numbers(wrong, "here")
    with pytest.raises(ShapeError, match="at least one input"):
        Wiring(0)
