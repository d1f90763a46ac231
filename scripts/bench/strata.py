"""Rank strata: counting, enumerating, covers, locating, projecting, beside plain alternatives.

    python scripts/bench/strata.py [--repeat 5] [--json FILE]

CPU seconds of this process (median), compilation and imports excluded: every row is run once before it is
timed. Memory is the peak resident size of a fresh interpreter that does that row alone.

  count       number of strata by dynamic programming, nothing listed
  enumerate   every stratum with its dimension, sorted
  covers      the whole DAG with its moves
  plain       the alternative: covers by transitive reduction of the order (ours, and networkx's)
  locate      ranks of all products from weights, both directions
  bases       canonical form
  project     orthogonal projection of one random direction onto the tangent space of the stratum
  dense       the alternative: least squares on the matrix of the differential
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import polyfiber as pf  # noqa: E402
from polyfiber.linear.strata import build_covers  # noqa: E402
from polyfiber.strata import covers_by_rule  # noqa: E402


def gaussian(widths: tuple[int, ...], seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((b, a)) / a**0.5 for a, b in zip(widths, widths[1:])]


def networkx_covers(st: Any) -> int:
    import networkx as nx

    n = len(st)
    graph = nx.DiGraph()
    graph.add_nodes_from(range(n))
    for j in range(n):
        graph.add_edges_from((int(i), j) for i in st.strata.lower_set(j) if i != j)
    return int(nx.transitive_reduction(graph).number_of_edges())


def tasks() -> dict[str, tuple[Callable[[], Any], Callable[[Any], Any], str]]:
    """name -> (prepare, timed work on what was prepared, unit of the answer)."""

    def covers(st: Any) -> int:
        return len(build_covers(st.widths, st.rank is not None, st.strata)[1])

    def projection(widths: tuple[int, ...]) -> Callable[[], Any]:
        def prepare() -> Any:
            w = gaussian(widths, 0)
            rng = np.random.default_rng(1)
            return w, [rng.standard_normal(v.shape) for v in w]

        return prepare

    def project(made: Any) -> int:
        tangent = pf.linear.tangent_space(made[0])
        tangent.project(made[1])
        return int(tangent.dim)

    def dense(made: Any) -> int:
        w, z = made
        left, right = pf.linear.manifold.partial_products(w)
        rows = np.concatenate([np.kron(a, b.T) for a, b in zip(left, right)], axis=1)
        flat = np.concatenate([v.ravel() for v in z])
        np.linalg.lstsq(rows.T, flat, rcond=None)
        return len(flat) - len(rows)

    def low_rank(widths: tuple[int, ...], rank: int) -> Callable[[], Any]:
        def prepare() -> Any:
            label = [min(rank + (k == i + 1), *widths[i : k + 1]) for k, i in pf.linear.ranks.columns(len(widths) - 1)]
            return pf.linear.sample(label, widths=widths, rng=0)

        return prepare

    return {
        "count 8^5, rank 1": (lambda: (8,) * 5, lambda d: pf.linear.count_strata(d, rank=1), "strata"),
        "count 20^6, rank 0": (lambda: (20,) * 6, lambda d: pf.linear.count_strata(d, rank=0), "strata"),
        "enumerate 8^5, rank 1": (lambda: (8,) * 5, lambda d: len(pf.linear.stratify(d, rank=1)), "strata"),
        "enumerate 12^5, rank 1": (lambda: (12,) * 5, lambda d: len(pf.linear.stratify(d, rank=1)), "strata"),
        "enumerate 6^6, all ranks": (lambda: (6,) * 6, lambda d: len(pf.linear.stratify(d)), "strata"),
        "covers 9^5, rank 1": (lambda: pf.linear.stratify((9,) * 5, rank=1), covers, "covers"),
        "covers 8^5, all ranks": (lambda: pf.linear.stratify((8,) * 5), covers, "covers"),
        "covers 5^5, rank 1": (lambda: pf.linear.stratify((5,) * 5, rank=1), covers, "covers"),
        "plain: by the rule, 5^5": (
            lambda: pf.linear.stratify((5,) * 5, rank=1),
            lambda st: len(covers_by_rule(st.strata)[1]),
            "covers",
        ),
        "plain: networkx, 4^5": (lambda: pf.linear.stratify((4,) * 5, rank=1), networkx_covers, "covers"),
        "locate 200^5": (lambda: gaussian((200,) * 5, 0), lambda w: pf.linear.locate(w).stratum.dim, "dim"),
        "bases 100-120-110-100, rank 40": (
            low_rank((100, 120, 110, 100), 40),
            lambda w: pf.linear.barcode(w).widths[0],
            "width",
        ),
        "project 40^5": (projection((40,) * 5), project, "dim"),
        "dense 40-40-40": (projection((40, 40, 40)), dense, "dim"),
        "project 40-40-40": (projection((40, 40, 40)), project, "dim"),
        "project 200^5": (projection((200,) * 5), project, "dim"),
        "project 60-80-60, rank 20": (
            lambda: (low_rank((60, 80, 60), 20)(), gaussian((60, 80, 60), 3)),
            project,
            "dim",
        ),
    }


def own_peak() -> float:
    """Peak resident MB of this process (on Linux not the parent's, which getrusage may carry over)."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(v for v in status.read_text().splitlines() if v.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def peak_memory(name: str) -> float:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import strata; "
        "p, w, _ = strata.tasks()[sys.argv[2]]; w(p()); print(strata.own_peak())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parent), name],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results: dict[str, Any] = {}
    print(f"{'task':34} {'answer':>12} {'':7} {'CPU s':>10} {'per s':>12} {'peak MB':>9}")
    for name, (prepare, work, unit) in tasks().items():
        if options.only not in name:
            continue
        work(prepare())
        times = []
        for _ in range(options.repeat):
            made = prepare()
            start = time.process_time()
            answer = work(made)
            times.append(time.process_time() - start)
            if sum(times) > 60:
                break
        seconds = statistics.median(times)
        rate = answer / seconds if unit in ("strata", "covers") and not name.startswith("count") else None
        memory = peak_memory(name)
        shown = f"{rate:12.3g}" if rate else " " * 12
        big = f"{answer:12.4g}" if answer > 10**10 else f"{answer:12d}"
        print(f"{name:34} {big} {unit:7} {seconds:10.4f} {shown} {memory:9.0f}", flush=True)
        results[name] = {"answer": str(answer), "unit": unit, "cpu_seconds": seconds, "times": times, "peak_mb": memory}
    if options.json:
        facts = {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "machine": platform.machine(),
            "polyfiber": pf.__version__,
        }
        options.json.write_text(json.dumps({"facts": facts, "results": results}, indent=1))


if __name__ == "__main__":
    main()
