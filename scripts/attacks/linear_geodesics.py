"""Attack on geodesics of every rank: random pairs, identities, and the energy of discrete paths as an outside judge.

For each pair: was it solved, how fast, is it a local minimum, do its isometric copies have the same length, is it above
its bounds. For small pairs a second program, which shares only the metric, minimises the energy of a path of networks
upstairs (balanced by construction, gauge free) and must not find a shorter one.

    python scripts/attacks/linear_geodesics.py --count 200 --seed 1 --energy 6
"""

from __future__ import annotations

import argparse
import collections
import math
import time

import numpy as np
from scipy.optimize import minimize
from scipy.stats import ortho_group

import polyfiber as pf


def pair(rng: np.random.Generator, d: int, r: int) -> tuple[np.ndarray, np.ndarray]:
    """Two Gaussian d x d matrices of rank r in one component."""
    a, b = (rng.standard_normal((d, r)) @ rng.standard_normal((r, d)) for _ in range(2))
    if r == d and np.linalg.det(a) * np.linalg.det(b) < 0:
        b[0] *= -1
    return a, b


def energy_of_paths(a: np.ndarray, b: np.ndarray, depth: int, rank: int, start: np.ndarray) -> float:
    """Least length of discrete paths upstairs near ``start`` (K + 1, m, n): SVD coordinates, Frobenius distances.

    Each point is a network ``W_p = Q_p L Q_{p-1}^T`` in free coordinates (thin frames by QR); ends are fixed downstairs
    only. No metric, no Hamiltonian: distances in weight space, which bound lengths from above as the grid gets finer.
    """
    m, n = a.shape
    steps = len(start) - 1
    sizes = [n, *[rank] * (depth - 1), m]

    def frames_of(x: np.ndarray) -> list[np.ndarray]:
        out, at = [], 0
        for s in sizes:
            q, t = np.linalg.qr(x[at : at + s * rank].reshape(s, rank))
            out.append(q * np.sign(np.diag(t)))
            at += s * rank
        return out

    def network(frames: list[np.ndarray], strengths: np.ndarray) -> np.ndarray:
        return np.concatenate([((q1 * strengths) @ q0.T).ravel() for q0, q1 in zip(frames, frames[1:])])

    inner = sum(sizes) * rank
    fixed = []
    for w in (a, b):
        u, s, vt = np.linalg.svd(w)
        fixed.append((u[:, :rank], s[:rank] ** (1 / depth), vt[:rank].T))
    between = sum(sizes[1:-1]) * rank

    def total(x: np.ndarray) -> float:
        points = []
        u, s, v = fixed[0]
        points.append(network([v, *[np.eye(rank)] * (depth - 1), u], s))
        at = 0
        for _ in range(steps - 1):
            points.append(network(frames_of(x[at : at + inner]), x[at + inner : at + inner + rank]))
            at += inner + rank
        u, s, v = fixed[1]
        hidden, place = [], at
        for size in sizes[1:-1]:
            q, t = np.linalg.qr(x[place : place + size * rank].reshape(size, rank))
            hidden.append(q * np.sign(np.diag(t)))
            place += size * rank
        points.append(network([v, *hidden, u], s))
        return steps * float((np.diff(np.stack(points), axis=0) ** 2).sum())

    x0 = []
    turn = [np.eye(rank)] * (depth - 1)
    last = None
    for w in start[1:-1]:
        u, s, vt = np.linalg.svd(w)
        frames = [vt[:rank].T, *turn, u[:, :rank]]
        if last is not None:  # signs that follow the point before
            flips = np.sign((frames[0] * last[0]).sum(0))
            frames[0], frames[-1] = frames[0] * flips, frames[-1] * flips
        last = frames
        x0.append(np.concatenate([*(q.ravel() for q in frames), s[:rank] ** (1 / depth)]))
    x0.append(np.concatenate([q.ravel() for q in turn]) if between else np.zeros(0))
    found = minimize(total, np.concatenate(x0), method="L-BFGS-B", options={"maxiter": 150, "maxfun": 10**6})
    return math.sqrt(found.fun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--energy", type=int, default=0, help="pairs of size 2 whose path energy is minimised as well")
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
        except pf.PolyfiberError as error:
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
    worst = 0.0
    for _ in range(args.energy):
        r, depth = int(rng.integers(1, 3)), int(rng.integers(2, 4))
        a, b = pair(rng, 2, r)
        g = pf.dln.geodesic(a, b, depth)
        found = energy_of_paths(a, b, depth, r, g(np.linspace(0, 1, 9)))
        worst = max(worst, 1 - found / g.length)
        print(f"rank {r}, depth {depth}: geodesic {g.length:.6f}, discrete paths upstairs {found:.6f}")
    if args.energy:
        print(f"discrete paths shorter by at most {worst:.2g} (chords of eight pieces are shorter than arcs)")


if __name__ == "__main__":
    main()
