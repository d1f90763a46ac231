"""Critical points of the square loss: signatures, published theorems, Hessian, sharpness."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.optimize import minimize

import polyfiber as pf
from polyfiber.errors import InputError, ShapeError
from polyfiber.linear import critical_type, flattest, hessian, sharpness, stratify, whitened_target
from polyfiber.linear.critical import _meeting, _turned
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
            found = critical_type(stratum, Y)
            seen.add((found.critical, found.everywhere))
            assert (size < 1e-10) == found.everywhere
    assert {(Verdict.YES, True), (Verdict.NO, False)} <= seen


def gradient_size(layers: Sequence[np.ndarray], Y: np.ndarray) -> float:
    above, below = [np.eye(Y.shape[0])], [np.eye(Y.shape[1])]
    for w, v in zip(reversed(layers), layers, strict=True):
        above.append(above[-1] @ w)
        below.append(v @ below[-1])
    E, n = below[-1] - Y, len(layers)
    return max(float(np.abs(above[n - j].T @ E @ below[j - 1].T).max()) for j in range(1, n + 1))


def test_special_points_of_strata_are_critical_and_of_their_kind() -> None:
    rng = np.random.default_rng(3)
    special = two = 0
    for widths, values in itertools.product([(2, 2, 2, 2), (3, 2, 3, 2)], [(2.0, 0.7), (2.0,), (1.0, 1.0)]):
        k = len(values)
        left, right = (np.linalg.qr(rng.standard_normal((w, w)))[0][:, :k] for w in (widths[-1], widths[0]))
        Y = (left * values) @ right.T
        for stratum in [s for rho in range(k + 1) for s in stratify(widths, rank=rho)]:
            for selection in itertools.combinations(range(k), stratum.rank):
                found = critical_type(stratum, Y, selection=selection, rng=rng)
                if found.critical is Verdict.NO:
                    continue
                special += not found.everywhere
                assert found.point is not None
                assert gradient_size(found.point, Y) < 1e-10
                assert pf.linear.locate(found.point).stratum.label == stratum.label
                assert (found.index > 0) == (found.kind == "strict saddle")
                if len(found.kinds) == 2:  # the other kind too: E sees as little of the flags as can be
                    two += 1
                    W = product(found.point)
                    place = _meeting(stratum, k - stratum.rank, None)
                    assert place is not None
                    mild = _turned(list(found.point), Y, W, stratum, place)
                    assert gradient_size(mild, Y) < 1e-10
                    assert np.linalg.eigvalsh(hessian(mild, Y))[0] > -1e-9
    assert special > 50
    assert two > 10


@pytest.mark.parametrize("widths", [(2, 2, 2, 2), (3, 2, 3)])
def test_strata_without_critical_points_have_none_by_search(widths: tuple[int, ...]) -> None:
    # every turn of the outer layers in the complements of the product: least gradient over them, by a general minimiser
    rng = np.random.default_rng(8)
    Y = rng.standard_normal((widths[-1], widths[0]))
    u, s, vt = np.linalg.svd(Y)
    rho = 1
    W = (u[:, :rho] * s[:rho]) @ vt[:rho]
    sizes = (Y.shape[0] - rho, Y.shape[1] - rho)
    left, right = u[:, rho:], vt[rho:].T
    for stratum in stratify(widths, rank=rho):
        found = critical_type(stratum, Y)
        layers = [np.asarray(w, np.float64) for w in pf.linear.sample(stratum, product=W, rng=rng)]

        def squared(x: np.ndarray, layers: list[np.ndarray] = layers) -> float:
            cut = sizes[0] ** 2
            g, h = np.linalg.qr(x[:cut].reshape(sizes[0], -1))[0], np.linalg.qr(x[cut:].reshape(sizes[1], -1))[0]
            moved = list(layers)
            moved[-1] = (np.eye(Y.shape[0]) + left @ (g - np.eye(sizes[0])) @ left.T) @ moved[-1]
            moved[0] = moved[0] @ (np.eye(Y.shape[1]) + right @ (h - np.eye(sizes[1])) @ right.T)
            return gradient_size(moved, Y)

        starts = [rng.standard_normal(sizes[0] ** 2 + sizes[1] ** 2) for _ in range(4)]
        least = min(minimize(squared, x, method="Nelder-Mead", options={"maxiter": 400}).fun for x in starts)
        assert (least < 1e-3) == (found.critical is Verdict.YES)


@pytest.mark.parametrize("widths", [(2, 2, 2), (3, 2, 3, 2), (2, 2, 3, 2, 2)])
@pytest.mark.parametrize("values", [(2.0, 0.7), (1.5,), (1.0, 1.0)])
def test_the_signature_by_formula_is_that_of_the_hessian(widths: tuple[int, ...], values: tuple[float, ...]) -> None:
    rng = np.random.default_rng(11)
    k = len(values)
    left, right = (np.linalg.qr(rng.standard_normal((w, w)))[0][:, :k] for w in (widths[-1], widths[0]))
    Y = (left * values) @ right.T
    seen = 0
    for stratum in [s for rho in range(k + 1) for s in stratify(widths, rank=rho)]:
        for selection in itertools.combinations(range(k), stratum.rank):
            found = critical_type(stratum, Y, selection=selection, rng=rng)
            if found.point is None:
                continue
            H = hessian(found.point, Y)
            if found.everywhere:
                seen += 1
                eigenvalues = np.linalg.eigvalsh(H)
                size = max(1.0, *(norm([w]) for w in found.point)) ** (len(widths) - 2)
                assert found.index == (eigenvalues < -1e-10 * size).sum()
                assert found.nullity == (np.abs(eigenvalues) < 1e-10 * size).sum()
            assert (found.descent is None) == (found.kind != "strict saddle")
            if found.descent is not None:
                x = flatten(list(found.descent))
                assert x @ x == pytest.approx(1.0)
                assert x @ H @ x < -1e-8
    assert seen > 2


def test_the_type_does_not_depend_on_the_scale_of_the_target() -> None:
    stratum = stratify((2, 2, 2), rank=1)[0]
    for scale in (1.0, 1e8, 1e-10, 1e120):
        for small in (0.5, 1e-4, 1e-8, 1e-13):
            Y = scale * np.diag([1.0, small])
            found = critical_type(stratum, Y)
            assert (found.kind, found.index, found.nullity) == ("strict saddle", 1, 3)
            assert found.loss == pytest.approx(0.5 * (scale * small) ** 2, rel=1e-6)
            assert found.point is not None
            assert found.descent is not None
            assert np.abs(product(found.point) - scale * np.diag([1.0, 0.0])).max() < 1e-14 * scale
            x = flatten(list(found.descent))
            assert x @ hessian(found.point, Y) @ x < -1e-3 * small * scale
    for bad in (np.diag([1e300, 1.0]), np.diag([1e-200, 0.0])):
        with pytest.raises(InputError, match="rescale"):
            critical_type(stratum, bad)


def test_ranks_above_that_of_the_target_carry_no_critical_points() -> None:
    found = critical_type(stratify((2, 2, 2), rank=2)[0], np.diag([2.0, 0.0]))
    assert (found.critical, found.kind, found.kinds) == (Verdict.NO, "none", ())


def _above(layers: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [product([np.eye(layers[j].shape[0]), *layers[j + 1 :]]) for j in range(len(layers))]


def _below(X: np.ndarray, layers: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [product([X, *layers[:j]]) for j in range(len(layers))]


def test_data_is_a_target_after_whitening() -> None:
    rng = np.random.default_rng(5)
    X, Y = rng.standard_normal((3, 20)), rng.standard_normal((2, 20))
    T = whitened_target(X, Y)
    values, vectors = np.linalg.eigh(X @ X.T)
    root = (vectors * np.sqrt(values)) @ vectors.T
    W, V = rng.standard_normal((2, 2, 3))
    rest = [0.5 * ((M @ X - Y) ** 2).sum() - 0.5 * ((M @ root - T) ** 2).sum() for M in (W, V)]
    assert rest[0] == pytest.approx(rest[1])
    # critical points of the data are those of the target, signatures too
    for stratum in stratify((3, 2, 2, 2), rank=1):
        found = critical_type(stratum, T)
        if found.point is None:
            continue
        layers = [found.point[0] @ np.linalg.inv(root), *found.point[1:]]
        E = product(layers) @ X - Y
        gradient = [w.T @ E @ v.T for w, v in zip(_above(layers), _below(X, layers), strict=True)]
        assert max(float(np.abs(g).max()) for g in gradient) < 1e-9
        values = np.linalg.eigvalsh(hessian([X, *layers], Y)[X.size :, X.size :])
        size = np.abs(values).max()
        assert ((values < -1e-9 * size).sum(), (np.abs(values) <= 1e-9 * size).sum()) == (found.index, found.nullity)
    with pytest.raises(ShapeError):
        whitened_target(X, Y[:, :3])


@pytest.mark.parametrize("scale", [1.0, 1e-9])
def test_data_whose_inputs_depend_on_each_other(scale: float) -> None:
    rng = np.random.default_rng(15)
    X, Y = rng.standard_normal((4, 2)) @ rng.standard_normal((2, 7)), rng.standard_normal((2, 7))
    X[0] *= scale
    T = whitened_target(X, Y)
    assert T.shape == (2, 2)
    u, s, _ = np.linalg.svd(X)
    across = u[:, 2:]
    kinds = []
    for stratum in stratify((2, 2, 2)):
        found = critical_type(stratum, T)
        kinds.append(found.kind)
        if found.point is None:
            continue
        # back to the data: the first layer on the column space of X, and anything across it
        first = found.point[0] @ np.diag(1.0 / s[:2]) @ u[:, :2].T + rng.standard_normal((2, 2)) @ across.T
        layers = [first, *found.point[1:]]
        E = product(layers) @ X - Y
        gradient = [w.T @ E @ v.T for w, v in zip(_above(layers), _below(X, layers), strict=True)]
        assert max(float(np.abs(g).max()) for g in gradient) < 1e-9
        # X = U S V^T: curvature along S^{-1} U^T and across, where all of it is zero
        H = hessian([X, *layers], Y)[X.size :, X.size :]
        turn = np.kron(np.eye(2), np.hstack([u[:, :2] / s[:2], across]))
        H[:8] = turn.T @ H[:8]
        H[:, :8] = H[:, :8] @ turn
        values = np.linalg.eigvalsh(H)
        size = np.abs(values).max()
        counted = (values < -1e-9 * size).sum(), (np.abs(values) <= 1e-9 * size).sum()
        assert counted == (found.index, found.nullity + 2 * (4 - 2))
    assert {"strict saddle", "global minimum", "none"} <= set(kinds)


def test_data_that_say_nothing_or_not_clearly_how_much() -> None:
    assert whitened_target(np.ones((2, 5)), np.ones((1, 5))).shape == (1, 1)
    X = np.random.default_rng(0).standard_normal((3, 5))
    X[2] = X[0] + X[1]
    assert whitened_target(X, np.ones((1, 5))).shape == (1, 2)
    X[2] += 1e-13 * X[0][::-1]
    with pytest.raises(InputError, match="not clear"):
        whitened_target(X, np.ones((1, 5)))
    for nothing in (np.zeros((2, 5)), np.zeros((0, 5))):
        with pytest.raises(InputError, match="does not see"):
            whitened_target(nothing, np.ones((1, 5)))


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
            assert other.gap >= other.value - other.least - 1e-9
            assert other.gap <= (other.value - other.least) + 1e-8 * other.value
        assert best.gap < 1e-10 * best.value
    with pytest.raises(InputError, match="rank"):
        flattest(np.eye(3), (3, 2, 3))
    for widths in (3, "3,3", (3, 2.5, 3), (3, True, 3)):
        with pytest.raises(InputError, match="widths"):
            flattest(np.eye(3), widths)  # type: ignore[arg-type]


def test_sharpness_with_data() -> None:
    rng = np.random.default_rng(7)
    for widths in ((2, 2), (3, 2, 3), (2, 3, 2, 2)):
        layers = [rng.standard_normal(s) for s in zip(widths[1:], widths, strict=False)]
        X = rng.standard_normal((widths[0], 5))
        found = sharpness(layers, data=X)
        # the data as a first layer that does not move
        whole = hessian([X, *layers], product(layers) @ X)[X.size :, X.size :]
        assert found.value == pytest.approx(np.linalg.eigvalsh(whole)[-1], rel=1e-10)
        assert found.least <= found.value * (1 + 1e-12)
        assert found.gap >= found.value - found.least - 1e-10 * found.value
        # the bound holds all over the fiber
        for seed in range(10):
            g = np.linalg.qr(np.random.default_rng(seed).standard_normal((widths[1], widths[1])))[0] * (1.0 + seed)
            if len(widths) > 2:
                moved = [g @ layers[0], layers[1] @ np.linalg.inv(g), *layers[2:]]
                assert sharpness(moved, data=X).value >= found.least * (1 - 1e-10)
    with pytest.raises(ShapeError, match="rows"):
        sharpness([np.eye(2)], data=np.eye(3))
    with pytest.raises(InputError, match="NaN"):
        sharpness([np.eye(2)], data=np.full((2, 1), np.nan))
    assert sharpness([1e80 * np.eye(2), np.eye(2)]).gap == np.inf
    zero = sharpness([np.zeros((2, 2)), np.zeros((2, 2))])
    assert (zero.value, zero.least, zero.gap) == (0.0, 0.0, 0.0)


def test_bad_targets_are_refused() -> None:
    stratum = stratify((2, 2, 2), rank=1)[0]
    with pytest.raises(ShapeError):
        critical_type(stratum, np.eye(3))
    with pytest.raises(InputError, match="NaN"):
        critical_type(stratum, np.full((2, 2), np.nan))
    with pytest.raises(InputError, match="selection"):
        critical_type(stratum, np.eye(2), selection=[0, 1])
    with pytest.raises(InputError, match="complex"):
        critical_type(stratum, 1j * np.eye(2))
    with pytest.raises(InputError, match="masked"):
        critical_type(stratum, np.ma.array(np.eye(2), mask=np.eye(2)))  # type: ignore[no-untyped-call]
    with pytest.raises(InputError, match="stratum"):
        critical_type((2, 2, 2), np.eye(2))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="numbers of singular triples"):
        critical_type(stratum, np.eye(2), selection=[0.5])  # type: ignore[list-item]
    assert critical_type(stratum, np.eye(2)).kind == "strict saddle"  # equal singular values


@pytest.mark.parametrize("widths", [(1, 1, 1), (2, 2, 2), (3, 2, 3), (1, 2, 3, 2), (2, 2, 2, 2)])
def test_learning_coefficient_is_half_the_codimension(widths: tuple[int, ...]) -> None:
    for rank in range(min(widths) + 1):
        found = pf.linear.learning_coefficient(widths, rank)
        codims = [s.codim for s in stratify(widths, rank=rank)]
        assert 2 * found.coefficient == min(codims)
        assert found.components == codims.count(min(codims))
    with pytest.raises(InputError):
        pf.linear.learning_coefficient(widths, 99)


def test_bad_input_has_one_clear_answer() -> None:
    stratum = stratify((1, 1, 1), rank=1)[0]
    for target in ([[1], [1, 2]], [[10**400]], [["1"]]):
        with pytest.raises(InputError, match="target"):
            critical_type(stratum, target)
    with pytest.raises(InputError, match="selection"):
        critical_type(stratum, [[2.0]], selection=(0, 0))
    assert type(critical_type(stratum, [[2.0]]).nullity) is int
    with pytest.raises(InputError, match="range of floats"):
        hessian([[[1e200]], [[1e200]]], [[1.0]])
    with pytest.raises(InputError, match="no weights"):
        sharpness([np.zeros((0, 2)), np.zeros((2, 0))])
    with pytest.raises(InputError, match="not clear"):
        whitened_target(np.diag([1e8, 1e-8]), np.eye(2))


@pytest.mark.parametrize("widths", [(3, 2, 2), (3, 3, 3), (4, 2, 3), (2, 1, 1), (3, 5, 2)])
def test_the_flattest_weights_for_data_are_certified(widths: tuple[int, ...]) -> None:
    rng = np.random.default_rng(sum(widths))
    rank = min(widths)
    W = rng.standard_normal((widths[-1], rank)) @ rng.standard_normal((rank, widths[0]))
    X = rng.standard_normal((widths[0], 7)) * np.geomspace(1.0, 30.0, widths[0])[:, None]
    weights = flattest(W, widths, data=X)
    assert [w.shape for w in weights] == list(zip(widths[1:], widths[:-1], strict=True))
    assert np.abs(product(weights) - W).max() < 1e-12 * np.abs(W).max()
    best = sharpness(weights, data=X)
    assert best.gap < 1e-2 * best.value
    assert best.value - best.gap <= best.least * (1 + 1e-12)
    # no other weights are below the bound, whatever their gauge; the Hessian written out agrees
    H = hessian([X, *weights], W @ X)[X.size :, X.size :]
    assert np.linalg.eigvalsh(H)[-1] == pytest.approx(best.value)
    strata = pf.linear.stratify(widths, rank=rank)
    for seed in range(10):
        other = [w + 0.0 for w in pf.linear.sample(strata[-1], product=W, rng=seed, spread=0.3)]
        assert sharpness(other, data=X).value >= best.value - best.gap
        g = np.eye(widths[1]) + 0.05 * rng.standard_normal((widths[1], widths[1]))
        near = [g @ weights[0], weights[1] @ np.linalg.inv(g)]
        assert sharpness(near, data=X).value >= best.value - best.gap


def test_flattest_weights_of_deep_networks_and_of_data_of_low_rank() -> None:
    rng = np.random.default_rng(3)
    W, X = rng.standard_normal((3, 3)), np.diag([20.0, 3.0, 1.0])
    best = sharpness(flattest(W, (3, 3, 4, 3), data=X), data=X)
    assert best.least <= best.value < sharpness(flattest(W, (3, 3, 4, 3)), data=X).value
    flat = flattest(W, (3, 3, 3), data=X[:, :1])
    assert sharpness(flat, data=X[:, :1]).gap < 1e-2 * sharpness(flat, data=X[:, :1]).value
    for nothing in (np.zeros((3, 2)), np.zeros((3, 0))):
        assert sharpness(flattest(W, (3, 3, 3), data=nothing), data=nothing).value == 0.0
    assert sharpness(flattest(np.zeros((3, 3)), (3, 2, 3), data=X), data=X).value == 0.0
    with pytest.raises(ShapeError, match="expected 3 rows"):
        flattest(W, (3, 3, 3), data=np.eye(2))
    with pytest.raises(InputError, match="range of floats"):
        sharpness([1e200 * np.eye(2), 1e-200 * np.eye(2)])
