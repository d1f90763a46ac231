"""How many neurons do real networks lose at epsilon? `minimize(epsilon=)`, every removal proved; CPU seconds.

    python scripts/bench/removals.py [NETWORK@LO,HI ...] [--parts 0.001,0.01,0.1] [--seconds 60]

Epsilon is a part of the largest range of an output among 4096 inputs of the box. Without networks: those of data/ that are chains, on [0, 1]^n.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import polyfiber as pf
from polyfiber.errors import BudgetExceededError

DATA = Path(__file__).resolve().parents[2] / "data"


def shape(net: pf.ReLUNetwork) -> str:
    return "-".join(map(str, net.architecture))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", help="file@ends of its box: for all inputs, or for each LO,HI,LO,HI,...")
    parser.add_argument("--parts", default="0.001,0.01,0.1")
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    pairs = [text.rsplit("@", 1) for text in options.networks]
    pairs = pairs or [[str(path), "0,1"] for path in sorted(DATA.glob("*.npz"))]
    warm = pf.ReLUNetwork.random((2, 4, 4, 1), rng=0)
    pf.minimize(warm, epsilon=1e-3, domain=pf.Box(-1, 1, dimension=2))
    print("| network | epsilon | part of the range | before | after | neurons saved | changed by at most | CPU s |")
    print("|---|--:|--:|---|---|--:|--:|--:|")
    for file, text in pairs:
        net = pf.read_network(file)
        ends = np.array([float(v) for v in text.split(",")]).reshape(-1, 2)
        n = net.architecture[0]
        box = pf.Box(*(np.broadcast_to(side, (n,)).copy() for side in ends.T))
        values = net(np.random.default_rng(0).uniform(box.lo, box.hi, (4096, n)))
        size = float(np.ptp(values, axis=0).max())
        for part in map(float, options.parts.split(",")):
            started = time.process_time()
            try:
                found = pf.minimize(net, epsilon=part * size, domain=box, budget=pf.Budget(seconds=options.seconds))
            except BudgetExceededError as error:
                print(f"| {Path(file).name} | {part * size:.3g} | {part} | {shape(net)} | {error} | | | |", flush=True)
                continue
            seconds = time.process_time() - started
            shapes = [shape(net), shape(found.network)]
            saved = sum(net.architecture[1:-1]) - sum(found.network.architecture[1:-1])
            print(
                f"| {Path(file).name} | {part * size:.3g} | {part} | {shapes[0]} | {shapes[1]} | {saved} | {found.bound:.3g} | {seconds:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
