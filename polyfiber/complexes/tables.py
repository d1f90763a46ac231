"""Regions, facets and vertices of a complex as columns, for pandas, Arrow and xarray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ..columns import Columns
from ..errors import InputError

if TYPE_CHECKING:
    from .complex import PolyhedralComplex

Rows = Literal["regions", "facets", "vertices"]

MEANING = {
    "signs": "sign of each hidden neuron, layer by layer, then of each inequality of the domain",
    "A": "linear part of the network on the region, outputs by inputs",
    "a": "constant part of the network on the region",
    "bounded": "whether the region is bounded, in the quotient by the lineality of the complex",
    "x": "coordinates, in units of the inputs; of a minimal face that is no point, the point of least norm",
    "error": "bound of the error of the coordinates",
    "facet": "number of the facet in the complex",
    "layer": "hidden layer of the neuron whose wall the facet lies in, from 1",
    "neuron": "the neuron, from 0 within its layer",
    "weight": "by how much each output bends across the facet",
    "normal": "unit normal, towards the side where the neuron is positive",
    "above": "region on the positive side",
    "below": "region on the negative side",
}


def table(cx: PolyhedralComplex, rows: Rows) -> Columns:
    """Regions, visible facets or vertices of a complex as columns; see `PolyhedralComplex.table`."""
    if isinstance(rows, str) and rows == "regions":
        A, a = cx.affine_maps()
        d = cx.dimension
        return _columns("region", signs=cx.signs(d), A=A, a=a, bounded=~cx.is_unbounded(d))
    if isinstance(rows, str) and rows == "vertices":
        return _columns("vertex", x=cx.vertices, error=cx.vertex_errors, signs=cx.signs(0))
    if isinstance(rows, str) and rows == "facets":
        bp = cx.breakpoint_complex()
        neurons, weights, forms, sides = bp.columns_of(bp.facets)
        named = np.array([cx.network.neuron(int(i)) for i in neurons], dtype=np.int64).reshape(len(neurons), 2)
        return _columns(
            "facet", facet=bp.facets, layer=named[:, 0], neuron=named[:, 1], weight=weights, normal=forms[:, :-1],
            above=sides[:, 0], below=sides[:, 1],
        )  # fmt: skip
    raise InputError(f"rows are one of {', '.join(get_args(Rows))}, found {rows!r}")


def _columns(row: str, **columns: Any) -> Columns:
    return Columns(row, columns, {name: MEANING[name] for name in columns})
