"""Processes that work for this one: how they start, and that they end with it.

Fork is the cheap way: a child has the compiled code that is loaded here, and begins within milliseconds instead of a
second. It is taken where it is safe, see `fork_is_safe`; elsewhere children start by spawn.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ._typing import StartMethod
from .errors import InputError, PolyfiberError

METHODS = ("fork", "spawn")
THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS",
)  # fmt: skip
OPENMP = ("libgomp", "libiomp", "libomp")
"""Runtimes whose threads a forked child would wait for in vain."""
PR_SET_PDEATHSIG = 1


before_forking: list[Callable[[], None]] = []
"""Called when processes are about to be forked: what ends threads that can be spared."""


# ---- which way ----------------------------------------------------------------------------------
def fork_is_safe() -> bool:
    """Whether a child of fork can go on computing: Linux, no other Python thread, no OpenMP runtime loaded.

    The threads of OpenBLAS and of Arrow do not matter: both libraries stop and restart them around a fork. Those that
    `before_forking` knows are ended.
    """
    for end in before_forking:
        end()
    if not sys.platform.startswith("linux") or threading.active_count() > 1:
        return False
    libraries = _loaded_libraries()
    return libraries is not None and not any(name in os.path.basename(path) for path in libraries for name in OPENMP)


def start_method(method: StartMethod | None = None) -> StartMethod:
    """The method itself; by default 'fork' where it is safe, else 'spawn'.

    Raises
    ------
    InputError
        Another word, or a method that this system does not have.
    """
    if method is None:
        return "fork" if fork_is_safe() else "spawn"
    if method not in METHODS or method not in multiprocessing.get_all_start_methods():
        raise InputError(f"processes start by 'fork' (where the system has it) or 'spawn', found {method!r}")
    return method


def _loaded_libraries() -> set[str] | None:
    """Files of the shared libraries of this process; None where the system does not tell."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as stream:
            return {line.split(maxsplit=5)[5].strip() for line in stream if ".so" in line}
    except (OSError, IndexError):
        return None


def refuse_while_imported() -> None:
    """Refuse to start processes in a spawned child that still imports the program.

    Raises
    ------
    PolyfiberError
        There: the program lacks ``if __name__ == "__main__":``.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise PolyfiberError("a program that uses workers must start under if __name__ == '__main__':")


# ---- starting -----------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Origin:
    """What a child must know about the process that started it."""

    pid: int
    main_thread: bool
    inherited: tuple[int, ...]


def start(target: Callable[..., None], *arguments: Any, method: StartMethod) -> tuple[Any, Any]:
    """Start ``target(pipe, *arguments)`` in a process of its own.

    The child uses one thread for numerical libraries, hears no Ctrl-C (what is to be done about an interruption is
    for the process that started it), and ends when that process ends, however it does.

    Parameters
    ----------
    target : callable
        Of a module, so that spawn finds it.
    *arguments
        Small where processes are spawned: more than a pipe holds (64 KiB) waits for the child, for ever if it dies.
    method : 'fork' or 'spawn'

    Returns
    -------
    process, pipe
        The pipe's other end is the child's; it breaks when the child dies.

    Raises
    ------
    PolyfiberError
        See `refuse_while_imported`.
    """
    refuse_while_imported()
    context: Any = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    with _deaf_and_single_threaded(method):
        inherited = _open_files() if method == "fork" else ()
        origin = _Origin(
            os.getpid(),
            threading.current_thread() is threading.main_thread(),
            tuple(fd for fd in inherited if fd > 2 and fd != theirs.fileno()),
        )
        process = context.Process(target=_live, args=(target, theirs, arguments, origin), daemon=True)
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message=".*multi-threaded", category=DeprecationWarning
            )  # see fork_is_safe
            process.start()
    theirs.close()
    return process, ours


def fork_of_its_own(work: Callable[[], None], *, keep: tuple[int, ...] = ()) -> int:
    """Number of a fork that does the work and ends, with 0 where nothing was raised; its open files lead nowhere but
    those to keep.

    It ends with this process. For processes that may have no children of `start`.
    """
    inherited = tuple(fd for fd in _open_files() if fd > 2 and fd not in keep)
    origin = _Origin(os.getpid(), threading.current_thread() is threading.main_thread(), inherited)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _let_go(origin.inherited)
            _end_with(origin)
            work()
            code = 0
        except BaseException:  # the code says so; nothing of this process may run twice
            code = 1
        finally:
            os._exit(code)
    return child


def _open_files() -> tuple[int, ...]:
    found = []
    for fd in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):  # that of the listing itself
            os.fstat(fd)
            found.append(fd)
    return tuple(found)


@contextmanager
def _deaf_and_single_threaded(method: str) -> Iterator[None]:
    """Processes started inside use one thread each and hear no Ctrl-C, also while they are still being loaded.

    An interruption that comes meanwhile is heard here, at the end.
    """
    mask = getattr(signal, "pthread_sigmask", None)  # not on Windows
    blocked: set[signal.Signals] = set()
    if mask:
        if method == "spawn":
            from multiprocessing import resource_tracker

            resource_tracker.ensure_running()  # started later, it would let interruptions through again
        blocked = mask(signal.SIG_BLOCK, {signal.SIGINT})
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        with one_blas_thread():
            yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        if mask:
            mask(signal.SIG_SETMASK, blocked)


def _live(target: Callable[..., None], pipe: Any, arguments: tuple[Any, ...], origin: _Origin) -> None:
    """Life of a child."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _let_go(origin.inherited)
    _end_with(origin)
    target(pipe, *arguments)


def _let_go(files: tuple[int, ...]) -> None:
    """Point the files that were open at a fork to nowhere: locks and pipes are the parent's alone.

    They are not closed, since objects in this process still hold their numbers. One that has been closed since they
    were listed may be the very number that is opened here.
    """
    if files:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for fd in files:
            if fd != nowhere:
                os.dup2(nowhere, fd, inheritable=False)
        if nowhere not in files:
            os.close(nowhere)


def _end_with(origin: _Origin) -> None:
    """End this process when the one that started it ends."""
    if sys.platform.startswith("linux") and origin.main_thread:  # the signal comes when the starting *thread* ends
        with suppress(OSError, AttributeError):
            if ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL)) == 0:
                if os.getppid() != origin.pid:
                    os._exit(1)
                return
    threading.Thread(target=_watch_parent, daemon=True).start()


def _watch_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


# ---- threads of linear algebra ------------------------------------------------------------------
@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Libraries of linear algebra use one thread inside, here and in children of fork; where they can be asked to.

    Known are OpenBLAS (that of NumPy and SciPy wheels too), MKL and BLIS, on Linux; elsewhere nothing happens.
    """
    before = [(put, get()) for get, put in _blas_controls()]
    for put, _ in before:
        put(1)
    try:
        yield
    finally:
        for put, number in before:
            put(number)


_CONTROLS = (
    ("openblas_get_num_threads", "openblas_set_num_threads"),
    ("openblas_get_num_threads64_", "openblas_set_num_threads64_"),
    ("scipy_openblas_get_num_threads", "scipy_openblas_set_num_threads"),
    ("scipy_openblas_get_num_threads64_", "scipy_openblas_set_num_threads64_"),
    ("MKL_Get_Max_Threads", "MKL_Set_Num_Threads"),
    ("bli_thread_get_num_threads", "bli_thread_set_num_threads"),
)


def _blas_controls() -> list[tuple[Callable[[], int], Callable[[int], Any]]]:
    found = []
    for path in _loaded_libraries() or ():
        name = os.path.basename(path)
        if not name.startswith("lib") or not any(word in name for word in ("blas", "mkl_rt", "blis")):
            continue
        with suppress(OSError):
            library = ctypes.CDLL(path)
            for get, put in _CONTROLS:
                if hasattr(library, get) and hasattr(library, put):
                    found.append((getattr(library, get), getattr(library, put)))
                    break
    return found


__all__ = ["fork_is_safe", "fork_of_its_own", "one_blas_thread", "refuse_while_imported", "start", "start_method"]
