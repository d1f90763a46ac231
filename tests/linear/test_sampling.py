"""Random weights and moves against the ranks of all partial products."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import InputError, ShapeError
from polyfiber.linear import sampling
from polyfiber.linear.strata import Move
from tests.oracles.linear_geometry import chain


def ranks(layers: list[np.ndarray]) -> tuple[int, ...]:
    """The rank list, by singular values."""
    return tuple(
        int(np.linalg.matrix_rank(chain(layers, k, i), tol=1e-9)) for k in range(1, len(layers) + 1) for i in range(k)
    )


@pytest.mark.parametrize("widths", [(2, 3, 2), (1, 2, 2, 1), (3, 2, 3)], ids=str)
def test_samples_have_the_ranks_and_the_product(widths: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    for stratum in pf.linear.stratify(widths):
        assert ranks(sampling.sample(stratum, rng=rng, spread=0.5)) == stratum.label
        r = stratum.rank
        W = rng.standard_normal((widths[-1], r)) @ rng.standard_normal((r, widths[0]))
        layers = sampling.sample(stratum, product=W, rng=rng, spread=0.5)
        np.testing.assert_allclose(chain(layers, len(layers), 0), W, atol=1e-10)
        assert ranks(layers) == stratum.label


def test_seeds_and_spread() -> None:
    stratum = pf.linear.stratify((2, 3, 2), rank=1)[2]
    one, two, other = (sampling.sample(stratum, rng=seed) for seed in (3, 3, 4))
    assert all((a == b).all() for a, b in zip(one, two))
    assert not all((a == b).all() for a, b in zip(one, other))
    for J in sampling.sample_barcode(stratum, rng=0, spread=0.0).J:
        np.testing.assert_allclose(J.T @ J, np.eye(len(J)), atol=1e-12)


def test_products_of_another_rank_or_shape() -> None:
    stratum = pf.linear.stratify((2, 2, 2), rank=1)[0]
    with pytest.raises(InputError, match="the product has rank 2"):
        sampling.sample(stratum, product=np.eye(2))
    with pytest.raises(ShapeError, match="widths"):
        sampling.sample(stratum, product=np.ones((3, 2)))
    with pytest.raises(InputError, match="needs widths"):
        sampling.sample([1, 1, 1])
    with pytest.raises(InputError, match="spread"):
        sampling.sample(stratum, spread=-1.0)


def test_split_of_a_product() -> None:
    rng = np.random.default_rng(1)
    W = rng.standard_normal((4, 2)) @ rng.standard_normal((2, 3))
    u1, u2, s, v1, v2 = sampling.split_product(W, 2)
    np.testing.assert_allclose((u1 * s) @ v1.T, W, atol=1e-12)
    assert (u2.shape, v2.shape) == ((4, 2), (3, 1))
    np.testing.assert_allclose(W @ v2, 0, atol=1e-12)
    np.testing.assert_allclose(u2.T @ W, 0, atol=1e-12)


@pytest.mark.parametrize("widths", [(2, 2, 2), (1, 2, 1, 2)], ids=str)
def test_chains_of_moves_climb_step_by_step(widths: tuple[int, ...]) -> None:
    labels = [s.label for s in pf.linear.stratify(widths)]
    known = set(labels)
    for low in labels:
        for high in labels:
            if not all(a <= b for a, b in zip(low, high)):
                with pytest.raises(InputError, match="not entrywise at most"):
                    sampling.moves_between(widths, low, high)
                continue
            now = sampling.check_table(widths, low)
            for move in sampling.moves_between(widths, low, high):
                after = move.apply(now)
                assert (after >= now).all()
                assert (after != now).any()
                assert tuple(sampling.rk.labels_of(after).tolist()) in known
                now = after
            assert tuple(sampling.rk.labels_of(now).tolist()) == high


def test_one_move_in_rationals() -> None:
    """The new weights lie on the stratum of the move whatever its size, and come back as it goes to 0."""
    zero, one = Fraction(0), Fraction(1)
    layers = [np.array([[one, zero], [zero, zero]], dtype=object)] * 2
    at = pf.linear.barcode(layers)
    for size in (Fraction(1, 7), Fraction(-3)):
        raised = sampling.apply_move(at, Move(0, 0, 1, 1), size).reconstruct()
        assert all(isinstance(v, Fraction) for W in raised for v in W.ravel())
        assert ranks([W.astype(float) for W in raised]) == (2, 1, 1)
        changed = [(V - W).ravel() for V, W in zip(raised, layers)]
        assert {abs(v) for part in changed for v in part if v} == {abs(size)}
        assert (chain(raised, 2, 0) == chain(layers, 2, 0)).all()
    with pytest.raises(InputError, match="size 0"):
        sampling.apply_move(at, Move(0, 0, 1, 1), 0)
    with pytest.raises(InputError, match="do not both occur"):
        sampling.apply_move(at, Move(0, 0, 1, 2))


def test_raised_weights_are_near_and_keep_the_product() -> None:
    layers = [np.diag([1.0, 0.0]), np.diag([1.0, 0.0])]
    up = sampling.raise_to(layers, [2, 1, 1], size=1e-4)
    assert ranks(up) == (2, 1, 1)
    assert max(float(np.abs(V - W).max()) for V, W in zip(up, layers)) == pytest.approx(1e-4)
    np.testing.assert_allclose(up[1] @ up[0], layers[1] @ layers[0], atol=1e-15)
