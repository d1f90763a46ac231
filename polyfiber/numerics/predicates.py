"""Ranks with their margins: decided across a gap of the singular values, or refused."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._typing import Array, FloatArray
from ..errors import RankAmbiguityError
from . import exact
from .floats import nearest


def _in_floats(matrix: Array) -> FloatArray:
    """Sizes of rationals, relative to the largest where one is beyond floats."""
    found = nearest(matrix)
    return found if np.isfinite(found).all() else nearest(matrix / max(map(abs, matrix.ravel())))


@dataclass(frozen=True)
class RankDecision:
    """A numerical rank with the singular values on both sides of the cut.

    Attributes
    ----------
    rank : int
    singular_values : (min(m, n),) float64
        Relative to the largest entry where a rational is beyond floats.
    margin : float
        Smallest singular value that was kept, relative to the largest (1 for rank 0).
    excess : float
        Largest singular value that was dropped, relative to the largest (0 if none, or exact).
    exact : bool
        Whether the rank was computed in rational arithmetic.
    """

    rank: int
    singular_values: FloatArray
    margin: float
    excess: float
    exact: bool


def decide_rank(
    matrix: Array, *, tolerance: float = 1e-10, gap: float = 1e3, scale: float | None = None
) -> RankDecision:
    """Rank of a matrix, with a gap or not at all.

    Singular values above ``tolerance * s`` count, ``s`` the largest one or ``scale``. The decision
    stands when no singular value lies between ``tolerance / gap`` and ``tolerance * gap``; by Weyl's
    inequality the rank is then the same for every matrix within ``tolerance * s`` of this one, up to
    the directions that were dropped. Exact matrices are decided by elimination.

    Raises
    ------
    RankAmbiguityError
        A singular value in the forbidden band, or entries that are not finite; attributes ``singular_values``,
        ``tolerance``.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.numerics.predicates import decide_rank
    >>> decide_rank(np.array([[1.0, 2.0], [2.0, 4.0]])).rank
    1
    """
    size = min(matrix.shape)
    if matrix.dtype == object:
        values = np.asarray(np.linalg.svd(_in_floats(matrix), compute_uv=False) if size else [], dtype=np.float64)
        found = exact.rank(matrix)
        top = values[0] if size and values[0] > 0 else 1.0
        return RankDecision(found, values, float(values[found - 1] / top) if found else 1.0, 0.0, True)
    if not np.isfinite(matrix).all():  # what is not finite is unsure
        raise RankAmbiguityError(
            "a rank is not decided: entries are beyond floating-point numbers; pass fractions for an exact decision",
            singular_values=np.full(size, np.nan),
            tolerance=tolerance,
        )
    values = np.linalg.svd(matrix, compute_uv=False) if size else np.zeros(0)
    top = float(values[0]) if size else 0.0
    reference = top if scale is None else max(top, scale)
    if reference == 0.0:
        return RankDecision(0, values, 1.0, 0.0, False)
    relative = values / reference
    ambiguous = (relative > tolerance / gap) & (relative < tolerance * gap)
    if ambiguous.any():
        raise RankAmbiguityError(
            f"a rank is not decided: relative singular values {relative[ambiguous].tolist()} lie within a factor "
            f"{gap:g} of the tolerance {tolerance:g}; change tolerance=, or pass fractions for an exact decision",
            singular_values=values,
            tolerance=tolerance,
        )
    found = int((relative > tolerance).sum())
    return RankDecision(
        found,
        values,
        float(relative[found - 1]) if found else 1.0,
        float(relative[found]) if found < size else 0.0,
        False,
    )
