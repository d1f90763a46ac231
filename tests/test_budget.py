"""Budgets count work, not compilation."""

from __future__ import annotations

import pytest

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
