"""A complex as a value: read by many threads, freed when it is done with."""

from __future__ import annotations

import gc
import importlib.util
import sys
import weakref
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes.skeleton.build import Skeleton, Unfinished

ATTACKS = Path(__file__).parents[2] / "scripts" / "attacks" / "complexes"
LINES = pf.ReLUNetwork([[[1, 0], [0, 1], [1, 1], [1, -1]], [[1, 1, 1, 1]]], [[0] * 4, [0]])


def attack(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"attack_{name}", ATTACKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_many_threads_read_one_complex() -> None:
    threads, rng = attack("threads"), np.random.default_rng(0)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(5):
            assert threads.run(rng, 6) == []
    finally:
        sys.setswitchinterval(before)


@pytest.mark.parametrize("net", [pf.ReLUNetwork.random((2, 6, 4, 1), rng=0), LINES], ids=["simple", "lattice"])
@pytest.mark.parametrize("domain", [None, pf.Box([-1, -1], [1, 1])], ids=["all", "box"])
def test_what_is_done_with_is_freed_at_once(tmp_path: Path, net: pf.ReLUNetwork, domain: pf.Box | None) -> None:
    """By counting references: no cycle keeps the arrays until the collector comes by."""
    live: weakref.WeakSet[Skeleton] = weakref.WeakSet()

    def use() -> None:
        cx = pf.canonical_complex(net, domain)
        cx.save(tmp_path / "c.npz")
        for one in (cx, pf.PolyhedralComplex.load(tmp_path / "c.npz")):
            live.add(one._skeleton)
            _ = one.vertices, one.volumes(), one.strata.validate(), one.polytopes.facets, one.dual_graph
            one.breakpoint_complex().balancing_residual()
            one.certificate.verify(everything=True)
        pf.classify_fiber(net)

    use()
    gc.collect()
    gc.disable()
    try:
        use()
        assert len(live) == 0
    finally:
        gc.enable()


def test_what_was_done_when_the_budget_ran_out() -> None:
    """The first cone of 784 inputs alone takes minutes; every ray of it hears the clock."""
    net = pf.ReLUNetwork.random((784, 128, 10), rng=0)
    with pytest.raises(pf.errors.BudgetExceededError) as caught:
        pf.canonical_complex(net, pf.Box(0, 1, dimension=784), budget=pf.Budget(seconds=0))
    assert isinstance(caught.value.partial, Unfinished)
    assert caught.value.partial.layers == 0
    for walls in (pf.ReLUNetwork.random((3, 12, 12, 1), rng=0), LINES):
        with pytest.raises(pf.errors.BudgetExceededError) as caught:
            pf.canonical_complex(walls, budget=pf.Budget(seconds=0))
        assert isinstance(caught.value.partial, Unfinished)
        assert caught.value.partial.layers == 0
    large = pf.ReLUNetwork.random((5, 48, 48, 48, 1), rng=0)  # begins within some of these budgets
    for seconds in (0.05, 0.2, 0.8, 3.2):
        with pytest.raises(pf.errors.BudgetExceededError) as caught:
            pf.canonical_complex(large, budget=pf.Budget(seconds=seconds))
        if caught.value.partial.vertices:
            break
    assert caught.value.partial.vertices >= 1
    with pytest.raises(pf.errors.BudgetExceededError) as caught:
        pf.breakpoint_complex(pf.ReLUNetwork.random((2, 6, 1), rng=0), budget=pf.Budget(seconds=0))
    assert caught.value.partial is not None
