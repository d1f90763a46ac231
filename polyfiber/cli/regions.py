"""Commands for networks too large to enumerate: region, explore, slice, segment, bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from ..errors import InputError
from .complexes import make_budget, parse_box
from .options import Limits, Output, grouped
from .outputs import draw, new_figure, require_writable
from .render import note, progress_line, table, to_json

_FILE = typer.Argument(..., help="Network: .onnx .npz .safetensors .pt .h5 .keras .nnet")
_JSON = typer.Option(False, "--json", help="Print JSON.")


def parse_point(text: str | None, dimension: int, what: str) -> list[float]:
    """A point from ``0.1,0.2,…`` or one number for every coordinate; the origin by default."""
    if text is None:
        return [0.0] * dimension
    try:
        numbers = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise InputError(f"cannot read {what} {text!r}; expected numbers such as 0.5 or 0,1,0.25") from None
    if len(numbers) == 1:
        return numbers * dimension
    if len(numbers) != dimension:
        raise InputError(f"{what} has {len(numbers)} numbers; the network has {dimension} inputs")
    return numbers


def _named(net: Any, column: int) -> str:
    if column < net.n_hidden:
        layer, position = net.neuron(column)
        return f"neuron {position} of layer {layer}"
    return f"domain facet {column - net.n_hidden}"


def region_command(
    file: Path = _FILE,
    point: str = typer.Option(None, "--at", help="Point x1,x2,… or one number for all; the origin by default."),
    box: str = typer.Option(None, "--box", help="Domain lo,hi or lo1,hi1,lo2,hi2,…; all of R^n by default."),
    json: bool = _JSON,
) -> None:
    """The region of a point: irredundant facets, distances, inscribed ball."""
    from ..complexes.local.region import region
    from ..network.readers import read_chain as read_network

    net = read_network(file)
    n0 = net.architecture[0]
    domain = None if box is None else parse_box(box, n0)
    r = region(net, parse_point(point, n0, "the point"), domain=domain)
    ball = r.inscribed_ball
    facts: dict[str, Any] = {
        "active": int((r.signs[: net.n_hidden] > 0).sum()),
        "neurons": net.n_hidden,
        "facets": r.n_facets,
        "bounded": r.bounded.value,
        "distance_to_boundary": r.distance,
        "inscribed_radius": ball.radius,
        "inscribed_radius_certified": ball.certified_radius,
        "rows_decided_exactly": r.stats.exact_rows,
    }
    walls = [(_named(net, int(c)), float(d)) for c, d in zip(r.facets, r.wall_distances)]
    if json:
        A, a = r.affine_map
        to_json(
            {key: _finite(value) for key, value in facts.items()}
            | {"point": r.point, "signs": r.signs, "facet_columns": r.facets, "wall_distances": r.wall_distances}
            | {"center": ball.center, "affine_map": {"A": A, "a": a}}
        )
        return
    table(walls, header=("facet", "distance of the point to its hyperplane"), title=f"{file}: {r}")
    for key, value in facts.items():
        print(
            f"{key.replace('_', ' ')}: {value:.6g}" if isinstance(value, float) else f"{key.replace('_', ' ')}: {value}"
        )


def _finite(value: Any) -> Any:
    return str(value) if isinstance(value, float) and value in (float("inf"), float("-inf")) else value


def explore_command(
    file: Path = _FILE,
    at: list[str] = typer.Option(None, "--at", help="Start x1,x2,… or one number for all; several may be given."),
    box: str = typer.Option(None, "--box", help="Domain lo,hi or lo1,hi1,lo2,hi2,…; all of R^n by default."),
    regions: int = typer.Option(1000, "--regions", help="Regions to decide the facets of."),
    order: str = typer.Option("breadth", "--order", help="breadth (walls crossed) or nearest (distance)."),
    save: Path = typer.Option(None, "--save", help="Write signs, points, edges and the rest to an .npz file."),
    seconds: float = typer.Option(None, "--seconds", help="Time budget."),
    json: bool = _JSON,
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress."),
) -> None:
    """The regions around points, through certified facets, to a number, to a time or to the end.

    Exit code 3 when the time ended first; what is printed was found all the same.
    """
    import numpy as np

    from ..complexes.local.explore import explore
    from ..network.readers import read_chain as read_network

    if save is not None:
        require_writable(save, "regions")
    net = read_network(file)
    n0 = net.architecture[0]
    walk = explore(
        net,
        [parse_point(text, n0, "a start") for text in at or ["0"]],
        domain=None if box is None else parse_box(box, n0),
        budget=make_budget(seconds, None),
        max_regions=regions,
        order=order,
        progress=progress_line(quiet=quiet or json),
    )
    closed = int(walk.closed.sum())
    facts = {
        "closed": closed,
        "open": walk.n_regions - closed,
        "complete": walk.complete,
        "facets_between": len(walk.edges),
        "walls_crossed_at_most": int(walk.depth.max(initial=0)),
        "regions_per_second": closed / walk.seconds if walk.seconds else None,
        "seconds": walk.seconds,
    }
    if save is not None:
        names = ("signs", "points", "closed", "n_facets", "depth", "edges", "walls")
        with save.open("wb") as stream:
            np.savez_compressed(stream, **{name: getattr(walk, name) for name in names})
        note(f"wrote {save}", quiet=quiet)
    if json:
        to_json(facts)
    else:
        table([(key.replace("_", " "), value) for key, value in facts.items()], header=("", f"{file}: {walk}"))
    if not walk.complete and closed < regions:
        raise typer.Exit(3)


def _directions(axes: str, along: str | None, n0: int) -> tuple[Any, list[str]]:
    """Directions of a slice, one a row, and their names."""
    import numpy as np

    if along is not None:
        rows = [parse_point(part, n0, "a direction") for part in along.split(";")]
        if not 1 <= len(rows) <= 3:
            raise InputError(f"--along {along!r} has {len(rows)} directions; expected one to three")
        return np.array(rows), [f"direction {i}" for i in range(len(rows))]
    try:
        chosen = [int(part) for part in axes.split(",")]
    except ValueError:
        raise InputError(f"cannot read the axes {axes!r}; expected coordinates such as 0,1") from None
    if not all(0 <= c < n0 for c in chosen) or len(set(chosen)) != len(chosen) or not 1 <= len(chosen) <= 3:
        raise InputError(f"axes {axes!r}: expected one to three different coordinates from 0 to {n0 - 1}")
    return np.eye(n0)[chosen], [f"input {c}" for c in chosen]


def slice_command(
    file: Path = _FILE,
    axes: str = typer.Option("0,1", "--axes", help="Input coordinates that span the slice: one, two or three."),
    along: str = typer.Option(None, "--along", help="Directions that span it instead, such as '1,0,2;0,1,0.5'."),
    origin: str = typer.Option(None, "--origin", help="A point of the slice; the origin by default."),
    box: str = typer.Option("-1,1", "--box", help="Box in slice coordinates, or 'none' for the whole plane."),
    plot: Path = typer.Option(None, "--plot", help="Draw a planar slice to an image."),
    exact: bool = typer.Option(False, "--exact", help="Restrict in rational arithmetic instead of rounding."),
    *,
    limits: Limits,
    output: Output,
) -> None:
    """The exact complex of an affine slice of a network of any size."""
    from ..complexes.local.slices import slice_complex
    from ..network.readers import read_chain as read_network

    net = read_network(file)
    n0 = net.architecture[0]
    directions, names = _directions(axes, along, n0)
    if plot is not None and len(names) != 2:
        raise InputError(f"a picture needs a planar slice, found dimension {len(names)}")
    domain = None if box == "none" else parse_box(box, len(names))
    if plot is not None:
        if domain is None:
            raise InputError("a picture needs a box: give --box")
        new_figure(plot, (1, 1))
    s = slice_complex(
        net,
        parse_point(origin, n0, "the origin"),
        directions,
        domain=domain,
        arithmetic="exact" if exact else "auto",
        budget=limits.budget,
        progress=progress_line(quiet=output.quiet or output.json),
    )
    if plot is not None:
        draw(s.complex, plot, labels=(names[0], names[1]))
        note(f"drew {plot}", quiet=output.quiet)
    facts = {
        "directions": directions,
        "f_vector": list(s.f_vector),
        "euler_characteristic": s.complex.euler_characteristic,
        "restriction_exact": s.exact,
        "restriction_rounding": s.rounding,
        "seconds": s.complex.stats.seconds,
    }
    if output.json:
        to_json(facts)
        return
    table([(k, c) for k, c in enumerate(s.f_vector)], header=("dimension", "faces"), title=f"{file}: {s}")
    print("restriction exact" if s.exact else f"first layer rounded by at most {s.rounding:.3g}")


def segment_command(
    file: Path = _FILE,
    start: str = typer.Option(..., "--from", help="Start x1,x2,… or one number for all coordinates."),
    end: list[str] = typer.Option(..., "--to", help="End; several make a path."),
    json: bool = _JSON,
) -> None:
    """Every region along a segment or a path, in certified order."""
    from ..complexes.local.segments import path_regions
    from ..network.readers import read_chain as read_network

    net = read_network(file)
    n0 = net.architecture[0]
    points = [parse_point(start, n0, "the start"), *(parse_point(text, n0, "the end") for text in end)]
    segments = path_regions(net, points).segments
    if json:
        facts = [
            {
                "pieces": s.n_regions,
                "t": s.t,
                "t_errors": s.t_errors,
                "neurons": s.neurons,
                "exact_events": s.exact_events,
                "values": s.values,
            }
            for s in segments
        ]
        to_json(facts[0] if len(facts) == 1 else {"segments": facts})
        return
    for s in segments:
        rows = [(f"{t:.12g}", "; ".join(_named(net, i) for i in who)) for t, who in zip(s.t, s.neurons)]
        table(rows, header=("t", "changes sign"), title=f"{file}: {s}")


def bounds_command(
    file: Path = _FILE,
    box: str = typer.Option(..., "--box", help="Box lo,hi or lo1,hi1,lo2,hi2,…"),
    at: str = typer.Option(
        None, "--at", help="Only the region of this point within the box, exactly: x1,x2,… or one number."
    ),
    method: str = typer.Option("relaxation", "--method", help="interval, relaxation, lp or exact."),
    seconds: float = typer.Option(None, "--seconds", help="Time budget of lp and exact."),
    json: bool = _JSON,
) -> None:
    """Certified bounds of every neuron over a box, values that it attains, and what is constant there.

    Exit code 3 when the budget ended before the method was done; the bounds printed hold all the same.
    """
    from collections import Counter

    import numpy as np

    from ..complexes.local.region import region
    from ..complexes.ranges.activation import METHODS, activation_bounds
    from ..complexes.ranges.simplify import simplify_on
    from ..network.readers import read_chain as read_network

    net = read_network(file)
    domain = parse_box(box, net.architecture[0])
    where: Any = domain
    if at is not None:
        where = region(net, parse_point(at, net.architecture[0], "the point"), domain=domain)
    b = activation_bounds(net, where, method=method, budget=make_budget(seconds, None))
    small = simplify_on(net, b.domain, bounds=b)
    if json:
        to_json(
            {
                "lower": b.lower,
                "upper": b.upper,
                "output_lower": b.output_lower,
                "output_upper": b.output_upper,
                "attained_lower": b.attained_lower,
                "attained_upper": b.attained_upper,
                "lower_at": b.lower_at,
                "upper_at": b.upper_at,
                "largest_gap": float(b.gap.max()),
                "signs": b.signs,
                "methods": list(b.methods),
                "fallback": list(b.fallback),
                "simplified": list(small.network.architecture),
            }
        )
        if b.fallback:
            raise typer.Exit(3)
        return
    rows, first = [], 0
    for layer, width in enumerate(net.hidden_widths, start=1):
        s = b.signs[first : first + width]
        mine = range(first, first + width)
        both = int(np.isin(b.unstable, mine).sum())
        by = Counter(b.methods[first : first + width])
        how = ", ".join(f"{by[m]} {m}" for m in METHODS if by[m])
        gap = f"{b.gap[first : first + width].max():.3g}"
        signs = (int((s > 0).sum()), int((s < 0).sum()), both, int((s == 0).sum()) - both)
        rows.append((layer, width, *signs, gap, how))
        first += width
    header = ("layer", "neurons", "always active", "never active", "both signs seen", "undecided", "gap", "by")
    table(rows, header=header, title=f"{file}: {b.method}")
    shown = zip(b.output_lower, b.attained_lower[first:], b.attained_upper[first:], b.output_upper)
    for k, (low, least, most, high) in enumerate(shown):
        print(f"output {k}: minimum in [{low:.6g}, {least:.6g}], maximum in [{most:.6g}, {high:.6g}]")
    print(f"there: {small}")
    for text in b.fallback:
        note(text)
    if b.fallback:
        raise typer.Exit(3)


def register(app: typer.Typer) -> None:
    """Add the commands of this topic."""
    app.command("region")(region_command)
    app.command("explore")(explore_command)
    app.command("slice")(grouped(slice_command))
    app.command("segment")(segment_command)
    app.command("bounds")(bounds_command)
