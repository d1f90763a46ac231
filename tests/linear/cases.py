"""Small strata and points for the tests of geometry."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

import polyfiber as pf
from polyfiber.linear.bars import Barcode
from polyfiber.linear.strata import Stratum


def small(share: float, seed: int, top: int = 3, layers: int = 3) -> Iterator[tuple[Stratum, np.ndarray, Barcode]]:
    """A share of all strata of small widths, each with a random product and a random point."""
    rng = np.random.default_rng(seed)
    for d in itertools.product(range(1, top + 1), repeat=layers + 1):
        for r in range(min(d) + 1):
            for s in pf.linear.stratify(d, rank=r):
                if rng.random() < share:
                    w = rng.standard_normal((d[-1], r)) @ rng.standard_normal((r, d[0]))
                    yield s, w, pf.linear.sample_barcode(s, product=w, rng=rng, spread=0.5)
