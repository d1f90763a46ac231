"""Options that commands share, a class for each group; `grouped` spells them out for the parser.

A command takes a group as one parameter and reads its fields: ``where.domain_of(net)``, ``limits.budget``, ``output.progress``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import typer

from ..errors import IncompleteError
from ..words import at_terminal, place
from .exits import tell_stopped
from .grammar.choices import CellFormat
from .grammar.parsing import (
    DOMAIN_FORMS,
    DOMAIN_HELP,
    everywhere,
    one_domain,
    parse_domain,
    readable_memory,
    readable_seconds,
)
from .render import answered, answering, heartbeat, progress_line

if TYPE_CHECKING:
    from ..budget import Budget
    from ..domain import Polyhedron

FORMATS = ".onnx, .npz, .safetensors, .pt, .h5, .keras or .nnet"
NETWORK = typer.Argument(..., metavar="NETWORK", help=f"File of a network: {FORMATS}.")


@dataclass(frozen=True)
class Where:
    """The domain of a question: one grammar in every command."""

    domains: list[str] = typer.Option(
        None, "--domain", "--box", metavar="DOMAIN", help=DOMAIN_HELP, callback=one_domain
    )

    @property
    def domain(self) -> str | None:
        """The text of the domain."""
        return self.domains[0] if self.domains else None

    def domain_of(self, net: Any) -> Polyhedron | None:
        """The domain, for a network with these inputs."""
        return parse_domain(self.domain, net.architecture[0])

    @property
    def everywhere(self) -> bool:
        """Whether all inputs are meant."""
        return everywhere(self.domain)

    def named(self, net: Any) -> str:
        """As JSON and titles have it, for a network with these inputs: all of them as sentences have it, or what was written."""
        return place(None, net.architecture[0]).removeprefix("on ") if self.everywhere else str(self.domain)


@dataclass(frozen=True)
class Bounded(Where):
    """A domain that has to be there."""

    domains: list[str] = typer.Option(
        ..., "--domain", "--box", metavar="DOMAIN", help=f"Where to look: {DOMAIN_FORMS}.", callback=one_domain
    )


@dataclass(frozen=True)
class Window(Where):
    """The domain of a slice."""

    domains: list[str] = typer.Option(
        None,
        "--domain",
        "--box",
        metavar="DOMAIN",
        help=f"Where to look, in the coordinates of the slice: {DOMAIN_FORMS}; -1,1 by default, or all of it: all.",
        callback=one_domain,
    )


@dataclass(frozen=True)
class Limits:
    """What a command may use."""

    seconds: float = typer.Option(
        None,
        "--seconds",
        metavar="S",
        help="Stop after so many seconds, with what is known then.",
        callback=readable_seconds,
    )
    memory: str = typer.Option(
        None, "--memory", metavar="SIZE", help="Memory to stay within, such as 2GiB.", callback=readable_memory
    )

    @property
    def budget(self) -> Budget:
        """The same as the library takes it."""
        from ..budget import Budget

        return Budget(seconds=self.seconds, memory=self.memory)


@dataclass(frozen=True)
class Output:
    """How a command prints."""

    json: bool = typer.Option(False, "--json", help="Print one JSON document instead of text.")
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Print nothing on standard error: no progress, no remarks.")

    @property
    def progress(self) -> Callable[[Any], None] | None:
        """The callback that shows progress on standard error."""
        return progress_line(quiet=self.quiet)


@dataclass(frozen=True)
class Streamed:
    """Cells to a directory."""

    stream: Path = typer.Option(
        None, "--stream", metavar="DIR", help="Write the cells to a directory as they come, block by block."
    )
    dims: str = typer.Option(None, "--dims", help="With --stream: dimensions such as 0,2 or all; regions by default.")
    file_format: CellFormat = typer.Option(
        None, "--format", help="With --stream: the files to write; parquet by default."
    )
    maps: bool = typer.Option(False, "--maps", help="With --stream: write the affine maps of regions too.")
    vertices: bool = typer.Option(False, "--vertices", help="With --stream: write the vertices and rays of cells too.")
    resume: bool = typer.Option(False, "--resume", help="With --stream: go on where an earlier run ended.")
    workers: int = typer.Option(1, "--workers", "-w", min=1, help="With --stream or --count: processes to work in.")


@dataclass(frozen=True)
class Crew:
    """Who shares the boxes of a question."""

    workers: int = typer.Option(1, "--workers", "-w", min=1, help="Processes that share the boxes.")
    scheduler: str = typer.Option(
        None, "--scheduler", metavar="ADDRESS", help="Address of a Dask scheduler, whose workers share the boxes."
    )

    @property
    def members(self) -> dict[str, Any]:
        """As the library takes them."""
        if self.scheduler is not None:
            refuse(("--workers", "-w"), "not with --scheduler, which has workers of its own")
        return {"workers": self.workers, "scheduler": self.scheduler}


@dataclass(frozen=True)
class NearCrew(Crew):
    """Who shares the boxes of an epsilon."""

    workers: int = typer.Option(1, "--workers", "-w", min=1, help="With --epsilon: processes that share the boxes.")
    scheduler: str = typer.Option(
        None,
        "--scheduler",
        metavar="ADDRESS",
        help="With --epsilon: address of a Dask scheduler, whose workers share the boxes.",
    )


@dataclass(frozen=True)
class Drawn:
    """One more network of a fiber."""

    sample: Path = typer.Option(
        None,
        "--sample",
        metavar="FILE",
        help="Write a network drawn from the known part of the fiber; where that is this network alone, the same weights, and the answer says so.",
    )
    seed: int = typer.Option(0, "--seed", help="With --sample: seed of the choice.")


_given: ContextVar[dict[str, bool]] = ContextVar("polyfiber_given")
"""Every flag of the command that runs, and whether it stands on the command line."""


_read: ContextVar[tuple[Path, ...]] = ContextVar("polyfiber_read", default=())
"""Files that the command that runs was given to read."""


def is_read(path: Path) -> bool:
    """Whether this is a file that the command reads, under whatever name."""
    return any(path.exists() and other.exists() and path.samefile(other) for other in _read.get())


def given(flag: str) -> bool:
    """Whether an option was written, whatever its value."""
    return _given.get({}).get(flag, False)


def refuse(flags: Sequence[str], why: str) -> None:
    """A usage error if one of these options was written: an option without effect is a mistake to be told, not ignored."""
    for flag in flags:
        if given(flag):
            other = why.removeprefix("not with")
            raise typer.BadParameter(f"{flag} {f'goes {why}' if other == why else f'cannot be used with{other}'}")


@contextmanager
def _noting(context: typer.Context) -> Iterator[None]:
    written = {
        flag: getattr(context.get_parameter_source(p.name or ""), "name", "") == "COMMANDLINE"
        for p in context.command.params
        for flag in (*p.opts, *p.secondary_opts)
    }
    arguments = [context.params.get(p.name or "") for p in context.command.params if p.param_type_name == "argument"]
    token, files = _given.set(written), _read.set(tuple(value for value in arguments if isinstance(value, Path)))
    try:
        yield
    finally:
        _given.reset(token)
        _read.reset(files)


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """A command as the parser wants it: every parameter that is a group replaced by its options.

    While it runs `given` and `refuse` know what was written, and a line on standard error says every few seconds that it is
    still at work, unless `--quiet` is there. Where a budget ends before there is an answer, that is the answer.
    """
    groups: dict[str, Any] = {}
    spelled = [inspect.Parameter("context_", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
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
    def run(context_: typer.Context, **options: Any) -> None:
        for name, kind in groups.items():
            options[name] = kind(**{f.name: options.pop(f.name) for f in fields(kind)})
        printed = next((v for v in options.values() if isinstance(v, Output)), None)
        silent = printed is None or printed.quiet
        name = str(context_.info_name)
        for flag, value in context_.params.items():
            if isinstance(value, float) and flag != "seconds" and not abs(value) < float("inf"):
                raise typer.BadParameter(f"--{flag.replace('_', '-')} {value:g}: expected a finite number")
        with _noting(context_), at_terminal(), answering(), heartbeat(name, quiet=silent):
            try:
                command(**options)
            except (IncompleteError, MemoryError) as stop:
                if printed is not None and not answered():
                    tell_stopped(stop, name, _given.get(), json=printed.json)
                elif printed is not None and printed.quiet:
                    stop.__dict__["told"] = True  # the answer that was begun says that it is not complete
                raise

    run.__signature__ = inspect.Signature(spelled)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in spelled}
    return run
