"""Complexes of ReLU chains, equivalence by forms and in batches, this checkout against another: is it as fast as it was?

    git worktree add --detach OTHER COMMIT
    python scripts/bench/interleaved.py OTHER [--rounds 15] [--scale 1.0] [--kinds complex,faces] [--json FILE]

One process for each checkout, compiled and warm; each quantity is measured by turns, in CPU time, and the ratio of the
minima is printed with a bootstrap interval: what else a machine does only adds, so minima compare better than means.
Complex, faces: `canonical_complex`, and all faces of it written. Forms: `are_equivalent` of a network and a copy by
permutations and scalings. Batches: `equivalence_classes`, every function twice.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import sys, time, numpy as np
import polyfiber as pf

def copies(widths, size):
    rng = np.random.default_rng(0)
    base = pf.NetworkBatch.random(widths, size // 2, rng=rng)
    W, b = [np.repeat(w, 2, axis=0) for w in base.weights], [np.repeat(v, 2, axis=0) for v in base.biases]
    for l in range(len(W) - 1):
        s = np.exp(rng.standard_normal(b[l].shape))
        W[l], b[l], W[l + 1] = W[l] * s[:, :, None], b[l] * s, W[l + 1] / s[:, None, :]
    return pf.NetworkBatch(W, b)

made = {}
for line in sys.stdin:
    kind, widths, size = line.split()
    widths, size = tuple(int(v) for v in widths.split("-")), int(size)
    if line not in made:
        a = pf.ReLUNetwork.random(widths, rng=0) if kind != "batch" else None
        made[line] = a or copies(widths, size)
        if kind == "forms":
            from polyfiber.network.moves import random_trivial
            made[line] = a, random_trivial(a, rng=1)(a)
        elif kind == "batch":
            from polyfiber.equivalence.collections.classes import group_networks
    given = made[line]
    start = time.process_time()
    if kind == "forms":
        for _ in range(size):
            pf.are_equivalent(*given)
    elif kind in ("complex", "faces"):
        for _ in range(size):
            cx = pf.canonical_complex(given)
            if kind == "faces":
                cx.materialize()
    else:
        assert group_networks(given, workers=1).n_classes == size // 2
    print((time.process_time() - start) / size, flush=True)
"""
QUESTIONS = (
    ("complex", "2-64-64-1", 20), ("complex", "3-16-16-1", 20), ("complex", "3-32-32-1", 4), ("complex", "4-16-16-1", 4),
    ("complex", "3-12-12-12-1", 10), ("complex", "3-24-24-24-1", 3), ("complex", "5-10-10-1", 6), ("complex", "2-256-256-1", 2),
    ("faces", "3-24-24-24-1", 3), ("faces", "5-10-10-1", 6), ("faces", "3-16-16-1", 20), ("faces", "4-16-16-1", 4), ("faces", "3-12-12-12-1", 10),
    ("forms", "16-16-8-4", 400), ("forms", "32-32-16-4", 200), ("forms", "4-12-12-2", 400),
    ("batch", "4-4-3-2", 40_000), ("batch", "16-16-8-4", 8_000), ("batch", "4-16-2", 20_000), ("batch", "4-8-8-8-2", 10_000),
)  # fmt: skip


def started(checkout: Path) -> Any:
    """A process that measures with the code of a checkout."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    env = {**os.environ, "PYTHONPATH": str(checkout), **dict.fromkeys(names, "1")}
    return subprocess.Popen(
        [sys.executable, "-u", "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, cwd=checkout
    )  # fmt: skip


def asked(child: Any, question: str) -> float:
    """Seconds of CPU time for one pair or network."""
    child.stdin.write(question + "\n")
    child.stdin.flush()
    return float(child.stdout.readline())


def interval(times: list[list[float]], samples: int = 2000) -> tuple[float, float]:
    """Where 95 % of the ratios of minima lie when runs are drawn again with replacement."""
    rng = np.random.default_rng(0)
    mine, other = (np.asarray(t)[rng.integers(0, len(t), (samples, len(t)))].min(axis=1) for t in times)
    low, high = np.quantile(mine / other, [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    """Measure by turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--kinds", default="complex,faces,forms,batch")
    options = parser.parse_args()
    children = [started(ROOT), started(options.other.resolve())]
    rows = []
    print("| what | widths | this checkout, µs | other, µs | ratio of minima | 95 % |\n|---|---|---|---|---|---|")
    for kind, widths, size in (q for q in QUESTIONS if q[0] in options.kinds.split(",")):
        least = 1 if kind in ("complex", "faces") else 20
        question = f"{kind} {widths} {max(least, int(options.scale * size) // 2 * 2)}"
        times: list[list[float]] = [[], []]
        for turn in range(options.rounds + 1):
            for k in (0, 1) if turn % 2 else (1, 0):
                seconds = asked(children[k], question)
                if turn:  # the first compiles
                    times[k].append(1e6 * seconds)
        mine, other = (min(t) for t in times)
        low, high = interval(times)
        rows.append({"what": kind, "widths": widths, "mine": times[0], "other": times[1], "ratio": mine / other})
        print(
            f"| {kind} | {widths} | {mine:.4g} | {other:.4g} | {mine / other:.3f} | {low:.2f} to {high:.2f} |",
            flush=True,
        )
    for child in children:
        child.stdin.close()
        child.wait()
    if options.json:
        options.json.write_text(json.dumps(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
