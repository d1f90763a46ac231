"""Networks brought near to each other: symmetries are undone, and nothing gets farther."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import ShapeError
from polyfiber.network.moves import random_trivial


@pytest.mark.parametrize("widths", [(3, 5, 2), (4, 16, 16, 3), (5, 12, 12, 12, 2)])
def test_permutations_and_scalings_are_undone(widths: tuple[int, ...]) -> None:
    for seed in range(3):
        a = pf.ReLUNetwork.random(widths, rng=seed)
        b = random_trivial(a, rng=seed + 10)(a)
        found = pf.align(a, b)
        assert found.distance < 1e-12
        assert max(found.layers) < 1e-12
        assert found.moves(b) == found.network


def test_noise_is_what_is_left() -> None:
    rng = np.random.default_rng(0)
    a = pf.ReLUNetwork.random((4, 16, 16, 3), rng=0)
    noisy = pf.ReLUNetwork([w + 0.01 * rng.standard_normal(w.shape) for w in a.weights], a.biases)
    direct = pf.align(a, noisy)
    found = pf.align(a, random_trivial(noisy, rng=2)(noisy))
    assert direct.distance <= direct.before
    assert found.distance < 1.01 * direct.before


def test_other_networks_get_no_farther_and_keep_their_function() -> None:
    rng = np.random.default_rng(1)
    for seed in range(3):
        a, b = (pf.ReLUNetwork.random((3, 6, 5, 2), rng=10 * seed + k) for k in (0, 1))
        found = pf.align(a, b)
        assert found.distance <= found.before
        X = rng.standard_normal((20, 3))
        assert np.allclose(found.network(X), b(X), rtol=1e-9, atol=1e-9)
    with pytest.raises(ShapeError, match="one architecture"):
        pf.align(a, pf.ReLUNetwork.random((3, 6, 6, 2), rng=0))


def test_zero_rows_and_dead_neurons() -> None:
    a = pf.ReLUNetwork([np.zeros((2, 2)), np.zeros((1, 2))], [[0, 0], [0]])
    assert pf.align(a, a).distance == 0.0
    b = pf.ReLUNetwork([np.array([[1.0, 0], [0, 0]]), np.array([[0.0, 1.0]])], [[0, -1], [0]])
    found = pf.align(a, b)
    assert np.isfinite(found.distance)
    c = pf.ReLUNetwork([b.weights[0][::-1], b.weights[1][:, ::-1]], [b.biases[0][::-1], b.biases[1]])
    assert pf.align(b, c).distance == 0.0


def test_a_layer_is_never_exchanged_for_another() -> None:
    """Networks that differ in the last hidden layer alone stay two functions."""
    a = pf.ReLUNetwork.random((3, 4, 4, 2), rng=0)
    W = [w.copy() for w in a.weights]
    W[1] = W[1] + 0.1
    b = pf.ReLUNetwork(W, a.biases)
    found = pf.align(a, b)
    assert found.distance > 1e-3
    X = np.random.default_rng(0).standard_normal((20, 3))
    assert np.allclose(found.network(X), b(X))


def test_it_says_when_time_was_up() -> None:
    a, b = (pf.ReLUNetwork.random((3, 6, 5, 2), rng=k) for k in (0, 1))
    found = pf.align(a, b, budget=pf.Budget(seconds=0))
    assert found.distance <= found.before
    assert found.stopped is not None
    assert "larger budget=" in found.stopped
    assert pf.align(a, b).stopped is None
