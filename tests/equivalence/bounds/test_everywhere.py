"""Bounds of a difference at every input, from the weights alone."""

from __future__ import annotations

import numpy as np

import polyfiber as pf
from polyfiber.complexes.ranges.activation import bounding_box
from polyfiber.equivalence.bounds.everywhere import bound_on_box, growth_bound
from polyfiber.network.moves import random_trivial


def test_growth_bounds_hold_and_follow_the_weights() -> None:
    rng = np.random.default_rng(0)
    for widths in ((2, 4, 1), (3, 8, 8, 2), (4, 6, 6, 6, 3)):
        a = pf.ReLUNetwork.random(widths, rng=0)
        near = pf.ReLUNetwork([w + 1e-7 * rng.standard_normal(w.shape) for w in a.weights], a.biases)
        others = {
            "copy": (random_trivial(a, rng=1)(a), 1e-9), "near": (random_trivial(near, rng=2)(near), 1e-2),
            "other": (pf.ReLUNetwork.random(widths, rng=3), 1e9), "wider": (pf.ReLUNetwork.random((widths[0], 9, widths[-1]), rng=4), 1e9),
        }  # fmt: skip
        X = rng.standard_normal((4000, widths[0])) * 10.0 ** rng.uniform(-3, 6, (4000, 1))
        for name, (b, top) in others.items():
            gap = np.abs(a(X) - b(X)).max(axis=1)
            for bound in (growth_bound(a, b), growth_bound(a, b, quick=True), growth_bound(a.exact(), b)):
                assert (gap <= bound(X) * (1 + 1e-9) + 1e-12 * np.abs(a(X)).max(axis=1)).all(), (widths, name)
                assert bound.constant + bound.slope < top, (widths, name, bound)


def test_weights_bound_the_difference_on_a_box() -> None:
    rng = np.random.default_rng(1)
    box = pf.Box(-1, 1, dimension=3)
    for seed in range(4):
        a = pf.ReLUNetwork.random((3, 6, 6, 2), rng=seed)
        b = pf.ReLUNetwork([w + 1e-5 * rng.standard_normal(w.shape) for w in a.weights], a.biases)
        b = random_trivial(b, rng=seed)(b)
        true = pf.difference(a, b, box).maximum
        bound = bound_on_box(a, b, *bounding_box(box))
        assert true <= bound < 100 * true
