"""Budgets count work, not compilation."""

from __future__ import annotations

import itertools
import pickle
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber import budget
from polyfiber.budget import Budget, Monitor, SoFar
from polyfiber.complexes.blocks.block import complement
from polyfiber.errors import BudgetExceededError


def test_compilation_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(budget.time, "monotonic", lambda: now[0])
    monitor = Monitor(Budget(seconds=2))
    now[0] += 31.5
    budget.compiled(30.0)
    assert monitor.elapsed == pytest.approx(1.5)
    assert not monitor.late
    monitor.check_time("the work")
    assert Monitor(Budget(seconds=2)).elapsed == 0
    now[0] += 1.0
    with pytest.raises(BudgetExceededError, match="the work stopped"):
        monitor.check_time("the work")


def test_a_step_names_the_budget_that_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(budget.time, "monotonic", lambda: now[0])
    monitor = Monitor(Budget(seconds=4, memory="1GB"))
    now[0] += 3.0
    step, none = Monitor(monitor.rest(0.5)), Monitor(monitor.budget.part(-1.0).part(0.0, 5))
    assert (step.budget.seconds, step.budget.asked, step.budget.memory) == (0.5, 4.0, 10**9)
    assert (none.budget.seconds, none.budget.memory) == (0.0, 5)
    assert pickle.loads(pickle.dumps(step.budget)).asked == 4.0
    now[0] += 2.0
    for clock, said in (
        (monitor, "5 s used of a budget of 4 s"),
        (step, "2 s used, its share of a budget of 4 s"),
        (none, "nothing was left of a budget of 4 s"),
        (Monitor(Budget(0)), "nothing of the budget was left"),
    ):
        now[0] += 1e-9
        with pytest.raises(BudgetExceededError, match=said) as caught:
            clock.check_time("the work")
        assert caught.value.seconds == clock.budget.asked
    assert Budget().part(2.0).asked == 2.0


def test_numba_tells_how_long_it_compiled() -> None:
    """A kernel that was never compiled before: its time is taken out, once, also when it compiles others."""
    from polyfiber.kernels.jit import numba

    before = budget._compilation.seconds
    inner = numba.njit(lambda x: x + 1)
    outer = numba.njit(lambda x: inner(x) * 2)
    assert outer(3) == 8
    after = budget._compilation.seconds
    assert 0 < after - before < 60
    assert outer(4) == 10
    assert budget._compilation.seconds == after


# ---- memory that the system refuses, and steps that hear a budget ----------------------------------
def test_an_allocation_that_is_refused_is_an_exceeded_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    from polyfiber.complexes.skeleton.build import Skeleton, Unfinished

    def refuse(self: object, layer: int) -> None:
        raise MemoryError("Unable to allocate 3 GiB")

    with monkeypatch.context() as patch:
        patch.setattr(Skeleton, "add_layer", refuse)
        with pytest.raises(BudgetExceededError, match="Unable to allocate") as caught:
            pf.canonical_complex(pf.ReLUNetwork.random((2, 4, 1), rng=0))
    assert isinstance(caught.value.partial, Unfinished)
    cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 4, 1), rng=0))
    monkeypatch.setattr(type(cx._store), "planes", lambda self, dim: refuse(self, dim))
    with pytest.raises(BudgetExceededError, match="memory is used up"):
        cx.signs(2)


def test_steps_of_a_complex_hear_a_budget() -> None:
    net, none = pf.ReLUNetwork.random((2, 5, 4, 1), rng=0), pf.Budget(seconds=0)
    cx = pf.canonical_complex(net, pf.Box([-1, -1], [1, 1]))
    for ask in (
        lambda: cx.exact_vertices(budget=none),
        lambda: cx.volumes(exact=True, budget=none),
        lambda: cx.interior_points(exact=True, budget=none),
        lambda: cx.lipschitz(budget=none),
        lambda: cx.affine_maps(budget=none),
        lambda: cx.largest_ball(0, budget=none),
        lambda: pf.segment_regions(net, [0, 0], [1, 1], budget=none),
    ):
        with pytest.raises(BudgetExceededError):
            ask()
    with pytest.raises(BudgetExceededError) as caught:
        cx.lipschitz(budget=none)
    assert caught.value.partial.error == float("inf")
    assert cx.lipschitz(budget=pf.Budget(seconds=60)) == cx.lipschitz()


# ---- what was done when a budget ran out -----------------------------------------------------------
NET = pf.ReLUNetwork.random((2, 5, 4, 1), rng=0)
CLASSES = pf.ReLUNetwork.random((2, 5, 3), rng=2)
CUBE = pf.Box([-1, -1, -1], [1, 1, 1])
SOLID = pf.ReLUNetwork.random((3, 5, 1), rng=0)
LINES = [[1, 0], [0, 1], [1, 1], [1, 0], [0, 1], [1, -1]]
CROSSING = pf.ReLUNetwork([LINES, [[0, 0, 2, 3, -3, -2]]], [[0, 0, 0, -1, -1, 0], [0.0]])
SQUARE = pf.Box([-1, -1], [1, 1])


def stops(monkeypatch: pytest.MonkeyPatch, ask: Callable[[], Any]) -> list[SoFar]:
    """What errors hold when the time is up at the first look at the clock, the second, … until none is left."""
    found: list[SoFar] = []
    for last in range(400):
        looks = itertools.count()
        late = property(lambda self, looks=looks, last=last: 0.0 if next(looks) < last else 2 * LIMIT.seconds)
        with monkeypatch.context() as patch:
            patch.setattr(Monitor, "elapsed", late)
            try:
                ask()
            except BudgetExceededError as error:
                found.append(pickle.loads(pickle.dumps(error)).partial)
                continue
        return found
    raise AssertionError("400 looks at the clock")


LIMIT = pf.Budget(seconds=1e6)


def rows_of(cells: Any) -> list[set[bytes]]:
    return [{row.tobytes() for row in cells.signs(k)} for k in range(len(cells.counts))]


def whole_rows(found: Any) -> list[set[bytes]]:
    return [{row.tobytes() for row in found.signs(k)} for k in range(found.dimension + 1)]


@pytest.mark.parametrize(("net", "domain"), [(SOLID, CUBE), (CROSSING, SQUARE)], ids=["simple", "crossing"])
@pytest.mark.parametrize("name", ["level_set", "sublevel_set", "decision_boundary"])
def test_a_set_that_was_stopped_has_its_cells(
    monkeypatch: pytest.MonkeyPatch, net: Any, domain: Any, name: str
) -> None:
    cx = pf.canonical_complex(net, domain)
    ask = getattr(cx, name)
    whole = whole_rows(ask())
    parts = stops(monkeypatch, lambda: ask(budget=LIMIT))
    assert (parts[0].done, parts[0].found) == (0, None)
    for part in parts:
        if part.found is not None:
            assert part.done == sum(part.found.counts)
            assert all(some <= all_of for some, all_of in zip(rows_of(part.found), whole))
    assert parts[-1].done > 0


def test_a_boundary_of_classes_that_was_stopped_has_whole_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    cx = pf.canonical_complex(CLASSES, SQUARE)
    whole = whole_rows(cx.decision_boundary())
    parts = stops(monkeypatch, lambda: cx.decision_boundary(budget=LIMIT))
    assert {(part.done, part.total) for part in parts} >= {(0, 3), (1, 3), (2, 3)}
    for part in parts:
        assert part.done == len(part.found)
        for (i, j), cells in part.found.items():
            assert all(some <= all_of for some, all_of in zip(rows_of(cells), whole))
            own = [k for k, pair in enumerate(itertools.combinations(range(3), 2)) if pair == (i, j)]
            assert all((cells.values(k)[:, own] == 0).all() for k in range(len(cells.counts)))


def test_critical_points_that_were_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    cx = pf.canonical_complex(CROSSING)
    whole = cx.critical_points()
    parts = stops(monkeypatch, lambda: cx.critical_points(budget=LIMIT))
    first = [part for part in parts if part.total is not None]
    assert parts[0].done == 0
    assert max(part.done for part in first) > 1
    for part in first:
        pairs = set(zip(part.found.vertices.tolist(), part.found.index.tolist()))
        assert pairs <= set(zip(whole.vertices.tolist(), whole.index.tolist()))
        assert part.done < part.total


def test_persistence_that_was_stopped_says_when_cells_enter(monkeypatch: pytest.MonkeyPatch) -> None:
    cx = pf.canonical_complex(NET, SQUARE)
    values = NET(cx.vertices)[:, 0]
    parts = stops(monkeypatch, lambda: cx.persistence(budget=LIMIT))
    assert {part.total for part in parts} == {sum(cx.f_vector)}
    assert {part.done for part in parts} >= {0, cx.f_vector[0], sum(cx.f_vector[:2])}
    for part in parts:
        for k, entry in enumerate(part.found or ()):
            ptr, corners = incident(cx, k)
            highest = [max(values[corners[a:b]]) for a, b in itertools.pairwise(ptr)]
            assert values[entry].tolist() == pytest.approx(highest, rel=1e-12, abs=1e-12)


def incident(cx: pf.PolyhedralComplex, dim: int) -> tuple[list[int], np.ndarray]:
    """Vertices of the faces of a dimension, by signs: those whose signs are theirs or zero."""
    faces, vertices = cx.signs(dim), cx.signs(0)
    own = [np.flatnonzero(((vertices == f) | (vertices == 0)).all(axis=1)) for f in faces]
    return np.cumsum([0, *map(len, own)]).tolist(), np.concatenate(own)


def test_an_image_that_was_stopped_has_dimensions(monkeypatch: pytest.MonkeyPatch) -> None:
    flat = pf.ReLUNetwork(
        [[[1, 0], [1, 0], [2, 0], [0, 1]], [[1, 2, -1, 3], [2, 1, 1, -1]]], [[0, -0.3, -0.6, 0], [0, 0]]
    )
    cx = pf.canonical_complex(flat, SQUARE)
    whole = [np.linalg.matrix_rank(A) for A in cx.affine_maps()[0]]
    parts = stops(monkeypatch, lambda: cx.image(budget=LIMIT))
    assert {part.total for part in parts} == {cx.n_regions}
    assert max(part.done for part in parts) > 0 == parts[0].done
    for part in parts:
        known = [] if part.found is None else [r for r in range(len(part.found)) if part.found[r] >= 0]
        assert part.done == len(known)
        assert all(part.found[r] == whole[r] for r in known)


def test_cells_that_were_given_out(monkeypatch: pytest.MonkeyPatch) -> None:
    net = pf.ReLUNetwork.random((2, 10, 8, 1), rng=0)
    plan = list(pf.plan_blocks(net, target=40).blocks)
    runs: list[list[Any]] = []

    def ask() -> None:
        runs.append([])
        for cells in pf.iter_cells(net, rows=20, blocks=plan, budget=LIMIT):
            runs[-1].append(cells.signs)

    parts = stops(monkeypatch, ask)
    given = [{row.tobytes() for piece in run for row in piece} for run in runs]
    assert {len(part.found) for part in parts} >= {0, 1, 2}
    for part, seen in zip(parts, given):
        assert part.done == len(seen)
        rest = complement(part.found, network=net) if part.found else plan
        assert seen | {row.tobytes() for cells in pf.iter_cells(net, blocks=rest) for row in cells.signs} == given[-1]


@pytest.mark.parametrize("points", [3, 2])
def test_a_slice_that_was_stopped_has_its_regions(monkeypatch: pytest.MonkeyPatch, points: int) -> None:
    import polyfiber.complexes.planar.walk as walk

    monkeypatch.setattr(walk, "CELLS_A_TURN", 7)
    net = pf.ReLUNetwork.random((6, 12, 8, 3), rng=3)
    corners = np.random.default_rng(0).integers(-9, 9, (points, 6))
    parts = stops(monkeypatch, lambda: pf.slice_through(net, *corners, budget=LIMIT))
    whole = pf.slice_through(net, *corners)
    assert max(part.done for part in parts) > 5 > parts[0].done == 0
    places = {
        row.tobytes(): sorted(map(tuple, cell))
        for row, cell in zip(whole.signs(), whole.polygons() if points == 3 else [])
    }
    for part in parts:
        if part.found is None:
            assert part.done == 0
            continue
        found = part.found
        assert part.done == len(found) < whole.n_regions
        assert str(part) == f"{part.done} regions of the slice"
        cells = found.polygons() if points == 3 else list(found.pieces[:, :, None])
        middles = np.array([cell.mean(axis=0) for cell in cells])
        there = np.concatenate([np.sign(z) for z in net.preactivations(whole.points(middles))[:-1]], axis=1)
        assert (found.signs() == there).all()
        if points == 3:  # and no part of them is missing: they are those of the whole slice
            for cell, row in zip(cells, found.signs()):
                assert sorted(map(tuple, cell)) == places[row.tobytes()]
        A, a, bound = found.affine_maps(np.arange(len(found)))
        values = np.einsum("rok,rk->ro", A[:, :, : middles.shape[1]], middles) + a
        assert (np.abs(values - net(whole.points(middles))) <= bound + 1e-9).all()


# ---- kernels that run long without coming back -----------------------------------------------------
def test_a_kernel_is_stopped_by_another_thread() -> None:
    """Seconds of work each, stopped within a fraction; without a budget they end."""
    M = np.random.default_rng(0).standard_normal((300, 400))
    net = pf.ReLUNetwork.random((400, 3000, 3000, 2), rng=0)
    asks: list[Callable[..., Any]] = [
        lambda budget: pf.nonnegative_column_rank(M, budget=budget),
        lambda budget: pf.canonical_form(net, budget=budget),
    ]
    pf.nonnegative_column_rank(M[:3, :4])
    pf.canonical_form(pf.ReLUNetwork.random((2, 3, 3, 1), rng=0))
    for ask in asks:
        started = time.thread_time()
        with pytest.raises(BudgetExceededError, match="stopped"):
            ask(budget=Budget(seconds=0.05))
        assert time.thread_time() - started < 1.0


def test_a_kernel_that_was_only_compiled_late_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def call(stop: Any) -> None:
        calls.append(1)
        if len(calls) == 1:
            budget.compiled(30.0)  # the time went into compiling
            while not stop[0]:
                time.sleep(0.001)

    with Monitor(Budget(seconds=0.05)).watching():
        budget.until_late(call, "something", budget.LONG)
    assert len(calls) == 2
    monkeypatch.setattr(budget._compilation, "seconds", 0.0)


def test_what_a_budget_stopped_says_how_far_it_came() -> None:
    """Also where nothing that was made can be used without the rest."""
    cx = pf.canonical_complex(pf.ReLUNetwork.random((3, 8, 6, 2), rng=0), pf.Box([-1] * 3, [1] * 3))
    calls: dict[str, Callable[[Budget], Any]] = {
        "volumes": lambda b: cx.volumes(budget=b),
        "interior_points": lambda b: cx.interior_points(budget=b),
        "sharpened": lambda b: cx.sharpened(np.arange(9), rtol=1e-18, budget=b),
        "breakpoint_complex": lambda b: cx.breakpoint_complex(budget=b),
        "materialize": lambda b: cx.materialize(budget=b),
        "region": lambda b: pf.region(cx.network, [0.0] * 3, budget=b),
    }
    for name, call in calls.items():
        with pytest.raises(BudgetExceededError) as stopped:
            call(Budget(seconds=0))
        assert stopped.value.partial is not None, name
        assert isinstance(pickle.loads(pickle.dumps(stopped.value)).partial, SoFar), name
