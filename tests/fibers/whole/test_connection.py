"""Paths inside fibers, invariants that separate, numbers of components against enumeration."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import InputError
from polyfiber.fibers.components import LayerPart
from polyfiber.fibers.image.relatives import planted
from polyfiber.fibers.whole.connection import connection, generic_component_count
from polyfiber.network.moves import random_trivial


def with_linear(widths: tuple[int, int, int, int], linear: int, seed: int) -> pf.ReLUNetwork:
    """A generic bottleneck whose first neurons of layer 2 are linear and whose others are bent and hide nothing."""
    rng = np.random.default_rng(seed)
    net = pf.ReLUNetwork.random(widths, rng=rng)
    W, b = net.weights[1].copy(), net.biases[1].copy()
    W[:linear], b[:linear] = np.abs(W[:linear]), np.abs(b[:linear])
    W[linear:, 0], b[linear:] = -np.abs(W[linear:, 0]), np.abs(b[linear:])
    return pf.ReLUNetwork([net.weights[0], W, net.weights[2]], [net.biases[0], b, net.biases[2]])


@pytest.mark.parametrize("widths", [(3, 2, 4, 2), (3, 2, 4, 1), (3, 3, 4, 2), (2, 2, 4, 3)])
def test_component_counts_against_enumeration(widths: tuple[int, int, int, int]) -> None:
    for linear in range(widths[2]):
        for seed in range(2):
            report = pf.classify_fiber(with_linear(widths, linear, seed), max_parameters=0)
            if report.layer is None or report.roles.count("linear") != linear:
                continue
            dead = [part.layer.n_dead if isinstance(part, LayerPart) else 0 for part in report.components()]
            N = widths[2] - linear
            for every in (False, True):
                counted, formula = len(dead) if every else dead.count(0), generic_component_count(widths, N, dead=every)
                assert counted == formula or (formula is None and counted >= 1)


def test_a_segment_of_entries_without_effect() -> None:
    net = planted((2, 4, 3, 1), ["dead", "apart"], rng=1).exact()
    other = pf.classify_fiber(net).sample(1, rng=0)[0]
    found = connection(net, other)
    assert found.verdict is pf.Verdict.YES
    assert found.path[0] == net
    assert found.path[-1] == other
    x = np.random.default_rng(0).integers(-9, 10, (30, 2))
    assert all((p(x) == net(x)).all() for p in found.path)


def test_an_orientation_separates() -> None:
    net = with_linear((3, 2, 4, 2), 3, 1)
    report = pf.classify_fiber(net)
    parts = list(report.components())
    assert len(parts) > 1
    same, turned = parts[0].sample(rng=0), parts[1].sample(rng=0)
    found = connection(same, turned)
    assert found.verdict is pf.Verdict.NO
    assert found.invariant is not None
    assert "orientation" in found.invariant
    assert connection(same, same).verdict is pf.Verdict.YES


def test_one_hidden_layer_and_bad_input() -> None:
    a = pf.ReLUNetwork([[[1.0], [-1.0], [0.0]], [[1.0, 1.0, 0.0]]], [[0.0, 0.0, 1.0], [0.0]])
    b = pf.ReLUNetwork([[[1.0], [-1.0], [2.0]], [[1.5, 1.0, -0.25]]], [[0.0, 0.0, 0.0], [0.0]])
    assert connection(a, b).verdict is pf.Verdict.YES
    with pytest.raises(InputError, match="different functions"):
        connection(a, pf.ReLUNetwork.random((1, 3, 1), rng=0))
    with pytest.raises(InputError, match="architectures"):
        connection(a, pf.ReLUNetwork.random((1, 2, 1), rng=0))
    with pytest.raises(InputError, match="nonlinear"):
        generic_component_count((3, 2, 2, 1), 3)


@pytest.mark.parametrize("widths", [(2, 3, 3, 3, 1), (3, 5, 5, 5, 5, 2), (4, 16, 16, 3), (3, 40, 1)])
def test_a_permuted_and_rescaled_copy_is_joined(widths: tuple[int, ...]) -> None:
    for seed in range(3):
        net = pf.ReLUNetwork.random(widths, rng=seed)
        assert connection(net, random_trivial(net, rng=seed + 9)(net)).verdict is pf.Verdict.YES


def test_what_is_no_network_is_refused() -> None:
    net = pf.ReLUNetwork.random((2, 3, 1), rng=0)
    for pair in ((net, None), (None, net)):
        with pytest.raises(InputError, match="ReLUNetwork"):
            connection(*pair)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="steps"):
        connection(net, net, steps="x")  # type: ignore[arg-type]
