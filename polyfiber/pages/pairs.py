"""What a page says about two networks, and about the layers of a linear one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..equivalence.decide import are_equivalent, difference
from ..errors import IncompleteError
from ..linear.location import Location, locate
from ..linear.paths import connected_parts
from ..linear.strata import stratify
from ..network.model import ReLUNetwork
from ..network.moves import Composition
from ..verdict import Verdict
from .facts import OPEN, Asked, attempt, on
from .sections import Section, count, first, number, point

MOST_STRATA = 60
"""Strata that are listed; of more only their number is told."""


def sections_of_pair(asked: Asked, other: ReLUNetwork, epsilon: float | None, names: tuple[str, str]) -> list[Section]:
    """Equality, distance and the two networks beside each other."""
    a = asked.net

    def same(asked: Asked) -> Section:
        return _same(asked, other, epsilon, names)

    def apart(asked: Asked) -> Section:
        return _apart(asked, other)

    found = [_beside(a, other, names)]
    call = _command(asked)
    found.append(attempt(asked, same, "same", "Are they the same function?", call))
    if asked.domain is not None:
        found.append(attempt(asked, apart, "apart", "How far apart are they on the domain?", call + " --difference"))
    return found


def _command(asked: Asked) -> str:
    options = ("" if asked.options is None else asked.options).replace("--box", "--domain")
    return f"polyfiber equiv {asked.shown_file} {asked.seen.get('other', 'OTHER')}{options}"


PROOFS = {"rounding": "in floats, by more than a bound of all rounding", "exact": "in rationals"}


def _beside(a: Any, b: Any, names: tuple[str, str]) -> Section:
    rows = [
        ("widths", *("-".join(map(str, n.architecture)) for n in (a, b))),
        ("parameters", *(number(n.n_parameters) for n in (a, b))),
        ("hidden neurons", *(number(n.n_hidden) for n in (a, b))),
        ("arithmetic", *("rationals" if n.is_exact else "float64" for n in (a, b))),
    ]
    lead = f"{names[0]} and {names[1]}, two functions from R^{a.architecture[0]} to R^{a.architecture[-1]}."
    return Section("pair", "Which networks are compared?", lead, header=("", *names), table=rows)


def _same(asked: Asked, other: ReLUNetwork, epsilon: float | None, names: tuple[str, str]) -> Section:
    n0 = asked.net.architecture[0]
    found = are_equivalent(asked.net, other, asked.domain, epsilon=epsilon, budget=asked.share(0.5))
    where = on(asked.domain, n0)
    asked_for = f"|f − g| ≤ {epsilon:g}" if epsilon else f"equal up to a relative {found.tolerance:g}"
    rows = [("question", f"{asked_for} on {where}"), ("method", found.method), ("reason", found.reason)]
    if found.bound is not None:
        what = "relative distance" if asked.domain is None else "bound of the difference"
        rows.append((what, number(found.bound, 9)))
    rows.append(("exactly the same function", _exact(found)))
    if found.proof is not None:
        rows.append(("input where they differ", point(found.proof.x)))
        rows.append(("difference there", number(found.proof.gap, 9)))
        rows += [(f"{name} there", point(v)) for name, v in zip(names, found.proof.values)]
        rows.append(("how that was settled", PROOFS.get(found.proof.proof, found.proof.proof)))
    if found.growth is not None:
        rows.append(("proved everywhere", str(found.growth)))
    remarks = []
    moves = _moves(found)
    if moves is not None:
        remarks = [f"Move: {m}" for m in moves.moves] or ["The parameters are equal: no move is needed."]
    again = found.recheck(budget=asked.share(0.5))
    remarks.append(f"A second look, by other ways than it was found: {again}.")
    lead = {
        Verdict.YES: f"Yes on {where}: {found.reason}.",
        Verdict.NO: f"No: they differ at an input that is given below, by {_amount(found.proof.gap if found.proof else None)}.",
        Verdict.UNDECIDED: f"Not decided: {found.reason}.",
    }[found.verdict]
    state = found.verdict
    if again.verdict is Verdict.NO:
        state, lead = Verdict.UNDECIDED, "The second look refutes the first: believe neither and report it."
    options = f" --epsilon {epsilon:g}" if epsilon else ""
    word = {Verdict.YES: "yes", Verdict.NO: "no"}.get(state, "")
    return Section(
        "same", "Are they the same function?", lead, state, word, rows=rows, remarks=first(remarks),
        commands=(f"{_command(asked)}{options} --verify",) * (asked.options is not None),
    )  # fmt: skip


def _amount(value: Any) -> str:
    if value is None:
        return "an amount that was not measured"
    return "more than floats hold" if np.isinf(float(value)) else number(value)


def _exact(found: Any) -> str:
    try:
        return str(found.exact_verdict.value)
    except OPEN:
        return "undecided"


def _moves(found: Any) -> Composition | None:
    try:
        moves: Composition | None = found.moves
        return moves
    except OPEN:
        return None


def _apart(asked: Asked, other: ReLUNetwork) -> Section:
    found = difference(asked.net, other, asked.domain, budget=asked.share(0.7))
    if found.complete:
        lead = f"At most {number(found.maximum, 9)}, and that is attained."
    else:
        lead = f"Between {number(found.maximum, 9)}, which is attained, and {number(found.upper, 9)}, which is proved."
    rows = [
        ("largest |f − g| attained", number(found.maximum, 12)),
        ("proved bound", number(found.upper, 12)),
        ("on output", str(found.output)),
        ("method", found.method),
    ]
    if found.where is not None:
        rows.insert(1, ("where", point(found.where)))
    if found.n_regions:
        rows.append(("regions of both together", number(found.n_regions)))
    state = Verdict.YES if found.complete else Verdict.UNDECIDED
    return Section(
        "apart", "How far apart are they on the domain?", lead, state, rows=rows,
        commands=(f"{_command(asked)} --difference",) * (asked.options is not None),
    )  # fmt: skip


def sections_of_layers(asked: Asked, layers: Sequence[Any]) -> list[Section]:
    """The stratum of the weights of a linear network, and the strata of its fiber."""
    at = locate(layers)

    def where(asked: Asked) -> Section:
        return _stratum(at, asked)

    def strata(asked: Asked) -> Section:
        return _strata(at, asked)

    file = asked.shown_file
    return [
        attempt(asked, where, "stratum", "In which stratum do the weights lie?", f"polyfiber stratum {file}"),
        attempt(asked, strata, "strata", "Which strata has the fiber?", "polyfiber strata WIDTHS --rank R"),
    ]


def product_name(k: int, i: int) -> str:
    """The product of layers i + 1 to k.

    Examples
    --------
    >>> product_name(2, 1), product_name(3, 0)
    ('W2', 'W3…W1')
    """
    return f"W{k}" if k == i + 1 else f"W{k}…W{i + 1}"


def _stratum(at: Location, asked: Asked) -> Section:
    table: list[tuple[str, ...]] = []
    for k in range(1, len(at.widths)):
        for i in range(k):
            g = at.gaps.get((k, i))
            if g is None:
                table.append((product_name(k, i), str(int(at.ranks[k, i])), "exact", "", ""))
            else:
                sure = "yes" if g.certain else f"{g.low} to {g.high}"
                table.append(
                    (product_name(k, i), str(g.rank), sure, f"{g.kept:.3g} | {g.dropped:.3g}", f"{g.threshold:.2g}")
                )
    found = at.reading
    rows = [("widths", ", ".join(map(str, at.widths)))]
    lead = "The ranks do not fit together: no weights have them."
    if found is not None:
        rows += [
            ("dimension of the stratum among all weights", number(found.dim_in_weights)),
            ("dimension of its part in the fiber", number(found.dim_in_fiber)),
            ("dimension of the fiber's tangent", number(found.dof)),
            ("of these leaving the stratum", number(found.rdof)),
            ("codimension of that part", number(found.codim)),
            (
                "subspaces that flow (from layer, to layer)",
                "; ".join(f"{m} × ({i}, {k})" for (i, k), m in found.bars.items()),
            ),
            ("connected parts", str(connected_parts(found.widths, found))),
        ]
        lead = f"In the stratum with layer ranks {', '.join(map(str, found.layer_ranks))}, of dimension {found.dim_in_fiber} inside the fiber."
        if at.verdict is not Verdict.YES:
            lead = f"Not decided; the best reading: {lead[0].lower()}{lead[1:]}"
    return Section(
        "stratum", "In which stratum do the weights lie?", lead, at.verdict,
        "decided" if at.verdict is Verdict.YES else "", rows=rows,
        header=("product", "rank", "decided", "singular values kept | dropped", "noise"), table=table,
        commands=(f"polyfiber stratum {asked.shown_file}",),
    )  # fmt: skip


def _strata(at: Location, asked: Asked) -> Section:
    rank = int(at.ranks[-1, 0])
    widths = ",".join(map(str, at.widths))
    st = stratify(at.widths, rank=rank, budget=asked.share(0.5))
    tops = set(np.asarray(st.maximal()).tolist())
    found = at.reading
    table: list[tuple[str, ...]] = []
    for s in st:
        if len(table) == MOST_STRATA:
            break
        mark = "yes" if found is not None and s.label == found.label else ""
        table.append(
            (
                ", ".join(map(str, s.layer_ranks)),
                *map(number, (s.dim, s.dof, s.rdof)),
                "yes" if s.id in tops else "",
                mark,
            )
        )
    lead = f"The fiber of a product of rank {rank} has {count(len(st), 'rank stratum', 'rank strata')}, {count(len(tops), 'component')}."
    remarks = [] if len(st) <= MOST_STRATA else [f"The first {MOST_STRATA} of {len(st):,} are listed."]
    if len(tops) == 0:
        raise IncompleteError("the fiber is empty")
    return Section(
        "strata", "Which strata has the fiber?", lead, None,
        header=("ranks of the layers", "dimension", "fiber tangent", "leaving", "maximal", "here"), table=table, remarks=remarks,
        commands=(f"polyfiber strata {widths} --rank {rank}",),
    )  # fmt: skip
