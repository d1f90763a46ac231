"""Every move keeps the function, can be undone, composed and printed."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyfiber.errors import InputError, ShapeError
from polyfiber.network import moves as mv
from polyfiber.network.model import ReLUNetwork


def points(net: ReLUNetwork, rng: np.random.Generator, n: int = 300) -> np.ndarray:
    return rng.standard_normal((n, net.architecture[0])) * 10.0 ** rng.uniform(-2, 3, (n, 1))


def assert_same_function(a: ReLUNetwork, b: ReLUNetwork, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    X = points(a, rng)
    if a.is_exact:
        X = X[:20]
        assert (a(X) == b(X)).all()
    else:
        y = a(X)
        np.testing.assert_allclose(b(X), y, atol=1e-10 * np.abs(y).max(), rtol=1e-9)


def hiding_network(seed: int, widths: tuple[int, int, int, int], k: int, *, exact: bool = False) -> ReLUNetwork:
    rng = np.random.default_rng(seed)
    net = ReLUNetwork.random(widths, rng=rng)
    W2 = -np.abs(net.weights[1])
    W2[:, k] *= -1
    weights = [net.weights[0], W2, net.weights[2]]
    biases = [net.biases[0], -np.abs(net.biases[1]), net.biases[2]]
    result = ReLUNetwork(weights, biases)
    return result.exact() if exact else result


@settings(max_examples=40, deadline=None)
@given(
    widths=st.lists(st.integers(1, 5), min_size=2, max_size=5),
    seed=st.integers(0, 2**31),
    exact=st.booleans(),
)
def test_trivial_symmetries(widths: list[int], seed: int, exact: bool) -> None:
    net = ReLUNetwork.random(widths, rng=seed)
    net = net.exact() if exact else net
    move = mv.random_trivial(net, rng=seed)
    moved = move(net)
    assert_same_function(net, moved)
    back = move.inverse()(moved)
    if exact:
        assert back == net
    for a, b in zip((*back.weights, *back.biases), (*net.weights, *net.biases)):
        np.testing.assert_allclose(a.astype(float), b.astype(float), rtol=1e-12)
    assert len(move) == 2 * (len(widths) - 2)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("n2", [1, 2, 3])
def test_translation_up_to_the_end_and_not_beyond(n2: int, exact: bool) -> None:
    for seed in range(5):
        net = hiding_network(seed, (4, 3, n2, 2), k=1, exact=exact)
        end = min(-net.biases[1] / net.weights[1][:, 1])
        for shift in (-3 * end, end / 2, end):
            move = mv.Translate(1, shift)
            moved = move(net)
            assert moved != net
            assert_same_function(net, moved)
            assert_same_function(net, move.inverse()(moved))
        with pytest.raises(InputError, match="not hidden after"):
            mv.Translate(1, end * (Fraction(11, 10) if exact else 1.1))(net)


def test_translation_leaves_dead_neurons_alone() -> None:
    net = hiding_network(3, (4, 3, 3, 2), k=0)
    W2 = net.weights[1].copy()
    W2[1] = -np.abs(W2[1])
    net = ReLUNetwork([net.weights[0], W2, net.weights[2]], net.biases)
    assert_same_function(net, mv.Translate(0, -7.0)(net))


@pytest.mark.parametrize("exact", [False, True])
def test_flips_form_the_group_of_symmetric_differences(exact: bool) -> None:
    net = hiding_network(4, (5, 4, 1, 2), k=2, exact=exact)
    subsets = [(), (0,), (1,), (3,), (0, 1), (0, 3), (1, 3), (0, 1, 3)]
    for I in subsets:
        moved = mv.Flip(2, I)(net)
        assert_same_function(net, moved)
        for J in subsets:
            both, direct = mv.Flip(2, J)(moved), mv.Flip(2, tuple(set(I) ^ set(J)))(net)
            if exact:
                assert both == direct
            for a, b in zip(both.weights, direct.weights):
                np.testing.assert_allclose(a.astype(float), b.astype(float), rtol=1e-9, atol=1e-12)


def test_flip_and_translation_refuse_what_is_not_hidden() -> None:
    net = ReLUNetwork.random((3, 3, 1, 1), rng=0)
    with pytest.raises(InputError, match="not hidden"):
        mv.Translate(0, 0.1)(net)
    with pytest.raises(InputError, match="not hidden"):
        mv.Flip(0, (1,))(net)
    with pytest.raises(InputError, match="exactly one live"):
        mv.Flip(1, (0,))(hiding_network(0, (3, 3, 2, 1), k=1))
    with pytest.raises(InputError, match="cannot be among"):
        mv.Flip(1, (1,))
    with pytest.raises(InputError, match="two hidden layers"):
        mv.Translate(0, 0.1)(ReLUNetwork.random((3, 3, 1), rng=0))
    with pytest.raises(InputError, match="at least two neurons"):
        mv.Translate(0, 0.1)(ReLUNetwork([[[1.0]], [[1.0]], [[1.0]]], [[0.0], [-1.0], [0.0]]))


@pytest.mark.parametrize("exact", [False, True])
def test_drop_merge_and_refactor(exact: bool) -> None:
    rng = np.random.default_rng(9)
    net = ReLUNetwork.random((3, 3, 7, 2), rng=rng)
    W, b = net.weights[1].copy(), net.biases[1].copy()
    W[0], b[0] = -np.abs(W[0]), -1.0  # dead
    W[1], b[1] = 2 * W[2], 2 * b[2]  # duplicates
    W[3:5], b[3:5] = np.abs(W[3:5]), np.abs(b[3:5])  # linear
    W[5], b[5] = 0.0, 1.5  # constant
    net = ReLUNetwork([net.weights[0], W, net.weights[2]], [net.biases[0], b, net.biases[2]])
    net = net.exact() if exact else net

    drop = mv.drop_neurons(net, 2, [0, 5], constants=[0, 1.5], why="drop dead and constant neurons")
    merge = mv.merge_neurons(net, 2, [1, 2])
    U = np.array([[2, 1], [1, 1]], dtype=object) if exact else np.array([[2.0, 1.0], [1.0, 1.0]])
    V = np.array([[1, -1], [-1, 2]], dtype=object) if exact else np.array([[1.0, -1.0], [-1.0, 2.0]])
    linear = mv.refactor_linear(
        net, 2, [3, 4], weights=U @ net.weights[1][3:5], biases=[0, 1], outgoing=net.weights[2][:, 3:5] @ V
    )
    for move, width in ((drop, 5), (merge, 6), (linear, 7)):
        moved = move(net)
        assert moved.architecture[2] == width
        assert_same_function(net, moved)
        back = move.inverse()(moved)
        assert_same_function(net, back)
        if exact:
            assert back == net
        assert "layer 2" in str(move)
    smaller = drop(net)
    both = mv.compose(drop, mv.merge_neurons(smaller, 2, [0, 1]))
    assert_same_function(net, both(net))
    assert both(net).architecture[2] == 4
    assert_same_function(net, both.inverse()(both(net)))


def test_dropping_a_whole_layer_leaves_one_zero_neuron() -> None:
    W2 = -np.ones((2, 2))
    net = ReLUNetwork([np.eye(2), W2, [[1.0, 2.0]]], [[0.0, 0.0], [-1.0, -1.0], [3.0]])
    moved = mv.drop_neurons(net, 2, [0, 1])(net)
    assert moved.architecture == (2, 2, 1, 1)
    assert_same_function(net, moved)


def test_hidden_hyperplanes_of_deeper_layers_move_too() -> None:
    inner = hiding_network(6, (4, 3, 2, 2), k=1)
    first = ReLUNetwork.random((3, 4), rng=1)
    deep = ReLUNetwork([*first.weights, *inner.weights], [*first.biases, *inner.biases])
    end = float(min(-inner.biases[1] / inner.weights[1][:, 1]))
    for shift in (-2.0, end):
        assert_same_function(deep, mv.Translate(1, shift, layer=2)(deep))
    with pytest.raises(InputError, match="not hidden"):
        mv.Translate(0, 0.1, layer=1)(deep)
    inner = hiding_network(7, (4, 3, 1, 2), k=0)
    deep = ReLUNetwork([*first.weights, *inner.weights], [*first.biases, *inner.biases])
    assert_same_function(deep, mv.Flip(0, (2,), layer=2)(deep))


def test_wrong_moves_are_refused() -> None:
    net = ReLUNetwork.random((2, 3, 1), rng=1)
    with pytest.raises(InputError, match="not a permutation"):
        mv.Permute(1, (0, 0, 1))
    with pytest.raises(InputError, match="positive"):
        mv.Rescale(1, (1.0, -1.0, 1.0))
    with pytest.raises(ShapeError):
        mv.Permute(1, (1, 0))(net)
    with pytest.raises(InputError, match="not a hidden layer"):
        mv.Permute(2, (0,))(net)
    with pytest.raises(InputError, match="multiples"):
        mv.merge_neurons(net, 1, [0, 1])
    with pytest.raises(InputError, match="another product"):
        mv.refactor_linear(net, 1, [0], weights=net.weights[0][:1], biases=[0.0], outgoing=2 * net.weights[1][:, :1])
    other = ReLUNetwork.random((2, 3, 1), rng=2)
    with pytest.raises(InputError, match="are others"):
        mv.drop_neurons(other, 1, [0])(net)
