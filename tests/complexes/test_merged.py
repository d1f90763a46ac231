"""All of R^n where flat walls leave directions uncut, and pieces of maxima, against brute force."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes.merged import merged_regions
from polyfiber.errors import GenericityError
from polyfiber.testing.graphs import maximum, random_graph
from scripts.attacks.complexes.gates import attack
from tests.oracles.graph_faces import graph_complex


def test_the_attack_finds_nothing() -> None:
    tried, wrong = attack(seed=0, count=40, seconds=60.0, parts=("whole",))
    assert not wrong
    assert tried["whole spaces"] >= 3
    assert tried["maxima"] >= 5


def test_a_maximum_on_the_whole_plane(tmp_path: Path) -> None:
    net, A, a = maximum(2, 3, rng=7)
    cx, truth = pf.canonical_complex(net), graph_complex(net)
    assert cx.f_vector == truth.f_vector == pf.face_counts(net) == (1, 4, 4)
    for k in range(3):
        assert {tuple(r) for r in cx.signs(k).tolist()} == {p.signs for p in truth.of_dim(k)}
    assert cx.certificate.verify(everything=True).ok
    # the piece of a point is who is largest there
    X = np.random.default_rng(0).normal(size=(50, 2)) * 5
    pieces, winners = merged_regions(cx)[cx.locate(X)], (X @ A.T + a).argmax(axis=1)
    assert len({(p, w) for p, w in zip(pieces.tolist(), winners.tolist())}) == len(set(winners.tolist())) == 3
    cx.save(tmp_path / "max.npz")
    for again in (pf.PolyhedralComplex.load(tmp_path / "max.npz"), pickle.loads(pickle.dumps(cx))):
        assert again.f_vector == cx.f_vector
        assert again.certificate.verify(everything=True).ok
    line = pf.canonical_complex(net, pf.Polyhedron([[1.0, 1.0]], [2.0])).level_set(float(a.max()) + 3.0)
    assert line.betti_numbers()[0] >= 1


def test_a_level_set_and_breakpoints_of_a_maximum() -> None:
    net, A, a = maximum(2, 4, rng=3)
    cx = pf.canonical_complex(net)
    level = cx.level_set(5.0)  # the border of a convex polygon, or part of one
    assert level.connected_components()[0] == 1
    assert np.allclose((level.vertices @ A.T + a).max(axis=1), 5.0)
    assert cx.breakpoint_complex().balancing_residual() < 1e-9


def test_general_position_on_the_whole_plane() -> None:
    net = maximum(2, 3, rng=7)[0]
    assert pf.canonical_complex(net, on_degenerate="refuse").f_vector == (1, 4, 4)
    zero = random_graph(0, 2, (1, 2), kind="relu", wiring="dense", weights="zero bias")
    with pytest.raises(GenericityError):
        pf.canonical_complex(zero, on_degenerate="refuse")


def test_breakpoints_do_not_depend_on_the_tree() -> None:
    A, a = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]), np.array([0.0, 0.25, 0.5])
    lines = []
    for order in ([0, 1, 2], [1, 2, 0], [2, 0, 1]):
        P, p = A[order], a[order]
        first = pf.GateBlock({0: [P[0] - P[1]]}, [p[0] - p[1]])
        second = pf.GateBlock({0: [P[1] - P[2]], 1: [[1.0]]}, [p[1] - p[2]])
        net = pf.PiecewiseLinearNetwork(2, [first, second], pf.AffineMap({0: [P[2]], 2: [[1.0]]}, [p[2]]))
        bp = pf.breakpoint_complex(net)
        assert bp.balancing_residual() < 1e-12
        lines.append({round(float(abs(w)), 9) for w in bp.weights.ravel()})
        assert int(merged_regions(bp.complex).max()) == 2
    assert lines[0] == lines[1] == lines[2]
