"""Critical points of the square loss: signatures, published theorems, Hessian, sharpness."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import InputError, ShapeError
from polyfiber.linear import critical_type, flattest, hessian, sharpness, stratify, whitened_target
from polyfiber.linear.weights import flatten, norm, product, unflatten, widths_of
from polyfiber.verdict import Verdict

Y3 = np.diag([3.0, 2.0, 1.0])


@pytest.mark.parametrize(
    ("widths", "label", "signature"),
    [
        ((3, 2, 2, 3), (1, 1, 1, 1, 1, 1), (0, 5)),
        ((3, 2, 2, 3), (1, 1, 2, 1, 1, 1), (2, 7)),
        ((3, 2, 2, 3), (2, 1, 1, 1, 1, 1), (1, 6)),
        ((3, 2, 2, 3), (1, 1, 1, 1, 1, 2), (1, 6)),
        ((3, 3, 3), (1, 1, 1), (4, 9)),
    ],
)
def test_signatures_known_from_another_program(
    widths: tuple[int, ...], label: tuple[int, ...], signature: tuple[int, int]
) -> None:
    stratum = next(s for s in stratify(widths, rank=1) if s.label == label)
    for seed in range(3):
        found = critical_type(stratum, Y3, rng=seed)
        assert found.critical is Verdict.YES
        assert found.point is not None
        size = sum(w.size for w in found.point)
        assert (found.index, size - found.index - found.nullity) == signature


def test_hessian_by_differences() -> None:
    rng = np.random.default_rng(0)
    layers = [rng.standard_normal(s) for s in ((3, 2), (2, 3), (4, 2))]
    Y = rng.standard_normal((4, 2))
    d, x0 = widths_of(layers), flatten(layers)

    def gradient(x: np.ndarray) -> np.ndarray:
        ws = unflatten(x, d)
        E = product(ws) - Y
        return flatten([ws[1].T @ ws[2].T @ E, ws[2].T @ E @ ws[0].T, E @ (ws[1] @ ws[0]).T])

    h = 1e-5
    wanted = np.stack([(gradient(x0 + h * e) - gradient(x0 - h * e)) / (2 * h) for e in np.eye(x0.size)])
    assert np.abs(hessian(layers, Y) - wanted).max() < 1e-8 * np.abs(wanted).max()


@pytest.mark.parametrize("widths", [(2, 2, 2), (3, 2, 3), (2, 2, 2, 2), (3, 1, 3), (2, 1, 2, 2), (2, 2, 2, 2, 2)])
def test_published_theorems_on_all_strata(widths: tuple[int, ...]) -> None:
    # strict saddles have a negative eigenvalue, the others none; the gradient vanishes; every local minimum is global
    rng = np.random.default_rng(sum(widths))
    Y = rng.standard_normal((widths[-1], widths[0]))
    seen = set()
    for rho in range(min(widths) + 1):
        for stratum in stratify(widths, rank=rho):
            for selection in itertools.combinations(range(min(Y.shape)), rho):
                found = critical_type(stratum, Y, selection=selection, rng=rng)
                if found.critical is not Verdict.YES:
                    continue
                seen.add(found.kind)
                assert found.point is not None
                assert (found.index > 0) == (found.kind == "strict saddle")
                E = product(found.point) - Y
                assert 0.5 * float((E**2).sum()) == pytest.approx(found.loss, abs=1e-9)
                if found.descent is not None:
                    assert norm(found.descent) == pytest.approx(1.0)
                    moved = [w + 1e-3 * v for w, v in zip(found.point, found.descent, strict=True)]
                    back = [w - 1e-3 * v for w, v in zip(found.point, found.descent, strict=True)]
                    losses = [0.5 * float(((product(w) - Y) ** 2).sum()) for w in (moved, back)]
                    assert sum(losses) < 2 * found.loss + 1e-12
    assert "global minimum" in seen


@pytest.mark.parametrize("widths", [(3, 3, 3), (2, 2, 2, 2), (3, 1, 2)])
def test_a_stratum_is_critical_where_the_gradient_vanishes(widths: tuple[int, ...]) -> None:
    rng = np.random.default_rng(9)
    Y = rng.standard_normal((widths[-1], widths[0]))
    u, s, vt = np.linalg.svd(Y)
    seen = set()
    for rho in range(min(widths) + 1):
        W = (u[:, :rho] * s[:rho]) @ vt[:rho]
        for stratum in stratify(widths, rank=rho):
            layers = [np.asarray(w, np.float64) for w in pf.linear.sample(stratum, product=W, rng=rng)]
            above, below = [np.eye(widths[-1])], [np.eye(widths[0])]
            for w, v in zip(reversed(layers), layers, strict=True):
                above.append(above[-1] @ w)
                below.append(v @ below[-1])
            size = max(
                float(np.abs(above[len(layers) - j].T @ (W - Y) @ below[j - 1].T).max())
                for j in range(1, len(layers) + 1)
            )
            verdict = critical_type(stratum, Y).critical
            seen.add(verdict)
            assert (size < 1e-10) == (verdict is Verdict.YES)
    assert {Verdict.YES, Verdict.NO} <= seen


def test_data_is_a_target_after_whitening() -> None:
    rng = np.random.default_rng(5)
    X, Y = rng.standard_normal((3, 20)), rng.standard_normal((2, 20))
    T = whitened_target(X, Y)
    values, vectors = np.linalg.eigh(X @ X.T)
    root = (vectors * np.sqrt(values)) @ vectors.T
    W, V = rng.standard_normal((2, 2, 3))
    rest = [0.5 * ((M @ X - Y) ** 2).sum() - 0.5 * ((M @ root - T) ** 2).sum() for M in (W, V)]
    assert rest[0] == pytest.approx(rest[1])
    with pytest.raises(InputError, match="row rank"):
        whitened_target(np.ones((2, 5)), np.ones((1, 5)))
    with pytest.raises(ShapeError):
        whitened_target(X, Y[:, :3])


def test_sharpness_is_least_at_balanced_weights() -> None:
    rng = np.random.default_rng(6)
    for widths in ((2, 2, 2), (3, 2, 2, 3), (2, 4, 3, 2)):
        rank = min(widths)
        W = rng.standard_normal((widths[-1], rank)) @ rng.standard_normal((rank, widths[0]))
        best = sharpness(flattest(W, widths))
        assert best.value == pytest.approx(best.least, rel=1e-10)
        for seed in range(5):
            stratum = pf.linear.stratify(widths, rank=rank)[-1]
            other = sharpness(pf.linear.sample(stratum, product=W, rng=seed))
            assert other.value >= other.least * (1 - 1e-9)
            assert other.least == pytest.approx(best.least, rel=1e-8)
    with pytest.raises(InputError, match="rank"):
        flattest(np.eye(3), (3, 2, 3))
    for widths in (3, "3,3", (3, 2.5, 3), (3, True, 3)):
        with pytest.raises(InputError, match="widths"):
            flattest(np.eye(3), widths)  # type: ignore[arg-type]


def test_bad_targets_are_refused() -> None:
    stratum = stratify((2, 2, 2), rank=1)[0]
    with pytest.raises(ShapeError):
        critical_type(stratum, np.eye(3))
    with pytest.raises(InputError, match="NaN"):
        critical_type(stratum, np.full((2, 2), np.nan))
    with pytest.raises(InputError, match="selection"):
        critical_type(stratum, np.eye(2), selection=[0, 1])
    assert critical_type(stratum, np.eye(2)).kind == "unknown"  # equal singular values: the theorem does not apply


@pytest.mark.parametrize("widths", [(1, 1, 1), (2, 2, 2), (3, 2, 3), (1, 2, 3, 2), (2, 2, 2, 2)])
def test_learning_coefficient_is_half_the_codimension(widths: tuple[int, ...]) -> None:
    for rank in range(min(widths) + 1):
        found = pf.linear.learning_coefficient(widths, rank)
        codims = [s.codim for s in stratify(widths, rank=rank)]
        assert 2 * found.coefficient == min(codims)
        assert found.components == codims.count(min(codims))
    with pytest.raises(InputError):
        pf.linear.learning_coefficient(widths, 99)
