"""Our archives of piecewise-linear networks: ``.npz`` with the format ``polyfiber.piecewise``.

``meta`` (JSON) holds ``reads``, for each block and last for the output the blocks that it reads, ``input_shape`` and
``groups``, where the gates come from. For block l (and ``out``): ``b_l``; for each block j that it reads ``W_l_j``, or
``W_l_j_indptr``, ``_indices``, ``_data`` where it is sparse; ``s_l`` the slopes; ``g_l_k`` the positions of group k.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..._typing import Array
from ...errors import FileFormatError
from ..names import known_head, printable
from ..piecewise import AffineMap, GateBlock, GateGroup, PiecewiseLinearNetwork
from ..sparse import Matrix, SparseMatrix

FORMAT = "polyfiber.piecewise"


def network_of(
    arrays: dict[str, Array], meta: dict[str, Any], source: dict[str, Any], rationals: Callable[[Array, str], Array]
) -> PiecewiseLinearNetwork:
    """The network in the arrays of an archive."""
    reads: Any = meta.get("reads")
    groups: Any = meta.get("groups")
    shape: Any = meta.get("input_shape")
    if not _lists_of_integers(reads) or not _lists_of_integers([shape]) or not isinstance(groups, list):
        raise FileFormatError("meta lacks reads, groups or input_shape; the archive is damaged")
    if len(groups) != len(reads) - 1 or len(reads) > len(arrays) or min(shape, default=1) < 1:
        raise FileFormatError(f"meta describes {len(reads)} maps, {len(groups)} blocks and inputs of shape {shape}")

    def take(name: str) -> Array:
        if name not in arrays:
            raise FileFormatError(f"the archive lacks {name}")
        values = arrays[name]
        return rationals(values, name) if values.dtype.kind == "U" else values

    n_inputs = int(np.prod(shape, dtype=object)) if shape else 1
    widths = [n_inputs]

    def affine(label: str, read: list[int]) -> AffineMap:
        bias, weights = take(f"b_{label}"), {}
        for j in read:
            key = f"W_{label}_{j}"
            if not 0 <= j < len(widths):
                raise FileFormatError(f"{key} reads a block that is not before it")
            matrix: Matrix
            if key in arrays:
                matrix = take(key)
            else:
                indptr, indices = take(f"{key}_indptr"), take(f"{key}_indices")
                if indptr.dtype.kind not in "iu" or indices.dtype.kind not in "iu" or bias.ndim != 1:
                    raise FileFormatError(f"{key} has pointers that are no integers")
                matrix = SparseMatrix(indptr, indices, take(f"{key}_data"), (len(bias), widths[j]))
            weights[j] = matrix
        return AffineMap(weights, bias)

    blocks = []
    for l, read in enumerate(reads[:-1], start=1):
        inside = affine(str(l), read)
        origin = [_group(entry, take(f"g_{l}_{k}")) for k, entry in enumerate(groups[l - 1] or [])]
        blocks.append(GateBlock(inside.weights, inside.bias, slopes=take(f"s_{l}"), groups=origin))
        widths.append(inside.n_rows)
    notes = meta.get("notes")
    facts = {
        **source,
        "dtype": "exact" if meta.get("exact") else "float64",
        "head": known_head(meta.get("head")),
        "folding": (),
        "notes": tuple(printable(str(n), 1000) for n in notes) if isinstance(notes, list) else (),
    }
    output = affine("out", reads[-1])
    return PiecewiseLinearNetwork(n_inputs, blocks, output, input_shape=shape, source=facts)


def _lists_of_integers(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, list) and all(type(i) is int for i in v) for v in value)


def _group(entry: Any, positions: Array) -> GateGroup:
    plain = isinstance(entry, list) and len(entry) == 4 and _lists_of_integers([entry[2]])
    if not plain or positions.dtype.kind not in "iu" or positions.ndim != 1:
        raise FileFormatError("a group of gates is not described as node, operation, shape and role")
    node, operation, shape, role = entry
    size = int(np.prod(shape, dtype=object)) if shape else 1
    if min(shape, default=1) < 1 or (len(positions) and not 0 <= positions.min() <= positions.max() < size):
        raise FileFormatError(f"a group of gates has positions outside the shape {shape}")
    return GateGroup(printable(str(node)), printable(str(operation)), tuple(shape), positions, printable(str(role)))
