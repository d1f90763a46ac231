"""Boxes dealt out to processes and schedulers: verdicts, trees and counts of one process; workers that are lost; time
that ends; interruptions.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from concurrent.futures import BrokenExecutor
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.bounds.split import Outcome
from polyfiber.bounds.tree import OPEN
from polyfiber.budget import Budget, Monitor
from polyfiber.equivalence.bounds import crew, shared_boxes, side_by_side
from polyfiber.equivalence.bounds.crew import Crew
from polyfiber.equivalence.bounds.near_equal import Question, largest_difference, near_equal
from polyfiber.equivalence.bounds.side_by_side import settled, shared
from polyfiber.equivalence.queries.prove import prove
from polyfiber.equivalence.queries.vnnlib import parse_query
from polyfiber.errors import InputError

ROOT = Path(__file__).parents[3]
BOX = pf.Box(-1, 1, dimension=4)
FACTOR = {"yes": 1.00001, "no": 0.9999}
pytestmark = pytest.mark.usefixtures("forked")


@pytest.fixture(scope="module")
def pair() -> tuple[pf.ReLUNetwork, pf.ReLUNetwork, float]:
    """Two networks, and the largest gap found between them, which is the largest but for 1e-6."""
    draw = np.random.default_rng(4)
    f = pf.ReLUNetwork.random((4, 24, 24, 2), rng=draw)
    g = pf.ReLUNetwork([W + 1e-3 * draw.standard_normal(W.shape) for W in f.weights], f.biases)
    found = pf.difference(f, g, BOX, method="bound")
    assert found.upper <= found.maximum * (1 + 2e-6)
    return f, g, found.maximum


Pair = tuple[pf.ReLUNetwork, pf.ReLUNetwork, float]


class Executor:
    """Runs tasks here, on copies as they travel; the ones it is told to lose end it."""

    def __init__(self, lost: set[int]) -> None:
        self.lost, self.count = lost, 0

    def map(self, function: Any, items: Any) -> Any:
        for item in items:
            self.count += 1
            if self.count in self.lost:
                raise BrokenExecutor("a worker was lost")
            there, task = pickle.loads(pickle.dumps((function, item)))
            yield there(task)


@pytest.fixture(autouse=True)
def dealt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Boxes are dealt at once, in short rounds."""
    monkeypatch.setattr(shared_boxes, "ALONE", 1e-3)
    monkeypatch.setattr(side_by_side, "ROUND", 0.01)
    monkeypatch.setattr(side_by_side, "SMALL", 2)
    monkeypatch.setattr(crew, "TICK", 0.005)


def whole(found: Outcome) -> None:
    """A proof whose leaves fill the box, each looked at once."""
    assert found.status == "proved"
    assert (found.tree.split != OPEN).all()
    volume = sum(float(np.prod(hi - lo)) for lo, hi, _ in found.tree.leaves())
    assert abs(volume - 16.0) < 1e-9
    assert found.boxes == len(found.tree.split)  # nothing is counted twice


def partly(found: Outcome) -> None:
    """An open answer that counts what is open, and its share."""
    assert found.status == "open"
    assert found.open == int((found.tree.split == OPEN).sum()) > 0
    volume = sum(float(np.prod(hi - lo)) for lo, hi, mark in found.tree.leaves() if mark != OPEN) / 16
    assert abs(volume - found.share) < 1e-9


@pytest.mark.parametrize("verdict", ["yes", "no"])
@pytest.mark.parametrize("workers", [2, 3])
def test_processes_say_what_one_says(pair: Pair, verdict: str, workers: int) -> None:
    f, g, top = pair
    answers = [near_equal(f, g, BOX, epsilon=FACTOR[verdict] * top, workers=w) for w in (1, workers)]
    assert [a.verdict.value for a in answers] == [verdict] * 2
    if verdict == "yes":
        assert answers[0].tree.n_leaves == answers[1].tree.n_leaves
        leaves = [sorted((lo.tolist(), hi.tolist()) for lo, hi, _ in a.tree.leaves()) for a in answers]
        assert leaves[0] == leaves[1]
        assert answers[1].proved == 1.0
        assert answers[1].n_boxes == answers[0].n_boxes
        assert top <= answers[1].bound <= answers[1].epsilon[0]
    else:
        assert answers[1].gap is not None
        assert answers[1].gap > answers[1].epsilon[0]


@pytest.mark.parametrize("scheduler", [None, Executor(set())], ids=["processes", "scheduler"])
def test_the_largest_difference_is_bracketed_side_by_side(pair: Pair, scheduler: Any) -> None:
    f, g, top = pair
    found = largest_difference(f, g, BOX, monitor=Monitor(), workers=2, scheduler=scheduler)
    assert found.complete
    assert abs(found.attained - top) <= 2e-6 * top
    assert top <= found.upper
    public = pf.difference(f, g, BOX, method="bound", workers=2, scheduler=scheduler)
    assert public.complete
    assert public.maximum <= found.upper


def test_public_answers_are_those_of_one(pair: Pair) -> None:
    f, g, top = pair
    for verdict, factor in FACTOR.items():
        assert pf.are_equivalent(f, g, BOX, epsilon=factor * top, workers=2).verdict.value == verdict
        found = pf.are_equivalent(f, g, BOX, epsilon=factor * top, method="bound", workers=2, scheduler=Executor(set()))
        assert found.verdict.value == verdict


@pytest.mark.parametrize("scheduler", [None, Executor(set())], ids=["processes", "scheduler"])
def test_queries_are_answered_side_by_side(pair: Pair, scheduler: Any) -> None:
    f, _, _ = pair
    zero = pf.ReLUNetwork([0 * W for W in f.weights], [0 * b for b in f.biases])
    top = pf.difference(f, zero, BOX, method="bound").maximum
    names = "".join(f"(declare-const X_{i} Real)(assert (<= X_{i} 1))(assert (>= X_{i} -1))" for i in range(4))
    names += "(declare-const Y_0 Real)(declare-const Y_1 Real)"
    for factor, status in ((1.00001, "unsat"), (0.999, "sat")):
        beyond = [f"(>= Y_{k} {factor * top:.12f})" for k in (0, 1)] + [
            f"(<= Y_{k} -{factor * top:.12f})" for k in (0, 1)
        ]
        halves = f"(or (and (<= X_0 0.1) (or {' '.join(beyond)})) (and (>= X_0 0) (or {' '.join(beyond)})))"
        for text in (f"(assert (or {' '.join(beyond)}))", f"(assert {halves})"):
            found = prove(parse_query(names + text), [f], workers=2, scheduler=scheduler, budget=Budget(60.0))
            assert found.status == status, found.reason
            if status == "sat":
                assert max(abs(v) for v in f.exact()(found.inputs[0])) >= Fraction(f"{factor * top:.12f}")


def test_processes_that_are_not_forked(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """They take a second, in which this process goes on."""
    monkeypatch.setattr(crew, "start_method", lambda: "spawn")
    f, g, top = pair
    boxes = Crew(Question.of(f, g, BOX, 1.0000001 * top).search, 2)
    try:
        assert boxes._ready() is False
        whole(boxes.run(Monitor()))
    finally:
        boxes.close()


@pytest.mark.parametrize("lost", [{1}, {2, 9}, {3, 4, 5, 6}, set(range(1, 1000))], ids=["first", "two", "many", "all"])
def test_a_lost_round_loses_nothing(pair: Pair, lost: set[int]) -> None:
    f, g, top = pair
    executor = Executor(lost)
    whole(settled(Question.of(f, g, BOX, 1.00001 * top).search, Monitor(), workers=4, scheduler=executor))
    assert executor.count >= min(lost)


@pytest.mark.parametrize("after", [1, 20])
@pytest.mark.parametrize("lost", [1, 2, 3], ids=["one", "two", "all"])
def test_a_killed_process_loses_nothing(pair: Pair, lost: int, after: int) -> None:
    f, g, top = pair
    killed: list[int] = []

    def kill(progress: Any) -> None:
        busy = [w.process.pid for w in boxes.workers if w.busy and w.process.pid not in killed]
        if len(killed) < lost and busy and progress.done > after:
            os.kill(busy[-1], signal.SIGKILL)
            killed.append(busy[-1])

    boxes = Crew(Question.of(f, g, BOX, 1.0000001 * top).search, 3)
    try:
        whole(boxes.run(Monitor(None, kill)))
    finally:
        boxes.close()
    assert len(killed) == lost


@pytest.mark.parametrize("scheduler", [None, Executor(set())], ids=["processes", "scheduler"])
def test_where_the_time_ends_the_bound_holds_and_it_goes_on(pair: Pair, scheduler: Any) -> None:
    f, g, top = pair
    with shared(Question.of(f, g, BOX, 1.00001 * top).search, 3, scheduler) as (_, run):
        found = run(Monitor(), seconds=0.1)
        for _ in range(2):
            if found.status == "open":
                partly(found)
                assert found.excess + 1.00001 * top >= top * (1 - 1e-9)
                assert found.stopped.startswith("the time")
                found = run(Monitor(), seconds=0.1, attack=False)
        whole(run(Monitor(), attack=False))


@pytest.mark.parametrize("scheduler", [None, Executor(set())], ids=["processes", "scheduler"])
def test_an_interruption_leaves_what_was_done(pair: Pair, scheduler: Any) -> None:
    f, g, top = pair
    told: list[Any] = []

    def stop(progress: Any) -> None:
        told.append(progress)
        if progress.done > 20:
            raise KeyboardInterrupt

    with shared(Question.of(f, g, BOX, 1.00001 * top).search, 2, scheduler) as (_, run):
        found = run(Monitor(None, stop))
        partly(found)
        assert found.stopped == "interrupted"
        assert found.boxes > 20
        assert {"share", "bound", "best", "open", "rate"} <= set(told[-1].facts)
        whole(run(Monitor(), attack=False))


KEY = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
import polyfiber as pf
from polyfiber.equivalence.bounds.near_equal import near_equal
f = pf.ReLUNetwork.random((5, 40, 40, 40, 2), rng=0)
g = pf.ReLUNetwork([W * 1.001 for W in f.weights], f.biases)
print("begun", flush=True)
found = near_equal(f, g, pf.Box(-5, 5, dimension=5), epsilon=0.051, workers=2, progress=lambda p: print("told", flush=True))
print(found.verdict.value, found.reason)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_is_heard_while_processes_work() -> None:
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", KEY], start_new_session=True, **pipes) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(5)]
        os.killpg(process.pid, signal.SIGINT)  # all of them hear it, as from a terminal
        out, err = process.communicate(timeout=100)
    assert told[-1] == "told\n"
    assert out.splitlines()[-1].startswith("undecided interrupted"), out[-1000:]
    assert "Traceback" not in err
    assert process.returncode == 0


UNGUARDED = """
import sys, threading, time
import polyfiber as pf
if __name__ != "__main__" and sys.argv[1] == "leave":
    raise SystemExit
f = pf.ReLUNetwork.random((5, 40, 40, 40, 2), rng=0)
g = pf.ReLUNetwork([W * 1.001 for W in f.weights], f.biases)
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()  # so that processes are spawned
from polyfiber.budget import Monitor
from polyfiber.equivalence.bounds.near_equal import Question
from polyfiber.equivalence.bounds.crew import Crew
crew = Crew(Question.of(f, g, pf.Box(-5, 5, dimension=5), 0.051).search, 2)
began = time.time()
while not crew._ready() and time.time() < began + 60:
    time.sleep(0.1)
begun = time.time()
found = crew.run(Monitor(pf.Budget(seconds=0.5)), attack=False)
print(found.status, found.stopped, len(crew.workers), time.time() - begun)
crew.close()
print("closed", time.time() - begun)
"""


@pytest.mark.parametrize(
    ("how", "told"), [("leave", "ended at their start (exit code 0)"), ("run", "must start under if __name__")]
)
def test_programs_that_end_when_they_are_imported(how: str, told: str, tmp_path: Path) -> None:
    """Workers that die before they hear what to search: the search goes on here, and ends with its budget."""
    script = tmp_path / "program.py"
    script.write_text(UNGUARDED)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(script), how]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100, check=True)
    status, closed = ran.stdout.splitlines()
    assert status.startswith("open the time is used up"), ran.stdout
    assert status.split()[-2] == "0"
    assert float(closed.split()[1]) < 20
    assert told in ran.stderr


def test_memory_is_shared_among_processes(pair: Pair) -> None:
    f, g, top = pair
    found = near_equal(f, g, BOX, epsilon=1.0000001 * top, workers=2, budget=Budget(30.0, 1 << 18))
    assert found.verdict.value == "undecided"
    assert "open boxes take" in found.reason
    assert found.bound >= top


@pytest.mark.parametrize(
    "call",
    [
        partial(pf.are_equivalent, domain=BOX, workers=2),
        partial(pf.are_equivalent, domain=BOX, epsilon=0.0, workers=2),
        partial(pf.are_equivalent, domain=BOX, epsilon=1.0, method="regions", workers=2),
        partial(pf.are_equivalent, domain=BOX, epsilon=1.0, method="forms", scheduler=Executor(set())),
        partial(pf.difference, domain=BOX, workers=2),
        partial(pf.difference, domain=BOX, method="regions", scheduler=Executor(set())),
    ],
)
def test_workers_without_effect_are_refused(pair: Pair, call: Any) -> None:
    f, g, _ = pair
    with pytest.raises(InputError, match="share boxes"):
        call(f, g)


@pytest.mark.parametrize("workers", [0, -1, 1.5, "2"])
def test_numbers_of_workers_that_are_none_are_refused(workers: Any) -> None:
    f = pf.ReLUNetwork.random((2, 3, 1), rng=0)
    box = pf.Box(-1, 1, dimension=2)
    for call in (near_equal, pf.are_equivalent):
        with pytest.raises(InputError, match="at least 1"):
            call(f, f, box, epsilon=1.0, workers=workers)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_cluster_says_what_one_says(pair: Pair) -> None:
    distributed = pytest.importorskip("distributed")
    f, g, top = pair
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        for (verdict, factor), scheduler in zip(FACTOR.items(), (client, cluster.scheduler_address)):
            found = pf.are_equivalent(f, g, BOX, epsilon=factor * top, scheduler=scheduler, workers=2)
            assert found.verdict.value == verdict
