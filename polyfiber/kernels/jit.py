"""The only place that calls numba.

No kernel is compiled with fastmath: error-free transformations, NaN tests and certified
signs depend on IEEE semantics. A test reads the options of every dispatcher.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

from ..settings import settings

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS: dict[str, Any] = {"nopython": True, "nogil": True, "error_model": "numpy", "fastmath": False}


def kernel(function: F) -> F:
    """Compile a serial kernel on first call; cached on disk unless the settings say no."""
    compiled: F = numba.jit(cache=settings.numba_cache, **_OPTIONS)(function)
    return compiled


def inlined(function: F) -> F:
    """Compile a small helper that callers in the same file inline."""
    compiled: F = numba.jit(inline="always", **_OPTIONS)(function)
    return compiled


def parallel_kernel(function: F) -> F:
    """Compile a leaf kernel with ``prange``; output rows must be disjoint. Never cached."""
    compiled: F = numba.jit(cache=False, parallel=True, **_OPTIONS)(function)
    return compiled


prange = numba.prange
