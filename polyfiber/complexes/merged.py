"""Regions put together where nothing bends between them: of one maximum of affine values, the regions of the argmax."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._typing import IntArray

if TYPE_CHECKING:
    from .complex import PolyhedralComplex

TRIES = 4
"""Places where auxiliary walls are tried, should a face of the network lie in one."""


def merged_regions(cx: PolyhedralComplex) -> IntArray:
    """Which regions belong together: those that facets of weight 0 join, so that the function is affine across.

    For a network that is a single maximum of k affine values by a tree of gates these are the regions of the argmax. Of
    other networks they are not: regions are joined across every facet where the function does not bend, whichever gates
    meet there, and where a maximum bends without being seen by the outputs. What is joined need not be convex; two
    pieces with one affine map that do not touch in a facet stay apart.

    Parameters
    ----------
    cx : PolyhedralComplex

    Returns
    -------
    (f_d,) int64
        A number for each region, from 0 in the order of the first region that has it.

    Notes
    -----
    Weights that floats cannot tell from 0 are decided in rationals, see `breakpoint_complex`.

    Examples
    --------
    The largest of three: four regions of the gates, three of the argmax.

    >>> import polyfiber as pf
    >>> from polyfiber.complexes.merged import merged_regions
    >>> from polyfiber.testing.graphs import maximum
    >>> cx = pf.canonical_complex(maximum(2, 3, rng=7)[0], pf.Box([-40, -40], [40, 40]))
    >>> cx.n_regions, int(merged_regions(cx).max()) + 1
    (4, 3)
    """
    import scipy.sparse
    import scipy.sparse.csgraph

    m = cx.n_regions
    if cx.dimension == 0:
        return np.zeros(m, dtype=np.int64)
    indptr, indices = cx._store.covers_above(cx.dimension - 1)
    joins = np.diff(indptr) == 2
    joins[cx.breakpoint_complex().facets] = False
    first = indptr[:-1][joins]
    pairs = indices[first], indices[first + 1]
    graph = scipy.sparse.coo_matrix((np.ones(len(first), dtype=np.int8), pairs), shape=(m, m))
    labels = scipy.sparse.csgraph.connected_components(graph, directed=False)[1]
    _, where, place = np.unique(labels, return_index=True, return_inverse=True)
    order = np.empty(len(where), dtype=np.int64)
    order[np.argsort(where)] = np.arange(len(where))
    result: IntArray = order[place]
    return result


__all__ = ["merged_regions"]
