"""What can be said about any architecture: dead, constant, always-active, duplicate, unused neurons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import words
from .._typing import Array, FloatArray, IntArray
from .._values.checked import shown
from .._values.read_only import closed
from ..complexes.complex import PolyhedralComplex
from ..errors import InputError
from ..network.exact_pieces import exact_pieces
from ..network.model import ReLUNetwork
from ..network.moves import hides
from ..network.piecewise import PiecewiseLinearNetwork
from ..verdict import Verdict
from .activity import NeuronFacts

if TYPE_CHECKING:
    from .classify import FiberReport


@dataclass(frozen=True)
class Finding:
    """One thing found about some neurons.

    Attributes
    ----------
    kind : str
        'dead', 'constant', 'linear', 'unused', 'duplicate', 'opposite', 'hidden hyperplane' or
        'invisible' (of a bent hyperplane nothing shows; only from the complex).
    layer : int
        Hidden layers count from 1.
    neurons : tuple of int
    frees : bool
        Whether it alone makes the network non-identifiable: some parameter can move, or some
        other parameter not related by a trivial symmetry computes the same function.
    text : str
    by : str
        What decided it: 'complex', 'exact range', 'LP bounds', 'linear bounds' or 'interval bounds' for the activity of
        a neuron, 'weights' for what the weights show.
    """

    kind: str
    layer: int
    neurons: tuple[int, ...]
    frees: bool
    text: str
    by: str = "weights"

    def __str__(self) -> str:
        return self.text


@closed
@dataclass(frozen=True)
class HiddenFacets:
    """How much of every bent hyperplane the function shows.

    Attributes
    ----------
    facets : (N,) int64
        Facets of each hidden neuron's bent hyperplane.
    invisible : (N,) int64
        Those of weight zero: the function does not bend there.
    """

    facets: IntArray
    invisible: IntArray

    def fully_hidden(self) -> list[int]:
        """Neurons with a bent hyperplane of which nothing is visible."""
        return [int(i) for i in np.flatnonzero((self.facets > 0) & (self.facets == self.invisible))]


def hidden_facets(complex: Any) -> HiddenFacets:
    """Visible and invisible facets of every bent hyperplane, from the weighted canonical complex.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.fibers import hidden_facets
    >>> cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 3, 3, 1), rng=0))
    >>> hidden_facets(cx)
    HiddenFacets(facets=array([4, 4, 3, 3, 0, 0]), invisible=array([2, 2, 3, 0, 0, 0]))
    """
    if not isinstance(complex, PolyhedralComplex):
        raise InputError(f"complex must be a PolyhedralComplex, found {shown(complex)}")
    N = complex.network.n_hidden
    if complex.dimension == 0:  # one cell: nothing bends
        return HiddenFacets(np.zeros(N, dtype=np.int64), np.zeros(N, dtype=np.int64))
    bp = complex.breakpoint_complex()
    zero = complex.signs(complex.dimension - 1)[:, :N] == 0  # several walls may share a facet
    seen, hidden = zero[bp.facets].sum(axis=0), zero[bp.invisible].sum(axis=0)
    return HiddenFacets((seen + hidden).astype(np.int64), hidden.astype(np.int64))


def invisible_neurons(
    net: ReLUNetwork | PiecewiseLinearNetwork, complex: Any, known: Sequence[Finding]
) -> tuple[Finding, ...]:
    """Findings 'invisible': bent hyperplanes without a visible facet that nothing in ``known`` explains."""
    if complex.dimension == 0:  # one cell: nothing bends
        return ()
    explained = {(f.layer, i) for f in known for i in f.neurons}
    found = []
    for index in hidden_facets(complex).fully_hidden():
        layer, i = net.neuron(index)
        if (layer, i) not in explained:
            which = f"neuron {i} of layer" if isinstance(net, ReLUNetwork) else f"gate {i} of block"
            text = f"{which} {layer}: nothing of its bent hyperplane is visible"
            found.append(Finding("invisible", layer, (i,), False, text, "complex"))
    return tuple(found)


def image_duplicates(
    net: ReLUNetwork, complex: Any, known: tuple[Finding, ...], *, tolerance: float = 1e-9, max_patterns: int = 4096
) -> tuple[Finding, ...]:
    """Findings 'duplicate' that only the image of the layers before shows: positive multiples on every region.

    Neurons of one layer that are active on the same regions and whose affine forms are there in one ratio, within
    the relative tolerance (0 for rationals). Pairs active on more than ``max_patterns`` patterns are not looked at.
    """
    signs = complex.signs(complex.dimension)[:, : net.n_hidden] > 0
    told = {(f.layer, i) for f in known if f.kind in ("dead", "constant", "unused", "duplicate") for i in f.neurons}
    exact, found, start = net.exact(), [], 0
    for layer, width in enumerate(net.hidden_widths, start=1):
        alike: dict[bytes, list[int]] = {}
        for i in range(width):
            if (layer, i) not in told and signs[:, start + i].any():
                alike.setdefault(np.packbits(signs[:, start + i]).tobytes(), []).append(i)
        for group in alike.values():
            if layer == 1 or len(group) < 2:
                continue
            prefixes = np.unique(signs[signs[:, start + group[0]], :start], axis=0)
            if len(prefixes) > max_patterns:
                continue
            rest = np.zeros(net.n_hidden - start, dtype=np.bool_)
            allowed = 0.0 if net.is_exact else tolerance
            most = _largest(exact, layer)
            kept, forms = np.array(group), np.empty((len(group), 0), dtype=object)
            for p in prefixes:  # nearly all are told apart by the first pattern
                piece = exact_pieces(exact, np.concatenate([p, rest]))[layer - 1][kept]
                near = _not_apart(piece, [Fraction(allowed) * most[i] for i in kept])
                kept, forms = kept[near], np.concatenate([forms, piece], axis=1)[near]
                if len(kept) < 2:
                    break
            for same in _in_one_ratio(forms, allowed):
                who = tuple(int(kept[k]) for k in same)
                text = f"{words.neurons(layer, who)} are positive multiples of each other on the image of the layers before"
                found.append(Finding("duplicate", layer, who, True, text, "complex"))
        start += width
    return tuple(found)


def _largest(exact: ReLUNetwork, layer: int) -> Array:
    """What no entry of the forms of a layer's neurons exceeds, on any pattern."""
    bound = np.ones((exact.architecture[0], 1), dtype=object) * Fraction(1)
    bound = np.concatenate([np.eye(exact.architecture[0], dtype=int) * bound, 0 * bound], axis=1)
    for W, b in zip(exact.weights[:layer], exact.biases[:layer]):
        bound = abs(W) @ bound
        bound[:, -1] = bound[:, -1] + abs(b)
    return np.asarray(bound.max(axis=1))


def _not_apart(rows: Array, errors: list[Fraction]) -> list[int]:
    """Rows with another one of which they may be a multiple up to these errors: `_in_one_ratio` joins no others.

    Where every entry of ``a - ratio b`` is at most the error, ``a[c] b[d] - a[d] b[c]`` is at most ``|b[c]| + |b[d]|`` times it.
    """

    def apart(a: Array, b: Array, error: Fraction) -> bool:
        d = max(range(len(b)), key=lambda c: abs(b[c]))
        return any(abs(a[c] * b[d] - a[d] * b[c]) > error * (abs(b[c]) + abs(b[d])) for c in range(len(b)))

    kept = set()
    for i, j in combinations(range(len(rows)), 2):
        if not (i in kept and j in kept) and not apart(rows[j], rows[i], errors[j]):
            kept |= {i, j}
    return sorted(kept)


def _in_one_ratio(rows: Array, tolerance: float) -> list[list[int]]:
    """Groups of rows (Fractions) that are positive multiples of each other within a relative tolerance."""
    groups: list[list[int]] = []
    for k, row in enumerate(rows):
        for group in groups:
            first = rows[group[0]]
            at = max(range(len(row)), key=lambda c, first=first: abs(first[c]))  # type: ignore[misc]
            ratio = row[at] / first[at] if first[at] else 0
            most = Fraction(tolerance) * max(abs(v) for v in row)
            if ratio > 0 and all(abs(a - ratio * b) <= most for a, b in zip(row, first)):
                group.append(k)
                break
        else:
            groups.append([k])
    return [g for g in groups if len(g) > 1]


def find(net: ReLUNetwork, facts: NeuronFacts, *, tolerance: float = 1e-9) -> tuple[Finding, ...]:
    """Findings about every hidden layer.

    Parameters
    ----------
    net : ReLUNetwork
    facts : NeuronFacts
    tolerance : float
        Relative distance within which two rows count as multiples of each other (0 for rationals).
    """
    found: list[Finding] = []
    for layer in range(1, len(net.weights)):
        W, b, C = net.weights[layer - 1], net.biases[layer - 1], net.weights[layer]
        for kind, status, text in (
            ("dead", "dead", "never active: its row and its output column are free"),
            ("constant", "constant", "constant: the next bias can take its place"),
            ("linear", "active", "always active: it acts linearly, its bias can grow"),
        ):
            for i in facts.of(layer, status):
                if kind == "linear" and not (C[:, i] != 0).any():
                    continue
                by = facts.methods[layer - 1][i]
                found.append(Finding(kind, layer, (i,), True, f"neuron {i} of layer {layer} is {text}", by))
        gone = set(facts.of(layer, "dead", "constant"))
        unused = [i for i in range(len(b)) if i not in gone and not (C[:, i] != 0).any()]
        for i in unused:
            found.append(Finding("unused", layer, (i,), True, f"neuron {i} of layer {layer} has no outgoing weight"))
        rest = [i for i in range(len(b)) if i not in gone and i not in set(unused)]
        same, opposite = parallel_rows(W, b, rest, 0.0 if net.is_exact else tolerance)
        for group in same:
            text = f"{words.neurons(layer, group)} are positive multiples of each other: their outputs can be shared"
            found.append(Finding("duplicate", layer, tuple(group), True, text))
        for i, j in opposite:
            text = f"neurons {i} and {j} of layer {layer} bend at one hyperplane from opposite sides"
            found.append(Finding("opposite", layer, (i, j), False, text))
        if layer + 1 < len(net.weights):
            found.extend(_hidden(net, layer, facts))
    return tuple(found)


def _hidden(net: ReLUNetwork, layer: int, facts: NeuronFacts) -> list[Finding]:
    W, b = net.weights[layer], net.biases[layer]
    used = (net.weights[layer + 1] != 0).any(axis=0)
    live = [j for j in range(len(b)) if used[j] and j not in facts.of(layer + 1, "dead")]
    if not live or W.shape[1] < 2:
        return []
    for k in range(W.shape[1]):
        if hides(W[live], b[live], k).all():
            text = f"layer {layer + 1} hides hyperplane {k} of layer {layer}: it can be translated"
            return [Finding("hidden hyperplane", layer, (k,), True, text)]
    return []


def parallel_rows(
    W: Array, b: Array, indices: list[int], tolerance: float
) -> tuple[list[list[int]], list[tuple[int, int]]]:
    """Groups of neurons whose rows ``(w | b)`` are positive multiples, and pairs with opposite rows.

    Floats are compared entry by entry, within the relative tolerance.
    """
    rows = np.concatenate([W, b[:, None]], axis=1)
    if rows.dtype == object:
        keys: dict[tuple[Any, ...], list[int]] = {}
        for i in indices:
            top = max(abs(v) for v in rows[i])
            if top:
                keys.setdefault(tuple(v / top for v in rows[i]), []).append(i)
        groups = list(keys.values())
        opposite = [
            (keys[k][0], keys[o][0]) for k in keys if (o := tuple(-v for v in k)) in keys and keys[k][0] < keys[o][0]
        ]
        return [g for g in groups if len(g) > 1], opposite
    groups = []
    opposite = []
    with np.errstate(over="ignore", under="ignore"):
        if _surely_apart(rows[indices], tolerance):
            return [], []
        for i in indices:
            for group in groups:
                if _ratio(rows[i], rows[group[0]], tolerance) > 0:
                    group.append(i)
                    break
            else:
                if (rows[i] != 0).any():
                    groups.append([i])
        for x, first in enumerate(groups):
            for second in groups[x + 1 :]:
                if _ratio(rows[second[0]], rows[first[0]], tolerance) < 0:
                    opposite.append((first[0], second[0]))
    return [g for g in groups if len(g) > 1], opposite


def _surely_apart(rows: FloatArray, tolerance: float) -> bool:
    """Whether no two rows can be multiples of each other: their values at one point, scaled, are apart."""
    top = np.abs(rows).max(axis=1, initial=0.0)
    point = np.sqrt(np.arange(2.0, rows.shape[1] + 2))
    values = np.sort(np.abs((rows[top > 0] / top[top > 0, None]) @ point))
    return bool((np.diff(values) > (4 * tolerance + 1e-13) * point.sum()).all())


def _ratio(a: FloatArray, b: FloatArray, tolerance: float) -> float:
    """``r`` with ``a = r b``, every entry within the relative tolerance; 0 if there is none.

    Entry by entry: a neuron with one huge weight is not the multiple of another because their other
    weights are small beside it, for where that input is off the others are all there is.
    """
    if ((a == 0) != (b == 0)).any() or not (b != 0).any():
        return 0.0
    at = int(np.abs(b).argmax())
    r = float(a[at] / b[at])
    return r if np.isfinite(r) and bool((np.abs(a - r * b) <= tolerance * np.abs(a)).all()) else 0.0


# ---- in words: *does not apply* is not *no* ------------------------------------------------------
FREE = {
    "dead": "never active, so what goes in and out of {them} is free",
    "constant": "constant, so {they} can be folded into biases",
    "linear": "always active on the image of layer {before}, so {they} can be re-factored and biases can move",
    "unused": "not read by the next layer, so what goes into {them} is free",
    "duplicate": "copies of each other, so {they} can share the work in many ways",
    "opposite": "opposite to each other, so {they} can be traded for a linear part",
    "hidden hyperplane": "hidden behind the next layer, so the hyperplane can be translated",
    "invisible": "without any visible bend, so {they} can move",
}


def told(report: FiberReport) -> str:
    """What is so, up to what, how sure, what to do next."""
    if report.identifiable:
        return f"The weights are determined by the function, up to permuting neurons and positive rescaling; {_sure(report)}."
    where = "" if "bounded domain" not in report.reason else " (the function matters on the domain only)"
    if report.beyond is not None and report.kind in ("rigid", "flexible"):
        return _beyond(report)
    if report.kind != "undecided":
        size = words.count(report.dimension or 0, "parameter")
        many = (
            f"a family with {size} beyond rescaling computes it"
            if report.dimension
            else "finitely many other networks, up to rescaling, compute it"
        )
        return f"The weights are not determined by the function: {report.reason}; {many}. {_certain(report)}."
    if report.identifiable is False:
        return (
            f"The weights are not determined by the function{where}: {_causes(report)}. That is certain; how large the whole family is, "
            f"is not known here, because {_silent(report)}. Next: {_local()} counts the directions in which the weights can move."
        )
    if any(" stopped: " in text for text in (*report.facts.fallback, *report.notes)):
        return (
            f"Not decided whether the function determines the weights{where}: {_silent(report)}, and the budget ended before it was computed "
            f"how these weights can move. Next: {words.way('more --seconds', 'a larger budget=')}."
        )
    return (
        f"Not decided whether the function determines the weights{where}: {_silent(report)}, and nothing was found that frees them. Next: "
        f"{_local()} counts the directions in which the weights can move (0: locally determined)."
    )


def _local() -> str:
    return words.way("--local", "report.local_dimension")


def _beyond(report: FiberReport) -> str:
    """Where no theorem applies and something was computed for this network."""
    assert report.beyond is not None
    if report.kind == "rigid":
        return (
            "Near these weights nothing but permuting neurons and positive rescaling keeps the function: computed for this network. Whether "
            f"weights far away compute it too is not known, because {_silent(report)}. Next: "
            f"{words.way('polyfiber equiv', 'are_equivalent')} decides it for another network in hand."
        )
    low, high = report.beyond.bounds
    size = f"at least {words.count(low, 'parameter')}"
    if report.dimension is not None:
        size = f"exactly {words.count(report.dimension, 'parameter')}"
    elif high is not None:
        size = f"{size} and at most {high}" if low else f"at most {words.count(high, 'parameter')}"
    elif not low:
        size = "a number of parameters that is not known"
    causes = _causes(report) or ("" if report.beyond.part is None else report.beyond.part.told)
    why = f": {causes}" if causes else ""
    family = (
        f"Near them a family with {size} beyond rescaling computes it"
        if low
        else f"The family near them has {size} beyond rescaling"
    )
    return (
        f"The weights are not determined by the function{why}. {family}: computed for this network. Weights far away are not "
        f"excluded, because {_silent(report)}."
    )


def _sure(report: FiberReport) -> str:
    """What the YES rests on."""
    depth = len(report.network.weights)
    if depth == 1:
        return "an affine map is its weights"
    if not report.complete or (report.notes and depth == 2):
        return f"if the weights are as generic as they look ({words.listed(report.notes, 2) if report.notes else 'not all was checked'})"
    if depth == 2:
        return "proved, for networks with one hidden layer"
    if report.network.architecture[1] == 1:
        return "proved, for functions of one scalar"
    assumed = (*report.regime.assumed, *report.notes)
    if report.regime.generic is Verdict.YES and not assumed:
        return "proved (Theorem 5 for two hidden layers; every hypothesis was checked)"
    more = (
        f"; a larger {words.way('--limit', 'limit=')} checks more of them"
        if any("checked" in text for text in assumed)
        else ""
    )
    return f"by Theorem 5 for two hidden layers, if the weights are as generic as they look ({words.listed(assumed, 2) or 'not all was checked'}){more}"


def _certain(report: FiberReport) -> str:
    if report.kind == "constant" and not report.complete:
        return "No family of parameters of this constant is larger, proved; smaller ones are not listed"
    if report.complete:
        return "This is the whole fiber" + (
            ", if the weights are as generic as they look"
            if report.notes or (report.regime.assumed and len(report.network.weights) == 3)
            else ", proved"
        )
    return "That is certain; further networks with the same function are not excluded"


def _silent(report: FiberReport) -> str:
    """Why the theorem says nothing."""
    net = report.network
    if "bounded domain" in report.reason:
        return "the theorem is about all inputs and does not apply on a domain"
    if len(net.weights) == 2:
        return report.reason.removeprefix("outside the theorem: ")
    if len(net.weights) != 3:
        return f"the theorem is about two hidden layers and does not apply to {len(net.weights) - 1}"
    if not report.regime.bottleneck and net.architecture[1] > 1:
        n0, n1 = net.architecture[:2]
        return f"the theorem needs at least as many inputs as neurons in layer 1 and does not apply to {n0} and {n1}"
    why = report.reason.removeprefix("outside the theorem: ")
    return f"the theorem needs generic weights and does not apply ({words.listed(why.split('; '), 2)})"


def _causes(report: FiberReport) -> str:
    groups: dict[tuple[str, int], list[int]] = {}
    for f in report.findings:
        if f.frees:
            groups.setdefault((f.kind, f.layer), []).extend(i for i in f.neurons)
    texts = []
    for (kind, layer), members in groups.items():
        unique = sorted(set(members))
        one = len(unique) == 1
        who = words.neuron(layer, unique[0]) if one else f"{len(unique)} neurons of layer {layer}"
        what = FREE.get(kind, kind).format(they="it" if one else "they", them="it" if one else "them", before=layer - 1)
        texts.append(f"{who} {'is' if one else 'are'} {what}".replace("image of layer 0", "domain"))
    return "; ".join(texts[:3]) + (f"; and {len(texts) - 3} more such groups" if len(texts) > 3 else "")
