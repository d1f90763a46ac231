"""What a plan will cost, from a few of its networks."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .._values.checked import shown, whole
from ..budget import Budget
from ..errors import InputError
from .execution.work import run_partition
from .plan import Partition, Plan
from .sources import Source


@dataclass(frozen=True)
class SourceCost:
    """Estimate of one entry ``[[networks]]``: rows and bytes of each table, regions, seconds of one core."""

    source: str
    networks: int
    sampled: int
    skipped: int
    regions: float
    seconds: float
    rows: Mapping[str, float]
    bytes: Mapping[str, float]


@dataclass(frozen=True)
class Cost:
    """Estimate of a plan; extrapolated from ``sampled`` networks of each entry, so a guide and no bound."""

    sources: tuple[SourceCost, ...]

    @property
    def regions(self) -> float:
        """Regions of all complexes."""
        return sum(s.regions for s in self.sources)

    @property
    def seconds(self) -> float:
        """Seconds of one core."""
        return sum(s.seconds for s in self.sources)

    @property
    def bytes(self) -> float:
        """Bytes of all tables."""
        return sum(sum(s.bytes.values()) for s in self.sources)

    @property
    def rows(self) -> float:
        """Rows of all tables."""
        return sum(sum(s.rows.values()) for s in self.sources)


def estimate(plan: Plan, *, seconds: float = 3.0, most: int = 128) -> Cost:
    """Make a few networks of each entry and all their rows, and extrapolate.

    Parameters
    ----------
    plan : Plan
    seconds : float
        About how long the pilot of one entry may take. One network is made in any case; a table that would take longer
        for it is counted among the skipped, as in a run whose spec allows so many seconds.
    most : int
        Networks of each entry at most.

    Raises
    ------
    InputError
        Seconds that are negative or no number, or no networks at all.

    Examples
    --------
    >>> from polyfiber.datasets import Spec, estimate, make_plan
    >>> entry = {"kind": "random", "architecture": [2, 4, 1], "count": 1000}
    >>> cost = estimate(make_plan(Spec.of({"name": "tiny", "seed": 1, "networks": [entry]})), most=4)
    >>> cost.sources[0].rows["networks"]
    1000.0
    """
    if not isinstance(plan, Plan):
        raise InputError(f"expected a Plan, as of `make_plan`, found {shown(plan)}")
    if Budget(seconds=seconds).seconds is None or whole(most, "most") < 1:
        raise InputError(
            f"a pilot takes some seconds and at least one network; found seconds={seconds!r}, most={most!r}"
        )
    return Cost(
        tuple(_pilot(plan, i, Budget(seconds=seconds).seconds or 0.0, most) for i in range(len(plan.spec.sources)))
    )


def _pilot(plan: Plan, position: int, seconds: float, most: int) -> SourceCost:
    source = plan.spec.sources[position]
    plan = replace(plan, spec=replace(plan.spec, seconds=max(1e-3, min(seconds, plan.spec.seconds))))
    if source.split:
        sampled, factor, spent, record = _some_blocks(plan, source, seconds)
    else:
        sampled, factor, spent, record = _some_networks(plan, position, seconds, most)
    tables = record["tables"]
    return SourceCost(
        source.name,
        source.count,
        sampled,
        record["skipped"],
        factor * record["regions"],
        factor * spent,
        {t: factor * tables[t]["rows"] for t in tables},
        {t: factor * tables[t]["bytes"] for t in tables},
    )


def _some_networks(plan: Plan, position: int, seconds: float, most: int) -> tuple[int, float, float, dict[str, Any]]:
    """The first networks of an entry: how many, which part of all, seconds, record."""
    source = plan.spec.sources[position]

    def first(count: int) -> Partition:
        return Partition(0, source.first, source.first + count, source.name, plan.spec.seed, (position,), 0)

    _measure(plan, first(1))  # compiles the kernels; not counted
    sampled = 1
    spent, record = _measure(plan, first(1))
    while sampled < min(most, source.count) and 2 * spent < seconds:
        sampled = min(2 * sampled, most, source.count)
        spent, record = _measure(plan, first(sampled))
    return sampled, source.count / sampled, spent, record


def _some_blocks(plan: Plan, source: Source, seconds: float) -> tuple[int, float, float, dict[str, Any]]:
    """The smallest block of an entry whose complexes are split, then a typical one if there is time."""
    mine = sorted((p for p in plan.partitions if p.source == source.name and p.blocks), key=_expected)
    if not mine:
        raise InputError(f"none of the networks of {source.name} could be made, so nothing can be measured")
    total = sum(map(_expected, mine))
    spent, record = _measure(plan, replace(mine[0], index=0))
    chosen = mine[len(mine) // 2]
    if spent * _expected(chosen) < seconds * _expected(mine[0]):
        spent, record = _measure(plan, replace(chosen, index=0))
    else:
        chosen = mine[0]
    return 1, total / _expected(chosen), spent, record


def _expected(partition: Partition) -> float:
    return sum(block.expected for block in partition.blocks)


def _measure(plan: Plan, pilot: Partition) -> tuple[float, dict[str, Any]]:
    """Do a partition aside; seconds and record."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        record = run_partition(replace(plan, partitions=(pilot,)), 0, folder)
        return time.process_time() - start, record
