"""Helpers are compiled inside the kernel that Python calls, once, and only where they are needed."""

from __future__ import annotations

from collections import namedtuple

import numba
import numpy as np
import pytest

from polyfiber.kernels import jit, linking


def test_a_helper_is_compiled_inside_the_kernel_that_python_calls() -> None:
    from polyfiber.kernels.complexes import forms

    if not hasattr(forms.bit_of, "helper"):
        pytest.skip("no compiler")

    @jit.bare_kernel
    def both(words):
        return forms.bit_of(words, 0, 1) + np.uint64(2) * forms.bit_of(words, 0, 2)

    words, before = np.array([[0b110]], dtype=np.uint64), len(forms.bit_of.overloads)
    assert both(words) == 3
    assert len(forms.bit_of.overloads) == before  # no machine code, no wrapper, nothing on disk
    assert both.py_func(words) == 3  # and Python can call the helper too
    assert len(forms.bit_of.overloads) > 0


def test_a_function_that_numba_compiles_in_its_own_way_can_call_kernels() -> None:
    from polyfiber.kernels.complexes import forms

    if not hasattr(forms.bit_of, "helper"):
        pytest.skip("no compiler")

    @numba.njit(cache=False)
    def count(words):
        found = 0
        for k in range(64):
            if forms.bit_of(words, 0, k) != np.uint64(0):
                found += 1
        return found

    assert count(np.array([[0b1011]], dtype=np.uint64)) == 3


Plain, Special = namedtuple("Plain", "value"), namedtuple("Special", "value")


@jit.inline_kernel
def _nothing(given, x):
    return x


@jit.made_for(Special, otherwise=_nothing)
@jit.outlined_kernel
def _something(given, x):
    return x + given.value


@jit.kernel
def _ask(given, x):
    return _something(given, x) if given.value > 0.0 else x


def test_what_is_made_for_one_kind_is_not_compiled_for_others() -> None:
    if numba.config.DISABLE_JIT or not jit.LINKED:
        pytest.skip("numba compiles in its own way")
    assert _ask(Plain(2.0), 1.0) == 1.0
    assert not _something.helper.overloads
    assert _ask(Special(2.0), 1.0) == 3.0


class _Library(linking.HelperLibrary):
    """A library of a helper that calls others."""

    def __init__(self, *called: object) -> None:
        self._linking_libraries = called


def test_what_helpers_call_is_linked_once() -> None:
    deep, other = _Library(), object()
    middle = _Library(deep, other)
    found = list(linking.closure([middle, deep, _Library(middle)], set()))
    assert [id(f) for f in found[:3]] == [id(middle), id(deep), id(other)]
    assert len(found) == 4
    assert list(linking.closure([middle], {id(middle)})) == []
