"""Run relucent on one network and print a JSON line; called by topology.py with the peer's interpreter.

python topology.py NETWORK.npz

NETWORK.npz holds W0, b0, W1, b1, …; one output. CPU seconds cover exploration, the boundary complex and its Betti numbers over
two elements, not imports.
"""

from __future__ import annotations

import importlib.metadata
import json
import resource
import sys

import numpy as np


def clock() -> float:
    """CPU seconds of this process and of its finished children."""
    usage = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(u.ru_utime + u.ru_stime for u in usage)


def main() -> None:
    """The zero set of the only output."""
    import torch
    from relucent import Complex, add_output_relu, config, explore_for_topology

    torch.set_num_threads(1)
    config.update_settings(VERBOSE=0)
    with np.load(sys.argv[1]) as data:
        net = [(data[f"W{i}"], data[f"b{i}"]) for i in range(len(data.files) // 2)]
    layers: list[torch.nn.Module] = []
    for k, (w, b) in enumerate(net):
        linear = torch.nn.Linear(w.shape[1], w.shape[0], dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(w))
            linear.bias.copy_(torch.tensor(b))
        layers += [linear, torch.nn.ReLU()] if k < len(net) - 1 else [linear]
    model = add_output_relu(torch.nn.Sequential(*layers))
    start = clock()
    cx = Complex(model)
    explore_for_topology(cx, nworkers=1)
    betti = cx.boundary_complex(cx.n - 1).betti_numbers()
    print(
        json.dumps(
            {
                "seconds": clock() - start,
                "regions": len(cx),
                "betti": {str(k): int(v) for k, v in betti.items()},
                "version": importlib.metadata.version("relucent"),
            }
        )
    )


if __name__ == "__main__":
    main()
