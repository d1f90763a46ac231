"""Copies hold what their makers say."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.equivalence.copies import half_precision, pruned, quantised, with_fewer_units
from polyfiber.errors import InputError


def test_copies_are_what_they_say() -> None:
    net = pf.ReLUNetwork.random((3, 16, 12, 2), rng=0)
    half = half_precision(net)
    assert all((W.astype(np.float16) == W).all() for W in (*half.weights, *half.biases))
    for per in ("tensor", "channel"):
        copy = quantised(net, per=per)
        for V, W in zip(net.weights, copy.weights):
            rows = [W] if per == "tensor" else list(W)
            tops = [np.abs(V).max()] if per == "tensor" else np.abs(V).max(axis=1)
            for row, top in zip(rows, tops):
                steps = row / (top / 127)
                assert np.abs(steps - np.rint(steps)).max() < 1e-9
                assert np.abs(steps).max() < 127.5
            assert np.abs(V - W).max() <= np.abs(V).max() / 127
    less = pruned(net, 0.3)
    assert [int((W == 0).sum()) for W in less.weights] == [round(0.3 * W.size) for W in net.weights]
    X = np.random.default_rng(1).uniform(-1, 1, (500, 3))
    assert with_fewer_units(net, 0.25, X).architecture == (3, 12, 9, 2)
    assert with_fewer_units(net, 0.0, X) == pf.ReLUNetwork(net.weights, net.biases)


def test_copies_refuse_what_they_cannot_hold() -> None:
    net = pf.ReLUNetwork([[[1e6]]], [[0.0]])
    with pytest.raises(InputError, match="float16"):
        half_precision(net)
    with pytest.raises(InputError):
        quantised(net, bits=1)
    with pytest.raises(InputError):
        quantised(net, per="row")
    with pytest.raises(InputError):
        pruned(net, 1.5)
    zero = pf.ReLUNetwork([[[0.0, 0.0]]], [[1.0]])
    assert quantised(zero).weights[0].tolist() == [[0.0, 0.0]]
