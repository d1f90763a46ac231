"""The topology of zero sets: CPU seconds and Betti numbers, ours beside relucent in the same run.

    python scripts/bench/topology.py [--repeat 5] [--peer PYTHON] [--networks 2-8-6-1,FILE] [--large] [--gudhi]

For each network, random of these widths or read from a file: the complex, its level set of 0, Betti numbers over two elements.
``--peer`` names an interpreter in which relucent is installed: ratios of times, and whether both find the same numbers. ``--large``
adds networks that only we can do, with the share of the skeleton's time that the level set takes, and that of its coordinates too.
``--gudhi``: sets on a box by gudhi's simplex trees beside ours. Exit code 1 where numbers differ.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import polyfiber as pf  # noqa: E402
from polyfiber.complexes.topology import exchange  # noqa: E402


def ours(net: pf.ReLUNetwork, repeat: int) -> tuple[list[float], Any]:
    """Least CPU seconds of skeleton, level set, homology and coordinates; the set."""
    best = [np.inf] * 4
    for _ in range(repeat + 1):  # the first compiles
        marks = [time.process_time()]
        cx = pf.canonical_complex(net)
        marks.append(time.process_time())
        found = cx.level_set()
        marks.append(time.process_time())
        found.betti_numbers()
        marks.append(time.process_time())
        _ = found.vertices
        marks.append(time.process_time())
        best = [min(b, t) for b, t in zip(best, np.diff(marks))]
    return best, found


def same(mine: tuple[int, ...], theirs: dict[Any, int]) -> bool:
    """Whether Betti numbers agree; the peer leaves out zeros."""
    return {k: b for k, b in enumerate(mine) if b} == {int(k): b for k, b in theirs.items() if b}


def network_of(text: str) -> pf.ReLUNetwork:
    """A network from widths, or from a file."""
    if Path(text).exists():
        net = pf.read_network(text)
        assert isinstance(net, pf.ReLUNetwork)
        return net
    return pf.ReLUNetwork.random(tuple(map(int, text.split("-"))), rng=0)


def peer(python: str, net: pf.ReLUNetwork) -> dict[str, Any] | None:
    """What relucent answers; None where it fails."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "net.npz"
        arrays = {f"W{i}": w for i, w in enumerate(net.weights)} | {f"b{i}": b for i, b in enumerate(net.biases)}
        np.savez(path, **arrays)
        argv = [python, str(Path(__file__).parent / "peers" / "topology.py"), str(path)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=600)
        if done.returncode:
            print(done.stderr.strip().splitlines()[-1:], file=sys.stderr)
            return None
        answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return answer


def beside_gudhi(widths: tuple[int, ...], repeat: int) -> int:
    """Print a line about {f <= 0.1} on a box: seconds of ours, of making a simplex tree, of gudhi; 1 where numbers differ."""
    box = pf.Box([-1.0] * widths[0], [1.0] * widths[0])
    found = pf.canonical_complex(pf.ReLUNetwork.random(widths, rng=0), box).sublevel_set(0.1)
    mine = found.betti_numbers()
    best = np.inf
    for _ in range(repeat):
        start = time.process_time()
        found.betti_numbers()
        best = min(best, time.process_time() - start)
    start = time.process_time()
    tree = exchange.to_gudhi(found)
    made = time.process_time()
    tree.compute_persistence(homology_coeff_field=2, persistence_dim_max=True)
    theirs = tree.betti_numbers()
    done = time.process_time()
    row = ["-".join(map(str, widths)), sum(found.f_vector), tree.num_simplices(), mine, tuple(theirs)]
    print("\t".join(map(str, row)), f"{best:.4f}\t{made - start:.3f}\t{done - made:.3f}", sep="\t", flush=True)
    return int(not same(mine, dict(enumerate(theirs))))


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--peer")
    parser.add_argument("--networks", default="2-8-6-1,3-10-8-1,2-16-16-1,3-8-8-1")
    parser.add_argument("--large", nargs="?", const="3-64-64-1,4-24-24-1,5-16-16-1,2-256-256-1")
    parser.add_argument("--gudhi", action="store_true")
    options = parser.parse_args()
    different = 0
    print("network\tregions\tBetti numbers\tours, s\trelucent, s\tratio\tits Betti numbers")
    for text in filter(None, options.networks.split(",")):
        net = network_of(text)
        times, found = ours(net, options.repeat)
        total, betti = sum(times[:3]), found.betti_numbers()
        other = peer(options.peer, net) if options.peer else None
        theirs = "-\t-\t-"
        if other:
            equal = same(betti, other["betti"])
            different += not equal
            theirs = f"{other['seconds']:.2f}\t{other['seconds'] / total:.0f}\t{'equal' if equal else other['betti']}"
        name = Path(text).stem if Path(text).exists() else text
        print(f"{name}\t{found.complex.n_regions}\t{betti}\t{total:.4f}\t{theirs}", flush=True)
    if options.large:
        print(
            "\nnetwork\tvertices\tcells of the level set\tskeleton, s\tlevel set, s\tshare\twith coordinates\tBetti, s"
        )
        for text in options.large.split(","):
            (a, b, c, d), found = ours(network_of(text), options.repeat)
            sizes = f"{found.complex.f_vector[0]}\t{sum(found.f_vector)}"
            print(f"{text}\t{sizes}\t{a:.3f}\t{b:.3f}\t{b / a:.2f}\t{(b + d) / a:.2f}\t{c:.3f}", flush=True)
    if options.gudhi:
        print("\nset\tcells\tsimplices\tBetti numbers\tgudhi's\tours, s\tsimplex tree, s\tgudhi, s")
        for widths in ((3, 24, 24, 1), (3, 40, 40, 1), (4, 12, 12, 1)):
            different += beside_gudhi(widths, options.repeat)
    return int(different > 0)


if __name__ == "__main__":
    raise SystemExit(main())
