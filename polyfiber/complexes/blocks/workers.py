"""Worker processes that run blocks: one thread each, no shared state.

Each worker holds one end of a pipe. When this process dies, however it dies, the workers die; when a worker dies, the
pipe breaks and the block that it had is named.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import pickle
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from ..._typing import OnDegenerate, StartMethod
from ...budget import Budget, Monitor
from ...domain import Polyhedron
from ...errors import BudgetExceededError, PolyfiberError
from ...network.model import ReLUNetwork
from ...network.piecewise import PiecewiseLinearNetwork
from ...processes import one_blas_thread, start, start_method
from ..skeleton.arrays import make_frame
from .block import Block
from .contents import BlockComplex, BlockOverflow, run_block

AHEAD = 2
"""Blocks in a worker's queue: it need not wait while this process is at work."""


@dataclass(frozen=True)
class Setup:
    """What every block of a run has in common; it travels to the workers once.

    Attributes
    ----------
    job : callable
        Takes a `BlockComplex`, returns what is wanted of it (picklable, as the job itself).
    room, most : int
        Vertices of a block, and of one that no wall splits.
    """

    network: Any
    domain: Polyhedron | None
    job: Any
    room: int
    most: int
    on_degenerate: OnDegenerate

    @classmethod
    def of(
        cls,
        network: ReLUNetwork | PiecewiseLinearNetwork,
        domain: Polyhedron | None,
        job: Any,
        *,
        room: int,
        most: int | None = None,
        on_degenerate: OnDegenerate,
    ) -> Setup:
        """Setup of a network on a domain."""
        most = room if most is None else most
        return cls(network, domain, job, room, most, on_degenerate)


class _Stop(BaseException):
    """Raised inside a block when the run is being stopped."""


class BlockRunner:
    """Runs the blocks of one setup in this process."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.network = setup.network
        self.frame = make_frame(self.network, setup.domain)

    def __call__(self, block: Block, *, seconds: float | None, progress: Any) -> Any:
        """Result of the job on a block; raises as `run_block`."""
        monitor = Monitor(Budget(seconds=seconds))
        with monitor.watching():
            return self.setup.job(self._part(block, monitor, progress))

    def _part(self, block: Block, monitor: Monitor, progress: Any) -> BlockComplex:
        room, most = self.setup.room, self.setup.most
        while True:
            try:
                return run_block(
                    self.network,
                    block,
                    self.setup.domain,
                    room=room,
                    on_degenerate=self.setup.on_degenerate,
                    budget=monitor.rest(),
                    progress=progress,
                    frame=self.frame,
                )
            except BudgetExceededError as error:
                if room >= most or not hasattr(error, "unsplit"):
                    raise
            room = min(4 * room, most)


def _work(pipe: Any, stop: Any) -> None:
    """Life of a worker: a setup, then blocks until None."""

    def check(_event: Any) -> None:
        if stop.is_set():
            raise _Stop

    try:
        runner = BlockRunner(pipe.recv())
        pipe.send(("ready", None))
        while (task := pipe.recv()) is not None:
            block, seconds = task
            try:
                answer: tuple[str, Any] = ("done", runner(block, seconds=seconds, progress=check))
            except BlockOverflow as overflow:
                answer = ("split", overflow.children)
            except _Stop:
                answer = ("stopped", None)
            except BudgetExceededError as error:
                answer = ("budget", str(error))
            except Exception as error:
                answer = ("error", _portable(error))
            pipe.send(answer)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass


def _portable(error: Exception) -> Exception:
    try:
        copy: Exception = pickle.loads(pickle.dumps(error))
        return copy
    except Exception:
        return PolyfiberError(f"{type(error).__name__}: {error}")


class WorkerPool:
    """Some worker processes; a context manager that stops them. Inside, linear algebra uses one thread here too.

    Parameters
    ----------
    setup : Setup
    count : int
    method : 'fork' or 'spawn', optional
        How they start; by default 'fork' where `fork_is_safe`.
    """

    def __init__(self, setup: Setup, count: int, *, method: StartMethod | None = None) -> None:
        self.method = start_method(method)
        self._stop = multiprocessing.get_context(self.method).Event()
        self._inside = ExitStack()
        self._pipes: list[Any] = []
        self._processes: list[Any] = []
        self.queues: list[list[Block]] = [[] for _ in range(count)]
        self._ready = [False] * count
        for _ in range(count):
            process, pipe = start(_work, self._stop, method=self.method)
            self._pipes.append(pipe)
            self._processes.append(process)
        for i in range(count):
            self._send(i, setup)

    def _send(self, i: int, message: Any) -> None:
        try:
            self._pipes[i].send(message)
        except (BrokenPipeError, ConnectionResetError):
            raise self._died(i) from None

    def _died(self, i: int) -> PolyfiberError:
        self._processes[i].join(5)
        code = self._processes[i].exitcode
        if not self._ready[i]:
            return PolyfiberError(
                f"worker {i} ended at its start (exit code {code}); a program that uses workers must start under "
                "if __name__ == '__main__':"
            )
        at = f" while it ran the block of path {self.queues[i][0].path}" if self.queues[i] else ""
        return PolyfiberError(f"worker {i} ended (exit code {code}){at}")

    @property
    def hungry(self) -> list[int]:
        """Workers with fewer than two blocks, once for each that they can take, those without any first."""
        return [i for most in range(AHEAD) for i, queue in enumerate(self.queues) if len(queue) <= most]

    @property
    def waiting_for(self) -> int:
        """Blocks that were given and did not come back."""
        return sum(map(len, self.queues))

    def give(self, worker: int, block: Block, seconds: float | None) -> None:
        """Put a block into a worker's queue."""
        self.queues[worker].append(block)
        self._send(worker, (block, seconds))

    def wait(self, seconds: float | None) -> list[tuple[Block, str, Any]]:
        """What came back: (block, 'done' | 'split' | 'stopped' | 'budget' | 'error', value)."""
        answers = []
        for pipe in multiprocessing.connection.wait(self._pipes, seconds):
            i = self._pipes.index(pipe)
            try:
                kind, value = self._pipes[i].recv()
            except (EOFError, ConnectionResetError):
                raise self._died(i) from None
            if kind == "ready":
                self._ready[i] = True
            else:
                answers.append((self.queues[i].pop(0), kind, value))
        return answers

    def __enter__(self) -> WorkerPool:
        self._inside.enter_context(one_blas_thread())
        return self

    def __exit__(self, *_: object) -> None:
        """End the workers: those at work stop at the next wall, those that did not begin at once."""
        self._inside.close()
        self._stop.set()
        for pipe, process, ready in zip(self._pipes, self._processes, self._ready):
            if not ready:
                process.terminate()
            with suppress(BrokenPipeError, ConnectionResetError):
                pipe.send(None)
        for pipe, process in zip(self._pipes, self._processes):
            process.join(5)
            if process.is_alive():
                process.terminate()
                process.join()
            pipe.close()


__all__ = ["BlockRunner", "Setup", "WorkerPool"]
