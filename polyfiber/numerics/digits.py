"""Rationals as texts ``p/q``, with as many digits as it takes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction

import numpy as np

from .._typing import Array
from ..errors import FileFormatError, InputError

MOST = 100_000
"""Digits of a numerator or denominator that are read."""
PIECE = 4000
"""Digits that are converted at once: the interpreter has a limit of its own, and takes quadratic time."""
MOST_WORK = 5e11
"""Products of digits above and below, over all fractions of a file: ten seconds of bringing them to lowest terms."""
_FRACTION = re.compile(rf"(-?)(\d{{1,{MOST}}})(?:/(\d{{1,{MOST}}}))?", re.ASCII)


def text_of(value: Fraction | float) -> str:
    """A rational as ``p/q`` or ``p``.

    Examples
    --------
    >>> from fractions import Fraction
    >>> from polyfiber.numerics.digits import fraction_of, text_of
    >>> text_of(Fraction(-3, 7)), fraction_of("-3/7")
    ('-3/7', Fraction(-3, 7))
    """
    exact = Fraction(value)
    sign, top = "-" if exact < 0 else "", _digits(abs(exact.numerator))
    return sign + top if exact.denominator == 1 else f"{sign}{top}/{_digits(exact.denominator)}"


def fraction_of(text: str) -> Fraction:
    """The rational of a text.

    Raises
    ------
    InputError
        Another text, a denominator zero, or more than `MOST` digits.
    """
    match = _FRACTION.fullmatch(text)
    denominator = _number(match[3] or "1") if match else 0
    if match is None or not denominator:
        raise InputError(f"{text[:40]!r} is no fraction such as '-3/7' (of at most {MOST} digits)")
    return Fraction(int(match[1] + "1") * _number(match[2]), denominator)


def check_digits(arrays: Iterable[Array]) -> None:
    """Refuse texts of fractions that would take more than ten seconds to read; JSON among them does not count.

    Raises
    ------
    FileFormatError
        With the seconds that they would take.
    """
    work = 0.0
    for texts in arrays:
        if texts.dtype.kind == "U" and texts.size:
            lengths = np.where(np.char.startswith(texts, "{"), 0, np.char.str_len(texts))
            work += float(np.sum((lengths / 2.0) ** 2))
    if work > MOST_WORK:
        raise FileFormatError(
            f"its fractions have so many digits that reading them takes about {work / MOST_WORK * 10:,.0f} s; the limit is 10 s"
        )


def _digits(value: int) -> str:
    pieces = []
    while value >= 10**PIECE:
        value, rest = divmod(value, 10**PIECE)
        pieces.append(str(rest).zfill(PIECE))
    return "".join([str(value), *reversed(pieces)])


def _number(digits: str) -> int:
    value = 0
    for at in range(0, len(digits), PIECE):
        piece = digits[at : at + PIECE]
        value = value * 10 ** len(piece) + int(piece)
    return value


__all__ = ["check_digits", "fraction_of", "text_of"]
