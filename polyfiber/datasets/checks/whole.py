"""Whether all rows of a network are there: signs of its regions and facets, found without the complex that made the rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..._typing import SignArray
from ...complexes.build import canonical_complex
from ...domain import Polyhedron
from .cell_geometry import Network
from .faces import MOST_REGIONS, Unclear, all_faces

EXPLORED = 1000
"""Regions up to which a complex is derived again in exact arithmetic."""


def all_signs(network: Network, domain: Polyhedron | None, regions: int) -> tuple[SignArray, SignArray]:
    """Signs of all regions and of all facets, hidden neurons first, then the domain's inequalities.

    From the weights alone, by linear programs and cdd, where there are few regions; with every decision in exact arithmetic
    where floats do not tell or there are more.

    Parameters
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
    domain : Polyhedron, optional
    regions : int
        About how many there are.

    Raises
    ------
    Unclear
        More than `EXPLORED` regions.
    """
    if regions > EXPLORED:
        raise Unclear(f"more than {EXPLORED} regions")
    if regions <= 4 * MOST_REGIONS:
        try:
            faces = all_faces(network, domain)
        except Unclear:
            pass
        else:
            return faces.signs[-1], faces.signs[-2] if faces.dimension else faces.signs[-1][:0]
    anew = canonical_complex(network, domain, inflate=1e16)
    d = anew.dimension
    return anew.signs(d), anew.signs(d - 1) if d else anew.signs(d)[:0]


def disagreements(found: SignArray, expected: SignArray, what: str) -> Iterator[str]:
    """Rows that are there twice, that should not be there, and that are missing."""
    mine, truth = ([row.tobytes() for row in np.asarray(signs, dtype=np.int8)] for signs in (found, expected))
    if len(set(mine)) < len(mine):
        yield f"{len(mine) - len(set(mine))} {what} are there twice"
    if set(truth) - set(mine):
        yield f"{len(set(truth) - set(mine))} of {len(set(truth))} {what} are missing"
    if set(mine) - set(truth):
        yield f"{len(set(mine) - set(truth))} {what} should not be there"
