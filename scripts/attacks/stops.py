"""Stop questions about a complex at every look at the clock: does the same complex answer rightly afterwards?

    python scripts/attacks/stops.py [--seconds 200] [--seed 0]

Each question is asked of a fresh complex under a budget that ends when the clock (or the memory) is looked at for the k-th time, k
from 0 to 39 and then in growing steps until the answer comes, and then once more without a budget. The truth is the answer of a
complex that nobody stopped. Error bounds are inflated, so that the exact road is taken often; one network is generic, one quantised.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import polyfiber as pf
from polyfiber.budget import Monitor
from polyfiber.errors import BudgetExceededError

BOX = pf.Box([-2.0] * 3, [2.0] * 3)
LOOKS = [*range(40), 50, 70, 100, 150, 220, 350, 500, 800]
QUESTIONS: dict[str, Callable[[pf.PolyhedralComplex], Any]] = {
    "signs": lambda c: [c.signs(k).sum() for k in range(4)],
    "vertices": lambda c: (c.vertices.tolist(), c.vertex_errors.tolist()),
    "strata": lambda c: (c.strata.labels.sum(), c.strata.validate().ok),
    "cells as inequalities": lambda c: [repr(c.h_representation(r)) for r in range(3)],
    "certificate": lambda c: c.certificate.verify().ok,
    "lipschitz": lambda c: c.lipschitz().value,
    "exact interior points": lambda c: [str(v) for v in c.interior_points(exact=True)[0]],
    "weights": lambda c: c.breakpoint_complex().weights.tolist(),
    "dual graph": lambda c: c.dual_graph.indices.tolist(),
    "largest ball": lambda c: c.largest_ball(0).radius,
    "level set": lambda c: c.level_set(0.1).betti_numbers(field=0),
    "check of a level set": lambda c: c.level_set(0.1).certificate.verify().ok,
    "capped mesh": lambda c: c.level_set(0.1).mesh(cap="below").points.tolist(),
    "decision boundary": lambda c: (c.decision_boundary().signs(1).tolist(), c.decision_boundary().classes(2).tolist()),
    "class": lambda c: c.class_region(0).mesh().points.tolist(),
    "persistence": lambda c: c.persistence().betti(0.1),
    "critical points": lambda c: c.critical_points().vertices.tolist(),
    "nearest point": lambda c: c.level_set(0.1).nearest_point([0.0, 0.0, 0.0]).squared,
    "image": lambda c: (c.image().rank.tolist(), c.image().points[0].tolist()),
    "preimage": lambda c: c.preimage(pf.Box([-1] * 3, [1] * 3)).f_vector,
}


class Tripwire(Monitor):
    """A budget that ends at the n-th look."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.looks = n

    def check_time(self, what: str, partial: Any = None) -> None:
        self.looks -= 1
        if self.looks < 0:
            raise BudgetExceededError(what, partial=partial)

    def check_memory(self, needed: int, what: str, partial: Any = None) -> None:
        self.check_time(what, partial)


def attack(seconds: float, seed: int) -> tuple[int, list[str]]:
    """(stops, problems) within some seconds."""
    end, stops, problems = time.monotonic() + seconds, 0, []
    generic = pf.ReLUNetwork.random((3, 4, 3, 3), rng=seed)
    halves = pf.ReLUNetwork(
        [np.round(2 * w) / 2 for w in generic.weights], [np.round(2 * b) / 2 for b in generic.biases]
    )
    for kind, net in (("generic", generic), ("quantised", halves)):
        for name, ask in QUESTIONS.items():
            truth = repr(ask(pf.canonical_complex(net, BOX, inflate=1e6)))
            for look in LOOKS:
                if time.monotonic() > end:
                    return stops, problems
                cx = pf.canonical_complex(net, BOX, inflate=1e6)
                try:
                    with Tripwire(look).watching():
                        ask(cx)
                    break
                except BudgetExceededError:
                    stops += 1
                if repr(ask(cx)) != truth:
                    problems.append(f"seed {seed}, {kind}: {name} has another answer after a stop at look {look}")
    return stops, problems


def main() -> int:
    """Run the attack and print what it found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=200.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    stops, wrong = attack(options.seconds, options.seed)
    print("\n".join(wrong[:20]))
    print(f"{stops} stops, {len(wrong)} wrong")
    return bool(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
