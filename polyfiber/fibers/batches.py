"""Group many networks into classes of equal functions.

A function value at fixed inputs is a key that equal networks share up to rounding, whatever their
architecture. Keys are intervals as wide as the tolerance allows; networks whose intervals overlap on
every key form a bucket (sort and sweep, so no pair is lost to a rounding edge), and inside a
bucket canonical forms confirm or refute equality. Where forms decide nothing, the pair is
given to `are_equivalent`.
"""

from __future__ import annotations

import itertools
import json
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .._typing import FloatArray, IntArray, ProgressLike
from ..budget import Budget, Monitor
from ..errors import FileFormatError, InputError, MissingDependencyError, PolyfiberWarning
from ..kernels import batches as kernels
from ..kernels import canonical as canonical_kernels
from ..network.model import NetworkBatch, ReLUNetwork
from ..verdict import Verdict
from .canonical import MERGE, SLACK, flat_parameters, generic_numbers

N_KEYS = 6
_CHUNK = 1 << 13
SUFFIXES = (".onnx", ".npz", ".safetensors", ".pt", ".pth", ".h5", ".keras", ".nnet")


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
    stats : dict
        Candidates, confirmed pairs, pairs given to `are_equivalent`.
    """

    labels: IntArray
    representatives: IntArray
    undecided: tuple[tuple[int, int], ...] = ()
    stats: dict[str, Any] = field(default_factory=dict)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.representatives)

    def members(self, label: int) -> IntArray:
        """Networks of a class."""
        return np.flatnonzero(self.labels == label)

    def __repr__(self) -> str:
        return f"EquivalenceClasses({len(self.labels)} networks, {self.n_classes} classes)"


class _Collection:
    """Networks by index, in blocks of one architecture; parameters are fetched when needed."""

    def blocks(self) -> Iterator[tuple[IntArray, tuple[int, ...], FloatArray]]:
        """(ids, architecture, flat parameters) of blocks that cover everything once."""
        raise NotImplementedError

    def fetch(self, ids: IntArray) -> FloatArray:
        """Flat parameters (k, P) of networks of one architecture."""
        raise NotImplementedError

    def network(self, index: int) -> ReLUNetwork:
        """One network."""
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError


class _Batch(_Collection):
    def __init__(self, batch: NetworkBatch) -> None:
        self.batch = batch

    def blocks(self) -> Iterator[tuple[IntArray, tuple[int, ...], FloatArray]]:
        for start in range(0, len(self), _CHUNK):
            ids = np.arange(start, min(len(self), start + _CHUNK))
            yield ids, self.batch.architecture, self._slice(slice(int(ids[0]), int(ids[-1]) + 1))

    def _slice(self, part: Any) -> FloatArray:
        pieces = [
            x[part].reshape(-1, int(np.prod(x.shape[1:])))
            for p in zip(self.batch.weights, self.batch.biases)
            for x in p
        ]
        return np.concatenate(pieces, axis=1)

    def fetch(self, ids: IntArray) -> FloatArray:
        return self._slice(ids)

    def network(self, index: int) -> ReLUNetwork:
        return self.batch[int(index)]

    def __len__(self) -> int:
        return len(self.batch)


class _Listed(_Collection):
    """Networks, or paths read on demand: parameters stay on disk, one block at a time in memory."""

    def __init__(self, items: Sequence[Any], monitor: Monitor) -> None:
        self.items = items
        self.monitor = monitor

    def network(self, index: int) -> ReLUNetwork:
        item = self.items[int(index)]
        if isinstance(item, ReLUNetwork):
            return item
        from ..network.readers import read_network

        return read_network(item)

    def blocks(self) -> Iterator[tuple[IntArray, tuple[int, ...], FloatArray]]:
        waiting: dict[tuple[int, ...], list[tuple[int, FloatArray]]] = {}
        size = 0
        for i in range(len(self)):
            self.monitor.report("reading networks", i, len(self))
            net = self.network(i)
            row = flat_parameters(net)
            waiting.setdefault(net.architecture, []).append((i, row))
            size += row.nbytes
            if size > 1 << 25:
                yield from self._flush(waiting)
                size = 0
        yield from self._flush(waiting)

    @staticmethod
    def _flush(waiting: dict[Any, Any]) -> Iterator[tuple[IntArray, tuple[int, ...], FloatArray]]:
        for architecture, rows in waiting.items():
            yield np.array([i for i, _ in rows], dtype=np.int64), architecture, np.stack([r for _, r in rows])
        waiting.clear()

    def fetch(self, ids: IntArray) -> FloatArray:
        return np.stack([flat_parameters(self.network(int(i))) for i in ids])

    def __len__(self) -> int:
        return len(self.items)


class _Parquet(_Collection):
    """Rows of Parquet files written by `write_parquet`: columns ``architecture`` and ``parameters``."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.parquet = _pyarrow("reading a Parquet dataset")
        self.files = [self.parquet.ParquetFile(f) for f in files]
        self.rows: list[tuple[int, int, int]] = []  # file, row group, first row
        total = 0
        for f, file in enumerate(self.files):
            if not {"architecture", "parameters"} <= set(file.schema_arrow.names):
                raise FileFormatError(
                    f"{files[f]} has columns {file.schema_arrow.names}; expected 'architecture' and 'parameters'"
                )
            for g in range(file.metadata.num_row_groups):
                self.rows.append((f, g, total))
                total += file.metadata.row_group(g).num_rows
        self.total = total
        self.starts = np.array([r[2] for r in self.rows], dtype=np.int64)
        self._cached: tuple[int, Any] = (-1, None)

    def _group(self, index: int) -> tuple[Any, Any]:
        if self._cached[0] != index:
            f, g, _ = self.rows[index]
            table = self.files[f].read_row_group(g, columns=["architecture", "parameters"])
            self._cached = (index, (table["architecture"].to_pylist(), table["parameters"]))
        return self._cached[1]

    def blocks(self) -> Iterator[tuple[IntArray, tuple[int, ...], FloatArray]]:
        for index, (_, _, first) in enumerate(self.rows):
            architectures, parameters = self._group(index)
            groups: dict[tuple[int, ...], list[int]] = {}
            for i, widths in enumerate(architectures):
                if not widths:
                    raise InputError(
                        f"row {first + i} holds no network, its architecture is empty; leave such rows out"
                    )
                groups.setdefault(tuple(widths), []).append(i)
            for architecture, members in groups.items():
                flat = np.array([parameters[i].as_py() for i in members], dtype=np.float64)
                yield first + np.array(members, dtype=np.int64), architecture, flat

    def _row(self, index: int) -> tuple[tuple[int, ...], FloatArray]:
        group = int(np.searchsorted(self.starts, index, side="right")) - 1
        architectures, parameters = self._group(group)
        local = index - self.rows[group][2]
        return tuple(architectures[local]), np.array(parameters[local].as_py(), dtype=np.float64)

    def fetch(self, ids: IntArray) -> FloatArray:
        order = np.argsort(ids)
        rows = [self._row(int(ids[i]))[1] for i in order]
        result = np.empty((len(ids), len(rows[0])))
        result[order] = rows
        return result

    def network(self, index: int) -> ReLUNetwork:
        widths, flat = self._row(int(index))
        return unflatten(flat, widths)

    def __len__(self) -> int:
        return self.total


def _pyarrow(purpose: str) -> Any:
    try:
        import pyarrow.parquet  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        raise MissingDependencyError("pyarrow", extra="data", purpose=purpose) from None
    return pyarrow.parquet


def unflatten(flat: FloatArray, architecture: Sequence[int]) -> ReLUNetwork:
    """The network of a vector of parameters ``W_1, b_1, …, W_L, b_L``."""
    expected = sum((a + 1) * b for a, b in zip(architecture[:-1], architecture[1:]))
    if len(flat) != expected:
        raise InputError(f"{len(flat)} parameters do not fit widths {tuple(architecture)}, which need {expected}")
    weights, biases, at = [], [], 0
    for a, b in zip(architecture[:-1], architecture[1:]):
        weights.append(flat[at : at + a * b].reshape(b, a))
        biases.append(flat[at + a * b : at + a * b + b])
        at += (a + 1) * b
    return ReLUNetwork(weights, biases)


def write_parquet(networks: Iterable[ReLUNetwork] | NetworkBatch, path: str | Path, *, rows: int = 8192) -> None:
    """Write networks as a Parquet table: list columns ``architecture`` (int32) and ``parameters`` (float64).

    Raises
    ------
    MissingDependencyError
        Without pyarrow.
    """
    parquet = _pyarrow("writing a Parquet dataset")
    import pyarrow  # type: ignore[import-untyped,unused-ignore]

    schema = pyarrow.schema(
        [("architecture", pyarrow.list_(pyarrow.int32())), ("parameters", pyarrow.list_(pyarrow.float64()))]
    )
    with parquet.ParquetWriter(path, schema) as writer:
        block: list[ReLUNetwork] = []
        iterator = iter(networks)
        while True:
            net = next(iterator, None)
            if net is not None:
                block.append(net)
            if block and (net is None or len(block) == rows):
                data = {
                    "architecture": [list(n.architecture) for n in block],
                    "parameters": [flat_parameters(n) for n in block],
                }
                writer.write_table(pyarrow.table(data, schema=schema))
                block = []
            if net is None:
                return


def _collect(networks: Any, monitor: Monitor) -> _Collection:
    if isinstance(networks, NetworkBatch):
        return _Batch(networks)
    if isinstance(networks, str | Path):
        path = Path(networks)
        if path.is_dir():
            files = network_files(path)
            return _Parquet(sorted(path.rglob("*.parquet"))) if files is None else _Listed(files, monitor)
        if path.suffix == ".parquet":
            return _Parquet([path])
        raise InputError(f"{path} is neither a directory nor a Parquet file; one network makes no collection")
    if isinstance(networks, Iterable):
        items = list(networks)
        for i, item in enumerate(items):
            if not isinstance(item, ReLUNetwork | str | Path | os.PathLike):
                raise InputError(f"item {i} is a {type(item).__name__}; expected ReLUNetworks or paths")
        return _Listed(items, monitor)
    raise InputError(f"expected a NetworkBatch, networks, paths or a directory, found {type(networks).__name__}")


def network_files(path: str | Path) -> list[Path] | None:
    """Network files under a directory, in order; None if it is, or holds, a Parquet dataset."""
    path = Path(path)
    if path.suffix == ".parquet" or any(path.rglob("*.parquet")):
        return None
    return sorted(f for f in path.rglob("*") if f.is_file() and f.suffix.lower() in SUFFIXES)


def network_at(path: str | Path, index: int) -> ReLUNetwork:
    """Network ``index`` of a directory or Parquet dataset."""
    return _collect(path, Monitor()).network(index)


def network_keys(flat: FloatArray, architecture: Sequence[int]) -> tuple[FloatArray, FloatArray]:
    """Function values at fixed inputs (k, N_KEYS), and the magnitudes of their terms.

    Depends on the function and on the numbers of inputs and outputs alone, up to rounding.
    """
    widths = np.asarray(architecture, dtype=np.int64)
    points = 1.7 * generic_numbers(N_KEYS, int(widths[0]) + 1)[:, 1:] * np.linspace(0.6, 3.0, N_KEYS)[:, None]
    mix = generic_numbers(N_KEYS, int(widths[-1]) + 1)[:, 1:]
    keys, sizes = np.empty((len(flat), N_KEYS)), np.empty((len(flat), N_KEYS))
    flat = np.require(flat, dtype=np.float64, requirements=["C", "W"])
    canonical_kernels.key_values(flat, widths, points, mix, keys, sizes)
    return keys, sizes


def _key_task(
    block: tuple[IntArray, tuple[int, ...], FloatArray],
) -> tuple[IntArray, tuple[int, ...], FloatArray, FloatArray]:
    ids, architecture, flat = block
    return ids, architecture, *network_keys(flat, architecture)


def _mapper(scheduler: Any, workers: int) -> Callable[[Any, Any], Iterable[Any]]:
    """How tasks are run: threads here, or whatever the scheduler offers."""
    if scheduler is None:
        return lambda function, items: _threads(function, items, workers)
    if isinstance(scheduler, str):
        try:
            import dask  # type: ignore[import-not-found,import-untyped,unused-ignore]
        except ImportError:
            raise MissingDependencyError("dask", extra="data", purpose=f"the scheduler {scheduler!r}") from None
        return _in_waves(lambda f, part: dask.compute(*[dask.delayed(f)(i) for i in part], scheduler=scheduler))
    if hasattr(scheduler, "gather"):  # a dask.distributed client
        return _in_waves(lambda f, part: scheduler.gather(scheduler.map(f, part)))
    if hasattr(scheduler, "map"):  # an executor
        return _in_waves(lambda f, part: list(scheduler.map(f, part)))
    raise InputError(
        f"scheduler is a {type(scheduler).__name__}; expected a Dask client, an executor with map, or a Dask scheduler name"
    )


def _in_waves(run: Callable[[Any, list[Any]], Iterable[Any]], size: int = 32) -> Callable[[Any, Any], Iterable[Any]]:
    """Hand over a few blocks at a time, so that a scheduler never holds the whole collection."""

    def mapped(function: Any, items: Iterable[Any]) -> Iterator[Any]:
        iterator = iter(items)
        while part := list(itertools.islice(iterator, size)):
            yield from run(function, part)

    return mapped


def _threads(function: Any, items: Iterable[Any], workers: int) -> Iterator[Any]:
    """Results in order with at most ``2 * workers`` items in flight, so that blocks do not pile up."""
    if workers == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting: list[Any] = []
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * workers:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


def group_networks(
    networks: Any,
    *,
    tolerance: float = 1e-9,
    scheduler: Any = None,
    workers: int | None = None,
    budget: Budget | None = None,
    pair_budget: Budget | None = None,
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
        A Dask client, an executor with ``map``, or the name of a Dask scheduler for the first pass.
    workers : int, optional
        Threads when no scheduler is given; the cores by default, at most 8.
    budget : Budget, optional
        For everything.
    pair_budget : Budget, optional
        For each pair that canonical forms do not decide; 10 seconds by default.
    progress : bool or callable, optional

    Returns
    -------
    EquivalenceClasses

    Notes
    -----
    Sorting takes O(n log n); inside a bucket each network is compared with the classes found there.
    About 3 µs a network at widths (4, 4, 3, 2) on one core, 40 µs at (16, 16, 8, 4).
    """
    if not 0 < tolerance < 1:
        raise InputError(f"tolerance must lie in (0, 1), found {tolerance}")
    monitor = Monitor(budget, progress)
    workers = min(8, os.cpu_count() or 1) if workers is None else max(1, int(workers))
    collection = _collect(networks, monitor)
    n = len(collection)
    keys, radius = np.empty((n, N_KEYS)), np.empty((n, N_KEYS))
    architectures: dict[tuple[int, ...], int] = {}
    code = np.empty(n, dtype=np.int32)
    done = 0
    for ids, architecture, values, sizes in _mapper(scheduler, workers)(_key_task, collection.blocks()):
        keys[ids] = values
        radius[ids] = 4.0 * tolerance * sizes + 1e-300
        code[ids] = architectures.setdefault(tuple(architecture), len(architectures))
        done += len(ids)
        monitor.report("evaluating keys", done, n)
        monitor.check_time("grouping networks")
    names = list(architectures)
    ends = np.array([_end(names, w) for w in names], dtype=np.int64)
    order, bounds = kernels.buckets(keys, radius, ends[code] if n else np.zeros(0, dtype=np.int64))
    parent = np.arange(n)
    confirm = _Confirm(collection, names, code, keys, radius, tolerance, pair_budget, monitor, parent)
    sizes_of = np.diff(bounds)
    shared = np.flatnonzero(sizes_of > 1)
    confirm.run(order, bounds, shared, workers)
    labels, first = kernels.number_classes(parent)
    stats = {
        "networks": n, "candidates": int(sizes_of[shared].sum()), "buckets": len(shared),
        "pairs given to are_equivalent": confirm.asked, "seconds": monitor.elapsed,
    }  # fmt: skip
    return EquivalenceClasses(labels, first, tuple(confirm.undecided), stats)


def _end(names: list[tuple[int, ...]], widths: tuple[int, ...]) -> int:
    """A number that architectures with the same inputs and outputs share."""
    return next(i for i, w in enumerate(names) if (w[0], w[-1]) == (widths[0], widths[-1]))


class _Confirm:
    """Second pass: canonical forms inside buckets; `are_equivalent` where they decide nothing."""

    def __init__(
        self, collection: _Collection, names: list[tuple[int, ...]], code: Any, keys: FloatArray,
        radius: FloatArray, tolerance: float, pair_budget: Budget | None, monitor: Monitor, parent: IntArray,
    ) -> None:  # fmt: skip
        self.collection, self.names, self.code = collection, names, code
        self.keys, self.radius, self.tolerance = keys, radius, tolerance
        self.pair_budget = pair_budget or Budget(seconds=10)
        self.monitor, self.parent = monitor, parent
        self.asked = 0
        self.undecided: list[tuple[int, int]] = []

    def run(self, order: IntArray, bounds: IntArray, shared: IntArray, workers: int) -> None:
        pieces: list[list[int]] = []
        size = 0
        for b in shared:
            if not pieces or size > _CHUNK:
                pieces.append([])
                size = 0
            pieces[-1].append(int(b))
            size += int(bounds[b + 1] - bounds[b])
        safe = isinstance(self.collection, _Batch)
        tasks = ([np.sort(order[bounds[b] : bounds[b + 1]]) for b in piece] for piece in pieces)
        done = 0
        for buckets, open_pairs in _threads(self._bucket_task, tasks, workers if safe else 1):
            for i, heads in open_pairs:
                self._ask(i, heads)
            done += len(buckets)
            self.monitor.report("confirming classes", done, len(shared))
            self.monitor.check_time("grouping networks")

    def _bucket_task(self, buckets: list[IntArray]) -> tuple[list[IntArray], list[tuple[int, list[int]]]]:
        """Join what forms prove equal; return networks with heads that they did not decide."""
        ids = np.concatenate(buckets)
        ends = np.cumsum([0, *(len(b) for b in buckets)]).astype(np.int64)
        open_left = np.empty(0, dtype=np.int64)
        open_right = np.empty(0, dtype=np.int64)
        codes = self.code[ids]
        head = np.arange(len(ids))
        for c in np.unique(codes):
            mine = np.flatnonzero(codes == c)
            local = np.searchsorted(mine, ends).astype(np.int64)
            flat = self.collection.fetch(ids[mine])
            widths = np.asarray(self.names[c], dtype=np.int64)
            found, left, right = kernels.confirm(
                flat, widths, local, MERGE, SLACK, self.tolerance, self.keys[ids[mine]], self.radius[ids[mine]]
            )
            head[mine] = mine[found]
            open_left = np.concatenate([open_left, mine[left]])
            open_right = np.concatenate([open_right, mine[right]])
        self.parent[ids] = ids[head]
        pending: dict[int, list[int]] = {}
        for i, j in zip(open_left.tolist(), open_right.tolist()):
            pending.setdefault(int(ids[i]), []).append(int(ids[j]))
        if len(np.unique(codes)) > 1:  # heads of different architectures
            self._mixed(ids, ends, codes, head, pending)
        return buckets, sorted(pending.items())

    def _mixed(self, ids: IntArray, ends: IntArray, codes: Any, head: IntArray, pending: dict[int, list[int]]) -> None:
        for start, stop in zip(ends[:-1], ends[1:]):
            heads = [i for i in range(start, stop) if head[i] == i]
            for q, i in enumerate(heads):
                for j in heads[:q]:
                    if codes[i] != codes[j] and kernels.close(self.keys, self.radius, int(ids[i]), int(ids[j])):
                        pending.setdefault(int(ids[i]), []).append(int(ids[j]))

    def _ask(self, index: int, heads: list[int]) -> None:
        from .equivalence import are_equivalent

        for other in sorted(set(heads)):
            if self.parent[index] != index:
                return
            root = other
            while self.parent[root] != root:
                root = int(self.parent[root])
            self.asked += 1
            answer = are_equivalent(
                self.collection.network(root), self.collection.network(index), tolerance=self.tolerance,
                budget=self.pair_budget,
            )  # fmt: skip
            if answer.verdict is Verdict.YES:
                low, high = sorted((root, index))
                self.parent[high] = low
                return
            if answer.verdict is Verdict.UNDECIDED:
                self.undecided.append((root, index))


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
            f"{len(found.undecided)} pairs were not decided and are kept apart, for instance {pairs}",
            PolyfiberWarning,
            stacklevel=2,
        )
    return found.labels
