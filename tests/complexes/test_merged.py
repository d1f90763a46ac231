"""Faces on all of R^n where the engine needs auxiliary walls, and pieces of maxima, against brute force."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes.merged import merged_regions, region_signs, whole_space
from polyfiber.errors import InputError
from polyfiber.testing.graphs import maximum
from scripts.attacks.gates import attack
from tests.oracles.graph_faces import graph_complex


def test_the_attack_finds_nothing() -> None:
    tried, wrong = attack(seed=0, count=40, seconds=60.0, parts=("whole",))
    assert not wrong
    assert tried["whole spaces"] >= 3
    assert tried["maxima"] >= 5


def test_a_maximum_on_the_whole_plane() -> None:
    net, A, a = maximum(2, 3, rng=7)
    with pytest.raises(InputError, match="whole_space"):
        pf.canonical_complex(net)
    found, truth = whole_space(net), graph_complex(net)
    assert found.f_vector == truth.f_vector == pf.face_counts(net)
    assert (found.n_regions, found.n_pieces) == (4, 3)
    assert {r.tobytes() for r in region_signs(net)} == {r.tobytes() for r in found.signs(2)}
    for k in range(3):
        labels = found.labels(k)
        inside = labels >= 0
        rows = found.refined.signs(k)[:, found.columns]
        assert np.array_equal(found.signs(k)[labels[inside]], rows[inside])
    # the piece of a point is who is largest there
    X = np.random.default_rng(0).normal(size=(50, 2)) * 5
    pieces = found.pieces[found.refined.locate(X)]
    winners = (X @ A.T + a).argmax(axis=1)
    assert len({(p, w) for p, w in zip(pieces.tolist(), winners.tolist())}) == len(set(winners.tolist()))


def test_breakpoints_do_not_depend_on_the_tree() -> None:
    A, a = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]), np.array([0.0, 0.25, 0.5])
    lines = []
    for order in ([0, 1, 2], [1, 2, 0], [2, 0, 1]):
        P, p = A[order], a[order]
        first = pf.GateBlock({0: [P[0] - P[1]]}, [p[0] - p[1]])
        second = pf.GateBlock({0: [P[1] - P[2]], 1: [[1.0]]}, [p[1] - p[2]])
        net = pf.PiecewiseLinearNetwork(2, [first, second], pf.AffineMap({0: [P[2]], 2: [[1.0]]}, [p[2]]))
        bp = pf.breakpoint_complex(net)
        assert bp.balance() < 1e-12
        assert whole_space(net).n_pieces == 3
        lines.append({round(float(abs(w)), 9) for w in bp.weights.ravel()})
        assert int(merged_regions(bp.complex).max()) == 2
    assert lines[0] == lines[1] == lines[2]


def test_nothing_is_added_where_nothing_is_missing() -> None:
    chain = pf.ReLUNetwork.random((2, 4, 3, 1), rng=0)
    found = whole_space(chain)
    assert not len(found.auxiliary)
    assert found.f_vector == pf.face_counts(chain)
