"""Run many blocks: one after the other or in worker processes, within budgets, with exact partial results."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ... import words
from ..._typing import OnDegenerate, ProgressLike, StartMethod
from ...budget import Budget, Monitor, available_memory
from ...domain import Polyhedron
from ...errors import BudgetExceededError, InputError, PolyfiberError
from ...network.model import ReLUNetwork
from ...network.piecewise import PiecewiseLinearNetwork
from ...words import one_line
from ..skeleton.arrays import Frame, make_frame
from .block import Block, complement
from .contents import MASK, BlockComplex, BlockCount, BlockOverflow, Cells
from .plan import DEFAULT_MEMORY, plan_blocks, room_for
from .workers import BlockRunner, Setup, WorkerPool


@dataclass(frozen=True)
class BlockSum:
    """What some blocks have together.

    Attributes
    ----------
    complete : bool
        Whether they are the whole complex.
    f_vector, bounded : tuple of int
        Faces, and bounded faces, that these blocks own; the numbers of the complex when complete.
    fingerprints : dict
        Of the dimensions that were asked for; those of `PolyhedralComplex.fingerprint` when complete.
    decisions : dict
        How signs were decided, summed over the blocks.
    verified : bool or None
        Whether every block's certificate was checked anew and held; None if it was not asked for.
    blocks : tuple of BlockCount
    remaining : tuple of Block
        What is missing; `Block.polyhedron` says where it is.
    seconds : float
        Wall-clock time.
    """

    __repr__ = one_line

    complete: bool
    f_vector: tuple[int, ...]
    bounded: tuple[int, ...]
    fingerprints: dict[int, tuple[int, int]]
    decisions: dict[str, int]
    verified: bool | None
    blocks: tuple[BlockCount, ...] = field(repr=False)
    remaining: tuple[Block, ...] = field(repr=False)
    seconds: float = 0.0

    @classmethod
    def of(
        cls,
        network: ReLUNetwork | PiecewiseLinearNetwork,
        dimension: int,
        counts: Sequence[BlockCount],
        *,
        seconds: float = 0.0,
    ) -> BlockSum:
        """Sum of the counts of some blocks of one tree."""
        remaining = tuple(complement([c.block for c in counts], network=network))
        dims = set(counts[0].fingerprints) if counts else set()
        checks = [c.verified for c in counts]
        return cls(
            complete=not remaining,
            f_vector=_sum([c.f_vector for c in counts], dimension + 1),
            bounded=_sum([c.bounded for c in counts], dimension + 1),
            fingerprints={
                d: (
                    sum(c.fingerprints[d][0] for c in counts) & MASK,
                    sum(c.fingerprints[d][1] for c in counts) & MASK,
                )
                for d in sorted(dims)
            },
            decisions={
                name: sum(c.decisions.get(name, 0) for c in counts) for name in (counts[0].decisions if counts else ())
            },
            verified=None if not checks or None in checks else all(checks),
            blocks=tuple(counts),
            remaining=remaining,
            seconds=seconds,
        )


def _sum(rows: Sequence[tuple[int, ...]], width: int) -> tuple[int, ...]:
    return tuple(sum(row[i] for row in rows) for i in range(width))


def run_blocks(
    network: ReLUNetwork | PiecewiseLinearNetwork,
    domain: Polyhedron | None,
    blocks: Iterable[Block],
    job: Any,
    *,
    room: int,
    most: int | None = None,
    workers: int = 1,
    start_method: StartMethod | None = None,
    on_degenerate: OnDegenerate = "resolve",
    monitor: Monitor | None = None,
) -> Iterator[Any]:
    """Results of a job on blocks, as they come; a block that is too large is split and replayed.

    Parameters
    ----------
    job : callable
        Takes a `BlockComplex`; picklable where there is more than one worker.
    room : int
        Vertices of a block.
    most : int, optional
        Vertices of a block that no wall splits; ``room`` by default.
    workers : int
        This process and at most ``workers - 1`` that it starts.
    start_method : 'fork' or 'spawn', optional
        How they start; by default by fork where that is safe (`polyfiber.processes.fork_is_safe`), else by spawn.
    monitor : Monitor, optional
        Its clock runs already, so that planning counts; the memory of its budget is not looked at here.

    Raises
    ------
    BudgetExceededError
        The time is up, or a single region does not fit. What was yielded before stands.
    """
    if workers < 1:
        raise InputError(f"workers must be at least 1, found {workers}")
    setup = Setup.of(network, domain, job, room=room, most=most, on_degenerate=on_degenerate)
    runner = BlockRunner(setup)
    todo = list(blocks)[::-1]
    planned = len(todo)
    monitor = Monitor() if monitor is None else monitor
    done = yield from _run_here(runner, todo, monitor, workers)
    if todo:
        others = (workers if planned == 1 else min(workers, planned)) - 1
        with WorkerPool(setup, others, method=start_method) as pool:
            yield from _run_everywhere(pool, runner, todo, monitor, done)


def _left(monitor: Monitor) -> float | None:
    limit = monitor.budget.seconds
    return None if limit is None else max(0.0, limit - monitor.elapsed)


def _run_here(runner: BlockRunner, todo: list[Block], monitor: Monitor, workers: int) -> Generator[Any, None, int]:
    """Run blocks in this process, all of them or while there is nothing to share; returns how many were done."""
    done = 0
    while todo and (workers == 1 or len(todo) == 1):
        for result in _next_block(runner, todo, monitor, done):
            yield result
            done += 1
            monitor.report("blocks", done, done + len(todo))
    return done


def _next_block(runner: BlockRunner, todo: list[Block], monitor: Monitor, done: int) -> list[Any]:
    """Run the block on top in this process: its result, or none if it was split."""
    what = f"the enumeration ({words.count(done, 'block')} done)"
    monitor.check_time(what)
    try:
        return [runner(todo.pop(), seconds=_left(monitor), progress=None)]
    except BlockOverflow as overflow:
        todo += overflow.children[::-1]
        return []
    except BudgetExceededError:
        monitor.check_time(what)
        raise


def _run_everywhere(
    pool: WorkerPool, runner: BlockRunner, todo: list[Block], monitor: Monitor, done: int
) -> Iterator[Any]:
    """Run blocks in the workers, and in this process too: it would only wait, and it has started already."""
    while todo or pool.waiting_for:
        monitor.check_time(f"the enumeration ({done} blocks done)")
        for worker in pool.hungry:
            if len(todo) > 1:  # one is for this process
                pool.give(worker, todo.pop(), _left(monitor))
        results = []
        if todo:
            results = _next_block(runner, todo, monitor, done)
        for _block, kind, value in pool.wait(0 if todo or results else _left(monitor)):
            if kind == "done":
                results.append(value)
            elif kind == "split":
                todo += value[::-1]
            elif kind == "error":
                raise value
            elif kind == "budget":
                monitor.check_time(f"the enumeration ({done} blocks done)")
                raise BudgetExceededError(value, partial=None)
        for result in results:
            yield result
            done += 1
            monitor.report("blocks", done, done + len(todo) + pool.waiting_for)


def iter_blocks(
    network: ReLUNetwork | PiecewiseLinearNetwork,
    domain: Polyhedron | None = None,
    *,
    dims: Sequence[int] = (),
    blocks: Iterable[Block] | None = None,
    on_degenerate: OnDegenerate = "resolve",
    budget: Budget | None = None,
    progress: ProgressLike = None,
) -> Iterator[BlockComplex]:
    """The blocks of a complex, one at a time; only one is held.

    Parameters
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
    domain : Box or Polyhedron, optional
    dims : sequence of int
        Dimensions whose faces will be asked for, so that their memory is counted.
    blocks : optional
        Only these; by default `plan_blocks`.
    on_degenerate, progress : optional
        As for `canonical_complex`.
    budget : Budget, optional
        Its memory is what the blocks work in, 256 MB by default.

    Examples
    --------
    >>> import polyfiber as pf
    >>> net = pf.ReLUNetwork.random((2, 16, 16, 1), rng=0)
    >>> sum(block.f_vector[2] for block in pf.iter_blocks(net)) == pf.face_counts(net)[2]
    True
    """
    monitor = Monitor(budget, progress)
    frame = make_frame(network, domain)
    room, most = rooms(frame, budget, dims=tuple(dims), lookup=bool(dims))
    chosen = first_blocks(network, domain, frame, room, 1, monitor) if blocks is None else blocks
    yield from run_blocks(
        network, domain, chosen, _itself, room=room, most=most, on_degenerate=on_degenerate, monitor=monitor
    )


def _itself(part: BlockComplex) -> BlockComplex:
    return part


CELLS = "cells given out"


# more than ten parameters: public: what to give out, how, and within what
def iter_cells(
    network: ReLUNetwork | PiecewiseLinearNetwork,
    domain: Polyhedron | None = None,
    *,
    dim: int | None = None,
    rows: int = 1 << 16,
    unbounded: bool = False,
    maps: bool = False,
    vertices: bool = False,
    blocks: Iterable[Block] | None = None,
    on_degenerate: OnDegenerate = "resolve",
    budget: Budget | None = None,
    progress: ProgressLike = None,
) -> Iterator[Cells]:
    """The cells of one dimension, in pieces, without holding the complex.

    Parameters
    ----------
    dim : int, optional
        Regions by default.
    rows : int
        Most cells of a piece.
    unbounded, maps, vertices : bool
        What to tell besides the sign vectors, see `Cells`.
    blocks, on_degenerate, budget, progress : optional
        As for `iter_blocks`.

    Yields
    ------
    Cells
        Every cell of the complex once.

    Raises
    ------
    BudgetExceededError
        ``partial`` is a `polyfiber.budget.SoFar` with the number of cells that were given out; ``partial.found`` are
        the blocks all of whose cells were: with ``blocks=complement(partial.found, network=network)`` the others
        follow.

    Examples
    --------
    >>> import polyfiber as pf
    >>> net = pf.ReLUNetwork.random((2, 16, 16, 1), rng=0)
    >>> sum(len(cells) for cells in pf.iter_cells(net, rows=100)) == pf.face_counts(net)[2]
    True
    """
    monitor, done, finished = Monitor(budget, progress), 0, list[Block]()
    monitor.did(CELLS, 0, found=())
    frame = make_frame(network, domain)
    d = frame.n if dim is None else int(dim)
    if not 0 <= d <= frame.n:
        raise InputError(f"dimension {d} does not exist; the complex has dimensions 0 to {frame.n}")
    room, most = rooms(frame, budget, dims=(d,), lookup=unbounded or vertices, incidence=vertices)
    with monitor.keeping():
        chosen = first_blocks(network, domain, frame, room, 1, monitor) if blocks is None else blocks
        for part in run_blocks(
            network, domain, chosen, _itself, room=room, most=most, on_degenerate=on_degenerate, monitor=monitor
        ):
            for cells in part.cells(d, rows=rows, unbounded=unbounded, maps=maps, vertices=vertices):
                done += len(cells)
                monitor.did(CELLS, done, found=tuple(finished))
                yield cells
            finished.append(part.block)
            monitor.did(CELLS, done, found=tuple(finished))


def count_blocks(
    network: ReLUNetwork | PiecewiseLinearNetwork,
    domain: Polyhedron | None = None,
    *,
    workers: int = 1,
    start_method: StartMethod | None = None,
    fingerprints: Sequence[int] = (),
    verify: bool = False,
    blocks: Iterable[Block] | None = None,
    on_degenerate: OnDegenerate = "resolve",
    budget: Budget | None = None,
    progress: ProgressLike = None,
) -> BlockSum:
    """f-vector and more, block by block, in bounded memory.

    Parameters
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
    domain : Box or Polyhedron, optional
    workers : int
        Processes. The first is this one.
    start_method : 'fork' or 'spawn', optional
        How the others start. By default by fork where that is safe (Linux, no other threads), within milliseconds; else
        by spawn, in about a second, and then a script needs ``if __name__ == "__main__":``.
    fingerprints : dimensions
        Write their faces (and forget them) for an order-independent fingerprint.
    verify : bool
        Check every block's certificate anew.
    blocks : optional
        Only these; by default `plan_blocks`.
    on_degenerate, progress : optional
        As for `canonical_complex`.
    budget : Budget, optional
        Its memory is what all workers together work in, 256 MB each by default.

    Returns
    -------
    BlockSum

    Raises
    ------
    BudgetExceededError
        ``partial`` is the `BlockSum` of the blocks that were complete; ``partial.remaining`` are the others.
    KeyboardInterrupt
        Has the same attribute ``partial``.

    Examples
    --------
    >>> import polyfiber as pf
    >>> total = pf.count_blocks(pf.ReLUNetwork.random((2, 16, 16, 1), rng=0), fingerprints=[2])
    >>> total.f_vector, total.complete
    ((419, 868, 450), True)
    """
    monitor = Monitor(budget, progress)
    frame = make_frame(network, domain)
    dims = tuple(frame.n if d is None else int(d) for d in fingerprints)
    if not all(0 <= d <= frame.n for d in dims):
        raise InputError(f"fingerprints are of dimensions 0 to {frame.n}, found {words.listed(dims)}")
    room, most = rooms(frame, budget, workers, dims=dims)
    job = partial(BlockCount.of, fingerprints=dims, verify=verify)
    counts: list[BlockCount] = []

    def total() -> BlockSum:
        return BlockSum.of(network, frame.n, counts, seconds=monitor.elapsed)

    try:
        chosen = first_blocks(network, domain, frame, room, workers, monitor) if blocks is None else list(blocks)
        for count in run_blocks(
            network, domain, chosen, job, room=room, most=most, workers=workers, start_method=start_method,
            on_degenerate=on_degenerate, monitor=monitor,
        ):  # fmt: skip
            counts.append(count)
    except (PolyfiberError, KeyboardInterrupt) as stop:
        stop.partial = total()  # type: ignore[union-attr]
        raise
    return total()


def rooms(frame: Frame, budget: Budget | None, workers: int = 1, **use: Any) -> tuple[int, int]:
    """Vertices that a block may have, and one that no wall splits; ``use`` as for `plan.bytes_of_vertex`.

    Each worker has its part of the budget's memory. Where no memory was given, a region too large for the 256 MB of
    a block may take its part of half of what the machine has free.
    """
    if workers < 1:
        raise InputError(f"workers must be at least 1, found {workers}")
    if budget is not None and budget.memory is not None:
        room = room_for(frame, budget.memory // workers, **use)
        return room, room
    free = available_memory() or 0
    return room_for(frame, None, **use), room_for(frame, max(DEFAULT_MEMORY, free // (2 * workers)), **use)


def first_blocks(
    network: ReLUNetwork | PiecewiseLinearNetwork,
    domain: Polyhedron | None,
    frame: Frame,
    room: int,
    workers: int,
    monitor: Monitor,
    within: Sequence[Block] = (Block(),),
) -> tuple[Block, ...]:
    """Blocks to begin with: for several workers, enough of them to end together."""
    at_least = 1 if workers == 1 else 8 * workers
    with monitor.watching():
        return plan_blocks(network, domain, room=room, at_least=at_least, within=within, frame=frame).blocks


__all__ = ["BlockSum", "count_blocks", "iter_blocks", "iter_cells", "run_blocks"]
