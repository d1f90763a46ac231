"""Attack level sets, sublevel sets, decision boundaries and class regions.

    python scripts/attacks/topology.py [--seconds 60] [--seed 0]

Every set of every network is derived a second time by other code: its conditions become neurons of one more layer, that
network's complex is enumerated from nothing, and all cells must agree, sign for sign. Incidences are checked as well: the
boundary of a boundary is zero, two Euler characteristics agree, covers follow the order of signs, volumes fill the box.
Networks are random, quantised, integer, pruned, or have no biases, in 1 to 4 inputs, on all of space and on boxes.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import polyfiber as pf

ARCHITECTURES = [
    (2, 5, 4, 1), (3, 4, 3, 2), (1, 5, 3, 1), (2, 4, 3), (2, 4, 3, 3), (3, 5, 2), (2, 1, 3, 2), (3, 2, 3, 3), (2, 3, 2, 4),
    (4, 5, 2),
]  # fmt: skip


def network(architecture: tuple[int, ...], rng: np.random.Generator) -> pf.ReLUNetwork:
    """A network of one of five kinds."""
    net = pf.ReLUNetwork.random(architecture, rng=rng)
    W, b = list(net.weights), list(net.biases)
    kind = rng.integers(5)
    if kind == 1:
        W, b = [np.round(w * 2) / 2 for w in W], [np.round(x * 2) / 2 for x in b]
    elif kind == 2:
        W, b = [np.round(w) for w in W], [np.round(x) for x in b]
    elif kind == 3:
        W = [w * (rng.random(w.shape) > 0.4) for w in W]
    elif kind == 4:
        W, b = [np.round(w) for w in W], [0 * x for x in b]
    return pf.ReLUNetwork(W, b)


def problems_of(found: object) -> list[str]:
    """What is wrong with a set."""
    check = found.certificate.verify()  # type: ignore[attr-defined]
    problems = list(check.problems)
    if found.dimension >= 0:  # type: ignore[attr-defined]
        problems += found.strata.validate().problems  # type: ignore[attr-defined]
    return problems


def sets_of(cx: pf.PolyhedralComplex, rng: np.random.Generator) -> list[object]:
    """Sets of one complex, one of each kind."""
    value = float(rng.choice([0.0, 0.25, 0.5, 1.0]))
    return [
        cx.level_set(value),
        cx.sublevel_set(value),
        cx.superlevel_set(value),
        cx.decision_boundary(),
        cx.class_region(int(rng.integers(max(2, cx.network.architecture[-1])))),
    ]


def attack(seconds: float, seed: int) -> tuple[int, int, list[str]]:
    """(networks, sets, problems) within some seconds."""
    end, networks, sets = time.monotonic() + seconds, 0, 0
    problems: list[str] = []
    while time.monotonic() < end:
        rng = np.random.default_rng([seed, networks])
        architecture = ARCHITECTURES[int(rng.integers(len(ARCHITECTURES)))]
        net = network(architecture, rng)
        low = -1 - np.round(rng.random(architecture[0]) * 4) / 4
        box = pf.Box(low, low + 2.5) if rng.random() < 0.5 else None
        cx = pf.canonical_complex(net, box)
        networks += 1
        for found in sets_of(cx, rng):
            sets += 1
            problems += [f"seed [{seed}, {networks - 1}] {found}: {p}" for p in problems_of(found)]
        if box is not None and not cx.lineality_dimension:
            total = sum(
                float(part(0.25).sizes().sum())
                for part in (cx.sublevel_set, cx.superlevel_set)
                if part(0.25).dimension == architecture[0]
            )
            flat = cx.level_set(0.25)
            twice = float(flat.sizes().sum()) if flat.dimension == architecture[0] else 0.0
            if abs(total - twice - 2.5 ** architecture[0]) > 1e-9 * 2.5 ** architecture[0]:
                problems.append(f"seed [{seed}, {networks - 1}]: the sides have volume {total - twice}")
    return networks, sets, problems


def main() -> int:
    """Run the attack and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    networks, sets, problems = attack(options.seconds, options.seed)
    for line in problems[:20]:
        print(line)
    print(f"{networks} networks, {sets} sets, {len(problems)} wrong")
    return bool(problems)


if __name__ == "__main__":
    raise SystemExit(main())
