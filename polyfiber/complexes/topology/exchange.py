"""Cells and networks in the formats of other programs: gudhi, TopoNetX, networkx, polymake, Sage, SMT-LIB, LP files."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ... import words
from ..._typing import Array
from ...domain import Box, Polyhedron
from ...errors import InputError, MissingDependencyError, renamed_argument
from ...network.model import ReLUNetwork
from ...network.piecewise import PiecewiseLinearNetwork, function_chain, require_network
from ...numerics import exact
from ..breakpoints.ridges import full_predicate
from .sets import PolyhedralSet
from .surfaces import corners_around, simplices
from .surfaces import write_text as write_text

if TYPE_CHECKING:
    from ..complex import PolyhedralComplex


def _require_set(found: Any) -> None:
    if not isinstance(found, PolyhedralSet):
        raise InputError(f"expected a set such as cx.level_set(0), found {type(found).__name__}")


def _require_bounded(found: Any) -> None:
    _require_set(found)
    if not found.is_compact:
        raise InputError("the set is unbounded; take the complex on a box")


def to_gudhi(found: PolyhedralSet) -> Any:
    """A bounded set as a ``gudhi.SimplexTree``: every cell cut into simplices on its own vertices (extra ``gudhi``)."""
    try:
        import gudhi
    except ImportError:
        raise MissingDependencyError("gudhi", extra="topology", purpose="simplex trees") from None
    _require_bounded(found)
    tree = gudhi.SimplexTree()
    for k in range(found.dimension + 1):
        for corners in simplices(found, k)[1].tolist():
            tree.insert(corners)
    return tree


def to_toponetx(found: PolyhedralSet) -> Any:
    """Vertices, edges and polygons of a bounded set as a ``toponetx.CellComplex`` (extra ``toponetx``)."""
    try:
        import toponetx
    except ImportError:
        raise MissingDependencyError("toponetx", extra="topology", purpose="cell complexes") from None
    _require_bounded(found)
    result = toponetx.CellComplex()
    for v in range(len(found.vertices)):
        result.add_node(v)
    if found.dimension >= 1:
        for a, b in found.edges.tolist():
            result.add_edge(a, b)
    if found.dimension >= 2:
        ptr, edges = found.facets_of(2)
        corners = corners_around(ptr, edges, found.edges)
        for c in range(len(ptr) - 1):
            result.add_cell(corners[ptr[c] : ptr[c + 1]].tolist(), rank=2)
    return result


def to_networkx(found: PolyhedralSet) -> Any:
    """The cells as a ``networkx.DiGraph``: nodes (dimension, row) with ``bounded`` and, for vertices, ``point``; facet
    to cell.
    """
    _require_set(found)
    import networkx as nx

    graph = nx.DiGraph()
    for k in range(found.dimension + 1):
        for i, unbounded in enumerate(found.is_unbounded(k).tolist()):
            graph.add_node((k, i), bounded=not unbounded)
        if k:
            ptr, idx = found.facets_of(k)
            owners = np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))
            graph.add_edges_from(((k - 1, f), (k, c)) for f, c in zip(idx.tolist(), owners.tolist()))
    for i, point in enumerate(found.vertices):
        graph.nodes[0, i]["point"] = tuple(point.tolist())
    return graph


def exact_region_rows(cx: PolyhedralComplex, region: int) -> Array:
    """Irredundant inequalities ``row[:-1] . x + row[-1] >= 0`` of a region as Fractions, (m, n0 + 1).

    On a flat domain those within the flat, and two for each of its equations.
    """
    if not hasattr(cx, "h_representation"):
        raise InputError(f"expected a PolyhedralComplex, found {type(cx).__name__}; counts alone hold no regions")
    region = cx._region_id(region)
    columns = cx.h_representation(region).facets
    predicate, frame = full_predicate(cx), cx._frame
    planes = cx._store.planes(cx.dimension)[region]
    signs = cx._store.to_signs(planes[None])[0]
    rows = np.full((len(columns), cx.network.architecture[0] + 1), Fraction(0), dtype=object)
    for i, c in enumerate(columns.tolist()):
        facet = c + frame.n_domain if c < frame.n_neurons else c - frame.n_neurons
        rows[i] = [int(signs[c]) * v for v in predicate.form(facet, planes)]
    equal = np.array(frame.equations, dtype=object).reshape(-1, rows.shape[1])
    return np.concatenate([rows, equal, -equal])


def _number(x: Fraction) -> str:
    return str(x.numerator) if x.denominator == 1 else f"{x.numerator}/{x.denominator}"


def region_text(cx: PolyhedralComplex, region: int, form: Literal["polymake", "sage", "smtlib", "lp"]) -> str:
    """A region as text: its inequalities exact, but for the LP file.

    Parameters
    ----------
    cx : PolyhedralComplex
    region : int
    form : 'polymake', 'sage', 'smtlib' or 'lp'
        A polymake script, a Sage expression, SMT-LIB 2 assertions, or a CPLEX LP file, whose rows are scaled and
        rounded to doubles.
    """
    if form not in ("polymake", "sage", "smtlib", "lp"):
        raise InputError(f"form must be 'polymake', 'sage', 'smtlib' or 'lp', found {form!r}")
    rows = exact_region_rows(cx, region)
    if form == "polymake":
        lines = ",\n  ".join("[" + ", ".join(_number(v) for v in [row[-1], *row[:-1]]) + "]" for row in rows)
        return f"$p = new Polytope<Rational>(INEQUALITIES=>[\n  {lines}\n]);\n"
    if form == "sage":
        lines = ",\n  ".join("(" + ", ".join(_number(v) for v in [row[-1], *row[:-1]]) + ")" for row in rows)
        return f"Polyhedron(ieqs=[\n  {lines}\n], base_ring=QQ)\n"
    if form == "smtlib":
        n0 = cx.network.architecture[0]
        head = ["(set-logic QF_LRA)", *(f"(declare-const x{i} Real)" for i in range(n0))]
        return "\n".join([*head, *(f"(assert (>= {_smt_sum(row)} 0))" for row in rows)]) + "\n"
    return _lp([(f"c{i}", row) for i, row in enumerate(rows)], cx.network.architecture[0])


def _smt(x: Fraction) -> str:
    size = abs(x)
    text = f"{size.numerator}.0" if size.denominator == 1 else f"(/ {size.numerator}.0 {size.denominator}.0)"
    return text if x >= 0 else f"(- {text})"


def _smt_sum(row: Array, names: list[str] | None = None) -> str:
    """``row[:-1] . names + row[-1]``."""
    names = names or [f"x{i}" for i in range(len(row) - 1)]
    parts = [f"(* {_smt(Fraction(a))} {n})" for a, n in zip(row[:-1], names) if a != 0]
    if row[-1] != 0 or not parts:
        parts.append(_smt(Fraction(row[-1])))
    return parts[0] if len(parts) == 1 else f"(+ {' '.join(parts)})"


def _rounded(row: Any) -> list[float]:
    """A row divided by its largest coefficient, rounded: solvers take numbers beyond 1e20 for infinite."""
    largest = max((abs(Fraction(v)) for v in row[:-1]), default=Fraction(1)) or Fraction(1)
    return [float(Fraction(v) / largest) for v in row]


def _linear(coefficients: list[float], names: list[str]) -> str:
    terms = [f"{'+' if a > 0 else '-'} {abs(a)!r} {n}" for a, n in zip(coefficients, names) if a]
    return " ".join(terms) or f"0 {names[0]}"


def _wrapped(row: str) -> str:
    """A row on lines as short as the LP format asks for (CPLEX: 560 letters), broken before a sign."""
    lines = [""]
    for term in re.split(r" (?=[-+<>=]+ )", row):
        if len(lines[-1]) + len(term) >= 200 and lines[-1]:
            lines.append(" ")
        lines[-1] += f" {term}"
    return "\n".join(lines)


def _lp(rows: list[tuple[str, Array]], n0: int) -> str:
    names = [f"x{i}" for i in range(n0)]
    lines = ["Minimize", f" obj: 0 {names[0]}", "Subject To"]
    for label, row in rows:
        numbers = _rounded(row)
        lines.append(_wrapped(f"{label}: {_linear(numbers[:-1], names)} >= {-numbers[-1]!r}"))
    return "\n".join([*lines, "Bounds", *(f" {n} free" for n in names), "End", ""])


@renamed_argument("box", "domain")
def network_text(
    network: ReLUNetwork | PiecewiseLinearNetwork, domain: Polyhedron, form: Literal["smtlib", "lp"]
) -> str:
    """A network on a bounded domain as SMT-LIB 2 text (exact), or as a mixed-integer LP file (rows rounded to doubles).

    Inputs are ``x0, x1, …``, outputs ``y0, y1, …``; hidden values ``h_layer_neuron``. The LP file has one binary
    variable a neuron, with big-M constants from exact interval bounds.

    Parameters
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
        The latter as the chain that computes the same (`PiecewiseLinearNetwork.to_chain`).
    domain : Box or Polyhedron
        For ``lp`` a `Box`.
    form : 'smtlib' or 'lp'
    """
    net = function_chain(require_network(network)).exact()
    n0 = net.architecture[0]
    if form not in ("smtlib", "lp"):
        raise InputError(f"form must be 'smtlib' or 'lp', found {form!r}")
    if not isinstance(domain, Polyhedron) or domain.dimension != n0:
        raise InputError(f"expected a domain of {words.count(n0, 'coordinate')}, found {domain!r}")
    rows = exact.as_fractions(domain.affine_forms())
    return (_network_smt if form == "smtlib" else _network_lp)(net, rows, domain)


def _network_smt(net: ReLUNetwork, domain: Array, box: Polyhedron) -> str:
    names = [f"x{i}" for i in range(net.architecture[0])]
    lines = ["(set-logic QF_LRA)", *(f"(declare-const {n} Real)" for n in names)]
    lines += [f"(assert (>= {_smt_sum(row, names)} 0))" for row in domain]
    for layer, (W, b) in enumerate(zip(net.weights, net.biases), start=1):
        last = layer == len(net.weights)
        new = [f"y{i}" if last else f"h_{layer}_{i}" for i in range(len(b))]
        for n, row, c in zip(new, W, b):
            form = _smt_sum(np.append(row, c), names)
            lines.append(f"(declare-const {n} Real)")
            lines.append(f"(assert (= {n} {form}))" if last else f"(assert (= {n} (ite (>= {form} 0) {form} 0.0)))")
        names = new
    return "\n".join(lines) + "\n"


def _network_lp(net: ReLUNetwork, domain: Array, box: Polyhedron) -> str:
    if not isinstance(box, Box):
        raise InputError("the LP file needs a Box: its big-M constants come from intervals")
    low = np.array([Fraction(v) for v in box.lo], dtype=object)
    high = np.array([Fraction(v) for v in box.hi], dtype=object)
    names = [f"x{i}" for i in range(len(low))]
    free = list(names)
    rows: list[str] = []
    binaries: list[str] = []

    def add(label: str, coefficients: list[Fraction], variables: list[str], relation: str, right: Fraction) -> None:
        numbers = _rounded([*coefficients, right])
        rows.append(_wrapped(f"{label}: {_linear(numbers[:-1], variables)} {relation} {numbers[-1]!r}"))

    for i, row in enumerate(domain):
        add(f"domain_{i}", list(row[:-1]), names, ">=", -row[-1])
    for layer, (W, b) in enumerate(zip(net.weights, net.biases), start=1):
        last = layer == len(net.weights)
        new = [f"y{i}" if last else f"h_{layer}_{i}" for i in range(len(b))]
        lower, upper = [], []
        for i, (n, row, c) in enumerate(zip(new, W, b)):
            least = sum((a * (lo if a > 0 else hi) for a, lo, hi in zip(row, low, high)), Fraction(c))
            most = sum((a * (hi if a > 0 else lo) for a, lo, hi in zip(row, low, high)), Fraction(c))
            minus = [-a for a in row]
            free.append(n)
            if last:
                add(f"out_{i}", [Fraction(1), *minus], [n, *names], "=", Fraction(c))
                continue
            z = f"z_{layer}_{i}"
            binaries.append(z)
            below, over = min(least, Fraction(0)), max(most, Fraction(0))
            add(f"pos_{layer}_{i}", [Fraction(1)], [n], ">=", Fraction(0))
            add(f"above_{layer}_{i}", [Fraction(1), *minus], [n, *names], ">=", Fraction(c))
            add(f"on_{layer}_{i}", [Fraction(1), *minus, -below], [n, *names, z], "<=", c - below)
            add(f"off_{layer}_{i}", [Fraction(1), -over], [n, z], "<=", Fraction(0))
            lower.append(Fraction(0) if least < 0 else least)
            upper.append(over)
        names, low, high = new, np.array(lower, dtype=object), np.array(upper, dtype=object)
    head = ["Minimize", f" obj: 0 {free[0]}", "Subject To"]
    tail = ["Bounds", *(f" {n} free" for n in free), "Binaries", *(f" {z}" for z in binaries), "End", ""]
    return "\n".join([*head, *rows, *tail])
