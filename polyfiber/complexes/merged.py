"""Regions and faces put together: where nothing bends between them, and where walls were added for the engine's sake alone.

On all of R^n the engine starts from walls that do not bend, in as many directions as there are walls at all. A tree of maxima
need not have them: ``max(max(a, b), c)`` in the plane has one flat wall, ``a = b``, and its cells have no corners until a bent
wall is cut. Hyperplanes that no gate reads mend that. They cut faces into pieces with the same signs of gates, and since a face
is the set of inputs with its signs, pieces with equal signs are one face again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .. import words
from .._typing import IntArray, ProgressLike, SignArray
from ..budget import Budget, Monitor
from ..domain import Polyhedron
from ..errors import NumericalError
from ..network.model import ReLUNetwork
from ..network.piecewise import PiecewiseLinearNetwork, require_network
from .auxiliary import missing_directions, with_flat_walls
from .build import canonical_complex, pointed

if TYPE_CHECKING:
    from .complex import PolyhedralComplex

TRIES = 4
"""Places where auxiliary walls are tried, should a face of the network lie in one."""


def merged_regions(cx: PolyhedralComplex) -> IntArray:
    """Which regions belong together: those that facets of weight 0 join, so that the function is affine across.

    For the maximum of k values by a tree of gates these are the regions of the argmax. What is joined need not be convex.

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


@dataclass(frozen=True)
class WholeSpace:
    """The canonical complex of a network on all of R^n, from one that auxiliary walls cut further.

    Attributes
    ----------
    network : PiecewiseLinearNetwork
    refined : PolyhedralComplex
        Of the network with its auxiliary gates (last in block 1, read by nothing): complete, every sign certified.
    columns : (N,) int64
        Columns of the gates of ``network`` in the signs of ``refined``.
    auxiliary : (k,) int64
        Those of the auxiliary walls; empty where none were needed.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.complexes.merged import whole_space
    >>> from polyfiber.testing.graphs import maximum
    >>> found = whole_space(maximum(2, 3, rng=7)[0])
    >>> found, found.n_pieces
    (WholeSpace(2-1-1-1, f = (1, 4, 4), 1 auxiliary wall), 3)
    """

    network: PiecewiseLinearNetwork
    refined: PolyhedralComplex
    columns: IntArray
    auxiliary: IntArray

    def signs(self, dim: int) -> SignArray:
        """(f_dim, N) sign vectors of the faces of a dimension, each once, in the order of the first piece of each."""
        table, first = self._faces(dim)
        return table[first]

    def labels(self, dim: int) -> IntArray:
        """For each face of ``refined`` of this dimension the row of `signs` that it is a piece of; -1 in an auxiliary wall."""
        rows = self.refined.signs(dim)
        inside = self._inside(rows)
        table, first = self._faces(dim)
        order = {table[f].tobytes(): i for i, f in enumerate(first.tolist())}
        own = np.ascontiguousarray(rows[:, self.columns])
        return np.array([order[r.tobytes()] if ok else -1 for r, ok in zip(own, inside)], dtype=np.int64)

    def _inside(self, rows: SignArray) -> IntArray:
        return np.asarray((rows[:, self.auxiliary] != 0).all(axis=1))

    def _faces(self, dim: int) -> tuple[SignArray, IntArray]:
        rows = self.refined.signs(dim)
        table = np.ascontiguousarray(rows[self._inside(rows)][:, self.columns])
        if not len(table):
            return table, np.zeros(0, dtype=np.int64)
        return table, np.sort(np.unique(table, axis=0, return_index=True)[1])

    @property
    def f_vector(self) -> tuple[int, ...]:
        """Faces of each dimension of the canonical complex of the network."""
        return tuple(len(self._faces(k)[1]) for k in range(self.refined.dimension + 1))

    @property
    def n_regions(self) -> int:
        """Regions on each of which every gate keeps its sign."""
        return self.f_vector[-1]

    @property
    def pieces(self) -> IntArray:
        """For each region of ``refined`` the piece on which the function is affine, see `merged_regions`."""
        return merged_regions(self.refined)

    @property
    def n_pieces(self) -> int:
        """Pieces on which the function is affine; of a maximum the regions of the argmax."""
        return int(self.pieces.max()) + 1

    def __repr__(self) -> str:
        walls = words.count(len(self.auxiliary), "auxiliary wall")
        return words.short(f"WholeSpace({words.widths(self.network.architecture)}, f = {self.f_vector}, {walls})")


def whole_space(
    network: ReLUNetwork | PiecewiseLinearNetwork, *, budget: Budget | None = None, progress: ProgressLike = None
) -> WholeSpace:
    """The canonical complex of a network on all of R^n, also where its flat walls leave directions uncut.

    Parameters
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
    budget : Budget, optional
    progress : bool or callable, optional

    Returns
    -------
    WholeSpace

    Raises
    ------
    InputError
        No network.
    NumericalError
        Faces of the network lie in the auxiliary walls wherever these were tried.

    Notes
    -----
    A direction that no gate cuts at all stays: the complex is then that of the quotient. Else k walls, where k directions are
    missing, multiply what is enumerated by 2^k at most where cells are unbounded. That no face was missed is checked: one that
    lay in an auxiliary wall would have signs that no face outside has.
    """
    net = require_network(network)
    if not isinstance(net, PiecewiseLinearNetwork):
        net = PiecewiseLinearNetwork.from_chain(net)
    monitor = Monitor(budget, progress)
    missing = missing_directions(net)
    ends = net.hidden_widths[0] if net.blocks else 0
    for turn in range(TRIES if len(missing) else 1):
        cut = net if not len(missing) else with_flat_walls(net, missing, turn)
        cx = canonical_complex(cut, budget=monitor.rest(), progress=progress)
        auxiliary = ends + np.arange(len(missing))
        columns = np.concatenate([np.arange(ends), np.arange(ends + len(missing), cut.n_hidden)])
        found = WholeSpace(net, cx, columns.astype(np.int64), auxiliary.astype(np.int64))
        if not len(missing) or not _missed(found):
            return found
    raise NumericalError("faces of the network lie in every auxiliary wall that was tried; please report this network")


def region_signs(
    network: ReLUNetwork | PiecewiseLinearNetwork, domain: Polyhedron | None = None, *, budget: Budget | None = None
) -> SignArray:
    """(R, N) signs of the gates on every region of the canonical complex, on all of R^n too where flat walls leave directions uncut."""
    if pointed(network, domain) is not network:
        found = whole_space(network, budget=budget)
        return found.signs(found.refined.dimension)
    cx = canonical_complex(network, domain, budget=budget)
    return cx.signs(cx.dimension)[:, : network.n_hidden]


def _missed(found: WholeSpace) -> bool:
    """Whether some face lies in an auxiliary wall: its signs occur there only."""
    seen: set[bytes] = set()
    hidden: list[bytes] = []
    for dim in range(found.refined.dimension + 1):
        for rows in found.refined.iter_signs(dim):
            inside = found._inside(rows)
            own = np.ascontiguousarray(rows[:, found.columns])
            seen.update(r.tobytes() for r in own[inside])
            hidden += [r.tobytes() for r in own[~inside]]
    return not seen.issuperset(hidden)


__all__ = ["WholeSpace", "merged_regions", "region_signs", "whole_space"]
