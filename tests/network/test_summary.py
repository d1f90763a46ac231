"""What `describe` says, against networks where it is known."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.network.summary import _rank_exact, describe, describe_piecewise
from polyfiber.numerics.modular import rank_of


def test_known_facts() -> None:
    W1 = [[1, 2], [2, 4], [1, 2], [0, 0], [0, 0], [-1, 0]]
    b1 = [1, 2, 1, -1, 3, 0]
    W2 = [[-1, -1, 0, 0, -2, 0], [1, 0, 1, 0, 0, 0], [1, -1, 0, 0, 0, 0]]
    b2 = [0, 1, 0]
    net = pf.ReLUNetwork([W1, W2, [[1, 0, 1]]], [b1, b2, [0]])
    for network in (net, net.exact()):
        facts = describe(network)
        assert facts["dead"] == [[1, 3], [2, 0]]
        assert facts["constant"] == [[1, 4]]
        assert facts["unused"] == [[1, 3], [1, 5], [2, 1]]
        assert facts["duplicate_rows"] == [[[1, 0], [1, 2]]]
        assert facts["proportional_rows"] == [[[1, 0], [1, 1], [1, 2]]]
        assert facts["zero_weights"] == [5, 11, 1]
        assert facts["zero_biases"] == [1, 2, 1]
        assert (facts["first_layer_rank"], facts["first_layer_rank_certified"]) == (2, True)
        assert not facts["bottleneck"]
        assert facts["arithmetic"] == ("exact" if network.is_exact else "float64")
        json.dumps(facts)


def test_dead_neurons_are_dead() -> None:
    rng = np.random.default_rng(0)
    net = pf.ReLUNetwork(
        [rng.integers(-1, 1, (8, 3)), rng.integers(-2, 1, (40, 8)), np.ones((1, 40))],
        [rng.integers(-1, 2, 8), rng.integers(-2, 2, 40), [0]],
    )
    facts = describe(net)
    assert facts["dead"]
    values = net.preactivations(rng.standard_normal((500, 3)) * 10)
    for layer, position in facts["dead"]:
        assert (values[layer - 1][:, position] <= 0).all()


@pytest.mark.parametrize("seed", range(8))
def test_rank_is_exact(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rank = 1 + seed % 4
    low = rng.integers(-5, 6, (6, rank)) @ rng.integers(-5, 6, (rank, 9))
    expected = np.linalg.matrix_rank(low.astype(float))
    facts = describe(pf.ReLUNetwork([low], [np.zeros(6)]))
    assert (facts["first_layer_rank"], facts["first_layer_rank_certified"]) == (expected, True)
    tall = describe(pf.ReLUNetwork([low.T * Fraction(1, 3)], [np.zeros(9)]))
    assert tall["first_layer_rank"] == expected
    # a change far below any tolerance raises it
    nudged = low.astype(object) + np.array(
        [[Fraction(i == j, 10**40) for j in range(9)] for i in range(6)], dtype=object
    )
    assert describe(pf.ReLUNetwork([nudged], [np.zeros(6)]))["first_layer_rank"] == 6


@pytest.mark.parametrize("shape", [(150, 200, 70), (200, 130, 130), (65, 64, 3), (64, 65, 64), (0, 5, 0), (5, 0, 0)])
def test_modular_rank_by_blocks(shape: tuple[int, int, int]) -> None:
    m, n, rank = shape
    rng = np.random.default_rng(m + n)
    low = rng.integers(-9, 10, (m, rank)) @ rng.integers(-9, 10, (rank, n))
    low[rng.permutation(m)[: m // 4]] = 0
    assert rank_of(low) == (np.linalg.matrix_rank(low.astype(float)) if low.size else 0)


def test_the_rank_of_a_wide_layer_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyfiber.network.summary.RANK_LIMIT", 5)
    facts = describe(pf.ReLUNetwork([np.eye(3)], [np.zeros(3)]))
    assert (facts["first_layer_rank"], facts["first_layer_rank_certified"]) == (None, False)


def test_modular_rank_alone_would_be_fooled() -> None:
    prime = (1 << 31) - 1
    matrix = np.array([[prime, 0], [0, 1]], dtype=object)
    assert rank_of((matrix % prime).astype(np.int64)) == 1
    assert _rank_exact(matrix) == 2
    facts = describe(pf.ReLUNetwork([matrix.astype(float)], [np.zeros(2)]))
    assert (facts["first_layer_rank"], facts["first_layer_rank_certified"]) == (2, True)


def test_folding_is_summarised() -> None:
    net = pf.from_torch({"0.weight": np.ones((2, 2)), "0.bias": np.ones(2)})
    assert describe(net)["folding"] == []
    assert describe(net)["format"] == "torch"


def test_piecewise_linear_networks() -> None:
    slopes = [(0, 1), (0.25, 1), (2, 3)]
    block = pf.GateBlock({0: [[1.0], [2.0], [0.0]]}, [0.0] * 3, slopes=slopes)
    net = pf.PiecewiseLinearNetwork(1, [block], pf.AffineMap({0: [[1.0]], 1: [[1, 0, 1]]}, [0.0]))
    facts = describe_piecewise(net)
    assert facts["gates"] == {"ReLU": 1, "leaky, 0.25": 1, "slopes 2.0 and 3.0": 1}
    assert (facts["wiring"], facts["nonzeros"], facts["architecture"]) == ([[0], [0, 1]], 5, [1, 3, 1])
    json.dumps(facts)
