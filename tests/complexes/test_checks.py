"""The independent checks pass on what was built and name what was falsified."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes.checks.flats import implied_rank
from polyfiber.complexes.skeleton.arrays import make_frame

from ..oracles.memory import opened

NET = pf.ReLUNetwork.random((2, 6, 5, 2), rng=0)
LINES = pf.ReLUNetwork([[[1, 0], [0, 1], [1, 1], [1, -1]], [[1, 1, 1, 1]]], [[0] * 4, [0]])
BOX = pf.Box([-1, -1], [1, 2])
CASES = [(NET, None), (NET, BOX), (LINES, None), (LINES, BOX), (pf.ReLUNetwork.random((3, 2, 4, 1), rng=2), None)]


def everything(cx: pf.PolyhedralComplex) -> Any:
    return cx.certificate.verify(everything=True)


@pytest.mark.parametrize("case", range(len(CASES)))
def test_what_was_built_holds_and_checking_changes_nothing(case: int) -> None:
    cx = pf.canonical_complex(*CASES[case])
    _ = cx.vertices, cx.rays
    before = copy.deepcopy(cx._skeleton.__getstate__()["columns"]), vars(cx.stats).copy()
    found = everything(cx)
    assert found.ok, found.problems + found.unfinished
    assert found.verdict is pf.Verdict.YES
    assert len(found.recomputed) >= 4
    after = cx._skeleton.__getstate__()["columns"]
    for name in after:  # what was never written may be no number
        np.testing.assert_array_equal(before[0][name], after[name])
    assert vars(cx.stats) == before[1]


def first_finite(cx: pf.PolyhedralComplex) -> int:
    return int(cx._finite[0])


def move_a_vertex(cx: pf.PolyhedralComplex) -> None:
    cx._skeleton.state.x[first_finite(cx), 0] += 1e-9


def move_what_was_returned(cx: pf.PolyhedralComplex) -> None:
    opened(cx.vertices)[1, 0] += 1e-6


def claim_too_much(cx: pf.PolyhedralComplex) -> None:
    cx._skeleton.state.err[first_finite(cx)] = 1e-300
    cx._skeleton.state.x[first_finite(cx), 0] *= 1 + 2.0**-48


def turn_a_ray(cx: pf.PolyhedralComplex) -> None:
    opened(cx.rays[1])[0] *= -1


def drop_a_face(cx: pf.PolyhedralComplex) -> None:
    cx._store._planes[1] = cx._store.planes(1)[:-1]


def repeat_a_face(cx: pf.PolyhedralComplex) -> None:
    cx._store._planes[2] = cx._store.planes(2).copy()
    cx._store._planes[2][0] = cx._store._planes[2][1]


def another_cover(cx: pf.PolyhedralComplex) -> None:
    indices = cx._store.covers_above(1)[1]
    indices[0] = (indices[0] + 1) % cx.n_regions


def another_end(cx: pf.PolyhedralComplex) -> None:
    opened(cx.edges)[0, 0] = (cx.edges[0, 0] + 1) % cx.f_vector[0]


def unbounded_after_all(cx: pf.PolyhedralComplex) -> None:
    opened(cx.is_unbounded(2))[:] ^= True


def another_count(cx: pf.PolyhedralComplex) -> None:
    cx._store._kept["counts"] = (cx.f_vector[0], cx.f_vector[1] + 1, cx.f_vector[2] + 1)


FALSE: list[Callable[[pf.PolyhedralComplex], None]] = [
    move_a_vertex, move_what_was_returned, claim_too_much, turn_a_ray, drop_a_face, repeat_a_face, another_cover,
    another_end, unbounded_after_all, another_count,
]  # fmt: skip


@pytest.mark.parametrize("falsify", FALSE, ids=lambda f: f.__name__)
@pytest.mark.parametrize("net", [NET, LINES], ids=["simple", "lattice"])
def test_what_was_falsified_is_named(net: pf.ReLUNetwork, falsify: Callable[[pf.PolyhedralComplex], None]) -> None:
    if net is LINES and falsify in (move_what_was_returned, claim_too_much):
        pytest.skip("its one vertex is the origin")
    cx = pf.canonical_complex(net)
    assert everything(cx).ok
    if net is LINES and falsify is another_end:
        opened(cx.edges)[0, 0] = -1
    else:
        falsify(cx)
    found = cx.certificate.verify()
    assert found.verdict is pf.Verdict.NO
    assert found.problems


def test_an_edge_that_goes_down_is_named() -> None:
    for half in range(8):
        cx = pf.canonical_complex(NET)
        assert cx.certificate.verify().ok
        st, n, shift = cx._skeleton.state, 2, cx._frame.net.shift
        v, h = np.argwhere((st.star[: cx._skeleton.nv, : 2 * n] >= 0) & (st.at_inf[: cx._skeleton.nv, None] < 0))[half]
        t = int(st.star[v, h])
        w, g = t >> shift, t & ((1 << shift) - 1)
        up = cx._store.up
        up[v] ^= np.uint64(1 << int(h))
        up[w] ^= np.uint64(1 << g)
        assert not cx.certificate.verify().ok


def test_a_check_that_runs_out_of_time_is_undecided() -> None:
    cx = pf.canonical_complex(NET)
    found = cx.certificate.verify(budget=pf.Budget(seconds=0))
    assert found.verdict is pf.Verdict.UNDECIDED
    assert found.unfinished
    assert not found.ok


def test_nonsense_is_a_finding_and_no_crash() -> None:
    rng = np.random.default_rng(0)
    for net in (NET, LINES):
        for name in ("star", "words", "x", "err", "at_inf", "slot"):
            for _ in range(5):
                cx = pf.canonical_complex(net)
                column = getattr(cx._skeleton.state, name)
                row = int(rng.integers(cx._skeleton.nv))
                column[row] = rng.integers(-(2**31), 2**31, size=column[row].shape).astype(column.dtype)
                found = cx.certificate.verify()
                assert found.verdict in (pf.Verdict.YES, pf.Verdict.NO)
                if name in ("star", "words", "at_inf"):
                    assert not found.ok or net is LINES  # of a lattice half-edges mean nothing


def test_equalities_that_inequalities_imply() -> None:
    """x = 1 by opposite inequalities of different sizes; a triangle that is a point; nothing in a box."""
    one = pf.ReLUNetwork.random((2, 3, 1), rng=0)

    def implied(A: Any, b: Any, facets: list[int]) -> int | None:
        return implied_rank(make_frame(one, pf.Polyhedron(A, b), flat=False), facets)

    assert implied([[3, 0], [-0.3, 0], [0, 1], [0, -1]], [3, -0.3, 1, 1], [0, 1]) in (1, None)  # 0.3 is no third of 0.9
    assert implied([[2, 0], [-4, 0], [0, 1], [0, -1]], [2, -4, 1, 1], [0, 1]) == 1
    assert implied([[1, 0], [0, 1], [-1, -1]], [0, 0, 0], [0, 1, 2]) == 2
    assert implied([[1, 0], [-1, 0], [0, 1], [0, -1]], [1, 1, 1, 1], [0, 1]) is None
