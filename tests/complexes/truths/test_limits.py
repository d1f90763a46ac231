"""Budgets, progress, interruption."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.budget import available_memory, parse_bytes
from polyfiber.errors import BudgetExceededError, InputError


def test_memory_budget_is_refused_with_the_amount() -> None:
    net = pf.ReLUNetwork.random((3, 32, 32, 1), rng=0)
    with pytest.raises(BudgetExceededError, match="MB") as caught:
        pf.canonical_complex(net, budget=pf.Budget(memory="1MB"))
    assert caught.value.needed > 10**6
    cx = pf.canonical_complex(net, budget=pf.Budget(memory="5.6MB"))
    with pytest.raises(BudgetExceededError, match="faces"):
        cx.materialize()


def test_time_budget_stops_the_work() -> None:
    net = pf.ReLUNetwork.random((3, 48, 48, 1), rng=0)
    with pytest.raises(BudgetExceededError, match="nothing of the budget was left"):
        pf.face_counts(net, budget=pf.Budget(seconds=0))


def test_what_cannot_fit_is_refused_at_once() -> None:
    net = pf.ReLUNetwork.random((20, 300, 300, 1), rng=0)
    with pytest.raises(BudgetExceededError, match="expected to have"):
        pf.canonical_complex(net)


def test_progress_is_reported() -> None:
    seen = []
    pf.face_counts(pf.ReLUNetwork.random((2, 8, 8, 1), rng=0), progress=seen.append)
    assert seen[-1].done == seen[-1].total == 16
    assert seen[-1].facts["vertices"] > 0
    with pytest.raises(InputError, match="progress"):
        pf.face_counts(pf.ReLUNetwork.random((2, 3, 1), rng=0), progress=3)  # type: ignore[arg-type]


def test_bad_budgets() -> None:
    assert parse_bytes("1.5 GB") == 1_500_000_000
    for bad in ("lots", "-3MB", 0):
        with pytest.raises(InputError):
            pf.Budget(memory=bad)
    with pytest.raises(InputError):
        pf.Budget(seconds=-1)
    with pytest.raises(InputError, match="Budget"):
        pf.face_counts(pf.ReLUNetwork.random((2, 3, 1), rng=0), budget=3)  # type: ignore[arg-type]
    assert available_memory() is None or available_memory() > 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_interrupt_ends_cleanly(tmp_path) -> None:
    path = tmp_path / "large.npz"
    pf.ReLUNetwork.random((4, 64, 64, 1), rng=0).save(path)
    process = subprocess.Popen(
        [sys.executable, "-m", "polyfiber", "complex", str(path)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # ignored in background jobs
    )
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    # Python itself ends by the signal where it had fallen into an exec, as numba's
    assert process.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in err
    assert err.endswith("polyfiber: interrupted\n")


@pytest.mark.parametrize("hidden", [1700, 3000])
def test_counts_beyond_floats_are_written_and_refused(hidden: int) -> None:
    """C(3000, 784) has 747 digits."""
    net = pf.ReLUNetwork.random((784, hidden, 10), rng=0)
    other = pf.ReLUNetwork([net.weights[0], net.weights[1] * 2], net.biases)
    limits = pf.Budget(seconds=1)
    with pytest.raises(BudgetExceededError, match=r"1e\+\d+ vertices"):
        pf.canonical_complex(net, budget=limits)
    assert "vertices" in pf.feasibility(net)[0].note
    assert pf.are_equivalent(net, other, budget=limits).verdict is not pf.Verdict.YES
    assert pf.are_equivalent(net, other, tolerance=0, budget=limits).verdict is not pf.Verdict.YES


@pytest.mark.parametrize("ask", [pf.canonical_complex, pf.face_counts])
def test_boxes_whose_corners_do_not_fit_are_refused(ask: Any) -> None:
    net = pf.ReLUNetwork.random((60, 5, 1), rng=0)
    with pytest.raises(pf.errors.BudgetExceededError, match="corners of the box alone"):
        ask(net, pf.Box(0, 1, dimension=60))
    lo, hi = np.zeros(60), np.zeros(60)
    hi[:3] = 1.0
    assert ask(net, pf.Box(lo, hi)) is not None
