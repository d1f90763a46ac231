"""Rules for every compiled kernel."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil

import numpy as np
import pytest

import polyfiber.kernels as kernels

MODULES = sorted(
    m.name.removeprefix("polyfiber.kernels.")
    for m in pkgutil.walk_packages(kernels.__path__, "polyfiber.kernels.")
    if not m.ispkg
    and not m.name.endswith((".jit", ".lanes", ".linking", ".apart", ".rounding"))  # the compiler, and constants
)


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
            # else a kernel that a bare one compiles first would have no memory to allocate
            assert options.get("_nrt") in (True, False), f"{name}.{value.__name__}"
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
        helper = getattr(value, "helper", value)
        for compiled in (*value.overloads.values(), *helper.overloads.values()):
            assert "array" not in str(compiled.signature.return_type), f"{name}.{value.__name__}"


def _read_only_parts(value: object) -> int:
    """Arrays among arguments, in tuples too, that numba takes for another type since they cannot be written to."""
    if isinstance(value, np.ndarray):
        return int(not value.flags.writeable)
    return sum(map(_read_only_parts, value)) if isinstance(value, tuple) else 0


def test_kernels_are_not_compiled_again_for_arrays_that_were_given_out(monkeypatch: pytest.MonkeyPatch) -> None:
    # the first answer of a fresh install waits for each signature, and public arrays are read-only
    import polyfiber as pf
    from polyfiber.complexes.skeleton.arrays import make_frame
    from polyfiber.kernels.complexes import polytopes
    from polyfiber.kernels.rows import pack_rows

    heard: dict[str, int] = {}

    def listening(name: str, function: object) -> object:
        def call(*args: object) -> object:
            heard[name] = heard.get(name, 0) + sum(map(_read_only_parts, args))
            return function(*args)  # type: ignore[operator]

        return call

    names = ("gather_closure", "incident_walls", "pyramids")
    for name in names:
        monkeypatch.setattr(polytopes, name, listening(name, getattr(polytopes, name)))
    cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 4, 1), rng=0), pf.Box(-2, 2, dimension=2))
    regions = cx.polytopes
    assert not any(array.flags.writeable for array in regions.facets)
    assert len(regions.vertices[1])
    assert np.isclose(regions.sizes(2)[:].sum(), 16.0)
    assert len(regions.inequalities().A)
    assert heard == dict.fromkeys(names, 0)

    columns, start = np.array([0, 1]), np.array([0, 2])
    for array in (columns, start):
        array.setflags(write=False)
    assert _read_only_parts(tuple(make_frame(cx.network, cx.domain, basis=(columns, start)).net)) == 0
    signs = cx.signs(2).copy()
    words = pack_rows(signs)
    signs.setflags(write=False)
    assert (pack_rows(signs) == words).all()
