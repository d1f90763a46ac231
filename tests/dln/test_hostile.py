"""Hostile input: every public function answers or raises one error of our hierarchy; no warning, no NaN."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from polyfiber import dln
from polyfiber.errors import InputError, PolyfiberError

MATRICES: dict[str, object] = {
    "identity": np.eye(2),
    "zero": np.zeros((2, 2)),
    "nan": np.full((2, 2), np.nan),
    "rectangular": np.ones((2, 3)),
    "vector": np.ones(2),
    "number": 3.0,
    "none": None,
    "text": "x",
    "one tiny value": np.diag([1.0, 1e-300]),
    "tiny": 1e-200 * np.eye(2),
    "subnormal": 1e-320 * np.eye(2),
    "huge": 1e200 * np.eye(2),
    "near overflow": 1e308 * np.ones((2, 2)),
    "reflection": np.diag([1.0, -1.0]),
    "empty batch": np.zeros((0, 2, 2)),
    "integers": np.array([[1, 2], [3, 4]]),
    "booleans": [[True, False], [False, True]],
    "round-off rank": np.diag([1.0, 1e-13]),
    "nilpotent": np.array([[0.0, 1.0], [0.0, 0.0]]),
    "batch of one": np.eye(2)[None],
    "ragged": [[1.0], [2.0, 3.0]],
    "complex": 1j * np.eye(2),
}
DEPTHS = [1, 2, 3, 0, -1, 2.0, math.inf, math.nan, None, 50, "2", True]


def answers(function: Callable[[], object]) -> None:
    try:
        result = function()
    except PolyfiberError:
        return
    if isinstance(result, float | np.ndarray):
        assert not np.isnan(np.asarray(result, dtype=np.float64)).any()


@pytest.mark.parametrize("W", MATRICES.values(), ids=MATRICES.keys())
def test_functions_of_a_matrix_and_a_depth(W: object) -> None:
    for depth in DEPTHS:
        for name in ("entropy", "entropy_gradient", "lift", "squared_radius", "log_volume_in_singular_values"):
            answers(lambda n=name, d=depth: getattr(dln, n)(W, d))
        answers(lambda d=depth: dln.metric(W, d).apply(W))
        answers(lambda d=depth: dln.metric(W, d).norm(W))
        answers(lambda d=depth: dln.metric(W, d).acceleration(W))
        answers(lambda d=depth: dln.exponential(W, W, d))
        answers(lambda d=depth: dln.sample_langevin(W, d, time=0.1, steps=2, rng=0).final)
        answers(lambda d=depth: dln.observable_flow(W, lambda X: X, [0.0, 0.1], d).products)
        answers(lambda d=depth: dln.free_energy(W, d, energy=lambda X: (X**2).sum((-2, -1)), beta=1.0))
        answers(lambda d=depth: dln.free_energy_gradient(W, d, energy_gradient=lambda X: X, beta=1.0))


@pytest.mark.parametrize("W", MATRICES.values(), ids=MATRICES.keys())
def test_functions_of_networks(W: object) -> None:
    for layers in (W, [W], [W, W], [W, np.eye(2)]):
        for name in (
            "invariants",
            "imbalance",
            "product",
            "svd_coordinates",
            "polar_coordinates",
            "project_balanced",
            "tangent_frame",
            "gauge_vectors",
            "verify_submersion",
        ):
            answers(lambda n=name, v=layers: getattr(dln, n)(v))
        for name in (
            "push",
            "project_normal",
            "project_tangent",
            "project_horizontal",
            "project_vertical",
            "second_fundamental_form",
            "retract",
            "horizontal_defect",
            "line_is_balanced",
            "chord_defects",
            "interpolate_networks",
        ):
            answers(lambda n=name, v=layers: getattr(dln, n)(v, v))
        answers(lambda v=layers: dln.sample_langevin_upstairs(v, time=0.1, steps=2, rng=0).final)
        for method in ("DOP853", "gauss"):
            answers(lambda v=layers, m=method: dln.gradient_flow(v, lambda X: X, [0.0, 0.1], method=m).products[-1])
    answers(lambda: dln.bures_wasserstein_inner(W, W, W))
    answers(lambda: dln.from_svd_coordinates([W, W], [1.0, 1.0]))
    answers(lambda: dln.shortest_chord(W, np.eye(2), 3).length)
    answers(lambda: dln.hamiltonian(W, W, 2))
    answers(lambda: dln.conserved(W, W, 2))
    answers(lambda: dln.MatrixCompletion.of(W)(W))  # type: ignore[arg-type]
    answers(lambda: dln.frechet_mean([W, np.eye(2)], 2).mean)  # type: ignore[list-item]


@pytest.mark.parametrize("W", MATRICES.values(), ids=MATRICES.keys())
@pytest.mark.parametrize("depth", [1, 2, 3, math.inf])
def test_geodesics_from_hostile_ends(W: object, depth: float) -> None:
    for other in (np.eye(2), np.diag([2.0, -0.5]), W):
        answers(lambda b=other: dln.distance(W, b, depth))
        answers(lambda b=other: dln.distance(b, W, depth))


Z, R = np.zeros((2, 2)), np.diag([1.0, 0.0])


@pytest.mark.parametrize(
    ("W0", "W1", "depth", "says"),
    [
        (Z, np.eye(2), 3, "ranks 0 and 2"), (np.eye(2), np.diag([1.0, -1.0]), 3, "determinants have different signs"),
        (np.eye(2), R, 3, "ranks 2 and 1"), (np.eye(2), np.full((2, 2), np.nan), 3, "W1 holds 4 entries that are NaN"),
        (R, np.diag([0.0, 1.0]), math.inf, "distance is infinite"), (np.ones((2, 3)), np.eye(2), 3, "one size"),
        ([[1.0]], [[-1.0]], 2, "determinants"), (np.eye(2), np.eye(2), 0, "depth is 0"), (np.eye(2), 1j * np.eye(2), 2, "complex"),
    ],
)  # fmt: skip
def test_what_cannot_be_joined_is_said_once_and_clearly(W0: object, W1: object, depth: float, says: str) -> None:
    for ask in (dln.geodesic, dln.distance, dln.distance_gradient, dln.logarithm):
        if depth == 0 or not np.array_equal(np.asarray(W0), np.asarray(W1)):
            with pytest.raises(InputError, match=says):
                ask(W0, W1, depth)  # type: ignore[operator]


def test_what_has_an_answer_although_it_looks_odd() -> None:
    assert dln.distance(Z, Z, 3) == 0.0
    assert dln.distance(np.eye(2), np.diag([1.0, -1.0]), 1) == 2.0  # at depth one ranks and signs play no role
    assert dln.distance(R, 2 * R, math.inf) == pytest.approx(math.log(2))  # equal spaces: reduced to 1 x 1
    assert dln.geodesic([[1.0, 0.0]], [[-1.0, 0.0]], 3).rank == 1  # a row can turn round
    assert dln.frechet_mean([Z, Z], 3).variance == 0.0


def test_what_is_wrong_is_called_by_its_name() -> None:
    assert dln.entropy(Z, 3, rank=0) == 0.0  # one network over it
    with pytest.raises(InputError, match="a width is 0"):
        dln.entropy([[2.0, 0.0]], 2, widths=(2, 0, 1))
    with pytest.raises(InputError, match="rank is -1"):
        dln.entropy(np.eye(2), 2, rank=-1)
    with pytest.raises(InputError, match="0 and then 0"):
        dln.training_path([[np.eye(2)]] * 3, times=[0.0, 0.0, 1.0])
    with pytest.raises(InputError, match="energy gradient is complex"):
        dln.gradient_flow([np.eye(2)], lambda W: 1j * W, [0.0, 1.0])
    with pytest.raises(InputError, match="energy gradient is complex"):
        dln.sample_langevin(np.eye(2), 3, energy_gradient=lambda W: 1j * W, time=0.1, steps=2, rng=0)
    with pytest.raises(InputError, match="energy is complex"):
        dln.free_energy(np.eye(2), 3, energy=lambda W: 1j, beta=1.0)
    with pytest.raises(InputError, match="masked"):
        dln.distance(np.ma.array(np.eye(2), mask=np.eye(2)), np.eye(2), 2)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda: dln.entropy(np.ones((2, 3)), 2), "square"), (lambda: dln.tangent_frame([np.ones((2, 3))] * 2), "layer"),
        (lambda: dln.entropy(np.eye(2), math.inf, widths=(2, 2)), "infinite depth"),
        (lambda: dln.entropy(np.diag([1.0, 0.0]), math.inf, rank=1), "full rank"),
        (lambda: dln.squared_radius(np.eye(2), math.inf), "finite"), (lambda: dln.lift(np.eye(2), math.inf), "finite"),
        (lambda: dln.exponential(Z, Z, 3), "zero matrix"), (lambda: dln.frechet_mean([np.eye(2), R], 3), "rank"),
        (lambda: dln.frechet_mean([np.eye(2), np.diag([1.0, -1.0])], 3), "determinant"),
        (lambda: dln.geodesic(np.eye(2), np.eye(2), -1), "depth is -1"),
        (lambda: dln.geodesic(np.eye(2), np.eye(2), 2.5), "depth is 2.5"),
        (lambda: dln.gradient_flow([np.eye(2)], lambda W: np.nan * W, [0.0, 1.0]), "NaN"),
    ],
)  # fmt: skip
def test_what_has_no_meaning_is_refused_in_words(ask: Callable[[], object], says: str) -> None:
    with pytest.raises(PolyfiberError, match=says):
        ask()


def test_great_depths_are_answered_or_refused_at_once() -> None:
    A, B = np.eye(2), np.array([[2.0, 1.0], [-1.0, 2.0]]) @ np.diag([1.0, 0.6])
    # N times the metric of depth N tends to that of infinite depth
    assert dln.distance(A, B, 1000) * math.sqrt(1000) == pytest.approx(dln.distance(A, B, math.inf), rel=1e-3)
    assert dln.distance(np.eye(2), 4.0 * np.eye(2), 10**6) > 0.0  # a closed form
    for depth in (1001, 10**6, 10**30):
        with pytest.raises(InputError, match="use math"):
            dln.geodesic(A, B, depth)
    with pytest.raises(InputError, match=r"2\^31"):
        dln.exponential(A, B, 10**30)


def test_vectors_over_a_network_must_have_its_shape() -> None:
    up = dln.lift(np.eye(2), 2)
    for bad in (np.eye(2), np.zeros((3, 2, 2)), [np.eye(2), np.eye(3)], "x"):
        with pytest.raises(InputError):
            dln.project_tangent(up, bad)
    assert np.allclose(dln.project_tangent(up, [np.eye(2), np.eye(2)]), 1.0 * np.stack([np.eye(2)] * 2))


def test_scales_are_refused_beyond_what_arithmetic_can_hold() -> None:
    for scale in (1e80, 1e-80):
        with pytest.raises(InputError, match="rescale"):
            dln.metric(scale * np.eye(2), 2)
    # up to there the answers scale as they must: S(cW) = S(W) + (1 - 1/N) d(d-1)/2 log c
    for scale in (1e70, 1e-70):
        gained = dln.entropy(scale * np.eye(3), 2) - dln.entropy(np.eye(3), 2)
        assert gained == pytest.approx(1.5 * math.log(scale), rel=1e-12)


def test_depths_beyond_floats_and_texts_are_refused() -> None:
    with pytest.raises(InputError, match="beyond what floats hold"):
        dln.distance(np.eye(2), 2.0 * np.eye(2), 10**400)
    with pytest.raises(InputError, match="expected numbers"):
        dln.distance([["1"]], [[2.0]], 3)
    with pytest.raises(InputError, match="not an array of numbers"):
        dln.distance([[10**400]], [[2.0]], 3)
