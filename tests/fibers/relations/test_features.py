"""Relations of features against their definition: evaluated in rationals, and the rank of the features at points."""

from __future__ import annotations

import time
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import InputError, NumericalError, ShapeError
from polyfiber.numerics import exact


def net_of(rows: np.ndarray, inputs: int | None = None) -> pf.ReLUNetwork:
    """A network whose first layer has these rows ``(w | b)``."""
    W, b = rows[:, :-1], rows[:, -1]
    return pf.ReLUNetwork([W, np.ones((1, len(W)))], [b, np.zeros(1)])


def features(rows: np.ndarray, Y: np.ndarray) -> np.ndarray:
    z = Y @ rows[:, :-1].T + rows[:, -1]
    return np.where(z > 0, z, 0 * z)


def planted(rng: np.random.Generator, n: int, k: int, *, eps: float = 0.0) -> np.ndarray:
    """Rows with five relations of two to six features, the last through walls that are ``eps`` apart."""

    def form() -> np.ndarray:
        return rng.integers(-8, 9, n + 1) / 8.0 + 2.0 ** -rng.integers(4, 12, n + 1)

    rows: list[np.ndarray] = []
    u = form()
    moved = u + np.append(np.zeros(n), 0.5)
    rows += [u, -2 * u, moved, -moved]
    for step in (0.0, eps):
        u, v = form(), form()
        rows += [u, -u, v, -4 * v, u + v, -(u + v) * (1 + step * rng.standard_normal(n + 1))]
    u = form()
    rows += [u, 2 * u]
    u = form()
    rows += [
        u,
        -u,
        np.append(np.zeros(n), 1.5),
        2 * u + np.append(np.zeros(n), 3.0),
        -2 * u - np.append(np.zeros(n), 3.0),
    ]
    while len(rows) < k:
        rows.append(rng.standard_normal(n + 1))
    return np.array(rows)[rng.permutation(k)]


def test_planted_relations_are_found_with_bounds_and_exactly() -> None:
    rng = np.random.default_rng(0)
    rows = planted(rng, 64, 256, eps=1e-12)
    net = net_of(rows)
    pf.feature_relations(net, 1)
    started = time.perf_counter()
    found = pf.feature_relations(net, 1)
    assert time.perf_counter() - started < 0.5  # 30 ms when nothing else runs
    assert found.n_relations == 6
    assert not found.undecided
    assert sorted(map(len, found.supports())) == [1, 2, 4, 4, 6, 6]
    assert 1e-14 < found.joined < 1e-11
    assert found.verify()
    assert pf.feature_relations(net, 1, tolerance=1e-14).n_relations < 6
    exactly = pf.feature_relations(net, 1, exact=True)
    assert exactly.n_relations == 5
    assert exactly.verify()
    Y = rng.standard_normal((50, 64)) * 10.0 ** rng.uniform(-2, 3, (50, 1))
    F = features(rows, Y)
    for r, (c, constant) in enumerate(zip(found.relations, found.constants)):
        rounding = 1e-14 * (np.abs(F) @ np.abs(c) + 10 * np.abs(Y).sum(axis=1) + abs(constant))
        assert (np.abs(F @ c - constant) <= found.bound(r, Y) + rounding).all()
    exact_F = features(exactly.rows, np.array([[Fraction(float(v)) for v in y] for y in Y[:1]], dtype=object))
    assert ((exact_F @ exactly.relations.T - exactly.constants) == 0).all()
    assert ((exact_F[:, list(exactly.basis)] @ exactly.expression.T + exactly.offset) == exact_F).all()


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("domain", ["space", "orthant"])
def test_the_number_of_relations_is_the_corank_of_the_features_at_points(seed: int, domain: str) -> None:
    """Small integer layers with zero rows, repeated rows, constants: the rank at many points, in rationals, has no more relations."""
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(1, 4)), int(rng.integers(1, 9))
    rows = rng.integers(-2, 3, (k, n + 1)) * rng.integers(0, 2, (k, n + 1))
    for _ in range(int(rng.integers(0, 4))):
        rows = np.concatenate([rows, rows[rng.integers(len(rows), size=1)] * int(rng.choice([-2, -1, 1, 3]))])
    Y = rng.integers(-40, 41, (400, n))
    Y = np.abs(Y) if domain == "orthant" else Y
    F = features(rows, Y)
    truth = exact.rank(np.concatenate([np.ones((400, 1), dtype=int), F], axis=1)) - 1
    for as_fractions in (False, True):
        net = net_of(rows.astype(float))
        found = pf.feature_relations(net.exact() if as_fractions else net, 1, domain=domain)
        assert len(found.basis) == truth
        assert found.verify()
        assert not found.undecided
        near = features(rows, Y).astype(float)[:, list(found.basis)] @ found.expression.astype(
            float
        ).T + found.offset.astype(float)
        assert np.abs(near - F).max() <= 1e-9 * (1 + np.abs(F).max())


def test_the_second_look_notices_changes() -> None:
    rows = planted(np.random.default_rng(1), 5, 30)
    found = pf.feature_relations(net_of(rows), 1)
    assert found.verify()
    i = max(found.supports(), key=len)[0]
    wrong = found.matrix.copy()
    wrong[i] *= 1 + 1e-6
    assert not replace(found, matrix=wrong).verify()
    relations = found.relations.copy()
    relations[:, i] *= 1 + 1e-6
    assert not replace(found, relations=relations).verify()
    assert not replace(found, constants=found.constants + 1e-6).verify()
    assert not replace(found, bounds=0 * found.bounds).verify()
    assert not replace(found, basis=found.basis[:-1]).verify()
    assert not replace(found, offset=found.offset + 1e-6).verify()
    head = found.hyperplanes.copy()
    head[found.hyperplane[i]] += 1e-6
    assert not replace(found, hyperplanes=head).verify()


def test_what_has_no_gap_is_said() -> None:
    u, v = np.array([1.0, 2.0, 0.5]), np.array([1.0, -1.0, 0.25])
    near = pf.feature_relations(net_of(np.array([u, u * (1 + np.array([0, 1e-9, 0])), v])), 1)
    assert near.n_relations == 0
    assert "share a hyperplane" in near.undecided[0]
    assert (
        pf.feature_relations(net_of(np.array([u, u * (1 + np.array([0, 1e-9, 0])), v])), 1, exact=True).undecided == ()
    )
    flat = np.array([[1.0, 1.0, 0], [-1.0, -1.0, 0], [1.0, 1.0 + 3e-8, 1], [-1.0, -1.0 - 3e-8, -1]])
    assert "affine parts" in pf.feature_relations(net_of(flat), 1).undecided[0]


def test_limits_are_checked() -> None:
    net = pf.ReLUNetwork.random((2, 3, 3, 1), rng=0)
    for bad in (0, 3, -1, 1.5):
        with pytest.raises((InputError, ShapeError), match="layer"):
            pf.feature_relations(net, bad)  # type: ignore[arg-type]
    for tolerance in (0.0, 2e-3, float("nan")):
        with pytest.raises(InputError, match="tolerance"):
            pf.feature_relations(net, 1, tolerance=tolerance)
    with pytest.raises(InputError, match="domain"):
        pf.feature_relations(net, 1, domain="box")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="ReLUNetwork"):
        pf.feature_relations("x", 1)  # type: ignore[arg-type]


def test_tiny_weights_and_texts_are_refused_in_words() -> None:
    W = np.array([[1.0, 0.0], [-1.0, 0.0]]) * 1e-310
    net = pf.ReLUNetwork([W, np.ones((1, 2))], [np.zeros(2), [0.0]])
    with pytest.raises(NumericalError, match="exact=True"):
        pf.feature_relations(net, 1)
    assert pf.feature_relations(net, 1, exact=True).verify()
    with pytest.raises(InputError, match="tolerance"):
        pf.feature_relations(net, 1, tolerance="x")  # type: ignore[arg-type]
