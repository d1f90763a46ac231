"""Langevin samplers: kernels against oracles, drifts, moments, stationary laws, weak order, both floors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.stats import ortho_group

import polyfiber as pf
from polyfiber.dln import (
    brownian_motion,
    entropy_gradient,
    expected_squared_radius,
    free_energy_gradient,
    horizontal_lift,
    imbalance,
    lift,
    product,
    sample_langevin,
    sample_langevin_upstairs,
    squared_radius,
)
from polyfiber.dln.space.entropies import brownian_drift, diagonal
from polyfiber.dln.spectral import singular_frame
from polyfiber.errors import InputError, NumericalError, ShapeError
from polyfiber.kernels.jacobi import jacobi_svd

RNG = np.random.default_rng(17)


def svd_of(matrix: np.ndarray, function: object = jacobi_svd) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    d = len(matrix)
    left, values, right = np.empty((d, d)), np.empty(d), np.empty((d, d))
    function(np.ascontiguousarray(matrix, dtype=np.float64), left, values, right)  # type: ignore[operator]
    return left, values, right


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_jacobi_svd(d: int) -> None:
    m = RNG.standard_normal((d, d))
    graded = m @ np.diag(10.0 ** (-5.0 * np.arange(d)))
    for matrix in (m, np.ones((d, d)), np.zeros((d, d)), np.eye(d), 1e-200 * m, 1e200 * m, graded, graded.T):
        left, values, right = svd_of(matrix)
        size = max(np.abs(matrix).max(), 1e-300)
        assert np.abs((left * (values / size)) @ right.T - matrix / size).max() < 1e-14
        assert np.abs(left.T @ left - np.eye(d)).max() < 1e-14
        assert np.abs(right.T @ right - np.eye(d)).max() < 1e-14
        assert np.allclose(np.sort(values / size)[::-1], np.linalg.svd(matrix / size, compute_uv=False), atol=1e-14)


def test_jacobi_svd_as_plain_python() -> None:
    m = RNG.standard_normal((3, 3))
    compiled, plain = svd_of(m), svd_of(m, jacobi_svd.py_func)
    assert all(np.allclose(a, b, atol=1e-13) for a, b in zip(compiled, plain))


def test_steps_as_plain_python() -> None:
    from polyfiber.kernels.linear import langevin as kernels

    W, xi, E = RNG.standard_normal((3, 2, 3, 3))
    for scheme in (0, 1):
        found = []
        for step in (kernels._step, kernels._step.py_func):
            work = kernels.Work(*(np.empty(s) for s in ((3, 3), 3, (3, 3), 3, (3, 3), (3, 3), (3, 3))))
            out = np.empty((3, 3))
            step(W[0], xi[0], E[0], kernels.Equation(3, 1e-2, 0.5, 0.7, True, scheme, 0), work, out)
            found.append(out)
        assert np.allclose(found[0], found[1], atol=1e-13)
    assert np.isfinite(found).all()


def one_step(W: np.ndarray, xi: np.ndarray, depth: int, **options: object) -> np.ndarray:
    run = sample_langevin(W, depth, steps=1, noise=xi[None, None], rule="reject", **options)  # type: ignore[arg-type]
    assert run.crossings.sum() == 0
    return run.final[0]


SPECTRA = [[2.0, 1.0, 0.5], [1.0, 1.0, 1.0], [1.0, 1.0 - 1e-9, 0.3], [1.0, 0.2, 0.05]]


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize("spectrum", SPECTRA, ids=str)
def test_euler_step_is_its_formula(depth: int, spectrum: list[float]) -> None:
    u, v = ortho_group.rvs(3, size=2, random_state=RNG)
    W, xi, E = u @ np.diag(spectrum) @ v.T, RNG.standard_normal((3, 3)), RNG.standard_normal((3, 3))
    dt, beta, kappa = 1e-5, 2.0, 0.7
    found = one_step(
        W,
        xi,
        depth,
        energy_gradient=lambda w: np.broadcast_to(E, w.shape),
        beta=beta,
        kappa=kappa,
        time=dt,
        scheme="euler",
    )
    g, frame = pf.dln.metric(W, depth), singular_frame(W)
    second = frame.out(diagonal(brownian_drift(frame, depth)))
    drift = -g.apply(E) + (entropy_gradient(W, depth) + kappa * second) / beta
    wanted = W + dt * drift + math.sqrt(2 * kappa * dt / beta) * g.root(xi)
    assert np.abs(found - wanted).max() < 1e-13


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize("spectrum", SPECTRA, ids=str)
def test_product_step_is_the_horizontal_line_upstairs(depth: int, spectrum: list[float]) -> None:
    u, v = ortho_group.rvs(3, size=2, random_state=RNG)
    W, xi, E = u @ np.diag(spectrum) @ v.T, RNG.standard_normal((3, 3)), RNG.standard_normal((3, 3))
    dt, beta, kappa = 1e-4, 2.0, 0.7
    found = one_step(
        W, xi, depth, energy_gradient=lambda w: np.broadcast_to(E, w.shape), beta=beta, kappa=kappa, time=dt
    )
    g, up = pf.dln.metric(W, depth), lift(W, depth)
    move = math.sqrt(2 * kappa * dt / beta) * g.root(xi) + dt * (entropy_gradient(W, depth) / beta - g.apply(E))
    assert np.abs(found - product(up + horizontal_lift(up, move))).max() < 1e-13


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_ito_drift_of_the_product_step_is_theorem_18(depth: int) -> None:
    # half the sum of second derivatives over the noise directions equals Sigma'' / beta (here the noise has size one)
    W = RNG.standard_normal((3, 3))
    frame, h = singular_frame(W), 1e-3
    total = np.zeros((3, 3))
    for e in np.eye(9).reshape(9, 3, 3):
        both = [one_step(W, s * h * e, depth, beta=2.0, kappa=1.0, time=1.0, entropic=False) for s in (1, -1)]
        total += 0.5 * (both[0] + both[1] - 2 * W) / h**2
    wanted = frame.out(diagonal(brownian_drift(frame, depth))) / 2.0
    assert np.abs(total - wanted).max() < 1e-5 * (1 + np.abs(wanted).max())


@pytest.mark.parametrize(("d", "depth"), [(2, 2), (3, 2), (2, 3), (2, 5)])
def test_drift_of_brownian_motion_is_the_laplace_beltrami_drift(d: int, depth: int) -> None:
    # div A + A grad log sqrt(det g), by finite differences of the metric itself
    W = RNG.standard_normal((d, d)) + 2 * np.eye(d)
    h = 1e-4
    divergence = np.zeros((d, d))
    slope = np.zeros((d, d))
    for i in range(d):
        for j in range(d):
            e = np.zeros((d, d))
            e[i, j] = 1.0
            for s, w in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
                g = pf.dln.metric(W + s * h * e, depth)
                divergence += w * g.apply(e) / (12 * h)
                slope[i, j] += w * g.log_volume_density / (12 * h)
    frame = singular_frame(W)
    wanted = frame.out(diagonal(brownian_drift(frame, depth)))
    found = divergence + pf.dln.metric(W, depth).apply(slope)
    assert np.abs(found - wanted).max() < 1e-7 * (1 + np.abs(wanted).max())


# laws ----------------------------------------------------------------------------------------------------------------


def test_brownian_motion_has_the_exact_mean_squared_radius() -> None:
    # rho^2 grows at the rate (2/beta) d^2: trace of the metric Hessian of a cone's rho^2 is 2 dim
    W, t = np.diag([2.0, 1.5, 1.2]), 0.02
    run = brownian_motion(W, 3, beta=1.0, time=t, steps=20, paths=8000, rng=1)
    assert run.crossings.sum() == 0
    radii = np.asarray(squared_radius(run.final, 3))
    wanted = float(squared_radius(W, 3)) + 2 * t * 9
    assert abs(radii.mean() - wanted) < 4 * radii.std() / math.sqrt(8000)


@pytest.mark.parametrize("kappa", [0.0, 0.5, 1.0])
def test_langevin_has_the_exact_mean_squared_radius_on_both_floors(kappa: float) -> None:
    W, t, depth = np.diag([2.0, 1.5]), 0.05, 3
    start = float(squared_radius(W, depth))
    wanted = expected_squared_radius(start, depth, 2, beta=1.0, kappa=kappa, time=t)
    down = sample_langevin(W, depth, kappa=kappa, time=t, steps=50, paths=3000, rng=2)
    up = sample_langevin_upstairs(lift(W, depth), kappa=kappa, time=t, steps=50, paths=1000, rng=3)
    assert float(imbalance(up.final).max()) < 1e-10
    for run, matrices in ((down, down.final), (up, product(up.final))):
        radii = np.asarray(squared_radius(matrices, depth))
        assert run.crossings.sum() == 0
        assert abs(radii.mean() - wanted) < 4 * radii.std() / math.sqrt(len(radii)) + 2e-3


def test_quasistatic_limit_downstairs_is_the_gradient_flow_of_free_energy() -> None:
    W, depth, t, beta = np.array([[1.0, 0.3], [-0.2, 0.7]]), 3, 0.5, 2.0

    def right(_: float, y: np.ndarray) -> np.ndarray:
        w = y.reshape(2, 2)
        return -free_energy_gradient(w, depth, energy_gradient=lambda m: m - np.eye(2), beta=beta).ravel()

    exact = solve_ivp(right, (0, t), W.ravel(), rtol=1e-11, atol=1e-13).y[:, -1].reshape(2, 2)
    errors = []
    for steps in (50, 100):
        run = sample_langevin(
            W, depth, energy_gradient=lambda m: m - np.eye(2), beta=beta, kappa=0.0, time=t, steps=steps, paths=3, rng=0
        )
        assert np.ptp(run.final, axis=0).max() == 0.0
        errors.append(np.abs(run.final[0] - exact).max())
    assert errors[0] / errors[1] == pytest.approx(2.0, rel=0.1)
    assert errors[1] < 5e-3


def test_quasistatic_limit_upstairs_is_deterministic_as_the_step_shrinks() -> None:
    W, depth, t = np.array([[1.2, 0.3], [-0.2, 0.9]]), 3, 0.2

    def right(_: float, y: np.ndarray) -> np.ndarray:
        return entropy_gradient(y.reshape(2, 2), depth).ravel()  # grad S: no energy, beta = 1

    exact = solve_ivp(right, (0, t), W.ravel(), rtol=1e-10, atol=1e-12).y[:, -1].reshape(2, 2)
    spreads, biases = [], []
    for steps in (20, 80):
        run = sample_langevin_upstairs(lift(W, depth), kappa=0.0, time=t, steps=steps, paths=300, rng=4)
        observed = product(run.final)
        spreads.append(float(observed.std(axis=0).max()))
        biases.append(float(np.abs(observed.mean(axis=0) - exact).max()))
        # the network itself moves
        assert np.abs(run.final - lift(W, depth)).mean() > 0.05
    # fluctuations of the observable are of order sqrt(dt), its bias of order dt
    assert spreads[0] / spreads[1] == pytest.approx(2.0, rel=0.35)
    assert biases[1] < 4 * spreads[1] / math.sqrt(300) + 0.5 * t / 80
    assert spreads[1] < 0.05


def test_both_floors_have_the_same_law_of_the_observable() -> None:
    W, depth, t, kappa, beta = np.array([[1.5, 0.3], [-0.4, 1.1]]), 2, 0.1, 0.6, 2.0

    def gradient(m: np.ndarray) -> np.ndarray:
        return m - np.array([[1.0, 0.5], [0.0, 2.0]])

    options = {"energy_gradient": gradient, "beta": beta, "kappa": kappa, "time": t}
    down = sample_langevin(W, depth, steps=100, paths=6000, rng=5, **options).final
    up = product(sample_langevin_upstairs(lift(W, depth), steps=50, paths=2500, rng=6, **options).final)
    error = np.sqrt(down.var(axis=0) / len(down) + up.var(axis=0) / len(up))
    assert (np.abs(down.mean(axis=0) - up.mean(axis=0)) < 4 * error + 2e-3).all()
    assert np.allclose(np.cov(down.reshape(-1, 4).T), np.cov(up.reshape(-1, 4).T), atol=0.15 * down.var())


@pytest.mark.parametrize(("depth", "kappa"), [(2, 1.0), (3, 0.5)])
def test_stationary_law_for_d_1(depth: int, kappa: float) -> None:
    # rule "reflect"; density exp(-beta E / kappa) sqrt(g) dx = exp(-x^2 / (2 kappa)) d lambda, x = lambda^N > 0
    run = sample_langevin(
        [[1.0]], depth, energy_gradient=lambda W: W, kappa=kappa, time=10.0, steps=1000, paths=3000, rng=8, record=10
    )
    x = np.abs(run.snapshots[4:, :, 0, 0])

    def weight(s: float) -> float:
        return math.exp(-(s ** (2 * depth)) / (2 * kappa))

    for f in (lambda v: v**2, np.sqrt, lambda v: v < 0.2):
        exact = quad(lambda s, f=f: f(s**depth) * weight(s), 0, np.inf, limit=200)[0] / quad(weight, 0, np.inf)[0]
        means = np.asarray(f(x), dtype=float).mean(axis=0)
        error = means.std() / math.sqrt(len(means))
        assert abs(means.mean() - exact) < 4 * error + 0.01 * exact


@pytest.mark.parametrize(("depth", "kappa"), [(2, 1.0), (3, 1.0), (3, 0.5)])
def test_stationary_law_for_d_2(depth: int, kappa: float) -> None:
    # density exp(-(beta E - S)/kappa) van(lambda^2) d lambda over the half plane of both spectra
    run = sample_langevin(
        np.eye(2), depth, energy_gradient=lambda W: W, kappa=kappa, time=6.0, steps=900, paths=1500, rng=9, record=6
    )
    s = np.linalg.svd(run.snapshots[3:], compute_uv=False)
    nodes, weights = np.polynomial.legendre.leggauss(300)
    lam, w = 1.3 * (nodes + 1), 1.3 * weights
    a, b = np.meshgrid(lam, lam, indexing="ij")
    coefficient = sum(a ** (2 * (depth - p)) * b ** (2 * (p - 1)) for p in range(1, depth + 1))
    density = np.exp(-(a ** (2 * depth) + b ** (2 * depth)) / (2 * kappa)) * coefficient ** (1 / (2 * kappa))
    density = density * np.abs(a * a - b * b) * w[:, None] * w
    x, y = np.maximum(a, b) ** depth, np.minimum(a, b) ** depth
    for f in (lambda u, v: u**2 + v**2, lambda u, v: u * v, lambda u, v: v < 0.1):
        exact = float((f(x, y) * density).sum() / density.sum())
        means = np.asarray(f(s[..., 0], s[..., 1]), dtype=float).mean(axis=0)
        error = means.std() / math.sqrt(len(means))
        # 1.5 per cent: discretisation error at dt = 1/150 (measured about 0.5) and of the indicator's quadrature
        assert abs(means.mean() - exact) < 4 * error + 0.015 * exact


def weak_errors(scheme: str, steps: list[int], reference: int, paths: int) -> np.ndarray:
    """Errors of E f(W_T) against a fine run driven by the same Brownian paths, f = ||W||^2 and W_12."""
    W, depth, t = np.array([[1.6, 0.2], [-0.3, 1.3]]), 3, 0.25
    rng = np.random.default_rng(12)
    fine = rng.standard_normal((reference, paths, 2, 2))

    def observe(n: int) -> np.ndarray:
        noise = fine.reshape(n, reference // n, paths, 2, 2).sum(axis=1) / math.sqrt(reference // n)
        run = sample_langevin(
            W,
            depth,
            energy_gradient=lambda m: m - 2 * np.eye(2),
            beta=8.0,
            time=t,
            steps=n,
            paths=paths,
            noise=noise,
            scheme=scheme,
        )
        assert run.crossings.sum() == 0
        return (run.final**2).sum(axis=(1, 2))

    best = observe(reference)
    return np.array([abs((observe(n) - best).mean()) for n in steps])


@pytest.mark.parametrize("scheme", ["product", "euler"])
def test_weak_order_is_one(scheme: str) -> None:
    errors = weak_errors(scheme, [4, 8, 16], 256, 4000)
    # against a reference with h/64..h/16 the ideal ratios of a first-order method are 2.0 to 2.1
    orders = np.log2(errors[:-1] / errors[1:])
    assert orders == pytest.approx([1.0, 1.0], abs=0.25)


def test_runs_are_reproducible_and_threads_change_nothing() -> None:
    options = {"time": 0.3, "steps": 30, "paths": 200, "rng": 3, "energy_gradient": lambda W: W}
    a = sample_langevin(np.eye(3), 3, **options)
    b = sample_langevin(np.eye(3), 3, parallel=True, **options)
    assert np.array_equal(a.final, b.final)
    assert np.array_equal(a.crossings, b.crossings)
    assert "200 paths" in repr(a)


@pytest.mark.parametrize("rule", ["reflect", "reject", "stop"])
def test_rules_at_the_boundary_keep_the_sign_of_the_determinant(rule: str) -> None:
    run = sample_langevin(np.diag([1.0, -0.05]), 3, time=0.5, steps=100, paths=300, rng=1, rule=rule)
    assert (np.linalg.det(run.final) < 0).all()
    assert run.crossings.sum() > 0
    assert (run.alive.all()) == (rule != "stop")
    if rule == "stop":
        assert run.crossings.max() == 1


def test_upstairs_rejects_steps_it_cannot_make() -> None:
    start = lift(np.diag([1.0, 1e-4]), 3)
    run = sample_langevin_upstairs(start, time=2.0, steps=20, paths=40, rng=1)
    assert run.crossings.sum() > 0
    assert float(imbalance(run.final).max()) < 1e-8
    stopped = sample_langevin_upstairs(start, time=2.0, steps=20, paths=40, rng=1, rule="stop")
    assert not stopped.alive.all()


def test_depth_one_upstairs_is_plain_langevin() -> None:
    run = sample_langevin_upstairs(np.eye(2)[None], kappa=0.0, time=0.1, steps=2, paths=2, rng=0)
    assert np.array_equal(run.final[0, 0], np.eye(2))


@pytest.mark.parametrize(
    ("W", "options", "error"),
    [
        (np.diag([1.0, 0.0]), {}, InputError),
        (np.full((2, 2), np.nan), {}, InputError),
        (np.ones((2, 3)), {}, ShapeError),
        (np.eye(2), {"kappa": -1.0}, InputError),
        (np.eye(2), {"beta": 0.0}, InputError),
        (np.eye(2), {"beta": "x"}, InputError),
        (np.eye(2), {"steps": 0}, InputError),
        (np.eye(2), {"steps": 2.5}, InputError),
        (np.eye(2), {"time": -1.0}, InputError),
        (np.eye(2), {"rule": "bounce"}, InputError),
        (np.eye(2), {"scheme": "heun"}, InputError),
        (np.eye(2), {"record": 3}, InputError),
        (np.eye(2), {"energy_gradient": lambda W: W[0]}, InputError),
        (np.eye(2), {"energy_gradient": lambda W: W * np.nan}, NumericalError),
        (np.eye(2), {"noise": np.zeros((1, 1, 2, 2))}, ShapeError),
        (np.eye(2)[None], {"paths": 3}, ShapeError),
    ],
)
def test_bad_arguments_are_refused(W: np.ndarray, options: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        sample_langevin(W, 2, **{"time": 1.0, "steps": 10, "rng": 0, **options})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="not balanced"):
        sample_langevin_upstairs(np.stack([np.eye(2), 2 * np.eye(2)]), time=1.0, steps=1)
    with pytest.raises(InputError, match="depth"):
        sample_langevin(np.eye(2), 0, time=1.0, steps=1)
