"""The queue against a sorted list."""

from __future__ import annotations

import math

import numpy as np

from polyfiber.numerics.search import BestFirst


def test_best_first_is_a_stable_sort() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        nodes: BestFirst[int] = BestFirst()
        reference: list[tuple[float, int]] = []
        for i, bound in enumerate(rng.integers(0, 5, 60).tolist()):
            nodes.push(float(bound), i)
            reference.append((float(bound), i))
            if rng.random() < 0.4:
                best = min(reference, key=lambda pair: (-pair[0], pair[1]))
                reference.remove(best)
                assert nodes.bound == best[0]
                assert nodes.pop() == best
        while len(nodes):
            assert nodes.pop() == reference.pop(reference.index(min(reference, key=lambda pair: (-pair[0], pair[1]))))
        assert not reference


def test_infinite_bounds_and_items_that_have_no_order() -> None:
    nodes: BestFirst[dict[str, int]] = BestFirst()
    assert nodes.bound == -math.inf
    nodes.push(math.inf, {"a": 1})
    nodes.push(math.inf, {"b": 1})
    assert nodes.pop() == (math.inf, {"a": 1})
