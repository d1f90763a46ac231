"""Commands about evidence: verify checks a file again, by other ways than it was made; report writes a page with the evidence."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from .. import words
from ..errors import FileFormatError, InputError
from .grammar.parsing import parse_domain, parse_integers, parse_point
from .options import NETWORK, Limits, Output, Where, grouped, refuse
from .outputs import require_writable
from .render import leave, shown, table, tell


def verify(
    file: Path = typer.Argument(
        ...,
        metavar="FILE",
        help="A saved answer (.json), an archive of a complex (.npz, .zarr), a directory of streamed cells, or a dataset.",
    ),
    row: str = typer.Option(None, "--row", help="Of a dataset, one row only: TABLE:NUMBER, counted from 0."),
    *,
    limits: Limits,
    printed: Output,
) -> None:
    """Check a saved answer, an archive, a dataset or a row of one again, by other ways than it was made.

    Exit code 0: confirmed, 1: refuted, 3: neither within the budget.
    """
    from ..errors import MissingFileError
    from ..network.names import local_path

    if row is not None:
        _readable_row(row)
    if not local_path(file, "what is checked again").exists():
        raise MissingFileError(f"there is no file {file}", path=file)
    kind = _kind(file)
    if kind == "dataset":
        refuse(("--seconds", "--memory"), "not with a dataset, which is checked to its end")
    if row is not None:
        kind = _row_of(kind, file)
    verdict, facts = (
        _dataset_row(file, row)
        if row is not None
        else {"answer": _answer, "archive": _archive, "cells": _cells, "dataset": _dataset}[kind](file, limits)
    )
    facts = {"file": str(file), "kind": kind, "verdict": verdict, **facts}
    sentences = {
        "yes": f"Confirmed: {file} was checked again, by other ways than it was made, and holds.",
        "no": f"Refuted: {file} does not hold; {facts['reason']}.",
        "undecided": f"Not verified: nothing speaks against {file}, and no proof was completed; give more --seconds. {facts['reason']}.",
    }
    if tell(sentences[verdict], facts, json=printed.json):
        rows = [
            (name.replace("_", " "), "; ".join(map(str, v)) if isinstance(v, list) else shown(v))
            for name, v in facts.items()
        ]
        table([row for row in rows if row[1] not in ("", "-")], header=("", "checked again"))
    leave(verdict)


def _kind(file: Path) -> str:
    """What a file holds, by its content."""
    if file.is_dir():
        if (file / "blocks.jsonl").exists() or (file / "cells").is_dir():
            return "cells"
        if (file / "manifest.json").exists() or (file / "plan.json").exists():
            return "dataset"
        if file.suffix == ".zarr" or any((file / name).exists() for name in ("zarr.json", "header")):
            return "archive"
    elif zipfile.is_zipfile(file):
        return "archive"
    else:
        with file.open("rb") as stream:
            begin = stream.read(64)
        if begin.startswith(b"PK\3\4"):  # the directory at the end is lost: an archive that was cut
            return "archive"
        if begin.lstrip().startswith(b"{"):
            return "answer"
    raise FileFormatError(
        f"{file} is no saved answer, archive of a complex or dataset; see equiv --save, complex --save"
    )


def _answer(file: Path, limits: Limits) -> tuple[str, dict[str, Any]]:
    from ..equivalence.saved import load_answer

    answer = load_answer(file)
    found = answer.recheck(budget=limits.budget if limits.seconds is not None else None)
    claim = {"yes": "equivalent", "no": "different", "undecided": "not decided"}[answer.verdict.value]
    return found.verdict.value, {
        "claim": claim, "found_by": answer.method, "checks": list(found.checks), "reason": found.reason,
        "seconds": found.seconds,
    }  # fmt: skip


def _archive(file: Path, limits: Limits) -> tuple[str, dict[str, Any]]:
    from ..complexes.archive import verify_archive

    return _told(verify_archive(file, budget=limits.budget))


def _cells(file: Path, limits: Limits) -> tuple[str, dict[str, Any]]:
    from ..complexes.blocks.verify import verify_cells

    return _told(verify_cells(file, budget=limits.budget))


def _told(found: Any) -> tuple[str, dict[str, Any]]:
    return found.verdict.value, {
        "claim": f"{words.count(found.vertices, 'vertex', 'vertices')}, {words.count(found.signs, 'sign')}", "checks": list(found.recomputed),
        "reason": "; ".join((*found.problems, *found.unfinished)[:5]) or "nothing disagrees",
    }  # fmt: skip


def _readable_row(row: str) -> None:
    name, _, number = row.rpartition(":")
    if not name or not number.isdecimal() or len(number) > 18:
        raise typer.BadParameter(f"--row {row!r} names no row; expected TABLE:NUMBER, such as complexes:17")


def _row_of(kind: str, file: Path) -> str:
    """The kind 'dataset row', if that is what was asked for."""
    if kind != "dataset":
        raise InputError(f"--row is for datasets; {file} holds something else: {kind}")
    return "dataset row"


def _dataset_row(file: Path, row: str) -> tuple[str, dict[str, Any]]:
    from ..datasets import validate_row

    name, _, number = row.rpartition(":")
    found = validate_row(file, name, int(number))
    verdict = "no" if found.problems else "undecided" if found.reasons else "yes"
    return verdict, {
        "claim": f"row {number} of {name}", "checks": [f"every column of row {number} but provenance"],
        "reason": "; ".join([*found.problems, *found.reasons][:5]) or "nothing disagrees",
    }  # fmt: skip


def _dataset(file: Path, limits: Limits) -> tuple[str, dict[str, Any]]:
    from ..datasets import validate

    found = validate(file)
    verdict = "no" if found.problems else "undecided" if found.reasons else "yes"
    return verdict, {
        "claim": f"{words.count(found.files, 'file')}", "checks": [f"{words.count(n, 'row')} of {name}" for name, n in dict(found.rows).items()],
        "reason": "; ".join([*found.problems, *found.reasons][:5]) or "nothing disagrees",
    }  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """What the picture of a page shows."""

    axes: str = typer.Option("0,1", "--axes", help="Two inputs that vary, of a network with three or more.")
    origin: str = typer.Option(
        None, "--origin", metavar="POINT", help="Values of all inputs at the picture's origin, or one for every input."
    )
    names: str = typer.Option(None, "--names", metavar="NAMES", help="Names of the inputs, with commas between.")
    points: Path = typer.Option(
        None, "--points", metavar="FILE", help="Data to draw: .npz with X (points in rows) and perhaps y (classes)."
    )


def report_command(
    file: Path = NETWORK,
    other: Path = typer.Argument(None, metavar="OTHER", help="Another network: a page about the pair."),
    output: Path = typer.Option("report.html", "-o", "--output", metavar="FILE", help="The page."),
    epsilon: float = typer.Option(
        None, "--epsilon", min=0.0, help="Of a pair: ask whether no output differs by more than this on the domain."
    ),
    linear: bool = typer.Option(False, "--linear", help="The matrices of the file are the layers of a linear network."),
    *,
    where: Where,
    shown: Shown,
    limits: Limits,
    printed: Output,
) -> None:
    """Write one HTML page about a network, or a pair: answers with their evidence, and a picture to move about in.

    The page needs no network. Exit code 1 when the certificate does not hold, 3 when questions stay open that more --seconds
    or a smaller domain may settle.
    """
    from ..pages.build import report

    require_writable(output, "the page", endings=(".html",))
    if linear:
        pictured = ("--axes", "--origin", "--names", "--points")
        refuse(("--domain", "--box", "--epsilon", *pictured), "not with --linear, which has matrices alone")
        if other is not None:
            raise typer.BadParameter("--linear goes with one file")
    if epsilon is not None and (other is None or where.everywhere):
        raise typer.BadParameter("--epsilon goes only with two networks and a bounded domain; give --domain lo,hi")
    net, pair, asked = _asked(file, other, linear, where, shown)
    budget = None if limits.seconds is None and limits.memory is None else limits.budget
    found = report(net, output, other=pair, epsilon=epsilon, budget=budget, progress=printed.progress, **asked)
    answer: dict[str, Any] = {
        "page": str(found.path),
        "title": found.title,
        "page_bytes": found.size,
        "regions_drawn": found.n_regions,
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
    if tell(found.sentence, answer, json=printed.json):
        table([(s.title, s.lead) for s in found.sections], header=("question", "answer"), title=found.title)
    if found.refuted:
        raise typer.Exit(1)
    if found.waiting:
        raise typer.Exit(3)


def _asked(file: Path, other: Path | None, linear: bool, where: Where, shown: Shown) -> tuple[Any, Any, dict[str, Any]]:
    """What the page is about, the other network of a pair, and which domain and picture."""
    from ..dln import read_weights
    from ..network.readers import read_network
    from ..pages.build import Picture

    if linear:
        return read_weights(file)[0], None, {}
    axes = parse_integers(shown.axes, "the axes", "0,1")
    width = read_network(file).architecture[0]
    if width < 3:
        refuse(("--axes", "--origin"), "only with a network of three inputs or more")
    points, labels = (None, None) if shown.points is None else _points(shown.points)
    picture = Picture(
        axes=axes,
        origin=None if shown.origin is None else parse_point(shown.origin, width, "the origin"),
        names=None if shown.names is None else shown.names.split(","),
        points=points,
        labels=labels,
    )
    return file, other, {"domain": parse_domain(where.domain, width), "picture": picture}


def _points(path: Path) -> tuple[Any, Any]:
    from ..network.readers.npz import read_arrays

    arrays = read_arrays(path)
    if "X" not in arrays:
        raise FileFormatError(
            f"{str(path)!r} holds no points; expected an array X (found {words.listed(sorted(arrays))})"
        )
    return arrays["X"], arrays.get("y")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("verify")(grouped(verify))
    app.command("report")(grouped(report_command))
