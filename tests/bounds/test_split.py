"""Branch and bound over boxes against the maximum on a fine grid, its limits, and what it says when it stops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.bounds.goals import near
from polyfiber.bounds.pairing import paired
from polyfiber.bounds.split import BoxSearch, n_text
from polyfiber.bounds.tree import OPEN, PROVED
from polyfiber.budget import Budget, Monitor
from polyfiber.kernels.bounds.boxes import BEST

F = pf.ReLUNetwork.random((2, 5, 4, 1), rng=0)
G = pf.ReLUNetwork([W + 0.05 * np.random.default_rng(1).standard_normal(W.shape) for W in F.weights], F.biases)
LO, HI = -np.ones(2), np.ones(2)


def searched(epsilon: float, **options: Any) -> BoxSearch:
    return BoxSearch(paired(F, G), near(np.array([epsilon]), np.zeros(1)), LO, HI, **options)


def largest() -> float:
    """Of ``|f - g|`` on a grid that holds the corners."""
    axis = np.linspace(-1, 1, 201)
    X = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    return float(np.abs(F(X) - G(X)).max())


TOP = largest()


def test_proved_above_the_maximum_and_refuted_below() -> None:
    found = searched(1.05 * TOP).run(Monitor(Budget(20)))
    assert found.status == "proved"
    assert found.excess <= 0
    assert (found.share, found.open, found.stopped) == (1.0, 0, "")
    assert set(found.tree.split[found.tree.split < 0].tolist()) == {PROVED}
    below = searched(0.9 * TOP).run(Monitor(Budget(20)))
    assert below.status == "violated"
    assert below.point is not None
    gap = float(np.abs(F(below.point) - G(below.point))[0])
    assert gap > 0.9 * TOP
    assert below.best == pytest.approx(gap - 0.9 * TOP)


def test_following_ends_at_the_maximum() -> None:
    found = searched(0.0, follow=True, gap=1e-3).run(Monitor(Budget(20)))
    assert found.status == "proved"
    assert TOP * (1 - 1e-9) <= found.best <= found.excess <= found.best * (1 + 2e-3)


def test_only_the_part_with_inequalities_counts() -> None:
    """x + y <= -3 leaves nothing of the box."""
    rows = (np.array([[1.0, 1.0]]), np.array([-3.0]))
    assert searched(0.0, rows=rows).run(Monitor(Budget(20))).status == "proved"


def test_who_is_asked_to_confirm_has_the_last_word() -> None:
    asked: list[Any] = []

    def never(x: Any) -> bool:
        asked.append(x)
        return False

    search = searched(0.5 * TOP, confirm=never)
    found = search.run(Monitor(Budget(0.5)), seconds=0.5)
    assert asked
    assert all(((x >= LO) & (x <= HI)).all() for x in asked)
    assert found.status == "open"


def test_time_ends_with_a_bound_and_the_search_goes_on() -> None:
    search = searched(1.0001 * TOP)
    first = search.run(Monitor(Budget(1e-9)), attack=False)
    if first.status == "open":
        assert "the time is used up" in first.stopped
        assert first.excess + 1.0001 * TOP >= TOP * (1 - 1e-12)
        assert OPEN in first.tree.split
    again = search.run(Monitor(Budget(20)))
    assert again.boxes >= first.boxes
    assert again.excess <= first.excess


def test_counts_are_read_easily() -> None:
    assert n_text(1234567) == "1,234,567"


def test_hops_go_beyond_what_climbs_find() -> None:
    """Noise on 10-64-64-64-1: climbs from 64 inputs end at hills that are not the highest."""
    draw = np.random.default_rng(3)
    f = pf.ReLUNetwork.random((10, 64, 64, 64, 1), rng=draw)
    noise = [tuple(p + 1e-3 * draw.standard_normal(p.shape) for p in parts) for parts in (f.weights, f.biases)]
    middle = draw.standard_normal(10)
    sides = paired(f, pf.ReLUNetwork(*noise))
    search = BoxSearch(sides, near(np.zeros(1), np.zeros(1)), middle - 0.1, middle + 0.1)
    search.hop(10)
    assert search.state.numbers[BEST] == -np.inf  # nothing to hop from
    search.attack(Monitor())
    climbed = search.state.numbers[BEST]
    search.hop(1500)
    assert search.state.numbers[BEST] > 1.1 * climbed
    best = search.state.points.best[None]
    assert abs(search.state.numbers[BEST] - abs(f(best) - pf.ReLUNetwork(*noise)(best))[0, 0]) < 1e-12
    assert ((search.lo <= best) & (best <= search.hi)).all()
