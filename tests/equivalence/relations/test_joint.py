"""Two networks over one list of functions: exact operators, bounds that hold, facts that must not be taken for more than they are."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.equivalence.relations.joint import Joint
from polyfiber.testing.near_misses import FAMILIES, WEIGHTS, base_network
from polyfiber.testing.rewritings import OPERATORS

IMAGES = {"dead on the image", "linear on the image", "clip"}
"""What holds only on what earlier layers reach."""


def pair(name: str, seed: int) -> tuple[pf.ReLUNetwork, pf.ReLUNetwork] | None:
    rng = np.random.default_rng(seed)
    base = base_network(FAMILIES[int(rng.integers(len(FAMILIES)))], WEIGHTS[int(rng.integers(len(WEIGHTS)))], rng)
    other = OPERATORS[name](base, rng)
    return None if other is None else (base.exact(), other)


@pytest.mark.parametrize("name", sorted(set(OPERATORS) - IMAGES))
def test_every_operator_of_the_orthant_is_proved(name: str) -> None:
    made = 0
    for seed in range(8):
        found = pair(name, seed)
        if found is None:
            continue
        made += 1
        f, g = found
        assert Joint(f, g, tolerance=0).equal
        assert Joint(g, f, tolerance=0).equal
        joint = Joint(f.rounded(), g.rounded(), tolerance=1e-10)
        assert joint.distance < 1e-11
    assert made or name in ("translate", "flip")


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_the_bound_holds_in_rationals(name: str) -> None:
    """Also where nothing is equal: the bound is one of the difference, whatever it is."""
    rng = np.random.default_rng(0)
    for seed in range(3):
        found = pair(name, seed)
        if found is None:
            continue
        f, g = (net.rounded() for net in found)
        other = pf.ReLUNetwork([w * (1 + 1e-6 * rng.standard_normal(w.shape)) for w in g.weights], g.biases)
        for second in (g, other):
            joint = Joint(f, second, tolerance=1e-4)
            for x in rng.standard_normal((4, f.architecture[0])) * 10.0 ** rng.uniform(-2, 5, (4, 1)):
                p = [Fraction(float(v)) for v in x]
                gap = np.abs(f.exact()(p) - second.exact()(p)).astype(float)
                assert (gap <= joint.bound @ np.append(np.abs(x), 1.0) * (1 + 1e-12)).all()


def test_a_hidden_feature_is_told_from_its_other_side() -> None:
    """relu(2 relu(-z) - relu(y) - 1) hides -z, not z."""
    f = pf.ReLUNetwork([[[-1.0, 0.0], [0.0, 1.0]], [[2.0, -1.0]], [[1.0]]], [[0, 0], [-1.0], [0.0]])
    right = pf.ReLUNetwork(
        [[[-1.0, 0.0], [0.0, 1.0]], [[2.0, -1.0]], [[1.0]]], [[-0.25, 0], [-0.5], [0.0]]
    )  # translated by 1/4
    wrong = pf.ReLUNetwork([[[1.0, 0.0], [0.0, 1.0]], [[2.0, -1.0]], [[1.0]]], [[-0.25, 0], [-0.5], [0.0]])
    beyond = pf.ReLUNetwork(
        [[[-1.0, 0.0], [0.0, 1.0]], [[2.0, -1.0]], [[1.0]]], [[-0.75, 0], [0.5], [0.0]]
    )  # past the end
    assert Joint(f, right, tolerance=0).equal
    assert not Joint(f, wrong, tolerance=0).equal
    assert not Joint(f, beyond, tolerance=0).equal


def test_a_sign_is_that_of_the_form_as_it_is() -> None:
    """min(relu(z), c) is nowhere negative, but z - relu(z - c), its form with a bare z, is."""
    f = pf.ReLUNetwork(
        [[[1.0]], [[-1.0], [1.0]], [[-1.0, 0.0]], [[1.0]]], [[0.0], [1.0, 0.0], [1.0], [0.0]]
    )  # relu(1 - relu(1 - relu(x)))
    g = pf.ReLUNetwork([[[1.0], [1.0]], [[1.0, -1.0]]], [[0.0, -1.0], [0.0]])  # relu(x) - relu(x - 1)
    h = pf.ReLUNetwork([[[1.0], [-1.0], [1.0]], [[1.0, -1.0, -1.0]]], [[0.0, 0.0, -1.0], [0.0]])  # x - relu(x - 1)
    assert Joint(f, g, tolerance=0).equal
    assert Joint(g, f, tolerance=0).equal
    assert not Joint(f, h, tolerance=0).equal
    assert Joint(f, g, tolerance=1e-10).distance < 1e-14
    assert Joint(f, h, tolerance=1e-10).distance > 0.1


def test_degenerate_layers() -> None:
    zero = pf.ReLUNetwork([np.zeros((3, 2)), np.zeros((2, 3)), np.zeros((1, 2))], [[0, 1, -1], [0, 2], [1.5]])
    constant = pf.ReLUNetwork([np.zeros((1, 2))], [[1.5]])
    other = pf.ReLUNetwork([np.zeros((1, 2))], [[1.5 + 2**-40]])
    for tolerance in (0.0, 1e-14):
        assert Joint(zero, constant, tolerance=tolerance).distance <= tolerance
        assert Joint(zero, other, tolerance=tolerance).distance > tolerance
    huge = pf.ReLUNetwork([[[1e300], [1e-300]], [[1e-300, 1e300]]], [[0, 0], [0]])
    assert Joint(huge, huge, tolerance=0).equal
