"""Paths between parameters of bottlenecks: every point is the function in rationals, ends are met, what cannot be joined is not."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.fibers.components import LayerPart
from polyfiber.fibers.examples import hiding_example
from polyfiber.fibers.whole.connection import connection
from polyfiber.fibers.whole.joining import _positive, _stays_invertible, in_the_order_of
from polyfiber.network.moves import Flip, Translate, random_trivial
from polyfiber.numerics.exact import as_fractions

from .test_connection import with_linear


def same_everywhere(net: pf.ReLUNetwork, path: tuple[pf.ReLUNetwork, ...]) -> bool:
    """In rationals, at inputs that `connection` does not look at."""
    x = as_fractions(np.random.default_rng(5).integers(-900, 901, (40, net.architecture[0])) / 16)
    return all((p(x) == net.exact()(x)).all() for p in path)


@pytest.mark.parametrize("rational", [False, True])
@pytest.mark.parametrize("widths", [(3, 2, 4, 2), (3, 2, 4, 1), (3, 3, 4, 2), (2, 2, 4, 3)])
def test_samples_of_a_component_are_joined(widths: tuple[int, int, int, int], rational: bool) -> None:
    seen = 0
    for linear in range(1, widths[2]):
        net = with_linear(widths, linear, 1)
        report = pf.classify_fiber(net.exact() if rational else net, max_parameters=0)
        for part in [p for p in report.components() if isinstance(p, LayerPart)][: 1 if rational else 3]:
            a, b = part.sample(rng=1), part.sample(rng=2)
            moved = b if rational else random_trivial(b, rng=3)(b)
            found = connection(a, moved, steps=7)
            assert found.verdict is pf.Verdict.YES, found
            assert len(found.path) >= 8
            assert same_everywhere(a, found.path)
            assert found.path[0] == a.exact()
            order, _ = in_the_order_of(found.path[-1], moved.exact(), 1e-9)
            for p, q in zip(order(moved.exact()).weights, found.path[-1].weights):
                np.testing.assert_allclose(p.astype(float), q.astype(float), rtol=1e-6, atol=1e-6 * float(abs(q).max()))
            seen += 1
    assert seen >= 3


def test_orientations_that_differ_are_not_joined_whatever_the_order() -> None:
    parts = list(pf.classify_fiber(with_linear((3, 2, 4, 2), 3, 1)).components())
    assert len(parts) > 1
    turned = parts[1].sample(rng=0)
    found = connection(parts[0].sample(rng=0), random_trivial(turned, rng=4)(turned))
    assert found.verdict is pf.Verdict.NO
    assert "orientation" in str(found.invariant)
    assert not found.path


@pytest.mark.parametrize("n2", [1, 2])
@pytest.mark.parametrize("rational", [False, True])
def test_a_hidden_hyperplane_on_its_half_line(n2: int, rational: bool) -> None:
    net = hiding_example((3, 3, n2, 2), hidden=1, rng=1)
    net = net.exact() if rational else net
    other = Translate(1, Fraction(-3, 4) if rational else -0.75)(net)
    other = other if rational else random_trivial(other, rng=3)(other)
    found = connection(net, other)
    assert found.verdict is pf.Verdict.YES
    assert same_everywhere(net, found.path)
    if n2 == 1:
        found = connection(net, Flip(1, (0,))(other)) if rational else connection(net, Flip(1, (0,))(net))
        assert found.verdict is pf.Verdict.NO
        assert "sides" in str(found.invariant)


def test_dead_and_linear_neurons_in_other_numbers_are_left_open() -> None:
    report = pf.classify_fiber(with_linear((3, 2, 4, 2), 3, 1))
    parts = {p.layer.n_dead: p for p in report.components() if isinstance(p, LayerPart)}
    found = connection(parts[0].sample(rng=0), parts[1].sample(rng=0))
    assert found.verdict is not pf.Verdict.NO


def test_determinants_that_vanish_between_are_seen() -> None:
    G = as_fractions(np.array([[1, 0], [0, 1]]))
    assert _stays_invertible(G, as_fractions(np.array([[2, 1], [1, 3]])))
    assert not _stays_invertible(G, G[::-1])  # singular half way
    assert not _stays_invertible(G, as_fractions(np.array([[1, 0], [0, -1]])))
    square = [
        Fraction(1, 4) + Fraction(1, 10**4),
        Fraction(-1, 4),
        Fraction(1, 4),
    ]  # (t - 1/2)^2 in this basis, lifted at 0
    assert not _positive([Fraction(1, 4), Fraction(-1, 4), Fraction(1, 4)], 10)
    assert _positive([v + Fraction(1, 10**4) for v in square], 10)
