"""Linear statements and their disjunctive form."""

from __future__ import annotations

from fractions import Fraction

import pytest

import polyfiber as pf
from polyfiber.equivalence.queries.formulas import Both, Either, Linear, Variable, cases, compare, conjuncts, holds

X, Y = Variable(0, False, 0), Variable(0, True, 0)


def term(v: Variable, c: int = 1) -> Linear:
    return Linear({v: Fraction(c)}, Fraction(0))


def number(c: float) -> Linear:
    return Linear({}, Fraction(c))


@pytest.mark.parametrize(
    ("sign", "at_less", "at_equal", "at_more"),
    [
        ("<=", True, True, False), ("<", True, False, False), (">=", False, True, True), (">", False, False, True),
        ("==", False, True, False), ("!=", True, False, True),
    ],
)  # fmt: skip
def test_comparisons(sign: str, at_less: bool, at_equal: bool, at_more: bool) -> None:
    formula = compare(term(X), sign, number(2))
    assert [holds(formula, {X: Fraction(v)}) for v in (1, 2, 3)] == [at_less, at_equal, at_more]
    assert [any(all(a.holds({X: Fraction(v)}) for a in case) for case in cases(formula)) for v in (1, 2, 3)] == [
        at_less, at_equal, at_more
    ]  # fmt: skip


def test_terms_that_cancel_are_gone() -> None:
    atom = compare(term(X) + term(Y), "<=", term(X))
    assert cases(atom)[0][0].terms == {Y: Fraction(1)}


def test_products_of_variables_are_refused() -> None:
    assert (term(X) * number(3)).terms == {X: Fraction(3)} == (number(3) * term(X)).terms
    with pytest.raises(pf.errors.InputError, match="product of two variables"):
        term(X) * term(Y)


def test_the_number_of_cases_is_limited() -> None:
    two = Either((compare(term(X), "<=", number(0)), compare(term(X), ">=", number(1))))
    assert len(cases(Both((two,) * 5), 32)) == 32
    with pytest.raises(pf.errors.InputError, match="more than 31 cases"):
        cases(Both((two,) * 5), 31)


def test_conjuncts_are_those_that_must_hold() -> None:
    a, b = compare(term(X), "<=", number(0)), Either((compare(term(Y), "<=", number(0)),))
    assert conjuncts(Both((Both((a,)), b))) == [a, b]
