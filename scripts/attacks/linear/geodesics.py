"""Attack on geodesics of every rank: random pairs and identities.

For each pair: was it solved, with which residual, how fast, is it a local minimum, in which of the homotopy classes of paths
was a geodesic found, do its isometric copies have the same length, is it above its bounds, is it what the closed form says
at rank one. ``--table`` prints a line for each pair.

    python scripts/attacks/linear/geodesics.py --count 200 --seed 1 --table
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
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    tally: collections.Counter[str] = collections.Counter()
    times: dict[int, list[float]] = collections.defaultdict(list)
    ratios, residuals = [], []
    for rank in (1, 2, 3):  # compile
        pf.dln.geodesic(*pair(np.random.default_rng(0), 3, rank), 3, explicit=False)
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
        seconds = time.process_time() - clock
        times[d].append(seconds)
        residuals.append(g.residual)
        tally["solved" if g.solved else "no geodesic, a curve alone"] += 1
        lengths = g.classes_tried
        if r > 1:
            tally["all classes reached" if len(lengths) >= min(g.classes, 3) else "some classes not reached"] += 1
            first = next((a.length for a in g.tried if a.length == a.length), g.length)
            tally["another class is shorter than the first geodesic"] += g.length < first * (1 - 1e-8)
        if args.table:
            state = g.minimum.verdict.value if g.minimum else "-"
            classes = " ".join(f"{k}:{v:.4f}" for k, v in sorted(lengths.items()))
            print(
                f"{i:3d} d={d} N={depth} r={r} length {g.length:.6f} lower {g.lower_bound:.4f} chord {g.chord:.6f} "
                f"residual {g.residual:.0e} minimum {state} class {g.homotopy} of {g.classes}; {classes}; {seconds:.2f} s"
            )
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
    if ratios:
        every = [t for group in times.values() for t in group]
        print(f"residual at most {max(residuals):.1e}; length / chord up to {max(ratios):.3f}")
        print(f"CPU s a pair: median {np.median(every):.2f}, worst {max(every):.2f}; worst by d:", end=" ")
        print({d: round(max(group), 2) for d, group in sorted(times.items())})


if __name__ == "__main__":
    main()
