"""Geodesics against straight lines: the image of the unit circle on the way from one matrix to another, by depth.

    python scripts/figures/dln_geodesics.py [--out docs/img/dln_geodesics.png]

N = 1 is the straight line in matrix space. Prints the length of the geodesic and of the straight line in each metric.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import matplotlib  # noqa: E402
import numpy as np  # noqa: E402

from polyfiber.dln import geodesic, metric  # noqa: E402

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

from polyfiber.plots.style import LINES  # noqa: E402

plt.rcParams["axes.prop_cycle"] = plt.cycler(color=LINES)


def rotation(a: float) -> np.ndarray:
    return np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "img" / "dln_geodesics.png")
    options = parser.parse_args()
    A = np.diag([2.0, 0.4])
    B = rotation(2.0) @ np.diag([1.6, 0.5]) @ rotation(-0.3)
    times = np.linspace(0, 1, 6)
    fine = np.linspace(0, 1, 801)
    depths = (1, 2, 3, 6, math.inf)
    circle = np.stack([np.cos(np.linspace(0, 2 * math.pi, 100)), np.sin(np.linspace(0, 2 * math.pi, 100))])
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), width_ratios=(2.1, 1), constrained_layout=True)
    print("depth   length   straight line   chord bound   smallest sigma_2 on the way")
    line = A + fine[:, None, None] * (B - A)
    for row, depth in enumerate(depths):
        g = geodesic(A, B, depth)
        path = g(fine)
        straight = float(np.asarray(metric(0.5 * (line[1:] + line[:-1]), depth).norm(np.diff(line, axis=0))).sum())
        s = np.linalg.svd(path, compute_uv=False)
        print(f"{depth!s:>5}  {g.length:7.4f}  {straight:14.4f}  {g.chord:12.4f}  {s[:, 1].min():12.4f}")
        name = "N = ∞" if math.isinf(depth) else f"N = {depth}"
        axes[1].semilogy(fine, s[:, 1], label=name)
        for i, X in enumerate(g(times)):
            shape, tip = X @ circle, X @ np.array([1.0, 0.0])
            x, y = 4.6 * i, -4.2 * row
            names = ("_", "_") if i or row else ("X(t) of the unit circle", "X(t) of the first axis")
            axes[0].plot(shape[0] + x, shape[1] + y, "k-", lw=1, label=names[0])
            axes[0].plot([x, x + tip[0]], [y, y + tip[1]], "r-", lw=1, label=names[1])
        axes[0].text(-4.6, -4.2 * row, name, va="center", fontsize=8)
    axes[0].set_aspect("equal")
    axes[0].axis("off")
    axes[0].set_title("image of the unit circle, t = 0, 0.2, ..., 1", fontsize=9)
    axes[1].set(xlabel="t", title=r"$\sigma_2(X(t))$")
    axes[1].legend(fontsize=8)
    axes[0].legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 0.02), ncols=2, frameon=False)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=90)


if __name__ == "__main__":
    main()
