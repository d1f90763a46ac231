"""Limits of time and memory are heard by whatever is asked of a set, and by what is worked out when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.budget import Monitor
from polyfiber.complexes.topology import homology

BOX = pf.Box([-2.0] * 3, [2.0] * 3)


def surface(**fresh: Any) -> Any:
    """A new surface: what it has worked out before would hear nothing."""
    return pf.canonical_complex(pf.ReLUNetwork.random((3, 8, 6, 3), rng=3), BOX, **fresh).level_set(0.1)


CALLS: dict[str, Callable[[Any, pf.Budget], Any]] = {
    "betti numbers": lambda s, b: s.betti_numbers(budget=b),
    "betti numbers over the rationals": lambda s, b: s.betti_numbers(field=0, budget=b),
    "validate": lambda s, b: s.validate(budget=b),
    "mesh": lambda s, b: s.mesh(budget=b),
    "capped mesh": lambda s, b: s.mesh(cap="below", budget=b),
    "save": lambda s, b: s.save("s.ply", budget=b),
    "sizes": lambda s, b: s.sizes(budget=b),
    "nearest point": lambda s, b: s.nearest_point([0.0, 0.0, 0.0], budget=b),
    "verify": lambda s, b: s.certificate.verify(budget=b),
    "image": lambda s, b: s.complex.image(budget=b),
    "level set": lambda s, b: s.complex.level_set(0, budget=b),
    "sublevel set": lambda s, b: s.complex.sublevel_set(0, budget=b),
    "decision boundary": lambda s, b: s.complex.decision_boundary(budget=b),
    "class region": lambda s, b: s.complex.class_region(0, budget=b),
    "critical points": lambda s, b: s.complex.critical_points(budget=b),
    "persistence": lambda s, b: s.complex.persistence(budget=b),
    "preimage": lambda s, b: s.complex.preimage(pf.Box([-1] * 3, [1] * 3), budget=b),
}


@pytest.mark.parametrize("name", CALLS)
def test_no_time_is_an_error(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pf.errors.BudgetExceededError, match="nothing of the budget was left"):
        CALLS[name](surface(), pf.Budget(seconds=0))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["betti numbers", "mesh", "save", "sizes", "image", "sublevel set", "persistence"])
def test_no_memory_is_an_error(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pf.errors.BudgetExceededError, match="more than the budget"):
        CALLS[name](surface(), pf.Budget(memory=64))
    assert not list(tmp_path.iterdir())


def test_memory_is_asked_for_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the tables of faces are there already."""
    cx = pf.canonical_complex(pf.ReLUNetwork.random((3, 8, 6, 3), rng=3), BOX)
    cx.critical_points(), cx.image()

    def never(*args: object) -> None:
        raise AssertionError("worked first")

    monkeypatch.setattr("polyfiber.complexes.topology.critical._Values", never)
    monkeypatch.setattr("polyfiber.complexes.complex.PolyhedralComplex.affine_maps", never)
    for ask in (cx.critical_points, cx.image):
        with pytest.raises(pf.errors.BudgetExceededError, match="more than the budget"):
            ask(budget=pf.Budget(memory=5000))


def test_vertices_hear_who_watches() -> None:
    for ask in (lambda s: s.vertices, lambda s: s.vertex_errors):
        found = surface()
        with Monitor(pf.Budget(seconds=0)).watching(), pytest.raises(pf.errors.BudgetExceededError):
            ask(found)
        assert len(ask(found)) == found.f_vector[0]  # what was stopped can be asked again


class Tripwire(Monitor):
    """A budget that ends when the clock is looked at for the n-th time."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.rest_of_looks = n

    def check_time(self, what: str, partial: Any = None) -> None:
        self.rest_of_looks -= 1
        if self.rest_of_looks < 0:
            raise pf.errors.BudgetExceededError(what, partial=partial)


ASKED: dict[str, Callable[[Any], Any]] = {
    "mesh": lambda s: (s.mesh().points.tolist(), s.mesh().indices.tolist()),
    "level set": lambda s: s.complex.level_set(0.1, 1).signs(1).tolist(),
    "sublevel set": lambda s: s.complex.sublevel_set(0.1).f_vector,
    "persistence": lambda s: s.complex.persistence().betti(0.1),
    "critical points": lambda s: s.complex.critical_points().vertices.tolist(),
    "image": lambda s: (s.complex.image().rank.tolist(), s.complex.image().points[0].tolist()),
    "nearest point": lambda s: s.nearest_point([0.0, 0.0, 0.0]).squared,
    "faces": lambda s: [s.complex.signs(k).sum() for k in range(4)],
    "breakpoints": lambda s: s.complex.breakpoint_complex().betti_numbers(),
}


@pytest.mark.parametrize("lattice", [False, True])
@pytest.mark.parametrize("name", ASKED)
def test_what_was_stopped_at_any_look_answers_the_same_later(name: str, lattice: bool) -> None:
    def fresh() -> Any:
        net = pf.ReLUNetwork.random((3, 5, 4, 3), rng=3)
        if lattice:
            net = pf.ReLUNetwork([np.round(2 * w) / 2 for w in net.weights], [np.round(2 * b) / 2 for b in net.biases])
        return pf.canonical_complex(net, BOX, inflate=1e6).level_set(0.1)

    ask, expected = ASKED[name], ASKED[name](fresh())
    looks = [0, 1, 2, 3, 5, 8, 12, 17, 23, 40, 80, 160, 400]
    for n in looks:
        found = fresh()
        try:
            with Tripwire(n).watching():
                ask(found)
        except pf.errors.BudgetExceededError:
            assert ask(found) == expected, n
        else:
            break


def test_columns_are_the_same_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock may be looked at after any column, and the pool may grow at any."""
    cx = pf.canonical_complex(pf.ReLUNetwork.random((3, 8, 6, 1), rng=3), BOX)
    expected, whole = cx.level_set(0.1).betti_numbers(field=0), cx.persistence()
    monkeypatch.setattr(homology, "PORTION", 0)
    parts = cx.persistence()
    assert cx.level_set(0.1).betti_numbers(field=0) == expected
    for name in ("dimension", "birth", "death"):
        assert np.array_equal(getattr(parts, name), getattr(whole, name))
