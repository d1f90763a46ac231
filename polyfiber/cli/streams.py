"""Counting and writing a complex by blocks, for the command ``complex``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .. import words
from ..errors import IncompleteError
from .grammar.parsing import parse_integers
from .options import Output, Streamed
from .render import note, table, tell

if TYPE_CHECKING:
    from ..complexes.blocks.run import BlockSum
    from ..domain import Polyhedron
    from ..network.model import ReLUNetwork

RESUMED = "The same command with --resume goes on."
"""What is said of cells in a directory that are not complete."""
SHOWN = 8
"""Missing blocks that are listed on a terminal; JSON has them all."""


def parse_dims(text: str | None, dimension: int) -> list[int] | None:
    """Dimensions from ``0,2`` or ``all``; None stands for regions."""
    if text is None:
        return None
    if text.strip().lower() == "all":
        return list(range(dimension + 1))
    return parse_integers(text, "the dimensions", "0,2 (or all)")


@contextmanager
def partial_shown(net: Any, domain: Polyhedron | None, *, json: bool, again: str) -> Iterator[None]:
    """Print what was complete when the work inside is stopped by a budget or by Ctrl-C."""
    from ..complexes.blocks.run import BlockSum

    try:
        yield
    except (IncompleteError, KeyboardInterrupt) as stop:
        partial = getattr(stop, "partial", None)
        if isinstance(partial, BlockSum):
            show(partial, net, domain, json=json, title="stopped before the end", again=again)
        raise


def stream(
    net: Any,
    domain: Polyhedron | None,
    options: Streamed,
    *,
    verify: bool,
    budget: Any,
    progress: Any,
    output: Output,
) -> bool:
    """Write cells to a directory and say what is there; whether every certificate that was checked held."""
    from ..complexes.blocks.write import write_cells
    from ..complexes.skeleton.arrays import make_frame

    with partial_shown(net, domain, json=output.json, again=RESUMED):
        total = write_cells(
            net,
            options.stream,
            domain,
            dims=parse_dims(options.dims, make_frame(net, domain).n),
            file_format="parquet" if options.file_format is None else options.file_format.value,
            maps=options.maps,
            vertices=options.vertices,
            workers=options.workers,
            resume=options.resume,
            verify=verify,
            budget=budget,
            progress=progress,
        )
    note(f"wrote {options.stream}", quiet=output.quiet)
    show(total, net, domain, json=output.json, title=str(options.stream), again=RESUMED)
    return total.verified is not False


def summary(total: BlockSum, net: ReLUNetwork, domain: Polyhedron | None) -> dict[str, Any]:
    """Plain data of a sum over blocks; what is missing as paths and inequalities ``A x <= b``."""
    missing = []
    for block in total.remaining:
        polyhedron = block.polyhedron(net, domain)
        missing.append(
            {
                "path": [list(step) for step in block.path],
                "A": [] if polyhedron is None else polyhedron.A.astype(float).tolist(),
                "b": [] if polyhedron is None else polyhedron.b.astype(float).tolist(),
            }
        )
    return {
        "complete": total.complete,
        "f_vector": list(total.f_vector),
        "bounded": list(total.bounded),
        "blocks": len(total.blocks),
        "decisions": total.decisions,
        "verified": total.verified,
        "fingerprints": {str(d): [f"{x:016x}" for x in pair] for d, pair in total.fingerprints.items()},
        "missing": missing,
        "seconds": total.seconds,
    }


def show(total: BlockSum, net: ReLUNetwork, domain: Polyhedron | None, *, json: bool, title: str, again: str) -> None:
    """Print a sum over blocks; ``again`` says how to go on where it is not complete."""
    found = total.f_vector[-1] if total.f_vector else 0
    sentence = (
        f"{words.count(found, 'region')}, certified: this is all of the complex."
        if total.complete
        else f"NOT complete: {words.count(found, 'region')} so far, certified; what is missing is listed. {again}"
    )
    if not tell(sentence, summary(total, net, domain), json=json):
        return
    rows = [(k, f, b) for k, (f, b) in enumerate(zip(total.f_vector, total.bounded))]
    state = "complete" if total.complete else "NOT complete"
    table(
        rows,
        header=("dimension", "faces", "bounded"),
        title=f"{title}: {state}, {words.count(len(total.blocks), 'block')}",
    )
    if total.decisions:
        print("signs decided: " + ", ".join(f"{v} {k.replace('_', ' ')}" for k, v in total.decisions.items()))
    if total.verified is not None:
        print("certificates of all blocks verified" if total.verified else "certificate REFUTED in a block")
    for block in total.remaining[:SHOWN]:
        print("missing: " + (" and ".join(_inequality(net, *step) for step in block.path) or "everything"))
    if len(total.remaining) > SHOWN:
        print(f"missing: {words.count(len(total.remaining) - SHOWN, 'block')} more (see --json)")
    print(f"{total.seconds:.3g} s")


def _inequality(net: ReLUNetwork, neuron: int, sign: int) -> str:
    layer, position = net.neuron(neuron)
    return f"neuron {position} of layer {layer} {'>=' if sign > 0 else '<'} 0"
