"""Settings that are not arguments of a single call; read from the environment once.

``POLYFIBER_NUMBA_CACHE=0`` turns the on-disk cache of compiled kernels off.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS",
)  # fmt: skip


@contextmanager
def for_workers() -> Iterator[None]:
    """Processes started inside use one thread each for numerical libraries, and do not hear Ctrl-C.

    They share the cores already; and what is to be done about an interruption is for the process that started them,
    also while they are still being loaded. An interruption that comes meanwhile is heard at the end.
    """
    mask = getattr(signal, "pthread_sigmask", None)  # not on Windows
    blocked: set[signal.Signals] = set()
    if mask:
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()  # started later, it would let interruptions through again
        blocked = mask(signal.SIG_BLOCK, {signal.SIGINT})
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        if mask:
            mask(signal.SIG_SETMASK, blocked)


@dataclass(frozen=True)
class Settings:
    """Process-wide settings."""

    numba_cache: bool = True

    @classmethod
    def from_environment(cls) -> Settings:
        """Settings as the environment variables state them."""
        return cls(numba_cache=os.environ.get("POLYFIBER_NUMBA_CACHE", "1") not in ("0", "no", "off"))


settings = Settings.from_environment()
