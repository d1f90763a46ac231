"""Answers that are open say which budget, option or question would decide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber import words
from polyfiber.complexes.certificate import Verification
from polyfiber.complexes.topology.images import Injectivity
from polyfiber.dln.geodesics.conjugate import ConjugateTest
from polyfiber.equivalence.answer import Equivalence, Recheck
from polyfiber.fibers.whole.connection import Connection
from polyfiber.verdict import Verdict

OPEN = Verdict.UNDECIDED
NET = pf.ReLUNetwork.random((2, 3, 1), rng=0)
BOX = pf.Box(-1, 1, dimension=2)


def question(domain: Any, reason: str) -> Equivalence:
    return Equivalence(NET, NET, OPEN, "none", reason, 1e-9, domain=domain)


def path(index: int) -> Any:
    from dataclasses import replace

    found = pf.dln.geodesic(np.diag([2.0, 1.0]), np.array([[2.0, 0.3], [0.0, 1.0]]), 2)
    return replace(found, minimum=ConjugateTest(OPEN, index, float("nan"), 4), lower_bound=0.1)


def unclear_labels() -> Any:
    W = [np.zeros((1, 2, 2)), np.ones((1, 2, 2)), np.ones((1, 1, 2))]
    return pf.fibers.classify_batch(pf.NetworkBatch(W, [np.zeros((1, 2)), np.zeros((1, 2)), np.zeros((1, 1))]))


def unclear_place() -> Any:
    return pf.linear.locate([np.diag([1.0, 5e-9]), np.eye(2)], tolerance=1e-9)


CASES = {
    "equal": (lambda: question(BOX, "the budget ended"), "A larger budget="),
    "equal everywhere": (lambda: question(None, "the budget ended"), "a bounded domain"),
    "recheck": (lambda: Recheck(OPEN, (), "the budget ended"), "a larger budget= goes on"),
    "joined": (lambda: Connection(OPEN, (), None, "no segment inside the fiber"), "budget="),
    "generic": (lambda: pf.genericity(NET, max_vertices=1), "max_vertices="),
    "injective": (lambda: Injectivity(OPEN, None, "the budget ended", 0), "larger budget"),
    "certificate": (lambda: Verification(False, 1, 0, 0, 0, 0, unfinished=("the time ended",)), "larger budget"),
    "labels": (unclear_labels, "classify_fiber"),
    "stratum": (unclear_place, "tolerance="),
    "conjugate end": (lambda: path(0), "more starts"),
    "no short pieces": (lambda: path(-1), "without a budget"),
    "fiber": (lambda: pf.classify_fiber(pf.ReLUNetwork.random((2, 3, 3, 1), rng=0), max_parameters=0), "Next: "),
}


@pytest.mark.parametrize(
    ("n", "said"),
    [
        (1, "1 byte"),
        (5, "5 bytes"),
        (43648, "43.6 kB"),
        (2 * 10**9, "2 GB"),
        (4096 * 10**9, "4096 GB"),
        (999_999, "1 MB"),
    ],
)
def test_bytes_are_said_in_the_unit_in_which_they_are_read(n: int, said: str) -> None:
    assert words.size(n) == said
    assert words.size(10**400).endswith(" GB")


def test_bounds_are_rounded_to_their_side() -> None:
    rng = np.random.default_rng(0)
    values = [*rng.standard_normal(300) * 10.0 ** rng.integers(-320, 300, 300), 0.0, -0.0, 1.0, 999999.5, 5e-324, 1e22]
    for value in map(float, values):
        for digits in (3, 6, 9):
            low, high = float(words.at_least(value, digits)), float(words.at_most(value, digits))
            assert low <= value <= high
            assert len(words.at_most(value, digits)) <= digits + 8


@pytest.mark.parametrize("name", CASES)
def test_an_open_question_says_what_would_decide_it(name: str) -> None:
    make, needed = CASES[name]
    assert needed in make().sentence


def test_a_terminal_is_told_of_options_and_python_of_arguments() -> None:
    for name in ("equal", "recheck", "stratum"):
        make = CASES[name][0]
        with words.at_terminal():
            typed = make().sentence
        assert "--" in typed
        assert "=" not in typed
        assert "--" not in make().sentence
    assert words.way("--prove", "prove=True") == "prove=True"


def test_time_is_not_advised_where_it_decides_nothing() -> None:
    told = question(BOX, "products of parameters leave the range of floats; ask with tolerance=0").sentence
    assert "seconds" not in told
    assert told.endswith("tolerance=0.")
    assert "seconds" not in str(
        Recheck(OPEN, (), "they differ by what is explained; tolerance=0 asks for exact equality")
    )
