"""Feasibility is about size alone."""

from __future__ import annotations

import polyfiber as pf


def test_feasibility_is_about_size() -> None:
    small = {f.name: f for f in pf.feasibility(pf.ReLUNetwork.random((2, 8, 8, 1), rng=0))}
    large = {f.name: f for f in pf.feasibility(pf.ReLUNetwork.random((784, 128, 64, 10), rng=0))}
    assert all(f.fits for f in small.values())
    assert not large["canonical_complex"].fits
    assert large["region"].fits
    assert large["slice_complex"].fits
    assert small.keys() == large.keys()
