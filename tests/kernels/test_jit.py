"""The cache of compiled code: whole and right whoever fills it, and not needed."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numba
import pytest

from polyfiber.kernels import jit


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
