"""A network of gates without those whose side is known: what they pass on is put into the maps behind them, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from .._typing import Array, IntArray, SignArray
from ..errors import ShapeError
from ..numerics.exact import as_fractions
from ..numerics.hulls import simplest
from .piecewise import AffineMap, GateBlock, GateGroup, PiecewiseLinearNetwork
from .relu_form import _plain, _product, _scaled, _sum
from .sparse import Matrix, SparseMatrix


def with_fixed_gates(network: PiecewiseLinearNetwork, signs: SignArray) -> PiecewiseLinearNetwork:
    """The network in which gates on a known side are the affine functions that they are there.

    Parameters
    ----------
    network : PiecewiseLinearNetwork
    signs : (N,) integers
        -1 where ``z <= 0`` on all inputs that are asked about, 1 where ``z >= 0``, 0 where neither is known: those
        gates are kept, in their order. A block without gates left is gone.

    Returns
    -------
    PiecewiseLinearNetwork
        The same function on those inputs, exactly: floats where they hold all numbers, else rationals.

    Raises
    ------
    InputError
        A network too large to multiply out what is put into other maps.

    Examples
    --------
    >>> import polyfiber as pf
    >>> net = pf.PiecewiseLinearNetwork(
    ...     1, [pf.GateBlock({0: [[1.0], [2.0]]}, [0.0, 1.0], slopes=(-1, 1))], pf.AffineMap({1: [[1.0, 1.0]]}, [0.0]))
    >>> fixed = with_fixed_gates(net, [0, 1])  # |x| + |2 x + 1| where 2 x + 1 >= 0
    >>> fixed, fixed([[-0.25], [3.0]]).ravel().tolist()
    (PiecewiseLinearNetwork(1-1-1, float64, 1 gate, 3 nonzeros), [0.75, 10.0])
    """
    side = np.asarray(signs)
    if side.shape != (network.n_hidden,):
        raise ShapeError(f"signs of shape {side.shape}; expected ({network.n_hidden},)")
    blocks: list[GateBlock] = []
    known: list[_Known] = []
    at = 0
    for block in network.blocks:
        own = side[at : at + block.width]
        at += block.width
        affine = _replaced(block.affine, known)
        kept, fixed = np.flatnonzero(own == 0), np.flatnonzero(own != 0)
        slopes = [Fraction(block.slopes[i, int(own[i] > 0)]) for i in fixed]
        live = fixed[[s != 0 for s in slopes]] if len(fixed) else fixed
        forms = _times(_rows(affine, live), [s for s in slopes if s != 0]) if len(live) else None
        number = 0
        if len(kept):
            mine = _rows(affine, kept) if len(fixed) else affine
            groups = _groups(block.groups, kept) if len(fixed) else block.groups
            blocks.append(GateBlock(mine.weights, mine.bias, slopes=block.slopes[kept], groups=groups))
            number = len(blocks)
        known.append(_Known(number, kept, live, forms))
    return PiecewiseLinearNetwork(
        network.n_inputs,
        blocks,
        _replaced(network.output, known),
        input_shape=network.input_shape,
        source=network.source,
    )


class _Known:
    """What became of a block: its new number (0: gone), the gates kept, and the forms of those that are affine now."""

    def __init__(self, number: int, kept: IntArray, live: IntArray, forms: AffineMap | None) -> None:
        self.number, self.kept, self.live, self.forms = number, kept, live, forms


def _replaced(affine: AffineMap, known: Sequence[_Known]) -> AffineMap:
    """A map of the old blocks as one of the new ones."""
    found: dict[int, Matrix] = {}
    bias: Array = affine.bias

    def add(j: int, matrix: Matrix) -> None:
        found[j] = _sum(found[j], matrix) if j in found else matrix

    for j, matrix in affine.weights.items():
        if j == 0:
            add(0, matrix)
            continue
        was = known[j - 1]
        if was.number and len(was.kept) == matrix.shape[1]:
            add(was.number, matrix)
        elif was.number:
            add(was.number, _columns(matrix, was.kept))
        if was.forms is not None:
            low = _columns(matrix, was.live)
            shift = as_fractions(was.forms.bias)[:, None]
            bias = as_fractions(bias) + as_fractions(_product(low, shift))[:, 0]
            for i, inner in was.forms.weights.items():
                add(i, _product(low, inner))
    return AffineMap(found, _plain(bias))


def _rows(affine: AffineMap, which: IntArray) -> AffineMap:
    weights: dict[int, Matrix] = {}
    for j, matrix in affine.weights.items():
        if isinstance(matrix, SparseMatrix):
            lengths = np.diff(matrix.indptr)[which]
            at = np.concatenate([np.arange(matrix.indptr[i], matrix.indptr[i + 1]) for i in which])
            pointers = np.concatenate([[0], np.cumsum(lengths)])
            weights[j] = SparseMatrix(pointers, matrix.indices[at], matrix.data[at], (len(which), matrix.shape[1]))
        else:
            weights[j] = matrix[which]
    return AffineMap(weights, affine.bias[which])


def _columns(matrix: Matrix, which: IntArray) -> Matrix:
    if not isinstance(matrix, SparseMatrix):
        return matrix[:, which]
    new = np.full(matrix.shape[1], -1, dtype=np.int64)
    new[which] = np.arange(len(which))
    keep = new[matrix.indices] >= 0
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))[keep]
    pointers = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=matrix.shape[0]))])
    return SparseMatrix(pointers, new[matrix.indices[keep]], matrix.data[keep], (matrix.shape[0], len(which)))


def _times(affine: AffineMap, factors: list[Fraction]) -> AffineMap:
    """The rows of a map multiplied."""
    if all(f == 1 for f in factors):
        return affine
    weights: dict[int, Matrix] = {}
    for j, matrix in affine.weights.items():
        if isinstance(matrix, SparseMatrix):
            rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)).tolist()
            data = as_fractions(matrix.data)
            data = data * as_fractions(np.array([factors[r] for r in rows], dtype=object)) if rows else data
            weights[j] = SparseMatrix(matrix.indptr, matrix.indices, simplest(data), matrix.shape)
        else:
            weights[j] = np.asarray(_scaled(matrix.T, factors)).T
    return AffineMap(weights, np.asarray(_scaled(affine.bias[None, :], factors))[0])


def _groups(groups: Sequence[GateGroup], kept: IntArray) -> list[GateGroup]:
    """The names of the gates kept."""
    found, at = [], 0
    for group in groups:
        mine = kept[(kept >= at) & (kept < at + len(group.positions))] - at
        at += len(group.positions)
        if len(mine):
            found.append(GateGroup(group.node, group.operation, group.shape, group.positions[mine], group.role))
    return found


__all__ = ["with_fixed_gates"]
