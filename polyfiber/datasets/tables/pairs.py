"""Table ``pairs``: two networks, whether they compute one function, and how the second was made from the first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...budget import Budget
from ...domain import Box
from ...equivalence.collections.collection import unflatten
from ...equivalence.decide import are_equivalent
from ...equivalence.forms.canonical import flat_parameters
from ...errors import InputError
from ...network.model import ReLUNetwork
from ...numerics.rounding import UNIT
from ...verdict import Verdict
from ..fields import choice, integer, one_or_more
from ..pairs import KINDS, OF_NETWORK, Pair, make_from, starts_from
from ..storage.arrow import pyarrow
from .base import Beside, Column, Item, Option, Options, Table, Unsure, each_once

SAMPLES = 64
VISIBLE = 1e-6
CLOSE = 1e-9
"""What rounding may change in a relative difference."""
TOLD = 8
"""Times what rounding may make of a difference; up to there it is written as 0."""
_SYMMETRIES = ("equal: permute and rescale", "equal: powers of two")


def _rows(items: Sequence[Item], options: Options) -> Iterator[Any]:
    rows = []
    for item in items:
        rng = item.rng("pairs")
        for j in range(options["per_network"]):
            kind = options["kinds"][(item.index * options["per_network"] + j) % len(options["kinds"])]
            made = _pair(kind, item.chain("pairs"), rng, options["top"])
            if made is not None:
                rows.append(_row(item.id, j, *made, rng))
    if rows:
        yield pyarrow().RecordBatch.from_pylist(rows, schema=TABLE.schema(options))


def _pair(kind: str, network: ReLUNetwork, rng: np.random.Generator, top: int) -> tuple[Pair, bool] | None:
    """A pair and whether it starts from the network; None where the kind does not fit the network."""
    if kind not in OF_NETWORK:
        return KINDS[kind](kind, rng, top), False
    if not starts_from(kind, network):
        return None
    try:
        return make_from(kind, network, rng=rng), kind != "equal: linear neurons"
    except InputError:
        return None  # a neuron that does not matter, say: a change of its weights would change nothing


def _row(network: int, number: int, pair: Pair, own: bool, rng: np.random.Generator) -> dict[str, Any]:
    points = _inputs(pair, rng)
    difference, seen = _seen(pair, points)
    if difference <= TOLD * _rounding(pair.a, pair.b, points):
        difference = 0.0
    return {
        "network": network,
        "pair": number,
        "relation": "equal" if pair.equal else "different",
        "made": pair.kind,
        "own": own,
        "exact": pair.exact,
        "change": pair.size,
        "difference": difference,
        "seen": seen,
        "difficulty": difficulty(pair, seen),
        "box": None if pair.domain is None else [*pair.domain.lo.tolist(), *pair.domain.hi.tolist()],
        "a_architecture": pair.a.architecture,
        "a_parameters": flat_parameters(pair.a),
        "b_architecture": pair.b.architecture,
        "b_parameters": flat_parameters(pair.b),
    }


def _inputs(pair: Pair, rng: np.random.Generator) -> Any:
    """Random inputs, in the box of the pair if it has one."""
    n0 = pair.a.architecture[0]
    if pair.domain is None:
        return 2.0 * rng.standard_normal((SAMPLES, n0))
    lo, hi = pair.domain.lo.astype(np.float64), pair.domain.hi.astype(np.float64)
    return lo + (hi - lo) * rng.random((SAMPLES, n0))


def _seen(pair: Pair, points: Any) -> tuple[float, float]:
    """Largest relative difference at inputs, and the share of inputs where it exceeds `VISIBLE`."""
    a, b = pair.a(points), pair.b(points)
    size = max(float(np.abs(a).max()), float(np.abs(b).max()), 1e-300)
    gap = np.abs(a - b).max(axis=1) / size
    return float(gap.max()), float((gap > VISIBLE).mean())


def difficulty(pair: Pair, seen: float) -> str:
    """easy, medium or hard.

    Different pairs: easy where at least half of the sampled inputs tell them apart, hard where none
    does. Equal pairs: easy for permutation and scaling alone, hard where the widths differ or several
    kinds of moves are composed.
    """
    if not pair.equal:
        return "easy" if seen >= 0.5 else ("hard" if seen == 0 else "medium")
    if pair.kind in _SYMMETRIES:
        return "easy"
    composed = pair.kind == "equal: compositions" or pair.a.architecture != pair.b.architecture
    return "hard" if composed else "medium"


def _check(item: Item, rows: Sequence[Mapping[str, Any]], options: Options) -> Iterator[str]:
    """Decide each pair anew and check the answer another way; values of equal pairs at fresh inputs."""
    for row in rows:
        a = unflatten(np.array(row["a_parameters"]), row["a_architecture"])
        b = unflatten(np.array(row["b_parameters"]), row["b_architecture"])
        where, half = f"pair {row['pair']} ({row['made']})", a.architecture[0]
        if row["box"] is not None and len(row["box"]) != 2 * half:
            yield f"{where}: a box of {len(row['box'])} bounds; expected {2 * half}"
            continue
        domain = None if row["box"] is None else Box(row["box"][:half], row["box"][half:])
        for text in _construction(item, row, a, b, domain, options):
            yield text if isinstance(text, Unsure) else f"{where}: {text}"
        if row["own"] and a != item.network.rounded():
            yield f"{where}: its first network is not the network of the row"
        answer = are_equivalent(a, b, domain, tolerance=1e-11, budget=Budget(seconds=10))
        if answer.verdict is not Verdict.UNDECIDED and answer.verdict is not Verdict.of(row["relation"] == "equal"):
            yield f"{where}: {row['relation']} in the file, decided {answer.verdict.value}"
        elif (again := answer.recheck(budget=Budget(seconds=10))).verdict is Verdict.NO:
            yield f"{where}: the answer {answer.verdict.value} does not hold: {again.reason}"
        if (
            row["relation"] == "equal"
            and (_gaps(a, b, _inputs(Pair("", a, b, True, None, 0.0, domain), item.rng("check pairs"))) > VISIBLE).any()
        ):
            yield f"{where}: equal in the file, but the values differ at random inputs"


def _construction(
    item: Item, row: Mapping[str, Any], a: ReLUNetwork, b: ReLUNetwork, domain: Box | None, options: Options
) -> Iterator[str]:
    """The draws of the network replayed up to this pair; what the pair says of itself derived from its two networks."""
    rng = item.rng("pairs")
    kinds, per = options["kinds"], options["per_network"]
    made, points = None, None
    for j in range(min(per, row["pair"] + 1)):
        made = _pair(kinds[(item.index * per + j) % len(kinds)], item.chain("pairs"), rng, options["top"])
        points = None if made is None else _inputs(made[0], rng)
    if made is None or row["pair"] >= per:
        yield "no such pair is drawn for this network"
        return
    pair, own = made
    if row["made"] != pair.kind or row["own"] != own or row["exact"] != pair.exact:
        yield f"made {row['made']!r}, own {row['own']}, exact {row['exact']}; drawn are {pair.kind!r}, {own}, {pair.exact}"
    if a != pair.a or b != pair.b or (domain is None) != (pair.domain is None):
        yield "other networks than those that are drawn"
        return
    if domain is not None and not (
        np.array_equal(domain.lo, pair.domain.lo) and np.array_equal(domain.hi, pair.domain.hi)
    ):
        yield "another box than the one that is drawn"
    gaps = _gaps(a, b, points)
    if not np.isfinite(gaps).all():
        yield Unsure("values of pairs beyond floats")
        return
    difference, seen = float(gaps.max()), float((gaps > VISIBLE).mean())
    shares = [k / SAMPLES for k in range((gaps > VISIBLE + CLOSE).sum(), (gaps > VISIBLE - CLOSE).sum() + 1)]
    rounding = _rounding(a, b, points)
    near = abs(row["difference"] - difference) <= CLOSE * difference + rounding
    if near and 0 < row["difference"] <= TOLD * rounding:
        yield Unsure("differences that rounding explains, which are written as 0 since 0.2.0")
    if not (near or (row["difference"] == 0 and difference <= (TOLD + 2) * rounding)) or row["seen"] not in shares:
        yield f"difference {row['difference']:.3g} seen {row['seen']:.3g} in the file, {difference:.3g} and {seen:.3g} evaluated"
    if (row["change"] == 0.0) != pair.equal or row["change"] != pair.size:
        yield f"change {row['change']!r} in the file, drawn {pair.size!r}"
    easy = seen >= 0.5 if not pair.equal else pair.kind in _SYMMETRIES
    hard = seen == 0 if not pair.equal else (pair.kind == "equal: compositions" or a.architecture != b.architecture)
    expected = "easy" if easy else ("hard" if hard else "medium")
    if row["difficulty"] != expected:
        yield f"difficulty {row['difficulty']!r} in the file, {expected!r} by definition"


def _whole(item: Item, rows: Any, options: Options, beside: Beside) -> Iterator[str]:
    """The pairs that the replayed draws make, each once."""
    rng, kinds, per = item.rng("pairs"), options["kinds"], options["per_network"]
    made: list[int] = []
    for j in range(per):
        drawn = _pair(kinds[(item.index * per + j) % len(kinds)], item.chain("pairs"), rng, options["top"])
        if drawn is not None:
            made.append(j)
            _inputs(drawn[0], rng)
    yield from each_once(rows.column("pair").to_pylist(), made, "pairs")


def _gaps(a: ReLUNetwork, b: ReLUNetwork, points: Any) -> Any:
    """Relative differences at inputs, as in `_seen`, with products of its own, input by input."""

    def value(net: ReLUNetwork, x: Any) -> Any:
        for w, c in list(zip(net.weights, net.biases))[:-1]:
            x = np.maximum((w * x).sum(axis=1) + c, 0.0)
        return (net.weights[-1] * x).sum(axis=1) + net.biases[-1]

    u, v = (np.array([value(net.rounded(), x) for x in points]) for net in (a, b))
    size = max(float(np.abs(u).max()), float(np.abs(v).max()), 1e-300)
    return np.abs(u - v).max(axis=1) / size


def _rounding(a: ReLUNetwork, b: ReLUNetwork, points: Any) -> float:
    """What rounding may make of a relative difference: sums of absolute terms, each rounded as often as it is added."""
    size, terms, steps = 1e-300, 0.0, 0
    for net in (a.rounded(), b.rounded()):
        values = np.abs(points)
        for w, c in zip(net.weights, net.biases):
            values = values @ np.abs(w).T + np.abs(c)
        size, terms = max(size, float(np.abs(net(points)).max())), max(terms, float(values.max()))
        steps = max(steps, sum(n + 2 for n in net.architecture[:-1]))
    return 8 * steps * UNIT * terms / size


TABLE = Table(
    name="pairs",
    doc=(
        "One row per pair of networks with the same inputs and outputs. The relation is known by construction. Kinds that "
        "cannot be made from a network of the dataset draw their own."
    ),
    columns=(
        Column("network", "int64", "Network of the dataset whose seed made the pair.", "id"),
        Column("pair", "int32", "Number of the pair within the network; with gaps where a kind did not fit.", "id"),
        Column("relation", "string", "equal or different: on all inputs, or on the box."),
        Column("made", "string", "How: a kind of polyfiber.datasets.pairs."),
        Column("own", "bool", "Whether the first network is that of the column network."),
        Column("exact", "bool", "Whether they are equal as rational functions; null where not known.", nullable=True),
        Column("change", "float64", "Relative size of the change of parameters; 0 for equal pairs."),
        Column(
            "difference", "float64", "Largest relative difference at 64 random inputs; 0 where rounding explains it."
        ),
        Column("seen", "float64", "Share of these inputs with a relative difference above 1e-6."),
        Column("difficulty", "string", "easy, medium or hard; see polyfiber.datasets.tables.pairs.difficulty."),
        Column(
            "box",
            "list<float64>",
            "Lower, then upper bounds of the box that is meant; null: all inputs.",
            "input",
            True,
        ),
        Column("a_architecture", "list<int32>", "Widths of the first network.", "neurons"),
        Column("a_parameters", "list<float64>", "Its parameters, as in the table networks."),
        Column("b_architecture", "list<int32>", "Widths of the second network.", "neurons"),
        Column("b_parameters", "list<float64>", "Its parameters."),
    ),
    rows=_rows,
    check=_check,
    whole=_whole,
    identity=("pair",),
    provenance=("pair",),
    options=(
        Option("kinds", tuple(OF_NETWORK), one_or_more(choice(*KINDS)), "Kinds, taken in turn."),
        Option("per_network", 1, integer(1, 100_000), "Pairs for each network."),
        Option("top", 6, integer(2, 1000), "Largest width of networks that a kind draws on its own."),
    ),
    group=256,
)
