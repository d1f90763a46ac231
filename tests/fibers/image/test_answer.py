"""Answers where no theorem applies: points of the component are the same function, roles by linear programs."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.fibers.image.activity import activity_from_complex
from polyfiber.fibers.image.answer import beyond_theorem
from polyfiber.fibers.image.hull import second_layer
from polyfiber.fibers.image.relatives import planted
from polyfiber.numerics.exact import as_fractions


@pytest.mark.parametrize("exactly", [False, True])
def test_points_are_the_same_function_in_rationals(exactly: bool) -> None:
    rng = np.random.default_rng(0)
    for seed in range(4):
        net = planted((2, 4, 3, 1), ["dead", "apart"], rng=seed)
        net = net.exact() if exactly else net
        cx = pf.canonical_complex(net)
        found = beyond_theorem(net, complex=cx)
        assert found.part is not None
        assert found.kind == "flexible"
        x = as_fractions(np.concatenate([cx.vertices, 1e4 * rng.standard_normal((5, 2))]))
        for _ in range(3):
            other = found.part.sample(rng=rng)
            assert other != net
            assert (other.exact()(x) == net.exact()(x)).all()


@pytest.mark.parametrize("seed", range(4))
def test_roles_by_linear_programs_over_the_cells(seed: int) -> None:
    """The oracle maximises each preactivation over each cell of layer 1 by HiGHS."""
    from scipy.optimize import linprog

    net = planted((2, 4, 4, 1), ["dead", "linear", "apart"], rng=seed)
    found = second_layer(net)
    assert not isinstance(found, str)
    W1, b1, W2, b2 = net.weights[0], net.biases[0], net.weights[1], net.biases[1]
    first = pf.ReLUNetwork([W1, np.ones((1, 4))], [b1, [0.0]])
    cx = pf.canonical_complex(first)
    low, high = np.full(4, np.inf), np.full(4, -np.inf)
    together = np.full((4, 4), -np.inf)
    for signs in cx.signs(2)[:, :4]:
        on = (signs > 0)[:, None]
        for j in range(4):
            gradient, constant = W2[j] @ (W1 * on), W2[j] @ (b1 * on[:, 0]) + b2[j]
            for side in (1, -1):
                lp = linprog(-side * gradient, A_ub=-signs[:, None] * W1, b_ub=signs * b1, bounds=(None, None))
                value = np.inf if lp.status == 3 else -lp.fun
                if side == 1:
                    high[j] = max(high[j], value + constant)
                    together[j, on[:, 0]] = np.maximum(together[j, on[:, 0]], value + constant)
                else:
                    low[j] = min(low[j], constant - value)
    assert found.dead.tolist() == (high <= 0).tolist()
    assert found.linear.tolist() == (low >= 0).tolist()
    assert found.apart.tolist() == (together <= 0).tolist()
    assert found.dead[0]
    assert found.linear[1]
    whole = activity_from_complex(net, pf.canonical_complex(net))
    assert whole.idle()[1][:, :4].tolist() == found.apart.tolist()


def test_what_is_out_of_reach_says_so() -> None:
    wide = pf.ReLUNetwork.random((12, 40, 3, 1), rng=0)
    found = beyond_theorem(wide, max_parameters=10)
    assert found.kind == "undecided"
    assert found.bounds == (0, None)
    assert any("faces" in text for text in found.notes)
    assert any("parameters" in text for text in found.notes)
    flat = pf.ReLUNetwork([[[1.0, 0.0]], [[1.0]], [[1.0]]], [[0.0], [0.5], [0.0]])
    assert "without a wall" in str(second_layer(flat))


def test_lowering_a_weight_of_layer_one_is_never_free() -> None:
    """A dead neuron of layer 1 has no weights; another one would be seen."""
    net = pf.ReLUNetwork(
        [[[0.0], [1.0], [-1.0]], [[1.0, 1.0, -1.0], [1.0, -1.0, 1.0]], [[1.0, 1.0]]],
        [[-1.0, 0.5, 0.25], [0.0, 1.0], [0.0]],
    )
    report = pf.classify_fiber(net)
    if report.beyond is not None and report.beyond.part is not None:
        assert not report.beyond.part.idle[0][:, :-1].any()
        x = np.linspace(-1e3, 1e3, 41)[:, None]
        for other in report.sample(5, rng=0):
            assert np.array_equal(other(x), net(x))
