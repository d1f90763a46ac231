"""Whether all rows of a network are there: signs of its regions and facets, found without the complex that made the
rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..._typing import BoolArray, FloatArray, SignArray
from ...complexes.build import canonical_complex
from ...domain import Polyhedron
from .cell_geometry import Network, masked_forms
from .faces import MOST_REGIONS, Faces, Unclear, all_faces, section_of

EXPLORED = 1000
"""Regions up to which a complex is derived again in exact arithmetic."""


def all_signs(network: Network, domain: Polyhedron | None, regions: int) -> tuple[SignArray, SignArray]:
    """Signs of all regions and of all facets, hidden neurons first, then the domain's inequalities.

    From the weights alone, by linear programs and cdd, where there are few regions; with every decision in exact
    arithmetic where floats do not tell or there are more.

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


def exact_faces(network: Network, domain: Polyhedron | None) -> Faces:
    """All faces with every sign decided in exact arithmetic; whatever else there is to know of them follows from the
    signs.

    Raises
    ------
    Unclear
        The directions that walls cut are not clear in floats, or a vertex is not where its walls meet.
    """
    anew = canonical_complex(network, domain, inflate=1e16)
    net = network.rounded()
    signs = tuple(np.asarray(anew.signs(k)) for k in range(anew.dimension + 1))
    section = section_of(net, domain)
    if section.shape[1] != anew.dimension:
        raise Unclear("the dimension is not clear in floats")
    points = np.array([_meeting(net, domain, row, section) for row in signs[0]]).reshape(-1, anew.dimension)
    lineality = net.architecture[0] - anew.dimension
    return Faces(anew.dimension, lineality, signs, tuple(_bounded(signs)), points, section)


def _bounded(signs: Sequence[SignArray]) -> Iterator[BoolArray]:
    """Faces without a ray below them: an edge with two ends is bounded, and a face of bounded edges is."""
    far = np.zeros((0, signs[0].shape[1]), dtype=np.int8)
    for k, rows in enumerate(signs):
        if k == 1:
            far = rows[_below(signs[0], rows).sum(axis=0) < 2]
        yield np.logical_not(_below(far, rows).any(axis=0))


def _below(lower: SignArray, upper: SignArray) -> BoolArray:
    """(l, u): whether the closure of a face holds another: where the lower one has a sign, it is the same."""
    agree = lower.astype(np.float32) @ upper.T.astype(np.float32)
    found: BoolArray = agree == np.abs(lower).sum(axis=1, dtype=np.float32)[:, None]
    return found


def _meeting(net: Network, domain: Polyhedron | None, signs: Any, section: FloatArray) -> FloatArray:
    """The point where the walls of a vertex meet."""
    forms, _ = masked_forms(net, signs)
    if domain is not None:
        A, b = (np.asarray(v, dtype=np.float64) for v in (domain.A, domain.b))
        forms = np.concatenate([forms, np.column_stack([-A, b])])
    rows = forms[np.asarray(signs) == 0]
    rows = rows[np.abs(rows[:, :-1]).max(axis=1) > 0]
    A, b = rows[:, :-1] @ section, -rows[:, -1]
    size = np.linalg.norm(A, axis=1)
    A, b = A / size[:, None], b / size
    point, _, rank, _ = np.linalg.lstsq(A, b, rcond=1e-12)
    if rank < section.shape[1] or np.abs(A @ point - b).max() > 1e-6 * (1.0 + np.abs(point).max()):
        raise Unclear("a vertex is not where its walls meet in floats")
    found: FloatArray = point
    return found


def disagreements(found: SignArray, expected: SignArray, what: str) -> Iterator[str]:
    """Rows that are there twice, that should not be there, and that are missing."""
    mine, truth = ([row.tobytes() for row in np.asarray(signs, dtype=np.int8)] for signs in (found, expected))
    if len(set(mine)) < len(mine):
        yield f"{len(mine) - len(set(mine))} {what} are there twice"
    if set(truth) - set(mine):
        yield f"{len(set(truth) - set(mine))} of {len(set(truth))} {what} are missing"
    if set(mine) - set(truth):
        yield f"{len(set(mine) - set(truth))} {what} should not be there"
