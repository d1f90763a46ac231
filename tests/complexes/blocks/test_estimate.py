"""Estimates from pilot blocks: right on average, honest about their error."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes.blocks.plan import plan_blocks, sample_vertices
from polyfiber.complexes.skeleton.arrays import make_frame
from polyfiber.errors import BudgetExceededError, InputError


@pytest.mark.parametrize("widths", [(2, 40, 40, 1), (3, 20, 20, 1), (3, 9, 9, 9, 1), (4, 12, 12, 2)])
def test_estimates_lie_within_their_errors(widths: tuple[int, ...]) -> None:
    net = pf.ReLUNetwork.random(widths, rng=0)
    total = pf.count_blocks(net)
    scores = []
    for rng in range(6):
        e = pf.pilot_estimate(net, pilots=10, vertices=max(64, total.f_vector[0] // 20), rng=rng)
        assert not e.exact
        assert e.pilots == 10
        pairs = [(e.f_vector, e.f_errors, total.f_vector), (e.bounded, e.bounded_errors, total.bounded)]
        scores += [(a - t) / s for estimate, error, truth in pairs for a, s, t in zip(estimate, error, truth)]
    assert np.abs(scores).max() < 6  # ten pilots: heavier tails than the normal distribution
    assert abs(np.mean(scores)) < 1.5


def test_small_complexes_are_counted() -> None:
    net = pf.ReLUNetwork.random((2, 12, 12, 1), rng=0)
    e = pf.pilot_estimate(net)
    assert e.exact
    assert e.f_vector == tuple(map(float, pf.face_counts(net)))
    assert set(e.f_errors) == {0.0}


def test_estimates_on_a_box() -> None:
    net = pf.ReLUNetwork.random((3, 24, 24, 1), rng=1)
    box = pf.Box(-0.5, 0.5, dimension=3)
    truth = pf.face_counts(net, box)
    e = pf.pilot_estimate(net, box, pilots=12, vertices=400)
    assert all(abs(a - t) < 6 * s for a, s, t in zip(e.f_vector, e.f_errors, truth))


def test_bad_estimates() -> None:
    net = pf.ReLUNetwork.random((3, 30, 30, 1), rng=0)
    with pytest.raises(InputError, match="2 pilots"):
        pf.pilot_estimate(net, pilots=1)
    with pytest.raises(BudgetExceededError, match="two pilots"):
        pf.pilot_estimate(net, vertices=1000, budget=pf.Budget(seconds=0))


def test_the_sample_is_of_vertices() -> None:
    net = pf.ReLUNetwork.random((3, 12, 10, 8, 1), rng=0)
    frame = make_frame(net, None)
    sample = sample_vertices(frame, size=4000, rng=0)
    signs = pf.canonical_complex(net).signs(0)[:, :12]
    assert 0.2 < sample.share <= 1
    assert np.abs(sample.above.mean(axis=0) - (signs > 0).mean(axis=0)).max() < 0.15
    again = sample_vertices(frame, size=4000, rng=0)
    assert np.array_equal(again.above, sample.above)


def test_plans() -> None:
    net = pf.ReLUNetwork.random((3, 24, 24, 1), rng=0)
    plan = plan_blocks(net, target=500)
    assert plan == plan_blocks(net, target=500)
    sizes = [pf.run_block(net, block).n_vertices for block in plan.blocks]
    assert max(sizes) < 5 * 500
    large = pf.ReLUNetwork.random((3, 64, 64, 1), rng=0)
    assert len(plan_blocks(large, target=10**6, at_least=9).blocks) >= 9
    assert len(plan_blocks(net, target=10**6, at_least=9).blocks) < 9
    part = plan.blocks[0]
    inside = plan_blocks(net, target=100, within=[part])
    assert all(block.path[: len(part.path)] == part.path for block in inside.blocks)
    assert len(inside.blocks) > 1
    with pytest.raises(InputError, match="positive"):
        plan_blocks(net, target=0)
    # nothing to sample: walls of rank 0, no walls, one input
    for widths, zero in (((2, 3, 1), True), ((1, 1, 1), False)):
        small = pf.ReLUNetwork.random(widths, rng=0)
        if zero:
            small = pf.ReLUNetwork([0 * w for w in small.weights], small.biases)
        assert len(plan_blocks(small, target=1, room=10**5).blocks) == 1
