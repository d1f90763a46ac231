"""Steps of minimize that relations give, lower bounds, and which neuron became which."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.equivalence.reductions import (
    _least_total,
    affine_step,
    gauge_step,
    lower_bounds,
    neuron_map,
    relation_step,
)
from polyfiber.fibers.image.relatives import planted
from polyfiber.network.moves import random_trivial
from polyfiber.testing.rewritings import OPERATORS


def five_pairs(rng: np.random.Generator) -> pf.ReLUNetwork:
    """n0 = 2, five pairs relu(u) - relu(-u): an affine function of ten neurons."""
    u = rng.integers(-4, 5, (5, 2)) + np.array([0.5, 0.25])
    return pf.ReLUNetwork([np.concatenate([u, -u]), [[1.0, 2, 3, 4, 5, -1, -2, -3, -4, -5]]], [np.zeros(10), [0.5]])


def test_known_misses_are_minimal_now() -> None:
    for exact in (False, True):
        net = five_pairs(np.random.default_rng(0))
        found = pf.minimize(net.exact() if exact else net)
        assert found.network.architecture == (2, 2, 1)
        W = [[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [-1, -1]]
        related = pf.ReLUNetwork(
            [np.array(W, float), [[1.0, 2, 3, 4, 5, 6], [1, -1, 2, 1, -3, 1]], [[1.0, 1.0]]],
            [np.zeros(6), [0.3, 0.1], [0.0]],
        )
        small = pf.minimize(related.exact() if exact else related, prove=True)
        assert small.network.architecture == (2, 5, 2, 1)
        assert small.proof is not None
        assert small.proof.verdict is pf.Verdict.YES


@pytest.mark.parametrize("name", ["split", "cancelling group", "triple flip", "feature relation", "mirror"])
def test_what_an_operator_added_goes_again(name: str) -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        base = pf.ReLUNetwork.random(((2, 4, 1), (3, 5, 4, 2), (2, 3, 3, 3, 1))[seed % 3], rng=rng)
        other = OPERATORS[name](base.exact(), rng)
        assert other is not None
        for net in (other, other.rounded()):
            found = pf.minimize(net)
            assert sum(found.network.hidden_widths) <= max(
                sum(base.hidden_widths), sum(found.lower_bounds.widths)
            ) + 2 * (name == "mirror")
            X = rng.standard_normal((50, base.architecture[0])) * 10.0 ** rng.uniform(-2, 3, (50, 1))
            size = 1 + np.abs(base(X)).max(axis=1, keepdims=True) + np.abs(X).sum(axis=1, keepdims=True)
            assert (np.abs(found.network.rounded()(X) - base(X)) <= 1e-10 * size).all()
            if net.is_exact:
                x = [Fraction(float(v)) for v in X[0]]
                assert (found.network(x) == other(x)).all()


def test_lower_bounds_hold_for_every_smaller_network() -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        widths = (
            int(rng.integers(1, 5)),
            *(int(v) for v in rng.integers(1, 6, int(rng.integers(0, 4)))),
            int(rng.integers(1, 4)),
        )
        net = pf.ReLUNetwork.random(widths, rng=rng)
        found = lower_bounds(net)
        assert len(found.widths) == len(found.reasons) == len(widths) - 2
        assert all(low <= w for low, w in zip(found.widths, widths[1:-1]))
    wide = lower_bounds(pf.ReLUNetwork.random((4, 30, 20, 3), rng=0))
    assert wide.widths == (4, 3)
    assert lower_bounds(pf.ReLUNetwork([np.zeros((2, 3)), np.zeros((1, 2))], [[0, 0], [1]])).widths == (1,)
    assert pf.minimize(pf.ReLUNetwork.random((3, 9, 2), rng=0)).lower_bounds.total == 9


def test_the_map_says_which_neurons_stayed(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    base = pf.ReLUNetwork.random((3, 4, 3, 2), rng=0)
    W = [w.copy() for w in base.weights]
    b = [v.copy() for v in base.biases]
    W[0], b[0] = (
        np.concatenate([W[0], 2 * W[0][:1], -np.abs(W[0][:1]) * 0]),
        np.concatenate([b[0], 2 * b[0][:1], [-1.0]]),
    )
    W[1] = np.concatenate([W[1], rng.standard_normal((3, 2))], axis=1)
    found = pf.minimize(pf.ReLUNetwork(W, b))
    assert found.neurons[0] == (0, 1, 2, 3)
    for l, kept in enumerate(found.neurons):
        for i, v in enumerate(kept):
            if v >= 0:
                mine, theirs = found.network.weights[l][i], found.original.weights[l][v]
                if l == 0:
                    assert np.allclose(mine / np.abs(mine).max(), theirs / np.abs(theirs).max())
    found.network.save(tmp_path / "small.npz")
    assert any("layer 1: 0, 1, 2, 3" in note for note in pf.read_network(tmp_path / "small.npz").source["notes"])
    assert neuron_map(base, [random_trivial(base, rng=1)], base)[0] == (-1,) * 4


def test_degenerate_layers_are_left_or_folded() -> None:
    zero = pf.ReLUNetwork([np.zeros((3, 2)), np.ones((1, 3))], [[1.0, 2.0, -1.0], [0.0]])
    move = relation_step(zero, 1, tolerance=1e-13)
    assert move is not None
    assert move(zero)([0.3, 0.4]).tolist() == [3.0]
    assert relation_step(pf.ReLUNetwork.random((2, 3, 1), rng=0), 1, tolerance=1e-13) is None
    assert affine_step(pf.ReLUNetwork.random((2, 3, 1), rng=0), tolerance=1e-13) is None


def _two_groups(dtype: type, shifts: tuple[int, int]) -> pf.ReLUNetwork:
    """Two copies of relu(2a - b - 3), a = relu(x), b = relu(y), the first hyperplane of each translated; and a row that reads neither."""
    W1, b1 = [[1, 0], [0, 1], [1, 0], [0, 1]], [-shifts[0], 0, -shifts[1], 0]
    W2 = [[2, -1, 0, 0], [0, 0, 2, -1], [0, 0, 0, 1]]
    b2 = [-3 + 2 * shifts[0], -3 + 2 * shifts[1], 1]
    net = pf.ReLUNetwork([W1, W2, [[1, 1, 0], [3, -1, 2]]], [b1, b2, [0, 0]])
    return net.exact() if dtype is Fraction else net


@pytest.mark.parametrize("dtype", [float, Fraction])
@pytest.mark.parametrize("shifts", [(0, 1), (1, -2), (-3, -1)])
def test_gauges_of_groups(dtype: type, shifts: tuple[int, int]) -> None:
    """Each group is translated by itself, whoever reads the other hyperplanes; then both are one."""
    net = _two_groups(dtype, shifts)
    found = pf.minimize(net, prove=True)
    assert found.network.architecture == (2, 2, 2, 2)
    assert found.proof is not None
    assert found.proof.verdict is pf.Verdict.YES
    x = np.array([[Fraction(p, 7), Fraction(q, 3)] for p in range(-40, 41, 3) for q in range(-20, 21, 3)], dtype=object)
    assert np.abs((net.exact()(x) - found.network.exact()(x)).astype(float)).max() < (
        1e-12 if dtype is float else 1e-300
    )
    assert (np.abs(found.moves(net)(x.astype(float)) - found.network(x.astype(float))) < 1e-9).all()


def test_no_gauge_beyond_the_half_line_or_where_it_is_read_otherwise() -> None:
    net = _two_groups(Fraction, (0, 1))
    W, b = [w.copy() for w in net.weights], [c.copy() for c in net.biases]
    W[1][2, 0] = W[1][2, 2] = Fraction(1)  # the third row reads both, without hiding them
    assert gauge_step(pf.ReLUNetwork(W, b), 1, tolerance=0) is None
    far = pf.ReLUNetwork(net.weights, [[Fraction(0), 0, -5, 0], [Fraction(-3), 1, 1], net.biases[2]])
    assert gauge_step(far, 1, tolerance=0) is None  # 0 cannot go to 5, beyond 3/2, and 5 is not hidden


@pytest.mark.parametrize("exactly", [False, True])
def test_layers_that_act_affinely_go(exactly: bool) -> None:
    """A layer that is active on its image, an identity by pairs, and a network that is affine altogether; nothing else."""
    rng = np.random.default_rng(3)
    W = [
        rng.integers(-3, 4, (5, 3)),
        rng.integers(0, 4, (4, 5)),
        rng.integers(-3, 4, (3, 4)),
        rng.integers(-3, 4, (2, 3)),
    ]
    b = [rng.integers(-3, 4, 5), rng.integers(1, 4, 4), rng.integers(-3, 4, 3), rng.integers(-3, 4, 2)]
    net = pf.ReLUNetwork([w.astype(float) for w in W], [v.astype(float) for v in b])
    net = net.exact() if exactly else net
    plain, found = pf.minimize(net), pf.minimize(net, depth=True, prove=True)
    assert len(plain.network.weights) == 4
    assert (len(found.network.weights), found.layers) == (3, (1, 3))
    assert len(found.neurons) == 2
    assert found.proof is not None
    assert found.proof.verdict is pf.Verdict.YES
    assert "layer 3" in found.network.source["notes"][-1]
    assert found.moves.inverse()(found.moves(net)).architecture == net.architecture
    pairs = OPERATORS["identity layer"](net.exact(), rng)
    assert pairs is not None
    assert len(pf.minimize(pairs, depth=True).network.weights) <= 3
    u = np.array([[1.0, 0.5], [2.0, -1.0]])
    affine = pf.ReLUNetwork([np.concatenate([u, -u]), [[1.0, 2, -1, -2]]], [np.zeros(4), [0.5]])
    assert pf.minimize(affine, depth=True).network.architecture == (2, 1)
    other = pf.ReLUNetwork.random((2, 4, 4, 1), rng=0)
    assert pf.minimize(other, depth=True).network.architecture[-2:] == pf.minimize(other).network.architecture[-2:]


def apart_twice(widths: tuple[int, int, int, int], rng: np.random.Generator) -> pf.ReLUNetwork:
    """A neuron of layer 2 that is never active together with neuron 0 of layer 1, and a multiple of it but for that weight."""
    base = planted(widths, ["apart"], rng=rng)
    W, b, C = base.weights[1], base.biases[1], base.weights[2]
    row, times = W[0].copy(), 2.0 ** rng.integers(-1, 3)
    row[0] -= rng.uniform(0.1, 1)
    return pf.ReLUNetwork(
        [base.weights[0], np.vstack([W, times * row]), np.hstack([C, rng.standard_normal((len(C), 1))])],
        [base.biases[0], np.append(b, times * b[0]), base.biases[2]],
    )


@pytest.mark.parametrize("rational", [False, True])
def test_neurons_that_agree_on_the_image_become_one(rational: bool) -> None:
    rng, seen = np.random.default_rng(0), 0
    for _ in range(2 if rational else 6):
        n0 = int(rng.integers(1, 4))
        net = apart_twice((n0, int(rng.integers(n0 + 1, 3 * n0 + 2)), int(rng.integers(1, 4)), 2), rng)
        net = net.exact() if rational else net
        found = pf.minimize(net, prove=True)
        assert found.network.architecture[2] < net.architecture[2]
        assert found.proof is not None
        assert found.proof.verdict is pf.Verdict.YES
        seen += any("on the image" in str(move) for move in found.moves.moves)
    assert seen >= 1 or rational


@pytest.mark.parametrize("rational", [False, True])
def test_sums_on_the_image_and_on_a_box(rational: bool) -> None:
    """relu(y_0 + y_1 - 1) behind relu(x), relu(-x): where one is active the other is not."""
    rows = [[[1.0], [-1.0]], [[1.0, 0], [0, 1], [1, 1]], [[1.0, 2, 4]]]
    net = pf.ReLUNetwork(rows, [[0.0, 0], [-1.0, -1, -1], [0.0]])
    found = pf.minimize(net.exact() if rational else net, prove=True)
    assert found.network.architecture == (1, 2, 2, 1)
    assert found.network.weights[2].tolist() in ([[5, 6]], [[-1, 6]], [[1, 5]])
    assert found.proof is not None
    assert found.proof.verdict is pf.Verdict.YES
    # on the box the neurons are active, so that the image is a segment: one neuron says all
    box = pf.Box([1.0], [2.0])
    tight = pf.ReLUNetwork(
        [[[1.0], [-1.0]], [[1.0, 0], [2, 1], [3, 1]], [[1.0, 2, 4]]], [[0.0, 3], [-1.0, 1, 1], [0.0]]
    )
    assert pf.minimize(tight, domain=box).network.n_hidden <= 2


def test_lower_bounds_of_all_layers_by_linear_parts() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(1, 4))
        widths = (n, *(int(v) for v in rng.integers(1, 7, int(rng.integers(1, 4)))), int(rng.integers(1, 3)))
        net = pf.ReLUNetwork.random(widths, rng=seed)
        found = lower_bounds(net)
        assert sum(found.widths) <= found.total <= net.n_hidden
        assert lower_bounds(net, (-np.ones(n), np.ones(n))).total <= net.n_hidden
    found = lower_bounds(pf.ReLUNetwork.random((2, 12, 12, 1), rng=0))
    assert found.total > sum(found.widths)
    assert "linear parts" in found.total_reason


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_fewest_neurons_for_so_many_parts_by_trying_all(layers: int) -> None:
    rng = np.random.default_rng(layers)
    for _ in range(12):
        n, widths, parts = int(rng.integers(1, 5)), rng.integers(1, 4, layers).tolist(), int(rng.integers(1, 60))

        def regions(w: int, n: int = n) -> int:
            return sum(math.comb(w, k) for k in range(min(w, n) + 1))

        every = itertools.product(*(range(w, 61 if layers == 1 else 16) for w in widths))
        least = min(sum(c) for c in every if math.prod(map(regions, c)) >= parts)
        assert _least_total(parts, n, widths) == least
