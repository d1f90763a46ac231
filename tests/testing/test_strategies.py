"""Networks that hypothesis draws stay within what was asked."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import polyfiber as pf
from polyfiber.testing.strategies import generic_networks, integer_networks

QUICK = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@QUICK
@given(integer_networks(max_inputs=2, max_width=3, max_depth=3, max_abs=1, max_hidden=5))
def test_small_integers(net: pf.ReLUNetwork) -> None:
    n0, *hidden, m = net.architecture
    assert 1 <= n0 <= 2
    assert m == 1
    assert 1 <= len(hidden) <= 3
    assert sum(hidden) <= 5
    assert max(hidden) <= 3
    assert all(set(np.unique(w.astype(float))) <= {-1.0, 0.0, 1.0} for w in (*net.weights, *net.biases))


@QUICK
@given(generic_networks(max_inputs=2, max_width=4, max_depth=3, min_depth=2, max_hidden=7))
def test_generic_ones(net: pf.ReLUNetwork) -> None:
    n0, *hidden, m = net.architecture
    assert 1 <= n0 <= 2
    assert 1 <= m <= 2
    assert 2 <= len(hidden) <= 3
    assert sum(hidden) <= 7
    assert np.linalg.matrix_rank(net.weights[0]) == min(net.weights[0].shape)


@QUICK
@given(st.data())
def test_as_many_neurons_as_layers_at_least(data: st.DataObject) -> None:
    """One neuron a layer where the room is just that."""
    net = data.draw(integer_networks(max_depth=3, max_hidden=3))
    assert sum(net.hidden_widths) <= 3
