"""The strata that a deep linear network visits while it learns to read digits.

    python scripts/training/linear_strata.py [--widths 64,24,16,10] [--steps 10000] [--level 0.3] [--out strata_run]

Data: scikit-learn's digits (1797 images of 8 x 8 pixels), pixels centred, targets one-hot and centred. The
network W_L ... W_1 is trained by full-batch gradient descent on squared error from a small start, where ranks
grow one at a time. At every recorded step the ranks of all products are read at a strength per layer
(polyfiber.linear.effective_ranks); the reading names the stratum whose neighbourhood the weights pass through.
It is a reading and not a decision, so it is checked: the weights are snapped to that stratum and the relative
distance is reported; a reading that no weights can have is reported as none.

Writes OUT.csv (a row per recorded step) and OUT.png (effective ranks over time); prints the strata in order.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

import polyfiber as pf
from polyfiber.errors import NumericalError
from polyfiber.linear.strata import stratum_of


def data() -> tuple[np.ndarray, np.ndarray, float]:
    """Second moments Y X^T / n and X X^T / n, and the mean squared target."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = digits.data / 16.0
    x = (x - x.mean(axis=0)) * 2.0
    y = np.eye(10)[digits.target]
    y = y - y.mean(axis=0)
    return y.T @ x / len(x), x.T @ x / len(x), float((y**2).sum() / len(x))


def chain(layers: list[np.ndarray]) -> np.ndarray:
    out = layers[0]
    for w in layers[1:]:
        out = w @ out
    return out


def step(layers: list[np.ndarray], cross: np.ndarray, gram: np.ndarray, rate: float) -> None:
    """One step of gradient descent on half the mean squared error, in place."""
    error = chain(layers) @ gram - cross
    right = [np.eye(layers[0].shape[1])]
    for w in layers[:-1]:
        right.append(w @ right[-1])
    left = np.eye(layers[-1].shape[0])
    gradients = []
    for w, r in zip(reversed(layers), reversed(right)):
        gradients.append(left.T @ error @ r.T)
        left = left @ w
    for w, g in zip(layers, reversed(gradients)):
        w -= rate * g


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--widths", default="64,24,16,10")
    parser.add_argument("--steps", type=int, default=10000)
    parser.add_argument("--every", type=int, default=20)
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--start", type=float, default=0.005, help="standard deviation of the first weights")
    parser.add_argument("--level", type=float, default=0.3, help="strength per layer from which a direction counts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("strata_run"))
    options = parser.parse_args()
    widths = tuple(int(v) for v in options.widths.split(","))
    cross, gram, power = data()
    if (widths[0], widths[-1]) != (cross.shape[1], cross.shape[0]):
        raise SystemExit(f"the data need widths from {cross.shape[1]} to {cross.shape[0]}, found {widths}")
    rng = np.random.default_rng(options.seed)
    layers = [options.start * rng.standard_normal((b, a)) for a, b in zip(widths, widths[1:])]

    rows: list[dict[str, object]] = []
    labels: list[tuple[int, ...]] = []
    for t in range(options.steps + 1):
        if t % options.every == 0:
            product = chain(layers)
            loss = 0.5 * (power - 2 * float(np.vdot(product, cross)) + float(np.vdot(product @ gram, product)))
            table = pf.linear.effective_ranks(layers, options.level)
            row: dict[str, object] = {"step": t, "loss": round(loss, 6)}
            if (pf.linear.ranks.multiplicities(table) >= 0).all():
                found = stratum_of(widths, table, rank=int(table[-1, 0]))
                try:
                    snapped = pf.linear.barcode(layers, ranks=table).reconstruct()
                    size = np.sqrt(sum(float((a**2).sum()) for a in layers))
                    off = np.sqrt(sum(float(((a - b) ** 2).sum()) for a, b in zip(snapped, layers))) / size
                except NumericalError:
                    off = float("nan")
                row |= {"dim": found.dim, "dof": found.dof, "rdof": found.rdof, "distance": round(off, 4)}
            label = tuple(int(table[k, i]) for k in range(1, len(widths)) for i in range(k))
            row |= {f"r{k}{i}": int(table[k, i]) for k in range(1, len(widths)) for i in range(k)}
            labels.append(label)
            rows.append(row)
        if t < options.steps:
            step(layers, cross, gram, options.rate)

    names = list(rows[0])
    for row in rows:
        names += [n for n in row if n not in names]
    with options.out.with_suffix(".csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)

    products = [(k, i) for k in range(1, len(widths)) for i in range(k)]
    print("strata in the order of the first visit (ranks of " + ", ".join(f"W{k}..W{i + 1}" for k, i in products) + ")")
    seen: dict[tuple[int, ...], int] = {}
    for label, row in zip(labels, rows):
        if label not in seen:
            seen[label] = len(seen)
            facts = "  ".join(f"{n} {row[n]}" for n in ("loss", "dim", "dof", "rdof", "distance") if n in row)
            print(f"  step {row['step']:>6}  {label}  {facts}")
    changes = sum(a != b for a, b in zip(labels, labels[1:]))
    upwards = sum(all(p <= q for p, q in zip(a, b)) for a, b in zip(labels, labels[1:]) if a != b)
    print(f"{len(seen)} strata, {changes} changes, {upwards} of them into a stratum above; wrote {options.out}.csv")

    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from polyfiber.plots.strata import plot_effective_ranks

    figure, (top, bottom) = plt.subplots(2, 1, figsize=(8, 6.5), sharex=True, layout="constrained")
    steps = [row["step"] for row in rows]
    plot_effective_ranks(
        steps, np.array(labels), names=[f"W{k}" if k == i + 1 else f"W{k}…W{i + 1}" for k, i in products], ax=top
    )
    top.set_xlabel("")
    top.set_title(
        f"effective ranks (strength {options.level} per layer) of a linear network {widths} on digits", fontsize=9
    )
    bottom.plot(steps, [row["loss"] for row in rows], color="black")
    bottom.set_yscale("log")
    bottom.set_xlabel("step of gradient descent")
    bottom.set_ylabel("loss")
    figure.savefig(options.out.with_suffix(".png"), dpi=120)
    print(f"wrote {options.out}.png")


if __name__ == "__main__":
    main()
