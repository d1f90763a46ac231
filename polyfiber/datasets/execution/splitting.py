"""One huge complex over many workers: blocks at planning, rows of blocks at work, sums at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ... import words
from ...complexes.blocks.block import Block, complement
from ...complexes.blocks.contents import BlockComplex
from ...complexes.blocks.plan import plan_blocks, room_for
from ...complexes.blocks.run import run_blocks
from ...complexes.skeleton.arrays import make_frame
from ...errors import PolyfiberError
from ..networks import Networks, reason_of
from ..spec import Spec
from ..storage.store import TableWriter
from ..tables import table
from ..tables.base import Item, Skip
from ..tables.blocks import block_batch, block_of, failed_batch

STRIDE = 1 << 32
"""Cells of part p of a network are numbered from ``p * STRIDE``; so are its blocks, from ``p * STRIDE``."""


def room_of(item: Item, tables: Mapping[str, Mapping[str, Any]]) -> int:
    """Vertices of a block such that it and the rows of the tables fit into a worker's memory."""
    frame = make_frame(item.network, item.domain)
    options = tables.get("cells", {})
    deep = bool(options.get("vertices") or options.get("volumes"))
    dims = tuple(range(frame.n + 1)) if deep else tuple(range(max(0, frame.n - 1), frame.n + 1))
    return room_for(frame, item.memory, dims=dims, lookup=True, incidence=deep)


def plan_split(spec: Spec, network: int, at_least: int) -> tuple[Block, ...]:
    """The blocks of one network; none if it could not be made."""
    item = Networks(spec).item(network)
    if item.failed:
        return ()
    room = room_of(item, spec.tables)
    plan = plan_blocks(item.network, item.domain, room=room)
    if len(plan.blocks) < at_least:  # the wish of the spec, even where blocks become small
        plan = plan_blocks(item.network, item.domain, room=room, target=max(1, int(plan.expected / at_least)))
    return plan.blocks


def fill_split(
    item: Item,
    part: int,
    blocks: Sequence[Block],
    tables: Mapping[str, Mapping[str, Any]],
    writers: Mapping[str, TableWriter],
) -> tuple[int, tuple[Skip, ...]]:
    """Write the rows of some blocks of a network; returns regions and the tables that it is left out of."""
    taking = {n: o for n, o in tables.items() if table(n).blocks is not None and table(n).accepts(item)}
    refusing = [n for n in tables if n not in taking and n not in ("networks", "blocks") and table(n).accepts(item)]
    skips = tuple(Skip(n, "the complex is enumerated in blocks, and this table needs it whole") for n in refusing)
    regions, number = 0, part * STRIDE
    room = room_of(item, tables)
    try:
        for found in run_blocks(item.network, item.domain, blocks, itself, room=room):
            for name, options in taking.items():
                rows = table(name).blocks
                assert rows is not None
                if found.complex is not None:
                    for batch in rows(item, found.complex, options, part * STRIDE + regions):
                        writers[name].write(batch)
            writers["blocks"].write(block_batch(item, number, found))
            regions += found.f_vector[-1]
            number += 1
    except PolyfiberError as error:
        if number > part * STRIDE:
            raise  # rows of other blocks are written: the partition fails as a whole
        writers["blocks"].write(failed_batch(item, number, blocks[0], reason_of(error)))
    return regions, skips


def itself(part: BlockComplex) -> BlockComplex:
    """The job of `run_blocks` that keeps the block."""
    return part


@dataclass(frozen=True)
class Merged:
    """Sums over the blocks of one network, and what contradicts them."""

    network: int
    blocks: int
    failed: int
    f_vector: tuple[int, ...]
    bounded: tuple[int, ...]
    fingerprint: tuple[int, int]
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As the manifest holds it."""
        return {
            "network": self.network, "blocks": self.blocks, "failed": self.failed, "f_vector": list(self.f_vector),
            "bounded": list(self.bounded), "fingerprint": [f"{v:016x}" for v in self.fingerprint],
        }  # fmt: skip


def merge(item: Item, rows: Sequence[Mapping[str, Any]]) -> Merged:
    """Add up the rows of table ``blocks`` of one network.

    The blocks are a whole tree of decisions, and the alternating sum of the faces is (-1)^d on all of
    Rⁿ: a block that is missing, or there twice, is noticed.
    """
    good = [row for row in rows if not row["failed"]]
    faces = tuple(map(sum, zip(*(row["f_vector"] for row in good))))
    bounded = tuple(map(sum, zip(*(row["bounded"] for row in good))))
    sums = tuple(sum(row["fingerprint"][k] for row in good) % 2**64 for k in (0, 1))
    problems = []
    try:
        missing = complement([block_of(row) for row in rows], network=item.network)
        if missing:
            problems.append(
                f"network {item.id}: {words.count(len(missing), 'block is', 'blocks are')} missing, the first after {missing[0].path}"
            )
    except PolyfiberError as error:
        problems.append(f"network {item.id}: {error}")
    euler = sum((-1) ** k * count for k, count in enumerate(faces))
    if not problems and len(good) == len(rows) and item.domain is None and euler != (-1) ** (len(faces) - 1):
        problems.append(
            f"network {item.id}: the alternating sum of {faces} is {euler}, expected {(-1) ** (len(faces) - 1)}"
        )
    return Merged(item.id, len(rows), len(rows) - len(good), faces, bounded, (sums[0], sums[1]), tuple(problems))


def split_networks(spec: Spec) -> Iterator[int]:
    """Networks that are enumerated in blocks."""
    for source in spec.sources:
        if source.split:
            yield from range(source.first, source.first + source.count)
