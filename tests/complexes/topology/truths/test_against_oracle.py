"""Sets and their homology against exact rational brute force and dense ranks; the brute force against known shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes.topology.cells import Csr, Layer
from scripts.attacks.complexes.topology import KINDS, against_oracle, compare, over_corpus
from tests.oracles import topology as oracle

TENT = [[[1, 0], [-1, 0], [0, 1], [0, -1]], [[1, 1, 1, 1]]], [[0] * 4, [0]]  # |x| + |y|
BEND = [[[1, 0], [0, 1]], [[1, 1]]], [[0, 0], [1]]


def test_small_networks_of_every_kind() -> None:
    networks, sets, seen, problems = against_oracle(2 * len(KINDS), 2026)
    assert networks == 2 * len(KINDS)
    assert sets > 80
    assert min(seen["compact"], seen["not compact"], seen["whole cells"], seen["with lineality"]) > 3
    assert not problems


def test_the_small_ones_of_the_degenerate_corpus() -> None:
    networks, _, _, problems = over_corpus(60)
    assert networks > 30
    assert not problems


def test_the_oracle_knows_a_circle_a_line_and_a_strip() -> None:
    circle = oracle.level(*TENT, [1], [0], (0,))
    line = oracle.level(*BEND, [2], [0], (0,))
    strip = oracle.level([[[1, 0]], [[1]]], [[0], [0]], [1], [0], (0,))  # the line x = 1 in the plane
    for prime in (2, oracle.PRIME):
        for support in ("bounded", "compactified", "borel-moore"):
            assert circle.betti(support, prime) == (1, 1)
        assert line.betti("bounded", prime) == (1, 0)
        assert line.betti("compactified", prime) == (1, 1)
        assert line.betti("borel-moore", prime) == (0, 1)
    assert strip.lineality == 1
    assert strip.betti("borel-moore") == (0, 1)
    assert strip.betti("compactified") == (1, 1)
    assert [line.euler(s) for s in ("bounded", "compactified", "borel-moore")] == [1, 0, -1]


@pytest.mark.parametrize("damage", ["facet", "sign", "vertex", "dropped"])
def test_damage_is_noticed(damage: str) -> None:
    net = pf.ReLUNetwork(*TENT)
    found: Any = pf.canonical_complex(net).level_set(1)
    truth = oracle.level(net.weights, net.biases, [1], [0], (0,))
    assert not compare(pf.canonical_complex(net).level_set(1), truth)
    cells = found._cells
    points, edges = cells.layers
    if damage == "facet":
        idx = edges.below.indices.copy()
        idx[0] = (idx[0] + 1) % 4
        cells.layers[1] = Layer(edges.planes, edges.gates, Csr(edges.below.indptr, idx))
    elif damage == "sign":
        points.planes[[0, 1]] = points.planes[[1, 0]]
    elif damage == "vertex":
        cells.points[[0, 1]] = cells.points[[1, 0]]
    else:
        cells.layers.pop()
    assert compare(found, truth)


def test_a_domain_that_is_a_point() -> None:
    net = pf.ReLUNetwork([[[1.0]], [[1.0]]], [[0.0], [0.0]])
    cx = pf.canonical_complex(net, pf.Box([2.0], [2.0]))
    assert cx.level_set(2).f_vector == (1,)
    assert cx.level_set(2).vertices.tolist() == [[2.0]]
    assert cx.sublevel_set(1).f_vector == ()
    assert cx.superlevel_set(1).f_vector == (1,)
    assert cx.level_set(2).certificate.verify().ok


def test_flat_domains_keep_their_signs() -> None:
    net = pf.ReLUNetwork.random((3, 3, 1), rng=3)
    cx = pf.canonical_complex(net, pf.Box([-2, -2, -2], [-2, 1.5, 1.5]))
    value = float(np.median(net(cx.vertices)))
    found = cx.level_set(value)
    assert found.dimension >= 1
    flat = [0, 3]  # the two sides of the box in the first coordinate
    assert (found.signs(0)[:, net.n_hidden :][:, flat] == 0).all()
    assert found.certificate.verify().ok


@pytest.mark.parametrize("seed", range(6))
def test_breakpoints_are_a_set_with_homology(seed: int) -> None:
    net = pf.ReLUNetwork.random([(2, 4, 3, 1), (3, 4, 2), (1, 4, 1)][seed % 3], rng=seed)
    if seed % 2:
        net = pf.ReLUNetwork([np.round(2 * w) for w in net.weights], [np.round(2 * b) for b in net.biases])
    bends = pf.canonical_complex(net).breakpoint_complex()
    found = bends.as_set()
    assert found.f_vector[-1] == len(bends.facets)
    assert found.certificate.verify().ok
    assert bends.betti_numbers("borel-moore") == oracle.breakpoints(net.weights, net.biases).betti("borel-moore")
    assert bends.euler_characteristic("borel-moore") == sum(
        (-1) ** k * b for k, b in enumerate(bends.betti_numbers("borel-moore", 0))
    )
    assert bends.connected_components()[0] == found.connected_components()[0]


def test_a_missing_bend_is_noticed() -> None:
    bends = pf.canonical_complex(pf.ReLUNetwork.random((2, 4, 1), rng=0)).breakpoint_complex()
    bends.facets = bends.facets[1:]
    assert not bends.as_set().certificate.verify().ok


def test_breakpoints_of_gates_with_slopes() -> None:
    net = pf.read_network("data/iris_petals_leaky.onnx")
    assert pf.canonical_complex(net, pf.Box([0, -1], [8, 4])).breakpoint_complex().as_set().certificate.verify().ok
