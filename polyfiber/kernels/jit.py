"""The only place that compiles with numba.

No kernel is compiled with fastmath: error-free transformations, NaN tests and certified
signs depend on IEEE semantics. A test reads the options of every dispatcher.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ..settings import settings

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS: dict[str, Any] = {"nopython": True, "nogil": True, "error_model": "numpy", "fastmath": False}


def kernel(function: F) -> F:
    """Compile a serial kernel on first call; cached on disk unless the settings say no."""
    compiled: F = numba.jit(cache=settings.numba_cache, **_OPTIONS)(function)
    return compiled


def bare_kernel(function: F) -> F:
    """Compile a kernel that allocates nothing: its arrays are borrowed from the caller and not counted.

    Counting references is an atomic operation for every array that is passed on, in the loops that matter most;
    it took a third of the time of a build.
    """
    compiled: F = numba.jit(cache=settings.numba_cache, _nrt=False, **_OPTIONS)(function)
    return compiled


def inlined(function: F) -> F:
    """Compile a small helper that callers in the same file inline while typing; for plain expressions."""
    compiled: F = numba.jit(inline="always", **_OPTIONS)(function)
    return compiled


def inline_kernel(function: F) -> F:
    """Compile a helper that its callers inline; it allocates nothing and counts no references, as a `bare_kernel`."""
    compiled: F = numba.jit(cache=settings.numba_cache, forceinline=True, _nrt=False, **_OPTIONS)(function)
    return compiled


def parallel_kernel(function: F) -> F:
    """Compile a leaf kernel with ``prange``; output rows must be disjoint. Never cached."""
    compiled: F = numba.jit(cache=False, parallel=True, **_OPTIONS)(function)
    return compiled


prange = numba.prange

if numba.config.DISABLE_JIT:

    def trailing_zeros(word: Any) -> int:
        """Index of the lowest set bit of a non-zero uint64."""
        value = int(word)
        return (value & -value).bit_length() - 1

    def popcount(word: Any) -> int:
        """Number of set bits of a uint64."""
        return int(word).bit_count()

    def prefetch(array: Any, index: Any) -> None:
        """Ask for the cache line of an entry of a contiguous 1-D array; no effect on results."""

else:

    @intrinsic
    def trailing_zeros(typing_context, word):
        """Index of the lowest set bit of a non-zero uint64."""

        def codegen(context, builder, signature, args):
            return builder.cttz(args[0], context.get_constant(types.boolean, False))

        return types.uint64(types.uint64), codegen

    @intrinsic
    def popcount(typing_context, word):
        """Number of set bits of a uint64."""

        def codegen(context, builder, signature, args):
            return builder.ctpop(args[0])

        return types.int64(types.uint64), codegen

    @intrinsic
    def prefetch(typing_context, array, index):
        """Ask for the cache line of an entry of a contiguous 1-D array; no effect on results."""

        def codegen(context, builder, signature, args):
            data = context.make_array(signature.args[0])(context, builder, args[0]).data
            pointer = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(8).as_pointer())
            declared = builder.module.declare_intrinsic(
                "llvm.prefetch",
                [ir.IntType(8).as_pointer()],
                fnty=ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer(), *[ir.IntType(32)] * 3]),
            )
            flags = [ir.Constant(ir.IntType(32), value) for value in (0, 3, 1)]
            builder.call(declared, [pointer, *flags])
            return context.get_dummy_value()

        return types.none(array, types.uint64), codegen
