"""Counts of faces against arrangements cut cell by cell, and inequalities of boxes."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from polyfiber.testing.identities import box_inequalities, simple_arrangement_f_vector


def faces_of_points(m: int) -> tuple[int, int]:
    return m, m + 1


@pytest.mark.parametrize("m", range(6))
def test_points_on_a_line_and_lines_in_a_plane(m: int) -> None:
    assert simple_arrangement_f_vector(m, 1) == (faces_of_points(m) if m else (1,))
    pairs = m * (m - 1) // 2
    if m >= 2:
        assert simple_arrangement_f_vector(m, 2) == (pairs, m * m, 1 + m + pairs)


@pytest.mark.parametrize(("m", "d"), [(2, 2), (3, 2), (4, 3), (5, 3), (5, 2)])
def test_regions_are_the_sign_vectors_of_random_hyperplanes(m: int, d: int) -> None:
    rng = np.random.default_rng(m + d)
    A, b = rng.standard_normal((m, d)), rng.standard_normal(m)
    # each region that has a vertex shows around it: move off the vertex in all directions
    seen = set()
    for rows in itertools.combinations(range(m), d):
        x = np.linalg.solve(A[list(rows)], -b[list(rows)])
        for signs in itertools.product((-1, 1), repeat=d):
            own = np.sign(A @ x + b)
            own[list(rows)] = signs
            seen.add(tuple(own.tolist()))
    found = simple_arrangement_f_vector(m, d)
    assert found[d] == len(seen)
    assert sum((-1) ** k * f for k, f in enumerate(found)) == (-1) ** d


def test_few_hyperplanes_are_counted_in_the_quotient() -> None:
    assert simple_arrangement_f_vector(2, 5) == simple_arrangement_f_vector(2, 2) == (1, 4, 4)
    assert simple_arrangement_f_vector(0, 3) == (1,)


def test_boxes() -> None:
    A, b = box_inequalities([Fraction(-1), 2], [3, Fraction(5, 2)])
    rows = [Fraction(v, 4) for v in range(-10, 20)]
    for x in itertools.product(rows, rows):
        inside = all(sum(a * v for a, v in zip(row, x)) <= s for row, s in zip(A, b))
        assert inside == (-1 <= x[0] <= 3 and 2 <= x[1] <= Fraction(5, 2))
