"""The checker of matrices against pairs that are equal by construction, claims that were tampered with, and values in rationals."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.equivalence.checks.functions import Unproved, proved_bound
from polyfiber.equivalence.relations.claims import Claims
from polyfiber.equivalence.relations.joint import Event, Joint, Unit
from polyfiber.numerics.floats import upward
from polyfiber.testing.near_misses import FAMILIES, WEIGHTS, base_network, changed
from polyfiber.testing.rewritings import rewritten


def pair(seed: int) -> tuple[pf.ReLUNetwork, pf.ReLUNetwork, str]:
    rng = np.random.default_rng(seed)
    base = base_network(FAMILIES[int(rng.integers(len(FAMILIES)))], WEIGHTS[int(rng.integers(len(WEIGHTS)))], rng)
    f, _ = rewritten(base, rng, steps=int(rng.integers(0, 5)), hidden=20)
    g, _ = rewritten(base, rng, steps=int(rng.integers(1, 6)), hidden=20)
    if rng.random() < 0.4:
        return f, changed(g, rng).network, "changed"
    return f, g, "equal"


def test_exactly_what_the_search_found() -> None:
    """Zero where forms agree, and never for networks that differ by construction."""
    zeros = 0
    for seed in range(24):
        f, g, kind = pair(seed)
        joint = Joint(f, g, tolerance=0)
        bound = proved_bound(f, g, Claims.of(joint))
        same = not (bound != 0).any()
        assert same == joint.equal
        assert not (same and kind == "changed")
        zeros += same
    assert zeros > 6


def test_bounds_hold_at_rational_inputs() -> None:
    rng = np.random.default_rng(0)
    for seed in range(12):
        f, g = (net.rounded() for net in pair(seed)[:2])
        claims = Claims.of(Joint(f, g, tolerance=1e-6))
        bound = proved_bound(f, g, claims)
        for x in rng.standard_normal((4, f.architecture[0])) * 10.0 ** rng.uniform(-2, 5, (4, 1)):
            p = [Fraction(float(v)) for v in x]
            gap = np.abs(f.exact()(p) - g.exact()(p))
            assert (gap <= bound @ [*map(abs, p), 1]).all()


def test_tampered_claims_prove_nothing_or_less() -> None:
    """A head, a scale, a sign, or the order of what was learned."""
    f = pf.ReLUNetwork([[[1], [-1]], [[1, 1], [1, 2]], [[1, 1]]], [[0, 0], [1, 3], [0]]).exact()
    g = pf.ReLUNetwork([[[1], [-1]], [[2, 3]], [[1]]], [[0, 0], [4], [0]]).exact()
    claims = Claims.of(Joint(f, g, tolerance=0))
    assert not (proved_bound(f, g, claims) != 0).any()
    assert [e.why[0] for e in claims.events] == ["neuron"] * 3
    for h in range(len(claims.heads)):
        heads = [row.copy() for row in claims.heads]
        heads[h][0] += 1
        assert (proved_bound(f, g, replace(claims, heads=heads)) != 0).any()
    with pytest.raises(Unproved):
        proved_bound(f, g, replace(claims, events=claims.events[::-1][:-1] + claims.events[:1][:0]))
    early = [Event(0, *e[1:]) for e in claims.events]
    with pytest.raises(Unproved):
        proved_bound(f, g, replace(claims, events=early))


def test_a_sign_is_not_shown_by_itself() -> None:
    """``relu(x)`` read once more has the form x where x is taken to be nowhere negative: that shows nothing."""
    f = pf.ReLUNetwork([[[1]], [[1]], [[1]]], [[0], [0], [0]]).exact()
    g = pf.ReLUNetwork([[[1], [-1]], [[1, -1]]], [[0, 0], [0]]).exact()  # x
    one = np.array([1]), np.array([1]), np.array([Fraction(1)], dtype=object)
    two = np.array([0, 0]), np.array([1, -1]), np.array([Fraction(1)] * 2, dtype=object)
    heads = [np.array([1, 0], dtype=object), np.array([1, 0], dtype=object)]
    x = np.array([0]), np.array([1]), np.array([Fraction(1)], dtype=object)
    for events in (
        [Event(1, 0, 1, ("neuron", 0, 0)), Event(1, 1, 1, ("neuron", 0, 0))],
        [Event(0, 0, 1, ("neuron", 0, 0)), Event(1, 1, 1, ("neuron", 0, 0))],
    ):
        claims = Claims(heads, [0, -1], ([x, one], [two]), events)
        try:
            bound = proved_bound(f, g, claims)
        except Unproved:
            continue
        assert bound[0, 0] >= 1


def test_facts_and_units_count_as_given() -> None:
    """On a cell, and beside a unit whose bound is charged."""
    f = pf.ReLUNetwork([[[1.0]], [[3.0]]], [[1.0], [0.0]])
    g = pf.ReLUNetwork([np.zeros((1, 1))], [[0.0]])
    facts = ((np.array([-2.0, -2.0]), 1),)  # x <= -1
    for tolerance in (0.0, 1e-10):
        claims = Claims.of(Joint(f, g, tolerance=tolerance, facts=facts))
        assert not (proved_bound(f, g, claims) != 0).any()
    unit = Unit(0, 0, 0, -1, np.array([0.0, 0.25]))
    claims = Claims.of(Joint(f, g, tolerance=1e-10, units=(unit,)))
    bound = upward(proved_bound(f, g, claims))
    assert bound[0, 0] == 0
    assert bound[0, 1] >= 0.75
    assert bound[0, 1] < 0.75 + 1e-9
    assert (proved_bound(f, g, Claims.of(Joint(f, g, tolerance=0))) != 0).any()
