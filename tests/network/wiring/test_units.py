"""Clips, maxima and kinds of gates against numpy, and gates that are shared or saved."""

from __future__ import annotations

import math

import numpy as np
import pytest

from polyfiber.network.wiring import units
from polyfiber.network.wiring.assembly import assemble
from polyfiber.network.wiring.slots import Place, Wiring

X = np.random.default_rng(0).integers(-12, 13, (40, 4)) / 4


def place(n: int) -> Place:
    return Place.whole("node", "Max", (n,))


@pytest.mark.parametrize(
    ("low", "high"),
    [(-1.0, 1.0), (0.0, 1.5), (0.0, math.inf), (-math.inf, 0.5), (-math.inf, math.inf), (1.0, 2.0), (2.0, 1.0), (-3e38, 1.0),
     (-3e38, math.inf), (-1.0, math.inf)],
)  # fmt: skip
@pytest.mark.parametrize("after_relu", [False, True])
def test_clips(low: float, high: float, after_relu: bool) -> None:
    w = Wiring(4)
    slots = units.relu(w, w.inputs, place(4)) if after_relu else w.inputs
    before = np.maximum(X, 0) if after_relu else X
    made = units.clip(w, np.append(slots, -1), low, high, place(5))
    values = np.concatenate([before, np.zeros((len(X), 1))], axis=1)
    np.testing.assert_allclose(assemble(w, made, {})(X), np.minimum(np.maximum(values, low), high), atol=1e-12)


def test_a_relu_after_a_relu_changes_nothing() -> None:
    w = Wiring(2)
    once = units.relu(w, w.inputs, place(2))
    assert units.relu(w, once, place(2)) is once
    assert "directly after a ReLU was dropped" in w.notes[0]
    assert units.sloped(w, once, (0.25, 2.0), place(2)).tolist() != once.tolist()
    assert w.n_gates == 2  # what is never negative is multiplied by its upper slope


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("operands", [1, 2, 3, 4, 5])
def test_extrema_of_any_number(operands: int, largest: bool) -> None:
    w = Wiring(4)
    order = [np.roll(w.inputs, k) for k in range(operands)]
    made = units.extremum(w, order, place(4), largest=largest)
    stack = np.stack([np.roll(X, k, axis=1) for k in range(operands)])
    expected = stack.max(axis=0) if largest else stack.min(axis=0)
    np.testing.assert_allclose(assemble(w, made, {})(X), expected, atol=1e-12)


@pytest.mark.parametrize("largest", [True, False])
def test_places_left_out_and_zeros_of_a_padding(largest: bool) -> None:
    w = Wiring(4)
    operands = [np.array([0, 1, -2, -1]), np.array([2, -2, -2, 3]), np.array([-1, 3, -2, 3])]
    made = units.extremum(w, operands, place(4), largest=largest)
    assert made[2] == -2
    take = np.maximum if largest else np.minimum
    expected = np.stack([take(take(X[:, 0], X[:, 2]), 0), take(X[:, 1], X[:, 3]), take(X[:, 3], 0)], axis=1)
    np.testing.assert_allclose(assemble(w, made[[0, 1, 3]], {})(X), expected, atol=1e-12)


def test_two_that_were_compared_share_the_gate() -> None:
    w = Wiring(2)
    a, b = w.inputs[:1], w.inputs[1:]
    for _ in range(2):
        units.extremum(w, [a, b], place(1))
        units.extremum(w, [b, a], place(1), largest=False)
    assert w.n_gates == 1
    high, low = units.extremum(w, [b, a], place(1)), units.extremum(w, [a, b], place(1), largest=False)
    found = assemble(w, np.concatenate([high, low]), {})(X[:, :2])
    np.testing.assert_allclose(found, np.stack([X[:, :2].max(axis=1), X[:, :2].min(axis=1)], axis=1))


@pytest.mark.parametrize("largest", [True, False])
def test_the_same_increasing_function_of_all_comes_after_the_maximum(largest: bool) -> None:
    w = Wiring(4)
    active = units.relu(w, w.inputs, place(4))
    made = units.extremum(w, [active[:1], active[1:2], active[2:3]], place(1), largest=largest)
    expected = (X[:, :3].max(axis=1) if largest else X[:, :3].min(axis=1)).clip(0)
    np.testing.assert_allclose(assemble(w, made, {})(X)[:, 0], expected, atol=1e-12)
    net = assemble(w, made, {})
    assert sum(net.hidden_widths) == 3  # two comparisons and one ReLU of what won


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("values", [[0.0, 0.0], [1.0, -2.0]])
def test_limits_that_are_constants(values: list[float], largest: bool) -> None:
    w = Wiring(4)
    made = units.limited(w, np.array([2, -1]), np.array(values), place(2), largest=largest)
    take = np.maximum if largest else np.minimum
    expected = take(np.stack([X[:, 2], np.zeros(len(X))], axis=1), np.array(values))
    slots = made[made >= 0]
    np.testing.assert_allclose(assemble(w, slots, {})(X), expected[:, made >= 0], atol=1e-12)
    assert not expected[:, made < 0].any()
