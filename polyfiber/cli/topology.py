"""Commands about level sets and decision boundaries: levelset, boundary."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..budget import Monitor
from ..errors import InputError
from ..words import count as counted
from .grammar.choices import Cap, Field, Side, Support
from .grammar.parsing import parse_level
from .options import NETWORK, Limits, Output, Where, grouped, refuse
from .outputs import new_figure, require_writable, write_figure
from .render import note, shown, table, tell

if TYPE_CHECKING:
    from ..complexes.topology.sets import PolyhedralSet

_NAMES = ("vertices", "edges", "polygons", "cells of dimension 3")


@dataclass(frozen=True)
class Wanted:
    """What is asked of a set, and where it goes."""

    support: Support = typer.Option(Support.BOUNDED, "--support", help="Which cells count in homology.")
    field: Field = typer.Option(Field.TWO, "--field", help="Betti numbers over two elements (2) or the rationals (0).")
    save: Path = typer.Option(None, "--save", metavar="FILE", help="Write a mesh: .obj, .ply or .vtu (2 or 3 inputs).")
    plot: Path = typer.Option(None, "--plot", metavar="FILE", help="Draw the set to an image (2 inputs).")
    verify: bool = typer.Option(False, "--verify", help="Derive every cell again by other code.")


def _complex(file: Path, where: Where, wanted: Wanted, limits: Limits, printed: Output) -> Any:
    from ..complexes.build import canonical_complex
    from ..network.readers import read_network

    net = read_network(file)
    _fits(net.architecture[0], wanted)
    return canonical_complex(net, where.domain_of(net), budget=limits.budget, progress=printed.progress)


def _fits(inputs: int, wanted: Wanted) -> None:
    """Refuse before the work what a network with so many inputs has not."""
    has = f"the network has {counted(inputs, 'input')}"
    if wanted.save is not None and inputs not in (2, 3):
        raise InputError(f"--save writes sets in the plane or in space; {has}")
    if wanted.plot is not None and inputs != 2:
        raise InputError(f"--plot draws sets in the plane; {has}")


def _prepare(wanted: Wanted, cap: Any = None) -> None:
    """Refuse what could not be written before the work, and a cap on what is not saved."""
    save, plot = wanted.save, wanted.plot
    if cap is not None and save is None:
        refuse(("--cap",), "only with --save")
    if save is not None:
        require_writable(save, "the mesh", endings=(".obj", ".ply", ".vtu"))
    if plot is not None:
        new_figure(plot, (1, 1))


def _report(
    found: PolyhedralSet,
    title: str,
    more: dict[str, Any],
    wanted: Wanted,
    printed: Output,
    cap: Any = None,
) -> None:
    support, field = wanted.support.value, int(wanted.field.value)
    lineal = support == "bounded" and found.lineality_dimension > 0
    if lineal:
        support = "borel-moore"
        note(
            "the set has no bounded cell: it is constant along some inputs; support is borel-moore", quiet=printed.quiet
        )
    facts: dict[str, Any] = {
        "set": found.description,
        "f_vector": list(found.f_vector),
        "dimension": found.dimension,
        "compact": found.is_compact,
        "components": found.connected_components()[0],
        "support": support,
        "field": field,
        "betti_numbers": list(found.betti_numbers(support, field)),  # type: ignore[arg-type]
        "euler_characteristic": found.euler_characteristic(support),  # type: ignore[arg-type]
        **more,
    }
    ok = True
    if wanted.verify:
        check = found.certificate.verify()
        ok = check.ok
        facts |= {"verified": check.ok, "cells_compared": check.compared, "problems": list(check.problems)}
    sentence = found.sentence if ok else f"REFUTED by the check, please report this: {'; '.join(facts['problems'])}"
    if tell(sentence, facts, json=printed.json):
        names = [_NAMES[k] if k < len(_NAMES) else f"cells of dimension {k}" for k in range(len(found.f_vector))]
        table(list(zip(names, found.f_vector)), header=("cells", "number"), title=f"{title}: {found.description}")
        betti = ", ".join(map(str, facts["betti_numbers"]))
        over = "two elements" if field == 2 else "the rationals"
        print(f"{'compact' if found.is_compact else 'not compact'}, {counted(facts['components'], 'component')}")
        print(f"Betti numbers over {over} ({support}): {betti}; Euler characteristic {facts['euler_characteristic']}")
        for key, value in more.items():
            print(f"{key.replace('_', ' ')}: {shown(value)}")
        if wanted.verify and ok:
            print(f"verified: {counted(facts['cells_compared'], 'cell')} derived again by other code")
    if wanted.save is not None:
        found.save(wanted.save, cap=cap)
        note(f"wrote {wanted.save}", quiet=printed.quiet)
    if wanted.plot is not None:
        figure = new_figure(wanted.plot, (8, 6))
        found.plot(figure.add_subplot())
        write_figure(figure, wanted.plot)
        note(f"drew {wanted.plot}", quiet=printed.quiet)
    if not ok:
        raise typer.Exit(1)


def levelset_command(
    file: Path = NETWORK,
    value: str = typer.Option("0", "--value", help="The level, taken exactly: 0.5 or 1/3."),
    output: int = typer.Option(0, "--output", min=0, help="Which output of the network; they count from 0."),
    side: Side = typer.Option(Side.LEVEL, "--side", help="Where f equals the value, is at most it or is at least it."),
    cap: Cap = typer.Option(
        None, "--cap", help="Close the saved mesh by the sides of the box where f is below, or above."
    ),
    *,
    where: Where,
    wanted: Wanted,
    limits: Limits,
    printed: Output,
) -> None:
    """Find where an output has a value, or lies on one side of it: cells, topology, mesh."""
    level = parse_level(value)
    _prepare(wanted, cap)
    if cap is not None and side is not Side.LEVEL:
        refuse(("--cap",), "only with --side level: the mesh of a side is its closed surface")
    with Monitor(limits.budget).watching():
        cx = _complex(file, where, wanted, limits, printed)
        make = {Side.LEVEL: cx.level_set, Side.BELOW: cx.sublevel_set, Side.ABOVE: cx.superlevel_set}[side]
        _report(make(level, output), str(file), {}, wanted, printed, cap and cap.value)


def boundary_command(
    file: Path = NETWORK,
    cap: int = typer.Option(
        None,
        "--cap",
        min=0,
        metavar="CLASS",
        help="Save the whole surface of the region of a class, sides of the box too.",
    ),
    *,
    where: Where,
    wanted: Wanted,
    limits: Limits,
    printed: Output,
) -> None:
    """Find where the class changes: the decision boundary, the classes that meet there, its topology and size."""
    _prepare(wanted, cap)
    with Monitor(limits.budget).watching():
        found = _complex(file, where, wanted, limits, printed).decision_boundary()
        _report(found, str(file), _meetings(found), wanted, printed, cap)


def _meetings(found: PolyhedralSet) -> dict[str, Any]:
    """How many cells of largest dimension each pair of classes shares, and the size of the boundary where it is finite."""
    import numpy as np

    if found.dimension < 0:
        return {}
    rows, counts = np.unique(found.classes(found.dimension), axis=0, return_counts=True)
    pairs = {" and ".join(str(c) for c in np.flatnonzero(row)): int(k) for row, k in zip(rows, counts)}
    size = {"size": float(found.sizes().sum())} if found.is_compact else {}
    return {"pairs_that_meet": pairs, **size}


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("levelset")(grouped(levelset_command))
    app.command("boundary")(grouped(boundary_command))
