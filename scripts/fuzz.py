"""Compare complexes of random and hostile networks with exact brute force until the time is up.

    python scripts/fuzz.py [--seconds 60] [--seed 0]

Kinds: generic, boxes, polyhedra, inflated error bounds, small integers, exponents from -200 to 200, rows an ulp apart,
subnormal first layers. Every face of every dimension is compared, and the certificate is checked anew. Exit
code 1 if anything is wrong; each failure is printed with what reproduces it.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import polyfiber as pf
from polyfiber.errors import PolyfiberError
from polyfiber.testing import huge_ratio_network, integer_network, near_coincident_network, subnormal_network
from tests.oracles.exact_faces import box, exact_complex

KINDS = ("generic", "box", "polyhedron", "inflated", "integer", "huge", "near", "copies", "subnormal")


def case(kind: str, architecture: tuple[int, ...], seed: int) -> tuple[pf.ReLUNetwork, Any, Any, float]:
    """(network, domain, domain as inequalities, inflation)."""
    rng = np.random.default_rng(seed)
    n = architecture[0]
    makers = {
        "integer": lambda: integer_network(architecture, rng=seed, max_abs=3),
        "huge": lambda: huge_ratio_network(architecture, rng=seed),
        "near": lambda: near_coincident_network(architecture, rng=seed, ulps=2),
        "copies": lambda: near_coincident_network(architecture, rng=seed, ulps=0),
        "subnormal": lambda: subnormal_network(architecture, rng=seed),
    }
    net = makers.get(kind, lambda: pf.ReLUNetwork.random(architecture, rng=seed))()
    if kind == "box":
        lo, hi = -rng.random(n) - 0.1, rng.random(n) + 0.1
        return net, pf.Box(lo, hi), box(lo, hi), 1.0
    if kind == "polyhedron":
        m = int(rng.integers(1, 6))
        sides = rng.standard_normal((m, n)), rng.random(m) + 0.1
        return net, pf.Polyhedron(*sides), sides, 1.0
    return net, None, None, 10.0 ** rng.integers(3, 14) if kind == "inflated" else 1.0


def check(kind: str, architecture: tuple[int, ...], seed: int) -> str:
    net, domain, sides, inflate = case(kind, architecture, seed)
    truth = exact_complex(net.weights, net.biases, domain=sides)
    try:
        cx = pf.canonical_complex(net, domain=domain, inflate=inflate)
    except PolyfiberError as error:
        return f"WRONG: {type(error).__name__}: {error}"
    if tuple(cx.f_vector) != truth.f_vector:
        return f"WRONG: {cx.f_vector}, true {truth.f_vector}"
    for k in range(truth.dim + 1):
        if {tuple(row) for row in cx.signs(k).tolist()} != truth.signs(k):
            return f"WRONG: faces of dimension {k}"
    if sum(truth.f_vector) < 400 and not cx.certificate.verify().ok:
        return f"WRONG: right, but the check says {cx.certificate.verify().problems}"
    return "right"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("error")
    rng = np.random.default_rng(options.seed)
    found: Counter[tuple[str, str]] = Counter()
    end = time.monotonic() + options.seconds
    while time.monotonic() < end:
        kind = KINDS[int(rng.integers(len(KINDS)))]
        depth = int(rng.integers(1, 5))
        architecture = (int(rng.integers(1, 4)), *(int(v) for v in rng.integers(1, 5, size=depth)), 1)
        seed = int(rng.integers(2**31))
        verdict = check(kind, architecture, seed)
        found[kind, verdict.split(":")[0]] += 1
        if verdict.startswith("WRONG"):
            print(f"check({kind!r}, {architecture}, {seed}): {verdict}", flush=True)
    for (kind, verdict), count in sorted(found.items()):
        print(f"{kind:12s} {verdict:8s} {count}")
    return int(any(verdict == "WRONG" for _, verdict in found))


if __name__ == "__main__":
    sys.exit(main())
