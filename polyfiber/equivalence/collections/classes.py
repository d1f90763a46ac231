"""Group many networks into classes of equal functions.

A function value at fixed inputs is a key that equal networks share up to rounding, whatever their
architecture. Keys are intervals as wide as the tolerance allows; networks whose intervals overlap on
every key form a bucket (sort and sweep, so no pair is lost to a rounding edge), and inside a
bucket canonical forms confirm or refute equality. Where forms decide nothing, the pair is
given to `are_equivalent`.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np

from ... import words
from ..._typing import FloatArray, IntArray, ProgressLike
from ..._values.read_only import closed
from ...budget import Budget, Monitor
from ...columns import Columns
from ...errors import InputError, PolyfiberWarning
from ...kernels.fibers import batches as kernels
from ...kernels.fibers import canonical as canonical_kernels
from ...numerics.rounding import NOISE
from ...verdict import Verdict
from ..allowance import QUICK, directions, parameters_within
from ..forms.canonical import MERGE, generic_numbers
from .collection import BLOCK_BYTES, Block, Collection, collect
from .parallel_map import Mapper, mapper

N_KEYS = 6


@closed
@dataclass(frozen=True, eq=False)
class EquivalenceClasses:
    """Classes of equal functions.

    Attributes
    ----------
    labels : (n,) int64
        Class of each network; classes are numbered in order of first occurrence.
    representatives : (n_classes,) int64
        First network of each class.
    undecided : tuple of pairs
        Pairs (first of a class, network) that could not be decided and were kept apart.
    unreadable : dict
        Items that could not be read, with the reason; their label is -1.
    stats : dict
        Candidates, confirmed pairs, pairs given to `are_equivalent`.
    """

    labels: IntArray
    representatives: IntArray
    undecided: tuple[tuple[int, int], ...] = ()
    unreadable: dict[int, str] = field(default_factory=dict)
    stats: dict[str, Any] = field(default_factory=dict)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.representatives)

    def table(self) -> Columns:
        """One row a network: its class (-1 where it could not be read), and whether it is the representative."""
        first = np.zeros(len(self.labels), dtype=bool)
        first[self.representatives] = True
        return Columns(
            "network",
            {"label": self.labels, "representative": first},
            {
                "label": "class, in order of first occurrence; -1 for a file that could not be read",
                "representative": "first of its class",
            },
        )

    def members(self, label: int) -> IntArray:
        """Networks of a class."""
        return np.flatnonzero(self.labels == label)

    @property
    def sentence(self) -> str:
        """How many functions there are, how sure, and what to do with the open pairs."""
        n = int((self.labels >= 0).sum())
        functions = "one function" if self.n_classes == 1 else words.count(self.n_classes, "different function")
        text = f"{words.count(n, 'network')} {'computes' if n == 1 else 'compute'} {functions}"
        if not self.undecided:
            return f"{text}; every pair within the tolerance is proved equal, every other kept apart."
        pairs = words.count(len(self.undecided), "pair")
        return f"At most: {text}; {pairs} not decided and kept apart: ask about each with polyfiber equiv or pf.are_equivalent, with more time."

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        return f"EquivalenceClasses({words.count(len(self.labels), 'network')}, {words.count(self.n_classes, 'class', 'classes')})"


def network_keys(flat: FloatArray, architecture: Sequence[int]) -> tuple[FloatArray, FloatArray]:
    """Function values at fixed inputs (k, N_KEYS), and the magnitudes of terms at inputs of that size and 1 more.

    Depends on the function and on the numbers of inputs and outputs alone, up to rounding.
    """
    widths = np.asarray(architecture, dtype=np.int64)
    points = 1.7 * generic_numbers(N_KEYS, int(widths[0]) + 1)[:, 1:] * np.linspace(0.6, 3.0, N_KEYS)[:, None]
    mix = generic_numbers(N_KEYS, int(widths[-1]) + 1)[:, 1:]
    keys, sizes = np.empty((len(flat), N_KEYS)), np.empty((len(flat), N_KEYS))
    flat = np.require(flat, dtype=np.float64, requirements=["C", "W"])
    canonical_kernels.key_values(flat, widths, points, mix, keys, sizes)
    return keys, sizes


def _key_task(block: Block) -> tuple[IntArray, tuple[int, ...], FloatArray, FloatArray]:
    ids, architecture, flat = block
    return ids, architecture, *network_keys(flat, architecture)


def group_networks(
    networks: Any,
    *,
    tolerance: float = 1e-9,
    scheduler: Any = None,
    workers: int | None = None,
    budget: Budget | None = None,
    pair_budget: Budget | None = None,
    unreadable: Literal["raise", "skip"] = "raise",
    progress: ProgressLike = None,
) -> EquivalenceClasses:
    """Classes of equal functions, with what could not be decided.

    Parameters
    ----------
    networks : NetworkBatch, iterable of networks or of paths, directory, or Parquet file
        Files are read one block at a time, and again where they have to be compared.
    tolerance : float
        Relative, as in `are_equivalent`.
    scheduler : optional
        A Dask client, the address (``tcp://host:port``) or name of a Dask scheduler, or an executor with ``map``: keys
        and canonical forms are worked out there. Files are read, and open pairs decided, in this process.
    workers : int, optional
        Threads when no scheduler is given; the cores by default, at most 8.
    budget : Budget, optional
        For everything.
    pair_budget : Budget, optional
        For each pair that canonical forms do not decide; 10 seconds by default.
    unreadable : 'raise' or 'skip'
        What to do with a path that cannot be read: skipped ones get the label -1 and are listed in ``.unreadable``.
    progress : bool or callable, optional

    Returns
    -------
    EquivalenceClasses

    Raises
    ------
    FileFormatError, UnsupportedLayerError
        A file cannot be read.
    BudgetExceededError
        The budget ran out.

    Notes
    -----
    Sorting takes O(n log n); inside a bucket each network is compared with the classes found there.
    About 3 µs a network at widths (4, 4, 3, 2) on one core, 40 µs at (16, 16, 8, 4).

    Examples
    --------
    >>> import polyfiber as pf
    >>> nets = [pf.ReLUNetwork.random((2, 3, 1), rng=seed) for seed in (0, 1, 0)]
    >>> pf.group_networks(nets).labels.tolist()
    [0, 1, 0]
    """
    if not (isinstance(tolerance, Real) and 0 < tolerance < 1):
        raise InputError(f"tolerance must lie in (0, 1), found {tolerance!r}")
    tolerance = float(tolerance)
    if not (isinstance(unreadable, str) and unreadable in ("raise", "skip")):
        raise InputError(f"unreadable must be 'raise' or 'skip', found {unreadable!r}")
    monitor = Monitor(budget, progress)
    if not (workers is None or isinstance(workers, Integral)):
        raise InputError(f"workers must be a whole number or None, found {workers!r}")
    workers = min(8, os.cpu_count() or 1) if workers is None else max(1, int(workers))
    collection = collect(networks, monitor, skip=unreadable == "skip")
    with mapper(scheduler, workers) as run:
        keys = _Keys.of(collection, tolerance, run, monitor)
        order, bounds = keys.buckets()
        confirm = _Confirm(collection, keys, tolerance, pair_budget, monitor)
        shared = np.flatnonzero(np.diff(bounds) > 1)
        confirm.run(order, bounds, shared, run)
    labels, first = kernels.number_classes(confirm.parent)
    if collection.unreadable:
        keep = keys.code[first] >= 0
        renumbered = np.where(keep, np.cumsum(keep) - 1, -1)
        labels, first = renumbered[labels], first[keep]
    stats = {
        "networks": len(collection), "candidates": int(np.diff(bounds)[shared].sum()), "buckets": len(shared),
        "pairs given to are_equivalent": confirm.asked, "seconds": monitor.elapsed,
    }  # fmt: skip
    return EquivalenceClasses(labels, first, tuple(confirm.undecided), collection.unreadable, stats)


@dataclass
class _Keys:
    """First pass: keys of every network, how wide they are, and codes of architectures (-1: not read)."""

    values: FloatArray
    radius: FloatArray
    code: IntArray
    names: list[tuple[int, ...]]

    @classmethod
    def of(cls, collection: Collection, tolerance: float, run: Mapper, monitor: Monitor) -> _Keys:
        n = len(collection)
        keys = cls(np.empty((n, N_KEYS)), np.empty((n, N_KEYS)), np.full(n, -1, dtype=np.int32), [])
        codes: dict[tuple[int, ...], int] = {}
        done = 0
        for ids, architecture, values, sizes in run(_key_task, collection.blocks()):
            keys.values[ids] = values
            # more than `Allowance` explains at these inputs: what keys tell apart is different
            with np.errstate(under="ignore"):
                keys.radius[ids] = (max(4.0, len(architecture)) * tolerance + NOISE) * sizes + 1e-300
            keys.code[ids] = codes.setdefault(tuple(architecture), len(codes))
            done += len(ids)
            monitor.report("evaluating keys", done, n)
            monitor.check_time("grouping networks")
        keys.names = list(codes)
        return keys

    def buckets(self) -> tuple[IntArray, IntArray]:
        """Order of the networks that were read, and where sets of close ones begin."""
        ends = np.array([_end(self.names, w) for w in self.names], dtype=np.int64)
        if (self.code >= 0).all():
            group = ends[self.code] if len(self.code) else np.zeros(0, dtype=np.int64)
            order, bounds = kernels.buckets(self.values, self.radius, group)
            return order, bounds
        rows = np.flatnonzero(self.code >= 0)
        order, bounds = kernels.buckets(self.values[rows], self.radius[rows], ends[self.code[rows]])
        return rows[order], bounds


def _numbers(widths: tuple[int, ...]) -> int:
    return sum((a + 1) * b for a, b in zip(widths[:-1], widths[1:]))


def _filled(chosen: list[int], bounds: IntArray, limit: int) -> Iterator[list[int]]:
    """Runs of the chosen intervals with about ``limit`` rows together."""
    piece: list[int] = []
    size = 0
    for b in chosen:
        rows = int(bounds[b + 1] - bounds[b])
        if piece and size + rows > limit:
            yield piece
            piece, size = [], 0
        piece.append(b)
        size += rows
    if piece:
        yield piece


def _end(names: list[tuple[int, ...]], widths: tuple[int, ...]) -> int:
    """A number that architectures with the same inputs and outputs share."""
    return next(i for i, w in enumerate(names) if (w[0], w[-1]) == (widths[0], widths[-1]))


@dataclass
class _Buckets:
    """What is needed to confirm some buckets, wherever that is done; rows in order of ids within each bucket."""

    ids: IntArray
    ends: IntArray
    codes: IntArray
    parameters: list[tuple[int, tuple[int, ...], FloatArray]]
    keys: FloatArray
    radius: FloatArray
    tolerance: float


def _confirm_task(task: _Buckets) -> tuple[IntArray, IntArray, dict[int, list[int]]]:
    """Ids, rows of the heads that forms prove equal, and rows with the heads that forms did not decide."""
    open_left, open_right = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    head = np.arange(len(task.ids))
    for code, architecture, flat in task.parameters:
        mine = np.flatnonzero(task.codes == code)
        local = np.searchsorted(mine, task.ends).astype(np.int64)
        found, left, right = kernels.confirm(
            flat, np.asarray(architecture, dtype=np.int64), local, MERGE, NOISE, task.tolerance, task.keys[mine],
            task.radius[mine], (directions(architecture[0])[:QUICK], parameters_within(task.tolerance, len(architecture) - 1)),
        )  # fmt: skip
        head[mine] = mine[found]
        open_left.append(mine[left])
        open_right.append(mine[right])
    pending: dict[int, list[int]] = {}
    for i, j in zip(np.concatenate(open_left).tolist(), np.concatenate(open_right).tolist()):
        pending.setdefault(i, []).append(j)
    if len(task.parameters) > 1:  # heads of different architectures
        for start, stop in zip(task.ends[:-1], task.ends[1:]):
            heads = [i for i in range(start, stop) if head[i] == i]
            for q, i in enumerate(heads):
                for j in heads[:q]:
                    if task.codes[i] != task.codes[j] and kernels.close(task.keys, task.radius, i, j):
                        pending.setdefault(i, []).append(j)
    return task.ids, head, pending


class _Confirm:
    """Second pass: canonical forms inside buckets; `are_equivalent` where they decide nothing."""

    def __init__(
        self, collection: Collection, keys: _Keys, tolerance: float, pair_budget: Budget | None, monitor: Monitor
    ) -> None:
        self.collection, self.keys, self.tolerance = collection, keys, tolerance
        self.pair_budget = Monitor(Budget(seconds=10) if pair_budget is None else pair_budget).budget
        self.monitor = monitor
        self.parent = np.arange(len(collection))
        self.asked = 0
        self.undecided: list[tuple[int, int]] = []

    def run(self, order: IntArray, bounds: IntArray, shared: IntArray, run: Mapper) -> None:
        """Confirm the buckets with more than one network."""
        limit = max(64, self.collection.fetch_bytes // (8 * max([1, *map(_numbers, self.keys.names)])))
        small = [int(b) for b in shared if bounds[b + 1] - bounds[b] <= limit]
        done = 0
        for ids, head, pending in run(_confirm_task, self._tasks(order, bounds, small, limit)):
            self._settle(ids, head, pending)
            done += len(ids)
            self.monitor.report("confirming classes", done, len(order))
            self.monitor.check_time("grouping networks")
        for b in set(shared.tolist()) - set(small):
            self._large(np.sort(order[bounds[b] : bounds[b + 1]]), limit)

    def _tasks(self, order: IntArray, bounds: IntArray, chosen: list[int], limit: int) -> Iterator[_Buckets]:
        """Buckets put together: ``limit`` networks are fetched at a time, and handed on in blocks."""
        block = max(64, BLOCK_BYTES // (8 * max([1, *map(_numbers, self.keys.names)])))
        for fetched in _filled(chosen, bounds, limit):
            buckets = [np.sort(order[bounds[b] : bounds[b + 1]]) for b in fetched]
            every = np.concatenate(buckets)
            tables = self._fetch(every)
            sizes = np.cumsum([0, *(len(b) for b in buckets)])
            for part in _filled(list(range(len(buckets))), sizes, block):
                yield self._task([buckets[i] for i in part], tables)

    def _fetch(self, ids: IntArray) -> dict[int, tuple[IntArray, FloatArray]]:
        """Parameters of networks by code of architecture, with their sorted ids."""
        codes, tables = self.keys.code[ids], {}
        for code in np.unique(codes):
            mine = np.sort(ids[codes == code])
            tables[int(code)] = (mine, self.collection.fetch(mine))
        return tables

    def _task(self, buckets: list[IntArray], tables: dict[int, tuple[IntArray, FloatArray]]) -> _Buckets:
        ids = np.concatenate(buckets)
        ends = np.cumsum([0, *(len(b) for b in buckets)]).astype(np.int64)
        codes = self.keys.code[ids]
        parameters = []
        for code in np.unique(codes).tolist():
            known, flat = tables[code]
            parameters.append((code, self.keys.names[code], flat[np.searchsorted(known, ids[codes == code])]))
        return _Buckets(ids, ends, codes, parameters, self.keys.values[ids], self.keys.radius[ids], self.tolerance)

    def _settle(self, ids: IntArray, head: IntArray, pending: dict[int, list[int]]) -> None:
        self.parent[ids] = ids[head]
        for i, heads in sorted(pending.items()):
            self._ask(int(ids[i]), [int(ids[j]) for j in heads], ids)

    def _large(self, ids: IntArray, limit: int) -> None:
        """A bucket that is too large to be fetched at once: heads found so far with the next networks."""
        heads = ids[:0]
        for start in range(0, len(ids), limit):
            part = np.concatenate([heads, ids[start : start + limit]])
            _, head, pending = _confirm_task(self._task([part], self._fetch(part)))
            fresh = np.arange(len(heads), len(part))
            self.parent[part[fresh]] = part[head[fresh]]
            for i in sorted(set(pending) & set(fresh.tolist())):
                self._ask(int(part[i]), [int(part[j]) for j in pending[i]], part)
            heads = part[self.parent[part] == part]
            self.monitor.report("confirming classes", start, len(ids))
            self.monitor.check_time("grouping networks")

    def _ask(self, index: int, heads: list[int], ids: IntArray) -> None:
        """Give a class to one of earlier classes, if each of its networks is equal to the first of these.

        What is equal within a tolerance need not be so to a third: large terms that cancel explain more.
        """
        mine = ids[(self.parent[ids] == index) & (ids != index)].tolist()
        for other in sorted(set(heads)):
            if self.parent[index] != index:
                return
            root = other
            while self.parent[root] != root:
                root = int(self.parent[root])
            verdict = self._verdict(root, index)
            if verdict is Verdict.YES and all(self._verdict(root, k) is Verdict.YES for k in mine):
                low, high = sorted((root, index))
                self.parent[high] = low
                return
            if verdict is not Verdict.NO:
                self.undecided.append((root, index))

    def _verdict(self, root: int, index: int) -> Verdict:
        from ..decide import are_equivalent
        from ..relations.prove import by_relations

        self.asked += 1
        a, b = self.collection.network(root), self.collection.network(index)
        if by_relations(a, b, tolerance=self.tolerance) is not None:  # most often the cheapest way
            return Verdict.YES
        return are_equivalent(a, b, tolerance=self.tolerance, budget=self.pair_budget).verdict


def equivalence_classes(networks: Any, *, tolerance: float = 1e-9, **options: Any) -> IntArray:
    """Labels of classes of equal functions, numbered in order of first occurrence.

    Parameters
    ----------
    networks : NetworkBatch, iterable of networks or of paths, directory, or Parquet file
    tolerance : float
    **options
        As in `group_networks`, which also says what was not decided.

    Returns
    -------
    (n,) int64

    Warns
    -----
    PolyfiberWarning
        Some pairs were not decided; they are kept apart.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.network.moves import random_trivial
    >>> a, b = pf.ReLUNetwork.random((3, 3, 2, 1), rng=0), pf.ReLUNetwork.random((3, 3, 2, 1), rng=1)
    >>> pf.equivalence_classes([a, b, random_trivial(a, rng=2)(a)]).tolist()
    [0, 1, 0]
    """
    found = group_networks(networks, tolerance=tolerance, **options)
    if found.undecided:
        pairs = json.dumps([list(p) for p in found.undecided[:3]])
        warnings.warn(
            f"{words.count(len(found.undecided), 'pair was', 'pairs were')} not decided and kept apart, for instance {pairs}",
            PolyfiberWarning,
            stacklevel=2,
        )
    return found.labels
