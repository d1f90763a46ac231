"""The learning coefficient of a linear network: how fast the volume of nearly equal weights shrinks."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ..errors import InputError
from .ranks import check_rank, check_widths


@dataclass(frozen=True)
class LearningCoefficient:
    """Real log canonical threshold of ``|W_L … W_1 - W|^2`` and its multiplicity.

    The volume of ``{ |W_L … W_1 - W| < e }`` in a ball around a worst point of the fiber goes like
    ``e^(2 coefficient) (log 1/e)^(multiplicity - 1)``.

    Attributes
    ----------
    coefficient : Fraction
        lambda, half the least codimension of a component of the fiber.
    multiplicity : int
        theta.
    components : int
        Components of the fiber of that codimension.

    Examples
    --------
    >>> from polyfiber.linear import learning_coefficient
    >>> found = learning_coefficient((2, 1, 2), 0)
    >>> str(found.coefficient), found.multiplicity
    ('1', 2)
    """

    coefficient: Fraction
    multiplicity: int
    components: int


def learning_coefficient(widths: Any, rank: int) -> LearningCoefficient:
    """Learning coefficient of the fiber over a matrix of the given rank.

    Parameters
    ----------
    widths : (d_0, …, d_L)
    rank : int

    Returns
    -------
    LearningCoefficient

    Raises
    ------
    InputError
        Widths that are no widths, a rank above the least width or None.

    Notes
    -----
    M. Aoyagi, *Consideration on the learning efficiency of multiple-layered neural networks with linear units* (2024), in
    the form of S. Pepin Lehalleur and R. Rimanyi (arXiv 2411.19920). That twice the coefficient is the least codimension
    of a stratum and the number of components a binomial is tested against :func:`stratify`; the multiplicity is quoted from
    the theorem, and volumes of three fibers agree with it (``scripts/attacks/linear/volumes.py``). Both are theorems, not
    conjectures. Cost: sorting the widths.

    Examples
    --------
    >>> from polyfiber.linear import learning_coefficient
    >>> c = learning_coefficient((1, 1, 1), 0)           # x y = 0
    >>> c.coefficient, c.multiplicity, c.components
    (Fraction(1, 2), 2, 2)
    """
    d = check_widths(widths)
    rho = check_rank(d, rank)
    if rho is None:
        raise InputError("rank is None; expected the rank of the product")
    from math import comb

    m = sorted(w - rho for w in d)
    for last in range(1, len(m)):
        total = sum(m[: last + 1])
        if total >= last * m[last] and (last + 1 == len(m) or total < last * m[last + 1]):
            break
    else:
        raise AssertionError("one of the cuts fits")
    q = -(-total // last)
    a = total - (q - 1) * last
    pairs = sum(m[i] * m[j] for j in range(last + 1) for i in range(j))
    value = Fraction(rho * (d[0] + d[-1]) - rho * rho, 2)
    value += Fraction(a * (last - a) - (last - 1) * total * total, 4 * last) + Fraction(pairs, 2)
    return LearningCoefficient(value, a * (last - a) + 1, comb(last, a))
