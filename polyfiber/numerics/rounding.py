"""What rounding to float64 can take away: the one place where it is bounded.

An operation errs by a factor ``1 + d`` with ``|d| <= UNIT``, or by ``2^-1075`` where it underflows: `LEAST` pays for
one of
those, `TINY` for all of a bound.
A result of k operations in a row errs by a factor within ``1 ± gamma_k``, ``gamma_k = k u / (1 - k u)``, in any order
of
summation (Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., Lemma 3.1 and §3.5). Python code takes its
bounds from here; compiled code writes them out, from the same unit (`polyfiber.kernels.rounding`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._typing import FloatArray
from ..errors import InputError
from ..kernels.rounding import LEAST, TINY, UNIT

NOISE = 2.0**-44
"""What rounding is taken to do to a number of size one where no bound is carried: some 500 operations."""
MOST_TERMS = 2.0**44
"""Largest number of operations that `gamma` takes: more terms than any memory holds."""


def gamma(terms: Any) -> Any:
    """A bound of the relative error of so many operations, times magnitudes that were summed in floats themselves.

    It is ``1.01 k u``, above ``gamma_k (1 + gamma_k)`` for every k that is accepted, so that ``gamma(k) * size`` bounds
    an error also where ``size``, a sum of k magnitudes, is rounded down.

    Parameters
    ----------
    terms : number or array of numbers
        Operations on the longest way from an input to the result.

    Raises
    ------
    InputError
        More than 2^44 of them.

    Examples
    --------
    >>> 100 * UNIT < gamma(100) < 102 * UNIT
    True
    """
    within = terms <= MOST_TERMS if isinstance(terms, int) else np.all(np.asarray(terms) <= MOST_TERMS)
    if not within:
        raise InputError(f"rounding is bounded for at most 2^44 operations in a row, found {np.max(terms)}")
    return terms * UNIT * 1.01


def outward(values: FloatArray, terms: int) -> FloatArray:
    """Above the exact values of sums of non-negative terms, from the sums in floats.

    Parameters
    ----------
    values : array
        Sums of products of non-negative numbers, as computed.
    terms : int
        Operations in a row that made each, at most.

    Examples
    --------
    >>> sums = np.full(3, 0.1) @ np.full((3, 1), 0.1)
    >>> bool((outward(sums, 4) > sums).all())
    True
    """
    return np.asarray(values * (1 + 2 * gamma(terms + 2)) + TINY)


__all__ = ["LEAST", "NOISE", "TINY", "UNIT", "gamma", "outward"]
