"""Gradient flows, conservation, completion and its free energy."""

from __future__ import annotations

import math

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.dln import (
    MatrixCompletion,
    diagonal_example,
    free_energy,
    free_energy_minima,
    gradient_flow,
    lift,
    observable_flow,
    zero_energy_matrix,
)
from polyfiber.errors import BudgetExceededError, InputError, NumericalError, ShapeError

RNG = np.random.default_rng(29)
TARGET = RNG.standard_normal((3, 3))


def gradient(W: np.ndarray) -> np.ndarray:
    return W - TARGET


def test_scalar_depth_two_is_the_logistic_equation() -> None:
    # lambda' = -(lambda^2 - T) lambda for both layers: w = T / (1 + (T/w0 - 1) exp(-2 T t))
    t = np.linspace(0, 2, 9)
    for flow in (
        gradient_flow([[[0.5]], [[0.5]]], lambda W: W - 3.0, t, rtol=1e-11, atol=1e-13),
        observable_flow([[0.25]], lambda W: W - 3.0, t, 2, rtol=1e-11, atol=1e-13),
    ):
        assert np.allclose(flow.products[:, 0, 0], 3 / (1 + (12 - 1) * np.exp(-6 * t)), atol=1e-9)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_both_floors_agree_on_the_balanced_manifold(depth: int) -> None:
    W = 0.7 * RNG.standard_normal((3, 3))
    t = np.linspace(0, 2, 5)
    up = gradient_flow(lift(W, depth), gradient, t, rtol=1e-10, atol=1e-12)
    down = observable_flow(W, gradient, t, depth, rtol=1e-10, atol=1e-12)
    assert np.abs(up.products - down.products).max() < 1e-7
    assert up.drift < 1e-7
    assert math.isnan(down.drift)


@pytest.mark.parametrize("widths", [(3, 3, 3, 3), (3, 2, 4, 3), (3, 5, 3)])
def test_invariants_drift_by_the_integrator_alone(widths: tuple[int, ...]) -> None:
    layers = [0.8 * RNG.standard_normal((b, a)) for a, b in zip(widths, widths[1:])]
    t = np.linspace(0, 3, 61)
    loose = gradient_flow(layers, gradient, t, method="RK45", rtol=1e-3, atol=1e-6)
    tight = gradient_flow(layers, gradient, t, rtol=1e-11, atol=1e-13)
    gauss = gradient_flow(layers, gradient, t, method="gauss")
    assert tight.drift < 1e-9 < loose.drift
    assert gauss.drift < 1e-12
    assert np.abs(gauss.products - tight.products).max() < 2e-3
    # energy decreases
    energy = 0.5 * ((tight.products - TARGET) ** 2).sum(axis=(1, 2))
    assert (np.diff(energy) < 1e-9).all()


def test_gauss_method_is_of_order_four_and_halves_long_steps() -> None:
    layers = lift(0.5 * np.eye(3) + 0.2 * RNG.standard_normal((3, 3)), 3)
    exact = gradient_flow(layers, gradient, [0.0, 1.0], rtol=1e-12, atol=1e-14).products[-1]
    errors = []
    for n in (10, 20):
        run = gradient_flow(layers, gradient, np.linspace(0, 1, n + 1), method="gauss")
        errors.append(np.abs(run.products[-1] - exact).max())
    assert math.log2(errors[0] / errors[1]) == pytest.approx(4.0, abs=0.7)
    coarse = gradient_flow(layers, lambda W: 30 * (W - TARGET), [0.0, 1.0], method="gauss")
    assert coarse.steps_halved > 0
    assert coarse.drift < 1e-10


def test_rank_is_kept_and_approaches_to_low_rank_are_reported() -> None:
    E = diagonal_example()
    low = observable_flow(np.outer([1.0, 0.5], [0.3, 1.0]), E.gradient, np.linspace(0, 5, 6), 3)
    s = np.linalg.svd(low.products, compute_uv=False)
    assert (s[:, 1] < 1e-7 * s[:, 0]).all()
    W = 0.3 * np.array([[0.2, 0.4], [0.5, -0.1]])  # determinant < 0, small: attracted to rank one
    flow = gradient_flow(lift(W, 3), E.gradient, np.linspace(0, 60, 50), rank_threshold=0.05)
    assert any(e.falling and e.index == 1 for e in flow.rank_events)
    assert (np.linalg.det(flow.products) < 0).all()
    assert float(E(flow.products[-1])) < 1e-3
    grid = gradient_flow(lift(W, 3), E.gradient, np.linspace(0, 40, 400), method="gauss", rank_threshold=0.05)
    first = [next(f.time for f in r.rank_events if f.falling) for r in (flow, grid)]
    assert first[0] == pytest.approx(first[1], abs=0.11)


def test_bad_flows_are_refused() -> None:
    good = lift(np.eye(2), 2)
    with pytest.raises(InputError, match="increasing"):
        gradient_flow(good, lambda W: W, [0.0, 0.0])
    with pytest.raises(InputError, match="shape"):
        gradient_flow(good, lambda W: W[0], [0.0, 1.0])
    with pytest.raises(InputError, match="method"):
        gradient_flow(good, lambda W: W, [0.0, 1.0], method="magic")
    with pytest.raises(InputError):
        gradient_flow([np.full((2, 2), np.nan)], lambda W: W, [0.0, 1.0])
    with pytest.raises(ShapeError):
        observable_flow(np.eye(2)[None], lambda W: W, [0.0, 1.0], 2)
    with pytest.raises(NumericalError, match="stopped"):
        gradient_flow(good, lambda W: -(W**3), [0.0, 10.0])


# completion ----------------------------------------------------------------------------------------------------------


def test_completion_energy_and_gradient() -> None:
    E = MatrixCompletion.of([[1.0, np.nan, 2.0], [np.nan, -1.0, np.nan]], confinement=0.3)
    W, Z, h = RNG.standard_normal((4, 2, 3)), RNG.standard_normal((2, 3)), 1e-6
    slope = (np.asarray(E(W + h * Z)) - np.asarray(E(W - h * Z))) / (2 * h)
    assert np.allclose((E.gradient(W) * Z).sum(axis=(1, 2)), slope, atol=1e-8)
    assert np.allclose(diagonal_example()(zero_energy_matrix([1.0, -2.0], 3.0)), 0.0)
    for bad in ([[np.inf, 1.0]], [1.0, 2.0], [["a"]]):
        with pytest.raises(InputError):
            MatrixCompletion.of(bad)
    with pytest.raises(InputError):
        MatrixCompletion.of([[1.0]], confinement=-1.0)
    with pytest.raises(ShapeError):
        E(np.eye(2))


@pytest.mark.parametrize("depth", [2, 3, math.inf])
def test_free_energy_of_the_example_has_no_minimiser_but_confined_it_has(depth: float) -> None:
    E = diagonal_example()
    x = 10.0 ** np.arange(1, 6)
    F = np.asarray(free_energy(zero_energy_matrix(x, x), depth, energy=E, beta=1.0))
    assert (np.diff(F) < -0.5).all()
    confined = diagonal_example(confinement=0.2)
    minima = free_energy_minima(confined, depth, beta=2.0, starts=12, rng=1)
    assert minima
    for m in minima:
        value = free_energy(m.W, depth, energy=confined, beta=2.0)
        assert value == pytest.approx(m.value, rel=1e-9)
        for _ in range(20):
            near = m.W + 1e-3 * RNG.standard_normal((2, 2))
            assert free_energy(near, depth, energy=confined, beta=2.0) > m.value - 1e-9
    assert minima == sorted(minima, key=lambda m: m.value)


@pytest.mark.parametrize("depth", [2, 3, 10, math.inf])
def test_confined_minimiser_of_the_example_in_closed_form(depth: float) -> None:
    # sigma_1 = sigma_2 = s: S = const + (1 - 1/N) log s; minimise c s^2 - (1 - 1/N)/beta log s with W_11 = W_22 = 1
    c, r = 0.05, 1 - (0.0 if math.isinf(depth) else 1 / depth)
    for beta in (1.0, 2.0):
        best = free_energy_minima(diagonal_example(confinement=c), depth, beta=beta, starts=8)[0]
        t = best.W[1, 0]
        assert np.allclose(best.W, [[1.0, -t], [t, 1.0]], atol=1e-5)
        assert 1 + t * t == pytest.approx(r / (2 * beta * c), rel=1e-5)
    # above the critical beta a multiple of the identity: (1 + c) s^2 - s - r / (2 beta) = 0
    beta = 20.0
    best = free_energy_minima(diagonal_example(confinement=c), depth, beta=beta, starts=8)[0]
    s = (1 + math.sqrt(1 + 2 * (1 + c) * r / beta)) / (2 * (1 + c))
    assert np.allclose(best.W, s * np.eye(2), atol=1e-4)


def test_entropy_on_the_zero_set_at_depth_two_is_the_nuclear_norm() -> None:
    # N = 2: a_12 = sigma_1 + sigma_2 and sigma_1 + sigma_2 = sqrt(||W||^2 + 2 |det W|): flat on x = y, |x| <= 1
    x = np.linspace(-1, 1, 9)
    S = np.asarray(pf.dln.entropy(zero_energy_matrix(x, x), 2))
    assert np.ptp(S) < 1e-12
    away = np.asarray(pf.dln.entropy(zero_energy_matrix(x, -x), 2))
    assert (away >= S - 1e-12).all()


def test_low_rank_is_kept_by_flows() -> None:
    # N = 2 from rank one: W = a b^T with da = -E' b, db = -E'^T a, integrated here by itself
    from scipy.integrate import solve_ivp

    u, v = np.array([1.0, 1.0, 0.0]) / 2**0.5, np.array([1.0, 0.0, 1.0]) / 2**0.5
    Y = np.array([[3.0, 0.2, 0.0], [0.1, 2.0, 0.3], [0.0, 0.2, 1.0]])
    flow = observable_flow(np.outer(u, v), lambda W: W - Y, [0.0, 5.0], 2)

    def thin(t: float, y: np.ndarray) -> np.ndarray:
        E = np.outer(y[:3], y[3:]) - Y
        return -np.concatenate([E @ y[3:], E.T @ y[:3]])

    y = solve_ivp(thin, (0.0, 5.0), np.concatenate([u, v]), rtol=1e-11, atol=1e-12).y[:, -1]
    assert np.abs(flow.products[-1] - np.outer(y[:3], y[3:])).max() < 1e-7
    assert 0.5 * ((flow.products[-1] - Y) ** 2).sum() == pytest.approx(2.520, abs=5e-4)
    values = np.linalg.svd(flow.products[-1], compute_uv=False)
    assert values[1] < 1e-12 * values[0]


@pytest.mark.parametrize("depth", [2, 3, 5, math.inf])
def test_low_rank_flows_of_any_shape_follow_the_operator(depth: float) -> None:
    rng = np.random.default_rng(8)
    W, Y = 0.3 * rng.standard_normal((4, 2)) @ rng.standard_normal((2, 3)), rng.standard_normal((4, 3))
    h = 1e-5
    products = observable_flow(W, lambda X: X - Y, [0.0, h, 2 * h], depth, rtol=1e-12, atol=1e-14).products
    slope = (-3 * products[0] + 4 * products[1] - products[2]) / (2 * h)
    wanted = -pf.dln.metric(W, depth).apply(W - Y)
    assert np.abs(slope - wanted).max() < 1e-5 * np.abs(wanted).max()
    assert int(pf.dln.singular_frame(products[-1]).rank) == 2
    assert np.array_equal(
        observable_flow(np.zeros((2, 2)), lambda X: X - 1.0, [0.0, 1.0], depth).products[-1], np.zeros((2, 2))
    )


def test_gradients_that_are_not_finite_are_refused() -> None:
    for bad in (np.nan, np.inf):
        with pytest.raises(NumericalError, match="finite"):
            gradient_flow([[[1.0]], [[1.0]]], lambda W, b=bad: np.full_like(W, b), [0.0, 1.0])
        with pytest.raises(NumericalError, match="finite"):
            gradient_flow([[[1.0]], [[1.0]]], lambda W, b=bad: np.full_like(W, b), [0.0, 1.0], method="gauss")
        with pytest.raises(NumericalError, match="finite"):
            observable_flow(np.eye(2), lambda W, b=bad: np.full_like(W, b), [0.0, 1.0], 2)
        with pytest.raises(NumericalError, match="finite"):
            observable_flow(np.diag([1.0, 0.0]), lambda W, b=bad: np.full_like(W, b), [0.0, 1.0], 3)
    with pytest.raises(BudgetExceededError):
        gradient_flow([[[1.0]], [[1.0]]], lambda W: W - 4.0, [0.0, 1.0], budget=pf.Budget(seconds=0))
