"""Genericity finds what was planted."""

from __future__ import annotations

import time

import numpy as np
import pytest

import polyfiber as pf


@pytest.mark.parametrize("shape", [(2, 6, 6, 1), (3, 5, 4, 2), (4, 3, 3, 2)], ids=str)
def test_random_networks_are_generic(shape: tuple[int, ...]) -> None:
    g = pf.genericity(pf.ReLUNetwork.random(shape, rng=0))
    assert g.supertransversal is pf.Verdict.YES
    assert g.honest is pf.Verdict.YES
    assert g.cancellation_free is pf.Verdict.YES
    assert g.full_rank_products is pf.Verdict.YES
    assert g.vertex_margin is not None
    assert g.vertex_margin > 0
    assert "supertransversal: yes" in str(g)


def test_planted_failures_are_found() -> None:
    # W2 of rank one: a masked product of too small a rank, exactly
    net = pf.ReLUNetwork([np.eye(2), [[1.0, 2.0], [2.0, 4.0]], [[1.0, 1.0]]], [[0, 0], [-1, -1], [0.0]])
    g = pf.genericity(net)
    assert g.full_rank_products is pf.Verdict.NO
    assert g.worst_product is not None
    assert g.worst_product.rank == 1
    assert g.worst_product.expected == 2
    # three lines through one point
    net = pf.ReLUNetwork([[[1, 0], [0, 1], [1, 1]], [[1.0, 1.0, 1.0]]], [[0.0] * 3, [0.0]])
    g = pf.genericity(net)
    assert g.supertransversal is pf.Verdict.NO
    assert g.n_breaking >= 1
    # two active neurons whose contributions cancel on the outputs, through one neuron of layer 1
    net = pf.ReLUNetwork(
        [[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.5], [1.0, -0.25]], [[1.0, -1.0]]], [[0.0, 0.0], [5.0, 7.0], [0.0]]
    )
    g = pf.genericity(net, pf.Box(-1, 1, dimension=2))
    assert g.supertransversal is pf.Verdict.YES
    assert g.cancellation_free is pf.Verdict.NO
    assert g.n_cancelling_facets == 2


def test_large_networks_get_margins_but_no_verdict() -> None:
    net = pf.ReLUNetwork.random((16, 40, 30, 10), rng=0)
    g = pf.genericity(net, max_regions=16)
    assert g.supertransversal is pf.Verdict.UNDECIDED
    assert g.full_rank_products is pf.Verdict.UNDECIDED
    assert not g.enumerated
    assert g.n_products > 0
    assert g.worst_product is not None
    assert 0 < g.worst_product.singular_value < 1


def test_an_affine_network_has_nothing_to_be_special_about() -> None:
    found = pf.genericity(pf.ReLUNetwork([[[1, 2], [0, 1]]], [[0, 1]]))
    assert found.supertransversal is pf.Verdict.YES
    assert found.n_products == 1


def test_sampling_hears_the_budget() -> None:
    """Sampled regions of 30 inputs want rational programs that take minutes."""
    rng = np.random.default_rng(0)
    blocks = [
        pf.GateBlock({0: rng.standard_normal((100, 30))}, rng.standard_normal(100), slopes=(0.1, 1)),
        pf.GateBlock(
            {0: rng.standard_normal((100, 30)), 1: rng.standard_normal((100, 100))},
            rng.standard_normal(100),
            slopes=(-1, 1),
        ),
    ]
    net = pf.PiecewiseLinearNetwork(30, blocks, pf.AffineMap({2: rng.standard_normal((1, 100))}, [0.0]))
    start = time.process_time()
    assert pf.genericity(net, budget=pf.Budget(seconds=1)).supertransversal is pf.Verdict.UNDECIDED
    assert time.process_time() - start < 30  # compilation too; it took minutes
