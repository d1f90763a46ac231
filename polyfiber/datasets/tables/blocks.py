"""Table ``blocks``: the parts that a huge complex was enumerated by, and what each adds to the whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ...complexes.blocks.block import Block
from ...complexes.blocks.contents import BlockComplex, run_block
from ...errors import InputError
from ...numerics.lp import interior_point
from ..storage.arrow import pyarrow
from .base import Column, Item, Options, Table, Unsure


def _rows(items: Sequence[Item], options: Options) -> Iterator[Any]:
    """Networks that are not split have no rows here."""
    yield from ()


def block_batch(item: Item, number: int, part: BlockComplex) -> Any:
    """The row of a block that was enumerated."""
    d = part.dimension
    low, high = part.fingerprint(d)
    return _batch(item, number, part.block, part.f_vector, part.bounded, (low, high), part.n_vertices, "")


def failed_batch(item: Item, number: int, block: Block, reason: str) -> Any:
    """The row of a block that does not fit into a worker's memory."""
    return _batch(item, number, block, (), (), (0, 0), 0, reason)


def _batch(
    item: Item,
    number: int,
    block: Block,
    f_vector: Sequence[int],
    bounded: Sequence[int],
    fingerprint: tuple[int, int],
    vertices: int,
    failed: str,
) -> Any:
    pa = pyarrow()
    return TABLE.batch(
        {},
        {
            "network": [item.id],
            "block": [number],
            "neurons": [[neuron for neuron, _ in block.path]],
            "sides": [[sign for _, sign in block.path]],
            "active": [[list(layer) for layer in block.active]],
            "f_vector": [list(f_vector)],
            "bounded": [list(bounded)],
            "fingerprint": pa.array([list(fingerprint)], type=pa.list_(pa.uint64())),
            "vertices": [vertices],
            "failed": [failed],
        },
    )


def block_of(row: Mapping[str, Any]) -> Block:
    """The block of a row."""
    return Block(tuple(zip(row["neurons"], row["sides"])), tuple(tuple(layer) for layer in row["active"]))


def _wrongly_active(item: Item, block: Block) -> str | Unsure | None:
    """What is wrong with the active neurons of the layers that a path has passed: those at one exact point inside."""
    passed = max((item.network.neuron(neuron)[0] for neuron, _ in block.path), default=1) - 1
    if len(block.active) != passed:
        return f"active neurons of {len(block.active)} layers, and its path has passed {passed}"
    if not passed:
        return None
    try:
        inside = block.polyhedron(item.network, item.domain)
    except InputError as error:  # a neuron of the path is constant where these are active
        return f"no path through neurons with walls: {error}"
    found = None if inside is None else interior_point(*inside.in_floats())
    point = np.array([Fraction(float(x)) for x in (() if found is None else found[0])], dtype=object)
    if inside is None or found is None or not all(row @ np.append(point, 1) > 0 for row in inside.affine_forms()):
        return Unsure("no float inside of a thin block, at which neurons would be active")
    first, offset = [], 0
    for z in item.network.exact().preactivations(point)[:passed]:
        first.append(tuple((offset + np.flatnonzero(z > 0)).tolist()))
        offset += len(z)
    if tuple(first) != block.active:
        return f"active neurons {[list(layer) for layer in block.active]}, and {[list(layer) for layer in first]} at a point inside"
    return None


def _check(item: Item, rows: Sequence[Mapping[str, Any]], options: Options) -> Iterator[str]:
    """Enumerate each block as other blocks: cut by a wall that its path does not name.

    Vertices of a closed block do not add up over pieces: they are counted by enumerating the same block again.
    """
    for row in rows:
        if row["failed"]:
            if (
                row["f_vector"]
                or row["bounded"]
                or any(row["fingerprint"])
                or row["vertices"]
                or ": " not in row["failed"]
            ):
                yield f"block {row['block']}: failed, and yet it has faces, or no reason"
            yield Unsure("a block that failed is not enumerated again")
            continue
        if len(row["neurons"]) != len(row["sides"]) or len(row["fingerprint"]) != 2:
            yield f"block {row['block']}: a path or a fingerprint with numbers too many or too few"
            continue
        block = block_of(row)
        if len(set(row["neurons"])) < len(row["neurons"]):
            yield f"block {row['block']}: its path names a neuron twice"
        wrong = _wrongly_active(item, block)
        if wrong is not None:
            yield wrong if isinstance(wrong, Unsure) else f"block {row['block']}: {wrong}"
            if not isinstance(wrong, Unsure):
                continue
        named = {neuron for neuron, _ in block.path}
        spare = [k for k in range(item.network.hidden_widths[0]) if k not in named]
        parts = block.split(spare[item.id % len(spare)]) if spare else (block,)
        again = run_block(item.network, block, item.domain).n_vertices
        if again != row["vertices"]:
            yield f"block {row['block']}: {row['vertices']} vertices in the file, {again} enumerated again"
        found = [run_block(item.network, part, item.domain) for part in parts]
        faces = tuple(map(sum, zip(*(part.f_vector for part in found))))
        bounded = tuple(map(sum, zip(*(part.bounded for part in found))))
        if faces != tuple(row["f_vector"]):
            yield f"block {row['block']}: f-vector {tuple(row['f_vector'])} in the file, {faces} in {len(parts)} pieces"
        if bounded != tuple(row["bounded"]):
            yield f"block {row['block']}: {tuple(row['bounded'])} bounded in the file, {bounded} in {len(parts)} pieces"
        for which in (0, 1):
            total = sum(part.fingerprint(part.dimension)[which] for part in found) % 2**64
            if total != row["fingerprint"][which]:
                yield f"block {row['block']}: the regions found in {len(parts)} pieces are others"


TABLE = Table(
    name="blocks",
    doc=(
        "One row per block of a complex that was enumerated in blocks (entries with `split`). Blocks are half-open: every "
        "face of the complex lies in exactly one, so counts add up."
    ),
    columns=(
        Column("network", "int64", "Number of the network in the dataset.", "id"),
        Column("block", "int64", "Number of the block within the network; ascending, with gaps.", "id"),
        Column("neurons", "list<int32>", "Path of the block: columns of the sign vector, in order.", "id"),
        Column("sides", "list<int8>", "Path of the block: side of the wall of each of these neurons.", "sign"),
        Column("active", "list<list<int32>>", "Active neurons of the layers that the path has passed.", "id"),
        Column("f_vector", "list<int64>", "Faces of each dimension that the block owns; empty where failed.", "faces"),
        Column("bounded", "list<int64>", "Those that are bounded.", "faces"),
        Column("fingerprint", "list<uint64>", "Two sums over the sign vectors of its regions; those of blocks add up."),
        Column("vertices", "int64", "Vertices of the closed block, those at infinity included.", "faces"),
        Column("failed", "string", "Why the block could not be enumerated; empty for every block that could."),
    ),
    rows=_rows,
    check=_check,
    provenance=("block",),
)
