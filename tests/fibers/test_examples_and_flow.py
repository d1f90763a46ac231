"""The non-local example, conserved quantities of gradient flow, checks at vertices and rays."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.equivalence.checks.sample import deviation, probe_points
from polyfiber.errors import InputError, ShapeError
from polyfiber.fibers.activity import facts_from_complex, neuron_facts
from polyfiber.fibers.conserved import (
    gradient_flow,
    linear_balance,
    loss_and_gradient,
    neuron_balance,
    translation_generator,
    translation_obstruction,
)
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
