"""The command verify: check a file again, by other ways than it was made."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import typer

from .options import Limits, Output, grouped
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

    if not file.exists():
        raise MissingFileError(f"there is no file {file}")
    kind = _kind(file)
    if row is not None:
        kind = _row_of(kind, file, row)
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
    from ..errors import FileFormatError

    if file.is_dir():
        if (file / "blocks.jsonl").exists() or (file / "cells").is_dir():
            return "cells"
        if (file / "manifest.json").exists() or (file / "plan.json").exists():
            return "dataset"
        return "archive"
    if zipfile.is_zipfile(file):
        return "archive"
    with file.open("rb") as stream:
        if stream.read(64).lstrip().startswith(b"{"):
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
        "claim": f"{found.vertices} vertices, {found.signs} signs", "checks": list(found.recomputed),
        "reason": "; ".join((*found.problems, *found.unfinished)[:5]) or "nothing disagrees",
    }  # fmt: skip


def _row_of(kind: str, file: Path, row: str) -> str:
    """The kind 'dataset row', if that is what was asked for."""
    from ..errors import InputError

    name, _, number = row.rpartition(":")
    if kind != "dataset":
        raise InputError(f"--row is for datasets; {file} holds something else: {kind}")
    if not name or not number.isdecimal() or len(number) > 18:
        raise InputError(f"--row {row!r} names no row; expected TABLE:NUMBER, such as complexes:17")
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
        "claim": f"{found.files} files", "checks": [f"{n} rows of {name}" for name, n in dict(found.rows).items()],
        "reason": "; ".join([*found.problems, *found.reasons][:5]) or "nothing disagrees",
    }  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify")(grouped(verify))
