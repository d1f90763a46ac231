"""The fiber classifier: labels of batches, nonnegative ranks, functional dimension, single reports.

    python scripts/bench/fibers.py [--repeat 7] [--json FILE]

CPU time of one process on one core (medians), after a warm-up call, so without compilation and imports.

  labels        classify_batch: kind, roles, hidden hyperplane, margin, undecided entries, per network
  rank          nonnegative_column_ranks with factors and certificates, 6 x 8 Gaussians, per matrix; beside it the
                same decision by the compiled method on one matrix, by HiGHS, by cvxpy and in rational arithmetic
  dimension     functional dimension over all regions, the complex included and not
  report        classify_fiber of one network, genericity checks included
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import polyfiber as pf  # noqa: E402
from polyfiber.fibers.batch.labels import classify_batch  # noqa: E402
from polyfiber.fibers.nonnegative_rank import nonnegative_column_rank, nonnegative_column_ranks  # noqa: E402


def median(call: Callable[[], Any], repeat: int) -> float:
    call()
    times = []
    for _ in range(repeat):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return statistics.median(times)


def labels(repeat: int) -> list[tuple[str, str, float, str]]:
    rows = []
    for widths, size in (((4, 4, 3, 2), 400_000), ((8, 8, 6, 2), 200_000), ((32, 32, 16, 4), 20_000)):
        batch = pf.NetworkBatch.random(widths, size, rng=0)
        seconds = median(lambda batch=batch: classify_batch(batch), repeat)
        rows.append(("labels", "-".join(map(str, widths)), size / seconds, "networks/s"))
    return rows


def ranks(repeat: int) -> list[tuple[str, str, float, str]]:
    M = np.random.default_rng(0).standard_normal((20_000, 6, 8))
    flat = np.abs(M)
    flat[:, 0] += 0.5
    rows = [
        ("rank, batched", "6x8 Gaussian", 1e6 * median(lambda: nonnegative_column_ranks(M), repeat) / len(M), "us"),
        ("rank, batched", "6x8 pointed", 1e6 * median(lambda: nonnegative_column_ranks(flat), repeat) / len(M), "us"),
    ]
    for method, count in (("auto", 200), ("lp", 20), ("cvxpy", 10), ("exact", 3)):

        def all_of(method: Any = method, count: int = count) -> None:
            for matrix in M[:count]:
                nonnegative_column_rank(matrix, method=method)

        rows.append((f"rank, one call, {method}", "6x8 Gaussian", 1e6 * median(all_of, 3) / count, "us"))
    return rows


def dimensions(repeat: int) -> list[tuple[str, str, float, str]]:
    rows = []
    for widths in ((2, 8, 8, 1), (4, 8, 8, 1), (4, 16, 16, 1)):
        net = pf.ReLUNetwork.random(widths, rng=0)
        cx = pf.canonical_complex(net)
        name = f"{'-'.join(map(str, widths))} ({cx.n_regions} regions)"
        whole = median(lambda net=net: pf.local_fiber(net), min(repeat, 3))
        given = median(lambda net=net, cx=cx: pf.local_fiber(net, regions=cx), min(repeat, 3))
        rows += [
            ("functional dimension", name, 1e3 * whole, "ms"),
            ("  without the complex", name, 1e3 * given, "ms"),
        ]
    rows.append(("peak memory so far", "", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, "MB"))
    return rows


def reports(repeat: int) -> list[tuple[str, str, float, str]]:
    rows = []
    for widths in ((4, 4, 3, 2), (8, 8, 6, 2), (16, 16, 8, 4), (32, 32, 16, 4)):
        net = pf.ReLUNetwork.random(widths, rng=0)
        seconds = median(lambda net=net: pf.classify_fiber(net), repeat)
        rows.append(("report", "-".join(map(str, widths)), 1e3 * seconds, "ms"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = [*labels(options.repeat), *ranks(options.repeat), *dimensions(options.repeat), *reports(options.repeat)]
    print(f"{'what':28} {'on':30} {'value':>14}")
    for what, on, value, unit in rows:
        print(f"{what:28} {on:30} {value:14,.4g} {unit}")
    if options.json:
        machine = {"platform": platform.platform(), "python": platform.python_version(), "numpy": np.__version__}
        options.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
