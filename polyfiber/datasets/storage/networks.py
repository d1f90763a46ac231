"""Networks as rows of the table ``networks``: widths, one list of numbers, and for networks of gates what reads what.

A ReLU chain is ``W_1`` by rows, ``b_1``, ``W_2``, … A network of gates has a text beside them: for each block and the
output which values are read, and for a sparse matrix where its entries stand. Its numbers are, block by block and last
the output, the entries of the matrices in ascending order of what they read, by rows, then the offsets; behind the
offsets of a block the slopes of its gates, below and above the wall.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..._typing import FloatArray
from ...equivalence.collections.collection import unflatten
from ...equivalence.forms.canonical import flat_parameters
from ...errors import FileFormatError, PolyfiberError
from ...network.model import ReLUNetwork
from ...network.piecewise import AffineMap, GateBlock, PiecewiseLinearNetwork
from ...network.sparse import SparseMatrix


def parameters_of(net: ReLUNetwork | PiecewiseLinearNetwork) -> FloatArray:
    """All numbers of a network in the order of the table; rationals are rounded."""
    if isinstance(net, ReLUNetwork):
        return flat_parameters(net)
    net = net.rounded()
    parts = []
    for affine, block in zip(_maps(net), [*net.blocks, None]):
        for matrix in affine.weights.values():
            parts.append(matrix.data if isinstance(matrix, SparseMatrix) else matrix.ravel())
        parts += [affine.bias] if block is None else [affine.bias, block.slopes.ravel()]
    return np.concatenate(parts)


def n_numbers(net: ReLUNetwork | PiecewiseLinearNetwork) -> int:
    """Length of `parameters_of`, without making it."""
    if isinstance(net, ReLUNetwork):
        return sum(w.size + b.size for w, b in zip(net.weights, net.biases))
    matrices = [matrix for affine in _maps(net) for matrix in affine.weights.values()]
    entries = sum(len(m.data) if isinstance(m, SparseMatrix) else m.size for m in matrices)
    return int(entries + sum(affine.bias.size for affine in _maps(net)) + 2 * net.n_hidden)


def wiring_of(net: ReLUNetwork | PiecewiseLinearNetwork) -> str:
    """What reads what, as JSON; empty for a chain."""
    if isinstance(net, ReLUNetwork):
        return ""
    maps = []
    for affine in _maps(net):
        reads: dict[str, Any] = {}
        for j, matrix in affine.weights.items():
            reads[str(j)] = None
            if isinstance(matrix, SparseMatrix):
                reads[str(j)] = [matrix.indptr.tolist(), matrix.indices.tolist()]
        maps.append(reads)
    return json.dumps(maps, separators=(",", ":"))


def network_of(row: Mapping[str, Any]) -> ReLUNetwork | PiecewiseLinearNetwork:
    """The network of a row: its columns ``architecture``, ``parameters`` and, where there is one, ``wiring``.

    Raises
    ------
    FileFormatError
        Columns that do not fit each other.
    """
    flat = np.asarray(row["parameters"], dtype=np.float64)
    if not row.get("wiring"):
        return unflatten(flat, row["architecture"])
    try:
        return _graph(flat, [int(m) for m in row["architecture"]], json.loads(row["wiring"]))
    except (PolyfiberError, ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise FileFormatError(f"a network of gates whose columns do not fit each other: {error}") from None


def _graph(flat: FloatArray, widths: list[int], wiring: list[dict[str, Any]]) -> PiecewiseLinearNetwork:
    at = 0

    def take(count: int) -> FloatArray:
        nonlocal at
        at += count
        if at > len(flat):
            raise FileFormatError(f"{len(flat)} numbers; the wiring needs more")
        return flat[at - count : at]

    blocks: list[GateBlock] = []
    output: AffineMap | None = None
    if len(wiring) != len(widths) - 1:
        raise FileFormatError(f"{len(wiring)} maps for widths {widths}")
    for l, (m, reads) in enumerate(zip(widths[1:], wiring), start=1):
        weights: dict[int, Any] = {}
        for j, places in reads.items():
            shape = (m, widths[int(j)])
            if places is None:
                weights[int(j)] = take(shape[0] * shape[1]).reshape(shape)
            else:
                weights[int(j)] = SparseMatrix(places[0], places[1], take(len(places[1])), shape)
        bias = take(m)
        if l < len(widths) - 1:
            blocks.append(GateBlock(weights, bias, slopes=take(2 * m).reshape(m, 2)))
        else:
            output = AffineMap(weights, bias)
    if at != len(flat) or output is None:
        raise FileFormatError(f"{len(flat)} numbers; the wiring needs {at}")
    return PiecewiseLinearNetwork(widths[0], blocks, output)


def _maps(net: PiecewiseLinearNetwork) -> list[AffineMap]:
    return [*(block.affine for block in net.blocks), net.output]


__all__ = ["n_numbers", "network_of", "parameters_of", "wiring_of"]
