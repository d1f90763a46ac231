"""Relations among the features of a layer that hold on what the layers before reach: from all regions, or all vertices
and rays.

``c . phi = const`` holds on the image iff it holds for the affine pieces of phi on every region of the canonical
complex, so iff it holds at every vertex and for the slopes along every unbounded edge. Features that are multiples of
each other there, or sums of others, are found whatever their rows are; where rows alone show it, `features` needs no
regions. Rationals go by pieces; floats by vertices, where slivers that rounding makes count for as little as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg

from ..._typing import Array, BoolArray, FloatArray
from ...budget import heed
from ...network.exact_pieces import exact_pieces
from ...network.model import ReLUNetwork
from ...numerics import exact

MOST_NUMBERS = 1 << 25
"""Values of features at vertices, beyond which nothing is looked for."""
MOST_RATIONALS = 1 << 17
"""Coefficients of rational pieces."""
_GAP = 1e-12
"""Relative size of a feature beyond the others that counts as none."""
_FAITHFUL = 1e-11
"""Relative to the terms that features are summed from: what a relation may leave at a vertex or along a ray."""
_SMALLEST = 1e-100
"""Weight of the constant beside features, below which numbers are too far apart."""
_LARGE = 1e4
"""Coefficients of a relation in floats, beyond which it is none."""


@dataclass(frozen=True)
class ImageRelations:
    """Features of a layer that are affine functions of others on the image: ``phi = expression @ phi[basis] + offset``.

    Attributes
    ----------
    basis : tuple of int
    expression : (k, len(basis)) array
    offset : (k,) array
    pieces : int
        Regions of the layers up to this one (floats: vertices, and unbounded edges along which they move), on all of
        which they hold.
    """

    basis: tuple[int, ...]
    expression: Array
    offset: Array
    pieces: int

    @property
    def n_relations(self) -> int:
        """Features that go."""
        return len(self.offset) - len(self.basis)


def image_relations(net: ReLUNetwork, layer: int, complex: Any) -> ImageRelations | None:
    """Relations among the features of a hidden layer (from 1) on the image of the layers before; None where there are
    none, or too many regions.

    Exact for rational networks. In floats a relation is left out unless what it leaves at each vertex and along each
    unbounded edge is rounding. The complex may be on a domain.

    Examples
    --------
    Two neurons of layer 2 with different rows: feature 1 is never active where they are.

    >>> import polyfiber as pf
    >>> from polyfiber.fibers.relations.image import image_relations
    >>> W = [[[1.0], [-1.0]], [[1.0, -1.0], [2.0, -5.0]], [[1.0, 1.0]]]
    >>> net = pf.ReLUNetwork(W, [[0.0, 0.0], [-1.0, -2.0], [0.0]])
    >>> found = image_relations(net, 2, pf.canonical_complex(net))
    >>> found.basis, found.expression.ravel().tolist(), found.pieces
    ((0,), [1.0, 2.0], 3)
    """
    width, n0 = net.architecture[layer], net.architecture[0]
    if width < 2:
        return None
    if not net.is_exact:
        count = complex.f_vector[0] if complex.dimension == n0 and not len(complex.lineality) else 0
        if not 0 < count * sum(net.architecture[: layer + 1]) <= MOST_NUMBERS:
            return None
        return _in_floats(net, layer, complex)
    count = sum(net.hidden_widths[:layer])
    seen: dict[bytes, BoolArray] = {}
    for signs in complex.iter_signs(complex.dimension):
        heed("relations on the image")
        seen |= {row.tobytes(): row for row in signs[:, :count] > 0}
    if len(seen) * width * (n0 + 1) > MOST_RATIONALS:
        return None
    return _exactly(net, layer, np.array(list(seen.values())))


def _exactly(net: ReLUNetwork, layer: int, masks: BoolArray) -> ImageRelations | None:
    first = ReLUNetwork(net.weights[: layer + 1], net.biases[: layer + 1])
    width = net.architecture[layer]
    table: Array = np.zeros((0, width + 1), dtype=object)
    for mask in masks:
        heed("relations on the image")
        on = mask[-width:]
        piece = np.where(on[:, None], exact_pieces(first, mask)[layer - 1], 0)
        one = np.zeros((1, piece.shape[1]), dtype=object)
        one[0, -1] = 1
        table = exact.rref(np.concatenate([table, np.concatenate([one, piece]).T]))[0]
    # columns without a pivot are combinations of earlier ones; the constant comes first
    reduced, pivots = exact.rref(table)
    basis = tuple(p - 1 for p in pivots if p)
    if len(basis) == width:
        return None
    return ImageRelations(basis, reduced[1 : len(pivots), 1:].T, reduced[0, 1:], len(masks))


@np.errstate(all="ignore")  # what is not finite ends it
def _in_floats(net: ReLUNetwork, layer: int, complex: Any) -> ImageRelations | None:
    values, terms = _at_vertices(net, layer, complex)
    slopes, rises = _along_rays(net, layer, complex)
    width, ones = values.shape[1], np.r_[np.ones(len(values)), np.zeros(len(slopes))]
    phi, terms = np.concatenate([values, slopes]), np.concatenate([terms, rises])
    keep = (terms.max(axis=1) > 0) | (ones > 0)
    phi, terms, ones = phi[keep], terms[keep], ones[keep]
    if len(phi) < width + 1 or not (np.isfinite(terms).all() and np.isfinite(phi).all()):
        return None
    rows = 1 / np.maximum(terms.max(axis=1), ones)  # far vertices count as much as near ones
    level = np.maximum((np.abs(phi) * rows[:, None]).max(axis=0), 1e-300)
    A, one = phi * rows[:, None] / level, ones * rows
    length = float(np.linalg.norm(one))
    if length < _SMALLEST:
        return None
    one = one / length
    A = A - np.outer(one, one @ A)  # beside the constant
    if not np.isfinite(A).all():
        return None
    heed("relations on the image")
    _, R, order = scipy.linalg.qr(A, mode="economic", pivoting=True)
    size = np.abs(np.diag(R))
    rank = int((size > _GAP * max(size[0], 1e-300)).sum())
    if rank == width or (rank and size[rank:].max(initial=0.0) * 1e3 > size[rank - 1]):
        return None  # none, or none that is clear
    basis = sorted(int(i) for i in order[:rank])
    rest = [i for i in range(width) if i not in basis]
    left = np.column_stack([phi[:, basis] * rows[:, None] / level[basis], ones * rows])
    solved = np.linalg.lstsq(left, phi[:, rest] * rows[:, None] / level[rest], rcond=None)[0]
    solved[np.abs(solved) <= 1e-13] = 0.0
    if (np.abs(solved) > _LARGE).any():
        return None
    expression, offset = np.zeros((width, rank)), np.zeros(width)
    expression[basis, range(rank)] = 1.0
    expression[rest], offset[rest] = solved[:-1].T * level[rest, None] / level[basis], solved[-1] * level[rest]
    if not np.isfinite(solved).all():
        return None
    heed("relations on the image")
    gap = np.abs(phi - phi[:, basis] @ expression.T - np.outer(ones, offset))
    own = terms + terms[:, basis] @ np.abs(expression.T) + np.outer(ones, np.abs(offset))
    return ImageRelations(tuple(basis), expression, offset, len(phi)) if (gap <= _FAITHFUL * own).all() else None


def _at_vertices(net: ReLUNetwork, layer: int, complex: Any) -> tuple[FloatArray, FloatArray]:
    """Features (V, k) of a layer at the vertices, and the magnitudes that they are summed from."""
    y = np.asarray(complex.vertices)
    size = np.abs(y)
    for W, b in zip(net.weights[:layer], net.biases[:layer]):
        heed("relations on the image")
        y, size = y @ W.T + b, size @ np.abs(W).T + np.abs(b)
        # a neuron that is off adds nothing, however large its terms
        y, size = np.maximum(y, 0.0), np.where(y > -_FAITHFUL * size, size, 0.0)
    return y, size


def _along_rays(net: ReLUNetwork, layer: int, complex: Any) -> tuple[FloatArray, FloatArray]:
    """Slopes (R, k) of the features along unbounded edges, and the magnitudes that they are summed from."""
    ids, y = complex.rays
    if not len(ids):
        return np.zeros((0, net.architecture[layer])), np.zeros((0, net.architecture[layer]))
    size, start = np.abs(y), 0
    on = complex.signs(1)[ids] > 0
    for W in net.weights[:layer]:
        heed("relations on the image")
        active = on[:, start : start + len(W)]
        y, size = np.where(active, y @ W.T, 0.0), np.where(active, size @ np.abs(W).T, 0.0)
        start += len(W)
    return y, size
