"""Grounds of a YES refuse to exist where something was left out."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.equivalence.grounds import Bounded, ComparedCells, EqualForms, ExactCells
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
        pf.Equivalence.different(a, a, 1e-9, None, "witness", "")  # type: ignore[arg-type]


def test_a_ground_needs_finite_numbers() -> None:
    with pytest.raises(NumericalError):
        Bounded(np.inf, np.inf, "regions")
