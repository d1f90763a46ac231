"""Rules for every compiled kernel."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import polyfiber.kernels as kernels

MODULES = sorted(m.name for m in pkgutil.iter_modules(kernels.__path__) if m.name != "jit")


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
