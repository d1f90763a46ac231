"""Conserved quantities of gradient flow."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import BudgetExceededError, InputError, SolverError
from polyfiber.fibers.conserved import (
    gradient_flow,
    linear_balance,
    loss_and_gradient,
    neuron_balance,
    translation_generator,
    translation_obstruction,
)
from polyfiber.fibers.examples import hiding_example


def test_gradient_by_differences() -> None:
    rng = np.random.default_rng(6)
    net = pf.ReLUNetwork.random((3, 4, 3, 2), rng=rng)
    X, Y = rng.standard_normal((20, 3)), rng.standard_normal((20, 2))
    _, weights, biases = loss_and_gradient(net, X, Y)
    for l in range(3):
        for kind, gradient in (("w", weights[l]), ("b", biases[l])):
            index = tuple(int(rng.integers(s)) for s in gradient.shape)
            values = []
            for step in (1e-6, -1e-6):
                w, b = [v.copy() for v in net.weights], [v.copy() for v in net.biases]
                (w if kind == "w" else b)[l][index] += step
                values.append(loss_and_gradient(pf.ReLUNetwork(w, b), X, Y)[0])
            assert (values[0] - values[1]) / 2e-6 == pytest.approx(gradient[index], rel=1e-5, abs=1e-8)


def test_conserved_along_gradient_flow_on_real_data() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    data = datasets.load_iris()
    X = (data.data - data.data.mean(axis=0)) / data.data.std(axis=0)
    Y = np.eye(3)[data.target]
    base = pf.ReLUNetwork.random((4, 3, 4, 3), rng=7)
    W, b = base.weights[1].copy(), base.biases[1].copy()
    W[:2], b[:2] = np.abs(W[:2]), np.abs(b[:2]) + 0.3  # linear on the orthant
    net = pf.ReLUNetwork([base.weights[0], W, base.weights[2]], [base.biases[0], b, base.biases[2]])
    flow = gradient_flow(net, X, Y, time=0.5, steps=5, linear=(2, (0, 1)))
    assert flow.losses[-1] < flow.losses[0]
    assert flow.stayed_linear
    assert flow.neuron_drift < 1e-6
    assert flow.linear_drift is not None
    assert flow.linear_drift < 1e-6
    # a pair with a bent neuron is balanced on the diagonal only
    bent = [abs(linear_balance(n, 2, (0, 2)) - linear_balance(net, 2, (0, 2)))[0, 1] for n in flow.networks]
    assert max(bent) > 1e-3
    assert len(neuron_balance(net)) == 2


def test_translation_conserves_nothing() -> None:
    net = hiding_example((4, 3, 2, 2), hidden=2, rng=8)
    rng = np.random.default_rng(8)
    X, Y = rng.standard_normal((300, 4)) * 3, rng.standard_normal((300, 2))
    _, gw, gb = loss_and_gradient(net, X, Y)
    vw, vb = translation_generator(net)
    size = sum(float((g * g).sum()) for g in (*gw, *gb)) ** 0.5
    inner = sum(float((g * v).sum()) for g, v in zip((*gw, *gb), (*vw, *vb)))
    assert size > 1e-3
    assert abs(inner) < 1e-12 * size
    assert translation_obstruction(net) == -1.0
    with pytest.raises(InputError, match="hides no"):
        translation_generator(pf.ReLUNetwork.random((3, 3, 3, 1), rng=0))


def test_a_flow_ends_with_an_answer_or_one_of_our_errors() -> None:
    big = pf.ReLUNetwork([[[1e200, 1.0]], [[1e200]]], [[1e200], [0.0]])
    with np.errstate(all="raise"), pytest.raises(SolverError, match="range of floats"):
        gradient_flow(big, [[0.1, 0.2]], [[1.0]])
    sliding = pf.ReLUNetwork.random((2, 4, 3, 1), rng=0)  # along a bend, where steps become tiny
    with pytest.raises(BudgetExceededError) as stopped:
        gradient_flow(sliding, [[0.1, 0.2]], [[1.0]], budget=pf.Budget(seconds=0.2))
    assert stopped.value.partial.done > 0
    for options in ({"steps": 0}, {"time": -1}, {"linear": (4, [0])}, {"linear": (1, [9])}, {"rtol": "x"}):
        with pytest.raises(InputError):
            gradient_flow(sliding, [[0.1, 0.2]], [[1.0]], **options)
