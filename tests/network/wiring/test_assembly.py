"""From wirings to networks: what is dead goes, maps in a row are multiplied out once, chains are chains."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import InputError
from polyfiber.network.wiring import assembly
from polyfiber.network.wiring.assembly import assemble
from polyfiber.network.wiring.slots import Place, Wiring

RNG = np.random.default_rng(0)
X = RNG.standard_normal((20, 3))


def place(n: int) -> Place:
    return Place.whole("relu", "Relu", (n,))


def test_one_map_between_gates_keeps_its_numbers() -> None:
    w = Wiring(3)
    W, b, V = RNG.standard_normal((4, 3)), RNG.standard_normal(4), RNG.standard_normal((2, 4))
    y = w.gates(w.dense(w.inputs, W, b, name="one"), (0.0, 1.0), place(4))
    net = assemble(w, w.dense(y, V, None, name="two"), {"format": "here"}, head="softmax", notes=["said"])
    assert isinstance(net, pf.ReLUNetwork)
    assert net.source["folding"] == ()
    assert (net.source["format"], net.source["head"], net.source["dtype"]) == ("here", "softmax", "float64")
    assert "said" in net.source["notes"]
    np.testing.assert_array_equal(net.weights[0], W)
    np.testing.assert_array_equal(net.weights[1], V)
    np.testing.assert_array_equal(net.biases[0], b)


def test_maps_in_a_row_are_rounded_once() -> None:
    w = Wiring(3)
    A, B = RNG.standard_normal((4, 3)), RNG.standard_normal((2, 4))
    a, b = RNG.standard_normal(4), RNG.standard_normal(2)
    net = assemble(w, w.dense(w.dense(w.inputs, A, a, name="one"), B, b, name="two"), {})
    assert isinstance(net, pf.ReLUNetwork)
    (record,) = net.source["folding"]
    assert record["operations"] == ("one", "two")
    as_fractions = np.vectorize(Fraction, otypes=[object])
    exact, shift = as_fractions(B) @ as_fractions(A), as_fractions(B) @ as_fractions(a) + as_fractions(b)
    for found, bound, true in zip(
        [*net.weights[0].ravel(), *net.biases[0]], [*record["weight_bounds"].ravel(), *record["bias_bounds"]],
        [*exact.ravel(), *shift],
    ):  # fmt: skip
        assert found == float(true)
        assert abs(Fraction(float(found)) - true) <= Fraction(float(bound))


def test_what_no_output_needs_is_gone() -> None:
    w = Wiring(3)
    y = w.gates(w.dense(w.inputs, RNG.standard_normal((5, 3)), None, name="wide"), (0.0, 1.0), place(5))
    w.gates(y, (0.5, 1.0), place(5))
    net = assemble(w, w.total([(y[[1, 3]], 1)], name="two of five"), {})
    assert net.hidden_widths == (2,)


def test_branches_are_blocks_and_sparse_chains_are_written_out_where_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    w = Wiring(3)
    y = w.gates(w.dense(w.inputs, np.ones((2, 3)), None, name="one"), (0.0, 1.0), place(2))
    net = assemble(w, w.total([(y, 1), (w.inputs[:2], 1)], name="skip"), {})
    assert isinstance(net, pf.PiecewiseLinearNetwork)
    np.testing.assert_allclose(net(X), np.maximum(X.sum(axis=1, keepdims=True), 0) + X[:, :2])
    monkeypatch.setattr(assembly, "WRITTEN_OUT", 1)
    monkeypatch.setattr(assembly, "SPARSITY", 1)
    for chain in (False, True):
        w = Wiring(3)
        made = w.gates(w.diagonal(w.inputs, scale=np.array([2.0, 3.0, 5.0]), name="sparse"), (0.0, 1.0), place(3))
        assert isinstance(assemble(w, made, {}, chain=chain), pf.ReLUNetwork) == chain


def test_too_many_pairs_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "READ_LIMIT", 2)
    w = Wiring(1)
    before = [w.inputs]
    for _ in range(3):
        before.append(w.gates(w.total([(s, 1) for s in before], name="sum"), (-1.0, 1.0), place(1)))
    with pytest.raises(InputError, match="more than 2 times"):
        assemble(w, before[-1], {})
