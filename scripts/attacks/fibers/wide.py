"""Attack on the fibers of wide and deep networks.

Random and planted networks with two hidden layers: the dimension that the named moves of consecutive layers add up to, against the
functional dimension over all regions, whose rank is taken again in floating point by complex steps where the network is small. Points drawn from a
component, and the lowered entries one by one, are compared with the network in rationals at vertices and far out. Deep
relatives of the non-local example must be called not identifiable, and a move between their last layers shows why.
Constant networks, whose whole fiber is sized: all small integer parameters of one hidden layer are tried, and those of a
constant counted; random ones are compared with the types of the whole fiber, and with the rank at a sample.

    python scripts/attacks/fibers/wide.py --networks 500 --planted 200 --deep 60 --constants 200 --seed 0
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

import numpy as np

import polyfiber as pf
from polyfiber.errors import PolyfiberError
from polyfiber.fibers.examples import nonlocal_partner
from polyfiber.fibers.image.answer import beyond_theorem
from polyfiber.fibers.image.local import local_structure
from polyfiber.fibers.image.relatives import ROLES, nonlocal_relative, planted
from polyfiber.fibers.whole.assignments import shallow_fiber
from polyfiber.numerics.exact import as_fractions

COUNTED = ((1, 1, 1), (2, 1, 1), (1, 1, 2), (3, 1, 1), (1, 1, 3), (2, 1, 3), (1, 2, 1), (2, 2, 1), (1, 2, 2))
"""Inputs, neurons and outputs of one hidden layer, all of whose small integer parameters are tried."""


def float_nullity(net: pf.ReLUNetwork, masks: np.ndarray) -> int:
    """Parameters minus the rank of the Jacobians of all affine pieces, by complex steps and singular values."""
    shapes = [p.shape for pair in zip(net.weights, net.biases) for p in pair]
    theta = np.concatenate([p.ravel() for pair in zip(net.weights, net.biases) for p in pair])
    P, n0 = len(theta), net.architecture[0]
    step = np.tile(theta.astype(complex), (P, 1))
    step[np.arange(P), np.arange(P)] += 1e-30j
    parts, position = [], 0
    for shape in shapes:
        size = int(np.prod(shape))
        parts.append(step[:, position : position + size].reshape(P, *shape))
        position += size
    rows = []
    for mask in masks:
        A = np.tile(np.eye(n0, n0 + 1, dtype=complex), (P, 1, 1))
        start = 0
        for l in range(len(net.weights)):
            A = parts[2 * l] @ A
            A[:, :, n0] += parts[2 * l + 1]
            if l < len(net.weights) - 1:
                A = A * mask[start : start + A.shape[1]][None, :, None]
                start += A.shape[1]
        rows.append(A.reshape(P, -1).imag.T / 1e-30)
    J = np.concatenate(rows)
    J = J / np.maximum(np.linalg.norm(J, axis=1, keepdims=True), 1e-300)
    values = np.linalg.svd(J.T @ J, compute_uv=False) ** 0.5
    return P - int((values > 1e-7 * values[0]).sum())


def same(a: pf.ReLUNetwork, b: pf.ReLUNetwork, points: np.ndarray) -> bool:
    """Whether two networks agree at points, exactly: in rationals."""
    x = as_fractions(points)
    return bool((a.exact()(x) == b.exact()(x)).all())


def one(net: pf.ReLUNetwork, rng: np.random.Generator, tally: Counter[str]) -> None:
    cx = pf.canonical_complex(net)
    found = local_structure(net, complex=cx)
    tally["networks"] += 1
    tally["rigid"] += found.is_rigid
    exact = pf.local_fiber(net, regions=cx).dimension
    tally["upper wrong"] += exact != found.upper
    if not found.is_rigid and found.explained is False:
        tally["disagree"] += 1
        print(
            "named",
            found.found,
            "exact",
            exact,
            net.architecture,
            found.directions and found.directions.counts_by_kind(),
        )
    if found.activity.generic and net.n_parameters <= 60 and len(found.activity.masks) <= 400:
        tally["float ranks"] += 1
        scalings = found.upper - (net.n_parameters - pf.functional_dimension(net, regions=cx))
        off = float_nullity(net, found.activity.masks) + scalings != found.upper
        tally["float rank differs"] += off
    answer = beyond_theorem(net, complex=cx)
    if answer.part is not None:
        x = np.concatenate([cx.vertices, rng.standard_normal((8, net.architecture[0])) * 1e3])[:40]
        for _ in range(2):
            tally["points"] += 1
            tally["points wrong"] += not same(net, answer.part.sample(rng=rng), x)


def deep(seed: int, rng: np.random.Generator, tally: Counter[str]) -> None:
    net = nonlocal_relative(rng=seed)
    report = pf.classify_fiber(net)
    tally["deep"] += 1
    tally["deep wrong"] += report.identifiable is not False
    other = nonlocal_partner(net, rng=seed) if len(net.weights) == 4 and net.architecture[3] <= 3 else None
    if other is not None:
        x = rng.standard_normal((50, net.architecture[0])) * 5
        if np.abs(net(x) - other(x)).max() < 1e-9:
            tally["deep partners"] += 1
    if report.beyond is not None and report.beyond.local is not None:
        tally["deep exact"] += report.dimension is not None
        tally["deep unexplained"] += report.beyond.local.explained is False


def constants_counted(n: int, width: int, m: int, side: int = 5) -> int:
    """How many rows, biases and outgoing weights among so many integers around 0 make a constant, whatever the last bias."""
    values = np.arange(side) - side // 2
    one = np.stack(np.meshgrid(*[values] * (n + 1 + m), indexing="ij"), axis=-1).reshape(-1, n + 1 + m)
    x = np.random.default_rng(0).standard_normal((40, n)) * np.repeat([2, 5, 100, 1000], 10)[:, None]
    made = np.maximum(one[:, :n] @ x.T + one[:, n : n + 1], 0)[:, None, :] * one[:, n + 1 :, None]
    added = made.reshape(len(one), -1)
    added = added - np.repeat(made[:, :, :1], len(x), axis=2).reshape(len(one), -1)  # 0 where constant
    if width == 1:
        return int((np.abs(added).max(axis=1) < 1e-9).sum())
    return sum(int((np.abs(added + other).max(axis=1) < 1e-9).sum()) for other in added)


def constant_network(widths: tuple[int, ...], rng: np.random.Generator) -> pf.ReLUNetwork:
    """A constant: a layer is not read, has no rows, is dead, or copies cancel."""
    pairs = list(zip(widths, widths[1:]))
    weights = [rng.integers(-3, 4, (after, before)).astype(float) for before, after in pairs]
    biases = [rng.integers(-3, 4, after).astype(float) for _, after in pairs]
    layer = int(rng.integers(1, len(pairs)))
    how = rng.choice(["unread", "rowless", "cancelling", "dead"])
    if how == "cancelling" and widths[-2] > 1:
        weights[-1][:] = 0
        weights[-2][1], biases[-2][1] = weights[-2][0], biases[-2][0]
        weights[-1][:, 0] = rng.integers(1, 4, widths[-1])
        weights[-1][:, 1] = -weights[-1][:, 0]
    elif how == "dead" and layer > 1:
        weights[layer - 1], biases[layer - 1] = -np.abs(weights[layer - 1]), -np.abs(biases[layer - 1])
    else:
        weights[layer if how == "unread" else layer - 1][:] = 0
    return pf.ReLUNetwork(weights, biases)


def constant(rng: np.random.Generator, tally: Counter[str]) -> None:
    depth = int(rng.integers(1, 4))
    widths = tuple(int(v) for v in rng.integers(1, 4, depth + 2))
    net = constant_network(widths, rng)
    report = pf.classify_fiber(net)
    tally["constants"] += 1
    if report.kind != "constant":
        tally["constants of another kind"] += 1
        return
    if depth == 1:
        right = report.dimension == shallow_fiber(net).dimension
    else:
        right = report.raw_dimension == net.n_parameters - widths[-1]  # nothing but the last bias is bound, at most
    tally["constant sizes wrong"] += not right
    other = report.sample(1, rng=rng)[0]
    x = rng.standard_normal((30, widths[0])) * 1e3
    tally["constant samples wrong"] += not same(net, other, x)
    if depth > 1 or widths[0] >= widths[-1]:  # neurons without rows may move to first order, and the function bends
        tally["constant ranks"] += 1
        tally["constant ranks differ"] += pf.local_fiber(other).dimension != report.dimension


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=300)
    parser.add_argument("--planted", type=int, default=200)
    parser.add_argument("--deep", type=int, default=60)
    parser.add_argument("--constants", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=1e9)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    tally: Counter[str] = Counter()
    begun = time.monotonic()
    for k in range(args.networks + args.planted):
        if time.monotonic() - begun > args.seconds:
            break
        n0 = int(rng.integers(1, 4))
        n1 = int(rng.integers(max(2, n0), 3 * n0 + 1))
        widths = (n0, n1, int(rng.integers(1, 5)), int(rng.integers(1, 3)))
        try:
            if k < args.networks:
                net = pf.ReLUNetwork.random(widths, rng=rng)
            else:
                count = int(rng.integers(1, widths[2] + 1))
                net = planted(widths, [ROLES[int(rng.integers(4))]] * count, rng=rng)
                tally["planted"] += 1
            one(net, rng, tally)
        except PolyfiberError as error:
            tally["errors"] += 1
            print(widths, error)
    for seed in range(args.deep):
        if time.monotonic() - begun > args.seconds:
            break
        deep(args.seed * 1000 + seed, rng, tally)
    for _ in range(args.constants):
        if time.monotonic() - begun > args.seconds:
            break
        constant(rng, tally)
    for n, width, m in COUNTED if args.constants else ():
        size = width * (1 + max(n, m))
        tally["counts"] += 1
        tally["counts wrong"] += not 5**size <= constants_counted(n, width, m) < 5 ** (size + 1)
    print(", ".join(f"{v} {k}" for k, v in tally.items()))


if __name__ == "__main__":
    main()
