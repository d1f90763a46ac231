"""Kernels that are on no disk yet are compiled apart from a worker, in processes that end.

A compiler takes some 100 MB and gives nothing back. A worker that stays within its memory has none in it: what it lacks
is compiled by a child, which keeps the code on disk, and is then loaded as in any later run. The child is forked from a
small process that the worker starts before its first network, so that it shares the libraries and none of the data.

Where processes cannot be forked, or code is kept on no disk, the worker compiles for itself.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import pickle
import time
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from typing import Any

from ..budget import compiled, compiling
from ..processes import fork_is_safe, fork_of_its_own

Question = tuple[str, str, bytes]
"""Module and name of a kernel, and the types that it is called with."""


@contextlib.contextmanager
def compiled_apart() -> Iterator[None]:
    """Inside, this process loads kernels from the disk and has others compiled by children."""
    if not fork_is_safe():
        yield
        return
    from numba.core.caching import FunctionCache  # half a second, which a process has paid that has kernels

    ours, theirs = Pipe()
    fork_of_its_own(lambda: _answer(theirs), keep=(theirs.fileno(),))
    theirs.close()
    load = FunctionCache.load_overload

    def load_or_ask(cache: Any, types: Any, context: Any) -> Any:
        found = load(cache, types, context)
        if found is None and (question := _question(cache, types)) and _ask(ours, question):
            found = load(cache, types, context)
        return found

    FunctionCache.load_overload = load_or_ask
    try:
        yield
    finally:
        FunctionCache.load_overload = load
        ours.close()


def _question(cache: Any, types: Any) -> Question | None:
    function = cache._py_func
    try:
        return function.__module__, function.__qualname__, pickle.dumps(types)
    except (pickle.PicklingError, AttributeError, TypeError):  # types of a function inside another one
        return None


def _ask(pipe: Any, question: Question) -> bool:
    """Whether a child says that the code is on the disk now; its time is not that of the network."""
    start = time.monotonic()
    compiling(question[1])
    try:
        pipe.send(question)
        return bool(pipe.recv())
    except (OSError, EOFError):
        return False
    finally:
        compiled(time.monotonic() - start)


def _answer(pipe: Any) -> None:
    """Life of the small process: a child for each question, until the worker is gone."""
    with contextlib.suppress(OSError, EOFError):
        while True:
            question = pipe.recv()
            pipe.send(_ends_well(functools.partial(_compile, *question)))


def _ends_well(work: Callable[[], None]) -> bool:
    _, status = os.waitpid(fork_of_its_own(work), 0)
    return status == 0


def _compile(module: str, name: str, types: bytes) -> None:
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    found.compile(pickle.loads(types))
