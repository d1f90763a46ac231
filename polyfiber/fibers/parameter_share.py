"""How much of parameter space is identifiable: exact shares and the published bounds."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from .._values.checked import shown, whole
from ..errors import InputError


def _bottleneck(architecture: Sequence[int]) -> tuple[int, int]:
    wrong = f"expected an architecture (n0, n1, n2, m) of positive widths, found {shown(architecture)}"
    try:
        widths = tuple(whole(n, "a width", least=1) for n in architecture)
    except TypeError:
        raise InputError(wrong) from None
    if len(widths) != 4:
        raise InputError(wrong)
    if widths[0] < widths[1]:
        raise InputError(f"{widths} is not a bottleneck: the theorem needs n0 >= n1, found {widths[0]} < {widths[1]}")
    if widths[1] < 2:
        raise InputError(
            "the sign conditions characterise identifiability for n1 >= 2; n1 = 1 is a function of one scalar"
        )
    return widths[1], widths[2]


def identifiable_share(architecture: Sequence[int]) -> Fraction:
    """Share of identifiable parameters of a three-layer bottleneck, for independent fair signs; exact.

    A generic parameter is identifiable iff no row of ``(W2 | b2)`` has one sign throughout and no
    column ``k`` of ``W2`` is positive with everything else negative (Theorem 5). Counting sign
    patterns gives ``(1 - 2^-n1)^n2 - n1 2^(-(n1 + 1) n2)``: for ``n1 >= 2`` a hiding row is neither
    all negative nor all positive, and at most one hyperplane is hidden.

    Parameters
    ----------
    architecture : (n0, n1, n2, m)
        ``n0 >= n1 >= 2``.

    Raises
    ------
    InputError
        Not a bottleneck with two hidden layers, or ``n1 = 1``.

    Examples
    --------
    >>> import polyfiber as pf
    >>> pf.identifiable_share((4, 2, 1, 1))
    Fraction(1, 2)
    """
    n1, n2 = _bottleneck(architecture)
    return (1 - Fraction(1, 2**n1)) ** n2 - n1 * Fraction(1, 2 ** ((n1 + 1) * n2))


def identifiable_share_bounds(architecture: Sequence[int]) -> tuple[Fraction, Fraction]:
    """The paper's lower and upper bound for the same share (corollary to Theorem 5).

    Examples
    --------
    >>> from polyfiber.fibers import identifiable_share_bounds
    >>> low, high = identifiable_share_bounds((4, 3, 2, 1))
    >>> float(low) <= float(high)
    True
    """
    n1, n2 = _bottleneck(architecture)
    lower = 1 - 2 * n2 * Fraction(1, 2 ** (n1 + 1)) - n1 * Fraction(1, 2 ** ((n1 + 1) * n2))
    return lower, (1 - Fraction(1, 2 ** (n1 + 1))) ** n2
