"""The only place that compiles with numba.

No kernel is compiled with fastmath: error-free transformations, NaN tests and certified
signs depend on IEEE semantics. A test reads the options of every dispatcher.
"""

from __future__ import annotations

import gc
import hashlib
import os
import pickle
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, TypeVar

import numba
from llvmlite import ir
from numba.core import event, types
from numba.core.caching import IndexDataCacheFile
from numba.extending import intrinsic

from ..budget import compiled, compiling
from ..settings import settings

LINKED = numba.version_info.short == (0, 68)
"""Whether this is a numba whose insides `linking` is written for; others compile in their own way, the same code in
twice the time.
"""

if LINKED:
    from .linking import ATTRIBUTES, Kernel

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS: dict[str, Any] = {
    "nopython": True,
    "nogil": True,
    "error_model": "numpy",
    "fastmath": False,
    "no_cfunc_wrapper": True,
}


class _Compilations(event.Listener):
    """Says when compilation begins; what a kernel needs is compiled inside, and not told again.

    Garbage is not collected meanwhile: the compiler makes much and throws little away, and looking cost a tenth of the
    time. What was made counts as old when it ends, so that nobody looks through it at once.
    """

    def __init__(self) -> None:
        self.depth = 0
        self.started = 0.0
        self.collected = False

    def on_start(self, event: Any) -> None:
        if self.depth == 0:
            compiling(event.data["dispatcher"].py_func.__name__)
            self.started = time.monotonic()
            self.collected = gc.isenabled()
            gc.disable()
        self.depth += 1

    def on_end(self, event: Any) -> None:
        self.depth -= 1
        if self.depth == 0:
            if self.collected:
                if not gc.get_freeze_count():
                    gc.freeze()
                    gc.unfreeze()
                gc.enable()
            compiled(time.monotonic() - self.started)


event.register("numba:compile", _Compilations())

# ---- code on disk -------------------------------------------------------------------------------
_UNREADABLE = (
    pickle.UnpicklingError, AttributeError, ImportError, EOFError, IndexError, KeyError, TypeError, ValueError,
)  # fmt: skip
"""What unpickling a file of other code, or half a file, can raise."""


class CodeFile(IndexDataCacheFile):
    """Compiled code of one kernel on disk, whole and right however many processes fill it at once.

    numba numbers the files of a kernel's signatures 1, 2, … and writes the index first: two processes that compile
    different signatures at the same time can leave an index that names the other's code, and a process that comes
    between sees old code under a new index. Here a file is named by what it holds and is there before the index says
    so. A lost entry of the index costs a compilation.
    """

    STALE = 600.0
    """Seconds after which files that the index does not name are removed."""

    def load(self, key: Any) -> Any:
        """Code of one signature; None where there is none that can be read."""
        try:
            return super().load(key)
        except (*_UNREADABLE, OSError):
            return None

    def _load_index(self) -> Any:
        """Signatures on disk; none where the index is damaged, or names types that the code no longer has."""
        try:
            return super()._load_index()
        except (*_UNREADABLE, OSError):
            return {}

    def save(self, key: Any, data: Any) -> None:
        """Keep the code of one signature, where there is room for it."""
        with suppress(OSError):
            self._save(key, data)

    def _save(self, key: Any, data: Any) -> None:
        digest = hashlib.sha256(repr((self._source_stamp, key)).encode()).digest()
        name = self._data_name(int.from_bytes(digest[:7], "big"))
        self._save_data(name, data)
        index = self._load_index()
        index[key] = name
        self._save_index(index)
        kept = set(index.values())
        pattern = self._data_name_pattern.format(number=0).rsplit(".", 2)[0] + ".*.nbc"
        for path in Path(self._cache_path).glob(pattern):
            with suppress(OSError):
                if path.name not in kept and time.time() - path.stat().st_mtime > self.STALE:
                    path.unlink()


unkept: set[str] = set()
"""Files of kernels whose code is kept nowhere: no folder for it can be written."""

_called: dict[str, tuple[tuple[str, int, int], ...]] = {}


def called_sources(function: FunctionType) -> tuple[tuple[str, int, int], ...]:
    """Name, time and size of the files of all kernels that a kernel may call: numba looks at its own file alone."""
    if function.__module__ not in _called:
        package = __name__.rpartition(".")[0] + "."
        found: dict[str, tuple[str, int, int]] = {}
        waiting = [function.__globals__]
        while waiting:
            for value in list(waiting.pop().values()):
                name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
                module = sys.modules.get(name) if isinstance(name, str) and name.startswith(package) else None
                if module is not None and module.__file__ and module.__name__ not in found:
                    waiting.append(vars(module))
                    found[module.__name__] = (module.__name__, 0, 0)
                    with suppress(OSError):  # in a zip archive
                        info = os.stat(module.__file__)
                        found[module.__name__] = (module.__name__, info.st_mtime_ns, info.st_size)
        _called[function.__module__] = tuple(sorted(found.values()))
    return _called[function.__module__]


# ---- decorators ---------------------------------------------------------------------------------
def _compiled(function: F, *, counts: bool, inline: bool = False) -> F:
    """Compile on first call; the code is kept on disk unless the settings say no.

    Every option is always said: what is not said is taken from the caller that compiles it first.
    """
    if numba.config.DISABLE_JIT or not isinstance(function, FunctionType):
        return function
    if LINKED:
        compiled: Any = Kernel(function, {"_nrt": counts, "forceinline": inline, **_OPTIONS})
    else:
        compiled = numba.jit(_nrt=counts, forceinline=inline, **_OPTIONS)(function)
    if settings.numba_cache:
        try:
            compiled.enable_caching()
        except RuntimeError:  # neither beside the sources nor in the home folder
            unkept.add(function.__module__)
        kept: Any = getattr(compiled._cache, "_cache_file", None)
        if type(kept) is IndexDataCacheFile:
            kept.__class__ = CodeFile
            kept._source_stamp = (kept._source_stamp, called_sources(function))
    return compiled


def kernel(function: F) -> F:
    """Compile a serial kernel on first call; cached on disk unless the settings say no."""
    return _compiled(function, counts=True)


def bare_kernel(function: F) -> F:
    """Compile a kernel that allocates nothing: its arrays are borrowed from the caller and not counted.

    Counting references is an atomic operation for every array that is passed on, in the loops that matter most;
    it took a third of the time of a build.
    """
    return _compiled(function, counts=False)


def interpreted(compiled: F) -> F:
    """The function itself, for the few calls from Python that are not worth a compilation; so is what it calls."""
    function: Any = getattr(compiled, "py_func", compiled)
    if function is compiled:
        return compiled
    if function not in _interpreted:
        called = {
            name: interpreted(value)
            for name, value in function.__globals__.items()
            if name in function.__code__.co_names and hasattr(value, "py_func")
        }
        _interpreted[function] = (
            FunctionType(function.__code__, {**function.__globals__, **called}) if called else function
        )
    return _interpreted[function]


_interpreted: dict[Any, Any] = {}
FEW = 1 << 13
"""Steps of a loop that take less time in Python than a kernel takes to compile."""


def for_few(compiled: F, steps: int) -> F:
    """The function itself where it takes few steps: what a fresh install is asked first is small."""
    return interpreted(compiled) if steps <= FEW else compiled


def inlined(function: F) -> F:
    """Compile a small helper that callers in the same file inline while typing; for plain expressions."""
    compiled: F = numba.jit(inline="always", _nrt=True, **_OPTIONS)(function)
    return compiled


def inline_kernel(function: F) -> F:
    """Compile a helper that its callers inline; it allocates nothing and counts no references, as a `bare_kernel`."""
    return _compiled(function, counts=False, inline=True)


def outlined_kernel(function: F) -> F:
    """Compile a bare kernel that is never copied into its callers: large, or for cases that are rare.

    Copies cost: each is optimised on its own, and the first answer of a fresh install waits for it.
    """
    return _compiled(_with_attributes(function, "noinline"), counts=False)


def rare_kernel(function: F) -> F:
    """Compile a bare kernel for cases that are rare: not copied into its callers, and short rather than unrolled."""
    return _compiled(_with_attributes(function, "noinline", "optsize"), counts=False)


def made_for(kind: type, otherwise: Callable[..., Any]) -> Callable[[F], F]:
    """Let kernels call something simple instead of a kernel where none of the arguments is a named tuple of this kind.

    What is never needed is then not compiled either. The simple one takes the same arguments; where numba compiles in
    its own way, and in Python, the kernel itself is called: it must do the same for other kinds, or not be reached.
    """

    def decorated(compiled: F) -> F:
        if isinstance(compiled, Kernel) if LINKED else False:
            compiled.kind, compiled.otherwise = kind, otherwise  # type: ignore[attr-defined]
        return compiled

    return decorated


def _with_attributes(function: F, *names: str) -> F:
    if LINKED:
        setattr(function, ATTRIBUTES, names)
    return function


if numba.config.DISABLE_JIT:

    def trailing_zeros(word: Any) -> int:
        """Index of the lowest set bit of a uint64, 64 if there is none."""
        value = int(word)
        return (value & -value).bit_length() - 1 if value else 64

    def popcount(word: Any) -> int:
        """Number of set bits of a uint64."""
        return int(word).bit_count()

    def prefetch(array: Any, index: Any) -> None:
        """Ask for the cache line of an entry of a contiguous 1-D array; no effect on results."""

else:

    @intrinsic
    def trailing_zeros(typing_context, word):
        """Index of the lowest set bit of a uint64, 64 if there is none."""

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
