"""Every rewriting computes the same function, in rationals."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from polyfiber.testing import rewritings as module
from polyfiber.testing.near_misses import base_network

BASES = [
    ("bottleneck", "integer"), ("depth 3", "quantised"), ("one layer, wide", "integer"), ("bottleneck", "hiding"),
]  # fmt: skip


@pytest.mark.parametrize("name", module.OPERATORS)
def test_the_function_stays(name: str) -> None:
    used = 0
    for seed in range(300):
        if used == 4:
            break
        rng = np.random.default_rng(seed)
        net = base_network(*BASES[seed % 4], rng)
        other = module.OPERATORS[name](net, rng)
        if other is None:
            continue
        used += other != net
        n0 = net.architecture[0]
        for x in rng.integers(-40, 41, (12, n0)):
            point = np.array([Fraction(int(v), 8) for v in x], dtype=object)
            assert (net(point) == other(point)).all()
    assert used == 4


def test_composed_at_will() -> None:
    rng = np.random.default_rng(3)
    net = base_network("bottleneck", "integer", rng)
    other, names = module.rewritten(net, rng, steps=4)
    assert len(names) == 4
    for x in rng.integers(-40, 41, (10, net.architecture[0])):
        point = np.array([Fraction(int(v), 8) for v in x], dtype=object)
        assert (net(point) == other(point)).all()


def test_ratios_are_not_zero() -> None:
    values = [module.rational(np.random.default_rng(s), signed=True) for s in range(200)]
    assert all(values)
    assert min(values) < 0 < max(values)
    assert all(module.rational(np.random.default_rng(s)) > 0 for s in range(200))
