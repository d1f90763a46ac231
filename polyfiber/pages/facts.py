"""Ask the library about one network, within a budget, and write the answers down as sections.

What does not fit the budget is said to be open, with the call that answers it; nothing is guessed.
"""

from __future__ import annotations

import hashlib
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import words
from ..budget import Budget, Monitor
from ..complexes.build import canonical_complex, estimate_size
from ..complexes.complex import PolyhedralComplex
from ..complexes.genericity import genericity
from ..complexes.topology.sets import Support
from ..domain import Box, Polyhedron
from ..equivalence.minimize import minimize
from ..errors import GenericityError, IncompleteError, InputError, NumericalError, PolyfiberError
from ..fibers.classify import FiberReport, classify_fiber
from ..fibers.dimension import local_fiber
from ..fibers.gates.findings import gate_findings
from ..network.model import ReLUNetwork
from ..network.piecewise import PiecewiseLinearNetwork
from ..network.summary import describe, describe_piecewise
from ..verdict import Verdict
from .sections import Section, count, first, number

MOST_FACES = 3_000_000
"""Faces expected of a complex that a page enumerates unasked."""

PROOF_SECONDS = 10.0
"""For the proof that a smaller network is the same function."""

NAMES = ("vertices", "edges", "polygons")

OPEN = (IncompleteError, GenericityError, NumericalError)
"""Answers that say that the question stays open."""


@dataclass
class Asked:
    """A network, where, and what is known of it so far.

    Attributes
    ----------
    net : ReLUNetwork or PiecewiseLinearNetwork
    name : str
        As the page calls it.
    file : Path or None
    domain : Box or Polyhedron or None
    monitor : Monitor
    cx : PolyhedralComplex or None
        Whole, on the domain; None where it was not enumerated.
    boundary : PolyhedralSet or None
    """

    net: ReLUNetwork | PiecewiseLinearNetwork
    name: str
    file: Path | None
    domain: Polyhedron | None
    monitor: Monitor
    cx: PolyhedralComplex | None = None
    boundary: Any = None
    minimized: Any = None
    options: str | None = ""
    seen: dict[str, Any] = field(default_factory=dict)

    def share(self, part: float, most: float = float("inf")) -> Budget:
        """A part of the time that is left, and not more than so many seconds."""
        rest = self.monitor.rest()
        return rest.part(None if rest.seconds is None else min(most, rest.seconds * part))

    @property
    def shown_file(self) -> str:
        """The file as a command names it."""
        return "FILE" if self.file is None else quoted(self.file.name)

    def on_domain(self, *calls: str) -> tuple[str, ...]:
        """Commands about the file on the domain, ``{}`` of each; none where no command can name the domain."""
        return () if self.options is None else tuple(c.format(f"{self.shown_file}{self.options}") for c in calls)


def on(domain: Polyhedron | None, n: int) -> str:
    """A domain in words.

    Examples
    --------
    >>> from polyfiber import Box
    >>> on(Box([0, 0], [1, 2]), 2), on(None, 3)
    ('the box [0, 1] x [0, 2]', 'all of R^3')
    """
    return words.place(domain, n).removeprefix("on ")


def quoted(name: str) -> str:
    """The name of a file as a shell takes it, for that file and nothing else.

    Examples
    --------
    >>> quoted("net.onnx"), quoted("my net.onnx"), quoted("-rf"), quoted("$(ls)")
    ('net.onnx', "'my net.onnx'", './-rf', "'$(ls)'")
    """
    return shlex.quote(f"./{name}" if name.startswith("-") else name)


def options_of(domain: Polyhedron | None) -> str | None:
    """The option of a command that names a domain; None for rational ends that are no floats.

    Examples
    --------
    >>> from fractions import Fraction
    >>> from polyfiber import Box, Polyhedron
    >>> options_of(Box([0, 0.5], [1, 2])), options_of(Polyhedron([[1, 1]], [1]))
    (' --box 0,1,0.5,2', ' --domain DOMAIN.npz')
    >>> options_of(None), options_of(Box([Fraction(1, 3)], [1]))
    ('', None)
    """
    if domain is None:
        return ""
    ends = (domain.lo, domain.hi) if isinstance(domain, Box) else (domain.A, domain.b)
    if not all(_is_float(v) for end in ends if end.dtype == object for v in end.ravel()):
        return None
    if not isinstance(domain, Box):
        return " --domain DOMAIN.npz"
    return " --box " + ",".join(f"{float(v):.17g}" for pair in zip(domain.lo, domain.hi) for v in pair)


def _is_float(value: Any) -> bool:
    try:
        return bool(float(value) == value)
    except OverflowError:
        return False


def attempt(asked: Asked, make: Callable[[Asked], Section], name: str, title: str, call: str) -> Section:
    """A section, or one that says why it is open."""
    try:
        with asked.monitor.watching():
            return make(asked)
    except OPEN as error:
        return Section(
            name, title, f"Open: {' '.join(str(error).split())}", Verdict.UNDECIDED, remarks=(f"To ask again: {call}",)
        )
    except (PolyfiberError, MemoryError) as error:
        return Section(name, title, f"Not answered: {' '.join(str(error).split()) or type(error).__name__}")


def sections_of(asked: Asked, names: Sequence[str]) -> list[Section]:
    """Sections about one network, in the order given; later ones use what earlier ones found."""
    found: list[Section] = []
    for name in names:
        make, title, call = QUESTIONS[name]
        asked.monitor.report(f"report: {name}", len(found), len(names))
        call = call.format(file=asked.shown_file, options=asked.options or "")
        found.append(attempt(asked, make, name, title, call))
    return found


def _network(asked: Asked) -> Section:
    chain = isinstance(asked.net, ReLUNetwork)
    facts = describe(asked.net) if isinstance(asked.net, ReLUNetwork) else describe_piecewise(asked.net)
    rows = [("widths", "-".join(map(str, facts["architecture"]))), ("parameters", number(facts["parameters"]))]
    rows.append(("hidden neurons", number(asked.net.n_hidden)))
    for key in ("format", "dtype", "producer", "head", "arithmetic"):
        if facts.get(key):
            rows.append((key, str(facts[key])))
    if asked.file is not None and asked.file.is_file():
        rows.append(("SHA-256 of the file", hashlib.sha256(asked.file.read_bytes()).hexdigest()))
    for key, what in (("zero_weights", "weights that are zero"), ("zero_biases", "biases that are zero")):
        if any(facts.get(key) or ()):
            rows.append((f"{what}, by layer", ", ".join(map(number, facts[key]))))
    for key in ("dead", "constant", "unused"):
        if facts.get(key):
            rows.append((f"neurons that are {key}", _neurons(facts[key])))
    for key, what in (("duplicate_rows", "equal rows"), ("proportional_rows", "proportional rows")):
        if facts.get(key):
            rows.append((what, "; ".join(first([_neurons(g) for g in facts[key]], "groups"))))
    if not chain:
        rows.append(("gates", ", ".join(f"{n} {kind}" for kind, n in facts["gates"].items()) or "none"))
    remarks = list(facts["notes"]) if facts.get("notes") else []
    folded = facts.get("folding") or []
    for record in folded:
        how = (
            "exactly"
            if record["exact"]
            else f"changing a weight by at most {record['weight_error']:.2g} and a bias by at most {record['bias_error']:.2g}"
        )
        out_of = f" of {', '.join(record['operations'])}" if "operations" in record else ""
        remarks.append(f"Layer {record['layer']} was multiplied out{out_of}, {how}.")
    kind = "a ReLU network" if chain else "a network of gates"
    lead = f"{asked.name} is {kind} with {count(asked.net.architecture[0], 'input')}, "
    lead += f"{count(len(asked.net.hidden_widths), 'hidden layer' if chain else 'block')} and {count(asked.net.architecture[-1], 'output')}; "
    if asked.file is None and not facts.get("file"):
        lead += "its weights were handed over in Python."
    elif any(not r["exact"] for r in folded):
        lead += "reading it rounded some weights, by as much as is said below."
    else:
        lead += "reading it rounded nothing."
    return Section(
        "network", "What is the network, and what did reading it do?", lead, rows=rows, remarks=first(remarks)
    )


def _neurons(pairs: Any) -> str:
    shown = [f"{p} of layer {layer}" for layer, p in pairs[:8]]
    return ", ".join(shown) + (f" and {len(pairs) - 8:,} more" if len(pairs) > 8 else "")


def _complex(asked: Asked) -> Section:
    title = "How many regions and faces?"
    where = on(asked.domain, asked.net.architecture[0])
    expected = estimate_size(asked.net, asked.domain)["faces"]
    if expected > MOST_FACES:
        return Section(
            "complex",
            title,
            f"Not enumerated: about {words.about(expected)} faces are expected on {where}, more than the {MOST_FACES:,} of a page.",
            Verdict.UNDECIDED,
            remarks=("Give a smaller box, count block by block, or explore around a point; the picture is a slice.",),
            commands=(f"polyfiber complex {asked.shown_file} --count", f"polyfiber info {asked.shown_file}"),
        )
    cx = asked.cx = canonical_complex(asked.net, asked.domain, budget=asked.share(0.4))
    f, c = cx.f_vector, cx.certificate
    top = cx.dimension
    table = []
    for k, n in enumerate(f):
        name = "regions" if k == top else NAMES[k] if k < 2 else "facets" if k == top - 1 else f"{k}-faces"
        open_ones = int(cx.is_unbounded(k).sum())
        table.append((str(k), name, f"{n:,}", f"{n - open_ones:,}"))
    lipschitz = cx.lipschitz()
    rows = [
        ("domain", where + ("; DOMAIN.npz holds its arrays A and b" if "DOMAIN" in (asked.options or "") else "")),
        (
            "Lipschitz constant",
            f"{number(lipschitz.value, 9)} ± {lipschitz.error:.2g} in the 2-norm, on region {lipschitz.region}",
        ),
        ("Euler characteristic", str(cx.euler_characteristic)),
        ("dimensions along which nothing changes", str(cx.lineality_dimension)),
        ("signs decided", f"{c.filtered:,} by a bound of rounding, {c.structural:,} by rank, {c.exact:,} in rationals"),
        ("largest error bound of a coordinate", f"{c.largest_error:.2g}"),
    ]
    if c.settled is not None and len(c.settled):
        rows.append(("neurons that keep one sign on the domain", number(len(c.settled))))
    lead = (
        f"{count(cx.n_regions, 'region')}, {count(sum(f), 'face')} in all, on {where}: complete, every sign certified."
    )
    return Section(
        "complex", title, lead, Verdict.YES, rows=rows, header=("dimension", "", "faces", "bounded"), table=table,
        commands=asked.on_domain("polyfiber complex {}"),
    )  # fmt: skip


def _boundary(asked: Asked) -> Section:
    title = "Where does the class change, and what shape has that?"
    cx = _needed(asked)
    if cx.network.n_hidden == 0:
        return Section("boundary", title, "The network is affine: the class changes on hyperplanes.")
    found = asked.boundary = cx.decision_boundary(budget=asked.share(0.3))
    if asked.net.architecture[-1] == 1:
        title = "Where is the output zero, and what shape has that?"
    if found.dimension < 0:
        return Section("boundary", title, "Nowhere: one class is the largest everywhere on the domain.", Verdict.YES)
    support: Support = "borel-moore" if found.lineality_dimension else "bounded"
    betti = found.betti_numbers(support)
    pieces, _ = found.connected_components()
    names = [NAMES[k] if k < 3 else f"cells of dimension {k}" for k in range(len(found.f_vector))]
    rows = [
        ("cells", ", ".join(f"{n:,} {name}" for n, name in zip(found.f_vector, names))),
        ("connected pieces", number(int(pieces))),
        (f"Betti numbers over two elements ({support} cells)", ", ".join(map(str, betti))),
        ("Euler characteristic", str(found.euler_characteristic(support))),
        ("compact", "yes" if found.is_compact else "no"),
    ]
    if found.is_compact and found.dimension:
        what = {1: "length", 2: "area"}.get(found.dimension, "size")
        rows.append((what, number(sum(found.sizes().tolist()), 9)))  # inf where no float holds it
    top = found.classes(found.dimension)
    each, times = np.unique(top, axis=0, return_counts=True)
    table: list[tuple[str, ...]] = [
        (" and ".join(str(c) for c in np.flatnonzero(r)), f"{int(k):,}") for r, k in zip(each, times)
    ]
    lead = (
        f"The boundary has {count(int(pieces), 'piece')}, made of {count(found.f_vector[-1], 'cell')} of dimension "
        f"{found.dimension}; which side every vertex lies on is certified."
    )
    remarks = []
    if found.dimension == cx.dimension:
        remarks.append(
            "Some classes tie on whole regions: there the boundary is as thick as the space (grey in the picture)."
        )
    return Section(
        "boundary", title, lead, Verdict.YES, rows=rows, header=("classes that meet", "cells"), table=first_rows(table),
        remarks=remarks, commands=asked.on_domain("polyfiber boundary {} --verify"),
    )  # fmt: skip


def first_rows(table: list[tuple[str, ...]], most: int = 40) -> list[tuple[str, ...]]:
    """The first rows, and one that says how many follow."""
    if len(table) <= most:
        return table
    return [*table[:most], (f"… {len(table) - most:,} more", *[""] * (len(table[0]) - 1))]


def _gates(asked: Asked) -> Section:
    title = "What can be said of its gates?"
    assert isinstance(asked.net, PiecewiseLinearNetwork)
    found = gate_findings(asked.net, asked.domain, complex=asked.cx, budget=asked.share(0.4))
    rows = [(kind, f"{n:,}") for kind, n in Counter(f.kind for f in found).items()]
    if asked.cx is not None:
        near = local_fiber(asked.net, regions=asked.cx, budget=asked.share(0.3))
        rows.append(
            ("functional dimension", f"{near.functional_dimension:,} of {count(near.n_parameters, 'parameter')}")
        )
        rows.append(("dimension near these parameters, modulo scaling", str(near.dimension)))
    lead = "Which other parameters compute the same function is answered by theorems about ReLU chains alone; of the gates "
    lead += (
        f"{count(len(found), 'thing')} {'is' if len(found) == 1 else 'are'} found." if found else "nothing was found."
    )
    return Section("fiber", title, lead, rows=rows, remarks=first([f"{f.text} (by {f.by})" for f in found]))


def _fiber(asked: Asked) -> Section:
    if not isinstance(asked.net, ReLUNetwork):
        return _gates(asked)
    cx = asked.cx if asked.domain is None else None
    report = classify_fiber(asked.net, complex=cx, budget=asked.share(0.4))
    asked.seen["fiber"] = report
    rows = [("considered on", on(None, asked.net.architecture[0])), ("kind", report.kind), ("why", report.reason)]
    if report.dimension is not None:
        rows.append(("dimension modulo scaling", str(report.dimension)))
        rows.append(("dimension in parameter space", str(report.raw_dimension)))
    elif report.beyond is not None:
        low, high = report.beyond.bounds
        rows.append(("dimension modulo scaling", f"at least {low}" + ("" if high is None else f", at most {high}")))
    if report.roles:
        roles = Counter(report.roles)
        rows.append(("last hidden layer", ", ".join(f"{n} {role}" for role, n in roles.items())))
    rows.append(("components listed are all there are", "yes" if report.complete else "not proved"))
    state = Verdict.of(report.identifiable)
    if report.kind == "undecided":
        rows += _local(asked, report)
    remarks = [f"{f.text} (by {f.by})" for f in report.findings]
    others = report.identifiable is False and (report.beyond is None or report.beyond.part is not None)
    if others and report.kind != "undecided":
        remarks += [f"Component: {c}" for c in _some(report)]
    remarks += [*report.notes, *(f"Assumed: {t}" for t in report.regime.assumed)]
    commands = [f"polyfiber classify {asked.shown_file}"]
    if others and report.kind != "undecided":
        commands.append(f"polyfiber classify {asked.shown_file} --sample other.npz")
    stopped = any("budget" in text for text in (*report.facts.fallback, *report.notes))
    return Section(
        "fiber", "Which other parameters compute the same function?", report.sentence, state,
        {Verdict.YES: "identifiable", Verdict.NO: "not identifiable"}.get(state, "open far away" if report.kind == "rigid" else ""),
        rows=rows, remarks=first(remarks), commands=commands, waits=report.kind == "undecided" and stopped,
    )  # fmt: skip


def _some(report: FiberReport, most: int = 6) -> list[str]:
    found: list[str] = []
    for c in report.components():
        if len(found) == most:
            return [*found, "…"]
        found.append(str(c))
    return found


def _local(asked: Asked, report: FiberReport) -> list[tuple[str, str]]:
    if asked.cx is None or asked.domain is not None:
        return []
    try:
        found = local_fiber(asked.net, budget=asked.share(0.3))
    except OPEN as error:
        return [("dimension near these parameters", f"open: {' '.join(str(error).split())}")]
    proven = "" if found.proven else " (a bound: not proved to be attained)"
    return [
        ("functional dimension", f"{found.functional_dimension:,} of {count(found.n_parameters, 'parameter')}"),
        ("dimension near these parameters, modulo scaling", f"{found.dimension}{proven}"),
    ]


def _minimized(asked: Asked) -> Section:
    small = asked.cx is not None and asked.domain is None
    result = asked.minimized = minimize(
        asked.net, prove=small, use_complex=None if small else False, budget=asked.share(0.2, PROOF_SECONDS)
    )
    before, after = ("-".join(map(str, n.architecture)) for n in (result.original, result.network))
    rows = [
        ("considered on", on(None, asked.net.architecture[0])),
        ("widths", f"{before} → {after}"),
        ("saved", f"{count(result.saved_neurons, 'neuron')}, {count(result.saved_parameters, 'parameter')}"),
        ("activity of neurons decided from", result.source),
    ]
    state = None
    if result.proof is not None:
        state = result.proof.verdict
        rows.append(("same function", f"{state.value}: {result.proof.reason} ({result.proof.method})"))
    if result.saved_neurons:
        lead = f"{count(result.saved_neurons, 'neuron')} can go without changing the function: {before} → {after}. A smaller network that these moves do not reach is not excluded."
    else:
        lead = "Dropping, merging and re-factoring find nothing to remove."
    moves = [f"Move: {m}" for m in result.steps] + [f"Undecided: {t}" for t in result.undecided]
    return Section(
        "minimized", "Is there a smaller network with the same function?", lead, state, rows=rows, remarks=first(moves),
        commands=(f"polyfiber minimize {asked.shown_file} -o smaller.npz --prove",),
    )  # fmt: skip


def _margins(asked: Asked) -> Section:
    title = "How far is the network from a special position?"
    found = genericity(asked.net, asked.domain, complex=_needed(asked), budget=asked.share(0.4))
    rows = [("every face on as many walls as its codimension", f"{found.supertransversal.value}: {found.reason}")]
    if found.vertex_margin is not None:
        rows.append(("least distance of a vertex to another wall", number(found.vertex_margin, 3)))
    rows.append(
        (
            "masked products of full rank",
            f"{found.full_rank_products.value}, {found.n_products:,} from {count(found.n_regions, 'region')}",
        )
    )
    if found.worst_product is not None:
        rows.append(("smallest relative singular value of one", number(found.worst_product.singular_value, 3)))
    rows.append(("ridges of two layers that do not bend", number(found.n_unbent_ridges)))
    rows.append(("facets whose weights cancel", number(found.n_cancelling_facets)))
    if found.weight_margin is not None:
        rows.append(("least relative weight of a facet", number(found.weight_margin, 3)))
    good = {
        Verdict.YES: "In general position; the margins say how far.",
        Verdict.NO: "Not in general position; the complex was built face by face.",
        Verdict.UNDECIDED: "Not decided.",
    }
    word = {Verdict.YES: "generic", Verdict.NO: "not generic"}.get(found.supertransversal, "")
    return Section("margins", title, good[found.supertransversal], found.supertransversal, word, rows)


def _certificate(asked: Asked) -> Section:
    cx = _needed(asked)
    check = cx.certificate.verify(budget=asked.share(0.8))
    rows = [
        (
            "checked anew",
            f"{count(check.signs, 'sign')}, {count(check.edges, 'edge')} or incidences, {count(check.vertices, 'vertex', 'vertices')}",
        ),
        ("settled in rationals", number(check.exact)),
    ]
    lead = {
        Verdict.YES: "The certificate was checked anew by other code than made it, and holds.",
        Verdict.NO: "The certificate was REFUTED: believe nothing on this page and report it.",
        Verdict.UNDECIDED: "The certificate was checked in part; what is open is below.",
    }[check.verdict]
    remarks = [f"Recomputed: {t}" for t in check.recomputed]
    remarks += [f"Problem: {t}" for t in check.problems] + [f"Unfinished: {t}" for t in check.unfinished]
    return Section(
        "certificate", "Why believe it, and how is it checked?", lead, check.verdict,
        {Verdict.YES: "verified", Verdict.NO: "refuted"}.get(check.verdict, ""), rows=rows, remarks=first(remarks),
        commands=asked.on_domain(
            "polyfiber complex {} --verify",
            "polyfiber complex {} --save complex.npz && polyfiber verify complex.npz",
        ),
    )  # fmt: skip


def _needed(asked: Asked) -> PolyhedralComplex:
    if asked.cx is None:
        raise IncompleteError("the complex was not enumerated, see above")
    return asked.cx


def two_networks(a: ReLUNetwork, b: ReLUNetwork) -> None:
    """Refuse a pair whose ends differ."""
    if (a.architecture[0], a.architecture[-1]) != (b.architecture[0], b.architecture[-1]):
        raise InputError(
            f"the networks have {a.architecture[0]} and {count(b.architecture[0], 'input')}, {a.architecture[-1]} and "
            f"{count(b.architecture[-1], 'output')}; a page compares functions between the same spaces"
        )


QUESTIONS: dict[str, tuple[Callable[[Asked], Section], str, str]] = {
    "network": (_network, "What is the network, and what did reading it do?", "polyfiber info {file}"),
    "complex": (_complex, "How many regions and faces?", "polyfiber complex {file}{options}"),
    "boundary": (
        _boundary,
        "Where does the class change, and what shape has that?",
        "polyfiber boundary {file}{options}",
    ),
    "fiber": (_fiber, "Which other parameters compute the same function?", "polyfiber classify {file} --local"),
    "minimized": (_minimized, "Is there a smaller network with the same function?", "polyfiber minimize {file}"),
    "margins": (_margins, "How far is the network from a special position?", "pf.genericity(net)"),
    "certificate": (
        _certificate,
        "Why believe it, and how is it checked?",
        "polyfiber complex {file}{options} --verify",
    ),
}
"""Name of a section: what answers it, the question, and the call that does."""

FIRST, REST = ("network", "complex", "boundary"), ("certificate", "fiber", "minimized", "margins")
