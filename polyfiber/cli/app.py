"""The command line: parse, call one library function, render.

Exit codes: 0 done or yes, 1 no, 2 usage, 3 undecided or out of budget, 4 bad input.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

import typer

from .. import _version
from ..errors import IncompleteError, PolyfiberError

TOPICS = ("complexes", "fibers", "equivalence", "strata", "regions", "datasets")

app = typer.Typer(
    name="polyfiber",
    help="Polyhedral complexes and fibers of ReLU networks: complete, certified, fast.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version_callback(value: bool) -> None:
    if value:
        typer.echo(f"polyfiber {_version.__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    debug: bool = typer.Option(False, "--debug", help="Show the trace of an error."),
    version: bool = typer.Option(
        False, "--version", callback=_version_callback, is_eager=True, help="Print the version and stop."
    ),
) -> None:
    """Options before the command."""
    _state["debug"] = debug


_state: dict[str, Any] = {"debug": False}


def _register() -> None:
    for topic in TOPICS:
        name = f"{__package__}.{topic}"
        if importlib.util.find_spec(name) is not None:
            importlib.import_module(name).register(app)


def main(argv: list[str] | None = None) -> None:
    """Run the command line; library errors become one line and an exit code."""
    try:
        app(args=argv, standalone_mode=True)
    except PolyfiberError as error:
        if _state["debug"]:
            raise
        print(f"polyfiber: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(3 if isinstance(error, IncompleteError) else 4) from None
    except KeyboardInterrupt:
        print("polyfiber: interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        raise SystemExit(0) from None


_register()
