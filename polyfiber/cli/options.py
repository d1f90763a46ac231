"""Options that commands share, a class for each group; `grouped` spells them out for the parser."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from ..budget import Budget


@dataclass(frozen=True)
class Limits:
    """What a command may use."""

    seconds: float = typer.Option(None, "--seconds", help="Time budget of everything that was asked for.")
    memory: str = typer.Option(None, "--memory", help="Memory budget, such as 2GiB.")

    @property
    def budget(self) -> Budget:
        """The same as the library takes it."""
        from ..budget import Budget

        return Budget(seconds=self.seconds, memory=self.memory)


@dataclass(frozen=True)
class Output:
    """How a command prints."""

    json: bool = typer.Option(False, "--json", help="Print JSON.")
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress and no remarks.")


@dataclass(frozen=True)
class Streamed:
    """Cells to a directory."""

    stream: Path = typer.Option(None, "--stream", help="Write the cells to a directory as they come, block by block.")
    dims: str = typer.Option(None, "--dims", help="With --stream: dimensions such as 0,2 or all; regions by default.")
    file_format: str = typer.Option(None, "--format", help="With --stream: parquet (the default), zarr or npz.")
    maps: bool = typer.Option(False, "--maps", help="With --stream: the affine maps of regions too.")
    vertices: bool = typer.Option(False, "--vertices", help="With --stream: the vertices and rays of cells too.")
    resume: bool = typer.Option(False, "--resume", help="With --stream: go on where an earlier run ended.")
    workers: int = typer.Option(1, "--workers", help="With --stream or --count: processes.")


@dataclass(frozen=True)
class Drawn:
    """One more network of a fiber."""

    sample: Path = typer.Option(None, "--sample", help="Write another network of the fiber to a file.")
    seed: int = typer.Option(0, "--seed", help="Seed of --sample.")


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """A command with every parameter of a dataclass replaced by the fields of that class, as the parser wants them."""
    groups: dict[str, Any] = {}
    spelled: list[inspect.Parameter] = []
    hints = get_type_hints(command)
    for name, parameter in inspect.signature(command).parameters.items():
        kind = hints[name]
        if is_dataclass(kind):
            groups[name] = kind
            types = get_type_hints(kind)
            spelled += [
                inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=types[f.name])
                for f in fields(kind)
            ]
        else:
            spelled.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=kind))

    @functools.wraps(command)
    def run(**given: Any) -> None:
        for name, kind in groups.items():
            given[name] = kind(**{f.name: given.pop(f.name) for f in fields(kind)})
        command(**given)

    run.__signature__ = inspect.Signature(spelled)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in spelled}
    return run
