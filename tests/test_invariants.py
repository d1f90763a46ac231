"""Invariants of orders against the literature: known Möbius functions, homology, Euler characteristics."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from math import factorial

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import BudgetExceededError, InputError
from polyfiber.invariants import (
    cell_classes,
    chain_counts,
    e_polynomial,
    interval_invariants,
    link,
    moebius,
    moebius_from,
    order_homology,
)
from polyfiber.numerics.smith import elementary_divisors
from polyfiber.strata import RankOrder, Stratification


def poset(lower_sets: Iterable[Iterable[int]], n: int) -> Stratification:
    """Strata from sets of atoms ordered by inclusion."""
    rows = np.array([[int(a in set(s)) for a in range(n)] for s in map(tuple, lower_sets)], np.int16)
    size = rows.sum(axis=1)
    order = np.argsort(size, kind="stable")
    return Stratification(rows[order], size[order], order=RankOrder(), ambient_dim=max(1, n))


def cube(n: int) -> Stratification:
    return poset([s for k in range(n + 1) for s in itertools.combinations(range(n), k)], n)


def partitions(n: int) -> list[tuple[tuple[int, ...], ...]]:
    if n == 0:
        return [()]
    return [
        q
        for p in partitions(n - 1)
        for q in (
            *(tuple((*b, n - 1) if i == k else b for i, b in enumerate(p)) for k in range(len(p))),
            (*p, (n - 1,)),
        )
    ]


def partition_lattice(n: int) -> Stratification:
    """Partitions as sets of pairs in one block: finer is smaller."""
    pairs = list(itertools.combinations(range(n), 2))
    return poset(
        [[pairs.index(e) for b in p for e in itertools.combinations(sorted(b), 2)] for p in partitions(n)], len(pairs)
    )


def subspaces(n: int) -> Stratification:
    """Subspaces of the n-dimensional space over two elements, as sets of non-zero vectors."""
    found = {frozenset({0})}
    for _ in range(n):
        found |= {frozenset(s | {v ^ w for w in s}) for s in found for v in range(1, 2**n) if v not in s}
    return poset([[v - 1 for v in s if v] for s in found], 2**n - 1)


def divisors(number: int) -> Stratification:
    ds = [d for d in range(1, number + 1) if number % d == 0]
    return poset([[i for i, e in enumerate(ds) if d % e == 0] for d in ds], len(ds))


def simplicial(facets: Iterable[Iterable[int]]) -> Stratification:
    faces = {f for top in facets for k in range(1, 4) for f in itertools.combinations(sorted(top), k)}
    return poset(faces, 1 + max(v for f in faces for v in f))


# The six-vertex projective plane, the seven-vertex torus of Möbius, a disc on a triangle run through three times, a dunce hat
PLANE = [(0, 1, 2), (0, 2, 3), (0, 3, 4), (0, 4, 5), (0, 1, 5), (1, 2, 4), (2, 3, 5), (1, 3, 4), (2, 4, 5), (1, 3, 5)]
TORUS = [tuple((i + d) % 7 for d in step) for i in range(7) for step in ((0, 1, 3), (0, 2, 3))]
MOORE = [
    (0, 1, 3), (1, 2, 3), (0, 2, 4), (2, 3, 4), (0, 1, 4), (1, 4, 5), (1, 2, 5), (0, 2, 5), (0, 5, 6), (0, 1, 6),
    (1, 2, 6), (2, 6, 7), (0, 2, 7), (0, 3, 7), (3, 4, 7), (4, 5, 7), (5, 6, 7),
]  # fmt: skip
DUNCE = [
    (1, 3, 5), (2, 3, 5), (2, 4, 5), (1, 2, 4), (1, 3, 4), (3, 4, 8), (1, 2, 8), (1, 7, 8), (1, 2, 7), (2, 3, 7),
    (3, 6, 7), (1, 3, 6), (1, 5, 6), (4, 5, 6), (4, 6, 8), (6, 7, 8), (2, 3, 8),
]  # fmt: skip


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_boolean_lattices(n: int) -> None:
    s = cube(n)
    assert moebius(s, 0, s.n - 1) == (-1) ** n
    found = interval_invariants(s, 0, s.n - 1)
    assert found.eulerian
    assert found.chains == factorial(n)
    assert found.longest == found.shortest == n
    assert order_homology(s, np.arange(1, s.n - 1), reduced=True).is_sphere == n - 2


@pytest.mark.parametrize("n", [3, 4, 5])
def test_partition_lattices(n: int) -> None:
    s = partition_lattice(n)
    assert moebius(s, 0, s.n - 1) == (-1) ** (n - 1) * factorial(n - 1)
    found = order_homology(s, np.arange(1, s.n - 1), reduced=True)
    assert found.betti == (0,) * (n - 3) + (factorial(n - 1),)  # a wedge of spheres
    assert not interval_invariants(s, 0, s.n - 1).eulerian


def test_moebius_of_numbers_and_of_subspaces() -> None:
    mu = {1: 1, 2: -1, 6: 1, 12: 0, 30: -1, 36: 0, 60: 0, 210: 1}
    for number, value in mu.items():
        s = divisors(number)
        assert moebius(s, 0, s.n - 1) == value
    for n in (1, 2, 3):
        s = subspaces(n)
        assert moebius(s, 0, s.n - 1) == (-1) ** n * 2 ** (n * (n - 1) // 2)  # Hall: (-1)^n q^C(n,2)


def test_zaslavsky_counts_regions_of_the_braid_arrangement() -> None:
    s = partition_lattice(4)  # flats of x_i = x_j in R^4
    W = np.array([[float(a == i) - float(a == j) for a in range(4)] for i, j in itertools.combinations(range(4), 2)])
    regions = pf.face_counts(pf.ReLUNetwork([W, np.ones((1, 6))], [np.zeros(6), [0.0]]))[-1]
    assert sum(abs(v) for v in moebius_from(s, 0).values()) == regions == 24


@pytest.mark.parametrize(
    ("facets", "betti", "torsion"),
    [
        (PLANE, (1, 0, 0), ((), (2,), ())),
        (TORUS, (1, 2, 1), ((), (), ())),
        ([(0, 1), (1, 2), (0, 2)], (1, 1), ((), ())),
        (MOORE, (1, 0, 0), ((), (3,), ())),
    ],
)
def test_homology_of_triangulations(facets: list[tuple[int, ...]], betti: tuple[int, ...], torsion: object) -> None:
    found = order_homology(simplicial(facets))
    assert found.betti == betti
    assert found.torsion == torsion
    assert found.over(2) == ((1, 1, 1) if facets is PLANE else betti)


def test_a_dunce_hat_is_acyclic_but_has_no_beat_point() -> None:
    s = simplicial(DUNCE)
    edges: dict[tuple[int, ...], int] = {}
    for t in DUNCE:
        for e in itertools.combinations(t, 2):
            edges[e] = edges.get(e, 0) + 1
    assert min(edges.values()) >= 2  # no free edge
    assert order_homology(s).is_acyclic


def test_hall_and_euler_agree_on_every_interval() -> None:
    for s in (cube(3), partition_lattice(4), pf.linear.stratify((2, 2, 2)).strata, simplicial(PLANE)):
        for i in range(0, s.n, 3):
            for j, value in moebius_from(s, i).items():
                between = s.interval(i, j)[1:-1]
                if i != j:
                    assert order_homology(s, between, reduced=True).euler_characteristic == value
    s = simplicial(TORUS)
    assert moebius(s, None, None) == -1 == order_homology(s, reduced=True).euler_characteristic
    assert sum((-1) ** k * c for k, c in enumerate(chain_counts(s))) == 0


def test_faces_of_complexes_are_eulerian_and_rank_strata_are_not() -> None:
    for widths in ((2, 4, 2, 1), (3, 4, 1)):
        s = pf.canonical_complex(pf.ReLUNetwork.random(widths, rng=0)).strata
        d = s.ambient_dim
        assert e_polynomial(cell_classes(s)).real_euler == (-1) ** d
        assert interval_invariants(s, 0, int(s.star(0)[-1])).eulerian
        assert order_homology(s, link(s, 0, "above"), reduced=True).is_sphere == d - 1
        top = int(s.star(0)[-1])
        frontier = order_homology(s, link(s, top, "below"), reduced=True)
        assert frontier.is_sphere == d - 1 or frontier.is_acyclic  # bounded or not
        assert order_homology(s).is_acyclic
    strata = pf.linear.stratify((2, 2, 2)).strata
    assert not interval_invariants(strata, 0, strata.n - 1).eulerian


@pytest.mark.parametrize("widths", [(1, 1), (2, 2, 2), (2, 3, 2), (1, 2, 2, 1), (0, 2, 1)])
def test_classes_of_rank_strata(widths: tuple[int, ...]) -> None:
    whole = pf.linear.stratify(widths)
    size = sum(a * b for a, b in zip(widths, widths[1:]))
    total = e_polynomial(whole.class_polynomials())
    assert total.coefficients == (0,) * size + (1,)  # q^parameters
    for q in (2, 3, 4, 5):
        assert [c(q) for c in whole.class_polynomials()] == whole.points_over(q)
    assert [c.degree for c in whole.class_polynomials()] == whole.dim.tolist()
    ends = (widths[0], widths[-1])
    at = whole.columns.index((len(widths) - 1, 0))
    every = {tuple(r): c for r, c in zip(whole.ranks.tolist(), whole.class_polynomials())}
    for rank in range(min(widths) + 1):
        part = pf.linear.stratify(widths, rank=rank)
        assert [c.degree for c in part.class_polynomials()] == part.dim.tolist()
        for q in (2, 3, 5):
            matrices = 1  # of this rank: choose independent columns of the first ones, ...
            for i in range(rank):
                matrices = matrices * (q ** ends[0] - q**i) * (q ** ends[1] - q**i)
            matrices //= int(np.prod([q**rank - q**i for i in range(rank)], dtype=object)) if rank else 1
            for r, c in zip(part.ranks.tolist(), part.class_polynomials()):
                assert r[at] == rank
                assert c(q) * matrices == every[tuple(r)](q)


def test_the_fiber_over_zero_by_counting() -> None:
    part = pf.linear.stratify((2, 2, 2), rank=0)
    pairs = [np.array(m).reshape(2, 2) for m in itertools.product(range(3), repeat=4)]
    zero = sum(1 for a in pairs for b in pairs if not (a @ b % 3).any())
    assert e_polynomial(part.class_polynomials())(3) == zero
    assert pf.linear.stratify((1, 1), rank=1).class_polynomials()[0].coefficients == (1,)
    assert pf.linear.stratify((1, 1)).class_polynomials()[1].real_euler == -2
    biased = pf.linear.stratify((1, 1, 1), rank=0, bias=True)
    assert [c.degree for c in biased.class_polynomials()] == biased.dim.tolist()


def test_smith_against_minors() -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        M = rng.integers(-4, 5, (3, 4))
        M[:, 3] = M[:, 0] * int(rng.integers(-1, 2))
        columns = [{r: int(v) for r, v in enumerate(col)} for col in M.T]
        rank, divisors = elementary_divisors(columns)
        assert rank == np.linalg.matrix_rank(M)
        minors = [
            round(abs(np.linalg.det(M[np.ix_(r, c)])))
            for r in itertools.combinations(range(3), rank)
            for c in itertools.combinations(range(4), rank)
        ]
        assert np.prod(divisors, dtype=int) == np.gcd.reduce(minors)
        assert all(b % a == 0 for a, b in zip(divisors, divisors[1:]))


def test_limits_and_bad_input() -> None:
    s = partition_lattice(5)
    with pytest.raises(BudgetExceededError, match="more than limit=10"):
        order_homology(s, np.arange(1, s.n - 1), limit=10)
    with pytest.raises(InputError, match="empty"):
        interval_invariants(s, 1, 2)
    with pytest.raises(InputError, match="above"):
        link(s, 0, "left")
    with pytest.raises(InputError, match="ids"):
        order_homology(s, [s.n])
    assert moebius(s, 1, 2) == 0
    assert moebius(s, 3, 3) == 1
    empty = order_homology(s, [], reduced=True)
    assert empty.empty
    assert empty.euler_characteristic == empty.is_sphere == -1
    assert not empty.is_acyclic
    assert order_homology(s, [3]).is_acyclic
