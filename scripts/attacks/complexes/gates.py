"""Attack what is asked of networks of gates beyond their complexes: ranges, removal, ranks, findings, injectivity, all of Rⁿ.

    python scripts/attacks/complexes/gates.py [--seconds 240] [--count N] [--seed 0] [--parts ranges,whole,…]

Graphs are those of `scripts/attacks/complexes/piecewise.py`: every kind of gate, wiring and weights, also zero weights, repeated rows
and flat boxes. The truth is `tests/oracles/graph_faces.py`: all faces, corners and forms in rationals by brute force over
patterns, no line of the library. From it:

ranges      least and largest value of every gate and output at all corners, against `activation_bounds` by all methods, over a
            region too, and the signs that `settle` proves
removal     `simplify_on` and `minimize`: equal values in rationals at corners and inside every face; who has one side is gone
dimension   Jacobians by exact differences (a form is affine in each parameter), elimination in rationals, against `local_fiber`
findings    dead, linear and unused gates, copies, by forms on all regions; general position by counting zeros of faces
injective   on one input by sorting values; else the chain emulation; two inputs of a NO are evaluated by the oracle. Persistence
            and critical points: on one input by local extremes, else the chain emulation
slanted     regions on a slanted flat by the complex and by `explore`
whole       networks that the engine refuses on Rⁿ: all faces by their signs; maxima of k: pieces against distinct outputs

Exit code 1 if something was wrong.
"""

from __future__ import annotations

import pickle
import sys
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import polyfiber as pf
from polyfiber.bounds.fixed_signs import settle
from polyfiber.complexes.merged import merged_regions
from polyfiber.errors import PolyfiberError
from polyfiber.fibers.dimension import local_fiber
from polyfiber.fibers.gates.findings import gate_findings
from polyfiber.testing.graphs import maximum
from scripts.attacks.complexes.piecewise import draw, main
from tests.oracles.graph_faces import Graph, Part, graph_complex, value

Net = pf.PiecewiseLinearNetwork
PARTS = ("ranges", "removal", "dimension", "findings", "injective", "whole", "slanted")


def at(form: list[Fraction], x: Any) -> Fraction:
    """An affine form at a point."""
    return sum((a * b for a, b in zip(form[:-1], x)), form[-1])


def boxed(net: Net, box: pf.Box | None, rng: np.random.Generator) -> pf.Box:
    """The box, or one of its own; sometimes flat in a coordinate."""
    if box is None:
        box = pf.Box(-rng.integers(1, 9, net.n_inputs) / 4.0, rng.integers(1, 9, net.n_inputs) / 4.0)
    if net.n_inputs > 1 and rng.random() < 0.15:
        lo, hi = box.lo.copy(), box.hi.copy()
        hi[0] = lo[0]
        box = pf.Box(lo, hi)
    return box


def extremes(parts: list[Part], n_gates: int) -> tuple[list[Fraction], list[Fraction]]:
    """Least and largest values of gates and outputs at the corners of faces."""
    low: list[Any] = []
    high: list[Any] = []
    for part in parts:
        for x in part.vertices:
            z = [at(f, x) for f in (*part.gates, *part.outputs)]
            low = [min(a, b) for a, b in zip(low, z)] if low else list(z)
            high = [max(a, b) for a, b in zip(high, z)] if high else list(z)
    return low, high


# ---- parts --------------------------------------------------------------------------------------


def ranges(net: Net, box: pf.Box, truth: Graph, rng: np.random.Generator) -> list[str]:
    """Bounds by every method, over a region, and settled signs."""
    low, high = extremes(truth.regions(), truth.n_gates)
    found = []
    for method in ("interval", "relaxation", "lp", "exact"):
        b = pf.activation_bounds(net, box, method=method, budget=pf.Budget(seconds=20))
        lower, upper = np.r_[b.lower, b.output_lower], np.r_[b.upper, b.output_upper]
        if any(Fraction(float(v)) > t for v, t in zip(lower, low) if np.isfinite(v)):
            found.append(f"{method}: a lower bound is too high")
        if any(Fraction(float(v)) < t for v, t in zip(upper, high) if np.isfinite(v)):
            found.append(f"{method}: an upper bound is too low")
        if not b.verify():
            found.append(f"{method}: verify()")
        if method == "exact" and b.complete:
            scale = 1e-7 * (1 + np.abs(np.array(high, dtype=float)) + np.abs(np.array(low, dtype=float)))
            scale = np.maximum(scale, b.tolerance * b.scale)  # beside what sums that cancel are made of
            if not (np.abs(lower - np.array(low, dtype=float)) <= scale).all():
                found.append("exact: a minimum is not attained")
            if not (np.abs(upper - np.array(high, dtype=float)) <= scale).all():
                found.append("exact: a maximum is not attained")
    signs = settle(net, box, expected=1e9).signs
    if any((s > 0 and a <= 0) or (s < 0 and b >= 0) for s, a, b in zip(signs, low, high)):
        found.append("a sign is settled that is not")
    region = truth.regions()[int(rng.integers(len(truth.regions())))]
    if (box.lo < box.hi).all() and region.dim == net.n_inputs:
        x = [float(v) for v in region.point]
        here = pf.region(net, x, domain=box)
        if tuple(here.signs[: truth.n_gates].tolist()) == region.signs[: truth.n_gates]:
            low, high = extremes([region], truth.n_gates)
            b = pf.activation_bounds(net, here)
            lower, upper = np.r_[b.lower, b.output_lower], np.r_[b.upper, b.output_upper]
            if any(Fraction(float(v)) > t for v, t in zip(lower, low) if np.isfinite(v)):
                found.append("region: a lower bound is too high")
            if any(Fraction(float(v)) < t for v, t in zip(upper, high) if np.isfinite(v)):
                found.append("region: an upper bound is too low")
    return found


def points_of(truth: Graph) -> list[Any]:
    """Corners, and one point inside each face."""
    return [x for part in truth.faces.values() for x in (*part.vertices, tuple(part.point))]


def removal(net: Net, box: pf.Box, truth: Graph, rng: np.random.Generator) -> list[str]:
    """Smaller networks, in rationals; chains go their own way, which merges neurons within a tolerance."""
    if net.is_chain:
        return []
    found = []
    rows = [part.signs[: truth.n_gates] for part in truth.regions()]
    sided = [i for i in range(truth.n_gates) if all(r[i] <= 0 for r in rows) or all(r[i] >= 0 for r in rows)]
    made = {
        "simplify_on": pf.simplify_on(net, box, method=str(rng.choice(["relaxation", "exact"]))).network,
        **({"minimize": pf.minimize(net, domain=box).network} if (box.lo < box.hi).all() else {}),
    }
    for name, small in made.items():
        chosen = points_of(truth)
        for x in [chosen[i] for i in rng.permutation(len(chosen))[:40]]:
            X = np.array([list(x)], dtype=object)
            if small.exact()(X)[0].tolist() != [at(f, x) for f in _outputs(truth, net, x)]:
                found.append(f"{name} changed the function")
                break
        if name == "minimize" and small.n_hidden > truth.n_gates - len(sided):
            found.append("minimize keeps a gate with one side")
    return found


def _outputs(truth: Graph, net: Net, x: Any) -> list[list[Fraction]]:
    return [[*([Fraction(0)] * net.n_inputs), v] for v in value(net, x)]


def dimension(net: Net, box: pf.Box, truth: Graph, rng: np.random.Generator) -> list[str]:
    """Ranks of Jacobians by exact differences; parameters of a chain are all entries of its matrices, kept or not."""
    if net.is_chain:
        return []
    rows, values = parameters(net)
    if len(values) > 40 or len(truth.regions()) > 60:
        return []
    found = local_fiber(net, regions=np.array([p.signs[: truth.n_gates] for p in truth.regions()]), exact_rank=True)
    stacked = []
    for signs in {p.signs[: truth.n_gates] for p in truth.regions()}:
        base = forms(net, rows, values, signs)
        columns = []
        for p in range(len(values)):
            moved = list(values)
            moved[p] += 1
            columns.append([b - a for a, b in zip(base, forms(net, rows, moved, signs))])
        stacked += [list(r) for r in zip(*columns)]
    right = rank(stacked)
    if found.functional_dimension != right or found.exact_rank != right or found.n_parameters != len(values):
        return [f"functional dimension {found.functional_dimension} ({found.exact_rank}), right {right}"]
    if right > found.upper_bound:
        return ["an upper bound of the rank is too low"]
    kernel = shared_kernel(rows, values)
    tied = local_fiber(net, regions=np.array([p.signs[: truth.n_gates] for p in truth.regions()]), shared=True)
    right = rank([[sum((row[k] for k in group), Fraction(0)) for group in kernel] for row in stacked]) if kernel else 0
    if tied.functional_dimension != right or tied.n_parameters != len(kernel) or right > tied.upper_bound:
        return [
            f"functional dimension of shared weights {tied.functional_dimension}, right {right}, {tied.upper_bound} at most"
        ]
    return []


def shared_kernel(blocks: list[Any], values: list[Fraction]) -> list[list[int]]:
    """Numbers of the parameters that stand in one matrix, or one list of offsets, with the same value; zeros left out."""
    classes: dict[Any, list[int]] = {}
    for l, rows in enumerate(blocks):
        for row in rows:
            for j, _, k in row:
                if values[k]:
                    classes.setdefault((l, j, values[k]), []).append(k)
    return list(classes.values())


def parameters(net: Net) -> tuple[list[Any], list[Fraction]]:
    """For each block and the output its rows as (block, place, number of the parameter), the bias last; all values."""
    values: list[Fraction] = []
    blocks = []
    for affine in (*(b.affine for b in net.blocks), net.output):
        rows: list[list[Any]] = [[] for _ in range(affine.n_rows)]
        for j, matrix in affine.weights.items():
            sparse = not isinstance(matrix, np.ndarray)
            whole = matrix.toarray() if hasattr(matrix, "toarray") else matrix
            for i in range(whole.shape[0]):
                for c in range(whole.shape[1]):
                    if sparse and whole[i, c] == 0:
                        continue
                    rows[i].append((j, c, len(values)))
                    values.append(Fraction(whole[i, c]))
        for i in range(affine.n_rows):
            rows[i].append((-1, 0, len(values)))
            values.append(Fraction(affine.bias[i]))
        blocks.append(rows)
    return blocks, values


def forms(net: Net, blocks: list[Any], values: list[Fraction], signs: Any) -> list[Fraction]:
    """Entries of the affine map on a pattern, for values of the parameters."""
    n = net.n_inputs
    levels = [[[Fraction(int(i == c)) for c in range(n)] + [Fraction(0)] for i in range(n)]]
    start = 0
    for l, rows in enumerate(blocks):
        level = []
        for i, row in enumerate(rows):
            form = [Fraction(0)] * (n + 1)
            for j, c, p in row:
                if j < 0:
                    form[-1] += values[p]
                else:
                    form = [a + values[p] * b for a, b in zip(form, levels[j][c])]
            if l < len(net.blocks):
                slope = Fraction(net.blocks[l].slopes[i, int(signs[start + i] > 0)])
                form = [slope * v for v in form]
            level.append(form)
        start += len(rows)
        levels.append(level)
    return [v for form in levels[-1] for v in form]


def rank(rows: list[list[Fraction]]) -> int:
    """By elimination."""
    left = [r for r in rows if any(r)]
    count = 0
    while left:
        row = left.pop()
        pivot = next(i for i, v in enumerate(row) if v)
        count += 1
        left = [[a - r[pivot] / row[pivot] * b for a, b in zip(r, row)] if r[pivot] else r for r in left]
        left = [r for r in left if any(r)]
    return count


def findings(net: Net, box: pf.Box, truth: Graph, rng: np.random.Generator) -> list[str]:
    """What is found about gates, and general position."""
    wrong = []
    regions = truth.regions()
    kinds: dict[str, set[int]] = {}
    starts = np.concatenate([[0], np.cumsum(net.hidden_widths)])
    told = gate_findings(net, box)
    for f in told:
        kinds.setdefault(f.kind, set()).update(int(starts[f.layer - 1]) + i for i in f.neurons)
    read = set()
    for affine in (*(b.affine for b in net.blocks), net.output):
        for j, matrix in affine.weights.items():
            whole = matrix.toarray() if hasattr(matrix, "toarray") else matrix
            read |= {int(starts[j - 1]) + c for c in range(whole.shape[1]) if j and any(v != 0 for v in whole[:, c])}
    if kinds.get("unused", set()) != set(range(truth.n_gates)) - read:
        wrong.append("unused gates")
    slopes = [tuple(Fraction(v) for v in pair) for b in net.blocks for pair in b.slopes.tolist()]
    for i in sorted(read):
        column = {p.signs[i] for p in regions}
        side = -1 if column <= {-1, 0} else 1 if column <= {0, 1} else 0
        slope = slopes[i][int(side > 0)]
        if (i in kinds.get("dead", ())) != (side != 0 and slope == 0) or (i in kinds.get("linear", ())) != (
            side != 0 and slope != 0
        ):
            wrong.append(f"gate {i} on one side")
    for f in told:
        if f.kind in ("duplicate", "opposite") and len(f.neurons) == 2:
            a, b = (int(starts[f.layer - 1]) + i for i in f.neurons)
            pairs = [(at(p.gates[a], x), at(p.gates[b], x)) for p in regions for x in p.vertices]  # on the domain alone
            if rank([[x for x, _ in pairs], [y for _, y in pairs]]) > 1:
                wrong.append("a copy that is none")
    g = pf.genericity(net, box)
    top = len(truth.f_vector) - 1
    broken = sum(part.signs.count(0) != top - (part.dim - truth.lineality) for part in truth.faces.values())
    if (g.supertransversal is pf.Verdict.YES) != (broken == 0) or (g.n_breaking != broken):
        wrong.append(f"{g.n_breaking} faces break general position, right {broken}")
    return wrong


def injective(net: Net, box: pf.Box, truth: Graph, rng: np.random.Generator) -> list[str]:
    """Injectivity, critical points, persistence."""
    if not (box.lo < box.hi).all() or truth.n_gates > 6 or net.n_inputs > 2:
        return []
    wrong = []
    budget = pf.Budget(seconds=10)
    found = pf.is_injective(net, box, budget=budget)
    if found.witness is not None:
        x, y = found.witness
        inside = all(Fraction(a) <= v <= Fraction(b) for p in (x, y) for a, v, b in zip(box.lo, p, box.hi))
        if x == y or value(net, x) != value(net, y) or not inside:
            wrong.append("two inputs that are no witness")
    cx = pf.canonical_complex(net, box)
    persistence, critical = cx.persistence(0), cx.critical_points(0)
    if net.n_inputs == 1:
        x = sorted({v[0] for p in truth.faces.values() for v in p.vertices})
        y = [value(net, (v,)) for v in x]
        if net.n_outputs == 1:
            steps = [b[0] - a[0] for a, b in zip(y, y[1:])]
            right = all(s > 0 for s in steps) or all(s < 0 for s in steps)
            if found.verdict is not pf.Verdict.of(right):
                wrong.append(f"injective: {found.verdict.value}, right {right}")
        values = [v[0] for v in y]
        flat = any(a == b for a, b in zip(values, values[1:]))
        if not flat:
            inner = [(a < b, b < c, b) for a, b, c in zip(values, values[1:], values[2:])]
            least = sorted(float(v) for up, on, v in inner if not up and on)
            most = sorted(float(v) for up, on, v in inner if up and not on)
            ends = {int(i): sorted(critical.values[critical.index == i].tolist()) for i in (0, 1)}
            if not _near(ends[0], least) or not _near(ends[1], most):
                wrong.append("critical points on a line")
            minima = [
                v
                for i, v in enumerate(values)
                if (i == 0 or values[i - 1] > v) and (i + 1 == len(values) or values[i + 1] > v)
            ]
            if len(minima) != int((persistence.dimension == 0).sum()) and len(set(values)) == len(values):
                wrong.append("persistence on a line")
        return wrong
    chain = net.to_chain()
    verdict = pf.is_injective(chain, box, budget=budget).verdict
    if pf.Verdict.UNDECIDED not in (verdict, found.verdict) and verdict is not found.verdict:
        wrong.append(f"injective: {found.verdict.value}, its chain {verdict.value}")
    emulated = pf.canonical_complex(chain, box)
    mine, other = _bars(persistence), _bars(emulated.persistence(0))
    same = len(mine) == len(other) and [b[0] for b in mine] == [b[0] for b in other]
    if not same or (mine and not np.allclose(mine, other, rtol=1e-9, atol=1e-7)):
        wrong.append("persistence is not that of the chain")
    return wrong


def _near(a: list[float], b: list[float]) -> bool:
    return len(a) == len(b) and bool(np.allclose(a, b, rtol=1e-7, atol=1e-9))


def _bars(p: Any) -> list[Any]:
    return sorted(zip(p.dimension.tolist(), np.round(p.birth, 7).tolist(), np.round(p.death, 7).tolist()))


def whole(net: Net, seed: int, rng: np.random.Generator) -> tuple[str, list[str]]:
    """All of Rⁿ where flat walls leave directions uncut; maxima."""
    if seed % 4 == 0:
        n, k = int(rng.integers(1, 4)), int(rng.integers(2, 6))
        net = maximum(n, k, rng=seed)[0]
        truth = graph_complex(net)
        found = pf.canonical_complex(net)
        outputs = {tuple(map(tuple, p.outputs)) for p in truth.regions()}
        pieces = int(merged_regions(found).max()) + 1
        wrong = [] if pieces == len(outputs) else [f"{pieces} pieces of a maximum, right {len(outputs)}"]
        return "maxima", wrong + _faces(found, truth)
    found = pf.canonical_complex(net)
    if not found._frame.bends:
        return "", []
    truth = graph_complex(net)
    wrong = [] if pf.face_counts(net) == truth.f_vector else ["face_counts"]
    return "whole spaces", wrong + _faces(found, truth)


def _faces(found: pf.PolyhedralComplex, truth: Graph) -> list[str]:
    """Faces on all of Rⁿ, and what is made of them: the certificate, balancing, an archive in memory."""
    if not found.certificate.verify(everything=True).ok:
        return ["the certificate"]
    if found.dimension > 1 and not found.breakpoint_complex().balancing_residual() < 1e-6:
        return ["balancing"]
    if pickle.loads(pickle.dumps(found)).f_vector != found.f_vector:
        return ["a copy"]
    if found.f_vector != truth.f_vector:
        return [f"f-vector {found.f_vector}, right {truth.f_vector}"]
    return [
        f"faces of dimension {k}"
        for k in range(len(truth.f_vector))
        if {tuple(r) for r in found.signs(k).tolist()} != {p.signs for p in truth.of_dim(k)}
    ]


def slanted(net: Net, box: pf.Box, truth: Graph, rng: np.random.Generator) -> list[str]:
    """Regions on a slanted flat: the complex and a walk from a point, against cells cut in rationals."""
    n = net.n_inputs
    if n == 1 or not (box.lo < box.hi).all():
        return []
    row = np.append(rng.integers(-2, 3, n - 1), 1).astype(float)
    A = np.concatenate([[row], [-row], np.eye(n), -np.eye(n)])
    b = np.r_[0.0, 0.0, np.full(2 * n, 2.0)]
    flat = pf.Polyhedron(A, b)
    right = {p.signs[: truth.n_gates] for p in graph_complex(net, domain=(A, b)).regions()}
    cx = pf.canonical_complex(net, flat)
    wrong = [] if {tuple(r[: truth.n_gates]) for r in cx.signs(cx.dimension).tolist()} == right else ["the complex"]
    start = rng.integers(-8, 9, n) / 16.0
    start[-1] = -row[:-1] @ start[:-1]
    if np.abs(start).max() < 2:
        found = pf.explore(net, start, domain=flat, max_regions=10_000)
        if {tuple(r[: truth.n_gates]) for r in found.signs.tolist()} != right or not found.complete:
            wrong.append("the walk")
    return wrong


ASKED = {
    "slanted": slanted,
    "ranges": ranges,
    "removal": removal,
    "dimension": dimension,
    "findings": findings,
    "injective": injective,
}


def attack(*, seed: int, count: int, seconds: float, parts: tuple[str, ...] = PARTS) -> tuple[Counter[str], list[str]]:
    """(how many of each kind, what was wrong)."""
    tried: Counter[str] = Counter()
    wrong: list[str] = []
    end = time.monotonic() + seconds
    for i in range(count):
        if time.monotonic() > end:
            break
        net, box, what = draw(seed + i)
        rng = np.random.default_rng(seed + i)
        if "whole" in parts:
            kind, found = whole(net, seed + i, rng)
            tried[kind or "not refused on all of R^n"] += 1
            wrong += [f"{what}: whole: {fault}" for fault in found]
        domain = boxed(net, box, rng)
        truth = graph_complex(net, domain=(domain.A, domain.b))
        for part in parts:
            if part in ASKED:
                try:
                    found = ASKED[part](net, domain, truth, rng)
                except PolyfiberError as error:
                    found = [f"refused: {type(error).__name__}: {error}"]
                tried[part] += 1
                wrong += [f"{what}, on {domain}: {part}: {fault}" for fault in found]
    return tried, wrong


if __name__ == "__main__":
    sys.exit(main(attack, __doc__, parts=PARTS))
