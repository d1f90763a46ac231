"""Commands about linear networks: strata, stratum, geodesic, critical."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..errors import FileFormatError, InputError
from .outputs import new_figure, write_figure
from .render import note, progress_line, table, to_json

if TYPE_CHECKING:
    from ..linear.strata import RankStratification


def parse_widths(text: str) -> tuple[int, ...]:
    """Widths from ``4,6,5`` (also ``4-6-5`` or ``4x6x5``)."""
    compact = "".join(text.split())
    if not re.fullmatch(r"\d+([,x-]\d+)*", compact):
        raise InputError(f"cannot read the widths {text!r}; expected numbers such as 4,6,5 (input width first)")
    return tuple(int(p) for p in re.split(r"[,x-]", compact))


def read_layers(path: Path) -> tuple[list[Any], list[str]]:
    """Weight matrices of a file, first layer first, and the names of what was left out.

    In an ``.npz`` every matrix counts, in the order of the numbers in its name; vectors
    (biases) are left out and named. Other files are read as networks, biases likewise.
    """
    import numpy as np

    from ..network.readers import read_chain as read_network
    from ..network.readers.npz import read_arrays

    if path.suffix.lower() == ".npz":
        arrays = read_arrays(path)
        matrices = [n for n, a in arrays.items() if a.ndim == 2]
        if not matrices:
            raise FileFormatError(f"{str(path)!r} holds no matrix; expected W1, W2, … (found {sorted(arrays)})")
        if any(re.search(r"\d", n) for n in matrices):
            matrices.sort(key=lambda n: [int(p) if p.isdigit() else 0 for p in re.findall(r"\d+", n)] or [0])
        return [arrays[n] for n in matrices], sorted(set(arrays) - set(matrices))
    net = read_network(path)
    return [np.asarray(w) for w in net.weights], [f"bias {j}" for j in range(1, len(net.biases) + 1)]


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
    widths: str = typer.Argument(..., help="Widths, input first: 4,6,5"),
    rank: int | None = typer.Option(None, "--rank", "-r", help="Rank of the product; without it, all ranks."),
    bias: bool = typer.Option(False, "--bias", help="Layers with biases."),
    count: bool = typer.Option(False, "--count", help="Only the number of strata, without listing them."),
    limit: int = typer.Option(100, "--limit", min=0, help="Rows and lines to print; 0 prints all."),
    plot: Path | None = typer.Option(None, "--plot", help="Write the DAG as a picture (.png, .svg, .pdf)."),
    seconds: float | None = typer.Option(None, "--seconds", help="Time budget."),
    memory: str | None = typer.Option(None, "--memory", help="Memory budget, for instance 2GiB."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Nothing on standard error."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Rank strata of a linear network: table (dim, dof, rdof) and the DAG of their closures."""
    from ..budget import Budget
    from ..linear.count import count_strata
    from ..linear.strata import stratify
    from ..linear.variety import fiber_variety

    d = parse_widths(widths)
    budget = None if seconds is None and memory is None else Budget(seconds=seconds, memory=memory)
    if count:
        n = count_strata(d, rank, budget=budget)
        if json:
            to_json({"widths": d, "rank": rank, "strata": n})
        else:
            print(n)
        return
    st = stratify(d, rank=rank, bias=bias, budget=budget, progress=progress_line(quiet=quiet))
    shown = range(len(st)) if limit == 0 else range(min(limit, len(st)))
    names = [f"r{k}{i}" if max(k, i) < 10 else f"r{k},{i}" for k, i in st.columns]
    if json:
        edges = []
        if len(shown) == len(st):
            edges = [
                {"lower": a, "upper": b, "move": [m.i, m.k, m.s, m.t], "kind": m.kind, "layer": m.layer}
                for a, b, m in st.edges()
            ]
        answer: dict[str, Any] = {
            "widths": d,
            "rank": rank,
            "bias": bias,
            "ambient_dim": st.strata.ambient_dim,
            "count": len(st),
            "columns": names,
            "strata": [
                {"id": s.id, "ranks": s.label, "dim": s.dim, "dof": s.dof, "rdof": s.rdof}
                for s in (st[i] for i in shown)
            ],
            "edges": edges,
            "maximal": st.maximal(),
        }
        if len(shown) < len(st):
            note(f"{len(shown)} of {len(st)} strata, no edges; --limit 0 prints all", quiet=quiet)
        to_json(answer)
    else:
        title = f"widths {','.join(map(str, d))}: {len(st)} strata in dimension {st.strata.ambient_dim}"
        rows = [(s.id, *s.label, s.dim, s.dof, s.rdof) for s in (st[i] for i in shown)]
        table(rows, header=("id", *names, "dim", "dof", "rdof"), title=title)
        if len(shown) < len(st):
            note(f"{len(shown)} of {len(st)} strata; --limit 0 prints all", quiet=quiet)
        else:
            print()
            print("covers, lower -> upper (move of bars):")
            for line in draw_dag(st):
                print(line)
            if rank is not None:
                print()
                print(repr(fiber_variety(st, rank=rank)))
    if plot is not None:
        _write_picture(st, plot)
        note(f"wrote {plot}", quiet=quiet)


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
    file: Path = typer.Argument(..., help="Weights: .npz with W1, W2, …, or a network file."),
    tolerance: float | None = typer.Option(None, "--tolerance", help="Noise relative to each layer (default 1e-10)."),
    noise: float | None = typer.Option(None, "--noise", help="Absolute noise of every layer, in addition."),
    gap: float = typer.Option(100.0, "--gap", help="Required factor between noise and the values that count."),
    exact: bool = typer.Option(False, "--exact", help="Read the numbers as exact rationals."),
    plot: Path | None = typer.Option(None, "--plot", help="Write the basis flow diagram (.png, .svg, .pdf)."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Nothing on standard error."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """The rank stratum of the weights in a file, with the gap behind every rank."""
    from ..linear.bars import barcode
    from ..linear.location import locate
    from ..linear.paths import connected_parts
    from ..verdict import Verdict

    layers, left_out = read_layers(file)
    if left_out:
        note(f"not used: {', '.join(left_out)}", quiet=quiet)
    at = locate(layers, tolerance=tolerance, noise=noise, gap=gap, exact=True if exact else None)
    found = at.reading
    decided = at.verdict is Verdict.YES
    last = len(layers)
    pairs = [(k, i) for k in range(1, last + 1) for i in range(k)]
    if json:
        answer: dict[str, Any] = {
            "widths": at.widths,
            "verdict": at.verdict.value,
            "exact": at.exact,
            "tolerance": at.tolerance,
            "ranks": [{"k": k, "i": i, "rank": int(at.ranks[k, i])} for k, i in pairs],
            "gaps": [
                {
                    "k": k,
                    "i": i,
                    "kept": g.kept if g.kept != float("inf") else None,
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
                "dim": found.dim,
                "dof": found.dof,
                "rdof": found.rdof,
                "codim": found.codim,
                "bars": [{"from": i, "to": k, "multiplicity": m} for (i, k), m in found.bars.items()],
                "connected_parts": connected_parts(found.widths, found),
            }
        to_json(answer)
    else:
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
        if found is None:
            print("these ranks do not fit together; try another tolerance")
        else:
            bars = ", ".join(f"{m} x [{i},{k}]" for (i, k), m in found.bars.items())
            print(f"bars: {bars}")
            print(f"stratum: dim {found.dim}, dof {found.dof}, rdof {found.rdof}, codim {found.codim}")
            print(f"connected parts of the stratum: {connected_parts(found.widths, found)}")
    if plot is not None:
        if found is None:
            raise InputError("there is no flow diagram: the ranks do not fit together")
        from ..plots.strata import plot_flow

        b = barcode(layers, ranks=found, exact=False)
        figure = new_figure(plot, (1.6 + 1.25 * (last + 1), 5))
        plot_flow(b, ax=figure.add_subplot())
        write_figure(figure, plot)
        note(f"wrote {plot}", quiet=quiet)
    if not decided:
        raise typer.Exit(3)


def geodesic(
    start: Path = typer.Argument(..., help="Weights of one network: .npz with W1, W2, …, or a network file."),
    end: Path = typer.Argument(..., help="Weights of the other."),
    depth: int | None = typer.Option(
        None, "--depth", "-N", help="Depth of the metric; by default the number of layers."
    ),
    starts: int = typer.Option(
        2, "--starts", min=1, help="Starting curves to solve from; the shortest solution counts."
    ),
    seconds: float | None = typer.Option(None, "--seconds", help="Time budget."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Nothing on standard error."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Geodesic between the end-to-end matrices of two linear networks, with the evidence for its length."""
    import math

    from ..budget import Budget
    from ..dln import geodesic as join
    from ..linear.weights import float_weights, product

    ends = []
    for file in (start, end):
        layers, left_out = read_layers(file)
        if left_out:
            note(f"not used of {file}: {', '.join(left_out)}", quiet=quiet)
        ends.append(float_weights(layers))
    if depth is None and len(ends[0]) != len(ends[1]):
        raise InputError(
            f"the networks have {len(ends[0])} and {len(ends[1])} layers; say with --depth in which metric they are compared"
        )
    n = len(ends[0]) if depth is None else depth
    budget = None if seconds is None else Budget(seconds=seconds)
    g = join(product(ends[0]), product(ends[1]), n, starts=starts, budget=budget)
    test = g.minimum
    facts = {
        "shape": list(g.start.shape),
        "rank": g.rank,
        "depth": n,
        "length": g.length,
        "method": g.method,
        "residual": g.residual,
        "lower_bound": g.lower_bound,
        "chord": None if math.isnan(g.chord) else g.chord,
        "shortest": g.shortest,
        "local_minimum": None if test is None else test.verdict.value,
        "conjugate_points": None if test is None else test.index,
        "tried": [[name, None if math.isnan(length) else length] for name, length in g.tried],
    }
    if json:
        to_json(facts)
    else:
        rows = [(name.replace("_", " "), value) for name, value in facts.items() if name not in ("tried", "shape")]
        table(rows, header=("", "value"), title=f"geodesic between {'x'.join(map(str, g.start.shape))} matrices")
        for name, length in g.tried:
            print(f"from {name}: {length:.9g}")


def critical(
    widths: str = typer.Argument(..., help="Widths, input first: 3,2,2,3"),
    target: Path | None = typer.Option(None, "--target", help="Target: a .npz with one matrix, or factors of it."),
    values: str | None = typer.Option(None, "--values", help="Singular values of a diagonal target instead: 3,2,1"),
    rank: int | None = typer.Option(None, "--rank", "-r", help="Rank of the product; without it, all ranks."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Which rank strata are critical for the square loss to a target, and of which type."""
    import numpy as np

    from ..linear.critical import critical_type
    from ..linear.strata import stratify
    from ..linear.weights import float_weights, product

    d = parse_widths(widths)
    if (target is None) == (values is None):
        raise InputError("give the target as a file (--target) or by its singular values (--values), not both")
    if values is not None:
        try:
            diagonal = [float(v) for v in values.split(",")]
        except ValueError:
            raise InputError(f"cannot read the singular values {values!r}; expected numbers such as 3,2,1") from None
        if len(diagonal) > min(d[0], d[-1]):
            raise InputError(f"{len(diagonal)} singular values do not fit a {d[-1]} x {d[0]} matrix")
        matrix = np.zeros((d[-1], d[0]))
        matrix[range(len(diagonal)), range(len(diagonal))] = diagonal
    else:
        assert target is not None
        matrix = product(float_weights(read_layers(target)[0]))
    ranks = range(min(d) + 1) if rank is None else [rank]
    found = []
    for rho in ranks:
        if rho > int(np.linalg.matrix_rank(matrix)) and rank is None:
            break
        found += [critical_type(s, matrix) for s in stratify(d, rank=rho)]
    if json:
        to_json(
            [
                {
                    "ranks": t.stratum.label,
                    "rank": t.stratum.rank,
                    "critical": t.critical.value,
                    "kind": t.kind,
                    "loss": t.loss,
                    "index": t.index,
                    "nullity": t.nullity,
                }
                for t in found
            ]
        )
        return
    names = [f"r{k}{i}" for k in range(1, len(d)) for i in range(k)]
    rows = [
        (
            *t.stratum.label,
            t.critical.value,
            t.kind,
            f"{t.loss:.6g}",
            *((t.index, t.nullity) if t.index >= 0 else ("", "")),
        )
        for t in found
    ]
    title = f"widths {','.join(map(str, d))}: strata over the best approximations of the target"
    table(rows, header=(*names, "critical", "kind", "loss", "negative", "zero"), title=title)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(strata)
    app.command()(stratum)
    app.command()(geodesic)
    app.command()(critical)
