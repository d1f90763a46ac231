"""What was proved when time ran out: blocks that cover, cells whose inequalities hold, words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.budget import Monitor
from polyfiber.equivalence.bounds.everywhere import Growth
from polyfiber.equivalence.partial import ProvedPart, agreeing_cells, go_by_blocks
from polyfiber.network.moves import random_trivial

A = pf.ReLUNetwork.random((2, 5, 4, 1), rng=0)
B = random_trivial(A, rng=1)(A)
X = np.random.default_rng(0).standard_normal((40, 2))


def test_cells_hold_the_inputs_around_which_both_agree() -> None:
    cells = agreeing_cells(A, B, X, tolerance=1e-9)
    part = ProvedPart(cells=cells)
    assert len({row.tobytes() for row in cells}) == len(cells)
    held = np.zeros(len(X), dtype=bool)
    for k in range(len(cells)):
        H, h = part.cell(k, A, B)
        inside = (h + 1e-12 >= X @ H.T).all(axis=1)
        held |= inside
        assert inside.any()
    assert held.all()


def test_networks_that_differ_agree_around_no_input() -> None:
    other = pf.ReLUNetwork([*A.weights[:-1], 1.001 * A.weights[-1]], A.biases)
    assert len(agreeing_cells(A, other, X, tolerance=1e-9)) == 0
    assert agreeing_cells(A, other, X, tolerance=1e-9).shape == (0, A.n_hidden + other.n_hidden)


def test_blocks_that_are_confirmed_add_up_to_the_whole() -> None:
    report = go_by_blocks(A, None, lambda cx: (True, None), Monitor())
    assert (report.remaining, report.share, report.failure, report.stopped) == ([], 1.0, None, "")
    assert report.f_vector == pf.canonical_complex(A).f_vector
    whole = go_by_blocks(A, None, lambda cx: (True, None), Monitor(), whole=True)
    assert (whole.regions, len(whole.blocks)) == (report.regions, 1)


def test_a_failure_stops_and_what_is_not_confirmed_remains() -> None:
    seen: list[Any] = []

    def fails(cx: Any) -> tuple[bool, Any]:
        seen.append(cx.n_regions)
        return False, "here"

    report = go_by_blocks(A, None, fails, Monitor())
    assert (report.failure, len(seen), report.blocks) == ("here", 1, [])
    nothing = go_by_blocks(A, None, lambda cx: (False, None), Monitor())
    assert nothing.share == 0.0
    assert len(nothing.remaining) == 1
    late = go_by_blocks(A, None, lambda cx: (True, None), Monitor(pf.Budget(seconds=1e-9)))
    assert late.stopped
    assert late.share < 1.0


def test_proved_and_remaining_polyhedra_cover_the_plane() -> None:
    count = iter(range(1000))
    report = go_by_blocks(A, None, lambda cx: (next(count) % 2 == 0, None), Monitor())
    part = report.part(A, None)
    proved, left = part.proved_polyhedra(), part.remaining_polyhedra()
    inside = [p is None or p.contains(X) for p in (*proved, *left)]
    assert np.any(np.broadcast_arrays(*inside), axis=0).all()


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (ProvedPart(), "nothing"),
        (ProvedPart(regions=7, share=0.25), "7 regions (25 % of all)"),
        (ProvedPart(regions=7, share=0.25, estimated=True), "7 regions (about 25 % of all)"),
        (ProvedPart(cells=np.ones((2, 3), dtype=np.int8)), "2 cells around inputs that were tried"),
    ],
)
def test_in_words(part: ProvedPart, words: str) -> None:
    assert str(part) == words


def test_plain_data() -> None:
    part = ProvedPart(regions=3, share=0.5, cells=np.ones((1, 2), dtype=np.int8), growth=Growth(1.0, 2.0))
    assert part.summary == {
        "share": 0.5, "share estimated": False, "regions": 3, "cells": 1, "everywhere": {"constant": 1.0, "slope": 2.0},
    }  # fmt: skip
