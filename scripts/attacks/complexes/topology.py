"""Attack level sets, sublevel sets, decision boundaries and class regions.

    python scripts/attacks/complexes/topology.py [--part cells|oracle|box] [--seconds 60] [--seed 0]
    python scripts/attacks/complexes/topology.py --part oracle --cases 500
    python scripts/attacks/complexes/topology.py --part corpus

Part ``oracle``: `tests/oracles/topology.py` makes every set again from cones cut in Python integers, with no code of the library, and
takes ranks of dense matrices. Cells sign for sign, vertices as rationals, facets, boundedness, components, Euler characteristics, and
Betti numbers over two elements and over the rationals, in the supports that apply, must agree. Levels go through vertices and through
whole cells; rows are pruned, repeated, integers; biases vanish; the first layer may be narrower than the input.

Part ``corpus``: the same for the named degenerate networks of `polyfiber.testing`.

Part ``box``: what must hold of a level set that cuts a box in two, whatever the network: Mayer and Vietoris say that the Betti numbers of
level set and both sides add up (regular level or not), Euler characteristics do, volumes of sides and classes fill the box, vertices
lie on the level exactly and within their error bounds, at a regular level inner edges of the mesh lie in two polygons, persistence
gives the Betti numbers of the lower side, the closed surfaces around both sides are dual to them (Alexander), images of regions have the dimension of their exact corners, nearest points lie on the level.

Part ``cells``: every set of every network is derived a second time with the engine: its conditions become neurons of one more layer,
that network's complex is enumerated from nothing, and all cells must agree, sign for sign. Incidences are checked as well: the
boundary of a boundary is zero, two Euler characteristics agree, covers follow the order of signs, volumes fill the box.
Networks are random, quantised, integer, pruned, or have no biases, in 1 to 4 inputs, on all of space and on boxes.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import polyfiber as pf
from polyfiber.testing import degenerate_corpus
from tests.oracles import topology as oracle
from tests.oracles.exact_faces import box as box_rows

ARCHITECTURES = [
    (2, 5, 4, 1), (3, 4, 3, 2), (1, 5, 3, 1), (2, 4, 3), (2, 4, 3, 3), (3, 5, 2), (2, 1, 3, 2), (3, 2, 3, 3), (2, 3, 2, 4),
    (4, 5, 2),
]  # fmt: skip


def network(architecture: tuple[int, ...], rng: np.random.Generator) -> pf.ReLUNetwork:
    """A network of one of five kinds."""
    net = pf.ReLUNetwork.random(architecture, rng=rng)
    W, b = list(net.weights), list(net.biases)
    kind = rng.integers(5)
    if kind == 1:
        W, b = [np.round(w * 2) / 2 for w in W], [np.round(x * 2) / 2 for x in b]
    elif kind == 2:
        W, b = [np.round(w) for w in W], [np.round(x) for x in b]
    elif kind == 3:
        W = [w * (rng.random(w.shape) > 0.4) for w in W]
    elif kind == 4:
        W, b = [np.round(w) for w in W], [0 * x for x in b]
    return pf.ReLUNetwork(W, b)


def problems_of(found: object) -> list[str]:
    """What is wrong with a set."""
    check = found.certificate.verify()  # type: ignore[attr-defined]
    problems = list(check.problems)
    if found.dimension >= 0:  # type: ignore[attr-defined]
        problems += found.strata.validate().problems  # type: ignore[attr-defined]
    return problems


def sets_of(cx: pf.PolyhedralComplex, rng: np.random.Generator) -> list[object]:
    """Sets of one complex, one of each kind."""
    value = float(rng.choice([0.0, 0.25, 0.5, 1.0]))
    return [
        cx.level_set(value),
        cx.sublevel_set(value),
        cx.superlevel_set(value),
        cx.decision_boundary(),
        cx.class_region(int(rng.integers(max(2, cx.network.architecture[-1])))),
    ]


def attack(seconds: float, seed: int, most: float = math.inf) -> tuple[int, int, list[str]]:
    """(networks, sets, problems) within some seconds, of so many networks at most."""
    end, networks, sets = time.monotonic() + seconds, 0, 0
    problems: list[str] = []
    while networks < most and time.monotonic() < end:
        rng = np.random.default_rng([seed, networks])
        architecture = ARCHITECTURES[int(rng.integers(len(ARCHITECTURES)))]
        net = network(architecture, rng)
        low = -1 - np.round(rng.random(architecture[0]) * 4) / 4
        box = pf.Box(low, low + 2.5) if rng.random() < 0.5 else None
        cx = pf.canonical_complex(net, box)
        networks += 1
        for found in sets_of(cx, rng):
            sets += 1
            problems += [f"seed [{seed}, {networks - 1}] {found}: {p}" for p in problems_of(found)]
        if box is not None and not cx.lineality_dimension:
            total = sum(
                float(part(0.25).sizes().sum())
                for part in (cx.sublevel_set, cx.superlevel_set)
                if part(0.25).dimension == architecture[0]
            )
            flat = cx.level_set(0.25)
            twice = float(flat.sizes().sum()) if flat.dimension == architecture[0] else 0.0
            if abs(total - twice - 2.5 ** architecture[0]) > 1e-9 * 2.5 ** architecture[0]:
                problems.append(f"seed [{seed}, {networks - 1}]: the sides have volume {total - twice}")
    return networks, sets, problems


# ---- against the oracle --------------------------------------------------------------------------
SMALL = [
    (1, 3, 1),
    (2, 3, 1),
    (2, 3, 2),
    (2, 3, 2, 1),
    (2, 4, 3),
    (3, 3, 1),
    (3, 3, 2),
    (2, 1, 2, 1),
    (3, 2, 2, 1),
    (2, 2, 2, 3),
    (3, 4, 1),
]
KINDS = ("random", "halves", "integers", "no biases", "pruned", "equal rows", "dead layer", "flat pieces")


def degenerate(architecture: tuple[int, ...], kind: str, rng: np.random.Generator) -> pf.ReLUNetwork:
    """A small network of one of the kinds that are not generic."""
    net = pf.ReLUNetwork.random(architecture, rng=rng)
    W, b = [w.copy() for w in net.weights], [x.copy() for x in net.biases]
    if kind == "halves":
        W, b = [np.round(w * 2) / 2 for w in W], [np.round(x * 2) / 2 for x in b]
    elif kind in ("integers", "no biases", "flat pieces"):
        W, b = [np.round(w * 1.5) for w in W], [np.round(x * 2) for x in b]
        b = [0 * x for x in b] if kind == "no biases" else b
        if kind == "flat pieces":
            W[-1] = rng.integers(-1, 2, W[-1].shape).astype(float)
            b[-1] = 0 * b[-1]
    elif kind == "pruned":
        W = [np.round(w * 2) * (rng.random(w.shape) > 0.4) for w in W]
        b = [np.round(x * 2) for x in b]
    elif kind == "equal rows":
        k = int(rng.integers(len(W) - 1))
        W[k][-1], b[k][-1] = rng.choice([1.0, -1.0, 2.0]) * W[k][0], b[k][0]
        W, b = [np.round(w * 4) / 4 for w in W], [np.round(x * 4) / 4 for x in b]
    elif kind == "dead layer":
        b[-2] = -np.abs(b[-2]) - 1
        W[-2] = -np.abs(np.round(W[-2])) if len(W) > 2 else 0 * W[-2]
    return pf.ReLUNetwork(W, b)


def levels_of(cx: pf.PolyhedralComplex, rng: np.random.Generator) -> list[Fraction]:
    """A level in general position, and one that a vertex has."""
    exact = cx.network.exact()
    v = cx.exact_vertices(np.array([rng.integers(cx.f_vector[0])]))
    at = Fraction(exact(v)[0][0])
    return [Fraction(int(rng.integers(-8, 9)), 8), at]


def compare(found: Any, truth: oracle.OracleSet) -> list[str]:
    """What a set and its truth disagree about."""
    problems = []
    if found.f_vector != truth.f_vector:
        return [f"f-vector {found.f_vector}, truth {truth.f_vector}"]
    ids: list[dict[tuple[int, ...], int]] = []
    for k, layer in enumerate(truth.layers):
        signs = found.signs(k)
        signs = np.concatenate([signs, found._condition_signs(k)], axis=1)
        ids.append({tuple(row): i for i, row in enumerate(signs.tolist())})
        if set(ids[k]) != set(layer):
            return [f"the cells of dimension {k} have other signs"]
        ptr, idx = found.facets_of(k) if k else (np.zeros(len(layer) + 1, dtype=int), np.zeros(0, dtype=int))
        unbounded = found.is_unbounded(k)
        for label, cell in layer.items():
            i = ids[k][label]
            if k and sorted(idx[ptr[i] : ptr[i + 1]].tolist()) != sorted(ids[k - 1][f] for f in cell.facets):
                problems.append(f"a cell of dimension {k} has other facets")
            if unbounded[i] == cell.bounded:
                problems.append(f"a cell of dimension {k} is bounded: {cell.bounded}, not so here")
            if k == 0 and tuple(found.exact_vertex(i)) != cell.pieces[0].vertices[0]:
                problems.append("a vertex lies elsewhere")
    if found.connected_components()[0] != truth.components():
        problems.append(f"{found.connected_components()[0]} components, truth {truth.components()}")
    if found.is_compact != truth.is_compact:
        problems.append("compact, or not")
    for support in ("bounded", "compactified", "borel-moore")[found.lineality_dimension > 0 and found.dimension >= 0 :]:
        asked = [(2, 2)] if truth.lineality else [(2, 2), (0, oracle.PRIME)]
        for characteristic, prime in asked:
            mine, theirs = found.betti_numbers(support, characteristic), truth.betti(support, prime)
            if mine != theirs:
                problems.append(f"Betti numbers {mine} ({support}, field {characteristic}), truth {theirs}")
        if found.euler_characteristic(support) != truth.euler(support):
            problems.append(
                f"Euler characteristic {found.euler_characteristic(support)} ({support}), truth {truth.euler(support)}"
            )
    return problems


def against_oracle(cases: int, seed: int, seconds: float = np.inf) -> tuple[int, int, Counter[str], list[str]]:
    """(networks, sets, sets by kind, problems): one network a case, five sets each."""
    end, sets, networks = time.monotonic() + seconds, 0, 0
    seen: Counter[str] = Counter()
    problems: list[str] = []
    for case in range(cases):
        if time.monotonic() > end:
            break
        rng = np.random.default_rng([seed, case, 7])
        kind = KINDS[case % len(KINDS)]
        architecture = SMALL[int(rng.integers(len(SMALL)))]
        net = degenerate(architecture, kind, rng)
        low, high = [-2] * architecture[0], [1.5] * architecture[0]
        if case % 7 == 0:  # a flat box, in the end a point
            high = [a if rng.random() < 0.6 else b for a, b in zip(low, high)]
        boxed = case % 7 == 0 or rng.random() < 0.4
        domain, rows = (pf.Box(low, high), box_rows(low, high)) if boxed else (None, None)
        cx = pf.canonical_complex(net, domain)
        networks += 1
        W, b, n_out = net.weights, net.biases, architecture[-1]
        tests: list[tuple[str, Any, Any]] = []
        for value in levels_of(cx, rng):
            keep = [(0,), (-1, 0), (0, 1)][int(rng.integers(3))] if len(tests) else (0,)
            call = {(0,): cx.level_set, (-1, 0): cx.sublevel_set, (0, 1): cx.superlevel_set}[keep]
            tests.append((f"{keep} at {float(value):g}", call(value), oracle.level(W, b, [value], [0], keep, rows)))
        at = levels_of(cx, rng)[1]
        tests.append(
            (f"level set through a vertex, {float(at):g}", cx.level_set(at), oracle.level(W, b, [at], [0], (0,), rows))
        )
        if n_out > 1:
            tests.append(("two outputs", cx.level_set([0, 0], [0, 1]), oracle.level(W, b, [0, 0], [0, 1], (0,), rows)))
        tests.append(("decision boundary", cx.decision_boundary(), oracle.classes(W, b, None, rows)))
        label = int(rng.integers(max(2, n_out)))
        tests.append((f"class {label}", cx.class_region(label), oracle.classes(W, b, label, rows)))
        if len(architecture) > 2 or n_out == 1:
            tests.append(("breakpoints", cx.breakpoint_complex().as_set(), oracle.breakpoints(W, b, rows)))
        for name, found, truth in tests:
            sets += 1
            seen[kind] += 1
            seen["compact" if truth.is_compact else "not compact"] += 1
            seen["empty"] += not truth.layers
            seen["whole cells"] += len(truth.layers) == cx.dimension + 1
            seen["with lineality"] += truth.lineality > 0
            seen["on flat boxes"] += case % 7 == 0 and low != high and cx.dimension < architecture[0]
            try:
                wrong = compare(found, truth)
            except Exception as error:  # an error is an answer too, and a wrong one
                wrong = [f"{type(error).__name__}: {error}"]
            problems += [
                f"seed [{seed}, {case}] {kind} {architecture} {'box' if domain else 'R^n'}, {name}: {p}" for p in wrong
            ]
    return networks, sets, seen, problems


def over_corpus(most: int, seed: int = 0) -> tuple[int, int, list[str], list[str]]:
    """(networks, sets, networks with more than some faces, problems) of the named degenerate networks."""
    networks, sets = 0, 0
    large: list[str] = []
    problems: list[str] = []
    for case in degenerate_corpus():
        domain = None if case.domain is None else pf.Polyhedron(*map(np.array, case.domain))
        cx = pf.canonical_complex(case.network, domain)
        if sum(cx.f_vector) > most:
            large.append(case.name)
            continue
        networks += 1
        W, b = case.network.weights, case.network.biases
        plain, vertex = levels_of(cx, np.random.default_rng([seed, networks]))
        for name, found, truth in (
            ("level set", cx.level_set(plain), oracle.level(W, b, [plain], [0], (0,), case.domain)),
            ("level set through a vertex", cx.level_set(vertex), oracle.level(W, b, [vertex], [0], (0,), case.domain)),
            ("sublevel set", cx.sublevel_set(vertex), oracle.level(W, b, [vertex], [0], (-1, 0), case.domain)),
            ("decision boundary", cx.decision_boundary(), oracle.classes(W, b, None, case.domain)),
            ("class 0", cx.class_region(0), oracle.classes(W, b, 0, case.domain)),
            ("breakpoints", cx.breakpoint_complex().as_set(), oracle.breakpoints(W, b, case.domain)),
        ):
            sets += 1
            problems += [f"{case.name}, {name}: {p}" for p in compare(found, truth)]
    return networks, sets, large, problems


# ---- identities in a box --------------------------------------------------------------------------
def identities(net: pf.ReLUNetwork, rng: np.random.Generator) -> list[str]:
    """What is wrong with a level set, its two sides and the classes of a network on a box."""
    d, wide = net.architecture[0], 2.75
    cx = pf.canonical_complex(net, pf.Box([-1.5] * d, [1.25] * d))
    exact, o = cx.network.exact(), int(rng.integers(net.architecture[-1]))
    values = sorted(set(exact(cx.exact_vertices())[:, o].tolist()))
    half = len(values) // 2
    regular = len(values) > 1 and rng.random() < 0.6
    c = (values[half - 1] + values[half]) / 2 if regular else values[half]
    level, below, above = cx.level_set(c, o), cx.sublevel_set(c, o), cx.superlevel_set(c, o)
    wrong = []
    if below.euler_characteristic() + above.euler_characteristic() - level.euler_characteristic() != 1:
        wrong.append("Euler characteristics do not add up")
    for field in (2, 0):
        a, b, m = ([*s.betti_numbers(field=field), *[0] * (d + 1)][: d + 1] for s in (below, above, level))
        want = [x + y - (k == 0 and level.dimension >= 0) for k, (x, y) in enumerate(zip(a, b))]
        if level.dimension >= 0 and m != want:
            wrong.append(f"Betti numbers {m}, those of the sides give {want} (field {field})")
    if _stripped(cx.persistence(o).betti(c)) != _stripped(below.betti_numbers()):
        wrong.append("persistence gives other Betti numbers")
    image = cx.image()
    for r in rng.permutation(cx.n_regions)[:5].tolist():
        corners, _ = image.exact(r)
        if rank([list(x - corners[0]) for x in corners[1:]]) != image.rank[r]:
            wrong.append(f"the image of region {r} has another dimension")
    if 0 < sum(level.f_vector) < 300:
        near = level.nearest_point(rng.uniform(-1.5, 1.25, d))
        if exact(np.array([near.exact_point], dtype=object))[0][o] != c:
            wrong.append("the nearest point is not on the level")
    for i in range(min(5, level.f_vector[0] if level.f_vector else 0)):
        x = np.array(level.exact_vertex(i), dtype=object)
        if exact(x[None])[0][o] != c:
            wrong.append("a vertex is not on the level")
        if max(abs(Fraction(float(f)) - e) for f, e in zip(level.vertices[i], x)) > level.vertex_errors[i]:
            wrong.append("a vertex is farther off than its bound")
    volume = sum(float(s.sizes().sum()) for s in (below, above) if s.dimension == d)
    volume -= float(level.sizes().sum()) if level.dimension == d else 0.0
    if abs(volume - wide**d) > 1e-8 * wide**d:
        wrong.append(f"the sides have volume {volume}")
    if cx.decision_boundary().dimension < d:
        classes = [cx.class_region(k) for k in range(max(2, net.architecture[-1]))]
        volume = sum(float(s.sizes().sum()) for s in classes if s.dimension == d)
        if abs(volume - wide**d) > 1e-8 * wide**d:
            wrong.append(f"the classes have volume {volume}")
    if regular and d == 3 and level.dimension == 2:
        mesh = level.mesh()
        rim = {tuple(sorted(e)) for e in mesh.border_edges.tolist()}
        if any(k != (1 if tuple(e) in rim else 2) for e, k in zip(*(x.tolist() for x in mesh.edge_use()))):
            wrong.append("an edge lies in a wrong number of polygons")
    if regular:
        wrong += duality(level, (below, "below")) + duality(level, (above, "above"))
    return wrong


def duality(level: Any, side: tuple[Any, str]) -> list[str]:
    """Alexander duality for a side of a regular level set in the plane or in space, and the closed surface around it.

    The surface has as many components as the side and the holes of its complement, b_0 + b_(d - 1); in space its genus, all components
    together, is b_1.
    """
    solid, cap = side
    d = level.complex.dimension
    if solid.dimension < d:
        return []
    mesh, b = level.mesh(cap=cap), [*solid.betti_numbers(), 0, 0]
    following = np.arange(len(mesh.indices)) + 1
    following[mesh.ptr[1:] - 1] = mesh.ptr[:-1]
    parent = list(range(len(mesh.points)))

    def root(v: int) -> int:
        while parent[v] != v:
            parent[v] = parent[parent[v]]
            v = parent[v]
        return v

    edges = {(min(e), max(e)) for e in zip(mesh.indices.tolist(), mesh.indices[following].tolist())}
    for v, w in edges:
        parent[root(v)] = root(w)
    components = len({root(v) for v in range(len(mesh.points))})
    wrong = [] if components == b[0] + b[d - 1] else [f"the surface of the side {cap} has {components} components"]
    if d == 3 and len(mesh.points) - len(edges) + mesh.n_polygons != 2 * components - 2 * b[1]:
        wrong.append(f"the surface of the side {cap} has another genus")
    return wrong


def rank(rows: list[list[Fraction]]) -> int:
    """Of a matrix of rationals, by elimination."""
    found = 0
    for column in range(len(rows[0]) if rows else 0):
        pivot = next((i for i in range(found, len(rows)) if rows[i][column]), None)
        if pivot is None:
            continue
        rows[found], rows[pivot] = rows[pivot], rows[found]
        for i in range(found + 1, len(rows)):
            factor = rows[i][column] / rows[found][column]
            rows[i] = [a - factor * b for a, b in zip(rows[i], rows[found])]
        found += 1
    return found


def _stripped(numbers: tuple[int, ...]) -> list[int]:
    """Without zeros at the end."""
    found = list(numbers)
    while found and not found[-1]:
        found.pop()
    return found


def in_boxes(seconds: float, seed: int, most: float = math.inf) -> tuple[int, list[str]]:
    """(networks, problems) within some seconds, of so many networks at most."""
    end, networks, problems = time.monotonic() + seconds, 0, []
    while networks < most and time.monotonic() < end:
        rng = np.random.default_rng([seed, networks, 11])
        hidden = [int(h) for h in rng.integers(2, 8, int(rng.integers(1, 4)))]
        net = network((int(rng.integers(2, 4)), *hidden, int(rng.integers(1, 4))), rng)
        networks += 1
        problems += [f"seed [{seed}, {networks - 1}] {net.architecture}: {p}" for p in identities(net, rng)]
    return networks, problems


def main() -> int:
    """Run the attack and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--part", choices=("cells", "oracle", "corpus", "box"), default="cells")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--cases", type=int, help="networks of the part oracle, whatever time they take")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.part == "corpus":
        count, n_sets, large, wrong = over_corpus(900, options.seed)
        print("\n".join(wrong[:20]))
        print(f"{count} networks, {n_sets} sets, {len(wrong)} wrong; more than 900 faces: {', '.join(large)}")
        return bool(wrong)
    if options.part == "box":
        count, wrong = in_boxes(options.seconds, options.seed)
        print("\n".join(wrong[:20]))
        print(f"{count} networks, {len(wrong)} wrong")
        return bool(wrong)
    if options.part == "oracle":
        seconds = np.inf if options.cases else options.seconds
        count, n_sets, seen, wrong = against_oracle(options.cases or 1 << 30, options.seed, seconds)
        for line in wrong[:20]:
            print(line)
        print(", ".join(f"{n} {k}" for k, n in sorted(seen.items())))
        print(f"{count} networks, {n_sets} sets, {len(wrong)} wrong")
        return bool(wrong)
    networks, sets, problems = attack(options.seconds, options.seed)
    for line in problems[:20]:
        print(line)
    print(f"{networks} networks, {sets} sets, {len(problems)} wrong")
    return bool(problems)


if __name__ == "__main__":
    raise SystemExit(main())
