"""Rules for every compiled kernel."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil

import numpy as np
import pytest

import polyfiber.kernels as kernels
from polyfiber.kernels import jit, lanes

MODULES = sorted(m.name for m in pkgutil.iter_modules(kernels.__path__) if m.name not in ("jit", "lanes"))


@pytest.mark.parametrize("name", MODULES)
def test_no_kernel_is_compiled_with_fastmath(name: str) -> None:
    module = importlib.import_module(f"polyfiber.kernels.{name}")
    found = 0
    for value in vars(module).values():
        options = getattr(value, "targetoptions", None)
        if options is not None:
            found += 1
            assert not options.get("fastmath"), f"{name}.{value.__name__}"
            assert options.get("nopython"), f"{name}.{value.__name__}"
            assert options.get("error_model") == "numpy", f"{name}.{value.__name__}"
    assert found > 0


ALLOCATES = {"zeros", "empty", "full", "ones", "arange", "array", "copy", "concatenate", "zeros_like", "empty_like"}


@pytest.mark.parametrize("name", MODULES)
def test_kernels_that_count_no_references_own_no_arrays(name: str) -> None:
    """Without reference counts an array that such a kernel made or gave back would be freed twice or never."""
    module = importlib.import_module(f"polyfiber.kernels.{name}")
    for value in vars(module).values():
        if getattr(value, "targetoptions", {}).get("_nrt", True):
            continue
        tree = ast.parse(inspect.getsource(value.py_func))
        called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not called & ALLOCATES, f"{name}.{value.__name__}"
        for compiled in value.overloads.values():
            assert "array" not in str(compiled.signature.return_type), f"{name}.{value.__name__}"


@jit.kernel
def _use_lanes(a, x, out):
    one = np.uint64(1)
    lanes.store(out, np.uint64(0), lanes.axpy(lanes.load8(a, one), -2.5, lanes.load_row8(x, 1, 2)))
    lanes.store(out, np.uint64(8), lanes.magnitude(lanes.first_of(lanes.load8(out, np.uint64(0)), 3, -7.0)))
    lanes.store(out, np.uint64(16), lanes.plus(lanes.load4(a, one), lanes.times(lanes.load4(a, one), lanes.zero4())))
    return lanes.total(lanes.plus(lanes.load8(out, np.uint64(8)), lanes.zero8()))


def test_lanes_are_what_they_say() -> None:
    rng = np.random.default_rng(0)
    a, x, out = rng.normal(size=12), rng.normal(size=(3, 12))[:, :11], np.zeros(20)
    total = _use_lanes(a, x, out)
    first = a[1:9] + -2.5 * np.asarray(x.base)[1, 2:10]
    second = np.abs(np.r_[first[:3], -7.0, np.zeros(4)])
    assert np.array_equal(out[:8], first)
    assert np.array_equal(out[8:16], second)
    assert np.array_equal(out[16:], a[1:5])
    assert total == ((second[0] + second[4]) + (second[2] + second[6])) + (
        (second[1] + second[5]) + (second[3] + second[7])
    )
