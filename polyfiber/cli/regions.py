"""Commands for networks too large to enumerate: region, explore, slice, segment, bounds."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer

from ..budget import Monitor
from ..errors import BudgetExceededError, InputError
from ..words import count as counted
from ..words import neuron, widths
from .grammar.choices import Method, Order
from .grammar.inputs import Through, tell_walk, through_inputs
from .grammar.parsing import parse_axes, parse_domain, parse_point
from .options import NETWORK, Bounded, Limits, Output, Where, Window, grouped, refuse
from .outputs import draw, new_figure, require_writable
from .render import facts as show_facts
from .render import note, table, tell


def _neuron(net: Any, column: int) -> dict[str, int]:
    """A column of signs as JSON names it: a neuron, or a facet of the domain."""
    if column < net.n_hidden:
        layer, position = net.neuron(column)
        return {"layer": int(layer), "neuron": int(position)}
    return {"domain_facet": int(column) - net.n_hidden}


def _named(net: Any, column: int) -> str:
    """The same as text."""
    if column < net.n_hidden:
        if hasattr(net, "gate_name"):
            return f"gate {net.gate_name(column)}"
        return neuron(*map(int, net.neuron(column)))
    return f"domain facet {column - net.n_hidden}"


def region_command(
    file: Path = NETWORK,
    point: str = typer.Option(
        None, "--at", metavar="POINT", help="A point x1,x2,… or one number for every input; the origin by default."
    ),
    *,
    where: Where,
    limits: Limits,
    output: Output,
) -> None:
    """Describe the region of a point: its irredundant facets, distances, the largest ball in it, the affine map."""
    from ..complexes.local.region import region
    from ..network.readers import read_network

    net = read_network(file)
    at = parse_point(point, net.architecture[0], "the point")
    with Monitor(limits.budget).watching():
        r = region(net, at, domain=where.domain_of(net), budget=limits.budget, progress=output.progress)
        ball, bounded, distance = r.inscribed_ball, r.bounded, r.distance
    A, a = r.affine_map
    facts: dict[str, Any] = {
        "domain": where.named(net),
        "active": int((r.signs[: net.n_hidden] > 0).sum()),
        "neurons": net.n_hidden,
        "facets": r.n_facets,
        "bounded": bounded.value,
        "distance_to_boundary": distance,
        "inscribed_radius": ball.radius,
        "inscribed_radius_certified": ball.certified_radius,
        "rows_decided_exactly": r.stats.exact_rows,
        "walls": [
            {**_neuron(net, int(c)), "distance": float(d)} for c, d in zip(r.facets, r.wall_distances)
        ],
        "point": r.point,
        "signs": r.signs,
        "facet_columns": r.facets,
        "center": ball.center,
        "affine_map": {"A": A, "a": a},
    }  # fmt: skip
    if tell(r.sentence, facts, json=output.json):
        walls = [(_named(net, int(c)), float(d)) for c, d in zip(r.facets, r.wall_distances)]
        table(walls, header=("facet", "distance of the point to its hyperplane"), title=str(file))
        show_facts(facts, title="", leave_out=("walls", "point", "signs", "facet_columns", "center", "affine_map"))


def explore_command(
    file: Path = NETWORK,
    at: list[str] = typer.Option(
        None, "--at", metavar="POINT", help="A start x1,x2,… or one number for every input; several may be given."
    ),
    regions: int = typer.Option(1000, "--regions", min=1, help="How many regions to decide the facets of."),
    order: Order = typer.Option(
        Order.BREADTH, "--order", help="Visit by walls crossed (breadth) or by distance (nearest)."
    ),
    save: Path = typer.Option(
        None, "--save", metavar="FILE", help="Write signs, points, edges and the rest to an .npz file."
    ),
    *,
    where: Where,
    limits: Limits,
    output: Output,
) -> None:
    """Walk over the regions around points, through certified facets, to a number, to a time or to the end.

    Exit code 3 when the time ended first; what is printed was found all the same.
    """
    import numpy as np

    from ..complexes.local.explore import explore
    from ..network.readers import read_network

    if save is not None:
        require_writable(save, "regions")
    net = read_network(file)
    n0 = net.architecture[0]
    walk = explore(
        net,
        [parse_point(text, n0, "a start") for text in at or ["0"]],
        domain=where.domain_of(net),
        budget=limits.budget,
        max_regions=regions,
        order=order.value,
        progress=output.progress,
    )
    closed = int(walk.closed.sum())
    facts = {
        "domain": where.named(net),
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
        note(f"wrote {save}", quiet=output.quiet)
    if tell(walk.sentence, facts, json=output.json):
        show_facts(facts, title=str(file))
    if not walk.complete and closed < regions:
        raise typer.Exit(3)


def _directions(chosen: list[int], along: list[str] | None, n0: int) -> tuple[Any, list[str]]:
    """Directions of a slice, one a row, and their names."""
    import numpy as np

    if along is not None:
        rows = [parse_point(part, n0, "a direction") for part in along]
        return np.array(rows), [f"direction {i}" for i in range(len(rows))]
    if max(chosen) >= n0:
        raise InputError(f"axes {', '.join(map(str, chosen))}: expected coordinates from 0 to {n0 - 1}")
    return np.eye(n0)[chosen], [f"input {c}" for c in chosen]


def slice_command(
    file: Path = NETWORK,
    axes: str = typer.Option("0,1", "--axes", help="Input coordinates that span the slice: one, two or three."),
    along: list[str] = typer.Option(
        None,
        "--along",
        metavar="DIRECTIONS",
        help="Directions that span it instead, such as '1,0,2;0,1,0.5', or one an option.",
    ),
    origin: str = typer.Option(None, "--origin", metavar="POINT", help="A point of the slice; the origin by default."),
    plot: Path = typer.Option(None, "--plot", metavar="FILE", help="Draw a planar slice to an image."),
    exact: bool = typer.Option(False, "--exact", help="Restrict in rational arithmetic instead of rounding."),
    *,
    through: Through,
    where: Window,
    limits: Limits,
    output: Output,
) -> None:
    """Enumerate the complex of an affine slice of a network of any size.

    The domain is in the coordinates of the slice: one for each direction, 0 at the origin.
    """
    from ..complexes.local.slices import Slice, slice_complex
    from ..network.readers import read_network

    if along:
        refuse(("--axes",), "not with --along, which says the directions itself")
    chosen, parts = parse_axes(axes), [part for text in along for part in text.split(";")] if along else None
    if parts is not None and len(parts) > 3:
        raise typer.BadParameter(
            f"--along {';'.join(parts)!r} has {counted(len(parts), 'direction')}; expected one to three"
        )
    if plot is not None and not (through.through or through.between):
        if (size := len(chosen if parts is None else parts)) != 2:
            raise typer.BadParameter(f"--plot draws a planar slice, found dimension {size}")
        if where.domain is not None and where.everywhere:
            raise typer.BadParameter("--plot draws a bounded slice: give --domain lo,hi")
    net = read_network(file)
    n0 = net.architecture[0]
    if through.through or through.between:
        through_inputs(net, file, plot, through, limits, (where, output))
        return
    refuse(("--scale",), "with --through or --between alone")
    directions, names = _directions(chosen, parts, n0)
    text = "-1,1" if where.domain is None else where.domain
    domain = parse_domain(text, len(names))
    if plot is not None:
        new_figure(plot, (1, 1))
    s = slice_complex(
        net,
        parse_point(origin, n0, "the origin"),
        directions,
        domain=domain,
        arithmetic="exact" if exact else "auto",
        budget=limits.budget,
        progress=output.progress,
    )
    if not isinstance(s, Slice):
        tell_walk(s, file, plot, through, output)
        return
    refuse(("--level", "--ball"), "with a walk alone: --through, or a network that is no small chain")
    if plot is not None:
        draw(s.complex, plot, labels=(names[0], names[1]))
        note(f"drew {plot}", quiet=output.quiet)
    facts = {
        "domain": text,
        "directions": directions,
        "f_vector": list(s.f_vector),
        "euler_characteristic": s.complex.euler_characteristic,
        "restriction_exact": s.is_exact,
        "restriction_rounding": s.rounding,
        "seconds": s.complex.stats.seconds,
    }
    if tell(s.sentence, facts, json=output.json):
        table(list(enumerate(s.f_vector)), header=("dimension", "faces"), title=str(file))
        show_facts(
            facts, title="", only=("domain", "euler_characteristic", "restriction_exact", "restriction_rounding")
        )


def segment_command(
    file: Path = NETWORK,
    start: str = typer.Option(..., "--from", metavar="POINT", help="Start x1,x2,… or one number for every input."),
    end: list[str] = typer.Option(..., "--to", metavar="POINT", help="End; several make a path."),
    *,
    limits: Limits,
    output: Output,
) -> None:
    """List every region along a segment or a path, in certified order, and which neurons change sign between them."""
    from ..complexes.local.segments import path_regions
    from ..network.readers import read_network

    for one, other in pairwise([start, *end]):
        if one == other:
            raise typer.BadParameter(f"the ends {one!r} and {other!r} are one point; expected two")
    net = read_network(file)
    n0 = net.architecture[0]
    points = [parse_point(start, n0, "the start"), *(parse_point(text, n0, "the end") for text in end)]
    path = path_regions(net, points, budget=limits.budget)
    segments = path.segments
    facts = [
        {
            "pieces": s.n_regions,
            "t": s.t,
            "t_errors": s.t_errors,
            "neurons": [[_neuron(net, int(i)) for i in who] for who in s.neurons],
            "exact_events": s.exact_events,
            "values": s.values,
        }
        for s in segments
    ]
    sentence = segments[0].sentence if len(segments) == 1 else path.sentence
    if tell(sentence, facts[0] if len(facts) == 1 else {"segments": facts}, json=output.json):
        for s in segments:
            rows = [(f"{t:.12g}", "; ".join(_named(net, i) for i in who)) for t, who in zip(s.t, s.neurons)]
            table(rows, header=("t", "changes sign"), title=str(file))


def bounds_command(
    file: Path = NETWORK,
    at: str = typer.Option(
        None,
        "--at",
        metavar="POINT",
        help="Only the region of this point within the domain, exactly: x1,x2,… or one number for every input.",
    ),
    method: Method = typer.Option(Method.RELAXATION, "--method", help="From the cheapest to the sharpest."),
    *,
    where: Bounded,
    limits: Limits,
    output: Output,
) -> None:
    """Bound every neuron over a bounded domain: certified bounds, values that are attained, what is constant there.

    Exit code 3 when the budget ended before the method was done; the bounds printed hold all the same.
    """
    from collections import Counter

    import numpy as np

    from ..complexes.local.region import region
    from ..complexes.ranges.activation import METHODS, activation_bounds
    from ..complexes.ranges.simplify import simplify_on
    from ..network.readers import read_network

    if where.everywhere:
        raise typer.BadParameter("bounds are of a bounded domain; give --domain lo,hi")
    if at is None and method in (Method.INTERVAL, Method.RELAXATION):
        refuse(("--seconds", "--memory"), "only with --method lp or exact; the others take no time")
    if at is not None:
        refuse(("--method",), "not with --at: over one region every range is exact")
    net = read_network(file)
    domain = where.domain_of(net)
    over: Any = domain
    if at is not None:
        over = region(net, parse_point(at, net.architecture[0], "the point"), domain=domain)
    monitor, simplified = Monitor(limits.budget), None
    b = activation_bounds(net, over, method=method.value, budget=limits.budget)
    with suppress(BudgetExceededError), monitor.watching():  # gates are put into other maps in exact arithmetic
        simplified = list(simplify_on(net, b.domain, bounds=b).network.architecture)
    layers, first = [], 0
    for layer, width in enumerate(net.hidden_widths, start=1):
        s = b.signs[first : first + width]
        both = int(np.isin(b.unstable, range(first, first + width)).sum())
        by = Counter(b.methods[first : first + width])
        layers.append(
            {
                "layer": layer,
                "neurons": width,
                "always_active": int((s > 0).sum()),
                "never_active": int((s < 0).sum()),
                "both_signs_seen": both,
                "undecided": int((s == 0).sum()) - both,
                "gap": float(b.gap[first : first + width].max()),
                "by": {m: by[m] for m in METHODS if by[m]},
            }
        )
        first += width
    facts = {
        "domain": where.named(net),
        "layers": layers,
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
        "simplified": simplified,
    }
    if tell(b.sentence, facts, json=output.json):
        header = [name.replace("_", " ") for name in layers[0]]
        table([tuple(row.values()) for row in layers], header=header, title=f"{file}: {b.method}")
        shown = zip(b.output_lower, b.attained_lower[first:], b.attained_upper[first:], b.output_upper)
        for k, (low, least, most, high) in enumerate(shown):
            print(f"output {k}: minimum in [{low:.6g}, {least:.6g}], maximum in [{most:.6g}, {high:.6g}]")
        if simplified is not None:
            print(f"the same function there with fewer neurons: {widths(simplified)}")
        for text in b.fallback:
            print(f"not reached: {text}")
    if b.fallback:
        raise typer.Exit(3)


def register(app: typer.Typer) -> None:
    """Add the commands of this topic."""
    app.command("region")(grouped(region_command))
    app.command("explore")(grouped(explore_command))
    app.command("slice")(grouped(slice_command))
    app.command("segment")(grouped(segment_command))
    app.command("bounds")(grouped(bounds_command))
