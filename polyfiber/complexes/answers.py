"""What a complex answers with: a constant, a region by inequalities or by vertices, the graph of regions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .._typing import FloatArray, IdArray, IntArray
from .._values.read_only import closed
from ..words import Sentence, at_least, at_most, number, one_line


@dataclass(frozen=True)
class Lipschitz(Sentence):
    """Exact Lipschitz constant of a network on its domain (up to rounding of one matrix norm).

    Attributes
    ----------
    value : float
        Largest operator norm of a region's linear part.
    region : int
        A region where it is attained.
    ord : 1, 2 or inf
        The norm on inputs and outputs.
    error : float
        Bound of the error of ``value``: what rounding does to the affine maps and to a norm. Infinite where floats
        overflow.
    """

    value: float
    region: int
    ord: float
    error: float = field(default=0.0, repr=False)

    @property
    def sentence(self) -> str:
        """How fast outputs can change, where, and how sure."""
        norm = "max-norm" if self.ord == np.inf else f"{self.ord:g}-norm"
        most = at_most(np.nextafter(self.value + self.error, np.inf), 9)
        sure = (
            f"at least {at_least(np.nextafter(self.value - self.error, -np.inf), 9)} and at most {most}"
            if self.error < np.inf
            else "floats overflow: no bound"
        )
        return f"Outputs change up to {number(self.value)} times as fast as inputs ({norm}), attained on region {self.region}; {sure}."

    def __float__(self) -> float:
        return self.value


class AffineMaps(NamedTuple):
    """The affine maps of regions: on region ``i`` the network is ``A[i] x + a[i]``; of one region without the first axis.

    Attributes
    ----------
    A : (m, nL, n0) float64
    a : (m, nL) float64
    """

    A: FloatArray
    a: FloatArray

    def __repr__(self) -> str:
        return one_line(self)


class SliceMaps(NamedTuple):
    """The affine maps of regions of a planar slice, in its coordinates: ``A[i] t + a[i]`` within ``bound[i]``.

    Attributes
    ----------
    A : (k, outputs, 2) float64
    a : (k, outputs) float64
    bound : (k, outputs) float64
        On the whole polygon.
    """

    A: FloatArray
    a: FloatArray
    bound: FloatArray

    def __repr__(self) -> str:
        return one_line(self)


@closed
@dataclass(frozen=True)
class HRepresentation:
    """A region as ``A x <= b`` without redundant rows.

    Attributes
    ----------
    A : (m, n0) float64
    b : (m,) float64
    facets : (m,) int64
        Column of the sign vector (neuron, then domain facet) that each row belongs to.
    """

    __repr__ = one_line

    A: FloatArray
    b: FloatArray
    facets: IntArray


@closed
@dataclass(frozen=True)
class VRepresentation:
    """A region as the hull of vertices plus the cone of rays (plus the lineality space).

    Attributes
    ----------
    vertices : (p, n0) float64
    rays : (q, n0) float64
        Directions of length 1, one for each unbounded edge: parallel edges give the same direction.
    lineality : (s, n0) float64
        Orthonormal basis of the directions in which the whole complex is constant.
    vertex_ids : (p,) int64
        Rows of ``cx.vertices``.
    """

    __repr__ = one_line

    vertices: FloatArray
    rays: FloatArray
    lineality: FloatArray
    vertex_ids: IntArray


@closed
@dataclass(frozen=True)
class DualGraph:
    """Regions and the facets between them, as a symmetric CSR graph.

    Attributes
    ----------
    indptr, indices : CSR arrays over regions
    facet : (len(indices),) ids of the (n-1)-faces crossed
    """

    __repr__ = one_line

    indptr: IntArray
    indices: IdArray
    facet: IdArray

    def to_networkx(self) -> Any:
        """``networkx.Graph`` with regions as nodes and attribute ``facet`` on edges."""
        import networkx as nx

        graph = nx.Graph()
        graph.add_nodes_from(range(len(self.indptr) - 1))
        rows = np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))
        graph.add_edges_from(
            (int(a), int(b), {"facet": int(f)}) for a, b, f in zip(rows, self.indices, self.facet) if a < b
        )
        return graph
