"""The fiber classifier: labels of batches, nonnegative ranks, functional dimension, single reports.

    python scripts/bench/fibers.py [--repeat 7] [--json FILE]

CPU time of one process on one core (medians), after a warm-up call, so without compilation and imports.

  labels        classify_batch: kind, roles, hidden hyperplane, margin, undecided entries, per network
  rank          nonnegative_column_ranks with factors and certificates, 6 x 8 Gaussians, per matrix; beside it the
                same decision by the compiled method on one matrix, by HiGHS, by cvxpy and in rational arithmetic
  dimension     functional dimension over all regions, the complex included and not
  report        classify_fiber of one network, genericity checks included
  relations     feature_relations of a layer 64-256 with five planted relations, in floats (one through walls 1e-12 apart) and exactly
  pairs         are_equivalent of wide networks that are equal by one relation, slowest of all operators
  wide          10 000 networks of 16-32-16-4: labels by signs, by label_fibers, classes
  connection    of two samples of one component of a bottleneck
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
from polyfiber.fibers.batch.classify_many import label_fibers  # noqa: E402
from polyfiber.fibers.batch.labels import classify_batch  # noqa: E402
from polyfiber.fibers.nonnegative_rank import nonnegative_column_rank, nonnegative_column_ranks  # noqa: E402
from polyfiber.fibers.whole.connection import connection  # noqa: E402
from polyfiber.testing.rewritings import OPERATORS  # noqa: E402


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


def planted_layer(seed: int, exact: bool) -> pf.ReLUNetwork:
    """256 rows over 64 inputs, small dyadic numbers; five relations of 2 to 6 features."""
    rng = np.random.default_rng(seed)
    R = np.round(rng.standard_normal((256, 65)) * 2**20) / 2**20
    R[1], R[3], R[4] = -2 * R[0], -0.5 * R[2], R[0] + R[2]
    R[5], R[7], R[8], R[11], R[12] = -R[4], 2 * R[6], -R[6], -R[10], R[10] * 2
    R[15], R[16], R[20] = 4 * R[14], -R[14], 4 * R[21]
    if not exact:
        R[15] += 1e-12 * rng.standard_normal(65)
    R = R[rng.permutation(256)]
    return pf.ReLUNetwork([R[:, :64], rng.standard_normal((10, 256))], [R[:, 64], np.zeros(10)])


def relations(repeat: int) -> list[tuple[str, str, float, str]]:
    rows = []
    for exact, name in ((False, "floats, one 1e-12 apart"), (True, "exactly")):
        net = planted_layer(0, exact)
        assert pf.feature_relations(net, 1, exact=exact).n_relations == 5
        seconds = median(lambda net=net, exact=exact: pf.feature_relations(net, 1, exact=exact), repeat)
        rows.append(("relations, 64-256", name, 1e3 * seconds, "ms"))
    names = ("split", "cancelling group", "triple flip", "feature relation", "mirror", "maximum")
    for widths in ((6, 64, 64, 4), (16, 64, 64, 10), (5, 50, 50, 50, 5)):
        worst = 0.0
        for k, name in enumerate(names):
            f = pf.ReLUNetwork.random(widths, rng=k).exact()
            g = OPERATORS[name](f, np.random.default_rng(k))
            if g is None:
                continue
            a, b = f.rounded(), g.rounded()
            assert pf.are_equivalent(a, b).verdict is pf.Verdict.YES
            worst = max(worst, median(lambda a=a, b=b: pf.are_equivalent(a, b), 3))
        rows.append(("pair equal by a relation", "-".join(map(str, widths)), 1e3 * worst, "ms, slowest"))
    return rows


def wide() -> list[tuple[str, str, float, str]]:
    batch, rows = pf.NetworkBatch.random((16, 32, 16, 4), 10_000, rng=0), []
    calls = (("labels by signs", classify_batch), ("label_fibers", label_fibers), ("classes", pf.equivalence_classes))
    for name, call in calls:
        start = time.process_time()
        call(batch)
        rows.append((name, "10 000 of 16-32-16-4", time.process_time() - start, "s"))
    base = pf.ReLUNetwork.random((4, 3, 5, 3), rng=0)
    W, b = base.weights[1].copy(), base.biases[1].copy()
    W[:3], b[:3] = np.abs(W[:3]), np.abs(b[:3])
    net = pf.ReLUNetwork([base.weights[0], W, base.weights[2]], [base.biases[0], b, base.biases[2]])
    one, other = pf.classify_fiber(net).sample(2, rng=0)
    rows.append(("connection", "4-3-5-3", 1e3 * median(lambda: connection(one, other), 5), "ms"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = [*labels(options.repeat), *ranks(options.repeat), *dimensions(options.repeat), *reports(options.repeat)]
    rows += [*relations(options.repeat), *wide()]
    print(f"{'what':28} {'on':30} {'value':>14}")
    for what, on, value, unit in rows:
        print(f"{what:28} {on:30} {value:14,.4g} {unit}")
    if options.json:
        machine = {"platform": platform.platform(), "python": platform.python_version(), "numpy": np.__version__}
        options.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
