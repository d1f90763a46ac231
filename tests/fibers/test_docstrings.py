"""The examples of the docstrings run."""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = [
    "fibers.bridge", "fibers.classify", "fibers.conserved", "fibers.dimension", "fibers.examples", "fibers.hiding",
    "fibers.labels", "fibers.layerwise", "fibers.minimize", "fibers.nonnegative", "fibers.verify", "fibers.volume",
    "network.moves", "numerics.exact", "numerics.predicates",
]  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"polyfiber.{name}"))
    assert result.attempted
    assert result.failed == 0
