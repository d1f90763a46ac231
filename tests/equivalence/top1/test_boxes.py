"""Winners on boxes: networks at two temperatures, and that no goal excludes a disagreement."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.bounds.goals import same_winner, value
from polyfiber.equivalence.top1.boxes import temperatures
from polyfiber.equivalence.top1.decide import top1_agreement
from polyfiber.verdict import Verdict


def at_temperature(net: pf.ReLUNetwork, factor: float, shift: float = 0.0) -> pf.ReLUNetwork:
    """Logits times a factor, all shifted by the same."""
    return pf.ReLUNetwork(
        [*net.weights[:-1], net.weights[-1] * factor], [*net.biases[:-1], net.biases[-1] * factor + shift]
    )


@pytest.mark.parametrize("architecture", [(2, 8, 6, 3), (5, 16, 16, 3), (8, 20, 20, 4)], ids=str)
@pytest.mark.parametrize("factor", [2.0, 0.3])
def test_a_temperature_changes_no_winner(architecture: tuple[int, ...], factor: float) -> None:
    """Boxes left about 1e-5 of the volume open around the ties, where differences of differences do not vanish."""
    net = pf.ReLUNetwork.random(architecture, rng=1)
    box = pf.Box(-1, 1, dimension=architecture[0])
    found = top1_agreement(net, at_temperature(net, factor, 0.5), box, method="bound", budget=pf.Budget(seconds=20))
    assert found.verdict is Verdict.YES
    assert found.proved == 1.0
    assert found.certificate["boxes"] < 10


def test_goals_exclude_no_disagreement() -> None:
    """At inputs where winners differ by more than delta every goal is violated, whatever the factors."""
    rng = np.random.default_rng(0)
    seen = 0
    for k in range(400):
        m = int(rng.integers(2, 5))
        f, g = rng.standard_normal((2, m))
        delta = float(rng.choice([0.0, 1e-9, 0.1]))
        i, j = int(f.argmax()), int(g.argmax())
        leads = [np.sort(v)[-1] - np.sort(v)[-2] for v in (f, g)]
        if i != j and min(leads) > delta * (1 + 1e-9) + 1e-12:
            seen += 1
            groups = same_winner(m, delta, 10.0 ** rng.uniform(-5, 5, (m, m)))
            assert value(groups, f, f - g) > -1e-12 * (1 + k), (f, g)
            assert value(same_winner(m, delta), f, f - g) > 0
    assert seen > 60


def test_temperatures_are_positive_and_one_where_nothing_is_seen() -> None:
    a = pf.ReLUNetwork.random((2, 6, 3), rng=0)
    ends = (-np.ones(2), np.ones(2))
    assert (temperatures(a, at_temperature(a, -1.0), ends) == 1.0).all()
    assert (temperatures(a, at_temperature(a, 0.0), ends) == 1.0).all()
    off = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(temperatures(a, at_temperature(a, 8.0, 3.0), ends)[off], 0.125)
