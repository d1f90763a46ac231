"""Every face of every dimension equal to exact rational brute force."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import polyfiber as pf
from polyfiber.testing import (
    generic_networks,
)
from tests.oracles.exact_faces import ExactComplex, box, exact_complex


def compare(cx: Any, truth: ExactComplex, *, coordinates: bool = True) -> None:
    assert tuple(cx.f_vector) == truth.f_vector[: cx.dimension + 1]
    assert not any(truth.f_vector[cx.dimension + 1 :])  # a flat domain has no faces above its own dimension
    for k in range(cx.dimension + 1):
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


@settings(max_examples=30, deadline=None)
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


def test_locate_finds_the_region_of_interior_points() -> None:
    net = pf.ReLUNetwork.random((2, 5, 4, 1), rng=0)
    truth = exact_complex(net.weights, net.biases)
    cx = pf.canonical_complex(net)
    faces = truth.of_dim(2)
    ids = cx.locate(np.array([[float(v) for v in face.interior_point()] for face in faces]))
    assert [tuple(row) for row in cx.signs(2)[ids].tolist()] == [face.signs for face in faces]
