"""Affine maps, weights of facets and balancing against gradients of brute-force regions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.testing import huge_ratio_network, near_coincident_network, subnormal_network
from scripts.attacks.complexes.piecewise import attack
from tests.oracles.exact_faces import Face, below, exact_complex, rank
from tests.oracles.weights import affine_maps, balancing_residual, facet_weights


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


SMALL = [(2, 4, 1), (2, 3, 2), (2, 3, 3), (2, 2, 2, 2), (3, 3, 2), (3, 2, 3), (2, 4, 2), (2, 2, 3, 2), (3, 4), (2, 5)]


@pytest.mark.parametrize("architecture", SMALL, ids=str)
def test_weights_jump_and_balance_on_a_hundred_networks(architecture: tuple[int, ...]) -> None:
    for seed in range(10):
        net = pf.ReLUNetwork.random((*architecture, 1 + seed % 2), rng=500 + seed)
        truth = exact_complex(net.weights, net.biases)
        weights = facet_weights(net.weights, net.biases, truth)
        cx = pf.canonical_complex(net)
        bp = cx.breakpoint_complex()
        labels = cx.signs(truth.dim - 1)
        found = {tuple(labels[i].tolist()): w for i, w in zip(bp.facets, bp.weights)}
        scale = max(float(np.abs(w).max()) for w in weights.values())
        assert set(found) == {signs for signs, w in weights.items() if w.any()}, "visible facets differ"
        for signs, w in found.items():
            assert np.allclose(w, weights[signs], rtol=1e-9, atol=1e-12 * scale)
        everywhere = {signs: found.get(signs, np.zeros(len(w))) for signs, w in weights.items()}
        assert balancing_residual(truth, everywhere) < 1e-11
        assert np.allclose(bp.weights_by_jumps(), bp.weights, rtol=1e-9, atol=1e-12 * scale)
        assert bp.balancing_residual() < 1e-9
        a, c = bp.reconstruct()
        b, e = cx.affine_maps()
        size = max(np.abs(b).max(), np.abs(e).max())
        assert np.allclose(a, b, atol=1e-9 * size)
        assert np.allclose(c, e, atol=1e-7 * size)


def test_ridges_bend_where_walls_of_two_layers_cross() -> None:
    """Lemma 18's dichotomy, decided here from exact spans: no other facet at the ridge continues a facet's span."""
    for architecture, seed in [((2, 4, 3, 1), 0), ((3, 3, 3, 1), 1), ((2, 3, 3, 3, 1), 2)]:
        net = pf.ReLUNetwork.random(architecture, rng=seed)
        truth = exact_complex(net.weights, net.biases)
        cx = pf.canonical_complex(net)
        ridges = cx.breakpoint_complex().ridges
        labels = cx.signs(truth.dim - 2)
        bending = {tuple(labels[i].tolist()): bool(b) for i, b in zip(ridges.ids, ridges.bending)}
        assert len(bending) == truth.f_vector[truth.dim - 2]
        for ridge in truth.of_dim(truth.dim - 2):
            around = [face for face in truth.of_dim(truth.dim - 1) if below(ridge.signs, face.signs)]
            assert len(around) == 4
            continued = sum(
                rank([*spanned(one), *spanned(two)]) == truth.dim - 1
                for i, one in enumerate(around)
                for two in around[:i]
            )
            assert bending[ridge.signs] == (continued < 2)


def spanned(face: Face) -> list[list[Fraction]]:
    """Directions that span the linear space of a face."""
    base = face.vertices[0]
    return [[a - b for a, b in zip(v, base)] for v in face.vertices[1:]] + [list(r) for r in face.rays]


@pytest.mark.parametrize("kind", ["near", "huge", "subnormal"])
def test_weights_balance_where_floats_cannot_tell_normals(kind: str) -> None:
    """Walls equal to a few ulps, weights from 1e-150 to 1e150, subnormals: balanced at every ridge all the same."""
    make, architecture = {
        "near": (near_coincident_network, (2, 6, 6, 1)),
        "huge": (huge_ratio_network, (3, 3, 3, 1)),
        "subnormal": (subnormal_network, (2, 5, 4, 1)),
    }[kind]
    exact = 0
    for seed in range(10):
        bp = pf.canonical_complex(make(architecture, rng=seed)).breakpoint_complex()
        ridges = bp.ridges
        assert np.isfinite(ridges.residual).all()
        assert np.isfinite(bp.weights).all()
        assert bp.balancing_residual() < 1e-12
        exact += ridges.exact
    assert exact > 0


@pytest.mark.parametrize("seed", [1001, 1112])
def test_weights_whose_ways_cancel_are_worked_out_in_rationals(seed: int) -> None:
    """Slopes below behind rows 2^50 times as large: floats beyond their bound, 1 % off, were given out as they were."""
    tried, wrong = attack(seed=seed, count=1, seconds=math.inf)
    assert tried["graphs"] == 1
    assert wrong == []
