"""Every internal width, with a smaller number in its place: what fits is right, one beyond is refused in words.

docs/certification.md lists them.
"""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber import linear
from polyfiber.complexes.lattice import build as lattice
from polyfiber.complexes.planar import walk
from polyfiber.complexes.skeleton import build as skeleton
from polyfiber.complexes.skeleton import faces
from polyfiber.errors import BudgetExceededError, InputError

NET = pf.ReLUNetwork.random((2, 30, 20, 1), rng=0)
CROSSING = pf.ReLUNetwork([[[1, 0], [0, 1], [1, 1], [1, -1], [2, 1]], [[1] * 5]], [[0] * 5, [0]])


@pytest.mark.parametrize("n", [2, 3, 5])
def test_half_edge_ids(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Capacity never exceeds what ids hold, so that no vertex is made unseen."""
    net = pf.ReLUNetwork.random((n, 12 if n < 4 else 8, 6, 1), rng=n)
    cx = pf.canonical_complex(net)
    built = cx._skeleton
    most = (int(built.nv) << built.frame.net.shift) + 1
    for room in range(built.nv - 3, built.nv):
        monkeypatch.setattr(skeleton, "MOST_HALF_EDGES", room << built.frame.net.shift)
        with pytest.raises(BudgetExceededError, match="half-edge ids"):
            pf.canonical_complex(net)
    monkeypatch.setattr(skeleton, "MOST_HALF_EDGES", 4 * most)
    again = pf.canonical_complex(net)
    assert again.f_vector == cx.f_vector
    assert again._skeleton.state.star.shape[0] <= (4 * most) >> built.frame.net.shift


def test_rows_of_face_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    cx = pf.canonical_complex(NET)
    monkeypatch.setattr(faces, "MOST_ROWS", cx.f_vector[1])
    with pytest.raises(BudgetExceededError, match="tables hold at most"):
        cx.signs(1)
    monkeypatch.setattr(faces, "MOST_ROWS", cx.f_vector[1] + 1)
    assert len(cx.signs(1)) == cx.f_vector[1]
    with pytest.raises(BudgetExceededError, match="tables hold at most"):
        cx.materialize()


def test_faces_of_a_lattice(monkeypatch: pytest.MonkeyPatch) -> None:
    right = pf.canonical_complex(CROSSING)
    assert not right.certificate.verify().problems
    most = max(right.f_vector)
    monkeypatch.setattr(lattice, "MOST_FACES", 3)
    with pytest.raises(BudgetExceededError, match="a lattice holds at most"):
        pf.canonical_complex(
            pf.ReLUNetwork([np.tile([[1, 0], [0, 1], [1, 1]], (9, 1)), [[1] * 27]], [np.repeat(range(9), 3), [0]])
        )
    monkeypatch.setattr(lattice, "MOST_FACES", 16 * most)
    assert pf.canonical_complex(CROSSING).f_vector == right.f_vector


def test_corners_of_a_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    net = pf.ReLUNetwork.random((3, 120, 80, 1), rng=0)
    where = ([0, 0, 0], [4, 0, 0], [0, 4, 0])
    monkeypatch.setattr(walk, "MOST_IDS", 1500)
    with pytest.raises(BudgetExceededError, match="its tables hold at most"):
        pf.slice_through(net, *where)


def test_widths_of_rank_strata() -> None:
    assert linear.count_strata((32767, 2), 1) > 0
    with pytest.raises(InputError, match="32767"):
        linear.stratify((32768, 2))


@pytest.mark.parametrize("n", [63, 64, 65, 129])
def test_words_of_signs(n: int) -> None:
    """General lines in the plane, whose faces a formula counts, on either side of the words' ends."""
    plane = pf.ReLUNetwork.random((2, n, 1), rng=1)
    cx = pf.canonical_complex(plane)
    assert cx.f_vector == (n * (n - 1) // 2, n * n, n * (n + 1) // 2 + 1)
    assert len({row.tobytes() for row in cx.signs(2)}) == cx.n_regions
    assert cx.certificate.verify().verdict is pf.Verdict.YES


def test_pulling_forms_back_stays_within_its_scratch() -> None:
    """Whole lanes are written, up to 15 numbers behind a row: what `Frame.scratch` gives is enough, whatever the widths."""
    from polyfiber.complexes.skeleton.arrays import LANES
    from polyfiber.kernels.complexes import forms

    rng = np.random.default_rng(0)
    for widths in ((1, 1, 1), (17, 15, 2), (16, 33, 1), (48, 5, 31, 3), (65, 64, 16, 49)):
        first = np.concatenate([[0, 0], np.cumsum(widths)]).astype(np.int64)
        n, pad = int(first[-1]), 32
        matrices = [rng.integers(-3, 4, (b, a)).astype(float) for a, b in zip(widths, widths[1:])]
        woff, flat = np.zeros(n, dtype=np.int64), []
        for q, matrix in enumerate(matrices):
            for i, row in enumerate(matrix):
                woff[first[q + 2] + i] = sum(map(len, flat))
                flat.append(row)
        weights = np.concatenate([*flat, np.full(pad, 7.0)])
        biases, on = rng.integers(-3, 4, n).astype(float), rng.random(n) < 0.5
        words = np.zeros((1, (n + 63) // 64), dtype=np.uint64)
        for k in np.flatnonzero(on).tolist():
            words[0, k >> 6] |= np.uint64(1) << np.uint64(k & 63)
        room, guard = max(widths) + LANES, 64
        cur, nxt = np.full(room + guard, np.pi), np.full(room + guard, np.pi)
        k, layer = n - 1, len(widths)
        const = forms.pull_back(k, layer, words, 0, first, weights, woff, biases, cur, nxt)
        row, true = matrices[-1][-1], biases[k]
        for q in range(len(widths) - 2, 0, -1):
            active = row * on[first[q + 1] : first[q + 2]]
            true += active @ biases[first[q + 1] : first[q + 2]]
            row = active @ matrices[q - 1]
        assert const == true
        assert cur[: len(row)].tolist() == row.tolist()
        assert (cur[room:] == np.pi).all()
        assert (nxt[room:] == np.pi).all()
