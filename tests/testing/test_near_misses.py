"""Changes that change the function: in rationals, at the input that the construction names."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from polyfiber.testing import near_misses as module


@pytest.mark.parametrize("family", module.FAMILIES)
def test_families_have_their_widths(family: str) -> None:
    for seed in range(5):
        n0, *hidden, m = module.base_architecture(family, np.random.default_rng(seed))
        assert 1 <= n0 <= 4
        assert 1 <= m <= 3
        assert len(hidden) == (int(family[-1]) if family[-1].isdigit() else 1 if "layer" in family else 2)
        assert {
            "bottleneck": n0 >= hidden[0],
            "wide": n0 < hidden[0],
            "one input": n0 == 1,
            "one neuron": hidden[0] == 1,
        }.get(family, True)


@pytest.mark.parametrize("weights", module.WEIGHTS)
def test_weights_are_rationals_that_floats_hold(weights: str) -> None:
    for seed, family in enumerate(("bottleneck", "depth 3")):
        net = module.base_network(family, weights, np.random.default_rng(seed))
        assert net.is_exact
        assert all(Fraction(float(v)) == v for w in (*net.weights, *net.biases) for v in w.ravel())
        if weights == "no biases":
            assert not any(v for b in net.biases for v in b)
        if weights == "hiding" and family == "bottleneck":
            assert all(row[0] > 0 >= max(row[1:]) for row in net.weights[1])


@pytest.mark.parametrize("change", [module.pyramid, module.late_slope, module.constant_shift])
@pytest.mark.parametrize("family", ["one layer, narrow", "wide", "depth 4"])
def test_the_difference_shows_where_it_is_said_to(change, family: str) -> None:  # type: ignore[no-untyped-def]
    for seed in range(4):
        rng = np.random.default_rng(seed)
        net = module.base_network(family, "gaussian", rng)
        miss = change(net, rng)
        assert miss.where is not None
        assert (net(miss.where) != miss.network(miss.where)).any()
        if change is module.pyramid:  # nothing changes away from the peak
            far = miss.where + 2
            assert (net(far) == miss.network(far)).all()


def test_what_is_changed_elsewhere() -> None:
    rng = np.random.default_rng(0)
    net = module.base_network("wide", "gaussian", rng)
    one = module.one_parameter(net, rng)
    before, after = ([v for w in (*n.weights, *n.biases) for v in w.ravel()] for n in (net, one.network))
    assert sum(a != b for a, b in zip(before, after)) == 1
    lone = next(n for n in (module.base_network("one layer, wide", "gaussian", np.random.default_rng(s)) for s in range(99))
                if n.architecture[-1] == 1)  # fmt: skip
    assert module.small_output(lone, rng) is None
    kinds = {module.changed(net, np.random.default_rng(s)).kind for s in range(30)}
    assert len(kinds) >= 4
