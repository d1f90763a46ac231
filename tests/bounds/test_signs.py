"""Splits on signs: exact maxima, samples, halves that cover, and what is asked of time and memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.bounds.settle import root_bounds
from polyfiber.bounds.signs import SignSearch
from polyfiber.budget import Budget, Monitor
from tests.bounds.test_multipliers import searched
from tests.bounds.test_programs import largest


def beside_maximum(rng: Any) -> str:
    """'right' where signs prove epsilon a little above the maximum, and not a little below."""
    f = pf.ReLUNetwork.random((1, 4, 3, 2), rng=rng)
    g = pf.ReLUNetwork([W + 0.1 * rng.standard_normal(W.shape) for W in f.weights], f.biases)
    top = largest(f, g)
    for factor, right in ((1 + 1e-5, "proved"), (1 - 1e-5, "open")):
        s = searched(f, g, -np.ones(1), np.ones(1), top * factor)
        found = SignSearch(s, root_bounds(s)).run(Monitor(Budget(seconds=1.0 if right == "open" else 20.0)))
        if found.status != right:
            return f"{'WRONG' if found.status == 'proved' else 'undecided'}: {found} at {factor} of {top}"
    return "right"


@pytest.mark.parametrize("seed", range(3))
def test_exact_maxima_are_proved_from_above_only(seed: int) -> None:
    assert beside_maximum(np.random.default_rng(seed)) == "right"


def beside_samples(rng: Any) -> str:
    """'right' where the gap that was proved on a box is not below that of any of many inputs."""
    widths = (
        int(rng.integers(2, 7)),
        *(int(rng.integers(3, 12)) for _ in range(int(rng.integers(1, 4)))),
        int(rng.integers(1, 4)),
    )
    f = pf.ReLUNetwork.random(widths, rng=rng)
    noise = float(10.0 ** rng.uniform(-4, -0.5))
    g = pf.ReLUNetwork([W + noise * rng.standard_normal(W.shape) for W in f.weights], f.biases)
    middle, radius = rng.standard_normal(widths[0]), float(10.0 ** rng.uniform(-2, 0.3))
    lo, hi = middle - radius, middle + radius
    X = rng.uniform(lo, hi, (20_000, widths[0]))
    X[::2] = np.where(rng.random(X[::2].shape) < 0.5, lo, hi)
    d = f(X) - g(X)
    top = float(np.abs(d).max())
    s = searched(f, g, lo, hi, top * float(rng.choice([0.9, 0.999, 1.001, 1.1])))
    search = SignSearch(s, root_bounds(s))
    found = search.run(Monitor(Budget(seconds=0.5)))
    epsilon = s.goal.limit[0]
    if top > epsilon * (1 + 1e-9) and found.status == "proved":
        return f"WRONG: proved {epsilon} below {top}"
    if epsilon + found.bound < top * (1 - 1e-12) and found.status == "open":
        return f"WRONG: bound {epsilon + found.bound} below {top}"
    return f"right: {found.status}"


@pytest.mark.parametrize("seed", range(6))
def test_not_below_samples(seed: int) -> None:
    assert beside_samples(np.random.default_rng(seed)).startswith("right")


def test_halves_cover_and_keep_what_lies_in_them() -> None:
    rng = np.random.default_rng(5)
    f = pf.ReLUNetwork.random((3, 6, 5, 1), rng=rng)
    g = pf.ReLUNetwork([W + 0.05 * rng.standard_normal(W.shape) for W in f.weights], f.biases)
    s = searched(f, g, -np.ones(3), np.ones(3), 1e-6)
    search = SignSearch(s, root_bounds(s))
    X = rng.uniform(-1, 1, (3000, 3))
    gap = (f(X) - g(X))[:, 0]
    hidden = [np.concatenate([np.asarray(z) for z in pre(net, X)], axis=1)[:, search.layers.live] for net in (f, g)]
    first = search.start()[0]
    nodes = [(first, np.ones(len(X), dtype=bool))]
    for _ in range(12):
        node, mask = nodes.pop(0)
        k = search.candidates(node)[0]
        for upper in (False, True):
            part = search.half(node, k, upper)
            if k < 3:
                inside = mask & (X[:, k] >= part.lo[k]) & (X[:, k] <= part.hi[k])
            else:
                which, i = divmod(k - 3, search.layers.n)
                inside = mask & ((hidden[which][:, i] >= 0) if upper else (hidden[which][:, i] <= 0))
            found = search.bounded([part])
            if not found:
                assert not inside.any()
                continue
            child = found[0]
            if inside.any():
                assert gap[inside].max() - 1e-6 <= child.bound + 1e-12
                for kind, values in ((0, hidden[0]), (2, hidden[1]), (4, hidden[0] - hidden[1])):
                    assert (values[inside] >= child.box[kind, search.layers.live] - 1e-9).all()
                    assert (values[inside] <= child.box[kind + 1, search.layers.live] + 1e-9).all()
            nodes.append((child, inside))


def pre(net: Any, X: Any) -> list[Any]:
    """Pre-activations of the hidden layers."""
    found, y = [], X
    for W, b in zip(net.weights[:-1], net.biases[:-1]):
        z = y @ W.T + b
        found.append(z)
        y = np.maximum(z, 0)
    return found


def test_the_time_is_heard() -> None:
    f, g = (pf.ReLUNetwork.random((3, 12, 12, 1), rng=k) for k in (0, 1))
    s = searched(f, g, -np.ones(3), np.ones(3), 1e-3)
    found = SignSearch(s, root_bounds(s)).run(Monitor(Budget(seconds=0.2)))
    assert found.status == "open"
    assert found.bound > 1e-3


def test_memory_and_progress_are_heard() -> None:
    f, g = (pf.ReLUNetwork.random((3, 12, 12, 1), rng=k) for k in (0, 1))
    s = searched(f, g, -np.ones(3), np.ones(3), 1e-3)
    told: list[Any] = []
    monitor = Monitor(Budget(seconds=30, memory=1 << 18), told.append)
    found = SignSearch(s, root_bounds(s)).run(monitor)
    assert found.status == "open"
    assert monitor.elapsed < 25
    assert told
