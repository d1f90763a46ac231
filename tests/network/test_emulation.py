"""Chains of ReLUs that compute what gates of any kind and wiring compute, in rationals."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from polyfiber.errors import InputError
from polyfiber.network import emulation
from polyfiber.network.piecewise import AffineMap, GateBlock, PiecewiseLinearNetwork
from polyfiber.testing.graphs import WIRINGS, random_graph


@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("weights", ["integer", "gaussian"])
def test_the_chain_is_the_same_function(wiring: str, weights: str) -> None:
    rng = np.random.default_rng(0)
    for seed in range(3):
        net = random_graph(seed, 2, (3, 2, 2), wiring=wiring, weights=weights, outputs=2)
        chain = emulation.chain_of(net)
        assert chain.source["emulated"]
        exact, same = net.exact(), chain.exact()
        for x in rng.integers(-16, 17, (6, 2)):
            point = np.array([Fraction(int(v), 4) for v in x], dtype=object)
            assert (exact(point) == same(point)).all()


def test_units_are_one_or_two_for_each_gate() -> None:
    """|x|: two units; a gate of slopes (0, 1): one; what a later block reads is carried along."""
    one = [[Fraction(1)]]
    absolute = GateBlock({0: np.array(one, dtype=object)}, [Fraction(0)], slopes=[[-1, 1]])
    net = PiecewiseLinearNetwork(1, [absolute], AffineMap({1: np.array(one, dtype=object)}, [Fraction(0)]))
    assert emulation.chain_of(net).architecture == (1, 2, 1)
    skip = PiecewiseLinearNetwork(
        1, [absolute], AffineMap({0: np.array(one, dtype=object), 1: np.array(one, dtype=object)}, [Fraction(0)])
    )
    chain = emulation.chain_of(skip)
    assert chain.architecture == (1, 4, 1)  # relu(x), relu(-x) twice: for the gate and for the input
    assert [chain([Fraction(v)])[0] for v in (-3, 0, 2)] == [0, 0, 4]


def test_too_large_chains_are_counted_first(monkeypatch: pytest.MonkeyPatch) -> None:
    net = random_graph(0, 2, (3, 3, 3), wiring="dense", kind="leaky")
    chain = emulation.chain_of(net)
    size = sum(w.size for w in chain.weights)
    monkeypatch.setattr(emulation, "CHAIN_LIMIT", size)
    assert emulation.chain_of(net) == chain
    monkeypatch.setattr(emulation, "CHAIN_LIMIT", size - 1)
    with pytest.raises(InputError, match="would hold more than"):
        emulation.chain_of(net)
