"""Time against the number of faces, over more than three decades.

    python scripts/bench/growth.py [--largest 3e6] [--plot docs/img/growth.png] [--json FILE]

For each dimension n networks n-w-w of growing width; CPU seconds of the certified skeleton with all faces written,
and of counting, after a warm-up. The slope printed is of log time against log faces over the upper half.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import polyfiber as pf

WIDTHS = {
    2: (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384),
    3: (3, 4, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80),
    4: (3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 28),
    5: (3, 4, 5, 6, 7, 8, 10, 12, 14, 16),
}


def measure(n: int, width: int) -> dict[str, Any]:
    net = pf.ReLUNetwork.random((n, width, width, 1), rng=0)
    best: dict[str, float] = {}
    faces, started = 0, time.perf_counter()
    while True:
        t0 = time.process_time()
        cx = pf.canonical_complex(net)
        t1 = time.process_time()
        cx.materialize()
        t2 = time.process_time()
        faces = sum(pf.face_counts(net))
        t3 = time.process_time()
        for key, value in (("skeleton", t1 - t0), ("written", t2 - t0), ("counted", t3 - t2)):
            best[key] = min(best.get(key, np.inf), value)
        if time.perf_counter() - started > 0.3:
            break
    return {"n": n, "width": width, "vertices": int(cx.f_vector[0]), "faces": int(faces), **best}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--largest", type=float, default=6e6)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    print("| network | faces | skeleton s | written s | ns/face | counted s | ns/face |\n|---|--:|--:|--:|--:|--:|--:|")
    for n, widths in WIDTHS.items():
        measure(n, 3)
        for width in widths:
            if rows and rows[-1]["n"] == n and rows[-1]["faces"] * (width / rows[-1]["width"]) ** n > options.largest:
                break
            row = measure(n, width)
            rows.append(row)
            f = row["faces"]
            print(
                f"| {n}-{width}-{width} | {f} | {row['skeleton']:.4f} | {row['written']:.4f} "
                f"| {1e9 * row['written'] / f:.0f} | {row['counted']:.4f} | {1e9 * row['counted'] / f:.0f} |",
                flush=True,
            )
    for n in WIDTHS:
        part = [row for row in rows if row["n"] == n][-max(2, len(WIDTHS[n]) // 2) :]
        slope = np.polyfit(np.log([r["faces"] for r in part]), np.log([r["written"] for r in part]), 1)[0]
        print(f"n = {n}: time ~ faces^{slope:.2f} over the largest {len(part)} networks")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    if options.plot:
        draw(rows, options.plot)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from polyfiber.plots.style import LINES

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True, layout="constrained")
    for ax, key, title in zip(axes, ("written", "counted"), ("every face written", "every face counted")):
        for n, colour, mark in zip(WIDTHS, LINES, "os^D"):
            part = [row for row in rows if row["n"] == n]
            ax.loglog(
                [r["faces"] for r in part],
                [r[key] for r in part],
                f"{mark}-",
                ms=3.5,
                lw=1,
                color=colour,
                label=f"inputs: {n}",
            )
        faces = np.array([min(r["faces"] for r in rows), max(r["faces"] for r in rows)], dtype=float)
        for cost in (1e-8, 1e-7, 1e-6):
            ax.loglog(faces, cost * faces, color="0.8", lw=0.8, zorder=0)
            ax.annotate(
                f"{cost * 1e9:g} ns/face", (faces[1], cost * faces[1]), (3, 0), textcoords="offset points",
                fontsize=7, color="0.35", ha="left", va="center",
            )  # fmt: skip
        ax.set_xlim(faces[0] / 2, faces[1] * 14)
        times = [row[name] for row in rows for name in ("written", "counted")]
        ax.set_ylim(min(times) / 2, max(times) * 2)
        ax.set_title(title, fontsize=10)
        ax.set_xlabel("faces of all dimensions")
        ax.grid(True, which="major", lw=0.3)
    axes[0].set_ylabel("CPU seconds, one core")
    axes[0].legend(frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main()
