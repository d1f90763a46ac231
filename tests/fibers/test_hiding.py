"""Hidden hyperplanes: the function stays up to the end of the half-line, and not beyond."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import InputError
from polyfiber.fibers.hiding import (
    admissible_shift,
    flip_sets,
    generic_direction,
    hiding_gauge,
    hiding_report,
    live_neurons,
)


def hiding(n2: int, seed: int = 0) -> pf.ReLUNetwork:
    """Every neuron of layer 2 hides hyperplane 1, in rationals."""
    rng = np.random.default_rng(seed)
    W = [rng.integers(-5, 6, (3, 3)), -rng.integers(1, 6, (n2, 3)), rng.integers(1, 6, (2, n2))]
    W[1][:, 1] *= -1
    b = [rng.integers(-5, 6, 3), -rng.integers(1, 6, n2), rng.integers(-5, 6, 2)]
    return pf.ReLUNetwork([w.astype(object) for w in W], [c.astype(object) for c in b])


def translated(net: pf.ReLUNetwork, k: int, shift: Fraction) -> pf.ReLUNetwork:
    """z_k - s and W2[:, k] s more in the biases of layer 2."""
    b = [c.copy() for c in net.biases]
    b[0][k] -= shift
    b[1] = b[1] + shift * net.weights[1][:, k]
    return pf.ReLUNetwork(net.weights, b)


def same(f: pf.ReLUNetwork, g: pf.ReLUNetwork, count: int = 200) -> bool:
    points = np.random.default_rng(1).integers(-60, 61, (count, f.architecture[0]))
    return all((f([Fraction(int(v), 4) for v in x]) == g([Fraction(int(v), 4) for v in x])).all() for x in points)


@pytest.mark.parametrize("n2", [1, 2, 3])
def test_translations_keep_the_function_up_to_the_end(n2: int) -> None:
    net = hiding(n2)
    report = hiding_report(net)
    assert report.hyperplane == 1
    assert report.end == admissible_shift(net) == min(-b / w for b, w in zip(net.biases[1], net.weights[1][:, 1]))
    for shift in (report.end, report.end / 2, Fraction(0), Fraction(-10)):
        assert same(net, translated(net, 1, shift))
    assert not same(net, translated(net, 1, report.end + 5))


def test_dead_neurons_do_not_count() -> None:
    net = hiding(2)
    W, b, C = [w.copy() for w in net.weights][1:2][0], net.biases[1].copy(), net.weights[2].copy()
    W[0], b[0] = -abs(W[0]), -abs(b[0])  # dead on the orthant
    one = pf.ReLUNetwork([net.weights[0], W, C], [net.biases[0], b, net.biases[2]])
    assert live_neurons(one) == (1,)
    assert hiding_report(one).dead == (0,)
    assert hiding_report(one).hyperplane == 1
    C[:, 1] = 0  # nobody reads the other
    none = pf.ReLUNetwork([net.weights[0], W, C], [net.biases[0], b, net.biases[2]])
    assert hiding_report(none).live == ()
    with pytest.raises(InputError, match="hides no hyperplane"):
        admissible_shift(none)


def test_flips_are_for_one_live_neuron() -> None:
    assert list(flip_sets(hiding(1))) == [(), (0,), (2,), (0, 2)]
    assert list(flip_sets(hiding(2))) == [()]


@pytest.mark.parametrize("n2", [1, 2])
def test_the_gauge_is_one_point_of_the_fiber(n2: int) -> None:
    net = hiding(n2)
    gauged, moves = hiding_gauge(net)
    assert moves(net) == gauged
    assert same(net, gauged)
    assert admissible_shift(gauged) == max(abs(v) for v in gauged.weights[0][1])
    for shift in (Fraction(-7), admissible_shift(net) / 3):
        assert hiding_gauge(translated(net, 1, shift))[0] == gauged


def test_others_come_back_unchanged() -> None:
    net = pf.ReLUNetwork.random((3, 3, 2, 1), rng=0)
    if hiding_report(net).hyperplane is None:
        assert hiding_gauge(net)[0] is net
    with pytest.raises(InputError, match="two hidden layers"):
        hiding_report(pf.ReLUNetwork.random((3, 3, 1), rng=0))


def test_the_direction_is_fixed_and_generic() -> None:
    v = generic_direction(30)
    assert (v == generic_direction(30)).all()
    assert (v[:5] == generic_direction(5)).all()
    assert len(set(np.abs(v).tolist())) == 30
    assert (v < 0).any()
    assert (v > 0).any()
