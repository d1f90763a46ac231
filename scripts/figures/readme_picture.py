"""The picture at the head of the README: regions and walls of a trained planar classifier.

Usage: python scripts/figures/readme_picture.py [OUTPUT.png]
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np

import polyfiber as pf
from polyfiber.plots.planar import plot_regions

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Draw the classifier of iris petals: value of one output, and the class with its walls."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "img" / "regions.png"
    net = pf.read_network(ROOT / "data" / "iris_petals.onnx")
    window = pf.Box([0.0, -1.0], [8.0, 4.0])
    whole = pf.canonical_complex(net)
    shown = pf.canonical_complex(net, window)
    figure, axes = plt.subplots(1, 2, figsize=(13.5, 4.8), layout="constrained")
    plot_regions(shown, ax=axes[0], color_by="slope", output=1)
    axes[0].set_title(f"{shown.n_regions} regions in the window, {whole.n_regions} in the plane")
    plot_regions(shown, ax=axes[1], color_by="class", class_names=["setosa", "versicolor", "virginica"])
    boundary = shown.decision_boundary()
    axes[1].set_title(f"the class that wins, and its boundary: {boundary.f_vector[1]} exact segments")
    for ax in axes:
        ax.set_xlabel("petal length, cm")
        ax.set_ylabel("petal width, cm")
    figure.savefig(target, dpi=110, pil_kwargs={"optimize": True})
    print(target, np.round(target.stat().st_size / 1e3), "kB")


if __name__ == "__main__":
    main()
