"""Check an answer about near-equal networks anew: values at fresh inputs, the counterexample in rationals, the boxes by another relaxation."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...budget import Monitor
from ...verdict import Verdict
from ..answer import Recheck
from ..bounds.near_equal import NearEqual, Question
from ..witness import as_float, candidates, rounding_bound
from .leaves import LeafCheck, prove_leaves

INPUTS = 2000


def recheck_near(answer: NearEqual, *, monitor: Monitor, rng: Any = 0) -> tuple[Recheck, LeafCheck | None]:
    """Whether an answer of `near_equal` holds, and what the second look at its boxes came to.

    NO: the gap at the counterexample in rationals. YES: values at fresh inputs, and every box proved again (`leaves`). UNDECIDED: the
    bound against values at fresh inputs.

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
    checks = f"values at {len(X)} inputs"
    if answer.verdict is Verdict.UNDECIDED:
        return said(Verdict.YES, "the bound holds at fresh inputs", checks), None
    leaves = prove_leaves(question.sides, question.groups, answer.tree, question.rows, monitor=monitor)
    text = (
        f"{leaves.boxes} of {answer.tree.n_leaves} boxes by another relaxation, {leaves.halved} of them halved further"
    )
    if leaves.complete:
        return said(Verdict.YES, text, checks), leaves
    return said(Verdict.UNDECIDED, leaves.failed or f"the time ended after {text}", checks), leaves
