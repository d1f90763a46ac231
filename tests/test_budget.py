"""Budgets count work, not compilation."""

from __future__ import annotations

import pytest

import polyfiber as pf
from polyfiber import budget
from polyfiber.budget import Budget, Monitor
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
