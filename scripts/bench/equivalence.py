"""Equivalence: networks per second, time per pair, and who decides what rightly.

    python scripts/bench/equivalence.py [--part batches|parquet|pairs|boxes|confusion|ours|related] [--scale 1.0] [--json FILE]

  batches     equivalence_classes on stacked networks, every function twice, confirmation included; beside it a rounded
              digest of sorted, normalised parameters (np.unique), which splits classes at rounding edges
  parquet     the same from Parquet files that are read a row group at a time: memory above the start
  pairs       one pair by canonical form, by regions to a full certificate, and exactly
  boxes       exact maximum of |f - g| on a box for a changed copy: regions, branch and bound, MILP (HiGHS, big-M)
  confusion   pairs of scripts/make_pairs.py: right / wrong / undecided per kind for this library, random sampling
              (10^5 inputs), weight matching, and MILP on a box
  related     classes of 16-32-16-4 that are equal by relations of features alone

Medians of process CPU time after a warm-up call, unless a column says wall.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

import make_pairs  # noqa: E402

import polyfiber as pf  # noqa: E402
from polyfiber.equivalence.collections.classes import group_networks  # noqa: E402
from polyfiber.equivalence.forms.distance import _same_parameters  # noqa: E402
from polyfiber.network.moves import random_trivial  # noqa: E402
from polyfiber.testing.rewritings import OPERATORS  # noqa: E402
from polyfiber.verdict import Verdict  # noqa: E402

TOLERANCE = 1e-9


def median(call: Callable[[], Any], repeat: int) -> float:
    call()
    times = []
    for _ in range(repeat):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return statistics.median(times)


def copies(widths: tuple[int, ...], size: int, rng: np.random.Generator) -> tuple[pf.NetworkBatch, np.ndarray]:
    """``size`` networks, every function twice under a random permutation and scaling, and the true classes."""
    base = pf.NetworkBatch.random(widths, size // 2, rng=rng)
    W, b = [np.repeat(w, 2, axis=0) for w in base.weights], [np.repeat(v, 2, axis=0) for v in base.biases]
    B = len(W[0])
    for l in range(len(W) - 1):
        order = np.argsort(rng.random((B, W[l].shape[1])), axis=1)
        s = np.exp(rng.standard_normal(order.shape))
        W[l] = np.take_along_axis(W[l], order[:, :, None], 1) * s[:, :, None]
        b[l] = np.take_along_axis(b[l], order, 1) * s
        W[l + 1] = np.take_along_axis(W[l + 1], order[:, None, :], 2) / s[:, None, :]
    shuffle = rng.permutation(B)
    return pf.NetworkBatch([w[shuffle] for w in W], [v[shuffle] for v in b]), np.repeat(np.arange(B // 2), 2)[shuffle]


def digest_classes(batch: pf.NetworkBatch) -> np.ndarray:
    """The usual alternative: unit rows, sorted by their first entry, rounded to nine digits, np.unique."""
    W, b = [w.copy() for w in batch.weights], [v.copy() for v in batch.biases]
    for l in range(len(W) - 1):
        norm = np.sqrt((W[l] ** 2).sum(axis=2))
        W[l] /= norm[:, :, None]
        b[l] /= norm
        W[l + 1] *= norm[:, None, :]
        order = np.argsort(W[l][:, :, 0], axis=1)
        W[l], b[l] = np.take_along_axis(W[l], order[:, :, None], 1), np.take_along_axis(b[l], order, 1)
        W[l + 1] = np.take_along_axis(W[l + 1], order[:, None, :], 2)
    flat = np.concatenate([x.reshape(len(batch), -1) for pair in zip(W, b) for x in pair], axis=1)
    return np.unique(np.round(flat, 9), axis=0, return_inverse=True)[1].ravel()


def right(labels: np.ndarray, truth: np.ndarray) -> int:
    """How many functions came out as one class of their own."""
    pairs = np.unique(np.stack([labels, truth], axis=1), axis=0)
    one_label = np.bincount(pairs[:, 1]) == 1
    one_function = np.bincount(pairs[:, 0])[pairs[:, 0]] == 1
    return int(sum(one_label[t] and f for t, f in zip(pairs[:, 1], one_function)))


def one_batch(widths: tuple[int, ...], size: int) -> dict[str, Any]:
    """One measurement, in this process; another one makes the networks, so that what that takes is not counted."""
    group_networks(copies(widths, 200, np.random.default_rng(0))[0], workers=2)
    with tempfile.TemporaryDirectory() as folder:
        argument = json.dumps([widths, size, folder])
        subprocess.run([sys.executable, __file__, "--make-batch", argument], check=True)
        layers = range(len(widths) - 1)
        weights, biases = ([np.load(Path(folder) / f"{name}{l}.npy") for l in layers] for name in "Wb")
        truth = np.load(Path(folder) / "truth.npy")
    batch = pf.NetworkBatch(weights, biases)
    size = len(batch)
    given = sum(x.nbytes for x in (*batch.weights, *batch.biases))
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    wall, cpu = time.perf_counter(), time.process_time()
    found = group_networks(batch, workers=2)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = peak_bytes()
    row = {
        "widths": "-".join(map(str, widths)), "networks": size, "per second, wall, 2 threads": round(size / wall),
        "per CPU second": round(size / cpu), "memory / input": round(1 + max(0, peak - before) / given, 2),
        "right classes": f"{right(found.labels, truth)}/{size // 2}",
    }  # fmt: skip
    cpu = time.process_time()
    labels = digest_classes(batch)
    cpu = time.process_time() - cpu
    row |= {"digest, per CPU second": round(size / cpu), "digest, right": f"{right(labels, truth)}/{size // 2}"}
    return row


def make_batch(widths: tuple[int, ...], size: int, folder: str) -> None:
    """Write one collection as arrays."""
    batch, truth = copies(widths, size, np.random.default_rng(1))
    for name, arrays in (("W", batch.weights), ("b", batch.biases)):
        for l, values in enumerate(arrays):
            np.save(Path(folder) / f"{name}{l}.npy", values)
    np.save(Path(folder) / "truth.npy", truth)


def one_dataset(widths: tuple[int, ...], size: int) -> dict[str, Any]:
    """A Parquet dataset of files of at most 100 000 networks, grouped without ever being in memory."""
    with tempfile.TemporaryDirectory() as folder:
        argument = json.dumps([widths, size, folder])
        subprocess.run([sys.executable, __file__, "--make-dataset", argument], check=True)
        truth = np.load(Path(folder) / "truth.npy")
        parquet = [f for f in Path(folder).iterdir() if f.suffix == ".parquet"]
        group_networks(copies(widths, 200, np.random.default_rng(0))[0], workers=2)
        pf.fibers.write_parquet(pf.NetworkBatch.random(widths, 20, rng=0), Path(folder) / "warm.parquet")
        group_networks(Path(folder) / "warm.parquet")
        (Path(folder) / "warm.parquet").unlink()
        Path("/proc/self/clear_refs").write_text("5")
        before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
        wall = time.perf_counter()
        found = group_networks(folder, workers=2)
        wall = time.perf_counter() - wall
        extra = max(0, peak_bytes() - before)
        numbers = sum((a + 1) * b for a, b in zip(widths[:-1], widths[1:]))
        return {
            "widths": "-".join(map(str, widths)), "networks": len(truth), "files": len(parquet),
            "parameters, MB": round(8e-6 * numbers * len(truth)), "memory above the start, MB": round(extra / 1e6),
            "bytes a network": round(extra / len(truth)), "per second, wall": round(len(truth) / wall),
            "right classes": f"{right(found.labels, truth)}/{len(truth) // 2}",
        }  # fmt: skip


def make_dataset(widths: tuple[int, ...], size: int, folder: str) -> None:
    """Write one collection as Parquet files."""
    batch, truth = copies(widths, size, np.random.default_rng(1))
    for start in range(0, len(batch), 100_000):
        part = slice(start, start + 100_000)
        block = pf.NetworkBatch([w[part] for w in batch.weights], [v[part] for v in batch.biases])
        pf.fibers.write_parquet(block, Path(folder) / f"{start:09d}.parquet")
    np.save(Path(folder) / "truth.npy", truth)


def parquet(scale: float) -> list[dict[str, Any]]:
    rows = []
    for widths, size in (((16, 16, 8, 4), 20_000), ((16, 16, 8, 4), 80_000), ((16, 16, 8, 4), 320_000)):
        argument = json.dumps([widths, max(200, int(size * scale))])
        done = subprocess.run(
            [sys.executable, __file__, "--one-dataset", argument], capture_output=True, text=True, check=True
        )
        rows.append(json.loads(done.stdout))
    return rows


def peak_bytes() -> int:
    """Peak resident size since the last reset."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def batches(scale: float) -> list[dict[str, Any]]:
    rows = []
    for widths, size in (
        ((4, 4, 3, 2), 1_000_000),
        ((16, 16, 8, 4), 100_000),
        ((4, 16, 2), 200_000),
        ((4, 8, 8, 8, 2), 100_000),
    ):
        argument = json.dumps([widths, max(200, int(size * scale))])
        done = subprocess.run(
            [sys.executable, __file__, "--one-batch", argument], capture_output=True, text=True, check=True
        )
        rows.append(json.loads(done.stdout))
    return rows


def pairs(scale: float) -> list[dict[str, Any]]:
    rows = []
    repeat = max(3, int(21 * scale))
    for widths, options in (
        ((16, 16, 8, 4), {}), ((32, 32, 16, 4), {}), ((4, 12, 12, 2), {}), ((4, 12, 12, 2), {"method": "regions"}),
        ((3, 16, 16, 2), {"method": "regions"}), ((2, 8, 8, 8, 1), {"method": "regions"}),
    ):  # fmt: skip
        a = pf.ReLUNetwork.random(widths, rng=1)
        b = random_trivial(a, rng=2)(a)
        answer = pf.are_equivalent(a, b, **options)
        seconds = median(lambda a=a, b=b, o=options: pf.are_equivalent(a, b, **o), 3 if options else repeat)
        rows.append({
            "widths": "-".join(map(str, widths)), "method": answer.method, "verdict": answer.verdict.value,
            "regions": answer.certificate.get("regions", ""), "milliseconds": round(1e3 * seconds, 3),
        })  # fmt: skip
    a = pf.ReLUNetwork.random((3, 8, 8, 1), rng=1).exact()
    b = random_trivial(a, rng=2)(a)
    for label, call in (
        ("exact normal form", lambda: pf.are_equivalent(a, b, tolerance=0)),
        ("exact, side by side", lambda: _exact(a, b)),
    ):
        answer = call()
        rows.append({
            "widths": "3-8-8-1", "method": label, "verdict": answer.verdict.value,
            "regions": answer.certificate.get("regions", ""), "milliseconds": round(1e3 * median(call, 3), 3),
        })  # fmt: skip
    return rows


def _exact(a: pf.ReLUNetwork, b: pf.ReLUNetwork) -> Any:
    from polyfiber.budget import Monitor
    from polyfiber.equivalence.decide import _Pair
    from polyfiber.equivalence.regions.exact import exact_by_regions

    return exact_by_regions(_Pair(a, b, None, 0.0, None, Monitor(), "auto"))


def boxes(scale: float) -> list[dict[str, Any]]:
    rows = []
    limit = max(2.0, 30.0 * scale)
    for widths in ((2, 6, 6, 1), (3, 8, 8, 2), (4, 8, 8, 2), (4, 12, 12, 2), (5, 16, 16, 3), (8, 24, 24, 2)):
        a = pf.ReLUNetwork.random(widths, rng=1)
        rng = np.random.default_rng(3)
        b = pf.ReLUNetwork([w + 0.01 * rng.standard_normal(w.shape) for w in a.weights], a.biases)
        box = pf.Box(-1, 1, dimension=widths[0])
        row: dict[str, Any] = {"widths": "-".join(map(str, widths))}
        for method in ("regions", "bound", "milp"):
            budget = pf.Budget(seconds=limit, memory="4GiB")
            if method != "milp":
                pf.difference(
                    pf.ReLUNetwork.random((2, 3, 1), rng=0),
                    pf.ReLUNetwork.random((2, 3, 1), rng=1),
                    pf.Box(-1, 1, dimension=2),
                    method=method,
                )
            start = time.process_time()
            try:
                found = pf.difference(a, b, box, budget=budget, method=method)
                row[method] = f"{found.maximum:.6g}" + ("" if found.complete else f" to {found.upper:.3g}")
            except pf.errors.PolyfiberError as error:
                row[method] = type(error).__name__
            row[f"{method}, s"] = round(time.process_time() - start, 3)
        rows.append(row)
    return rows


def ours_alone(scale: float) -> list[dict[str, Any]]:
    return confusion(scale, beside=False)


def confusion(scale: float, *, beside: bool = True) -> list[dict[str, Any]]:
    ours, others, few = (max(1, int(n * scale)) for n in (1000, 100, 20))
    if not beside:
        others = few = 0
    pair = make_pairs.make("equal: on a box only", 0, top=4)
    pf.are_equivalent(pair.a, pair.b, pair.domain)  # compiles
    pf.are_equivalent(pair.a, pair.b, pair.domain, method="bound", budget=pf.Budget(seconds=1))
    rows = []
    for kind in make_pairs.KINDS:
        tables: dict[str, Counter[str]] = {name: Counter() for name in ("ours", "sampling", "matching", "milp")}
        methods: Counter[str] = Counter()
        checked, longest = 0, 0.0
        for seed in range(ours):
            pair = make_pairs.make(kind, seed, top=32 if seed % 2 else 8)
            answer = pf.are_equivalent(pair.a, pair.b, pair.domain, tolerance=TOLERANCE, budget=pf.Budget(seconds=20))
            _note(tables["ours"], pair, None if answer.verdict is Verdict.UNDECIDED else bool(answer.verdict))
            methods[answer.method] += 1
            start = time.process_time()
            checked += answer.recheck(budget=pf.Budget(seconds=20)).verdict is Verdict.YES
            longest = max(longest, time.process_time() - start)
            if seed < others:
                _note(tables["sampling"], pair, sampled(pair))
                distance = _same_parameters(pair.a, pair.b)
                _note(tables["matching"], pair, distance is not None and distance <= TOLERANCE)
        for seed in range(few):
            pair = make_pairs.make(kind, seed, top=4)
            _note(tables["milp"], pair, by_milp(pair, seconds=10))
        how = ", ".join(f"{name} {count}" for name, count in methods.most_common())
        rows.append(
            {
                "kind": kind,
                **{name: _show(table) for name, table in tables.items()},
                "ours by": how,
                "verified": checked,
                "longest check, s": round(longest, 2),
            }
        )
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    rows.append({"kind": "all", **{name: _total(rows, name) for name in ("ours", "sampling", "matching", "milp")}})
    rows[-1] |= {"verified": sum(row["verified"] for row in rows[:-1])}
    return rows


def _total(rows: list[dict[str, Any]], name: str) -> str:
    return "/".join(str(sum(parts)) for parts in zip(*(map(int, row[name].split("/")) for row in rows)))


def _note(table: Counter[str], pair: Any, said: bool | None) -> None:
    below = not pair.equal and pair.size <= TOLERANCE
    table["undecided" if said is None else "right" if said == pair.equal or (below and said) else "wrong"] += 1


def _show(table: Counter[str]) -> str:
    return "/".join(str(table[name]) for name in ("right", "wrong", "undecided"))


def sampled(pair: Any) -> bool:
    """Equal on 10^5 random inputs, relative to the largest output."""
    rng = np.random.default_rng(0)
    n0 = pair.a.architecture[0]
    if pair.domain is None:
        X = 3 * rng.standard_normal((100_000, n0))
    else:
        X = pair.domain.lo + (pair.domain.hi - pair.domain.lo) * rng.random((100_000, n0))
    u, v = pair.a(X), pair.b(X)
    return bool(np.abs(u - v).max() <= TOLERANCE * np.abs(u).max())


def by_milp(pair: Any, *, seconds: float) -> bool | None:
    """Maximum of |f - g| on the pair's box, or on [-3, 3]^n: equal up to the solver's own 1e-6."""
    box = pair.domain if pair.domain is not None else pf.Box(-3, 3, dimension=pair.a.architecture[0])
    found = pf.difference(pair.a, pair.b, box, method="milp", budget=pf.Budget(seconds=seconds))
    if found.maximum > 1e-5:
        return False
    return True if found.complete and found.upper <= 1e-5 else None


def related(scale: float) -> list[dict[str, Any]]:
    """Networks of 16-32-16-4 whose classes are equal by relations of features alone: forms decide no pair."""
    rng, size = np.random.default_rng(0), max(20, int(100_000 * scale))
    nets: list[pf.ReLUNetwork] = []
    truth: list[int] = []
    while len(nets) < size:
        base = pf.ReLUNetwork.random((16, 26, 14, 4), rng=rng).exact()
        family = [_by_relations(base, rng) for _ in range(4)]
        for _ in range(min(25, -(-(size - len(nets)) // 4))):  # outputs times a number: other classes
            factor = float(rng.uniform(0.5, 2.0))
            nets += [
                pf.ReLUNetwork([*f.weights[:-1], factor * f.weights[-1]], [*f.biases[:-1], factor * f.biases[-1]])
                for f in family
            ]
            truth += [len(nets) // 4 - 1] * 4
    group_networks(nets[:40], workers=2)
    wall, cpu = time.perf_counter(), time.process_time()
    found = group_networks(nets, workers=2)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    row = {"widths": "16-32-16-4", "networks": len(nets), "wall s": round(wall, 1), "CPU s": round(cpu, 1)}
    return [row | {"right classes": f"{right(found.labels, np.array(truth))}/{len(nets) // 4}"}]


def _by_relations(net: pf.ReLUNetwork, rng: np.random.Generator) -> pf.ReLUNetwork:
    """The same function as a network of 16-32-16-4, by triples, mirrors, splits and relations; the rest unused."""
    while len(net.biases[0]) < 30:
        for name in ("triple flip", "mirror", "split", "feature relation"):
            more = OPERATORS[name](net, rng)
            net = more if more is not None and len(more.biases[0]) <= 32 and len(more.biases[1]) <= 16 else net
    W, b = [w.copy() for w in net.weights], [c.copy() for c in net.biases]
    for l, width in ((0, 32), (1, 16)):
        spare = width - len(b[l])
        W[l] = np.vstack([W[l], rng.integers(-3, 4, (spare, W[l].shape[1])).astype(object)])
        b[l] = np.append(b[l], np.ones(spare, dtype=object))
        W[l + 1] = np.hstack([W[l + 1], np.zeros((len(b[l + 1]), spare), dtype=object)])
    return pf.ReLUNetwork(W, b).rounded()


PARTS: dict[str, Callable[[float], list[dict[str, Any]]]] = {
    "batches": batches, "parquet": parquet, "pairs": pairs, "boxes": boxes, "confusion": confusion, "ours": ours_alone,
    "related": related,
}  # fmt: skip


def show(rows: list[dict[str, Any]]) -> None:
    names = list(rows[0])
    print("| " + " | ".join(names) + " |")
    print("|" + "---|" * len(names))
    for row in rows:
        print("| " + " | ".join(str(row.get(n, "")) for n in names) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=sorted(PARTS), action="append")
    parser.add_argument("--scale", type=float, default=1.0, help="shrink sizes and counts for a quick look")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one-batch", help=argparse.SUPPRESS)
    for hidden in ("--make-batch", "--one-dataset", "--make-dataset"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make_batch:
        widths, size, folder = json.loads(options.make_batch)
        make_batch(tuple(widths), size, folder)
        return
    if options.make_dataset:
        widths, size, folder = json.loads(options.make_dataset)
        make_dataset(tuple(widths), size, folder)
        return
    for one, asked in ((one_batch, options.one_batch), (one_dataset, options.one_dataset)):
        if asked:
            widths, size = json.loads(asked)
            print(json.dumps(one(tuple(widths), size)))
            return
    results = {}
    for part in options.part or [name for name in PARTS if name not in ("ours", "related")]:
        print(f"\n## {part}\n")
        results[part] = PARTS[part](options.scale)
        show(results[part])
    if options.json:
        facts = {"machine": platform.machine(), "python": platform.python_version(), "cores": os.cpu_count()}
        options.json.write_text(json.dumps({"facts": facts, "scale": options.scale, "results": results}, indent=1))


if __name__ == "__main__":
    main()
