"""Networks of gates: what does a face cost beside a ReLU chain of the same widths, and beside the chain that emulates it?

    OMP_NUM_THREADS=1 python scripts/bench/piecewise.py [--repeat 7]

Interleaved runs, minima of CPU seconds, one thread: `canonical_complex` and its f-vector on all of Rⁿ. leaky: slopes (0.01, 1);
residual: every block reads the one before the last too. The emulation is `to_chain()`, whose complex has more faces.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import polyfiber as pf

SIZES = [(3, 12, 12, 1), (3, 16, 16, 1), (2, 32, 32, 1), (3, 12, 12, 12, 1)]
EMULATED = {(3, 12, 12, 1), (2, 32, 32, 1)}


def leaky(chain: pf.ReLUNetwork) -> pf.PiecewiseLinearNetwork:
    """The chain with slopes (0.01, 1)."""
    net = pf.PiecewiseLinearNetwork.from_chain(chain)
    blocks = [pf.GateBlock(b.weights, b.bias, slopes=(0.01, 1)) for b in net.blocks]
    return pf.PiecewiseLinearNetwork(net.n_inputs, blocks, net.output)


def residual(chain: pf.ReLUNetwork) -> pf.PiecewiseLinearNetwork:
    """The chain with maps from the block before the last one."""
    net, rng = pf.PiecewiseLinearNetwork.from_chain(chain), np.random.default_rng(0)
    blocks, widths = [net.blocks[0]], [net.n_inputs, *net.hidden_widths]
    for l, block in enumerate(net.blocks[1:], start=1):
        skip = rng.standard_normal((block.width, widths[l - 1])) / np.sqrt(widths[l - 1])
        blocks.append(pf.GateBlock({l - 1: skip, **block.weights}, block.bias))
    return pf.PiecewiseLinearNetwork(net.n_inputs, blocks, net.output)


def cost(net: Any) -> tuple[float, int]:
    """(CPU seconds, faces)."""
    start = time.process_time()
    faces = sum(pf.canonical_complex(net).f_vector)
    return time.process_time() - start, faces


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=7)
    repeat = parser.parse_args().repeat
    print("| widths | network | faces | µs a face | to ReLU |\n|---|---|--:|--:|--:|")
    for sizes in SIZES:
        chain = pf.ReLUNetwork.random(sizes, rng=0)
        nets: dict[str, Any] = {"ReLU chain": chain, "leaky": leaky(chain), "residual": residual(chain)}
        if sizes in EMULATED:
            nets["leaky, emulated"] = nets["leaky"].to_chain()
        best: dict[str, float] = {}
        faces: dict[str, int] = {}
        for turn in range(repeat):
            for name, net in nets.items():
                if turn < 2 or "emulated" not in name:
                    seconds, faces[name] = cost(net)
                    best[name] = min(best.get(name, np.inf), seconds)
        unit = best["ReLU chain"] / faces["ReLU chain"]
        for name in nets:
            each = best[name] / faces[name]
            print(
                f"| {'-'.join(map(str, sizes[:-1]))} | {name} | {faces[name]} | {1e6 * each:.2f} | {each / unit:.2f} |"
            )


if __name__ == "__main__":
    main()
