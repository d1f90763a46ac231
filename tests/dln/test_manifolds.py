"""The pymanopt interface, and agreement with pymanopt and geomstats on Bures-Wasserstein."""

from __future__ import annotations

import builtins
import json
import math
from pathlib import Path

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.dln import bures_wasserstein_inner, imbalance, lift, logarithm, product, second_fundamental_form
from polyfiber.errors import MissingDependencyError

GOLDEN = Path(__file__).parent.parent / "golden" / "bures_wasserstein.json"
RNG = np.random.default_rng(31)


def test_agreement_with_geomstats() -> None:
    record = json.loads(GOLDEN.read_text())
    for case in record["cases"]:
        a, b, z, y = (np.array(case[k]) for k in "ABZY")
        assert bures_wasserstein_inner(a, z, y) == pytest.approx(case["inner"], rel=1e-9)
        assert pf.dln.distance(a, b, 2) ** 2 == pytest.approx(2 * case["squared_distance"], rel=1e-9)
        assert np.abs(logarithm(a, b, 2) - np.array(case["log"])).max() < 1e-9


def test_agreement_with_pymanopts_quotient_of_factors() -> None:
    pymanopt = pytest.importorskip("pymanopt")
    space = pymanopt.manifolds.PSDFixedRank(3, 3)
    for _ in range(5):
        x, y = RNG.standard_normal((2, 3, 3))
        assert pf.dln.distance(x @ x.T, y @ y.T, 2) == pytest.approx(math.sqrt(2) * space.dist(x, y), rel=1e-7)
        # the metric: horizontal vectors of Y -> Y Y^T
        v = space.projection(x, RNG.standard_normal((3, 3)))
        z = x @ v.T + v @ x.T
        assert bures_wasserstein_inner(x @ x.T, z, z) == pytest.approx(space.inner_product(x, v, v), rel=1e-8)


def spaces() -> list[object]:
    pytest.importorskip("pymanopt")
    from polyfiber.dln import balanced_manifold, observable_manifold

    return [
        observable_manifold(3, 3, rng=1),
        observable_manifold(2, 2, rng=2),
        observable_manifold(2, math.inf, rng=3),
        balanced_manifold(3, 3, rng=4),
        balanced_manifold(2, 1, rng=5),
    ]


@pytest.mark.parametrize("index", range(5))
def test_contract_of_a_manifold(index: int) -> None:
    M = spaces()[index]
    x = M.random_point()
    u, v = M.random_tangent_vector(x), M.random_tangent_vector(x)
    assert M.norm(x, u) == pytest.approx(1.0)
    assert M.inner_product(x, u, v) == pytest.approx(M.inner_product(x, v, u))
    assert M.norm(x, u + v) ** 2 == pytest.approx(2 + 2 * M.inner_product(x, u, v), abs=1e-9)
    assert np.allclose(M.projection(x, u), u, atol=1e-10)
    assert np.allclose(M.retraction(x, M.zero_vector(x)), x)
    h = 1e-5
    slope = (M.retraction(x, h * u) - M.retraction(x, -h * u)) / (2 * h)
    assert np.abs(slope - u).max() < 1e-5
    y = M.retraction(x, 0.01 * u)
    assert np.allclose(M.projection(y, M.transport(x, y, v)), M.transport(x, y, v), atol=1e-10)
    assert M.typical_dist > 0
    if x.ndim == 3:
        assert float(imbalance(x)) < 1e-12
        assert M.dim == pf.dln.leaf_dimension([x.shape[1]] * (len(x) + 1), x.shape[1])


@pytest.mark.parametrize("index", range(4))
def test_gradient_and_hessian_by_finite_differences(index: int) -> None:
    M = spaces()[index]
    x = M.random_point()
    u, v = M.random_tangent_vector(x), M.random_tangent_vector(x)
    quadratic = RNG.standard_normal((x.size, x.size))
    quadratic = quadratic + quadratic.T

    def f(p: np.ndarray) -> float:
        return 0.5 * float(p.ravel() @ quadratic @ p.ravel())

    egrad = (quadratic @ x.ravel()).reshape(x.shape)
    ehess = (quadratic @ u.ravel()).reshape(x.shape)
    gradient = M.euclidean_to_riemannian_gradient(x, egrad)
    hessian = M.euclidean_to_riemannian_hessian(x, egrad, ehess, u)
    h = 1e-4 * float(np.linalg.svd(x, compute_uv=False).min())
    # second derivatives along second-order curves: the exponential downstairs, the retraction upstairs
    move = M.retraction if x.ndim == 3 else M.exp
    step = {s: f(move(x, s * h * u)) for s in (1, -1)}
    assert M.inner_product(x, gradient, u) == pytest.approx((step[1] - step[-1]) / (2 * h), rel=1e-5, abs=1e-5)
    second = (step[1] + step[-1] - 2 * f(x)) / h**2
    assert M.inner_product(x, hessian, u) == pytest.approx(second, rel=2e-3, abs=2e-3 * abs(f(x)) + 1e-2)
    other = M.euclidean_to_riemannian_hessian(x, egrad, (quadratic @ v.ravel()).reshape(x.shape), v)
    assert M.inner_product(x, hessian, v) == pytest.approx(M.inner_product(x, other, u), rel=1e-7, abs=1e-7)


def test_weingarten_map_is_the_adjoint_of_the_second_fundamental_form() -> None:
    M = spaces()[3]
    x = M.random_point()
    u = M.random_tangent_vector(x)
    normal = RNG.standard_normal(x.shape)
    normal = normal - M.projection(x, normal)
    found = (M.weingarten(x, u, normal) * u).sum()
    assert found == pytest.approx((second_fundamental_form(x, u) * normal).sum(), rel=1e-9)


def test_exp_log_and_means() -> None:
    M = spaces()[0]
    a = np.eye(3)
    b = M.exp(a, 0.3 * M.random_tangent_vector(a))
    assert M.dist(a, b) == pytest.approx(0.3, rel=1e-6)
    assert np.allclose(M.exp(a, M.log(a, b)), b, atol=1e-7)
    assert M.dist(a, M.pair_mean(a, b)) == pytest.approx(0.15, rel=1e-5)


@pytest.mark.parametrize("solver", ["SteepestDescent", "ConjugateGradient", "TrustRegions"])
@pytest.mark.parametrize("index", [0, 3])
def test_pymanopts_optimisers_find_the_minimum(solver: str, index: int) -> None:
    pymanopt = pytest.importorskip("pymanopt")
    M = spaces()[index]
    target = np.array([[2.0, 0.3, 0.0], [0.0, 1.0, -0.4], [0.1, 0.0, 1.5]])
    if index == 0:

        @pymanopt.function.numpy(M)
        def cost(W: np.ndarray) -> float:
            return 0.5 * ((W - target) ** 2).sum()

        @pymanopt.function.numpy(M)
        def egrad(W: np.ndarray) -> np.ndarray:
            return W - target

        @pymanopt.function.numpy(M)
        def ehess(W: np.ndarray, V: np.ndarray) -> np.ndarray:
            return V

        start = np.eye(3)
    else:
        goal = lift(target, 3)

        @pymanopt.function.numpy(M)
        def cost(W: np.ndarray) -> float:
            return 0.5 * ((W - goal) ** 2).sum()

        @pymanopt.function.numpy(M)
        def egrad(W: np.ndarray) -> np.ndarray:
            return W - goal

        @pymanopt.function.numpy(M)
        def ehess(W: np.ndarray, V: np.ndarray) -> np.ndarray:
            return V

        start = pf.dln.retract(goal, 0.1 * M.random_tangent_vector(goal))
    problem = pymanopt.Problem(M, cost, euclidean_gradient=egrad, euclidean_hessian=ehess)
    optimiser = getattr(pymanopt.optimizers, solver)(verbosity=0, min_gradient_norm=1e-7, max_iterations=300)
    found = optimiser.run(problem, initial_point=start).point
    wanted = target if index == 0 else goal
    assert np.abs(found - wanted).max() < 1e-4
    assert np.linalg.det(found if index == 0 else product(found)) > 0


def test_absence_of_pymanopt_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from polyfiber.dln import manifolds

    real = builtins.__import__

    def without(name: str, *args: object, **kwargs: object) -> object:
        if name.startswith("pymanopt"):
            raise ImportError(name)
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    manifolds._observable_class.cache_clear()
    manifolds._balanced_class.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match=r"polyfiber\[manifolds\]"):
        manifolds.observable_manifold(2, 2)
    with pytest.raises(MissingDependencyError, match=r"polyfiber\[manifolds\]"):
        manifolds.balanced_manifold(2, 2)
