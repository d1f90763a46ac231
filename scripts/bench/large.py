"""Questions to networks too large to enumerate, beside relucent on the same points in the same run.

python scripts/bench/large.py [--onnx ACASXU.onnx] [--points 200] [--relucent PYTHON] [--json FILE]

CPU time of one process on one core, after one warm-up call of each kind. Without --onnx a random network of the
shape of ACAS Xu stands in. relucent is run with the interpreter given (or POLYFIBER_BENCH_RELUCENT) on the same
weights and points: its Polyhedron of a point with shis (irredundant facets); it certifies nothing. Medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


def clock() -> float:
    return time.process_time()


def medians(work: Callable[[Any], Any], items: Any) -> tuple[float, float]:
    times = []
    for item in items:
        start = clock()
        work(item)
        times.append(clock() - start)
    return statistics.median(times), max(times)


def peer(python: str, net: Any, X: Any, seconds: float) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "task.npz"
        arrays = {f"W{i}": w for i, w in enumerate(net.weights)} | {f"b{i}": b for i, b in enumerate(net.biases)}
        np.savez(file, X=X, **arrays)
        script = str(Path(__file__).parent / "peers" / "large.py")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(
            [python, script, str(file), str(seconds)], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["failed"])[-1][:120]
        return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--onnx", type=Path)
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--regions", type=int, default=2000)
    parser.add_argument("--relucent", default=os.environ.get("POLYFIBER_BENCH_RELUCENT"))
    parser.add_argument("--peer-seconds", type=float, default=30.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    import polyfiber as pf

    acas = pf.read_network(options.onnx) if options.onnx else pf.ReLUNetwork.random((5, *[50] * 6, 5), rng=0)
    nets = {
        "64-32-16-10": (pf.ReLUNetwork.random((64, 32, 16, 10), rng=0), 1.0),
        "ACAS Xu" if options.onnx else "5-50x6-5": (acas, 0.5),
        "784-128-64-10": (pf.ReLUNetwork.random((784, 128, 64, 10), rng=0), 1.0),
    }
    rows: list[dict[str, Any]] = []
    rng = np.random.default_rng(0)
    for name, (net, radius) in nets.items():
        X = rng.uniform(-radius, radius, (options.points, net.architecture[0]))
        pf.region(net, X[0])
        middle, worst = medians(lambda x, net=net: pf.region(net, x).facets, X)
        row = {"question": f"region of a point, {name}", "ms": 1e3 * middle, "worst_ms": 1e3 * worst}
        if options.relucent:
            found = peer(options.relucent, net, X, options.peer_seconds)
            if isinstance(found, dict):
                row |= {"relucent_ms": 1e3 * found["median"], "relucent_points": found["points"]}
                ours = [len(pf.region(net, x).facets) for x in X[: found["points"]]]
                row["facet_counts_differ"] = sum(a != b for a, b in zip(ours, found["facets"]))
            else:
                row["relucent_ms"] = found
        rows.append(row)
    box = pf.Box(-0.5, 0.5, dimension=2)
    name = "ACAS Xu" if options.onnx else "5-50x6-5"
    for order in ("breadth", "nearest"):
        start = clock()
        found = pf.explore(acas, np.zeros(5), max_regions=options.regions, order=order)
        rate = found.closed.sum() / (clock() - start)
        rows.append({"question": f"explore {name}, {order}", "ms": 1e3 / rate, "note": f"{rate:.0f} regions/s"})
    plane = np.eye(5)[:2]
    pf.slice_complex(acas, np.zeros(5), plane, domain=pf.Box(-0.01, 0.01, dimension=2))
    start = clock()
    s = pf.slice_complex(acas, np.zeros(5), plane, domain=box)
    rows.append({"question": f"slice of {name}", "ms": 1e3 * (clock() - start), "note": f"{s.n_regions} regions"})
    a, b = np.full(5, -0.5), np.full(5, 0.5)
    pf.segment_regions(acas, a, b)
    middle, worst = medians(lambda _: pf.segment_regions(acas, a, b), range(20))
    pieces = pf.segment_regions(acas, a, b).n_regions
    rows.append(
        {"question": f"segment across {name}", "ms": 1e3 * middle, "worst_ms": 1e3 * worst, "note": f"{pieces} pieces"}
    )
    for method in ("relaxation", "lp"):
        start = clock()
        bounds = pf.activation_bounds(acas, pf.Box(-0.05, 0.05, dimension=5), method=method)
        rows.append(
            {
                "question": f"bounds of {name} on ±0.05, {method}",
                "ms": 1e3 * (clock() - start),
                "note": f"{len(bounds.unstable)} of {acas.n_hidden} undecided",
            }
        )
    print("| question | ms (median) | worst | relucent, ms | note |\n|---|--:|--:|--:|---|")
    for row in rows:
        other = row.get("relucent_ms", "")
        text = f"{other:.3g}" if isinstance(other, float) else other
        note = row.get("note", "")
        if "facet_counts_differ" in row:
            note = f"{row['facet_counts_differ']} of {row['relucent_points']} facet counts differ"
        worst_text = f"{row['worst_ms']:.3g}" if "worst_ms" in row else ""
        print(f"| {row['question']} | {row['ms']:.3g} | {worst_text} | {text} | {note} |")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
