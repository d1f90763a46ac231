"""Affine maps, weights of facets and balancing against gradients of brute-force regions."""

from __future__ import annotations

import numpy as np

import polyfiber as pf
from tests.oracles.exact_faces import exact_complex
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
