"""Attack the classes of batches: planted classes of equal networks, and near misses that must stay apart.

    python scripts/attacks/equivalence/batches.py [--networks 10000] [--seconds 0] [--seed 0] [--mixed] [--json FILE]

A batch is built from rational base networks of 9 families and 6 kinds of weights (pruned, integer, quantised and others). Every base
gives one planted class: copies by permutations, scalings by ratios k/l, translations and flips of hidden walls, numbers
written into units that nothing reads, all exact and rounded once at the end. Beside it stand its near misses, each a class of its own: a
pyramid that only a small cell shows, one parameter changed, an output shifted. Their exact gap, relative to
what the function reaches there, is at least 1e3 of the tolerance, or they are left out (`pairs.py` says how it is measured). ``--mixed``
rewrites members with all operators, so that architectures differ within a class (a list instead of a `NetworkBatch`). That can write a function with terms
which are far larger than its values, and then moved parameters explain more than for the base: networks that are joined with another class are measured
against its first as they are, and only a gap of at least 1e3 of the tolerance counts as merged wrongly; the others are counted as grey.

Wrong: two labels equal for different functions ("merged"), or different for equal ones ("split") where the pair is not listed as undecided.
The truth is the construction; no code of the library decides it. Ends with 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import polyfiber as pf
from polyfiber.equivalence.collections.classes import group_networks
from polyfiber.testing import near_misses, rewritings
from scripts.attacks.equivalence.pairs import TOLERANCE, inputs, residual

KEEPING = (rewritings.permute, rewritings.rescale, rewritings.translate, rewritings.flip)


def unread_changed(net: pf.ReLUNetwork, rng: np.random.Generator) -> pf.ReLUNetwork:
    """Random numbers in units of a hidden layer that no output reads."""
    W, b = [w.copy() for w in net.weights], [v.copy() for v in net.biases]
    for l in range(len(W) - 1):
        unread = np.flatnonzero((W[l + 1] == 0).all(axis=0))
        for i in unread[rng.random(len(unread)) < 0.7]:
            W[l][i] = [Fraction(int(v), 4) for v in rng.integers(-8, 9, W[l].shape[1])]
            b[l][i] = Fraction(int(rng.integers(-8, 9)), 4)
    return pf.ReLUNetwork(W, b)


def copy(net: pf.ReLUNetwork, rng: np.random.Generator, mixed: bool) -> pf.ReLUNetwork:
    """The same function by exact moves that keep the architecture, or by any."""
    if mixed:
        return rewritings.rewritten(net, rng, steps=int(rng.integers(0, 5)), hidden=28)[0]
    net = unread_changed(net, rng)
    for _ in range(int(rng.integers(0, 5))):
        net = KEEPING[int(rng.integers(len(KEEPING)))](net, rng) or net
    return net


def without_last_column(net: pf.ReLUNetwork) -> pf.ReLUNetwork:
    """The network with its last hidden unit unread: a base again, with room for what was added."""
    W = [w.copy() for w in net.weights]
    W[-1][:, -1] = Fraction(0)
    return pf.ReLUNetwork(W, net.biases)


def planted(
    rng: np.random.Generator, members: int, mixed: bool
) -> tuple[pf.ReLUNetwork, list[tuple[pf.ReLUNetwork, int]], np.ndarray]:
    """A base, networks with the number of the function that each computes, and inputs (k, n0) where these differ."""
    family = near_misses.FAMILIES[int(rng.integers(len(near_misses.FAMILIES)))]
    weights = near_misses.WEIGHTS[int(rng.integers(len(near_misses.WEIGHTS)))]
    base = near_misses.base_network(family, weights, rng)
    bumped = near_misses.pyramid(base, rng)
    base = without_last_column(bumped.network)
    functions, places = [base], [bumped.where]
    for change in (
        lambda: bumped,
        lambda: near_misses.one_parameter(base, rng),
        lambda: near_misses.constant_shift(base, rng),
    ):
        miss = change()
        X = inputs(base.architecture[0], miss.where, rng, None)
        if all(residual(f, miss.network, X)[0] >= 1e3 * TOLERANCE for f in functions):
            functions.append(miss.network)
            places.append(miss.where)
    found = []
    for _ in range(members):
        number = 0 if rng.random() < 0.5 else int(rng.integers(len(functions)))
        found.append((copy(functions[number], rng, mixed), number))
    n = base.architecture[0]
    return base, found, np.array([np.asarray(p).astype(np.float64) for p in places if p is not None]).reshape(-1, n)


def batch(seed: int, size: int, mixed: bool) -> tuple[list[pf.ReLUNetwork], np.ndarray, dict[int, np.ndarray]]:
    """Shuffled networks with the number of their class, and inputs (k, n0) where each class is known to differ; bases whose functions agree at many inputs count once."""
    rng = np.random.default_rng(seed)
    nets: list[pf.ReLUNetwork] = []
    truth: list[tuple[int, int]] = []
    seen: set[Any] = set()
    shown: dict[int, np.ndarray] = {}
    base = 0
    while len(nets) < size:
        first, some, where = planted(rng, int(rng.integers(2, 16)), mixed)
        X = np.random.default_rng(5).standard_normal((40, first.architecture[0])) * 3
        shape = (first.architecture[0], first.architecture[-1])
        key = (shape, (np.round(first.rounded()(X), 6) + 0.0).tobytes())  # no negative zeros
        if key not in seen:  # pruned bases may be the same constant
            seen.add(key)
            nets += [net.rounded() for net, _ in some]
            truth += [(base, number) for _, number in some]
            shown[base] = where
            base += 1
    numbers = {key: i for i, key in enumerate(dict.fromkeys(truth))}
    order = rng.permutation(len(nets))
    places = {i: shown[key[0]] for key, i in numbers.items()}
    return [nets[i] for i in order], np.array([numbers[truth[i]] for i in order]), places


def compare(
    labels: np.ndarray, truth: np.ndarray, undecided: set[tuple[int, int]], apart: Callable[[int, int], float]
) -> tuple[int, int, int, int]:
    """Networks merged wrongly, split wrongly, kept apart because undecided, and merged in the grey zone; ``apart`` is the residual of two."""
    merged = split = kept = grey = 0
    groups: dict[int, list[int]] = defaultdict(list)
    for i, label in enumerate(labels):
        groups[int(label)].append(i)
    labels = labels.copy()
    for group in groups.values():
        for i in group:
            if truth[i] != truth[group[0]]:
                wrong = apart(group[0], i) >= 1e3 * TOLERANCE
                merged, grey = merged + wrong, grey + (not wrong)
                if not wrong:
                    labels[i] = -1
    open_truths = {frozenset((int(labels[i]), int(labels[j]))) for i, j in undecided}
    by_truth: dict[int, set[int]] = defaultdict(set)
    for label, t in zip(labels, truth):
        if label >= 0:
            by_truth[int(t)].add(int(label))
    for found in by_truth.values():
        for pair in itertools.combinations(sorted(found), 2):
            if frozenset(pair) in open_truths:
                kept += 1
            else:
                split += 1
    return int(merged), int(split), int(kept), int(grey)


def residual_of(nets: list[pf.ReLUNetwork], places: list[np.ndarray], i: int, j: int) -> float:
    """Residual of two networks as they are, at many inputs and where their classes differ from others."""
    X = inputs(nets[i].architecture[0], None, np.random.default_rng(0), None)
    return residual(nets[i].exact(), nets[j].exact(), np.concatenate([X, places[i], places[j]]))[0]


def main() -> None:
    """Run the attack and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=2000, help="networks that are grouped at once")
    parser.add_argument("--seconds", type=float, default=0.0, help="stop after so many; 0: never")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mixed", action="store_true")
    parser.add_argument("--json", default=None)
    options = parser.parse_args()
    started, done, number = time.monotonic(), 0, 0
    totals = np.zeros(4, dtype=int)
    near = classes = 0
    spent = 0.0
    while done < options.networks and not 0 < options.seconds < time.monotonic() - started:
        nets, truth, places = batch(options.seed * 10**6 + number, min(options.size, options.networks), options.mixed)
        number += 1
        by_shape: dict[Any, list[int]] = defaultdict(list)
        for i, net in enumerate(nets):
            key = (net.architecture[0], net.architecture[-1]) if options.mixed else net.architecture
            by_shape[key].append(i)
        for members in by_shape.values():
            some = [nets[i] for i in members]
            given: Any = some
            if not options.mixed:
                layers = range(len(some[0].weights))
                given = pf.NetworkBatch(
                    [np.stack([n.weights[l] for n in some]) for l in layers],
                    [np.stack([n.biases[l] for n in some]) for l in layers],
                )
            before = time.process_time()
            found = group_networks(given, tolerance=TOLERANCE, workers=1)
            spent += time.process_time() - before
            apart = functools.partial(residual_of, some, [places[truth[i]] for i in members])
            row = compare(found.labels, truth[members], set(found.undecided), apart)
            totals += row
            classes += found.n_classes
            if row[0] or row[1]:
                print(
                    "WRONG",
                    json.dumps({"batch": number - 1, "architecture": some[0].architecture, "row": row}),
                    flush=True,
                )
        done += len(nets)
        near += len(np.unique(truth))
        if options.json:
            with open(options.json, "a", encoding="utf-8") as out:
                print(
                    json.dumps({"networks": done, "totals": totals.tolist(), "planted": near, "seconds": spent}),
                    file=out,
                )
    print(f"{done} networks, {near} planted classes, {classes} found: {totals[0]} merged wrongly, {totals[1]} split wrongly, "
          f"{totals[2]} kept apart undecided, {totals[3]} joined in the grey zone; {spent:.1f} s of CPU time for grouping")  # fmt: skip
    sys.exit(bool(totals[:2].any()))


if __name__ == "__main__":
    main()
