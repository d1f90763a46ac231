"""Bounds that are proved again by another relaxation."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.budget import Monitor
from polyfiber.complexes.ranges.activation import bounding_box
from polyfiber.equivalence.checks.bounds import bound_holds
from polyfiber.equivalence.checks.recheck import _Work
from polyfiber.verdict import Verdict


def test_bounds_are_proved_again_by_another_relaxation() -> None:
    box, triangle = pf.Box(-1, 1, dimension=2), pf.Polyhedron([[-1, 0], [0, -1], [1, 1]], [0, 0, 1])
    for seed in range(3):
        a, b = (pf.ReLUNetwork.random((2, 5, 4, 2), rng=2 * seed + k) for k in (0, 1))
        for domain in (box, triangle):
            true = pf.difference(a, b, domain).maximum
            ends = bounding_box(domain)
            good = bound_holds(a, b, domain, ends, 1.01 * true, monitor=Monitor(pf.Budget(seconds=120)))
            assert good.complete
            assert good.share == pytest.approx(1.0)
            bad = bound_holds(a, b, domain, ends, 0.99 * true, monitor=Monitor(pf.Budget(seconds=0.3)))
            assert not bad.complete
            assert bad.share < 1


def test_answers_by_bounds_are_proved_again() -> None:
    a = pf.ReLUNetwork.random((3, 8, 8, 2), rng=0)
    rng = np.random.default_rng(0)
    b = pf.ReLUNetwork([w + 1e-2 * rng.standard_normal(w.shape) for w in a.weights], a.biases)
    box = pf.Box(-0.5, 0.5, dimension=3)
    true = pf.difference(a, b, box).maximum
    answer = pf.are_equivalent(a, b, box, epsilon=2.5 * true, method="bound", budget=pf.Budget(seconds=30))
    assert (answer.verdict, answer.method) == (Verdict.YES, "branch and bound")
    work = _Work(answer, Monitor(pf.Budget(seconds=30)), 0)
    found = work._by_boxes()
    assert found is not None
    assert "another relaxation" in found.reason
    wrong = pf.Equivalence(a, b, Verdict.YES, "branch and bound", "", 1e-9, domain=box, epsilon=0.999 * true)
    assert not wrong.verify()
