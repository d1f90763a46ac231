"""Attack on the entropy formula: volumes of orbits by quadrature, volumes of groups, differences, and the printed variants.

The entropy of W is the logarithm of the volume, in weight space, of the balanced networks over W. Here that volume is worked
out from embedded points alone: determinants of difference quotients, integrated over angles (d = 2, trapezoid rule, exact
for these) or multiplied by the volume of the group, itself integrated in Euler angles (d = 3). Each correction that the
formula rests on is also undone, and has to be seen.

    python scripts/attacks/linear/entropy.py --count 20 --seed 0
"""

from __future__ import annotations

import argparse
import math

import numpy as np

import polyfiber as pf


def turn(d: int, i: int, j: int, angle: float) -> np.ndarray:
    out = np.eye(d)
    out[i, i] = out[j, j] = math.cos(angle)
    out[i, j], out[j, i] = -math.sin(angle), math.sin(angle)
    return out


def network(W: np.ndarray, depth: int, frames: list[np.ndarray]) -> np.ndarray:
    """The balanced network over W with these hidden frames, as one vector."""
    u, s, vt = np.linalg.svd(W)
    q = [vt.T, *frames, u]
    return np.concatenate([((q[p + 1] * s ** (1.0 / depth)) @ q[p].T).ravel() for p in range(depth)])


def element(point: object, x: np.ndarray, h: float = 1e-5) -> float:
    """Volume element of an embedding at x by central differences."""
    rows = [(point(x + h * e) - point(x - h * e)) / (2 * h) for e in np.eye(len(x))]  # type: ignore[operator]
    return math.sqrt(np.linalg.det(np.array(rows) @ np.array(rows).T))


def group_volume(d: int) -> float:
    """Volume of O(d) in its matrices, d = 2 or 3, by quadrature."""
    if d == 2:
        return 2 * 2 * math.pi * element(lambda x: turn(2, 0, 1, x[0]).ravel(), np.array([0.3]))

    def euler(x: np.ndarray) -> np.ndarray:
        return (turn(3, 0, 1, x[0]) @ turn(3, 1, 2, x[1]) @ turn(3, 0, 1, x[2])).ravel()

    nodes, weights = np.polynomial.legendre.leggauss(20)
    middle = sum(
        w * element(euler, np.array([0.4, 0.5 * math.pi * (1 + t), 1.1])) for t, w in zip(nodes, weights, strict=True)
    )
    return 2 * (2 * math.pi) ** 2 * 0.5 * math.pi * middle


def orbit_volume(W: np.ndarray, depth: int) -> float:
    """Volume of the balanced networks over W (2 x 2) by the trapezoid rule, over 2^(N-1) components."""

    def embed(x: np.ndarray) -> np.ndarray:
        return network(W, depth, [turn(2, 0, 1, a) for a in x])

    grid = np.linspace(0, 2 * math.pi, 7, endpoint=False)
    points = np.stack(np.meshgrid(*[grid] * (depth - 1), indexing="ij"), axis=-1).reshape(-1, depth - 1)
    return float(np.mean([element(embed, x) for x in points])) * (4 * math.pi) ** (depth - 1)


def density(W: np.ndarray, depth: int, rng: np.random.Generator) -> float:
    """Volume element of the orbit at a random point, over that of the group with the metric of its matrices."""
    d = len(W)
    frames = [np.linalg.qr(rng.standard_normal((d, d)))[0] for _ in range(depth - 1)]
    pairs = [(p, i, j) for p in range(depth - 1) for i in range(d) for j in range(i)]

    def embed(x: np.ndarray) -> np.ndarray:
        moved = list(frames)
        for (p, i, j), a in zip(pairs, x, strict=True):
            moved[p] = moved[p] @ turn(d, i, j, a / math.sqrt(2))  # an angle has speed sqrt(2) in the matrices
        return network(W, depth, moved)

    return element(embed, np.zeros(len(pairs)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    groups = {d: group_volume(d) for d in (2, 3)}
    off = [abs(math.log(groups[d]) - pf.dln.log_orthogonal_volume(d)) for d in (2, 3)]
    print(f"volumes of O(2), O(3): {groups[2]:.9g}, {groups[3]:.9g}; off by {max(off):.1e} in the logarithm")
    worst = {"orbit by quadrature, d = 2": 0.0, "density times group, d = 3": 0.0, "gradient by differences": 0.0}
    unseen = {"half a logarithm left out": 0, "normalised Haar measure": 0, "SO in place of O": 0}
    for i in range(args.count):
        d, depth = 2 + i % 2, int(rng.integers(2, 5 if i % 2 == 0 else 4))
        W = rng.standard_normal((d, d))
        if i % 5 == 0:  # singular values that meet
            W = W[0, 0] * np.linalg.qr(W)[0]
        found = float(pf.dln.entropy(W, depth))
        truth = (
            math.log(orbit_volume(W, depth))
            if d == 2
            else (depth - 1) * math.log(groups[3]) + math.log(density(W, depth, rng))
        )
        key = "orbit by quadrature, d = 2" if d == 2 else "density times group, d = 3"
        worst[key] = max(worst[key], abs(found - truth))
        constant = (depth - 1) * pf.dln.log_orthogonal_volume(d)
        unseen["half a logarithm left out"] += abs(constant + 2 * (found - constant) - truth) < 1e-3
        unseen["normalised Haar measure"] += abs(found - constant - truth) < 1e-3
        unseen["SO in place of O"] += abs(found - (depth - 1) * math.log(2) - truth) < 1e-3
        Z, h = rng.standard_normal((d, d)) * np.linalg.svd(W)[1][-1], 1e-4

        def volume(t: float, W: np.ndarray = W, Z: np.ndarray = Z, depth: int = depth) -> float:
            return math.log(density(W + t * Z, depth, np.random.default_rng(5)))

        slope = (volume(h) - volume(-h)) / (2 * h)
        inner = pf.dln.metric(W, depth).inner(pf.dln.entropy_gradient(W, depth), Z)
        worst["gradient by differences"] = max(worst["gradient by differences"], abs(float(inner) - slope))
    for name, value in worst.items():
        print(f"{name}: off by at most {value:.1e}")
    print(f"variants not told apart (of {args.count}): {unseen}")


if __name__ == "__main__":
    main()
