"""Linear statements about inputs and outputs of networks, joined by and, or; in rationals.

A formula is an `Atom` or a `Both` or `Either` of formulas. Its disjunctive form is a list of cases, each a list of
atoms that hold together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from ...errors import InputError
from ...numerics.floats import as_float

MOST_CASES = 4096
"""Cases of a disjunctive form that are worked through."""


class Variable(NamedTuple):
    """Entry ``place`` of the inputs or the outputs of a network, counted from 0."""

    network: int
    output: bool
    place: int


@dataclass(frozen=True)
class Atom:
    """``sum c v + constant <= 0``, or ``< 0`` where it is strict.

    Examples
    --------
    >>> from fractions import Fraction
    >>> from polyfiber.equivalence.queries.formulas import Atom, Variable
    >>> x = Variable(0, False, 0)
    >>> atom = Atom({x: Fraction(1)}, Fraction(-2), strict=True)
    >>> atom.holds({x: Fraction(1)}), atom.holds({x: Fraction(2)})
    (True, False)
    """

    terms: Mapping[Variable, Fraction]
    constant: Fraction
    strict: bool

    def value(self, at: Mapping[Variable, Fraction]) -> Fraction:
        """The left side."""
        return sum((c * at[v] for v, c in self.terms.items()), self.constant)

    def holds(self, at: Mapping[Variable, Fraction]) -> bool:
        """Whether it holds, exactly."""
        value = self.value(at)
        return value < 0 or (value == 0 and not self.strict)

    def __str__(self) -> str:
        parts = [f"{c} {'Y' if v.output else 'X'}{v.network}[{v.place}]" for v, c in self.terms.items()]
        return f"{' + '.join([*parts, str(self.constant)])} {'<' if self.strict else '<='} 0"


@dataclass(frozen=True)
class Both:
    """All of them hold."""

    parts: tuple[Formula, ...]


@dataclass(frozen=True)
class Either:
    """One of them holds."""

    parts: tuple[Formula, ...]


Formula = Atom | Both | Either


def compare(left: Linear, sign: str, right: Linear) -> Formula:
    """``left sign right`` for one of <=, <, >=, >, ==, !=.

    Examples
    --------
    >>> from fractions import Fraction
    >>> from polyfiber.equivalence.queries.formulas import Linear, Variable, compare
    >>> y = Linear({Variable(0, True, 0): Fraction(1)}, Fraction(0))
    >>> print(compare(y, ">", Linear({}, Fraction(3))))
    -1 Y0[0] + 3 < 0
    """
    if sign in (">=", ">"):
        left, right, sign = right, left, {">=": "<=", ">": "<"}[sign]
    if sign in ("==", "="):
        return Both((compare(left, "<=", right), compare(right, "<=", left)))
    if sign == "!=":
        return Either((compare(left, "<", right), compare(right, "<", left)))
    gap = left + right.times(Fraction(-1))
    return Atom(gap.terms, gap.constant, sign == "<")


@dataclass(frozen=True)
class Linear:
    """``sum c v + constant``."""

    terms: Mapping[Variable, Fraction]
    constant: Fraction

    def __add__(self, other: Linear) -> Linear:
        terms = dict(self.terms)
        for v, c in other.terms.items():
            terms[v] = terms.get(v, Fraction(0)) + c
        return Linear({v: c for v, c in terms.items() if c}, self.constant + other.constant)

    def times(self, factor: Fraction) -> Linear:
        """Times a number."""
        return Linear({v: c * factor for v, c in self.terms.items() if c * factor}, self.constant * factor)

    def __mul__(self, other: Linear) -> Linear:
        if self.terms and other.terms:
            raise InputError("a product of two variables is no linear statement; only linear ones are decided")
        return self.times(other.constant) if self.terms else other.times(self.constant)


def cases(formula: Formula, most: int = MOST_CASES) -> list[list[Atom]]:
    """The disjunctive form.

    Raises
    ------
    InputError
        More cases than ``most``.

    Examples
    --------
    >>> from fractions import Fraction
    >>> from polyfiber.equivalence.queries.formulas import Atom, Both, Either, cases
    >>> a, b, c = (Atom({}, Fraction(k), False) for k in range(3))
    >>> [[int(atom.constant) for atom in case] for case in cases(Both((Either((a, b)), c)))]
    [[0, 2], [1, 2]]
    """
    if isinstance(formula, Atom):
        return [[formula]]
    if isinstance(formula, Either):
        found = [case for part in formula.parts for case in cases(part, most)]
        _limited(len(found), most)
        return found
    found = [[]]
    for part in formula.parts:
        more = cases(part, most)
        _limited(len(found) * len(more), most)
        found = [[*one, *other] for one in found for other in more]
    return found


def _limited(count: int, most: int) -> None:
    if count > most:
        raise InputError(f"the query has more than {most} cases once its alternatives are multiplied out; split it")


def holds(formula: Formula, at: Mapping[Variable, Fraction]) -> bool:
    """Whether a formula holds, exactly."""
    if isinstance(formula, Atom):
        return formula.holds(at)
    if isinstance(formula, Both):
        return all(holds(part, at) for part in formula.parts)
    return any(holds(part, at) for part in formula.parts)


def conjuncts(formula: Formula) -> Sequence[Formula]:
    """Formulas that must all hold."""
    if isinstance(formula, Both):
        return [inner for part in formula.parts for inner in conjuncts(part)]
    return [formula]


def rounded(value: Fraction) -> str:
    """The nearest float, in its shortest decimal."""
    return str(np.format_float_positional(as_float(value), trim="0"))


def decimal(value: Fraction) -> str:
    """A rational as a decimal: the shortest of its float if it is one, else its own digits or 17 of them.

    Examples
    --------
    >>> from fractions import Fraction
    >>> from polyfiber.equivalence.queries.formulas import decimal
    >>> decimal(Fraction(1, 2)), decimal(Fraction("0.679857769"))
    ('0.5', '0.679857769')
    """
    near = as_float(value)
    shortest = rounded(value)
    if not np.isfinite(near) or Fraction(near) == value or Fraction(shortest) == value:
        return shortest
    rest = value.denominator
    twos = fives = 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest == 1 and max(twos, fives) <= 400:
        digits = max(twos, fives)
        whole = abs(value.numerator) * 10**digits // value.denominator
        text = str(whole).zfill(digits + 1)
        return ("-" if value < 0 else "") + (f"{text[:-digits]}.{text[-digits:]}" if digits else text)
    return shortest


__all__ = [
    "Atom", "Both", "Either", "Formula", "Linear", "Variable", "cases", "compare", "conjuncts", "decimal", "holds", "rounded"
]  # fmt: skip
