"""One-hidden-layer functions by their hyperplanes: the same values, roles as defined, and what is undecided."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from polyfiber.errors import InputError
from polyfiber.fibers.hyperplanes import ROLES, analyse_layer


def random_layer(seed: int, *, exact: bool, domain: str) -> tuple[Any, Any, Any, Any]:
    """Small integers: shared hyperplanes, dead and linear neurons, and cancelling groups are common."""
    rng = np.random.default_rng(seed)
    H = 6
    W, b, C = rng.integers(-2, 3, (H, 2)), rng.integers(-2, 3, H), rng.integers(-2, 3, (2, H))
    if domain == "orthant":  # a group of two that cancels
        W[1], b[1], C[:, 1] = 2 * W[0], 2 * b[0], 0
        C[:, 0] *= 2
        C[:, 1] = -C[:, 0] // 2
    parts = (W, b, C, rng.integers(-2, 3, 2))
    return tuple(p.astype(object) if exact else p.astype(float) for p in parts)  # type: ignore[return-value]


@pytest.mark.parametrize("domain", ["orthant", "space"])
@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_the_representation_is_the_function(seed: int, exact: bool, domain: Any) -> None:
    W, b, C, a = random_layer(seed, exact=exact, domain=domain)
    found = analyse_layer(W, b, C, a, domain=domain)
    rep = found.representation
    rng = np.random.default_rng(seed)
    Y = rng.integers(0 if domain == "orthant" else -12, 13, (40, 2)) / 4
    points = np.array([[Fraction(v) for v in y] for y in Y.tolist()], dtype=object) if exact else Y
    values = np.maximum(points @ W.T + b, 0) @ C.T + a
    np.testing.assert_allclose(rep(points).astype(float), values.astype(float), atol=1e-12)
    A, c = rep.symmetric()
    half = np.abs(points @ rep.normals.T + rep.offsets) @ rep.weights
    np.testing.assert_allclose((half / 2 + points @ A.T + c).astype(float), values.astype(float), atol=1e-12)
    assert (rep.is_exact, rep.distance(rep)) == (exact, 0.0)


@pytest.mark.parametrize("seed", range(6))
def test_roles_are_as_defined_on_the_orthant(seed: int) -> None:
    W, b, C, a = random_layer(seed, exact=True, domain="orthant")
    found = analyse_layer(W, b, C, a)
    assert set(found.roles) <= set(ROLES)
    for i, role in enumerate(found.roles):
        row = [*W[i], b[i]]
        if not any(W[i]):
            assert role == ("linear" if b[i] > 0 else "dead")
        elif max(row) > 0 > min(row):
            assert role in ("nonlinear", "cancelling")
            assert (found.hyperplane[i] >= 0) == (role == "nonlinear")
        else:
            assert role == ("linear" if max(row) > 0 else "dead")
    for group in found.groups:
        rows = np.array([[*W[i], b[i]] for i in group], dtype=float)
        assert np.linalg.matrix_rank(rows) == 1


def test_equal_functions_are_at_distance_zero_and_others_are_not() -> None:
    W, b, C, a = ([[1.0, -2.0], [3.0, 1.0]], [0.5, -1.0], [[1.0, 2.0]], [0.25])
    one = analyse_layer(W, b, C, a, domain="space").representation
    # the second neuron turned around: relu(z) = z + relu(-z)
    turned = analyse_layer([[2.0, -4.0], [-3.0, -1.0], [30.0, 10.0], [-30.0, -10.0]], [1.0, 1.0, -10.0, 10.0],
                           [[0.5, 2.0, 0.2, -0.2]], [0.25], domain="space").representation  # fmt: skip
    assert one.distance(turned) < 1e-12
    moved = analyse_layer(W, [0.5, -1.1], C, a, domain="space").representation
    assert one.distance(moved) > 1e-3
    assert one.distance(analyse_layer(W[:1], b[:1], [[1.0]], a, domain="space").representation) == np.inf


def test_what_lies_within_the_tolerance_is_undecided() -> None:
    close = analyse_layer([[1.0, -1.0], [1.0, -1.0 - 1e-8]], [0.0, 0.0], [[1.0, 1.0]], [0.0])
    assert any("share a hyperplane" in text for text in close.undecided)
    cancel = analyse_layer([[1.0, -1.0], [1.0, -1.0]], [0.0, 0.0], [[1.0, -1.0 + 1e-8]], [0.0])
    assert any("cancel" in text for text in cancel.undecided)
    sign = analyse_layer([[1.0, -1e-17]], [0.0], [[1.0]], [0.0])
    assert any("role of neuron 0" in text for text in sign.undecided)
    assert not close.is_generic
    sure = analyse_layer([[1.0, -1.0]], [0.5], [[1.0]], [0.0])
    assert sure.is_generic
    assert sure.undecided == ()
    with pytest.raises(InputError, match="is unknown"):
        analyse_layer([[1.0]], [0.0], [[1.0]], [0.0], domain="cube")  # type: ignore[arg-type]
