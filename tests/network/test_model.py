"""Networks as values: numbers as given, one by one, and what is refused."""

from __future__ import annotations

import copy
import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import InputError, ShapeError
from polyfiber.network.model import NetworkBatch, ReLUNetwork, short_widths
from tests.oracles.rationals import hidden_values, outputs


def test_values_are_those_of_the_definition() -> None:
    net = ReLUNetwork.random((2, 3, 4, 2), rng=0)
    X = np.random.default_rng(1).standard_normal((20, 2))
    found, before = net(X), net.preactivations(X)
    for i, x in enumerate(X):
        np.testing.assert_allclose(found[i], [float(v) for v in outputs(net, x)], rtol=1e-12)
        hidden = np.concatenate([z[i] for z in before])[: net.n_hidden]
        np.testing.assert_allclose(hidden, [float(v) for v in hidden_values(net, x)], rtol=1e-12, atol=1e-14)
        assert net.exact()([Fraction(v) for v in x.tolist()]).tolist() == outputs(net, x)


def test_neurons_are_counted_layer_by_layer() -> None:
    net = ReLUNetwork.random((2, 3, 4, 2), rng=0)
    assert [net.neuron(k) for k in range(net.n_hidden)] == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2), (2, 3)]
    assert (net.n_parameters, net.hidden_widths) == (2 * 3 + 3 + 3 * 4 + 4 + 4 * 2 + 2, (3, 4))
    for wrong in (-1, 7):
        with pytest.raises((InputError, IndexError)):
            net.neuron(wrong)


def test_exact_and_rounded_go_back() -> None:
    net = ReLUNetwork.random((2, 3, 1), rng=0)
    assert net.exact().is_exact
    assert net.exact().rounded() == net
    third = ReLUNetwork([[[Fraction(1, 3)]]], [[0]])
    assert third.rounded().weights[0][0, 0] == 1 / 3
    assert third.is_exact
    with pytest.raises(InputError, match="beyond the range"):
        ReLUNetwork([[[Fraction(10) ** 400]]], [[0]]).rounded()


def test_values_cannot_be_changed_and_are_compared() -> None:
    given = np.ones((1, 2))
    net = ReLUNetwork([given], [[0.0]])
    given[0, 0] = 7.0
    assert net.weights[0][0, 0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        net.weights[0][0, 0] = 2.0
    for same in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), ReLUNetwork([[[1, 1]]], [[0]])):
        assert same == net
        assert hash(same) == hash(net)
    assert net != ReLUNetwork([[[1.0, 1.5]]], [[0.0]])


@pytest.mark.parametrize(
    ("weights", "biases", "error", "message"),
    [
        ([], [], InputError, "at least one layer"),
        ([[[1.0]]], [], ShapeError, "1 weight matrices but 0 bias"),
        ([[1.0]], [[0.0]], ShapeError, "expected a matrix"),
        ([[[1.0], [1.0, 2.0]]], [[0.0]], ShapeError, "rectangular"),
        ([np.zeros((0, 2))], [[]], ShapeError, "at least 1"),
        ([[[1.0]], [[1.0, 2.0]]], [[0.0], [0.0]], ShapeError, "layer 2 expects 2 inputs but layer 1 gives 1"),
        ([[[np.nan]]], [[0.0]], InputError, "holds nan at"),
        ([[[1j]]], [[0.0]], InputError, "dtype complex"),
        ([[[2**53 + 1]]], [[0]], InputError, "integers above"),
        ([[[1.0]]], [[0.0, 1.0]], ShapeError, "1 neurons but 2 biases"),
    ],
)
def test_what_is_refused(weights: Any, biases: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ReLUNetwork(weights, biases)


def test_batches_are_their_networks() -> None:
    batch = NetworkBatch.random((2, 3, 1), 4, rng=0)
    X = np.random.default_rng(0).standard_normal((5, 2))
    assert batch(X).shape == (4, 5, 1)
    for k, net in enumerate(batch):
        assert net == batch[k]
        np.testing.assert_allclose(batch(X)[k], net(X), rtol=1e-12)
    assert NetworkBatch.stack(list(batch)).weights[0].tolist() == batch.weights[0].tolist()
    with pytest.raises((InputError, ShapeError)):
        NetworkBatch.stack([batch[0], pf.ReLUNetwork.random((2, 2, 1), rng=0)])
    assert short_widths((2, 3, 1)) == "2-3-1"
