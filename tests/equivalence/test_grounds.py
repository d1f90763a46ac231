"""Grounds of a YES refuse to exist where something was left out."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.equivalence.grounds import (
    Bounded,
    ComparedCells,
    EqualForms,
    ExactCells,
    ProvedBoxes,
    SameFunctions,
    SameParameters,
    SplitCells,
)  # fmt: skip
from polyfiber.errors import NumericalError


def test_no_ground_without_a_proof() -> None:
    with pytest.raises(NumericalError):
        ComparedCells(10, 1, 0, 0, 0.5, 0.0)
    with pytest.raises(NumericalError):
        ComparedCells(10, 0, 1, 0, 0.5, 0.0)
    with pytest.raises(NumericalError):
        ComparedCells(10, 0, 0, 0, float("nan"), 0.0)
    with pytest.raises(NumericalError):
        EqualForms(2e-9, 1e-9)
    with pytest.raises(NumericalError):
        EqualForms(float("nan"), 1e-9)
    with pytest.raises(NumericalError):
        Bounded(1.0, 0.5, "weights")
    with pytest.raises(NumericalError):
        ExactCells(4, 1, 1)
    a = pf.ReLUNetwork.random((2, 3, 1), rng=0)
    with pytest.raises(NumericalError):
        pf.Equivalence.different(a, a, 1e-9, None, "witness", "")


def test_a_ground_needs_finite_numbers() -> None:
    with pytest.raises(NumericalError):
        Bounded(np.inf, np.inf, "regions")


@pytest.mark.parametrize("field", ["waiting", "lost", "above"])
def test_cells_with_something_left_are_no_ground(field: str) -> None:
    good = {"cells": 3, "waiting": 0, "lost": 0, "above": 0, "ratio": 1.0, "bound": 0.0}
    assert ComparedCells(**good).certificate["regions"] == 3  # type: ignore[arg-type]
    for wrong in ({field: 1}, {"cells": 0}, {"ratio": 1.0000001}):
        with pytest.raises(NumericalError, match="proves no equality"):
            ComparedCells(**{**good, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [SameFunctions, SplitCells])
def test_functions_with_infinite_remainders_are_no_ground(kind: type) -> None:
    more: dict[str, float] = {"cells": 2, "waiting": 0, "suspects": 0, "empty": 0} if kind is SplitCells else {}
    good = {"functions": 4, "distance": 0.0, "allowed": 0.0, "constant": 1.0, "slope": 2.0, **more}
    assert "exactly" in kind(**good).reason
    assert kind(**good).certificate["everywhere"] == {"constant": 1.0, "slope": 2.0}
    assert "to 1e-10" in kind(**{**good, "distance": 1e-10, "allowed": 1e-9}).reason
    bad = [("distance", 1e-8), ("allowed", 1.0), ("constant", np.inf), ("slope", np.nan), ("distance", -1.0)]
    for name, wrong in [*bad, *([("suspects", 1), ("waiting", 1), ("cells", 0)] if more else [])]:
        with pytest.raises(NumericalError):
            kind(**{**good, name: wrong})


def test_the_others_say_what_they_rest_on() -> None:
    assert SameParameters().certificate == {}
    assert EqualForms(0.0, 1e-9).reason == "canonical forms agree"
    assert Bounded(0.5, 1.0, "weights", {"boxes": 3}).certificate == {"upper bound": 0.5, "limit": 1.0, "boxes": 3}
    assert ProvedBoxes(3, 0, 0.5, "why", {"boxes": 3}).certificate == {"boxes": 3}
    with pytest.raises(NumericalError):
        ProvedBoxes(3, 1, 0.5, "why", {})
