"""What moves for certain: samples are the same function, others than the network, and as many as the bound says."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import NumericalError
from polyfiber.fibers.image.free import FreePart, free_dimension, idle_by_signs
from polyfiber.numerics import exact
from polyfiber.numerics.exact import as_fractions


def integer_network(rng: np.random.Generator) -> pf.ReLUNetwork:
    """Small, with copies, rows that nothing reads and constants."""
    widths = [int(rng.integers(1, 4)), *(int(rng.integers(1, 5)) for _ in range(int(rng.integers(1, 4)))), 2]
    W = [rng.integers(-2, 3, (q, p)) for p, q in zip(widths, widths[1:])]
    b = [rng.integers(-2, 3, q) for q in widths[1:]]
    l = int(rng.integers(0, len(W) - 1))
    i, j = rng.integers(0, widths[l + 1], 2)
    if i != j:
        W[l][i], b[l][i] = 2 * W[l][j], 2 * b[l][j]
    if rng.random() < 0.4:
        W[l + 1][:, j] = 0
    if rng.random() < 0.3:
        W[l][i] = 0
    return pf.ReLUNetwork([w.tolist() for w in W], [v.tolist() for v in b]).exact()


def test_samples_are_other_parameters_of_the_function_and_span_no_less_than_is_said() -> None:
    rng = np.random.default_rng(0)
    moved = 0
    for _ in range(60):
        net = integer_network(rng)
        report = pf.classify_fiber(net, budget=pf.Budget(seconds=20))
        if report.kind != "flexible":
            continue
        low, high = report.beyond.bounds
        assert high is None or low <= high
        try:
            samples = report.sample(2, rng=1)
        except NumericalError:
            assert report.beyond.part.is_point
            continue
        x = as_fractions(rng.integers(-40, 41, (20, net.architecture[0]))) / 8
        assert low > 0
        for other in samples:
            assert other != net
            assert (other(x) == net(x)).all()
            moved += 1
    assert moved > 40


def test_the_dimension_is_that_of_many_samples() -> None:
    """Differences of samples span the moves; with the scalings they give the dimension."""
    net = pf.ReLUNetwork(
        [[[1, 2], [3, 1], [2, 4]], [[1, 1, 1], [-1, -2, -1], [1, -2, 1]], [[1, 1, 0]]], [[1, 0, 2], [-2, -1, 1], [0]]
    ).exact()
    part = FreePart(net, tuple(idle_by_signs(net)), 0)
    flat = lambda p: np.concatenate([v.ravel() for v in (*p.weights, *p.biases)])  # noqa: E731
    rows = [flat(part.sample(rng=k)) - flat(net) for k in range(40)]
    for l in range(2):
        for k in range(3):
            out = [0 * v for v in (*net.weights, *net.biases)]
            out[l][k], out[3 + l][k], out[l + 1][:, k] = net.weights[l][k], net.biases[l][k], -net.weights[l + 1][:, k]
            rows.append(np.concatenate([v.ravel() for v in out]))
    assert free_dimension(part) == exact.rank(np.array(rows)) - exact.rank(np.array(rows[40:]))


def test_blocks_with_copies_have_other_parameters() -> None:
    W = [[[1, 0], [0, 1], [1, 0], [0, 1]], [[2, -1, 0, 0], [0, 0, 2, -1]], [[1, 1]]]
    net = pf.ReLUNetwork(W, [[0, 0, -1, 0], [-3, -1], [0]])
    report = pf.classify_fiber(net)
    assert (report.identifiable, report.beyond.bounds) == (False, (2, 12))
    assert report.sample(1, rng=0)[0] != net


def test_a_sample_that_cannot_be_made_is_refused() -> None:
    net = pf.ReLUNetwork([[[1, 0], [0, 1], [1, 1]], [[1, 1, 1], [1, -2, 1]], [[1, 1]]], [[1, 0, -1], [5, 1], [0]])
    report = pf.classify_fiber(net)
    assert report.kind == "flexible"
    assert "no parameters" not in report.sentence
    with pytest.raises(NumericalError, match="no point of the fiber but this one"):
        report.sample(1, rng=0)
