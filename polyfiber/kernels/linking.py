"""How kernels are compiled: what a kernel calls is handed over as it was lowered, and optimised once, inside the
kernel.

numba makes machine code of every function on its own, with a wrapper for calls from Python, and optimises what a
function calls again inside each caller, and inside the callers of these. Most of our functions are called by other
kernels alone: they need neither. So a `Kernel` has two lives. Called from Python it is compiled as numba does, once,
with all that it calls; called by another kernel it is a `Helper`: typed and lowered, no more. The first answer of a
fresh install took 45 s of CPU time with numba's way.

The functions that are compiled stand as they are written: options, order of sums and IEEE arithmetic are the same.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator
from typing import Any, ClassVar

from llvmlite import binding
from numba.core import types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder, Flags
from numba.core.compiler_machinery import register_pass
from numba.core.lowering import Lower
from numba.core.registry import CPUDispatcher
from numba.core.targetconfig import ConfigStack
from numba.core.typed_passes import NativeLowering, NopythonRewrites, NopythonTypeInference
from numba.core.typing import Context
from numba.core.untyped_passes import InlineClosureLikes, IRProcessing, MakeFunctionToJitFunction, WithLifting

ATTRIBUTES = "llvm_attributes"
"""Name under which a function says what LLVM shall know of it."""


WRAPPER = "_ZN7cpython"
"""How the names of functions begin that take arguments from Python. Nothing is gained by optimising them: they run once
a call, and are a quarter of the code."""


def closure(libraries: Any, seen: set[int]) -> Iterator[Any]:
    """Libraries, and what their helpers call, each once."""
    for library in libraries:
        if id(library) not in seen:
            seen.add(id(library))
            yield library
            if isinstance(library, HelperLibrary):
                yield from closure(library._linking_libraries, seen)


class HelperLibrary(JITCodeLibrary):
    """Code of a function that only kernels call: as it was lowered, not optimised, no machine code."""

    _linking_libraries: Any
    _shared_module: Any
    _whole: Any = None

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    def finalize(self) -> None:
        self._raise_if_finalized()
        self._finalized = True
        self._finalize_dynamic_globals()

    @property
    def own(self) -> Any:
        """Its own module, which others may define too."""
        if self._shared_module is None:
            self._ensure_finalized()
            for function in self._final_module.functions:
                if not function.is_declaration and function.linkage == binding.Linkage.external:
                    function.linkage = "linkonce_odr"
            self._shared_module = self._final_module
        return self._shared_module

    def _get_module_for_linking(self) -> Any:
        """With all that it calls, for a function that numba compiles in its own way."""
        if self._whole is None:
            whole = self.own.clone()
            for library in closure(self._linking_libraries, {id(self)}):
                module = library.own if isinstance(library, HelperLibrary) else library._get_module_for_linking()
                whole.link_in(module, preserve=True)
            self._whole = whole
        return self._whole


class KernelLibrary(JITCodeLibrary):
    """Code of a kernel that Python calls, with all that it calls."""

    _linking_libraries: Any
    bare = False
    """Counts no references: nothing to prune before it is optimised."""

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    def finalize(self) -> None:
        linked = list(closure(self._linking_libraries, set()))
        for library in linked:
            if isinstance(library, HelperLibrary):
                self._reload_init.update(library._reload_init)
                self._final_module.link_in(library.own, preserve=True)
        self._linking_libraries = [library for library in linked if not isinstance(library, HelperLibrary)]
        for function in self._final_module.functions:
            if function.is_declaration:
                continue
            if (
                function.linkage == binding.Linkage.linkonce_odr
            ):  # no one else calls it: arguments that are not used can go
                function.linkage = "internal"
            elif function.name.startswith(WRAPPER):
                for attribute in ("noinline", "optnone"):
                    function.add_function_attribute(attribute)
        super().finalize()

    def _optimize_final_module(self) -> None:
        made = self._codegen._module_pass_manager()
        if not self.bare or not isinstance(made, tuple):  # numba with LLVM's old pass managers
            super()._optimize_functions(self._final_module)
            super()._optimize_final_module()
            return
        passes, builder = made
        with self._recorded_timings.record("Module passes (full optimization)", builder):
            passes.run(self._final_module, builder)


class _Typing(Context):
    """numba's context of types, which remembers what operators and other builtins do with the types it was asked about.

    numba tries all that an operator is defined for, sets, dates and texts too, at every place where two numbers are
    added: a third of the time that typing took. What is compiled for the types that ask (overloads) depends on its
    caller, and is not remembered.
    """

    known: ClassVar[dict[Any, Any]] = {}

    def __init__(self, context: Any) -> None:
        self.__dict__ = vars(context)

    def resolve_function_type(self, func: Any, args: Any, kws: Any) -> Any:
        key = func, tuple(args)
        try:
            found = None if kws else self.known.get(key)
        except TypeError:  # types of slices have no hash
            return super().resolve_function_type(func, args, kws)
        if found is None:
            found = super().resolve_function_type(func, args, kws)
            kind = func if isinstance(func, types.Type) else self._lookup_global(func)
            if not kws and isinstance(kind, types.Function) and kind.get_impl_key(found) is kind.typing_key:
                self.known[key] = found
        return found

    def resolve_setitem(self, target: Any, index: Any, value: Any) -> Any:
        return self.resolve_function_type(operator.setitem, (target, index, value), {})


_typing = functools.cache(_Typing)


class _Options(Flags):
    """Options of a function while it is typed; they do not change, so that their hash is known.

    numba looks up every overload that it tries under the options of the caller, and hashes some thirty options each
    time.
    """

    __slots__ = ("_known",)
    _known: int

    def __hash__(self) -> int:
        try:
            return self._known
        except AttributeError:
            self._known = super().__hash__()
            return self._known

    @classmethod
    def of(cls, flags: Flags) -> _Options:
        """One object for equal options, which are then equal at a glance."""
        options = cls(flags)
        return _seen_options.setdefault(options, options)


_seen_options: dict[_Options, _Options] = {}


@register_pass(mutates_CFG=False, analysis_only=True)
class _TypeInference(NopythonTypeInference):
    _name = "type_inference"

    def run_pass(self, state: Any) -> bool:
        context = state.typingctx
        state.typingctx = _typing(context)
        try:
            with ConfigStack().enter(_Options.of(state.flags)):
                return bool(super().run_pass(state))
        finally:
            state.typingctx = context


class _Lower(Lower):
    """As numba's, but where references are not counted, variables that end are not overwritten with zeros."""

    def delvar(self, name: str) -> None:
        if self.context.enable_nrt:
            super().delvar(name)
        elif name not in self._blk_local_varmap:
            self._singly_assigned_vars.discard(name)
            self._alloca_var(name, self.typeof(name))


class _Lowering(NativeLowering):
    _name = "lowering"

    @property
    def lowering_class(self) -> type:
        return _Lower


@register_pass(mutates_CFG=False, analysis_only=True)
class _LowerKernel(_Lowering):
    """Lower, optimise and make machine code, with all that the kernel calls."""

    _name = "lower_kernel"

    def run_pass(self, state: Any) -> bool:
        if state.library is None:
            state.library = KernelLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
            state.library.bare = not state.flags.nrt
            state.library.enable_object_caching()
        with ConfigStack().enter(_Options.of(state.flags)):
            return bool(super().run_pass(state))


@register_pass(mutates_CFG=False, analysis_only=True)
class _LowerHelper(_Lowering):
    """Lower, and tell numba how the function is called."""

    _name = "lower_helper"

    def run_pass(self, state: Any) -> bool:
        flags, typed = state.flags, _Options.of(state.flags)
        flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
        state.library = HelperLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        with ConfigStack().enter(typed):
            super().run_pass(state)
        lowered, called = state["cr"], object()
        for attribute in getattr(state.func_id.func, ATTRIBUTES, ()):
            state.library.get_function(lowered.fndesc.llvm_func_name).add_function_attribute(attribute)
        state.targetctx.insert_user_function(called, lowered.fndesc, [state.library])
        state.reload_init.extend(state.library._reload_init)
        state["cr"] = lowered._replace(cfunc=called)
        return True


_UNNEEDED = {WithLifting, InlineClosureLikes, MakeFunctionToJitFunction, NopythonRewrites}
"""Steps for closures, comprehensions and expressions of whole arrays, which bare kernels do not have."""


def _with_lowering(lowering: type) -> type:
    """A compiler as numba's, with another last step but one."""

    class WithLowering(CompilerBase):
        def define_pipelines(self) -> list[Any]:
            manager = DefaultPassBuilder.define_nopython_pipeline(self.state)
            unneeded = {IRProcessing}  # done by the machinery after each step that changes code
            if not self.state.flags.nrt:
                unneeded |= _UNNEEDED
            ours = {NativeLowering: lowering, NopythonTypeInference: _TypeInference}
            manager.passes = [(ours.get(step, step), text) for step, text in manager.passes if step not in unneeded]
            manager.finalize()
            return [manager]

    return WithLowering


_KernelCompiler, _HelperCompiler = _with_lowering(_LowerKernel), _with_lowering(_LowerHelper)


class Helper(CPUDispatcher):
    """A function as other kernels call it."""

    def add_overload(self, result: Any) -> None:
        """Keep how it is called; there is nothing that Python could call."""
        self.overloads[tuple(result.signature.args)] = result


class Kernel(CPUDispatcher):
    """A function that Python calls, and that other kernels call as a `Helper`."""

    def __init__(self, function: Any, options: dict[str, Any]) -> None:
        super().__init__(function, locals={}, targetoptions=options, pipeline_class=_KernelCompiler)
        self.helper = Helper(function, locals={}, targetoptions=options, pipeline_class=_HelperCompiler)
        self.kind: Any = None
        self.otherwise: Any = None

    def _for(self, args: Any) -> Helper:
        """What is called with arguments of these types: `otherwise` where none is a tuple of the kind it is made
        for.
        """
        if self.otherwise is None or any(getattr(given, "instance_class", None) is self.kind for given in args):
            return self.helper
        found: Helper = self.otherwise.helper
        return found

    def get_call_template(self, args: Any, kws: Any) -> Any:
        return self._for(args).get_call_template(args, kws)

    def get_overload(self, sig: Any) -> Any:
        return self._for(sig).get_overload(sig)
