"""Check an answer about near-equal networks anew: values at fresh inputs, the counterexample in rationals, the boxes by
another relaxation.

Shared with the answer are the question, and what was split.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np

from ... import words
from ...budget import Budget, Monitor
from ...errors import InputError
from ...numerics.floats import as_float
from ...processes import one_blas_thread, start_method
from ...verdict import Verdict
from ..answer import Recheck
from ..bounds.near_equal import NearEqual, Question
from ..collections.parallel_map import mapper
from ..witness import candidates, rounding_bound
from .leaves import LeafCheck, common, prove_leaves

INPUTS = 2000
PARTS = 16
"""Parts of the boxes that are handed out where several processes prove them."""


def recheck_near(
    answer: NearEqual, *, monitor: Monitor, rng: Any = 0, workers: int = 1, scheduler: Any = None
) -> tuple[Recheck, LeafCheck | None]:
    """Whether an answer of `near_equal` holds, and what the second look at its boxes came to.

    NO: the gap at the counterexample in rationals. YES: values at fresh inputs, and every box proved again (`leaves`).
    UNDECIDED: the bound against values at fresh inputs. With several workers (processes of this machine) or a scheduler
    (see `parallel_map.mapper`) parts of the boxes are proved side by side.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.budget import Monitor
    >>> from polyfiber.equivalence.bounds.near_equal import near_equal
    >>> from polyfiber.equivalence.checks.near import recheck_near
    >>> a = pf.ReLUNetwork.random((2, 6, 5, 1), rng=0)
    >>> b = pf.ReLUNetwork([W * 1.001 for W in a.weights], a.biases)
    >>> answer = near_equal(a, b, pf.Box(-1, 1, dimension=2), epsilon=0.01)
    >>> recheck_near(answer, monitor=Monitor())[0].verdict
    <Verdict.YES: 'yes'>
    """
    question = Question.of(answer.a, answer.b, answer.domain, answer.epsilon, answer.relative)

    def said(verdict: Verdict, reason: str, *checks: str) -> Recheck:
        return Recheck(verdict, checks, reason, monitor.elapsed, "boxes on which both networks are bounded together")

    if answer.verdict is Verdict.NO:
        x = None if answer.point is None else question.input_at(question.seen_at(answer.point))
        if x is None:
            return said(Verdict.NO, "the counterexample is not in the domain"), None
        excess = question.exactly(x)[0]
        if not excess > 0:
            return said(Verdict.NO, "the outputs do not differ by more than what is allowed"), None
        what = f"the allowance is exceeded by {as_float(excess):.3g}, in rational arithmetic"
        return said(Verdict.YES, what, "the outputs at the counterexample"), None
    fa, fb = answer.a.rounded(), answer.b.rounded()
    X = candidates(fa, fb, answer.domain, n=INPUTS, rng=rng)
    u = fa(X)
    noise = rounding_bound(fa, X) + rounding_bound(fb, X)
    over = np.abs(u - fb(X)) - answer.epsilon - answer.relative * np.abs(u) - noise
    slack = 0.0 if answer.verdict is Verdict.YES else answer.bound - float(answer.epsilon.max())
    for x in X[np.argsort(-over.max(axis=1))[:8]] if over.size and float(over.max()) > slack else []:
        point = question.input_at(question.seen_at(x))  # None: rounding put it outside
        if point is not None and question.exactly(point)[0] > slack:
            return said(Verdict.NO, "the outputs differ at an input by more than what was claimed"), None
    checks = f"values at {words.count(len(X), 'input')}"
    if answer.verdict is Verdict.UNDECIDED:
        return said(Verdict.YES, "the bound holds at fresh inputs", checks), None
    leaves = prove_in_parts(question, answer, monitor, workers, scheduler)
    names = ("leaf", "leaves") if answer.tree.neurons else ("box", "boxes")
    text = f"{leaves.boxes} of {words.count(answer.tree.n_leaves, *names)} by another relaxation, {leaves.halved} times one was split further"
    if leaves.complete:
        return said(Verdict.YES, text, checks), leaves
    return said(Verdict.UNDECIDED, leaves.failed or f"the time ended after {text}", checks), leaves


def prove_in_parts(
    question: Question, answer: NearEqual, monitor: Monitor, workers: int = 1, scheduler: Any = None
) -> LeafCheck:
    """`prove_leaves`, its boxes in parts for several processes; a part that is lost leaves the rest undecided."""
    if workers < 1:
        raise InputError(f"workers must be at least 1, found {workers}")
    tree, (lo, hi) = answer.tree, question.box
    if len(tree.lo) != len(lo) or (tree.lo > lo).any() or (tree.hi < hi).any():
        return LeafCheck(failed="the tree is that of another box")
    prove = partial(prove_leaves, question.sides, question.groups, tree, question.rows)
    parts = min(PARTS, answer.tree.n_leaves)
    if (workers == 1 and scheduler is None) or parts == 1:
        return prove(monitor=monitor)
    started = monitor.elapsed
    prove = partial(prove, known=common(question.sides, question.groups, answer.tree, question.rows, monitor=monitor))
    end = None if monitor.left is None else time.time() + monitor.left
    total = LeafCheck(complete=True)
    with ExitStack() as opened:
        opened.enter_context(one_blas_thread())
        if scheduler is None:
            context = multiprocessing.get_context(start_method())
            scheduler = opened.enter_context(ProcessPoolExecutor(workers, context))
        run = opened.enter_context(mapper(scheduler, workers))
        try:
            for found in run(partial(_part, prove, end, parts), range(parts)):
                total.complete = total.complete and found.complete
                total.failed = total.failed or found.failed
                total.share += found.share
                total.boxes += found.boxes
                total.halved += found.halved
        except BrokenExecutor:
            total.complete, total.failed = False, "a worker was lost"
    total.complete = total.complete and total.boxes == answer.tree.n_leaves
    total.share, total.seconds = min(total.share, 1.0), monitor.elapsed - started
    return total


def _part(prove: Callable[..., LeafCheck], end: float | None, parts: int, i: int) -> LeafCheck:
    """One part, until a time of the clock."""
    left = None if end is None else max(0.0, end - time.time())
    return prove(monitor=Monitor(Budget(seconds=left)), part=(i, parts))
