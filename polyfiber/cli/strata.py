"""Commands about linear networks: strata, stratum, geodesic, critical."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..errors import InputError
from ..words import count as counted
from .grammar.parsing import numbers, parse_widths, readable_depth
from .options import Limits, Output, grouped, refuse
from .outputs import new_figure, write_figure
from .render import facts as show_facts
from .render import note, shown, table, tell

if TYPE_CHECKING:
    from ..linear.critical import CriticalType
    from ..linear.strata import RankStratification

_WIDTHS = typer.Argument(..., metavar="WIDTHS", help="Widths of the layers, input first: 4,6,5.")
_RANK = typer.Option(None, "--rank", "-r", min=0, help="Rank of the product of the layers; without it, all ranks.")
KINDS = {"none": "without critical points"}
"""Kinds of critical points that need a word more."""
_LIMIT = typer.Option(100, "--limit", min=0, help="Rows and lines to print; 0 prints all.")
_WEIGHTS = "weights of a linear network: .npz with W1, W2, …, or a network file (its biases are left out)."


def _shape(widths: str, rank: int | None) -> tuple[int, ...]:
    """The widths, and whether a product of such matrices can have this rank."""
    d = parse_widths(widths)
    if rank is not None and rank > min(d):
        raise typer.BadParameter(f"--rank {rank}: a product of matrices of widths {widths} has rank {min(d)} at most")
    return d


def draw_dag(strata: RankStratification) -> list[str]:
    """The covers as text, one line per stratum, lowest first."""
    lines = []
    ptr, above = strata.strata.covers_above
    moves = strata.moves
    from ..linear.strata import Move

    width = len(str(len(strata) - 1))
    for s in strata:
        ends = [
            f"{int(above[e])} ({Move(*(int(v) for v in moves[e]))})" for e in range(int(ptr[s.id]), int(ptr[s.id + 1]))
        ]
        lines.append(f"{s.id:>{width}} -> {', '.join(ends) if ends else 'maximal'}")
    return lines


def strata(
    widths: str = _WIDTHS,
    rank: int = _RANK,
    bias: bool = typer.Option(False, "--bias", help="Count the biases of the layers in the dimensions too."),
    count: bool = typer.Option(False, "--count", help="Only the number of strata, without listing them."),
    limit: int = _LIMIT,
    plot: Path = typer.Option(None, "--plot", metavar="FILE", help="Draw the strata and their closures."),
    *,
    limits: Limits,
    output: Output,
) -> None:
    """List the rank strata of a linear network: their dimensions, freedoms, and which lies in the closure of which."""
    from ..linear.count import count_strata
    from ..linear.strata import stratify
    from ..linear.variety import fiber_variety

    d = _shape(widths, rank)
    if count:
        refuse(("--bias", "--limit", "--plot"), "not with --count, which lists nothing")
        n = count_strata(d, rank, budget=limits.budget)
        of = f"the linear networks of widths {widths}" + ("" if rank is None else f" whose product has rank {rank}")
        tell(
            f"{counted(n, 'rank stratum', 'rank strata')}: so many patterns of ranks of consecutive products do {of} have; an exact count.",
            {"widths": d, "rank": rank, "strata": n}, json=output.json,
        )  # fmt: skip
        return
    if plot is not None:
        new_figure(plot, (1, 1))
    st = stratify(d, rank=rank, bias=bias, budget=limits.budget, progress=output.progress)
    listed = range(len(st)) if limit == 0 else range(min(limit, len(st)))
    names = [f"r{k}{i}" if max(k, i) < 10 else f"r{k},{i}" for k, i in st.columns]
    edges = []
    if len(listed) == len(st):
        edges = [
            {"lower": a, "upper": b, "move": [m.i, m.k, m.s, m.t], "kind": m.kind, "layer": m.layer}
            for a, b, m in st.covers()
        ]
    else:
        note(f"{len(listed)} of {len(st)} strata, no closures; --limit 0 prints all", quiet=output.quiet)
    answer: dict[str, Any] = {
        "widths": d,
        "rank": rank,
        "bias": bias,
        "ambient_dim": st.strata.ambient_dim,
        "count": len(st),
        "columns": names,
        "strata": [
            {
                "id": s.id,
                "ranks": s.label,
                "dim_in_weights": s.dim_in_weights,
                "dim_in_fiber": s.dim_in_fiber,
                "dim": s.dim,
                "dof": s.dof,
                "rdof": s.rdof,
            }
            for s in (st[i] for i in listed)
        ],
        "edges": edges,
        "maximal": st.maximal(),
    }
    if tell(st.sentence, answer, json=output.json):
        title = f"widths {','.join(map(str, d))}: {counted(len(st), 'stratum', 'strata')} in dimension {st.strata.ambient_dim}"
        rows = [(s.id, *s.label, s.dim_in_weights, s.dim_in_fiber, s.dof, s.rdof) for s in (st[i] for i in listed)]
        table(rows, header=("id", *names, "dim in weights", "dim in fiber", "dof", "rdof"), title=title)
        if len(listed) == len(st):
            print()
            print("covers, lower -> upper (move of bars):")
            for line in draw_dag(st):
                print(line)
            if rank is not None:
                print()
                print(fiber_variety(st, rank=rank).sentence)
    if plot is not None:
        _write_picture(st, plot)
        note(f"wrote {plot}", quiet=output.quiet)


def _write_picture(st: RankStratification, path: Path) -> None:
    from ..plots.strata import plot_dag, plot_table

    flat = st.n_layers == 2 and st.rank is not None
    side = len({s.layer_ranks[0] for s in st}) if flat else 0
    figure = new_figure(path, (9, 2 + 0.7 * side) if flat else (13, 9))
    ax = figure.add_subplot()
    if flat:
        plot_table(st, ax=ax)
    else:
        plot_dag(st, ax=ax)
    write_figure(figure, path)


def stratum(
    file: Path = typer.Argument(..., metavar="WEIGHTS", help=f"File with {_WEIGHTS}"),
    tolerance: float = typer.Option(
        None, "--tolerance", min=0.0, help="Noise relative to each layer; 1e-10 by default."
    ),
    noise: float = typer.Option(None, "--noise", min=0.0, help="Absolute noise of every layer, in addition."),
    gap: float = typer.Option(
        100.0, "--gap", min=1.0, help="Factor that must lie between noise and the values that count."
    ),
    exact: bool = typer.Option(False, "--exact", help="Read the numbers as exact rationals."),
    plot: Path = typer.Option(None, "--plot", metavar="FILE", help="Draw the basis flow diagram."),
    *,
    output: Output,
) -> None:
    """Find the rank stratum that the weights in a file lie on, with the gap behind every rank.

    Exit code 3 when a rank is not decided at this tolerance.
    """
    from ..dln import read_weights
    from ..linear.bars import barcode
    from ..linear.location import locate
    from ..linear.paths import connected_parts
    from ..verdict import Verdict

    if exact:
        refuse(("--tolerance", "--noise", "--gap"), "not with --exact, where every rank is decided")
    layers, left_out = read_weights(file)
    if left_out:
        note(f"not used: {', '.join(left_out)}", quiet=output.quiet)
    at = locate(layers, tolerance=tolerance, noise=noise, gap=gap, exact=True if exact else None)
    found = at.reading
    decided = at.verdict is Verdict.YES
    last = len(layers)
    pairs = [(k, i) for k in range(1, last + 1) for i in range(k)]
    answer: dict[str, Any] = {
        "widths": at.widths,
        "verdict": at.verdict.value,
        "exact": at.is_exact,
        "tolerance": at.tolerance,
        "ranks": [{"k": k, "i": i, "rank": int(at.ranks[k, i])} for k, i in pairs],
        "gaps": [
            {
                "k": k,
                "i": i,
                "kept": g.kept,
                "dropped": g.dropped,
                "threshold": g.threshold,
                "certain": g.certain,
                "low": g.low,
                "high": g.high,
            }
            for (k, i), g in at.gaps.items()
        ],
    }
    if found is not None:
        answer |= {
            "dim_in_weights": found.dim_in_weights,
            "dim_in_fiber": found.dim_in_fiber,
            "dim": found.dim,
            "dof": found.dof,
            "rdof": found.rdof,
            "codim": found.codim,
            "bars": [{"from": i, "to": k, "multiplicity": m} for (i, k), m in found.bars.items()],
            "connected_parts": connected_parts(found.widths, found),
        }
    if tell(at.sentence, answer, json=output.json):
        rows: list[tuple[Any, ...]] = []
        for k, i in pairs:
            name = f"W{k}" if k == i + 1 else f"W{k}..W{i + 1}"
            g = at.gaps.get((k, i))
            if g is None:
                rows.append((name, int(at.ranks[k, i]), "exact", "", ""))
            else:
                state = "yes" if g.certain else f"undecided, {g.low}..{g.high}"
                rows.append((name, g.rank, state, f"{g.kept:.3g} | {g.dropped:.3g}", f"{g.threshold:.2g}"))
        title = f"widths {','.join(map(str, at.widths))}"
        table(rows, header=("product", "rank", "decided", "kept | dropped", "noise"), title=title)
        if found is not None:
            bars = ", ".join(f"{m} x [{i},{k}]" for (i, k), m in found.bars.items())
            print(f"bars: {bars}")
            print(f"stratum among all weights: dim {found.dim_in_weights}")
            print(
                f"its part inside one fiber: dim {found.dim_in_fiber}, dof {found.dof}, rdof {found.rdof}, codim {found.codim}"
            )
            print(f"connected parts of the stratum: {connected_parts(found.widths, found)}")
    if plot is not None:
        if found is None:
            raise InputError("there is no flow diagram: the ranks do not fit together")
        from ..plots.strata import plot_flow

        b = barcode(layers, ranks=found, exact=False)
        figure = new_figure(plot, (1.6 + 1.25 * (last + 1), 5))
        plot_flow(b, ax=figure.add_subplot())
        write_figure(figure, plot)
        note(f"wrote {plot}", quiet=output.quiet)
    if not decided:
        raise typer.Exit(3)


def geodesic(
    start: Path = typer.Argument(..., metavar="WEIGHTS", help=f"File with {_WEIGHTS}"),
    end: Path = typer.Argument(..., metavar="OTHER", help="The same of the other end."),
    depth: str = typer.Option(
        None,
        "--depth",
        "-N",
        metavar="N",
        help="Depth of the metric, or inf; by default the number of layers.",
        callback=readable_depth,
    ),
    starts: int = typer.Option(
        2, "--starts", min=1, help="Starting curves to solve from; the shortest solution counts."
    ),
    *,
    limits: Limits,
    output: Output,
) -> None:
    """Join the end-to-end matrices of two linear networks by a geodesic, with the evidence for its length."""
    from ..dln import geodesic as join
    from ..dln import read_weights
    from ..linear.weights import float_weights, product

    ends = []
    for file in (start, end):
        layers, left_out = read_weights(file)
        if left_out:
            note(f"not used of {file}: {', '.join(left_out)}", quiet=output.quiet)
        ends.append(float_weights(layers))
    if depth is None and len(ends[0]) != len(ends[1]):
        raise InputError(
            f"the networks have {len(ends[0])} and {counted(len(ends[1]), 'layer')}; say with --depth in which metric they are compared"
        )
    n = len(ends[0]) if depth is None else float(depth) if depth == "inf" else int(depth)
    g = join(product(ends[0]), product(ends[1]), n, starts=starts, budget=limits.budget)
    test = g.minimum
    facts = {
        "shape": list(g.start.shape),
        "rank": g.rank,
        "depth": n,
        "length": g.length,
        "solved": g.solved,
        "method": g.method,
        "residual": g.residual,
        "lower_bound": g.lower_bound,
        "chord": g.chord,
        "shortest": g.shortest,
        "local_minimum": None if test is None else test.verdict.value,
        "conjugate_points": None if test is None or test.index < 0 else test.index,
        "homotopy_classes": g.classes,
        "homotopy": g.homotopy,
        "tried": [{"from": a.curve, "length": a.length, "homotopy": a.homotopy} for a in g.tried],
    }
    if tell(g.sentence, facts, json=output.json):
        shape = "x".join(map(str, g.start.shape))
        show_facts(facts, title=f"geodesic between {shape} matrices", leave_out=("tried", "shape"))
        for attempt in g.tried:
            where = "" if attempt.homotopy is None else f", class {shown(attempt.homotopy)}"
            print(
                f"from {attempt.curve}: {'nothing found' if attempt.length != attempt.length else shown(attempt.length)}{where}"
            )


def critical(
    widths: str = _WIDTHS,
    target: Path = typer.Option(
        None, "--target", metavar="FILE", help="The target: an .npz with one matrix, or with factors of it."
    ),
    values: str = typer.Option(None, "--values", help="Singular values of a diagonal target instead: 3,2,1."),
    rank: int = _RANK,
    limit: int = _LIMIT,
    *,
    limits: Limits,
    output: Output,
) -> None:
    """Say which rank strata are critical for the square loss to a target, and of which type.

    Give the target by one of --target and --values.
    """
    import numpy as np

    from ..budget import Monitor
    from ..dln import read_weights
    from ..linear.critical import critical_type
    from ..linear.strata import stratify
    from ..linear.weights import float_weights, product

    d = _shape(widths, rank)
    if (target is None) == (values is None):
        raise typer.BadParameter("give the target either as a file (--target) or by its singular values (--values)")
    if values is not None:
        diagonal = numbers(values, "the singular values", "3,2,1")
        if len(diagonal) > min(d[0], d[-1]):
            raise typer.BadParameter(f"{len(diagonal)} singular values do not fit a {d[-1]} x {d[0]} matrix")
        if min(diagonal) < 0:
            raise typer.BadParameter(f"singular values are not negative, found {values}")
        matrix = np.zeros((d[-1], d[0]))
        matrix[range(len(diagonal)), range(len(diagonal))] = diagonal
    else:
        assert target is not None
        matrix = product(float_weights(read_weights(target)[0]))
    ranks = range(min(d) + 1) if rank is None else [rank]
    found: list[CriticalType] = []
    with Monitor(limits.budget, output.progress).watching() as monitor:
        for rho in ranks:
            for s in stratify(d, rank=rho, budget=monitor.rest()):
                found.append(critical_type(s, matrix))
                monitor.did("strata were looked at", len(found))
                monitor.report("strata", len(found))
    listed = found[: limit or None]
    if len(listed) < len(found):
        note(f"{len(listed)} of {len(found)} strata; --limit 0 prints all", quiet=output.quiet)
    answer = {
        "widths": d,
        "count": len(found),
        "strata": [
            {
                "ranks": t.stratum.label,
                "rank": t.stratum.rank,
                "critical": t.critical.value,
                "everywhere": t.everywhere,
                "kind": t.kind,
                "kinds": t.kinds,
                "loss": t.loss,
                "index": t.index if t.index >= 0 else None,
                "nullity": t.nullity if t.index >= 0 else None,
            }
            for t in listed
        ],
    }
    least = min((t.loss for t in found if t.loss == t.loss), default=float("nan"))
    kinds = {kind: sum(t.kind == kind for t in found) for kind in dict.fromkeys(t.kind for t in found)}
    sentence = (
        f"{counted(len(found), 'stratum', 'strata')} over the best approximations of the target: "
        f"{', '.join(f'{n} {KINDS.get(kind, kind)}' for kind, n in kinds.items())}"
        + (f"; the least loss among them is {shown(least)}." if least == least else ".")
    )
    if not tell(sentence, answer, json=output.json):
        return
    names = [f"r{k}{i}" for k in range(1, len(d)) for i in range(k)]
    rows = [
        (
            *t.stratum.label,
            "all" if t.everywhere else "some" if t.point else "none",
            " or ".join(t.kinds) or "-",
            "" if t.loss != t.loss else f"{t.loss:.6g}",
            *((t.index, t.nullity) if t.index >= 0 else ("", "")),
        )
        for t in listed
    ]
    title = f"widths {','.join(map(str, d))}: strata over the best approximations of the target"
    table(rows, header=(*names, "critical points", "kind", "loss", "negative", "zero"), title=title)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(grouped(strata))
    app.command()(grouped(stratum))
    app.command()(grouped(geodesic))
    app.command()(grouped(critical))
