"""rebasin (PyPI) on the pairs of ``scripts/bench/align.py --peer PAIRS.npz``: ``python scripts/bench/peers/align.py PAIRS.npz``

Runs in an environment of its own (torch, torchview, rebasin), without polyfiber. Writes the second networks as they were permuted
into the same file, beside what was there, and the CPU seconds of each.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch
from rebasin import PermutationCoordinateDescent


def model(parts: list[np.ndarray]) -> torch.nn.Sequential:
    layers: list[torch.nn.Module] = []
    for W, b in zip(parts[::2], parts[1::2]):
        linear = torch.nn.Linear(W.shape[1], W.shape[0], dtype=torch.float64)
        linear.weight.data, linear.bias.data = torch.tensor(W), torch.tensor(b)
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    file = sys.argv[1]
    with np.load(file) as stored:
        data = dict(stored)
    for i in range(int(data["count"])):
        sides = [[data[f"{i} {side} {k}"] for k in range(int(data[f"{i} parts"]))] for side in "ab"]
        one, other = (model(parts) for parts in sides)
        started = time.process_time()
        PermutationCoordinateDescent(one, other, torch.zeros(1, sides[0][0].shape[1], dtype=torch.float64)).rebasin()
        data[f"{i} seconds"] = np.array(time.process_time() - started)
        for k, p in enumerate(other.parameters()):
            data[f"{i} moved {k}"] = p.detach().numpy()
    np.savez(file, **data)


if __name__ == "__main__":
    main()
