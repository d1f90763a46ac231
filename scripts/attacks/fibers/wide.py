"""Attack on the fibers of wide and deep networks.

Random and planted networks with two hidden layers: the dimension that the named moves of consecutive layers add up to, against the
functional dimension over all regions, whose rank is taken again in floating point by complex steps where the network is small. Points drawn from a
component, and the lowered entries one by one, are compared with the network in rationals at vertices and far out. Deep
relatives of the non-local example must be called not identifiable, and a move between their last layers shows why.
Constant networks, whose whole fiber is sized: all small integer parameters of one hidden layer are tried, and those of a
constant counted; random ones are compared with the types of the whole fiber, and with the rank at a sample.
Networks of small integers whose neurons, inputs and outputs are scaled by powers of two from 2^-500 to 2^500, and terms
made small beside others: with one hidden layer the subsets of neurons that can be flipped are tried in rationals here,
with two the answer of the unscaled network stands; samples and minimized networks are evaluated in rationals here.

    python scripts/attacks/fibers/wide.py --networks 500 --planted 200 --deep 60 --constants 200 --scaled 400 --seed 0
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np

import polyfiber as pf
from polyfiber.errors import InputError, PolyfiberError
from polyfiber.fibers.batch.classify_many import label_fibers
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


def integers(widths: tuple[int, ...], rng: np.random.Generator) -> pf.ReLUNetwork:
    """Small integers, with a flip, a copy, a cancelling pair, or a neuron that is not needed, in half of them."""
    pairs = list(zip(widths, widths[1:]))
    weights = [rng.integers(-9, 10, (after, before)).astype(float) for before, after in pairs]
    biases = [rng.integers(-9, 10, after).astype(float) for _, after in pairs]
    (W, C), b, how = weights[-2:], biases[-2], rng.integers(8)
    if how == 0 and widths[-2] > 1:  # neurons 0 and 1 can be flipped together
        W[1], C[:, 0] = -W[0], C[:, 1]
    elif how == 1 and widths[-2] > 2:  # three of them
        W[2], C[:, 0], C[:, 1] = -W[0] - W[1], C[:, 2], C[:, 2]
    elif how in (2, 3) and widths[-2] > 1:
        W[1], b[1] = 2 * W[0], 2 * b[0]
        C[:, 1] = C[:, 1] if how == 2 else -C[:, 0] / 2
    elif how == 4:
        C[:, 0] = 0
    return pf.ReLUNetwork(weights, biases)


def scaled(net: pf.ReLUNetwork, rng: np.random.Generator) -> tuple[pf.ReLUNetwork, bool]:
    """Neurons, inputs and outputs times powers of two; whether nothing else was changed."""
    weights, biases = [w.copy() for w in net.weights], [b.copy() for b in net.biases]
    most = int(rng.choice([0, 20, 60, 300, 500]))
    before = rng.integers(-most, most + 1) + rng.integers(-1, 2, weights[0].shape[1]) * int(rng.choice([0, 0, 30, 200]))
    same = True
    for l, (W, b) in enumerate(zip(weights, biases)):
        after = rng.integers(-most, most + 1) + rng.integers(-1, 2, len(W)) * int(rng.choice([0, 0, 30, 200]))
        with np.errstate(all="ignore"):
            weights[l], biases[l] = np.ldexp(W, after[:, None] - before), np.ldexp(b, after)
            if np.isinf(weights[l]).any() or np.isinf(biases[l]).any():
                return scaled(net, rng)
            same &= bool((np.ldexp(weights[l], before - after[:, None]) == W).all())
            same &= bool((np.ldexp(biases[l], -after) == b).all())
        before = after
    if rng.random() < 0.4:  # a column or a row beside which the others are large
        l = int(rng.integers(len(weights)))
        W, small = weights[l], 2.0 ** -int(rng.choice([15, 30, 45, 70, 300]))
        if rng.random() < 0.5:
            W[:, rng.integers(W.shape[1])] *= small
        else:
            W[rng.integers(len(W))] *= small
        same = False
    return pf.ReLUNetwork(weights, biases), same


def values(net: pf.ReLUNetwork, x: list[Fraction]) -> tuple[list[Fraction], list[Fraction]]:
    """Outputs at a point, and what their rounding is relative to: their terms, and a little of those of neurons off."""
    y, size = x, [abs(v) for v in x]
    for l, (W, b) in enumerate(zip(net.weights, net.biases)):
        rows = [[Fraction(v) for v in row] for row in W]
        z = [sum((w * v for w, v in zip(row, y)), Fraction(c)) for row, c in zip(rows, b)]
        size = [sum((abs(w) * v for w, v in zip(row, size)), abs(Fraction(c))) for row, c in zip(rows, b)]
        y = z if l == len(net.weights) - 1 else [max(v, Fraction(0)) for v in z]
        if l < len(net.weights) - 1:
            size = [s if v > -s / 10**9 else s / 10**4 for s, v in zip(size, z)]
    return y, size


def agree(a: pf.ReLUNetwork, b: pf.ReLUNetwork, rng: np.random.Generator) -> bool:
    """Whether values are equal on both sides of every wall of layer 1: in rationals exactly, floats to rounding."""
    for w, c in zip(a.weights[0], a.biases[0]):
        top = [max((abs(Fraction(v)) for v in column), default=Fraction(0)) or Fraction(1) for column in a.weights[0].T]
        for _ in range(2):
            d = [Fraction(int(k)) / t for k, t in zip(rng.integers(-99, 100, len(top)), top)]
            slope = sum((Fraction(v) * k for v, k in zip(w, d)), Fraction(0))
            wall = -Fraction(c) / slope if slope and c else Fraction(1)
            for share in (-1, Fraction(1, 2), Fraction(3, 2), 50):
                x = [share * wall * k for k in d]
                (f, terms), (g, others) = values(a, x), values(b, x)
                slack = 0 if b.is_exact else Fraction(1, 10**9)
                if any(abs(p - q) > slack * max(s, t) for p, q, s, t in zip(f, g, terms, others)):
                    return False
    return True


def flips(net: pf.ReLUNetwork) -> tuple[int, int, bool]:
    """Of one hidden layer: visible hyperplanes, sets of neurons whose flips cancel (the empty one too), whether constant."""
    rows = [[*map(Fraction, w), Fraction(c)] for w, c in zip(net.weights[0], net.biases[0])]
    outs = [list(map(Fraction, c)) for c in net.weights[1].T]
    bends: dict[tuple[Fraction, ...], list[Fraction]] = {}
    slopes = []
    for row, out in zip(rows, outs):
        lead = next((v for v in row[:-1] if v), Fraction(0))
        slopes.append([v * c for v in row[:-1] for c in out])
        if lead:
            key = tuple(v / lead for v in row)
            bends[key] = [p + abs(lead) * q for p, q in zip(bends.get(key, [Fraction(0)] * len(out)), out)]
    count = 0
    for size in range(len(rows) + 1):
        for chosen in combinations(slopes, size):
            count += all(not sum(entry) for entry in zip(*chosen))
    seen = sum(any(jump) for jump in bends.values())
    total = [Fraction(0)] * len(slopes[0])  # with no bend left, the slope far out on one side
    for row, slope in zip(rows, slopes):
        if next((v for v in row[:-1] if v), 0) > 0:
            total = [p + q for p, q in zip(total, slope)]
    return seen, count, not seen and not any(total)


def extreme(rng: np.random.Generator, tally: Counter[str]) -> None:
    depth = 1 if rng.random() < 0.6 else 2
    n0, n1, last = int(rng.integers(1, 4)), int(rng.integers(1, 5)), int(rng.integers(1, 3))
    widths = (n0, n1, last) if depth == 1 else (max(n0, n1), n1, int(rng.integers(1, 4)), last)
    base = integers(widths, rng)
    net, equal = scaled(base, rng)
    wrong: list[Any] = []
    tally["scaled"] += 1
    try:
        report = pf.classify_fiber(net)
    except PolyfiberError as error:
        tally["scaled wrong"] += 1
        print("WRONG", error)
        return
    tally["scaled undecided"] += report.kind == "undecided"
    if depth == 1:
        seen, count, flat = flips(net)
        truth: Any = not flat and seen == n1 and count == 1
        if report.complete and report.kind in ("layerwise", "identifiable"):
            found = sum(1 for _ in report.components())
            wrong += ["components"] if found != count else []
        wrong += ["constant"] if (report.kind == "constant") > flat else []
    else:
        truth = pf.classify_fiber(base.exact()).identifiable if equal else None
        table = label_fibers(pf.NetworkBatch.stack([net]))
        label = None if table.identifiable[0] < 0 else bool(table.identifiable[0])
        wrong += ["label"] if None not in (truth, label) and truth != label else []
    wrong += ["identifiable"] if None not in (truth, report.identifiable) and truth != report.identifiable else []
    if report.kind != "undecided":
        try:
            drawn = report.sample(2, rng=rng)
        except PolyfiberError:
            drawn = []
        tally["scaled samples"] += len(drawn)
        wrong += ["sample"] if not all(agree(net, other, rng) for other in drawn) else []
    try:
        smaller = pf.minimize(net)
        tally["scaled minimized"] += smaller.saved_neurons > 0
        wrong += ["minimize"] if not agree(net, smaller.network, rng) else []
    except InputError:
        tally["scaled beyond floats"] += 1
    tally["scaled wrong"] += bool(wrong)
    if wrong:
        print("WRONG", wrong, report, [w.tolist() for w in net.weights], [b.tolist() for b in net.biases], flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=300)
    parser.add_argument("--planted", type=int, default=200)
    parser.add_argument("--deep", type=int, default=60)
    parser.add_argument("--constants", type=int, default=200)
    parser.add_argument("--scaled", type=int, default=200)
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
    for _ in range(args.scaled):
        if time.monotonic() - begun > args.seconds:
            break
        extreme(rng, tally)
    for n, width, m in COUNTED if args.constants else ():
        size = width * (1 + max(n, m))
        tally["counts"] += 1
        tally["counts wrong"] += not 5**size <= constants_counted(n, width, m) < 5 ** (size + 1)
    print(", ".join(f"{v} {k}" for k, v in tally.items()))


if __name__ == "__main__":
    main()
