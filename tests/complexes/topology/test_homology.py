"""Betti numbers over two fields against dense ranks, with torsion, and of what reduction leaves a lot of."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes.topology import homology

PROJECTIVE_PLANE = [
    (1, 2, 3), (1, 2, 6), (1, 3, 4), (1, 4, 5), (1, 5, 6), (2, 3, 5), (2, 4, 5), (2, 4, 6), (3, 4, 6), (3, 5, 6),
]  # fmt: skip


def grid(n: int, flip: bool) -> list[tuple[int, ...]]:
    """A torus of n x n squares cut in two, or with one direction glued backwards: Klein's bottle."""

    def at(i: int, j: int) -> int:
        return (i % n) * n + ((-j) % n if flip and i >= n else j % n)

    found = []
    for i in range(n):
        for j in range(n):
            found += [(at(i, j), at(i + 1, j), at(i, j + 1)), (at(i + 1, j), at(i, j + 1), at(i + 1, j + 1))]
    return found


def simplicial(top: list[tuple[int, ...]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Lists of facets of a simplicial complex."""
    faces: list[list[tuple[int, ...]]] = []
    for k in range(len(top[0])):
        faces.append(sorted({tuple(sorted(f)) for t in top for f in combinations(t, k + 1)}))
    below = [(np.zeros(len(faces[0]) + 1, dtype=np.int64), np.zeros(0, dtype=np.int64))]
    for k in range(1, len(faces)):
        number = {f: i for i, f in enumerate(faces[k - 1])}
        idx = [number[g] for f in faces[k] for g in combinations(f, k)]
        below.append((np.arange(len(faces[k]) + 1) * (k + 1), np.array(idx, dtype=np.int64)))
    return below


def dense(below: list[tuple[np.ndarray, np.ndarray]], prime: int) -> tuple[int, ...]:
    """Betti numbers modulo a prime by elimination of dense matrices."""
    ranks, numbers = [0], homology.incidence_numbers(below)
    sizes = [len(p) - 1 for p, _ in below]
    for k in range(1, len(below)):
        m = homology.boundary_matrix(below[k], numbers[k], sizes[k - 1]).toarray().astype(np.int64) % prime
        rank = 0
        for c in range(m.shape[1]):
            hit = np.flatnonzero(m[rank:, c])
            if not len(hit):
                continue
            m[[rank, rank + hit[0]]] = m[[rank + hit[0], rank]]
            m[rank] = m[rank] * pow(int(m[rank, c]), -1, prime) % prime
            others = np.flatnonzero(m[:, c])
            others = others[others != rank]
            m[others] = (m[others] - m[others, c][:, None] * m[rank]) % prime
            rank += 1
            if rank == len(m):
                break
        ranks.append(rank)
    ranks.append(0)
    return tuple(s - a - b for s, a, b in zip(sizes, ranks, ranks[1:]))


@pytest.mark.parametrize(
    ("top", "two", "rational"),
    [
        (PROJECTIVE_PLANE, (1, 1, 1), (1, 0, 0)),
        (grid(4, False), (1, 2, 1), (1, 2, 1)),
        (grid(5, True), (1, 2, 1), (1, 1, 0)),
        (list(combinations(range(5), 4)), (1, 0, 0, 1), (1, 0, 0, 1)),
        ([(*t, 9) for t in PROJECTIVE_PLANE] + [(*t, 10) for t in PROJECTIVE_PLANE], (1, 0, 1, 1), (1, 0, 0, 0)),
    ],
    ids=["projective plane", "torus", "Klein's bottle", "sphere", "suspension"],
)
def test_torsion_shows_in_the_difference(
    top: list[tuple[int, ...]], two: tuple[int, ...], rational: tuple[int, ...]
) -> None:
    below = simplicial(top)
    keep = [np.ones(len(p) - 1, dtype=np.bool_) for p, _ in below]
    for closed in (True, False):
        assert homology.betti_numbers(below, keep, 2, closed=closed) == two == dense(below, 2)
        assert homology.betti_numbers(below, keep, 0, closed=closed) == rational == dense(below, 32003)


@pytest.mark.parametrize("seed", range(6))
def test_parts_of_a_random_complex_against_dense_ranks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    chosen = [t for t in combinations(range(9), 4) if rng.random() < 0.35]
    below = simplicial(chosen)
    keep = [np.ones(len(p) - 1, dtype=np.bool_) for p, _ in below]
    for field, prime in ((2, 2), (0, 32003)):
        assert homology.betti_numbers(below, keep, field, closed=True) == dense(below, prime)


def test_a_set_of_which_much_is_left_takes_no_dense_matrix() -> None:
    cx = pf.canonical_complex(pf.ReLUNetwork.random((4, 16, 16, 1), rng=0), pf.Box([-1.0] * 4, [1.0] * 4))
    bends = cx.breakpoint_complex().as_set()
    two = bends.betti_numbers()
    assert two == bends.betti_numbers(field=0)  # with loops, cavities and voids: no shortcut applies
    assert all(two[1:])
    assert sum((-1) ** k * b for k, b in enumerate(two)) == bends.euler_characteristic()


def test_few_cells_are_worked_out_in_python_with_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [simplicial(PROJECTIVE_PLANE), simplicial(grid(4, False)), simplicial(grid(4, True))]

    def numbers() -> list[tuple[int, ...]]:
        keep = [[np.ones(len(ptr) - 1, dtype=np.bool_) for ptr, _ in below] for below in cells]
        return [homology.betti_numbers(c, k, field, closed=False) for c, k in zip(cells, keep) for field in (2, 0)]

    found = numbers()
    monkeypatch.setattr("polyfiber.kernels.jit.FEW", 0)
    monkeypatch.setattr(homology, "FEW", 0)
    assert numbers() == found
    assert found[:4] == [(1, 1, 1), (1, 0, 0), (1, 2, 1), (1, 2, 1)]
