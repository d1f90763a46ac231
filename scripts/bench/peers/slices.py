"""SplineCam on the network of ``scripts/bench/slices.py --peer``, on the CPU: ``python scripts/bench/peers/slices.py CHECKOUT OUT.npz``

Runs in an environment of its own (torch, networkx, igraph, graph-tool), without polyfiber. Writes the square, the weights, the
number of its regions and its CPU seconds.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
import torch

SHAPE = (1, 8, 8)


def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.LeakyReLU(0.125), torch.nn.AvgPool2d(2),
        torch.nn.Conv2d(4, 8, 3, padding=1), torch.nn.LeakyReLU(0.125), torch.nn.Flatten(), torch.nn.Linear(128, 10),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout")
    parser.add_argument("out")
    parser.add_argument("--pad", type=float, default=1.0)
    options = parser.parse_args()
    sys.path.insert(0, options.checkout)
    import splinecam as sc

    torch.set_num_threads(1)
    net = model().eval().type(torch.float64)
    domain = sc.utils.get_square_slice_from_one_anchor(torch.randn(1, 64), pad_dist=options.pad, seed=0)
    T = sc.utils.get_proj_mat(domain)
    wrapped = sc.wrappers.model_wrapper(net, input_shape=SHAPE, T=T, dtype=torch.float64, device="cpu")
    start = time.process_time()
    cells, _, _ = sc.compute.get_partitions_with_db(domain, T, wrapped, n_workers=0)
    seconds = time.process_time() - start
    weights = {k: v.numpy() for k, v in model().double().state_dict().items()}
    np.savez(options.out, domain=domain.numpy(), regions=len(cells), seconds=seconds, **weights)
    print(f"{len(cells)} regions, {seconds:.2f} s")


if __name__ == "__main__":
    main()
