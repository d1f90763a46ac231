"""Deep linear networks: seconds for geodesics, Langevin paths on both floors, and batches of metrics.

    python scripts/bench/dln.py [--repeat 3] [--quick] [--json FILE]

Wall-clock and process CPU seconds, medians, compilation excluded. "peer" is the strongest plain alternative at hand:
scipy's collocation from a straight-line start for the boundary value problem, the same Langevin step written with
numpy's batched SVD for the paths.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

import polyfiber as pf  # noqa: E402
from polyfiber.dln import (  # noqa: E402
    entropy_gradient,
    free_energy_gradient,
    lift,
    sample_langevin,
    sample_langevin_upstairs,
)


def measure(job: Callable[[int], Any], repeat: int) -> tuple[float, float, Any]:
    """Median wall and CPU seconds over ``repeat`` seeds, and the last answer."""
    wall, cpu, answer = [], [], None
    for seed in range(repeat):
        t, c = time.perf_counter(), time.process_time()
        answer = job(seed)
        wall.append(time.perf_counter() - t)
        cpu.append(time.process_time() - c)
    return statistics.median(wall), statistics.median(cpu), answer


def pair(d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.random.default_rng(seed).standard_normal((2, d, d))
    if np.linalg.det(a) * np.linalg.det(b) < 0:
        b[0] *= -1
    return a, b


def collocation(d: int, depth: int, seed: int) -> float:
    """scipy.integrate.solve_bvp from the straight line in matrix space; length, or nan where it fails."""
    from scipy.integrate import solve_bvp

    from polyfiber.dln import metric
    from polyfiber.dln.geodesics.hamilton import vector_field

    a, b = pair(d, seed)
    n = d * d
    t = np.linspace(0, 1, 21)
    x = a + t[:, None, None] * (b - a)
    p = metric(x, depth, tolerance=0.0).solve(np.broadcast_to(b - a, x.shape))

    def right(_: np.ndarray, y: np.ndarray) -> np.ndarray:
        m = y.T
        dx, dp = vector_field(m[:, :n].reshape(-1, d, d), m[:, n:].reshape(-1, d, d), depth)
        return np.concatenate([dx.reshape(-1, n), dp.reshape(-1, n)], axis=1).T

    y0 = np.concatenate([x.reshape(-1, n), p.reshape(-1, n)], axis=1).T
    try:
        with np.errstate(all="ignore"):
            s = solve_bvp(right, lambda u, v: np.concatenate([u[:n] - a.ravel(), v[:n] - b.ravel()]), t, y0, tol=1e-6)
    except (np.linalg.LinAlgError, ValueError):
        return math.nan
    if s.status != 0:
        return math.nan
    return float(np.asarray(metric(a, depth).norm(metric(a, depth).apply(s.y[n:, 0].reshape(d, d)))))


def numpy_langevin(W: np.ndarray, depth: int, dt: float, steps: int, seed: int) -> np.ndarray:
    """The Euler step with numpy's batched SVD and the library's formulas; no rule at det = 0."""
    from polyfiber.dln import metric
    from polyfiber.dln.space.entropies import brownian_drift, diagonal

    rng = np.random.default_rng(seed)
    for _ in range(steps):
        g = metric(W, depth)
        drift = -g.apply(W) + entropy_gradient(W, depth) + g.frame.out(diagonal(brownian_drift(g.frame, depth)))
        W = W + dt * drift + math.sqrt(2 * dt) * g.root(rng.standard_normal(W.shape))
    return W


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a tenth of the Langevin steps")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []

    def report(question: str, wall: float, cpu: float, note: str) -> None:
        rows.append({"question": question, "wall": wall, "cpu": cpu, "note": note})
        print(f"{question:58s} {wall:9.3f} {cpu:9.3f}  {note}", flush=True)

    print(f"{'question':58s} {'wall s':>9s} {'cpu s':>9s}  note")
    for d, depth in ((2, 3), (5, 4), (10, 4), (15, 4), (4, math.inf)):
        wall, cpu, g = measure(lambda s, d=d, n=depth: pf.dln.geodesic(*pair(d, s), n), options.repeat)
        note = f"{g.method}, miss {g.residual:.0e}, {g.stats['integrations']} integrations, {g.stats['jacobians']} Jacobians"
        report(f"geodesic, random ends, d = {d}, N = {depth}", wall, cpu, note)
    for d, depth in ((2, 3), (3, 4)):
        wall, cpu, length = measure(lambda s, d=d, n=depth: collocation(d, n, s), options.repeat)
        report(
            f"peer: solve_bvp from the straight line, d = {d}, N = {depth}",
            wall,
            cpu,
            f"length {length:.6f} (nan: failed)",
        )

    steps = 100 if options.quick else 1000
    paths = 10_000

    def run(seed: int, depth: int, parallel: bool, scheme: str) -> Any:
        return sample_langevin(
            np.eye(3), depth, energy_gradient=lambda W: W, time=steps * 1e-3, steps=steps, paths=paths, rng=seed,
            parallel=parallel, scheme=scheme,
        )  # fmt: skip

    for parallel in (False, True):
        for depth, scheme in ((2, "product"), (4, "product"), (4, "euler")):
            sample_langevin(np.eye(3), depth, time=1e-3, steps=1, paths=2, parallel=parallel, scheme=scheme)
            one = 1 if not options.quick else options.repeat
            wall, cpu, _ = measure(lambda s, n=depth, p=parallel, c=scheme: run(s, n, p, c), one)
            threads = "threads" if parallel else "one thread"
            report(
                f"downstairs, {paths} paths x {steps} steps, d = 3, N = {depth}, {scheme}",
                wall, cpu, f"{threads}; {1e9 * wall / paths / steps:.0f} ns a path and step",
            )  # fmt: skip
    start = np.broadcast_to(np.diag([2.0, 1.5, 1.0]), (paths, 3, 3)).copy()
    wall, cpu, _ = measure(lambda s: numpy_langevin(start, 4, 1e-3, 10, s), options.repeat)
    report(
        f"peer: numpy SVD, {paths} paths x 10 steps, d = 3, N = 4",
        wall,
        cpu,
        f"{1e9 * wall / paths / 10:.0f} ns a path and step",
    )
    for depth in (2, 4):
        up = lift(np.diag([2.0, 1.5, 1.0]), depth)
        wall, cpu, r = measure(
            lambda s, up=up: sample_langevin_upstairs(
                up, energy_gradient=lambda W: W, time=0.02, steps=20, paths=1000, rng=s
            ),
            options.repeat,
        )
        report(
            f"upstairs, 1000 paths x 20 steps, d = 3, N = {depth}",
            wall, cpu, f"{1e6 * wall / 20_000:.1f} us a path and step, {int(r.crossings.sum())} rejected",
        )  # fmt: skip
    W = np.random.default_rng(0).standard_normal((100_000, 3, 3))
    wall, cpu, _ = measure(lambda s: pf.dln.entropy(W, 4), options.repeat)
    report("entropy of 100000 matrices, d = 3, N = 4", wall, cpu, "")
    wall, cpu, _ = measure(lambda s: free_energy_gradient(W, 4, energy_gradient=lambda X: X, beta=1.0), options.repeat)
    report("free energy gradients of 100000 matrices, d = 3, N = 4", wall, cpu, "")
    if options.json:
        machine = {"python": platform.python_version(), "numpy": np.__version__, "machine": platform.processor()}
        options.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
