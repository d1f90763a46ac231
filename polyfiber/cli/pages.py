"""The command about pages: report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from ..errors import FileFormatError, InputError
from .complexes import parse_box
from .options import Limits, Output, grouped
from .outputs import require_writable
from .render import note, progress_line, table, to_json


@dataclass(frozen=True)
class Shown:
    """What the picture of a page shows."""

    axes: str = typer.Option("0,1", "--axes", help="Two inputs that vary, of a network with three or more.")
    origin: str = typer.Option(None, "--origin", help="Values of all inputs at the picture's origin: x0,x1,…")
    names: str = typer.Option(None, "--names", help="Names of the inputs, with commas between.")
    points: Path = typer.Option(
        None, "--points", help="Data to draw: .npz with X (points in rows) and perhaps y (classes)."
    )


def report_command(
    file: Path = typer.Argument(..., help="Network: .onnx .npz .safetensors .pt .h5 .keras .nnet"),
    other: Path = typer.Argument(None, help="Another network: a page about the pair."),
    output: Path = typer.Option("report.html", "-o", "--output", help="The page."),
    box: str = typer.Option(
        None, "--box", "--domain", help="Domain lo,hi or lo1,hi1,lo2,hi2,…; all of R^n by default."
    ),
    epsilon: float = typer.Option(None, "--epsilon", help="Of a pair: ask for |f - g| <= epsilon on the box."),
    linear: bool = typer.Option(False, "--linear", help="The matrices of the file are the layers of a linear network."),
    *,
    shown: Shown,
    limits: Limits,
    printed: Output,
) -> None:
    """One HTML page about a network, or a pair: answers with their evidence, and a picture to move about in.

    The page needs no network. Exit code 1 when the certificate does not hold.
    """
    from ..network.readers import read_chain
    from ..pages.build import Picture, report

    require_writable(output, "the page")
    progress = progress_line(quiet=printed.quiet or printed.json)
    budget = None if limits.seconds is None and limits.memory is None else limits.budget
    if linear:
        from .strata import read_layers

        if other is not None or box is not None or epsilon is not None:
            raise typer.BadParameter("--linear goes with one file and no box")
        found = report(read_layers(file)[0], output, budget=budget, progress=progress)
    else:
        points, labels = (None, None) if shown.points is None else _points(shown.points)
        picture = Picture(
            axes=_integers(shown.axes),
            origin=None if shown.origin is None else _numbers(shown.origin),
            names=None if shown.names is None else shown.names.split(","),
            points=points,
            labels=labels,
        )
        domain = None if box is None else parse_box(box, read_chain(file).architecture[0])
        found = report(
            file, output, other=other, domain=domain, epsilon=epsilon, picture=picture, budget=budget, progress=progress
        )
    answer: dict[str, Any] = {
        "page": str(found.path),
        "bytes": found.size,
        "regions_drawn": found.regions,
        "sections": [
            {
                "name": s.name,
                "question": s.title,
                "answer": s.lead,
                "verdict": None if s.state is None else s.state.value,
            }
            for s in found.sections
        ],
        "seconds": found.seconds,
    }
    if printed.json:
        to_json(answer)
    else:
        table([(s.title, s.lead) for s in found.sections], header=("question", "answer"), title=found.title)
        note(f"wrote {found.path} ({found.size / 1e6:.2g} MB)", quiet=printed.quiet)
    if found.refuted:
        raise typer.Exit(1)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"cannot read the numbers {text!r}; expected them with commas between") from None


def _integers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"cannot read the inputs {text!r}; expected two numbers such as 0,1") from None


def _points(path: Path) -> tuple[Any, Any]:
    from ..network.readers.npz import read_arrays

    arrays = read_arrays(path)
    if "X" not in arrays:
        raise FileFormatError(f"{str(path)!r} holds no points; expected an array X (found {sorted(arrays)})")
    return arrays["X"], arrays.get("y")


def register(app: typer.Typer) -> None:
    """Add the command of this topic."""
    app.command("report")(grouped(report_command))
