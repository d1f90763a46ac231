"""Whether inequalities of a domain hold with equality on all of it, proved in rationals."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from ...numerics.exact import nullspace, rank
from ..skeleton.arrays import Frame, exact_rows


def implied_rank(frame: Frame, facets: Sequence[int]) -> int | None:
    """Rank of the forms of domain facets that vanish on the whole domain; None where that is not proved.

    Non-negative forms vanish together if a positive combination of them is zero (and only then, if the domain is not
    empty: Farkas). A combination is found in floats, moved onto the exact kernel, and checked in rationals.
    """
    rows = exact_rows(frame)
    facets = [k for k in facets if any(rows[k])]  # in the coordinates of a flat those that vanish on it are zero
    if not facets:
        return 0
    import scipy.optimize

    forms = np.array([rows[k] for k in facets], dtype=object)
    scaled = np.array([[float(c / max(abs(d) for d in row)) if any(row) else 0.0 for c in row] for row in forms])
    found = scipy.optimize.linprog(
        np.ones(len(facets)), A_eq=scaled.T, b_eq=np.zeros(scaled.shape[1]), bounds=(1.0, None), method="highs"
    )
    if found.x is None:
        return None
    kernel = nullspace(forms.T)
    if not kernel.shape[1]:
        return None
    sizes = np.array([float(max(abs(c) for c in row)) for row in forms])
    basis = kernel.astype(np.float64)
    weights = np.linalg.lstsq(basis, found.x / sizes, rcond=None)[0]
    combination = [
        sum((Fraction(k) * Fraction(w) for k, w in zip(row, weights.tolist())), Fraction(0)) for row in kernel
    ]
    if not all(c > 0 for c in combination):
        return None
    return rank(forms[:, :-1])
