"""Rules for every compiled kernel."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections import namedtuple
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import pytest

import polyfiber.kernels as kernels
from polyfiber.kernels import jit, lanes

MODULES = sorted(
    m.name.removeprefix("polyfiber.kernels.")
    for m in pkgutil.walk_packages(kernels.__path__, "polyfiber.kernels.")
    if not m.ispkg
    and not m.name.endswith((".jit", ".lanes", ".linking", ".rounding"))  # the last holds constants alone
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


def test_the_cache_looks_at_every_file_that_a_kernel_may_call() -> None:
    from polyfiber.kernels.complexes import affine_maps as maps

    if not hasattr(getattr(maps.forms, "_cache", None), "_cache_file"):
        pytest.skip("no cache, or no compiler")
    called = jit.called_sources(maps.forms.py_func)
    names = {name.rpartition(".")[2] for name, _, _ in called}
    assert {"forms", "lanes", "jit"} <= names
    assert "langevin" not in names
    assert maps.forms._cache._cache_file._source_stamp[1] == called


def test_processes_that_fill_the_cache_at_once_do_not_mix_their_code(tmp_path: Path) -> None:
    """Both have read an empty index: numba would give both the first number."""
    one, two, later = (jit.CodeFile(str(tmp_path), "kernel-1.py311", "stamp") for _ in range(3))
    read = one._load_index
    one._load_index = dict  # what it saw before the other wrote
    two.save("int64", "code for integers")
    one.save("float64", "code for floats")
    one._load_index = read
    assert later.load("float64") == "code for floats"
    assert later.load("int64") in (None, "code for integers")  # its entry is lost: compiled again
    two.save("int64", "code for integers")
    assert later.load("int64") == "code for integers"
    assert later.load("float64") == "code for floats"
    changed = jit.CodeFile(str(tmp_path), "kernel-1.py311", "another stamp")
    assert changed.load("int64") is None
    changed.STALE = -1.0
    changed.save("int64", "new code")
    assert changed.load("int64") == "new code"
    assert len(list(tmp_path.glob("*.nbc"))) == 1


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


class Gone(NamedTuple):
    """A type that an older version of the code had."""

    value: int


def test_a_cache_that_cannot_be_read_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older version's types are no longer there, or a file was cut off: then kernels are compiled again."""
    old = jit.CodeFile(str(tmp_path), "kernel-1.py311", "stamp")
    old.save(Gone(1), "old code")
    assert old.load(Gone(1)) == "old code"
    with monkeypatch.context() as context:
        context.delattr(f"{__name__}.Gone")
        assert old.load("int64") is None
        old.save("int64", "new code")
        assert old.load("int64") == "new code"
    for path in tmp_path.glob("*.nbc"):
        path.write_bytes(path.read_bytes()[:3])
    assert old.load("int64") is None
    index = next(tmp_path.glob("*.nbi"))
    index.write_bytes(index.read_bytes()[:-4])
    assert old.load("int64") is None


def test_kernels_work_where_no_folder_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that cannot be written, and no home: compiled at every run. A disk that fills up costs a compilation."""
    if numba.config.DISABLE_JIT:
        pytest.skip("no compiler")

    def nowhere(self: object) -> None:
        raise RuntimeError("cannot cache function 'f': no locator available for file 'f.py'")

    def twice(x):
        return 2 * x

    with monkeypatch.context() as context:
        context.setattr(jit.Kernel if jit.LINKED else numba.core.registry.CPUDispatcher, "enable_caching", nowhere)
        context.setattr(jit, "unkept", set())
        assert jit.bare_kernel(twice)(3) == 6
        assert jit.unkept == {__name__}
    full = jit.CodeFile(str(tmp_path / "absent"), "kernel-1.py311", "stamp")
    full.save("int64", "code")
    assert full.load("int64") is None


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


@jit.kernel
def _use_lanes(a, x, out):
    one = np.uint64(1)
    lanes.store(out, np.uint64(0), lanes.axpy(lanes.load8(a, one), -2.5, lanes.load_row8(x, 1, 2)))
    lanes.store(out, np.uint64(8), lanes.magnitude(lanes.first_of(lanes.load8(out, np.uint64(0)), 3, -7.0)))
    lanes.store(out, np.uint64(16), lanes.plus(lanes.load4(a, one), lanes.times(lanes.load4(a, one), lanes.zero4())))
    scaled = lanes.scaled(2.0, lanes.load8(a, one))
    out[20] = lanes.above8(scaled, lanes.zero8())
    return lanes.total(lanes.plus(lanes.load8(out, np.uint64(8)), lanes.zero8()))


def test_lanes_are_what_they_say() -> None:
    rng = np.random.default_rng(0)
    a, x, out = rng.normal(size=12), rng.normal(size=(3, 12))[:, :11], np.zeros(21)
    total = _use_lanes(a, x, out)
    first = a[1:9] + -2.5 * np.asarray(x.base)[1, 2:10]
    second = np.abs(np.r_[first[:3], -7.0, np.zeros(4)])
    assert np.array_equal(out[:8], first)
    assert np.array_equal(out[8:16], second)
    assert np.array_equal(out[16:20], a[1:5])
    assert out[20] == sum(1 << i for i in range(8) if a[1 + i] > 0)
    assert total == ((second[0] + second[4]) + (second[2] + second[6])) + (
        (second[1] + second[5]) + (second[3] + second[7])
    )


@jit.kernel
def _keep_lanes(bits, a, out):
    one = np.uint64(1)
    lanes.store(out, one, lanes.where8(bits, lanes.load8(a, one)))


@jit.kernel
def _signs(signs, out):
    lanes.store(out, np.uint64(0), lanes.signs8(signs, np.uint64(1)))


def test_lanes_are_kept_by_bits_whatever_the_others_hold() -> None:
    a = np.random.default_rng(0).normal(size=9)
    a[3], a[6] = np.inf, np.nan
    for bits in (0, 255, 0b10010011, 0b01101100, 0xABCD00 | 0b11011011):
        out = np.zeros(9)
        _keep_lanes(np.uint64(bits), a, out)
        kept = np.array([bool(bits >> i & 1) for i in range(8)])
        assert np.array_equal(out[1:], np.where(kept, a[1:], 0.0), equal_nan=True)


def test_signs_are_doubles_in_lanes() -> None:
    signs, out = np.array([9, -1, 0, 1, 1, -1, -128, 127, 0], dtype=np.int8), np.zeros(8)
    _signs(signs, out)
    assert out.tolist() == signs[1:].tolist()


@jit.kernel
def _use_words(ids, words, out):
    one = np.uint64(1)
    lanes.store(
        out, one, lanes.either(lanes.load2(words, one), lanes.pair(np.uint64(5), np.uint64(1) << np.uint64(63)))
    )
    return lanes.equal16(ids, one, np.int32(-3)), lanes.reach16(ids, one, np.int32(2))


def test_tests_of_sixteen_and_pairs_of_words_are_what_they_say() -> None:
    rng = np.random.default_rng(1)
    words, out = rng.integers(0, 1 << 63, size=4, dtype=np.uint64), np.zeros(4, dtype=np.uint64)
    for _ in range(20):
        ids = rng.integers(-4, 5, size=18).astype(np.int32)
        equal, above = _use_words(ids, words, out)
        assert equal == sum(1 << i for i in range(16) if ids[1 + i] == -3)
        assert above == sum(1 << i for i in range(16) if ids[1 + i] >= 2)
    assert out.tolist() == [0, int(words[1]) | 5, int(words[2]) | 1 << 63, 0]


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
