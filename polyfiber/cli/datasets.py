"""Commands about datasets: dataset plan, run, finish, validate."""

from __future__ import annotations

import os
from typing import Any

import typer

from ..words import count as counted
from .grammar.parsing import parse_ranges
from .live import live
from .options import Output, grouped, refuse
from .render import note, table, tell

dataset = typer.Typer(
    help="Make datasets of networks, complexes, fibers and pairs, and check them.", no_args_is_help=True
)


def plan_command(
    spec: str = typer.Argument(..., metavar="SPEC", help="Spec file (TOML), or its address."),
    output: str = typer.Option(None, "--output", "-o", metavar="DIR", help="Also write plan.json into this directory."),
    seconds: float = typer.Option(
        3.0, "--seconds", metavar="S", min=0.0, help="About how long the pilot of one entry may take."
    ),
    pilot: bool = typer.Option(True, "--pilot/--no-pilot", help="Estimate the cost from a few networks, or do not."),
    *,
    printed: Output,
) -> None:
    """Show the partitions that a spec is cut into, and what they will cost."""
    from dataclasses import asdict

    from ..datasets import estimate, make_plan, read_spec
    from ..datasets.runner import prepare

    if not pilot:
        refuse(("--seconds",), "only with a pilot")
    checked = read_spec(spec)
    plan = make_plan(checked) if output is None else prepare(checked, output)
    cost = estimate(plan, seconds=seconds) if pilot else None
    document = {k: v for k, v in plan.to_json().items() if k != "spec"}
    document["cost"] = None if cost is None else [asdict(s) for s in cost.sources]
    sentence = f"The spec {checked.name!r} asks for {counted(checked.count, 'network')} in {counted(len(plan.partitions), 'partition')}"
    if cost is not None:
        sentence += f"; about {cost.seconds:.3g} core seconds and {cost.bytes / 1e6:.3g} MB, estimated from a pilot"
    if not tell(f"{sentence}. Next: polyfiber dataset run.", document, json=printed.json):
        return
    rows = [(p.index, p.source, p.first, p.stop - 1, len(p.blocks) or "whole") for p in plan.partitions]
    shown = rows if len(rows) <= 20 else [*rows[:10], *rows[-10:]]
    table(
        shown, header=("partition", "entry", "from network", "to network", "blocks"),
        title=f"{checked.name}: {counted(checked.count, 'network')} in {counted(len(rows), 'partition')}",
    )  # fmt: skip
    if len(shown) < len(rows):
        note(
            f"not shown: {counted(len(rows) - len(shown), 'partition')} between them; --json lists all",
            quiet=printed.quiet,
        )
    if cost is not None:
        lines = [
            (s.source, s.networks, s.sampled, round(s.regions), round(sum(s.rows.values())),
             f"{sum(s.bytes.values()) / 1e6:.3g}", f"{s.seconds:.3g}") for s in cost.sources
        ]  # fmt: skip
        if len(lines) > 1:
            lines.append(
                ("all", checked.count, sum(s.sampled for s in cost.sources), round(cost.regions), round(cost.rows),
                 f"{cost.bytes / 1e6:.3g}", f"{cost.seconds:.3g}")
            )  # fmt: skip
        table(
            lines, header=("entry", "networks", "in the pilot", "regions", "rows", "MB", "core seconds"),
            title="Estimate from a pilot",
        )  # fmt: skip


def run_command(
    spec: str = typer.Argument(..., metavar="SPEC", help="Spec file (TOML), or its address."),
    output: str = typer.Option(
        ...,
        "--output",
        "-o",
        metavar="DIR",
        help="Directory or address (s3://…, gs://…) of the dataset; completed if it is there.",
    ),
    folder: str = typer.Option(
        None, "--folder", help="Where relative paths of the spec start; its own folder by default."
    ),
    workers: int = typer.Option(None, "--workers", "-w", min=0, help="Processes; all cores by default, 0 for none."),
    scheduler: str = typer.Option(
        None, "--scheduler", help="Address of a Dask scheduler; workers share the directory."
    ),
    partitions: str = typer.Option(None, "--partitions", help="Only these, such as 0,3-7; does not finish."),
    redo: bool = typer.Option(False, "--redo", help="Do partitions again that are done."),
    finish: bool = typer.Option(True, "--finish/--no-finish", help="Write manifest, checksums and card at the end."),
    *,
    printed: Output,
) -> None:
    """Make a dataset, or complete one that was interrupted.

    Exit code 3 when partitions are not done; run again to try them again.
    """
    from ..datasets import read_spec, run

    if scheduler is not None:
        refuse(("--workers", "-w"), "not with --scheduler, which has workers of its own")
    chosen = parse_ranges(partitions, "--partitions")
    try:
        with live(quiet=printed.quiet) as progress:
            report = run(
                read_spec(spec, folder=folder), output, workers=_cores() if workers is None else workers, client=scheduler, partitions=chosen,
                redo=redo, finish=finish, progress=progress,
            )  # fmt: skip
    except KeyboardInterrupt:
        note(
            "interrupted: partitions that are done are kept, and the same command goes on from there",
            quiet=printed.quiet,
        )
        raise typer.Exit(130) from None
    state = "complete" if report.complete else "NOT complete; the same command goes on from there"
    sentence = (
        f"{report.directory} holds {counted(report.networks, 'network')}, {report.skipped} skipped and {report.failed} failed; "
        f"the dataset is {state}."
    )
    if tell(sentence, _facts(report), json=printed.json):
        table(
            [(name, report.rows[name], report.bytes[name]) for name in report.rows], header=("table", "rows", "bytes")
        )
        for index, reason in report.failures[:20]:
            note(f"partition {index} is not done: {reason}", quiet=printed.quiet)
        if not report.complete and not report.failures:
            note(
                f"{counted(report.partitions - report.done - report.kept, 'partition remains', 'partitions remain')}",
                quiet=printed.quiet,
            )
    if report.failures:
        raise typer.Exit(3)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _facts(report: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(report) | {"complete": report.complete}


def finish_command(
    directory: str = typer.Argument(..., metavar="DATASET", help="Directory or address of the dataset."),
    *,
    printed: Output,
) -> None:
    """Write the manifest, the checksums and the card of a dataset; exit code 3 names the partitions that are missing."""
    from ..datasets import finish

    done = finish(directory)
    sentence = (
        f"{done.directory} is finished: manifest, checksums and card are written. Next: polyfiber dataset validate."
    )
    if not tell(sentence, {"manifest": done.manifest}, json=printed.json):
        return
    rows = [
        (name, entry["rows"], entry["bytes"], len(entry["files"])) for name, entry in done.manifest["tables"].items()
    ]
    table(rows, header=("table", "rows", "bytes", "files"))


def validate_command(
    directory: str = typer.Argument(..., metavar="DATASET", help="Directory or address of the dataset."),
    rows: int = typer.Option(64, "--rows", min=0, help="Rows of each table to derive again, another way."),
    redo: int = typer.Option(0, "--redo", min=0, help="Partitions to make again and compare byte for byte."),
    seed: int = typer.Option(None, "--seed", min=0, help="Seed of the sample; random by default."),
    *,
    printed: Output,
) -> None:
    """Check checksums and schema, and derive a random sample of rows again.

    Exit code 0: nothing disagrees, 1: something does.
    """
    from ..datasets import validate

    with live(quiet=printed.quiet) as progress:
        found = validate(directory, rows=rows, redo=redo, rng=seed, progress=progress)
    answer = {
        "directory": str(found.directory), "ok": found.ok, "problems": list(found.problems), "files": found.files,
        "rows": dict(found.rows), "redone": list(found.redone), "undecided": dict(found.undecided),
        "reasons": list(found.reasons), "unknown": list(found.unknown),
    }  # fmt: skip
    total = sum(found.rows.values())
    if found.ok:
        sentence = f"Nothing disagrees: checksums and schemas hold, and {counted(total, 'row')} were derived again another way."
    else:
        sentence = (
            f"The dataset is NOT what it claims: {counted(len(found.problems), 'problem')}, first: {found.problems[0]}"
        )
    if tell(sentence, answer, json=printed.json):
        checked = [("files", found.files), *((f"rows of {name}", count) for name, count in found.rows.items())]
        checked += [(f"undecided of {name}", count) for name, count in found.undecided.items() if count]
        checked += [("partitions made again", len(found.redone))] if redo else []
        table(checked, header=("checked", "number"), title=str(found.directory))
        for problem in found.problems[:50]:
            print(problem)
        for reason in found.reasons[:20]:
            note(f"not decided: {reason}", quiet=printed.quiet)
        for name in found.unknown[:20]:
            note(f"no part of the dataset: {name}", quiet=printed.quiet)
    raise typer.Exit(0 if found.ok else 1)


def register(app: typer.Typer) -> None:
    """Add the commands of this topic."""
    for name, command in (
        ("plan", plan_command), ("run", run_command), ("finish", finish_command), ("validate", validate_command),
    ):  # fmt: skip
        dataset.command(name)(grouped(command))
    app.add_typer(
        dataset, name="dataset", short_help="Make datasets of networks, complexes, fibers and pairs, and check them."
    )
