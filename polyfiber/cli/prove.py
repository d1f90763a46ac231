"""The command prove: queries of VNN-LIB."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .. import words
from .options import Crew, Limits, Output, grouped
from .render import note, progress_line, to_json

if TYPE_CHECKING:
    from ..network.model import ReLUNetwork


def prove(
    query: Path = typer.Argument(
        ..., metavar="QUERY", help="Query file of VNN-LIB, version 1 or 2 (version 2 needs the extra vnnlib)."
    ),
    network: list[str] = typer.Option(
        ...,
        "--network",
        metavar="NAME=FILE",
        help="NAME=FILE for each declared network; FILE alone where there is one.",
    ),
    *,
    crew: Crew,
    limits: Limits,
    output: Output,
) -> None:
    """Is there an input where all that a query asserts holds? Prints sat with a witness, unsat, or unknown.

    Answers are about real arithmetic. Exit code 0: unsat (nothing violates the property), 1: sat, 3: unknown.
    """
    from ..equivalence.queries.formulas import decimal, rounded
    from ..equivalence.queries.prove import prove as answer
    from ..equivalence.queries.vnnlib import read_query
    from ..errors import InputError

    members = crew.members
    asked = read_query(query)
    needed = [net.name for net in asked.networks if not net.equal_to]
    files: dict[str, Path] = {}
    for text in network:
        name, sign, file = text.partition("=")
        if not sign and len(needed) == 1:
            name, file = needed[0], text
        if name not in needed or name in files or not file:
            raise InputError(f"--network {text}: expected NAME=FILE, once for each of {', '.join(needed)}")
        files[name] = Path(file)
    missing = [name for name in needed if name not in files]
    if missing:
        raise InputError(f"the query declares the network {missing[0]}; give its file with --network {missing[0]}=FILE")
    kinds = {t.kind for net in asked.networks for t in (*net.inputs, *net.outputs)} - {"Real"}
    if kinds:
        note(f"declared as {', '.join(sorted(kinds))}; answered for real arithmetic", quiet=output.quiet or output.json)
    found = answer(
        asked, [_chain(files[name]) for name in needed], budget=limits.budget,
        progress=progress_line(quiet=output.quiet or output.json), **members,
    )  # fmt: skip
    if output.json:
        to_json(
            {
                "answer": {
                    "unsat": "unsat: no input violates the property, proved.",
                    "sat": "sat: an input violates the property; it is given exactly.",
                    "unknown": f"unknown: {found.reason}; more seconds may decide it.",
                }[found.status],
                "query": str(query), "network_files": {name: str(file) for name, file in files.items()}, "status": found.status,
                "reason": found.reason, "boxes": found.boxes, "proved_share": found.share, "seconds": found.seconds,
                "inputs": [[decimal(v) for v in x] for x in found.inputs],
                "outputs": [[rounded(v) for v in y] for y in found.outputs],
            }
        )  # fmt: skip
    else:
        print(found.to_text())
        note(f"{found.reason}; {words.count(found.boxes, 'box', 'boxes')}, {found.seconds:.2f} s", quiet=output.quiet)
    raise typer.Exit({"unsat": 0, "sat": 1, "unknown": 3}[found.status])


def _chain(file: Path) -> ReLUNetwork:
    """A network file as a ReLU chain."""
    from ..network.piecewise import PiecewiseLinearNetwork
    from ..network.readers import read_chain, read_network

    found = read_network(file)
    if isinstance(found, PiecewiseLinearNetwork) and not all(
        r.get("exact", True) for r in found.source.get("folding", ())
    ):
        print(
            f"polyfiber: {file.name}: layers were multiplied out and rounded; the answer is about the network as read",
            file=sys.stderr,
        )
    return found.to_chain() if isinstance(found, PiecewiseLinearNetwork) else read_chain(file)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("prove")(grouped(prove))
