"""The numbers of docs/records.md, one command each.

  python scripts/records.py count [--network 4-64-64] [--memory 256MB] [--workers 1] [--seconds S] [--verify]
  python scripts/records.py definitions [--seed 286]
  python scripts/records.py degree

count        faces of a network, block by block, every block's certificate checked anew: time, peak memory
definitions  six definitions of a linear region (Stargalla, Hertrich, Reichman, arXiv 2505.16716), on one network
degree       mean number of neighbours of a region (at most 2n: Gaines, Bi, arXiv 2606.07728), on the shipped networks
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import polyfiber as pf  # noqa: E402


def table(header: list[str], rows: list[list[Any]]) -> None:
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")


# ---- counting by blocks --------------------------------------------------------------------------
class Said:
    """Where the count stands, twice a minute."""

    def __init__(self) -> None:
        self.last = -np.inf

    def __call__(self, now: Any) -> None:
        if time.monotonic() > self.last + 30.0:
            self.last = time.monotonic()
            print(f"  {now.phase}: {now.done} of {now.total}", file=sys.stderr, flush=True)


def count(given: argparse.Namespace) -> None:
    widths = (*map(int, given.network.split("-")), 1)
    pf.count_blocks(pf.ReLUNetwork.random((widths[0], 8, 8, 1), rng=0), verify=True)  # compiles
    net = pf.ReLUNetwork.random(widths, rng=0)
    before, start = time.process_time(), time.perf_counter()
    budget = pf.Budget(memory=given.memory, seconds=given.seconds)
    total = pf.count_blocks(net, workers=given.workers, verify=given.verify, budget=budget, progress=Said())
    used = time.process_time() - before + resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    euler = sum((-1) ** k * f for k, f in enumerate(total.f_vector))  # (-1)^n on R^n
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    table(
        ["network", "regions", "faces", "blocks", "CPU s", "clock s", "peak MB, code included", "Euler", "checked anew"],
        [[
            given.network, total.f_vector[-1], sum(total.f_vector), len(total.blocks), f"{used:.1f}",
            f"{time.perf_counter() - start:.1f}", f"{1000 * peak:.0f}", euler, "yes" if total.verified else "no",
        ]],
    )  # fmt: skip
    print(f"f-vector {total.f_vector}; signs decided: {total.decisions}")


# ---- six definitions -------------------------------------------------------------------------------
class Definitions:
    """The six counts of a network of two inputs with whole numbers as weights, on an open box; exact throughout.

    Cells are relatively open. Their vertices are rational, and affine maps of regions have whole coefficients, so every
    comparison below is one of fractions.
    """

    def __init__(self, net: pf.ReLUNetwork, box: pf.Box) -> None:
        self.net, self.cx = net, pf.canonical_complex(net, box)
        n = net.n_hidden
        self.signs = [np.asarray(self.cx.signs(k)) for k in range(self.cx.dimension + 1)]
        self.inside = [(s[:, n:] != 0).all(axis=1) for s in self.signs]
        self.neurons = [s[:, :n] for s in self.signs]
        self.points = self.cx.exact_vertices()
        A, a = self.cx.affine_maps()
        self.maps = [
            tuple(Fraction(float(v)) for v in (*A[r].ravel(), *a[r])) for r in range(self.cx.n_regions)
        ]  # whole numbers below 2^53: floats are exact
        self.corners = [self._corners(k) for k in range(self.cx.dimension + 1)]

    def _corners(self, k: int) -> list[list[int]]:
        """Vertices of the closure of every cell of a dimension: those whose signs agree wherever they are not zero."""
        zero = self.signs[0]
        return [np.flatnonzero(((zero == 0) | (zero == s)).all(axis=1)).tolist() for s in self.signs[k]]

    def activation(self) -> int:
        """Patterns (positive or not) of points."""
        return len({row.tobytes() for s, i in zip(self.neurons, self.inside) for row in (s[i] > 0)})

    def proper(self) -> int:
        """Patterns of regions of full dimension."""
        return len({row.tobytes() for row in self.neurons[-1] > 0})

    def open_connected(self) -> dict[int, list[int]]:
        """Regions joined across facets where nothing bends."""
        group = list(range(self.cx.n_regions))

        def root(i: int) -> int:
            while group[i] != i:
                i = group[i]
            return i

        graph = self.cx.dual_graph
        for r in range(self.cx.n_regions):
            for other in graph.indices[graph.indptr[r] : graph.indptr[r + 1]].tolist():
                if self.maps[r] == self.maps[other]:
                    group[root(r)] = root(other)
        found: dict[int, list[int]] = {}
        for r in range(self.cx.n_regions):
            found.setdefault(root(r), []).append(r)
        return found

    def not_convex(self, groups: dict[int, list[int]]) -> int:
        """How many unions of regions are smaller than their hull (in the plane, by exact areas)."""
        found = 0
        for regions in groups.values():
            parts = sum(area([self.points[v] for v in self.corners[-1][r]]) for r in regions)
            found += area([self.points[v] for r in regions for v in self.corners[-1][r]]) != parts
        return found

    def closed_connected(self) -> int:
        """Parts of {f = g} that hold a region, for every affine map g of a region; parts may hang together by a point."""
        cells = [(k, c) for k, some in enumerate(self.corners) for c in range(len(some)) if self.inside[k][c]]
        number = {cell: i for i, cell in enumerate(cells)}
        rows = [self.signs[k][c] for k, c in cells]
        below = [
            [j for j, s in enumerate(rows) if j != i and ((s == 0) | (s == rows[i])).all()] for i in range(len(rows))
        ]
        values = [Fraction(0)] * len(self.points)
        of = [self.maps[self._region_at(v)] for v in range(len(self.points))]
        total = 0
        for g in sorted(set(self.maps)):
            values = [at(m, p) - at(g, p) for m, p in zip(of, self.points)]
            met = []
            for k, c in cells:
                here = [values[v] for v in self.corners[k][c]]
                met.append(not any(here) or min(here) < 0 < max(here))
            group = list(range(len(cells)))

            def root(i: int, group: list[int] = group) -> int:
                while group[i] != i:
                    i = group[i]
                return i

            for i, faces in enumerate(below):
                for j in faces:
                    if met[i] and met[j]:
                        group[root(i)] = root(j)
            top = len(self.corners) - 1
            total += len({root(number[top, r]) for r, m in enumerate(self.maps) if m == g})
        return total

    def _region_at(self, vertex: int) -> int:
        s = self.signs[0][vertex]
        return int(np.flatnonzero(((s == 0) | (self.signs[-1] == s)).all(axis=1))[0])

    def affine(self) -> int:
        """Different affine maps."""
        return len(set(self.maps))


def at(m: tuple[Fraction, ...], p: Any) -> Fraction:
    """Value of an affine map with one output."""
    return m[0] * p[0] + m[1] * p[1] + m[2]


def area(points: list[Any]) -> Fraction:
    """Area of the convex hull of points, exactly (monotone chain)."""
    some = sorted({(p[0], p[1]) for p in points})

    def chain(ps: list[Any]) -> list[Any]:
        kept: list[Any] = []
        for p in ps:
            while len(kept) > 1 and cross(kept[-2], kept[-1], p) <= 0:
                kept.pop()
            kept.append(p)
        return kept[:-1]

    ring = chain(some) + chain(some[::-1])
    return abs(sum((a[0] * b[1] - a[1] * b[0] for a, b in zip(ring, ring[1:] + ring[:1])), Fraction(0))) / 2


def cross(a: Any, b: Any, c: Any) -> Fraction:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def whole(widths: tuple[int, ...], seed: int) -> pf.ReLUNetwork:
    """A network with small whole numbers as parameters."""
    rng = np.random.default_rng(seed)
    pairs = list(zip(widths, widths[1:]))
    return pf.ReLUNetwork(
        [rng.integers(-2, 3, (b, a)).astype(float) for a, b in pairs],
        [rng.integers(-2, 3, b).astype(float) for _, b in pairs],
    )


def six(seed: int) -> tuple[int, int, tuple[int, int], int, int, int, int]:
    """All six counts; the third as an interval, the last entry the number of regions of the canonical complex."""
    d = Definitions(whole((2, 5, 4, 1), seed), pf.Box(-4, 4, dimension=2))
    groups = d.open_connected()
    bent = d.not_convex(groups)
    convex = (len(groups) + bent, d.cx.n_regions if bent else len(groups))
    return d.activation(), d.proper(), convex, len(groups), d.closed_connected(), d.affine(), d.cx.n_regions


def definitions(given: argparse.Namespace) -> None:
    found = six(given.seed)
    names = ["activation", "proper activation", "convex", "open connected", "closed connected", "affine"]
    rows = []
    for name, value in zip(names, found):
        shown = (
            value if not isinstance(value, tuple) else value[0] if value[0] == value[1] else f"{value[0]} to {value[1]}"
        )
        rows.append([name, shown])
    table(["a linear region is", "number"], rows)
    print(f"regions of the canonical complex: {found[-1]}")


# ---- degree of the region graph ------------------------------------------------------------------
def degree(given: argparse.Namespace) -> None:
    rows = []
    for path in sorted((ROOT / "data").glob("*.npz")) + sorted((ROOT / "data").glob("*_*.onnx")):
        net = pf.read_network(path)
        n = net.architecture[0] if isinstance(net, pf.ReLUNetwork) else net.n_inputs
        if n > given.inputs or (path.suffix == ".onnx" and path.with_suffix(".npz").exists()):
            continue
        cx = pf.canonical_complex(net)
        graph = cx.dual_graph
        degrees = np.diff(graph.indptr)
        rows.append([path.name, n, cx.n_regions, f"{degrees.mean():.4f}", 2 * n, int(degrees.max())])
        assert degrees.sum() <= 2 * n * cx.n_regions, path.name
    table(["network", "inputs n", "regions on Rⁿ", "mean degree", "2n", "largest"], rows)


def main() -> None:
    """Run one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("count")
    one.add_argument("--network", default="4-64-64")
    one.add_argument("--memory", default="256MB")
    one.add_argument("--workers", type=int, default=1)
    one.add_argument("--seconds", type=float)
    one.add_argument("--verify", action="store_true")
    one.set_defaults(run=count)
    two = commands.add_parser("definitions")
    two.add_argument("--seed", type=int, default=286)
    two.set_defaults(run=definitions)
    three = commands.add_parser("degree")
    three.add_argument("--inputs", type=int, default=4, help="networks of at most so many")
    three.set_defaults(run=degree)
    given = parser.parse_args()
    given.run(given)


if __name__ == "__main__":
    main()
