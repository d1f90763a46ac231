"""Attack on geodesics of every rank: random pairs and identities.

For each pair: was it solved, how fast, is it a local minimum, do its isometric copies have the same length, is it above
its bounds, is it what the closed form says at rank one.

    python scripts/attacks/linear_geodesics.py --count 200 --seed 1
"""

from __future__ import annotations

import argparse
import collections
import time

import numpy as np
from scipy.stats import ortho_group

import polyfiber as pf


def pair(rng: np.random.Generator, d: int, r: int) -> tuple[np.ndarray, np.ndarray]:
    """Two Gaussian d x d matrices of rank r in one component."""
    a, b = (rng.standard_normal((d, r)) @ rng.standard_normal((r, d)) for _ in range(2))
    if r == d and np.linalg.det(a) * np.linalg.det(b) < 0:
        b[0] *= -1
    return a, b


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    tally: collections.Counter[str] = collections.Counter()
    times, ratios = [], []
    pf.dln.geodesic(np.eye(2), np.array([[1.0, 0.5], [0.2, 1.0]]), 3)  # compile
    for i in range(args.count):
        d, depth = int(rng.integers(2, 9)), int(rng.integers(2, 11))
        r = int(rng.integers(1, d + 1))
        a, b = pair(rng, d, r)
        clock = time.process_time()
        try:
            g = pf.dln.geodesic(a, b, depth, explicit=r > 1)
        except pf.errors.PolyfiberError as error:
            tally["not solved"] += 1
            print(f"not solved: d {d}, depth {depth}, rank {r}, pair {i}: {error}")
            continue
        times.append(time.process_time() - clock)
        tally["solved"] += 1
        tally[f"local minimum: {g.minimum.verdict.value if g.minimum else 'closed form'}"] += 1
        ratios.append(g.length / g.chord)
        if not (g.lower_bound <= g.length and g.residual < 1e-8 and abs(g(1.0) - b).max() < 1e-6 * abs(b).max()):
            tally["WRONG: bound or end"] += 1
        if r == 1:
            cone = pf.dln.geodesic(a, b, depth)
            tally["WRONG: shorter than the cone"] += g.length < cone.length * (1 - 1e-8)
            tally["longer than the cone"] += g.length > cone.length * (1 + 1e-8)
        if i % 10 == 0:
            p, q = ortho_group.rvs(d, size=2, random_state=rng)
            other = pf.dln.distance(p @ a @ q, p @ b @ q, depth)
            tally["turned copy has another length"] += abs(other / g.length - 1) > 1e-6
    print(dict(tally))
    if times:
        print(
            f"CPU s a pair: median {np.median(times):.3f}, worst {max(times):.2f}; length / chord up to {max(ratios):.3f}"
        )


if __name__ == "__main__":
    main()
