"""How close do bounds of neurons come to their ranges, by which method, in what time?

CPU seconds of one run each. ``--onnx`` adds a network file with five inputs (an ACAS Xu network) on small boxes.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import polyfiber as pf


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--onnx", help="a network with five inputs")
    parser.add_argument("--seconds", type=float, default=10.0, help="budget of each run")
    options = parser.parse_args()
    pf.activation_bounds(pf.ReLUNetwork.random((2, 3, 3, 1), rng=0), pf.Box(-1, 1, dimension=2), method="exact")
    cases = [
        ("4-16-16-1 on ±1", pf.ReLUNetwork.random((4, 16, 16, 1), rng=0), 1.0),
        ("5-50-50-50-1 on ±0.1", pf.ReLUNetwork.random((5, 50, 50, 50, 1), rng=1), 0.1),
        ("20-30-30-2 on ±0.05", pf.ReLUNetwork.random((20, 30, 30, 2), rng=0), 0.05),
    ]
    if options.onnx:
        net = pf.read_network(options.onnx)
        cases += [("ACAS Xu on ±0.02", net, 0.02), ("ACAS Xu on ±0.05", net, 0.05)]
    print("| network | method | s | both signs seen | undecided of N | largest gap |")
    print("|---|---|--:|--:|--:|--:|")
    for name, net, width in cases:
        box = pf.Box(-width, width, dimension=net.architecture[0])
        for method in ("interval", "relaxation", "lp", "exact"):
            started = time.process_time()
            b = pf.activation_bounds(net, box, method=method, budget=pf.Budget(seconds=options.seconds))
            seconds = time.process_time() - started
            undecided = f"{len(b.undecided)} of {net.n_hidden}"
            print(
                f"| {name} | {method} | {seconds:.3g} | {len(b.unstable)} | {undecided} | {b.gap.max():.2g} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
