"""Pairs that enumeration does not reach, proved by relations; near misses are not."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.equivalence.relations.prove import bound_on, by_relations
from polyfiber.testing.rewritings import OPERATORS


@pytest.mark.parametrize("widths", [(6, 64, 64, 4), (16, 64, 64, 10), (5, 50, 50, 50, 5)])
def test_wide_and_deep_pairs(widths: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    f = pf.ReLUNetwork.random(widths, rng=0).exact()
    g = f
    for name in ("triple flip", "mirror", "maximum", "rescale", "permute"):
        after = OPERATORS[name](g, rng)
        g = g if after is None else after
    a, b = f.rounded(), g.rounded()
    answer = pf.are_equivalent(a, b, method="forms")
    assert answer.verdict is pf.Verdict.YES
    assert answer.method == "relations"
    X = rng.standard_normal((200, widths[0]))
    found = by_relations(a, b, tolerance=1e-9)
    assert found is not None
    assert (np.abs(a(X) - b(X)).max(axis=1) <= found.growth(X) + 1e-12 * (1 + np.abs(a(X)).max())).all()
    assert (bound_on(found.bound, -np.ones(widths[0]), np.ones(widths[0])) < 1e-9 * np.abs(a(X)).max()).all()
    for l in range(len(widths) - 2):
        W = [w.copy() for w in b.weights]
        W[l][-1] = W[l][-1] * (1 + 1e-6 * rng.standard_normal(W[l].shape[1]))
        assert by_relations(a, pf.ReLUNetwork(W, b.biases), tolerance=1e-9) is None


def test_on_a_box_its_ranges_count() -> None:
    """On x >= 0 the neuron is linear, beyond it is not."""
    f = pf.ReLUNetwork([[[1.0]], [[1.0]]], [[0.0], [0.0]])
    g = pf.ReLUNetwork([[[1.0]]], [[0.0]])
    box = pf.Box([0.0], [2.0])
    assert by_relations(f, g, tolerance=0, domain=box) is not None
    assert by_relations(f, g, tolerance=0, domain=pf.Box([-1e-9], [2.0])) is None
    assert by_relations(f, g, tolerance=0) is None
    assert pf.are_equivalent(f, g, box).verdict is pf.Verdict.YES


def test_beyond_its_reach_it_says_nothing() -> None:
    wide = pf.ReLUNetwork(
        [np.ones((3000, 100)), np.ones((3000, 3000)), np.ones((1, 3000))], [np.zeros(3000), np.zeros(3000), [0.0]]
    )
    assert by_relations(wide, wide, tolerance=0) is None


@pytest.mark.parametrize("exactly", [False, True])
@pytest.mark.parametrize("widths", [(3, 5, 4, 4, 2), (3, 12, 12, 12, 12, 3)])
def test_on_the_orthant_at_any_depth(widths: tuple[int, ...], exactly: bool) -> None:
    """Rows without a negative entry are linear on the orthant, so a layer of pairs may go; on all of R^n it may not."""
    rng = np.random.default_rng(2)
    W = [rng.integers(-4, 5, shape) / 4 for shape in zip(widths[1:], widths)]
    b = [rng.integers(-4, 5, k) / 4 for k in widths[1:]]
    f = pf.ReLUNetwork(W, b)
    n, mix = widths[0], np.array([[1.0 + (i <= j) for j in range(widths[0])] for i in range(widths[0])])
    first = W[0] @ mix
    g = pf.ReLUNetwork([mix, W[0], *W[1:]], [np.ones(n), b[0] - W[0].sum(axis=1), *b[1:]])
    f = pf.ReLUNetwork([first, *W[1:]], b)
    orthant = pf.Polyhedron(-np.eye(n), np.zeros(n))
    f, g = (net.exact() if exactly else net for net in (f, g))
    tolerance = 0.0 if exactly else 1e-9
    assert by_relations(f, g, tolerance=tolerance) is None
    found = by_relations(f, g, tolerance=tolerance, domain=orthant)
    assert found is not None
    answer = pf.are_equivalent(f, g, orthant, tolerance=tolerance)
    assert (answer.verdict, answer.method) == (pf.Verdict.YES, "relations")
    assert answer.recheck().verdict is pf.Verdict.YES
    moved = pf.Polyhedron(-np.eye(n), np.full(n, 2.0))
    assert by_relations(f, g, tolerance=tolerance, domain=moved) is None
    assert (
        pf.are_equivalent(f, g, moved, tolerance=tolerance, budget=pf.Budget(seconds=5)).verdict is not pf.Verdict.YES
    )
