"""Geodesics: Hamilton's equations, closed forms, the boundary value problem, invariances, means."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.linalg import expm, sqrtm
from scipy.stats import ortho_group

import polyfiber as pf
from polyfiber.dln import (
    BoundaryError,
    chord_defects,
    chord_is_balanced,
    cone_law,
    conserved,
    explicit_path,
    exponential,
    frechet_mean,
    from_svd_coordinates,
    hamiltonian,
    horizontal_defect,
    horizontal_lift,
    imbalance,
    interpolate_networks,
    invariants,
    lift,
    line_is_balanced,
    logarithm,
    product,
    push,
    second_fundamental_form,
    shortest_chord,
    squared_radius,
)
from polyfiber.dln.geodesics.hamilton import integrate, vector_field
from polyfiber.errors import BudgetExceededError, InputError, ShapeError

RNG = np.random.default_rng(23)
START = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    """Each test draws the same numbers, whatever ran before it in this process."""
    RNG.bit_generator.state = START


def same_component(d: int, rng: np.random.Generator = RNG) -> tuple[np.ndarray, np.ndarray]:
    a, b = rng.standard_normal((2, d, d))
    if np.linalg.det(a) * np.linalg.det(b) < 0:
        b[0] *= -1
    return a, b


def positive(d: int, rng: np.random.Generator = RNG) -> np.ndarray:
    m = rng.standard_normal((d, d))
    return m @ m.T / d + 0.2 * np.eye(d)


def rotation(a: float) -> np.ndarray:
    return np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])


# Hamilton's equations ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 3, 5, math.inf])
@pytest.mark.parametrize(
    "values", [[2.0, 1.0, 0.3], [1.0, 1.0, 1.0], [1.0, 1.0 - 1e-9, 0.1], [1.0, 0.1, 1e-3]], ids=str
)
def test_hamiltons_equations_by_finite_differences(depth: float, values: list[float]) -> None:
    u, v = ortho_group.rvs(3, size=2, random_state=RNG)
    X, P = u @ np.diag(values) @ v.T, RNG.standard_normal((3, 3))
    dx, dp = vector_field(X, P, depth)
    H0 = hamiltonian(X, P, depth)
    for _ in range(3):
        Z = RNG.standard_normal((3, 3))
        Z /= np.linalg.norm(Z)
        h = 0.05 * values[-1]

        def along_x(t: float, Z: np.ndarray = Z) -> float:
            return float(hamiltonian(X + t * Z, P, depth))

        slope = (
            3 / 2 * (along_x(h) - along_x(-h)) / 2
            - 3 / 5 * (along_x(2 * h) - along_x(-2 * h)) / 4
            + 1 / 10 * (along_x(3 * h) - along_x(-3 * h)) / 6
        ) / h
        assert -(dp * Z).sum() == pytest.approx(slope, abs=1e-8 * (1 + H0 / values[-1]))
        assert (dx * Z).sum() == pytest.approx(
            (hamiltonian(X, P + Z, depth) - hamiltonian(X, P - Z, depth)) / 2, rel=1e-9
        )


@pytest.mark.parametrize("depth", [2, 3, 6, math.inf])
def test_acceleration_is_the_second_derivative(depth: float) -> None:
    W, V = RNG.standard_normal((2, 3, 3))
    V /= np.linalg.norm(V)
    found = pf.dln.metric(W, depth).acceleration(V)
    h = 1e-2 * np.linalg.svd(W, compute_uv=False)[-1]
    step = {
        s: exponential(W, math.copysign(1, s) * V, depth, t=abs(s) * h, tolerance=1e-14) for s in (1, -1, 2, -2, 3, -3)
    }
    # sixth-order second difference
    near, middle, far = (step[k] + step[-k] - 2 * W for k in (1, 2, 3))
    second = (1.5 * near - 0.15 * middle + far / 90.0) / h**2
    assert np.abs(second - found).max() < 1e-7 * (1 + np.abs(found).max())


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_acceleration_agrees_with_the_space_upstairs(depth: int) -> None:
    # geodesics upstairs bend by the second fundamental form; project their second derivative
    W, V = RNG.standard_normal((2, 3, 3))
    up = lift(W, depth)
    vel = horizontal_lift(up, V)
    bend = second_fundamental_form(up, vel)
    total = push(up, bend)
    for p in range(depth):
        for q in range(p):
            factors = [up[s] for s in range(depth)]
            factors[p], factors[q] = vel[p], vel[q]
            total = total + 2 * product(factors)
    assert np.abs(total - pf.dln.metric(W, depth).acceleration(V)).max() < 1e-8 * (1 + np.abs(total).max())


@pytest.mark.parametrize("depth", [2, 3, 7])
def test_first_integrals_and_the_cone_law(depth: int) -> None:
    X, P = RNG.standard_normal((2, 3, 3))
    P *= 0.3 / math.sqrt(2 * hamiltonian(X, P, depth))
    path = integrate(X, P, depth, np.linspace(0, 1, 5))
    first = conserved(X, P, depth)
    for t, x, p in zip(path.times, path.X, path.P):
        now = conserved(x, p, depth)
        assert now.energy == pytest.approx(first.energy, rel=1e-9)
        assert np.abs(now.left - first.left).max() < 1e-10
        assert np.abs(now.right - first.right).max() < 1e-10
        assert now.radial == pytest.approx(first.radial + 2 * first.energy * t / depth, abs=1e-9)
        assert squared_radius(x, depth) == pytest.approx(cone_law(X, P, depth, t), rel=1e-10)


def test_horizontal_lift_of_a_geodesic_is_horizontal_balanced_and_of_equal_length() -> None:
    a, b = same_component(3)
    g = pf.dln.geodesic(a, b, 3)
    t = np.linspace(0, 1, 201)
    path = g.lift(t)
    assert np.abs(product(path) - g(t)).max() < 1e-7
    assert float(imbalance(path).max()) < 1e-8
    length = np.linalg.norm(np.diff(path, axis=0).reshape(200, -1), axis=1).sum()
    assert length == pytest.approx(g.length, rel=1e-4)
    velocity = (path[101] - path[99]) / (t[101] - t[99])
    assert horizontal_defect(path[100], velocity) < 1e-3


def test_batches_of_exponentials() -> None:
    W = np.stack([np.eye(2), np.diag([2.0, 1.0]), rotation(0.3)])
    V = 0.2 * RNG.standard_normal((3, 2, 2))
    together = exponential(W, V, 3, t=[0.0, 0.5, 1.0])
    assert together.shape == (3, 3, 2, 2)
    for i in range(3):
        assert np.allclose(together[:, i], exponential(W[i], V[i], 3, t=[0.0, 0.5, 1.0]), atol=1e-9)
    assert np.allclose(together[0], W)


def test_geodesics_can_leave_the_invertible_matrices() -> None:
    # E1 with lambda -> 0: the space is not complete
    with pytest.raises(BoundaryError, match="singular"):
        exponential(np.diag([1.0, 1.0]), np.diag([0.0, -2.1]), 2)
    with pytest.raises(InputError, match="rank 1"):
        exponential(np.diag([1.0, 0.0]), np.eye(2), 2)
    with pytest.raises(InputError, match="zero matrix"):
        exponential(np.zeros((2, 2)), np.zeros((2, 2)), 2)


# straight lines ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 4])
def test_invariants_on_a_chord_are_the_skew_defects_of_lemma_2_2(n: int) -> None:
    d = 3
    q0, q1 = (ortho_group.rvs(d, size=n + 1, random_state=RNG) for _ in range(2))
    a = np.stack(from_svd_coordinates(list(q0), [1.5, 1.0, 0.4]))
    b = np.stack(from_svd_coordinates(list(q1), [2.0, 0.7, 0.1]))
    K = chord_defects(a, b)
    t = 0.3
    # Lemma 2.2 with the singular frames of the first network (its columns are unique up to common signs)
    for p, G in enumerate(invariants((1 - t) * a + t * b)):
        spectrum = np.linalg.eigvalsh(-t * (1 - t) * (K[p] + K[p].T))
        assert np.allclose(np.linalg.eigvalsh(G), spectrum, atol=1e-12)
    assert not chord_is_balanced(a, b)
    # R_p = R for all p: balanced
    r = ortho_group.rvs(d, random_state=RNG)
    c = np.stack(from_svd_coordinates([q @ r for q in q0], [2.0, 0.7, 0.1]))
    assert chord_is_balanced(a, c)
    assert float(imbalance(0.4 * a + 0.6 * c)) < 1e-13


def test_which_horizontal_lines_are_straight() -> None:
    for n, normal_enough in [(2, True), (3, False)]:
        up = lift(np.diag([2.0, 1.0]), n)
        g = pf.dln.metric(np.diag([2.0, 1.0]), n)
        skew = np.array([[0.3, -0.4], [0.4, 0.3]])  # normal, does not commute with Sigma
        assert line_is_balanced(up, horizontal_lift(up, g.apply(skew))) is normal_enough
        assert line_is_balanced(up, horizontal_lift(up, g.apply(np.diag([0.3, -0.1]))))
        assert not line_is_balanced(up, horizontal_lift(up, g.apply(np.array([[0.0, 1.0], [0.0, 0.0]]))))
    assert line_is_balanced(lift(np.eye(2), 1), np.ones((1, 2, 2)))


def test_the_printed_condition_for_explicit_geodesics_fails_at_depth_three() -> None:
    # both positive definite, so related by one orthogonal matrix; the constant-gauge curve is longer than the geodesic
    A, B = np.diag([2.0, 0.5]), rotation(0.7) @ np.diag([1.5, 0.3]) @ rotation(-0.7)
    g = pf.dln.geodesic(A, B, 3, tolerance=1e-11)
    assert g.length == pytest.approx(0.76754825, abs=1e-8)
    wa, ua = np.linalg.eigh(A)
    wb, ub = np.linalg.eigh(B)
    ra, rb = (ua * np.cbrt(wa)) @ ua.T, (ub * np.cbrt(wb)) @ ub.T
    t = np.linspace(0, 1, 4001)
    m = (1 - t)[:, None, None] * ra + t[:, None, None] * rb
    curve = m @ m @ m
    mid = 0.5 * (curve[1:] + curve[:-1])
    length = float(np.asarray(pf.dln.metric(mid, 3).norm(np.diff(curve, axis=0))).sum())
    assert length == pytest.approx(0.76980161, abs=1e-6)
    assert length > g.length + 2e-3
    assert shortest_chord(A, B, 3).length == pytest.approx(0.76726617, abs=1e-7)


# closed forms --------------------------------------------------------------------------------------------------------


def check_closed_form(a: np.ndarray, b: np.ndarray, depth: float, name: str) -> None:
    closed = explicit_path(a, b, depth)
    assert closed is not None
    assert name in closed.name
    assert np.abs(closed.at(0.0) - a).max() < 1e-11
    assert np.abs(closed.at(1.0) - b).max() < 1e-11
    # Hamilton's equations: integrate from the initial velocity
    t = np.linspace(0, 1, 5)
    path = exponential(a, closed.velocity, depth, t=t, tolerance=1e-13)
    assert np.abs(path - np.stack([closed.at(s) for s in t])).max() < 1e-9
    assert pf.dln.metric(a, depth).norm(closed.velocity) == pytest.approx(closed.length, rel=1e-10)
    # length upstairs: the horizontal lift is a straight line
    if not math.isinf(depth):
        up = lift(a, int(depth))
        velocity = horizontal_lift(up, closed.velocity)
        assert line_is_balanced(up, velocity, tolerance=1e-8)
        end = up + velocity
        assert np.abs(product(end) - b).max() < 1e-10
        assert np.linalg.norm(end - up) == pytest.approx(closed.length, abs=1e-10)
    # the boundary value solver reproduces it
    solved = pf.dln.geodesic(a, b, depth, explicit=False, tolerance=1e-11)
    assert solved.method in ("shooting", "continuation") or depth == 1
    assert solved.length == pytest.approx(closed.length, abs=1e-10)
    assert np.abs(solved(0.37) - closed.at(0.37)).max() < 1e-8


@pytest.mark.parametrize("depth", [1, 2, 3, 5, math.inf])
@pytest.mark.parametrize("d", [1, 2, 4])
def test_aligned_closed_form(d: int, depth: float) -> None:
    u = ortho_group.rvs(d, random_state=RNG) if d > 1 else np.ones((1, 1))
    v = ortho_group.rvs(d, random_state=RNG) if d > 1 else -np.ones((1, 1))
    s0, s1 = np.sort(RNG.uniform(0.3, 2.0, (2, d)), axis=1)
    check_closed_form(u @ np.diag(s0) @ v.T, u @ np.diag(s1) @ v.T, depth, "Euclidean" if depth == 1 else "common")


def test_aligned_closed_form_with_repeated_values() -> None:
    u, v = ortho_group.rvs(3, size=2, random_state=RNG)
    check_closed_form(u @ v.T, u @ np.diag([2.0, 2.0, 0.5]) @ v.T, 3, "common")
    check_closed_form(u @ np.diag([2.0, 2.0, 0.5]) @ v.T, 1.7 * u @ v.T, 4, "common")


@pytest.mark.parametrize("d", [2, 3, 5])
def test_bures_wasserstein_closed_form(d: int) -> None:
    a, b = positive(d), positive(d)
    turn = ortho_group.rvs(d, random_state=RNG)
    check_closed_form(turn @ a, turn @ b, 2, "depth two")
    root = np.real(sqrtm(a))
    squared = 2 * (np.trace(a) + np.trace(b) - 2 * np.trace(np.real(sqrtm(root @ b @ root))))
    g = pf.dln.geodesic(a, b, 2)
    assert g.length**2 == pytest.approx(squared, rel=1e-10)
    assert g.shortest
    assert g.chord == pytest.approx(g.length, rel=1e-10)


def test_depth_two_closed_form_beyond_positive_matrices() -> None:
    u, v = ortho_group.rvs(2, size=2, random_state=RNG)
    z = 0.4 * rotation(1.1)
    a = u @ np.diag([1.5, 0.6]) @ v.T
    b = u @ (np.eye(2) + z) @ np.diag([1.5, 0.6]) @ (np.eye(2) + z) @ v.T
    check_closed_form(a, b, 2, "depth two")


@pytest.mark.parametrize("depth", [2, 3, 6, math.inf])
def test_conformal_closed_form(depth: float) -> None:
    u, v = ortho_group.rvs(2, size=2, random_state=RNG)
    phi = 1.3
    a, b = 2.0 * u @ v.T, 2.0 * u @ rotation(phi) @ v.T
    if depth == 2:
        check_closed_form(a, b, depth, "depth two")
    else:
        check_closed_form(a, b, depth, "orthogonal")
    if not math.isinf(depth):
        wanted = 4 * depth * 2.0 ** (2 / depth) * (1 - math.cos(phi / depth))
        assert pf.dln.distance(a, b, depth) ** 2 == pytest.approx(wanted, rel=1e-10)
    if depth == 3:
        check_closed_form(
            np.eye(3), 1.3 * expm(np.array([[0.1, 0.7, 0], [-0.7, 0.1, 0], [0, 0, -0.4]])), 3, "orthogonal"
        )


def test_a_closed_form_that_is_not_shortest_loses() -> None:
    # swap of the singular values: rotating is shorter than passing straight through (spec C3, E1)
    a, b = np.diag([1.0, 1e-3]), np.diag([1e-3, 1.0])
    closed = explicit_path(a, b, 3)
    assert closed is not None
    assert not closed.shortest
    assert closed.length == pytest.approx(math.sqrt(6) * 0.9, rel=1e-12)
    g = pf.dln.geodesic(a, b, 3)
    assert g.method != closed.name
    assert g.length < 0.95 * closed.length
    assert np.abs(g(1.0) - b).max() < 1e-7
    assert g.chord <= g.length


# the boundary value problem ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("d", "depth"), [(2, 2), (2, 3), (3, 2), (3, 4), (4, 3), (2, math.inf)])
def test_boundary_value_problem_and_invariances(d: int, depth: float) -> None:
    a, b = same_component(d)
    g = pf.dln.geodesic(a, b, depth)
    assert g.residual < 1e-9
    assert np.abs(exponential(a, logarithm(a, b, depth), depth) - b).max() < 1e-7
    assert g.length == pytest.approx(math.sqrt(2 * hamiltonian(a, g.momentum, depth)), rel=1e-9)
    if not math.isinf(depth):
        assert g.chord <= g.length * (1 + 1e-9)
    back = pf.dln.geodesic(b, a, depth)
    assert back.length == pytest.approx(g.length, rel=1e-7)
    r, t = ortho_group.rvs(d, size=2, random_state=RNG)
    assert pf.dln.distance(r @ a @ t.T, r @ b @ t.T, depth) == pytest.approx(g.length, rel=1e-7)
    assert pf.dln.distance(a.T, b.T, depth) == pytest.approx(g.length, rel=1e-7)
    factor = 1.0 if math.isinf(depth) else 3.0 ** (1 / depth)
    assert pf.dln.distance(3 * a, 3 * b, depth) == pytest.approx(factor * g.length, rel=1e-7)
    if math.isinf(depth):
        assert pf.dln.distance(np.linalg.inv(a), np.linalg.inv(b), depth) == pytest.approx(g.length, rel=1e-6)


@pytest.mark.parametrize("depth", [2, 3])
def test_length_is_the_minimum_of_an_independent_discretisation(depth: int) -> None:
    from scipy.optimize import minimize

    a, b = np.array([[1.0, 0.4], [-0.2, 0.8]]), np.array([[0.5, -0.6], [0.9, 1.1]])
    g = pf.dln.geodesic(a, b, depth)
    m = 16

    def energy(x: np.ndarray) -> float:
        path = np.concatenate([a[None], x.reshape(m - 1, 2, 2), b[None]])
        middle, step = 0.5 * (path[1:] + path[:-1]), np.diff(path, axis=0)
        return m * float((np.asarray(pf.dln.metric(middle, depth).norm(step)) ** 2).sum())

    start = g(np.linspace(0, 1, m + 1))[1:-1] + 0.02 * RNG.standard_normal((m - 1, 2, 2))
    found = minimize(energy, start.ravel(), method="L-BFGS-B", options={"maxiter": 400})
    assert math.sqrt(found.fun) == pytest.approx(g.length, rel=3e-3)


def test_triangle_inequality() -> None:
    a, b = same_component(2)
    c = 0.5 * (a @ np.linalg.inv(b) @ a) if np.linalg.det(a) > 0 else a @ rotation(0.5)
    if np.linalg.det(c) * np.linalg.det(a) < 0:
        c[0] *= -1
    d = [pf.dln.distance(*pair, 3) for pair in ((a, b), (a, c), (c, b))]
    assert d[0] <= d[1] + d[2] + 1e-9


def test_continuation_reaches_the_same_geodesic() -> None:
    from polyfiber.dln.geodesics.guesses import guesses
    from polyfiber.dln.geodesics.reduction import end_of, reduce
    from polyfiber.dln.geodesics.shooting import Shooter

    a, b = same_component(2, np.random.default_rng(4))
    g = pf.dln.geodesic(a, b, 3, explicit=False)
    room = reduce(a, b - a, 2)
    ends = [end_of(room.inside(w), 2, 3, (2, 2)) for w in (a, b)]
    solver = Shooter(*ends, room.inside(b - a), 3, 1e-9, (2, 2))
    lengths = []
    for curve in guesses(*ends, solver.difference, 3):
        found = solver.continuation(curve.at, ends[0].vector(curve.velocity))
        if found is not None:
            lengths.append(room.length_outside(float(np.linalg.norm(found[0])), 3))
    assert min(lengths) == pytest.approx(g.length, rel=1e-7)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_half_turns_where_the_chord_meets_det_zero(depth: int) -> None:
    # two geodesics by symmetry, none of them on the chord; d(I, -I)^2 = 4 N (1 - cos(pi/N)) for d = 2
    g = pf.dln.geodesic(np.eye(2), -np.eye(2), depth)
    assert g.length**2 == pytest.approx(4 * depth * (1 - math.cos(math.pi / depth)), rel=1e-8)
    a, b = np.diag([1.0, -1.0]), np.diag([-2.0, 0.5])
    g = pf.dln.geodesic(a, b, depth)
    assert np.abs(g(1.0) - b).max() < 1e-7
    assert (np.linalg.det(g(np.linspace(0, 1, 20))) < 0).all()


def test_rotation_logarithm() -> None:
    from polyfiber.dln.geodesics.guesses import rotation_logarithm

    for d in (1, 2, 3, 4, 5):
        q = ortho_group.rvs(d, random_state=RNG) if d > 1 else np.eye(1)
        if np.linalg.det(q) < 0:
            q[0] *= -1
        flips = [q, np.eye(d)]
        if d > 1:
            flips.append(q @ np.diag([-1.0, -1.0] + [1.0] * (d - 2)) @ q.T)
        for rotation_ in flips:
            log = rotation_logarithm(rotation_)
            assert np.abs(log + log.T).max() < 1e-12
            assert np.abs(expm(log) - rotation_).max() < 1e-10


def test_eight_by_eight_at_depth_four() -> None:
    a, b = same_component(8, np.random.default_rng(1))
    g = pf.dln.geodesic(a, b, 4)
    assert g.residual < 1e-9
    assert g.chord < g.length < 1.1 * g.chord


def test_ill_conditioned_and_nearly_equal_ends() -> None:
    u, v = ortho_group.rvs(3, size=2, random_state=RNG)
    a = u @ np.diag([1.0, 1e-3, 1e-6]) @ v.T
    b = a + 1e-7 * u @ np.diag([1.0, 1.0, 2.0]) @ v.T
    g = pf.dln.geodesic(a, b, 3)
    assert np.abs(g(1.0) - b).max() < 1e-9
    assert pf.dln.distance(a, a, 3) == 0.0
    assert np.array_equal(pf.dln.geodesic(a, a, 3)(0.5), a)


@pytest.mark.parametrize(
    ("a", "b", "depth", "error"),
    [
        (np.eye(2), np.diag([1.0, -1.0]), 2, InputError),
        (np.diag([1.0, 0.0]), np.eye(2), 2, InputError),
        (np.eye(2), np.zeros((2, 2)), 3, InputError),
        (np.eye(2), np.eye(3), 2, ShapeError),
        (np.ones((2, 3)), np.ones((3, 2)), 2, ShapeError),
        (np.full((2, 2), np.nan), np.eye(2), 2, InputError),
        (np.eye(2), np.eye(2), 0, InputError),
    ],
)
def test_bad_ends_are_refused(a: np.ndarray, b: np.ndarray, depth: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        pf.dln.geodesic(a, b, depth)
    with pytest.raises(error):
        pf.dln.distance(a, b, depth)


def test_batches_of_distances() -> None:
    a, b = same_component(2)
    found = np.asarray(pf.dln.distance(np.stack([a, b]), b, 3))
    assert found == pytest.approx([pf.dln.distance(a, b, 3), 0.0], rel=1e-9)
    with pytest.raises(ShapeError, match="one size"):
        pf.dln.geodesic(a[None], b[None], 3)
    with pytest.raises(ShapeError, match="broadcast"):
        pf.dln.distance(np.stack([a, a]), np.stack([a, a, a]), 3)


def test_depth_one_is_euclidean_even_at_singular_matrices() -> None:
    assert pf.dln.distance(np.zeros((2, 2)), np.diag([3.0, -4.0]), 1) == pytest.approx(5.0)


# networks and means --------------------------------------------------------------------------------------------------


def test_interpolation_between_networks() -> None:
    a, b = same_component(3)
    q = ortho_group.rvs(3, size=2, random_state=RNG)
    start, end = lift(a, 3), lift(b, 3, gauge=q)
    path = interpolate_networks(start, end, t=np.linspace(0, 1, 9))
    assert np.abs(path.products[0] - a).max() < 1e-12
    assert np.abs(path.products[-1] - b).max() < 1e-6
    assert float(imbalance(path.weights).max()) < 1e-8
    assert path.gauge_gap > 0.1
    with pytest.raises(InputError, match="not balanced"):
        interpolate_networks(RNG.standard_normal((2, 2, 2)), lift(np.eye(2), 2))
    with pytest.raises(InputError, match="increasing"):
        interpolate_networks(start, end, t=[1.0, 0.0])


def test_mean_of_aligned_matrices_is_known() -> None:
    u, v = ortho_group.rvs(3, size=2, random_state=RNG)
    s = np.sort(RNG.uniform(0.5, 2.0, (4, 3)), axis=1)
    w = np.array([1.0, 2.0, 3.0, 0.5])
    for depth in (2, 3, math.inf):
        mean = frechet_mean([u @ np.diag(x) @ v.T for x in s], depth, weights=w)
        if math.isinf(depth):
            wanted = np.exp((w / w.sum()) @ np.log(s))
        else:
            wanted = ((w / w.sum()) @ s ** (1 / depth)) ** depth
        assert np.abs(mean.mean - u @ np.diag(wanted) @ v.T).max() < 1e-6


def test_mean_of_positive_matrices_is_the_wasserstein_barycentre() -> None:
    points = [positive(3) for _ in range(3)]
    found = frechet_mean(points, 2).mean
    x = np.eye(3)
    for _ in range(200):  # the fixed point of Alvarez-Esteban et al.
        r = np.real(sqrtm(x))
        inner = sum(np.real(sqrtm(r @ p @ r)) for p in points) / 3
        x = np.linalg.solve(r, inner @ inner) @ np.linalg.inv(r)
    assert np.abs(found - x).max() < 1e-6


def test_mean_of_two_is_the_midpoint() -> None:
    a, b = same_component(2)
    g = pf.dln.geodesic(a, b, 3)
    mean = frechet_mean(np.stack([a, b]), 3)
    assert np.abs(mean.mean - g(0.5)).max() < 1e-5
    assert mean.variance == pytest.approx(0.25 * g.length**2, rel=1e-6)
    assert mean.gradient_norm < 1e-8
    with pytest.raises(InputError):
        frechet_mean([], 2)
    with pytest.raises(InputError, match="signs"):
        frechet_mean([np.eye(2), np.diag([1.0, -1.0])], 2)
    with pytest.raises(InputError, match="weights"):
        frechet_mean([a, b], 2, weights=[1.0, -1.0])


# close ends, low rank, evidence --------------------------------------------------------------------------------------


@pytest.mark.parametrize("separation", [1e-3, 1e-6, 1e-10, 1e-12, 1e-14])
def test_close_ends_are_right_to_the_last_bits(separation: float) -> None:
    a, z = np.array([[2.0, 1.0], [0.0, 1.0]]), np.array([[0.3, 1.0], [-0.7, 0.2]])
    b = a + separation * z
    exact = float(np.asarray(pf.dln.metric(0.5 * (a + b), 3).norm(b - a)))  # the midpoint rule, of third order
    assert pf.dln.distance(a, b, 3) == pytest.approx(exact, rel=max(1e-6, separation))
    turn = np.eye(2) + separation * np.array([[0.0, 1.0], [-1.0, 0.0]])
    exact = float(np.asarray(pf.dln.metric(np.eye(2), 3).norm(turn - np.eye(2))))
    g = pf.dln.geodesic(np.eye(2), turn, 3)
    assert g.length == pytest.approx(exact, rel=max(1e-6, separation))
    assert g.residual < 1e-9


def test_the_turn_of_1e_11() -> None:
    turn = np.eye(2) + 1e-11 * np.array([[0.0, 1.0], [-1.0, 0.0]])
    assert pf.dln.distance(np.eye(2), turn, 3) == pytest.approx(8.165e-12, rel=1e-4)
    a, z = np.array([[2.0, 1.0], [0.0, 1.0]]), np.array([[0.3, 1.0], [-0.7, 0.2]])
    assert pf.dln.distance(a, a + 1e-10 * z, 3) == pytest.approx(5.438e-11, rel=1e-4)


def test_nearly_singular_ends_find_the_way_round() -> None:
    # explicit curves have lengths 2.425 (straight), 2.221 (rotation), 2.0722 (cone of rank one): none is the shortest
    g = pf.dln.geodesic(np.diag([1.0, 1e-6]), np.diag([1e-6, 1.0]), 3)
    assert g.length == pytest.approx(2.07213381, abs=1e-7)
    assert g.chord < g.length < math.sqrt(6 * (1 - math.cos(math.pi / math.sqrt(6))))


@pytest.mark.parametrize("depth", [2, 3, 6])
@pytest.mark.parametrize(("m", "n"), [(2, 2), (3, 2), (4, 5), (1, 3)])
def test_rank_one_is_a_cone(m: int, n: int, depth: int) -> None:
    rng = np.random.default_rng(m + 10 * n + depth)
    a, b = (
        np.outer(rng.standard_normal(m), rng.standard_normal(n)),
        np.outer(rng.standard_normal(m), rng.standard_normal(n)),
    )
    cone = pf.dln.geodesic(a, b, depth)
    assert cone.method == "rank one"
    assert cone.shortest
    shot = pf.dln.geodesic(a, b, depth, explicit=False, starts=4, tolerance=1e-11)
    assert shot.length == pytest.approx(cone.length, rel=1e-9)
    assert np.abs(cone(1.0) - b).max() < 1e-13 * np.abs(b).max() + 1e-14
    assert np.abs(shot(0.3) - cone(0.3)).max() < 1e-7
    t = np.linspace(0.0, 1.0, 401)
    x = cone(t)
    middle = list(cone(0.5 * (t[1:] + t[:-1])))
    steps = [
        float(np.asarray(pf.dln.metric(c, depth).norm(pf.dln.metric(c, depth).project(s))))
        for c, s in zip(middle, np.diff(x, axis=0))
    ]
    assert sum(steps) == pytest.approx(cone.length, rel=1e-4)
    velocity = (cone(1e-6) - a) / 1e-6
    assert np.abs(velocity - cone.velocity).max() < 1e-4 * np.abs(cone.velocity).max()
    assert pf.dln.distance(a, a * (1 + 1e-14), depth) == pytest.approx(
        math.sqrt(depth) * np.linalg.norm(a) ** (1 / depth) * 1e-14 / depth, rel=0.02
    )


def test_rank_one_half_turns_need_a_third_direction() -> None:
    a = np.outer([1.0, 0.0], [1.0, 0.0])
    for depth in (2, 5):
        # (u, v) and (-u, -v) are one matrix: -W is a quarter turn of each, or a half turn of one
        g = pf.dln.geodesic(a, -a, depth)
        delta = math.pi / math.sqrt(depth)
        assert g.length == pytest.approx(math.sqrt(2 * depth * (1 - math.cos(delta))), rel=1e-12)
        assert np.abs(g(1.0) + a).max() < 1e-12
    with pytest.raises(InputError, match="components"):
        pf.dln.geodesic([[1.0]], [[-1.0]], 3)
    g = pf.dln.geodesic([[1.0, 0.0]], [[-1.0, 0.0]], 3)  # a sphere of two points on the left: v turns
    assert g.length == pytest.approx(math.sqrt(6 * (1 - math.cos(math.pi / math.sqrt(3)))), rel=1e-12)


@pytest.mark.parametrize(("m", "n", "r", "depth"), [(3, 3, 2, 2), (5, 3, 2, 3), (3, 4, 3, 5), (6, 6, 2, 3)])
def test_geodesics_of_every_rank_and_shape(m: int, n: int, r: int, depth: int) -> None:
    rng = np.random.default_rng(100 * m + 10 * n + r + depth)
    a, b = (rng.standard_normal((m, r)) @ rng.standard_normal((r, n)) for _ in range(2))
    g = pf.dln.geodesic(a, b, depth)
    assert g.rank == r
    assert g.residual < 1e-9
    assert g.minimum is not None
    assert g.minimum.verdict is not pf.Verdict.NO
    assert g.lower_bound <= g.length
    assert g.chord <= g.length * (1 + 1e-9)
    assert np.abs(exponential(a, g.velocity, depth) - b).max() < 1e-6 * np.abs(b).max()
    assert (pf.dln.singular_frame(g(np.linspace(0, 1, 5))).rank == r).all()
    p, q = ortho_group.rvs(m, random_state=rng), ortho_group.rvs(n, random_state=rng)
    for x, y, factor in ((p @ a @ q, p @ b @ q, 1.0), (a.T, b.T, 1.0), (b, a, 1.0), (2 * a, 2 * b, 2 ** (1 / depth))):
        assert pf.dln.distance(x, y, depth) == pytest.approx(factor * g.length, rel=1e-6)
    # zeros beside the matrix change nothing
    wide = np.zeros((2, m + 1, n + 2))
    wide[:, :m, :n] = a, b
    assert pf.dln.distance(*wide, depth) == pytest.approx(g.length, rel=1e-6)


@pytest.mark.parametrize(
    ("m", "n", "r", "depth"), [(2, 2, 2, 3), (3, 3, 2, 2), (4, 3, 2, 3), (3, 3, 3, math.inf), (3, 2, 1, 4)]
)
def test_derivatives_of_the_distance(m: int, n: int, r: int, depth: float) -> None:
    rng = np.random.default_rng(m + n + r)
    a, b = (rng.standard_normal((m, r)) @ rng.standard_normal((r, n)) for _ in range(2))
    if r == m == n and np.linalg.det(a) * np.linalg.det(b) < 0:
        b[0] *= -1
    gradients = pf.dln.distance_gradient(a, b, depth)
    for which, point in enumerate((a, b)[: 1 if r < min(m, n) else 2]):
        left, right = rng.standard_normal((m, m)), rng.standard_normal((n, n))
        h = 1e-5

        ends = []
        for t in (h, -h):
            x = expm(t * left) @ point @ expm(t * right)
            ends.append(float(pf.dln.distance(x, b, depth) if which == 0 else pf.dln.distance(a, x, depth)))
        slope = (ends[0] - ends[1]) / (2 * h)
        assert (gradients[which] * (left @ point + point @ right)).sum() == pytest.approx(slope, rel=1e-5, abs=1e-6)
        g = pf.dln.metric(point, depth)
        assert g.norm(g.apply(gradients[which])) == pytest.approx(1.0, rel=1e-6)


def test_conjugate_points_on_a_long_turn() -> None:
    # X(t) = R(t theta) as a matrix of rank two in the plane is shortest up to a half turn only (d = 2, N = 3)
    from polyfiber.dln.geodesics.conjugate import conjugate_test
    from polyfiber.dln.geodesics.reduction import end_of, reduce

    verdicts = []
    for angle in (0.5, 2.0, 3.0, 4.5, 6.0):
        velocity = 3.0 * (math.cos(angle / 3) - 1) * np.eye(2) + 3.0 * math.sin(angle / 3) * np.array(
            [[0.0, -1.0], [1.0, 0.0]]
        )
        assert np.abs(exponential(np.eye(2), velocity, 3) - rotation(angle)).max() < 1e-9
        room = reduce(np.eye(2), velocity, 2)
        start = end_of(room.inside(np.eye(2)), 2, 3, (2, 2))
        z = start.covector(room.covector_inside(pf.dln.metric(np.eye(2), 3).solve(velocity), 3))
        verdicts.append(conjugate_test(start, z, 3, (2, 2)))
    assert verdicts[0].index == 0
    assert [v.index for v in verdicts] == sorted(v.index for v in verdicts)
    # a solution that passes a conjugate point is longer than the geodesic found
    for test, angle in zip(verdicts, (0.5, 2.0, 3.0, 4.5, 6.0), strict=True):
        whole = math.sqrt(12 * (1 - math.cos(angle / 3)))
        if test.index:
            assert pf.dln.distance(np.eye(2), rotation(angle), 3) < whole * (1 - 1e-6)


def test_infinite_depth_cannot_turn_spaces() -> None:
    a = np.diag([2.0, 1.0, 0.0])
    b = np.zeros((3, 3))
    b[:2, :2] = [[1.0, 0.5], [0.2, 3.0]]
    g = pf.dln.geodesic(a, b, math.inf)
    assert g.length == pytest.approx(float(pf.dln.distance(a[:2, :2], b[:2, :2], math.inf)), rel=1e-9)
    assert np.abs(g(1.0) - b).max() < 1e-7
    with pytest.raises(InputError, match="infinite"):
        pf.dln.geodesic(a, np.diag([2.0, 0.0, 1.0]), math.inf)


def test_a_budget_stops_the_search() -> None:
    a, b = same_component(4)
    with pytest.raises(BudgetExceededError):
        pf.dln.geodesic(a, b, 3, budget=pf.Budget(seconds=0))
