"""Run one peer on one network and print a JSON line; called by complex.py with the peer's interpreter.

python peer.py relucent|nnenum|edge NETWORK.npz RADIUS LIMIT_SECONDS [MAX_REGIONS]

NETWORK.npz holds W0, b0, W1, b1, … (hidden layers and the output layer). The peer is imported from wherever
that interpreter finds it. CPU seconds of this process cover the enumeration only, not imports.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import resource
import sys
from typing import Any

import numpy as np


def clock() -> float:
    """CPU seconds of this process and of its finished children."""
    usage = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(u.ru_utime + u.ru_stime for u in usage)


def layers(path: str) -> list[tuple[Any, Any]]:
    with np.load(path) as data:
        return [(data[f"W{i}"], data[f"b{i}"]) for i in range(len(data.files) // 2)]


def relucent(net: list[tuple[Any, Any]], radius: float, limit: float, most: int) -> dict[str, Any]:
    """Breadth-first search over regions of R^n (its own radius bounds what it can see)."""
    from relucent import Complex, config

    config.update_settings(VERBOSE=0)
    # its linear layers, ReLU between, the affine output left on
    model = [(w.astype(np.float64), b.astype(np.float64)) for w, b in net]
    where = 0.01 * np.sqrt(np.arange(2, 2 + net[0][0].shape[1]))

    def search(regions: int) -> tuple[float, int]:
        cx = Complex(model)
        start = clock()
        cx.bfs(start=where, max_polys=regions, nworkers=1, verify=False, verbose=0)
        return clock() - start, len(cx)

    # it has no time limit: a pilot says how many regions fit
    pilot, found = search(min(25, most))
    regions = int(min(most, max(25, 25 * limit / max(pilot, 1e-3))))
    seconds, found = search(regions) if regions > found >= 25 else (pilot, found)
    return {"seconds": seconds, "regions": found, "capped": found >= regions}


def nnenum(net: list[tuple[Any, Any]], radius: float, limit: float, most: int) -> dict[str, Any]:
    """Exact splitting of a box into the regions (stars) in it."""
    from nnenum.enumerate import enumerate_network
    from nnenum.network import FullyConnectedLayer, NeuralNetwork, ReluLayer
    from nnenum.settings import Settings

    Settings.NUM_PROCESSES = 1
    Settings.BRANCH_MODE = Settings.BRANCH_EXACT
    Settings.PRINT_OUTPUT = False
    Settings.PRINT_PROGRESS = False
    Settings.TRY_QUICK_OVERAPPROX = False
    Settings.CHECK_SINGLE_THREAD_BLAS = False
    Settings.UNDERFLOW_BEHAVIOR = "ignore"
    Settings.TIMEOUT = limit
    stack: list[Any] = []
    for i, (w, b) in enumerate(net):
        stack.append(FullyConnectedLayer(len(stack), w.astype(np.float64), b.astype(np.float64), (w.shape[1],)))
        if i < len(net) - 1:
            stack.append(ReluLayer(len(stack), (len(b),)))
    box = np.array([[-radius, radius]] * net[0][0].shape[1], dtype=np.float64)
    start = clock()
    result = enumerate_network(box, NeuralNetwork(stack))
    seconds = clock() - start
    done = int(result.progress_tuple[0]) or int(result.total_stars)
    if result.result_str == "error" or not done:
        raise RuntimeError(f"nnenum: {result.result_str}, {done} stars")
    return {"seconds": seconds, "regions": done, "capped": result.result_str == "timeout", "status": result.result_str}


def edge(net: list[tuple[Any, Any]], radius: float, limit: float, most: int) -> dict[str, Any]:
    """Edge subdivision (float32) in a box: vertices and edges only."""
    import torch
    from edge_subdivision import skeletal_subdivision
    from NN import Net

    torch.set_num_threads(1)
    hidden = net[:-1]
    f = Net([hidden[0][0].shape[1], *(len(b) for _, b in hidden)])
    with torch.no_grad():
        for linear, (w, b) in zip(f.fcs, hidden):
            linear.weight.copy_(torch.from_numpy(w))
            linear.bias.copy_(torch.from_numpy(b))
        start = clock()
        vertices, edges, _ = skeletal_subdivision(f, bbox=(-radius, radius), device=torch.device("cpu"), verbose=False)
        seconds = clock() - start
    return {"seconds": seconds, "vertices": len(vertices), "edges": len(edges), "capped": False}


def main() -> None:
    name, path, radius, limit = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
    most = int(sys.argv[5]) if len(sys.argv) > 5 else 10**9
    with contextlib.redirect_stdout(sys.stderr):
        found = {"relucent": relucent, "nnenum": nnenum, "edge": edge}[name](layers(path), radius, limit, most)
    try:
        found["version"] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        found["version"] = "checkout"
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(found))


if __name__ == "__main__":
    main()
