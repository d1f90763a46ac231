"""The slow programs that say what is true are themselves compared with each other and with theorems."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, reject, settings

import polyfiber as pf
from polyfiber.testing import (
    degenerate_corpus,
    generic_networks,
    huge_ratio_network,
    integer_networks,
    near_coincident_network,
    rescaled,
    simple_arrangement_f_vector,
    subnormal_network,
)
from tests.golden.make_degenerate import truth
from tests.oracles.exact_faces import as_fraction, below, box, exact_complex, rank
from tests.oracles.lp_regions import Undecided, largest_margin, lp_regions
from tests.oracles.weights import balancing_residual, evaluate, facet_weights

GOLDEN = Path(__file__).parents[2] / "golden"


def whitney_regions(rows: list[list[int]], constants: list[int]) -> int:
    """Regions of an arrangement: sum of (-1)^(|B| - rank B) over subsets B with a common point."""
    walls = []
    for row, c in zip(rows, constants):
        if any(row):
            lead = next(Fraction(v) for v in row if v)
            wall = tuple(Fraction(v) / lead for v in (*row, c))
            if wall not in walls:
                walls.append(wall)
    total = 0
    for size in range(len(walls) + 1):
        for chosen in combinations(walls, size):
            inner = rank([list(w[:-1]) for w in chosen])
            if rank([list(w) for w in chosen]) == inner:  # a common point
                total += (-1) ** (size - inner)
    return total


@pytest.mark.parametrize(
    ("name", "regions"),
    [
        ("concurrent-8", 16),
        ("duplicate-line", 11),
        ("two-parallel-pairs-and-diagonal", 12),
        ("max-network", 5),
        ("three-two", 4),
        ("braid-4d", 24),
        ("reflection-b3", 48),
        ("shi-3", 16),
        ("concurrent-70", 140),
        ("grid-33-33", 34 * 34),
        ("exact-tenths", 6),
        ("float-tenths", 7),
    ],
)
def test_known_region_counts(name: str, regions: int) -> None:
    case = next(c for c in degenerate_corpus() if c.name == name)
    cx = exact_complex(case.network.weights, case.network.biases)
    assert cx.f_vector[-1] == regions


@settings(max_examples=25, deadline=None)
@given(integer_networks(max_depth=1, max_width=8, max_hidden=8))
def test_one_layer_equals_whitney(net: pf.ReLUNetwork) -> None:
    cx = exact_complex(net.weights, net.biases)
    rows, constants = net.weights[0].astype(int).tolist(), net.biases[0].astype(int).tolist()
    assert cx.f_vector[-1] == whitney_regions(rows, constants)


@settings(max_examples=25, deadline=None)
@given(integer_networks())
def test_exact_faces_are_what_they_say(net: pf.ReLUNetwork) -> None:
    cx = exact_complex(net.weights, net.biases)
    assert sum((-1) ** k * f for k, f in enumerate(cx.f_vector)) == (-1) ** cx.dim
    for face in cx.faces.values():
        y = [as_fraction(v) for v in face.interior_point()]
        signs: list[int] = []
        for w, b in list(zip(net.weights, net.biases))[:-1]:
            z = [sum((as_fraction(v) * x for v, x in zip(row, y)), as_fraction(c)) for row, c in zip(w, b)]
            signs += [(v > 0) - (v < 0) for v in z]
            y = [max(v, Fraction(0)) for v in z]
        assert tuple(signs) == face.signs
        for v in face.vertices[1:]:
            assert any(face.signs), "a face with two vertices lies off some wall"
            assert v != face.vertices[0]


@settings(max_examples=20, deadline=None)
@given(integer_networks(max_hidden=7))
def test_every_facet_has_two_sides(net: pf.ReLUNetwork) -> None:
    cx = exact_complex(net.weights, net.biases)
    regions = cx.signs(cx.dim)
    if cx.dim:
        for facet in cx.of_dim(cx.dim - 1):
            assert sum(below(facet.signs, s) for s in regions) == 2
    weights = facet_weights(net.weights, net.biases, cx) if cx.dim else {}
    assert balancing_residual(cx, weights) < 1e-12


@settings(max_examples=25, deadline=None)
@given(generic_networks(max_hidden=10))
def test_exact_and_lp_agree(net: pf.ReLUNetwork) -> None:
    cx = exact_complex(net.weights, net.biases)
    try:
        found = lp_regions(net.weights, net.biases)
    except Undecided:
        reject()
    assert found == cx.signs(cx.dim)


def test_exact_and_lp_agree_in_a_box() -> None:
    for seed in range(4):
        net = pf.ReLUNetwork.random((3, 5, 4, 1), rng=seed)
        domain = box([-1, -1, -0.5], [1, 0.5, 1])
        cx = exact_complex(net.weights, net.biases, domain=domain)
        assert {s[: net.n_hidden] for s in cx.signs(3)} == lp_regions(net.weights, net.biases, domain=domain)
        assert sum((-1) ** k * f for k, f in enumerate(cx.f_vector)) == 1  # a convex body
        assert all(not face.rays for face in cx.faces.values())


def test_lp_margin_is_measured_and_failures_raise() -> None:
    margin, x = largest_margin(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([0.0, 0.5]))
    assert margin == pytest.approx(0.25)
    assert x[0] == pytest.approx(0.25)
    with pytest.raises(Undecided):
        lp_regions([[[1.0], [1.0]], [[1.0, 1.0]]], [[0.0, 1e-9], [0.0]])


@pytest.mark.parametrize("key", ["3-5-4-4-1/0", "4-4-3-2/1", "5-3-4-2/0", "2-8-8-8-8-1/1"])
def test_exact_faces_reach_golden_counts(key: str) -> None:
    golden = json.loads((GOLDEN / "face_counts.json").read_text())
    architecture, seed = key.split("/")
    net = pf.ReLUNetwork.random([int(v) for v in architecture.split("-")], rng=int(seed))
    assert list(exact_complex(net.weights, net.biases).f_vector) == golden[key]


def test_simple_arrangements() -> None:
    for m, n in [(1, 2), (5, 1), (6, 2), (5, 3), (5, 4)]:
        net = pf.ReLUNetwork.random((n, m, 1), rng=m)
        assert exact_complex(net.weights, net.biases).f_vector == simple_arrangement_f_vector(m, n)


def test_corpus_is_as_large_as_it_says() -> None:
    corpus = degenerate_corpus()
    assert len(corpus) >= 60
    assert 2 * sum(case.network.n_hidden >= 12 for case in corpus) >= len(corpus)
    assert sum(max(case.network.hidden_widths) >= 65 for case in corpus) >= 5
    golden = json.loads((GOLDEN / "degenerate.json").read_text())
    assert set(golden) == {case.name for case in corpus}


def test_corpus_golden_table_is_what_the_oracle_says() -> None:
    golden = json.loads((GOLDEN / "degenerate.json").read_text())
    for case in degenerate_corpus():
        if sum(golden[case.name]["f_vector"]) < 500:
            assert truth(case) == golden[case.name], case.name


def test_rescaling_keeps_every_face() -> None:
    net = pf.ReLUNetwork.random((2, 4, 3, 1), rng=0)
    twin = rescaled(net, [[200, -200, 0, 7], [-150, 150, 1]])
    assert set(exact_complex(net.weights, net.biases).faces) == set(exact_complex(twin.weights, twin.biases).faces)
    for power in (1100, -1060, -1200):
        with pytest.raises(pf.errors.InputError, match="overflow"):
            rescaled(net, [[power, 0, 0, 0], [0, 0, 0]])


def test_hostile_weights_are_hostile() -> None:
    ratio = np.abs(huge_ratio_network((2, 8, 1), rng=0).weights[0])
    assert ratio.max() / ratio.min() > 2.0**200
    near = near_coincident_network((2, 8, 1), rng=0)
    assert 0 < np.abs(near.weights[0][0] - near.weights[0][1]).max() < 1e-14
    sub = subnormal_network((2, 8, 1), rng=0)
    assert np.abs(sub.weights[0]).max() < np.finfo(float).tiny
    assert evaluate(sub.weights, sub.biases, [1, 2]) != evaluate(sub.weights, sub.biases, [2, 1])
