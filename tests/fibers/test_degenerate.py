"""Degenerate networks: nothing crashes, nothing is decided wrongly, minimize keeps the function."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.network.float_or_rational import products_in_range
from polyfiber.testing import degenerate_corpus

CORPUS = [case for case in degenerate_corpus() if case.network.n_parameters <= 350]


def integer_networks(seed: int, count: int) -> list[pf.ReLUNetwork]:
    rng = np.random.default_rng(seed)
    networks = []
    for _ in range(count):
        widths = [int(w) for w in rng.integers(1, 4, int(rng.integers(2, 6)))]
        size = int(rng.integers(1, 4))
        weights = [rng.integers(-size, size + 1, (b, a)) for a, b in itertools.pairwise(widths)]
        networks.append(pf.ReLUNetwork(weights, [rng.integers(-size, size + 1, b) for b in widths[1:]]))
    return networks


def check(net: pf.ReLUNetwork) -> str:
    rng = np.random.default_rng(0)
    X = rng.integers(-30, 31, (60, net.architecture[0]))
    y = net(X).astype(float)
    size = 1 + np.abs(y).max()
    report = pf.classify_fiber(net)
    if report.kind != "undecided":
        assert report.contains(net)
        beyond = report.beyond
        most = report.dimension if beyond is None else beyond.bounds[1]
        assert beyond is not None or most is not None
        components = list(itertools.islice(report.components(), 6)) if beyond is None or beyond.part else []
        assert components or beyond is not None
        for component in components:
            assert component.dimension >= 0
            assert most is None or component.dimension <= most
            for other in (component.point(), component.sample(rng=rng)):
                assert other.architecture == net.architecture
                assert np.abs(other(X).astype(float) - y).max() <= 1e-8 * size, str(component)
                if products_in_range(net, other):  # beyond it equality is not decided by forms
                    assert report.contains(other), str(component)
    small = pf.minimize(net).network
    difference = small(X) - net(X)
    assert np.abs(difference.astype(float)).max() <= (0.0 if net.is_exact else 1e-9 * size)
    assert small.n_hidden <= net.n_hidden
    return report.kind


@pytest.mark.parametrize("exact", [False, True])
def test_integer_networks(exact: bool) -> None:
    kinds = {check(net.exact() if exact else net) for net in integer_networks(11, 60)}
    assert kinds >= {"identifiable", "layerwise", "flexible"}


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
def test_corpus(case: Any) -> None:
    check(case.network)
