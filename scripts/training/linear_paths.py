"""Three trained linear networks as paths in the geometry of the deep linear network.

    python scripts/training/linear_paths.py [--only digits] [--out FOLDER]

* digits: 64-24-16-10 on scikit-learn's digits by full-batch gradient descent from small Gaussian weights;
* completion: 6-6-6-6 on a third of the entries of a 6 x 6 matrix of rank 2 (drawn here), gradient flow integrated from small
  balanced weights;
* teacher: 8-5-6 on 40 noisy samples of a teacher of rank 3 (drawn here), gradient descent with momentum 0.9 and large steps
  from Gaussian weights that are not balanced.

Each path is written as one .npz with a stack for each layer, read back by `polyfiber.dln.read_checkpoints`, and measured by
`polyfiber.dln.training_path`: ranks over time, entropy, length, energy, deviation from the geodesic between its ends,
conserved quantities with their drift.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

import polyfiber as pf

Path_of_weights = tuple[list[list[np.ndarray]], np.ndarray]


def descent(
    layers: list[np.ndarray],
    gram: np.ndarray,
    cross: np.ndarray,
    rate: float,
    steps: int,
    every: int,
    momentum: float = 0.0,
) -> Path_of_weights:
    """Gradient descent on half the mean squared error with second moments ``gram`` and ``cross``; time is rate x step."""
    speed = [np.zeros_like(w) for w in layers]
    kept, times = [], []
    for t in range(steps + 1):
        if t % every == 0:
            kept.append([w.copy() for w in layers])
            times.append(rate * t)
        below = [np.eye(layers[0].shape[1])]
        for w in layers:
            below.append(w @ below[-1])
        error = below[-1] @ gram - cross
        above = np.eye(layers[-1].shape[0])
        gradients = []
        for w, b in zip(reversed(layers), reversed(below[:-1])):
            gradients.append(above.T @ error @ b.T)
            above = above @ w
        for w, v, g in zip(layers, speed, reversed(gradients)):
            v *= momentum
            v -= rate * g
            w += v
    return kept, np.array(times)


def digits() -> Path_of_weights:
    from sklearn.datasets import load_digits

    data = load_digits()
    x = data.data / 16.0
    x = 2.0 * (x - x.mean(axis=0))
    y = np.eye(10)[data.target]
    y = y - y.mean(axis=0)
    rng = np.random.default_rng(0)
    layers = [0.02 * rng.standard_normal((b, a)) for a, b in ((64, 24), (24, 16), (16, 10))]
    return descent(layers, x.T @ x / len(x), y.T @ x / len(x), rate=0.05, steps=6000, every=100)


def completion() -> Path_of_weights:
    rng = np.random.default_rng(1)
    truth = rng.standard_normal((6, 2)) @ rng.standard_normal((2, 6))
    seen = rng.random((6, 6)) < 0.6
    start = pf.dln.lift(1e-3 * np.eye(6) + 1e-4 * rng.standard_normal((6, 6)), 3)
    times = np.linspace(0.0, 12.0, 121)
    flow = pf.dln.gradient_flow(start, lambda W: seen * (W - truth), times)
    return [[w[i] for w in flow.weights] for i in range(len(times))], times


def teacher() -> Path_of_weights:
    rng = np.random.default_rng(2)
    truth = rng.standard_normal((6, 3)) @ rng.standard_normal((3, 8))
    x = rng.standard_normal((8, 40))
    y = truth @ x + 0.1 * rng.standard_normal((6, 40))
    layers = [0.2 * rng.standard_normal((5, 8)), 0.4 * rng.standard_normal((6, 5))]
    return descent(layers, x @ x.T / 40, y @ x.T / 40, rate=0.02, steps=400, every=4, momentum=0.9)


def report(name: str, path: pf.dln.TrainingPath) -> None:
    last = path.ranks.shape[1] - 1
    pairs = [(k, i) for k in range(1, last + 1) for i in range(k)]
    label = [tuple(int(r[k, i]) for k, i in pairs) for r in path.ranks]
    changes = [j for j in range(len(label)) if j == 0 or label[j] != label[j - 1]]
    print(f"{name}: {len(path.times)} checkpoints to time {path.times[-1]:g}")
    print("  ranks of " + ", ".join(f"W{k}" if k == i + 1 else f"W{k}..W{i + 1}" for k, i in pairs))
    for j in changes:
        print(f"    from time {path.times[j]:8.3f}: {label[j]}")
    print(f"  entropy {path.entropy[0]:.2f} -> {path.entropy[-1]:.2f}, largest {path.entropy.max():.2f}")
    print(f"  length {path.length:.4f}, energy {path.energy:.4f}")
    print(f"  drift of the conserved quantities {', '.join(f'{d:.1e}' for d in path.drift)}; ", end="")
    print(f"imbalance {path.imbalance[0]:.1e} -> {path.imbalance[-1]:.1e}")
    if path.geodesic is None:
        print("  no geodesic between its ends")
        return
    g = path.geodesic
    print(
        f"  geodesic between its ends: length {g.length:.4f} (rank {g.rank}, lower bound {g.lower_bound:.4f}); the path is "
        f"{path.excess:.4f} times as long and strays {path.deviation:.4f} of the distance of its ends"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("digits", "completion", "teacher"))
    parser.add_argument("--out", type=Path, help="keep the checkpoints here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.out or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for name, train in (("digits", digits), ("completion", completion), ("teacher", teacher)):
            if options.only in (None, name):
                kept, times = train()
                stacks = {f"W{p}": np.stack(layer) for p, layer in enumerate(zip(*kept, strict=True), start=1)}
                np.savez(folder / f"{name}.npz", **stacks)
                weights = pf.dln.read_checkpoints(folder / f"{name}.npz")
                report(name, pf.dln.training_path(weights, times=times, level=0.3))


if __name__ == "__main__":
    main()
