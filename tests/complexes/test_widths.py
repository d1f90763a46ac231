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
