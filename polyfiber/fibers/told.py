"""The report of a fiber as a sentence for someone who has not read the papers.

*Does not apply* is not *no*: where a theorem says nothing about a network, the sentence says that, what was found all the same,
and which call decides more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import words
from ..verdict import Verdict

if TYPE_CHECKING:
    from .classify import FiberReport

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
    if report.kind != "undecided":
        size = words.count(report.dimension or 0, "parameter")
        many = (
            f"a family with {size} beyond rescaling"
            if report.dimension
            else "finitely many other networks, up to rescaling,"
        )
        return (
            f"The weights are not determined by the function: {report.reason}; {many} computes it. {_certain(report)}."
        )
    if report.identifiable is False:
        return (
            f"The weights are not determined by the function{where}: {_causes(report)}. That is certain; how large the whole family is, "
            f"is not known here, because {_silent(report)}. Next: --local, or report.local_dimension, counts the directions in which the "
            "weights can move."
        )
    return (
        f"Not decided whether the function determines the weights{where}: {_silent(report)}, and nothing was found that frees them. Next: "
        "--local, or report.local_dimension, counts the directions in which the weights can move (0: locally determined)."
    )


def _sure(report: FiberReport) -> str:
    """What the YES rests on."""
    depth = len(report.network.weights)
    if depth == 1:
        return "an affine map is its weights"
    if depth == 2:
        return "proved, for networks with one hidden layer"
    if report.network.architecture[1] == 1:
        return "proved, for functions of one scalar"
    assumed = (*report.regime.assumed, *report.notes)
    if report.regime.generic is Verdict.YES and not assumed:
        return "proved (Theorem 5 for two hidden layers; every hypothesis was checked)"
    return f"by Theorem 5 for two hidden layers, if the weights are as generic as they look ({words.listed(assumed, 2) or 'not all was checked'})"


def _certain(report: FiberReport) -> str:
    if report.complete:
        return "This is the whole fiber" + (
            ", if the weights are as generic as they look"
            if report.regime.assumed and len(report.network.weights) == 3
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
    return f"the theorem needs generic weights and does not apply ({words.short(why, 120)})"


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
