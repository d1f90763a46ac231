"""Regions equal to an LP enumeration on more than 100 generic networks, 1 to 5 hidden layers."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from tests.oracles.lp_regions import lp_regions

# n0, hidden widths: narrow and wide, bottleneck and not, first layer smaller and larger than the input
ARCHITECTURES: list[tuple[int, ...]] = [
    # one hidden layer
    (1, 6), (2, 1), (2, 5), (2, 8), (3, 2), (3, 5), (4, 4), (5, 3),
    # two
    (1, 5, 4), (2, 3, 6), (2, 6, 3), (2, 5, 5), (2, 1, 4), (3, 4, 3), (3, 2, 5), (4, 3, 3), (6, 2, 3),
    # three
    (1, 4, 4, 4), (2, 4, 1, 4), (2, 3, 3, 3), (2, 5, 2, 4), (3, 3, 2, 3), (4, 2, 3, 2),
    # four
    (1, 3, 3, 3, 3), (2, 3, 3, 3, 2), (2, 4, 2, 3, 2), (2, 2, 2, 2, 2), (3, 3, 3, 2, 2), (3, 2, 3, 2, 3),
    # five
    (1, 3, 3, 3, 2, 2), (2, 3, 2, 3, 2, 3), (2, 2, 3, 3, 2, 2), (2, 4, 3, 1, 3, 2), (3, 3, 2, 2, 2, 2), (4, 2, 2, 2, 2, 2),
]  # fmt: skip
SEEDS = (0, 1, 2)


def regions(cx: pf.PolyhedralComplex, n_hidden: int) -> set[tuple[int, ...]]:
    signs = cx.signs(len(cx.f_vector) - 1)
    assert signs.dtype == np.int8
    found = {tuple(row) for row in signs[:, :n_hidden].tolist()}
    assert len(found) == len(signs) == cx.f_vector[-1]
    return found


def test_there_are_enough_networks() -> None:
    assert len(ARCHITECTURES) * len(SEEDS) >= 100
    assert {len(a) - 1 for a in ARCHITECTURES} == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: "-".join(map(str, a)))
def test_regions(architecture: tuple[int, ...]) -> None:
    for seed in SEEDS:
        net = pf.ReLUNetwork.random((*architecture, 1), rng=1000 + seed)
        assert regions(pf.canonical_complex(net), net.n_hidden) == lp_regions(net.weights, net.biases)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", [(2, 14), (3, 8), (2, 10, 6), (1, 12, 12), (2, 6, 6, 6)], ids=str)
def test_regions_of_wider_networks(architecture: tuple[int, ...]) -> None:
    net = pf.ReLUNetwork.random((*architecture, 1), rng=2000)
    assert regions(pf.canonical_complex(net), net.n_hidden) == lp_regions(net.weights, net.biases)


@pytest.mark.parametrize("architecture", [(2, 5, 4), (3, 4, 3), (3, 2, 4), (2, 3, 3, 3)], ids=str)
def test_regions_in_a_box(architecture: tuple[int, ...]) -> None:
    n = architecture[0]
    net = pf.ReLUNetwork.random((*architecture, 1), rng=7)
    box = pf.Box(-np.ones(n), 1.5 * np.ones(n))
    a, b = np.vstack([-np.eye(n), np.eye(n)]), np.r_[np.ones(n), 1.5 * np.ones(n)]
    cx = pf.canonical_complex(net, domain=box)
    assert regions(cx, net.n_hidden) == lp_regions(net.weights, net.biases, domain=(a, b))
