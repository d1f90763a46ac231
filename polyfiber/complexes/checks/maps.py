"""Affine maps of some regions against rational ones, from signs and slopes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...budget import heed
from ...numerics.floats import nearest
from ..skeleton.slope_forms import SHARP, SlopeForms

if TYPE_CHECKING:
    from ..complex import PolyhedralComplex

REGIONS = 16
"""Regions whose maps are worked out, of those of one complex."""
WRITTEN = 1 << 20
"""More regions than these are not written for the check alone."""
PRODUCTS = 1 << 17
"""Products of rationals that they may take, about, beyond one region."""


def check_maps(cx: PolyhedralComplex, problems: list[str]) -> int:
    """Compare the maps that a complex gives out with rational ones; how many regions were looked at.

    The function is pulled back from the outputs through the network as it is defined, along the slopes that the
    region's signs pick. The kernels, which know the network as ReLU gates, have no part in it.
    """
    if not cx.n_regions:  # a closed block that lies in a wall
        return 0
    if cx.n_regions > WRITTEN and cx.dimension not in cx._store._planes:  # no maps were given out
        return 0
    network, frame = cx.network, cx._frame
    n0, n_out = network.architecture[0], network.architecture[-1]
    slopes = SlopeForms(network, frame.hull)
    steps = sum(m.data.size if hasattr(m, "indptr") else m.size for reads in slopes.reads for m in reads.values())
    count = max(1, min(REGIONS, PRODUCTS // (n_out * (steps + n0 * sum(network.hidden_widths)) + 1), cx.n_regions))
    ids = np.unique(np.linspace(0, cx.n_regions - 1, count).round().astype(np.int64))
    signs = cx._store.to_signs(cx._store.planes(cx.dimension)[ids])[:, : frame.n_neurons]
    wrong = 0
    for row, A, a in zip(signs, *cx.affine_maps(ids)):
        for o in range(n_out):
            heed("the check of affine maps")
            exact = np.array([slopes.exact(row, len(network.hidden_widths) + 1, o)], dtype=object)
            (right,) = nearest(exact if frame.hull is None else frame.hull.tangential(exact))
            with np.errstate(over="ignore", invalid="ignore"):
                off = np.abs(np.append(A[o], a[o]) - right)
                size = np.abs(right[:-1]).max(initial=0.0)
                limits = 2 * SHARP * np.append(np.full(n0, size), max(size, abs(right[-1])))
            wrong += not ((off <= limits) | (np.append(A[o], a[o]) == right)).all()
    if wrong:
        problems.append(f"{wrong} affine maps of outputs on regions are not those of the network there")
    return len(ids)


__all__ = ["check_maps"]
