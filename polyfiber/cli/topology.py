"""Commands about level sets and decision boundaries: levelset, boundary."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..errors import InputError
from .complexes import parse_box
from .options import Limits, Output, grouped
from .outputs import new_figure, require_writable, write_figure
from .render import note, progress_line, table, to_json

if TYPE_CHECKING:
    from ..complexes.topology.sets import PolyhedralSet

_FILE = typer.Argument(..., help="Network: .onnx .npz .safetensors .pt .h5 .keras .nnet")
_BOX = typer.Option(None, "--box", help="Domain lo,hi or lo1,hi1,lo2,hi2,…; all of R^n by default.")
_NAMES = ("vertices", "edges", "polygons", "cells of dimension 3")


@dataclass(frozen=True)
class Wanted:
    """What is asked of a set, and where it goes."""

    support: str = typer.Option("bounded", "--support", help="Homology of: bounded, compactified or borel-moore cells.")
    field: int = typer.Option(2, "--field", help="Betti numbers over two elements (2) or the rationals (0).")
    save: Path = typer.Option(None, "--save", help="Write a mesh: .obj, .ply or .vtu (2 or 3 inputs).")
    plot: Path = typer.Option(None, "--plot", help="Draw the set to an image (2 inputs).")
    verify: bool = typer.Option(False, "--verify", help="Derive every cell again by other code.")


def _level(text: str) -> Fraction:
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise InputError(f"cannot read the level {text!r}; expected a number such as 0.5 or 1/3") from None


def _complex(file: Path, box: str | None, limits: Limits, printed: Output) -> Any:
    from ..complexes.build import canonical_complex
    from ..network.readers import read_chain

    net = read_chain(file)
    domain = None if box is None else parse_box(box, net.architecture[0])
    progress = progress_line(quiet=printed.quiet or printed.json)
    return canonical_complex(net, domain, budget=limits.budget, progress=progress), limits.budget


def _prepare(wanted: Wanted) -> None:
    """Refuse what could not be written before the work."""
    save, plot = wanted.save, wanted.plot
    if save is not None:
        if save.suffix.lower() not in (".obj", ".ply", ".vtu"):
            raise InputError(f"a mesh is written as .obj, .ply or .vtu, found {save.name!r}")
        require_writable(save, "the mesh")
    if plot is not None:
        new_figure(plot, (1, 1))


def _report(
    found: PolyhedralSet,
    title: str,
    more: dict[str, Any],
    wanted: Wanted,
    printed: Output,
) -> None:
    support, field = wanted.support, wanted.field
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
        "components": found.components()[0],
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
    if wanted.save is not None:
        found.save(wanted.save)
        note(f"wrote {wanted.save}", quiet=printed.quiet)
    if wanted.plot is not None:
        figure = new_figure(wanted.plot, (8, 6))
        found.plot(figure.add_subplot())
        write_figure(figure, wanted.plot)
        note(f"drew {wanted.plot}", quiet=printed.quiet)
    if printed.json:
        to_json(facts)
    else:
        names = [_NAMES[k] if k < len(_NAMES) else f"cells of dimension {k}" for k in range(len(found.f_vector))]
        print(f"# {title}: {found.description}")
        table(list(zip(names, found.f_vector)), header=("cells", "number"))
        betti = ", ".join(map(str, facts["betti_numbers"]))
        over = "two elements" if field == 2 else "the rationals"
        print(f"{'bounded' if found.is_compact else 'unbounded'}, {facts['components']} component(s)")
        print(f"Betti numbers over {over} ({support}): {betti}; Euler characteristic {facts['euler_characteristic']}")
        for key, value in more.items():
            text = "; ".join(f"{k}: {v}" for k, v in value.items()) if isinstance(value, dict) else f"{value:.6g}"
            print(f"{key.replace('_', ' ')}: {text}")
        if wanted.verify:
            print(
                f"verified: {facts['cells_compared']} cells derived again by other code"
                if ok
                else "NOT verified: " + "; ".join(facts["problems"])
            )
    if not ok:
        raise typer.Exit(1)


def levelset_command(
    file: Path = _FILE,
    value: str = typer.Option("0", "--value", help="The level, taken exactly: 0.5 or 1/3."),
    output: int = typer.Option(0, "--output", help="Which output."),
    side: str = typer.Option("level", "--side", help="level (f = value), below (f <= value) or above (f >= value)."),
    box: str = _BOX,
    *,
    wanted: Wanted,
    limits: Limits,
    printed: Output,
) -> None:
    """Where an output has a value, or lies on one side of it: cells, topology, mesh."""
    if side not in ("level", "below", "above"):
        raise typer.BadParameter(f"{side!r} is not one of level, below, above", param_hint="--side")
    level = _level(value)
    _prepare(wanted)
    cx, budget = _complex(file, box, limits, printed)
    make = {"level": cx.level_set, "below": cx.sublevel_set, "above": cx.superlevel_set}[side]
    _report(make(level, output, budget=budget), str(file), {}, wanted, printed)


def boundary_command(
    file: Path = _FILE,
    box: str = _BOX,
    *,
    wanted: Wanted,
    limits: Limits,
    printed: Output,
) -> None:
    """Where the class changes: the decision boundary, the classes that meet there, its topology and size."""
    import numpy as np

    _prepare(wanted)
    cx, budget = _complex(file, box, limits, printed)
    found = cx.decision_boundary(budget=budget)
    more: dict[str, Any] = {}
    if found.dimension >= 0:
        top = found.classes(found.dimension)
        rows, counts = np.unique(top, axis=0, return_counts=True)
        more["pairs_that_meet"] = {
            " and ".join(str(c) for c in np.flatnonzero(row)): int(k) for row, k in zip(rows, counts)
        }
        if found.is_compact:
            more["size"] = float(found.sizes().sum())
    _report(found, str(file), more, wanted, printed)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("levelset")(grouped(levelset_command))
    app.command("boundary")(grouped(boundary_command))
