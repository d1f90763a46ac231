"""Single regions, exploration: facets against HiGHS, exploration against enumeration."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.optimize import linprog

import polyfiber as pf
from polyfiber.complexes.local.cell_arrays import CellFrame
from polyfiber.errors import BudgetExceededError, InputError, ShapeError, UncertifiedSignError
from polyfiber.kernels.complexes import cell_facets as kf
from polyfiber.numerics.lp import interior_point
from polyfiber.testing import degenerate_corpus
from polyfiber.testing.strategies import integer_networks

SHAPES = [(2, 8, 8, 1), (3, 5, 5, 5, 1), (4, 3, 6, 2), (3, 10, 2, 8, 1), (6, 8, 8, 8, 1), (8, 4, 2, 6, 1), (1, 5, 4, 1)]


def lp_facets(net: pf.ReLUNetwork, signs: np.ndarray, x: np.ndarray) -> list[int]:
    """Irredundant rows by one linear program each."""
    forms, _ = CellFrame(net).float_forms(signs, np.arange(len(signs)))
    forms = forms * signs[:, None]
    size = np.linalg.norm(forms[:, :-1], axis=1)
    use = np.flatnonzero(size > 1e-12)
    A, b = -forms[use, :-1] / size[use, None], (forms[use, :-1] @ x + forms[use, -1]) / size[use]
    kept = []
    for i in range(len(A)):
        relaxed = b.copy()
        relaxed[i] += 1.0
        found = linprog(-A[i], A_ub=A, b_ub=relaxed, bounds=(None, None), method="highs")
        if found.status == 3 or -found.fun > b[i] + 1e-9:
            kept.append(int(use[i]))
    return kept


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_facets_agree_with_highs(shape: tuple[int, ...]) -> None:
    for seed in range(3):
        net = pf.ReLUNetwork.random(shape, rng=seed)
        x = np.random.default_rng(seed).uniform(-2, 2, shape[0])
        region = pf.region(net, x)
        assert region.facets.tolist() == lp_facets(net, region.signs, x)
        check = region.verify()
        assert check.ok, check.problems


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_region_describes_the_network(shape: tuple[int, ...]) -> None:
    net = pf.ReLUNetwork.random(shape, rng=5)
    x = np.random.default_rng(5).uniform(-1, 1, shape[0])
    region = pf.region(net, x)
    assert (np.sign(np.concatenate(net.preactivations(x)[:-1])) == region.signs).all()
    A, a = region.affine_map
    assert np.allclose(A @ x + a, net(x), atol=1e-10)
    assert (region.A @ x < region.b).all()
    ball = region.inscribed_ball
    assert ball.certified_radius <= ball.radius * (1 + 1e-9)
    if np.isfinite(ball.radius):
        assert ball.certified_radius > 0.999 * ball.radius
        # no other point does better, the centre of the ball about x among them
        assert ball.radius >= region.distance * (1 - 1e-9)
    for i in range(region.n_facets):
        other = region.neighbour(i)
        assert (other.signs != region.signs).sum() == 1
        assert (other.signs == region.neighbours[0][i]).all()
        assert int(region.facets[i]) in other.facets


@pytest.mark.parametrize("shape", [(2, 6, 6, 1), (3, 6, 4, 1), (3, 2, 4, 1), (2, 5, 3, 4, 1)], ids=str)
def test_bounded_agrees_with_the_complex(shape: tuple[int, ...]) -> None:
    net = pf.ReLUNetwork.random(shape, rng=2)
    cx = pf.canonical_complex(net)
    unbounded = cx.is_unbounded(cx.dimension)
    for r, point in list(enumerate(cx.interior_points()))[::7]:
        region = pf.region(net, point)
        assert (region.signs == cx.signs(cx.dimension)[r]).all()
        assert region.bounded is pf.Verdict.of(not (unbounded[r] or cx.lineality_dimension))
        direction = region.unbounded_direction
        if direction is not None:
            assert (region.A @ direction <= 1e-9).all()
            assert np.isclose(np.linalg.norm(direction), 1)
        assert sorted(region.facets) == sorted(cx.h_representation(r).facets)


@pytest.mark.parametrize(
    "shape", [(2, 8, 8, 1), (3, 5, 5, 1), (4, 3, 6, 2), (2, 10, 3, 3, 5, 1), (5, 4, 2, 5, 1)], ids=str
)
@pytest.mark.parametrize("order", ["breadth", "nearest"])
def test_exploration_to_exhaustion_is_the_complex(shape: tuple[int, ...], order: str) -> None:
    net = pf.ReLUNetwork.random(shape, rng=1)
    for domain in (None, pf.Box(-1.0, 0.7, dimension=shape[0])):
        cx = pf.canonical_complex(net, domain)
        found = pf.explore(net, np.zeros(shape[0]), domain=domain, order=order)
        assert found.complete
        assert found.closed.all()
        assert {r.tobytes() for r in found.signs} == {r.tobytes() for r in cx.signs(cx.dimension)}
        assert len(found.signs) == cx.n_regions
        assert len(found.edges) == len(cx.dual_graph.indices) // 2
        z = np.concatenate(net.preactivations(found.points)[:-1], axis=1)
        assert (np.sign(z) == found.signs[:, : net.n_hidden]).all()


@settings(max_examples=15, deadline=None)
@given(integer_networks(max_inputs=2, max_width=4, max_depth=2))
def test_integer_networks_explored_from_any_point_give_the_same_regions(net: pf.ReLUNetwork) -> None:
    n0 = net.architecture[0]
    sets = []
    for start in (np.zeros(n0), np.full(n0, 1.0), np.arange(n0) - 0.3):
        found = pf.explore(net, start)
        assert found.complete
        sets.append({r.tobytes() for r in found.signs})
    assert sets[0] == sets[1] == sets[2]
    # every point lies in the closure of one of them
    grid = np.stack(np.meshgrid(*[np.linspace(-2.3, 2.6, 9)] * n0), axis=-1).reshape(-1, n0)
    exact = net.exact()
    for x in grid[:: max(1, len(grid) // 40)]:
        z = np.concatenate(exact.preactivations(np.array([Fraction(c) for c in x], dtype=object))[:-1])
        signs = np.array([(v > 0) - (v < 0) for v in z])
        near = [((signs == 0) | (signs == np.frombuffer(r, dtype=np.int8))).all() for r in sets[0]]
        assert any(near)


def test_degenerate_arrangements_have_the_right_number_of_regions() -> None:
    def lines(rows: list[list[float]], shifts: list[float]) -> pf.ReLUNetwork:
        return pf.ReLUNetwork([rows, [[1.0] * len(rows)]], [shifts, [0.0]])

    pencil = [[1, 0], [0, 1], [1, 1], [1, -1], [2, 1], [1, 2], [2, -1], [1, -2]]
    cases = [
        (lines(pencil, [0] * 8), 16),
        (lines([[1, 0], [0, 1], [1, 1], [1, -1], [1, 0]], [0.1, 0.2, 0.7, -0.4, 0.1]), 11),
        (lines([[1, 0], [1, 0], [0, 1], [0, 1], [1, 1]], [0.5, -0.5, 0.5, -0.5, 0.0]), 12),
        (pf.ReLUNetwork([[[1, -1], [0, 1], [0, -1]], [[1, 1, -1], [0, 0, 1]], [[1, 1]]], [[0] * 3, [0] * 2, [0]]), 5),
        (pf.ReLUNetwork.random((3, 2, 1), rng=0), 4),
    ]
    for net, expected in cases:
        found = pf.explore(net, np.zeros(net.architecture[0]))
        assert found.complete
        assert found.n_regions == expected


GOLDEN = json.loads((Path(__file__).parent.parent.parent / "golden" / "degenerate.json").read_text())
REFUSED = {"subnormal-2-6-6": UncertifiedSignError}
LONG = {"concurrent-70", "near-pairs-3-6-6", "grid-33-33"}
"""Exact linear programs by the hundred: a pencil of 20 lines, a grid of 5 and 7, and near pairs in the plane are explored instead."""
CASES = [
    pytest.param(c, marks=[pytest.mark.slow] if GOLDEN[c.name]["f_vector"][-1] > 60 else [])
    for c in degenerate_corpus()
    if c.name in GOLDEN and c.name not in {*REFUSED, *LONG}
]


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_degenerate_corpus_is_explored_whole(case: Any) -> None:
    start = np.zeros(case.network.architecture[0])
    domain = None if case.domain is None else pf.Polyhedron(*case.domain)
    if domain is not None:
        found = interior_point(domain.A.astype(float), domain.b.astype(float))
        assert found is not None
        start = found[0]
    explored = pf.explore(case.network, start, domain=domain)
    assert explored.complete
    assert explored.n_regions == GOLDEN[case.name]["f_vector"][-1]


def test_a_grid_is_explored_whole() -> None:
    rows = [[1, 0]] * 5 + [[0, 1]] * 7
    net = pf.ReLUNetwork([rows, [[1] * 12]], [[*range(-2, 3), *range(-3, 4)], [0]])
    explored = pf.explore(net, np.array([0.5, 0.25]))
    assert explored.complete
    assert explored.n_regions == 6 * 8


def test_a_pencil_is_explored_whole() -> None:
    lines = [[k, 20 - k] for k in range(-10, 10)]
    net = pf.ReLUNetwork([lines, [[1] * 20]], [[0] * 20, [0]])
    assert pf.canonical_complex(net).f_vector == (1, 40, 40)
    explored = pf.explore(net, np.array([0.5, 0.25]))
    assert explored.complete
    assert explored.n_regions == 40


@pytest.mark.parametrize("name", REFUSED)
def test_what_exploration_refuses_by_name(name: str) -> None:
    """Walls at 1e310 have no point in float64 to go on from."""
    (case,) = [c for c in degenerate_corpus() if c.name == name]
    domain = None if case.domain is None else pf.Polyhedron(*case.domain)
    with pytest.raises(REFUSED[name], match=r"range of float64|no interior|empty|flat|outside"):
        pf.explore(case.network, np.zeros(case.network.architecture[0]), domain=domain)


def test_coincident_walls_are_one_facet() -> None:
    net = pf.ReLUNetwork([[[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]], [[1.0, 1.0, 1.0]]], [[1.0, 2.0, 0.0], [0.0]])
    region = pf.region(net, [1.0, 1.0])
    assert region.n_facets == 2
    assert list(region.coincident.values()) == [(0, 1)]
    i = int(np.flatnonzero(np.isin(region.facets, [0, 1]))[0])
    assert (region.neighbour(i).signs == [-1, -1, 1]).all()


def test_points_on_walls_and_outside() -> None:
    net = pf.ReLUNetwork([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0]]], [[0.0, 0.0], [0.0]])
    region = pf.region(net, [0.0, 0.0])
    assert (region.signs != 0).all()
    assert region.distance == 0.0
    assert region.sentence.startswith("The point lies on a wall, where regions meet; ")
    beside = pf.region(net, [5e-324, 1.0]).sentence
    assert beside.startswith(
        "Around this point the network is affine, with 2 of 2 neurons active, on an unbounded region"
    )
    box = pf.Box(-1, 1, dimension=2)
    corner = pf.region(net, [1.0, 1.0], domain=box)
    assert corner.signs.tolist() == [1, 1, 1, 1, 1, 1]
    assert corner.n_facets == 4
    assert "Around this point" in corner.sentence
    assert "the edge of the domain" in corner.sentence
    assert corner.neighbours[1].sum() == 2
    with pytest.raises(InputError, match=r"outside the domain: coordinate 0 is not within \[-1, 1\]"):
        pf.region(net, [2.0, 0.0], domain=box)
    with pytest.raises(ShapeError):
        pf.region(net, [0.0])
    with pytest.raises(InputError, match="finite"):
        pf.region(net, [np.nan, 0.0])
    with pytest.raises(InputError, match="boundary of the domain"):
        corner.neighbour(int(np.flatnonzero(~corner.neighbours[1])[0]))


def test_one_bit_from_a_wall_is_decided() -> None:
    net = pf.ReLUNetwork([[[1.0, 3.0], [1.0, -1.0]], [[1.0, 1.0]]], [[-0.1, 0.0], [0.0]])
    y = 0.1
    x = np.array([0.1 - 3 * y, y])
    exact = Fraction(x[0]) + 3 * Fraction(x[1]) - Fraction(0.1)
    region = pf.region(net, x)
    assert region.signs[0] == (1 if exact > 0 else -1) or exact == 0


def test_budgets_say_what_was_covered() -> None:
    net = pf.ReLUNetwork.random((4, 12, 12, 1), rng=0)
    found = pf.explore(net, np.zeros(4), max_regions=20)
    assert not found.complete
    assert found.closed.sum() == 20
    assert (found.n_facets[~found.closed] == -1).all()
    assert not pf.explore(net, np.zeros(4), budget=pf.Budget(seconds=0)).complete
    assert not pf.explore(net, np.zeros(4), budget=pf.Budget(memory=20000)).complete
    every = pf.canonical_complex(net)
    ids = every.locate(found.points[found.closed])
    assert (every.signs(4)[ids] == found.signs[found.closed]).all()
    known = {r.tobytes() for r in every.signs(4)}
    assert all(r.tobytes() in known for r in found.signs)
    with pytest.raises(InputError, match="order"):
        pf.explore(net, np.zeros(4), order="depth")


def test_wide_inputs() -> None:
    net = pf.ReLUNetwork.random((784, 48, 24, 10), rng=0)
    x = np.random.default_rng(0).uniform(0, 1, 784)
    region = pf.region(net, x)
    assert region.bounded is pf.Verdict.NO
    assert region.lineality.shape == (736, 784)
    witness = region.witnesses[0]
    z = np.concatenate(net.preactivations(region.interior_point)[:-1])
    assert (np.sign(z) == region.signs).all()
    # beyond its own wall alone, on the forms of this cell
    signs = region._cell.signs
    rows = region._frame.float_forms(signs, np.arange(len(signs)))[0] * signs[:, None]
    values = rows[:, :-1] @ witness + rows[:, -1]
    assert np.flatnonzero(values < 0).tolist() == [int(region._cell.facets[0])]


def test_rational_networks() -> None:
    third = Fraction(1, 3)
    net = pf.ReLUNetwork(
        [np.array([[third, 1], [1, -third], [1, 1]], dtype=object), np.array([[1, -1, third]], dtype=object)],
        [np.array([third, 0, -1], dtype=object), np.array([0], dtype=object)],
    )
    found = pf.explore(net, [0.0, 0.0])
    assert found.complete
    assert found.n_regions == 7


def test_kernel_refuses_what_rounding_could_change() -> None:
    """With inflated bounds no row is certified; with none all are: the verdicts depend on the bounds."""
    rng = np.random.default_rng(0)
    G = rng.standard_normal((12, 3))
    V = np.ones(12)
    for error, certain in ((1e-15, True), (0.6, False)):
        cell = kf.Rows(G, V, np.full(12, error), np.full(12, error))
        status = np.zeros(12, dtype=np.int8)
        found = kf.Found(
            status, np.full((12, 3), np.nan), np.zeros(3), np.zeros(4, dtype=np.int64), np.zeros(1, dtype=np.int8)
        )
        failed = kf.facets(cell, np.zeros(3), np.zeros(3), found, 30, 8)
        assert not failed
        decided = np.isin(status, (kf.FACET, kf.REDUNDANT)).all()
        assert decided == certain


def test_the_kernel_stops_when_it_is_told_and_decides_nothing_then() -> None:
    """A region of 784-128-10 on a box kept a budget of 2 s for 6 s: its kernel did not look at the time."""
    G = np.random.default_rng(0).standard_normal((12, 3))
    cell = kf.Rows(G, np.ones(12), np.full(12, 1e-15), np.full(12, 1e-15))
    status, stop = np.zeros(12, dtype=np.int8), np.ones(1, dtype=np.int8)
    found = kf.Found(status, np.full((12, 3), np.nan), np.zeros(3), np.zeros(4, dtype=np.int64), stop)
    assert kf.facets(cell, np.zeros(3), np.zeros(3), found, 30, 8) == 1
    assert not status.any()
    work = kf.nnls_work(3, 12, stop)
    assert kf.nnls(G, np.arange(12), 12, G[0], 3, work)[0] == 0
    with pytest.raises(BudgetExceededError, match="stopped"):
        pf.region(pf.ReLUNetwork.random((60, 90, 1), rng=0), np.zeros(60), budget=pf.Budget(seconds=0))


@pytest.mark.parametrize(
    "x", [[-1.9999999999999998, 7.361643228068131e-17], [-1.9999999999999996, 1e-17], [-2.0, 3e-300]]
)
def test_witnesses_next_to_a_vertex_are_true_once_they_are_rounded(x: list[float]) -> None:
    """`verify` said NO of regions that are right, and witnesses were points beyond no wall."""
    net = pf.ReLUNetwork(
        [[[-1, 0], [-1, 2]], [[2, 0], [0, -1], [2, 1], [-1, 0]], [[0, 2, -2, -2]]], [[-2, -2], [-1, 1, 0, -1], [-1]]
    )
    here = pf.region(net, x)
    cx = pf.canonical_complex(net)
    (same,) = np.flatnonzero((cx.signs(2) == here.signs).all(axis=1))
    assert sorted(here.facets.tolist()) == sorted(cx.h_representation(int(same)).facets.tolist())
    check = here.verify()
    assert check.ok, check.problems
    assert check.witnesses == here.n_facets


def test_facets_without_a_witness_are_checked_exactly() -> None:
    here = pf.region(pf.ReLUNetwork.random((2, 6, 4, 1), rng=0), [1.7e308, -1.7e308])
    check = here.verify()
    assert check.ok
    assert check.witnesses == here.n_facets > 0


def test_affine_network_has_one_region() -> None:
    net = pf.ReLUNetwork([[[1.0, 2.0]]], [[0.5]])
    region = pf.region(net, [0.0, 0.0])
    assert region.n_facets == 0
    assert region.distance == np.inf
    assert region.bounded is pf.Verdict.NO
    assert pf.explore(net, [0.0, 0.0]).n_regions == 1
