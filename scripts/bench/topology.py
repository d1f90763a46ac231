"""The topology of zero sets: CPU seconds and Betti numbers, ours beside relucent in the same run.

    python scripts/bench/topology.py [--repeat 5] [--peer PYTHON] [--networks 2-8-6-1,3-10-8-1] [--large]

For each random network: the complex, its level set of 0, Betti numbers over two elements. ``--peer`` names an interpreter in
which relucent is installed. ``--large`` adds networks that only we can do, with the share of the skeleton's time that the level
set takes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import polyfiber as pf  # noqa: E402


def ours(net: pf.ReLUNetwork, repeat: int) -> tuple[float, float, float, object]:
    """Least CPU seconds of skeleton, level set and homology; the set."""
    best = [np.inf] * 3
    for _ in range(repeat + 1):  # the first compiles
        marks = [time.process_time()]
        cx = pf.canonical_complex(net)
        marks.append(time.process_time())
        found = cx.level_set()
        marks.append(time.process_time())
        found.betti_numbers()
        marks.append(time.process_time())
        best = [min(b, t) for b, t in zip(best, np.diff(marks))]
    return best[0], best[1], best[2], found


def peer(python: str, net: pf.ReLUNetwork) -> dict[str, object] | None:
    """What relucent answers; None where it fails."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "net.npz"
        arrays = {f"W{i}": w for i, w in enumerate(net.weights)} | {f"b{i}": b for i, b in enumerate(net.biases)}
        np.savez(path, **arrays)
        argv = [python, str(Path(__file__).with_name("topology_peer.py")), str(path)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=600)
        if done.returncode:
            print(done.stderr.strip().splitlines()[-1:], file=sys.stderr)
            return None
        answer: dict[str, object] = json.loads(done.stdout.strip().splitlines()[-1])
        return answer


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--peer")
    parser.add_argument("--networks", default="2-8-6-1,3-10-8-1,2-16-16-1,3-8-8-1")
    parser.add_argument("--large", action="store_true")
    options = parser.parse_args()
    print("network\tregions\tour Betti numbers\tours, s\trelucent, s\tratio\tits Betti numbers")
    for text in options.networks.split(","):
        net = pf.ReLUNetwork.random(tuple(map(int, text.split("-"))), rng=0)
        a, b, c, found = ours(net, options.repeat)
        other = peer(options.peer, net) if options.peer else None
        theirs = (
            f"{other['seconds']:.2f}\t{other['seconds'] / (a + b + c):.0f}\t{other['betti']}" if other else "-\t-\t-"
        )
        regions = found.complex.n_regions
        print(f"{text}\t{regions}\t{found.betti_numbers()}\t{a + b + c:.4f}\t{theirs}", flush=True)
    if options.large:
        print("\nnetwork\tcells of the level set\tskeleton, s\tlevel set, s\tshare\tBetti, s")
        for shape in ((3, 64, 64, 1), (4, 24, 24, 1)):
            a, b, c, found = ours(pf.ReLUNetwork.random(shape, rng=0), options.repeat)
            print(
                f"{'-'.join(map(str, shape))}\t{sum(found.f_vector)}\t{a:.3f}\t{b:.3f}\t{b / a:.2f}\t{c:.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
