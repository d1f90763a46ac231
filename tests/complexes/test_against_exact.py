"""Every face of every dimension equal to exact rational brute force."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import polyfiber as pf
from polyfiber.errors import GenericityError
from polyfiber.testing import (
    Case,
    degenerate_corpus,
    generic_networks,
    huge_ratio_network,
    integer_networks,
    near_coincident_network,
    rescaled,
    subnormal_network,
)
from tests.oracles.exact_faces import ExactComplex, box, exact_complex
from tests.oracles.weights import affine_maps, balancing_residual, facet_weights


def compare(cx: Any, truth: ExactComplex, *, coordinates: bool = True) -> None:
    assert tuple(cx.f_vector) == truth.f_vector
    for k in range(truth.dim + 1):
        signs = cx.signs(k)
        rows = {tuple(row) for row in signs.tolist()}
        assert len(rows) == len(signs), f"a face of dimension {k} occurs twice"
        assert rows == truth.signs(k), f"faces of dimension {k} differ"
    expected = truth.vertices()
    points = cx.vertices
    assert points.shape == (truth.f_vector[0], truth.n0)
    if coordinates:
        for row, point in zip(cx.signs(0).tolist(), points):
            exact = np.array([float(v) for v in expected[tuple(row)]])
            assert np.allclose(point, exact, rtol=1e-7, atol=1e-9 * (1 + np.abs(exact).max(initial=0)))


def check(net: pf.ReLUNetwork, **options: Any) -> None:
    truth = exact_complex(net.weights, net.biases)
    compare(pf.canonical_complex(net), truth, **options)
    assert tuple(pf.face_counts(net)) == truth.f_vector


@settings(max_examples=60, deadline=None)
@given(generic_networks())
def test_generic_networks(net: pf.ReLUNetwork) -> None:
    check(net)


@pytest.mark.parametrize(
    "architecture", [(2, 5, 4, 1), (3, 4, 3, 1), (3, 2, 4, 1), (1, 4, 3, 1), (2, 3, 3, 3, 1)], ids=str
)
def test_boxes(architecture: tuple[int, ...]) -> None:
    for seed in range(3):
        net = pf.ReLUNetwork.random(architecture, rng=seed)
        lo, hi = [-1.0, -0.5, -2.0][: architecture[0]], [0.75, 1.0, 1.5][: architecture[0]]
        truth = exact_complex(net.weights, net.biases, domain=box(lo, hi))
        compare(pf.canonical_complex(net, domain=pf.Box(lo, hi)), truth)
        assert tuple(pf.face_counts(net, domain=pf.Box(lo, hi))) == truth.f_vector


def test_polyhedra() -> None:
    rng = np.random.default_rng(3)
    for seed in range(6):
        n = 2 + seed % 2
        net = pf.ReLUNetwork.random((n, 4, 3, 1), rng=seed)
        a, b = rng.standard_normal((2 + seed, n)), rng.random(2 + seed) + 0.1
        compare(
            pf.canonical_complex(net, domain=pf.Polyhedron(a, b)), exact_complex(net.weights, net.biases, domain=(a, b))
        )


def test_rational_networks_are_exact() -> None:
    rng = np.random.default_rng(0)
    for widths in [(2, 4, 3, 1), (3, 3, 3, 1)]:
        shapes = list(zip(widths[1:], widths[:-1]))

        def draw(*shape: int) -> Any:
            values = np.empty(shape, dtype=object)
            for index in np.ndindex(*shape):
                values[index] = Fraction(int(rng.integers(-97, 98)), int(rng.integers(1, 98)))
            return values

        net = pf.ReLUNetwork([draw(*s) for s in shapes], [draw(s[0]) for s in shapes])
        check(net)


def test_rescaled_networks_have_the_same_faces() -> None:
    rng = np.random.default_rng(5)
    for seed in range(4):
        net = pf.ReLUNetwork.random((2, 5, 4, 1), rng=seed)
        twin = rescaled(net, [rng.integers(-200, 201, size=5), rng.integers(-200, 201, size=4)])
        one, two = pf.canonical_complex(net), pf.canonical_complex(twin)
        for k in range(3):
            assert {tuple(r) for r in one.signs(k).tolist()} == {tuple(r) for r in two.signs(k).tolist()}


ADVERSARIAL = [
    *[("huge", huge_ratio_network, a, s) for s in range(3) for a in [(2, 5, 4, 1), (3, 3, 3, 1), (2, 3, 3, 3, 1)]],
    *[("near", near_coincident_network, a, s) for s in range(3) for a in [(2, 6, 4, 1), (3, 4, 3, 1), (2, 4, 4, 3, 1)]],
    *[("subnormal", subnormal_network, a, s) for s in range(3) for a in [(2, 5, 4, 1), (3, 3, 3, 1)]],
]


@pytest.mark.parametrize(("kind", "make", "architecture", "seed"), ADVERSARIAL, ids=lambda v: str(v))
def test_adversarial_weights(kind: str, make: Any, architecture: tuple[int, ...], seed: int) -> None:
    """Right, or refused as not generic; coordinates are not compared (they may not fit a float)."""
    net = make(architecture, rng=seed)
    truth = exact_complex(net.weights, net.biases)
    try:
        cx = pf.canonical_complex(net)
    except GenericityError:
        assert not is_generic(truth), "a generic network was refused"
        return
    compare(cx, truth, coordinates=False)


def is_generic(truth: ExactComplex) -> bool:
    """Supertransversal, as far as it shows: every k-face has exactly d - k zeros."""
    return all(sum(s == 0 for s in face.signs) == truth.dim - face.dim for face in truth.faces.values())


@pytest.mark.parametrize("case", degenerate_corpus(), ids=lambda c: c.name)
def test_degenerate_corpus(case: Case) -> None:
    """Right, or refused as not generic: never silently wrong."""
    net = case.network
    truth = exact_complex(net.weights, net.biases, domain=case.domain)
    domain = None if case.domain is None else pf.Polyhedron(*case.domain)
    try:
        cx = pf.canonical_complex(net, domain=domain)
    except GenericityError:
        assert not is_generic(truth), "a generic network was refused"
        return
    compare(cx, truth, coordinates=False)
    assert tuple(pf.face_counts(net, domain=domain)) == truth.f_vector


@settings(max_examples=150, deadline=None)
@given(integer_networks())
def test_integer_networks(net: pf.ReLUNetwork) -> None:
    """Right, or refused as not generic."""
    truth = exact_complex(net.weights, net.biases)
    try:
        cx = pf.canonical_complex(net)
    except GenericityError:
        assert not is_generic(truth), "a generic network was refused"
        return
    compare(cx, truth)


def test_affine_maps_and_weights() -> None:
    for architecture, seed in [
        ((2, 4, 3, 2), 0),
        ((3, 3, 2, 1), 1),
        ((2, 3, 3, 2, 1), 2),
        ((1, 4, 3, 2), 3),
        ((3, 2, 3, 1), 4),
    ]:
        net = pf.ReLUNetwork.random(architecture, rng=seed)
        truth = exact_complex(net.weights, net.biases)
        cx = pf.canonical_complex(net)
        a, c = cx.affine_maps()
        maps = affine_maps(net.weights, net.biases, truth)
        for row, matrix, vector in zip(cx.signs(truth.dim).tolist(), a, c):
            exact_a, exact_c = maps[tuple(row)]
            assert np.allclose(matrix, np.array(exact_a, dtype=float), atol=1e-9)
            assert np.allclose(vector, np.array(exact_c, dtype=float), atol=1e-9)
        weights = facet_weights(net.weights, net.biases, truth)
        assert balancing_residual(truth, weights) < 1e-12
        bp = pf.breakpoint_complex(net)
        facet_signs = cx.signs(truth.dim - 1)
        found = {tuple(facet_signs[i].tolist()): w for i, w in zip(bp.facets, bp.weights)}
        scale = max(float(np.abs(w).max()) for w in weights.values())
        for signs, weight in weights.items():
            assert np.allclose(found.get(signs, np.zeros(len(weight))), weight, atol=1e-9 * scale)


def test_locate_finds_the_region_of_interior_points() -> None:
    net = pf.ReLUNetwork.random((2, 5, 4, 1), rng=0)
    truth = exact_complex(net.weights, net.biases)
    cx = pf.canonical_complex(net)
    faces = truth.of_dim(2)
    ids = cx.locate(np.array([[float(v) for v in face.interior_point()] for face in faces]))
    assert [tuple(row) for row in cx.signs(2)[ids].tolist()] == [face.signs for face in faces]
