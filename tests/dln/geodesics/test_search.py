"""A budget is kept inside every step of a search, whatever the size."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

import polyfiber as pf
from polyfiber import dln, linear
from polyfiber.dln.geodesics.guesses import _align_large
from polyfiber.errors import BudgetExceededError, SolverError
from polyfiber.kernels.linear.chords import align


def pair(size: int) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.random.default_rng(0).standard_normal((2, size, size))
    a[0] *= np.linalg.slogdet(a)[0] * np.linalg.slogdet(b)[0]
    return a, b


@pytest.mark.parametrize("size", [16, 24, 28])
def test_the_time_is_kept(size: int) -> None:
    dln.geodesic(*pair(3), 4)  # loads compiled code, and what of SciPy is needed
    with pytest.raises(BudgetExceededError) as caught:
        dln.geodesic(*pair(size), 8, budget=pf.Budget(seconds=0.3))
    assert caught.value.elapsed < 1.5


def test_what_is_beyond_the_allowance_is_refused_at_once() -> None:
    with pytest.raises((SolverError, BudgetExceededError), match=r"too large|stopped"):
        dln.geodesic(*pair(60), 8, budget=pf.Budget(seconds=20.0))


def test_a_closed_form_is_handed_over_when_the_time_is_up() -> None:
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((40, 40)))[0]
    turn[:, 0] *= np.linalg.det(turn)
    with pytest.raises(BudgetExceededError) as caught:
        dln.geodesic(np.eye(40), turn, 4, budget=pf.Budget(seconds=0.3))
    assert isinstance(caught.value.partial, dln.Geodesic | None)
    assert caught.value.elapsed < 2.0


@pytest.mark.parametrize(
    "ask",
    [
        lambda a, b, budget: dln.distance(a, b, 8, budget=budget),
        lambda a, b, budget: dln.distance([a, a], b, 8, budget=budget),
        lambda a, b, budget: dln.logarithm(a, b, 8, budget=budget),
        lambda a, b, budget: dln.distance_gradient(a, b, 8, budget=budget),
        lambda a, b, budget: dln.frechet_mean([a, b], 8, budget=budget),
        lambda a, b, budget: dln.shortest_chord(a, b, 8, budget=budget),
        lambda a, b, budget: dln.interpolate_networks(dln.lift(a, 4), dln.lift(b, 4), budget=budget),
    ],
)
def test_each_search_takes_one(ask: Callable[..., object]) -> None:
    with pytest.raises(BudgetExceededError):
        ask(*pair(12), pf.Budget(seconds=0.02))


def test_other_searches_take_one() -> None:
    none = pf.Budget(seconds=0.0)
    with pytest.raises(BudgetExceededError):
        dln.free_energy_minima(dln.diagonal_example(confinement=0.05), 3, beta=1.0, budget=none)
    a, b = pair(3)
    with pytest.raises(BudgetExceededError):
        dln.training_path([[np.eye(3), a], [np.eye(3), b]], budget=none)
    with pytest.raises(BudgetExceededError):
        linear.nearest([a, b], linear.stratify((3, 3, 3), rank=3)[0], budget=none)


def test_large_gauges_are_aligned_as_small_ones_are() -> None:
    rng = np.random.default_rng(2)
    l0, l1 = rng.uniform(0.5, 2.0, (2, 5))
    ends = np.linalg.qr(rng.standard_normal((2, 5, 5)))[0]
    first = np.linalg.qr(rng.standard_normal((3, 5, 5)))[0]
    for sign in (1.0, -1.0):
        h, k = (first.copy() for _ in range(2))
        align(l0, l1, ends, sign, h, 40, np.zeros(1, dtype=np.int8))
        _align_large(l0, l1, ends, sign, k, 40)
        assert np.abs(h - k).max() < 1e-6
        assert np.allclose(np.linalg.det(k), sign)


def test_a_short_time_ends_before_scipy_is_there() -> None:
    code = """
import sys, numpy as np, polyfiber as pf
rng = np.random.default_rng(0)
try:
    pf.dln.geodesic(rng.standard_normal((4, 5)), rng.standard_normal((4, 5)), 4, budget=pf.Budget(seconds=0.0))
except pf.errors.BudgetExceededError:
    print("scipy.linalg" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
