"""Slow oracle: codimension of the fiber of the product map and its number of top strata.

The formula of S. Pepin Lehalleur and R. Rimanyi (arXiv 2411.19920), after M. Aoyagi.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import comb


def codimension_and_top_count(widths: Sequence[int], rank: int) -> tuple[Fraction, int]:
    """(codimension of the fiber in parameter space, number of strata of that codimension)."""
    m = sorted(d - rank for d in widths)
    for ell in range(1, len(m)):
        chosen = m[: ell + 1]
        total = sum(chosen)
        bounded = ell + 1 == len(m) or (m[ell] < m[ell + 1] and total < ell * m[ell + 1])
        if total >= ell * m[ell] and bounded:
            q = -(-total // ell)
            a = total - (q - 1) * ell
            products = sum(chosen[p] * chosen[r] for p in range(ell + 1) for r in range(p + 1, ell + 1))
            twice = (
                rank * (widths[0] + widths[-1] - rank)
                + Fraction(a * (ell - a), 2 * ell)
                - Fraction((ell - 1) * total * total, 2 * ell)
                + products
            )
            return twice, comb(ell, a)
    raise AssertionError("no ell found")
