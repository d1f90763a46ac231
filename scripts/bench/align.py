"""`pf.align` beside weight matching by permutations, on the same pairs: ``python scripts/bench/align.py [--pairs 5] [--peer FILE.npz]``

Weight matching is written here as published (S. K. Ainsworth, J. Hayase, S. Srinivasa, *Git Re-Basin*, 2023, Algorithm 1): layers in
random order, for each the permutation of largest inner product of rows and columns, until none changes. With ``--peer`` the pairs are
written to a file first; ``scripts/bench/peers/align.py`` runs `rebasin` (PyPI) on them in an environment of its own, and a second call
with the same file adds what it found. Pairs: copies that were permuted, with noise, scaled as well, and two trained networks.
What is told: ``|p - q| / |p|`` over all parameters (medians), and CPU milliseconds.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

import polyfiber as pf
from polyfiber.network.moves import Permute, random_trivial

SIZES = ((4, 16, 16, 3), (16, 64, 64, 10), (5, 50, 50, 50, 5))


def weight_matching(a: pf.ReLUNetwork, b: pf.ReLUNetwork, rng: np.random.Generator) -> pf.ReLUNetwork:
    """The published algorithm: permutations of b's hidden neurons, by coordinate descent."""
    hidden = len(a.weights) - 1
    while True:
        changed = False
        for l in rng.permutation(hidden):
            gain = a.weights[l] @ b.weights[l].T + np.outer(a.biases[l], b.biases[l])
            gain = gain + a.weights[l + 1].T @ b.weights[l + 1]
            order = linear_sum_assignment(gain, maximize=True)[1]
            if gain[np.arange(len(order)), order].sum() > np.trace(gain) + 1e-12 * np.abs(gain).max():
                b, changed = Permute(int(l) + 1, tuple(order.tolist()))(b), True
        if not changed:
            return b


def distance(a: pf.ReLUNetwork, b: pf.ReLUNetwork) -> float:
    x, y = (np.concatenate([p.ravel() for p in (*n.weights, *n.biases)]) for n in (a, b))
    return float(np.linalg.norm(x - y) / np.linalg.norm(x))


def permuted(net: pf.ReLUNetwork, rng: np.random.Generator) -> pf.ReLUNetwork:
    for l, width in enumerate(net.hidden_widths, start=1):
        net = Permute(l, tuple(rng.permutation(width).tolist()))(net)
    return net


def noisy(net: pf.ReLUNetwork, level: float, rng: np.random.Generator) -> pf.ReLUNetwork:
    parts = [
        [p + level * np.abs(p).mean() * rng.standard_normal(p.shape) for p in g] for g in (net.weights, net.biases)
    ]
    return pf.ReLUNetwork(*parts)


def trained(size: tuple[int, ...], seed: int) -> pf.ReLUNetwork:
    """A network trained on a function of its own inputs, the same for all seeds."""
    from sklearn.neural_network import MLPRegressor

    rng = np.random.default_rng(7)
    X = rng.standard_normal((400, size[0]))
    Y = np.sin(X @ rng.standard_normal((size[0], size[-1])))
    warnings.simplefilter("ignore")  # it need not converge
    fitted = MLPRegressor(hidden_layer_sizes=size[1:-1], max_iter=150, random_state=seed).fit(X, Y)
    return pf.ReLUNetwork([W.T for W in fitted.coefs_], fitted.intercepts_)


def pairs(size: tuple[int, ...], count: int) -> Iterator[tuple[str, pf.ReLUNetwork, pf.ReLUNetwork]]:
    for seed in range(count):
        rng = np.random.default_rng(seed)
        a = pf.ReLUNetwork.random(size, rng=rng)
        yield "permuted", a, permuted(a, rng)
        yield "permuted, noise of 10 %", a, permuted(noisy(a, 0.1, rng), rng)
        yield "permuted and scaled", a, random_trivial(a, rng=rng)(a)
        yield "permuted and scaled, noise of 10 %", a, random_trivial(a, rng=rng)(noisy(a, 0.1, rng))
    for seed in range(min(count, 3)):
        yield "trained from two seeds", trained(size, seed), trained(size, seed + 100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--peer", type=Path)
    options = parser.parse_args()
    pool = [("-".join(map(str, size)), *case) for size in SIZES for case in pairs(size, options.pairs)]
    peer = {}
    if options.peer is not None and options.peer.exists():
        with np.load(options.peer) as stored:
            peer = dict(stored)
    elif options.peer is not None:
        data = {"count": np.array(len(pool))}
        for i, (_, _, a, b) in enumerate(pool):
            for side, net in (("a", a), ("b", b)):
                parts = [p for pair in zip(net.weights, net.biases) for p in pair]
                data |= {f"{i} parts": np.array(len(parts)), **{f"{i} {side} {k}": p for k, p in enumerate(parts)}}
        np.savez(options.peer, **data)
        print(f"wrote {options.peer}; run scripts/bench/peers/align.py on it, and this again")
        return
    found: dict[tuple[str, str], list[list[float]]] = {}
    for i, (size, kind, a, b) in enumerate(pool):
        row = [distance(a, b)]
        started = time.process_time()
        row += [pf.align(a, b).distance, 1e3 * (time.process_time() - started)]
        started = time.process_time()
        row += [distance(a, weight_matching(a, b, np.random.default_rng(0))), 1e3 * (time.process_time() - started)]
        if peer:
            parts = [peer[f"{i} moved {k}"] for k in range(int(peer[f"{i} parts"]))]
            row += [distance(a, pf.ReLUNetwork(parts[::2], parts[1::2])), 1e3 * float(peer[f"{i} seconds"])]
        found.setdefault((size, kind), []).append(row)
    print("| widths | pair | before | align | ms | weight matching | ms |" + (" rebasin | ms |" if peer else ""))
    print("|---|---|---|---|---|---|---|" + ("---|---|" if peer else ""))
    for (size, kind), rows in found.items():
        print(f"| {size} | {kind} | " + " | ".join(f"{v:.2g}" for v in np.median(rows, axis=0)) + " |")


if __name__ == "__main__":
    main()
