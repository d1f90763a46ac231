"""Moves that turn one network into the other, number by number."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.verdict import Verdict

from .test_forms import equal_copy


@pytest.mark.parametrize("architecture", [(4, 4, 3, 2), (4, 3, 1, 2), (3, 6, 2), (3, 4, 4, 3, 2)], ids=str)
def test_moves_turn_one_network_into_the_other(architecture: tuple[int, ...]) -> None:
    rng = np.random.default_rng(8)
    found = 0
    for _ in range(20):
        net = pf.ReLUNetwork.random(architecture, rng=rng)
        if len(architecture) == 4 and pf.classify_fiber(net).kind == "constant":
            continue
        other = equal_copy(net, rng)
        answer = pf.are_equivalent(net, other)
        assert answer.verdict is Verdict.YES
        assert answer.verify()
        assert answer.moves is not None
        moved = answer.moves(net)
        for x, y in zip((*moved.weights, *moved.biases), (*other.weights, *other.biases)):
            np.testing.assert_allclose(x, y, atol=1e-7 * max(1.0, np.abs(y).max()))
        found += 1
    assert found >= 15
