"""The non-local example; checks at vertices and rays."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.equivalence.checks.sample import deviation, probe_points
from polyfiber.errors import InputError, ShapeError
from polyfiber.fibers.activity import facts_from_complex, neuron_facts
from polyfiber.fibers.examples import consecutive_pairs, hiding_example, nonlocal_example, nonlocal_partner
from polyfiber.fibers.findings import hidden_facets
from polyfiber.fibers.hiding import admissible_shift
from polyfiber.network import moves as mv


@pytest.mark.parametrize("seed", range(5))
def test_pairs_of_layers_mislead(seed: int) -> None:
    net = nonlocal_example(rng=seed)
    for pair in consecutive_pairs(net):
        report = pf.classify_fiber(pair)
        assert report.identifiable is True, report.reason
        assert report.regime.generic is pf.Verdict.YES
    report = pf.classify_fiber(net)
    assert report.identifiable is False
    assert {f.layer for f in report.findings if f.kind == "linear"} == {3}
    other = nonlocal_partner(net, rng=seed)
    assert deviation(net, other).relative < 1e-13
    assert all(abs(a - b).max() > 1e-3 for a, b in zip(net.weights[2:], other.weights[2:]))
    assert pf.local_fiber(net).dimension >= net.architecture[3] ** 2 - net.architecture[3]


def test_widths_of_the_example() -> None:
    with pytest.raises(InputError, match="n0 >= n1"):
        nonlocal_example((2, 3, 2, 2, 1))
    with pytest.raises(InputError, match="hidden"):
        hiding_example((3, 1, 1, 1))
    with pytest.raises(InputError, match="consecutive"):
        consecutive_pairs(pf.ReLUNetwork.random((2, 2, 1), rng=0))


SIGNS = {
    "one linear": [[1, 1, 1], [-1, 1, -1]],
    "two linear": [[1, 1, 1], [1, 1, 1], [-1, 1, 1]],
    "three linear": [[1, 1, 1], [1, 1, 1], [1, 1, 1], [1, -1, 1]],
    "dead": [[-1, -1, -1], [-1, 1, 1]],
    "hiding": [[1, -1, -1]],
    "hiding two": [[1, -1, -1], [1, -1, -1]],
    "identifiable": [[1, -1, 1], [-1, 1, 1]],
    "constant": [[-1, -1, -1]],
}


@pytest.mark.parametrize("case", list(SIGNS))
def test_components_at_vertices_and_rays(case: str) -> None:
    """Every component: a point of it agrees with the network at vertices and rays of both complexes."""
    signs = np.array(SIGNS[case])
    base = pf.ReLUNetwork.random((3, 2, len(signs), 2), rng=len(case))
    net = pf.ReLUNetwork(
        [base.weights[0], np.abs(base.weights[1]) * signs[:, :2], base.weights[2]],
        [base.biases[0], np.abs(base.biases[1]) * signs[:, 2], base.biases[2]],
    )
    cx = pf.canonical_complex(net)
    points = probe_points(net, complex=cx)
    assert len(points) > len(cx.vertices)
    rng = np.random.default_rng(0)
    report = pf.classify_fiber(net)
    count = 0
    for component in itertools.islice(report.components(), 16):
        other = component.sample(rng=rng)
        found = deviation(net, other)
        assert found.source == "complexes"
        assert found.relative < 1e-11, str(component)
        count += 1
    assert count


def test_deviation_sees_a_small_difference() -> None:
    net = pf.ReLUNetwork.random((2, 3, 2, 1), rng=3)
    weights = [w.copy() for w in net.weights]
    weights[1][0, 0] *= 1 + 1e-9
    assert 1e-12 < deviation(net, pf.ReLUNetwork(weights, net.biases)).relative < 1e-8
    with pytest.raises(ShapeError):
        deviation(net, pf.ReLUNetwork.random((3, 2, 1), rng=0))


def test_translation_beyond_its_end_is_seen() -> None:
    net = hiding_example((3, 3, 2, 1), hidden=1, rng=4)
    end = admissible_shift(net)
    assert deviation(net, mv.Translate(1, end)(net)).relative < 1e-13
    weights, biases = list(net.weights), [b.copy() for b in net.biases]
    biases[0][1] -= 1.01 * end
    biases[1] += 1.01 * end * net.weights[1][:, 1]
    assert deviation(net, pf.ReLUNetwork(weights, biases)).relative > 1e-9


def test_facts_and_hidden_facets_from_the_complex() -> None:
    net = hiding_example((3, 3, 2, 1), hidden=0, rng=5)
    cx = pf.canonical_complex(net)
    facets = hidden_facets(cx)
    assert facets.fully_hidden() == [0]
    assert (facets.invisible <= facets.facets).all()
    report = pf.classify_fiber(net, complex=cx)
    assert report.facts.source == "complex"
    assert [f.kind for f in report.findings] == ["hidden hyperplane"]
    # off on the whole image though the signs do not show it: needs both large activations at once
    W1, W2 = np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([[-3.0, -3.0, 0.0], [1.0, 1.0, -1.0]])
    deep = pf.ReLUNetwork([np.vstack([W1, [[0.3, 1.0]]]), W2, [[1.0, 1.0]]], [[-1.0, -1.0, 0.1], [2.9, -0.1], [0.0]])
    bounds = neuron_facts(deep)
    exact = facts_from_complex(deep, pf.canonical_complex(deep))
    assert bounds.source == "bounds"
    assert exact.source == "complex"
    assert all(e == b or b == "bent" for layer in (0, 1) for e, b in zip(exact.status[layer], bounds.status[layer]))
