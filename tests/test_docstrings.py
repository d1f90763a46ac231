"""Every example in a docstring runs, and every public name has a docstring."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import polyfiber

MODULES = sorted(
    m.name
    for m in pkgutil.walk_packages(polyfiber.__path__, "polyfiber.")
    if not m.name.startswith(("polyfiber.kernels", "polyfiber.cli")) and not m.name.endswith("__main__")
)


OPTIONAL = {  # examples that need an extra
    "polyfiber.plots.complexes": "matplotlib",
    "polyfiber.plots.planar": "matplotlib",
    "polyfiber.plots.solid": "plotly",
    "polyfiber.plots.fibers": "matplotlib",
    "polyfiber.plots.strata": "matplotlib",
    "polyfiber.equivalence.collections.collection": "pyarrow",
    "polyfiber.datasets.publishing.manifest": "pyarrow",
    "polyfiber.datasets.plan": "pyarrow",
    "polyfiber.datasets.spec": "pyarrow",
    "polyfiber.datasets.tables.base": "pyarrow",
    "polyfiber.dln.manifolds": "pymanopt",
    "polyfiber.datasets.pilot": "pyarrow",
    "polyfiber.datasets.reader": "pyarrow",
    "polyfiber.datasets.runner": "pyarrow",
    "polyfiber.datasets.checks.validation": "pyarrow",
}


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    if name in OPTIONAL:
        pytest.importorskip(OPTIONAL[name])
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


@pytest.mark.parametrize("name", sorted(set(polyfiber.__all__) - {"__version__"}))
def test_public_names_are_described(name: str) -> None:
    value = getattr(polyfiber, name)
    assert value.__doc__, name
    assert len(value.__doc__.split()) >= 3, name


PACKAGES = ("", "datasets", "dln", "errors", "fibers", "invariants", "linear", "pages", "plots", "testing")
"""With public names of their own; names of complexes, equivalence and network stand in `polyfiber` itself."""
PUBLIC = [
    (package, name)
    for package in PACKAGES
    for name in importlib.import_module(f"polyfiber.{package}".rstrip(".")).__all__
    if name != "__version__"
]


@pytest.mark.parametrize(("package", "name"), PUBLIC)
def test_public_names_have_an_example(package: str, name: str) -> None:
    """Every public callable; of exceptions and warnings the sentence is enough."""
    value = getattr(importlib.import_module(f"polyfiber.{package}".rstrip(".")), name)
    if callable(value) and not (isinstance(value, type) and issubclass(value, BaseException)):
        assert ">>>" in value.__doc__, f"{package}.{name}"


def test_dir_shows_public_names_alone() -> None:
    shown = [name for name in dir(polyfiber) if not name.startswith("__")]
    assert set(polyfiber.__all__) - {"__version__"} <= set(shown)
    assert not [name for name in shown if name.startswith("_") or name in ("annotations", "resolver")]
    assert "annotations" not in dir(polyfiber.linear)
    for module in (polyfiber.errors, polyfiber.invariants):
        assert sorted(dir(module)) == sorted(module.__all__)


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        polyfiber.nonsense  # noqa: B018
    assert set(polyfiber.__all__) <= set(dir(polyfiber))
