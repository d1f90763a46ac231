"""Attack on learning coefficients: volumes of nearly equal weights by Monte Carlo.

The claim: vol{ weights in [-1, 1]^D : every entry of |W_L ... W_1| < e } is e^(2 lambda) times a polynomial of degree
theta - 1 in log(1/e), up to higher powers of e. So on a geometric grid of scales the (theta - 1)-th differences of
vol / e^(2 lambda) are a positive constant and the theta-th vanish; with an exponent that is off by 1/2 either way, or a
theta that is off by one, it is not so. The largest entry of each layer is drawn log-uniformly and weighted, the others
uniformly below it; errors are those of independent batches.

    python scripts/attacks/linear/volumes.py --samples 400000 --batches 20 --seed 0
"""

from __future__ import annotations

import argparse

import numpy as np

import polyfiber as pf

FIBERS = [((1, 1, 1), 1e-6, 1e-2), ((1, 1, 1, 1), 1e-6, 1e-2), ((2, 1, 2), 1e-5, 1e-2), ((1, 2, 1), 1e-4, 3e-2)]
"""Widths (the product is 0), and the ends of the scales."""


def layers(a: int, b: int, reach: float, samples: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Matrices (samples, b, a) with entries in [-1, 1], and their weights against the uniform law."""
    size = a * b
    top = np.exp(-reach * rng.random(samples))
    w = rng.uniform(-1.0, 1.0, (samples, size))
    w[np.arange(samples), rng.integers(0, size, samples)] = rng.choice([-1.0, 1.0], samples)
    # the largest of `size` uniform entries has distribution function t^size, density in log t of size t^size
    return (top[:, None] * w).reshape(samples, b, a), reach * size * top**size


def volumes(
    widths: tuple[int, ...], scales: np.ndarray, twice: float, samples: int, rng: np.random.Generator
) -> np.ndarray:
    """Share of the cube where the product is smaller than each scale, one batch."""

    def reach(size: int) -> float:  # what lies below is e^-5 of the smallest volume
        return (twice * float(np.log(1.0 / scales.min())) + 5.0) / size

    product, weight = layers(widths[0], widths[1], reach(widths[0] * widths[1]), samples, rng)
    for a, b in zip(widths[1:], widths[2:]):
        w, more = layers(a, b, reach(a * b), samples, rng)
        product, weight = w @ product, weight * more
    largest = np.abs(product).max(axis=(1, 2))
    return np.array([weight[largest < e].sum() for e in scales]) / samples


def differences(p: np.ndarray, scales: np.ndarray, exponent: float, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Differences of this order of p / scale^exponent, means over batches (B, S), and their standard errors."""
    d = np.diff(p / scales**exponent, n=order, axis=1)
    return d.mean(axis=0), d.std(axis=0, ddof=1) / np.sqrt(len(d))


def fits(p: np.ndarray, scales: np.ndarray, exponent: float, theta: int) -> bool:
    """Whether the leading differences are positive and the next ones vanish, within errors and 5 per cent."""
    lead, lead_error = differences(p, scales, exponent, theta - 1)
    rest, rest_error = differences(p, scales, exponent, theta)
    return bool((lead > 5 * lead_error).any() and (np.abs(rest) < 3.5 * rest_error + 0.05 * lead.mean()).all())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=400_000)
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    wrong = 0
    for widths, least, most in FIBERS:
        claim = pf.linear.learning_coefficient(widths, 0)
        twice, theta = 2 * float(claim.coefficient), claim.multiplicity
        scales = np.geomspace(most, least, max(4, theta + 3))
        p = np.array([volumes(widths, scales, twice, args.samples, rng) for _ in range(args.batches)])
        others = (
            [(twice + off, theta) for off in (-0.5, 0.5)] + [(twice, theta + 1)] + [(twice, theta - 1)] * (theta > 1)
        )
        refused = sum(not fits(p, scales, *other) for other in others)
        wrong += not fits(p, scales, twice, theta) or refused < len(others)
        shown = [
            ", ".join(f"{v:.3f}±{e:.3f}" for v, e in zip(*differences(p, scales, twice, order), strict=True))
            for order in (theta - 1, theta)
        ]
        print(
            f"{widths}: 2 lambda = {twice:g}, theta = {theta}; differences of order {theta - 1}: {shown[0]}; of order {theta}: ",
            end="",
        )
        print(f"{shown[1]}; {refused} of {len(others)} other claims refused")
    print(f"{len(FIBERS)} fibers, {wrong} wrong")


if __name__ == "__main__":
    main()
