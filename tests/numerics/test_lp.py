"""Linear programs: certificates checked in rationals, and the ends of what HiGHS is asked."""

from __future__ import annotations

import itertools
import os
from fractions import Fraction

import numpy as np
import pytest

from polyfiber.budget import Budget, Monitor
from polyfiber.errors import BudgetExceededError, SolverError
from polyfiber.numerics import lp
from polyfiber.numerics.exact import as_fractions, solve


def vertices(A: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    """All basic solutions of ``A x = b``, ``x >= 0``, by hand."""
    m, n = A.shape
    found = []
    for columns in itertools.combinations(range(n), m):
        part = solve(A[:, list(columns)], b)
        if part is not None and (A[:, list(columns)].astype(object) @ part == b).all() and all(v >= 0 for v in part):
            x = np.full(n, Fraction(0), dtype=object)
            x[list(columns)] = part
            found.append(x)
    return found


@pytest.mark.parametrize("seed", range(8))
def test_the_exact_simplex_finds_the_best_basic_solution(seed: int) -> None:
    rng = np.random.default_rng(seed)
    A, b = rng.integers(-2, 4, (2, 5)), rng.integers(0, 4, 2)
    c = rng.integers(1, 6, 5)  # bounded below on x >= 0
    found, expected = lp.solve_lp_exact(c, A, b), vertices(A, b)
    if not expected:
        assert found.status == "infeasible"
    else:
        assert found.value == min(sum(map(lambda p, q: int(p) * q, c, x)) for x in expected)


def test_rows_that_follow_from_others() -> None:
    found = lp.solve_lp_exact([1, 1], [[1, 2], [2, 4], [0, 0]], [3, 6, 0])
    assert (found.status, found.value) == ("optimal", Fraction(3, 2))
    assert lp.solve_lp_exact([1, 1], [[1, 2], [2, 4]], [3, 7]).status == "infeasible"
    assert lp.solve_lp_exact([-1, 0], [[1, -1]], [0]).status == "unbounded"


def is_proof(rows: list[list[Fraction]], multipliers: tuple[Fraction, ...]) -> bool:
    sums = [sum((m * row[k] for m, row in zip(multipliers, rows)), Fraction(0)) for k in range(len(rows[0]))]
    return min(multipliers) >= 0 and sum(multipliers) == 1 and not any(sums[:-1]) and sums[-1] <= 0


@pytest.mark.parametrize("seed", range(20))
def test_multipliers_prove_that_nothing_is_common(seed: int) -> None:
    """An interior point on one side, multipliers on the other; never both, never neither where floats are clear."""
    rng = np.random.default_rng(seed)
    table = rng.integers(-3, 4, (int(rng.integers(1, 7)), 3))
    rows = [[Fraction(int(v)) for v in row] for row in table]
    found = lp.multipliers_without_slope(rows)
    inside = lp.solve_lp([0.0, 0.0, -1.0], A_ub=np.c_[-table[:, :2], np.ones(len(table))], b_ub=table[:, 2],
                         bounds=[(None, None), (None, None), (None, 1)])  # fmt: skip
    assert inside.x is not None
    assert (found is None) == (-inside.value > 1e-7)
    if found is not None:
        assert is_proof(rows, found)


def test_floats_name_the_rows_and_rationals_solve_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simplex in rationals is not needed where the named rows have one combination without slope."""

    def slow(*given: object) -> object:
        raise AssertionError("asked for")

    monkeypatch.setattr(lp, "solve_lp_exact", slow)
    one = Fraction(1)
    rows = [[one, 0 * one, 0 * one], [-3 * one, one, -one], [0 * one, -one, 0 * one], [one, one, 5 * one]]
    found = lp.multipliers_without_slope(rows)
    assert found is not None
    assert is_proof(rows, found)


def test_a_slope_that_floats_overlook_is_no_proof() -> None:
    """x / 10^10 > 1 has solutions, although HiGHS takes the slope for zero."""
    assert lp.multipliers_without_slope([[Fraction(1, 10**10), Fraction(-1)]]) is None
    assert lp.multipliers_without_slope([[Fraction(0), Fraction(-1)]]) == (1,)
    assert lp.multipliers_without_slope([]) is None


def test_largest_balls_of_boxes() -> None:
    A, b = np.concatenate([np.eye(2), -np.eye(2)]), np.array([3.0, 1.0, 0.0, 0.0])
    found = lp.interior_point(A, b)
    assert found is not None
    assert found[1] == pytest.approx(0.5)
    flat = lp.interior_point(A, np.array([1.0, 1.0, -1.0, 0.0]))
    assert flat is not None
    assert flat[1] == pytest.approx(0.0, abs=1e-9)


def test_what_is_no_number_and_no_time() -> None:
    with pytest.raises(SolverError, match="beyond floats"):
        lp.solve_lp([1.0], A_ub=[[np.inf]], b_ub=[1.0])
    assert lp.highs_options() == {}
    with Monitor(Budget(100.0)).watching():
        assert 0 < lp.highs_options()["time_limit"] <= 100.0
    with pytest.raises(BudgetExceededError), Monitor(Budget(0.0)).watching():
        lp.solve_lp_exact([1, 1], as_fractions([[1, 2]]), [3])


def test_nothing_is_printed_by_compiled_code(capfd: pytest.CaptureFixture[str]) -> None:
    with lp.native_silence():
        os.write(1, b"noise")
    os.write(1, b"data")
    assert capfd.readouterr().out == "data"
